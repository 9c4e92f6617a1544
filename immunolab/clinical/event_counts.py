"""How many patients have an event that a score finds, of those who could have it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from immunolab.clinical.proportions import proportion
from immunolab.clinical.scores import score_methods
from immunolab.schema.clinical import EVENT_COUNTS
from immunolab.schema.flags import Flag, split
from immunolab.study.endpoints import Endpoint, EventCount

_AT_RISK = ("with event", "without event", "not followed")


def event_counts(scores: pd.DataFrame, patients: Mapping[str, str], endpoints: Iterable[Endpoint]) -> pd.DataFrame:
    """Return, by cohort and endpoint, how many patients have the event in its window, of those who could have it.

    Parameters
    ----------
    scores
        Rows of `SCORES`.
    patients
        Cohort by patient, of every patient enrolled (`follow_up.enrolled`).
    endpoints
        Those that count an event are counted.

    Returns
    -------
    DataFrame
        Rows of `EVENT_COUNTS`. ``n_patients`` is ``n_at_risk`` + ``n_not_at_risk`` + ``n_unknown``, ``n_at_risk`` is
        ``n_followed`` + ``n_not_followed``.
    """
    rows: list[dict[str, object]] = []
    for endpoint in endpoints:
        if not isinstance(endpoint, EventCount) or not endpoint.needs.scores:
            continue
        score = endpoint.needs.scores[0]
        own = scores[scores["score"] == score]
        for cohort in dict.fromkeys(patients.values()) if len(own) else ():
            fates = event_fates(own, [p for p, of in patients.items() if of == cohort])
            counted = _counted(fates.known)
            row = {"cohort": cohort or None} | _declared(endpoint, score, own) | counted
            rows.append(row | _as_registered(fates, counted))
    return EVENT_COUNTS.frame(rows)


@dataclass(frozen=True)
class EventFates:
    """What is known of an event, patient by patient.

    Attributes
    ----------
    known
        ``with event``, ``without event``, ``not followed``, ``not at risk`` or ``unknown``, and why where there is no
        value.
    outside_window, below_level
        Of patients with the event, how it was seen where every visit that has it is outside the registered window, or
        is under the level that the definition calls low.
    """

    known: Mapping[str, tuple[str, str]]
    outside_window: Mapping[str, str]
    below_level: Mapping[str, str]


def event_fates(scores: pd.DataFrame, patients: Sequence[str]) -> EventFates:
    """Return what became of each patient.

    Parameters
    ----------
    scores
        Rows of `SCORES` of the score that finds the event; those of other patients are left out.
    patients
        Every patient enrolled in a cohort.
    """
    of = dict(tuple(scores.groupby(scores["patient_id"].astype(str), sort=False)))
    known = {patient: _fate(of.get(patient, scores[:0])) for patient in patients}
    had = scores[(scores["value"] == 1) & scores["patient_id"].astype(str).isin(list(known))]
    late, low = (_patients_with(had, flag) for flag in (Flag.EVENT_OUTSIDE_WINDOW, Flag.EVENT_BELOW_LEVEL))
    return EventFates(known, late, low)


def _fate(rows: pd.DataFrame) -> tuple[str, str]:
    """Return what is known of a patient's event over all visits, and why it is not known."""
    if not len(rows):
        return "unknown", "never scored"
    if (rows["value"] == 1).any():
        return "with event", ""
    if rows["value"].notna().any():
        return "without event", ""
    words = {word for flags in rows["flag"] for word in split(flags)}
    reason = str(rows["reason"].iloc[-1])
    for flag, fate in ((Flag.NOT_FOLLOWED, "not followed"), (Flag.NOT_AT_RISK, "not at risk")):
        if flag in words:
            return fate, reason
    return "unknown", reason


def _declared(endpoint: Endpoint, score: str, rows: pd.DataFrame) -> dict[str, object]:
    method = score_methods().get(score)
    return {
        "endpoint": endpoint.id,
        "role": endpoint.role,
        "score": score,
        "rule": method.rule if method else None,
        "registered_rule": endpoint.rule or None,
        "verified": rows["verified"].iloc[0],
        "registered_window": (method.registered_window if method else "") or None,
        "low_level": (method.low_level if method else "") or None,
    }


def _as_registered(fates: EventFates, counted: Mapping[str, object]) -> dict[str, object]:
    """Return how many events are in the registered window; patients with later ones, and with ones at a low value."""
    inside = int(str(counted["n_with_event"])) - len(fates.outside_window)
    share = proportion(inside, int(str(counted["n_followed"])))
    return {
        "n_in_window": inside,
        "percent_in_window": share.percent,
        "in_window_ci_low": share.ci_low,
        "in_window_ci_high": share.ci_high,
        "outside_window": _listed(fates.outside_window),
        "below_level": _listed(fates.below_level),
    }


def _patients_with(had: pd.DataFrame, flag: Flag) -> dict[str, str]:
    """Return how it was seen, of each patient all of whose events have the flag."""
    return {
        str(patient): str(rows["reason"].iloc[0])
        for patient, rows in had.groupby(had["patient_id"].astype(str), sort=False)
        if all(flag in split(flags) for flags in rows["flag"])
    }


def _listed(seen: Mapping[str, str]) -> str | None:
    return "; ".join(f"{patient}: {how}" for patient, how in seen.items()) or None


def _counted(fates: Mapping[str, tuple[str, str]]) -> dict[str, object]:
    of = {fate: [p for p, (own, _) in fates.items() if own == fate] for fate, _ in fates.values()}
    n = {fate: len(of.get(fate, [])) for fate in (*_AT_RISK, "not at risk", "unknown")}
    at_risk = sum(n[fate] for fate in _AT_RISK)
    followed = proportion(n["with event"], n["with event"] + n["without event"])
    worst = proportion(n["with event"] + n["not followed"], at_risk)
    least = proportion(n["with event"], at_risk)
    known = [f"{p}: {fate}, {why}" for p, (fate, why) in fates.items() if why]
    return {
        "n_patients": len(fates),
        "n_at_risk": at_risk,
        "n_not_at_risk": n["not at risk"],
        "n_unknown": n["unknown"],
        "n_followed": followed.n,
        "n_not_followed": n["not followed"],
        "n_with_event": n["with event"],
        "percent": followed.percent,
        "ci_low": followed.ci_low,
        "ci_high": followed.ci_high,
        "percent_if_lost_had_it": worst.percent,
        "percent_if_lost_had_none": least.percent,
        "missing": "; ".join(known) or None,
    }
