"""Gating strategies as YAML files: a flat list of populations, parent by name."""

from __future__ import annotations

import hashlib
import logging
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from immunolab.config import Document, Place, parse_yaml, read_yaml
from immunolab.errors import InputError, Problem, nearest
from immunolab.events.transforms import Auto, Transform
from immunolab.gating.rule_parser import parse_thresholds
from immunolab.gating.strategy import ROOT, Boolean, Declared, Gate, Population, Strategy
from immunolab.gating.strategy_faults import StrategyFault, is_number, name_faults, one_of, unknown_keys
from immunolab.gating.strategy_out import SCALES
from immunolab.gating.strategy_parser import BOOLEAN, GateReader, gate_keys, population_meant
from immunolab.gating.strategy_units import NUMBERS, Numbers, numbers_of, with_unit
from immunolab.input_files import recorded_inputs
from immunolab.schema.gating import SPECIMENS

if TYPE_CHECKING:
    from immunolab.gating.exchange.workspace import Workspace

log = logging.getLogger("immunolab")
_TOP_KEYS = ("numbers", "strategy", "note", "specimen", "transform", "populations", "thresholds")
_POPULATION_KEYS = ("name", "parent", "definition", "optional", "otherwise", "note")
_OPTIONAL = (True, False, "pass")
_STRATEGIES = "immunolab.gating.strategies"


def read_strategy(path: Path | str) -> Strategy:
    """Read a gating strategy: YAML, Gating-ML ``.xml``, FlowJo ``.wsp``.

    Parameters
    ----------
    path
        YAML, Gating-ML ``.xml`` or a FlowJo workspace of one sample.

    Returns
    -------
    Strategy
        The populations in the order of the file, parents first.

    Raises
    ------
    InputError
        Every fault of a YAML file, each with its line.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".xml":
        from immunolab.gating.exchange import read_gatingml

        return read_gatingml(path)
    if suffix == ".wsp":
        from immunolab.gating.exchange.workspace import read_workspace

        return _only(read_workspace(path))
    with recorded_inputs() as read:
        document = read_yaml(path)
    return parse_strategy(document, read[os.path.abspath(path)])


def _only(workspace: Workspace) -> Strategy:
    if len(workspace.samples) != 1:
        hint = "give the workspace itself to immunolab.gate: each tube takes the gates of its own file"
        message = f"holds gates of {len(workspace.samples)} files, not of one"
        raise InputError(Problem(workspace.source, "", message, hint))
    return workspace.samples[0].strategy


def builtin_strategy(name: str) -> Strategy:
    """Return a shipped strategy by name.

    Parameters
    ----------
    name
        Name of a shipped strategy, such as ``treg_th17_tfh_teff``.

    Returns
    -------
    Strategy
        Its populations; borders are placed when tubes are gated.

    Raises
    ------
    InputError
        The name is unknown; the hint lists the names.

    Examples
    --------
    >>> strategy = il.builtin_strategy("treg_th17_tfh_teff")
    >>> [population.name for population in strategy.populations][:3]
    ['singlets', 'viable', 'small_and_blasts']
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
        Every fault, each with its line and, for a misspelt word, the nearest allowed one.
    """
    data = document.data
    if not isinstance(data, dict):
        raise InputError(document.problem((), "a mapping with the key 'populations' is needed"))
    transform, scale_faults = _parse_scales(data.get("transform") or {}, ("transform",))
    transform, numbers, unit_faults = _unit(data, transform) if not scale_faults else (transform, NUMBERS[0], [])
    stated, threshold_faults = parse_thresholds(data.get("thresholds") or {}, ("thresholds",))
    thresholds = {marker: with_unit(rule, numbers) for marker, rule in stated.items()}
    entries, entry_faults = _entries(data.get("populations"))
    reader = GateReader(transform, thresholds, entries, numbers)
    populations, tree_faults = _populations(reader, entries)
    otherwise, other_faults = _alternatives(reader, entries, (p for p, _ in populations))
    specimen = data.get("specimen", "other")
    faults = (
        *unknown_keys(data, (), _TOP_KEYS),
        *_specimen_faults(specimen),
        *scale_faults,
        *unit_faults,
        *threshold_faults,
        *entry_faults,
        *reader.faults,
        *other_faults,
    )
    if faults or tree_faults:
        raise InputError([document.problem(f.place, f.message, f.hint) for f in (*faults, *tree_faults)])
    optional = {p.path: str(e["optional"]).lower() for p, e in populations if e.get("optional")}
    settings = {"transform": transform, "thresholds": thresholds, "optional": optional, "otherwise": otherwise}
    name = str(data.get("strategy") or Path(document.file).stem)
    file = Path(document.file).name  # not its folder: the same file gives the same strategy anywhere
    source = f"{file} sha256:{sha256}" if sha256 else file
    return Strategy(name, tuple(p for p, _ in populations), settings=settings, source=source, specimen=specimen)


def _unit(data: Mapping[str, Any], transform: dict[str, Any]) -> tuple[dict[str, Any], Numbers, list[StrategyFault]]:
    """Return the scales, the unit of the file's numbers, and what is wrong with these."""
    block = data.get("transform")
    named = isinstance(block, dict) and "default" in block
    numbers, faults = numbers_of(data, transform, named=named)
    if numbers == "display" and not named:
        # as before version 0.3: logicle, and asinh 5 for mass
        transform = {key: value for key, value in transform.items() if key != "default"}
    if numbers == "display" and "numbers" not in data:
        log.info("numbers are read on the display scale; 'numbers: display' in the strategy says so, without this note")
    return transform, numbers, faults


def _specimen_faults(word: Any) -> Iterator[StrategyFault]:
    if word not in SPECIMENS:
        yield StrategyFault(("specimen",), f"unknown specimen '{word}'", one_of("specimens", SPECIMENS, str(word)))


_Entries = Mapping[str, tuple[int, dict[str, Any]]]  # name -> (index in the file, entry)


def _alternatives(
    reader: GateReader, entries: _Entries, populations: Iterable[Population]
) -> tuple[dict[str, Population], list[StrategyFault]]:
    """Return path -> the population as `otherwise` gates it, where the panel lacks its own markers; and faults."""
    found: dict[str, Population] = {}
    faults: list[StrategyFault] = []
    for population in populations:
        # a name with "/" is a fault of its own, and no entry
        index, entry = entries.get(population.name, (0, {}))
        if "otherwise" not in entry:
            continue
        place: Place = ("populations", index, "otherwise")
        other = entry["otherwise"]
        if not isinstance(other, dict) or set(BOOLEAN) & set(other):
            faults.append(StrategyFault(place, "a gate on markers is needed", "write {where: ..., definition: ...}"))
            continue
        faults += unknown_keys(other, place, ("definition", *gate_keys()))
        definition = str(other.get("definition") or "")
        found[population.path] = replace(population, gate=reader.gate(other, place), definition=definition)
    return found, faults


def _entries(rows: Any) -> tuple[_Entries, list[StrategyFault]]:
    """Return the entries that can be read on, and faults of names and keys."""
    if not isinstance(rows, list) or not rows:
        hint = "write - {name: ..., parent: ...} lines"
        return {}, [StrategyFault(("populations",), "a list of populations is needed", hint)]
    entries: dict[str, tuple[int, dict[str, Any]]] = {}
    faults: list[StrategyFault] = []
    for index, row in enumerate(rows):
        place: Place = ("populations", index)
        if not isinstance(row, dict):
            faults.append(StrategyFault(place, "a mapping is needed", "write {name: ..., parent: ..., where: ...}"))
            continue
        faults += unknown_keys(row, place, (*_POPULATION_KEYS, *gate_keys()))
        name = row.get("name")
        if not isinstance(name, (str, int)) or name == "":
            faults.append(StrategyFault((*place, "name"), "the key is missing" if name is None else "text is needed"))
            continue
        faults += name_faults(str(name), (*place, "name"), entries)
        if row.get("optional", False) not in _OPTIONAL:
            message = f"unknown value '{row['optional']}'"
            faults.append(StrategyFault((*place, "optional"), message, "allowed: true, false, pass"))
        entries.setdefault(str(name), (index, row))
    return entries, faults


def _populations(
    reader: GateReader, entries: _Entries
) -> tuple[list[tuple[Population, dict[str, Any]]], list[StrategyFault]]:
    """Return the populations, parents first, each with its entry, and faults of the tree."""
    gates: dict[str, Gate | None] = {}
    needs: dict[str, list[str]] = {}
    faults: list[StrategyFault] = []
    for name, (index, row) in entries.items():
        place: Place = ("populations", index)
        gates[name] = reader.gate(row, place)
        parent = str(row.get("parent") or ROOT)
        if parent != ROOT and parent not in entries:
            hint = f"{nearest(parent, entries)} populations: {ROOT}, {', '.join(entries)}".strip()
            faults.append(StrategyFault((*place, "parent"), f"unknown parent '{parent}'", hint))
            parent = ROOT
        needs[name] = [parent, *_others_needed(name, gates[name], entries)]
    order, circle = _ordered(entries, needs)
    if circle:
        place = ("populations", entries[circle[0]][0], "parent")
        message = f"populations depend on each other: {' -> '.join(circle)}"
        faults.append(StrategyFault(place, message, "break the circle at one parent"))
    paths: dict[str, str] = {ROOT: ""}
    result = []
    for name in order:
        paths[name] = f"{paths[needs[name][0]]}/{name}"
        row, gate = entries[name][1], gates[name]
        if isinstance(gate, Boolean):
            gate = Boolean(gate.operator, tuple(paths.get(o, o) for o in gate.operands), gate.complement)
        result.append((Population(paths[name], gate, str(row.get("definition") or "")), row))
    return result, faults


def _others_needed(name: str, gate: Gate | None, entries: _Entries) -> list[str]:
    """Return the populations, beside the parent, that must be placed before this one."""
    if isinstance(gate, Boolean):
        return list(gate.operands)
    if not isinstance(gate, Declared):
        return []
    wanted = [str(gate.settings[key]) for key in ("of", "on") if gate.settings.get(key)]
    found = [population_meant(word, entries) for word in wanted]
    return [other for other in found if other is not None and other != name]


def _ordered(entries: _Entries, needs: Mapping[str, list[str]]) -> tuple[list[str], list[str]]:
    """Return names so that whatever a population depends on comes first, and a circle of needs if there is one."""
    order: list[str] = []
    left = list(entries)
    while left:
        ready = next((n for n in left if all(m in order or m == ROOT or m not in entries for m in needs[n])), None)
        if ready is None:
            return order, _circle(left, needs)
        order.append(ready)
        left.remove(ready)
    return order, []


def _circle(left: list[str], needs: Mapping[str, list[str]]) -> list[str]:
    """Return the names along one circle of needs, the first one again at the end."""
    walk = [left[0]]
    while len(set(walk)) == len(walk):
        walk.append(next(m for m in needs[walk[-1]] if m in left))
    return walk[walk.index(walk[-1]) :]


def _parse_scales(data: Any, place: Place) -> tuple[dict[str, Any], list[StrategyFault]]:
    """Return ``{default, scatter, markers}`` with transforms as records, and what is wrong."""
    if not isinstance(data, dict):
        hint = "write transform: {default: {logicle: {}}, scatter: linear}"
        return {}, [StrategyFault(place, "a mapping is needed", hint)]
    common = {key: data[key] for key in ("default", "scatter") if key in data}
    markers = {key: value for key, value in data.items() if key not in ("default", "scatter", "markers")}
    markers |= data.get("markers") or {}
    read = {name: _scale(value, (*place, name)) for name, value in (common | markers).items()}
    block: dict[str, Any] = {"default": Auto()} | {key: read[key][0] for key in common}
    block["markers"] = {name: read[name][0] for name in markers}
    return block, [fault for _, faults in read.values() for fault in faults]


def _scale(data: Any, place: Place) -> tuple[Transform | None, list[StrategyFault]]:
    name, parameters = "", None
    if isinstance(data, str):
        name = data
    elif isinstance(data, dict) and len(data) == 1:
        name, parameters = next(iter(data.items()))
    if name not in SCALES:
        return None, [StrategyFault(place, f"unknown scale '{name}'", one_of("scales", SCALES, str(name)))]
    parameters = parameters or {}
    known = {f.name: f for f in fields(SCALES[name])}
    missing = [n for n, f in known.items() if f.default is MISSING and n not in parameters]
    faults = [
        *unknown_keys(parameters, (*place, name), known),
        *(
            StrategyFault((*place, name, key), f"a finite number is needed, not '{value}'")
            for key, value in parameters.items()
            if not (is_number(value) and math.isfinite(value))
        ),
        *(StrategyFault((*place, name, key), "the key is missing") for key in missing),
    ]
    usable = {k: float(v) for k, v in parameters.items() if k in known and is_number(v)}
    return None if faults else SCALES[name](**usable), faults
