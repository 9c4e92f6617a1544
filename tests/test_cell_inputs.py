"""Single-cell files as laboratories have them: folders of any make, names with copies, hashtags, raw matrices."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from scipy.io import mmwrite
from scipy.sparse import csr_matrix

from immunolab.errors import DataFileError
from immunolab.events.cells import counts_of, proteins_of
from immunolab.loaders.cell_features import protein_markers
from immunolab.loaders.single_cell import read_cells
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
