"""Gates that a reader placed, before a run: which are broken, which the run will not use, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from immunolab.errors import ImmunolabError, InputError, Problem, attempt
from immunolab.events.tube import Tube
from immunolab.gating.gates import Declared
from immunolab.gating.overrides import OVERRIDES_FILE, Override, overridden, read_overrides
from immunolab.gating.overrides.applying import CHANGED_FILE
from immunolab.gating.panel_compatibility import arrange
from immunolab.gating.tube_gates import TubeGates
from immunolab.schema.files import file_sha256
from immunolab.study.sheet import Sample, Study
from immunolab.workflow.overrides import why_without_tube
from immunolab.workflow.panels import PanelGates, read_channels


def check_overrides(study: Study, panels: Mapping[str, PanelGates]) -> tuple[list[Problem], list[Problem]]:
    """Return problems of overrides.yaml, and notes on what has changed since an override was made.

    Where data have yet to place a gate, or to carry a drawn one to its tube, whether it moved since is for the run
    to say.

    Parameters
    ----------
    study
        The overrides are beside it.
    panels
        Gates by panel name.
    """
    found, faults = attempt(lambda: read_overrides(study.overrides))
    if found is None:
        return list(faults), []
    own: dict[str, list[Override]] = {}
    for one in found:
        own.setdefault(one.sample_id, []).append(one)
    samples = {s.sample_id: s for s in study.samples if s.gated and s.modality != "single_cell"}
    problems: list[Problem] = []
    notes: list[Problem] = []
    for name, several in own.items():
        if name not in samples:
            problems += [_problem(one, why_without_tube(one, study, {}), one.path) for one in several]
            continue
        for status, problem in _of_tube(samples[name], panels, several):
            (problems if status == "stale" else notes).append(problem)
    return problems, notes


def _problem(one: Override, message: str, population: str) -> Problem:
    place = f"{one.sample_id}, {population or one.borders[0].marker}"
    return Problem(OVERRIDES_FILE, place, message, "correct or remove the override, or place the gate again")


def _of_tube(sample: Sample, panels: Mapping[str, PanelGates], own: list[Override]) -> Iterator[tuple[str, Problem]]:
    """Yield status and problem of each override of a tube that is stale, or whose automatic gate has moved."""
    panel = panels[sample.panel]
    try:
        tube = replace(read_channels(sample.file, panel), sample_id=sample.sample_id)
        gates = panel.gates.for_file(sample.file.name, tube.keywords)
        if gates.needs_placing:
            gates = TubeGates(arrange(gates.strategy, tube))
        sha256 = file_sha256(sample.file) if any(one.file_sha256 for one in own) else ""
    except (ImmunolabError, OSError):
        return  # the file itself is a problem of its own
    placed = [one for one in own if one.gate is not None or not gates.needs_placing]
    by_id = {one.id: one for one in own}
    follow = panel.gates.follow  # the gates as drawn are not those that are carried to this tube
    unplaced = {p.path for p in gates.strategy.populations if follow or isinstance(p.gate, Declared)}
    for use in overridden(gates, placed, tube, sha256).overrides:
        if use.status == "applied" and use.path in unplaced:
            continue
        if use.message and use.status != "replaced":
            yield use.status, _problem(by_id[use.id], use.message, use.population)
    for one in own:
        if one not in placed and (words := _fault(gates, one, replace(tube, sha256=sha256))):
            yield "stale", _problem(one, words, one.path)


def _fault(gates: TubeGates, one: Override, tube: Tube) -> str:
    """Return why a border that data have yet to place cannot be moved; "" where nothing is known against it."""
    if one.file_sha256 and one.file_sha256 != tube.sha256:
        return CHANGED_FILE
    lacking = [border.marker for border in one.borders if border.marker not in tube]
    if lacking:
        return f"the tube has no channel or marker {', '.join(lacking)}"
    try:
        if one.path:
            gates.strategy[one.path]
    except InputError as error:
        return f"{error.problems[0].message}; {error.problems[0].hint}"
    return ""
