"""What must hold for any data: swapping visits, order of rows, complements, scaling of counts."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from immunolab.comparison.group_tests import mann_whitney
from immunolab.comparison.multiplicity import adjusted_together, benjamini_hochberg, holm, max_t
from immunolab.comparison.paired import hodges_lehmann, midranks, paired_t, sign_flip, wilcoxon
from immunolab.comparison.plan import Noise, Plan
from immunolab.comparison.table import compare_endpoints

shifts = st.lists(st.floats(-5, 5).map(lambda x: round(x, 2)), min_size=3, max_size=9)
counts = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), min_size=3, max_size=8)


def rows_of(pairs: list[tuple[int, int]], parents: int = 1000) -> pd.DataFrame:
    rows = [
        {"patient_id": f"P{i}", "visit": visit, "n_events": n, "n_parent": parents, "value": 100 * n / parents}
        for i, pair in enumerate(pairs)
        for visit, n in zip("ab", pair, strict=True)
    ]
    return pd.DataFrame(rows).assign(endpoint="x", unit="%", cohort="")


def same(a: object, b: object) -> bool:
    return bool(np.allclose(np.asarray(a, float), np.asarray(b, float), rtol=1e-9, atol=1e-12, equal_nan=True))


@settings(max_examples=15, deadline=None)
@given(counts, st.sampled_from(["t", "wilcoxon", "signflip", "count_weighted", "mixed"]))
def test_swapping_visits_turns_the_shift_and_keeps_p(pairs, test):
    rows, noise = rows_of(pairs), Noise(0.1, 20)
    there = compare_endpoints(rows, Plan("a", "b", test=test, noise=noise))
    back = compare_endpoints(rows, Plan("b", "a", test=test, noise=noise))
    for name in ("estimate", "hl_estimate"):
        assert same(there.shifts[name], -back.shifts[name])
    assert same(there.shifts["ci_low"], -back.shifts["ci_high"])
    for name in ("p_value", "q_value", "sensitivity_p_value"):
        assert same(there.shifts[name], back.shifts[name])
    turned = back.pairs["verdict"].replace({"rise": "fall", "fall": "rise"})
    assert there.pairs["verdict"].tolist() == turned.tolist()


@settings(max_examples=8, deadline=None)
@given(counts, st.randoms(use_true_random=False))
def test_order_of_rows_is_irrelevant(pairs, random):
    rows = rows_of(pairs)
    order = list(range(len(rows)))
    random.shuffle(order)
    plain = compare_endpoints(rows, Plan("a", "b"))
    mixed = compare_endpoints(rows.iloc[order], Plan("a", "b"))
    for name in ("estimate", "ci_low", "p_value", "sensitivity_p_value", "median_before"):
        assert same(plain.shifts[name], mixed.shifts[name])
    assert same(plain.pairs["shift"], mixed.pairs.sort_values("patient_id")["shift"])


@settings(max_examples=8, deadline=None)
@given(counts)
def test_the_complement_has_the_opposite_log_odds(pairs):
    plain = compare_endpoints(rows_of(pairs), Plan("a", "b")).shifts
    rest = compare_endpoints(rows_of([(1000 - a, 1000 - b) for a, b in pairs]), Plan("a", "b")).shifts
    if plain["method"].iloc[0].startswith("paired"):
        assert same(plain["estimate"], -rest["estimate"])
        assert same(plain["p_value"], rest["p_value"])


@settings(max_examples=8, deadline=None)
@given(st.lists(st.tuples(st.integers(5, 300), st.integers(5, 300)), min_size=3, max_size=8))
def test_ten_times_the_events_narrow_the_patient_interval(pairs):
    plan = Plan("a", "b", noise=Noise(0.1, 1000))
    few = compare_endpoints(rows_of(pairs), plan).pairs
    many = compare_endpoints(rows_of([(10 * a, 10 * b) for a, b in pairs], parents=10_000), plan).pairs
    width = [(found["ci_high"] - found["ci_low"]).to_numpy() for found in (few, many)]
    assert (width[1] < width[0]).all()
    assert (width[1] > 2 * 1.95 * 0.1 * np.sqrt(2)).all()  # the assay's noise stays


@settings(max_examples=60, deadline=None)
@given(shifts)
def test_signed_rank_equals_enumeration_of_all_signs(values):
    d = np.array([v for v in values if v != 0])
    if not d.size:
        return
    ranks = midranks(np.abs(d))
    sums = np.array([ranks[np.array(signs, dtype=bool)].sum() for signs in product((0, 1), repeat=d.size)])
    observed = ranks[d > 0].sum()
    expected = min(1.0, 2 * min((sums <= observed + 1e-9).mean(), (sums >= observed - 1e-9).mean()))
    assert wilcoxon(values).p_value == pytest.approx(expected, rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(shifts)
def test_sign_flip_interval_inverts_the_test(values):
    found = sign_flip(values)
    d = np.asarray(values)
    for end, outside in ((found.ci_low, -1e-6), (found.ci_high, 1e-6)):
        if np.isfinite(end) and np.ptp(d) > 1e-9:
            assert sign_flip(d - (end + outside)).p_value <= 0.05
            assert sign_flip(d - (end - outside)).p_value > 0.05


@settings(max_examples=40, deadline=None)
@given(shifts)
def test_hodges_lehmann_is_the_median_walsh_average(values):
    d = np.asarray(values)
    walsh = [(d[i] + d[j]) / 2 for i in range(d.size) for j in range(i, d.size)]
    assert hodges_lehmann(d)[0] == pytest.approx(np.median(walsh), abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=2, max_size=5), st.lists(st.integers(0, 6), min_size=2, max_size=4))
def test_rank_sum_equals_enumeration_of_all_splits(a, b):
    from itertools import combinations

    ranks = midranks(np.array([*a, *b], dtype=float))
    sums = np.array([ranks[list(chosen)].sum() for chosen in combinations(range(ranks.size), len(a))])
    observed = ranks[: len(a)].sum()
    expected = min(1.0, 2 * min((sums <= observed + 1e-9).mean(), (sums >= observed - 1e-9).mean()))
    assert mann_whitney(np.array(a, float), np.array(b, float)).p_value == pytest.approx(expected, rel=1e-9)


@given(st.lists(st.floats(0, 1) | st.just(np.nan), min_size=1, max_size=12))
def test_adjusted_p_is_never_smaller_and_keeps_the_order(p):
    p = np.array(p)
    order = np.argsort(p[np.isfinite(p)], kind="stable")
    for adjusted in (benjamini_hochberg(p), holm(p)):
        assert same(np.isnan(adjusted), np.isnan(p))
        known = adjusted[np.isfinite(p)]
        assert (known >= p[np.isfinite(p)] - 1e-15).all()
        assert (np.diff(known[order]) >= 0).all()
    assert (np.nan_to_num(holm(p), nan=1) >= np.nan_to_num(benjamini_hochberg(p), nan=1) - 1e-15).all()


def test_adjusted_p_are_those_of_statsmodels_to_the_last_bit():
    rng = np.random.default_rng(5)
    for n in (1, 2, 5, 40, 300):
        p = np.round(rng.uniform(0, 1, n) ** 3, rng.integers(2, 17))  # with ties
        assert np.array_equal(holm(p), multipletests(p, method="holm")[1])
        assert np.array_equal(benjamini_hochberg(p), multipletests(p, method="fdr_bh")[1])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_max_t_adjusts_upwards_and_ignores_missing_endpoints(seed):
    d = np.random.default_rng(seed).normal(0.5, 1, (7, 4))
    d[0, 1] = np.nan
    d[:, 3] = np.nan
    found = max_t(d)
    assert np.isnan(found.step_down[3])
    assert (found.raw[:3] <= found.step_down[:3] + 1e-12).all()
    assert (found.step_down[:3] <= found.single_step[:3] + 1e-12).all()
    assert found.raw[1] == sign_flip_t(d[1:, 1])


def sign_flip_t(d: np.ndarray) -> float:
    """Return the exact sign-flip p, enumerated; |t| and |mean| order the flips alike."""
    means = np.array([abs((np.array(s) * d).mean()) for s in product((1, -1), repeat=d.size)])
    return float((means >= abs(d.mean()) * (1 - 1e-9)).mean())


@settings(max_examples=30, deadline=None)
@given(shifts, st.floats(0.1, 10))
def test_p_does_not_depend_on_the_unit(values, factor):
    d = np.asarray(values)
    for test in (paired_t, wilcoxon):
        assert same(test(d).p_value, test(d * factor).p_value)


def test_endpoints_of_one_role_are_one_family_whatever_their_visits() -> None:
    def table(contrast: str, roles: list[str], p: list[float]) -> pd.DataFrame:
        names = [f"{contrast}{i}" for i in range(len(p))]
        return pd.DataFrame(
            {"cohort": pd.Series([None] * len(p), dtype="string"), "endpoint": names, "role": roles, "p_value": p}
        ).assign(q_value=0.0, adjustment="alone")

    early = table("a", ["secondary", "secondary", "exploratory"], [0.01, 0.04, 0.02])
    late = table("b", ["secondary", "exploratory", "primary"], [0.03, 0.04, 0.5])
    cells = table("c", ["secondary"], [0.001])
    first, second, third = adjusted_together([early, late, cells], ["", "", "cells"])
    assert first["q_value"].tolist()[:2] == pytest.approx([0.03, 0.06])  # Holm by hand: 3 x 0.01, then 2 x 0.03 = 0.06
    assert second["q_value"].tolist()[0] == pytest.approx(0.06)
    assert (first["q_value"].tolist()[2], second["q_value"].tolist()[1]) == pytest.approx((0.04, 0.04))
    assert first["adjustment"].tolist()[0] == "Holm over 3 secondary endpoints of all contrasts"
    assert second["adjustment"].tolist()[2] == "alone"  # one contrast has primaries: nothing to join
    assert third["adjustment"].tolist() == ["alone"]
    assert early["adjustment"].tolist() == ["alone"] * 3  # what was given is left as it was
