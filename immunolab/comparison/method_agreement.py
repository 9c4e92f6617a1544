"""Two methods on the same samples: bias and limits of agreement, on the logit of a percentage.

Bland and Altman 1986 (Lancet 327:307), with the intervals of their 1999 paper (Stat Methods Med Res
8:135). The logit makes a bias a factor on the odds, the same for rare and for frequent subsets.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
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
        n = len(difference)
        enough = n >= _FEWEST
        bias = float(difference.mean())
        sd = float(difference.std(ddof=1)) if enough else np.nan
        half = float(stats.t.ppf(0.975, n - 1)) * sd / np.sqrt(n) if enough else np.nan
        spread = enough and own["logit_first"].std() > 0 and own["logit_second"].std() > 0
        noise = 1 / (own["n_first"].to_numpy(dtype=float) + _HALF) + 1 / (own["n_second"].to_numpy(dtype=float) + _HALF)
        found.append(
            {
                "endpoint": endpoint,
                "population": own["population"].iloc[0],
                "parent": own["parent"].iloc[0],
                "n_pairs": n,
                "bias": bias,
                "bias_ci_low": bias - half,
                "bias_ci_high": bias + half,
                "odds_ratio": float(np.exp(bias)),
                "limit_low": bias - _LIMITS * sd,
                "limit_high": bias + _LIMITS * sd,
                "limit_se": sd * np.sqrt(3.0 / n) if enough else np.nan,
                "correlation": float(np.corrcoef(own["logit_first"], own["logit_second"])[0, 1]) if spread else np.nan,
                "counting_sd": float(np.sqrt(noise.mean())),
                "flag": None if enough else Flag.TOO_FEW_PAIRS,
            }
        )
    return pd.DataFrame(found)
