"""Twenty kills at seeded moments: whether the whole output folder ends with the bytes of an undisturbed run.

Ten folders get two kills each, the second later in the run than the first, and are then run to the end; all of OUT is
compared, with report and memberships, but for the files that hold times (run.log, run.jsonl, status.json,
metrics.prom). After each kill the processes of the run are counted until none is left.
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

from kills import kill_at, plan, small_study, start, tree  # noqa: E402

from immunolab.workflow.status import read_status  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "kills.json"


def main() -> None:
    """Kill, compare, print and store."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=16)
    parser.add_argument("--folders", type=int, default=10)
    arguments = parser.parse_args()
    rng, folders = random.Random(arguments.seed), []
    with tempfile.TemporaryDirectory() as place:
        study = small_study(Path(place) / "study", patients=4, events=20_000)
        began = time.monotonic()
        assert start(study, Path(place) / "undisturbed").wait() == 3
        undisturbed, took = tree(Path(place) / "undisturbed"), time.monotonic() - began
        for number, kills in enumerate(plan(arguments.seed, arguments.folders)):
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
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
