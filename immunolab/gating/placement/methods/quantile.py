"""A quantile of the parent's events."""

from __future__ import annotations

import numpy as np

from immunolab.gating.method_registry import Parameter, threshold_method
from immunolab.gating.method_results import Array, Cut
from immunolab.gating.placement.density import FEWEST_EVENTS, few, finite, robust_sd
from immunolab.gating.placement.shared_parameters import THEN_REFERENCE_THEN_DENSITY

# share below the border (judgement: one event in a hundred above it where nothing is positive)
_BELOW = 0.99


@threshold_method(
    "quantile",
    wants="parent",
    control="density",
    assumes="a known share of the parent is positive",
    parameters=(Parameter("q", _BELOW, "share", "share of the parent below the border", takes="share"),),
    instead=THEN_REFERENCE_THEN_DENSITY,
)
def quantile(values: Array, *, q: float = _BELOW) -> Cut:
    """Return the q-quantile (0..1) of the events.

    Parameters
    ----------
    values
        Display scale.
    q
        Share of the events below the border.
    """
    values = finite(values)
    if len(values) < FEWEST_EVENTS:
        return Cut(np.nan, few(values))
    return Cut(float(np.quantile(values, q)), few(values), robust_sd(values))
