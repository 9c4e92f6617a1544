"""A review of one run by one reader: what each request of the page asks for, in plain values with real names.

Nothing here masks a name: the server passes every answer through `immunolab.review.blinding`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from immunolab.errors import InputError, Problem, allowed_hint
from immunolab.gating.gate_words import crossing_edges
from immunolab.gating.gates import Gate, Polygon
from immunolab.results.run import Run
from immunolab.review.blinding import Blinding, shuffled
from immunolab.review.grid import GridRows
from immunolab.review.open_tubes import OpenTubes
from immunolab.review.pictures import BINS, pictures
from immunolab.review.session import Decision, Moved, SavedChange, Scope, Session, Word
from immunolab.review.stored_views import ReadView, ViewFile
from immunolab.schema.overrides import REASONS
from immunolab.study.sample import Sample

VIEWS = "views.npz"
LONGEST_COMMENT = 2000  # characters: a page; an answer is one line of the log


class Review:
    """The state of a review between requests; one request changes it at a time."""

    def __init__(self, run: Run, session: Session, *, seed: int, blind: bool) -> None:
        """Read what the run has of its tubes; no events yet.

        Parameters
        ----------
        run
            Finished.
        session
            The reader's answers so far.
        seed
            Of codes and order.
        blind
            Whether names are masked until the review is closed.
        """
        self.run, self.session = run, session
        self.samples = {s.sample_id: s for s in reviewed_samples(run)}
        self._views = {name: _views_of(run, name) for name in self.samples}
        gates = _gates(run, list(self.samples))
        self.grid = GridRows(run, list(self.samples), {path: parent for path, (_, parent) in gates.items()})
        self._names = {path: name for path, (name, _) in gates.items()}
        self.blinding = Blinding(
            run.study, list(self.samples.values()), _words(run), seed, blind=blind and not session.closed
        )
        self._order = shuffled(self.samples, seed)
        self._tubes = OpenTubes(run.tube, session.gates)
        self._files: dict[str, ViewFile] = {}
        self._lock = threading.RLock()

    def summary(self) -> str:
        """Return who reviews what, in words without a name of a tube."""
        tubes, gates = len(self.samples), len(self.grid.gates)
        how = "blind until it is closed" if self.blinding.blind else "with names"
        n = len(self.session.decisions)
        return f"review by {self.session.reader}, {how}: {tubes} tubes, {gates} gates, {n} answered"

    # ---- what is listed

    def get_session(self) -> dict[str, Any]:
        """Return the review's state: gates with what is decided, the words of flags, what can be taken back."""
        decided = {place for place, said in self.session.decisions.items() if said.word != "undecided"}
        gates = [
            {
                "path": path,
                "name": self._names[path],
                "parent": parent,
                "n": len(rows := self.grid.rows(path)),
                "n_flagged": sum(1 for row in rows.values() if row["flags"]),
                "n_decided": sum(1 for name in rows if (name, path) in decided),
            }
            for path, parent in self.grid.gates.items()
        ]
        shown = self.blinding
        every = self.samples.values()
        return {
            "study": None if shown.blind else self.run.study.name,
            "reader": self.session.reader,
            "blind": shown.blind,
            "closed": self.session.closed,
            "gates": gates,
            "flags": self.grid.flags(),
            "batches": sorted({shown.batch(s.batch) for s in every} - {""}),
            "panels": sorted({shown.panel(s.panel) for s in every} - {""}),
            "reasons": [{"word": word, "meaning": meaning} for word, meaning in REASONS.items()],
            "undo": self.session.undo_words,
            "redo": self.session.redo_words,
        }

    def get_tubes(self, gate: str) -> list[dict[str, Any]]:
        """Return every tube that has a gate, worst first; equals are in the review's own order.

        Parameters
        ----------
        gate
            Path of its population.
        """
        decided = self.session.decisions
        rows = self._rows(gate)
        found = []
        for name in sorted(rows, key=lambda one: (-rows[one]["score"], self._order[one])):
            sample, said = self.samples[name], decided.get((name, gate))
            found.append(
                {
                    "tube": self.blinding.tube(name),
                    "group": self.blinding.group(sample.patient_id or name),
                    "batch": self.blinding.batch(sample.batch),
                    "panel": self.blinding.panel(sample.panel),
                    **rows[name],
                    "decision": said.word if said else "undecided",
                    "comment": said.comment if said else "",
                    "overridden": gate in self.session.gates(name),
                }
                | ({} if self.blinding.blind else {"visit": sample.visit, "cohort": sample.cohort})
            )
        return found

    def get_pictures(self, gate: str) -> dict[str, Any]:
        """Return the picture of a gate in every tube that has one.

        Parameters
        ----------
        gate
            Path of its population.
        """
        self._rows(gate)
        views: dict[str, ReadView] = {}
        for name in self.samples:
            view = self._file(name).read(gate)
            if view is not None:
                views[name] = view
        moved = {name: gates[gate] for name in views if gate in (gates := self.session.gates(name))}
        drawn = pictures(views, moved)
        order = sorted(drawn, key=self._order.__getitem__)
        return {"bins": BINS, "tubes": [{"tube": self.blinding.tube(name)} | drawn[name] for name in order]}

    # ---- one tube

    def open(self, tube: str, gate: str) -> dict[str, Any]:
        """Return the editor's answers that show a gate in a tube.

        Parameters
        ----------
        tube
            As it is shown.
        gate
            Path of its population.
        """
        with self._lock:
            sample = self._sample(tube)
            self._rows(gate)
            self._tubes.receive(sample, {"type": "open"})
            return {"answers": self._tubes.receive(sample, {"type": "gate", "path": gate})}

    def edit(self, tube: str, message: Any) -> dict[str, Any]:
        """Return the editor's answers to a message of the page.

        Parameters
        ----------
        tube
            As it is shown.
        message
            See `immunolab.editor.messages`.
        """
        with self._lock:
            return {"answers": self._tubes.receive(self._sample(tube), message)}

    # ---- what is answered

    def save(self, tube: str, gate: str, scope: str, reason: str, comment: str) -> dict[str, Any]:
        """Keep the gates that were dragged in a tube, for it or for others too.

        Parameters
        ----------
        tube, gate
            Where they were dragged; the gate that was looked at.
        scope
            ``tube``, ``patient``, ``batch`` or ``all``.
        reason, comment
            Why.
        """
        with self._lock:
            self._open_for_answers()
            sample = self._sample(tube)
            self._rows(gate)
            _check_one("scope", scope, get_args(Scope))
            _check_one("reason", reason, tuple(REASONS))
            _check_comment(comment)
            dragged = self._tubes.dragged(sample)
            if not dragged:
                raise InputError(Problem("", "gate", "no gate is moved in this tube", "drag a border, then save"))
            _check_edges(dragged)
            change = self._change(sample, dragged, scope, reason, comment)
            self.session.change(change)
            return self._changed(change, saved_in=sample)

    def decide(self, tube: str, gate: str, decision: str, comment: str) -> dict[str, Any]:
        """Keep a word on a gate in a tube.

        Parameters
        ----------
        tube, gate
            Which.
        decision
            ``accept``, ``reject`` or ``undecided``.
        comment
            Of the reader.
        """
        with self._lock:
            self._open_for_answers()
            sample = self._sample(tube)
            if sample not in self._rows(gate):
                raise InputError(Problem("", "gate", "the tube has no such gate", "choose another"))
            _check_one("decision", decision, get_args(Word))
            _check_comment(comment)
            word: Word = next(one for one in get_args(Word) if one == decision)
            self.session.decide(Decision(sample, gate, word, comment))
            return {"session": self.get_session()}

    def undo(self) -> dict[str, Any]:
        """Take back the last answer."""
        return self._back(again=False)

    def redo(self) -> dict[str, Any]:
        """Give the answer again that was taken back last."""
        return self._back(again=True)

    def close(self) -> dict[str, Any]:
        """End the review; names are shown from here on."""
        with self._lock:
            self._open_for_answers()
            self.session.close()
            self.blinding.blind = False
            return {"session": self.get_session()}

    # ---- within

    def _back(self, *, again: bool) -> dict[str, Any]:
        with self._lock:
            self._open_for_answers()
            act = self.session.redo() if again else self.session.undo()
            if act is None:
                raise InputError(Problem("", "", f"there is nothing to {'redo' if again else 'undo'}", ""))
            if isinstance(act, SavedChange):
                return self._changed(act)
            return {"changed": [], "session": self.get_session()}

    def _changed(self, change: SavedChange, saved_in: str = "") -> dict[str, Any]:
        touched: dict[str, list[str]] = {}
        for one in change.moved:
            touched.setdefault(one.sample_id, []).append(one.path)
        for name in touched:
            if name != saved_in:
                self._tubes.forget(name, dragged=False)
        rows = [{"tube": self.blinding.tube(name), "gates": paths} for name, paths in touched.items()]
        return {"changed": rows, "session": self.get_session()}

    def _change(self, sample: str, dragged: Mapping[str, Gate], scope: str, reason: str, comment: str) -> SavedChange:
        editor = self._tubes.editor(sample)
        after = {count.path: count.percent_of_parent for count in editor.gated.population_counts}
        moved = []
        for name in self._within(sample, scope):
            was = {p.path: p.gate for p in self.run.tube(name).strategy.populations} | self.session.gates(name)
            for path, gate in dragged.items():
                before = self.grid.rows(path).get(name) if path in self.grid.gates else None
                old = was.get(path)
                if old is not None and old != gate:
                    percent = before["percent"] if before else None
                    moved.append(Moved(name, path, old, gate, percent, after.get(path) if name == sample else None))
        sha256 = {one.sample_id: self._sha256(one.sample_id) for one in moved}
        chosen: Scope = next(one for one in get_args(Scope) if one == scope)
        return SavedChange(chosen, reason, comment, tuple(moved), sha256)

    def _within(self, sample: str, scope: str) -> list[str]:
        own = self.samples[sample]
        if scope == "tube":
            return [sample]
        alike = {name: one for name, one in self.samples.items() if one.panel == own.panel}
        if scope == "patient":
            return [name for name, one in alike.items() if (one.patient_id or name) == (own.patient_id or sample)]
        if scope == "batch":
            return [name for name, one in alike.items() if one.batch == own.batch]
        return list(alike)

    def _sha256(self, sample: str) -> str:
        study = self.run.study
        return self.run.inputs[study.relative(self.samples[sample].file)]

    def _sample(self, tube: str) -> str:
        try:
            return self.blinding.sample(tube)
        except KeyError:
            raise InputError(Problem("", "tube", "there is no such tube in this review", "reload the page")) from None

    def _rows(self, gate: str) -> Mapping[str, dict[str, Any]]:
        try:
            return self.grid.rows(gate)
        except KeyError:
            raise InputError(Problem("", "gate", "there is no such gate in this run", "reload the page")) from None

    def _file(self, name: str) -> ViewFile:
        if name not in self._files:
            self._files[name] = ViewFile(self._views[name])
        return self._files[name]

    def _open_for_answers(self) -> None:
        if self.session.closed:
            hint = "start 'immunolab review' again to begin another"
            raise InputError(Problem("", "", "the review is closed: nothing more is answered in it", hint))


def reviewed_samples(run: Run) -> list[Sample]:
    """Return the samples of a run whose gates have views.

    Parameters
    ----------
    run
        Finished.
    """
    return [s for s in run.study.samples if _views_of(run, s.sample_id).exists()]


def _views_of(run: Run, sample_id: str) -> Path:
    return run.folder / "samples" / sample_id / VIEWS


def _gates(run: Run, sample_ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return name and parent's path of every gate that has a view in the first tube that has the gate."""
    counts = run.counts[run.counts["sample_id"].isin(list(sample_ids))]
    firsts = counts[counts["path"] != "/"].drop_duplicates("path")
    views = {name: ViewFile(_views_of(run, name)).views for name in dict.fromkeys(firsts["sample_id"])}
    return {
        row["path"]: (row["population"], row["path"].rpartition("/")[0])
        for row in firsts.to_dict("records")
        if row["path"] in views[row["sample_id"]]
    }


def _words(run: Run) -> set[str]:
    """Return the names of populations, markers and channels: of the gates, not of a tube."""
    counts, thresholds = run.counts, run.thresholds
    found = {*counts["population"], *counts["parent"], *counts["path"], *thresholds["channel"], *thresholds["marker"]}
    found |= set(run.intensities["marker"])
    return {str(word) for word in found if isinstance(word, str)}


def _check_one(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise InputError(Problem("", name, f"{str(value)[:40]!r} is no {name}", allowed_hint(str(value), allowed)))


def _check_comment(comment: str) -> None:
    if len(comment) > LONGEST_COMMENT:
        raise InputError(Problem("", "comment", f"it is longer than {LONGEST_COMMENT} characters", "shorten it"))


def _check_edges(gates: Mapping[str, Gate]) -> None:
    crossing = [path for path, gate in gates.items() if isinstance(gate, Polygon) and crossing_edges(gate) is not None]
    if crossing:
        names = ", ".join(path.rpartition("/")[2] for path in crossing)
        raise InputError(Problem("", names, "the edges cross, so that the gate has no inside", "move a corner back"))
