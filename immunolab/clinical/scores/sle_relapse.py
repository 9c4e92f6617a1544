"""Relapse of SLE: low activity on the drug, then a rise after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from immunolab.clinical.patients import Patient
from immunolab.clinical.scores.method import ResponseRule, Score, ScoreMethod, facts, not_evaluable
from immunolab.schema.flags import Flag

_SLEDAI = "SELENA_SLEDAI"
_LATE_DAYS = 14  # days past the planned one at which a visit still counts as of that week; judgement


@dataclass(frozen=True)
class _SleRelapseFacts(ResponseRule):
    """Thresholds of the relapse endpoint."""

    low_activity_below: float
    within_weeks: int
    within_months_of_stopping: int


_RULE = facts(_SleRelapseFacts, "sle_relapse")
_DAYS_A_MONTH = 365.25 / 12


def sle_relapse(on_drug: Sequence[float | None], afterwards: Sequence[float | None]) -> Score:
    """Return 1 when low activity on the drug (SLEDAI below 4 at some visit) is followed by a rise, else 0.

    The rise is against the last visit on the drug. A patient who never was below 4 cannot relapse
    (``not_at_risk``), one who was and has no value afterwards is ``not_followed``.

    Parameters
    ----------
    on_drug, afterwards
        SELENA-SLEDAI of the visits on treatment, and of those of follow-up in the window, in calendar order.
    """
    seen = [value for value in on_drug if value is not None]
    later = [value for value in afterwards if value is not None]
    if not seen:
        return not_evaluable("no SLEDAI on the drug")
    if min(seen) >= _RULE.low_activity_below:
        return not_evaluable(f"SLEDAI never below 4 on the drug (lowest {min(seen):g})", Flag.NOT_AT_RISK)
    if not later:
        return not_evaluable("no SLEDAI after the drug", Flag.NOT_FOLLOWED)
    return Score(float(max(later) > seen[-1]))


def _over_the_course(patient: Patient) -> Mapping[str, Score]:
    followed, treated = patient.visits_in("follow_up"), patient.visits_in("on_treatment")
    if not (followed or treated):
        return {}
    on_drug = [patient.at(visit).get(_SLEDAI) for visit in treated]
    later = {visit: patient.at(visit).get(_SLEDAI) for visit in followed if _in_window(patient, visit)}
    found = sle_relapse(on_drug, list(later.values()))
    if found.value == 1:
        found = _as_seen(patient, found, [value for value in on_drug if value is not None][-1], later)
    return {[*treated, *followed][-1]: found}


def _as_seen(patient: Patient, relapse: Score, before: float, later: Mapping[str, float | None]) -> Score:
    """Return a relapse with the visit and the SLEDAI at which it was first seen, and what is to be said of them."""
    visit, value = next((name, value) for name, value in later.items() if value is not None and value > before)
    since = patient.places[visit].days_since_last_dose
    days = ", last dose not known" if since is None else f", {since} days after the last dose"
    flags = []
    if since is None or since > _RULE.within_months_of_stopping * _DAYS_A_MONTH:
        flags.append(Flag.EVENT_OUTSIDE_WINDOW)
    if value < _RULE.low_activity_below:
        flags.append(Flag.EVENT_BELOW_LEVEL)
    return replace(relapse, reason=f"SLEDAI {before:g} to {value:g} at {visit}{days}", flag=";".join(flags))


def _in_window(patient: Patient, visit: str) -> bool:
    """Return whether a visit is within the weeks from the first dose, or the months from the last one."""
    since = patient.places[visit].days_since_last_dose
    months = _RULE.within_months_of_stopping * _DAYS_A_MONTH + _LATE_DAYS
    weeks = 7 * _RULE.within_weeks + 1 + _LATE_DAYS
    return patient.day(visit) <= weeks or (since is not None and since <= months)


SCORE = ScoreMethod(
    name="SLE_relapse",
    function=_over_the_course,
    wants="course",
    needs=(_SLEDAI,),
    unit="relapse",
    source=_RULE.source,
    verified=_RULE.verified,
    rule=f"{_SLEDAI} below {_RULE.low_activity_below:g} at a visit on the drug (who can relapse), then above its last "
    f"value on the drug at a follow-up visit up to {_RULE.within_weeks} weeks after the first dose or "
    f"{_RULE.within_months_of_stopping} months after the last, {_LATE_DAYS} days late at most",
    registered_window=f"{_RULE.within_months_of_stopping} months after the last dose",
    low_level=f"SLEDAI {_RULE.low_activity_below:g}",
    levels={_SLEDAI: ((_RULE.low_activity_below, "low activity below"),)},
)
