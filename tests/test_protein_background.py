"""Surface proteins against droplets without cells: planted truth of what floats in the suspension."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, concat
from test_label_evidence import drawn, lineage, proteins

import immunolab as il
from immunolab.cells.label import label_cells
from immunolab.errors import DataFileError
from immunolab.events.cells import notes_of
from immunolab.loaders.empty_droplets import add_background
from immunolab.loaders.single_cell import interpret_cells


def droplets(ambient: dict[str, float], n: int = 400, *, batch: str = "", seed: int = 5) -> AnnData:
    """Return droplets without cells that show what floats in the suspension."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({name: rng.poisson(mean * rng.gamma(20, 1 / 20, n)) for name, mean in ambient.items()})
    table.index = [f"empty{batch}{i}" for i in range(n)]
    obs = pd.DataFrame({"batch": batch}, index=table.index) if batch else pd.DataFrame(index=table.index)
    return AnnData(obs=obs, obsm={"protein": table.astype(float)})


AMBIENT = {"CD3": 3.0, "CD4": 5.0, "CD8": 150.0, "CD19": 2.0, "CD45RA": 4.0, "CD127": 3.0}


def sorted_cd4(ambient: dict[str, float], n: int = 600, *, seed: int = 0) -> dict[str, np.ndarray]:
    """Return mean counts of CD4 T cells, half of them naive, in a suspension with much of one antibody."""
    own = {"CD3": 80.0, "CD4": 200.0, "CD8": 1.0, "CD19": 1.0, "CD127": 40.0}
    levels = {name: np.full(n, mean + ambient[name]) for name, mean in own.items()}
    naive = np.random.default_rng(seed).random(n) < 0.5
    return levels | {"CD45RA": np.where(naive, 90.0, 4.0) + ambient["CD45RA"]}


def test_what_floats_in_the_suspension_is_no_staining(tmp_path: Path) -> None:
    """A sort of CD4 cells in a suspension full of CD8 antibody: droplets without cells show as much CD8."""
    proteins(sorted_cd4(AMBIENT)).write_h5ad(tmp_path / "cells.h5ad")
    without = label_cells(il.read_cells(tmp_path / "cells.h5ad"))
    cells = proteins(sorted_cd4(AMBIENT))
    add_background(cells, droplets(AMBIENT))
    found = label_cells(cells)
    assert (lineage(found) == "CD4").mean() >= 0.95
    assert (lineage(found) == "CD4").mean() > (lineage(without) == "CD4").mean() + 0.5
    assert any("400 droplets without cells" in note for note in found.notes)
    assert any(note.startswith("CD8: one group, no brighter than droplets without cells") for note in found.notes)


def test_batches_with_other_backgrounds_share_no_level_of_unstained_cells() -> None:
    other = AMBIENT | {"CD45RA": 15.0}
    levels = [sorted_cd4(AMBIENT), sorted_cd4(other, seed=1)]
    both = {name: np.concatenate([part[name] for part in levels]) for name in AMBIENT}
    batch = pd.DataFrame({"batch": np.repeat(["one", "two"], 600)})
    cells = proteins(both, obs=batch)
    empty = concat([droplets(AMBIENT, batch="one"), droplets(other, batch="two")])
    add_background(cells, empty)
    assert any("800 droplets without cells, one for each of 2 batches" in note for note in notes_of(cells))
    pooled = proteins(both, obs=batch)
    add_background(pooled, droplets(AMBIENT))
    assert any("one background for all 2 batches of the cells" in note for note in notes_of(pooled))
    naive = np.concatenate([part["CD45RA"] - part["CD45RA"].min() > 1 for part in levels])
    got = np.isin(label_cells(cells).table["label"], ["CD4_naive"])
    for inside in (slice(0, 600), slice(600, 1200)):
        assert (got == naive)[inside].mean() > 0.95


def test_droplets_that_cannot_be_a_background_are_refused() -> None:
    cells = proteins(sorted_cd4(AMBIENT))
    with pytest.raises(DataFileError, match="fewer than 100 droplets without cells"):
        add_background(cells, droplets(AMBIENT, 50))
    with pytest.raises(DataFileError, match="lack proteins of the cells: CD127"):
        add_background(cells, droplets({name: AMBIENT[name] for name in AMBIENT if name != "CD127"}))
    with pytest.raises(DataFileError, match="cells with counts of surface proteins"):
        add_background(interpret_cells(drawn({"B": 60})), droplets(AMBIENT))
