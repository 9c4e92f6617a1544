"""Which single cells are fit for use: counts, genes and mitochondrial share against limits that are shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.cells.doublets import DOUBLET_LIMIT, FEWEST_SCORED, MOST_OF_A_RUN, doublet_scores
from immunolab.cells.empty import empty_borders
from immunolab.events.cells import counts_of, proteins_are_counts, proteins_of, sample_ids_of
from immunolab.schema.flags import Check
from immunolab.schema.gating import QUALITY

if TYPE_CHECKING:
    from anndata import AnnData

_FAR = 5.0  # median absolute deviations (as sd): Luecken and Theis 2019; Germain et al. 2020
_NEAR = 3.0  # the same, for the floor below: a library of few counts is not emptied by it
_FEWEST_COUNTS, _FEWEST_GENES = 100.0, 50.0  # fewer do not show a lineage (judgement)
_NEAREST = float(np.log(2.0))  # of a limit to the median, log units: cells of equal depth, or one cell, are not all cut
_MITO_LOW, _MITO_HIGH = 10.0, 30.0  # percent that the limit is kept within: between healthy and dying blood cells
_FEW_CELLS = 50  # of a sample, below which a share of cells has a standard error of 7 points
_LOST_SHARE = 0.2  # of a sample's cells over a limit that deserves a warning (judgement)
_MAD_TO_SD = 1.4826  # the sd of normal values in units of their median absolute deviation
_MITO_PREFIX = ("MT-", "mt-")


@dataclass(frozen=True)
class CellQuality:
    """Cells that pass, rows of `tables.QUALITY` with every limit, and notes."""

    passed: NDArray[np.bool_]
    table: pd.DataFrame
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Limit:
    """One value a cell, and the end it must not pass."""

    name: Check
    values: NDArray[np.float64]
    limit: float
    is_low: bool = False

    @property
    def side(self) -> str:
        return "under" if self.is_low else "over"

    @property
    def said(self) -> str:
        n = int(self.failed().sum())
        if self.name == Check.COUNTS_OVER_EMPTY:
            return f"{n} cells are empty droplets: of few counts, with the genes of their sample's average cell"
        return f"{n} cells {self.side} {self.limit:.3g} {self.name.replace('_', ' ')}"

    def failed(self) -> NDArray[np.bool_]:
        return self.values < self.limit if self.is_low else self.values > self.limit


def check_cells(cells: AnnData) -> CellQuality:
    """Return which cells pass, and the limits they were checked against.

    Limits are placed on all cells of the cohort: counts and genes five median absolute deviations
    below the median of their logs (never under 100 counts and 50 genes), the mitochondrial share five
    above the median, within 10 to 30 % (Luecken and Theis 2019, Mol Syst Biol 15:e8746; Germain et al.
    2020, Genome Biol 21:227). Hashtags that name two samples or none fail as well, and so do doublets.

    Parameters
    ----------
    cells
        Under the storage contract.
    """
    limits = tuple(_limits(cells))
    samples = sample_ids_of(cells)
    passed = np.array([not str(name).startswith("hashtag_") for name in samples])
    for limit in limits:
        passed &= ~limit.failed()
    lost = [limit.said for limit in limits if limit.failed().any()]
    return CellQuality(
        passed, QUALITY.frame(list(_rows(samples, limits, passed))), (*_unchecked(limits, samples), *lost)
    )


def _limits(cells: AnnData) -> Iterator[_Limit]:
    counts, protein = counts_of(cells), proteins_of(cells)
    if counts is not None:
        total = np.asarray(counts.sum(axis=1)).ravel().astype(np.float64)
        genes = np.diff(counts.indptr).astype(np.float64)
        yield _Limit(Check.COUNTS, total, max(_low(total), min(_FEWEST_COUNTS, _low(total, _NEAR))), is_low=True)
        yield _Limit(Check.GENES, genes, max(_low(genes), min(_FEWEST_GENES, _low(genes, _NEAR))), is_low=True)
        mito = np.flatnonzero(cells.var_names.str.startswith(_MITO_PREFIX))
        if mito.size:
            share = 100.0 * np.asarray(counts[:, mito].sum(axis=1)).ravel() / np.maximum(total, 1.0)
            yield _Limit(Check.MITOCHONDRIAL_PERCENT, share, _mito_limit(share))
        borders = empty_borders(counts, sample_ids_of(cells))
        if borders.any():
            over = np.divide(total, borders, out=np.full(len(total), np.inf), where=borders > 0)
            yield _Limit(Check.COUNTS_OVER_EMPTY, over, 1.0, is_low=True)
        doublet = doublet_scores(counts, sample_ids_of(cells))
        if doublet is not None:
            yield _Limit(Check.DOUBLET_SCORE, doublet, DOUBLET_LIMIT)
    elif protein is not None and proteins_are_counts(cells):
        total = protein.to_numpy().sum(axis=1)
        yield _Limit(Check.PROTEIN_COUNTS, total, _low(total), is_low=True)


def _unchecked(limits: Sequence[_Limit], samples: NDArray[np.object_]) -> Iterator[str]:
    names = {limit.name for limit in limits}
    if not names:
        yield "no counts: counts, mitochondrial share and doublets are not checked"
    elif Check.COUNTS in names and Check.MITOCHONDRIAL_PERCENT not in names:
        yield "no mitochondrial genes (MT-...): their share is not checked"
    sizes = dict(zip(*np.unique(samples.astype(str), return_counts=True), strict=True))
    small = [name for name, n in sizes.items() if n < FEWEST_SCORED]
    if small and Check.DOUBLET_SCORE in names:
        which = f"in {len(small)} of {len(sizes)} samples, which have" if len(sizes) > 1 else "in"
        yield f"doublets are not looked for {which} fewer than {FEWEST_SCORED} cells"
    for sample, n in sizes.items():
        if n > MOST_OF_A_RUN and Check.DOUBLET_SCORE in names:
            what = f"{n:,} cells are more than one droplet run holds"
            yield f"{sample}: {what}; doublets are scored as of one run, which finds fewer: name the runs as samples"


def _finite(value: np.floating) -> float | None:
    return float(value) if np.isfinite(value) else None


def _low(values: NDArray[np.float64], far: float = _FAR) -> float:
    log = np.log1p(values)
    middle = float(np.median(log))
    below = max(far * _MAD_TO_SD * float(np.median(np.abs(log - middle))), _NEAREST)
    return float(np.expm1(max(middle - below, 0.0)))


def _mito_limit(share: NDArray[np.float64]) -> float:
    middle = float(np.median(share))
    far = middle + _FAR * _MAD_TO_SD * float(np.median(np.abs(share - middle)))
    return float(np.clip(far, _MITO_LOW, _MITO_HIGH))


def _rows(
    samples: NDArray[np.object_], limits: Sequence[_Limit], passed: NDArray[np.bool_]
) -> Iterator[dict[str, object]]:
    for sample in dict.fromkeys(samples):
        own = samples == sample
        n, of = int((own & passed).sum()), int(own.sum())
        yield {
            "sample_id": sample,
            "check": Check.CELLS_KEPT,
            "value": n,
            "limit": _FEW_CELLS,
            "status": "ok" if n >= _FEW_CELLS else "fail" if n == 0 else "warn",
            "message": f"{n} of {of} cells pass every limit",
        }
        for limit in limits:
            out = int(limit.failed()[own].sum())
            yield {
                "sample_id": sample,
                "check": limit.name,
                "value": _finite(np.median(limit.values[own])),
                "limit": limit.limit,
                "status": "ok" if out <= _LOST_SHARE * of else "warn",
                "message": f"median; {out} of {of} cells {limit.side} the limit",
            }
