"""Which subsets of single cells a run compared the genes of."""

from __future__ import annotations

from immunolab.results.run import Run
from immunolab.schema.cells import EXPRESSION

_BEGIN = EXPRESSION.name.removesuffix("*")


def compared_subsets(run: Run) -> dict[str, str]:
    """Return the table of each subset whose genes were compared, by the subset's name.

    Parameters
    ----------
    run
        A finished run.
    """
    return {name.removeprefix(_BEGIN): name for name in sorted(run.tables) if name.startswith(_BEGIN)}
