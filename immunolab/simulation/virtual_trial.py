"""A virtual trial on disk: study.yaml, sheet, FCS files, the clinic's tables, and the truth beside them."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from immunolab.config import dump_yaml
from immunolab.errors import InputError, Problem, nearest
from immunolab.schema.tables import MEASUREMENTS, declared
from immunolab.simulation.biology import (
    Composition,
    VirtualPatient,
    compose,
    draw_patient,
    expected_percent,
    typical_patient,
)
from immunolab.simulation.cells import SimulatedTube
from immunolab.simulation.citeseq import biased, draw_library, load_citeseq, write_cells
from immunolab.simulation.clinic import Chart, decline, load_clinic, measure_patient, subgroups
from immunolab.simulation.laboratory import Faults, Laboratory, TubeKind
from immunolab.simulation.model import Model, Options, load_model
from immunolab.simulation.patient_histories import Histories
from immunolab.simulation.schedule import PATIENT, SEQUENCING, VISIT, Bleed, generator, plan_bleeds, visit_missed
from immunolab.simulation.truth import TruthTables, folds, memberships
from immunolab.study.trial import Trial, Visit, load_trial


def simulate(
    trial_id: str | Path,
    *,
    patients: int,
    seed: int,
    folder: Path | str,
    visits: Sequence[str] | None = None,
    events: int = 30_000,
    null: bool = False,
    confounded: bool = False,
    options: Options | None = None,
) -> None:
    """Write a virtual trial: FCS files, sheet, study.yaml, the clinic's tables, and the truth in ``truth/``.

    Parameters
    ----------
    trial_id
        A built-in design, or the path of a design of your own.
    patients
        Number of patients.
    seed
        The same seed writes the same bytes.
    folder
        A new or empty folder.
    visits
        Names of visits with tubes; without it, those at which the design compares subsets.
    events
        Events of a file.
    null
        The drug has no effect.
    confounded
        All baselines in one batch, all later visits in another.
    options
        Everything else; the three arguments before win over it.

    Raises
    ------
    InputError
        Unknown trial or visit, a folder that holds files, no patient: all at once.
    """
    trial, folder = load_trial(trial_id), Path(folder)
    options = replace(options or Options(), events=events, null=null, confounded=confounded)
    _check(trial, patients, visits, options, folder)
    study = VirtualTrial(load_model(), trial, options, seed, chosen_visits(trial, visits), patients)
    parts = {"fcs": True, "truth": True, "truth/events": options.truth_events, "cells": options.citeseq > 0}
    for part in (name for name, wanted in parts.items() if wanted):
        (folder / part).mkdir(parents=True, exist_ok=True)
    truth = TruthTables(study.model)
    sheet = [*study.write_samples(folder, truth), *study.write_controls(folder), *study.write_cells(folder, truth)]
    declared("study/samples").write_as_given(pd.DataFrame(sheet).convert_dtypes(), folder / "samples.csv")
    tables = {name: rows for name, rows in study.clinical_tables().items() if rows}
    for name, rows in tables.items():
        table = MEASUREMENTS if name == MEASUREMENTS.name else declared(f"study/{name}")
        table.write_as_given(pd.DataFrame(rows), folder / f"{name}.csv")
    truth.write(folder / "truth", study.people, folds(study.model, trial, study.baseline, options))
    _write_options(study, folder / "truth" / "options.yaml")
    _write_study_file(study, trial_id, tuple(tables), folder)


def _check(trial: Trial, patients: int, visits: Sequence[str] | None, options: Options, folder: Path) -> None:
    problems = []
    for name in visits or ():
        if name not in trial.visit_names:
            hint = f"{nearest(name, trial.visit_names)} visits: {', '.join(trial.visit_names)}".strip()
            problems.append(Problem("", "", f"trial {trial.id} has no visit '{name}'", hint))
    if patients < 1:
        problems.append(Problem("", "", f"{patients} patients cannot be simulated", "at least 1"))
    for name in ("events", "centres", "citeseq", "faults", "drift"):
        value = getattr(options, name)
        if not 0 <= value < math.inf:
            problems.append(Problem("", "", f"{name}: {value} cannot be simulated", "0 or more"))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        problems.append(
            Problem(str(folder), "", "the folder is not empty", "name a new folder; nothing is overwritten")
        )
    if problems:
        raise InputError(problems)


def chosen_visits(trial: Trial, names: Sequence[str] | None) -> tuple[Visit, ...]:
    """Return visits by name; without names, those at which the design compares subsets."""
    if not names:
        subsets = [e for e in trial.endpoints if e.counted]
        named = {name for e in subsets for name in (*e.visits, *e.contrast)}
        names = [name for name in trial.visit_names if name in named] or list(trial.visit_names)
    return tuple(visit for visit in trial.visits if visit.name in names)


INTER_ASSAY_CV_PERCENT = 15.0  # of a subset, staining and gating, as such laboratories state it


@dataclass(frozen=True)
class VirtualTrial:
    """A trial, its virtual patients and its laboratory. ``visits`` are those with tubes."""

    model: Model
    trial: Trial
    options: Options
    seed: int
    visits: tuple[Visit, ...]
    n_patients: int

    @property
    def cohort(self) -> str:
        """Short name of the cohort, also the key of its baseline and clinic."""
        return self.trial.id.split("_")[0].lower()

    @property
    def baseline(self) -> str:
        """Key of the baseline composition; a design of the user's own starts from health."""
        return self.options.baseline or (self.cohort if self.cohort in self.model.baselines else "hc")

    @property
    def tubes(self) -> tuple[TubeKind, ...]:
        """The tubes of every visit; a design with an endpoint on FOXP3 gets a nuclear tube."""
        registered = any("Treg_FOXP3" in e.needs.populations for e in self.trial.endpoints)
        foxp3 = registered if self.options.foxp3 is None else self.options.foxp3
        kinds = [TubeKind("surface", "surface")]
        kinds += [TubeKind("foxp3", "foxp3")] if foxp3 else []
        kinds += [TubeKind("ics", "ics", True), TubeKind("unstimulated", "ics", False)] if self.options.ics else []
        return tuple(kinds)

    @cached_property
    def people(self) -> tuple[VirtualPatient, ...]:
        """The patients; each depends on the seed and its own number alone."""
        return tuple(
            draw_patient(self.model, f"{self.cohort.upper()}{i + 1:03d}", generator(self.seed, PATIENT, i))
            for i in range(self.n_patients)
        )

    @cached_property
    def laboratory(self) -> Laboratory:
        """The laboratory that runs the study's tubes."""
        planned = plan_bleeds(self.model, self.options, self.visits, self.n_patients, self.seed)
        return Laboratory(self.model, self.options, self.seed, max(bleed.batch for bleed in planned))

    @cached_property
    def histories(self) -> Histories:
        """Doses, adverse events and outcomes of the patients."""
        return Histories(self.trial, self.cohort, tuple(p.patient_id for p in self.people), self.seed)

    def attended(self, visits: Sequence[Visit]) -> list[Bleed]:
        """Return the visits that really took place, in order of patient and day."""
        planned = plan_bleeds(self.model, self.options, visits, self.n_patients, self.seed)
        last = self.trial.visits[-1]
        kept = []
        for bleed in planned:
            if self.histories.over(bleed.patient, bleed.day):
                continue
            worse = 0.0
            if bleed.visit == last:
                worse = decline(load_clinic(), self.cohort, bleed.patient, self._chart(bleed.patient, {}), self.seed)
            if not visit_missed(self.model, self.options, bleed, worse, self.seed):
                kept.append(bleed)
        return kept

    def blood(self, bleed: Bleed) -> Composition:
        """Return a patient's blood at a visit; the same whichever other visits are asked for."""
        rng, doses = generator(self.seed, VISIT, *bleed.key), self.histories.doses[bleed.patient]
        return compose(self.model, self.baseline, self.people[bleed.patient], bleed.day, doses, self.options, rng)

    def write_samples(self, folder: Path, truth: TruthTables) -> Iterator[dict[str, object]]:
        """Write the tubes of every visit with their truth, and yield the lines of the sheet."""
        laboratory, people = self.laboratory, self.people
        for bleed in self.attended(self.visits):
            blood, stimulated = self.blood(bleed), False
            for index, kind in enumerate(self.tubes):
                faults = laboratory.faults(bleed, index, self.model.panels[kind.panel])
                lone = kind.stimulated is False and not stimulated  # the other half of the pair failed
                if faults.failed or lone:
                    continue
                stimulated = stimulated or kind.stimulated is True
                tube = laboratory.acquire(bleed, index, kind, blood, faults)
                line = self._line(people[bleed.patient].patient_id, bleed, kind, blood)
                path = folder / str(line["file"])
                laboratory.save(tube, kind, bleed, faults, path)
                if faults.exported_twice:
                    shutil.copyfile(path, path.with_stem(f"{path.stem}_copy"))
                self._keep_truth(truth, line, kind, tube, blood, faults, folder)
                yield line

    def _line(self, patient_id: str, bleed: Bleed, kind: TubeKind, blood: Composition) -> dict[str, object]:
        stem = f"{patient_id}_{bleed.visit.name}"
        sample_id = f"{stem}_{kind.suffix}" if len(self.tubes) > 1 else stem
        line: dict[str, object] = {
            "sample_id": sample_id,
            "patient_id": patient_id,
            "visit": bleed.visit.name,
            "file": f"fcs/{sample_id}.fcs",
            "cohort": self.cohort.upper(),
            "panel": kind.panel,
            "study_day": bleed.day,
            "batch": f"B{bleed.batch}",
            "lymphocytes_per_ul": round(blood.lymphocytes_per_ul),
        }
        line |= subgroups(load_clinic(), self.cohort, self.trial.subgroups, bleed.patient, self.seed)
        if self.options.fmo or self.options.ics:
            line |= {"control_of": "", "marker": ""}
        if kind.stimulated is False:
            line |= {"control_of": f"{stem}_ics", "marker": self.model.stimulation["control_for"]}
        return line

    def _keep_truth(
        self,
        truth: TruthTables,
        line: dict[str, object],
        kind: TubeKind,
        tube: SimulatedTube,
        blood: Composition,
        faults: Faults,
        folder: Path,
    ) -> None:
        masks = memberships(self.model, tube)
        who = {name: line[name] for name in ("sample_id", "patient_id", "visit", "panel", "study_day", "batch")}
        markers = self.model.panels[kind.panel].markers
        cytokines = set() if kind.stimulated else set(self.model.stimulation["markers"])
        shown = tuple(marker for marker in markers if marker not in cytokines)
        truth.add(who, tube, masks, blood, shown, faults.words)
        if self.options.truth_events:
            truth.event_table(tube, masks).to_parquet(folder / "truth" / "events" / f"{line['sample_id']}.parquet")

    def write_controls(self, folder: Path) -> Iterator[dict[str, object]]:
        """Write one set of FMO controls a batch and panel, from the batch's first patient."""
        if not self.options.fmo:
            return
        laboratory = self.laboratory
        first = {bleed.batch: bleed for bleed in reversed(self.attended(self.visits))}
        for batch, bleed in sorted(first.items()):
            for kind in self.tubes:
                if kind.stimulated is False:
                    continue
                for marker in self.model.panels[kind.panel].fmo:
                    tube = laboratory.acquire_control(bleed, kind, self.blood(bleed), marker)
                    name = f"B{batch}_{kind.panel}_FMO_{marker}"
                    laboratory.save(tube, kind, bleed, Faults(), folder / "fcs" / f"{name}.fcs")
                    yield {
                        "sample_id": name,
                        "file": f"fcs/{name}.fcs",
                        "panel": kind.panel,
                        "batch": f"B{batch}",
                        "control_of": f"B{batch}",
                        "marker": marker,
                    }

    def write_cells(self, folder: Path, truth: TruthTables) -> Iterator[dict[str, object]]:
        """Write the CITE-seq library of every visit, when asked for, and yield the lines of the sheet."""
        if not self.options.citeseq:
            return
        assay = load_citeseq()
        for bleed in self.attended(self.visits):
            blood = biased(self.model, assay, self.blood(bleed))
            rng = generator(self.seed, SEQUENCING, *bleed.key)
            patient, kernel = self.people[bleed.patient], assay.drug_response["kernel"]
            response = self._strength * blood.pd[kernel] * (1.0 + patient.response[kernel])
            rna, protein, tube = draw_library(self.model, assay, blood, self.options.citeseq, response, rng)
            who: dict[str, object] = {
                "sample_id": f"{patient.patient_id}_{bleed.visit.name}_cells",
                "patient_id": patient.patient_id,
                "visit": bleed.visit.name,
                "cohort": self.cohort.upper(),
                "study_day": bleed.day,
                "batch": f"B{bleed.batch}",
            }
            path = folder / "cells" / f"{who['sample_id']}.h5ad"
            write_cells(assay, rna, protein, str(who["sample_id"]), (patient.patient_id, bleed.visit.name), path)
            masks = memberships(self.model, tube)
            truth.add(who, tube, masks, blood, (*assay.protein["markers"],), "")
            if self.options.truth_events:
                truth.event_table(tube, masks).to_parquet(folder / "truth" / "events" / f"{who['sample_id']}.parquet")
            yield {**who, "file": f"cells/{who['sample_id']}.h5ad", "modality": "single_cell"}

    @property
    def _strength(self) -> float:
        return 0.0 if self.options.null else self.options.effect

    def clinical_tables(self) -> dict[str, list[dict[str, object]]]:
        """Return the rows of every table the clinic hands over, by its key in study.yaml; some may be empty."""
        bleeds = self.attended([v for v in self.trial.visits if not v.optional or v in self.visits])
        last_seen = {self.people[bleed.patient].patient_id: bleed.day for bleed in bleeds}
        return {"measurements": self.measurements(bleeds), **self.histories.tables(last_seen)}

    def measurements(self, bleeds: Sequence[Bleed]) -> list[dict[str, object]]:
        """Return the table of measurements of visits that took place."""
        clinic = load_clinic()
        rows: list[dict[str, object]] = []
        for number, patient in enumerate(self.people):
            own = [bleed for bleed in bleeds if bleed.patient == number]
            chart = self._chart(number, self._treg_course(own))
            rows += measure_patient(clinic, self.cohort, patient.patient_id, own, chart, self.seed) if own else []
        return rows

    def _chart(self, patient: int, treg_log_fold: dict[int, float]) -> Chart:
        return Chart(max(self.histories.doses[patient]), self._strength, treg_log_fold)

    def _treg_percent(self, blood: Composition) -> float:
        return expected_percent(self.model, blood, "Treg", "CD4")

    def _treg_course(self, bleeds: Sequence[Bleed]) -> dict[int, float]:
        """Return, by day, how far the log fold of Treg since the first visit departs from the usual one.

        Usual is what a patient without any deviation would show after the same doses.
        """
        excess = {b.day: float(np.log(self._treg_percent(self.blood(b)) / self._usual_treg(b))) for b in bleeds}
        start = next(iter(excess.values()), 0.0)
        return {day: value - start for day, value in excess.items()}

    def _usual_treg(self, bleed: Bleed) -> float:
        key = bleed.day, tuple(day for day in self.histories.doses[bleed.patient] if day < bleed.day)
        if key not in self._usual:
            blood = compose(self.model, self.baseline, typical_patient(self.model), *key, self.options)
            self._usual[key] = self._treg_percent(blood)
        return self._usual[key]

    @cached_property
    def _usual(self) -> dict[tuple[int, tuple[int, ...]], float]:
        """Treg percent of a patient without any deviation, by study day and doses before it."""
        return {}


def _write_study_file(study: VirtualTrial, trial_id: str | Path, tables: Sequence[str], folder: Path) -> None:
    name = str(trial_id)
    if study.trial.file and Path(trial_id).suffix:
        name = "trial.yaml"
        shutil.copyfile(trial_id, folder / name)
    settings: dict[str, object] = {"study": f"Virtual {study.cohort.upper()}", "trial": name, "sheet": "samples.csv"}
    settings |= {name: f"{name}.csv" for name in tables}
    settings["panels"] = {kind.panel: {"strategy": study.model.panels[kind.panel].strategy} for kind in study.tubes}
    settings["comparison"] = _comparison(study)
    (folder / "study.yaml").write_text(dump_yaml(settings), encoding="utf-8")


def _write_options(study: VirtualTrial, path: Path) -> None:
    """Write what the run was asked for: trial, seed, patients, visits, and every option that is not the default."""
    settings = {"trial": study.trial.id, "seed": study.seed, "patients": study.n_patients}
    chosen = {f.name: getattr(study.options, f.name) for f in fields(Options)}
    changed = {name: value for name, value in chosen.items() if value != getattr(Options(), name)}
    path.write_text(dump_yaml({**settings, "visits": [v.name for v in study.visits], **changed}), encoding="utf-8")


def _comparison(study: VirtualTrial) -> dict[str, str | float]:
    """Name the phases, or the registered visits where a phase has several, and the virtual laboratory's noise."""
    return {**_visits_compared(study), "noise": INTER_ASSAY_CV_PERCENT}


def _visits_compared(study: VirtualTrial) -> dict[str, str | float]:
    names = [visit.name for visit in study.visits]
    treated = [visit.name for visit in study.visits if visit.phase == "on_treatment"]
    contrasts = [e.registered for e in study.trial.endpoints if e.counted and e.registered]
    taken = [contrast for contrast in contrasts if set(contrast) <= set(names)]
    if len(treated) == 1 or not taken:
        return {"before": "baseline", "after": "on_treatment"}
    return {"before": taken[0][0], "after": taken[0][1]}
