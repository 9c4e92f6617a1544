"""One tube in two gatings: counts beside counts, and event by event where the events can be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.comparison.concordance import cohen_kappa
from immunolab.comparison.gating_agreement import shared_table
from immunolab.errors import ImmunolabError
from immunolab.gating.tubes import GatedTube
from immunolab.schema.flags import split
from immunolab.workflow.agree_sides import Side, SideTube

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class TubePair:
    """A tube as either side names it."""

    a: SideTube
    b: SideTube

    @property
    def name(self) -> str:
        """Its sample_id in the first gating."""
        return self.a.sample_id


@dataclass(frozen=True)
class TubeAgreement:
    """What a tube is in two gatings.

    Attributes
    ----------
    rows
        Of `GATING_PAIRS`.
    only_a, only_b
        Paths that one gating alone has.
    unread
        Why its events were not compared; empty where they were.
    """

    rows: tuple[dict[str, object], ...]
    only_a: tuple[str, ...] = ()
    only_b: tuple[str, ...] = ()
    unread: str = ""


def gated_pair(a: Side, b: Side, events: Side, pair: TubePair) -> tuple[GatedTube, GatedTube] | str:
    """Return a tube in both gatings, or why its events cannot be had in both.

    Parameters
    ----------
    a, b
        The gatings.
    events
        Where the events of gatings without files come from.
    pair
        The tube.
    """
    if a.counts_only or b.counts_only:
        return "one of the gatings has counts only"
    try:
        own = [side.events(tube) for side, tube in ((a, pair.a), (b, pair.b))]
        shared = own[0] if own[0] is not None else own[1] if own[1] is not None else events.events(pair.a)
        if shared is None:
            return "there is no file with its events"
        found = [
            side.gated(shared if tube_events is None else tube_events, tube)
            for side, tube, tube_events in zip((a, b), (pair.a, pair.b), own, strict=True)
        ]
    except ImmunolabError as error:
        return str(error)
    if found[0] is None or found[1] is None:
        return "there are no gates of it"
    if len(_in_file(found[0], "")) != len(_in_file(found[1], "")):
        return "the two files have different numbers of events"
    return found[0], found[1]


def compare_tube(a: Side, b: Side, events: Side, pair: TubePair, same: Mapping[str, str]) -> TubeAgreement:
    """Return the rows of a tube.

    Parameters
    ----------
    a, b, events, pair
        As in `gated_pair`.
    same
        Population of the first gating -> that of the second, for those of different names.
    """
    gated = gated_pair(a, b, events, pair)
    if isinstance(gated, str):
        counts = a.counts(pair.a), b.counts(pair.b)
        if any(table.empty for table in counts):
            return TubeAgreement((), unread=gated)
        reason = gated
    else:
        counts = gated[0].counts, gated[1].counts
        reason = ""
    by_path = [{str(row["path"]): row for row in table.to_dict("records")} for table in counts]
    paths = matched_paths(list(by_path[0]), list(by_path[1]), same)
    rows = [_row(pair.name, by_path[0][p], by_path[1][q]) for p, q in paths]
    if not isinstance(gated, str):
        rows = [row | _shared(gated, str(row["path_a"]), str(row["path_b"])) for row in rows]
    left = [set(own) - {path[i] for path in paths} - {"/"} for i, own in enumerate(by_path)]
    return TubeAgreement(tuple(rows), tuple(sorted(left[0])), tuple(sorted(left[1])), reason)


def matched_paths(first: Sequence[str], second: Sequence[str], same: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the paths that mean one population: named so, equal, or the only ones that end in one name.

    Parameters
    ----------
    first, second
        Paths of either gating; all events (``/``) are left out.
    same
        Name or path in the first -> name or path in the second.
    """
    found: dict[str, str] = {}
    for one, other in same.items():
        for path in (p for p in first if one in (p, _name(p))):
            hits = [q for q in second if other in (q, _name(q))]
            if hits:
                found.setdefault(path, hits[0])
    left = [[p for p in own if p != "/"] for own in (first, second)]
    found |= {p: p for p in left[0] if p in left[1] and p not in found and p not in found.values()}
    names = [[_name(p) for p in own] for own in left]
    for path in left[0]:
        name = _name(path)
        if path not in found and names[0].count(name) == 1 and names[1].count(name) == 1:
            other = left[1][names[1].index(name)]
            if other not in found.values():
                found[path] = other
    return [(path, found[path]) for path in first if path in found]


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _row(sample: str, a: Mapping[str, object], b: Mapping[str, object]) -> dict[str, object]:
    """Return counts and percents of one population."""
    first, second = _number(a["percent_of_parent"]), _number(b["percent_of_parent"])
    flags = [word for row in (a, b) for word in split(row.get("flag"))]
    return {
        "sample_id": sample,
        "population": a["population"],
        "path_a": a["path"],
        "path_b": b["path"],
        "n_a": a["n_events"],
        "n_b": b["n_events"],
        "n_parent_a": a["n_parent"],
        "n_parent_b": b["n_parent"],
        "percent_a": first,
        "percent_b": second,
        "difference": second - first,
        "ratio": second / first if first > 0 and second > 0 else None,
        "flag": ";".join(dict.fromkeys(flags)) or None,
    }


def _number(value: object) -> float:
    return float("nan") if value is None or pd.isna(value) else float(str(value))


def _shared(gated: tuple[GatedTube, GatedTube], path_a: str, path_b: str) -> dict[str, object]:
    """Return what two gatings have in common of a population, event by event."""
    a, b = _in_file(gated[0], path_a), _in_file(gated[1], path_b)
    parents = _in_file(gated[0], _above(path_a)) & _in_file(gated[1], _above(path_b))
    both, n_a, n_b = (int(np.count_nonzero(mask)) for mask in (a & b, a, b))
    n, n_a_shared, n_b_shared = (int(np.count_nonzero(mask)) for mask in (parents, a & parents, b & parents))
    kappa = cohen_kappa(shared_table(n, n_a_shared, n_b_shared, both)).value
    return {
        "n_both": both,
        "n_both_parents": n,
        "n_a_shared": n_a_shared,
        "n_b_shared": n_b_shared,
        "f1": 2 * both / (n_a + n_b) if n_a + n_b else None,
        "kappa": kappa,
    }


def _above(path: str) -> str:
    return path.rsplit("/", 1)[0]


def _in_file(gated: GatedTube, path: str) -> Mask:
    """Return which events of the file are in a population; none that were cut before gating."""
    mask = gated.memberships.masks[path] if path else np.ones(len(gated.tube), dtype=np.bool_)
    return gated.tube.in_file(mask)
