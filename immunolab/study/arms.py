"""Which cohorts of a study are arms of one trial, and which of them is the control."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from immunolab.config import Document
from immunolab.errors import Problem, allowed_hint


@dataclass(frozen=True)
class TrialArms:
    """The arms, as a trial file or study.yaml declares them under ``arms``.

    Attributes
    ----------
    control
        Cohort that the others are compared with.
    active
        Cohorts that are compared with it, in the order they are shown; empty takes every other cohort.
    """

    control: str
    active: tuple[str, ...] = ()


def arm_problems(arms: TrialArms | None, cohorts: Iterable[str], document: Document) -> Iterator[Problem]:
    """Yield each arm of study.yaml that no patient of the sheet is in, and a control among the active arms.

    Parameters
    ----------
    arms
        As declared.
    cohorts
        Of the sheet.
    document
        Study.yaml, for the lines.
    """
    if arms is None:
        return
    known = sorted(set(cohorts) - {""})
    hint = "the sheet needs a column cohort that names each patient's arm"
    for place, name in ((("control",), arms.control), *((("active", i), a) for i, a in enumerate(arms.active))):
        if name not in known:
            text = f"no sample of the sheet is of cohort '{name}'"
            yield document.problem(("arms", *place), text, allowed_hint(name, known) if known else hint)
    if arms.control in arms.active:
        yield document.problem(("arms", "active"), f"'{arms.control}' is the control arm", "leave it out of active")
