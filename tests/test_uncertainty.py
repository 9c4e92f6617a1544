"""Intervals of percentages: counting against known figures, gates against planted truth."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from planted import planted_tube

from immunolab.gating.counts import counts_table
from immunolab.gating.evaluate import count_each, evaluate
from immunolab.gating.placement.fit import fit
from immunolab.gating.placement.uncertainty import _others, percent_intervals
from immunolab.gating.strategy_file import builtin_strategy
from immunolab.intervals import jeffreys_percent

SURFACE = builtin_strategy("treg_th17_tfh_teff")


@cache
def planted(seed: int, n: int = 8000):
    tube, kinds = planted_tube(seed, n)
    fitted = fit(SURFACE, [tube])
    return tube, kinds, fitted, percent_intervals(fitted, "S1", tube, denominators=["CD4"])


def of_cd4(frame, fitted, name: str):
    path = fitted.strategies["S1"][name].path
    return frame[(frame["path"] == path) & (frame["denominator"] == "CD4")].iloc[0]


@pytest.mark.parametrize(("n", "of"), [(4, 12), (1, 50), (634, 9898)])
def test_counting_interval_is_jeffreys(n: int, of: int) -> None:
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(n, of, method="jeffreys")
    assert jeffreys_percent(n, of) == pytest.approx((100 * low, 100 * high))


def test_gates_counted_together_count_what_each_does_alone() -> None:
    tube, _ = planted_tube(1, 40_000)  # more than two blocks of events
    fitted = planted(0)[2]
    placed = fitted.strategies["S1"]
    strategies = [placed, *_others(placed, fitted.alternatives["S1"])]
    alone = [{path: int(mask.sum()) for path, mask in evaluate(one, tube).masks.items()} for one in strategies]
    assert count_each(strategies, tube) == alone
    assert len({tuple(counts.values()) for counts in alone}) > 2
    assert count_each([], tube) == []


def test_counting_interval_at_the_ends() -> None:
    assert jeffreys_percent(0, 12)[0] == 0
    assert jeffreys_percent(12, 12)[1] == 100
    assert np.isnan(jeffreys_percent(0, 0)).all()


def test_intervals_hold_the_percent_and_each_other() -> None:
    tube, _, fitted, frame = planted(0)
    counts = counts_table(evaluate(fitted.strategies["S1"], tube), "S1").set_index("path")
    parents = frame.drop_duplicates("path").set_index("path")
    np.testing.assert_allclose(
        parents["percent"], counts["percent_of_parent"].astype(float).reindex(parents.index), rtol=1e-12
    )
    assert (frame["low"] <= frame["count_low"] + 1e-9).all()
    assert (frame["high"] >= frame["count_high"] - 1e-9).all()
    inner = frame[(frame["percent"] > 0) & (frame["percent"] < 100)]
    assert inner["percent"].between(inner["gate_low"] - 0.5, inner["gate_high"] + 0.5).all()
    assert (frame["low"] >= 0).all()
    assert (frame["high"] <= 100).all()


def test_a_border_in_an_empty_valley_adds_little_and_one_through_a_shoulder_much() -> None:
    _, _, fitted, frame = planted(0)

    def relative(name: str) -> float:
        row = of_cd4(frame, fitted, name)
        return float((row["gate_high"] - row["gate_low"]) / row["percent"])

    assert relative("CD4_naive") < 0.12
    assert relative("Tfh_eff") > relative("CD4_naive")


def test_gate_intervals_cover_planted_percents() -> None:
    names = {"Treg": ("treg",), "Th17": ("th17",), "Tfh_eff": ("tfh",), "Tfh_CXCR5": ("tfh", "tfh_quiet")}
    inside = []
    for seed in range(3):
        _, kinds, fitted, frame = planted(seed)
        cd4 = np.isin(kinds, ("naive", "memory", "treg", "tfh", "tfh_quiet", "th17", "th1"))
        for name, kind in names.items():
            row, true = of_cd4(frame, fitted, name), 100 * np.isin(kinds, kind).sum() / cd4.sum()
            inside.append(row["low"] <= true <= row["high"])
    assert np.mean(inside) > 0.85


def test_an_empty_tube_has_empty_intervals() -> None:
    tube, _ = planted_tube(0, 0)
    frame = percent_intervals(fit(SURFACE, [tube]), "S1", tube)
    assert frame["percent"].isna().all()
    assert frame["low"].isna().all()
