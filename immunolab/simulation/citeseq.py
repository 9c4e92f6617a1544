"""CITE-seq of the same blood: raw counts of genes and surface proteins, with a planted assay bias."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.config import build, read_package_yaml
from immunolab.simulation.biology import Composition
from immunolab.simulation.cells import DrawnCells, Recipe, SimulatedTube, Staining, draw_cells
from immunolab.simulation.model import LEVELS, Detector, Model, TubePanel


@dataclass(frozen=True)
class Programme:
    """Genes that some leaves express.

    Attributes
    ----------
    leaves, genes
        Where, and gene -> counts per 10,000.
    lower
        Gene of an earlier programme -> factor on its level in these leaves.
    """

    leaves: tuple[str, ...]
    genes: dict[str, float]
    lower: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class CiteSeq:
    """All of citeseq.yaml."""

    schema: str
    umis: tuple[float, float]
    dispersion: float
    ambient: float
    mitochondrial: dict[str, float]
    doublets: float
    background: dict[str, Any]
    protein: dict[str, Any]
    lineage_proteins: dict[str, str]
    assay_bias: dict[str, Any]
    drug_response: dict[str, Any]
    programmes: tuple[Programme, ...]

    @property
    def genes(self) -> tuple[str, ...]:
        """Every gene: of the programmes, mitochondrial, background."""
        named = dict.fromkeys(gene for programme in self.programmes for gene in programme.genes)
        named |= dict.fromkeys(self.drug_response["genes"])
        background = (f"BACKGROUND{i + 1}" for i in range(self.background["genes"]))
        return (*named, *_MITOCHONDRIAL, *background)


_MITOCHONDRIAL = ("MT-ND1", "MT-ND2", "MT-ND3", "MT-ND4", "MT-CO1", "MT-CO2", "MT-CO3", "MT-ATP6", "MT-CYB")


@cache
def load_citeseq() -> CiteSeq:
    """Return the shipped assay."""
    return build(CiteSeq, read_package_yaml("immunolab.simulation", "citeseq.yaml"))


def biased(model: Model, assay: CiteSeq, blood: Composition) -> Composition:
    """Return the composition as this assay finds it; other CD4 leaves make room.

    Parameters
    ----------
    model
        Names the leaves.
    assay
        Leaves that it finds too often or too rarely, and by how much (log).
    blood
        The sample as it is.
    """
    leaves = blood.leaves.copy()
    cd4 = [model.leaves.index(name) for name in model.cd4_leaves]
    total = leaves[cd4].sum()
    for name in model.members(tuple(assay.assay_bias["leaves"])):
        leaves[model.leaves.index(name)] *= np.exp(assay.assay_bias["log"])
    leaves[cd4] *= total / leaves[cd4].sum()
    return replace(blood, leaves=leaves)


def draw_library(
    model: Model, assay: CiteSeq, blood: Composition, n_cells: int, response: float, rng: np.random.Generator
) -> tuple[NDArray[np.int32], NDArray[np.int32], SimulatedTube]:
    """Return gene counts and protein counts (cells x features), and the truth about each cell.

    Parameters
    ----------
    model, assay, blood
        The markers, the assay, and the composition it finds, see `biased`.
    n_cells
        Of the library, damaged cells and doublets included.
    response
        Strength of the drug's transcriptional effect, 1 at the reference peak.
    rng
        Of this library alone.
    """
    share = assay.mitochondrial["damaged_share"]
    panel = TubePanel("", tuple(Detector(m, m, m) for m in assay.protein["markers"]), ())
    recipe = Recipe(panel, blood, Staining(), n_cells, share)
    cells, partners = draw_cells(model, recipe, n_cells, rng), draw_cells(model, recipe, n_cells, rng)
    doublet = rng.random(n_cells) < assay.doublets
    profiles = _profiles(model, assay, response)
    rna, protein = (_rna(assay, profiles, cells, rng), _protein(model, assay, cells, rng))
    rna[doublet] += _rna(assay, profiles, partners, rng)[doublet]
    protein[doublet] += _protein(model, assay, partners, rng)[doublet]
    none = np.zeros(n_cells, dtype=bool)
    empty = np.empty((0, n_cells), dtype=np.float32)
    return rna, protein, SimulatedTube((), empty, cells.leaf, cells.levels, ~doublet, cells.alive, none, none)


def _profiles(model: Model, assay: CiteSeq, response: float) -> NDArray[np.float64]:
    """Return leaves x genes: counts per 10,000 before normalising."""
    genes = assay.genes
    # the background is part of the assay, the same in every study
    rng = np.random.default_rng(len(genes))
    levels = np.full((len(model.leaves), len(genes)), assay.ambient)
    median, sd = assay.background["level"]
    levels[:, -assay.background["genes"] :] = median * np.exp(rng.normal(0, sd, assay.background["genes"]))
    for programme in assay.programmes:
        for name in model.members(programme.leaves):
            row = levels[model.leaves.index(name)]
            for gene, level in programme.genes.items():
                row[genes.index(gene)] += level
            for gene, factor in programme.lower.items():
                row[genes.index(gene)] *= factor
    affected = [genes.index(gene) for gene in assay.drug_response["genes"]]
    for name in model.members(tuple(assay.drug_response["leaves"])):
        levels[model.leaves.index(name), affected] *= np.exp(assay.drug_response["log"] * response)
    return levels


def _rna(
    assay: CiteSeq, profiles: NDArray[np.float64], cells: DrawnCells, rng: np.random.Generator
) -> NDArray[np.int32]:
    n = len(cells.leaf)
    level = profiles[cells.leaf].copy()
    mito = [assay.genes.index(gene) for gene in _MITOCHONDRIAL]
    total = np.where(cells.alive, assay.mitochondrial["healthy"], assay.mitochondrial["damaged"])
    level[:, mito] = total[:, None] / len(mito)
    level *= rng.gamma(assay.dispersion, 1.0 / assay.dispersion, level.shape)
    median, sd = assay.umis
    library = median * np.exp(rng.normal(0, sd, n)) * np.where(cells.alive, 1.0, assay.mitochondrial["damaged_umis"])
    return rng.poisson(library[:, None] * level / level.sum(axis=1, keepdims=True)).astype(np.int32)


def _protein(model: Model, assay: CiteSeq, cells: DrawnCells, rng: np.random.Generator) -> NDArray[np.int32]:
    settings = assay.protein
    value = np.arcsinh(cells.signal / model.scale["cofactor"])
    moments = model.level_moments("")
    for leaf in assay.lineage_proteins.values():
        carrier = cells.leaf == model.leaves.index(leaf)
        level = np.where(carrier, LEVELS.index("pos"), 0)
        value = np.column_stack([value, rng.normal(moments[level, 0], moments[level, 1])])
    capture = np.exp(rng.normal(0, settings["capture_sd_log"], (len(value), 1)))
    return rng.poisson(settings["scale"] * np.exp(settings["slope"] * value) * capture).astype(np.int32)


def write_cells(
    assay: CiteSeq, rna: NDArray[np.int32], protein: NDArray[np.int32], sample_id: str, visit: Sequence[str], path: Path
) -> None:
    """Write one sample as h5ad: raw counts in X and ``layers["counts"]``, proteins in ``obsm["protein"]``.

    Parameters
    ----------
    assay
        Names of genes and proteins.
    rna, protein
        Counts, cells x features.
    sample_id, visit, path
        The sample, its patient and visit, and the file.
    """
    from anndata import AnnData
    from scipy.sparse import csr_matrix

    index = pd.Index([f"{sample_id}_{i + 1}" for i in range(len(rna))])
    obs = pd.DataFrame({"sample_id": sample_id, "patient_id": visit[0], "visit": visit[1]}, index=index)
    data = AnnData(csr_matrix(rna.astype(np.float32)), obs=obs, var=pd.DataFrame(index=pd.Index(assay.genes)))
    data.layers["counts"] = data.X.copy()
    names = (*assay.protein["markers"], *assay.lineage_proteins)
    data.obsm["protein"] = pd.DataFrame(protein, index=index, columns=pd.Index(names))
    data.write_h5ad(path, compression="gzip")
