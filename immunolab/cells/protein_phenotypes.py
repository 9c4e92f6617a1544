"""Which lineages a panel of surface proteins shows as a whole, by whether each has groups and how bright they are.

In a sort of one lineage most proteins are one group, and no group beside it says whether it is the negative or the
positive one: the background of one antibody can be brighter than the positive cells of another. What is looked for is
the set of lineages that explains all proteins at once, and no name is given where brightness does not decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy.special import logsumexp
from scipy.stats import norm

from immunolab.cells.proteins import Levels
from immunolab.clustering.expression import Array

# Mean and sd of negative and of positive groups, display units above isotype controls or the dimmest protein (of nine
# proteins of the twenty donors of Kotliarov 2020, rounded): they overlap, so that no group at 2 to 3 is called alone
_NEGATIVE, _POSITIVE = (0.8, 0.8), (3.8, 1.3)
_MOST = 4.0  # log odds that brightness alone says of one protein: a stain may be weak, a background high (judgement)
_GROUPS_APART = 1.3  # display units: nearer groups without a valley are halves of one (3.7 times as bright; judgement)
_PART = 0.05  # least share of a group that is a lineage of its own and no impurity (judgement)
_ALL, _NONE = 0.9, 0.1  # shares of a lineage's cells that carry a protein, from which all or none do
_UNLIKELY = -4.0  # log probability that groups are seen where a lineage has one, or one where there are two (judgement)
_ONE_FROM_OTHER = 2.0  # display units that the level of cells not seen is from that of those seen (as `two_levels` has)
_RARE = -4.0  # log prior of a sort of cells of no lineage
_FURTHER = -1.0  # log prior of each further lineage
_SURE = 0.8  # probability from which lineages are believed (chosen on ten donors: no sole lineage above was wrong)


@dataclass(frozen=True)
class Phenotype:
    """The lineages a panel shows, how sure they are, and the levels that follow.

    Attributes
    ----------
    lineages
        Those present; empty: cells of no lineage.
    probability
        Of these lineages, against all other sets of them; of one lineage that it is present.
    levels
        Levels of each protein.
    """

    lineages: tuple[str, ...]
    probability: float
    levels: tuple[Levels, ...]

    @property
    def is_sure(self) -> bool:
        """Whether the name of a sole lineage can be given."""
        return bool(self.lineages) and self.probability >= _SURE


def panel_phenotype(
    markers: Sequence[str],
    found: Sequence[Levels],
    middles: Array,
    spreads: Array,
    low: Array,
    carried: Mapping[str, Array],
) -> Phenotype:
    """Return the set of lineages that explains the groups of all proteins best.

    Parameters
    ----------
    markers, found
        Proteins, and levels of each by its own groups.
    middles, spreads
        Median and robust sd of each protein, all cells, display units.
    low
        The background of each: isotype controls, empty droplets or the dimmest protein, display units.
    carried
        Lineage -> share of its cells that carry each protein.
    """
    apart = np.array([_has_groups(one) for one in found])
    negative, positive = _brightness(middles - low)
    sets = [(), *_sets(tuple(carried))]
    scores = np.array([_score(names, carried, apart, negative, positive) for names in sets])
    best = int(scores.argmax())
    names = sets[best]
    shares = np.array([carried[name] for name in names]) if names else np.zeros((1, len(found)))
    # a set with a further lineage beside the only one names that one rightly, too
    same = scores[[set(names) <= set(other) for other in sets]] if len(names) == 1 else scores[[best]]
    probability = float(np.exp(logsumexp(same) - logsumexp(scores)))
    if len(names) > 1 and probability < _SURE:
        return Phenotype(names, probability, tuple(found))
    levels = list[Levels]()
    for place, (marker, one) in enumerate(zip(markers, found, strict=True)):
        where = float(middles[place]), float(spreads[place]), float(low[place])
        odds = float(positive[place] - negative[place])
        own = _levels(one, shares[:, place], bool(apart[place]), odds, where)
        if own.high != one.high or own.low != one.low:
            sign = "+" if own.share else "-"
            own = replace(own, note=f"{marker}: one group, by what all proteins show together; all count as {sign}")
        levels.append(own)
    return Phenotype(names, probability, tuple(levels))


def _sets(names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for size in range(1, len(names) + 1):
        yield from combinations(names, size)


def _has_groups(one: Levels) -> bool:
    """Return whether a protein parts the cells into two groups, each large enough to be a lineage."""
    return one.high - one.low >= _GROUPS_APART and _PART <= one.share <= 1 - _PART


def _brightness(above: Array) -> tuple[Array, Array]:
    """Return the log probability that one group of this brightness is negative and that it is positive."""
    negative, positive = norm.logpdf(above, *_NEGATIVE), norm.logpdf(above, *_POSITIVE)
    odds = np.clip(positive - negative, -_MOST, _MOST)
    return -np.logaddexp(0, odds), -np.logaddexp(0, -odds)


def _score(
    names: tuple[str, ...], carried: Mapping[str, Array], apart: Array, negative: Array, positive: Array
) -> float:
    """Return the log probability of a set of lineages and of what is seen, up to a constant."""
    if not names:
        return _RARE + float(np.where(apart, _UNLIKELY, negative).sum())
    shares = np.array([carried[name] for name in names])
    lowest, highest = shares.min(axis=0), shares.max(axis=0)
    mean = shares.mean(axis=0)
    one = np.logaddexp(np.log(mean) + positive, np.log(1 - mean) + negative)
    every, none = lowest >= _ALL, highest <= _NONE
    parted = (lowest <= _NONE) & (highest >= _ALL)  # one lineage carries it and another does not
    seen_one = np.select([every, none, parted], [positive, negative, one + _UNLIKELY], one)
    seen_two = np.where(every | none, _UNLIKELY, np.log(0.5))
    return float(np.where(apart, seen_two, seen_one).sum()) + _FURTHER * (len(names) - 1)


def _levels(one: Levels, shares: Array, apart: bool, odds: float, place: tuple[float, float, float]) -> Levels:
    """Return a protein's levels where the lineages present carry it in these shares."""
    middle, spread, low = place
    every, none = shares.min() >= _ALL, shares.max() <= _NONE
    if not every and not none:
        mean = float(shares.mean())
        if apart or len(shares) > 1:
            return one
        every = odds + np.log(mean / (1 - mean)) > 0
    if (one.share <= _PART and not every) or (one.share >= 1 - _PART and every):
        return replace(one, if_positive=None)  # a few cells past a border may be impurities
    if every:
        return Levels(min(low, middle - _ONE_FROM_OTHER), middle, spread, spread, share=1.0)
    return Levels(middle, middle + _ONE_FROM_OTHER, spread, spread)
