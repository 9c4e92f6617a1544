"""One tube in two gatings: counts beside counts, and event by event where the events can be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from immunolab.errors import ImmunolabError
from immunolab.gating.same_populations import matched_paths
from immunolab.gating.tubes import GatedTube
from immunolab.results.two_gatings import counted_twice, events_in_common, in_file
from immunolab.workflow.agree_sides import Side, SideTube


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
    if len(in_file(found[0], "")) != len(in_file(found[1], "")):
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
    rows = [counted_twice(pair.name, by_path[0][p], by_path[1][q]) for p, q in paths]
    if not isinstance(gated, str):
        rows = [row | events_in_common(gated, str(row["path_a"]), str(row["path_b"])) for row in rows]
    left = [set(own) - {path[i] for path in paths} - {"/"} for i, own in enumerate(by_path)]
    return TubeAgreement(tuple(rows), tuple(sorted(left[0])), tuple(sorted(left[1])), reason)
