"""What a composite response is made of, covariates beside endpoints, slopes of no day: worked by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from immunolab.clinical import components, context_rows, endpoint_rows, scores_table
from immunolab.clinical.scores import levels
from immunolab.comparison.plan import Plan
from immunolab.comparison.table import compare_endpoints
from immunolab.schema.endpoints import ENDPOINTS
from immunolab.study.endpoints import PairedChange
from immunolab.study.rows import Sample
from immunolab.study.sheet import PanelChoice, PlannedComparison, Study
from immunolab.study.trial import load_trial
from immunolab.workflow.compare import _compare
from immunolab.workflow.spread import SpreadWork


def measured(*rows: tuple[str, str, str, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["patient_id", "visit", "variable", "value"]).assign(unit="", censored=None)


def study(trial_id: str, folder: Path) -> Study:
    trial = load_trial(trial_id)
    return Study(
        name="x",
        folder=folder,
        source=folder / "study.yaml",
        trial=trial,
        samples=(),
        panels={"": PanelChoice()},
        comparison=PlannedComparison(),
        endpoints=trial.expanded_endpoints(),
    )


BEFORE = {"PhGA": 5.0, "PtGA": 4.0, "MMT_8": 120.0, "HAQ_DI": 0.0, "muscle_enzyme": 4.0, "extramuscular": 2.0}
AFTER = {"PhGA": 3.5, "PtGA": 5.0, "MMT_8": 132.0, "HAQ_DI": 0.5, "muscle_enzyme": 2.0}


@pytest.fixture(scope="module")
def myositis() -> pd.DataFrame:
    rows = [("P1", visit, n, x) for visit, held in (("W0", BEFORE), ("W12", AFTER)) for n, x in held.items()]
    frame = measured(*rows)
    frame.loc[frame["variable"] == "muscle_enzyme", "unit"] = "xULN"
    return components(frame, load_trial("iim_nct04062019"))


def test_improvement_of_baseline_by_hand(myositis: pd.DataFrame) -> None:
    doi = myositis[myositis["score"] == "IMACS_DOI"].set_index("component")
    assert set(doi["improvement_of"]) == {"baseline"}
    assert doi["improvement"].dropna().to_dict() == {"PhGA": 30, "PtGA": -25, "MMT_8": 10, "muscle_enzyme": 50}
    assert doi["call"].to_dict() == {
        "PhGA": "improved",  # 20 % or more
        "PtGA": "worsened",  # 25 % or more
        "MMT_8": "same",
        "HAQ_DI": "not_evaluable",  # nothing has a percentage of 0
        "muscle_enzyme": "improved",
        "extramuscular": "not_evaluable",  # not measured at the visit
    }


def test_points_of_the_scale_range_by_hand(myositis: pd.DataFrame) -> None:
    tis = myositis[myositis["score"] == "ACR_EULAR_2016_TIS"].set_index("component")
    found = tis["improvement"].dropna()
    # 1.5 of 10, -1 of 10, 12 of 150, -0.5 of 3, 2 of 15
    wanted = {"PhGA": 15, "PtGA": -10, "MMT_8": 8, "HAQ_DI": -100 / 6, "muscle_enzyme": 200 / 15}
    assert found.to_dict() == pytest.approx(wanted)
    assert tis["points"].dropna().to_dict() == {"PhGA": 7.5, "PtGA": 0, "MMT_8": 10, "HAQ_DI": 0, "muscle_enzyme": 2.5}
    assert tis.loc["PtGA", "call"] == "worsened"
    assert tis.loc["extramuscular", "call"] == "not_evaluable"


def test_components_are_those_the_trial_asks_for() -> None:
    frame = measured(("P1", "W0", "PhGA", 4.0), ("P1", "W12", "PhGA", 2.0))
    assert components(frame, load_trial("pmr_nct04062006")).empty
    assert set(components(frame, baseline="W0")["score"]) == {"IMACS_DOI", "ACR_EULAR_2016_TIS"}
    assert components(measured(("P1", "W0", "CRP", 4.0)), load_trial("iim_nct04062019")).empty


def test_covariates_are_shown_and_not_compared(tmp_path: Path) -> None:
    frame = measured(("P1", "W0", "prednisone", 20.0), ("P1", "W12", "prednisone", 7.5), ("P1", "W0", "CRP", 9.0))
    myositis_study = study("iim_nct04062019", tmp_path)
    found = context_rows(myositis_study, frame, scores_table(frame, myositis_study.trial))
    assert found[["endpoint", "visit", "study_day", "value"]].values.tolist() == [
        ["prednisone", "W0", 1, 20.0],
        ["prednisone", "W12", 85, 7.5],
    ]
    assert "prednisone" not in set(
        endpoint_rows(myositis_study, frame, scores_table(frame, myositis_study.trial))["population"]
    )
    rheuma = study("pmr_nct04062006", tmp_path)
    assert context_rows(rheuma, frame, scores_table(frame, rheuma.trial)).empty  # there it is an endpoint


def test_what_slopes_are_fitted_to_is_shown(tmp_path: Path) -> None:
    rows = [("P1", v, n, x) for n, x in (("ALSFRS_R", 40.0), ("FVC", 90.0)) for v in ("W0", "W24", "W48")]
    frame, als = measured(*rows), study("als_nct04952155", tmp_path)
    found = context_rows(als, frame, scores_table(frame, als.trial))
    assert found.groupby("endpoint")["value"].agg(list).to_dict() == {"ALSFRS_R": [40.0] * 3, "FVC": [90.0] * 3}
    assert found["study_day"].tolist() == [1, 169, 337] * 2


def test_a_score_that_is_compared_or_sloped_twice_is_not_shown_twice(tmp_path: Path) -> None:
    frame = measured(*[("P1", v, "ALSFRS_R", x) for v, x in (("W0", 40.0), ("W24", 38.0), ("W48", 32.0))])
    als = study("als_nct04952155", tmp_path)
    (slope,) = [e for e in als.endpoints if e.id == "alsfrsr_slope_diff"]
    again, course = replace(slope, id="again"), PairedChange(id="alsfrs", source="x", score="ALSFRS_R")
    for more, shown in (((), 3), ((again,), 3), ((again, course), 0)):
        asked = replace(als, endpoints=(slope, *more))
        assert len(context_rows(asked, frame, scores_table(frame, als.trial))) == shown


def test_a_slope_is_of_a_period_and_of_no_day(tmp_path: Path) -> None:
    frame = measured(*[("P1", v, "ALSFRS_R", x) for v, x in (("W0", 40.0), ("W24", 38.0), ("W48", 32.0))])
    als = study("als_nct04952155", tmp_path)
    rows = endpoint_rows(als, frame, scores_table(frame, als.trial))
    slopes = rows[rows["endpoint"] == "alsfrsr_slope_diff"]
    assert slopes["visit"].tolist() == ["W24", "W48"]
    assert slopes["phase"].tolist() == ["on_treatment", "follow_up"]
    assert slopes[["study_day", "days_since_last_dose", "cycle_state"]].isna().all().all()
    assert slopes["value"].notna().all()


def test_a_batch_of_tubes_says_nothing_of_the_clinic() -> None:
    rows = pd.DataFrame(
        {
            "cohort": None,
            "study_day": [1, 71] * 6,
            "sample_id": [f"P{i}{v}" for i in range(6) for v in ("W0", "W10")],
            "patient_id": [f"P{i}" for i in range(6) for _ in range(2)],
            "visit": ["W0", "W10"] * 6,
            "endpoint": "score",
            "population": "score",
            "value": [10, 7, 12, 8, 9, 9, 14, 8, 11, 10, 13, 9],
            "unit": "points",
        }
    )
    rows = ENDPOINTS.check(rows)
    batch = {f"P{i}{v}": "B1" if i < 3 or v == "W0" else "B2" for i in range(6) for v in ("W0", "W10")}
    batch.pop("P0W10")
    found = compare_endpoints(rows, Plan("W0", "W10", batch=batch)).shifts.iloc[0]
    assert "W_BATCH_UNKNOWN" in found["warnings"]
    clinic = compare_endpoints(rows, Plan("W0", "W10", batch=batch, unbatched=("score",))).shifts.iloc[0]
    assert pd.isna(clinic["warnings"]) or "BATCH" not in clinic["warnings"]
    assert clinic["estimate"] == pytest.approx((-3 - 4 + 0 - 6 - 1 - 4) / 6)


def test_a_value_off_its_scale_takes_no_other_endpoint_with_it(tmp_path: Path) -> None:
    visits = [(f"P{i}", v) for i in range(4) for v in ("W24", "W48")]
    samples = tuple(Sample(f"{p}{v}", p, v, tmp_path / "x.fcs") for p, v in visits)
    free = replace(
        study("als_nct04952155", tmp_path), trial=None, samples=samples, comparison=PlannedComparison("W24", "W48")
    )
    rows = [
        {"sample_id": f"{p}{v}", "patient_id": p, "visit": v, "endpoint": name, "population": name, "unit": "%"}
        | {"value": first + 3.0 * i}
        for name, first in (("hospital_nk", 96.0), ("FVC", 97.0), ("hospital_b", 5.0))
        for i, (p, v) in enumerate(visits)
    ]
    _, comparisons, notes = _compare(free, (), ENDPOINTS.frame(rows), SpreadWork(), None)
    shifts = pd.concat([one.shifts for one in comparisons]).set_index("endpoint")
    assert shifts["estimate_scale"].to_dict() == {"FVC": "identity", "hospital_b": "log_odds"}
    assert shifts.loc["FVC", "estimate"] == 3.0
    assert len(notes) == 1
    assert notes[0].startswith("hospital_nk was not compared: left out: rows 2, 3, 4, 5, 6, 7: a percentage outside")


def test_what_rests_on_cells_is_adjusted_for_batch_with_a_design_or_without(tmp_path: Path) -> None:
    visits = [(f"P{i}", v) for i in range(8) for v in ("a", "b")]
    samples = tuple(
        Sample(f"{p}{v}", p, v, tmp_path / "x.fcs", batch="B2" if v == "b" and p in ("P0", "P1", "P2") else "B1")
        for p, v in visits
    )
    free = replace(
        study("als_nct04952155", tmp_path), trial=None, samples=samples, comparison=PlannedComparison("a", "b")
    )
    rows = [
        {"sample_id": f"{p}{v}", "patient_id": p, "visit": v, "endpoint": name, "population": name, "unit": "points"}
        | {"value": float(10 + i % 3 + i % 5), "n_events": n}
        for name, n in (("score", None), ("IL2_STAT5_response_in_Treg", 500))
        for i, (p, v) in enumerate(visits)
    ]
    shifts = pd.concat(
        [one.shifts for one in _compare(free, (), ENDPOINTS.frame(rows), SpreadWork(), None)[1]]
    ).set_index("endpoint")
    assert "batch" not in shifts.loc["score", "method"]
    assert "adjusted for batch" in shifts.loc["IL2_STAT5_response_in_Treg", "method"]


def test_levels_are_those_the_rules_turn_on() -> None:
    assert levels("PMR_AS") == ((9.35, "relapse from"),)
    assert [level for level, _ in levels("ACR_EULAR_2016_TIS")] == [20, 40, 60]
    assert levels("MMT_8") == ()
