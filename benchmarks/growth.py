"""How a study grows: time, memory and storage of a run over 100 to 5,000 tubes.

    python benchmarks/growth.py [--tubes 100 400 1000] [--events 3000] [--jobs 2] [--tables-only] [--docs] [-o FILE]

Every study is simulated (two visits of each patient, with its clinic), run in a process of its own, and run again,
which keeps everything. The processor's seconds are those of the run and its workers, the memory is the largest of any
one process, the storage is by folder of OUT. ``--docs`` writes the table into docs/growth.md.
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
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def study_of(folder: Path, tubes: int, events: int) -> None:
    """Simulate a study of so many tubes, two of each patient."""
    from immunolab.simulation import simulate
    from immunolab.simulation.model import Options

    options = Options(truth_events=False)
    simulate(TRIAL, patients=tubes // 2, seed=1, folder=folder, visits=VISITS, events=events, options=options)


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
    for path in (path for path in out.rglob("*") if path.is_file()):
        place = path.relative_to(out).parts
        name = place[0] if len(place) > 1 else "OUT"
        sizes[name] += path.stat().st_size
        files[name] += 1
    return {name: {"mib": round(size / 2**20, 3), "files": files[name]} for name, size in sorted(sizes.items())}


def growth(tubes: int, events: int, jobs: int, tables_only: bool) -> dict[str, Any]:
    """Return what a study of so many tubes costs, first and again."""
    with tempfile.TemporaryDirectory() as temporary:
        study, out = Path(temporary) / "study", Path(temporary) / "out"
        study_of(study, tubes, events)
        first = measured(study, out, jobs, tables_only)
        again = measured(study, out, jobs, tables_only)
        return {"tubes": tubes, "first": first, "again": again, "storage": storage(out)}


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


def main() -> None:
    """Measure, print, and keep what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tubes", type=int, nargs="+", default=[100, 400, 1000])
    parser.add_argument("--events", type=int, default=3_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--tables-only", action="store_true")
    parser.add_argument("--docs", action="store_true")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    if arguments.child:
        child(*arguments.child)
        return
    rows = []
    for tubes in arguments.tubes:
        rows.append(growth(tubes, arguments.events, arguments.jobs, arguments.tables_only))
        print(json.dumps(rows[-1]), flush=True)
        if arguments.output:  # after each, for the largest take long
            arguments.output.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(table(rows))
    if arguments.docs:
        text = DOCS.read_text(encoding="utf-8")
        before, after = text.split(BEGIN)[0], text.split(END)[1]
        DOCS.write_text(f"{before}{BEGIN}\n{table(rows)}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
