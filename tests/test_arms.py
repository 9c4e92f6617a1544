"""Arms: unequal spread against R and on simulated trials, three arms, no control, what fits the data, verify."""

from __future__ import annotations

from dataclasses import replace

import calibration_arms as benchmark
import numpy as np
import pandas as pd
import pytest
import report_fixture
from builders import REFERENCE
from scipy.stats import binom

from immunolab.comparison.arm_families import arms_together
from immunolab.comparison.compare import compare
from immunolab.comparison.group_tests import ancova_by_arm, difference_of_estimates, shifts_by_arm, welch
from immunolab.comparison.paired import paired_t
from immunolab.comparison.plan import Compared, Plan
from immunolab.comparison.table import compare_endpoints
from immunolab.errors import ComparisonError, InputError
from immunolab.report.manifest import write_manifest
from immunolab.report.verify import verify
from immunolab.results.findings import findings
from immunolab.results.findings.cautions import cautions
from immunolab.results.record import write_run
from immunolab.schema.tables import ALL
from immunolab.study.sheet import read_study

FOLDER = REFERENCE / "statistics"
DATA = pd.read_csv(FOLDER / "arms.csv")
R = pd.read_csv(FOLDER / "arms_R.csv").set_index(["set", "arm", "quantity"])["value"].sort_index()
PLAN = Plan("W0", "W10")


def rows(cohorts: dict[str, int], *, seed: int = 3, unit: str = "points", **columns: object) -> pd.DataFrame:
    """Return normal values of patients at W0 and W10, the patients of each cohort by its name."""
    rng, found = np.random.default_rng(seed), []
    for cohort, n in cohorts.items():
        for i in range(n):
            for visit in ("W0", "W10"):
                found.append((f"{cohort}{i}", cohort, visit, 20 + rng.normal(0, 2)))
    frame = pd.DataFrame(found, columns=["patient_id", "cohort", "visit", "value"])
    return frame.assign(sample_id=frame["patient_id"] + frame["visit"], endpoint="x", unit=unit, **columns)


@pytest.mark.parametrize(("number", "arm"), [(s, a) for s in ("1", "2", "3") for a in ("low", "high")])
def test_arms_of_unequal_spread_agree_with_r(number, arm):
    own = DATA[(DATA["set"].astype(str) == number) & DATA["arm"].isin((arm, "placebo"))]
    treated, r = (own["arm"] == arm).to_numpy(), R[number, arm]
    found = ancova_by_arm(own["before"], own["after"], treated)
    half = (found.ci_high - found.ci_low) / 2
    assert [found.estimate, found.df, found.ci_low, found.ci_high, found.p_value] == pytest.approx(
        [r[name] for name in ("estimate", "df", "ci_low", "ci_high", "p_value")], rel=1e-8
    )
    assert half == pytest.approx((r["ci_high"] - r["ci_low"]) / 2, rel=1e-8)
    shifts = (own["after"] - own["before"]).to_numpy()
    for plain in (
        welch(shifts[treated], shifts[~treated]),
        shifts_by_arm(shifts, treated, np.zeros((len(own), 0)), "nothing"),
        difference_of_estimates(paired_t(shifts[treated]), paired_t(shifts[~treated]), ""),
    ):
        assert [plain.df, plain.ci_low, plain.p_value] == pytest.approx(
            [r[name] for name in ("welch_df", "welch_low", "welch_p")], rel=1e-8
        )


@pytest.mark.parametrize(("sizes", "ratio"), [((4, 12), 4.0), ((6, 12), 2.0), ((12, 4), 4.0), ((8, 8), 4.0)])
def test_unequal_spread_keeps_the_level_that_one_variance_does_not(sizes, ratio):
    sims = 600
    before, after, treated = benchmark.simulate(41, sims, sizes, ratio)
    found = sum(ancova_by_arm(x, y, treated).p_value < 0.05 for x, y in zip(before, after, strict=True))
    assert binom.sf(found - 1, sims, 0.065) > 1e-3
    assert binom.cdf(found, sims, 0.03) > 1e-3


def test_intervals_of_arms_hold_the_true_difference():
    before, after, treated = benchmark.simulate(43, 600, (5, 10), 3.0)
    found = [ancova_by_arm(x, y + 0.7 * treated, treated) for x, y in zip(before, after, strict=True)]
    assert binom.cdf(sum(one.ci_low < 0.7 < one.ci_high for one in found), 600, 0.95) > 1e-3


def test_three_arms_are_each_compared_with_the_control_in_one_family_by_role():
    table = pd.concat([rows({"placebo": 6, "low": 5, "high": 7}, seed=s).assign(endpoint=f"e{s}") for s in range(3)])
    plan = Plan("W0", "W10", roles={"e0": "primary", "e1": "secondary"}, arms=("low", "high"))
    main = compare_endpoints(table, plan).arms.query("test == 'main'")
    assert main["contrast"].tolist() == ["low - placebo", "high - placebo"] * 3
    assert main[["n_arm", "n_control"]].to_numpy().tolist() == [[5, 6], [7, 6]] * 3
    assert main["control"].unique().tolist() == ["placebo"]
    assert main["role"].tolist() == ["primary"] * 2 + ["secondary"] * 2 + ["exploratory"] * 2
    p, q = (main[name].to_numpy().reshape(3, 2) for name in ("p_value", "q_value"))
    for k in (0, 1):
        assert q[k].min() == pytest.approx(min(1, 2 * p[k].min()))
    assert q[2].min() == pytest.approx(min(2 * p[2].min(), p[2].max()))
    assert main["adjustment"].iloc[0] == "Holm over 2 primary differences between arms"


def test_a_difference_comes_from_its_own_two_arms_alone():
    three = rows({"placebo": 6, "low": 6, "high": 6})
    two = compare_endpoints(three[three["cohort"] != "high"], PLAN).arms
    own = compare_endpoints(three, PLAN).arms.query("arm == 'low'")
    assert own["p_value"].tolist() == two["p_value"].tolist()


def test_a_negative_control_is_in_no_family_of_arms():
    table = pd.concat([rows({"placebo": 6, "drug": 5}, seed=s).assign(endpoint=f"e{s}") for s in range(3)])
    plan = Plan("W0", "W10", roles=dict.fromkeys(("e0", "e1", "e2"), "secondary"), controls={"e1": None})
    found = compare_endpoints(table, plan).arms.query("test == 'main'").set_index("endpoint")
    assert found.loc["e1", "adjustment"] == "none (negative control)"
    assert np.isnan(found.loc["e1", "q_value"])
    assert found["p_value"].notna().all()
    assert found.loc["e0", "adjustment"] == "Holm over 2 secondary differences between arms"


def test_q_of_arms_runs_over_all_contrasts_of_a_role():
    tables = [compare_endpoints(rows({"placebo": 6, "drug": 6}, seed=s), PLAN).arms for s in (1, 2)]
    joined = pd.concat(arms_together(tables, ["", ""])).query("test == 'main'")
    p = joined["p_value"].to_numpy()
    assert joined["q_value"].min() == pytest.approx(min(2 * p.min(), p.max()))
    assert set(joined["adjustment"]) == {
        "Benjamini-Hochberg over 2 exploratory differences between arms of all contrasts"
    }


@pytest.mark.parametrize(
    ("cohorts", "control"),
    [
        (("SLE", "RP"), None),
        (("SLE", "healthy control"), None),
        (("a", "b", "c"), None),
        (("uncontrolled", "mild"), None),
        (("IL-2", "Placebo", "IL-2 high"), "Placebo"),
        (("IL-2", "standard of care"), "standard of care"),
    ],
)
def test_cohorts_are_arms_only_where_one_is_the_control(cohorts, control):
    found = compare_endpoints(rows(dict.fromkeys(cohorts, 5)), PLAN)
    said = {finding.code: finding.message for finding in found.warnings}
    if control is None:
        assert found.arms.empty
        assert "none compared with another" in said["W_NO_CONTROL"]
    else:
        assert set(found.arms["control"]) == {control}
        assert control in said["W_ARMS"]
    assert len(found.shifts) == len(cohorts)


def test_compare_takes_the_first_of_two_arms_and_says_so_but_not_of_three():
    table = rows({"A": 5, "B": 5, "C": 5})
    words = {"patient": "patient_id", "visit": "visit", "before": "W0", "after": "W10", "value": "value"}
    two = compare(table[table["cohort"] != "C"], **words, arm="cohort")
    assert two.shifts["cohort"].tolist()[-1] == "B - A"
    assert any("A, first in alphabetical order" in f.message for f in two.warnings if f.code == "W_NO_CONTROL")
    three = compare(table, **words, arm="cohort")
    assert three.shifts["cohort"].tolist() == ["A", "B", "C"]
    assert any(f.code == "W_NO_CONTROL" and "A, B, C" in f.message for f in three.warnings)
    declared = compare(table, **words, arm="cohort", reference="B")
    assert declared.shifts["cohort"].tolist()[-2:] == ["A - B", "C - B"]
    with pytest.raises(ComparisonError, match="no arm is named 'D'"):
        compare(table, **words, arm="cohort", reference="D")


def test_values_below_a_limit_enter_the_difference_of_arms_as_that():
    kept = benchmark.whole_rows(9, 1, "limit", (10, 10))
    found = compare_endpoints(kept, PLAN)
    main, own = found.arms.iloc[0], found.shifts.set_index("cohort")["estimate"]
    assert "censored normal pairs" in main["method"]
    assert main["codes"] == "W_CENSORED"
    assert main["estimate"] == pytest.approx(own["drug"] - own["placebo"])
    assert len(found.arms) == 1  # nothing beside it takes the limit for the value
    asked = compare_endpoints(kept, Plan("W0", "W10", test="t")).arms.iloc[0]
    assert "W_AT_LIMIT" in asked["codes"]


def test_patients_without_the_later_visit_enter_by_the_visits_between():
    kept = benchmark.whole_rows(9, 1, "lost", (10, 10))
    found = compare_endpoints(kept, PLAN)
    main, own = found.arms.iloc[0], found.shifts.set_index("cohort")["estimate"]
    assert "mixed model over the visits" in main["method"]
    assert (main["n"], main["n_arm"], main["n_control"]) == (20, 7, 7)
    assert main["estimate"] == pytest.approx(own["drug"] - own["placebo"])
    pairs = compare_endpoints(kept[kept["visit"] != "W5"], PLAN)
    assert "W_UNPAIRED" in pairs.arms.iloc[0]["codes"]
    assert any("lacking a visit: 3 of drug, 3 of placebo" in finding.message for finding in pairs.warnings)


def test_batches_are_taken_off_the_difference_of_arms_or_said_to_be_its():
    table = rows({"placebo": 8, "drug": 8})
    later = table["visit"] == "W10"
    odd = table["patient_id"].str[-1].astype(int) % 4 == 1
    other = later & ((table["cohort"] == "drug") | odd)
    plan = Plan("W0", "W10", batch=dict(zip(table["sample_id"], np.where(other, "B2", "B1"), strict=True)))
    plain = compare_endpoints(table, plan).arms.iloc[0]
    moved = compare_endpoints(table.assign(value=table["value"] + 9.0 * other), plan).arms.iloc[0]
    assert "adjusted for batch" in moved["method"]
    assert moved["estimate"] == pytest.approx(plain["estimate"])
    aliased = later & (table["cohort"] == "drug")
    plan = Plan("W0", "W10", batch=dict(zip(table["sample_id"], np.where(aliased, "B2", "B1"), strict=True)))
    assert "E_BATCH_ALIASED" in compare_endpoints(table, plan).arms.iloc[0]["codes"]


SHEET = "sample_id,patient_id,visit,file,cohort\n" + "".join(
    f"s{p}{v},P{p},{v},fcs/a.fcs,{'placebo' if p else 'IL-2'}\n" for p in (0, 1) for v in ("W0", "W10")
)


def study(folder, text, sheet=SHEET):
    (folder / "fcs").mkdir()
    (folder / "fcs" / "a.fcs").touch()
    (folder / "samples.csv").write_text(sheet, encoding="utf-8")
    (folder / "study.yaml").write_text(f"study: two arms\ntrial: sle_nct02084238\n{text}", encoding="utf-8")
    return folder


def test_study_yaml_declares_the_control_and_names_an_arm_that_is_not_there(tmp_path):
    found = read_study(study(tmp_path, "arms: {control: placebo}\n"))
    assert found.arms.control == "placebo"
    (tmp_path / "study.yaml").write_text("study: x\narms: {control: placbo, active: [IL-2]}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"no sample of the sheet is of cohort 'placbo'\n.*did you mean 'placebo'"):
        read_study(tmp_path)


def test_verify_compares_the_arms_again(tmp_path):
    frames = report_fixture.tables(12)
    table = frames["endpoints"]
    arm = np.where(table["patient_id"].isin(sorted(table["patient_id"].unique())[:5]), "placebo", "IL-2")
    frames["endpoints"] = table = table.assign(cohort=arm)
    plan = Plan("W0", "W10", roles=report_fixture.ROLES)
    again = compare_endpoints(table, plan)
    frames |= {name: getattr(again, name) for name in ("pairs", "shifts", "noise", "arms")}
    (tmp_path / "study.yaml").write_text("study: SLE-IL2\n", encoding="utf-8")
    compared = (Compared(plan, tuple(table["endpoint"].unique())),)
    run = report_fixture.finished_run(frames, folder=tmp_path, out=tmp_path / "out", compared=compared)
    for name, frame in run.tables.items():
        ALL[name].write(frame, run.folder / "tables" / f"{name}.csv")
    write_manifest(run)
    write_run(run)
    assert verify(run) == []
    between = findings(run)[0]
    assert (between.cohort, between.role) == ("IL-2 less placebo", "primary")
    main = again.arms.query("test == 'main' and role == 'primary'").iloc[0]
    assert f"{main['n_arm']} patients of IL-2, {main['n_control']} of placebo (control)" in between.plain
    assert "change in IL-2 over that in placebo: mean ratio" in between.plain
    assert between.n == main["n_arm"] + main["n_control"]
    of = dict(zip(table["patient_id"], arm, strict=True))
    samples = tuple(replace(s, cohort=of.get(s.patient_id, s.cohort)) for s in run.samples)
    assert cautions(replace(run, study=replace(run.study, samples=samples)))[0].startswith("Each arm's own change")
    path = run.folder / "tables" / "arms.csv"
    changed = ALL["arms"].read(path)
    assert len(changed)
    changed.loc[0, "estimate"] += 0.01
    changed.to_csv(path, index=False)
    write_manifest(run)
    assert [problem.file for problem in verify(run)] == ["tables/arms.csv"]
