"""Damaged single-cell files: each fails alone, whatever the library that reads them does."""

import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from dying_work import end_the_process, inspect_or_end

from immunolab.cli import main
from immunolab.errors import DataFileError
from immunolab.loaders import hdf5, inspect
from immunolab.loaders.hdf5 import read_through
from immunolab.loaders.single_cell import read_cells
from immunolab.workflow import label_cells


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    counts = np.random.default_rng(1).poisson(2.0, (60, 40)).astype(np.float32)
    cells = AnnData(counts, pd.DataFrame(index=[f"c{i}" for i in range(60)]))
    cells.var_names = [f"GENE{i}" for i in range(40)]
    cells.write_h5ad(tmp_path / "whole.h5ad", compression="gzip")
    return tmp_path / "whole.h5ad"


def test_a_sound_file_is_read_through_and_others_are_passed_over(whole, tmp_path):
    read_through(str(whole))
    (tmp_path / "note.txt").write_text("no HDF5")
    read_through(str(tmp_path / "note.txt"))
    read_through(str(tmp_path / "absent.h5ad"))


def test_damage_is_an_error_of_the_file_before_anndata_sees_it(whole, tmp_path):
    content, rng, named = whole.read_bytes(), random.Random(5), []
    for turn in range(60):
        place = rng.randrange(2048, len(content))
        damaged = content[:place] if turn % 2 else content[:place] + rng.randbytes(64) + content[place + 64 :]
        path = tmp_path / "damaged.h5ad"
        path.write_bytes(damaged)
        try:
            read_through(str(path))
            read_cells(path)
        except DataFileError as error:
            named.append(error.where)
    assert set(named) == {str(tmp_path / "damaged.h5ad")}
    assert len(named) >= 30  # every file that is cut short, and some of the others


def test_a_file_that_ends_the_process_costs_its_samples_alone(whole, tmp_path, monkeypatch):
    from immunolab.study.rows import Sample

    monkeypatch.setattr(label_cells, "read_through", end_the_process)
    damaged = tmp_path / "damaged.h5ad"
    damaged.write_bytes(whole.read_bytes())
    samples = [Sample(name, "P1", "W0", file) for name, file in (("a", whole), ("b", damaged), ("c", damaged))]
    errors = label_cells._damaged(samples, 2)
    assert sorted(errors) == ["b", "c"]
    assert errors["b"].message == "the worker died twice, reading the file"


@pytest.mark.parametrize("words", [["inspect"], ["label"]])
def test_a_file_that_ends_the_process_is_an_error_of_the_command(whole, tmp_path, monkeypatch, capsys, words):
    monkeypatch.setattr(inspect, "inspect_file", inspect_or_end)
    monkeypatch.setattr(hdf5, "read_through", end_the_process)
    damaged = tmp_path / "damaged.h5ad"
    damaged.write_bytes(whole.read_bytes())
    assert main([*words, str(damaged)]) == 1
    assert f"{damaged}  the worker died twice, reading the file" in capsys.readouterr().err
    assert main(["inspect", str(whole)]) == 0
