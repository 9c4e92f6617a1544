"""Step: a finished run's tubes beside each other: acquisitions from headers, stains, drift, identity, design."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from immunolab.errors import ImmunolabError
from immunolab.quality.acquired_order import contradicted_days
from immunolab.quality.acquisition import TubeHeader, acquisition_table, header_date
from immunolab.quality.among_tubes import beside_others
from immunolab.quality.rows import Row
from immunolab.quality.shared_matrix import said_of_matrices
from immunolab.quality.staining_sample import STAINING_EVENTS, StainingFiles
from immunolab.results.across_tubes import Apply, across_checks, across_tables
from immunolab.results.bridge_checks import bridge_checks
from immunolab.results.run import Run
from immunolab.schema.across_tubes import ACQUISITIONS, SPILLOVER
from immunolab.schema.flags import Check
from immunolab.schema.gating import QUALITY
from immunolab.study.file_names import NamedTube, header_names, names_of_others
from immunolab.study.sheet import Sample, Study
from immunolab.workflow.store import Store


def with_tables_across_tubes(run: Run, samples: Sequence[Sample], store: Store, apply: Apply = map) -> Run:
    """Return a run with what its tubes show beside each other, and with that among its checks.

    Parameters
    ----------
    run
        Its tables are finished but for these.
    samples
        The sheet's, with dates.
    store
        The run's folder: the events of each tube that staining is compared by.
    apply
        See `immunolab.results.across_tubes.across_tables`.
    """
    measured = set(run.tables["counts"]["sample_id"].astype(str))
    tubes = [s for s in samples if s.sample_id in measured and s.modality != "single_cell"]
    headers = list(tube_headers(tubes))
    acquisitions = acquisition_table(headers)
    found = across_tables(run.study, run.tables, acquisitions, staining_samples(store, tubes), apply=apply)
    tables = {**run.tables, **found}
    if len(acquisitions):
        tables[ACQUISITIONS.name] = acquisitions
    tables["quality"] = checks_across_tubes(run.tables["quality"], run.study, tubes, headers, tables)
    return replace(run, tables=tables)


def checks_across_tubes(
    quality: pd.DataFrame,
    study: Study,
    tubes: Sequence[Sample],
    headers: Sequence[TubeHeader],
    tables: Mapping[str, pd.DataFrame],
) -> pd.DataFrame:
    """Return the checks of tubes by themselves, and with them those of the tubes beside each other.

    Parameters
    ----------
    quality
        Rows of `QUALITY` of the tubes by themselves.
    study, tubes, headers
        The study, its tubes with dates, and their headers.
    tables
        Staining, spillover, identity and those of bridging controls, by name.
    """
    bridges = QUALITY.frame(list(bridge_checks(tables)))
    sheet = [_days_contradicted(study, tubes, headers), _named_otherwise(tubes, headers)]
    others = [QUALITY.frame(across_checks(tables)), *sheet, bridges]
    own = _of_matrices(_beside_others(quality, tubes), tables.get(SPILLOVER.name, SPILLOVER.empty()))
    parts = [frame for frame in (own, *others) if len(frame)]
    return QUALITY.check(pd.concat(parts, ignore_index=True)) if parts else quality


def _days_contradicted(study: Study, tubes: Sequence[Sample], headers: Sequence[TubeHeader]) -> pd.DataFrame:
    """Return the checks of tubes whose header has a day that the sheet does not allow."""
    days = [header_date(one.text.get("$DATE", "")) for one in headers]
    found, _ = contradicted_days(list(zip(tubes, days, strict=True)), study.declared_visits)
    return QUALITY.frame([one.row for one in found])


def _named_otherwise(tubes: Sequence[Sample], headers: Sequence[TubeHeader]) -> pd.DataFrame:
    """Return the checks of tubes whose file or header names another patient or visit of the sheet."""
    named = [
        NamedTube(s.sample_id, s.patient_id, s.visit, s.file.name, header_names(one.text))
        for s, one in zip(tubes, headers, strict=True)
        if s.patient_id and not s.bridge and not s.control_of
    ]
    said: dict[str, dict[str, list[str]]] = {}  # sample_id -> whom it names -> where
    for sample_id, text in names_of_others(named):
        where, _, whom = text.rpartition(": ")[0].partition(" names ")
        said.setdefault(sample_id, {}).setdefault(whom, []).append(where)
    row = {"check": Check.NAMED_OTHER.value, "status": "warn"}
    return QUALITY.frame([row | {"sample_id": one, "message": _naming(found)} for one, found in said.items()])


def _naming(found: Mapping[str, Sequence[str]]) -> str:
    """Return ``its file name and its header name visit W10, the sheet W0``."""
    return "; ".join(f"{' and '.join(where)} name{'s'[len(where) - 1 :]} {whom}" for whom, where in found.items())


def _beside_others(quality: pd.DataFrame, tubes: Sequence[Sample]) -> pd.DataFrame:
    """Return the checks, with a warning where doublets, dead cells or debris are far above those of like tubes."""
    kinds = {s.sample_id: (s.panel, s.stimulation, bool(s.bridge), s.control_of or "") for s in tubes}
    own = quality["sample_id"].isin(kinds) & quality["value"].notna()
    return _changed(quality, own, beside_others(quality[own].to_dict("records"), kinds))


def _of_matrices(quality: pd.DataFrame, spillover: pd.DataFrame) -> pd.DataFrame:
    """Return the checks, where what compensation leaves in tubes with one matrix warns once."""
    own = quality["check"] == Check.RESIDUAL_SPILLOVER
    rows = said_of_matrices(quality[own].to_dict("records"), spillover.to_dict("records"))
    return _changed(quality, own, rows)


def _changed(quality: pd.DataFrame, own: pd.Series, rows: Sequence[Row]) -> pd.DataFrame:
    """Return the checks with what rows among them say now."""
    changed = quality.copy()
    for name in ("status", "message"):
        changed.loc[own, name] = [row[name] for row in rows]
    return changed


def staining_samples(store: Store, samples: Sequence[Sample]) -> StainingFiles:
    """Return the events of each tube that staining is compared by, of tubes that have them.

    Parameters
    ----------
    store
        The run's folder.
    samples
        The tubes.
    """
    return StainingFiles({s.sample_id: store.sample_folder(s.sample_id) / STAINING_EVENTS for s in samples})


def tube_headers(samples: Sequence[Sample]) -> Iterator[TubeHeader]:
    """Yield what acquisitions are made of; of a file that is no longer there what the sheet says.

    Parameters
    ----------
    samples
        The tubes, with dates.
    """
    from immunolab.loaders.fcs.read import read_header

    for sample in samples:
        try:
            text = read_header(sample.file).text
        except (ImmunolabError, OSError):  # the file was read for its counts, and is no longer there
            text = {}
        yield TubeHeader(sample.sample_id, sample.panel, sample.batch, sample.date, text)
