"""Values of a study with one visit: every patient a point, the median, no comparison."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from immunolab.plots.numbers import number
from immunolab.plots.style import HALF, MM
from immunolab.plots.values import n_of_patients, value_strip
from immunolab.report.figure import FigureSet, ReportFigure, figure_name, of_cohort, on_axes
from immunolab.results.cohort_rows import in_cohort
from immunolab.results.run import Run


def one_visit_figures(run: Run, cohort: str) -> Iterator[ReportFigure]:
    """Yield the values of every endpoint of a cohort where the run has one visit."""
    rows = run.endpoints
    own = rows[in_cohort(rows, cohort) & rows["value"].notna()]
    if rows["visit"].nunique() != 1:
        return
    for endpoint, values in own.groupby("endpoint", sort=False):
        named = run.label_of(str(endpoint))
        declared = run.declared.get(str(endpoint))
        visit = values["visit"].iloc[0]
        middle, low, high = (number(x) for x in values["value"].quantile([0.5, 0.0, 1.0]))
        caption = (
            f"{named.axis}, at the one visit {visit}{of_cohort(cohort)}: described, not compared. Points, patients, "
            f"open where below what can be quantified; bar, median {middle} (range {low} to {high}); "
            f"{n_of_patients(values)}."
        )
        draw = partial(on_axes, partial(value_strip, values, named), HALF, 62 * MM)
        section = declared.role if declared else "exploratory"
        yield ReportFigure(
            figure_name("one_visit", cohort, str(endpoint)), section, caption, draw, values, cohort=cohort
        )


FIGURES = FigureSet(15, per_cohort=one_visit_figures)
