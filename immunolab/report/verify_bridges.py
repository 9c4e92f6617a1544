"""The tables of bridging controls computed again from what they are made of."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from immunolab.comparison.bridge_charts import chart_rows, cv_rows
from immunolab.comparison.bridged import bridged_tables
from immunolab.errors import Problem
from immunolab.gating.gate_source import Gates
from immunolab.report.table_diff import differences, file_in, read_written
from immunolab.results.run import Run
from immunolab.schema.bridges import BRIDGE_CV, BRIDGE_PAIRS, BRIDGE_SHIFTS, BRIDGES
from immunolab.schema.comparison import PAIRS, SHIFTS
from immunolab.schema.endpoints import ENDPOINTS
from immunolab.schema.gating import OTHER_GATINGS
from immunolab.schema.table import Table

_LIMITS = ("centre", "low_2s", "high_2s", "low_3s", "high_3s", "deviation")
_CVS = ("n_materials", "n_runs", "df", "mean", "cv_percent", "cv_low", "cv_high", "assay_cv_percent")
_FOLDS = ("fold", "fold_same_pairs", "fold_bridged", "ci_low_bridged", "ci_high_bridged")
_SHIFTS = ("n", "n_followed", "n_refused", *_FOLDS, "move_se", "unseen")
_PAIR_NUMBERS = ("before", "after", "before_bridged", "after_bridged", "move_se")


def replicates_of(run: Run) -> pd.DataFrame | None:
    """Return the bridging controls whose rows are not among the patients', as a comparison takes them; None without."""
    bridges = run.table("bridges")
    if bridges.empty:
        return None
    own = bridges[~bridges["sample_id"].isin(run.endpoints["sample_id"])]
    return own.assign(patient_id=own["bridge"]) if len(own) else None


def per_ul_by_beads(run: Run) -> dict[str, float]:
    """Return what all events of each tube with beads would make, cells per microlitre, from the beads as written."""
    beads = run.table("beads")
    found = {}
    for row in beads.to_dict("records") if len(beads) else ():
        if pd.notna(row["per_ul_per_event"]):
            each = row["beads_per_tube"] / (row["n_beads"] * row["volume_ul"])
            found[str(row["sample_id"])] = float(each * row["n_events"])
    return found


def bridge_differences(run: Run) -> Iterator[Problem]:
    """Yield every number of the bridging controls' tables that does not come out again."""
    if not file_in(run, BRIDGES).exists():
        return
    stored = read_written(run, BRIDGES)
    if isinstance(stored, tuple):
        yield from stored
        return
    order = dict(zip(stored["batch"].astype(str), stored["run"], strict=True))
    yield from differences(BRIDGES, stored, chart_rows(stored, order), BRIDGES.key, _LIMITS, ("status",))
    yield from _compared(run, BRIDGE_CV, cv_rows(stored), _CVS)
    if file_in(run, BRIDGE_SHIFTS).exists():
        yield from _followed(run)


def _compared(
    run: Run, table: Table, again: pd.DataFrame, numbers: tuple[str, ...], words: tuple[str, ...] = ()
) -> Iterator[Problem]:
    stored = read_written(run, table)
    if isinstance(stored, tuple):
        yield from stored
    else:
        yield from differences(table, stored, again, table.key, numbers, words)


def _followed(run: Run) -> Iterator[Problem]:
    """Yield what differs in the comparison with borders that follow the bridge."""
    read = {table.name: read_written(run, table) for table in (ENDPOINTS, PAIRS, SHIFTS, BRIDGE_PAIRS)}
    known = {name: table for name, table in read.items() if isinstance(table, pd.DataFrame)}
    if len(known) < len(read):
        return  # what cannot be read is said where it is compared itself
    rows, pairs = known["endpoints"], known["bridge_pairs"]
    lost = pairs[(pairs["outcome"] == "refused") & pairs["sample_refused"].notna()]
    refused = dict(zip(lost["sample_refused"].astype(str), lost["reason"].astype(str), strict=True))
    paths = [run.folder / "samples" / name / "other_gatings.csv" for name in dict.fromkeys(rows["sample_id"])]
    counted = OTHER_GATINGS.read(*(path for path in paths if path.exists()))
    shares = {e.share: e.id for e in run.study.endpoints if e.share}
    by_events = {name for name, gates in panel_gates(run).items() if gates.needs_fit}
    placed = [s.sample_id for s in run.study.samples if s.panel in by_events]
    again = bridged_tables(rows, counted, shares, run.compared, refused, known["pairs"], known["shifts"], placed)
    yield from _compared(run, BRIDGE_SHIFTS, again["bridge_shifts"], _SHIFTS, ("design",))
    yield from _compared(run, BRIDGE_PAIRS, again["bridge_pairs"], _PAIR_NUMBERS, ("verdict_bridged", "outcome"))


def panel_gates(run: Run) -> dict[str, Gates]:
    """Return the gates of each panel, as far as it is known from a run whether events place them.

    Parameters
    ----------
    run
        The finished run.
    """
    follow = {name: panel.follow for name, panel in run.study.panels.items()}
    names = dict.fromkeys(s.panel for s in run.study.samples if s.modality != "single_cell")
    return {name: Gates(run.strategies.get(name), follow=follow.get(name, False)) for name in names}
