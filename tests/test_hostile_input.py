"""Small inputs made to hang, exhaust or crash: each is refused in words, within seconds."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from fcs_builder import fcs_bytes, write_fcs

import immunolab as il
from immunolab.errors import DataFileError, InputError, attempt
from immunolab.gating.exchange.workspace import read_workspace
from immunolab.gating.strategy_file import read_strategy
from immunolab.loaders.measurements import read_measurements
from immunolab.study.spreadsheet import read_text_table
from immunolab.study.trial import load_trial

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


TRIAL = """schema: immunolab.trial/1
id: {id}
title: {title}
dosing: {{drug: x, days: [1], source: s}}
phases: {{baseline: {{first_day: -14, last_day: 1, source: s}}}}
visits:
  - {{name: {visit}, target_day: 1, window: [-14, 1], phase: baseline, source: s}}
endpoints:
  - {{id: {endpoint}, statistic: percent_of_parent, population: Treg, parent: CD4, source: s}}
families:
  - {{name: {family}, endpoints: [{endpoint}]}}
"""
SOUND = {"id": "t", "title": "T", "visit": "W0", "endpoint": "e", "family": "f"}


def test_dollars_and_braces_are_names(tmp_path):
    (tmp_path / "t.yaml").write_text(TRIAL.format(**{key: f"'{name}$_{{'" for key, name in SOUND.items()}))
    assert load_trial(tmp_path / "t.yaml").visit_names == ("W0$_{",)


@pytest.mark.parametrize(("name", "said"), [('"a\\rb"', "cannot be seen"), ('"a\\0b"', "cannot be seen")])
@pytest.mark.parametrize("key", SOUND)
def test_a_trial_of_names_with_characters_that_cannot_be_seen_is_refused(tmp_path, key, name, said):
    (tmp_path / "t.yaml").write_text(TRIAL.format(**{**SOUND, key: name}))
    with pytest.raises(InputError, match=said):
        load_trial(tmp_path / "t.yaml")


@pytest.mark.parametrize("key", [key for key in SOUND if key != "title"])
def test_a_trial_of_endless_names_is_refused(tmp_path, key):
    (tmp_path / "t.yaml").write_text(TRIAL.format(**{**SOUND, key: "x" * 300}))
    with pytest.raises(InputError, match="is longer than 80 characters"):
        load_trial(tmp_path / "t.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "panels: {{NAME: {{}}}}",
        "families: [{{name: NAME, role: primary}}]",
        "endpoints: [{{id: NAME, statistic: percent_of_parent, population: Treg, parent: CD4, source: s}}]",
    ],
    ids=["panel", "family", "endpoint"],
)
def test_a_study_of_endless_names_is_refused(tmp_path, text):
    (tmp_path / "study.yaml").write_text(f"study: x\n{text.format().replace('NAME', 'x' * 300)}\n")
    with pytest.raises(InputError, match="is longer than 80 characters"):
        il.read_study(tmp_path)


@pytest.mark.parametrize("key", ["sheet", "trial", "measurements", "doses", "methods_module", "panels"])
def test_an_endless_path_leads_nowhere(tmp_path, key):
    path = "x" * 5000 + ".yaml"
    named = f"{{p: {{strategy: {path}, templates: [a/{path}]}}}}" if key == "panels" else path
    (tmp_path / "study.yaml").write_text(f"study: x\n{key}: {named}\n")
    with pytest.raises(InputError, match=r"does not exist|cannot be read"):
        il.read_study(tmp_path)


def test_a_measurement_of_an_endless_name_is_refused(tmp_path):
    (tmp_path / "m.csv").write_text(f"patient_id,visit,variable,value\nP1,W0,{'x' * 300},5\n")
    with pytest.raises(InputError, match=r"row 2.* is longer than 80 characters"):
        read_measurements(tmp_path / "m.csv")


def test_nobody_waits_for_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="is no regular file"):
        read_text_table(tmp_path / "pipe")
    with pytest.raises(DataFileError, match="is no regular file"):
        il.read_fcs(tmp_path / "pipe")


def test_fifteen_hundred_channels_of_one_name_stay_distinct(tmp_path):
    tube = il.read_fcs(write_fcs(tmp_path / "a.fcs", np.ones((3, 1500)), ["FITC-A"] * 1500))
    assert len({channel.name for channel in tube.channels}) == 1500
    assert "1,479 further channels have other names than in the file" in tube.warnings


def test_more_channels_than_any_instrument_has_are_refused(tmp_path):
    path = write_fcs(tmp_path / "a.fcs", np.ones((0, 10_001)), [f"c{i}" for i in range(10_001)])
    with pytest.raises(DataFileError, match="at most 10,000 channels are read"):
        il.read_fcs(path)


@pytest.mark.parametrize("overlapping", [False, True], ids=["many", "large"])
def test_a_chain_of_data_sets_has_an_end(tmp_path, overlapping):
    if overlapping:  # each HEADER claims the 16 MiB behind the next one as its TEXT
        one = b"FCS3.1    " + b"%8d%8d" % (158, 2**24) + b"       0" * 4 + b"/$NEXTDATA/100/"
        raw = one.ljust(100, b"/") * (2**24 // 100 + 50)
    else:
        one = fcs_bytes(np.ones((0, 1)), ["FL1"], keywords={"$NEXTDATA": "0000000"})
        raw = one.replace(b"$NEXTDATA/0000000", b"$NEXTDATA/%07d" % len(one)) * 20_000
    (tmp_path / "a.fcs").write_bytes(raw)
    with pytest.raises(DataFileError, match="leads on and on"):
        il.read_fcs(tmp_path / "a.fcs")


def test_a_plate_of_data_sets_is_read(tmp_path):
    one = fcs_bytes(np.ones((2, 1)), ["FL1"], keywords={"$NEXTDATA": "0000000"})
    raw = one.replace(b"$NEXTDATA/0000000", b"$NEXTDATA/%07d" % len(one)) * 383 + one
    (tmp_path / "a.fcs").write_bytes(raw)
    assert il.read_fcs(tmp_path / "a.fcs", dataset=383).n_events == 2


def test_ascii_values_that_data_cannot_hold_take_no_memory(tmp_path):
    words = {"$TOT": "9000000", "$PAR": "1000"}
    words |= {f"$P{i}{key}": word for i in range(2, 1001) for key, word in (("N", f"c{i}"), ("B", "*"), ("R", "9"))}
    data = b"7 " * 9_000_000  # of one channel, where a thousand are declared: 36 GB
    path = write_fcs(tmp_path / "a.fcs", np.ones((1, 1)), ["c1"], datatype="A", bits=["*"], keywords=words, data=data)
    with pytest.raises(DataFileError, match="9,000,000 events of 1,000 channels, more than DATA can hold"):
        il.read_fcs(path)


RECTANGLE = (
    '<PolyRect xAxisName="A" yAxisName="B"><Polygon><Vertex x="1" y="1"/><Vertex x="5" y="5"/></Polygon></PolyRect>'
)


def population(name: str, gate: str) -> str:
    return f'<Population name="{name}" count="1">{gate}</Population>'


def freehand(n_corners: int) -> str:
    places = np.random.default_rng(0).integers(0, 200_000, (n_corners, 2))
    corners = "".join(f'<Vertex x="{x}" y="{y}"/>' for x, y in places)
    return f'<PolygonGate><Polygon xAxisName="A" yAxisName="B"><Polygon>{corners}</Polygon></Polygon></PolygonGate>'


def intersection(references: list[str]) -> str:
    words = " &amp; ".join(f"G{i}" for i in range(len(references)))
    named = "".join(f"<String>{name}</String>" for name in references)
    return f'<BooleanGate specification="{words}"><StringArray>{named}</StringArray></BooleanGate>'


def write_flowjo_9(path, gates):
    steps = np.random.default_rng(0).integers(1, 90, 5000).cumsum()  # uneven, so that no edge is ever straight
    knots = ",".join(f"{4096 * k / 5000:.2f},{knot}" for k, knot in enumerate(steps))
    tables = f'<CalibrationTables><Table name="a">{knots}</Table></CalibrationTables>'
    axes = "".join(f'<Parameter name="{name}" log="1" calibrationIndex="1"/>' for name in "AB")
    tree = f'<SampleNode name="a.fcs" count="1">{"".join(gates)}</SampleNode>'
    sample = f'<Sample compensationID="-2"><DataSet uri="a.fcs"/>{axes}{tree}</Sample>'
    path.write_text(f'<Workspace version="1.6">{tables}{sample}</Workspace>')


def test_boolean_gates_of_flowjo_9_find_their_populations_quickly(tmp_path):
    gates = [population(f"p{i}", f"<PolygonGate>{RECTANGLE}</PolygonGate>") for i in range(1500)]
    gates += [population(f"b{i}", intersection([f"p{j}" for j in range(20)])) for i in range(600)]
    write_flowjo_9(tmp_path / "mac.xml", gates)
    (read,) = read_workspace(tmp_path / "mac.xml").samples
    assert len(read.strategy.populations) == 2100


@pytest.mark.parametrize(
    ("gates", "said"),
    [
        ([population("p", freehand(300))], "the polygon needs more than 100,000 corners"),
        ([population(f"p{i}", freehand(6)) for i in range(50)], "calibration is too uneven"),
        ([population(f"p{i}", freehand(300)) for i in range(200)], "more than 10 of its polygons"),
    ],
    ids=["one polygon", "all polygons", "many that fail one by one"],
)
def test_polygons_on_uneven_scales_are_refused(tmp_path, gates, said):
    write_flowjo_9(tmp_path / "mac.xml", gates)
    read, faults = attempt(lambda: read_workspace(tmp_path / "mac.xml"))
    problems = [*faults, *(problem for sample in (read.samples if read else ()) for problem in sample.problems)]
    assert any(said in problem.message for problem in problems)


def test_names_of_channels_are_read_without_what_cannot_be_seen(tmp_path):
    names = ["CD4\rX\0", "CD\n3", "\x1b[2JFITC\t-A", "plain\r\n"]
    words = {"$P1S": "CD25\x1b[31m", "$SPILLOVER": "2,CD\n3,CD4\rX,1,0.1,0,1", "$CYT": "a\x1b]0;b"}
    tube = il.read_fcs(write_fcs(tmp_path / "a.fcs", np.ones((3, 4)), names, keywords=words))
    assert [channel.name for channel in tube.channels] == ["CD4 X", "CD 3", "[2JFITC -A", "plain"]
    assert tube.channels[0].label == "CD25 [31m"
    assert tube.spillover.channels == ("CD 3", "CD4 X")
    assert sum("holds characters that cannot be seen; it is called" in note for note in tube.warnings) == 3
