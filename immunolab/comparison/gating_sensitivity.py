"""The cohort's shift under other rules for the same gates: fixed at baseline, placed anew on each visit.

A shift that gates fixed at baseline do not show was made by gates that moved; one that only fixed
gates show was made by a marker that moved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from immunolab.comparison.plan import Compared
from immunolab.comparison.table import compare_endpoints
from immunolab.errors import ComparisonError
from immunolab.schema.gating import GATING_RULES


def with_other_gatings(
    shifts: pd.DataFrame,
    counted: pd.DataFrame,
    shares: Mapping[tuple[str, str], str],
    rows: pd.DataFrame,
    compared: Sequence[Compared],
) -> pd.DataFrame:
    """Return the shifts with columns ``fold_RULE``, ``ci_low_RULE`` and ``ci_high_RULE`` for each rule.

    Parameters
    ----------
    shifts
        Rows of `SHIFTS` under the gates of the run.
    counted
        Rows of `OTHER_GATINGS`: counts under the other rules.
    shares
        Endpoint that is the percentage of a population of a parent, by (population, parent).
    rows
        The endpoint table; the percentages in it are counted again under each rule.
    compared
        The comparisons made.

    Notes
    -----
    Only percentages are counted again. Fields are empty where a rule gives no other gates (drawn gates,
    a patient with one visit in the batch).
    """
    if counted.empty:
        return shifts
    keys = zip(counted["population"], counted["parent"], strict=True)
    counted = counted.assign(endpoint=[shares.get(key) for key in keys])
    result = shifts
    for rule in GATING_RULES:
        own = counted[(counted["rule"] == rule) & counted["endpoint"].notna()]
        result = result.merge(_shifts(rule, own, rows, compared), on=["cohort", "endpoint", "contrast"], how="left")
    return result


def _shifts(rule: str, counted: pd.DataFrame, rows: pd.DataFrame, compared: Sequence[Compared]) -> pd.DataFrame:
    names = [f"fold_{rule}", f"ci_low_{rule}", f"ci_high_{rule}"]
    again = rows.drop(columns=["n_events", "n_parent", "value", "gate_low", "gate_high"], errors="ignore")
    again = again.merge(
        counted[["sample_id", "endpoint", "n", "of"]].rename(columns={"n": "n_events", "of": "n_parent"}),
        on=["sample_id", "endpoint"],
    )
    again["value"] = 100.0 * again["n_events"] / again["n_parent"].where(again["n_parent"] > 0)
    found = []
    for one in compared:
        own = again[again["endpoint"].isin(one.endpoints)]
        try:
            found.append(compare_endpoints(own, one.plan).shifts if len(own) else pd.DataFrame())
        except ComparisonError:
            continue  # no pair under this rule: its fields stay empty
    filled = [table for table in found if len(table)]
    columns = ["cohort", "endpoint", "contrast", "fold", "ci_low", "ci_high"]
    if not filled:
        return pd.DataFrame(columns=["cohort", "endpoint", "contrast", *names])
    table = pd.concat(filled, ignore_index=True)[columns]
    return table.rename(columns=dict(zip(["fold", "ci_low", "ci_high"], names, strict=True)))
