"""The map beside PyPI flowsom and Leiden on planted populations: time, memory, agreement with the truth.

Run: python benchmarks/clustering.py [--events 1000000] [--leiden 20000] [--out clustering.json]
Each method runs in a process of its own, so that its memory is its own; compiled code is warm.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

MARKERS, POPULATIONS, TRAIN_ON = 12, 15, 100_000


def planted(n: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return events x 12 markers of 15 populations (40 % down to 0.5 % of events), and the truth."""
    rng = np.random.default_rng(seed)
    share = np.geomspace(0.4, 0.005, POPULATIONS)
    truth = rng.choice(POPULATIONS, n, p=share / share.sum()).astype(np.int32)
    centres = rng.choice([0.0, 1.5, 3.0], (POPULATIONS, MARKERS))
    spread = rng.uniform(0.3, 0.5, (POPULATIONS, MARKERS))
    events = centres[truth] + spread[truth] * rng.normal(size=(n, MARKERS))
    return events.astype(np.float32), truth


def own_map(events: np.ndarray, train_on: int) -> np.ndarray:
    """Train immunolab's map on a subsample and assign every event."""
    from immunolab.clustering.som import train_map

    rows = np.random.default_rng(0).choice(len(events), min(train_on, len(events)), replace=False)
    return train_map(events[rows], POPULATIONS, seed=0).assign(events)


def pypi_flowsom(events: np.ndarray, train_on: int) -> np.ndarray:
    """Run the package flowsom with its defaults; with fewer events it trains on them and assigns the others."""
    import anndata
    import flowsom
    from loguru import logger

    logger.remove()

    data = anndata.AnnData(events)
    if train_on >= len(events):
        result = flowsom.FlowSOM(data, cols_to_use=list(range(MARKERS)), n_clusters=POPULATIONS, seed=0)
        return result.get_cell_data().obs["metaclustering"].to_numpy()
    rows = np.random.default_rng(0).choice(len(events), train_on, replace=False)
    result = flowsom.FlowSOM(data[rows].copy(), cols_to_use=list(range(MARKERS)), n_clusters=POPULATIONS, seed=0)
    return result.new_data(data).get_cell_data().obs["metaclustering"].to_numpy()


def scanpy_leiden(events: np.ndarray, _: int) -> np.ndarray:
    """Run scanpy's neighbours and igraph Leiden on all events given."""
    import anndata
    import scanpy

    data = anndata.AnnData(events)
    scanpy.pp.neighbors(data, n_neighbors=15, use_rep="X", random_state=0)
    scanpy.tl.leiden(data, flavor="igraph", n_iterations=2, resolution=0.3, random_state=0)
    return data.obs["leiden"].astype(int).to_numpy()


def own_leiden(events: np.ndarray, _: int) -> np.ndarray:
    """Run immunolab's graph on a subsample and assign every event."""
    from immunolab.clustering.leiden import leiden_map

    return leiden_map(events, POPULATIONS, seed=0).assign(events)


def measured(name: str, function: Callable[..., np.ndarray], n: int, train_on: int) -> dict[str, Any]:
    """Run a method in a new process, warmed up on 2,000 events first."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        row = pool.apply(_run, (function, n, train_on))
    print(f"{name:<34} {row['seconds']:8.2f} s  {row['peak_mib']:7.0f} MiB  ARI {row['ari']:.4f}", flush=True)
    return {"method": name, "events": n, "trained_on": min(train_on, n), **row}


def _run(function: Callable[..., np.ndarray], n: int, train_on: int) -> dict[str, float]:
    from sklearn.metrics import adjusted_rand_score

    warnings.simplefilter("ignore")
    events, truth = planted(n)
    function(events[:2_000], 1_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    labels = function(events, train_on)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ari = float(adjusted_rand_score(truth, labels))
    return {"seconds": seconds, "peak_mib": peak / 1024, "peak_mib_over_data": (peak - before) / 1024, "ari": ari}


def main() -> None:
    """Measure all, print the ratios, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--leiden", type=int, default=20_000, help="events of the scanpy graph")
    parser.add_argument("--out", type=Path, default=Path("clustering.json"))
    arguments = parser.parse_args()
    n = arguments.events
    rows = [
        measured("immunolab map, 100,000 trained", own_map, n, TRAIN_ON),
        measured("immunolab map, all trained", own_map, n, n),
        measured("flowsom (PyPI), all trained", pypi_flowsom, n, n),
        measured("flowsom (PyPI), 100,000 trained", pypi_flowsom, n, TRAIN_ON),
        measured("immunolab graph, all assigned", own_leiden, n, n),
        measured("scanpy Leiden, no assignment", scanpy_leiden, arguments.leiden, n),
    ]
    by_name = {row["method"]: row["seconds"] for row in rows}
    ratios = {
        "as used": by_name["flowsom (PyPI), all trained"] / by_name["immunolab map, 100,000 trained"],
        "both trained on all": by_name["flowsom (PyPI), all trained"] / by_name["immunolab map, all trained"],
        "both trained on 100,000": by_name["flowsom (PyPI), 100,000 trained"]
        / by_name["immunolab map, 100,000 trained"],
    }
    for name, ratio in ratios.items():
        print(f"flowsom / immunolab, {name}: {ratio:.1f}")
    arguments.out.write_text(json.dumps({"rows": rows, "ratios": ratios}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
