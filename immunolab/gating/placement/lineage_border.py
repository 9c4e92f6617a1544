"""The border of a lineage marker: which of its humps is negative is asked of the tube's other cells.

A lineage marker parts two groups of cells. Where both are in the parent, the valley between them is the border. Where
there is one group, its shape does not say which it is: cells of other lineages that lack the marker do, then what is
usual of the marker, then cells that show that they carry it, and the noise of zero. When none of them settles it, the
border is withheld.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import numpy as np

from immunolab.events.transforms import Transform
from immunolab.gating.method_results import Array, Cut
from immunolab.gating.placement.attempt import Attempt, by_one_axis
from immunolab.gating.placement.density import FEWEST_EVENTS, finite, main_mode
from immunolab.gating.placement.dim_cells import beyond_dim_cells
from immunolab.gating.placement.known_cells import (
    EVERYWHERE,
    Among,
    KnownNegatives,
    known_negatives,
    lineage,
    narrowed,
    shown_by_either,
)
from immunolab.gating.placement.methods.known_negatives import over_negative_hump, separate
from immunolab.gating.placement.methods.valley import amid_group, is_clean, valleys
from immunolab.gating.placement.rules import Rule, usual_hump
from immunolab.gating.placement.run_method import evenly
from immunolab.gating.placement.tube_state import TubePool
from immunolab.schema.flags import Flag

Hump = Literal["positive", "negative", ""]
Generator = np.random.Generator | None
# standard deviations of zero's noise from which a hump is positive (judgement: the cells' own light is up to three)
_FAR_FROM_ZERO = 10.0
# share of the deepest valley's drop from which another is as good (judgement: few events make either)
_NEARLY = 0.9
# distance of a valley's lower group from known negatives, share of that between its two groups, from which both are
# positive (judgement, 2026-11-26: CD8 cells have 0.2 on CD4 in simulated tubes, dim against bright cells 0.9)
_HALF_WAY = 0.5
_NO_GROUPS = (Flag.NO_VALLEY, Flag.UNIMODAL)


def lineage_attempts(
    pool: TubePool, path: str, marker: str, rule: Rule, rng: Generator, among: Among = EVERYWHERE
) -> Iterator[Attempt]:
    """Try what may give a lineage marker's border, best evidence first.

    Parameters
    ----------
    pool, path, marker
        The tubes, the population whose events place the border, and whose border it is.
    rule
        Settings of the methods, and a reference population.
    rng
        Resamples the border for its interval; None leaves that out.
    among
        Which of the population's events place it: narrowed to them where they alone count, or where the others fill the
        valley.
    """
    fewer = narrowed(pool, path, among)
    pool = fewer if among.only else pool
    negatives = known_negatives(pool, path, marker)
    found = _valley(pool, path, marker, rule, rng, negatives)
    if fewer is not pool and not (found.settled and is_clean(finite(pool.values(marker, path)), found.cut.value)):
        among_fewer = _valley(fewer, path, marker, rule, rng, negatives)
        if among_fewer.settled and _cuts_others(pool, path, marker, among, among_fewer):
            # those are negative, however much they read: the valley above them parts them from positive events too
            above = found if found.settled else _valley(pool, path, marker, rule, rng, None)
            found = above if above.settled and above.cut.value > among_fewer.cut.value else among_fewer
        elif among_fewer.settled:
            found = among_fewer
    yield beyond_dim_cells(pool, path, marker, among.dim, found, rng)
    if rule.of:
        yield by_one_axis(pool, path, marker, "internal_reference", rule, rng)
    if negatives is not None:
        carried = usual_hump(marker) == "positive" and not (among.only and among.cells.endswith("+"))
        tried = by_one_axis(pool, path, marker, "known_negatives", rule, rng, carried=carried)
        zero = float(pool.tubes[0].dimension(marker).transform.apply([0.0])[0])
        # no signal at all is never positive
        cut = replace(tried.cut, value=max(tried.cut.value, zero)) if tried.found else tried.cut
        yield replace(tried, cut=cut, groups=True, negatives_known=True)
        return
    hump, why = _known_hump(pool, path, marker)
    if hump:
        yield _beside_hump(pool, path, marker, rule, rng, hump, why)
        return
    yield from ancestor_valley(pool, path, marker, rule, rng)
    yield _by_zero(pool, path, marker, rule, rng)


def _cuts_others(pool: TubePool, path: str, marker: str, among: Among, border: Attempt) -> bool:
    """Whether a border placed without some events is amid their own group: CD8 cells that read a little on CD4."""
    if not among.of_others:
        return False
    others = narrowed(pool, path, Among(f"{among.cells[:-1]}{'+' if among.cells.endswith('-') else '-'}"))
    return others is not pool and amid_group(others.values(marker, path), border.cut.value)


def ancestor_valley(pool: TubePool, path: str, marker: str, rule: Rule, rng: Generator) -> Iterator[Attempt]:
    """Try the valley of the nearest population above that has one, root left out; flagged.

    Parameters
    ----------
    pool, path, marker, rule, rng
        See `lineage_attempts`.
    """
    above = path
    while above:
        above = above.rsplit("/", 1)[0]
        wider = by_one_axis(pool, above, marker, "valley", rule, rng)
        if wider.found and above:
            yield replace(wider, cut=replace(wider.cut, flags=(*wider.cut.flags, Flag.ANCESTOR_VALLEY)))
            return


def _valley(
    pool: TubePool, path: str, marker: str, rule: Rule, rng: Generator, negatives: KnownNegatives | None
) -> Attempt:
    """Return the valley that has the known negatives below it and others above: of nearly equal ones the lowest."""
    deepest = replace(by_one_axis(pool, path, marker, "valley", rule, rng), groups=True)
    if not deepest.found:
        return deepest
    values = finite(pool.values(marker, path))
    if negatives is None:
        # with no cells that show the negative hump, two that overlap may be bright and dim cells of one lineage
        alike = () if is_clean(values, deepest.cut.value) or _parted_above(pool, path, marker) else (Flag.UNIMODAL,)
        return replace(deepest, cut=replace(deepest.cut, flags=(*deepest.cut.flags, *alike)))
    scale = pool.tubes[0].dimension(marker).transform
    noise = pool.noise(marker, path)
    found = valleys(values, within=None if noise is None else (noise, np.inf))
    sound = [(at, drop) for at, drop in found if _parts(scale, values, at, negatives.values)]
    if not sound:
        note = f"the valley does not part events that are like {negatives.cells} from others"
        return Attempt("valley", Cut(np.nan, _NO_GROUPS), note=note)
    chosen = min(at for at, drop in sound if drop >= _NEARLY * sound[0][1])
    if chosen == found[0][0]:
        return deepest
    half = min(abs(chosen - at) for at, _ in found if at != chosen) / 2
    around = (chosen - half, chosen + half)
    return replace(by_one_axis(pool, path, marker, "valley", rule, rng, within=around), groups=True)


def _parted_above(pool: TubePool, path: str, marker: str) -> bool:
    """Whether a marker has a valley with next to no events in it among a wider population of the tubes."""
    for base in (*lineage(path), ""):
        valley = pool.valley(marker, base) if base != path else np.nan
        if np.isfinite(valley) and is_clean(finite(pool.values(marker, base)), valley):
            return True
    return False


def _parts(scale: Transform, values: Array, border: float, negatives: Array) -> bool:
    """Whether events below a border are like known negatives, and those above it are not."""
    lower, upper, negatives = evenly(scale, negatives, values[values < border], values[values >= border])
    if min(len(lower), len(upper)) < FEWEST_EVENTS:
        return False
    zero = main_mode(negatives)
    below, above = main_mode(lower), main_mode(upper, side="below")
    if separate(*zero, *below):  # the known negatives are themselves above the lower group: they are none
        return True
    # cells of the parent may read more than those of other lineages: a lower group is positive only if it is half way
    split = separate(*below, *zero) and below[0] - zero[0] > _HALF_WAY * (above[0] - below[0])
    return separate(*above, *zero) and not split


def _known_hump(pool: TubePool, path: str, marker: str) -> tuple[Hump, str]:
    """Return which hump the parent's one hump is by what is known of the marker, and why."""
    if usual_hump(marker) == "positive":
        return "positive", f"all cells of a usual parent carry {marker}"
    if usual_hump(marker) == "negative":
        return "negative", f"few cells of a usual parent carry {marker}"
    if shown_by_either(pool, path, marker):
        return "positive", "nearly all events carry one of two markers of such cells"
    return "", ""


def _beside_hump(pool: TubePool, path: str, marker: str, rule: Rule, rng: Generator, hump: Hump, why: str) -> Attempt:
    """Return the foot of the one hump: below a positive one, above a negative one."""
    side = "below" if hump == "positive" else "above"
    found = by_one_axis(pool, path, marker, "tail", rule, rng, side=side)
    flags = tuple(flag for flag in found.cut.flags if flag != Flag.BEYOND_DATA)
    if hump == "negative" and not usual_hump(marker) and found.found:
        flags = (*flags, *over_negative_hump(finite(pool.values(marker, path))).flags)
    cut = replace(found.cut, flags=flags)
    return replace(found, cut=cut, source=f"{found.source}, one {hump} hump: {why}", groups=hump == "positive")


def _by_zero(pool: TubePool, path: str, marker: str, rule: Rule, rng: Generator) -> Attempt:
    """Return the border beside a hump that is at zero, or far from it; none where neither is known."""
    values = finite(pool.values(marker, path))
    scale = pool.tubes[0].dimension(marker).transform
    if len(values) < FEWEST_EVENTS:
        return Attempt("tail")
    mode = float(scale.inverse([main_mode(values)[0]])[0])
    for base in (*lineage(path), ""):
        noise = pool.noise(marker, base)
        if noise is None:
            continue
        sd = float(scale.inverse([noise])[0])
        if mode > _FAR_FROM_ZERO * sd:
            found = _beside_hump(pool, path, marker, rule, rng, "positive", "far above the noise of zero")
            return replace(found, groups=False)
        if base == path and mode <= sd:
            return _beside_hump(pool, path, marker, rule, rng, "negative", "within the noise of zero")
    return Attempt("tail", note=f"one hump of {marker}, and nothing in the tube shows whether it is negative")
