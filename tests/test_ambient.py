"""RNA of other cells and empty droplets among single cells: planted, found in the amount planted, and said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.sparse import csr_matrix

import immunolab as il
from immunolab.cells.ambient import ambient_rows, ambient_shares, said_of_ambient
from immunolab.cells.empty import empty_borders
from immunolab.cells.label import label_cells
from immunolab.cells.quality import check_cells
from immunolab.cells.reference import label_by_reference
from immunolab.cells.study_rows import population_counts
from immunolab.loaders.single_cell import interpret_cells
from immunolab.schema.flags import Check

_T = {"CD3D": 4.0, "CD3E": 4.0, "TRAC": 5.0, "CD2": 2.0, "IL7R": 2.0}
LEVELS = {
    "CD4": {**_T, "CD4": 1.5},
    "CD8": {**_T, "CD8A": 3.0, "CD8B": 3.0},
    "B": {"MS4A1": 4.0, "CD79A": 6.0, "CD79B": 4.0, "BANK1": 2.0, "CD19": 1.0},
    "Mono": {"LYZ": 12.0, "S100A8": 8.0, "S100A9": 9.0, "FCN1": 4.0, "CD14": 2.0},
}
GENES = sorted({gene for own in LEVELS.values() for gene in own})
OTHERS = [f"GENE{i}" for i in range(600)]


def counts_of_kinds(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return counts of so many cells of each kind, some 600 a cell, and their kinds."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(1)
    base = fixed.lognormal(-0.8, 0.8, len(OTHERS))
    means = np.vstack(
        [
            np.concatenate([[own.get(gene, 0.0) for gene in GENES], base * fixed.lognormal(0.0, 0.3, len(OTHERS))])
            for own in LEVELS.values()
        ]
    )
    kinds = np.repeat(np.arange(len(LEVELS)), n)
    return rng.poisson(means[kinds] * rng.lognormal(0.0, 0.2, (len(kinds), 1))), np.array(list(LEVELS))[kinds]


def with_ambient(counts: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Return counts of which a share is drawn from the average of all."""
    rng = np.random.default_rng(seed)
    pool = counts.sum(axis=0) / counts.sum()
    drawn = [rng.multinomial(int(share * total), pool) for total in counts.sum(axis=1)]
    return rng.binomial(counts, 1.0 - share) + np.array(drawn)


def cells_of(counts: np.ndarray) -> AnnData:
    obs = pd.DataFrame(index=[f"c{i}" for i in range(len(counts))])
    table = AnnData(csr_matrix(counts.astype(np.float32)), obs=obs, var=pd.DataFrame(index=[*GENES, *OTHERS]))
    return interpret_cells(table, sample_id="S")


@pytest.mark.parametrize(("share", "status"), [(0.0, "ok"), (0.16, "warn"), (0.4, "fail")])
def test_the_share_of_other_cells_rna_is_what_was_added(share: float, status: str) -> None:
    counts, kinds = counts_of_kinds(100, seed=2)
    lineages = {"CD3": np.isin(kinds, ["CD4", "CD8"]), "B": kinds == "B", "Mono": kinds == "Mono"}
    shares = ambient_shares(cells_of(with_ambient(counts, share, seed=3)), lineages)
    assert shares["S"] == pytest.approx(share, abs=0.03)
    (row,) = ambient_rows(shares).to_dict("records")
    assert row["check"] == Check.AMBIENT_PERCENT
    assert row["status"] == status
    assert bool(list(said_of_ambient(shares))) == (status != "ok")


def test_a_lineage_alone_and_a_few_cells_say_nothing_of_ambient_rna() -> None:
    counts, kinds = counts_of_kinds(60, seed=4)
    own = counts[kinds == "B"]
    assert ambient_shares(cells_of(own), {"B": np.ones(len(own), dtype=bool)}) == {}
    assert ambient_shares(cells_of(counts), {"B": np.arange(len(counts)) < 20}) == {}


def test_t_cells_drowned_in_other_cells_rna_are_not_called_cd4_or_cd8() -> None:
    """With .5 of Zheng's counts from the average cell 15 % of CD4 T cells were called CD4, without a word."""
    counts, kinds = counts_of_kinds(120, seed=5)
    found = label_cells(cells_of(with_ambient(counts, 0.4, seed=6)))
    label = found.table["label"].to_numpy()
    assert not np.isin(label, ["CD4", "CD8", "CD4_naive", "CD4_mem", "Treg"]).any()
    assert (label[np.isin(kinds, ["CD4", "CD8"])] == "CD3").mean() > 0.9
    assert any("RNA of other cells (ambient): S (" in note for note in found.notes)
    assert any("genes do not part CD4 from CD8 T cells in S" in note for note in found.notes)
    assert found.quality.table.set_index("check").loc["ambient_percent", "status"] == "fail"


def test_a_drowned_sample_beside_a_sound_one_has_no_share_of_cd4_rather_than_none() -> None:
    """CD4 fell from 50 % of T cells to 0 % in the visit whose suspension was full of broken cells."""
    counts, _ = counts_of_kinds(60, seed=5)
    cells = cells_of(np.vstack([counts, with_ambient(counts, 0.5, seed=6)]))
    cells.obs["sample_id"] = np.repeat(["pre", "on"], len(counts))
    rows = population_counts(label_cells(cells), ["pre", "on"], set(cells.var_names)).set_index(
        ["sample_id", "population"]
    )
    assert rows.loc[("pre", "CD4"), "percent_of_parent"] == pytest.approx(50, abs=5)
    assert rows.loc[[("on", "CD4"), ("on", "CD8")], "percent_of_parent"].isna().all()
    assert all("no_border" in flag for flag in rows.loc[[("on", "CD4"), ("on", "CD4_mem"), ("on", "CD8")], "flag"])
    assert rows.loc[("on", "CD3"), "percent_of_parent"] == pytest.approx(66, abs=5)
    sorted_cells = cells[cells.obs["sample_id"] == "on"].copy()
    assert not any("they stay CD3" in note for note in label_cells(sorted_cells, population="CD4").notes)
    il.label(cells, quiet=True)
    cells.obs["patient"] = "P1"
    compared = il.compare_cells(cells, patient="patient", visit="sample_id", before="pre", after="on").shifts
    n_pairs = compared.set_index("endpoint")["n_pairs"]
    assert n_pairs[["CD3_pct_lymphocytes", "CD4_pct_CD3", "CD8_pct_CD3"]].tolist() == [1, 0, 0]


def test_empty_droplets_of_few_counts_are_found_and_cells_of_few_counts_are_not() -> None:
    counts, _ = counts_of_kinds(300, seed=7)
    rng = np.random.default_rng(8)
    pool = counts.sum(axis=0) / counts.sum()
    empty = np.array([rng.multinomial(n, pool) for n in rng.integers(60, 180, 600)])
    few = rng.binomial(counts[rng.random(len(counts)) < 0.4], 0.35)
    samples = np.full(len(counts) + 600, "S", dtype=object)
    both = np.vstack([counts, empty])
    border = empty_borders(csr_matrix(both), samples)
    lost = both.sum(axis=1) < border
    assert lost[len(counts) :].mean() > 0.85
    assert lost[: len(counts)].mean() < 0.02
    assert not empty_borders(csr_matrix(np.vstack([counts, few])), np.full(len(counts) + len(few), "S")).any()
    assert not empty_borders(csr_matrix(counts), np.full(len(counts), "S")).any()
    quality = check_cells(cells_of(both))
    assert not quality.passed[lost].any()
    assert any(f"{int(lost.sum())} cells are empty droplets" in note for note in quality.notes)


def test_a_reference_says_much_ambient_rna_too_and_that_no_cell_passed() -> None:
    """The note was lost where a reference labelled; cells that all fail, as of a pool of doublets, stopped the run."""
    counts, kinds = counts_of_kinds(60, seed=5)
    reference = cells_of(counts)
    reference.obs["kind"] = kinds
    found = label_by_reference(cells_of(with_ambient(counts, 0.4, seed=6)), reference, "kind")
    assert any("RNA of other cells (ambient): S (" in note for note in found.notes)
    none = cells_of(counts[:30])
    none.obs["sample_id"] = "hashtag_none"
    failed = label_by_reference(none, reference, "kind")
    assert set(failed.table["label"]) == {"unassigned"}
    assert not failed.table["confidence"].any()
    assert "no cell passes every limit: none has a label of the reference" in failed.notes


def test_labelling_again_does_not_repeat_what_was_said_of_other_cells(tmp_path: Path) -> None:
    counts, _ = counts_of_kinds(40, seed=5)
    cells = cells_of(with_ambient(counts, 0.4, seed=6))
    il.label(cells, quiet=True)
    assert any("they stay CD3" in note for note in cells.uns["immunolab"]["notes"])
    cells[:20].write_h5ad(tmp_path / "some.h5ad")
    again = il.read_cells(tmp_path / "some.h5ad")
    il.label(again, quiet=True)
    assert not any("they stay CD3" in note for note in again.uns["immunolab"]["notes"])
