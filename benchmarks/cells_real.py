"""Labels of single cells against published sorts, gates and annotations: one line an acceptance figure.

``python benchmarks/cells_real.py [names]`` prints what was measured, what was got and its target, for zheng, kotliarov,
kang and mimitou; without names for all. `figures` gives the same lines to tests.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from immunolab.cells.label import LabelledCells, label_cells
from immunolab.loaders.single_cell import interpret_cells, read_cells

Labels = NDArray[np.str_]
SEEDS = (0, 1, 2, 3, 4)
CD4_LABELS = (
    "CD4", "CD4_naive", "CD4_mem", "CD4_CM", "CD4_EM", "CD4_TEMRA", "Treg", "Th1", "Th2", "Th17", "Th1_17", "Tfh",
)  # fmt: skip
MEMORY_LABELS = ("CD4_mem", "CD4_CM", "CD4_EM", "CD4_TEMRA", "Th1", "Th2", "Th17", "Th1_17", "Tfh")
HELPER_LABELS = ("Th1", "Th2", "Th17", "Th1_17", "Tfh")
_ZHENG = {
    "CD14+ Monocyte": "Mono", "CD19+ B": "B", "CD34+": "HSPC", "CD56+ NK": "NK", "CD8+ Cytotoxic T": "CD8",
    "CD8+/CD45RA+ Naive Cytotoxic": "CD8",
}  # fmt: skip
_KOTLIAROV = {"NK": "NK", "B": "B", "monocytes": "Mono", "CD4 T": "CD4", "CD8 T": "CD8"}
_KANG = {
    "B cells": "B", "CD14+ Monocytes": "Mono", "FCGR3A+ Monocytes": "Mono", "CD4 T cells": "CD4", "CD8 T cells": "CD8",
}  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """One measured value, and the least it should be (None where it is shown only)."""

    data: str
    what: str
    value: float
    least: float | None = None

    def __str__(self) -> str:
        mark = (
            "" if self.least is None else f"  >= {self.least:.2f} " + ("ok" if self.value >= self.least else "MISSED")
        )
        return f"{self.data:10s} {self.what:68s} {self.value:7.3f}{mark}"


def coarse(found: LabelledCells) -> Labels:
    """Return labels with the subsets of CD4 under CD4."""
    labels = found.table["label"].to_numpy().astype(str)
    return np.where(np.isin(labels, CD4_LABELS), "CD4", labels)


def agreement(cells: AnnData, seeds: tuple[int, ...] = SEEDS) -> float:
    """Return the least share of cells that two seeds give the same label."""
    all_labels = [label_cells(cells, seed=seed).table["label"].to_numpy() for seed in seeds]
    return min(float((a == b).mean()) for i, a in enumerate(all_labels) for b in all_labels[:i])


def f1(truth: NDArray[np.bool_], found: NDArray[np.bool_]) -> float:
    """Return F1 of one population."""
    return float(f1_score(truth, found, zero_division=0))


def zheng(folder: Path, *, short: bool = False) -> Iterator[Figure]:
    """Yield figures of bead-sorted PBMC (Zheng et al. 2017, Nat Commun 8:14049), genes alone."""
    cells = read_cells(folder / "single_cell/zheng2017_sorted_fastTopics/zheng2017_sorted_pbmc.h5ad")
    sort = cells.obs["sorted_population"].astype(str).to_numpy()
    truth = np.array([_ZHENG.get(name, "CD4") for name in sort])
    got = coarse(label_cells(cells))
    t_as_one = [np.where(np.isin(x, ["CD4", "CD8", "CD3"]), "T", x) for x in (truth, got)]
    macro = f1_score(*t_as_one, average="macro", labels=["T", "B", "NK", "HSPC", "Mono"])
    yield Figure("zheng", "lineage macro F1 (T B NK HSPC Mono)", float(macro), 0.95)
    for name in ("CD4", "CD8"):
        yield Figure("zheng", f"F1 {name}", f1(truth == name, got == name), 0.93)
    alone = [(f"only {name} cells", truth == name) for name in ("CD4", "CD8", "B", "NK", "Mono", "HSPC")]
    if not short:
        alone += [(f"only {name}", sort == name) for name in np.unique(sort)]
    for what, chosen in alone:
        kind = truth[chosen][0]
        found = label_cells(cells[chosen].copy())
        yield Figure("zheng", f"{what}: share that is {kind}", float((coarse(found) == kind).mean()), 0.95)
    cd4 = np.flatnonzero(truth == "CD4")
    part = cells[cd4].copy()
    declared = label_cells(part, population="CD4").table["label"].to_numpy().astype(str)
    naive, memory = (sort[cd4] == s for s in ("CD4+/CD45RA+/CD25- Naive T", "CD4+/CD45RO+ Memory"))
    kept = naive | memory
    yield Figure(
        "zheng", "declared CD4: F1 naive against memory sort", f1(naive[kept], (declared == "CD4_naive")[kept])
    )
    yield Figure("zheng", "declared CD4: F1 memory", f1(memory[kept], np.isin(declared, MEMORY_LABELS)[kept]))
    resting = ~np.isin(declared, HELPER_LABELS)[memory]
    yield Figure("zheng", "declared CD4: memory sort without a helper label", float(resting.mean()), 0.75)
    yield Figure("zheng", "least agreement of two seeds", agreement(cells, SEEDS[: 2 if short else 5]), 0.98)
    yield Figure("zheng", "CD4 alone: least agreement of two seeds", agreement(part, SEEDS[: 2 if short else 5]), 0.98)
    rng = np.random.default_rng(0)
    for share in () if short else (0.02, 0.1, 0.3):
        few = rng.choice(np.flatnonzero(truth == "CD8"), round(share / (1 - share) * len(cd4)), replace=False)
        yield from _two_kinds(cells, truth, np.concatenate([cd4, few]), f"CD4 with {share:.0%} CD8")
        cd8 = np.flatnonzero(truth == "CD8")
        few = rng.choice(cd4, round(share / (1 - share) * len(cd8)), replace=False)
        yield from _two_kinds(cells, truth, np.concatenate([cd8, few]), f"CD8 with {share:.0%} CD4")
    for share in () if short else (0.5, 0.25):
        genes = rng.choice(cells.n_vars, int(share * cells.n_vars), replace=False)
        got = coarse(label_cells(cells[:, np.sort(genes)].copy()))
        yield Figure("zheng", f"{share:.0%} of genes: CD4 called CD8", float((got == "CD8")[truth == "CD4"].mean()))
        yield Figure("zheng", f"{share:.0%} of genes: CD8 called CD4", float((got == "CD4")[truth == "CD8"].mean()))


def _two_kinds(cells: AnnData, truth: Labels, rows: NDArray[np.int64], what: str) -> Iterator[Figure]:
    got, own = coarse(label_cells(cells[rows].copy())), truth[rows]
    for name, other in (("CD4", "CD8"), ("CD8", "CD4")):
        yield Figure("zheng", f"{what}: {name} called {other}", float((got == other)[own == name].mean()))


def kotliarov(folder: Path, *, short: bool = False) -> Iterator[Figure]:
    """Yield figures of nine surface proteins (Kotliarov et al. 2020, Nat Med 26:618) against manual gates."""
    from anndata import read_h5ad

    raw = read_h5ad(folder / "single_cell/kotliarov2020_adt9/kotliarov2020_adt9_20donors.h5ad")
    yield from _kotliarov(raw, "all cells", 0.95)
    donors = raw.obs["donor"].astype(str).to_numpy()
    every = [_kotliarov(raw[donors == d].copy(), d) for d in np.unique(donors)[: 3 if short else None]]
    table = pd.DataFrame([{figure.what.split(": ")[1]: figure.value for figure in one} for one in every])
    for what in table:
        yield Figure("kotliarov", f"each donor alone, median: {what}", float(table[what].median()))
        yield Figure("kotliarov", f"each donor alone, least: {what}", float(table[what].min()))
    if short:
        return
    without = [_kotliarov(raw[donors != d].copy(), d) for d in np.unique(donors)]
    table = pd.DataFrame([{figure.what.split(": ")[1]: figure.value for figure in one} for one in without])
    for what in table:
        yield Figure("kotliarov", f"one donor left out, least: {what}", float(table[what].min()))
    halves = (["CD14", "CD19", "CD56", "CD8"], ["CD3", "CD14", "CD19", "CD8"], ["CD3", "CD8", "CD56", "CD14"])
    for lacking in (
        ["CD127"], ["CD25"], ["CD45RA"], ["CD4"], ["CD8"], ["CD14", "CD19", "CD56"], ["CD3", "CD127"], *halves,
    ):  # fmt: skip
        yield from _kotliarov(raw[:, ~raw.var_names.isin(lacking)].copy(), "without " + ", ".join(lacking))
    brighter = raw.copy()
    second = (raw.obs["batch"] == raw.obs["batch"].cat.categories[1]).to_numpy()
    dense = np.asarray(raw.X.toarray() if hasattr(raw.X, "toarray") else raw.X)
    brighter.X = np.where(second[:, None], np.round(dense * 2.5), dense)
    yield from _kotliarov(brighter, "second batch 2.5 times as bright")
    transformed = raw.copy()
    transformed.X = np.arcsinh(dense / 5)
    yield from _kotliarov(transformed, "given as asinh")
    drawn = np.random.default_rng(1).choice(raw.n_obs, 6000, replace=False)
    yield Figure("kotliarov", "6,000 cells: least agreement of two seeds",
                 agreement(interpret_cells(raw[np.sort(drawn)].copy())), 0.98)  # fmt: skip


def _kotliarov(raw: AnnData, what: str, least: float | None = None) -> Iterator[Figure]:
    cells = interpret_cells(raw, sample_column="donor")
    one, two = (raw.obs[f"cell_type_{level}"].astype(str).to_numpy() for level in ("l1", "l2"))
    found = label_cells(cells)
    label = found.table["label"].to_numpy().astype(str)
    kept = two != "undefined"
    for name, labels in (("Treg", ("Treg",)), ("naive CD4", ("CD4_naive",)), ("memory CD4", MEMORY_LABELS)):
        yield Figure("kotliarov", f"{what}: F1 {name}", f1(two[kept] == name, np.isin(label, labels)[kept]), least)
    kept = one != "undefined"
    got = coarse(found)
    for name, own in _KOTLIAROV.items():
        yield Figure("kotliarov", f"{what}: F1 {own}", f1(one[kept] == name, got[kept] == own))


def kang(folder: Path, *, short: bool = False) -> Iterator[Figure]:
    """Yield figures of interferon-stimulated PBMC (Kang et al. 2018, Nat Biotechnol 36:89), genes alone."""
    cells = read_cells(folder / "single_cell/kang2018_ifnb_paired/kang2018_ifnb_subset.h5ad")
    truth = np.array([_KANG[name] for name in cells.obs["cell_type"].astype(str)])
    got = coarse(label_cells(cells))
    each = {name: f1(truth == name, got == name) for name in ("B", "Mono", "CD4", "CD8")}
    yield Figure("kang", "macro F1 (B Mono CD4 CD8)", float(np.mean(list(each.values()))), 0.9)
    for name, value in each.items():
        yield Figure("kang", f"F1 {name}", value)
    for name in ("B", "Mono", "CD4", "CD8"):
        part = label_cells(cells[truth == name].copy())
        yield Figure("kang", f"only {name} cells: share that is {name}", float((coarse(part) == name).mean()), 0.95)
    yield Figure("kang", "least agreement of two seeds", agreement(cells, SEEDS[: 2 if short else 5]), 0.98)


def mimitou(folder: Path, *, short: bool = False) -> Iterator[Figure]:
    """Yield how labels by proteins and by genes agree (Mimitou et al. 2019, Nat Methods 16:409)."""
    del short  # all of it is quick
    from anndata import read_h5ad

    raw = read_h5ad(folder / "single_cell/mimitou2019_eccite_pbmc/eccite_pbmc_control_500.h5ad")
    genes = raw.copy()
    del genes.obsm["protein"]
    proteins = AnnData(obs=raw.obs, obsm={name: raw.obsm[name] for name in ("protein", "hto")})
    names = ("CD4", "CD8", "B", "NK", "Mono")
    by = {what: coarse(label_cells(interpret_cells(data))) for what, data in
          (("genes", genes), ("proteins", proteins), ("both", raw))}  # fmt: skip
    for first, second in (("genes", "proteins"), ("both", "proteins"), ("both", "genes")):
        named = np.isin(by[first], names) & np.isin(by[second], names)
        least = 0.95 if (first, second) == ("genes", "proteins") else None
        share = float((by[first] == by[second])[named].mean())
        yield Figure("mimitou", f"{first} and {second} agree, of {named.sum()} cells that both name", share, least)
    for what, labels in by.items():
        yield Figure("mimitou", f"{what}: share of cells named", float(np.isin(labels, names).mean()))


FIGURES: dict[str, Callable[..., Iterator[Figure]]] = {
    "zheng": zheng, "kotliarov": kotliarov, "kang": kang, "mimitou": mimitou,
}  # fmt: skip


def figures(name: str, folder: Path, *, short: bool = False) -> list[Figure]:
    """Return the figures of one data set; ``short`` takes the quick ones that acceptance names."""
    return list(FIGURES[name](folder, short=short))


def main() -> None:
    """Print every figure of the data sets named on the command line."""
    import os

    folder = Path(os.environ.get("IMMUNOLAB_TEST_DATA", "../shared/data"))
    for name in sys.argv[1:] or FIGURES:
        for figure in FIGURES[name](folder):
            print(figure, flush=True)


if __name__ == "__main__":
    main()
