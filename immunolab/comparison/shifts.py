"""The shift table: a row a cohort and endpoint, multiplicity family by family, differences between arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.comparison import scales
from immunolab.comparison.cohort_tests import CohortShift, cohort_shift
from immunolab.comparison.composition import with_composition
from immunolab.comparison.diagnostics import Finding
from immunolab.comparison.multiplicity import (
    LEAST_MODERATED,
    adjusted_by_role,
    benjamini_hochberg,
    fixed_sequence,
    holm,
    max_t,
    moderated_t,
)
from immunolab.comparison.paired import Estimate
from immunolab.comparison.pairing import Paired
from immunolab.comparison.plan import ROLES, Adjust, Plan
from immunolab.schema.tables import SHIFTS

Array = NDArray[np.float64]


def shift_rows(paired: Paired, plan: Plan) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """Return rows of `tables.SHIFTS`, cohort by cohort, and every weakness found on the way."""
    rows: list[dict[str, object]] = []
    findings: list[Finding] = []
    for cohort in dict.fromkeys(paired.cohorts):
        cells, found = _cells(paired, plan, str(cohort))
        findings += [*found, *(finding for cell in cells.values() for finding in cell.findings)]
        of_cohort = [_shift_row(paired, e, str(cohort), cell, plan) for e, cell in cells.items()]
        rows += _adjusted_rows(of_cohort, paired, plan)
    return SHIFTS.frame(rows), tuple(findings)


def _cells(paired: Paired, plan: Plan, cohort: str) -> tuple[dict[int, CohortShift], list[Finding]]:
    members = paired.cohorts == cohort
    present = np.flatnonzero(paired.n_visits[:, members].sum(axis=(1, 2)) > 0)
    cells = {int(e): cohort_shift(paired, int(e), members, plan, cohort) for e in present}
    family = _family_to_moderate(paired, cells, plan)
    findings = []
    if len(family) >= LEAST_MODERATED:
        cells |= _moderated(paired, cells, family, members)
    elif len(family) > 1:
        text = f"{len(family)} counted exploratory endpoints: plain t, moderation needs {LEAST_MODERATED}"
        findings.append(Finding("W_K_SMALL", cohort, "", text))
    return with_composition(paired, cells, cohort), findings


def _family_to_moderate(paired: Paired, cells: Mapping[int, CohortShift], plan: Plan) -> list[int]:
    return [
        e
        for e, cell in cells.items()
        if plan.test == "auto"
        and plan.role(paired.endpoints[e]) == "exploratory"
        and paired.counted[e]
        and paired.scales[e] == "logit"
        and np.isfinite(cell.main.p_value)
        and cell.unadjusted is None
    ]


def _moderated(
    paired: Paired, cells: Mapping[int, CohortShift], family: Sequence[int], members: NDArray[np.bool_]
) -> dict[int, CohortShift]:
    """Let the counted endpoints of a large exploratory family borrow variance from each other."""
    fit = moderated_t(paired.shift[family][:, members].T, paired.variance[family][:, members].T)
    result = {}
    for k, e in enumerate(family):
        main = Estimate(
            estimate=float(fit.estimate[k]),
            ci_low=float(fit.ci_low[k]),
            ci_high=float(fit.ci_high[k]),
            p_value=float(fit.p_value[k]),
            df=float(fit.df[k]),
            method=f"count-aware moderated t over {len(family)} endpoints",
            n=cells[e].main.n,
        )
        result[e] = replace(cells[e], main=main, plain=cells[e].main)
    return result


def _shift_row(paired: Paired, e: int, cohort: str, cell: CohortShift, plan: Plan) -> dict[str, object]:
    members = paired.cohorts == cohort
    main, scale = cell.main, paired.scales[e]
    value, pairs = paired.value[e], cell.complete
    at = [paired.value[e, members & np.isfinite(paired.value[e, :, side]), side] for side in (0, 1)]
    unadjusted = cell.unadjusted
    added = paired.counted[e] and scale in scales.MULTIPLICATIVE and not main.method.startswith("binomial")
    note = " (+0.5)" if added else ""
    tested = np.isfinite(main.estimate) and not main.method.startswith("not ")
    return {
        "cohort": cohort or None,
        "endpoint": paired.endpoints[e],
        "role": plan.role(paired.endpoints[e]),
        "contrast": plan.contrast,
        "n_pairs": int(pairs.sum()),
        "median_before": _median(value[pairs, 0]),
        "median_after": _median(value[pairs, 1]),
        "estimate": main.estimate,
        "estimate_scale": scales.ESTIMATE_SCALE[scale],
        "fold": float(np.exp(main.estimate)) if scale in scales.MULTIPLICATIVE else np.nan,
        "ci_low": main.ci_low,
        "ci_high": main.ci_high,
        "method": f"{main.method}, {scale}{note}" if tested else main.method,
        "p_value": main.p_value,
        "sensitivity_p_value": cell.sensitivity.p_value,
        "warnings": ";".join(finding.code for finding in cell.findings) or None,
        "unit": paired.units[e],
        "df": main.df,
        "n_patients": int((members & (paired.n_visits[e].sum(axis=1) > 0)).sum()),
        "n_before": at[0].size,
        "n_after": at[1].size,
        "median_before_all": _median(at[0]),
        "median_after_all": _median(at[1]),
        "hl_estimate": cell.sensitivity.estimate,
        "hl_ci_low": cell.sensitivity.ci_low,
        "hl_ci_high": cell.sensitivity.ci_high,
        "n_zero_shifts": int(pairs.sum()) - cell.sensitivity.n if np.isfinite(cell.sensitivity.p_value) else 0,
        "median_events": _median(paired.events[e, pairs].sum(axis=1)),
        "plain_p_value": cell.plain.p_value if cell.plain else np.nan,
        "unadjusted_estimate": unadjusted.estimate if unadjusted else np.nan,
        "unadjusted_p_value": unadjusted.p_value if unadjusted else np.nan,
    }


def _median(values: Array) -> float:
    return float(np.median(values)) if values.size else float("nan")


def _adjusted_rows(rows: list[dict[str, object]], paired: Paired, plan: Plan) -> list[dict[str, object]]:
    """Return a cohort's rows with q_value and adjustment, family by family."""
    families: dict[str, list[dict[str, object]]] = {}
    for row in rows:
        families.setdefault(str(row["role"]) if plan.adjust == "auto" else "", []).append(row)
    for role in (*ROLES, ""):
        if role in families:
            q, text = _family(families[role], role, paired, plan)
            for row, value in zip(families[role], q, strict=True):
                row |= {"q_value": float(value), "adjustment": text}
    return rows


def _family(rows: Sequence[Mapping[str, object]], role: str, paired: Paired, plan: Plan) -> tuple[Array, str]:
    p = np.array([row["p_value"] for row in rows], dtype=float)
    names = [str(row["endpoint"]) for row in rows]
    n = int(np.isfinite(p).sum())
    if not role:
        return adjust_all(p, plan.adjust, "endpoints")
    if role == "secondary" and plan.secondary == "fixed_sequence":
        order = np.argsort([list(plan.roles).index(name) for name in names])
        q = np.full(p.size, np.nan)
        q[order] = fixed_sequence(p[order])
        return q, f"fixed sequence of {p.size} secondary endpoints"
    if role == "secondary" and plan.secondary == "max_t" and n:
        cohort = str(rows[0]["cohort"] or "")
        q = _max_t(names, np.isfinite(p), paired, paired.cohorts == cohort, plan.seed)
        return q, f"max-T sign flip, step-down, over {n} secondary endpoints"
    return adjusted_by_role(p, role)


def adjust_all(p: Array, adjust: Adjust, what: str) -> tuple[Array, str]:
    """Return q and the words for it when all p values are one family."""
    if adjust == "none":
        return np.full(p.size, np.nan), "none"
    q, word = (holm(p), "Holm") if adjust == "holm" else (benjamini_hochberg(p), "Benjamini-Hochberg")
    return q, f"{word} over {int(np.isfinite(p).sum())} {what}"


def _max_t(
    names: Sequence[str], tested: NDArray[np.bool_], paired: Paired, members: NDArray[np.bool_], seed: int
) -> Array:
    of = [paired.endpoints.index(name) for name in names]
    shift = paired.shift[of][:, members].T[:, tested]
    q = np.full(tested.size, np.nan)
    q[tested] = max_t(shift[np.isfinite(shift).any(axis=1)], seed=seed).step_down
    return q


def with_arm_rows(shifts: pd.DataFrame, arms: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Return the shifts followed by one row an endpoint for the difference between two arms.

    The row's cohort names the difference, its estimate is the analysis of covariance, its sensitivity p
    the exact Mann-Whitney of the shifts; adjustment runs over the differences alone.
    """
    if arms.empty:
        return shifts
    of_endpoint = shifts.drop_duplicates("endpoint").set_index("endpoint")
    rows: list[dict[str, object]] = []
    for endpoint, group in arms.groupby("endpoint", sort=False):
        first, last = group.iloc[0], group.iloc[-1]
        scale, shown = str(of_endpoint.at[endpoint, "estimate_scale"]), str(first["method"])
        rows.append(
            {
                "cohort": first["contrast"],
                "endpoint": endpoint,
                "role": plan.role(str(endpoint)),
                "contrast": f"{first['contrast']} of {plan.contrast}",
                "n_pairs": int(last["n"]),
                "estimate": first["estimate"],
                "estimate_scale": scale,
                "fold": np.exp(first["estimate"]) if scale in ("log_odds", "log") else np.nan,
                "ci_low": first["ci_low"],
                "ci_high": first["ci_high"],
                "method": f"{shown}, {scale}" if pd.notna(first["estimate"]) else shown,
                "p_value": first["p_value"],
                "sensitivity_p_value": last["p_value"],
                "warnings": first["codes"] or None,
                "df": first["df"],
                "unit": of_endpoint.at[endpoint, "unit"],
            }
        )
    q, text = adjust_all(np.array([row["p_value"] for row in rows]), plan.adjust, "differences between arms")
    for row, value in zip(rows, q, strict=True):
        row |= {"q_value": float(value), "adjustment": text}
    return SHIFTS.check(pd.concat([shifts, SHIFTS.frame(rows)], ignore_index=True))
