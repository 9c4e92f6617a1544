"""Files that do not name their markers: one table of channels and markers for reading, gating and clustering."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fcs_builder import write_fcs
from planted import planted_tube

import immunolab as il
from immunolab.cli import main
from immunolab.errors import GatingError

STRATEGY = "numbers: instrument\nstrategy: s\ntransform: {default: {asinh: {cofactor: 150}}}\npopulations:\n"
STRATEGY += "  - {name: CD3, parent: root, above: {marker: CD3, at: 600}}\n"


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    found = []
    for seed in (0, 1):
        tube, _ = planted_tube(seed, 1_500, markers=("CD3", "CD4", "CD8"))
        path = tmp_path / f"t{seed}.fcs"
        write_fcs(path, tube.columns.T, ["FSC-A", "FSC-H", "SSC-A", "FL1-A", "FL2-A", "FL3-A"])
        found.append(path)
    (tmp_path / "panel.csv").write_text("Channel,Marker\nFSC-A,NA\nFL1-A,CD3\nFL2-A,CD4\nFL3-A,CD8\n")
    (tmp_path / "panel.yaml").write_text("FL1-A: CD3\nFL2-A: CD4\nFL3-A: CD8\n")
    (tmp_path / "s.yaml").write_text(STRATEGY)
    return found


@pytest.mark.parametrize("table", ["panel.csv", "panel.yaml"])
def test_files_without_marker_names_are_gated_and_read_by_one_table(files: list[Path], table: str) -> None:
    folder = files[0].parent
    panel, gates = folder / table, folder / "s.yaml"
    assert (
        main(["gate", *map(str, files), "--strategy", str(gates), "--panel", str(panel), "-o", str(folder / "o")]) == 0
    )
    counts = pd.read_csv(folder / "o" / "counts.csv").query("population == 'CD3'")["n_events"].tolist()
    tubes = [il.read_fcs(path, panel=panel) for path in files]
    assert counts == [int((tube["CD3"] >= 600).sum()) for tube in tubes]


def test_files_without_marker_names_are_clustered_on_the_markers_of_the_table(files: list[Path]) -> None:
    folder = files[0].parent
    words = ["--panel", str(folder / "panel.csv"), "--clusters", "4", "-o", str(folder / "o")]
    assert main(["cluster", *map(str, files), *words]) == 0
    profiles = pd.read_csv(folder / "o" / "profiles.csv")
    assert {"median_CD3", "median_CD4", "median_CD8"} <= set(profiles.columns)


def test_scales_that_data_choose_are_those_of_the_markers(files: list[Path]) -> None:
    folder = files[0].parent
    (folder / "s.yaml").write_text(STRATEGY.replace("{asinh: {cofactor: 150}}", "auto"))
    words = ["--strategy", str(folder / "s.yaml"), "--panel", str(folder / "panel.csv"), "-o", str(folder / "o")]
    assert main(["gate", *map(str, files), *words]) == 0
    assert "CD3" in set(pd.read_csv(folder / "o" / "scales.csv")["channel"])


def test_a_slip_in_the_table_is_named(files: list[Path]) -> None:
    path = files[0].with_name("named.fcs")
    write_fcs(path, il.read_fcs(files[0]).columns.T[:, :3], ["FSC-A", "PE-Texas Red-A", "APC-A"])
    tube = il.read_fcs(path, panel={"PE-TxRed-A": "CD3", "APC-A": "CD4", "BV605-A": "CD25"})
    said = [text for text in tube.warnings if "panel" in text]
    assert said == ["the panel names channel 'PE-TxRed-A', which the file lacks: did you mean 'PE-Texas Red-A'?"]
    np.testing.assert_array_equal(tube["CD4"], tube["APC-A"])


def test_a_tube_without_any_marker_says_how_to_name_them(files: list[Path]) -> None:
    with pytest.raises(GatingError, match=r"the file names no marker: give them, read_fcs\(file, panel='panel.csv'\)"):
        il.read_fcs(files[0])["CD4"]
