"""Gating 1,000,000 events x 20 channels with 20 gates, against FlowKit on the same file.

Prints seconds, their ratio, peak memory and how many memberships differ, and writes them as JSON::

    python benchmarks/gating.py [--events N] [--json gating.json]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flowio
import numpy as np

N_CHANNELS, N_FLUORESCENCE = 20, 13
CHANNELS = ["FSC-A", "FSC-H", "FSC-W", "SSC-A", "SSC-H", "SSC-W", "Time"] + [f"F{i:02d}-A" for i in range(13)]


def write_file(path: Path, n_events: int, seed: int = 1) -> None:
    """Write two scatter clouds and 13 dyes of two to three log-normal populations, spilled over, as FCS 3.1."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, n_events, p=(0.5, 0.35, 0.15))
    events = np.empty((n_events, N_CHANNELS), dtype=np.float64)
    forward = rng.normal(np.array([60_000, 110_000, 160_000])[kind], 9_000)
    side = rng.normal(np.array([25_000, 45_000, 90_000])[kind], 7_000)
    events[:, 0], events[:, 3] = forward, side
    events[:, 1], events[:, 4] = forward * rng.normal(0.8, 0.02, n_events), side * rng.normal(0.8, 0.02, n_events)
    events[:, 2], events[:, 5] = rng.normal(65_000, 4_000, (2, n_events))
    events[:, 6] = np.arange(n_events) / 1_000
    positive = rng.random((n_events, N_FLUORESCENCE)) < np.linspace(0.2, 0.8, N_FLUORESCENCE)
    signal = np.where(positive, rng.lognormal(9.0, 0.5, positive.shape), rng.normal(150, 220, positive.shape))
    events[:, 7:] = signal @ spillover()
    names = CHANNELS[7:]
    text = ",".join([str(len(names)), *names, *(f"{value:.6f}" for value in spillover().ravel())])
    with path.open("wb") as handle:
        flowio.create_fcs(handle, events.ravel().tolist(), CHANNELS, metadata_dict={"SPILLOVER": text})


def spillover() -> np.ndarray:
    """Return a matrix with 1 to 12 % spill into the neighbours."""
    rng = np.random.default_rng(2)
    matrix = np.eye(N_FLUORESCENCE)
    for offset, most in ((1, 0.12), (2, 0.05), (-1, 0.04)):
        for row in range(N_FLUORESCENCE):
            if 0 <= row + offset < N_FLUORESCENCE:
                matrix[row, row + offset] = round(rng.uniform(0.01, most), 4)
    return matrix


def make_strategy() -> Any:
    """Return 20 gates: 7 polygons, 8 rectangles, 2 ellipsoids, 3 booleans, seven levels deep."""
    from immunolab.events.transforms import Linear, Logicle
    from immunolab.gating.strategy import Boolean, Dimension, Ellipsoid, Polygon, Population, Rectangle, Strategy

    scatter, dye = Linear(262_144.0, 0.0), Logicle(262_144.0, 0.5, 4.5, 0.0)

    def raw(name: str) -> Dimension:
        return Dimension(name, scatter, "none")

    def on(number: int) -> Dimension:
        return Dimension(f"F{number:02d}-A", dye)

    def round_polygon(x: Dimension, y: Dimension, centre: tuple[float, float], size: tuple[float, float]) -> Polygon:
        angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        wobble = 1 + 0.08 * np.sin(5 * angles)
        corners = [
            (float(centre[0] + size[0] * r * np.cos(a)), float(centre[1] + size[1] * r * np.sin(a)))
            for a, r in zip(angles, wobble, strict=True)
        ]
        return Polygon((x, y), tuple(corners))

    def above(number: int, border: float) -> Rectangle:
        return Rectangle((on(number),), (border,), (None,))

    cells = "/Cells"
    single = f"{cells}/Single/Steady"
    t = f"{single}/T"
    cd4 = f"{t}/CD4"
    gates = {
        cells: round_polygon(raw("FSC-A"), raw("SSC-A"), (0.33, 0.14), (0.25, 0.12)),
        f"{cells}/Single": Polygon(
            (raw("FSC-A"), raw("FSC-H")), ((0.05, 0.02), (0.9, 0.66), (0.9, 0.78), (0.05, 0.06))
        ),
        single: Rectangle((raw("FSC-W"), raw("SSC-W")), (0.19, 0.19), (0.31, 0.31)),
        t: round_polygon(on(6), on(9), (0.78, 0.78), (0.16, 0.16)),
        f"{single}/notT": round_polygon(on(6), on(9), (0.35, 0.35), (0.2, 0.2)),
        cd4: Rectangle((on(3), on(4)), (0.5, None), (None, 0.6)),
        f"{t}/CD8": Rectangle((on(3), on(4)), (None, 0.5), (0.5, None)),
        f"{cd4}/naive": Ellipsoid((on(7), on(8)), (0.75, 0.75), ((0.004, 0.001), (0.001, 0.004)), 6.0),
        f"{cd4}/memory": Ellipsoid((on(7), on(8)), (0.4, 0.4), ((0.01, 0.0), (0.0, 0.01)), 6.0),
        f"{cd4}/A": above(0, 0.55),
        f"{cd4}/B": above(1, 0.55),
        f"{cd4}/C": above(2, 0.55),
        f"{cd4}/A and B": Boolean("and", (f"{cd4}/A", f"{cd4}/B"), (False, False)),
        f"{cd4}/A or C": Boolean("or", (f"{cd4}/A", f"{cd4}/C"), (False, True)),
        f"{cd4}/not C": Boolean("not", (f"{cd4}/C",), (False,)),
        f"{cd4}/bright": round_polygon(on(5), on(10), (0.78, 0.78), (0.15, 0.15)),
        f"{cd4}/bright/top": above(11, 0.7),
        f"{t}/CD8/late": round_polygon(on(11), on(12), (0.78, 0.78), (0.15, 0.15)),
        f"{t}/CD8/early": round_polygon(on(11), on(12), (0.4, 0.4), (0.2, 0.2)),
        f"{t}/CD8/mid": Rectangle((on(2), on(5)), (0.3, 0.3), (0.7, 0.7)),
    }
    return Strategy("benchmark", tuple(Population(path, gate) for path, gate in gates.items()))


def ours(path: Path) -> dict[str, np.ndarray]:
    """Read and gate with immunolab."""
    from immunolab.gating.evaluate import evaluate
    from immunolab.loaders.fcs.read import read_fcs

    return dict(evaluate(make_strategy(), read_fcs(path)).masks)


def timed(work: Callable[[], Any], times: int) -> tuple[float, float, Any]:
    """Return the shortest of some runs and the least processor time, in seconds, and the last result."""
    clock, cpu, result = [], [], None
    for _ in range(times):
        start, used = time.perf_counter(), time.process_time()
        result = work()
        clock.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
    return min(clock), min(cpu), result


def peak_memory(path: Path) -> int:
    """Return the peak memory (MiB) of a new process that reads and gates the file once."""
    code = f"import sys, pathlib; sys.path.insert(0, {str(Path(__file__).parent)!r}); import gating; "
    code += f"gating.ours(pathlib.Path({str(path)!r})); "
    # VmHWM, unlike ru_maxrss, starts anew with the process
    code += "print([int(line.split()[1]) // 1024 for line in open('/proc/self/status') if 'VmHWM' in line][0])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout)


def main() -> None:
    """Run the benchmark and print its figures."""
    import flowkit

    from immunolab.gating.exchange import write_gatingml

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path, gates = Path(folder) / "tube.fcs", Path(folder) / "gates.xml"
        write_file(path, arguments.events)
        strategy = make_strategy()
        write_gatingml(strategy, gates)
        ours(path)  # compiles
        seconds, cpu, masks = timed(lambda: ours(path), 5)
        sample = flowkit.Sample(str(path))
        theirs = flowkit.parse_gating_xml(str(gates))
        flowkit_seconds, flowkit_cpu, result = timed(lambda: theirs.gate_sample(sample), 2)
        ids = {f"P{i + 1}": p.path for i, p in enumerate(strategy.populations)}
        differ = sum(
            int(np.count_nonzero(result.get_gate_membership(gate) != masks[ids[gate.split("_")[0]]]))
            for gate, _ in theirs.get_gate_ids()
        )
        figures = {
            "events": arguments.events,
            "channels": N_CHANNELS,
            "gates": len(strategy.populations),
            "immunolab_seconds_with_reading": round(seconds, 3),
            "flowkit_gate_sample_seconds": round(flowkit_seconds, 3),
            "ratio": round(flowkit_seconds / seconds, 1),
            "ratio_of_processor_time": round(flowkit_cpu / cpu, 1),
            "memberships": len(masks) * arguments.events,
            "memberships_that_differ": differ,
            "immunolab_peak_memory_mib": peak_memory(path),
            "smallest_population": min(int(mask.sum()) for mask in masks.values()),
        }
    for name, value in figures.items():
        print(f"{name}: {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
