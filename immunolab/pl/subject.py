"""What a figure of events is drawn from: a tube, a gated tube or an AnnData of events, under one shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from immunolab.errors import GatingError, ImmunolabError, InputError, Problem, nearest
from immunolab.events.scales import channel_noise, channel_scales
from immunolab.events.subsample import drawn_rows
from immunolab.events.transforms import Transform
from immunolab.events.tube import Channel, Tube
from immunolab.gating.axes import Axes as GateAxes
from immunolab.gating.axes import on_channels
from immunolab.gating.evaluate import evaluate
from immunolab.gating.strategy import ROOT, Dimension, Ellipsoid, Polygon, Rectangle, Strategy
from immunolab.gating.tubes import GatedTube
from immunolab.gating.validation import evaluable

if TYPE_CHECKING:
    from anndata import AnnData

Mask = NDArray[np.bool_]
Array = NDArray[np.float64]
Drawable: TypeAlias = "Tube | GatedTube | AnnData"
_FOR_ENDS = 100_000  # events that the ends of an axis are taken from: 200 beyond each end (judgement)


@dataclass(frozen=True, eq=False)
class Subject:
    """Events that can be drawn.

    Attributes
    ----------
    tube
        All events.
    gated
        The tube with its gates; None where there are none.
    masks
        Events of each population by name; of a gated tube those of ``gated``.
    """

    tube: Tube
    gated: GatedTube | None = None
    masks: Mapping[str, Mask] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The sample, or the file's name."""
        return self.tube.sample_id or PurePath(self.tube.file).stem or "events"

    @cached_property
    def scales(self) -> Mapping[str, Transform]:
        """Display scale by channel: that of the first gate on it, else the one that the tube's own events choose."""
        chosen = {one.name: one.transform for one in channel_scales([channel_noise(self.tube)])}
        found = {c.name: chosen.get(c.marker or c.name, c.usual_scale) for c in self.tube.channels}
        return (
            found if self.gated is None else found | {n: d.transform for n, d in _gate_dimensions(self.gated).items()}
        )

    @cached_property
    def _compensation(self) -> Mapping[str, str]:
        """What the first gate on each channel compensates with, so that events are drawn where gates see them."""
        return {} if self.gated is None else {name: d.compensation for name, d in _gate_dimensions(self.gated).items()}

    def dimension(self, name: str) -> Dimension:
        """Return the axis of a marker or channel; raises as `Tube.find`."""
        channel = self.tube.channel(name)
        return Dimension(channel.name, self.scales[channel.name], self._compensation.get(channel.name, "sample"))

    def mask(self, population: str) -> Mask | None:
        """Return the events of a population; None for all events.

        Raises
        ------
        GatingError
            There is no such population.
        """
        if population in ("", ROOT, "/"):
            return None
        if self.gated is not None:
            return self.gated.mask(population)
        if population in self.masks:
            return self.masks[population]
        if not self.masks:
            hint = f"gate it first: immunolab.gate(tube, strategy); '{population}' is then one of its populations"
            raise GatingError(f"no population '{population}': the events are not gated", self.name, hint)
        hint = f"{nearest(population, self.masks)} populations: {', '.join(self.masks)}".strip()
        raise GatingError(f"there is no population '{population}'", self.name, hint)

    def count(self, mask: Mask | None) -> int:
        """Return how many events a mask holds; None holds all."""
        return self.tube.n_events if mask is None else int(np.count_nonzero(mask))

    def axes(self, dimensions: Sequence[Dimension]) -> GateAxes:
        """Return the coordinates of gates on this tube."""
        matrices = self.gated.strategy.matrices if self.gated is not None else {}
        return GateAxes(self.tube, matrices, tuple(dimensions))

    def points(self, dimensions: Sequence[Dimension], mask: Mask | None, most: int) -> Array:
        """Return coordinates of at most so many events, events x dimensions, on the display scales.

        Parameters
        ----------
        dimensions
            One or more.
        mask
            The events that are drawn from; None for all.
        most
            More are thinned at random, the same each time.
        """
        rows = drawn_rows(self.tube.n_events if mask is None else np.flatnonzero(mask), most)
        some = replace(self, tube=self.tube.take(rows))
        block = some.axes(dimensions).block()
        return np.column_stack([block.axis(dimension) for dimension in dimensions])

    def for_ends(self, dimensions: Sequence[Dimension], mask: Mask | None) -> Array:
        """Return the coordinates that the ends of axes are taken from.

        Parameters
        ----------
        dimensions, mask
            As in `points`.
        """
        return self.points(dimensions, mask, _FOR_ENDS)


def _gate_dimensions(gated: GatedTube) -> dict[str, Dimension]:
    """Return the dimension of the first gate on each channel."""
    gates = [p.gate for p in gated.strategy.populations if isinstance(p.gate, Rectangle | Polygon | Ellipsoid)]
    dimensions = [d for gate in gates for d in gate.dimensions if d.ratio is None]
    return {gated.tube.channel(d.name).name: d for d in reversed(dimensions)}


def subject(data: Any) -> Subject:
    """Return what a figure of events is drawn from.

    Parameters
    ----------
    data
        A tube, a gated tube, or an AnnData of events.

    Raises
    ------
    InputError
        It is none of them.
    """
    if isinstance(data, GatedTube):
        return Subject(data.tube, data)
    if isinstance(data, Tube):
        return Subject(data)
    if type(data).__name__ == "AnnData" and "kind" in data.var and "compensated" in data.layers:
        return _of_anndata(data)
    kind = type(data).__name__
    hint = "give a Tube (immunolab.read_fcs), a GatedTube (immunolab.gate) or the AnnData of GatedTube.to_anndata"
    if kind == "AnnData":
        hint = "these are cells: draw them with immunolab.pl.umap, or with scanpy"
    elif isinstance(data, str | PurePath):
        hint = "read the file first: immunolab.read_fcs(file)"
    elif isinstance(data, list | tuple):
        hint = "one tube at a time; immunolab.pl.ridges draws one marker over many"
    raise InputError(Problem("", "data", f"{kind} has no events to draw", hint))


def _of_anndata(data: AnnData) -> Subject:
    """Return the tube that an AnnData of events holds, already compensated, with its populations."""
    channels = tuple(
        Channel(str(row.channel), "", str(row.marker) or None, str(row.fluorochrome) or None, row.kind)  # type: ignore[arg-type]
        for row in data.var.itertuples()
    )
    columns = np.ascontiguousarray(np.asarray(data.layers["compensated"], dtype=np.float32).T)
    names = list(dict.fromkeys(map(str, data.obs["sample_id"]))) if "sample_id" in data.obs else []
    tube = Tube(columns, channels, sample_id=names[0] if len(names) == 1 else f"{len(names)} samples" if names else "")
    frame = data.obsm.get("populations")
    masks = {} if frame is None else {str(name): frame[name].to_numpy(dtype=bool) for name in frame}
    return Subject(tube, None, masks)


def control_subject(main: Subject, control: Any) -> Subject:
    """Return a control tube with the gates of the tube it is drawn over, at the same places.

    Parameters
    ----------
    main
        The stained tube.
    control
        A tube without one dye or without any, or a tube that is gated already.

    Raises
    ------
    InputError
        It is no tube.
    """
    if isinstance(control, GatedTube):
        return Subject(control.tube, control)
    if not isinstance(control, Tube):
        hint = "give the tube that lacks the dye: immunolab.read_fcs(file)"
        raise InputError(Problem("", "control", f"{type(control).__name__} is not a tube", hint))
    if main.gated is None:
        return Subject(control)
    strategy, _ = evaluable(on_channels(main.gated.strategy, main.tube), control)
    named = replace(control, sample_id=control.sample_id or PurePath(control.file).stem)
    if not strategy.populations:
        return Subject(named)
    return Subject(named, GatedTube(named, evaluate(_plain(strategy), named), ()))


def _plain(strategy: Strategy) -> Strategy:
    """Return the strategy without the flags that its gates have on another tube."""
    return replace(strategy, populations=tuple(replace(p, flag="", reason="") for p in strategy.populations))


def collected(*checks: tuple[str, Callable[[], object]]) -> None:
    """Run checks and raise what all of them found at once.

    Parameters
    ----------
    *checks
        Name of an argument, and what raises where it is wrong.

    Raises
    ------
    InputError
        Every problem, each with the argument that it is of.
    """
    problems: list[Problem] = []
    for argument, check in checks:
        try:
            check()
        except InputError as error:
            problems.extend(error.problems)
        except ImmunolabError as error:
            problems.append(
                Problem("", argument, f"{error.message} ({error.where})" if error.where else error.message, error.hint)
            )
    if problems:
        raise InputError(problems)


def one_of(word: str, allowed: Iterable[str], argument: str, what: str) -> str:
    """Return a word that is one of those there are.

    Parameters
    ----------
    word
        As the user gave it.
    allowed
        Those there are.
    argument, what
        Its name in the call, and what it names.

    Raises
    ------
    InputError
        It is none of them.
    """
    words = list(map(str, allowed))
    if word not in words:
        hint = (
            f"{nearest(word, words)} there {'is' if len(words) == 1 else 'are'}: {', '.join(words) or 'none'}".strip()
        )
        raise InputError(Problem("", argument, f"there is no {what} '{word}'", hint))
    return word
