"""Slopes of two periods by one mixed model: patients differ in level, in slope and in its change at the knot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from immunolab.comparison.estimate import Estimate
from immunolab.comparison.random_slopes import SlopesFit, fit_slopes
from immunolab.schema.comparison import SLOPES
from immunolab.study.endpoints import Endpoint
from immunolab.study.trial import Trial

_MONTH = 365.25 / 12  # days
_QUANTITIES = {
    "earlier slope": {"slope": 1.0},
    "later slope": {"slope": 1.0, "change": 1.0},
    "difference": {"change": 1.0},
}


def slope_rows(values: pd.DataFrame, endpoints: Sequence[Endpoint], trial: Trial) -> pd.DataFrame:
    """Return rows of `SLOPES`: both slopes of each difference of slopes, and their difference, over all patients.

    A patient who lacks the last visit, by death or otherwise, enters with the visits there are, as missing at random
    given those (what a difference of each patient's own slopes cannot do).

    Parameters
    ----------
    values
        Rows of `tables.ENDPOINTS` or `tables.CONTEXT` of the scores and variables, with study days.
    endpoints
        Those with slopes are taken.
    trial
        Has the day of the visit at which a period ends.
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
            rows += [head | one for one in _cohort_rows(group.drop_duplicates(["patient_id", "visit"]), knot, trial)]
    return SLOPES.frame(rows)


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
