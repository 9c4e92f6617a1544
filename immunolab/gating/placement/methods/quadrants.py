"""One valley on each of two channels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from immunolab.gating.method_registry import Parameter, threshold_method
from immunolab.gating.method_results import Array, Quadrants
from immunolab.gating.placement.density import ENOUGH_EVENTS
from immunolab.gating.placement.methods.valley import valley


@threshold_method(
    "quadrants",
    wants="pair",
    control="density",
    assumes="both markers have a valley",
    parameters=(Parameter("quadrant", None, "", "the quadrant meant, x then y", choices=("++", "+-", "-+", "--")),),
    reference="Finak et al. 2014, PLoS Comput Biol 10:e1003806 (openCyto)",
)
def quadrants(x: Array, y: Array, *, quadrant: str) -> Quadrants:
    """Return one valley on x and, among the x-negative events, one on y (after openCyto, Finak et al. 2014).

    Looking for the second border where the first marker is missing keeps a tilted double-positive cloud from pulling
    it. ``quadrant`` is ``++``, ``+-``, ``-+`` or ``--``.
    """
    first = valley(x)
    below = y[x < first.value] if np.isfinite(first.value) else y
    second = valley(below if len(below) >= ENOUGH_EVENTS else y)
    second = second if np.isfinite(second.value) else replace(valley(y), flags=second.flags)
    return Quadrants(first, second, quadrant)
