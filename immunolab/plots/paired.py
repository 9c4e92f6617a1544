"""One endpoint at two visits: a line a patient, named where there is room."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immunolab.plots.labels import EndpointLabel, folded, is_low, labels
from immunolab.plots.names import apart, name_room, shortened
from immunolab.plots.numbers import interval, p_text
from immunolab.plots.numbers import span as spread_of
from immunolab.plots.style import HALF, MM, NEUTRAL, SMALL, axes, style
from immunolab.plots.values import value_axis
from immunolab.schema.contrast import side_visits
from immunolab.schema.flags import Flag, split

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BEYOND = frozenset({Flag.BELOW_LIMIT, Flag.ABOVE_LIMIT})
_LEFT, _LAST = -0.25, 1.12  # ends of the x axis without names; the visits are at 0 and 1
_NAME_LENGTHS, _NAME_SHARE = (14, 11, 8), 0.42  # characters of a name, so that names take half of the axes at most
_LEADER = 10.0  # points from a line's end to its name
_LABEL = 26  # characters of a line of the axis label
_HEADING = 58  # characters of a line above half a page
_MOST_MISSING = 8  # patients named in a caption


@style()
def paired_lines(
    endpoints: pd.DataFrame,
    pairs: pd.DataFrame,
    shifts: pd.DataFrame,
    endpoint: str,
    *,
    cohort: str | None = None,
    definitions: Mapping[str, str] | None = None,
    names: bool = True,
    words: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Draw every patient's line from the earlier to the later visit of one endpoint.

    Percentages are on a linear axis from zero, ratios and concentrations on log2. Open symbols are
    values beyond what the assay can quantify, dotted lines its limits. Bars are medians over the pairs.
    `estimation_plot` draws the changes beside.

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
    names
        Whether patients are named beside their lines, as far as the axes have room.
    words
        Whether n, estimate, tests and timing are written above, for a figure without a caption.
    ax
        Axes to draw on; None makes a new figure.

    Returns
    -------
    Axes
        The axes drawn on.
    """
    ax = axes(ax, HALF, 82 * MM)
    samples = rows_of(endpoints, endpoint, cohort)
    named = labels(samples, definitions).get(endpoint) or EndpointLabel(endpoint, endpoint, "", "", "")
    rows = rows_of(pairs, endpoint, cohort)
    both = rows.dropna(subset=["before", "after"])
    value_axis(ax, named, both[["before", "after"]].to_numpy(dtype=float))
    ax.set_ylabel(folded(named.measured, _LABEL))
    ax.set_xlim(_LEFT, _LAST)
    _lines(ax, samples, both, named)
    ax.set_xticks([0, 1], [_visit_words(rows, samples, side) for side in ("visit_before", "visit_after")])
    if words:
        text = f"{named.axis}. {paired_words(samples, rows, rows_of(shifts, endpoint, cohort))}"
        ax.set_title(folded(text, _HEADING), fontsize=SMALL, linespacing=1.25)
    if names:
        name_lines(ax, both)
    return ax


def rows_of(table: pd.DataFrame, endpoint: str, cohort: str | None) -> pd.DataFrame:
    """Return a table's rows of one endpoint, and of one cohort where that is named.

    Parameters
    ----------
    table
        With columns ``endpoint`` and ``cohort``.
    endpoint
        Endpoint id.
    cohort
        Its name; None takes all rows.
    """
    rows = table[table["endpoint"] == endpoint]
    return rows if cohort is None else rows[rows["cohort"].fillna("") == cohort]


def _lines(ax: Axes, samples: pd.DataFrame, both: pd.DataFrame, named: EndpointLabel) -> None:
    flags, visits = _low_flags(samples), set(samples["visit"])
    faint = 0.65 if len(both) <= 24 else 0.35  # of many lines none may hide the others
    for _, pair in both.iterrows():
        ax.plot([0, 1], [pair["before"], pair["after"]], color=named.colour, alpha=faint, linewidth=0.8, zorder=2)
        for x, visit, value in ((0, pair["visit_before"], pair["before"]), (1, pair["visit_after"], pair["after"])):
            low = any((pair["patient_id"], one) in flags for one in side_visits(str(visit), visits))
            face = "white" if low else named.colour
            ax.plot(x, value, "o", color=named.colour, markersize=3.2, zorder=3, markerfacecolor=face)
    _limits(ax, samples[samples["patient_id"].isin(both["patient_id"])])
    for x, column in ((0, "before"), (1, "after")):
        if len(both):
            middle = float(both[column].median())
            ax.plot([x - 0.12, x + 0.12], [middle, middle], color="black", linewidth=2, zorder=4)


def _low_flags(rows: pd.DataFrame) -> set[tuple[str, str]]:
    low = rows[rows["flag"].map(is_low)] if len(rows) else rows
    return set(zip(low["patient_id"], low["visit"], strict=True))


def _limits(ax: Axes, rows: pd.DataFrame) -> None:
    """Draw each limit of the assay that a value is beyond."""
    beyond = np.array([not _BEYOND.isdisjoint(split(flag)) for flag in rows["flag"]], dtype=bool)
    for limit in sorted(set(rows.loc[beyond, "value"].dropna())):
        ax.plot([_LEFT, _LAST], [limit, limit], color=NEUTRAL, linestyle=":", linewidth=0.8, zorder=1)
        ax.text(0.5, limit, "limit", fontsize=SMALL, color=NEUTRAL, va="bottom", ha="center")


def name_lines(ax: Axes, both: pd.DataFrame) -> None:
    """Write patients beside the ends of their lines, moved apart; none where they do not all fit.

    Call it once the figure is laid out: how much room there is depends on it.

    Parameters
    ----------
    ax
        Axes with lines from 0 to 1.
    both
        PAIRS rows with both values.
    """
    names = [str(p) for p in both["patient_id"]]
    for most in _NAME_LENGTHS:
        box, wide, high = name_room(ax, names, most)
        if wide + _LEADER < _NAME_SHARE * box.width:
            break
    if both.empty or len(both) * high > box.height:
        return
    share = (wide + _LEADER) / box.width  # of the axes' width, for leaders and names
    right = _LEFT + (_LAST - _LEFT) / (1 - share)
    ax.set_xlim(_LEFT, right)
    ordered = both.sort_values("after")
    place = ax.transData + ax.transAxes.inverted()
    wanted = np.array([place.transform((1, value))[1] for value in ordered["after"]])
    point = (right - _LEFT) / box.width  # one point on the x axis
    for patient, start, end in zip(ordered["patient_id"], wanted, apart(wanted, high / box.height), strict=True):
        steps = [1 + 2.5 * point, 1 + 6 * point, 1 + _LEADER * point]
        beside = ax.get_xaxis_transform()
        ax.plot(steps[:2], [start, end], color="#999999", linewidth=0.4, transform=beside, clip_on=False)
        ax.text(1 + 7 * point, end, shortened(str(patient), most), transform=beside, fontsize=SMALL, va="center")


def _visit_words(rows: pd.DataFrame, samples: pd.DataFrame, side: str) -> str:
    return folded(" + ".join(_side(rows, samples, side)) or "no pair", 14)


def _side(rows: pd.DataFrame, samples: pd.DataFrame, side: str) -> list[str]:
    """Return the visits of one side, once each; the visits of an averaged phase are joined by "+"."""
    visits = set(samples["visit"])
    return list(dict.fromkeys(v for text in rows[side].dropna().unique() for v in side_visits(str(text), visits)))


def timing_words(endpoints: pd.DataFrame, pairs: pd.DataFrame) -> str:
    """Return when both sides of an endpoint's pairs were sampled: ``W0: day 1, before first dose; W10: day 71, …``.

    Parameters
    ----------
    endpoints, pairs
        Rows of one endpoint and cohort.
    """
    drawn = pairs.dropna(subset=["before", "after"])["patient_id"]
    words = []
    for side in ("visit_before", "visit_after"):
        visits = _side(pairs, endpoints, side)
        when = _when(endpoints[endpoints["visit"].isin(visits) & endpoints["patient_id"].isin(drawn)])
        words += [f"{' + '.join(visits)}: {when}"] if when else []
    return "; ".join(words)


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
    return f"day {spread_of(samples['study_day'])}, {dose}"


def paired_words(endpoints: pd.DataFrame, pairs: pd.DataFrame, shifts: pd.DataFrame) -> str:
    """Return what an estimation plot's caption says of its numbers: n, timing, estimate, tests, who is not drawn.

    Parameters
    ----------
    endpoints, pairs, shifts
        Rows of one endpoint and cohort.
    """
    drawn = pairs.dropna(subset=["before", "after"])
    parts = [comparison_words(shifts.iloc[0], len(drawn)) if len(shifts) else f"n = {len(drawn)} pairs, not compared"]
    parts += [when] if (when := timing_words(endpoints, pairs)) else []
    lacking = sorted(set(map(str, pairs["patient_id"])) - set(map(str, drawn["patient_id"])))
    if lacking:
        some = ", ".join(map(shortened, lacking[:_MOST_MISSING])) + (" …" if len(lacking) > _MOST_MISSING else "")
        parts.append(f"Not drawn, no pair ({len(lacking)}): {some}")
    return f"{'. '.join(parts)}."


def comparison_words(row: pd.Series, n_drawn: int) -> str:
    """Return role, n pairs, estimate with its interval and the tests of a compared endpoint.

    Parameters
    ----------
    row
        A row of the table ``shifts``.
    n_drawn
        Pairs on the figure.
    """
    n = int(row["n_pairs"])
    size = f"n = {n} pairs" if n == n_drawn else f"n = {n_drawn} pairs drawn, {n} in the estimate"
    size = f"{str(row['role']).capitalize()} endpoint; {size}"
    if pd.isna(row["estimate"]):
        return f"{size}; not estimable ({row['method']})"
    sure = interval(row["estimate"], row["ci_low"], row["ci_high"], row["estimate_scale"])
    tests = [f"{p_text(row['p_value'])} ({row['method']})"]
    if not pd.isna(row["q_value"]):
        tests.append(f"{p_text(row['q_value'], 'q')} ({row['adjustment']})")
    if not pd.isna(row["sensitivity_p_value"]):
        tests.append(f"{_sensitivity(row)} {p_text(row['sensitivity_p_value'])}")
    return f"{size}: {sure} (95 % CI), {', '.join(tests)}"


def _sensitivity(row: pd.Series) -> str:
    """Return ``signed-rank``, or ``sign flip, adjusted`` of a shift from which batches or covariates are taken off."""
    named = row.get("sensitivity_method")
    return "signed-rank" if pd.isna(named) or "signed rank" in str(named) else "sign flip, adjusted"
