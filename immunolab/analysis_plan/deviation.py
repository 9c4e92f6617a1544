"""Where the study as it is now differs from the plan, each in words, and which endpoints that touches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from immunolab.analysis_plan.content import Content
from immunolab.analysis_plan.difference import (
    Area,
    Deviation,
    changed,
    counted_endpoints,
    endpoint_ids,
    leaves,
    say,
    some,
    text,
)
from immunolab.analysis_plan.gates import gate_deviations

_SECTIONS: dict[str, Area] = {
    "study": "study",
    "trial": "trial",
    "families": "family",
    "comparison": "comparison",
    "arms": "comparison",
    "estimand": "estimand",
    "noise": "noise",
    "exclusions": "exclusion",
    "bridging": "comparison",
    "definitions": "definition",
    "single cells": "population",
    "tables": "study",
    "code": "population",
    "subgroups": "comparison",
    "covariates": "comparison",
}

_SAID_BY_KEY = {"noise", "exclusions"}  # sections whose keys say what they are without the section's name


def deviations(planned: Content, now: Content) -> tuple[Deviation, ...]:
    """Return every difference: endpoints first, those that are or were primary before all others.

    Parameters
    ----------
    planned, now
        Contents, see `planned_content`.
    """
    found = [*sorted(_endpoints(planned, now), key=_rank), *gate_deviations(planned, now)]
    found += _secondary(planned, now)
    for section, area in _SECTIONS.items():
        found += _section(section, area, planned, now)
    return (*found, *_samples(planned["samples"], now["samples"]))


def _endpoints(planned: Content, now: Content) -> Iterator[Deviation]:
    before, after = planned["endpoints"], now["endpoints"]
    for name, one in before.items():
        if name not in after:
            words = f"endpoint {name} ({one['role']}) is planned and is no longer in the study"
            yield Deviation("endpoint", name, _endpoint(one), "", words, (name,))
    for name, one in after.items():
        if name not in before:
            words = f"endpoint {name} ({one['role']}) is not in the plan"
            yield Deviation("endpoint", name, "", _endpoint(one), words, (name,))
            continue
        for key, first, last in leaves(before[name], one):
            if key != ("label",):
                words = f"endpoint {name}: {changed(say(key), first, last)}"
                yield Deviation("endpoint", f"{name}, {say(key)}", text(first), text(last), words, (name,))


def _rank(one: Deviation) -> int:
    """Return the place of an endpoint's deviation by the most important of its roles."""
    said = f"{one.planned}, {one.now}".split(", ")
    return 0 if "primary" in said else 2 if said[0] in ("exploratory", "") and "exploratory" in said else 1


def _endpoint(one: Mapping[str, Any]) -> str:
    return f"{one['role']}, {one['statistic'].replace('_', ' ')}: {one['label']}"


def _secondary(planned: Content, now: Content) -> Iterator[Deviation]:
    """Yield that the secondary endpoints whose p are adjusted together are others: the q of all of them is another."""
    before, after = (_adjusted_together(one) for one in (planned, now))
    if set(before) == set(after):
        return
    more = [name for name in after if name not in before]
    less = [name for name in before if name not in after]
    sides = [f"{word} {some(names)}" for word, names in (("with", more), ("without", less)) if names]
    words = f"secondary endpoints are not adjusted together as planned, but {' and '.join(sides)}: their q is another"
    both = tuple(name for name in after if name in before)
    yield Deviation("family", "secondary endpoints", some(before), some(after), words, both)


def _adjusted_together(content: Content) -> list[str]:
    """Return the secondary endpoints of the family that no file declares, see docs/statistics.md."""
    families = content["families"].values()
    named = {name for one in families if isinstance(one, Mapping) for name in one.get("endpoints", ())}
    if any(isinstance(one, Mapping) and one.get("role") == "secondary" for one in families):
        return []
    return [
        name
        for name, one in content["endpoints"].items()
        if one["role"] == "secondary" and "compared" in one and not one.get("negative_control") and name not in named
    ]


def _section(section: str, area: Area, planned: Content, now: Content) -> Iterator[Deviation]:
    for path, first, last in leaves(planned[section], now[section]):
        if section == "families" and path == ("order",) and set(first) != set(last):
            continue  # a family more or less is said by its own name
        what = say(path if section in _SAID_BY_KEY else (section, *path))
        words = changed(what, first, last)
        yield Deviation(area, what, text(first), text(last), words, _concerned(section, path, planned, now))


def _concerned(section: str, path: Sequence[str], planned: Content, now: Content) -> tuple[str, ...]:
    """Return the endpoints whose numbers a section's change can alter."""
    every = tuple(endpoint_ids(planned, now))
    both = (planned, now)
    compared = tuple(e for e in every if any("compared" in one["endpoints"].get(e, {}) for one in both))
    choose: dict[str, Callable[[], tuple[str, ...]]] = {
        "comparison": lambda: compared,
        "arms": lambda: compared,
        "estimand": lambda: every if path[:1] == ("events",) else (),
        "bridging": lambda: counted_endpoints(planned, now),
        "exclusions": lambda: counted_endpoints(planned, now),
        "code": lambda: counted_endpoints(planned, now),
        "families": lambda: _of_family(path, planned, now),
        "trial": lambda: _of_visit(path, planned, now) if path[:1] == ("visits",) else (),
    }
    return choose[section]() if section in choose else ()


def _of_family(path: Sequence[str], planned: Content, now: Content) -> tuple[str, ...]:
    """Return the endpoints of a family, by name or by role, as planned and now."""
    families = [one["families"].get(path[0]) or {} for one in (planned, now)] if path else [{}]
    names = {name for family in families if isinstance(family, Mapping) for name in family.get("endpoints", ())}
    roles = {family.get("role") for family in families if isinstance(family, Mapping)}
    of_role = (e for one in (planned, now) for e, said in one["endpoints"].items() if said["role"] in roles)
    return tuple(dict.fromkeys((*sorted(names), *of_role)))


def _of_visit(path: Sequence[str], planned: Content, now: Content) -> tuple[str, ...]:
    both = [one["endpoints"] for one in (planned, now)]
    name = path[1] if len(path) > 1 else ""
    return tuple(
        e for e in endpoint_ids(planned, now) if any(name in one.get(e, {}).get("compared", ()) for one in both)
    )


def _samples(planned: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Deviation]:
    for name in planned:
        if name not in now:
            one = planned[name]
            who = " ".join(filter(None, (one.get("patient_id", ""), one.get("visit", ""))))
            words = f"sample {name} ({who}) was in the sheet when the plan was locked and is left out now"
            yield Deviation("sample", name, who, "", words)
    for name in (one for one in now if one in planned):
        for key, first, last in leaves(planned[name], now[name]):
            words = f"sample {name}: {changed(say(key), first, last)}"
            yield Deviation("sample", f"{name}, {say(key)}", text(first), text(last), words)
    if new := [name for name in now if name not in planned]:
        many = "samples were" if len(new) > 1 else "sample was"
        words = f"{len(new)} {many} added to the sheet since the plan was locked: {some(new)}"
        yield Deviation("sample", "added", "", some(new), words)
