"""What an investigator reads first: the study, every registered endpoint, what warns, what else was tested."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from immunolab.report.document import place_name
from immunolab.report.figure import Written
from immunolab.report.plan import plan_section, plan_status
from immunolab.results.findings import EndpointFinding, findings
from immunolab.results.findings.absences import patients_of
from immunolab.results.findings.cautions import cautions
from immunolab.results.findings.concerns import concerns
from immunolab.results.findings.sensitivity import beside_the_test
from immunolab.results.run import Run
from immunolab.results.run_in_words import failed_in_words
from immunolab.study.trial import Dosing

READING = (
    "A mean ratio of percentages is the odds ratio of the test taken at the median before. Medians are of the patients "
    "with both visits. An interval that includes no change does not show that there is none."
)
_ROLES = {"primary": "Primary endpoint", "secondary": "Secondary endpoint", "exploratory": "Exploratory"}
_URGENT = frozenset({"death", "withdrawal", "control", "confounding", "exchange"})  # said above the endpoints too


def first_screen(run: Run, pictures: Sequence[Written]) -> dict[str, Any]:
    """Return what the templates of the first screen and of the sentences beside the tests are given.

    Parameters
    ----------
    run
        The finished run.
    pictures
        Those of the report; the small ones are put beside their endpoints.
    """
    found, warned = _planned_first(run, findings(run)), concerns(run)
    return {
        "plan": plan_section(run),
        "facts": tuple(study_facts(run)),
        "simulated": run.study.simulated,
        "answers": [_answer(run, one, pictures) for one in found],
        "reading": READING,
        "urgent": [one for one in warned if one.kind in _URGENT],
        "concerns": warned,
        "cautions": cautions(run),
        "notes": list(run.further_notes),
        "beside": list(_beside(run, found)),
    }


def study_facts(run: Run) -> Iterator[tuple[str, str]]:
    """Yield what the study is, in names and values: drug, patients, samples.

    Parameters
    ----------
    run
        The finished run.
    """
    trial = run.study.trial
    if trial:
        yield "Drug", dosing_in_words(trial.dosing)
    sampled, samples = {s.patient_id for s in run.samples}, len(run.samples)
    patients = {patient for cohort in run.cohorts for patient in patients_of(run, cohort)}
    without = f", {len(patients - sampled)} of them without a sample" if patients - sampled else ""
    arms = f" in {len(run.cohorts)} cohorts ({', '.join(run.cohorts)})" if len(run.cohorts) > 1 else ""
    yield "Patients", f"{len(patients)}{arms}{without}"
    yield "Samples", f"{samples} at {', '.join(run.sampled_visits)}{failed_in_words(run)}"


def dosing_in_words(dosing: Dosing) -> str:
    """Return ``rhIL-2, 1 MIU SC, 42 doses``.

    Parameters
    ----------
    dosing
        The planned calendar.
    """
    dose = "" if dosing.dose_miu is None else f", {dosing.dose_miu:g} MIU{'/m²' if dosing.basis == 'per_m2' else ''}"
    more = f" to {len(dosing.days) + len(dosing.optional_days)}" if dosing.optional_days else ""
    route = f" {dosing.route}" if dosing.route else ""
    return f"{dosing.drug}{dose}{route}, {len(dosing.days)}{more} doses planned"


def _answer(run: Run, finding: EndpointFinding, pictures: Sequence[Written]) -> dict[str, Any]:
    """Return a finding with its place on the page, its heading and the small figure of its endpoint."""
    whose = (finding.figure, finding.cohort)
    own = (p for p in pictures if finding.figure and p.section == "small" and (p.endpoint, p.cohort) == whose)
    return {
        "id": place_name("answer", finding.endpoint, finding.cohort),
        "heading": f"{_where(run, finding)}{_role(run, finding)}: {finding.name}",
        "finding": finding,
        "picture": next(own, None),
        "plan": _status(run, finding)[0],
        "why": _status(run, finding)[1],
    }


def _role(run: Run, finding: EndpointFinding) -> str:
    """Return the role as a heading says it; one that is not in the locked plan is exploratory."""
    if _status(run, finding)[0] == "exploratory" and finding.role != "exploratory":
        return f"Exploratory, not in the plan (registered as {finding.role} since)"
    return _ROLES[finding.role]


def _planned_first(run: Run, found: Sequence[EndpointFinding]) -> list[EndpointFinding]:
    """Return findings with those of endpoints outside the locked plan last; as they are without a plan."""
    return sorted(found, key=lambda one: _status(run, one)[0] == "exploratory")


def _status(run: Run, finding: EndpointFinding) -> tuple[str, str]:
    """Return what an endpoint is to the locked plan, and why; empty words without one."""
    known = plan_status(run)
    names = (finding.endpoint, *finding.measured_as)
    return next((known[name] for name in names if name in known), ("", ""))


def _beside(run: Run, found: Sequence[EndpointFinding]) -> Iterator[dict[str, Any]]:
    """Yield the sentences for a statistician on each registered endpoint that was compared."""
    for one in found:
        shifts = run.shifts_of(one.cohort)  # none of a difference between arms, nor of a group of variables
        for _, row in shifts[shifts["endpoint"] == one.figure].iterrows():
            if sentences := beside_the_test(run, one.cohort, row):
                yield {"heading": f"{_where(run, one)}{one.name}", "sentences": sentences}


def _where(run: Run, finding: EndpointFinding) -> str:
    return f"{finding.cohort}: " if len(run.cohorts) > 1 else ""
