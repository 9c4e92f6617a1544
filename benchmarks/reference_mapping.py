"""Labels by a reference: accuracy, calibration, and populations that the reference lacks, on held-out donors and sets.

``python benchmarks/reference_mapping.py [PAIR ...]`` prints one line for each pair of data sets, and one for each
population that is removed from the reference: macro F1 and accuracy of the cells that get a label, expected calibration
error, reliability by bins, the share of known cells called unlike the reference, and the share of removed ones. Beside
it, on the same cells, scanpy's ingest and a plain multinomial logistic regression, which have no such answer.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from anndata import AnnData, read_h5ad
from cells_real import _KANG, _ZHENG, CD4_LABELS
from sklearn.metrics import f1_score

from immunolab.cells.label import label_cells
from immunolab.cells.reference import UNLIKE, label_by_reference
from immunolab.cells.reference_classifier import calibration_error
from immunolab.loaders.single_cell import interpret_cells, read_cells


def zheng(folder: Path) -> AnnData:
    """Return bead-sorted cells with their lineage as ``truth``."""
    cells = read_cells(folder / "single_cell/zheng2017_sorted_fastTopics/zheng2017_sorted_pbmc.h5ad")
    cells.obs["truth"] = [_ZHENG.get(name, "CD4") for name in cells.obs["sorted_population"].astype(str)]
    return cells


def kang(folder: Path) -> AnnData:
    """Return the cells of two donors with published lineages as ``truth``."""
    cells = read_cells(folder / "single_cell/kang2018_ifnb_paired/kang2018_ifnb_subset.h5ad")
    cells.obs["truth"] = [_KANG[name] for name in cells.obs["cell_type"].astype(str)]
    return cells


def mimitou(folder: Path) -> AnnData:
    """Return cells with genes alone; their lineage by surface proteins is ``truth``."""
    raw = read_h5ad(folder / "single_cell/mimitou2019_eccite_pbmc/eccite_pbmc_control_500.h5ad")
    proteins = AnnData(obs=raw.obs, obsm={name: raw.obsm[name] for name in ("protein", "hto")})
    label = label_cells(interpret_cells(proteins)).table["label"].to_numpy().astype(str)
    del raw.obsm["protein"]
    cells = interpret_cells(raw)
    cells.obs["truth"] = np.where(np.isin(label, CD4_LABELS), "CD4", label)
    return cells[np.isin(cells.obs["truth"], ["CD4", "CD8", "B", "NK", "Mono"])].copy()


def kotliarov(folder: Path) -> AnnData:
    """Return nine proteins of 20 donors with manual gates as ``truth``."""
    raw = read_h5ad(folder / "single_cell/kotliarov2020_adt9/kotliarov2020_adt9_20donors.h5ad")
    cells = interpret_cells(raw, sample_column="donor")
    cells.obs["truth"] = cells.obs["cell_type_l1"].astype(str).replace("undefined", "")
    return cells


def _two(cells: AnnData, column: str, first: str) -> tuple[AnnData, AnnData]:
    own = cells.obs[column].astype(str).to_numpy() == first
    return cells[own].copy(), cells[~own].copy()


def _halves(cells: AnnData) -> tuple[AnnData, AnnData]:
    half = np.random.default_rng(0).random(cells.n_obs) < 0.5
    return cells[half].copy(), cells[~half].copy()


def _batches(cells: AnnData) -> tuple[AnnData, AnnData]:
    drawn = cells[np.random.default_rng(1).random(cells.n_obs) < 0.12].copy()
    return _two(drawn, "batch", sorted(drawn.obs["batch"].astype(str).unique())[0])


PAIRS: dict[str, Callable[[Path], tuple[AnnData, AnnData]]] = {
    "zheng half>half": lambda folder: _halves(zheng(folder)),
    "kang 101>107": lambda folder: _two(kang(folder), "donor", "101"),
    "kang 107>101": lambda folder: _two(kang(folder), "donor", "107"),
    "kang ctrl>stim": lambda folder: _two(kang(folder), "condition", "ctrl"),
    "kotliarov batch>batch": lambda folder: _batches(kotliarov(folder)),
    "zheng>kang": lambda folder: (zheng(folder), kang(folder)),
    "mimitou>kang": lambda folder: (mimitou(folder), kang(folder)),
    "zheng>mimitou": lambda folder: (zheng(folder), mimitou(folder)),
}


def _drawn(n: int, seed: int, hspc: int | None = None) -> Callable[[Path], tuple[AnnData, AnnData]]:
    """Return a pair of few cells of Zheng's, at most so many progenitors among them, and 1,200 others."""

    def pair(folder: Path) -> tuple[AnnData, AnnData]:
        cells = zheng(folder)
        order = np.random.default_rng(seed).permutation(cells.n_obs)
        known = cells[order[1200 : 1200 + n]].copy()
        of_kind = np.flatnonzero((known.obs["truth"] == "HSPC").to_numpy())
        return known[np.setdiff1d(np.arange(n), of_kind[hspc:] if hspc is not None else [])].copy(), cells[
            order[:1200]
        ].copy()

    return pair


PAIRS |= {
    "zheng 900, 8 HSPC>1200": _drawn(900, 3, 8),
    "zheng 300>1200 (11)": _drawn(300, 11),
    "zheng 300>1200 (12)": _drawn(300, 12),
    "mimitou>zheng": lambda folder: (mimitou(folder), zheng(folder)),
    "kang>zheng": lambda folder: (kang(folder), zheng(folder)),
}


def lines(name: str, reference: AnnData, query: AnnData, *, removed: bool = True) -> Iterator[str]:
    """Yield the line of a pair, and those of each population removed from its reference."""
    truth, known = query.obs["truth"].to_numpy().astype(str), reference.obs["truth"].to_numpy().astype(str)
    yield _line(name, "", reference, query, truth)
    yield from _plain(reference, query, known, truth)
    kinds = [one for one in np.unique(known) if one and (known == one).sum() >= 20 and (truth == one).sum() >= 20]
    for gone in kinds if removed else ():
        yield _line(name, gone, reference[known != gone].copy(), query, truth)
        yield from _plain(reference[known != gone].copy(), query, known[known != gone], truth, gone)


def _line(name: str, gone: str, reference: AnnData, query: AnnData, truth: np.ndarray) -> str:
    start = time.perf_counter()
    found = label_by_reference(query, reference, "truth")
    label, sure = found.table["label"].to_numpy().astype(str), found.table["confidence"].to_numpy()
    names = {"CD4 T": "CD4", "CD8 T": "CD8", "monocytes": "Mono", "DCs": "DC"}
    truth = np.array([names.get(one, one) for one in truth])
    there = {names.get(str(one), str(one)) for one in np.unique(reference.obs["truth"].astype(str))}
    gone = names.get(gone, gone)
    own = np.isin(truth, list(there - {""})) & (label != "unassigned")
    unlike = label == UNLIKE
    called = own & ~unlike
    right = label == truth
    kinds = sorted(set(truth[called]))
    f1 = f1_score(truth[called], label[called], average="macro", labels=kinds) if kinds else np.nan
    text = (
        f"{name:22s} {'-' + gone if gone else '':6s} F1 {f1:.3f} accuracy {right[called].mean():.3f} "
        f"ECE {calibration_error(sure[called], right[called]):.3f} known called unlike {unlike[own].mean():.3f}"
    )
    if gone:
        inside = (truth == gone) & (label != "unassigned")
        parent = (label == "CD3") & np.isin(truth, ["CD4", "CD8"])
        other = ~(unlike | parent)
        text += (
            f" removed called unlike {unlike[inside].mean():.3f}, CD3 {parent[inside].mean():.3f}, another label "
            f"{other[inside].mean():.3f} ({(other & (sure > 0.9))[inside].mean():.3f} with p > .9) of {inside.sum()}"
        )
    else:
        bins = np.clip((sure * 10).astype(int), 0, 9)
        text += "\n    confidence: accuracy (cells) " + "; ".join(
            f"{sure[called][bins[called] == b].mean():.2f}: {right[called][bins[called] == b].mean():.2f} "
            f"({int((bins[called] == b).sum())})"
            for b in range(10)
            if (bins[called] == b).sum() >= 10
        )
    return f"{text}  {time.perf_counter() - start:.0f} s"


def _plain(reference: AnnData, query: AnnData, known: np.ndarray, truth: np.ndarray, gone: str = "") -> Iterator[str]:
    """Yield the lines of ingest and of a logistic regression on 1,500 variable genes in common, or on the proteins."""
    import scanpy
    from sklearn.linear_model import LogisticRegression

    own = [
        AnnData(one.X.copy(), obs=one.obs[["truth"]].copy(), var=one.var[[]])
        if one.n_vars
        else AnnData(np.log1p(np.maximum(one.obsm["protein"], 0.0)), obs=one.obs[["truth"]].copy())
        for one in (reference, query)
    ]
    for one in own:
        one.obs_names_make_unique()
    shared = own[0].var_names.intersection(own[1].var_names)
    one, other = own[0][known != "", shared].copy(), own[1][:, shared].copy()
    one.obs["truth"] = one.obs["truth"].astype("category")
    if one.n_vars > 1500:
        scanpy.pp.highly_variable_genes(one, n_top_genes=1500)
        other = other[:, one.var["highly_variable"]].copy()
        one = one[:, one.var["highly_variable"]].copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scanpy.pp.pca(one, n_comps=min(30, one.n_vars - 1))
        scanpy.pp.neighbors(one)
        scanpy.tl.ingest(other, one, obs="truth", embedding_method="pca")
    dense = [x.X.toarray() if hasattr(x.X, "toarray") else x.X for x in (one, own[1][:, one.var_names])]
    model = LogisticRegression(max_iter=300).fit(dense[0], one.obs["truth"].astype(str))
    chance = model.predict_proba(dense[1])
    called = {"ingest": other.obs["truth"].to_numpy().astype(str), "logistic": model.classes_[chance.argmax(axis=1)]}
    there = np.isin(truth, model.classes_)
    for way, label in called.items():
        f1 = f1_score(truth[there], label[there], average="macro", labels=sorted(set(truth[there])))
        text = f"    {way:8s} {'-' + gone if gone else '':6s} F1 {f1:.3f} accuracy {(label == truth)[there].mean():.3f}"
        if way == "logistic":
            sure = chance.max(axis=1)
            text += f" ECE {calibration_error(sure[there], (label == truth)[there]):.3f}"
            text += f" removed given a label with p > .9 {(sure > 0.9)[truth == gone].mean():.3f}" if gone else ""
        yield text


def main() -> None:
    """Print every line, or those of the pairs named."""
    folder = Path(os.environ.get("IMMUNOLAB_TEST_DATA", "../shared/data"))
    for name in sys.argv[1:] or PAIRS:
        reference, query = PAIRS[name](folder)
        for text in lines(name, reference, query):
            print(text, flush=True)


if __name__ == "__main__":
    main()
