"""The estimand applied to rows of the endpoint table: values taken, left out, or taken in place of a later one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from immunolab.schema.csv_files import cell_text
from immunolab.schema.estimand import ESTIMAND
from immunolab.study.endpoints import Endpoint
from immunolab.study.intercurrent import Estimand, IntercurrentEvent
from immunolab.study.sheet import Study

_CHANGED = ("hypothetical", "while_on_treatment")  # strategies that do not take a value as it is


def used_rows(endpoints: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that are compared, each under the visit it is compared as.

    Parameters
    ----------
    endpoints
        Rows of `tables.ENDPOINTS`; without a column ``compared_as`` all are compared as they are.
    """
    if "compared_as" not in endpoints:
        return endpoints
    kept = endpoints[endpoints["compared_as"].notna()]
    return kept.assign(visit=kept["compared_as"])


def with_intercurrent(
    rows: pd.DataFrame, happened: pd.DataFrame, study: Study, endpoints: Sequence[Endpoint]
) -> pd.DataFrame:
    """Return the endpoint rows with ``intercurrent`` (events before the value) and ``compared_as`` (a visit, or none).

    Parameters
    ----------
    rows
        Rows of `tables.ENDPOINTS`.
    happened
        Rows of `INTERCURRENT_EVENTS`.
    study
        Its trial declares the estimand; without one the rows are returned as they are.
    endpoints
        What is measured.
    """
    estimand = study.trial.estimand if study.trial else None
    if estimand is None or not estimand.events:
        return rows
    rows = rows.drop(columns=["intercurrent", "compared_as"], errors="ignore").reset_index(drop=True)
    day = days_of(rows, study)
    words: list[list[str]] = [[] for _ in range(len(rows))]
    compared_as: list[str | None] = list(map(str, rows["visit"]))
    declared = {e.id: e for e in endpoints}
    groups = {
        (str(p), str(e)): at for (p, e), at in rows.groupby(["patient_id", "endpoint"], sort=False).indices.items()
    }
    by_patient: dict[str, list[tuple[str, int]]] = {}
    for patient, event, begins in _begun(happened):
        by_patient.setdefault(patient, []).append((event, begins))
    phases = rows["phase"].tolist()
    for (patient, name), places in groups.items():
        for event, begins in by_patient.get(patient, ()):
            strategy = estimand.strategy(event, name)
            for i in (i for i in places if phases[i] != "baseline" and day[i] >= begins):
                words[i].append(f"{event}: {strategy}")
                compared_as[i] = None if strategy in _CHANGED else compared_as[i]
    for (patient, name), places in groups.items():
        endpoint = declared.get(name)
        for event, begins in by_patient.get(patient, ()):
            if endpoint is None or estimand.strategy(event, name) != "while_on_treatment":
                continue
            place = _stand_in(rows, places, day, compared_as, begins, study, endpoint)
            if place is not None:
                compared_as[place] = str(study.contrast_of(endpoint).after)  # type: ignore[union-attr]
                words[place].append(f"{event}: while_on_treatment")
    joined = pd.array([";".join(own) or None for own in words], dtype="string")
    return rows.assign(intercurrent=joined, compared_as=pd.array(compared_as, dtype="string"))


def _begun(happened: pd.DataFrame) -> Iterator[tuple[str, str, int]]:
    """Yield patient, event and day of each event that has one."""
    known = happened[happened["study_day"].notna()]
    columns = (known[name].tolist() for name in ("patient_id", "event", "study_day"))
    for patient, event, day in zip(*columns, strict=True):
        yield str(patient), str(event), int(day)


def days_of(rows: pd.DataFrame, study: Study) -> list[float]:
    """Return the study day of each row; that of its visit where the row has none.

    Parameters
    ----------
    rows
        With ``study_day`` and ``visit``.
    study
        Its trial has the visits.
    """
    planned = study.trial.target_days if study.trial else {}
    days = rows["study_day"].where(rows["study_day"].notna(), rows["visit"].map(planned))
    return [float(day) for day in pd.to_numeric(days).to_numpy(dtype=float, na_value=float("nan"))]


def _stand_in(
    rows: pd.DataFrame,
    places: Sequence[int],
    day: Sequence[float],
    compared_as: Sequence[str | None],
    begins: int,
    study: Study,
    endpoint: Endpoint,
) -> int | None:
    """Return the row before an event that takes the place of the later visit; None where there is none."""
    contrast = study.contrast_of(endpoint) if endpoint.paired else None
    visit = study.trial.find_visit(contrast.after) if study.trial and contrast else None
    if visit is None or contrast is None or endpoint.slopes:
        return None
    own = [i for i in places if rows["visit"].iat[i] == visit.name]
    reached = [day[i] for i in own] or [float(visit.target_day)]
    if reached[0] < begins or any(compared_as[i] is not None for i in own):
        return None
    kept = [i for i in places if compared_as[i] not in (None, contrast.before) and day[i] < begins]
    kept = [i for i in kept if rows["phase"].iat[i] == "on_treatment" and pd.notna(rows["value"].iat[i])]
    return max(kept, key=lambda i: day[i], default=None)


def estimand_rows(
    rows: pd.DataFrame, happened: pd.DataFrame, study: Study, endpoints: Sequence[Endpoint]
) -> pd.DataFrame:
    """Return rows of `ESTIMAND`: for each cohort, endpoint and event, what became of the later value.

    Parameters
    ----------
    rows
        As `with_intercurrent` gives them.
    happened, study, endpoints
        As for `with_intercurrent`.
    """
    estimand = study.trial.estimand if study.trial else None
    if estimand is None or "compared_as" not in rows:
        return ESTIMAND.empty()
    cohorts: dict[str, str] = {s.patient_id: s.cohort for s in study.samples if not s.control_of}
    cohorts = {p: c for p, c in cohorts.items() if p not in study.comparison.bridges}
    rows = rows.assign(day=days_of(rows, study))
    found: list[dict[str, object]] = []
    for endpoint in endpoints:
        own = rows[rows["endpoint"] == endpoint.id]
        visit = _later_visit(study, endpoint, own)
        if visit is None:
            continue
        for cohort in dict.fromkeys(cohorts.values()):
            patients = [p for p, c in cohorts.items() if c == cohort]
            head = {"cohort": cohort or None, "endpoint": endpoint.id, "visit": visit}
            counts = (
                _counts(estimand, one, endpoint, visit, own, happened, patients, study) for one in estimand.events
            )
            found += [head | one for one in counts]
    return ESTIMAND.frame(found)


def _later_visit(study: Study, endpoint: Endpoint, own: pd.DataFrame) -> str | None:
    """Return the visit of the later value; None for an endpoint without rows, or whose visit is none of the trial."""
    if own.empty or study.trial is None:
        return None
    if endpoint.paired:
        contrast = study.contrast_of(endpoint)
        name = contrast.after if contrast else ""
    else:
        name = ([v for v in endpoint.visits if (own["visit"] == v).any()] or [""])[-1] if endpoint.response else ""
    return name if study.trial.find_visit(name) else None


def _counts(
    estimand: Estimand,
    one: IntercurrentEvent,
    endpoint: Endpoint,
    visit: str,
    own: pd.DataFrame,
    happened: pd.DataFrame,
    patients: Sequence[str],
    study: Study,
) -> dict[str, object]:
    events = happened[(happened["event"] == one.event) & happened["patient_id"].isin(list(patients))]
    begins = {str(p): int(d) for p, d in zip(events["patient_id"], events["study_day"], strict=True) if pd.notna(d)}
    strategy = estimand.strategy(one.event, endpoint.id)
    target = study.trial.visit(visit).target_day if study.trial else 0
    tally = dict.fromkeys(("n_taken", "n_left_out", "n_stand_in", "n_no_response", "n_no_value"), 0)
    for patient, day in begins.items():
        mine = own[own["patient_id"] == patient]
        at = mine[mine["visit"] == visit]
        if float(at["day"].iloc[0] if len(at) else target) >= day:
            tally[_fate(mine, at, visit, ranked=strategy == "composite")] += 1
    return {
        "event": one.event,
        "strategy": strategy,
        "n_patients": len(patients),
        "n_not_assessed": int((events["assessed"] == "no").sum()),
        "n_with_event": sum(tally.values()),
        **tally,
        "rule": one.rule,
        "source": "; ".join(filter(None, (one.source, one.note))),
    }


def _fate(mine: pd.DataFrame, at: pd.DataFrame, visit: str, *, ranked: bool) -> str:
    """Return the count that a patient with an event adds to."""
    used = mine[(mine["compared_as"] == visit) & mine["value"].notna()]
    if ranked and len(used):
        return "n_no_response"
    if len(used):
        return "n_taken" if (used["visit"] == visit).any() else "n_stand_in"
    return "n_left_out" if at["value"].notna().any() else "n_no_value"


def estimand_in_short(table: pd.DataFrame) -> dict[tuple[str, str], str]:
    """Return by (cohort, endpoint) each event with its strategy and how many patients, for the table of shifts.

    Parameters
    ----------
    table
        Rows of `ESTIMAND`.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for row in table.to_dict("records"):
        key = (cell_text(row["cohort"]), str(row["endpoint"]))
        found.setdefault(key, []).append(f"{row['event']} {_in_short(row)}")
    return {key: "; ".join(parts) for key, parts in found.items()}


def _in_short(row: Mapping[str, object]) -> str:
    if row["n_not_assessed"] == row["n_patients"]:
        return f"({str(row['strategy']).replace('_', ' ')}): not assessed"
    unknown = f", {row['n_not_assessed']} not assessed" if row["n_not_assessed"] else ""
    happened = f"{row['n_with_event']} of {row['n_patients']}{unknown}"
    return f"({str(row['strategy']).replace('_', ' ')}): {happened}{fates(row)}"


def fates(row: Mapping[str, object]) -> str:
    """Return what became of the values of patients with an event: ``, 2 taken, 1 left out``; empty without any.

    Parameters
    ----------
    row
        Of `ESTIMAND`.
    """
    words = {
        "n_taken": "taken as measured",
        "n_left_out": "left out",
        "n_stand_in": "replaced by the last value before it",
        "n_no_response": "counted as no response",
        "n_no_value": "without a value",
    }
    return "".join(f", {row[name]} {word}" for name, word in words.items() if row[name])


def with_estimand(shifts: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Return the shifts with a column ``estimand``; as they are without an estimand.

    Parameters
    ----------
    shifts
        Rows of `SHIFTS`.
    table
        Rows of `ESTIMAND`.
    """
    if table.empty:
        return shifts
    words = estimand_in_short(table)
    keys: Iterator[tuple[object, object]] = zip(shifts["cohort"].fillna(""), shifts["endpoint"], strict=True)
    texts = [words.get((str(cohort), str(endpoint))) for cohort, endpoint in keys]
    return shifts.assign(estimand=pd.array(texts, dtype="string"))


def pairs_with_intercurrent(pairs: pd.DataFrame, endpoints: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs with the events that bear on each later value, and their words where it was left out.

    Parameters
    ----------
    pairs
        Rows of `PAIRS`.
    endpoints
        Rows of `tables.ENDPOINTS` that they come from.
    """
    if "intercurrent" not in endpoints or pairs.empty:
        return pairs
    known = endpoints[endpoints["intercurrent"].notna()]
    keys = ["patient_id", "endpoint"]
    by_visit = {tuple(row[:3]): row[3] for row in known[[*keys, "visit", "intercurrent"]].itertuples(index=False)}
    moved = known[known["compared_as"].notna() & (known["compared_as"] != known["visit"])]
    taken = {tuple(row[:3]): row[3] for row in moved[[*keys, "compared_as", "visit"]].itertuples(index=False)}
    words, reasons = [], []
    for row in pairs[[*keys, "visit_after", "after", "reason"]].itertuples(index=False):
        key = (row.patient_id, row.endpoint, row.visit_after)
        word, reason = by_visit.get(key), row.reason
        if key in taken:
            word = f"{word or 'no value at ' + row.visit_after}; {taken[key]} in its place"
        elif word and pd.isna(row.after):
            reason = f"value at {row.visit_after} left out ({word})"
        words.append(word)
        reasons.append(reason)
    return pairs.assign(reason=pd.array(reasons, dtype="string"), intercurrent=pd.array(words, dtype="string"))
