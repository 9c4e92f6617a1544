"""The shift table: a row a cohort and endpoint, multiplicity family by family, differences between arms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from immunolab.comparison import scales
from immunolab.comparison.arms import GroupDifference
from immunolab.comparison.cohort_tests import CohortShift, cohort_shift
from immunolab.comparison.composition import composition_findings
from immunolab.comparison.diagnostics import Finding
from immunolab.comparison.estimate import ALPHA, Estimate
from immunolab.comparison.family_adjustment import adjusted_columns, equivalence_of
from immunolab.comparison.moderation import Spread, averaged_moderated_t
from immunolab.comparison.pairing import Paired
from immunolab.comparison.plan import Plan
from immunolab.schema.comparison import SHIFTS
from immunolab.schema.flags import Code

Array = NDArray[np.float64]
_Shifts = Mapping[int, CohortShift]  # of one cohort, by the endpoint's number

_LEAST_MODERATED = 10  # endpoints: a prior on the variance needs as many to be estimated (Smyth 2004)


def shift_rows(paired: Paired, plan: Plan) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """Return rows of `tables.SHIFTS`, cohort by cohort, and every weakness found on the way.

    Parameters
    ----------
    paired
        Both sides of every patient.
    plan
        What is compared and how.
    """
    rows: list[dict[str, object]] = []
    findings: list[Finding] = []
    for cohort in dict.fromkeys(paired.cohorts):
        shifts, found = _cohort_shifts(paired, plan, str(cohort))
        findings += [*found, *(finding for shift in shifts.values() for finding in shift.findings)]
        adjusted = adjusted_columns(shifts, paired, plan, paired.cohorts == cohort)
        rows += [_row(paired, e, str(cohort), shift, plan) | adjusted[e] for e, shift in shifts.items()]
    return SHIFTS.frame(rows), tuple(findings)


def _cohort_shifts(paired: Paired, plan: Plan, cohort: str) -> tuple[dict[int, CohortShift], list[Finding]]:
    members = paired.cohorts == cohort
    present = np.flatnonzero(paired.n_visits[:, members].sum(axis=(1, 2)) > 0)
    shifts = {int(e): cohort_shift(paired, int(e), members, plan, cohort) for e in present}
    family = _family_to_moderate(paired, shifts, plan)
    findings = []
    if len(family) >= _LEAST_MODERATED:
        shifts |= _moderated(paired, shifts, family, members)
    elif len(family) > 1:
        text = f"{len(family)} counted shares: plain t, moderation needs {_LEAST_MODERATED}"
        findings.append(Finding(Code.W_K_SMALL, cohort, "", text))
    composition = composition_findings(paired, shifts, cohort)
    found = {}
    for e, shift in shifts.items():
        more = *composition[e], *_moved_control(paired, e, shift, plan, cohort)
        found[e] = replace(shift, findings=(*shift.findings, *more))
    return found, findings


def _family_to_moderate(paired: Paired, shifts: _Shifts, plan: Plan) -> list[int]:
    """Return the shares whose shifts have a variance of their own: of any role, adjusted for batch or not."""
    return [
        e
        for e, shift in shifts.items()
        if plan.test == "auto"
        and plan.moderated
        and paired.counted[e]
        and paired.scales[e] == "logit"
        and np.isfinite(shift.main.p_value)
        and np.isfinite(shift.main.residual_variance)
    ]


def _moderated(
    paired: Paired, shifts: _Shifts, family: Sequence[int], members: NDArray[np.bool_]
) -> dict[int, CohortShift]:
    """Let the counted shares borrow variance from each other."""
    mains = [shifts[e].main for e in family]
    limits = np.array([(main.estimate, main.ci_low, main.ci_high, main.residual_variance, main.df) for main in mains])
    estimate, low, high, variance, df = limits.T
    se = (high - low) / 2.0 / stdtrit(df, 1.0 - ALPHA / 2.0)
    there = np.where(np.isfinite(paired.shift[family][:, members]), paired.variance[family][:, members], np.nan)
    fit = averaged_moderated_t(Spread(estimate, variance, df, se**2 / variance, np.nanmean(there, axis=1)))
    result = {}
    for k, e in enumerate(family):
        taken = mains[k].method.partition(" adjusted for ")[2]
        method = f"count-aware moderated t over {len(family)} endpoints"
        main = Estimate(
            estimate=float(fit.estimate[k]),
            ci_low=float(fit.ci_low[k]),
            ci_high=float(fit.ci_high[k]),
            p_value=float(fit.p_value[k]),
            df=float(fit.df[k]),
            method=f"{method}, adjusted for {taken}" if taken else method,
            n=mains[k].n,
        )
        result[e] = replace(shifts[e], main=main, plain=shifts[e].main)
    return result


def _moved_control(paired: Paired, e: int, shift: CohortShift, plan: Plan, cohort: str) -> Iterator[Finding]:
    """Yield W_CONTROL_MOVED of a negative control that changed and is not shown equivalent."""
    name = paired.endpoints[e]
    if name in plan.controls and shift.main.p_value < ALPHA:
        word = equivalence_of(paired, e, shift, plan).word
        if word != "equivalent":
            text = f"a negative control changed (p {shift.main.p_value:.2g}, {word.replace('_', ' ')})"
            yield Finding(Code.W_CONTROL_MOVED, cohort, name, text)


def _row(paired: Paired, e: int, cohort: str, shift: CohortShift, plan: Plan) -> dict[str, object]:
    """Return the SHIFTS row of endpoint number ``e`` in one cohort."""
    members = paired.cohorts == cohort
    main, scale, rank = shift.main, paired.scales[e], shift.sensitivity
    value, pairs = paired.value[e], shift.complete
    before, after = (value[members & np.isfinite(value[:, side]), side] for side in (0, 1))
    return {
        "cohort": cohort or None,
        "endpoint": paired.endpoints[e],
        "role": plan.role(paired.endpoints[e]),
        "contrast": str(plan.contrast),
        "n_pairs": int(pairs.sum()),
        "median_before": _median(value[pairs, 0]),
        "median_after": _median(value[pairs, 1]),
        "estimate": main.estimate,
        "estimate_scale": scales.ESTIMATE_SCALE[scale],
        "fold": _fold(main, scale),
        "ci_low": main.ci_low,
        "ci_high": main.ci_high,
        "method": _method_text(main, scale, counted=bool(paired.counted[e])),
        "p_value": main.p_value,
        "sensitivity_p_value": rank.p_value,
        "warnings": ";".join(dict.fromkeys([*_of_rows(paired, e), *(f.code for f in shift.findings)])) or None,
        "unit": paired.units[e],
        "df": main.df,
        "n_patients": int((members & (paired.n_visits[e].sum(axis=1) > 0)).sum()),
        "n_before": before.size,
        "n_after": after.size,
        "median_before_all": _median(before),
        "median_after_all": _median(after),
        "hl_estimate": rank.estimate,
        "hl_ci_low": rank.ci_low,
        "hl_ci_high": rank.ci_high,
        "n_zero_shifts": int(pairs.sum()) - rank.n if np.isfinite(rank.p_value) else 0,
        "median_events": _median(paired.events[e, pairs].sum(axis=1)),
        "fold_is": scales.RATIO_WORDS.get(scale),
        "ratio_of_medians": _ratio(_median(value[pairs, 0]), _median(value[pairs, 1])),
        "sensitivity_method": rank.text if np.isfinite(rank.p_value) else None,
        "plain_p_value": shift.plain.p_value if shift.plain else np.nan,
        "unadjusted_estimate": shift.unadjusted.estimate if shift.unadjusted else np.nan,
        "unadjusted_p_value": shift.unadjusted.p_value if shift.unadjusted else np.nan,
        **_of_pairs(shift.of_pairs),
    }


def _of_rows(paired: Paired, e: int) -> list[Code]:
    """Return the codes of an endpoint's rows: zeros moved, no unit, empty parents."""
    return [finding.code for finding in paired.findings if finding.endpoint == paired.endpoints[e]]


def _of_pairs(found: Estimate | None) -> dict[str, float]:
    """Return the columns of complete pairs, empty where the main result is theirs."""
    names = ("estimate", "ci_low", "ci_high", "p_value")
    return {f"pairs_{name}": getattr(found, name) if found else np.nan for name in names}


def _method_text(main: Estimate, scale: scales.Scale, *, counted: bool) -> str:
    """Return the column ``method``: the test, its scale, and whether half a count was added."""
    if not main.tested:
        return main.text
    added = counted and main.half_count and scale in scales.MULTIPLICATIVE
    return f"{main.text}, {scale}{' (+0.5)' if added else ''}"


def _fold(main: Estimate, scale: scales.Scale) -> float:
    return float(np.exp(main.estimate)) if scale in scales.MULTIPLICATIVE else np.nan


def _ratio(before: float, after: float) -> float:
    return after / before if before > 0 and after > 0 else float("nan")


def _median(values: Array) -> float:
    return float(np.median(values)) if values.size else float("nan")


def with_arm_rows(
    shifts: pd.DataFrame, differences: Iterable[GroupDifference], paired: Paired, plan: Plan
) -> pd.DataFrame:
    """Return the shifts followed by one row an endpoint and active arm for its difference from the control arm.

    The row's cohort names the difference (arm - control), its estimate is the main test's, its sensitivity p
    the exact Mann-Whitney of the shifts; adjustment runs over the differences alone.

    Parameters
    ----------
    shifts
        As `shift_rows` gives them.
    differences
        As `arm_families.adjusted_differences` gives them.
    paired, plan
        What the shifts come from.
    """
    found = list(differences)
    if not found:
        return shifts
    rows = [_arm_row(one, paired, plan) for one in found]
    return SHIFTS.check(pd.concat([shifts, SHIFTS.frame(rows)], ignore_index=True))


def _arm_row(difference: GroupDifference, paired: Paired, plan: Plan) -> dict[str, object]:
    main, e = difference.main, paired.endpoints.index(difference.endpoint)
    shown = scales.ESTIMATE_SCALE[paired.scales[e]]
    return {
        "cohort": difference.contrast,
        "endpoint": difference.endpoint,
        "role": plan.role(difference.endpoint),
        "contrast": f"{difference.contrast} of {plan.contrast}",
        "n_pairs": difference.n_arm + difference.n_control,
        "estimate": main.estimate,
        "estimate_scale": shown,
        "fold": _fold(main, paired.scales[e]),
        "ci_low": main.ci_low,
        "ci_high": main.ci_high,
        "method": f"{main.text}, {shown}" if main.tested else main.text,
        "p_value": main.p_value,
        "sensitivity_p_value": difference.sensitivity.p_value,
        "fold_is": scales.RATIO_WORDS.get(shown),
        "sensitivity_method": difference.sensitivity.text if np.isfinite(difference.sensitivity.p_value) else None,
        "warnings": ";".join(difference.codes) or None,
        "df": main.df,
        "unit": paired.units[e],
        "q_value": difference.q_value,
        "adjustment": difference.adjustment,
    }
