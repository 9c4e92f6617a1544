"""Power of the next cohort after adjustment: R, analytic power, what is declared, report, verify."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import report_fixture
from builders import REFERENCE
from scipy import stats
from statsmodels.stats.multitest import multipletests

from immunolab.comparison.family_power import JointEndpoints, adjusted_rows, family_power, simulated_power
from immunolab.comparison.plan import Plan
from immunolab.comparison.power import paired_power, patients_needed
from immunolab.comparison.table import compare_endpoints
from immunolab.errors import InputError
from immunolab.report.verify_power import power_differences
from immunolab.results.run import Run
from immunolab.schema.next_cohort import POWER_IN_FAMILY
from immunolab.study.next_cohort import NextCohort
from immunolab.study.sheet import read_study

DATA = pd.read_csv(REFERENCE / "statistics" / "family_power.csv")
R = pd.read_csv(REFERENCE / "statistics" / "family_power_R.csv")
RULES = {"none": "none", "holm": "holm", "BH": "benjamini_hochberg", "fixed_sequence": "fixed_sequence"}
_NOISE = 0.075  # four standard errors of a difference of shares of 1,000 and of 4,000 cohorts


@pytest.mark.parametrize("rule", list(RULES))
@pytest.mark.parametrize("borrow", [False, True])
@pytest.mark.parametrize("n", [8, 20])
def test_power_agrees_with_r_for_every_rule(rule: str, borrow: bool, n: int) -> None:
    loading = DATA["loading"].to_numpy()
    correlation = np.outer(loading, loading)
    np.fill_diagonal(correlation, 1.0)
    size, names = len(DATA), tuple(map(str, range(len(DATA))))
    effect, sd = DATA["effect"].to_numpy(), DATA["sd"].to_numpy()
    family = JointEndpoints(names, RULES[rule], borrow, effect, sd, np.full(size, 9), correlation)
    found = simulated_power(family, n, {"power": sd}, np.random.default_rng(0))["power"]
    expected = R[(R["n"] == n) & (R["rule"] == rule) & (R["borrow"] == borrow)]["power"].to_numpy()
    assert np.abs(found - expected).max() < _NOISE
    assert abs((found - expected).mean()) < 0.02


@pytest.mark.parametrize(("rule", "method"), [("holm", "holm"), ("benjamini_hochberg", "fdr_bh")])
def test_rows_are_adjusted_as_statsmodels_adjusts_them(rule: str, method: str) -> None:
    p = np.random.default_rng(1).uniform(0, 0.1, (30, 7))
    expected = np.array([multipletests(row, method=method)[1] for row in p])
    assert adjusted_rows(p, rule) == pytest.approx(expected)


def compared(seed: int = 7, n: int = 10) -> tuple[pd.DataFrame, pd.DataFrame]:
    frames = report_fixture.tables(n_patients=n, seed=seed)
    found = compare_endpoints(frames["endpoints"], Plan("W0", "W10", roles=report_fixture.ROLES))
    return found.pairs, found.shifts


def test_a_single_primary_endpoint_has_the_power_of_the_t() -> None:
    found = family_power(*compared(), NextCohort(fold=1.3, patients=(6, 12)))
    own = found[found["endpoint"] == "treg_pct_cd4"]
    sd = own["sd"].iloc[0]
    for row in own.itertuples():
        assert row.power == pytest.approx(paired_power(np.log(1.3), sd, row.n_patients), abs=0.05)
        df = row.n_pairs - 1
        wide = sd * np.sqrt(df / stats.chi2.ppf(0.2, df))
        assert row.power_low == pytest.approx(paired_power(np.log(1.3), wide, row.n_patients), abs=0.05)
        assert row.power_low <= row.power <= row.power_high
    assert abs(own["patients_for_80"].iloc[0] - patients_needed(np.log(1.3), sd)) <= 2


def test_adjustment_costs_patients_and_badly_known_spread_more() -> None:
    pairs, shifts = compared()
    alone = shifts.assign(adjustment="none")
    plan = NextCohort(fold=1.25, patients=(8,))
    plain, adjusted = (family_power(pairs, table, plan).set_index("endpoint") for table in (alone, shifts))
    secondary = adjusted.index[adjusted["role"] == "secondary"]
    assert (adjusted.loc[secondary, "power"] <= plain.loc[secondary, "power"] + 0.03).all()
    assert adjusted.loc[secondary, "power"].sum() < plain.loc[secondary, "power"].sum()
    assert (adjusted["patients_for_80_assured"] >= adjusted["patients_for_80"]).all()


def test_effects_are_those_declared_and_controls_have_none() -> None:
    plan = NextCohort(fold=1.5, effects={"treg_pct_cd4": 2.0}, patients=(8,))
    found = family_power(*compared(), plan, controls={"th1_pct_cd4"}).set_index("endpoint")
    assert found.at["treg_pct_cd4", "effect"] == pytest.approx(2.0)
    assert found.at["treg_pct_cd4", "effect_from"] == "declared"
    assert found.at["teff_pct_cd4", "effect"] == pytest.approx(1.5)
    assert found.at["teff_pct_cd4", "effect_from"] == "assumed"
    assert "th1_pct_cd4" not in found.index
    assert found.at["teff_pct_cd4", "n_family"] == 5  # the control is in the family all the same


def test_the_same_seed_gives_the_same_table_and_another_one_nearly() -> None:
    pairs, shifts = compared()
    first, again, other = (family_power(pairs, shifts, NextCohort(), seed=seed) for seed in (3, 3, 4))
    pd.testing.assert_frame_equal(first, again)
    assert (first["power"] - other["power"]).abs().max() < _NOISE


def test_differences_need_a_declared_effect() -> None:
    pairs, shifts = compared()
    pairs = pairs.assign(shift_scale="identity")
    shifts = shifts.assign(estimate_scale="identity")
    assert family_power(pairs, shifts, NextCohort()).empty
    found = family_power(pairs, shifts, NextCohort(effects={"treg_pct_cd4": -0.4}, patients=(8,)))
    assert list(found["endpoint"]) == ["treg_pct_cd4"]
    assert (found["effect"].iloc[0], found["effect_is"].iloc[0]) == (-0.4, "difference")


def test_faults_of_the_declaration_are_listed_together(tmp_path) -> None:
    (tmp_path / "a.fcs").write_bytes(b"")
    sheet = "sample_id,patient_id,visit,file\ns1,P1,W0,a.fcs\ns2,P1,W10,a.fcs\n"
    (tmp_path / "samples.csv").write_text(sheet, encoding="utf-8")
    text = "study: s\ncomparison: {before: W0, after: W10}\nnext_cohort:\n  fold: 1\n  patients: [2]\n"
    text += "  effects: {treg_pct_cd: 2, th17_pct_cd4: -1}\n"
    (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_study(tmp_path)
    said = str(caught.value)
    assert "1 is no change by a factor" in said
    assert "there is no endpoint 'treg_pct_cd'\n    hint: did you mean 'treg_pct_cd4'?" in said
    assert "-1 is no effect of th17_pct_cd4" in said
    assert "sizes of a cohort are 3 to 1000 patients" in said


def test_verify_simulates_again_and_names_a_changed_number(tmp_path) -> None:
    frames = report_fixture.tables()
    found = compare_endpoints(frames["endpoints"], Plan("W0", "W10", roles=report_fixture.ROLES))
    frames |= {"pairs": found.pairs, "shifts": found.shifts}
    run: Run = report_fixture.finished_run(frames, folder=tmp_path, out=tmp_path / "out")
    controls = {name for name, endpoint in run.declared.items() if endpoint.negative_control}
    power = family_power(found.pairs, found.shifts, run.study.next_cohort, controls=controls, seed=run.seed)
    for name, table in (("pairs", found.pairs), ("shifts", found.shifts), (POWER_IN_FAMILY.name, power)):
        path = tmp_path / "out" / "tables" / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(path, index=False)
    assert list(power_differences(run)) == []
    power.assign(assurance=power["assurance"].where(power.index != 2, 0.5)).to_csv(path, index=False)
    (problem,) = power_differences(run)
    assert "assurance is 0.5, computed again" in str(problem)


def test_a_family_behind_a_gate_has_no_number() -> None:
    pairs, shifts = compared()
    text = "Holm over 2 endpoints of 'helpers', behind 'main' (serial gate)"
    gated = shifts.assign(adjustment=shifts["adjustment"].where(shifts["role"] != "secondary", text))
    assert set(family_power(pairs, gated, NextCohort())["role"]) == {"primary", "exploratory"}
