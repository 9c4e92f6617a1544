"""Whether a tube's markers go together as on cells: a missing or exchanged antibody, a signal in another's channel.

A gate asks one marker at a time, so that a reagent that is not what its label says gives a number like any other. What
cells carry together does not depend on gates: rules of vocabulary/coexpression.yaml are tested on the tube's events,
and a marker that breaks them makes everything doubtful that was gated on it. Counting decides first: a rule is broken
only where chance alone would not do it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from immunolab.events.transforms import Identity
from immunolab.events.tube import Tube
from immunolab.gating.axes import Axes, Block
from immunolab.gating.strategy import Dimension, Ellipsoid, Memberships, Polygon, Population, Rectangle
from immunolab.intervals import NORMAL_95, jeffreys_percent
from immunolab.schema.flags import Flag, split
from immunolab.vocabulary.coexpression import coexpression

_MOST_EVENTS = 20_000  # of a population, evenly over the tube: a share of half is known to 0.7 points (judgement: time)
_HALF = 50.0  # percent of cells that carry a second marker: most of them, or few
_FEWEST_SIGNS = 2  # comparisons that all speak for two exchanged markers (judgement: one alone may be a person's)
# chance of one group's event to read higher than another's, over or under even, that says nothing (judgement,
# 2026-11-26: CD45RA of CD8 over CD4 cells is 0.15 to 0.36 over even, CD25 of CD4 over CD8 0.01 to 0.26, 20 tubes)
_EVEN = 0.05
_Rule = tuple[tuple[str, ...], str]  # markers, and how they break the rule; "" where they keep it


@dataclass(frozen=True)
class _Border:
    """A marker's border in the population with most events of those that have one."""

    parent: str
    dimension: Dimension
    value: float


def broken_rules(memberships: Memberships, tube: Tube) -> dict[str, str]:
    """Return the markers that do not go with others as on cells, each with what they do.

    Parameters
    ----------
    memberships
        Evaluated gates of the tube; only markers that are gated are looked at.
    tube
        Its events.
    """
    events = _Events(memberships, tube)
    found: dict[str, str] = {}
    for rules, shared in ((_lineage(events), _HALF / 100), (_rising(events), 1.0)):
        for marker, words in _blamed(list(rules), shared).items():
            found.setdefault(marker, words)
    for markers, words in (*_exchanged(events), *_spilled(events)):
        for marker in markers:
            found.setdefault(marker, words)
    return found


def depend_on(
    memberships: Memberships, tube: Tube, markers: Mapping[str, str]
) -> Iterator[tuple[str, tuple[Flag, str]]]:
    """Yield the populations that are gated on doubted markers, themselves or through a population that they depend on.

    Parameters
    ----------
    memberships
        Evaluated gates of the tube.
    tube
        Names the markers of its channels.
    markers
        Doubted markers, as `broken_rules` returns them.
    """
    used: dict[str, set[str]] = {}
    for one in memberships.strategy.populations:
        own = {_marker(dimension, tube) for dimension in _dimensions(one)}
        used[one.path] = own.union(*(used.get(path, set()) for path in one.depends_on))
        for words in dict.fromkeys(markers[name] for name in sorted(used[one.path]) if name in markers):
            yield one.path, (Flag.STAINING, words)


def of_other_cells(memberships: Memberships, tube: Tube) -> Iterator[tuple[str, tuple[Flag, str]]]:
    """Yield populations most of whose events carry a marker that their cells lack.

    Parameters
    ----------
    memberships
        Evaluated gates of the tube.
    tube
        Its events.
    """
    events = _Events(memberships, tube)
    for name, lacking in coexpression().lack.items():
        path = events.paths.get(name)
        for marker in lacking if path is not None else ():
            if path is None or marker not in events.borders:
                continue
            beyond = events.beyond(marker, path)
            n = int(np.count_nonzero(beyond))
            if jeffreys_percent(n, len(beyond))[0] > _HALF:
                yield path, (Flag.STAINING, f"{100 * n / len(beyond):.0f} % of {name} cells carry {marker}")


class _Events:
    """Values of the events of populations, at most 20,000 of each."""

    def __init__(self, memberships: Memberships, tube: Tube) -> None:
        self.memberships, self.tube = memberships, tube
        masks = memberships.masks
        by_size = sorted(memberships.strategy.populations, key=lambda one: int(np.count_nonzero(masks[one.path])))
        self.paths = {one.name: one.path for one in by_size}  # of several of a name, as workspaces have, the largest
        self._axes = Axes.of(memberships.strategy, tube)
        self._blocks: dict[str, Block] = {}

    @cached_property
    def gated(self) -> dict[str, Dimension]:
        """Marker to the axis on which it is gated."""
        found: dict[str, Dimension] = {}
        for one in self.memberships.strategy.populations:
            for dimension in _dimensions(one):
                found.setdefault(_marker(dimension, self.tube), dimension)
        found.pop("", None)
        return found

    @cached_property
    def borders(self) -> dict[str, _Border]:
        """Marker to its border, of the population with most events that has one."""
        found: dict[str, _Border] = {}
        most: dict[str, int] = {}
        for one in self.memberships.strategy.populations:
            if not isinstance(one.gate, Rectangle) or Flag.NO_BORDER in split(one.flag):
                continue
            n = int(np.count_nonzero(self.memberships.masks[one.parent_path])) if one.parent_path else len(self.tube)
            for dimension, low, high in zip(one.gate.dimensions, one.gate.lower, one.gate.upper, strict=True):
                marker = _marker(dimension, self.tube)
                if not marker or n <= most.get(marker, 0):
                    continue
                border = _dividing(self._block(one.parent_path).axis(dimension), low, high)
                if border is not None:
                    found[marker], most[marker] = _Border(one.parent_path, dimension, border), n
        return found

    def _block(self, path: str) -> Block:
        if path not in self._blocks:
            inside = np.flatnonzero(self.memberships.masks[path]) if path else np.arange(len(self.tube))
            kept = inside[:: max(-(-len(inside) // _MOST_EVENTS), 1)]
            self._blocks[path] = Block(self._axes, np.ascontiguousarray(self.tube.columns[:, kept]))
        return self._blocks[path]

    def values(self, name: str, path: str) -> NDArray[np.float64]:
        """Return a marker of a population's events, compensated and linear."""
        return self._block(path).axis(replace(self.gated[name], transform=Identity()))

    def beyond(self, name: str, path: str) -> NDArray[np.bool_]:
        """Return which of a population's events are above the marker's border."""
        border = self.borders[name]
        return self._block(path).axis(border.dimension) >= border.value

    def percent(self, name: str, of: str) -> tuple[float, float]:
        """Return the counting interval of a population's percentage of another, by name."""
        masks = self.memberships.masks
        inside, parent = masks[self.paths[name]], masks[self.paths[of]]
        return jeffreys_percent(int(np.count_nonzero(inside & parent)), int(np.count_nonzero(parent)))


def _dividing(values: NDArray[np.float64], low: float | None, high: float | None) -> float | None:
    """Return the end of an interval beyond which more of its parent's events are; drawn ones have a far end as well.

    Parameters
    ----------
    values
        Events of the parent on the interval's axis.
    low, high
        Ends; None for an open one.
    """
    if low is None or high is None:
        return high if low is None else low
    below, above = np.count_nonzero(values < low), np.count_nonzero(values >= high)
    if below == above:
        return None
    return low if below > above else high


def _marker(dimension: Dimension, tube: Tube) -> str:
    """Return the marker of an axis; "" for scatter, time, and the ratio of two channels."""
    channel = tube.channel(dimension.name) if dimension.ratio is None else None
    return (channel.marker or "") if channel is not None and channel.kind not in ("scatter", "time") else ""


def _dimensions(population: Population) -> tuple[Dimension, ...]:
    gate = population.gate
    return gate.dimensions if isinstance(gate, Rectangle | Polygon | Ellipsoid) else ()


def _blamed(rules: list[_Rule], shared: float) -> dict[str, str]:
    """Return, of each broken rule, the marker that breaks the greatest share of its rules, and others that break many.

    Parameters
    ----------
    rules
        Markers of each rule, and how it is broken; "" where it holds.
    shared
        Share of its rules from which another marker is doubted as well.
    """
    share: dict[str, float] = {}
    for marker in {marker for markers, _ in rules for marker in markers}:
        own = [bool(words) for markers, words in rules if marker in markers]
        share[marker] = sum(own) / len(own)
    found: dict[str, str] = {}
    for markers, words in rules:
        most = max(share[marker] for marker in markers)
        for marker in markers if words else ():
            if share[marker] == most or share[marker] >= shared:
                found.setdefault(marker, words)
    return found


def _lineage(events: _Events) -> Iterator[_Rule]:
    rules, known = coexpression(), events.borders
    for names, are_together in ((rules.together, True), (rules.apart, False)):
        for first, *others in names:
            gated = [name for name in others if name in known]
            if first not in known or not gated or (are_together and gated != others):
                continue
            path = _common([known[name].parent for name in (first, *gated)])
            carriers = events.beyond(first, path)
            both = carriers & np.logical_or.reduce([events.beyond(name, path) for name in gated])
            n, of = int(np.count_nonzero(both)), int(np.count_nonzero(carriers))
            low, high = jeffreys_percent(n, of)
            is_broken = of > 0 and (high < _HALF if are_together else low > _HALF)
            words = f"{100 * n / of:.0f} % of {first}+ cells carry {' or '.join(gated)}" if is_broken else ""
            # cells that carry neither of two say nothing against the marker that brought them together
            yield tuple(gated) if are_together and len(gated) > 1 else (first, *gated), words


def _common(paths: list[str]) -> str:
    """Return the nearest population that is above all of some, or one of them."""
    path = paths[0]
    while not all(f"{other}/".startswith(f"{path}/") for other in paths):
        path = path.rsplit("/", 1)[0]
    return path


def _rising(events: _Events) -> Iterator[_Rule]:
    rule = coexpression().rise
    for first, second in rule.markers:
        if rule.within in events.paths and {first, second} <= set(events.gated):
            path = events.paths[rule.within]
            found, error = _rank_correlation(events.values(first, path), events.values(second, path))
            words = f"{first} and {second} do not rise together over {rule.within} cells (rank correlation {found:.2f})"
            yield (first, second), words if found + error < rule.least else ""


def _exchanged(events: _Events) -> Iterator[_Rule]:
    """Yield markers by which CD4 and CD8 cells are each like the other's in all that can be compared."""
    rule = coexpression().exchanged
    first, second = rule.markers
    if not {first, second} <= set(events.paths):
        return
    other = {first: second, second: first}
    shares: dict[str, bool] = {}
    for part, more in rule.more.items():
        fewer = other[more]
        if {f"{more}_{part}", f"{fewer}_{part}"} <= set(events.paths):
            (low, high), (other_low, other_high) = (events.percent(f"{one}_{part}", one) for one in (more, fewer))
            if high < other_low or low > other_high:
                shares[f"the share of {part}"] = high < other_low
    markers: dict[str, bool] = {}
    for name, higher in rule.higher.items():
        if name in events.gated:
            a, b = (events.values(name, events.paths[one]) for one in (higher, other[higher]))
            chance, error = _chance_higher(a, b)
            if abs(chance - 0.5) > error + _EVEN:
                markers[name] = chance < 0.5
    signs = markers | shares
    words = f"{first} and {second} cells are each like the other's by {', '.join(signs)}"
    if markers and len(signs) >= _FEWEST_SIGNS and all(signs.values()):
        yield (first, second), words
    if len(shares) >= _FEWEST_SIGNS and all(shares.values()):
        yield rule.classes, words


def _spilled(events: _Events) -> Iterator[_Rule]:
    rule = coexpression().independent
    for name, group in rule.groups.items():
        path = events.paths.get(name)
        if path is None:
            continue
        for lacking in (one for one in group.lack if one in events.gated):
            for source in (one for one in group.carry if one in events.gated):
                found, error = _rank_correlation(events.values(source, path), events.values(lacking, path))
                if abs(found) - error > rule.most:
                    way = "left in" if found > 0 else "taken too much off"
                    yield (lacking,), f"{source} is {way} the channel of {lacking} ({found:+.2f} over {name} cells)"
                    break


def _rank_correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[float, float]:
    """Return Spearman's rank correlation and how far chance may take it; 0 and infinity for too few events."""
    usable = np.isfinite(a) & np.isfinite(b)
    n = int(np.count_nonzero(usable))
    if n < 3:
        return 0.0, np.inf
    x, y = (_ranks(one[usable]) - (n - 1) / 2 for one in (a, b))
    spread = float(np.sqrt((x @ x) * (y @ y)))  # 0 where one of them reads alike on all events: it rises with nothing
    return float(x @ y) / spread if spread > 0 else 0.0, NORMAL_95 / float(np.sqrt(n - 1))


def _chance_higher(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[float, float]:
    """Return how often an event of one group reads higher than one of the other, and how far chance may take it."""
    a, b = a[np.isfinite(a)], b[np.isfinite(b)]
    if not len(a) or not len(b):
        return 0.5, np.inf
    ranks = _ranks(np.concatenate([a, b]))[: len(a)]
    chance = (float(ranks.mean()) - (len(a) - 1) / 2) / len(b)
    return chance, NORMAL_95 * float(np.sqrt((1 / len(a) + 1 / len(b)) / 12))


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks from 0; equal values, as of zero counts in mass cytometry, share the mean of theirs."""
    _, place, n = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(n) - (n + 1) / 2)[place]
    return ranks
