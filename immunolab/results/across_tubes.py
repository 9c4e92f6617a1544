"""What is compared across the tubes of a study, as tables: staining, drift, identity, design, flow of samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd

from immunolab.comparison.visit_design import visit_design
from immunolab.quality.batch_drift import TubeRun, drift_table
from immunolab.quality.crossed_labels import crossed_labels
from immunolab.quality.identity import TubeOwner, identity_table
from immunolab.quality.staining import staining_findings
from immunolab.quality.staining_sample import StainingSample
from immunolab.schema.across_tubes import DESIGN, DRIFT, IDENTITY, SAMPLE_FLOW, STAINING
from immunolab.schema.flags import Check
from immunolab.study.sheet import Sample, Study

Apply = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
_CHECKS = {
    "exchanged": Check.EXCHANGED,
    "absent_stain": Check.ABSENT_STAIN,
    "absent_population": Check.ABSENT_POPULATION,
    "crossed": Check.CROSSED_LABELS,
}


def across_tables(
    study: Study,
    tables: Mapping[str, pd.DataFrame],
    acquisitions: pd.DataFrame,
    stains: Mapping[str, StainingSample],
    *,
    apply: Apply = map,
) -> dict[str, pd.DataFrame]:
    """Return the tables of `schema.across_tubes` that have a row, by name.

    Parameters
    ----------
    study
        As a run keeps it.
    tables
        Counts, landmarks, endpoints, failures and pairs, by name.
    acquisitions
        Rows of `ACQUISITIONS`.
    stains
        Events of each tube, by sample_id.
    apply
        Maps a function over the tables that take long, in order, perhaps in several processes.
    """
    tubes = [s for s in study.samples if s.gated and s.modality != "single_cell"]
    runs = list(_runs(tubes, acquisitions))
    bridges = study.comparison.bridges
    owners = [
        TubeOwner(s.sample_id, s.patient_id, s.visit, s.panel)
        for s in tubes
        if s.patient_id and not s.control_of and not s.stimulation and s.patient_id not in bridges
    ]
    long = {
        STAINING.name: partial(staining_table, tubes, stains),
        DRIFT.name: partial(drift_table, tables["landmarks"], runs),
        IDENTITY.name: partial(identity_table, tables["counts"], owners),
    }
    found = {
        **dict(zip(long, apply(_made, long.values()), strict=True)),
        DESIGN.name: visit_design(study, _cytometers(acquisitions)),
        SAMPLE_FLOW.name: sample_flow_table(study, tables),
    }
    return {name: table for name, table in found.items() if len(table)}


def _made(table: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    return table()


def _cytometers(acquisitions: pd.DataFrame) -> dict[str, str]:
    """Return cytometer by sample where there is more than one in the study."""
    known = acquisitions.dropna(subset=["cytometer"])
    if known["cytometer"].nunique() < 2:
        return {}
    return dict(zip(known["sample_id"].astype(str), known["cytometer"].astype(str), strict=True))


def _runs(tubes: Sequence[Sample], acquisitions: pd.DataFrame) -> Iterator[TubeRun]:
    rows = {str(row["sample_id"]): row for row in acquisitions.to_dict("records")}
    for sample in tubes:
        row = rows.get(sample.sample_id)
        if row is None or sample.stimulation:
            continue
        words = {"lot": sample.lot, "site": sample.site, "operator": sample.operator}
        context = [f"{name} {value}" for name, value in words.items() if value]
        context += [str(row[name]) for name in ("cytometer", "settings") if pd.notna(row[name])]
        yield TubeRun(
            sample.sample_id,
            sample.panel,
            str(row["batch"]) if pd.notna(row["batch"]) else "",
            int(row["day"]) if pd.notna(row["day"]) else None,
            tuple(context),
        )


def staining_table(tubes: Sequence[Sample], stains: Mapping[str, StainingSample]) -> pd.DataFrame:
    """Return rows of `STAINING`: tubes are compared within a panel, stimulated ones apart.

    Parameters
    ----------
    tubes
        Samples of the sheet.
    stains
        Events of each tube, by sample_id.
    """
    rows: list[dict[str, object]] = []
    for panel, stimulation in dict.fromkeys((s.panel, s.stimulation) for s in tubes):
        ids = [s.sample_id for s in tubes if (s.panel, s.stimulation) == (panel, stimulation)]
        found = staining_findings(stains, ids)
        named = {(one.tube, frozenset((one.marker, one.other))) for one in found if one.kind == "exchanged"}
        crossed = [c for c in crossed_labels(stains, ids) if (c.tube, frozenset((c.marker, c.other))) not in named]
        for one in (*found, *crossed):
            tube = stains[one.tube]
            rows.append({
                "sample_id": one.tube, "panel": panel, "marker": one.marker,
                "channel": tube.names[tube.markers.index(one.marker)], "finding": one.kind,
                "other_marker": one.other or None, "value": one.value, "limit": one.limit, "message": one.message,
            })  # fmt: skip
    return STAINING.frame(rows)


def sample_flow_table(study: Study, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return rows of `SAMPLE_FLOW`.

    Parameters
    ----------
    study
        Its samples without controls and bridging controls are counted.
    tables
        Counts, endpoints, failures and pairs, by name.
    """
    own = study.of_patients
    failed = set(tables["failures"]["sample_id"].astype(str))
    seen = set(tables["counts"]["sample_id"].astype(str)) | set(tables["endpoints"]["sample_id"].dropna().astype(str))
    rows: list[dict[str, object]] = []
    for cohort in dict.fromkeys(s.cohort for s in own):
        steps = {"sheet": [s for s in own if s.cohort == cohort]}
        steps["failed"] = [s for s in steps["sheet"] if s.sample_id in failed]
        steps["not_run"] = [s for s in steps["sheet"] if s.sample_id not in failed | seen]
        steps["measured"] = [s for s in steps["sheet"] if s.sample_id in seen - failed]
        rows += [
            {"cohort": cohort, "step": step, "n_patients": len({s.patient_id for s in some}), "n_samples": len(some)}
            for step, some in steps.items()
        ]
        pairs = tables["pairs"]
        pairs = pairs[pairs["cohort"].fillna("") == cohort]
        for endpoint, some in pairs.groupby("endpoint", sort=False):
            n = int(some["shift"].notna().sum())
            rows.append({"cohort": cohort, "step": "pairs", "endpoint": str(endpoint), "n_patients": n})
    return SAMPLE_FLOW.frame(rows)


def across_checks(found: Mapping[str, pd.DataFrame]) -> list[dict[str, object]]:
    """Return rows of `QUALITY` for what the tables name of single tubes: stains and identity.

    Parameters
    ----------
    found
        Tables of `across_tables`, by name.
    """
    rows: list[dict[str, object]] = []
    for row in found[STAINING.name].to_dict("records") if STAINING.name in found else ():
        check = _CHECKS[str(row["finding"])]
        rows.append(_check(row["sample_id"], check, row["value"], row["limit"], str(row["message"])))
    for row in found[IDENTITY.name].to_dict("records") if IDENTITY.name in found else ():
        if row["suspected"] == "yes":
            rows.append(_check(row["sample_id"], Check.IDENTITY, row["log_odds"], row["limit"], str(row["message"])))
    return rows


def _check(sample: object, check: Check, value: object, limit: object, message: str) -> dict[str, object]:
    place: dict[str, object] = {"sample_id": sample, "check": check, "value": value, "limit": limit}
    return place | {"status": "warn", "message": message}
