"""What happened to each patient and when: responses, events, adverse events, rescue, death, the last day seen."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from immunolab.errors import InputError
from immunolab.loaders.patient_events import read_adverse_events, read_outcomes
from immunolab.results.run import Run

_COLUMNS = ["patient_id", "visit", "study_day", "days_since_last_dose", "what", "kind"]
_SEVERE = 3  # CTCAE grade from which an adverse event is severe


def happened(run: Run) -> pd.DataFrame:
    """Return every mark of a patient's time line.

    Adverse events and outcomes are read from the study's own files; where these are no longer there, or cannot be
    read, only the tables of the run are marked.

    Parameters
    ----------
    run
        The finished run.

    Returns
    -------
    DataFrame
        patient_id, visit, study_day, days_since_last_dose, what (in words), kind (of `immunolab.plots.marks.KINDS`).
    """
    parts = [_found_by_scores(run), *_intercurrent(run), *_harms(run), *_outcomes(run)]
    marks = pd.concat([part.reindex(columns=_COLUMNS).astype(object) for part in parts], ignore_index=True)
    marks = marks[marks["study_day"].notna()]
    marks = marks.drop_duplicates(["patient_id", "study_day", "what"]).reset_index(drop=True)
    return marks.astype({"study_day": float})


def _found_by_scores(run: Run) -> pd.DataFrame:
    """Return visits at which a score found a response or an event."""
    said = {e.id: (e.mark, "response" if e.response else "event") for e in run.study.endpoints if e.mark}
    rows = run.endpoints
    known = rows[rows["endpoint"].isin(said) & (rows["value"] >= 1) & rows["study_day"].notna()]
    words = [said[str(name)] for name in known["endpoint"]]
    return known.assign(what=[what for what, _ in words], kind=[kind for _, kind in words])


def _intercurrent(run: Run) -> Iterator[pd.DataFrame]:
    table = run.table("intercurrent_events")
    own = table[(table["assessed"] == "yes") & table["study_day"].notna()]
    kinds = [
        "death" if name == "death" else "rescue" if str(name).startswith("rescue") else "other" for name in own["event"]
    ]
    yield own.assign(what=own["event"].astype(str).str.replace("_", " "), kind=kinds)


def _harms(run: Run) -> Iterator[pd.DataFrame]:
    if run.study.adverse_events is None:
        return
    try:
        rows = read_adverse_events(run.study.adverse_events, None, run.study.doses)
    except (InputError, OSError):
        return
    grade = pd.to_numeric(rows["grade"], errors="coerce")
    severe = (rows["serious"] == "yes") | (grade >= _SEVERE)
    what = [
        f"{term}{'' if pd.isna(g) else f', grade {g:.0f}'}" if bad else "adverse events"
        for term, g, bad in zip(rows["term"], grade, severe, strict=True)
    ]
    kinds = ["severe adverse event" if bad else "adverse event" for bad in severe]
    yield rows.assign(what=what, kind=kinds)


def _outcomes(run: Run) -> Iterator[pd.DataFrame]:
    ids = [endpoint.id for endpoint in run.study.endpoints if endpoint.needs.outcomes]
    if run.study.outcomes is None or not ids:
        return
    try:
        rows = read_outcomes(run.study.outcomes, ids, None, run.study.doses)
    except (InputError, OSError):
        return
    dead = run.table("intercurrent_events")
    known = set(dead.loc[(dead["event"] == "death") & (dead["assessed"] == "yes"), "patient_id"])
    rows = rows[(rows["status"] == "censored") | ~rows["patient_id"].isin(known)]
    lost = rows["status"] == "censored"
    words = ["last seen" if gone else _event_word(str(name)) for gone, name in zip(lost, rows["endpoint"], strict=True)]
    kinds = [word if word in ("last seen", "death") else "event" for word in words]
    yield rows.assign(what=words, kind=kinds)


def _event_word(endpoint: str) -> str:
    return "death" if "survival" in endpoint.lower() or "death" in endpoint.lower() else endpoint.replace("_", " ")
