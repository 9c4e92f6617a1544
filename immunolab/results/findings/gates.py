"""The change under other gating rules: what it would be, and whether it would be another."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from immunolab.plots.numbers import back, number
from immunolab.results.findings.words import listed

GATE_RULES = {"fixed_at_baseline": "fixed at baseline", "refit_each_visit": "placed anew at each visit"}
_SIGNS = {1: "is a rise", 0: "is not clear", -1: "is a fall"}


def rule_change(row: pd.Series, rule: str) -> str:
    """Return a change under another gating rule as ``2.11 [1.71, 2.60]``; empty where the rule gave none.

    Parameters
    ----------
    row
        Of SHIFTS, with the columns of the rule (``fold_RULE`` ...).
    rule
        Name of the gating rule.
    """
    columns = [f"{column}_{rule}" for column in ("fold", "ci_low", "ci_high")]
    if any(column not in row.index or pd.isna(row[column]) for column in columns):
        return ""
    fold, low, high = (float(row[column]) for column in columns)
    return f"{number(fold)} [{number(back(low, row['estimate_scale']))}, {number(back(high, row['estimate_scale']))}]"


def gate_doubts(row: pd.Series) -> Iterator[str]:
    """Yield a sentence for each way in which the change is another with other gates: opposite, gone, or only there.

    Parameters
    ----------
    row
        Of SHIFTS.
    """
    if pd.isna(row["ci_low"]) or pd.isna(row["ci_high"]):
        return
    other: dict[int, list[str]] = {}
    for rule, words in GATE_RULES.items():
        if not rule_change(row, rule):
            continue
        here, there = _sign(row["ci_low"], row["ci_high"]), _sign(row[f"ci_low_{rule}"], row[f"ci_high_{rule}"])
        if here != there:
            other.setdefault(there, []).append(words)
    for sign, rules in other.items():
        yield f"The change depends on the gates: it {_SIGNS[sign]} with gates {listed(rules, 'or')}."


def _sign(low: float, high: float) -> int:
    return int(low > 0) - int(high < 0)
