"""The log of a study: appended to by one process at a time, never changed."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from immunolab.audit.chain import Lines, chain_faults, read_lines, torn_fault
from immunolab.audit.durable import append_durably, replace_durably
from immunolab.audit.entry import Entry, new_entry
from immunolab.audit.head import Head, read_head, write_head
from immunolab.audit.kinds import KINDS
from immunolab.errors import InputError, Problem, allowed_hint

FOLDER, LOG, HEAD, TORN, LOCK = "review", "audit.jsonl", "audit.head", "audit.torn", ".audit.lock"
_READINGS = 20  # tries to read log and head of one moment while another process appends (judgement: at most .2 s)
_PAUSE = 0.01  # seconds between them
_RECOVERED_BY = "immunolab"  # who the entry about a torn line is by: no person did it
_GO_ON = "nothing before it is lost; a review of the study, or locking its plan, goes on from there"
_RESTORE = "put review/audit.jsonl and review/audit.head back from a copy; nothing is added to a log that was changed"


@dataclass(frozen=True)
class Happening:
    """What is to be logged: kind, fields, who and when, as in `Entry`."""

    kind: str
    fields: Mapping[str, Any]
    by: str
    at: str


class AuditLog:
    """The append-only log of a study, ``STUDY/review/audit.jsonl``.

    Each line is an entry with the hash of the entry before it; ``audit.head`` beside it counts the entries and names
    the last one's hash. An entry is on the disk when `append` returns. One process writes at a time: used as a context
    manager the log is held for as long as that lasts, otherwise for each append. Threads of one process may share a
    log. Reading needs no lock and changes nothing.

    Parameters
    ----------
    folder
        The study's folder.

    Raises
    ------
    InputError
        The folder is not one of this computer's.
    """

    def __init__(self, folder: Path | str) -> None:
        if "://" in str(folder):
            hint = "copy the study into a folder of this computer and name that"
            raise InputError(Problem(str(folder), "", "a log cannot be kept at a URL", hint))
        self.folder = Path(folder) / FOLDER
        self._threads = threading.RLock()
        self._file_lock: FileLock | None = None
        self._seen: tuple[tuple[int, int], Head] | None = None

    def __enter__(self) -> AuditLog:
        self._acquire()
        try:
            self._checked()
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._release()

    def append(self, kind: str, fields: Mapping[str, Any], *, by: str, at: str) -> str:
        """Append an entry, and return its hash once it is on the disk.

        What an interrupted writing left of a line is moved to ``audit.torn`` first, which an entry of its own says.

        Parameters
        ----------
        kind
            One of `immunolab.audit.kinds.KINDS`.
        fields
            What belongs to it: plain data with text keys.
        by
            Who did it.
        at
            When: ISO 8601 with a zone.

        Raises
        ------
        InputError
            The entry is none, another process writes to the log, the folder cannot be written, or the log was changed.
        """
        return self.append_all([Happening(kind, fields, by, at)])[0]

    def append_all(self, happenings: Iterable[Happening]) -> list[str]:
        """Append entries in order, wait for the disk once, and return their hashes.

        Where this is interrupted, the log holds the first of them, or none.

        Parameters
        ----------
        happenings
            What to log.

        Raises
        ------
        InputError
            As `append`; then nothing was written.
        """
        some = list(happenings)
        unknown = [Problem("", "kind", f"'{h.kind}' is unknown", allowed_hint(h.kind, KINDS)) for h in some
                   if h.kind not in KINDS]  # fmt: skip
        if unknown:
            raise InputError(unknown)
        if not some:
            return []
        with self._threads, self._held():
            try:
                head = self._recovered(self._checked(), some[0].at)
                return self._write(head, some)
            except OSError as error:
                self._seen = None
                raise _unwritable(self.folder, error) from None

    def entries(self) -> tuple[Entry, ...]:
        """Return the entries in the order of the file, without lines that are not what was written.

        Whether something was changed is for `problems` to say.
        """
        return tuple(entry for entry in self._read()[0].entries if entry is not None)

    def end(self) -> tuple[int, str]:
        """Return how many entries the log has, and the hash of the last, by the log itself."""
        found = self.entries()
        return (found[-1].number, found[-1].hash) if found else (0, "")

    def problems(self) -> list[Problem]:
        """Return everything that does not fit, each entry named by its number; nothing where there is no log.

        Found are entries edited, removed (also the first and the last), reordered, inserted or written twice, a last
        line that was not written to its end, and a missing log or head. A log that was rewritten as a whole together
        with its head is not found by itself: what else holds a hash of it finds that (a run's manifest, an override,
        a locked plan).
        """
        lines, head, gone = self._read()
        torn = [Problem(self._name, "", text, _GO_ON) for text in torn_fault(lines, head)]
        return [*gone, *(Problem(self._name, "", text, _RESTORE) for text in chain_faults(lines, head)), *torn]

    @property
    def _name(self) -> str:
        return f"{FOLDER}/{LOG}"

    def _read(self) -> tuple[Lines, Head | None, list[Problem]]:
        """Return the log's lines and its head as they were at one moment, and what is missing of the two."""
        log, head_file = self.folder / LOG, self.folder / HEAD
        for _ in range(_READINGS):
            first = _bytes(head_file)
            content = _bytes(log)
            if _bytes(head_file) == first:
                break
            time.sleep(_PAUSE)
        head = None if first is None else read_head(head_file)
        lines = read_lines(content or b"")
        return lines, head, list(self._missing(content, first, head))

    def _missing(self, content: bytes | None, first: bytes | None, head: Head | None) -> Iterator[Problem]:
        name = f"{FOLDER}/{HEAD}"
        if first is None and content is not None:
            yield Problem(name, "", "is missing, so that entries removed at the log's end cannot be found", _RESTORE)
        elif first is not None and head is None:
            yield Problem(name, "", "was edited: it is not as the log writes it", _RESTORE)
        elif head is not None and head.entries and content is None:
            yield Problem(self._name, "", f"is missing: {HEAD} counts {head.entries} entries", _RESTORE)

    def _acquire(self) -> None:
        with self._threads:
            if self._file_lock is not None:
                raise InputError(Problem(self._name, "", "is held by this log already", "use the log that holds it"))
            lock = FileLock(self.folder / LOCK, thread_local=False)
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                lock.acquire(timeout=0)
            except Timeout:
                hint = "close the other review of this study, or wait for it to end"
                text = "another process is writing to this study's log"
                raise InputError(Problem(self._name, "", text, hint)) from None
            except OSError as error:
                raise _unwritable(self.folder, error) from None
            self._file_lock, self._seen = lock, None

    def _release(self) -> None:
        with self._threads:
            if self._file_lock is not None:
                self._file_lock.release()
            self._file_lock = None

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Hold the lock for what is done inside, where this log does not hold it already."""
        if self._file_lock is not None:
            yield
            return
        self._acquire()
        try:
            yield
        finally:
            self._release()

    def _checked(self) -> tuple[Lines, Head]:
        """Return lines and head of a sound log; lines are read again only where the file is not as this log left it.

        Raises
        ------
        InputError
            The log was changed.
        """
        if self._seen is not None and self._seen[0] == self._stamp():
            return Lines(()), self._seen[1]
        lines, head, faults = self._read()
        faults += [Problem(self._name, "", text, _RESTORE) for text in chain_faults(lines, head)]
        if faults:
            raise InputError(faults)
        return lines, head or Head()

    def _recovered(self, found: tuple[Lines, Head], at: str) -> Head:
        """Return the head of a log whose last line is whole; what was torn is moved aside, and an entry says so."""
        lines, head = found
        if lines.entries and lines.entries[-1] is not None:
            last = lines.entries[-1]
            head = Head(last.number, last.hash)
        if not lines.torn:
            return head
        append_durably(self.folder / TORN, lines.torn + b"\n")
        log = self.folder / LOG
        replace_durably(log, log.read_bytes()[: -len(lines.torn)])
        fields = {"bytes": len(lines.torn), "sha256": hashlib.sha256(lines.torn).hexdigest(), "moved_to": TORN}
        self._write(head, [Happening("torn_line", fields, _RECOVERED_BY, at)])
        return Head(*self.end())

    def _write(self, head: Head, happenings: list[Happening]) -> list[str]:
        """Write what is coming into the head, the lines, and the head that counts them."""
        made: list[Entry] = []
        for one in happenings:
            number, before = (made[-1].number, made[-1].hash) if made else (head.entries, head.hash)
            made.append(new_entry(number + 1, one.kind, one.fields, by=one.by, at=one.at, before=before))
        hashes = [entry.hash for entry in made]
        write_head(self.folder / HEAD, Head(head.entries, head.hash, tuple(hashes)))
        append_durably(self.folder / LOG, b"".join(entry.line() for entry in made))
        after = Head(made[-1].number, hashes[-1])
        write_head(self.folder / HEAD, after)
        self._seen = self._stamp(), after
        return hashes

    def _stamp(self) -> tuple[int, int]:
        state = (self.folder / LOG).stat()
        return state.st_size, state.st_mtime_ns


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(Problem(str(path), "", f"cannot be read: {error.strerror}", "check the file")) from None


def _unwritable(folder: Path, error: OSError) -> InputError:
    hint = "copy the study into a folder that you may write to, or free space"
    return InputError(Problem(os.fspath(folder), "", f"the log cannot be written: {error.strerror}", hint))
