"""Comparisons and courses: of a finished run, or of a table that `immunolab.compare` compared."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.comparison.table import Comparison
from immunolab.errors import InputError, Problem
from immunolab.pl.subject import one_of
from immunolab.plots import shifts as forest_plots
from immunolab.plots.calendar import Calendar
from immunolab.plots.estimation import changes
from immunolab.plots.labels import EndpointLabel, folded, labels
from immunolab.plots.names import box_in_points
from immunolab.plots.paired import comparison_words, name_lines, paired_lines
from immunolab.plots.patient_page import patient_page, patient_panel
from immunolab.plots.style import HALF, MM, SMALL, WIDTH, axes, style
from immunolab.plots.trajectories import spaghetti
from immunolab.report.figures.cohort import negative_controls
from immunolab.report.figures.patients import patient_pages
from immunolab.results.cohort_rows import in_cohort, rows_of
from immunolab.results.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Result: TypeAlias = "Run | Comparison"
_LETTER = 4.1  # points: mean width of a letter of the line above a comparison


@style()
def paired(
    result: Result, endpoint: str, *, cohort: str | None = None, names: bool = True, ax: Axes | None = None
) -> NDArray[np.object_]:
    """Draw every patient's line of an endpoint, and beside them the changes with the cohort's estimate and interval.

    Parameters
    ----------
    result
        A finished run, or what `immunolab.compare` returned.
    endpoint
        Endpoint id.
    cohort
        Its name; needed where there are several.
    names
        Whether patients are named, as far as there is room.
    ax
        Axes whose place both panels take; None makes a new figure.

    Returns
    -------
    array of Axes
        The lines, and the changes.

    Raises
    ------
    InputError
        There is no such endpoint or cohort, several cohorts and none named, or the endpoint has no pairs.
    """
    rows, pairs, shifts = _rows(result, endpoint, cohort)
    if pairs["shift"].notna().sum() == 0:
        hint = "immunolab.pl.course draws its values"
        raise InputError(Problem("", "endpoint", f"no patient has a change of '{endpoint}'", hint))
    ax = axes(ax, WIDTH * 0.72, 84 * MM)
    ax.set_axis_off()
    left, right = axes(ax.inset_axes((0.0, 0.0, 0.62, 1.0))), axes(ax.inset_axes((0.66, 0.0, 0.34, 1.0)))
    named = _label(rows, endpoint)
    paired_lines(rows, pairs, shifts, endpoint, names=False, ax=left)
    changes(pairs, shifts, direction=_direction(result, endpoint), tint=named.colour, ax=right)
    n = int(pairs["shift"].notna().sum())
    words = comparison_words(shifts.iloc[0], n) if len(shifts) else f"n = {n} pairs, not compared"
    room = int(box_in_points(ax).width / _LETTER)
    ax.set_title(folded(words, max(room, 30)), fontsize=SMALL, loc="left", linespacing=1.25)
    if names:
        root = ax.get_figure(root=True)
        assert root is not None  # noqa: S101  # axes are on a figure
        root.draw_without_rendering()
        name_lines(left, pairs.dropna(subset=["before", "after"]))
    return np.array([left, right], dtype=object)


@style()
def forest(result: Result, *, cohort: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the cohort's change of every endpoint with its 95 % interval, primary endpoints first.

    Parameters
    ----------
    result
        A finished run, or what `immunolab.compare` returned.
    cohort
        Its name; needed where there are several.
    ax
        Axes to draw on; None makes a new figure.

    Returns
    -------
    Axes
        The axes drawn on.

    Raises
    ------
    InputError
        There is no such cohort, several and none named, or nothing was compared.
    """
    _check_result(result)
    shifts = result.shifts
    shifts = shifts[in_cohort(shifts, chosen_cohort(shifts, cohort))]
    if shifts.empty:
        raise InputError(Problem("", "result", "nothing was compared in it", "compare two visits first"))
    controls = negative_controls(result) if isinstance(result, Run) else ()
    return forest_plots.forest(shifts, _labels(result), controls=controls, ax=ax)


@style()
def course(result: Result, endpoint: str, *, cohort: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw every patient's course of an endpoint over study days, with median and quartiles at each visit.

    Doses and phases of a run's trial are shaded. Without study days visits are drawn one after another; where only some
    values have one, the others are counted below the axis.

    Parameters
    ----------
    result
        A finished run, or what `immunolab.compare` returned.
    endpoint
        Endpoint id.
    cohort
        Its name; needed where there are several.
    ax
        Axes to draw on; None makes a new figure.

    Returns
    -------
    Axes
        The axes drawn on.

    Raises
    ------
    InputError
        There is no such endpoint or cohort, or several cohorts and none named.
    """
    rows, pairs, _ = _rows(result, endpoint, cohort)
    rows = rows.dropna(subset=["value"])
    known = rows["study_day"].notna()
    plan = result.calendar if isinstance(result, Run) else Calendar()
    if known.any():
        ax = spaghetti(rows, endpoint, plan, ax=ax)
        if not known.all():
            words = f"{(~known).sum()} of {len(rows)} values have no study day and are not drawn"
            ax.set_xlabel(f"{ax.get_xlabel()} ({words})")
        return ax
    order = {visit: float(place) for place, visit in enumerate(_visits(rows, pairs))}
    ax = spaghetti(rows.assign(study_day=rows["visit"].astype(str).map(order)), endpoint, Calendar(), ax=ax)
    ax.set_xticks(list(order.values()), list(order))
    ax.set_xlim(-0.4, len(order) - 0.6)
    ax.set_xlabel("visit (no study days are known)")
    for text in [text for text in ax.texts if text.get_text() in order]:
        text.remove()
    return ax


@style()
def patient(run: Run, patient_id: str, *, endpoint: str = "", ax: Axes | None = None) -> Any:
    """Draw a patient's page: what happened, and every endpoint over study days and doses with its call.

    Parameters
    ----------
    run
        The finished run.
    patient_id
        As in the sample sheet.
    endpoint
        Only this one, on one axes; all that have room on a page by default.
    ax
        Axes to draw one endpoint on; None makes a new figure.

    Returns
    -------
    Axes or array of Axes
        One with ``endpoint``; else those of the page: the endpoints, then what happened where anything did.

    Raises
    ------
    InputError
        There is no such patient or endpoint of the patient, or axes are given for a whole page.
    """
    _check_result(run, only_run=True)
    cohort = run.patient(patient_id).cohort
    pages = dict(patient_pages(run, cohort))
    if not endpoint and ax is not None:
        hint = "leave ax out, or name an endpoint"
        raise InputError(Problem("", "ax", "a page of a patient has several panels", hint))
    page = pages.get(patient_id)
    if page is None or page.rows.empty:
        raise InputError(Problem("", "patient_id", f"'{patient_id}' has no value with a study day", "see run.failures"))
    if endpoint:
        there = list(dict.fromkeys(page.rows["endpoint"].astype(str)))
        one_of(endpoint, there, "endpoint", f"value of {patient_id} for an endpoint")
        ax = axes(ax, HALF * 1.3, 62 * MM)
        own, pairs = (table[table["endpoint"] == endpoint] for table in (page.rows, page.pairs))
        named, visits = page.named[endpoint], page.visits[endpoint]
        return patient_panel(own, pairs, patient_id, page.plan, named, visits, marks=page.marks, ax=ax)
    import matplotlib.pyplot as plt

    fig = patient_page(
        page.rows, page.pairs, patient_id, page.plan, page.named, page.visits, marks=page.marks, fig=plt.figure()
    )
    return np.array(fig.axes, dtype=object)


def _check_result(result: Any, *, only_run: bool = False) -> None:
    if isinstance(result, Run) or (isinstance(result, Comparison) and not only_run):
        return
    hint = "give a Run (immunolab.run, immunolab.read_run)" + (
        "" if only_run else " or a Comparison (immunolab.compare)"
    )
    raise InputError(Problem("", "result", f"{type(result).__name__} is no result of a comparison", hint))


def _cohorts(table: pd.DataFrame) -> list[str]:
    return [str(name) for name in dict.fromkeys(table["cohort"].fillna(""))]


def chosen_cohort(table: pd.DataFrame, wanted: str | None) -> str:
    """Return the cohort that is drawn: the one named, or the only one.

    Parameters
    ----------
    table
        With a column ``cohort``.
    wanted
        Its name; None takes the only one.

    Raises
    ------
    InputError
        There is no such cohort, or several and none named.
    """
    there = _cohorts(table)
    if wanted is not None:
        return one_of(wanted, there, "cohort", "cohort")
    if len(there) > 1:
        hint = f"name one: cohort='{there[0]}'; there are: {', '.join(there)}"
        raise InputError(Problem("", "cohort", f"there are {len(there)} cohorts", hint))
    return there[0] if there else ""


def _rows(result: Any, endpoint: str, cohort: str | None) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return the rows of values, pairs and shifts of an endpoint in one cohort."""
    _check_result(result)
    values = result.endpoints if isinstance(result, Run) else _values(result)
    known: Iterable[str] = dict.fromkeys(values["endpoint"].astype(str))
    one_of(endpoint, known, "endpoint", "value of an endpoint")
    values = values[values["endpoint"] == endpoint]
    name = chosen_cohort(values, cohort)
    tables = (values, result.pairs, result.shifts)
    own = [rows_of(table, endpoint, name) for table in tables]
    return own[0], own[1], own[2]


def _values(compared: Comparison) -> pd.DataFrame:
    """Return every value of a comparison as rows of endpoints: a patient's at both sides, with what days are known."""
    pairs, levels = compared.pairs, compared.levels
    sides = [
        pairs[["patient_id", "cohort", "endpoint", "unit"]].assign(visit=pairs[f"visit_{side}"], value=pairs[side])
        for side in ("before", "after")
    ]
    rows = pd.concat(sides, ignore_index=True).dropna(subset=["value"])
    days = levels.dropna(subset=["study_day"]).groupby(["patient_id", "visit"])["study_day"].median()
    found = [days.get((p, v), np.nan) for p, v in zip(rows["patient_id"], rows["visit"], strict=True)]
    blank = {"population": rows["endpoint"], "definition": None, "parent": None, "flag": None, "n_events": np.nan}
    return rows.assign(
        **blank, study_day=np.array(found, dtype=float), days_since_last_dose=np.nan, cycle_state=None, sample_id=""
    )


def _visits(rows: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    order = [*pairs["visit_before"].dropna().astype(str), *pairs["visit_after"].dropna().astype(str)]
    return [*dict.fromkeys([*order, *rows["visit"].astype(str)])]


def _labels(result: Result) -> dict[str, EndpointLabel]:
    return result.labels if isinstance(result, Run) else labels(_values(result))


def _label(rows: pd.DataFrame, endpoint: str) -> EndpointLabel:
    return labels(rows).get(endpoint) or EndpointLabel(endpoint, endpoint, "", "", "")


def _direction(result: Result, endpoint: str) -> str:
    declared = result.declared.get(endpoint) if isinstance(result, Run) else None
    return declared.direction if declared else ""
