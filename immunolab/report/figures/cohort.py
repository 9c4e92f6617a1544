"""Figures of a cohort: where its patients went, the forest, each endpoint's pairs and course."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import pandas as pd

from immunolab.plots.change import ratio_decomposition
from immunolab.plots.flow_chart import flow_chart, flow_chart_height
from immunolab.plots.labels import EndpointLabel
from immunolab.plots.paired import paired_words
from immunolab.plots.shifts import forest, forest_height
from immunolab.plots.style import HALF, MM, WIDTH
from immunolab.plots.trajectories import spaghetti
from immunolab.report.disposition import flow_counts
from immunolab.report.figure import FigureSet, ReportFigure, figure_name, of_cohort, on_axes
from immunolab.report.figures.endpoints import CHANGE_KEY, endpoint_drawing
from immunolab.results.cohort_rows import in_cohort, rows_of
from immunolab.results.run import Run
from immunolab.results.sentences import change_sentence, equivalence_sentence

_MOST_IN_HALF = 20  # patients whose names fit under half a page
_SHARES = (
    "As the shares of one parent sum to 100 %, a share moves a few percent when its siblings do, without any change of "
    "its own cells: absolute counts show which it is."
)


def cohort_figures(run: Run, cohort: str) -> Iterator[ReportFigure]:
    """Yield a cohort's flow chart, forest, and of each compared endpoint the pairs, the course and a ratio's parts.

    Parameters
    ----------
    run
        The finished run.
    cohort
        Name of the cohort; empty in a study without cohorts.
    """
    shifts = run.shifts_of(cohort)
    named = run.labels
    yield _flow_chart(run, cohort)
    if shifts.empty:
        return
    yield _forest(run, cohort, shifts)
    others = [e.id for e in run.study.endpoints if e.figure != "pairs"]  # drawn beside the clinic
    for role in ("primary", "secondary", "exploratory"):
        for _, row in shifts[(shifts["role"] == role) & ~shifts["endpoint"].isin(others)].iterrows():
            yield _paired(run, cohort, row)
            if role != "exploratory":
                yield from _course(run, cohort, row)
            yield from _decomposition(run, cohort, row, named)


def _flow_chart(run: Run, cohort: str) -> ReportFigure:
    data = flow_counts(run, cohort)
    caption = (
        f"Where patients and samples went{of_cohort(cohort)}: in the sheet, at each visit, and in the pairs of each "
        "primary (else the first secondary) endpoint. Who was screened and not included is not in the sheet."
    )
    draw = partial(on_axes, partial(flow_chart, data), WIDTH, flow_chart_height(data))
    return ReportFigure(figure_name("flow", cohort), "cohort", caption, draw, data, wide=True)


def _forest(run: Run, cohort: str, shifts: pd.DataFrame) -> ReportFigure:
    caption = (
        f"Cohort's change of every endpoint{of_cohort(cohort)}, later visit against earlier, with 95 % confidence "
        f"interval, n pairs of visits, p (unadjusted) and q (adjusted within its family: "
        f"{'; '.join(dict.fromkeys(map(str, shifts['adjustment'])))}). The primary endpoint is marked by a diamond."
    )
    controls = negative_controls(run)
    if controls & set(shifts["endpoint"]):
        caption += f" Negative controls, of which no change is expected, say so and are in no family. {_SHARES}"
    draw = partial(on_axes, partial(forest, shifts, run.labels, controls=controls), WIDTH, forest_height(shifts))
    return ReportFigure(figure_name("forest", cohort), "cohort", caption, draw, shifts, wide=True)


def negative_controls(run: Run) -> frozenset[str]:
    """Return the endpoints that the trial declares as negative controls."""
    return frozenset(e.id for e in run.study.endpoints if e.negative_control)


def _paired(run: Run, cohort: str, row: pd.Series) -> ReportFigure:
    endpoint = str(row["endpoint"])
    rows = run.shown_rows(endpoint, cohort)
    caption = (
        f"{run.label_of(endpoint).axis}{of_cohort(cohort)}. {CHANGE_KEY} "
        f"{paired_words(rows['endpoints'], rows['pairs'], rows['shifts'])} Seed {run.seed}."
    )
    if endpoint in negative_controls(run):
        caption += f" Negative control: no change is expected.{equivalence_sentence(row)} {_SHARES}"
    return ReportFigure(
        figure_name("paired", endpoint, cohort),
        str(row["role"]),
        caption,
        endpoint_drawing(run, cohort, endpoint),
        rows["pairs"],
        endpoint=endpoint,
        alt=change_sentence(run.label_of(endpoint), row, run.contrast_of(endpoint)),
    )


def _course(run: Run, cohort: str, row: pd.Series) -> Iterator[ReportFigure]:
    """Yield the course of a subset counted at more than two visits; the clinic's courses have figures together."""
    endpoint = str(row["endpoint"])
    samples = rows_of(run.endpoints, endpoint, cohort)
    counted = samples["n_events"].notna().any()
    if not counted or samples["visit"].nunique() <= 2 or samples["study_day"].isna().all():
        return
    draw = partial(on_axes, partial(spaghetti, samples, endpoint, run.calendar), WIDTH, 72 * MM)
    caption = (
        f"{run.label_of(endpoint).axis}{of_cohort(cohort)}, over actual study days. Grey: patients, with a gap where a "
        "visit is missing; colour: median and quartiles at each visit; shaded: treatment. Described, not tested."
    )
    yield ReportFigure(figure_name("course", endpoint, cohort), str(row["role"]), caption, draw, samples, wide=True)


def _decomposition(run: Run, cohort: str, row: pd.Series, named: Mapping[str, EndpointLabel]) -> Iterator[ReportFigure]:
    """Yield what a ratio's change is made of, where both parts are endpoints of the ratio's parent."""
    declared, ratio = run.declared.get(str(row["endpoint"])), named.get(str(row["endpoint"]))
    if declared is None or declared.ratio is None or ratio is None:
        return
    shares = {(n.population, n.parent): n for n in named.values() if n.unit == "%"}
    parts = [shares[name, ratio.parent] for name in declared.ratio if (name, ratio.parent) in shares]
    if len(parts) != 2:
        return
    pairs = run.pairs
    own = pairs[in_cohort(pairs, cohort) & pairs["endpoint"].isin([p.endpoint for p in parts])]
    wide = own["patient_id"].nunique() > _MOST_IN_HALF
    draw = partial(on_axes, partial(ratio_decomposition, own, *parts), WIDTH if wide else HALF, 92 * MM)
    caption = (
        f"What the change of {ratio.population}{of_cohort(cohort)} is made of: log2 change of {parts[0].axis} minus "
        f"that of {parts[1].axis}, patient by patient."
    )
    yield ReportFigure(figure_name("parts", ratio.endpoint, cohort), str(row["role"]), caption, draw, own, wide)


FIGURES = FigureSet(10, per_cohort=cohort_figures)
