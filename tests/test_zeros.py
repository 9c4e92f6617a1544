"""Zeros on a log scale: limits of the assay or of the count, never another patient's data; warnings of few events."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from immunolab.comparison.event_split import event_split
from immunolab.comparison.plan import Plan
from immunolab.comparison.table import Comparison, compare_endpoints
from immunolab.study.endpoints import AbsoluteCount
from immunolab.study.endpoints.counts import SampleCounts


def rows(before, after, *, unit: str = "pg/mL", flags=((), ())) -> pd.DataFrame:
    parts = []
    for visit, values, low in (("W0", before, flags[0]), ("W10", after, flags[1])):
        part = pd.DataFrame({"patient_id": [f"P{i}" for i in range(len(values))], "visit": visit, "value": values})
        parts.append(part.assign(flag=["below_limit" if i in low else "" for i in range(len(values))]))
    return pd.concat(parts, ignore_index=True).astype({"value": float}).assign(endpoint="x", unit=unit, cohort="")


def compared(table: pd.DataFrame, test: str = "auto") -> Comparison:
    return compare_endpoints(table, Plan("W0", "W10", test=test))


BEFORE, AFTER = [0, 3.0, 4.0, 6.0, 8.0, 5.0], [2.0, 4.0, 3.0, 9.0, 9.0, 7.0]


def absolute(events, per_event, *, one_event: bool = True) -> pd.DataFrame:
    table = rows(*(np.asarray(n) * np.asarray(c) for n, c in zip(events, per_event, strict=True)), unit="cells/uL")
    table["n_events"], table["n_parent"] = np.concatenate(events), 10_000
    return table.assign(one_event=np.concatenate(per_event)) if one_event else table


@pytest.mark.parametrize("least", [0.1, 1.0, 2.5])
def test_a_zero_without_a_limit_has_no_fold_whatever_others_have(least):
    before = [0, least, *BEFORE[2:]]
    pair = compared(rows(before, AFTER)).pairs.iloc[0]
    assert pd.isna(pair["fold"])
    assert pair["verdict"] == "not_evaluable"
    assert "without an assay's limit" in pair["reason"]


def test_such_a_zero_is_counted_and_no_missing_visit():
    found = compared(rows(BEFORE, AFTER))
    assert found.shifts["n_pairs"].iloc[0] == 5
    assert {str(f.code) for f in found.warnings} >= {"W_ZERO_VALUE", "W_CENSORED"}
    assert "W_UNPAIRED" not in {str(f.code) for f in found.warnings}
    assert found.tipping_point()["n_missing"].iloc[0] == 0


@pytest.mark.parametrize(("value", "unit"), [(0.0, "pg/mL"), (0.0, "%"), (100.0, "%")])
def test_an_endpoint_that_is_zero_in_every_patient_has_a_row_that_is_not_tested(value, unit):
    found = compared(rows([value] * 6, [value] * 6, unit=unit))
    shift = found.shifts.iloc[0]
    assert (shift["n_pairs"], shift["n_before"], shift["n_after"]) == (0, 6, 6)
    assert shift["method"].startswith("not tested")
    assert np.isnan([shift["estimate"], shift["ci_low"], shift["p_value"]]).all()
    assert (found.pairs["verdict"] == "not_evaluable").all()


def test_patients_at_a_limit_at_both_visits_do_not_lack_one():
    """One of eight lacks a visit: it was said to be 100 % of the patients, as no other had a shift."""
    found = compared(rows([0.0] * 8, [*[0.0] * 7, np.nan]))
    said = {finding.code: finding.message for finding in found.warnings}
    assert "W_UNPAIRED" in said
    assert "W_MISSING_20" not in said
    found = compared(rows([0.0] * 8, [*[0.0] * 6, np.nan, np.nan]))
    assert {one.code: one.message for one in found.warnings}["W_MISSING_20"].startswith("25 % of the patients")


def test_a_zero_takes_the_limit_that_the_assay_names():
    found = compared(rows([0, 0.8, *BEFORE[2:]], AFTER, flags=((1,), ()))).pairs
    assert found["fold"].iloc[0] == pytest.approx(2.0 / 0.8)


@pytest.mark.parametrize("others", [1, 40])
def test_an_absolute_count_of_zero_is_half_an_event_whatever_others_have(others):
    events = (np.array([0, *[30 * others] * 5]), np.array([60, *[40 * others] * 5]))
    per_event = (np.full(6, 0.2), np.full(6, 0.1))
    pair = compared(absolute(events, per_event)).pairs.iloc[0]
    assert pair["fold"] == pytest.approx((60 * 0.1) / (0.5 * 0.2))


def test_one_event_of_an_absolute_count_is_in_its_row():
    counts = pd.DataFrame(
        {
            "population": ["lymphocytes", "Treg"],
            "path": ["/lymphocytes", "/lymphocytes/Treg"],
            "n_events": [4000, 0],
            "definition": [None, None],
            "flag": [None, None],
        }
    )
    endpoint = AbsoluteCount(id="treg", source="test", population="Treg")
    row = endpoint.measure(SampleCounts(counts, lymphocytes_per_ul=1200.0)).row()
    assert row["value"] == 0
    assert row["one_event"] == pytest.approx(0.3)


def test_absolute_counts_of_few_events_go_by_a_count_model():
    rng = np.random.default_rng(3)
    events = (rng.poisson(8, 10), rng.poisson(12, 10))
    per_event = (rng.uniform(0.1, 0.3, 10), rng.uniform(0.1, 0.3, 10))
    row = compared(absolute(events, per_event)).shifts.iloc[0]
    assert row["method"].startswith("conditional count model")
    split = event_split(np.column_stack(events).astype(float), 1 / np.column_stack(per_event), exposures=True)
    assert row["estimate"] == pytest.approx(split.estimate)
    assert "W_LOW_EVENTS" in row["warnings"]


def test_absolute_counts_below_three_events_are_not_tested():
    row = compared(absolute((np.array([1, 0, 2, 1, 1, 0]), np.array([0, 0, 1, 3, 1, 1])), (np.full(6, 0.2),) * 2))
    assert "E_FEW_EVENTS" in row.shifts["warnings"].iloc[0]
    assert row.shifts["p_value"].isna().all()


@pytest.mark.parametrize("test", ["t", "wilcoxon"])
def test_few_events_of_ratios_and_absolute_counts_are_warned_of(test):
    table = absolute((np.arange(4, 10), np.arange(5, 11)), (np.full(6, 0.2),) * 2)
    ratio = table.assign(unit="ratio", n_parent=50, value=(table["n_events"] + 0.5) / 50.5)
    for one in (table, ratio):
        assert "W_LOW_EVENTS" in compared(one, test).shifts["warnings"].iloc[0]


def test_a_zero_without_a_limit_has_no_level_and_no_part_in_a_comparison_of_arms():
    table = rows(BEFORE * 2, AFTER * 2)
    table["cohort"] = np.where(table["patient_id"].str[1:].astype(int) < len(BEFORE), "drug", "placebo")
    found = compared(table)
    zero = found.pairs["before"] == 0
    assert found.pairs.loc[zero, "level_before"].isna().all()
    assert (
        found.levels.loc[found.levels["patient_id"].isin(["P0", "P6"]) & (found.levels["visit"] == "W0")]["level"]
        .isna()
        .all()
    )
    alone = compared(table[~table["patient_id"].isin(["P0", "P6"])])
    for here, there in zip(found.arms.to_dict("records"), alone.arms.to_dict("records"), strict=True):
        if "mixed" not in here["method"]:  # which takes the later visit of such a patient
            assert (here["n"], here["estimate"]) == (there["n"], pytest.approx(there["estimate"]))
