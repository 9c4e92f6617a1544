"""How well the marker genes of a cell fit each kind of blood cell, whatever else the sample holds.

A mixture of kinds whose expected levels are known beforehand (`marker_levels.yaml`). What chemistry and panel change,
one factor a gene and one for all, is learnt from the cells by EM; each factor is drawn towards 1, so that a sample of
one kind is not parted in two (the idea of Zhang et al. 2019, Nat Methods 16:1007, CellAssign).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from immunolab.clustering.expression import Array
from immunolab.clustering.names import UNASSIGNED
from immunolab.events.cells import counts_of, gene_columns
from immunolab.events.subsample import drawn_rows
from immunolab.vocabulary.signatures import expected_levels

if TYPE_CHECKING:
    from anndata import AnnData

COUNTS_OF_LEVELS = 1e4  # counts that levels are given for
GENE_SIZE = (
    1.0  # of the negative binomial: counts of a gene in cells of one kind vary with a CV near 1 (Hafemeister 2019)
)
TEMPER = 0.6  # genes of a cell are not independent: their log likelihood counts for less (judgement)
_AMBIENT = 0.02  # share of a cell's counts that is free RNA of the suspension (2 % of droplets: Young 2020, SoupX)
_PULL = 0.5  # a gene's factor is the root of what the cells show: half from the table, half from the data (judgement)
_FURTHEST = 1.4  # log of the largest factor of a gene: four times, as between chemistries (judgement)
_ROUNDS, _SETTLED = 40, 1e-4  # of EM, and the gain of log likelihood a cell that ends it
_LEARNT_ON = 20_000  # cells: a kind of 1 % has 200 of them
_DEPTHS = (300.0, 20_000.0)  # counts a cell, within which a depth that was guessed is kept
_FEW_GENES = 0.75  # share of the table's genes below which a note says so: chemistries and annotations lack some
_TRACES = 0.2  # counts per 10,000 up to which a gene says nothing of a kind (marker_levels.yaml)
_SPEAKS, _LEAST_GENES = 3.0, 2  # times the level elsewhere that makes a gene a lineage's own, and how many are needed
_LEAST_OF_SIBLINGS = -0.35  # log of the least factor of a gene that parts CD4 from CD8: 0.7 (judgement)
_DEPTH_BINS = 100  # of log depth, in which cells count as equally deep: 4 % where the deepest has 50 times the least
_CHUNK = 20_000  # cells at a time: genes x kinds x cells would not fit


@dataclass(frozen=True)
class MarkerCounts:
    """Counts of the genes of the table in each cell, and what they are a part of.

    Attributes
    ----------
    counts
        Cells x genes.
    depth
        Counts of all genes of each cell.
    genes
        Symbols of the columns.
    """

    counts: NDArray[np.float32]
    depth: Array
    genes: tuple[str, ...]


@dataclass(frozen=True)
class KindFit:
    """The kinds that cells are a mixture of.

    Attributes
    ----------
    kinds
        Names of the columns below.
    evidence
        Cells x kinds: log likelihood of the marker genes, the highest 0.
    weight
        Share of each kind.
    rates
        Genes x kinds, counts per 10,000 that were expected; empty without genes.
    """

    kinds: tuple[str, ...]
    evidence: Array
    weight: Array
    rates: Array = field(default_factory=lambda: np.empty((0, 0)))

    def chance(self, prior: Array | None = None) -> Array:
        """Return the probability of each kind in each cell, cells x kinds.

        Parameters
        ----------
        prior
            Shares of kinds, for all cells or for each; None takes those of the mixture.
        """
        log = self.evidence + np.log(np.maximum(self.weight if prior is None else prior, 1e-12))
        chance = np.exp(log - log.max(axis=1, keepdims=True))
        return np.asarray(chance / chance.sum(axis=1, keepdims=True))


def marker_counts(
    cells: AnnData, among: NDArray[np.bool_] | None = None, *, wanted: Sequence[str] = ()
) -> MarkerCounts:
    """Return the counts of marker genes; where there are only logs, counts are worked back from the smallest value.

    Parameters
    ----------
    cells
        Under the storage contract, with genes.
    among
        Which cells; None takes all.
    wanted
        Symbols; empty takes those of `marker_levels.yaml`.
    """
    rows = slice(None) if among is None else np.flatnonzero(among)
    columns = gene_columns(cells)
    genes = tuple(gene for gene in wanted or expected_levels().genes if gene in columns)
    chosen = [columns[gene] for gene in genes]
    counts = counts_of(cells)
    if counts is not None:
        depth = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()[rows]
        return MarkerCounts(counts[:, chosen][rows].toarray().astype(np.float32), np.maximum(depth, 1.0), genes)
    # one count is the smallest value of a cell, whatever it was scaled by
    linear = cells.X[rows].astype(np.float64)
    linear.data = np.expm1(linear.data)
    one = np.full(linear.shape[0], np.nan)
    filled = np.flatnonzero(np.diff(linear.indptr))
    if filled.size:
        one[filled] = np.minimum.reduceat(linear.data, linear.indptr[filled])
    depth = np.clip(np.nan_to_num(COUNTS_OF_LEVELS / one, nan=_DEPTHS[0]), *_DEPTHS)
    block = linear[:, chosen].toarray() * (depth / COUNTS_OF_LEVELS)[:, None]
    return MarkerCounts(block.astype(np.float32), depth, genes)


def fit_kinds(markers: MarkerCounts, kinds: Sequence[str], *, seed: int = 0, learn: Collection[int] = ()) -> KindFit:
    """Return how well each kind fits each cell, and the shares of kinds.

    Parameters
    ----------
    markers
        Counts of marker genes.
    kinds
        Those that cells may be of, as `marker_levels.yaml` names them.
    seed
        Of the cells drawn, where there are more than 20,000: shares and factors are learnt on them.
    learn
        Rows that are learnt from; empty takes all. The others are placed only.
    """
    table = expected_levels()
    rows, columns = [table.genes.index(g) for g in markers.genes], [table.kinds.index(k) for k in kinds]
    levels = table.levels[np.ix_(rows, columns)]
    sound = np.array(sorted(learn), dtype=np.int64) if len(learn) else np.arange(len(markers.depth))
    sound = sound[drawn_rows(len(sound), _LEARNT_ON, seed)]
    counts, depth = markers.counts[sound].astype(np.float64), markers.depth[sound]
    ambient = _AMBIENT * counts.sum(axis=0) / max(depth.sum(), 1.0) * COUNTS_OF_LEVELS
    siblings = parting_genes(markers.genes)
    weight, rates = np.full(len(kinds), 1 / len(kinds)), levels + ambient[:, None]
    last = -np.inf
    for _ in range(_ROUNDS):
        log = log_likelihood(counts, depth, rates) + np.log(np.maximum(weight, 1e-12))
        top = log.max(axis=1, keepdims=True)
        chance = np.exp(log - top)
        total = chance.sum(axis=1, keepdims=True)
        gain = float((top[:, 0] + np.log(total[:, 0])).mean())
        chance /= total
        weight = chance.mean(axis=0)
        rates = _rates(counts, depth, chance, levels, ambient, siblings)
        if abs(gain - last) < _SETTLED:
            break
        last = gain
    blocks = [slice(start, start + _CHUNK) for start in range(0, len(markers.depth), _CHUNK)]
    evidence = np.concatenate(
        [log_likelihood(markers.counts[b].astype(np.float64), markers.depth[b], rates) for b in blocks]
    )
    return KindFit(tuple(kinds), evidence - evidence.max(axis=1, keepdims=True), weight, rates)


def parting_genes(genes: Sequence[str], *, elsewhere: float = np.inf) -> NDArray[np.bool_]:
    """Return which genes every kind of CD4 T cell expresses more than any of CD8, or the other way round.

    Parameters
    ----------
    genes
        Symbols of the table.
    elsewhere
        Counts per 10,000 that the other sibling has at most.
    """
    table = expected_levels()
    rows = [table.genes.index(gene) for gene in genes]
    of_kind = np.array(table.lineage)
    four, eight = (table.levels[rows][:, of_kind == name] for name in ("CD4", "CD8"))
    of_four = (four.min(axis=1) > eight.max(axis=1)) & (eight.max(axis=1) <= elsewhere)
    return of_four | ((eight.min(axis=1) > four.max(axis=1)) & (four.max(axis=1) <= elsewhere))


def _rates(
    counts: Array, depth: Array, chance: Array, levels: Array, ambient: Array, siblings: NDArray[np.bool_]
) -> Array:
    """Return counts per 10,000 of each gene in each kind: the table's levels, the cells' factors, and free RNA.

    A gene of ``siblings`` that next to no cell shows is one of a sibling that is absent, rather than one that this
    chemistry loses: its factor is kept near that of all genes.
    """
    expected = levels @ (chance.T @ (depth / COUNTS_OF_LEVELS))
    seen = np.maximum(counts.sum(axis=0) - ambient * depth.sum() / COUNTS_OF_LEVELS, 0.0)
    ratio = np.log((seen + 1.0) / (expected + 1.0))
    # the factor of all genes: those with more than some hundred counts weigh alike
    overall = np.average(ratio, weights=np.minimum(np.sqrt(expected + 1.0), 20.0)) if len(ratio) else 0.0
    lowest = np.where(siblings, _LEAST_OF_SIBLINGS, -_FURTHEST)
    own = np.exp(overall + np.clip(_PULL * (ratio - overall), lowest, _FURTHEST))
    return np.asarray(own[:, None] * levels + ambient[:, None])


def log_likelihood(counts: Array, depth: Array, rates: Array, *, temper: float = TEMPER) -> Array:
    """Return the log likelihood of each kind (negative binomial), without what is the same for all kinds.

    Parameters
    ----------
    counts
        Cells x genes.
    depth
        Counts of all genes of each cell.
    rates
        Genes x kinds, counts per 10,000.
    temper
        What each gene counts for.
    """
    # cells of like depth share their expected counts, so that the sum over genes is one product of matrices
    edges = np.linspace(np.log(depth.min()), np.log(depth.max()) + 1e-9, _DEPTH_BINS + 1)
    bin_of = np.digitize(np.log(depth), edges[1:-1])
    result = np.empty((len(counts), rates.shape[1]))
    for one in np.unique(bin_of):
        inside = bin_of == one
        expected = depth[inside].mean() * rates / (COUNTS_OF_LEVELS * GENE_SIZE)
        more = np.log1p(expected)
        result[inside] = counts[inside] @ (np.log(expected) - more) - GENE_SIZE * more.sum(axis=0)
    return temper * result


def missing_genes(found: Collection[str]) -> tuple[frozenset[str], list[str]]:
    """Return the lineages that next to no gene of their own was measured of, and a line on genes that are missing.

    Parameters
    ----------
    found
        Symbols measured.
    """
    table = expected_levels()
    there = np.array([gene in set(found) for gene in table.genes])
    of_blood = ~np.isin(table.kinds, list(table.beyond_blood))
    levels = table.levels[:, of_blood]
    notes = []
    speaking = (levels.max(axis=1) > _TRACES) | (table.levels[:, ~of_blood].max(axis=1) <= _TRACES)
    measured, known = int((there & speaking).sum()), int(speaking.sum())
    if measured < _FEW_GENES * known:
        notes.append(f"{measured} of {known} marker genes were measured; lineages are less sure in proportion")
    lacking = []
    of_kind = np.array(["T" if name in ("CD4", "CD8") else name for name in table.lineage])[of_blood]
    for lineage in dict.fromkeys(of_kind):
        own = of_kind == lineage
        level, others = levels[:, own].max(axis=1), np.sort(levels[:, ~own], axis=1)[:, -2]
        speaks = there & (level >= _SPEAKS * others) & (level > levels.min())
        if lineage != UNASSIGNED and speaks.sum() < _LEAST_GENES:
            lacking.append(lineage)
    return frozenset(lacking), notes


def kinds_seen(kinds: Sequence[str], found: Collection[str]) -> tuple[str, ...]:
    """Return the kinds without those beyond blood that next to no gene measured parts from all kinds of blood.

    Parameters
    ----------
    kinds
        As `marker_levels.yaml` names them.
    found
        Symbols measured.
    """
    table = expected_levels()
    there = np.array([gene in set(found) for gene in table.genes])
    elsewhere = table.levels[:, ~np.isin(table.kinds, list(table.beyond_blood))].max(axis=1)
    own = {kind: table.levels[:, table.kinds.index(kind)] >= _SPEAKS * elsewhere for kind in table.beyond_blood}
    return tuple(kind for kind in kinds if kind not in own or (own[kind] & there).sum() >= _LEAST_GENES)
