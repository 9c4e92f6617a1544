"""Placing one border in a pool of tubes: methods in order, what takes their place, and the interval."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from immunolab.gating.method_registry import AUTO, DENSITY
from immunolab.gating.method_results import Cut
from immunolab.gating.placement.attempt import Attempt, by_one_axis, by_pair
from immunolab.gating.placement.density import finite, main_mode
from immunolab.gating.placement.faint_cells import among_faint_cells
from immunolab.gating.placement.known_cells import EVERYWHERE, Among, is_gated_on
from immunolab.gating.placement.leading_marker import among_naive
from immunolab.gating.placement.lineage_border import ancestor_valley, lineage_attempts
from immunolab.gating.placement.method_lookup import method
from immunolab.gating.placement.methods.valley import is_clean
from immunolab.gating.placement.parted_cells import below_crossing
from immunolab.gating.placement.placed import Placed, interval, saturation
from immunolab.gating.placement.rules import Border, Rule, faint_among, has_known_cells
from immunolab.gating.placement.tube_state import TubePool
from immunolab.schema.flags import Flag

# where the scale bends on which a valley between states of a lineage's cells is looked for, in sd of the noise: their
# humps overlap, and where a display bends moves the valley (judgement, 2026-11-26: at 2 the border of CD69 over CD4 T
# cells, alone and of all tubes, is within 300 units of the one drawn by the authors of a mouse study; at 3 it is lost)
_BEND_OF_STATES = 2.0
# smoothing of that density, times the rule of thumb, which smooths two humps too much (Silverman 1986, section 3.4.2;
# judgement, 2026-11-26: at 1 the valley of CD69 is lost in two of fifteen tubes of whole blood whose others have it)
_SMOOTHING_OF_STATES = 0.8
# events between the main group's end and a valley, over those beyond it, from which the valley is amid positives
# (judgement, 2026-11-26: a foot of the main group holds fewer; 0.7 in activated mouse T cells)
_BETWEEN = 0.5


def place_border(
    pool: TubePool,
    parent: str,
    marker: str,
    border: Border,
    rule: Rule,
    rng: np.random.Generator | None,
    *,
    among: Among = EVERYWHERE,
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
    among
        Which of the parent's events place a lineage marker's border.

    Returns
    -------
    Placed
        Its value is NaN, flagged ``no_border``, where no method gave one: the reason says what each lacked.
    """
    tried: list[Attempt] = []
    floor = None
    for attempt in _attempts(pool, parent, marker, border, rule, rng, among):
        if rule.by == AUTO and attempt.method == "unstained" and attempt.settled:
            floor = attempt
            continue
        tried.append(attempt)
        if attempt.settled or Flag.NO_BORDER in attempt.flags:
            break
    chosen = next((a for a in tried if a.settled), None) or next((a for a in tried if a.found), None)
    if floor is not None and _below(chosen, floor):
        chosen = floor
        tried = [a for a in tried if not a.found] + [floor]
    if chosen is not None and rule.by == AUTO and chosen.control != "fixed":
        chosen = _beside_known_groups(pool, parent, marker, among, chosen, rng)
    if chosen is not None and among.naive:
        chosen = among_naive(pool, parent, chosen, rng)
    flags = [flag for attempt in tried for flag in (*attempt.flags, *attempt.cut.flags)]
    if chosen is None:
        ran = [f"{a.method} found none among {a.source}" for a in tried if a.source]
        chosen = Attempt("none", source="; ".join(["no border could be placed", *dict.fromkeys(ran)]))
        flags.append(Flag.NO_BORDER)
    if chosen.groups:
        # earlier methods saw one group of events where this one parts two
        flags = [flag for flag in flags if flag not in (Flag.NO_VALLEY, Flag.UNIMODAL) or flag in chosen.cut.flags]
    words = dict.fromkeys([*flags, *saturation(pool, parent, marker)])
    reason = "; ".join([chosen.source, *dict.fromkeys(a.note for a in tried if a.note)])
    low, high = interval(chosen.cut.value, chosen.draws)
    return Placed(
        marker, chosen.cut.value, chosen.method, chosen.control, low, high,
        tuple(words), reason, chosen.cut.spread, chosen.draws, chosen.negatives_known,
    )  # fmt: skip


def _beside_known_groups(
    pool: TubePool, path: str, marker: str, among: Among, chosen: Attempt, rng: np.random.Generator | None
) -> Attempt:
    """Return a border as groups of cells move it that the rules name: two that part, or faint ones."""
    if among.parted:
        return below_crossing(pool, path, marker, among, chosen, rng)
    if among.faint and not is_gated_on(pool, path, faint_among(marker)[1]):
        return among_faint_cells(chosen, rng)
    return chosen


def _below(chosen: Attempt | None, floor: Attempt) -> bool:
    """Whether an unstained tube's border takes the place of another: it is above it, or no groups gave that one."""
    return chosen is None or not chosen.settled or chosen.method == "tail" or chosen.cut.value < floor.cut.value


def _attempts(
    pool: TubePool,
    path: str,
    marker: str,
    border: Border,
    rule: Rule,
    rng: np.random.Generator | None,
    among: Among,
) -> Iterator[Attempt]:
    if rule.by == "valley" and has_known_cells(marker) and pool.tubes[0].noise(marker) is None:
        yield from lineage_attempts(pool, path, marker, rule, rng, among)
        return
    for name in rule.order():
        if name == DENSITY:
            yield from _by_density(pool, path, marker, rule, rng)
        elif name == "valley":
            yield replace(by_one_axis(pool, path, marker, name, rule, rng), groups=True)
        elif method(name).card.of_pair:
            yield by_pair(pool, path, marker, border, name, rule, rng)
        else:
            yield by_one_axis(pool, path, marker, name, rule, rng)


def _amid_positives(pool: TubePool, path: str, marker: str, rule: Rule, border: float) -> bool:
    """Whether a shallow valley is beyond the main group's end by so many events that it parts positives of two kinds.

    Cells that are being activated reach from the resting ones to the brightest: a ripple among them is no border.
    """
    values = finite(pool.values(marker, path))
    if is_clean(values, border):
        return False
    end = by_one_axis(pool, path, marker, "tail", rule, None).cut.value
    return bool(np.mean((values > end) & (values <= border)) > _BETWEEN * np.mean(values > border))


def _of_the_pile(pool: TubePool, path: str, marker: str, border: float) -> bool:
    """Whether most events below a border are at the lowest value of a fluorescence channel, where its range ends.

    An analogue instrument reads all weaker signals as that value: the pile is the lower part of one negative group.
    In mass cytometry the lowest value is zero, and such events are a group.
    """
    if pool.tubes[0].noise(marker) is not None:
        return False
    values = finite(pool.values(marker, path))
    return bool(2 * np.count_nonzero(values == values.min(initial=np.inf)) > np.count_nonzero(values <= border))


def _at_zero(pool: TubePool, path: str, marker: str) -> bool:
    """Whether the main group is within the noise of zero: no signal at all is never positive."""
    noise, values = pool.noise(marker, path), finite(pool.values(marker, path))
    return noise is not None and len(values) > 0 and main_mode(values)[0] <= noise


def _by_density(
    pool: TubePool, path: str, marker: str, rule: Rule, rng: np.random.Generator | None
) -> Iterator[Attempt]:
    """The parent's valley; else, for a lineage marker, the nearest ancestor's; else the main summit's tail.

    In mass cytometry zero is known: one hump above its noise is positive, and a lineage marker whose only hump is
    within the noise has no border.

    An ancestor's valley parts lineages. It says nothing of a marker whose positives are a state of the parent's
    cells, such as CD69.
    """
    states = rule.by != "valley"
    bend = _BEND_OF_STATES if states else None
    own = {"bandwidth": _SMOOTHING_OF_STATES} if states and "bandwidth" not in rule.parameters else {}
    found = replace(by_one_axis(pool, path, marker, "valley", rule, rng, bend, **own), groups=True)
    if states and found.settled and _amid_positives(pool, path, marker, rule, found.cut.value):
        note = f"the valley at {marker} {found.cut.value:.2f} parts positive events from each other"
        found = Attempt("valley", Cut(np.nan, (Flag.NO_VALLEY, Flag.UNIMODAL)), note=note)
    if states and found.settled and _of_the_pile(pool, path, marker, found.cut.value):
        note = f"the valley at {marker} {found.cut.value:.2f} parts events piled up at the channel's lowest value"
        found = Attempt("valley", Cut(np.nan, (Flag.NO_VALLEY, Flag.UNIMODAL)), note=note)
    yield found
    if rule.by == "valley":
        yield from ancestor_valley(pool, path, marker, rule, rng)
    mass = pool.tubes[0].noise(marker) is not None
    if mass:
        yield by_one_axis(pool, path, marker, "above_zero", rule, rng)
    if not (mass and rule.by == "valley"):
        found = by_one_axis(pool, path, marker, "tail", rule, rng)
        yield replace(found, negatives_known=_at_zero(pool, path, marker))
