"""The SLE responder index: disease activity falls, and nothing else gets worse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from immunolab.clinical.patients import PatientVisit
from immunolab.clinical.scores.method import (
    Criterion,
    ResponseRule,
    Score,
    ScoreMethod,
    facts,
    missing,
    not_evaluable,
)
from immunolab.schema.flags import Flag

_GRADE_A, _GRADE_B = 4, 3  # BILAG grades as numbers: A is 4 ... E is 0


@dataclass(frozen=True)
class _Sri4Facts(ResponseRule):
    """Thresholds of the index."""

    sledai_fall: float
    pga_rise_below: float
    new_a: int
    new_b: int


_RULE = facts(_Sri4Facts, "sri_4")


def sri_4(
    sledai_before: float | None,
    sledai: float | None,
    new_a: float | None,
    new_b: float | None,
    pga_before: float | None,
    pga: float | None,
) -> Score:
    """Return 1 for a responder by the SLE responder index, else 0.

    SELENA-SLEDAI falls by 4 or more, and there is no new BILAG A and at most one new B, and the
    physician's global assessment (0 to 3) rises by less than 0.3. A component that is missing leaves
    the index open unless another component already fails: that is 0, flagged ``incomplete``.

    Parameters
    ----------
    sledai_before, sledai
        SELENA-SLEDAI at baseline and now.
    new_a, new_b
        Organ systems with a new BILAG A or B.
    pga_before, pga
        Physician's global assessment, 0 to 3.
    """
    met = [
        None if sledai_before is None or sledai is None else sledai_before - sledai >= _RULE.sledai_fall,
        None if new_a is None else new_a <= _RULE.new_a,
        None if new_b is None else new_b <= _RULE.new_b,
        None if pga_before is None or pga is None else round(pga - pga_before, 9) < _RULE.pga_rise_below,
    ]
    if all(met):
        return Score(1.0)
    if any(part is False for part in met):
        return Score(0.0, flag=Flag.INCOMPLETE if None in met else "")
    absent = missing(
        SLEDAI_before=sledai_before, SLEDAI=sledai, new_BILAG_A=new_a, new_BILAG_B=new_b, PGA_before=pga_before, PGA=pga
    )
    return not_evaluable(f"missing: {absent}")


def new_bilag(before: Mapping[str, float | None], after: Mapping[str, float | None]) -> tuple[int | None, int | None]:
    """Return how many organ systems newly have BILAG A, and newly B.

    A new B is a B in a system that was C, D or E.

    Parameters
    ----------
    before, after
        Grade by organ system, A is 4 ... E is 0.

    Returns
    -------
    tuple
        None twice when a system is not graded at both visits.
    """
    systems = {*before, *after}
    if not systems or any(before.get(s) is None or after.get(s) is None for s in systems):
        return None, None
    pairs = [(before[s], after[s]) for s in systems]
    new_a = sum(b != _GRADE_A and a == _GRADE_A for b, a in pairs)
    return new_a, sum(b is not None and b < _GRADE_B and a == _GRADE_B for b, a in pairs)


def _since_baseline(before: PatientVisit, after: PatientVisit) -> Score:
    counted = after.get("BILAG_new_A"), after.get("BILAG_new_B")
    new_a, new_b = new_bilag(before.items("BILAG"), after.items("BILAG")) if counted == (None, None) else counted
    sledai, pga = ((before.get(name), after.get(name)) for name in ("SELENA_SLEDAI", "PGA"))
    return sri_4(*sledai, new_a, new_b, *pga)


SCORE = ScoreMethod(
    name="SRI_4",
    function=_since_baseline,
    wants="baseline",
    needs=("SELENA_SLEDAI", "PGA"),
    unit="responder",
    source=_RULE.source,
    verified=_RULE.verified,
    criteria=(Criterion("responder", 1),),
)
