"""Whether groups of events are likelier than one normal group of them all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# events of the variance of all that each group's counts besides its own: a group of one or two knows none (judgement)
_BELIEF = 1.0


def likelier_apart(events: NDArray[np.floating], groups: NDArray[np.integer]) -> bool:
    """Return whether groups of events are likelier than one normal group of them all, for what they cost.

    Cutting a normal group in parts gives parts that are found again, where few events in two dimensions part one way
    only; but no cut of it is likelier than it (integrated classification likelihood, Biernacki, Celeux and Govaert
    2000, IEEE Trans PAMI 22:719, less one for each mean, variance and share as Akaike's criterion takes it). Compared
    along the principal axes of all events, as few events in many dimensions know no covariances.

    Parameters
    ----------
    events
        Events x dimensions.
    groups
        Group of each event, counted from 0.
    """
    centred = np.asarray(events, dtype=np.float64) - np.mean(events, axis=0, dtype=np.float64)
    n = len(centred)
    variance, axes = np.linalg.eigh(centred.T @ centred / n)
    known = (
        variance > variance[-1] * np.finfo(np.float64).eps * n
    )  # markers that repeat others have no axis of their own
    along = centred @ axes[:, known] / np.sqrt(variance[known])  # of variance 1 on each axis
    gain, free = 0.0, 2 * along.shape[1] + 1
    found = np.unique(groups)
    for group in found:
        own = along[groups == group]
        within = own.var(axis=0)
        spread = (len(own) * within + _BELIEF) / (len(own) + _BELIEF)
        gain += len(own) * (np.log(len(own) / n) + 0.5 * float((1.0 - np.log(spread) - within / spread).sum()))
    return bool(gain > free * (len(found) - 1))
