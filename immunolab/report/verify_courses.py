"""Tables of courses computed again: repeated cycles, slopes by a mixed model, regression to the mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from immunolab.comparison.dose_time import cycle_rows
from immunolab.comparison.regression_to_mean import regression_rows
from immunolab.comparison.slopes import slope_rows
from immunolab.comparison.table import Comparison
from immunolab.errors import Problem
from immunolab.report.table_diff import differences, file_in, read_written
from immunolab.results.run import Run
from immunolab.schema.comparison import CYCLES, REGRESSION_TO_MEAN, SLOPES
from immunolab.schema.endpoints import CONTEXT
from immunolab.schema.table import Table

_NUMBERS = ("n_patients", "n_values", "estimate", "ci_low", "ci_high", "df", "p_value")


def course_differences(run: Run, endpoints: pd.DataFrame, again: Sequence[Comparison]) -> Iterator[Problem]:
    """Yield every number of these tables that does not follow from the endpoints and what is beside them.

    Parameters
    ----------
    run
        The finished run.
    endpoints
        The endpoints table as its file holds it.
    again
        The comparisons made again.
    """
    fresh: dict[Table, pd.DataFrame] = {}
    if file_in(run, CYCLES).exists():
        fresh[CYCLES] = _joined(CYCLES, [cycle_rows(one.levels) for one in again])
    if file_in(run, REGRESSION_TO_MEAN).exists():
        plans = [(one.levels, one.plan.before, one.plan.after, run.study.trial) for one in again]
        fresh[REGRESSION_TO_MEAN] = _joined(REGRESSION_TO_MEAN, [regression_rows(*plan) for plan in plans])
    if file_in(run, SLOPES).exists() and run.study.trial is not None:
        context = read_written(run, CONTEXT) if file_in(run, CONTEXT).exists() else CONTEXT.empty()
        if isinstance(context, pd.DataFrame):
            values = pd.concat([endpoints, context], ignore_index=True)
            happened = run.table("intercurrent_events")
            fresh[SLOPES] = slope_rows(values, run.study.endpoints, run.study.trial, happened)
    yield from _compared(run, fresh)


def _compared(run: Run, fresh: Mapping[Table, pd.DataFrame]) -> Iterator[Problem]:
    for table, again in fresh.items():
        stored = read_written(run, table)
        if isinstance(stored, tuple):
            yield from stored
        else:
            yield from differences(table, stored, again, table.key, tuple(n for n in _NUMBERS if n in stored))


def _joined(table: Table, frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True) if filled else table.empty()
