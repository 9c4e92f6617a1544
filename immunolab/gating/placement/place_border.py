"""Placing one border in a pool of tubes: methods in order, what takes their place, and the interval."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from immunolab.gating.method_registry import DENSITY, Control
from immunolab.gating.method_results import Array, Cut
from immunolab.gating.placement.density import ENOUGH_EVENTS
from immunolab.gating.placement.inputs import Lacking, Request, provide
from immunolab.gating.placement.method_lookup import method
from immunolab.gating.placement.methods.valley import valley
from immunolab.gating.placement.place_region import place_region
from immunolab.gating.placement.placed import Placed, interval, saturation
from immunolab.gating.placement.rules import Border, Rule
from immunolab.gating.placement.run_method import one_axis, resampled
from immunolab.gating.placement.tube_state import TubePool
from immunolab.schema.flags import Flag

# spreads of the control between its border and the density's valley beyond which they disagree (judgement: sampling
# of either explains less than half of that)
_DISAGREE = 2.0
_NOT_FOUND = Cut(np.nan)


@dataclass(frozen=True)
class _Attempt:
    """What one method came to: a border, or NaN and a note why not."""

    method: str
    cut: Cut = _NOT_FOUND
    control: Control = "fixed"
    draws: Array = field(default_factory=lambda: np.empty(0))
    source: str = ""
    flags: tuple[str, ...] = ()
    note: str = ""

    @property
    def found(self) -> bool:
        return not np.isnan(self.cut.value)

    @property
    def settled(self) -> bool:
        return self.found and Flag.TOO_FEW_EVENTS not in self.cut.flags


def place_border(
    pool: TubePool, parent: str, marker: str, border: Border, rule: Rule, rng: np.random.Generator | None
) -> Placed:
    """Place one border of a marker among a population's events.

    Parameters
    ----------
    pool
        The tubes that share the border, and their control tubes.
    parent
        Path of the population whose events place it; "" for root.
    marker, border
        Which border: ``pos``, ``hi`` or ``lo`` of which marker.
    rule
        The method, or ``auto`` for the best evidence there is. A method that gives no border, or has fewer than 50
        events, is followed by what its card names instead, and the flags say so.
    rng
        Resamples the border for its interval; None leaves the interval out.

    Returns
    -------
    Placed
        Its value is NaN, flagged ``no_border``, where no method gave one: the reason says what each lacked.
    """
    tried: list[_Attempt] = []
    for attempt in _attempts(pool, parent, marker, border, rule, rng):
        tried.append(attempt)
        if attempt.settled:
            break
    chosen = next((a for a in tried if a.settled), None) or next((a for a in tried if a.found), None)
    flags = [flag for attempt in tried for flag in (*attempt.flags, *attempt.cut.flags)]
    if chosen is None:
        ran = [f"{a.method} found none among {a.source}" for a in tried if a.source]
        chosen = _Attempt("none", source="; ".join(["no border could be placed", *dict.fromkeys(ran)]))
        flags.append(Flag.NO_BORDER)
    if chosen.method == "valley" and Flag.ANCESTOR_VALLEY not in chosen.cut.flags:
        # earlier methods saw one group of events where this one parts two
        flags = [flag for flag in flags if flag not in (Flag.NO_VALLEY, Flag.UNIMODAL)]
    words = dict.fromkeys([*flags, *saturation(pool, parent, marker)])
    reason = "; ".join([chosen.source, *dict.fromkeys(a.note for a in tried if a.note)])
    low, high = interval(chosen.cut.value, chosen.draws)
    return Placed(
        marker, chosen.cut.value, chosen.method, chosen.control, low, high,
        tuple(words), reason, chosen.cut.spread, chosen.draws,
    )  # fmt: skip


def _attempts(
    pool: TubePool, path: str, marker: str, border: Border, rule: Rule, rng: np.random.Generator | None
) -> Iterator[_Attempt]:
    for name in rule.order():
        if name == DENSITY:
            yield from _by_density(pool, path, marker, rule, rng)
        elif method(name).card.of_pair:
            yield _by_pair(pool, path, marker, border, name, rule, rng)
        else:
            yield _by_one_axis(pool, path, marker, name, rule, rng)


def _by_density(
    pool: TubePool, path: str, marker: str, rule: Rule, rng: np.random.Generator | None
) -> Iterator[_Attempt]:
    """The parent's valley; else, for a lineage marker, the nearest ancestor's; else the main summit's tail.

    In mass cytometry zero is known: one hump above its noise is positive, and a lineage marker whose only hump is
    within the noise has no border.

    An ancestor's valley parts lineages. It says nothing of a marker whose positives are a state of the parent's
    cells, such as CD69.
    """
    yield _by_one_axis(pool, path, marker, "valley", rule, rng)
    above = path if rule.by == "valley" else ""
    while above:
        above = above.rsplit("/", 1)[0]
        wider = _by_one_axis(pool, above, marker, "valley", rule, rng)
        if wider.found and above:
            yield replace(wider, cut=replace(wider.cut, flags=(*wider.cut.flags, Flag.ANCESTOR_VALLEY)))
            break
    mass = pool.tubes[0].noise(marker) is not None
    if mass:
        yield _by_one_axis(pool, path, marker, "above_zero", rule, rng)
    if not (mass and rule.by == "valley"):
        yield _by_one_axis(pool, path, marker, "tail", rule, rng)


def _by_one_axis(
    pool: TubePool, path: str, marker: str, name: str, rule: Rule, rng: np.random.Generator | None
) -> _Attempt:
    chosen = method(name)
    given = provide(chosen.card, Request(pool, path, (marker,), rule.of))
    if isinstance(given, Lacking):
        return _Attempt(name, flags=given.flags, note=given.note)
    scale = pool.tubes[0].dimension(marker).transform
    noise = pool.tubes[0].noise(marker)
    settings = rule.settings(name, scale)
    if noise is not None and "within" in chosen.defaults and "within" not in rule.parameters:
        settings["within"] = (noise, np.inf)
    placed = one_axis(chosen, settings, scale, path)
    run = placed if noise is None or name == "fixed" else _above(placed, noise)
    cut = run(*given.arguments)
    draws = np.empty(0)
    if given.arguments and not np.isnan(cut.value):
        draws = resampled(run, given.arguments[0], rng)
        if len(given.parts) > 1:
            # which control tube is taken is part of the uncertainty
            each = [resampled(run, part, rng) for part in given.parts if len(part) >= ENOUGH_EVENTS]
            draws = np.concatenate(each or [draws])
    flags = _disagreement(pool, path, marker, cut) if given.parts else ()
    return _Attempt(name, cut, given.control, draws, given.source, flags)


def _above(method: Callable[..., Cut], noise: float) -> Callable[..., Cut]:
    """Return the method with borders below the noise of zero moved to its upper end, and flagged."""

    def run(*values: Array) -> Cut:
        cut = method(*values)
        return replace(cut, value=noise, flags=(*cut.flags, Flag.AT_ZERO_NOISE)) if cut.value <= noise else cut

    return run


def _disagreement(pool: TubePool, path: str, marker: str, cut: Cut) -> tuple[str, ...]:
    """Flag a control tube's border that is far from the valley of the parent's own density."""
    noise = pool.tubes[0].noise(marker)
    density = valley(pool.values(marker, path), within=None if noise is None else (noise, np.inf))
    if np.isnan(density.value) or np.isnan(cut.value) or cut.spread <= 0:
        return ()
    return (Flag.FMO_DENSITY_DISAGREE,) if abs(density.value - cut.value) > _DISAGREE * cut.spread else ()


def _by_pair(
    pool: TubePool, path: str, marker: str, border: Border, name: str, rule: Rule, rng: np.random.Generator | None
) -> _Attempt:
    """Place a border by two channels and keep the marker's own; the border runs along the axes."""
    x, y = (rule.partner, marker) if border == "lo" else (marker, rule.partner)
    chosen = method(name)
    scale = pool.tubes[0].dimension(marker).transform
    settings = rule.settings(name, scale)
    if "slope" in chosen.defaults:
        settings["slope"] = 0.0
    found = place_region(chosen, Request(pool, path, (x, y), rule.of), settings, rng)
    if isinstance(found, Lacking):
        return _Attempt(name, flags=found.flags, note=found.note)
    if not found.borders:
        return _Attempt(name, note=f"{name} gives a region and no border")
    mine = found.borders[1 if border == "lo" else 0]
    if Flag.NO_CORNER_CLOUD in mine.flags:
        return _Attempt(name, note=f"no cloud {x}hi {y}lo")
    return _Attempt(name, Cut(mine.value, mine.flags, mine.spread), mine.control, mine.draws, mine.reason)
