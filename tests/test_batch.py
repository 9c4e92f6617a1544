"""Work over many tubes: kept while nothing changed, whole or absent, alive when a worker dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from immunolab.cli import main
from immunolab.errors import DataFileError, InputError
from immunolab.schema.files import content_key, write_atomically
from immunolab.workflow.store import Store
from immunolab.workflow.tasks import Failure, Task
from immunolab.workflow.worker_processes import kept_workers
from immunolab.workflow.workers import Workers, run_tasks


def _write_text(text: str):
    return lambda folder: (folder / "counts.csv").write_text(text)


def test_a_sample_is_kept_until_key_or_output_changes(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.stale("P1", "k1") == "no result yet"
    store.commit("P1", "k1", _write_text("a"))
    assert store.stale("P1", "k1") == ""
    assert "changed" in store.stale("P1", "k2")
    (store.sample_folder("P1") / "counts.csv").write_text("b")
    assert store.stale("P1", "k1") == "counts.csv was changed"
    (store.sample_folder("P1") / "counts.csv").unlink()
    assert store.stale("P1", "k1") == "counts.csv is missing"


def test_a_failing_write_leaves_the_finished_result(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.commit("P1", "k1", _write_text("a"))

    def fail(folder: Path) -> None:
        (folder / "counts.csv").write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        store.commit("P1", "k2", fail)
    assert (store.sample_folder("P1") / "counts.csv").read_text() == "a"
    assert [p.name for p in (tmp_path / "samples").iterdir()] == ["P1"]


def test_an_atomic_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def fail(part: Path) -> None:
        part.write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_atomically(tmp_path / "x.csv", fail)
    assert list(tmp_path.iterdir()) == []


def test_two_runs_on_one_folder_are_refused_and_the_lock_dies_with_its_holder(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.lock(), pytest.raises(InputError, match="another run is writing to this folder"):
        store.lock()
    child = os.fork()
    if child == 0:
        store.lock()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    with store.lock():
        pass


def test_the_key_depends_on_content_and_not_on_order() -> None:
    assert content_key({"a": 1, "b": [1.5]}) == content_key({"b": [1.5], "a": 1})
    assert content_key({"a": 1}) != content_key({"a": 2})


def _square(number: int) -> int:
    if number == 3:
        raise DataFileError("is broken", "three.fcs", "fix it")
    if number == 4:
        raise ZeroDivisionError
    return number * number


@pytest.mark.parametrize("pool", [Workers(1), Workers(2)])
def test_one_bad_task_does_not_stop_the_others(pool: Workers) -> None:
    tasks = [Task(str(n), "read", n) for n in range(6)]
    results = {task.argument: result for task, result in run_tasks(_square, tasks, pool)}
    assert {n: r for n, r in results.items() if isinstance(r, int)} == {0: 0, 1: 1, 2: 4, 5: 25}
    assert results[3] == Failure("read", "is broken", "fix it")
    assert results[4].error.startswith("internal error: ZeroDivisionError")


def _die_once(argument: tuple[int, str]) -> int:
    number, marker = argument
    if number == 2 and not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def _die_always(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_dead_worker_costs_its_task_a_retry(tmp_path: Path) -> None:
    tasks = [Task(str(n), "gate", (n, str(tmp_path / "died"))) for n in range(5)]
    results = {task.argument[0]: result for task, result in run_tasks(_die_once, tasks, Workers(2), "processes")}
    assert results == {n: n for n in range(5)}


def test_a_task_that_kills_its_worker_twice_is_a_failure() -> None:
    tasks = [Task(str(n), "gate", n) for n in range(4)]
    results = {task.argument: result for task, result in run_tasks(_die_always, tasks, Workers(2), "processes")}
    assert results[2] == Failure("gate", "the worker died twice", "it may need more memory than there is")
    assert {n: r for n, r in results.items() if n != 2} == {0: 0, 1: 1, 3: 3}


def _die_beside(argument: tuple[str, Path]) -> str:
    """Note the start of a long task; a task named "dies" waits for that and kills its worker, the first time."""
    name, started = argument
    if name == "dies":
        while not started.exists():
            time.sleep(0.01)
        if not started.with_name("died").exists():
            started.with_name("died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return name
    with started.open("a") as file:
        file.write("started\n")
    time.sleep(0.5)  # longer than a death takes to be noticed
    return name


def test_a_dead_worker_costs_no_other_task_its_work(tmp_path: Path) -> None:
    tasks = [Task(name, "gate", (name, tmp_path / "started")) for name in ("dies", "long")]
    results = [result for _, result in run_tasks(_die_beside, tasks, Workers(2), "processes")]
    assert results == ["long", "dies"]  # the task of the dead worker runs again, after the others
    assert (tmp_path / "started").read_text() == "started\n"


def test_a_dead_worker_ends_no_process_of_others() -> None:
    running = run_tasks(_die_always, [Task(str(n), "gate", n) for n in (1, 2)], Workers(1), "processes")
    assert next(running)[1] == 1
    bystander = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    bystander.start()
    try:
        assert isinstance(next(running)[1], Failure)
        assert bystander.is_alive()
    finally:
        bystander.kill()
        bystander.join()


def _where(_: int) -> int:
    time.sleep(0.05)
    return os.getpid()


def _fill(_: int) -> int:
    _held.append(bytes(range(256)) * (3 << 20))  # 768 MB, more than a worker keeps to the next step
    return os.getpid()


_held: list[bytes] = []


def _step(function, stage: str) -> set[int]:
    tasks = [Task(str(n), stage, n) for n in range(4)]
    return {found for _, found in run_tasks(function, tasks, Workers(2), "processes")}


def test_workers_stay_from_step_to_step_until_the_run_ends() -> None:
    with kept_workers(0):
        first, second = _step(_where, "fit"), _step(_where, "gate")
        with kept_workers(2):  # of a run inside a demonstration: the outer workers work
            third = _step(_where, "report")
    assert first == second == third
    assert len(first) == 2
    assert not [pid for pid in first if Path(f"/proc/{pid}").exists()]


def test_a_worker_that_holds_much_memory_is_ended_with_its_step() -> None:
    with kept_workers(0):
        large = {found for _, found in run_tasks(_fill, [Task("1", "fit", 1)], Workers(2), "processes")}
        assert not [pid for pid in large if Path(f"/proc/{pid}").exists()]
        assert not large & _step(_where, "gate")


def test_a_worker_that_is_killed_between_two_steps_costs_no_task() -> None:
    with kept_workers(0):
        for pid in _step(_where, "fit"):
            os.kill(pid, signal.SIGKILL)
        assert len(_step(_where, "gate")) >= 1


def test_no_more_tasks_fly_than_memory_holds() -> None:
    flying, most = [], []

    def work(number: int) -> int:
        flying.append(number)
        most.append(len(flying))
        time.sleep(0.02)
        flying.remove(number)
        return number

    tasks = [Task(str(n), "read", n, cost=60) for n in range(4)]
    assert len(list(run_tasks(work, tasks, Workers(4, memory=100)))) == 4
    assert max(most) == 1


def test_a_command_without_jobs_takes_the_cores_and_memory_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr("immunolab.workflow.demo.demo", lambda out, *, jobs: asked.append(jobs))
    monkeypatch.setattr("immunolab.cli.runs._say_done", lambda found, page: 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    for gigabytes in (64, 3, 0):
        monkeypatch.setattr("immunolab.workflow.process._available_memory", lambda n=gigabytes: n << 30)
        assert main(["demo"]) == 0
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr("immunolab.workflow.process._available_memory", lambda: 256 << 30)
    assert main(["demo"]) == 0
    assert main(["demo", "--jobs", "12"]) == 0
    assert asked == [6, 3, 1, 8, 12]
