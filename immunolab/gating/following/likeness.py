"""How far a tube is from the moved template: the share of events that are not where its clouds would have them."""

from __future__ import annotations

import numpy as np

from immunolab.gating.following.fit_warp import Clouds
from immunolab.gating.following.warp import taken_back
from immunolab.gating.method_results import Array

_CELLS = 64  # cells of the grid over all axes together (judgement: fifty events a cell)
_DRAWS = 20_000  # events drawn from the moved clouds
# share of events out of place, beyond the template's own, from which a gate is doubtful, and from which it is withheld
# (judgement, 2026-11-26: the same panel in two centres has .00 to .21, uniform events .6)
ALIKE, FAR_OFF = 0.25, 0.45


def misfit(clouds: Clouds, moves: Array, share: Array, events: Array, seed: int) -> float:
    """Return the total variation distance of a tube's events from the moved clouds, 0 to 1, on a grid.

    Parameters
    ----------
    clouds
        Of the template.
    moves
        Of the knots, axes x knots.
    share
        Of each cloud in the tube.
    events
        Of the tube, in units of the template's spread.
    seed
        Of the draw from the clouds.
    """
    places = [taken_back(events[:, i], knots, knots + moves[i])[0] for i, knots in enumerate(clouds.knots)]
    found = _counts(np.stack(places, axis=1), clouds)
    expected = _counts(clouds.mixture.draw(share, _DRAWS, np.random.default_rng(seed)), clouds)
    return 0.5 * float(np.abs(found - expected).sum())


def _counts(places: Array, clouds: Clouds) -> Array:
    axes = places.shape[1]
    n = max(2, round(_CELLS ** (1 / axes)))
    index = np.zeros(len(places), dtype=np.intp)
    for axis in range(axes):
        inner = np.linspace(clouds.low[axis], clouds.high[axis], n - 1)
        index = index * n + np.searchsorted(inner, places[:, axis])
    return np.bincount(index, minlength=n**axes) / len(places)
