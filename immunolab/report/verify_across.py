"""What is compared across tubes computed again: from counts, landmarks, events kept of each tube, and the sheet."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from immunolab.errors import Problem
from immunolab.quality.staining_sample import STAINING_EVENTS, StainingFiles
from immunolab.report.table_diff import CHANGED, differs, file_in, file_of, read_written, same
from immunolab.results.across_tubes import across_tables
from immunolab.results.run import Run
from immunolab.schema.across_tubes import ACQUISITIONS, DESIGN, DRIFT, IDENTITY, LANDMARKS, SAMPLE_FLOW, STAINING
from immunolab.schema.comparison import PAIRS
from immunolab.schema.endpoints import ENDPOINTS
from immunolab.schema.gating import COUNTS, FAILURES
from immunolab.schema.table import Table

_READ = (COUNTS, LANDMARKS, ENDPOINTS, FAILURES, PAIRS)
_DIGITS = 1e-6  # relative: sums over many tubes in another order of addition on another machine


def across_differences(run: Run) -> Iterator[Problem]:
    """Yield every row across tubes that the run's other tables and kept events do not give again."""
    if not file_in(run, SAMPLE_FLOW).exists():
        return  # of a run before there were such tables; the manifest names a file that went missing
    read = {table.name: read_written(run, table) for table in _READ}
    if file_in(run, ACQUISITIONS).exists():
        read[ACQUISITIONS.name] = read_written(run, ACQUISITIONS)
    for found in read.values():
        if isinstance(found, tuple):
            yield from found
    known = {name: found for name, found in read.items() if isinstance(found, pd.DataFrame)}
    if len(known) < len(read):
        return
    paths = {s.sample_id: run.folder / "samples" / s.sample_id / STAINING_EVENTS for s in run.study.samples}
    acquisitions = known.pop(ACQUISITIONS.name, ACQUISITIONS.empty())
    again = across_tables(run.study, known, acquisitions, StainingFiles(paths))
    for table in (STAINING, DRIFT, IDENTITY, DESIGN, SAMPLE_FLOW):
        written = read_written(run, table) if file_in(run, table).exists() else table.empty()
        if isinstance(written, tuple):
            yield from written
        else:
            yield from _differences(table, written, again.get(table.name, table.empty()))


def _differences(table: Table, written: pd.DataFrame, again: pd.DataFrame) -> Iterator[Problem]:
    if len(written) != len(again):
        yield Problem(file_of(table), "", f"{len(written)} rows, computed again {len(again)}", CHANGED)
        return
    for i, (row, wanted) in enumerate(zip(written.to_dict("records"), again.to_dict("records"), strict=True)):
        for column in table.columns:
            old, new = row[column.name], wanted[column.name]
            place = f"row {i + 2}"
            if column.kind == "text":
                if ("" if pd.isna(old) else str(old)) != ("" if pd.isna(new) else str(new)):
                    text = f"{column.name} is '{old}', computed again '{new}'"
                    yield Problem(file_of(table), place, text, CHANGED)
            elif not same(old, new, _DIGITS):
                yield differs(table, place, column.name, old, new)
