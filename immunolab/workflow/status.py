"""What is done, running and failed in a run's folder, read from another process without disturbing the run."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from immunolab.errors import InputError, Problem
from immunolab.schema.night_log import STATUS, STATUS_SCHEMA
from immunolab.workflow.night_log import BEAT_SECOND
from immunolab.workflow.process import is_alive
from immunolab.workflow.remote import Mirror, is_url
from immunolab.workflow.run_state import StageState, seconds_of

Standing = Literal["running", "finished", "failed", "gone", "silent"]
_SILENT_SECOND = 30.0  # without a beat of another host before it is looked at twice: six beats, a slow share included
_SHOWN = 5  # units of work, and failures, that are listed (judgement: a screen; --json has all)


@dataclass(frozen=True)
class Status:
    """The state of a run as its folder holds it, and whether its process is still there.

    Attributes
    ----------
    standing
        ``running``; ``finished``; ``failed``, with a reason; ``gone`` ended without finishing (killed, power cut);
        ``silent`` on another host that gives no sign of life.
    state
        What status.json holds.
    now
        When it was looked at, Unix time; that of the state where the run is on another host.
    """

    standing: Standing
    state: dict[str, Any]
    now: float

    @property
    def stages(self) -> dict[str, StageState]:
        """The stages that have begun."""
        return {name: StageState(**values) for name, values in self.state["stages"].items()}

    @property
    def stage(self) -> str:
        """The stage that is on; "" where none is."""
        return next((name for name, stage in reversed(self.stages.items()) if stage.since), "")

    @property
    def left_seconds(self) -> float | None:
        """Seconds that the stage which is on will take at its pace so far; None before its first unit is done."""
        stage = self.stages.get(self.stage)
        if self.standing != "running" or stage is None or not stage.done + stage.failed:
            return None
        done = stage.done + stage.failed
        return seconds_of(stage, self.now) / done * (stage.total - done)

    @property
    def to_come(self) -> list[str]:
        """Stages that have not begun, while a run is on."""
        return [name for name in self.state["planned"] if self.standing == "running" and name not in self.stages]

    def record(self) -> dict[str, Any]:
        """Return what is known as plain data, for JSON."""
        found = {"standing": self.standing, "stage": self.stage, "left_seconds": self.left_seconds}
        return {**found, "to_come": self.to_come, **self.state}

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        state = self.state
        yield f"{state['study']}: {self._said()}"
        n = {name: state[name] for name in ("computed", "kept", "failed", "samples")}
        yield "{computed} samples computed, {kept} kept, {failed} failed, of {samples} in the sheet".format(**n)
        for name, stage in self.stages.items():
            yield f"  {name}: {_progress(stage, self.now, 'on' if self.standing == 'running' else 'not ended')}"
        if self.standing == "running":
            yield self._left()
            yield from _working(list(state["working"].values()), self.now)
        for one in state["failures"][-_SHOWN:]:
            whose = f"{', '.join(one['samples'])}: " if one["samples"] else ""
            yield f"  failed in {one['stage']}: {whose}{one['error']}"

    def _said(self) -> str:
        state = self.state
        where = f"process {state['place']['pid']} on {state['place']['host']}"
        since = _duration(self.now - state["started"])
        ago = _duration(time.time() - state["updated"])
        return {
            "running": f"running for {since} ({where})",
            "finished": f"finished {ago} ago after {_duration(state['updated'] - state['started'])}",
            "failed": f"not running, failed {ago} ago: {state['error']}",
            "gone": f"not running, ended without finishing; last seen {ago} ago ({where}). The same command goes on.",
            "silent": f"no sign of life for {ago} ({where}): ended without finishing, or cut off from this folder",
        }[self.standing]

    def _left(self) -> str:
        left = self.left_seconds
        rest = f"; then {', '.join(self.to_come)}" if self.to_come else ""
        return f"left of this stage: {'not known yet' if left is None else 'about ' + _duration(left)}{rest}"


def _progress(stage: StageState, now: float, otherwise: str) -> str:
    failed = f", {stage.failed} failed" if stage.failed else ""
    n_done = "done" if stage.done == stage.total else f"{stage.done} of {stage.total} done"
    return f"{n_done if stage.total > 1 or stage.done else otherwise}{failed}, {_duration(seconds_of(stage, now))}"


def _working(taken: list[dict[str, Any]], now: float) -> Iterator[str]:
    """Yield the units of work that are on, the longest first: a tube that takes no end is seen here."""
    of_samples = [one for one in taken if one["samples"]]
    for one in sorted(of_samples, key=lambda one: one["since"])[:_SHOWN]:
        names = ", ".join(one["samples"][:_SHOWN])
        more = f" and {len(one['samples']) - _SHOWN} more" if len(one["samples"]) > _SHOWN else ""
        yield f"  now in {one['stage']} for {_duration(now - one['since'])}: {names}{more}"


def _duration(seconds: float) -> str:
    """Return seconds in the unit that suits them: 40 s, 12 min, 3 h 20 min."""
    whole = max(0, round(seconds))
    if whole < 100:
        return f"{whole} s"
    minutes = round(whole / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def read_status(out: Path | str) -> Status:
    """Return what a run's folder says of the run in it, or of the last one.

    A run on another host is looked at twice where its last sign of life seems old: clocks differ.

    Parameters
    ----------
    out
        The folder given to ``run`` with ``-o``; of a run on an object store its copy, which the run names first.

    Raises
    ------
    InputError
        No run has left its state there, or it is an object store.
    """
    path = _folder(out) / STATUS
    state = _read(path)
    if state["state"] != "running":
        return Status(state["state"], state, state["updated"])
    alive = is_alive(state["place"])
    if alive is None:
        return _of_another_host(path, state)
    if alive:
        return Status("running", state, time.time())
    again = _read(path)  # it may have come to its end between the two looks
    standing: Standing = "gone" if again["state"] == "running" else again["state"]
    return Status(standing, again, again["updated"])


def _folder(out: Path | str) -> Path:
    """Return the folder; refuse an object store, whose copy of the state is older than a run's beat."""
    if not (isinstance(out, str) and is_url(out)):
        return Path(out)
    mirror = Mirror.of(out)
    if mirror.here:
        return mirror.folder
    hint = f"on the machine of the run name the copy that it works on: immunolab status {mirror.folder}"
    raise InputError(Problem(out, "", "status reads a folder of this machine, no object store", hint))


def _of_another_host(path: Path, state: dict[str, Any]) -> Status:
    if abs(time.time() - state["updated"]) < _SILENT_SECOND:
        return Status("running", state, state["updated"])
    time.sleep(3 * BEAT_SECOND)
    again = _read(path)
    if again["state"] != "running":
        return Status(again["state"], again, again["updated"])
    beats = (again["run"], again["beat"]) != (state["run"], state["beat"])
    return Status("running" if beats else "silent", again, again["updated"])


def _read(path: Path) -> dict[str, Any]:
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        hint = "name the folder that 'immunolab run' writes to; earlier versions left no state"
        raise InputError(Problem(str(path.parent), "", "no run has left its state here", hint)) from None
    except (OSError, ValueError) as error:
        raise InputError(Problem(str(path), "", f"cannot be read: {error}", "check who may read it")) from None
    if not isinstance(state, dict) or state.get("schema") != STATUS_SCHEMA:
        raise InputError(Problem(str(path), "", f"is not of schema {STATUS_SCHEMA}", "use the version that wrote it"))
    return state
