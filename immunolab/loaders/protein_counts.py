"""Counts of surface proteins worked out from logs, roots or ratios of them.

Whole numbers are behind a transformed protein: brought back to a linear scale, every value of a cell, of a
protein, or of all cells is a multiple of one count. Where these multiples are found, the counts are exact, whatever the
values were divided by: library size, a centred log ratio by cell or by protein, the cofactor of an arcsinh.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_LOOK_AT = 500  # cells, evenly spaced, that the scale is recognised by (judgement)
_MOST_FOLDS = 60  # counts that the smallest value of a cell is looked for at: rarely have nine proteins all more
_ROUNDING, _FLOAT32 = 0.02, 2e-6  # distance from a whole number: absolute, and of float32 logs (2 units of their place)
_DECIMALS, _LEAST_DECIMALS = range(6), 4  # that tables are written with, and that leave counts in a log
_UNTESTED = 0.1  # of that distance, from which a value is near a whole number by chance
_LEAST_VALUES = 3  # beside the smallest of a cell: with two, one cell in sixty of another scale would fit by chance
_BY_CHANCE = 0.002  # that all different values of a row are near whole numbers at some fold up to one (judgement)
_SAME = 1e-5  # of a value: nearer ones are one count, rounded
_FITS = 0.95  # share of values, and of the cells or proteins that have enough of them, that must fit
_BESIDE = 1.2  # times the smallest value, from which another is another count (of two counts, two is the next)
_FURTHEST = 30.0  # values beyond which no log is, and powers overflow
_WHOLE = 1e-4  # distance from whole numbers of what are counts already

Divided = Literal["", "by cell", "by protein"]


@dataclass(frozen=True)
class _Scale:
    """A scale: its name, what brings it back to a linear one, and what was added to a count before the log."""

    name: str
    back: Callable[[Array], Array]
    added: float = 0.0
    is_log: bool = True
    divided: tuple[Divided, ...] = ("", "by protein", "by cell")

    def holds(self, values: Array, decimals: int | None) -> bool:
        """Return whether values can be of this scale: of centred log ratios some are negative, of the others none.

        Numbers that are not logs, and all with few decimals, are multiples of a decimal whatever they were made of.
        """
        if decimals is not None and (decimals < _LEAST_DECIMALS or (not self.is_log and values.max() < _FURTHEST)):
            return False
        return bool((values < 0).any() == (self.added > 0) and not (self.is_log and np.abs(values).max() > _FURTHEST))


_SCALES = (
    # before roots, as squares of whole numbers are whole: multiples of any kind, or those of a protein would be squared
    _Scale("multiples", lambda x: x, is_log=False, divided=("by cell", "by protein", "")),
    _Scale("logs to base e", np.expm1),
    _Scale("logs to base 2", lambda x: np.exp2(x) - 1),
    _Scale("logs to base 10", lambda x: np.power(10.0, x) - 1),
    _Scale("arcsinh", np.sinh),
    _Scale("square roots", np.square, is_log=False),
    # centred: log(1 + count) less the mean of a cell, or of a protein
    _Scale("log ratios to base e", np.exp, 1.0),
    _Scale("log ratios to base 2", np.exp2, 1.0),
    _Scale("log ratios to base 10", lambda x: np.power(10.0, x), 1.0),
)


def are_counts(values: Array) -> bool:
    """Return whether proteins are counts; negative values and fractions were transformed before.

    Parameters
    ----------
    values
        Cells x proteins.
    """
    some = values[:_LOOK_AT]
    return bool((values >= 0).all() and np.allclose(some, np.round(some), atol=_WHOLE))


def counts_from(values: Array) -> tuple[Array | None, str]:
    """Return the counts that transformed proteins were made of, and what they were; None where none are found.

    Parameters
    ----------
    values
        Cells x proteins, no counts, all columns that were transformed together.
    """
    if not values.size:
        return None, ""
    some = values[np.unique(np.linspace(0, len(values) - 1, _LOOK_AT).astype(np.int64))]
    decimals = next((n for n in _DECIMALS if np.allclose(values, np.round(values, n), rtol=0, atol=1e-9)), None)
    exact = _FLOAT32 if decimals is None else 10.0**-decimals
    for scale in (scale for scale in _SCALES if scale.holds(values, decimals)):
        few, linear = scale.back(some), scale.back(values)
        for divided in scale.divided:
            if _fits(_grouped(few, divided), exact) and _fits(_grouped(linear, divided), exact):
                counts = _counts(linear, divided, exact) - scale.added
                return np.maximum(counts, 0.0), f"{scale.name} of counts{f' divided {divided}' if divided else ''}"
    if (values >= 0).all() and values.max() > _FURTHEST:
        return values, "numbers too large for logs"
    return None, ""


def _grouped(linear: Array, divided: Divided) -> Array:
    """Return values with those that share one divisor in a row."""
    if divided == "by cell":
        return linear
    return linear.T if divided == "by protein" else linear.reshape(1, -1)


def _fits(rows: Array, exact: float) -> bool:
    """Return whether nearly all rows that show enough are multiples of one count."""
    filled = rows[(rows > 0).any(axis=1)]
    if not len(filled):
        return False
    least = np.where(filled > 0, filled, np.inf).min(axis=1, keepdims=True)
    asked = (filled > _BESIDE * least).sum(axis=1) >= _LEAST_VALUES
    return bool(2 * asked.sum() >= len(filled) and np.isfinite(_one_count(filled[asked], exact)).mean() >= _FITS)


def _one_count(rows: Array, exact: float, *, known: bool = False) -> Array:
    """Return what one count is in each row: the smallest value or a fraction of it that all are multiples of.

    Where it is not known that they are of this scale, the smallest value is taken for more than one count only if so
    many different values fit that chance does not explain it: of few counts most values are the same one.
    """
    rows = np.sort(rows, axis=1)
    is_other = np.diff(rows, axis=1, prepend=-np.inf) > _SAME * rows
    least = np.where(rows > 0, rows, np.inf).min(axis=1)
    one = np.full(len(rows), np.nan)
    left = np.flatnonzero(np.isfinite(least))
    for fold in range(1, _MOST_FOLDS + 1):
        folds = rows[left] / (least[left, None] / fold)
        within = _ROUNDING + exact * folds
        tested = (folds > _BESIDE * fold) & (within < _UNTESTED)
        whole = tested & (np.abs(folds - np.round(folds)) <= within)
        found = whole.sum(axis=1) >= np.maximum(_FITS * tested.sum(axis=1), 1)
        if fold > 1 and not known:
            n_other, n_tested = ((of & is_other[left]).sum(axis=1) for of in (whole, tested))
            found &= (n_other >= _FITS * n_tested) & (fold * (2 * _ROUNDING) ** n_other <= _BY_CHANCE)
        one[left[found]] = least[left[found]] / fold
        left = left[~found]
    return one


def _counts(linear: Array, divided: Divided, exact: float) -> Array:
    rows = _grouped(linear, divided)
    one = _one_count(rows, exact, known=True)
    # a cell that does not say what one count is gets that of the others
    divisor = np.where(np.isfinite(one), one, np.nanmedian(one))[:, None]
    counts = np.round(rows / divisor)
    return np.ascontiguousarray(counts.T) if divided == "by protein" else counts.reshape(linear.shape)
