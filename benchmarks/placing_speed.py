"""How long placing the shipped strategy takes for a tube, beside a fixed amount of numpy work in the same run.

``python benchmarks/placing_speed.py [--rounds N] [--json FILE]`` places all borders, with their intervals, on four
simulated tubes of 30,000 events, patient by patient. Processor seconds depend on the machine and on what else runs on
it; their ratio to the fixed work, which was measured in turn with it, hardly does. tests/test_placing_speed.py holds
that ratio.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from immunolab.events.subsample import subsample
from immunolab.events.tube import Tube
from immunolab.gating.placement.fit import fit
from immunolab.gating.strategy_file import builtin_strategy
from immunolab.loaders.fcs.read import read_fcs
from immunolab.simulation import simulate

STRATEGY, TRIAL = "treg_th17_tfh_teff", "sle_nct02084238"
EVENTS = 30_000  # of a tube: as many as the benchmark of accuracy places borders on
_PATIENTS, _VISITS, _SEED = 2, ("W0", "W10"), 5
# the fixed work: rounds of what placing does most, on arrays of its sizes (0.04 s on a core of 2026)
_WORK_ROUNDS, _PARENT, _RESAMPLE, _CELLS = 250, 20_000, 4_000, 2_000


def simulated(folder: Path) -> list[list[Tube]]:
    """Return the tubes of each patient."""
    simulate(TRIAL, patients=_PATIENTS, seed=_SEED, folder=folder, visits=_VISITS, events=EVENTS)
    tubes: dict[str, list[Tube]] = {}
    for path in sorted((folder / "fcs").glob("*.fcs")):
        if not path.stem.endswith(_VISITS):
            continue
        tube = subsample(read_fcs(path, sample_id=path.stem), EVENTS)
        tubes.setdefault(path.stem.split("_")[0], []).append(tube)
    return list(tubes.values())


def place(patients: list[list[Tube]]) -> None:
    """Place all borders of every patient's tubes."""
    strategy = builtin_strategy(STRATEGY)
    for tubes in patients:
        groups = {tube.sample_id: {"patient": tubes[0].sample_id, "batch": "B1"} for tube in tubes}
        fit(strategy, tubes, groups=groups)


def fixed_work() -> float:
    """Resample, sort, count, select and exponentiate arrays of a fixed size; return a number so that none is idle."""
    rng = np.random.default_rng(0)
    values, total = rng.normal(size=_PARENT), 0.0
    edges = np.linspace(-4, 4, 513)
    for _ in range(_WORK_ROUNDS):
        drawn = np.sort(values[rng.integers(0, _PARENT, _RESAMPLE)])
        counts = np.diff(drawn.searchsorted(edges))
        inside = values[values > drawn[_RESAMPLE // 2]]
        shares = np.exp(-0.5 * np.square(drawn[:_CELLS, None] - drawn[:6]))
        total += float(counts.max() + inside.sum() + (shares / shares.sum(axis=1)[:, None]).sum())
    return total


def _seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def measure(rounds: int) -> dict[str, float]:
    """Return processor seconds a tube, seconds of the fixed work, and the least ratio of the two in some rounds.

    Parameters
    ----------
    rounds
        Each places all tubes between two runs of the fixed work; a busy machine can only raise a round's ratio.
    """
    with tempfile.TemporaryDirectory() as folder:
        patients = simulated(Path(folder))
    n_tubes = sum(len(tubes) for tubes in patients)
    place(patients)  # compiles
    fixed_work()
    found = []
    for _ in range(rounds):
        before, placing, after = _seconds(fixed_work), _seconds(lambda: place(patients)) / n_tubes, _seconds(fixed_work)
        found.append((placing / ((before + after) / 2), placing, (before + after) / 2))
    ratio, placing, work = min(found)
    return {"ratio": round(ratio, 2), "seconds_a_tube": round(placing, 3), "seconds_of_fixed_work": round(work, 3)}


def main() -> None:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures = measure(arguments.rounds)
    print(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
