"""What genes and surface proteins say of CD4 against CD8, and what they would say were a sample of one of the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from immunolab.cells.lineage import lineage_of_kinds
from immunolab.cells.marker_model import (
    COUNTS_OF_LEVELS,
    GENE_SIZE,
    KindFit,
    MarkerCounts,
    log_likelihood,
    parting_genes,
)
from immunolab.cells.protein_lineages import ProteinEvidence
from immunolab.clustering.expression import Array

_LEAST_SHARE = 0.01  # of a kind among its siblings, when their levels are averaged
_DRAWN = 2_000  # cells drawn of one sibling: a share of 2 % of them is 40
# counts per 10,000 in the other sibling (traces, marker_levels.yaml) up to which a gene says whether there are both:
# HCST, which CD4 T cells have at half the level of CD8, would hide a tenth of CD4 cells among CD8
_TRACES = 0.2
_NAMES = ("CD4", "CD8")


@dataclass(frozen=True)
class SiblingEvidence:
    """Evidence between CD4 and CD8 in each T cell, and in drawn cells of CD4 and of CD8 alone.

    Attributes
    ----------
    evidence
        Cells x kinds, log likelihood by all genes and by the proteins CD4 and CD8.
    odds
        Log odds of CD4 against CD8 by the genes that part them and by these proteins.
    of_own
        The same by these proteins and those of the genes that the other sibling hardly expresses.
    lost
        Share of CD8 cells that show none of these genes; 0 where proteins part the two.
    expected
        ``of_own`` of drawn cells of the depths of this sample, of CD4 and of CD8.
    drawn
        The evidence of the same cells.
    """

    evidence: Array
    odds: Array
    of_own: Array
    lost: float
    expected: tuple[Array, Array]
    drawn: tuple[Array, Array]


def sibling_evidence(
    kinds: Sequence[str],
    by_genes: tuple[MarkerCounts, KindFit] | None,
    proteins: ProteinEvidence,
    among: NDArray[np.bool_],
) -> SiblingEvidence:
    """Return what is known of CD4 against CD8 in T cells.

    Parameters
    ----------
    kinds
        Of T cells: the columns of the evidence.
    by_genes
        Counts of marker genes of the T cells and the fit of these kinds; None where genes do not part the two.
    proteins
        Of all cells.
    among
        The T cells, bool.
    """
    rng = np.random.default_rng(0)
    groups = _groups(kinds)
    first = [int(group[0]) for group in groups]
    said = proteins.parting_of(kinds)[among]
    evidence, odds, lost = said, said[:, first[0]] - said[:, first[1]], 0.0
    of_own = odds
    drawn = [rng.choice(group, _DRAWN, p=_shares(by_genes, group)) for group in groups]
    shown = [proteins.drawn_parting(kinds, of_kind, rng) for of_kind in drawn]
    expected = [one[:, first[0]] - one[:, first[1]] for one in shown]
    if by_genes is not None:
        markers, fit = by_genes
        parting = _Parting(markers.genes, fit, groups, np.inf)
        own = _Parting(markers.genes, fit, groups, _TRACES)
        evidence = evidence + fit.evidence
        odds = odds + parting.odds(markers.counts, markers.depth)
        of_own = of_own + own.odds(markers.counts, markers.depth)
        lost = 0.0 if proteins.has_parting else parting.lost(markers.depth)
        for i, of_kind in enumerate(drawn):
            depth = rng.choice(markers.depth, _DRAWN)
            mean = depth[:, None] * fit.rates.T[of_kind] / COUNTS_OF_LEVELS
            counts = rng.poisson(mean * rng.gamma(GENE_SIZE, 1 / GENE_SIZE, mean.shape)).astype(np.float64)
            expected[i] = expected[i] + own.odds(counts, depth)
            shown[i] = shown[i] + log_likelihood(counts, depth, fit.rates)
    return SiblingEvidence(evidence, odds, of_own, lost, (expected[0], expected[1]), (shown[0], shown[1]))


def _groups(kinds: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the columns of the kinds of CD4, and of CD8."""
    of_kind = np.array(lineage_of_kinds(kinds, t_as_one=False))
    return np.flatnonzero(of_kind == _NAMES[0]), np.flatnonzero(of_kind == _NAMES[1])


def _shares(by_genes: tuple[MarkerCounts, KindFit] | None, group: NDArray[np.int64]) -> Array:
    """Return the share of each kind of a group among them, none of them absent."""
    weight = np.ones(len(group)) if by_genes is None else np.maximum(by_genes[1].weight[group], _LEAST_SHARE)
    return np.asarray(weight / weight.sum())


class _Parting:
    """The genes that every kind of one sibling expresses more than any of the other, and their levels in the two.

    Genes of a state that both can be in (cytotoxic, naive) have no part in it.
    """

    def __init__(
        self, genes: Sequence[str], fit: KindFit, groups: Sequence[NDArray[np.int64]], elsewhere: float
    ) -> None:
        self._genes = parting_genes(genes, elsewhere=elsewhere)
        shares = [np.maximum(fit.weight[group], _LEAST_SHARE) for group in groups]
        self._rates = np.stack(
            [
                fit.rates[self._genes][:, group] @ (share / share.sum())
                for group, share in zip(groups, shares, strict=True)
            ],
            axis=1,
        )

    def odds(self, counts: NDArray[np.floating], depth: Array) -> Array:
        """Return the log odds of CD4 against CD8."""
        evidence = log_likelihood(counts[:, self._genes].astype(np.float64), depth, self._rates)
        return np.asarray(evidence[:, 0] - evidence[:, 1])

    def lost(self, depth: Array) -> float:
        """Return the share of CD8 cells that show none of these genes."""
        expected = depth[:, None] * self._rates[:, 1] / COUNTS_OF_LEVELS
        return float(np.median(np.exp(-GENE_SIZE * np.log1p(expected / GENE_SIZE).sum(axis=1))))
