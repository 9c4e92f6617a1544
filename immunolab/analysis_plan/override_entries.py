"""Overrides of a study against the entries of its log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from immunolab.audit.entry import Entry
from immunolab.errors import Problem, attempt
from immunolab.gating.overrides import OVERRIDES_FILE, Override, read_overrides

_NAMED = 4  # gates named in one sentence; judgement: a line


def read_against_log(folder: Path, entries: Sequence[Entry]) -> tuple[list[Problem], int]:
    """Return what does not fit between a study's overrides and its log, and how many overrides have no entry.

    Parameters
    ----------
    folder
        The study's.
    entries
        Of its log.
    """
    overrides, faults = attempt(lambda: read_overrides(folder / OVERRIDES_FILE))
    if overrides is None:
        return list(faults), 0
    return list(override_problems(overrides, entries)), sum(not one.entry for one in overrides)


def override_problems(overrides: Sequence[Override], entries: Sequence[Entry]) -> Iterator[Problem]:
    """Yield overrides whose entry the log lacks, and entries of overrides that the file lacks.

    One written by hand has no entry, which is no fault; entries that were undone, withdrawn or replaced by a later
    override of the same gate need none.

    Parameters
    ----------
    overrides
        Of the study.
    entries
        Of its log.
    """
    known = {one.hash: one for one in entries if one.kind == "override"}
    for one in overrides:
        if one.entry and one.entry not in known:
            text = f"override {one.id} of {one.sample_id} names an entry that the log does not have"
            yield Problem(OVERRIDES_FILE, one.id, text, "put file and log back from copies of one time")
    latest: dict[tuple[str, str], int] = {}
    for one in overrides:
        if one.entry in known:
            gate = one.sample_id, one.path.rsplit("/", 1)[-1]
            latest[gate] = max(latest.get(gate, 0), known[one.entry].number)
    for entry in _standing(entries):
        lost = [gate for gate in _gates(entry) if latest.get(gate, 0) < entry.number]
        if lost:
            names = ", ".join(" ".join(gate) for gate in lost[:_NAMED]) + (" ..." if len(lost) > _NAMED else "")
            text = f"lacks what entry {entry.number} of the log says was overridden by {entry.by}: {names}"
            yield Problem(OVERRIDES_FILE, "", text, "put the file back from a copy, or withdraw the override in review")


def _standing(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries of overrides that were neither undone nor withdrawn."""
    standing: dict[str, Entry] = {}
    undone: dict[str, Entry] = {}
    for one in entries:
        if one.kind == "override":
            standing[one.hash] = one
        named = [str(value) for value in (one.fields.get("entry"), *one.fields.get("entries", ())) if value]
        for name in named:
            if one.kind in ("undo", "override_withdrawn") and name in standing:
                undone[name] = standing.pop(name)
            elif one.kind == "redo" and name in undone:
                standing[name] = undone.pop(name)
    return list(standing.values())


def _gates(entry: Entry) -> list[tuple[str, str]]:
    moved = entry.fields.get("moved", ())
    return [(str(one["sample_id"]), str(one["path"]).rsplit("/", 1)[-1]) for one in moved]
