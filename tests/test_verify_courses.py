"""verify on cycles, slopes and regression to the mean: they agree as written, and a changed number is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import report_fixture
from test_regression_to_mean import levels, screened, selected

from immunolab.comparison.dose_time import cycle_rows
from immunolab.comparison.plan import Plan
from immunolab.comparison.regression_to_mean import regression_rows
from immunolab.comparison.slopes import slope_rows
from immunolab.comparison.table import Comparison
from immunolab.report.verify_courses import course_differences
from immunolab.results.run import Run
from immunolab.schema.courses import CYCLES, REGRESSION_TO_MEAN, SLOPES
from immunolab.schema.endpoints import ENDPOINTS
from immunolab.schema.estimand import INTERCURRENT_EVENTS
from immunolab.schema.table import Table
from immunolab.study.endpoints import SlopeDifference

STATES = {"SCR": ("pre_dose", np.nan), "W0": ("pre_dose", np.nan), "W2": ("peak", 1), "W4": ("trough", 1)}
STATES |= {"W6": ("peak", 2), "W10": ("peak", 3)}
SLOPE = SlopeDifference(id="slope", source="test", score="SELENA_SLEDAI", periods=(("W0", "W4"), ("W4", "W10")))


def written(folder: Path) -> tuple[Run, pd.DataFrame, Comparison]:
    """Twelve patients, six visits; what a run writes of them."""
    rng = np.random.default_rng(1)
    values = selected(rng, 12)
    for visit in ("W2", "W4", "W6"):
        values[visit] = values["W0"] + rng.normal(0, 1.5, 12)
    trial = replace(screened(), endpoints=(SLOPE,))
    days = {v.name: v.target_day for v in trial.visits}
    long = levels(values).assign(study_day=lambda t: t["visit"].map(days))
    long["cycle_state"], long["cycle"] = (long["visit"].map(lambda v, i=i: STATES[v][i]) for i in (0, 1))
    table = ENDPOINTS.frame(
        [
            {"sample_id": f"{row.patient_id}_{row.visit}", "patient_id": row.patient_id, "visit": row.visit}
            | {"study_day": row.study_day, "endpoint": "sledai", "population": "SELENA_SLEDAI", "value": row.level}
            | {"unit": "points", "cohort": "SLE"}
            for row in long.itertuples()
        ]
    )
    empty = pd.DataFrame()
    plan = Plan("SCR", "W10")
    made = Comparison(plan, empty, empty, empty, empty, empty, empty, long, ())
    tables = {
        CYCLES: cycle_rows(long),
        REGRESSION_TO_MEAN: regression_rows(long, "SCR", "W10", trial),
        SLOPES: slope_rows(table, [SLOPE], trial, INTERCURRENT_EVENTS.empty()),
    }
    for declared, frame in tables.items():
        declared.write(frame, folder / "tables" / f"{declared.name}.csv")
    run = report_fixture.finished_run(out=folder)
    return replace(run, study=replace(run.study, trial=trial, endpoints=(SLOPE,))), table, made


@pytest.mark.parametrize("changed", [None, CYCLES, REGRESSION_TO_MEAN, SLOPES])
def test_a_changed_number_is_named_and_nothing_else(tmp_path: Path, changed: Table | None) -> None:
    run, endpoints, made = written(tmp_path)
    if changed is not None:
        path = tmp_path / "tables" / f"{changed.name}.csv"
        frame = changed.read(path)
        frame.loc[0, "ci_high"] += 0.5
        changed.write(frame, path)
    found = [str(problem) for problem in course_differences(run, endpoints, [made])]
    assert len(found) == (changed is not None)
    assert all("ci_high" in text and changed is not None and changed.name in text for text in found)


@pytest.mark.parametrize(
    ("table", "share", "named"),
    [(CYCLES, 1e-7, False), (CYCLES, 1e-5, True), (SLOPES, 1e-7, False), (REGRESSION_TO_MEAN, 1e-7, True)],
)
def test_only_fits_by_a_search_may_differ_in_the_eighth_digit(
    tmp_path: Path, table: Table, share: float, named: bool
) -> None:
    run, endpoints, made = written(tmp_path)
    path = tmp_path / "tables" / f"{table.name}.csv"
    frame = table.read(path)
    frame.loc[0, "ci_high"] *= 1 + share
    table.write(frame, path)
    assert bool(list(course_differences(run, endpoints, [made]))) is named
