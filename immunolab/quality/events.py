"""Checks of one tube's events: enough of them, steady over time, within the detectors' range."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from immunolab.events.tube import Tube
from immunolab.schema.flags import Check

FEWEST_EVENTS = 10_000
MOST_MARGIN_PERCENT = 5.0
MOST_UNSTEADY_PERCENT = 10.0
_BIN = 500
_FEWEST_BINS = 10
_UNSTEADY_SD = 6.0
_COFACTOR = 150.0


def check_events(events: Tube) -> list[dict[str, object]]:
    """Return rows of `QUALITY` of one tube.

    Checks
    ------
    events : number of events, against 10,000 (a 1 % subset of CD4 then still has some tens of events).
    margin : share of events at the top of any fluorescence detector, in percent.
    steadiness : share of 500-event stretches whose median leaves the run's median by more than six
        robust standard deviations of all stretches, in the channel where most do, in percent.
    not_a_number : events that hold NaN or infinity in any channel.
    """
    rows = [_events_row(events), _finite_row(events), _margin_row(events), _steadiness_row(events)]
    rows += [_row(events, Check.HEADER, None, None, "warn", text) for text in events.warnings]
    return [row for row in rows if row is not None]


def check_gates(sample_id: str, left_out: Sequence[str]) -> list[dict[str, object]]:
    """Return one row of `QUALITY` for each gate that this tube's import or channels do not allow."""
    row = {"sample_id": sample_id, "check": Check.GATE, "status": "warn"}
    return [{**row, "message": f"left out: {text}"} for text in left_out]


def _row(
    events: Tube, check: Check, value: float | None, limit: float | None, status: str, message: str
) -> dict[str, object]:
    return {
        "sample_id": events.sample_id,
        "check": check,
        "value": value,
        "limit": limit,
        "status": status,
        "message": message,
    }


def _events_row(events: Tube) -> dict[str, object]:
    n = events.n_events
    status = "fail" if n == 0 else "warn" if n < FEWEST_EVENTS else "ok"
    return _row(events, Check.EVENTS, n, FEWEST_EVENTS, status, f"{n} events acquired")


def _finite_row(events: Tube) -> dict[str, object]:
    bad = 0
    if events.n_events and not np.isfinite(events.columns.sum(axis=1, dtype=np.float64)).all():
        bad = int((~np.isfinite(events.columns)).any(axis=0).sum())
    return _row(events, Check.NOT_A_NUMBER, bad, 0, "fail" if bad else "ok", f"{bad} events hold NaN or infinity")


def _fluorescence(events: Tube) -> list[int]:
    return [i for i, channel in enumerate(events.channels) if channel.kind == "fluorescence"]


def _margin_row(events: Tube) -> dict[str, object] | None:
    rows = _fluorescence(events)
    if not rows or not events.n_events:
        return None
    worst, name = 0.0, events.channels[rows[0]].name
    for row in rows:
        column = events.columns[row]
        top = column.max()
        share = 100.0 * np.count_nonzero(column == top) / column.size
        if np.count_nonzero(column == top) > 1 and share > worst:
            worst, name = share, events.channels[row].name
    status = "warn" if worst > MOST_MARGIN_PERCENT else "ok"
    message = f"at most {worst:.2g} % of events at the top of a detector ({name})"
    return _row(events, Check.MARGIN, worst, MOST_MARGIN_PERCENT, status, message)


def _steadiness_row(events: Tube) -> dict[str, object] | None:
    rows = _fluorescence(events)
    n_bins = events.n_events // _BIN
    if not rows or n_bins < _FEWEST_BINS:
        return None
    shares = [_unsteady_share(events.columns[row], n_bins) for row in rows]
    worst = int(np.argmax(shares))
    value = 100.0 * shares[worst]
    status = "warn" if value > MOST_UNSTEADY_PERCENT else "ok"
    name = events.channels[rows[worst]].name
    message = f"{value:.2g} % of {n_bins} stretches of {_BIN} events leave the run's level in {name}"
    return _row(events, Check.STEADINESS, value, MOST_UNSTEADY_PERCENT, status, message)


def _unsteady_share(column: NDArray[np.float32], n_bins: int) -> float:
    stretches = np.arcsinh(column[: n_bins * _BIN].reshape(n_bins, _BIN) / _COFACTOR)
    medians = np.median(stretches, axis=1)
    centre = np.median(medians)
    spread = 1.4826 * np.median(np.abs(medians - centre))
    within = 1.4826 * np.median(np.abs(stretches - medians[:, None])) * 1.2533 / np.sqrt(_BIN)
    return float(np.mean(np.abs(medians - centre) > _UNSTEADY_SD * max(spread, within, 1e-9)))
