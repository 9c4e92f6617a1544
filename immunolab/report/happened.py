"""What happened to each patient and when: responses, events, adverse events, rescue, death, the last day seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pandas as pd

from immunolab.errors import InputError
from immunolab.loaders.patient_events import read_adverse_events, read_outcomes
from immunolab.results.run import Run
from immunolab.study.endpoints import Endpoint
from immunolab.vocabulary.display_names import display_name

_COLUMNS = ["patient_id", "visit", "study_day", "days_since_last_dose", "what", "kind"]
_HARMS, _ENDS = "adverse events", "outcomes"
_SEVERE = 3  # CTCAE grade from which an adverse event is severe


def happened(run: Run) -> pd.DataFrame:
    """Return every mark of a patient's time line.

    Adverse events and outcomes are read from the study's own files; where these are no longer there, or cannot be
    read, only the tables of the run are marked, and `not_marked` says so.

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
    said = {e.id: (mark_in_words(e), "response" if e.response else "event") for e in run.study.endpoints if e.mark}
    rows = run.endpoints
    known = rows[rows["endpoint"].isin(said) & (rows["value"] >= 1) & rows["study_day"].notna()]
    words = [said[str(name)] for name in known["endpoint"]]
    return known.assign(what=[what for what, _ in words], kind=[kind for _, kind in words])


def mark_in_words(endpoint: Endpoint) -> str:
    """Return what a mark of an endpoint says, the score or event under the name of the field; "" for no mark.

    Parameters
    ----------
    endpoint
        Any.
    """
    for name in (*endpoint.needs.scores, endpoint.id):
        if name in endpoint.mark:
            return endpoint.mark.replace(name, display_name(name))
    return endpoint.mark


def _intercurrent(run: Run) -> Iterator[pd.DataFrame]:
    table = run.table("intercurrent_events")
    own = table[(table["assessed"] == "yes") & table["study_day"].notna()]
    kinds = [
        "death" if name == "death" else "rescue" if str(name).startswith("rescue") else "other" for name in own["event"]
    ]
    yield own.assign(what=own["event"].astype(str).str.replace("_", " "), kind=kinds)


def not_marked(run: Run) -> str:
    """Return a caption's sentence on the study's files of events that cannot be read now; "" where all can be.

    Parameters
    ----------
    run
        The finished run.
    """
    files = [f"{what} ({path.name})" for what, (path, _) in _files(run).items() if _read(run, what) is None]
    return f" Not marked, as the file cannot be read any more: {', '.join(files)}." if files else ""


def _files(run: Run) -> dict[str, tuple[Path, Callable[[], pd.DataFrame]]]:
    """Return the study's files of events that time lines need, by what they hold, each with what reads it."""
    study = run.study
    found: dict[str, tuple[Path, Callable[[], pd.DataFrame]]] = {}
    if (path := study.adverse_events) is not None:
        found[_HARMS] = (path, partial(read_adverse_events, path, None, study.doses))
    ids = [endpoint.id for endpoint in study.endpoints if endpoint.needs.outcomes]
    if (path := study.outcomes) is not None and ids:
        found[_ENDS] = (path, partial(read_outcomes, path, ids, None, study.doses))
    return found


def _read(run: Run, what: str) -> pd.DataFrame | None:
    """Return a file of events; None where the study has none, or it cannot be read (`not_marked` says so)."""
    files = _files(run)
    try:
        return files[what][1]() if what in files else None
    except (InputError, OSError):
        return None


def _harms(run: Run) -> Iterator[pd.DataFrame]:
    rows = _read(run, _HARMS)
    if rows is None:
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
    rows = _read(run, _ENDS)
    if rows is None:
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
