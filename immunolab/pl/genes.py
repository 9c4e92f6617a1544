"""Genes of a subset: of a finished run, or of what `immunolab.compare_expression` compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from immunolab.cells.compare import Expression
from immunolab.errors import InputError, Problem
from immunolab.pl.outcomes import chosen_cohort
from immunolab.pl.subject import one_of
from immunolab.plots import genes
from immunolab.plots.style import style
from immunolab.results.cohort_rows import in_cohort
from immunolab.results.compared_genes import compared_subsets
from immunolab.results.run import Run

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@style()
def volcano(
    result: Run | Expression, subset: str = "", *, cohort: str | None = None, names: int = 8, ax: Axes | None = None
) -> Axes:
    """Draw how far each gene of a subset changed between two visits against how sure that is.

    Parameters
    ----------
    result
        A finished run with single cells, or what `immunolab.compare_expression` returned.
    subset
        Whose genes; needed for a run that compared those of several.
    cohort
        Its name; needed where there are several.
    names
        Genes named at either side.
    ax
        Axes to draw on; None makes a new figure.

    Returns
    -------
    Axes
        The axes drawn on.

    Raises
    ------
    InputError
        There is no such subset or cohort, or several and none named.
    """
    table = _table(result, subset)
    return genes.volcano(table[in_cohort(table, chosen_cohort(table, cohort))], names=names, ax=ax)


def _table(result: Run | Expression, subset: str) -> pd.DataFrame:
    """Return the genes of a subset: the one named, or the only one."""
    if isinstance(result, Expression):
        tables = {result.population: result.table}
    elif isinstance(result, Run):
        tables = {name: result.table(stored) for name, stored in compared_subsets(result).items()}
    else:
        hint = "pass what immunolab.compare_expression or immunolab.run returned"
        raise InputError(Problem("", "result", f"{type(result).__name__} is no comparison of genes", hint))
    if not tables:
        raise InputError(Problem("", "result", "the run has no single cells whose genes are compared"))
    if not subset and len(tables) > 1:
        hint = f"name one: subset='{next(iter(tables))}'; there are: {', '.join(tables)}"
        raise InputError(Problem("", "subset", f"genes of {len(tables)} subsets were compared", hint))
    return tables[one_of(subset, tables, "subset", "subset") if subset else next(iter(tables))]
