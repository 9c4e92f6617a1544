"""The log as a table, each entry in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pandas as pd

from immunolab.audit.entry import Entry
from immunolab.schema.plan import AUDIT

_SHOWN = 12  # characters of a hash in words: enough to find it, as version control shows them
_HASH = 64  # characters of a sha256 in hex
_NAMED = 4  # gates named in one entry; judgement: more are counted
_UNSAID = {"was", "gate", "seed", "lost"}  # fields that say nothing in words: geometry, and hashes of lost plans


def audit_table(entries: Iterable[Entry]) -> pd.DataFrame:
    """Return entries as the table `AUDIT`.

    Parameters
    ----------
    entries
        Of a log.
    """
    return AUDIT.frame(
        [
            {
                "number": one.number,
                "at": one.at,
                "by": one.by,
                "kind": one.kind,
                "words": entry_in_words(one),
                "hash": one.hash,
            }
            for one in entries
        ]
    )


def entry_in_words(entry: Entry) -> str:
    """Return what an entry says besides its kind: ``T01 Treg, reason no_border``.

    Parameters
    ----------
    entry
        Of a log.
    """
    return ", ".join(_words(entry.fields)) or entry.kind.replace("_", " ")


def _words(fields: Mapping[str, Any]) -> Iterator[str]:
    for name, value in fields.items():
        if name in _UNSAID or value in ("", None, [], {}):
            continue
        if isinstance(value, list) and all(isinstance(one, Mapping) for one in value):
            yield _gates(value)
        elif not isinstance(value, Mapping):
            yield f"{name.replace('_', ' ')} {_value(value)}"


def _gates(moved: list[Mapping[str, Any]]) -> str:
    names = [f"{one.get('sample_id', '')} {str(one.get('path', '')).rsplit('/', 1)[-1]}".strip() for one in moved]
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    is_hash = len(text) == _HASH and all(one in "0123456789abcdef" for one in text)
    return f"{text[:_SHOWN]}…" if is_hash else text
