"""Random events in file order: the one way to draw fewer events than a tube holds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from immunolab.events.tube import Tube


def drawn_rows(rows: int | NDArray[np.intp], n: int, seed: int | Sequence[int] = 0) -> NDArray[np.intp]:
    """Return at most n rows, drawn without replacement and sorted.

    Parameters
    ----------
    rows
        The rows to draw from, or how many there are.
    n
        Rows wanted; all come back where there are no more.
    seed
        Of the draw; several numbers make one seed.
    """
    pool = np.arange(rows) if isinstance(rows, int) else rows
    if len(pool) <= n:
        return pool
    return np.sort(np.random.default_rng(seed).choice(pool, n, replace=False))


def subsample(tube: Tube, n: int, *, seed: int = 0) -> Tube:
    """Return a tube of at most n events, drawn without replacement, in file order.

    Parameters
    ----------
    tube
        Returned itself where it has no more than n events.
    n
        Most events.
    seed
        Of the draw.
    """
    return tube if tube.n_events <= n else tube.take(drawn_rows(tube.n_events, n, seed))
