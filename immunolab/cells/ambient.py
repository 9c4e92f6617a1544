"""RNA of broken cells in the droplets of others: how much of a sample's counts it is.

T cells have no monocyte genes of their own, B cells no T cell genes: the share of what the sample's average cell has of
them is the share of counts that came with the suspension (the marker genes of SoupX, Young and Behjati 2020,
GigaScience 9:giaa151). With 5, 10, 20, 30 and 50 % of the average added to bead-sorted cells (Zheng et al. 2017) it
reads 6, 11, 22, 31 and 50 %, in these as they are and in four other published and simulated sets 0 to 2 %, with 10 %
doublets 3 %.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.events.cells import counts_of, gene_columns, sample_ids_of
from immunolab.schema.flags import Check
from immunolab.schema.gating import QUALITY

if TYPE_CHECKING:
    from anndata import AnnData
    from scipy.sparse import csr_matrix

Mask = NDArray[np.bool_]
_OF_T = ("CD3D", "CD3E", "CD3G", "TRAC")
_OF_B = ("MS4A1", "CD79A", "CD79B", "BANK1")
_OF_MONO = ("LYZ", "S100A8", "S100A9", "FCN1", "CD14")
_OF_KILLERS = ("NKG7", "GNLY")
_FOREIGN = {  # genes that a lineage does not make
    "CD3": (*_OF_B, *_OF_MONO),
    "B": (*_OF_T, *_OF_MONO, *_OF_KILLERS),
    "Mono": (*_OF_T, *_OF_B, *_OF_KILLERS),
    "NK": (*_OF_B, *_OF_MONO),
}
_FEWEST_CELLS = 50  # of a lineage in a sample, and
_FEWEST_COUNTS = 20.0  # counts of a gene that these had, were they all ambient: its share then has an error of a fifth
_FEWEST_GENES = 5  # genes of lineages, for a median that one of them cannot turn
AMBIENT_LIMIT = 0.1  # from here on it is said: CD4 T cells keep .85 in place of .87, CD8 .90 in place of .94
DROWNED = 0.25  # from here on genes do not part CD4 from CD8: at .3 .58 of the CD4 T cells were named so, at .5 .15


def ambient_shares(cells: AnnData, lineages: Mapping[str, Mask]) -> dict[str, float]:
    """Return the share of a cell's counts that is ambient in each sample; samples that do not show it are left out.

    Parameters
    ----------
    cells
        Under the storage contract.
    lineages
        Population -> its cells, of those that passed quality control.
    """
    counts = counts_of(cells)
    if counts is None:
        return {}
    columns, samples = gene_columns(cells), sample_ids_of(cells)
    some = any(gene in columns for genes in _FOREIGN.values() for gene in genes)
    found = {}
    for sample in dict.fromkeys(samples) if some else ():
        own = np.flatnonzero(samples == sample)
        shares = list(_shares(counts[own], columns, {name: inside[own] for name, inside in lineages.items()}))
        if len(shares) >= _FEWEST_GENES:
            found[str(sample)] = float(np.median(shares))
    return found


def _shares(counts: csr_matrix, columns: Mapping[str, int], lineages: Mapping[str, Mask]) -> Iterator[float]:
    """Yield, for each lineage and gene that it does not make, its counts over those of as many average counts."""
    total = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    pool = np.asarray(counts.sum(axis=0), dtype=np.float64).ravel()
    pool = pool / max(pool.sum(), 1.0)
    for name, genes in _FOREIGN.items():
        inside = lineages.get(name)
        if inside is None or inside.sum() < _FEWEST_CELLS:
            continue
        wanted = [columns[gene] for gene in genes if gene in columns]
        seen = np.asarray(counts[inside][:, wanted].sum(axis=0), dtype=np.float64).ravel()
        expected = total[inside].sum() * pool[wanted]
        enough = expected >= _FEWEST_COUNTS
        yield from (seen[enough] / expected[enough]).tolist()


def ambient_rows(shares: Mapping[str, float]) -> pd.DataFrame:
    """Return rows of `QUALITY`: the ambient share of each sample in percent.

    Parameters
    ----------
    shares
        As `ambient_shares` gives them.
    """
    return QUALITY.frame(
        [
            {
                "sample_id": sample,
                "check": Check.AMBIENT_PERCENT,
                "value": 100.0 * share,
                "limit": 100.0 * AMBIENT_LIMIT,
                "status": "ok" if share < AMBIENT_LIMIT else "warn" if share < DROWNED else "fail",
                "message": "counts of a cell that are of genes its lineage does not make, over the average cell's",
            }
            for sample, share in shares.items()
        ]
    )


def said_of_ambient(shares: Mapping[str, float]) -> Iterator[str]:
    """Yield a note on the samples with much ambient RNA.

    Parameters
    ----------
    shares
        As `ambient_shares` gives them.
    """
    much = {sample: share for sample, share in shares.items() if share >= AMBIENT_LIMIT}
    if much:
        named = ", ".join(f"{sample} ({100 * share:.0f} %)" for sample, share in much.items())
        yield (
            f"much of a cell's counts is RNA of other cells (ambient): {named}; labels are less sure, and scores and "
            "genes of a subset hold those of other cells: take it away first (SoupX, CellBender)"
        )


def said_of_unparted(samples: Sequence[str]) -> Iterator[str]:
    """Yield a note on the samples whose ambient RNA hides what parts CD4 from CD8 T cells.

    Parameters
    ----------
    samples
        Their names.
    """
    if samples:
        yield f"genes do not part CD4 from CD8 T cells in {', '.join(samples)}, nor do proteins: they stay CD3"
