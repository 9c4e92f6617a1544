"""A night run that is killed again and again ends with the bytes of an undisturbed one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
from test_pipeline import GATES

from immunolab.errors import ImmunolabError
from immunolab.simulation import simulate
from immunolab.workflow.run import run
from immunolab.workflow.write import in_processes

CORRUPT = {"SLE003_W0": b"", "SLE007_W10": b"not cytometry", "SLE012_W0": None, "SLE019_W10": b"FCS3.1"}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty tubes of twenty patients, four of them broken."""
    folder = tmp_path_factory.mktemp("chaos") / "study"
    simulate("sle_nct02084238", patients=20, seed=5, folder=folder, visits=["W0", "W10"], events=600)
    (folder / "gates.yaml").write_text(GATES)
    (folder / "study.yaml").write_text(
        "study: chaos\nsheet: samples.csv\npanels: {surface: {strategy: gates.yaml}}\n"
        "comparison: {before: W0, after: W10}\n"
    )
    for name, content in CORRUPT.items():
        path = folder / "fcs" / f"{name}.fcs"
        path.write_bytes(path.read_bytes()[:5000] if content is None else content)
    return folder


@pytest.fixture(scope="module")
def undisturbed(study: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("undisturbed")
    outcome = run(study, out=out, tables_only=True)
    assert sorted(outcome.failed) == sorted(CORRUPT)
    return _tables(out)


def _tables(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((out / "tables").glob("*.csv"))}


def _start(study: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "immunolab", "run", str(study), "-o", str(out), "--jobs", "2", "--tables-only"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def test_three_kills_and_a_dead_worker_leave_no_trace(
    study: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    rng = random.Random(9)
    for _ in range(3):
        running = _start(study, tmp_path)
        time.sleep(rng.uniform(1.5, 6.0))
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    running = _start(study, tmp_path)
    _kill_one_worker(running.pid)
    assert running.wait(timeout=240) == 3
    assert _tables(tmp_path) == undisturbed
    failures = pd.read_csv(tmp_path / "tables" / "failures.csv")
    assert sorted(failures["sample_id"]) == sorted(CORRUPT)
    assert not list((tmp_path / "samples").glob(".*"))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_the_process_that_started_them(study: Path, tmp_path: Path, how: signal.Signals) -> None:
    running = _start(study, tmp_path)
    deadline, workers = time.monotonic() + 120, []
    while not workers and time.monotonic() < deadline:
        workers = _workers(running.pid)
        time.sleep(0.05)
    assert workers
    os.kill(running.pid, how)  # the parent alone, not its group
    running.wait()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(map(_command_of, workers)):
        time.sleep(0.05)
    assert not any(map(_command_of, workers))


def _draw_once(item: tuple[int, str]) -> int:
    number, marker = item
    if number == 2 and not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 5:
        raise ValueError("an axis without values")
    return number * number


def test_a_killed_worker_of_the_report_costs_its_figure_a_second_try(tmp_path: Path) -> None:
    items = [(number, str(tmp_path / "died")) for number in range(5)]
    assert in_processes(2, _draw_once, items) == [0, 1, 4, 9, 16]
    assert (tmp_path / "died").exists()
    with pytest.raises(ImmunolabError, match="figure 1: internal error: ValueError: an axis without values"):
        in_processes(2, _draw_once, [(5, "")])


def _workers(parent: int) -> list[str]:
    """Return the worker processes that any thread of a process started."""
    found = []
    for children in Path(f"/proc/{parent}/task").glob("*/children"):
        with suppress(OSError):  # the thread has ended
            found += children.read_text().split()
    return [pid for pid in found if b"spawn_main" in _command_of(pid)]


def _kill_one_worker(parent: int) -> None:
    """Kill the first worker process that appears; a run that needs none is left alone."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and Path(f"/proc/{parent}").exists():
        if workers := _workers(parent):
            os.kill(int(workers[0]), signal.SIGKILL)
            return
        time.sleep(0.05)


def _command_of(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_a_cluster_gives_the_same_bytes(study: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster:
        run(study, out=tmp_path, scheduler=cluster.scheduler_address, tables_only=True)
    assert _tables(tmp_path) == undisturbed
