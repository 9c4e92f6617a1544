"""A Dask cluster with another package, without a worker or that goes away: no number, and one clear message."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

import immunolab
from immunolab.errors import InputError
from immunolab.workflow.cluster import run_on_cluster, travelling
from immunolab.workflow.tasks import Task

PACKAGE = Path(immunolab.__file__).parent


@contextmanager
def started(module: str, *words: str, path: Path = PACKAGE.parent):
    process = subprocess.Popen(
        [sys.executable, "-m", f"distributed.cli.{module}", *words],
        env=os.environ | {"PYTHONPATH": str(path)},
        cwd=path,  # which comes before PYTHONPATH
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def scheduler(tmp_path):
    note = tmp_path / "scheduler.json"
    words = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show", "--scheduler-file", str(note))
    with started("dask_scheduler", *words) as process:
        deadline = time.monotonic() + 60
        while not (note.exists() and note.read_text().rstrip().endswith("}")):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield process, note


def address(note: Path) -> str:
    return json.loads(note.read_text())["address"]


def worker(note: Path, path: Path = PACKAGE.parent):
    words = ("--scheduler-file", str(note), "--nworkers", "1", "--nthreads", "1", "--no-nanny", "--no-dashboard")
    return started("dask_worker", *words, path=path)


def tasks(*arguments) -> list[Task]:
    return [Task(str(one), "count", one) for one in arguments]


def test_a_worker_with_another_content_gives_no_result(scheduler, tmp_path):
    _, note = scheduler
    shutil.copytree(PACKAGE, tmp_path / "other" / "immunolab", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "other" / "immunolab" / "version.py").open("a") as handle:
        handle.write("\n# patched\n")
    with (
        worker(note, tmp_path / "other"),
        pytest.raises(InputError, match="differs from the one that asks: on ") as caught,
    ):
        list(run_on_cluster(abs, tasks(-1, -2), address(note)))
    assert "install version" in caught.value.hint


def test_the_same_package_elsewhere_is_the_same(scheduler, tmp_path):
    _, note = scheduler
    shutil.copytree(PACKAGE, tmp_path / "same" / "immunolab", ignore=shutil.ignore_patterns("__pycache__"))
    with worker(note, tmp_path / "same"):
        found = {task.argument: result for task, result in run_on_cluster(abs, tasks(-1, -2), address(note))}
    assert found == {-1: 1, -2: 2}


def test_a_scheduler_without_workers_is_waited_for_as_long_as_said(scheduler):
    _, note = scheduler
    began = time.monotonic()
    with pytest.raises(InputError, match=r"has had no worker for 1\.5 s"):
        list(run_on_cluster(abs, tasks(-1), address(note), wait_second=1.5))
    assert time.monotonic() - began < 20


def test_a_scheduler_that_goes_away_is_named(scheduler):
    process, note = scheduler
    with worker(note):
        threading.Timer(4.0, process.kill).start()
        with pytest.raises(InputError, match="went away") as caught:
            list(run_on_cluster(time.sleep, tasks(60), address(note)))
    assert "finished samples are kept" in caught.value.hint


def test_a_scheduler_that_goes_away_before_a_worker_comes_is_named(scheduler, monkeypatch):
    def gone(*_: object) -> None:  # what the client says after half a minute
        raise OSError("Timed out trying to connect")

    monkeypatch.setattr("immunolab.workflow.cluster._wait_for_a_worker", gone)
    with pytest.raises(InputError, match="went away"):
        list(run_on_cluster(time.sleep, tasks(1), address(scheduler[1])))


def test_the_hash_is_of_code_and_data_of_the_package():
    content, _ = travelling()
    assert content() == content()
    assert len(content()) == 64
