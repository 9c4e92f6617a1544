"""The difference between arms in words, for the key findings."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from immunolab.plots.numbers import interval, number, p_text
from immunolab.results.run import Run


def arm_differences(run: Run) -> Iterator[tuple[str, str, str]]:
    """Yield heading, sentence and codes of each primary endpoint's difference between an active arm and the control.

    Parameters
    ----------
    run
        The finished run; without a control arm nothing is yielded.
    """
    yield from _responses(run)
    table = run.table("arms")
    if table.empty:
        return
    scales = dict(zip(run.shifts["endpoint"], run.shifts["estimate_scale"], strict=True))
    for _, row in table[(table["test"] == "main") & (table["role"] == "primary")].iterrows():
        named = run.label_of(str(row["endpoint"]))
        heading = f"{row['arm']} less {row['control']}: primary endpoint, {named.axis}"
        yield heading, _sentence(row, str(scales[row["endpoint"]])), str(row["codes"] or "")


def _responses(run: Run) -> Iterator[tuple[str, str, str]]:
    """Yield the same of each primary endpoint of responders, a missing response counted as none."""
    table = run.table("response_tests")
    if table.empty:
        return
    own = table[(table["test"] == "fisher") & (table["missing_as"] == "non_response") & (table["role"] == "primary")]
    for _, row in own.iterrows():
        size, low, high = (_limit(row[name]) for name in ("estimate", "ci_low", "ci_high"))
        tested = f"odds ratio of response {size}, 95 % CI {low} to {high} ({p_text(row['p_value'])}, two-sided, "
        text = f"{row['n']} patients enrolled, a missing response counted as none, at {row['visits']}"
        found = row["method"] if pd.isna(row["p_value"]) else f"{tested}{row['method']})"
        yield f"{row['cohort']}: primary endpoint, responders by {row['score']}", f"{text}: {found}.", ""


def _limit(value: float) -> str:
    """Return a number of an odds ratio; an empty one is infinite."""
    return "infinite" if pd.isna(value) else number(value)


def _sentence(row: pd.Series, scale: str) -> str:
    of = f"{row['n_arm']} patients of {row['arm']}, {row['n_control']} of {row['control']} (control)"
    patients = f"{of} with both visits"
    if pd.isna(row["p_value"]):
        return f"{patients}: {row['method']}."
    size = interval(row["estimate"], row["ci_low"], row["ci_high"], scale)
    adjusted = f"; {p_text(row['q_value'], 'q')}, {row['adjustment']}" if row["q_value"] != row["p_value"] else ""
    words = f"the change in {row['arm']} over that in {row['control']} is"
    return f"{patients}: {words} {size}, 95 % CI ({p_text(row['p_value'])}, two-sided, {row['method']}{adjusted})."
