"""Changes of a tube that change no cell change no membership: order of events, gain, range, labels, memory layout."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted import MARKERS, planted_tube

import immunolab as il
from immunolab.events.tube import Tube
from immunolab.vocabulary.panel import resolve_channels

SURFACE = "treg_th17_tfh_teff"
# events of 8,000 that may change sides where arithmetic is the same but for rounding, and where the scale is another
EXACT, NEARLY = 2, 40
ALIASES = {
    "CCR7": "CD197",
    "CD25": "IL2RA",
    "CD127": "IL-7R",
    "CXCR5": "CD185 BV421",
    "PD-1": "CD279",
    "CD45RA": "45RA",
}


@pytest.fixture(scope="module")
def tube() -> Tube:
    found, _ = planted_tube(3)
    top = tuple(replace(channel, top=262_144.0) for channel in found.channels)
    return replace(found, channels=top)


def moved(tube: Tube, other: Tube, back: np.ndarray | None = None) -> dict[str, int]:
    """Return how many events are in another population, by population; ``back`` gives the old order."""
    before, after = il.gate(tube, SURFACE), il.gate(other, SURFACE)
    assert [p.path for p in before.strategy.populations] == [p.path for p in after.strategy.populations]
    order = slice(None) if back is None else back
    names = [p.name for p in before.strategy.populations]
    return {name: int((before.mask(name) != after.mask(name)[order]).sum()) for name in names}


def of_gain(tube: Tube, factor: float, markers: tuple[str, ...]) -> Tube:
    """Return the tube from detectors of another gain, whose declared ranges are scaled alike."""
    columns, channels = tube.columns.copy(), list(tube.channels)
    for marker in markers:
        row = tube.find(marker)
        columns[row] *= factor
        channels[row] = replace(channels[row], top=channels[row].top * factor)
    return replace(tube, columns=columns, channels=tuple(channels))


@pytest.mark.parametrize("seed", [0, 1])
def test_the_order_of_events_says_nothing(tube: Tube, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(tube))
    shuffled = replace(tube, columns=np.ascontiguousarray(tube.columns[:, order]))
    assert max(moved(tube, shuffled, np.argsort(order)).values()) <= EXACT


@pytest.mark.parametrize("marker", ["CD4", "CD25", "CCR7", "CXCR5"])
def test_half_the_gain_and_half_the_range_of_a_channel(tube: Tube, marker: str) -> None:
    assert max(moved(tube, of_gain(tube, 0.5, (marker,))).values()) <= EXACT


def test_half_the_gain_of_all_channels(tube: Tube) -> None:
    assert max(moved(tube, of_gain(tube, 0.5, MARKERS)).values()) <= EXACT


@pytest.mark.parametrize("marker", ["CD4", "CD127"])
def test_double_the_gain_of_a_channel(tube: Tube, marker: str) -> None:
    assert max(moved(tube, of_gain(tube, 2.0, (marker,))).values()) <= NEARLY


def test_other_names_of_markers(tube: Tube) -> None:
    names = [channel.name for channel in tube.channels]
    labels = [ALIASES.get(channel.marker or "", channel.marker or "") for channel in tube.channels]
    named = resolve_channels(names, labels)
    assert sum(label != channel.marker for label, channel in zip(labels, tube.channels, strict=True) if label) == 6
    other = tuple(replace(channel, top=262_144.0) for channel in named)
    assert max(moved(tube, replace(tube, channels=other)).values()) == 0


def test_the_order_of_channels_says_nothing(tube: Tube) -> None:
    order = np.random.default_rng(2).permutation(len(tube.channels))
    columns = np.ascontiguousarray(tube.columns[order])
    assert (
        max(moved(tube, replace(tube, columns=columns, channels=tuple(tube.channels[i] for i in order))).values()) == 0
    )


def test_a_tube_beside_itself_is_gated_as_alone(tube: Tube) -> None:
    alone = il.gate(tube, SURFACE)
    first, second = il.gate([replace(tube, sample_id="A"), replace(tube, sample_id="B")], SURFACE)
    for population in alone.strategy.populations:
        assert (alone.mask(population.name) != first.mask(population.name)).sum() <= EXACT
        assert np.array_equal(first.mask(population.name), second.mask(population.name))
