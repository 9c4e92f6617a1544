"""Heat maps of the clinic: what a response is made of, measured values, cells against the clinic."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd

from immunolab.plots.matrices import matrix, matrix_height
from immunolab.plots.style import WIDTH
from immunolab.report.figure import ROWS_OF_PATIENTS, FigureSet, ReportFigure, figure_name, of_cohort, on_axes, pages
from immunolab.results.cohort_rows import in_cohort
from immunolab.results.run import Run
from immunolab.schema.flags import Flag
from immunolab.vocabulary.display_names import display_name

_WHOLE = 100.0  # percent of baseline at which the colour of a core-set measure is full
_ROOM_FOR_MARKS = 16  # columns, beyond which a mark is above its number
_LIMITS = {Flag.BELOW_LIMIT: "<", Flag.ABOVE_LIMIT: ">"}


def matrix_figures(run: Run, cohort: str) -> Iterator[ReportFigure]:
    """Yield core-set measures by patient, measured values by patient, and correlations by subset and score."""
    yield from _core_set(run, cohort)
    yield from _measured(run, cohort)
    yield from _correlations(run, cohort)


def correlations_of(run: Run, cohort: str) -> pd.DataFrame:
    """Return a cohort's rows of the correlations table; none where the run has no such table.

    Parameters
    ----------
    run
        The finished run.
    cohort
        Its name; "" where the sheet has no cohorts.
    """
    table = run.table("correlations")
    return table[in_cohort(table, cohort)]


def _draw(values: pd.DataFrame, words: pd.DataFrame, label: str, reach: float | None, title: str = "") -> partial:
    height = matrix_height(len(values), values.columns)
    return partial(on_axes, partial(matrix, values, words, label, reach=reach, title=title), WIDTH, height)


def _core_set(run: Run, cohort: str) -> Iterator[ReportFigure]:
    """Yield each patient's improvement of every core-set measure in percent of baseline, at each visit."""
    table = run.table("components")
    own = table[(table["improvement_of"] == "baseline") & run.patients_in(table, cohort)]
    patients = dict.fromkeys([*(s.patient_id for s in run.samples), *own["patient_id"]])
    scores = run.table("scores")
    for score in dict.fromkeys(own["score"]):
        responded = scores[scores["score"] == score].set_index(["patient_id", "visit"])["value"].to_dict()
        rows = own[own["score"] == score].assign(column=lambda t: t["component"].map(display_name) + " " + t["visit"])
        columns = list(dict.fromkeys(rows["column"]))
        values = rows.pivot(index="patient_id", columns="column", values="improvement").reindex(
            index=[p for p in patients if p in set(rows["patient_id"])], columns=columns
        )
        words = values.map(lambda x: "–" if pd.isna(x) else _signed(x, 0))
        visits = list(dict.fromkeys(rows["visit"]))
        yes = [", ".join(v for v in visits if responded.get((p, v)) == 1) for p in values.index]
        named = values.set_axis(
            [f"{p}  ✓ {v}" if v else str(p) for p, v in zip(values.index, yes, strict=True)], axis=0
        )
        label = "improvement, % of baseline; above 0 better"
        caption = (
            f"Core-set measures{of_cohort(cohort)}: improvement against baseline in percent of baseline, patient by "
            f"patient, n = {len(values)}; ✓: responder by {display_name(score)} at the visits named; grey: missing, "
            f"or no percentage of 0. Colours are full at {_WHOLE:g} %."
        )
        for page, some in pages(list(values.index), ROWS_OF_PATIENTS):
            own_rows = values.index.isin(list(some))
            draw = _draw(named[own_rows], words[own_rows], label, _WHOLE)
            data = rows[rows["patient_id"].isin(list(some))]
            yield ReportFigure(figure_name("core_set", score, cohort, page), "clinic", caption, draw, data, wide=True)


def _measured(run: Run, cohort: str) -> Iterator[ReportFigure]:
    """Yield the log2 change of measured values at the compared visit and in follow-up, patient by patient."""
    data = _measured_changes(run, cohort)
    if data["endpoint"].nunique() < 2:
        return
    columns = list(dict.fromkeys(data["column"]))
    shape = {"index": list(dict.fromkeys(data["patient_id"])), "columns": columns}
    values = data.pivot(index="patient_id", columns="column", values="log2_fold").reindex(**shape)
    words = data.pivot(index="patient_id", columns="column", values="shown").reindex(**shape).fillna("–")
    if len(columns) > _ROOM_FOR_MARKS:
        words = words.map(lambda text: f"{text[0]}\n{text[1:]}" if text[0] in "<>" else text)
    before = ", ".join(dict.fromkeys(data["visit_before"]))
    caption = (
        f"Measured values{of_cohort(cohort)}: log2 of the fold change against {before}, patient by patient, n = "
        f"{len(values)}. < the true change is lower, > it is higher, for one value is beyond the assay's limits; "
        "nq: not quantifiable at either visit; grey: no pair. Described, not tested here."
    )
    for page, some in pages(list(values.index), ROWS_OF_PATIENTS):
        draw = _draw(values.loc[list(some)], words.loc[list(some)], "log2 fold change", None)
        rows = data[data["patient_id"].isin(list(some))]
        yield ReportFigure(figure_name("heatmap_measured", cohort, page), "clinic", caption, draw, rows, wide=True)


def _measured_changes(run: Run, cohort: str) -> pd.DataFrame:
    pairs, rows = run.pairs, run.endpoints
    rows = rows[in_cohort(rows, cohort)]
    measured = [e.id for e in run.study.endpoints if e.is_course and e.needs.variables]
    own = pairs[in_cohort(pairs, cohort) & pairs["endpoint"].isin(measured) & (pairs["shift_scale"] == "log")]
    sides = own[["patient_id", "endpoint", "visit_before", "visit_after"]]
    found = []
    for endpoint, ends in sides.groupby("endpoint", sort=False):
        values = rows[(rows["endpoint"] == endpoint) & (rows["value"].astype(float) > 0)]
        later = dict.fromkeys([*ends["visit_after"], *values.loc[values["phase"] == "follow_up", "visit"]])
        start = ends.merge(
            values[["patient_id", "visit", "value", "flag"]],
            left_on=["patient_id", "visit_before"],
            right_on=["patient_id", "visit"],
        ).drop(columns=["visit", "visit_after"])
        for visit in later:
            end = values.loc[values["visit"] == visit, ["patient_id", "visit", "value", "flag"]]
            found.append(start.merge(end, on="patient_id", suffixes=("_before", "")))
    table = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["endpoint"])
    if table.empty:
        return table
    change = np.log2(table["value"].astype(float) / table["value_before"].astype(float))
    names = [run.label_of(str(e)).display for e in table["endpoint"]]
    table = table.assign(log2_fold=change, column=[f"{n} {v}" for n, v in zip(names, table["visit"], strict=True)])
    table = table.drop_duplicates(["patient_id", "column"])  # several endpoints may look at one variable
    return table.assign(shown=[_shown(*row) for row in table[["log2_fold", "flag_before", "flag"]].to_numpy()])


def _shown(change: float, before: object, after: object) -> str:
    """Return a change as read: with a sign, and < or > where one side is beyond a limit."""
    first, last = (next((mark for word, mark in _LIMITS.items() if word in str(flag)), "") for flag in (before, after))
    if first and last:
        return "nq"
    mark = last or {"<": ">", ">": "<", "": ""}[first]  # a start that was lower still makes the rise greater
    return f"{mark}{_signed(change, 1)}"


def _signed(value: float, places: int) -> str:
    """Return a number with its sign; what rounds to 0 has none."""
    rounded = round(float(value), places)
    return f"{rounded:+.{places}f}".replace("-", "−") if rounded else f"{0:.{places}f}"


def _correlations(run: Run, cohort: str) -> Iterator[ReportFigure]:
    """Yield Spearman's rho of every subset's change with every clinical change, n in each cell."""
    table = correlations_of(run, cohort)
    named_in = [e.id for e in run.study.endpoints if e.role != "exploratory"]
    known = table[table["endpoint"].isin(named_in) & table["clinical_endpoint"].isin(named_in)]
    shown = known[known["rho"].notna()]
    rows, columns = ([e for e in named_in if e in set(shown[c])] for c in ("endpoint", "clinical_endpoint"))
    if len(columns) < 2 or shown.empty:
        return
    cells = shown.assign(words=[f"{_signed(r, 2)}\n{n}" for r, n in zip(shown["rho"], shown["n"], strict=True)])
    rho, words = (
        cells.pivot(index="endpoint", columns="clinical_endpoint", values=name).reindex(index=rows, columns=columns)
        for name in ("rho", "words")
    )
    named = [run.label_of(e).short for e in columns]
    values = rho.set_axis([run.label_of(e).short for e in rows], axis=0).set_axis(named, axis=1)
    n_all = int(table["rho"].notna().sum())
    caption = (
        f"Change of each subset against change of each score and measured value{of_cohort(cohort)}: Spearman's rho, "
        f"with n patients in each cell. Exploratory: {len(shown)} of the {n_all} correlations "
        "looked at, none adjusted for the others: among so many, of so few patients, large ones come by chance. "
        "Intervals are in tables/correlations.csv."
    )
    draw = _draw(values, words.fillna("–"), "Spearman's rho", 1.0, "EXPLORATORY")
    yield ReportFigure(figure_name("correlations", cohort), "clinic", caption, draw, shown, wide=True)


FIGURES = FigureSet(40, per_cohort=matrix_figures)
