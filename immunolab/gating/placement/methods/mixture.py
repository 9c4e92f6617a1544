"""Where the highest of several normal groups overtakes the rest."""

from __future__ import annotations

import numpy as np

from immunolab.compiled import compiled
from immunolab.gating.method_registry import Parameter, threshold_method
from immunolab.gating.method_results import Array, Cut, Window
from immunolab.gating.placement.density import FEWEST_EVENTS, N_BINS, SEPARATE, clip, few, finite
from immunolab.gating.placement.shared_parameters import THEN_REFERENCE_THEN_DENSITY, WITHIN
from immunolab.schema.flags import Flag

_EM_ROUNDS = 200  # rounds of EM on binned events (judgement: means no longer move; a round costs microseconds)
_EDGE_SHARE = 0.001  # share of events on each side left out of the fit, so that stray ones are no group (judgement)


@threshold_method(
    "mixture",
    wants="parent",
    control="density",
    assumes="each group of events is normal on the display scale",
    parameters=(Parameter("components", 2, "groups", "number of normal groups"), WITHIN),
    reference="Dempster, Laird and Rubin 1977; Ashman, Bird and Zepf 1994, AJ 108:2348",
    instead=THEN_REFERENCE_THEN_DENSITY,
)
def mixture(values: Array, *, components: int = 2, within: Window = None) -> Cut:
    """Return where the highest of several normal groups overtakes the rest (EM: Dempster, Laird and Rubin 1977).

    The start is deterministic. ``unimodal`` is flagged when the two highest groups overlap so far that Ashman's D is
    below 2 (Ashman, Bird and Zepf 1994). ``within`` is the low and high end of the border, display scale.

    Parameters
    ----------
    values
        The parent's events, display scale.
    components
        Normal groups fitted, two or more.
    within
        Low and high end of the border, display scale.
    """
    values = finite(values)
    if len(values) < max(FEWEST_EVENTS, 3 * components):  # three events a group: a mean and a spread
        return Cut(np.nan, few(values))
    if np.ptp(values) == 0:
        return Cut(np.nan, (*few(values), Flag.UNIMODAL))
    weight, mean, sd = _em(values, components)
    top, below = components - 1, components - 2
    grid = np.linspace(mean[below], mean[top], N_BINS)
    shares = weight * np.exp(-0.5 * ((grid[:, None] - mean) / sd) ** 2) / sd
    ahead = shares[:, top] >= shares[:, :top].sum(axis=1)
    separation = (mean[top] - mean[below]) / np.sqrt((sd[top] ** 2 + sd[below] ** 2) / 2)
    flags = few(values) if separation >= SEPARATE else (*few(values), Flag.UNIMODAL)
    border = float(grid[int(np.argmax(ahead))]) if ahead.any() else float(mean[top])
    return Cut(clip(border, within), flags, float(sd[below]))


def _em(values: Array, components: int) -> tuple[Array, Array, Array]:
    """Fit normal groups on binned values, started at the middles of equal slices of the range."""
    low, high = (float(q) for q in np.quantile(values, [_EDGE_SHARE, 1 - _EDGE_SHARE]))
    edges = np.linspace(low, high, N_BINS + 1)
    counts = np.histogram(values, edges)[0].astype(np.float64)
    centre = (edges[1:] + edges[:-1]) / 2
    mean = np.quantile(centre, (np.arange(components) + 0.5) / components)
    sd = np.full(components, max(np.ptp(centre) / (4 * components), 1e-9))  # a slice spans four sd
    floor = max(2 * (edges[1] - edges[0]), 1e-9)  # a group narrower than two bins is one value
    weight, mean, sd = _em_rounds(centre, counts, np.full(components, 1 / components), mean, sd, floor, _EM_ROUNDS)
    order = np.argsort(mean)
    return weight[order], mean[order], sd[order]


@compiled
def _em_rounds(centre, counts, weight, mean, sd, floor, rounds):  # type: ignore[no-untyped-def]
    """Rounds of expectation and maximisation over binned values; no sd falls below the floor."""
    groups = len(mean)
    share = np.empty(groups)
    for _ in range(rounds):
        mass, first, second = np.zeros(groups), np.zeros(groups), np.zeros(groups)
        for i in range(len(centre)):
            if counts[i] == 0.0:
                continue
            total = 1e-300  # far from every group: no division by zero
            for j in range(groups):
                z = (centre[i] - mean[j]) / sd[j]
                share[j] = weight[j] * np.exp(-0.5 * z * z) / sd[j]
                total += share[j]
            for j in range(groups):
                part = counts[i] * share[j] / total
                offset = centre[i] - mean[j]
                mass[j] += part
                first[j] += part * offset
                second[j] += part * offset * offset
        mass = np.maximum(mass, 1e-9)
        moved = first / mass
        weight, mean = mass / mass.sum(), mean + moved
        sd = np.maximum(np.sqrt(np.maximum(second / mass - moved * moved, 0.0)), floor)
    return weight, mean, sd
