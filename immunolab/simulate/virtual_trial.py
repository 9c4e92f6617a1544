"""A virtual trial on disk: study.yaml, sheet, FCS files, and the truth beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from immunolab.config import dump_yaml
from immunolab.errors import InputError, Problem, nearest
from immunolab.simulate.biology import (
    Composition,
    Patient,
    compose,
    draw_patient,
    expected_percent,
    typical_patient,
)
from immunolab.simulate.cells import Recipe, Staining, Tube, draw_tube
from immunolab.simulate.fcs_writer import write_fcs
from immunolab.simulate.laboratory import (
    EVENTS,
    FAULT,
    PATIENT,
    VISIT,
    Bleed,
    Faults,
    Laboratory,
    draw_faults,
    plan_bleeds,
    visit_missed,
)
from immunolab.simulate.model import Model, Options, TubePanel, load_model
from immunolab.simulate.truth import count_rows, event_table, memberships
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
    """Write a virtual trial: FCS files, sheet, study.yaml, and the truth in ``truth/``.

    Parameters
    ----------
    trial_id : a built-in design, or the path of a design of your own.
    patients : number of patients.
    seed : the same seed writes the same bytes.
    folder : a new or empty folder.
    visits : names of visits; without it, those at which the design compares subsets.
    events : events of a file.
    null : the drug has no effect.
    confounded : all baselines in one batch, all later visits in another.
    options : everything else; the three arguments before win over it.

    Raises
    ------
    InputError
        Unknown trial or visit, a folder that holds files, or no patient: all at once.
    """
    trial, folder = load_trial(trial_id), Path(folder)
    _check(trial, patients, events, visits, folder)
    options = replace(options or Options(), events=events, null=null, confounded=confounded)
    study = _Study(load_model(), trial, options, seed, _chosen_visits(trial, visits))
    cohort = study.draw_cohort(patients)
    for part in ("fcs", "truth", *(["truth/events"] if options.truth_events else [])):
        (folder / part).mkdir(parents=True, exist_ok=True)
    written = [row for bleed in study.attended(cohort) for row in study.write_bleed(bleed, cohort, folder)]
    _write_sheet(written, folder)
    _write_truth(study, cohort, written, folder)
    _write_study_file(study, trial_id, folder)


def _check(trial: Trial, patients: int, events: int, visits: Sequence[str] | None, folder: Path) -> None:
    problems = []
    for name in visits or ():
        if name not in trial.visit_names:
            hint = f"{nearest(name, trial.visit_names)} visits: {', '.join(trial.visit_names)}".strip()
            problems.append(Problem("", "", f"trial {trial.id} has no visit '{name}'", hint))
    if patients < 1:
        problems.append(Problem("", "", f"{patients} patients cannot be simulated", "at least 1"))
    if events < 0:
        problems.append(Problem("", "", f"{events} events cannot be simulated", "0 or more"))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        problems.append(
            Problem(str(folder), "", "the folder is not empty", "name a new folder; nothing is overwritten")
        )
    if problems:
        raise InputError(problems)


def _chosen_visits(trial: Trial, names: Sequence[str] | None) -> tuple[Visit, ...]:
    if not names:
        subsets = [e for e in trial.endpoints if e.kind == "subset"]
        named = {name for e in subsets for name in (*e.visits, *e.contrast)}
        names = [name for name in trial.visit_names if name in named] or list(trial.visit_names)
    return tuple(visit for visit in trial.visits if visit.name in names)


@dataclass(frozen=True)
class _Cohort:
    patients: tuple[Patient, ...]
    bleeds: tuple[Bleed, ...]
    laboratory: Laboratory


@dataclass(frozen=True)
class _Row:
    """One tube written: its line of the sheet and its truth."""

    sheet: dict[str, object]
    truth: list[dict[str, object]]
    sample: dict[str, object]
    composition: Composition


@dataclass(frozen=True)
class _Study:
    model: Model
    trial: Trial
    options: Options
    seed: int
    visits: tuple[Visit, ...]

    @property
    def cohort(self) -> str:
        """Short name of the cohort, also the key of its baseline."""
        return self.trial.id.split("_")[0].lower()

    @property
    def baseline(self) -> str:
        """Key of the baseline composition; a design of the user's own starts from health."""
        return self.cohort if self.cohort in self.model.baselines else "hc"

    @property
    def tubes(self) -> tuple[tuple[str, str, bool | None], ...]:
        """(suffix, panel, stimulated) of every tube of a visit."""
        registered = any(e.population == "Treg_FOXP3" for e in self.trial.endpoints)
        foxp3 = registered if self.options.foxp3 is None else self.options.foxp3
        tubes: list[tuple[str, str, bool | None]] = [("surface", "surface", None)]
        tubes += [("foxp3", "foxp3", None)] if foxp3 else []
        tubes += [("ics", "ics", True), ("ics_unstimulated", "ics", False)] if self.options.ics else []
        return tuple(tubes)

    def draw_cohort(self, n: int) -> _Cohort:
        """Draw the patients and plan their samples."""
        step = int(self.model.batch["enrolment_days"])
        patients = tuple(
            draw_patient(
                self.model,
                f"{self.cohort.upper()}{i + 1:03d}",
                i * step,
                np.random.default_rng([self.seed, PATIENT, i]),
            )
            for i in range(n)
        )
        centres = [i % self.options.centres + 1 if self.options.centres else 0 for i in range(n)]
        enrolled = [patient.enrolled for patient in patients]
        bleeds = plan_bleeds(self.model, self.options, self.visits, enrolled, centres, self.seed)
        laboratory = Laboratory(self.model, self.options, self.seed, max(bleed.batch for bleed in bleeds))
        return _Cohort(patients, tuple(bleeds), laboratory)

    def attended(self, cohort: _Cohort) -> list[Bleed]:
        """Return the samples that were really taken."""
        return [
            bleed
            for bleed in cohort.bleeds
            if not visit_missed(self.model, self.options, bleed, None, bleed.visit == self.visits[-1], self.seed)
        ]

    def rng(self, stream: int, bleed: Bleed, tube: int = 0) -> np.random.Generator:
        """Return the generator of a stream for one tube."""
        return np.random.default_rng([self.seed, stream, bleed.patient, bleed.visit.target_day + 1000, tube])

    def write_bleed(self, bleed: Bleed, cohort: _Cohort, folder: Path) -> list[_Row]:
        """Draw and write the tubes of one visit of one patient."""
        patient = cohort.patients[bleed.patient]
        doses = self.trial.dosing.days
        blood = compose(self.model, self.baseline, patient, bleed.day, doses, self.options, self.rng(VISIT, bleed))
        rows = []
        for index, (suffix, panel_name, stimulated) in enumerate(self.tubes):
            panel = self.model.panels[panel_name]
            faults = draw_faults(self.model, self.options, panel, self.rng(FAULT, bleed, index + 1))
            if faults.failed:
                continue
            sample_id = f"{patient.patient_id}_{bleed.visit.name}"
            sample_id += f"_{suffix}" if len(self.tubes) > 1 else ""
            rng = self.rng(EVENTS, bleed, index)
            recipe = self._recipe(panel, blood, cohort.laboratory.staining(bleed), faults, stimulated, rng)
            tube = draw_tube(self.model, recipe, rng)
            path = folder / "fcs" / f"{sample_id}.fcs"
            self._write_tube(tube, panel, faults, cohort.laboratory, bleed, path, rng)
            rows.append(self._row(tube, panel_name, bleed, patient, blood, faults, sample_id, folder))
        return rows

    def _recipe(
        self,
        panel: TubePanel,
        blood: Composition,
        staining: Staining,
        faults: Faults,
        stimulated: bool | None,
        rng: np.random.Generator,
    ) -> Recipe:
        share = self.model.tube["dead"][self.options.sample_type]
        odds = share / (1 - share) * np.exp(rng.normal(0, self.model.tube["dead_sd_logit"]))
        events = self.options.events * faults.events_factor * np.exp(rng.normal(0, self.options.events_sd_log))
        return Recipe(panel, blood, staining, round(events), odds / (1 + odds), stimulated, "", faults.clog)

    def _write_tube(
        self,
        tube: Tube,
        panel: TubePanel,
        faults: Faults,
        laboratory: Laboratory,
        bleed: Bleed,
        path: Path,
        rng: np.random.Generator,
    ) -> None:
        labels = {d.detector: self._label(d.marker, faults, rng) for d in panel.detectors}
        write_fcs(
            path,
            tube.names,
            [labels.get(name, "") for name in tube.names],
            tube.columns,
            spillover=([d.detector for d in panel.detectors], laboratory.written_matrix(panel, bleed.batch)),
            maximum=int(self.model.scale["maximum"]) + 1,
            keywords={"$CYT": "virtual cytometer", "$TIMESTEP": str(self.model.time["step"])},
        )

    def _label(self, marker: str, faults: Faults, rng: np.random.Generator) -> str:
        if faults.swapped and marker in faults.swapped:
            marker = faults.swapped[1 - faults.swapped.index(marker)]
        spellings = self.model.spellings.get(marker, (marker,))
        return str(rng.choice(spellings)) if self.options.mixed_labels else marker

    def _row(
        self,
        tube: Tube,
        panel_name: str,
        bleed: Bleed,
        patient: Patient,
        blood: Composition,
        faults: Faults,
        sample_id: str,
        folder: Path,
    ) -> _Row:
        model, markers = self.model, self.model.panels[panel_name].markers
        masks = memberships(model, tube)
        if self.options.truth_events:
            event_table(model, tube, masks).to_parquet(folder / "truth" / "events" / f"{sample_id}.parquet")
        sheet = {
            "sample_id": sample_id,
            "patient_id": patient.patient_id,
            "visit": bleed.visit.name,
            "file": f"fcs/{sample_id}.fcs",
            "cohort": self.cohort.upper(),
            "panel": panel_name,
            "study_day": bleed.day,
            "batch": f"B{bleed.batch}",
            "lymphocytes_per_ul": round(blood.lymphocytes_per_ul),
        }
        who = {"sample_id": sample_id, "patient_id": patient.patient_id, "visit": bleed.visit.name}
        counts = [{**who, **row} for row in count_rows(model, blood, masks, markers)]
        pd_values = {f"pd_{name}": value for name, value in blood.pd.items()}
        sample = {**who, **pd_values, "n_events": len(tube.leaf), "faults": ";".join(faults.words)}
        return _Row(sheet, counts, sample, blood)


def _write_sheet(rows: Sequence[_Row], folder: Path) -> None:
    pd.DataFrame([row.sheet for row in rows]).to_csv(folder / "samples.csv", index=False)


def _write_truth(study: _Study, cohort: _Cohort, rows: Sequence[_Row], folder: Path) -> None:
    truth = folder / "truth"
    pd.DataFrame([line for row in rows for line in row.truth]).to_csv(truth / "populations.csv", index=False)
    pd.DataFrame([row.sample for row in rows]).to_csv(truth / "samples.csv", index=False)
    folds(study.model, study.trial, study.baseline, study.options).to_csv(truth / "folds.csv", index=False)
    people = [
        {
            "patient_id": patient.patient_id,
            "responder": patient.responder,
            **{f"response_{k}": v for k, v in patient.response.items()},
            **{f"log_weight_{k}": v for k, v in patient.weights.items()},
        }
        for patient in cohort.patients
    ]
    pd.DataFrame(people).to_csv(truth / "patients.csv", index=False)
    settings = {"trial": study.trial.id, "seed": study.seed, "patients": len(cohort.patients)}
    (truth / "options.yaml").write_text(dump_yaml({**settings, **asdict(study.options)}), encoding="utf-8")


def folds(model: Model, trial: Trial, baseline: str, options: Options) -> pd.DataFrame:
    """Return the fold of each subset endpoint that a patient without any deviation would show.

    Columns: endpoint, population, parent, visit_before, visit_after, percent_before, percent_after, expected_fold.
    """
    rows = []
    typical = typical_patient(model)
    for endpoint in trial.expanded_endpoints():
        if not (endpoint.population in model.truth and endpoint.parent in model.truth and len(endpoint.contrast) == 2):
            continue
        percents = [
            expected_percent(
                model,
                compose(model, baseline, typical, trial.visit(name).target_day, trial.dosing.days, options),
                str(endpoint.population),
                str(endpoint.parent),
            )
            for name in endpoint.contrast
        ]
        rows.append(
            {
                "endpoint": endpoint.id,
                "population": endpoint.population,
                "parent": endpoint.parent,
                "visit_before": endpoint.contrast[0],
                "visit_after": endpoint.contrast[1],
                "percent_before": percents[0],
                "percent_after": percents[1],
                "expected_fold": percents[1] / percents[0],
            }
        )
    return pd.DataFrame(rows)


def _write_study_file(study: _Study, trial_id: str | Path, folder: Path) -> None:
    trial = study.trial
    name = str(trial_id)
    if trial.file and Path(trial_id).suffix:
        name = "trial.yaml"
        (folder / name).write_text(Path(trial_id).read_text(encoding="utf-8"), encoding="utf-8")
    panels = {panel: {"strategy": study.model.panels[panel].strategy} for _, panel, _ in study.tubes}
    settings: dict[str, object] = {"study": f"Virtual {study.cohort.upper()}", "trial": name, "sheet": "samples.csv"}
    settings["panels"] = panels
    settings["comparison"] = _comparison(study)
    (folder / "study.yaml").write_text(dump_yaml(settings), encoding="utf-8")


def _comparison(study: _Study) -> dict[str, str]:
    treated = [visit.name for visit in study.visits if visit.phase == "on_treatment"]
    contrasts = [e.contrast for e in study.trial.endpoints if e.kind == "subset" and len(e.contrast) == 2]
    names = [visit.name for visit in study.visits]
    if len(treated) > 1:
        for before, after in contrasts:
            if before in names and after in names:
                return {"before": before, "after": after}
    return {"before": "baseline", "after": "on_treatment"}
