"""The verb on small made tables: scales, families, guards, verdicts, batches, several visits."""

from __future__ import annotations

import inspect
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import immunolab.comparison
from immunolab.comparison.adjusted_flip import adjusted_sign_flip
from immunolab.comparison.arms import Arms, compare_arms, compare_responders, differences_table
from immunolab.comparison.correlation import correlate_shifts, spearman
from immunolab.comparison.cycles import cycle_shifts
from immunolab.comparison.missing_visits import tipping_point
from immunolab.comparison.paired import sign_flip, smallest_p, wilcoxon
from immunolab.comparison.plan import Noise, Plan
from immunolab.comparison.power import paired_power, patients_needed, power_table
from immunolab.comparison.table import Comparison, compare_endpoints
from immunolab.errors import ComparisonError, InputError
from immunolab.schema.comparison import PAIRS, SHIFTS
from immunolab.schema.endpoints import ENDPOINTS
from immunolab.schema.flags import Code

PLAN = Plan("W0", "W10", test="t")


def counts(before, after, *, parents=10_000, endpoint="treg", **columns) -> pd.DataFrame:
    """Return percent rows of patients P1.. at W0 and W10; None leaves the visit out."""
    rows = []
    for i, pair in enumerate(zip(before, after, strict=True), start=1):
        for visit, n in zip(("W0", "W10"), pair, strict=True):
            if n is not None:
                rows.append({"patient_id": f"P{i}", "visit": visit, "n_events": n, "n_parent": parents})
    frame = pd.DataFrame(rows).assign(endpoint=endpoint, unit="%", cohort="")
    frame["sample_id"] = frame["patient_id"] + frame["visit"]
    frame["value"] = 100 * frame["n_events"] / frame["n_parent"]
    return frame.assign(**columns)


def values(before, after, *, unit, endpoint="x") -> pd.DataFrame:
    frame = pd.concat(
        [
            pd.DataFrame({"patient_id": [f"P{i}" for i in range(len(v))], "visit": visit, "value": v})
            for visit, v in (("W0", before), ("W10", after))
        ]
    )
    frame["sample_id"] = frame["patient_id"] + frame["visit"]
    return frame.assign(endpoint=endpoint, unit=unit, cohort="").reset_index(drop=True)


def codes(found: Comparison) -> set[str]:
    return {finding.code for finding in found.warnings}


BEFORE, AFTER = [400, 520, 610, 480, 300, 700, 390, 450], [600, 700, 650, 800, 410, 900, 600, 500]


def test_tables_are_the_declared_ones():
    found = compare_endpoints(ENDPOINTS.check(counts(BEFORE, AFTER).assign(population="Treg")), PLAN)
    assert list(found.pairs.columns[: len(PAIRS.names)]) == PAIRS.names
    assert list(found.shifts.columns[: len(SHIFTS.names)]) == SHIFTS.names
    assert found.shifts["contrast"].tolist() == ["W10 - W0"]
    assert len(found.pairs) == 8


@pytest.mark.parametrize(
    ("unit", "scale", "expected"),
    [
        ("%", "logit", lambda a, b: np.log(b / (100 - b)) - np.log(a / (100 - a))),
        ("ratio", "log", lambda a, b: np.log(b / a)),
        ("cells/uL", "log", lambda a, b: np.log(b / a)),
        ("pg/mL", "log", lambda a, b: np.log(b / a)),
        ("% of CD4", "logit", lambda a, b: np.log(b / (100 - b)) - np.log(a / (100 - a))),
        ("mm/h", "log", lambda a, b: np.log(b / a)),
        ("points", "identity", lambda a, b: b - a),
        ("% predicted", "identity", lambda a, b: b - a),
        ("mg/day", "identity", lambda a, b: b - a),
        ("min", "identity", lambda a, b: b - a),
        ("points/month", "identity", lambda a, b: b - a),
    ],
)
def test_unit_chooses_the_scale(unit, scale, expected):
    before, after = np.array([4.0, 6, 9, 12]), np.array([6.0, 7, 14, 13])
    found = compare_endpoints(values(before, after, unit=unit), PLAN)
    assert found.pairs["shift_scale"].unique().tolist() == [scale]
    assert found.pairs["shift"].to_numpy() == pytest.approx(expected(before, after))
    assert found.pairs["fold"].notna().all() == (scale in ("logit", "log"))


def test_plan_overrides_the_scale():
    found = compare_endpoints(counts(BEFORE, AFTER), Plan("W0", "W10", scales={"treg": "arcsine"}, test="t"))
    roots = [np.arcsin(np.sqrt(np.array(n) / 1e4)) for n in (BEFORE, AFTER)]
    assert found.pairs["shift"].to_numpy() == pytest.approx(roots[1] - roots[0])
    assert found.shifts["estimate_scale"].tolist() == ["arcsine"]


def test_ratio_counts_are_numerator_and_denominator():
    rows = counts([10, 20, 30, 5], [20, 30, 50, 0], parents=40).assign(unit="ratio")
    rows["value"] = (rows["n_events"] + 0.5) / (rows["n_parent"] + 0.5)
    found = compare_endpoints(rows, PLAN)
    assert found.pairs["shift"].iloc[3] == pytest.approx(np.log(0.5 / 5.5))


def test_a_percentage_on_the_border_without_a_limit_has_no_change():
    found = compare_endpoints(values([0.0, 2, 4, 8], [1.0, 3, 5, 9], unit="%"), PLAN)
    assert found.pairs["shift"].isna().tolist() == [True, False, False, False]
    assert found.pairs["verdict"].iloc[0] == "not_evaluable"
    assert "W_ZERO_VALUE" in codes(found)


def test_an_odds_ratio_is_called_one_and_the_ratio_of_medians_is_beside_it():
    found = compare_endpoints(counts([6000, 6000, 6000], [7500, 7500, 7400]), PLAN)
    row = found.shifts.iloc[0]
    assert row["fold_is"] == "odds ratio"
    assert row["fold"] == pytest.approx(1.98, abs=0.03)
    assert row["ratio_of_medians"] == pytest.approx(75 / 60)
    assert found.pairs["ratio"].tolist() == pytest.approx([1.25, 1.25, 74 / 60])
    assert "odds ratio 1.9" in found.summary()
    assert "fold" not in found.summary()
    amount = compare_endpoints(values([1.0, 2, 4], [2.0, 4, 9], unit="pg/mL"), PLAN).shifts.iloc[0]
    assert (amount["fold_is"], amount["ratio_of_medians"]) == ("ratio", 2.0)
    points = compare_endpoints(values([1.0, 2, 4], [-2.0, -4, -9], unit="points"), PLAN).shifts.iloc[0]
    assert pd.isna(points["fold_is"])
    assert pd.isna(points["ratio_of_medians"])


def test_families_are_adjusted_by_role():
    rows = pd.concat([counts(BEFORE, np.array(AFTER) + 40 * k, endpoint=f"e{k}") for k in range(5)])
    roles = {"e0": "primary", "e1": "secondary", "e2": "secondary"}
    found = compare_endpoints(rows, Plan("W0", "W10", roles=roles)).shifts.set_index("endpoint")
    assert found.loc["e0", "q_value"] == found.loc["e0", "p_value"]
    p = found["p_value"]
    assert found.loc["e1", "q_value"] == pytest.approx(max(p["e1"], 2 * p["e2"]))
    assert found.loc["e3", "q_value"] == pytest.approx(max(p["e3"], p["e4"]))
    assert found["adjustment"].unique().tolist() == [
        "none (one primary)",
        "Holm over 2 secondary endpoints",
        "Benjamini-Hochberg over 2 exploratory endpoints",
    ]


def test_fixed_sequence_stops_at_the_first_failure():
    flat = [400, 400, 410, 390, 400, 401, 399, 402]
    rows = pd.concat([counts(BEFORE, AFTER, endpoint="a"), counts(flat, flat[::-1], endpoint="b")])
    rows = pd.concat([rows, counts(BEFORE, AFTER, endpoint="c")])
    plan = Plan("W0", "W10", roles=dict.fromkeys("abc", "secondary"), secondary="fixed_sequence")
    found = compare_endpoints(rows, plan).shifts.set_index("endpoint")
    assert found.loc["a", "q_value"] < 0.05 < found.loc["b", "q_value"] == found.loc["c", "q_value"]


def test_max_t_takes_patients_whole():
    rows = pd.concat([counts(BEFORE, AFTER, endpoint=name) for name in ("a", "b")])
    plan = Plan("W0", "W10", roles=dict.fromkeys("ab", "secondary"), secondary="max_t")
    found = compare_endpoints(rows, plan).shifts
    assert found["q_value"].tolist() == [2 / 2**8] * 2  # the same endpoint twice costs nothing


def test_ten_exploratory_endpoints_are_moderated_and_keep_the_plain_p():
    rng = np.random.default_rng(3)
    rows = pd.concat([counts(BEFORE, rng.binomial(10_000, 0.06, 8), endpoint=f"e{k}") for k in range(10)])
    found = compare_endpoints(rows, Plan("W0", "W10")).shifts
    plain = compare_endpoints(rows, PLAN).shifts
    assert found["method"].str.startswith("count-aware moderated t over 10 endpoints").all()
    assert found["plain_p_value"].to_numpy() == pytest.approx(plain["p_value"].to_numpy())
    assert (found["df"] > 7).all()


def test_nine_are_not_moderated():
    rows = pd.concat([counts(BEFORE, AFTER, endpoint=f"e{k}") for k in range(9)])
    found = compare_endpoints(rows, Plan("W0", "W10"))
    assert found.shifts["method"].str.startswith("paired t").all()
    assert "W_K_SMALL" in codes(found)


def test_each_cohort_by_itself():
    rows = counts(BEFORE, AFTER)
    rows["cohort"] = np.where(rows["patient_id"] < "P5", "SLE", "NA")
    found = compare_endpoints(rows, PLAN)
    assert found.shifts["cohort"].tolist() == ["SLE", "NA"]
    assert found.shifts["n_pairs"].tolist() == [4, 4]


# --- guards ----------------------------------------------------------------------------------------


def _refused(rows: pd.DataFrame, plan: Plan = PLAN) -> str:
    with pytest.raises(InputError) as caught:
        compare_endpoints(rows, plan)
    return str(caught.value)


def test_two_samples_of_a_visit_are_refused_with_their_rows():
    rows = counts(BEFORE, AFTER)
    rows = pd.concat([rows, rows.iloc[[3]]], ignore_index=True)
    assert "rows 3, 16  two samples of one patient, visit and endpoint (E_DUP_VISIT)" in _refused(rows)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("value", np.inf, "row 2  infinite value or count (E_NONFINITE)"),
        ("n_events", -1, "row 2  negative count (E_NEG)"),
        ("n_events", 10.5, "row 2  count is not a whole number (E_NONINT)"),
        ("n_events", 10_001, "row 2  more events than their parent has (E_GT_PARENT)"),
    ],
)
def test_impossible_numbers_are_refused(column, value, message):
    rows = counts(BEFORE, AFTER).astype({column: float})
    rows.loc[2, column] = value
    assert message in _refused(rows)


def test_all_faults_come_at_once():
    rows = counts(BEFORE, AFTER).astype({"n_events": float})
    rows.loc[0, "n_events"] = -1
    rows.loc[5, "n_events"] = 2.5
    rows.loc[4, "cohort"] = "other"
    text = _refused(rows)
    assert "E_NEG" in text
    assert "E_NONINT" in text
    assert "patient P3 is in two cohorts: '', 'other' (E_TWO_ARMS)" in text


def test_percent_outside_and_negative_on_a_log_scale():
    assert "E_PERCENT" in _refused(values([101.0, 2, 3], [1.0, 2, 3], unit="%"))
    plan = Plan("W0", "W10", scales={"x": "log"})
    text = _refused(values([-1.0, 2, 3], [1.0, 2, 3], unit="pg/mL"), plan)
    assert "row 0  a negative value on the log scale in 'x' (E_NEG)" in text


@pytest.mark.parametrize("unit", ["", "as given", "apples"])
def test_a_unit_that_says_no_scale_gives_differences_and_is_said(unit):
    found = compare_endpoints(values([8.0, 14, 20, 6], [4.0, 8, 12, 2], unit=unit), PLAN)
    assert found.shifts["estimate"].tolist() == [-5.5]
    assert found.pairs["fold"].isna().all()
    assert codes(found) >= {"W_UNIT"}
    assert "W_UNIT" in found.shifts["warnings"].iloc[0]


def test_a_percentage_of_a_predicted_value_may_be_above_100_whatever_its_unit():
    fvc = values([104.0, 80, 92, 71], [99.0, 78, 85, 70], unit="%", endpoint="fvc").assign(population="FVC")
    found = compare_endpoints(fvc, PLAN)
    assert found.pairs["shift_scale"].unique().tolist() == ["identity"]
    assert found.shifts["estimate"].tolist() == [-3.75]


def test_a_bad_endpoint_takes_no_other_with_it():
    primary, other = counts(BEFORE, AFTER), values([3.0, 4, 5, 9], [2.0, 6, 4, 7], unit="mg/L", endpoint="crp")
    off_scale = values([101.0, 2, 3, 4], [1.0, 2, 3, 5], unit="%", endpoint="share")
    twice = values([1.0, 2, 3, 4], [1.0, 2, 3, 5], unit="points", endpoint="score")
    rows = pd.concat([off_scale, primary, twice, twice.iloc[:1], other], ignore_index=True)
    found = compare_endpoints(rows, PLAN)
    alone = compare_endpoints(pd.concat([primary, other], ignore_index=True), PLAN)
    pd.testing.assert_frame_equal(found.pairs, alone.pairs)
    numbers = ["endpoint", "estimate", "ci_low", "ci_high", "p_value", "q_value"]
    pd.testing.assert_frame_equal(found.shifts[numbers], alone.shifts[numbers])
    left = {f.endpoint: f.message for f in found.warnings if f.code == "E_ENDPOINT"}
    assert set(left) == {"share", "score"}
    assert "row 0: a percentage outside 0..100" in left["share"]
    assert "E_DUP_VISIT" in left["score"]


def test_unknown_visit_lists_those_there():
    with pytest.raises(ComparisonError) as caught:
        compare_endpoints(counts(BEFORE, AFTER), Plan("W0", "W12"))
    assert str(caught.value) == "no sample has visit 'W12'\n    hint: visits there: W0, W10"


@pytest.mark.parametrize("pairs", [0, 1, 2])
def test_fewer_than_three_pairs_are_described_only(pairs):
    rows = counts(BEFORE[: pairs + 1], [*AFTER[:pairs], None])
    rows = pd.concat([rows, counts([None], [500]).assign(patient_id="P9")], ignore_index=True)
    found = compare_endpoints(rows, PLAN)
    row = found.shifts.iloc[0]
    assert (row["n_pairs"], row["method"]) == (pairs, "not tested")
    assert pd.isna(row["p_value"])
    assert "E_N_MIN" in row["warnings"]


def test_small_numbers_warn_of_the_smallest_p():
    found = compare_endpoints(counts(BEFORE[:4], AFTER[:4]), PLAN)
    assert "W_N_SMALL" in codes(found)
    assert [smallest_p(n) for n in (5, 8, 13)] == [0.0625, 0.0078125, 0.000244140625]


def test_all_zero_is_not_estimable_and_leaves_the_family():
    rows = pd.concat([counts([0] * 8, [0] * 8, endpoint="none"), counts(BEFORE, AFTER, endpoint="some")])
    found = compare_endpoints(rows, PLAN).shifts.set_index("endpoint")
    assert pd.isna(found.loc["none", "p_value"])
    assert found.loc["none", "warnings"] == "W_ALL_ZERO"
    assert found.loc["some", "q_value"] == found.loc["some", "p_value"]


def test_identical_shifts_have_no_p_but_a_signed_rank():
    found = compare_endpoints(values([1.0] * 6, [2.0] * 6, unit="points"), PLAN)
    row = found.shifts.iloc[0]
    assert pd.isna(row["p_value"])
    assert pd.isna(row["ci_low"])
    assert row["sensitivity_p_value"] == 2 / 2**6
    assert "W_IDENTICAL" in row["warnings"]
    same = compare_endpoints(values([1.0] * 6, [1.0] * 6, unit="points"), PLAN).shifts.iloc[0]
    assert pd.isna(same["sensitivity_p_value"])


def test_unpaired_patients_are_named_and_listed_in_the_pairs():
    found = compare_endpoints(counts([*BEFORE, 400, None], [*AFTER, None, 300]), PLAN)
    assert "lacking one of the visits, left out: P9, P10" in str(found.warnings)
    lone = found.pairs.set_index("patient_id").loc[["P9", "P10"]]
    assert lone["verdict"].tolist() == ["not_evaluable"] * 2
    assert lone["reason"].tolist() == ["no value at W10", "no value at W0"]
    assert "W_MISSING_20" not in codes(found)
    more = compare_endpoints(counts([*BEFORE[:6], 400, None], [*AFTER[:6], None, 300]), PLAN)
    assert "W_MISSING_20" in codes(more)


def test_empty_parent_is_left_out():
    rows = counts(BEFORE, AFTER)
    rows.loc[0, ["n_events", "n_parent", "value"]] = [0, 0, np.nan]
    found = compare_endpoints(rows, PLAN)
    assert "W_PARENT0" in codes(found)
    assert found.shifts["n_pairs"].tolist() == [7]


def test_few_events_and_unequal_acquisition():
    rows = counts([1, 2, 3, 1, 2], [3, 2, 5, 4, 1], parents=1000)
    assert "W_LOW_EVENTS" in codes(compare_endpoints(rows, PLAN))
    rows = counts(BEFORE, AFTER)
    rows.loc[0, "n_parent"] = 2_000_000
    assert "W_N_IMBALANCE" in codes(compare_endpoints(rows, Plan("W0", "W10", test="count_weighted")))
    assert "W_N_IMBALANCE" not in codes(compare_endpoints(rows, PLAN))


def test_count_methods_without_counts_fall_back_and_say_so():
    rows = values([4.0, 6, 9, 12], [6.0, 7, 14, 13], unit="%")
    for test in ("count_weighted", "binomial_mixed"):
        found = compare_endpoints(rows, Plan("W0", "W10", test=test))
        assert found.shifts["method"].tolist() == ["paired t, logit"]
        assert "W_NO_COUNTS" in codes(found)


def test_zero_and_tied_shifts_are_reported():
    found = compare_endpoints(values([1.0, 2, 3, 4, 5, 6], [1.0, 3, 4, 5, 7, 5], unit="points"), PLAN)
    assert {"W_ZERO_DIFF", "W_TIES"} <= codes(found)
    assert found.shifts["n_zero_shifts"].tolist() == [1]


def test_every_code_is_raised_somewhere():
    """No code is declared for nothing; that none is raised undeclared is in the type."""
    folder = Path(inspect.getfile(immunolab.comparison)).parent
    text = "".join(file.read_text() for file in folder.glob("*.py"))
    assert set(re.findall(r"\b([EW]_[A-Z0-9_]{3,})\b", text)) == set(Code)


# --- batches, covariates, composition --------------------------------------------------------------


def test_batch_that_coincides_with_visit_is_refused_and_the_plain_shift_stamped():
    rows = counts(BEFORE, AFTER)
    rows["batch"] = rows["visit"].map({"W0": "A", "W10": "B"})
    found = compare_endpoints(rows, PLAN)
    row = found.shifts.iloc[0]
    assert "E_BATCH_ALIASED" in row["warnings"]
    assert "batch_confounded" in str(found.warnings)
    assert row["estimate"] == compare_endpoints(rows.drop(columns="batch"), PLAN).shifts["estimate"].iloc[0]


def test_estimable_batches_are_adjusted_for():
    """A batch effect laid on noiseless shifts is taken out exactly; the plain mean stays beside it."""
    batch_after = np.array([0, 0, 0, 1, 1, 0, 1, 0])
    wiggle = np.array([0.01, -0.01, 0.02, 0.0, -0.02, 0.01, 0.02, -0.03])
    before = np.zeros(8)
    after = 1.0 + 0.7 * batch_after + wiggle
    rows = values(before, after, unit="points")
    rows["batch"] = np.concatenate([np.zeros(8), batch_after]).astype(int).astype(str)
    row = compare_endpoints(rows, PLAN).shifts.iloc[0]
    assert row["estimate"] == pytest.approx(1.0 + wiggle[batch_after == 0].mean())
    assert row["unadjusted_estimate"] == pytest.approx(after.mean())
    assert row["method"] == "paired t adjusted for batch, identity"


def test_batches_by_sample_and_a_nearly_confounded_layout():
    rows = counts([*BEFORE, 500, 600], [*AFTER, 800, 700])
    batch = {s: "A" if s.endswith("W0") or s.startswith("P1W") else "B" for s in rows["sample_id"]}
    found = compare_endpoints(rows, Plan("W0", "W10", test="t", batch=batch))
    assert "W_BATCH_CONF" in codes(found)
    batch.pop("P2W0")
    assert "W_BATCH_UNKNOWN" in codes(compare_endpoints(rows, Plan("W0", "W10", test="t", batch=batch)))


def test_covariates_enter_by_their_change():
    steroid = np.array([0.0, 5, 10, -5, 0, 2, -3, 7])
    rows = values(np.zeros(8), 0.5 + 0.1 * steroid + np.array([1, -1, 1, -1, 1, -1, 1, -1]) * 0.01, unit="points")
    rows["prednisone"] = np.concatenate([np.full(8, 10.0), 10 + steroid])
    found = compare_endpoints(rows, Plan("W0", "W10", test="t", covariates=("prednisone",))).shifts.iloc[0]
    assert found["estimate"] == pytest.approx(0.5, abs=0.02)
    rows["prednisone"] = np.concatenate([np.full(8, 10.0), np.full(8, 5.0)])
    found = compare_endpoints(rows, Plan("W0", "W10", test="t", covariates=("prednisone",)))
    assert "W_COVARIATE" in codes(found)


def test_days_since_dose_that_no_baseline_has_are_centred():
    """The shift is that at the mean number of days; the mixed model agrees."""
    days = np.array([2.0, 4, 6, 8, 2, 4, 6, 8])
    rows = values(np.zeros(8), 1.0 - 0.1 * days + np.array([1, -1, -1, 1, -1, 1, 1, -1]) * 0.02, unit="points")
    rows["days_since_last_dose"] = np.concatenate([np.full(8, np.nan), days])
    plan = Plan("W0", "W10", test="t", covariates=("days_since_last_dose",))
    found = compare_endpoints(rows, plan).shifts.iloc[0]
    assert found["method"] == "paired t adjusted for covariates, identity"
    assert found["estimate"] == pytest.approx(0.5, abs=1e-9)
    assert found["p_value"] < found["unadjusted_p_value"]
    several = _visits(12, 4, 0.5)
    day = several["visit"].map({"w2": 2.0, "w4": 9.0, "w8": 16.0})
    several["value"] -= 0.05 * day.fillna(0)
    options = {"test": "mixed", "covariates": ("days",)}
    mixed = compare_endpoints(several.assign(days=day), Plan("baseline", "on_treatment", **options)).shifts.iloc[0]
    assert mixed["method"].startswith("REML")
    assert "adjusted for covariates" in mixed["method"]
    plain = compare_endpoints(several, Plan("baseline", "on_treatment", test="mixed")).shifts.iloc[0]
    assert mixed["estimate"] == pytest.approx(plain["estimate"], rel=1e-3)


def test_absolute_counts_carry_their_counting_error():
    rows = counts(BEFORE, AFTER).assign(unit="cells/uL", endpoint="abs")
    rows["value"] = 1500 * rows["n_events"] / rows["n_parent"]
    plan = Plan("W0", "W10", test="t", noise=Noise(0.05, 1000), within_person=Noise(0.0, np.inf))
    found = compare_endpoints(rows, plan).pairs
    p = (np.array(BEFORE) + AFTER + 1) / 20_002
    expected = np.sqrt((1 - p) / p * 2e-4 + 2 * 0.05**2)
    assert (found["ci_high"] - found["ci_low"]).to_numpy() / 2 / 1.96 == pytest.approx(expected, rel=5e-3)


def test_a_large_sibling_that_moves_is_named_and_the_log_ratios_stay_flat():
    rng = np.random.default_rng(5)
    big_before, big_after = rng.normal(3000, 60, 10).astype(int), rng.normal(5000, 60, 10).astype(int)
    frames = [counts(big_before, big_after, endpoint="naive", parent="CD4")]
    for k, share in enumerate((800, 500, 300, 200)):
        shrink = (10_000 - big_after) / (10_000 - big_before)
        frames.append(counts(rng.poisson(share, 10), rng.poisson(share * shrink), endpoint=f"small{k}", parent="CD4"))
    found = compare_endpoints(pd.concat(frames), PLAN)
    warned = found.shifts.set_index("endpoint")["warnings"].fillna("")
    assert warned[[f"small{k}" for k in range(4)]].str.contains("W_COMPOSITION").all()
    named = str(next(f for f in found.warnings if f.code == "W_COMPOSITION"))
    assert "naive (5" in named
    assert "odds ratio 2.3" in named
    ratios = found.log_ratios.set_index("endpoint")
    assert (ratios.loc[[f"small{k}" for k in range(4)], "estimate"].abs() < 0.15).all()
    assert ratios.loc["naive", "estimate"] > 0.7
    assert (found.shifts.set_index("endpoint").loc["small0", "estimate"]) < -0.2


def test_a_share_that_rises_while_the_count_does_not_is_said():
    share = counts(BEFORE, AFTER, population="Treg")
    cells = values(
        [50.0, 60, 40, 55, 45, 70, 52, 48], [48.0, 63, 39, 57, 44, 69, 55, 46], unit="cells/uL", endpoint="abs"
    )
    found = compare_endpoints(pd.concat([share, cells.assign(population="Treg")]), PLAN)
    assert [f.endpoint for f in found.warnings if f.code == "W_ABSOLUTE_FLAT"] == ["treg"]


def _batched(effect: float) -> pd.DataFrame:
    """Return twelve patients, five of whom change batch with the visit, one back; the batch moves the value."""
    late = np.array([[0, 1]] * 5 + [[0, 0]] * 3 + [[1, 1]] * 3 + [[1, 0]])
    rng = np.random.default_rng(9)
    level = rng.normal(0, 0.5, (12, 1)) + rng.normal(0, 0.1, (12, 2)) + effect * late
    rows = values(level[:, 0], level[:, 1], unit="points")
    return rows.assign(batch=np.where(np.concatenate([late[:, 0], late[:, 1]]) > 0, "B2", "B1"))


@pytest.mark.parametrize("test", ["auto", "t", "wilcoxon", "signflip", "count_weighted", "binomial_mixed", "mixed"])
def test_no_method_lets_a_batch_pass_for_a_change(test):
    small, large = (
        compare_endpoints(_batched(effect), Plan("W0", "W10", test=test)).shifts.iloc[0] for effect in (0, 5)
    )
    assert "adjusted for batch" in large["method"]
    assert "adjusted for batch" in large["sensitivity_method"]
    for name in ("estimate", "p_value", "sensitivity_p_value"):
        assert large[name] == pytest.approx(small[name], abs=1e-9)  # whatever a batch adds to its samples is taken off


@pytest.mark.parametrize("test", ["auto", "t", "wilcoxon", "signflip", "count_weighted", "binomial_mixed", "mixed"])
def test_every_method_says_that_batch_coincides_with_visit(test):
    rows = values([1.0, 2, 3, 4, 5, 6], [2.0, 2, 4, 6, 5, 8], unit="points")
    rows["batch"] = rows["visit"].map({"W0": "B1", "W10": "B2"})
    found = compare_endpoints(rows, Plan("W0", "W10", test=test))
    assert "E_BATCH_ALIASED" in found.shifts["warnings"].iloc[0]
    assert (found.pairs["verdict"] == "not_evaluable").all()


def test_more_batches_than_pairs_can_carry_are_said():
    rows = values([1.0, 2, 3, 4], [2.0, 2, 4, 6], unit="points")
    batch = {"P0": "AB", "P1": "BC", "P2": "CD", "P3": "AA"}
    rows["batch"] = [batch[p][0 if v == "W0" else 1] for p, v in zip(rows["patient_id"], rows["visit"], strict=True)]
    found = compare_endpoints(rows, PLAN)
    assert "E_BATCH_DF" in found.shifts["warnings"].iloc[0]
    assert "4 pairs, 3 to adjust for: no degree of freedom is left" in str(found.warnings)


def test_the_adjusted_sign_flip_without_anything_to_adjust_is_the_sign_flip():
    d = np.array([0.3, -0.1, 0.5, 0.2, 0.4, -0.2, 0.6, 0.1])
    plain, adjusted = sign_flip(d), adjusted_sign_flip(d, np.zeros((8, 0)), "nothing")
    assert adjusted.p_value == plain.p_value
    assert (adjusted.estimate, adjusted.ci_low, adjusted.ci_high) == pytest.approx(
        (plain.estimate, plain.ci_low, plain.ci_high), abs=1e-6
    )


def test_a_call_takes_off_what_batch_does_to_the_others():
    noise = Noise(0.1, np.inf)
    still = compare_endpoints(_batched(0.0), Plan("W0", "W10", test="t", noise=noise)).pairs
    moved = compare_endpoints(_batched(5.0), Plan("W0", "W10", test="t", noise=noise)).pairs
    assert moved["verdict"].tolist() == still["verdict"].tolist()
    assert moved["batch_effect"].notna().tolist() == [True] * 5 + [False] * 6 + [True]
    assert moved["batch_effect"].iloc[:5].to_numpy() == pytest.approx(5.0, abs=0.3)
    across = Noise(0.1, np.inf, across_batches=True)
    kept = compare_endpoints(_batched(5.0), Plan("W0", "W10", test="t", noise=across)).pairs
    assert kept["batch_effect"].isna().all()
    assert (kept["verdict"].iloc[:5] == "rise").all()


# --- one patient -----------------------------------------------------------------------------------


def test_without_noise_or_counts_there_is_no_verdict():
    found = compare_endpoints(values([4.0, 6, 9, 12], [6.0, 7, 14, 13], unit="%"), PLAN).pairs
    assert (found["verdict"] == "not_evaluable").all()
    assert (found["reason"] == "no replicates or repeat baselines").all()
    assert found["ci_low"].isna().all()


def test_nothing_measured_takes_the_published_value_of_the_subset_and_says_so():
    rows = counts([500, 500, 500], [520, 2000, 60], population="Treg")
    found = compare_endpoints(rows, PLAN)
    assert found.pairs["verdict"].tolist() == ["within_noise", "rise", "fall"]
    noise = found.noise.set_index("part")
    assert noise.loc["person", "s_w"] == pytest.approx(np.sqrt(np.log1p(0.141**2)))
    assert noise.loc["assay", "s_w"] == pytest.approx(np.sqrt(np.log1p(0.133**2)))
    assert noise["assumed"].tolist() == ["yes", "yes"]
    assert noise.loc["person", "source"].startswith("published: intraclass correlation 0.86")
    assert found.pairs["reason"].str.contains("person CV 14.1 % (published)", regex=False).all()
    other = compare_endpoints(rows.assign(population="Th17"), PLAN)
    assert "person CV 15 % (assumed)" in other.pairs["reason"].iloc[0]
    assert re.search(r"holds up to a within-person CV of \d+ %$", other.pairs["reason"].iloc[1])


def test_two_degrees_of_freedom_are_refused_three_are_not():
    for df, verdict in ((2, False), (3, True)):
        plan = Plan("W0", "W10", test="t", noise=Noise(0.1, df))
        found = compare_endpoints(counts(BEFORE, AFTER), plan).pairs
        assert (found["verdict"] != "not_evaluable").all() == verdict
    assert found["reason"].str.contains("noise: assay 0.1 (declared), person CV 15 % (assumed)", regex=False).all()


def test_the_limit_is_the_published_reference_change_value():
    """CVa 10 %, CVi 15 %: a rise beyond 1.64-fold, a fall beyond 0.61 (log-normal formula, worked by hand)."""
    rows = values([50.0, 60, 40, 55], [48.0, 63, 39, 57], unit="cells/uL").assign(n_events=10**9, n_parent=10**9 + 1)
    plan = Plan(
        "W0",
        "W10",
        noise=Noise(np.sqrt(np.log1p(0.10**2)), np.inf, relative=True),
        within_person=Noise(np.sqrt(np.log1p(0.15**2)), np.inf, relative=True, person=True),
    )
    found = compare_endpoints(rows, plan).pairs
    assert np.exp(found["limit"]).round(2).tolist() == [1.64] * 4
    assert np.exp(-found["limit"]).round(2).tolist() == [0.61] * 4
    assert found["called_above"].to_numpy() == pytest.approx((found["before"] * np.exp(found["limit"])).to_numpy())
    assert found["reason"].iloc[0].startswith("a change would have been called below 30.4 or above 82.2 cells/uL")


def test_a_declared_cv_weighs_more_on_the_logit_where_the_share_is_large():
    rows = counts([6_000_000, 500_000], [6_000_000, 500_000], parents=10_000_000)
    plan = Plan("W0", "W10", noise=Noise(0.10, np.inf, relative=True), within_person=Noise(0.0, np.inf))
    found = compare_endpoints(rows, plan).pairs
    expected = 1.96 * np.sqrt(2) * 0.10 / (1 - np.array([0.6, 0.05]))
    assert found["limit"].to_numpy() == pytest.approx(expected, rel=5e-3)


def test_a_call_does_not_depend_on_other_patients():
    plan = Plan("W0", "W10", test="t", noise=Noise(0.1, 40))
    alone = compare_endpoints(counts([500, 500, 500], [900, 510, 490]), plan).pairs
    among = compare_endpoints(counts([500] * 30, [900, *[500 + i for i in range(29)]]), plan).pairs
    columns = ["shift", "ci_low", "ci_high", "p_value", "verdict", "limit"]
    pd.testing.assert_series_equal(alone.loc[0, columns], among.loc[0, columns])
    assert alone.loc[0, "verdict"] == "rise"
    assert among.loc[0, "q_value"] > 0.05


def test_a_visit_on_treatment_is_no_repeat_of_a_baseline():
    """W10 to W24 of twelve patients whose subset falls to a third: W0 and W10 differ by the drug, not by noise."""
    rng = np.random.default_rng(3)
    events = np.exp(rng.normal(0, 0.1, (12, 3)) + np.log([200, 600, 200])).astype(int)
    later = counts(events[:, 2], [None] * 12).assign(visit="W24")
    rows = pd.concat([counts(events[:, 0], events[:, 1]), later], ignore_index=True)
    rows["phase"] = rows["visit"].map({"W0": "baseline", "W10": "on_treatment", "W24": "follow_up"})
    found = compare_endpoints(rows, Plan("W10", "W24", test="t"))
    assert (found.pairs["verdict"] == "fall").sum() >= 11
    assert found.noise["assumed"].tolist() == ["yes", "yes"]


def test_a_bridging_control_gives_the_noise_and_is_no_patient():
    again = np.exp(np.random.default_rng(4).normal(np.log(500), 0.1, 12)).astype(int)
    bridge = pd.DataFrame({"patient_id": "BR", "visit": [f"day{i}" for i in range(12)], "n_events": again})
    bridge = bridge.assign(n_parent=10_000, endpoint="treg", unit="%", cohort="", value=again / 100)
    rows = pd.concat([counts(BEFORE, AFTER), bridge.assign(sample_id=bridge["visit"])], ignore_index=True)
    found = compare_endpoints(rows, Plan("W0", "W10", test="t", bridges=("BR",)))
    assert "BR" not in set(found.pairs["patient_id"])
    assert found.noise["source"].tolist()[0] == "replicates (1 sets, 11 df)"
    logit = np.log((again + 0.5) / (10_000 - again + 0.5))
    counting = np.mean(1 / (again + 0.5) + 1 / (10_000 - again + 0.5))
    assert found.noise["s_w"].iloc[0] == pytest.approx(np.sqrt(logit.var(ddof=1) - counting))
    pd.testing.assert_frame_equal(found.shifts, compare_endpoints(counts(BEFORE, AFTER), PLAN).shifts)


def test_pooled_changes_lie_between_the_patient_and_the_cohort():
    found = compare_endpoints(counts(BEFORE, AFTER), Plan("W0", "W10", test="t", noise=Noise(0.2, 40))).pairs
    apart = found["shift"] - found["shift"].mean()
    kept = found["pooled_shift"] - found["shift"].mean()
    far = apart.abs() > 0.1
    assert (kept[far].abs() < apart[far].abs()).all()
    assert ((found["pooled_high"] - found["pooled_low"]) < (found["ci_high"] - found["ci_low"])).all()


def test_declared_noise_decides_rise_fall_and_within():
    plan = Plan("W0", "W10", test="t", noise={"treg": Noise(0.1, 40, "bridging control")})
    found = compare_endpoints(counts([500, 500, 500], [520, 2000, 60]), plan).pairs
    assert found["verdict"].tolist() == ["within_noise", "rise", "fall"]


def test_repeat_baselines_give_noise_and_narrow_the_interval():
    rng = np.random.default_rng(7)
    rows = counts(BEFORE, AFTER)
    again = rows[rows["visit"] == "W0"].assign(visit="W-2")
    again["n_events"] = (again["n_events"] * np.exp(rng.normal(0, 0.1, 8))).astype(int)
    again["value"] = again["n_events"] / 100
    rows = pd.concat([rows, again], ignore_index=True)
    rows["phase"] = rows["visit"].map({"W0": "baseline", "W-2": "baseline", "W10": "on_treatment"})
    one = compare_endpoints(rows, PLAN)
    both = compare_endpoints(rows, Plan("baseline", "on_treatment", test="t"))
    assert one.noise["source"].tolist() == ["repeat baselines (8 sets, 8 df)"]
    width = [(found.pairs["ci_high"] - found.pairs["ci_low"]).mean() for found in (one, both)]
    assert width[1] < width[0]
    assert both.pairs["visit_before"].tolist() == ["W0+W-2"] * 8
    assert both.shifts["method"].tolist() == ["t on each patient's mean shift, logit (+0.5)"]


def _with_gates(rows: pd.DataFrame, sd: float) -> pd.DataFrame:
    """Return rows whose value the place of the gates moves by ``sd`` on the logit."""
    logit = np.log(rows["value"] / (100 - rows["value"]))
    limits = {
        name: 100 / (1 + np.exp(-(logit + sign * 1.96 * sd))) for name, sign in (("gate_low", -1), ("gate_high", 1))
    }
    return rows.assign(**limits)


def test_gates_of_their_own_widen_the_limit_and_shared_ones_do_not():
    rows = _with_gates(counts(BEFORE, AFTER), 0.3)
    noise = Noise(0.1, 40, gates=False)
    limit = {
        scope: compare_endpoints(rows.assign(gate_scope=scope), Plan("W0", "W10", test="t", noise=noise)).pairs["limit"]
        for scope in ("sample", "patient", "study")
    }
    plain = compare_endpoints(counts(BEFORE, AFTER), Plan("W0", "W10", test="t", noise=noise)).pairs["limit"]
    assert (limit["sample"] > 1.4 * plain).all()
    assert limit["patient"].to_numpy() == pytest.approx(plain.to_numpy())
    assert limit["study"].to_numpy() == pytest.approx(plain.to_numpy())
    batches = rows.assign(gate_scope="patient", batch=np.where(rows["visit"] == "W0", "B1", "B2"))
    crossed = Noise(0.1, 40, gates=False, across_batches=True)
    apart = compare_endpoints(batches, Plan("W0", "W10", test="t", noise=crossed)).pairs["limit"]
    assert (apart > 1.4 * plain).all()  # borders are a patient's within a batch


def test_gates_within_an_inter_assay_cv_are_not_counted_twice():
    rows = counts(BEFORE, AFTER)
    found = {}
    for within in (True, False):
        plan = Plan("W0", "W10", test="t", noise=Noise(0.2, np.inf, gates=within), within_person=Noise(0.0, np.inf))
        wide = compare_endpoints(_with_gates(rows, 0.15).assign(gate_scope="sample"), plan).pairs["limit"]
        found[within] = (wide / compare_endpoints(rows, plan).pairs["limit"]).to_numpy()
    assert found[True] == pytest.approx(1.0)
    assert (found[False] > 1.15).all()


# --- several visits, arms, power -------------------------------------------------------------------


def _visits(n: int, seed: int, response_sd: float) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for p in range(n):
        level, response = rng.normal(0, 0.5), rng.normal(0.4, response_sd)
        for visit, on in (("b1", 0), ("b2", 0), ("w2", 1), ("w4", 1), ("w8", 1)):
            rows.append({"patient_id": f"P{p}", "visit": visit, "value": level + on * response + rng.normal(0, 0.2)})
    frame = pd.DataFrame(rows).assign(endpoint="x", unit="points", cohort="")
    return frame.assign(phase=np.where(frame["visit"].str.startswith("b"), "baseline", "on_treatment"))


def test_mixed_model_of_balanced_visits_is_the_mean_shift():
    rows = _visits(12, 1, 0.5)
    plans = [Plan("baseline", "on_treatment", test=test) for test in ("mixed", "t")]
    mixed, plain = (compare_endpoints(rows, plan).shifts.iloc[0] for plan in plans)
    assert mixed["method"].startswith("REML mixed model, random intercept and response, Satterthwaite")
    assert mixed["estimate"] == pytest.approx(plain["estimate"], rel=1e-6)
    assert mixed["p_value"] == pytest.approx(plain["p_value"], rel=0.2)


def test_a_singular_fit_says_so_and_falls_back():
    rows = _visits(6, 2, 0.0)
    found = [
        compare_endpoints(rows, Plan("baseline", "on_treatment", test=test)).shifts.iloc[0] for test in ("mixed", "t")
    ]
    assert "W_SLOPE0" in found[0]["warnings"]
    assert found[0]["method"].startswith("t on each patient's mean shift (mixed model: response variance at 0)")
    assert found[0]["p_value"] == found[1]["p_value"]


def test_two_visits_need_no_mixed_model():
    found = compare_endpoints(counts(BEFORE, AFTER), Plan("W0", "W10", test="mixed")).shifts.iloc[0]
    assert found["method"].startswith("paired t (two visits")


def test_averaging_peaks_and_troughs_is_warned_of():
    rows = _visits(6, 3, 0.2)
    rows["cycle_state"] = rows["visit"].map({"w2": "peak", "w4": "trough", "w8": "trough"})
    assert "W_MIXED_STATES" in codes(compare_endpoints(rows, Plan("baseline", "on_treatment")))


def test_cycles_compare_each_peak_with_the_trough_before_it():
    rows = []
    for p in range(5):
        for day, state, level in (
            (1, "pre_dose", 0),
            (15, "peak", 1),
            (29, "trough", 0.1),
            (43, "peak", 1.4 + p / 100),
        ):
            rows.append({"patient_id": p, "study_day": day, "cycle_state": state, "level": level})
    found = cycle_shifts(pd.DataFrame(rows).assign(cohort="", endpoint="x", scale="log")).set_index("measure")
    assert found.loc["peak_over_trough", "estimate"] == pytest.approx((1 + 1.32) / 2)
    assert found.loc["response_trend", "estimate"] == pytest.approx(0.32)
    assert found.loc["trough_trend", "estimate"] == pytest.approx(0.1)


def test_tipping_point_says_how_unlike_the_missing_must_be():
    pairs = compare_endpoints(counts([*BEFORE, 400, 500], [*AFTER, None, None]), PLAN).pairs
    found = tipping_point(pairs).iloc[0]
    assert (found["n_pairs"], found["n_missing"]) == (8, 2)
    d = pairs["shift"].dropna().to_numpy(dtype=float)
    draw, n, m = np.random.default_rng(3), 10, 40_000
    spread = d.std(ddof=1)
    others = d.mean() + spread / np.sqrt(8) * draw.standard_normal((m, 1))  # multiple imputation, Rubin's rules
    filled = others - found["tipping_sd"] * spread + spread * draw.standard_normal((m, 2))
    whole = np.hstack([np.tile(d, (m, 1)), filled])
    within, between = (whole.var(axis=1, ddof=1) / n).mean(), whole.mean(axis=1).var(ddof=1)
    limit = whole.mean() - stats.t.ppf(0.975, 7) * np.sqrt(within + between)
    assert limit == pytest.approx(0, abs=0.03 * spread)
    complete = tipping_point(compare_endpoints(counts(BEFORE, AFTER), PLAN).pairs)
    assert pd.isna(complete["tipping_sd"].iloc[0])


@pytest.mark.parametrize(("n", "rho"), [(5, 0.8), (6, 0.95), (10, 0.95)])
def test_limits_of_a_rank_correlation_hold_the_truth_where_few_patients_are_in_a_perfect_order(n, rho):
    draw = np.random.default_rng(n)
    truth = 6 / np.pi * np.arcsin(rho / 2)  # Spearman's of a bivariate normal
    x, y = draw.standard_normal((2, 400, n))
    found = [spearman(a, b) for a, b in zip(x, rho * x + math.sqrt(1 - rho**2) * y, strict=True)]
    assert np.mean([one.ci_low <= truth <= one.ci_high for one in found]) >= 0.92  # 0.95 less three standard errors
    perfect = spearman(np.arange(n), np.arange(n))
    assert (perfect.ci_low < 0.98, perfect.ci_high) == (True, 1.0)


def test_power_is_the_noncentral_t_and_counts_patients():
    assert paired_power(np.log(1.5), 0.3, 8) == pytest.approx(0.9039793657639026, rel=1e-5)  # statsmodels TTestPower
    assert patients_needed(np.log(1.5), 0.3) == 7
    assert patients_needed(1e-6, 1.0) is None
    assert paired_power(5.0, 0.1, 40) == pytest.approx(1.0)
    table = power_table(compare_endpoints(counts(BEFORE, AFTER), PLAN).pairs)
    assert len(table) == 12
    assert (table["power_low"] <= table["power"]).all()
    assert table.groupby("fold")["power"].apply(lambda p: p.is_monotonic_increasing).all()


def test_two_arms_are_compared_against_the_control():
    rows = counts([*BEFORE, *BEFORE], [*AFTER, *BEFORE[1:], 400])
    rows["cohort"] = np.where(rows["patient_id"].isin([f"P{i}" for i in range(1, 9)]), "IL-2", "placebo")
    found = compare_endpoints(rows, PLAN)
    assert found.arms["contrast"].unique().tolist() == ["IL-2 - placebo"]
    assert found.arms["method"].tolist()[0] == "ANCOVA on the level before, a variance for each arm"
    assert found.arms["estimate"].gt(0).all()
    swapped = differences_table(compare_arms(found.pairs, Arms("IL-2", ("placebo",))))
    assert swapped["estimate"].to_numpy() == pytest.approx(-found.arms["estimate"].to_numpy(), rel=1e-6)


def test_three_responders_are_too_few():
    pairs = compare_endpoints(counts(BEFORE, AFTER), PLAN).pairs
    found = compare_responders(pairs, {f"P{i}": i < 4 for i in range(1, 9)})
    assert found["codes"].tolist() == ["E_N_MIN"]
    assert found["p_value"].isna().all()


def test_correlation_with_clinical_change_below_ten_is_a_permutation():
    pairs = compare_endpoints(counts(BEFORE, AFTER), PLAN).pairs
    shift = pairs.set_index("patient_id")["shift"]
    found = correlate_shifts(pairs, (-shift).to_dict(), pairs.set_index("patient_id")["before"].to_dict()).iloc[0]
    assert found["rho"] == pytest.approx(-1)
    assert found["p_method"] == "exact permutation"
    assert found["p_value"] == pytest.approx(2 / 40320)


def test_signed_rank_interval_needs_six_shifts():
    assert np.isnan(wilcoxon([1.0, 2, 3, 4, 5.5]).ci_low)
    assert wilcoxon([1.0, 2, 3, 4, 5.5, 7]).ci_low == 1.0


def test_a_patient_without_events_at_both_visits_is_not_evaluable() -> None:
    """Nothing counted twice is no evidence of no change."""
    rows = [
        {"sample_id": f"P{i}{v}", "patient_id": f"P{i}", "cohort": "", "visit": v, "endpoint": "x", "population": "x"}
        | {"unit": "%", "n_events": n, "n_parent": 1000, "value": n / 10}
        for i, counts in enumerate([(0, 0), (20, 30), (25, 35), (30, 28)])
        for v, n in zip(("W0", "W10"), counts, strict=True)
    ]
    plan = Plan(before="W0", after="W10", noise=Noise(0.15, 20))
    pairs = compare_endpoints(ENDPOINTS.frame(rows), plan).pairs.set_index("patient_id")
    assert pairs.loc["P0", "verdict"] == "not_evaluable"
    assert pairs.loc["P0", "reason"] == "no event at either visit"
    assert pairs.loc["P1", "verdict"] != "not_evaluable"
