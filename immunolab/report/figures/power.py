"""What the next cohort could find, by its size: primary and secondary endpoints, else exploratory ones."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from immunolab.plots.power import MOST_PANELS, power_panels
from immunolab.report.figure import FigureSet, ReportFigure, figure_name, of_cohort
from immunolab.results.cohort_rows import in_cohort
from immunolab.results.run import Run


def power_figures(run: Run, cohort: str) -> Iterator[ReportFigure]:
    """Yield the power of a cohort's successor after adjustment over the family."""
    table = run.table("power_in_family")
    own = table[in_cohort(table, cohort)]
    if own.empty:
        return
    registered = own[own["role"] != "exploratory"]
    chosen = registered if len(registered) else own
    endpoints = list(dict.fromkeys(chosen["endpoint"]))
    rows = chosen[chosen["endpoint"].isin(endpoints[:MOST_PANELS])]
    left_out = f" The first {MOST_PANELS} of {len(endpoints)} endpoints." if len(endpoints) > MOST_PANELS else ""
    assumed = " Effects not declared in study.yaml are assumed." if (rows["effect_from"] == "assumed").any() else ""
    rules, first = "; ".join(dict.fromkeys(rows["adjustment"])), rows.iloc[0]
    caption = (
        f"Power of a next cohort by patients{of_cohort(cohort)}, after the adjustment of this study ({rules}), from "
        f"{first['n_sims']:,} simulated cohorts a size (seed {first['seed']}); all endpoints of a family have their "
        "effects at once. Band: at the 80 % limits of the observed spread; dashed: assurance, the mean over spreads "
        f"that fit.{assumed}{left_out}"
    )
    draw = partial(power_panels, rows, run.labels)
    yield ReportFigure(figure_name("power", cohort), "cohort", caption, draw, rows, wide=True, cohort=cohort)


FIGURES = FigureSet(25, per_cohort=power_figures)
