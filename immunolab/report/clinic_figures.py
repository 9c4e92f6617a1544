"""Figures of cells beside the clinic: slopes by period, response, what happened when, change against change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from immunolab.clinical.responders import criteria, response
from immunolab.plots.change import waterfall
from immunolab.plots.clinical import correlation, responders, slope_pairs
from immunolab.plots.courses import spaghetti, swimmer
from immunolab.plots.labels import interval, p_text, scale_word
from immunolab.plots.style import HALF, MM, WIDTH
from immunolab.report.figures import ReportFigure, figure_name, of_cohort, on_axes
from immunolab.report.run_tables import RunTables, in_cohort
from immunolab.study.trial import Endpoint

_RATIOS = ("logit", "log", "log_odds")
_MOST_CORRELATIONS = 4
_ROLES = {"primary": 0, "secondary": 1, "exploratory": 2}


def clinic_figures(run: RunTables, cohort: str) -> Iterator[ReportFigure]:
    """Yield a cohort's figures of cells beside the clinic, each only where the run has its data.

    Slope pairs and the score's course (endpoints that are slopes by period), waterfall and boxes by clinical
    response, one lane a patient with responses and events, and the leading subset's change against that of
    the clinic. All but the slopes describe or explore; their captions say so.
    """
    for made in _clinic_figures(run, cohort):
        yield replace(made, cohort=cohort)


def _clinic_figures(run: RunTables, cohort: str) -> Iterator[ReportFigure]:
    for endpoint in run.endpoints:
        if endpoint.statistic == "slope_difference":
            yield from _slopes(run, cohort, endpoint)
            if endpoint.role == "primary":
                yield from _score_course(run, cohort, endpoint)
    yield from _swimmer(run, cohort)
    leading = leading_subset(run, cohort)
    if leading:
        yield from _by_response(run, cohort, leading)
        yield from _correlations(run, cohort, leading)


def leading_subset(run: RunTables, cohort: str) -> str:
    """Return the compared subset that comes first by role and declaration; empty when there is none."""
    subsets = {e.id for e in run.endpoints if e.kind == "subset"}
    shifts = run.shifts_of(cohort)
    own = shifts[shifts["endpoint"].isin(subsets) & (shifts["n_pairs"] > 0)]
    ranked = own.assign(rank=own["role"].map(_ROLES)).sort_values("rank", kind="stable")
    return str(ranked["endpoint"].iloc[0]) if len(ranked) else ""


def _slopes(run: RunTables, cohort: str, endpoint: Endpoint) -> Iterator[ReportFigure]:
    pairs = run["pairs"]
    own = pairs[in_cohort(pairs, cohort) & (pairs["endpoint"] == endpoint.id)]
    shifts = run.shifts_of(cohort)
    row = shifts[shifts["endpoint"] == endpoint.id]
    if len(endpoint.periods) != 2 or row.empty or own["shift"].isna().all():
        return
    earlier, later = (" to ".join(period) for period in endpoint.periods)
    sides = [
        own[["patient_id"]].assign(period=period, slope=own[side])
        for period, side in ((earlier, "before"), (later, "after"))
    ]
    slopes = pd.concat(sides, ignore_index=True)
    what = f"{endpoint.score or endpoint.variable}, slope in {run.label_of(endpoint.id).unit}"
    draw = partial(on_axes, partial(slope_pairs, slopes, what, (earlier, later)), HALF, 75 * MM)
    caption = (
        f"{what}{of_cohort(cohort)}, in two periods; one line a patient, bars: medians. {endpoint.role.capitalize()} "
        f"endpoint: {later} minus {earlier} {_result(row.iloc[0])} The order of the periods is fixed, so time itself "
        "and carry-over are part of the difference."
    )
    yield ReportFigure(figure_name("slopes", endpoint.id, cohort), "clinic", caption, draw, slopes)


def _result(row: pd.Series) -> str:
    if pd.isna(row["estimate"]):
        return f"could not be estimated ({row['method']}), n = {row['n_pairs']}."
    size = interval(row["estimate"], row["ci_low"], row["ci_high"], row["estimate_scale"])
    return f"{size}, n = {row['n_pairs']} patients, {p_text(row['p_value'])} ({row['method']})."


def _score_course(run: RunTables, cohort: str, endpoint: Endpoint) -> Iterator[ReportFigure]:
    """Yield the course of the score whose slopes are compared; its visits' days are those of other endpoints."""
    if not endpoint.score:
        return
    rows = run["endpoints"]
    days = rows[in_cohort(rows, cohort)].drop_duplicates(["patient_id", "visit"])
    days = days.drop(columns=["endpoint", "population", "definition", "parent", "value", "unit", "flag"])
    scores = run.tables.get("scores", pd.DataFrame(columns=["score"]))
    own = scores[scores["score"] == endpoint.score]
    if own.empty:
        return
    found = own[["patient_id", "visit", "value", "unit", "flag"]].merge(days, on=["patient_id", "visit"])
    found = found.assign(endpoint=endpoint.score, population=endpoint.score, definition=None, parent=None)
    if found["value"].isna().all():
        return
    draw = partial(on_axes, partial(spaghetti, found, endpoint.score, run.calendar), WIDTH, 72 * MM)
    caption = (
        f"{endpoint.score}{of_cohort(cohort)}, {found['unit'].iloc[0]}, over actual study days; n = "
        f"{found['patient_id'].nunique()}. Grey: patients; colour: median and quartiles at each visit; shaded: "
        "treatment. Described, not tested; the slopes of the two periods are compared beside it."
    )
    yield ReportFigure(figure_name("course", endpoint.score, cohort), "clinic", caption, draw, found, wide=True)


def _swimmer(run: RunTables, cohort: str) -> Iterator[ReportFigure]:
    """Yield one lane a patient with responses and events, where any score tells of them."""
    told = {e.id: e for e in run.endpoints if e.statistic in ("responder_proportion", "event_count")}
    rows = run["endpoints"]
    own = rows[in_cohort(rows, cohort) & rows["study_day"].notna()]
    known = own[own["endpoint"].isin(told) & own["value"].notna()]
    if known.empty:
        return
    marks = known[known["value"] >= 1]
    words = [_event(told[str(name)]) for name in marks["endpoint"]]
    marks = marks[["patient_id", "visit", "study_day", "days_since_last_dose"]].assign(what=words)
    patients = list(dict.fromkeys(own["patient_id"]))
    last = own.groupby("patient_id")["study_day"].max().astype(float).to_dict()
    height = (18 + 5.5 * len(patients)) * MM
    draw = partial(on_axes, partial(swimmer, run.calendar, patients, marks, last_day=last), WIDTH, height)
    asked = ", ".join(_event(told[str(name)]) for name in dict.fromkeys(known["endpoint"]))
    caption = (
        f"One lane a patient{of_cohort(cohort)}: doses, and the visits at which these were found: {asked}. "
        "Descriptive; a lane ends with the last visit on record."
    )
    yield ReportFigure(figure_name("swimmer", cohort), "clinic", caption, draw, marks, wide=True)


def _event(endpoint: Endpoint) -> str:
    return f"{endpoint.score} responder" if endpoint.statistic == "responder_proportion" else endpoint.id


def _by_response(run: RunTables, cohort: str, leading: str) -> Iterator[ReportFigure]:
    """Yield waterfall and boxes of the leading subset by each response the trial declares."""
    pairs = run["pairs"]
    own = pairs[in_cohort(pairs, cohort) & (pairs["endpoint"] == leading) & pairs["shift"].notna()]
    named = run.label_of(leading)
    for endpoint in run.endpoints:
        if endpoint.statistic != "responder_proportion" or endpoint.score not in criteria() or own.empty:
            continue
        scores = run.tables.get("scores")
        visit, told = response(scores, endpoint.score, (*own["visit_after"].mode(), *reversed(endpoint.visits)))
        words = {True: f"{endpoint.score} responder", False: f"no {endpoint.score} responder"}
        groups = {patient: words[yes] for patient, yes in told.items() if patient in set(own["patient_id"])}
        if not groups:
            continue
        by = f"{endpoint.score} ({criteria()[endpoint.score][0][0]}) at {visit}"
        data = own.assign(response=own["patient_id"].map(groups), response_by=by)
        caution = f"Coloured by {by}. Descriptive: response is known only afterwards."
        if own["shift_scale"].isin(_RATIOS).all():
            draw = partial(on_axes, partial(waterfall, own, named, response=groups), WIDTH, 62 * MM)
            caption = f"{named.axis}{of_cohort(cohort)}: change of each patient, sorted. {caution}"
            name = figure_name("waterfall", leading, endpoint.score, cohort)
            yield ReportFigure(name, "clinic", caption, draw, data, wide=True)
        if len(set(groups.values())) > 1:
            yield from _boxes(run, cohort, data, groups)


def _boxes(run: RunTables, cohort: str, data: pd.DataFrame, groups: dict[str, str]) -> Iterator[ReportFigure]:
    leading, by = str(data["endpoint"].iloc[0]), str(data["response_by"].iloc[0])
    named = run.label_of(leading)
    before = pd.Series(data["before"].to_numpy(dtype=float), index=data["patient_id"]).to_dict()
    visit = data["visit_before"].iloc[0]
    for kind, values, what in (
        ("level", before, f"{named.short}, {visit}"),
        ("change", _changes(data), f"{_change_words(data, _visits(data))}\n{named.short}"),
    ):
        draw = partial(on_axes, partial(responders, values, groups, what), HALF, 75 * MM)
        caption = (
            f"{named.axis}{of_cohort(cohort)}: {'level before treatment' if kind == 'level' else 'change'} by {by}. "
            "Descriptive: response is known only afterwards, and nothing here says why."
        )
        yield ReportFigure(figure_name("response", kind, by.split()[0], cohort), "clinic", caption, draw, data)


def _changes(pairs: pd.DataFrame) -> dict[str, float]:
    """Return each patient's change, log2 where it is a ratio."""
    ratio = pairs["shift_scale"].isin(_RATIOS).to_numpy()
    values = pairs["shift"].to_numpy(dtype=float)
    return dict(zip(pairs["patient_id"].astype(str), np.where(ratio, values / np.log(2), values), strict=True))


def _visits(pairs: pd.DataFrame) -> list[str]:
    return [str(pairs["visit_before"].iloc[0]), str(pairs["visit_after"].iloc[0])]


def _change_words(pairs: pd.DataFrame, between: Sequence[str]) -> str:
    scale = str(pairs["shift_scale"].iloc[0])
    word = f"log2 {scale_word(scale)}" if scale in _RATIOS else scale_word(scale)
    return f"{word}, {between[1]} against {between[0]}"


def _correlations(run: RunTables, cohort: str, leading: str) -> Iterator[ReportFigure]:
    """Yield the leading subset's change against the change of the trial's scores and variables, primary first."""
    pairs = run["pairs"]
    own = pairs[in_cohort(pairs, cohort) & pairs["shift"].notna()]
    cells, named = own[own["endpoint"] == leading], run.label_of(leading)
    table = run.tables.get("correlations", pd.DataFrame(columns=["endpoint", "clinical_endpoint", "rho"]))
    known = set(table.loc[(table["endpoint"] == leading) & table["rho"].notna(), "clinical_endpoint"])
    clinical = [e for e in run.endpoints if e.id in known and e.role != "exploratory"]
    for endpoint in sorted(clinical, key=lambda e: (_ROLES[e.role], not e.score))[:_MOST_CORRELATIONS]:
        rows = own[own["endpoint"] == endpoint.id]
        x, y = _changes(cells), _changes(rows)
        between = [" to ".join(period) for period in endpoint.periods] or _visits(rows)
        words = (
            f"{named.short}\n{_change_words(cells, _visits(cells))}",
            f"{run.label_of(endpoint.id).short}\n{_change_words(rows, between)}",
        )
        draw = partial(on_axes, partial(correlation, x, y, *words, seed=run.seed), HALF, 75 * MM)
        data = pd.concat([cells, rows], ignore_index=True)
        caption = (
            f"Change of {named.axis} against change of {run.label_of(endpoint.id).short}{of_cohort(cohort)}, one point "
            "a patient. Exploratory: not adjusted for the number of correlations looked at, and no cause is shown."
        )
        yield ReportFigure(figure_name("correlation", leading, endpoint.id, cohort), "clinic", caption, draw, data)
