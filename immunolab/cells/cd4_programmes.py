"""Which programme each CD4 T cell runs by its genes: regulatory, follicular, Th1, Th2, Th17, or none.

A mixture: a resting cell shows each gene as the cells of its state (naive, memory) do, one with a programme shows the
programme's genes so many times as high (`cd4_programmes.yaml`). What resting cells show and the share of each programme
are learnt from the cells by EM. Programmes that share genes compete, so that the genes of activation alone make no
regulatory cell; where a programme explains nothing, its share goes to nothing and it labels no cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from immunolab.cells.marker_model import COUNTS_OF_LEVELS, MarkerCounts, log_likelihood
from immunolab.clustering.expression import Array
from immunolab.events.subsample import drawn_rows
from immunolab.vocabulary.signatures import GeneProgramme, cd4_programmes

_STATES = ("naive", "memory")
_FEWEST_GENES = 2  # of a programme's own: one gene is lost in too many cells
_OWN = 5.0  # times as high from which a gene counts among them
_SHARE = 0.08  # of each programme beforehand: of blood's memory cells helper subsets are 3 to 15 % (judgement)
_BEFOREHAND = 0.05  # weight of that beside the cells; with a tenth twice as many random genes label a cell (below)
_PULL = 0.5  # a fold is the root of the table's and the cells' (judgement, as factors of genes in `marker_model`)
_FURTHEST = 1.4  # log of how far a fold may be from the table's: four times
_FEW_COUNTS = 2.0  # added to what is seen and expected of a gene in a programme: few counts move no fold
_LEAST_RATE = 0.01  # counts per 10,000 of a gene that resting cells do not show
_ROUNDS, _SETTLED = 40, 1e-3  # of EM, and the largest change of a share that ends it
_LEARNT_ON = 20_000  # cells: shares and folds no longer move
_CHUNK = 20_000  # cells at a time
# Genes of a programme vary nearly alone within a state, so that nothing is taken off their likelihood: random genes in
# place of a signature's then label fewer than one memory cell in a hundred (benchmarks/sorted_cd4.py)
_TEMPER = 1.0


@dataclass(frozen=True)
class Programmes:
    """The programmes of cells.

    Attributes
    ----------
    chance
        Programme -> probability of each cell; those with too few genes are missing. What is left to 1 is ``none``.
    missing
        Programme -> its genes that were not measured.
    odds
        Log odds of Treg against all else, without its share: of each cell; empty where Treg is missing.
    share
        Of Treg.
    """

    chance: Mapping[str, Array]
    missing: Mapping[str, tuple[str, ...]]
    odds: Array
    share: float


def programme_genes() -> tuple[str, ...]:
    """Return the genes of all programmes."""
    return tuple(dict.fromkeys(gene for one in cd4_programmes().values() for gene in one.genes))


def programmes_of(
    markers: MarkerCounts, naive: Array, *, table: Mapping[str, GeneProgramme] | None = None, seed: int = 0
) -> Programmes:
    """Return the probability of each programme in each CD4 T cell.

    Parameters
    ----------
    markers
        Counts of the genes of programmes.
    naive
        Probability of the naive state of each cell.
    table
        Programmes; None takes those of `cd4_programmes.yaml`.
    seed
        Of the cells drawn to learn from, where there are more than 20,000.
    """
    table = cd4_programmes() if table is None else table
    shown = {gene for gene, n in zip(markers.genes, markers.counts.sum(axis=0), strict=True) if n > 0}
    used = {name: one for name, one in table.items() if _enough(one, shown)}
    missing = {name: tuple(g for g in one.genes if g not in shown) for name, one in table.items()}
    if not used:
        return Programmes({}, missing, np.empty(0), 0.0)
    model = _Mixture(markers, used)
    model.learn(naive, seed)
    blocks = [slice(start, start + _CHUNK) for start in range(0, len(naive), _CHUNK)]
    chance = np.concatenate([model.chance(rows, naive[rows]).sum(axis=1) for rows in blocks])
    found = {name: chance[:, i + 1] for i, name in enumerate(used)}
    if "Treg" not in found:
        return Programmes(found, missing, np.empty(0), 0.0)
    share = float(np.clip(found["Treg"].mean(), 1e-6, 1 - 1e-6))
    treg = np.clip(found["Treg"], 1e-9, 1 - 1e-9)
    return Programmes(found, missing, np.log(treg / (1 - treg)) - np.log(share / (1 - share)), share)


def _enough(one: GeneProgramme, shown: set[str]) -> bool:
    return sum(fold >= _OWN and gene in shown for gene, fold in one.genes.items()) >= _FEWEST_GENES


class _Mixture:
    """Shares of programmes in each state, and what each gene is in a resting cell and in one with a programme."""

    def __init__(self, markers: MarkerCounts, used: Mapping[str, GeneProgramme]) -> None:
        self._markers = markers
        self._table = np.array(
            [[1.0] * len(markers.genes), *([one.genes.get(g, 1.0) for g in markers.genes] for one in used.values())]
        )
        self._folds = self._table.copy()
        allowed = np.array([[state in one.states for one in used.values()] for state in _STATES])
        self._beforehand = np.column_stack([1 - _SHARE * allowed.sum(axis=1), _SHARE * allowed])
        self._shares, self._base = self._beforehand, np.empty((len(_STATES), 0))

    def learn(self, naive: Array, seed: int) -> None:
        """Learn shares, levels of resting cells, and folds.

        Parameters
        ----------
        naive
            Probability of the naive state of all cells.
        seed
            Of the cells drawn.
        """
        rows = drawn_rows(len(naive), _LEARNT_ON, seed)
        counts, depth = self._markers.counts[rows].astype(np.float64), self._markers.depth[rows]
        of_state = np.column_stack([naive[rows], 1 - naive[rows]])
        per_count = COUNTS_OF_LEVELS / np.maximum(of_state.T @ depth, 1.0)
        mean = (of_state.T @ counts) * per_count[:, None] + _LEAST_RATE
        for _ in range(_ROUNDS):
            # all cells of a state together are what they show: resting ones show the less, the more have a programme
            self._base = mean / (self._shares @ self._folds)
            chance = self.chance(rows, naive[rows])
            seen = chance.sum(axis=0) / np.maximum(of_state.sum(axis=0), 1e-9)[:, None]
            after = (seen + _BEFOREHAND * self._beforehand) / (1 + _BEFOREHAND)
            moved, self._shares = float(np.abs(after - self._shares).max()), after
            if moved < _SETTLED:
                break
            expected = np.einsum("nsk,n->sk", chance, depth / COUNTS_OF_LEVELS).T @ self._base * self._table
            ratio = (chance.sum(axis=1).T @ counts + _FEW_COUNTS) / (expected + _FEW_COUNTS)
            pulled = self._table * np.exp(np.clip(_PULL * np.log(ratio), -_FURTHEST, _FURTHEST))
            self._folds = np.where(self._table == 1, 1.0, pulled)

    def chance(self, rows: NDArray[np.int64] | slice, naive: Array) -> Array:
        """Return the probability of each state and programme, cells x states x (none, programmes).

        Parameters
        ----------
        rows
            Which cells.
        naive
            Probability of the naive state of these.
        """
        counts, depth = self._markers.counts[rows].astype(np.float64), self._markers.depth[rows]
        rates = (self._base[:, None, :] * self._folds).reshape(-1, counts.shape[1])
        log = log_likelihood(counts, depth, rates.T, temper=_TEMPER).reshape(len(counts), len(_STATES), -1)
        log = log + np.log(np.maximum(self._shares, 1e-12))
        chance = np.exp(log - log.max(axis=2, keepdims=True))
        chance /= chance.sum(axis=2, keepdims=True)
        return np.asarray(chance * np.column_stack([naive, 1 - naive])[:, :, None])
