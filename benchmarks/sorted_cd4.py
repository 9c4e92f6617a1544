"""Sorted CD4 cells of many donors, a few each, by genes alone: labels beside scores of scanpy, and of random genes.

``python benchmarks/sorted_cd4.py [scene] [random] [seeds]``. ``scene``: 500 cells of 44 donors. Each is the sum of four
cells of Zheng's naive or memory sort, thinned to 500, 1,250 or 3,000 counts, so that its genes vary as those of real
cells do; genes of programmes are added at levels of blood (written beside no table of the package, and off by a factor
of exp(.6) each, drawn anew for each seed), genes lost by donor, and interferon's in six donors of ten. The memory sort
has helper cells of its own, which count as errors. ``random``: four random signatures in place of the helpers' on
Zheng's CD4 sorts and on such cells, each gene replaced by one of like mean: how many memory cells they label.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from cells_real import HELPER_LABELS, MEMORY_LABELS, f1
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from score_baseline import HELPERS, STATES, highest_score

from immunolab.cells.cd4_programmes import programmes_of
from immunolab.cells.label import label_cells
from immunolab.cells.marker_model import marker_counts
from immunolab.cells.subsets import SURE, Answers, name_cd4
from immunolab.loaders.single_cell import interpret_cells, read_cells
from immunolab.vocabulary.signatures import cd4_programmes, signature

Labels = NDArray[np.str_]
NAIVE, MEMORY = "CD4+/CD45RA+/CD25- Naive T", "CD4+/CD45RO+ Memory"
CELLS = {"naive": 180, "memory": 120, "Treg": 60, "Th17": 50, "Th1": 50, "Tfh": 40}
STRENGTH = {
    "Treg": 2.5,
    "Th17": 1.6,
    "Th1": 1.6,
    "Tfh": 1.6,
}  # where scanpy's scores do as on the 500 cells of issue 19
DONORS, DEPTHS = 44, (500, 1250, 3000)
# counts per 10,000 that a programme adds, before its strength
ADDED = {
    "Treg": {
        "FOXP3": 0.7, "IL2RA": 0.9, "CTLA4": 1, "IKZF2": 1, "TIGIT": 1.2, "RTKN2": 1, "FCRL3": 0.5, "TNFRSF18": 0.5,
        "TNFRSF4": 0.8, "IKZF4": 0.15, "STAM": 0.4, "TNFRSF1B": 1, "BATF": 0.6, "DUSP4": 0.5, "CARD16": 1, "LAIR2": 0.3,
        "IL32": 4,
    },
    "Th17": {
        "KLRB1": 3, "CCR6": 0.7, "RORC": 0.15, "RORA": 1, "CTSH": 0.8, "IL4I1": 0.1, "IL23R": 0.08, "PTPN13": 0.1,
        "ADAM12": 0.05, "LTK": 0.03, "CCL20": 0.05, "AQP3": 1, "LTB": 4, "CEBPD": 0.5,
    },
    "Th1": {
        "CCL5": 5, "GZMK": 2, "GZMA": 1.5, "CST7": 1.5, "CXCR3": 0.5, "TBX21": 0.2, "IFNG": 0.15, "EOMES": 0.15,
        "STAT4": 0.5, "IL12RB2": 0.1, "IL18RAP": 0.1, "CCR5": 0.15, "NKG7": 1, "LYAR": 0.8, "KLRB1": 0.8,
    },
    "Tfh": {
        "CXCR5": 0.6, "PDCD1": 0.25, "ICOS": 0.6, "MAF": 1, "PASK": 0.6, "ST8SIA1": 0.2, "LIMS1": 0.4, "CD84": 0.3,
        "TOX": 0.4, "TIGIT": 0.6, "SH2D1A": 0.8, "CD200": 0.05, "POU2AF1": 0.1,
    },
}  # fmt: skip
INTERFERON = {"ISG15": 5, "IFI6": 3, "IFI44L": 2, "MX1": 1, "XAF1": 1, "IFIT3": 0.5, "OAS1": 0.5, "IRF7": 0.5}
_OFF, _DONOR_SD, _CELL_SHAPE = 0.6, 0.3, 1.5


def scene(zheng: AnnData, seed: int, depth: float) -> tuple[AnnData, Labels]:
    """Return cells and what each was made as."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.repeat(list(CELLS), list(CELLS.values())))
    donor, sort = rng.integers(0, DONORS, len(truth)), zheng.obs["sorted_population"].to_numpy().astype(str)
    naive = (truth == "naive") | ((truth == "Treg") & (rng.random(len(truth)) < 0.3))
    rows = [rng.choice(np.flatnonzero(sort == (NAIVE if one else MEMORY)), 4, replace=False) for one in naive]
    counts = sum(zheng.layers["counts"][np.array(rows)[:, i]] for i in range(4)).toarray().astype(np.int64)
    total, column = counts.sum(axis=1), {gene: i for i, gene in enumerate(zheng.var_names)}
    added = np.zeros(counts.shape)
    for name, genes in ADDED.items():
        own = np.flatnonzero(truth == name)
        for gene in column.keys() & genes.keys():
            level = genes[gene] * STRENGTH[name] * np.exp(rng.normal(0, _OFF))
            added[own, column[gene]] += level * rng.gamma(_CELL_SHAPE, 1 / _CELL_SHAPE, len(own))
    lost = column["IL7R"], truth == "Treg"
    counts[lost[1], lost[0]] = rng.binomial(counts[lost[1], lost[0]], 0.3)
    lupus = (rng.random(DONORS) < 0.6) * rng.gamma(2, 0.5, DONORS)
    for gene in column.keys() & INTERFERON.keys():
        added[:, column[gene]] += INTERFERON[gene] * lupus[donor]
    counts += rng.poisson(added * total[:, None] / 1e4)
    kept = np.minimum(np.exp(rng.normal(-2 * _DONOR_SD, _DONOR_SD, (DONORS, counts.shape[1]))), 1)
    counts = rng.binomial(counts, kept[donor])
    wanted = depth * np.exp(rng.normal(0, 0.35, len(truth)))
    counts = rng.binomial(counts, np.minimum(wanted / counts.sum(axis=1), 1)[:, None])
    cells = AnnData(csr_matrix(counts.astype(np.float32)), var=pd.DataFrame(index=zheng.var_names))
    cells.obs_names = [f"c{i}" for i in range(len(truth))]
    cells.obs["sample_id"] = [f"D{i:02d}" for i in donor]
    return interpret_cells(cells[:, counts.any(axis=0)].copy()), truth


def by_scores(cells: AnnData) -> Labels:
    """Return the state of the highest score, of memory cells the helper subset of the highest."""
    state = highest_score(cells, {**STATES, "Treg": signature("Treg_core")}, scaled=True)
    return np.where(state == "CD4_mem", highest_score(cells, HELPERS, scaled=True), state)


def scores(truth: Labels, labels: Labels) -> dict[str, float]:
    """Return F1 of each kind, and the share of memory cells without a helper label."""
    memory = np.isin(truth, ("memory", "Th17", "Th1", "Tfh"))
    found = {"memory": f1(memory, np.isin(labels, MEMORY_LABELS)), "naive": f1(truth == "naive", labels == "CD4_naive")}
    found |= {name: f1(truth == name, labels == name) for name in ADDED}
    return found | {"memory without a helper label": float(np.mean(~np.isin(labels, HELPER_LABELS)[truth == "memory"]))}


def compared(zheng: AnnData, seeds: tuple[int, ...]) -> pd.DataFrame:
    """Return means over seeds by depth: ours, sort declared and not, and scores."""
    rows = []
    for depth in DEPTHS:
        for seed in seeds:
            cells, truth = scene(zheng, seed, depth)
            for declared in ("CD4", ""):
                labels = label_cells(cells.copy(), population=declared).table["label"].to_numpy().astype(str)
                rows.append({"depth": depth, "by": f"ours {declared or '(not declared)'}", **scores(truth, labels)})
            rows.append({"depth": depth, "by": "scanpy's scores", **scores(truth, by_scores(cells))})
    return pd.DataFrame(rows).groupby(["depth", "by"]).mean()


def labelled_by_random(cells: AnnData, naive: NDArray[np.float64], seed: int) -> float:
    """Return the share of memory cells that random genes in place of the helpers' label."""
    rng, table = np.random.default_rng(seed), dict(cd4_programmes())
    mean = np.asarray(cells.layers["counts"].mean(axis=0)).ravel()
    column, used = {gene: i for i, gene in enumerate(cells.var_names)}, {g for one in table.values() for g in one.genes}
    others = np.setdiff1d(np.flatnonzero(mean > 0), [column[gene] for gene in used & column.keys()])
    others = others[np.argsort(mean[others], kind="stable")]

    def alike(genes: Mapping[str, float]) -> dict[str, float]:
        places = {
            g: np.searchsorted(mean[others], mean[column[g]]) for g in genes if g in column and mean[column[g]] > 0
        }
        starts = {gene: int(np.clip(place - 25, 0, len(others) - 50)) for gene, place in places.items()}
        return {str(cells.var_names[others[at + rng.integers(50)]]): genes[gene] for gene, at in starts.items()}

    for name in HELPERS:
        table[name] = replace(table[name], genes=alike(table[name].genes))
    wanted = tuple(dict.fromkeys(gene for one in table.values() for gene in one.genes))
    found = programmes_of(marker_counts(cells, wanted=wanted), naive, table=table)
    answers = Answers(naive=naive, helper={name: found.chance[name] for name in HELPERS if name in found.chance})
    return float(np.isin(name_cd4(cells.n_obs, answers).labels.astype(str), HELPER_LABELS)[naive < SURE].mean())


def main() -> None:
    """Print the parts named on the command line, or both."""
    folder = Path(os.environ.get("IMMUNOLAB_TEST_DATA", "../shared/data"))
    zheng = read_cells(folder / "single_cell/zheng2017_sorted_fastTopics/zheng2017_sorted_pbmc.h5ad")
    seeds = tuple(int(word) for word in sys.argv[1:] if word.isdigit()) or (31, 32, 33)
    parts = [word for word in sys.argv[1:] if not word.isdigit()] or ["scene", "random"]
    if "scene" in parts:
        print(compared(zheng, seeds).round(3).to_string(), flush=True)
    if "random" in parts:
        four = zheng[zheng.obs["sorted_population"].astype(str).str.startswith("CD4+").to_numpy()].copy()
        for what, cells in (("zheng", four), *((f"{d} counts", scene(zheng, seeds[0], d)[0]) for d in DEPTHS)):
            naive = label_cells(cells.copy(), population="CD4").chance["CD4_naive"]
            drawn = [labelled_by_random(cells, np.nan_to_num(naive), seed) for seed in range(20)]
            print(f"random genes, {what}: {np.mean(drawn):.4f} of memory cells, most {max(drawn):.3f}", flush=True)


if __name__ == "__main__":
    main()
