"""Ways to end a run before its time, at a moment that a seed and the run's own files decide."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pandas as pd
from test_pipeline import GATES

from immunolab.schema.night_log import LOG, METRICS_FILE, STATUS
from immunolab.simulation import Options, simulate

HOLD_TIMES = {"run.log", ".lock", LOG, STATUS, METRICS_FILE}  # no part of what must be the same
MOMENTS = {  # what is seen in OUT from then on
    "start": lambda out: True,
    "subsamples": lambda out: any(out.glob("cache/*subsample-*")),
    "borders": lambda out: any(out.glob("cache/*gates-*")),
    "memberships": lambda out: any(not _recorded(out, path) for path in out.glob("memberships/*.parquet*")),
    "gating": lambda out: any(out.glob("samples/*/record.json")),
    "cells": lambda out: any(out.glob("cache/*cells-*")),
    "tables": lambda out: any(out.glob(".tables.part-*")) or (out / "tables").exists(),
    "figures": lambda out: any(out.glob("figures/*.png")),
    "pictures": lambda out: any(out.glob("samples/*/gating.png")),
}


def _recorded(out: Path, memberships: Path) -> bool:
    return (out / "samples" / memberships.stem / "record.json").exists()


MISSED = {  # moments that a kind of study has not
    "drawn": ("subsamples", "borders", "cells"),
    "placed": ("cells",),
    "carried": (),  # drawn on one tube and carried to the others, beside a library of single cells
}
WAYS = ("group", "terminate", "parent", "worker")


def small_study(folder: Path, patients: int, events: int, *, kind: str = "drawn") -> Path:
    """Write a study of drawn, placed or carried gates, two visits a patient; the last tube is no cytometry."""
    options = Options(citeseq=300 if kind == "carried" else 0)
    simulate(
        "sle_nct02084238",
        patients=patients,
        seed=5,
        folder=folder,
        visits=["W0", "W10"],
        events=events,
        options=options,
    )
    (folder / "gates.yaml").write_text(GATES)
    gates = "treg_th17_tfh_teff" if kind == "placed" else "gates.yaml"
    sheet = pd.read_csv(folder / "samples.csv")
    tubes = sheet.loc[sheet["file"].str.endswith(".fcs"), "file"]
    more = f", templates: [{tubes.iloc[0]}]" if kind == "carried" else ""
    (folder / "study.yaml").write_text(
        f"study: kills\nsheet: samples.csv\npanels: {{surface: {{strategy: {gates}{more}}}}}\n"
        "comparison: {before: W0, after: W10}\n"
    )
    last = folder / tubes.iloc[-1]
    last.write_bytes(b"not cytometry")
    return folder


def tree(out: Path) -> dict[str, str]:
    """Return the sha256 of every file of a run's folder but those that hold times."""
    files = (path for path in sorted(out.rglob("*")) if path.is_file() and path.name not in HOLD_TIMES)
    return {path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def start(study: Path, out: Path, options: Sequence[str] = ("--jobs", "2", "--memberships")) -> subprocess.Popen[bytes]:
    """Start a run as the leader of a session of its own, by which its processes are found."""
    command = [sys.executable, "-m", "immunolab", "run", str(study), "-o", str(out), *options]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, **quiet, start_new_session=True)


def _stat(pid: str) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()  # state, parent, group, session


def processes(session: int) -> list[int]:
    """Return the living processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, _, _, its_session, *_ = _stat(path.name)
            if int(its_session) == session and state != "Z":
                found.append(int(path.name))
    return found


def workers(session: int) -> list[int]:
    """Return the worker processes of a session."""
    found = []
    for pid in processes(session):
        with suppress(OSError):
            if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def wait_for(condition: Callable[[], object], seconds: float) -> bool:
    """Return whether a condition came true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.005)
    return False


def kill_at(
    running: subprocess.Popen[bytes], out: Path, moment: str, way: str, rng: random.Random
) -> dict[str, object]:
    """End a run, or one of its workers, soon after a moment; return what happened."""
    wait_for(lambda: MOMENTS[moment](out) or running.poll() is not None, 300)
    time.sleep(rng.uniform(0.0, 4.0 if moment == "start" else 0.2))
    struck = running.poll() is None
    session = running.pid
    if way == "worker":
        wait_for(lambda: workers(session) or running.poll() is not None, 60)
        found = workers(session)[:1]
        for pid in found:
            os.kill(pid, signal.SIGKILL)
        return {"moment": moment, "way": way, "struck": bool(found)}  # the run goes on
    if struck:
        how = signal.SIGTERM if way == "terminate" else signal.SIGKILL
        (os.killpg if way == "group" else os.kill)(session, how)
    running.wait()
    ended = time.monotonic()
    gone = wait_for(lambda: not processes(session), 30)
    return {
        "moment": moment,
        "way": way,
        "struck": struck,
        "gone_s": round(time.monotonic() - ended, 2) if gone else None,
    }


def plan(seed: int, folders: int, *, kind: str = "drawn") -> list[list[tuple[str, str]]]:
    """Return (moment, way) of two kills for each folder, the later moment second, every way as often as any other."""
    rng = random.Random(seed)
    moments = [name for name in MOMENTS if name not in MISSED[kind]]
    ways = list(WAYS) * (folders // 2 + 1)
    found = []
    for number in range(folders):
        first, second = sorted(rng.sample(range(len(moments)), 2))
        found.append([(moments[first], ways[2 * number]), (moments[second], ways[2 * number + 1])])
    return found
