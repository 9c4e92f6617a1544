"""What does not fit in a log: entries that were edited, removed, reordered, inserted or written twice, by number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from immunolab.audit.entry import NOTHING_BEFORE, Entry, read_line
from immunolab.audit.head import Head


@dataclass(frozen=True)
class Lines:
    """The lines of a log as read.

    Attributes
    ----------
    entries
        One a line; None where the line is not an entry as it was written.
    torn
        What follows the last line end: of a line that was not written to its end.
    """

    entries: tuple[Entry | None, ...]
    torn: bytes = b""


def read_lines(content: bytes) -> Lines:
    """Return the lines of a log's bytes.

    Parameters
    ----------
    content
        The whole file.
    """
    whole, _, torn = content.rpartition(b"\n")
    lines = whole.split(b"\n") if whole or content.startswith(b"\n") else []
    return Lines(tuple(read_line(line) for line in lines), torn)


def chain_faults(lines: Lines, head: Head | None) -> list[str]:
    """Return what does not fit, in words that name each entry by its number; empty for a sound log.

    Parameters
    ----------
    lines
        Of the log.
    head
        Its head; None where that is missing or no head, which is the caller's to say.
    """
    found = [*_lines_faults(lines.entries)]
    if not found:
        found += _links(lines.entries)
    return [*found, *(_end(lines, head, sound=not found) if head else ())]


def torn_fault(lines: Lines, head: Head | None) -> list[str]:
    """Return the words for a line that was not written to its end; nothing where `chain_faults` names it as cut.

    Parameters
    ----------
    lines, head
        As in `chain_faults`.
    """
    number = max(_numbers(lines.entries), default=0) + 1
    if not lines.torn or (head is not None and number <= head.entries):
        return []
    return [f"entry {number} was not written to its end ({len(lines.torn)} bytes); the next entry moves it aside"]


def _lines_faults(entries: Sequence[Entry | None]) -> Iterator[str]:
    """Yield lines that are no entry, entries that are there twice or out of order, and numbers that are missing."""
    seen: dict[str, int] = {}
    numbers = _numbers(entries)
    highest = 0
    for line, (entry, number) in enumerate(zip(entries, numbers, strict=True), start=1):
        if entry is None:
            yield f"entry {number} (line {line}) was edited: it is not what its hash was made of"
        elif entry.hash in seen:
            yield f"entry {number} is there twice (lines {seen[entry.hash]} and {line})"
        elif number <= highest:
            yield _misplaced(number, line, numbers)
        if entry is not None:
            seen.setdefault(entry.hash, line)
        highest = max(highest, number)
    there = set(numbers)
    for number in range(1, highest):
        if number not in there:
            yield f"entry {number} was removed"


def _misplaced(number: int, line: int, numbers: Sequence[int]) -> str:
    if number in numbers[: line - 1]:
        first = numbers.index(number) + 1
        return f"entry {number} was inserted: lines {first} and {line} hold different entries of this number"
    return f"entry {number} (line {line}) is out of order: it comes after entry {max(numbers[: line - 1])}"


def _numbers(entries: Sequence[Entry | None]) -> list[int]:
    """Return the number of each line: the entry's own, and where it cannot be read the one after that before it."""
    numbers: list[int] = []
    for entry in entries:
        numbers.append(entry.number if entry else (numbers[-1] if numbers else 0) + 1)
    return numbers


def _links(entries: Sequence[Entry | None]) -> Iterator[str]:
    """Yield entries that are whole, but are not those that the next one was written after."""
    before = NOTHING_BEFORE
    for entry in entries:
        if entry is not None and entry.before != before:
            last = entry.number - 1
            other = f"entry {last} was edited and hashed again" if last else "entry 1 was made to follow another"
            yield f"{other}: entry {entry.number} was not written after the entry that is there"
        before = entry.hash if entry else ""


def _end(lines: Lines, head: Head, *, sound: bool) -> Iterator[str]:
    """Yield where the log does not end as its head says."""
    numbers = _numbers(lines.entries)
    last = max(numbers, default=0)
    for number in range(last + 1, head.entries + 1):
        cut = number == last + 1 and lines.torn
        yield f"entry {number} was {'cut' if cut else 'removed'}: audit.head counts {head.entries}"
    if last >= head.entries and sound:
        yield from _past(lines.entries, head)


def _past(entries: Sequence[Entry | None], head: Head) -> Iterator[str]:
    """Yield where the entry that the head names is another, and entries after it that were not about to be written."""
    named = entries[head.entries - 1] if head.entries else None
    if head.entries and named is not None and named.hash != head.hash:
        yield f"entry {head.entries} was edited and hashed again, or audit.head was: it is not the one that it names"
    for entry in entries[head.entries + len(head.coming) :]:
        if entry is not None:
            yield f"entry {entry.number} was inserted: audit.head counts {head.entries} entries"
    for entry, coming in zip(entries[head.entries :], head.coming, strict=False):
        if entry is not None and entry.hash != coming:
            yield f"entry {entry.number} was inserted: it is not the one that was about to be written"
