"""Composite scores: pure functions from components to a value or the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from immunolab.clinical.definitions import definitions
from immunolab.clinical.totals import Items, Score, not_evaluable

CORE_SET = ("PhGA", "PtGA", "MMT_8", "HAQ_DI", "muscle_enzyme", "extramuscular")
_HIGHER_BETTER = "MMT_8"


def _missing(**components: float | None) -> str:
    return ", ".join(name for name, value in components.items() if value is None)


def new_bilag(before: Items, after: Items) -> tuple[int | None, int | None]:
    """Return how many organ systems newly have BILAG A, and newly B (A is 4 ... E is 0).

    A new B is a B in a system that was C, D or E. None when a system is not graded at both visits.
    """
    systems = {*before, *after}
    if not systems or any(before.get(s) is None or after.get(s) is None for s in systems):
        return None, None
    pairs = [(before[s], after[s]) for s in systems]
    new_a = sum(b != 4 and a == 4 for b, a in pairs)
    return new_a, sum(b is not None and b < 3 and a == 3 for b, a in pairs)


def sri_4(
    sledai_before: float | None,
    sledai: float | None,
    new_a: float | None,
    new_b: float | None,
    pga_before: float | None,
    pga: float | None,
) -> Score:
    """Return 1 for a responder by the SLE responder index, else 0.

    SELENA-SLEDAI falls by 4 or more, and there is no new BILAG A and at most one new B, and the
    physician's global assessment (0 to 3) rises by less than 0.3. A component that is missing leaves
    the index open unless another component already fails.
    """
    rule = definitions().sri_4
    met = [
        None if sledai_before is None or sledai is None else sledai_before - sledai >= rule.sledai_fall,
        None if new_a is None else new_a <= rule.new_a,
        None if new_b is None else new_b <= rule.new_b,
        None if pga_before is None or pga is None else round(pga - pga_before, 9) < rule.pga_rise_below,
    ]
    if all(met):
        return Score(1.0)
    missing = _missing(
        SLEDAI_before=sledai_before, SLEDAI=sledai, new_BILAG_A=new_a, new_BILAG_B=new_b, PGA_before=pga_before, PGA=pga
    )
    if missing:
        return not_evaluable(f"missing: {missing}")
    return Score(0.0)


def sle_relapse(on_drug: Sequence[float | None], afterwards: Sequence[float | None]) -> Score:
    """Return 1 when low activity on the drug (SLEDAI below 4 at some visit) is followed by a rise, else 0.

    The rise is against the last visit on the drug. A patient who never was below 4 cannot relapse
    and is not evaluable.
    """
    seen = [value for value in on_drug if value is not None]
    later = [value for value in afterwards if value is not None]
    if not seen:
        return not_evaluable("no SLEDAI on the drug")
    if min(seen) >= definitions().sle_relapse.low_activity_below:
        return not_evaluable(f"SLEDAI never below 4 on the drug (lowest {min(seen):g})")
    if not later:
        return not_evaluable("no SLEDAI after the drug")
    return Score(float(max(later) > seen[-1]))


def improvement_percent(measure: str, before: float, after: float) -> float | None:
    """Return the improvement of a core-set measure in percent of its baseline; None for a baseline of 0."""
    if before == 0:
        return 0.0 if after == 0 else None
    better = after - before if measure == _HIGHER_BETTER else before - after
    return round(100 * better / before, 9)


def imacs_doi(before: Items, after: Items) -> Score:
    """Return 1 for improvement by the IMACS definition, else 0.

    At least 3 of 6 core-set measures improve by 20 % or more of their baseline, at most 2 worsen by
    25 % or more, and muscle strength is not among those. Measures that are missing, or whose
    baseline is 0, leave the call open only where they could change it.
    """
    rule = definitions().imacs_doi
    calls = {measure: doi_calls(measure, before.get(measure), after.get(measure)) for measure in CORE_SET}

    def met(improved: int, worsened: int, strength_worse: bool) -> bool:
        return improved >= rule.improved_at_least and worsened <= rule.worsened_at_most and not strength_worse

    surely = met(
        sum(c == {"improved"} for c in calls.values()),
        sum("worsened" in c for c in calls.values()),
        "worsened" in calls[_HIGHER_BETTER],
    )
    possibly = met(
        sum("improved" in c for c in calls.values()),
        sum(c == {"worsened"} for c in calls.values()),
        calls[_HIGHER_BETTER] == {"worsened"},
    )
    opened = [measure for measure, call in calls.items() if len(call) > 1]
    if surely == possibly:
        return Score(float(surely), flag="incomplete" if opened else "")
    zero = [m for m in opened if before.get(m) == 0 and after.get(m) is not None]
    parts = [f"missing: {', '.join(m for m in opened if m not in zero)}"] if len(zero) < len(opened) else []
    parts += [f"baseline 0 has no percent change: {', '.join(zero)}"] if zero else []
    return not_evaluable("; ".join(parts))


def doi_calls(measure: str, before: float | None, after: float | None) -> set[str]:
    """Return what the measure's call can be: improved, same, worsened; several where it is open."""
    rule = definitions().imacs_doi
    if before is None or after is None:
        return {"improved", "same", "worsened"}
    change = improvement_percent(measure, before, after)
    if change is None:
        return {"same", "improved"} if measure == _HIGHER_BETTER else {"same", "worsened"}
    if change >= rule.improved_percent:
        return {"improved"}
    return {"worsened"} if change <= -rule.worsened_percent else {"same"}


def total_improvement(before: Items, after: Items) -> Score:
    """Return the ACR/EULAR 2016 total improvement score, 0 to 100, of adult myositis.

    Each of six core-set measures earns points for its improvement in percent of the scale's range;
    worsening earns none. The muscle enzyme is in times its upper limit of normal.
    """
    points, missing = improvement_points(before, after)
    if missing:
        return not_evaluable(f"missing: {', '.join(missing)}")
    return Score(sum(points.values()))


def improvement_points(before: Items, after: Items) -> tuple[dict[str, float], list[str]]:
    """Return the points of each core-set measure, and the measures that are missing."""
    rule = definitions().total_improvement
    points: dict[str, float] = {}
    missing = []
    for measure in CORE_SET:
        first, last = before.get(measure), after.get(measure)
        if first is None or last is None:
            missing.append(measure)
            continue
        percent = scale_percent(measure, first, last)
        points[measure] = next(earned for upper, earned in rule.bins[measure] if percent <= upper)
    return points, missing


def scale_percent(measure: str, before: float, after: float) -> float:
    """Return the improvement of a core-set measure in percent of its scale's range."""
    better = after - before if measure == _HIGHER_BETTER else before - after
    return round(100 * better / definitions().total_improvement.scale_ranges[measure], 9)


def improvement_category(score: float) -> str:
    """Return none, minimal, moderate or major."""
    reached = [name for name, least in definitions().total_improvement.categories.items() if score >= least]
    return reached[-1] if reached else "none"


def pmr_as(
    crp_mg_per_l: float | None,
    pain: float | None,
    phga: float | None,
    morning_stiffness_min: float | None,
    elevation_of_upper_limbs: float | None,
) -> Score:
    """Return PMR-AS: CRP in mg/dL + pain VAS + physician VAS (0 to 10) + 0.1 x stiffness in minutes + EUL (0 to 3).

    CRP comes in mg/L, the unit it is kept in, and is divided by ten here.
    """
    missing = _missing(
        CRP=crp_mg_per_l, pain=pain, PhGA=phga, morning_stiffness=morning_stiffness_min, EUL=elevation_of_upper_limbs
    )
    parts = (crp_mg_per_l, pain, phga, morning_stiffness_min, elevation_of_upper_limbs)
    if missing:
        return not_evaluable(f"missing: {missing}")
    weighted = zip((0.1, 1, 1, 0.1, 1), parts, strict=True)
    return Score(round(sum(weight * part for weight, part in weighted if part is not None), 9))


def pmr_relapse(before: float | None, after: float | None) -> Score:
    """Return 1 when PMR-AS is 9.35 or more, or has risen by 6.6 or more since the visit before, else 0.

    A patient whose PMR-AS was not below 9.35 at the visit before has nothing to relapse from and is
    not evaluable.
    """
    rule = definitions().pmr_as
    missing = _missing(PMR_AS_before=before, PMR_AS=after)
    if before is None or after is None:
        return not_evaluable(f"missing: {missing}")
    if before >= rule.relapse_from:
        return not_evaluable(f"PMR_AS was {before:g} at the visit before, not below {rule.relapse_from:g}")
    return Score(float(after >= rule.relapse_from or round(after - before, 9) >= rule.relapse_rise))


def slopes_by_period(days: Sequence[float], values: Sequence[float], knot: float) -> tuple[float, float] | None:
    """Return the slopes before and after a knot, in points a month of 30.4375 days.

    A line broken at the knot is fitted by least squares; with three visits it runs through them. None
    when a period has no visit of its own or there are fewer than three values.
    """
    import numpy as np

    month = 30.4375
    t = (np.asarray(days, dtype=float) - knot) / month
    design = np.column_stack([np.ones_like(t), np.minimum(t, 0), np.maximum(t, 0)])
    if len(t) < 3 or np.linalg.matrix_rank(design) < 3:
        return None
    fitted = np.linalg.lstsq(design, np.asarray(values, dtype=float), rcond=None)[0]
    return round(float(fitted[1]), 12), round(float(fitted[2]), 12)


def core_set(
    values: Mapping[str, float], enzyme_upper_limit: float | None, enzyme_unit: str
) -> dict[str, float | None]:
    """Return the six measures with the muscle enzyme in times its upper limit (None where that is unknown)."""
    found: dict[str, float | None] = {measure: values.get(measure) for measure in CORE_SET}
    enzyme = found["muscle_enzyme"]
    if enzyme is not None and enzyme_unit != "xULN":
        found["muscle_enzyme"] = enzyme / enzyme_upper_limit if enzyme_upper_limit else None
    return found
