"""CD4 or CD8 where the T cells look like CD8 alone: CD4 cells too few to be learnt from may be among them.

A CD8 cell mostly shows its coreceptor, a CD4 cell mostly not: here all marker genes say what a cell is, the cells
themselves say how many of the other there may be, and drawn cells say what a name costs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from immunolab.clustering.expression import Array

Mask = NDArray[np.bool_]

SURE_AMONG_ONE = 0.95  # probability from which a cell has a name: at most one in twenty that have it is the other
_WITHHELD = 0.05  # share of drawn cells of the one kind that may lose its name: 95 % of a pure sort should keep it
_SHARES = np.linspace(0.002, 0.5, 250)  # of the other kind, which is the rarer: from one in 500 cells to a half
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


def among_one(odds: Array, drawn: tuple[Array, Array] | None, least_sure: float) -> AmongOne:
    """Return what cells are that look like one kind.

    Parameters
    ----------
    odds
        Log odds of the one kind against the other, by all that is measured.
    drawn
        The same of drawn cells of the one kind, and of the other; None where there are none.
    least_sure
        Probability below which no cell has the one kind's name, however few keep it.
    """
    share = share_of_other(odds)
    other = _chance(odds, share)
    border = np.log(SURE_AMONG_ONE / (1 - SURE_AMONG_ONE)) + np.log(share / (1 - share))
    if drawn is not None:
        lowest = np.log(least_sure / (1 - least_sure)) + np.log(share / (1 - share))
        border = min(border, max(float(np.quantile(drawn[0], _WITHHELD)), lowest))
    in_doubt = (odds < border) & (other < SURE_AMONG_ONE)
    return AmongOne(other, in_doubt, np.nan if drawn is None else float((drawn[1] >= border).mean()))


def share_of_other(odds: Array) -> float:
    """Return the share of the other kind: its mean, where every share up to a half is as likely beforehand.

    Parameters
    ----------
    odds
        Log odds of the one kind against the other.
    """
    ratio = np.exp(-np.clip(odds, -_FURTHEST_ODDS, _FURTHEST_ODDS))
    fit = np.array([np.log1p(share * (ratio - 1)).sum() for share in _SHARES])
    weight = np.exp(fit - fit.max())
    return float(_SHARES @ weight / weight.sum())


def _chance(odds: Array, share: float) -> Array:
    against = np.clip(odds, -_FURTHEST_ODDS, _FURTHEST_ODDS) + np.log((1 - share) / share)
    return np.asarray(1 / (1 + np.exp(against)))
