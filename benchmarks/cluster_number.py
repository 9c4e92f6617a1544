"""How steady the number of clusters is where none is given: other seeds, 50 events less, a channel less.

    python benchmarks/cluster_number.py [names of sets of cluster_labels.py, and zheng, kang, mimitou]

Single cells are in the space that `immunolab.label` leaves, and lose a twentieth of them and a dimension of it.
Prints for each set the number of all events with three seeds, of four draws without 50 events and of four panels
without a channel, the spread of its logarithm, and the adjusted Rand index with the labels at the number taken.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import cells_real
from cluster_labels import SETS, Labelled, coded, index
from real_set import data_folder

import immunolab as il
from immunolab.clustering.som import train_nodes

LEFT_OUT, DRAWS, SEEDS = 50, 4, 3
CELLS = {
    "zheng": ("zheng2017_sorted_fastTopics/zheng2017_sorted_pbmc.h5ad", "sorted_population"),
    "kang": ("kang2018_ifnb_paired/kang2018_ifnb_subset.h5ad", "cell_type"),
    "mimitou": ("mimitou2019_eccite_pbmc/eccite_pbmc_control_500.h5ad", "immunolab_label"),
}


def cells_of(name: str) -> Labelled:
    """Return single cells and their labels: sorts, the authors' types, and without either our own."""
    path, column = CELLS[name]
    cells = il.read_cells(data_folder("flowsom_68983").parent.parent / "single_cell" / path)
    il.label(cells, quiet=True)
    labels = cells.obs[column].astype(str)
    if name == "zheng":
        labels = labels.map(lambda sort: cells_real._ZHENG.get(sort, "CD4"))
    return cells.obsm["X_immunolab"].astype(np.float32), coded(labels.where(labels != "unassigned").to_numpy())


def variants(data: Labelled) -> Iterator[tuple[str, np.ndarray, np.ndarray, int]]:
    """Yield what was changed, events, labels and the seed."""
    events, labels = data
    rng = np.random.default_rng(99)
    for seed in range(SEEDS):
        yield "seed", events, labels, seed
    for _ in range(DRAWS):
        rows = np.sort(rng.choice(len(events), len(events) - min(LEFT_OUT, len(events) // 20), replace=False))
        yield "events", events[rows], labels[rows], 0
    for channel in rng.choice(events.shape[1], DRAWS, replace=False):
        yield "channel", np.delete(events, channel, axis=1), labels, 0


def measured(data: Labelled) -> tuple[dict[str, list[int]], list[float]]:
    """Return the numbers taken by what was changed, and the index at each."""
    numbers: dict[str, list[int]] = {}
    indices = []
    for what, events, labels, seed in variants(data):
        found = train_nodes(events, seed=seed).clusters()
        numbers.setdefault(what, []).append(int(found.labels.max()) + 1)
        known = labels >= 0
        indices.append(index(labels[known], found.assign(np.ascontiguousarray(events[known], dtype=np.float32))))
    return numbers, indices


def main() -> None:
    """Print a line a set, and the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"of: {', '.join([*SETS, *CELLS])}")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    spreads, means = [], []
    for name in arguments.sets or [*SETS, *CELLS]:
        numbers, indices = measured(cells_of(name) if name in CELLS else SETS[name]())
        spreads.append(float(np.std(np.log([n for one in numbers.values() for n in one]))))
        means.append(float(np.mean(indices)))
        print(f"{name:<30} {numbers}  sd of log {spreads[-1]:.2f}, index {means[-1]:.3f}", flush=True)
    print(f"mean sd of log {np.mean(spreads):.3f}, most {max(spreads):.2f}, mean index {np.mean(means):.3f}")


if __name__ == "__main__":
    main()
