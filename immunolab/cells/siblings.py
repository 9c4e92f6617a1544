"""CD4 or CD8 among T cells, from what the two never share and from what a cell's neighbours are.

Doubt gives the parent: a T cell without evidence of its own stays CD3.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from immunolab.cells.cd8_alone import LEAST_GAIN, SURE_AMONG_ONE, among_one
from immunolab.cells.lineage import SURE_LINEAGE, lineage_of_kinds, settle, shares_and_fit
from immunolab.cells.marker_model import KindFit
from immunolab.clustering.expression import Array, Neighbours, smooth
from immunolab.events.subsample import drawn_rows

Mask = NDArray[np.bool_]

_SURE_SIBLING = 0.6  # of CD4 against CD8: between 0.4 and 0.6 the cell keeps the parent's name (judgement)
_LEAST_LOG_ODDS = float(np.log(_SURE_SIBLING / (1 - _SURE_SIBLING)))
_OF_ONE_KIND = 0.8  # least prior of CD4 where it is alone: a cell is another one by its own transcripts alone
_POOLED = 10  # nearest cells whose transcripts are taken together: fewer than a second kind of 2 % of 600 cells has
_LEARNT_ON = 20_000  # cells that the regression is fitted on: its 25 coefficients no longer move
_EM_ROUNDS, _SETTLED = 30, 0.01  # of EM, and the largest change of a probability that ends it
_LEAST_PRIOR = 0.01  # of CD4 against CD8: its own transcripts can still overturn it
_STRENGTH_OF_CD4 = 0.3  # inverse penalty of the regression of CD4 on components (judgement)
_LEAST_KIND = 0.02  # share of T cells below which a second kind is not learnt from: sorts are 95 to 99 % pure
# the same of nearest cells together: groups without either coreceptor (gamma delta, double negative) show no CD8 as
# well, and make 7 in Zheng's sorted CD8 cells (benchmarks/sibling_swap.py, 2026-11-26)
_LEAST_GAIN_TOGETHER = 12.0
_PLANTED = (0.02, 0.03, 0.05, 0.1, 0.2, 0.3)  # shares of a second kind that are tried
_NEED_ONE_OF = frozenset({"CD8A", "CD8B"})  # genes that part CD4 from CD8; CD4's own is seen in a tenth of its cells
# share of the cells of one sibling that may be expected under the other's name, by the probabilities of these cells: of
# Zheng's cells thinned to 200 to 1,000 counts .4 to 1.1 times as many are (2026-11-27)
_MOST_SWAPPED = 0.1
# log odds by all genes and proteins of a cell against a name from which it is not given, whatever is near it: as sure
# as a name needs where one sibling is alone
_SURELY_AGAINST = float(np.log(SURE_AMONG_ONE / (1 - SURE_AMONG_ONE)))
# share of T cells up to which a sibling is rare: few of its cells have their own kind near, so that what is near says
# the commoner of most (of Zheng's cells at a tenth, no longer at three tenths)
_RARE = 0.2


@dataclass(frozen=True)
class Siblings:
    """Probability of CD4 and of CD8 in each T cell, and which of them there are.

    Attributes
    ----------
    chances
        Of CD4 and of CD8.
    present
        Which there are.
    in_doubt
        Cells that get neither name: they are the one rather than the other only as it is the commoner; or too many of
        the other are expected among cells like them; or all evidence of their own is surely against the name; or they
        show nothing that is the name's alone, nor do most cells named so.
    seen_from
        Where there is one alone: the share of cells of the other from which it would be seen; 1 where none of the
        shares that are tried would.
    swapped
        Where there is CD8 alone: the share of CD4 cells among them that would be called CD8; NaN where not known.
    """

    chances: tuple[Array, Array]
    present: tuple[str, ...]
    in_doubt: Mask
    seen_from: float = 0.0
    swapped: float = float("nan")


def chance_of_cd4(
    fit: KindFit,
    odds: Array,
    points: Array,
    neighbours: Neighbours,
    *,
    of_own: Array | None = None,
    by_state: float = 0.0,
    expected: tuple[Array, Array] | None = None,
    drawn: tuple[Array, Array] | None = None,
) -> Siblings:
    """Return the probability of CD4 and of CD8 of each T cell.

    What a cell looks like (its neighbours, and a logistic regression on ``points``) is the prior, and only what CD4 and
    CD8 cells never share is the likelihood, by EM: a cytotoxic cell is CD8 where cytotoxic cells carry CD8. Where one
    of the two is common, its share alone does not name a cell: most of a rare sibling would get the common one's name.
    Where CD8 is there alone, CD4 cells that are too few to be seen may be: all evidence of a cell is then its own
    (`among_one`).

    Parameters
    ----------
    fit
        Evidence of T cells, with kinds of CD4, of CD8 and others: where EM starts.
    odds
        Log odds of CD4 against CD8 of each cell, by genes and proteins that part them.
    of_own
        The same by those that the other one hardly shows, which say whether there are both; None takes ``odds``.
    by_state
        Weight of genes of a state (naive, cytotoxic) beside these, 0 to 1: the share of cells that lost them.
    points, neighbours
        Of the same cells.
    expected
        ``of_own`` that cells of CD4, and of CD8, would show; None where that is not known.
    drawn
        The same of `log_odds` of all evidence.
    """
    of_kind = np.array(lineage_of_kinds(fit.kinds, t_as_one=False))
    chance = settle(fit, neighbours, np.ones(len(points), dtype=bool))
    four, eight = (chance[:, of_kind == name].sum(axis=1) for name in ("CD4", "CD8"))
    either, share = np.minimum(four + eight, 1.0), four / np.maximum(four + eight, 1e-9)
    own = odds if of_own is None else of_own
    present = _present(own, neighbours)
    if len(present) == 2:
        odds = (1 - by_state) * odds + by_state * (_log_sum(fit, of_kind == "CD4") - _log_sum(fit, of_kind == "CD8"))
    seen_from = 0.0
    if len(present) == 1:
        seen_from = _LEAST_KIND if expected is None else _seen_from(expected, int(present == ("CD8",)), len(odds))
    if present == ("CD8",):
        cd8_first = None if drawn is None else (-drawn[1], -drawn[0])
        found = among_one(-log_odds(fit.evidence, fit.kinds), cd8_first)
        other = found.chance_of_other
        return Siblings((other * either, (1 - other) * either), present, found.in_doubt, seen_from, found.swapped)
    share, prior = _settled(odds, share, points, neighbours, present)
    chances = share * either, (1 - share) * either
    if len(present) == 2:
        doubts = (
            _by_share_alone(odds, share, prior),
            _too_many_swapped(chances),
            _against_own(fit, chances),
            _without_own_evidence(own, chances),
        )
        return Siblings(chances, present, np.any(doubts, axis=0))
    # a CD8 cell mostly shows its coreceptor, and is named; where none would be seen, a cell needs evidence of its own
    in_doubt = (log_odds(fit.evidence, fit.kinds) < 0) & (seen_from == 1)
    return Siblings(chances, present, in_doubt, seen_from)


def log_odds(evidence: Array, kinds: Sequence[str]) -> Array:
    """Return the log odds of CD4 against CD8 by all evidence of a cell, each kind of the two as likely beforehand.

    Parameters
    ----------
    evidence
        Cells x kinds, log likelihood.
    kinds
        Names of the columns.
    """
    of_kind = np.array(lineage_of_kinds(kinds, t_as_one=False))
    equal = KindFit(tuple(kinds), evidence, np.ones(len(of_kind)))
    return _log_sum(equal, of_kind == "CD4") - _log_sum(equal, of_kind == "CD8")


def _settled(
    odds: Array, share: Array, points: Array, neighbours: Neighbours, present: tuple[str, ...]
) -> tuple[Array, Array]:
    """Return the probability of CD4 against CD8 of each cell, by EM, and its prior in the last round."""
    from sklearn.linear_model import LogisticRegression

    drawn = drawn_rows(len(points), _LEARNT_ON, 0)
    twice, kinds = np.concatenate([points[drawn], points[drawn]]), np.repeat([1, 0], len(drawn))
    prior = share
    for _ in range(_EM_ROUNDS):
        prior = smooth(neighbours, share)
        if present == ("CD4",):
            prior = np.maximum(prior, _OF_ONE_KIND)
        else:
            weight = np.concatenate([share[drawn], 1 - share[drawn]])
            model = LogisticRegression(C=_STRENGTH_OF_CD4, max_iter=200).fit(twice, kinds, sample_weight=weight)
            prior = (prior + model.predict_proba(points)[:, 1]) / 2
        prior = np.clip(prior, _LEAST_PRIOR, 1 - _LEAST_PRIOR)
        after = 1 / (1 + np.exp(-np.clip(odds + np.log(prior / (1 - prior)), -50, 50)))
        moved = float(np.abs(after - share).max())
        share = after
        if moved < _SETTLED:
            break
    return share, prior


def _by_share_alone(odds: Array, share: Array, prior: Array) -> Mask:
    """Return cells that are the one rather than the other only as it is the commoner."""
    common = np.clip(float(share.mean()), _LEAST_PRIOR, 1 - _LEAST_PRIOR)
    equal = odds + np.log(prior / (1 - prior)) - np.log(common / (1 - common))
    return np.where(share >= 0.5, equal < _LEAST_LOG_ODDS, equal > -_LEAST_LOG_ODDS)


def _against_own(fit: KindFit, chances: tuple[Array, Array]) -> Mask:
    """Return cells named surely against all evidence of their own; at all, by a common sibling beside a rare one."""
    share = np.array([chance.sum() for chance in chances])
    share /= max(float(share.sum()), 1e-9)
    said = log_odds(fit.evidence, fit.kinds)
    against = np.zeros(len(said), dtype=bool)
    (four, eight), (many_four, many_eight) = chances, share
    for own, other, common, odds in ((four, eight, many_four, said), (eight, four, many_eight, -said)):
        least = 0.0 if common > 1 - _RARE else -_SURELY_AGAINST
        against |= sure_of_sibling(own, other) & (odds < least)
    return against


def _without_own_evidence(odds: Array, chances: tuple[Array, Array]) -> Mask:
    """Return cells named by a state that both can be in, where too few of all cells named so show what is theirs alone.

    Cytotoxic CD4 and CD8 cells look alike, and a CD8 cell can lose its coreceptor, but not most of them. So the cells
    with one name are taken by themselves: their shares of CD4 and CD8 by what the two never share are the prior of
    each, if the two explain them clearly better than the one they are named.
    """
    doubtful = np.zeros(len(odds), dtype=bool)
    for own, other, signed in ((*chances, odds), (*chances[::-1], -odds)):
        called = np.flatnonzero(sure_of_sibling(own, other))
        if not len(called):
            continue
        shown = signed[called]
        shares, both = shares_and_fit(np.stack([shown, np.zeros_like(shown)], axis=1))
        of_own, of_other = np.log(np.maximum(shares, 1e-12))
        if both - float(shown.sum()) >= LEAST_GAIN:
            doubtful[called[shown + of_own - of_other < _LEAST_LOG_ODDS]] = True
    return doubtful


def _too_many_swapped(chances: tuple[Array, Array]) -> Mask:
    """Return the least sure cells of each name, as many as keep the other's expected cells among them to a limit."""
    doubtful = np.zeros(len(chances[0]), dtype=bool)
    for own, other in (chances, chances[::-1]):
        called = np.flatnonzero(sure_of_sibling(own, other))
        surest_first = called[np.argsort((other / (own + other))[called], kind="stable")]
        beyond = np.cumsum(other[surest_first]) > _MOST_SWAPPED * other.sum()
        doubtful[surest_first[beyond]] = True
    return doubtful


def _seen_from(expected: tuple[Array, Array], commoner: int, n: int) -> float:
    """Return the least share of the rarer kind that is seen among n cells, by the odds expected; 1 if none is."""
    for share in _PLANTED:
        rare = round(share * n)
        odds = np.concatenate([np.resize(expected[commoner], n - rare), np.resize(expected[1 - commoner], rare)])
        if _second_kind(odds, LEAST_GAIN)[1]:
            return share
    return 1.0


def _present(odds: Array, neighbours: Neighbours) -> tuple[str, ...]:
    """Return which of CD4 and CD8 there are: one alone, unless the second explains the cells clearly better.

    Either by each cell's own transcripts, or by those of its nearest cells together: none of twelve CD4 cells among CD8
    cells is sure by itself. Cells share their neighbours, so that the second evidence counts once for all of them.
    """
    nearest = neighbours[:, :_POOLED]
    size = nearest.shape[1]
    seconds = [
        _second_kind(odds, LEAST_GAIN),
        _second_kind(smooth(nearest, odds) * size, _LEAST_GAIN_TOGETHER * size),
    ]
    commoner, found = seconds[0]
    return ("CD4", "CD8") if found or seconds[1][1] else (commoner,)


def _second_kind(odds: Array, least: float) -> tuple[str, bool]:
    """Return the commoner kind, and whether the other one adds at least so much log likelihood."""
    evidence = np.stack([odds, np.zeros_like(odds)], axis=1)
    weight, both = shares_and_fit(evidence)
    rarer = int(weight.argmin())
    alone = float(evidence[:, 1 - rarer].sum())
    return ("CD4", "CD8")[1 - rarer], both - alone >= least and float(weight[rarer]) >= _LEAST_KIND


def _log_sum(fit: KindFit, inside: Mask) -> Array:
    """Return the log likelihood of some kinds together, by their shares among each other."""
    weight = np.maximum(fit.weight[inside], 1e-6)
    log = fit.evidence[:, inside] + np.log(weight / weight.sum())
    top = log.max(axis=1)
    return np.asarray(top + np.log(np.exp(log - top[:, None]).sum(axis=1)))


def sure_of_sibling(chance: Array, sibling: Array) -> Mask:
    """Return where one of two siblings is called: it is more probable than not, and clearly more than the other.

    Parameters
    ----------
    chance, sibling
        Probabilities of the two.
    """
    return np.asarray((chance >= SURE_LINEAGE) & (chance >= _SURE_SIBLING * (chance + sibling)))


def can_part_cd4(genes: Collection[str]) -> bool:
    """Return whether the genes measured can part CD4 from CD8 T cells.

    Parameters
    ----------
    genes
        Symbols measured.
    """
    return bool(_NEED_ONE_OF & set(genes))
