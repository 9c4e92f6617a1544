"""Stimulated tubes against their unstimulated controls, patient by patient."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from immunolab.plots.stimulation import stimulation_height, stimulation_plot
from immunolab.plots.style import WIDTH
from immunolab.report.figure import ROWS_OF_PATIENTS, FigureSet, ReportFigure, figure_name, of_cohort, on_axes
from immunolab.results.cohort_rows import in_cohort
from immunolab.results.run import Run


def stimulation_figures(run: Run, cohort: str) -> Iterator[ReportFigure]:
    """Yield, for each endpoint of stimulated tubes, the differences of a cohort's patients with their calls."""
    table = run.table("stimulation")
    own = table[in_cohort(table, cohort)]
    for endpoint, rows in own.groupby("endpoint", sort=False):
        declared = run.declared[str(endpoint)]
        shown = rows[rows["patient_id"].isin(list(dict.fromkeys(rows["patient_id"]))[:ROWS_OF_PATIENTS])]
        cv, source = rows["tube_cv"].iloc[0], rows["tube_source"].iloc[0]
        n = rows["patient_id"].nunique()
        caption = (
            f"{declared.label}{of_cohort(cohort)}, percentage points with 95 % intervals; n = {n} patients. Filled, a "
            f"response: the interval is above 0. Limits from counting and {cv:.0f} % between tubes ({source}); "
            "negative differences are kept."
        )
        draw = partial(
            on_axes, partial(stimulation_plot, shown, f"{declared.label}, points"), WIDTH, stimulation_height(shown)
        )
        yield ReportFigure(
            figure_name("stimulation", cohort, str(endpoint)),
            declared.role,
            caption,
            draw,
            shown,
            wide=True,
            cohort=cohort,
        )


FIGURES = FigureSet(35, per_cohort=stimulation_figures)
