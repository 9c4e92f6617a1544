"""What a score is: a function, and a record of what it is given, what it gives and where it comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from immunolab.clinical.patients import PatientVisit
from immunolab.config import build, read_package_yaml
from immunolab.schema.flags import Flag

F = TypeVar("F")
Wants = Literal["visit", "baseline", "previous", "course"]


@dataclass(frozen=True)
class Score:
    """A score's value, or the reason why it cannot be evaluated; of an event, the reason says how it was seen."""

    value: float | None
    reason: str = ""
    flag: str = ""


@dataclass(frozen=True)
class ScoredVisit:
    """A score of a patient at a visit: a row of scores.csv."""

    patient_id: str
    visit: str
    name: str
    score: Score
    unit: str
    source: str
    verified: bool

    def row(self) -> dict[str, object]:
        """Return the columns of `SCORES`."""
        words = [self.score.flag, "" if self.verified else Flag.UNVERIFIED]
        return {
            "patient_id": self.patient_id,
            "visit": self.visit,
            "score": self.name,
            "value": self.score.value,
            "unit": self.unit,
            "flag": ";".join(word for word in words if word) or None,
            "reason": self.score.reason or None,
            "source": self.source,
            "verified": "yes" if self.verified else "no",
        }


@dataclass(frozen=True)
class Criterion:
    """What a responder must reach: a value of ``least`` or more."""

    name: str
    least: float

    def met(self, value: float) -> bool:
        """Return whether a value makes a responder."""
        return value >= self.least


@dataclass(frozen=True)
class Component:
    """A measure that a composite response is made of, before and after.

    Attributes
    ----------
    improvement
        In percent of ``improvement_of``, above zero when better; None where it cannot be evaluated.
    call
        improved, same, worsened or not_evaluable.
    points
        Earned, for scores that add points.
    """

    component: str
    before: float | None
    after: float | None
    improvement: float | None
    improvement_of: Literal["baseline", "scale range"]
    call: str
    points: float | None = None


@dataclass(frozen=True)
class ResponseRule:
    """Where a definition comes from, and whether it was checked against that."""

    source: str
    verified: bool


@dataclass(frozen=True)
class ScoreMethod:
    """The registration of a score.

    Attributes
    ----------
    name
        As trial files and scores.csv name it.
    function
        Gives a `Score` from what ``wants`` says: a `PatientVisit` (``visit``); the baseline visit and a later one
        (``baseline``); two visits in a row (``previous``). With ``course`` it is given the whole `Patient` and gives
        scores by visit.
    needs
        Variables or scores, any one of which a patient must have for the score to be computed.
    unit
        Of the value.
    source, verified
        Where the definition comes from, and whether it was checked against that.
    criteria
        What a responder must reach, least demanding first; none for a score without responders.
    components, measures
        Gives the parts of the response between the baseline visit and a later one, and the variables they are made of.
    levels
        Values that the rule turns on, with their meaning, by the variable or score they belong to.
    rule
        Of an event: what it is, who can have it and in which window, in words.
    registered_window, low_level
        Of an event: the window that the registry names, and the level under which the definition calls a value low, in
        words; empty where it names none.
    follows
        Score that brings this one with it: a study that has that score gets this one too.
    """

    name: str
    function: Callable[..., Any]
    wants: Wants
    needs: tuple[str, ...]
    unit: str
    source: str
    verified: bool
    criteria: tuple[Criterion, ...] = ()
    components: Callable[[PatientVisit, PatientVisit], Iterator[Component]] | None = None
    measures: tuple[str, ...] = ()
    levels: Mapping[str, tuple[tuple[float, str], ...]] | None = None
    rule: str = ""
    registered_window: str = ""
    low_level: str = ""
    follows: str = ""


def not_evaluable(reason: str, flag: Flag | None = None) -> Score:
    """Return a score without a value, and why.

    Parameters
    ----------
    reason
        What is missing, or what contradicts.
    flag
        What that means for an event: the patient could not have it, or was not followed.
    """
    return Score(None, reason, f"{Flag.NOT_EVALUABLE};{flag}" if flag else Flag.NOT_EVALUABLE)


def missing(**parts: float | None) -> str:
    """Return the names of the parts that are None, joined by commas."""
    return ", ".join(name for name, value in parts.items() if value is None)


def facts(kind: type[F], name: str) -> F:
    """Return the facts of a score as a frozen dataclass, from ``NAME.yaml`` beside the score's module.

    Parameters
    ----------
    kind
        The dataclass.
    name
        Of the file, without its suffix.
    """
    return build(kind, read_package_yaml("immunolab.clinical.scores", f"{name}.yaml"))
