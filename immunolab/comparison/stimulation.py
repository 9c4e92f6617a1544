"""Rows of stimulated tubes and their controls to differences with limits and calls: the table ``stimulation``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from immunolab.comparison.background import TubeNoise, background_corrected, calls, tube_noise
from immunolab.schema.stimulation import STIMULATION

NO_CONTROL = "no unstimulated tube of the same patient, visit and panel"
Tubes = Sequence[tuple[float, float]]  # events and parent events of each

_COUNTS = ("n_events", "n_parent", "n_events_unstimulated", "n_parent_unstimulated")


def stimulation_table(
    rows: pd.DataFrame, controls: Mapping[str, Sequence[Tubes]], declared: float | None = None
) -> pd.DataFrame:
    """Return the rows with difference, limits and call.

    Parameters
    ----------
    rows
        patient_id, cohort, visit, endpoint, stimulation, n_unstimulated and the four counts of `STIMULATION`, or
        without counts ``stimulated`` and ``unstimulated`` (percent); what is missing is NaN. A ``reason`` that is there
        withholds the row's difference.
    controls
        Endpoint -> the unstimulated tubes of each patient and visit, which are replicates of each other.
    declared
        CV between tubes that the laboratory measured (0.15 for 15 %).
    """
    made = [_of_endpoint(own, controls.get(str(name), ()), declared) for name, own in _by_endpoint(rows)]
    return STIMULATION.check(pd.concat(made).sort_index(kind="stable")) if made else STIMULATION.empty()


def _by_endpoint(rows: pd.DataFrame) -> list[tuple[object, pd.DataFrame]]:
    return list(rows.groupby("endpoint", sort=False)) if len(rows) else []


def _of_endpoint(rows: pd.DataFrame, controls: Sequence[Tubes], declared: float | None) -> pd.DataFrame:
    sets = [tuple(zip(*tubes, strict=True)) for tubes in controls if len(tubes) > 1]
    noise = tube_noise([one[0] for one in sets], [one[1] for one in sets], declared)
    given = {name: rows[name].to_numpy(dtype=float, na_value=np.nan) for name in _COUNTS}
    n_tubes = np.maximum(rows["n_unstimulated"].to_numpy(dtype=float, na_value=np.nan), 1.0)
    events, parents = (
        np.stack([given[f"n_{what}"], given[f"n_{what}_unstimulated"]], 1) for what in ("events", "parent")
    )
    counted = np.isfinite(events).all(axis=1) & np.isfinite(parents).all(axis=1)
    found = background_corrected(events, parents, np.stack([np.ones(len(rows)), n_tubes], axis=1), noise)
    why = rows["reason"].fillna("").to_numpy(dtype=object) if "reason" in rows else np.full(len(rows), "", dtype=object)
    withheld = np.array([bool(text) for text in why], dtype=bool)
    shares = _shares(rows, events, parents, counted)
    usable = ~withheld & counted

    def kept(values: np.ndarray) -> np.ndarray:
        return np.where(usable, values, np.nan)

    evaluable = usable & np.isfinite(found.difference)
    why[~withheld & ~counted] = "no counts"
    why[usable & ~evaluable] = "no event of the parent in one of the tubes"
    return rows.assign(
        stimulated=shares[:, 0],
        unstimulated=shares[:, 1],
        difference=np.where(withheld, np.nan, np.where(counted, found.difference, shares[:, 0] - shares[:, 1])),
        ci_low=kept(found.ci_low),
        ci_high=kept(found.ci_high),
        count_low=kept(found.counting_low),
        count_high=kept(found.counting_high),
        p_value=kept(found.p_value),
        call=np.where(evaluable, calls(found), "not_evaluable"),
        reason=why,
        **_noise_columns(noise, any_counts=bool(counted.any())),
    )


def _shares(rows: pd.DataFrame, events: np.ndarray, parents: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Return both tubes' percentages ``(n, 2)``: of counts, else as they are given."""
    with np.errstate(divide="ignore", invalid="ignore"):
        made = np.where(parents > 0, 100.0 * events / parents, np.nan)
    if not {"stimulated", "unstimulated"} <= set(rows.columns):
        return made
    written = rows[["stimulated", "unstimulated"]].to_numpy(dtype=float, na_value=np.nan)
    return np.where(counted[:, None], made, written)


def _noise_columns(noise: TubeNoise, *, any_counts: bool) -> dict[str, object]:
    if not any_counts:
        return {"tube_cv": np.nan, "tube_df": np.nan, "tube_source": None}
    df = noise.df if np.isfinite(noise.df) else np.nan
    return {"tube_cv": 100.0 * noise.cv, "tube_df": df, "tube_source": noise.source}
