"""Rows of quality.csv for the tubes of bridging controls: beyond their chart, or not to be followed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd
from scipy.special import ndtr, ndtri

from immunolab.comparison.bridge_charts import OUTSIDE
from immunolab.schema.bridges import BRIDGE_CHANNELS, BRIDGE_MOVES, BRIDGES
from immunolab.schema.flags import Check

_SHOWN = 3  # charts, or reasons, that a message names


def bridge_checks(tables: Mapping[str, pd.DataFrame]) -> Iterator[dict[str, object]]:
    """Yield rows of `QUALITY`, of bridging controls alone.

    The limit is three sd, as on a chart, where a tube has one chart; with more of them one of all passes it as rarely.

    Parameters
    ----------
    tables
        Of a run, by name.
    """
    values = tables.get(BRIDGES.name, BRIDGES.empty())
    channels = tables.get(BRIDGE_CHANNELS.name, BRIDGE_CHANNELS.empty())
    charts = pd.concat(
        [
            values.assign(what=values["endpoint"])[["sample_id", "what", "deviation"]],
            channels.assign(what=channels["marker"] + " of " + channels["landmark"])[
                ["sample_id", "what", "deviation"]
            ],
        ],
        ignore_index=True,
    ).dropna(subset=["deviation"])
    for sample, own in charts.groupby("sample_id", sort=False):
        yield _beyond(str(sample), own)
    refused = _refused(tables.get(BRIDGE_MOVES.name, BRIDGE_MOVES.empty()))
    tubes = pd.concat([values, channels])[["sample_id", "bridge", "batch"]].drop_duplicates()
    for row in tubes.to_dict("records"):
        if said := refused.get((str(row["bridge"]), str(row["batch"]))):
            text = "; ".join(said[:_SHOWN]) + (f"; and {len(said) - _SHOWN} more" if len(said) > _SHOWN else "")
            place = {"sample_id": row["sample_id"], "check": Check.BRIDGE_REFUSED, "value": float(len(said))}
            yield place | {"limit": 0.0, "status": "warn", "message": f"borders do not follow it {text}"}


def _beyond(sample: str, charts: pd.DataFrame) -> dict[str, object]:
    """Return the row of a tube by its charts: the farthest from the material's other runs."""
    limit = -float(ndtri(ndtr(-OUTSIDE) / len(charts)))
    apart = charts["deviation"].abs()
    far = charts[apart > limit].reindex(apart[apart > limit].sort_values(ascending=False).index)
    named = [f"{row['what']} {row['deviation']:+.1f} sd" for row in far.head(_SHOWN).to_dict("records")]
    more = f" and {len(far) - _SHOWN} more" if len(far) > _SHOWN else ""
    text = f"in {len(charts)} charts within {limit:.1f} sd of the material's other runs"
    if len(far):
        text = f"far from the material's other runs: {', '.join(named)}{more}, of {len(charts)} charts"
    place = {"sample_id": sample, "check": Check.BRIDGE, "value": float(apart.max()), "limit": limit}
    return place | {"status": "warn" if len(far) else "ok", "message": text}


def _refused(moves: pd.DataFrame) -> dict[tuple[str, str], list[str]]:
    """Return (material, batch) -> why borders were not carried to the batch by it, each reason once."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in moves[moves["outcome"] == "refused"].to_dict("records"):
        if pd.notna(row["reason"]) and row["bridge"]:
            said = found.setdefault((str(row["bridge"]), str(row["batch_to"])), [])
            text = f"from batch {row['batch_from']}: {row['reason']}"
            said += [text] if text not in said else []
    return found
