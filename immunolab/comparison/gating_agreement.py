"""Two gatings of the same tubes, population by population: bias, limits, concordance, and events in common."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.comparison.concordance import cohen_kappa, cv_between, lin_concordance
from immunolab.comparison.method_agreement import limits_of_agreement
from immunolab.schema.agreement import GATING_AGREEMENT
from immunolab.schema.flags import Flag

_FEWEST = 3  # tubes: below, there are no limits of agreement


def gating_agreement(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return how far two gatings agree on each population.

    Parameters
    ----------
    pairs
        Rows of `schema.agreement.GATING_PAIRS`.

    Returns
    -------
    DataFrame
        Rows of `schema.agreement.GATING_AGREEMENT`, in the order of the pairs.

    Notes
    -----
    Several tubes of one patient count as separate pairs: the limits are those of a further tube, and the interval of
    the bias is too narrow where patients differ in it. Percents that either gating withholds are left out and counted.
    """
    return GATING_AGREEMENT.frame(list(_rows(pairs)))


def _rows(pairs: pd.DataFrame) -> Iterator[dict[str, object]]:
    for (path_a, path_b), own in pairs.groupby(["path_a", "path_b"], sort=False):
        a, b = _column(own, "percent_a"), _column(own, "percent_b")
        known = np.isfinite(a) & np.isfinite(b)
        points, ratio = limits_of_agreement((b - a)[known]), limits_of_agreement(_log_ratio(a, b))
        lin = lin_concordance(a, b)
        n = int(known.sum())
        yield {
            "population": own["population"].iloc[0], "path_a": path_a, "path_b": path_b,
            "n_tubes": n, "n_withheld": len(own) - n,
            "mean_a": _mean(a[known]), "mean_b": _mean(b[known]),
            "bias": points.bias, "bias_ci_low": points.bias_low, "bias_ci_high": points.bias_high,
            "limit_low": points.low, "limit_high": points.high,
            "n_ratio": ratio.n, "ratio": np.exp(ratio.bias),
            "ratio_ci_low": np.exp(ratio.bias_low), "ratio_ci_high": np.exp(ratio.bias_high),
            "ratio_limit_low": np.exp(ratio.low), "ratio_limit_high": np.exp(ratio.high),
            "concordance": lin.value, "concordance_ci_low": lin.low, "concordance_ci_high": lin.high,
            "cv": cv_between(a, b), **_events(own),
            "flag": None if n >= _FEWEST else Flag.TOO_FEW_PAIRS,
        }  # fmt: skip


def _column(rows: pd.DataFrame, name: str) -> NDArray[np.float64]:
    return rows[name].to_numpy(dtype=float, na_value=np.nan)


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _log_ratio(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log(b / a) where both are above zero: a ratio with nothing says nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((a > 0) & (b > 0), np.log(b / a), np.nan)


def _events(rows: pd.DataFrame) -> dict[str, object]:
    """Return what is said of single events: F1 and kappa of all tubes together, and those of the worst tube."""
    known = rows[rows["n_both"].notna()]
    if known.empty:
        return {}
    n_a, n_b, both = (float(known[name].sum()) for name in ("n_a", "n_b", "n_both"))
    table = shared_table(*(int(known[name].sum()) for name in ("n_both_parents", "n_a_shared", "n_b_shared", "n_both")))
    kappa = cohen_kappa(table)
    return {
        "n_event_tubes": len(known),
        "f1": 2 * both / (n_a + n_b) if n_a + n_b else np.nan,
        "f1_lowest": known["f1"].astype(float).min(),
        "kappa": kappa.value,
        "kappa_lowest": known["kappa"].astype(float).min(),
    }


def shared_table(n: int, n_a: int, n_b: int, n_both: int) -> list[list[int]]:
    """Return events that both gatings have in the parent, by in and out of each: rows are the first gating's.

    Parameters
    ----------
    n
        Events in both parents.
    n_a, n_b, n_both
        Of these, the events in the first, the second, and both.
    """
    return [[n_both, n_a - n_both], [n_b - n_both, n - n_a - n_b + n_both]]
