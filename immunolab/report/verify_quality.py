"""What was cut from tubes, computed again: stretches against quality.csv, uncleaned percentages against counts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from immunolab.errors import Problem
from immunolab.report.table_diff import CHANGED, differs, file_in, file_of, read_written, same
from immunolab.results.run import Run
from immunolab.schema.flags import Check
from immunolab.schema.gating import COUNTS, QUALITY, REMOVED_STRETCHES, UNCLEANED_COUNTS


def quality_differences(run: Run) -> Iterator[Problem]:
    """Yield every number of the cleaned tubes that the other tables do not give again."""
    if not file_in(run, REMOVED_STRETCHES).exists():
        return
    read = {t.name: read_written(run, t) for t in (REMOVED_STRETCHES, UNCLEANED_COUNTS, QUALITY, COUNTS)}
    for found in read.values():
        if isinstance(found, tuple):
            yield from found
    known = {name: found for name, found in read.items() if isinstance(found, pd.DataFrame)}
    if len(known) == len(read):
        yield from _stretches(known)
        yield from _counts(known)


def _stretches(known: dict[str, pd.DataFrame]) -> Iterator[Problem]:
    """Yield stretches whose share is not that of their events, and tubes whose stretches are not what was cut."""
    quality, cut = known[QUALITY.name], known[REMOVED_STRETCHES.name]
    acquired = quality[quality["check"] == Check.EVENTS].set_index("sample_id")["value"]
    said = quality[quality["check"] == Check.CLEANED].set_index("sample_id")["value"]
    roots = known[COUNTS.name][known[COUNTS.name]["path"] == "/"].set_index("sample_id")["n_events"]
    for sample, rows in cut.groupby("sample_id", sort=False):
        events = rows["last_event"] - rows["first_event"] + 1
        for n, row in zip(events, rows.to_dict("records"), strict=True):
            place = f"sample {sample}, event {row['first_event']}"
            if not same(row["percent"], 100.0 * n / acquired[sample]):
                yield differs(REMOVED_STRETCHES, place, "percent", row["percent"], 100.0 * n / acquired[sample])
        if not same(said.get(sample, np.nan), rows["percent"].sum()):
            yield differs(
                QUALITY, f"sample {sample}, cleaned", "value", said.get(sample, np.nan), rows["percent"].sum()
            )
        if roots.get(sample) != acquired[sample] - events.sum():
            yield differs(COUNTS, f"sample {sample}, /", "n_events", roots.get(sample), acquired[sample] - events.sum())
    for sample in sorted(set(said.index) - set(cut["sample_id"])):
        text = f"sample {sample} was cleaned, and has no stretch there"
        yield Problem(file_of(REMOVED_STRETCHES), f"sample {sample}", text, CHANGED)


def _counts(known: dict[str, pd.DataFrame]) -> Iterator[Problem]:
    """Yield percentages of all events that are not those of their counts, or not beside those of counts.csv."""
    after = known[COUNTS.name].set_index(["sample_id", "path"])["percent_of_parent"]
    for row in known[UNCLEANED_COUNTS.name].to_dict("records"):
        place = f"sample {row['sample_id']}, {row['path']}"
        wanted = 100.0 * row["n_events"] / row["n_parent"] if row["n_parent"] else np.nan
        if not pd.isna(row["percent_of_parent"]) and not same(row["percent_of_parent"], wanted):
            yield differs(UNCLEANED_COUNTS, place, "percent_of_parent", row["percent_of_parent"], wanted)
        now = after.get((row["sample_id"], row["path"]), np.nan)
        if not same(row["percent_after_cleaning"], now):
            yield differs(UNCLEANED_COUNTS, place, "percent_after_cleaning", row["percent_after_cleaning"], now)
