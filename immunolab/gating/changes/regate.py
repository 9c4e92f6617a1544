"""A tube gated again with other gates: what did not change keeps its events, borders and flags."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from immunolab.errors import Problem
from immunolab.events.tube import Tube
from immunolab.gating.borders import GateBorder, gate_borders, is_closed, number, on_axis
from immunolab.gating.changes.diff import renamed_paths, same_gate
from immunolab.gating.imported_thresholds import drawn_border
from immunolab.gating.placement.scales import measure_scales, on_scales
from immunolab.gating.plausibility import checked
from immunolab.gating.strategy import Boolean, Memberships, Polygon, Population, Strategy
from immunolab.gating.tube_gates import Threshold, TubeGates
from immunolab.gating.validation import evaluable
from immunolab.schema.flags import Flag, split

if TYPE_CHECKING:
    from immunolab.gating.evaluate import Mask

# true of most laboratories: they qualify a border's evidence, not the population
_QUIET = frozenset({Flag.NO_FMO, Flag.NO_UNSTAINED})


@dataclass(frozen=True)
class Regated:
    """What gating a tube again gave.

    Attributes
    ----------
    memberships
        Every population with its events.
    borders
        Records of the borders, population after population.
    left_out
        New gates that the tube cannot answer.
    notes
        What changed, in words.
    """

    memberships: Memberships
    borders: tuple[Threshold, ...]
    left_out: tuple[Problem, ...]
    notes: tuple[str, ...]


def gate_again(
    memberships: Memberships,
    borders: Sequence[Threshold],
    gates: TubeGates,
    tube: Tube,
    by_data: Collection[str] = (),
) -> Regated:
    """Return a tube's populations under a changed strategy; only what the change reaches is evaluated.

    Parameters
    ----------
    memberships
        As the tube was gated before.
    borders
        The records of that gating.
    gates
        The changed strategy, its gates drawn or placed, and the borders that data placed now.
    tube
        All events.
    by_data
        Paths of the populations whose gate data placed now.
    """
    from immunolab.gating.evaluate import evaluate  # with numba; who compares gates only does not need it

    before = memberships.strategy
    drawn = on_scales(measure_scales(gates.strategy, [tube]), tube)
    kept, faults = evaluable(drawn, tube)
    was = renamed_paths(before, kept)
    old = {p.path: p for p in before.populations}
    changed = [p for p in kept.populations if p.path not in was or not same_gate(old[was[p.path]].gate, p.gate, was)]
    records = BorderRecords(borders, before, tube, gates.thresholds or (), by_data)
    flagged = reflagged(kept, before, {p.path for p in changed}, was, records)
    known = _unchanged(memberships, flagged, was, {p.path for p in changed})
    counted = checked(evaluate(flagged, tube, known), tube)
    rows = tuple(row for p in counted.strategy.populations for row in records.of(p, old.get(was.get(p.path, ""))))
    return Regated(counted, rows, faults, tuple(str(change) for change in before.diff(kept).changes))


def _unchanged(
    memberships: Memberships, strategy: Strategy, was: Mapping[str, str], changed: set[str]
) -> dict[str, Mask]:
    """Return the events of populations that no change reaches, by their path now."""
    found: dict[str, Mask] = {}
    same_matrices = strategy.matrices == memberships.strategy.matrices
    for p in strategy.populations:
        reached = any(path and path not in found for path in p.depends_on)
        if same_matrices and p.path not in changed and not reached:
            found[p.path] = memberships.masks[was[p.path]]
    return found


def reflagged(
    strategy: Strategy, before: Strategy, changed: set[str], was: Mapping[str, str], records: BorderRecords
) -> Strategy:
    """Return the strategy with flags as they are true now: moved and new gates are by hand, inherited words fresh.

    Parameters
    ----------
    strategy
        With the changed gates, and the flags of before.
    before
        The strategy that `records` are of.
    changed
        Paths of the gates that are new or elsewhere.
    was
        Path now -> path before.
    records
        Of the borders.
    """
    old = {p.path: p for p in before.populations}
    withheld_before = {p.path for p in before.populations if Flag.NO_BORDER in split(p.flag)}
    withheld: set[str] = set()
    populations = []
    for p in strategy.populations:
        first = old.get(was.get(p.path, ""))
        words = split(p.flag)
        if p.path in changed and not isinstance(p.gate, Boolean):
            words = records.words(p, first)
        elif Flag.NO_BORDER in words and first is not None and not _own_fault(first, withheld_before, records):
            words = [word for word in words if word != Flag.NO_BORDER]
        if p.depends_on & withheld:
            words = [*words, Flag.NO_BORDER]
        if Flag.NO_BORDER in words:
            withheld.add(p.path)
        populations.append(replace(p, flag=";".join(dict.fromkeys(words)), reason=p.reason if words else ""))
    return replace(strategy, populations=tuple(populations))


def _own_fault(population: Population, withheld: set[str], records: BorderRecords) -> bool:
    """Whether a population had no border of its own, not only one that it depends on."""
    if is_closed(population.gate) or not population.depends_on & withheld:
        return True
    return any(row.threshold is None or Flag.NO_BORDER in split(row.flag) for row in records.before(population))


class BorderRecords:
    """The records of borders as they were, and as they are after a change.

    Parameters
    ----------
    borders, before
        The records, and the strategy that they are of.
    tube
        Names channels.
    placed, by_data
        The records of what data placed now, and the paths of those populations.
    """

    def __init__(
        self,
        borders: Sequence[Threshold],
        before: Strategy,
        tube: Tube,
        placed: Sequence[Threshold],
        by_data: Collection[str],
    ) -> None:
        self._tube = tube
        self._placed = placed
        self._by_data = by_data
        self._rows: dict[str, list[Threshold]] = {}
        for row in borders:
            self._rows.setdefault(row.population, []).append(row)
        names = [p.name for p in before.populations]
        self._shared = {name for name in names if names.count(name) > 1}

    def before(self, population: Population) -> list[Threshold]:
        """Return the records of a population as it was; of one of several with a name, those on its own borders."""
        rows = self._rows.get(population.name, [])
        if population.name not in self._shared:
            return rows
        values = [border.value for border in gate_borders(population)]
        known = [row for row in rows if row.threshold_raw is not None]
        return [row for row in known if any(_near(float(row.threshold_raw or 0.0), value) for value in values)]

    def words(self, population: Population, first: Population | None) -> list[str]:
        """Return the flags of a population whose gate changed: by hand, and those of its borders that did not move.

        Parameters
        ----------
        population, first
            As it is now, and as it was.
        """
        if population.path in self._by_data:
            return split(population.flag)
        kept = [word for word in split(population.flag) if word == Flag.EXCLUSION_MISSING]
        if is_closed(population.gate):
            kept.append(Flag.NO_BORDER)
        for border in gate_borders(population):
            row = None if first is None else self._row(border, first)
            if row is not None:
                kept += [word for word in split(row.flag) if word not in _QUIET and word != Flag.NO_BORDER]
        return list(dict.fromkeys([*kept, Flag.BY_HAND]))

    def of(self, population: Population, first: Population | None) -> Iterator[Threshold]:
        """Yield the records of a population as it is now.

        Parameters
        ----------
        population, first
            As it is now, and as it was.
        """
        if population.path in self._by_data:
            yield from (row for row in self._placed if row.population == population.name)
            return
        if first is not None and population.gate == first.gate:
            yield from (replace(row, population=population.name) for row in self.before(first))
            return
        for border in gate_borders(population):
            row = None if first is None else self._row(border, first)
            yield self._hand_set(border, first) if row is None else replace(row, population=population.name)

    def _row(self, border: GateBorder, first: Population) -> Threshold | None:
        """Return the record of a border that is where it was; None for one that moved."""
        old = {(one.axis, one.side): one.value for one in gate_borders(first)}
        value = old.get((border.axis, border.side))
        if value is None or not (value == border.value or (value != value and border.value != border.value)):
            return None
        if isinstance(border.population.gate, Polygon):
            return None  # the two borders of a corner are one gate
        channel = self._channel(border)
        rows = [row for row in self.before(first) if row.channel == channel]
        exact = [row for row in rows if row.threshold_raw is not None and _near(row.threshold_raw, value)]
        return next(iter(exact or (rows if value != value else [])), None)

    def _channel(self, border: GateBorder) -> str:
        return self._tube.channel(border.dimension.name).name

    def _hand_set(self, border: GateBorder, first: Population | None) -> Threshold:
        row = drawn_border(border.population, border.dimension, on_axis(border.dimension, border.value), self._tube)
        old = [] if first is None else [one for one in self.before(first) if one.channel == row.channel]
        values = [f"{number(one.threshold_raw)} by {one.method}" for one in old if one.threshold_raw is not None]
        reason = f"set by hand; before: {values[0]}" if values else "set by hand"
        return replace(row, method="drawn", control="fixed", reason=reason)


def _near(a: float, b: float) -> bool:
    return abs(a - b) <= 1e-6 * max(1.0, abs(a), abs(b))
