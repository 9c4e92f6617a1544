"""CD4 called CD8 and CD8 called CD4 where one of the two is rare: sorted cells mixed, and simulated CITE-seq.

``python benchmarks/sibling_swap.py [zheng] [thinned] [simulated]`` prints a line a mixture: the share of each that gets
the other's name, that keeps its own, and that stays CD3. The bound is 5 %. The real sets were in view while the
rule was chosen: they show that it holds on them, and are no independent check of it. ``simulated`` takes seeds after
it.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from cells_real import _ZHENG, coarse
from numpy.typing import NDArray

from immunolab.cells.label import label_cells
from immunolab.loaders.single_cell import join_cells, read_cells
from immunolab.simulation import Options, simulate

SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.6)
BOUND = 0.05
_CELLS = 600  # of a simulated mixture, as few as a small sort gives
_SIBLING = {"CD4": "CD8", "CD8": "CD4"}


def rows_mixed(kind: NDArray[np.str_], major: str, share: float, seed: int, most: int = 10**9) -> NDArray[np.int64]:
    """Return rows of one kind with a share of its sibling."""
    rng = np.random.default_rng(seed)
    many, few = (rng.permutation(np.flatnonzero(kind == name)) for name in (major, _SIBLING[major]))
    n = min(len(many), most)
    return np.sort(np.concatenate([many[:n], few[: round(share / (1 - share) * n)]]))


def line(cells: AnnData, kind: NDArray[np.str_], what: str, major: str, share: float) -> dict[str, object]:
    """Return what the cells of one mixture are called."""
    got = coarse(label_cells(cells))
    row: dict[str, object] = {"data": what, "sort": major, "with": f"{share:.0%} {_SIBLING.get(major, '')}"}
    for name in ("CD4", "CD8"):
        own = kind == name
        for to in (_SIBLING[name], name, "CD3"):
            row[f"{name} called {to}"] = float((got == to)[own].mean()) if own.any() else np.nan
    return row


def zheng(folder: Path) -> Iterator[dict[str, object]]:
    """Yield lines of bead-sorted T cells (Zheng et al. 2017), mixed; means of three draws."""
    cells = read_cells(folder / "single_cell/zheng2017_sorted_fastTopics/zheng2017_sorted_pbmc.h5ad")
    kind = np.array([_ZHENG.get(name, "CD4") for name in cells.obs["sorted_population"].astype(str)])
    for major in ("CD8", "CD4"):
        for share in SHARES:
            drawn = [rows_mixed(kind, major, share, seed) for seed in range(3 if share else 1)]
            lines = pd.DataFrame([line(cells[rows].copy(), kind[rows], "zheng", major, share) for rows in drawn])
            yield lines.iloc[0].to_dict() | lines.mean(numeric_only=True).to_dict()


def thinned(folder: Path) -> Iterator[dict[str, object]]:
    """Yield lines of Zheng's cells, all sorts together, thinned to few counts, and by a part of the genes with CD8A."""
    from immunolab.loaders.single_cell import interpret_cells

    cells = read_cells(folder / "single_cell/zheng2017_sorted_fastTopics/zheng2017_sorted_pbmc.h5ad")
    kind = np.array([_ZHENG.get(name, "CD4") for name in cells.obs["sorted_population"].astype(str)])
    rng, counts = np.random.default_rng(5), cells.layers["counts"]
    total = np.asarray(counts.sum(axis=1)).ravel()
    for depth in (200, 350, 500, 1000):
        keep = np.minimum(depth * rng.gamma(6.0, 1 / 6, len(total)) / total, 1.0)
        few = interpret_cells(AnnData(_thinned(counts, keep), var=cells.var[[]]))
        yield line(few, kind, f"{depth} counts", "all", 0.0)
    for share in (0.5, 0.25):
        some = rng.random(cells.n_vars) < share
        part = cells[:, some | np.isin(cells.var_names, ["CD8A"])].copy()
        yield line(part, kind, f"{share:.0%} of the genes", "all", 0.0)


def simulated(folder: Path, seeds: tuple[int, ...] = (31,)) -> Iterator[dict[str, object]]:
    """Yield lines of simulated CITE-seq: mixtures with genes or a protein missing, and batches that differ."""
    del folder
    for seed in seeds:
        cells, kind, second = _simulated_cells(seed)
        for what, data in _variants(cells, second, seed):
            for major in ("CD8", "CD4"):
                for share in SHARES:
                    rows = rows_mixed(kind, major, share, seed, _CELLS)
                    yield line(data[rows].copy(), kind[rows], what, major, share)


def _simulated_cells(seed: int) -> tuple[AnnData, NDArray[np.str_], NDArray[np.bool_]]:
    """Return cells of two visits, which of CD4 and CD8 each is, and which are of the second visit."""
    with tempfile.TemporaryDirectory() as scratch:
        options = Options(events=500, citeseq=5000, truth_events=True)
        where = Path(scratch) / "study"
        simulate("sle_nct02084238", patients=1, seed=seed, folder=where, visits=["W0", "W10"], options=options)
        files = sorted((where / "cells").glob("*.h5ad"))
        cells = join_cells([read_cells(file) for file in files])
        truth = pd.concat([pd.read_parquet(where / "truth/events" / f"{file.stem}.parquet") for file in files])
    sound = (truth["singlet"] & truth["viable"]).to_numpy()
    named = {"CD4": truth["CD4"].to_numpy() & sound, "CD8": truth["CD8"].to_numpy() & sound}
    kind = np.where(named["CD4"], "CD4", np.where(named["CD8"], "CD8", ""))
    return cells, kind, (cells.obs["sample_id"] == cells.obs["sample_id"].iloc[-1]).to_numpy()


def _variants(cells: AnnData, second: NDArray[np.bool_], seed: int) -> Iterator[tuple[str, AnnData]]:
    lacking = np.random.default_rng(seed).random(cells.n_vars) < 0.5
    kept = ~lacking | np.isin(cells.var_names, ["CD8A"])  # a panel without CD8A and CD8B cannot part them, and says so
    shifted = cells.copy()
    shifted.layers["counts"] = _thinned(shifted.layers["counts"], np.where(second, 0.4, 1.0))
    shifted.obs["batch"] = np.where(second, "two", "one")
    shifted.obsm["protein"] = (cells.obsm["protein"].mul(np.where(second, 2.5, 1.0), axis=0)).round()
    for batch, data in (("", cells), (", second batch .4 as deep, 2.5 as bright", shifted)):
        half = data[:, kept].copy()
        yield f"genes and proteins{batch}", data
        yield f"half of the genes, proteins{batch}", half
        for lost in ("CD4", "CD8"):
            part = half.copy()
            part.obsm["protein"] = part.obsm["protein"].drop(columns=_named(part, lost))
            yield f"half of the genes, proteins but {lost}{batch}", part
        for what, genes in (("genes", data), ("half of the genes", half)):
            alone = genes.copy()
            del alone.obsm["protein"]
            yield f"{what}{batch}", alone


def _named(cells: AnnData, marker: str) -> list[str]:
    return [name for name in cells.obsm["protein"].columns if str(name).split("_")[0] == marker]


def _thinned(counts, keep):  # type: ignore[no-untyped-def]
    counts = counts.tocsr().copy()
    each = np.repeat(keep, np.diff(counts.indptr))
    counts.data = np.random.default_rng(3).binomial(counts.data.astype(int), each).astype(np.float32)
    counts.eliminate_zeros()
    return counts


def main() -> None:
    """Print the lines of the sets named on the command line, and how many are over the bound."""
    folder = Path(os.environ.get("IMMUNOLAB_TEST_DATA", "../shared/data"))
    sets = {"zheng": zheng, "thinned": thinned, "simulated": simulated}
    pd.set_option("display.width", 250, "display.max_columns", 20, "display.max_rows", 500)
    seeds = tuple(int(word) for word in sys.argv[1:] if word.isdigit())
    for name in [word for word in sys.argv[1:] if not word.isdigit()] or sets:
        every = simulated(folder, seeds) if name == "simulated" and seeds else sets[name](folder)
        table = pd.DataFrame(list(every))
        print(table.round(3).to_string(index=False))
        swaps = table[["CD4 called CD8", "CD8 called CD4"]].max(axis=1)
        print(
            f"{name}: {int((swaps > BOUND).sum())} of {len(table)} mixtures over {BOUND:.0%}, largest {swaps.max():.3f}"
        )


if __name__ == "__main__":
    main()
