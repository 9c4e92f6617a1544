"""What a reader answers: moved gates kept, words on gates, undo, redo, closing. Each is in the log before it counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from immunolab.errors import InputError, Problem, allowed_hint
from immunolab.gating.gate_words import crossing_edges
from immunolab.gating.gates import Gate, Polygon
from immunolab.review.grid import grid_row
from immunolab.review.kept_overrides import KeptOverrides
from immunolab.review.open_tubes import OpenTubes
from immunolab.review.reviewed import Reviewed
from immunolab.review.session import Decision, Moved, SavedChange, Scope, Session, Word
from immunolab.schema.overrides import Reason

LONGEST_COMMENT = 2000  # characters: a page; an answer is one line of the log


class ReaderAnswers:
    """The answers of a review, with real names of samples."""

    def __init__(self, reviewed: Reviewed, session: Session, tubes: OpenTubes, overrides: KeptOverrides) -> None:
        """Begin, or go on.

        Parameters
        ----------
        reviewed
            What is reviewed.
        session
            The answers so far.
        tubes
            Those that are open.
        overrides
            The file that moved gates go to.
        """
        self._reviewed, self._session, self._tubes, self._overrides = reviewed, session, tubes, overrides

    def save(self, sample: str, gate: str, scope: str, reason: str, comment: str) -> SavedChange:
        """Keep the gates that were dragged in a tube, for it or for others too.

        Parameters
        ----------
        sample, gate
            Where they were dragged; the gate that was looked at.
        scope
            ``tube``, ``patient``, ``batch`` or ``all``.
        reason, comment
            Why.
        """
        self._check_open()
        self._reviewed.rows(gate)
        chosen = (_one("scope", scope, get_args(Scope)), _one("reason", reason, get_args(Reason)))
        _check_comment(comment)
        if reason == "other" and not comment.strip():
            raise InputError(Problem("", "comment", "is needed where the reason is 'other'", "write why"))
        dragged = self._tubes.dragged(sample)
        if not dragged:
            raise InputError(Problem("", "gate", "no gate is moved in this tube", "drag a border, then save"))
        _check_edges(dragged)
        moved = self._moved(sample, dragged, chosen[0])
        sha256 = {one.sample_id: self._reviewed.sha256(one.sample_id) for one in moved}
        change = SavedChange(*chosen, comment.strip(), tuple(moved), sha256)
        self._tubes.keep()
        self._session.change(change)
        self._tubes.saved(sample)
        self._overrides.write()
        return change

    def decide(self, sample: str, gate: str, decision: str, comment: str) -> None:
        """Keep a word on a gate in a tube.

        Parameters
        ----------
        sample, gate
            Which.
        decision
            ``accept``, ``reject`` or ``undecided``.
        comment
            Of the reader.
        """
        _check_comment(comment)
        self._decide([sample], gate, decision, comment.strip())

    def decide_all(self, samples: Sequence[str], gate: str, decision: str) -> None:
        """Keep a word on a gate in several tubes, which is taken back at once; comments stay.

        Parameters
        ----------
        samples, gate, decision
            As in `decide`.
        """
        self._decide(samples, gate, decision, None)

    def _decide(self, samples: Sequence[str], gate: str, decision: str, comment: str | None) -> None:
        self._check_open()
        if not self._reviewed.rows(gate).keys() >= set(samples):
            raise InputError(Problem("", "gate", "the tube has no such gate", "choose another"))
        word: Word = _one("decision", decision, get_args(Word))
        said = self._session.decisions
        kept = {name: said[name, gate].comment if (name, gate) in said else "" for name in samples}
        words = [Decision(name, gate, word, kept[name] if comment is None else comment) for name in kept]
        self._session.decide(*words)

    def undo(self) -> SavedChange | None:
        """Take back the last answer; return it where it moved gates."""
        return self._again(self._session.undo, "undo")

    def redo(self) -> SavedChange | None:
        """Give the answer again that was taken back last; return it where it moves gates."""
        return self._again(self._session.redo, "redo")

    def close(self) -> None:
        """End the review."""
        self._check_open()
        self._session.close()

    def _again(self, act: Callable[[], Decision | SavedChange | None], word: str) -> SavedChange | None:
        self._check_open()
        self._tubes.keep()
        found = act()
        if found is None:
            raise InputError(Problem("", "", f"there is nothing to {word}", ""))
        self._overrides.write()
        return found if isinstance(found, SavedChange) else None

    def _check_open(self) -> None:
        if self._session.closed:
            hint = "'immunolab review OUT --unblind' begins another, with names"
            raise InputError(Problem("", "", "the review is closed: nothing more is answered in it", hint))
        self._reviewed.check()
        self._overrides.check()

    def _moved(self, sample: str, dragged: Mapping[str, Gate], scope: Scope) -> list[Moved]:
        """Return what moves in each tube of the scope; one that has no such gate, or has it there, stays as it is."""
        counts = self._tubes.editor(sample).gated.population_counts
        after = {c.path: grid_row(vars(c))["percent"] for c in counts}
        found = []
        for name in self._reviewed.within(sample, scope):
            now = self._reviewed.stored_gates(name) | self._reviewed.saved(name)
            for path, gate in dragged.items():
                if path in now and now[path] != gate:
                    before = self._reviewed.percent(name, path)
                    found.append(
                        Moved(name, path, now[path], gate, before, after.get(path) if name == sample else None)
                    )
        return found


def _one(name: str, value: str, allowed: Sequence[Any]) -> Any:
    if value not in allowed:
        raise InputError(Problem("", name, f"{value[:40]!r} is no {name}", allowed_hint(value[:40], allowed)))
    return value


def _check_comment(comment: str) -> None:
    if len(comment) > LONGEST_COMMENT:
        raise InputError(Problem("", "comment", f"it is longer than {LONGEST_COMMENT} characters", "shorten it"))


def _check_edges(gates: Mapping[str, Gate]) -> None:
    crossing = [path for path, gate in gates.items() if isinstance(gate, Polygon) and crossing_edges(gate) is not None]
    if crossing:
        names = ", ".join(path.rpartition("/")[2] for path in crossing)
        raise InputError(
            Problem("", names, "the edges cross, so that what is inside is not clear", "move a corner back")
        )
