"""Rows of the quality table about compensation: a missing matrix, a wrong one, too much taken off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from immunolab.events.tube import Spillover, Tube
from immunolab.quality.cell_shares import Kinds
from immunolab.quality.matrix_error import matrix_error, matrix_is_off
from immunolab.quality.residual_spillover import (
    Residual,
    SpillingPair,
    hyper_negative,
    pairs_uncompensated,
    residuals,
    spilling_pairs,
    stained_areas,
)
from immunolab.quality.rows import Row, row
from immunolab.quality.spillover_lines import LEAST_SLOPE
from immunolab.schema.flags import Check

_NAMED = 3  # pairs that a message names
_OF_ANOTHER_DAY = 3  # pairs with an error from which on the whole matrix is doubted (judgement)
_LEAST_PAIRS = 2  # that share a dye in a file without a matrix: one alone may be of cells that carry both (judgement)
_MOST_HYPER_NEGATIVE = 1.0  # percent of single living cells; the shared real files have .2 at most but for one (2.2)
_COMPENSATED_NAMES = ("comp", "unmixed")  # in names of channels that were compensated before export


def shown_pairs(tube: Tube, found: Kinds) -> list[SpillingPair]:
    """Return the pairs of channels whose spillover a tube's cells show; none of a tube that is not compensated.

    Parameters
    ----------
    tube
        With the matrix it is compensated with.
    found
        What its events are.
    """
    if tube.spillover is None or _does_nothing(tube.spillover) or len(stained_areas(tube)) < 2:
        return []
    return spilling_pairs(tube, found.rows[found.single_living])


def compensation_rows(tube: Tube, found: Kinds, shown: Sequence[SpillingPair] | None = None) -> Iterator[Row]:
    """Yield the rows of a tube's compensation; none for a tube without two dyes.

    Parameters
    ----------
    tube
        With the matrix it is compensated with.
    found
        What its events are.
    shown
        Of `shown_pairs`; None finds them.
    """
    names = stained_areas(tube)
    if len(names) < 2:
        return
    rows = found.rows[found.single_living]
    if tube.spillover is None or _does_nothing(tube.spillover):
        yield from _without_matrix(tube, names, rows)
        return
    yield row(tube, Check.COMPENSATION, len(tube.spillover.channels), None, "ok", "compensated with the tube's matrix")
    yield _residual_row(tube, shown_pairs(tube, found) if shown is None else shown)
    below = hyper_negative(tube, rows)
    if below is None:
        return
    share, channel = below
    text = f"{share:.2g} % of the cells are far below zero in {channel}" if share else "no cell is far below zero"
    status = "warn" if share > _MOST_HYPER_NEGATIVE else "ok"
    yield row(tube, Check.HYPER_NEGATIVE, share, _MOST_HYPER_NEGATIVE, status, text, channel)


def _does_nothing(matrix: Spillover) -> bool:
    return bool(np.allclose(matrix.matrix, np.eye(len(matrix.matrix)), atol=1e-6))


def _without_matrix(tube: Tube, names: list[str], rows: np.ndarray) -> Iterator[Row]:
    """Yield whether a tube that is not compensated shares dyes between its channels."""
    if any(word in name.casefold() for name in names for word in _COMPENSATED_NAMES):
        yield row(tube, Check.COMPENSATION, 0, None, "ok", "compensated before export, by the names of its channels")
        return
    how = "the matrix is that of no spillover" if tube.spillover is not None else "there is no matrix"
    pairs = pairs_uncompensated(tube, rows)
    if len(pairs) < _LEAST_PAIRS:
        yield row(
            tube, Check.COMPENSATION, len(pairs), _LEAST_PAIRS, "ok", f"{how}, and no dye is seen in two channels"
        )
        return
    text = f"{how}, and dyes are seen in other channels: {_named(pairs)}: the tube is not compensated"
    yield row(tube, Check.COMPENSATION, len(pairs), _LEAST_PAIRS, "fail", text, pairs[0].pair)


def _residual_row(tube: Tube, shown: Sequence[SpillingPair]) -> Row:
    pairs, (error, known) = residuals(shown), matrix_error(shown)
    if pairs:
        text = f"left after compensation: {_named(pairs)}"
        if len(pairs) >= _OF_ANOTHER_DAY:
            text += "; so many that the matrix may be of another day or other voltages"
        return row(tube, Check.RESIDUAL_SPILLOVER, pairs[0].slope, LEAST_SLOPE, "warn", text, pairs[0].pair)
    if matrix_is_off(shown):
        worst = known[0].residual
        text = (
            f"the entries of the matrix are off by {100 * error:.0f} % ({len(known)} pairs that cells show), most in "
            f"{_named([worst])}: it may be of another day or other voltages"
        )
        return row(tube, Check.RESIDUAL_SPILLOVER, worst.slope, None, "warn", text, worst.pair)
    text = "no dye that spills is left in another channel, as far as cells show it"
    return row(tube, Check.RESIDUAL_SPILLOVER, 0.0, LEAST_SLOPE, "ok", text)


def _named(pairs: list[Residual]) -> str:
    more = f" and {len(pairs) - _NAMED} more" if len(pairs) > _NAMED else ""
    return ", ".join(f"{one.pair} {one.slope:.2g} %" for one in pairs[:_NAMED]) + more
