"""Repeated cycles as one model: the level before the drug, at peaks and at troughs, and their trend over cycles."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from immunolab.comparison.cycles import cycle_shifts
from immunolab.comparison.estimate import Estimate
from immunolab.comparison.random_slopes import SlopesFit, fit_slopes
from immunolab.schema.courses import CYCLES

_STATES = ("pre_dose", "peak", "trough")
_MEASURES: dict[str, dict[str, float]] = {  # contrasts of the model's fixed effects
    "peak_over_baseline": {"peak": 1.0},
    "trough_over_baseline": {"trough": 1.0},
    "peak_over_trough": {"peak": 1.0, "trough": -1.0},
    "peak_trend": {"peak_trend": 1.0},
    "trough_trend": {"trough_trend": 1.0},
}
_SUMMARY = "t on one number a patient"


def cycle_rows(levels: pd.DataFrame) -> pd.DataFrame:
    """Return rows of `CYCLES`: the response to repeated cycles, by a mixed model and by one number a patient.

    The model has a level before the first dose, at peaks and at troughs (mean over the cycles seen) and a trend per
    cycle of each; patients differ in level, in response, in what peaks have beyond troughs, and in trend (random
    slopes). It takes in patients with some of the visits. Off-drug samples after the last cycle are not in it.

    Parameters
    ----------
    levels
        As `table.Comparison.levels`: patient_id, cohort, endpoint, study_day, cycle_state, cycle, level, scale.

    Returns
    -------
    DataFrame
        Empty without two cycles in some patient: then there is nothing beyond the shift.
    """
    rows: list[dict[str, object]] = []
    for (cohort, endpoint), own in levels.groupby(["cohort", "endpoint"], sort=False, dropna=False):
        seen = own[own["cycle_state"].isin(_STATES) & np.isfinite(own["level"])]
        known = seen[(seen["cycle_state"] == "pre_dose") | np.isfinite(seen["cycle"])]
        dosed = known[known["cycle_state"] != "pre_dose"]
        if dosed["cycle"].nunique() < 2 or dosed["patient_id"].nunique() < 2:
            continue
        head = {"cohort": cohort or None, "endpoint": endpoint, "scale": own["scale"].iloc[0]}
        rows += [head | one for one in _model_rows(known)]
        for row in cycle_shifts(seen).to_dict("records"):
            own_row = {name: row[name] for name in CYCLES.names if name in row and name not in head}
            rows.append(head | own_row | {"method": _SUMMARY})
    return CYCLES.frame(rows)


def _model_rows(known: pd.DataFrame) -> Iterator[dict[str, object]]:
    fitted = fit_cycles(known)
    for measure, weights in _MEASURES.items():
        found = fitted.contrast(weights)
        if found.tested or fitted.fit is None:
            yield _row(measure, found, known)
        if fitted.fit is None:
            return  # one row says why


def _row(measure: str, found: Estimate, known: pd.DataFrame) -> dict[str, object]:
    limits = {"estimate": found.estimate, "ci_low": found.ci_low, "ci_high": found.ci_high}
    n = {"n_patients": found.n, "n_values": len(known)}
    return {"measure": measure, **n, **limits, "df": found.df, "p_value": found.p_value, "method": found.method}


def fit_cycles(known: pd.DataFrame) -> SlopesFit:
    """Return the model of an endpoint's cycles in one cohort.

    Parameters
    ----------
    known
        Rows with patient_id, cycle_state (pre_dose, peak, trough), cycle (from 1; any before the first dose) and level.
    """
    state, cycle = known["cycle_state"].to_numpy(), known["cycle"].to_numpy(dtype=float, na_value=np.nan)
    at = {name: (state == name).astype(float) for name in ("peak", "trough")}
    centred = {name: _centred(cycle, of > 0) for name, of in at.items()}
    fixed = {name: of for name, of in at.items() if of.any()}
    fixed |= {f"{name}_trend": centred[name] for name in fixed}
    both = all(
        of.any() for of in at.values()
    )  # a patient's troughs, and what the peaks have beyond: so both go together
    random = {"response": at["peak"] + at["trough"]} | ({"peak": at["peak"]} if both else {})
    random |= {"cycle": centred["peak"] + centred["trough"]}
    needed = [name for name in random if name != "cycle"]
    patient = known["patient_id"].to_numpy(dtype=object)
    return fit_slopes(known["level"].to_numpy(dtype=float), fixed, random, patient, needed=needed)


def _centred(cycle: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Return the cycle less its mean over rows of a state, 0 in the other rows."""
    return np.where(of, np.nan_to_num(cycle) - (cycle[of].mean() if of.any() else 0.0), 0.0)
