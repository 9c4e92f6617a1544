"""The two sides of `agree`: a run, a gate file, a folder that `immunolab gate` wrote, or counts of another program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from immunolab.errors import InputError, Problem
from immunolab.events.tube import Tube
from immunolab.gating.agreement import read_reference_counts
from immunolab.gating.gate_source import GATE_FILES, Gates, named_strategy, read_gates
from immunolab.gating.tubes import GatedTube, gate_tube
from immunolab.loaders.fcs.read import read_fcs
from immunolab.results.record import RECORD, read_run
from immunolab.results.run import Run
from immunolab.results.tube import gate_events, read_events
from immunolab.schema.gating import COUNTS

_HINT = (
    "name a run's folder, a FlowJo workspace, Gating-ML, a strategy (YAML or its name), a folder that 'immunolab gate' "
    "wrote, or counts (CSV)"
)


@dataclass(frozen=True)
class SideTube:
    """A tube as a side names it: its file by content where that is known, else by name."""

    sample_id: str
    file: str = ""
    sha256: str = ""

    @property
    def names(self) -> frozenset[str]:
        """What it may be called in another gating: its sample_id and the stem of its file."""
        return frozenset({self.sample_id, Path(self.file).stem} - {""})


def _no_events(_tube: SideTube) -> Tube | None:
    return None


def _no_gates(_events: Tube, _tube: SideTube) -> GatedTube | None:
    return None


def _no_counts(_tube: SideTube) -> pd.DataFrame:
    return COUNTS.empty()


@dataclass(frozen=True, eq=False)
class Side:
    """One gating of some tubes.

    Attributes
    ----------
    word
        What it is called.
    tubes
        Its tubes; None where its gates are for any.
    by_files
        Whether FCS files that are named beside it decide which tubes there are: a workspace calls them as they were
        called when it was saved.
    events
        Gives all events of a tube, or None where the side has no files.
    gated
        Gates the events of a tube, or gives None where only counts are known.
    counts
        Gives rows of `COUNTS` that the side counted itself.
    """

    word: str
    tubes: tuple[SideTube, ...] | None
    by_files: bool = False
    events: Callable[[SideTube], Tube | None] = _no_events
    gated: Callable[[Tube, SideTube], GatedTube | None] = _no_gates
    counts: Callable[[SideTube], pd.DataFrame] = _no_counts

    @property
    def counts_only(self) -> bool:
        """Whether it has no gates."""
        return self.gated is _no_gates


def read_side(source: Run | Path | str, word: str = "") -> Side:
    """Return a side from what names it.

    Parameters
    ----------
    source
        A run or its folder, a gate file, the name of a shipped strategy, a folder of `immunolab gate`, counts.
    word
        What it is called; the file's name where empty.

    Raises
    ------
    InputError
        There is nothing of that kind.
    """
    if isinstance(source, Run):
        return _of_run(source, word or source.folder.name)
    path = named_strategy(source)
    if not isinstance(path, Path):
        return _of_gates(read_gates(path), word or path)
    word, suffix = word or path.name, path.suffix.lower()
    if path.is_dir():
        return _of_folder(path, word)
    if suffix in GATE_FILES or suffix in (".yaml", ".yml"):
        return _of_gates(read_gates(path), word)
    if suffix in (".csv", ".tsv", ".txt"):
        table = read_reference_counts(path)
        twice = table[table.duplicated(["sample_id", "path"])].drop_duplicates(["sample_id", "path"])
        if len(twice):
            rows = zip(twice["sample_id"], twice["path"], strict=True)
            text, hint = "several counts of population '{}'", "leave one row of each population and sample"
            raise InputError([Problem(str(path), f"sample {name}", text.format(of), hint) for name, of in rows])
        return Side(word, _tubes_of(table), counts=partial(_stated, table))
    raise InputError(Problem(str(path), "", "is no gating", _HINT))


def files_side(files: Mapping[str, Path], panel: Mapping[str, str] | None) -> Side:
    """Return the side of FCS files that gates of other files are evaluated on.

    Parameters
    ----------
    files
        By stem.
    panel
        Channels and markers; None where the files name them.
    """

    def events(tube: SideTube) -> Tube | None:
        path = next((files[name] for name in sorted(tube.names) if name in files), None)
        return None if path is None else read_fcs(path, panel=panel, sample_id=tube.sample_id)

    return Side("files", tuple(SideTube(name, path.name) for name, path in files.items()), events=events)


def _of_run(run: Run, word: str) -> Side:
    counted = set(run.counts["sample_id"])
    tubes = tuple(
        SideTube(s.sample_id, s.file.name, run.inputs.get(run.study.relative(s.file), ""))
        for s in run.study.samples
        if s.sample_id in counted and s.modality != "single_cell"
    )

    def gated(events: Tube, _tube: SideTube) -> GatedTube | None:
        return gate_events(events.clean() if run.study.quality.clean else events, run.folder)

    return Side(
        word,
        tubes,
        events=lambda tube: read_events(run.study, tube.sample_id, run.inputs),
        gated=gated,
        counts=partial(_of_sample, run.counts),
    )


def _of_gates(gates: Gates, word: str) -> Side:
    named = tuple(SideTube(Path(own[0]).stem, own[0]) for own in gates.names())

    def gated(events: Tube, _tube: SideTube) -> GatedTube | None:
        return gate_tube(events, gates.for_file(events.file, events.keywords))

    return Side(word, named or None, by_files=True, gated=gated)


def _of_folder(path: Path, word: str) -> Side:
    if (path / RECORD).exists():
        return _of_run(read_run(path), word)
    counts = path / f"{COUNTS.name}.csv"
    if not (counts.exists() and (path / "gates").is_dir()):
        raise InputError(Problem(str(path), "", "there is no finished run and no gated files in this folder", _HINT))
    table = COUNTS.read(counts)

    def gated(events: Tube, tube: SideTube) -> GatedTube | None:
        gates = read_gates(path / "gates" / f"{tube.sample_id}.xml")
        return gate_tube(events, gates.for_file(events.file, events.keywords))

    return Side(word, _tubes_of(table), gated=gated, counts=partial(_of_sample, table))


def _tubes_of(table: pd.DataFrame) -> tuple[SideTube, ...]:
    return tuple(SideTube(str(name)) for name in table["sample_id"].unique())


def _of_sample(table: pd.DataFrame, tube: SideTube) -> pd.DataFrame:
    return table[table["sample_id"] == tube.sample_id]


def _stated(table: pd.DataFrame, tube: SideTube) -> pd.DataFrame:
    """Return another program's counts, each with the count of the path above as its parent."""
    own = _of_sample(table, tube)
    paths = ["/" + str(path).strip("/").removeprefix("root/").removeprefix("root") for path in own["path"]]
    counts = {path: int(n) for path, n in zip(paths, own["n_events"], strict=True)}
    rows = []
    for path, n in counts.items():
        above = path.rsplit("/", 1)[0] or "/"
        of = counts.get(above, n if path == "/" else 0)
        rows.append(
            {
                "sample_id": tube.sample_id,
                "population": path.rsplit("/", 1)[1] or "root",
                "parent": above.rsplit("/", 1)[1] or "root",
                "path": path,
                "n_events": n,
                "n_parent": of,
                "percent_of_parent": 100.0 * n / of if of else None,
            }
        )
    return COUNTS.frame(rows)
