"""Opening a reader's review of a finished run: a new one, or the one that was begun before."""

from __future__ import annotations

import getpass
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from immunolab.audit.log import AuditLog
from immunolab.errors import InputError, Problem
from immunolab.gating.overrides import OVERRIDES_FILE
from immunolab.results.record import RECORD, read_run
from immunolab.results.run import Run
from immunolab.review.kept_overrides import KeptOverrides
from immunolab.review.review import Review
from immunolab.review.session import Session
from immunolab.schema.files import file_sha256

_SEEDS = 2**31  # codes and order are drawn from one of so many seeds


@dataclass(frozen=True)
class Opened:
    """How a review was opened: the fields of its first entry in the log.

    Attributes
    ----------
    review
        Its name: the reader, the run, and whether names are shown.
    run
        Sha256 of the run's record.
    seed
        Of codes and order.
    """

    review: str
    run: str
    seed: int
    blind: bool


@contextmanager
def open_review(out: Path | str, *, reader: str = "", blind: bool = True) -> Iterator[Review]:
    """Give the review of a finished run by a reader, and hold the study's log for as long as it is used.

    Parameters
    ----------
    out
        The folder that ``immunolab run`` wrote.
    reader
        Who reviews; by default who is logged in.
    blind
        Whether patient, visit, arm, file and date are masked until the review is closed.

    Raises
    ------
    InputError
        There is no finished run, its study is not there or cannot be written, or another review of it is open.
    """
    run = read_run(out)
    name = _reader(reader)
    if not run.study.folder.is_dir():
        hint = "put the study back where the run read it, or run it again from where it is now"
        raise InputError(Problem(str(run.study.folder), "", "the run's study is not there", hint))
    with AuditLog(run.study.folder) as log:
        opened = _opened(log, run, name, blind)
        log.append("review_opened", vars(opened), by=name, at=now())
        session = Session(log, opened.review, name, now)
        applies = _first_reader(log, opened.run) == name
        own = run.study.folder if applies else log.folder / opened.review
        overrides = KeptOverrides(own / OVERRIDES_FILE, session, applies=applies)
        review = Review(run, session, overrides, seed=opened.seed, blind=blind)
        try:
            yield review
        finally:
            review.end()


def now() -> str:
    """Return the time as the log has it: UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _opened(log: AuditLog, run: Run, reader: str, blind: bool) -> Opened:
    made = file_sha256(run.folder / RECORD)
    slug = re.sub(r"[^\w-]+", "_", reader)
    review = f"{slug}-{made[:12]}{'' if blind else '-open'}"
    for entry in log.entries():
        if entry.kind == "review_opened" and entry.fields.get("review") == review:
            if entry.by != reader:
                text = f"{reader!r} would go on with the review by {entry.by!r}: both are kept as '{slug}'"
                raise InputError(Problem("", "--reader", text, "give a name of other letters"))
            return Opened(review, made, int(entry.fields["seed"]), blind)
    return Opened(review, made, secrets.randbelow(_SEEDS), blind)


def _first_reader(log: AuditLog, made: str) -> str:
    """Return who reviewed a run first: the next run takes this reader's gates; another one's are for comparison."""
    return next(e.by for e in log.entries() if e.kind == "review_opened" and e.fields.get("run") == made)


def _reader(name: str) -> str:
    name = name.strip()
    if not name:
        try:
            name = getpass.getuser()
        except (KeyError, OSError, ImportError):
            raise InputError(Problem("", "--reader", "nobody is logged in", "name the reader")) from None
    if not name.isprintable() or len(name) > 80:
        raise InputError(Problem("", "--reader", f"{name[:40]!r} is no name", "a line of at most 80 characters"))
    return name
