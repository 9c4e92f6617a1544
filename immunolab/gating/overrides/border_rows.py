"""The records of a tube's borders where a reader placed some: the reader's, and beside each the automatic one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from immunolab.gating.borders import GateBorder, gate_borders, number, on_axis
from immunolab.gating.changes.regate import BorderRecords
from immunolab.gating.gates import Population
from immunolab.gating.overrides.shown import shown_gate
from immunolab.gating.tube_gates import OverrideUse, Threshold
from immunolab.schema.flags import Flag, split
from immunolab.schema.overrides import REASONS

_METHOD, _CONTROL = "override", "reader"


def border_rows(
    rows: Sequence[Threshold],
    populations: Sequence[Population],
    before: Mapping[str, Population],
    records: BorderRecords,
    uses: Sequence[OverrideUse],
) -> tuple[Threshold, ...]:
    """Return the records of all borders, those of a reader's gates in place of the automatic ones.

    Parameters
    ----------
    rows
        The records without overrides.
    populations
        With the readers' gates, flagged.
    before
        The populations without, by path.
    records
        Of `rows`.
    uses
        Who placed which gate, and why; of one gate the last counts.
    """
    placed = {use.path: use for use in uses if use.status == "applied"}
    result = list(rows)
    for population in populations:
        if Flag.OVERRIDDEN not in split(population.flag):
            continue
        first = before[population.path]
        mine = records.before(first)
        at = next((i for i, row in enumerate(result) if row in mine), len(result))
        result = [row for row in result if row not in mine]
        result[at:at] = _rows(population, first, mine, records, placed[population.path])
    return tuple(result)


def _rows(
    population: Population, first: Population, mine: Sequence[Threshold], records: BorderRecords, use: OverrideUse
) -> Iterator[Threshold]:
    """Yield the records of a reader's gate: borders that stayed as they were, those that moved, those that are gone."""
    old = {(one.dimension.name, one.side): one for one in gate_borders(first)}
    left = list(mine)
    why = f"placed by {use.reader}: {REASONS[use.reason]}"  # type: ignore[index]
    for border, row in zip(gate_borders(population), records.of(population, first), strict=True):
        was = old.get((border.dimension.name, border.side)) or _only(old.values(), border)
        own = _record_of(was, left)
        if own is not None:
            left.remove(own)
        if row == own:
            yield row
            continue
        yield _by_reader(row, own, was, f"{why}; instead of {_automatic(own, was)}")
    for gone in left:
        lost = replace(gone, threshold=None, threshold_raw=None, ci_low=None, ci_high=None)
        text = f"{why}; no border any more: {shown_gate(population.gate)}"
        row = replace(lost, automatic=gone.threshold, automatic_raw=gone.threshold_raw, reason=text)
        yield replace(row, method=_METHOD, control=_CONTROL, scope="sample", flag=Flag.OVERRIDDEN.value)


def _by_reader(row: Threshold, own: Threshold | None, was: GateBorder | None, reason: str) -> Threshold:
    raw = was.value if was is not None and math.isfinite(was.value) else (own.threshold_raw if own else None)
    shown = on_axis(was.dimension, raw) if was is not None and raw is not None else (own.threshold if own else None)
    row = replace(row, automatic=shown, automatic_raw=raw, reason=reason)
    return replace(row, method=_METHOD, control=_CONTROL, scope="sample", flag=Flag.OVERRIDDEN.value)


def _automatic(own: Threshold | None, was: GateBorder | None) -> str:
    if was is None and own is None:
        return "no border there"
    raw = own.threshold_raw if own is not None else was.value if was is not None else None
    how = "" if own is None else " as drawn" if own.method == "drawn" else f" by {own.method}"
    return f"{number(math.nan if raw is None else raw)}{how}"


def _only(borders: Iterable[GateBorder], border: GateBorder) -> GateBorder | None:
    """Return the one automatic border on a channel where none was found on its side: it has no side."""
    same = [one for one in borders if one.dimension.name == border.dimension.name]
    return same[0] if len(same) == 1 and math.isnan(same[0].value) else None


def _record_of(border: GateBorder | None, rows: Sequence[Threshold]) -> Threshold | None:
    """Return the record of an automatic border, by where it is; of one that was not found, the record that says so."""
    if border is None:
        return None
    value = border.value
    if math.isnan(value):
        names = (border.dimension.name,)
        return next(
            (row for row in rows if row.threshold is None and (row.channel in names or row.marker in names)), None
        )
    close = 1e-6 * max(1.0, abs(value))
    return next((r for r in rows if r.threshold_raw is not None and abs(r.threshold_raw - value) <= close), None)
