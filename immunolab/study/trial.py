"""The design of a trial: doses, visits, phases and endpoints, every one with its source.

A design is a YAML file (schema ``immunolab.trial/1``, see docs/trial_file.md). Study day 1 is the
first dose and there is no day 0; the visit of week w is planned for day 7 w + 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from immunolab.config import Document, Place, build_as_meant, read_package_yaml, read_yaml
from immunolab.errors import InputError, Problem, nearest
from immunolab.study.arms import TrialArms
from immunolab.study.endpoints import AnyEndpoint, Endpoint, endpoint_problems, expanded
from immunolab.study.families import DeclaredFamily, family_problems
from immunolab.study.intercurrent import Estimand, estimand_problems
from immunolab.study.names import name_problems

PhaseName = Literal["baseline", "on_treatment", "follow_up"]
_PACKAGE = "immunolab.study.trials"


@dataclass(frozen=True)
class Statement:
    """A fact as the sources state it; ``value`` may be null, alternatives are beside it."""

    what: str
    source: str
    value: Any = None
    alternatives: tuple[Any, ...] = ()
    note: str = ""
    verified: bool = True


@dataclass(frozen=True)
class Segment:
    """A stretch of the calendar; a sample shortly after one of its doses has ``cycle_state``."""

    name: str
    first_day: int
    last_day: int
    cycle_state: str = "peak"


@dataclass(frozen=True)
class Dosing:
    """The planned calendar.

    Attributes
    ----------
    days
        Study days with a dose.
    optional_days
        Days of further cycles that some patients receive.
    dose_miu, basis
        Million units, per injection (flat) or per square metre; ``ambiguous`` when sources differ.
    cycle_days
        Length of a cycle; None for a calendar without cycles.
    peak_within_days
        A sample at most this many days after a dose is at the peak.
    washout_days
        A sample at least this many days after the last dose is off drug.
    same_day_sample
        Whether a sample of a dosing day is taken before or after that day's dose.
    """

    drug: str
    days: tuple[int, ...]
    source: str
    dose_miu: float | None = None
    basis: Literal["flat", "per_m2", "ambiguous"] | None = None
    basis_alternatives: tuple[str, ...] = ()
    route: str | None = None
    optional_days: tuple[int, ...] = ()
    cycle_days: int | None = None
    segments: tuple[Segment, ...] = ()
    peak_within_days: int = 3
    washout_days: int = 28
    same_day_sample: Literal["before_dose", "after_dose"] = "before_dose"
    note: str = ""


@dataclass(frozen=True)
class Phase:
    """A named period. With ``follows_doses`` it ends later for a patient with doses beyond the calendar."""

    first_day: int
    last_day: int
    source: str
    follows_doses: bool = False
    note: str = ""


@dataclass(frozen=True)
class Visit:
    """A planned visit; the window holds its first and last study day."""

    name: str
    target_day: int
    window: tuple[int, int]
    phase: PhaseName
    source: str
    window_source: str = ""
    optional: bool = False
    note: str = ""


@dataclass(frozen=True)
class Selection:
    """A measure by which patients were chosen for the trial: at least, or at most, a value at a visit."""

    measure: str
    visit: str
    source: str
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""

    @property
    def rule(self) -> str:
        """Return ``SELENA_SLEDAI of 8 or more``."""
        high = self.at_least is not None
        return f"{self.measure} of {self.at_least if high else self.at_most:g} or {'more' if high else 'less'}"


@dataclass(frozen=True)
class Trial:
    """A trial's design.

    ``visits`` includes the optional ones; ``families`` are tested in their order. ``subgroups`` names columns of the
    sample sheet (a diagnosis) by which changes are described; ``covariates`` names measured variables shown beside the
    endpoints; ``arms`` says which cohorts are compared with which, None for a trial of one arm. ``estimand`` is None
    where the file declares none: every value is then taken as it is. ``selection`` says by which
    values patients were chosen.
    """

    schema: Literal["immunolab.trial/1"]
    id: str
    title: str
    dosing: Dosing
    phases: dict[str, Phase]
    visits: tuple[Visit, ...]
    endpoints: tuple[AnyEndpoint, ...]
    families: tuple[DeclaredFamily, ...] = ()
    registry: str | None = None
    condition: str | None = None
    covariates: tuple[str, ...] = ()
    subgroups: tuple[str, ...] = ()
    estimand: Estimand | None = None
    arms: TrialArms | None = None
    selection: tuple[Selection, ...] = ()
    statements: tuple[Statement, ...] = ()
    file: str = field(default="", compare=False)

    def __repr__(self) -> str:
        endpoints = self.expanded_endpoints()
        primary = sum(endpoint.role == "primary" for endpoint in endpoints)
        visits = f"{len(self.visits)} visits ({', '.join(self.visit_names)})"
        return f"Trial {self.id}: {visits}, {len(endpoints)} endpoints, {primary} of them primary"

    def _repr_html_(self) -> str:
        """Show the visits with their days and phases, and the endpoints with their roles and contrasts."""
        days = [(v.name, v.target_day, f"{v.window[0]} to {v.window[1]}", v.phase) for v in self.visits]
        asked = [(e.id, e.label, e.role, e.registered or " ".join(e.timing)) for e in self.expanded_endpoints()]
        visits = _html_table(("visit", "study day", "window, study days", "phase"), days)
        endpoints = _html_table(("endpoint", "measured", "role", "contrast or visits"), asked)
        return f"<p>{escape(repr(self))}</p>{visits}{endpoints}"

    @property
    def visit_names(self) -> tuple[str, ...]:
        """Names of the visits in calendar order."""
        return tuple(visit.name for visit in self.visits)

    @property
    def target_days(self) -> dict[str, int]:
        """Planned study day by name of the visit, in calendar order."""
        return {visit.name: visit.target_day for visit in self.visits}

    @property
    def phase_of_visit(self) -> dict[str, PhaseName]:
        """Phase by name of the visit, in calendar order."""
        return {visit.name: visit.phase for visit in self.visits}

    def visit(self, name: str) -> Visit:
        """Return a visit by name.

        Raises
        ------
        KeyError
            The trial has no such visit.
        """
        found = self.find_visit(name)
        if found is None:
            raise KeyError(name)
        return found

    def find_visit(self, name: str) -> Visit | None:
        """Return a visit by name, or None."""
        return next((visit for visit in self.visits if visit.name == name), None)

    def visit_on(self, day: int) -> Visit | None:
        """Return the visit whose window holds a study day, or None between visits."""
        return next((v for v in self.visits if v.window[0] <= day <= v.window[1]), None)

    def describe_gap(self, day: int) -> str:
        """Return which visits a day of no visit is between: ``between W6 [41, 45] and W8 [54, 57]``."""
        before = [v for v in self.visits if v.window[1] < day]
        after = [v for v in self.visits if v.window[0] > day]
        if before and after:
            return f"between {_spell(before[-1])} and {_spell(after[0])}"
        return f"after {_spell(before[-1])}" if before else f"before {_spell(after[0])}"

    def expanded_endpoints(self) -> tuple[Endpoint, ...]:
        """Return every endpoint with one denominator each; an endpoint declared twice is kept once."""
        return expanded(self.endpoints)


def _html_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows]
    return f"<table><tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr>{''.join(lines)}</table>"


def _spell(visit: Visit) -> str:
    return f"{visit.name} [{visit.window[0]}, {visit.window[1]}]"


def builtin_trials() -> tuple[str, ...]:
    """Return the ids of the designs shipped with immunolab."""
    names = (item.name for item in files(_PACKAGE).iterdir() if item.name.endswith(".yaml"))
    return tuple(sorted(name.removesuffix(".yaml") for name in names))


def load_trial(name: str | Path) -> Trial:
    """Return a design by built-in id, or from a YAML file.

    Parameters
    ----------
    name
        Id of a built-in design, or the path of a YAML file.

    Returns
    -------
    Trial
        Calendar, visits and endpoints.

    Raises
    ------
    InputError
        Unknown id, unreadable file, or every fault of the design with its line.

    Examples
    --------
    >>> il.load_trial("sle_nct02084238")
    Trial sle_nct02084238: 7 visits (W0, W2, W4, W6, W8, W10, W24), 20 endpoints, 1 of them primary
    """
    if str(name) in builtin_trials():
        return _checked(read_package_yaml(_PACKAGE, f"{name}.yaml"))
    if Path(name).suffix.lower() in (".yaml", ".yml"):
        return _checked(read_yaml(name))
    known = builtin_trials()
    hint = f"{nearest(str(name), known)} built-in: {', '.join(known)}; or name a YAML file".strip()
    raise InputError(Problem("", "", f"unknown trial '{name}'", hint))


def _checked(document: Document) -> Trial:
    read, faults = build_as_meant(Trial, document)
    if read is None:
        raise InputError(faults)
    trial = replace(read, file=document.file)
    problems = [
        *faults,
        *name_problems(_names(trial), document),
        *_calendar_problems(trial, document),
        *endpoint_problems(trial.endpoints, trial.phase_of_visit, document),
        *_selection_problems(trial, document),
        *estimand_problems(trial.estimand, trial.endpoints, trial.expanded_endpoints(), document),
        *family_problems(trial.families, trial.expanded_endpoints(), document),
    ]
    if problems:
        raise InputError(problems)
    ordered = sorted(trial.visits, key=lambda visit: visit.target_day)
    return replace(trial, visits=tuple(ordered))


def _names(trial: Trial) -> Iterator[tuple[Place, str]]:
    yield ("id",), trial.id
    yield from ((("visits", i, "name"), visit.name) for i, visit in enumerate(trial.visits))
    yield from ((("endpoints", i, "id"), endpoint.id) for i, endpoint in enumerate(trial.endpoints))
    yield from ((("families", i, "name"), family.name) for i, family in enumerate(trial.families))


def _calendar_problems(trial: Trial, document: Document) -> Iterator[Problem]:
    for name in ("days", "optional_days"):
        days = getattr(trial.dosing, name)
        if list(days) != sorted(set(days)) or any(day < 1 for day in days):
            text = "dose days must rise, each once, from day 1 on"
            yield document.problem(("dosing", name), text, "day 1 is the first dose; there is no day 0")
    for name in trial.phases:
        if name not in ("baseline", "on_treatment", "follow_up"):
            text = f"unknown phase '{name}'"
            yield document.problem(("phases", name), text, "phases: baseline, on_treatment, follow_up")
    taken: dict[str, Visit] = {}
    for i, visit in enumerate(trial.visits):
        place = ("visits", i)
        if visit.name in taken:
            yield document.problem((*place, "name"), f"visit '{visit.name}' is duplicated", "keep one of them")
        if len(visit.window) != 2 or not visit.window[0] <= visit.target_day <= visit.window[1]:
            text = f"the window must be [first day, last day] around day {visit.target_day}"
            yield document.problem((*place, "window"), text, f"for example {_window_around(visit.target_day)}")
        elif 0 in (*visit.window, visit.target_day):
            yield document.problem((*place, "window"), "there is no study day 0", "the day before day 1 is day -1")
        else:
            yield from _overlaps(visit, taken, document, place)
        if visit.phase not in trial.phases:
            yield document.problem((*place, "phase"), f"phase '{visit.phase}' has no days", "declare it under phases")
        taken[visit.name] = visit


def _window_around(day: int) -> list[int]:
    """Return three days either side of a study day, for a hint; there is no day 0."""
    return [end or -1 for end in (day - 3, day + 3)]


def _selection_problems(trial: Trial, document: Document) -> Iterator[Problem]:
    before = [visit.name for visit in trial.visits if visit.phase == "baseline"]
    for i, one in enumerate(trial.selection):
        if (one.at_least is None) == (one.at_most is None):
            text = f"{one.measure}: one limit is needed"
            yield document.problem(("selection", i), text, "at_least: 8, or at_most: 142")
        if one.visit not in before:
            text = f"'{one.visit}' is no visit of the baseline phase"
            yield document.problem(("selection", i, "visit"), text, f"visits of it: {', '.join(before) or 'none'}")


def _overlaps(
    visit: Visit, taken: dict[str, Visit], document: Document, place: tuple[str | int, ...]
) -> Iterator[Problem]:
    for other in taken.values():
        if len(other.window) == 2 and visit.window[0] <= other.window[1] and other.window[0] <= visit.window[1]:
            text = f"window {list(visit.window)} overlaps that of {other.name}, {list(other.window)}"
            yield document.problem((*place, "window"), text, "a day may belong to one visit only")
