"""Endpoints of a trial, one class a statistic.

A class says what it needs, measures itself, names its contrast, label, unit and figure, and checks itself. The word
under ``statistic:`` in a trial file chooses the class here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

from immunolab.config import Document, Variants
from immunolab.errors import Problem, nearest
from immunolab.study.endpoints.absolute_count import AbsoluteCount
from immunolab.study.endpoints.assay import Assay
from immunolab.study.endpoints.bead_count import BeadCount
from immunolab.study.endpoints.counts import CountedValue, Joint, SampleCounts, TubeBeads
from immunolab.study.endpoints.endpoint import Direction, Endpoint, Needs, Period, Role, Setting
from immunolab.study.endpoints.event_count import EventCount
from immunolab.study.endpoints.log_ratio import LogRatio
from immunolab.study.endpoints.paired_change import PairedChange
from immunolab.study.endpoints.percent_of_parent import PercentOfParent
from immunolab.study.endpoints.responder import ResponderProportion
from immunolab.study.endpoints.slope_difference import SlopeDifference
from immunolab.study.endpoints.stimulated import StimulatedMinusUnstimulated
from immunolab.study.endpoints.time_to_event import TimeToEvent

__all__ = [
    "STATISTICS",
    "AbsoluteCount",
    "AnyEndpoint",
    "Assay",
    "BeadCount",
    "CountedValue",
    "Direction",
    "Endpoint",
    "EventCount",
    "Joint",
    "LogRatio",
    "Needs",
    "PairedChange",
    "PercentOfParent",
    "Period",
    "ResponderProportion",
    "Role",
    "SampleCounts",
    "Setting",
    "SlopeDifference",
    "StimulatedMinusUnstimulated",
    "TimeToEvent",
    "TubeBeads",
    "endpoint_problems",
    "expanded",
]

STATISTICS: Mapping[str, type[Endpoint]] = {
    kind.statistic: kind
    for kind in (
        PercentOfParent,
        LogRatio,
        AbsoluteCount,
        BeadCount,
        StimulatedMinusUnstimulated,
        PairedChange,
        SlopeDifference,
        ResponderProportion,
        EventCount,
        TimeToEvent,
        Assay,
    )
}
AnyEndpoint = Annotated[Endpoint, Variants("statistic", STATISTICS)]


def expanded(endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    """Return every endpoint with one denominator and variable each; one declared twice is kept once.

    Parameters
    ----------
    endpoints
        As a file declares them.
    """
    declared = {endpoint.identity: endpoint.id for endpoint in endpoints}
    found: dict[tuple[str | None, ...], Endpoint] = {}
    for endpoint in endpoints:
        for one in endpoint.expanded():
            if declared.get(one.identity, one.id) == one.id:
                found.setdefault(one.identity, one)
    return tuple(found.values())


def endpoint_problems(
    endpoints: Sequence[Endpoint], phases: Mapping[str, str] | None, document: Document
) -> Iterator[Problem]:
    """Yield what is wrong with the endpoints of a trial or of a study.

    Parameters
    ----------
    endpoints
        As read; ids may be duplicated.
    phases
        Phase of each visit of the trial; None without a trial, where any visit may be named.
    document
        The file they were read from, for the lines.
    """
    setting = Setting(phases, tuple(name for e in endpoints for name in e.needs.outcomes))
    seen: set[str] = set()
    for i, endpoint in enumerate(endpoints):
        place = ("endpoints", i)
        if endpoint.id in seen:
            yield document.problem((*place, "id"), f"endpoint '{endpoint.id}' is duplicated", "give each its own id")
        seen.add(endpoint.id)
        for key, name in endpoint.named_visits():
            if phases is not None and name not in phases:
                hint = f"{nearest(name, phases)} visits: {', '.join(phases)}".strip()
                yield document.problem((*place, key), f"unknown visit '{name}'", hint)
        for fault in endpoint.faults(setting):
            yield document.problem((*place, fault.key) if fault.key else place, fault.message, fault.hint)
