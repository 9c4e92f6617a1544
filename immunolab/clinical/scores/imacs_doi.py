"""The definition of improvement in myositis (IMACS)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from immunolab.clinical.patients import PatientVisit
from immunolab.clinical.scores.core_set import CORE_SET, HIGHER_BETTER, better
from immunolab.clinical.scores.method import (
    Component,
    Criterion,
    ResponseRule,
    Score,
    ScoreMethod,
    facts,
    not_evaluable,
)
from immunolab.schema.flags import Flag


@dataclass(frozen=True)
class _ImacsDoiFacts(ResponseRule):
    """Thresholds of the definition of improvement."""

    improved_percent: float
    improved_at_least: int
    worsened_percent: float
    worsened_at_most: int


_RULE = facts(_ImacsDoiFacts, "imacs_doi")


def imacs_doi(before: Mapping[str, float | None], after: Mapping[str, float | None]) -> Score:
    """Return 1 for improvement by the IMACS definition, else 0.

    At least 3 of 6 core-set measures improve by 20 % or more of their baseline, at most 2 worsen by
    25 % or more, and muscle strength is not among those. Measures that are missing, or whose
    baseline is 0, leave the call open only where they could change it.

    Parameters
    ----------
    before, after
        Value of each core-set measure at baseline and later.
    """
    calls = {measure: _calls(measure, before.get(measure), after.get(measure)) for measure in CORE_SET}
    surely = _met(
        sum(c == {"improved"} for c in calls.values()),
        sum("worsened" in c for c in calls.values()),
        "worsened" in calls[HIGHER_BETTER],
    )
    possibly = _met(
        sum("improved" in c for c in calls.values()),
        sum(c == {"worsened"} for c in calls.values()),
        calls[HIGHER_BETTER] == {"worsened"},
    )
    opened = [measure for measure, call in calls.items() if len(call) > 1]
    if surely == possibly:
        return Score(float(surely), flag=Flag.INCOMPLETE if opened else "")
    zero = [m for m in opened if before.get(m) == 0 and after.get(m) is not None]
    parts = [f"missing: {', '.join(m for m in opened if m not in zero)}"] if len(zero) < len(opened) else []
    parts += [f"baseline 0 has no percent change: {', '.join(zero)}"] if zero else []
    return not_evaluable("; ".join(parts))


def _met(improved: int, worsened: int, strength_worse: bool) -> bool:
    return improved >= _RULE.improved_at_least and worsened <= _RULE.worsened_at_most and not strength_worse


def _calls(measure: str, before: float | None, after: float | None) -> set[str]:
    """Return what the measure's call can be: improved, same, worsened; several where it is open."""
    if before is None or after is None:
        return {"improved", "same", "worsened"}
    change = _improvement_percent(measure, before, after)
    if change is None:
        return {"same", "improved"} if measure == HIGHER_BETTER else {"same", "worsened"}
    if change >= _RULE.improved_percent:
        return {"improved"}
    return {"worsened"} if change <= -_RULE.worsened_percent else {"same"}


def _improvement_percent(measure: str, before: float, after: float) -> float | None:
    """Return the improvement of a core-set measure in percent of its baseline; None for a baseline of 0."""
    if before == 0:
        return 0.0 if after == 0 else None
    return round(100 * better(measure, before, after) / before, 9)


def _components(before: PatientVisit, after: PatientVisit) -> Iterator[Component]:
    for measure in CORE_SET:
        x, y = before.get(measure), after.get(measure)
        change = None if x is None or y is None else _improvement_percent(measure, x, y)
        calls = _calls(measure, x, y)
        call = next(iter(calls)) if len(calls) == 1 else "not_evaluable"
        yield Component(measure, x, y, change, "baseline", call)


SCORE = ScoreMethod(
    name="IMACS_DOI",
    function=lambda before, after: imacs_doi(before.values, after.values),
    wants="baseline",
    needs=("MMT_8", "PhGA"),
    unit="responder",
    source=_RULE.source,
    verified=_RULE.verified,
    criteria=(Criterion("responder", 1),),
    components=_components,
    measures=CORE_SET,
)
