"""A finished run computed again: from its tables, and from the headers and events of its tubes' files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from immunolab.comparison.bridge_charts import chart_rows
from immunolab.errors import ImmunolabError, Problem
from immunolab.quality.acquisition import acquisition_table
from immunolab.quality.staining_sample import STAINING_EVENTS
from immunolab.quality.topics import TOPICS
from immunolab.report.table_diff import CHANGED, file_in, file_of, read_written, row_differences
from immunolab.report.verify import verify
from immunolab.report.verify_bridges import panel_gates
from immunolab.results.run import Run
from immunolab.schema.across_tubes import ACQUISITIONS, LANDMARKS, SAMPLE_FLOW, SPILLOVER
from immunolab.schema.bridges import BRIDGE_CHANNELS, BRIDGE_MOVES, BRIDGES, CHART_LIMITS
from immunolab.schema.gating import COUNTS, QUALITY
from immunolab.schema.table import Table
from immunolab.study.sheet import Sample, Study, read_study
from immunolab.workflow.across_tubes import checks_across_tubes, tube_headers
from immunolab.workflow.bridge import follow_bridges, run_order
from immunolab.workflow.bridge_tables import bridge_values, channel_rows
from immunolab.workflow.measured_again import COUNTED, TubeAgain, measured_again
from immunolab.workflow.panels import PanelGates
from immunolab.workflow.quantify import held_counts
from immunolab.workflow.store import Store

_ELSEWHERE = ("beads", "single cells")  # topics whose checks are made of other tables
_FROM_EVENTS = [check for topic, checks in TOPICS.items() if topic not in _ELSEWHERE for check in checks]
_NAMES = {
    COUNTS.name: ("sample_id", "path"),
    LANDMARKS.name: ("sample_id", "population", "marker"),
    SPILLOVER.name: ("sample_id", "dye", "detector"),
    ACQUISITIONS.name: ("sample_id",),
    BRIDGES.name: ("sample_id", "endpoint"),
    BRIDGE_CHANNELS.name: ("sample_id", "landmark", "marker"),
    QUALITY.name: ("sample_id", "check"),
    BRIDGE_MOVES.name: ("batch_from", "batch_to", "bridge", "population", "marker"),
}
_OF_TUBE = [name for name in BRIDGES.names if name not in (*CHART_LIMITS, "deviation", "status")]  # limits: elsewhere
_SHOWN = 3  # tubes that a message names


def verify_run(run: Run, jobs: int = 1) -> list[Problem]:
    """Return everything in a run's folder that no longer agrees with the run, its manifest, its files or itself.

    Parameters
    ----------
    run
        The finished run; its tables are read from the CSV files in its folder.
    jobs
        Tubes at once.

    Raises
    ------
    InputError
        The run wrote no manifest.
    """
    return [*verify(run), *tube_differences(run, jobs)]


def tube_differences(run: Run, jobs: int = 1) -> Iterator[Problem]:
    """Yield every number that the headers and events of a run's files do not give again.

    Computed again are the events of every population, landmarks, what compensation leaves, acquisitions, checks, the
    events that stains are compared by, and runs, channels and moves of bridging controls.

    Parameters
    ----------
    run
        The finished run.
    jobs
        Tubes at once; each worker holds one.
    """
    if not file_in(run, SAMPLE_FLOW).exists():
        return  # of a run before there were tables across tubes
    study = _with_dates(run)
    if study is None:
        text = "not computed again from the tubes' files: study.yaml, its sheet or a file of it cannot be read"
        yield Problem(file_of(LANDMARKS), "", text, "put the files back where the run read them")
        return
    names = [sample.sample_id for sample in _counted_tubes(run, study)]
    with TemporaryDirectory() as place:
        sampled = _compared_by_events(run, study)
        found = measured_again(run, study, names, Path(place), sampled=sampled, jobs=jobs)
        yield from _compared(run, study, found)


def _with_dates(run: Run) -> Study | None:
    """Return the study with the dates of its sheet, which a run does not keep; None where it cannot be read."""
    try:
        dates = {sample.sample_id: sample.date for sample in read_study(run.study.source).samples}
    except (ImmunolabError, OSError):
        return None
    return replace(run.study, samples=tuple(replace(s, date=dates.get(s.sample_id)) for s in run.study.samples))


def _counted_tubes(run: Run, study: Study) -> list[Sample]:
    counted = set(run.table(COUNTS.name)["sample_id"].astype(str))
    return [s for s in study.samples if s.sample_id in counted and s.modality != "single_cell"]


def _compared_by_events(run: Run, study: Study) -> set[str]:
    """Return the tubes that bridging controls were compared by: those that the run drew events of."""
    if not study.bridges:
        return set()
    follows = study.quality.bridge == "follow"
    bridges = {s.sample_id for s in study.bridges}
    scaled = set(run.table("scales")["panel"].fillna("").astype(str))
    drawn = {name for name, panel in _panel_gates(run).items() if panel.gates.needs_fit} | scaled
    return {s.sample_id for s in study.samples if follows or s.sample_id in bridges or s.panel in drawn}


def _panel_gates(run: Run) -> dict[str, PanelGates]:
    """Return the panels as far as following a bridge looks at them: whether events place their gates."""
    return {name: PanelGates(gates, (), "") for name, gates in panel_gates(run).items()}


def _compared(run: Run, study: Study, found: Sequence[TubeAgain | str]) -> Iterator[Problem]:
    cells = [s.sample_id for s in study.samples if s.modality == "single_cell"]
    tubes = [one for one in found if not isinstance(one, str)]
    lost = [one for one in found if isinstance(one, str)]
    counts = [row for tube in tubes for row in tube.counts]
    landmarks = [row for tube in tubes for row in tube.landmarks]
    # of a run before there was this table nothing is compared with it
    pairs = [row for tube in tubes for row in tube.spillover] if file_in(run, SPILLOVER).exists() else []
    again = ((COUNTS, counts, COUNTED), (LANDMARKS, landmarks, LANDMARKS.names), (SPILLOVER, pairs, SPILLOVER.names))
    for table, rows, columns in again:
        frame = pd.DataFrame(rows, columns=list(columns))  # with its columns where there is no row
        yield from _differences(run, table, frame, columns, without=(*lost, *cells))
    for tube in tubes:
        if not tube.stains_kept:
            text = "the events that stains are compared by are not those of the tube's file"
            yield Problem(f"samples/{tube.name}/{STAINING_EVENTS}", "", text, CHANGED)
    if lost:
        more = f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
        text = f"not computed again of {', '.join(lost[:_SHOWN])}{more}, nor are checks and tables across tubes"
        yield Problem(file_of(LANDMARKS), "", text, "put the files back as the run read them")
        return
    samples = _counted_tubes(run, study)
    headers = list(tube_headers(samples))
    yield from _differences(run, ACQUISITIONS, acquisition_table(headers), ACQUISITIONS.names)
    if study.bridges:
        yield from _bridge_differences(run, study, tubes)
    alone = QUALITY.frame([row for tube in tubes for row in tube.checks])
    tables = {**run.tables, SPILLOVER.name: SPILLOVER.frame(pairs)}
    checks = checks_across_tubes(alone, study, samples, headers, tables)
    yield from _differences(run, QUALITY, checks, QUALITY.names, without=cells)


def _bridge_differences(run: Run, study: Study, tubes: Sequence[TubeAgain]) -> Iterator[Problem]:
    prepared, gates = ({one.name: getattr(one, what) for one in tubes} for what in ("prepared", "gates"))
    bridged = follow_bridges(study, _panel_gates(run), prepared, gates)
    order = {name: i for i, name in enumerate(run_order(study.samples), start=1)}
    again = ((BRIDGE_CHANNELS, channel_rows(bridged, order)), (BRIDGE_MOVES, bridged.moves))
    for table, rows in again:
        yield from _differences(run, table, rows, table.names)
    yield from _bridge_rows(run, study, order)


def _bridge_rows(run: Run, study: Study, order: Mapping[str, int]) -> Iterator[Problem]:
    """Yield what differs in the rows of the bridging controls, made again from the counts of their tubes."""
    samples = _counted_tubes(run, study)
    held = held_counts(Store(run.folder), samples, run.table(COUNTS.name))
    values = bridge_values(study, samples, run.study.endpoints, held)
    again = chart_rows(values, order) if len(values) else BRIDGES.empty()
    yield from _differences(run, BRIDGES, again, _OF_TUBE)


def _differences(
    run: Run, table: Table, again: pd.DataFrame, columns: Sequence[str], *, without: Sequence[str] = ()
) -> Iterator[Problem]:
    written = read_written(run, table) if file_in(run, table).exists() else table.empty()
    if isinstance(written, tuple):
        yield from (
            written if table in (BRIDGE_CHANNELS, BRIDGE_MOVES, QUALITY) else ()
        )  # the others are read elsewhere, too
        return
    if table is QUALITY:  # those of beads, single cells and the calendar are made of other tables
        written = written[written["check"].isin(_FROM_EVENTS)]
    if without:
        written = written[~written["sample_id"].isin(without)]
    yield from row_differences(table, written, again, names=_NAMES[table.name], columns=columns)
