"""Types of the face: an editor and a strict type checker see what each name gives, in a user's own file."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from builders import REPOSITORY

import immunolab as il

# what a user writes, and what a strict checker says of it; the code is checked, not run
USE = """
from pathlib import Path
import pandas as pd
import immunolab as il

tube = il.read_fcs("P01_W0.fcs", panel="panel.csv")
reveal_type(tube["CD4"])  # ndarray
reveal_type(len(tube))  # int
reveal_type(tube.channels)  # tuple[Channel, ...]
reveal_type(tube.to_frame("display"))  # DataFrame
reveal_type(tube.head(3))  # DataFrame
gated = il.gate(tube, "treg_th17_tfh_teff")
reveal_type(gated)  # GatedTube
reveal_type(gated["Treg"])  # Tube
reveal_type(gated["Treg", "CD25"])  # ndarray
reveal_type(gated.percent("Treg", of="CD4"))  # float
reveal_type(gated.counts)  # DataFrame
mended = gated.move("CD25", to=3000)
reveal_type(mended)  # GatedTube
reveal_type(gated.move("CD25", to=(300, None), population=["Treg"]))  # GatedTube
reveal_type(gated.add("box", {"polygon": {"x": "CD25", "y": "CD127", "points": [(1, 2), (3, 4), (5, 0)]}}))  # GatedTube
reveal_type(gated.strategy.diff(mended.strategy))  # StrategyDiff
reveal_type(gated.strategy.diff(mended.strategy).table)  # DataFrame
reveal_type(gated.regate(mended.strategy.remove("Tfr").rename("Treg", "Tregs")))  # GatedTube
reveal_type(il.pl.scatter(tube, "CD4", "CD8"))  # Axes
reveal_type(il.pl.gate(gated, "Treg"))  # Axes
many = il.gate([tube, tube], il.builtin_strategy("cytof"), share="patient")
reveal_type(many)  # list[GatedTube]
own = il.Strategy("own").add("CD3", "CD3+").move("CD3", to=600)
reveal_type(own)  # Strategy
reveal_type(own["CD3"])  # Population
reveal_type(own.save("own.yaml"))  # tuple[Problem, ...]
reveal_type(il.read_strategy(Path("gates.xml")))  # Strategy
reveal_type(gated.to_anndata())  # AnnData
study = il.read_study("study.yaml")
reveal_type(study)  # Study
run = il.run(study, out="out")
reveal_type(run)  # Run
reveal_type(il.read_run("out"))  # Run
reveal_type(run.shifts)  # DataFrame
reveal_type(run.figure("treg_pct_cd4"))  # Figure
reveal_type(run.patient("P01"))  # PatientRows
reveal_type(run.tube("P01_W0"))  # GatedTube
table = pd.DataFrame()
found = il.compare(table, patient="id", visit="visit", before="W0", after="W10", value="treg", unit="%")
reveal_type(found)  # Comparison
reveal_type(found.shifts)  # DataFrame
reveal_type(il.compare_endpoints(table, il.Plan("W0", "W10")))  # Comparison
"""
WRONG = """
import immunolab as il
tube = il.read_fcs("P01_W0.fcs")
il.gate(tube, "cytof", share="patients")  # call-overload
tube.to_frame("log")  # arg-type
il.gate(tube, "cytof").move("CD25", to="3000")  # arg-type
il.Strategy("s").add("a", "CD4+", parnet="CD3")  # call-arg
il.read_fc  # attr-defined
"""
UNTYPED = ("DataFrame", "AnnData")  # of packages whose types editors read, and mypy only from stubs
STRICT = """
[[tool.mypy.overrides]]
module = ["use"]
disallow_any_generics = true
disallow_incomplete_defs = true
disallow_subclassing_any = true
disallow_untyped_calls = true
disallow_untyped_decorators = true
extra_checks = true
no_implicit_reexport = true
strict_equality = true
warn_return_any = true
warn_unused_ignores = true
"""


def _checked(folder: Path, code: str) -> list[str]:
    """Check a user's file beside the package: with its settings, so that what `mypy` found of it is not found anew."""
    (folder / "use.py").write_text(code)
    settings = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    (folder / "pyproject.toml").write_text(re.sub(r"(?ms)\A.*?(?=^\[tool\.mypy\])", "", settings) + STRICT)
    words = ["--config-file", str(folder / "pyproject.toml"), "--show-error-codes", str(folder / "use.py")]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *words],
        cwd=REPOSITORY,
        env=os.environ | {"MYPYPATH": "."},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    lines = [line.partition("use.py:") for line in done.stdout.splitlines()]
    assert [line for line in lines if not line[1]][1:] == []  # but for the count at the end
    return [f"{name}{rest}" for _, name, rest in lines if name]


def _commented(code: str) -> dict[int, str]:
    lines = enumerate(code.splitlines(), start=1)
    return {number: line.rsplit("  # ", 1)[1] for number, line in lines if "  # " in line}


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for line in _checked(tmp_path_factory.mktemp("types"), USE + WRONG):
        found.setdefault(int(line.split(":")[1]), []).append(line.split(": ", 1)[1])
    return found


def _is(kind: str, lines: list[str]) -> bool:
    """Whether a type was revealed as said."""
    shown = re.sub(r"[\w.]+\.(\w+)", r"\1", " ".join(lines))
    return any(f'Revealed type is "{one}' in shown for one in ([kind, "Any"] if kind in UNTYPED else [kind]))


def test_each_name_gives_what_it_says_it_gives(said: dict[int, list[str]]) -> None:
    asked = _commented(USE)
    assert {number: said[number] for number, kind in asked.items() if not _is(kind, said[number])} == {}
    last = len(USE.splitlines())
    assert [line for number, lines in said.items() if number <= last for line in lines if "error:" in line] == []


def test_slips_are_seen_before_the_code_runs(said: dict[int, list[str]]) -> None:
    first, asked = len(USE.splitlines()), _commented(WRONG)
    unseen = {
        n: said.get(first + n) for n, code in asked.items() if f"[{code}]" not in " ".join(said.get(first + n, []))
    }
    assert unseen == {}


def test_every_module_of_the_face_is_checked_strictly_and_its_types_are_in_the_wheel() -> None:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    (strict,) = [one for one in settings["tool"]["mypy"]["overrides"] if one.get("disallow_any_generics")]
    lacking = [m for m in il._FACE.values() if not any(fnmatchcase(m, pattern) for pattern in strict["module"])]
    assert [module for module in lacking if f"{module}.*" not in strict["module"]] == []
    assert (REPOSITORY / "immunolab" / "py.typed").is_file()
