"""The difference between an active arm and the control arm, endpoint by endpoint."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from immunolab.comparison.estimate import ALPHA
from immunolab.plots.numbers import interval, number, p_text
from immunolab.results.findings.finding import EndpointFinding, Verdict
from immunolab.results.findings.paired import mean_change, subject, value_unit
from immunolab.results.findings.registry import registered
from immunolab.results.findings.words import DIRECTION_WORDS, endpoint_name
from immunolab.results.run import Run
from immunolab.study.endpoints import Endpoint

_WANTED = {"increase": 1, "decrease": -1}


def arm_findings(run: Run) -> Iterator[EndpointFinding]:
    """Yield what an active arm's change was over the control's, for each endpoint that was compared between them.

    Parameters
    ----------
    run
        The finished run; without a control arm nothing is yielded.
    """
    yield from _responses(run)
    table = run.table("arms")
    if table.empty:
        return
    shifts = run.shifts.drop_duplicates("endpoint").set_index("endpoint")
    main = table[(table["test"] == "main") & table["endpoint"].isin(run.declared) & (table["role"] != "exploratory")]
    for _, row in main.iterrows():
        endpoint = run.declared[str(row["endpoint"])]
        scale = str(shifts.loc[endpoint.id, "estimate_scale"])
        own = run.shifts_of(str(row["arm"]))
        before = own.loc[own["endpoint"] == endpoint.id, "median_before"]
        size = mean_change(row, scale, value_unit(endpoint, run.label_of(endpoint.id).unit), float(before.iloc[0]))
        yield _between(endpoint, row, scale, size)


def _between(endpoint: Endpoint, row: pd.Series, scale: str, size: str) -> EndpointFinding:
    n = f"{row['n_arm']} patients of {row['arm']}, {row['n_control']} of {row['control']} (control), with both visits"
    low, high = row["ci_low"], row["ci_high"]
    sign = 0 if pd.isna(low) or pd.isna(high) else int(low > 0) - int(high < 0)
    if sign and row["q_value"] >= ALPHA:
        sign = 0
    wanted = DIRECTION_WORDS[endpoint.direction]
    verdict: Verdict = "unclear"
    meaning = f"no clear difference between the arms ({wanted} was registered)"
    if sign:
        expected = _WANTED.get(endpoint.direction)
        verdict = "no_claim" if expected is None else "supports" if sign == expected else "against"
        meaning = f"the change in {row['arm']} is {'higher' if sign > 0 else 'lower'} ({wanted} was registered)"
    if pd.isna(row["p_value"]):
        plain, line = f"{n}: {row['method']}.", str(row["method"])
    else:
        plain = f"{subject(endpoint)}, change in {row['arm']} over that in {row['control']}: {size}; {meaning}; {n}."
        adjusted = f"; {p_text(row['q_value'], 'q')}, {row['adjustment']}" if row["q_value"] != row["p_value"] else ""
        estimate = interval(row["estimate"], low, high, scale)
        line = f"{row['method']}: {estimate}, 95 % CI, {p_text(row['p_value'])}, two-sided{adjusted}."
    return EndpointFinding(
        endpoint=endpoint.id,
        cohort=f"{row['arm']} less {row['control']}",
        name=endpoint_name(endpoint),
        role=endpoint.role,
        visits=endpoint.visits or endpoint.timing,
        measured_as=(),
        plain=plain,
        verdict=verdict,
        n=int(row["n_arm"]) + int(row["n_control"]),
        of=int(row["n_arm"]) + int(row["n_control"]),
        statistics=line,
    )


def _responses(run: Run) -> Iterator[EndpointFinding]:
    """Yield the same of each endpoint of responders, a missing response counted as none."""
    table = run.table("response_tests")
    if table.empty:
        return
    own = table[(table["test"] == "fisher") & (table["missing_as"] == "non_response")]
    known = {e.id: e for e in (*run.study.endpoints, *registered(run))}
    for _, row in own[own["endpoint"].isin(known)].iterrows():
        endpoint = known[str(row["endpoint"])]
        of = f"{row['n']} patients enrolled, a missing response counted as none, at {row['visits']}"
        tested = not pd.isna(row["p_value"])
        size, low, high = (_limit(row[name]) for name in ("estimate", "ci_low", "ci_high"))
        found = f"Odds of response {size} times those of the control, 95 % interval {low} to {high}"
        yield EndpointFinding(
            endpoint=endpoint.id,
            cohort=str(row["cohort"]),
            name=endpoint_name(endpoint),
            role=endpoint.role,
            visits=endpoint.visits,
            measured_as=(),
            plain=f"{found if tested else row['method']}; {of}.",
            verdict="described",
            n=int(row["n"]),
            of=int(row["n"]),
            statistics=f"{row['method']}, {p_text(row['p_value'])}, two-sided." if tested else str(row["method"]),
        )


def _limit(value: float) -> str:
    """Return a number of an odds ratio; an empty one is infinite."""
    return "infinite" if pd.isna(value) else number(value)
