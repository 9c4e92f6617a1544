"""The verb of the room: endpoint rows and a plan in, pairs and shifts out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.comparison import scales
from immunolab.comparison.arm_families import adjusted_differences
from immunolab.comparison.arm_methods import with_fitting_methods
from immunolab.comparison.arms import (
    arms_of,
    check_reference,
    compare_arms,
    differences_table,
    findings_of,
)
from immunolab.comparison.change_calls import ChangeCalls, change_calls
from immunolab.comparison.composition import log_ratio_shifts
from immunolab.comparison.cycles import cycle_shifts
from immunolab.comparison.declared_families import with_declared_families
from immunolab.comparison.diagnostics import NEEDED, Finding, check_columns
from immunolab.comparison.estimand import pairs_with_intercurrent
from immunolab.comparison.missing_visits import tipping_point
from immunolab.comparison.multiplicity import adjusted_together
from immunolab.comparison.noise_sources import noise_parts, noise_rows
from immunolab.comparison.pairing import Paired, pair
from immunolab.comparison.plan import Plan
from immunolab.comparison.shifts import shift_rows, with_arm_rows
from immunolab.comparison.summary import comparison_html, comparison_text, first_warnings, one_line, short_lines
from immunolab.schema.comparison import ARMS, LOG_RATIOS, NOISE, PAIRS
from immunolab.schema.endpoints import VISITS
from immunolab.schema.stimulation import STIMULATION
from immunolab.study.visit_order import visits_in_order

_FURTHER = ("limit", "called_below", "called_above", "batch_effect", "pooled_shift", "pooled_low", "pooled_high")


@dataclass(frozen=True, repr=False)
class Comparison:
    """Two visits compared, per patient and per cohort; shows itself as a table in a notebook.

    Attributes
    ----------
    plan
        What was compared and how.
    pairs, shifts, visits, noise, log_ratios
        As `schema.comparison` and `schema.endpoints` declare them.
    arms
        Where a cohort is the control arm, the tests of the others against it (`schema.comparison.ARMS`); else empty.
    levels
        Every sample on its endpoint's scale: patient_id, cohort, endpoint, visit, study_day, cycle_state,
        cycle, level, scale.
    warnings
        Every weakness, with its particulars.
    stimulation
        Stimulated tubes against their controls (`schema.comparison.STIMULATION`); empty where none were compared.
    """

    plan: Plan
    pairs: pd.DataFrame
    shifts: pd.DataFrame
    visits: pd.DataFrame
    noise: pd.DataFrame
    log_ratios: pd.DataFrame
    arms: pd.DataFrame
    levels: pd.DataFrame = field(repr=False)
    warnings: tuple[Finding, ...]
    stimulation: pd.DataFrame = field(default_factory=STIMULATION.empty, repr=False)

    def __repr__(self) -> str:
        first = one_line(str(self.plan.contrast), self.pairs, self.shifts)
        return "\n".join([first, *short_lines(self.shifts), *first_warnings(self.warnings)])

    def _repr_html_(self) -> str:
        return comparison_html(one_line(str(self.plan.contrast), self.pairs, self.shifts), self.shifts, self.warnings)

    def summary(self) -> str:
        """Return shifts, visits, methods and every warning as lines of text."""
        return comparison_text(self.shifts, self.visits, self.warnings, self.stimulation)

    def tipping_point(self) -> pd.DataFrame:
        """Return how unlike the others the patients without both visits must be, see `missing_visits.tipping_point`."""
        return tipping_point(self.pairs, self.shifts)

    def cycles(self) -> pd.DataFrame:
        """Return the response to repeated on and off cycles, see `cycles.cycle_shifts`; empty without cycle states.

        Raises
        ------
        ComparisonError
            A sample with a cycle state has no study day.
        """
        return cycle_shifts(self.levels)


def compare_endpoints(
    endpoints: pd.DataFrame,
    plan: Plan,
    *,
    replicates: pd.DataFrame | None = None,
    where: str = "endpoints",
    arm_rows: bool = False,
) -> Comparison:
    """Compare two visits (or phases) of every endpoint, per patient and per cohort.

    Parameters
    ----------
    endpoints
        Rows of `tables.ENDPOINTS`, of which patient_id, visit, endpoint, value and unit are needed: cohort (one where
        it is absent), gate_low and gate_high (95 % limits of value from the gate's own
        uncertainty) with gate_scope (which tubes share the gates), batch and covariate columns are used when they
        are there. Percentages with n_events and n_parent are analysed as counts; a row of unit "ratio" with both holds
        the numerator's and the denominator's events of one tube.
    plan
        What is compared and how.
    replicates
        Rows of the same kind where patient_id names a material measured again on another day; the source of
        assay noise before what the plan declares.
    where
        Name of the table in messages.
    arm_rows
        Whether the shifts end with the differences between arms; a reference that is no arm is then an error.

    Returns
    -------
    Comparison
        Pairs, shifts, visits, noise and every weakness found.

    Raises
    ------
    InputError
        Rows that cannot be compared, all at once.
    ComparisonError
        A visit that is not there, or a reference that is no arm.
    """
    check_columns(endpoints, where, NEEDED)
    paired = pair(_with_cohort(endpoints), plan, where)
    noises = noise_parts(paired, plan, replicates)
    pairs = pairs_with_intercurrent(_pair_rows(paired, change_calls(paired, noises)), endpoints)
    shifts, findings = shift_rows(paired, plan)
    [shifts] = with_declared_families([shifts], [pairs], plan.families, seed=plan.seed)
    if arm_rows:
        check_reference(paired.cohorts, plan.reference)
    arms, said = arms_of(paired.cohorts, plan.reference, plan.arms)
    differences = with_fitting_methods(compare_arms(pairs, arms), paired, shifts, plan) if arms else []
    differences = adjusted_differences(differences, plan)
    return Comparison(
        plan=plan,
        pairs=pairs,
        shifts=with_arm_rows(shifts, differences, paired, plan) if arm_rows else shifts,
        visits=VISITS.described(_visit_rows(paired.rows)),
        noise=NOISE.described(noise_rows(paired, noises)),
        log_ratios=LOG_RATIOS.described(log_ratio_shifts(paired)),
        arms=ARMS.described(differences_table(differences)),
        levels=_levels(paired),
        warnings=paired.findings + findings + said + findings_of(differences),
    )


def _with_cohort(endpoints: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with a cohort each: without such a column all patients are of one."""
    return endpoints if "cohort" in endpoints else endpoints.assign(cohort="")


def adjusted_over_contrasts(comparisons: Sequence[Comparison], sets: Sequence[str]) -> list[pd.DataFrame]:
    """Return the shifts of several contrasts with q over all of them: families of roles, and declared ones.

    Parameters
    ----------
    comparisons
        One a contrast and set.
    sets
        For each, the set it belongs to; sets are adjusted apart, and declared families are of the set "".
    """
    tables = adjusted_together([one.shifts for one in comparisons], sets)
    own = [i for i, name in enumerate(sets) if not name]
    if own:
        plan = comparisons[own[0]].plan
        pairs = [comparisons[i].pairs for i in own]
        adjusted = with_declared_families([tables[i] for i in own], pairs, plan.families, seed=plan.seed)
        for i, table in zip(own, adjusted, strict=True):
            tables[i] = table
    return tables


def _pair_rows(paired: Paired, calls: ChangeCalls) -> pd.DataFrame:
    """Return PAIRS: a row for each endpoint (number e) and patient (p) with a sample at either side, by cohort."""
    e, p = np.nonzero(paired.n_visits.sum(axis=-1) > 0)
    by_cohort = {cohort: number for number, cohort in enumerate(dict.fromkeys(paired.cohorts))}
    order = np.lexsort((p, np.array([by_cohort[cohort] for cohort in paired.cohorts[p]]), e))
    e, p = e[order], p[order]
    scale, shift = np.array(paired.scales, dtype=object)[e], paired.shift[e, p]
    level = np.where(paired.unlimited, np.nan, paired.level)
    absent = paired.n_visits[e, p] == 0
    visits = paired.visits[e, p]
    lacking = np.where(absent[:, 0], visits[:, 0], visits[:, 1])
    columns = {
        "patient_id": np.array(paired.patients, dtype=object)[p],
        "cohort": [name or None for name in paired.cohorts[p]],
        "endpoint": np.array(paired.endpoints, dtype=object)[e],
        "unit": np.array(paired.units, dtype=object)[e],
        "visit_before": visits[:, 0],
        "visit_after": visits[:, 1],
        "before": paired.value[e, p, 0],
        "after": paired.value[e, p, 1],
        "shift": shift,
        "shift_scale": scale,
        "fold": np.where(np.isin(scale, list(scales.MULTIPLICATIVE)), np.exp(shift), np.nan),
        "ci_low": calls.ci_low[e, p],
        "ci_high": calls.ci_high[e, p],
        "verdict": calls.verdict[e, p],
        "reason": np.where(absent.any(axis=1), "no value at " + lacking, calls.reason[e, p]),
        "p_value": calls.p_value[e, p],
        "q_value": calls.q_value[e, p],
        "df": calls.df[e, p],
        "n_events_before": paired.events[e, p, 0],
        "n_events_after": paired.events[e, p, 1],
        "level_before": level[e, p, 0],
        "level_after": level[e, p, 1],
        "fold_is": [scales.RATIO_WORDS.get(name) for name in scale],
        "ratio": _ratio(paired.value[e, p]),
        **{name: getattr(calls, name)[e, p] for name in _FURTHER},
    }
    return PAIRS.check(pd.DataFrame(columns)) if e.size else PAIRS.empty()


def _ratio(sides: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return after / before of values ``(n, 2)``; NaN where one is not above 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((sides > 0).all(axis=-1), sides[:, 1] / sides[:, 0], np.nan)


def _levels(paired: Paired) -> pd.DataFrame:
    """Return every sample on its endpoint's scale, as `Comparison.levels` says."""
    names = ["patient_id", "cohort", "endpoint", "visit", "study_day", "cycle_state", "cycle", "level"]
    scale = dict(zip(paired.endpoints, paired.scales, strict=True))
    levels = paired.rows["level"].where(paired.rows["unlimited"] != 1)
    return paired.rows[names].assign(level=levels, scale=paired.rows["endpoint"].map(scale))


def _visit_rows(rows: pd.DataFrame) -> pd.DataFrame:
    compared = rows[rows["side"] >= 0].sort_values("side", kind="stable")
    # without days all that is known is that one side is before the other
    planned = {} if rows["study_day"].notna().any() else dict(zip(compared["visit"], compared["side"], strict=True))
    visits = visits_in_order(rows[["patient_id", "visit", "study_day"]].itertuples(index=False), planned)
    there = rows[np.isfinite(rows["value"].to_numpy())]
    place = there["visit"].astype(str).map({visit: at for at, visit in enumerate(visits)})
    there = there.assign(place=place).sort_values(["cohort", "endpoint", "place"], kind="stable")
    groups = there.groupby(["cohort", "endpoint", "visit", "unit"], sort=False)["value"]
    table = groups.agg(n_patients="size", median="median").reset_index()
    table["q1"], table["q3"] = groups.quantile(0.25).to_numpy(), groups.quantile(0.75).to_numpy()
    return table
