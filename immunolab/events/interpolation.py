"""Smooth scales by table: as good as the exact arithmetic, and thirty times as fast.

A value's leading bits (sign, exponent, first bits of the fraction) are the index of a piece, its
other bits the place within the piece, on which a cubic polynomial approximates the function. So
the pieces are narrow where a scale bends and wide where it runs like a logarithm, and no search
is needed. The compiled and the plain loop do the same operations in the same order: results are
the same to the last bit.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from immunolab.compiled import compiled

Array = NDArray[np.float64]
_PIECE_BITS = 6  # 64 pieces an octave: the cubic is then nearer than transforms.TABLE_ERROR, which is checked there
_PIECES = 1 << _PIECE_BITS
_SHIFT = 52 - _PIECE_BITS  # 52 bits of fraction in a float64
_MAGNITUDE = (1 << 63) - 1  # every bit but the sign
_BLOCK = 8192  # events at once of the plain loop: judgement, its intermediate arrays stay in the cache
_WORTH_COMPILING = 500_000  # events; with fewer, loading numba takes longer than numpy does: judgement
# Chebyshev nodes of the unit interval, and the cubic through four values at them
_NODES = 0.5 - 0.5 * np.cos((2 * np.arange(4) + 1) * np.pi / 8)
_CUBIC = np.linalg.inv(np.vander(_NODES, 4, increasing=True))


@dataclass(frozen=True, eq=False)
class Tabulated:
    """A function as a table of cubic pieces.

    Attributes
    ----------
    function
        The exact function, for values beyond the table.
    first
        Index of the first piece: the leading bits of the smallest magnitude in the table.
    pieces
        Polynomial coefficients, lowest power first; positive values, then negative ones, then
        two pieces for 0 to the smallest magnitude.
    smallest
        That magnitude, a power of two.
    """

    function: Callable[[Array], Array]
    first: int
    pieces: Array
    smallest: float

    def __call__(self, values: Array) -> Array:
        """Return the function of every value (float64, any shape); NaN stays NaN."""
        flat = np.ascontiguousarray(values, dtype=np.float64).reshape(-1)
        result = np.empty_like(flat)
        count = self.pieces.shape[0] // 2 - 1
        arguments = flat.view(np.int64), flat, self.pieces, self.first, count, self.smallest, _SHIFT, result
        n_beyond = _loop(*arguments) if flat.size >= _WORTH_COMPILING or "numba" in sys.modules else _plain(*arguments)
        if n_beyond:
            beyond = ~(np.abs(flat) < np.ldexp(self.smallest, count // _PIECES))
            result[beyond] = self.function(flat[beyond])
        return result.reshape(np.shape(values))


def tabulate(function: Callable[[Array], Array], smallest: int, largest: int) -> Tabulated:
    """Return a table of a smooth function for magnitudes up to ``2**largest``.

    Parameters
    ----------
    function
        Float64 array to float64 array; defined on both signs.
    smallest
        Exponent of two below which the function is as good as a cubic.
    largest
        Exponent of two beyond which the function itself is called.
    """
    starts = np.ldexp(1.0 + np.arange(_PIECES) / _PIECES, np.arange(smallest, largest)[:, None]).reshape(-1)
    widths = np.repeat(np.ldexp(1.0 / _PIECES, np.arange(smallest, largest)), _PIECES)
    magnitudes = np.concatenate([starts[:, None] + widths[:, None] * _NODES, [np.ldexp(_NODES, smallest)]])
    signed = np.concatenate([magnitudes[:-1], -magnitudes[:-1], magnitudes[-1:], -magnitudes[-1:]])
    pieces = function(signed.reshape(-1)).reshape(-1, 4) @ _CUBIC.T
    first = int(np.float64(np.ldexp(1.0, smallest)).view(np.int64)) >> _SHIFT
    return Tabulated(function, first, np.ascontiguousarray(pieces), float(np.ldexp(1.0, smallest)))


@compiled
def _loop(bits: Any, values: Any, pieces: Any, first: int, count: int, smallest: float, shift: int, result: Any) -> int:
    rest = (1 << shift) - 1
    unit = 0.5**shift
    n_beyond = 0
    for i in range(values.shape[0]):
        magnitude = bits[i] & _MAGNITUDE
        piece = (magnitude >> shift) - first
        negative = (bits[i] >> 63) & 1  # arithmetic instead of a branch: signs are hard to foresee
        if piece >= count:
            n_beyond += 1
            continue
        if piece >= 0:
            place = (magnitude & rest) * unit
            piece += negative * count
        else:
            place = abs(values[i]) / smallest
            piece = 2 * count + negative
        c = pieces[piece]
        result[i] = ((c[3] * place + c[2]) * place + c[1]) * place + c[0]
    return n_beyond


def _plain(
    bits: NDArray[np.int64],
    values: Array,
    pieces: Array,
    first: int,
    count: int,
    smallest: float,
    shift: int,
    result: Array,
) -> int:
    rest = (1 << shift) - 1
    unit = 0.5**shift
    n_beyond = 0
    for start in range(0, values.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        magnitude = bits[block] & _MAGNITUDE
        piece = (magnitude >> shift) - first
        place = (magnitude & rest) * unit
        negative = bits[block] < 0
        low, beyond = piece < 0, piece >= count
        piece[negative] += count
        piece[beyond] = 0
        piece[low] = 2 * count + negative[low]
        place[low] = np.abs(values[block][low]) / smallest
        c = pieces[piece]
        result[block] = ((c[:, 3] * place + c[:, 2]) * place + c[:, 1]) * place + c[:, 0]
        n_beyond += int(np.count_nonzero(beyond))
    return n_beyond
