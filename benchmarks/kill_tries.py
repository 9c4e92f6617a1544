"""Twenty kills at seeded moments: whether the whole output folder ends with the bytes of an undisturbed run.

Ten folders get two kills each, the second later in the run than the first, and are then run to the end; all of OUT is
compared, with report and memberships, but for the files that hold times (run.log, run.jsonl, status.json,
metrics.prom). After each kill the processes of the run are counted until none is left. The result is stored in
benchmarks/results/kills.json and, as a table, in docs/validation_faults.md; `--table` writes the table alone.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from kills import MISSED, kill_at, plan, small_study, start, tree  # noqa: E402

from immunolab.workflow.status import read_status  # noqa: E402

PAGE = ROOT / "docs" / "validation_faults.md"
RESULT = ROOT / "benchmarks" / "results" / "kills.json"


def write_table() -> None:
    """Write the stored result between the marks of the page."""
    stored = json.loads(RESULT.read_text(encoding="utf-8"))
    head = "| folder, gates | moment | way | gone after, s | exit code | status | at the end |"
    lines = [head, "|---|---|---|---|---|---|---|"]
    kinds = [gates for gates in MISSED if gates in stored]
    folders = [(gates, folder) for gates in kinds for folder in stored[gates]["folders"]]
    for number, (gates, folder) in enumerate(folders, start=1):
        differ = len(folder["files_that_differ"])
        end = f"exit {folder['exit_code']}, {folder['files']} files, {differ or 'none'} differ{'' if differ else 's'}"
        for i, kill in enumerate(folder["kills"]):
            way = kill["way"] if kill["struck"] else f"{kill['way']} (had ended)"
            gone = kill.get("gone_s", "goes on")
            row = (f"{number}, {gates}", kill["moment"], way, gone, kill["exit_code"], kill["status"], end if i else "")
            lines.append(f"| {' | '.join(map(str, row))} |")
    before, rest = PAGE.read_text(encoding="utf-8").split("<!-- kills -->\n")
    after = rest.split("<!-- end -->")[1]
    PAGE.write_text(before + "<!-- kills -->\n" + "\n".join(lines) + "\n<!-- end -->" + after, encoding="utf-8")


def main() -> None:
    """Kill, compare, print and store."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=16)
    parser.add_argument("--folders", type=int, default=10)
    parser.add_argument(
        "--kind", choices=list(MISSED), default="drawn", help="of gates; each is stored beside the others"
    )
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    if arguments.table:
        write_table()
        return
    rng, folders = random.Random(arguments.seed), []
    with tempfile.TemporaryDirectory() as place:
        study = small_study(Path(place) / "study", patients=4, events=20_000, kind=arguments.kind)
        began = time.monotonic()
        assert start(study, Path(place) / "undisturbed").wait() == 3
        undisturbed, took = tree(Path(place) / "undisturbed"), time.monotonic() - began
        for number, kills in enumerate(plan(arguments.seed, arguments.folders, kind=arguments.kind)):
            out = Path(place) / f"out{number}"
            rows = []
            for moment, way in kills:
                running = start(study, out)
                row = kill_at(running, out, moment, way, rng)
                row["exit_code"] = running.wait() if way == "worker" else running.returncode
                row["status"] = read_status(out).standing if (out / "status.json").exists() else "no state"
                rows.append(row)
                print(json.dumps(row), flush=True)
            code = start(study, out).wait()
            ended = tree(out)
            differ = sorted(
                name for name in ended.keys() | undisturbed.keys() if ended.get(name) != undisturbed.get(name)
            )
            folders.append({"kills": rows, "exit_code": code, "files": len(ended), "files_that_differ": differ})
            print(json.dumps({k: v for k, v in folders[-1].items() if k != "kills"}), flush=True)
    result = {"seed": arguments.seed, "undisturbed_s": round(took, 1), "folders": folders}
    stored = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    stored[arguments.kind] = result
    RESULT.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    write_table()


if __name__ == "__main__":
    main()
