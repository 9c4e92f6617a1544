"""One entry of the log: its fields, its hash, its line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from immunolab.errors import InputError, Problem

NOTHING_BEFORE = "0" * 64
"""What the first entry holds in place of the hash of an entry before it."""
_KEYS = {"number", "kind", "by", "at", "fields", "before", "hash"}


@dataclass(frozen=True)
class Entry:
    """One entry.

    Attributes
    ----------
    number
        1 for the first.
    kind
        What happened, one of `immunolab.audit.kinds.KINDS`.
    by
        Who did it, as they named themselves.
    at
        When, ISO 8601 with its zone, by the clock of the computer it was done on.
    fields
        What else belongs to it.
    before
        Hash of the entry before, `NOTHING_BEFORE` for the first.
    hash
        sha256 of all the above as canonical JSON.
    """

    number: int
    kind: str
    by: str
    at: str
    fields: Mapping[str, Any]
    before: str
    hash: str

    def line(self) -> bytes:
        """Return the entry as the one line that the log holds of it."""
        return canonical(_content(self) | {"hash": self.hash}) + b"\n"

    def is_whole(self) -> bool:
        """Return whether the hash is that of what the entry holds."""
        return hash_of(_content(self)) == self.hash


def canonical(content: Mapping[str, Any]) -> bytes:
    """Return content as JSON that is the same bytes for the same content: keys sorted, no spaces, UTF-8.

    Parameters
    ----------
    content
        Plain data with text keys; numbers are finite.

    Raises
    ------
    InputError
        It holds something that JSON has no word for.
    """
    try:
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        if json.loads(text) != _plain(content):
            raise TypeError("keys must be text")
        return text.encode("utf-8")
    except (TypeError, ValueError) as error:
        raise InputError(Problem("", "fields", f"cannot be written as JSON: {error}", "text, numbers, lists")) from None


def hash_of(content: Mapping[str, Any]) -> str:
    """Return the sha256 of content as canonical JSON, hex.

    Parameters
    ----------
    content
        As `canonical` takes it.
    """
    return hashlib.sha256(canonical(content)).hexdigest()


def new_entry(number: int, kind: str, fields: Mapping[str, Any], *, by: str, at: str, before: str) -> Entry:
    """Return an entry with its hash.

    Parameters
    ----------
    number, kind, fields, by, at, before
        As in `Entry`.

    Raises
    ------
    InputError
        Nobody is named, the time has no zone, or the fields are no plain data.
    """
    faults = []
    if not by.strip():
        faults.append(Problem("", "by", "nobody is named", "give the name of who does this"))
    if not _has_zone(at):
        faults.append(Problem("", "at", f"'{at}' is no time with a zone", "ISO 8601, as 2026-03-01T09:30:00Z"))
    if faults:
        raise InputError(faults)
    plain = json.loads(canonical(fields))
    bare = Entry(number, kind, by, at, plain, before, "")
    return Entry(number, kind, by, at, plain, before, hash_of(_content(bare)))


def read_line(line: bytes) -> Entry | None:
    """Return the entry that a line of the log holds, or None where it is not an entry as the log writes one.

    Parameters
    ----------
    line
        With its line end, or without.
    """
    try:
        data = json.loads(line)
        if not isinstance(data, dict) or set(data) != _KEYS or not isinstance(data["fields"], dict):
            return None
        entry = Entry(**data)
        same = entry.line() == line.rstrip(b"\n") + b"\n"
    except (ValueError, InputError, RecursionError):
        return None
    return entry if same and type(entry.number) is int and entry.is_whole() else None


def _content(entry: Entry) -> dict[str, Any]:
    names = ("number", "kind", "by", "at", "fields", "before")
    return {name: getattr(entry, name) for name in names}


def _has_zone(at: str) -> bool:
    try:
        return datetime.fromisoformat(at).tzinfo is not None
    except (ValueError, TypeError):
        return False


def _plain(value: Any) -> Any:
    """Return a value with tuples as lists, which is what JSON makes of them."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
