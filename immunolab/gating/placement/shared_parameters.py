"""Parameters and orders that several threshold methods share."""

from __future__ import annotations

from immunolab.gating.method_registry import DENSITY, DISPLAY_SCALE, Parameter

# what takes the place of a method that gives no border: the steadiest evidence that needs no control tube, then shape
THEN_REFERENCE_THEN_DENSITY = ("internal_reference", DENSITY)
# the same for a cloud that only one panel in some can show: without it the best evidence there is
THEN_CONTROLS = ("fmo", "unstained", *THEN_REFERENCE_THEN_DENSITY)
WITHIN = Parameter("within", None, DISPLAY_SCALE, "low and high end of the search", takes="range")
SIDE = Parameter(
    "side", "above", "", "above: border over a negative population; below: under a positive one",
    choices=("above", "below"),
)  # fmt: skip
# share of a control tube below the border (judgement: one negative cell in 200 called positive; a share nearer to 1
# needs more events than controls hold inside a rare parent)
CONTROL_Q = Parameter("q", 0.995, "share", "share of the control below the border", takes="share")
