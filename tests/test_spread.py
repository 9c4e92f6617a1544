"""Gating, models, figures and single cells go to workers and to a cluster, and every byte of OUT is the same."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from few_figures import few_figures, one_of_a_kind
from kills import HOLD_TIMES
from test_pipeline import GATES

from immunolab.errors import ComparisonError, InputError, Problem
from immunolab.report.figure import write_figure
from immunolab.report.figures import figures_of
from immunolab.results.record import read_run
from immunolab.simulation import simulate
from immunolab.simulation.model import Options
from immunolab.workflow import compare
from immunolab.workflow import worker_processes as processes
from immunolab.workflow.run import run
from immunolab.workflow.spread import SpreadWork
from immunolab.workflow.status import read_status

BROKEN = {"SLE004_W0": b"", "SLE004_W10": b"not cytometry", "SLE005_W0": None, "SLE006_W10": b"FCS3.1"}
SOUND = {"SLE005_W10": "SLE002_W10", "SLE006_W0": "SLE003_W0"}  # the other tube of such a patient: a copy of this one


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three patients with tubes, drawn gates, single cells and a clinic; of three more both tubes or one are broken."""
    folder = tmp_path_factory.mktemp("spread") / "study"
    options = Options(citeseq=150, truth_events=False)
    simulate("sle_nct02084238", patients=3, seed=11, folder=folder, visits=["W0", "W10"], events=2000, options=options)
    (folder / "gates.yaml").write_text(GATES)
    text = (folder / "study.yaml").read_text()
    assert "strategy: treg_th17_tfh_teff" in text
    (folder / "study.yaml").write_text(text.replace("treg_th17_tfh_teff", "gates.yaml"))
    tube = (folder / "fcs" / "SLE001_W0.fcs").read_bytes()
    for name, content in BROKEN.items():
        (folder / "fcs" / f"{name}.fcs").write_bytes(tube[:5000] if content is None else content)
    for name, copied in SOUND.items():
        shutil.copy(folder / "fcs" / f"{copied}.fcs", folder / "fcs" / f"{name}.fcs")
    sheet = pd.read_csv(folder / "samples.csv", dtype=str, comment="#")
    rows = sheet[sheet["sample_id"].isin(["SLE001_W0", "SLE001_W10"])]
    more = [
        rows.map(lambda cell, to=to: cell.replace("SLE001", to) if isinstance(cell, str) else cell)
        for to in ("SLE004", "SLE005", "SLE006")
    ]
    pd.concat([sheet, *more]).to_csv(folder / "samples.csv", index=False)
    return folder


def written(out: Path) -> dict[str, bytes]:
    """Return every file that is an output, by its path; the cache is none."""
    files = {path.relative_to(out).as_posix(): path for path in out.rglob("*") if path.is_file()}
    kept = {name: path for name, path in files.items() if name not in HOLD_TIMES and not name.startswith("cache/")}
    return {name: path.read_bytes() for name, path in kept.items()}


@pytest.fixture(scope="module")
def alone(study: Path) -> dict[str, bytes]:
    out = study.parent / "alone"  # all beside the study, for a manifest has the way to it
    with few_figures():
        assert sorted(run(study, out=out, jobs=1).failed) == sorted(BROKEN)
    found = written(out)
    assert {"tables/shifts.csv", "tables/correlations.csv", "report.html"} <= found.keys()
    return found


SCRIPT = """
import sys

from few_figures import few_figures

import immunolab as il
from immunolab.workflow import compare, spread

compare._WORTH_WORKERS = 0
spreading, stages = spread.run_tasks, []
spread.run_tasks = lambda *words: (stages.extend(task.stage for task in words[1]), spreading(*words))[1]
with few_figures():
    il.run(sys.argv[1], out=sys.argv[2], jobs=2, quiet=True)
print(*sorted(set(stages)))
"""


def test_two_workers_write_what_one_does_also_for_a_script_without_a_main_guard(
    study: Path, alone: dict[str, bytes], tmp_path: Path
) -> None:
    # a new process would import the script, and with it begin the run again
    script = tmp_path / "night.py"
    script.write_text(SCRIPT)
    words = [sys.executable, str(script), str(study), str(study.parent / "two")]
    places = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    env = os.environ | {"PYTHONPATH": places}
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "cells compare report\n"), done.stderr
    found = written(study.parent / "two")
    assert found.keys() == alone.keys()
    assert [name for name in found if found[name] != alone[name]] == []


def test_a_cluster_writes_what_one_worker_does(study: Path, alone: dict[str, bytes], tmp_path: Path) -> None:
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster:
        run(study, out=study.parent / "cluster", scheduler=cluster.scheduler_address, tables_only=True)
        figures = [one for one in one_of_a_kind(figures_of(read_run(study.parent / "alone"))) if not one.full][:4]
        drawn = SpreadWork(scheduler=cluster.scheduler_address)(partial(write_figure, folder=tmp_path), figures)
    found = written(study.parent / "cluster")
    assert {"tables/shifts.csv", "tables/correlations.csv"} <= found.keys()
    tables = [name for name in found if not name.endswith("run.zip")]
    assert [name for name in tables if name in alone and found[name] != alone[name]] == []
    assert [one.name for one in drawn] == [one.name for one in figures]
    assert [p.name for p in tmp_path.iterdir() if p.read_bytes() != alone[f"figures/{p.name}"]] == []


def test_tubes_of_mass_cytometry_are_named_so_beside_single_cells(study: Path, alone: dict[str, bytes]) -> None:
    place = study.parent / "mass"
    shutil.copytree(study, place / "study")
    shutil.copytree(study.parent / "alone", place / "out")
    sheet = pd.read_csv(place / "study" / "samples.csv", dtype=str, comment="#")
    tube = sheet["sample_id"].iloc[0]
    assert tube == "SLE001_W0"
    sheet.loc[sheet["sample_id"] == tube, "modality"] = "mass"
    sheet.to_csv(place / "study" / "samples.csv", index=False)
    again = run(place / "study", out=place / "out", tables_only=True)
    assert again.computed == ()
    for table in (again.counts, again.endpoints.dropna(subset=["modality"])):
        named = table.groupby("sample_id")["modality"].unique().map(list).to_dict()
        assert named.pop(tube) == ["mass"]
        assert {word for words in named.values() for word in words} == {"flow", "single_cell"}


def test_every_sample_is_counted_single_cells_too(study: Path, alone: dict[str, bytes]) -> None:
    state = read_status(study.parent / "alone").state
    assert (state["samples"], state["computed"], state["kept"], state["failed"]) == (18, 14, 0, 4)


@pytest.mark.parametrize("waiting", [1, 2])
def test_a_short_comparison_is_given_to_workers_that_wait(waiting: int, monkeypatch: pytest.MonkeyPatch) -> None:
    few = pd.DataFrame(index=range(10))
    assert compare.worth_workers(SpreadWork(2), few).jobs == 1  # none has started
    monkeypatch.setattr(processes.WorkerProcesses, "close", lambda self: None)
    monkeypatch.setattr(processes.WorkerProcesses, "start", lambda self, count: self._idle.extend([None] * waiting))
    with processes.kept_workers(2):
        assert compare.worth_workers(SpreadWork(2), few).jobs == waiting


def test_a_worker_looks_for_what_can_be_freed_once_it_has_imported_all(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[bool] = []
    monkeypatch.setattr(processes, "import_module", lambda room: looked.append(gc.isenabled()))
    before = gc.get_freeze_count()
    processes._import_what_runs_need()
    assert gc.get_freeze_count() > before
    assert looked == [False] * len(processes._ROOMS_OF_WORK)
    assert gc.isenabled()


def _refuse(item: int) -> int:
    if item == 1:
        raise ComparisonError("no pairs", "Treg", "name other visits")
    if item == 2:
        raise InputError([Problem("a.csv", "1", "empty"), Problem("b.csv", "2", "empty")])
    return item


@pytest.mark.parametrize("where", [SpreadWork(1), SpreadWork(2)])
def test_an_error_of_an_item_is_whole_wherever_it_was_raised(where: SpreadWork) -> None:
    with processes.kept_workers(where.jobs):
        with pytest.raises(ComparisonError) as found:
            where(_refuse, [0, 1, 2])
        with pytest.raises(InputError) as problems:
            where(_refuse, [0, 2, 1])
    assert (found.value.message, found.value.where, found.value.hint) == ("no pairs", "Treg", "name other visits")
    assert [problem.file for problem in problems.value.problems] == ["a.csv", "b.csv"]
