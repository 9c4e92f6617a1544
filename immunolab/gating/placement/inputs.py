"""What a threshold method is given: one provider for each kind of events that a card can want."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from immunolab.gating.method_registry import Card, Control, Wants
from immunolab.gating.method_results import Array
from immunolab.gating.placement.density import ENOUGH_EVENTS
from immunolab.gating.placement.known_cells import known_negatives
from immunolab.gating.placement.rules import NAIVE, lymphocyte_markers
from immunolab.gating.placement.tube_state import TubePool, TubeState
from immunolab.schema.flags import Flag


@dataclass(frozen=True)
class Request:
    """Whose events are asked for.

    Attributes
    ----------
    path
        The population whose events place the border; "" for root.
    channels
        The marker, or x and y.
    of
        Name of the reference population; "" for none.
    """

    pool: TubePool
    path: str
    channels: tuple[str, ...]
    of: str = ""


@dataclass(frozen=True)
class Inputs:
    """What a method is called with.

    Attributes
    ----------
    arguments
        Positional arguments: arrays on the display scale.
    source
        The events in words, for the border's reason.
    control
        The evidence the border is.
    parts
        The events of each control tube, where the arguments join several.
    """

    arguments: tuple[Any, ...]
    source: str
    control: Control
    parts: tuple[Array, ...] = ()


@dataclass(frozen=True)
class Lacking:
    """What the tubes do not have: a note for the border's reason, and flags."""

    note: str
    flags: tuple[str, ...] = ()


def provide(card: Card, request: Request) -> Inputs | Lacking:
    """Return the events that a method wants, or what the tubes lack of them; never other events.

    Parameters
    ----------
    card
        Its ``wants`` names the events.
    request
        Pool, population and channels.
    """
    return _PROVIDERS[card.wants](card, request)


def population_name(path: str) -> str:
    """Return the last part of a path; ``root`` for ""."""
    return path.rsplit("/", 1)[1] if path else "root"


def _nothing(card: Card, _: Request) -> Inputs:
    return Inputs((), "the strategy's value", card.control)


def _parent(card: Card, request: Request) -> Inputs:
    values = request.pool.values(request.channels[0], request.path)
    return Inputs((values,), f"{len(values)} events of {population_name(request.path)}", card.control)


def _control(card: Card, request: Request) -> Inputs | Lacking:
    pool, path, marker = request.pool, request.path, request.channels[0]
    is_fmo = card.control == "fmo"
    tubes = pool.controls.get(marker if is_fmo else "", ())
    if not tubes:
        return Lacking(
            f"no {'FMO' if is_fmo else 'unstained'} tube of this batch", (Flag.NO_FMO if is_fmo else Flag.NO_UNSTAINED,)
        )
    same = [tube for tube in tubes if tube.has(marker) and _channels(tube) == _channels(pool.tubes[0])]
    usable = [tube for tube in same if not path or path in tube.masks]
    if not usable:
        return Lacking(f"the {card.control} tube has another panel", (Flag.CONTROL_MISMATCH,))
    parts = tuple(tube.axis(marker)[tube.inside(path)] for tube in usable)
    values = np.concatenate(parts)
    return Inputs((values,), f"{len(values)} events of the control", card.control, parts)


def _reference(card: Card, request: Request) -> Inputs | Lacking:
    of = request.of
    found = request.pool.reference(request.channels, of, request.path)
    if found is None:
        return Lacking(f"no reference population {of}", (Flag.NO_REFERENCE,)) if of else Lacking(_UNNAMED)
    if len(found[0]) < ENOUGH_EVENTS:
        return Lacking(f"only {len(found[0])} events of {of}", (Flag.SMALL_REFERENCE,))
    return Inputs(found, f"{len(found[0])} events of {of}", card.control)


def _parent_and_negatives(card: Card, request: Request) -> Inputs | Lacking:
    pool, path, marker = request.pool, request.path, request.channels[0]
    found = known_negatives(pool, path, marker)
    if found is None:
        return Lacking(f"no cells in the tube that are known to lack {marker}")
    values = pool.values(marker, path)
    source = f"{len(values)} events of {population_name(path)} against {len(found.values)} of {found.cells}"
    return Inputs((values, found.values), source, card.control)


def _pair(card: Card, request: Request) -> Inputs | Lacking:
    pool = request.pool
    missing = [name for name in request.channels if not all(tube.has(name) for tube in pool.tubes)]
    if missing:
        return Lacking(f"no {', '.join(missing)} in the panel")
    values = tuple(pool.values(name, request.path) for name in request.channels)
    return Inputs(values, f"{len(values[0])} events of {population_name(request.path)}", card.control)


def _pair_and_lineage(card: Card, request: Request) -> Inputs | Lacking:
    given = _pair(card, request)
    if isinstance(given, Lacking):
        return given
    pool = request.pool
    found = next((name for name in lymphocyte_markers() if all(tube.has(name) for tube in pool.tubes)), None)
    values = None if found is None else pool.values(found, request.path)
    return Inputs((*given.arguments, values), given.source, card.control)


def _pair_and_reference(card: Card, request: Request) -> Inputs | Lacking:
    given = _pair(card, request)
    if isinstance(given, Lacking):
        return given
    of = request.of or NAIVE
    if card.outside_reference:
        return _pair_and_outside_reference(card, request, given, of)
    reference = request.pool.reference(request.channels, of, request.path)
    if reference is None or len(reference[0]) < ENOUGH_EVENTS:
        return Inputs((*given.arguments, reference), "cloud", "density")
    return Inputs((*given.arguments, reference), f"cloud against {of} ({len(reference[0])} events)", card.control)


def _pair_and_outside_reference(card: Card, request: Request, given: Inputs, of: str) -> Inputs:
    path = request.pool.path_of(of)
    if path is None or path.startswith(f"{request.path}/"):
        return Inputs((*given.arguments, None), given.source, card.control)
    reference = request.pool.reference(request.channels, of, request.path)
    return Inputs((*given.arguments, reference), f"{given.source} beside {of}", card.control)


def _channels(tube: TubeState) -> set[str]:
    return {channel.name for channel in tube.events.channels}


_UNNAMED = "no reference population named"
_PROVIDERS: Mapping[Wants, Callable[[Card, Request], Inputs | Lacking]] = {
    "nothing": _nothing,
    "parent": _parent,
    "control": _control,
    "reference": _reference,
    "parent_and_negatives": _parent_and_negatives,
    "pair": _pair,
    "pair_and_reference": _pair_and_reference,
    "pair_and_lineage": _pair_and_lineage,
}
