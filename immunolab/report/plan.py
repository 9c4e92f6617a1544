"""The locked analysis plan on the page: one line of the first screen, and a section with each deviation."""

from __future__ import annotations

from typing import Any

from immunolab.analysis_plan.seen import plan_in_words
from immunolab.report.html_table import Grid, grid
from immunolab.results.run import Run
from immunolab.schema.plan import STATUSES

_ON_FIRST_SCREEN = 3  # deviations said there in words (judgement: two lines); all are in the section
_HEADINGS = {
    "planned": "Planned",
    "changed": "Planned, changed since",
    "exploratory": "Exploratory",
    "left_out": "Left out",
}
_ENDPOINTS = {"label": "Endpoint", "role": "Role", "planned_role": "Role as planned", "words": "Not as planned"}
_DEVIATIONS = {"words": "Deviation", "area": "Concerns", "planned": "Planned", "now": "Now", "endpoints": "Endpoints"}
_LIMIT = (
    "A locked plan shows what was written down when; it supports an audit trail. It is as good as the moment: plan and "
    "log hold the times and names that were given, and cannot show what was known when the plan was locked."
)


def plan_section(run: Run) -> dict[str, Any] | None:
    """Return what the page says of the locked plan; None for a study without one.

    Parameters
    ----------
    run
        The finished run.

    Returns
    -------
    dict or None
        ``line`` and ``first`` for the first screen, ``locked`` and ``limit`` in words, ``deviations`` and ``groups``
        of endpoints as tables, ``number`` of deviations.
    """
    if run.plan is None:
        return None
    endpoints, deviating = run.table("plan_endpoints"), run.table("plan_deviations")
    words = [str(one) for one in deviating["words"]]
    return {
        "line": plan_in_words(run.plan, endpoints, deviating),
        "first": words[:_ON_FIRST_SCREEN],
        "number": len(words),
        "locked": _locked(run),
        "limit": _LIMIT,
        "deviations": _deviations(run),
        "groups": [
            {"status": status, "title": f"{_HEADINGS[status]}: {STATUSES[status]}", "grid": _endpoints(run, status)}
            for status in STATUSES
            if (endpoints["status"] == status).any()
        ],
    }


def plan_status(run: Run) -> dict[str, tuple[str, str]]:
    """Return what each endpoint is to the locked plan, and why, by endpoint id; empty without a plan.

    Parameters
    ----------
    run
        The finished run.
    """
    rows = run.table("plan_endpoints").fillna({"words": ""})
    return {str(r.endpoint): (str(r.status), str(r.words)) for r in rows.itertuples()}


def _locked(run: Run) -> str:
    plan = run.plan
    if plan is None:
        return ""
    why = f" Reason for locking again: {plan.reason}." if plan.reason else ""
    own = run.versions.get("immunolab", "")
    other = f" This run is of immunolab {own}." if own != plan.version else ""
    made = f"locked by {plan.by} on {plan.at} with immunolab {plan.version}, sha256 {plan.sha256}"
    return f"Plan {plan.number}, {made}.{why}{other}"


def _deviations(run: Run) -> Grid:
    frame = run.table("plan_deviations")
    frame = frame.assign(endpoints=[_named(run, value) for value in frame["endpoints"]])
    return grid(frame, _DEVIATIONS, empty="The study is as in the locked plan.")


def _named(run: Run, value: object) -> str | None:
    names = str(value).split(";") if isinstance(value, str) and value else []
    return "; ".join(run.label_of(name).short for name in names) or None


def _endpoints(run: Run, status: str) -> Grid:
    frame = run.table("plan_endpoints")
    own = frame[frame["status"] == status]
    own = own.assign(label=[run.label_of(str(name)).axis for name in own["endpoint"]])
    same = (own["role"] == own["planned_role"]).all()
    columns = {
        name: head
        for name, head in _ENDPOINTS.items()
        if own[name].notna().any() and not (same and name == "planned_role")
    }
    return grid(own, columns)
