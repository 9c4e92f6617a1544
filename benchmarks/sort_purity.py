"""Cells of Zheng's sorts that contradict their sort, found by scanpy alone, and what labels are worth without them.

``python benchmarks/sort_purity.py`` clusters all 3,874 bead-sorted cells with scanpy (Leiden, five seeds). A cell
contradicts its sort where in every clustering most cells around it were sorted as another lineage: a CD34+ cell among
monocytes of the CD14+ sort. Neither labels nor marker genes of the product are used for that. It prints how many there
are, which genes they show, and the figures of `cells_real` with and without them, with 95 % limits.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from cells_real import _ZHENG, coarse
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import f1_score

from immunolab.cells.label import label_cells
from immunolab.loaders.single_cell import read_cells

SEEDS, RESOLUTION = (0, 1, 2, 3, 4), 2.0  # of Leiden: more clusters than there are sorts
NAMES = ("T", "B", "NK", "HSPC", "Mono")
SHOWN = {
    "CD34 SPINK2 PRSS57 EGFL7": ("CD34", "SPINK2", "PRSS57", "EGFL7"),
    "CD14 FCN1 S100A12": ("CD14", "FCN1", "S100A12"),
    "MS4A1 CD79A": ("MS4A1", "CD79A"),
    "CD3D CD3E": ("CD3D", "CD3E"),
}
DRAWS = 2_000  # resamples of cells


def contradicting(counts: AnnData, sort: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Return the cells that in every clustering are in a cluster of which most were sorted as one other lineage."""
    import scanpy as sc

    data = counts.copy()
    sc.pp.normalize_total(data, target_sum=1e4)
    sc.pp.log1p(data)
    sc.pp.highly_variable_genes(data, n_top_genes=2000)
    sc.pp.pca(data, n_comps=30, random_state=0)
    sc.pp.neighbors(data, n_neighbors=15, random_state=0)
    always = np.ones(len(sort), dtype=bool)
    for seed in SEEDS:
        sc.tl.leiden(data, RESOLUTION, random_state=seed, flavor="igraph", n_iterations=2, directed=False)
        most = pd.Series(sort).groupby(data.obs["leiden"].to_numpy()).agg(lambda x: x.value_counts().index[0])
        always &= data.obs["leiden"].map(most).to_numpy().astype(str) != sort
    return always


def macro(truth: NDArray[np.str_], got: NDArray[np.str_]) -> float:
    """Return the macro F1 of the five lineages."""
    return float(f1_score(truth, got, average="macro", labels=list(NAMES), zero_division=0))


def limits(truth: NDArray[np.str_], got: NDArray[np.str_]) -> str:
    """Return macro F1 with the middle 95 % of resampled cells."""
    rng = np.random.default_rng(0)
    drawn = [rng.integers(0, len(truth), len(truth)) for _ in range(DRAWS)]
    low, high = np.quantile([macro(truth[rows], got[rows]) for rows in drawn], [0.025, 0.975])
    return f"{macro(truth, got):.3f} ({low:.3f} to {high:.3f})"


def share(which: NDArray[np.bool_]) -> str:
    """Return a share with its 95 % limits (Wilson)."""
    found = binomtest(int(which.sum()), len(which)).proportion_ci(method="wilson")
    return f"{which.mean():.3f} ({found.low:.3f} to {found.high:.3f}) of {len(which)}"


def main() -> None:
    """Print what the sorts hold, and the labels' figures with and without it."""
    folder = Path(os.environ.get("IMMUNOLAB_TEST_DATA", "../shared/data"))
    cells = read_cells(folder / "single_cell/zheng2017_sorted_fastTopics/zheng2017_sorted_pbmc.h5ad")
    fine = np.array([_ZHENG.get(name, "CD4") for name in cells.obs["sorted_population"].astype(str)])
    sort = np.where(np.isin(fine, ["CD4", "CD8"]), "T", fine)
    counts = AnnData(cells.layers["counts"].astype(np.float32), obs=cells.obs[[]], var=cells.var[[]])
    against = contradicting(counts, sort)
    named = coarse(label_cells(cells))
    got = np.where(np.isin(named, ["CD4", "CD8", "CD3"]), "T", named)
    for name in NAMES:
        print(f"{name}: {int((against & (sort == name)).sum())} of {int((sort == name).sum())} contradict their sort")
    print(f"macro F1, all cells: {limits(sort, got)}")
    print(f"macro F1 without those that contradict their sort: {limits(sort[~against], got[~against])}")
    for name in NAMES:
        ours, left = sort == name, (sort == name) & ~against
        print(f"{name} called so: {share((got == name)[ours])}; without these: {share((got == name)[left])}")
    shows = {
        what: np.asarray(counts[:, [g for g in genes if g in counts.var_names]].X.sum(axis=1)).ravel() > 0
        for what, genes in SHOWN.items()
    }
    print(f"{'cells':42s} {'n':>4s} " + " ".join(f"{what:>24s}" for what in shows))
    for what, group in (("contradict their sort", against), ("do not", ~against)):
        of_sort = group & (sort == "HSPC")
        for called in pd.unique(got[of_sort]):
            rows = of_sort & (got == called)
            print(f"{f'CD34+ that {what}, called {called}':42s} {rows.sum():4d} "
                  + " ".join(f"{seen[rows].mean():24.2f}" for seen in shows.values()))  # fmt: skip


if __name__ == "__main__":
    main()
