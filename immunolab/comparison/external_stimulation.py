"""A user's table with a column of stimuli: every stimulated row less its unstimulated one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from immunolab.comparison.diagnostics import name_rows
from immunolab.comparison.external_rows import Columns, endpoint_rows
from immunolab.comparison.external_table import external_table
from immunolab.comparison.stimulation import NO_CONTROL, stimulation_table
from immunolab.errors import InputError, Problem, nearest
from immunolab.schema.endpoints import POINTS

_CULTURE = ["patient_id", "cohort", "visit", "endpoint"]  # what a stimulated tube has in common with its control
_NO_VISIT = "the only visit"  # column made for a table without one
_MOST_WORDS = 12  # listed in a message


def background_corrected(
    table: pd.DataFrame | Path | str,
    *,
    patient: str,
    stimulation: str,
    unstimulated: str = "unstimulated",
    visit: str = "",
    value: str = "",
    count: str = "",
    parent_count: str = "",
    endpoint: str = "",
    arm: str = "",
    between_tubes: float | None = None,
) -> pd.DataFrame:
    """Return the difference of each stimulated tube and its unstimulated control, with limits and a call.

    Parameters
    ----------
    table
        A DataFrame, a CSV or an XLSX, one row a tube.
    patient, visit, endpoint, arm
        Names of the columns that hold the patient, the visit, what a row measures, and the arm; all but the first
        may be left out.
    stimulation
        Name of the column that holds the stimulus.
    unstimulated
        Its word for the control; several controls of a patient and visit are replicates, and give the noise between
        tubes.
    value
        Column of percentages (0..100); there is then a difference and no call.
    count, parent_count
        Columns of events and of the parent's events, instead of ``value``.
    between_tubes
        CV between two tubes of one blood in one run, percent; used where replicates do not give it.

    Returns
    -------
    DataFrame
        Rows of `schema.comparison.STIMULATION`.

    Raises
    ------
    InputError
        Absent columns, cells that are no numbers, no unstimulated row, a stimulus twice: all at once.
    """
    cells = external_table(table)
    if not visit:
        cells.frame[_NO_VISIT] = "only one"
    values = (value,) if value else ()
    columns = Columns(patient, visit or _NO_VISIT, values, count, parent_count, endpoint, arm, stimulation=stimulation)
    rows, _ = endpoint_rows(cells, columns, ("", ""), "%")
    return subtracted(rows, unstimulated, between_tubes, cells.name)[1]


def subtracted(
    rows: pd.DataFrame, unstimulated: str, between_tubes: float | None, where: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return rows of differences in place of those of tubes, and rows of `STIMULATION`.

    Parameters
    ----------
    rows
        Endpoint rows with a column ``stimulation``; index, the row number in messages.
    unstimulated
        Word for the control.
    between_tubes
        CV between tubes, percent, or None.
    where
        Name of the table in messages.

    Raises
    ------
    InputError
        No control in the whole table, a stimulus twice, values that are not percent: all at once.
    """
    problems = list(_faults(rows, unstimulated, where))
    if problems:
        raise InputError(problems)
    is_control = (rows["stimulation"] == unstimulated).to_numpy()
    controls = dict(iter(rows[is_control].groupby(_CULTURE, sort=False)))
    stimulated = rows[~is_control].copy()
    made = pd.DataFrame([_row(row, controls) for row in stimulated.to_dict("records")], index=stimulated.index)
    if stimulated["stimulation"].nunique() > 1:
        stimulated["endpoint"] = made["endpoint"] = stimulated["endpoint"] + ", " + stimulated["stimulation"]
    replicates = {str(name): list(own.map(list)) for name, own in made.pop("tubes").groupby(made["endpoint"])}
    table = stimulation_table(made, replicates, None if between_tubes is None else between_tubes / 100.0)
    limits = {name: table[name] for name in ("count_low", "count_high")}
    counts = [name for name in ("n_events", "n_parent") if name in stimulated]
    found = stimulated.drop(columns=[*counts, "stimulation"]).assign(value=table["difference"], unit=POINTS, **limits)
    return found[found["value"].notna()], table.reset_index(drop=True)


def _faults(rows: pd.DataFrame, unstimulated: str, where: str) -> Iterator[Problem]:
    words = list(dict.fromkeys(rows["stimulation"]))
    if unstimulated not in words:
        hint = f"{nearest(unstimulated, words)} stimuli: {', '.join(words[:_MOST_WORDS])}".strip()
        yield Problem(where, "", f"no row has the stimulus '{unstimulated}'", hint)
    if not rows["unit"].isin(["%", "percent"]).all():
        units = ", ".join(sorted(set(rows["unit"]) - {"%", "percent"}))
        yield Problem(where, "", f"stimulated less unstimulated is of percentages, not of '{units}'", "give unit '%'")
    own = rows[rows["stimulation"] != unstimulated]
    again = own[own.duplicated([*_CULTURE, "stimulation"])]
    if len(again) and unstimulated in words:
        text = f"{len(again)} stimulated tube(s) are there already, with the same patient, visit and endpoint"
        yield Problem(where, name_rows(again.index), text, "keep one, or name visits and endpoints by a column")


def _row(row: dict[str, object], controls: dict[tuple[str, ...], pd.DataFrame]) -> dict[str, object]:
    own = controls.get(tuple(str(row[name]) for name in _CULTURE))
    made: dict[str, object] = {name: row[name] for name in (*_CULTURE, "stimulation")}
    made |= {"n_unstimulated": 0 if own is None else len(own), "reason": NO_CONTROL if own is None else None}
    for name in ("n_events", "n_parent"):
        made[name] = row.get(name, np.nan)
        known = own is not None and name in own
        made[f"{name}_unstimulated"] = own[name].sum(min_count=len(own)) if known and own is not None else np.nan
    made["stimulated"] = row["value"]
    made["unstimulated"] = np.nan if own is None else own["value"].mean()
    counted = own is not None and "n_events" in own
    made["tubes"] = tuple(zip(own["n_events"], own["n_parent"], strict=True)) if counted and own is not None else ()
    return made
