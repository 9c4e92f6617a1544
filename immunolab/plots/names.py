"""Names of patients on figures: shortened alike, measured, and moved apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from immunolab.plots.style import SMALL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox

_LONGEST = 14  # characters of a name on a figure (judgement: a quarter of a half-page figure); the CSV has all of it
_LONG = 24  # characters of upright names that are alike in fewer: a third of the height of their figure
LINE = SMALL * 1.17  # points from a line of names to the next: what a line of these letters takes


def shortened(name: str, most: int = _LONGEST) -> str:
    """Return a name of at most so many characters: beginning and end stay, for sites and numbers are there.

    Parameters
    ----------
    name
        As in the tables.
    most
        Characters; wide ones (Chinese) count twice.
    """
    if _width(name) <= most:
        return name
    head, tail = "", ""
    for step in range(len(name)):
        more = (head + name[len(head)], tail) if step % 2 == 0 else (head, name[-len(tail) - 1] + tail)
        if _width(more[0]) + _width(more[1]) + 1 > most:
            break
        head, tail = more
    return f"{head}…{tail}"


def distinct(names: Sequence[str]) -> list[str]:
    """Return names shortened as little as it takes for different ones to stay different.

    Parameters
    ----------
    names
        As in the tables.
    """
    n = len(set(names))
    for longest in (_LONGEST, *range(_LONG, max(map(_width, names), default=0))):
        short = [shortened(name, longest) for name in names]
        if len(set(short)) == n:
            return short
    return list(names)


def _width(text: str) -> int:
    from unicodedata import east_asian_width

    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def name_room(ax: Axes, names: Sequence[str], most: int = _LONGEST) -> tuple[Bbox, float, float]:
    """Return the axes' box, the width of the widest name and the height of a line of names, all in points.

    Parameters
    ----------
    ax
        Axes of a figure that is laid out.
    names
        As in the tables; they are measured as `shortened` writes them.
    most
        Characters of a name.
    """
    box = box_in_points(ax)
    wide = widest(ax, [shortened(name, most) for name in dict.fromkeys(names)])
    return box, wide, LINE


def box_in_points(ax: Axes) -> Bbox:
    """Return the place of axes on their figure, in points."""
    from matplotlib.transforms import Affine2D

    root = ax.get_figure(root=True)
    assert root is not None  # noqa: S101  # axes are on a figure
    return ax.get_window_extent().transformed(Affine2D().scale(72 / root.dpi))


def widest(ax: Axes, texts: Sequence[str]) -> float:
    """Return the width of the widest of some texts at the size of names, in points.

    Parameters
    ----------
    ax
        Axes they are written on.
    texts
        Each of one line.
    """
    root = ax.get_figure(root=True)
    assert root is not None  # noqa: S101  # axes are on a figure
    probe = ax.text(0, 0, "", fontsize=SMALL)
    wide = 0.0
    for text in texts:
        probe.set_text(text)
        wide = max(wide, probe.get_window_extent().width * 72 / root.dpi)
    probe.remove()
    return wide


def name_ticks(ax: Axes, names: Sequence[str], what: str) -> None:
    """Name places 0, 1, 2 ... under the axis, upright; where they do not all fit, none, and how many there are.

    Parameters
    ----------
    ax
        Axes whose places are bars or points of one patient or sample each.
    names
        In the order of the places.
    what
        What is named, for the label of an axis without names: ``patients, sorted``.
    """
    if len(names) * LINE > box_in_points(ax).width:
        ax.set_xticks([])
        ax.set_xlabel(f"{len(names)} {what}; names are in the figure's CSV", fontsize=SMALL)
        return
    ax.set_xticks(range(len(names)), distinct(names), rotation=90, fontsize=SMALL)


def apart(wanted: np.ndarray, step: float) -> np.ndarray:
    """Return places (ascending) at least a step apart, within 0 to 1, as near as possible to the wanted ones.

    Places that touch form a block around the mean of what they want (pool adjacent violators).

    Parameters
    ----------
    wanted
        Ascending, shares of an axis.
    step
        Least distance; as many steps as places have to fit into 0 to 1.
    """
    half = step / 2
    blocks: list[list[float]] = []  # sum of wanted starts, number of members
    for place, value in enumerate(np.clip(wanted, half, 1 - half)):
        blocks.append([float(value) - place * step, 1.0])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] >= blocks[-1][0] / blocks[-1][1]:
            total, count = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += count
    starts = np.concatenate([np.full(int(count), total / count) for total, count in blocks]) if blocks else np.empty(0)
    places = starts + step * np.arange(len(starts))
    over = places[-1] - (1 - half) if len(places) else 0.0
    if over > 0:  # push down from the upper end
        places = np.minimum(places, 1 - half - step * np.arange(len(places))[::-1])
    return np.asarray(np.maximum(places, half + step * np.arange(len(places))))
