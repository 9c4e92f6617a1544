"""From declared gates to placed ones: which kind goes where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from immunolab.gating.placement.placed_gate import Generators, PlacedGate, Pools
from immunolab.gating.placement.rectangle_gates import RectangleGates
from immunolab.gating.placement.region_gates import place_region_gate
from immunolab.gating.placement.tube_state import TubeState
from immunolab.gating.strategy import Declared, Population


class Builder:
    """Places the declared gates of one strategy on tubes of one panel.

    Parameters
    ----------
    thresholds
        Marker -> rule, as the strategy gives them.
    rng
        Returns a generator for words, so that each border is resampled alike whatever else is placed.
    resample
        Whether borders get intervals and a drift alarm.
    """

    def __init__(self, thresholds: Mapping[str, Any], rng: Generators, resample: bool = True) -> None:
        self._rectangles = RectangleGates(thresholds, rng, resample)
        self._rng = rng
        self._resample = resample

    def draw(
        self, population: Population, gate: Declared, tubes: Sequence[TubeState], pools: Pools
    ) -> dict[str, PlacedGate]:
        """Return the placed gate of every tube by sample_id; ``pools`` returns the pools of a scope."""
        if gate.kind in ("where", "threshold"):
            return self._rectangles.place(population, gate, tubes, pools)
        return {
            sample_id: placed
            for pool, members in pools(gate.settings.get("scope", "patient"))
            for sample_id, placed in place_region_gate(
                population, gate, pool, members, self._rng, self._resample
            ).items()
        }
