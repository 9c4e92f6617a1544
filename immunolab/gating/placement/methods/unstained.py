"""A high quantile of the unstained tube."""

from __future__ import annotations

from immunolab.gating.method_registry import threshold_method
from immunolab.gating.method_results import Array, Cut
from immunolab.gating.placement.methods.quantile import quantile
from immunolab.gating.placement.shared_parameters import CONTROL_Q, THEN_REFERENCE_THEN_DENSITY


@threshold_method(
    "unstained",
    wants="control",
    control="unstained",
    assumes="the cells' own light and no spread from other dyes",
    parameters=(CONTROL_Q,),
    reference="Maecker and Trotter 2006, Cytometry A 69A:1037",
    instead=THEN_REFERENCE_THEN_DENSITY,
)
def unstained(values: Array, *, q: float = CONTROL_Q.default) -> Cut:
    """Return the q-quantile (0..1) of the unstained tube inside the same parent (Maecker and Trotter 2006)."""
    return quantile(values, q=q)
