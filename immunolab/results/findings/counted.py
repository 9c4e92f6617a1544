"""The sentence of an endpoint that counts patients: responders, events of those who could have them, survival."""

from __future__ import annotations

import pandas as pd

from immunolab.plots.numbers import number, p_text
from immunolab.results.findings.absences import gone, patients_of
from immunolab.results.findings.finding import Absence, EndpointFinding
from immunolab.results.findings.words import amount, capital, endpoint_name, listed, present
from immunolab.results.run import Run, in_cohort
from immunolab.study.endpoints import Endpoint
from immunolab.vocabulary.display_names import display_name

_DESCRIBED = "described, for no rate was registered to compare it with"


def response_finding(run: Run, cohort: str, endpoint: Endpoint) -> EndpointFinding | None:
    """Return responders at the last registered visit and at those before it; None where no response was evaluated.

    Parameters
    ----------
    run
        The finished run.
    cohort
        Its name; "" where the sheet has no cohorts.
    endpoint
        One of responders.
    """
    table = run.table("responders")
    rows = table[table["score"] == endpoint.response]
    rows = rows[in_cohort(rows, cohort)] if "cohort" in rows else rows
    rows = rows[rows["visit"].isin(endpoint.visits or tuple(rows["visit"]))]
    if rows.empty:
        return None
    criteria = list(dict.fromkeys(rows["criterion"]))
    rows = rows[rows["criterion"] == criteria[0]]
    last = rows.iloc[-1]
    missing = _unanswered(run, cohort, str(endpoint.response), str(last["visit"]))
    rate = _rate(last["n_responders"], last["n_patients"], *_limits(last, "percent_worst_case", "worst_case_"))
    none = ", a missing response counted as none" if len(missing) else ""
    name = display_name(str(endpoint.response))
    before = listed(f"{r['n_responders']} at {r['visit']}" for _, r in rows.iloc[:-1].iterrows())
    earlier = f"; {before}, of {last['n_patients']}" if before else ""
    return EndpointFinding(
        endpoint=endpoint.id,
        cohort=cohort,
        name=endpoint_name(endpoint),
        role=endpoint.role,
        visits=endpoint.visits,
        measured_as=(endpoint.id,),
        plain=f"{capital(name)}: response at {last['visit']} in {rate}{none}{earlier}: {_against_rate(run, endpoint)}.",
        verdict="described",
        n=int(last["n_evaluable"]),
        of=int(last["n_patients"]),
        missing=missing,
        statistics=_tests(run, cohort, endpoint, last),
        beside=_unverified(last, endpoint),
    )


def event_finding(run: Run, cohort: str, endpoint: Endpoint) -> EndpointFinding | None:
    """Return how many patients had an event, of those who could have it; None where it was not looked for.

    Parameters
    ----------
    run, cohort
        As for `response_finding`.
    endpoint
        One that counts an event.
    """
    table = run.table("event_counts")
    rows = table[(table["endpoint"] == endpoint.id) & in_cohort(table, cohort)] if len(table) else table
    if rows.empty:
        return None
    row = rows.iloc[0]
    name, at_risk, of = display_name(endpoint.id), int(row["n_at_risk"]), int(row["n_patients"])
    rate = _rate(row["n_with_event"], row["n_followed"], *_limits(row, "percent", ""))
    lost = f", {row['n_not_followed']} of them not followed" if row["n_not_followed"] else ""
    could = f"{at_risk} of {of} patients could have one{lost}"
    had = f"{capital(name)} in {rate} at risk" if row["n_followed"] else f"{capital(name)}: nobody at risk was followed"
    return EndpointFinding(
        endpoint=endpoint.id,
        cohort=cohort,
        name=capital(endpoint_name(endpoint)),
        role=endpoint.role,
        visits=endpoint.visits,
        measured_as=(endpoint.id,),
        plain=f"{had}; {could}: {_DESCRIBED}.",
        verdict="described",
        n=int(row["n_followed"]),
        of=of,
        missing=_fates(present(row["missing"])),
        statistics=f"Clopper-Pearson 95 % interval; rule: {row['rule']}.",
        beside=(*_when(run, cohort, endpoint), *_unverified(row, endpoint)),
    )


def survival_finding(run: Run, cohort: str, endpoint: Endpoint) -> EndpointFinding | None:
    """Return how many patients had an event by the end of follow-up, and the share without it; None without outcomes.

    Parameters
    ----------
    run, cohort
        As for `response_finding`.
    endpoint
        A time to event.
    """
    table, curve = run.table("time_to_event"), run.table("survival")
    rows = table[(table["endpoint"] == endpoint.id) & in_cohort(table, cohort)] if len(table) else table
    if rows.empty:
        return None
    row = rows.iloc[0]
    events, known, of = int(row["n_events"]), int(row["n_with_outcome"]), int(row["n_patients"])
    happened = "died" if endpoint.id == "survival" else f"had the event ({display_name(endpoint.id)})"
    who = _who(run, endpoint)
    own = curve[(curve["endpoint"] == endpoint.id) & in_cohort(curve, cohort)].dropna(subset=["percent"])
    share = ""
    if len(own):
        end = own.iloc[-1]
        free = "alive" if endpoint.id == "survival" else "without it"
        share = f"; {amount(end['percent'])} % {free} by Kaplan and Meier"
        if not pd.isna(end["ci_low"]):
            share += f" (95 % interval {amount(end['ci_low'])} to {amount(end['ci_high'])} %)"
    return EndpointFinding(
        endpoint=endpoint.id,
        cohort=cohort,
        name=capital(endpoint_name(endpoint)),
        role=endpoint.role,
        visits=endpoint.visits,
        measured_as=(endpoint.id,),
        plain=f"{events} of {known} patients {happened}{who} by day {int(row['last_day'])}{share}: {_DESCRIBED}.",
        verdict="described",
        n=known,
        of=of,
        missing=_without_outcome(run, cohort, known, of),
        statistics=f"{row['method']}; n = {known}, {events} events.",
    )


def _limits(row: pd.Series, percent: str, prefix: str) -> tuple[float, float, float]:
    return row[percent], row[f"{prefix}ci_low"], row[f"{prefix}ci_high"]


def _rate(n: object, of: object, percent: float, low: float, high: float) -> str:
    if pd.isna(percent):
        return f"{n} of {of} patients"
    return f"{n} of {of} patients ({amount(percent)} %, 95 % interval {amount(low)} to {amount(high)} %)"


def _unanswered(run: Run, cohort: str, score: str, visit: str) -> tuple[Absence, ...]:
    """Return the patients without a response at a visit, each with the reason."""
    table = run.table("responses")
    if table.empty:
        return ()
    rows = table[(table["score"] == score) & (table["visit"] == visit) & in_cohort(table, cohort)]
    lacking = rows[rows["response"] == "missing"]
    return tuple(
        Absence(str(r.patient_id), gone(run, str(r.patient_id), visit) or present(r.reason) or f"no score at {visit}")
        for r in lacking.itertuples()
    )


def _against_rate(run: Run, endpoint: Endpoint) -> str:
    if endpoint.reference_rate is None:
        return _DESCRIBED
    table = run.table("response_tests")
    rows = table[(table["endpoint"] == endpoint.id) & (table["test"] == "binomial")] if len(table) else table
    p = f" ({p_text(rows.iloc[0]['p_value'])})" if len(rows) else ""
    return f"set against the registered rate of {endpoint.reference_rate:g} %{p}"


def _tests(run: Run, cohort: str, endpoint: Endpoint, last: pd.Series) -> str:
    """Return the exact interval and the tests of responses, a missing response counted as none."""
    table = run.table("response_tests")
    parts = ["Clopper-Pearson 95 % intervals"]
    if last["n_evaluable"] != last["n_patients"]:
        known = _rate(last["n_responders"], last["n_evaluable"], *_limits(last, "percent", ""))
        parts.append(f"{known} with a response known")
    if len(table):
        own = table[(table["endpoint"] == endpoint.id) & in_cohort(table, cohort)]
        for _, row in own[(own["missing_as"] == "non_response") & own["p_value"].notna()].iterrows():
            size = "" if pd.isna(row["estimate"]) else f", {row['estimate_is']} {number(row['estimate'])}"
            visits = ", ".join(str(row["visits"]).split())
            parts.append(f"{row['method']} over {visits}{size}, {p_text(row['p_value'])}, two-sided")
    return "; ".join(parts) + "."


def _unverified(row: pd.Series, endpoint: Endpoint) -> tuple[str, ...]:
    if row["verified"] == "yes":
        return ()
    return (f"The definition used for {display_name(endpoint.needs.scores[0])} was not checked against its source.",)


def _fates(text: str) -> tuple[Absence, ...]:
    """Return patients and reasons of the column ``missing`` (``P01: not at risk, why; P02: ...``)."""
    parts = [one.split(": ", 1) for one in text.split("; ") if ": " in one]
    return tuple(Absence(patient, _why(reason)) for patient, reason in parts)


def _why(reason: str) -> str:
    """Return a reason without the value in brackets behind it, so that patients of one reason come together."""
    words = reason.replace("not at risk, ", "could not have it: ").replace("not followed, ", "not followed: ")
    return words.rsplit(" (", 1)[0]


def _when(run: Run, cohort: str, endpoint: Endpoint) -> tuple[str, ...]:
    """Return how long after the last dose the visits were at which the event was seen."""
    rows = run.endpoints
    own = rows[(rows["endpoint"] == endpoint.id) & in_cohort(rows, cohort) & (rows["value"] == 1)]
    since = own.dropna(subset=["days_since_last_dose"]).sort_values("days_since_last_dose")
    if since.empty:
        return ()
    each = ", ".join(f"{p} {int(d)}" for p, d in zip(since["patient_id"], since["days_since_last_dose"], strict=True))
    rule = f" Registered: {endpoint.rule}." if endpoint.rule else ""
    return (f"Days from the last dose to the visit at which it was seen: {each}.{rule}",)


def _who(run: Run, endpoint: Endpoint) -> str:
    """Return `` (ALS003 on day 221)`` where the study says who and when; "" elsewhere."""
    events = run.table("intercurrent_events")
    own = events[(events["detail"] == f"event of {endpoint.id}") & events["study_day"].notna()]
    texts = [f"{r.patient_id} on day {int(r.study_day)}" for r in own.itertuples()]
    return f" ({'; '.join(texts)})" if texts else ""


def _without_outcome(run: Run, cohort: str, known: int, of: int) -> tuple[Absence, ...]:
    """Return the patients whose outcome is in no file, where the study can say who they are."""
    if known == of:
        return ()
    events = run.table("intercurrent_events")
    lacking = set(events.loc[events["detail"] == "no line in the outcomes", "patient_id"])
    return tuple(Absence(p, "no line in the outcomes") for p in patients_of(run, cohort) if p in lacking)
