"""Overrides of a study against the entries of its log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from immunolab.audit.entry import Entry
from immunolab.audit.log import FOLDER
from immunolab.errors import Problem, attempt
from immunolab.gating.overrides import OVERRIDES_FILE, Override, read_overrides

_NAMED = 4  # gates named in one sentence; judgement: a line


def read_against_log(folder: Path, entries: Sequence[Entry]) -> tuple[list[Problem], int]:
    """Return what does not fit between a study's overrides and its log, and how many overrides have no entry.

    Parameters
    ----------
    folder
        The study's; readers whose gates are for comparison only have files of their own in ``review/``.
    entries
        Of its log.
    """
    files = [folder / OVERRIDES_FILE, *sorted((folder / FOLDER).glob(f"*/{OVERRIDES_FILE}"))]
    read = [attempt(lambda file=file: read_overrides(file)) for file in files]  # type: ignore[misc]
    if faults := [one for _, problems in read for one in problems]:
        return faults, 0
    overrides = [found or () for found, _ in read]
    by_hand = sum(not one.entry for one in overrides[0])
    return list(
        override_problems(overrides[0], entries, tuple(one for found in overrides[1:] for one in found))
    ), by_hand


def by_hand_in_words(number: int) -> str:
    """Return ``1 override was written by hand: the log has no entry of it``.

    Parameters
    ----------
    number
        Of overrides without an entry; one at least.
    """
    some = f"{number} overrides were" if number > 1 else "1 override was"
    return f"{some} written by hand: the log has no entry of {'them' if number > 1 else 'it'}"


def override_problems(
    overrides: Sequence[Override], entries: Sequence[Entry], others: Sequence[Override] = ()
) -> Iterator[Problem]:
    """Yield overrides whose entry the log lacks, and entries of overrides that no file has.

    One written by hand has no entry, which is no fault; what was undone, withdrawn or replaced by a later override of
    the same gate needs none.

    Parameters
    ----------
    overrides
        Of the study.
    entries
        Of its log.
    others
        Of readers whose gates are for comparison only.
    """
    known = {one.hash: one for one in entries if one.kind == "override"}
    for one in (*overrides, *others):
        if one.entry and one.entry not in known:
            text = f"override {one.id} of {one.sample_id} names an entry that the log does not have"
            yield Problem(OVERRIDES_FILE, one.id, text, "put file and log back from copies of one time")
    there = {(one.entry, *_gate(one.sample_id, one.path)) for one in (*overrides, *others)}
    latest: dict[tuple[str, str], int] = {}
    for one in overrides:
        if one.entry in known:
            gate = _gate(one.sample_id, one.path)
            latest[gate] = max(latest.get(gate, 0), known[one.entry].number)
    for entry, gates in _standing(entries):
        lost = [gate for gate in gates if not _is_in(there, entry, gate) and latest.get(gate, 0) < entry.number]
        if lost:
            names = ", ".join(f"{sample} {path.rsplit('/', 1)[-1]}" for sample, path in lost[:_NAMED]) + (
                " ..." if len(lost) > _NAMED else ""
            )
            text = f"lacks what entry {entry.number} of the log says was overridden by {entry.by}: {names}"
            yield Problem(
                OVERRIDES_FILE, "", text, "put the file back from a copy; a review that is opened withdraws it"
            )


def _standing(entries: Sequence[Entry]) -> list[tuple[Entry, list[tuple[str, str]]]]:
    """Return the entries of overrides that were not undone, each with its gates that were not withdrawn."""
    standing: dict[str, Entry] = {}
    undone: dict[str, Entry] = {}
    withdrawn: set[tuple[str, str, str]] = set()
    for one in entries:
        name = str(one.fields.get("entry", ""))
        if one.kind == "override":
            standing[one.hash] = one
        elif one.kind == "undo" and name in standing:
            undone[name] = standing.pop(name)
        elif one.kind == "redo" and name in undone:
            standing[name] = undone.pop(name)
        elif one.kind == "override_withdrawn":
            withdrawn |= {(name, *_gate(sample, path)) for sample, path in one.fields.get("gates", ())}
    return [(one, [gate for gate in _gates(one) if (name, *gate) not in withdrawn]) for name, one in standing.items()]


def _is_in(there: set[tuple[str, str, str]], entry: Entry, gate: tuple[str, str]) -> bool:
    """Return whether a file has an entry's gate, by its path or, shortened by hand, by its name alone."""
    sample, path = gate
    return not there.isdisjoint({(entry.hash, sample, path), (entry.hash, sample, path.rsplit("/", 1)[-1])})


def _gates(entry: Entry) -> list[tuple[str, str]]:
    return [_gate(one["sample_id"], one["path"]) for one in entry.fields.get("moved", ())]


def _gate(sample_id: object, path: object) -> tuple[str, str]:
    return str(sample_id), str(path)
