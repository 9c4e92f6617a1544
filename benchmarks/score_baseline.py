"""Labels of single cells beside a baseline of thirty lines: scanpy's scores of published markers, the highest wins.

``python benchmarks/score_baseline.py [zheng] [kang] [mimitou] [simulated]`` prints figures by both. The baseline knows
which lineages there may be and names every cell; it cannot say that a cell is none of them.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import scanpy
from anndata import AnnData
from cells_real import _ZHENG, CD4_LABELS, MEMORY_LABELS, coarse, f1
from numpy.typing import NDArray
from reference_mapping import kang, mimitou

from immunolab.cells.label import label_cells
from immunolab.loaders.single_cell import read_cells
from immunolab.simulation import Options, simulate
from immunolab.vocabulary.signatures import signature

Labels = NDArray[np.str_]
# markers of scanpy's and Seurat's tutorials on 3,000 PBMC, CD34's own for progenitors
LINEAGES = {
    "CD4": ("CD3D", "IL7R", "CD4", "CCR7", "LTB", "MAL"), "CD8": ("CD3D", "CD8A", "CD8B"),
    "B": ("MS4A1", "CD79A", "CD79B"), "NK": ("GNLY", "NKG7", "KLRF1", "KLRD1", "FCGR3A"),
    "Mono": ("CD14", "LYZ", "S100A8", "S100A9", "MS4A7"), "HSPC": ("CD34", "SOX4", "SPINK2"),
}  # fmt: skip
STATES = {"CD4_naive": signature("CD4_naive"), "CD4_mem": signature("CD4_memory")}
HELPERS = {"Th1": signature("Th1"), "Th2": signature("Th2"), "Th17": signature("Th17"), "Tfh": signature("cTfh_blood")}


def highest_score(cells: AnnData, sets: Mapping[str, Sequence[str]], *, scaled: bool = False) -> Labels:
    """Return for each cell the set of genes with the highest score (`scanpy.tl.score_genes`), scaled: in its own sd."""
    scores, data = {}, AnnData(cells.X, var=cells.var[[]], obs=cells.obs[[]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, genes in sets.items():
            found = [gene for gene in genes if gene in data.var_names]
            if found:
                scanpy.tl.score_genes(data, found, use_raw=False)
                scores[name] = data.obs["score"].to_numpy()
    table = np.stack(list(scores.values()), axis=1)
    if scaled:
        table = (table - table.mean(axis=0)) / np.maximum(table.std(axis=0), 1e-9)
    return np.array(list(scores))[table.argmax(axis=1)]


def _f1_of(what: str, truth: Labels, labels: Labels, baseline: Labels, names: Sequence[str]) -> Iterator[list[object]]:
    both = [[f1(truth == name, got == name) for name in names] for got in (labels, baseline)]
    yield [what, f"macro F1 of {', '.join(names)}", *(float(np.mean(one)) for one in both)]
    for name, ours, theirs in zip(names, *both, strict=True):
        yield [what, f"F1 {name}", ours, theirs]


def _alone(what: str, cells: AnnData, truth: Labels, names: Sequence[str]) -> Iterator[list[object]]:
    for name in names:
        part = cells[truth == name].copy()
        both = coarse(label_cells(part)), highest_score(part, LINEAGES)
        yield [what, f"{name} alone keeps its name", *(float((got == name).mean()) for got in both)]


def zheng(folder: Path) -> Iterator[list[object]]:
    """Yield figures of bead-sorted cells, and of naive and memory sorts of CD4."""
    cells = read_cells(folder / "single_cell/zheng2017_sorted_fastTopics/zheng2017_sorted_pbmc.h5ad")
    sort = cells.obs["sorted_population"].astype(str).to_numpy()
    truth = np.array([_ZHENG.get(name, "CD4") for name in sort])
    names = ("CD4", "CD8", "B", "NK", "Mono", "HSPC")
    yield from _f1_of("zheng", truth, coarse(label_cells(cells)), highest_score(cells, LINEAGES), names)
    yield from _alone("zheng", cells, truth, names)
    kept = np.isin(sort, ["CD4+/CD45RA+/CD25- Naive T", "CD4+/CD45RO+ Memory"])
    part, naive = cells[truth == "CD4"].copy(), (sort == "CD4+/CD45RA+/CD25- Naive T")[truth == "CD4"]
    label = label_cells(part, population="CD4").table["label"].to_numpy().astype(str)
    ours, theirs, kept = np.isin(label, MEMORY_LABELS), highest_score(part, STATES) == "CD4_mem", kept[truth == "CD4"]
    yield ["zheng", "memory sort against naive sort: F1 memory", *(f1(~naive[kept], m[kept]) for m in (ours, theirs))]


def kang_(folder: Path) -> Iterator[list[object]]:
    """Yield figures of Kang's cells."""
    cells = kang(folder)
    truth, names = cells.obs["truth"].to_numpy().astype(str), ("CD4", "CD8", "B", "Mono")
    yield from _f1_of("kang", truth, coarse(label_cells(cells)), highest_score(cells, LINEAGES), names)
    yield from _alone("kang", cells, truth, names)


def mimitou_(folder: Path) -> Iterator[list[object]]:
    """Yield figures of Mimitou's cells by genes, where their labels by proteins are the truth."""
    cells = mimitou(folder)
    truth, names = cells.obs["truth"].to_numpy().astype(str), ("CD4", "CD8", "B", "NK", "Mono")
    yield from _f1_of("mimitou", truth, coarse(label_cells(cells)), highest_score(cells, LINEAGES), names)


def simulated(folder: Path, seeds: Sequence[int] = (91, 92)) -> Iterator[list[object]]:
    """Yield recall and precision of helper subsets of CD4 memory cells by genes, simulated; means of seeds."""
    del folder
    rows = []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as scratch:
            options = Options(events=500, citeseq=6000, truth_events=True)
            simulate(
                "sle_nct02084238", patients=1, seed=seed, folder=Path(scratch) / "s", visits=["W0"], options=options
            )
            file = next((Path(scratch) / "s/cells").glob("*.h5ad"))
            cells, truth = read_cells(file), pd.read_parquet(Path(scratch) / f"s/truth/events/{file.stem}.parquet")
        del cells.obsm["protein"]
        label = label_cells(cells).table["label"].to_numpy().astype(str)
        memory, there = np.isin(label, MEMORY_LABELS), np.isin(label, CD4_LABELS)
        score = np.where(memory, highest_score(cells, HELPERS), "")
        sound = (truth["singlet"] & truth["viable"]).to_numpy()
        for name in HELPERS:
            own = truth["Tfh_CXCR5" if name == "Tfh" else name].to_numpy() & sound & there
            rows += [[f"{name}: recall", *((got == name)[own].mean() for got in (label, score))]]
            rows += [[f"{name}: precision", *(own[got == name].mean() for got in (label, score))]]
    for what, ours, theirs in pd.DataFrame(rows).groupby(0, sort=False).mean().itertuples():
        yield ["simulated", what, ours, theirs]


SETS = {"zheng": zheng, "kang": kang_, "mimitou": mimitou_, "simulated": simulated}


def main() -> None:
    """Print the figures of the sets named on the command line, of all without a name."""
    folder = Path(os.environ.get("IMMUNOLAB_TEST_DATA", "../shared/data"))
    for name in sys.argv[1:] or SETS:
        for data, what, ours, theirs in SETS[name](folder):
            print(f"{data:10s} {what:50s} ours {ours:.3f}  baseline {theirs:.3f}", flush=True)


if __name__ == "__main__":
    main()
