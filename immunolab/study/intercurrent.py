"""What a trial estimates when something intervenes: intercurrent events and the strategy for each (ICH E9(R1) 2019)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from immunolab.config import Document, Variants
from immunolab.errors import Problem, nearest
from immunolab.study.endpoints import Endpoint

Strategy = Literal["treatment_policy", "hypothetical", "while_on_treatment", "composite"]
TERMINAL = "death"  # after it there are no values, so no strategy can take them as they are (ICH E9(R1), A.3.3)


@dataclass(frozen=True, kw_only=True)
class IntercurrentEvent:
    """An event after the first dose that bears on what a later value means.

    Attributes
    ----------
    event
        Its name, such as ``rescue_steroids``.
    strategy
        ``treatment_policy`` takes values whatever happened; ``hypothetical`` sets those from the event on missing;
        ``while_on_treatment`` takes the last one before it in place of the later visit; ``composite``, for responses
        alone, counts the event as no response.
    endpoints
        Strategy by endpoint id where it is another.
    source, note
        Where that is said.
    """

    event: str
    strategy: Strategy
    source: str
    endpoints: dict[str, Strategy] = field(default_factory=dict)
    note: str = ""

    seen_in: ClassVar[str]

    @property
    def rule(self) -> str:
        """What makes the event, in words."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class MissedDoses(IntercurrentEvent):
    """More of the calendar's doses missed than ``more_than``, in percent of all of them."""

    more_than: float
    seen_in: ClassVar[str] = "doses"

    @property
    def rule(self) -> str:
        """What makes the event, in words."""
        return f"more than {self.more_than:g} % of the planned doses not given"


@dataclass(frozen=True, kw_only=True)
class Rise(IntercurrentEvent):
    """A measured variable ``rise`` or more, in its unit, above its value at baseline."""

    variable: str
    rise: float
    seen_in: ClassVar[str] = "measurements"

    @property
    def rule(self) -> str:
        """What makes the event, in words."""
        return f"{self.variable} {self.rise:g} or more above baseline"


@dataclass(frozen=True, kw_only=True)
class Outcome(IntercurrentEvent):
    """An event of a time_to_event endpoint, named by its id."""

    outcome: str
    seen_in: ClassVar[str] = "outcomes"

    @property
    def rule(self) -> str:
        """What makes the event, in words."""
        return f"event of {self.outcome}"


@dataclass(frozen=True, kw_only=True)
class Listed(IntercurrentEvent):
    """A line of the study's table of intercurrent events with this event's name."""

    seen_in: ClassVar[str] = "table"

    @property
    def rule(self) -> str:
        """What makes the event, in words."""
        return "listed in the table of intercurrent events"


KINDS: Mapping[str, type[IntercurrentEvent]] = {kind.seen_in: kind for kind in (MissedDoses, Rise, Outcome, Listed)}
AnyEvent = Annotated[IntercurrentEvent, Variants("seen_in", KINDS)]


@dataclass(frozen=True, kw_only=True)
class Estimand:
    """What is estimated; the variable and the contrast are those of each endpoint.

    Attributes
    ----------
    population, treatment
        Whom it is about, and what they are given, in words.
    events
        Intercurrent events, each with its strategy.
    source, note
        Where that is said.
    """

    population: str
    treatment: str
    source: str
    events: tuple[AnyEvent, ...] = ()
    note: str = ""

    def strategy(self, event: str, endpoint: str) -> Strategy:
        """Return the strategy for an event in an endpoint.

        Parameters
        ----------
        event
            Name of a declared event.
        endpoint
            Endpoint id. One made of a declared endpoint (``cytokine_IL-6`` of ``cytokine``, a companion) follows it.
        """
        declared = next(one for one in self.events if one.event == event)
        if endpoint in declared.endpoints:
            return declared.endpoints[endpoint]
        made_of = [name for name in declared.endpoints if endpoint.startswith(f"{name}_")]
        return declared.endpoints[max(made_of, key=len)] if made_of else declared.strategy


def estimand_problems(
    estimand: Estimand | None, endpoints: Sequence[Endpoint], expanded: Sequence[Endpoint], document: Document
) -> Iterator[Problem]:
    """Yield what is wrong with the estimand of a trial.

    Parameters
    ----------
    estimand
        As read; None where the file declares none.
    endpoints, expanded
        The trial's endpoints as declared, and with one denominator and variable each.
    document
        The file, for the lines.
    """
    known = {e.id: e for e in (*expanded, *endpoints)}
    outcomes = [name for e in endpoints for name in e.needs.outcomes]
    seen: set[str] = set()
    for i, one in enumerate(estimand.events if estimand else ()):
        place = ("estimand", "events", i)
        if one.event in seen:
            yield document.problem((*place, "event"), f"event '{one.event}' is duplicated", "keep one of them")
        seen.add(one.event)
        if one.strategy == "composite":
            text = "composite is for responses: name them under endpoints"
            yield document.problem((*place, "strategy"), text, "endpoints: {sri: composite}")
        if one.event == TERMINAL and "treatment_policy" in (one.strategy, *one.endpoints.values()):
            text = "after death there are no values to take as they are"
            yield document.problem((*place, "strategy"), text, "hypothetical, while_on_treatment, or composite")
        if isinstance(one, Outcome) and one.outcome not in outcomes:
            hint = f"{nearest(one.outcome, outcomes)} time_to_event endpoints: {', '.join(outcomes) or 'none'}".strip()
            yield document.problem((*place, "outcome"), f"'{one.outcome}' is no time_to_event endpoint", hint)
        if isinstance(one, MissedDoses) and not 0 <= one.more_than < 100:
            yield document.problem((*place, "more_than"), "a percentage from 0 to below 100 is needed")
        if isinstance(one, Rise) and one.rise <= 0:
            yield document.problem((*place, "rise"), "a rise above 0 is needed", "in the unit of the variable")
        for name, strategy in one.endpoints.items():
            where = (*place, "endpoints", name)
            if name not in known:
                yield document.problem(where, f"unknown endpoint '{name}'", nearest(name, known))
            elif strategy == "composite" and not (known[name].response or known[name].death_endpoint):
                text = f"{name} is no response, and no slope with deaths: composite needs one"
                yield document.problem(where, text, "treatment_policy, hypothetical or while_on_treatment")
