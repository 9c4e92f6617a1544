"""How populations, measures and units are written for a reader; tables keep their ids."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache

from immunolab.config import build, read_package_yaml

_SLOPE = ".slope"  # ending of a slope's name in scores.csv


@dataclass(frozen=True)
class _Population:
    name: str
    of: str = ""


@dataclass(frozen=True)
class _Names:
    schema: str
    populations: dict[str, _Population]
    measures: dict[str, str]
    units: dict[str, str] = field(default_factory=dict)


@cache
def _names() -> _Names:
    return build(_Names, read_package_yaml("immunolab.vocabulary", "display_names.yaml"))


def with_display_names(text: str) -> str:
    """Return a sentence with the ids in it (words joined by ``_``) as `display_name` writes them.

    Parameters
    ----------
    text
        ``SELENA_SLEDAI below 4 at a visit``.

    Returns
    -------
    str
        ``SELENA-SLEDAI below 4 at a visit``.
    """
    return re.sub(r"\b[A-Za-z0-9]+(?:_[A-Za-z0-9]+)+\b", lambda found: display_name(found[0]), text)


def display_name(id: str) -> str:
    """Return how a population, a ratio of two, a variable, a score or its slope is written.

    Parameters
    ----------
    id
        As tables name it: ``Tfh_eff``, ``Treg/Tfh_eff``, ``ALSFRS_R.slope``, ``IFN-g``.

    Returns
    -------
    str
        ``effector Tfh``, ``Treg/effector Tfh``, ``ALSFRS-R slope``, ``IFN-γ``; an id without a name of its own is
        written as it is, its underscores as blanks.
    """
    known = _names()
    if id in known.populations:
        return known.populations[id].name
    if id in known.measures:
        return known.measures[id]
    if id.endswith(_SLOPE):
        return f"{display_name(id.removesuffix(_SLOPE))} slope"
    parts = id.split("/")
    if len(parts) == 2 and all(part in known.populations for part in parts):
        return "/".join(known.populations[part].name for part in parts)
    return id.replace("_", " ")


def parent_name(id: str) -> str:
    """Return how a denominator is written after ``% of``.

    Parameters
    ----------
    id
        Population id; upper and lower case are alike.
    """
    named = {name.lower(): one for name, one in _names().populations.items()}.get(id.lower())
    return id.replace("_", " ") if named is None else named.of or named.name


def unit_name(unit: str) -> str:
    """Return how a unit is written: ``cells/µL`` for ``cells/uL``.

    Parameters
    ----------
    unit
        As tables name it.
    """
    return _names().units.get(unit, unit)
