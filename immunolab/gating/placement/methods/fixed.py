"""A border that the strategy gives as a number."""

from __future__ import annotations

from immunolab.gating.method_registry import DISPLAY_SCALE, Parameter, threshold_method
from immunolab.gating.method_results import Cut


@threshold_method(
    "fixed",
    wants="nothing",
    control="fixed",
    assumes="the scale does not move between tubes",
    parameters=(Parameter("at", None, DISPLAY_SCALE, "the border"),),
)
def fixed(*, at: float) -> Cut:
    """Return the border that the strategy names, on the display scale."""
    return Cut(float(at))
