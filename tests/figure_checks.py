"""Whether a figure can be read: no text over another, none beyond the edge; measured as they are drawn."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from matplotlib.text import Text
from matplotlib.transforms import Affine2D

_EDGE = 0.8  # points by which a text's box may enter another or leave the page: letters are smaller than their boxes


def unreadable(fig):
    """Return what a reader could not read: texts that overlap another text, or that leave the figure."""
    fig.draw_without_rendering()
    scale = 72 / fig.dpi
    shown = [(t.get_text(), _corners(t) * scale) for t in _texts(fig)]
    wide, high = fig.get_size_inches() * 72
    faults = [
        f"clipped: {text!r}"
        for text, box in shown
        if box.min() < -_EDGE or box[:, 0].max() > wide + _EDGE or box[:, 1].max() > high + _EDGE
    ]
    return faults + [f"overlap: {a!r} | {b!r}" for (a, one), (b, two) in combinations(shown, 2) if _meet(one, two)]


def _texts(fig):
    seen = {}
    for text in fig.findobj(Text):
        if text.get_visible() and text.get_text().strip() and _parents_shown(text) and text.get_window_extent().width:
            seen.setdefault(id(text), text)
    ticks = {id(t): t for ax in fig.axes for t in _hidden_ticks(ax)}
    return [text for key, text in seen.items() if key not in ticks]


def _hidden_ticks(ax):
    """Yield labels of ticks that are not drawn: axes switched off, ticks beyond the limits, labels of shared axes."""
    for axis in (ax.xaxis, ax.yaxis):
        drawn = {
            id(t) for tick in (axis._update_ticks() if ax.axison and axis.get_visible() else ()) for t in _labels(tick)
        }
        for tick in (*axis.majorTicks, *axis.minorTicks):
            yield from (t for t in (tick.label1, tick.label2) if id(t) not in drawn)
        if not (ax.axison and axis.get_visible()):
            yield axis.label


def _labels(tick):
    return [t for t in (tick.label1, tick.label2) if t.get_visible()]


def _parents_shown(text):
    legend_of = getattr(text, "axes", None)
    return legend_of is None or legend_of.get_visible()


def _corners(text):
    """Return the four corners of a text's box in pixels, turned as the text is."""
    angle = text.get_rotation()
    if angle % 90 == 0:
        return text.get_window_extent().corners()[[0, 1, 3, 2]]
    anchor = text.get_transform().transform(text.get_unitless_position())
    text.set_rotation(0)
    flat = text.get_window_extent().corners()[[0, 1, 3, 2]]
    text.set_rotation(angle)
    return Affine2D().rotate_deg_around(*anchor, angle).transform(flat)


def _meet(one, two):
    """Return whether two rectangles share more than an edge (separating axis theorem)."""
    for box in (one, two):
        sides = np.diff(box[:3], axis=0)
        for side in sides / np.linalg.norm(sides, axis=1)[:, None]:
            a, b = one @ side, two @ side
            if min(a.max(), b.max()) - max(a.min(), b.min()) <= _EDGE:
                return False
    return True
