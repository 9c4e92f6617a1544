"""Stimulated tubes paired with their unstimulated controls: rows of endpoints, and the table ``stimulation``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from immunolab.comparison.stimulation import NO_CONTROL, stimulation_table
from immunolab.schema.endpoints import POINTS
from immunolab.schema.flags import Flag, withheld
from immunolab.schema.stimulation import STIMULATION
from immunolab.study.endpoints import Endpoint, SampleCounts, StimulatedMinusUnstimulated
from immunolab.study.endpoints.counts import flags
from immunolab.study.rows import UNSTIMULATED
from immunolab.study.sheet import Sample, Study

_ROUNDING = 1e-9  # relative: borders that differ by less are the same


@dataclass(frozen=True)
class StimulatedTubes:
    """The counted tubes of a study by culture: patient, visit and panel.

    Attributes
    ----------
    stimulated, controls
        In the order of the sheet.
    counts
        By sample_id.
    borders
        By sample_id: (population, channel) -> border in instrument units.
    """

    stimulated: tuple[Sample, ...]
    controls: Mapping[tuple[str, str, str], tuple[Sample, ...]]
    counts: Mapping[str, SampleCounts]
    borders: Mapping[str, Mapping[tuple[str, str], float]]


def stimulated_tubes(
    samples: Sequence[Sample], counts: Mapping[str, SampleCounts], thresholds: pd.DataFrame
) -> StimulatedTubes:
    """Return the tubes of samples that were stimulated, and their controls.

    Parameters
    ----------
    samples, counts
        Samples that were counted, and their counts by sample_id.
    thresholds
        Rows of `THRESHOLDS`.
    """
    controls: dict[tuple[str, str, str], tuple[Sample, ...]] = {}
    for sample in (s for s in samples if s.stimulation == UNSTIMULATED):
        controls[sample.culture] = (*controls.get(sample.culture, ()), sample)
    stimulated = tuple(s for s in samples if s.stimulation not in ("", UNSTIMULATED))
    borders: dict[str, dict[tuple[str, str], float]] = {}
    columns = (thresholds[name] for name in ("sample_id", "population", "channel", "threshold_raw", "method"))
    for sample_id, population, channel, border, method in zip(*columns, strict=True):
        if pd.isna(border) and method != "override":
            continue  # no border: its count is withheld
        borders.setdefault(sample_id, {})[population, channel] = border
    return StimulatedTubes(stimulated, controls, counts, borders)


def stimulated_values(
    study: Study, endpoints: Sequence[Endpoint], tubes: StimulatedTubes
) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """Return rows of the endpoint table, and rows of `STIMULATION`.

    Parameters
    ----------
    study
        Says when samples were taken, and the declared noise between tubes.
    endpoints
        What is compared; those of other statistics are passed over.
    tubes
        As `stimulated_tubes` gives them.
    """
    asked = [endpoint for endpoint in endpoints if isinstance(endpoint, StimulatedMinusUnstimulated)]
    pairs = {endpoint.id: list(_pairs(endpoint, tubes)) for endpoint in asked}
    found = [(one, study.place_of(one.sample)) for own in pairs.values() for one in own]
    declared = study.comparison.between_tubes
    rows = pd.DataFrame([_row(one, where) for one, where in found])
    replicates = {name: _replicates(own) for name, own in pairs.items()}
    table = stimulation_table(rows, replicates, None if declared is None else declared / 100.0)
    numbers = table.to_dict("records")
    return [_value(one, where, row) for (one, where), row in zip(found, numbers, strict=True)], table


@dataclass(frozen=True)
class _Pair:
    """A stimulated tube and its controls, with the flags of all of them."""

    endpoint: StimulatedMinusUnstimulated
    sample: Sample
    controls: tuple[Sample, ...]
    counts: tuple[tuple[int, int], ...]  # of the stimulated tube, then of each control
    definition: str
    flag: str | None


def _pairs(endpoint: StimulatedMinusUnstimulated, tubes: StimulatedTubes) -> Iterator[_Pair]:
    for sample in tubes.stimulated:
        if endpoint.stimulation not in ("", sample.stimulation) or not _holds(endpoint, sample, tubes):
            continue
        controls = tuple(c for c in tubes.controls.get(sample.culture, ()) if _holds(endpoint, c, tubes))
        members = (sample, *controls)
        own = tubes.counts[sample.sample_id]
        flag = flags(
            own.flag(endpoint.population, of=endpoint.parent),
            *(word for s in controls for word in _unusable(endpoint, tubes.counts[s.sample_id])),
            "" if controls else Flag.NO_UNSTIMULATED,
            Flag.OWN_BORDER if _borders_differ(endpoint, members, tubes) else "",
        )
        counted = tuple(_counted(endpoint, tubes.counts[s.sample_id]) for s in members)
        yield _Pair(endpoint, sample, controls, counted, own.definition(endpoint.population), flag)


def _holds(endpoint: StimulatedMinusUnstimulated, sample: Sample, tubes: StimulatedTubes) -> bool:
    counts = tubes.counts[sample.sample_id]
    return endpoint.population in counts and endpoint.parent in counts


def _counted(endpoint: StimulatedMinusUnstimulated, counts: SampleCounts) -> tuple[int, int]:
    return counts.within(endpoint.population, endpoint.parent), counts.n(endpoint.parent)


def _unusable(endpoint: StimulatedMinusUnstimulated, counts: SampleCounts) -> list[str]:
    """Return what withholds a control's count; few events in it are what a control should have."""
    words = counts.flag(endpoint.population, of=endpoint.parent)
    return [words] if withheld(words) else []


def _borders_differ(endpoint: StimulatedMinusUnstimulated, members: Sequence[Sample], tubes: StimulatedTubes) -> bool:
    """Return whether a border of the population itself is not the same in the stimulated tube and a control."""
    own, *others = [
        {key: border for key, border in tubes.borders.get(s.sample_id, {}).items() if key[0] == endpoint.population}
        for s in members
    ]
    return any(
        not abs(other[key] - border) <= _ROUNDING * max(1.0, abs(border))  # also where a reader left no border
        for other in others
        for key, border in own.items()
        if key in other
    )


def _replicates(pairs: Iterable[_Pair]) -> list[list[tuple[float, float]]]:
    """Return the control tubes of each culture; a set of which one is withheld says nothing."""
    sets = {one.sample.culture: one.counts[1:] for one in pairs if not withheld(one.flag)}
    return [[(float(n), float(of)) for n, of in tubes] for tubes in sets.values()]


def _row(one: _Pair, where: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of `STIMULATION` without what follows from its counts."""
    (n, of), controls = one.counts[0], one.counts[1:]
    names = ("patient_id", "cohort", "visit", "sample_id")
    reason = NO_CONTROL if not controls else "withheld: no border, or a share that is not possible"
    return {name: where[name] for name in names} | {
        "endpoint": one.endpoint.id,
        "stimulation": one.sample.stimulation,
        "unstimulated_samples": ";".join(s.sample_id for s in one.controls) or None,
        "n_events": n,
        "n_parent": of,
        "n_events_unstimulated": sum(n for n, _ in controls) if controls else None,
        "n_parent_unstimulated": sum(of for _, of in controls) if controls else None,
        "n_unstimulated": len(controls),
        "reason": reason if not controls or withheld(one.flag) else None,
    }


def _value(one: _Pair, where: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of the endpoint table."""
    limits = {name: row[name] for name in ("count_low", "count_high") if pd.notna(row[name])}
    return {
        **where,
        "endpoint": one.endpoint.id,
        "population": one.endpoint.population,
        "parent": one.endpoint.parent,
        "definition": one.definition or None,
        "value": row["difference"],
        "unit": POINTS,
        "n_events": one.counts[0][0],
        "n_parent": one.counts[0][1],
        "flag": one.flag,
        **limits,
    }


def stimulation_tables(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the table by its name; none where nothing was stimulated.

    Parameters
    ----------
    table
        Rows of `STIMULATION`.
    """
    return {STIMULATION.name: table} if len(table) else {}
