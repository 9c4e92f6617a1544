"""verify: an untouched run agrees, and every byte or number that was changed is named."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pandas as pd
import pytest
import report_fixture

from immunolab.cli import main
from immunolab.comparison.plan import Compared, Noise, Plan
from immunolab.comparison.table import compare_endpoints
from immunolab.errors import InputError
from immunolab.report.manifest import write_manifest
from immunolab.report.verify import verify
from immunolab.results.record import read_run, write_run
from immunolab.schema.comparison import PAIRS, SHIFTS
from immunolab.schema.endpoints import ENDPOINTS
from immunolab.schema.files import file_sha256, input_sha256
from immunolab.schema.gating import COUNTS
from immunolab.schema.tables import ALL


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run whose tables come from the comparison itself, with one input file."""
    root = tmp_path_factory.mktemp("verify")
    study = root / "study"
    study.mkdir()
    (study / "study.yaml").write_text("study: SLE-IL2\n", encoding="utf-8")
    frames = report_fixture.tables()
    plan = Plan("W0", "W10", roles=report_fixture.ROLES, noise=Noise(0.1, 20.0, "declared"))
    compared = Compared(plan, tuple(frames["endpoints"]["endpoint"].unique()))
    again = compare_endpoints(frames["endpoints"], plan)
    frames |= {"pairs": again.pairs, "shifts": again.shifts, "noise": again.noise}
    inputs = {"study.yaml": file_sha256(study / "study.yaml")}
    run = report_fixture.finished_run(frames, folder=study, out=root / "out", compared=(compared,), inputs=inputs)
    out = root / "out"
    for name, frame in run.tables.items():
        ALL[name].write(frame, out / "tables" / f"{name}.csv")
    (out / "report.html").write_text("<p>report</p>", encoding="utf-8")
    write_manifest(run)
    write_run(run)
    return run, root


@pytest.fixture
def out(finished, tmp_path):
    shutil.copytree(finished[1], tmp_path / "copy")
    return tmp_path / "copy" / "out"


def tamper(out, table, change):
    """Change a table and hash it anew, as a person would who has read about the manifest."""
    path = out / "tables" / f"{table.name}.csv"
    frame = table.read(path)
    change(frame)
    frame.to_csv(path, index=False)
    record = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    record["outputs"][f"tables/{table.name}.csv"] = file_sha256(path)
    (out / "manifest.json").write_text(json.dumps(record), encoding="utf-8")


def test_an_untouched_run_agrees(out):
    assert verify(read_run(out)) == []


def test_a_changed_byte_is_named(out):
    (out / "report.html").write_text("<p>reporT</p>", encoding="utf-8")
    (problem,) = verify(read_run(out))
    assert (problem.file, "differs" in problem.message) == ("report.html", True)


def test_missing_and_added_outputs_are_named(out):
    (out / "report.html").unlink()
    (out / "tables" / "extra.csv").write_text("a\n1\n", encoding="utf-8")
    assert [p.file for p in verify(read_run(out))] == ["report.html", "tables/extra.csv"]


def test_a_changed_or_moved_input_is_named(out):
    study = out.parent / "study" / "study.yaml"
    study.write_text("study: other\n", encoding="utf-8")
    assert [(p.file, "differs" in p.message) for p in verify(read_run(out))] == [("study.yaml", True)]
    study.unlink()
    assert "not where it was" in verify(read_run(out))[0].message


def set_cell(column, value, **where):
    def change(frame):
        rows = pd.Series(True, index=frame.index)
        for name, wanted in where.items():
            rows &= frame[name] == wanted
        assert rows.sum() == 1
        frame.loc[rows, column] = value

    return change


@pytest.mark.parametrize(
    ("table", "column", "value", "where", "place"),
    [
        (COUNTS, "percent_of_parent", 99.0, {"sample_id": "P01_W0", "population": "Treg"}, "sample P01_W0"),
        (COUNTS, "n_parent", 5, {"sample_id": "P01_W0", "population": "CD4"}, "sample P01_W0"),
        (
            ENDPOINTS,
            "value",
            6.66,
            {"sample_id": "P02_W10", "endpoint": "treg_pct_cd4"},
            "P02_W10, treg_pct_cd4",
        ),
        (ENDPOINTS, "value", 6.66, {"sample_id": "P02_W10", "endpoint": "th17_treg_ratio"}, "th17_treg_ratio"),
        (
            ENDPOINTS,
            "n_events",
            7,
            {"sample_id": "P02_W10", "endpoint": "treg_pct_cd4"},
            "P02_W10, treg_pct_cd4",
        ),
        (PAIRS, "after", 1.0, {"patient_id": "P03", "endpoint": "treg_pct_cd4"}, "P03, treg_pct_cd4"),
        (PAIRS, "fold", 9.0, {"patient_id": "P03", "endpoint": "treg_pct_cd4"}, "P03, treg_pct_cd4"),
        (PAIRS, "verdict", "fall", {"patient_id": "P03", "endpoint": "treg_pct_cd4"}, "P03, treg_pct_cd4"),
        (SHIFTS, "p_value", 0.9, {"endpoint": "treg_pct_cd4"}, "treg_pct_cd4"),
        (SHIFTS, "q_value", 0.9, {"endpoint": "th17_pct_cd4"}, "th17_pct_cd4"),
        (SHIFTS, "role", "primary", {"endpoint": "th1_pct_cd4"}, "th1_pct_cd4"),
        (SHIFTS, "n_pairs", 8, {"endpoint": "treg_pct_cd4"}, "treg_pct_cd4"),
    ],
)
def test_a_changed_number_is_named_even_when_the_hash_was_renewed(out, table, column, value, where, place):
    tamper(out, table, set_cell(column, value, **where))
    named = [p for p in verify(read_run(out)) if p.file == f"tables/{table.name}.csv" and place in p.place]
    assert any(p.message.startswith(column) for p in named)


def test_a_dropped_row_is_named(out):
    tamper(out, SHIFTS, lambda frame: frame.drop(index=frame.index[0], inplace=True))
    assert any("is missing from the table" in p.message for p in verify(read_run(out)))


def test_a_manifest_has_no_time_host_or_user_and_repeats(finished):
    run, root = finished
    out = root / "out"
    first = (out / "manifest.json").read_bytes()
    write_manifest(run)
    assert (out / "manifest.json").read_bytes() == first
    assert {"python", "numpy", "immunolab"} <= set(json.loads(first)["versions"])
    assert b"/tmp" not in first


def test_an_input_that_is_a_folder_is_compared(finished, tmp_path):
    run, root = finished
    study = shutil.copytree(root, tmp_path / "copy") / "study"
    chunk = study / "cells" / "P01" / "chunks" / "0.0"
    chunk.parent.mkdir(parents=True)
    chunk.write_bytes(b"counts")
    inputs = {**run.inputs, "cells/P01": input_sha256(study / "cells" / "P01")}
    moved = replace(run, study=replace(run.study, folder=study), folder=tmp_path / "copy" / "out", inputs=inputs)
    write_manifest(moved)
    assert verify(moved) == []
    assert json.loads((moved.folder / "manifest.json").read_text())["inputs"]["cells/P01"] == inputs["cells/P01"]
    chunk.write_bytes(b"countz")
    (problem,) = verify(moved)
    assert (problem.file, "input differs" in problem.message) == ("cells/P01", True)


def test_a_folder_s_hash_is_of_names_and_contents_and_of_no_place(tmp_path):
    def folder(name, **files):
        for path, content in files.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_text(content)
        return input_sha256(tmp_path / name)

    first = folder("a", **{"genes.tsv": "FOXP3", "X/0.0": "1"})
    assert folder("b", **{"X/0.0": "1", "genes.tsv": "FOXP3"}) == first
    for i, files in enumerate(({"X/0.0": "2"}, {"X/0.0": "1", "X/0.1": ""}, {"X/1.0": "1"}, {"X0.0": "1"}, {})):
        assert folder(f"c{i}", **{"genes.tsv": "FOXP3"} | files) != first


def test_verifying_nothing_says_what_to_name(out, tmp_path):
    with pytest.raises(InputError, match="there is no run in this folder"):
        verify(read_run(tmp_path))
    (out / "manifest.json").unlink()
    with pytest.raises(InputError, match="there is no manifest"):
        verify(read_run(out))


def test_a_run_without_pairs_verifies(tmp_path):
    empty = {name: ALL[name].empty() for name in report_fixture.tables() if name in ALL}
    run = report_fixture.finished_run(folder=tmp_path, out=tmp_path / "out", tables=empty, compared=(), inputs={})
    for name, frame in empty.items():
        ALL[name].write(frame, tmp_path / "out" / "tables" / f"{name}.csv")
    write_manifest(run)
    assert verify(run) == []


def test_the_command_lists_problems_and_its_exit_code(out, capsys):
    assert main(["verify", str(out)]) == 0
    assert "computed again with the same value" in capsys.readouterr().out
    (out / "report.html").unlink()
    assert main(["verify", str(out)]) == 1
    assert "report.html" in capsys.readouterr().err
