"""Figures of the clinic over time: slopes by period, courses on one axis, events, what remained after treatment."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd

from immunolab.clinical.scores import levels
from immunolab.comparison.scales import MULTIPLICATIVE
from immunolab.plots.calendar import dose_words
from immunolab.plots.numbers import scale_word
from immunolab.plots.paired import comparison_words
from immunolab.plots.panels import MOST_PATIENTS, course_panels, slope_panels
from immunolab.plots.post_treatment import rebound
from immunolab.plots.style import MM, WIDTH
from immunolab.plots.trajectories import swimmer
from immunolab.report.clinic_rows import CLINIC, clinic_rows
from immunolab.report.figure import FigureSet, ReportFigure, figure_name, of_cohort, on_axes, pages
from immunolab.report.figures.endpoints import CHANGE_KEY, endpoint_drawing
from immunolab.report.happened import happened, mark_in_words, not_marked
from immunolab.results.cohort_rows import in_cohort, rows_of
from immunolab.results.endpoint_figure import period_slopes
from immunolab.results.run import Run
from immunolab.study.endpoints import Endpoint, Period
from immunolab.vocabulary.display_names import display_name, unit_name

_NOT_IN_LANES = ("adverse event", "last seen", "other")  # kinds of marks that the patient's own page shows
_MOST_PANELS = 6  # courses of one figure at printed size
_FEWEST_REBOUND = 3  # patients with a value in follow-up; fewer make no figure (judgement)


def course_figures(run: Run, cohort: str) -> Iterator[ReportFigure]:
    """Yield slopes by period, the clinic's courses, one lane a patient, and what became of each change."""
    for endpoint in run.study.endpoints:
        if endpoint.figure == "slopes" and endpoint.slopes:
            yield from _slopes(run, cohort, endpoint, *endpoint.slopes)
    yield from _courses(run, cohort)
    yield from _swimmer(run, cohort)
    yield from _rebound(run, cohort)


def _slopes(run: Run, cohort: str, endpoint: Endpoint, earlier: Period, later: Period) -> Iterator[ReportFigure]:
    pairs = run.pairs
    own = rows_of(pairs, endpoint.id, cohort)
    shifts = run.shifts_of(cohort)
    row = shifts[shifts["endpoint"] == endpoint.id]
    if row.empty or own["shift"].isna().all():
        return
    names = str(earlier), str(later)
    slopes = period_slopes(own, names)
    what = f"{display_name(endpoint.fitted)}, slope in {run.label_of(endpoint.id).unit}"
    tested = comparison_words(row.iloc[0], int(own["shift"].notna().sum()))
    caption = (
        f"{what}{of_cohort(cohort)}, in two periods. Difference: {later} minus {earlier}. {CHANGE_KEY} {tested}. The "
        "order of the periods is fixed, so time itself and carry-over are part of the difference."
    )
    draw = endpoint_drawing(run, cohort, endpoint.id)
    name = figure_name("slopes", endpoint.id, cohort)
    yield ReportFigure(name, "clinic", caption, draw, slopes, endpoint=endpoint.id)
    if endpoint.role == "primary":
        yield from _slope_panels(run, cohort, endpoint, slopes, (earlier, later))


def _slope_panels(
    run: Run, cohort: str, endpoint: Endpoint, slopes: pd.DataFrame, periods: tuple[Period, Period]
) -> Iterator[ReportFigure]:
    """Yield each patient's course with the two fitted lines, so many patients to a page."""
    what, knot, names = endpoint.fitted, periods[0].last, (str(periods[0]), str(periods[1]))
    shown_as = display_name(what)
    rows = clinic_rows(run, cohort)
    points = rows[(rows["population"] == what) & rows["value"].notna() & rows["study_day"].notna()]
    points = points.drop_duplicates(["patient_id", "visit"])  # of several endpoints that look at the same score
    if points.empty:
        return
    patients, per_month = list(dict.fromkeys(points["patient_id"])), run.label_of(endpoint.id).unit
    wide = slopes.pivot(index="patient_id", columns="period", values="slope")
    for page, some in pages(patients, MOST_PATIENTS):
        own = points[points["patient_id"].isin(some)]
        data = own.merge(wide.add_prefix("slope "), left_on="patient_id", right_index=True, how="left")
        unit = str(own["unit"].iloc[0])
        draw = partial(slope_panels, own, slopes, shown_as, unit, names, knot, run.calendar)
        caption = (
            f"{shown_as} of each patient{of_cohort(cohort)} over actual study days, n = {own['patient_id'].nunique()}; "
            f"above each panel the slopes of {periods[0]} and {periods[1]} in {per_month}, joined at {knot}. With a "
            "visit at each end of a period its line runs through the points and says nothing of its own error."
        )
        yield ReportFigure(
            figure_name("slope_panels", endpoint.id, cohort, page), "clinic", caption, draw, data, wide=True
        )


def _courses(run: Run, cohort: str) -> Iterator[ReportFigure]:
    """Yield the clinic's courses below each other, for what was measured at more than two visits."""
    rows = clinic_rows(run, cohort)
    known = rows.dropna(subset=["value", "study_day"])
    visits = known.groupby("endpoint")["visit"].nunique()
    known = known[known["endpoint"].map(visits) > 2]
    for group in dict.fromkeys(known["group"]):
        own = known[known["group"] == group]
        names = list(dict.fromkeys(own["endpoint"]))
        pages = [list(part) for part in np.array_split(names, -(-len(names) // _MOST_PANELS))]
        for page, part in enumerate(pages, start=1):
            shown = own[own["endpoint"].isin(part)]
            turning = {name: levels(name) for name in dict.fromkeys(shown["population"])}
            draw = partial(course_panels, shown, run.calendar, levels=turning)
            units = shown.drop_duplicates("endpoint")
            pairs = zip(units["population"], units["unit"], strict=True)
            names_of = ", ".join(f"{display_name(p)} ({unit_name(u)})" for p, u in pairs)
            caption = (
                f"{names_of}{of_cohort(cohort)}, over actual study days; n = {shown['patient_id'].nunique()} patients. "
                "Grey: patients, with a gap where a visit is missing; dark: median and quartiles at each visit; open: "
                "beyond the limits of the assay. Described, not tested."
                + (" Dashed: the value a rule turns on." if any(turning.values()) else "")
            )
            name = figure_name(
                "clinic_course", "" if group == CLINIC else group, cohort, str(page) if len(pages) > 1 else ""
            )
            yield ReportFigure(name, "clinic", caption, draw, shown, wide=True)


def _swimmer(run: Run, cohort: str) -> Iterator[ReportFigure]:
    """Yield one lane a patient: responses and events that scores find, severe adverse events, rescue, death."""
    rows = run.endpoints
    own = rows[in_cohort(rows, cohort) & rows["study_day"].notna()]
    patients = list(dict.fromkeys(own["patient_id"]))
    marks = happened(run)
    marks = marks[marks["patient_id"].isin(patients) & ~marks["kind"].isin(_NOT_IN_LANES)]
    severe = marks["kind"] == "severe adverse event"
    marks = marks.assign(what=marks["what"].mask(severe, "severe adverse event"))
    asked = dict.fromkeys(mark_in_words(e) for e in run.study.endpoints if e.mark)
    if marks.empty and not asked:
        return
    last = own.groupby("patient_id")["study_day"].max().astype(float).to_dict()
    height = (18 + 5.5 * len(patients)) * MM
    draw = partial(on_axes, partial(swimmer, run.calendar, patients, marks, last_day=last), WIDTH, height)
    caption = (
        f"One lane a patient{of_cohort(cohort)}: {dose_words(run.calendar, patients)}, and what happened when: "
        f"{', '.join(dict.fromkeys([*asked, *marks['what']]))}. Descriptive; a lane ends with the last visit, dose or "
        f"mark on record.{not_marked(run)}"
    )
    yield ReportFigure(figure_name("swimmer", cohort), "clinic", caption, draw, marks.drop(columns="kind"), wide=True)


def _rebound(run: Run, cohort: str) -> Iterator[ReportFigure]:
    """Yield what became of each change by the last follow-up visit, for endpoints measured then."""
    changes = _changes_kept(run, cohort)
    if changes.empty:
        return
    draw = partial(rebound, changes)
    after, later = (" or ".join(dict.fromkeys(changes[side])) for side in ("visit_after", "visit_later"))
    caption = (
        f"What became of each change{of_cohort(cohort)}: against baseline at {after} and at {later}, in follow-up; one "
        "line a patient who was measured at all three visits, bars: medians, 0 is the level before treatment. "
        "Described, not tested."
    )
    yield ReportFigure(figure_name("rebound", cohort), "clinic", caption, draw, changes, wide=True)


def _changes_kept(run: Run, cohort: str) -> pd.DataFrame:
    """Return both changes of each patient and endpoint: log2 where the scale is one of ratios."""
    pairs, rows = run.pairs, run.endpoints
    rows = rows[in_cohort(rows, cohort) & rows["value"].notna()]
    declared = [e.id for e in run.study.endpoints if e.role != "exploratory" and not e.slopes]
    own = pairs[in_cohort(pairs, cohort) & pairs["endpoint"].isin(declared) & pairs["shift"].notna()]
    days = rows[rows["phase"] == "follow_up"].groupby("visit")["study_day"].median().sort_values()
    later = [visit for visit in days.index if visit not in set(own["visit_after"])]
    if not later:
        return pd.DataFrame()
    last = rows.loc[rows["visit"] == later[-1], ["patient_id", "endpoint", "value"]].rename(columns={"value": "later"})
    found = own.merge(last, on=["patient_id", "endpoint"])
    found = found.assign(
        visit_later=later[-1],
        change_after=_change(found["before"], found["after"], found["shift_scale"]),
        change_later=_change(found["before"], found["later"], found["shift_scale"]),
        label=[run.label_of(str(name)).short for name in found["endpoint"]],
        change_as=[("log2 " if s in MULTIPLICATIVE else "") + scale_word(str(s)) for s in found["shift_scale"]],
    ).dropna(subset=["change_after", "change_later"])
    enough = found.groupby("endpoint")["patient_id"].transform("nunique") >= _FEWEST_REBOUND
    read = {name: place for place, name in enumerate(dict.fromkeys(clinic_rows(run, cohort)["endpoint"]))}
    kept = [e for e in declared if e in set(found.loc[enough, "endpoint"])]
    shown = sorted(kept, key=lambda name: read.get(name, -1))[:_MOST_PANELS]  # subsets first, then as they are read
    found = found[found["endpoint"].isin(shown)]
    columns = [
        "patient_id", "endpoint", "label", "unit", "visit_before", "visit_after", "visit_later", "before", "after",
        "later", "change_as", "change_after", "change_later",
    ]  # fmt: skip
    order = found["endpoint"].map({name: i for i, name in enumerate(shown)})
    return found.assign(order=order).sort_values("order", kind="stable")[columns].reset_index(drop=True)


def _change(before: pd.Series, after: pd.Series, scale: pd.Series) -> np.ndarray:
    x, y = (np.asarray(side, dtype=float) for side in (before, after))
    words = scale.to_numpy(dtype=str)
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = np.log2(y / (100 - y)) - np.log2(x / (100 - x))
        change = np.select([words == "logit", words == "log"], [odds, np.log2(y / x)], y - x)
    return np.where(np.isfinite(change), change, np.nan)


FIGURES = FigureSet(30, per_cohort=course_figures)
