"""Step: the tables of a study's bridging controls: charts, CV, channels, and what following them changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from immunolab.comparison.bridge_charts import OUTSIDE, chart_rows, cv_rows, deviations
from immunolab.comparison.bridged import bridged_tables
from immunolab.comparison.plan import Compared
from immunolab.quantify import endpoint_values
from immunolab.schema.bridges import BRIDGE_CHANNELS
from immunolab.schema.gating import OTHER_GATINGS
from immunolab.study.endpoints import Endpoint, SampleCounts
from immunolab.study.sheet import Sample, Study
from immunolab.workflow.bridge import Bridged, run_order
from immunolab.workflow.store import Store

_NAMES = (
    *("sample_id", "patient_id", "bridge", "aliquot", "batch", "endpoint", "population", "parent"),
    *("value", "unit", "n_events", "n_parent", "flag"),
)


def bridge_values(
    study: Study, samples: Sequence[Sample], endpoints: Sequence[Endpoint], held: Mapping[str, SampleCounts]
) -> pd.DataFrame:
    """Return every endpoint of every bridging control, with columns of the endpoint table, ``bridge`` and ``aliquot``.

    Parameters
    ----------
    study
        Names the bridging controls.
    samples
        Tubes that were counted.
    endpoints
        Of gated tubes.
    held
        Counts by sample_id.
    """
    done = {s.sample_id for s in samples}
    order = {name: i for i, name in enumerate(study.panels)}
    bridges = sorted((s for s in study.bridges if s.sample_id in done), key=lambda s: order.get(s.panel, 0))
    panel_of: dict[str, str] = {}
    rows: list[dict[str, Any]] = []
    for sample in bridges:
        who: dict[str, Any] = {"sample_id": sample.sample_id, "patient_id": sample.bridge, "bridge": sample.bridge}
        who |= {"aliquot": sample.aliquot or None, "batch": sample.batch or ""}
        for value in endpoint_values(endpoints, held[sample.sample_id]):
            if panel_of.setdefault(str(value["endpoint"]), sample.panel) == sample.panel:
                rows.append(who | value)
    return pd.DataFrame(rows, columns=list(_NAMES)) if rows else pd.DataFrame(columns=list(_NAMES))


def bridge_tables(
    study: Study,
    store: Store,
    values: pd.DataFrame,
    bridged: Bridged,
    tables: Mapping[str, pd.DataFrame],
    endpoints: Sequence[Endpoint],
    compared: Sequence[Compared],
) -> dict[str, pd.DataFrame]:
    """Return the tables of bridging controls by name; none for a study without any.

    Parameters
    ----------
    study, store
        The study, and the folder of its samples' counts.
    values
        As `bridge_values` gives them.
    bridged
        What following the bridges gave.
    tables
        endpoints, pairs and shifts of the run, and intensities.
    endpoints
        Of gated tubes.
    compared
        The comparisons made.
    """
    if not study.bridges:
        return {}
    order = {name: i for i, name in enumerate(run_order(study.samples), start=1)}
    found = {"bridge_channels": channel_rows(bridged, order)}
    if len(values):
        found |= {"bridges": chart_rows(values, order), "bridge_cv": cv_rows(values)}
    if bridged.tubes:
        found["bridge_moves"] = bridged.moves
        paths = [store.sample_folder(name) / "other_gatings.csv" for name in bridged.tubes]
        counted = OTHER_GATINGS.read(*(path for path in paths if path.exists()))
        shares = {e.share: e.id for e in endpoints if e.share}
        refused = {name: one.reason for name, one in bridged.tubes.items() if one.outcome == "refused"}
        placed = [name for name, one in bridged.tubes.items() if one.placed]
        found |= bridged_tables(
            tables["endpoints"], counted, shares, compared, refused, tables["pairs"], tables["shifts"], placed
        )
    return {name: table for name, table in found.items() if len(table)}


def channel_rows(bridged: Bridged, order: Mapping[str, int]) -> pd.DataFrame:
    """Return rows of BRIDGE_CHANNELS: where landmarks are, each judged by the material's other runs.

    Parameters
    ----------
    bridged
        Where they are, tube by tube.
    order
        Place of each batch in run order, from 1.
    """
    frame = pd.DataFrame(bridged.channels)
    if frame.empty:
        return BRIDGE_CHANNELS.empty()
    rows: list[dict[str, Any]] = []
    keys = ["bridge", "panel", "marker", "landmark"]
    for _, own in frame.groupby(keys, sort=False, dropna=False):
        own = own.assign(run=[order.get(str(batch), len(order) + 1) for batch in own["batch"]])
        own = own.sort_values(["run", "sample_id"])
        places = own["median"].to_numpy(dtype=float)
        apart = deviations(places)
        for i, row in enumerate(own.to_dict("records")):
            others = [place for j, place in enumerate(places) if j != i]
            shift = float(places[i] - sum(others) / len(others)) if others else None
            deviation = float(apart[i]) if apart[i] == apart[i] else None
            beyond = deviation is not None and abs(deviation) > OUTSIDE
            rows.append(row | {"shift": shift, "deviation": deviation, "status": "warn" if beyond else "ok"})
    return BRIDGE_CHANNELS.frame(rows)
