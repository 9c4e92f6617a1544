"""Time to an event: Kaplan-Meier curve, median, and the share without the event at each visit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from immunolab.clinical.follow_up import Followed
from immunolab.intervals import NORMAL_95
from immunolab.schema.clinical import SURVIVAL, TIME_TO_EVENT
from immunolab.study.endpoints import Endpoint
from immunolab.study.trial import Trial

_METHOD = "Kaplan-Meier from the first dose, 95 % intervals on the log-log scale; no test without a second arm"


@dataclass(frozen=True)
class Curve:
    """A Kaplan-Meier curve.

    Attributes
    ----------
    days
        Days with an event, rising.
    share
        Share without the event after each of them.
    ci_low, ci_high
        95 % limits on the log-log scale (Kalbfleisch and Prentice 1980); NaN where the share is 0 or 1.
    followed
        Day of each patient's event or censoring.
    """

    days: NDArray[np.float64]
    share: NDArray[np.float64]
    ci_low: NDArray[np.float64]
    ci_high: NDArray[np.float64]
    followed: NDArray[np.float64]

    def at(self, day: float) -> tuple[float, float, float]:
        """Return share and limits by the end of a day; NaN after the last day on which a patient was followed."""
        if day > self.followed.max() and not (len(self.share) and self.share[-1] == 0):
            return np.nan, np.nan, np.nan
        step = int(np.searchsorted(self.days, day, side="right")) - 1
        if step < 0:
            return 1.0, np.nan, np.nan
        return float(self.share[step]), float(self.ci_low[step]), float(self.ci_high[step])

    def median(self) -> tuple[float, float, float]:
        """Return the first day by which the share is a half or less, and its limits.

        The limits are the days on which the limits of the curve reach a half (Brookmeyer and Crowley 1982,
        Biometrics 38:29); NaN where that is never.
        """
        found = []
        for line in (self.share, self.ci_low, np.where(self.share == 0, np.nan, self.ci_high)):
            reached = np.flatnonzero(line <= 0.5 + 1e-12)
            found.append(float(self.days[reached[0]]) if reached.size else np.nan)
        return found[0], found[1], found[2]


def kaplan_meier(days: ArrayLike, event: ArrayLike) -> Curve:
    """Return the Kaplan-Meier curve of days to an event (``event`` true) or to censoring.

    A patient censored on the day of another's event counts as at risk that day.

    Parameters
    ----------
    days
        ``(n,)`` study day of each patient's event or censoring.
    event
        ``(n,)`` whether it was the event.
    """
    from statsmodels.duration.survfunc import SurvfuncRight

    followed, happened = np.asarray(days, dtype=float), np.asarray(event, dtype=bool)
    if not happened.any():
        nothing = np.empty(0)
        return Curve(nothing, nothing, nothing, nothing, followed)
    with np.errstate(divide="ignore", invalid="ignore"):
        fit = SurvfuncRight(followed, happened.astype(int))
        share, log_share = np.asarray(fit.surv_prob), np.log(fit.surv_prob)
        width = NORMAL_95 * np.asarray(fit.surv_prob_se) / np.abs(share * log_share)
        inside = (share > 1e-12) & (share < 1)
        low, high = (np.where(inside, np.exp(log_share * np.exp(sign * width)), np.nan) for sign in (1, -1))
    share = np.where(share > 1e-12, share, 0.0)
    return Curve(np.asarray(fit.surv_times, dtype=float), share, low, high, followed)


def survival_tables(
    endpoints: Sequence[Endpoint], outcomes: pd.DataFrame, patients: Sequence[Followed], trial: Trial | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return `TIME_TO_EVENT` and `SURVIVAL` of every time_to_event endpoint that has outcomes.

    Parameters
    ----------
    endpoints
        Of the kind time_to_event.
    outcomes
        Columns patient_id, endpoint, study_day, status, as read by `loaders.patient_events.read_outcomes`.
    patients
        All patients; those without an outcome are counted.
    trial
        Its visits (or those the endpoint names) are the days the curve is read at.
    """
    summary: list[dict[str, object]] = []
    steps: list[dict[str, object]] = []
    for endpoint in endpoints:
        lines = outcomes[outcomes["endpoint"] == endpoint.id]
        for cohort in dict.fromkeys(patient.cohort for patient in patients):
            names = {patient.patient_id for patient in patients if patient.cohort == cohort}
            own = lines[lines["patient_id"].isin(names)]
            if own.empty:
                continue
            happened = (own["status"] == "event").to_numpy()
            curve = kaplan_meier(own["study_day"], happened)
            who: dict[str, object] = {"cohort": cohort or None, "endpoint": endpoint.id}
            summary.append(who | _summary(endpoint, curve, happened, len(names)))
            steps += [who | step for step in _steps(curve, own, happened, _visit_days(endpoint, trial))]
    return TIME_TO_EVENT.frame(summary), SURVIVAL.frame(steps)


def _visit_days(endpoint: Endpoint, trial: Trial | None) -> dict[int, str]:
    visits = trial.visits if trial else ()
    return {
        v.target_day: v.name
        for v in visits
        if v.target_day >= 1 and (v.name in endpoint.visits if endpoint.visits else not v.optional)
    }


def _summary(endpoint: Endpoint, curve: Curve, happened: NDArray[np.bool_], n_patients: int) -> dict[str, object]:
    median, low, high = curve.median()
    return {
        "role": endpoint.role,
        "n_patients": n_patients,
        "n_with_outcome": len(happened),
        "n_events": int(happened.sum()),
        "n_censored": int((~happened).sum()),
        "median_day": median,
        "ci_low": low,
        "ci_high": high,
        "last_day": int(curve.followed.max()),
        "method": _METHOD,
    }


def _steps(
    curve: Curve, own: pd.DataFrame, happened: NDArray[np.bool_], visits: dict[int, str]
) -> Iterator[dict[str, object]]:
    days = own["study_day"].to_numpy(dtype=int)
    for day in sorted({*days.tolist(), *visits}):
        share, low, high = (100 * value for value in curve.at(day))
        yield {
            "study_day": day,
            "visit": visits.get(day),
            "n_at_risk": int((days >= day).sum()),
            "n_events": int((happened & (days == day)).sum()),
            "n_censored": int((~happened & (days == day)).sum()),
            "percent": share,
            "ci_low": low,
            "ci_high": high,
        }
