"""`il.compare` on a DataFrame: the result of the command on the same table, shown in a notebook."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from builders import REFERENCE

import immunolab as il
from immunolab.errors import ComparisonError, InputError

TABLE = REFERENCE / "statistics" / "ex1_paired_treg.csv"
VISITS = {"patient": "patient", "visit": "visit", "before": "baseline", "after": "on"}
COUNTS = {"count": "count", "parent_count": "parent_count"}


def test_a_frame_and_its_file_give_the_same_numbers():
    from_file = il.compare(TABLE, **VISITS, **COUNTS)
    from_frame = il.compare(pd.read_csv(TABLE), **VISITS, **COUNTS)
    for name in ("pairs", "shifts", "visits"):
        pd.testing.assert_frame_equal(getattr(from_file, name), getattr(from_frame, name))


def test_the_unit_decides_the_scale_and_a_missing_value_is_a_finding():
    frame = pd.DataFrame({"id": list("aabbccdd"), "visit": ["W0", "W10"] * 4, "treg": [4, 6, 5, 9, np.nan, 8, 3, 4.5]})
    words = {"patient": "id", "visit": "visit", "before": "W0", "after": "W10", "value": "treg"}
    percent, level = il.compare(frame, **words, unit="%"), il.compare(frame, **words, unit="pg/ml")
    assert percent.shifts["method"].tolist() == ["paired t, logit"]
    assert level.shifts["method"].tolist() == ["paired t, log"]
    assert level.shifts["fold"].iloc[0] == pytest.approx((6 / 4 * 9 / 5 * 4.5 / 3) ** (1 / 3))
    assert {"W_MISSING_VALUE", "W_UNPAIRED"} <= {finding.code for finding in percent.warnings}


@pytest.mark.parametrize("by", [["id"], ["visit", "id"]])
def test_visits_without_days_are_in_the_order_of_the_patients_rows_and_of_the_comparison(by):
    table = pd.DataFrame([(p, v) for p in "abcd" for v in ("W0", "W4", "W10", "W24")], columns=["id", "visit"])
    table["treg"] = np.linspace(3.0, 9.0, len(table))
    words = {"patient": "id", "visit": "visit", "before": "W0", "after": "W10", "value": "treg", "unit": "%"}
    found = il.compare(table.sort_values(by, kind="stable"), **words).visits["visit"].tolist()
    assert found == ["W0", "W4", "W10", "W24"] if by == ["id"] else found.index("W0") < found.index("W10")


def test_frames_put_together_are_compared_though_their_index_names_rows_alike():
    parts = [
        pd.DataFrame({"id": list("abcdef"), "visit": visit, "stimulus": stimulus, "n": np.arange(low, low + 6) ** 2})
        for visit, stimulus, low in (("W0", "PMA", 9), ("W0", "none", 3), ("W10", "PMA", 12), ("W10", "none", 3))
    ]
    words = {"patient": "id", "visit": "visit", "before": "W0", "after": "W10", "count": "n", "parent_count": "of"}
    words |= {"stimulation": "stimulus", "unstimulated": "none"}
    table = pd.concat(parts).assign(of=10_000)
    found, expected = (il.compare(one, **words) for one in (table, table.reset_index(drop=True)))
    pd.testing.assert_frame_equal(found.shifts, expected.shifts)
    of_two_words = table.set_index(["id", "visit"], drop=False)
    pd.testing.assert_frame_equal(il.compare(of_two_words, **words).shifts, expected.shifts)
    with pytest.raises(InputError, match="row 24"):
        il.compare(pd.concat([table, table[:1]]), **words)


def test_what_warns_alike_of_several_endpoints_is_said_once():
    """A table of six cytokines without a unit was thirteen lines of warnings, six of them the same."""
    names = ["Treg", "Th17", "Tfh", "Teff", "B", "NK"]
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"id": np.repeat(list("abcdefgh"), 2), "visit": ["W0", "W10"] * 8})
    frame[names] = rng.lognormal(1.0, 0.3, (16, 6)).round(2)
    frame.loc[[1, 3], "NK"] = np.nan
    lines = str(il.compare(frame, patient="id", visit="visit", before="W0", after="W10", value=names)).splitlines()
    alike = [line for line in lines if line.startswith("W_UNIT")]
    assert len(alike) == 1
    assert alike[0].startswith("W_UNIT  Treg, Th17, Tfh, Teff, B and 1 more: unit 'as given'")
    assert "W_MISSING_VALUE  NK: 2 empty cell(s) taken as missing: rows 1, 3" in lines


def test_half_a_count_is_said_only_where_it_is_added():
    methods = {
        test: il.compare(TABLE, **VISITS, **COUNTS, test=test).shifts["method"].iloc[0]
        for test in ("t", "wilcoxon", "count_weighted", "binomial_mixed")
    }
    assert {test: method.endswith("logit (+0.5)") for test, method in methods.items()} == {
        "t": True,
        "wilcoxon": True,
        "count_weighted": True,
        "binomial_mixed": False,
    }
    assert methods["wilcoxon"] == "exact signed rank, Hodges-Lehmann, logit (+0.5)"


def test_a_comparison_shows_n_estimate_interval_and_what_it_is():
    found = il.compare(TABLE, **VISITS, **COUNTS)
    row = found.shifts.iloc[0]
    title, _, line = repr(found).splitlines()
    assert title == "Comparison on - baseline: 1 endpoint(s), 13 patient(s), 13 with both visits"
    assert f"{row['estimate']:.3g}" in line
    assert f"{row['ci_low']:.3g} to {row['ci_high']:.3g}" in line
    html = found._repr_html_()
    for shown in (title, f"{row['estimate']:.3g}", f"{row['ci_low']:.3g} to {row['ci_high']:.3g}", row["method"]):
        assert shown in html
    frame = pd.read_csv(TABLE).assign(arm="<b>IL-2</b>")
    assert "<b>" not in il.compare(frame, **VISITS, **COUNTS, arm="arm")._repr_html_()


def test_tipping_point_and_cycles_come_from_the_comparison():
    frame = pd.read_csv(TABLE)
    lost = frame[~((frame["patient"] == frame["patient"].iloc[-1]) & (frame["visit"] == "on"))]
    found = il.compare(lost, **VISITS, **COUNTS).tipping_point().iloc[0]
    assert (found["n_pairs"], found["n_missing"]) == (12, 1)
    assert found["tipping_sd"] > 0
    assert il.compare(frame, **VISITS, **COUNTS).cycles().empty
    states = frame.assign(cycle_state=frame["visit"].map({"baseline": "trough", "on": "peak"}))
    with pytest.raises(ComparisonError, match="26 of 26 values with a cycle state have no study day"):
        il.compare(states, **VISITS, **COUNTS).cycles()
    states["study_day"] = frame["visit"].map({"baseline": -1, "on": 71})
    cycles = il.compare(states, **VISITS, **COUNTS)
    measure = cycles.cycles().set_index("measure").loc["peak_over_trough"]
    assert measure["estimate"] == pytest.approx(cycles.shifts["estimate"].iloc[0])


def test_cycles_go_by_the_study_day_not_by_the_order_of_rows():
    visits = ["off1", "on1", "off2", "on2"]
    level = np.array([np.exp(0.0), np.exp(1.0), np.exp(0.1), np.exp(1.5)])
    frame = pd.DataFrame({"id": np.repeat(list("abc"), 4), "visit": visits * 3, "level": np.tile(level, 3)})
    frame["level"] *= np.repeat([1.0, 2.0, 3.0], 4)
    frame = frame.assign(cycle_state=["trough", "peak"] * 6, study_day=[1, 5, 29, 33] * 3)
    words = {"patient": "id", "visit": "visit", "before": "off1", "after": "on1", "value": "level", "unit": "pg/ml"}
    for seed in range(3):
        found = il.compare(frame.sample(frac=1, random_state=seed), **words).cycles().set_index("measure")
        assert found["estimate"].to_dict() == pytest.approx(
            {"peak_over_trough": 1.2, "response_trend": 0.4, "trough_trend": 0.1}
        )
        assert set(found["scale"]) == {"log"}
        assert set(found["n_patients"]) == {3}


def test_faults_of_a_frame_name_its_rows():
    frame = pd.read_csv(TABLE).astype({"count": object})
    frame.loc[3, "count"] = "<5"
    with pytest.raises(InputError, match=r"row 3, column count  a limit, not a value: '<5' \(E_TEXT\)"):
        il.compare(frame, **VISITS, **COUNTS)
    with pytest.raises(InputError, match="'patient' is duplicated"):
        il.compare(frame[["patient", "patient"]], **VISITS)
    with pytest.raises(ComparisonError, match="no sample has visit 'week 8'"):
        il.compare(pd.read_csv(TABLE), **(VISITS | {"after": "week 8"}), **COUNTS)


def test_a_choice_that_does_not_exist_is_named_with_those_that_do():
    with pytest.raises(InputError) as caught:
        il.compare(TABLE, **VISITS, **COUNTS, test="ttest", adjust="fdr")
    assert "test  'ttest' is unknown" in str(caught.value)
    assert "allowed: auto, t, wilcoxon" in str(caught.value)
    assert "adjust  'fdr' is unknown" in str(caught.value)
    with pytest.raises(InputError, match=r"scale of .* 'logitt' is unknown\n.*did you mean 'logit'"):
        il.compare(TABLE, **VISITS, **COUNTS, scale="logitt")
    with pytest.raises(InputError, match="int is not a table"):
        il.compare(3, **VISITS)
    with pytest.raises(InputError) as caught:
        il.compare(TABLE, **(VISITS | {"before": 0, "after": 10}), value=3)  # type: ignore[arg-type]
    assert [problem.place for problem in caught.value.problems] == ["value", "before", "after"]


def test_a_table_that_lacks_columns_of_endpoints_is_named_with_them():
    rows = pd.DataFrame({"patient_id": ["A"], "visit": ["W0"], "value": [1.0]})
    with pytest.raises(InputError, match=r"no column 'endpoint'(?s:.*)no column 'unit'(?s:.*)table.assign\(unit='%'\)"):
        il.compare_endpoints(rows, il.Plan("W0", "W10"))
