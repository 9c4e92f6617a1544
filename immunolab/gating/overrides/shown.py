"""A gate in words for tables of overrides: as `in_units`, but a corner by its two borders, not by its far vertices."""

from __future__ import annotations

from immunolab.gating.borders import gate_borders, in_units, is_corner, number
from immunolab.gating.gates import Gate, Polygon, Population


def shown_gate(gate: Gate | None) -> str:
    """Return a gate in words, its numbers in instrument units.

    Parameters
    ----------
    gate
        Of a population.
    """
    if not isinstance(gate, Polygon) or not is_corner(gate):
        return in_units(gate)
    upright, sloping = gate_borders(Population("/gate", gate))
    side = "below" if sloping.side == "upper" else "above"
    begins = f"{side} an edge that begins at {number(sloping.value)}"
    return f"{upright.dimension.name} from {number(upright.value)}, {sloping.dimension.name} {begins}"
