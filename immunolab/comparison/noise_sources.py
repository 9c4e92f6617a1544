"""Where the noise of a patient's change comes from: repeats in the tables, a declaration, else published values.

The change of a patient who did not change has three parts: counting, the assay (staining, instrument, gating), and
the person, whose blood is not the same on two days. Repeat baselines of the patients hold the last two together;
replicates of a bridging control and a declared inter-assay CV hold the assay alone, to which the variation within a
person is added. What the study did not measure is a published or assumed value (`vocabulary.within_person`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.comparison import scales
from immunolab.comparison.bridge_charts import runs_of_one_kind
from immunolab.comparison.individual_change import LEAST_DF, replicate_noise
from immunolab.comparison.limits import beyond_limits
from immunolab.comparison.pairing import Paired
from immunolab.comparison.plan import Noise, Plan
from immunolab.comparison.side_rows import counting_variance_of
from immunolab.vocabulary.within_person import Variation, between_assays, between_blood_counts, within_person

_ENOUGH_DF = 8  # of repeat baselines, to come before a declared CV: the t quantile is then below 2.31 (judgement)
_FIRST_DOSE = 0  # days since the last dose: a baseline later than that is none


def noise_parts(paired: Paired, plan: Plan, replicates: pd.DataFrame | None) -> list[tuple[Noise, ...]]:
    """Return what the noise of every endpoint consists of; empty where nothing is known.

    Parameters
    ----------
    paired, plan
        Both sides of every patient; what is compared and how.
    replicates
        Rows like the endpoint table's, where patient_id names a material measured again on another day.
    """
    materials = [rows for rows in (replicates, paired.bridges) if rows is not None and len(rows)]
    repeated = _by_endpoint(pd.concat(materials, ignore_index=True)) if materials else {}
    repeated = {name: runs_of_one_kind(rows)[0] for name, rows in repeated.items()}
    baselines = _by_endpoint(_baselines(paired.rows))
    return [_parts(paired, e, plan, repeated, baselines) for e in range(len(paired.endpoints))]


def _by_endpoint(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {str(name): group for name, group in rows.groupby("endpoint", sort=False)}


def _baselines(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows before any dose; without phases, those that the comparison calls before.

    A visit on treatment is no repeat of a baseline, also where it is the earlier side of a comparison.
    """
    if (rows["phase"] != "").any():
        dosed = (rows["days_since_last_dose"] > _FIRST_DOSE).to_numpy()
        return rows[(rows["phase"] == "baseline").to_numpy() & ~dosed]
    return rows[rows["side"] == 0]


def _parts(
    paired: Paired, e: int, plan: Plan, replicates: Mapping[str, pd.DataFrame], baselines: Mapping[str, pd.DataFrame]
) -> tuple[Noise, ...]:
    endpoint = paired.endpoints[e]
    declared = _declared(plan.noise, endpoint)
    both = _measured(baselines.get(endpoint), paired, e, "repeat baselines", person=True)
    if both is not None and both.df >= (LEAST_DF if declared is None else _ENOUGH_DF):
        return (both,)
    assay = _measured(replicates.get(endpoint), paired, e, "replicates", person=False)
    if assay is None or assay.df < LEAST_DF:
        assay = declared or assay
    counted = bool(paired.counted[e] or paired.absolute[e] or paired.corrected[e])
    if assay is None:
        if not counted:
            return () if both is None else (both,)
        assay = _assumed(between_assays())
    person = _declared(plan.within_person, endpoint) or (_published(paired, e) if counted else None)
    return (assay,) if person is None or assay.person else (assay, replace(person, person=True))


def _declared(noise: Noise | Mapping[str, Noise] | None, endpoint: str) -> Noise | None:
    return noise.get(endpoint) if isinstance(noise, Mapping) else noise


def _assumed(*variations: Variation, person: bool = False) -> Noise:
    """Return published values as one noise: variances of independent logarithms add up."""
    s_w = math.sqrt(sum(math.log1p((one.cv / 100.0) ** 2) for one in variations))
    source = "; ".join(dict.fromkeys(f"{one.kind}: {one.source}" for one in variations))
    return Noise(s_w, math.inf, source, relative=True, person=person, assumed=True)


def _published(paired: Paired, e: int) -> Noise:
    """Return the variation within a person of a subset; a ratio carries that of both subsets."""
    parts = [within_person(name) for name in (paired.populations[e] or "").split("/")]
    if paired.ratio[e] and len(parts) == 1:
        parts *= 2
    if paired.absolute[e]:
        parts.append(between_blood_counts())
    return _assumed(*parts, person=True)


def _measured(rows: pd.DataFrame | None, paired: Paired, e: int, source: str, *, person: bool) -> Noise | None:
    if rows is None:
        return None
    scale, ratio = paired.scales[e], bool(paired.ratio[e])
    counting = None
    if paired.counted[e] or paired.absolute[e]:
        counts, parents = _numbers(rows, "n_events"), _numbers(rows, "n_parent")
        counting = scales.single_variance(counts, parents, scale, ratio=ratio)
    if paired.corrected[e]:
        counting = counting_variance_of(rows)
    if paired.counted[e]:
        level = scales.from_counts(counts, parents, scale, ratio=ratio)
    else:
        level = scales.from_values(_numbers(rows, "value"), scale)
        flags = rows["flag"].fillna("") if "flag" in rows else pd.Series("", index=rows.index)
        level = np.where(np.isfinite(level) & (beyond_limits(flags) == 0), level, np.nan)
    batches = rows.get("batch")
    per_log = scales.per_log(level, scale) if scale in scales.MULTIPLICATIVE else None
    return replicate_noise(level, rows["patient_id"], counting, source, per_log=per_log, person=person, batches=batches)


def _numbers(rows: pd.DataFrame, column: str) -> NDArray[np.float64]:
    return rows[column].to_numpy(dtype=float, na_value=np.nan)


def noise_rows(paired: Paired, noises: list[tuple[Noise, ...]]) -> pd.DataFrame:
    """Return rows of `schema.comparison.NOISE` for every endpoint whose noise is known.

    Parameters
    ----------
    paired
        Endpoints and their scales.
    noises
        One an endpoint, as `noise_parts` gives them.
    """
    rows = [
        {
            "endpoint": endpoint,
            "scale": "log" if part.relative else scale,
            "s_w": part.s_w,
            "df": part.df if math.isfinite(part.df) else None,
            "source": part.source,
            "part": _what(part),
            "assumed": "yes" if part.assumed else "no",
        }
        for endpoint, scale, parts in zip(paired.endpoints, paired.scales, noises, strict=True)
        for part in parts
    ]
    columns = ["endpoint", "scale", "s_w", "df", "source", "part", "assumed"]
    return pd.DataFrame(rows, columns=columns)


def _what(part: Noise) -> str:
    """Return which part of the noise it is, as the column ``part`` names it."""
    if not part.person:
        return "assay"
    return "person" if part.assumed or part.relative else "assay and person"
