"""What a run says while it is on, and what another process reads of it."""

from __future__ import annotations

import errno
import json
import re
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from kills import small_study

from immunolab.cli import main
from immunolab.errors import InputError
from immunolab.schema.night_log import EVENTS, EVERY_EVENT, LOG, METRICS, METRICS_FILE, STAGES, STATUS
from immunolab.workflow import remote
from immunolab.workflow import status as status_module
from immunolab.workflow.night_log import NightLog
from immunolab.workflow.process import here
from immunolab.workflow.run import run
from immunolab.workflow.run_state import RunState
from immunolab.workflow.status import read_status


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two patients under codes of samples, and its finished run; the last tube is no cytometry."""
    place = tmp_path_factory.mktemp("status")
    study = small_study(place / "study", patients=2, events=400)
    sheet = pd.read_csv(study / "samples.csv")
    sheet["sample_id"] = [f"tube{i}" for i in range(len(sheet))]
    sheet["patient_id"] = [f"Hamlet-{patient}" for patient in sheet["patient_id"]]
    sheet.to_csv(study / "samples.csv", index=False)
    run(study, out=place / "out", jobs=2, memberships=True)
    return place


def _events(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / LOG).read_text().splitlines()]


def test_every_line_is_declared_and_its_time_is_utc(place: Path) -> None:
    events = _events(place / "out")
    for one in events:
        declared = EVENTS[one["event"]]
        assert EVERY_EVENT.keys() <= one.keys() <= {*EVERY_EVENT, *declared.fields}
        assert one.get("stage", "read") in STAGES
        assert datetime.fromisoformat(one["time"]).utcoffset() == timedelta(0)
    kinds = [one["event"] for one in events]
    assert (kinds[0], kinds[-1]) == ("run_started", "run_finished")
    assert {"stage_started", "task_started", "task_done", "task_failed", "sample_to_compute"} <= set(kinds)
    assert {one["samples"][0] for one in events if one["event"] == "task_done" and one["stage"] == "gate"} == {
        "tube0",
        "tube1",
        "tube2",
    }
    last = events[-1]
    assert (last["exit_code"], last["computed"], last["failed"], last["events"]) == (3, 3, 1, 3 * 400)
    assert last["peak_memory_bytes"] > 1e8
    [failed] = [one for one in events if one["event"] == "task_failed"]
    reason = pd.read_csv(place / "out" / "tables" / "failures.csv")["error"].item()
    assert (failed["samples"], failed["error"]) == (["tube3"], reason)


def test_no_patient_is_named_in_what_a_run_says_of_itself(place: Path) -> None:
    assert "Hamlet" in (place / "out" / "tables" / "pairs.csv").read_text()
    for name in (LOG, STATUS, METRICS_FILE):
        assert "Hamlet" not in (place / "out" / name).read_text()
        assert name not in (place / "out" / "manifest.json").read_text()


def test_metrics_are_declared_and_of_the_text_format(place: Path) -> None:
    lines = (place / "out" / METRICS_FILE).read_text().splitlines()
    values = {}
    for line in lines:
        comment = re.fullmatch(r"# (HELP|TYPE) (\w+) (.+)", line)
        sample = re.fullmatch(r'(\w+)(\{\w+="[^"]*"(?:,\w+="[^"]*")*\})? (-?[\d.e+]+)', line)
        assert comment or sample, line
        assert (comment.group(2) if comment else sample.group(1)) in METRICS
        if sample:
            values[sample.group(1) + (sample.group(2) or "")] = float(sample.group(3))
    assert values["immunolab_run_exit_code"] == 3
    assert values['immunolab_samples{state="failed"}'] == 1
    assert values['immunolab_stage_tasks{stage="gate",state="done"}'] == 3
    assert values["immunolab_run_running"] == 0
    assert {name for name in METRICS if f"# TYPE {name} gauge" in lines} == set(METRICS)


def test_a_finished_run_is_said_and_nothing_is_written(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    assert main(["status", str(place / "out")]) == 3
    said = capsys.readouterr().out
    assert "kills: finished" in said
    assert "3 samples computed, 0 kept, 1 failed, of 4 in the sheet" in said
    assert "failed in read: tube3: " in said
    assert main(["status", str(place / "out"), "--json"]) == 3
    record = json.loads(capsys.readouterr().out)
    assert (record["standing"], record["stage"], record["to_come"], record["working"]) == ("finished", "", [], {})
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == before


def _state(out: Path, folder: Path, **changed: Any) -> Path:
    """Copy a finished run's state into a folder as that of a run in the middle of gating."""
    state = json.loads((out / STATUS).read_text())
    gate = {"total": 1000, "done": 240, "failed": 10, "seconds": 0.0, "since": time.time() - 500}
    state |= {"state": "running", "exit_code": None, "planned": list(STAGES), "place": here(), "updated": time.time()}
    state["stages"] = {"read": state["stages"]["read"], "gate": gate}
    state["working"] = {"gate a": {"stage": "gate", "samples": ["tube1"], "since": time.time() - 4000}}
    (folder / STATUS).write_text(json.dumps(state | changed))
    return folder


def test_a_run_that_is_on_says_what_is_left(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = read_status(_state(place / "out", tmp_path))
    assert (found.standing, found.stage) == ("running", "gate")
    assert found.left_seconds == pytest.approx(1500, abs=20)  # 250 took 500 s
    assert found.to_come == ["fit", "cells", "compare", "write", "report"]
    assert "left of this stage: about 25 min; then fit, cells" in str(found)
    assert "now in gate for 67 min: tube1" in str(found)
    assert main(["status", str(tmp_path)]) == 3  # some have failed already


def test_a_process_that_is_gone_has_ended_without_finishing(place: Path, tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for gone in (here() | {"pid": ended.pid}, here() | {"ticks": 1}):  # no such process; its number is another's now
        found = read_status(_state(place / "out", tmp_path, place=gone))
        assert found.standing == "gone"
        assert "not running, ended without finishing" in str(found)
        assert found.left_seconds is None
    compare = {"compare": {"total": 1, "done": 0, "failed": 0, "seconds": 0.0, "since": time.time()}}
    assert "compare: not ended" in str(read_status(_state(place / "out", tmp_path, place=gone, stages=compare)))
    assert main(["status", str(tmp_path)]) == 1


def test_a_run_on_another_host_is_known_by_its_beats(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_module, "BEAT_SECOND", 0.01)
    elsewhere = {"host": "node07", "space": "other boot", "pid": 1, "ticks": 5}
    assert read_status(_state(place / "out", tmp_path, place=elsewhere)).standing == "running"
    late = {"place": elsewhere, "updated": time.time() - 7200}  # silent for two hours, or its clock is wrong
    silent = read_status(_state(place / "out", tmp_path, **late))
    assert silent.standing == "silent"
    assert "no sign of life for 2 h" in str(silent)

    def beat(_seconds: float) -> None:
        _state(place / "out", tmp_path, **late, beat=99)

    monkeypatch.setattr(status_module.time, "sleep", beat)
    assert read_status(tmp_path).standing == "running"


def test_a_folder_without_a_run_is_refused_with_a_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(tmp_path)]) == 1
    assert "no run has left its state here" in capsys.readouterr().err
    (tmp_path / STATUS).write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        read_status(tmp_path)


def test_an_interrupted_run_says_so(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("immunolab.workflow.run.quantify", interrupt)
    assert main(["run", str(place / "study"), "-o", str(tmp_path), "--tables-only"]) == 130
    assert "not running, failed" in str(read_status(tmp_path))
    assert (_events(tmp_path)[-1]["exit_code"], _events(tmp_path)[-1]["error"]) == (130, "interrupted")


def test_a_run_that_fails_says_why(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("immunolab.workflow.run.quantify", full)
    with pytest.raises(InputError):
        run(place / "study", out=tmp_path, tables_only=True)
    found = read_status(tmp_path)
    assert (found.standing, found.state["exit_code"]) == ("failed", 1)
    assert "No space left on device" in str(found)
    assert [_events(tmp_path)[-1][name] for name in ("event", "exit_code")] == ["run_failed", 1]


def test_a_pass_within_a_stage_takes_no_time_from_it(tmp_path: Path) -> None:
    night = NightLog(tmp_path, RunState("nested", 0, {}))
    with night.step("compare"):
        time.sleep(0.1)
        with night.stage("compare", 2):
            pass
        assert night.state.stages["compare"].since is not None
        time.sleep(0.1)
    assert night.state.stages["compare"].since is None
    assert 0.2 <= night.state.stages["compare"].seconds < 5
    inner, outer = (one["seconds"] for one in _events(tmp_path) if one["event"] == "stage_done")
    assert inner < 0.1 < 0.2 <= outer


def test_an_object_store_is_refused_and_the_folder_of_the_run_is_named(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(remote.SCRATCH_VARIABLE, str(tmp_path))
    assert main(["status", "memory://lab/out"]) == 1
    said = capsys.readouterr().err
    assert "memory://lab/out  status reads a folder of this machine, no object store" in said
    assert f"immunolab status {remote.Mirror.of('memory://lab/out').folder}" in said
    assert main(["status", f"file://{place / 'out'}"]) == 3


def test_a_failure_without_samples_names_its_stage_alone(place: Path, tmp_path: Path) -> None:
    lost = {"stage": "report", "samples": [], "error": "the worker died twice"}
    said = str(read_status(_state(place / "out", tmp_path, failures=[lost])))
    assert "failed in report: the worker died twice" in said
