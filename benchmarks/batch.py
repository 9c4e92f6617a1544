"""Throughput of a night run: many files, drawn gates, beside FlowKit's session on the same files.

    python benchmarks/batch.py [--files 20] [--events 300000] [-o batch.json]

Prints wall and processor seconds, peak memory and ratios, each measured in a process of its own, then how
time grows with the number of files.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

CHANNELS = ["FSC-A", "FSC-H", "SSC-A", *[f"D{i}-A" for i in range(16)], "Time"]


def write_files(folder: Path, n_files: int, n_events: int) -> list[Path]:
    """Write FCS 3.1 files with spillover of 16 detectors."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
    from fcs_builder import write_fcs

    detectors = CHANNELS[3:19]
    matrix = np.eye(16) + 0.02 * (np.ones((16, 16)) - np.eye(16))
    text = ",".join(["16", *detectors, *(f"{v:.4f}" for v in matrix.ravel())])
    paths = []
    for i in range(n_files):
        rng = np.random.default_rng(i)
        events = rng.lognormal(7.0, 1.5, (n_events, len(CHANNELS))).clip(0, 262143).astype(np.float32)
        path = folder / f"tube{i:03d}.fcs"
        write_fcs(path, events, CHANNELS, keywords={"$SPILLOVER": text})
        paths.append(path)
    return paths


def gates_text() -> str:
    """Return twenty drawn gates: rectangles, polygons, an ellipse and booleans."""
    lines = ["strategy: batch", "transform: {default: {logicle: {t: 262144, w: 0.5, m: 4.5, a: 0}}, scatter: linear}"]
    lines += ["populations:", "  - {name: cells, parent: root, rectangle: {FSC-A: [100, 2e5], SSC-A: [100, 2e5]}}"]
    for i in range(9):
        lines.append(f"  - {{name: r{i}, parent: cells, rectangle: {{D{i}-A: [0.4, null], D{i + 1}-A: [null, 0.8]}}}}")
    corners = [[0.2, 0.2], [0.9, 0.3], [0.8, 0.9], [0.5, 0.6], [0.2, 0.8]]
    for i in range(6):
        lines.append(f"  - {{name: p{i}, parent: r{i}, polygon: {{x: D{i + 3}-A, y: D{i + 4}-A, points: {corners}}}}}")
    ellipse = "mean: [0.55, 0.55], covariance: [[0.02, 0.005], [0.005, 0.02]], distance_square: 1"
    lines.append(f"  - {{name: e0, parent: cells, ellipse: {{x: D10-A, y: D11-A, {ellipse}}}}}")
    lines += ["  - {name: b0, parent: cells, not: r0}", "  - {name: b1, parent: cells, all_of: [r1, r2]}"]
    lines += ["  - {name: b2, parent: cells, any_of: [r3, r4]}"]
    return "\n".join(lines) + "\n"


def run_ours(folder: Path, jobs: int) -> None:
    """Gate every file and write its counts."""
    from immunolab.pipeline.gate_files import GateOptions, gate_files

    files = sorted(folder.glob("*.fcs"))
    gate_files(files, folder / "gates.yaml", folder / f"ours{jobs}", GateOptions(jobs=jobs))


def run_flowkit(folder: Path) -> None:
    """Do the same with FlowKit's session, with the Gating-ML file that immunolab wrote."""
    import flowkit as fk

    files = [str(path) for path in sorted(folder.glob("*.fcs"))]
    gating = fk.parse_gating_xml(str(folder / "ours1" / "gates" / f"{Path(files[0]).stem}.xml"))
    session = fk.Session(gating_strategy=gating, fcs_samples=files)
    session.analyze_samples(use_mp=False)
    session.get_analysis_report().to_csv(folder / "flowkit.csv", index=False)


def measure(folder: Path, what: str) -> dict[str, float]:
    """Return wall and processor seconds and peak memory of one way, in its own process."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, __file__, "--child", what, str(folder)], check=True, stdout=subprocess.PIPE, text=True
    )
    wall = time.perf_counter() - start
    return {"wall_s": wall, **json.loads(done.stdout.splitlines()[-1])}


def child(what: str, folder: Path) -> None:
    """Run one way and print what it cost, without the time of starting Python and importing."""
    start = time.perf_counter()
    if what == "flowkit":
        run_flowkit(folder)
    else:
        run_ours(folder, int(what))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cost = {"work_s": time.perf_counter() - start, "cpu_s": usage.ru_utime + usage.ru_stime}
    print(json.dumps(cost | {"peak_mib": usage.ru_maxrss / 1024}))


def same_counts(folder: Path) -> int:
    """Return how many population counts differ between the two."""
    ours = pd.read_csv(folder / "ours1" / "counts.csv")
    theirs = pd.read_csv(folder / "flowkit.csv")
    names = theirs["gate_name"].str.replace(r"^P\d+_", "", regex=True)  # ids of the exported Gating-ML
    theirs = theirs.assign(sample_id=theirs["sample_id"].str.removesuffix(".fcs"), gate_name=names)
    both = ours.merge(theirs, left_on=["sample_id", "population"], right_on=["sample_id", "gate_name"])
    return int((both["n_events"] != both["count"]).sum()) + abs(len(both) - len(theirs))


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=20)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--growth", type=int, nargs="*", default=[5, 20])
    parser.add_argument("--child", nargs=2)
    parser.add_argument("-o", "--out")
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child[0], Path(arguments.child[1]))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "gates.yaml").write_text(gates_text())
        files = write_files(folder, arguments.files, arguments.events)
        result = {"files": arguments.files, "events": arguments.events}
        result |= {"one_worker": measure(folder, "1"), "two_workers": measure(folder, "2")}
        result["flowkit"] = measure(folder, "flowkit")
        result["counts_that_differ"] = same_counts(folder)
        for key in ("one_worker", "two_workers"):
            result[f"ratio_{key}"] = result["flowkit"]["work_s"] / result[key]["work_s"]
        result["growth_work_s"] = {}
        for n in sorted(arguments.growth, reverse=True):
            for path in files[n:]:
                path.unlink(missing_ok=True)
            result["growth_work_s"][n] = measure(folder, "1")["work_s"]
    text = json.dumps(result, indent=1)
    print(text)
    if arguments.out:
        Path(arguments.out).write_text(text + "\n")


if __name__ == "__main__":
    main()
