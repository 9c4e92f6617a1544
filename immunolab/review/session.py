"""A reader's review as the log has it: what was answered, changed and taken back. Nothing of it is kept elsewhere.

Each answer is one entry of the log, on disk before the reader sees it accepted. A review that goes on reads the entries
from the beginning, so that a server that was killed loses none of them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from immunolab.audit.log import AuditLog, Happening
from immunolab.gating.gates import Gate
from immunolab.gating.record_codec import from_plain, to_plain
from immunolab.schema.overrides import Reason

Word = Literal["accept", "reject", "undecided"]
Scope = Literal["tube", "patient", "batch", "all"]


@dataclass(frozen=True)
class Decision:
    """A reader's word on the gate of a population in one tube.

    Attributes
    ----------
    together
        Names the answers that were given at once, and are taken back at once; empty for one alone.
    """

    sample_id: str
    path: str
    word: Word
    comment: str = ""
    together: str = ""


@dataclass(frozen=True)
class Moved:
    """A gate of one tube that a change moved: where it was and where it is.

    Attributes
    ----------
    percent_before, percent_after
        Of parent; None where it was not computed, as for the other tubes of a change.
    """

    sample_id: str
    path: str
    was: Gate
    gate: Gate
    percent_before: float | None = None
    percent_after: float | None = None


@dataclass(frozen=True)
class SavedChange:
    """Gates that were moved together, in one tube or several.

    Attributes
    ----------
    entry
        Hash of its entry in the log.
    sha256
        Of each tube's file.
    withdrawn
        Sample and path of the gates that were taken out of overrides.yaml by hand since.
    """

    scope: Scope
    reason: Reason
    comment: str
    moved: tuple[Moved, ...]
    sha256: Mapping[str, str]
    at: str = ""
    entry: str = ""
    withdrawn: frozenset[tuple[str, str]] = frozenset()

    def places(self) -> Iterator[tuple[int, Moved]]:
        """Yield the gates that hold, each with its place among all that were moved, from 1."""
        for place, one in enumerate(self.moved, 1):
            if (one.sample_id, one.path) not in self.withdrawn:
                yield place, one


@dataclass
class Session:
    """A review with everything that was done so far.

    Attributes
    ----------
    log
        Where it is kept.
    review
        Its name.
    reader
        Who reviews.
    clock
        Gives the time of an entry, UTC in ISO words.
    """

    log: AuditLog
    review: str
    reader: str
    clock: Callable[[], str]
    closed: bool = False
    _acts: dict[str, Decision | SavedChange] = field(default_factory=dict)
    _done: list[str] = field(default_factory=list)
    _undone: list[str] = field(default_factory=list)
    _gates: dict[str, dict[str, Gate]] | None = None
    _decisions: dict[tuple[str, str], Decision] | None = None
    _last_change: str = ""
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False, compare=False)

    def __post_init__(self) -> None:
        for entry in self.log.entries():
            if entry.fields.get("review") == self.review:
                self._take(entry.kind, entry.fields, entry.hash, entry.at)

    @property
    def decisions(self) -> dict[tuple[str, str], Decision]:
        """The words that hold, by sample and path."""
        with self._lock:  # an answer that is taken meanwhile, by another request, would be missing from here on
            held = self._decisions
            if held is None:
                found = {(act.sample_id, act.path): act for act in self._held() if isinstance(act, Decision)}
                held = {place: act for place, act in found.items() if act.word != "undecided" or act.comment}
                self._decisions = held
        return held

    @property
    def changes(self) -> tuple[SavedChange, ...]:
        """The changes that hold, the oldest first."""
        return tuple(act for act in self._held() if isinstance(act, SavedChange))

    @property
    def every_change(self) -> frozenset[str]:
        """Entries of all changes of this review, those that were taken back too."""
        return frozenset(entry for entry, act in self._acts.items() if isinstance(act, SavedChange))

    @property
    def last_change(self) -> str:
        """Entry of the change that was made, taken back or made again last; empty where there is none."""
        return self._last_change

    def first_gates(self) -> dict[tuple[str, str], Gate]:
        """Each moved gate as it was before the first change of it, by sample and path."""
        every = (act for act in self._acts.values() if isinstance(act, SavedChange))
        return {(one.sample_id, one.path): one.was for act in reversed(list(every)) for one in act.moved}

    def gates(self, sample_id: str) -> dict[str, Gate]:
        """Return the gates that this review moved in a tube, as they are now.

        Parameters
        ----------
        sample_id
            Of the tube.
        """
        held = self._gates
        if held is None:
            held = {}
            for act in self.changes:
                for _, one in act.places():
                    held.setdefault(one.sample_id, {})[one.path] = one.gate
            self._gates = held
        return held.get(sample_id, {})

    @property
    def undo_words(self) -> str:
        """What `undo` takes back; empty where there is nothing."""
        return self._words_of(self._done)

    @property
    def redo_words(self) -> str:
        """What `redo` does again; empty where there is nothing."""
        return self._words_of(self._undone)

    def decide(self, *decisions: Decision) -> None:
        """Keep words on gates; several are taken back together."""
        together = str(len(self._acts) + 1) if len(decisions) > 1 else ""
        every = [_without(vars(one), "word") | {"decision": one.word, "together": together} for one in decisions]
        self._add_all("decision", every)

    def change(self, change: SavedChange) -> str:
        """Keep a change of gates; return the hash of its entry."""
        return self._add(
            "override", _without(vars(change), "entry", "at", "withdrawn") | {"moved": to_plain_moved(change.moved)}
        )

    def undo(self) -> Decision | SavedChange | None:
        """Take back the last answer, as an entry of its own; None where there is none."""
        return self._again("undo", self._done)

    def redo(self) -> Decision | SavedChange | None:
        """Give the answer again that was undone last, as an entry of its own; None where there is none."""
        return self._again("redo", self._undone)

    def withdraw(self, change: SavedChange, places: frozenset[tuple[str, str]]) -> None:
        """Note that gates of a change were taken out of overrides.yaml by hand.

        Parameters
        ----------
        change
            Of this review.
        places
            Sample and path of each.
        """
        self._add("override_withdrawn", {"entry": change.entry, "gates": [list(place) for place in sorted(places)]})

    def close(self) -> None:
        """End the review: names are shown from here on, and nothing more is answered."""
        self._add("review_closed", {})

    def _again(self, kind: str, entries: list[str]) -> Decision | SavedChange | None:
        last = self._last(entries)
        self._add_all(kind, [{"entry": entry} for entry in last])
        return self._acts[last[-1]] if last else None

    def _last(self, entries: list[str]) -> list[str]:
        """Return the last answer, with those that were given together with it, the last first."""
        found: list[str] = []
        for entry in reversed(entries):
            if found and not _given_together(self._acts[entry], self._acts[found[0]]):
                break
            found.append(entry)
        return found

    def _words_of(self, entries: list[str]) -> str:
        last = self._last(entries)
        return _words(self._acts[last[0]], len(last)) if last else ""

    def _held(self) -> Iterable[Decision | SavedChange]:
        return (self._acts[entry] for entry in self._done)

    def _add(self, kind: str, fields: Mapping[str, Any]) -> str:
        return self._add_all(kind, [fields])[0]

    def _add_all(self, kind: str, every: Sequence[Mapping[str, Any]]) -> list[str]:
        """Keep entries with one wait for the disk."""
        at = self.clock()
        fields = [{"review": self.review} | dict(one) for one in every]
        entries = self.log.append_all([Happening(kind, one, self.reader, at) for one in fields])
        with self._lock:
            for one, entry in zip(fields, entries, strict=True):
                self._take(kind, one, entry, at)
        return entries

    def _take(self, kind: str, fields: Mapping[str, Any], entry: str, at: str) -> None:
        self._gates, self._decisions = None, None
        if kind == "decision":
            word = fields["decision"]
            together = fields.get("together", "")
            self._new(entry, Decision(fields["sample_id"], fields["path"], word, fields["comment"], together))
        elif kind == "override":
            self._new(entry, _change(fields, entry, at))
        elif kind in ("undo", "redo"):
            self._again_taken(kind, fields["entry"])
        elif kind == "override_withdrawn":
            change = self._acts[fields["entry"]]
            if isinstance(change, SavedChange):
                gone = change.withdrawn | {(sample, path) for sample, path in fields["gates"]}
                self._acts[fields["entry"]] = replace(change, withdrawn=gone)
        elif kind == "review_closed":
            self.closed = True

    def _again_taken(self, kind: str, entry: str) -> None:
        source, target = (self._done, self._undone) if kind == "undo" else (self._undone, self._done)
        if entry in source:
            source.remove(entry)
            target.append(entry)
        if isinstance(self._acts.get(entry), SavedChange):
            self._last_change = entry

    def _new(self, entry: str, act: Decision | SavedChange) -> None:
        self._acts[entry] = act
        self._done.append(entry)
        if isinstance(act, SavedChange):
            self._last_change = entry
        self._undone.clear()


def to_plain_moved(moved: Iterable[Moved]) -> list[dict[str, Any]]:
    """Return moved gates as JSON holds them."""
    return [vars(one) | {"was": to_plain(one.was), "gate": to_plain(one.gate)} for one in moved]


def _change(fields: Mapping[str, Any], entry: str, at: str) -> SavedChange:
    moved = tuple(
        Moved(**{**one, "was": from_plain(one["was"]), "gate": from_plain(one["gate"])}) for one in fields["moved"]
    )
    return SavedChange(fields["scope"], fields["reason"], fields["comment"], moved, fields["sha256"], at, entry)


def _without(fields: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}


def _given_together(one: Decision | SavedChange, other: Decision | SavedChange) -> bool:
    if not isinstance(one, Decision) or not isinstance(other, Decision):
        return False
    return one.together != "" and one.together == other.together


def _words(act: Decision | SavedChange, n_together: int) -> str:
    if isinstance(act, Decision):
        name = act.path.rpartition("/")[2] + (f" in {n_together} tubes" if n_together > 1 else "")
        return f"{act.word} {name}" if act.word != "undecided" else f"the word on {name}"
    names = list(dict.fromkeys(one.path.rpartition("/")[2] for one in act.moved))
    n = len({one.sample_id for one in act.moved})
    return f"move {', '.join(names)}" + (f" in {n} tubes" if n > 1 else "")
