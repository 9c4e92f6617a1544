"""Registration of threshold methods: a function and a card that says what the function needs.

The registry is empty of methods: shipped ones register in their own files (`immunolab.gating.placement.methods`),
a lab's own in the file that study.yaml names under ``methods_module``. Placing dispatches by the card alone:

======================== ======================================================================================
``wants``                positional arguments of the function: float arrays on the display scale, one value an event
======================== ======================================================================================
``nothing``              none
``parent``               the parent's events
``control``              the events of the control tube that ``control`` names (fmo, unstained) inside the same parent
``reference``            the events of the rule's reference population (``of``)
``parent_and_negatives`` the parent's events, and events of the tube that lack the marker (cells of other lineages)
``pair``                 the parent's events on two channels, x and y
``pair_and_reference``   the same, and (x, y) of the reference population, or None where the tube has none
``pair_and_lineage``     x and y, and the parent's events on a marker of lymphocytes, or None where the panel has none
======================== ======================================================================================

Settings follow as keywords. A method of one axis returns a `Cut` or a float, a method of two channels a `Region`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

from immunolab.events.transforms import Transform
from immunolab.gating.method_results import Array, Band, Cloud, Corner, Cut, Quadrants

__all__ = [
    "Array",
    "Band",
    "Card",
    "Cloud",
    "Control",
    "Corner",
    "Cut",
    "Method",
    "Parameter",
    "Quadrants",
    "Wants",
    "register",
    "threshold_method",
]

Wants = Literal[
    "nothing",
    "parent",
    "control",
    "reference",
    "parent_and_negatives",
    "pair",
    "pair_and_reference",
    "pair_and_lineage",
]
Control = Literal["fmo", "unstained", "internal", "density", "fixed", "imported", "template", "others", "reader"]
Takes = Literal["number", "share", "range", "yes_no", "word"]
AUTO, DENSITY = "auto", "density"  # words of a rule's `by` that are not methods
DISPLAY_SCALE = "display scale"  # unit of a parameter that is a position on a channel's axis
_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Parameter:
    """One setting of a method.

    Attributes
    ----------
    name, default
        Keyword of the function and its default; None where placing or the strategy must give one.
    unit, meaning
        Printed by ``immunolab methods``.
    takes
        What a strategy may write; by default what the default is.
    choices
        The allowed words.
    automatic
        Returns the value from the channel's display scale where the strategy gives none.
    """

    name: str
    default: Any
    unit: str
    meaning: str
    takes: Takes | None = None
    choices: tuple[str, ...] = ()
    automatic: Callable[[Transform], Any] | None = None

    @property
    def kind(self) -> Takes:
        """What a strategy may write."""
        if self.takes is not None:
            return self.takes
        kinds: dict[type, Takes] = {bool: "yes_no", str: "word"}
        return "word" if self.choices else kinds.get(type(self.default), "number")


@dataclass(frozen=True)
class Card:
    """What a method needs and what a reader must know before trusting it.

    Attributes
    ----------
    wants
        The events the function is given; see the module.
    control
        What kind of evidence the border is; with ``wants="control"`` the tube: ``fmo`` or ``unstained``.
    assumes
        The condition under which the border is right, in a few words.
    reference
        Where the method was published.
    borders
        For two channels: each has a border (`Corner`, `Quadrants`) that ``by`` with a ``partner`` can use.
    channels
        x and y where a strategy names none.
    instead
        Methods that take its place, in this order, where it gives no border. Without any the border is withheld.
    outside_reference
        Whether only a population placed before, and outside the parent, is given as reference: a method that finds
        naive cells cannot start from a guess of them.
    even_noise
        Whether values are given on a scale where negative cells spread evenly when the display scale stretches zero.
    bend
        For one channel of fluorescence: values are given on an asinh scale that bends at so many standard deviations
        of their noise, so that a display which stretches zero does not move the border; None keeps the display scale.
    linear
        For two channels: whether values are given in instrument units, where noise around zero is even to both sides.
    """

    name: str
    wants: Wants
    control: Control
    assumes: str
    parameters: tuple[Parameter, ...] = ()
    reference: str = ""
    borders: bool = False
    channels: tuple[str, str] = ("", "")
    instead: tuple[str, ...] = ()
    outside_reference: bool = False
    even_noise: bool = False
    bend: float | None = None
    linear: bool = False

    @property
    def of_pair(self) -> bool:
        """Whether the method is of two channels."""
        return self.wants in ("pair", "pair_and_reference", "pair_and_lineage")


@dataclass(frozen=True)
class Method:
    """A registered method.

    Attributes
    ----------
    resample
        For a `Corner` or `Quadrants`: ``resample(x, y, reference, region, rng, rounds)`` returns x and y borders of
        resampled events, where that is faster than running the function anew on each draw.
    """

    function: Callable[..., Any]
    card: Card
    resample: Callable[..., tuple[Array, Array]] | None = None

    @property
    def defaults(self) -> Mapping[str, Any]:
        """Default value of every parameter."""
        return {parameter.name: parameter.default for parameter in self.card.parameters}

    @property
    def required(self) -> tuple[Parameter, ...]:
        """Parameters that the strategy must give: the function has no default for them."""
        known = inspect.signature(self.function).parameters if self.card.parameters else {}
        return tuple(p for p in self.card.parameters if p.name in known and known[p.name].default is _NO_DEFAULT)


_NO_DEFAULT = inspect.Parameter.empty
REGISTERED: dict[str, Method] = {}


def register(
    name: str, function: Callable[..., Any], card: Card, *, resample: Callable[..., Any] | None = None
) -> None:
    """Make a method available under a name, in strategies and in ``immunolab methods``.

    Parameters
    ----------
    name
        What ``by`` (for two channels also the gate's key) says in a strategy.
    function
        Takes what the card ``wants`` as arrays, and its parameters as keywords.
    card
        What the function assumes, needs and is configured by.
    resample
        See `Method`.

    Raises
    ------
    ValueError
        The name is taken, or the card and the function contradict each other.
    """
    earlier = REGISTERED.get(name)
    if earlier is not None and earlier.function is not function:
        raise ValueError(f"a threshold method named '{name}' is already registered")
    faults = _faults(name, function, card)
    if faults:
        raise ValueError(f"threshold method '{name}': {'; '.join(faults)}")
    REGISTERED[name] = Method(function, card, resample)


def threshold_method(
    name: str,
    *,
    wants: Wants,
    control: Control,
    assumes: str,
    parameters: tuple[Parameter, ...] = (),
    resample: Callable[..., Any] | None = None,
    **more: Any,
) -> Callable[[_Function], _Function]:
    """Register the function below as a threshold method; the arguments are those of `Card`.

    Parameters
    ----------
    name
        What ``by`` says in a strategy.
    wants
        What the function is given, see `Card`.
    control
        What evidence the border rests on, see `Card`.
    assumes
        What must be true of the events for the border to be right, in words.
    parameters
        Keywords of the function that a strategy may set.
    resample
        See `Method`.
    more
        Further fields of `Card`: ``reference``, ``instead`` and the like.

    Returns
    -------
    callable
        A decorator that gives the function back unchanged.

    Raises
    ------
    ValueError
        As `register`.
    """
    card = Card(name, wants, control, assumes, parameters, **more)

    def add(function: _Function) -> _Function:
        register(name, function, card, resample=resample)
        return function

    return add


def _faults(name: str, function: Callable[..., Any], card: Card) -> list[str]:
    """Return what is wrong with a method, each in a few words."""
    faults = []
    if name in (AUTO, DENSITY):
        faults.append(f"'{name}' is a word of threshold rules")
    if card.name != name:
        faults.append(f"its card is named '{card.name}'")
    if card.wants not in get_args(Wants):
        faults.append(f"unknown wants '{card.wants}'; allowed: {', '.join(get_args(Wants))}")
    if card.wants == "control" and card.control not in ("fmo", "unstained"):
        faults.append(f"control is '{card.control}'; a method that wants a control tube says 'fmo' or 'unstained'")
    signature = inspect.signature(function).parameters if card.parameters else {}
    if any(found.kind is found.VAR_KEYWORD for found in signature.values()):
        return faults
    for parameter in card.parameters:
        found = signature.get(parameter.name)
        if found is None:
            faults.append(f"the function has no parameter '{parameter.name}'")
        elif found.default is not _NO_DEFAULT and found.default != parameter.default:
            faults.append(f"'{parameter.name}' is {found.default!r} in the function, {parameter.default!r} on the card")
    return faults
