"""A finished run computed again: from its tables, and from the headers and events of its tubes' files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from immunolab.errors import ImmunolabError, Problem
from immunolab.events.storage import save_tube
from immunolab.events.subsample import subsample
from immunolab.events.tube import Tube
from immunolab.gating.gate_source import Gates
from immunolab.gating.record_codec import from_plain
from immunolab.gating.tube_gates import TubeGates
from immunolab.gating.tubes import gate_tube
from immunolab.progress import progress
from immunolab.quality.acquisition import acquisition_table
from immunolab.quality.landmarks import landmark_rows
from immunolab.report.table_diff import file_in, file_of, read_written, row_differences
from immunolab.report.verify import verify
from immunolab.results.run import Run
from immunolab.results.tube import GATES, read_events
from immunolab.schema.across_tubes import ACQUISITIONS, LANDMARKS, SAMPLE_FLOW
from immunolab.schema.bridges import BRIDGE_CHANNELS, BRIDGE_MOVES
from immunolab.schema.gating import COUNTS
from immunolab.schema.table import Table
from immunolab.study.sheet import Sample, Study, read_study
from immunolab.workflow.across_tubes import tube_headers
from immunolab.workflow.bridge import follow_bridges, run_order
from immunolab.workflow.bridge_tables import channel_rows
from immunolab.workflow.panels import PanelGates
from immunolab.workflow.read_tube import SUBSAMPLE, Prepared

_COUNTED = ("sample_id", "path", "n_events")
_NAMES = {
    COUNTS.name: ("sample_id", "path"),
    LANDMARKS.name: ("sample_id", "population", "marker"),
    ACQUISITIONS.name: ("sample_id",),
    BRIDGE_CHANNELS.name: ("sample_id", "landmark", "marker"),
    BRIDGE_MOVES.name: ("batch_from", "batch_to", "bridge", "population", "marker"),
}
_SHOWN = 3  # tubes that a message names


def verify_run(run: Run) -> list[Problem]:
    """Return everything in a run's folder that no longer agrees with the run, its manifest, its files or itself.

    Parameters
    ----------
    run
        The finished run; its tables are read from the CSV files in its folder.

    Raises
    ------
    InputError
        The run wrote no manifest.
    """
    return [*verify(run), *tube_differences(run)]


def tube_differences(run: Run) -> Iterator[Problem]:
    """Yield every number that the headers and events of a run's files do not give again.

    Computed again are the events of every population, landmarks, acquisitions, and channels and moves of bridging
    controls. One tube is held at a time.

    Parameters
    ----------
    run
        The finished run.
    """
    if not file_in(run, SAMPLE_FLOW).exists():
        return  # of a run before there were tables across tubes
    study = _with_dates(run)
    if study is None:
        text = "not computed again from the tubes' files: study.yaml, its sheet or a file of it cannot be read"
        yield Problem(file_of(LANDMARKS), "", text, "put the files back where the run read them")
        return
    with TemporaryDirectory() as place:
        found = _measured_again(run, study, Path(place))
        yield from _compared(run, study, found)


def _with_dates(run: Run) -> Study | None:
    """Return the study with the dates of its sheet, which a run does not keep; None where it cannot be read."""
    try:
        dates = {sample.sample_id: sample.date for sample in read_study(run.study.source).samples}
    except (ImmunolabError, OSError):
        return None
    return replace(run.study, samples=tuple(replace(s, date=dates.get(s.sample_id)) for s in run.study.samples))


@dataclass
class _Measured:
    """What the files of a run's tubes give again.

    Attributes
    ----------
    counts, landmarks
        Rows of the tables.
    gates
        As placed, before a reader moved any and before any followed a bridge, by sample_id.
    prepared
        Subsamples by sample_id, where bridging controls are compared by them.
    lost
        Tubes whose file is not there, or is another one.
    """

    counts: list[dict[str, object]] = field(default_factory=list)
    landmarks: list[dict[str, object]] = field(default_factory=list)
    gates: dict[str, TubeGates] = field(default_factory=dict)
    prepared: dict[str, Prepared] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)


def _measured_again(run: Run, study: Study, place: Path) -> _Measured:
    found = _Measured()
    tubes = _counted_tubes(run, study)
    looked_at = _compared_by_events(run, study)
    for sample in progress(tubes, len(tubes), "reading events"):
        name = sample.sample_id
        try:
            gates = from_plain(json.loads((run.folder / "samples" / name / GATES).read_text(encoding="utf-8")))
            whole = read_events(study, name, run.inputs)
        except (ImmunolabError, OSError, KeyError, ValueError):  # what is missing or changed is a problem of its own
            found.lost.append(name)
            continue
        tube = whole.clean() if study.quality.clean else whole
        gated = gate_tube(tube, gates)
        found.counts += [{column: getattr(count, column) for column in _COUNTED} for count in gated.population_counts]
        found.landmarks += landmark_rows(gated.tube, gated.named_masks)
        found.gates[name] = TubeGates(gates.automatic or gates.strategy)
        stored = _stored(tube, place, run.seed) if name in looked_at else ""
        found.prepared[name] = Prepared(name, tube.sha256, "", stored)
    return found


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
    drawn = {name for name, panel in _panel_gates(run, study).items() if panel.gates.needs_fit} | scaled
    return {s.sample_id for s in study.samples if follows or s.sample_id in bridges or s.panel in drawn}


def _panel_gates(run: Run, study: Study) -> dict[str, PanelGates]:
    """Return the panels as far as following a bridge looks at them: whether events place their gates."""
    names = dict.fromkeys(s.panel for s in study.samples if s.modality != "single_cell")
    follow = {name: study.panels[name].follow if name in study.panels else False for name in names}
    return {name: PanelGates(Gates(run.strategies.get(name), follow=follow[name]), (), "") for name in names}


def _stored(tube: Tube, place: Path, seed: int) -> str:
    path = place / f"{tube.sample_id}.npz"
    save_tube(subsample(tube, SUBSAMPLE, seed=seed), path)
    return str(path)


def _compared(run: Run, study: Study, found: _Measured) -> Iterator[Problem]:
    cells = [s.sample_id for s in study.samples if s.modality == "single_cell"]
    for table, rows, columns in ((COUNTS, found.counts, _COUNTED), (LANDMARKS, found.landmarks, LANDMARKS.names)):
        again = pd.DataFrame(rows, columns=list(columns))  # with its columns where there is no row
        yield from _differences(run, table, again, columns, without=(*found.lost, *cells))
    if found.lost:
        more = f" and {len(found.lost) - _SHOWN} more" if len(found.lost) > _SHOWN else ""
        text = f"not computed again of {', '.join(found.lost[:_SHOWN])}{more}, nor are tables across tubes"
        yield Problem(file_of(LANDMARKS), "", text, "put the files back as the run read them")
        return
    headers = list(tube_headers(_counted_tubes(run, study)))
    yield from _differences(run, ACQUISITIONS, acquisition_table(headers), ACQUISITIONS.names)
    if study.bridges:
        yield from _bridge_differences(run, study, found)


def _bridge_differences(run: Run, study: Study, found: _Measured) -> Iterator[Problem]:
    bridged = follow_bridges(study, _panel_gates(run, study), found.prepared, found.gates)
    order = {name: i for i, name in enumerate(run_order(study.samples), start=1)}
    again = ((BRIDGE_CHANNELS, channel_rows(bridged, order)), (BRIDGE_MOVES, bridged.moves))
    for table, rows in again:
        yield from _differences(run, table, rows, table.names)


def _differences(
    run: Run, table: Table, again: pd.DataFrame, columns: Sequence[str], *, without: Sequence[str] = ()
) -> Iterator[Problem]:
    written = read_written(run, table) if file_in(run, table).exists() else table.empty()
    if isinstance(written, tuple):
        yield from written if table in (BRIDGE_CHANNELS, BRIDGE_MOVES) else ()  # the others are read elsewhere, too
        return
    if without:
        written = written[~written["sample_id"].isin(without)]
    yield from row_differences(table, written, again, names=_NAMES[table.name], columns=columns)
