"""The activity score of polymyalgia rheumatica."""

from __future__ import annotations

from dataclasses import dataclass

from immunolab.clinical.patients import PatientVisit
from immunolab.clinical.scores.method import ResponseRule, Score, ScoreMethod, facts, missing, not_evaluable

_PARTS = ("CRP", "pain", "PhGA", "morning_stiffness", "EUL")
_WEIGHTS = (0.1, 1, 1, 0.1, 1)  # CRP in mg/L is taken in mg/dL, stiffness in tens of minutes (Leeb and Bird 2004)


@dataclass(frozen=True)
class _PmrAsFacts(ResponseRule):
    """Thresholds of relapse by PMR-AS."""

    relapse_from: float
    relapse_rise: float


RULE = facts(_PmrAsFacts, "pmr_as")


def pmr_as(
    crp_mg_per_l: float | None,
    pain: float | None,
    phga: float | None,
    morning_stiffness_min: float | None,
    elevation_of_upper_limbs: float | None,
) -> Score:
    """Return PMR-AS: CRP in mg/dL + pain VAS + physician VAS + 0.1 x stiffness in minutes + elevation of upper limbs.

    Parameters
    ----------
    crp_mg_per_l
        CRP in mg/L, the unit it is kept in; divided by ten here.
    pain, phga
        Visual analogue scales, 0 to 10.
    morning_stiffness_min
        Minutes.
    elevation_of_upper_limbs
        0 to 3.
    """
    parts = (crp_mg_per_l, pain, phga, morning_stiffness_min, elevation_of_upper_limbs)
    absent = missing(
        CRP=crp_mg_per_l, pain=pain, PhGA=phga, morning_stiffness=morning_stiffness_min, EUL=elevation_of_upper_limbs
    )
    if absent:
        return not_evaluable(f"missing: {absent}")
    weighted = zip(_WEIGHTS, parts, strict=True)
    return Score(round(sum(weight * part for weight, part in weighted if part is not None), 9))


def _at_visit(visit: PatientVisit) -> Score:
    return pmr_as(*(visit.get(name) for name in _PARTS))


SCORE = ScoreMethod(
    name="PMR_AS",
    function=_at_visit,
    wants="visit",
    needs=("morning_stiffness",),
    unit="points",
    source=RULE.source,
    verified=RULE.verified,
    levels={"PMR_AS": ((RULE.relapse_from, "relapse from"),)},
)
