"""Names of clusters on simulated tubes: the share of events in clusters with a right name, a parent, none, a wrong one.

    python benchmarks/cluster_names.py [--first 3301] [--events 20000]

One tube a panel of each trial at W0, all its events, at 25 clusters and at the number chosen. A name is right where
more than half of the cluster's events are in that population, and a parent where they are in a narrower one of those
that clusters are named by as well; a cluster that most events of no such population are in should have no name.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))

from cluster_labels import markers_of, shown

import immunolab as il
from immunolab.clustering.clusters import find_clusters
from immunolab.clustering.names import UNASSIGNED
from immunolab.clustering.tables import cluster_profiles
from immunolab.events.scales import channel_noise, channel_scales
from immunolab.simulation import Options, simulate
from immunolab.study.trial import builtin_trials
from immunolab.vocabulary.populations import populations
from immunolab.vocabulary.signatures import cluster_names

KINDS = ("right", "parent", "missed", "wrong", "none")


def above(name: str) -> list[str]:
    """Return a population's parents, the nearest first."""
    parent = populations()[name].parent
    return [parent, *above(parent)] if parent in populations() and populations()[parent].definition else []


def kind(label: str, share: dict[str, float]) -> str:
    """Return which of the kinds a cluster's label is, by the share of its events in each population."""
    held = [name for name, of in share.items() if of > 0.5]
    if label == UNASSIGNED:
        return "missed" if held else "none"
    if label not in held:
        return "wrong"
    return "parent" if any(label in above(name) for name in held) else "right"


def tubes(trial: str, seed: int, events: int) -> Iterator[tuple[str, il.Tube, pd.DataFrame]]:
    """Yield the first tube of each panel with the truth of its events."""
    with tempfile.TemporaryDirectory() as folder:
        simulate(trial, patients=1, seed=seed, folder=folder, visits=["W0"], options=Options(events=events))
        for path in sorted(Path(folder).rglob("*.fcs")):
            truth = next(one for one in Path(folder).rglob("*.parquet") if one.stem == path.stem)
            yield path.stem, il.read_fcs(path), pd.read_parquet(truth)


def main() -> None:
    """Print a line a tube and number, and the mean."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=3301)
    parser.add_argument("--events", type=int, default=20_000)
    arguments = parser.parse_args()
    rows = []
    for seed, trial in enumerate(builtin_trials(), arguments.first):
        for name, tube, truth in tubes(trial, seed, arguments.events):
            markers = markers_of(tube)
            scales = {one.name: one.transform for one in channel_scales([channel_noise(tube)])}
            known = [one for one in cluster_names() if one in truth]
            for n in (None, 25):
                found = find_clusters(shown(tube, markers), n, seed=0)
                row = dict.fromkeys(KINDS, 0.0)
                for one in cluster_profiles(found, markers, scales).itertuples():
                    own = found.labels == one.cluster - 1
                    share = truth.loc[own, known].mean().to_dict()
                    row[kind(str(one.label), share)] += float(np.mean(own))
                rows.append(row)
                print(f"{trial} {seed} {name:<20} {found.n:>3}  {_words(row)}", flush=True)
    print(f"mean  {_words(pd.DataFrame(rows).mean().to_dict())}")


def _words(row: dict[str, float]) -> str:
    return "  ".join(f"{kind} {row[kind]:.3f}" for kind in KINDS)


if __name__ == "__main__":
    main()
