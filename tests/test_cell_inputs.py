"""Single-cell files as laboratories have them: folders of any make, names with copies, hashtags, raw matrices."""

from __future__ import annotations

import gzip
import warnings
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.io import mmwrite
from scipy.sparse import csr_matrix

from immunolab.errors import DataFileError
from immunolab.events.cells import counts_of, notes_of, proteins_of, sample_ids_of
from immunolab.loaders.cell_features import protein_markers
from immunolab.loaders.single_cell import interpret_cells, read_cells
from immunolab.vocabulary.signatures import lineages

GENES = [gene for names in lineages().values() for gene in names][:80]


def folder(where: Path, features: str, zipped: bool, prefix: str = "") -> tuple[Path, np.ndarray]:
    """Write 20 cells with an antibody against CD14, which is called as the gene is."""
    genes = list(dict.fromkeys([*GENES, "CD14"]))
    counts = np.random.default_rng(0).poisson(2.0, (20, len(genes) + 1))
    kinds = ["Gene Expression"] * len(genes) + ["Antibody Capture"]
    lines = [
        "\t".join([f"ID{i}", name, kind] if features == "features.tsv" else [f"ID{i}", name])
        for i, (name, kind) in enumerate(zip([*genes, "CD14"], kinds, strict=True))
    ]
    texts = {"barcodes.tsv": [f"AAAC{i}-1" for i in range(20)], features: lines}
    if features == "genes.tsv":
        counts, texts[features] = counts[:, :-1], lines[:-1]
    mmwrite(where / "matrix.mtx", csr_matrix(counts.T))
    for name, rows in texts.items():
        (where / name).write_text("\n".join(rows) + "\n")
    for path in list(where.glob("*.*")):
        if zipped:
            (where / f"{prefix}{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
    return where, counts


@pytest.mark.parametrize(
    ("features", "zipped", "prefix"),
    [
        ("features.tsv", True, ""),
        ("features.tsv", False, ""),  # STARsolo
        ("genes.tsv", False, ""),
        ("genes.tsv", True, ""),
        ("features.tsv", True, "GSM1_blood_"),  # GEO
    ],
)
def test_a_folder_of_any_make_is_read_and_an_antibody_called_as_its_gene_is_that_marker(
    tmp_path: Path, features: str, zipped: bool, prefix: str
) -> None:
    where, counts = folder(tmp_path, features, zipped, prefix)
    found = read_cells(where)
    n = found.n_vars
    assert np.array_equal(counts_of(found).toarray(), counts[:, :n])
    if features == "features.tsv":
        assert list(proteins_of(found)) == ["CD14"]
        assert np.array_equal(proteins_of(found)["CD14"], counts[:, n])


def test_a_folder_that_cannot_be_read_says_what_to_give(tmp_path: Path) -> None:
    inner = tmp_path / "filtered_feature_bc_matrix"
    inner.mkdir()
    folder(inner, "features.tsv", True)
    with pytest.raises(DataFileError, match="give one of those in it: filtered_feature_bc_matrix"):
        read_cells(tmp_path)
    with pytest.raises(DataFileError, match="one of the three files of a 10x folder"):
        read_cells(inner / "matrix.mtx.gz")
    (inner / "b_matrix.mtx.gz").write_bytes(b"")
    with pytest.raises(DataFileError, match="holds 2 matrices"):
        read_cells(inner)
    (inner / "b_matrix.mtx.gz").unlink()
    (inner / "barcodes.tsv.gz").write_bytes(gzip.compress(b"A-1\n"))
    with pytest.raises(DataFileError, match=r"20 cells x .* and beside it 1 barcodes"):
        read_cells(inner)
    (inner / "barcodes.tsv.gz").unlink()
    with pytest.raises(DataFileError, match=r"holds no barcodes\.tsv"):
        read_cells(inner)


def test_the_copy_of_a_marker_is_that_marker_and_not_one_with_a_digit_more() -> None:
    # anndata's var_names_make_unique and R's make.unique call an antibody so beside the gene of its name
    names = ["CD14-1", "CD3.1", "CD7-1_TotalSeqB", "CD16-1", "PD-1", "IL-2"]
    assert protein_markers(names)[0] == ("CD14", "CD3", "CD7", "CD16", "PD-1", "IL-2")


def cells(counts: np.ndarray, names: list[str], **parts: object) -> AnnData:
    var = pd.DataFrame(index=pd.Index(names))
    return AnnData(csr_matrix(counts.astype(np.float32)), var=var, **parts)


def test_a_raw_matrix_with_droplets_of_no_cell_is_refused_and_says_what_to_give() -> None:
    rng = np.random.default_rng(0)
    full, empty = rng.poisson(12.0, (60, 80)), rng.poisson(0.03, (400, 80))
    with pytest.raises(DataFileError, match=r"(?s)these are all droplets: 400 of 460 .*filtered_feature_bc_matrix"):
        interpret_cells(cells(np.vstack([full, empty]), GENES))
    with pytest.raises(DataFileError, match="these are all droplets: 20 of 80"):
        interpret_cells(cells(np.vstack([full, np.zeros((20, 80))]), GENES))
    assert interpret_cells(cells(full, GENES)).n_obs == 60
    assert interpret_cells(cells(rng.poisson(0.4, (400, 80)), GENES)).n_obs == 400  # a poor library has no rich cells


def test_hashtags_among_the_antibodies_name_samples_and_one_that_nobody_carries_does_not() -> None:
    rng = np.random.default_rng(1)
    tags = rng.poisson(3.0, (200, 3))
    tags[:, 2] = rng.poisson(1.0, 200)
    tags[:110, 0] += rng.poisson(150.0, 110)
    tags[100:, 1] += rng.poisson(150.0, 100)
    data = cells(np.hstack([rng.poisson(2.0, (200, 80)), tags]), [*GENES, "Hashtag1_TotalSeqB", "Hashtag2", "HTO_3"])
    data.var["feature_types"] = ["Gene Expression"] * 80 + ["Antibody Capture"] * 3
    found = interpret_cells(data)
    own = sample_ids_of(found)
    assert set(own[:100]) == {"Hashtag1_TotalSeqB"}
    assert set(own[100:110]) == {"hashtag_doublet"}
    assert set(own[110:]) == {"Hashtag2"}
    assert proteins_of(found) is None
    assert "hashtags: 190 cells of one sample, 10 of two, 0 of none; no cells of HTO_3" in notes_of(found)


def test_genes_that_x_lacks_are_taken_from_raw() -> None:
    # scanpy's script: logs of all genes in raw, z-scores of the variable ones in X
    counts = np.random.default_rng(2).poisson(2.0, (60, 80))
    logs = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))
    data = cells(logs, GENES)
    data.raw = data
    some = data[:, :20].copy()
    some.X = (logs - logs.mean(axis=0))[:, :20]
    found = interpret_cells(some)
    assert list(found.var_names) == GENES
    assert np.allclose(found.X.toarray(), logs, atol=1e-4)
    assert "all 80 genes are taken from raw (logs); X has 20 of them" in notes_of(found)
    some.layers["counts"] = csr_matrix(counts[:, :20].astype(np.float32))
    assert list(interpret_cells(some).var_names) == GENES[:20]  # counts of some genes are not given up for logs


def test_mouse_genes_with_a_human_transgene_and_ids_of_a_mouse_are_refused() -> None:
    counts = np.random.default_rng(3).poisson(2.0, (60, 80))
    for names in ([*(gene.capitalize() for gene in GENES[:-1]), "CD19"], [f"ENSMUSG{i:011d}" for i in range(80)]):
        with pytest.raises(DataFileError, match="the genes are those of a mouse"):
            interpret_cells(cells(counts, names))


def test_cells_of_several_libraries_in_one_sample_are_named() -> None:
    counts = np.random.default_rng(4).poisson(2.0, (60, 80))
    rng = np.random.default_rng(5)
    names = ["".join(rng.choice(list("ACGT"), 16)) + f"-{1 + i // 30}" for i in range(60)]
    found = interpret_cells(cells(counts, GENES, obs=pd.DataFrame(index=names)))
    assert any("cell names end in -1, -2, as those of 2 libraries do" in note for note in notes_of(found))
    named = interpret_cells(cells(counts, GENES, obs=pd.DataFrame({"sample": ["a"] * 60}, index=names)))
    assert not any("libraries" in note for note in notes_of(named))


def _counted(n: int = 60, names: list[str] = GENES) -> AnnData:
    rng = np.random.default_rng(2)
    counts = rng.poisson(rng.gamma(1.0, 2.0, (n, len(names)))).astype(np.float32)
    obs = pd.DataFrame(index=[f"c{i}" for i in range(n)])
    return AnnData(csr_matrix(counts), obs=obs, var=pd.DataFrame(index=names))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (np.log1p, ""),
        (lambda x: np.log2(x + 1), "logs to base 2"),
        (lambda x: np.log10(x + 1), "logs to base 10"),
        (np.sqrt, "square roots"),
        (lambda x: x, "not logs"),
    ],
)
def test_values_without_counts_are_read_on_the_scale_they_are_on(written, said: str) -> None:  # type: ignore[no-untyped-def]
    cells = _counted()
    depth = np.asarray(cells.X.sum(axis=1))
    parts = cells.X.toarray() / depth * 1e4
    cells.X = csr_matrix(written(parts))
    found = interpret_cells(cells)
    np.testing.assert_allclose(found.X.toarray(), np.log1p(parts), rtol=1e-4)
    assert said in " ".join(notes_of(found))


def test_values_that_are_no_multiples_of_one_count_are_taken_as_logs_as_before() -> None:
    cells = _counted()
    cells.X = csr_matrix(np.random.default_rng(0).gamma(2.0, 0.5, cells.shape))  # imputed
    found = interpret_cells(cells)
    np.testing.assert_allclose(found.X.toarray(), cells.X.toarray(), rtol=1e-5)


def test_hyphens_that_r_wrote_as_dots_are_read_and_others_keep_theirs() -> None:
    plain = [gene for gene in GENES if "-" not in gene]
    names = [*plain, "HLA.DRA", "MT.CO1", "RP11.291B21.2", "AC0123.4"]
    found = interpret_cells(_counted(names=names))
    assert {"HLA-DRA", "MT-CO1", "RP11-291B21.2", "AC0123.4"} <= set(found.var_names)
    assert any("dots for hyphens" in note for note in notes_of(found))
    kept = interpret_cells(_counted(names=[*plain, "HLA-DRA", "RP11.291B21.2"]))
    assert "RP11.291B21.2" in kept.var_names


def test_genes_of_two_genomes_and_a_table_are_refused_with_the_way_out(tmp_path: Path) -> None:
    human, mouse = [f"GRCh38_{gene}" for gene in GENES], [f"mm10___{gene.capitalize()}" for gene in GENES]
    with pytest.raises(DataFileError, match="two genomes, one of them mm10"):
        interpret_cells(_counted(names=[*human, *mouse]))
    with pytest.raises(DataFileError, match="another genome"):
        interpret_cells(_counted(names=mouse))
    (tmp_path / "counts.csv.gz").write_bytes(gzip.compress(b"gene,c1\nCD3D,1\n"))
    with pytest.raises(DataFileError, match="this is a table"):
        read_cells(tmp_path / "counts.csv.gz")


def test_an_h5mu_with_a_modality_that_cannot_be_read_gives_its_genes(tmp_path: Path) -> None:
    mudata = pytest.importorskip("mudata")
    h5py = pytest.importorskip("h5py")
    cells = _counted()
    file = tmp_path / "receptors.h5mu"
    mudata.MuData({"gex": cells, "airr": AnnData(np.ones((60, 1), np.float32), obs=cells.obs)}).write_h5mu(file)
    with h5py.File(file, "a") as handle:  # scirpy's receptors are awkward arrays, which an optional package reads
        handle["mod/airr/X"].attrs["encoding-type"] = "of-another-package"
    assert read_cells(file).n_obs == 60


def test_rows_that_are_genes_and_values_that_are_missing_are_refused_by_name() -> None:
    known = _counted()
    with pytest.raises(DataFileError, match="rows are genes"):
        interpret_cells(known.T.copy())
    known.X = known.X.toarray()
    known.X[3, 5] = np.nan
    with pytest.raises(DataFileError, match="missing or infinite"):
        interpret_cells(known)


@pytest.mark.parametrize(
    ("name", "groups", "words"),
    [
        ("a.loom", ("matrix", "row_attrs", "col_attrs"), r"a loom file(.|\n)*read_loom"),
        ("a.h5seurat", ("assays", "meta.data"), r"of Seurat(.|\n)*writeH5AD"),
        ("molecule_info.h5", ("barcode_idx", "barcodes"), r"molecules(.|\n)*filtered_feature_bc_matrix"),
        ("a.csv", (), r"read_csv\('a.csv'\)(.|\n)*rows are genes"),
        ("a.tsv.gz", (), r"read_csv\('a.tsv.gz', '\\t'\)"),
        ("a.rds", (), "writeH5AD"),
    ],
)
def test_what_is_not_read_is_named_with_the_way_out(
    tmp_path: Path, name: str, groups: tuple[str, ...], words: str
) -> None:
    if groups:
        with h5py.File(tmp_path / name, "w") as handle:
            for group in groups:
                handle[group] = [1]
    else:
        (tmp_path / name).write_bytes(b"gene,c1\nCD4,1\n")
    with pytest.raises(DataFileError, match=words):
        read_cells(tmp_path / name)


def test_the_matrix_of_a_sample_of_cell_ranger_multi_is_named(tmp_path: Path) -> None:
    inner = tmp_path / "outs/per_sample_outs/S1/count/sample_filtered_feature_bc_matrix"
    inner.mkdir(parents=True)
    folder(inner, "features.tsv", True)
    with pytest.raises(DataFileError, match="outs/per_sample_outs/S1/count/sample_filtered_feature_bc_matrix"):
        read_cells(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an antibody called as its gene: anndata's warning was seen on the terminal
        read_cells(inner)
