"""Whether wrong gates that are planted in a finished run come first in the worst-first order.

``python benchmarks/review_order.py RUN WORK --gates CD4,Treg --sizes 1,0.5 --seeds 2``: 20 of the first 200 tubes get
a gate moved along one of its axes, up, down or either way; sizes are in sd of the parent's middle 90 % on that axis. It
prints how many of the 20 are among the first 40 of the gate. WORK keeps what was read, for a next call.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from planted_gates import Planted, Tubes, cleared, gates_of, plant, spread_on

from immunolab.results.record import read_run
from immunolab.results.review_order import review_order
from immunolab.results.run import Run

TUBES, WRONG, FIRST = 200, 20, 40


def found_of(tubes: Tubes, run: Run, gate: str, size: float, way: str, seed: int, folder: Path) -> int:
    """Return how many planted tubes are among the first."""
    rng = np.random.default_rng([seed, len(gate)])
    wrong = rng.choice(list(run.counts["sample_id"].unique()), WRONG, replace=False)
    faults, path = {}, ""
    for sample in map(str, wrong):
        gated = tubes.gated(sample)
        own = next(p for p in gates_of(gated) if p.name == gate)
        path, axis = own.path, int(rng.integers(len(own.gate.dimensions)))
        sign = {"up": 1, "down": -1, "either": rng.choice([-1, 1])}[way]
        faults[sample] = (Planted(sample, path, axis, float(sign * size * spread_on(gated, path, axis))),)
    order = review_order(plant(tubes, run, faults, cleared(folder)))
    return int(order[order["path"] == path]["sample_id"].head(FIRST).isin(faults).sum())


def main() -> None:
    """Print a line for each gate, size and way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--gates", default="CD4,Treg")
    parser.add_argument("--sizes", default="1,0.5,0.25")
    parser.add_argument("--seeds", type=int, default=2)
    words = parser.parse_args()
    tubes, kept = Tubes(read_run(words.run)), words.work / "as_run"
    run = replace(tubes.run, folder=kept) if kept.exists() else tubes.prepare(kept)
    first = list(run.counts["sample_id"].unique())[:TUBES]
    tables = {n: t[t["sample_id"].isin(first)] if "sample_id" in t else t for n, t in run.tables.items()}
    run = replace(run, tables=tables)
    for gate in words.gates.split(","):
        for size in map(float, words.sizes.split(",")):
            for way in ("up", "down", "either"):
                n = [found_of(tubes, run, gate, size, way, s, words.work / "planted") for s in range(words.seeds)]
                print(f"{gate:14s} {size:4.2f} sd {way:7s} {n}", flush=True)


if __name__ == "__main__":
    main()
