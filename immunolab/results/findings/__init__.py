"""What a run found of each registered endpoint: what first screen, console, `Run` and exports are made of."""

from __future__ import annotations

from collections.abc import Iterator

from immunolab.results.findings.arms import arm_findings
from immunolab.results.findings.counted import response_finding, survival_finding
from immunolab.results.findings.events import event_finding
from immunolab.results.findings.finding import Absence, EndpointFinding, Verdict
from immunolab.results.findings.groups import group_finding
from immunolab.results.findings.paired import paired_finding
from immunolab.results.findings.registry import registered
from immunolab.results.findings.unmeasured import unmeasured_finding
from immunolab.results.run import Run
from immunolab.study.endpoints import Endpoint, EventCount, TimeToEvent, expanded

__all__ = ["Absence", "EndpointFinding", "Verdict", "answers", "findings", "registered"]


def findings(run: Run) -> tuple[EndpointFinding, ...]:
    """Return what was found of every registered endpoint in every cohort, primary first, in registry order.

    Differences between an active arm and the control come before the changes of single cohorts.

    Parameters
    ----------
    run
        The finished run.
    """
    single = [_finding(run, cohort, endpoint) for cohort in run.cohorts for endpoint in registered(run)]
    return (*arm_findings(run), *single)


def answers(run: Run) -> tuple[str, ...]:
    """Return a line for each primary endpoint, for the first endpoint that was compared where none is primary.

    Parameters
    ----------
    run
        The finished run.
    """
    found = findings(run)
    chosen = [one for one in found if one.role == "primary"] or [*(one for one in found if one.n), *found][:1]
    simulated = "simulated data, " if run.study.simulated else ""
    several = len({one.cohort for one in found}) > 1
    return tuple(f"{simulated}{f'{one.cohort}, ' if several else ''}{one.role} endpoint: {one.plain}" for one in chosen)


def _finding(run: Run, cohort: str, endpoint: Endpoint) -> EndpointFinding:
    found: EndpointFinding | None = None
    if endpoint.response is not None:
        found = response_finding(run, cohort, endpoint)
    elif isinstance(endpoint, EventCount):
        found = event_finding(run, cohort, endpoint)
    elif isinstance(endpoint, TimeToEvent):
        found = survival_finding(run, cohort, endpoint)
    else:
        shifts = run.shifts_of(cohort).set_index("endpoint", drop=False)
        members = [(one, shifts.loc[one.id]) for one in _measured(run, endpoint) if one.id in shifts.index]
        if members and (len(endpoint.needs.variables) > 1 or members[0][0].part_of):
            found = group_finding(run, cohort, endpoint, members)
        elif members:
            found = paired_finding(run, cohort, *members[0])
    return found or unmeasured_finding(run, cohort, endpoint)


def _measured(run: Run, endpoint: Endpoint) -> Iterator[Endpoint]:
    """Yield an endpoint as the run compares it: one a variable of a group, else itself without its companions."""
    parts = [one for one in run.study.endpoints if one.part_of == endpoint.id]
    if parts:
        yield from parts
        return
    several = len(endpoint.needs.variables) > 1
    for one in expanded([endpoint]):
        if one.id in run.declared and (several or one.id == endpoint.id):
            yield one
