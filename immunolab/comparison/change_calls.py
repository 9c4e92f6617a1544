"""Verdicts of all patients and endpoints, and the assay noise each rests on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from immunolab.comparison import scales
from immunolab.comparison.individual_change import Change, reliable_change, replicate_noise
from immunolab.comparison.pairing import Paired
from immunolab.comparison.plan import Noise, Plan


def assay_noise(paired: Paired, plan: Plan, replicates: pd.DataFrame | None) -> list[Noise | None]:
    """Return the noise of every endpoint: as declared, from replicates, from repeat baselines, or None."""
    rows = paired.rows
    baseline = rows[((rows["phase"] == "baseline") | (rows["side"] == 0)).to_numpy()]
    repeats = {str(name): group for name, group in baseline.groupby("endpoint", sort=False)}
    tested: dict[str, pd.DataFrame] = {}
    if replicates is not None:
        tested = {str(name): group for name, group in replicates.groupby("endpoint", sort=False)}
    return [_noise(paired, e, plan, tested, repeats) for e in range(len(paired.endpoints))]


def _noise(
    paired: Paired, e: int, plan: Plan, replicates: Mapping[str, pd.DataFrame], baselines: Mapping[str, pd.DataFrame]
) -> Noise | None:
    endpoint = paired.endpoints[e]
    declared = plan.noise if isinstance(plan.noise, Noise) or plan.noise is None else plan.noise.get(endpoint)
    if declared is not None:
        return declared
    if endpoint in replicates:
        return _noise_of(replicates[endpoint], paired, e, "replicates")
    if endpoint in baselines:
        return _noise_of(baselines[endpoint], paired, e, "repeat baselines")
    return None


def _noise_of(rows: pd.DataFrame, paired: Paired, e: int, source: str) -> Noise | None:
    scale, ratio = paired.scales[e], bool(paired.ratio[e])
    if paired.counted[e] or paired.absolute[e]:
        counts = rows["n_events"].to_numpy(dtype=float, na_value=np.nan)
        parents = rows["n_parent"].to_numpy(dtype=float, na_value=np.nan)
        level = (
            scales.from_counts(counts, parents, scale, ratio=ratio)
            if paired.counted[e]
            else scales.from_values(rows["value"].to_numpy(dtype=float, na_value=np.nan), scale)[0]
        )
        counting = scales.single_variance(counts, parents, scale, ratio=ratio)
        return replicate_noise(level, rows["patient_id"], counting, source)
    level, _ = scales.from_values(rows["value"].to_numpy(dtype=float, na_value=np.nan), scale)
    return replicate_noise(level, rows["patient_id"], None, source)


def all_changes(paired: Paired, noises: list[Noise | None]) -> Change:
    """Return the calls of every endpoint and patient, arrays ``(E, P)``; q runs over a cohort's patients."""
    shape = paired.shift.shape
    numbers = {name: np.full(shape, np.nan) for name in ("ci_low", "ci_high", "p_value", "q_value", "df")}
    words = {name: np.full(shape, "", dtype=object) for name in ("verdict", "reason")}
    for cohort in dict.fromkeys(paired.cohorts):
        of = paired.cohorts == cohort
        for e, noise in enumerate(noises):
            change = reliable_change(
                paired.shift[e, of], paired.variance[e, of], paired.gate_variance[e, of], paired.n_visits[e, of], noise
            )
            for name, array in (numbers | words).items():
                array[e, of] = getattr(change, name)
    nothing = (paired.events == 0).all(axis=2)
    words["verdict"][nothing] = "not_evaluable"
    words["reason"][nothing] = "no event at either visit"
    return Change(**numbers, **words)


def noise_rows(paired: Paired, noises: list[Noise | None]) -> pd.DataFrame:
    """Return endpoint, scale, s_w, df and source of every noise known."""
    rows = [
        {"endpoint": endpoint, "scale": scale, "s_w": noise.s_w, "df": noise.df, "source": noise.source}
        for endpoint, scale, noise in zip(paired.endpoints, paired.scales, noises, strict=True)
        if noise is not None
    ]
    return pd.DataFrame(rows, columns=["endpoint", "scale", "s_w", "df", "source"])
