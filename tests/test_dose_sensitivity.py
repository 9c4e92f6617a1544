"""Shifts beside the dose of a concomitant drug: R's least squares, rescue left out, doses of the sheet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from builders import REFERENCE
from test_estimand import DAYS, PATIENTS, STATED, happened, rows, study

from immunolab.clinical import sheet_covariates
from immunolab.comparison.estimand import with_intercurrent
from immunolab.comparison.plan import Compared, Plan
from immunolab.comparison.steroids import dose_sensitivity, dose_sentences
from immunolab.errors import InputError
from immunolab.schema.endpoints import ENDPOINTS
from immunolab.study.intercurrent import Rise
from immunolab.study.sheet import Study, read_study

FOLDER = REFERENCE / "statistics"
RESCUE = Rise(variable="prednisone", rise=5.0, strategy="treatment_policy", **STATED)


def measured(values: dict[str, tuple[float | None, ...]], endpoint: str, population: str) -> pd.DataFrame:
    """Rows of W0 and W10 by patient."""
    found = [
        {"sample_id": f"{p}_{v}", "patient_id": p, "visit": v, "study_day": DAYS[v], "endpoint": endpoint}
        | {"phase": "baseline" if v == "W0" else "on_treatment", "population": population, "unit": "points", "value": x}
        for p, two in values.items()
        for v, x in zip(("W0", "W10"), two, strict=True)
        if x is not None
    ]
    return ENDPOINTS.frame(found)


def analysed(own: Study, table: pd.DataFrame, doses: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    plan = Plan("W0", "W10", scales={"sledai_change": "identity"})
    return dose_sensitivity(table, doses, events, own, [Compared(plan, ("sledai_change",))])


def test_shift_of_an_unchanged_dose_is_that_of_r() -> None:
    data = pd.read_csv(FOLDER / "dose_sensitivity.csv")
    wanted = pd.read_csv(FOLDER / "dose_sensitivity_R.csv").set_index("quantity")["value"]
    names = [f"P{i}" for i in data["patient"]]
    values = dict(zip(names, zip(data["before"], data["after"], strict=True), strict=True))
    given = [(b, None if pd.isna(a) else a) for b, a in zip(data["dose_before"], data["dose_after"], strict=True)]
    table = measured(values, "sledai_change", "SELENA_SLEDAI")
    doses = measured(dict(zip(names, given, strict=True)), "prednisone", "prednisone")
    row = analysed(study(RESCUE), table, doses, happened()).iloc[0]
    for name in ("estimate", "ci_low", "ci_high", "p_value", "n_pairs"):
        assert row[name] == pytest.approx(wanted[name], rel=1e-9), name
    assert row["n_concerned"] == int((data["dose_after"] - data["dose_before"]).abs().gt(0).sum())


def test_values_under_rescue_are_left_out_beside_a_main_estimate_that_takes_them() -> None:
    values = {p: (10.0, 10.0 - i) for i, p in enumerate(PATIENTS)}
    table = measured(values, "sledai_change", "SELENA_SLEDAI")
    doses = measured(
        {p: (10.0, 20.0 if p == "P1" else 10.0 - i) for i, p in enumerate(PATIENTS)}, "prednisone", "prednisone"
    )
    events = happened(("P1", "rescue", 71))
    own = study(RESCUE)
    marked = with_intercurrent(table, events, own, own.endpoints)
    found = analysed(own, marked, doses, events).set_index("analysis")
    without = found.loc["without values under rescue"]
    assert (without["n_pairs"], without["n_concerned"]) == (5, 1)
    assert without["estimate"] == pytest.approx(-3.0)  # -1 to -5; the rescued patient's 0 is left out
    said = list(dose_sentences(found.reset_index()))
    assert said[1].startswith("prednisone without values under rescue (n = 5 pairs, 1 concerned): difference −3 [")
    hypothetical = study(replace(RESCUE, strategy="hypothetical"))
    marked = with_intercurrent(table, events, hypothetical, own.endpoints)
    assert set(analysed(hypothetical, marked, doses, events)["analysis"]) == {"adjusted for its change"}


def test_a_dose_that_falls_alike_in_all_is_not_taken_off_and_it_is_said() -> None:
    table = measured({p: (10.0, 10.0 - i) for i, p in enumerate(PATIENTS)}, "sledai_change", "SELENA_SLEDAI")
    alike = measured({p: (10.0 + i, 5.0 + i) for i, p in enumerate(PATIENTS)}, "prednisone", "prednisone")
    row = analysed(study(RESCUE), table, alike, happened()).iloc[0]
    assert pd.isna(row["estimate"])
    assert row["method"] == "not adjusted: the covariate changes in step with the visit; not adjusted for it"
    assert analysed(study(RESCUE), table, alike.assign(value=5.0), happened()).empty  # constant, such as age


def test_doses_of_the_sheet_are_measurements_with_their_unit() -> None:
    own = study(RESCUE)
    head = "prednisone (mg/day)"
    samples = [replace(s, row=i + 2, extra={head: str(5 + i), "age": "40"}) for i, s in enumerate(own.samples[:3])]
    samples.append(replace(own.samples[3], row=9, extra={head: ""}))
    found = sheet_covariates(replace(own, samples=tuple(samples)))
    assert found[["patient_id", "visit", "value", "unit", "variable"]].to_numpy().tolist()[0] == [
        *("P1", "W0", 5.0, "mg/day", "prednisone")
    ]
    assert found["value"].tolist() == [5.0, 6.0, 7.0]
    faulty = [replace(samples[0], extra={head: "ten"}), replace(samples[1]), replace(samples[1], extra={head: "9"})]
    with pytest.raises(InputError) as error:
        sheet_covariates(replace(own, samples=tuple(faulty), sheet=Path("samples.csv")))
    assert [str(p).splitlines()[0] for p in error.value.problems] == [
        "samples.csv:row 2, column prednisone (mg/day)  'ten' is not a number",
        "samples.csv:row 3, column prednisone (mg/day)  '9' differs from another tube of the visit",
    ]


def test_a_column_of_a_sheet_is_read_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "a.fcs").write_bytes(b"FCS3.0")
    (tmp_path / "study.yaml").write_text("study: s\ntrial: sle_nct02084238\n", encoding="utf-8")
    head = "sample_id,patient_id,visit,file,Prednisone (mg/day)\n"
    (tmp_path / "samples.csv").write_text(f"{head}a,P1,W0,a.fcs,20\nb,P1,W10,a.fcs,12.5\n", encoding="utf-8")
    found = sheet_covariates(read_study(tmp_path))
    assert found[["visit", "variable", "value", "unit"]].to_numpy().tolist() == [
        ["W0", "prednisone", 20.0, "mg/day"],
        ["W10", "prednisone", 12.5, "mg/day"],
    ]


def test_the_dose_itself_is_not_adjusted_for_itself() -> None:
    own = study(RESCUE)
    table = pd.concat([rows("c3"), rows("c4").assign(population="prednisone")], ignore_index=True)
    found = dose_sensitivity(table, table.iloc[:0], happened(), own, [Compared(Plan("W0", "W10"), ("c3", "c4"))])
    assert set(found["endpoint"]) == {"c3"}
