"""What a run says of itself while it is on: a line an event, and a state that others read without disturbing it.

Steps take the log of their context with `night_log()`, which outside a run writes nothing; two runs in one process
keep theirs apart.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from immunolab.errors import ImmunolabError
from immunolab.schema.files import write_atomically
from immunolab.schema.night_log import LOG, METRICS_FILE, STATUS, STATUS_SCHEMA
from immunolab.workflow.process import peak_memory
from immunolab.workflow.run_state import RunState, StageState, metrics_text
from immunolab.workflow.tasks import Failure, Task

log = logging.getLogger("immunolab")
BEAT_SECOND = 5.0  # between two states: judgement, fresh to a reader and nothing beside a tube's megabytes
_MOST_FAILURES = 100  # in the state with their reasons; all are in run.jsonl (judgement: a file that is read at once)


class NightLog:
    """The log and the state of one run; without a folder it writes nothing.

    Parameters
    ----------
    root
        The run's folder.
    state
        Changed as things happen.
    """

    def __init__(self, root: Path | None, state: RunState) -> None:
        self._root, self.state = root, state
        self._lock = threading.Lock()
        self._failed: set[str] = set()
        self._speechless = False
        self._worker_memory = 0

    def write(self, event: str, **fields: Any) -> None:
        """Append a line.

        Parameters
        ----------
        event
            Its kind, see `immunolab.schema.night_log.EVENTS`.
        fields
            As declared there.
        """
        if self._root is None:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = json.dumps({"time": now, "run": self.state.run, "event": event, **fields}, ensure_ascii=False)
        with (self._root / LOG).open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    @contextmanager
    def stage(self, name: str, tasks: int) -> Iterator[None]:
        """Take what is done inside as a stage, or as a further pass of it, also within one, whose time holds it.

        Parameters
        ----------
        name
            One of `immunolab.schema.night_log.STAGES`.
        tasks
            Units of work.
        """
        if self._root is None:
            yield
            return
        began = time.time()
        with self._lock:
            stage = self.state.stages.setdefault(name, StageState())
            outermost, done, failed = stage.since is None, stage.done, stage.failed
            stage.total, stage.since = stage.total + tasks, stage.since or began
        self.write("stage_started", stage=name, tasks=tasks)
        yield
        seconds = time.time() - began
        if outermost:
            with self._lock:
                stage.seconds, stage.since = stage.seconds + seconds, None
        numbers = {"done": stage.done - done, "failed": stage.failed - failed}
        self.write("stage_done", stage=name, seconds=round(seconds, 3), **numbers)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Take what is done inside as a stage of one unit of work."""
        with self.stage(name, 1):
            yield
            if name in self.state.stages:
                self.state.stages[name].done += 1

    def take(self, task: Task[Any]) -> None:
        """Note that a worker of this machine has taken a task."""
        if self._root is None:
            return
        one = {"stage": task.stage, "samples": list(task.samples)}
        with self._lock:
            self.state.working[f"{task.stage} {task.name}"] = one | {"since": time.time()}
        self.write("task_started", **one)

    def end(self, task: Task[Any], failure: Failure | None, events: int = 0) -> None:
        """Note that a task is done, or failed.

        Parameters
        ----------
        task
            The task.
        failure
            Why it has no result.
        events
            Gated in it.
        """
        if self._root is None:
            return
        with self._lock:
            taken = self.state.working.pop(f"{task.stage} {task.name}", None)
            self._count(task, failure, events)
        one: dict[str, Any] = {"stage": task.stage, "samples": list(task.samples)}
        if taken:
            one["seconds"] = round(time.time() - taken["since"], 3)
        if failure:
            self.write("task_failed", **one, error=failure.error, hint=failure.hint)
        else:
            self.write("task_done", **one, **({"events": events} if events else {}))

    def _count(self, task: Task[Any], failure: Failure | None, events: int) -> None:
        stage = self.state.stages.setdefault(task.stage, StageState())
        self.state.events += events
        if failure is None:
            stage.done += 1
            self.state.computed += len(task.samples) if task.stage == "gate" else 0
            return
        stage.failed += 1
        self._failed |= set(task.samples)
        self.state.failed = len(self._failed)
        one = {"stage": failure.stage, "samples": list(task.samples), "error": failure.error}
        self.state.failures = [*self.state.failures, one][-_MOST_FAILURES:]

    def keep(self, sample_id: str) -> None:
        """Note that a sample is up to date."""
        with self._lock:
            self.state.kept += 1
        self.write("sample_kept", sample=sample_id)

    def finish(self, *, computed: Iterable[str], kept: Iterable[str], failed: Iterable[str]) -> None:
        """Note that everything is written.

        Parameters
        ----------
        computed, kept, failed
            Samples.
        """
        state = self.state
        state.computed, state.kept, state.failed = len(set(computed)), len(set(kept)), len(set(failed))
        state.state, state.exit_code, state.peak_memory = "finished", 3 if state.failed else 0, self._memory()
        self.write(
            "run_finished",
            exit_code=state.exit_code,
            computed=state.computed,
            kept=state.kept,
            failed=state.failed,
            seconds=round(time.time() - state.started, 3),
            events=state.events,
            peak_memory_bytes=state.peak_memory.get("run"),
            peak_memory_worker_bytes=state.peak_memory.get("worker"),
        )

    def note_worker_memory(self, taken: int) -> None:
        """Note the largest memory of a worker that has not ended, which the system does not count yet.

        Parameters
        ----------
        taken
            Bytes.
        """
        self._worker_memory = max(self._worker_memory, taken)

    def _memory(self) -> dict[str, int]:
        found = peak_memory()
        return found | {"worker": max(found["worker"], self._worker_memory)} if found else found

    def fail(self, error: BaseException) -> None:
        """Note that the run ends before everything is written."""
        state = self.state
        state.state, state.error = "failed", _words(error)
        state.exit_code = 130 if isinstance(error, KeyboardInterrupt) else 1
        seconds = round(time.time() - state.started, 3)
        self.write("run_failed", exit_code=state.exit_code, error=state.error, seconds=seconds)

    def show(self) -> None:
        """Write the state and the metrics, each whole."""
        if self._root is None:
            return
        with self._lock:
            self.state.beat += 1
            self.state.updated, self.state.peak_memory = time.time(), self._memory()
            text = json.dumps({"schema": STATUS_SCHEMA} | asdict(self.state), ensure_ascii=False)
            figures = metrics_text(self.state)
        write_atomically(self._root / STATUS, lambda part: part.write_text(text + "\n", encoding="utf-8"))
        write_atomically(self._root / METRICS_FILE, lambda part: part.write_text(figures, encoding="utf-8"))

    def show_until(self, ended: threading.Event) -> None:
        """Write state and metrics every few seconds; a folder that cannot be written is said once, the run goes on."""
        while not ended.wait(BEAT_SECOND):
            try:
                self.show()
            except OSError as error:
                if not self._speechless:
                    log.info("the state of the run cannot be written: %s", error.strerror)
                self._speechless = True


def _words(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, ImmunolabError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}".rstrip(": ")


_SILENT = NightLog(None, RunState("", 0, {}, place={}))
_current: ContextVar[NightLog] = ContextVar("night_log", default=_SILENT)


def night_log() -> NightLog:
    """Return the log of the run that this context works for; one that writes nothing where there is none."""
    return _current.get()


@contextmanager
def logged_run(root: Path, state: RunState) -> Iterator[NightLog]:
    """Keep log and state of what runs inside, which calls `NightLog.finish` when all is written.

    Parameters
    ----------
    root
        The run's folder, which is this run's alone.
    state
        Of a run that begins.
    """
    night, ended = NightLog(root, state), threading.Event()
    where = {"host": state.place["host"], "pid": state.place["pid"]}
    what = {"study": state.study, "version": state.version, "samples": state.samples, "options": state.options}
    night.write("run_started", **what, **where)
    night.show()
    watcher = threading.Thread(target=night.show_until, args=(ended,), daemon=True)
    watcher.start()
    token = _current.set(night)
    try:
        yield night
    except BaseException as error:
        _say_failed(night, error)
        raise
    finally:
        _current.reset(token)
        ended.set()
        watcher.join()
    night.show()


def _say_failed(night: NightLog, error: BaseException) -> None:
    """Write that the run failed, where its disk still takes that; if not, `status` sees that its process is gone."""
    try:
        night.fail(error)
        night.show()
    except OSError as full:
        log.info("the end of the run cannot be logged: %s", full.strerror)
