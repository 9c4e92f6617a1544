"""What a tube's panel lets a strategy gate: optional populations left out, missing markers named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from immunolab.errors import GatingError, nearest
from immunolab.events.tube import Tube
from immunolab.gating.strategy import Boolean, Declared, Population, Strategy
from immunolab.vocabulary.lexicon import markers

_PASS = "pass"  # `optional: pass`: children of a population left out go to its parent


def missing_markers(strategy: Strategy, events: Tube) -> tuple[str, ...]:
    """Return the paths of optional populations that the tube's panel cannot gate.

    Parameters
    ----------
    strategy
        Its setting ``optional`` names the populations that may be left out.
    events
        The tube with the panel's channels.

    Raises
    ------
    GatingError
        Markers that required populations need are missing: all of them, each with the nearest match and what the tube
        has.
    """
    return tuple(dict.fromkeys(path for path, _ in _unavailable(strategy, events)))


def arrange(strategy: Strategy, events: Tube) -> Strategy:
    """Return the strategy without the optional populations that the panel cannot gate.

    A population whose marker the panel lacks is gated as its ``otherwise`` says where the panel has those markers.
    Children of a population left out with ``optional: pass`` become children of its parent; those of one left
    out with ``optional: true``, and booleans over it, are left out with it.

    Parameters
    ----------
    strategy
        Its setting ``optional`` names the populations that may be left out.
    events
        The tube with the panel's channels.

    Raises
    ------
    GatingError
        As `missing_markers`.
    """
    out = set(missing_markers(strategy, events))
    strategy = _for_panel(strategy, events)
    optional = strategy.settings.get("optional", {})
    moved: dict[str, str] = {"": ""}
    kept: list[Population] = []
    for population in strategy.populations:
        if population.path in out:
            if optional.get(population.path) == _PASS:
                moved[population.path] = moved[population.parent_path]
            continue
        path = f"{moved[population.parent_path]}/{population.name}"
        moved[population.path] = path
        gate = population.gate
        if isinstance(gate, Boolean):
            gate = replace(gate, operands=tuple(moved[operand] for operand in gate.operands))
        kept.append(replace(population, path=path, gate=gate))
    settings = {
        **strategy.settings,
        "optional": {moved[p]: v for p, v in optional.items() if p in moved and p not in out},
    }
    return replace(strategy, populations=tuple(kept), settings=settings)


def needed_markers(population: Population) -> tuple[str, ...]:
    """Return the markers and channels a population's own gate is on."""
    gate = population.gate
    if isinstance(gate, Declared):
        if gate.kind == "where":
            return tuple(marker for marker, _ in gate.settings["phenotype"])
        if gate.kind == "threshold":
            return (gate.settings["marker"],)
        return (gate.settings["x"], gate.settings["y"])
    if gate is None or isinstance(gate, Boolean):
        return ()
    names = []
    for dimension in gate.dimensions:
        ratio = dimension.ratio
        names += [dimension.name] if ratio is None else [ratio.numerator, ratio.denominator]
    return tuple(names)


def _names(events: Tube) -> set[str]:
    return {name for channel in events.channels for name in (channel.name, channel.marker) if name}


def _for_panel(strategy: Strategy, events: Tube) -> Strategy:
    """Return the strategy with those populations gated otherwise that the panel can only gate so."""
    have = _names(events)
    others = {
        path: p for path, p in strategy.settings.get("otherwise", {}).items() if have.issuperset(needed_markers(p))
    }
    populations = tuple(
        p if have.issuperset(needed_markers(p)) else others.get(p.path, p) for p in strategy.populations
    )
    return replace(strategy, populations=populations)


def _unavailable(strategy: Strategy, events: Tube) -> Iterator[tuple[str, tuple[str, ...]]]:
    have = _names(events)
    strategy = _for_panel(strategy, events)
    optional = strategy.settings.get("optional", {})
    out: set[str] = set()
    required: dict[str, list[str]] = {}
    for population in strategy.populations:
        lacking = tuple(name for name in needed_markers(population) if name not in have)
        if _depends_on(population, out, optional) or (lacking and population.path in optional):
            out.add(population.path)
            yield population.path, lacking
        elif lacking:
            for name in lacking:
                required.setdefault(name, []).append(population.name)
    if required:
        raise _missing(required, events, have)


def _depends_on(population: Population, out: set[str], optional: dict[str, str]) -> bool:
    parents = {population.parent_path} if optional.get(population.parent_path) != _PASS else set()
    operands = set(population.gate.operands) if isinstance(population.gate, Boolean) else set()
    return bool((parents | operands) & out)


def _missing(required: dict[str, list[str]], events: Tube, have: set[str]) -> GatingError:
    parts = [f"{name} (for {', '.join(populations)})" for name, populations in required.items()]
    # of two markers none is a misspelling of the other (CD45RA, CD45RO): a channel of a known marker is no neighbour
    unnamed = {channel.name for channel in events.channels if channel.marker not in markers()}
    near = {name: unnamed if name in markers() else have for name in required}
    hints = [f"{name}: {hint}" for name in required if (hint := nearest(name, near[name]))]
    shown = ", ".join(channel.marker or channel.name for channel in events.channels)
    hint = "; ".join([*hints, f"the tube has: {shown}; name markers in a panel file, or mark the population optional"])
    return GatingError(f"the panel lacks {', '.join(parts)}", events.sample_id or events.file, hint)
