"""Bridging controls and counting beads in the sample sheet: what their columns hold, and what is wrong with them.

A bridging control is one material (a donor's cells, frozen in aliquots) stained and acquired in every batch. Its row
names the material and the batch; it is a tube and no patient. Beads are declared by how many a tube holds and how
much blood was stained with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from immunolab.errors import Problem
from immunolab.study.sample import Sample

if TYPE_CHECKING:
    from immunolab.study.spreadsheet import Row, TextTable

# least and greatest value of a column, and what it is: a tube of beads holds some 50,000 (TruCount), a drop of a bead
# suspension 1,000 at least; a cytometer's tube holds 5 mL; a lot's error beyond 50 % is no statement (judgement)
BEAD_COLUMNS = {
    "beads_per_tube": (100.0, 10_000_000.0, "beads in the tube"),
    "volume_ul": (1.0, 5_000.0, "microlitres of blood stained in the tube"),
    "bead_cv_percent": (0.0, 50.0, "stated error of the lot's bead count, percent"),
}


def bead_number(table: TextTable, row: Row, column: str) -> tuple[float | None, Problem | None]:
    """Return the number of one of the columns of beads; None where the cell is empty or wrong.

    Parameters
    ----------
    table, row
        The sheet and one of its rows.
    column
        One of `BEAD_COLUMNS`.
    """
    text = row[column]
    if not text:
        return None, None
    low, high, what = BEAD_COLUMNS[column]
    value = table.number(text)
    if value is None:
        return None, table.problem(row, column, f"'{text}' is not a number", what)
    if not low <= value <= high:
        return None, table.problem(row, column, f"{text} is not {what} ({low:g} to {high:g})", what)
    return value, None


def bridge_cells(table: TextTable, row: Row) -> Iterator[Problem]:
    """Yield what is wrong with the cells of a bridging control's row.

    Parameters
    ----------
    table, row
        The sheet and one of its rows that names a bridge.
    """
    material = row["bridge"]
    if not row["batch"]:
        hint = "name the batch that it was stained and acquired with"
        yield table.problem(
            row, "batch", f"the cell is empty, but '{material}' is the bridging control of a batch", hint
        )
    if row["control_of"] not in ("", row["batch"]):
        text = f"a bridging control is that of its batch, '{row['batch']}', and of nothing else"
        yield table.problem(row, "control_of", text, "leave the cell empty")
    if row["patient_id"] not in ("", material):
        text = f"'{row['patient_id']}' is another name than that of the bridge, '{material}'"
        yield table.problem(row, "patient_id", text, "leave the cell empty: a bridging control is no patient")
    for column in ("visit", "marker", "stimulation", "cohort"):
        if row[column]:
            yield table.problem(row, column, f"a bridging control has no {column}", "leave the cell empty")


def bridge_problems(table: TextTable, samples: Sequence[Sample]) -> Iterator[Problem]:
    """Yield what is wrong between bridging controls and the other rows.

    Parameters
    ----------
    table, samples
        The sheet as text and as read.
    """
    rows = {row.number: row for row in table.rows}
    patients = {s.patient_id for s in samples if s.patient_id and not s.control_of}
    for sample in samples:
        if sample.bridge and sample.bridge in patients:
            text = (
                f"'{sample.bridge}' is a patient of other rows: a bridging control and a patient need different names"
            )
            yield table.problem(
                rows[sample.row], "bridge", text, "name the material, as HD07; or fill the column in all rows"
            )
        if sample.aliquot and not sample.bridge:
            yield table.problem(
                rows[sample.row], "aliquot", "an aliquot is of a bridging control", "fill the column bridge"
            )
        if sample.beads_per_tube is not None and sample.volume_ul is None:
            text = "the cell is empty, but beads_per_tube is not"
            yield table.problem(rows[sample.row], "volume_ul", text, "give the microlitres of blood that were stained")


def bridge_notes(samples: Sequence[Sample]) -> Iterator[str]:
    """Yield what a study with bridging controls lacks, in words; nothing without any.

    Parameters
    ----------
    samples
        As read; all of them.
    """
    bridges = [s for s in samples if s.bridge]
    if not bridges:
        return
    for panel in dict.fromkeys(s.panel for s in samples):
        of = f" of panel {panel}" if panel else ""
        batches = dict.fromkeys(s.batch for s in samples if s.panel == panel and not s.control_of and s.batch)
        held = {s.batch for s in bridges if s.panel == panel}
        without = [name for name in batches if name not in held]
        if without and held:
            yield f"no bridging control{of} in batch {', '.join(without)}: nothing can be bridged there"
        if lone := sorted(held - set(batches)):
            yield f"a bridging control{of} in batch {', '.join(lone)}, which no patient's tube is of"
    for (material, batch, panel), n in Counter((s.bridge, s.batch, s.panel) for s in bridges).items():
        if n > 1:
            last = max(s.sample_id for s in bridges if (s.bridge, s.batch, s.panel) == (material, batch, panel))
            text = f"all are charted; where borders follow, they follow {last}"
            yield f"bridging control {material} has {n} tubes in batch {batch}: {text}"
    for material in dict.fromkeys(s.bridge for s in bridges):
        runs = {s.batch for s in bridges if s.bridge == material}
        if len(runs) == 1:
            yield f"bridging control {material} is in batch {min(runs)} only: there is nothing to bridge with it"
