"""How a study grows: time, memory and storage of a run over 100 to 5,000 tubes.

    python benchmarks/growth.py [--tubes 100 400 1000] [--events 3000] [--jobs 2] [--drawn] [--tables-only] [-o FILE]
    python benchmarks/growth.py --docs FILE FILE

Every study is simulated (two visits of each patient, with its clinic), run in a process of its own, and run again,
which keeps everything. The processor's seconds are those of the run and its workers, the memory is the largest of any
one process, the storage is by folder of OUT. ``--drawn`` gates with four drawn gates instead of some thirty that data
place, which leaves what a run does besides. ``--docs`` writes the tables of such files into docs/growth.md.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

TRIAL, VISITS = "sle_nct02084238", ("W0", "W10")
DOCS = Path(__file__).resolve().parent.parent / "docs" / "growth.md"
DRAWN = """
strategy: drawn
transform: {default: {asinh: {cofactor: 150}}, scatter: linear}
populations:
  - {name: lymphocytes, parent: root, rectangle: {FSC-A: [4e4, 1.3e5], SSC-A: [0, 6e4]}}
  - {name: CD3, parent: lymphocytes, rectangle: {CD3: [2.5, null]}}
  - {name: CD4, parent: CD3, rectangle: {CD4: [2.5, null]}}
  - {name: Treg, parent: CD4, rectangle: {CD25: [2.8, null], CD127: [null, 2.5]}}
"""
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def study_of(folder: Path, tubes: int, events: int, drawn: bool) -> None:
    """Simulate a study of so many tubes, two of each patient, for drawn gates or the shipped strategy."""
    from immunolab.simulation import simulate
    from immunolab.simulation.model import Options

    options = Options(truth_events=False)
    simulate(TRIAL, patients=tubes // 2, seed=1, folder=folder, visits=VISITS, events=events, options=options)
    if drawn:
        (folder / "gates.yaml").write_text(DRAWN)
        text = (folder / "study.yaml").read_text().replace("treg_th17_tfh_teff", "gates.yaml")
        (folder / "study.yaml").write_text(text)


def child(study: str, out: str, jobs: str, tables_only: str) -> None:
    """Run a study and print what it cost; its own lines go to run.log."""
    from immunolab.workflow.run import run

    started = time.perf_counter()
    run(study, out=out, jobs=int(jobs), tables_only=tables_only == "tables")
    seconds = time.perf_counter() - started
    own, workers = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu = {"own": own.ru_utime + own.ru_stime, "workers": workers.ru_utime + workers.ru_stime}
    memory = {"own": own.ru_maxrss / 1024, "worker": workers.ru_maxrss / 1024}
    print(json.dumps({"seconds": seconds, "cpu_s": cpu, "peak_mib": memory}))


def measured(study: Path, out: Path, jobs: int, tables_only: bool) -> dict[str, Any]:
    """Return what one run cost, measured in a process of its own."""
    words = [str(study), str(out), str(jobs), "tables" if tables_only else "report"]
    done = subprocess.run(
        [sys.executable, __file__, "--child", *words], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def storage(out: Path) -> dict[str, dict[str, float]]:
    """Return MiB and number of files by folder of OUT; what is not in a folder is ``OUT``."""
    sizes: Counter[str] = Counter()
    files: Counter[str] = Counter()
    seen = set()
    for path in (path for path in out.rglob("*") if path.is_file()):
        place = path.relative_to(out).parts
        name = place[0] if len(place) > 1 else "OUT"
        files[name] += 1
        found = path.stat()
        if (found.st_dev, found.st_ino) not in seen:  # a file of two names is on the disk once
            sizes[name] += found.st_size
            seen.add((found.st_dev, found.st_ino))
    return {name: {"mib": round(size / 2**20, 3), "files": files[name]} for name, size in sorted(sizes.items())}


def growth(tubes: int, chosen: argparse.Namespace) -> dict[str, Any]:
    """Return what a study of so many tubes costs, first and again."""
    with tempfile.TemporaryDirectory() as temporary:
        study, out = Path(temporary) / "study", Path(temporary) / "out"
        study_of(study, tubes, chosen.events, chosen.drawn)
        first = measured(study, out, chosen.jobs, chosen.tables_only)
        stages = json.loads((out / "status.json").read_text(encoding="utf-8"))["stages"]
        again = measured(study, out, chosen.jobs, chosen.tables_only)
        words = {name: getattr(chosen, name) for name in ("events", "jobs", "drawn", "tables_only")}
        seconds = {name: stage["seconds"] for name, stage in stages.items()}
        return {"tubes": tubes, **words, "first": first, "stages": seconds, "again": again, "storage": storage(out)}


def table(rows: list[dict[str, Any]]) -> str:
    """Return the figures as a Markdown table, a line a study."""
    heads = ["tubes", "processor s", "s a tube", "run again s", "peak MiB, run", "peak MiB, worker", "MiB stored"]
    heads += ["KiB a tube", "files"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in rows:
        cpu, mib = sum(row["first"]["cpu_s"].values()), sum(part["mib"] for part in row["storage"].values())
        cells = [
            f"{row['tubes']:,}",
            f"{cpu:,.0f}",
            f"{cpu / row['tubes']:.2f}",
            f"{sum(row['again']['cpu_s'].values()):,.0f}",
        ]
        cells += [f"{row['first']['peak_mib'][who]:,.0f}" for who in ("own", "worker")]
        cells += [f"{mib:,.0f}", f"{mib * 1024 / row['tubes']:,.0f}"]
        cells += [f"{sum(part['files'] for part in row['storage'].values()):,}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write_docs(files: list[Path]) -> None:
    """Put the tables of measured files into the page, each under what it is of."""
    parts = []
    for file in files:
        rows = json.loads(file.read_text(encoding="utf-8"))
        gates = "four drawn gates" if rows[0]["drawn"] else "gates placed by data"
        what = "tables only" if rows[0]["tables_only"] else "with the report"
        parts.append(f"**{gates.capitalize()}, {what}**, {rows[0]['events']:,} events a tube:\n\n{table(rows)}")
    text = DOCS.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    DOCS.write_text(
        f"{before}{BEGIN}\n{chr(10).join(f'{part}{chr(10)}' for part in parts)}{END}{after}", encoding="utf-8"
    )


def main() -> None:
    """Measure, print, and keep what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tubes", type=int, nargs="+", default=[100, 400, 1000])
    parser.add_argument("--events", type=int, default=3_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--tables-only", action="store_true")
    parser.add_argument("--drawn", action="store_true")
    parser.add_argument("--docs", type=Path, nargs="+")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    if arguments.child:
        child(*arguments.child)
        return
    if arguments.docs:
        write_docs(arguments.docs)
        return
    rows = []
    for tubes in arguments.tubes:
        rows.append(growth(tubes, arguments))
        print(json.dumps(rows[-1]), flush=True)
        if arguments.output:  # after each, for the largest take long
            arguments.output.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
