"""Where the gates of a study differ from those of its plan, and which endpoints are counted from what differs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from immunolab.analysis_plan.content import Content, is_of_population
from immunolab.analysis_plan.difference import (
    Deviation,
    changed,
    counted_endpoints,
    endpoint_ids,
    leaves,
    populations_of,
    say,
    text,
)
from immunolab.gating.changes.diff import GateChange, strategy_diff
from immunolab.gating.record_codec import from_plain


def gate_deviations(planned: Content, now: Content) -> Iterator[Deviation]:
    """Yield what changed in the gates of each panel, with the endpoints counted from what changed.

    Parameters
    ----------
    planned, now
        Contents.
    """
    before, after = planned["panels"], now["panels"]
    for panel in dict.fromkeys((*before, *after)):
        of = f" of panel {panel}" if panel and len({*before, *after}) > 1 else ""
        counted = counted_endpoints(planned, now)
        if panel not in before or panel not in after:
            where = "is no longer in the study" if panel not in after else "is not in the plan"
            yield Deviation("population", f"panel {panel}", "", "", f"panel {panel} {where}", counted)
            continue
        first, last = before[panel], after[panel]
        yield from _strategies(first["strategy"], last["strategy"], of, planned, now)
        rest = [{key: item for key, item in panel.items() if key != "strategy"} for panel in (first, last)]
        for key, one, other in leaves(rest[0], rest[1]):
            words = f"{say(key)}{of}: {changed('', one, other)}"
            yield Deviation("population", f"{say(key)}{of}", text(one), text(other), words, counted)


def counted_from(path: str, now: Content) -> tuple[str, ...]:
    """Return the endpoints that are counted from a population, or from one that rests on it.

    Parameters
    ----------
    path
        Of the population; "" for any.
    now
        Content of the study.
    """
    trees = [one["strategy"] for one in now["panels"].values() if one["strategy"]]
    if not path or not trees:
        return counted_endpoints(now, now)
    touched = {name for tree in trees for name in _resting_on({path}, [tree["populations"]])}
    return tuple(e for e in now["endpoints"] if touched & populations_of(now, now, e))


def _strategies(first: Any, last: Any, of: str, planned: Content, now: Content) -> Iterator[Deviation]:
    if first == last:
        return
    if first is None or last is None:
        names = [f"strategy {one['name']}" if one else "gates of a gate file" for one in (first, last)]
        words = f"gates{of}: planned {names[0]}, now {names[1]}"
        yield Deviation("population", f"gates{of}", names[0], names[1], words, counted_endpoints(planned, now))
        return
    for change in strategy_diff(from_plain(first), from_plain(last)).changes:
        touched = _touched(change, first, last)
        counted = tuple(e for e in endpoint_ids(planned, now) if touched & populations_of(planned, now, e))
        before, after = _sides(change)
        if change.change == "moved" and before == after:  # the words of both gates hide which setting differs
            yield from _settings_of(change, first, last, of, counted)
            continue
        where = f"{change.population}, {change.marker or change.change}{of}"
        yield Deviation("population", where, before, after, f"population {change}{of}", counted)
    yield from _further(first, last, of, planned, now)


def _settings_of(change: GateChange, first: Any, last: Any, of: str, counted: tuple[str, ...]) -> Iterator[Deviation]:
    """Yield which settings of a gate that data place differ."""
    gates = [next((p["gate"] for p in one["populations"] if p["path"] == change.path), None) for one in (first, last)]
    for keys, before, after in leaves(gates[0], gates[1]):
        what = f"{change.population}, {say(keys[-1:]) or 'gate'}{of}"
        words = f"population {change.population}{of}: gate, {changed(say(keys[-1:]) or 'kind', before, after)}"
        yield Deviation("population", what, text(before), text(after), words, counted)


def _definition_changes(first: Any, last: Any) -> list[tuple[str, str, str]]:
    """Return populations of both strategies that follow another definition: path, before, after."""
    known = {one["path"]: one["definition"] for one in first["populations"]}
    return [
        (one["path"], known[one["path"]], one["definition"])
        for one in last["populations"]
        if one["path"] in known and known[one["path"]] != one["definition"]
    ]


def _further(first: Any, last: Any, of: str, planned: Content, now: Content) -> Iterator[Deviation]:
    """Yield what the gates themselves do not show: names of strategies, definitions followed, settings."""
    if first["name"] != last["name"]:
        words = f"strategy{of}: planned {first['name']}, now {last['name']}"
        yield Deviation("population", f"strategy{of}", first["name"], last["name"], words)
    for path, before, after in _definition_changes(first, last):
        name = path.rsplit("/", 1)[1]
        words = f"population {name}{of}: definition planned {before or 'none'}, now {after or 'none'}"
        yield Deviation("definition", f"{name}{of}", before, after, words)
    paths = {one["path"] for one in first["populations"]} & {one["path"] for one in last["populations"]}
    settings = [_other_settings(one, paths) for one in (first, last)]
    for keys, before, after in leaves(settings[0], settings[1]):
        what = ", ".join(key.rsplit("/", 1)[-1] for key in keys)
        counted = counted_endpoints(planned, now)
        words = f"setting of the gates{of}, {changed(what, before, after)}"
        yield Deviation("population", f"{what}{of}", text(before), text(after), words, counted)


def _other_settings(strategy: Any, paths: set[str]) -> dict[str, Any]:
    """Return the settings that a comparison of the gates does not hold, of populations that both strategies have."""
    compared = ("thresholds", "transform")
    settings = {key: item for key, item in strategy["settings"].items() if key not in compared}
    own = {
        key: {path: one for path, one in item.items() if path in paths} if isinstance(item, dict) else item
        for key, item in settings.items()
    }
    return own | {"matrices": strategy["matrices"]}


def _sides(change: GateChange) -> tuple[str, str]:
    if change.before is not None or change.after is not None:
        return text(change.before), text(change.after)
    before, arrow, after = change.words.partition(" -> ")
    if arrow:
        return before, after
    return ("", change.words) if change.change == "added" else (change.words, "")


def _touched(change: GateChange, first: Any, last: Any) -> set[str]:
    """Return the names of populations whose events a change can alter: those below it, and those that combine them."""
    trees = [one["populations"] for one in (first, last)]
    if change.path:
        begun = {change.path}
    elif change.population in ("default", "scatter"):
        return {one["path"].rsplit("/", 1)[1] for tree in trees for one in tree}
    else:
        begun = {p["path"] for tree in trees for p in tree if is_of_population(p["gate"], change.population)}
    return _resting_on(begun, trees)


def _resting_on(paths: set[str], trees: Iterable[Any]) -> set[str]:
    """Return the names of populations and of all whose events rest on theirs, parents coming before children."""
    found = set(paths)
    for tree in trees:
        for one in tree:
            gate = one["gate"] or {}
            if {one["path"].rsplit("/", 1)[0], *(gate.get("operands") or ())} & found:
                found.add(one["path"])
    return {path.rsplit("/", 1)[-1] for path in found}
