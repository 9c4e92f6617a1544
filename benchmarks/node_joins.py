"""Another way to join the nodes of a map, beside the one that clusters use and PyPI flowsom: adjusted Rand index.

    python benchmarks/node_joins.py [names of sets of cluster_labels.py] [--seeds 3]

Nodes are joined two by two so that the likelihood of normal groups, with their shares, stays highest (the integrated
classification likelihood, Biernacki, Celeux and Govaert 2000, IEEE Trans PAMI 22:719). Cutting a normal group in two
lowers it and cutting an even gradient leaves it as it is, so that real groups part first. Both ways get the same map;
flowsom its own. The two constants were chosen on the sets shown here and 31 others: this is no held-out figure.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))

from cluster_labels import NUMBERS, SETS, index, pypi_flowsom

from immunolab.clustering.clusters import TRAIN_ON
from immunolab.clustering.som import nearest_node, train_nodes

Array = NDArray[np.float64]
NOISE = 0.06  # added to the variance of every marker, in mean variances of all events: what one cannot tell apart
PRIOR = 0.005  # weight of the pooled variances within nodes in each covariance, in shares of the events


class Groups:
    """Groups of events as numbers, means and scatter about the mean, joined in place."""

    def __init__(self, events: Array, own: NDArray[np.integer], k: int) -> None:
        d = events.shape[1]
        self.n = np.bincount(own, minlength=k).astype(np.float64)
        self.mean, self.scatter = np.zeros((k, d)), np.zeros((k, d, d))
        for one in range(k):
            inside = events[own == one]
            self.mean[one] = inside.mean(axis=0)
            self.scatter[one] = (inside - self.mean[one]).T @ (inside - self.mean[one])
        self.all = self.n.sum()
        self.noise = NOISE * events.var(axis=0).mean() * np.eye(d)
        self.within = np.diag(np.diag(self.scatter.sum(axis=0) / self.all)) + self.noise

    def cost(self, n: Array, scatter: Array) -> Array:
        """Return minus the log likelihood of groups, up to a constant."""
        weight = PRIOR * self.all
        covariance = (scatter + weight * self.within) / (n + weight)[:, None, None] + self.noise
        return np.asarray(n * (np.linalg.slogdet(covariance)[1] / 2 - np.log(n / self.all)))

    def joined(self, a: NDArray[np.intp], b: NDArray[np.intp]) -> tuple[Array, Array]:
        """Return number and scatter of each pair of groups together."""
        n, apart = self.n[a] + self.n[b], self.mean[a] - self.mean[b]
        between = (self.n[a] * self.n[b] / n)[:, None, None] * apart[:, :, None] * apart[:, None, :]
        return n, self.scatter[a] + self.scatter[b] + between


def by_likelihood(events: Array, own: NDArray[np.integer], k: int) -> dict[int, NDArray[np.intp]]:
    """Return the group of each node at each number of groups."""
    groups = Groups(events, own, k)
    alone = groups.cost(groups.n, groups.scatter)
    label, there = np.arange(k), np.ones(k, dtype=bool)
    a, b = np.triu_indices(k, 1)
    loss = np.full((k, k), np.inf)
    loss[a, b] = loss[b, a] = groups.cost(*groups.joined(a, b)) - alone[a] - alone[b]
    found = {}
    for left in range(k, 1, -1):
        if left in NUMBERS:
            found[left] = np.unique(label, return_inverse=True)[1]
        i, j = sorted(divmod(int(loss.argmin()), k))
        n, scatter = (value[0] for value in groups.joined(np.array([i]), np.array([j])))
        groups.mean[i] = (groups.n[i] * groups.mean[i] + groups.n[j] * groups.mean[j]) / n
        groups.n[i], groups.scatter[i] = n, scatter
        alone[i] = groups.cost(groups.n[i : i + 1], groups.scatter[i : i + 1])[0]
        label[label == j], there[j] = i, False
        loss[j] = loss[:, j] = np.inf
        rest = np.flatnonzero(there & (np.arange(k) != i))
        pairs = groups.joined(np.full(len(rest), i), rest)
        loss[i, rest] = loss[rest, i] = groups.cost(*pairs) - alone[i] - alone[rest]
    return found


def both(events: NDArray[np.float32], seed: int) -> Iterator[tuple[NDArray[np.int32], NDArray[np.intp]]]:
    """Yield the cluster of each event at each number, as `immunolab.cluster` finds them and by likelihood."""
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(len(events), min(TRAIN_ON, len(events)), replace=False))
    trained = train_nodes(events[rows], seed=seed, least=max(NUMBERS))
    node = nearest_node(events, trained.nodes)
    own = nearest_node(events, trained.nodes[trained.kept])
    there, place = np.unique(own, return_inverse=True)
    joined = by_likelihood(events.astype(np.float64), place, len(there))
    yield from ((trained.clusters(n).labels[node], joined[n][place]) for n in NUMBERS)


def main() -> None:
    """Print a line a set: means over 8 to 30 clusters, and the numbers at which each way is below flowsom."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"of: {', '.join(SETS)}")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    above = []
    for name in arguments.sets or SETS:
        events, labels = SETS[name]()
        known = labels >= 0
        ours, theirs = [], []
        for seed in range(arguments.seeds):
            ours.append([[index(labels[known], one[known]) for one in pair] for pair in both(events, seed)])
            found = list(pypi_flowsom(events, seed))[1:]
            theirs.append([index(labels[known], one[known]) for one in found])
        mine, flowsom = np.mean(ours, axis=0), np.mean(theirs, axis=0)[:, None]
        above.append(mine >= flowsom)
        print(f"{name:<30} tree, likelihood {mine.mean(axis=0).round(3)}  flowsom {flowsom.mean():.3f}")
        for way, gap in zip(("tree", "likelihood"), (mine - flowsom).T, strict=True):
            below = [n for n, one in zip(NUMBERS, gap, strict=True) if one < 0]
            print(f"  {way}: least {gap.min():+.3f}, below at {below or 'none'}", flush=True)
    print(f"at or above flowsom: tree, likelihood {np.concatenate(above).mean(axis=0).round(3)}")


if __name__ == "__main__":
    main()
