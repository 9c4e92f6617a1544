"""The tree of populations, a row each: name, events, percent of the parent and a bar of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from immunolab.gating.counts import PopulationCount
from immunolab.plots.gates_on_axes import percent_words
from immunolab.plots.names import shortened
from immunolab.plots.style import ALARM, MM, SMALL, WIDTH, axes, colour, style
from immunolab.schema.flags import flag, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROW = 4.2  # mm of a population
_INDENT = 0.021  # share of the width a level of the tree
_NAME = 34  # characters of a name
_EVENTS, _PERCENT, _BAR, _FLAGS = 0.555, 0.635, 0.65, 0.80  # right ends of numbers, place of the bar and of the flags
_WIDE = 0.13  # share of the width that 100 % takes
_LINE, _BACK = "#9A9A9A", "#E6E9ED"
_DOUBTFUL = "#8A5A00"


def tree_height(n_populations: int) -> float:
    """Return the height in inches at which `gating_tree` has room for every population.

    Parameters
    ----------
    n_populations
        Without all events.
    """
    return (14 + _ROW * (n_populations + 1)) * MM


@style()
def gating_tree(
    populations: Sequence[tuple[str, PopulationCount | None]],
    *,
    root: PopulationCount | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw populations below their parents.

    Parameters
    ----------
    populations
        Path and count of each; None where nothing is counted.
    root
        The count of all events.
    title
        Above the tree.
    ax
        Axes to draw on; None makes a new figure.

    Returns
    -------
    Axes
        y is the row, from 0 at the top; x is a share of the width.
    """
    counted = root is not None
    ax = axes(ax, WIDTH if counted else WIDTH / 2, tree_height(len(populations)))
    wide = 1.0 if counted else _EVENTS - 0.1
    ordered = list(_below("", dict(populations)))
    rows: dict[str, int] = {"": 0}
    _row(ax, 0, 0, "all events", root, "")
    for y, path in enumerate(ordered, start=1):
        rows[path] = y
        depth = path.count("/")
        above = rows[path.rpartition("/")[0]]
        x = (depth - 1) * _INDENT + 0.006
        ax.plot([x, x, x + _INDENT - 0.009], [above + 0.42, y, y], color=_LINE, linewidth=0.7, zorder=1)
        _row(ax, y, depth, path.rpartition("/")[2], dict(populations)[path], path)
    ax.set_axis_off()
    ax.set(xlim=(0, wide), ylim=(len(ordered) + 0.6, -1.8 if counted else -0.8))
    if counted:
        for x, word, side in ((_EVENTS, "events", "right"), (_BAR, "% of parent", "left")):
            ax.text(x, -1.0, word, fontsize=SMALL, weight="bold", ha=side, va="center")
    ax.set_title(title, fontsize=8, weight="bold", loc="left")
    return ax


def _below(path: str, populations: dict[str, Any]) -> Sequence[str]:
    """Return the paths below a path, children below their parent, in the order of the strategy."""
    found: list[str] = []
    for child in populations:
        if child.rpartition("/")[0] == path:
            found += [child, *_below(child, populations)]
    return found


def _row(ax: Axes, y: int, depth: int, name: str, count: PopulationCount | None, path: str) -> None:
    ax.text(
        depth * _INDENT, y, shortened(name, _NAME), fontsize=SMALL, va="center", weight="normal" if path else "bold"
    )
    if count is None:
        return
    ax.text(_EVENTS, y, f"{count.n_events:,}", fontsize=SMALL, va="center", ha="right")
    words = shown(count.flag or "")
    if path:
        from matplotlib.patches import Rectangle

        share = count.percent_of_parent
        ax.add_patch(Rectangle((_BAR, y - 0.3), _WIDE, 0.6, facecolor=_BACK, edgecolor="none"))
        if share is not None:
            ax.add_patch(Rectangle((_BAR, y - 0.3), _WIDE * share / 100, 0.6, facecolor=colour(name), edgecolor="none"))
        ax.text(_PERCENT, y, percent_words(count), fontsize=SMALL, va="center", ha="right", color=_tint(words))
    if words:
        ax.text(_FLAGS, y, "; ".join(words), fontsize=SMALL, va="center", color=_tint(words))


def _tint(words: Sequence[str]) -> str:
    if any(flag(word).rank == "unusable" for word in words):
        return ALARM
    return _DOUBTFUL if words else "black"
