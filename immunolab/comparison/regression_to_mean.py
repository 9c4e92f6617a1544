"""Regression to the mean: what patients who were selected by a high value would have done without any treatment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from immunolab.comparison.estimate import Estimate
from immunolab.comparison.paired import paired_t
from immunolab.schema.courses import REGRESSION_TO_MEAN
from immunolab.study.trial import Selection, Trial

_LEAST_PATIENTS = 3  # as in `cohort_tests`


def regression_rows(levels: pd.DataFrame, before: str, after: str, trial: Trial | None) -> pd.DataFrame:
    """Return rows of `REGRESSION_TO_MEAN` for the endpoints of one contrast.

    Two visits before treatment are needed, of which patients were selected at one. A patient's value there is high (or
    low) partly by chance; the other visit is free of that, whichever came first, as long as patients are stable. So the
    mean of the other less the selected one is the change to be expected without treatment, whatever the distribution
    (the estimate of Davis 1976, Am J Epidemiol 104:493, with two measurements, where no normal distribution is needed),
    and the change counted from the other visit is adjusted for it.

    Parameters
    ----------
    levels
        As `table.Comparison.levels`.
    before, after
        Visits compared.
    trial
        Its ``selection`` says by what patients were chosen, and at which visit.
    """
    rows: list[dict[str, object]] = []
    for selection in trial.selection if trial else ():
        for other in other_baselines(trial, selection):
            for (cohort, endpoint), own in levels.groupby(["cohort", "endpoint"], sort=False, dropna=False):
                wide = own.pivot_table(index="patient_id", columns="visit", values="level", aggfunc="mean")
                if not {selection.visit, other, after} <= set(wide.columns):
                    continue
                head = {"cohort": cohort or None, "endpoint": endpoint, "selected_by": selection.rule}
                head |= {"selected_at": selection.visit, "other_baseline": other, "scale": own["scale"].iloc[0]}
                rows += [head | row for row in _quantities(wide, selection.visit, other, before, after)]
    return REGRESSION_TO_MEAN.frame(rows)


def other_baselines(trial: Trial | None, selection: Selection) -> Sequence[str]:
    """Return the visits before treatment at which patients were not selected by a measure.

    Parameters
    ----------
    trial
        Its visits and what it selects by.
    selection
        One of its selections.
    """
    if trial is None:
        return ()
    selected = {one.visit for one in trial.selection if one.measure == selection.measure}
    return [v.name for v in trial.visits if v.phase == "baseline" and v.name not in selected]


def _quantities(wide: pd.DataFrame, selected: str, other: str, before: str, after: str) -> Iterator[dict[str, object]]:
    both = wide[[selected, other]].dropna()
    whole = wide[[selected, other, after]].dropna()
    if len(both) < _LEAST_PATIENTS:
        return
    rho = float(np.corrcoef(both[selected], both[other])[0, 1]) if both.nunique().min() > 1 else float("nan")
    yield _row("spontaneous change", _shift(both, other, selected), f"{other} - {selected}", rho)
    if len(whole) < _LEAST_PATIENTS:
        return
    if before in (selected, other):
        yield _row("observed change", _shift(whole, after, before), f"{after} - {before}")
    yield _row("adjusted change", _shift(whole, after, other), f"{after} - {other}")


def _shift(values: pd.DataFrame, after: str, before: str) -> Estimate:
    return paired_t((values[after] - values[before]).to_numpy(dtype=float))


def _row(quantity: str, found: Estimate, contrast: str, rho: float = float("nan")) -> dict[str, object]:
    limits = {"estimate": found.estimate, "ci_low": found.ci_low, "ci_high": found.ci_high}
    tail = {"df": found.df, "p_value": found.p_value, "correlation": rho}
    return {"quantity": quantity, "contrast": contrast, "n_patients": found.n, **limits, **tail}
