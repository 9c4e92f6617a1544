"""A comparison in plain text: the table, what was done, what is weak."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import pandas as pd

from immunolab.comparison.diagnostics import Finding
from immunolab.comparison.table import Comparison

WIDEST = 48
MOST_SHOWN = 10
MOST_OF_A_CODE = 5


def comparison_text(comparison: Comparison) -> str:
    """Return shifts, visits, methods and every warning as lines of text."""
    shifts = comparison.shifts
    lines = [*_aligned([_HEAD, *(_cells(row) for _, row in shifts.iterrows())]), ""]
    if shifts["endpoint"].nunique() <= MOST_SHOWN:
        head = ["endpoint", "cohort", "visit", "n", "median", "quartiles", "unit"]
        lines += ["medians by visit, over every patient with a value:"]
        lines += [*_aligned([head, *_visits(comparison)]), ""]
    lines += [*_done(shifts), *_warnings(comparison.warnings)]
    return "\n".join(lines)


def _warnings(findings: Sequence[Finding]) -> list[str]:
    """Return the warnings, at most five a code; the rest stand as codes in the table."""
    unique = list(dict.fromkeys(findings))
    by_code: dict[str, list[Finding]] = {}
    for finding in unique:
        by_code.setdefault(finding.code, []).append(finding)
    lines = ["", f"{len(unique)} warning{'s' if len(unique) > 1 else ''}:"] if unique else []
    for code, found in by_code.items():
        lines += map(str, found[:MOST_OF_A_CODE])
        if len(found) > MOST_OF_A_CODE:
            lines.append(f"{code}  and {len(found) - MOST_OF_A_CODE} more; column warnings of the table names them")
    return lines


_HEAD = ["endpoint", "cohort", "n", "before", "after", "estimate", "95 % interval", "fold", "p", "q", "signed rank p"]


def _cells(row: pd.Series) -> list[str]:
    low, high = (_short(row[name]) for name in ("ci_low", "ci_high"))
    return [
        _cut(str(row["endpoint"])),
        "" if pd.isna(row["cohort"]) else str(row["cohort"]),
        str(row["n_pairs"]),
        _short(row["median_before"]),
        _short(row["median_after"]),
        _short(row["estimate"]),
        f"{low} to {high}" if low else "",
        _short(row["fold"]),
        *(_short(row[name]) for name in ("p_value", "q_value", "sensitivity_p_value")),
    ]


def _visits(comparison: Comparison) -> Iterator[list[str]]:
    for row in comparison.visits.itertuples(index=False):
        quartiles = f"{_short(row.q1)} to {_short(row.q3)}"
        names = [_cut(str(row.endpoint)), str(row.cohort), str(row.visit), str(row.n_patients)]
        yield [*names, _short(row.median), quartiles, str(row.unit)]


def _done(shifts: pd.DataFrame) -> list[str]:
    lines = []
    for method, rows in shifts.groupby("method", sort=False):
        lines.append(f"method: {method} ({len(rows)} row{'s' if len(rows) > 1 else ''})")
    lines += [f"adjustment: {text}" for text in shifts["adjustment"].unique()]
    if "n_zero_shifts" in shifts:
        zeros = int(shifts["n_zero_shifts"].fillna(0).sum())
        if zeros:
            lines.append(f"signed rank: {zeros} zero shift(s) dropped")
    lines.append("estimate is the mean shift on the method's scale; before and after are medians over the pairs")
    return lines


def _short(value: object) -> str:
    if not isinstance(value, (int, float)) or math.isnan(value):
        return ""
    return f"{value:.3g}"


def _cut(text: str) -> str:
    return text if len(text) <= WIDEST else text[: WIDEST - 3] + "..."


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
