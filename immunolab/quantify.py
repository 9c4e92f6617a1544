"""From memberships to small tables: intensities of populations, values of endpoints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from immunolab.events.tube import Tube
from immunolab.study.endpoints import Endpoint, Joint, SampleCounts
from immunolab.study.endpoints.counts import LYMPHOCYTES


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
    """Return the endpoints, and after them those that guard against closure, each once and exploratory.

    Parameters
    ----------
    absolute
        Whether lymphocytes were counted, see `PercentOfParent.companions`.
    """
    result, known = list(endpoints), {endpoint.identity for endpoint in endpoints}
    for one in (one for endpoint in endpoints for one in endpoint.companions(absolute=absolute)):
        if one.identity not in known:
            known.add(one.identity)
            result.append(one)
    return tuple(result)


def population_pairs(endpoints: Iterable[Endpoint], lymphocytes: str = LYMPHOCYTES) -> tuple[tuple[str, str], ...]:
    """Return the (population, denominator) pairs whose shared events endpoints need, sorted."""
    return tuple(sorted({pair for endpoint in endpoints for pair in endpoint.joint_pairs(lymphocytes)}))


def endpoint_values(
    endpoints: Iterable[Endpoint], counts: SampleCounts, gate_sd: Mapping[tuple[str, str], float] | None = None
) -> list[dict[str, object]]:
    """Return one record an endpoint that a sample's counts can answer, in columns of the endpoint table.

    Parameters
    ----------
    endpoints
        One denominator each (`Trial.expanded_endpoints`).
    counts
        Of one sample.
    gate_sd
        (population, denominator) to the gates' standard error, on the logit scale. Values then have 95 % limits of
        counting and, where the error is known, of the gates; None gives none.
    """
    measured = ((endpoint, endpoint.measure(counts)) for endpoint in endpoints)
    return [
        {"endpoint": endpoint.id, **(value if gate_sd is None else endpoint.with_limits(value, gate_sd)).row()}
        for endpoint, value in measured
        if value is not None
    ]
