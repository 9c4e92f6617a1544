"""The main table of the page: every endpoint's change, and beside it how each was tested."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from immunolab.plots.numbers import back, scale_word
from immunolab.report.html_table import Grid, grid
from immunolab.results.run import Run

_CHANGE = {
    "role": "Role",
    "label": "Endpoint",
    "contrast": "Contrast",
    "n_pairs": "n pairs",
    "median_before": "Median before",
    "median_after": "Median after",
    "kind": "Change as",
    "change": "Change",
    "change_low": "95 % CI low",
    "change_high": "95 % CI high",
    "p_value": "p",
    "q_value": "q",
    "warnings": "Warnings",
}
_TEST = {
    "role": "Role",
    "label": "Endpoint",
    "method": "Method",
    "adjustment": "Adjustment",
    "family": "Family of q",
    "sensitivity_p_value": "p sensitivity",
    "equivalence": "Negative control",
    "estimand": "Intercurrent events",
}
_EMPTY = "No two visits could be compared."


def shift_grid(run: Run, cohort: str) -> Grid:
    """Return the cohort's table of shifts, primary endpoints first; odds ratios and folds are turned back from logs.

    Parameters
    ----------
    run
        The finished run.
    cohort
        Its name; "" where the sheet has no cohorts.
    """
    frame = _ordered(run, cohort)
    named = zip(map(str, frame["endpoint"]), frame["contrast"], strict=True)
    frame["contrast"] = [str(run.contrast_of(name)) if run.slopes_of(name) else text for name, text in named]
    frame["kind"] = [scale_word(str(scale)) for scale in frame["estimate_scale"]]
    for column, source in (("change", "estimate"), ("change_low", "ci_low"), ("change_high", "ci_high")):
        frame[column] = [back(v, str(s)) for v, s in zip(frame[source], frame["estimate_scale"], strict=True)]
    return _grid(frame, _CHANGE)


def tests_grid(run: Run, cohort: str) -> Grid:
    """Return how each change of a cohort was tested and adjusted, in the order of `shift_grid`.

    Parameters
    ----------
    run
        The finished run.
    cohort
        Its name; "" where the sheet has no cohorts.
    """
    frame = _ordered(run, cohort)
    for name in ("estimand", "equivalence"):
        if name in frame:
            frame[name] = frame[name].str.replace("_", " ")
    return _grid(frame, _TEST)


def _ordered(run: Run, cohort: str) -> pd.DataFrame:
    frame = run.shifts_of(cohort)
    order = frame["role"].map({"primary": 0, "secondary": 1, "exploratory": 2})
    frame = frame.assign(order=order).sort_values("order", kind="stable")
    frame["label"] = [run.label_of(str(name)).axis for name in frame["endpoint"]]
    return frame


def _grid(frame: pd.DataFrame, columns: Mapping[str, str]) -> Grid:
    """Return the columns that the frame has and that are not empty throughout; p and q are always there."""
    have = {
        name: head
        for name, head in columns.items()
        if name in frame and (columns is _CHANGE or frame[name].notna().any())
    }
    if "warnings" in have:
        frame = frame.assign(warnings=frame["warnings"].str.replace(";", "; "))
    return grid(frame, have, empty=_EMPTY, alarms=("warnings",), row_heading="label")
