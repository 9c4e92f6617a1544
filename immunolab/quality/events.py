"""Checks of one tube: a steady run, detectors within range, cells that can be used, a matrix that fits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from immunolab.events.tube import Tube
from immunolab.loaders.preprocessing_checks import NOTHING_TO_DO
from immunolab.quality.cell_shares import Kinds, cell_kinds, share_rows
from immunolab.quality.compensation_rows import compensation_rows
from immunolab.quality.detectors import detector_rows
from immunolab.quality.repeated_events import repeated_rows
from immunolab.quality.residual_spillover import SpillingPair
from immunolab.quality.rows import Row, row
from immunolab.quality.run_checks import cleaned_row, run_rows
from immunolab.quality.steadiness import Steadiness
from immunolab.schema.flags import Check

_FEWEST_EVENTS = 10_000  # acquired: a subset of 1 % of CD4 then still has some tens of events (judgement)


def check_events(
    tube: Tube,
    found: Steadiness,
    cleaned: Tube,
    kinds: Kinds | None = None,
    shown: Sequence[SpillingPair] | None = None,
) -> list[Row]:
    """Return rows of `QUALITY` of one tube.

    Parameters
    ----------
    tube
        All of its events, linear scale.
    found
        What `steadiness` found in it.
    cleaned
        The tube whose events are gated: without what was cut, or the tube itself.
    kinds
        What its events are; None finds it out.
    shown
        The pairs of channels whose spillover its cells show; None finds them.

    Returns
    -------
    list of dict
        One row a check; those of the run and of the number of events are of all events, the others of those gated.
    """
    whole = [_events_row(tube), _finite_row(tube), *run_rows(tube, found), cleaned_row(cleaned)]
    kinds = kinds or cell_kinds(cleaned)
    rows = [
        *whole,
        *detector_rows(cleaned),
        *repeated_rows(cleaned),
        *share_rows(cleaned, kinds),
        *compensation_rows(cleaned, kinds, shown),
    ]
    for text in tube.warnings:
        check = Check.FILE_NOTE if text in NOTHING_TO_DO else Check.HEADER
        rows.append(row(tube, check, None, None, "warn", text))
    return [one for one in rows if one is not None]


def check_gates(sample_id: str, left_out: Sequence[str]) -> list[Row]:
    """Return one row of `QUALITY` for each gate that cannot be applied to this tube.

    Parameters
    ----------
    sample_id
        The tube.
    left_out
        Each gate with the reason, in words.
    """
    known: Row = {"sample_id": sample_id, "check": Check.GATE, "status": "warn"}
    return [{**known, "message": f"left out: {text}"} for text in left_out]


def _events_row(tube: Tube) -> Row:
    n = tube.n_events
    status = "fail" if n == 0 else "warn" if n < _FEWEST_EVENTS else "ok"
    few = f", fewer than {_FEWEST_EVENTS:,}" if n < _FEWEST_EVENTS else ""
    return row(tube, Check.EVENTS, n, _FEWEST_EVENTS, status, f"{n:,} events acquired{few}")


def _finite_row(tube: Tube) -> Row:
    bad = 0
    if tube.n_events and not np.isfinite(tube.columns.sum(axis=1, dtype=np.float64)).all():
        bad = int((~np.isfinite(tube.columns)).any(axis=0).sum())
    return row(tube, Check.NOT_A_NUMBER, bad, 0, "fail" if bad else "ok", f"{bad} events hold NaN or infinity")
