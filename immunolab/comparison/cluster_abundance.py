"""Which clusters changed between two visits: sizes of clusters and a sheet in, one row a cluster out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.comparison.abundance import DifferentialAbundance, differential_abundance
from immunolab.comparison.multiplicity import benjamini_hochberg
from immunolab.comparison.paired_design import paired_design
from immunolab.errors import InputError, Problem, nearest
from immunolab.schema.cells import ABUNDANCE
from immunolab.schema.contrast import Contrast
from immunolab.schema.flags import Code

Array = NDArray[np.float64]

_OF_SIZES = ("sample_id", "cluster", "label", "n_events", "n_parent")
_OF_SAMPLES = ("sample_id", "patient_id", "visit")
_LEAST_PAIRS = 3  # as in `cohort_tests`
_LEAST_EVENTS = 3.0  # expected at the poorer visit of a pair, as in `few_events`
_LARGE_SHARE, _LARGE_CHANGE = 20.0, float(np.log(2.0))  # of a sibling that moves the others, as in `composition`
_METHOD = "negative binomial, quasi-likelihood F, paired by patient"


@dataclass(frozen=True)
class _Cohort:
    """The paired samples of a cohort: before, then after, in the order of its patients."""

    patients: tuple[str, ...]
    samples: tuple[str, ...]
    batches: tuple[str, ...]
    notes: Mapping[Code, str]


def cluster_abundance(sizes: pd.DataFrame, samples: pd.DataFrame, *, before: str, after: str) -> pd.DataFrame:
    """Compare the clusters of two visits, cohort by cohort.

    Parameters
    ----------
    sizes
        Rows of `schema.cells.SIZES`: events of each cluster in each sample.
    samples
        One row a sample: sample_id, patient_id, visit, and cohort and batch where there are.
    before, after
        Names of the visits.

    Returns
    -------
    DataFrame
        Rows of `schema.cells.ABUNDANCE`; q is adjusted over the clusters of a cohort (Benjamini-Hochberg).

    Raises
    ------
    InputError
        Columns, samples, visits, patients or pairs that are not there, a patient's visit twice: all at once.
    """
    if faults := list(_not_tables(sizes, samples)) or list(_lacking(sizes, samples)):
        raise InputError(faults)
    samples = samples.assign(**{name: "" for name in ("cohort", "batch") if name not in samples})
    samples = samples.assign(batch=samples["batch"].fillna(""))
    problems = list(_faults(sizes, samples, before, after))
    if problems:
        raise InputError(problems)
    events = sizes.pivot(index="cluster", columns="sample_id", values="n_events")
    parents = sizes.drop_duplicates("sample_id").set_index("sample_id")["n_parent"]
    labels = sizes.drop_duplicates("cluster").set_index("cluster")["label"].reindex(events.index)
    rows: list[dict[str, object]] = []
    for name in dict.fromkeys(samples["cohort"].fillna("")):
        own = samples[(samples["cohort"].fillna("") == name) & samples["visit"].isin([before, after])]
        cohort = _paired(own, parents, before, after)
        counts = events[list(cohort.samples)].to_numpy(dtype=float)
        of = parents[list(cohort.samples)].to_numpy(dtype=float)
        shared = {"cohort": name or None, "contrast": str(Contrast(before, after)), "n_pairs": len(cohort.patients)}
        found = _rows(counts, of, cohort)
        rows += [
            shared | {"cluster": int(cluster), "label": label} | row
            for cluster, label, row in zip(events.index, labels, found, strict=True)
        ]
    return ABUNDANCE.frame(rows)


def enough_events(
    counts: Array, parents: Array, side: NDArray[np.int64], patient: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return which clusters expect 3 events or more at the poorer visit of the median pair.

    Parameters
    ----------
    counts
        ``(K, S)`` events of the clusters.
    parents
        ``(S,)`` clustered events.
    side, patient
        ``(S,)`` 0 before and 1 after; number of the patient.
    """
    both = np.zeros((patient.max() + 1, 2))
    both[patient, side] = parents
    share = counts.sum(axis=1) / parents.sum()
    expected = np.median(both.min(axis=1)) * np.minimum(share, 1.0 - share)
    return np.asarray(expected >= _LEAST_EVENTS, dtype=np.bool_)


def _not_tables(sizes: object, samples: object) -> Iterator[Problem]:
    for name, given in (("sizes", sizes), ("samples", samples)):
        if not isinstance(given, pd.DataFrame):
            yield Problem(
                "",
                name,
                f"{type(given).__name__} is not a table",
                "give a DataFrame, as pandas reads it from sizes.csv",
            )


def _lacking(sizes: pd.DataFrame, samples: pd.DataFrame) -> Iterator[Problem]:
    for place, table, needed in (("sizes", sizes, _OF_SIZES), ("samples", samples, _OF_SAMPLES)):
        for name in needed:
            if name not in table:
                hint = f"the table has {', '.join(map(str, table.columns))}"
                yield Problem(place, f"column {name}", "the column is missing", hint)


def _faults(sizes: pd.DataFrame, samples: pd.DataFrame, before: str, after: str) -> Iterator[Problem]:
    known = set(samples["sample_id"])
    lost = [name for name in dict.fromkeys(sizes["sample_id"]) if name not in known]
    if lost:
        text = f"not in the sheet: {', '.join(lost)}"
        yield Problem(
            "samples", "", text, f"name them as the files are called, without suffix; {nearest(lost[0], known)}"
        )
    own = samples[samples["sample_id"].isin(sizes["sample_id"])]
    visits = list(dict.fromkeys(own["visit"]))
    if before == after:
        yield Problem("samples", "", f"before and after are both '{before}'", "name two visits")
    for word in dict.fromkeys((before, after)):
        if word not in visits:
            yield Problem("samples", "", f"no file has visit '{word}'", f"visits: {', '.join(visits)}")
    used = own[own["visit"].isin([before, after])]
    nameless = used.loc[used["patient_id"].fillna("") == "", "sample_id"]
    if len(nameless):
        text = f"no patient is named of {', '.join(map(str, nameless))}"
        yield Problem("samples", "column patient_id", text, "name the patient, or leave the files out")
        used = used[used["patient_id"].fillna("") != ""]
    twice = used[used.duplicated(["patient_id", "visit"])]
    for row in twice.itertuples():
        yield Problem("samples", "", f"{row.patient_id} has several files of {row.visit}", "cluster one of them")
    if set(visits) >= {before, after} and not (used.groupby("patient_id")["visit"].nunique() == 2).any():
        yield Problem("samples", "", f"no patient has both {before} and {after}", "the comparison is paired by patient")


def _paired(own: pd.DataFrame, parents: pd.Series, before: str, after: str) -> _Cohort:
    """Return the patients with both visits and clustered events at both."""
    own = own[own["sample_id"].isin(parents.index)]
    filled = own[own["sample_id"].map(parents) > 0]
    wide = filled.pivot(index="patient_id", columns="visit", values=["sample_id", "batch"])
    both = (
        wide["sample_id"].reindex(columns=[before, after]).notna().all(axis=1) if len(wide) else pd.Series(dtype=bool)
    )
    patients = tuple(p for p in dict.fromkeys(own["patient_id"]) if both.get(p, False))
    notes: dict[Code, str] = {}
    empty = len(own) - len(filled)
    if empty:
        notes[Code.W_PARENT0] = f"{empty} file(s) without a clustered event"
    if own["patient_id"].nunique() > len(patients):
        notes[Code.W_UNPAIRED] = f"{own['patient_id'].nunique() - len(patients)} patient(s) without one of the visits"
    order = [(p, visit) for visit in (before, after) for p in patients]
    return _Cohort(
        patients,
        tuple(str(wide.loc[p, ("sample_id", visit)]) for p, visit in order),
        tuple(str(wide.loc[p, ("batch", visit)] or "") for p, visit in order),
        notes,
    )


def _rows(counts: Array, parents: Array, cohort: _Cohort) -> list[dict[str, object]]:
    """Return the columns of each cluster that follow from its counts."""
    n = len(cohort.patients)
    percent = 100.0 * counts / parents
    described = [
        {
            "median_before": _median(own[:n]),
            "median_after": _median(own[n:]),
            "n_events": int(events.sum()),
        }
        for own, events in zip(percent, counts, strict=True)
    ]
    if n < _LEAST_PAIRS:
        why = f"not tested: {n} pair(s), a test needs {_LEAST_PAIRS}"
        return [row | _untested(why, (*cohort.notes, Code.E_N_MIN)) for row in described]
    design, notes = paired_design(cohort.batches)
    kept = enough_events(counts, parents, np.repeat([0, 1], n), np.tile(np.arange(n), 2))
    codes = (*cohort.notes, *notes)
    found = differential_abundance(counts[kept], parents, design) if kept.any() else None
    q = np.full(len(counts), np.nan)
    if found is not None:
        q[kept] = benjamini_hochberg(found.p_value)
    place, rows = np.cumsum(kept) - 1, []
    for k, row in enumerate(described):
        if not kept[k] or found is None:
            none = not counts[k].sum()
            why = "not estimable: no event" if none else "not tested: below 3 expected events at the poorer visit"
            code = Code.W_ALL_ZERO if none else Code.E_FEW_EVENTS
            rows.append(row | _untested(why, (*codes, code)))
            continue
        rows.append(row | _tested(found, int(place[k]), float(q[k]), design.shape[1] - n - 1, codes))
    return _with_composition(rows)


def _untested(why: str, codes: tuple[Code, ...]) -> dict[str, object]:
    return {"method": why, "warnings": ";".join(codes) or None}


def _tested(found: DifferentialAbundance, k: int, q: float, batches: int, codes: tuple[Code, ...]) -> dict[str, object]:
    adjusted = f", adjusted for {batches} batch difference(s)" if batches else ""
    return {
        "estimate": found.estimate[k],
        "fold": float(np.exp(found.estimate[k])),
        "ci_low": found.ci_low[k],
        "ci_high": found.ci_high[k],
        "p_value": found.p_value[k],
        "q_value": q,
        "df": found.df[k],
        "dispersion": found.dispersion,
        "quasi_dispersion": found.posterior[k],
        "method": _METHOD + adjusted,
        "warnings": ";".join(codes) or None,
    }


def _with_composition(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Return the rows with W_COMPOSITION where another cluster is large and doubled or halved."""
    movers = [
        k
        for k, row in enumerate(rows)
        if max(float(str(row["median_before"])), float(str(row["median_after"]))) > _LARGE_SHARE
        and abs(float(str(row.get("estimate", 0.0)))) > _LARGE_CHANGE
    ]
    return [
        row | {"warnings": ";".join(filter(None, [str(row["warnings"] or ""), str(Code.W_COMPOSITION)]))}
        if any(k != mover for mover in movers)
        else row
        for k, row in enumerate(rows)
    ]


def _median(values: Array) -> float:
    return float(np.median(values)) if values.size else float("nan")
