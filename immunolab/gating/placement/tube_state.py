"""Tubes while their gates are being placed: display values, memberships so far, pools, controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from immunolab.events.tube import Channel, Tube
from immunolab.gating.axes import Axes, Block
from immunolab.gating.evaluate import in_gate, members
from immunolab.gating.method_results import Array
from immunolab.gating.placement.density import ENOUGH_EVENTS, zero_noise, zero_spread
from immunolab.gating.placement.methods.valley import valley
from immunolab.gating.placement.rules import NAIVE, Scope, display_scale, same_name
from immunolab.gating.strategy import Dimension, Gate, Population, Strategy

Mask = NDArray[np.bool_]
# share of events at the channel's highest value above which the channel is saturated (judgement: single bright events
# pile up there in any tube)
_SATURATED_SHARE = 0.01


@dataclass
class TubeState:
    """One tube: its events, its group, and the populations placed so far.

    Attributes
    ----------
    events
        The tube, or a subsample of it.
    strategy
        What is placed: its scales and spillover matrices.
    patient, batch
        Whose borders the tube may share.
    baseline
        Whether the tube may place borders under ``refit="baseline"``.
    masks
        path -> bool, one value an event, for each population placed.
    flags
        path -> words that qualify the gate of each population placed.
    valleys
        (marker, path, sample_ids) -> valley among the events that these tubes pool, display scale; kept by
        `TubePool.valley` of its first tube.
    """

    events: Tube
    strategy: Strategy
    patient: str
    batch: str
    baseline: bool = True
    masks: dict[str, Mask] = field(default_factory=dict)
    flags: dict[str, tuple[str, ...]] = field(default_factory=dict)
    valleys: dict[tuple[str, str, tuple[str, ...]], float] = field(default_factory=dict)
    _dimensions: dict[str, Dimension] = field(default_factory=dict)
    _axes: dict[str, Array] = field(default_factory=dict)
    _of_masks: dict[tuple[str, str], Array] = field(default_factory=dict)
    _at_top: dict[str, NDArray[np.intp]] = field(default_factory=dict)

    @property
    def sample_id(self) -> str:
        """The tube's sample."""
        return self.events.sample_id

    @cached_property
    def _all(self) -> Block:
        return Axes(self.events, self.strategy.matrices).block()

    def has(self, name: str) -> bool:
        """Whether the tube has a marker or channel."""
        return name in self.events

    def channel(self, name: str) -> Channel:
        """Return the channel of a marker or channel name."""
        return self.events.channel(name)

    def dimension(self, name: str) -> Dimension:
        """Return the gate axis of a marker or channel."""
        if name not in self._dimensions:
            scale = display_scale(self.strategy.settings.get("transform", {}), self.channel(name))
            self._dimensions[name] = Dimension(name, scale)
        return self._dimensions[name]

    def noise(self, name: str) -> float | None:
        """Return the upper end of the noise of zero of a mass channel, display scale; None for other channels."""
        return zero_noise(self.dimension(name).transform) if self.channel(name).kind == "mass" else None

    def axis(self, name: str) -> Array:
        """Return every event's display value."""
        if name not in self._axes:
            self._axes[name] = self._all.axis(self.dimension(name))
        return self._axes[name]

    def shown(self, name: str, path: str) -> Array:
        """Return the display values of a population's events; not to be written to, as they are kept.

        Parameters
        ----------
        name
            Channel or marker.
        path
            Path of the population.
        """
        if (name, path) not in self._of_masks:
            self._of_masks[name, path] = self.axis(name)[self.inside(path)]
        return self._of_masks[name, path]

    def inside(self, path: str) -> Mask:
        """Return the events of a placed population; all events for root ("")."""
        return self.masks[path] if path else np.ones(self.events.n_events, dtype=np.bool_)

    def place(self, population: Population) -> None:
        """Evaluate one more population, whose parent and operands were placed before."""
        self.masks[population.path] = members(population, self._all, self.masks)
        self._of_masks = {key: values for key, values in self._of_masks.items() if key[1] != population.path}

    def spread_of_count(self, population: Population, alternatives: Sequence[Gate]) -> float:
        """Return how far a population's count moves with its gate: root mean square of the log of alternative counts.

        Parameters
        ----------
        population
            Placed before.
        alternatives
            The same gate on resampled events.
        """
        here = np.count_nonzero(self.inside(population.path)) + 0.5
        parent = self.inside(population.parent_path)
        others = (in_gate(gate, parent, self._all, self.masks) for gate in alternatives)
        moved = [np.log((np.count_nonzero(mask) + 0.5) / here) for mask in others]
        return float(np.sqrt(np.mean(np.square(moved)))) if moved else 0.0

    def saturated(self, name: str, inside: Mask) -> bool:
        """Whether over 1 % of the events have exactly the channel's highest value.

        Parameters
        ----------
        name
            Channel or marker.
        inside
            Events of the population, bool.
        """
        n = np.count_nonzero(inside)
        if n < ENOUGH_EVENTS:
            return False
        if name not in self._at_top:
            raw = self.events.raw(name)
            self._at_top[name] = np.flatnonzero(raw >= raw.max())
        return bool(np.count_nonzero(inside[self._at_top[name]]) > _SATURATED_SHARE * n)


@dataclass(frozen=True)
class TubePool:
    """Tubes that share one border, and the control tubes of their batch.

    Attributes
    ----------
    tubes
        The tubes the border is estimated from.
    controls
        marker -> control tubes, the marker "" for unstained ones.
    scope
        What the tubes have in common.
    narrowed
        path -> events of each tube that take the place of that population's.
    """

    tubes: tuple[TubeState, ...]
    controls: Mapping[str, tuple[TubeState, ...]]
    scope: Scope
    narrowed: Mapping[str, tuple[Mask, ...]] = field(default_factory=dict)

    def inside(self, path: str) -> tuple[Mask, ...]:
        """Return the events of a population in each tube, or those of them that the pool is narrowed to."""
        return self.narrowed.get(path) or tuple(tube.inside(path) for tube in self.tubes)

    def noise(self, name: str, path: str) -> float | None:
        """Return the upper end of what events without a signal read, display scale; None where nothing shows it.

        Mass channels read zero within three counts. Compensated fluorescence without signal is spread around zero:
        events below zero show one standard deviation of it.

        Parameters
        ----------
        name
            Channel or marker.
        path
            Path of the population whose events show it.
        """
        known = self.tubes[0].noise(name)
        if known is not None:
            return known
        scale = self.tubes[0].dimension(name).transform
        return zero_spread(self.values(name, path), scale)

    def valley(self, name: str, path: str) -> float:
        """Return the valley of a marker among a population's events, above the noise of zero; NaN without one.

        Parameters
        ----------
        name
            Channel or marker.
        path
            Path of the population, all of its events.
        """
        key = (name, path, tuple(tube.sample_id for tube in self.tubes))
        kept = self.tubes[0].valleys
        if key not in kept:
            noise = self.noise(name, path)
            kept[key] = valley(self.values(name, path), within=None if noise is None else (noise, np.inf)).value
        return kept[key]

    def values(self, name: str, path: str) -> Array:
        """Return the display values of a population's events, tube after tube.

        Parameters
        ----------
        name
            Channel or marker.
        path
            Path of the population.
        """
        narrowed = self.narrowed.get(path)
        if narrowed:
            return np.concatenate([tube.axis(name)[m] for tube, m in zip(self.tubes, narrowed, strict=True)])
        parts = [tube.shown(name, path) for tube in self.tubes]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def path_of(self, name: str) -> str | None:
        """Return the path of a population placed in every tube, by name; None when there is none."""
        paths = [path for path in self.tubes[0].masks if same_name(path.rsplit("/", 1)[1], name)]
        return next((path for path in paths if all(path in tube.masks for tube in self.tubes)), None)

    def reference(self, names: Sequence[str], population: str, parent: str) -> tuple[Array, ...] | None:
        """Return a reference population's display values on some channels; None when it cannot be found.

        CD4 naive is found even in a strategy that does not name it, as CD45RA+ (and CCR7+) events of
        CD4, or of the parent where there is no CD4.

        Parameters
        ----------
        names
            Channels or markers.
        population
            Name of the reference population; "" where the rule names none.
        parent
            Path of the population that is gated.
        """
        path = self.path_of(population) if population else None
        if path is not None:
            return tuple(self.values(name, path) for name in names)
        if not population or not same_name(population, NAIVE):
            return None
        base = self.path_of("CD4") or parent
        masks = self._naive(base, [name for name in names if name not in ("CD45RA", "CCR7")] == list(names))
        if masks is None:
            return None
        return tuple(
            np.concatenate([tube.axis(name)[mask] for tube, mask in zip(self.tubes, masks, strict=True)])
            for name in names
        )

    def _naive(self, base: str, with_ccr7: bool) -> list[Mask] | None:
        if not all(tube.has("CD45RA") for tube in self.tubes):
            return None
        masks = [tube.inside(base) for tube in self.tubes]
        markers = ["CD45RA"] + (["CCR7"] if with_ccr7 and all(tube.has("CCR7") for tube in self.tubes) else [])
        for marker in markers:
            values = self.values(marker, base)
            noise = self.noise(marker, base)
            cut = valley(values, within=None if noise is None else (noise, np.inf)).value
            if np.isnan(cut):
                # without two summits: the upper half is naive by CD45RA, and CCR7 cannot help
                cut = float(np.median(values)) if marker == "CD45RA" and len(values) else -np.inf
            masks = [mask & (tube.axis(marker) > cut) for tube, mask in zip(self.tubes, masks, strict=True)]
        return masks
