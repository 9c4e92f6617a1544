"""What a declared column is, and a column of a frame in its declared kind, with every value that it may not hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Kind = Literal["text", "integer", "number"]
DTYPES: dict[str, str] = {"text": "string", "integer": "Int64", "number": "float64"}
_LARGEST = 2.0**53  # beyond it a float64 skips whole numbers


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    name
        Its name; ``median_*`` declares every column that begins with ``median_``.
    kind
        What it holds.
    meaning
        In words.
    unit
        Its unit; the name of another column where that column says it.
    nullable
        Whether a value may be missing.
    allowed
        The words a text may be; empty allows every text.
    low, high
        Least and largest number, both allowed.
    optional
        Whether the column may be absent; an absent one is not written.
    """

    name: str
    kind: Kind
    meaning: str
    unit: str = ""
    nullable: bool = False
    allowed: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    optional: bool = False


def cast_column(column: Column, values: pd.Series) -> tuple[pd.Series, list[tuple[object, str]]]:
    """Return a column in its declared dtype, and (row, fault) for each value that it may not hold.

    Parameters
    ----------
    column
        Its declaration.
    values
        As given; rows are named by their index.

    Returns
    -------
    tuple of Series and list
        The column, and its faults in the order of checks.
    """
    if column.kind == "text":
        cast = values.astype("string")
        missing = cast.isna().to_numpy(bool)
        return cast, [*_absent(column, values, missing), *_not_allowed(column, cast, missing)]
    numbers, faults = _numbers(values)
    outside = np.zeros(len(numbers), dtype=bool)
    if column.low is not None:
        outside |= numbers < column.low
    if column.high is not None:
        outside |= numbers > column.high
    if outside.any():
        limits = f"{column.low if column.low is not None else ''}..{column.high if column.high is not None else ''}"
        faults += [(values.index[i], f"{numbers[i]:g} is outside {limits}") for i in np.flatnonzero(outside)]
    missing = np.isnan(numbers)
    if column.kind == "number":
        return pd.Series(numbers, index=values.index), [*faults, *_absent(column, values, missing)]
    whole = (np.abs(numbers) <= _LARGEST) & (numbers == np.floor(numbers))
    fraction = ~missing & ~whole
    faults += [(values.index[i], _not_whole(numbers[i])) for i in np.flatnonzero(fraction)]
    cast = pd.Series(
        pd.arrays.IntegerArray(np.where(whole, numbers, 0.0).astype(np.int64), missing), index=values.index
    )
    return cast, [*faults, *_absent(column, values, missing)]


def _not_whole(number: float) -> str:
    return f"{number:g} is not a whole number" + (" within 2^53" if abs(number) > _LARGEST else "")


def _numbers(values: pd.Series) -> tuple[NDArray[np.float64], list[tuple[object, str]]]:
    """Return values as float64 (NaN where empty), and a fault for each that is no number."""
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    if values.dtype.kind in "biuf" or not np.isnan(numbers).any():
        return numbers, []
    bad = (
        np.isnan(numbers) & values.notna().to_numpy(bool) & (values.astype("string") != "").fillna(False).to_numpy(bool)
    )
    return numbers, [(values.index[i], f"{values.iloc[i]!r} is not a number") for i in np.flatnonzero(bad)]


def _absent(column: Column, values: pd.Series, missing: NDArray[np.bool_]) -> Iterator[tuple[object, str]]:
    if column.nullable or not missing.any():
        return
    for i in np.flatnonzero(missing & values.isna().to_numpy(bool)):
        yield values.index[i], "the value is missing"


def _not_allowed(column: Column, cast: pd.Series, missing: NDArray[np.bool_]) -> Iterator[tuple[object, str]]:
    if not column.allowed:
        return
    allowed = ", ".join(column.allowed)
    for i in np.flatnonzero(~missing & ~cast.isin(column.allowed).to_numpy(bool)):
        yield cast.index[i], f"'{cast.iloc[i]}' is not one of: {allowed}"
