"""A data set as trials exchange it: CSV, SAS transport version 5, and what each variable means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from immunolab.schema.csv_files import write_plain_table
from immunolab.schema.files import write_atomically

_WIDEST = 200  # bytes of a text in SAS transport files, version 5


@dataclass(frozen=True)
class TrialVariable:
    """A variable of a data set: at most 8 characters, label of at most 40, and where its values come from."""

    name: str
    label: str
    origin: str


@dataclass(frozen=True)
class TrialDataSet:
    """Rows, and the variables they have, in order."""

    name: str
    label: str
    variables: Sequence[TrialVariable]
    rows: pd.DataFrame

    @property
    def table(self) -> pd.DataFrame:
        """The rows with the declared variables alone."""
        return self.rows[[variable.name for variable in self.variables]]


def write_data_sets(data_sets: Sequence[TrialDataSet], folder: Path, further: Mapping[str, pd.DataFrame]) -> list[Path]:
    """Write each data set as CSV, and as XPT where pyreadstat is installed; ``define.csv`` names every variable.

    Parameters
    ----------
    data_sets
        What is written.
    folder
        Where to.
    further
        Tables beside them, by name.
    """
    written = []
    for one in data_sets:
        written.append(write_plain_table(one.table, folder / f"{one.name.lower()}.csv"))
        if find_spec("pyreadstat"):
            written.append(_xpt(one, folder / f"{one.name.lower()}.xpt"))
    rows = [
        {
            "dataset": one.name,
            "variable": variable.name,
            "label": variable.label,
            "type": "Num" if pd.api.types.is_numeric_dtype(one.rows[variable.name]) else "Char",
            "origin": variable.origin,
        }
        for one in data_sets
        for variable in one.variables
    ]
    written.append(write_plain_table(pd.DataFrame(rows), folder / "define.csv"))
    return written + [write_plain_table(table, folder / f"{name}.csv") for name, table in further.items()]


def _xpt(one: TrialDataSet, path: Path) -> Path:
    import pyreadstat

    table = one.table.copy()
    for name in table:
        if pd.api.types.is_numeric_dtype(table[name]):
            table[name] = table[name].astype("float64")
        else:
            table[name] = table[name].astype(object).fillna("").astype(str).map(_cut)
    labels: dict[str, str | None] = {variable.name: variable.label for variable in one.variables}

    def write(part: Path) -> None:
        pyreadstat.write_xport(
            table,
            str(part),
            file_label=one.label[:40],
            column_labels=labels,
            table_name=one.name,
            file_format_version=5,
        )

    write_atomically(path, write)
    return path


def _cut(text: str) -> str:
    return text.encode("utf-8")[:_WIDEST].decode("utf-8", "ignore")
