"""Gating strategies as YAML files: a flat list of populations, parent by name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from immunolab.config import Document, Place, parse_yaml, read_yaml
from immunolab.errors import InputError, Problem, nearest
from immunolab.gating.strategy import ROOT, Boolean, Declared, Gate, Population, Strategy
from immunolab.gating.strategy_parser import GATE_KEYS, Reader

if TYPE_CHECKING:
    from immunolab.gating.exchange.workspace import Workspace

_TOP_KEYS = ("strategy", "note", "transform", "populations", "thresholds")
_POPULATION_KEYS = ("name", "parent", "definition", "optional", "note")
_OPTIONAL = (True, False, "pass")
_STRATEGIES = "immunolab.gating.strategies"


def read_strategy(path: Path | str) -> Strategy:
    """Read a gating strategy: YAML, Gating-ML ``.xml``, FlowJo ``.wsp``.

    Raises
    ------
    InputError
        Lists every fault of a YAML file, each with its line.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".xml":
        from immunolab.gating.exchange import read_gatingml

        return read_gatingml(path)
    if suffix == ".wsp":
        from immunolab.gating.exchange.workspace import read_workspace

        return _only(read_workspace(path))
    return parse_strategy(read_yaml(path), hashlib.sha256(path.read_bytes()).hexdigest())


def _only(workspace: Workspace) -> Strategy:
    if len(workspace.strategies) != 1:
        hint = "read it with exchange.workspace.read_workspace and choose by file name"
        raise InputError(
            Problem(workspace.source, "", f"holds gates of {len(workspace.strategies)} files, not of one", hint)
        )
    return next(iter(workspace.strategies.values()))


def builtin_strategy(name: str) -> Strategy:
    """Return a shipped strategy by name.

    Raises
    ------
    InputError
        The name is unknown; the hint lists the names.
    """
    if name not in builtin_names():
        hint = f"{nearest(name, builtin_names())} shipped strategies: {', '.join(builtin_names())}".strip()
        raise InputError(Problem("", "", f"no shipped strategy is named '{name}'", hint))
    text = files(_STRATEGIES).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return parse_strategy(parse_yaml(text, f"{name}.yaml"), hashlib.sha256(text.encode()).hexdigest())


def builtin_names() -> tuple[str, ...]:
    """Return the names of the shipped strategies."""
    return tuple(sorted(p.name[: -len(".yaml")] for p in files(_STRATEGIES).iterdir() if p.name.endswith(".yaml")))


def parse_strategy(document: Document, sha256: str = "") -> Strategy:
    """Return the strategy a YAML document declares.

    Raises
    ------
    InputError
        Lists every fault, each with its line and, for a misspelt word, the nearest allowed one.
    """
    reader = Reader(document)
    data = document.data
    if not isinstance(data, dict):
        raise InputError(document.problem((), "a mapping with the key 'populations' is needed"))
    reader.known_keys(data, (), _TOP_KEYS)
    transform = reader.transform(data.get("transform") or {}, ("transform",))
    thresholds = reader.thresholds(data.get("thresholds") or {}, ("thresholds",))
    rows = data.get("populations")
    if not isinstance(rows, list) or not rows:
        reader.fault(("populations",), "a list of populations is needed", "write - {name: ..., parent: ...} lines")
        rows = []
    entries = _entries(reader, rows)
    reader.settings = {"transform": transform, "thresholds": thresholds}
    populations = _populations(reader, entries)
    if reader.problems:
        raise InputError(reader.problems)
    optional = {p.path: str(e["optional"]).lower() for p, e in populations if e.get("optional")}
    settings = {**reader.settings, "optional": optional}
    name = str(data.get("strategy") or Path(document.file).stem)
    source = f"{document.file} sha256:{sha256}" if sha256 else document.file
    return Strategy(name, tuple(p for p, _ in populations), settings=settings, source=source)


def _entries(reader: Reader, rows: list[Any]) -> dict[str, tuple[int, dict[str, Any]]]:
    """Return name -> (index, entry) and note faults of names and keys."""
    entries: dict[str, tuple[int, dict[str, Any]]] = {}
    for index, row in enumerate(rows):
        place: Place = ("populations", index)
        if not isinstance(row, dict):
            reader.fault(place, "a mapping is needed", "write {name: ..., parent: ..., where: ...}")
            continue
        reader.known_keys(row, place, (*_POPULATION_KEYS, *GATE_KEYS))
        name = row.get("name")
        if not isinstance(name, (str, int)) or name == "":
            reader.fault((*place, "name"), "the key is missing" if name is None else "text is needed")
            continue
        name = str(name)
        if "/" in name:
            reader.fault((*place, "name"), f"'{name}' holds '/', which separates names in a path", "use '|' or '_'")
        if name == ROOT:
            reader.fault((*place, "name"), "'root' is all events and needs no entry", "leave the entry out")
        elif name in entries:
            reader.fault((*place, "name"), f"population '{name}' stands twice", "names are unique in a strategy")
        if row.get("optional", False) not in _OPTIONAL:
            reader.fault((*place, "optional"), f"unknown value '{row['optional']}'", "allowed: true, false, pass")
        entries.setdefault(name, (index, row))
    return entries


def _populations(
    reader: Reader, entries: Mapping[str, tuple[int, dict[str, Any]]]
) -> list[tuple[Population, dict[str, Any]]]:
    gates: dict[str, Gate | None] = {}
    needs: dict[str, list[str]] = {}
    for name, (index, row) in entries.items():
        place: Place = ("populations", index)
        gates[name] = reader.gate(row, place, tuple(entries))
        needs[name] = _needs(reader, name, row, place, gates[name], entries)
    order = _ordered(reader, entries, needs)
    paths: dict[str, str] = {ROOT: ""}
    for name in order:
        paths[name] = f"{paths[needs[name][0]]}/{name}"
    result = []
    for name in order:
        row = entries[name][1]
        gate = gates[name]
        if isinstance(gate, Boolean):
            gate = Boolean(gate.operator, tuple(paths.get(o, o) for o in gate.operands), gate.complement)
        result.append((Population(paths[name], gate, str(row.get("definition") or "")), row))
    return result


def _needs(
    reader: Reader,
    name: str,
    row: Mapping[str, Any],
    place: Place,
    gate: Gate | None,
    entries: Mapping[str, Any],
) -> list[str]:
    """Return the parent first, then every population that must be known before this one."""
    parent = str(row.get("parent") or ROOT)
    if parent != ROOT and parent not in entries:
        hint = f"{nearest(parent, entries)} populations: {ROOT}, {', '.join(entries)}".strip()
        reader.fault((*place, "parent"), f"unknown parent '{parent}'", hint)
        parent = ROOT
    needs = [parent]
    if isinstance(gate, Boolean):
        needs += gate.operands
    if isinstance(gate, Declared):
        for key in ("of", "on"):
            wanted = gate.settings.get(key)
            found = reader.population(str(wanted), tuple(entries)) if wanted else None
            if found is not None and found != name:
                needs.append(found)
    return needs


def _ordered(reader: Reader, entries: Mapping[str, tuple[int, Any]], needs: Mapping[str, list[str]]) -> list[str]:
    """Return names so that whatever a population rests on comes first, otherwise in file order."""
    order: list[str] = []
    left = list(entries)
    while left:
        ready = next((n for n in left if all(m in order or m == ROOT or m not in entries for m in needs[n])), None)
        if ready is None:
            _fault_cycle(reader, left, entries, needs)
            return order
        order.append(ready)
        left.remove(ready)
    return order


def _fault_cycle(
    reader: Reader, left: list[str], entries: Mapping[str, tuple[int, Any]], needs: Mapping[str, list[str]]
) -> None:
    walk = [left[0]]
    while len(set(walk)) == len(walk):
        walk.append(next(m for m in needs[walk[-1]] if m in left))
    circle = walk[walk.index(walk[-1]) :]
    place: Place = ("populations", entries[circle[0]][0], "parent")
    reader.fault(place, f"populations rest on each other: {' -> '.join(circle)}", "break the circle at one parent")
