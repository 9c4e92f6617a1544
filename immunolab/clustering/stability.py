"""Whether clusters are found again: agreement over seeds and over subsamples."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import pandas as pd

from immunolab.clustering.som import Labels, Map, Matrix

_EVENTS = 20_000  # events that two clusterings are compared on: the index is then good to about 0.01 (judgement)
_SHARE = 0.5  # of the events in a subsample; halves are the usual choice (Hennig 2007, Comput Stat Data Anal 52:258)


class _Train(Protocol):
    def __call__(self, events: Matrix, *, seed: int) -> Map: ...


def stability(events: Matrix, labels: Labels, train: _Train, *, runs: int, seed: int) -> pd.DataFrame:
    """Return the adjusted Rand index of clusterings found anew against the one given.

    Parameters
    ----------
    events
        Events x markers that were clustered.
    labels
        Their clusters.
    train
        Finds clusters of events with a seed, see `clusters.train`.
    runs
        Clusterings with other seeds, and as many on other halves of the events.
    seed
        The seed that the clusters were found with.

    Returns
    -------
    pd.DataFrame
        kind (seed, subsample), run, adjusted_rand_index (1 for the same partition, 0 for what chance gives;
        Hubert and Arabie 1985, J Classif 2:193), n_events compared.
    """
    from sklearn.metrics import adjusted_rand_score

    rng = np.random.default_rng(seed)
    shown = np.sort(rng.choice(len(events), min(_EVENTS, len(events)), replace=False))
    half = max(int(_SHARE * len(events)), 1)
    rows = []
    for kind in ("seed", "subsample"):
        for run in range(1, runs + 1):
            if kind == "seed":
                again = train(events, seed=seed + run)
            else:
                again = train(events[np.sort(rng.choice(len(events), half, replace=False))], seed=seed)
            index = float(adjusted_rand_score(labels[shown], again.assign(events[shown])))
            rows.append({"kind": kind, "run": run, "adjusted_rand_index": index, "n_events": len(shown)})
    return pd.DataFrame(rows)
