"""Step: from the samples' folders to study-wide tables, and to endpoint rows on the trial's time line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from immunolab.cells.study_rows import registers_nothing
from immunolab.cells.study_tables import CellTables
from immunolab.gating.overrides import Override
from immunolab.quantify import endpoint_values
from immunolab.schema.across_tubes import LANDMARKS, SPILLOVER
from immunolab.schema.bridges import BEADS
from immunolab.schema.csv_files import cell_text
from immunolab.schema.endpoints import ENDPOINTS
from immunolab.schema.flags import READERS, Flag, split
from immunolab.schema.gating import (
    COUNTS,
    FAILURES,
    INTENSITIES,
    INTERVALS,
    JOINT,
    QUALITY,
    REMOVED_STRETCHES,
    THRESHOLDS,
    UNCLEANED_COUNTS,
)
from immunolab.schema.overrides import OVERRIDES
from immunolab.schema.table import Table
from immunolab.study.endpoints import Endpoint, Joint, SampleCounts, TubeBeads
from immunolab.study.endpoints.counts import LYMPHOCYTES
from immunolab.study.sheet import Sample, Study
from immunolab.study.timeline import timeline_quality
from immunolab.workflow.bridge_tables import bridge_values
from immunolab.workflow.clinic import Clinic
from immunolab.workflow.gate_scopes import gate_scopes
from immunolab.workflow.overrides import overrides_table
from immunolab.workflow.stimulated import stimulated_tubes, stimulated_values, stimulation_tables
from immunolab.workflow.store import Store
from immunolab.workflow.tasks import Failure


@dataclass(frozen=True)
class Quantified:
    """What was measured in a study.

    Attributes
    ----------
    tables
        Counts, thresholds, intensities, quality, endpoints and failures, by name.
    samples
        Gated samples that the tables are made of.
    endpoints
        Endpoints of flow and of single cells.
    undeclared
        What the clinic of a study without a trial measures besides.
    bridges
        The endpoints of bridging controls, which are no patients and in no other table of endpoints.
    """

    tables: dict[str, pd.DataFrame]
    samples: tuple[Sample, ...]
    endpoints: tuple[Endpoint, ...]
    undeclared: tuple[Endpoint, ...] = ()
    bridges: pd.DataFrame = field(default_factory=pd.DataFrame)


def quantify(
    study: Study,
    store: Store,
    endpoints: tuple[Endpoint, ...],
    failures: Mapping[str, Failure],
    clinic: Clinic | None,
    cells: CellTables,
    overrides: Sequence[Override] = (),
) -> Quantified:
    """Return the study-wide tables of every sample that was finished.

    Parameters
    ----------
    study, store
        The study, and the folder of its samples' tables.
    endpoints
        As `study_endpoints` gives them.
    failures
        By sample; such samples are in no table but failures.
    clinic
        Adds its endpoint rows.
    cells
        What single cells add.
    overrides
        Gates that a reader placed.
    """
    samples = [s for s in study.samples if s.gated]
    done = [
        s for s in samples if s.sample_id not in failures and (store.sample_folder(s.sample_id) / "counts.csv").exists()
    ]
    tables = {table.name: _stack(store, done, table) for table in (COUNTS, THRESHOLDS, INTENSITIES, QUALITY, LANDMARKS)}
    cleaned = {
        table.name: _stack(store, done, table) for table in (REMOVED_STRETCHES, UNCLEANED_COUNTS, BEADS, SPILLOVER)
    }
    by_hand = [s for s in done if (store.sample_folder(s.sample_id) / "overrides.csv").exists()]
    cleaned[OVERRIDES.name] = overrides_table(_stack(store, by_hand, OVERRIDES), overrides, study, failures)
    tables |= {name: table for name, table in cleaned.items() if len(table)}
    timing = timeline_quality(study.trial, [s for s in samples if not s.control_of], study.doses)
    tables["quality"] = QUALITY.check(pd.concat([tables["quality"], timing], ignore_index=True))
    held = held_counts(store, done, tables["counts"])
    bridges = bridge_values(study, done, endpoints, held)
    rows = _flow_rows(study, store, [s for s in done if not (s.stimulation or s.bridge)], endpoints, tables, held)
    differences, stimulation = stimulated_values(study, endpoints, stimulated_tubes(done, held, tables["thresholds"]))
    rows, tables = [*rows, *differences], tables | stimulation_tables(stimulation)
    if cells.rows:
        by = {s.sample_id: s.modality for s in study.samples}
        own = tables["counts"].assign(modality=tables["counts"]["sample_id"].map(by))
        tables["counts"] = joined(COUNTS, [own, cells.counts])
        tables["thresholds"] = joined(THRESHOLDS, [tables["thresholds"], cells.thresholds])
        tables["quality"] = joined(QUALITY, [tables["quality"], cells.quality])
        rows = [*(row | {"modality": by[row["sample_id"]]} for row in rows), *cells.rows]
        known = {e.id for e in cells.endpoints}
        kept = () if registers_nothing(study) else (e for e in endpoints if e.id not in known)
        endpoints = (*kept, *cells.endpoints)
    tables["endpoints"] = joined(ENDPOINTS, [ENDPOINTS.frame(rows), *([clinic.rows] if clinic else [])])
    tables["failures"] = FAILURES.frame(_failure_rows(study, failures))
    return Quantified(tables, tuple(done), endpoints, clinic.undeclared if clinic else (), bridges)


def _stack(store: Store, samples: Sequence[Sample], table: Table) -> pd.DataFrame:
    return table.read(*(store.sample_folder(s.sample_id) / f"{table.name}.csv" for s in samples))


def joined(table: Table, frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Return frames of one declared table as one checked frame.

    Parameters
    ----------
    table
        Its declaration.
    frames
        Empty ones are left out, whatever their columns.
    """
    found = table.joined(frames)
    return table.check(found) if len(found) else found


def _flow_rows(
    study: Study,
    store: Store,
    samples: Sequence[Sample],
    endpoints: Sequence[Endpoint],
    tables: Mapping[str, pd.DataFrame],
    held: Mapping[str, SampleCounts],
) -> list[dict[str, Any]]:
    """Return endpoint rows of gated tubes: one a patient, visit and endpoint, of the panel that `one_panel` says."""
    rows: list[dict[str, Any]] = []
    order = {name: i for i, name in enumerate(study.panels)}
    scopes = gate_scopes(tables["counts"], tables["thresholds"])
    errors = _gate_errors(_stack(store, samples, INTERVALS))
    values = [
        (s, v) for s in samples for v in endpoint_values(endpoints, held[s.sample_id], errors.get(s.sample_id, {}))
    ]
    contrasts = {e.id: study.contrast_of(e) or () for e in endpoints}
    tubes = [(s.patient_id, str(value["endpoint"]), s.panel, s.visit) for s, value in values]
    panels, others = one_panel(tubes, order, contrasts)
    answered: set[tuple[str, str, str]] = set()
    for (sample, value), (patient, endpoint, panel, visit) in zip(values, tubes, strict=True):
        if panels[patient, endpoint] != panel or (patient, endpoint, visit) in answered:
            continue
        answered.add((patient, endpoint, visit))
        if (patient, endpoint) in others:
            value = value | {"flag": ";".join([*split(value["flag"]), Flag.OTHER_PANEL])}
        if not READERS.isdisjoint(split(value["flag"])):
            # known of the automatic gates only, not of a reader's
            value = {key: one for key, one in value.items() if key not in ("gate_low", "gate_high")}
            value["gate_scope"] = "sample"
        elif "gate_low" in value:
            parent = str(value["parent"] or LYMPHOCYTES)
            value["gate_scope"] = scopes[sample.sample_id].of(str(value["population"]), parent)
        rows.append(study.place_of(sample) | value)
    return rows


def one_panel(
    tubes: Iterable[tuple[str, str, str, str]], order: Mapping[str, int], contrasts: Mapping[str, Sequence[str]]
) -> tuple[dict[tuple[str, str], str], set[tuple[str, str]]]:
    """Return the panel that each patient's values of an endpoint are taken from, and where it is not the usual one.

    A change between tubes of two panels would be that of the panels too (other clones and dyes, fixed cells), so all
    values of a patient are of one: that which has the most of the compared visits, of several the one that most
    patients can have, of several again the first in the study's order. The usual panel is that of most patients.

    Parameters
    ----------
    tubes
        Patient, endpoint, panel and visit of each value.
    order
        Place of each panel in the study.
    contrasts
        Visits that each endpoint is compared at; none where it is not, and all visits count.
    """
    seen: dict[tuple[str, str], dict[str, set[str]]] = {}
    for patient, endpoint, panel, visit in tubes:
        seen.setdefault((patient, endpoint), {}).setdefault(panel, set()).add(visit)
    best = {(patient, of): _widest(visits, contrasts.get(of, ())) for (patient, of), visits in seen.items()}
    able: dict[str, Counter[str]] = {}
    for (_, endpoint), panels in best.items():
        able.setdefault(endpoint, Counter()).update(panels)

    def preferred(endpoint: str, panels: Iterable[str]) -> str:
        return min(panels, key=lambda name: (-able[endpoint][name], order.get(name, 0)))

    chosen = {key: preferred(key[1], panels) for key, panels in best.items()}
    return chosen, {key for key, panel in chosen.items() if panel != preferred(key[1], able[key[1]])}


def _widest(visits: Mapping[str, set[str]], contrast: Sequence[str]) -> list[str]:
    """Return the panels that have the most of a patient's compared visits; of all visits where none are compared."""
    compared = set(contrast) or set.union(*visits.values())
    most = max(len(there & compared) for there in visits.values())
    return [panel for panel, there in visits.items() if len(there & compared) == most]


def held_counts(store: Store, samples: Sequence[Sample], counts: pd.DataFrame) -> dict[str, SampleCounts]:
    """Return the counts of each sample, by population.

    Parameters
    ----------
    store
        The folder of the samples' tables.
    samples
        Those that were counted.
    counts
        Rows of COUNTS.
    """
    joints = _joints(_stack(store, samples, JOINT))
    beads = tube_beads(_stack(store, samples, BEADS))
    own = dict(tuple(counts.groupby("sample_id", sort=False)))
    return {
        s.sample_id: SampleCounts(
            own[s.sample_id],
            joints.get(s.sample_id, []),
            lymphocytes_per_ul=s.lymphocytes_per_ul,
            beads=beads.get(s.sample_id),
        )
        for s in samples
    }


def tube_beads(table: pd.DataFrame) -> dict[str, TubeBeads]:
    """Return the counting beads of each sample.

    Parameters
    ----------
    table
        Rows of BEADS.
    """
    return {
        str(row["sample_id"]): TubeBeads(
            n=int(row["n_beads"]),
            each=None if pd.isna(row["per_ul_per_event"]) else float(row["per_ul_per_event"]),
            cv=0.0 if pd.isna(row["bead_cv_percent"]) else float(row["bead_cv_percent"]) / 100.0,
            flag=cell_text(row["flag"]),
        )
        for row in table.to_dict("records")
    }


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


def _failure_rows(study: Study, failures: Mapping[str, Failure]) -> list[dict[str, Any]]:
    return [
        {
            "sample_id": s.sample_id,
            "file": study.relative(s.file),
            "stage": failures[s.sample_id].stage,
            "error": failures[s.sample_id].error,
            "hint": failures[s.sample_id].hint or None,
        }
        for s in study.samples
        if s.sample_id in failures
    ]
