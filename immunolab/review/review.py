"""A review of one run by one reader: what each request of the page asks for, in plain values.

Tubes are named by the codes of `immunolab.review.blinding`, through which the server passes every answer once more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from immunolab.errors import InputError, Problem
from immunolab.gating.gates import Gate
from immunolab.gating.tubes import GatedTube
from immunolab.results.run import Run
from immunolab.results.tube import read_events
from immunolab.review.answers import ReaderAnswers
from immunolab.review.blinding import Blinding, shuffled
from immunolab.review.controls import control_of, gate_markers, overlay
from immunolab.review.kept_overrides import KeptOverrides
from immunolab.review.open_tubes import OpenTubes
from immunolab.review.pictures import BINS, pictures
from immunolab.review.readers import readers_agreement
from immunolab.review.recounts import Recounts
from immunolab.review.reviewed import Reviewed
from immunolab.review.session import SavedChange, Session
from immunolab.review.stored_views import ReadView, ViewFile
from immunolab.schema.overrides import REASONS


class Review:
    """The state of a review between requests; one request changes it at a time.

    Attributes
    ----------
    blinding
        Codes, and what masks every answer.
    session
        The reader's answers.
    """

    def __init__(self, run: Run, session: Session, overrides: KeptOverrides, *, seed: int, blind: bool) -> None:
        """Read what the run has of its tubes; no events yet.

        Parameters
        ----------
        run
            Finished.
        session
            The reader's answers so far.
        overrides
            The file that moved gates go to.
        seed
            Of codes and order.
        blind
            Whether names are masked until the review is closed.
        """
        self.session, self._run, self._overrides = session, run, overrides
        applied = frozenset(map(str, run.table("overrides")["id"]))
        self._before = overrides.before(applied) if overrides.applies else {}
        self._reviewed = Reviewed(run, self._saved)
        samples = self._reviewed.samples
        masked = blind and not session.closed
        self.blinding = Blinding(run.study, list(samples.values()), self._reviewed.words(), seed, blind=masked)
        self._order = shuffled(samples, seed)
        self._tubes = OpenTubes(self._read, self._saved)
        self._answers = ReaderAnswers(self._reviewed, session, self._tubes, overrides)
        self._files: dict[str, ViewFile] = {}
        self._lock = threading.RLock()
        self._folder = TemporaryDirectory(prefix="immunolab_review_")
        self._recounts = Recounts(run.tube, self._saved, Path(self._folder.name))
        self._recounts.ask(name for name in samples if self._saved(name))

    def end(self) -> None:
        """Count nothing more, and remove what was drawn for this review."""
        self._recounts.end()
        self._folder.cleanup()

    def summary(self) -> str:
        """Return who reviews what, in words without a name of a tube."""
        tubes, gates = len(self._reviewed.samples), len(self._reviewed.names)
        how = "closed" if self.session.closed else "blind until it is closed" if self.blinding.blind else "with names"
        n = len(self.session.decisions) + len(self.session.changes)
        return f"review by {self.session.reader}, {how}: {tubes} tubes, {gates} gates, {n} answers so far"

    # ---- what is listed

    def get_session(self) -> dict[str, Any]:
        """Return the review's state: gates with what is decided, the words of flags, what can be taken back."""
        shown, grid = self.blinding, self._reviewed.grid
        every = self._reviewed.samples.values()
        return {
            "study": None if shown.blind else self._run.study.name,
            "reader": self.session.reader,
            "blind": shown.blind,
            "closed": self.session.closed,
            "applies": self._overrides.applies,
            "settled": self._recounts.settled(),
            "gates": [self._gate(path, parent) for path, parent in grid.gates.items()],
            "flags": grid.flags(),
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
        rows = self._reviewed.rows(gate)
        worst = sorted(rows, key=lambda name: (-rows[name]["score"], self._order[name]))
        return [self._tube(name, gate, rows[name]) for name in worst]

    def get_pictures(self, gate: str) -> dict[str, Any]:
        """Return the picture of a gate in every tube that has one.

        Parameters
        ----------
        gate
            Path of its population.
        """
        self._reviewed.rows(gate)
        views: dict[str, ReadView] = {}
        moved: dict[str, Gate] = {}
        for name in sorted(self._reviewed.samples, key=self._order.__getitem__):
            now = self._recounts.view(name)
            view = (now or self._file(name)).read(gate)
            if view is not None:
                views[name] = view
                if now is None and gate in (gates := self._saved(name)):
                    moved[name] = gates[gate]
        drawn = pictures(views, moved)
        return {"bins": BINS, "tubes": [{"tube": self.blinding.tube(name)} | one for name, one in drawn.items()]}

    def get_agreement(self) -> dict[str, Any]:
        """Return how far the readers of this run agree, once this review is closed."""
        if not self.session.closed:
            hint = "close the review first: the other reader's gates are shown to nobody before"
            raise InputError(Problem("", "", "this review is not closed", hint))
        return readers_agreement(self.session.log, self._run).answer()

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
            sample = self._place(tube, gate)
            self._recounts.busy()
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
            self._recounts.busy()
            return {"answers": self._tubes.receive(self._sample(tube), message)}

    def discard(self, tube: str) -> dict[str, Any]:
        """Give up what was dragged in a tube and not saved.

        Parameters
        ----------
        tube
            As it is shown.
        """
        with self._lock:
            self._tubes.forget(self._sample(tube), dragged=True)
            return {}

    def get_overlay(self, tube: str, gate: str) -> Mapping[str, Any]:
        """Return the events of a tube's control on the axes of its picture, or why there is ``none``.

        Parameters
        ----------
        tube, gate
            As in `open`.
        """
        with self._lock:
            name = self._place(tube, gate)
            scene = self._tubes.editor(name).scene
            if scene.active != gate:
                scene.to_gate(gate)
            control = control_of(self._reviewed.samples[name], gate_markers(scene), self._run.study.samples)
            if control is None:
                return {"none": "The sheet has no control for this gate: no FMO of its markers and no unstained tube."}
            return overlay(scene, control, read_events(self._run.study, control.sample_id, self._run.inputs))

    # ---- what is answered

    def save(self, tube: str, gate: str, scope: str, reason: str, comment: str) -> dict[str, Any]:
        """Keep the gates that were dragged in a tube.

        Parameters
        ----------
        tube
            As it is shown.
        gate, scope, reason, comment
            As in `ReaderAnswers.save`.
        """
        with self._lock:
            sample = self._sample(tube)
            change = self._answers.save(sample, gate, scope, reason, comment)
            answer = self._changed(change, saved_in=sample)
            self._recounts.counted(sample, self._tubes.editor(sample).gated.population_counts)
            return answer

    def decide(self, tube: str, gate: str, decision: str, comment: str) -> dict[str, Any]:
        """Keep a word on a gate in a tube.

        Parameters
        ----------
        tube
            As it is shown.
        gate, decision, comment
            As in `ReaderAnswers.decide`.
        """
        with self._lock:
            self._answers.decide(self._sample(tube), gate, decision, comment)
            return {"session": self.get_session()}

    def decide_all(self, tubes: list[Any], gate: str, decision: str) -> dict[str, Any]:
        """Keep a word on a gate in several tubes.

        Parameters
        ----------
        tubes
            As they are shown.
        gate, decision
            As in `ReaderAnswers.decide`.
        """
        with self._lock:
            self._answers.decide_all([self._sample(str(tube)) for tube in tubes], gate, decision)
            return {"session": self.get_session()}

    def undo(self) -> dict[str, Any]:
        """Take back the last answer."""
        return self._again(self._answers.undo)

    def redo(self) -> dict[str, Any]:
        """Give the answer again that was taken back last."""
        return self._again(self._answers.redo)

    def close(self) -> dict[str, Any]:
        """End the review; names are shown from here on."""
        with self._lock:
            self._answers.close()
            self.blinding.blind = False
            return {"session": self.get_session()}

    # ---- within

    def _again(self, act: Callable[[], SavedChange | None]) -> dict[str, Any]:
        with self._lock:
            change = act()
            return {"changed": [], "session": self.get_session()} if change is None else self._changed(change)

    def _changed(self, change: SavedChange, saved_in: str = "") -> dict[str, Any]:
        touched: dict[str, list[str]] = {}
        for one in change.moved:
            touched.setdefault(one.sample_id, []).append(one.path)
        for name in touched:
            if name != saved_in:
                self._tubes.forget(name, dragged=False)
        self._recounts.ask(name for name in touched if name != saved_in)
        rows = [{"tube": self.blinding.tube(name), "gates": paths} for name, paths in touched.items()]
        return {"changed": rows, "session": self.get_session()}

    def _gate(self, path: str, parent: str) -> dict[str, Any]:
        rows, decided = self._reviewed.rows(path), self.session.decisions
        said = [decided[name, path].word for name in rows if (name, path) in decided]
        return {
            "path": path,
            "name": self._reviewed.names[path],
            "parent": parent,
            "n": len(rows),
            "n_flagged": sum(1 for row in rows.values() if row["flags"]),
            "n_decided": sum(1 for word in said if word != "undecided"),
        }

    def _tube(self, name: str, gate: str, row: dict[str, Any]) -> dict[str, Any]:
        sample, said, moved = self._reviewed.samples[name], self.session.decisions.get((name, gate)), self._saved(name)
        now = self._recounts.row(name, gate) if moved else {}
        failed = self._recounts.failed(name) if moved else ""
        names = {"visit": sample.visit, "cohort": sample.cohort}
        return {
            "tube": self.blinding.tube(name),
            "group": self.blinding.group(sample.patient_id or name),
            "batch": self.blinding.batch(sample.batch),
            "panel": self.blinding.panel(sample.panel),
            **row,
            **({"percent": None} if now is None else now),
            **({"why": failed} if failed else {}),
            "behind": now is None,
            "failed": bool(failed),
            "decision": said.word if said else "undecided",
            "comment": said.comment if said else "",
            "overridden": gate in moved,
            **({} if self.blinding.blind else names),
        }

    def _read(self, sample_id: str) -> GatedTube:
        gated = self._run.tube(sample_id)
        self.blinding.keep({word for c in gated.tube.channels for word in (c.name, c.marker or "")})
        return gated

    def _saved(self, sample_id: str) -> dict[str, Gate]:
        """Return the gates of a tube that are not those of the run: of others first, then of this review."""
        return {**self._before.get(sample_id, {}), **self._overrides.gates(sample_id)}

    def _place(self, tube: str, gate: str) -> str:
        """Return the sample of a tube as it is shown, where the review has the gate."""
        self._reviewed.rows(gate)
        return self._sample(tube)

    def _sample(self, tube: str) -> str:
        try:
            return self.blinding.sample(tube)
        except KeyError:
            raise InputError(Problem("", "tube", "there is no such tube in this review", "reload the page")) from None

    def _file(self, name: str) -> ViewFile:
        if name not in self._files:
            self._files[name] = ViewFile(self._reviewed.views(name))
        return self._files[name]
