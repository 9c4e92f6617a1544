"""Before and after: paired lines of one endpoint, and the forest of all of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immunolab.plots.labels import EndpointLabel, folded, is_low, labels
from immunolab.plots.numbers import back, bracket, interval, p_number, p_text
from immunolab.plots.numbers import span as spread_of
from immunolab.plots.style import HALF, MM, NEUTRAL, SMALL, WIDTH, axes, style
from immunolab.plots.values import value_axis
from immunolab.schema.contrast import side_visits
from immunolab.schema.flags import Flag, split

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROLE_TITLES = {
    "primary": "PRIMARY",
    "secondary": "Secondary",
    "exploratory": "Exploratory (no claim)",
}
_BLANK = {"facecolor": "white", "edgecolor": "none", "pad": 1}
_BEYOND = frozenset({Flag.BELOW_LIMIT, Flag.ABOVE_LIMIT})
_MOST_NAMED = 16  # patients; more names would overlap at printed size


@style()
def paired_lines(
    endpoints: pd.DataFrame,
    pairs: pd.DataFrame,
    shifts: pd.DataFrame,
    endpoint: str,
    *,
    cohort: str | None = None,
    definitions: Mapping[str, str] | None = None,
    remark: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw every patient's line from the earlier to the later visit of one endpoint.

    Percentages are on a linear axis from zero, ratios and concentrations on log2. Open symbols are
    values beyond what the assay can quantify, dotted lines its limits. Bars are medians over the pairs.
    The heading gives n, the shift with its 95 % interval, and the p-value with its test.

    Parameters
    ----------
    endpoints, pairs, shifts
        The tables of a run.
    endpoint
        Endpoint id.
    cohort
        Rows of this cohort only; None takes all rows.
    definitions
        Definition id to markers in words.
    remark
        What else a reader must know of the endpoint; written in the heading.
    ax
        Axes to draw on; None makes a new figure.

    Returns
    -------
    Axes
        The axes drawn on.
    """
    ax = axes(ax, HALF, 82 * MM)
    of_endpoint = endpoints[endpoints["endpoint"] == endpoint]
    named = labels(of_endpoint, definitions).get(endpoint) or EndpointLabel(endpoint, endpoint, "", "", "")
    rows = _of(pairs, endpoint, cohort)
    both = rows.dropna(subset=["before", "after"])
    value_axis(ax, named, both[["before", "after"]].to_numpy(dtype=float))
    ax.set_xlim(-0.35, 1.55)
    flags = _low_flags(of_endpoint)
    for _, pair in both.iterrows():
        ax.plot([0, 1], [pair["before"], pair["after"]], color=named.colour, alpha=0.65, linewidth=0.9, zorder=2)
        for x, visit, value in ((0, pair["visit_before"], pair["before"]), (1, pair["visit_after"], pair["after"])):
            low = any((pair["patient_id"], one) in flags for one in _visits(visit, of_endpoint))
            ax.plot(x, value, "o", color=named.colour, markersize=4, zorder=3, markerfacecolor="white" if low else None)
    _limits(ax, of_endpoint[of_endpoint["patient_id"].isin(both["patient_id"])])
    for x, column in ((0, "before"), (1, "after")):
        if len(both):
            middle = float(both[column].median())
            ax.plot([x - 0.12, x + 0.12], [middle, middle], color="black", linewidth=2, zorder=4)
    _name_lines(ax, both)
    _visit_ticks(ax, of_endpoint, rows, both)
    _headline(ax, named, both, _of(shifts, endpoint, cohort), remark)
    return ax


def _of(table: pd.DataFrame, endpoint: str, cohort: str | None) -> pd.DataFrame:
    rows = table[table["endpoint"] == endpoint]
    return rows if cohort is None else rows[rows["cohort"].fillna("") == cohort]


def _low_flags(rows: pd.DataFrame) -> set[tuple[str, str]]:
    low = rows[rows["flag"].map(is_low)] if len(rows) else rows
    return set(zip(low["patient_id"], low["visit"], strict=True))


def _limits(ax: Axes, rows: pd.DataFrame) -> None:
    """Draw each limit of the assay that a value is beyond."""
    beyond = np.array([not _BEYOND.isdisjoint(split(flag)) for flag in rows["flag"]], dtype=bool)
    for limit in sorted(set(rows.loc[beyond, "value"].dropna())):
        ax.plot([-0.3, 1.0], [limit, limit], color=NEUTRAL, linestyle=":", linewidth=0.8, zorder=1)
        ax.text(-0.33, limit, "limit", fontsize=SMALL, color=NEUTRAL, va="bottom", ha="left")


def _name_lines(ax: Axes, both: pd.DataFrame) -> None:
    """Write patient ids beside their last points, moved apart where they would overlap."""
    if not 0 < len(both) <= _MOST_NAMED:
        return
    ordered = both.sort_values("after")
    to_axes = ax.transData + ax.transAxes.inverted()
    wanted = np.array([to_axes.transform((1, value))[1] for value in ordered["after"]])
    height = ax.get_window_extent().height / ax.get_figure().dpi * 72  # type: ignore[union-attr]
    placed = _apart(wanted, 8.2 / max(height * 0.75, 40))
    for patient, start, end in zip(ordered["patient_id"], wanted, placed, strict=True):
        ax.plot([1.05, 1.17], [start, end], color="#999999", linewidth=0.4, transform=_mixed(ax), clip_on=False)
        ax.text(1.19, end, str(patient), transform=_mixed(ax), fontsize=SMALL, va="center")


def _mixed(ax: Axes) -> Any:
    """Return the transform with x in data and y in axes coordinates."""
    return ax.get_xaxis_transform()


def _apart(wanted: np.ndarray, step: float) -> np.ndarray:
    """Return positions (ascending) at least a step apart, as near as possible to the wanted ones."""
    placed = wanted.copy()
    for _ in range(200):
        overlap = step - np.diff(placed)
        if (overlap <= 1e-9).all():
            break
        for i in np.flatnonzero(overlap > 0):
            placed[i] -= overlap[i] / 2
            placed[i + 1] += overlap[i] / 2
            overlap = step - np.diff(placed)
    return placed


def _visit_ticks(ax: Axes, samples: pd.DataFrame, rows: pd.DataFrame, both: pd.DataFrame) -> None:
    words = []
    for column in ("visit_before", "visit_after"):
        visits = list(dict.fromkeys(v for text in rows[column].dropna() for v in _visits(text, samples)))
        used = samples[samples["visit"].isin(visits) & samples["patient_id"].isin(both["patient_id"])]
        words.append(f"{' + '.join(visits) or 'no pair'}\n{_when(used)}")
    ax.set_xticks([0, 1], words)
    unpaired = sorted(set(rows["patient_id"]) - set(both["patient_id"]))
    if unpaired:
        some = ", ".join(map(str, unpaired[:6])) + (" …" if len(unpaired) > 6 else "")
        ax.set_xlabel(f"not drawn, no pair ({len(unpaired)}): {some}", fontsize=SMALL, color="#555555")


def _visits(text: object, samples: pd.DataFrame) -> list[str]:
    """Return the visits of one side; the visits of an averaged phase are joined by "+"."""
    return side_visits(str(text), set(samples["visit"]))


def _when(samples: pd.DataFrame) -> str:
    if samples.empty:
        return ""
    since = samples["days_since_last_dose"]
    if since.notna().any():
        states = [str(s).replace("_", " ") for s in samples["cycle_state"].dropna().unique()]
        state = f" ({', '.join(states)})" if states else ""
        dose = f"{spread_of(since)} d after last dose{state}"
    else:
        first = samples["study_day"].dropna()
        dose = "before first dose" if len(first) and (first <= 1).all() else "days since last dose unknown"
    return f"day {spread_of(samples['study_day'])}\n{dose}"


def _headline(ax: Axes, named: EndpointLabel, both: pd.DataFrame, shifts: pd.DataFrame, remark: str) -> None:
    lines = [named.short, *([remark] if remark else [])]
    if len(shifts) == 1:
        lines += _result(shifts.iloc[0], len(both))
    else:
        lines.append(f"n = {len(both)} pairs; {len(shifts)} results in the table")
    ax.set_title("\n".join(lines), fontsize=SMALL, linespacing=1.25, loc="left")


def _result(row: pd.Series, n_drawn: int) -> list[str]:
    n = int(row["n_pairs"])
    tested = f"n = {n} pairs" if n == n_drawn else f"n = {n_drawn} pairs drawn, {n} in the estimate"
    if pd.isna(row["estimate"]):
        return [f"{row['role']} endpoint; {tested}; not estimable", folded(str(row["method"]), 60)]
    sure = interval(row["estimate"], row["ci_low"], row["ci_high"], row["estimate_scale"])
    test = f"{p_text(row['p_value'])} ({row['method']})"
    others = []
    if not pd.isna(row["q_value"]):
        others.append(p_text(row["q_value"], "q"))
    if not pd.isna(row["sensitivity_p_value"]):
        others.append(f"{_sensitivity(row)} {p_text(row['sensitivity_p_value'])}")
    return [f"{row['role']} endpoint; {tested}", f"{sure} (95 % CI)", test, *(["; ".join(others)] if others else [])]


def _sensitivity(row: pd.Series) -> str:
    """Return ``signed-rank``, or ``sign flip, adjusted`` of a shift from which batches or covariates are taken off."""
    named = row.get("sensitivity_method")
    return "signed-rank" if pd.isna(named) or "signed rank" in str(named) else "sign flip, adjusted"


@style()
def forest(
    shifts: pd.DataFrame,
    named: Mapping[str, EndpointLabel],
    *,
    controls: Collection[str] = (),
    ax: Axes | None = None,
) -> Axes:
    """Draw the cohort's shift of every endpoint with its 95 % interval, families kept apart.

    Primary endpoints come first and are marked. Odds ratios and folds share a log2 axis with a
    line at 1; differences on other scales are printed, not drawn, because they have no place on it.

    Parameters
    ----------
    shifts
        Rows of the table ``shifts`` of one cohort.
    named
        Label by endpoint id.
    controls
        Endpoints that are negative controls; marked as such.
    ax
        Axes to draw on; None makes a new figure.

    Returns
    -------
    Axes
        The axes drawn on.
    """
    ax = axes(ax, WIDTH, forest_height(shifts))
    ax.set_axis_off()
    plot = ax.inset_axes((_LEFT, 0.0, _RIGHT - _LEFT, 1.0))
    y, drawn = 0.0, [1.0]
    for role, title in _ROLE_TITLES.items():
        family = shifts[shifts["role"] == role]
        if family.empty:
            continue
        plot.text(0.0, y, title, transform=_row_places(ax, plot), weight="bold", fontsize=8, va="center")
        for place, (_, row) in enumerate(family.iterrows(), start=1):
            control = row["endpoint"] in controls
            drawn += _forest_row(ax, plot, y + place, row, named, " · control" if control else "")
        y += len(family) + 1.5
    _forest_axis(ax, plot, drawn, y)
    return ax


_LEFT, _RIGHT = 0.30, 0.56  # the plot's place between the columns of words, in axes widths
_COLUMNS = (0.575, 0.61, 0.785, 0.895)  # n, estimate, p, q


def forest_height(shifts: pd.DataFrame) -> float:
    """Return the height in inches at which `forest` has room for every row.

    Parameters
    ----------
    shifts
        The rows that `forest` draws.
    """
    return (26 + 5.5 * (len(shifts) + 1.5 * shifts["role"].nunique())) * MM


def _row_places(ax: Axes, plot: Axes) -> Any:
    """Return the transform with x across the whole figure and y in rows of the plot."""
    from matplotlib.transforms import blended_transform_factory

    return blended_transform_factory(ax.transAxes, plot.transData)


def _forest_row(
    ax: Axes, plot: Axes, y: float, row: pd.Series, named: Mapping[str, EndpointLabel], mark: str
) -> list[float]:
    known = named.get(str(row["endpoint"]))
    primary = row["role"] == "primary"
    beside: dict[str, Any] = {"transform": _row_places(ax, plot), "va": "center", "fontsize": SMALL}
    plot.text(
        0.015,
        y,
        _cut(known.short if known else str(row["endpoint"]), 34 - len(mark)) + mark,
        weight="bold" if primary else "normal",
        **beside,
    )
    words = (
        str(int(row["n_pairs"])),
        bracket(row["estimate"], row["ci_low"], row["ci_high"], row["estimate_scale"]),
        p_number(row["p_value"]),
        p_number(row["q_value"]),
    )
    for x, word in zip(_COLUMNS, words, strict=True):
        plot.text(x, y, word, **beside)
    if row["estimate_scale"] not in ("log_odds", "log"):
        plot.text(
            (_LEFT + _RIGHT) / 2, y, "difference: see number", ha="center", color="#666666", bbox=_BLANK, **beside
        )
        return []
    if pd.isna(row["estimate"]):
        return []
    tint = known.colour if known else "black"
    values = [back(row[column], row["estimate_scale"]) for column in ("estimate", "ci_low", "ci_high")]
    if np.isfinite(values[1:]).all():
        plot.plot(values[1:], [y, y], color=tint, linewidth=1.3, solid_capstyle="butt", zorder=2)
    plot.plot(values[0], y, "D" if primary else "s", color=tint, markersize=6 if primary else 4, zorder=3)
    return [value for value in values if np.isfinite(value)]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _forest_axis(ax: Axes, plot: Axes, drawn: list[float], bottom: float) -> None:
    reach = max(1.0, float(np.abs(np.log2(drawn)).max()) * 1.08)
    plot.set_xscale("log", base=2)
    plot.set_xlim(2**-reach, 2**reach)
    step = max(1, int(reach) // 3)
    ticks = [2.0**k for k in range(-step * (int(reach) // step), int(reach) + 1, step)]
    plot.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    plot.minorticks_off()
    plot.tick_params(labelsize=SMALL)
    plot.axvline(1, color="#777777", linewidth=0.7, zorder=1)
    plot.set(ylim=(bottom, -1.6), yticks=[])
    plot.spines["left"].set_visible(False)
    plot.set_xlabel("after / before, log2 axis; 1 = no change\nodds ratio for %, fold for ratios", fontsize=SMALL)
    head = {"transform": _row_places(ax, plot), "va": "center", "fontsize": SMALL, "weight": "bold"}
    for x, word in zip(_COLUMNS, ("n", "estimate [95 % CI]", "p", "q"), strict=True):
        plot.text(x, -1.0, word, **head)
