"""Study-wide tables from the samples' folders: endpoints on the trial's time line, pairs, shifts."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from immunolab.clinical.suppression import VARIABLE as SUPPRESSION_VARIABLE
from immunolab.comparison.multiplicity import adjusted_together
from immunolab.comparison.plan import Noise, Plan, Scale
from immunolab.comparison.table import Comparison, compare_endpoints
from immunolab.errors import ComparisonError, ImmunolabError, InputError
from immunolab.quantify import endpoint_values, with_companions
from immunolab.report.run_tables import Compared, RunTables
from immunolab.schema.files import file_sha256
from immunolab.schema.table import Table
from immunolab.schema.tables import (
    COUNTS,
    ENDPOINTS,
    FAILURES,
    INTENSITIES,
    INTERVALS,
    JOINT,
    PAIRS,
    QUALITY,
    SHIFTS,
    THRESHOLDS,
    declared,
)
from immunolab.study.endpoints import Endpoint, Joint, PercentOfParent, SampleCounts
from immunolab.study.sheet import Sample, Study
from immunolab.study.timeline import timeline_quality
from immunolab.workflow.cell_tables import CellTables, agreement_tables
from immunolab.workflow.clinic import Clinic
from immunolab.workflow.derived_tables import further_tables
from immunolab.workflow.gating_sensitivity import with_other_gatings
from immunolab.workflow.panels import PanelGates
from immunolab.workflow.store import Store
from immunolab.workflow.workers import Failure

_UNSTATED_NOISE_DF = 20


@dataclass(frozen=True)
class Tables:
    """Every table of a finished run, by its name in `immunolab.schema.tables`, and the comparison's notes."""

    frames: Mapping[str, pd.DataFrame]
    comparisons: tuple[Comparison, ...]
    compared: tuple[Compared, ...]
    notes: tuple[str, ...] = ()
    endpoints: tuple[Endpoint, ...] = field(default_factory=tuple)
    further: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    def __getitem__(self, name: str) -> pd.DataFrame:
        """Return a table."""
        return self.frames[name]


def study_endpoints(study: Study, panels: Mapping[str, PanelGates]) -> tuple[Endpoint, ...]:
    """Return what the study compares, one denominator each.

    A study without a trial whose gates hold none of the default subsets compares every population
    as percent of its parent.
    """
    known = _population_names(study, panels)
    endpoints = study.endpoints
    if study.trial is None and known and not any(e.subset in known for e in endpoints):
        endpoints = tuple(_percent_of_parent(name, parent) for name, parent in known.items() if parent != "root")
    absolute = any(s.lymphocytes_per_ul is not None for s in study.samples)
    return with_companions(endpoints, absolute=absolute)


def _population_names(study: Study, panels: Mapping[str, PanelGates]) -> dict[str, str]:
    names: dict[str, str] = {}
    for sample in study.samples:
        panel = panels.get(sample.panel)
        if panel is None or sample.control_of:
            continue
        try:
            strategy = panel.gates.for_file(sample.file.name).strategy
        except ImmunolabError:
            continue  # the sample fails by name when its gates are needed
        names |= {p.name: p.parent for p in strategy.populations}
        if panel.gates.declared is not None and len(panels) == 1:
            break
    return names


def _percent_of_parent(name: str, parent: str) -> Endpoint:
    return PercentOfParent(
        id=f"{name}_pct_{parent}",
        source="every population of the gating strategy",
        role="exploratory",
        population=name,
        parent=parent,
    )


def gather(
    study: Study,
    store: Store,
    panels: Mapping[str, PanelGates],
    failures: Mapping[str, Failure],
    clinic: Clinic | None,
    of_cells: CellTables,
) -> Tables:
    """Return every table of the samples that stand, and the comparison of their visits."""
    done = [
        s
        for s in study.samples
        if not s.control_of
        and s.sample_id not in failures
        and (store.sample_folder(s.sample_id) / "counts.csv").exists()
    ]
    frames = {table.name: _stack(store, done, table) for table in (COUNTS, THRESHOLDS, INTENSITIES, QUALITY)}
    timing = timeline_quality(study.trial, [s for s in study.samples if not s.control_of], study.doses)
    frames["quality"] = QUALITY.check(pd.concat([frames["quality"], timing], ignore_index=True))
    flow_endpoints = study_endpoints(study, panels)
    rows = _flow_rows(study, store, done, flow_endpoints, frames["counts"])
    endpoints = _with_cells(frames, rows, flow_endpoints, of_cells)
    gated = ENDPOINTS.frame(rows)
    frames["endpoints"] = _concat(ENDPOINTS, [gated, *([clinic.rows] if clinic else [])])
    frames["failures"] = FAILURES.frame(_failure_rows(study, failures))
    compared, comparisons, notes = _compare(study, endpoints, frames["endpoints"])
    frames["pairs"] = _concat(PAIRS, [c.pairs for c in comparisons])
    frames["shifts"] = with_other_gatings(
        _concat(SHIFTS, [c.shifts for c in comparisons]), store, done, flow_endpoints, frames["endpoints"], compared
    )
    further = dict(of_cells.further) | (agreement_tables(frames["endpoints"]) if of_cells.rows else {})
    notes += of_cells.notes
    return Tables(frames, tuple(comparisons), tuple(compared), tuple(notes), endpoints, further)


def _with_cells(
    frames: dict[str, pd.DataFrame], rows: list[dict[str, Any]], endpoints: tuple[Endpoint, ...], cells: CellTables
) -> tuple[Endpoint, ...]:
    """Add what single cells say to the tables and rows of flow; return the endpoints of both."""
    if not cells.rows:
        return endpoints
    frames["counts"] = _concat(COUNTS, [frames["counts"].assign(modality="flow"), cells.counts])
    frames["thresholds"] = _concat(THRESHOLDS, [frames["thresholds"], cells.thresholds])
    frames["quality"] = _concat(QUALITY, [frames["quality"], cells.quality])
    for row in rows:
        row["modality"] = "flow"
    rows += cells.rows
    known = {e.id for e in cells.endpoints}
    return (*(e for e in endpoints if e.id not in known), *cells.endpoints)


def finish(
    study: Study,
    store: Store,
    panels: Mapping[str, PanelGates],
    failures: Mapping[str, Failure],
    clinic: Clinic | None,
    hashes: Mapping[str, str],
    seed: int,
    cells: CellTables | None = None,
) -> RunTables:
    """Write every study-wide table and return what the report is made of.

    Parameters
    ----------
    failures : by sample; such samples are in no table but failures.csv.
    hashes : sha256 of the file of every sample that could be read.
    cells : what single cells add, where the study has some.
    """
    tables = gather(study, store, panels, failures, clinic, cells or CellTables())
    shutil.rmtree(store.root / "tables", ignore_errors=True)
    further = further_tables(tables.comparisons, tables["pairs"], tables.endpoints, clinic, seed) | dict(tables.further)
    written = {**tables.frames, **further}
    if clinic and study.measurements:
        written |= {"measurements": clinic.measurements, **_clinic_frames(clinic)}
    for name, frame in written.items():
        declared(name).write(frame, store.root / "tables" / f"{name}.csv")
    return RunTables(
        study=study,
        tables={**tables.frames, **further, **(_clinic_frames(clinic) if clinic else {})},
        endpoints=tables.endpoints,
        compared=tables.compared,
        findings=tuple(finding for c in tables.comparisons for finding in c.warnings),
        notes=tables.notes,
        strategies={name: p.gates.declared for name, p in panels.items() if p.gates.declared is not None},
        inputs=_inputs(study, hashes),
        seed=seed,
    )


def _clinic_frames(clinic: Clinic) -> dict[str, pd.DataFrame]:
    frames = {"scores": clinic.scores, "responders": clinic.responders}
    optional = {"components": clinic.components, "context": clinic.context}
    return frames | {name: frame for name, frame in optional.items() if len(frame)}


def _inputs(study: Study, hashes: Mapping[str, str]) -> dict[str, str]:
    inputs = {_relative(study, path): file_sha256(path) for path in study.files}
    inputs |= {_relative(study, s.file): hashes[s.sample_id] for s in study.samples if s.sample_id in hashes}
    return dict(sorted(inputs.items()))


def _relative(study: Study, path: Path) -> str:
    return path.relative_to(study.folder).as_posix() if path.is_relative_to(study.folder) else path.name


def _stack(store: Store, samples: Sequence[Sample], table: Table) -> pd.DataFrame:
    return table.read(*(store.sample_folder(s.sample_id) / f"{table.name}.csv" for s in samples))


def _concat(table: Table, frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    filled = [frame for frame in frames if len(frame)]
    return table.check(pd.concat(filled, ignore_index=True)) if filled else table.empty()


def _flow_rows(
    study: Study, store: Store, samples: Sequence[Sample], endpoints: Sequence[Endpoint], counts: pd.DataFrame
) -> list[dict[str, Any]]:
    """Return endpoint rows of gated tubes; a visit's second panel adds only what the first cannot answer."""
    rows: list[dict[str, Any]] = []
    answered: set[tuple[str, str, str]] = set()
    order = {name: i for i, name in enumerate(study.panels)}
    by_sample = dict(tuple(counts.groupby("sample_id", sort=False)))
    joints, errors = _joints(_stack(store, samples, JOINT)), _gate_errors(_stack(store, samples, INTERVALS))
    for sample in sorted(samples, key=lambda s: order.get(s.panel, 0)):
        name = sample.sample_id
        held = SampleCounts(by_sample[name], joints.get(name, []), lymphocytes_per_ul=sample.lymphocytes_per_ul)
        place = place_of(study, sample)
        for value in endpoint_values(endpoints, held, errors.get(name, {})):
            key = (sample.patient_id, sample.visit, str(value["endpoint"]))
            if key not in answered:
                answered.add(key)
                rows.append(place | value)
    position = {s.sample_id: i for i, s in enumerate(samples)}
    return sorted(rows, key=lambda row: position[row["sample_id"]])


def _joints(table: pd.DataFrame) -> dict[str, list[Joint]]:
    found: dict[str, list[Joint]] = {}
    for sample, name, parent, n in zip(*(table[c].tolist() for c in JOINT.names), strict=True):
        found.setdefault(sample, []).append(Joint(name, parent, n))
    return found


def _gate_errors(table: pd.DataFrame) -> dict[str, dict[tuple[str, str], float]]:
    found: dict[str, dict[tuple[str, str], float]] = {}
    for sample, name, parent, error in zip(*(table[c].tolist() for c in INTERVALS.names), strict=True):
        found.setdefault(sample, {})[name, parent] = error
    return found


def place_of(study: Study, sample: Sample) -> dict[str, Any]:
    """Return the columns that say whose row of the endpoint table a sample is, and when it was taken."""
    found = study.timeline_of(sample)
    return {
        "sample_id": sample.sample_id,
        "patient_id": sample.patient_id,
        "cohort": sample.cohort or None,
        "visit": sample.visit,
        "study_day": found.study_day,
        "days_since_last_dose": found.days_since_last_dose,
        "phase": found.phase or ("" if study.trial else _phase_of(study, sample)) or None,
        "cycle_state": found.cycle_state,
        "batch": sample.batch or None,
    }


def _phase_of(study: Study, sample: Sample) -> str:
    names = {study.comparison.before: "baseline", study.comparison.after: "on_treatment"}
    return names.get(sample.visit, "")


def _failure_rows(study: Study, failures: Mapping[str, Failure]) -> list[dict[str, Any]]:
    return [
        {
            "sample_id": s.sample_id,
            "file": _relative(study, s.file),
            "stage": failures[s.sample_id].stage,
            "error": failures[s.sample_id].error,
            "hint": failures[s.sample_id].hint or None,
        }
        for s in study.samples
        if s.sample_id in failures
    ]


def _compare(
    study: Study, endpoints: Sequence[Endpoint], rows: pd.DataFrame
) -> tuple[list[Compared], list[Comparison], list[str]]:
    """Compare each endpoint at its own contrast; what cannot be compared is noted, never dropped silently."""
    declared = {e.id: e for e in endpoints}
    sets: dict[tuple[tuple[str, str], str], list[str]] = {}
    notes = []
    for name in dict.fromkeys(rows["endpoint"]):
        endpoint = declared.get(name)
        if endpoint is not None and not endpoint.paired:
            continue
        contrast = study.contrast_of(endpoint) if endpoint else None
        visits = contrast or (study.comparison.before, study.comparison.after)
        sets.setdefault((visits, endpoint.family if endpoint else ""), []).append(name)
    compared, comparisons = [], []
    for (contrast, family), names in sets.items():
        own = rows[rows["endpoint"].isin(names)]
        plan = _plan(study, contrast, [declared[n] for n in names if n in declared], own)
        try:
            comparisons.append(compare_endpoints(own, plan))
            compared.append(Compared(plan, tuple(names), family))
        except ComparisonError as error:
            notes.append(f"{contrast[1]} against {contrast[0]}: {error.message} ({', '.join(names)})")
        except InputError as error:
            notes += [str(problem) for problem in error.problems]
    tables = adjusted_together([one.shifts for one in comparisons], [one.family for one in compared])
    comparisons = [replace(one, shifts=table) for one, table in zip(comparisons, tables, strict=True)]
    return compared, comparisons, notes


def _scales(rows: pd.DataFrame) -> dict[str, Scale]:
    """Return the scale of endpoints whose unit does not tell it: an inhibition is % but can be below 0."""
    signed = rows.loc[rows["population"] == SUPPRESSION_VARIABLE, "endpoint"]
    return {str(name): "identity" for name in signed.unique()}


def _plan(study: Study, contrast: tuple[str, str], endpoints: Sequence[Endpoint], rows: pd.DataFrame) -> Plan:
    batches = {s.sample_id: s.batch for s in study.samples if s.batch}
    return Plan(
        before=contrast[0],
        after=contrast[1],
        roles={e.id: e.role for e in endpoints},
        scales=_scales(rows),
        noise=_noise(study.comparison.noise, endpoints),
        batch=batches if len(set(batches.values())) > 1 else {},
        unbatched=_not_counted(rows),
    )


def _not_counted(rows: pd.DataFrame) -> tuple[str, ...]:
    """Return the endpoints that rest on no cell: a tube's batch says nothing of the clinic."""
    counted = rows.groupby("endpoint", sort=False)["n_events"].count()
    return tuple(map(str, counted.index[counted == 0]))


def _noise(percent: float | None, endpoints: Sequence[Endpoint]) -> dict[str, Noise] | None:
    """Return the declared assay noise of each gated endpoint; a ratio carries that of both subsets."""
    if percent is None:
        return None
    variance = math.log1p((percent / 100.0) ** 2)
    source = f"inter-assay CV of {percent:g} % declared by the study, taken as known from {_UNSTATED_NOISE_DF} repeats"
    return {
        e.id: Noise(math.sqrt(variance * e.noise_parts), _UNSTATED_NOISE_DF, source) for e in endpoints if e.noise_parts
    }
