"""Why a patient is not in an endpoint's n: death, withdrawal, a failed sample, a withheld value, a missing visit."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from immunolab.results.findings.finding import Absence
from immunolab.results.findings.words import listed, present
from immunolab.results.run import Run, in_cohort
from immunolab.schema.flags import Flag, flag, split
from immunolab.study.endpoints import Endpoint
from immunolab.vocabulary.display_names import display_name

_LEFT = ("withdr", "lost", "left_study", "consent")  # parts of the names of events after which nobody is seen
_GENERAL = frozenset({Flag.NOT_EVALUABLE, Flag.UNVERIFIED})  # say nothing of why


def patients_of(run: Run, cohort: str) -> list[str]:
    """Return the patients of a cohort in the order of the sheet, then those whom only the clinic measured.

    Parameters
    ----------
    run
        The finished run.
    cohort
        Its name; "" where the sheet has no cohorts.
    """
    own = [s.patient_id for s in run.samples if s.cohort == cohort]
    measured = run.endpoints.loc[in_cohort(run.endpoints, cohort), "patient_id"]
    return list(dict.fromkeys([*own, *map(str, measured)]))


def absences(run: Run, cohort: str, endpoint: Endpoint, visits: Sequence[str]) -> tuple[Absence, ...]:
    """Return the patients of a cohort without a change of an endpoint, each with the reason.

    Parameters
    ----------
    run
        The finished run.
    cohort
        Its name; "" where the sheet has no cohorts.
    endpoint
        One that is compared.
    visits
        Those that a change needs: before and after, or all of a slope's periods.
    """
    pairs = run.pairs
    own = pairs[(pairs["endpoint"] == endpoint.id) & in_cohort(pairs, cohort)]
    paired = set(own.loc[own["shift"].notna(), "patient_id"])
    found = []
    for patient in patients_of(run, cohort):
        if patient in paired:
            continue
        reasons = dict.fromkeys(text for visit in visits if (text := _reason(run, patient, endpoint, visit)))
        found.append(Absence(patient, "; ".join(reasons) or _unplaced(own, patient)))
    return tuple(found)


def gone(run: Run, patient: str, visit: str) -> str:
    """Return ``died on day 221`` of a patient who was dead, or had left, at a visit; "" for others.

    Parameters
    ----------
    run
        The finished run.
    patient
        As in the sample sheet.
    visit
        One of the trial.
    """
    for row in _events(run, patient).itertuples():
        if not _before(run, int(row.study_day), visit):
            continue
        if str(row.event) == "death":
            return f"died on day {int(row.study_day)}"
        if any(part in str(row.event) for part in _LEFT):
            return f"{str(row.event).replace('_', ' ')} on day {int(row.study_day)}"
    return ""


def _events(run: Run, patient: str) -> pd.DataFrame:
    events = run.table("intercurrent_events")
    return events[(events["patient_id"] == patient) & events["study_day"].notna()].sort_values("study_day")


def _before(run: Run, day: int, visit: str) -> bool:
    trial = run.study.trial
    return trial is None or visit not in trial.visit_names or day <= trial.visit(visit).window[1]


def _reason(run: Run, patient: str, endpoint: Endpoint, visit: str) -> str:
    """Return why a patient has no value of an endpoint at a visit; "" where there is one that is compared."""
    rows = run.endpoints
    own = rows[(rows["patient_id"] == patient) & (rows["endpoint"] == endpoint.id) & (rows["visit"] == visit)]
    if endpoint.slopes:
        measured = _measured_at(run, patient, endpoint, visit)
    else:
        taken = own["compared_as"].notna() if "compared_as" in own else own["value"].notna()
        if (own["value"].notna() & taken).any():
            return ""
        measured = bool(own["value"].notna().any())
        if measured:
            return f"value at {visit} left out after {_after(own)}"
    if measured:
        return ""
    return gone(run, patient, visit) or _failed(run, patient, visit, endpoint) or _withheld(run, own, endpoint, visit)


def _measured_at(run: Run, patient: str, endpoint: Endpoint, visit: str) -> bool:
    """Return whether what a slope is fitted to was measured at a visit."""
    for name, column in (("scores", "score"), ("measurements", "variable")):
        table = run.table(name)
        hit = (table[column] == endpoint.fitted) & (table["patient_id"] == patient) & (table["visit"] == visit)
        if table.loc[hit, "value"].notna().any():
            return True
    return False


def _after(rows: pd.DataFrame) -> str:
    events = [word.split(":")[0].replace("_", " ") for text in rows["intercurrent"] for word in split(text)]
    return listed(dict.fromkeys(events)) or "an intercurrent event"


def _failed(run: Run, patient: str, visit: str, endpoint: Endpoint) -> str:
    if not endpoint.counted:
        return ""
    failures = run.failures.set_index("sample_id")["error"]
    ids = [s.sample_id for s in run.samples if (s.patient_id, s.visit) == (patient, visit)]
    texts = [f"sample {name} failed: {failures[name]}" for name in ids if name in failures.index]
    return "; ".join(texts)


def _withheld(run: Run, rows: pd.DataFrame, endpoint: Endpoint, visit: str) -> str:
    """Return the reason that a flag or the score gives, else that nothing was measured at the visit."""
    words = [word for text in rows["flag"] for word in split(text) if word not in _GENERAL]
    if words:
        ids = ", ".join(dict.fromkeys(map(str, rows["sample_id"]))) if endpoint.counted else visit
        return (
            f"{ids}: {listed(dict.fromkeys(flag(word).meaning for word in words))} ({', '.join(dict.fromkeys(words))})"
        )
    scores = run.table("scores")
    own = scores[scores["patient_id"].isin(rows["patient_id"]) & (scores["visit"] == visit)]
    reasons = [present(text) for text in own.loc[own["score"].isin(endpoint.needs.scores), "reason"]]
    if any(reasons):
        return f"{visit}: {listed(filter(None, reasons))}"
    return f"no sample at {visit}" if endpoint.counted else f"{display_name(endpoint.fitted)} not measured at {visit}"


def _unplaced(pairs: pd.DataFrame, patient: str) -> str:
    """Return why values at both visits make no change: they are at an end of the scale, or not of the comparison."""
    texts = [present(text) for text in pairs.loc[pairs["patient_id"] == patient, "reason"]]
    return "; ".join(filter(None, texts)) or "values at these visits were not compared"
