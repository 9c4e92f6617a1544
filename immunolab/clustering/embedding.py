"""Two-dimensional maps of events, for figures only."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from immunolab.compiled import imported, kept_on_disk
from immunolab.errors import InputError, Problem

# neighbours of an event that a map keeps near (umap's own usual number), and the events under which umap finds no map
_NEIGHBOURS, _FEWEST = 15, 20
# umap's own loops that it compiles in each process, seconds each time: none calls what another package may change
_LOOPS = ("fast_knn_indices", "smooth_knn_dist", "compute_membership_strengths")


def enough_events(n: int) -> None:
    """Refuse a map of too few events.

    Parameters
    ----------
    n
        How many there are.

    Raises
    ------
    InputError
        There are fewer than 20.
    """
    if n < _FEWEST:
        text = f"a UMAP needs at least {_FEWEST} events, there are {n}"
        raise InputError(Problem("", "umap", text, "take more events, or leave the map out"))


def umap_of(points: NDArray[np.floating], seed: int = 0) -> NDArray[np.float64]:
    """Return a UMAP (McInnes, Healy and Melville 2018) of points, points x 2; the same seed gives the same map.

    Parameters
    ----------
    points
        Of shape (points, dimensions).
    seed
        Of the start and of the optimisation.

    Raises
    ------
    InputError
        There are fewer than 20 points.
    """
    enough_events(len(points))
    umap = imported("umap")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # umap says that a seed keeps it to one thread, which is wanted
        for name in _LOOPS:
            kept_on_disk(getattr(umap.umap_, name, None))
        return np.asarray(umap.UMAP(n_neighbors=_NEIGHBOURS, random_state=seed).fit_transform(points), dtype=np.float64)
