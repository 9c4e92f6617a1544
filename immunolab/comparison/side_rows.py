"""The rows of the two visits of each pair, and what they say of its variance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from immunolab.comparison import scales
from immunolab.comparison.endpoint_levels import EndpointLevels
from immunolab.intervals import NORMAL_95

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SideRows:
    """Where each used row goes in arrays endpoints x patients x (before, after)."""

    rows: pd.DataFrame  # of a side, with a level
    place: NDArray[np.int64]
    shape: tuple[int, int, int]

    def total(self, values: ArrayLike) -> Array:
        """Return sums over the rows of a patient's side."""
        summed = np.bincount(self.place, weights=np.asarray(values, dtype=float), minlength=int(np.prod(self.shape)))
        return summed.astype(np.float64).reshape(self.shape)


def exposures(sides: SideRows) -> Array:
    """Return the events that one unit of an absolute count makes, by what one event makes or else by the value."""
    one, n, value = (sides.rows[name].to_numpy() for name in ("one_event", "n_events", "value"))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(np.isfinite(one), 1.0 / one, np.where((value > 0) & (n > 0), n / value, np.nan))
    return sides.total(np.where(np.isfinite(found), found, np.nan))


def counting_variance_of(rows: pd.DataFrame) -> Array:
    """Return the counting variance of values whose 95 % limits from counting are given, ``(n,)``.

    Parameters
    ----------
    rows
        Rows with ``count_low`` and ``count_high``, in the unit of the value.
    """
    low, high = (rows[name].to_numpy(dtype=float, na_value=np.nan) for name in ("count_low", "count_high"))
    return np.asarray(((high - low) / (2.0 * NORMAL_95)) ** 2, dtype=np.float64)


def counting_variance(
    of: Sequence[EndpointLevels], events: Array, parents: Array, sides: SideRows, there: Array
) -> Array:
    """Return the counting variance of each shift ``(E, P)``; NaN for an endpoint without counts.

    Parameters
    ----------
    of
        The E endpoints.
    events, parents
        ``(E, P, 2)``.
    sides
        Where rows go.
    there
        ``(E, P, 2)``, whether a side has a value.
    """
    inverse = sides.total(sides.rows["inverse"]) / there**2
    given = (sides.total(counting_variance_of(sides.rows)) / there**2).sum(axis=-1)
    variance = np.full(events.shape[:2], np.nan)
    for e, one in enumerate(of):
        if one.counted or one.absolute:
            variance[e] = scales.counting_variance(events[e], parents[e], inverse[e], one.scale, ratio=one.ratio)
        elif one.corrected:
            variance[e] = given[e]
    return variance


def unshared_gates(sides: SideRows, there: Array, batches: Array) -> Array:
    """Return the variance ``(E, P)`` that the gates give each shift.

    Visits that share their borders move together when a border does, so that only the difference of what it moves
    remains. Borders are shared within a patient and batch unless ``gate_scope`` says ``sample`` (every tube has its
    own) or ``study``.

    Parameters
    ----------
    sides
        Where rows go.
    there
        ``(E, P, 2)``, whether a side has a value.
    batches
        As of `batch_shares`.
    """
    variance = sides.rows["gate_variance"]
    apart = (sides.total(variance) / there**2).sum(axis=-1)
    together = np.diff(sides.total(np.sqrt(variance)) / there, axis=-1)[..., 0] ** 2
    scope = sides.rows["gate_scope"]
    alone, everywhere = (sides.total(scope == word).sum(axis=-1) for word in ("sample", "study"))
    n = there.sum(axis=-1)
    with np.errstate(invalid="ignore"):
        crossed = (np.abs(np.diff(batches, axis=2)) > 0).any(axis=(2, 3))
    return np.where((alone > 0) | (crossed & (everywhere < n)), apart, together)


def batch_shares(sides: SideRows) -> Array:
    """Return the share of each side's rows in each known batch, ``(E, P, 2, batches)``, NaN where unknown."""
    codes, unique = pd.factorize(sides.rows["batch"].to_numpy())
    names = list(unique)
    if not names or set(names) == {""}:
        return np.zeros((*sides.shape, 0))
    shares = np.zeros((int(np.prod(sides.shape)), len(names)))
    np.add.at(shares, (sides.place, codes), 1.0)
    if "" in names:
        unknown = names.index("")
        shares[shares[:, unknown] > 0] = np.nan
        shares = np.delete(shares, unknown, axis=1)
    with np.errstate(invalid="ignore"):
        return (shares / shares.sum(axis=1, keepdims=True)).reshape(*sides.shape, -1)
