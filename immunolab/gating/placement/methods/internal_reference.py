"""The border that a population of the same tube, known to be negative or positive, implies."""

from __future__ import annotations

import numpy as np

from immunolab.gating.method_registry import DENSITY, Parameter, threshold_method
from immunolab.gating.method_results import Array, Cut
from immunolab.gating.placement.density import FEWEST_EVENTS, few, finite, robust_sd
from immunolab.gating.placement.shared_parameters import SIDE
from immunolab.order_statistics import quantiles

# share of the reference below the border (judgement: one reference cell in a hundred called positive)
_BELOW = 0.99
# furthest the quantile may be from the median, in rSD; a normal's 99 % is at 2.33 (judgement: a skewed reference keeps
# its own tail, contaminating positive cells do not pull the border among themselves)
_CAP = 3.5


@threshold_method(
    "internal_reference",
    wants="reference",
    control="internal",
    assumes="the reference population lacks (side below: carries) the marker and moves with batch and lot",
    parameters=(
        Parameter("quantile", _BELOW, "share", "share of the reference below the border", takes="share"),
        Parameter("k", None, "robust standard deviations", "distance from the median, instead of a quantile"),
        SIDE,
        Parameter("cap", _CAP, "robust standard deviations", "furthest the quantile may be from the median"),
    ),
    reference="Rousseeuw and Croux 1993, JASA 88:1273 (rSD)",
    instead=(DENSITY,),
    even_noise=True,
)
def internal_reference(
    values: Array, *, quantile: float | None = _BELOW, k: float | None = None, side: str = "above", cap: float = _CAP
) -> Cut:
    """Return the border that a reference population implies, by robust spread (Rousseeuw and Croux 1993).

    With ``k`` it is median + k rSD, otherwise the quantile, but never further than ``cap`` rSD from the median, so
    that a few contaminating cells cannot pull it away. ``side="below"`` mirrors both: the border under a population
    known to be positive.

    Parameters
    ----------
    values
        The reference population's events (for instance CD4 naive), on a scale where negative cells spread evenly.
    quantile
        Share of the reference below the border, 0..1.
    k, cap
        Distances in robust standard deviations.
    side
        ``above`` a negative or ``below`` a positive population.
    """
    values = finite(values)
    if len(values) < FEWEST_EVENTS:
        return Cut(np.nan, few(values))
    sign = 1.0 if side == "above" else -1.0
    ordered = np.sort(values)
    centre, spread = quantiles(ordered, [0.5])[0], robust_sd(values)
    reach = k * spread if k is not None else sign * (_sided(ordered, quantile, sign) - centre)
    return Cut(centre + sign * min(reach, max(cap, k or 0.0) * spread), few(values), spread)


def _sided(ordered: Array, level: float | None, sign: float) -> float:
    share = _BELOW if level is None else level
    return quantiles(ordered, [share if sign > 0 else 1 - share])[0]
