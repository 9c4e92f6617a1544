"""How far a run is, as status.json holds it and metrics.prom shows it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from immunolab.schema.night_log import METRICS, State
from immunolab.version import VERSION
from immunolab.workflow.process import here


@dataclass
class StageState:
    """How far a stage is: units of work, seconds of its ended passes, and since when a pass is on (Unix time)."""

    total: int = 0
    done: int = 0
    failed: int = 0
    seconds: float = 0.0
    since: float | None = None


@dataclass
class RunState:
    """The state of a run; times are Unix times.

    Attributes
    ----------
    study, samples, options, run
        As the event ``run_started`` has them.
    place
        Host, process and what parts it from a later one of the same number, see `immunolab.workflow.process.here`.
    beat
        Rises with every writing, so that a reader with another clock sees life.
    planned
        Stages of this run, in order.
    stages
        Those that have begun, in order.
    working
        Units of work that a worker of this machine has taken: stage, samples, since when.
    computed, kept, failed
        Samples.
    failures
        The last that failed: stage, samples, error.
    events
        Gated in this run.
    peak_memory
        Bytes, see `immunolab.workflow.process.peak_memory`.
    """

    study: str
    samples: int
    options: Mapping[str, Any]
    planned: tuple[str, ...] = ()
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    version: str = VERSION
    place: Mapping[str, Any] = field(default_factory=here)
    state: State = "running"
    started: float = field(default_factory=time.time)
    updated: float = 0.0
    beat: int = 0
    stages: dict[str, StageState] = field(default_factory=dict)
    working: dict[str, dict[str, Any]] = field(default_factory=dict)
    computed: int = 0
    kept: int = 0
    failed: int = 0
    failures: list[dict[str, Any]] = field(default_factory=list)
    events: int = 0
    peak_memory: Mapping[str, int] = field(default_factory=dict)
    exit_code: int | None = None
    error: str = ""


def metrics_text(state: RunState) -> str:
    """Return a state as the text format of Prometheus, version 0.0.4.

    Parameters
    ----------
    state
        Of a run that is on or has ended.
    """
    values = _values(state)
    lines = []
    for name, meaning in METRICS.items():
        if name in values:
            lines += [f"# HELP {name} {meaning}", f"# TYPE {name} gauge"]
            lines += [f"{name}{_labels(labels)} {number:.15g}" for labels, number in values[name]]
    return "\n".join([*lines, ""])


def _values(state: RunState) -> dict[str, list[tuple[Mapping[str, str], float]]]:
    counted = {"in_sheet": state.samples, "computed": state.computed, "kept": state.kept, "failed": state.failed}
    found: dict[str, list[tuple[Mapping[str, str], float]]] = {
        "immunolab_run_info": [({"study": state.study, "version": state.version}, 1)],
        "immunolab_run_running": [({}, state.state == "running")],
        "immunolab_run_start_timestamp_seconds": [({}, state.started)],
        "immunolab_run_last_update_timestamp_seconds": [({}, state.updated)],
        "immunolab_samples": [({"state": name}, n) for name, n in counted.items()],
        "immunolab_stage_tasks": list(_tasks(state)),
        "immunolab_stage_seconds": [
            ({"stage": name}, seconds_of(s, state.updated)) for name, s in state.stages.items()
        ],
        "immunolab_events_gated": [({}, state.events)],
        "immunolab_peak_memory_bytes": [({"process": name}, n) for name, n in state.peak_memory.items()],
    }
    if state.exit_code is not None:
        found["immunolab_run_exit_code"] = [({}, state.exit_code)]
    return {name: rows for name, rows in found.items() if rows}


def _tasks(state: RunState) -> Iterator[tuple[dict[str, str], float]]:
    for name, stage in state.stages.items():
        for word in ("total", "done", "failed"):
            yield {"stage": name, "state": word}, getattr(stage, word)


def seconds_of(stage: StageState, now: float) -> float:
    """Return the seconds that a stage has taken until now.

    Parameters
    ----------
    stage
        Its state.
    now
        Unix time.
    """
    return stage.seconds + (max(0.0, now - stage.since) if stage.since else 0.0)


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    text = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{text}}}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
