"""The main table of the page: every endpoint's change, and beside it how each was tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from immunolab.plots.numbers import back, scale_word
from immunolab.report.html_table import Grid, grid
from immunolab.report.plan import plan_status
from immunolab.results.run import Run
from immunolab.schema.flags import Code, split

_CHANGE = {
    "plan": "Plan",
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
_SLOPES = {  # of two periods: a slope has no value before and after
    "plan": "Plan",
    "role": "Role",
    "label": "Endpoint",
    "earlier": "Earlier period",
    "later": "Later period",
    "n_pairs": "n patients",
    "median_before": "Median slope, earlier",
    "median_after": "Median slope, later",
    "change": "Difference",
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
    """Return the cohort's changes between visits, primary endpoints first; odds ratios and folds turned back from logs.

    Parameters
    ----------
    run
        The finished run.
    cohort
        Its name; "" where the sheet has no cohorts.
    """
    frame = _turned_back(_ordered(run, cohort))
    return _grid(frame[[run.slopes_of(str(name)) is None for name in frame["endpoint"]]], _CHANGE)


def slope_grid(run: Run, cohort: str) -> Grid:
    """Return the cohort's differences of slopes between two periods, primary endpoints first; no row without slopes.

    Parameters
    ----------
    run
        The finished run.
    cohort
        Its name; "" where the sheet has no cohorts.
    """
    frame = _turned_back(_ordered(run, cohort))
    periods = [run.slopes_of(str(name)) for name in frame["endpoint"]]
    for at, column in enumerate(("earlier", "later")):
        frame[column] = [str(both[at]) if both else "" for both in periods]
    return _grid(frame[[both is not None for both in periods]], _SLOPES)


def _turned_back(frame: pd.DataFrame) -> pd.DataFrame:
    """Return shifts with the change as it is read, and what it is."""
    frame = frame.copy()
    frame["kind"] = [scale_word(str(scale)) for scale in frame["estimate_scale"]]
    for column, source in (("change", "estimate"), ("change_low", "ci_low"), ("change_high", "ci_high")):
        frame[column] = [back(v, str(s)) for v, s in zip(frame[source], frame["estimate_scale"], strict=True)]
    return frame


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
    if known := plan_status(run):
        frame["plan"] = [known[str(name)][0] if str(name) in known else None for name in frame["endpoint"]]
    return frame


def _grid(frame: pd.DataFrame, columns: Mapping[str, str]) -> Grid:
    """Return the columns that the frame has and that are not empty throughout; p and q are always there."""
    have = {
        name: head
        for name, head in columns.items()
        if name in frame and (columns is not _TEST or frame[name].notna().any())
    }
    if "warnings" not in have:
        return grid(frame, have, empty=_EMPTY, row_heading="label")
    codes = [split(given) for given in frame["warnings"]]
    of_all = [code for code in codes[0] if all(code in own for own in codes)] if len(codes) > 1 else []
    frame = frame.assign(warnings=[_in_words([code for code in own if code not in of_all]) for own in codes])
    found = grid(frame, have, empty=_EMPTY, alarms=("warnings",), row_heading="label")
    return replace(found, note=f"Of every row: {_in_words(of_all)}." if of_all else "")


def _in_words(codes: Sequence[str]) -> str | None:
    """Return what the codes of a comparison mean; nothing where there is none, so that the cell stays empty."""
    return "; ".join(Code(code).meaning for code in codes) or None
