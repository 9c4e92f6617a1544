"""Regression to the mean: R's paired t of both baselines, planted selection, type I error, what the report says."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import report_fixture
from builders import REFERENCE

from immunolab.comparison.regression_to_mean import regression_rows
from immunolab.errors import InputError
from immunolab.results.findings.cautions import cautions
from immunolab.schema.courses import REGRESSION_TO_MEAN
from immunolab.study.trial import Selection, Trial, Visit, load_trial

FOLDER = REFERENCE / "statistics"
SLE = load_trial("sle_nct02084238")
SCREENING = Visit("SCR", -14, (-28, -2), "baseline", "test")


def screened(selected_at: str = "SCR") -> Trial:
    """The SLE design with a screening visit before W0."""
    visits = [replace(v, window=(-1, 1)) if v.name == "W0" else v for v in SLE.visits]
    chosen = Selection("SELENA_SLEDAI", selected_at, "test", at_least=8.0)
    return replace(SLE, visits=(SCREENING, *visits), selection=(chosen,))


def levels(values: pd.DataFrame) -> pd.DataFrame:
    """One row a patient, one column a visit, as `table.Comparison.levels`."""
    long = values.rename_axis("patient_id").reset_index().melt("patient_id", var_name="visit", value_name="level")
    return long.assign(cohort="SLE", endpoint="sledai_change", scale="identity")


def selected(rng: np.random.Generator, n: int, effect: float = 0.0) -> pd.DataFrame:
    """Patients whose screening value is at least 8: mean 6, between patients 2.5, within 2."""
    mean = rng.normal(6.0, 2.5, 40 * n)
    values = mean[:, None] + rng.normal(0, 2.0, (mean.size, 3)) + np.array([0.0, 0.0, effect])
    kept = values[values[:, 0] >= 8.0][:n]
    return pd.DataFrame(kept, columns=["SCR", "W0", "W10"], index=[f"P{i}" for i in range(n)])


def test_changes_are_those_of_r() -> None:
    data = pd.read_csv(FOLDER / "regression_to_mean.csv").set_index("patient")
    wanted = pd.read_csv(FOLDER / "regression_to_mean_R.csv").set_index("quantity")
    found = regression_rows(levels(data), "SCR", "W10", screened()).set_index("quantity")
    assert set(found.index) == set(wanted.index)
    for name in ("estimate", "ci_low", "ci_high", "df", "p_value", "n_patients"):
        np.testing.assert_allclose(found.loc[wanted.index, name].to_numpy(dtype=float), wanted[name], rtol=1e-9)
    assert found.loc["spontaneous change", "correlation"] == pytest.approx(wanted["correlation"].iloc[0], rel=1e-9)


def test_expected_change_is_that_of_the_planted_selection() -> None:
    """E[W0 - SCR | SCR >= 8] = -(within share) (E[SCR | SCR >= 8] - 6), a truncated normal: by hand -1.79."""
    total = np.hypot(2.5, 2.0)
    z = (8.0 - 6.0) / total
    hazard = np.exp(-z * z / 2) / np.sqrt(2 * np.pi) / (0.5 * (1 - math.erf(z / 2**0.5)))
    wanted = -(2.0**2 / total**2) * total * hazard
    values = pd.concat([selected(np.random.default_rng(i), 20) for i in range(200)], ignore_index=True)
    found = regression_rows(levels(values), "SCR", "W10", screened()).set_index("quantity")["estimate"]
    assert found["spontaneous change"] == pytest.approx(wanted, abs=0.12)
    assert found["observed change"] == pytest.approx(wanted, abs=0.12)  # the drug does nothing
    assert found["adjusted change"] == pytest.approx(0.0, abs=0.12)


@pytest.mark.parametrize("selected_at", ["SCR", "W0"])
def test_either_baseline_may_be_the_selected_one(selected_at: str) -> None:
    values = selected(np.random.default_rng(3), 30, effect=-2.0)
    other = "W0" if selected_at == "SCR" else "SCR"
    turned = values.rename(columns={"SCR": selected_at, "W0": other})
    found = regression_rows(levels(turned), selected_at, "W10", screened(selected_at)).set_index("quantity")
    assert found["other_baseline"].unique().tolist() == [other]
    assert found.loc["spontaneous change", "estimate"] < 0
    gap = found.loc["observed change", "estimate"] - found.loc["spontaneous change", "estimate"]
    assert found.loc["adjusted change", "estimate"] == pytest.approx(gap)


@pytest.mark.parametrize("n", [8, 16])
def test_type_i_error_of_the_adjusted_change_is_nominal(n: int) -> None:
    rng = np.random.default_rng(n)
    rows = [regression_rows(levels(selected(rng, n)), "SCR", "W10", screened()) for _ in range(200)]
    p = pd.concat(rows).groupby("quantity")["p_value"].agg(lambda p: float((p < 0.05).mean()))
    assert p["observed change"] > 0.3  # a fall of 1.8 points that is selection alone
    assert p["adjusted change"] <= 0.1  # 20 or more of 200 have p < 0.005 if 0.05 is true


def test_one_baseline_or_few_patients_give_no_row() -> None:
    values = selected(np.random.default_rng(1), 12)
    assert regression_rows(levels(values[["SCR", "W10"]]), "SCR", "W10", screened()).empty
    assert regression_rows(levels(values), "W0", "W10", SLE).empty  # selected at its only baseline
    assert regression_rows(levels(values[:2]), "SCR", "W10", screened()).empty
    both = replace(screened(), selection=(*screened().selection, replace(screened().selection[0], visit="W0")))
    assert regression_rows(levels(values), "SCR", "W10", both).empty  # selected at both: neither is free of it
    REGRESSION_TO_MEAN.check(regression_rows(levels(values), "SCR", "W10", screened()))


def test_the_report_says_what_one_baseline_cannot() -> None:
    run = report_fixture.finished_run()
    text = "Patients were selected by SELENA-SLEDAI of 8 or more at W0; without a second visit before treatment"
    assert text in " ".join(cautions(run))


def test_faults_of_a_selection_are_listed(tmp_path: Path) -> None:
    source = Path(__file__).parent.parent / "immunolab" / "study" / "trials" / "sle_nct02084238.yaml"
    text = source.read_text(encoding="utf-8")
    path = tmp_path / "sle.yaml"
    path.write_text(text.replace("at_least: 8, visit: W0", "at_least: 8, at_most: 9, visit: W2"), encoding="utf-8")
    with pytest.raises(InputError) as error:
        load_trial(path)
    assert [p.message for p in error.value.problems] == [
        "selection[0]: SELENA_SLEDAI: one limit is needed",
        "selection[0].visit: 'W2' is no visit of the baseline phase",
    ]
