"""Throughput of a night run: many files, drawn gates, beside FlowKit's session on the same files.

    python benchmarks/batch.py [--files 20] [--events 300000] [--tries 2] [--openflo PATH] [-o batch.json]

Prints wall and processor seconds, peak memory and ratios, each measured in a process of its own, then how
time grows with the number of files and with events a file. OpenFlo (installed in an environment of its own,
so named by path) joins through ``openflo-compare``, which counts every gate of a workspace on every file;
``openflo-run`` gates each sample on one population and always clusters it, which is other work.
"""

from __future__ import annotations

import argparse
import compileall
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
    from immunolab.workflow.gate_files import GateOptions, gate_files

    files = sorted(folder.glob("*.fcs"))
    gate_files(files, folder / "gates.yaml", folder / f"ours{jobs}", GateOptions(jobs=jobs))


def write_wsp(folder: Path) -> None:
    """Write the same gates as a FlowJo workspace for all files."""
    from immunolab.workflow.gate_files import GateOptions, gate_files

    files = sorted(folder.glob("*.fcs"))
    gate_files(files, folder / "gates.yaml", folder / "for_wsp", GateOptions(wsp=folder / "gates.wsp"))


def run_flowkit(folder: Path) -> None:
    """Do the same with FlowKit's session, with the Gating-ML file that immunolab wrote."""
    import flowkit as fk

    files = [str(path) for path in sorted(folder.glob("*.fcs"))]
    gating = fk.parse_gating_xml(str(folder / "ours1" / "gates" / f"{Path(files[0]).stem}.xml"))
    session = fk.Session(gating_strategy=gating, fcs_samples=files)
    session.analyze_samples(use_mp=False)
    session.get_analysis_report().to_csv(folder / "flowkit.csv", index=False)


def openflo(folder: Path, command: str, workers: int) -> dict[str, float]:
    """Count the same gates with OpenFlo, from the workspace that immunolab wrote; its own process, start included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    arguments = [command, str(folder / "gates.wsp"), "--fcs-dir", str(folder), "--workers", str(workers)]
    arguments += ["--csv", str(folder / "openflo.csv"), "--html", str(folder / "openflo.html")]
    done = subprocess.run(arguments, capture_output=True, text=True)
    wall = time.perf_counter() - start
    if not (folder / "openflo.csv").exists():
        raise SystemExit(f"openflo-compare failed:\n{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": wall, "work_s": wall, "cpu_s": cpu}


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


def beside_openflo(folder: Path, command: str, ours: dict[str, float]) -> dict[str, object]:
    """Return OpenFlo's cost with one and two workers, the ratio to ours with two, and how far counts differ."""
    write_wsp(folder)
    costs = {f"workers_{n}": openflo(folder, command, n) for n in (1, 2)}
    table = pd.read_csv(folder / "openflo.csv")
    apart = (table["flowjo_count"] - table["openflo_count"]).abs()
    differ = {
        "counts": len(table),
        "counts_that_differ": int((apart > 0).sum()),
        "events_apart_at_most": int(apart.max()),
    }
    return {**costs, "ratio": min(c["wall_s"] for c in costs.values()) / ours["wall_s"], **differ}


def growth(folder: Path, n_files: list[int], n_events: list[int]) -> dict[str, dict[int, float]]:
    """Return seconds of work by number of files, and by events a file (five files), one worker."""
    found: dict[str, dict[int, float]] = {"by_files": {}, "by_events": {}}
    first = next(iter(sorted(folder.glob("*.fcs"))))
    for n in n_files:
        with tempfile.TemporaryDirectory(dir=folder) as inside:
            for i in range(n):
                (Path(inside) / f"tube{i:03d}.fcs").hardlink_to(first)
            (Path(inside) / "gates.yaml").write_text(gates_text())
            found["by_files"][n] = measure(Path(inside), "1")["work_s"]
    for n in n_events:
        with tempfile.TemporaryDirectory(dir=folder) as inside:
            write_files(Path(inside), 5, n)
            (Path(inside) / "gates.yaml").write_text(gates_text())
            found["by_events"][n] = measure(Path(inside), "1")["work_s"]
    return found


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=20)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--tries", type=int, default=1)
    parser.add_argument("--growth", type=int, nargs="*", default=[5, 20, 80])
    parser.add_argument("--events-growth", type=int, nargs="*", default=[30_000, 100_000, 300_000, 1_000_000])
    parser.add_argument("--openflo", default="")
    parser.add_argument("--child", nargs=2)
    parser.add_argument("-o", "--out")
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child[0], Path(arguments.child[1]))
        return
    # an installed package is compiled, as FlowKit's is here; a checkout is not where bytecode may not be written
    compileall.compile_dir(Path(__file__).resolve().parent.parent / "immunolab", quiet=1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "gates.yaml").write_text(gates_text())
        write_files(folder, arguments.files, arguments.events)
        result: dict[str, object] = {"files": arguments.files, "events": arguments.events}
        tries: dict[str, list[dict[str, float]]] = {"1": [], "2": [], "flowkit": []}
        for _ in range(arguments.tries):  # by turns, so that a busy spell of the machine is both programs'
            for what, costs in tries.items():
                costs.append(measure(folder, what))
        best = {what: min(costs, key=lambda cost: cost["work_s"]) for what, costs in tries.items()}
        ours, flowkit = {1: best["1"], 2: best["2"]}, best["flowkit"]
        result |= {"one_worker": ours[1], "two_workers": ours[2], "flowkit": flowkit}
        result["counts_that_differ"] = same_counts(folder)
        for n, name in ((1, "one_worker"), (2, "two_workers")):
            result[f"ratio_{name}"] = flowkit["work_s"] / ours[n]["work_s"]
            result[f"ratio_of_processor_time_{name}"] = flowkit["cpu_s"] / ours[n]["cpu_s"]
        if arguments.openflo:
            result["openflo"] = beside_openflo(folder, arguments.openflo, ours[2])
        result["growth_work_s"] = growth(folder, arguments.growth, arguments.events_growth)
    text = json.dumps(result, indent=1)
    print(text)
    if arguments.out:
        Path(arguments.out).write_text(text + "\n")


if __name__ == "__main__":
    main()
