"""Write a virtual trial: study.yaml, sheet, FCS files, the clinic's tables, and the truth beside them."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pandas as pd

from immunolab.config import dump_yaml
from immunolab.errors import InputError, Problem, nearest
from immunolab.schema.endpoints import MEASUREMENTS
from immunolab.schema.tables import declared
from immunolab.simulation.biology import Composition, compose, draw_patient
from immunolab.simulation.cells import SimulatedTube
from immunolab.simulation.citeseq import biased, draw_library, load_citeseq, write_cells
from immunolab.simulation.clinic import load_clinic, subgroups
from immunolab.simulation.laboratory import TubeFaults, TubeKind
from immunolab.simulation.model import Options, load_model
from immunolab.simulation.schedule import BRIDGE, SEQUENCING, Bleed, generator
from immunolab.simulation.truth import TruthTables, folds, memberships
from immunolab.simulation.virtual_trial import VirtualTrial, chosen_visits
from immunolab.study.trial import Trial, load_trial

_DONOR = "HD01"  # name of the bridging control's donor
_INTER_ASSAY_CV = 15.0  # percent, of a subset's share: staining and gating on another day (judgement)
_TUBE_TRUTH = ("sample_id", "patient_id", "visit", "panel", "study_day", "batch")  # columns of truth/samples.csv


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
    writer = _SampleWriter(study, folder, truth)
    sheet = [*writer.tubes(), *writer.controls(), *writer.bridges(), *writer.libraries()]
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
    for name in ("events", "centres", "citeseq", "faults", "drift", "batch_drift"):
        value = getattr(options, name)
        if not 0 <= value < math.inf:
            problems.append(Problem("", "", f"{name}: {value} cannot be simulated", "0 or more"))
    if options.wrong_bridge and not options.bridges:
        text = f"wrong_bridge: {options.wrong_bridge}, but no bridging control is simulated"
        problems.append(Problem("", "", text, "ask for bridges too (--bridges)"))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        problems.append(
            Problem(str(folder), "", "the folder is not empty", "name a new folder; nothing is overwritten")
        )
    if problems:
        raise InputError(problems)


@dataclass(frozen=True)
class _SampleWriter:
    """Writes the files of a study's samples, keeps their truth, and yields the lines of the sheet."""

    study: VirtualTrial
    folder: Path
    truth: TruthTables

    def tubes(self) -> Iterator[dict[str, object]]:
        """Write the tubes of every visit."""
        study, laboratory = self.study, self.study.laboratory
        for bleed in study.attended(study.visits):
            blood, stimulated = study.blood(bleed), False
            for index, kind in enumerate(study.tubes):
                faults = laboratory.faults(bleed, index, study.model.panels[kind.panel])
                unpaired = kind.stimulated is False and not stimulated  # the stimulated tube failed
                if faults.failed or unpaired:
                    continue
                stimulated = stimulated or kind.stimulated is True
                tube = laboratory.acquire(bleed, index, kind, blood, faults)
                line = self._line(bleed, kind, blood)
                path = self.folder / str(line["file"])
                laboratory.save(tube, kind, bleed, faults, path)
                if faults.exported_twice:
                    shutil.copyfile(path, path.with_stem(f"{path.stem}_copy"))
                cytokines = set() if kind.stimulated else set(study.model.stimulation["markers"])
                shown = [m for m in study.model.panels[kind.panel].markers if m not in cytokines]
                who = {name: line[name] for name in _TUBE_TRUTH}
                self._keep_truth(who, tube, blood, shown, faults)
                yield line

    def _line(self, bleed: Bleed, kind: TubeKind, blood: Composition) -> dict[str, object]:
        study = self.study
        patient_id = study.people[bleed.patient].patient_id
        stem = f"{patient_id}_{bleed.visit.name}"
        sample_id = f"{stem}_{kind.suffix}" if len(study.tubes) > 1 else stem
        line: dict[str, object] = {
            "sample_id": sample_id,
            "patient_id": patient_id,
            "visit": bleed.visit.name,
            "file": f"fcs/{sample_id}.fcs",
            "cohort": study.cohort.upper(),
            "panel": kind.panel,
            "study_day": bleed.day,
            "batch": f"B{bleed.batch}",
            "lymphocytes_per_ul": round(blood.lymphocytes_per_ul),
        }
        line |= subgroups(load_clinic(), study.cohort, study.trial.subgroups, bleed.patient, study.seed)
        if study.options.fmo or study.options.ics:
            line |= {"control_of": "", "marker": ""}
        if study.options.ics:
            line["stimulation"] = "" if kind.stimulated is None else "PMA" if kind.stimulated else "unstimulated"
        if kind.stimulated is False:
            line |= {"control_of": f"{stem}_ics", "marker": study.model.stimulation["control_for"]}
        return line

    def _keep_truth(
        self,
        who: Mapping[str, object],
        tube: SimulatedTube,
        blood: Composition,
        markers: Sequence[str],
        faults: TubeFaults,
    ) -> None:
        masks = memberships(self.study.model, tube)
        self.truth.add(who, tube, masks, blood, markers, faults.words)
        if self.study.options.truth_events:
            path = self.folder / "truth" / "events" / f"{who['sample_id']}.parquet"
            self.truth.event_table(tube, masks).to_parquet(path)

    def controls(self) -> Iterator[dict[str, object]]:
        """Write one set of FMO controls a batch and panel, from the batch's first patient, with the option ``fmo``."""
        study, laboratory = self.study, self.study.laboratory
        first = {bleed.batch: bleed for bleed in reversed(study.attended(study.visits))} if study.options.fmo else {}
        for batch, bleed in sorted(first.items()):
            for kind in study.tubes:
                if kind.stimulated is False:
                    continue
                for marker in study.model.panels[kind.panel].fmo:
                    tube = laboratory.acquire_control(bleed, kind, study.blood(bleed), marker)
                    name = f"B{batch}_{kind.panel}_FMO_{marker}"
                    laboratory.save(tube, kind, bleed, TubeFaults(), self.folder / "fcs" / f"{name}.fcs")
                    yield {
                        "sample_id": name,
                        "file": f"fcs/{name}.fcs",
                        "panel": kind.panel,
                        "batch": f"B{batch}",
                        "control_of": f"B{batch}",
                        "marker": marker,
                    }

    def bridges(self) -> Iterator[dict[str, object]]:
        """Write one bridging control a batch and panel, with the option ``bridges``: one healthy donor's cells."""
        study, laboratory = self.study, self.study.laboratory
        first = (
            {bleed.batch: bleed for bleed in reversed(study.attended(study.visits))} if study.options.bridges else {}
        )
        for batch, bleed in sorted(first.items()):
            wrong = study.options.wrong_bridge if batch == max(first) else ""
            donor = draw_patient(study.model, _DONOR, generator(study.seed, BRIDGE, 0, int(wrong == "donor")))
            blood = compose(study.model, "hc", donor, 0, (), replace(study.options, null=True))
            for kind in study.tubes:
                if kind.stimulated is not None:
                    continue
                tube = laboratory.acquire_bridge(bleed, kind, blood, wrong)
                name = f"B{batch}_{kind.panel}_bridge"
                faults = laboratory.bridge_faults(kind, wrong)
                laboratory.save(tube, kind, bleed, faults, self.folder / "fcs" / f"{name}.fcs")
                yield {
                    "sample_id": name,
                    "file": f"fcs/{name}.fcs",
                    "panel": kind.panel,
                    "batch": f"B{batch}",
                    "bridge": _DONOR,
                    "aliquot": str(batch),
                }

    def libraries(self) -> Iterator[dict[str, object]]:
        """Write the CITE-seq library of every visit, with the option ``citeseq``."""
        study = self.study
        if not study.options.citeseq:
            return
        assay = load_citeseq()
        for bleed in study.attended(study.visits):
            blood = biased(study.model, assay, study.blood(bleed))
            rng = generator(study.seed, SEQUENCING, *bleed.key)
            patient, kernel = study.people[bleed.patient], assay.drug_response["kernel"]
            response = study.strength * blood.pd[kernel] * (1.0 + patient.response[kernel])
            rna, protein, tube = draw_library(study.model, assay, blood, study.options.citeseq, response, rng)
            sample_id = f"{patient.patient_id}_{bleed.visit.name}_cells"
            who: dict[str, object] = {
                "sample_id": sample_id,
                "patient_id": patient.patient_id,
                "visit": bleed.visit.name,
                "cohort": study.cohort.upper(),
                "study_day": bleed.day,
                "batch": f"B{bleed.batch}",
            }
            path = self.folder / "cells" / f"{sample_id}.h5ad"
            write_cells(assay, rna, protein, sample_id, (patient.patient_id, bleed.visit.name), path)
            self._keep_truth(who, tube, blood, assay.protein["markers"], TubeFaults())
            yield {**who, "file": f"cells/{sample_id}.h5ad", "modality": "single_cell"}


def _write_study_file(study: VirtualTrial, trial_id: str | Path, tables: Sequence[str], folder: Path) -> None:
    name = str(trial_id)
    if study.trial.file and Path(trial_id).suffix:
        name = "trial.yaml"
        shutil.copyfile(trial_id, folder / name)
    settings: dict[str, object] = {"study": f"Virtual {study.cohort.upper()}", "simulated": True, "trial": name}
    settings["sheet"] = "samples.csv"
    settings |= {name: f"{name}.csv" for name in tables}
    settings["panels"] = {kind.panel: {"strategy": study.model.panels[kind.panel].strategy} for kind in study.tubes}
    settings["comparison"] = _comparison(study)
    (folder / "study.yaml").write_text(dump_yaml(settings), encoding="utf-8")


def _write_options(study: VirtualTrial, path: Path) -> None:
    """Write how the study was made: trial, seed, patients, visits, and every option that is not the default."""
    settings = {"trial": study.trial.id, "seed": study.seed, "patients": study.n_patients}
    chosen = {f.name: getattr(study.options, f.name) for f in fields(Options)}
    changed = {name: value for name, value in chosen.items() if value != getattr(Options(), name)}
    path.write_text(dump_yaml({**settings, "visits": [v.name for v in study.visits], **changed}), encoding="utf-8")


def _comparison(study: VirtualTrial) -> dict[str, str | float]:
    """Name the phases, or the registered visits where a phase has several, and the virtual laboratory's noise."""
    return {**_visits_compared(study), "noise": _INTER_ASSAY_CV}


def _visits_compared(study: VirtualTrial) -> dict[str, str | float]:
    names = [visit.name for visit in study.visits]
    treated = [visit.name for visit in study.visits if visit.phase == "on_treatment"]
    contrasts = [e.registered for e in study.trial.endpoints if e.counted and e.registered]
    taken = [contrast for contrast in contrasts if set(contrast) <= set(names)]
    if len(treated) == 1 or not taken:
        return {"before": "baseline", "after": "on_treatment"}
    return {"before": taken[0][0], "after": taken[0][1]}
