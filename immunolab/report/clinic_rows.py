"""What the clinic measured, in the order it is read: scores, steroid, single values, then groups of values."""

from __future__ import annotations

from itertools import count

import pandas as pd

from immunolab.results.cohort_rows import in_cohort
from immunolab.results.run import Run

CLINIC = "clinic"


def clinic_rows(run: Run, cohort: str) -> pd.DataFrame:
    """Return ENDPOINTS rows of a cohort's scores and measured values, and of what is shown beside them.

    Parameters
    ----------
    run
        The finished run.
    cohort
        Its name; "" where the sheet has no cohorts.

    Returns
    -------
    DataFrame
        The rows with a column ``group``: ``clinic``, or the endpoint that names several variables at once (a panel of
        cytokines). Scores come first, then covariates (the steroid), single values, groups. Responses, events, assays
        and slopes are left out: they are no course; what slopes are fitted to is among the scores.
    """
    rows = run.endpoints
    courses = [
        name
        for name in dict.fromkeys(rows.loc[rows["n_events"].isna(), "endpoint"])
        if name not in run.declared or run.declared[name].is_course
    ]
    context = run.table("context")
    both = pd.concat([frame for frame in (rows[rows["endpoint"].isin(courses)], context) if len(frame)] or [context])
    both = both[in_cohort(both, cohort)]
    scores = set(run.table("scores")["score"])
    covariates = run.study.trial.covariates if run.study.trial else ()
    groups = _groups(run)
    place = count()
    rank = {
        name: (name in groups, population not in scores, population not in covariates, next(place))
        for name, population in both[["endpoint", "population"]].drop_duplicates().itertuples(index=False)
    }
    order = {name: i for i, name in enumerate(sorted(rank, key=lambda name: rank[name]))}
    ordered = both.assign(
        group=[groups.get(name, CLINIC) for name in both["endpoint"]], order=both["endpoint"].map(order)
    )
    return ordered.sort_values("order", kind="stable").drop(columns="order").reset_index(drop=True)


def _groups(run: Run) -> dict[str, str]:
    """Return the declared group of each endpoint that is one of several variables."""
    declared = run.study.trial.endpoints if run.study.trial else ()
    return {one.id: endpoint.id for endpoint in declared for one in endpoint.expanded() if one.id != endpoint.id}
