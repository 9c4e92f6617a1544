"""Faults planted in simulated tubes: how many are found, how many clean tubes are flagged, and how long it takes.

    python benchmarks/tube_faults.py [--seeds 100] [--first 1000] [--treg 20] [--speed] [--real] [--peacoqc FOLDER]

Every seed is a tube of another panel, size, share of dead cells and instrument (tests/planted_faults.py, which shares
nothing with the checks), and every fault has another strength. ``--treg`` compares Treg of clogged and cleaned tubes
with the tubes without the clog; ``--speed`` times 1,000,000 events of 20 channels on one core beside reading them;
``--real`` prints what is flagged of the shared real files; ``--peacoqc`` names a folder in which peacoqc-rs was
installed (pip install --target FOLDER peacoqc-rs), and says which events both cut.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import planted_faults as planted
from builders import data_folder

import immunolab as il
from immunolab.errors import ImmunolabError
from immunolab.events.removed import kept_events
from immunolab.events.tube import Tube
from immunolab.quality.clean import without
from immunolab.quality.events import check_events
from immunolab.quality.qc import qc
from immunolab.quality.steadiness import steadiness
from immunolab.schema.flags import Check
from immunolab.simulation.fcs_writer import write_fcs

_SUFFIXES = (".fcs", ".lmd", ".001", ".002", ".003", ".004", ".005")
_FOUND_BY = {  # each fault and the checks that find it
    "clog": {"steadiness"},
    "carry-over": {"steadiness"},
    "half-run step": {"steadiness"},
    "slow drift": {"slow_drift"},
    "time gap": {"time_gap"},
    "saturation": {"saturation", "margin"},
    "30 % dead": {"dead"},
    "pair 20 % under": {"residual_spillover"},
    "matrix of another day": {"residual_spillover", "hyper_negative"},
    "no matrix": {"compensation"},
    "doublets doubled": {"doublets"},
}


def rows_of(tube: Tube) -> list[dict[str, object]]:
    """Return the checks of a tube that warn or fail, those that are only noted left out."""
    found = steadiness(tube)
    rows = check_events(tube, found, without(tube, found))
    return [row for row in rows if row["status"] != "ok" and Check(str(row["check"])).rank != "note"]


def warned(tube: Tube) -> set[str]:
    """Return the names of those checks."""
    return {str(row["check"]) for row in rows_of(tube)}


def faulty(seed: int) -> Iterator[tuple[str, Tube, str]]:
    """Yield each fault with a seed's tube that has it, and words that a message must hold."""
    plan, rng = planted.plan_of(seed), np.random.default_rng([seed, 9])
    tube = planted.drawn(plan)
    yield "clean", tube, ""
    yield "clog", planted.clog(tube, rng), ""
    yield "carry-over", planted.carry_over(tube, rng, planted.drawn(plan, salt=9)), ""
    yield "half-run step", planted.step(tube, rng), ""
    yield "slow drift", planted.drift(tube, rng), ""
    if plan.with_time:
        yield "time gap", planted.gap(tube, rng), ""
    yield "saturation", planted.saturated(tube, rng), ""
    yield "30 % dead", planted.drawn(plan, dead=0.3), ""
    yield "pair 20 % under", *planted.under_compensated(tube, plan, rng)
    yield "matrix of another day", planted.matrix_of_another_day(tube, rng), ""
    yield "no matrix", planted.uncompensated(tube), ""


def doublets_found(seed: int) -> tuple[bool, int]:
    """Return whether doubled doublets are found among seven tubes of a study, and how many others are flagged."""
    plan = replace(planted.plan_of(seed), n_events=20_000)
    tubes = [replace(planted.drawn(plan, salt=i), sample_id=f"T{i}") for i in range(7)]
    found = qc([*tubes, replace(planted.doubled_doublets(plan), sample_id="doubled")], quiet=True)
    flagged = {name for name in found.samples if found.warnings(name)["check"].isin(["doublets"]).any()}
    return "doubled" in flagged, len(flagged - {"doubled"})


def faults(seeds: int, first: int) -> None:
    """Print, for each fault, how many of the seeds' tubes are found, after every ten seeds anew."""
    hits, total, false = Counter[str](), Counter[str](), Counter[str]()
    for seed in range(first, first + seeds):
        for fault, tube, said in faulty(seed):
            total[fault] += 1
            rows = rows_of(tube)
            names = {str(row["check"]) for row in rows}
            if fault == "clean":
                hits[fault] += bool(names)
                false.update(names)
            else:
                named = any(said in str(row["message"]) for row in rows if row["check"] in _FOUND_BY[fault])
                hits[fault] += bool(names & _FOUND_BY[fault]) and named
        found, others = doublets_found(seed) if seed % 5 == 0 else (None, 0)
        if found is not None:
            total["doublets doubled"] += 1
            hits["doublets doubled"] += found
            false["doublets of others"] += others
        done = seed - first + 1
        if done % 10 == 0 or done == seeds:
            print(f"{done} seeds from {first}; found (clean: flagged)")
            for fault, n in total.items():
                print(f"  {fault:24s} {hits[fault]:4d} of {n}  {100 * hits[fault] / n:.0f} %")
            print(f"  flagged in clean tubes: {dict(false)}", flush=True)


def treg(seeds: int) -> None:
    """Print Treg of clogged tubes after cleaning, and without, against those of the same tubes without the clog.

    Gates are placed anew on each tube. A tenth fewer events alone move them: what that does is shown by the tube
    without a clog of which the same tenth is left out.
    """
    off: dict[str, list[float]] = {"cleaned": [], "not cleaned": [], "no clog, the same tenth left out": []}
    for seed in range(2000, 2000 + seeds):
        panel = planted.MODEL.panels["surface"]
        plan = replace(planted.plan_of(seed), panel=panel, n_events=60_000, with_time=True)
        whole = planted.drawn(plan)
        clogged = planted.clog(whole, np.random.default_rng(seed))
        at = np.arange(len(whole)) / len(whole)
        tubes = (clogged.clean(), clogged, whole.take((at < 0.3) | (at >= 0.4)))
        truth = il.gate(whole, "treg_th17_tfh_teff").percent("Treg", of="CD4")
        for word, tube in zip(off, tubes, strict=True):
            off[word].append(il.gate(tube, "treg_th17_tfh_teff").percent("Treg", of="CD4") / truth - 1)
    for word, found in off.items():
        size = 100 * np.abs(found)
        print(f"Treg against the tube without the clog, {word}: off by {np.median(size):.1f} % (median), "
              f"{size.max():.1f} % at most; {np.mean(size <= 5):.0%} within 5 %", flush=True)  # fmt: skip
    apart = 100 * np.abs((np.array(off["cleaned"]) + 1) / (np.array(off["no clog, the same tenth left out"]) + 1) - 1)
    print(f"  cleaned against the same events without the clog: {np.median(apart):.1f} %, {apart.max():.1f} % at most")


def speed() -> None:
    """Print seconds of cleaning 1,000,000 events of 20 channels, all checks, and reading the file."""
    plan = replace(planted.plan_of(1), panel=planted.MODEL.panels["surface"], n_events=1_000_000, with_time=True)
    tube = planted.clog(planted.drawn(plan), np.random.default_rng(1))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.fcs"
        names = [c.name for c in tube.channels]
        spill = (tube.spillover.channels, tube.spillover.matrix)
        write_fcs(path, names, [c.label for c in tube.channels], tube.columns, spillover=spill)
        reading = min(_timed(lambda: il.read_fcs(path)) for _ in range(4))
        read = il.read_fcs(path)
        cleaning = min(_timed(read.clean) for _ in range(4))
        found = steadiness(read)
        checks = min(_timed(lambda: check_events(read, found, read)) for _ in range(3))
    print(f"{len(read):,} x {len(names)}: cleaning {cleaning:.2f} s, {cleaning / reading:.1f} times reading "
          f"({reading:.2f} s); the other checks {checks:.2f} s")  # fmt: skip


def _timed(work: object) -> float:
    begin = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - begin


def real_tubes() -> Iterator[tuple[Path, Tube]]:
    """Yield every shared real file that can be read and holds events."""
    for path in sorted(data_folder("").rglob("*")):
        if path.suffix.casefold() in _SUFFIXES and "cytoqc" not in str(path):
            try:
                tube = il.read_fcs(path)
            except ImmunolabError:
                continue
            if len(tube):
                yield path, tube


def real() -> None:
    """Print what warns in the shared real files, file by file and by check; few events and the header left out."""
    total, flagged, checks = Counter[str](), Counter[str](), Counter[str]()
    for path, tube in real_tubes():
        kind = "laboratories" if "/flow/" in str(path) else "instrument files"
        rows = [row for row in rows_of(tube) if row["check"] not in ("events", "header")]
        total[kind] += 1
        flagged[kind] += bool(rows)
        checks.update({str(row["check"]) for row in rows})
        for row in rows:
            print(f"  {path.name[:44]:44s} {row['status']} {row['check']}: {str(row['message'])[:110]}")
    for kind, n in total.items():
        print(f"{kind}: {flagged[kind]} of {n} flagged")
    print(dict(checks))


def peacoqc(folder: str) -> None:
    """Print, of real and of clogged tubes, the share of events that peacoqc-rs and `Tube.clean` cut, and both."""
    sys.path.insert(0, folder)
    import peacoqc
    import polars

    real_ones = [(path.name, tube) for path, tube in real_tubes() if len(tube) >= 5_000]
    plans = [replace(planted.plan_of(seed), n_events=60_000, with_time=True) for seed in range(3000, 3006)]
    simulated = [(f"steady {plan.seed}", planted.drawn(plan)) for plan in plans]
    rng = np.random.default_rng(0)
    clogged = [(f"clogged {tube.sample_id}", planted.clog(tube, rng)) for _, tube in simulated]
    for name, tube in [*real_ones, *simulated, *clogged]:
        own = kept_events(len(tube), tube.clean().removed)
        names = [c.name for c in tube.channels if c.kind in ("fluorescence", "mass")]
        shown = {name: tube.channel(name).usual_scale.apply(tube.compensated(name)) for name in names}
        ranges = {name: (float(values.min()), float(values.max())) for name, values in shown.items()}
        try:
            theirs = np.asarray(peacoqc.run_qc(polars.DataFrame(shown), names, ranges).good_cells, dtype=bool)
        except (RuntimeError, ValueError) as error:
            print(f"  {name[:44]:44s} here {100 * (~own).mean():5.1f} %  peacoqc-rs: {str(error)[:60]}")
            continue
        both = (~own & ~theirs).mean()
        print(f"  {name[:44]:44s} here {100 * (~own).mean():5.1f} %  peacoqc-rs {100 * (~theirs).mean():5.1f} %  "
              f"both {100 * both:5.1f} %")  # fmt: skip


def main() -> None:
    """Run what the words ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=0)
    parser.add_argument("--first", type=int, default=1000, help="first seed; limits were chosen on seeds below 100")
    parser.add_argument("--treg", type=int, default=0)
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--peacoqc", default="")
    asked = parser.parse_args()
    if asked.seeds:
        faults(asked.seeds, asked.first)
    if asked.treg:
        treg(asked.treg)
    if asked.speed:
        speed()
    if asked.real:
        real()
    if asked.peacoqc:
        peacoqc(asked.peacoqc)


if __name__ == "__main__":
    main()
