"""What a tube's panel lets a strategy gate: optional populations left out, missing markers named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from immunolab.errors import GatingError, nearest
from immunolab.events.tube import Tube
from immunolab.gating.strategy import Boolean, Declared, Population, Strategy
from immunolab.schema.flags import Flag
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
    return tuple(lacking_markers(strategy, events))


def lacking_markers(strategy: Strategy, events: Tube) -> dict[str, tuple[str, ...]]:
    """Return path -> markers that the panel lacks of each population left out, those of what it depends on included.

    Parameters
    ----------
    strategy, events
        As for `missing_markers`, which also says what is raised.
    """
    return dict(_unavailable(strategy, events))


def arrange(strategy: Strategy, events: Tube) -> Strategy:
    """Return the strategy without the optional populations that the panel cannot gate.

    A population whose marker the panel lacks is gated as its ``otherwise`` says where the panel has those markers.
    Children of a population left out with ``optional: pass`` become children of its parent, flagged
    ``exclusion_missing`` where it was a boolean; those of one left out with ``optional: true``, and booleans over it,
    are left out with it.

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
    unexcluded: set[str] = set()  # populations, by their path in the file, that lost what they exclude
    for population in strategy.populations:
        if population.parent_path in unexcluded:
            unexcluded.add(population.path)
        if population.path in out:
            if optional.get(population.path) == _PASS and population.parent_path in moved:
                moved[population.path] = moved[population.parent_path]
                gate = population.gate
                if isinstance(gate, Boolean) and (gate.operator == "not" or any(gate.complement)):
                    unexcluded.add(population.path)
            continue
        path = f"{moved[population.parent_path]}/{population.name}"
        moved[population.path] = path
        gate = population.gate
        if isinstance(gate, Boolean):
            gate = replace(gate, operands=tuple(moved[operand] for operand in gate.operands))
        flag = Flag.EXCLUSION_MISSING if population.path in unexcluded else population.flag
        kept.append(replace(population, path=path, gate=gate, flag=flag))
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
    out: dict[str, tuple[str, ...]] = {}
    ended: set[str] = set()  # of these, those that do not hand their children on
    required: dict[str, list[str]] = {}
    for population in strategy.populations:
        lacking = tuple(name for name in needed_markers(population) if name not in have)
        operands = population.gate.operands if isinstance(population.gate, Boolean) else ()
        above = [path for path in (population.parent_path,) if path in ended]
        above += [path for path in operands if path in out]
        if above or (lacking and population.path in optional):
            out[population.path] = tuple(
                dict.fromkeys(name for part in (*(out[path] for path in above), lacking) for name in part)
            )
            if optional.get(population.path) != _PASS or population.parent_path in ended:
                ended.add(population.path)
            yield population.path, out[population.path]
        elif lacking:
            for name in lacking:
                required.setdefault(name, []).append(population.name)
    if required:
        raise _missing(required, events, have)


def _missing(required: dict[str, list[str]], events: Tube, have: set[str]) -> GatingError:
    parts = [f"{name} (for {', '.join(populations)})" for name, populations in required.items()]
    # of two markers none is a misspelling of the other (CD45RA, CD45RO): a channel of a known marker is no neighbour
    unnamed = {channel.name for channel in events.channels if channel.marker not in markers()}
    near = {name: unnamed if name in markers() else have for name in required}
    hints = [f"{name}: {hint}" for name in required if (hint := nearest(name, near[name]))]
    shown = ", ".join(channel.marker or channel.name for channel in events.channels)
    hint = "; ".join([*hints, f"the tube has: {shown}; name markers in a panel file, or mark the population optional"])
    return GatingError(f"the panel lacks {', '.join(parts)}", events.sample_id or events.file, hint)
