"""The head: how many entries the log has and the last one's hash, kept apart so that a cut end is found."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from immunolab.audit.durable import replace_durably
from immunolab.audit.entry import NOTHING_BEFORE, canonical


@dataclass(frozen=True)
class Head:
    """Where the log ends.

    Attributes
    ----------
    entries
        How many are written.
    hash
        Of the last of them.
    coming
        Hashes of entries that were about to be written; where writing was interrupted, some of them are in the log.
    """

    entries: int = 0
    hash: str = NOTHING_BEFORE
    coming: tuple[str, ...] = ()


def read_head(path: Path) -> Head | None:
    """Return the head, or None where its file is not one.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    OSError
        It cannot be read.
    """
    content = path.read_bytes()
    try:
        data = json.loads(content)
        head = Head(data["entries"], data["hash"], tuple(data["coming"]))
        texts = all(isinstance(one, str) for one in (head.hash, *head.coming))
        return head if type(head.entries) is int and texts and head_bytes(head) == content else None
    except (ValueError, TypeError, KeyError):
        return None


def write_head(path: Path, head: Head) -> None:
    """Write the head whole, and wait until the disk has it.

    Parameters
    ----------
    path
        The file.
    head
        Its content.
    """
    replace_durably(path, head_bytes(head))


def head_bytes(head: Head) -> bytes:
    """Return the content of the head's file.

    Parameters
    ----------
    head
        Where the log ends.
    """
    return canonical({"entries": head.entries, "hash": head.hash, "coming": head.coming}) + b"\n"
