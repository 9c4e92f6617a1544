"""Which genes of a subset changed between two visits: summed counts and a sheet in, one row a gene out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.comparison.multiplicity import benjamini_hochberg
from immunolab.comparison.paired_design import paired_design
from immunolab.comparison.voom import fit_genes, tmm_factors
from immunolab.errors import InputError, Problem
from immunolab.schema.cells import EXPRESSION
from immunolab.schema.contrast import Contrast
from immunolab.schema.flags import Code, Flag

Array = NDArray[np.float64]

_LEAST_PAIRS = 3  # as in `cohort_tests`: with two there is no degree of freedom left to see that they differ
_LEAST_COUNTS, _LEAST_TOTAL = 10.0, 15.0  # of a gene in a library of median size, and over all (edgeR's filterByExpr)
_ALL_UP_TO, _SHARE_BEYOND = 10, 0.7  # pairs that must have the counts: all, beyond ten 70 % (edgeR's filterByExpr)
_REFUSED = (Code.E_BATCH_ALIASED, Code.E_BATCH_DF)
_METHOD = "moderated paired t of log-CPM (TMM, voom)"


@dataclass(frozen=True)
class _Pairs:
    """The samples of patients with enough cells at both visits: before, then after, in the order of the patients."""

    samples: tuple[str, ...]
    batches: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.samples) // 2


def expression_change(counts: pd.DataFrame, samples: pd.DataFrame, *, before: str, after: str) -> pd.DataFrame:
    """Compare every gene of a subset between two visits, within patients, cohort by cohort.

    Parameters
    ----------
    counts
        Genes x samples: summed raw counts of the subset's cells, the sample_id as name of the column. A sample with
        too few cells is left out of it, and with it the patient's pair.
    samples
        One row a sample: sample_id, patient_id, visit, and cohort and batch where there are.
    before, after
        Names of the visits.

    Returns
    -------
    DataFrame
        Rows of `schema.cells.EXPRESSION`; q is adjusted over the tested genes of a cohort (Benjamini-Hochberg). Genes
        with too few counts are described and not tested; a batch that coincides with the visit leaves all untested.

    Raises
    ------
    InputError
        Columns that are not there, or a patient's visit twice: all at once.

    Notes
    -----
    Counts per million of libraries scaled by TMM (Robinson and Oshlack 2010), log2, weighted by voom (Law et al. 2014);
    one linear model a gene with patient, batch and visit; variances shrunk over genes (Smyth 2004), as in limma.
    """
    samples = samples.assign(**{name: "" for name in ("cohort", "batch") if name not in samples})
    problems = list(_faults(samples, before, after))
    if problems:
        raise InputError(problems)
    frames = []
    for cohort in dict.fromkeys(samples["cohort"].fillna("")):
        own = samples[samples["cohort"].fillna("") == cohort]
        pairs = _pairs(own[own["sample_id"].isin(counts.columns)], before, after)
        if not len(pairs):
            continue
        found = _compared(counts[list(pairs.samples)], pairs)
        found.insert(0, "cohort", cohort or None)
        frames.append(found.assign(contrast=str(Contrast(before, after))))
    return EXPRESSION.check(pd.concat(frames, ignore_index=True)) if frames else EXPRESSION.empty()


def why_untested(table: pd.DataFrame) -> str:
    """Return why no gene of a table was tested, in words; "" where some was.

    Parameters
    ----------
    table
        Rows of `schema.cells.EXPRESSION` of one cohort.
    """
    if table.empty:
        return "no patient has enough cells at both visits"
    if table["p_value"].notna().any():
        return ""
    return str(table["method"].iloc[0]).removeprefix("not tested: ")


def _faults(samples: pd.DataFrame, before: str, after: str) -> Iterator[Problem]:
    missing = [name for name in ("sample_id", "patient_id", "visit") if name not in samples]
    yield from (Problem("samples", f"column {name}", "the column is missing") for name in missing)
    if missing:
        return
    if before == after:
        yield Problem("samples", "", f"before and after are both '{before}'", "name two visits")
    visits = list(dict.fromkeys(map(str, samples["visit"])))
    for word in dict.fromkeys((before, after)):
        if word not in visits:
            yield Problem("samples", "visit", f"no sample has visit '{word}'", f"visits: {', '.join(visits)}")
    used = samples[samples["visit"].isin([before, after])]
    for row in used[used.duplicated(["patient_id", "visit"])].itertuples():
        yield Problem("samples", "", f"{row.patient_id} has several samples of {row.visit}", "name one of them")


def _pairs(own: pd.DataFrame, before: str, after: str) -> _Pairs:
    batch = own.assign(batch=own["batch"].fillna("")).set_index(["patient_id", "visit"])[["sample_id", "batch"]]
    names = dict.fromkeys(own["patient_id"])
    patients = [p for p in names if (p, before) in batch.index and (p, after) in batch.index]
    order = [(p, visit) for visit in (before, after) for p in patients]
    chosen = [batch.loc[place] for place in order]
    return _Pairs(tuple(str(one["sample_id"]) for one in chosen), tuple(str(one["batch"]) for one in chosen))


def _compared(counts: pd.DataFrame, pairs: _Pairs) -> pd.DataFrame:
    y = counts.to_numpy(dtype=np.float64)
    some = y.any(axis=1)
    y, genes = y[some], counts.index.to_numpy()[some]
    table = _described(y, genes, len(pairs))
    if len(pairs) < _LEAST_PAIRS:
        why = f"not tested: {len(pairs)} pair(s) with enough cells, a test needs {_LEAST_PAIRS}"
        return table.assign(method=why, warnings=str(Code.E_N_MIN))
    design, notes = paired_design(pairs.batches)
    codes = ";".join(notes) or None
    refused = next((text for code, text in notes.items() if code in _REFUSED), "")
    if refused:
        return table.assign(method=f"not tested: {refused}, the change may be the batch's", warnings=codes)
    kept = _expressed(y)
    flags = [None if one else str(Flag.FEW_COUNTS) for one in kept]
    if kept.sum() < 2:
        return table.assign(method="not tested: too few counts of every gene", warnings=codes, flag=flags)
    batches = design.shape[1] - len(pairs) - 1
    adjusted = f", adjusted for {batches} batch difference(s)" if batches else ""
    table.loc[kept, _NUMBERS] = _tested(y[kept], design)
    method = np.where(kept, _METHOD + adjusted, "not tested: too few counts")
    table = table.assign(method=method, warnings=codes, flag=flags)
    return table.sort_values(["p_value", "gene"], kind="stable").reset_index(drop=True)


_NUMBERS = ["log2_fold", "log2_se", "p_value", "q_value", "ci_low", "ci_high", "t", "df"]


def _tested(y: Array, design: Array) -> Array:
    found = fit_genes(y, design)
    q = benjamini_hochberg(found.p_value)
    return np.column_stack([found.estimate, found.se, found.p_value, q, found.ci_low, found.ci_high, found.t, found.df])


def _described(y: Array, genes: NDArray[np.object_], n_pairs: int) -> pd.DataFrame:
    """Return what counts alone say of every gene; the plain mean change of log-CPM is no test."""
    library = y.sum(axis=0) * tmm_factors(y)
    n = y.shape[1] // 2
    log_cpm = np.log2((y + 0.5) / (library + 1.0) * 1e6)
    return pd.DataFrame(
        {
            "gene": genes,
            "base_mean": (y / library * library.mean()).mean(axis=1),
            "log2_fold": log_cpm[:, n:].mean(axis=1) - log_cpm[:, :n].mean(axis=1),
            **dict.fromkeys(_NUMBERS[1:], np.nan),
            "mean_log_cpm": log_cpm.mean(axis=1),
            "n_pairs": n_pairs,
            "flag": None,
        }
    )


def _expressed(y: Array) -> NDArray[np.bool_]:
    """Return which genes have counts to be tested by, whichever visit has them (edgeR's filterByExpr by visit)."""
    library, n = y.sum(axis=0), y.shape[1] / 2.0
    least = _LEAST_COUNTS / np.median(library) * 1e6
    needed = n if n <= _ALL_UP_TO else _ALL_UP_TO + (n - _ALL_UP_TO) * _SHARE_BEYOND
    enough = (y / library * 1e6 >= least).sum(axis=1) >= needed
    return np.asarray(enough & (y.sum(axis=1) >= _LEAST_TOTAL))
