"""The study: its sample sheet, trial, panels and comparison, read and checked as one.

`read_study` reads study.yaml and the sheet beside it, lists every problem of both at once and reads
no event.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from immunolab.config import Document, Place, build_sound, read_yaml
from immunolab.errors import InputError, Problem, attempt
from immunolab.input_files import is_there, recorded_inputs
from immunolab.schema.gating import Specimen
from immunolab.study import rows
from immunolab.study.arms import TrialArms, arm_problems
from immunolab.study.choices import CellLabels, PanelChoice, PlannedComparison, QualityChoice
from immunolab.study.doses import read_doses
from immunolab.study.endpoints import AnyEndpoint, Endpoint, PercentOfParent, endpoint_problems, expanded
from immunolab.study.families import DeclaredFamily, family_problems
from immunolab.study.names import name_problems
from immunolab.study.next_cohort import NextCohort, next_cohort_problems
from immunolab.study.rows import Sample, read_samples
from immunolab.study.study import Study
from immunolab.study.study_problems import (
    absent_files,
    comparison_problems,
    outside,
    quality_problems,
    sort_problems,
    specimen_problems,
)
from immunolab.study.trial import Trial, load_trial

__all__ = ["DEFAULT_SOURCE", "PanelChoice", "PlannedComparison", "Sample", "Study", "read_study"]

DEFAULT_SOURCE = "default of immunolab"
"""Source of the endpoints of a study without a trial that declares none."""

_STRATEGY_FILES = (".yaml", ".yml", ".xml", ".wsp")
_TABLES = ("measurements", "adverse_events", "outcomes", "intercurrent_events", "methods_module")


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
    keys, problems, doubtful = build_sound(_StudyKeys, document)
    chosen = doubtful <= {"endpoints", "families"}  # else the comparison may be a default that the user did not choose
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
    problems += absent_files([*named, *(((name,), path) for name, path in tables.items())], document)
    if "single_cells" not in doubtful:  # else the file may be one that the user did not name
        problems += absent_files([(("single_cells", "reference"), cells.reference)], document)
    problems += outside(tables.get("methods_module"), document)
    doses, faults = attempt(lambda: read_doses(tables.get("doses")))
    problems += faults
    declared = tuple(keys.panels)
    samples, faults = attempt(lambda: read_samples(folder / keys.sheet, folder, trial, declared, doses or {}))
    problems += faults
    if chosen and settled and samples is not None:
        problems += comparison_problems(keys.comparison, trial, samples, document)
        problems += specimen_problems(keys.comparison, samples, folder / keys.sheet)
        problems += sort_problems(cells, samples, folder / keys.sheet)
        problems += quality_problems(keys.quality, keys.comparison, samples, document)
        problems += arm_problems(keys.arms, (s.cohort for s in samples), document)
    problems += next_cohort_problems(keys.next_cohort, endpoints, document) if settled and not doubtful else []
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
        keys, _, _ = build_sound(_StudyKeys, document)
        folder = Path(document.file).parent
        return rows.named_tubes(folder / keys.sheet, folder)

    return attempt(files)[0] or ()


def _default_endpoints() -> tuple[Endpoint, ...]:
    """Return the endpoints of a study without a trial: four subsets, of CD4 and of lymphocytes."""
    return tuple(
        PercentOfParent(
            id=f"{population.lower()}_pct_{suffix}",
            source=DEFAULT_SOURCE,
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
