"""A comparison in words: as lines of text, and as a small HTML table for a notebook."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

import pandas as pd

from immunolab.comparison.diagnostics import Finding
from immunolab.schema.csv_files import cell_text

_WIDEST = 48  # characters of an endpoint's name in text
_MOST_SHOWN = 10  # endpoints up to which the medians by visit are listed
_MOST_ROWS = 20  # of the shifts, at the prompt and in a notebook (judgement: a screen)
_FIRST_WARNINGS = 3  # at the prompt (judgement: the table is what is looked for)
_MOST_OF_A_CODE = 5  # findings listed of one code
_HEAD: tuple[str, ...] = (
    "endpoint",
    "cohort",
    "pairs",
    "before",
    "after",
    "unit",
    "estimate",
    "scale",
    "95 % interval",
    "turned back",
    "ratio of medians",
)
_HEAD += ("p", "q", "family of q", "sensitivity p")
_MEANING = (
    "estimate is the mean shift on its scale, turned back is exp(estimate): odds ratio of shares, ratio of amounts; "
    "before and after are medians over the pairs, ratio of medians is after / before"
)


def one_line(contrast: str, pairs: pd.DataFrame, shifts: pd.DataFrame) -> str:
    """Return what was compared, how many endpoints and patients, in one line.

    Parameters
    ----------
    contrast
        The two sides in words.
    pairs, shifts
        Tables of the comparison.
    """
    n_endpoints, n_patients = shifts["endpoint"].nunique(), pairs["patient_id"].nunique()
    n_pairs = pairs.loc[pairs["shift"].notna(), "patient_id"].nunique()
    return f"Comparison {contrast}: {n_endpoints} endpoint(s), {n_patients} patient(s), {n_pairs} with both visits"


def shift_lines(shifts: pd.DataFrame) -> list[str]:
    """Return a heading and a line for each shift: pairs, medians, estimate with interval, p and q."""
    return list(_aligned([_HEAD, *(_cells(row) for _, row in shifts.iterrows())]))


def comparison_text(
    shifts: pd.DataFrame, visits: pd.DataFrame, warnings: Sequence[Finding], stimulation: pd.DataFrame
) -> str:
    """Return shifts, visits, methods and every warning as lines of text.

    Parameters
    ----------
    shifts, visits, warnings, stimulation
        Of a `table.Comparison`.
    """
    lines = [*shift_lines(shifts), ""]
    if shifts["endpoint"].nunique() <= _MOST_SHOWN:
        head = ["endpoint", "cohort", "visit", "n", "median", "quartiles", "unit"]
        lines += ["medians by visit, over every patient with a value:"]
        lines += [*_aligned([head, *_visit_cells(visits)]), ""]
    lines += [*_responses(stimulation), *_methods(shifts), *_warnings(warnings)]
    return "\n".join(lines)


def comparison_html(caption: str, shifts: pd.DataFrame, warnings: Sequence[Finding]) -> str:
    """Return the shifts as an HTML table: n, estimate with interval, p and q, and the method of each.

    Parameters
    ----------
    caption
        What was compared, see `one_line`.
    shifts, warnings
        Of a `table.Comparison`.
    """
    head = "".join(f"<th>{escape(name)}</th>" for name in (*_HEAD, "method", "warnings"))
    body = ""
    for _, row in shifts.head(_MOST_ROWS).iterrows():
        codes = cell_text(row["warnings"]).replace(";", ", ")
        body += "<tr>" + "".join(f"<td>{escape(c)}</td>" for c in (*_cells(row), row["method"], codes)) + "</tr>"
    notes = [more] if (more := _more(shifts)) else []
    notes += [_MEANING, *shifts["adjustment"].unique()]
    notes += [f"{len(warnings)} warning(s), see .warnings"] if warnings else []
    text = "; ".join(map(escape, notes))
    return f"<table><caption>{escape(caption)}</caption><tr>{head}</tr>{body}</table><p>{text}</p>"


def short_lines(shifts: pd.DataFrame) -> list[str]:
    """Return the first lines of `shift_lines`, and how many more there are.

    Parameters
    ----------
    shifts
        Of a `table.Comparison`.
    """
    more = _more(shifts)
    return [*shift_lines(shifts.head(_MOST_ROWS)), *([more] if more else [])]


def first_warnings(findings: Sequence[Finding]) -> list[str]:
    """Return the first warnings in words, and how many more there are."""
    texts = [text for _, text in _alike(findings)]
    more = len(texts) - _FIRST_WARNINGS
    return [*texts[:_FIRST_WARNINGS], *([f"and {more} more warnings, see .warnings"] if more > 0 else [])]


def _more(shifts: pd.DataFrame) -> str:
    return f"and {len(shifts) - _MOST_ROWS} more rows, see .shifts" if len(shifts) > _MOST_ROWS else ""


def _warnings(findings: Sequence[Finding]) -> list[str]:
    """Return the warnings, at most five a code; the rest are codes in the table."""
    alike = _alike(findings)
    by_code: dict[str, list[str]] = {}
    for code, text in alike:
        by_code.setdefault(code, []).append(text)
    lines = ["", f"{len(alike)} warning{'s' if len(alike) > 1 else ''}:"] if alike else []
    for code, texts in by_code.items():
        lines += texts[:_MOST_OF_A_CODE]
        if len(texts) > _MOST_OF_A_CODE:
            lines.append(f"{code}  and {len(texts) - _MOST_OF_A_CODE} more; column warnings of the table names them")
    return lines


def _alike(findings: Sequence[Finding]) -> list[tuple[str, str]]:
    """Return code and text of the warnings; what is said of several endpoints in the same words is said once."""
    where: dict[tuple[str, str, str], list[str]] = {}
    for finding in dict.fromkeys(findings):
        where.setdefault((finding.code, finding.cohort, finding.message), []).append(finding.endpoint)
    found = []
    for (code, cohort, message), endpoints in where.items():
        named = ", ".join(endpoints[:_MOST_OF_A_CODE])
        rest = len(endpoints) - _MOST_OF_A_CODE
        place = ", ".join(part for part in (cohort, named + (f" and {rest} more" if rest > 0 else "")) if part)
        found.append((code, f"{code}  {place + ': ' if place else ''}{message}"))
    return found


def _cells(row: pd.Series) -> list[str]:
    low, high = (_short(row[name]) for name in ("ci_low", "ci_high"))
    return [
        _cut(str(row["endpoint"])),
        cell_text(row["cohort"]),
        str(row["n_pairs"]),
        _short(row["median_before"]),
        _short(row["median_after"]),
        str(row["unit"]),
        _short(row["estimate"]),
        str(row["estimate_scale"]),
        f"{low} to {high}" if low else "",
        _turned_back(row),
        _short(row["ratio_of_medians"]),
        *(_short(row[name]) for name in ("p_value", "q_value")),
        "" if pd.isna(row.get("family")) else str(row["family"]),
        _short(row["sensitivity_p_value"]),
    ]


def _turned_back(row: pd.Series) -> str:
    """Return ``odds ratio 1.98``: the number with what it is; empty on scales without a ratio."""
    return f"{row['fold_is']} {_short(row['fold'])}" if _short(row["fold"]) else ""


def _visit_cells(visits: pd.DataFrame) -> Iterator[list[str]]:
    for row in visits.itertuples(index=False):
        quartiles = f"{_short(row.q1)} to {_short(row.q3)}"
        names = [_cut(str(row.endpoint)), str(row.cohort), str(row.visit), str(row.n_patients)]
        yield [*names, _short(row.median), quartiles, str(row.unit)]


def _responses(stimulation: pd.DataFrame) -> Iterator[str]:
    """Yield how many patients respond to a stimulus at each visit."""
    for (endpoint, visit), own in stimulation.groupby(["endpoint", "visit"], sort=False):
        called = own[own["call"] != "not_evaluable"]
        n = int((called["call"] == "response").sum())
        below = int((called["difference"] < 0).sum())
        cv = f"; {_short(own['tube_cv'].iloc[0])} % between tubes ({own['tube_source'].iloc[0]})" if len(called) else ""
        yield f"{endpoint}, {visit}: {n} of {len(called)} respond, {below} below their control{cv}"


def _methods(shifts: pd.DataFrame) -> list[str]:
    lines = []
    for method, rows in shifts.groupby("method", sort=False):
        lines.append(f"method: {method} ({len(rows)} row{'s' if len(rows) > 1 else ''})")
    lines += [f"multiplicity: {text}" for text in shifts["adjustment"].unique()]
    zeros = int(shifts["n_zero_shifts"].fillna(0).sum())
    if zeros:
        lines.append(f"signed rank: {zeros} zero shift(s) dropped")
    return [*lines, _MEANING]


def _short(value: object) -> str:
    if not isinstance(value, (int, float)) or math.isnan(value):
        return ""
    return f"{value:.3g}"


def _cut(text: str) -> str:
    return text if len(text) <= _WIDEST else text[: _WIDEST - 3] + "..."


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
