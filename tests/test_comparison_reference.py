"""Worked examples against R (base, lme4, lmerTest, metafor, limma), to the tolerances of crosscheck.csv."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pandas as pd
import pytest
from builders import REFERENCE
from scipy.special import ndtr

from immunolab.comparison.arms import compare_responders
from immunolab.comparison.binomial_mixed import fit_binomial_mixed
from immunolab.comparison.correlation import spearman
from immunolab.comparison.count_weighted import count_weighted, paule_mandel, symmetric_variance
from immunolab.comparison.group_tests import ancova, mann_whitney, mixed_interaction, welch
from immunolab.comparison.mixed import MixedFit, fit_mixed
from immunolab.comparison.moderation import moderated_t
from immunolab.comparison.multiplicity import benjamini_hochberg, holm, max_t
from immunolab.comparison.paired import midranks, paired_t, sign_flip, wilcoxon
from immunolab.comparison.plan import Noise, Plan
from immunolab.comparison.scales import from_counts, single_variance
from immunolab.comparison.table import compare_endpoints

FOLDER = REFERENCE / "statistics"
CROSSCHECK = pd.read_csv(FOLDER / "crosscheck.csv")
R = json.loads((FOLDER / "expected_R.json").read_text())
PYTHON = json.loads((FOLDER / "expected_python.json").read_text())


def read(name: str) -> pd.DataFrame:
    return pd.read_csv(FOLDER / name)


def both_visits(frame: pd.DataFrame, column: str) -> np.ndarray:
    return frame.pivot(index="patient", columns="visit", values=column)[["baseline", "on"]].to_numpy(float)


def counted(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    frame = read(name)
    events, parents = both_visits(frame, "count"), both_visits(frame, "parent_count")
    level = from_counts(events, parents, "logit")
    return events, parents, level[:, 1] - level[:, 0]


def endpoint_rows(frame: pd.DataFrame) -> pd.DataFrame:
    rows = frame.rename(columns={"patient": "patient_id", "count": "n_events", "parent_count": "n_parent"})
    rows["endpoint"] = rows.get("subset", "Treg")
    return rows.assign(cohort="", value=100 * rows["n_events"] / rows["n_parent"], unit="%")


@cache
def longitudinal(random_response: bool) -> MixedFit:
    frame = read("ex3_longitudinal.csv")
    on, later = ((frame["phase"] == phase).to_numpy(float) for phase in ("on", "followup"))
    one = np.ones(len(frame))
    random = np.column_stack([one, on]) if random_response else one[:, None]
    level = from_counts(frame["count"], frame["parent_count"], "logit")
    return fit_mixed(level, np.column_stack([one, on, later]), pd.factorize(frame["patient"])[0], random)


@cache
def two_arms() -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray]:
    frame = read("ex7_two_arm.csv")
    before, after = (frame[frame["visit"] == visit].set_index("patient") for visit in ("baseline", "on"))
    after = after.loc[before.index]
    low, high = (from_counts(part["treg"], part["cd4"], "logit") for part in (before, after))
    return before, low, high, (before["arm"] == "active").to_numpy()


@cache
def twenty() -> np.ndarray:
    frame = read("ex5_20subsets.csv")
    return np.column_stack([_subset_shift(frame[frame["subset"] == name]) for name in R["ex5"]["subset"]])


def _subset_shift(frame: pd.DataFrame) -> np.ndarray:
    level = from_counts(both_visits(frame, "count"), both_visits(frame, "parent_count"), "logit")
    return level[:, 1] - level[:, 0]


def _worst(ours: np.ndarray, theirs: list[float]) -> float:
    """Return 1 plus the largest relative difference, the form crosscheck.csv states it in."""
    return 1.0 + float(np.max(np.abs(np.asarray(ours) / np.asarray(theirs) - 1.0)))


@cache
def ours() -> dict[str, float]:
    """Return this program's value for every check of crosscheck.csv, by its name."""
    values: dict[str, float] = {}
    for example in (_ex1, _ex2, _ex3, _ex5, _ex6, _ex7, _ex9, _ex10):
        values |= example()
    return values


def _ex1() -> dict[str, float]:
    events, parents, d = counted("ex1_paired_treg.csv")
    rank, t = wilcoxon(d), paired_t(d)
    percent = 100 * events / parents
    values = {"wilcox p": wilcoxon(percent[:, 1] - percent[:, 0]).p_value}
    values |= {"HL est": rank.estimate, "HL lo": rank.ci_low, "HL hi": rank.ci_high}
    values |= {"t p": t.p_value, "t lo": t.ci_low, "t hi": t.ci_high, "signflip": sign_flip(d).p_value}
    plain = single_variance(events, parents, "logit").sum(axis=1)
    for name, variance in (("vsym", symmetric_variance(events, parents)), ("v", plain)):
        fit = count_weighted(d, variance)
        stem = f"rma_PM_knha_{name}"
        values |= {f"{stem} est": fit.estimate, f"{stem} lo": fit.ci_low, f"{stem} hi": fit.ci_high}
        values |= {f"{stem} p": fit.p_value, f"{stem} tau2": paule_mandel(d, variance)}
    return {f"ex1 {name}": value for name, value in values.items()}


def _ex2() -> dict[str, float]:
    events, parents, _ = counted("ex1_paired_treg.csv")
    fit, null = (fit_binomial_mixed(events, parents, with_shift=shift) for shift in (True, False))
    values = {"beta0": fit.beta[0], "beta1": fit.beta[1], "se0": fit.se[0], "se1": fit.se[1]}
    values |= {"sd_patient": fit.sd_patient, "sd_obs": fit.sd_sample, "logLik": fit.log_likelihood}
    values["LRT"] = 2 * (fit.log_likelihood - null.log_likelihood)
    return {f"ex2 {name}": float(value) for name, value in values.items()}


def _ex3() -> dict[str, float]:
    values: dict[str, float] = {}
    for name, response in (("RI", False), ("RS", True)):
        fit = longitudinal(response)
        for k in range(3):
            estimate, se, df = fit.contrast(np.eye(3)[k])
            values |= {f"ex3 {name} beta{k}": estimate, f"ex3 {name} se{k}": se, f"ex3 {name} df{k}": df}
            if not response:  # those rows hold another package's fit of the same model
                values |= {f"ex3 statsmodels beta{k}": estimate, f"ex3 statsmodels se{k}": se}
    values["ex3 summary p"] = _summary_measure()["p_value"]
    return values


def _summary_measure() -> pd.Series:
    rows = endpoint_rows(read("ex3_longitudinal.csv"))
    rows["phase"] = rows["phase"].replace({"on": "on_treatment", "followup": "follow_up"})
    return compare_endpoints(rows, Plan("baseline", "on_treatment", test="t")).shifts.iloc[0]


def _ex5() -> dict[str, float]:
    d = twenty()
    p = np.array([paired_t(column).p_value for column in d.T])
    ranks = np.array([wilcoxon(column).p_value for column in d.T])
    fit = moderated_t(d)
    return {
        "ex5 max|p_t diff|": _worst(p, R["ex5"]["p_t"]),
        "ex5 max|q diff|": _worst(benjamini_hochberg(p), R["ex5"]["q_t"]),
        "ex5 max|wilcoxon diff|": _worst(ranks, R["ex5"]["p_wilcox_logit"]),
        "ex5 limma df_prior": fit.prior_df,
        "ex5 limma max|p diff|": _worst(fit.p_value, R["ex5"]["limma"]["diff_design_p"]),
    }


def _ex6() -> dict[str, float]:
    frame = read("ex6_ties.csv")
    d = (frame["on"] - frame["baseline"]).to_numpy()
    kept = np.abs(d[np.abs(d) > 1e-9])
    ranks = midranks(kept)
    positive = ranks[d[np.abs(d) > 1e-9] > 0].sum()
    z = abs(positive - ranks.sum() / 2) / np.sqrt((ranks**2).sum() / 4)
    return {"ex6 exact tied p": wilcoxon(d).p_value, "ex6 approx p": float(2 * ndtr(-z))}


def _ex7() -> dict[str, float]:
    frame, low, high, active = two_arms()
    d = high - low
    fit = ancova(low, high, active)
    after = read("ex7_two_arm.csv").query("visit == 'on'").set_index("patient").loc[frame.index]
    ratio = from_counts(after["treg"], after["th17"], "log", ratio=True)
    ratio -= from_counts(frame["treg"], frame["th17"], "log", ratio=True)
    return {
        "ex7 welch p": welch(d[active], d[~active]).p_value,
        "ex7 MW p": mann_whitney(d[active], d[~active]).p_value,
        "ex7 ancova est": fit.estimate,
        "ex7 ancova p": fit.p_value,
        "ex7 spearman": spearman(d, frame["clinical_change"]).rho,
        "ex7 log ratio p": paired_t(ratio[active]).p_value,
    }


def _ex9() -> dict[str, float]:
    found = max_t(read("ex9_maxT.csv").set_index("patient").to_numpy())
    values = {f"ex9 raw{k}": found.raw[k] for k in range(5)}
    values |= {f"ex9 maxT{k}": found.single_step[k] for k in range(5)}
    return values | {f"ex9 stepdown{k}": found.step_down[k] for k in range(5)}


def _ex10() -> dict[str, float]:
    events, parents, d = counted("ex10_rare_zeros.csv")
    fit, mixed = count_weighted(d, symmetric_variance(events, parents)), fit_binomial_mixed(events, parents)
    values = {"rma est": fit.estimate, "rma p": fit.p_value}
    values |= {"glmm beta1": float(mixed.beta[1]), "glmm logLik": mixed.log_likelihood}
    return {f"ex10 {name}": value for name, value in values.items()}


@pytest.mark.parametrize("row", list(CROSSCHECK.itertuples(index=False)), ids=lambda row: row.check)
def test_crosscheck(row):
    """Each of R's values is met to the tolerance stated beside it."""
    value = ours()[row.check]
    if np.isinf(row.R):
        assert value == row.R
    else:
        assert abs(value - row.R) <= row.tol * abs(row.R)


def test_every_crosscheck_has_a_value():
    assert len(CROSSCHECK) == 79
    assert set(CROSSCHECK["check"]) <= set(ours())


def test_full_answers_of_the_paired_example():
    _, _, d = counted("ex1_paired_treg.csv")
    t, expected = paired_t(d), R["ex1"]["t_logit"]
    assert t.estimate == pytest.approx(expected["mean"], rel=1e-12)
    assert t.df == expected["df"] == 12
    found = compare_endpoints(endpoint_rows(read("ex1_paired_treg.csv")), Plan("baseline", "on")).shifts.iloc[0]
    assert found["estimate"] == pytest.approx(expected["mean"], rel=1e-12)
    assert found["p_value"] == pytest.approx(expected["p"], rel=1e-9)
    assert found["fold"] == pytest.approx(np.exp(expected["mean"]), rel=1e-12)
    assert found["sensitivity_p_value"] == R["ex1"]["wilcox_logit"]["p"]
    assert (found["n_pairs"], found["estimate_scale"], found["method"]) == (13, "log_odds", "paired t, logit (+0.5)")


def test_random_response_mixed_model_through_the_verb():
    rows = endpoint_rows(read("ex3_longitudinal.csv"))
    rows["phase"] = rows["phase"].replace({"on": "on_treatment", "followup": "follow_up"})
    found = compare_endpoints(rows, Plan("baseline", "on_treatment", test="mixed")).shifts.iloc[0]
    expected = R["ex3_lmer"]["RI_RS_uncorr"]
    assert found["estimate"] == pytest.approx(expected["beta"][1], rel=1e-4)
    assert found["df"] == pytest.approx(expected["df_satt"][1], rel=1e-2)
    assert found["p_value"] == pytest.approx(expected["p_satt"][1], rel=1e-2)
    assert longitudinal(True).sd == pytest.approx(expected["sd"], rel=1e-4)
    assert longitudinal(True).log_likelihood == pytest.approx(expected["REML"], rel=1e-8)


def test_summary_measure_of_several_visits():
    found, expected = _summary_measure(), R["ex3_summary_measure"]
    assert found["n_pairs"] == expected["n"] == 12
    assert [found["estimate"], found["ci_low"], found["ci_high"]] == pytest.approx(
        [expected["mean"], expected["lo"], expected["hi"]], rel=1e-10
    )


def test_twenty_subsets_through_the_verb():
    found = compare_endpoints(endpoint_rows(read("ex5_20subsets.csv")), Plan("baseline", "on", test="t")).shifts
    found = found.set_index("endpoint").loc[R["ex5"]["subset"]]
    assert found["p_value"].to_numpy() == pytest.approx(R["ex5"]["p_t"], rel=1e-10)
    assert found["q_value"].to_numpy() == pytest.approx(R["ex5"]["q_t"], rel=1e-10)
    assert holm(found["p_value"]) == pytest.approx(np.array(R["ex5"]["p_holm"]), rel=1e-10)
    assert sorted(found.index[found["q_value"] < 0.05]) == ["S03", "S08", "S09", "S12", "S16"]
    assert moderated_t(twenty()).prior_variance == pytest.approx(R["ex5"]["limma"]["diff_s2_prior"], rel=1e-10)


def test_ties_and_zeros_as_r_drops_them():
    frame = read("ex6_ties.csv")
    found, expected = wilcoxon(frame["on"] - frame["baseline"]), R["ex6_ties"]["R_default"]
    assert found.p_value == R["ex6_ties"]["exact_ties_zeros_dropped"] == 0.03125
    assert found.n == 8
    assert set(found.codes) == {"W_TIES", "W_ZERO_DIFF"}
    assert [found.estimate, found.ci_low, found.ci_high] == pytest.approx(
        [expected["HL"], expected["lo"], expected["hi"]], abs=1e-3
    )


def test_two_arms_in_full():
    frame, low, high, active = two_arms()
    d, expected = high - low, R["ex7"]
    w, mw = welch(d[active], d[~active]), mann_whitney(d[active], d[~active])
    assert [w.estimate, w.df, w.ci_low, w.ci_high] == pytest.approx(
        [expected["welch"][k] for k in ("diff", "df", "lo", "hi")], rel=1e-10
    )
    assert [mw.estimate, mw.ci_low, mw.ci_high] == pytest.approx(
        [expected["mannwhitney"][k] for k in ("HL", "lo", "hi")], rel=1e-10
    )
    a = ancova(low, high, active)
    assert [a.ci_low, a.ci_high] == pytest.approx([expected["ancova"][k] for k in ("lo", "hi")], rel=1e-10)
    i = mixed_interaction(low, high, active)
    assert [i.estimate, i.df, i.p_value] == pytest.approx(
        [expected["lmm_interaction"][k] for k in ("est", "df", "p")], rel=1e-5
    )
    assert spearman(d, frame["clinical_change"]).p_value == pytest.approx(expected["spearman"]["p_asymp"], rel=1e-10)


def test_responders_are_compared_and_called_descriptive():
    frame, low, high, _ = two_arms()
    pairs = pd.DataFrame({"patient_id": frame.index, "endpoint": "Treg", "shift": high - low})
    found = compare_responders(pairs, (frame["responder"] == 1).to_dict())
    expected = R["ex7"]["responder_welch"]
    assert found["contrast"].unique().tolist() == ["responders - non-responders (descriptive)"]
    assert found["estimate"].iloc[0] == pytest.approx(expected["diff"], rel=1e-10)
    assert found["p_value"].iloc[0] == pytest.approx(expected["p"], rel=1e-10)


def test_per_patient_verdicts():
    """The reference has the assay alone: the limit is its limit where that is the whole noise."""
    rows, reference = endpoint_rows(read("ex1_paired_treg.csv")), PYTHON["ex8_per_patient"]
    replicates = endpoint_rows(read("ex8_replicates.csv").rename(columns={"control": "patient"}))
    nothing = Noise(0.0, np.inf, "none")
    estimated = compare_endpoints(rows, Plan("baseline", "on", within_person=nothing), replicates=replicates)
    assert estimated.noise["s_w"].iloc[0] ** 2 == pytest.approx(reference["sigma2_w"], rel=1e-10)
    assert estimated.noise["df"].iloc[0] == 10
    noise = Noise(np.sqrt(reference["sigma2_w"]), 10, s_total=np.sqrt(reference["sigma2_total"]))
    found = compare_endpoints(rows, Plan("baseline", "on", noise=noise, within_person=nothing)).pairs
    expected = pd.DataFrame(reference["rows"])
    assert found["patient_id"].tolist() == expected["patient"].tolist()
    for ours_name, name in (("shift", "log_or"), ("p_value", "p"), ("q_value", "q"), ("df", "df")):
        assert found[ours_name].to_numpy() == pytest.approx(expected[name].to_numpy(), rel=1e-9)
    assert np.exp(found["ci_low"]).to_numpy() == pytest.approx(expected["fold_lo"].to_numpy(), rel=1e-9)
    assert (found["verdict"] == "rise").tolist() == (expected["p"] < 0.05).tolist()
    wider = estimated.pairs["limit"] / found["limit"]  # by the CV of the same repeats, where it is the greater
    assert (wider > 1 - 1e-9).all()
