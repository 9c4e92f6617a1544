"""Which items of a score are present, so that their weights add up to a planned total."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

ItemTable = Mapping[str, tuple[float, float]]
_PATIENT_SD = 1.5  # of the log odds between patients: one has skin, another kidneys


def leanings(items: ItemTable, rng: np.random.Generator) -> dict[str, float]:
    """Return how readily each item shows in one patient: the log odds of how common it is, and the patient's own.

    Parameters
    ----------
    items
        Item to its points and to how common it is (0..1).
    rng
        The patient's own generator.

    Returns
    -------
    dict
        Log odds by item.
    """
    return {name: float(np.log(p / (1.0 - p)) + rng.normal(0, _PATIENT_SD)) for name, (_, p) in items.items()}


def present_items(items: ItemTable, leaning: Mapping[str, float], total: int) -> frozenset[str]:
    """Return the likeliest set of items whose weights add up to a total.

    Among all sets with that sum the one with the largest sum of leanings is found, sum by sum (the 0/1 knapsack).

    Parameters
    ----------
    items
        Item -> (weight, share of patients that have it).
    leaning
        Item -> log odds in this patient, see `leanings`.
    total
        Sum of the weights.

    Raises
    ------
    ValueError
        No set of items adds up to the total.
    """
    names = list(items)
    best = np.full(total + 1, -np.inf)
    best[0] = 0.0
    taken = np.zeros((len(names), total + 1), dtype=bool)
    for row, name in zip(taken, names, strict=True):
        weight = int(items[name][0])
        if weight <= total:
            reached = best[: total + 1 - weight] + leaning[name]
            row[weight:] = reached > best[weight:]
            best[weight:] = np.maximum(best[weight:], reached)
    if np.isneginf(best[total]):
        raise ValueError(f"no items add up to {total}")
    present = set()
    for row, name in zip(taken[::-1], reversed(names), strict=True):
        if row[total]:
            present.add(name)
            total -= int(items[name][0])
    return frozenset(present)
