"""Further tables of a run: what every visit shows, assay noise, log-ratios, power, and the link to the clinic."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import pandas as pd

from immunolab.clinical.responders import response
from immunolab.clinical.scores import criteria
from immunolab.comparison.arms import compare_responders
from immunolab.comparison.correlation import correlate_shifts
from immunolab.comparison.dose_time import cycle_rows
from immunolab.comparison.family_power import family_power
from immunolab.comparison.joint_rank import joint_rank
from immunolab.comparison.plain_shifts import as_numbers, log_ratios_as_numbers
from immunolab.comparison.power import power_table
from immunolab.comparison.regression_to_mean import regression_rows
from immunolab.comparison.slopes import slope_rows
from immunolab.comparison.steroids import dose_sensitivity
from immunolab.schema.courses import JOINT_RANK
from immunolab.schema.estimand import INTERCURRENT_EVENTS
from immunolab.schema.next_cohort import POWER_IN_FAMILY
from immunolab.study.endpoints import Endpoint
from immunolab.study.sheet import Study
from immunolab.study.visit_order import visits_in_order
from immunolab.workflow.clinic import Clinic
from immunolab.workflow.compare import StudyComparison, worth_workers
from immunolab.workflow.quantify import Quantified
from immunolab.workflow.spread import SpreadWork


def derived_tables(
    comparison: StudyComparison,
    measured: Quantified,
    clinic: Clinic | None,
    seed: int,
    study: Study,
    spread: SpreadWork | None = None,
) -> dict[str, pd.DataFrame]:
    """Return the tables beyond pairs and shifts, by name; empty ones are left out.

    Parameters
    ----------
    comparison
        The comparisons of the study.
    measured
        The endpoint table and its endpoints.
    clinic
        The clinical side, where the study has one.
    seed
        Seed of resampling.
    study
        Its trial names covariates and events.
    spread
        Where models are fitted and resamples drawn; here, where None or where the table is small.

    Returns
    -------
    dict
        visits (every visit, not only the two compared), noise (what calls depend on), log_ratios (shares of one
        parent against their median sibling), arms, tipping (what missing visits could hide), power and power_in_family
        (from this study's own spread), cycles (peaks, troughs and trends of repeated cycles), shifts_by_response
        (descriptive), correlations (exploratory), regression_to_mean (where the trial says how patients were selected),
        and the events of patients: adverse_events, time_to_event, survival, suppression, joint_rank (sensitivity,
        exploratory); dose_sensitivity (shifts given the dose of a concomitant drug), slopes (a mixed model of two
        periods).
    """
    pairs, endpoints = comparison.tables["pairs"], measured.endpoints
    tables = {
        name: _joined(getattr(one, name) for one in comparison.comparisons)
        for name in ("visits", "noise", "log_ratios", "arms")
    }
    tables["log_ratios"] = log_ratios_as_numbers(tables["log_ratios"], comparison.tables["shifts"])
    numbers = as_numbers(pairs, comparison.tables["shifts"])
    tipping = _joined(one.tipping_point() for one in comparison.comparisons)
    tables["tipping"] = tipping[tipping["n_missing"] > 0] if len(tipping) else tipping
    tables["cycles"] = _joined(cycle_rows(one.levels) for one in comparison.comparisons)
    tables["regression_to_mean"] = _joined(
        regression_rows(one.levels, one.plan.before, one.plan.after, study.trial) for one in comparison.comparisons
    )
    controls = {e.id for e in endpoints if e.negative_control}
    models: dict[str, partial[pd.DataFrame]] = {
        "power": partial(power_table, numbers),
        POWER_IN_FAMILY.name: partial(
            family_power, pairs, comparison.tables["shifts"], study.next_cohort, controls=controls, seed=seed
        ),
    }
    if clinic is not None:
        happened = measured.tables.get("intercurrent_events", INTERCURRENT_EVENTS.empty())
        own = replace(study, endpoints=endpoints)
        models["dose_sensitivity"] = partial(
            dose_sensitivity, measured.tables["endpoints"], clinic.context, happened, own, comparison.compared
        )
        if study.trial is not None:
            values = pd.concat([measured.tables["endpoints"], clinic.context], ignore_index=True)
            models["slopes"] = partial(slope_rows, values, endpoints, study.trial, happened)
        tables |= clinic.events
        models["joint_rank"] = partial(_joint_rank, pairs, endpoints, clinic)
        subsets = {e.id for e in endpoints if e.counted}
        counted = numbers[numbers["endpoint"].isin(subsets)]
        models["shifts_by_response"] = partial(_by_response, counted, clinic.scores, own)
        models["correlations"] = partial(_correlations, counted, numbers, endpoints, seed)
    done = worth_workers(spread, measured.tables["endpoints"])(_called, models.values())
    tables |= zip(models, done, strict=True)
    return {name: table for name, table in tables.items() if len(table)}


def _called(model: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    return model()


def _joint_rank(pairs: pd.DataFrame, endpoints: Sequence[Endpoint], clinic: Clinic) -> pd.DataFrame:
    """Return a difference of slopes with those who died counted; empty when no one did."""
    rows: list[dict[str, object]] = []
    for endpoint in endpoints:
        deaths = clinic.deaths.get(endpoint.id, {})
        known = pairs[(pairs["endpoint"] == endpoint.id) & pairs["shift"].notna()]
        for cohort in dict.fromkeys(clinic.cohorts.values()):
            everyone = {patient for patient, of in clinic.cohorts.items() if of == cohort}
            own = _by_patient(known[known["patient_id"].isin(everyone)], "shift")
            lost = {patient: death for patient, death in deaths.items() if patient in everyone - own.keys()}
            if lost:
                found = joint_rank(own, lost, len(everyone), -1 if endpoint.direction == "decrease" else 1)
                rows += [{"cohort": cohort or None, "endpoint": endpoint.id} | row for row in found]
    return JOINT_RANK.frame(rows)


def _joined(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame()


def _by_response(pairs: pd.DataFrame, scores: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Compare shifts of responders and others, assessed at the shifts' later visit or else the last one declared."""
    planned = study.trial.target_days if study.trial else {}
    frames = []
    after = list(pairs["visit_after"].mode())
    for score in filter(criteria, dict.fromkeys(scores["score"])):
        declared = [visit for e in study.endpoints if score in e.needs.scores for visit in e.visits]
        scored = scores[scores["score"] == score]
        met = ((patient, visit, None) for patient, visit in zip(scored["patient_id"], scored["visit"], strict=True))
        visits = declared or visits_in_order(met, planned)
        visit, responder = response(scores, score, (*after, *reversed(visits)))
        if responder:
            frames.append(compare_responders(pairs, responder).assign(score=score, told_at=visit))
    return _joined(frames)


def _correlations(subsets: pd.DataFrame, pairs: pd.DataFrame, endpoints: Sequence[Endpoint], seed: int) -> pd.DataFrame:
    """Correlate within each cohort: between cohorts, what they differ in would be the correlation."""
    clinical = [e.id for e in endpoints if e.clinical_change]
    known = pairs[pairs["endpoint"].isin(clinical) & pairs["shift"].notna()]
    frames = []
    for (cohort, endpoint), rows in known.assign(cohort=known["cohort"].fillna("")).groupby(
        ["cohort", "endpoint"], sort=False
    ):
        change, before = _by_patient(rows, "shift"), _by_patient(rows, "before")
        found = correlate_shifts(subsets[subsets["patient_id"].isin(change)], change, before, seed=seed)
        found.insert(0, "cohort", cohort)
        frames.append(found.assign(clinical_endpoint=endpoint, role="exploratory"))
    return _joined(frames)


def _by_patient(rows: pd.DataFrame, column: str) -> Mapping[str, float]:
    return {str(p): float(v) for p, v in zip(rows["patient_id"], rows[column], strict=True)}
