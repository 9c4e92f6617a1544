"""Checks that warn: of a tube, and of the planned days and doses."""

from __future__ import annotations

import pandas as pd

from immunolab.results.run import Run
from immunolab.schema.flags import Check

_OF_THE_CALENDAR = frozenset(
    {
        Check.PLANNED_DAY,
        Check.PLANNED_DOSES,
        Check.OUT_OF_WINDOW,
        Check.OUT_OF_PHASE,
        Check.CARRY_OVER,
        Check.STILL_DOSED,
        Check.DOSED_AT_BASELINE,
        Check.DOSES_OFF_CALENDAR,
    }
)


def tube_checks(run: Run) -> pd.DataFrame:
    """Return the rows of QUALITY that are checks of tubes.

    Parameters
    ----------
    run
        The finished run.
    """
    return run.quality[~run.quality["check"].isin(_OF_THE_CALENDAR)]


def tube_warnings(run: Run) -> pd.DataFrame:
    """Return the checks of tubes that warn or fail; those that are only noted are left out.

    Parameters
    ----------
    run
        The finished run.
    """
    checks = tube_checks(run)
    noted = {check.value for check in Check if check.rank == "note"}
    return checks[(checks["status"] != "ok") & ~checks["check"].isin(noted)]


def calendar_warnings(run: Run) -> pd.DataFrame:
    """Return the rows of QUALITY of samples off their window or phase, and of doses off the calendar.

    Parameters
    ----------
    run
        The finished run.
    """
    return run.quality[run.quality["check"].isin(_OF_THE_CALENDAR)]
