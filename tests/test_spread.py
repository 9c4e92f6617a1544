"""Gating, models, figures and single cells go to workers and to a cluster, and every byte of OUT is the same."""

from __future__ import annotations

import gc
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from kills import HOLD_TIMES
from test_pipeline import GATES

from immunolab.errors import ComparisonError, InputError, Problem
from immunolab.report.figure import write_figure
from immunolab.report.figures import figures_of
from immunolab.results.record import read_run
from immunolab.simulation import simulate
from immunolab.simulation.model import Options
from immunolab.workflow import compare, spread
from immunolab.workflow import worker_processes as processes
from immunolab.workflow.run import run
from immunolab.workflow.spread import SpreadWork
from immunolab.workflow.status import read_status


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three patients with tubes, drawn gates, single cells and a clinic."""
    folder = tmp_path_factory.mktemp("spread") / "study"
    options = Options(citeseq=150, truth_events=False)
    simulate("sle_nct02084238", patients=3, seed=11, folder=folder, visits=["W0", "W10"], events=2000, options=options)
    (folder / "gates.yaml").write_text(GATES)
    text = (folder / "study.yaml").read_text()
    assert "strategy: treg_th17_tfh_teff" in text
    (folder / "study.yaml").write_text(text.replace("treg_th17_tfh_teff", "gates.yaml"))
    return folder


def written(out: Path) -> dict[str, bytes]:
    """Return every file that is an output, by its path; the cache is none."""
    files = {path.relative_to(out).as_posix(): path for path in out.rglob("*") if path.is_file()}
    kept = {name: path for name, path in files.items() if name not in HOLD_TIMES and not name.startswith("cache/")}
    return {name: path.read_bytes() for name, path in kept.items()}


@pytest.fixture(scope="module")
def alone(study: Path) -> dict[str, bytes]:
    out = study.parent / "alone"  # all beside the study, for a manifest has the way to it
    run(study, out=out, jobs=1)
    found = written(out)
    assert {"tables/shifts.csv", "tables/correlations.csv", "report.html"} <= found.keys()
    return found


def test_two_workers_write_what_one_does(study: Path, alone: dict[str, bytes], monkeypatch) -> None:
    monkeypatch.setattr(compare, "_WORTH_WORKERS", 0)
    stages = []
    spreading = spread.run_tasks
    monkeypatch.setattr(
        spread, "run_tasks", lambda *words: (stages.extend(task.stage for task in words[1]), spreading(*words))[1]
    )
    run(study, out=study.parent / "two", jobs=2)
    found = written(study.parent / "two")
    assert set(stages) == {"cells", "compare", "report"}
    assert found.keys() == alone.keys()
    assert [name for name in found if found[name] != alone[name]] == []


def test_a_cluster_writes_what_one_worker_does(study: Path, alone: dict[str, bytes], tmp_path: Path) -> None:
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster:
        run(study, out=study.parent / "cluster", scheduler=cluster.scheduler_address, tables_only=True)
        figures = [one for one in figures_of(read_run(study.parent / "alone")) if not one.full][:4]
        drawn = SpreadWork(scheduler=cluster.scheduler_address)(partial(write_figure, folder=tmp_path), figures)
    found = written(study.parent / "cluster")
    assert {"tables/shifts.csv", "tables/correlations.csv"} <= found.keys()
    tables = [name for name in found if not name.endswith("run.zip")]
    assert [name for name in tables if name in alone and found[name] != alone[name]] == []
    assert [one.name for one in drawn] == [one.name for one in figures]
    assert [p.name for p in tmp_path.iterdir() if p.read_bytes() != alone[f"figures/{p.name}"]] == []


def test_a_script_without_a_main_guard_is_run_once(study: Path, alone: dict[str, bytes], tmp_path: Path) -> None:
    # a new process would import it, and with it begin the run again
    out, script = tmp_path / "out", tmp_path / "night.py"
    call = f"il.run({str(study)!r}, out={str(out)!r}, jobs=2, tables_only=True, quiet=True)"
    script.write_text(f"import immunolab as il\n{call}\nprint('once')\n")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "once\n"), done.stderr
    for name in ("tables/endpoints.csv", "tables/counts.csv"):
        assert (out / name).read_bytes() == alone[name]


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
    assert (state["computed"], state["kept"], state["failed"]) == (state["samples"], 0, 0) == (12, 0, 0)


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
