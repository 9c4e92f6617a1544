"""Rows of the quality table about detectors: events at the top of one, and populations that pile up there."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from immunolab.events.silent import FEWEST_EVENTS, is_silent
from immunolab.events.tube import Channel, Tube
from immunolab.quality.rows import Row, row
from immunolab.schema.flags import Check

# percent of events: of a dye a subset of 1 % can then be without its brightest cells; in scatter, granulocytes and
# clumps beyond the end are no cell that is gated (judgement)
_MOST_SATURATED = {"fluorescence": 1.0, "scatter": 5.0}
_PILE = 3.0  # times the events in the last twentieth below: a population that goes on to the end has fewer there
_MOST_NAMED = 3  # channels that a message names
_LAST = 0.95  # of the highest value
_MOST_MARGIN = 5.0  # percent of events at the top of one detector: more, and its voltage was too high (judgement)


def detector_rows(tube: Tube) -> Iterator[Row]:
    """Yield the rows of a tube's detectors.

    Parameters
    ----------
    tube
        As acquired.
    """
    if tube.n_events < FEWEST_EVENTS:  # a share of 1 % is a handful then, too
        return
    silent = _silent(tube)
    yield _no_signal_row(tube, silent)
    rows = [i for i, c in enumerate(tube.channels) if c.kind == "fluorescence" and i not in silent]
    if not rows:
        return
    shares = [_share_at_top(tube.columns[i]) for i in rows]
    worst = int(np.argmax(shares))
    name = tube.channels[rows[worst]].name
    status = "warn" if shares[worst] > _MOST_MARGIN else "ok"
    message = f"at most {shares[worst]:.2g} % of events at the top of a detector ({name})"
    yield row(tube, Check.MARGIN, shares[worst], _MOST_MARGIN, status, message, name)
    yield _saturation_row(tube, silent)


def _silent(tube: Tube) -> set[int]:
    """Return the channels of light, scatter or metals that read one value in every event."""
    kinds = ("fluorescence", "scatter", "mass")
    rows = [i for i, channel in enumerate(tube.channels) if channel.kind in kinds]
    return {i for i in rows if is_silent(tube, i)}


def _no_signal_row(tube: Tube, silent: set[int]) -> Row:
    """Return the row of channels without a signal; one without a marker is an unused detector, and only named."""
    if not silent:
        return row(tube, Check.NO_SIGNAL, 0, 0, "ok", "no channel reads one value in every event")
    said = [f"{_named(tube.channels[i])} reads {tube.columns[i, 0]:g}" for i in sorted(silent)]
    used = [i for i in silent if tube.channels[i].marker or tube.channels[i].kind == "scatter"]
    more = f" and {len(said) - _MOST_NAMED} more" if len(said) > _MOST_NAMED else ""
    text = f"{', '.join(said[:_MOST_NAMED])}{more} in every event: nothing was recorded"
    name = tube.channels[min(used or silent)].name
    return row(tube, Check.NO_SIGNAL, len(silent), 0, "fail" if used else "warn", text, name)


def _named(channel: Channel) -> str:
    return f"{channel.name} ({channel.marker})" if channel.marker else channel.name


def _saturation_row(tube: Tube, silent: set[int]) -> Row:
    """Return the row of the channel, of light or scatter, with most events piled up at its highest value."""
    rows = [i for i, c in enumerate(tube.channels) if c.kind in _MOST_SATURATED and _is_signal(c) and i not in silent]
    limits = [_MOST_SATURATED[tube.channels[i].kind] for i in rows]
    shares = [_piled_up(tube.columns[i]) for i in rows]
    worst = int(np.argmax(np.array(shares) / limits))
    value, name = shares[worst], tube.channels[rows[worst]].name
    bad = [tube.channels[i].name for i, share, most in zip(rows, shares, limits, strict=True) if share > most]
    text = f"{value:.2g} % of the events pile up at the highest value of {name}"
    if bad:
        text = f"events pile up at the highest value of {', '.join(bad)}: {value:.2g} % in {name}, whose order is lost"
    return row(tube, Check.SATURATION, value, limits[worst], "warn" if bad else "ok", text, name)


def _is_signal(channel: Channel) -> bool:
    """Return whether a channel is an area or a height: widths end at the clock of the electronics."""
    return not channel.name.upper().endswith(("-W", "-WIDTH", "_WIDTH"))


def _piled_up(column: NDArray[np.float32]) -> float:
    """Return the percent of events at the highest value, where they are a pile and not the end of a population."""
    top = _highest(column)
    at_top = int(np.count_nonzero(column == top))
    if at_top < 2 or top <= 0:
        return 0.0
    below = int(np.count_nonzero(column >= _LAST * top)) - at_top
    return 100.0 * at_top / column.size if at_top > _PILE * below else 0.0


def _share_at_top(column: NDArray[np.float32]) -> float:
    """Return the percent of events that share the highest value; one alone is no pile."""
    n = int(np.count_nonzero(column == _highest(column)))
    return 100.0 * n / column.size if n > 1 else 0.0


def _highest(column: NDArray[np.float32]) -> float:
    """Return the highest finite value: one event without a value must not hide a detector that is full."""
    top = float(column.max())
    return top if np.isfinite(top) else float(column.max(initial=-np.inf, where=np.isfinite(column)))
