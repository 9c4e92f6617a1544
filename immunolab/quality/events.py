"""Checks of one tube's events: enough of them, steady over time, within the detectors' range."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from immunolab.events.tube import Tube
from immunolab.schema.flags import Check

_FEWEST_EVENTS = 10_000  # acquired: a subset of 1 % of CD4 then still has some tens of events (judgement)
_MOST_MARGIN = 5.0  # percent of events at the top of one detector: more, and its voltage was too high (judgement)
_MOST_UNSTEADY = 10.0  # percent of stretches: more, and a stop or clog is likely (judgement)
_STRETCH = 500  # events: their median varies by a twentieth of the spread of the cells
_FEWEST_STRETCHES = 10  # fewer have no steady middle to compare with
_UNSTEADY_SD = 6.0  # robust sd from the run's median: hundreds of stretches in many channels pass by chance (judgement)
_COFACTOR = 150.0  # of the asinh, instrument units: the usual one of conventional cytometers
_MAD_TO_SD = 1.4826  # sd of a normal over its median absolute deviation
_MEDIAN_SE = 1.2533  # standard error of a median over that of a mean, sqrt(pi / 2)


def check_events(events: Tube) -> list[dict[str, object]]:
    """Return rows of `QUALITY` of one tube.

    Parameters
    ----------
    events
        The tube, linear scale.

    Returns
    -------
    list of dict
        One row a check: ``events``, their number; ``not_a_number``, events that hold NaN or infinity; ``margin``,
        percent of events at the top of the worst detector; ``steadiness``, percent of 500-event stretches whose
        median leaves the run's by more than six robust standard deviations, in the worst channel; ``header``, a fault
        of it.
    """
    rows = [_events_row(events), _finite_row(events), _margin_row(events), _steadiness_row(events)]
    rows += [_row(events, Check.HEADER, None, None, "warn", text) for text in events.warnings]
    return [row for row in rows if row is not None]


def check_gates(sample_id: str, left_out: Sequence[str]) -> list[dict[str, object]]:
    """Return one row of `QUALITY` for each gate that cannot be applied to this tube.

    Parameters
    ----------
    sample_id
        The tube.
    left_out
        Each gate with the reason, in words.
    """
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
    status = "fail" if n == 0 else "warn" if n < _FEWEST_EVENTS else "ok"
    return _row(events, Check.EVENTS, n, _FEWEST_EVENTS, status, f"{n} events acquired")


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
    status = "warn" if worst > _MOST_MARGIN else "ok"
    message = f"at most {worst:.2g} % of events at the top of a detector ({name})"
    return _row(events, Check.MARGIN, worst, _MOST_MARGIN, status, message)


def _steadiness_row(events: Tube) -> dict[str, object] | None:
    rows = _fluorescence(events)
    n_bins = events.n_events // _STRETCH
    if not rows or n_bins < _FEWEST_STRETCHES:
        return None
    shares = [_unsteady_share(events.columns[row], n_bins) for row in rows]
    worst = int(np.argmax(shares))
    value = 100.0 * shares[worst]
    status = "warn" if value > _MOST_UNSTEADY else "ok"
    name = events.channels[rows[worst]].name
    message = f"{value:.2g} % of {n_bins} stretches of {_STRETCH} events leave the run's level in {name}"
    return _row(events, Check.STEADINESS, value, _MOST_UNSTEADY, status, message)


def _unsteady_share(column: NDArray[np.float32], n_bins: int) -> float:
    stretches = np.arcsinh(column[: n_bins * _STRETCH].reshape(n_bins, _STRETCH) / _COFACTOR)
    medians = np.median(stretches, axis=1)
    centre = np.median(medians)
    spread = _MAD_TO_SD * np.median(np.abs(medians - centre))
    within = _MAD_TO_SD * np.median(np.abs(stretches - medians[:, None])) * _MEDIAN_SE / np.sqrt(_STRETCH)
    return float(np.mean(np.abs(medians - centre) > _UNSTEADY_SD * max(spread, within, 1e-9)))
