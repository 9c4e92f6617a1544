"""The locked plan as a run saw it, and what the run's endpoints are to it, as tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import pandas as pd

from immunolab.analysis_plan.content import Content
from immunolab.analysis_plan.deviation import deviations
from immunolab.analysis_plan.difference import Deviation
from immunolab.analysis_plan.gates import counted_from
from immunolab.analysis_plan.lock import LockedPlan
from immunolab.audit.entry import Entry
from immunolab.schema.plan import PLAN_DEVIATIONS, PLAN_ENDPOINTS, PlanStatus
from immunolab.study.endpoints import Endpoint

Late = Literal["after the plan was locked", "after unblinding"]
_LOCKED: Late = "after the plan was locked"
_UNBLINDED: Late = "after unblinding"
_SAID = ("sample_id", "population", "path", "automatic", "override", "reader", "at", "entry")  # of an override
_EVERYONE = ""  # to whom arms, visits or patients were disclosed, where no reader alone saw them


@dataclass(frozen=True)
class LogSeen:
    """Where the log of a study ended when a run began.

    Attributes
    ----------
    entries
        How many it had.
    hash
        Of the last of them.
    """

    entries: int
    hash: str


@dataclass(frozen=True)
class PlanSeen:
    """The locked plan that a run compared its study with.

    Attributes
    ----------
    number, by, at, reason, version, sha256
        As in `LockedPlan`.
    planned, now
        The plan's content and the study's, as JSON.
    late
        Hash of the log's entry of an override that came after the plan was locked -> after that, or after unblinding.
    unblinded
        Reader -> when they first saw patients and visits, "" for everyone: what overrides without an entry count by.
    """

    number: int
    by: str
    at: str
    reason: str
    version: str
    sha256: str
    planned: str
    now: str
    late: Mapping[str, Late] = field(default_factory=dict)
    unblinded: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: LockedPlan, now: Content, entries: Sequence[Entry]) -> PlanSeen:
        """Return what a run keeps of a plan.

        Parameters
        ----------
        plan
            The last that was locked.
        now
            The study's content.
        entries
            Of the log.
        """
        planned, found = (json.dumps(one, sort_keys=True, ensure_ascii=False) for one in (plan.content, now))
        late, seen = late_overrides(entries), _unblinded(entries)
        return cls(plan.number, plan.by, plan.at, plan.reason, plan.version, plan.sha256, planned, found, late, seen)


def late_overrides(entries: Sequence[Entry]) -> dict[str, Late]:
    """Return the overrides in a log that came after the last locking, or after unblinding, by the order of entries.

    Unblinding is an entry that says so, for all; and for a reader the end of their own review, or one
    that is not blind, which shows them patients and visits.

    Parameters
    ----------
    entries
        Of the log.
    """
    locked = max((e.number for e in entries if e.kind == "plan_locked"), default=None)
    found: dict[str, Late] = {}
    seen_by: set[str] = set()
    for entry in entries:
        seen_by |= _shown_to(entry)
        if entry.kind == "override" and seen_by & {_EVERYONE, entry.by}:
            found[entry.hash] = _UNBLINDED
        elif entry.kind == "override" and locked is not None and entry.number > locked:
            found[entry.hash] = _LOCKED
    return found


def _unblinded(entries: Sequence[Entry]) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in entries:
        for name in _shown_to(entry):
            found.setdefault(name, entry.at)
    return found


def _shown_to(entry: Entry) -> set[str]:
    """Return to whom an entry disclosed patients and visits: everyone, the reader, or nobody."""
    if entry.kind == "unblinded":
        return {_EVERYONE}
    shown = entry.kind == "review_closed" or (entry.kind == "review_opened" and entry.fields.get("blind") is False)
    return {entry.by} if shown else set()


def plan_tables(seen: PlanSeen, endpoints: Iterable[Endpoint], overrides: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the tables of a run's endpoints and of its deviations from the plan.

    Parameters
    ----------
    seen
        The plan and the study, as the run saw them.
    endpoints
        All that the run measured.
    overrides
        Rows of OVERRIDES.
    """
    planned, now = json.loads(seen.planned), json.loads(seen.now)
    of_content = deviations(planned, now)
    late = list(_late(seen, overrides, now))
    found = [*of_content, *(one for one, _ in late)]
    changing = [*of_content, *(one for one, when in late if when == _UNBLINDED)]
    rows = [
        {
            "area": one.area,
            "what": one.what,
            "planned": one.planned or None,
            "now": one.now or None,
            "words": one.words,
            "endpoints": ";".join(one.endpoints) or None,
        }
        for one in found
    ]
    marked = [_marked(one, planned, found, changing) for one in endpoints]
    marked += _left_out(planned, now, {row["endpoint"] for row in marked})
    return {PLAN_ENDPOINTS.name: PLAN_ENDPOINTS.frame(marked), PLAN_DEVIATIONS.name: PLAN_DEVIATIONS.frame(rows)}


def _marked(
    endpoint: Endpoint, planned: Content, found: Sequence[Deviation], changing: Sequence[Deviation]
) -> dict[str, object]:
    name = endpoint.id
    was = planned["endpoints"].get(name) or planned["endpoints"].get(endpoint.part_of)
    names = {name, endpoint.part_of} - {""}
    own = [one for one in changing if names & set(one.endpoints)]
    status: PlanStatus = "exploratory" if was is None else "changed" if own else "planned"
    return {
        "endpoint": name,
        "status": status,
        "role": endpoint.role,
        "planned_role": was["role"] if was else None,
        "statistic": endpoint.statistic,
        "n_deviations": sum(bool(names & set(one.endpoints)) for one in found),
        "words": "; ".join(one.words for one in own) or ("not in the locked plan" if was is None else None),
    }


def _left_out(planned: Content, now: Content, marked: set[object]) -> list[dict[str, object]]:
    return [
        {
            "endpoint": name,
            "status": "left_out",
            "role": None,
            "planned_role": one["role"],
            "statistic": one["statistic"],
            "n_deviations": 1,
            "words": "in the locked plan, and no longer in the study",
        }
        for name, one in planned["endpoints"].items()
        if name not in now["endpoints"] and name not in marked
    ]


def _late(seen: PlanSeen, overrides: pd.DataFrame, now: Content) -> Iterator[tuple[Deviation, Late]]:
    """Yield the overrides that came after the plan was locked, or after unblinding."""
    applied = overrides[overrides["status"] == "applied"] if len(overrides) else overrides
    for row in applied[list(_SAID)].fillna("").to_dict("records"):
        entry, at, reader = str(row["entry"]), str(row["at"]), str(row["reader"])
        when, is_sure = (seen.late.get(entry), True) if entry else _by_hand(seen, reader, at)
        if when is None:
            continue
        dated = f" on {at}" if at else ", without a date"
        counts = "" if is_sure else "which counts as "
        who = reader or "a reader"
        words = f"gate {row['population']} of sample {row['sample_id']} was moved by {who}{dated}, {counts}{when}"
        touched = counted_from(str(row["path"]), now)
        what = f"{row['sample_id']}, {row['population']}"
        yield Deviation("override", what, str(row["automatic"]), str(row["override"]), words, touched), when


def _by_hand(seen: PlanSeen, reader: str, at: str) -> tuple[Late | None, bool]:
    """Return what an override without an entry came after by its date, and whether the date settles it."""
    disclosed = [(_UNBLINDED, seen.unblinded[name]) for name in (_EVERYONE, reader) if name in seen.unblinded]
    for when, moment in (*disclosed, (_LOCKED, seen.at)):
        after = _is_after(at, moment)
        if after is not False:
            return when, after is True
    return None, True


def _is_after(at: str, moment: str) -> bool | None:
    """Return whether a reader's date is after a moment; None where it does not say: no date, or that day alone."""
    try:
        written, known = datetime.fromisoformat(at), datetime.fromisoformat(moment).astimezone(UTC)
    except ValueError:
        return None
    if written.tzinfo is not None:
        return written > known
    return None if written.date() == known.date() else written.date() > known.date()


def plan_in_words(seen: PlanSeen, endpoints: pd.DataFrame, deviating: pd.DataFrame) -> str:
    """Return one line: who locked the plan when, how many endpoints are as planned, and how many deviations there are.

    Parameters
    ----------
    seen
        The plan.
    endpoints, deviating
        Rows of PLAN_ENDPOINTS and PLAN_DEVIATIONS.
    """
    counts = endpoints["status"].value_counts()
    n = {str(name): int(counts[name]) for name in counts.index}
    said = [f"{n.get('planned', 0)} of {len(endpoints) - n.get('exploratory', 0)} planned endpoints as planned"]
    said += [f"{n['changed']} changed"] if "changed" in n else []
    said += [f"{n['left_out']} left out"] if "left_out" in n else []
    said += [f"{n['exploratory']} exploratory (not in the plan)"] if "exploratory" in n else []
    more = len(deviating)
    last = f"{more} deviation{'s' if more > 1 else ''}" if more else "no deviation"
    return f"Analysis plan {seen.number}, locked by {seen.by} on {seen.at[:10]}: {', '.join(said)}; {last}"
