"""What a run keeps of each tube takes little disk, comes back as it was, and an older cache is still read."""

from __future__ import annotations

import gzip
import hashlib
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from immunolab.events.storage import load_tube, save_tube
from immunolab.events.tube import Channel, Spillover, Tube
from immunolab.gating.record_codec import to_plain
from immunolab.gating.strategy import Dimension, Population, Rectangle, Strategy
from immunolab.gating.tube_gates import FailedPlacement, TubeGates
from immunolab.study.sheet import PlannedComparison, Sample, Study
from immunolab.workflow import label_cells
from immunolab.workflow.placed_files import read_placed, write_placed
from immunolab.workflow.store import Store


def _tube() -> Tube:
    values = np.random.default_rng(0).lognormal(6.0, 1.5, (12, 50_000)).astype(np.float32)
    values[:6] = np.round(values[:6])  # as half of the published tubes hold them
    channels = tuple(Channel(f"D{i}-A", marker=f"M{i}") for i in range(12))
    spillover = Spillover(("D0-A", "D1-A"), np.array([[1.0, 0.1], [0.02, 1.0]]))
    return Tube(values, channels, spillover, sample_id="s", file="s.fcs", sha256="0" * 64)


def test_a_stored_subsample_is_packed_and_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    tube = _tube()
    first, second = tmp_path / "a.npz", tmp_path / "b.npz"
    save_tube(tube, first)
    save_tube(tube, second)
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_size < 0.9 * tube.columns.nbytes
    back = load_tube(first)
    assert np.array_equal(back.columns, tube.columns)
    assert back.columns.dtype == np.float32
    assert (back.channels, back.sample_id, back.sha256) == (tube.channels, "s", tube.sha256)
    assert np.array_equal(back.spillover.matrix, tube.spillover.matrix)


def test_placed_gates_take_a_tenth_and_are_the_same_bytes_twice(tmp_path: Path) -> None:
    sides = [(i / 7, i / 3) for i in range(60)]
    gates = [Rectangle((Dimension(f"D{i}-A"),), (low,), (high,)) for i, (low, high) in enumerate(sides)]
    placed = TubeGates(Strategy("s", tuple(Population(f"/p{i}", gate) for i, gate in enumerate(gates))))
    failed = FailedPlacement("lacks CD4", "name it in the panel")
    write_placed({"a": placed, "b": failed}, tmp_path / "gates-1")
    text = json.dumps(to_plain(placed))
    assert sum(path.stat().st_size for path in (tmp_path / "gates-1").iterdir()) < 0.2 * len(text)
    assert read_placed(str(tmp_path / "gates-1"), "a") == placed
    assert read_placed(str(tmp_path / "gates-1"), "b") == failed
    write_placed({"a": placed, "b": failed}, tmp_path / "gates-2")
    packed = [(tmp_path / name / "a.json.gz").read_bytes() for name in ("gates-1", "gates-2")]
    assert packed[0] == packed[1]
    assert gzip.decompress(packed[0]).decode() == text


def test_single_cells_of_the_cache_have_the_same_bytes_at_another_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill during the single cells left a folder with other bytes: a ZIP holds when its members were written."""
    frames = {name: pd.DataFrame({"a": [1.5, 2.0]}) for name in label_cells._FRAMES}
    tables = label_cells.CellTables(**frames, rows=(), endpoints=(), further={}, notes=("one",))
    label_cells._write(tables, tmp_path / "a.zip")
    monkeypatch.setattr(time, "time", lambda: 2_000_000_000.0)
    label_cells._write(tables, tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert label_cells._read(tmp_path / "b.zip").notes == ("one",)


def test_a_folder_of_cells_has_a_hash_among_the_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders (10x, zarr) had none: `verify` did not see that one was replaced."""
    folder = tmp_path / "P01.zarr"
    (folder / "X").mkdir(parents=True)
    (folder / "X" / "0.0").write_bytes(b"counts")
    sample = Sample("P01_cells", "P01", "W0", folder, modality="single_cell")
    study = Study("s", tmp_path, tmp_path / "study.yaml", None, (sample,), {}, PlannedComparison(), ())
    monkeypatch.setattr(Store, "cached", lambda *names: folder)  # labelled before
    monkeypatch.setattr(label_cells, "_read", lambda path: label_cells.CellTables())
    found = label_cells.study_cells(study, Store(tmp_path))
    whole = hashlib.sha256(json.dumps({"X/0.0": hashlib.sha256(b"counts").hexdigest()}).encode()).hexdigest()
    assert found.hashes == {"P01_cells": whole}
