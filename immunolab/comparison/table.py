"""The verb of the room: endpoint rows and a plan in, pairs and shifts out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.comparison import scales
from immunolab.comparison.arms import compare_arms
from immunolab.comparison.cohort import CohortShift, cohort_shift
from immunolab.comparison.composition import log_ratio_shifts, with_composition
from immunolab.comparison.families import (
    LEAST_MODERATED,
    benjamini_hochberg,
    fixed_sequence,
    holm,
    max_t,
    moderated_t,
)
from immunolab.comparison.guards import Finding
from immunolab.comparison.paired import Estimate
from immunolab.comparison.pairing import Paired, pair
from immunolab.comparison.patients import Change, reliable_change, replicate_noise
from immunolab.comparison.plan import ROLES, Noise, Plan
from immunolab.tables import PAIRS, SHIFTS

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """What `compare_endpoints` found.

    Attributes
    ----------
    pairs : `tables.PAIRS`; further columns p_value, q_value, df (of the verdict), n_events_before,
        n_events_after, level_before, level_after (on shift_scale).
    shifts : `tables.SHIFTS`; further columns df, n_patients, n_unpaired, n_before, n_after,
        median_before_all, median_after_all (over every patient with the visit), hl_estimate, hl_ci_low,
        hl_ci_high, n_zero_shifts, median_events, unadjusted_estimate, unadjusted_p_value (before batch and
        covariates), plain_p_value (before moderation).
    visits : cohort, endpoint, visit, unit, n_patients, median, q1, q3 of every visit in the table.
    noise : endpoint, scale, s_w, df, source: the assay noise verdicts rest on.
    log_ratios : shares of one parent against their median sibling, see `composition.log_ratio_shifts`.
    arms : with exactly two cohorts, the tests between them, see `arms.compare_arms`; else empty.
    warnings : every weakness, with its particulars.
    """

    pairs: pd.DataFrame
    shifts: pd.DataFrame
    visits: pd.DataFrame
    noise: pd.DataFrame
    log_ratios: pd.DataFrame
    arms: pd.DataFrame
    warnings: tuple[Finding, ...]


def compare_endpoints(
    endpoints: pd.DataFrame, plan: Plan, *, replicates: pd.DataFrame | None = None, where: str = "endpoints"
) -> Comparison:
    """Compare two visits (or phases) of every endpoint, per patient and per cohort.

    Parameters
    ----------
    endpoints : rows of `tables.ENDPOINTS`; gate_low and gate_high (95 % limits of value from the gate's
        own uncertainty), batch and covariate columns are used when they are there. Percentages with
        n_events and n_parent are analysed as counts; a row of unit "ratio" with both holds the numerator's
        and the denominator's events of one tube.
    plan : what is compared and how.
    replicates : rows of the same kind where patient_id names a material measured again on another day;
        the source of assay noise when the plan declares none.
    where : name of the table in messages.

    Raises
    ------
    InputError
        Rows that cannot be compared, all at once.
    ComparisonError
        A visit that is not there.
    """
    paired = pair(endpoints, plan, where)
    noises = [_noise(paired, e, plan, replicates) for e in range(len(paired.endpoints))]
    cohorts = list(dict.fromkeys(paired.cohorts))
    changes = [_changes(paired, e, noises[e], cohorts) for e in range(len(paired.endpoints))]
    cells = with_composition(paired, _cells(paired, plan, cohorts))
    frames = [_shift_rows(paired, {k: v for k, v in cells.items() if k[0] == c}, plan) for c in cohorts]
    findings = paired.findings + tuple(f for cell in cells.values() for f in cell.findings)
    pairs = _pair_rows(paired, changes)
    return Comparison(
        pairs=pairs,
        shifts=_stack(frames),
        visits=_visit_rows(paired.rows),
        noise=_noise_rows(paired, noises),
        log_ratios=log_ratio_shifts(paired),
        arms=compare_arms(pairs, plan.reference),
        warnings=findings,
    )


def _cells(paired: Paired, plan: Plan, cohorts: Sequence[str]) -> dict[tuple[str, int], CohortShift]:
    cells: dict[tuple[str, int], CohortShift] = {}
    for cohort in cohorts:
        members = paired.cohorts == cohort
        present = np.flatnonzero(paired.n_visits[:, members].sum(axis=(1, 2)) > 0)
        of_cohort = {int(e): cohort_shift(paired, int(e), members, plan, cohort) for e in present}
        cells |= {(cohort, e): cell for e, cell in _moderate(paired, of_cohort, plan, cohort).items()}
    return cells


def _moderate(paired: Paired, cells: dict[int, CohortShift], plan: Plan, cohort: str) -> dict[int, CohortShift]:
    """Let the counted endpoints of a large exploratory family borrow variance from each other."""
    family = [
        e
        for e, cell in cells.items()
        if plan.test == "auto"
        and plan.role(paired.endpoints[e]) == "exploratory"
        and paired.counted[e]
        and paired.scales[e] == "logit"
        and np.isfinite(cell.main.p_value)
        and cell.unadjusted is None
    ]
    if len(family) < LEAST_MODERATED:
        return cells
    members = paired.cohorts == cohort
    fit = moderated_t(paired.shift[family][:, members].T, paired.variance[family][:, members].T)
    result = dict(cells)
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


def _noise(paired: Paired, e: int, plan: Plan, replicates: pd.DataFrame | None) -> Noise | None:
    endpoint = paired.endpoints[e]
    declared = plan.noise if isinstance(plan.noise, Noise) or plan.noise is None else plan.noise.get(endpoint)
    if declared is not None:
        return declared
    if replicates is not None:
        rows = replicates[(replicates["endpoint"] == endpoint).to_numpy()]
        if len(rows):
            return _noise_of(rows, paired, e, "replicates")
    rows = paired.rows
    baseline = (rows["endpoint"] == endpoint) & ((rows["phase"] == "baseline") | (rows["side"] == 0))
    return _noise_of(rows[baseline], paired, e, "repeat baselines")


def _noise_of(rows: pd.DataFrame, paired: Paired, e: int, source: str) -> Noise | None:
    scale, ratio = paired.scales[e], bool(paired.ratio[e])
    if paired.counted[e]:
        counts = rows["n_events"].to_numpy(dtype=float, na_value=np.nan)
        parents = rows["n_parent"].to_numpy(dtype=float, na_value=np.nan)
        level = scales.from_counts(counts, parents, scale, ratio=ratio)
        counting = scales.single_variance(counts, parents, scale, ratio=ratio)
        return replicate_noise(level, rows["patient_id"], counting, source)
    level, _ = scales.from_values(rows["value"].to_numpy(dtype=float, na_value=np.nan), scale)
    return replicate_noise(level, rows["patient_id"], None, source)


def _changes(paired: Paired, e: int, noise: Noise | None, cohorts: Sequence[str]) -> dict[str, Change]:
    changes = {}
    for cohort in cohorts:
        of = paired.cohorts == cohort
        changes[cohort] = reliable_change(
            paired.shift[e, of], paired.variance[e, of], paired.gate_variance[e, of], paired.n_visits[e, of], noise
        )
    return changes


def _pair_rows(paired: Paired, changes: Sequence[dict[str, Change]]) -> pd.DataFrame:
    frames = []
    for e, endpoint in enumerate(paired.endpoints):
        for cohort, change in changes[e].items():
            of = np.flatnonzero(paired.cohorts == cohort)
            there = paired.n_visits[e, of].sum(axis=1) > 0
            of = of[there]
            shift, scale = paired.shift[e, of], paired.scales[e]
            visits = paired.visits[e, of]
            absent = paired.n_visits[e, of] == 0
            lacking = np.where(absent[:, 0], visits[:, 0], visits[:, 1])
            reason = np.where(absent.any(axis=1), [f"no value at {visit}" for visit in lacking], change.reason[there])
            frames.append(
                pd.DataFrame(
                    {
                        "patient_id": np.array(paired.patients, dtype=object)[of],
                        "cohort": cohort or None,
                        "endpoint": endpoint,
                        "unit": paired.units[e],
                        "visit_before": visits[:, 0],
                        "visit_after": visits[:, 1],
                        "before": paired.value[e, of, 0],
                        "after": paired.value[e, of, 1],
                        "shift": shift,
                        "shift_scale": scale,
                        "fold": np.exp(shift) if scale in scales.MULTIPLICATIVE else np.nan,
                        "ci_low": change.ci_low[there],
                        "ci_high": change.ci_high[there],
                        "verdict": change.verdict[there],
                        "reason": reason,
                        "p_value": change.p_value[there],
                        "q_value": change.q_value[there],
                        "df": change.df[there],
                        "n_events_before": paired.events[e, of, 0],
                        "n_events_after": paired.events[e, of, 1],
                        "level_before": paired.level[e, of, 0],
                        "level_after": paired.level[e, of, 1],
                    }
                )
            )
    frames = [frame for frame in frames if len(frame)]
    return PAIRS.check(pd.concat(frames, ignore_index=True)) if frames else PAIRS.empty()


def _shift_rows(paired: Paired, cells: dict[tuple[str, int], CohortShift], plan: Plan) -> pd.DataFrame:
    rows = [_shift_row(paired, e, cohort, cell, plan) for (cohort, e), cell in cells.items()]
    if not rows:
        return SHIFTS.empty()
    frame = pd.DataFrame(rows)
    return SHIFTS.check(_adjust(frame, paired, plan))


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


def _adjust(frame: pd.DataFrame, paired: Paired, plan: Plan) -> pd.DataFrame:
    """Add q_value and adjustment, family by family, to the shifts of one cohort."""
    frame = frame.assign(q_value=np.nan, adjustment="")
    if plan.adjust != "auto":
        if plan.adjust == "none":
            return frame.assign(adjustment="none")
        p = frame["p_value"].to_numpy(dtype=float)
        q, word = (holm(p), "Holm") if plan.adjust == "holm" else (benjamini_hochberg(p), "Benjamini-Hochberg")
        return frame.assign(q_value=q, adjustment=f"{word} over {int(np.isfinite(p).sum())} endpoints")
    for role in ROLES:
        rows = (frame["role"] == role).to_numpy()
        if rows.any():
            q, text = _family(frame.loc[rows], role, paired, plan)
            frame.loc[rows, "q_value"] = q
            frame.loc[rows, "adjustment"] = text
    return frame


def _family(frame: pd.DataFrame, role: str, paired: Paired, plan: Plan) -> tuple[Array, str]:
    p = frame["p_value"].to_numpy(dtype=float)
    n = int(np.isfinite(p).sum())
    if role == "primary":
        return (p, "none (one primary)") if p.size == 1 else (holm(p), f"Holm over {n} primary endpoints")
    if role == "secondary" and plan.secondary == "fixed_sequence":
        order = np.argsort([list(plan.roles).index(name) for name in frame["endpoint"]])
        q = np.full(p.size, np.nan)
        q[order] = fixed_sequence(p[order])
        return q, f"fixed sequence of {p.size} secondary endpoints"
    if role == "secondary" and plan.secondary == "max_t" and n:
        return _max_t(frame, paired, plan), f"max-T sign flip, step-down, over {n} secondary endpoints"
    if role == "secondary":
        return holm(p), f"Holm over {n} secondary endpoints"
    return benjamini_hochberg(p), f"Benjamini-Hochberg over {n} exploratory endpoints"


def _max_t(frame: pd.DataFrame, paired: Paired, plan: Plan) -> Array:
    cohort = str(frame["cohort"].iloc[0] or "")
    of = [paired.endpoints.index(name) for name in frame["endpoint"]]
    shift = paired.shift[of][:, paired.cohorts == cohort].T
    tested = frame["p_value"].notna().to_numpy()
    shift = shift[:, tested]
    q = np.full(tested.size, np.nan)
    q[tested] = max_t(shift[np.isfinite(shift).any(axis=1)], seed=plan.seed).step_down
    return q


def _stack(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True) if filled else SHIFTS.empty()


def _visit_rows(rows: pd.DataFrame) -> pd.DataFrame:
    order = np.argsort(np.where(rows["side"] < 0, 2, rows["side"]), kind="stable")
    there = rows.iloc[order]
    there = there[np.isfinite(there["value"].to_numpy())].sort_values(["cohort", "endpoint"], kind="stable")
    groups = there.groupby(["cohort", "endpoint", "visit", "unit"], sort=False)["value"]
    table = groups.agg(n_patients="size", median="median").reset_index()
    table["q1"], table["q3"] = groups.quantile(0.25).to_numpy(), groups.quantile(0.75).to_numpy()
    return table


def _noise_rows(paired: Paired, noises: Sequence[Noise | None]) -> pd.DataFrame:
    rows = [
        {"endpoint": endpoint, "scale": scale, "s_w": noise.s_w, "df": noise.df, "source": noise.source}
        for endpoint, scale, noise in zip(paired.endpoints, paired.scales, noises, strict=True)
        if noise is not None
    ]
    return pd.DataFrame(rows, columns=["endpoint", "scale", "s_w", "df", "source"])


def with_arm_rows(comparison: Comparison, plan: Plan) -> pd.DataFrame:
    """Return the shifts followed by one row an endpoint for the difference between two arms.

    The row's cohort names the difference, its estimate is the analysis of covariance, its sensitivity p
    the exact Mann-Whitney of the shifts; adjustment runs over the differences alone.
    """
    arms = comparison.arms
    if arms.empty:
        return comparison.shifts
    of_endpoint = comparison.shifts.drop_duplicates("endpoint").set_index("endpoint")
    rows = []
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
    frame = pd.DataFrame(rows)
    p = frame["p_value"].to_numpy(dtype=float)
    q, word = (holm(p), "Holm") if plan.adjust == "holm" else (benjamini_hochberg(p), "Benjamini-Hochberg")
    if plan.adjust == "none":
        frame = frame.assign(q_value=np.nan, adjustment="none")
    else:
        frame = frame.assign(q_value=q, adjustment=f"{word} over {int(np.isfinite(p).sum())} differences between arms")
    return _stack([comparison.shifts, SHIFTS.check(frame)])
