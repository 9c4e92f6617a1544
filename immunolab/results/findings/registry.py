"""The registered endpoints, primary first, each role in the order of the trial file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from immunolab.results.run import Run
from immunolab.study.endpoints import Endpoint

_RANK = {"primary": 0, "secondary": 1, "exploratory": 2}


def registered(run: Run) -> tuple[Endpoint, ...]:
    """Return the endpoints as the trial file registers them, primary first, each role in the order of the file.

    Parameters
    ----------
    run
        The finished run; without a trial, what study.yaml declares, else what was compared.
    """
    declared: Iterable[Endpoint] = run.study.trial.endpoints if run.study.trial else ()
    known = {one.id for endpoint in declared for one in endpoint.expanded()} | {e.id for e in declared}
    added = [e for e in run.study.endpoints if not e.family and not e.repeats and e.id not in known]
    own = (replace(e, role=run.declared[e.id].role) if e.id in run.declared else e for e in declared)
    every = (*own, *(e for e in added if not _beside(e)))
    return tuple(sorted(every, key=lambda endpoint: _RANK[endpoint.role]))


def _beside(endpoint: Endpoint) -> bool:
    """Return whether an endpoint is shown beside a registered one: another denominator, or cells per microlitre."""
    return endpoint.parent_source.startswith("beside ") or endpoint.note == "guards against closure"
