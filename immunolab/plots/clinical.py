"""Cells against the clinic: responders beside non-responders, change against change, slopes by period."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immunolab.comparison.arms import LEAST_RESPONDERS
from immunolab.comparison.correlation import spearman
from immunolab.comparison.group_tests import mann_whitney
from immunolab.plots.labels import folded
from immunolab.plots.names import shortened, widest
from immunolab.plots.numbers import number, p_text
from immunolab.plots.style import HALF, MM, SMALL, WIDTH, axes, figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAST_SUBGROUP = 6  # patients in a group below which a subgroup's p-value promises too much
_FEWEST_FOR_BAND = 15  # patients; with fewer an interval of rho is wider than half its range (judgement)
_BESIDE = tuple((dx, dy) for dy in (2, -9, 10, -17, 18, -25, 26) for dx in (3, -3))  # of a name to its point, points

_CLEAR = 2.0  # between a name and what it stands beside, points: less reads as touching


@style()
def responders(
    values: Mapping[str, float], response: Mapping[str, str], what: str, *, by: str = "", ax: Axes | None = None
) -> Axes:
    """Draw values by clinical response: every patient a point, box of quartiles, n and exact Mann-Whitney p.

    Response is known only after treatment, so the comparison describes and proves nothing; with
    fewer than four patients in a group no p-value is given.

    Parameters
    ----------
    values
        patient_id to value.
    response
        patient_id to group.
    what
        The value in words, with definition and denominator.
    by
        The response in words, under the axis.
    ax
        Axes to draw on; None makes a new figure.
    """
    ax = axes(ax, HALF, 75 * MM)
    frame = pd.DataFrame({"value": pd.Series(dict(values), dtype=float), "group": pd.Series(dict(response))}).dropna()
    groups = sorted(frame["group"].unique())
    samples = [frame.loc[frame["group"] == group, "value"].sort_index().to_numpy(dtype=float) for group in groups]
    for place, points in enumerate(samples):
        if len(points) >= LEAST_RESPONDERS:
            ax.boxplot(
                [points],
                positions=[place],
                widths=0.5,
                showfliers=False,
                medianprops={"color": "black", "linewidth": 1.5},
            )
        spread = np.linspace(-0.12, 0.12, len(points)) if len(points) > 1 else np.zeros(1)
        ax.plot(place + spread[: len(points)], points, "o", color="#0072B2", markersize=4, zorder=3)
    ax.set_xticks(range(len(groups)), [f"{g}\nn = {len(s)}" for g, s in zip(groups, samples, strict=True)])
    ax.set_xlim(-0.6, max(len(groups), 1) - 0.4)
    ax.set_xlabel(folded(by, 44))
    ax.set_ylabel(what)
    ax.set_title(f"descriptive: response is known only afterwards\n{_mann_whitney(samples)}")
    return ax


def _mann_whitney(samples: list[np.ndarray]) -> str:
    if len(samples) != 2 or min(map(len, samples)) < LEAST_RESPONDERS:
        return f"no test: two groups of at least {LEAST_RESPONDERS} are needed"
    result = mann_whitney(*samples)
    above = np.subtract.outer(samples[0], samples[1])
    area = float(((above > 0) + 0.5 * (above == 0)).mean())
    return f"{folded(result.text, 44)}\n{p_text(result.p_value)}; AUC {number(area, 2)}"


@style()
def group_strips(strips: Sequence[tuple[str, Mapping[str, float]]], groups: Mapping[str, str]) -> Figure:
    """Return values side by side by subgroup: every patient a point, medians, n; no box, no mean.

    An exact Mann-Whitney p is written above a panel of two groups of `LEAST_SUBGROUP` patients or more.

    Parameters
    ----------
    strips
        For each panel what the value is, in words, and patient_id to value.
    groups
        patient_id to subgroup.
    """
    fig = figure(WIDTH, 68 * MM)
    names = sorted(set(groups.values()))
    for (what, values), ax in zip(strips, fig.subplots(1, len(strips), squeeze=False)[0], strict=True):
        axes(ax)
        samples = [
            np.array([v for p, v in values.items() if groups.get(p) == name and np.isfinite(v)]) for name in names
        ]
        for place, points in enumerate(samples):
            spread = np.linspace(-0.12, 0.12, len(points)) if len(points) > 1 else np.zeros(len(points))
            ax.plot(place + spread, points, "o", color="#0072B2", markersize=4, alpha=0.8)
            if len(points):
                middle = float(np.median(points))
                ax.plot([place - 0.25, place + 0.25], [middle, middle], color="black", linewidth=2, zorder=4)
        ax.axhline(0, color="#777777", linewidth=0.6)
        ax.set_xticks(range(len(names)), [f"{n}\nn = {len(s)}" for n, s in zip(names, samples, strict=True)])
        ax.set_xlim(-0.6, len(names) - 0.4)
        ax.set_ylabel(what, fontsize=SMALL)
        ax.set_title(_subgroup_test(samples), fontsize=SMALL)
    return fig


def _subgroup_test(samples: list[np.ndarray]) -> str:
    if len(samples) != 2 or min(map(len, samples)) < LEAST_SUBGROUP:
        return f"descriptive;\nno test below {LEAST_SUBGROUP} a group"
    result = mann_whitney(*samples)
    return f"descriptive; {p_text(result.p_value)}\n({folded(result.text, 28)})"


@style()
def correlation(
    x: Mapping[str, float],
    y: Mapping[str, float],
    x_words: str,
    y_words: str,
    *,
    colour: str = "#0072B2",
    seed: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """Draw two values of each patient against each other with Spearman's rho, its 95 % interval and n.

    No line is fitted: with fewer than 15 patients a band promises more than is known, and with more the
    rank correlation still says nothing of a straight line. See `comparison.correlation.spearman`; ``seed`` is of
    its permutations.

    Parameters
    ----------
    x, y
        Patient to value; only patients with both are drawn.
    x_words, y_words
        Axis labels with unit.
    colour
        Of the points.
    seed
        Of the permutations behind the interval.
    ax
        Axes to draw on; None makes a new figure.
    """
    ax = axes(ax, HALF, 75 * MM)
    frame = pd.DataFrame({"x": pd.Series(dict(x), dtype=float), "y": pd.Series(dict(y), dtype=float)}).dropna()
    ax.plot(frame["x"].to_numpy(), frame["y"].to_numpy(), "o", color=colour, markersize=4)
    ax.set(xlabel=x_words, ylabel=y_words)
    ax.xaxis.label.set_fontsize(SMALL)
    ax.yaxis.label.set_fontsize(SMALL)
    ax.set_title(f"exploratory; n = {len(frame)}\n{_spearman(frame, seed)}")
    if len(frame) <= _FEWEST_FOR_BAND:
        _name_points(ax, frame)
    return ax


def _name_points(ax: Axes, frame: pd.DataFrame) -> None:
    """Write each patient beside the point, at the nearest of a few places that hides no name, point or axis."""
    ax.figure.canvas.figure.draw_without_rendering()  # how far apart points are is known once the figure is laid out
    points = ax.transData.transform(frame[["x", "y"]].to_numpy()) * 72 / ax.figure.dpi
    edge = ax.get_window_extent().x0 * 72 / ax.figure.dpi
    taken = [(x - 2, y - 2, x + 2, y + 2) for x, y in points]
    for i, ((patient, row), (x, y)) in enumerate(zip(frame.iterrows(), points, strict=True)):
        name = shortened(str(patient))
        wide, high = widest(ax, [name]) + 1, 1.1 * SMALL
        boxes = {(dx, dy): (x + dx - (wide if dx < 0 else 0), y + dy) for dx, dy in _BESIDE}
        others = [(a - _CLEAR, b, c + _CLEAR, d) for a, b, c, d in (*taken[:i], *taken[i + 1 :])]
        hidden = {
            beside: (left < edge)
            + sum(a < left + wide and left < c and b < low + high and low < d for a, b, c, d in others)
            for beside, (left, low) in boxes.items()
        }
        beside = min(hidden, key=hidden.__getitem__)
        left, low = boxes[beside]
        taken.append((left, low, left + wide, low + high))
        side = "right" if beside[0] < 0 else "left"
        ax.annotate(
            name,
            (row["x"], row["y"]),
            beside,
            textcoords="offset points",
            ha=side,
            fontsize=SMALL,
            color="#666666",
        )


def _spearman(frame: pd.DataFrame, seed: int) -> str:
    found = spearman(frame["x"].to_numpy(), frame["y"].to_numpy(), seed=seed)
    if np.isnan(found.rho):
        return "Spearman not computed:\ntoo few different values"
    limits = f"[{number(found.ci_low, 2)}, {number(found.ci_high, 2)}], 95 % CI"
    return f"Spearman {number(found.rho, 2)} {limits}\n{p_text(found.p_value)} ({found.p_method})"
