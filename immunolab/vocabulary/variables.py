"""Variables measured beside the cells: their names, the unit they are kept in, what they can be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType

from immunolab.config import build, read_package_yaml

_GREEK = str.maketrans({"α": "a", "β": "b", "γ": "g", "κ": "k", "Α": "a", "Β": "b", "Γ": "g", "μ": "u", "µ": "u"})
_SPELLED = {"ALPHA": "A", "BETA": "B", "GAMMA": "G"}


@dataclass(frozen=True)
class Variable:
    """A measured variable.

    Attributes
    ----------
    unit
        The unit its values are kept in; empty for scores and other bare numbers.
    limits
        Smallest and largest value that can be right, in that unit.
    names
        Other spellings.
    also
        Other units that mean the same for this variable, and their factor to ``unit``.
    """

    unit: str
    limits: tuple[float, ...] = ()
    names: tuple[str, ...] = ()
    also: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Variables:
    schema: str
    variables: dict[str, Variable]
    ambiguous: dict[str, tuple[str, ...]]


@lru_cache(maxsize=1)
def _read() -> _Variables:
    return build(_Variables, read_package_yaml("immunolab.vocabulary", "variables.yaml"))


def variables() -> Mapping[str, Variable]:
    """Return every variable of the vocabulary by its canonical name."""
    return MappingProxyType(_read().variables)


@lru_cache(maxsize=4096)
def resolve_variable(label: str) -> str | None:
    """Return the canonical name of a label (``TNFα``, ``MCP-1``, ``complement C3``), or None."""
    return _by_key().get(_key(label))


@lru_cache(maxsize=4096)
def ambiguous_variable(label: str) -> tuple[str, ...]:
    """Return the variables a label may mean, when it may mean several (``NfL``: serum or CSF)."""
    return {_key(name): meant for name, meant in _read().ambiguous.items()}.get(_key(label), ())


@lru_cache(maxsize=1)
def _by_key() -> dict[str, str]:
    return {_key(spelling): name for name, v in _read().variables.items() for spelling in (name, *v.names)}


def _key(label: str) -> str:
    text = label.translate(_GREEK).upper()
    for word, letter in _SPELLED.items():
        text = text.replace(word, letter)
    return re.sub(r"[^A-Z0-9%]", "", text)
