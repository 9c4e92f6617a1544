"""What is wrong in a strategy file, each fault with its place; checks of single values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from immunolab.config import Place
from immunolab.errors import nearest
from immunolab.gating.gates import ROOT

_LONGEST_NAME = 80  # characters of a population: about a line of a page at the size of a figure's labels


@dataclass(frozen=True)
class StrategyFault:
    """One fault: where in the document, what, how to fix it."""

    place: Place
    message: str
    hint: str = ""


def unknown_keys(data: Mapping[str, Any], place: Place, known: Iterable[str]) -> Iterator[StrategyFault]:
    """Yield a fault for every key that is not among the known ones.

    Parameters
    ----------
    data
        As YAML gives it.
    place
        Keys that lead to it.
    known
        Keys it may have.
    """
    known = tuple(known)
    for key in data:
        if key not in known:
            yield StrategyFault((*place, key), f"unknown key '{key}'", one_of("known keys", known, str(key)))


def unknown_population(place: Place, name: str, names: Iterable[str]) -> StrategyFault:
    """Return the fault of a population that the strategy does not have.

    Parameters
    ----------
    place
        Keys that lead to the name.
    name
        As it was written.
    names
        All populations of the strategy.
    """
    return StrategyFault(place, f"unknown population '{name}'", one_of("populations", names, name))


def one_of(kind: str, names: Iterable[str], meant: str) -> str:
    """Return a hint: the name that was probably meant, and all names.

    Parameters
    ----------
    kind
        What the names are, in the plural.
    names
        All that may be written.
    meant
        What was written.
    """
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


def name_faults(name: str, place: Place, earlier: Iterable[str]) -> Iterator[StrategyFault]:
    """Yield the faults of a population's name.

    Parameters
    ----------
    name
        As it was written.
    place
        Keys that lead to it.
    earlier
        Names that are taken.
    """
    if not name.strip():
        yield StrategyFault(place, "a population needs a name", "write one")
    if "/" in name:
        yield StrategyFault(place, f"'{name}' holds '/', which separates names in a path", "use '|' or '_'")
    if not name.isprintable() or len(name) > _LONGEST_NAME:
        text = f"{name[:40]!r} is longer than {_LONGEST_NAME} characters, or holds some that cannot be seen"
        yield StrategyFault(place, text, "figures and tables show this name")
    if name == ROOT:
        yield StrategyFault(place, "'root' is all events and needs no entry", "leave the entry out")
    elif name in earlier:
        yield StrategyFault(place, f"population '{name}' is duplicated", "names are unique in a strategy")
