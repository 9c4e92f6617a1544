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
from immunolab.schema.courses import CYCLES, REGRESSION_TO_MEAN, SLOPES
from immunolab.schema.endpoints import CONTEXT
from immunolab.schema.table import Table

_NUMBERS = ("n_patients", "n_values", "estimate", "ci_low", "ci_high", "df", "p_value")

_EXACT = 1e-9  # of a value that is computed without a search
# Of a value by REML: an optimum is flat, so that values rounded to the CSV's 12 digits move it in the eighth digit
# (40 patients x 6 visits: 4e-9 of the degrees of freedom, 1e-7 of a p of 1e-16); shown are four digits at most.
_FITTED = 1e-6
_BY_REML = (CYCLES, SLOPES)


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
        fresh[CYCLES] = CYCLES.joined([cycle_rows(one.levels) for one in again])
    if file_in(run, REGRESSION_TO_MEAN).exists():
        plans = [(one.levels, one.plan.before, one.plan.after, run.study.trial) for one in again]
        fresh[REGRESSION_TO_MEAN] = REGRESSION_TO_MEAN.joined([regression_rows(*plan) for plan in plans])
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
            numbers = tuple(name for name in _NUMBERS if name in stored)
            within = _FITTED if table in _BY_REML else _EXACT
            yield from differences(table, stored, again, table.key, numbers, relative=within)
