"""A night run that is killed again and again ends with the bytes of an undisturbed one."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from dying_work import draw_once
from kills import kill_at, small_study, start, tree

from immunolab.errors import ImmunolabError
from immunolab.workflow.run import run
from immunolab.workflow.spread import SpreadWork
from immunolab.workflow.status import read_status


def test_kills_leave_no_process_and_the_bytes_of_an_undisturbed_run(tmp_path: Path) -> None:
    out, rng = tmp_path / "out", random.Random(9)
    study = small_study(tmp_path / "study", patients=2, events=3000)
    run(study, out=tmp_path / "undisturbed", memberships=True)
    kills = [("memberships", "terminate"), ("gating", "group"), ("tables", "parent"), ("figures", "worker")]
    for moment, way in kills:
        for _ in range(5 if moment == "memberships" else 1):  # written in milliseconds, unseen now and then
            running = start(study, out)
            found = kill_at(running, out, moment, way, rng)
            if found["struck"]:
                break
            shutil.rmtree(out)
        assert found["struck"], found
        if way != "worker":
            assert found["gone_s"] is not None, found
            assert found["gone_s"] < 5, found
            assert read_status(out).standing == "gone"
    assert running.wait(timeout=240) == 3  # one sample is no cytometry; the report's worker was replaced
    assert tree(out) == tree(tmp_path / "undisturbed")
    assert not list(out.rglob(".*part-*"))


def test_a_killed_worker_of_the_report_costs_its_figure_a_second_try(tmp_path: Path) -> None:
    items = [(number, str(tmp_path / "died")) for number in range(5)]
    assert SpreadWork(2)(draw_once, items) == [0, 1, 4, 9, 16]
    assert (tmp_path / "died").exists()
    with pytest.raises(ImmunolabError, match="figure 1: internal error: ValueError: an axis without values"):
        SpreadWork(2)(draw_once, [(5, "")])
