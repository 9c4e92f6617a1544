"""Damaged input files by the thousand: what each came to, and docs/validation_input.md, where the figures are.

    nice -n 10 python benchmarks/fuzz.py [KIND ...] [-n 2000] [--first 0] [--docs]

A kind's mutants are numbered, and the same number makes the same file: ``--show KIND NUMBER`` writes it to standard
output. Figures of a kind replace its earlier ones in benchmarks/results/fuzz.json; ``--docs -n 0`` writes the page.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from mutant_kinds import KINDS  # noqa: E402
from mutants import SECONDS, Tries, mutant, try_mutants  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "fuzz.json"
PAGE = ROOT / "docs" / "validation_input.md"
MUTANTS = {"FCS": 10_000}  # of a kind, others 2,000 (issue 16)
BEFORE = """# Validation: bad input

What damaged and hostile files come to. A file is read, or it is refused with a message that says what and where; in a
study one sample fails alone. Nothing else may happen: no exception of a library, no file that takes without end,
nothing lost in silence.

## Damaged files

    nice -n 10 python benchmarks/fuzz.py --docs

Each mutant is a sound file with bytes, words, lines or keywords damaged; words are replaced by absurd numbers, signs of
other grammars and characters that cannot be seen. The same number makes the same mutant. What is read is used too:
gates are put on a tube, a study is checked, a matrix is matched. "Failed" counts exceptions other than ImmunolabError,
mutants of more than {seconds:g} s, a process that ended, and what was lost in silence: events that TEXT declares (FCS),
populations that are neither gates nor named (FlowJo), rows (sheets and tables), rows with a number (XLSX). HDF5 files
are read through by a process of its own, as in a run; one that ends it counts as refused. tests/test_fuzz.py runs the
first mutants of each kind with the tests. Repaired because of a mutant: a FlowJo 9 calibration table with a value that
is no number (ValueError), a path of thousands of characters in study.yaml (OSError).

FCS, FlowJo, strategy and trial ran on 26 November 2026, all others on 27 November. Time is counted in seconds of a
processor: counted by the clock, two h5ad of the same mutants had not ended after 50 s beside sixteen other processes;
of these 2,000 each ended within 3.3 s of a processor.

"""


def main() -> int:
    """Run the wanted kinds, keep the figures, write the page; 1 where a mutant failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of: {', '.join(KINDS)} (default: all)")
    parser.add_argument("-n", type=int, help="mutants of a kind (default 10000 FCS, 2000 of each other)")
    parser.add_argument("--first", type=int, default=0, help="number of the first mutant")
    parser.add_argument("--docs", action="store_true", help="write docs/validation_input.md; alone with -n 0")
    parser.add_argument("--show", nargs=2, metavar=("KIND", "NUMBER"), help="write one mutant to standard output")
    wanted = parser.parse_args()
    if wanted.show:
        sys.stdout.buffer.write(mutant(KINDS[wanted.show[0]], int(wanted.show[1])))
        return 0
    failed = 0
    for name in wanted.kinds or KINDS:
        n = MUTANTS.get(name, 2000) if wanted.n is None else wanted.n
        if not n:
            continue
        tries = try_mutants(KINDS[name], n, first=wanted.first)
        say(name, tries)
        failed += sum(tries.failures.values())
        # read anew: another process may have run other kinds meanwhile
        RESULTS.write_text(json.dumps({**kept(), name: figures(tries)}, indent=1, ensure_ascii=False) + "\n")
    if wanted.docs:
        PAGE.write_text(page(kept()), encoding="utf-8")
    return int(failed > 0)


def kept() -> dict[str, dict[str, Any]]:
    """Return the figures of earlier runs by kind."""
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def say(name: str, tries: Tries) -> None:
    """Print what a kind's mutants came to, and an example of each failure."""
    counts = f"{tries.n} tried, {tries.read} read, {tries.refused} refused, slowest {tries.slowest:.2f} s"
    print(f"{name}: {counts}", flush=True)
    for failure, count in tries.failures.items():
        number, text = tries.examples[failure]
        print(f"  {failure}: {count}, first in mutant {number}\n{text}", flush=True)


def figures(tries: Tries) -> dict[str, object]:
    """Return what is kept of a run."""
    return {
        "tried": tries.n,
        "read": tries.read,
        "refused": tries.refused,
        "failed": dict(tries.failures),
        "slowest": round(tries.slowest, 1),
    }


def page(found: dict[str, dict[str, Any]]) -> str:
    """Return docs/validation_input.md."""
    rows = ["| kind | tried | read | refused | failed | slowest, s |", "|---|---|---|---|---|---|"]
    for name in (name for name in KINDS if name in found):
        one = found[name]
        failed = "; ".join(f"{count} {what}" for what, count in one["failed"].items()) or "0"
        cells = (name, *(f"{one[count]:,}" for count in ("tried", "read", "refused")), failed, str(one["slowest"]))
        rows.append(f"| {' | '.join(cells)} |")
    hostile = (ROOT / "benchmarks" / "results" / "hostile_input.md").read_text(encoding="utf-8")
    return BEFORE.format(seconds=SECONDS) + "\n".join(rows) + "\n\n" + hostile


if __name__ == "__main__":
    sys.exit(main())
