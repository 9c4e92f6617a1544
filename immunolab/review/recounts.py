"""Counts and views of tubes whose gates were moved: made one tube at a time, while the reader goes on."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from immunolab.gating.counts import PopulationCount
from immunolab.gating.gates import Gate
from immunolab.gating.tubes import GatedTube
from immunolab.plots.gate_views import gate_views, save_views
from immunolab.review.grid import grid_row
from immunolab.review.open_tubes import with_gates
from immunolab.review.stored_views import ViewFile

_QUIET = 0.5  # seconds without a drag before the next tube is read: a drag is answered first (judgement)
_Key = frozenset[tuple[str, Gate]]


@dataclass(frozen=True)
class TubeRecount:
    """A tube with moved gates: rows by path, and its views once they are drawn.

    Attributes
    ----------
    key
        The moved gates that it was counted with.
    failed
        Why it could not be counted; empty where it was.
    """

    key: _Key
    rows: Mapping[str, dict[str, Any]]
    views: ViewFile | None = None
    failed: str = ""


class Recounts:
    """Counts tubes again in a thread of its own."""

    def __init__(
        self, read: Callable[[str], GatedTube], saved: Callable[[str], Mapping[str, Gate]], folder: Path
    ) -> None:
        """Count nothing yet.

        Parameters
        ----------
        read
            Gives a tube with the gates of the run.
        saved
            Gives the gates of a sample that are not those of the run any more.
        folder
            Where views are kept as long as the review is open.
        """
        self._read, self._saved, self._folder = read, saved, folder
        self._found: dict[str, TubeRecount] = {}
        self._waiting: OrderedDict[str, None] = OrderedDict()
        self._wake = threading.Condition()
        self._busy_until, self._ended = 0.0, False
        self._numbers = itertools.count()
        self._files: dict[str, list[Path]] = {}
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def row(self, sample_id: str, path: str) -> dict[str, Any] | None:
        """Return a population's row with the moved gates; None while it is not counted.

        Parameters
        ----------
        sample_id, path
            Which.
        """
        found = self._current(sample_id)
        return None if found is None else found.rows.get(path)

    def failed(self, sample_id: str) -> str:
        """Return why a tube could not be counted with the moved gates; empty where it was, or is still to be."""
        found = self._current(sample_id)
        return "" if found is None else found.failed

    def view(self, sample_id: str) -> ViewFile | None:
        """Return a tube's views with the moved gates; None while they are not drawn."""
        found = self._current(sample_id)
        return None if found is None else found.views

    def counted(self, sample_id: str, counts: Iterable[PopulationCount]) -> None:
        """Take the counts of a tube that is open; its views follow.

        Parameters
        ----------
        sample_id
            Of the tube.
        counts
            With the gates as they are saved now.
        """
        rows = {count.path: grid_row(vars(count)) for count in counts}
        self._found[sample_id] = TubeRecount(self._key(sample_id), rows)
        self.ask([sample_id])

    def ask(self, sample_ids: Iterable[str]) -> None:
        """Have tubes counted again whose gates changed."""
        with self._wake:
            self._waiting.update(dict.fromkeys(sample_ids))
            self._wake.notify()

    def busy(self) -> None:
        """Let the reader's drags go first."""
        self._busy_until = time.monotonic() + _QUIET

    def settled(self) -> bool:
        """Whether nothing waits to be counted."""
        with self._wake:
            return not self._waiting

    def end(self) -> None:
        """Count nothing more."""
        with self._wake:
            self._ended = True
            self._wake.notify()
        self._thread.join(_QUIET)

    def _work(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._waiting or self._ended)
                if self._ended:
                    return
                sample_id = next(iter(self._waiting))
            while (rest := self._busy_until - time.monotonic()) > 0:
                time.sleep(rest)
            key = self._key(sample_id)
            if key:
                self._found[sample_id] = self._count(sample_id, key)
            with self._wake:
                if key == self._key(sample_id):
                    self._waiting.pop(sample_id, None)

    def _count(self, sample_id: str, key: _Key) -> TubeRecount:
        file = self._new_file(sample_id)
        try:
            first = self._read(sample_id)
            gated = first.regate(with_gates(first.strategy, dict(key)))
            save_views(gate_views(gated.strategy, gated.tube, gated.memberships), file)
            return TubeRecount(key, {c.path: grid_row(vars(c)) for c in gated.population_counts}, ViewFile(file))
        except Exception as error:  # noqa: BLE001  # a traceback of the thread would carry names to the console
            return TubeRecount(key, {}, None, f"could not be counted: {error}")

    def _new_file(self, sample_id: str) -> Path:
        """Return a file of its own: views that the page shows meanwhile are read from the last; older ones go."""
        kept = self._files.get(sample_id, [])
        for older in kept[:-1]:
            with contextlib.suppress(PermissionError):  # Windows, where it is being read: it goes with the folder
                older.unlink(missing_ok=True)
        new = self._folder / f"{next(self._numbers)}.npz"
        self._files[sample_id] = [*kept[-1:], new]
        return new

    def _key(self, sample_id: str) -> _Key:
        return frozenset(self._saved(sample_id).items())

    def _current(self, sample_id: str) -> TubeRecount | None:
        found = self._found.get(sample_id)
        return found if found is not None and found.key == self._key(sample_id) else None
