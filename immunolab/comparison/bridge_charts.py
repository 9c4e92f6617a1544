"""Bridging controls over their runs: limits of a Levey-Jennings chart, and the assay's CV with its interval.

Each run is judged by the other runs of its material (Levey and Jennings 1950; limits with the degrees of freedom that a
short history has): a run that is far off does not widen the limits that it is judged by.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import chdtri, ndtri, stdtr

from immunolab.comparison import scales
from immunolab.comparison.plan import Scale
from immunolab.schema.bridges import BRIDGE_CV, BRIDGES
from immunolab.schema.flags import READERS, split

Array = NDArray[np.float64]

FEWEST_RUNS = 4  # of a material, for limits: the sd of three others has two degrees of freedom (judgement)
OUTSIDE = 3.0  # sd: the action limit of a Levey-Jennings chart (Westgard 1981, rule 1-3s)


def deviations(levels: Array) -> Array:
    """Return how far each value is from the others, as the normal deviate of equal probability; NaN for few.

    Parameters
    ----------
    levels
        ``(n,)`` of one material; NaN where missing.
    """
    found = np.full(levels.shape, np.nan)
    known = np.flatnonzero(np.isfinite(levels))
    if known.size < FEWEST_RUNS:
        return found
    for i in known:
        others = levels[known[known != i]]
        sd = float(others.std(ddof=1)) * math.sqrt(1.0 + 1.0 / others.size)
        if sd > 0:
            t = (levels[i] - others.mean()) / sd
            tail = max(float(stdtr(others.size - 1, -abs(t))), 1e-300)
            found[i] = math.copysign(-float(ndtri(tail)), t)
    return found


def chart_rows(values: pd.DataFrame, order: Mapping[str, int]) -> pd.DataFrame:
    """Return rows of `BRIDGES`: every run and endpoint of the bridging controls with the limits of its chart.

    Parameters
    ----------
    values
        Rows like the endpoint table's with ``bridge``, ``aliquot`` and ``batch``.
    order
        Place of each batch in run order, from 1.
    """
    rows: list[dict[str, Any]] = []
    for _, own in values.groupby(["bridge", "endpoint"], sort=False):
        own = own.assign(run=[order.get(str(batch), len(order) + 1) for batch in own["batch"].fillna("")])
        own = own.sort_values(["run", "sample_id"])
        scale, level = _levels(own)
        limits = _limits(own, level, scale)
        apart = deviations(level)
        for i, row in enumerate(own.to_dict("records")):
            row = {name: row.get(name) for name in BRIDGES.names if name in row}
            rows.append(row | limits | {"deviation": _number(apart[i]), "status": _status(apart[i])})
    return BRIDGES.frame(rows)


def _levels(rows: pd.DataFrame) -> tuple[Scale, Array]:
    """Return the scale of comparison and the values on it."""
    unit, counted = str(rows["unit"].iloc[0]), rows["n_parent"].notna().all()
    value = rows["value"].to_numpy(dtype=float, na_value=np.nan)
    scale: Scale = scales.declared_scale(unit, value) or (
        "log" if np.all(value[np.isfinite(value)] > 0) else "identity"
    )
    if unit == "%" and counted:
        n, of = (rows[name].to_numpy(dtype=float) for name in ("n_events", "n_parent"))
        return scale, np.where(np.isfinite(value), scales.from_counts(n, of, scale), np.nan)
    level = scales.from_values(value, scale)
    return scale, np.where(np.isfinite(level), level, np.nan)


def _limits(rows: pd.DataFrame, level: Array, scale: Scale) -> dict[str, float | None]:
    known = level[np.isfinite(level)]
    names = {"centre": 0.0, "low_2s": -2.0, "high_2s": 2.0, "low_3s": -OUTSIDE, "high_3s": OUTSIDE}
    if known.size < FEWEST_RUNS:
        return dict.fromkeys(names)
    share = str(rows["unit"].iloc[0]) == "%"
    places = known.mean() + known.std(ddof=1) * np.array(list(names.values()))
    return dict(zip(names, map(float, scales.to_unit(places, scale, share=share)), strict=True))


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _status(deviation: float) -> str:
    return "warn" if abs(deviation) > OUTSIDE else "ok"


def cv_rows(values: pd.DataFrame) -> pd.DataFrame:
    """Return rows of `BRIDGE_CV`: the assay's CV of each endpoint from the runs of its bridging controls.

    Parameters
    ----------
    values
        As for `chart_rows`.
    """
    return BRIDGE_CV.frame([_cv(str(name), own) for name, own in values.groupby("endpoint", sort=False)])


def _cv(endpoint: str, rows: pd.DataFrame) -> dict[str, Any]:
    rows, left_out = runs_of_one_kind(rows)
    scale, level = _levels(rows)
    kept = np.isfinite(level)
    sets = [level[kept & (rows["bridge"] == name).to_numpy()] for name in dict.fromkeys(rows["bridge"])]
    sets = [one for one in sets if one.size > 1]
    df = sum(one.size - 1 for one in sets)
    found: dict[str, Any] = {
        "endpoint": endpoint,
        "n_materials": len(sets),
        "n_runs": int(sum(one.size for one in sets)),
        "df": float(df) if df else None,
        "mean": _number(float(np.nanmean(rows["value"].to_numpy(dtype=float, na_value=np.nan))))
        if kept.any()
        else None,
        "unit": str(rows["unit"].iloc[0]),
        "reason": left_out or None,
    }
    if not df:
        return found | {"reason": "; ".join(filter(None, ("no material was measured twice", left_out)))}
    if scale == "identity":
        return found | {"reason": "the values have no CV: their zero is no absence"}
    variance = sum(float(((one - one.mean()) ** 2).sum()) for one in sets) / df
    per_log = float(np.mean(scales.per_log(level[kept], scale)))
    counting = _counting(rows[kept], scale)
    low, high = (variance * df / float(chdtri(df, p)) for p in (0.025, 0.975))
    as_cv = {"cv_percent": variance, "cv_low": low, "cv_high": high, "counting_cv_percent": counting}
    as_cv["assay_cv_percent"] = max(variance - (counting or 0.0), 0.0)
    return found | {name: None if v is None else 100.0 * math.sqrt(v) / per_log for name, v in as_cv.items()}


def runs_of_one_kind(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return the runs with automatic gates where a reader placed gates of others, and in words how many are left out.

    A reader's gates differ from automatic ones by more than the assay.

    Parameters
    ----------
    rows
        Of one endpoint, with ``flag``; without it all are of one kind.
    """
    if "flag" not in rows:
        return rows, ""
    by_reader = np.array([not READERS.isdisjoint(split(words)) for words in rows["flag"]], dtype=bool)
    n = int(by_reader.sum())
    if n in (0, len(rows)):
        return rows, ""
    return rows[~by_reader], f"without {n} run{'' if n == 1 else 's'} whose gates a reader placed"


def _counting(rows: pd.DataFrame, scale: Scale) -> float | None:
    """Return the mean counting variance on the scale; None without counts."""
    if rows["n_parent"].isna().any():
        return None
    n, of = (rows[name].to_numpy(dtype=float) for name in ("n_events", "n_parent"))
    ratio = str(rows["unit"].iloc[0]) == "ratio"
    return float(np.mean(scales.single_variance(n, of, scale, ratio=ratio)))


def outside(rows: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Return the runs beyond the chart's action limits, in words.

    Parameters
    ----------
    rows
        Of BRIDGES or BRIDGE_CHANNELS.
    names
        Columns that name what was measured.
    """
    far = rows[rows["status"] == "warn"]
    return [
        f"{row['bridge']} in batch {row['batch']}: {' of '.join(str(row[n]) for n in names)} {row['deviation']:+.1f} sd"
        for row in far.to_dict("records")
    ]
