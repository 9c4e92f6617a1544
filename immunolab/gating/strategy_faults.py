"""Collecting every fault of a strategy file, each with its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from immunolab.config import Document, Place
from immunolab.errors import Problem, nearest


class Faults:
    """The faults of one document, in the order they were found.

    Attributes
    ----------
    problems
        What is wrong, each with its line.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = []

    def add(self, place: Place, message: str, hint: str = "") -> None:
        """Note a fault at a place of the document."""
        self.problems.append(self.document.problem(place, message, hint))

    def unknown_keys(self, data: Mapping[str, Any], place: Place, known: Iterable[str]) -> None:
        """Note every key that is not among the known ones."""
        known = tuple(known)
        for key in data:
            if key not in known:
                self.add((*place, key), f"unknown key '{key}'", one_of("known keys", known, str(key)))

    def unknown_population(self, place: Place, name: str, names: Iterable[str]) -> None:
        """Note a population that the strategy does not have."""
        self.add(place, f"unknown population '{name}'", one_of("populations", names, name))


def one_of(kind: str, names: Iterable[str], meant: str) -> str:
    """Return a hint: the name that was probably meant, and all names."""
    names = tuple(names)
    return f"{nearest(meant, names)} {kind}: {', '.join(names)}".strip()


def is_number(value: Any) -> bool:
    """Whether a value of a document is a number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_pair(value: Any) -> bool:
    """Whether a value of a document is two numbers."""
    return isinstance(value, list) and len(value) == 2 and all(is_number(v) for v in value)


def is_range(value: Any) -> bool:
    """Whether a value of a document is two numbers in rising order."""
    return is_pair(value) and value[0] < value[1]
