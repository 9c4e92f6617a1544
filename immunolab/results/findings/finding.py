"""What a run found of one registered endpoint, in words for a reader and in a line for a statistician."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from immunolab.study.endpoints import Role

Verdict = Literal["supports", "against", "unclear", "no_claim", "described", "not_measured"]


@dataclass(frozen=True)
class Absence:
    """A patient who is not in an endpoint's n, and why.

    Attributes
    ----------
    patient_id
        As in the sample sheet.
    reason
        In words: ``died on day 221``, ``no sample at W10``, ``sample P01_W10 failed: the file is cut short``.
    """

    patient_id: str
    reason: str


def in_words(absences: Iterable[Absence]) -> str:
    """Return ``P1, P3 (why); P2 (other reason)``: patients of one reason together."""
    by_reason: dict[str, list[str]] = {}
    for one in absences:
        by_reason.setdefault(one.reason, []).append(one.patient_id)
    return "; ".join(f"{', '.join(patients)} ({reason})" for reason, patients in by_reason.items())


@dataclass(frozen=True)
class EndpointFinding:
    """What a run found of one registered endpoint in one cohort.

    Attributes
    ----------
    endpoint
        Id as the trial file declares it.
    cohort
        "" where the sheet has no cohorts.
    name
        How the endpoint is written: ``Treg, % of CD4+ T cells``.
    role
        As registered.
    visits
        Registered visits.
    measured_as
        Ids of the compared endpoints behind it: itself, or one a variable of a group; empty where nothing was measured.
    plain
        One sentence for a reader: how much, in what units, in how many of how many patients, with the interval, and
        what it means for the registered direction.
    verdict
        What it means for the registered direction: ``supports``, ``against``, ``unclear`` (the interval includes no
        change, or it does not outlast adjustment), ``no_claim`` (a change, and no direction was registered),
        ``described`` (counted, not tested), ``not_measured``.
    n, of
        Patients in the number, and patients of the cohort.
    missing
        The others, in the order of the sheet.
    statistics
        One line for a statistician: test, scale, estimate, p, q.
    beside
        Further sentences for a reader that belong to this number: contradictions, dependence on gates.
    """

    endpoint: str
    cohort: str
    name: str
    role: Role
    visits: tuple[str, ...]
    measured_as: tuple[str, ...]
    plain: str
    verdict: Verdict
    n: int
    of: int
    missing: tuple[Absence, ...] = ()
    statistics: str = ""
    beside: tuple[str, ...] = ()

    @property
    def figure(self) -> str:
        """Id of the endpoint whose estimation figure is shown beside it; "" where it has none of its own."""
        return self.measured_as[0] if len(self.measured_as) == 1 else ""

    @property
    def missing_in_words(self) -> str:
        """``Without: ALS003 (died on day 221).``; "" where nobody is missing; patients of one reason together."""
        return f"Without: {in_words(self.missing)}." if self.missing else ""
