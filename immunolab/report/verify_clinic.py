"""The clinic's tables computed again: responders, adverse events, time to event."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from immunolab.clinical.event_counts import event_counts
from immunolab.clinical.follow_up import enrolled
from immunolab.clinical.intercurrent import composite_failures, with_failures
from immunolab.clinical.proportions import proportion
from immunolab.clinical.responders import responders, responses
from immunolab.clinical.survival import kaplan_meier
from immunolab.errors import Problem
from immunolab.report.table_diff import differences, file_in, read_written
from immunolab.results.run import Run
from immunolab.schema.clinical import (
    ADVERSE_EVENTS,
    EVENT_COUNTS,
    RESPONDERS,
    RESPONSES,
    SCORES,
    SURVIVAL,
    TIME_TO_EVENT,
)
from immunolab.schema.comparison import RESPONSE_TESTS

_SHARE = ("percent", "ci_low", "ci_high")
_LOST = ("n_not_seen", "n_not_evaluable")
_WORST = ("percent_worst_case", "worst_case_ci_low", "worst_case_ci_high")
_RESPONSE = ("n_patients", "n_evaluable", "n_responders", *_SHARE, *_WORST, *_LOST)
_EVENT = (
    *("n_patients", "n_at_risk", "n_not_at_risk", "n_unknown", "n_followed", "n_not_followed", "n_with_event"),
    *(*_SHARE, "percent_if_lost_had_it", "percent_if_lost_had_none"),
)
_IN_WINDOW = ("n_in_window", "percent_in_window", "in_window_ci_low", "in_window_ci_high")
_SEEN = ("outside_window", "below_level")
_TEST = ("n", "estimate", "ci_low", "ci_high", "p_value", "reference_percent")
_HARM = (*_SHARE, "events_per_patient_year", "not_graded")
_STEP = ("n_at_risk", *_SHARE)
_SUMMARY = ("n_events", "n_censored", "n_with_outcome", "median_day", "ci_low", "ci_high", "last_day")


def clinic_differences(run: Run) -> Iterator[Problem]:
    """Yield every number of the clinic's tables that does not follow from the numbers it depends on.

    Responses, responders and their tests, and events of scores are found again from the scores and the study's
    patients. In adverse_events.csv shares, limits, rates and the sum over
    grades must follow from the counts, and Kaplan-Meier curves and medians from the events and censored patients of
    each day. What only the clinic's files say (which event, which day) is covered by their hashes.
    """
    tables = (SCORES, RESPONSES, RESPONDERS, EVENT_COUNTS, RESPONSE_TESTS, ADVERSE_EVENTS, SURVIVAL, TIME_TO_EVENT)
    read = {table.name: read_written(run, table) for table in tables if file_in(run, table).exists()}
    for found in read.values():
        if isinstance(found, tuple):
            yield from found
    known = {name: found for name, found in read.items() if isinstance(found, pd.DataFrame)}
    if "scores" in known:
        yield from _responses(run, known)
    if "adverse_events" in known:
        harms = known["adverse_events"]
        yield from differences(ADVERSE_EVENTS, harms, _harms(harms), ADVERSE_EVENTS.key, _HARM)
    if {"survival", "time_to_event"} <= known.keys():
        steps, totals = _survival(known["survival"])
        yield from differences(SURVIVAL, known["survival"], steps, SURVIVAL.key, _STEP)
        yield from differences(TIME_TO_EVENT, known["time_to_event"], totals, TIME_TO_EVENT.key, _SUMMARY)


def _responses(run: Run, known: Mapping[str, pd.DataFrame]) -> Iterator[Problem]:
    """Yield where responses, responders, their tests and events of scores do not follow from the scores."""
    from immunolab.comparison.response_tests import tests_of_study

    scores, patients = known["scores"], enrolled(run.study, run.table("measurements"))
    answered = with_failures(scores, composite_failures(run.study, run.table("intercurrent_events"), scores))
    planned = run.study.trial.target_days if run.study.trial else {}
    found = responses(answered, patients, planned)
    windowed = "n_in_window" in known.get(EVENT_COUNTS.name, ())  # runs of before 26 November 2026 lack these columns
    event, seen = ((*_EVENT, *_IN_WINDOW), ("rule", *_SEEN)) if windowed else (_EVENT, ("rule",))
    again = (
        (RESPONSES, found, ("value",), ("response",)),
        (RESPONDERS, responders(answered, patients, planned), _RESPONSE, ()),
        (EVENT_COUNTS, event_counts(scores, patients, run.study.endpoints), event, seen),
        (RESPONSE_TESTS, tests_of_study(found, run.study), _TEST, ("method",)),
    )
    for table, fresh, numbers, words in again:
        if table.name in known:
            yield from differences(table, known[table.name], fresh, table.key, numbers, words)


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
