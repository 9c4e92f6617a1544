"""The ACR/EULAR 2016 total improvement score of adult myositis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from immunolab.clinical.patients import PatientVisit
from immunolab.clinical.scores.core_set import CORE_SET, better, core_sets
from immunolab.clinical.scores.method import (
    Component,
    Criterion,
    ResponseRule,
    Score,
    ScoreMethod,
    facts,
    not_evaluable,
)


@dataclass(frozen=True)
class _TotalImprovementFacts(ResponseRule):
    """Points of the total improvement score, by improvement in percent of the scale's range."""

    bins: dict[str, tuple[tuple[float, float], ...]]
    scale_ranges: dict[str, float]
    categories: dict[str, float]


_RULE = facts(_TotalImprovementFacts, "acr_eular_2016_tis")


def total_improvement(before: Mapping[str, float | None], after: Mapping[str, float | None]) -> Score:
    """Return the ACR/EULAR 2016 total improvement score, 0 to 100, of adult myositis.

    Each of six core-set measures earns points for its improvement in percent of the scale's range;
    worsening earns none.

    Parameters
    ----------
    before, after
        Value of each core-set measure, the muscle enzyme in times its upper limit of normal.
    """
    points = improvement_points(before, after)
    absent = [measure for measure in CORE_SET if measure not in points]
    return not_evaluable(f"missing: {', '.join(absent)}") if absent else Score(sum(points.values()))


def improvement_points(before: Mapping[str, float | None], after: Mapping[str, float | None]) -> dict[str, float]:
    """Return the points of each core-set measure that is there before and after.

    Parameters
    ----------
    before, after
        As for `total_improvement`.
    """
    points: dict[str, float] = {}
    for measure in CORE_SET:
        first, last = before.get(measure), after.get(measure)
        if first is not None and last is not None:
            percent = _scale_percent(measure, first, last)
            points[measure] = next(earned for upper, earned in _RULE.bins[measure] if percent <= upper)
    return points


def _scale_percent(measure: str, before: float, after: float) -> float:
    """Return the improvement of a core-set measure in percent of its scale's range."""
    return round(100 * better(measure, before, after) / _RULE.scale_ranges[measure], 9)


def _components(first: PatientVisit, later: PatientVisit) -> Iterator[Component]:
    before, after = core_sets(first, later)
    points = improvement_points(before, after)
    for measure in CORE_SET:
        x, y = before[measure], after[measure]
        change = None if x is None or y is None else _scale_percent(measure, x, y)
        call = "not_evaluable" if change is None else "improved" if points[measure] else "same"
        if change is not None and change < 0:
            call = "worsened"
        yield Component(measure, x, y, change, "scale range", call, points.get(measure))


SCORE = ScoreMethod(
    name="ACR_EULAR_2016_TIS",
    function=lambda before, after: total_improvement(*core_sets(before, after)),
    wants="baseline",
    needs=("MMT_8", "PhGA"),
    unit="points",
    source=_RULE.source,
    verified=_RULE.verified,
    criteria=tuple(Criterion(f"{name} ({least:g} or more)", least) for name, least in _RULE.categories.items()),
    components=_components,
    measures=CORE_SET,
    levels={"ACR_EULAR_2016_TIS": tuple((least, name) for name, least in _RULE.categories.items())},
)
