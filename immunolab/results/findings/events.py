"""The sentence of an event that a score finds: how many patients had it in the registered window, of those at risk."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from immunolab.clinical.event_counts import EventFates, event_fates
from immunolab.clinical.follow_up import enrolled
from immunolab.results.cohort_rows import rows_of
from immunolab.results.findings.counted import DESCRIBED, limits, rate, unverified
from immunolab.results.findings.finding import Absence, EndpointFinding, in_words
from immunolab.results.findings.words import capital, endpoint_name, listed
from immunolab.results.run import Run
from immunolab.schema.csv_files import cell_text
from immunolab.study.endpoints import Endpoint
from immunolab.vocabulary.display_names import display_name, with_display_names

_OTHERS = (
    ("n_not_at_risk", "could not have one"),
    ("n_not_followed", "not seen afterwards"),
    ("n_unknown", "not known"),
)


def event_finding(run: Run, cohort: str, endpoint: Endpoint) -> EndpointFinding | None:
    """Return how many patients had an event, of those who could have it; None where it was not looked for.

    An event that was first seen after the registered window is not counted, and is said beside the number.

    Parameters
    ----------
    run, cohort
        As for `immunolab.results.findings.counted.response_finding`.
    endpoint
        One that counts an event.
    """
    table = run.table("event_counts")
    rows = rows_of(table, endpoint.id, cohort) if len(table) else table
    if rows.empty:
        return None
    row, fates = rows.iloc[0], _fates(run, cohort, endpoint)
    return EndpointFinding(
        endpoint=endpoint.id,
        cohort=cohort,
        name=capital(endpoint_name(endpoint)),
        role=endpoint.role,
        visits=endpoint.visits,
        measured_as=(endpoint.id,),
        plain=_sentence(row, display_name(endpoint.id)),
        verdict="described",
        n=int(row["n_followed"]),
        of=int(row["n_patients"]),
        missing=not_counted(run, cohort, endpoint),
        statistics=f"Clopper-Pearson 95 % interval; rule: {with_display_names(str(row['rule']))}.",
        beside=(*_outside(fates), *_low(row, fates), *unverified(row, endpoint)),
    )


def _sentence(row: pd.Series, name: str) -> str:
    if row["n_not_at_risk"] == row["n_patients"]:
        return f"{capital(name)}: none of the {int(row['n_patients'])} patients could have one."
    return f"{_had(row, name)}; {_at_risk(row)}: {DESCRIBED}."


def _had(row: pd.Series, name: str) -> str:
    """Return ``Relapse in 7 of 10 patients (70 %, ...) who could have one``, with the registered window where named."""
    if not row["n_followed"]:
        return f"{capital(name)}: no patient who could have one was followed"
    who = "who could have one" + (" and were followed" if row["n_not_followed"] else "")
    window = cell_text(row.get("registered_window"))
    if not window:
        share = rate(row["n_with_event"], row["n_followed"], *limits(row, "percent", ""))
        return f"{capital(name)} in {share} {who}"
    share = rate(row["n_in_window"], row["n_followed"], *limits(row, "percent_in_window", "in_window_"))
    return f"{capital(name)} in the registered window ({window}) in {share} {who}"


def _at_risk(row: pd.Series) -> str:
    """Return what became of the other patients: ``14 of 24 could not have one``."""
    of = int(row["n_patients"])
    said = [f"{int(row[column])} {words}" for column, words in _OTHERS if row[column]]
    return f"of {of} in all, {listed(said)}" if said else f"all {of} could have one"


def _outside(fates: EventFates) -> tuple[str, ...]:
    """Return who had the event outside the registered window, and that these are not counted."""
    seen = _grouped(fates.outside_window)
    if not seen:
        return ()
    return (f"Not counted, for not seen within the window, so that the beginning is not known: {seen}.",)


def _low(row: pd.Series, fates: EventFates) -> tuple[str, ...]:
    """Return whose event is a rise that stays under the level that the definition itself calls low."""
    seen = _grouped(fates.below_level)
    if not seen:
        return ()
    return (f"Risen, and still under {row['low_level']}, the definition's own level of low activity: {seen}.",)


def _grouped(seen: Mapping[str, str]) -> str:
    return in_words(Absence(patient, _short(how)) for patient, how in seen.items())


def not_counted(run: Run, cohort: str, endpoint: Endpoint) -> tuple[Absence, ...]:
    """Return each patient of a cohort of whom an event is not counted, and why.

    Parameters
    ----------
    run, cohort, endpoint
        As for `event_finding`.
    """
    known = _fates(run, cohort, endpoint).known
    return tuple(Absence(patient, _why(fate, reason)) for patient, (fate, reason) in known.items() if reason)


def _fates(run: Run, cohort: str, endpoint: Endpoint) -> EventFates:
    scores, patients = run.table("scores"), enrolled(run.study, run.table("measurements"))
    own = scores[scores["score"] == endpoint.needs.scores[0]]
    return event_fates(own, [patient for patient, of in patients.items() if of == cohort])


def _why(fate: str, reason: str) -> str:
    heads = {"not at risk": "could not have it: ", "not followed": "not followed: "}
    return _short(heads.get(fate, f"{fate}, ") + reason)


def _short(reason: str) -> str:
    """Return a reason without the value in brackets behind it, so that patients of one reason come together."""
    return reason.rsplit(" (", 1)[0]
