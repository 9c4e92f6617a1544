"""Changes of a tree of populations: add, remove, rename. Each gives a new tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from immunolab.errors import InputError, Problem
from immunolab.events.transforms import Auto
from immunolab.gating.gate_words import GateWords, gate_of
from immunolab.gating.gates import (
    ROOT,
    Boolean,
    Declared,
    Ellipsoid,
    Gate,
    Polygon,
    Population,
    PopulationTree,
    Rectangle,
)
from immunolab.gating.strategy_faults import name_faults, one_of

Tree = TypeVar("Tree", bound=PopulationTree)
_POPULATIONS_NAMED = ("of", "on")  # settings of a declared gate that name other populations
_BY_PATH = ("optional", "otherwise")  # blocks of the settings whose keys are paths


def population_named(tree: PopulationTree, name: str, argument: str = "population") -> Population:
    """Return the population of a name or path.

    Parameters
    ----------
    tree
        Any strategy.
    name
        Name, or path where several have the name.
    argument
        What the name was given as, for the message.

    Raises
    ------
    InputError
        There is no such population, or several have the name.
    """
    found = [p for p in tree.populations if p.path == name] or [p for p in tree.populations if p.name == name]
    if len(found) == 1:
        return found[0]
    if found:
        paths = ", ".join(p.path for p in found)
        message = f"{len(found)} populations are called '{name}'"
        raise InputError(Problem(tree.name, argument, message, f"give a path: {paths}"))
    names = [p.name for p in tree.populations]
    hint = one_of("populations", [ROOT, *names] if argument == "parent" else names, name)
    raise InputError(Problem(tree.name, argument, f"there is no population '{name}'", hint))


def scale_block(tree: PopulationTree) -> dict[str, Any]:
    """Return the scales that new gates of a tree are on: those it names, else those of its gates, else chosen by data.

    Parameters
    ----------
    tree
        Any strategy.
    """
    named = tree.settings.get("transform")
    if named is not None:
        return dict(named)
    gates = [p.gate for p in tree.populations if isinstance(p.gate, Rectangle | Polygon | Ellipsoid)]
    dimensions = [d for gate in gates for d in gate.dimensions if d.ratio is None]
    return {"default": Auto(), "markers": {d.name: d.transform for d in reversed(dimensions)}}


def add_population(
    tree: Tree,
    name: str,
    gate: Gate | GateWords | Mapping[str, Any] | str,
    *,
    parent: str = ROOT,
    definition: str = "",
    optional: bool = False,
) -> Tree:
    """Return the tree with one population more.

    Parameters
    ----------
    tree
        Any strategy.
    name
        Of the new population; no other may have it.
    gate
        A gate, or words of one.
    parent
        Name or path.
    definition
        Id of the published definition that it follows.
    optional
        Whether a panel without its markers leaves it out.

    Raises
    ------
    InputError
        Everything that is wrong with name, parent and gate.
    """
    problems = [
        Problem(tree.name, "name", fault.message, fault.hint)
        for fault in name_faults(str(name), (), [p.name for p in tree.populations])
    ]
    path, block = "", scale_block(tree)
    made: Gate | None = None
    try:
        path = "" if parent in (ROOT, "/", "") else population_named(tree, parent, "parent").path
    except InputError as error:
        problems += error.problems
    try:
        made = gate_of(gate, tree.populations, block, tree.settings.get("thresholds", {}))
    except InputError as error:
        problems += [replace(problem, file=tree.name) for problem in error.problems]
    if problems:
        raise InputError(problems)
    new = Population(f"{path}/{name}", made, definition)
    settings = {**tree.settings, "transform": block}
    if optional:
        settings["optional"] = {**tree.settings.get("optional", {}), new.path: "true"}
    return replace(tree, populations=(*tree.populations, new), settings=settings)


def remove_populations(tree: Tree, names: Sequence[str]) -> Tree:
    """Return the tree without populations and what is below them.

    Parameters
    ----------
    tree
        Any strategy.
    names
        Names or paths.

    Raises
    ------
    InputError
        A name is unknown, or a gate that stays combines a population that goes.
    """
    tops = tuple(population_named(tree, name, "remove").path for name in names)
    gone = [p for p in tree.populations if any(p.path == top or p.path.startswith(f"{top}/") for top in tops)]
    paths = {p.path for p in gone}
    left = [p for p in tree.populations if p.path not in paths]
    needing = {p.path: used for p in left if (used := sorted(_needed(p) & (paths | {g.name for g in gone})))}
    if needing:
        raise InputError(_still_needed(tree, needing, names))
    return replace(tree, populations=tuple(left), settings=_settings(tree, lambda path: "" if path in paths else path))


def _still_needed(tree: PopulationTree, needing: dict[str, list[str]], names: Sequence[str]) -> list[Problem]:
    users = [path.rsplit("/", 1)[1] for path in needing]
    together = ", ".join(repr(one) for one in dict.fromkeys((*names, *users)))
    return [
        Problem(
            tree.name,
            path.rsplit("/", 1)[1],
            f"its gate needs {' and '.join(name.rsplit('/', 1)[-1] for name in used)}, which would be removed",
            f"remove them together: remove({together})" if path == next(reversed(needing)) else "",
        )
        for path, used in needing.items()
    ]


def _needed(population: Population) -> set[str]:
    """Return the populations, by path or name, that a gate needs beside its parent."""
    gate = population.gate
    if isinstance(gate, Boolean):
        return set(gate.operands)
    if isinstance(gate, Declared):
        return {str(gate.settings[key]) for key in _POPULATIONS_NAMED if gate.settings.get(key)}
    return set()


def rename_population(tree: Tree, old: str, new: str) -> Tree:
    """Return the tree with a population called otherwise, in every path and gate that names it.

    Parameters
    ----------
    tree
        Any strategy.
    old
        Name or path.
    new
        The new name.

    Raises
    ------
    InputError
        There is no such population, or the new name cannot be used.
    """
    chosen = population_named(tree, old, "old")
    others = [p.name for p in tree.populations if p is not chosen]
    problems = [Problem(tree.name, "new", f.message, f.hint) for f in name_faults(new, (), others)]
    if problems:
        raise InputError(problems)
    start, renamed = chosen.path, f"{chosen.parent_path}/{new}"

    def moved(path: str) -> str:
        return renamed + path[len(start) :] if path == start or path.startswith(f"{start}/") else path

    populations = tuple(
        replace(p, path=moved(p.path), gate=_renamed(p.gate, moved, chosen.name, new), original_name="")
        if p is chosen
        else replace(p, path=moved(p.path), gate=_renamed(p.gate, moved, chosen.name, new))
        for p in tree.populations
    )
    return replace(tree, populations=populations, settings=_settings(tree, moved, chosen.name, new))


def _renamed(gate: Gate | None, moved: Any, old: str, new: str) -> Gate | None:
    if isinstance(gate, Boolean):
        return replace(gate, operands=tuple(moved(path) for path in gate.operands))
    if isinstance(gate, Declared):
        named = {key: new for key in _POPULATIONS_NAMED if gate.settings.get(key) == old}
        return replace(gate, settings={**gate.settings, **named}) if named else gate
    return gate


def _settings(tree: PopulationTree, moved: Any, old: str = "", new: str = "") -> dict[str, Any]:
    """Return the settings with paths as they are now; a path that became "" is left out."""
    settings = dict(tree.settings)
    for block in _BY_PATH:
        if block in settings:
            pairs = [(moved(path), value) for path, value in settings[block].items()]
            settings[block] = {path: _at(value, path) for path, value in pairs if path}
    if old and "thresholds" in settings:
        settings["thresholds"] = _rule_renamed(settings["thresholds"], old, new)
    return settings


def _at(value: Any, path: str) -> Any:
    return replace(value, path=path) if isinstance(value, Population) else value


def _rule_renamed(rule: Any, old: str, new: str) -> Any:
    """Return rules of borders in which a reference population is called otherwise."""
    if not isinstance(rule, Mapping):
        return rule
    return {
        key: new if key in _POPULATIONS_NAMED and value == old else _rule_renamed(value, old, new)
        for key, value in rule.items()
    }
