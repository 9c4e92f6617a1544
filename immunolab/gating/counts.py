"""Events in the populations of one tube."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from immunolab.gating.strategy import ROOT, Memberships, Population
from immunolab.schema.flags import WITHHELD, count_flags
from immunolab.schema.gating import COUNTS


@dataclass(frozen=True)
class PopulationCount:
    """Events in one population: a row of `COUNTS`, whose columns are documented there."""

    sample_id: str
    population: str
    parent: str | None
    path: str
    definition: str | None
    n_events: int
    n_parent: int
    percent_of_parent: float | None
    flag: str | None
    reason: str | None


def tree_order(counts: Sequence[PopulationCount]) -> Iterator[PopulationCount]:
    """Yield root, the first of the counts, then each population before those below it."""
    children: dict[str, list[PopulationCount]] = {}
    for count in counts[1:]:
        children.setdefault(count.path.rpartition("/")[0], []).append(count)

    def below(path: str) -> Iterator[PopulationCount]:
        for count in children.get(path, []):
            yield count
            yield from below(count.path)

    yield counts[0]
    yield from below("")


def counts_table(memberships: Memberships, sample_id: str, total: int | None = None) -> pd.DataFrame:
    """Return the table `COUNTS` of one tube: root first (path ``/``), then the strategy's populations.

    Flags: ``empty_parent``, ``no_border`` and ``implausible`` (no percentage), ``below_lod`` (fewer than 20 events),
    ``below_loq`` (fewer than 50).

    Parameters
    ----------
    memberships
        Evaluated gates of one tube.
    sample_id
        Written into each row.
    total
        Events of the tube; only a strategy without a population needs it.
    """
    return COUNTS.frame([vars(count) for count in count_populations(memberships, sample_id, total)])


def count_populations(memberships: Memberships, sample_id: str, total: int | None = None) -> Iterator[PopulationCount]:
    """Yield the rows of `counts_table`.

    Parameters
    ----------
    memberships
        Evaluated gates of one tube.
    sample_id
        Written into each row.
    total
        Events of the tube; only a strategy without a population needs it.
    """
    populations = memberships.strategy.populations
    if total is None:
        total = len(memberships.masks[populations[0].path]) if populations else 0
    n_events = {"": total} | {path: int(np.count_nonzero(mask)) for path, mask in memberships.masks.items()}
    yield _count(Population(f"/{ROOT}", None), sample_id, "/", None, total, total)
    for p in populations:
        yield _count(p, sample_id, p.path, p.parent, n_events[p.path], n_events[p.parent_path])


def _count(
    population: Population, sample_id: str, path: str, parent: str | None, n: int, n_parent: int
) -> PopulationCount:
    flags = [*(population.flag.split(";") if population.flag else []), *count_flags(n, n_parent)]
    return PopulationCount(
        sample_id=sample_id,
        population=population.name,
        parent=parent,
        path=path,
        definition=population.definition or None,
        n_events=n,
        n_parent=n_parent,
        percent_of_parent=100.0 * n / n_parent if n_parent and WITHHELD.isdisjoint(flags) else None,
        flag=";".join(flags) or None,
        reason=population.reason or None,
    )
