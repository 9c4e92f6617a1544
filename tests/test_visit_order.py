"""Visits in calendar order wherever they are listed, whatever the order of rows and whoever missed one."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import report_fixture

from immunolab.report.disposition import flow_counts
from immunolab.study.choices import PlannedComparison
from immunolab.study.endpoints import PercentOfParent
from immunolab.study.sample import Sample
from immunolab.study.study import Study
from immunolab.study.visit_order import visits_in_order
from immunolab.workflow.derived_tables import _by_response
from immunolab.workflow.run_value import _kept


def study_of(*rows: tuple[str, str, int | date | None], bridges: tuple[str, ...] = ()) -> Study:
    """Return a study without a trial from patient, visit, and study day or date."""
    samples = tuple(
        Sample(
            f"{patient}_{visit}",
            patient,
            visit,
            Path("a.fcs"),
            date=when if isinstance(when, date) else None,
            study_day=when if isinstance(when, int) else None,
        )
        for patient, visit, when in rows
    )
    run = report_fixture.finished_run()
    own = PlannedComparison(before="W0", after="W10", bridges=bridges)
    return replace(run.study, name="t", trial=None, samples=samples, comparison=own)


def test_a_sheet_in_the_order_of_letters_has_its_visits_by_day() -> None:
    days = {"W0": 1, "W10": 71, "W2": 15}
    study = study_of(*((patient, visit, day) for patient in ("P1", "P2") for visit, day in days.items()))
    assert study.sampled_visits == ("W0", "W2", "W10")
    assert repr(study) == "Study t: 2 patients, 6 samples at W0, W2, W10"


def test_dates_tell_the_order_where_there_are_no_study_days() -> None:
    study = study_of(
        ("P1", "late", date(2024, 5, 1)),
        ("P1", "early", date(2024, 1, 1)),
        ("P2", "early", date(2025, 1, 1)),
        ("P2", "middle", date(2025, 2, 1)),
        ("P2", "late", date(2025, 5, 1)),
    )
    assert study.sampled_visits == ("early", "middle", "late")


def test_a_run_which_keeps_no_dates_keeps_the_order_that_they_told() -> None:
    days = {"W10": date(2024, 3, 20), "W4": date(2024, 2, 5), "W0": date(2024, 1, 5)}
    kept = _kept(study_of(*(("P1", visit, day) for visit, day in days.items())))
    assert {sample.date for sample in kept.samples} == {None}
    assert kept.sampled_visits == ("W0", "W4", "W10")


def test_a_visit_that_the_first_patient_missed_is_between_its_neighbours() -> None:
    study = study_of(("P1", "a", None), ("P1", "c", None), ("P2", "a", None), ("P2", "b", None), ("P2", "c", None))
    assert study.sampled_visits == ("a", "b", "c")


def test_a_bridging_control_of_the_comparison_is_no_patient() -> None:
    study = study_of(("P1", "W0", 1), ("P1", "W10", 71), ("HD01", "lot 2", None), bridges=("HD01",))
    assert repr(study) == "Study t: 1 patients, 2 samples at W0, W10"


def test_one_sample_taken_early_does_not_move_its_visit_in_the_flow_chart() -> None:
    run = report_fixture.finished_run(report_fixture.tables(visits=("W0", "W4", "W10")))
    last = [sample for sample in run.study.samples if sample.visit == "W10"]
    samples = tuple(replace(s, study_day=20) if s is last[0] else s for s in run.study.samples)
    flow = flow_counts(replace(run, study=replace(run.study, samples=samples)), "SLE")
    assert list(flow.loc[flow["step"] == "visit", "name"]) == ["W0", "W4", "W10"]


def test_responders_are_those_of_the_last_visit_though_the_first_patient_missed_the_one_before() -> None:
    stated = {"score": "SRI_4", "unit": "responder", "source": "x", "verified": "yes", "reason": None}
    known = [("P1", "W2", 0.0), ("P1", "W10", 1.0), ("P2", "W2", 0.0), ("P2", "W4", 1.0), ("P2", "W10", 0.0)]
    scores = pd.DataFrame([dict(zip(("patient_id", "visit", "value"), row, strict=True)) | stated for row in known])
    pairs = pd.DataFrame({"patient_id": ["P1", "P2"], "endpoint": "treg", "shift": [0.1, 0.2], "visit_after": "W24"})
    treg = PercentOfParent(id="treg", source="s", population="Treg", parent="CD4")
    found = _by_response(pairs, scores, replace(study_of(), endpoints=(treg,)))
    assert set(found["told_at"]) == {"W10"}


@pytest.mark.parametrize("seed", range(5))
def test_days_give_one_order_whatever_the_order_of_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    met = [(f"P{i}", f"V{visit}", 10.0 * visit) for i in range(6) for visit in range(8) if rng.random() < 0.5]
    shuffled = [met[i] for i in rng.permutation(len(met))]
    assert visits_in_order(shuffled) == [f"V{visit}" for visit in sorted({int(day // 10) for _, _, day in met})]
