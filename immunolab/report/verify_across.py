"""What is compared across tubes computed again: from counts, landmarks, events kept of each tube, and the sheet."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from immunolab.errors import Problem
from immunolab.quality.staining_sample import STAINING_EVENTS, StainingFiles
from immunolab.report.table_diff import file_in, read_written, row_differences
from immunolab.results.across_tubes import across_tables
from immunolab.results.run import Run
from immunolab.schema.across_tubes import ACQUISITIONS, DESIGN, DRIFT, IDENTITY, LANDMARKS, SAMPLE_FLOW, STAINING
from immunolab.schema.comparison import PAIRS
from immunolab.schema.endpoints import ENDPOINTS
from immunolab.schema.gating import COUNTS, FAILURES

_READ = (COUNTS, LANDMARKS, ENDPOINTS, FAILURES, PAIRS)


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
            yield from row_differences(table, written, again.get(table.name, table.empty()))
