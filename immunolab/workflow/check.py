"""Everything that can be wrong with a study, found without reading an event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from immunolab.errors import DataFileError, ImmunolabError, InputError, Problem, nearest
from immunolab.events.tube import Tube, identity
from immunolab.schema.flags import Check
from immunolab.study.endpoints import Endpoint
from immunolab.study.sheet import Sample, Study, read_study
from immunolab.study.timeline import timeline_quality
from immunolab.workflow.clinic import ClinicSources, read_clinic
from immunolab.workflow.panels import PanelGates, read_panels

_COUNT = "lymphocytes_per_ul"
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


def check_study(source: Path | str) -> Checked:
    """Validate a study's YAML, sheet, trial, panels, strategies and the header of every file.

    Parameters
    ----------
    source
        study.yaml, or the folder that holds it.

    Returns
    -------
    Checked
        Every problem at once; nothing is raised for faults of the study.
    """
    try:
        study = read_study(source)
    except InputError as error:
        return Checked(error.problems, (), 0, 0)
    samples = [s for s in study.samples if s.modality != "single_cell"]
    try:
        panels = read_panels(study)
    except InputError as error:
        return Checked(error.problems, (), len(samples), len({s.patient_id for s in samples}))
    from immunolab.quality.panel_drift import find_drift

    problems: list[Problem] = []
    notes: list[Problem] = []
    try:
        clinic = read_clinic(study)
        notes += [*_unmeasured(study, panels, clinic), *_without_sample(study, clinic)]
    except InputError as error:
        problems += error.problems
    labels: dict[str, dict[str, list[tuple[str, str]]]] = {}
    for sample in samples:
        found = _check_file(sample, panels[sample.panel])
        problems += found.problems
        notes += found.notes
        if found.names:
            labels.setdefault(sample.panel, {})[str(sample.file)] = found.names
    drift = [one for files in labels.values() for one in find_drift(files)]
    problems += [one.problem for one in drift if not one.harmless]
    notes += [one.problem for one in drift if one.harmless]
    notes += _off_calendar(study)
    return Checked(
        _gathered(problems), tuple(map(str, _gathered(notes))), len(samples), len({s.patient_id for s in samples})
    )


def _off_calendar(study: Study) -> list[Problem]:
    """Return the samples that the run will flag as off their visit's window or phase, or dosed before baseline."""
    found = timeline_quality(study.trial, [s for s in study.samples if not s.control_of], study.doses)
    sheet = study.sheet.name if study.sheet else ""
    off = found[found["check"].isin(_OFF_CALENDAR)]
    return [Problem(sheet, f"sample {row.sample_id}", str(row.message)) for row in off.itertuples()]


def _unmeasured(study: Study, panels: Mapping[str, PanelGates], clinic: ClinicSources | None) -> list[Problem]:
    """Return one note that names every endpoint which no gate makes and no table holds: a slip, or not measured."""
    asked = [(endpoint.id, *_source_of(endpoint, study, panels, clinic)) for endpoint in study.endpoints]
    lacking: dict[str, list[str]] = {}
    for name, needed, there in asked:
        for one in sorted(needed - there):
            meant = "" if one == _COUNT else nearest(one, there)
            lacking.setdefault(f"'{one}'" + (f" ({meant})" if meant else ""), []).append(name)
    if not lacking:
        return []
    listed = "; ".join(f"{one} for {', '.join(names)}" for one, names in lacking.items())
    return [Problem(study.name, "", f"needed by an endpoint and not measured in this study: {listed}", "")]


def _without_sample(study: Study, clinic: ClinicSources | None) -> list[Problem]:
    """Return one note that names the patients of the clinic's tables whom the sheet lacks: a slip, or never sampled."""
    sheet = {sample.patient_id for sample in study.samples if sample.patient_id}
    measured = clinic.measurements["patient_id"] if clinic else ()
    others = dict.fromkeys(name for name in (*map(str, measured), *study.doses) if name not in sheet)
    named = [f"'{name}'" + (f" ({meant})" if (meant := nearest(name, sheet)) else "") for name in others]
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    message = f"measured or dosed, but without a sample: {', '.join(named[:_NAMED])}{more}; they count as patients"
    return [Problem(study.name, "", message, "")] if named else []


def _source_of(
    endpoint: Endpoint, study: Study, panels: Mapping[str, PanelGates], clinic: ClinicSources | None
) -> tuple[set[str], set[str]]:
    """Return the names an endpoint needs, and those there are of their kind."""
    needs = endpoint.needs
    if endpoint.counted:
        strategies = [panel.gates.declared for panel in panels.values()]
        if not all(strategies) or any(s.modality == "single_cell" for s in study.samples):
            return set(), set()  # names of imported gates and of cells are matched when they are read
        needed = {*needs.populations, *([_COUNT] if needs.blood_count else [])}
        made = {population.name for strategy in strategies if strategy for population in strategy.populations}
        counted = any(sample.lymphocytes_per_ul for sample in study.samples)
        return needed, made | {"root"} | ({_COUNT} if counted else set())
    outcomes = clinic.happened.get("outcomes") if clinic else None
    if needs.outcomes:
        return set(needs.outcomes), set() if outcomes is None else set(map(str, outcomes["endpoint"]))
    held = {str(name) for name in (*clinic.measurements["variable"], *clinic.scores["score"])} if clinic else set()
    if needs.assays:  # under the assay's name, that of its parts, or the endpoint's
        names = {endpoint.id} if endpoint.id in held else set(needs.assays)
        return names, held | {variable.partition(".")[0] for variable in held}
    return {*needs.scores, *needs.variables}, held


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
    """Problems and notes of a file, and (channel, label) of its channels; none for a file that cannot be read."""

    problems: list[Problem]
    notes: list[Problem] = field(default_factory=list)
    names: list[tuple[str, str]] = field(default_factory=list)


def _check_file(sample: Sample, panel: PanelGates) -> _FileCheck:
    from immunolab.loaders.fcs.read import read_header
    from immunolab.vocabulary.panel import resolve_channels

    try:
        header = read_header(sample.file)
    except DataFileError as error:
        return _FileCheck([Problem(str(sample.file), "", error.message, error.hint)])
    if header.n_events == 0:
        hint = "acquire the tube again or leave it out"
        return _FileCheck([Problem(str(sample.file), "", "the file holds no events", hint)])
    notes = [Problem(str(sample.file), "", text) for text in header.warnings]
    names = [(channel.name, channel.label) for channel in header.channels]
    channels = resolve_channels([n for n, _ in names], [label for _, label in names], dict(panel.markers) or None)
    empty, file = np.empty((len(channels), 0), np.float32), str(sample.file)
    nothing = Tube(empty, channels, None, sample.sample_id, file, keywords=identity(header.text))
    return _FileCheck([] if sample.control_of else _gate_problems(sample, panel, nothing), notes, names)


def _gate_problems(sample: Sample, panel: PanelGates, nothing: Tube) -> list[Problem]:
    from immunolab.gating.panel_compatibility import missing_markers

    try:
        gates = panel.gates.for_file(sample.file.name, nothing.keywords)
        if gates.needs_placing:
            missing_markers(gates.strategy, nothing)
            return []
    except ImmunolabError as error:
        return [Problem(str(sample.file), "", error.message, error.hint)]
    from immunolab.gating.validation import gate_problems

    found = (*gates.unread, *gate_problems(gates.strategy, nothing))
    return [Problem(str(sample.file), p.place, p.message, p.hint) for p in found]
