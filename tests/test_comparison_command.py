"""`immunolab compare` on any table: worked examples, a published wide table, and bad input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import REFERENCE, data_folder

from immunolab.cli import main
from immunolab.schema.comparison import PAIRS, SHIFTS

FOLDER = REFERENCE / "statistics"
R = json.loads((FOLDER / "expected_R.json").read_text())
VISITS = ("--patient", "patient", "--visit", "visit", "--before", "baseline", "--after", "on")
COUNTS = ("--count", "count", "--parent-count", "parent_count")


def compare(tmp_path: Path, table: Path, *words: str) -> pd.DataFrame:
    """Run the command and return the shifts it wrote."""
    out = tmp_path / "shifts.csv"
    assert main(["compare", str(table), *words, "-o", str(out)]) == 0
    return SHIFTS.read(out)


def refusal(capsys, table: Path, *words: str) -> str:
    assert main(["compare", str(table), *words]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_counts_give_r_paired_t_with_full_precision(tmp_path):
    found = compare(tmp_path, FOLDER / "ex1_paired_treg.csv", *VISITS, *COUNTS).iloc[0]
    assert found["p_value"] == pytest.approx(R["ex1"]["t_logit"]["p"], rel=1e-12)
    assert found["estimate"] == pytest.approx(R["ex1"]["t_logit"]["mean"], rel=1e-14)
    assert len(PAIRS.read(tmp_path / "shifts_pairs.csv")) == 13
    assert pd.read_csv(tmp_path / "shifts_visits.csv")["n_patients"].tolist() == [13, 13]


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ("wilcoxon", R["ex10_rare"]["wilcox_logit"]["p"]),
        ("count_weighted", R["ex10_rare"]["rma_PM_knha_vsym"]["p"]),
        ("t", R["ex10_rare"]["t_logit"]["p"]),
        ("signflip", 0.2578125),
    ],
)
def test_each_method_on_a_rare_subset(tmp_path, test, expected):
    found = compare(tmp_path, FOLDER / "ex10_rare_zeros.csv", *VISITS, *COUNTS, "--test", test).iloc[0]
    assert found["p_value"] == pytest.approx(expected, rel=1e-9)
    assert found["sensitivity_p_value"] == R["ex10_rare"]["wilcox_logit"]["p"]
    assert "W_LOW_EVENTS" in found["warnings"]


def test_percent_values_on_every_scale(tmp_path):
    frame = pd.read_csv(FOLDER / "ex1_paired_treg.csv")
    frame["percent"] = 100 * frame["count"] / frame["parent_count"]
    table = write(tmp_path / "percent.csv", frame.drop(columns=["count", "parent_count"]).to_csv(index=False))
    share = frame["percent"] / 100
    functions = {
        "logit": np.log(share / (1 - share)),
        "arcsine": np.arcsin(np.sqrt(share)),
        "log": np.log(share),
        "identity": frame["percent"],
    }
    for scale, level in functions.items():
        wide = frame.assign(level=level).pivot(index="patient", columns="visit", values="level")
        found = compare(tmp_path, table, *VISITS, "--value", "percent", "--scale", scale).iloc[0]
        assert found["estimate"] == pytest.approx((wide["on"] - wide["baseline"]).mean(), rel=1e-12)
        assert pd.isna(found["fold"]) == (scale in ("arcsine", "identity"))
    found = compare(tmp_path, table, *VISITS, "--value", "percent", "--scale", "identity", "--test", "wilcoxon").iloc[0]
    assert found["estimate"] == pytest.approx(R["ex1"]["wilcox_pct"]["HL"], rel=1e-10)
    assert found["ci_low"] == pytest.approx(R["ex1"]["wilcox_pct"]["lo"], rel=1e-10)


def test_twenty_endpoints_are_adjusted_as_asked(tmp_path):
    words = (*VISITS, *COUNTS, "--endpoint", "subset")
    for adjust, expected in (("bh", R["ex5"]["q_t"]), ("holm", R["ex5"]["p_holm"])):
        found = compare(tmp_path, FOLDER / "ex5_20subsets.csv", *words, "--test", "t", "--adjust", adjust)
        assert found["endpoint"].tolist() == R["ex5"]["subset"]
        assert found["q_value"].to_numpy() == pytest.approx(expected, rel=1e-9)
    found = compare(tmp_path, FOLDER / "ex5_20subsets.csv", *words, "--adjust", "none")
    assert found["q_value"].isna().all()
    assert found["adjustment"].unique().tolist() == ["none"]
    found = compare(tmp_path, FOLDER / "ex5_20subsets.csv", *words)
    rare = found["endpoint"].isin(["S01", "S02"])  # 0.1 % of a few thousand cells: by a count model
    assert found.loc[~rare, "method"].str.startswith("count-aware moderated t over 18 endpoints").all()
    assert found.loc[rare, "method"].str.startswith("conditional count model").all()


def test_one_column_a_visit_drops_zero_shifts_and_counts_them(tmp_path, capsys):
    words = ("--patient", "patient", "--before", "baseline", "--after", "on", "--scale", "identity")
    found = compare(tmp_path, FOLDER / "ex6_ties.csv", *words, "--test", "wilcoxon").iloc[0]
    assert found["p_value"] == 0.03125
    assert found["n_pairs"] == 10
    assert found["n_zero_shifts"] == 2
    assert "signed rank: 2 zero shift(s) dropped" in capsys.readouterr().out


def test_two_arms_end_with_their_difference(tmp_path):
    words = (*VISITS, "--count", "treg", "--parent-count", "cd4", "--arm", "arm")
    found = compare(tmp_path, FOLDER / "ex7_two_arm.csv", *words)
    assert found["cohort"].tolist() == ["placebo", "active", "active - placebo"]
    difference = found.iloc[2]
    assert difference["estimate"] == pytest.approx(R["ex7"]["ancova"]["est"], rel=1e-10)
    assert difference["p_value"] == pytest.approx(1.530408574e-06, rel=1e-9)  # tests/reference/statistics/arms.R
    assert difference["sensitivity_p_value"] == pytest.approx(R["ex7"]["mannwhitney"]["p"], rel=1e-9)
    turned = compare(tmp_path, FOLDER / "ex7_two_arm.csv", *words, "--reference", "active").iloc[2]
    assert turned["cohort"] == "placebo - active"
    assert turned["estimate"] == pytest.approx(-difference["estimate"], rel=1e-10)


def test_a_reference_that_is_no_arm_is_refused(tmp_path, capsys):
    words = (*VISITS, "--count", "treg", "--parent-count", "cd4", "--reference", "actve")
    text = refusal(capsys, FOLDER / "ex7_two_arm.csv", *words, "--arm", "arm")
    assert text == "no arm is named 'actve'\n    hint: did you mean 'active'? arms: active, placebo\n"
    assert "name the column of arms as arm" in refusal(capsys, FOLDER / "ex7_two_arm.csv", *words)


def test_arms_without_any_event_do_not_differ_by_their_denominators(tmp_path):
    lines = [
        f"{p},{v},0,{1000 * (p + 1) + 100 * (v == 'on')},{'xy'[p % 2]}" for p in range(8) for v in ("baseline", "on")
    ]
    table = write(tmp_path / "t.csv", "\n".join(["patient,visit,count,parent_count,arm", *lines]))
    found = compare(tmp_path, table, *VISITS, *COUNTS, "--arm", "arm")
    assert found["method"].tolist() == ["not estimable: all counts are 0"] * 3
    assert found[["estimate", "p_value", "sensitivity_p_value"]].isna().all(axis=None)
    assert found["warnings"].iloc[2] == "W_ALL_ZERO"


def test_an_output_that_cannot_be_written_is_one_clear_line(tmp_path, capsys):
    write(tmp_path / "file", "")
    out = tmp_path / "file" / "shifts.csv"
    words = (*VISITS, "--count", "treg", "--parent-count", "cd4")
    assert main(["compare", str(FOLDER / "ex7_two_arm.csv"), *words, "-o", str(out)]) == 1
    text = capsys.readouterr().err
    assert "internal error" not in text
    assert text.startswith(str(tmp_path / "file"))


def test_several_visits_by_mixed_model(tmp_path):
    words = ("--patient", "patient", "--visit", "visit", "--before", "screen,day0", "--after", "w2,w4,w8", *COUNTS)
    found = compare(tmp_path, FOLDER / "ex3_longitudinal.csv", *words, "--test", "mixed").iloc[0]
    expected = R["ex3_lmer"]["RI_RS_uncorr"]
    assert found["estimate"] == pytest.approx(expected["beta"][1], rel=1e-4)
    assert found["p_value"] == pytest.approx(expected["p_satt"][1], rel=1e-2)


def test_a_published_wide_table_unchanged(tmp_path, capsys):
    """The medians its readme states, over all samples of a visit, and R's figures over the pairs."""
    table = data_folder("flow/pembrofluvac/pembrofluvac_mergedData.csv")
    column = "cTfh_ICOShiCD38hi_..FreqParent"
    words = ("--patient", "Subject", "--visit", "TimeCategory", "--before", "baseline", "--arm", "Cohort")
    found = compare(tmp_path, table, *words, "--after", "oneWeek", "--value", column).set_index("cohort")
    visits = pd.read_csv(tmp_path / "shifts_visits.csv").set_index(["cohort", "visit"])["median"]
    medians = [visits["anti-PD-1", visit] for visit in ("baseline", "oneWeek", "late")]
    assert medians == pytest.approx([3.67, 5.35, 3.94], abs=0.0051)
    assert found.loc["anti-PD-1", "median_before_all"] == pytest.approx(3.67, abs=0.0051)
    wide = (
        pd.read_csv(table).query("Cohort == 'anti-PD-1'").pivot(index="Subject", columns="TimeCategory", values=column)
    )
    pairs = wide[["baseline", "oneWeek"]].dropna()
    assert found.loc["anti-PD-1", "n_pairs"] == len(pairs) == 21
    assert found.loc["anti-PD-1", "median_before"] == pairs["baseline"].median()
    assert "41 empty cell(s) taken as missing" in capsys.readouterr().out
    late = compare(tmp_path, table, *words, "--after", "late", "--value", "cTfh_ICOS*FreqParent")
    assert late["endpoint"].nunique() > 20
    assert late.loc[late["n_pairs"] < 3, "p_value"].isna().all()


def test_columns_are_found_when_none_is_named(tmp_path):
    renamed = pd.read_csv(FOLDER / "ex1_paired_treg.csv").rename(columns={"parent_count": "n_parent"})
    table = write(tmp_path / "named.csv", renamed.rename(columns={"count": "n_events"}).to_csv(index=False))
    assert compare(tmp_path, table, *VISITS)["method"].tolist() == ["paired t, logit (+0.5)"]
    wide = write(
        tmp_path / "wide.csv",
        "patient,visit,Treg (%),CRP [mg/L],SLEDAI\n"
        + "".join(
            f"P{i},{v},{i + k},{100 * (i + k)},{20 - k}\n"
            for i in range(1, 6)
            for k, v in enumerate(("baseline", "on"))
        ),
    )
    found = compare(tmp_path, wide, *VISITS)
    assert dict(zip(found["endpoint"], found["estimate_scale"], strict=True)) == {
        "Treg (%)": "log_odds",
        "CRP [mg/L]": "log",
        "SLEDAI": "identity",
    }


def test_the_endpoint_table_of_a_run_is_compared_by_its_units(tmp_path):
    """Counts of a share, numerator and denominator of a ratio, points of a score, all from one file."""
    text = "sample_id,patient_id,visit,endpoint,value,unit,n_events,n_parent\n"
    for i in range(4):
        for k, visit in enumerate(("W0", "W10")):
            n, m = 40 + 10 * k + i, 20 - 3 * k * i
            text += f"s{i}{visit},P{i},{visit},treg,{n / 10},%,{n},1000\n"
            text += f"s{i}{visit},P{i},{visit},ratio,{(n + 0.5) / (m + 0.5)},ratio,{n},{m}\n"
            text += f"s{i}{visit},P{i},{visit},sledai,{12 - 4 * k - i * k},points,,\n"
    table = write(tmp_path / "endpoints.csv", text)
    words = (
        "--patient",
        "patient_id",
        "--visit",
        "visit",
        "--before",
        "W0",
        "--after",
        "W10",
        "--endpoint",
        "endpoint",
    )
    found = compare(tmp_path, table, *words).set_index("endpoint")
    assert found["estimate_scale"].to_dict() == {"treg": "log_odds", "ratio": "log", "sledai": "identity"}
    halves = found["method"].str.contains("+0.5", regex=False).to_dict()
    assert halves == {
        "treg": True,
        "ratio": False,
        "sledai": False,
    }  # the denominator has few events
    assert found.loc["sledai", "estimate"] == -5.5


def test_xlsx_and_semicolons_give_what_csv_gives(tmp_path):
    frame = pd.read_csv(FOLDER / "ex6_ties.csv")
    frame.to_excel(tmp_path / "t.xlsx", index=False)
    frame.to_csv(tmp_path / "t.csv", index=False, sep=";", decimal=",")
    words = ("--patient", "patient", "--before", "baseline", "--after", "on", "--scale", "identity")
    found = [compare(tmp_path, tmp_path / name, *words)["p_value"].iloc[0] for name in ("t.xlsx", "t.csv")]
    assert found[0] == found[1]


def test_two_pairs_are_described_and_exit_with_zero(tmp_path):
    table = write(tmp_path / "t.csv", "patient,visit,value\nA,baseline,1\nA,on,2\nB,baseline,3\nB,on,5\nC,on,1\n")
    found = compare(tmp_path, table, *VISITS, "--value", "value").iloc[0]
    assert (found["n_pairs"], found["median_before"], found["median_after"]) == (2, 2.0, 3.5)
    assert found["warnings"] == "W_UNIT;W_UNPAIRED;W_MISSING_20;E_N_MIN"
    assert pd.isna(found["p_value"])


ROWS = "patient,visit,value,n,N\nA,baseline,{0},10,100\nA,on,2,20,100\nB,baseline,3,10,100\nB,on,4,30,100\n"


@pytest.mark.parametrize(
    ("cell", "message", "hint"),
    [
        ("4%", "text in a number column: '4%' (E_TEXT)", "remove the percent sign"),
        ('"4,5"', "a decimal comma in a comma-separated table: '4,5' (E_TEXT)", "write a point"),
        ("low", "text in a number column: 'low' (E_TEXT)", "write a number"),
        ("inf", "a value is infinite or not a number: 'inf' (E_NONFINITE)", "leave the cell empty"),
        ("NaN", "a value is infinite or not a number: 'NaN' (E_NONFINITE)", "leave the cell empty"),
        ("1e999", "a number out of range (E_NONFINITE)", ""),
    ],
)
def test_cells_that_are_no_numbers_are_named_by_row(tmp_path, capsys, cell, message, hint):
    table = write(tmp_path / "t.csv", ROWS.format(cell))
    text = refusal(capsys, table, *VISITS, "--value", "value")
    assert f"{table}:row 2, column value  {message}" in text
    assert hint in text


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("A,on,2,20,100", "rows 3, 6  two samples of one patient, visit and endpoint (E_DUP_VISIT)"),
        ("C,on,2,200,100", "row 6  more events than their parent has (E_GT_PARENT)"),
        ("C,on,2,-2,100", "row 6  negative count (E_NEG)"),
        ("C,on,2,2.5,100", "row 6  count is not a whole number (E_NONINT)"),
        ("C,on,2,2,", "row 6  one of count and parent count is missing (E_NONFINITE)"),
        (",on,2,2,100", "row 6, column patient  the cell is empty"),
    ],
)
def test_impossible_counts_are_named_by_row(tmp_path, capsys, line, message):
    table = write(tmp_path / "t.csv", ROWS.format(1) + line + "\n")
    assert message in refusal(capsys, table, *VISITS, "--count", "n", "--parent-count", "N")


def test_a_patient_in_two_arms(tmp_path, capsys):
    text = "patient,visit,value,arm\nA,baseline,1,x\nA,on,2,y\n"
    table = write(tmp_path / "t.csv", text)
    message = refusal(capsys, table, *VISITS, "--value", "value", "--arm", "arm")
    assert "rows 2, 3  patient A is in two cohorts: 'x', 'y' (E_TWO_ARMS)" in message


def test_unknown_visit_and_column(tmp_path, capsys):
    table = write(tmp_path / "t.csv", ROWS.format(1))
    words = ("--patient", "patient", "--visit", "visit", "--value", "value", "--before", "base", "--after", "on")
    assert "no sample has visit 'base'\n    hint: did you mean 'baseline'? visits there: baseline, on" in refusal(
        capsys, table, *words
    )
    text = refusal(capsys, table, "--patient", "patients", "--visit", "visit", "--before", "baseline", "--after", "on")
    assert "there is no column 'patients'\n    hint: did you mean 'patient'?" in text


def test_counts_and_values_do_not_go_together(tmp_path, capsys):
    table = write(tmp_path / "t.csv", ROWS.format(1))
    assert "value and count are both given\n    hint: name one of them" in refusal(
        capsys, table, *VISITS, "--value", "value", "--count", "n", "--parent-count", "N"
    )
    text = refusal(capsys, table, *VISITS, "--count", "n")
    assert "counts need two columns\n    hint: name count and parent_count" in text


def test_what_was_done_is_said(capsys):
    assert main(["compare", str(FOLDER / "ex1_paired_treg.csv"), *VISITS, *COUNTS]) == 0
    text = capsys.readouterr().out
    assert "method: paired t, logit (+0.5) (1 row)" in text
    assert "multiplicity: Benjamini-Hochberg over 1 endpoints" in text
    assert "3.71e-06" in text
