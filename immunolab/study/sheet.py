"""The study: its sample sheet, trial, panels and comparison, read and checked as one.

`read_study` reads study.yaml and the sheet beside it, lists every problem of both at once and reads
no event.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path

from immunolab.config import Document, Place, build_sound, read_yaml
from immunolab.errors import InputError, Problem, allowed_hint, attempt, nearest
from immunolab.input_files import is_there, recorded_inputs
from immunolab.schema.bridges import Bridging
from immunolab.schema.contrast import Contrast
from immunolab.schema.gating import Specimen
from immunolab.study import rows
from immunolab.study.arms import TrialArms, arm_problems
from immunolab.study.doses import PatientDoses, read_doses
from immunolab.study.endpoints import AnyEndpoint, Endpoint, PercentOfParent, endpoint_problems, expanded
from immunolab.study.families import DeclaredFamily, family_problems
from immunolab.study.names import name_problems
from immunolab.study.next_cohort import NextCohort, next_cohort_problems
from immunolab.study.rows import Sample, read_samples
from immunolab.study.timeline import Timeline, timeline
from immunolab.study.trial import Trial, load_trial

__all__ = ["PanelChoice", "PlannedComparison", "Sample", "Study", "read_study"]

_STRATEGY_FILES = (".yaml", ".yml", ".xml", ".wsp")
_TABLES = ("measurements", "adverse_events", "outcomes", "intercurrent_events", "methods_module")
_PHASES = ("baseline", "on_treatment", "follow_up")


_MOST_PATIENTS = 40  # that a notebook shows; judgement, a screen
_HOLE = "-"


@dataclass(frozen=True)
class PanelChoice:
    """How the tubes of one panel are read and gated; None means the built-in choice.

    ``specimen`` is what they hold: adult human ``blood``, or ``other``; None leaves it to the strategy.
    ``follow`` carries drawn gates from ``templates``, or from the tubes that the gate file names, to the other tubes.
    """

    panel: Path | None = None
    strategy: Path | str | None = None
    spillover: Path | None = None
    specimen: Specimen | None = None
    follow: bool = False
    templates: tuple[Path, ...] = ()


@dataclass(frozen=True)
class CellLabels:
    """A labelled reference that a study's single cells are labelled by; None labels them by genes and proteins."""

    reference: Path | None = None
    labels: str = ""


@dataclass(frozen=True)
class PlannedComparison:
    """Which visits are compared: names of phases or of visits.

    Attributes
    ----------
    before, after
        Names.
    noise
        Inter-assay coefficient of variation in percent of the value, gating included, as the laboratory measured it.
    noise_df
        Degrees of freedom it was measured with (repeats less materials); None takes it as known.
    within_person
        Coefficient of variation from day to day within a person, percent; None takes published or assumed values.
    between_tubes
        Coefficient of variation between two tubes of one blood in one run, percent of a cytokine-positive share; None
        takes replicate unstimulated tubes, else an assumed value.
    bridges
        Patient ids that are bridging controls: one material measured again and again, and no patient.
    moderated
        Whether counted shares borrow variance from each other where there are ten or more.
    mixed_specimens
        Whether whole blood beside frozen PBMC in one panel is meant; it is an error otherwise.
    """

    before: str = "baseline"
    after: str = "on_treatment"
    noise: float | None = None
    noise_df: float | None = None
    within_person: float | None = None
    between_tubes: float | None = None
    bridges: tuple[str, ...] = ()
    moderated: bool = True
    mixed_specimens: bool = False


@dataclass(frozen=True)
class QualityChoice:
    """What a study says of its tubes and batches.

    Attributes
    ----------
    clean
        Whether stretches of a run that are clearly faulty are cut before gates are placed and events counted.
    bridge
        ``report``: bridging controls are charted and give the noise; ``follow``: borders also follow them from batch
        to batch, and what that gives is reported beside the uncorrected result.
    reference
        Batch in which drawn gates were drawn; "" takes the first run. Gates that data place follow from the batch of
        each patient that has most of the patient's tubes.
    """

    clean: bool = True
    bridge: Bridging = "report"
    reference: str = ""


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

    def __repr__(self) -> str:
        taken, visits = self._taken()
        patients, n = len({patient for patient, _ in taken}), sum(taken.values())
        design = f", trial {self.trial.id}" if self.trial else ""
        return f"Study {self.name}: {patients} patients, {n} samples at {', '.join(visits) or 'no visit'}{design}"

    def _repr_html_(self) -> str:
        """Show the samples of each patient at each visit, with their batches; a dash where there is none."""
        taken, visits = self._taken()
        batches = {sample.batch for sample in self.samples if not sample.control_of}
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
        for sample in self.samples:
            if not sample.control_of:
                found.setdefault((sample.patient_id, sample.visit), []).append(sample.batch)
        return {
            place: f"{len(names)}{f' ({escape(chr(44).join(dict.fromkeys(names)))})' if with_batch else ''}"
            for place, names in found.items()
        }

    def _taken(self) -> tuple[Counter[tuple[str, str]], list[str]]:
        """Return the number of samples by patient and visit, controls left out, and the visits in the trial's order."""
        taken = Counter((sample.patient_id, sample.visit) for sample in self.samples if not sample.control_of)
        planned = self.trial.visit_names if self.trial else ()
        visits = dict.fromkeys(visit for _, visit in taken)
        return taken, [v for v in planned if v in visits] + [v for v in visits if v not in planned]

    @property
    def bridges(self) -> tuple[Sample, ...]:
        """The tubes of bridging controls: rows that name one, and those of ``comparison: bridges``."""
        named = self.comparison.bridges
        found = (replace(s, bridge=s.patient_id) if s.patient_id in named else s for s in self.samples)
        return tuple(s for s in found if s.bridge and s.gated and s.modality != "single_cell")

    @property
    def files(self) -> frozenset[Path]:
        """Every file the study was read from or names, but for the samples' own."""
        clinic = (self.measurements, self.dose_table, self.adverse_events, self.outcomes, self.intercurrent_events)
        panels = self.panels.values()
        gates = [path for p in panels for path in (p.panel, p.strategy, p.spillover, *p.templates)]
        own = (self.source, self.sheet, self.trial_file, self.methods_module, self.single_cells.reference)
        named = (*own, *clinic, *gates)
        return frozenset(path for path in named if isinstance(path, Path))

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
            before if before not in _PHASES else (registered[0] or (names[0][:1] or ("",))[0]),
            after if after not in _PHASES else (registered[1] or (names[1][-1:] or ("",))[0]),
        )
        return pair if all(pair) else None

    def _visits_in(self, phase: str) -> tuple[str, ...]:
        taken = {sample.visit for sample in self.samples if not sample.control_of}
        visits = self.trial.visits if self.trial else ()
        return tuple(visit.name for visit in visits if visit.phase == phase and visit.name in taken)


@dataclass(frozen=True)
class _PanelKeys:
    panel: str | None = None
    strategy: str | None = None
    spillover: str | None = None
    specimen: Specimen | None = None
    follow: bool = False
    templates: tuple[str, ...] = ()


@dataclass(frozen=True)
class _CellKeys:
    reference: str
    labels: str


@dataclass(frozen=True)
class _StudyKeys:
    """The keys of study.yaml."""

    study: str
    sheet: str = "samples.csv"
    trial: str | None = None
    panels: dict[str, _PanelKeys] = field(default_factory=dict)
    comparison: PlannedComparison = field(default_factory=PlannedComparison)
    measurements: str | None = None
    doses: str | None = None
    adverse_events: str | None = None
    outcomes: str | None = None
    intercurrent_events: str | None = None
    methods_module: str | None = None
    single_cells: _CellKeys | None = None
    endpoints: tuple[AnyEndpoint, ...] = ()
    arms: TrialArms | None = None
    next_cohort: NextCohort = field(default_factory=NextCohort)
    families: tuple[DeclaredFamily, ...] = ()
    simulated: bool = False
    quality: QualityChoice = field(default_factory=QualityChoice)


def read_study(path: Path | str) -> Study:
    """Read study.yaml (or the folder that holds it), the sheet and the trial.

    Parameters
    ----------
    path
        study.yaml, or the folder that holds it.

    Returns
    -------
    Study
        Trial, samples, endpoints and files; no event is read.

    Raises
    ------
    InputError
        Every problem of the study at once, each with file, line or row, and column.

    Examples
    --------
    >>> study = il.read_study("sample_data/sle")
    >>> len(study.samples), sorted({sample.visit for sample in study.samples})
    (12, ['W0', 'W10'])
    """
    with recorded_inputs() as read:
        study = _read_study(path)
    return replace(study, read=read)


def _read_study(path: Path | str) -> Study:
    if _source(path) != Path(path) and not is_there(_source(path)):
        hint = "name the folder that holds study.yaml; 'immunolab init FOLDER' proposes one from FCS files"
        raise InputError(Problem(str(path), "", "there is no study.yaml in this folder", hint))
    document = read_yaml(_source(path))
    source = Path(document.file)
    if document.data is None:
        raise InputError(Problem(str(source), "", "the file is empty", "start it with 'study: NAME'"))
    keys, problems = build_sound(_StudyKeys, document)
    sound = not problems  # else the comparison may be a default that the user did not choose
    folder = source.parent
    problems += name_problems(_names(keys), document)
    trial, faults = attempt(lambda: _trial(keys, folder, document))
    problems += faults
    settled = trial is not None or keys.trial is None
    endpoints = expanded(keys.endpoints) or (trial.expanded_endpoints() if trial else _default_endpoints())
    if settled:
        problems += endpoint_problems(keys.endpoints, trial.phase_of_visit if trial else None, document)
        problems += family_problems(keys.families, endpoints, document)
    panels = {name: _panel(choice, folder) for name, choice in keys.panels.items()} or {"": PanelChoice()}
    tables = {name: folder / written for name in (*_TABLES, "doses") if (written := getattr(keys, name))}
    named = [(("panels", name, key), path) for name, panel in panels.items() for key, path in vars(panel).items()]
    cells = CellLabels(folder / own.reference, own.labels) if (own := keys.single_cells) else CellLabels()
    named += [(("panels", name, "templates"), path) for name, panel in panels.items() for path in panel.templates]
    problems += _absent_files([*named, *(((name,), path) for name, path in tables.items())], document)
    problems += _absent_files([(("single_cells", "reference"), cells.reference)], document)
    problems += _outside(tables.get("methods_module"), document)
    doses, faults = attempt(lambda: read_doses(tables.get("doses")))
    problems += faults
    declared = tuple(keys.panels)
    samples, faults = attempt(lambda: read_samples(folder / keys.sheet, folder, trial, declared, doses or {}))
    problems += faults
    if sound and settled and samples is not None:
        problems += _comparison_problems(keys.comparison, trial, samples, document)
        problems += _specimen_problems(keys.comparison, samples, folder / keys.sheet)
        problems += _sort_problems(cells, samples, folder / keys.sheet)
        problems += _quality_problems(keys.quality, samples, document)
        problems += arm_problems(keys.arms, (s.cohort for s in samples), document)
    problems += next_cohort_problems(keys.next_cohort, endpoints, document) if sound and settled else []
    if problems:
        raise InputError(problems)
    return Study(
        name=keys.study,
        folder=folder,
        source=source,
        trial=trial,
        samples=samples or (),
        panels=panels,
        comparison=keys.comparison,
        endpoints=endpoints,
        simulated=keys.simulated,
        families=keys.families or (trial.families if trial and not keys.endpoints else ()),
        doses=doses or {},
        trial_file=_trial_file(keys, folder),
        dose_table=tables.pop("doses", None),
        sheet=folder / keys.sheet,
        arms=keys.arms or (trial.arms if trial else None),
        next_cohort=keys.next_cohort,
        quality=keys.quality,
        single_cells=cells,
        **tables,
    )


def _names(keys: _StudyKeys) -> Iterator[tuple[Place, str]]:
    yield from ((("panels", name), name) for name in keys.panels)
    yield from ((("endpoints", i, "id"), endpoint.id) for i, endpoint in enumerate(keys.endpoints))
    yield from ((("families", i, "name"), family.name) for i, family in enumerate(keys.families))


def _source(path: Path | str) -> Path:
    return Path(path) / "study.yaml" if Path(path).is_dir() else Path(path)


def named_tubes(path: Path | str) -> tuple[Path, ...]:
    """Return the FCS files of a study's sheet that are there, whatever else is wrong with the study.

    Parameters
    ----------
    path
        As in `read_study`.

    Returns
    -------
    tuple of Path
        Empty where study.yaml or the sheet cannot be read at all, which `read_study` reports.
    """

    def files() -> tuple[Path, ...]:
        document = read_yaml(_source(path))
        keys, _ = build_sound(_StudyKeys, document)
        folder = Path(document.file).parent
        return rows.named_tubes(folder / keys.sheet, folder)

    return attempt(files)[0] or ()


def _default_endpoints() -> tuple[Endpoint, ...]:
    """Return the endpoints of a study without a trial: four subsets, of CD4 and of lymphocytes."""
    return tuple(
        PercentOfParent(
            id=f"{population.lower()}_pct_{suffix}",
            source="default of immunolab",
            role="exploratory",
            population=population,
            parent=parent,
        )
        for parent, suffix in (("CD4", "cd4"), ("lymphocytes", "lymph"))
        for population in ("Treg", "Th17", "Tfh_eff", "Teff")
    )


def _trial(keys: _StudyKeys, folder: Path, document: Document) -> Trial | None:
    if keys.trial is None:
        return None
    try:
        return load_trial(_trial_file(keys, folder) or keys.trial)
    except InputError as error:
        if error.problems[0].file:
            raise
        raise InputError([document.problem(("trial",), p.message, p.hint) for p in error.problems]) from None


def _trial_file(keys: _StudyKeys, folder: Path) -> Path | None:
    own = keys.trial is not None and Path(keys.trial).suffix.lower() in (".yaml", ".yml")
    return folder / str(keys.trial) if own else None


def _panel(choice: _PanelKeys, folder: Path) -> PanelChoice:
    builtin = choice.strategy is None or Path(choice.strategy).suffix.lower() not in _STRATEGY_FILES
    return PanelChoice(
        panel=folder / choice.panel if choice.panel else None,
        strategy=choice.strategy if builtin or choice.strategy is None else folder / choice.strategy,
        spillover=folder / choice.spillover if choice.spillover else None,
        specimen=choice.specimen,
        follow=choice.follow or bool(choice.templates),
        templates=tuple(folder / name for name in choice.templates),
    )


def _absent_files(named: Iterable[tuple[tuple[str, ...], object]], document: Document) -> Iterator[Problem]:
    """Yield a problem for each file that study.yaml names and that is not there."""
    folder = Path(document.file).parent
    for place, path in named:
        if isinstance(path, Path) and not is_there(path):
            folder_there = is_there(path.parent) and path.parent.is_dir()
            beside = [item.name for item in path.parent.iterdir()] if folder_there else []
            hint = f"{nearest(path.name, beside)} paths are relative to {folder}".strip()
            written = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
            yield document.problem(place, f"file '{written}' does not exist", hint)


def _outside(code: Path | None, document: Document) -> Iterator[Problem]:
    """Yield a problem for code that is not in the study's own folder, where whoever reads the study sees it."""
    if code is not None and not code.resolve().is_relative_to(Path(document.file).parent.resolve()):
        text = "names code outside the study's folder"
        yield document.problem(("methods_module",), text, "copy the file into the study's folder and read it there")


def _sort_problems(cells: CellLabels, samples: tuple[Sample, ...], sheet: Path) -> Iterator[Problem]:
    """Yield a problem where samples are declared as sorted and a reference labels them, as `immunolab.label` does."""
    sorts = Counter(s.sorted_as for s in samples if s.sorted_as)
    if cells.reference and sorts:
        declared = ", ".join(f"{name} ({n})" for name, n in sorts.items())
        text = f"samples are declared as sorted: {declared}; a reference calls all its labels, whatever the sort"
        yield Problem(str(sheet), "column sorted", text, "empty the column, or leave single_cells out of study.yaml")


def _quality_problems(quality: QualityChoice, samples: tuple[Sample, ...], document: Document) -> Iterator[Problem]:
    batches = {s.batch for s in samples if s.batch}
    if quality.reference and quality.reference not in batches:
        hint = nearest(quality.reference, batches) or f"batches: {', '.join(sorted(batches)) or 'none'}"
        yield document.problem(("quality", "reference"), f"no sample is of batch '{quality.reference}'", hint)


def _comparison_problems(
    comparison: PlannedComparison, trial: Trial | None, samples: tuple[Sample, ...], document: Document
) -> Iterator[Problem]:
    visits = trial.visit_names if trial else tuple(dict.fromkeys(s.visit for s in samples if s.visit))
    asked = (comparison.before, comparison.after) != (PlannedComparison.before, PlannedComparison.after)
    if len(visits) == 1 and not asked:
        return  # nothing was asked to be compared, and nothing can be
    allowed = (*(_PHASES if trial else ()), *visits)
    known = {s.patient_id for s in samples}
    for i, name in enumerate(comparison.bridges):
        if name not in known:
            hint = nearest(name, known) or "name the patient_id of the bridging control's rows"
            yield document.problem(("comparison", "bridges", i), f"no sample of the sheet is of '{name}'", hint)
    for key in ("before", "after"):
        name = getattr(comparison, key)
        if name not in allowed:
            kind = "phase or visit" if trial else "visit of the sheet"
            yield document.problem(("comparison", key), f"'{name}' is no {kind}", allowed_hint(name, allowed))


def _specimen_problems(comparison: PlannedComparison, samples: tuple[Sample, ...], sheet: Path) -> Iterator[Problem]:
    """Yield a problem for each panel that mixes whole blood with frozen PBMC: freezing loses cells and markers."""
    for panel in () if comparison.mixed_specimens else dict.fromkeys(s.panel for s in samples):
        own = [s for s in samples if s.panel == panel and not s.control_of]
        n = Counter(s.specimen for s in own)
        if n["whole_blood"] and n["frozen_pbmc"]:
            name = f"panel {panel}: " if panel else ""
            text = (
                f"{name}{n['whole_blood']} samples are whole blood and {n['frozen_pbmc']} frozen PBMC: granulocytes, "
                "freezing and thawing change shares and stains, so that their change is no patient's"
            )
            hint = "give each its own panel, or write 'comparison: {mixed_specimens: true}' if this is meant"
            yield Problem(str(sheet), "column specimen", text, hint)
