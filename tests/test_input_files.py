"""What a run reads, it reads once: a replaced file gives no number, and hashes are of the bytes that were read."""

import hashlib
import json
import logging
import os
import random
import shutil
from pathlib import Path

import pandas as pd
import pytest
from few_figures import no_figures
from planted import planted_tube

import immunolab as il
from immunolab.cli import main
from immunolab.errors import DataFileError, InputError
from immunolab.input_files import read_input, recorded_inputs
from immunolab.loaders.fcs import read as fcs_read
from immunolab.simulation import simulate
from immunolab.simulation.fcs_writer import write_fcs
from immunolab.workflow import run, tubes
from immunolab.workflow.read_tube import TubeFile

STRATEGY = (
    "transform: {default: {asinh: {cofactor: 150}}, scatter: linear}\npopulations:\n"
    "  - {name: CD3, where: CD3+}\n  - {name: CD4, parent: CD3, where: CD4+ CD8-}\n"
)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_tube(path: Path, seed: int) -> Path:
    tube, _ = planted_tube(seed, 2000)
    write_fcs(path, [c.name for c in tube.channels], [c.marker or "" for c in tube.channels], tube.columns)
    return path


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "study"
    folder.mkdir()
    for index, visit in enumerate(("W0", "W10")):
        write_tube(folder / f"{visit}.fcs", index)
    lines = ["sample_id,patient_id,visit,file,panel", "A,P01,W0,W0.fcs,surface", "B,P01,W10,W10.fcs,surface"]
    (folder / "samples.csv").write_text("\n".join([*lines, ""]))
    (folder / "s.yaml").write_text(STRATEGY)
    (folder / "study.yaml").write_text(
        "study: swap\npanels: {surface: {strategy: s.yaml}}\ncomparison: {before: W0, after: W10}\n"
        "endpoints:\n"
        "  - {id: cd4, statistic: percent_of_parent, population: CD4, parent: CD3, role: primary, source: test}\n"
    )
    return folder


def replaced(path: Path, other: Path) -> None:
    """Put another file in the place of one, as a copy program does."""
    shutil.copyfile(other, path.with_name("new"))
    path.with_name("new").replace(path)


def test_a_tube_replaced_between_placing_and_gating_has_no_number(study, tmp_path, monkeypatch):
    other, out = write_tube(tmp_path / "other.fcs", 7), tmp_path / "out"
    whole, place = study / "W10.fcs", tubes.TubeSteps._place
    original = whole.read_bytes()

    def place_then_replace(steps, prepared):
        found = place(steps, prepared)
        replaced(whole, other)
        return found

    monkeypatch.setattr(tubes.TubeSteps, "_place", place_then_replace)
    swapped = il.run(study, out=out, tables_only=True)
    assert swapped.failed == ("B",)
    assert "the file changed during the run" in swapped.table("failures")["error"].item()
    monkeypatch.undo()
    whole.write_bytes(original)
    restored = il.run(study, out=out, tables_only=True)
    assert (restored.computed, restored.kept) == (("B",), ("A",))
    undisturbed = il.run(study, out=tmp_path / "again", tables_only=True)
    pd.testing.assert_frame_equal(restored.table("counts"), undisturbed.table("counts"))


def test_the_hash_of_a_tube_is_of_the_bytes_that_were_decoded(tmp_path, monkeypatch):
    path, other = write_tube(tmp_path / "a.fcs", 1), write_tube(tmp_path / "b.fcs", 2)
    expected, events, decode = digest(path), il.read_fcs(path).columns, fcs_read.decode

    def replace_then_decode(*arguments, **settings):
        replaced(path, other)
        return decode(*arguments, **settings)

    monkeypatch.setattr(fcs_read, "decode", replace_then_decode)
    tube = il.read_fcs(path)
    assert tube.sha256 == expected
    assert (tube.columns == events).all()
    assert digest(path) == digest(other)


def test_a_tube_that_is_still_being_written_is_refused(tmp_path, monkeypatch):
    path, decode = write_tube(tmp_path / "a.fcs", 1), fcs_read.decode

    def decode_then_append(*arguments, **settings):
        found = decode(*arguments, **settings)
        with path.open("ab") as handle:
            handle.write(b"more")
        return found

    monkeypatch.setattr(fcs_read, "decode", decode_then_append)
    with pytest.raises(DataFileError, match="the file changed while it was read"):
        il.read_fcs(path)


def test_a_matrix_that_is_replaced_after_it_was_checked_is_refused(tmp_path):
    path, matrix = write_tube(tmp_path / "a.fcs", 1), tmp_path / "m.csv"
    names = [channel.name for channel in il.read_fcs(path).channels][2:4]
    matrix.write_text(f",{names[0]},{names[1]}\n{names[0]},1,0.1\n{names[1]},0,1\n")
    tube = TubeFile("A", str(path), (), str(matrix), digest(matrix), digest(path))
    assert tube.read().spillover is not None
    matrix.write_text(matrix.read_text().replace("0.1", "0.2"))
    with pytest.raises(DataFileError, match="changed during the run") as caught:
        tube.read()
    assert caught.value.where == str(matrix)


def test_the_manifest_holds_the_sheet_as_it_was_read(study, tmp_path, monkeypatch):
    read, steps = digest(study / "samples.csv"), run._steps

    def edit_then_run(*arguments):
        for name in ("samples.csv", "s.yaml", "study.yaml"):
            (study / name).write_text((study / name).read_text() + "\n# edited\n")
        return steps(*arguments)

    kept = {name: digest(study / name) for name in ("samples.csv", "s.yaml", "study.yaml")}
    monkeypatch.setattr(run, "_steps", edit_then_run)
    with no_figures():
        il.run(study, out=tmp_path / "out")
    inputs = json.loads((tmp_path / "out" / "manifest.json").read_text())["inputs"]
    assert inputs["samples.csv"] == read
    assert {name: inputs[name] for name in kept} == kept
    assert main(["verify", str(tmp_path / "out")]) == 1


def test_a_file_that_differs_between_two_readings_ends_the_run_before_it_begins(study, tmp_path):
    found = il.read_study(study)
    (study / "s.yaml").write_text(STRATEGY)  # the same bytes are no change
    with recorded_inputs(found.read) as record:
        read_input(study / "samples.csv")
        assert record[os.path.abspath(study / "samples.csv")] == digest(study / "samples.csv")
    (study / "samples.csv").write_text("sample_id\n")
    with recorded_inputs(found.read), pytest.raises(InputError, match="changed between two readings"):
        read_input(study / "samples.csv")


def test_the_order_of_the_sheets_rows_changes_no_number(tmp_path):
    simulate("sle_nct02084238", patients=4, seed=5, folder=tmp_path / "a", visits=["W0", "W10"], events=1000)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    head, *rows = (tmp_path / "b" / "samples.csv").read_text().splitlines()
    random.Random(3).shuffle(rows)
    (tmp_path / "b" / "samples.csv").write_text("\n".join([head, *rows, ""]))
    runs = [il.run(tmp_path / name, out=tmp_path / f"{name}_out", tables_only=True) for name in "ab"]
    for name in ("counts", "thresholds", "pairs", "shifts"):
        one, other = (found.table(name) for found in runs)
        assert len(one)
        keys = [c for c in one.columns if not pd.api.types.is_float_dtype(one[c])]
        one, other = (table.sort_values(keys, ignore_index=True) for table in (one, other))
        # what is compared is summed in another order
        pd.testing.assert_frame_equal(one, other, check_exact=name in ("counts", "thresholds"), rtol=1e-6)


METHODS = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\n"


def with_code(study: Path, source: str, name: str = "mine.py") -> None:
    (study / name).write_text(source)
    (study / "study.yaml").write_text((study / "study.yaml").read_text() + f"methods_module: {name}\n")


@pytest.mark.parametrize("command", ["check", "run"])
def test_code_of_a_study_runs_only_where_it_is_allowed(study, tmp_path, capsys, command):
    with_code(study, METHODS)
    words = [command, str(study)] + (["-o", str(tmp_path / "out"), "--tables-only"] if command == "run" else [])
    assert main(words) == 1
    assert "names Python code ('mine.py'), which is run only where that is asked for" in capsys.readouterr().err
    assert not (study / "ran").exists()
    assert main([*words, "--allow-code"]) == 0
    assert (study / "ran").exists()


def test_code_outside_the_study_is_refused(study, capsys):
    with_code(study, METHODS, "../mine.py")
    assert main(["check", str(study), "--allow-code"]) == 1
    assert "names code outside the study's folder" in capsys.readouterr().err
    assert not (study.parent / "ran").exists()


def test_code_that_ends_python_is_a_problem_in_words(study, capsys):
    with_code(study, "import sys\nsys.exit(0)\n")
    assert main(["check", str(study), "--allow-code"]) == 1
    assert "cannot be run: SystemExit" in capsys.readouterr().err


def test_manifest_and_report_name_the_code_that_ran(study, tmp_path, caplog):
    with_code(study, METHODS)
    caplog.set_level(logging.INFO, logger="immunolab")
    with no_figures():
        il.run(study, out=tmp_path / "out", allow_code=True)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["code"] == {"mine.py": digest(study / "mine.py")}
    assert digest(study / "mine.py") in (tmp_path / "out" / "report.html").read_text()
    assert "code of mine.py runs" in caplog.text
