"""Genes of a subset: of a finished run, or of what `immunolab.compare_expression` compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from immunolab.cells.compare import Expression
from immunolab.errors import InputError, Problem, nearest
from immunolab.pl.outcomes import chosen_cohort
from immunolab.plots import genes
from immunolab.plots.style import style
from immunolab.results.run import Run, in_cohort

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BEGIN = "expression_"


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
    if isinstance(result, Expression):
        table = result.table
    elif isinstance(result, Run):
        known = {name.removeprefix(_BEGIN): name for name in result.tables if name.startswith(_BEGIN)}
        chosen = subset or (next(iter(known)) if len(known) == 1 else "")
        if chosen not in known:
            there = ", ".join(known) or "none: the run has no single cells whose genes are compared"
            hint = f"{nearest(chosen, known)} there are: {there}".strip()
            raise InputError(Problem("", "subset", f"genes of '{chosen}' were not compared", hint))
        table = result.table(known[chosen])
    else:
        hint = "pass what immunolab.compare_expression or immunolab.run returned"
        raise InputError(Problem("", "result", f"{type(result).__name__} is no comparison of genes", hint))
    return genes.volcano(table[in_cohort(table, chosen_cohort(table, cohort))], names=names, ax=ax)
