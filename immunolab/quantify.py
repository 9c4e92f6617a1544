"""From memberships to small tables: intensities of populations, values of endpoints."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.events.tube import Tube
from immunolab.intervals import NORMAL_95, jeffreys_percent
from immunolab.study.trial import Endpoint

CONVENTIONAL = "Tconv"
_TREG_FAMILY = ("Treg", "Tfr", "Tconv")


@dataclass(frozen=True)
class Joint:
    """Events that two populations share, where neither is the other's ancestor."""

    population: str
    parent: str
    n_events: int


def intensities(events: Tube, masks: Mapping[str, NDArray[np.bool_]], sample_id: str) -> list[dict[str, object]]:
    """Return the median compensated signal of every marker in every population.

    Parameters
    ----------
    events : one tube.
    masks : population name -> bool, one value an event.
    sample_id : goes into every row.

    Returns
    -------
    Rows of `INTENSITIES`; linear instrument units; empty for a population without events.
    """
    named = [c for c in events.channels if c.marker and c.kind in ("fluorescence", "mass")]
    members = {name: np.flatnonzero(mask) for name, mask in masks.items()}
    rows: list[dict[str, object]] = []
    for channel in named:
        column = events.compensated(channel.name).astype(np.float32)
        for name, index in members.items():
            median = float(np.median(column[index])) if index.size else None
            rows.append(
                {
                    "sample_id": sample_id,
                    "population": name,
                    "marker": channel.marker,
                    "median_intensity": median,
                    "n_events": index.size,
                }
            )
    return rows


def joint_counts(masks: Mapping[str, NDArray[np.bool_]], wanted: Iterable[tuple[str, str]]) -> list[Joint]:
    """Return the events shared by each wanted (population, denominator) that the tube has both of."""
    pairs = sorted({pair for pair in wanted if pair[0] in masks and pair[1] in masks})
    return [Joint(a, b, int(np.count_nonzero(masks[a] & masks[b]))) for a, b in pairs]


def with_companions(endpoints: Sequence[Endpoint], *, absolute: bool) -> tuple[Endpoint, ...]:
    """Return the endpoints with the denominators that guard against closure, each as exploratory.

    Shares of one parent sum to 100, so a rise of Treg lowers every other share of CD4. Each subset
    outside the Treg family that is reported of CD4 is also reported of CD4 without Treg (Tconv),
    and, where lymphocytes were counted, in cells per microlitre.
    """
    have = {(e.population, e.parent, e.statistic) for e in endpoints}
    result = list(endpoints)
    for endpoint in endpoints:
        if endpoint.statistic != "percent_of_parent" or endpoint.parent != "CD4" or not endpoint.population:
            continue
        outside = not endpoint.population.startswith(_TREG_FAMILY)
        if outside and (endpoint.population, CONVENTIONAL, "percent_of_parent") not in have:
            result.append(_companion(endpoint, f"{endpoint.id}_of_{CONVENTIONAL}", parent=CONVENTIONAL))
        if absolute and (endpoint.population, None, "absolute_count") not in have:
            changes = {"statistic": "absolute_count", "parent": None, "unit": "cells/uL"}
            result.append(_companion(endpoint, f"{endpoint.id}_absolute", **changes))
            have.add((endpoint.population, None, "absolute_count"))
    return tuple(result)


def _companion(endpoint: Endpoint, name: str, **changes: str | None) -> Endpoint:
    return replace(endpoint, id=name, role="exploratory", co_report=(), note="guards against closure", **changes)  # type: ignore[arg-type]


def population_pairs(endpoints: Iterable[Endpoint], lymphocytes: str = "lymphocytes") -> tuple[tuple[str, str], ...]:
    """Return the (population, denominator) pairs that endpoints need, sorted."""
    pairs = set()
    for endpoint in endpoints:
        parent = lymphocytes if endpoint.statistic == "absolute_count" else endpoint.parent
        if endpoint.population and parent:
            pairs.add((endpoint.population, parent))
    return tuple(sorted(pairs))


def endpoint_values(
    endpoints: Sequence[Endpoint],
    counts: pd.DataFrame,
    joints: Sequence[Joint],
    *,
    lymphocytes_per_ul: float | None = None,
    lymphocytes: str = "lymphocytes",
) -> list[dict[str, object]]:
    """Return one record an endpoint that a tube can answer: value, unit, counts, definition, flag.

    Parameters
    ----------
    endpoints : one denominator each (`Trial.expanded_endpoints`).
    counts : rows of `COUNTS` of one sample.
    joints : shared events, for denominators outside the population's lineage.
    lymphocytes_per_ul : of the same day's blood count; needed by absolute counts.
    lymphocytes : population that the blood count counted.

    Notes
    -----
    A percentage is 100 n / n of the named denominator. A ratio is (n + 0.5) / (m + 0.5), so that an
    empty population stays finite; ``zero_events`` flags it.
    """
    table = _ByName(counts, joints)
    rows = []
    for endpoint in endpoints:
        if endpoint.statistic == "log_ratio":
            row = _ratio(endpoint, table)
        elif endpoint.statistic == "absolute_count":
            row = _absolute(endpoint, table, lymphocytes_per_ul, lymphocytes)
        elif endpoint.statistic == "percent_of_parent":
            row = _percent(endpoint, table)
        else:
            continue
        if row is not None:
            rows.append({"endpoint": endpoint.id, **row})
    return rows


def with_limits(
    values: Iterable[dict[str, object]], endpoints: Sequence[Endpoint], gate_sd: Mapping[tuple[str, str], float]
) -> list[dict[str, object]]:
    """Return endpoint records with 95 % limits from counting and from the gates' own uncertainty.

    Parameters
    ----------
    values : what `endpoint_values` gave.
    gate_sd : (population, denominator) -> standard error of the gates, on the logit scale.

    Returns
    -------
    Records with ``count_low``, ``count_high`` (Jeffreys' interval), ``gate_low`` and ``gate_high``, in the
    endpoint's unit. A denominator outside the lineage takes the error of the same population of CD4; a
    ratio takes both populations' errors as independent. Missing where nothing is known.
    """
    by_id = {e.id: e for e in endpoints}
    return [_limited(value, by_id[str(value["endpoint"])], gate_sd) for value in values]


def _limited(row: dict[str, object], endpoint: Endpoint, gate_sd: Mapping[tuple[str, str], float]) -> dict[str, object]:
    value, n, of = row["value"], row["n_events"], row["n_parent"]
    if value is None or not isinstance(value, float) or not isinstance(n, int) or not isinstance(of, int):
        return row
    if endpoint.statistic == "log_ratio":
        parts = [
            gate_sd.get((name or "", endpoint.parent or "")) for name in (endpoint.numerator, endpoint.denominator)
        ]
        error = float(np.hypot(*parts)) if None not in parts else None  # type: ignore[arg-type]
        return row | ({} if error is None else _around(math.log(value), error, math.exp))
    name = endpoint.population or ""
    error = next((gate_sd[key] for key in ((name, endpoint.parent or ""), (name, "CD4")) if key in gate_sd), None)
    if endpoint.statistic == "absolute_count":
        return row | ({} if error is None or value <= 0 else _around(math.log(value), error, math.exp))
    low, high = jeffreys_percent(n, of)
    limits = {"count_low": low, "count_high": high}
    share = math.log((n + 0.5) / (of - n + 0.5))
    return row | limits | ({} if error is None else _around(share, error, lambda x: 100.0 / (1.0 + math.exp(-x))))


def _around(centre: float, error: float, back: Callable[[float], float]) -> dict[str, float]:
    return {"gate_low": back(centre - NORMAL_95 * error), "gate_high": back(centre + NORMAL_95 * error)}


class _Counted(NamedTuple):
    population: str
    path: str
    n_events: int
    definition: object
    flag: object


class _ByName:
    """Counts of one sample looked up by population name; a name under two parents is ambiguous."""

    def __init__(self, counts: pd.DataFrame, joints: Sequence[Joint]) -> None:
        columns = (counts[name].tolist() for name in ("population", "path", "n_events", "definition", "flag"))
        rows = [_Counted(*values) for values in zip(*columns, strict=True)]
        met = Counter(row.population for row in rows)
        self.rows = {row.population: row for row in rows if met[row.population] == 1}
        self.joint = {(j.population, j.parent): j.n_events for j in joints}

    def __contains__(self, name: str | None) -> bool:
        return name in self.rows

    def n(self, name: str) -> int:
        return int(self.rows[name].n_events)

    def within(self, name: str, parent: str) -> int:
        """Return the events of a population that lie in a denominator."""
        lineage = self.rows[name].path.split("/")
        if parent in lineage or parent == "root":
            return self.n(name)
        return self.joint[name, parent]

    def definition(self, name: str) -> str:
        """Return the definition's id, or ""."""
        return "" if pd.isna(self.rows[name].definition) else str(self.rows[name].definition)

    def flag(self, name: str) -> str:
        """Return the population's flags, or ""."""
        return "" if pd.isna(self.rows[name].flag) else str(self.rows[name].flag)


def _flags(*words: str) -> str | None:
    kept = [word for text in words for word in text.split(";") if word]
    return ";".join(dict.fromkeys(kept)) or None


def _percent(endpoint: Endpoint, table: _ByName) -> dict[str, object] | None:
    name, parent = endpoint.population, endpoint.parent
    if name is None or parent is None or name not in table or parent not in table:
        return None
    n, n_parent = table.within(name, parent), table.n(parent)
    return {
        "population": name,
        "parent": parent,
        "definition": table.definition(name) or None,
        "value": 100.0 * n / n_parent if n_parent else None,
        "unit": "%",
        "n_events": n,
        "n_parent": n_parent,
        "flag": _flags(table.flag(name), "" if n_parent else "empty_parent"),
    }


def _ratio(endpoint: Endpoint, table: _ByName) -> dict[str, object] | None:
    top, bottom = endpoint.numerator, endpoint.denominator
    if top is None or bottom is None or top not in table or bottom not in table:
        return None
    n, m = table.n(top), table.n(bottom)
    definitions = [table.definition(name) or name for name in (top, bottom)]
    empty = n + m == 0
    return {
        "population": f"{top}/{bottom}",
        "parent": endpoint.parent,
        "definition": " / ".join(definitions),
        "value": None if empty else (n + 0.5) / (m + 0.5),
        "unit": "ratio",
        "n_events": n,
        "n_parent": m,
        "flag": _flags(table.flag(top), table.flag(bottom), "" if n and m else "zero_events"),
    }


def _absolute(endpoint: Endpoint, table: _ByName, per_ul: float | None, lymphocytes: str) -> dict[str, object] | None:
    name = endpoint.population
    if name is None or name not in table or lymphocytes not in table:
        return None
    n, n_parent = table.within(name, lymphocytes), table.n(lymphocytes)
    missing = per_ul is None or not n_parent
    return {
        "population": name,
        "parent": None,
        "definition": table.definition(name) or None,
        "value": None if missing or per_ul is None else per_ul * n / n_parent,
        "unit": "cells/uL",
        "n_events": n,
        "n_parent": n_parent,
        "flag": _flags(table.flag(name), "no_lymphocyte_count" if per_ul is None else ""),
    }
