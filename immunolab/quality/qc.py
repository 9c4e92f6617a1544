"""`immunolab.qc`: the checks of tubes by themselves, without a study."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from immunolab.errors import ImmunolabError, InputError, Problem, nearest
from immunolab.events.tube import Tube
from immunolab.loaders.fcs.read import read_fcs
from immunolab.progress import progress
from immunolab.quality.advice import advice
from immunolab.quality.among_tubes import beside_others
from immunolab.quality.cell_shares import Kinds, cell_kinds
from immunolab.quality.clean import removed_rows, without
from immunolab.quality.compensation_rows import shown_pairs
from immunolab.quality.events import check_events
from immunolab.quality.rows import Row
from immunolab.quality.shared_matrix import pair_rows, said_of_matrices
from immunolab.quality.steadiness import Steadiness, steadiness
from immunolab.quality.topics import ORDER, TOPICS, light, worst
from immunolab.quality.worst_first import each_fault_once, is_shared, lit_rows, worst_first
from immunolab.schema.across_tubes import SPILLOVER
from immunolab.schema.flags import Check
from immunolab.schema.gating import QUALITY, REMOVED_STRETCHES
from immunolab.vocabulary.panel import read_panel

Source = Tube | str | Path
LIGHTS = {"ok": "#2E7D32", "warn": "#F9A825", "fail": "#C62828"}  # green, amber, red; each has a sign of its own too
SIGNS = {"ok": "●", "warn": "▲", "fail": "✖", "": "–"}
_MOST_SHOWN = 60  # tubes that a notebook shows; the table has all


@dataclass(frozen=True)
class Looked:
    """A tube and what was found in it.

    Attributes
    ----------
    tube, run
        All of its events, and its run.
    cleaned, kinds, checks
        Without what was cut, what its events are, and its rows of quality.csv.
    """

    tube: Tube
    run: Steadiness
    cleaned: Tube
    kinds: Kinds
    checks: Sequence[Row]


@dataclass(frozen=True)
class FoundKind:
    """What was found, in one or many tubes.

    Attributes
    ----------
    check, status
        Name of the check, and the worst it came to.
    samples
        The tubes it was found in, the worst first.
    message
        What it is in the first of them.
    is_shared
        Whether those are more than half of all, so that it says little of a single one.
    """

    check: str
    status: str
    samples: tuple[str, ...]
    message: str
    is_shared: bool

    @property
    def advice(self) -> str:
        """What to do about it."""
        return advice(self.check, self.status)


@dataclass(frozen=True)
class TubeQuality:
    """The checks of one or many tubes, the worst tube first.

    Attributes
    ----------
    table
        Rows of quality.csv: a check a row, each tube's worst check first.
    removed
        What `Tube.clean` cuts, as removed_stretches.csv has it.
    spillover
        What compensation leaves, pair by pair, as spillover.csv has it.
    """

    table: pd.DataFrame = field(default_factory=QUALITY.empty)
    removed: pd.DataFrame = field(default_factory=REMOVED_STRETCHES.empty)
    spillover: pd.DataFrame = field(default_factory=SPILLOVER.empty)

    @classmethod
    def of(cls, table: pd.DataFrame, removed: pd.DataFrame | None = None) -> TubeQuality:
        """Return checks that were made before, in the order of this page.

        Parameters
        ----------
        table
            Rows of quality.csv.
        removed
            Of removed_stretches.csv.
        """
        rows: list[Row] = [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
        cut = REMOVED_STRETCHES.empty() if removed is None else removed
        return cls(QUALITY.frame(worst_first(rows)), cut)

    @property
    def samples(self) -> list[str]:
        """The tubes, the worst first."""
        return list(dict.fromkeys(self.table["sample_id"]))

    @property
    def lights(self) -> pd.DataFrame:
        """The worst status of each topic that was checked, a row a tube; empty where the tube has no check of it."""
        lit: dict[str, dict[str, list[str]]] = {}
        for sample, check, status in zip(*(self.table[name] for name in ("sample_id", "check", "status")), strict=True):
            of_tube = lit.setdefault(str(sample), {})
            for topic in (name for name, checks in TOPICS.items() if check in checks):
                of_tube.setdefault(topic, []).append(light(str(check), str(status)))
        rows = {name: [worst(own[topic]) if topic in own else "" for topic in TOPICS] for name, own in lit.items()}
        table = pd.DataFrame.from_dict(rows, orient="index", columns=list(TOPICS))
        return table.loc[:, (table != "").any(axis=0)]

    @cached_property
    def kinds(self) -> list[FoundKind]:
        """What was found, the worst first, then what most tubes have."""
        faults = each_fault_once(self.table)
        found = [self._kind(str(check), own) for check, own in faults.groupby("check", sort=False)]
        return sorted(found, key=lambda kind: (ORDER[kind.status], -len(kind.samples)))

    def _kind(self, check: str, own: pd.DataFrame) -> FoundKind:
        samples = tuple(dict.fromkeys(own["sample_id"]))
        most = is_shared(len(samples), len(self))
        return FoundKind(check, worst(list(own["status"])), samples, str(own["message"].iloc[0]), most)

    @property
    def shared(self) -> list[str]:
        """The checks that warn in more than half of the tubes, and in four at least, with how many of all."""
        return [f"{one.check} ({len(one.samples)} of {len(self)} tubes)" for one in self.kinds if one.is_shared]

    def warnings(self, sample_id: str) -> pd.DataFrame:
        """Return the checks of a tube that warn or fail, the worst first.

        Parameters
        ----------
        sample_id
            One of `samples`.

        Raises
        ------
        InputError
            There is no such tube.
        """
        if sample_id not in self.samples:
            raise InputError(
                Problem("", sample_id, "no tube of this name was checked", nearest(sample_id, self.samples))
            )
        return lit_rows(self.table[self.table["sample_id"] == sample_id])

    def faults(self, sample_id: str) -> pd.DataFrame:
        """Return the faults of a tube: its `warnings`, a fault of the run once where it was cut.

        Parameters
        ----------
        sample_id
            One of `samples`.
        """
        return each_fault_once(self.warnings(sample_id))

    def __len__(self) -> int:
        return len(self.samples)

    def __repr__(self) -> str:
        statuses = [worst([s for s in row if s]) for row in self.lights.to_numpy()]
        counts = ", ".join(f"{statuses.count(s)} {s}" for s in ("fail", "warn", "ok") if s in statuses)
        return f"TubeQuality({len(self)} tube{'' if len(self) == 1 else 's'}: {counts or 'none'})"

    def _repr_html_(self) -> str:
        lights = self.lights
        head = "".join(f"<th>{escape(word)}</th>" for word in ("tube", *lights.columns, "what to look at"))
        rows = "".join(self._row(sample, list(lights.loc[sample])) for sample in self.samples[:_MOST_SHOWN])
        more = f"<p>{len(self) - _MOST_SHOWN} more tubes</p>" if len(self) > _MOST_SHOWN else ""
        return f"<p>{escape(repr(self))}</p><table><tr>{head}</tr>{rows}</table>{more}"

    def _row(self, sample: str, lit: Sequence[str]) -> str:
        cells = "".join(
            f'<td style="color:{LIGHTS.get(s, "#777")}" title="{s or "not checked"}">{SIGNS[s]}</td>' for s in lit
        )
        said = "<br>".join(escape(str(text)) for text in self.warnings(sample)["message"])
        return f"<tr><td>{escape(sample)}</td>{cells}<td>{said}</td></tr>"


def qc(tubes: Source | Sequence[Source], *, panel: str | Path | None = None, quiet: bool = False) -> TubeQuality:
    """Check tubes: a steady run, detectors within range, cells that can be used, a matrix that fits.

    Doublets, dead cells and debris are also compared with the other tubes of the same channels, where there are at
    least six. What compensation leaves in tubes with one matrix is said once, of the tube that shows it best.

    Parameters
    ----------
    tubes
        A tube, the name of an FCS file, or several of them; files are read one at a time.
    panel
        Channel and marker, CSV or YAML, for files without marker names.
    quiet
        Show no progress of several files.

    Returns
    -------
    TubeQuality
        The worst tube first, with traffic lights in a notebook; ``table`` has every check. A file that cannot be read
        is in it, with the reason.

    Raises
    ------
    InputError
        There is no tube, something given is neither a tube nor the name of a file, files are not there (all of them
        are listed), or the panel cannot be read.

    Examples
    --------
    >>> found = il.qc("sample_data/sle/fcs/SLE001_W0.fcs")
    >>> found
    TubeQuality(1 tube: 1 warn)
    >>> "events" in list(found.warnings("SLE001_W0")["check"])
    True
    """
    return checked(tubes, panel=panel, quiet=quiet)


def checked(
    tubes: Source | Sequence[Source],
    *,
    panel: str | Path | None = None,
    quiet: bool = False,
    looked: Callable[[Looked], None] | None = None,
) -> TubeQuality:
    """Check tubes as `qc` does, and hand each on before the next one is read.

    Parameters
    ----------
    tubes, panel, quiet
        As in `qc`.
    looked
        Takes each tube with what was found in it.
    """
    sources = _sources(tubes)
    markers = read_panel(panel) if panel is not None else None  # a fault of it is none of every tube
    rows: list[Row] = []
    removed: list[Row] = []
    pairs: list[Row] = []
    kinds: dict[str, Hashable] = {}
    bar = progress(sources, len(sources), "checking", quiet=quiet or len(sources) == 1)
    for name, source in zip(_names(sources), bar, strict=True):
        try:
            tube = source if isinstance(source, Tube) else read_fcs(source, panel=markers)
        except ImmunolabError as error:
            rows.append(_unread(name, error))
            continue
        tube = replace(tube, sample_id=name)
        kinds[name] = tuple(channel.name for channel in tube.channels)
        found = steadiness(tube)
        cleaned = tube if tube.removed else without(tube, found)
        events = cell_kinds(cleaned)
        shown = shown_pairs(cleaned, events)
        pairs += pair_rows(cleaned, shown)
        checks = check_events(tube, found, cleaned, events, shown)
        rows += checks
        removed += removed_rows(cleaned)
        if looked is not None:
            looked(Looked(tube, found, cleaned, events, checks))
    rows = said_of_matrices(beside_others(rows, kinds), pairs)
    return TubeQuality(QUALITY.frame(worst_first(rows)), REMOVED_STRETCHES.frame(removed), SPILLOVER.frame(pairs))


def _unread(name: str, error: ImmunolabError) -> Row:
    known: Row = {"sample_id": name, "check": Check.HEADER.value, "value": None, "limit": None}
    return {**known, "status": "fail", "message": f"cannot be read: {error.message}", "channel": None}


def _sources(given: Any) -> list[Source]:
    single = isinstance(given, Tube | str | Path) or not isinstance(given, Iterable)
    several: list[Any] = [given] if single else list(given)
    if not several:
        hint = "no file was found? look at the pattern that names them"
        raise InputError(Problem("", "tubes", "there is no tube", hint))
    others = [one for one in several if not isinstance(one, Tube | str | Path)]
    if others:
        hint = "give a tube (immunolab.read_fcs), a file's name, or several of them"
        raise InputError(
            [Problem("", "tubes", f"{type(one).__name__} is neither a tube nor a file", hint) for one in others]
        )
    # a link whose file is gone is there, and fails alone as any file that cannot be read
    absent = [one for one in several if not isinstance(one, Tube) and not os.path.lexists(one)]
    problems = [Problem(str(one), "", "the file does not exist", "check the path") for one in absent]
    folders = [one for one in several if not isinstance(one, Tube) and Path(one).is_dir()]
    problems += [Problem(str(one), "", "this is a folder", f"name its files: {one}/*.fcs") for one in folders]
    if problems:
        raise InputError(problems)
    return several


def _names(sources: Sequence[Source]) -> Iterator[str]:
    """Yield a name a tube, its sample_id or its file's; a name that others have is numbered."""
    used: dict[str, int] = {}
    for source in sources:
        name = (source.sample_id or Path(source.file).stem or "tube") if isinstance(source, Tube) else Path(source).stem
        used[name] = used.get(name, 0) + 1
        yield name if used[name] == 1 else f"{name} ({used[name]})"
