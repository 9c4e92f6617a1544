"""Which single cells are fit for use: counts, genes and mitochondrial share against limits that are shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.events.cells import Cells
from immunolab.schema.flags import Check
from immunolab.schema.tables import QUALITY

_FAR = 5.0
_FEWEST_COUNTS, _FEWEST_GENES = 100.0, 50.0
_MITO_LOW, _MITO_HIGH = 10.0, 30.0
_FEW_CELLS = 50
_MITO_PREFIX = ("MT-", "mt-")


@dataclass(frozen=True)
class CellQuality:
    """Cells that pass, rows of `tables.QUALITY` with every limit, and notes."""

    passed: NDArray[np.bool_]
    table: pd.DataFrame
    notes: tuple[str, ...]


def check_cells(cells: Cells, *, seed: int = 0) -> CellQuality:
    """Return which cells pass, and the limits they were held against.

    Limits are placed on all cells of the cohort: counts and genes five median absolute deviations
    below the median of their logs (never under 100 counts and 50 genes), the mitochondrial share five
    above the median, within 10 to 30 % (Luecken and Theis 2019, Mol Syst Biol 15:e8746; Germain et al.
    2020, Genome Biol 21:227). Hashtags that name two samples or none fail as well, and so do doublets.

    Parameters
    ----------
    seed : of the simulated doublets, see `doublets.doublet_scores`.
    """
    from immunolab.cells.doublets import DOUBLET_LIMIT, doublet_scores

    notes: list[str] = []
    checks: list[tuple[str, NDArray[np.float64], float, bool]] = []
    if cells.counts is not None:
        total = np.asarray(cells.counts.sum(axis=1)).ravel().astype(np.float64)
        genes = np.diff(cells.counts.indptr).astype(np.float64)
        checks.append((Check.COUNTS, total, max(_low(total), min(_FEWEST_COUNTS, _low(total, 3.0))), True))
        checks.append((Check.GENES, genes, max(_low(genes), min(_FEWEST_GENES, _low(genes, 3.0))), True))
        mito = [i for i, gene in enumerate(cells.genes) if gene.startswith(_MITO_PREFIX)]
        if mito:
            share = 100.0 * np.asarray(cells.counts[:, mito].sum(axis=1)).ravel() / np.maximum(total, 1.0)
            checks.append((Check.MITOCHONDRIAL_PERCENT, share, _mito_limit(share), False))
        else:
            notes.append("no mitochondrial genes (MT-...): their share is not checked")
        doublet = doublet_scores(cells.counts, cells.sample_ids, seed)
        if doublet is not None:
            checks.append((Check.DOUBLET_SCORE, doublet, DOUBLET_LIMIT, False))
    elif cells.protein is not None and cells.protein_scale == "counts":
        total = cells.protein.sum(axis=1)
        checks.append((Check.PROTEIN_COUNTS, total, _low(total), True))
    else:
        notes.append("no counts: counts, mitochondrial share and doublets are not checked")
    passed = np.ones(cells.n_cells, dtype=bool)
    for name, values, limit, is_low in checks:
        fit = values >= limit if is_low else values <= limit
        passed &= fit
        if (~fit).any():
            word = "under" if is_low else "over"
            notes.append(f"{int((~fit).sum())} cells {word} {limit:.3g} {name.replace('_', ' ')}")
    apart = np.array([str(name).startswith("hashtag_") for name in cells.sample_ids])
    passed &= ~apart
    return CellQuality(passed, _rows(cells, checks, passed), tuple(notes))


def _low(values: NDArray[np.float64], far: float = _FAR) -> float:
    log = np.log1p(values)
    middle = float(np.median(log))
    return float(np.expm1(max(middle - far * 1.4826 * float(np.median(np.abs(log - middle))), 0.0)))


def _mito_limit(share: NDArray[np.float64]) -> float:
    middle = float(np.median(share))
    far = middle + _FAR * 1.4826 * float(np.median(np.abs(share - middle)))
    return float(np.clip(far, _MITO_LOW, _MITO_HIGH))


def _rows(
    cells: Cells, checks: list[tuple[str, NDArray[np.float64], float, bool]], passed: NDArray[np.bool_]
) -> pd.DataFrame:
    rows: list[dict[str, object]] = []
    for sample in dict.fromkeys(cells.sample_ids):
        own = cells.sample_ids == sample
        n = int((own & passed).sum())
        rows.append(
            {
                "sample_id": sample,
                "check": Check.CELLS_KEPT,
                "value": n,
                "limit": _FEW_CELLS,
                "status": "ok" if n >= _FEW_CELLS else "fail" if n == 0 else "warn",
                "message": f"{n} of {int(own.sum())} cells pass every limit",
            }
        )
        for name, values, limit, is_low in checks:
            out = int(((values < limit) if is_low else (values > limit))[own].sum())
            rows.append(
                {
                    "sample_id": sample,
                    "check": name,
                    "value": float(np.median(values[own])),
                    "limit": limit,
                    "status": "ok" if out <= 0.2 * own.sum() else "warn",
                    "message": f"median; {out} of {int(own.sum())} cells {'under' if is_low else 'over'} the limit",
                }
            )
    return QUALITY.frame(rows)
