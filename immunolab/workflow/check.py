"""Everything that can be wrong with a study, found from its files' headers and from a few events of each tube."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from immunolab.errors import DataFileError, ImmunolabError, Problem, attempt, nearest
from immunolab.events.tube import Tube
from immunolab.schema.flags import Check
from immunolab.study.control_tubes import bridge_notes
from immunolab.study.names import alike
from immunolab.study.sample import files_twice
from immunolab.study.sheet import Sample, Study, named_tubes, read_study
from immunolab.study.timeline import timeline_quality, visits_out_of_order
from immunolab.workflow.check_cells import cell_problems
from immunolab.workflow.check_overrides import check_overrides
from immunolab.workflow.check_runs import StudyHeaders
from immunolab.workflow.check_stains import panel_stains
from immunolab.workflow.clinic import ClinicSources, read_clinic
from immunolab.workflow.panels import PanelGates, read_panels, without_events
from immunolab.workflow.plan import checked_plan
from immunolab.workflow.unmeasured import GatedNames, unmeasured

if TYPE_CHECKING:
    from immunolab.loaders.fcs.header import FcsHeader

_NAMED = 10  # patients in one note
_OFF_CALENDAR = (Check.OUT_OF_WINDOW, Check.OUT_OF_PHASE, Check.DOSED_AT_BASELINE)
_FILES_NAMED = 3  # of those that share a problem


@dataclass(frozen=True)
class Checked:
    """Problems that a user must fix, notes worth a look, and how much was looked at."""

    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    n_samples: int
    n_patients: int


def check_study(source: Path | str, *, allow_code: bool = False) -> Checked:
    """Validate a study's YAML, sheet, trial, panels, strategies and the header of every file.

    Parameters
    ----------
    source
        study.yaml, or the folder that holds it.
    allow_code
        Whether the Python file of ``methods_module`` is run.

    Returns
    -------
    Checked
        Every problem at once; nothing is raised for faults of the study.

    Examples
    --------
    >>> checked = il.check_study("sample_data/sle")
    >>> checked.n_samples, list(checked.problems)
    (12, [])
    """
    study, faults = attempt(lambda: read_study(source))
    if study is None:
        return Checked(_gathered((*faults, *_unusable(named_tubes(source)))), (), 0, 0)
    samples = [s for s in study.samples if s.modality != "single_cell"]
    n_samples, n_patients = len(study.samples), len({s.patient_id for s in study.samples if not s.bridge})
    panels, faults = attempt(lambda: read_panels(study, allow_code=allow_code))
    clinic, clinic_faults = attempt(lambda: read_clinic(study))
    of_cells, said_of_cells = cell_problems(study)
    problems = [*faults, *clinic_faults, *of_cells]
    if panels is None:
        problems += _unusable(sample.file for sample in samples)
        return Checked(_gathered(problems), (), n_samples, n_patients)
    found = _check_tubes(study, samples, panels)
    asked = tuple(endpoint for endpoint in study.endpoints if not clinic_faults or endpoint.counted)
    sentences = unmeasured(asked, study, panels, clinic, found.gated).sentences
    broken, changed = check_overrides(study, panels)
    planned = checked_plan(study, panels)
    problems += [*found.problems, *broken, *planned.problems]
    aliased, hardly = _design(study)
    bridges = [Problem(study.sheet.name if study.sheet else "", "", text) for text in bridge_notes(study.samples)]
    notes = [  # from what would make results wrong to what is only worth knowing
        *(*found.suspicious, *_files_twice(study), *_alike(study), *aliased),
        *(Problem(study.source.name, "", text, "") for text in sentences),
        *(*found.changes, *hardly, *bridges, *changed, *planned.notes),
        *(*_without_sample(study, clinic), *_off_calendar(study), *found.notes, *said_of_cells),
    ]
    return Checked(_gathered(problems), tuple(map(str, _gathered(notes))), n_samples, n_patients)


@dataclass
class _Tubes:
    """What is found of a study's tubes: problems, notes by gravity, and the names of what can be gated."""

    problems: list[Problem] = field(default_factory=list)
    suspicious: list[Problem] = field(default_factory=list)
    changes: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)
    gated: dict[str, GatedNames] = field(default_factory=dict)


def _check_tubes(study: Study, samples: Sequence[Sample], panels: Mapping[str, PanelGates]) -> _Tubes:
    found, headers = _Tubes(), StudyHeaders(study)
    labels: dict[str, dict[str, list[tuple[str, str]]]] = {}
    for sample in samples:
        own = _check_file(sample, panels[sample.panel], headers)
        found.problems += own.problems
        found.notes += own.notes
        if sample.gated:
            found.gated[sample.sample_id] = own.gated or GatedNames.declared(panels[sample.panel].gates.declared)
        if own.names:
            labels.setdefault(sample.panel, {})[str(sample.file)] = own.names
    found.suspicious += headers.suspicious()
    for name, files in labels.items():
        _check_panel([s for s in samples if s.panel == name and str(s.file) in files], panels[name], files, found)
    found.changes += headers.changes()
    return found


def _check_panel(
    samples: Sequence[Sample], panel: PanelGates, files: Mapping[str, list[tuple[str, str]]], found: _Tubes
) -> None:
    """Add what the events of a panel's tubes, and the labels of all its files, say beside each other."""
    from immunolab.quality.panel_drift import find_drift

    with TemporaryDirectory() as place:
        stains = panel_stains(samples, panel, Path(place))
        found.problems += stains.problems
        wrong, gone = stains.notes()
        found.suspicious += wrong
        for one in find_drift(files):
            judged, settled = stains.judged(one) if one.kind == "swapped" else (one, one.harmless)
            (found.suspicious if settled else found.problems).append(judged.problem)
        found.notes += gone


def _off_calendar(study: Study) -> list[Problem]:
    """Return the samples that the run will flag as off their visit's window or phase, or dosed before baseline."""
    found = timeline_quality(study.trial, [s for s in study.samples if not s.control_of], study.doses)
    sheet = study.sheet.name if study.sheet else ""
    off = found[found["check"].isin(_OFF_CALENDAR)]
    turned = [
        Problem(sheet, "", f"visits and days are in different orders, as where labels were exchanged: {text}")
        for text in visits_out_of_order(study.trial, study.samples)
    ]
    return [*turned, *(Problem(sheet, f"sample {row.sample_id}", str(row.message)) for row in off.itertuples())]


def _design(study: Study) -> tuple[list[Problem], list[Problem]]:
    """Return which changes between visits cannot, and hardly, be separated from batch, operator, lot or site."""
    from immunolab.comparison.visit_design import design_sentences, visit_design

    sheet, design = study.sheet.name if study.sheet else "", visit_design(study)
    aliased = design["status"] == "aliased"
    cannot, hardly = (design_sentences(design[rows]) for rows in (aliased, ~aliased))
    return [Problem(sheet, "", text) for text in cannot], [Problem(sheet, "", text) for text in hardly]


def _without_sample(study: Study, clinic: ClinicSources | None) -> list[Problem]:
    """Return one note that names the patients of the clinic's tables whom the sheet lacks: a slip, or never sampled."""
    sheet = {sample.patient_id for sample in study.samples if sample.patient_id and not sample.bridge}
    measured = clinic.measurements["patient_id"] if clinic else ()
    others = dict.fromkeys(name for name in (*map(str, measured), *study.doses) if name not in sheet)
    named = [f"'{name}'" + (f" ({meant})" if (meant := nearest(name, sheet)) else "") for name in others]
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    message = f"measured or dosed, but without a sample: {', '.join(named[:_NAMED])}{more}; they count as patients"
    return [Problem(study.name, "", message, "")] if named else []


def _alike(study: Study) -> list[Problem]:
    """Return one note that names patients of the sheet who may be one: a visit of theirs would have no pair."""
    pairs = alike(s.patient_id for s in study.samples if s.patient_id and not s.control_of)
    named = "; ".join(" and ".join(f"'{name}'" for name in own) for own in pairs[:_NAMED])
    more = f"; and {len(pairs) - _NAMED} more" if len(pairs) > _NAMED else ""
    text = f"patients who may be one, spelled differently: {named}{more}; they count as different patients"
    return [Problem(study.sheet.name if study.sheet else study.name, "", text, "")] if pairs else []


def _files_twice(study: Study) -> list[Problem]:
    """Return one note that names visits that have one file: a change between them is none."""
    found = files_twice(study.samples)
    named = "; ".join(found[:_NAMED]) + (f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else "")
    text = f"one file for several patients or visits, which then differ in nothing: {named}"
    return [Problem(study.sheet.name if study.sheet else study.name, "", text, "")] if found else []


def _gathered(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return problems in order, one for all the files that share it."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for problem in problems:
        alike.setdefault((problem.place, problem.message, problem.hint), []).append(problem.file)
    return tuple(Problem(_named(files), *rest) for rest, files in alike.items())


def _named(files: Sequence[str]) -> str:
    return ", ".join(files) if len(files) <= _FILES_NAMED else f"{files[0]} and {len(files) - 1} more files"


@dataclass(frozen=True)
class _FileCheck:
    """What is found in a file: (channel, label) of its channels, and what is gated; none where it cannot be read."""

    problems: list[Problem]
    notes: list[Problem] = field(default_factory=list)
    names: list[tuple[str, str]] = field(default_factory=list)
    gated: GatedNames | None = None


def _header(file: Path) -> FcsHeader | Problem:
    """Return a file's header, or why the file cannot be used."""
    from immunolab.loaders.fcs.read import read_header

    try:
        header = read_header(file)
    except DataFileError as error:
        return Problem(str(file), "", error.message, error.hint)
    if header.n_events:
        return header
    return Problem(str(file), "", "the file holds no events", "acquire the tube again or leave it out")


def _unusable(files: Iterable[Path]) -> list[Problem]:
    """Return why files cannot be used, whatever is wrong beside them."""
    return [found for file in files if isinstance(found := _header(file), Problem)]


def _check_file(sample: Sample, panel: PanelGates, headers: StudyHeaders) -> _FileCheck:
    header = _header(sample.file)
    if isinstance(header, Problem):
        return _FileCheck([header])
    headers.add(sample, header.text)
    notes = [Problem(str(sample.file), "", text) for text in header.warnings]
    names = [(channel.name, channel.label) for channel in header.channels]
    if not sample.gated:
        return _FileCheck([], notes, names)
    found = _gate_problems(sample, panel, without_events(header, sample.file, panel))
    return _FileCheck([], notes, names, found) if isinstance(found, GatedNames) else _FileCheck(found, notes, names)


def _gate_problems(sample: Sample, panel: PanelGates, nothing: Tube) -> list[Problem] | GatedNames:
    """Return what of a tube cannot be gated, or the names of what can."""
    try:
        gates = panel.gates.for_file(sample.file.name, nothing.keywords)
        if gates.needs_placing:
            return GatedNames.of(gates.strategy, nothing)
    except ImmunolabError as error:
        return [Problem(str(sample.file), "", error.message, error.hint)]
    from immunolab.gating.validation import gate_problems

    found = (*gates.unread, *gate_problems(gates.strategy, nothing))
    return [Problem(str(sample.file), p.place, p.message, p.hint) for p in found] or GatedNames.declared(gates.strategy)
