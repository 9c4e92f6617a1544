"""The cohort's shift under other rules for the same gates: fixed at baseline, placed anew on each visit.

A shift that gates fixed at baseline do not show was made by gates that moved; one that only fixed
gates show was made by a marker that moved.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from immunolab.comparison.table import compare_endpoints
from immunolab.errors import ComparisonError
from immunolab.report.run_tables import Compared
from immunolab.schema.tables import OTHER_GATINGS
from immunolab.study.endpoints import Endpoint
from immunolab.study.sheet import Sample
from immunolab.workflow.store import Store

RULES = ("fixed_at_baseline", "refit_each_visit")


def with_other_gatings(
    shifts: pd.DataFrame,
    store: Store,
    samples: Sequence[Sample],
    endpoints: Sequence[Endpoint],
    rows: pd.DataFrame,
    compared: Sequence[Compared],
) -> pd.DataFrame:
    """Return the shifts with columns ``fold_RULE``, ``ci_low_RULE`` and ``ci_high_RULE`` for each rule.

    Parameters
    ----------
    shifts : rows of `SHIFTS` under the gates of the run.
    samples : whose folders hold counts under the other rules (``other_gatings.csv``).
    rows : the endpoint table; the percentages in it are counted again under each rule.
    compared : the contrasts made.

    Notes
    -----
    Only percentages are counted again. Fields are empty where a rule gives no other gates (drawn gates,
    a patient with one visit in the batch).
    """
    counted = OTHER_GATINGS.read(*(store.sample_folder(s.sample_id) / "other_gatings.csv" for s in samples))
    if counted.empty or shifts.empty:
        return shifts
    wanted = {e.share: e.id for e in endpoints if e.share}
    counted["endpoint"] = [wanted.get(key) for key in zip(counted["population"], counted["parent"], strict=True)]
    result = shifts
    for rule in RULES:
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
