"""What a report is made of: the study, its tables, and what was done to get them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import pandas as pd

from immunolab.comparison.diagnostics import Finding
from immunolab.comparison.plan import Plan
from immunolab.gating.strategy import Strategy
from immunolab.plots.calendar import Calendar, calendar
from immunolab.plots.labels import EndpointLabel, labels
from immunolab.schema.tables import ALL
from immunolab.study.endpoints import Endpoint, Period
from immunolab.study.sheet import Sample, Study

Role = Literal["primary", "secondary", "exploratory"]


@dataclass(frozen=True)
class Compared:
    """One comparison that was made: its plan, the endpoints it was made of, and the set it is adjusted in."""

    plan: Plan
    endpoints: tuple[str, ...]
    family: str = ""


@dataclass(frozen=True)
class RunTables:
    """A finished run.

    Attributes
    ----------
    study : the study as read; its trial gives calendar, windows and registered endpoints.
    tables : by name, as in `immunolab.schema.tables.ALL`, and ``responders``, ``scores`` where there are scores; an
        absent one counts as empty; ``method_pairs`` and ``method_agreement`` where flow and single cells measured
        the same visits.
    endpoints : what the study compares, one denominator each.
    compared : what was compared with what, one for each contrast.
    findings : weaknesses the comparison named.
    notes : further remarks in words (a contrast that could not be made ...).
    strategies : gating strategy by panel name, as declared or imported.
    inputs : name of each input file (relative to the study) to its sha256.
    seed : of every random draw.
    miflowcyt : what the study says for MIFlowCyt items, by item.
    """

    study: Study
    tables: Mapping[str, pd.DataFrame]
    endpoints: tuple[Endpoint, ...] = ()
    compared: tuple[Compared, ...] = ()
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    strategies: Mapping[str, Strategy] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    miflowcyt: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> pd.DataFrame:
        """Return a table by name; empty with its declared columns when the run has none."""
        return self.tables[name] if name in self.tables else ALL[name].empty()

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The sheet's samples without control tubes."""
        return tuple(sample for sample in self.study.samples if not sample.control_of)

    @property
    def cohorts(self) -> tuple[str, ...]:
        """Cohort names in the order of the sheet; one empty name when the sheet has none."""
        return tuple(dict.fromkeys(sample.cohort for sample in self.samples)) or ("",)

    @cached_property
    def labels(self) -> dict[str, EndpointLabel]:
        """How each endpoint is written, by endpoint id."""
        return labels(self["endpoints"])

    @property
    def calendar(self) -> Calendar:
        """The trial's calendar with the doses really given; empty without a trial."""
        if self.study.trial is None:
            return Calendar()
        return calendar(self.study.trial, {name: doses.days for name, doses in self.study.doses.items()})

    def shifts_of(self, cohort: str, roles: Iterable[Role] = ("primary", "secondary", "exploratory")) -> pd.DataFrame:
        """Return the shifts of a cohort whose endpoints have one of the roles."""
        shifts = self["shifts"]
        return shifts[in_cohort(shifts, cohort) & shifts["role"].isin(list(roles))]

    @cached_property
    def declared(self) -> dict[str, Endpoint]:
        """What the study compares, by endpoint id."""
        return {endpoint.id: endpoint for endpoint in self.endpoints}

    def slopes_of(self, endpoint: str) -> tuple[Period, Period] | None:
        """Return the two periods of a slope: it belongs to them, not to the visit that ends one; None for others."""
        declared = self.declared.get(endpoint)
        return declared.slopes if declared else None

    def patients_in(self, table: pd.DataFrame, cohort: str) -> pd.Series:
        """Return which rows of a table without cohorts are a cohort's; a patient the sheet lacks has no cohort."""
        known = {sample.patient_id: sample.cohort for sample in self.samples}
        return table["patient_id"].map(lambda patient: known.get(patient, "") == cohort).astype(bool)

    def label_of(self, endpoint: str) -> EndpointLabel:
        """Return an endpoint's label; its bare id when no sample has a value for it."""
        return self.labels.get(endpoint) or EndpointLabel(endpoint, endpoint, "", "", "")


def in_cohort(table: pd.DataFrame, cohort: str) -> pd.Series:
    """Return which rows belong to a cohort; an empty cell is the cohort without a name."""
    return table["cohort"].fillna("") == cohort
