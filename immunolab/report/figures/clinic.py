"""Figures of cells beside the clinic: by response, by subgroup, change against change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd

from immunolab.clinical.responders import response
from immunolab.clinical.scores import criteria
from immunolab.comparison.scales import MULTIPLICATIVE
from immunolab.plots.change import waterfall
from immunolab.plots.clinical import LEAST_SUBGROUP, correlation, group_strips, responders
from immunolab.plots.numbers import scale_word
from immunolab.plots.style import HALF, MM, WIDTH
from immunolab.report.clinic_rows import clinic_rows
from immunolab.report.figure import FigureSet, ReportFigure, figure_name, of_cohort, on_axes
from immunolab.report.figures.matrices import correlations_of
from immunolab.results.cohort_rows import in_cohort, rows_of
from immunolab.results.run import Run
from immunolab.vocabulary.display_names import display_name

_MOST_CORRELATIONS = 4  # scatter plots on the page; the heat map holds all
_MOST_STRIPS = 3  # groups side by side at printed size
_ROLES = {"primary": 0, "secondary": 1, "exploratory": 2}


def clinic_figures(run: Run, cohort: str) -> Iterator[ReportFigure]:
    """Yield a cohort's figures of cells beside the clinic, each only where the run has its data.

    Slopes, courses and events (`course_figures`), waterfall and boxes by clinical response, strips
    by declared subgroup, what a response is made of, measured values, and change against change. All but the
    slopes describe or explore; their captions say so.
    """
    leading = leading_subset(run, cohort)
    if leading:
        yield from _by_response(run, cohort, leading)
        yield from _by_subgroup(run, cohort, leading)
        yield from _correlations(run, cohort, leading)


def leading_subset(run: Run, cohort: str) -> str:
    """Return the compared subset that comes first by role and declaration; empty when there is none."""
    subsets = {e.id for e in run.study.endpoints if e.counted}
    shifts = run.shifts_of(cohort)
    own = shifts[shifts["endpoint"].isin(subsets) & (shifts["n_pairs"] > 0)]
    ranked = own.assign(rank=own["role"].map(_ROLES)).sort_values("rank", kind="stable")
    return str(ranked["endpoint"].iloc[0]) if len(ranked) else ""


def _by_response(run: Run, cohort: str, leading: str) -> Iterator[ReportFigure]:
    """Yield waterfall and boxes of the leading subset by each response the trial declares."""
    pairs = run.pairs
    own = rows_of(pairs, leading, cohort).dropna(subset=["shift"])
    named, scores = run.label_of(leading), run.table("scores")
    for endpoint in run.study.endpoints if len(scores) else ():
        score = endpoint.response
        if score is None or not criteria(score) or own.empty:
            continue
        visit, responded = response(scores, score, (*own["visit_after"].mode(), *reversed(endpoint.visits)))
        words = {True: "responder", False: "no responder"}
        groups = {patient: words[yes] for patient, yes in responded.items() if patient in set(own["patient_id"])}
        if not groups:
            continue
        by = f"{display_name(score)} ({criteria(score)[0].name}) at {visit}"
        data = own.assign(response=own["patient_id"].map(groups), response_by=by)
        caution = f"Coloured by {by}. Descriptive: response is known only afterwards."
        if own["shift_scale"].isin(MULTIPLICATIVE).all():
            band = _noise_band(own)
            draw = partial(on_axes, partial(waterfall, own, named, response=groups, band=band), WIDTH, 62 * MM)
            noise = " Grey band: the median patient's own 95 % interval around no change."
            caption = (
                f"{named.axis}{of_cohort(cohort)}: change of each patient, sorted, n = {len(own)}."
                f"{noise if band else ''} {caution}"
            )
            name = figure_name("waterfall", leading, score, cohort)
            yield ReportFigure(name, "clinic", caption, draw, data, wide=True)
        if len(set(groups.values())) > 1:
            yield from _boxes(run, cohort, score, data, groups)


def _noise_band(pairs: pd.DataFrame) -> tuple[float, float] | None:
    """Return the ratios a change must leave to be more than noise, by the median patient's own interval.

    None where no assay noise is known: an interval of counting error alone is no band of noise.
    """
    called = pairs[pairs["verdict"] != "not_evaluable"]
    half = (called["ci_high"] - called["ci_low"]).astype(float).dropna() / 2
    return (float(np.exp(-half.median())), float(np.exp(half.median()))) if len(half) else None


def _boxes(run: Run, cohort: str, score: str, data: pd.DataFrame, groups: dict[str, str]) -> Iterator[ReportFigure]:
    leading, by = str(data["endpoint"].iloc[0]), str(data["response_by"].iloc[0])
    named = run.label_of(leading)
    before = pd.Series(data["before"].to_numpy(dtype=float), index=data["patient_id"]).to_dict()
    visit = data["visit_before"].iloc[0]
    for kind, values, what in (
        ("level", before, f"{named.short}, {visit}"),
        ("change", _changes(data), f"{_change_words(data, _visits(data))}\n{named.short}"),
    ):
        draw = partial(on_axes, partial(responders, values, groups, what, by=by), HALF, 75 * MM)
        caption = (
            f"{named.axis}{of_cohort(cohort)}: {'level before treatment' if kind == 'level' else 'change'} by {by}. "
            "Descriptive: response is known only afterwards, and nothing here says why."
        )
        yield ReportFigure(figure_name("response", kind, score, cohort), "clinic", caption, draw, data)


def _by_subgroup(run: Run, cohort: str, leading: str) -> Iterator[ReportFigure]:
    """Yield changes by each subgroup the trial declares, where the sheet has its column."""
    pairs = run.pairs
    own = pairs[in_cohort(pairs, cohort) & pairs["shift"].notna()]
    scores = [e.id for e in run.study.endpoints if e.is_course and e.needs.scores]
    shown = [name for name in (leading, *scores) if (own["endpoint"] == name).any()][:_MOST_STRIPS]
    for column in run.study.trial.subgroups if run.study.trial else ():
        groups = _subgroups(run, cohort, column)
        if len(set(groups.values())) < 2 or not shown:
            continue
        kept = own[own["endpoint"].isin(shown) & own["patient_id"].isin(groups)]
        data = kept.assign(subgroup=kept["patient_id"].map(groups), change=0.0)
        strips = []
        for name in shown:
            rows = data[data["endpoint"] == name]
            changes = _changes(rows)
            data.loc[rows.index, "change"] = list(changes.values())
            strips.append((f"{run.label_of(name).short}\n{_change_words(rows, _visits(rows))}", changes))
        caption = (
            f"Change by {column}{of_cohort(cohort)}, a column of the sample sheet; points: patients, bars: medians. "
            f"Descriptive; not randomised: no p-value with fewer than {LEAST_SUBGROUP} patients in a group."
        )
        draw = partial(group_strips, strips, groups)
        yield ReportFigure(figure_name("subgroup", column, cohort), "clinic", caption, draw, data, wide=True)


def _subgroups(run: Run, cohort: str, column: str) -> dict[str, str]:
    """Return each patient's word in a further column of the sheet; several words of one patient are joined."""
    words: dict[str, list[str]] = {}
    for sample in run.samples:
        if sample.cohort == cohort and sample.extra.get(column):
            words.setdefault(sample.patient_id, []).append(sample.extra[column])
    return {patient: " / ".join(dict.fromkeys(said)) for patient, said in words.items()}


def _changes(pairs: pd.DataFrame) -> dict[str, float]:
    """Return each patient's change, log2 where it is a ratio."""
    ratio = pairs["shift_scale"].isin(MULTIPLICATIVE).to_numpy()
    values = pairs["shift"].to_numpy(dtype=float)
    return dict(zip(pairs["patient_id"].astype(str), np.where(ratio, values / np.log(2), values), strict=True))


def _visits(pairs: pd.DataFrame) -> list[str]:
    return [str(pairs["visit_before"].iloc[0]), str(pairs["visit_after"].iloc[0])]


def _change_words(pairs: pd.DataFrame, between: Sequence[str]) -> str:
    scale = str(pairs["shift_scale"].iloc[0])
    word = f"log2 {scale_word(scale)}" if scale in MULTIPLICATIVE else scale_word(scale)
    return f"{word}, {between[1]} against {between[0]}"


def _correlations(run: Run, cohort: str, leading: str) -> Iterator[ReportFigure]:
    """Yield the leading subset's change against the change of the trial's scores and variables, primary first."""
    pairs = run.pairs
    own = pairs[in_cohort(pairs, cohort) & pairs["shift"].notna()]
    cells, named = own[own["endpoint"] == leading], run.label_of(leading)
    table = correlations_of(run, cohort)
    known = set(table.loc[(table["endpoint"] == leading) & table["rho"].notna(), "clinical_endpoint"])
    clinical = [e for e in run.study.endpoints if e.id in known and e.role != "exploratory"]
    read = {name: place for place, name in enumerate(dict.fromkeys(clinic_rows(run, cohort)["endpoint"]))}
    for endpoint in sorted(clinical, key=lambda e: (_ROLES[e.role], read.get(e.id, -1)))[:_MOST_CORRELATIONS]:
        rows = own[own["endpoint"] == endpoint.id]
        x, y = _changes(cells), _changes(rows)
        between = list(map(str, endpoint.slopes or _visits(rows)))
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


FIGURES = FigureSet(50, per_cohort=clinic_figures)
