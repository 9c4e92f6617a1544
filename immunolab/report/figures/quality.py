"""Figures of the whole run: where borders were placed, checks in run order, flow against single cells."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import pandas as pd

from immunolab.plots.agreement import method_plot
from immunolab.plots.drift import BORDERS_ON_PAGE, borders, gate_drift
from immunolab.plots.landmark_drift import MARKERS_ON_PAGE, landmark_drift
from immunolab.plots.quality import check_over_run
from immunolab.plots.style import HALF, MM, WIDTH
from immunolab.quality.batch_drift import drift_sentences
from immunolab.report.figure import FigureSet, ReportFigure, figure_name, on_axes
from immunolab.results.run import Run
from immunolab.schema.flags import Check
from immunolab.study.batch_order import batches_in_order
from immunolab.vocabulary.display_names import display_name, parent_name

_CHECKS = ("events", "dead")
_MOST_BAD = 20  # samples named in a caption; the quality table has all


def run_figures(run: Run) -> Iterator[ReportFigure]:
    """Yield the figures of the whole run: where the borders were placed, and the checks, in run order."""
    order, batches = _run_order(run), {s.sample_id: s.batch for s in run.samples if s.batch}
    words = "Samples in the order of the sheet's study days within batches; colours are batches."
    borders = run.thresholds.dropna(subset=["threshold", "marker"])
    fitted = borders[~borders["control"].isin(["fixed", "imported"])]
    panels = {s.sample_id: s.panel for s in run.samples}
    for panel in dict.fromkeys(panels.values()):
        own = fitted[fitted["sample_id"].map(panels) == panel]
        tubes = [sample for sample in order if panels.get(sample) == panel]
        yield from _drift(own, tubes, batches, words, panel, first=panel == next(iter(panels.values())))
    yield from _landmarks(run.table("drift"))
    for check in _CHECKS:
        rows = run.quality[run.quality["check"] == check]
        if rows["value"].notna().any():
            draw = partial(on_axes, partial(check_over_run, rows, check, order, batches=batches), WIDTH, 62 * MM)
            yield ReportFigure(
                figure_name("check", check), "quality", f"{_checked(rows, check)} {words}", draw, rows, wide=True
            )
    yield from _agreement_figures(run.table("method_pairs"), run.table("method_agreement"))


def _drift(
    fitted: pd.DataFrame, order: list[str], batches: dict[str, str], words: str, panel: str, *, first: bool
) -> Iterator[ReportFigure]:
    """Yield where the borders of a panel's tubes were placed, so many to a page; dyes of two panels are no drift."""
    panels = list(borders(fitted, order))
    for page in range(-(-len(panels) // BORDERS_ON_PAGE)):
        some = panels[page * BORDERS_ON_PAGE : (page + 1) * BORDERS_ON_PAGE]
        own = {(marker, population) for marker, populations, _ in some for population in populations}
        shown = [pair in own for pair in zip(fitted["marker"], fitted["population"], strict=True)]
        caption = (
            f"{f'Panel {panel}: where' if panel else 'Where'} each border was placed in each sample, with its 95 % "
            "interval, on the display scale of its gate; "
            f"ticks: instrument units at the lowest, middle and highest border; open: doubtful. {words}"
        )
        name = figure_name("gate_drift", "" if first else panel, str(page + 1) if page else "")
        yield ReportFigure(name, "quality", caption, partial(gate_drift, fitted[shown], order, batches=batches),
                           fitted[shown], wide=True)  # fmt: skip


def _landmarks(drift: pd.DataFrame) -> Iterator[ReportFigure]:
    """Yield how bright landmark populations are batch by batch, a panel and so many markers to a figure."""
    for panel, rows in drift.groupby(drift["panel"].fillna(""), sort=False):
        markers = list(dict.fromkeys(rows["marker"]))
        for page in range(-(-len(markers) // MARKERS_ON_PAGE)):
            some = rows[rows["marker"].isin(markers[page * MARKERS_ON_PAGE : (page + 1) * MARKERS_ON_PAGE])]
            steps = drift_sentences(some)
            said = "; ".join(steps) if steps else _no_step(some)
            of = f"Panel {panel}: " if panel else ""
            n = int(some.groupby(["marker", "population"])["n_samples"].sum().max())
            caption = (
                f"{of}median of each marker in landmark populations, those without it among them, by batch (at most "
                f"{n} samples in {some['batch'].nunique()} batches), from its mean over the batches; red: the batch "
                f"from which on the level is another one, beyond what batches differ in all markers. {said}."
            )
            name = figure_name("landmark_drift", str(panel), str(page + 1) if page else "")
            yield ReportFigure(name, "quality", caption, partial(landmark_drift, some), some, wide=True)


def _no_step(drift: pd.DataFrame) -> str:
    """Return that no marker steps, and which step such batches would show, in words."""
    detectable = drift.drop_duplicates("marker")["detectable"].dropna()
    if detectable.empty:
        return "Too few batches or tubes to see a step of any marker, of whatever size"
    times = math.exp(float(detectable.median()))
    return f"No marker steps; in half of the markers one of {times:.2g} times would be found 95 times in 100"


def _checked(rows: pd.DataFrame, check: str) -> str:
    """Return what the check counts, its number of samples, and those that warn or fail by name."""
    bad = rows.loc[rows["value"].notna() & (rows["status"] != "ok"), "sample_id"]
    named = f": {', '.join(map(str, bad[:_MOST_BAD]))}{' …' if len(bad) > _MOST_BAD else ''}" if len(bad) else ""
    n = int(rows["value"].notna().sum())
    counted = Check(check).meaning
    return f"Check '{check}', {counted}: n = {n} samples; {len(bad)} warn or fail (red){named}."


def _agreement_figures(pairs: pd.DataFrame, summary: pd.DataFrame) -> Iterator[ReportFigure]:
    """Yield, for each endpoint, single cells against flow of the same visits."""
    for endpoint in summary["endpoint"]:
        own, row = pairs[pairs["endpoint"] == endpoint], summary[summary["endpoint"] == endpoint]
        first = row.iloc[0]
        draw = partial(on_axes, partial(method_plot, own, row, ("flow", "single cells")), HALF, 62 * MM)
        caption = (
            f"{display_name(str(first['population']))}, % of {parent_name(str(first['parent']))}, by flow and by "
            "single cells of the same visits: line, mean difference in log odds; band, limits of agreement (1.96 sd)."
        )
        yield ReportFigure(figure_name("agreement", str(endpoint)), "quality", caption, draw, own)


def _run_order(run: Run) -> list[str]:
    measured = set(run.counts["sample_id"])
    own = [s for s in run.samples if s.sample_id in measured]
    days = run.table("acquisitions").dropna(subset=["day"]).groupby("batch")["day"].min()
    ordered = batches_in_order({s.batch: days.get(s.batch) for s in own if s.batch})
    place = {name: i for i, name in enumerate(ordered)}
    return [s.sample_id for s in sorted(own, key=lambda s: (place.get(s.batch, -1), s.study_day or 0))]


FIGURES = FigureSet(90, per_run=run_figures)
