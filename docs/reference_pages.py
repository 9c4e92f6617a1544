"""Reference pages made of the package itself: public names, commands, keys of YAML files, threshold methods."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import types
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from shutil import copy
from textwrap import dedent

import immunolab as il
from immunolab import cli
from immunolab.gating.placement.method_lookup import method, method_names
from immunolab.gating.placement.rules import RULE_KEYS
from immunolab.gating.strategy_parser import gate_keys
from immunolab.study.sheet import _StudyKeys
from immunolab.study.trial import Trial

# The names of the face in the order of the work; a name that is in no group is listed under "More".
GROUPS: dict[str, tuple[str, ...]] = {
    "Files and tubes": ("inspect_file", "read_header", "read_fcs", "deidentify", "scan"),
    "Gating": ("gate", "Strategy", "read_strategy", "builtin_strategy", "threshold_method", "contact_sheet"),
    "Clusters, maps and single cells": ("to_anndata", "cluster", "umap", "read_cells", "label", "to_mudata"),
    "Other tools": ("from_flowkit", "to_flowkit"),
    "Studies and runs": (
        "read_study",
        "check_study",
        "load_trial",
        "run",
        "read_run",
        "Run",
        "export",
        "read_acs",
        "pool",
        "agree",
        "simulate",
    ),
    "Statistics of a table": (
        "compare",
        "compare_endpoints",
        "cluster_abundance",
        "background_corrected",
        "Plan",
        "paired_lines",
        "forest",
    ),
}
# What functions of the face return, which a notebook meets by its methods.
RESULTS: tuple[tuple[str, str], ...] = (
    ("immunolab.events.tube", "Tube"),
    ("immunolab.events.tube", "Channel"),
    ("immunolab.gating.tubes", "GatedTube"),
    ("immunolab.study.sheet", "Study"),
    ("immunolab.study.trial", "Trial"),
)


def write_pages(docs: Path) -> None:
    """Write the pages to ``docs/generated`` and copy the notebooks to ``docs/notebooks``, where Sphinx looks."""
    folder = docs / "generated"
    folder.mkdir(exist_ok=True)
    pages = {"api": api_page(), "plots": plots_page(), "results": results_page(), "commands": commands_page()}
    for name, text in {**pages, "keys": keys_page(), "methods": methods_page()}.items():
        _write(folder / f"{name}.md", text)
    copies = docs / "notebooks"
    copies.mkdir(exist_ok=True)
    notebooks = sorted((docs.parent / "notebooks").glob("*.ipynb"))
    for left in set(copies.glob("*.ipynb")) - {copies / notebook.name for notebook in notebooks}:
        left.unlink()
    for notebook in notebooks:
        copy(notebook, copies / notebook.name)


def _write(file: Path, text: str) -> None:
    if not file.exists() or file.read_text(encoding="utf-8") != text:  # Sphinx reads anew what is newer
        file.write_text(text, encoding="utf-8")


def api_page() -> str:
    """Return the page of every public name."""
    grouped = {name for names in GROUPS.values() for name in names}
    groups = {**GROUPS, "More": tuple(name for name in il.__all__ if name not in grouped)}
    parts = ["# Public names\n\nEvery name that `import immunolab as il` gives, in the order of the work.\n"]
    for title, names in groups.items():
        here = [name for name in names if name in il.__all__ and not inspect.ismodule(getattr(il, name))]
        if here:
            parts += [f"## {title}\n", *(_documented(f"immunolab.{name}", getattr(il, name)) for name in here)]
    return "\n".join(parts)


def plots_page() -> str:
    """Return the page of `il.pl`."""
    parts = ["# Figures: il.pl\n\nEach takes an object of immunolab and `ax=None`, and returns the axes drawn on.\n"]
    drawing = getattr(il, "pl", None)
    for name in getattr(drawing, "__all__", ()):
        parts.append(_documented(f"{drawing.__name__}.{name}", getattr(drawing, name)))
    return "\n".join(parts)


def results_page() -> str:
    """Return the page of the objects that functions return."""
    parts = ["# Objects\n\nWhat the functions return, with what each can do.\n"]
    for module, name in RESULTS:
        found = getattr(__import__(module, fromlist=[name]), name, None)
        if found is not None:
            parts.append(_documented(f"{module}.{name}", found))
    return "\n".join(parts)


def _documented(path: str, thing: object) -> str:
    options = "\n   :members:" if inspect.isclass(thing) else ""
    if inspect.isclass(thing) and dataclasses.is_dataclass(thing) and thing.__base__ is not object:
        options += "\n   :inherited-members:"  # of a gated tube, most are those of its events
    kind = "autoclass" if inspect.isclass(thing) else "autofunction"
    return f"```{{eval-rst}}\n.. {kind}:: {path}{options}\n```\n"


def commands_page() -> str:
    """Return the page of every command and flag."""
    parts = ["# Commands\n\n`immunolab COMMAND --help` shows the same at the prompt.\n"]
    parser = cli._parser()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            parts += [_command(name, one) for name, one in action.choices.items()]
    return "\n".join(parts)


def _command(name: str, parser: argparse.ArgumentParser) -> str:
    usage = " ".join(parser.format_usage().split()).removeprefix("usage: ")
    rows = [
        (", ".join(f"`{o}`" for o in a.option_strings) or f"`{a.metavar or a.dest}`", _taken(a), _help(a, parser))
        for a in parser._actions
        if a.help != argparse.SUPPRESS and not isinstance(a, argparse._HelpAction)
    ]
    text = dedent(parser.description or "").strip()
    table = _table(("argument", "takes", "is"), rows)
    return f"## {name}\n\n{_escaped(text)}\n\n```text\n{usage}\n```\n\n{table}\n"


def _taken(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    if action.choices is not None:
        return " \\| ".join(str(choice) for choice in action.choices)
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    return f"{metavar} ..." if action.nargs in ("*", "+") else metavar


def _help(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    text = parser._get_formatter()._expand_help(action) if action.help else ""
    return _escaped(text)


def keys_page() -> str:
    """Return the page of every key of study.yaml, of trial files and of strategies."""
    rules = ", ".join(f"`{key}`" for key in RULE_KEYS)
    parts = [
        "# Keys of YAML files\n\nEvery key with what it takes. What it means is in [study files](../study_file.md), "
        "[trial files](../trial_file.md) and [strategies](../strategy_file.md).\n",
        "## study.yaml\n",
        *_of_class(_StudyKeys, {}),
        "## A trial file\n",
        *_of_class(Trial, {}),
        "## A strategy\n",
        f"Kinds of gates: {', '.join(f'`{key}`' for key in gate_keys())}.\n",
        f"Keys of a rule that places a border: {rules}; and the parameters of its method ([methods](methods.md)).\n",
    ]
    return "\n".join(parts)


def _of_class(kind: type, seen: dict[type, None], title: str = "") -> Iterator[str]:
    seen[kind] = None
    hints = typing.get_type_hints(kind)
    fields = [field for field in dataclasses.fields(kind) if field.init and not field.name.startswith("_")]
    rows = [(f"`{f.name}`", _spelled(hints[f.name]), _default(f)) for f in fields]
    if title:
        yield f"### {title}\n"
    yield _table(("key", "takes", "if left out"), rows) + "\n"
    for field in fields:
        for part in _classes(hints[field.name]):
            if part not in seen:
                yield from _of_class(part, seen, f"{field.name}: {part.__name__.lstrip('_')}")


def _classes(hint: object) -> Iterator[type]:
    if inspect.isclass(hint) and dataclasses.is_dataclass(hint):
        yield hint
    for part in typing.get_args(hint):
        yield from _classes(part)


def _spelled(hint: object) -> str:
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if hint is type(None):
        return "null"
    if origin is typing.Literal:
        return ", ".join(f"`{part}`" for part in parts)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(_spelled(part) for part in parts if part is not type(None)))
    if origin is tuple and parts[-1] is Ellipsis:
        return f"list of {_spelled(parts[0])}"
    if origin is tuple:
        return f"[{', '.join(_spelled(part) for part in parts)}]"
    if origin is dict or getattr(origin, "__name__", "") == "Mapping":
        return f"{_spelled(parts[0])} to {_spelled(parts[1])}"
    plain = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path"}
    return plain.get(hint, getattr(hint, "__name__", str(hint)).lstrip("_"))  # type: ignore[call-overload]


def _default(field: dataclasses.Field[object]) -> str:
    if field.default is not dataclasses.MISSING:
        value = field.default
        words = {None: "", True: "true", False: "false", "": "", (): "none"}
        return words[value] if isinstance(value, bool | tuple | str | None) and value in words else f"{value}"
    return "" if field.default_factory is not dataclasses.MISSING else "*required*"


def methods_page() -> str:
    """Return the page of every threshold method, from its card."""
    parts = ["# Threshold methods\n\nWhat places a border, from the cards of the methods (`immunolab methods NAME`).\n"]
    for name in sorted({*method_names(), *method_names(pair=True)}):
        card = method(name).card
        source = f" Published: {_escaped(card.reference)}." if card.reference else ""
        parts.append(f"## {name}\n\nAssumes that {_escaped(card.assumes)}. Given: `{card.wants}`.{source}\n")
        if rows := [(f"`{p.name}`", f"{p.default}", _escaped(p.unit), _escaped(p.meaning)) for p in card.parameters]:
            parts.append(_table(("parameter", "default", "unit", "meaning"), rows) + "\n")
    return "\n".join(parts)


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    header = list(header)
    return "\n".join([f"| {' | '.join(header)} |", f"|{'---|' * len(header)}", *lines])


def _escaped(text: str) -> str:
    """Return words as MyST shows them unchanged."""
    for sign in "\\*_<>|[]$`{}":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())
