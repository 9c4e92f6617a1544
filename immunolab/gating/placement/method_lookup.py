"""Registered threshold methods by name, with the shipped ones always there, and a lab's own from a file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import ModuleType

from immunolab.errors import InputError, Problem, nearest
from immunolab.gating.method_registry import DISPLAY_SCALE, REGISTERED, Card, Method, Parameter
from immunolab.gating.placement import methods as _shipped  # noqa: F401 - importing it registers the shipped methods
from immunolab.input_files import read_input

_WANTS = {
    "nothing": "no events",
    "parent": "the parent's events",
    "control": "a control tube",
    "reference": "an internal reference population",
    "parent_and_negatives": "the parent's events, and events of the tube that lack the marker",
    "pair": "two channels of the parent",
    "pair_and_reference": "two channels of the parent and of an internal reference population",
    "pair_and_lineage": "two channels of the parent, and a marker of lymphocytes",
}

_OF_FILE: dict[Path, tuple[str, ...]] = {}  # names that a lab's file registered


def method(name: str) -> Method:
    """Return a registered method.

    Raises
    ------
    InputError
        No method has the name.
    """
    if name not in REGISTERED:
        hint = f"{nearest(name, REGISTERED)} methods: {', '.join(sorted(REGISTERED))}".strip()
        raise InputError(Problem("", "", f"unknown method '{name}'", hint))
    return REGISTERED[name]


def method_names(*, pair: bool = False) -> tuple[str, ...]:
    """Return names of the methods of one axis (or, with ``pair``, of two channels)."""
    return tuple(sorted(name for name, found in REGISTERED.items() if found.card.of_pair == pair))


def rule_methods() -> tuple[str, ...]:
    """Return names that ``by`` may say: methods of one axis, and of two channels that give a border on each."""
    return tuple(sorted(n for n, found in REGISTERED.items() if not found.card.of_pair or found.card.borders))


def parameters_named(name: str) -> tuple[Parameter, ...]:
    """Return the parameters of this name, method by method; empty when no method has one."""
    return tuple(p for _, found in sorted(REGISTERED.items()) for p in found.card.parameters if p.name == name)


def parameter_names() -> tuple[str, ...]:
    """Return the names of all parameters of all methods."""
    return tuple(dict.fromkeys(p.name for _, found in sorted(REGISTERED.items()) for p in found.card.parameters))


def chosen_cards(name: str | None = None) -> list[Card]:
    """Return the card of one method, or all cards by name.

    Raises
    ------
    InputError
        No method has the name.
    """
    return [method(name).card] if name else [found.card for _, found in sorted(REGISTERED.items())]


def load_methods(path: Path, sha256: str = "") -> None:
    """Run a Python file that registers a lab's own threshold methods; those it registered before are forgotten.

    Parameters
    ----------
    path
        The file.
    sha256
        What it must hold; "" takes it as it is.

    Raises
    ------
    InputError
        The file is missing, holds something else, ends Python or fails.
    """
    if path.suffix != ".py" or not path.is_file():
        hint = "name a .py file that registers methods with il.threshold_method"
        raise InputError(Problem(str(path), "", "is not a Python file", hint))
    source = read_input(path)
    if sha256 not in ("", hashlib.sha256(source).hexdigest()):
        raise InputError(Problem(str(path), "", "the file changed during the run", "run again when it is complete"))
    for name in _OF_FILE.pop(path, ()):
        REGISTERED.pop(name, None)
    earlier = set(REGISTERED)
    module = ModuleType(f"immunolab_methods_{path.stem}")
    module.__file__ = str(path)
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        raise InputError(Problem(str(path), "", f"cannot be run: {type(error).__name__}: {error}")) from error
    finally:
        _OF_FILE[path] = tuple(set(REGISTERED) - earlier)


def card_text(card: Card) -> str:
    """Return a card as text for a terminal."""
    lines = [f"{card.name}  (uses {_WANTS[card.wants]}; control: {card.control})", f"    assumes: {card.assumes}"]
    for p in card.parameters:
        # a strategy file gives positions in instrument units, the method gets them on the display scale
        unit = "instrument units" if p.unit == DISPLAY_SCALE else p.unit
        default = "automatic" if p.default is None else p.default
        lines.append(f"    {p.name} = {default}{f' {unit}' if unit else ''}: {p.meaning}")
    if card.instead:
        lines.append(f"    without a border: {', '.join(card.instead)}")
    return "\n".join([*lines, f"    reference: {card.reference}"] if card.reference else lines)
