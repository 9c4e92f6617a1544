"""The table of stimulated tubes computed again: its counts from counts.csv, the rest from its counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from immunolab.comparison.stimulation import stimulation_table
from immunolab.errors import Problem
from immunolab.report.table_diff import differences, differs, file_in, read_written
from immunolab.results.run import Run
from immunolab.schema.endpoints import ENDPOINTS
from immunolab.schema.gating import COUNTS
from immunolab.schema.stimulation import STIMULATION
from immunolab.study.endpoints import StimulatedMinusUnstimulated

_KEYS = ("endpoint", "sample_id")
_NUMBERS = (
    *("stimulated", "unstimulated", "difference", "ci_low", "ci_high", "count_low", "count_high", "p_value"),
    *("tube_cv", "tube_df"),
)


def stimulation_differences(run: Run) -> Iterator[Problem]:
    """Yield every number of stimulation.csv that does not follow from counts, and endpoint values that are not its own.

    Where the parent is not above the population in the tree of gates, the events of both are in no table: then what
    follows from the counts as written is checked.
    """
    if not file_in(run, STIMULATION).exists():
        if len(run.table(STIMULATION.name)):
            yield Problem(f"tables/{STIMULATION.name}.csv", "", "output is missing", "run the study again")
        return
    read = {table.name: read_written(run, table) for table in (STIMULATION, COUNTS, ENDPOINTS)}
    for found in read.values():
        if isinstance(found, tuple):
            yield from found
    known = {name: found for name, found in read.items() if isinstance(found, pd.DataFrame)}
    if len(known) < len(read):
        return
    stored = known["stimulation"]
    yield from _counts(stored, known["counts"], run)
    again = stimulation_table(stored, _replicates(known["counts"], stored, run), _declared(run))
    yield from differences(STIMULATION, stored, again, _KEYS, _NUMBERS, ("call",))
    values = stored.assign(value=stored["difference"])[[*_KEYS, "value"]]
    own = known["endpoints"]["endpoint"].isin(stored["endpoint"])
    yield from differences(ENDPOINTS, known["endpoints"][own], values, _KEYS, ("value",), ())


def _declared(run: Run) -> float | None:
    percent = run.study.comparison.between_tubes
    return None if percent is None else percent / 100.0


def _in_tree(counts: pd.DataFrame) -> dict[tuple[str, str], tuple[int, str]]:
    single = counts[~counts.duplicated(["sample_id", "population"], keep=False)]
    columns = (single[name] for name in ("sample_id", "population", "n_events", "path"))
    return {(sample, name): (int(n), path) for sample, name, n, path in zip(*columns, strict=True)}


def _shares(run: Run) -> dict[str, tuple[str, str]]:
    """Return population and parent of each endpoint of stimulated tubes."""
    declared = (e for e in run.declared.values() if isinstance(e, StimulatedMinusUnstimulated))
    return {e.id: (e.population, e.parent) for e in declared}


def _tube(
    known: Mapping[tuple[str, str], tuple[int, str]], sample: str, share: tuple[str, str]
) -> tuple[int, int] | None:
    """Return a tube's events of a population and of its parent, where the counts table alone says them."""
    top, parent = known.get((sample, share[0])), known.get((sample, share[1]))
    inside = top and parent and top[1].startswith(parent[1].rstrip("/") + "/")
    return (top[0], parent[0]) if inside and top and parent else None


def _counts(stored: pd.DataFrame, counts: pd.DataFrame, run: Run) -> Iterator[Problem]:
    known, shares = _in_tree(counts), _shares(run)
    for row in stored.to_dict("records"):
        share = shares.get(str(row["endpoint"]))
        tubes = [[str(row["sample_id"])], _controls(row)]
        found = [[_tube(known, sample, share) for sample in one] for one in tubes] if share else []
        for end, side in zip(("", "_unstimulated"), found, strict=False):
            if not side or None in side:
                continue
            for column, wanted in zip(("n_events", "n_parent"), map(sum, zip(*side, strict=True)), strict=True):  # type: ignore[arg-type]
                if row[column + end] != wanted:
                    place = f"{row['endpoint']}, {row['sample_id']}"
                    yield differs(STIMULATION, place, column + end, row[column + end], wanted)


def _controls(row: Mapping[Any, Any]) -> list[str]:
    written = row["unstimulated_samples"]
    return [] if pd.isna(written) else str(written).split(";")


def _replicates(counts: pd.DataFrame, stored: pd.DataFrame, run: Run) -> dict[str, list[list[tuple[float, float]]]]:
    """Return the control tubes of each patient and visit by endpoint, as the counts table has them."""
    known, shares = _in_tree(counts), _shares(run)
    found: dict[str, list[list[tuple[float, float]]]] = {}
    for name, rows in stored.groupby("endpoint", sort=False):
        sets = dict.fromkeys(tuple(_controls(row)) for row in rows.to_dict("records") if pd.isna(row["reason"]))
        tubes = [[_tube(known, sample, shares[str(name)]) for sample in one] for one in sets]
        found[str(name)] = [[(float(t[0]), float(t[1])) for t in one if t] for one in tubes]
    return found
