"""The sentence of a registered endpoint that names several variables at once, as a panel of cytokines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from immunolab.comparison.estimate import ALPHA
from immunolab.plots.numbers import p_text
from immunolab.results.findings.finding import Absence, EndpointFinding, Verdict
from immunolab.results.findings.paired import paired_finding, visit_change
from immunolab.results.findings.words import capital, endpoint_name, listed
from immunolab.results.run import Run
from immunolab.results.sentences import direction
from immunolab.study.endpoints import Endpoint
from immunolab.vocabulary.display_names import display_name


def group_finding(
    run: Run, cohort: str, endpoint: Endpoint, members: Sequence[tuple[Endpoint, pd.Series]]
) -> EndpointFinding:
    """Return how many variables of a group changed, and how.

    Parameters
    ----------
    run
        The finished run.
    cohort
        Its name; "" where the sheet has no cohorts.
    endpoint
        As registered, with all its variables.
    members
        Each variable that was compared, with its row of SHIFTS; one at least.
    """
    single = [paired_finding(run, cohort, one, row) for one, row in members]
    least = min(single, key=lambda one: one.n)
    clear = [(one, row) for one, row in members if _clear(row)]
    group, n = display_name(endpoint.id), len(members)
    names = {one.id: one.label if one.share else display_name(one.fitted) for one, _ in members}
    if clear:
        texts = [visit_change(run, cohort, one, row) for one, row in clear]
        plain = f"{len(clear)} of {n} {group} changed clearly. {'. '.join(texts)}"
    else:
        plain = f"None of {n} {group} changed clearly once all endpoints tested together are counted"
    untested = [names[one.id] for one, row in members if pd.isna(row["p_value"])]
    if len(untested) == n:
        plain = f"None of {n} {group} could be tested"
    elif untested:
        plain = f"{plain}. {len(untested)} of the {n} could not be tested: {listed(untested)}"
    return replace(
        least,
        endpoint=endpoint.id,
        name=capital(endpoint_name(endpoint)),
        role=endpoint.role,
        measured_as=tuple(one.id for one, _ in members),
        plain=f"{plain}.",
        verdict=_verdict([one.verdict for one in single]),
        missing=_missing(single, names),
        statistics=_line(members, names),
        beside=tuple(text for one in single for text in one.beside if one.verdict == "supports"),
    )


def _verdict(single: Sequence[Verdict]) -> Verdict:
    """Return the verdict of the group: what one variable goes against, no other one supports."""
    every: tuple[Verdict, ...] = ("against", "supports", "no_claim")
    return next((verdict for verdict in every if verdict in single), "unclear")


def _clear(row: pd.Series) -> bool:
    return direction(row) in ("rose", "fell") and not row["q_value"] >= ALPHA


def _missing(single: Sequence[EndpointFinding], names: dict[str, str]) -> tuple[Absence, ...]:
    """Return the patients missing from any variable, and from which where it is not all of them."""
    reasons: dict[str, dict[str, list[str]]] = {}
    for one in single:
        for absent in one.missing:
            reason = absent.reason.replace(f"{names[one.endpoint]} not measured", "not measured")
            reasons.setdefault(absent.patient_id, {}).setdefault(reason, []).append(names[one.endpoint])
    found = []
    for patient, by_reason in reasons.items():
        texts = [r if len(of) == len(single) else f"{listed(of)}: {r}" for r, of in by_reason.items()]
        found.append(Absence(patient, "; ".join(texts)))
    return tuple(found)


def _line(members: Sequence[tuple[Endpoint, pd.Series]], names: dict[str, str]) -> str:
    tested = [(names[one.id], row) for one, row in members if not pd.isna(row["p_value"])]
    if not tested:
        return "None was tested."
    name, row = min(tested, key=lambda pair: pair[1]["p_value"])
    ns = sorted({int(row["n_pairs"]) for _, row in members})
    n = f"n = {ns[0]}" + (f" to {ns[-1]}" if len(ns) > 1 else "")
    least = f"smallest {p_text(row['p_value'])}, {p_text(row['q_value'], 'q')} ({name}, {row['method']})"
    return f"{n}; {least}; {row['adjustment']}; each is in the table of all endpoints."
