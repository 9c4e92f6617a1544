"""Whether counts can be those of the cells that they are called: blood's bounds, T cells that add up, sound stainings.

Counting decides first: a share is out of bounds only where its whole 95 % interval of counting is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from immunolab.events.silent import is_silent
from immunolab.events.tube import Tube
from immunolab.gating.coexpression import broken_rules, depend_on, of_other_cells
from immunolab.gating.strategy import Ellipsoid, Memberships, Polygon, Population, Rectangle, Strategy
from immunolab.intervals import jeffreys_percent
from immunolab.schema.flags import Flag, split
from immunolab.vocabulary.populations import populations

# markers that every T cell carries and no other cell of blood, by which a gate is known to hold T cells
_T_CELL_MARKERS = frozenset({"CD3", "TCRab", "TCRb"})
# markers by which a gate is known to hold lymphocytes, which are the least granular cells of blood
_LYMPHOCYTE_MARKERS = _T_CELL_MARKERS | {"CD4", "CD8", "CD19", "CD20", "CD56", "TCRgd"}
_MOST = 50.0  # percent of a population: a pile at a detector's end is then what it holds, not a few large cells
# percent of T cells that CD4 and CD8 together make up at least; the rest are gamma-delta and double negative or double
# positive cells, seldom over 20 % in blood (judgement, 2026-11-26: half as many again, to be rarely wrong in disease)
_FEWEST_ASSIGNED = 60.0
# percent of cells called dead above which they, or the border, are in doubt (judgement: laboratories leave out samples
# of which most cells are dead; a border amid living cells calls more than half of them dead where those are one hump)
_MOST_DEAD = 50.0
_DEAD_CELL_DYE = "Viability"
_OWN = frozenset(
    {
        Flag.OUT_OF_RANGE,
        Flag.IMPLAUSIBLE,
        Flag.NO_SIGNAL,
        Flag.T_CELLS_UNASSIGNED,
        Flag.STAINING,
        Flag.AT_SCATTER_END,
        Flag.MOSTLY_DEAD,
    }
)
_DOWN = (Flag.IMPLAUSIBLE, Flag.NO_SIGNAL, Flag.MOSTLY_DEAD)  # flags that all that depends on a population takes over
_Word = tuple[Flag, str]


def checked(memberships: Memberships, tube: Tube) -> Memberships:
    """Return the memberships with populations flagged whose share cannot be, or is unlikely to be, theirs.

    In adult human blood (`Strategy.specimen`) shares are compared with the bounds of the vocabulary: outside what is
    plausible a population is flagged ``out_of_range``, outside what is possible ``implausible``, and so is all that
    depends on it. In any specimen, CD4 and CD8 that leave out many T cells are flagged ``t_cells_unassigned``, and
    what is gated on markers that do not go together as on cells ``staining``, and lymphocytes most of which are at
    the end of a scatter detector ``at_scatter_end``. Living cells that are under half of all are flagged
    ``mostly_dead``, and so is all that depends on them. What is gated on a dye that reads one value in every event is
    flagged ``no_signal``, and so is all that depends on it.

    Parameters
    ----------
    memberships
        Evaluated gates of one tube.
    tube
        Names the markers of its channels.
    """
    strategy = memberships.strategy
    counted = _Shares(memberships)
    found: dict[str, list[_Word]] = {}
    doubted = [
        *depend_on(memberships, tube, broken_rules(memberships, tube)),
        *of_other_cells(memberships, tube),
    ]
    no_cells = [
        *_at_end_of_scatter(memberships, tube),
        *_not_recorded(strategy, tube),
        *_mostly_dead(strategy, counted, tube),
    ]
    for path, word in [*_blood(strategy, counted), *_unassigned(strategy, counted, tube), *doubted, *no_cells]:
        found.setdefault(path, []).append(word)
    handed_down: dict[Flag, dict[str, str]] = {flag: {} for flag in _DOWN}
    flagged = []
    for one in strategy.populations:
        words = found.get(one.path, [])
        for flag, names in handed_down.items():
            above = next((names[path] for path in sorted(one.depends_on) if path in names), "")
            if above:
                words = [(flag, f"depends on {above}"), *words]
            if any(word is flag for word, _ in words):
                names[one.path] = above or one.name
        flagged.append(_flagged(one, words))
    return replace(memberships, strategy=replace(strategy, populations=tuple(flagged)))


class _Shares:
    """Events of each population, and shares of one in another."""

    def __init__(self, memberships: Memberships) -> None:
        self.masks = memberships.masks
        self.n: Mapping[str, int] = {path: int(np.count_nonzero(mask)) for path, mask in memberships.masks.items()}

    def percent(self, path: str, of: str) -> tuple[float, float, float]:
        """Return a population's percentage of one above it, and the ends of its counting interval."""
        n, total = self.n[path], self.n[of]
        return (100.0 * n / total if total else np.nan, *jeffreys_percent(n, total))


def _blood(strategy: Strategy, counted: _Shares) -> Iterator[tuple[str, _Word]]:
    if strategy.specimen != "blood":
        return
    known = populations()
    for one in strategy.populations:
        blood = known[one.name].blood if one.name in known else None
        of = _above(one, blood.of) if blood else None
        if blood is None or of is None or not counted.n[of]:
            continue
        percent, low, high = counted.percent(one.path, of)
        if high >= blood.plausible[0] and low <= blood.plausible[1]:
            continue
        possible = blood.possible[0] <= percent <= blood.possible[1]
        bounds = blood.plausible if possible else blood.possible
        flag = Flag.OUT_OF_RANGE if possible else Flag.IMPLAUSIBLE
        yield one.path, (flag, f"{percent:.3g} % of {blood.of}; adult blood has {bounds[0]:g} to {bounds[1]:g} %")


def _above(population: Population, name: str) -> str | None:
    """Return the path of the nearest population of a name above another; None where there is none."""
    path = population.parent_path
    while path and path.rsplit("/", 1)[1] != name:
        path = path.rsplit("/", 1)[0]
    return path or None


def _unassigned(strategy: Strategy, counted: _Shares, tube: Tube) -> Iterator[tuple[str, _Word]]:
    """Yield CD4 and CD8 of T cells that leave out more T cells than any specimen is likely to hold."""
    paths = {one.path for one in strategy.populations}
    for one in strategy.populations:
        pair = [f"{one.path}/{name}" for name in ("CD4", "CD8")]
        if not _of_t_cells(one, tube) or not paths.issuperset(pair):
            continue
        n = int(np.count_nonzero(counted.masks[pair[0]] | counted.masks[pair[1]]))
        high = jeffreys_percent(n, counted.n[one.path])[1]
        if high < _FEWEST_ASSIGNED:
            share = 100.0 * n / counted.n[one.path]
            for path in pair:
                yield path, (Flag.T_CELLS_UNASSIGNED, f"CD4 and CD8 together are {share:.3g} % of {one.name}")


def _at_end_of_scatter(memberships: Memberships, tube: Tube) -> Iterator[tuple[str, _Word]]:
    """Yield lymphocytes, and what depends on them, most of which are at a scatter channel's highest value: beads."""
    at_end: dict[str, NDArray[np.bool_]] = {}
    paths: set[str] = set()
    for one in memberships.strategy.populations:
        if not _carries(one, tube, _LYMPHOCYTE_MARKERS) and not one.depends_on & paths:
            continue
        paths.add(one.path)
        events = memberships.masks[one.path]
        n = int(np.count_nonzero(events))
        for channel in tube.channels if n else ():
            if channel.kind != "scatter" or channel.name.endswith("-W"):
                continue
            if channel.name not in at_end:
                raw = tube.raw(channel.name)
                # a channel that reads alike on all events was not measured, and has no end
                at_end[channel.name] = (raw >= raw.max()) & (raw.max() > raw.min())
            piled = int(np.count_nonzero(at_end[channel.name] & events))
            if jeffreys_percent(piled, n)[0] > _MOST:
                words = (
                    f"{100 * piled / n:.0f} % of the events are at the highest value of {channel.name}, as beads are"
                )
                yield one.path, (Flag.AT_SCATTER_END, words)
                break


def _not_recorded(strategy: Strategy, tube: Tube) -> Iterator[tuple[str, _Word]]:
    """Yield what is gated on a dye that reads one value in every event; counts of a metal can be zero in all cells."""
    silent: dict[str, bool] = {}
    for one in strategy.populations:
        gate = one.gate
        for side in gate.dimensions if isinstance(gate, Rectangle | Polygon | Ellipsoid) else ():
            if side.ratio is not None or (channel := tube.channel(side.name)).kind != "fluorescence":
                continue
            if channel.name not in silent:
                silent[channel.name] = is_silent(tube, tube.find(channel.name))
            if silent[channel.name]:
                yield one.path, (Flag.NO_SIGNAL, f"{channel.marker or channel.name} reads one value in every event")
                break


def _mostly_dead(strategy: Strategy, counted: _Shares, tube: Tube) -> Iterator[tuple[str, _Word]]:
    """Yield cells below a border of a viability dye that are under half of those they are gated from."""
    for one in strategy.populations:
        gate = one.gate
        of = counted.n[one.parent_path] if one.parent_path else tube.n_events
        if not isinstance(gate, Rectangle) or not of:
            continue
        sides = zip(gate.dimensions, gate.lower, gate.upper, strict=True)
        dyed = [
            s.ratio is None and tube.channel(s.name).marker == _DEAD_CELL_DYE and low is None for s, low, _ in sides
        ]
        n = counted.n[one.path]
        if any(dyed) and jeffreys_percent(n, of)[1] < 100.0 - _MOST_DEAD:
            yield one.path, (Flag.MOSTLY_DEAD, f"{100.0 * (of - n) / of:.0f} % of the cells are called dead")


def _of_t_cells(population: Population, tube: Tube) -> bool:
    return _carries(population, tube, _T_CELL_MARKERS)


def _carries(population: Population, tube: Tube, markers: frozenset[str]) -> bool:
    """Whether a gate asks for one of some markers."""
    gate = population.gate
    if not isinstance(gate, Rectangle):
        return False
    sides = zip(gate.dimensions, gate.lower, strict=True)
    low_on = [side.name for side, low in sides if low is not None and side.ratio is None]
    return any(tube.channel(name).marker in markers for name in low_on)


def _flagged(population: Population, words: list[_Word]) -> Population:
    """Return the population with these words, and without those of another tube that it was counted in before."""
    kept = [word for word in split(population.flag) if word not in _OWN]
    flags = dict.fromkeys([*kept, *(flag for flag, _ in words)])
    return replace(population, flag=";".join(flags), reason="; ".join(dict.fromkeys(reason for _, reason in words)))
