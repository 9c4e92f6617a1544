"""A run as a value: written and read back the same, whatever the names in the sheet are."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import report_fixture
from few_figures import few_figures

import immunolab as il
from immunolab.errors import DataFileError, InputError
from immunolab.report.page import write_report
from immunolab.report.verify import verify
from immunolab.results.endpoint_figure import SHOWN_IN, endpoint_figure
from immunolab.results.record import as_read_back, read_run, write_run
from immunolab.results.run import Run
from immunolab.simulation import simulate
from immunolab.study.endpoints import SlopeDifference

GATES = """
strategy: drawn
transform: {default: {asinh: {cofactor: 150}}, scatter: linear}
populations:
  - {name: lymphocytes, parent: root, rectangle: {FSC-A: [4e4, 1.3e5], SSC-A: [0, 6e4]}}
  - {name: CD3, parent: lymphocytes, rectangle: {CD3: [2.5, null]}}
  - {name: CD4, parent: CD3, rectangle: {CD4: [2.5, null]}}
  - {name: Treg, parent: CD4, rectangle: {CD25: [2.8, null], CD127: [null, 2.5]}}
"""
WORDS = {"SLE001": "NA", "SLE002": "None", "SLE003": "001"}  # words that readers of tables take for holes or numbers


@pytest.fixture(scope="module", autouse=True)
def _few_figures() -> Iterator[None]:
    with few_figures():
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of three patients named NA, None and 001, in a cohort NA, at the visits NA and nan."""
    root = tmp_path_factory.mktemp("named")
    simulate("sle_nct02084238", patients=3, seed=11, folder=root / "study", visits=["W0", "W10"], events=2000)
    (root / "study" / "gates.yaml").write_text(GATES)
    (root / "study" / "study.yaml").write_text(
        "study: names\nsheet: samples.csv\npanels: {surface: {strategy: gates.yaml}}\n"
        "comparison: {before: 'NA', after: 'nan', noise: 15}\n"
    )
    sheet = pd.read_csv(root / "study" / "samples.csv", dtype=str, keep_default_na=False)
    sheet = sheet.assign(
        cohort="NA",
        patient_id=sheet["patient_id"].map(WORDS),
        visit=sheet["visit"].map({"W0": "NA", "W10": "nan"}),
        born="1970-01-01",
    )
    sheet.to_csv(root / "study" / "samples.csv", index=False)
    return il.run(root / "study", out=root / "out")


def test_a_run_read_back_is_the_run_that_was_returned(finished: Run) -> None:
    again = il.read_run(finished.folder)
    assert again == finished
    assert again.record() == finished.record()
    for name, table in finished.tables.items():
        pd.testing.assert_frame_equal(again.table(name), table, check_exact=True, obj=name)
    assert (len(finished.computed), finished.failed) == (6, ())


def test_words_that_look_like_holes_survive(finished: Run) -> None:
    again = il.read_run(finished.folder)
    assert again.cohorts == ("NA",)
    assert set(again.pairs["patient_id"]) == set(WORDS.values())
    assert set(again.endpoints["visit"]) == {"NA", "nan"}
    assert again.shifts["cohort"].eq("NA").all()
    assert (again.shifts["n_pairs"] == 3).any()
    assert again.patient("001").tables.keys() == again.patient("NA").tables.keys()
    assert len(again.patient("001")["pairs"]) == again.pairs["endpoint"].nunique()


def test_runs_that_differ_are_not_equal(finished: Run) -> None:
    pairs = finished.pairs.assign(before=finished.pairs["before"] + 1e-12)
    assert replace(finished, tables={**finished.tables, "pairs": pairs}) != finished
    assert replace(finished, seed=1) != finished
    assert replace(finished, tables={k: v for k, v in finished.tables.items() if k != "pairs"}) != finished
    assert replace(finished, kept=("x",)) == finished
    assert finished != "a run"


def test_a_report_of_a_run_read_back_has_the_same_bytes(finished: Run) -> None:
    assert finished.report is not None
    names = ["report.html", "manifest.json", *(f"figures/{p.name}" for p in finished.folder.glob("figures/*"))]
    first = {name: (finished.folder / name).read_bytes() for name in names}
    for name in names:
        (finished.folder / name).unlink()
    write_report(il.read_run(finished.folder))
    assert {name: (finished.folder / name).read_bytes() for name in names} == first
    assert verify(il.read_run(finished.folder)) == []


def test_the_record_has_the_same_bytes_each_time_and_no_place_or_birthday(finished: Run, tmp_path: Path) -> None:
    path = finished.folder / "run.zip"
    first = path.read_bytes()
    again = il.read_run(finished.folder)
    path.unlink()
    write_run(again)
    assert path.read_bytes() == first
    assert str(finished.folder.parent).encode() not in first
    assert b"1970-01-01" not in first
    shutil.copytree(finished.folder.parent, tmp_path / "moved")
    moved = read_run(tmp_path / "moved" / "out")
    assert moved == finished
    assert moved.samples[0].file.is_relative_to(tmp_path)


def test_a_run_shows_its_answer_endpoint_by_endpoint(finished: Run) -> None:
    row = finished.shifts.iloc[0]
    shown = repr(finished)
    assert shown.startswith("Run of names: 3 patients, 6 samples\n  NA exploratory: Treg")
    assert f"n = {row['n_pairs']} pairs, p = " in shown
    assert "<th>Endpoint</th>" in finished._repr_html_()
    assert "&lt;b&gt;" in replace(finished, study=replace(finished.study, name="<b>"))._repr_html_()


def test_a_patient_shows_how_each_endpoint_moved(finished: Run) -> None:
    patient = finished.patient(finished.study.samples[0].patient_id)
    html = patient._repr_html_()
    assert "<th>verdict</th>" in html
    assert "<th>reason</th>" not in html
    row = patient["pairs"].iloc[0]
    assert f"<td>{row['before']:.3g}</td>" in html
    assert "<th>verdict</th>" in replace(patient, tables={})._repr_html_()


def test_a_table_figure_or_patient_that_is_not_there_is_named(finished: Run) -> None:
    assert finished.table("measurements").empty
    with pytest.raises(InputError, match=r"no table 'pair'[\s\S]*did you mean 'pairs'"):
        finished.table("pair")
    with pytest.raises(InputError, match="treg_pct_cd5"):
        finished.figure("treg_pct_cd5")
    with pytest.raises(InputError, match=r"unknown patient 'P1'\n.*(did you mean|known: )"):
        finished.patient("P1")
    with pytest.raises(InputError, match=r"endpoint 'quux' in this run\n.*known: .*treg_pct_cd4"):
        finished.figure("quux")


def test_a_tube_of_a_run_has_the_counts_of_its_tables(finished: Run) -> None:
    run = il.read_run(finished.folder)
    sample = run.samples[0]
    gated = run.tube(sample.sample_id)
    own = run.counts[run.counts["sample_id"] == sample.sample_id].reset_index(drop=True)
    pd.testing.assert_frame_equal(gated.counts, own)
    assert len(gated["Treg"]) == own.set_index("population").loc["Treg", "n_events"]


def test_a_tube_that_changed_or_is_not_there_is_refused(finished: Run, tmp_path: Path) -> None:
    shutil.copytree(finished.folder.parent, tmp_path / "copy")
    run = il.read_run(tmp_path / "copy" / "out")
    first, second, *_ = run.samples
    data = bytearray(first.file.read_bytes())
    data[-5] ^= 1
    first.file.write_bytes(data)
    with pytest.raises(DataFileError, match="differs from the file that the run read"):
        run.tube(first.sample_id)
    with pytest.raises(InputError, match=r"unknown sample 'X'"):
        run.tube("X")
    shutil.rmtree(run.folder / "samples" / second.sample_id)
    with pytest.raises(InputError, match="no gates for sample"):
        run.tube(second.sample_id)


def test_files_beside_the_study_are_found_and_verified_also_where_two_have_one_name(tmp_path: Path) -> None:
    simulate("sle_nct02084238", patients=1, seed=1, folder=tmp_path / "made", visits=["W0", "W10"], events=2000)
    study = tmp_path / "study"
    study.mkdir()
    (study / "gates.yaml").write_text(GATES)
    (study / "study.yaml").write_text(
        "study: elsewhere\nsheet: samples.csv\npanels: {surface: {strategy: gates.yaml}}\n"
        "comparison: {before: W0, after: W10, noise: 15}\n"
    )
    sheet = pd.read_csv(tmp_path / "made" / "samples.csv", dtype=str)
    for visit, file in zip(sheet["visit"], sheet["file"], strict=True):
        (tmp_path / visit).mkdir()
        shutil.copyfile(tmp_path / "made" / file, tmp_path / visit / "a.fcs")
    files = [str(tmp_path / "W0" / "a.fcs"), "../W10/a.fcs"]  # one absolute, one relative
    sheet.assign(file=sheet["visit"].map(dict(zip(["W0", "W10"], files, strict=True)))).to_csv(study / "samples.csv")
    il.run(study, out=tmp_path / "out")
    run = il.read_run(tmp_path / "out")
    assert verify(run) == []
    assert {"../W0/a.fcs", "../W10/a.fcs"} <= set(run.inputs)
    for sample in run.samples:
        assert len(run.tube(sample.sample_id).tube) == 2000
    (tmp_path / "W0" / "a.fcs").write_bytes(b"another file")
    assert [problem.file for problem in verify(run)] == ["../W0/a.fcs"]


def test_a_figure_shows_every_cohort(finished: Run) -> None:
    endpoint = str(finished.endpoints["endpoint"].iloc[0])
    one = len(finished.figure(endpoint).axes)
    cohorts = finished.endpoints["patient_id"].map({"NA": "A", "None": "B", "001": "B"}).astype("string")
    samples = tuple(replace(s, cohort="A" if s.patient_id == "NA" else "B") for s in finished.study.samples)
    pairs = finished.pairs.assign(cohort=finished.pairs["patient_id"].map({"NA": "A", "None": "B", "001": "B"}))
    tables = {**finished.tables, "endpoints": finished.endpoints.assign(cohort=cohorts), "pairs": pairs}
    two = replace(finished, study=replace(finished.study, samples=samples), tables=tables)
    assert len(two.figure(endpoint).axes) == 2 * one


def test_the_statistic_of_an_endpoint_chooses_its_figure(finished: Run) -> None:
    row = finished.pairs.iloc[[0]].assign(endpoint="decline", before=-0.5, after=-1.5, shift=-1.0, unit="points/month")
    row["shift_scale"] = "identity"
    declared = SlopeDifference(id="decline", source="s", score="ALSFRS_R", periods=(("W0", "W24"), ("W24", "W48")))
    empty = {name: finished.table(name).iloc[:0] for name in SHOWN_IN}
    ax, changes = endpoint_figure("decline", declared, [empty | {"pairs": row}], finished.calendar).axes
    assert changes.get_ylabel() == "difference, points/month"
    assert ax.get_ylabel().split() == ["ALSFRS-R,", "slope", "in", "points/month"]
    assert list(ax.lines[0].get_ydata()) == [-0.5, -1.5]


def test_every_kind_of_value_in_a_record_survives(tmp_path: Path) -> None:
    """A trial, deaths, registered endpoints, noise by endpoint, findings: the lupus design with all its parts."""
    run = as_read_back(report_fixture.finished_run(folder=tmp_path / "study", out=tmp_path))
    write_run(run)
    assert read_run(tmp_path) == run
    assert read_run(tmp_path).study.trial == run.study.trial
    assert read_run(tmp_path).findings == run.findings


def test_a_folder_without_a_run_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no run in this folder"):
        read_run(tmp_path)
    (tmp_path / "tables").mkdir()  # as version 0.2 leaves a folder
    with pytest.raises(InputError, match=r"did not finish, or version 0\.2 or earlier wrote it"):
        read_run(tmp_path)
    (tmp_path / "run.zip").mkdir()
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_run(tmp_path)
    (tmp_path / "run.zip").rmdir()
    (tmp_path / "run.zip").write_bytes(b"not a zip file")
    with pytest.raises(InputError, match="is damaged: File is not a zip file"):
        read_run(tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        read_run(tmp_path / "run.zip")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "immunolab.run/0"}, "is not of schema immunolab.run/1"),
        ({"colour": "blue"}, "was written by another version: .*'colour'"),
        ({"study": {"is": "Plan9"}}, "was written by another version: 'Plan9'"),
    ],
)
def test_a_record_of_another_version_is_named(change: dict[str, object], message: str, tmp_path: Path) -> None:
    write_run(as_read_back(report_fixture.finished_run(folder=tmp_path / "study", out=tmp_path)))
    path = tmp_path / "run.zip"
    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    held["run.json"] = json.dumps(json.loads(held["run.json"]) | change).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in held.items():
            archive.writestr(name, content)
    with pytest.raises(InputError, match=message):
        read_run(tmp_path)


def test_a_choice_of_a_run_that_does_not_exist_is_named(finished: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        il.run(finished.study, out=tmp_path, sample="X", definitions="al")  # type: ignore[arg-type]
    assert "definitions  'al' is unknown" in str(caught.value)
    assert "sample  unknown sample 'X'" in str(caught.value)


def test_old_names_work_and_name_the_new_one(finished: Run, tmp_path: Path) -> None:
    with pytest.warns(DeprecationWarning, match=r"immunolab\.run"):
        run_study, options = il.run_study, il.RunOptions
    again = run_study(finished.study.folder, finished.folder, options(tables_only=True, force=True))
    assert (again == finished, len(again.computed)) == (True, 6)
