"""Measurements: units, censoring, assay exports, and messages that name the row."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from immunolab.errors import InputError
from immunolab.loaders.measurements import read_measurements, split_unit
from immunolab.loaders.units import UnitError, conversion
from immunolab.schema.endpoints import MEASUREMENTS
from immunolab.study.rows import Sample
from immunolab.vocabulary.variables import resolve_variable, variables


def write(folder: Path, text: str, name: str = "m.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def read(folder: Path, text: str, samples: tuple[Sample, ...] = ()) -> pd.DataFrame:
    return read_measurements(write(folder, text), samples=samples)


def problems(folder: Path, text: str, samples: tuple[Sample, ...] = ()) -> list[str]:
    with pytest.raises(InputError) as caught:
        read(folder, text, samples)
    return [f"{p.place}: {p.message}" + (f" | {p.hint}" if p.hint else "") for p in caught.value.problems]


LONG = "patient_id,visit,variable,value,unit\n"


@pytest.mark.parametrize(
    ("variable", "unit", "factor"),
    [
        ("lymphocytes", "10^9/L", 1000),
        ("lymphocytes", "×10⁹/L", 1000),
        ("lymphocytes", "10*9/L", 1000),
        ("lymphocytes", "10e9/L", 1000),
        ("lymphocytes", "G/L", 1000),
        ("lymphocytes", "K/uL", 1000),
        ("lymphocytes", "/mm3", 1),
        ("lymphocytes", "cells/µL", 1),
        ("CRP", "mg/dL", 10),
        ("CRP", "mg/dl", 10),
        ("CRP", "µg/mL", 1),
        ("C3", "mg/dL", 0.01),
        ("IL-6", "ng/L", 1),
        ("IL-6", "ng/mL", 1000),
        ("ESR", "mm/hr", 1),
        ("ESR", "mm", 1),
        ("PhGA", "mm", 0.1),
        ("hemoglobin", "g/dL", 10),
        ("CK", "IU/L", 1),
        ("prednisone", "mg/d", 1),
        ("morning_stiffness", "h", 60),
        ("proteinuria", "mg/24h", 0.001),
    ],
)
def test_units_laboratories_write(variable: str, unit: str, factor: float) -> None:
    assert conversion(unit, variables()[variable]) == factor


def test_units_of_another_kind_are_refused() -> None:
    for unit, text in [
        ("U/mL", "unit 'U/mL' cannot be converted to IU/mL"),
        ("mg/L", "unit 'mg/L' cannot be converted to IU/mL"),
        ("", "the unit is missing"),
        ("furlongs/x", "unit 'furlongs/x' is unknown"),
    ]:
        with pytest.raises(UnitError) as caught:
            conversion(unit, variables()["anti-dsDNA"])
        assert str(caught.value) == text


def test_every_variable_is_found_under_each_of_its_names_and_converts_its_own_unit() -> None:
    for name, variable in variables().items():
        assert conversion(variable.unit, variable) == 1
        assert {resolve_variable(label) for label in (name, *variable.names)} == {name}
    assert resolve_variable("TNFα") == "TNF-a"
    assert resolve_variable("MIP-1β") == "CCL4"


def test_long_table_is_converted_and_censored_values_are_kept(tmp_path: Path) -> None:
    text = LONG + (
        "P1,W0,CRP,1.2,mg/dL\nP1,W0,IL6,<2.3,pg/mL\nP1,W10,IL-6,>500,ng/L\nP1,W10,TNFα,OOR <,pg/mL\n"
        "P1,W10,ALC,1.25,10^9/L\nP2,W0,CRP,NA,mg/L\nP2,W0,SELENA_SLEDAI,8,\n"
    )
    frame = read(tmp_path, text)
    MEASUREMENTS.check(frame)
    assert frame["variable"].tolist() == ["CRP", "IL-6", "IL-6", "TNF-a", "lymphocytes", "CRP", "SELENA_SLEDAI"]
    assert frame["value"].fillna(-1).tolist() == [12.0, 2.3, 500.0, -1.0, 1250.0, -1.0, 8.0]
    assert frame["censored"].fillna("").tolist() == ["", "below", "above", "below", "", "", ""]
    assert frame["unit"].fillna("").tolist() == ["mg/L", "pg/mL", "pg/mL", "pg/mL", "cells/uL", "mg/L", ""]


def test_excel_text_with_semicolons_and_decimal_commas(tmp_path: Path) -> None:
    frame = read(tmp_path, "\ufeffpatient_id;visit;variable;value;unit\nP1;W0;C3;0,85;g/L\nP1;W10;C3;<0,2;g/L\n")
    assert frame["value"].tolist() == [0.85, 0.2]


def test_wide_table_takes_units_from_headings_or_a_units_row(tmp_path: Path) -> None:
    headed = read(tmp_path, "patient_id,date,IL-6 (pg/mL),CRP [mg/dL],PGA\nP1,2024-03-05,4.5,0.3,1.5\n")
    assert headed[["variable", "value", "unit"]].fillna("").values.tolist() == [
        ["IL-6", 4.5, "pg/mL"],
        ["CRP", 3.0, "mg/L"],
        ["PGA", 1.5, ""],
    ]
    assert headed["date"].tolist() == ["2024-03-05"] * 3
    row = read(tmp_path, "patient_id,visit,IL-6,CRP\nunits,,pg/mL,mg/dL\nP1,W0,4.5,0.3\n")
    assert row["value"].tolist() == [4.5, 3.0]


def test_xlsx_is_read_like_csv(tmp_path: Path) -> None:
    from datetime import datetime

    from openpyxl import Workbook

    book = Workbook()
    book.active.append(["patient_id", "date", "variable", "value", "unit"])
    book.active.append(["P1", datetime(2024, 3, 5), "CRP", 4, "mg/L"])
    book.save(tmp_path / "m.xlsx")
    frame = read_measurements(tmp_path / "m.xlsx")
    assert frame[["date", "value"]].values.tolist() == [["2024-03-05", 4.0]]


def test_nfl_needs_its_matrix(tmp_path: Path) -> None:
    frame = read(tmp_path, "patient_id,visit,variable,value,unit,matrix\nP1,W0,NfL,12,pg/mL,CSF\n")
    assert frame["variable"].tolist() == ["NfL_CSF"]
    assert problems(tmp_path, LONG + "P1,W0,NfL,12,pg/mL\n") == [
        "row 2, column variable: 'NfL' may be NfL_serum or NfL_CSF | write which"
    ]


XPONENT = """"Program","xPONENT",,"MAGPIX"
"Build","4.2"
""
"Results"
""
"DataType:","Median"
"Location","Sample","IL-6","TNFa","Total Events"
"1(1,A1)","Standard1","9000","8000","150"
"2(1,B1)","P1_W0","120","80","150"
""
"DataType:","Result"
"Location","Sample","IL-6","TNFa","Total Events"
"1(1,A1)","Standard1","1000","1000","150"
"2(1,B1)","P1_W0","4.0","OOR <","150"
"3(1,C1)","P1_W0","6.0","OOR <","150"
"4(1,D1)","P1_W10","*7.5",">10000","150"
""
"DataType:","Units"
"Analyte:","","IL-6","TNFa"
"Units:","","pg/mL","ng/mL"
"""


def test_xponent_export_takes_the_result_block_with_its_units(tmp_path: Path) -> None:
    frame = read(tmp_path, XPONENT).set_index(["visit", "variable"])
    assert frame.loc[("W0", "IL-6"), ["value", "flag"]].tolist() == [5.0, "mean_of_2"]
    assert frame.loc[("W0", "TNF-a"), "censored"] == "below"
    assert pd.isna(frame.loc[("W0", "TNF-a"), "value"])
    assert frame.loc[("W10", "IL-6"), ["value", "flag"]].tolist() == [7.5, "extrapolated"]
    assert frame.loc[("W10", "TNF-a"), ["value", "censored"]].tolist() == [1e7, "above"]
    assert len(frame) == 4


def test_elisa_export_averages_wells_and_drops_standards(tmp_path: Path) -> None:
    text = (
        "Well,Sample,Analyte,OD,Conc. (pg/mL)\nA1,Blank,sCD25,0.05,0\nA2,STD1,sCD25,2.1,4000\n"
        "B1,P1 W0,sCD25,0.6,800\nB2,P1 W0,sCD25,0.7,900\nC1,P1 W10,sCD25,0.1,<20\n"
    )
    frame = read(tmp_path, text)
    assert frame[["patient_id", "visit", "value", "flag"]].fillna("").values.tolist() == [
        ["P1", "W0", 850.0, "mean_of_2"],
        ["P1", "W10", 20.0, ""],
    ]


def test_export_samples_are_looked_up_in_the_sheet_and_never_guessed(tmp_path: Path) -> None:
    samples = (Sample("S1", "P7", "W0", Path("a.fcs")), Sample("tube-2", "P7", "W10", Path("b.fcs")))
    text = "Sample,IL-6 (pg/mL)\nS1,3\ntube-2,4\n"
    assert read(tmp_path, text, samples)[["patient_id", "visit"]].values.tolist() == [["P7", "W0"], ["P7", "W10"]]
    assert problems(tmp_path, "Sample,IL-6 (pg/mL)\ntube-3,4\n", samples) == [
        "row 2, column sample: 'tube-3' is no known sample | name it in the sample sheet"
    ]


def test_every_problem_is_reported_with_row_and_column(tmp_path: Path) -> None:
    text = LONG + (
        "P1,W0,CRP,1.2,\n"
        "P1,W0,C3,high,g/L\n"
        ",W0,C4,0.1,g/L\n"
        "P1,,C4,0.1,g/L\n"
        "P1,W0,C4,0.1,pg\n"
        "P1,W0,lymphocytes,1.2,/uL\n"
        "P1,W0,ESR,20,mm/h\n"
        "P1,W0,BSR,22,mm/h\n"
        "P1,W0,resistin,3,ng/mL\n"
        "P2,W0,resistin,3000,pg/mL\n"
        "P2,W0,HAQ_DI,4,\n"
    )
    assert problems(tmp_path, text) == [
        "row 2, column unit: CRP: the unit is missing | CRP is kept in mg/L",
        "row 3, column value: 'high' is not a number | numbers, <limit or >limit",
        "row 4, column patient_id: the cell is empty",
        "row 5, column visit: the cell is empty | give visit, date or study_day",
        "row 6, column unit: C4: unit 'pg' cannot be converted to g/L | C4 is kept in g/L",
        "row 7, column value: lymphocytes of 1.2 cells/uL is outside 10 to 100000 cells/uL"
        " | written as 1.2 /uL; check the unit",
        "row 9, column value: ESR of P1 at W0 is in row 8 already | keep one value",
        "row 11, column unit: resistin: pg/mL here, ng/mL in row 10 | write one unit throughout",
        "row 12, column value: HAQ_DI of 4 is outside 0 to 3 | written as 4; check the unit",
    ]


def test_two_date_formats_and_ambiguous_dates_are_reported(tmp_path: Path) -> None:
    head = "patient_id,date,variable,value,unit\n"
    assert problems(tmp_path, head + "P1,2024-03-05,CRP,1,mg/L\nP2,05.03.2024,CRP,1,mg/L\n") == [
        "row 3, column date: '05.03.2024' is day.month.year, but row 2 writes year-month-day"
        " | use one format in the column; write dates as 2024-03-05"
    ]
    assert problems(tmp_path, head + "P1,03/05/2024,CRP,1,mg/L\n") == [
        "row 2, column date: '03/05/2024' may be day/month/year or month/day/year | write dates as 2024-03-05"
    ]


def test_absent_columns_are_reported_with_the_nearest(tmp_path: Path) -> None:
    assert problems(tmp_path, "patient_id,vist,variable,valeu\nP1,W0,CRP,1\n") == [
        "column value: the column is missing | did you mean 'valeu'? rename it to 'value'",
        "column vist: unknown column | did you mean 'visit'? a further column needs a name less like it",
        "column visit: the column is missing | give visit, date or study_day",
    ]


def test_a_unit_is_distinguished_from_a_qualifier_in_a_heading() -> None:
    assert split_unit("IL-6 (pg/mL)") == ("IL-6", "pg/mL")
    assert split_unit("IL-12 (p70)") == ("IL-12 (p70)", "")
    assert split_unit("FVC [%]") == ("FVC", "%")
