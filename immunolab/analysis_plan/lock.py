"""``plan.lock.json``: every plan that was locked, of which the last counts; each with a hash over all of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from immunolab.analysis_plan.content import Content
from immunolab.audit.entry import NOTHING_BEFORE, Entry, hash_of
from immunolab.errors import InputError, Problem

LOCK_FILE = "plan.lock.json"
_SCHEMA = "immunolab.plan/1"
_KEYS = {"number", "by", "at", "reason", "version", "content", "before", "sha256"}
_RESTORE = "put the file back from a copy; 'immunolab plan lock STUDY --by NAME --reason WHY' locks anew and says so"


@dataclass(frozen=True)
class LockedPlan:
    """A plan as it was locked.

    Attributes
    ----------
    number
        1 for the first.
    by, at, reason
        Who locked it, when (ISO 8601 with a zone), and why again; the first needs no reason.
    version
        Of the package.
    content
        See `planned_content`.
    before
        Sha256 of the plan before, zeros for the first.
    sha256
        Of all the above as canonical JSON.
    """

    number: int
    by: str
    at: str
    reason: str
    version: str
    content: Content
    before: str
    sha256: str

    @property
    def in_words(self) -> str:
        """Return ``plan 1, locked by R. Meier on 2026-03-01T09:30:00Z``."""
        return f"plan {self.number}, locked by {self.by} on {self.at}"


def locked(
    earlier: Sequence[LockedPlan], content: Content, *, by: str, at: str, reason: str, version: str
) -> LockedPlan:
    """Return a plan with its number and hash.

    Parameters
    ----------
    earlier
        Plans that were locked before.
    content, by, at, reason, version
        As in `LockedPlan`.
    """
    before = earlier[-1].sha256 if earlier else NOTHING_BEFORE
    bare = LockedPlan(len(earlier) + 1, by, at, reason, version, content, before, "")
    return LockedPlan(**{**vars(bare), "sha256": _hash(bare)})


def lock_text(plans: Sequence[LockedPlan]) -> str:
    """Return the text of the file: the only one that these plans have.

    Parameters
    ----------
    plans
        The first one first.
    """
    data = {"schema": _SCHEMA, "plans": [asdict(one) for one in plans]}
    return json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def read_lock(folder: Path | str) -> tuple[LockedPlan, ...]:
    """Return the locked plans of a study, the one that counts last; none where nothing was locked.

    Parameters
    ----------
    folder
        The study's.

    Raises
    ------
    InputError
        The file was changed after it was locked, by one character or more, or cannot be read.
    """
    path = Path(folder) / LOCK_FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise _problem(path, f"cannot be read: {error.strerror}", "check the file") from None
    try:
        plans = tuple(LockedPlan(**one) for one in json.loads(content)["plans"] if set(one) == _KEYS)
        known = lock_text(plans).encode("utf-8") == content
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise _changed(path, "it is not as it was written") from None
    before = NOTHING_BEFORE
    for number, one in enumerate(plans, start=1):
        if _hash(one) != one.sha256:
            raise _changed(path, f"plan {number} is not the one of its sha256")
        if one.before != before or one.number != number:
            raise _changed(path, f"plan {number} was not locked after the plan before it")
        before = one.sha256
    if not known or not plans:
        raise _changed(path, "it is not as it was written")
    return plans


def log_problems(plans: Sequence[LockedPlan], entries: Sequence[Entry]) -> list[Problem]:
    """Return where the locked plans and the log do not say the same.

    Parameters
    ----------
    plans
        As read.
    entries
        Of the log.
    """
    logged = {str(e.fields.get("sha256")): e for e in entries if e.kind == "plan_locked"}
    known = {one.sha256 for one in plans}
    found = [
        f"plan {one.number} is not the one that the log says was locked"
        if logged
        else f"no entry of the log says that plan {one.number} was locked"
        for one in plans
        if one.sha256 not in logged
    ]
    found += [
        f"{'lacks' if plans else 'is missing:'} the plan that entry {e.number} of the log says was locked"
        for sha, e in logged.items()
        if sha not in known and not _replaced(sha, entries)
    ]
    return [Problem(LOCK_FILE, "", text, _RESTORE) for text in found]


def _replaced(sha256: str, entries: Sequence[Entry]) -> bool:
    """Return whether a later locking said that the file with this plan had been changed, and began anew."""
    return any(sha256 in e.fields.get("lost", ()) for e in entries if e.kind == "plan_locked")


def _hash(plan: LockedPlan) -> str:
    content: Mapping[str, Any] = {key: item for key, item in asdict(plan).items() if key != "sha256"}
    return hash_of(content)


def _changed(path: Path, why: str) -> InputError:
    return _problem(path, f"was changed after it was locked: {why}", _RESTORE)


def _problem(path: Path, text: str, hint: str) -> InputError:
    return InputError(Problem(str(path), "", text, hint))
