"""What is planned: everything that decides which numbers an analysis gives, as plain data.

Of a file its meaning counts, not its text: comments, spaces, the order of keys, sources and notes are not in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from immunolab.gating.gate_source import Gates
from immunolab.gating.record_codec import to_plain as gates_to_plain
from immunolab.schema.records import to_plain
from immunolab.study.endpoints import Endpoint
from immunolab.study.study import Study
from immunolab.vocabulary.populations import definitions

_PROSE = {
    "source",
    "note",
    "verified",
    "window_source",
    "parent_source",
    "title",
    "statements",
    "file",
    "schema",
    "is",
    "registry",
    "condition",
}
_ELSEWHERE = {"endpoints", "families", "estimand", "arms"}  # of a trial: parts of the plan of their own
_TABLES = ("measurements", "dose_table", "adverse_events", "outcomes", "intercurrent_events")
_NOISE = ("noise", "noise_df", "within_person", "between_tubes")
_TEST, _ADJUST = "auto", "auto"  # of `comparison.plan.Plan`, which a study cannot choose otherwise
Content = Mapping[str, Any]


@dataclass(frozen=True)
class PanelSource:
    """The gates of a panel, its markers by channel, and files that are part of it.

    Attributes
    ----------
    gates
        As read.
    markers
        Marker by channel, as the panel file names them.
    files
        Sha256 by what a file is for: ``gate file`` of imported gates, ``spillover``, ``template``.
    """

    gates: Gates
    markers: tuple[tuple[str, str], ...] = ()
    files: Mapping[str, str] | None = None


def planned_content(
    study: Study, endpoints: Iterable[Endpoint], panels: Mapping[str, PanelSource], code_sha256: str = ""
) -> Content:
    """Return the plan of a study as plain data, as JSON gives it back.

    Parameters
    ----------
    study
        As read.
    endpoints
        What it compares, one denominator each.
    panels
        Gates by panel name.
    code_sha256
        Of the study's own code; "" without.
    """
    comparison, trial = study.comparison, study.trial
    content = {
        "study": study.name,
        "trial": _trial(study),
        "endpoints": {one.id: _endpoint(one, study) for one in endpoints},
        "families": _named(study.families, "name") | {"order": [one.name for one in study.families]},
        "comparison": {
            "before": comparison.before,
            "after": comparison.after,
            "test": _TEST,
            "adjust": _ADJUST,
            "moderated": comparison.moderated,
        },
        "arms": _plain(study.arms) if study.arms else {},
        "estimand": _estimand(study),
        "noise": {name: getattr(comparison, name) for name in _NOISE},
        "exclusions": {
            "bridging controls": sorted({*comparison.bridges, *(s.patient_id for s in study.samples if s.bridge)}),
            "cut faulty stretches": study.quality.clean,
            "mixed specimens": comparison.mixed_specimens,
        },
        "bridging": {"bridge": study.quality.bridge, "reference": study.quality.reference},
        "panels": {name: _panel(one) for name, one in panels.items()},
        "definitions": _definitions(panels.values()),
        "single cells": {
            "reference": _name(study, study.single_cells.reference),
            "labels": study.single_cells.labels,
        },
        "tables": {name: _name(study, getattr(study, name)) for name in _TABLES},
        "code": code_sha256,
        "samples": {one.sample_id: _sample(one, study) for one in study.samples},
        "subgroups": list(trial.subgroups) if trial else [],
        "covariates": list(trial.covariates) if trial else [],
    }
    plain: Content = json.loads(json.dumps(content))
    return plain


def is_of_population(gate: Any, marker: str) -> bool:
    """Return whether a gate, as plain data, names a marker or channel.

    Parameters
    ----------
    gate
        Plain data.
    marker
        Its name.
    """
    if isinstance(gate, Mapping):
        return any(is_of_population(item, marker) for pair in gate.items() for item in pair)
    if isinstance(gate, (list, tuple)):
        return any(is_of_population(item, marker) for item in gate)
    return bool(gate == marker)


def _plain(value: Any) -> Any:
    """Return a value as plain data without what is prose."""
    return _without_prose(to_plain(value))


def _without_prose(plain: Any) -> Any:
    if isinstance(plain, Mapping):
        return {key: _without_prose(item) for key, item in plain.items() if key not in _PROSE}
    return [_without_prose(item) for item in plain] if isinstance(plain, list) else plain


def _named(things: Iterable[Any], key: str) -> dict[str, Any]:
    """Return records by their own name, so that a change is named instead of counted."""
    found = {}
    for one in things:
        plain = _plain(one)
        found[plain.pop(key)] = plain
    return found


def _trial(study: Study) -> Any:
    if study.trial is None:
        return None
    trial = study.trial
    bare = replace(trial, endpoints=(), families=(), estimand=None, arms=None, statements=())
    plain = {key: item for key, item in _plain(bare).items() if key not in _ELSEWHERE}
    plain["visits"] = _named(trial.visits, "name")
    plain["selection"] = _named(trial.selection, "measure")
    plain.pop("subgroups")
    plain.pop("covariates")
    return plain


def _estimand(study: Study) -> Any:
    estimand = study.trial.estimand if study.trial else None
    if estimand is None:
        return {}
    events = {
        one.event: {key: item for key, item in _plain(one).items() if key != "event"} | {"rule": one.rule}
        for one in estimand.events
    }
    return {"population": estimand.population, "treatment": estimand.treatment, "events": events}


def _endpoint(endpoint: Endpoint, study: Study) -> dict[str, Any]:
    """Return what an endpoint states where that is not the default, and the visits that it is compared at."""
    stated = {
        field.name: _plain(getattr(endpoint, field.name))
        for field in fields(endpoint)
        if field.name not in _PROSE | {"id"} and getattr(endpoint, field.name) != field.default
    }
    contrast = study.contrast_of(endpoint) if endpoint.paired else None
    compared = {"compared": [contrast.before, contrast.after]} if contrast else {}
    if compared:
        stated.pop("contrast", None)
    return {"statistic": endpoint.statistic, "role": endpoint.role, "label": endpoint.label} | stated | compared


def _panel(panel: PanelSource) -> dict[str, Any]:
    gates = panel.gates
    declared = None if gates.declared is None else replace(gates.declared, source="")
    return {
        "strategy": None if declared is None else gates_to_plain(declared),
        "specimen": gates.specimen or (declared.specimen if declared else None),
        "follow": gates.follow,
        "markers": dict(panel.markers),
        "files": dict(panel.files or {}),
    }


def _definitions(panels: Iterable[PanelSource]) -> dict[str, Any]:
    """Return the published definitions that populations of the strategies follow, as this version words them."""
    trees = (panel.gates.declared for panel in panels)
    used = {population.definition for tree in trees if tree is not None for population in tree.populations}
    return {
        one.id: {"parent": one.parent, "phenotype": one.phenotype or "", "exclude": list(one.exclude)}
        for one in definitions()
        if one.id in used
    }


def _sample(sample: Any, study: Study) -> dict[str, Any]:
    names = ("patient_id", "visit", "cohort", "panel", "modality", "control_of", "bridge", "marker", "stimulation")
    found = {name: getattr(sample, name) for name in names} | {"sorted": sample.sorted_as}
    return {name: value for name, value in found.items() if value} | {"file": study.relative(sample.file)}


def _name(study: Study, path: Path | None) -> str | None:
    return None if path is None else study.relative(path)
