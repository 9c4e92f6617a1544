"""The file of overrides that a review writes: made of the log, beside what others have put into it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from immunolab.errors import InputError, Problem
from immunolab.gating.gates import Gate
from immunolab.gating.overrides import OVERRIDES_FILE, Override, read_overrides, write_overrides
from immunolab.review.session import SavedChange, Session

_SHORT = 12  # digits of an entry's hash in the id of an override: no two entries of a log share them by chance


class KeptOverrides:
    """Overrides of a study as the next run takes them, or of a reader whose review is for comparison only.

    Attributes
    ----------
    path
        ``overrides.yaml`` beside the study; in the review's own folder where the next run takes another reader's.
    applies
        Whether the next run takes them.
    """

    def __init__(self, path: Path, session: Session, *, applies: bool) -> None:
        """Read the file, and write what the log has and the file lacks.

        Parameters
        ----------
        path
            The file.
        session
            The review.
        applies
            Whether the next run takes this file.

        Raises
        ------
        InputError
            The file has faults; all are named.
        """
        self.path, self.applies, self._session = path, applies, session
        found = read_overrides(path)
        own = session.every_change
        self.others = tuple(one for one in found if one.entry not in own)
        self._by_hand = {one.id: one for one in found if one.entry in own}
        self._others_were = {(one.sample_id, one.path): one.was for one in reversed(self.others) if one.was is not None}
        self._first: dict[tuple[str, str], Gate] = {}
        self._gates: dict[str, dict[str, Gate]] = {}
        self._content = _bytes(path)
        self._withdraw()
        self.write()

    def write(self) -> None:
        """Write the file as the log has it now; what was changed in it by hand stays."""
        self._first = self._session.first_gates()
        mine = [self._by_hand.get(one.id, one) for change in self._session.changes for one in self._overrides(change)]
        self._gates = _by_sample(mine)
        if not mine and self._content is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_overrides((*self.others, *mine), self.path)
        self._content = _bytes(self.path)

    def check(self) -> None:
        """Raise an InputError where another program has changed the file since it was written here."""
        if _bytes(self.path) != self._content:
            text = "was changed while the review was open: what is on the page is behind"
            raise InputError(Problem(OVERRIDES_FILE, "", text, "end the review with Ctrl-C and start it again"))

    def before(self, applied: frozenset[str]) -> dict[str, dict[str, Gate]]:
        """Return the gates of others that the run has not applied, by sample and path.

        Parameters
        ----------
        applied
            Ids of the overrides that the run has dealt with.

        Raises
        ------
        InputError
            One of them is written in words that only a run can place.
        """
        return _by_sample(one for one in self.others if one.id not in applied)

    def gates(self, sample_id: str) -> dict[str, Gate]:
        """Return the gates that this review moved in a tube, as the file has them: with what was changed by hand.

        Parameters
        ----------
        sample_id
            Of the tube.
        """
        return self._gates.get(sample_id, {})

    def _withdraw(self) -> None:
        """Note in the log what was taken out of the file by hand; a last change that was not written yet was not."""
        last = self._session.last_change
        for change in self._session.changes:
            gone = [one for one in self._overrides(change) if one.id not in self._by_hand]
            if gone and change.entry != last and self._content is not None:
                self._session.withdraw(change, frozenset((one.sample_id, one.path) for one in gone))

    def _overrides(self, change: SavedChange) -> Iterator[Override]:
        number = change.entry[:_SHORT]
        for place, one in change.places():
            yield Override(
                id=f"{number}.{place}",
                change=number,
                sample_id=one.sample_id,
                path=one.path,
                gate=one.gate,
                was=self._automatic(one.sample_id, one.path, one.was),
                reason=change.reason,
                comment=change.comment,
                reader=self._session.reader,
                at=change.at,
                percent_before=one.percent_before,
                percent_after=one.percent_after,
                file_sha256=change.sha256[one.sample_id],
                entry=change.entry,
            )

    def _automatic(self, sample_id: str, path: str, was: Gate) -> Gate | None:
        """Return the gate before anyone moved it: what the first override of it replaced."""
        place = (sample_id, path)
        return self._others_were.get(place) or self._first.get(place, was)


def _by_sample(overrides: Iterable[Override]) -> dict[str, dict[str, Gate]]:
    """Return gates by sample and path, the last one of a place; an InputError where only a run can place one."""
    found: dict[str, dict[str, Gate]] = {}
    for one in overrides:
        if one.gate is None or not one.path.startswith("/"):
            text = f"the override '{one.id}' was written by hand and is not in this run: its gate is not placed"
            raise InputError(Problem(OVERRIDES_FILE, "", text, "run the study again, then review that run"))
        found.setdefault(one.sample_id, {})[one.path] = one.gate
    return found


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
