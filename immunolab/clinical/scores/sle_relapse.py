"""Relapse of SLE: low activity on the drug, then a rise after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from immunolab.clinical.patients import Patient
from immunolab.clinical.scores.method import ResponseRule, Score, ScoreMethod, facts, not_evaluable

_SLEDAI = "SELENA_SLEDAI"
_LATE_DAYS = 14  # days past the planned one at which a visit still counts as of that week; judgement


@dataclass(frozen=True)
class _SleRelapseFacts(ResponseRule):
    """Thresholds of the relapse endpoint."""

    low_activity_below: float
    within_weeks: int


_RULE = facts(_SleRelapseFacts, "sle_relapse")


def sle_relapse(on_drug: Sequence[float | None], afterwards: Sequence[float | None]) -> Score:
    """Return 1 when low activity on the drug (SLEDAI below 4 at some visit) is followed by a rise, else 0.

    The rise is against the last visit on the drug. A patient who never was below 4 cannot relapse
    and is not evaluable.

    Parameters
    ----------
    on_drug, afterwards
        SELENA-SLEDAI of the visits on treatment, and of those of follow-up, in calendar order.
    """
    seen = [value for value in on_drug if value is not None]
    later = [value for value in afterwards if value is not None]
    if not seen:
        return not_evaluable("no SLEDAI on the drug")
    if min(seen) >= _RULE.low_activity_below:
        return not_evaluable(f"SLEDAI never below 4 on the drug (lowest {min(seen):g})")
    if not later:
        return not_evaluable("no SLEDAI after the drug")
    return Score(float(max(later) > seen[-1]))


def _over_the_course(patient: Patient) -> Mapping[str, Score]:
    followed = patient.visits_in("follow_up")
    if not followed:
        return {}
    last_day = 7 * _RULE.within_weeks + 1 + _LATE_DAYS
    on_drug = [patient.at(visit).get(_SLEDAI) for visit in patient.visits_in("on_treatment")]
    later = [patient.at(visit).get(_SLEDAI) for visit in followed if patient.day(visit) <= last_day]
    return {followed[-1]: sle_relapse(on_drug, later)}


SCORE = ScoreMethod(
    name="SLE_relapse",
    function=_over_the_course,
    wants="course",
    needs=(_SLEDAI,),
    unit="relapse",
    source=_RULE.source,
    verified=_RULE.verified,
    levels={_SLEDAI: ((_RULE.low_activity_below, "low activity below"),)},
)
