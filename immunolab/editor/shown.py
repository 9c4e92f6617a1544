"""What the page is sent, as JSON: pictures, axes, gates and the table of populations."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import numpy as np

from immunolab.editor.axes import EditorAxis
from immunolab.editor.shapes import bounds, handles, outline
from immunolab.editor.view import Handle, View
from immunolab.gating.counts import PopulationCount, tree_order
from immunolab.gating.strategy import ROOT, Population
from immunolab.gating.tubes import GatedTube
from immunolab.plots.event_bins import EventBins
from immunolab.schema.flags import shown

BINS = 128  # of an axis: three to four pixels each


def picture_shown(binned: EventBins) -> dict[str, Any]:
    """Return bins for the page: shades 0..255 by the root of the count, 0 only where a bin is empty; y from below."""
    most = int(binned.counts.max(initial=0))
    shades = np.ceil(255.0 * np.sqrt(binned.counts / max(1, most))).astype(np.uint8)
    return {
        "bins": BINS,
        "histogram": binned.counts.ndim == 1,
        "most": most,
        "shades": b64encode(shades.tobytes()).decode(),
        "counts": binned.counts.tolist() if binned.counts.ndim == 1 else None,
        "n": binned.n_events,
        "n_beyond": binned.n_beyond,
        "sides": {side: n for side, n in binned.sides.items() if n},
    }


def scale_shown(axis: EditorAxis) -> dict[str, Any]:
    """Return an axis for the page: its label, and ticks at places with instrument units in words."""
    scale = axis.scale
    return {
        "label": scale.label,
        "ticks": [
            {"at": axis.place(tick), "text": text} for tick, text in zip(scale.ticks, scale.tick_labels, strict=True)
        ],
        "minor": [axis.place(tick) for tick in scale.minor],
    }


def gate_shown(population: Population, view: View, n: int, percent: float | None, active: bool) -> dict[str, Any]:
    """Return a gate for the page: outlines and, of the active one, handles with their values in instrument units.

    Parameters
    ----------
    population
        With the gate.
    view
        The picture's axes.
    n, percent
        Events in it, and their percentage of its parent; None where it is withheld.
    active
        Whether it is the one that is changed.
    """
    return {
        "path": population.path,
        "name": population.name,
        "kind": type(population.gate).__name__.lower(),
        "active": active,
        "outlines": outline(population.gate, view),
        "bounds": bounds(population.gate, view),
        "handles": [_handle_shown(one, view) for one in handles(population.gate, view)] if active else [],
        "n": n,
        "percent": percent,
    }


def _handle_shown(handle: Handle, view: View) -> dict[str, Any]:
    places = {"x": handle.x, "y": handle.y}
    values = {  # none where the handle is beyond the axis, of a gate that is open on that side
        letter: view.axis(letter).value(places[letter]) if 0.0 <= places[letter] <= 1.0 else None
        for letter in view.letters()
        if letter in handle.along
    }
    return vars(handle) | {"values": values, "names": {letter: view.axis(letter).dimension.name for letter in values}}


def crumbs(path: str) -> list[dict[str, str]]:
    """Return the populations from all events down to one, for a path of buttons."""
    found = [{"path": "", "name": ROOT}]
    for name in path.split("/")[1:]:
        found.append({"path": f"{found[-1]['path']}/{name}", "name": name})
    return found


def rows(gated: GatedTube, original: GatedTube) -> list[dict[str, Any]]:
    """Return every population with its events and percentage of its parent, now and where they were others before.

    Parameters
    ----------
    gated
        With every change so far.
    original
        As the editor began.
    """
    before = {count.path: count for count in original.population_counts}
    return [_row(count, before.get(count.path)) for count in tree_order(gated.population_counts)]


def _row(count: PopulationCount, before: PopulationCount | None) -> dict[str, Any]:
    root = count.path == "/"
    was = None if before is None or before.n_events == count.n_events else before
    return {
        "path": "" if root else count.path,
        "name": count.population,
        "depth": 0 if root else count.path.count("/"),
        "n": count.n_events,
        "percent": count.percent_of_parent,
        "flags": shown(count.flag),
        "was": None if was is None else {"n": was.n_events, "percent": was.percent_of_parent},
    }
