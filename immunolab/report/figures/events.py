"""Figures of events of patients and of the suppression assay, each only where the run has its table."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pandas as pd

from immunolab.plots.events import suppression_curves, survival_curve
from immunolab.plots.style import HALF, MM, WIDTH
from immunolab.report.figure import FigureSet, ReportFigure, figure_name, of_cohort, on_axes
from immunolab.results.cohort_rows import in_cohort, rows_of
from immunolab.results.findings.words import capital
from immunolab.results.run import Run
from immunolab.vocabulary.display_names import display_name


def event_figures(run: Run, cohort: str) -> Iterator[ReportFigure]:
    """Yield a cohort's Kaplan-Meier curves and the curves of its suppression assay."""
    yield from _survival(run, cohort)
    yield from _suppression(run, cohort)


def _survival(run: Run, cohort: str) -> Iterator[ReportFigure]:
    summary, curves = run.table("time_to_event"), run.table("survival")
    for _, row in summary[in_cohort(summary, cohort)].iterrows():
        own = rows_of(curves, row["endpoint"], cohort)
        median = "not reached" if pd.isna(row["median_day"]) else f"day {row['median_day']:.0f}"
        lacking = int(row["n_patients"] - row["n_with_outcome"])
        name = capital(display_name(str(row["endpoint"])))
        caption = (
            f"{name}{of_cohort(cohort)}, from the first dose. {row['method']}. Ticks: censored "
            "patients. Under the axis: planned visits with the patients still at risk. "
            f"n = {row['n_with_outcome']} patients, {row['n_events']} events, {row['n_censored']} censored; {lacking} "
            f"more have no outcome. Median {median}."
        )
        draw = partial(on_axes, partial(survival_curve, own, row), WIDTH, 70 * MM)
        name = figure_name("survival", str(row["endpoint"]), cohort)
        yield ReportFigure(name, "clinic", caption, draw, own, wide=True, endpoint=str(row["endpoint"]))


def _suppression(run: Run, cohort: str) -> Iterator[ReportFigure]:
    table = run.table("suppression")
    own = table[run.patients_in(table, cohort)]
    visits = _visits(run, own)
    shown = own[own["visit"].isin(visits)]
    if shown.empty:
        return
    caption = (
        f"Suppression assay{of_cohort(cohort)}: percent inhibition of responder cells at each Treg to responder ratio, "
        f"{' and '.join(visits)}; thin lines patients, thick lines medians. The mean inhibition over the log of the "
        "ratio is the value that is compared."
    )
    draw = partial(on_axes, partial(suppression_curves, shown, visits), HALF, 75 * MM)
    yield ReportFigure(figure_name("suppression", cohort), "clinic", caption, draw, shown)


def _visits(run: Run, table: pd.DataFrame) -> tuple[str, ...]:
    """Return the visits of the assay's registered contrast, else all that were measured."""
    for endpoint in run.study.endpoints:
        if endpoint.registered and set(endpoint.needs.assays) & set(run.endpoints["population"]):
            return endpoint.registered
    return tuple(dict.fromkeys(table["visit"].astype(str)))


FIGURES = FigureSet(60, per_cohort=event_figures)
