"""A tube's control, FMO or unstained, over the picture of a gate: the control's events under the tube's own gates."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from immunolab.editor.recount import Recount
from immunolab.editor.scene import Scene
from immunolab.events.tube import Tube
from immunolab.gating.gates import Ellipsoid, Polygon, Rectangle
from immunolab.gating.tube_gates import TubeGates
from immunolab.gating.tubes import gate_tube
from immunolab.plots.event_bins import bin_values
from immunolab.review.blinding import Pixels
from immunolab.review.pictures import BINS, shades
from immunolab.study.sample import Sample


def control_of(sample: Sample, markers: Iterable[str], samples: Iterable[Sample]) -> Sample | None:
    """Return the control that shows where a gate's negative events are; None where the sheet has none for the tube.

    An FMO control of one of the markers comes before an unstained one, a control of the tube itself before one of its
    patient, batch or panel.

    Parameters
    ----------
    sample
        Of the tube.
    markers
        On the axes of the gate.
    samples
        Of the sheet.
    """
    nearest = [name for name in (sample.sample_id, sample.patient_id, sample.batch, sample.panel) if name]
    wanted = set(markers)
    found = [
        (one.marker not in wanted, nearest.index(one.control_of), one.row, one)
        for one in samples
        if one.control_of in nearest
        and one.panel == sample.panel
        and not one.gated
        and (not one.marker or one.marker in wanted)
    ]
    return min(found, key=lambda one: one[:3])[3] if found else None


def gate_markers(scene: Scene) -> list[str]:
    """Return the markers on the axes of the gate that is looked at.

    Parameters
    ----------
    scene
        Of the editor.
    """
    gate = scene.population(scene.active).gate if scene.active else None
    if not isinstance(gate, Rectangle | Polygon | Ellipsoid):
        return []
    channels = [scene.tube.channel(one.name) for one in gate.dimensions if one.ratio is None]
    return [channel.marker or channel.name for channel in channels]


def overlay(scene: Scene, control: Sample, events: Tube) -> Mapping[str, Any]:
    """Return a control's events on the axes of the picture, as JSON holds them; why there is ``none`` to show.

    Parameters
    ----------
    scene
        Of the editor, with the tube's gates as they are now.
    control, events
        The control and its events.
    """
    gated = gate_tube(events, TubeGates(scene.strategy))
    inside = gated.mask(scene.shown) if scene.shown else np.ones(len(events), dtype=np.bool_)
    if not inside.any():
        return {"none": "The control has no event in the population shown."}
    view, recount = scene.view(), Recount(events, scene.strategy)
    axes = [view.axis(letter) for letter in view.letters()]
    values = [recount.coordinates(axis.dimension)[inside] for axis in axes]
    binned = bin_values(values, [axis.scale for axis in axes], BINS)
    pixels = shades(binned.counts.astype(np.float64))
    what = f"FMO control without {control.marker}" if control.marker else "unstained control"
    return {
        "bins": BINS,
        "density": Pixels(b64encode(pixels.tobytes()).decode()),
        "histogram": binned.counts.ndim == 1,
        "label": f"{what}, {np.count_nonzero(inside):,} events of the population shown",
    }
