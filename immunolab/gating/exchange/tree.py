"""From gates that name each other by ids to populations with paths, parents before children."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from immunolab.errors import GatingError, Problem
from immunolab.gating.strategy import Boolean, Gate, Population


@dataclass(frozen=True)
class Node:
    """A gate's place in its file.

    Attributes
    ----------
    key
        What other gates of the file call it by.
    name
        What people call it.
    parent
        Key of the parent; "" at the top.
    gate
        Its geometry; operands of a boolean are keys. A GatingError when it cannot be read.
    definition, flag
        As `Population` has them.
    """

    key: str
    name: str
    parent: str
    gate: Gate | GatingError | None
    definition: str = ""
    flag: str = ""


def assemble(nodes: Mapping[str, Node], source: str) -> tuple[tuple[Population, ...], tuple[Problem, ...]]:
    """Return the populations that can be read, and one problem for each that cannot.

    A population under a gate that cannot be read, and a boolean over it, is reported too.

    Parameters
    ----------
    nodes
        The gates of one tree by key, in the file's order.
    source
        The file, for messages.
    """
    paths = _paths(nodes)
    faults: dict[str, tuple[str, str]] = {}
    populations: dict[str, Population] = {}
    for key, node in nodes.items():
        fault = _fault(node, nodes)
        if fault:
            faults[paths[key]] = fault
        else:
            populations[paths[key]] = _population(node, paths)
    placed = _in_order(populations)
    for path in populations:
        if path not in placed:
            faults[path] = "the gate depends on a gate that cannot be read", "fix that gate first"
    problems = tuple(Problem(source, path, *faults[path]) for path in paths.values() if path in faults)
    return tuple(placed.values()), problems


def _safe_name(name: str) -> str:
    """Return a population name without the ``/`` that separates a path: ``|`` instead."""
    return name.strip().replace("/", "|") or "unnamed"


def outside(node: Node) -> tuple[Node, Node]:
    """Return two gates for a shape of which the events outside are meant: the drawn one, and NOT of it beside it."""
    drawn = replace(node, key=f"{node.key} (drawn)", name=f"{node.name} (drawn)")
    return drawn, replace(node, gate=Boolean("not", (drawn.key,), (False,)))


def _population(node: Node, paths: Mapping[str, str]) -> Population:
    gate = node.gate
    if isinstance(gate, Boolean):
        gate = replace(gate, operands=tuple(paths[key] for key in gate.operands))
    assert not isinstance(gate, GatingError)  # noqa: S101 - _fault has reported these
    original = node.name if _safe_name(node.name) != node.name else ""
    return Population(paths[node.key], gate, node.definition, original, node.flag)


def _fault(node: Node, nodes: Mapping[str, Node]) -> tuple[str, str] | None:
    if isinstance(node.gate, GatingError):
        return node.gate.message, node.gate.hint
    if node.parent and node.parent not in nodes:
        return f"its parent '{node.parent}' is not in the file", "export the whole tree"
    if node.key in _ancestors(nodes, node.key):
        return "the gate is its own ancestor", "draw the tree again"
    absent = [key for key in node.gate.operands if key not in nodes] if isinstance(node.gate, Boolean) else []
    if absent:
        return f"it refers to '{absent[0]}', which is not in the file", "export the whole tree"
    return None


def _ancestors(nodes: Mapping[str, Node], key: str) -> list[str]:
    """Return the keys above a gate, nearest first; stops where they repeat or the file has no such gate."""
    found: list[str] = []
    above = nodes[key].parent
    while above in nodes and above not in found:
        found.append(above)
        above = nodes[above].parent
    return found


def _paths(nodes: Mapping[str, Node]) -> dict[str, str]:
    """Return each gate's path; of two siblings with one name the later one carries its key."""
    paths: dict[str, str] = {}
    taken: set[str] = set()
    for key in nodes:
        for step in [*reversed(_ancestors(nodes, key)), key]:
            if step not in paths:
                node = nodes[step]
                path = f"{paths.get(node.parent, '')}/{_safe_name(node.name)}"
                paths[step] = path if path not in taken else f"{path} [{_safe_name(step)}]"
                taken.add(paths[step])
    return paths


def _in_order(populations: Mapping[str, Population]) -> dict[str, Population]:
    """Return populations with parents and boolean operands first; those that depend on an absent one are left out."""
    waiting = dict(populations)
    placed: dict[str, Population] = {}
    progress = True
    while waiting and progress:
        progress = False
        for path, population in list(waiting.items()):
            if all(need in placed for need in _needs(population)):
                placed[path] = waiting.pop(path)
                progress = True
    return placed


def _needs(population: Population) -> list[str]:
    operands = list(population.gate.operands) if isinstance(population.gate, Boolean) else []
    return operands + ([population.parent_path] if population.parent_path else [])
