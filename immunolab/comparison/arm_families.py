"""Role, q and rule of adjustment of the differences between arms: all arms and endpoints of a role are one family.

Negative controls are in none, as among the shifts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.comparison.arms import GroupDifference
from immunolab.comparison.multiplicity import adjusted_by_role, benjamini_hochberg, holm
from immunolab.comparison.plan import Plan

_CONTROL = "none (negative control)"


def adjusted_differences(differences: Sequence[GroupDifference], plan: Plan) -> list[GroupDifference]:
    """Return differences with role, q and the rule of adjustment: all arms and endpoints of a role are one family.

    Parameters
    ----------
    differences
        Of one comparison.
    plan
        Roles, and the adjustment asked for; ``auto`` goes by role as for the shifts.
    """
    own = [replace(one, role=plan.role(one.endpoint)) for one in differences]
    families: dict[str, list[int]] = {}
    for i, one in enumerate(own):
        if plan.adjust == "auto" and one.endpoint in plan.controls:
            own[i] = replace(one, adjustment=_CONTROL)
        else:
            families.setdefault(one.role if plan.adjust == "auto" else "", []).append(i)
    for role, members in families.items():
        p = np.array([own[i].main.p_value for i in members], dtype=float)
        q, text = _family(p, role) if role else _one_family(p, plan.adjust)
        for i, value in zip(members, q, strict=True):
            own[i] = replace(own[i], q_value=float(value), adjustment=text)
    return own


def arms_together(tables: Sequence[pd.DataFrame], families: Sequence[str]) -> list[pd.DataFrame]:
    """Return tables of arms of several contrasts with q over all of them: a role is one family over all visits.

    Parameters
    ----------
    tables
        `schema.comparison.ARMS` of one contrast each, by `adjusted_differences`.
    families
        For each table, the set it belongs to; sets are adjusted apart.
    """
    result = [table.copy() for table in tables]
    for family in dict.fromkeys(families):
        mine = [i for i, name in enumerate(families) if name == family and len(tables[i])]
        if len(mine) < 2:
            continue
        whole = pd.concat([_in_a_family(result[i]) for i in mine], keys=mine)
        for role, rows in whole.groupby("role", sort=False):
            if rows.index.get_level_values(0).nunique() == 1:
                continue
            q, text = _family(rows["p_value"].to_numpy(dtype=float), str(role))
            for (i, row), value in zip(rows.index, q, strict=True):
                result[i].loc[row, ["q_value", "adjustment"]] = [float(value), f"{text} of all contrasts"]
    return result


def _in_a_family(table: pd.DataFrame) -> pd.DataFrame:
    return table.loc[(table["test"] == "main") & (table["adjustment"] != _CONTROL), ["role", "p_value"]]


def _family(p: NDArray[np.float64], role: str) -> tuple[NDArray[np.float64], str]:
    if role == "primary" and p.size == 1:
        return p, "none (one primary difference)"
    q, text = adjusted_by_role(p, role)
    return q, text.replace("endpoints", "differences between arms")


def _one_family(p: NDArray[np.float64], adjust: str) -> tuple[NDArray[np.float64], str]:
    if adjust == "none":
        return np.full(p.size, np.nan), "none"
    q, word = (holm(p), "Holm") if adjust == "holm" else (benjamini_hochberg(p), "Benjamini-Hochberg")
    return q, f"{word} over {int(np.isfinite(p).sum())} differences between arms"
