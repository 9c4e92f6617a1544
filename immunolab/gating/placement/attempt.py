"""One method tried for one border: what it came to, and what it lacked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from immunolab.gating.method_registry import Control
from immunolab.gating.method_results import Array, Corner, Cut
from immunolab.gating.placement.density import ENOUGH_EVENTS
from immunolab.gating.placement.inputs import Lacking, Request, provide
from immunolab.gating.placement.method_lookup import method
from immunolab.gating.placement.methods.valley import valley
from immunolab.gating.placement.place_region import place_region
from immunolab.gating.placement.rules import Border, Rule
from immunolab.gating.placement.run_method import one_axis, resampled
from immunolab.gating.placement.tube_state import TubePool
from immunolab.schema.flags import Flag

# spreads of the control between its border and the density's valley beyond which they disagree (judgement: sampling
# of either explains less than half of that)
_DISAGREE = 2.0
_NOT_FOUND = Cut(np.nan)


@dataclass(frozen=True)
class Attempt:
    """What one method came to: a border, or NaN and a note why not.

    Attributes
    ----------
    method, cut, control
        Which method, its border with its own flags, and what kind of evidence it is.
    draws
        The border on resampled events, display scale.
    source, note
        The events it rests on, or what the tubes lack, in words.
    flags
        Words that qualify the border beside those of the cut.
    groups
        Whether it shows by itself which events are positive: what others say of the density's shape is then settled.
    negatives_known
        Whether the group below the border is known to lack the marker.
    """

    method: str
    cut: Cut = _NOT_FOUND
    control: Control = "fixed"
    draws: Array = field(default_factory=lambda: np.empty(0))
    source: str = ""
    flags: tuple[str, ...] = ()
    note: str = ""
    groups: bool = False
    negatives_known: bool = False

    @property
    def found(self) -> bool:
        """Whether there is a border."""
        return not np.isnan(self.cut.value)

    @property
    def settled(self) -> bool:
        """Whether there is a border of enough events."""
        return self.found and Flag.TOO_FEW_EVENTS not in self.cut.flags


def by_one_axis(
    pool: TubePool,
    path: str,
    marker: str,
    name: str,
    rule: Rule,
    rng: np.random.Generator | None,
    bend: float | None = None,
    **more: Any,
) -> Attempt:
    """Try a method of one axis.

    Parameters
    ----------
    pool, path, marker
        The tubes, the population whose events place the border, and whose border it is.
    name
        Of the method.
    rule
        Gives its settings and its reference population.
    rng
        Resamples the border; None leaves that out.
    bend
        Where the scale bends on which a channel of fluorescence is seen, sd of its noise; None for what the card says.
    more
        Settings that go before the rule's.
    """
    chosen = method(name)
    given = provide(chosen.card, Request(pool, path, (marker,), rule.of))
    if isinstance(given, Lacking):
        return Attempt(name, flags=given.flags, note=given.note)
    scale = pool.tubes[0].dimension(marker).transform
    noise = pool.tubes[0].noise(marker)
    settings = rule.settings(name, scale)
    if "within" in chosen.defaults and "within" not in rule.parameters:
        settings |= _above_noise(pool, path, marker, name)
    placed = one_axis(
        chosen, settings | more, scale, path, bend=None if noise is not None else bend or chosen.card.bend
    )
    run = placed if noise is None or name == "fixed" else _above(placed, noise)
    cut = run(*given.arguments)
    draws = np.empty(0)
    if given.arguments and not np.isnan(cut.value):
        beside = given.arguments[1:]
        draws = resampled(lambda values: run(values, *beside), given.arguments[0], rng)
        if len(given.parts) > 1:
            # which control tube is taken is part of the uncertainty
            each = [resampled(run, part, rng) for part in given.parts if len(part) >= ENOUGH_EVENTS]
            draws = np.concatenate(each or [draws])
    flags = _disagreement(pool, path, marker, cut) if given.parts else ()
    return Attempt(name, cut, given.control, draws, given.source, flags)


def _above_noise(pool: TubePool, path: str, marker: str, name: str) -> dict[str, Any]:
    """Return the window of a border above the noise of zero; of fluorescence for valleys only.

    A valley within that noise parts events that carry nothing; where it is read is zero by display alone.
    """
    mass = pool.tubes[0].noise(marker)
    noise = pool.noise(marker, path) if mass is None and name == "valley" else mass
    return {} if noise is None else {"within": (noise, np.inf)}


def _above(method: Callable[..., Cut], noise: float) -> Callable[..., Cut]:
    """Return the method with borders below the noise of zero moved to its upper end, and flagged."""

    def run(*values: Array) -> Cut:
        cut = method(*values)
        return replace(cut, value=noise, flags=(*cut.flags, Flag.AT_ZERO_NOISE)) if cut.value <= noise else cut

    return run


def _disagreement(pool: TubePool, path: str, marker: str, cut: Cut) -> tuple[str, ...]:
    """Flag a control tube's border that is far from the valley of the parent's own density."""
    noise = pool.noise(marker, path)
    density = valley(pool.values(marker, path), within=None if noise is None else (noise, np.inf))
    if np.isnan(density.value) or np.isnan(cut.value) or cut.spread <= 0:
        return ()
    return (Flag.FMO_DENSITY_DISAGREE,) if abs(density.value - cut.value) > _DISAGREE * cut.spread else ()


def by_pair(
    pool: TubePool, path: str, marker: str, border: Border, name: str, rule: Rule, rng: np.random.Generator | None
) -> Attempt:
    """Try a method of two channels and keep the marker's own border; it runs along the axes.

    Parameters
    ----------
    pool, path, marker, border
        The tubes, the population whose events place the border, and which border of which marker.
    name
        Of the method.
    rule
        Gives the partner, the settings and the reference population.
    rng
        Resamples the border; None leaves that out.
    """
    chosen = method(name)
    second = border == "lo" or marker == chosen.card.channels[1]
    x, y = (rule.partner, marker) if second else (marker, rule.partner)
    scale = pool.tubes[0].dimension(marker).transform
    settings = rule.settings(name, scale)
    if "slope" in chosen.defaults:
        settings["slope"] = 0.0
    found = place_region(chosen, Request(pool, path, (x, y), rule.of), settings, rng)
    if isinstance(found, Lacking):
        return Attempt(name, flags=found.flags, note=found.note)
    if not found.borders:
        return Attempt(name, note=f"{name} gives a region and no border")
    mine = found.borders[1 if second else 0]
    corner = found.region
    if isinstance(corner, Corner) and Flag.NO_CORNER_CLOUD in corner.flags:
        # a cloud of positive cells says that it is missing, and may withhold its border
        flags = (corner.y if second else corner.x).flags if corner.y_side == "hi" else ()
        return Attempt(name, flags=flags, note=f"no cloud {x}hi {y}{corner.y_side}")
    # what takes the place of a method without a border may find one
    kept = tuple(flag for flag in mine.flags if flag != Flag.NO_BORDER)
    return Attempt(name, Cut(mine.value, kept, mine.spread), mine.control, mine.draws, mine.reason)
