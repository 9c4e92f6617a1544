"""Variance borrowed over endpoints: agreement with R, calibration, which endpoints borrow."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from builders import REPOSITORY

from immunolab.comparison.equivalence import equivalence
from immunolab.comparison.estimate import t_estimate
from immunolab.comparison.moderation import averaged_moderated_t, moderated_t, spread_of
from immunolab.comparison.plan import Plan
from immunolab.comparison.table import compare_endpoints

FOLDER = REPOSITORY / "tests" / "reference" / "statistics"  # moderation.R makes moderation_R.csv
DATA = pd.read_csv(FOLDER / "moderation.csv")
R = pd.read_csv(FOLDER / "moderation_R.csv").set_index(["study", "endpoint"])


@pytest.mark.parametrize("study", ["equal", "groups", "gaps"])
def test_averaged_moderated_t_and_equivalence_agree_with_r(study):
    wide = DATA[DATA["study"] == study].pivot(index="patient", columns="endpoint")
    fit = averaged_moderated_t(spread_of(wide["shift"], wide["counting"]))
    expected = R.loc[study]
    assert fit.p_value == pytest.approx(expected["p"].to_numpy(), rel=1e-6)
    assert fit.ci_low == pytest.approx(expected["low"].to_numpy(), rel=1e-6)
    assert fit.ci_high == pytest.approx(expected["high"].to_numpy(), rel=1e-6)
    for k, tost in enumerate(expected["tost_p"]):
        half = (fit.ci_high[k] - fit.ci_low[k]) / 2
        from_limits = t_estimate(fit.estimate[k], half / _quantile(fit.df[k]), fit.df[k], "t", 5)
        assert equivalence(from_limits, np.zeros(0), 1.5, "logit").p_value == pytest.approx(tost, rel=1e-5)


def _quantile(df: float) -> float:
    from scipy.stats import t

    return float(t.ppf(0.975, df))


def _trials(rng: np.random.Generator, sd: np.ndarray, effect: np.ndarray, n: int) -> np.ndarray:
    return rng.normal(effect, sd, (n, sd.size))


def _adjusted_any(p: np.ndarray) -> bool:
    ranked = np.sort(p)
    return bool((ranked <= 0.05 * np.arange(1, p.size + 1) / p.size).any())


def test_five_patients_and_unequal_noise_do_not_make_false_discoveries():
    rng = np.random.default_rng(20261126)
    sd = np.where(np.arange(20) % 2 == 0, 0.15, 0.7)
    found = {"one prior": 0, "averaged": 0}
    for _ in range(250):
        spread = spread_of(_trials(rng, sd, np.zeros(20), 5))
        found["averaged"] += _adjusted_any(averaged_moderated_t(spread).p_value)
        found["one prior"] += _adjusted_any(moderated_t(_trials(rng, sd, np.zeros(20), 5)).p_value)
    assert found["averaged"] <= 22  # 250 x 0.05 = 12.5, and 2.75 standard errors of 3.4
    assert found["averaged"] < found["one prior"]


def test_eight_patients_find_more_than_by_their_own_variance():
    rng = np.random.default_rng(3)
    effect = np.where(np.arange(20) < 5, 0.4, 0.0)
    own = borrowed = false = 0
    for _ in range(60):
        d = _trials(rng, np.full(20, 0.32), effect, 8)
        p = averaged_moderated_t(spread_of(d)).p_value
        plain = 2 * _tail(d)
        false += (p[5:] < 0.05).sum()
        borrowed += (p[:5] < 0.005).sum()
        own += (plain[:5] < 0.005).sum()
    assert borrowed > 1.4 * own
    assert false / (60 * 15) == pytest.approx(0.05, abs=0.025)


def _tail(d: np.ndarray) -> np.ndarray:
    from scipy.stats import t

    return np.asarray(t.sf(np.abs(d.mean(axis=0)) / (d.std(axis=0, ddof=1) / np.sqrt(len(d))), len(d) - 1))


def _rows(n: int = 8, k: int = 12, *, batch: bool = False) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    rows = []
    for e in range(k):
        for p in range(n):
            for visit in ("W0", "W10"):
                events = rng.binomial(20_000, 1 / (1 + np.exp(-rng.normal(-2.5, 0.2))))
                label = {"batch": "AB"[rng.integers(2)]} if batch else {}
                rows.append({"patient_id": f"P{p}", "visit": visit, "endpoint": f"e{e}", "n_events": events} | label)
    return pd.DataFrame(rows).assign(
        n_parent=20_000, cohort="", unit="%", value=lambda t: 100 * t["n_events"] / t["n_parent"]
    )


def test_shares_of_every_role_borrow_and_q_goes_by_role():
    roles = {"e0": "primary", "e1": "secondary", "e2": "secondary"}
    found = compare_endpoints(_rows(), Plan("W0", "W10", roles=roles)).shifts.set_index("endpoint")
    assert found["method"].str.startswith("count-aware moderated t over 12 endpoints").all()
    assert found["plain_p_value"].notna().all()
    assert found.loc["e0", "q_value"] == found.loc["e0", "p_value"]
    assert found["family"].value_counts().to_dict() == {"exploratory": 9, "secondary": 2, "primary": 1}
    plain = compare_endpoints(_rows(), Plan("W0", "W10", roles=roles, moderated=False)).shifts.set_index("endpoint")
    assert plain["method"].str.startswith("paired t").all()
    assert plain["p_value"].to_numpy() == pytest.approx(found["plain_p_value"].to_numpy(), rel=1e-12)


def test_shifts_adjusted_for_batch_borrow_too():
    found = compare_endpoints(_rows(batch=True), Plan("W0", "W10")).shifts
    assert found["method"].str.startswith("count-aware moderated t over 12 endpoints, adjusted for batch").all()
    assert found["unadjusted_p_value"].notna().all()
    own = compare_endpoints(_rows(batch=True), Plan("W0", "W10", moderated=False)).shifts
    assert found["estimate"].to_numpy() == pytest.approx(own["estimate"].to_numpy())
    width = (found["ci_high"] - found["ci_low"]) / (own["ci_high"] - own["ci_low"])
    assert width.max() / width.min() > 1.5  # wide ones draw in, narrow ones widen
