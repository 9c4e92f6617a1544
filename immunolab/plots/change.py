"""Change patient by patient: verdicts with intervals, waterfall, and what a ratio's change is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immunolab.comparison.scales import MULTIPLICATIVE
from immunolab.plots.labels import EndpointLabel, folded
from immunolab.plots.names import name_ticks, shortened
from immunolab.plots.numbers import back, bracket, scale_word
from immunolab.plots.style import (
    HALF,
    MISSING,
    MM,
    NEUTRAL,
    SMALL,
    VERDICT_COLOURS,
    VERDICT_MARKERS,
    VERDICT_SYMBOLS,
    WIDTH,
    axes,
    style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_RESPONSE_COLOURS = {  # the same in every figure, whoever responds
    "responder": "#009E73",
    "no responder": "#D55E00",
    "response not known": MISSING,
}


@style()
def verdict_strip(pairs: pd.DataFrame, named: EndpointLabel, *, ax: Axes | None = None) -> Axes:
    """Draw each patient's change of one endpoint with its own 95 % interval and the call made of it.

    Parameters
    ----------
    pairs
        PAIRS rows of one endpoint and cohort.
    named
        The endpoint's label.
    ax
        Axes to draw on; None makes a new figure.
    """
    rows = pairs.sort_values(["shift", "patient_id"], na_position="last").reset_index(drop=True)
    ax = axes(ax, WIDTH, strip_height(len(rows)))
    scale = str(rows["shift_scale"].iloc[0]) if len(rows) else "identity"
    null = 1.0 if scale in MULTIPLICATIVE else 0.0
    for place, row in rows.iterrows():
        _strip_row(ax, int(str(place)), row, scale)
    if scale in MULTIPLICATIVE:
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.xaxis.set_minor_formatter(lambda *_: "")
        low, high = ax.get_xlim()
        ax.set_xlim(min(low, 0.5), max(high, 2.0))
    ax.axvline(null, color="#777777", linewidth=0.7, zorder=1)
    ax.set_yticks(range(len(rows)), [shortened(str(p), 24) for p in rows["patient_id"]])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xlabel(
        folded(f"{scale_word(scale)}, after / before: {named.axis}; bars: each patient's own 95 % interval", 80)
    )
    counts = ", ".join(f"{int((rows['verdict'] == v).sum())} {v.replace('_', ' ')}" for v in VERDICT_SYMBOLS)
    ax.set_title(f"{len(rows)} patients: {counts}")
    return ax


def strip_height(n_patients: int) -> float:
    """Return the height in inches at which `verdict_strip` and `waterfall` give every patient room.

    Parameters
    ----------
    n_patients
        Patients drawn, one row or bar each.
    """
    return (24 + 5.2 * max(1, n_patients)) * MM


def _strip_row(ax: Axes, place: int, row: pd.Series, scale: str) -> None:
    verdict = str(row["verdict"])
    tint = NEUTRAL if verdict == "not_evaluable" else VERDICT_COLOURS[verdict]
    words = f"{VERDICT_SYMBOLS[verdict]} {verdict.replace('_', ' ')}"
    if pd.isna(row["shift"]):
        words += f": {row['reason']}" if not pd.isna(row["reason"]) else ""
    else:
        if not pd.isna(row["ci_low"]) and not pd.isna(row["ci_high"]):
            ax.plot([back(row[c], scale) for c in ("ci_low", "ci_high")], [place, place], color=tint, linewidth=1.4)
        ax.plot(back(row["shift"], scale), place, VERDICT_MARKERS[verdict], color=tint, markersize=5.5)
        words += f"  {bracket(row['shift'], row['ci_low'], row['ci_high'], scale)}"
    ax.text(1.02, place, folded(words, 36), transform=ax.get_yaxis_transform(), va="center", fontsize=SMALL, color=tint)


@style()
def waterfall(
    pairs: pd.DataFrame,
    named: EndpointLabel,
    *,
    response: Mapping[str, str] | None = None,
    band: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw one bar a patient, sorted by the log2 of the change of one endpoint.

    Parameters
    ----------
    pairs
        PAIRS rows of one endpoint and cohort, on a logit or log scale.
    named
        The endpoint's label.
    response
        patient_id to clinical response, which then colours the bars instead of the verdict.
    band
        Change that is within noise, as (low, high) of the ratio; drawn as a grey band.
    ax
        Axes to draw on; None makes a new figure.
    """
    rows = pairs.dropna(subset=["shift"]).sort_values(["shift", "patient_id"], ascending=[False, True])
    ax = axes(ax, WIDTH, 62 * MM)
    heights = rows["shift"].to_numpy(dtype=float) / np.log(2)
    groups = [
        str((response or {}).get(p, "response not known")) if response else str(v)
        for p, v in zip(rows["patient_id"], rows["verdict"], strict=True)
    ]
    tints = _group_colours(groups) if response else {v: VERDICT_COLOURS[v] for v in VERDICT_COLOURS}
    for i, (height, group) in enumerate(zip(heights, groups, strict=True)):
        ax.bar(i, height, color=tints[group], edgecolor=NEUTRAL, linewidth=0.5, width=0.8)
    if band is not None:
        ax.axhspan(np.log2(band[0]), np.log2(band[1]), color="#EEEEEE", zorder=0, label="within noise")
    ax.axhline(0, color="black", linewidth=0.6)
    for group in dict.fromkeys(groups):
        ax.bar(
            0,
            0,
            color=tints[group],
            edgecolor=NEUTRAL,
            linewidth=0.5,
            label=f"{group.replace('_', ' ')} (n = {groups.count(group)})",
        )
    name_ticks(ax, [str(p) for p in rows["patient_id"]], "patients, sorted")
    word = scale_word(str(rows["shift_scale"].iloc[0])) if len(rows) else "change"
    ax.set_ylabel(f"log2 {word}\n{folded(named.short, 24)}", fontsize=SMALL)
    if groups:
        ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4, borderaxespad=0.1)
    return ax


def _group_colours(groups: Sequence[str]) -> dict[str, str]:
    """Return a colour a group; a response and its absence have theirs, whether or not the other is there."""
    palette = ("#0072B2", "#E69F00", "#CC79A7", "#56B4E9")
    others = sorted(set(groups) - _RESPONSE_COLOURS.keys())
    return {group: palette[i % len(palette)] for i, group in enumerate(others)} | _RESPONSE_COLOURS


@style()
def ratio_decomposition(
    pairs: pd.DataFrame, numerator: EndpointLabel, denominator: EndpointLabel, *, ax: Axes | None = None
) -> Axes:
    """Draw what a ratio's change is made of in each patient: log2 change of its numerator minus its denominator.

    Parameters
    ----------
    pairs
        PAIRS rows of one cohort that hold both endpoints, of one parent.
    numerator, denominator
        Labels of the two endpoints.
    ax
        Axes to draw on; None makes a new figure.
    """
    ax = axes(ax, HALF, 70 * MM)
    up = _log2_change(pairs, numerator.endpoint)
    down = -_log2_change(pairs, denominator.endpoint)
    both = pd.DataFrame({"up": up, "down": down}).dropna()
    both = both.assign(net=both["up"] + both["down"]).sort_values("net")
    places = np.arange(len(both))
    low, high = np.zeros(len(both)), np.zeros(len(both))
    for column, label in (("up", numerator), ("down", denominator)):
        part = both[column].to_numpy(dtype=float)
        start = np.where(part >= 0, high, low)
        ax.bar(
            places,
            part,
            bottom=start,
            color=label.colour,
            width=0.75,
            label=f"{'−' if column == 'down' else ''}{label.population}",
        )
        high, low = np.where(part >= 0, high + part, high), np.where(part < 0, low + part, low)
    ax.plot(places, both["net"].to_numpy(dtype=float), "D", color="black", markersize=4, label="ratio")
    ax.axhline(0, color="black", linewidth=0.6)
    name_ticks(ax, [str(p) for p in both.index], "patients, sorted")
    ax.set_ylabel("log2 (after / before)")
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3, borderaxespad=0.1)
    return ax


def _log2_change(pairs: pd.DataFrame, endpoint: str) -> pd.Series:
    rows = pairs[(pairs["endpoint"] == endpoint) & (pairs["before"] > 0) & (pairs["after"] > 0)].set_index("patient_id")
    return pd.Series(np.log2(rows["after"].to_numpy(float) / rows["before"].to_numpy(float)), index=rows.index)
