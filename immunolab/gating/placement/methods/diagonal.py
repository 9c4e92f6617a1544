"""The cloud in a corner of two channels, such as CD25hi CD127lo, and the sloping border around it."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from immunolab.gating.method_registry import Parameter, threshold_method
from immunolab.gating.method_results import Array, Corner, Cut, Pair
from immunolab.gating.placement.corner_mixture import Anchor, Bins, Mixture, fit_mixture, straight_border
from immunolab.gating.placement.density import ENOUGH_EVENTS, few
from immunolab.gating.placement.shared_parameters import THEN_REFERENCE_THEN_DENSITY
from immunolab.schema.flags import Flag

# where the border is put when no cloud is found, (x, y) in rSD of the reference from its median (judgement: far
# enough out that a sample without such cells counts next to none)
_EMPTY_CORNER = (4.0, -2.0)
# rise of the y border per unit of x, display scale (judgement: Treg bright for CD25 are kept at a higher CD127; 0 loses
# some of them, a steeper border lets activated cells in)
_SLOPE = 0.35


def diagonal_draws(
    x: Array, y: Array, reference: Pair | None, corner: Corner, rng: np.random.Generator, rounds: int
) -> tuple[Array, Array]:
    """Return the x and y borders of resampled events, each of length ``rounds`` or fewer."""
    if corner.start is None:
        return np.empty(0), np.empty(0)
    anchor, cells, sign, _ = _corner_cells(x, y, reference, corner.y_side, corner.start.clean)
    steep = sign * corner.slope * anchor.x_sd / anchor.y_sd
    found = []
    for _ in range(rounds):
        drawn = cells.resample(rng)
        model = fit_mixture(drawn)
        border = straight_border(drawn, model, steep) if model is not None else None
        if border is not None:
            found.append(border)
    borders = np.array(found).reshape(-1, 2)
    return anchor.x_mid + borders[:, 0] * anchor.x_sd, sign * (anchor.y_mid + borders[:, 1] * anchor.y_sd)


@threshold_method(
    "diagonal",
    wants="pair_and_reference",
    control="internal",
    assumes="the wanted cells form a cloud beside a known reference",
    parameters=(
        Parameter("slope", _SLOPE, "y per x, display scale", "rise of the y border along x; 0 makes a rectangle"),
        Parameter("y_side", "lo", "", "lo: y below its border; hi: above", choices=("lo", "hi")),
    ),
    reference="Liu et al. 2006, J Exp Med 203:1701; Seddiki et al. 2006, J Exp Med 203:1693 (CD25hi CD127lo)",
    channels=("CD25", "CD127"),
    borders=True,
    instead=THEN_REFERENCE_THEN_DENSITY,
    resample=diagonal_draws,
)
def diagonal(
    x: Array,
    y: Array,
    reference: Pair | None = None,
    *,
    slope: float = _SLOPE,
    y_side: Literal["lo", "hi"] = "lo",
    start: Mixture | None = None,
) -> Corner:
    """Return the border of the cloud in the corner x high, y low (CD25hi CD127lo: Liu et al., Seddiki et al. 2006).

    Six normal groups are fitted by EM, in units of the reference population's median and robust standard deviation, so
    that the fit does not depend on gain, lot or batch. One group starts in the corner. The border is a straight line
    of the given slope that keeps the events likelier than not to be of that group, which balances the cells lost
    against those let in: the mean of all such lines, each weighted by what it keeps.

    Parameters
    ----------
    x, y
        The parent's events, display scale.
    reference
        The same two channels of a population without x and with y; without it the parent's own main summits
        take its place (flag ``no_reference``).
    slope
        Rise of the y border per unit of x.
    y_side
        ``hi`` turns the corner: x high, y high.
    start
        A mixture fitted before on nearly the same events, in whose units the groups are fitted anew.
    """
    # cells of the cloud among the reference may hide it: the reference is looked at without them next
    for clean in (False, True) if start is None else (start.clean,):
        anchor, cells, sign, flags = _corner_cells(x, y, reference, y_side, clean)
        model = fit_mixture(cells)
        border = straight_border(cells, model, slope * anchor.x_sd / anchor.y_sd) if model is not None else None
        if model is not None and border is not None:
            model = replace(model, clean=clean)
            break
    if border is None:
        flags = (*flags, Flag.NO_CORNER_CLOUD)
        border = _EMPTY_CORNER
    x_cut = Cut(anchor.x_mid + border[0] * anchor.x_sd, flags, anchor.x_sd)
    y_cut = Cut(sign * (anchor.y_mid + border[1] * anchor.y_sd), flags, anchor.y_sd)
    return Corner(x_cut, y_cut, sign * slope, y_side, flags, model)


def _corner_cells(
    x: Array, y: Array, reference: Pair | None, y_side: str, clean: bool
) -> tuple[Anchor, Bins, float, tuple[str, ...]]:
    """Return the anchor, the binned events in its units, the sign that turns y, and flags."""
    sign = 1.0 if y_side == "lo" else -1.0
    usable = np.isfinite(x) & np.isfinite(y)
    x, y = x[usable], sign * y[usable]
    flags = few(x)
    if reference is not None and len(reference[0]) >= ENOUGH_EVENTS:
        anchor = (Anchor.of_clean if clean else Anchor.of)(reference[0], sign * reference[1])
    else:
        flags = (*flags, Flag.NO_REFERENCE if reference is None else Flag.SMALL_REFERENCE)
        anchor = Anchor.main(x, y)
    return anchor, Bins.of(anchor.u(x), anchor.v(y)), sign, flags
