"""Two methods on the same samples: bias and limits of agreement, on the logit of a percentage.

Bland and Altman 1986 (Lancet 327:307), with the intervals of their 1999 paper (Stat Methods Med Res
8:135). The logit makes a bias a factor on the odds, the same for rare and for frequent subsets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from immunolab.schema.flags import Flag

_FEWEST = 3  # pairs: below, a standard deviation says next to nothing
_HALF = 0.5  # count added to each side of the odds (Haldane 1956)
_LIMITS = 1.96  # sd from the bias to the limits of agreement, as rounded by Bland and Altman


def paired_methods(endpoints: pd.DataFrame, repeats: Mapping[str, str]) -> pd.DataFrame:
    """Return patient visits measured by two methods, one row an endpoint and visit.

    Parameters
    ----------
    endpoints
        Rows of `tables.ENDPOINTS`.
    repeats
        Endpoint of the second method to the endpoint of the first that it measures once more.

    Returns
    -------
    DataFrame
        Rows of `schema.cells.METHOD_PAIRS`.
    """
    rows = endpoints[(endpoints["unit"] == "%") & endpoints["n_events"].notna() & endpoints["value"].notna()].copy()
    n, of = rows["n_events"].to_numpy(dtype=float), rows["n_parent"].to_numpy(dtype=float)
    rows["logit"] = np.log((n + _HALF) / (of - n + _HALF))
    second = rows["endpoint"].isin(list(repeats))
    keys = ["endpoint", "patient_id", "visit"]
    columns = [*keys, "value", "n_events", "logit"]
    left = rows.loc[~second, [*columns, "population", "parent"]]
    right = rows.loc[second, columns].assign(endpoint=rows.loc[second, "endpoint"].map(dict(repeats)))
    both = left.merge(right, on=keys, suffixes=("_first", "_second"))
    return both.rename(
        columns={
            "value_first": "first",
            "value_second": "second",
            "n_events_first": "n_first",
            "n_events_second": "n_second",
        }
    )[[
        "endpoint", "population", "parent", "patient_id", "visit", "first", "second",
        "n_first", "n_second", "logit_first", "logit_second",
    ]]  # fmt: skip


def method_agreement(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return bias and limits of agreement of the second method against the first, by endpoint.

    Parameters
    ----------
    pairs
        As `paired_methods` gives them.

    Returns
    -------
    DataFrame
        Rows of `schema.cells.METHOD_AGREEMENT`; with fewer than three pairs the interval and the limits are empty.

    Notes
    -----
    Visits of one patient count as separate pairs; the limits then describe a single new measurement.
    """
    found = []
    for endpoint, own in pairs.groupby("endpoint", sort=False):
        difference = (own["logit_second"] - own["logit_first"]).to_numpy(dtype=float)
        limits = limits_of_agreement(difference)
        enough = limits.n >= _FEWEST
        spread = enough and own["logit_first"].std() > 0 and own["logit_second"].std() > 0
        noise = 1 / (own["n_first"].to_numpy(dtype=float) + _HALF) + 1 / (own["n_second"].to_numpy(dtype=float) + _HALF)
        found.append(
            {
                "endpoint": endpoint,
                "population": own["population"].iloc[0],
                "parent": own["parent"].iloc[0],
                "n_pairs": limits.n,
                "bias": limits.bias,
                "bias_ci_low": limits.bias_low,
                "bias_ci_high": limits.bias_high,
                "odds_ratio": float(np.exp(limits.bias)),
                "limit_low": limits.low,
                "limit_high": limits.high,
                "limit_se": limits.limit_se,
                "correlation": float(np.corrcoef(own["logit_first"], own["logit_second"])[0, 1]) if spread else np.nan,
                "counting_sd": float(np.sqrt(noise.mean())),
                "flag": None if enough else Flag.TOO_FEW_PAIRS,
            }
        )
    return pd.DataFrame(found)


@dataclass(frozen=True)
class Limits:
    """Bias of the second method with its 95 % interval, and limits of agreement; NaN below three pairs.

    Attributes
    ----------
    n
        Pairs.
    bias, bias_low, bias_high
        Mean of second less first, and its interval by Student's t.
    low, high
        Bias less and plus 1.96 sd of the differences.
    limit_se
        Standard error of a limit, sd times the root of 3 / n.
    """

    n: int
    bias: float
    bias_low: float
    bias_high: float
    low: float
    high: float
    limit_se: float


def limits_of_agreement(difference: NDArray[np.float64]) -> Limits:
    """Return bias and limits of agreement (Bland and Altman 1986; the intervals of 1999).

    Parameters
    ----------
    difference
        Second less first, one a pair; missing ones are left out.
    """
    difference = difference[np.isfinite(difference)]
    n = len(difference)
    if not n:
        return Limits(0, *(np.nan,) * 6)
    bias = float(difference.mean())
    if n < _FEWEST:
        return Limits(n, bias, *(np.nan,) * 5)
    sd = float(difference.std(ddof=1))
    half = float(stats.t.ppf(0.975, n - 1)) * sd / float(np.sqrt(n))
    low, high = bias - _LIMITS * sd, bias + _LIMITS * sd
    return Limits(n, bias, bias - half, bias + half, low, high, sd * float(np.sqrt(3.0 / n)))
