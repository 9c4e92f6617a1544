"""The clinic's tables worked out again: responders, adverse events, time to event."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from immunolab.clinical.proportions import proportion
from immunolab.clinical.responders import responders
from immunolab.clinical.survival import kaplan_meier
from immunolab.errors import InputError, Problem
from immunolab.report.table_diff import CHANGED, differences, file_of
from immunolab.results.run import Run
from immunolab.schema.clinical import ADVERSE_EVENTS, RESPONDERS, SCORES, SURVIVAL, TIME_TO_EVENT
from immunolab.schema.table import Table

_SHARE = ("percent", "ci_low", "ci_high")
_RESPONSE = ("n_patients", "n_evaluable", "n_responders", *_SHARE, "percent_worst_case")
_HARM = (*_SHARE, "events_per_patient_year", "not_graded")
_STEP = ("n_at_risk", *_SHARE)
_SUMMARY = ("n_events", "n_censored", "n_with_outcome", "median_day", "ci_low", "ci_high", "last_day")


def clinic_differences(run: Run) -> Iterator[Problem]:
    """Yield every number of the clinic's tables that does not follow from the numbers it rests on.

    Responders are counted again from the scores. In adverse_events.csv shares, limits, rates and the sum over
    grades must follow from the counts, and Kaplan-Meier curves and medians from the events and censored patients of
    each day. What only the clinic's own files tell (which event, which day) is vouched for by their hashes.
    """
    out, found = run.folder, list[Problem]()
    scores, told = _read(out, SCORES, found), _read(out, RESPONDERS, found)
    if scores is not None and told is not None:
        found += differences(RESPONDERS, told, responders(scores), RESPONDERS.key, _RESPONSE)
    harms = _read(out, ADVERSE_EVENTS, found)
    if harms is not None:
        found += differences(ADVERSE_EVENTS, harms, _harms(harms), ADVERSE_EVENTS.key, _HARM)
    curves, summary = _read(out, SURVIVAL, found), _read(out, TIME_TO_EVENT, found)
    if curves is not None and summary is not None:
        steps, totals = _survival(curves)
        found += differences(SURVIVAL, curves, steps, SURVIVAL.key, _STEP)
        found += differences(TIME_TO_EVENT, summary, totals, TIME_TO_EVENT.key, _SUMMARY)
    yield from found


def _read(out: Path, table: Table, found: list[Problem]) -> pd.DataFrame | None:
    path = out / "tables" / f"{table.name}.csv"
    if not path.exists():
        return None
    try:
        return table.read(path)
    except InputError as error:
        found += error.problems
    except (OSError, ValueError) as error:
        found.append(Problem(file_of(table), "", f"cannot be read: {error}", CHANGED))
    return None


def _harms(table: pd.DataFrame) -> pd.DataFrame:
    pairs = zip(table["n_with_event"].astype(int), table["n_patients"].astype(int), strict=True)
    shares = pd.DataFrame([vars(proportion(min(n, of), of)) for n, of in pairs], index=table.index)
    years = table["patient_years"].where(table["patient_years"] > 0)
    graded = table[[f"grade_{grade}" for grade in (1, 2, 3, 4, 5)]].sum(axis=1)
    rates = {"events_per_patient_year": table["n_events"] / years, "not_graded": table["n_with_event"] - graded}
    return table.assign(**{name: shares[name] for name in _SHARE}, **rates)


def _survival(curves: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return curves and summaries worked out from the events and censored patients of each day alone."""
    steps, totals = [curves.iloc[:0]], []
    for (cohort, endpoint), own in curves.groupby(["cohort", "endpoint"], sort=False, dropna=False):
        day = own["study_day"].to_numpy(dtype=int)
        n_events, n_censored = (own[name].to_numpy(dtype=int) for name in ("n_events", "n_censored"))
        days = np.concatenate([np.repeat(day, n_events), np.repeat(day, n_censored)])
        if not days.size:
            continue
        curve = kaplan_meier(days, np.arange(days.size) < n_events.sum())
        read = 100 * np.array([curve.at(float(one)) for one in day])
        at_risk = [int((days >= one).sum()) for one in day]
        steps.append(own.assign(n_at_risk=at_risk, **dict(zip(_SHARE, read.T, strict=True))))
        limits = dict(zip(("median_day", "ci_low", "ci_high"), curve.median(), strict=True))
        counts = {"n_events": int(n_events.sum()), "n_censored": int(n_censored.sum()), "n_with_outcome": days.size}
        totals.append({"cohort": cohort, "endpoint": endpoint, **counts, **limits, "last_day": int(days.max())})
    return pd.concat(steps, ignore_index=True), pd.DataFrame(totals, columns=[*TIME_TO_EVENT.key, *_SUMMARY])
