"""Rows of quality.csv for the tubes of bridging controls: beyond their chart, or not to be followed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd
from scipy.special import ndtr, ndtri

from immunolab.comparison.bridge_charts import OUTSIDE
from immunolab.schema.bridges import BRIDGE_CHANNELS, BRIDGE_MOVES, BRIDGES, REASONS_JOINED_BY
from immunolab.schema.csv_files import cell_text
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
    refused = refused_ways(tables.get(BRIDGE_MOVES.name, BRIDGE_MOVES.empty()))
    tubes = pd.concat([values, channels])[["sample_id", "bridge", "batch"]].drop_duplicates()
    for row in tubes.to_dict("records"):
        own = [way for way in refused if (way.bridge, way.batch_to) == (str(row["bridge"]), str(row["batch"]))]
        if own:
            text = ", ".join(f"from batch {way.batch_from}: {way.words}" for way in own)
            n = len({reason for way in own for reason in way.reasons})
            place = {"sample_id": row["sample_id"], "check": Check.BRIDGE_REFUSED, "value": float(n)}
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


@dataclass(frozen=True)
class RefusedWay:
    """A way from batch to batch that borders do not follow.

    Attributes
    ----------
    panel, batch_from, batch_to, bridge
        Of what, and by which material; "" where none is in both batches.
    reasons
        Why, each once.
    """

    panel: str
    batch_from: str
    batch_to: str
    bridge: str
    reasons: tuple[str, ...]

    @property
    def words(self) -> str:
        """The first reasons, and how many more there are."""
        more = f"; and {len(self.reasons) - _SHOWN} more" if len(self.reasons) > _SHOWN else ""
        return REASONS_JOINED_BY.join(self.reasons[:_SHOWN]) + more


def refused_ways(moves: pd.DataFrame) -> list[RefusedWay]:
    """Return the ways that borders do not follow, in the order of the table.

    Parameters
    ----------
    moves
        Rows of BRIDGE_MOVES.
    """
    names = ["panel", "batch_from", "batch_to", "bridge"]
    found = []
    for key, own in moves.groupby(names, sort=False, dropna=False) if len(moves) else ():
        borders = pd.MultiIndex.from_frame(own[["marker", "population"]].fillna(""))
        by_another = borders.isin(borders[own["outcome"] == "followed"])  # tube of the material in that batch
        texts = own.loc[(own["outcome"] == "refused") & ~by_another, "reason"].dropna().astype(str)
        reasons = tuple(dict.fromkeys(one for text in texts for one in text.split(REASONS_JOINED_BY) if one))
        if reasons:
            panel, first, second, bridge = (cell_text(one) for one in key)
            found.append(RefusedWay(panel, first, second, bridge, reasons))
    return found
