"""What a run says of itself while it is on: events of run.jsonl, the state in status.json, figures of metrics.prom.

None of the three is part of what must be the same for the same input: they hold times, host and process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

LOG, STATUS, METRICS_FILE = "run.jsonl", "status.json", "metrics.prom"
STATUS_SCHEMA = "immunolab.status/1"
State = Literal["running", "finished", "failed"]
STAGES = MappingProxyType(
    {
        "read": "tubes are read and hashed, and a subsample kept where gates are placed on it",
        "fit": "gates are placed on the subsamples, or drawn gates carried to them",
        "gate": "every event of a tube is gated and counted",
        "cells": "single cells are labelled",
        "compare": "endpoints, scores and comparisons are computed from the tables",
        "write": "tables, record and gates are written",
        "report": "figures are drawn and the page is written",
    }
)
"""Stages of a run, in order."""


@dataclass(frozen=True)
class Event:
    """A kind of line in run.jsonl: what it says, and what each of its fields holds."""

    meaning: str
    fields: Mapping[str, str]


EVERY_EVENT = MappingProxyType(
    {
        "time": "UTC, ISO 8601 with milliseconds",
        "run": "the same for all lines of one run",
        "event": "its kind",
    }
)
_STAGE = {"stage": "one of the stages"}
_TASK = _STAGE | {"samples": "sample_ids of the sheet; a figure of the report has none"}
EVENTS = MappingProxyType(
    {
        "run_started": Event(
            "a run has the folder for itself",
            {
                "study": "its name in study.yaml",
                "version": "of the package",
                "host": "name of the machine",
                "pid": "process id",
                "samples": "number of samples in the sheet",
                "options": "as chosen, by the names that `immunolab run` has for them",
            },
        ),
        "stage_started": Event("a stage has begun", _STAGE | {"tasks": "units of work that it has"}),
        "task_started": Event("a worker of this machine has taken a unit of work", _TASK),
        "task_done": Event(
            "a unit of work is done", _TASK | {"seconds": "since it was taken", "events": "gated in it, where it gates"}
        ),
        "task_failed": Event(
            "a unit of work failed, and its samples with it",
            _TASK | {"seconds": "since it was taken", "error": "as in failures.csv", "hint": "how to fix it"},
        ),
        "worker_died": Event("a worker process died; its unit of work is tried once more, alone", _TASK),
        "sample_kept": Event("nothing that a sample depends on has changed", {"sample": "sample_id of the sheet"}),
        "sample_to_compute": Event(
            "a sample has to be gated", {"sample": "sample_id of the sheet", "reason": "why, in words"}
        ),
        "stage_done": Event(
            "a stage has ended",
            _STAGE | {"seconds": "since it began", "done": "units done", "failed": "units that failed"},
        ),
        "run_finished": Event(
            "everything is written",
            {
                "exit_code": "0, or 3 where samples failed",
                "computed": "samples",
                "kept": "samples",
                "failed": "samples",
                "seconds": "since the run began",
                "events": "gated in this run",
                "peak_memory_bytes": "of the process that was started; empty where the system does not say",
                "peak_memory_worker_bytes": "of the largest worker process that ended",
            },
        ),
        "run_failed": Event(
            "the run ended before everything was written",
            {
                "exit_code": "1, or 130 where it was interrupted",
                "error": "as printed",
                "seconds": "since the run began",
            },
        ),
    }
)
"""Kinds of lines, each with its fields beyond `EVERY_EVENT`."""
METRICS = MappingProxyType(
    {
        "immunolab_run_info": "1, with the study and the version as labels.",
        "immunolab_run_running": "Whether the run is on: 1 or 0.",
        "immunolab_run_start_timestamp_seconds": "When the run began, Unix time.",
        "immunolab_run_last_update_timestamp_seconds": "When this file was written, Unix time.",
        "immunolab_run_exit_code": "Exit code; absent while the run is on.",
        "immunolab_samples": "Samples by state: in_sheet, computed, kept, failed.",
        "immunolab_stage_tasks": "Units of work by stage and state: total, done, failed.",
        "immunolab_stage_seconds": "Seconds spent in each stage.",
        "immunolab_events_gated": "Events gated in this run.",
        "immunolab_peak_memory_bytes": "Largest resident memory: of the run itself, of its largest ended worker.",
    }
)
"""Metrics of metrics.prom, all gauges."""
