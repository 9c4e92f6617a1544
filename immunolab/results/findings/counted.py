"""The sentence of an endpoint that counts patients: responders, survival; words that both and events share."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from immunolab.clinical.responders import reason_at
from immunolab.plots.numbers import number, p_text
from immunolab.results.cohort_rows import in_cohort, rows_of
from immunolab.results.findings.absences import gone, patients_of
from immunolab.results.findings.finding import Absence, EndpointFinding
from immunolab.results.findings.words import amount, capital, endpoint_name, listed, n_patients
from immunolab.results.run import Run
from immunolab.schema.csv_files import cell_text
from immunolab.study.endpoints import Endpoint
from immunolab.vocabulary.display_names import display_name

DESCRIBED = "described, for no rate was registered to compare it with"


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
    visits = endpoint.visits or tuple(dict.fromkeys(rows["visit"]))
    rows = rows[rows["visit"].isin(visits)].sort_values("visit", key=lambda v: v.map(visits.index), kind="stable")
    if rows.empty:
        return None
    criteria = list(dict.fromkeys(rows["criterion"]))
    level, stricter = _levels(rows, criteria)
    rows = rows[rows["criterion"] == criteria[0]]
    last = rows.iloc[-1]
    unseen = [visit for visit in endpoint.visits if visit not in set(rows["visit"])]
    missing = _unanswered(run, cohort, str(endpoint.response), str(last["visit"]))
    percent, low, high = limits(last, "percent_worst_case", "worst_case_")
    share = rate(last["n_responders"], last["n_patients"], percent, low, high)
    none = ", a missing response counted as none" if last["n_evaluable"] < last["n_patients"] else ""
    name, against = display_name(str(endpoint.response)), _against_rate(endpoint, low, high)
    before = listed(f"{r['n_responders']} at {r['visit']}" for _, r in rows.iloc[:-1].iterrows())
    earlier = f"; {before}, of {last['n_patients']}" if before else ""
    return EndpointFinding(
        endpoint=endpoint.id,
        cohort=cohort,
        name=endpoint_name(endpoint),
        role=endpoint.role,
        visits=endpoint.visits,
        measured_as=(endpoint.id,),
        plain=f"{capital(name)}: response{level} at {last['visit']} in {share}{none}{stricter}{earlier}: {against}.",
        verdict="described",
        n=int(last["n_evaluable"]),
        of=int(last["n_patients"]),
        missing=missing,
        statistics=_tests(run, cohort, endpoint, last),
        beside=(*_nobody_at(unseen), *unverified(last, endpoint)),
    )


def _nobody_at(visits: Sequence[str]) -> tuple[str, ...]:
    """Return the sentence that registered visits have no score of anyone; nothing where there is none of them."""
    return (f"No patient was scored at {listed(visits)}, as registered.",) if visits else ()


def _levels(rows: pd.DataFrame, criteria: Sequence[str]) -> tuple[str, str]:
    """Return which level of several a response is of, and how many reach each higher one at the last visit."""
    if len(criteria) < 2:
        return "", ""
    last = rows[rows["visit"] == rows["visit"].iloc[-1]].set_index("criterion")
    more = [f"{level} in {last.loc[level, 'n_responders']}" for level in criteria[1:] if level in last.index]
    return f", {criteria[0]},", f"; {listed(more)}" if more else ""


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
    rows = rows_of(table, endpoint.id, cohort) if len(table) else table
    if rows.empty:
        return None
    row = rows.iloc[0]
    events, known, of = int(row["n_events"]), int(row["n_with_outcome"]), int(row["n_patients"])
    happened = "died" if endpoint.id == "survival" else f"had the event ({display_name(endpoint.id)})"
    who = _who(run, cohort, endpoint)
    own = rows_of(curve, endpoint.id, cohort).dropna(subset=["percent"])
    share = ""
    if len(own):
        end = own.iloc[-1]
        free = "alive" if endpoint.id == "survival" else "without it"
        share = f"; {amount(end['percent'])} % {free} by Kaplan and Meier"
        if not pd.isna(end["ci_low"]):
            share += f" (95 % interval {amount(end['ci_low'])} to {amount(end['ci_high'])} %)"
        share += _few_followed(own, known)
    return EndpointFinding(
        endpoint=endpoint.id,
        cohort=cohort,
        name=capital(endpoint_name(endpoint)),
        role=endpoint.role,
        visits=endpoint.visits,
        measured_as=(endpoint.id,),
        plain=f"{events} of {n_patients(known)} {happened}{who} by day {int(row['last_day'])}{share}: {DESCRIBED}.",
        verdict="described",
        n=known,
        of=of,
        missing=_without_outcome(run, cohort, known, of),
        statistics=f"{row['method']}; n = {known}, {events} event{'' if events == 1 else 's'}.",
    )


def _few_followed(curve: pd.DataFrame, known: int) -> str:
    """Return how many were still followed at the last event, where under half were: each event is a large step."""
    steps = curve[curve["n_events"] > 0]
    left = int(steps["n_at_risk"].iloc[-1]) if len(steps) else known
    if 2 * left >= known:
        return ""
    return f", with {left} of {known} still followed at the last event, on day {int(steps['study_day'].iloc[-1])}"


def limits(row: pd.Series, percent: str, prefix: str) -> tuple[float, float, float]:
    """Return a row's share and its limits, in percent: with the prefix of its limits' columns.

    Parameters
    ----------
    row
        Of a table of counted patients.
    percent
        Column of the share.
    prefix
        Before ``ci_low`` and ``ci_high`` in the names of the limits' columns; may be empty.
    """
    return row[percent], row[f"{prefix}ci_low"], row[f"{prefix}ci_high"]


def rate(n: int, of: int, percent: float, low: float, high: float) -> str:
    """Return ``7 of 10 patients (70 %, 95 % interval 34.8 to 93.3 %)``; without brackets where there is no share.

    Parameters
    ----------
    n, of
        Patients with it, and patients it is counted of.
    percent, low, high
        Share and its 95 % limits.
    """
    if pd.isna(percent):
        return f"{n} of {n_patients(of)}"
    return f"{n} of {n_patients(of)} ({amount(percent)} %, 95 % interval {amount(low)} to {amount(high)} %)"


def _unanswered(run: Run, cohort: str, score: str, visit: str) -> tuple[Absence, ...]:
    """Return the patients without a response at a visit, each with the reason."""
    table = run.table("responses")
    if table.empty:
        return ()
    rows = table[(table["score"] == score) & (table["visit"] == visit) & in_cohort(table, cohort)]
    lacking = rows[rows["response"] == "missing"]
    return tuple(
        Absence(str(r.patient_id), gone(run, str(r.patient_id), visit) or reason_at(cell_text(r.reason), visit))
        for r in lacking.itertuples()
    )


def _against_rate(endpoint: Endpoint, low: float, high: float) -> str:
    """Return whether the interval of a share includes the registered rate; the test is in the statistics."""
    rate = endpoint.reference_rate
    if rate is None:
        return DESCRIBED
    if pd.isna(low) or pd.isna(high):
        return f"not set against the registered rate of {rate:g} %, for there is no share"
    return f"the interval {'includes' if low <= rate <= high else 'excludes'} the registered rate of {rate:g} %"


def _tests(run: Run, cohort: str, endpoint: Endpoint, last: pd.Series) -> str:
    """Return the exact interval and the tests of responses, a missing response counted as none."""
    table = run.table("response_tests")
    parts = ["Clopper-Pearson 95 % intervals"]
    if last["n_evaluable"] != last["n_patients"]:
        known = rate(last["n_responders"], last["n_evaluable"], *limits(last, "percent", ""))
        parts.append(f"{known} with a response known")
    if len(table):
        own = rows_of(table, endpoint.id, cohort)
        for _, row in own[(own["missing_as"] == "non_response") & own["p_value"].notna()].iterrows():
            size = "" if pd.isna(row["estimate"]) else f", {row['estimate_is']} {number(row['estimate'])}"
            visits = ", ".join(str(row["visits"]).split())
            parts.append(f"{row['method']} over {visits}{size}, {p_text(row['p_value'])}, two-sided")
    return "; ".join(parts) + "."


def unverified(row: pd.Series, endpoint: Endpoint) -> tuple[str, ...]:
    """Return the sentence that a score's definition was not checked against its source; nothing where it was.

    Parameters
    ----------
    row
        With the column ``verified``.
    endpoint
        That the score is of.
    """
    if row["verified"] == "yes":
        return ()
    return (f"The definition used for {display_name(endpoint.needs.scores[0])} was not checked against its source.",)


def _who(run: Run, cohort: str, endpoint: Endpoint) -> str:
    """Return `` (ALS003 on day 221)`` where the study says who of the cohort and when; "" elsewhere."""
    events = run.table("intercurrent_events")
    events = events[run.patients_in(events, cohort)]
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
