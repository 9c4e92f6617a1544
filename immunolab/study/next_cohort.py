"""The next cohort that power is computed for, as study.yaml declares it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from immunolab.config import Document
from immunolab.errors import Problem, nearest
from immunolab.study.endpoints import Endpoint

_FEWEST, _MOST = 3, 1_000  # patients: a test needs 3 pairs, no cohort of this field has more


@dataclass(frozen=True)
class NextCohort:
    """What is planned next.

    Attributes
    ----------
    fold
        True effect of every endpoint that is compared by its logarithm or log odds: a ratio of values or of odds.
    effects
        Endpoint -> its own effect: a ratio on such scales, else a difference in its unit.
    patients
        Sizes that are asked about.
    """

    fold: float = 1.5
    effects: dict[str, float] = field(default_factory=dict)
    patients: tuple[int, ...] = (8, 13, 20, 40)


def next_cohort_problems(planned: NextCohort, endpoints: Sequence[Endpoint], document: Document) -> Iterator[Problem]:
    """Yield effects that are none, endpoints that are not there, and sizes that no test can be made of.

    Parameters
    ----------
    planned
        As study.yaml declares it.
    endpoints
        Of the study, one denominator each.
    document
        The file, for the lines.
    """
    if planned.fold <= 0 or planned.fold == 1:
        text = f"{planned.fold:g} is no change by a factor"
        yield document.problem(("next_cohort", "fold"), text, "above 0 and not 1, such as 1.5 or 0.67")
    known = {endpoint.id: endpoint for endpoint in endpoints}
    for name, size in planned.effects.items():
        place = ("next_cohort", "effects", name)
        if name not in known:
            hint = f"{nearest(name, known)} endpoints: {', '.join(known)}".strip()
            yield document.problem(place, f"there is no endpoint '{name}'", hint)
        elif size == 0 or ((size <= 0 or size == 1) and known[name].parts is not None):
            text = f"{size:g} is no effect of {name}"
            yield document.problem(place, text, "a factor above 0 and not 1 for shares, ratios and counts")
    if not planned.patients or min(planned.patients) < _FEWEST or max(planned.patients) > _MOST:
        text = f"sizes of a cohort are {_FEWEST} to {_MOST} patients"
        yield document.problem(("next_cohort", "patients"), text, "such as [8, 13, 20, 40]")
