"""The figures of a report, each with its caption and the data it was drawn from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from immunolab.plots.agreement import method_plot
from immunolab.plots.change import ratio_decomposition
from immunolab.plots.flow_chart import flow_chart, flow_chart_height
from immunolab.plots.gates import gate_drift
from immunolab.plots.labels import EndpointLabel
from immunolab.plots.quality import check_over_run
from immunolab.plots.shifts import forest, forest_height, paired_lines
from immunolab.plots.style import HALF, MM, WIDTH, figure, save
from immunolab.plots.trajectories import spaghetti
from immunolab.report.disposition import flow_counts
from immunolab.results.run import Run, in_cohort
from immunolab.schema.tables import declared

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CHECKS = ("events", "viability")
ROWS_OF_PATIENTS = 60  # of a heat map or strip
PICTURES_ON_PAGE = 100  # of one kind (pages of patients, contact sheets); the page leads to the others
_SHARES = (
    "As the shares of one parent sum to 100 %, a share moves a few percent when its siblings do, without any change of "
    "its own cells: absolute counts tell the two apart."
)


@dataclass(frozen=True)
class ReportFigure:
    """A figure that can be drawn anywhere: it holds its data and nothing of the run besides.

    Attributes
    ----------
    name : of its files, ``figures/NAME.pdf``, ``.png`` and ``.csv``.
    section : ``cohort``, ``primary``, ``secondary``, ``exploratory``, ``clinic``, ``patients``, ``one_pagers`` or
        ``quality``.
    caption : definition, denominator, test, n and seed in words; also the text for readers without the picture.
    draw : makes the figure.
    data : what it shows, row by row.
    wide : whether it takes the page's full width.
    cohort : whose figure it is; empty for figures of the whole run and of a study without cohorts.
    on_page : whether the page holds its picture, or only leads to it.
    """

    name: str
    section: str
    caption: str
    draw: Callable[[], Figure]
    data: pd.DataFrame
    wide: bool = False
    cohort: str = ""
    on_page: bool = True


@dataclass(frozen=True)
class Written:
    """A figure on disk and its picture for the page (base64 of a PNG; "" where the page only leads to it)."""

    name: str
    section: str
    caption: str
    picture: str
    wide: bool
    cohort: str


def cohort_figures(run: Run, cohort: str) -> Iterator[ReportFigure]:
    """Yield a cohort's figures: where its patients went, the forest, each endpoint's pairs and course."""
    for made in _cohort_figures(run, cohort):
        yield replace(made, cohort=cohort)


def _cohort_figures(run: Run, cohort: str) -> Iterator[ReportFigure]:
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


def run_figures(run: Run) -> Iterator[ReportFigure]:
    """Yield the figures of the whole run: where the borders were placed, and the checks, in run order."""
    order, batches = _run_order(run), {s.sample_id: s.batch for s in run.samples if s.batch}
    words = "Samples in the order of the sheet's study days within batches; colours are batches."
    borders = run.thresholds.dropna(subset=["threshold", "marker"])
    fitted = borders[~borders["control"].isin(["fixed", "imported"])]
    if len(fitted):
        draw = partial(gate_drift, fitted, order, batches=batches)
        caption = f"Where each border was placed in each sample, with its 95 % interval. {words}"
        yield ReportFigure("gate_drift", "quality", caption, draw, fitted, wide=True)
    for check in _CHECKS:
        rows = run.quality[run.quality["check"] == check]
        if rows["value"].notna().any():
            draw = partial(on_axes, partial(check_over_run, rows, check, order, batches=batches), HALF, 62 * MM)
            yield ReportFigure(figure_name("check", check), "quality", f"Check '{check}'. {words}", draw, rows)
    yield from _agreement_figures(run.table("method_pairs"), run.table("method_agreement"))


def _agreement_figures(pairs: pd.DataFrame, summary: pd.DataFrame) -> Iterator[ReportFigure]:
    """Yield, for each endpoint, single cells against flow of the same visits."""
    for endpoint in summary["endpoint"]:
        own, row = pairs[pairs["endpoint"] == endpoint], summary[summary["endpoint"] == endpoint]
        draw = partial(on_axes, partial(method_plot, own, row, ("flow", "single cells")), HALF, 62 * MM)
        caption = (
            f"{row['population'].iloc[0]} of {row['parent'].iloc[0]} by flow and by single cells of the same visits: "
            "line, mean difference in log odds; band, limits of agreement (1.96 sd)."
        )
        yield ReportFigure(figure_name("agreement", str(endpoint)), "quality", caption, draw, own)


def _run_order(run: Run) -> list[str]:
    measured = set(run.counts["sample_id"])
    own = [s for s in run.samples if s.sample_id in measured]
    return [s.sample_id for s in sorted(own, key=lambda s: (s.batch, s.study_day if s.study_day is not None else 0))]


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
        caption += f" Negative controls, of which no change is expected, say so. {_SHARES}"
    draw = partial(on_axes, partial(forest, shifts, run.labels, controls=controls), WIDTH, forest_height(shifts))
    return ReportFigure(figure_name("forest", cohort), "cohort", caption, draw, shifts, wide=True)


def negative_controls(run: Run) -> frozenset[str]:
    """Return the endpoints that the trial declares as negative controls."""
    return frozenset(e.id for e in run.study.endpoints if e.negative_control)


def _paired(run: Run, cohort: str, row: pd.Series) -> ReportFigure:
    endpoint = str(row["endpoint"])
    samples, pairs = _rows(run.endpoints, cohort, endpoint), _rows(run.pairs, cohort, endpoint)
    shifts = _rows(run.shifts, cohort, endpoint)
    remark = "negative control: no change is expected" if endpoint in negative_controls(run) else ""
    draw = partial(on_axes, partial(paired_lines, samples, pairs, shifts, endpoint, remark=remark), HALF, 92 * MM)
    caption = (
        f"{run.label_of(endpoint).axis}{of_cohort(cohort)}. One line a patient, n = {row['n_pairs']} pairs; bars: "
        f"medians; open symbols: below what can be quantified. {str(row['role']).capitalize()} endpoint. Test: "
        f"{row['method']}; {row['adjustment']}; seed {run.seed}."
    )
    if remark:
        caption += f" {remark.capitalize()}. {_SHARES}"
    return ReportFigure(figure_name("paired", endpoint, cohort), str(row["role"]), caption, draw, pairs)


def _course(run: Run, cohort: str, row: pd.Series) -> Iterator[ReportFigure]:
    """Yield the course of a subset counted at more than two visits; the clinic's courses have figures together."""
    endpoint = str(row["endpoint"])
    samples = _rows(run.endpoints, cohort, endpoint)
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
    draw = partial(on_axes, partial(ratio_decomposition, own, *parts), HALF, 92 * MM)
    caption = (
        f"What the change of {ratio.population}{of_cohort(cohort)} is made of: log2 change of {parts[0].axis} minus "
        f"that of {parts[1].axis}, patient by patient."
    )
    yield ReportFigure(figure_name("parts", ratio.endpoint, cohort), str(row["role"]), caption, draw, own)


def on_axes(plot: Callable[..., Axes], width: float, height: float) -> Figure:
    """Return a figure of a size in inches with one plot on it."""
    fig = figure(width, height)
    plot(ax=fig.add_subplot())
    return fig


def _rows(table: pd.DataFrame, cohort: str, endpoint: str) -> pd.DataFrame:
    return table[(table["endpoint"] == endpoint) & in_cohort(table, cohort)]


def unique(made: Iterable[ReportFigure]) -> Iterator[ReportFigure]:
    """Yield figures with names that no earlier one has; names differ by letters, so cases are one."""
    taken: dict[str, int] = {}
    for one in made:
        count = taken[one.name.lower()] = taken.get(one.name.lower(), 0) + 1
        yield one if count == 1 else replace(one, name=f"{one.name}-{count}")


def write_figure(made: ReportFigure, folder: Path) -> Written:
    """Draw a figure, write its PDF, PNG and CSV, and return its picture for the page."""
    drawn = made.draw()
    save(drawn, folder / f"{made.name}.pdf")
    save(drawn, folder / f"{made.name}.png")
    declared(f"figures/{made.name}").write_as_given(made.data, folder / f"{made.name}.csv")
    picture = embedded(folder / f"{made.name}.png", 2) if made.on_page else ""
    return Written(made.name, made.section, made.caption, picture, made.wide, made.cohort)


def embedded(path: Path, smaller: int) -> str:
    """Return a PNG file, so many times smaller, as base64 text for the page."""
    from base64 import b64encode
    from io import BytesIO

    from PIL import Image

    with Image.open(path) as image:
        small = image.convert("RGB").reduce(smaller)
    buffer = BytesIO()
    small.quantize(64, method=Image.Quantize.FASTOCTREE).save(buffer, format="PNG")
    return b64encode(buffer.getvalue()).decode("ascii")


def pages(patients: Sequence[object], most: int) -> Iterator[tuple[str, Sequence[object]]]:
    """Yield so many patients at a time, with the page's number as text: "" where one page holds them all."""
    for start in range(0, max(1, len(patients)), most):
        yield (str(start // most + 1) if len(patients) > most else ""), patients[start : start + most]


def of_cohort(cohort: str) -> str:
    """Return the words that name a cohort in a caption; none for a study without cohorts."""
    return f", cohort {cohort}" if cohort else ""


def figure_name(*parts: str) -> str:
    """Return a file name from words, safe on every system."""
    return re.sub(r"[^A-Za-z0-9_.+-]+", "_", "_".join(part for part in parts if part))
