"""One patient's rows of the tables of a run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from html import escape

import pandas as pd

_SHOWN_OF_PAIRS = [
    *("endpoint", "unit", "visit_before", "visit_after", "before", "after", "fold", "fold_is", "ratio", "verdict")
]


@dataclass(frozen=True)
class PatientRows:
    """One patient's rows of a run's tables.

    Attributes
    ----------
    patient_id, cohort
        As in the sample sheet.
    tables
        By name, those with a row of the patient or of the patient's samples.
    """

    patient_id: str
    cohort: str
    tables: Mapping[str, pd.DataFrame]

    def __getitem__(self, name: str) -> pd.DataFrame:
        """Return a table's rows of the patient."""
        return self.tables[name]

    def __repr__(self) -> str:
        return f"{self.patient_id}: " + ", ".join(f"{name} {len(rows)}" for name, rows in self.tables.items())

    def _repr_html_(self) -> str:
        """Show how each endpoint moved; ``patient["pairs"]`` has every column."""
        shown = self.tables.get("pairs", pd.DataFrame(columns=_SHOWN_OF_PAIRS))[_SHOWN_OF_PAIRS]
        table = shown.to_html(index=False, border=0, na_rep="", float_format="{:.3g}".format)
        return f"<p>{escape(repr(self))}</p>{table}"


def patient_rows(
    tables: Mapping[str, pd.DataFrame], patient_id: str, cohort: str, samples: Collection[str]
) -> PatientRows:
    """Return a patient's rows of every table that names patients or samples.

    Parameters
    ----------
    tables
        Tables of a run by name.
    patient_id, cohort
        As in the sample sheet.
    samples
        The patient's samples, for tables that name no patient.

    Returns
    -------
    PatientRows
        Without tables that have no row of the patient.
    """
    found: dict[str, pd.DataFrame] = {}
    for name, table in tables.items():
        own = table[:0]
        if "patient_id" in table:
            own = table[table["patient_id"] == patient_id]
        elif "sample_id" in table:
            own = table[table["sample_id"].isin(list(samples))]
        if len(own):
            found[name] = own.reset_index(drop=True)
    return PatientRows(patient_id, cohort, found)
