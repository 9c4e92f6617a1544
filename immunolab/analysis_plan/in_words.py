"""Locked plans in words, for the console."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from immunolab.analysis_plan.content import Content
from immunolab.analysis_plan.difference import say, text
from immunolab.analysis_plan.lock import LockedPlan
from immunolab.gating.record_codec import from_plain
from immunolab.gating.strategy_view import strategy_line

_ROLES = ("primary", "secondary", "exploratory")
_SECTIONS = ("comparison", "arms", "families", "noise", "exclusions", "bridging", "tables")


def plan_text(plans: Sequence[LockedPlan]) -> str:
    """Return every locked plan in a line, and what the last one plans.

    Parameters
    ----------
    plans
        The first one first; one at least.
    """
    return "\n".join([*_history(plans), "", *_content(plans[-1].content)])


def _history(plans: Sequence[LockedPlan]) -> Iterator[str]:
    for one in plans:
        why = f": {one.reason}" if one.reason else ""
        replaced = "" if one is plans[-1] else " (replaced)"
        yield f"{one.in_words}{why}{replaced}\n    sha256 {one.sha256}, immunolab {one.version}"


def _content(content: Content) -> Iterator[str]:
    trial = content["trial"]
    yield f"study {content['study']}" + (f", trial {trial['id']}" if trial else "")
    for role in _ROLES:
        names = [(name, one) for name, one in content["endpoints"].items() if one["role"] == role]
        if names:
            yield f"{role} endpoints"
        for name, one in names:
            visits = f", {one['compared'][1]} - {one['compared'][0]}" if one.get("compared") else ""
            yield f"  {name}: {one['statistic'].replace('_', ' ')}, {one['label']}{visits}"
    for name, panel in content["panels"].items():
        gates = strategy_line(from_plain(panel["strategy"])) if panel["strategy"] else text(panel["files"])
        yield f"panel {name}: {gates}" if name else gates
    for section in _SECTIONS:
        said = [f"{say([key])} {text(item)}" for key, item in content[section].items() if item not in (None, [], {})]
        if said:
            yield f"{section}: {', '.join(said)}"
    if content["estimand"]:
        handled = [f"{name} ({say([one['strategy']])})" for name, one in content["estimand"]["events"].items()]
        yield f"intercurrent events: {', '.join(handled)}"
    yield f"samples: {len(content['samples'])}"
