"""The report's table of gates that a reader placed."""

from __future__ import annotations

from immunolab.report.html_table import Grid, grid
from immunolab.results.run import Run
from immunolab.schema.overrides import REASONS
from immunolab.vocabulary.display_names import display_name

_COLUMNS = {
    "sample_id": "Sample",
    "name": "Population",
    "status": "Status",
    "automatic": "Automatic gate",
    "override": "Reader's gate",
    "percent_before": "% of parent, automatic",
    "percent_after": "% of parent now",
    "why": "Reason",
    "reader": "Reader",
    "at": "When",
    "message": "What to know",
}


def overrides_grid(run: Run) -> Grid:
    """Return a row for each override: what it replaced, why, and what it did to the percentage.

    Parameters
    ----------
    run
        The finished run.
    """
    frame = run.overrides.copy()
    frame["name"] = [display_name(name) for name in frame["population"]]
    comments = frame["comment"].fillna("")
    frame["why"] = [
        f"{REASONS.get(word, word)}{': ' if said else ''}{said}"
        for word, said in zip(frame["reason"], comments, strict=True)
    ]
    order = {"stale": 0, "applied": 1, "replaced": 2}
    frame = frame.sort_values("status", key=lambda column: column.map(order), kind="stable")
    return grid(frame, _COLUMNS, empty="No gate was placed by a reader.", alarms=("message",))
