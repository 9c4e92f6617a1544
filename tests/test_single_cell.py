"""Single-cell files: what is read from them, and what is said of a file that cannot be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from builders import data_folder
from scipy.sparse import csr_matrix
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from immunolab.cells import doublets, quality
from immunolab.cells.quality import check_cells
from immunolab.clustering.principal_axes import principal_axes
from immunolab.errors import DataFileError
from immunolab.events.cells import counts_of, gene_columns, notes_of, proteins_of, sample_ids_of
from immunolab.loaders.single_cell import interpret_cells, join_cells, read_cells
from immunolab.vocabulary.signatures import ensembl_symbols, expected_levels, lineages

GENES = [gene for names in lineages().values() for gene in names][:80]


def small(n: int = 60, genes: list[str] | None = None, seed: int = 0) -> AnnData:
    names = genes or [*GENES, "MT-ND1", "MT-CO1"]
    counts = np.random.default_rng(seed).poisson(2.0, (n, len(names))).astype(np.float32)
    index = [f"cell{i}" for i in range(n)]
    return AnnData(csr_matrix(counts), obs=pd.DataFrame(index=index), var=pd.DataFrame(index=names))


def written(data: AnnData, folder: Path, name: str = "cells.h5ad") -> Path:
    data.write_h5ad(folder / name)
    return folder / name


def test_counts_are_found_in_x_layer_and_raw(tmp_path: Path) -> None:
    data = small()
    plain = read_cells(written(data, tmp_path, "x.h5ad"))
    logged = data.copy()
    logged.X = csr_matrix(np.log1p(1e4 * data.X.toarray() / data.X.sum(axis=1)))
    in_raw = logged.copy()
    in_raw.raw = data
    logged.layers["counts"] = data.X
    for name, one in (("layer", logged), ("raw", in_raw)):
        found = read_cells(written(one, tmp_path, f"{name}.h5ad"))
        assert (counts_of(found) != counts_of(plain)).nnz == 0
        assert np.allclose(found.X.toarray(), plain.X.toarray(), atol=1e-5)


def test_a_normalised_matrix_is_recognised_and_brought_to_ten_thousand(tmp_path: Path) -> None:
    data = small()
    plain = read_cells(written(data, tmp_path, "x.h5ad"))
    for total in (1e4, 1e6):
        logged = data.copy()
        logged.X = csr_matrix(np.log1p(total * data.X.toarray() / data.X.sum(axis=1)), dtype=np.float32)
        found = read_cells(written(logged, tmp_path, "log.h5ad"))
        assert counts_of(found) is None
        assert any("already normalised" in note for note in notes_of(found))
        # counts per million are still counts per ten thousand once they are logged anew
        assert np.allclose(found.X.toarray(), plain.X.toarray(), atol=2e-3)


def test_z_scores_without_counts_are_refused(tmp_path: Path) -> None:
    data = small()
    dense = data.X.toarray()
    data.X = (dense - dense.mean(axis=0)) / dense.std(axis=0)
    path = written(data, tmp_path)
    with pytest.raises(DataFileError) as caught:
        read_cells(path)
    assert str(caught.value) == (
        f"{path}  the matrix holds z-scores (negative values), and there are no counts\n"
        "    hint: put raw counts into layers['counts']"
    )


def test_gene_ids_are_mapped_by_a_column_or_by_the_vocabulary(tmp_path: Path) -> None:
    by_symbol = {symbol: gene for gene, symbol in ensembl_symbols().items()}
    known = [gene for gene in GENES if gene in by_symbol]
    data = small(genes=[f"{by_symbol[gene]}.3" for gene in known])
    found = read_cells(written(data, tmp_path))
    assert list(found.var_names) == known
    data.var["gene_symbols"] = [f"S{i}" if i else "CD3D" for i in range(len(known))]
    assert read_cells(written(data, tmp_path)).var_names[:2].tolist() == ["CD3D", "S1"]


@pytest.mark.parametrize(
    ("written_as", "said"),
    [("{lower}", "lower case"), ("ENSG{i:011d}_{gene}", "an id and a symbol"), (" {gene} ", "")],
)
def test_symbols_are_found_however_they_are_written(written_as: str, said: str) -> None:
    genes = list(dict.fromkeys(GENES))
    names = [written_as.format(lower=gene.lower(), gene=gene, i=i) for i, gene in enumerate(genes)]
    found = interpret_cells(small(genes=names))
    assert list(found.var_names) == [gene if "lower" not in written_as else gene.upper() for gene in genes]
    assert any(said in note for note in (*notes_of(found), ""))


def test_every_marker_gene_is_known_by_its_id_under_its_present_or_its_older_name() -> None:
    """TRGV9 and TRDV2 had none: of gamma-delta T cells files of ids had fewer genes than those of symbols."""
    older = {"CAVIN2": "SDPR", "FAM30A": "KIAA0125", "JCHAIN": "IGJ", "LINC02446": "RP11-291B21.2"}
    named = set(ensembl_symbols().values())
    assert [gene for gene in expected_levels().genes if older.get(gene, gene) not in named] == []
    ids = {symbol: gene for gene, symbol in ensembl_symbols().items()}
    found = {gene: ids[gene] for gene in ("SMIM24", "TRDV2", "TRGV9")}  # Ensembl, GRCh38
    assert found == {"SMIM24": "ENSG00000095932", "TRDV2": "ENSG00000211821", "TRGV9": "ENSG00000211695"}


def test_unknown_ids_and_mouse_genes_are_refused(tmp_path: Path) -> None:
    unknown = small(genes=[f"ENSG{i:011d}" for i in range(1, 60)])
    with pytest.raises(DataFileError, match="genes are named by ids, and 0 of them are known here"):
        read_cells(written(unknown, tmp_path))
    mouse = small(genes=[gene.capitalize() for gene in GENES])
    with pytest.raises(DataFileError, match="the genes are those of a mouse"):
        read_cells(written(mouse, tmp_path))


def test_duplicate_symbols_are_named_and_the_first_counts(tmp_path: Path) -> None:
    data = small(genes=[*GENES[:30], GENES[0]])
    first = data.X.toarray()[:, 0]
    found = read_cells(written(data, tmp_path))
    assert found.n_vars == 30
    assert any("1 gene symbols are duplicated (CD3D)" in note for note in notes_of(found))
    assert np.array_equal(counts_of(found).toarray()[:, gene_columns(found)["CD3D"]], first)


def test_proteins_from_obsm_and_from_features_are_the_same(tmp_path: Path) -> None:
    data = small()
    tags = np.random.default_rng(1).poisson(20.0, (data.n_obs, 3))
    names = ["CD4_TotalSeqB", "IL7Ralpha (CD127)", "IgG1"]
    beside = data.copy()
    beside.obsm["protein"] = pd.DataFrame(tags, index=data.obs_names, columns=names)
    within = AnnData(
        csr_matrix(np.hstack([data.X.toarray(), tags]).astype(np.float32)),
        obs=data.obs,
        var=pd.DataFrame(
            {"feature_types": ["Gene Expression"] * data.n_vars + ["Antibody Capture"] * 3},
            index=[*data.var_names, *names],
        ),
    )
    one, other = (read_cells(written(d, tmp_path)) for d in (beside, within))
    for found in (one, other):
        assert list(proteins_of(found)) == ["CD4", "CD127"]
        assert np.array_equal(proteins_of(found), tags[:, :2])
    assert one.var_names.equals(other.var_names)


def test_hashtags_name_samples_and_doublets(tmp_path: Path) -> None:
    data = small(200)
    rng = np.random.default_rng(2)
    tags = rng.poisson(4.0, (200, 2))
    tags[:120, 0] += rng.poisson(150.0, 120)
    tags[110:, 1] += rng.poisson(150.0, 90)
    data.obsm["hto"] = pd.DataFrame(tags, index=data.obs_names, columns=["A", "B"])
    found = sample_ids_of(read_cells(written(data, tmp_path)))
    assert set(found[:110]) == {"A"}
    assert set(found[110:120]) == {"hashtag_doublet"}
    assert set(found[120:]) == {"B"}


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.h5ad").write_text("cell,gene\n")
    with pytest.raises(DataFileError, match="this is no single-cell file"):
        read_cells(tmp_path / "a.h5ad")
    with pytest.raises(DataFileError, match="there is no such file"):
        read_cells(tmp_path / "b.h5ad")
    with pytest.raises(DataFileError, match=r"the folder holds no matrix\.mtx"):
        read_cells(tmp_path)
    empty = small()[:0].copy()
    with pytest.raises(DataFileError, match="the file holds no cells"):
        read_cells(written(empty, tmp_path))
    with pytest.raises(DataFileError, match="obs has no column 'donor'"):
        read_cells(written(small(), tmp_path, "c.h5ad"), sample_column="donor")


def test_a_10x_folder_is_read(tmp_path: Path) -> None:
    from scipy.io import mmwrite

    data = small(20)
    mmwrite(tmp_path / "matrix.mtx", data.X.T)
    (tmp_path / "genes.tsv").write_text("".join(f"ENSG{i}\t{gene}\n" for i, gene in enumerate(data.var_names)))
    (tmp_path / "barcodes.tsv").write_text("".join(f"{name}\n" for name in data.obs_names))
    found = read_cells(tmp_path)
    assert found.var_names.equals(data.var_names)
    assert np.array_equal(counts_of(found).toarray(), data.X.toarray())


def test_quality_limits_are_shown_and_damaged_cells_fail(tmp_path: Path) -> None:
    data = small(300)
    dense = data.X.toarray()
    dense[:10, -2:] += 120
    dense[10:15, :] *= np.random.default_rng(0).random((5, dense.shape[1])) < 0.1
    data.X = csr_matrix(dense)
    found = check_cells(read_cells(written(data, tmp_path)))
    assert not found.passed[:15].any()
    assert found.passed[15:].mean() > 0.98
    limits = found.table.set_index("check")["limit"]
    assert {"counts", "genes", "mitochondrial_percent", "cells_kept"} <= set(limits.index)
    assert 10.0 <= limits["mitochondrial_percent"] <= 30.0


def test_cells_of_one_depth_and_one_cell_alone_are_not_cut_by_their_own_median() -> None:
    data = small(60)
    counts = np.full((60, data.n_vars), 20.0, dtype=np.float32)
    counts[:5] *= 0.8
    data.X = csr_matrix(counts)
    assert check_cells(interpret_cells(data)).passed.all()
    assert check_cells(interpret_cells(small(1, GENES))).passed.all()


def test_joined_files_keep_what_all_have(tmp_path: Path) -> None:
    one, other = small(20), small(30, genes=[*GENES[5:], "EXTRA"], seed=3)
    first, second = (read_cells(written(d, tmp_path, f"{i}.h5ad")) for i, d in enumerate((one, other)))
    both = join_cells([first, second])
    assert list(both.var_names) == GENES[5:]
    assert both.n_obs == 50
    assert list(dict.fromkeys(sample_ids_of(both))) == ["0", "1"]
    assert np.array_equal(counts_of(both).toarray()[:20], counts_of(first).toarray()[:, 5:80])


def test_protein_and_hashtags_of_a_published_file() -> None:
    path = data_folder("single_cell/mimitou2019_eccite_pbmc") / "eccite_pbmc_control_500.h5ad"
    found = read_cells(path)
    assert counts_of(found).shape == (500, 19521)
    assert {"CD3", "CD4", "CD8", "CD45RA", "CD127", "PD-1"} <= set(proteins_of(found))
    assert "IgG1" not in proteins_of(found)
    assert len({s for s in sample_ids_of(found) if s.startswith("HTO")}) == 4


def test_doublets_of_a_large_sample_are_found_on_a_part_and_its_runs_are_asked_for(monkeypatch):
    rng = np.random.default_rng(0)
    kinds = rng.gamma(0.3, 4.0, (4, 600))  # mean counts of four kinds of cells
    of = rng.integers(0, 4, 900)
    counts = rng.poisson(kinds[of])
    second = (of[:60] + rng.integers(1, 4, 60)) % 4
    counts[:60] += rng.poisson(kinds[second])
    monkeypatch.setattr(doublets, "_REFERENCE", 450)
    monkeypatch.setattr(quality, "MOST_OF_A_RUN", 800)
    scores = doublets.doublet_scores(csr_matrix(counts.astype(np.float32)), np.full(900, "S", dtype=object))
    assert roc_auc_score(np.arange(900) < 60, scores) > 0.95
    names = [*GENES, *(f"HOUSE{i}" for i in range(600 - len(GENES)))]
    table = AnnData(csr_matrix(counts.astype(np.float32)), var=pd.DataFrame(index=names))
    notes = check_cells(interpret_cells(table)).notes
    assert any("more than one droplet run" in note for note in notes)


@pytest.mark.parametrize(("cells", "genes"), [(300, 60), (50, 120)])
def test_principal_axes_are_those_of_scikit_learn(cells: int, genes: int):
    rng = np.random.default_rng(1)
    matrix = csr_matrix(rng.poisson(rng.gamma(0.5, 1.0, genes), (cells, genes)) * 1.0)
    axes, theirs = principal_axes(matrix, 6), PCA(6, svd_solver="full").fit(matrix.toarray())
    sign = np.sign((axes.directions.T * theirs.components_).sum(axis=1))
    np.testing.assert_allclose(axes.transform(matrix), theirs.transform(matrix.toarray()) * sign, atol=1e-8)


def test_simulated_neighbours_are_counted_as_an_exact_search_counts_them():
    rng = np.random.default_rng(2)
    points, k = rng.normal(size=(900, 8)), np.array([31, 30] * 60)
    placed = np.concatenate([points[:60:2], rng.normal(size=(90, 8)) * 3])
    near = NearestNeighbors(n_neighbors=31).fit(points).kneighbors(placed, return_distance=False)
    expected = [(row[:n] >= 300).sum() for row, n in zip(near, k, strict=True)]
    np.testing.assert_array_equal(doublets._simulated_among(placed, points, 300, k), expected)


def test_counts_and_their_logs_share_places_and_the_given_matrix_is_left_alone():
    matrix = csr_matrix(np.array([[1, 0, 3], [0, 0, 5]], dtype=np.float32))
    matrix.data[0] = 0.0  # a zero that is stored
    data = AnnData(matrix.copy(), var=pd.DataFrame(index=["CD4", "CD8A", "MS4A1"]))
    cells = interpret_cells(data)
    assert (data.X.nnz, cells.X.nnz) == (3, 2)
    assert np.shares_memory(cells.X.indices, cells.layers["counts"].indices)
    np.testing.assert_allclose(cells.X.toarray(), np.log1p([[0, 0, 1e4], [0, 0, 1e4]]), rtol=1e-6)
