"""Step: what was measured and compared becomes one value, the run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from immunolab.comparison.response_tests import tests_of_study
from immunolab.results.record import as_read_back
from immunolab.results.run import Run
from immunolab.schema.files import file_sha256
from immunolab.schema.gating import SCALES
from immunolab.study.sheet import Study
from immunolab.version import library_versions
from immunolab.workflow.across_tubes import with_tables_across_tubes
from immunolab.workflow.clinic import Clinic
from immunolab.workflow.compare import StudyComparison, worth_workers
from immunolab.workflow.panels import PanelGates
from immunolab.workflow.quantify import Quantified
from immunolab.workflow.scales import scale_rows
from immunolab.workflow.spread import SpreadWork
from immunolab.workflow.store import Store


def finished_run(
    study: Study,
    store: Store,
    *,
    measured: Quantified,
    comparison: StudyComparison,
    further: Mapping[str, pd.DataFrame],
    panels: Mapping[str, PanelGates],
    hashes: Mapping[str, str],
    seed: int,
    spread: SpreadWork,
) -> Run:
    """Return a run as a value.

    Parameters
    ----------
    study
        The study as read.
    store
        The run's folder.
    measured, comparison
        What was measured, and how it compares.
    further
        Tables beyond those, by name.
    panels
        Gates by panel name.
    hashes
        Sha256 of the file of every sample that could be read.
    seed
        Seed of every random draw.
    spread
        Where tubes are compared with each other.
    """
    # a file that is not in the record was not read (of a panel without samples), so that no number is from it
    inputs = {study.relative(path): study.read.get(os.path.abspath(path)) or file_sha256(path) for path in study.files}
    inputs |= {study.relative(s.file): hashes[s.sample_id] for s in study.samples if s.sample_id in hashes}
    run = Run(
        study=_kept(replace(study, endpoints=measured.endpoints)),
        folder=store.root,
        tables={**measured.tables, **comparison.tables, **further},
        compared=comparison.compared,
        findings=comparison.findings,
        notes=comparison.notes,
        strategies={name: p.gates.declared for name, p in panels.items() if p.gates.declared is not None},
        inputs=dict(sorted(inputs.items())),
        seed=seed,
        versions=library_versions(),
    )
    where = worth_workers(spread, measured.tables["endpoints"])
    return as_read_back(with_tables_across_tubes(run, study.samples, store, where))


def _kept(study: Study) -> Study:
    """Return a study as its run keeps it: no dates, visits in order, operators as numbers, columns of subgroups."""
    wanted = study.trial.subgroups if study.trial else ()
    numbers = {
        name: str(i + 1) for i, name in enumerate(dict.fromkeys(s.operator for s in study.samples if s.operator))
    }
    samples = (
        replace(
            s,
            date=None,
            operator=numbers.get(s.operator, ""),
            extra={k: v for k, v in s.extra.items() if k in wanted},
        )
        for s in study.samples
    )
    doses = {patient: replace(given, first_date=None) for patient, given in study.doses.items()}
    trial = replace(study.trial, file=Path(study.trial.file).name) if study.trial else None
    visits = study.sampled_visits  # dates tell it
    return replace(study, samples=tuple(samples), doses=doses, read={}, trial=trial, visit_order=visits)


def clinic_tables(clinic: Clinic | None, study: Study) -> dict[str, pd.DataFrame]:
    """Return the tables of what the clinic measured; none for a study without measurements.

    Parameters
    ----------
    clinic
        The clinical side of the study, where it has one.
    study
        The study as read.
    """
    if clinic is None or not (study.measurements or len(clinic.measurements)):
        return {}
    optional = {"components": clinic.components, "context": clinic.context, "responses": clinic.responses}
    optional |= {"event_counts": clinic.event_counts, "response_tests": tests_of_study(clinic.responses, study)}
    found = {"measurements": clinic.measurements, "scores": clinic.scores, "responders": clinic.responders}
    return found | {name: table for name, table in optional.items() if len(table)}


def scale_tables(panels: Mapping[str, PanelGates]) -> dict[str, pd.DataFrame]:
    """Return the table of the scales that data chose; none where the strategies name theirs.

    Parameters
    ----------
    panels
        Gates by panel name, on the scales of the study.
    """
    rows = list(scale_rows({name: panel.gates for name, panel in panels.items()}))
    return {SCALES.name: SCALES.frame(rows)} if rows else {}
