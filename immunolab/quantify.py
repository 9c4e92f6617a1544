"""From counts of a sample to values of endpoints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from immunolab.schema.flags import withheld
from immunolab.study.endpoints import Endpoint, SampleCounts
from immunolab.study.endpoints.counts import CountedValue


def with_companions(endpoints: Sequence[Endpoint], *, absolute: bool, beads: bool = False) -> tuple[Endpoint, ...]:
    """Return the endpoints, and after them those that guard against closure, each once and exploratory.

    Closure: percentages of one parent add up to 100, so that one falls because another rises; the companions have
    another denominator.

    Parameters
    ----------
    endpoints
        In the order of the study.
    absolute
        Whether lymphocytes were counted, see `PercentOfParent.companions`.
    beads
        Whether tubes hold counting beads.
    """
    result, known = list(endpoints), {endpoint.identity for endpoint in endpoints}
    for one in (one for endpoint in endpoints for one in endpoint.companions(absolute=absolute, beads=beads)):
        if one.identity not in known:
            known.add(one.identity)
            result.append(one)
    return tuple(result)


def population_pairs(endpoints: Iterable[Endpoint]) -> tuple[tuple[str, str], ...]:
    """Return the (population, denominator) pairs whose shared events endpoints need, sorted.

    Parameters
    ----------
    endpoints
        One denominator each.
    """
    return tuple(sorted({pair for endpoint in endpoints for pair in endpoint.joint_pairs()}))


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
    measured = ((endpoint, _withheld(endpoint.measure(counts))) for endpoint in endpoints)
    return [
        {"endpoint": endpoint.id, **(value if gate_sd is None else endpoint.with_limits(value, gate_sd)).row()}
        for endpoint, value in measured
        if value is not None
    ]


def _withheld(value: CountedValue | None) -> CountedValue | None:
    """Return the value, empty where a population has no border or an impossible share."""
    return replace(value, value=None) if value and withheld(value.flag) else value
