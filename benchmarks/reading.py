"""Read, compensate and transform one file: immunolab against FlowKit, in the same order of work.

    python benchmarks/reading.py [--events 1000000] [--repeats 3] [-o FILE.json]

The file is made here: 20 float32 channels, 13 of them with spillover. Every repeat runs in a
process of its own; seconds exclude imports and compilation, peak memory includes the imports.
FlowKit keeps everything as float64; immunolab keeps float32 and calculates in float64.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

CHANNELS, COMPENSATED = 20, 13


def measure_ours(path: Path, names: list[str], small: Path) -> dict:
    """Read, compensate and transform with immunolab; a small file first, so that kernels are loaded."""
    import numba  # noqa: F401  -- its import is not part of the work

    from immunolab.events.storage import displayed_blocks
    from immunolab.events.transforms import Logicle
    from immunolab.events.tube import Tube
    from immunolab.loaders.fcs.read import read_fcs

    scales = {name: Logicle() for name in names}

    def display(events: Tube, dtype: type) -> np.ndarray:
        rows = [events.find(name) for name in names]
        shown = np.empty((len(rows), events.n_events), dtype=dtype)
        for first, _, block in displayed_blocks(events, scales):
            for place, row in enumerate(rows):
                shown[place, first : first + block.shape[1]] = block[row]
        return shown

    display(read_fcs(small), np.float32)
    before = peak_mib()
    busy = time.process_time()
    start = time.perf_counter()
    events = read_fcs(path)
    read = time.perf_counter()
    display(events, np.float32)
    end, busy = time.perf_counter(), time.process_time() - busy
    peak = peak_mib()
    stages = {"read": read - start, "compensate and transform": end - read}
    return report(stages, busy, before, peak, display(events, np.float64))


def measure_flowkit(path: Path, names: list[str]) -> dict:
    """Do the same with FlowKit's Sample."""
    import flowkit

    warnings.simplefilter("ignore")
    before = peak_mib()
    busy = time.process_time()
    start = time.perf_counter()
    sample = flowkit.Sample(path)
    read = time.perf_counter()
    sample.apply_compensation(sample.metadata["spillover"])
    compensated = time.perf_counter()
    sample.apply_transform(flowkit.transforms.LogicleTransform(param_t=262144, param_w=0.5, param_m=4.5, param_a=0))
    end, busy = time.perf_counter(), time.process_time() - busy
    peak = peak_mib()
    stages = {"read": read - start, "compensate": compensated - read, "transform": end - compensated}
    return report(stages, busy, before, peak, np.stack([sample.get_channel_events(name, "xform") for name in names]))


def peak_mib() -> float:
    """Return the largest memory this process has held so far (Linux)."""
    # ru_maxrss would count what the parent held before exec
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def report(stages: dict[str, float], busy: float, before: float, peak: float, shown: np.ndarray) -> dict:
    """Return the figures of one run; every 97th event goes along for comparison."""
    return {
        "seconds": sum(stages.values()),
        "cpu_seconds": busy,
        "stages": stages,
        "imports_mib": before,
        "peak_mib": peak,
        "shown": shown[:, ::97].tolist(),
    }


def write_file(path: Path, n_events: int, seed: int = 0) -> list[str]:
    """Write a made file with known spillover; return the names of the compensated channels."""
    rng = np.random.default_rng(seed)
    names = ["FSC-A", "FSC-H", "FSC-W", "SSC-A", "SSC-H", "SSC-W"]
    dyes = [f"D{i:02d}-A" for i in range(1, COMPENSATED + 1)]
    names = [*names, *dyes, "Time"]
    bright = rng.random((n_events, COMPENSATED)) < 0.4
    light = np.where(bright, rng.lognormal(9.5, 0.8, bright.shape), rng.normal(0, 150, bright.shape))
    matrix = np.eye(COMPENSATED) + np.triu(rng.uniform(0, 0.2, (COMPENSATED,) * 2), 1)
    matrix += np.tril(rng.uniform(0, 0.04, (COMPENSATED,) * 2), -1)
    events = np.empty((n_events, CHANNELS), dtype="<f4")
    events[:, :6] = rng.lognormal(11, 0.3, (n_events, 6))
    events[:, 6:-1] = np.minimum(light @ matrix, 262143)
    events[:, -1] = np.arange(n_events) / 100
    values = ",".join(f"{value:.8f}" for value in matrix.ravel())
    keywords = {
        "$BEGINANALYSIS": "0", "$ENDANALYSIS": "0", "$BEGINSTEXT": "0", "$ENDSTEXT": "0", "$NEXTDATA": "0",
        "$MODE": "L", "$DATATYPE": "F", "$BYTEORD": "1,2,3,4", "$PAR": str(CHANNELS), "$TOT": str(n_events),
        "$SPILLOVER": f"{COMPENSATED},{','.join(dyes)},{values}",
    }  # fmt: skip
    for i, name in enumerate(names, start=1):
        keywords |= {f"$P{i}N": name, f"$P{i}B": "32", f"$P{i}R": "262144", f"$P{i}E": "0,0"}
    first = 16384
    last = first + events.nbytes - 1
    text = "|".join(["", *(word for pair in keywords.items() for word in pair)])
    text += f"|$BEGINDATA|{first}|$ENDDATA|{last}|"
    fits = last <= 99_999_999
    ends = [58, 57 + len(text), first if fits else 0, last if fits else 0, 0, 0]
    header = "FCS3.1    " + "".join(f"{value:>8d}" for value in ends)
    with path.open("wb") as handle:
        handle.write((header + text).ljust(first).encode("ascii"))
        events.tofile(handle)
    return dyes


def run(who: str, *arguments: str) -> dict:
    """Measure in a process of its own."""
    command = [sys.executable, __file__, "--measure", who, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def copying(n_events: int) -> float:
    """Return the seconds that copying the event block through memory takes, the best of five."""
    block = np.ones((CHANNELS, n_events), dtype=np.float32)
    target = np.ones_like(block)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        np.copyto(target, block)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def main() -> None:
    """Print the table and, when asked, write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        who, path, names, *small = arguments.measure
        measure = measure_ours if who == "ours" else measure_flowkit
        print(json.dumps(measure(Path(path), names.split(","), *map(Path, small))))
        return
    with tempfile.TemporaryDirectory() as folder:
        large, small = Path(folder) / "large.fcs", Path(folder) / "small.fcs"
        names = ",".join(write_file(large, arguments.events))
        write_file(small, 1_000)
        runs = [  # by turns, so that a busy spell of the machine is both programs'
            (run("ours", str(large), names, str(small)), run("flowkit", str(large), names))
            for _ in range(arguments.repeats)
        ]
        ours, theirs = zip(*runs, strict=True)
    best, other = (min(runs, key=lambda r: r["seconds"]) for runs in (ours, theirs))
    block_mib = arguments.events * CHANNELS * 4 / 2**20
    copy = copying(arguments.events)
    figures = {
        "events": arguments.events,
        "channels": CHANNELS,
        "compensated_channels": COMPENSATED,
        "seconds": best["seconds"],
        "flowkit_seconds": other["seconds"],
        "ratio_to_flowkit": other["seconds"] / best["seconds"],
        "ratio_of_processor_time": min(o["cpu_seconds"] for o in theirs) / min(o["cpu_seconds"] for o in ours),
        "cpu_seconds": min(one["cpu_seconds"] for one in ours),
        "flowkit_cpu_seconds": min(one["cpu_seconds"] for one in theirs),
        "stages": best["stages"],
        "flowkit_stages": other["stages"],
        "seconds_to_copy_block": copy,
        "ratio_to_copying": best["seconds"] / copy,
        "block_mib": block_mib,
        "peak_mib": best["peak_mib"],
        "peak_in_blocks": best["peak_mib"] / block_mib,
        "imports_mib": best["imports_mib"],
        "peak_without_imports_in_blocks": (best["peak_mib"] - best["imports_mib"]) / block_mib,
        "flowkit_peak_mib": other["peak_mib"],
        "largest_difference": float(np.abs(np.array(best["shown"]) - np.array(other["shown"])).max()),
    }
    print(json.dumps(figures, indent=2))
    if arguments.output:
        arguments.output.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
