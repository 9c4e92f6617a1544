"""How far a constant of the gates may move before a line of the real tubes, or a failure's flag, changes.

``python benchmarks/constant_ranges.py [--only WORD] [--alone] [-o FOLDER]`` gates the labelled sets again with one
constant at a time moved to either side by what somebody else might have chosen, and prints for each value and set
which lines are lost or gained, and how many more failures are silent and right results flagged. A constant that was
chosen with these sets in view holds elsewhere only if it could have been chosen with any of them left out: where one
set alone changes with it, it was chosen for that set.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import real_acceptance
from real_acceptance import LINES, silence
from real_set import RealSet
from real_sets import SETS
from real_tubes import COLUMNS, markdown, run_set

_HEAD = """Each tube alone, one constant at a time moved to either side; what changes of the lines above, of failures
without a flag and of right results with one.
"""
PLACEMENT = "immunolab.gating.placement"
KNOWN = f"{PLACEMENT}.methods.known_negatives"
LABELLED = ("hipc_from_CD3", "symphony", "cytoexplorer", "flowsom", "cytof", "catalyst")
"""Sets with experts' figures; the other ways into the tubes of HIPC say nothing more."""


@dataclass(frozen=True)
class Constant:
    """A constant of the package, and values that somebody else might have chosen."""

    name: str
    module: str
    attribute: str
    values: tuple[float, ...]


CONSTANTS = (
    Constant("no_peak: density at the border", f"{PLACEMENT}.flank", "_FLANK", (0.8, 0.85, 1.0)),
    Constant("wide_interval: share of parent", f"{PLACEMENT}.interval_width", "_WIDE_SHARE", (0.15, 0.3)),
    Constant("wide_interval: sd of the log count", f"{PLACEMENT}.fit", "_WIDE_COUNT", (0.2, 0.42)),
    Constant("CD38: sd below naive cells", "rules", "CD38", (1.4, 2.0, 2.4)),
    Constant("known_negatives: reach, sd", KNOWN, "_REACH", (2.5, 5.0)),
    Constant("known_negatives: apart, sd", KNOWN, "_APART", (0.5, 2.0)),
    Constant("known_negatives: least over, sd", KNOWN, "_LEAST_OVER", (0.25, 1.0, 1.5)),
    Constant("valley of a lineage: half way", f"{PLACEMENT}.lineage_border", "_HALF_WAY", (0.35, 0.65)),
    Constant("naive_memory: overlapped", f"{PLACEMENT}.binned_density", "_OVERLAPPED", (3.0, 6.0)),
)  # fmt: skip
"""Those that were chosen while the shared sets were looked at."""


def _owner(constant: Constant) -> tuple[Any, float]:
    """Return what holds a constant (a module, or the rule of a marker) and its value in use."""
    if constant.module == "rules":
        from immunolab.gating.placement.rules import _defaults

        rule = _defaults()["rules"][constant.attribute]["pos"]
        return rule, rule["k"]
    module = importlib.import_module(constant.module)
    return module, getattr(module, constant.attribute)


def _set(owner: Any, constant: Constant, value: float) -> None:
    if isinstance(owner, dict):
        owner["k"] = value
    else:
        setattr(owner, constant.attribute, value)


def figures(name: str, data: RealSet, runs: tuple[str, ...]) -> dict[str, Any]:
    """Return which lines a set reaches, its silent failures, and its right results with a flag."""
    table = pd.DataFrame(run_set(name, data, runs)).reindex(columns=COLUMNS)
    reached = set()
    for run in runs:
        lines = LINES[name](table[table["run"] == run], data, run)
        reached |= {(run, line["line"]) for line in lines if line["result"] == "pass"}
    counted = silence(table)[["silent", "right", "false_alarms"]].sum()
    return {"reached": frozenset(reached), **counted.astype(int).to_dict()}


def sweep(constants: Sequence[Constant], sets: dict[str, RealSet], runs: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Yield a row for each constant, value and set; what differs from the value in use in words."""
    base = {name: figures(name, data, runs) for name, data in sets.items()}
    for constant in constants:
        owner, used = _owner(constant)
        for value in constant.values:
            _set(owner, constant, value)
            try:
                found = {name: figures(name, data, runs) for name, data in sets.items()}
            finally:
                _set(owner, constant, used)
            for name in sets:
                yield {"constant": constant.name, "used": used, "value": value, "set": name,
                       **_change(base[name], found[name])}  # fmt: skip


def _change(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Return lines lost and gained, and how silent failures and flagged right results changed."""
    return {
        "lost": "; ".join(f"{run}: {line}" for run, line in sorted(before["reached"] - after["reached"])),
        "gained": "; ".join(f"{run}: {line}" for run, line in sorted(after["reached"] - before["reached"])),
        "silent": after["silent"] - before["silent"],
        "flagged": after["false_alarms"] - before["false_alarms"],
    }


def by_constant(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row a constant and value: what changes, and in which sets."""
    found = []
    for (constant, used, value), part in rows.groupby(["constant", "used", "value"], sort=False):
        words = [_words(row) for row in part.to_dict("records")]
        changed = "; ".join(word for word in words if word) or "nothing"
        found.append({"constant": constant, "used": f"{used:.3g}", "value": f"{value:g}", "changes": changed})
    return pd.DataFrame(found)


def _words(row: dict[str, Any]) -> str:
    parts = [f"loses {row['lost']}" if row["lost"] else "", f"gains {row['gained']}" if row["gained"] else ""]
    parts += [f"{row[key]:+d} {key}" if row[key] else "" for key in ("silent", "flagged")]
    kept = ", ".join(part for part in parts if part)
    return f"{row['set']} {kept}" if kept else ""


def _remembered(search: Callable[..., float]) -> Callable[..., float]:
    """Return the search for the best two borders with its results kept: they depend on no constant."""
    kept: dict[bytes, float] = {}

    def run(*arrays: np.ndarray) -> float:
        key = b"".join(array.tobytes() for array in arrays)
        if key not in kept:
            kept[key] = search(*arrays)
        return kept[key]

    return run


def main() -> None:
    """Run the sweep from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="constants whose name holds this word")
    parser.add_argument("--alone", action="store_true", help="only each tube alone")
    parser.add_argument("-o", "--output", type=Path, default=None)
    options = parser.parse_args()
    sets = {name: SETS[name]() for name in LABELLED}
    real_acceptance.best_macro_f1 = _remembered(real_acceptance.best_macro_f1)
    rows = []
    runs = ("alone",) if options.alone else ("alone", "study")
    for row in sweep([one for one in CONSTANTS if options.only in one.name], sets, runs):
        rows.append(row)
        print(row["constant"], row["value"], _words(row) or f"{row['set']} nothing", flush=True)
    text = markdown(by_constant(pd.DataFrame(rows)))
    if options.output:
        head = _HEAD if options.alone else _HEAD.replace("Each tube alone,", "Each tube alone and as a study,")
        (options.output / "constant_ranges.md").write_text(f"{head}\n{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
