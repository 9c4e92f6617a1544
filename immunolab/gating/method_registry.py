"""Threshold methods and their cards: what each assumes, its parameters, and where it comes from.

A method is a plain function on display-scale arrays. Its card says which events it wants:

- ``parent``: the parent's events, one array;
- ``control``: the events of a control tube inside the same parent, one array;
- ``reference``: the events of an internal reference population, one array;
- ``pair``: two channels of the parent, and the same two of the reference population (or None).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from immunolab.errors import InputError, Problem, nearest

Array = NDArray[np.float64]
Wants = Literal["parent", "control", "reference", "pair"]
Control = Literal["fmo", "unstained", "internal", "density", "fixed", "imported"]


@dataclass(frozen=True)
class Parameter:
    """One setting of a method: its default, its unit and what it does."""

    name: str
    default: Any
    unit: str
    meaning: str


@dataclass(frozen=True)
class Card:
    """What a reader must know of a method before trusting it."""

    name: str
    wants: Wants
    control: Control
    assumes: str
    parameters: tuple[Parameter, ...] = ()
    reference: str = ""


@dataclass(frozen=True)
class Cut:
    """A border on one axis.

    Attributes
    ----------
    value : the border on the display scale; NaN when the method found none.
    flags : words that qualify it.
    spread : standard deviation of the events the border holds off, display scale; 0 when unknown.
    """

    value: float
    flags: tuple[str, ...] = ()
    spread: float = 0.0


@dataclass(frozen=True)
class Method:
    """A registered method: its function and its card."""

    function: Callable[..., Any]
    card: Card

    @property
    def defaults(self) -> Mapping[str, Any]:
        """Default value of every parameter."""
        return {parameter.name: parameter.default for parameter in self.card.parameters}


@dataclass
class _Registry:
    methods: dict[str, Method] = field(default_factory=dict)


_REGISTRY = _Registry()


def register(name: str, function: Callable[..., Any], card: Card) -> None:
    """Make a method available under a name, in strategies and in ``immunolab methods``.

    Raises
    ------
    ValueError
        Another function already has the name.
    """
    known = _REGISTRY.methods.get(name)
    if known is not None and known.function is not function:
        raise ValueError(f"a threshold method named '{name}' is already registered")
    _REGISTRY.methods[name] = Method(function, card)


def method(name: str) -> Method:
    """Return a registered method; KeyError when the name is unknown."""
    return _registered()[name]


def method_names(*, pair: bool = False) -> tuple[str, ...]:
    """Return names of the methods that place one border (or, with ``pair``, a region in two channels)."""
    return tuple(sorted(n for n, m in _registered().items() if (m.card.wants == "pair") == pair))


def methods() -> list[Card]:
    """Return the cards of all registered methods by name."""
    return [m.card for _, m in sorted(_registered().items())]


def chosen_cards(name: str | None = None) -> list[Card]:
    """Return the card of one method, or all cards.

    Raises
    ------
    InputError
        No method has the name.
    """
    if name is None:
        return methods()
    if name not in _registered():
        names = ", ".join(sorted(_registered()))
        raise InputError(
            Problem("", "", f"unknown method '{name}'", f"{nearest(name, _registered())} methods: {names}".strip())
        )
    return [method(name).card]


def load_methods(path: Path) -> None:
    """Run a Python file whose import registers threshold methods of one's own.

    Raises
    ------
    InputError
        The file is absent or fails.
    """
    name = f"immunolab_methods_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise InputError(Problem(str(path), "", "is not a Python file", "name a .py file that calls register()"))
    _registered()
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(Problem(str(path), "", f"cannot be run: {type(error).__name__}: {error}")) from error


def card_text(card: Card) -> str:
    """Return a card as text for a terminal."""
    lines = [f"{card.name}  (uses {_WANTS[card.wants]}; control: {card.control})", f"    assumes: {card.assumes}"]
    lines += [
        f"    {p.name} = {'automatic' if p.default is None else p.default}{f' {p.unit}' if p.unit else ''}: {p.meaning}"
        for p in card.parameters
    ]
    return "\n".join([*lines, f"    reference: {card.reference}"] if card.reference else lines)


_WANTS = {
    "parent": "the parent's events",
    "control": "a control tube",
    "reference": "an internal reference population",
    "pair": "two channels of the parent",
}


def _registered() -> dict[str, Method]:
    from immunolab.gating.placement import borders, thresholds  # noqa: F401 - importing them registers their methods

    return _REGISTRY.methods
