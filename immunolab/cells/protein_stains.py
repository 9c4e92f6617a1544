"""Levels of stained and unstained cells, and how far each stain works, learnt together with kinds of cells by EM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from immunolab.clustering.expression import Array
from immunolab.events.subsample import drawn_rows

ELSEWHERE = 0.03  # share of positive cells in a kind that does not carry a protein: spillover, doublets (judgement)
_MOST = 4.0  # log odds that a cell is above a border: no protein says more (one cell in 55 is wrong)
_ROUNDS, _SETTLED = 25, 1e-3  # of EM, and the largest move of a level that ends it, display units
# cells that a first level weighs as much as, or this share if it is more: a group that is not there leaves its level
# where it was (judgement). A level that was read from fewer cells weighs as much as these
_FIRST_CELLS, _FIRST_SHARE = 20.0, 0.05
_LEAST_APART = 1.0  # display units between the levels: 2.7 times as bright; nearer ones are one group (judgement)
_LEARNT_ON = 10_000  # cells: a kind of 1 % has a hundred of them


@dataclass
class StainLevels:
    """Negative and positive level of each protein in one batch, and their spread; display units.

    ``share`` is that of the cells that the positive level was read from; None where it is not known.
    """

    low: Array
    high: Array
    spread_low: Array
    spread_high: Array
    share: Array | None = None
    first: tuple[Array, Array] = field(init=False)

    def __post_init__(self) -> None:
        self.first = (self.low.copy(), self.high.copy())

    def of(self, columns: Sequence[int]) -> StainLevels:
        """Return the levels of some proteins.

        Parameters
        ----------
        columns
            Their places.
        """
        own = list(columns)
        return StainLevels(self.low[own], self.high[own], self.spread_low[own], self.spread_high[own])

    def log_odds(self, values: Array) -> Array:
        """Return the log odds of being positive, cells x proteins, straight through the border of two normal groups."""
        both = (self.spread_low**2 + self.spread_high**2) / 2
        slope = (self.high - self.low) / both
        return np.asarray(np.clip(slope * (values - self.border), -_MOST, _MOST))

    @property
    def border(self) -> Array:
        """Where the two levels are equally many sd away."""
        return (self.low * self.spread_high + self.high * self.spread_low) / (self.spread_low + self.spread_high)

    @property
    def apart(self) -> Array:
        """How many sd the levels are apart."""
        return np.asarray((self.high - self.low) / np.sqrt((self.spread_low**2 + self.spread_high**2) / 2))

    def learn(self, values: Array, positive: Array) -> float:
        """Move the levels to the cells' and return the largest move.

        Parameters
        ----------
        values
            Cells x proteins, display units.
        positive
            The probability that each is positive, cells x proteins.
        """
        moved = 0.0
        spreads = []
        seen = np.full(values.shape[1], 0.5) if self.share is None else self.share
        for share, start, level, of in (
            (1 - positive, self.first[0], self.low, 1 - seen),
            (positive, self.first[1], self.high, seen),
        ):
            weight = np.where(of > 0, np.minimum(of, _FIRST_SHARE), _FIRST_SHARE)
            first = np.maximum(_FIRST_CELLS, weight * len(values))
            mass = share.sum(axis=0)
            mean = ((share * values).sum(axis=0) + first * start) / (mass + first)
            moved = max(moved, float(np.abs(mean - level).max()))
            level[:] = mean
            around = (share * (values - mean) ** 2).sum(axis=0) + first * 0.25
            spreads.append(np.maximum(np.sqrt(around / (mass + first)), 0.2))
        near = self.high - self.low < _LEAST_APART
        self.high[near] = self.low[near] + _LEAST_APART
        self.spread_low, self.spread_high = spreads
        return moved


def learn_stains(levels: StainLevels, values: Array, carried: Array, by_genes: Array | None, *, seed: int = 0) -> Array:
    """Learn levels in place, and return the share of each kind's cells that each stain shows as positive.

    A stain that fails shows as few positives among the kinds that carry its protein as elsewhere: it says nothing.

    Parameters
    ----------
    levels
        Where EM starts; moved.
    values
        Cells x proteins, display units.
    carried
        Proteins x kinds, the share of cells that carry the protein.
    by_genes
        Log likelihood of each kind by genes, cells x kinds; None without genes.
    seed
        Of the cells drawn, where there are more than 10,000.

    Returns
    -------
    array
        Proteins x kinds.
    """
    rows = drawn_rows(len(values), _LEARNT_ON, seed)
    values, beside = values[rows], 0.0 if by_genes is None else by_genes[rows]
    weight = np.full(carried.shape[1], 1 / carried.shape[1])
    carries = np.clip((carried - ELSEWHERE) / (1 - 2 * ELSEWHERE), 0.0, 1.0)
    stained = np.full(len(carried), 1 - ELSEWHERE)
    shown = carried
    for _ in range(_ROUNDS):
        odds = np.exp(levels.log_odds(values))
        log = np.log(weight) + beside
        for column, row in enumerate(shown):
            log = log + np.log(row * odds[:, [column]] + 1 - row)
        chance = np.exp(log - log.max(axis=1, keepdims=True))
        chance /= chance.sum(axis=1, keepdims=True)
        weight = np.maximum(chance.mean(axis=0), 1e-4)
        positive = np.empty_like(values)
        for column, row in enumerate(shown):
            above = row * odds[:, [column]]
            positive[:, column] = (chance * above / (above + 1 - row)).sum(axis=1)
            stained[column] = _positive_share(odds[:, column], chance @ carries[column], stained[column])
        shown = ELSEWHERE + np.maximum(stained - ELSEWHERE, 0.0)[:, None] * carries
        if levels.learn(values, positive) < _SETTLED:
            break
    return shown


def _positive_share(odds: Array, carrying: Array, last: float) -> float:
    """Return the share of positive cells among those that carry a protein: a step of EM from the last share."""
    positive = float((carrying * last * odds / (last * odds + 1 - last)).sum())
    return (positive + _FIRST_CELLS * (1 - ELSEWHERE)) / (float(carrying.sum()) + _FIRST_CELLS)
