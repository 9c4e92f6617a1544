"""Surface proteins as laboratories write them: logs, ratios and roots of counts, names of antibodies, gaps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from immunolab.cells.label import label_cells
from immunolab.cells.protein_stains import StainLevels, learn_stains
from immunolab.cells.reference import _in_common
from immunolab.errors import DataFileError, InputError
from immunolab.events.cells import notes_of, proteins_are_counts, proteins_of
from immunolab.loaders.cell_features import protein_markers
from immunolab.loaders.protein_counts import counts_from
from immunolab.loaders.single_cell import interpret_cells, join_cells

NINE = ("CD3", "CD4", "CD8", "CD14", "CD19", "CD25", "CD45RA", "CD56", "CD127")
CARRIED = {
    "CD4": ("CD3", "CD4", "CD127"), "CD8": ("CD3", "CD8", "CD45RA"), "B": ("CD19", "CD45RA"), "Mono": ("CD14",),
    "NK": ("CD56", "CD45RA"),
}  # fmt: skip


def drawn(n: int = 240, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return counts of nine proteins, and the kind of each cell."""
    rng = np.random.default_rng(seed)
    kind = np.repeat(list(CARRIED), n)
    positive = np.array([[marker in CARRIED[name] for marker in NINE] for name in kind])
    depth = rng.gamma(8, 1 / 8, (len(kind), 1))
    return rng.negative_binomial(4, 4 / (4 + depth * np.where(positive, 150, 4))).astype(float), kind


def cells_of(values: np.ndarray) -> AnnData:
    table = pd.DataFrame(values, columns=list(NINE), index=[str(i) for i in range(len(values))])
    return interpret_cells(AnnData(obsm={"protein": table}))


def log_ratio(counts: np.ndarray, axis: int) -> np.ndarray:
    """Seurat's CLR: along a cell (1) or a protein (0)."""
    return np.log1p(counts / np.exp(np.log1p(counts).mean(axis=axis, keepdims=True)))


WRITTEN: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "logs": np.log1p,
    "logs to base 2": lambda x: np.log2(x + 1),
    "arcsinh": lambda x: np.arcsinh(x / 5),
    "per 10,000": lambda x: 1e4 * x / x.sum(axis=1, keepdims=True),
    "logs per 10,000": lambda x: np.log1p(1e4 * x / x.sum(axis=1, keepdims=True)),
    "log ratio by cell": lambda x: log_ratio(x, 1),
    "log ratio by protein": lambda x: log_ratio(x, 0),
    "centred log ratio": lambda x: np.log1p(x) - np.log1p(x).mean(axis=1, keepdims=True),
    "roots": np.sqrt,
    "shares of the highest": lambda x: x / x.max(axis=0),  # were taken for roots, and the counts squared
    "logs with five decimals": lambda x: np.round(np.log1p(x), 5),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_counts_are_worked_out_from_what_was_made_of_them(name: str) -> None:
    counts, _ = drawn(60)
    values = WRITTEN[name](counts)
    found = proteins_of(cells := cells_of(values.astype(np.float32) if "five" not in name else values))
    assert proteins_are_counts(cells)
    assert found is not None
    # a cell whose counts have a common factor may have them without it
    assert (found.to_numpy() == counts).all(axis=1).mean() > 0.98
    assert any("they are used as counts" in note for note in notes_of(cells))


@pytest.mark.parametrize("back", [np.log1p, lambda x: np.log2(x + 1), np.sqrt])
def test_few_counts_are_not_read_thirty_times_too_many(back: Callable[[np.ndarray], np.ndarray]) -> None:
    """Of counts of 0 to 3 nearly all values are one of two: some whole numbers have their ratio by chance."""
    counts = np.random.default_rng(7).negative_binomial(1, 1 / 1.2, (800, 9)).astype(float)
    found, _ = counts_from(back(counts).astype(np.float32).astype(float))
    assert found is not None
    assert (found == counts).all()


@pytest.mark.parametrize("seed", range(4))
def test_values_that_are_made_of_no_counts_are_left_as_they_are(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sparse = np.where(rng.random((900, 9)) < 0.6, 0.0, rng.gamma(2, 1, (900, 9)))
    for values in (rng.gamma(2, 1, (900, 9)), rng.normal(1, 2, (900, 9)), sparse, np.round(sparse, 2)):
        assert counts_from(values)[0] is None


def test_values_from_0_to_1_give_the_labels_that_counts_give() -> None:
    counts, kind = drawn()
    log = np.log1p(counts) + np.random.default_rng(1).normal(0, 0.05, counts.shape)  # no counts can be worked out
    low, high = log.min(axis=0), log.max(axis=0)
    found = label_cells(cells_of((log - low) / (high - low))).table["label"].astype(str).to_numpy()
    called = np.array(["CD4" if name == "Treg" or name.startswith("CD4") else name for name in found])
    assert (called == kind).mean() > 0.9  # none was named before


def test_a_level_that_few_cells_showed_moves_to_where_the_others_are() -> None:
    rng = np.random.default_rng(0)
    carried = np.array([[0.97, 0.03], [0.03, 0.97], [0.97, 0.03], [0.03, 0.97]])
    first = rng.random(4000) < 0.1
    positive = np.where(first[:, None], carried[:, 0] > 0.5, carried[:, 1] > 0.5)
    values = np.where(positive, 2.0, 0.0) + rng.normal(0, 0.6, positive.shape)
    share = np.array([0.5, 0.5, 0.003, 0.5])  # the third was read from the brightest cells alone
    levels = StainLevels(np.zeros(4), np.array([2.0, 2.0, 3.8, 2.0]), np.full(4, 0.6), np.full(4, 0.6), share)
    learn_stains(levels, values, carried, None)
    assert levels.high[2] == pytest.approx(2.0, abs=0.2)


@pytest.mark.parametrize(
    ("written", "marker"),
    [("adt_CD3-1", "CD3"), ("CD14_1", "CD14"), ("Hu.CD14-1", "CD14"), ("HuCD45RA", "CD45RA"), ("CD141", "CD141")],
)
def test_the_number_of_a_copy_is_no_part_of_the_marker(written: str, marker: str) -> None:
    assert protein_markers([written])[0] == (marker,)


def test_of_two_antibodies_against_one_marker_the_one_that_parts_cells_counts() -> None:
    counts, _ = drawn(60)
    table = pd.DataFrame(counts, columns=list(NINE)).rename(columns={"CD4": "CD4-2"})
    table.insert(0, "CD4-1", np.random.default_rng(3).poisson(4, len(table)))
    cells = interpret_cells(AnnData(obsm={"adt": table.set_axis(table.index.astype(str))}))
    found = proteins_of(cells)
    assert found is not None
    assert (found["CD4"].to_numpy() == counts[:, NINE.index("CD4")]).all()
    assert any("'CD4-2', of the wider range, counts" in note for note in notes_of(cells))


def test_a_protein_that_many_cells_lack_is_left_out_and_said() -> None:
    counts, _ = drawn(60)
    counts[:40, NINE.index("CD25")] = np.nan
    cells = cells_of(counts)
    found = proteins_of(cells)
    assert found is not None
    assert tuple(found.columns) == tuple(name for name in NINE if name != "CD25")
    assert "CD25: 40 of 300 cells have no value; it is left out" in notes_of(cells)


def test_proteins_that_all_lack_cells_are_left_out_and_said() -> None:
    """Files put together of which some had no proteins: all proteins went without a word."""
    counts, _ = drawn(60)
    counts[:20] = np.nan
    genes = AnnData(np.ones((len(counts), 2), dtype=np.float32), var=pd.DataFrame(index=["CD3D", "MS4A1"]))
    genes.obsm["protein"] = pd.DataFrame(counts, columns=list(NINE), index=genes.obs_names)
    cells = interpret_cells(genes)
    assert proteins_of(cells) is None
    said = "surface proteins are left out: each lacks a value in 20 of 300 cells and more, 20 cells lack all"
    assert said in notes_of(cells)
    with pytest.raises(DataFileError, match="neither genes nor surface proteins"):
        cells_of(counts)


def test_a_gap_in_a_cell_of_log_ratios_does_not_change_its_other_counts() -> None:
    """The gap was read as a ratio of 0, and the cell's counts came out twentyfold."""
    counts, _ = drawn(60)
    values = WRITTEN["centred log ratio"](counts)
    values[:3, NINE.index("CD25")] = np.nan
    found = proteins_of(cells_of(values))
    assert found is not None
    others = [place for place, name in enumerate(NINE) if name != "CD25"]
    assert found.to_numpy()[:3, others] == pytest.approx(counts[:3, others])


def test_counts_of_a_reference_are_not_compared_with_other_values_of_the_cells() -> None:
    """All cells came out unlike the reference, which was said to be of another tissue, platform or state."""
    counts, kind = drawn(20)
    other = cells_of(np.log1p(counts) + np.random.default_rng(1).normal(0, 0.05, counts.shape))
    with pytest.raises(InputError, match="9 surface proteins are in both; surface proteins are counts in one"):
        _in_common(cells_of(counts), kind, other)
    assert _in_common(cells_of(counts), kind, cells_of(counts))[0].shape == counts.shape


def test_counts_and_other_values_of_two_files_are_not_put_together() -> None:
    counts, _ = drawn(60)
    other = np.log1p(counts) + np.random.default_rng(1).normal(0, 0.05, counts.shape)
    joined = join_cells([cells_of(counts), cells_of(other)])
    assert proteins_of(joined) is None
    assert "surface proteins are counts in some files and not in others; they are left out" in notes_of(joined)


def test_a_protein_of_one_value_in_all_cells_is_no_negative_population() -> None:
    """CCR7 of zeros alone made all CD4 T cells CD4_EM and CD4_TEMRA; of a transformed one probabilities were NaN."""
    counts, _ = drawn(60)
    counts[:, NINE.index("CD25")] = 0.0
    found = label_cells(cells_of(counts))
    assert "CD25: one value in every cell, nothing was recorded; it is not used" in found.notes
    assert not {"Treg", "CD25"} & {*found.members, *found.thresholds["population"], *found.thresholds["marker"]}
    nothing = label_cells(cells_of(np.zeros_like(counts)))
    assert set(nothing.table["label"]) == {"unassigned"}


def test_cells_too_few_for_borders_of_proteins_are_not_said_to_lack_these() -> None:
    notes = label_cells(cells_of(drawn(4)[0])).notes
    assert "20 cells are too few for borders of surface proteins; no lineage is named by them" in notes
    assert not any("was measured; not assessed" in note for note in notes)
