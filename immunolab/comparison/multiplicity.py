"""Many endpoints: adjustment within the family an endpoint was declared in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from immunolab.comparison.paired import in_blocks, sign_vectors

Array = NDArray[np.float64]


def benjamini_hochberg(p_values: ArrayLike) -> Array:
    """Return false-discovery-rate adjusted p (Benjamini and Hochberg 1995, J R Stat Soc B 57:289), by statsmodels.

    Parameters
    ----------
    p_values
        ``(m,)``; NaN stays NaN and is not counted.
    """
    from statsmodels.stats.multitest import fdrcorrection

    return _adjusted(p_values, lambda p: fdrcorrection(p)[1])


def holm(p_values: ArrayLike) -> Array:
    """Return family-wise adjusted p (Holm 1979, Scand J Stat 6:65).

    Statsmodels' own gives the same to the last bit, and collects the garbage of the whole process at every call.

    Parameters
    ----------
    p_values
        ``(m,)``; NaN stays NaN and is not counted.
    """
    return _adjusted(p_values, _holm)


def _holm(p: Array) -> Array:
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return adjusted


def _adjusted(p_values: ArrayLike, method: Callable[[Array], Array]) -> Array:
    p = np.asarray(p_values, dtype=float)
    adjusted = np.full(p.shape, np.nan)
    tested = np.isfinite(p)
    if tested.any():
        adjusted[tested] = method(p[tested])
    return adjusted


def adjusted_by_role(p_values: ArrayLike, role: str) -> tuple[Array, str]:
    """Return q of a role's endpoints and the rule in words: Holm, for exploratory ones Benjamini-Hochberg.

    Parameters
    ----------
    p_values
        ``(m,)`` of the endpoints of one role and cohort; NaN where none was tested.
    role
        One of `plan.ROLES`.
    """
    p = np.asarray(p_values, dtype=float)
    n = int(np.isfinite(p).sum())
    if role == "primary" and p.size == 1:
        return p, "none (one primary)"
    if role == "exploratory":
        return benjamini_hochberg(p), f"Benjamini-Hochberg over {n} exploratory endpoints"
    return holm(p), f"Holm over {n} {role} endpoints"


def adjusted_together(tables: Sequence[pd.DataFrame], families: Sequence[str]) -> list[pd.DataFrame]:
    """Return shift tables of several contrasts with q over all of them: a role is one family over all visits.

    Parameters
    ----------
    tables
        `tables.SHIFTS` of one contrast each, adjusted by `adjusted_by_role`.
    families
        For each table, the set it belongs to; sets are adjusted apart. Negative controls and endpoints of declared
        families (column ``family``) are left as they are.
    """
    result = [table.copy() for table in tables]
    for family in dict.fromkeys(families):
        mine = [i for i, name in enumerate(families) if name == family]
        if len(mine) < 2:
            continue
        whole = pd.concat([_by_role(result[i]) for i in mine], keys=mine)
        for (_, role), rows in whole.groupby([whole["cohort"].fillna(""), "role"], sort=False):
            q, text = adjusted_by_role(rows["p_value"], str(role))
            if rows.index.get_level_values(0).nunique() == 1:
                continue
            for (i, row), value in zip(rows.index, q, strict=True):
                result[i].loc[row, ["q_value", "adjustment"]] = [float(value), f"{text} of all contrasts"]
    return result


def _by_role(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose family is that of their role: neither declared nor negative controls."""
    own = table["family"] == table["role"] if "family" in table else np.ones(len(table), dtype=bool)
    return table.loc[own, ["cohort", "role", "p_value"]]


def fixed_sequence(p_values: ArrayLike) -> Array:
    """Return adjusted p of hypotheses tested in the order given: the largest p so far.

    Parameters
    ----------
    p_values
        ``(m,)`` in the order declared. An endpoint without p stops the sequence: those after it get NaN.
    """
    p = np.asarray(p_values, dtype=float)
    return np.maximum.accumulate(p)  # NaN propagates


@dataclass(frozen=True)
class MaxT:
    """Sign-flip p values of a family.

    Attributes
    ----------
    raw
        ``(K,)`` each endpoint alone.
    single_step, step_down
        ``(K,)`` adjusted for the largest t of all, and of those not yet rejected (family-wise).
    exact
        Whether all sign vectors were used.
    """

    raw: Array
    single_step: Array
    step_down: Array
    exact: bool


def max_t(shifts: ArrayLike, *, seed: int = 0) -> MaxT:
    """Return max-T sign-flip p values (Westfall and Young 1993), patients flipped whole.

    Parameters
    ----------
    shifts
        ``(n, K)`` patients x endpoints; NaN where a patient lacks a pair, whose t then comes from the rest.
    seed
        Of the draws above 13 patients.
    """
    d = np.asarray(shifts, dtype=float)
    there = np.isfinite(d)
    filled = np.where(there, d, 0.0)
    signs, exact = sign_vectors(d.shape[0], seed)
    n, squares = there.sum(axis=0), (filled**2).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.concatenate([some @ filled for some in in_blocks(signs)]) / n
        t = np.abs(mean) / np.sqrt(np.maximum(squares - n * mean**2, 0.0) / (n - 1) / n)
    t = np.where(np.isnan(t), -np.inf, t)
    observed = t[0]
    limit = observed - 1e-9 * np.maximum(1.0, np.abs(observed))
    raw = (t >= limit).mean(axis=0)
    single = (t.max(axis=1)[:, None] >= limit).mean(axis=0)
    order = np.argsort(-observed, kind="stable")
    tail = np.maximum.accumulate(t[:, order[::-1]], axis=1)[:, ::-1]
    step = np.empty(d.shape[1])
    step[order] = np.maximum.accumulate((tail >= limit[order]).mean(axis=0))
    untested = ~np.isfinite(observed) & (observed < 0)
    for p in (raw, single, step):
        p[untested] = np.nan
    return MaxT(raw, single, step, exact)
