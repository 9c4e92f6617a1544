"""Shares of one parent sum to 100: when a large one moves, all others seem to move the other way."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.comparison import scales
from immunolab.comparison.cohort_tests import CohortShift
from immunolab.comparison.diagnostics import Finding
from immunolab.comparison.estimate import ALPHA
from immunolab.comparison.multiplicity import benjamini_hochberg
from immunolab.comparison.paired import paired_t
from immunolab.comparison.pairing import Paired
from immunolab.schema.flags import Code

Array = NDArray[np.float64]
_Shifts = Mapping[int, CohortShift]  # of one cohort, by the endpoint's number

_LARGE_SHARE = 20.0  # percent of the parent: a subset this large pushes its siblings by a fifth when it doubles
_LARGE_CHANGE = float(np.log(2.0))  # log odds or log: a doubling or halving
_LEAST_SIBLINGS = 3  # endpoints of a parent: the median of two is moved by either
_LEAST_PAIRS = 3  # as in `cohort_tests`


def composition_findings(paired: Paired, shifts: _Shifts, cohort: str) -> dict[int, tuple[Finding, ...]]:
    """Return W_COMPOSITION and W_ABSOLUTE_FLAT of a cohort's endpoints where they apply.

    Parameters
    ----------
    paired
        Both sides of every patient.
    shifts
        The cohort's shifts by the endpoint's number.
    cohort
        Its name, for the findings.
    """
    parents, populations = _first(paired, "parent"), _first(paired, "population")
    return {
        e: (*_movers(paired, shifts, cohort, e, parents), *_flat(paired, shifts, cohort, e, populations))
        for e in shifts
    }


def _first(paired: Paired, column: str) -> list[str]:
    first = paired.rows.drop_duplicates("endpoint").set_index("endpoint")[column]
    return [str(first[name]) for name in paired.endpoints]


def _is_share(paired: Paired, e: int) -> bool:
    return paired.units[e] in ("%", "percent")


def _movers(paired: Paired, shifts: _Shifts, cohort: str, e: int, parents: list[str]) -> list[Finding]:
    if not parents[e] or not _is_share(paired, e):
        return []
    moved = []
    for k, shift in shifts.items():
        if k == e or parents[k] != parents[e] or not _is_share(paired, k):
            continue
        share = float(np.median(paired.value[k, shift.complete].max(axis=1))) if shift.complete.any() else 0.0
        change = shift.main.estimate
        if paired.scales[k] in scales.MULTIPLICATIVE and share > _LARGE_SHARE and abs(change) > _LARGE_CHANGE:
            ratio = f"{scales.RATIO_WORDS[paired.scales[k]]} {np.exp(change):.2g}"
            moved.append(f"{paired.endpoints[k]} ({share:.0f} % of {parents[e]}, {ratio})")
    if not moved:
        return []
    text = f"a large share of {parents[e]} changed: {', '.join(moved)}; see the log-ratio table and absolute counts"
    return [Finding(Code.W_COMPOSITION, cohort, paired.endpoints[e], text)]


def _flat(paired: Paired, shifts: _Shifts, cohort: str, e: int, populations: list[str]) -> list[Finding]:
    main = shifts[e].main
    if not _is_share(paired, e) or not populations[e] or not main.p_value < ALPHA:
        return []
    for k, other in shifts.items():
        absolute = populations[k] == populations[e] and "/ul" in paired.units[k].lower()
        if not absolute or not np.isfinite(other.main.ci_low):
            continue
        up = main.estimate > 0
        if (up and other.main.ci_low <= 0) or (not up and other.main.ci_high >= 0):
            share = "rises" if up else "falls"
            text = f"the share {share}; the interval of the absolute count ({paired.endpoints[k]}) includes no change"
            return [Finding(Code.W_ABSOLUTE_FLAT, cohort, paired.endpoints[e], text)]
    return []


def log_ratio_shifts(paired: Paired) -> pd.DataFrame:
    """Return the shifts of shares of one parent against their median sibling: free of the parent's own change.

    Each patient's log shares are centred on the median shift of all endpoints of the parent, so a subset
    that merely gave way to a growing one stays at zero: a log-ratio in the sense of Aitchison 1982 (J R Stat
    Soc B 44:139), with the median for the mean. Needs three endpoints of a parent.

    Parameters
    ----------
    paired
        Both sides of every patient.

    Returns
    -------
    DataFrame
        Rows of `schema.comparison.LOG_RATIOS`.
    """
    parents = np.array(_first(paired, "parent"), dtype=object)
    shares = np.array([_is_share(paired, e) for e in range(len(paired.endpoints))], dtype=bool)
    frames = []
    for cohort in dict.fromkeys(paired.cohorts):
        members = paired.cohorts == cohort
        for parent in dict.fromkeys(parents[shares & (parents != "")]):
            siblings = np.flatnonzero(shares & (parents == parent))
            if siblings.size >= _LEAST_SIBLINGS:
                frames.append(_centred(paired, siblings, members, str(cohort), str(parent)))
    frames = [frame for frame in frames if len(frame)]
    columns = ["cohort", "parent", "endpoint", "n_pairs", "estimate", "ci_low", "ci_high", "p_value", "q_value"]
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


def _centred(
    paired: Paired, siblings: NDArray[np.int64], members: NDArray[np.bool_], cohort: str, parent: str
) -> pd.DataFrame:
    shift = np.array([_log_shift(paired, int(e))[members] for e in siblings])
    shift = shift[:, np.isfinite(shift).any(axis=0)]
    centred = shift - np.nanmedian(shift, axis=0) if shift.size else shift
    rows: list[dict[str, object]] = []
    for e, values in zip(siblings, centred, strict=True):
        d = values[np.isfinite(values)]
        if d.size >= _LEAST_PAIRS:
            t = paired_t(d)
            limits = {"estimate": t.estimate, "ci_low": t.ci_low, "ci_high": t.ci_high, "p_value": t.p_value}
            rows.append({"cohort": cohort, "parent": parent, "endpoint": paired.endpoints[e], "n_pairs": t.n} | limits)
    frame = pd.DataFrame(rows)
    return frame.assign(q_value=benjamini_hochberg(frame["p_value"])) if rows else frame


def _log_shift(paired: Paired, e: int) -> Array:
    if paired.counted[e]:
        level = scales.from_counts(paired.events[e], paired.parents[e], "log")
    else:
        level = scales.from_values(paired.value[e], "log")
        level = np.where(np.isfinite(level), level, np.nan)
    return np.asarray(level[:, 1] - level[:, 0])
