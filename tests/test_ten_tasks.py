"""docs/ten_tasks.md: its lines are counted, ours are never more than the others', and both ways agree."""

from __future__ import annotations

import re
from pathlib import Path

import anndata
import flowkit as fk
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scipy
from builders import REPOSITORY

import immunolab as il

PAGE = (REPOSITORY / "docs" / "ten_tasks.md").read_text(encoding="utf-8")
_TASK = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TASKS = {title: tuple(_BLOCK.findall(text)) for title, text in _TASK.findall(PAGE)}
_ROW = re.compile(r"^\| \[(.+?)\]\(#.+?\) \| .+? \| (\d+) \| .+? \| (\d+) \|$", re.MULTILINE)
ROWS = {title: (int(ours), int(theirs)) for title, ours, theirs in _ROW.findall(PAGE)}
# Shown in a browser window, or slower than a test may be.
NOT_RUN = {"Scatter of two channels", "Cluster and map"}

_GATES = """strategy: mine
transform: {default: {logicle: {t: 262144, w: 0.5, m: 4.5, a: 0}}, scatter: linear}
populations:
  - {name: CD4pos, parent: root, above: {marker: CD4, at: 2000}}
  - {name: CD25pos, parent: CD4pos, above: {marker: CD25, at: 1500}}
"""


def test_there_are_ten_tasks_with_two_ways_each() -> None:
    assert len(TASKS) == 10
    assert list(ROWS) == list(TASKS)
    assert {len(blocks) for blocks in TASKS.values()} == {2}


@pytest.mark.parametrize("task", TASKS)
def test_the_table_counts_the_lines_and_ours_are_not_more(task: str) -> None:
    ours, theirs = (len(block.strip().splitlines()) for block in TASKS[task])
    assert ROWS[task] == (ours, theirs)
    assert ours <= theirs


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Return the names that both ways use, in a folder with gates as Gating-ML and as a workspace."""
    folder = tmp_path_factory.mktemp("tasks")
    source = REPOSITORY / "sample_data" / "sle" / "fcs"
    files = [str(source / f"SLE001_{visit}.fcs") for visit in ("W0", "W10")]
    (folder / "mine.yaml").write_text(_GATES)
    gated = il.gate(il.read_fcs(files[0]), folder / "mine.yaml")
    gated.save(folder / "gates.xml")
    written = (folder / "gates.xml").read_text()  # with the ids that a person would give
    (folder / "gates.xml").write_text(re.sub(r"P\d_(\w+)", r"\1", written))
    gated.save(folder / "drawn.wsp")
    random = np.random.default_rng(1)
    before = random.lognormal(1.4, 0.3, 8)
    values = np.concatenate([before, before * random.lognormal(0.5, 0.2, 8)])
    table = pd.DataFrame({"id": list("ABCDEFGH") * 2, "visit": ["W0"] * 8 + ["W10"] * 8, "treg": values})
    names = {"il": il, "fk": fk, "np": np, "pd": pd, "scipy": scipy, "anndata": anndata}
    return {**names, "folder": folder, "file": files[0], "files": files, "table": table}


def test_every_task_runs_and_both_ways_agree(space: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(str(space["folder"])))
    ours, theirs = dict(space), dict(space)
    kept = {}
    for task, (left, right) in TASKS.items():
        if task == "Cluster and map":
            exec(TASKS["To scanpy"][0], ours)
        kept[task] = _value(left, ours), None if task in NOT_RUN else _value(right, theirs)
        plt.close("all")
    for task in ("Gate and count", "Move a threshold", "Many files to one table"):
        counts, report = kept[task]
        ours_by_name = counts.query("population != 'root'").groupby("population")["n_events"].sum()
        theirs_by_name = report.groupby("gate_name")["count"].sum()
        assert ours_by_name.to_dict() == theirs_by_name.to_dict(), task
    assert kept["Move a threshold"][0]["n_events"].iloc[-1] < kept["Gate and count"][0]["n_events"].iloc[-1]
    compared, (p_value, _) = kept["Paired comparison of a table"]
    assert compared.shifts["p_value"][0] == pytest.approx(p_value, rel=1e-6)
    assert ours["adata"].shape[0] == theirs["adata"].shape[0] == len(ours["tube"])
    assert (Path("again.wsp")).stat().st_size > 0


def _value(code: str, names: dict[str, object]) -> object:
    """Run a block and return its last line's value, as a notebook cell does."""
    *first, last = code.strip().splitlines()
    if last.startswith((" ", "with")) or re.match(r"\w+ = ", last):
        exec(code, names)
        return None
    exec("\n".join(first), names)
    return eval(last, names)
