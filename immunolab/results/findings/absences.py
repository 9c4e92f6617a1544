"""Why a patient is not in an endpoint's n: death, withdrawal, a failed sample, a withheld value, a missing visit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from immunolab.results.cohort_rows import in_cohort, rows_of
from immunolab.results.findings.finding import Absence
from immunolab.results.findings.words import endpoint_name, listed
from immunolab.results.run import Run
from immunolab.schema.csv_files import cell_text
from immunolab.schema.flags import Flag, flag, split, withheld
from immunolab.study.endpoints import Endpoint
from immunolab.vocabulary.display_names import display_name

LEFT = ("withdr", "lost", "left_study", "consent")
"""Parts of the names of intercurrent events after which nobody is seen."""
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
    measured = run.endpoints.loc[in_cohort(run.endpoints, cohort), "patient_id"].unique()
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
    own = rows_of(pairs, endpoint.id, cohort)
    paired = set(own.loc[own["shift"].notna(), "patient_id"])
    lacking = [patient for patient in patients_of(run, cohort) if patient not in paired]
    if not lacking:
        return ()
    rows = run.endpoints
    rows = rows[(rows["endpoint"] == endpoint.id) & rows["patient_id"].isin(lacking)]
    found = []
    for patient in lacking:
        reasons = dict.fromkeys(_reasons(run, patient, endpoint, visits, rows[rows["patient_id"] == patient]))
        found.append(Absence(patient, "; ".join(reasons) or _unplaced(own, patient)))
    return tuple(found)


def lacking(run: Run, cohort: str, name: str) -> tuple[Absence, ...]:
    """Return the patients without a change of a compared endpoint, whether it was declared or found beside.

    Parameters
    ----------
    run
        The finished run.
    cohort
        Its name; "" where the sheet has no cohorts.
    name
        Endpoint id in SHIFTS.
    """
    endpoint = run.declared.get(name) or Endpoint(id=name, source="")
    periods = endpoint.slopes or ()
    visits = [visit for period in periods for visit in period.visits] or list(run.contrast_of(name))
    return absences(run, cohort, endpoint, tuple(dict.fromkeys(visits)))


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
    events = run.table("intercurrent_events")
    own = events[(events["patient_id"] == patient) & events["study_day"].notna()].sort_values("study_day")
    for row in own.itertuples():
        if not _before(run, int(row.study_day), visit):
            continue
        if str(row.event) == "death":
            return f"died on day {int(row.study_day)}"
        if any(part in str(row.event) for part in LEFT):
            return f"{str(row.event).replace('_', ' ')} on day {int(row.study_day)}"
    return ""


def _before(run: Run, day: int, visit: str) -> bool:
    trial = run.study.trial
    return trial is None or visit not in trial.visit_names or day <= trial.visit(visit).window[1]


def _reasons(run: Run, patient: str, endpoint: Endpoint, visits: Sequence[str], rows: pd.DataFrame) -> Iterator[str]:
    """Yield why a patient has no value of an endpoint at each visit that lacks one that is compared."""
    measured = _measured_at(run, patient, endpoint) if endpoint.slopes else frozenset()
    for visit in visits:
        own = rows[rows["visit"] == visit]
        valued = own[own["value"].notna()]
        if visit in measured or (len(valued) and (endpoint.slopes or _taken(valued))):
            continue
        if len(valued):
            yield f"value at {visit} left out after {_after(own)}"
        else:
            yield (
                gone(run, patient, visit)
                or _failed(run, patient, visit, endpoint)
                or _withheld(run, own, endpoint, visit)
                or _unmeasured(run, patient, visit, endpoint)
            )


def _taken(rows: pd.DataFrame) -> bool:
    return "compared_as" not in rows or bool(rows["compared_as"].notna().any())


def _measured_at(run: Run, patient: str, endpoint: Endpoint) -> frozenset[str]:
    """Return the visits at which what a slope is fitted to was measured."""
    visits: set[str] = set()
    for name, column in (("scores", "score"), ("measurements", "variable")):
        table = run.table(name)
        hit = (table[column] == endpoint.fitted) & (table["patient_id"] == patient) & table["value"].notna()
        visits |= set(map(str, table.loc[hit, "visit"]))
    return frozenset(visits)


def _after(rows: pd.DataFrame) -> str:
    events = [word.split(":")[0].replace("_", " ") for text in rows["intercurrent"] for word in split(text)]
    return listed(dict.fromkeys(events)) or "an intercurrent event"


def _ids(run: Run, patient: str, visit: str) -> list[str]:
    return [s.sample_id for s in run.samples if (s.patient_id, s.visit) == (patient, visit)]


def _failed(run: Run, patient: str, visit: str, endpoint: Endpoint) -> str:
    if not endpoint.counted:
        return ""
    errors = dict(zip(run.failures["sample_id"], run.failures["error"], strict=True))
    return "; ".join(f"sample {n} failed: {errors[n]}" for n in _ids(run, patient, visit) if n in errors)


def withheld_because(rows: pd.DataFrame) -> tuple[str, ...]:
    """Return what the flags of rows without a value mean, each once.

    Parameters
    ----------
    rows
        Of ENDPOINTS.
    """
    words = _flagged(rows)
    withholding = [word for word in words if withheld(word)]
    return tuple(dict.fromkeys(flag(word).meaning for word in withholding or words))


def _flagged(rows: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(word for text in rows["flag"] for word in split(text) if word not in _GENERAL))


def _withheld(run: Run, rows: pd.DataFrame, endpoint: Endpoint, visit: str) -> str:
    """Return the reason that a flag or the score gives; "" where there is none."""
    words = _flagged(rows)
    if words:
        ids = ", ".join(dict.fromkeys(map(str, rows["sample_id"]))) if endpoint.counted else visit
        return f"{ids}: {listed(withheld_because(rows))} ({', '.join(words)})"
    scores = run.table("scores")
    own = scores[scores["patient_id"].isin(rows["patient_id"]) & (scores["visit"] == visit)]
    reasons = [cell_text(text) for text in own.loc[own["score"].isin(endpoint.needs.scores), "reason"]]
    return f"{visit}: {listed(filter(None, reasons))}" if any(reasons) else ""


def _unmeasured(run: Run, patient: str, visit: str, endpoint: Endpoint) -> str:
    if not endpoint.counted:
        named = display_name(endpoint.fitted) if endpoint.slopes else endpoint_name(endpoint)
        return f"{named} not measured at {visit}"
    ids = _ids(run, patient, visit)
    if not ids:
        return f"no sample at {visit}"
    of = {s.sample_id: s.panel for s in run.samples}
    panels = _panels(run, patient, endpoint, of)
    if panels and not (ids := [name for name in ids if of[name] in panels]):
        return f"no tube of panel {' or '.join(panels)} at {visit}"
    counted = set(run.counts["sample_id"])
    return "; ".join(f"sample {name} {'gave no value' if name in counted else 'was not run'}" for name in ids)


def _panels(run: Run, patient: str, endpoint: Endpoint, of: Mapping[str, str]) -> list[str]:
    """Return the panels that an endpoint is taken from: the patient's own, else any; none where they have no name."""
    rows = run.endpoints[(run.endpoints["endpoint"] == endpoint.id) & run.endpoints["sample_id"].isin(of)]
    own = rows[rows["patient_id"] == patient]
    return list(filter(None, dict.fromkeys(of[name] for name in (own if len(own) else rows)["sample_id"])))


def _unplaced(pairs: pd.DataFrame, patient: str) -> str:
    """Return why values at both visits make no change: they are at an end of the scale, or not of the comparison."""
    texts = [cell_text(text) for text in pairs.loc[pairs["patient_id"] == patient, "reason"]]
    return "; ".join(filter(None, texts)) or "values at these visits were not compared"
