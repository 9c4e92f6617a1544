"""What is reviewed: the tubes and gates of one finished run, with the gates of each tube as they are saved now."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from immunolab.errors import InputError, Problem
from immunolab.gating.gates import Gate
from immunolab.gating.record_codec import from_plain
from immunolab.gating.strategy import Strategy
from immunolab.results.record import RECORD
from immunolab.results.run import Run
from immunolab.results.tube import GATES
from immunolab.review.grid import GridRows
from immunolab.review.session import Scope
from immunolab.review.stored_views import ViewFile
from immunolab.study.sample import Sample

VIEWS = "views.npz"
_STRATEGIES = 600  # whose gates are remembered once read, about 50 kB each: the tubes of a large study


class Reviewed:
    """A run's tubes and gates.

    Attributes
    ----------
    run
        Finished.
    samples
        Those whose gates have views, by id.
    names
        Of the gates' populations, by path.
    grid
        Counts, flags and order.
    """

    def __init__(self, run: Run, saved: Callable[[str], Mapping[str, Gate]]) -> None:
        """Read what the run has of its tubes; no events.

        Parameters
        ----------
        run
            Finished.
        saved
            Gives the gates of a sample that are not those of the run any more.
        """
        self.run, self._saved = run, saved
        self.samples = {s.sample_id: s for s in run.study.samples if _views_of(run, s.sample_id).exists()}
        if not self.samples:
            text = "the run has no gates to look at: none of its samples was gated, or an older version made it"
            raise InputError(Problem(str(run.folder), "", text, "run the study into the folder again"))
        gates = _gates(run, list(self.samples))
        self.names = {path: name for path, (name, _) in gates.items()}
        self.grid = GridRows(run, list(self.samples), {path: parent for path, (_, parent) in gates.items()})
        self._record = self._stamp()
        self._stored = lru_cache(maxsize=_STRATEGIES)(self._read_gates)

    def rows(self, gate: str) -> Mapping[str, dict[str, Any]]:
        """Return a gate's rows by sample.

        Parameters
        ----------
        gate
            Path of its population.

        Raises
        ------
        InputError
            There is no such gate.
        """
        try:
            return self.grid.rows(gate)
        except KeyError:
            raise InputError(Problem("", "gate", "there is no such gate in this run", "reload the page")) from None

    def check(self) -> None:
        """Raise an InputError where the run was made again since it was opened."""
        if self._stamp() != self._record:
            hint = "end the review with Ctrl-C and start it again"
            raise InputError(Problem("", "", "the study was run again: what is on the page is of the run before", hint))

    def saved(self, sample_id: str) -> dict[str, Gate]:
        """Return the gates of a tube that are not those of the run any more.

        Parameters
        ----------
        sample_id
            Of the tube.
        """
        return dict(self._saved(sample_id))

    def stored_gates(self, sample_id: str) -> dict[str, Gate]:
        """Return the gates that the run used in a tube, by path; no event is read.

        Parameters
        ----------
        sample_id
            Of the tube.
        """
        return dict(self._stored(sample_id))

    def percent(self, sample_id: str, path: str) -> float | None:
        """Return the run's percent of parent; None where it is withheld, or where the run has no such population.

        Parameters
        ----------
        sample_id, path
            Which.
        """
        row = self.grid.rows(path).get(sample_id) if path in self.grid.gates else None
        return None if row is None else row["percent"]

    def within(self, sample_id: str, scope: Scope) -> list[str]:
        """Return the samples of the same panel that a scope holds, seen from one of them.

        Parameters
        ----------
        sample_id
            That one.
        scope
            ``tube``, ``patient``, ``batch`` or ``all``.
        """
        own = self.samples[sample_id]
        alike = {name: one for name, one in self.samples.items() if one.panel == own.panel}
        same: dict[Scope, Callable[[Sample], bool]] = {
            "tube": lambda one: one is own,
            "patient": lambda one: one is own or (bool(own.patient_id) and one.patient_id == own.patient_id),
            "batch": lambda one: one.batch == own.batch,
            "all": lambda _: True,
        }
        return [name for name, one in alike.items() if same[scope](one)]

    def sha256(self, sample_id: str) -> str:
        """Return the hash of a tube's file as the run read it."""
        return self.run.inputs[self.run.study.relative(self.samples[sample_id].file)]

    def views(self, sample_id: str) -> Path:
        """Return the file of a tube's views."""
        return _views_of(self.run, sample_id)

    def words(self) -> set[str]:
        """Return the names of populations, markers and channels: of the gates, not of a tube."""
        counts, thresholds = self.run.counts, self.run.thresholds
        columns = [counts["population"], counts["parent"], counts["path"], thresholds["channel"], thresholds["marker"]]
        columns.append(self.run.intensities["marker"])
        return {word for column in columns for word in column.unique() if isinstance(word, str)}

    def _read_gates(self, sample_id: str) -> dict[str, Gate]:
        text = (self.run.folder / "samples" / sample_id / GATES).read_text(encoding="utf-8")
        strategy: Strategy = from_plain(json.loads(text)).strategy
        return {p.path: p.gate for p in strategy.populations if p.gate is not None}

    def _stamp(self) -> tuple[int, int]:
        state = (self.run.folder / RECORD).stat()
        return state.st_size, state.st_mtime_ns


def _views_of(run: Run, sample_id: str) -> Path:
    return run.folder / "samples" / sample_id / VIEWS


def _gates(run: Run, sample_ids: list[str]) -> dict[str, tuple[str, str]]:
    """Return name and parent's path of every gate that has a view in the first tube that has the gate."""
    counts = run.counts[run.counts["sample_id"].isin(sample_ids)]
    firsts = counts[counts["path"] != "/"].drop_duplicates("path")
    views = {name: ViewFile(_views_of(run, name)).views for name in dict.fromkeys(firsts["sample_id"])}
    return {
        row["path"]: (row["population"], row["path"].rpartition("/")[0])
        for row in firsts.to_dict("records")
        if row["path"] in views[row["sample_id"]]
    }
