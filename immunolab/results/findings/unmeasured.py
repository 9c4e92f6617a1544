"""The sentence of a registered endpoint that the run has no result of, and why."""

from __future__ import annotations

import pandas as pd

from immunolab.results.cohort_rows import in_cohort
from immunolab.results.findings.absences import absences, patients_of, withheld_because
from immunolab.results.findings.finding import EndpointFinding
from immunolab.results.findings.words import capital, endpoint_name, listed
from immunolab.results.run import Run
from immunolab.study.endpoints import Endpoint
from immunolab.vocabulary.display_names import display_name


def unmeasured_finding(run: Run, cohort: str, endpoint: Endpoint) -> EndpointFinding:
    """Return that an endpoint was not measured, or measured and not compared, with what it needs.

    Parameters
    ----------
    run
        The finished run.
    cohort
        Its name; "" where the sheet has no cohorts.
    endpoint
        Without a row of SHIFTS, and of the tables of counted patients, in the cohort.
    """
    rows = run.endpoints
    names = {endpoint.id, *(one.id for one in endpoint.expanded())}
    own = rows[rows["endpoint"].isin(names) & in_cohort(rows, cohort)]
    values = own[own["value"].notna()]
    declared = run.declared.get(endpoint.id)
    visits = endpoint.contrast or endpoint.timing
    missing = absences(run, cohort, declared, visits) if declared is not None and len(values) and visits else ()
    if len(values):
        at = ", ".join(dict.fromkeys(map(str, values["visit"])))
        n = values["patient_id"].nunique()
        plain = f"Measured at {at} in {n} patients, not compared: {_not_compared(values, endpoint)}."
    elif not names & set(run.declared):
        plain = "Registered, and not among the endpoints that study.yaml asks for."
    elif reasons := withheld_because(own):
        plain = f"Not evaluable in any sample: {listed(reasons)}."
    else:
        plain = f"Not measured in this study: it needs {_needs(endpoint)}{_lacking(run, endpoint)}."
    return EndpointFinding(
        endpoint=endpoint.id,
        cohort=cohort,
        name=capital(endpoint_name(endpoint)),
        role=endpoint.role,
        visits=endpoint.visits or endpoint.timing,
        measured_as=tuple(dict.fromkeys(map(str, values["endpoint"]))),
        plain=plain,
        verdict="described" if len(values) else "not_measured",
        n=0,
        of=len(patients_of(run, cohort)),
        missing=missing,
    )


def _not_compared(values: pd.DataFrame, endpoint: Endpoint) -> str:
    """Return why an endpoint with values has no change."""
    seen = values.groupby("patient_id")["visit"].agg(lambda visits: frozenset(map(str, visits)))
    if all(len(visits) < 2 for visits in seen):
        return "no patient has two visits"
    if endpoint.contrast and not any(set(endpoint.contrast) <= visits for visits in seen):
        return f"no patient has both {' and '.join(endpoint.contrast)}"
    return "the run compared no two of these visits"


def _lacking(run: Run, endpoint: Endpoint) -> str:
    """Return ``, and the panel lacks CD127 for Treg`` where it does; "" elsewhere."""
    reasons: dict[str, list[str]] = {}
    for name in endpoint.needs.populations:
        if name in run.lacking:
            reasons.setdefault(run.lacking[name], []).append(display_name(name))
    parts = []
    for reason, names in reasons.items():
        lacks, _, other = reason.partition("; ")
        parts.append(f"{lacks} for {listed(names)}" + (f" ({other})" if other else ""))
    return f", and {listed(parts)}" if parts else ""


def _needs(endpoint: Endpoint) -> str:
    needs = endpoint.needs
    parts = []
    if needs.populations:
        parts.append(f"gated {listed(map(display_name, needs.populations))}")
    if needs.blood_count:
        parts.append("a lymphocyte count of each sample (lymphocytes_per_ul)")
    if needs.beads:
        parts.append("counting beads of each tube (beads_per_tube, volume_ul)")
    clinic = (*needs.variables, *needs.scores, *needs.assays)
    if clinic:
        parts.append(f"{listed(map(display_name, clinic))} in the measurements")
    if needs.outcomes:
        parts.append(f"{listed(map(display_name, needs.outcomes))} in the outcomes")
    return listed(parts)
