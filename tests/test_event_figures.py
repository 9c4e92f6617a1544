"""Kaplan-Meier and suppression curves: what is drawn is what the tables say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from immunolab.plots.events import suppression_curves, survival_curve
from immunolab.plots.style import SMALL, figure
from immunolab.report.figures.events import event_figures
from immunolab.results.run import Run
from immunolab.study.sheet import read_study

CURVE = pd.DataFrame(
    {
        "cohort": "A",
        "endpoint": "survival",
        "study_day": [1, 100, 169, 250, 337],
        "visit": ["W0", None, "W24", None, "W48"],
        "n_at_risk": [5, 5, 4, 3, 2],
        "n_events": [0, 1, 0, 1, 0],
        "n_censored": [0, 0, 1, 0, 2],
        "percent": [100, 80, 80, 160 / 3, 160 / 3],
        "ci_low": [np.nan, 20.4, 20.4, 7.0, 7.0],
        "ci_high": [np.nan, 96.9, 96.9, 86.0, 86.0],
    }
)
SUMMARY = pd.DataFrame(
    {
        "cohort": ["A"],
        "endpoint": ["survival"],
        "n_patients": [6],
        "n_with_outcome": [5],
        "n_events": [2],
        "n_censored": [3],
        "median_day": [np.nan],
        "method": ["Kaplan-Meier"],
    }
)
TITRATION = pd.DataFrame(
    [
        (patient, visit, f"1:{n}", 1 / n, base - 10 * np.log2(n))
        for patient, base in (("P1", 60.0), ("P2", 70.0), ("P3", 50.0))
        for visit in ("W0", "W24", "W48")
        for n in (1, 2, 4)
    ],
    columns=["patient_id", "visit", "ratio", "treg_per_responder", "percent_inhibition"],
)


def test_patients_at_risk_are_written_under_the_visits() -> None:
    ax = survival_curve(CURVE, SUMMARY.iloc[0], ax=figure().add_subplot())
    assert [t.get_text() for t in ax.get_xticklabels()] == [
        "W0\nday 1\n5 at risk",
        "W24\nday 169\n4 at risk",
        "W48\nday 337\n2 at risk",
    ]
    step = max(ax.lines, key=lambda line: len(line.get_xdata()))
    np.testing.assert_allclose(step.get_ydata(), [100, 100, 80, 80, 160 / 3, 160 / 3])
    ticks = next(line for line in ax.lines if line.get_marker() == "|")
    assert ticks.get_xdata().tolist() == [169, 337]
    assert [ax.get_title(loc=where) for where in ("left", "center", "right")] == [
        "",
        "",
        "",
    ]  # words are in the caption


def test_a_study_without_visits_shows_its_first_and_last_day() -> None:
    ax = survival_curve(CURVE.assign(visit=None), SUMMARY.iloc[0], ax=figure().add_subplot())
    assert [t.get_text() for t in ax.get_xticklabels()] == ["day 1\n5 at risk", "day 337\n2 at risk"]


def test_suppression_shows_every_patient_and_the_median_of_the_visits_asked_for() -> None:
    ax = suppression_curves(TITRATION, ("W0", "W24"), ax=figure().add_subplot())
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["W0, median (n = 3)", "W24, median (n = 3)"]
    medians = [line for line in ax.lines if line.get_marker() == "o"]
    assert len(medians) == 2
    np.testing.assert_allclose(medians[0].get_ydata(), [40, 50, 60])
    assert [t.get_text() for t in ax.get_xticklabels()] == ["1:4", "1:2", "1:1"]
    few = suppression_curves(TITRATION.drop(index=[0, 9]), ("W0", "W24"), ax=figure().add_subplot())
    assert few.get_legend().get_texts()[0].get_text() == "W0, median (n = 1 to 3)"  # 1:1 of P1 and P2 is lacking


def test_no_visit_of_a_long_titration_is_left_out() -> None:
    visits = [f"W{4 * i}" for i in range(9)]
    long = pd.concat([TITRATION[TITRATION["visit"] == "W0"].assign(visit=v) for v in visits], ignore_index=True)
    ax = suppression_curves(long, visits, ax=figure().add_subplot())
    assert [t.get_text().split(",")[0] for t in ax.get_legend().get_texts()] == visits


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "a.fcs").touch()
    lines = "".join(f"s{i},P{i},W0,a.fcs,A,1\n" for i in (1, 2, 3))
    (tmp_path / "samples.csv").write_text("sample_id,patient_id,visit,file,cohort,study_day\n" + lines)
    (tmp_path / "study.yaml").write_text("study: x\ntrial: als_nct04952155\n")
    tables = {"survival": CURVE, "time_to_event": SUMMARY, "suppression": TITRATION}
    return Run(folder=Path("out"), study=read_study(tmp_path), tables=tables)


def test_figures_say_what_they_are_and_keep_their_letters_readable(run: Run) -> None:
    made = {one.name: one for one in event_figures(run, "A")}
    assert list(made) == ["survival_survival_A", "suppression_A"]
    caption = made["survival_survival_A"].caption
    assert "n = 5 patients, 2 events, 3 censored; 1 more have no outcome. Median not reached." in caption
    assert len(made["survival_survival_A"].data) == len(CURVE)
    for one in made.values():
        drawn = one.draw()
        drawn.draw_without_rendering()
        texts = [t for t in drawn.findobj(Text) if t.get_visible() and t.get_text().strip()]
        assert min(t.get_fontsize() for t in texts) >= SMALL


def test_a_patient_of_the_clinic_alone_is_drawn_where_there_is_one_cohort_or_none(run: Run) -> None:
    alone = pd.concat([TITRATION, TITRATION[TITRATION["patient_id"] == "P1"].assign(patient_id="P9")])
    everyone = {"P1", "P2", "P3", "P9"}
    for cohort, other, drawn in (("", "", everyone), ("A", "A", everyone), ("A", "B", {"P1", "P2"})):
        cohorts = {"P3": other}
        samples = tuple(replace(s, cohort=cohorts.get(s.patient_id, cohort)) for s in run.study.samples)
        now = Run(folder=Path("out"), study=replace(run.study, samples=samples), tables={"suppression": alone})
        (made,) = event_figures(now, cohort)
        assert set(made.data["patient_id"]) == drawn


def test_no_figure_without_its_table_or_for_another_cohort(run: Run) -> None:
    assert list(event_figures(run, "B")) == []
    assert list(event_figures(Run(folder=Path("out"), study=run.study, tables={}), "A")) == []
