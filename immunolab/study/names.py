"""Names that people give to patients, visits and endpoints: which of them figures, tables and files can hold."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from immunolab.config import Document, Place
from immunolab.errors import Problem

LONGEST_NAME = 80  # characters: about a line of a page at the size of a figure's labels


def undrawable(name: str) -> str:
    """Return why a name cannot be shown, or an empty string.

    Parameters
    ----------
    name
        As a sheet or file gives it.
    """
    if not name.isprintable():
        return "holds a line break or a character that cannot be seen"
    return f"is longer than {LONGEST_NAME} characters" if len(name) > LONGEST_NAME else ""


def alike(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return names that differ only in capitals, spaces, signs between words, leading zeros or how accents are coded.

    Signs that part the same digits into other numbers make other names: 1-12 and 11-2 are patients of two sites.

    Parameters
    ----------
    names
        Of patients or visits.
    """
    found: dict[str, dict[str, None]] = {}
    for name in names:
        plain = re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name).casefold())
        found.setdefault(re.sub(r"(?<!\d)0+(?=\d)", "", plain), {})[name] = None
    return [own for group in found.values() for own in _of_one_number(list(group)) if len(own) > 1]


def _of_one_number(names: list[str]) -> list[tuple[str, ...]]:
    """Return names of the same digits by the numbers that these make, and together where only some names part them."""
    by_numbers: dict[tuple[int, ...], list[str]] = {}
    for name in names:
        by_numbers.setdefault(tuple(map(int, re.findall(r"\d+", unicodedata.normalize("NFKC", name)))), []).append(name)
    same_parts = len({len(numbers) for numbers in by_numbers}) == 1
    return [tuple(own) for own in by_numbers.values()] if same_parts else [tuple(names)]


def name_problems(names: Iterable[tuple[Place, str]], document: Document) -> Iterator[Problem]:
    """Yield a Problem for each name of a YAML file that cannot be shown.

    Parameters
    ----------
    names
        Place and name.
    document
        The file.
    """
    for place, name in names:
        if reason := undrawable(name):
            yield document.problem(place, f"{name[:40]!r} {reason}", "figures, tables and their files bear this name")
