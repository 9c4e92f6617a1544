"""The estimand's tables computed again: who had which event, which values are left out, and the counts of both."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from immunolab.clinical.intercurrent import intercurrent_events
from immunolab.comparison.estimand import estimand_rows, with_intercurrent
from immunolab.comparison.steroids import dose_sensitivity
from immunolab.errors import Problem
from immunolab.report.table_diff import differences, file_in, read_written
from immunolab.results.run import Run
from immunolab.schema.courses import DOSE_SENSITIVITY
from immunolab.schema.endpoints import CONTEXT, ENDPOINTS, MEASUREMENTS
from immunolab.schema.estimand import ESTIMAND, INTERCURRENT_EVENTS

_FROM_FILES = ("outcomes", "table")  # events that only the clinic's files say: covered by the hashes of those
_DOSE_NUMBERS = ("n_pairs", "n_concerned", "estimate", "fold", "ci_low", "ci_high", "p_value")
_COUNTS = tuple(name for name in ESTIMAND.names if name.startswith("n_"))


def estimand_differences(run: Run, endpoints: pd.DataFrame) -> Iterator[Problem]:
    """Yield what in the estimand's tables does not follow from doses, measurements and endpoints as written.

    Parameters
    ----------
    run
        The finished run.
    endpoints
        The endpoints table as its file holds it.
    """
    if not file_in(run, INTERCURRENT_EVENTS).exists():
        return
    happened = read_written(run, INTERCURRENT_EVENTS)
    if isinstance(happened, tuple):
        yield from happened
        return
    yield from _events(run, happened)
    again = with_intercurrent(endpoints, happened, run.study, run.study.endpoints)
    words = ("intercurrent", "compared_as")
    keys = ("sample_id", "endpoint")
    yield from differences(ENDPOINTS, _filled(endpoints, words), _filled(again, words), keys, (), words)
    stored = read_written(run, ESTIMAND)
    if isinstance(stored, tuple):
        yield from stored
        return
    yield from _dose_sensitivity(run, endpoints, happened)
    fresh = estimand_rows(again, happened, run.study, run.study.endpoints)
    yield from differences(ESTIMAND, stored, fresh, ESTIMAND.key, _COUNTS, ("strategy", "rule"))


def _events(run: Run, happened: pd.DataFrame) -> Iterator[Problem]:
    """Yield where the events of doses and measurements differ from what those say."""
    found = read_written(run, MEASUREMENTS) if file_in(run, MEASUREMENTS).exists() else MEASUREMENTS.empty()
    if isinstance(found, tuple):
        yield from found
        return
    measured = found if "study_day" in found else found.assign(study_day=pd.Series(dtype="Int64"))
    again = intercurrent_events(run.study, measured, None, None)
    own, fresh = (table[~table["seen_in"].isin(_FROM_FILES)] for table in (happened, again))
    yield from differences(INTERCURRENT_EVENTS, own, fresh, INTERCURRENT_EVENTS.key, ("study_day",), ("assessed",))


def _dose_sensitivity(run: Run, endpoints: pd.DataFrame, happened: pd.DataFrame) -> Iterator[Problem]:
    """Yield where the shifts given a dose differ from a fresh comparison."""
    if not file_in(run, DOSE_SENSITIVITY).exists():
        return
    stored = read_written(run, DOSE_SENSITIVITY)
    doses = read_written(run, CONTEXT) if file_in(run, CONTEXT).exists() else CONTEXT.empty()
    for read in (stored, doses):
        if isinstance(read, tuple):
            yield from read
    if isinstance(stored, pd.DataFrame) and isinstance(doses, pd.DataFrame):
        fresh = dose_sensitivity(endpoints, doses, happened, run.study, run.compared)
        yield from differences(DOSE_SENSITIVITY, stored, fresh, DOSE_SENSITIVITY.key, _DOSE_NUMBERS, ("method",))


def _filled(table: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    return table.assign(**{name: table[name].fillna("") for name in names if name in table})
