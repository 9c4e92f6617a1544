"""A high quantile of the fluorescence-minus-one tube."""

from __future__ import annotations

from immunolab.gating.method_registry import threshold_method
from immunolab.gating.method_results import Array, Cut
from immunolab.gating.placement.methods.quantile import quantile
from immunolab.gating.placement.shared_parameters import CONTROL_Q, THEN_REFERENCE_THEN_DENSITY


@threshold_method(
    "fmo",
    wants="control",
    control="fmo",
    assumes="the control holds every dye but this one, same panel, batch and settings",
    parameters=(CONTROL_Q,),
    reference="Roederer 2001, Cytometry 45:194; Maecker and Trotter 2006, Cytometry A 69A:1037",
    instead=THEN_REFERENCE_THEN_DENSITY,
)
def fmo(values: Array, *, q: float = CONTROL_Q.default) -> Cut:
    """Return the q-quantile (0..1) of the tube without the marker's dye inside the same parent (Roederer 2001)."""
    return quantile(values, q=q)
