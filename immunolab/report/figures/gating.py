"""Each patient's gates, visit beside visit: those of the study's endpoints and all that they are gated in."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import partial

import pandas as pd

from immunolab.plots.gate_views import read_views
from immunolab.plots.gating_visits import VISITS_ACROSS, gating_visits, needed_paths, pages_of_gates
from immunolab.report.figure import FigureSet, ReportFigure, figure_name
from immunolab.results.run import Run
from immunolab.schema.flags import Flag, split
from immunolab.schema.gating import COUNTS
from immunolab.study.sheet import Sample
from immunolab.vocabulary.display_names import display_name

_ON_PAGE = 12  # pages whose picture is in the report; links lead to the others


def gating_figures(run: Run) -> Iterator[ReportFigure]:
    """Yield pages of every patient and panel whose samples have gate views."""
    made, counts = 0, dict(list(run.counts.groupby("sample_id", sort=False)))
    for (patient, panel), samples in _by_patient(run).items():
        gates = _gates(run, samples)
        for start in range(0, len(samples), VISITS_ACROSS):
            some = samples[start : start + VISITS_ACROSS]
            for page, part in enumerate(pages_of_gates(gates, len(some)), start=1):
                made += 1
                number = f"{page}.{start // VISITS_ACROSS + 1}" if len(samples) > VISITS_ACROSS else f"{page}"
                yield _figure(run, patient, panel, some, _counted(counts, some), part, number, made <= _ON_PAGE)


def _by_patient(run: Run) -> dict[tuple[str, str], list[Sample]]:
    """Return the samples with views, unstimulated tubes and stimulated ones apart, in the order of their days."""
    found: dict[tuple[str, str], list[Sample]] = {}
    for sample in run.samples:
        if (run.folder / "samples" / sample.sample_id / "views.npz").exists():
            found.setdefault((sample.patient_id, sample.panel), []).append(sample)
    late = float("inf")
    return {who: sorted(own, key=lambda s: late if s.study_day is None else s.study_day) for who, own in found.items()}


def _gates(run: Run, samples: Sequence[Sample]) -> list[tuple[str, str]]:
    """Return path and part of every gate that an endpoint needs, by the views of the first sample that has them."""
    views = read_views(run.folder / "samples" / samples[0].sample_id / "views.npz")
    populations = [name for endpoint in run.study.endpoints for name in endpoint.needs.populations]
    wanted = needed_paths([view.path for view in views], populations)
    return [(view.path, view.part) for view in views if view.path in wanted]


def _counted(counts: Mapping[Hashable, pd.DataFrame], samples: Sequence[Sample]) -> pd.DataFrame:
    """Return the counts of some samples in the order of the whole table, found without going through it."""
    own = [counts[s.sample_id] for s in samples if s.sample_id in counts]
    return pd.concat(own).sort_index() if own else COUNTS.frame([])


def _figure(
    run: Run,
    patient: str,
    panel: str,
    samples: Sequence[Sample],
    counts: pd.DataFrame,
    gates: Sequence[tuple[str, str]],
    page: str,
    on_page: bool,
) -> ReportFigure:
    visits = {_column(s, samples): run.folder / "samples" / s.sample_id / "views.npz" for s in samples}
    title = f"{patient}{', panel ' + panel if panel else ''}, page {page}"
    data = counts[counts["path"].isin([path for path, _ in gates])]
    names = ", ".join(dict.fromkeys(display_name(path.rsplit("/", 1)[-1]) for path, _ in gates))
    caption = (
        f"Gates of {title}: {names}; one column a visit, each gate on the same axes at all visits. Numbers are percent "
        "of the parent; the CSV has the counts."
    )
    moved = data.loc[[Flag.OVERRIDDEN in split(words) for words in data["flag"]]]
    column_of = {s.sample_id: _column(s, samples) for s in samples}
    if len(moved):
        by_reader = [f"{display_name(r.population)} at {column_of[r.sample_id]}" for r in moved.itertuples()]
        caption += f" A reader placed the gate of {', '.join(by_reader)}."
    draw = partial(gating_visits, visits, gates, title=title)
    name = figure_name("gating", patient, panel, page)
    files = (".pdf", ".svg", ".png") if on_page else (".png",)  # a PDF and an SVG take four times as long as a PNG
    return ReportFigure(
        name, "gating", caption, draw, data, wide=True, on_page=on_page, suffixes=files, patient=patient
    )


def _column(sample: Sample, samples: Sequence[Sample]) -> str:
    """Return the visit, with the sample's id where a visit has several tubes."""
    alone = sum(other.visit == sample.visit for other in samples) == 1
    return sample.visit if alone else f"{sample.visit} {sample.sample_id}"


FIGURES = FigureSet(80, per_run=gating_figures)
