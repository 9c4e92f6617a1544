"""Strategies on scales that data choose: one scale a channel for all tubes that are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from immunolab.events.scales import ChannelScale, channel_noise, channel_scales, spread_over_batches
from immunolab.events.transforms import Auto
from immunolab.events.tube import Tube
from immunolab.gating.placement.rules import display_scale
from immunolab.gating.strategy import Declared, Dimension, Polygon, Population, Rectangle, Strategy, is_unscaled


def needs_scales(strategy: Strategy) -> bool:
    """Whether data have yet to choose the scale of some gate.

    Parameters
    ----------
    strategy
        As read from its file, or with the scales of `with_scales`.
    """
    block = strategy.settings.get("transform", {})
    scales = (block.get("default"), *block.get("markers", {}).values())
    if "measured" in block or not any(isinstance(scale, Auto) for scale in scales):
        return False
    return any(isinstance(p.gate, Declared) or is_unscaled(p.gate) for p in strategy.populations)


def with_scales(strategy: Strategy, scales: Sequence[ChannelScale]) -> Strategy:
    """Return the strategy with the scales that data chose.

    Parameters
    ----------
    strategy
        Its ``transform`` may leave scales to data.
    scales
        As `channel_scales` gives them.
    """
    if not needs_scales(strategy):
        return strategy
    block = {**strategy.settings["transform"], "measured": {one.name: one for one in scales}}
    return replace(strategy, settings={**strategy.settings, "transform": block})


def measured_scales(strategy: Strategy) -> tuple[ChannelScale, ...]:
    """Return the scales that data chose, channel after channel; none where the strategy names its scales."""
    return tuple(strategy.settings.get("transform", {}).get("measured", {}).values())


def measure_scales(strategy: Strategy, tubes: Sequence[Tube], batches: Mapping[str, str] | None = None) -> Strategy:
    """Return the strategy on the scales that tubes choose together; itself where it names its scales.

    Parameters
    ----------
    strategy
        Its ``transform`` may leave scales to data.
    tubes
        All that are compared; at most 24, spread over batches, are measured.
    batches
        sample_id to batch; a tube not named is in batch "".
    """
    if not needs_scales(strategy):
        return strategy
    chosen = spread_over_batches({tube.sample_id: (batches or {}).get(tube.sample_id, "") for tube in tubes})
    noise = [channel_noise(tube) for tube in tubes if tube.sample_id in chosen]
    return with_scales(strategy, channel_scales(noise))


def on_scales(strategy: Strategy, tube: Tube) -> Strategy:
    """Return the strategy with drawn gates whose scale data choose on that scale of the tube's channels.

    Parameters
    ----------
    strategy
        With the scales of `with_scales`; the coordinates of such gates are in instrument units.
    tube
        Its panel names the channels.
    """
    if not any(is_unscaled(population.gate) for population in strategy.populations):
        return strategy
    return replace(strategy, populations=tuple(_on_scales(p, strategy, tube) for p in strategy.populations))


def _on_scales(population: Population, strategy: Strategy, tube: Tube) -> Population:
    gate = population.gate
    if not isinstance(gate, Rectangle | Polygon) or not is_unscaled(gate):
        return population
    old = gate.dimensions
    new = [_scaled(dimension, strategy, tube) for dimension in old]

    def shown(place: int, value: float) -> float:
        changed = isinstance(old[place].transform, Auto)
        return float(new[place].transform.apply([value])[0]) if changed else value

    if isinstance(gate, Polygon):
        vertices = tuple((shown(0, x), shown(1, y)) for x, y in gate.vertices)
        return replace(population, gate=Polygon((new[0], new[1]), vertices))
    lower, upper = (
        tuple(None if side is None else shown(i, side) for i, side in enumerate(sides))
        for sides in (gate.lower, gate.upper)
    )
    return replace(population, gate=Rectangle(tuple(new), lower, upper))


def _scaled(dimension: Dimension, strategy: Strategy, tube: Tube) -> Dimension:
    # a channel that the tube lacks stays as it is: evaluation leaves its gate out with the reason
    if not isinstance(dimension.transform, Auto) or dimension.name not in tube:
        return dimension
    return replace(dimension, transform=display_scale(strategy.settings["transform"], tube.channel(dimension.name)))
