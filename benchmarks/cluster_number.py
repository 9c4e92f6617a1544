"""How steady the number of clusters is where none is given: other seeds, 50 events less, a channel less.

    python benchmarks/cluster_number.py [names of sets of cluster_labels.py]

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

from cluster_labels import SETS, Labelled, index

from immunolab.clustering.som import train_nodes

LEFT_OUT, DRAWS, SEEDS = 50, 4, 3


def variants(data: Labelled) -> Iterator[tuple[str, np.ndarray, np.ndarray, int]]:
    """Yield what was changed, events, labels and the seed."""
    events, labels = data
    rng = np.random.default_rng(99)
    for seed in range(SEEDS):
        yield "seed", events, labels, seed
    for _ in range(DRAWS):
        rows = np.sort(rng.choice(len(events), len(events) - LEFT_OUT, replace=False))
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
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"of: {', '.join(SETS)}")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    spreads, means = [], []
    for name in arguments.sets or SETS:
        numbers, indices = measured(SETS[name]())
        spreads.append(float(np.std(np.log([n for one in numbers.values() for n in one]))))
        means.append(float(np.mean(indices)))
        print(f"{name:<30} {numbers}  sd of log {spreads[-1]:.2f}, index {means[-1]:.3f}", flush=True)
    print(f"mean sd of log {np.mean(spreads):.3f}, most {max(spreads):.2f}, mean index {np.mean(means):.3f}")


if __name__ == "__main__":
    main()
