"""Slopes of two periods by one mixed model: patients differ in level, in slope and in its change at the knot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from immunolab.comparison.estimate import Estimate
from immunolab.comparison.joint_slope import JointRows, joint_change
from immunolab.comparison.random_slopes import SlopesFit, fit_slopes
from immunolab.schema.courses import SLOPES
from immunolab.study.endpoints import Endpoint
from immunolab.study.intercurrent import Outcome
from immunolab.study.trial import Trial

MISSING_AT_RANDOM, JOINT = "missing at random", "joint with deaths"
_MONTH = 365.25 / 12  # days
_QUANTITIES = {
    "earlier slope": {"slope": 1.0},
    "later slope": {"slope": 1.0, "change": 1.0},
    "difference": {"change": 1.0},
}


def slope_rows(
    values: pd.DataFrame, endpoints: Sequence[Endpoint], trial: Trial, happened: pd.DataFrame
) -> pd.DataFrame:
    """Return rows of `SLOPES`: both slopes of each difference of slopes, and their difference, over all patients.

    A patient who lacks the last visit, by death or otherwise, enters with the visits there are, as missing at random
    given those (what a difference of each patient's own slopes cannot do). Where the endpoint names the deaths that end
    slopes and the estimand looks for them, a joint model of slopes and death follows, or why there is none.

    Parameters
    ----------
    values
        Rows of `tables.ENDPOINTS` or `tables.CONTEXT` of the scores and variables, with study days.
    endpoints
        Those with slopes are taken.
    trial
        Has the day of the visit at which a period ends.
    happened
        Rows of `INTERCURRENT_EVENTS`.
    """
    rows: list[dict[str, object]] = []
    for endpoint in endpoints:
        if endpoint.slopes is None:
            continue
        own = values[(values["population"] == endpoint.fitted) & values["value"].notna() & values["study_day"].notna()]
        first, last = trial.visit(endpoint.slopes[0].first), trial.visit(endpoint.slopes[1].last)
        day = own["study_day"].to_numpy(dtype=float)
        own = own[(day >= first.window[0]) & (day <= last.window[1])]
        knot = trial.visit(endpoint.slopes[0].last).name
        for cohort, group in own.groupby(own["cohort"].fillna(""), sort=False):
            head = {"cohort": str(cohort) or None, "endpoint": endpoint.id, "unit": endpoint.unit or "points/month"}
            once = group.drop_duplicates(["patient_id", "visit"])
            rows += [head | {"model": MISSING_AT_RANDOM} | one for one in _cohort_rows(once, knot, trial)]
            deaths = _deaths(endpoint, trial, happened[happened["patient_id"].isin(once["patient_id"])])
            if deaths:
                rows += [
                    head | {"model": JOINT} | one for one in _joint_rows(once, knot, trial, deaths, last.window[1])
                ]
    return SLOPES.frame(rows)


def _deaths(endpoint: Endpoint, trial: Trial, happened: pd.DataFrame) -> dict[str, float]:
    """Return the study day of each death that ends slopes of an endpoint; none where the estimand does not look."""
    events = trial.estimand.events if trial.estimand else ()
    names = [e.event for e in events if isinstance(e, Outcome) and e.outcome == endpoint.death_endpoint]
    died = happened[happened["event"].isin(names) & happened["study_day"].notna()]
    return {str(p): float(d) for p, d in zip(died["patient_id"], died["study_day"], strict=True)}


def _joint_rows(
    group: pd.DataFrame, knot: str, trial: Trial, deaths: Mapping[str, float], last_day: int
) -> Iterator[dict[str, object]]:
    """Yield the change of slope and the association of slope and death; who did not die was last seen at a value."""
    names = list(dict.fromkeys(group["patient_id"].astype(str)))
    number = {name: i for i, name in enumerate(names)}
    middle = float(trial.visit(knot).target_day)
    seen = group.groupby(group["patient_id"].astype(str))["study_day"].max().reindex(names).to_numpy(dtype=float)
    day_of_death = np.array([deaths.get(name, np.inf) for name in names])
    end = np.where(day_of_death <= last_day, day_of_death, seen)
    died = np.where(day_of_death > last_day, 0, np.where(day_of_death <= middle, 1, 2))
    at_risk = np.column_stack([np.minimum(end, middle) - 1.0, np.maximum(end - middle, 0.0)]).clip(0.0) / _MONTH
    rows = JointRows(
        group["value"].to_numpy(dtype=float),
        (group["study_day"].to_numpy(dtype=float) - middle) / _MONTH,
        group["patient_id"].astype(str).map(number).to_numpy(dtype=np.int64),
        at_risk,
        died.astype(np.int64),
    )
    found, association, p = joint_change(rows)
    yield _row("difference", found, len(group))
    if np.isfinite(association):
        text = "log hazard ratio of death a standard deviation of the patient's slope"
        shown = Estimate(association, np.nan, np.nan, p, found.df, text, found.n)
        yield _row("association", shown, len(group)) | {"unit": "log hazard"}


def _cohort_rows(group: pd.DataFrame, knot: str, trial: Trial) -> Iterator[dict[str, object]]:
    at = group[group["visit"] == knot].set_index("patient_id")["study_day"]
    broken = group["patient_id"].map(at).fillna(float(trial.visit(knot).target_day)).to_numpy(dtype=float)
    months = (group["study_day"].to_numpy(dtype=float) - broken) / _MONTH
    fitted = fit_two_slopes(group["value"].to_numpy(dtype=float), months, group["patient_id"].to_numpy(dtype=object))
    for quantity, weights in _QUANTITIES.items():
        found = fitted.contrast(weights)
        yield _row(quantity, found, len(group))
        if fitted.fit is None:
            return


def _row(quantity: str, found: Estimate, n_values: int) -> dict[str, object]:
    limits = {"estimate": found.estimate, "ci_low": found.ci_low, "ci_high": found.ci_high}
    tail = {"df": found.df, "p_value": found.p_value, "method": found.text}
    return {"quantity": quantity, "n_patients": found.n, "n_values": n_values, **limits, **tail}


def fit_two_slopes(value: np.ndarray, months: np.ndarray, patient: np.ndarray) -> SlopesFit:
    """Return the model of a line broken at month 0.

    Parameters
    ----------
    value
        ``(n,)`` score.
    months
        ``(n,)`` since the knot; before it negative.
    patient
        ``(n,)`` labels.
    """
    columns: Mapping[str, np.ndarray] = {"slope": months, "change": np.maximum(months, 0.0)}
    return fit_slopes(value, columns, columns, patient, needed=("change",))
