"""Figures patient by patient: the calls, the heat map of change, one page a patient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd

from immunolab.comparison.scales import MULTIPLICATIVE
from immunolab.plots.calendar import Calendar
from immunolab.plots.change import strip_height, verdict_strip
from immunolab.plots.labels import EndpointLabel, labels
from immunolab.plots.matrices import heatmap_height, heatmap_of_change, not_ratios
from immunolab.plots.patient_page import patient_page
from immunolab.plots.style import WIDTH
from immunolab.plots.trajectories import visit_order
from immunolab.report.clinic_rows import clinic_rows
from immunolab.report.figure import (
    PICTURES_ON_PAGE,
    ROWS_OF_PATIENTS,
    FigureSet,
    ReportFigure,
    figure_name,
    of_cohort,
    on_axes,
    pages,
)
from immunolab.report.happened import happened, not_marked
from immunolab.results.cohort_rows import in_cohort
from immunolab.results.run import Run


def patient_figures(run: Run, cohort: str) -> Iterator[ReportFigure]:
    """Yield a cohort's figures patient by patient: the calls, the heat map of change, and a page for each."""
    shifts = run.shifts_of(cohort)
    if shifts.empty:
        return
    pairs = run.pairs
    ranked = [e for role in ("primary", "secondary", "exploratory") for e in shifts[shifts["role"] == role]["endpoint"]]
    own = pairs[in_cohort(pairs, cohort)]
    own = own.assign(rank=own["endpoint"].map({name: i for i, name in enumerate(ranked)}))
    own = own.sort_values("rank", kind="stable").drop(columns="rank")
    called = shifts[shifts["endpoint"].isin(own.loc[own["verdict"] != "not_evaluable", "endpoint"])]
    leading = called[called["role"] == "primary"]
    of = of_cohort(cohort)
    for page, patients in pages(list(dict.fromkeys(own["patient_id"])), ROWS_OF_PATIENTS):
        some = own[own["patient_id"].isin(list(patients))]
        on_page = page in ("", "1")
        for endpoint in (leading if len(leading) else called[called["role"] == "secondary"].head(1))["endpoint"]:
            rows = some[some["endpoint"] == endpoint]
            label = run.label_of(str(endpoint))
            draw = partial(on_axes, partial(verdict_strip, rows, label), WIDTH, strip_height(len(rows)))
            name = figure_name("verdicts", str(endpoint), cohort, page)
            caption = f"{label.axis}{of}: each patient's change with its own 95 % interval: counting, assay and day to "
            caption += (
                "day. A rise or fall is called where it leaves out no change; no call depends on other patients. "
            )
            caption += "Of patients without a change one in twenty is called."
            yield ReportFigure(name, "patients", caption + _page(page), draw, rows, wide=True, on_page=on_page)
        if some["shift_scale"].isin(MULTIPLICATIVE).any():
            yield _heatmap(run, some, cohort, page)
    if _most_visits(run, cohort) > 2:  # of two visits the table says everything
        yield from _one_pagers(run, cohort)


def _heatmap(run: Run, pairs: pd.DataFrame, cohort: str, page: str) -> ReportFigure:
    n_patients = pairs["patient_id"].nunique()
    draw = partial(on_axes, partial(heatmap_of_change, pairs, run.labels), WIDTH, heatmap_height(n_patients))
    caption = _heatmap_words(run, pairs, of_cohort(cohort)) + _page(page)
    name = figure_name("heatmap", cohort, page)
    return ReportFigure(name, "patients", caption, draw, pairs, wide=True, on_page=page in ("", "1"))


def _heatmap_words(run: Run, pairs: pd.DataFrame, of: str) -> str:
    absent = ", ".join(run.label_of(name).short for name in not_ratios(pairs))
    return (
        f"Change of every endpoint in every patient{of}: colour is the size, ▲ a called rise, ▼ a called fall, a "
        "point a change that could not be called, no mark a change within noise; grey: no pair."
        + (f" Not on a ratio scale, so not here: {absent}." if absent else "")
    )


def _page(page: str) -> str:
    return f" Page {page}." if page else ""


def _most_visits(run: Run, cohort: str) -> int:
    """Return at how many visits a cohort's most often measured endpoint was measured."""
    endpoints = run.endpoints
    return int(endpoints[in_cohort(endpoints, cohort)].groupby("endpoint")["visit"].nunique().max())


@dataclass(frozen=True, eq=False)
class PatientPage:
    """What a patient's page is drawn from.

    Attributes
    ----------
    own, rows
        ENDPOINTS rows of the patient, subsets first by role, then what the clinic measured; ``rows`` are those with a
        value and a study day.
    pairs
        The patient's changes.
    plan
        Doses, the patient's own where they are known.
    named, visits
        Label and visits in order of every endpoint of the cohort.
    marks
        What happened to the patient.
    """

    own: pd.DataFrame
    rows: pd.DataFrame
    pairs: pd.DataFrame
    plan: Calendar
    named: Mapping[str, EndpointLabel]
    visits: Mapping[str, Sequence[str]]
    marks: pd.DataFrame


def patient_pages(run: Run, cohort: str) -> Iterator[tuple[str, PatientPage]]:
    """Yield each patient of a cohort with what the page is drawn from.

    Parameters
    ----------
    run
        The finished run.
    cohort
        Its name; "" where the sheet has no cohorts.
    """
    shifts, endpoints = run.shifts_of(cohort), run.endpoints
    counted = endpoints[in_cohort(endpoints, cohort) & endpoints["n_events"].notna()]
    leading = [
        str(e) for role in ("primary", "secondary", "exploratory") for e in shifts[shifts["role"] == role]["endpoint"]
    ]
    subsets = counted[counted["endpoint"].isin(leading)]
    ranked = subsets.assign(rank=subsets["endpoint"].map(leading.index)).sort_values("rank", kind="stable")
    shown = pd.concat([ranked.drop(columns="rank"), clinic_rows(run, cohort).drop(columns="group")], ignore_index=True)
    shown, marks = _primary_first(run, shown), happened(run)
    values = shown.dropna(subset=["value", "study_day"])
    visits = {str(name): visit_order(rows, run.calendar) for name, rows in values.groupby("endpoint")}
    named, by_patient = labels(shown), dict(list(run.pairs.groupby("patient_id", sort=False)))
    for patient, own in shown.groupby("patient_id", sort=False):
        there = own.dropna(subset=["value", "study_day"])
        pairs = by_patient.get(patient, run.pairs.iloc[:0])
        own_plan, own_marks = run.calendar.of(str(patient)), marks[marks["patient_id"] == patient]
        yield str(patient), PatientPage(own, there, pairs, own_plan, named, visits, own_marks)


def _one_pagers(run: Run, cohort: str) -> Iterator[ReportFigure]:
    """Yield each patient's page: subsets by role, then what the clinic measured, the steroid dose among it."""
    lacking = not_marked(run)
    for i, (patient, page) in enumerate(patient_pages(run, cohort)):
        draw = partial(
            patient_page, page.rows, page.pairs, patient, page.plan, page.named, page.visits, marks=page.marks
        )
        caption = (
            f"{patient}: what happened (responses, events, adverse events, rescue, death), and subsets and clinic over "
            "actual study days, primary first, with doses and the call of each change (odds ratio of percentages, else "
            f"fold, with its own 95 % interval). Black line: death.{lacking}"
        )
        yield ReportFigure(
            figure_name("patient", patient),
            "one_pagers",
            caption,
            draw,
            page.own,
            wide=True,
            on_page=i < PICTURES_ON_PAGE,
            patient=str(patient),
        )


def _primary_first(run: Run, rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with the primary endpoint first, or the score or variable that it is made of."""
    leading = {e.id for e in run.study.endpoints if e.role == "primary"}
    made_of = {e.fitted for e in run.study.endpoints if e.role == "primary"}
    first = rows["endpoint"].isin(leading) | rows["population"].isin(made_of)
    return pd.concat([rows[first], rows[~first]], ignore_index=True)


FIGURES = FigureSet(20, per_cohort=patient_figures)
