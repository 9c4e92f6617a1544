"""How far clusters would be found again: agreement over seeds and over subsamples."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from immunolab.clustering.som import Labels, Matrix

_EVENTS = 20_000
_SHARE = 0.5


def stability(
    events: Matrix, labels: Labels, find: Callable[[Matrix, int], Callable[[Matrix], Labels]], *, runs: int, seed: int
) -> pd.DataFrame:
    """Return the adjusted Rand index of clusterings found anew against the one given.

    Parameters
    ----------
    events : events x markers that were clustered.
    labels : their clusters.
    find : trains on events with a seed and returns what assigns events to clusters.
    runs : clusterings with other seeds, and as many on other halves of the events.

    Returns
    -------
    kind (seed, subsample), run, adjusted_rand_index (1 is the same partition, 0 what chance gives;
    Hubert and Arabie 1985), n_events compared.
    """
    from sklearn.metrics import adjusted_rand_score

    rng = np.random.default_rng(seed)
    shown = np.sort(rng.choice(len(events), min(_EVENTS, len(events)), replace=False))
    rows = []
    for kind in ("seed", "subsample"):
        for run in range(1, runs + 1):
            train = events
            if kind == "subsample":
                train = events[np.sort(rng.choice(len(events), max(int(_SHARE * len(events)), 1), replace=False))]
            again = find(train, seed + run if kind == "seed" else seed)(events[shown])
            index = float(adjusted_rand_score(labels[shown], again))
            rows.append({"kind": kind, "run": run, "adjusted_rand_index": index, "n_events": len(shown)})
    return pd.DataFrame(rows)
