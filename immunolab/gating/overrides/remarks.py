"""Lines of comment that people wrote into the file of overrides, kept with the entry that they stand at."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

# of every file of overrides; not a remark of anyone
HEAD = """\
# Gates that a reader placed; the next `immunolab run` uses them instead of the automatic ones.
# Numbers are in instrument units; `exact` holds all digits. Remove `exact` where you change a gate by hand.
"""


def remarks_of(text: str, starts: Sequence[int]) -> list[tuple[str, ...]]:
    """Return the lines of comment that belong to each entry: right above it, or in it.

    What is above the first entry belongs to it, what is below the last to the last; a comment behind a value on its
    line is not kept.

    Parameters
    ----------
    text
        Of the file.
    starts
        Line that each entry begins in, from 1, rising.
    """
    lines = [line.strip() for line in text.splitlines()]
    kept = {place for place, line in enumerate(lines) if line.startswith("#") and line not in HEAD.splitlines()}
    parted = [_above(lines, start - 1) for start in starts[1:]]
    bounds = [0, *parted, len(lines)] if starts else []
    return [tuple(lines[place] for place in range(*ends) if place in kept) for ends in pairwise(bounds)]


def _above(lines: Sequence[str], start: int) -> int:
    """Return the first line of the block of comments that ends right above a line."""
    while start and lines[start - 1].startswith("#"):
        start -= 1
    return start
