"""Expression of a subset by sample: summed counts, scores of signatures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.cells.scores import response_score
from immunolab.errors import InputError, Problem
from immunolab.events.cells import counts_of, has_genes, sample_ids_of
from immunolab.schema.flags import Flag

if TYPE_CHECKING:
    from anndata import AnnData

FEWEST_CELLS = 20  # of a sample: fewer make a sum that one cell can turn (judgement; muscat's default is 10)


@dataclass(frozen=True)
class Pseudobulk:
    """Summed counts, samples x genes, and the cells of samples left out for too few of them."""

    counts: pd.DataFrame
    left_out: Mapping[str, int]


def pseudobulk(cells: AnnData, members: NDArray[np.bool_], *, fewest: int = FEWEST_CELLS) -> Pseudobulk:
    """Return the counts of a subset's cells added up by sample.

    The patient's visit is the unit: cells of one sample are not independent of each other (Squair et al.
    2021, Nat Commun 12:5692).

    Parameters
    ----------
    cells
        Under the storage contract.
    members
        Which cells are in the subset.
    fewest
        Samples with fewer cells are left out, and named.

    Raises
    ------
    InputError
        The cells come without raw counts.
    """
    matrix = counts_of(cells)
    if matrix is None:
        hint = "put raw counts into layers['counts']"
        raise InputError(Problem("", "pseudobulk", "sums need raw counts, and the file holds none", hint))
    sums, left_out = {}, {}
    samples = sample_ids_of(cells)
    for sample in dict.fromkeys(samples):
        own = np.flatnonzero(members & (samples == sample))
        if len(own) < fewest:
            left_out[str(sample)] = len(own)
            continue
        sums[str(sample)] = np.asarray(matrix[own].sum(axis=0)).ravel()
    counts = pd.DataFrame.from_dict(sums, orient="index", columns=list(cells.var_names)).round().astype(np.int64)
    return Pseudobulk(counts, left_out)


def response_by_sample(
    cells: AnnData, members: NDArray[np.bool_], signature: str, *, fewest: int = FEWEST_CELLS
) -> pd.DataFrame:
    """Return the mean response score of a subset's cells in every sample.

    The score is on the scale of these cells of the whole cohort (see `scores.response_score`), so that
    samples compare. A sample with too few cells has no value and the flag ``too_few_cells``; without half of
    the signature's genes none has one, and the flag is ``missing_genes``.

    Parameters
    ----------
    cells, members, fewest
        See `pseudobulk`.
    signature
        A response signature of the vocabulary.

    Returns
    -------
    DataFrame
        sample_id, value (standard deviations of a gene), n_cells, flag.
    """
    own = np.flatnonzero(members)
    score = response_score(cells[own], signature) if has_genes(cells) and len(own) else np.full(len(own), np.nan)
    lost = bool(np.isnan(score).all())
    every = sample_ids_of(cells)
    samples = every[own]
    rows = []
    for sample in dict.fromkeys(every):
        inside = score[samples == sample]
        flag = Flag.MISSING_GENES if lost else Flag.TOO_FEW_CELLS if len(inside) < fewest else None
        value = None if flag else float(inside.mean())
        rows.append({"sample_id": str(sample), "value": value, "n_cells": len(inside), "flag": flag})
    return pd.DataFrame(rows)
