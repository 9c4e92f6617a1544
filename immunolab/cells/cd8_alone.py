"""CD4 or CD8 where the T cells look like CD8 alone: CD4 cells too few to be learnt from may be among them.

A CD8 cell mostly shows its coreceptor, a CD4 cell mostly not: here all marker genes say what a cell is, the cells
themselves say how many of the other there may be, and drawn cells say what a name costs. Where CD4 cells are seen, or
so few would not be, a name needs evidence that hardly a CD4 cell has: doubt gives the parent. A sort that shows itself
pure keeps its name but for the cells least like it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from immunolab.cells.marker_model import TEMPER
from immunolab.clustering.expression import Array

Mask = NDArray[np.bool_]

SURE_AMONG_ONE = 0.95  # probability from which a cell has a name: at most one in twenty that have it is the other
_SWAPPED = 0.05  # share of cells of the other kind that may have the one's name, as asked of mixtures of siblings
# Genes of a cell vary together, those of drawn cells do not, so that the log odds of drawn cells spread too little: as
# the log likelihood is tempered to make good for it, drawn odds are widened. Without it up to three times as many CD4
# cells are called CD8 as are meant, in mixtures of Zheng's and of Kang's cells (2026-11-27).
_WIDER = TEMPER**-0.5
_FEW = 0.02  # share of the other kind that a sort is pure without, if it would be seen: sorts are 95 to 99 % pure
_NO_SECOND = 0.01  # share below which a second kind is the impurity of a pure sort, or what no kind fits
_SHARES = np.linspace(0.002, 0.5, 250)  # of the other kind, which is the rarer: from one in 500 cells to a half
LEAST_GAIN = 6.0  # log likelihood that a second kind must add over one alone (a Bayes factor of 400)
_FURTHEST_ODDS = 30.0  # log odds beyond which nothing changes and e to them overflows


@dataclass(frozen=True)
class AmongOne:
    """What cells are that look like one kind.

    Attributes
    ----------
    chance_of_other
        Probability that a cell is of the other kind.
    in_doubt
        Cells that are of neither name.
    swapped
        Share of cells of the other kind that would be called the one, by drawn cells; NaN where none were drawn.
    """

    chance_of_other: Array
    in_doubt: Mask
    swapped: float


def among_one(odds: Array, drawn: tuple[Array, Array] | None) -> AmongOne:
    """Return what cells are that look like one kind.

    Parameters
    ----------
    odds
        Log odds of the one kind against the other, by all that is measured.
    drawn
        The same of drawn cells of the one kind, and of the other; None where there are none.
    """
    added = _added(odds)
    share = _mean_share(added * len(odds))
    other = _chance(odds, share)
    if drawn is None:
        border = np.log(SURE_AMONG_ONE / (1 - SURE_AMONG_ONE)) + np.log(share / (1 - share))
        return AmongOne(other, (odds < border) & (other < SURE_AMONG_ONE), np.nan)
    wider = drawn[1].mean() + _WIDER * (drawn[1] - drawn[1].mean())
    border = max(float(np.quantile(wider, 1 - _SWAPPED)), 0.0)
    if _shown_pure(added, drawn, len(odds)):
        border = min(border, float(np.quantile(odds, _FEW)))
    return AmongOne(other, (odds < border) & (other < SURE_AMONG_ONE), float((wider >= border).mean()))


def _shown_pure(added: Array, drawn: tuple[Array, Array], n: int) -> bool:
    """Return whether n cells are of one kind as far as they tell, where a few of the other would be seen."""
    one, other = (_added(odds) for odds in drawn)
    would_be_seen = n * float(((1 - _FEW) * one + _FEW * other).max()) >= LEAST_GAIN
    most, at_few = n * float(added.max()), n * float(np.interp(_FEW, _SHARES, added))
    fewer = float(_SHARES[added.argmax()]) < _NO_SECOND and most - at_few >= LEAST_GAIN
    return would_be_seen and (most < LEAST_GAIN or fewer)


def _mean_share(fit: Array) -> float:
    """Return the share of the other kind: its mean, where every share up to a half is as likely beforehand."""
    weight = np.exp(fit - fit.max())
    return float(_SHARES @ weight / weight.sum())


def _added(odds: Array) -> Array:
    """Return the log likelihood that each share of the other kind adds over none, a cell."""
    ratio = np.exp(-np.clip(odds, -_FURTHEST_ODDS, _FURTHEST_ODDS))
    return np.array([np.log1p(share * (ratio - 1)).mean() for share in _SHARES])


def _chance(odds: Array, share: float) -> Array:
    against = np.clip(odds, -_FURTHEST_ODDS, _FURTHEST_ODDS) + np.log((1 - share) / share)
    return np.asarray(1 / (1 + np.exp(against)))
