"""Responders: who they are, and how many with an exact interval, complete cases beside the worst case."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from immunolab.clinical.proportions import proportion
from immunolab.clinical.scores import criteria
from immunolab.schema.clinical import RESPONDERS


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


def responders(scores: pd.DataFrame) -> pd.DataFrame:
    """Return responders by score, criterion and visit.

    Not evaluable patients are left out of ``percent`` and counted as non-responders in
    ``percent_worst_case``; both have their n.

    Parameters
    ----------
    scores
        Rows of `SCORES`.
    """
    rows: list[dict[str, object]] = []
    for score in dict.fromkeys(scores["score"].tolist()):
        found = scores[scores["score"] == score]
        for visit, group in found.groupby("visit", sort=False):
            values = [float(value) for value in group["value"].dropna()]
            for criterion in criteria(score):
                evaluable = proportion(sum(map(criterion.met, values)), len(values))
                worst = proportion(evaluable.n_responders, len(group))
                rows.append(
                    {
                        "score": score,
                        "criterion": criterion.name,
                        "visit": visit,
                        "n_patients": len(group),
                        "n_evaluable": len(values),
                        "n_responders": evaluable.n_responders,
                        "percent": evaluable.percent,
                        "ci_low": evaluable.ci_low,
                        "ci_high": evaluable.ci_high,
                        "percent_worst_case": worst.percent,
                        "worst_case_ci_low": worst.ci_low,
                        "worst_case_ci_high": worst.ci_high,
                        "verified": group["verified"].iloc[0],
                    }
                )
    return RESPONDERS.frame(rows)
