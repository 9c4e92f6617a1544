"""A finished run as a value: its study, its tables, what was compared and how, and where its files are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pandas as pd

from immunolab.analysis_plan.seen import LogSeen, PlanSeen
from immunolab.comparison.diagnostics import Finding
from immunolab.comparison.plan import ROLES, Compared, Role
from immunolab.errors import InputError, Problem, meant_or_known
from immunolab.gating.strategy import Strategy
from immunolab.plots.calendar import Calendar, calendar
from immunolab.plots.labels import EndpointLabel, labels
from immunolab.results.cohort_rows import in_cohort
from immunolab.results.patient_rows import PatientRows, patient_rows
from immunolab.results.run_tables import RunTables
from immunolab.schema.contrast import Contrast
from immunolab.schema.records import to_plain
from immunolab.study.endpoints import Endpoint, Period
from immunolab.study.sheet import Sample, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from immunolab.gating.tubes import GatedTube

REPORT = "report.html"


@dataclass(frozen=True)
class Wording:
    """How a run is written at the prompt and in a notebook."""

    text: Callable[[Run], str]
    html: Callable[[Run], str]


@dataclass(frozen=True, eq=False, repr=False)
class Run(RunTables):
    """A finished run.

    Two runs are equal when their records (everything but ``folder``, ``computed`` and ``kept``) and all their
    tables are.

    Attributes
    ----------
    study
        The study as it was read. Its endpoints are those of this run, one denominator each; dates, and columns of the
        sheet that no result depends on, are left out.
    folder
        Where the run's files are.
    tables
        By name; see `immunolab.schema.tables`.
    compared
        What was compared with what, one for each contrast and family.
    findings
        Weaknesses that the comparison found.
    notes
        Further remarks in words, such as a contrast that could not be made.
    lacking
        Population that an endpoint needs and no tube has -> the markers that the panel lacks for it, in words.
    said_with_endpoints
        Those of the notes that each registered endpoint's finding says of itself.
    plan
        The study's locked analysis plan; None where none was locked.
    log_seen
        Where the study's log of reviews and plans ended when the run began; None without a log.
    strategies
        Declared gating strategy by panel name.
    inputs
        Sha256 of each input file by its path relative to the study's folder.
    seed
        Seed of every random draw.
    versions
        Versions of Python and of the libraries.
    computed, kept
        Samples that were computed, and those kept from an earlier run; empty for a run that was read back.
    """

    study: Study
    folder: Path
    tables: Mapping[str, pd.DataFrame]
    compared: tuple[Compared, ...] = ()
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    strategies: Mapping[str, Strategy] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    computed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    lacking: Mapping[str, str] = field(default_factory=dict)
    said_with_endpoints: tuple[str, ...] = ()
    plan: PlanSeen | None = None
    log_seen: LogSeen | None = None

    wording: ClassVar[Wording | None] = None  # set by results.record, as findings are made of runs
    __hash__ = None  # type: ignore[assignment]  # tables can change

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Run):
            return NotImplemented
        same = self.record() == other.record() and self.tables.keys() == other.tables.keys()
        return same and all(table.equals(other.tables[name]) for name, table in self.tables.items())

    def record(self) -> str:
        """Return everything but the tables as JSON text; paths are relative to the run's folder.

        Returns
        -------
        str
            JSON, indented; the same run gives the same text.
        """
        noted = ("notes", "lacking", "said_with_endpoints")
        names = (
            "study",
            "compared",
            "findings",
            *noted,
            "strategies",
            "inputs",
            "seed",
            "versions",
            "plan",
            "log_seen",
        )
        return json.dumps(
            {name: to_plain(getattr(self, name), folder=self.folder) for name in names}, indent=1, ensure_ascii=False
        )

    @property
    def further_notes(self) -> tuple[str, ...]:
        """The notes that no finding says of its endpoint."""
        return tuple(note for note in self.notes if note not in self.said_with_endpoints)

    @property
    def report(self) -> Path | None:
        """The report's page, or None where none was written."""
        page = self.folder / REPORT
        return page if page.exists() else None

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The sheet's samples without control tubes and bridging controls."""
        return self.study.of_patients

    @property
    def sampled_visits(self) -> tuple[str, ...]:
        """Visits that have a sample, in calendar order as far as trial or study days tell it (a run keeps no dates)."""
        return self.study.sampled_visits

    @property
    def cohorts(self) -> tuple[str, ...]:
        """Cohort names in the order of the sheet; one empty name when the sheet has none."""
        return tuple(dict.fromkeys(sample.cohort for sample in self.samples)) or ("",)

    @cached_property
    def labels(self) -> dict[str, EndpointLabel]:
        """How each endpoint is written, by endpoint id."""
        return labels(self.endpoints)

    @property
    def calendar(self) -> Calendar:
        """The trial's calendar with the doses really given; empty without a trial."""
        if self.study.trial is None:
            return Calendar()
        return calendar(self.study.trial, {name: doses.days for name, doses in self.study.doses.items()})

    def label_of(self, endpoint: str) -> EndpointLabel:
        """Return an endpoint's label; its bare id when no sample has a value for it.

        Parameters
        ----------
        endpoint
            Endpoint id.

        Returns
        -------
        EndpointLabel
            Population, parent, unit and colour as figures and texts write them.
        """
        return self.labels.get(endpoint) or EndpointLabel(endpoint, endpoint, "", "", "")

    def shifts_of(self, cohort: str, roles: Iterable[Role] = ROLES) -> pd.DataFrame:
        """Return the shifts of a cohort whose endpoints have one of the roles.

        Parameters
        ----------
        cohort
            Its name; "" where the sheet has no cohorts.
        roles
            Of the endpoints that are wanted; all by default.

        Returns
        -------
        DataFrame
            Rows of SHIFTS.
        """
        return self.shifts[in_cohort(self.shifts, cohort) & self.shifts["role"].isin(list(roles))]

    @cached_property
    def declared(self) -> dict[str, Endpoint]:
        """What the study compares, by endpoint id."""
        return {endpoint.id: endpoint for endpoint in self.study.endpoints}

    def contrast_of(self, endpoint: str) -> Contrast:
        """Return what an endpoint was compared between: the periods of a slope, else the sides of its comparison.

        Parameters
        ----------
        endpoint
            Id of an endpoint that was compared.

        Returns
        -------
        Contrast
            Its two sides.
        """
        if slopes := self.slopes_of(endpoint):
            return Contrast(*map(str, slopes))
        return next(one.plan.contrast for one in self.compared if endpoint in one.endpoints)

    def slopes_of(self, endpoint: str) -> tuple[Period, Period] | None:
        """Return the two periods of a slope: it belongs to them, not to the visit that ends one; None for others.

        Parameters
        ----------
        endpoint
            Endpoint id.

        Returns
        -------
        tuple of Period, or None
            Before and after.
        """
        declared = self.declared.get(endpoint)
        return declared.slopes if declared else None

    def patients_in(self, table: pd.DataFrame, cohort: str) -> pd.Series:
        """Return which rows of a table without cohorts are a cohort's; a patient the sheet lacks has no cohort.

        Parameters
        ----------
        table
            With a column ``patient_id``.
        cohort
            Its name; "" where the sheet has no cohorts.

        Returns
        -------
        Series of bool
            One value a row, on the table's index.
        """
        known = self.study.cohorts_of(map(str, table["patient_id"].unique()))
        return table["patient_id"].map(lambda patient: known[str(patient)] == cohort).astype(bool)

    def patient(self, patient_id: str) -> PatientRows:
        """Return a patient's rows of every table that names patients or samples.

        Parameters
        ----------
        patient_id
            As in the sample sheet.

        Returns
        -------
        PatientRows
            By table; without tables that have no row of the patient.

        Raises
        ------
        InputError
            The run has no such patient.
        """
        known = self.study.cohorts_of(
            [s.patient_id for s in self.samples] + [str(p) for p in self.endpoints["patient_id"]]
        )
        if patient_id not in known:
            raise InputError(
                Problem("", "patient", f"unknown patient '{patient_id}'", meant_or_known(patient_id, known))
            )
        samples = [s.sample_id for s in self.samples if s.patient_id == patient_id]
        return patient_rows(self.tables, patient_id, known[patient_id], samples)

    def tube(self, sample_id: str) -> GatedTube:
        """Return a sample's tube, read when asked for and gated with the gates of the run.

        Parameters
        ----------
        sample_id
            As in the sample sheet.

        Returns
        -------
        GatedTube
            Its counts are those of the run.

        Raises
        ------
        InputError
            The run has no such sample, or no gates for it.
        DataFileError
            The sample's file is not there, or is another than the one that the run read.
        """
        from immunolab.results.tube import read_tube

        return read_tube(self.study, sample_id, folder=self.folder, inputs=self.inputs)

    def figure(self, endpoint: str, *, small: bool = False) -> Figure:
        """Return the figure of an endpoint, one panel a cohort: pairs, slopes, responders, event or survival.

        An endpoint that is not compared has its course over the visits.

        Parameters
        ----------
        endpoint
            Endpoint id.
        small
            As on the report's first screen (3.2 x 2 in a cohort); else as a figure of a page.

        Returns
        -------
        Figure
            As the report draws it.

        Raises
        ------
        InputError
            The run has no value of such an endpoint.
        """
        from immunolab.results.endpoint_figure import endpoint_figure

        cohorts = [cohort for cohort in self.cohorts if self.shows(endpoint, cohort)]
        if not cohorts:
            known = {*map(str, self.endpoints["endpoint"]), *map(str, self.table("time_to_event")["endpoint"])}
            hint = meant_or_known(endpoint, sorted(known))
            raise InputError(Problem("", "endpoint", f"no value of an endpoint '{endpoint}' in this run", hint))
        panels = [self.shown_rows(endpoint, cohort) for cohort in cohorts]
        return endpoint_figure(endpoint, self.declared.get(endpoint), panels, self.calendar, small=small)

    def shown_rows(self, endpoint: str, cohort: str) -> dict[str, pd.DataFrame]:
        """Return a cohort's rows of an endpoint, of every table that its figure may show.

        Parameters
        ----------
        endpoint
            Endpoint id.
        cohort
            Its name; "" where the sheet has no cohorts.

        Returns
        -------
        dict of str to DataFrame
            By the names of `immunolab.results.endpoint_figure.SHOWN_IN`.
        """
        from immunolab.results.endpoint_figure import shown_rows

        if (endpoint, cohort) not in self._shown:
            rows = shown_rows(self.table, endpoint, self.declared.get(endpoint))
            self._shown[endpoint, cohort] = {name: table[in_cohort(table, cohort)] for name, table in rows.items()}
        return self._shown[endpoint, cohort]

    @cached_property
    def _shown(self) -> dict[tuple[str, str], dict[str, pd.DataFrame]]:
        """Rows by endpoint and cohort: a report asks five times for each."""
        return {}

    def shows(self, endpoint: str, cohort: str) -> bool:
        """Return whether the run has anything to draw of an endpoint in a cohort.

        Parameters
        ----------
        endpoint
            Endpoint id.
        cohort
            Its name; "" where the sheet has no cohorts.

        Returns
        -------
        bool
            Whether there is a value, an outcome, a response or an event count.
        """
        rows = self.shown_rows(endpoint, cohort)
        if any(len(rows[name]) for name in ("time_to_event", "responders", "event_counts")):
            return True
        return bool(rows["endpoints"]["value"].notna().any())

    def to_excel(self, path: Path | str | None = None) -> Path:
        """Write all tables as a workbook: a sheet a table, the contents, and a dictionary of columns and words.

        Parameters
        ----------
        path
            Where to; ``tables.xlsx`` in the run's folder by default. An existing file is replaced.

        Returns
        -------
        Path
            The workbook.
        """
        from immunolab.results.workbook import WORKBOOK, write_workbook

        trial = self.study.trial
        study = f"{self.study.name}, {trial.registry}" if trial and trial.registry else self.study.name
        made = f"made by immunolab {self.versions.get('immunolab', '')} with seed {self.seed}"
        target = self.folder / WORKBOOK if path is None else Path(path)
        return write_workbook(self.tables, target, study=study, made=made)

    def __repr__(self) -> str:
        return self.wording.text(self) if self.wording else f"Run of {self.study.name}"

    def _repr_html_(self) -> str:
        return self.wording.html(self) if self.wording else f"<p>{escape(repr(self))}</p>"
