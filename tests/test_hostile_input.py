"""Small inputs made to hang, exhaust or crash: each is refused in words, within seconds."""

import os
import time
from pathlib import Path

import pytest

import immunolab as il
from immunolab.errors import DataFileError, InputError
from immunolab.gating.strategy_file import read_strategy
from immunolab.loaders.measurements import read_measurements
from immunolab.study.spreadsheet import read_text_table

SECONDS = 5.0
HEAD = "transform: {{default: {{asinh: {{cofactor: {cofactor}}}}}, scatter: linear}}\npopulations:\n"
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
)


@pytest.fixture(autouse=True)
def quick():
    started = time.monotonic()
    yield
    assert time.monotonic() - started < SECONDS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB + "populations: *j\n", "more than 100000 values"),
        ("a: &a [*a]\npopulations: *a\n", "values nest deeper than 100"),
        ("populations: " + "[" * 5000 + "]" * 5000, "values nest deeper than 100"),
        ("populations: " + "{a: " * 3000 + "1" + "}" * 3000, "values nest deeper than 100"),
        ("".join(f"k{i}: 1\n" for i in range(1_000_000)), "is longer than 2,000,000 characters"),
        (HEAD.format(cofactor="9" * 5000) + "  - {name: CD3, where: CD3+}\n", "a finite number is needed"),
        (HEAD.format(cofactor=".inf") + "  - {name: CD3, where: CD3+}\n", "a finite number is needed"),
        (HEAD.format(cofactor=150) + '  - {name: "CD\\r3", where: CD3+}\n', "that cannot be seen"),
        (HEAD.format(cofactor=150) + f"  - {{name: {'C' * 300}, where: CD3+}}\n", "longer than 80 characters"),
    ],
    ids=["aliases", "recursive", "lists", "mappings", "keys", "digits", "infinite", "invisible", "long"],
)
def test_yaml_that_grows_or_never_ends_is_refused(tmp_path, text, said):
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(InputError) as caught:
        read_strategy(tmp_path / "s.yaml")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "unit", ["9**9**9", "9^(9^9)", "2**999999999", "(", "mg/0", "1/(2", "9" * 400, "((9**99)**99)**99"]
)
def test_a_unit_is_not_computed_without_limit(tmp_path, unit):
    (tmp_path / "m.csv").write_text(f"patient_id,visit,variable,value,unit\nP1,W0,crp,5,{unit}\n")
    with pytest.raises(InputError, match="row 2, column unit"):
        read_measurements(tmp_path / "m.csv")


@pytest.mark.parametrize("unit", ["10^9/L", "x10^9/L", "10*9/L", "G/L"])
def test_powers_that_laboratories_write_are_units(tmp_path, unit):
    (tmp_path / "m.csv").write_text(f"patient_id,visit,variable,value,unit\nP1,W0,lymphocytes,1.2,{unit}\n")
    assert len(read_measurements(tmp_path / "m.csv")) == 1


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("s1,P1,W0,a.fcs," + "9" * 5000, "is not a whole number"),
        ("s1,P1,W0,a.fcs,45000", "is not a whole number"),
        ("s1,P1,W0," + "a/" * 5000 + ".fcs,1", "is no path: File name too long"),
        ("s1," + "P" * 300 + ",W0,a.fcs,1", "is longer than 80 characters"),
        ("s1,P1,W0,a\0.fcs,1", "row 2, cell 4  holds a control character"),
        ("s1,P\x1b[2J1,W0,a.fcs,1", "row 2, cell 2  holds a control character"),
        ('s1,"P\n1",W0,a.fcs,1', "holds a line break or a character that cannot be seen"),
        ("s1,P\u202e1,W0,a.fcs,1", "holds a line break or a character that cannot be seen"),
        ("s1,P1,W0,pipe,1", "'pipe' is no regular file"),
    ],
)
def test_a_sheet_of_impossible_cells_is_refused(tmp_path, row, said):
    (tmp_path / "study.yaml").write_text("study: x\n")
    (tmp_path / "a.fcs").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "samples.csv").write_text(f"sample_id,patient_id,visit,file,study_day\n{row}\n")
    with pytest.raises(InputError) as caught:
        il.read_study(tmp_path)
    assert said in str(caught.value)


def test_nobody_waits_for_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="is no regular file"):
        read_text_table(tmp_path / "pipe")
    with pytest.raises(DataFileError, match="is no regular file"):
        il.read_fcs(tmp_path / "pipe")
