"""Whether a change between two visits can be separated from batch, operator, lot, site or cytometer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.schema.across_tubes import DESIGN, DESIGN_STATUS, FACTORS
from immunolab.study.sheet import Sample, Study

MOST_INFLATION = 5.0
"""Largest variance inflation of a change by a batch, as the usual rule for regressors (judgement)."""
_FEWEST_PAIRS = 3  # patients: fewer are described, not tested (as code E_N_MIN)
_BALANCED, _ESTIMABLE, _WEAK, _ALIASED, _UNKNOWN = DESIGN_STATUS


def visit_design(study: Study, cytometers: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Return rows of `DESIGN`: each contrast of the study by each factor that the sheet or the headers give.

    Parameters
    ----------
    study
        Its samples name batch, operator, lot and site; its endpoints the visits that are compared.
    cytometers
        Cytometer by sample_id, as the headers say.
    """
    samples = study.of_patients
    contrasts = dict.fromkeys(c for e in study.endpoints if (c := study.contrast_of(e)) and c[0] != c[1])
    rows: list[dict[str, object]] = []
    for factor in FACTORS:
        levels = {s.sample_id: _level(s, factor, cytometers or {}) for s in samples}
        if not any(levels.values()):
            continue
        for before, after in contrasts:
            found = [
                _row(cohort, before, after, factor, own, levels)
                for cohort, own in _cohorts(samples)
                if {before, after} <= {s.visit for s in own}
            ]
            rows += _with_arms([row for row in found if row["n_pairs"]], samples, levels)
    return DESIGN.frame(rows)


def design_sentences(design: pd.DataFrame) -> list[str]:
    """Return in words what of a design keeps a contrast from being separated, or rests on few patients.

    Parameters
    ----------
    design
        Rows of `DESIGN`.
    """
    shown = design[design["status"].isin((_WEAK, _ALIASED, _UNKNOWN))]
    words = {
        _WEAK: "nearly coincides with visit: a change adjusted for it has a wide interval",
        _ALIASED: "coincides with visit: the change may be that of the {factor}",
        _UNKNOWN: "is not given for every sample: a change cannot be adjusted for it",
    }
    return [
        f"{f'{row.cohort}: ' if row.cohort and pd.notna(row.cohort) else ''}{row.before} to {row.after}: {row.factor} "
        f"{words[str(row.status)].format(factor=row.factor)}; {row.remaining}"
        for row in shown.itertuples()
    ]


def _level(sample: Sample, factor: str, cytometers: Mapping[str, str]) -> str:
    return cytometers.get(sample.sample_id, "") if factor == "cytometer" else str(getattr(sample, factor))


def _cohorts(samples: Sequence[Sample]) -> Iterator[tuple[str, list[Sample]]]:
    for cohort in dict.fromkeys(s.cohort for s in samples):
        yield cohort, [s for s in samples if s.cohort == cohort]


def _row(
    cohort: str, before: str, after: str, factor: str, samples: Sequence[Sample], levels: Mapping[str, str]
) -> dict[str, object]:
    """Return one row: how a factor moves between two visits of a cohort's patients."""
    names = sorted({levels[s.sample_id] for s in samples} - {""})
    sides = {visit: _shares([s for s in samples if s.visit == visit], levels, names) for visit in (before, after)}
    pairs = [patient for patient in sides[before] if patient in sides[after]]
    row: dict[str, object] = {"cohort": cohort, "before": before, "after": after, "factor": factor}
    row |= {"n_pairs": len(pairs), "n_levels": len(names)}
    moved = np.array([sides[after][p] - sides[before][p] for p in pairs]).reshape(len(pairs), len(names))
    same = np.abs(moved).max(axis=1, initial=0.0) == 0  # False where a level is not given
    status, inflation = _status(moved)
    return row | {
        "n_same": int(same.sum()),
        "inflation": inflation,
        "status": status,
        "remaining": _remaining(status, len(pairs), int(same.sum()), factor),
    }


def _shares(samples: Sequence[Sample], levels: Mapping[str, str], names: Sequence[str]) -> dict[str, NDArray]:
    """Return, by patient, the share of his tubes in each level; NaN where one has none."""
    found: dict[str, list[NDArray[np.float64]]] = {}
    for sample in samples:
        level = levels[sample.sample_id]
        share = np.array([float(level == name) for name in names]) if level else np.full(len(names), np.nan)
        found.setdefault(sample.patient_id, []).append(share)
    return {patient: np.mean(shares, axis=0) for patient, shares in found.items()}


def _status(moved: NDArray[np.float64]) -> tuple[str, float | None]:
    if not np.isfinite(moved).all():
        return _UNKNOWN, None
    if not np.abs(moved).max(initial=0.0) > 0:
        return _BALANCED, 1.0
    inflation = shift_inflation(moved)
    if not np.isfinite(inflation):
        return _ALIASED, None
    return (_WEAK if inflation > MOST_INFLATION else _ESTIMABLE), inflation


def _remaining(status: str, n: int, same: int, factor: str) -> str:
    """Return in words which contrast remains."""
    if status == _BALANCED:
        return f"all {n} changes: each patient has one {factor} at both visits"
    if same >= _FEWEST_PAIRS:
        return f"the changes of {same} of {n} patients, who have one {factor} at both visits"
    few = f"{same} of {n} patients have one {factor} at both visits, too few for a test; " if same else ""
    if status == _ALIASED:
        return f"{few}differences between patients at one visit, within one {factor}"
    if status == _UNKNOWN:
        return f"{few}name the {factor} of every sample"
    return f"{few}the change adjusted for {factor}: its levels are crossed over the visits of different patients"


def _with_arms(
    rows: list[dict[str, object]], samples: Sequence[Sample], levels: Mapping[str, str]
) -> list[dict[str, object]]:
    """Add that cohorts whose factor moved from the same levels to the same can be compared in their change."""
    aliased = [row for row in rows if row["status"] == _ALIASED]
    visits = {(str(row["before"]), str(row["after"])) for row in aliased}
    moves = [
        tuple(frozenset(levels[s.sample_id] for s in samples if (s.cohort, s.visit) == (row["cohort"], visit))
              for visit in next(iter(visits)))
        for row in aliased
    ]  # fmt: skip
    if len(moves) < 2 or len(set(moves)) > 1:
        return rows
    others = f"; the difference in change between cohorts, whose {aliased[0]['factor']} moved alike"
    return [row | {"remaining": f"{row['remaining']}{others}"} if row in aliased else row for row in rows]


def shift_inflation(moved: NDArray[np.float64]) -> float:
    """Return the variance inflation of the mean shift from adjusting for ``moved``; inf when aliased.

    Parameters
    ----------
    moved
        ``(n, k)`` change of each batch's share, patient by patient.
    """
    ones = np.ones((moved.shape[0], 1))
    if np.linalg.matrix_rank(np.hstack([ones, moved])) <= np.linalg.matrix_rank(moved):
        return float("inf")
    fitted, *_ = np.linalg.lstsq(moved, ones, rcond=None)
    return float(moved.shape[0] / ((ones - moved @ fitted) ** 2).sum())
