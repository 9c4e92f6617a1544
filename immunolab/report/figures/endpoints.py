"""The figure of each endpoint: a small one for the first screen, and of responders and events the full one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import pandas as pd

from immunolab.plots.numbers import number
from immunolab.report.figure import FigureSet, ReportFigure, figure_name, of_cohort
from immunolab.results.endpoint_figure import endpoint_figure
from immunolab.results.findings.events import not_counted
from immunolab.results.findings.finding import Absence, in_words
from immunolab.results.findings.words import capital
from immunolab.results.run import Run
from immunolab.study.endpoints import Endpoint
from immunolab.vocabulary.display_names import display_name

_OVERALL = ("n_with_event", "percent", "ci_low", "ci_high")
_IN_WINDOW = ("n_in_window", "percent_in_window", "in_window_ci_low", "in_window_ci_high")
CHANGE_KEY = (
    "Left: one line a patient, bars: medians, open: beyond what can be quantified, dotted: the assay's limit. Right: "
    "each patient's change, and the cohort's estimate with its 95 % confidence interval and the t distribution that "
    "it is cut from; grey line: no change."
)


def endpoint_figures(run: Run, cohort: str) -> Iterator[ReportFigure]:
    """Yield a small figure of each registered endpoint, and the full ones of responders and of events."""
    for endpoint in run.study.endpoints:
        if not run.shows(endpoint.id, cohort):
            continue
        if endpoint.id in registered(run):
            yield from _small(run, cohort, endpoint)
        if endpoint.figure == "response":
            yield from _responders(run, cohort, endpoint)
        elif endpoint.figure == "event":
            yield from _event(run, cohort, endpoint)


def registered(run: Run) -> frozenset[str]:
    """Return the endpoints that the trial file itself names; without a trial the primary and secondary ones.

    Parameters
    ----------
    run
        The finished run.
    """
    if run.study.trial is None:
        return frozenset(e.id for e in run.study.endpoints if e.role != "exploratory")
    return frozenset(one.id for e in run.study.trial.endpoints for one in e.expanded())


def endpoint_drawing(run: Run, cohort: str, endpoint: str, *, small: bool = False) -> partial:
    """Return what draws an endpoint's figure in a cohort, without the run.

    Parameters
    ----------
    run
        The finished run.
    cohort
        Name of the cohort; empty in a study without cohorts.
    endpoint
        Endpoint id.
    small
        As for `endpoint_figure`.
    """
    rows = run.shown_rows(endpoint, cohort)
    return partial(endpoint_figure, endpoint, run.declared.get(endpoint), [rows], run.calendar, small=small)


def _small(run: Run, cohort: str, endpoint: Endpoint) -> Iterator[ReportFigure]:
    """Yield the small figure, and a course where no other full figure of the endpoint is made."""
    caption = f"{run.label_of(endpoint.id).axis}{of_cohort(cohort)}"
    full = _full_name(run, cohort, endpoint)
    if not full:
        full = figure_name("course", endpoint.id, cohort)
        rows = run.shown_rows(endpoint.id, cohort)["endpoints"]
        said = f"{caption}, over actual study days. Described, not compared."
        draw = endpoint_drawing(run, cohort, endpoint.id)
        yield ReportFigure(full, endpoint.role, said, draw, rows, endpoint=endpoint.id)
    draw = endpoint_drawing(run, cohort, endpoint.id, small=True)
    name = figure_name("small", endpoint.id, cohort)
    yield ReportFigure(name, "small", caption, draw, pd.DataFrame(), cohort=cohort, endpoint=endpoint.id, full=full)


def _full_name(run: Run, cohort: str, endpoint: Endpoint) -> str:
    """Return the name of the figure that other modules make of an endpoint; empty where none does."""
    rows = run.shown_rows(endpoint.id, cohort)
    for table, kind in (("time_to_event", "survival"), ("responders", "responders"), ("event_counts", "event")):
        if len(rows[table]):
            return figure_name(kind, endpoint.id, cohort)
    if run.endpoints["visit"].nunique() == 1:
        return figure_name("one_visit", cohort, endpoint.id)
    if rows["shifts"].empty or endpoint.figure not in ("pairs", "slopes"):
        return ""
    if endpoint.figure == "slopes":
        return figure_name("slopes", endpoint.id, cohort) if rows["pairs"]["shift"].notna().any() else ""
    return figure_name("paired", endpoint.id, cohort)


def _responders(run: Run, cohort: str, endpoint: Endpoint) -> Iterator[ReportFigure]:
    rows = run.shown_rows(endpoint.id, cohort)["responders"]
    if rows.empty:
        return
    lacking = rows[rows["n_evaluable"] < rows["n_patients"]]
    shares = "; ".join(
        f"{row['visit']}: {row['n_responders']} of {row['n_evaluable']}, {number(row['percent'])} % "
        f"[{number(row['ci_low'])}, {number(row['ci_high'])}]"
        for _, row in rows.iterrows()
    )
    caption = (
        f"Responders by {endpoint.response}{of_cohort(cohort)}: {rows['criterion'].iloc[0]}. "
        f"{endpoint.role.capitalize()} endpoint, at its registered visits, with exact 95 % intervals; under the axis "
        f"responders / evaluable patients. {shares}."
    )
    if len(lacking):
        caption += " Open: of all patients enrolled, a missing response counted as none."
    draw = endpoint_drawing(run, cohort, endpoint.id)
    name = figure_name("responders", endpoint.id, cohort)
    yield ReportFigure(name, endpoint.role, caption, draw, rows, endpoint=endpoint.id)


def _event(run: Run, cohort: str, endpoint: Endpoint) -> Iterator[ReportFigure]:
    rows = run.shown_rows(endpoint.id, cohort)["event_counts"]
    if rows.empty:
        return
    row = rows.iloc[0]
    squares = _squares_in_words(row, not_counted(run, cohort, endpoint))
    caption = f"{capital(display_name(endpoint.id))}{of_cohort(cohort)}: {squares}"
    draw = endpoint_drawing(run, cohort, endpoint.id)
    yield ReportFigure(
        figure_name("event", endpoint.id, cohort), endpoint.role, caption, draw, rows, endpoint=endpoint.id
    )


def _squares_in_words(row: pd.Series, without: Sequence[Absence]) -> str:
    """Return what the squares of an event and the line below them are, with the numbers."""
    named = not pd.isna(row.get("registered_window"))
    inside, percent, low, high = row[[*(_IN_WINDOW if named else _OVERALL)]]
    window = f" in the registered window ({row['registered_window']})" if named else ""
    share = "" if pd.isna(percent) else f", {number(percent)} % [{number(low)}, {number(high)}], exact 95 % interval"
    late = ", or first seen later," if row["n_with_event"] > inside else ""
    missing = f" Not counted: {in_words(without)}." if without else ""
    return (
        f"each square a patient, n = {row['n_patients']} enrolled; {row['n_at_risk']} could have the event, "
        f"{row['n_followed']} of them were followed, {inside} had it{window}{share}. Thin line: if all, or none, of "
        f"those not followed{late} had it. Rule as computed: {row['rule']}.{missing}"
    )


FIGURES = FigureSet(8, per_cohort=endpoint_figures)
