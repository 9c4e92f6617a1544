"""Expression of a subset by patient and visit: summed counts, paired tests, response scores."""

from __future__ import annotations

import importlib.util
import warnings
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

_FEWEST_CELLS = 20  # of a sample: fewer make a sum that one cell can turn (judgement; muscat's default is 10)
_FEWEST_PAIRS = 3  # patients: with two there is no degree of freedom left to see that they differ
_FEWEST_COUNTS = 10  # of a gene over all samples, the usual filter before DESeq2


@dataclass(frozen=True)
class Pseudobulk:
    """Summed counts, samples x genes, and the cells of samples left out for too few of them."""

    counts: pd.DataFrame
    left_out: Mapping[str, int]


def pseudobulk(cells: AnnData, members: NDArray[np.bool_], *, fewest: int = _FEWEST_CELLS) -> Pseudobulk:
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


def paired_expression(bulk: Pseudobulk, visits: pd.DataFrame, before: str, after: str) -> tuple[pd.DataFrame, str]:
    """Return each gene's change within patients, and a reason when it cannot be tested.

    PyDESeq2 (Muzellec et al. 2023) with the design patient + visit: negative binomial Wald tests, dispersions
    shrunk towards the trend, Benjamini-Hochberg over genes.

    Parameters
    ----------
    bulk
        Summed counts.
    visits
        sample_id, patient_id, visit.
    before, after
        The two visits.

    Returns
    -------
    tuple of (DataFrame, str)
        gene, base_mean, log2_fold, log2_se, p_value, q_value, n_pairs; and "" or why there is no table.

    Raises
    ------
    InputError
        pydeseq2 is not installed.
    """
    chosen = visits[visits["visit"].isin((before, after)) & visits["sample_id"].isin(bulk.counts.index)]
    chosen = chosen.drop_duplicates(["patient_id", "visit"])
    complete = chosen.groupby("patient_id")["visit"].nunique()
    patients = complete.index[complete == 2]
    if len(patients) < _FEWEST_PAIRS:
        return pd.DataFrame(), f"{len(patients)} pairs with enough cells; {_FEWEST_PAIRS} are needed for a test"
    if importlib.util.find_spec("pydeseq2") is None:
        hint = "pip install 'immunolab[expression]'"
        raise InputError(Problem("", "expression", "paired expression needs pydeseq2, which is not installed", hint))
    chosen = chosen[chosen["patient_id"].isin(patients)].set_index("sample_id")
    counts = bulk.counts.loc[chosen.index]
    counts = counts.loc[:, counts.sum(axis=0) >= _FEWEST_COUNTS]
    design = pd.DataFrame(
        {
            "patient": [f"p{number}" for number in pd.factorize(chosen["patient_id"])[0]],
            "visit": np.where(chosen["visit"] == after, "after", "before"),
        },
        index=chosen.index,
    )
    found = _deseq(counts, design)
    found.insert(0, "gene", found.index)
    return found.assign(n_pairs=len(patients)).sort_values("p_value", kind="stable").reset_index(drop=True), ""


def _deseq(counts: pd.DataFrame, design: pd.DataFrame) -> pd.DataFrame:
    from pydeseq2.dds import DeseqDataSet
    from pydeseq2.default_inference import DefaultInference
    from pydeseq2.ds import DeseqStats

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inference = DefaultInference(n_cpus=1)
        data = DeseqDataSet(counts=counts, metadata=design, design="~patient + visit", inference=inference, quiet=True)
        data.deseq2()
        tested = DeseqStats(data, contrast=["visit", "after", "before"], inference=inference, quiet=True)
        tested.summary()
    names = {
        "baseMean": "base_mean",
        "log2FoldChange": "log2_fold",
        "lfcSE": "log2_se",
        "pvalue": "p_value",
        "padj": "q_value",
    }
    return tested.results_df.rename(columns=names)[list(names.values())]


def response_by_sample(
    cells: AnnData, members: NDArray[np.bool_], signature: str, *, fewest: int = _FEWEST_CELLS
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
