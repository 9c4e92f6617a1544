"""Which lineage of blood a cell is of, and CD4 or CD8 among T cells, from its own evidence and that of its neighbours.

Evidence is a log likelihood of each kind of cell, of genes (`marker_model`), of surface proteins (`proteins`), or their
sum. A cell of few counts has little of its own: the cells around it say what is common there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from immunolab.cells.marker_model import KindFit
from immunolab.clustering.expression import Array, Neighbours, smooth
from immunolab.clustering.names import UNASSIGNED
from immunolab.events.subsample import drawn_rows
from immunolab.vocabulary.signatures import expected_levels

_ROUNDS, _SETTLED = 12, 0.01  # of neighbours' evidence, and the largest mean change that ends them
_LOCAL = 0.9  # share of the prior that neighbours give; the rest is the mixture's, so that no kind is ruled out
_FLOOR = 0.002  # least prior of a kind among neighbours: a lone cell with ten times the evidence is not outvoted
SURE_LINEAGE = 0.5  # probability from which a cell has a lineage: more probable than not
_SURE_SIBLING = 0.6  # of CD4 against CD8: between 0.4 and 0.6 the cell keeps the parent's name (judgement)

_OF_ONE_KIND = 0.8  # least prior of the only kind there is: a cell is another one by its own transcripts alone
_POOLED = 10  # nearest cells whose transcripts are taken together: fewer than a second kind of 2 % of 600 cells has
_LEARNT_ON = 20_000  # cells that the regression is fitted on: its 25 coefficients no longer move
_EM_ROUNDS, _LEAST_PRIOR = 30, 0.01  # of CD4 against CD8, and the prior that its own transcripts can still overturn
_STRENGTH_OF_CD4 = 0.3  # inverse penalty of the regression of CD4 on components (judgement)
_LEAST_KIND = 0.02  # share of T cells below which a second kind is not learnt from: sorts are 95 to 99 % pure
_LEAST_GAIN = 6.0  # log likelihood that a second kind must add over one alone (a Bayes factor of 400)
# the same of nearest cells together: groups without either coreceptor (gamma delta, double negative) show no CD8 as
# well, and make 7 in Zheng's sorted CD8 cells (benchmarks/sibling_swap.py, 2026-11-26)
_LEAST_GAIN_TOGETHER = 12.0
_PLANTED = (0.02, 0.03, 0.05, 0.1, 0.2, 0.3)  # shares of a second kind that are tried
_NEED_ONE_OF = frozenset({"CD8A", "CD8B"})  # genes that part CD4 from CD8; CD4's own is seen in a tenth of its cells


@dataclass(frozen=True)
class Called:
    """What each cell is called.

    Attributes
    ----------
    labels, confidence
        One a cell; the confidence is 0 to 1.
    chance
        Label -> its probability in each cell.
    """

    labels: NDArray[np.object_]
    confidence: Array
    chance: Mapping[str, Array] = field(default_factory=dict)


def lineage_of_kinds(kinds: Sequence[str], *, t_as_one: bool = True) -> tuple[str, ...]:
    """Return the lineage that each kind is called by.

    Parameters
    ----------
    kinds
        As `marker_levels.yaml` names them.
    t_as_one
        Whether kinds of T cells are all called T.
    """
    table = expected_levels()
    names = dict(zip(table.kinds, table.lineage, strict=True))
    found = (names[kind] for kind in kinds)
    return tuple("T" if t_as_one and name in ("CD4", "CD8") else name for name in found)


def settle(fit: KindFit, neighbours: Neighbours, learn: NDArray[np.bool_]) -> Array:
    """Return the probability of each kind, where what is common among a cell's neighbours is its prior.

    Parameters
    ----------
    fit
        Evidence of each cell.
    neighbours
        Nearest cells of each.
    learn
        Cells that shares of kinds are learnt from.
    """
    chance = fit.chance()
    for _ in range(_ROUNDS):
        weight = chance[learn].mean(axis=0) if learn.any() else fit.weight
        prior = _LOCAL * np.maximum(smooth(neighbours, chance), _FLOOR) + (1 - _LOCAL) * weight
        after = fit.chance(prior)
        moved = float(np.abs(after - chance).mean(axis=0).max())
        chance = after
        if moved < _SETTLED / len(fit.kinds):
            break
    return chance


def call_lineages(chance: Array, kinds: Sequence[str], unknown: Collection[str] = ()) -> Called:
    """Return the lineage of each cell; ``unassigned`` where none is more probable than all others together.

    Parameters
    ----------
    chance
        Cells x kinds.
    kinds
        Names of the columns.
    unknown
        Lineages that the panel cannot show: cells that are most like them are ``unassigned``.
    """
    of_kind = np.array(lineage_of_kinds(kinds))
    by_name = {name: chance[:, of_kind == name].sum(axis=1) for name in dict.fromkeys(of_kind)}
    found = most_probable(
        {name: values for name, values in by_name.items() if name != UNASSIGNED and name not in unknown}, len(chance)
    )
    known = found.labels != UNASSIGNED
    return replace(found, confidence=np.where(known, found.confidence, 0.0))


def shares_of(evidence: Array) -> Array:
    """Return the shares of kinds, by EM.

    Parameters
    ----------
    evidence
        Cells x kinds, log likelihood.
    """
    return _shares(evidence)[0]


def _shares(evidence: Array) -> tuple[Array, float]:
    """Return the shares of kinds by EM, and the log likelihood of all cells."""
    weight = np.full(evidence.shape[1], 1 / evidence.shape[1])
    top = evidence.max(axis=1)
    likelihood = np.exp(evidence - top[:, None])
    sums = np.ones(len(top))
    for _ in range(50):  # EM of shares alone is settled by then
        known = np.maximum(weight, 1e-12)
        sums = likelihood @ known
        weight = known * (likelihood.T @ (1 / sums)) / len(top)
    return weight, float((top + np.log(sums)).sum())


@dataclass(frozen=True)
class Siblings:
    """Probability of CD4 and of CD8 in each T cell, and which of them there are.

    Attributes
    ----------
    chances
        Of CD4 and of CD8.
    present
        Which there are.
    by_share_alone
        Cells that are the one rather than the other only as it is the commoner: with equal shares they would be in
        doubt.
    seen_from
        Where there is one alone: the share of cells of the other from which it would be seen; 1 where none of the
        shares that are tried would.
    """

    chances: tuple[Array, Array]
    present: tuple[str, ...]
    by_share_alone: NDArray[np.bool_]
    seen_from: float = 0.0


def chance_of_cd4(
    fit: KindFit,
    odds: Array,
    points: Array,
    neighbours: Neighbours,
    *,
    by_state: float = 0.0,
    expected: tuple[Array, Array] | None = None,
) -> Siblings:
    """Return the probability of CD4 and of CD8 of each T cell.

    What a cell looks like (its neighbours, and a logistic regression on ``points``) is the prior, and only what CD4 and
    CD8 cells never share is the likelihood, by EM: a cytotoxic cell is CD8 where cytotoxic cells carry CD8. Where one
    of the two is common, its share alone does not name a cell: most of a rare sibling would get the common one's name.
    Where CD8 is there alone, CD4 cells that are too few to be seen may be: a cell whose own evidence says CD4, at half
    of the share from which they would be seen, is of neither.

    Parameters
    ----------
    fit
        Evidence of T cells, with kinds of CD4, of CD8 and others: where EM starts.
    odds
        Log odds of CD4 against CD8 of each cell, by genes and proteins that part them.
    by_state
        Weight of genes of a state (naive, cytotoxic) beside these, 0 to 1: the share of cells that lost them.
    points, neighbours
        Of the same cells.
    expected
        The odds that cells of CD4, and of CD8, would show; None where only proteins part them.
    """
    from sklearn.linear_model import LogisticRegression

    of_kind = np.array(lineage_of_kinds(fit.kinds, t_as_one=False))
    chance = settle(fit, neighbours, np.ones(len(points), dtype=bool))
    four, eight = (chance[:, of_kind == name].sum(axis=1) for name in ("CD4", "CD8"))
    either = np.minimum(four + eight, 1.0)
    share = four / np.maximum(four + eight, 1e-9)
    present = _present(odds, neighbours)
    if len(present) == 2:
        odds = (1 - by_state) * odds + by_state * (_log_sum(fit, of_kind == "CD4") - _log_sum(fit, of_kind == "CD8"))
    drawn = drawn_rows(len(points), _LEARNT_ON, 0)
    twice, kinds = np.concatenate([points[drawn], points[drawn]]), np.repeat([1, 0], len(drawn))
    for _ in range(_EM_ROUNDS):
        prior = smooth(neighbours, share)
        if present == ("CD4",):
            prior = np.maximum(prior, _OF_ONE_KIND)
        elif present == ("CD8",):
            prior = np.minimum(prior, 1 - _OF_ONE_KIND)
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
    if len(present) == 2:
        common = np.clip(float(share.mean()), _LEAST_PRIOR, 1 - _LEAST_PRIOR)
        equal = odds + np.log(prior / (1 - prior)) - np.log(common / (1 - common))
        least = np.log(_SURE_SIBLING / (1 - _SURE_SIBLING))
        alone = np.where(share >= 0.5, equal < least, equal > -least)
        return Siblings((share * either, (1 - share) * either), present, alone)
    seen_from = _LEAST_KIND if expected is None else _seen_from(expected, int(present == ("CD8",)), len(odds))
    alone = np.zeros(len(points), dtype=bool)
    if present == ("CD8",):
        # a CD8 cell mostly shows its coreceptor, and is named where CD4 is common; a CD4 cell mostly shows none
        equal_kinds = replace(fit, weight=np.ones(len(of_kind)))
        own = _log_sum(equal_kinds, of_kind == "CD8") - _log_sum(equal_kinds, of_kind == "CD4")
        hidden = min(seen_from, _PLANTED[-1]) / 2  # on average, where any share that is not seen is as probable
        alone = own + np.log((1 - hidden) / hidden) < 0
    return Siblings((share * either, (1 - share) * either), present, alone, seen_from)


def _seen_from(expected: tuple[Array, Array], commoner: int, n: int) -> float:
    """Return the least share of the rarer kind that is seen among n cells, by the odds expected; 1 if none is."""
    for share in _PLANTED:
        rare = round(share * n)
        odds = np.concatenate([np.resize(expected[commoner], n - rare), np.resize(expected[1 - commoner], rare)])
        if _second_kind(odds, _LEAST_GAIN)[1]:
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
        _second_kind(odds, _LEAST_GAIN),
        _second_kind(smooth(nearest, odds) * size, _LEAST_GAIN_TOGETHER * size),
    ]
    commoner, found = seconds[0]
    return ("CD4", "CD8") if found or seconds[1][1] else (commoner,)


def _second_kind(odds: Array, least: float) -> tuple[str, bool]:
    """Return the commoner kind, and whether the other one adds at least so much log likelihood."""
    evidence = np.stack([odds, np.zeros_like(odds)], axis=1)
    weight, both = _shares(evidence)
    rarer = int(weight.argmin())
    alone = float(evidence[:, 1 - rarer].sum())
    return ("CD4", "CD8")[1 - rarer], both - alone >= least and float(weight[rarer]) >= _LEAST_KIND


def _log_sum(fit: KindFit, inside: NDArray[np.bool_]) -> Array:
    """Return the log likelihood of some kinds together, by their shares among each other."""
    weight = np.maximum(fit.weight[inside], 1e-6)
    log = fit.evidence[:, inside] + np.log(weight / weight.sum())
    top = log.max(axis=1)
    return np.asarray(top + np.log(np.exp(log - top[:, None]).sum(axis=1)))


def sure_of_sibling(chance: Array, sibling: Array) -> NDArray[np.bool_]:
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


def most_probable(chance: Mapping[str, Array], n: int, least: float = SURE_LINEAGE) -> Called:
    """Return the most probable label of each of n cells; ``unassigned`` below the least probability.

    Parameters
    ----------
    chance
        Probability of each label, by label, one value a cell.
    n
        Cells.
    least
        Probability below which a cell is ``unassigned``.
    """
    if not chance:
        return Called(np.full(n, UNASSIGNED, dtype=object), np.zeros(n))
    table = np.stack(list(chance.values()), axis=1)
    best = table.max(axis=1)
    labels = np.array(list(chance), dtype=object)[table.argmax(axis=1)]
    return Called(np.where(best >= least, labels, UNASSIGNED), best, chance)


def share_of(labels: NDArray[np.object_]) -> Mapping[str, float]:
    """Return each label's share of the cells, largest first."""
    names, counts = np.unique(labels.astype(str), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return {str(names[i]): float(counts[i] / len(labels)) for i in order}
