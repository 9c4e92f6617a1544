"""The editor's picture without a page: for an exported notebook, and where no widget can run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from immunolab.editor.scene import Scene
from immunolab.editor.shapes import outline
from immunolab.editor.view import View
from immunolab.gating.strategy import ROOT
from immunolab.plots.gate_views import GateView
from immunolab.plots.gates import draw_view
from immunolab.plots.panel_canvas import Box, Page, Word
from immunolab.plots.style import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIDE = 62.0  # mm of the square picture
_LEFT, _BELOW, _ABOVE, _LINE = 17.0, 12.0, 4.0, 3.4  # mm around it, and of a line of text


@style()
def still(scene: Scene) -> Figure:
    """Return the picture as it is now, with its gates, their percentages of the population shown, and its axes.

    Parameters
    ----------
    scene
        Its axes and gates are drawn, on white.
    """
    view, binned = scene.view(), scene.binned()
    gates = scene.gates_here()
    shown = scene.shown.rsplit("/", 1)[-1] or ROOT
    words = [f"{p.name}: {scene.words_of(p.path)}" for p in gates]
    page = Page(_LEFT + _SIDE + 6.0, _BELOW + _SIDE + _ABOVE + _LINE * (2 + len(words)))
    box = Box(_LEFT, _BELOW, _SIDE, _SIDE)
    beyond = f"; {binned.n_beyond:,} beyond the axes" if binned.n_beyond else ""
    heading = [f"{binned.n_events:,} events of {shown}{beyond}", *words]
    page.write(Word(scene.gated.sample_id or "tube", _LEFT, page.height - 4.0, 8, bold=True))
    for i, text in enumerate(heading):
        page.write(Word(text, _LEFT, page.height - 4.0 - _LINE * (i + 1)), within=_SIDE + 4.0)
    lines = tuple(one for p in gates for one in _lines(view, outline(p.gate, view)))
    drawn = GateView(
        sample_id=scene.gated.sample_id,
        path=scene.shown,
        name="",
        parent=shown,
        x=view.x.scale,
        y=None if view.y is None else view.y.scale,
        counts=binned.counts.astype(np.uint32),
        lines=lines,
        n_events=0,
        n_parent=binned.n_events,
        n_drawn=int(binned.counts.sum()),
        members=np.empty((0, 2)),
    )
    draw_view(drawn, page, box, counted=drawn, room=_SIDE)
    return page.paint()


def _lines(view: View, outlines: list[list[tuple[float, float]]]) -> list[NDArray[np.float64]]:
    """Return outlines on the display scales; of a histogram the places on x alone."""
    if view.y is None:
        return [np.array([view.x.shown(points[0][0])]) for points in outlines]
    y = view.y
    return [np.array([(view.x.shown(px), y.shown(py)) for px, py in points]) for points in outlines]
