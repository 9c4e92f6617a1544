"""The study as read: its samples, trial, panels and comparison, and how a notebook shows them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from html import escape
from pathlib import Path
from typing import Any

from immunolab.input_files import is_there
from immunolab.schema.clinical import PHASES
from immunolab.schema.contrast import Contrast
from immunolab.schema.overrides import OVERRIDES_FILE
from immunolab.study.arms import TrialArms
from immunolab.study.choices import CellLabels, PanelChoice, PlannedComparison, QualityChoice
from immunolab.study.doses import PatientDoses
from immunolab.study.endpoints import Endpoint
from immunolab.study.families import DeclaredFamily
from immunolab.study.next_cohort import NextCohort
from immunolab.study.sample import Sample
from immunolab.study.timeline import Timeline, timeline
from immunolab.study.trial import Trial
from immunolab.study.visit_order import visits_in_order

_MOST_PATIENTS = 40  # that a notebook shows; judgement, a screen
_HOLE = "-"


@dataclass(frozen=True)
class Study:
    """A checked study.

    Attributes
    ----------
    folder
        Where study.yaml is; paths in it are relative to this folder.
    panels
        Choices by panel name; the built-in choice is under ``""``.
    doses
        Real doses by patient; a patient absent from it follows the trial's calendar.
    endpoints
        What is compared, one denominator each.
    families
        Endpoints that are tested together, in the order of their gates.
    simulated
        Whether its data were drawn by a simulator: reports and the console say so.
    trial_file, dose_table
        Where the design comes from, unless it is built in, and the doses.
    adverse_events, outcomes, intercurrent_events
        Tables of what happened to patients; see loaders.patient_events.
    methods_module
        File with the laboratory's threshold methods.
    single_cells
        The reference that single cells are labelled by.
    source
        Study.yaml itself.
    next_cohort
        Effects and sizes that power is computed for.
    read
        Sha256 of every file that this was read from, by absolute path.
    arms
        Which cohorts are arms, as study.yaml or else the trial declares it; None where neither does.
    quality
        Whether faulty stretches of tubes are cut, and whether borders follow the bridging controls.
    visit_order
        Sampled visits in their order, as a finished run keeps them, which has no dates; empty in a study as read.
    """

    name: str
    folder: Path
    source: Path
    trial: Trial | None
    samples: tuple[Sample, ...]
    panels: dict[str, PanelChoice]
    comparison: PlannedComparison
    endpoints: tuple[Endpoint, ...]
    families: tuple[DeclaredFamily, ...] = ()
    simulated: bool = False
    measurements: Path | None = None
    trial_file: Path | None = None
    dose_table: Path | None = None
    adverse_events: Path | None = None
    outcomes: Path | None = None
    intercurrent_events: Path | None = None
    methods_module: Path | None = None
    single_cells: CellLabels = field(default_factory=CellLabels)
    doses: dict[str, PatientDoses] = field(default_factory=dict)
    sheet: Path | None = None
    next_cohort: NextCohort = field(default_factory=NextCohort)
    read: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    arms: TrialArms | None = None
    quality: QualityChoice = field(default_factory=QualityChoice)
    visit_order: tuple[str, ...] = ()

    def __repr__(self) -> str:
        taken, visits = self._taken()
        patients, n = len({patient for patient, _ in taken}), sum(taken.values())
        design = f", trial {self.trial.id}" if self.trial else ""
        return f"Study {self.name}: {patients} patients, {n} samples at {', '.join(visits) or 'no visit'}{design}"

    def _repr_html_(self) -> str:
        """Show the samples of each patient at each visit, with their batches; a dash where there is none."""
        taken, visits = self._taken()
        batches = {sample.batch for sample in self.of_patients}
        cells = self._cells(with_batch=len(batches) > 1)
        head = "".join(f"<th>{escape(name)}</th>" for name in ("patient", *visits))
        patients = list(dict.fromkeys(patient for patient, _ in taken))
        rows = "".join(
            f"<tr><td>{escape(patient)}</td>"
            + "".join(f"<td>{cells.get((patient, visit)) or _HOLE}</td>" for visit in visits)
            + "</tr>"
            for patient in patients[:_MOST_PATIENTS]
        )
        holes = sum(1 for patient in patients for visit in visits if not taken[patient, visit])
        notes = [f"{holes} without a sample"] if holes else []
        notes += [f"{len(patients) - _MOST_PATIENTS} more patients"] if len(patients) > _MOST_PATIENTS else []
        notes += [f"batches: {', '.join(sorted(filter(None, batches)))}"] if len(batches) > 1 else []
        below = f"<p>{escape('; '.join(notes))}</p>" if notes else ""
        return f"<p>{escape(repr(self))}</p><table><tr>{head}</tr>{rows}</table>{below}"

    def _cells(self, *, with_batch: bool) -> dict[tuple[str, str], str]:
        """Return the number of samples by patient and visit, with the batches that they are of, as HTML."""
        found: dict[tuple[str, str], list[str]] = {}
        for sample in self.of_patients:
            found.setdefault((sample.patient_id, sample.visit), []).append(sample.batch)
        return {
            place: f"{len(names)}{f' ({escape(chr(44).join(dict.fromkeys(names)))})' if with_batch else ''}"
            for place, names in found.items()
        }

    def _taken(self) -> tuple[Counter[tuple[str, str]], list[str]]:
        """Return the number of samples by patient and visit, and the visits in their order."""
        return Counter((sample.patient_id, sample.visit) for sample in self.of_patients), list(self.sampled_visits)

    @property
    def of_patients(self) -> tuple[Sample, ...]:
        """Samples of patients: those of the sheet without control tubes and bridging controls."""
        named = self.comparison.bridges
        return tuple(s for s in self.samples if not s.control_of and s.patient_id not in named)

    @property
    def sampled_visits(self) -> tuple[str, ...]:
        """Visits that have a sample of a patient, in calendar order as far as trial, study days or dates tell it.

        Without those the compared visits are in the order of the comparison, and others as in the sheet.
        """
        samples = self.of_patients
        there = {sample.visit for sample in samples}
        if there <= set(self.visit_order):
            return tuple(visit for visit in self.visit_order if visit in there)
        if all(sample.date for sample in samples):
            samples = tuple(sorted(samples, key=lambda sample: sample.date or date.min))
        met = ((sample.patient_id, sample.visit, sample.study_day) for sample in samples)
        found = visits_in_order(met, self.trial.target_days if self.trial else {})
        is_ordered = self.trial or any(sample.date or sample.study_day is not None for sample in samples)
        before, after = self.comparison.before, self.comparison.after
        if not is_ordered and {before, after} <= set(found) and found.index(before) > found.index(after):
            found.remove(before)
            found.insert(found.index(after), before)
        return tuple(found)

    @property
    def declared_visits(self) -> tuple[str, ...]:
        """Visits whose order is declared: those of the trial, or the two that are compared."""
        named = (self.comparison.before, self.comparison.after)
        return self.trial.visit_names if self.trial else tuple(filter(None, named))

    @property
    def bridges(self) -> tuple[Sample, ...]:
        """The tubes of bridging controls: rows that name one, and those of ``comparison: bridges``."""
        named = self.comparison.bridges
        found = (replace(s, bridge=s.patient_id) if s.patient_id in named else s for s in self.samples)
        return tuple(s for s in found if s.bridge and s.gated and s.modality != "single_cell")

    @property
    def overrides(self) -> Path:
        """Where gates that a reader placed are kept; the file may be absent."""
        return self.folder / OVERRIDES_FILE

    @property
    def files(self) -> frozenset[Path]:
        """Every file the study was read from or names, but for the samples' own."""
        clinic = (self.measurements, self.dose_table, self.adverse_events, self.outcomes, self.intercurrent_events)
        panels = self.panels.values()
        gates = [path for p in panels for path in (p.panel, p.strategy, p.spillover, *p.templates)]
        own = (self.source, self.sheet, self.trial_file, self.methods_module, self.single_cells.reference)
        beside = (self.overrides,) if is_there(self.overrides) else ()
        named = (*own, *clinic, *gates, *beside)
        return frozenset(path for path in named if isinstance(path, Path))

    def cohorts_of(self, patients: Iterable[str]) -> dict[str, str]:
        """Return the cohort of each patient: the sheet's; without a sample, the study's where it has only one."""
        bridges = self.comparison.bridges
        named = {s.patient_id: s.cohort for s in reversed(self.samples) if not s.control_of}
        all_of = {cohort for patient, cohort in named.items() if patient not in bridges}
        default = all_of.pop() if len(all_of) == 1 else ""
        return {patient: named.get(patient, default) for patient in patients}

    def relative(self, path: Path) -> str:
        """Return a file's path relative to the study's folder (``../a.fcs`` beside it), its name on another drive."""
        try:
            return Path(os.path.relpath(path, self.folder)).as_posix()
        except ValueError:  # Windows has no relative path between drives
            return path.name

    def panel_of(self, sample: Sample) -> PanelChoice:
        """Return the panel choice of a sample."""
        return self.panels[sample.panel] if sample.panel in self.panels else PanelChoice()

    def timeline_of(self, sample: Sample) -> Timeline:
        """Return a sample's study day, phase, days since the last dose and place in the cycle."""
        return timeline(self.trial, sample, self.doses)

    def place_of(self, sample: Sample) -> dict[str, Any]:
        """Return the first columns of a row of the table ``endpoints``: whose sample it is, and when it was taken."""
        found, named = self.timeline_of(sample), self.comparison
        free = {named.before: "baseline", named.after: "on_treatment"}  # phases of a study without a trial
        return {
            "sample_id": sample.sample_id,
            "patient_id": sample.patient_id,
            "cohort": sample.cohort or None,
            "visit": sample.visit,
            "study_day": found.study_day,
            "days_since_last_dose": found.days_since_last_dose,
            "phase": found.phase or ("" if self.trial else free.get(sample.visit, "")) or None,
            "cycle_state": found.cycle_state,
            "cycle": found.cycle,
            "batch": sample.batch or None,
        }

    def contrast_of(self, endpoint: Endpoint) -> Contrast | None:
        """Return the visits (before, after) an endpoint is compared at, or None when it has none.

        Visits named by the comparison come first; where it names phases, the endpoint's registered
        contrast counts, else the first visit of the earlier and the last of the later phase. Slopes
        are compared between the visits that their periods end with.
        """
        if endpoint.slopes:
            return endpoint.registered
        before, after = self.comparison.before, self.comparison.after
        registered = endpoint.registered or ("", "")
        names = self._visits_in(before), self._visits_in(after)
        pair = Contrast(
            before if before not in PHASES else (registered[0] or (names[0][:1] or ("",))[0]),
            after if after not in PHASES else (registered[1] or (names[1][-1:] or ("",))[0]),
        )
        return pair if all(pair) else None

    def _visits_in(self, phase: str) -> tuple[str, ...]:
        taken = {sample.visit for sample in self.samples if not sample.control_of}
        visits = self.trial.visits if self.trial else ()
        return tuple(visit.name for visit in visits if visit.phase == phase and visit.name in taken)
