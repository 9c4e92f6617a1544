"""Calls of all patients and endpoints, and the assay noise each depends on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.comparison import scales
from immunolab.comparison.individual_change import ChangeCalls, reliable_change, replicate_noise
from immunolab.comparison.pairing import Paired
from immunolab.comparison.plan import Noise, Plan


def assay_noise(paired: Paired, plan: Plan, replicates: pd.DataFrame | None) -> list[Noise | None]:
    """Return the noise of every endpoint: as declared, from replicates, from repeat baselines, or None.

    Parameters
    ----------
    paired, plan
        Both sides of every patient; what is compared and how.
    replicates
        Rows like the endpoint table's, where patient_id names a material measured again on another day.
    """
    rows = paired.rows
    baseline = rows[((rows["phase"] == "baseline") | (rows["side"] == 0)).to_numpy()]
    repeated = _by_endpoint(replicates) if replicates is not None else {}
    baselines = _by_endpoint(baseline)
    return [_noise(paired, e, plan, repeated, baselines) for e in range(len(paired.endpoints))]


def _by_endpoint(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {str(name): group for name, group in rows.groupby("endpoint", sort=False)}


def _noise(
    paired: Paired, e: int, plan: Plan, replicates: Mapping[str, pd.DataFrame], baselines: Mapping[str, pd.DataFrame]
) -> Noise | None:
    endpoint = paired.endpoints[e]
    declared = plan.noise.get(endpoint) if isinstance(plan.noise, Mapping) else plan.noise
    if declared is not None:
        return declared
    for source, rows in (("replicates", replicates), ("repeat baselines", baselines)):
        if endpoint in rows:
            return _noise_of(rows[endpoint], paired, e, source)
    return None


def _noise_of(rows: pd.DataFrame, paired: Paired, e: int, source: str) -> Noise | None:
    scale, ratio = paired.scales[e], bool(paired.ratio[e])
    counting = None
    if paired.counted[e] or paired.absolute[e]:
        counts, parents = _numbers(rows, "n_events"), _numbers(rows, "n_parent")
        counting = scales.single_variance(counts, parents, scale, ratio=ratio)
    if paired.counted[e]:
        level = scales.from_counts(counts, parents, scale, ratio=ratio)
    else:
        level, _ = scales.from_values(_numbers(rows, "value"), scale)
    return replicate_noise(level, rows["patient_id"], counting, source)


def _numbers(rows: pd.DataFrame, column: str) -> NDArray[np.float64]:
    return rows[column].to_numpy(dtype=float, na_value=np.nan)


def change_calls(paired: Paired, noises: Sequence[Noise | None]) -> ChangeCalls:
    """Return the calls of every endpoint and patient, arrays ``(E, P)``; q runs over a cohort's patients.

    Parameters
    ----------
    paired
        Both sides of every patient.
    noises
        One an endpoint, as `assay_noise` gives them.
    """
    shape = paired.shift.shape
    numbers = {name: np.full(shape, np.nan) for name in ("ci_low", "ci_high", "p_value", "q_value", "df")}
    words = {name: np.full(shape, "", dtype=object) for name in ("verdict", "reason")}
    for cohort in dict.fromkeys(paired.cohorts):
        of = paired.cohorts == cohort
        for e, noise in enumerate(noises):
            calls = reliable_change(
                paired.shift[e, of], paired.variance[e, of], paired.gate_variance[e, of], paired.n_visits[e, of], noise
            )
            for name, array in (numbers | words).items():
                array[e, of] = getattr(calls, name)
    nothing = (paired.events == 0).all(axis=2)
    words["verdict"][nothing] = "not_evaluable"
    words["reason"][nothing] = "no event at either visit"
    return ChangeCalls(**numbers, **words)


def noise_rows(paired: Paired, noises: Sequence[Noise | None]) -> pd.DataFrame:
    """Return rows of `schema.comparison.NOISE` for every noise known.

    Parameters
    ----------
    paired
        Endpoints and their scales.
    noises
        One an endpoint; None where no noise is known.
    """
    rows = [
        {"endpoint": endpoint, "scale": scale, "s_w": noise.s_w, "df": noise.df, "source": noise.source}
        for endpoint, scale, noise in zip(paired.endpoints, paired.scales, noises, strict=True)
        if noise is not None
    ]
    return pd.DataFrame(rows, columns=["endpoint", "scale", "s_w", "df", "source"])
