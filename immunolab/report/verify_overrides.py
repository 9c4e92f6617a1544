"""Gates that a reader placed, found again: in the tubes' gates, borders, flags and counts, and in overrides.yaml."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from immunolab.errors import Problem
from immunolab.gating.overrides import shown_gate
from immunolab.gating.record_codec import from_plain
from immunolab.gating.tube_gates import TubeGates
from immunolab.report.table_diff import CHANGED, differs, file_in, file_of, read_written, same
from immunolab.results.run import Run
from immunolab.results.tube import GATES
from immunolab.schema.flags import Flag, split
from immunolab.schema.gating import COUNTS, THRESHOLDS
from immunolab.schema.overrides import OVERRIDES, OVERRIDES_FILE


def override_differences(run: Run) -> Iterator[Problem]:
    """Yield every override that the tubes' gates, borders and counts do not show, and the other way round.

    Parameters
    ----------
    run
        The finished run.
    """
    name = run.study.relative(run.study.overrides)
    if run.study.overrides.exists() and name not in run.inputs:
        yield Problem(name, "", "was made after the run, which did not use it", "run the study again")
    read = {t.name: read_written(run, t) for t in (COUNTS, THRESHOLDS)}
    read[OVERRIDES.name] = read_written(run, OVERRIDES) if file_in(run, OVERRIDES).exists() else OVERRIDES.empty()
    for found in read.values():
        if isinstance(found, tuple):
            yield from found
    known = {table: found for table, found in read.items() if isinstance(found, pd.DataFrame)}
    if len(known) < len(read):
        return
    rows = known[OVERRIDES.name]
    if len(rows) and name not in run.inputs:
        yield Problem(file_of(OVERRIDES), "", f"has overrides, and the run read no {OVERRIDES_FILE}", CHANGED)
    applied = rows[rows["status"] == "applied"]
    yield from _flags(applied, known[COUNTS.name])
    yield from _percentages(rows, known[COUNTS.name])
    yield from _borders(applied, known[THRESHOLDS.name])
    for sample, own in rows.dropna(subset=["path"]).groupby("sample_id", sort=False):
        yield from _gates(run, str(sample), own)


def _flags(applied: pd.DataFrame, counts: pd.DataFrame) -> Iterator[Problem]:
    """Yield populations that are flagged as a reader's without an override, and overrides without the flag."""
    flagged = counts.loc[[Flag.OVERRIDDEN in split(words) for words in counts["flag"]]]
    there = set(zip(flagged["sample_id"], flagged["path"], strict=True))
    stated = set(zip(applied["sample_id"], applied["path"], strict=True))
    for sample, path in sorted(there - stated):
        text = f"is flagged {Flag.OVERRIDDEN}, and overrides.csv has no override of it that is used"
        yield Problem(file_of(COUNTS), f"sample {sample}, {path}", text, CHANGED)
    for sample, path in sorted(stated - there):
        text = f"is not flagged {Flag.OVERRIDDEN}, though overrides.csv says that its gate is a reader's"
        yield Problem(file_of(COUNTS), f"sample {sample}, {path}", text, CHANGED)


def _percentages(rows: pd.DataFrame, counts: pd.DataFrame) -> Iterator[Problem]:
    now = counts.set_index(["sample_id", "path"])["percent_of_parent"]
    for row in rows.dropna(subset=["path"]).to_dict("records"):
        place = f"sample {row['sample_id']}, {row['path']}"
        wanted = now.get((row["sample_id"], row["path"]), np.nan)
        if not same(row["percent_after"], wanted):
            yield differs(OVERRIDES, place, "percent_after", row["percent_after"], wanted)
        if pd.notna(row["percent_before"]):
            before = 100.0 * row["n_before"] / row["n_parent_before"] if row["n_parent_before"] else np.nan
            if not same(row["percent_before"], before):
                yield differs(OVERRIDES, place, "percent_before", row["percent_before"], before)


def _borders(applied: pd.DataFrame, thresholds: pd.DataFrame) -> Iterator[Problem]:
    """Yield borders by method override whose population no override names."""
    stated = set(zip(applied["sample_id"], applied["population"], strict=True))
    for row in thresholds[thresholds["method"] == "override"].to_dict("records"):
        if (row["sample_id"], row["population"]) not in stated:
            place = f"sample {row['sample_id']}, {row['population']}, {row['channel']}"
            yield Problem(file_of(THRESHOLDS), place, "is by a reader, and overrides.csv has no such override", CHANGED)


def _gates(run: Run, sample: str, rows: pd.DataFrame) -> Iterator[Problem]:
    """Yield overrides that are not what the tube's stored gates hold."""
    path = run.folder / "samples" / sample / GATES
    try:
        gates = from_plain(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        gates = None
    if not isinstance(gates, TubeGates):
        yield Problem(f"samples/{sample}/{GATES}", "", "cannot be read", "run the study again")
        return
    now = _in_words(gates.strategy)
    automatic = _in_words(gates.automatic or gates.strategy)
    for row in rows.to_dict("records"):
        place = f"sample {sample}, {row['path']}"
        if row["automatic"] != automatic.get(row["path"]):
            yield _other(place, "automatic", row["automatic"], automatic.get(row["path"]))
        if (
            row["status"] == "applied"
            and row["id"] == _last(rows, row["path"])
            and row["override"] != now.get(row["path"])
        ):
            yield _other(place, "override", row["override"], now.get(row["path"]))


def _last(rows: pd.DataFrame, path: Any) -> Any:
    return rows[(rows["path"] == path) & (rows["status"] == "applied")]["id"].iloc[-1]


def _in_words(strategy: Any) -> Mapping[str, str]:
    return {one.path: shown_gate(one.gate) for one in strategy.populations}


def _other(place: str, column: str, stored: object, wanted: object) -> Problem:
    return Problem(file_of(OVERRIDES), place, f"{column} is '{stored}', the tube's gates have '{wanted}'", CHANGED)
