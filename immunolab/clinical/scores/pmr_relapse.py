"""Relapse of polymyalgia rheumatica, by its activity score."""

from __future__ import annotations

from immunolab.clinical.patients import PatientVisit
from immunolab.clinical.scores.method import Score, ScoreMethod, missing, not_evaluable
from immunolab.clinical.scores.pmr_as import RULE
from immunolab.schema.flags import Flag


def pmr_relapse(before: float | None, after: float | None) -> Score:
    """Return 1 when PMR-AS is 9.35 or more, or has risen by 6.6 or more since the visit before, else 0.

    A patient whose PMR-AS was not below 9.35 at the visit before has nothing to relapse from and is
    not evaluable.

    Parameters
    ----------
    before, after
        PMR-AS at two visits in a row, in points.
    """
    if before is None or after is None:
        return not_evaluable(f"missing: {missing(PMR_AS_before=before, PMR_AS=after)}")
    if before >= RULE.relapse_from:
        text = f"PMR_AS was {before:g} at the visit before, not below {RULE.relapse_from:g}"
        return not_evaluable(text, Flag.NOT_AT_RISK)
    return Score(float(after >= RULE.relapse_from or round(after - before, 9) >= RULE.relapse_rise))


def _since_visit_before(before: PatientVisit, after: PatientVisit) -> Score:
    return pmr_relapse(before.get("PMR_AS"), after.get("PMR_AS"))


SCORE = ScoreMethod(
    name="PMR_relapse",
    function=_since_visit_before,
    wants="previous",
    needs=("morning_stiffness",),
    unit="relapse",
    source=RULE.source,
    verified=RULE.verified,
    rule=f"PMR_AS {RULE.relapse_from:g} or more, or risen by {RULE.relapse_rise:g} or more since the visit before, "
    f"where it was below {RULE.relapse_from:g} (who can relapse)",
    follows="PMR_AS",
)
