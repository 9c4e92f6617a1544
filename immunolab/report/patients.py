"""The patients' table: each endpoint before and after, the interval of the change, the call and its reason."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pandas as pd

from immunolab.plots.numbers import bracket
from immunolab.plots.style import VERDICT_SYMBOLS
from immunolab.report.html_table import Cell, Grid, cell, grid
from immunolab.results.cohort_rows import rows_of
from immunolab.results.run import Run
from immunolab.vocabulary.display_names import display_name, unit_name

_VERDICTS = {"rise": "rise", "fall": "fall", "within_noise": "within noise", "not_evaluable": "not evaluable"}
HEADINGS = ("Patient", "Before", "After", "Change [95 % CI]", "Verdict", "Reason")


def patient_grid(run: Run, cohort: str, endpoint: str) -> Grid:
    """Return one row a patient for one endpoint, in the order of the pairs table.

    Parameters
    ----------
    run
        The finished run.
    cohort
        Its name; "" where the sheet has no cohorts.
    endpoint
        Endpoint id.
    """
    pairs = run.pairs
    rows = rows_of(pairs, endpoint, cohort)
    when = {side: str(period) for side, period in zip(("before", "after"), run.slopes_of(endpoint) or (), strict=False)}
    return Grid(
        HEADINGS, tuple(_row(row, when) for _, row in rows.iterrows()), "No patient has a value at these visits."
    )


def _row(row: pd.Series, when: Mapping[str, str]) -> tuple[Cell, ...]:
    shift = Cell("")
    if not pd.isna(row["shift"]):
        shift = Cell(
            bracket(row["shift"], row["ci_low"], row["ci_high"], row["shift_scale"]), repr(float(row["shift"]))
        )
    verdict = str(row["verdict"])
    return (
        Cell(str(row["patient_id"])),
        _at(row, "before", when),
        _at(row, "after", when),
        shift,
        Cell(f"{VERDICT_SYMBOLS[verdict]} {_VERDICTS[verdict]}", "", verdict),
        cell(_in_units_of_the_page(row["reason"])),
    )


def _at(row: pd.Series, side: str, when: Mapping[str, str]) -> Cell:
    """Return a value with its visit, or with its period (``when``): a slope is of no visit."""
    value = cell(row[side], side)
    at = when.get(side) or row[f"visit_{side}"]
    return Cell(f"{value.text} ({at})", value.value, "number") if value.text else Cell("no value")


def _in_units_of_the_page(reason: object) -> object:
    """Return the reason of a call with its units as the page writes them; a ratio has none."""
    if not isinstance(reason, str):
        return reason
    return re.sub(r"(?<=\d) ratio\b", "", reason).replace("cells/uL", unit_name("cells/uL"))


def responders_grid(run: Run) -> Grid:
    """Return responders by score and visit; empty for a run without scores."""
    columns = {
        "score": "Score",
        "criterion": "Counts as responder",
        "visit": "Visit",
        "n_patients": "Enrolled",
        "n_responders": "Responders",
        "percent_worst_case": "% of enrolled, missing as none",
        "worst_case_ci_low": "95 % CI low",
        "worst_case_ci_high": "95 % CI high",
        "n_evaluable": "Evaluable",
        "percent": "% of evaluable",
        "ci_low": "95 % CI low",
        "ci_high": "95 % CI high",
        "missing": "Without a value",
        "verified": "Definition checked",
    }
    table = run.table("responders")
    return grid(table.assign(score=table["score"].map(display_name)), columns)


def components_grid(run: Run) -> Grid:
    """Return, by response, visit and core-set measure, how many improved and worsened, and the median change."""
    columns = {
        "score": "Score",
        "visit": "Visit",
        "component": "Measure",
        "n": "Evaluable",
        "improved": "Improved",
        "same": "Same",
        "worsened": "Worsened",
        "not_evaluable": "Not evaluable",
        "median": "Median improvement, %",
        "low": "Lower quartile",
        "high": "Upper quartile",
        "improvement_of": "% of",
        "points": "Median points",
    }
    table = run.table("components")
    keys = ["score", "visit", "component", "improvement_of"]
    groups = table.groupby(keys, sort=False)
    calls = table.groupby([*keys, "call"], sort=False).size().unstack("call", fill_value=0)
    found = pd.DataFrame(
        {
            "n": groups["improvement"].count(),
            "median": groups["improvement"].median(),
            "low": groups["improvement"].quantile(0.25),
            "high": groups["improvement"].quantile(0.75),
            "points": groups["points"].median(),
        }
    ).join(calls.reindex(columns=["improved", "same", "worsened", "not_evaluable"], fill_value=0))
    found = found.reset_index()
    named = {column: found[column].map(display_name) for column in ("score", "component")}
    return grid(found.assign(**named), columns)
