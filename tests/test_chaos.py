"""A night run that is killed again and again ends with the bytes of an undisturbed one."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from dying_work import draw_once
from kills import kill_at, small_study, start, tree
from test_pipeline import GATES

from immunolab.errors import ImmunolabError
from immunolab.simulation import simulate
from immunolab.workflow.run import run
from immunolab.workflow.spread import SpreadWork
from immunolab.workflow.status import read_status

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


def test_a_cluster_gives_the_same_bytes(study: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster:
        run(study, out=tmp_path, scheduler=cluster.scheduler_address, tables_only=True)
    assert _tables(tmp_path) == undisturbed
