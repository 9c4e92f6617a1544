"""Endpoints that are counted: what a sample's counts say, and the value made of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from immunolab.intervals import NORMAL_95
from immunolab.schema.flags import READERS, WITHHELD, Flag, split

if TYPE_CHECKING:
    import pandas as pd

LYMPHOCYTES = "lymphocytes"  # population that a blood count counts
_LIMITS = ("count_low", "count_high", "gate_low", "gate_high", "one_event")
_OF_PARENT = WITHHELD | READERS | {Flag.STALE_OVERRIDE}  # words of a denominator that qualify a share of it
_NOT_WRITTEN = ("bead_error",)


@dataclass(frozen=True)
class Joint:
    """Events that two populations share, where neither is the other's ancestor."""

    population: str
    parent: str
    n_events: int


@dataclass(frozen=True)
class CountedValue:
    """An endpoint's value in one sample, and the events it was made of.

    Attributes
    ----------
    value
        In ``unit``; None where it cannot be evaluated.
    n_events, n_parent
        Events counted, of how many (of a ratio: numerator and denominator).
    count_low, count_high, gate_low, gate_high
        95 % limits from counting and from the gates, in ``unit``; None where they are not known.
    one_event
        What one event makes of an absolute count, in ``unit``; None for all others.
    bead_error
        Relative counting error of the beads that the value depends on; 0 for all others.
    """

    population: str
    parent: str | None
    definition: str | None
    value: float | None
    unit: str
    n_events: int
    n_parent: int
    flag: str | None = None
    count_low: float | None = None
    count_high: float | None = None
    gate_low: float | None = None
    gate_high: float | None = None
    one_event: float | None = None
    bead_error: float = 0.0

    def row(self) -> dict[str, object]:
        """Return its columns of the endpoint table; limits only where they are known."""
        row = {name: value for name, value in vars(self).items() if name not in _NOT_WRITTEN}
        return {name: value for name, value in row.items() if name not in _LIMITS or value is not None}

    def with_gates(self, centre: float, error: float | None, back: Callable[[float], float]) -> CountedValue:
        """Return the value with limits of the gates: ``centre`` -+ 1.96 ``error``, turned ``back`` to its unit.

        Parameters
        ----------
        centre
            The value on the scale of the error.
        error
            Standard error that the gates give on that scale; None where it is not known, which gives no limits.
        back
            From that scale to the unit of the value.
        """
        if error is None:
            return self
        return replace(self, gate_low=back(centre - NORMAL_95 * error), gate_high=back(centre + NORMAL_95 * error))


class _Counted(NamedTuple):
    population: str
    path: str
    n_events: int
    definition: object
    flag: object


@dataclass(frozen=True)
class TubeBeads:
    """The counting beads of a tube.

    Attributes
    ----------
    n
        Beads counted.
    each
        Cells per microlitre that one event makes; None where it is not known.
    cv
        Stated error of the lot's count, share of it.
    flag
        Words that qualify them, or "".
    """

    n: int
    each: float | None
    cv: float = 0.0
    flag: str = ""


class SampleCounts:
    """Counts of one sample looked up by population name; a name under two parents is ambiguous and left out.

    Parameters
    ----------
    counts
        Rows of `COUNTS` of the sample.
    joints
        Events shared with denominators outside a population's lineage.
    lymphocytes_per_ul
        Of the same day's blood count.
    beads
        Counting beads of the tube; None where it declares none.
    """

    def __init__(
        self,
        counts: pd.DataFrame,
        joints: Sequence[Joint] = (),
        *,
        lymphocytes_per_ul: float | None = None,
        beads: TubeBeads | None = None,
    ) -> None:
        columns = (counts[name].tolist() for name in ("population", "path", "n_events", "definition", "flag"))
        rows = [_Counted(*values) for values in zip(*columns, strict=True)]
        met = Counter(row.population for row in rows)
        self._rows = {row.population: row for row in rows if met[row.population] == 1}
        self._joint = {(j.population, j.parent): j.n_events for j in joints}
        self.lymphocytes_per_ul = lymphocytes_per_ul
        self.beads = beads

    def __contains__(self, name: object) -> bool:
        """Return whether the sample has one population of this name."""
        return name in self._rows

    def n(self, name: str) -> int:
        """Return the events of a population."""
        return int(self._rows[name].n_events)

    def within(self, name: str, parent: str) -> int:
        """Return the events of a population that are also in a denominator.

        Parameters
        ----------
        name
            Population.
        parent
            Denominator; one that is not above the population must be among the joint counts.
        """
        lineage = self._rows[name].path.split("/")
        if parent in lineage or parent == "root":
            return self.n(name)
        return self._joint[name, parent]

    def definition(self, name: str) -> str:
        """Return the definition's id, or ""."""
        return _text(self._rows[name].definition)

    def flag(self, name: str, of: str = "") -> str:
        """Return the population's flags, or "".

        Parameters
        ----------
        name
            Population.
        of
            Its denominator: what withholds its count withholds a share of it too; a reader's gate is said of both.
        """
        above = [word for word in split(self.flag(of)) if word in _OF_PARENT] if of else []
        return flags(_text(self._rows[name].flag), *above) or ""


def gate_error(gate_sd: Mapping[tuple[str, str], float], population: str, parent: str | None) -> float | None:
    """Return the gates' SE of a share (logit scale); a denominator outside the lineage takes that of CD4.

    Parameters
    ----------
    gate_sd
        Standard error on the logit scale by (population, denominator).
    population, parent
        Of the share; None as parent for one of lymphocytes.
    """
    return next((gate_sd[key] for key in ((population, parent or ""), (population, "CD4")) if key in gate_sd), None)


def flags(*words: str) -> str | None:
    """Return flags joined by ``;``, each once, or None."""
    kept = [word for text in words for word in split(text)]
    return ";".join(dict.fromkeys(kept)) or None


def _text(value: object) -> str:
    missing = value is None or (isinstance(value, float) and math.isnan(value)) or str(value) == "<NA>"
    return "" if missing else str(value)
