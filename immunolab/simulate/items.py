"""Which items of a score are present, so that their weights add up to a planned total."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

ItemTable = Mapping[str, tuple[float, float]]
_PATIENT_SD = 1.5  # of the log odds between patients: one has skin, another kidneys


def leanings(items: ItemTable, rng: np.random.Generator) -> dict[str, float]:
    """Return how readily each item shows in one patient: the log odds of how common it is, and the patient's own."""
    return {name: float(np.log(p / (1.0 - p)) + rng.normal(0, _PATIENT_SD)) for name, (_, p) in items.items()}


def present_items(items: ItemTable, leaning: Mapping[str, float], total: int) -> frozenset[str]:
    """Return the likeliest set of items whose weights add up to a total.

    Among all sets with that sum the one with the largest sum of leanings is found, sum by sum (the 0/1 knapsack).

    Raises
    ------
    KeyError
        No set of items adds up to the total.
    """
    best: dict[int, tuple[float, frozenset[str]]] = {0: (0.0, frozenset())}
    for name, (weight, _) in items.items():
        for so_far, (value, chosen) in sorted(best.items(), reverse=True):
            reached, gain = so_far + int(weight), value + leaning[name]
            if reached <= total and (reached not in best or best[reached][0] < gain):
                best[reached] = (gain, chosen | {name})
    return best[total][1]
