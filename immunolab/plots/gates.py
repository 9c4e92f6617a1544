"""Gating figures: the contact sheet of a sample, one gate's panel, and thresholds over the run order."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immunolab.events import Events
from immunolab.gating.strategy import Memberships, Strategy
from immunolab.plots.gate_views import GateView, gate_views
from immunolab.plots.labels import number
from immunolab.plots.scales import Scale
from immunolab.plots.style import ALARM, BATCH_COLOURS, MM, SMALL, WIDTH, axes, figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GATE, _MEMBER = "#D55E00", "#D55E00"


def contact_sheet(
    strategy: Strategy, events: Events, memberships: Memberships, *, title: str = "", seed: int = 0
) -> Figure:
    """Return one page with every gate of a sample; see `gate_views` and `draw_contact_sheet`."""
    return draw_contact_sheet(gate_views(strategy, events, memberships, seed=seed), title=title)


@style()
def draw_contact_sheet(views: Sequence[GateView], *, title: str = "") -> Figure:
    """Return one page with a panel for each view.

    Parameters
    ----------
    views : of one sample, in the order of the strategy.
    title : above the page; the sample_id when empty.
    """
    columns = 4 if len(views) <= 20 else 5
    rows = max(1, -(-len(views) // columns))
    fig = figure(WIDTH, (20 + rows * (47 if columns == 4 else 42)) * MM, layout=None)
    height = fig.get_figheight() / MM
    grid = fig.add_gridspec(
        rows, columns, left=0.066, right=0.985, bottom=19 / height, top=1 - 20 / height, wspace=0.55, hspace=0.85
    )
    for i, view in enumerate(views):
        _panel(view, axes(fig.add_subplot(grid[i])))
    heading = title or (views[0].sample_id if views else "")
    fig.text(0.012, 1 - 3 / height, heading, fontsize=10, weight="bold", va="top")
    fig.text(0.012, 2 / height, _legend(views), fontsize=SMALL, color="#333333", va="bottom")
    return fig


@style()
def gate_panel(view: GateView, ax: Axes | None = None) -> Axes:
    """Draw one gate: the parent's events as density, the border, count and percent, flags in red."""
    return _panel(view, axes(ax, 45 * MM, 45 * MM))


def _panel(view: GateView, ax: Axes) -> Axes:
    if view.y is None:
        _draw_histogram(view, ax)
    else:
        _draw_density(view, view.y, ax)
        _apply(ax, view.y, "y")
    _apply(ax, view.x, "x")
    ax.tick_params(labelsize=SMALL, pad=1.5)
    for side in ("top", "right"):
        ax.spines[side].set_visible(view.y is not None)
    _heading(view, ax)
    return ax


def _legend(views: Sequence[GateView]) -> str:
    if not views:
        return "No gate was evaluated on this sample."
    most = max((view.n_drawn for view in views), default=0)
    return (
        f"Shade: density of the parent's events (at most {most:,} drawn; counts and percentages are of all events; "
        "events beyond an axis\nlie on its edge). Orange: gate; orange dots: members of an and/or/not gate. "
        "Ticks in instrument units after compensation. Red: flags."
    )


def _draw_density(view: GateView, y: Scale, ax: Axes) -> None:
    shade = np.ma.masked_equal(np.sqrt(view.counts.astype(np.float64)), 0.0)
    extent = (view.x.low, view.x.high, y.low, y.high)
    ax.imshow(shade, origin="lower", extent=extent, aspect="auto", cmap="viridis", interpolation="nearest", zorder=1)
    for line in view.lines:
        ax.plot(line[:, 0], line[:, 1], color="white", linewidth=2.2, solid_capstyle="butt", zorder=2)
        ax.plot(line[:, 0], line[:, 1], color=_GATE, linewidth=1.2, solid_capstyle="butt", zorder=3)
    if len(view.members):
        ax.plot(view.members[:, 0], view.members[:, 1], ".", color=_MEMBER, markersize=1.6, zorder=3)


def _draw_histogram(view: GateView, ax: Axes) -> None:
    edges = np.linspace(view.x.low, view.x.high, len(view.counts) + 1)
    ax.stairs(view.counts, edges, fill=True, color="#9DB4C8")
    ax.stairs(view.counts, edges, color="#33506B", linewidth=0.6)
    for line in view.lines:
        ax.axvline(float(line[0]), color=_GATE, linewidth=1.2)
    ax.set_ylim(0, max(1.0, 1.05 * float(view.counts.max(initial=0))))
    ax.locator_params(axis="y", nbins=3)
    ax.set_ylabel("events", fontsize=SMALL, labelpad=1)


def _apply(ax: Axes, scale: Scale, which: str) -> None:
    """Set an axis: marks are two lines and labels plain text, cheaper than Tick objects by far on a large sheet."""
    along_x = which == "x"
    (ax.set_xlim if along_x else ax.set_ylim)(scale.low, scale.high)
    (ax.set_xticks if along_x else ax.set_yticks)([])
    edge = ax.get_xaxis_transform() if along_x else ax.get_yaxis_transform()
    for places, size in ((scale.minor, 3), (scale.ticks, 6)):
        zero = np.zeros(len(places))
        (marks,) = ax.plot(*((places, zero) if along_x else (zero, places)), "|" if along_x else "_", transform=edge)
        marks.set(color="black", markersize=size, markeredgewidth=0.5, clip_on=False, zorder=4)
    for place, word in zip(scale.ticks, scale.tick_labels, strict=True):
        x, y, ha, va = (place, -0.05, "center", "top") if along_x else (-0.05, place, "right", "center")
        ax.text(x, y, word, transform=edge, ha=ha, va=va, fontsize=SMALL)
    axis = ax.xaxis if along_x else ax.yaxis
    axis.set_label_text(_cut(scale.label, 24), fontsize=SMALL)
    axis.labelpad = 12 if along_x else 6 + 4.4 * max(map(len, scale.tick_labels), default=0)


def _heading(view: GateView, ax: Axes) -> None:
    name = _cut(view.name, 19)
    share = "no parent events" if view.n_parent == 0 else f"{number(view.percent)} % of {_cut(view.parent, 10)}"
    part = f" ({view.part})" if view.part else ""
    above: Any = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "bottom"}
    ax.annotate(name + part, (0, 1), (0, 22), fontsize=8, weight="bold", **above)
    counts = f"{share}\n{view.n_events:,} of {view.n_parent:,}"
    ax.annotate(counts, (0, 1), (0, 2.5), fontsize=SMALL, linespacing=1.1, **above)
    flags = [word for word in view.flag.split(";") if word] + ([] if view.n_parent else ["empty_parent"])
    _inside(ax, "\n".join(flags[:3]), 0.03, "bottom", ALARM)
    _inside(ax, "\n".join(textwrap.wrap(view.note, 18)[:3]), 0.97, "top", "#222222")


def _inside(ax: Axes, text: str, height: float, va: str, tint: str) -> None:
    if text:
        box = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 0.8}
        ax.text(0.03, height, text, transform=ax.transAxes, fontsize=SMALL, color=tint, va=va, zorder=5, bbox=box)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


@style()
def gate_drift(thresholds: pd.DataFrame, order: Sequence[str], *, batches: Mapping[str, str] | None = None) -> Figure:
    """Return where each border was placed in each sample, in run order, one panel a border.

    Populations that share a border share its panel. A line marks each change of batch.

    Parameters
    ----------
    thresholds : THRESHOLDS rows.
    order : sample_ids in the order they were acquired.
    batches : sample_id to batch, which colours the points.
    """
    borders = list(_borders(thresholds, order))
    rows = max(1, -(-len(borders) // 3))
    height = 24 + 34 * rows
    fig = figure(WIDTH, height * MM, layout=None)
    grid = fig.add_gridspec(
        rows, 3, left=0.06, right=0.99, bottom=10 / height, top=1 - 15 / height, wspace=0.26, hspace=0.5
    )
    for i, (title, frame) in enumerate(borders):
        _draw_border(axes(fig.add_subplot(grid[i])), title, frame, order, batches or {})
    words = "Borders on the display scale, samples in run order; bars: 95 % interval; open: flagged"
    fig.text(0.012, 1 - 2 / height, words, fontsize=8, va="top")
    _batch_key(fig, [(batches or {}).get(sample, "") for sample in order], 1 - 6.5 / height)
    return fig


def _borders(thresholds: pd.DataFrame, order: Sequence[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each distinct border: its marker and populations, and its rows by sample in run order."""
    shared: dict[tuple[object, ...], tuple[list[str], pd.DataFrame]] = {}
    for (marker, population), rows in thresholds.groupby(["marker", "population"], sort=False):
        frame = rows.drop_duplicates("sample_id").set_index("sample_id").reindex(list(order))
        key = (marker, *frame["threshold"].fillna(np.inf))
        shared.setdefault(key, ([], frame))[0].append(str(population))
    for key, (populations, frame) in shared.items():
        more = f" +{len(populations) - 1}" if len(populations) > 1 else ""
        yield f"{_cut(f'{key[0]}: {populations[0]}', 24)}{more}", frame


def _draw_border(ax: Axes, title: str, frame: pd.DataFrame, order: Sequence[str], batches: Mapping[str, str]) -> None:
    names = list(dict.fromkeys(batches.get(sample, "") for sample in order))
    for i, (sample, row) in enumerate(frame.iterrows()):
        if pd.isna(row["threshold"]):
            continue
        tint = BATCH_COLOURS[names.index(batches.get(str(sample), "")) % len(BATCH_COLOURS)]
        if not pd.isna(row["ci_low"]) and not pd.isna(row["ci_high"]):
            ax.plot([i, i], [row["ci_low"], row["ci_high"]], color=tint, linewidth=1)
        flagged = not pd.isna(row["flag"]) and str(row["flag"]) != ""
        ax.plot(i, row["threshold"], "o", color=tint, markersize=3, markerfacecolor="white" if flagged else tint)
    for i in range(1, len(order)):
        if batches.get(order[i], "") != batches.get(order[i - 1], ""):
            ax.axvline(i - 0.5, color="#888888", linewidth=0.6, linestyle=":")
    ax.set(xlim=(-0.7, max(len(order), 1) - 0.3), xticks=[])
    ax.locator_params(axis="y", nbins=4)
    ax.set_title(title, fontsize=SMALL)
    ax.set_xlabel(f"n = {int(frame['threshold'].notna().sum())}", fontsize=SMALL, labelpad=2)


def _batch_key(fig: Figure, batches: Sequence[str], height: float) -> None:
    for i, name in enumerate(dict.fromkeys(batches)):
        if name:
            tint = BATCH_COLOURS[i % len(BATCH_COLOURS)]
            fig.text(0.012 + 0.12 * i, height, f"● batch {name}", fontsize=SMALL, color=tint, va="top")
