"""Genes of subsets of single cells: changes between the compared visits."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from immunolab.plots.genes import VOLCANO, volcano
from immunolab.report.figure import FigureSet, ReportFigure, figure_name, of_cohort, on_axes
from immunolab.results.cohort_rows import in_cohort
from immunolab.results.compared_genes import compared_subsets
from immunolab.results.run import Run


def gene_figures(run: Run, cohort: str) -> Iterator[ReportFigure]:
    """Yield the volcano of each subset whose genes were tested.

    Parameters
    ----------
    run
        The finished run.
    cohort
        Name of the cohort; empty in a study without cohorts.
    """
    for subset, name in compared_subsets(run).items():
        table = run.table(name)
        own = table[in_cohort(table, cohort)]
        tested = own[own["p_value"].notna()]
        if tested.empty:
            continue
        first = tested.iloc[0]
        sure = tested["q_value"] < 0.05
        up, down = (int((sure & (side * tested["log2_fold"] > 0)).sum()) for side in (1, -1))
        caption = (
            f"Genes of {subset}{of_cohort(cohort)}, {first['contrast']}: change of log2 counts per million within "
            f"{int(first['n_pairs'])} patients against p. Each patient's cells are added up first. {first['method']}; "
            f"{len(tested):,} of {len(own):,} genes have counts enough to be tested; q < 0.05: {up} higher, {down} "
            f"lower (Benjamini-Hochberg over the tested genes). Exploratory. All genes are in tables/{name}.csv."
        )
        draw = partial(on_axes, partial(volcano, tested), *VOLCANO)
        yield ReportFigure(figure_name("genes", subset, cohort), "exploratory", caption, draw, tested, cohort=cohort)


FIGURES = FigureSet(28, per_cohort=gene_figures)
