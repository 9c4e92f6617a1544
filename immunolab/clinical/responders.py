"""Responders: who they are, and how many of all patients enrolled, those with a value beside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

import pandas as pd

from immunolab.clinical.proportions import proportion
from immunolab.clinical.scores import criteria
from immunolab.clinical.scores.method import Criterion
from immunolab.schema.clinical import RESPONDERS, RESPONSES
from immunolab.study.visit_order import visits_in_order

_NOT_SEEN = "not seen"
_NO_TRIAL: Mapping[str, float] = MappingProxyType({})


def is_responder(score: str, value: float) -> bool:
    """Return whether a value makes a responder by the score's first (least demanding) criterion.

    Parameters
    ----------
    score
        A score with criteria.
    value
        Its value.
    """
    return criteria(score)[0].met(value)


def response(scores: pd.DataFrame, score: str, visits: Iterable[str]) -> tuple[str, dict[str, bool]]:
    """Return who responds, at the first of the visits at which anyone can be evaluated.

    Parameters
    ----------
    scores
        Rows of `SCORES`.
    score
        Name of the score.
    visits
        In the order they are tried.

    Returns
    -------
    tuple of (str, dict[str, bool])
        That visit, and by patient_id whether the score's first criterion is met; ("", {}) where no patient can be
        evaluated at any of the visits.
    """
    known = scores[(scores["score"] == score) & scores["value"].notna()]
    for visit in visits:
        rows = known[known["visit"] == visit]
        if len(rows):
            pairs = zip(rows["patient_id"], rows["value"], strict=True)
            return visit, {str(patient): is_responder(score, float(value)) for patient, value in pairs}
    return "", {}


def responses(
    scores: pd.DataFrame, patients: Mapping[str, str] | None = None, planned: Mapping[str, float] = _NO_TRIAL
) -> pd.DataFrame:
    """Return every enrolled patient's response by each score at each visit, with the reason where there is none.

    Parameters
    ----------
    scores
        Rows of `SCORES`.
    patients
        Cohort by patient, of every patient enrolled (`follow_up.enrolled`); None takes those of the scores.
    planned
        The trial's visits with their target days, in calendar order: rows follow it. Without them the order is that of
        the patients' own visits.

    Returns
    -------
    DataFrame
        Rows of `RESPONSES`: by cohort, the scores with criteria and, in calendar order, the visits at which a patient
        of the cohort was scored; a patient who was not is ``missing`` there.
    """
    found = scores[scores["score"].map(lambda name: bool(criteria(str(name)))).astype(bool)]
    everyone = dict.fromkeys(scores["patient_id"].astype(str), "") if patients is None else dict(patients)
    rows = [
        row
        for cohort in dict.fromkeys(everyone.values())
        for row in _of_cohort(found, [p for p, of in everyone.items() if of == cohort], cohort, planned)
    ]
    return RESPONSES.frame(rows)


def _of_cohort(
    scores: pd.DataFrame, members: list[str], cohort: str, planned: Mapping[str, float]
) -> Iterator[dict[str, object]]:
    own = scores[scores["patient_id"].astype(str).isin(members)]
    for score, of_score in own.groupby("score", sort=False):
        met = ((patient, visit, None) for patient, visit in zip(of_score["patient_id"], of_score["visit"], strict=True))
        of_visit: dict[str, dict[str, Mapping[str, object]]] = {one: {} for one in visits_in_order(met, planned)}
        for row in of_score.to_dict("records"):
            of_visit[str(row["visit"])][str(row["patient_id"])] = row
        last = {patient: visit for visit, there in of_visit.items() for patient in there}
        for visit, there in of_visit.items():
            for patient in members:
                head = {"patient_id": patient, "cohort": cohort or None, "score": score, "visit": visit}
                yield head | _response(str(score), there.get(patient), last.get(patient, ""))


def _response(score: str, row: Mapping[str, object] | None, last: str) -> dict[str, object]:
    """Return value, response and reason of one patient; ``last`` is the visit the patient was last scored at."""
    if row is None:
        reason = f"{_NOT_SEEN}; last scored at {last}" if last else "never scored after the first dose"
        return {"value": None, "response": "missing", "reason": reason}
    if pd.isna(row["value"]):
        return {"value": None, "response": "missing", "reason": row["reason"] or "not evaluable"}
    met = is_responder(score, float(row["value"]))  # type: ignore[arg-type]
    return {"value": row["value"], "response": "responder" if met else "non_responder", "reason": None}


def reason_at(reason: str, visit: str) -> str:
    """Return a reason of `RESPONSES` with its visit: a patient who was not seen there may have been seen later.

    Parameters
    ----------
    reason
        As in the table; "" where it gives none.
    visit
        That of its row.
    """
    if reason.startswith(_NOT_SEEN):
        return f"{_NOT_SEEN} at {visit}{reason.removeprefix(_NOT_SEEN)}"
    return reason or f"no score at {visit}"


def responders(
    scores: pd.DataFrame, patients: Mapping[str, str] | None = None, planned: Mapping[str, float] = _NO_TRIAL
) -> pd.DataFrame:
    """Return responders by cohort, score, criterion and visit.

    The denominator of ``percent_worst_case`` is every patient enrolled, who is no responder where a value is missing
    (non-responder imputation); ``percent`` is of those with a value. ``n_patients`` is ``n_evaluable`` +
    ``n_not_evaluable`` + ``n_not_seen``, and ``missing`` gives the reason of each patient without a value.

    Parameters
    ----------
    scores
        Rows of `SCORES`.
    patients
        Cohort by patient, of every patient enrolled (`follow_up.enrolled`); None takes those of the scores.
    planned
        As for `responses`.
    """
    known = responses(scores, patients, planned)
    verified = dict(zip(scores["score"], scores["verified"], strict=True))
    rows: list[dict[str, object]] = []
    keys = [known["cohort"].fillna(""), known["score"], known["visit"]]
    for (cohort, score, visit), group in known.groupby(keys, sort=False):
        head = {"cohort": cohort or None, "score": score, "visit": visit, "verified": verified[score]}
        rows += [head | _counted(group, criterion) for criterion in criteria(str(score))]
    return RESPONDERS.frame(rows)


def _counted(group: pd.DataFrame, criterion: Criterion) -> dict[str, object]:
    values = [float(value) for value in group["value"].dropna()]
    lost = group[group["response"] == "missing"]
    unseen = int(lost["reason"].str.startswith(("not seen", "never")).sum())
    evaluable = proportion(sum(map(criterion.met, values)), len(values))
    worst = proportion(evaluable.n_responders, len(group))
    reasons = "; ".join(f"{p}: {why}" for p, why in zip(lost["patient_id"], lost["reason"], strict=True))
    return {
        "criterion": criterion.name,
        "n_patients": len(group),
        "n_evaluable": len(values),
        "n_responders": evaluable.n_responders,
        "percent": evaluable.percent,
        "ci_low": evaluable.ci_low,
        "ci_high": evaluable.ci_high,
        "percent_worst_case": worst.percent,
        "worst_case_ci_low": worst.ci_low,
        "worst_case_ci_high": worst.ci_high,
        "n_not_seen": unseen,
        "n_not_evaluable": len(lost) - unseen,
        "missing": reasons or None,
    }
