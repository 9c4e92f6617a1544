"""The design of a trial: doses, visits, phases and endpoints, every one with its source.

A design is a YAML file (schema ``immunolab.trial/1``, see docs/trial_file.md). Study day 1 is the
first dose and there is no day 0; the visit of week w is planned for day 7 w + 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from immunolab.config import Document, build, read_package_yaml, read_yaml
from immunolab.errors import InputError, Problem, nearest

PhaseName = Literal["baseline", "on_treatment", "follow_up"]
Role = Literal["primary", "secondary", "exploratory"]
Statistic = Literal[
    "percent_of_parent",
    "log_ratio",
    "absolute_count",
    "paired_change",
    "slope_difference",
    "responder_proportion",
    "event_count",
    "time_to_event",
    "assay",
]
Direction = Literal["increase", "decrease", "none", "no_increase", "none_or_decrease", "unstated"]
_PACKAGE = "immunolab.study.trials"
_SHORT = {"lymphocytes": "lymph"}


@dataclass(frozen=True)
class Statement:
    """A fact as the sources state it; ``value`` may be null, alternatives stand beside it."""

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
    days : study days with a dose.
    optional_days : days of further cycles that some patients receive.
    dose_miu, basis : million units, per injection (flat) or per square metre; ``ambiguous`` when sources differ.
    cycle_days : length of a cycle; None for a calendar without cycles.
    peak_within_days : a sample at most this many days after a dose is at the peak.
    washout_days : a sample at least this many days after the last dose is off drug.
    same_day_sample : whether a sample of a dosing day is taken before or after that day's dose.
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
class Endpoint:
    """What the trial compares.

    Exactly one thing is measured: a ``population`` of a ``parent``, the ratio of ``numerator`` to
    ``denominator`` (both of ``parent``), a ``variable`` of the measurements, a clinical ``score``
    or an ``assay``. ``co_report`` names further denominators for the same population: a population
    or ``absolute_count`` (cells per microlitre). ``deaths`` names the time_to_event endpoint whose events rank beyond
    any slope in a sensitivity analysis, for designs that end in follow-up.
    """

    id: str
    statistic: Statistic
    source: str
    role: Role = "secondary"
    population: str | None = None
    parent: str | None = None
    numerator: str | None = None
    denominator: str | None = None
    variable: str | None = None
    variables: tuple[str, ...] = ()
    score: str | None = None
    assay: str | None = None
    unit: str | None = None
    co_report: tuple[str, ...] = ()
    visits: tuple[str, ...] = ()
    contrast: tuple[str, ...] = ()
    periods: tuple[tuple[str, ...], ...] = ()
    deaths: str | None = None
    direction: Direction = "unstated"
    negative_control: bool = False
    parent_source: str = ""
    rule: str = ""
    note: str = ""
    verified: bool = True

    @property
    def kind(self) -> Literal["subset", "measurement", "score", "assay"]:
        """What kind of thing is measured."""
        if self.population or self.numerator:
            return "subset"
        if self.variable or self.variables:
            return "measurement"
        return "score" if self.score else "assay"

    def expanded(self) -> Iterator[Endpoint]:
        """Yield one endpoint a denominator and a variable; a co-reported denominator is exploratory.

        The same subset over two denominators is one hypothesis: the registered one is tested.
        """
        if self.variables:
            for name in self.variables:
                yield replace(self, id=f"{self.id}_{name}", variable=name, variables=())
            return
        yield replace(self, co_report=())
        for parent in self.co_report:
            text = f"beside {self.id}"
            beside = replace(self, role="exploratory", co_report=(), parent_source=text)
            stem = str(self.population).lower()
            if parent == "absolute_count":
                yield replace(beside, id=f"{stem}_per_ul", statistic="absolute_count", parent=None, unit="cells/uL")
            else:
                yield replace(beside, id=f"{stem}_pct_{_SHORT.get(parent, parent.lower())}", parent=parent)


@dataclass(frozen=True)
class Trial:
    """A trial's design.

    ``visits`` includes the optional ones. ``subgroups`` names columns of the sample sheet (a diagnosis) by which
    changes are described; ``covariates`` names measured variables shown beside the endpoints.
    """

    schema: Literal["immunolab.trial/1"]
    id: str
    title: str
    dosing: Dosing
    phases: dict[str, Phase]
    visits: tuple[Visit, ...]
    endpoints: tuple[Endpoint, ...]
    registry: str | None = None
    condition: str | None = None
    covariates: tuple[str, ...] = ()
    subgroups: tuple[str, ...] = ()
    statements: tuple[Statement, ...] = ()
    file: str = field(default="", compare=False)

    @property
    def visit_names(self) -> tuple[str, ...]:
        """Names of the visits in calendar order."""
        return tuple(visit.name for visit in self.visits)

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
        """Return where a day of no visit lies: ``between W6 [41, 45] and W8 [54, 57]``."""
        before = [v for v in self.visits if v.window[1] < day]
        after = [v for v in self.visits if v.window[0] > day]
        if before and after:
            return f"between {_spell(before[-1])} and {_spell(after[0])}"
        return f"after {_spell(before[-1])}" if before else f"before {_spell(after[0])}"

    def expanded_endpoints(self) -> tuple[Endpoint, ...]:
        """Return every endpoint with one denominator each; an endpoint declared twice is kept once."""
        return expanded(self.endpoints)


def expanded(endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    """Return every endpoint with one denominator and variable each; one declared twice is kept once."""
    declared = {_measured(endpoint): endpoint.id for endpoint in endpoints}
    found: dict[tuple[object, ...], Endpoint] = {}
    for endpoint in endpoints:
        for one in endpoint.expanded():
            if declared.get(_measured(one), one.id) == one.id:
                found.setdefault(_measured(one), one)
    return tuple(found.values())


def _spell(visit: Visit) -> str:
    return f"{visit.name} [{visit.window[0]}, {visit.window[1]}]"


def _measured(endpoint: Endpoint) -> tuple[object, ...]:
    e = endpoint
    names = (e.population, e.parent, e.numerator, e.denominator, e.variable, e.score, e.assay)
    return (e.statistic, *names) if any(names) else (e.statistic, e.id)


def builtin_trials() -> tuple[str, ...]:
    """Return the ids of the designs shipped with immunolab."""
    names = (item.name for item in files(_PACKAGE).iterdir() if item.name.endswith(".yaml"))
    return tuple(sorted(name.removesuffix(".yaml") for name in names))


def load_trial(name: str | Path) -> Trial:
    """Return a design by built-in id, or from a YAML file.

    Raises
    ------
    InputError
        Unknown id, unreadable file, or every fault of the design with its line.
    """
    if str(name) in builtin_trials():
        return _checked(read_package_yaml(_PACKAGE, f"{name}.yaml"))
    if Path(name).suffix.lower() in (".yaml", ".yml"):
        return _checked(read_yaml(name))
    known = builtin_trials()
    hint = f"{nearest(str(name), known)} built-in: {', '.join(known)}; or name a YAML file".strip()
    raise InputError(Problem("", "", f"unknown trial '{name}'", hint))


def _checked(document: Document) -> Trial:
    trial = replace(build(Trial, document), file=document.file)
    problems = [*_calendar_problems(trial, document), *endpoint_problems(trial.endpoints, trial, document)]
    if problems:
        raise InputError(problems)
    ordered = sorted(trial.visits, key=lambda visit: visit.target_day)
    return replace(trial, visits=tuple(ordered))


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
            yield document.problem((*place, "name"), f"visit '{visit.name}' stands twice", "keep one of them")
        if len(visit.window) != 2 or not visit.window[0] <= visit.target_day <= visit.window[1]:
            text = f"the window must be [first day, last day] around day {visit.target_day}"
            yield document.problem((*place, "window"), text, "for example [80, 92]")
        elif 0 in (*visit.window, visit.target_day):
            yield document.problem((*place, "window"), "there is no study day 0", "the day before day 1 is day -1")
        else:
            yield from _overlaps(visit, taken, document, place)
        if visit.phase not in trial.phases:
            yield document.problem((*place, "phase"), f"phase '{visit.phase}' has no days", "declare it under phases")
        taken[visit.name] = visit


def _overlaps(
    visit: Visit, taken: dict[str, Visit], document: Document, place: tuple[str | int, ...]
) -> Iterator[Problem]:
    for other in taken.values():
        if len(other.window) == 2 and visit.window[0] <= other.window[1] and other.window[0] <= visit.window[1]:
            text = f"window {list(visit.window)} overlaps that of {other.name}, {list(other.window)}"
            yield document.problem((*place, "window"), text, "a day may belong to one visit only")


def endpoint_problems(endpoints: Sequence[Endpoint], trial: Trial | None, document: Document) -> Iterator[Problem]:
    """Yield what is wrong with endpoints, those of a trial or a study's own; without a trial any visit may be."""
    names = trial.visit_names if trial else ()
    seen: set[str] = set()
    for i, endpoint in enumerate(endpoints):
        place = ("endpoints", i)
        if endpoint.id in seen:
            yield document.problem((*place, "id"), f"endpoint '{endpoint.id}' stands twice", "give it its own id")
        seen.add(endpoint.id)
        for key in ("visits", "contrast", "periods"):
            stated = getattr(endpoint, key)
            flat = [name for part in stated for name in part] if key == "periods" else stated
            for name in flat:
                if trial and name not in names:
                    hint = f"{nearest(name, names)} visits: {', '.join(names)}".strip()
                    yield document.problem((*place, key), f"unknown visit '{name}'", hint)
        if endpoint.contrast and len(endpoint.contrast) != 2:
            yield document.problem((*place, "contrast"), "name two visits", "[before, after]")
        yield from _death_problems(endpoint, endpoints, trial, document, place)
        message = _incomplete(endpoint)
        if message:
            yield document.problem(place, f"{endpoint.id}: {message}", "see docs/trial_file.md")


def _death_problems(
    endpoint: Endpoint,
    endpoints: Sequence[Endpoint],
    trial: Trial | None,
    document: Document,
    place: tuple[str | int, ...],
) -> Iterator[Problem]:
    if endpoint.deaths is None:
        return
    timed = [e.id for e in endpoints if e.statistic == "time_to_event"]
    if endpoint.deaths not in timed:
        hint = f"{nearest(endpoint.deaths, timed)} time_to_event endpoints: {', '.join(timed) or 'none'}".strip()
        yield document.problem((*place, "deaths"), f"'{endpoint.deaths}' is no time_to_event endpoint", hint)
    if endpoint.statistic != "slope_difference" or endpoint.direction not in ("increase", "decrease"):
        text = f"{endpoint.id}: deaths rank beyond a difference of slopes whose direction is known"
        yield document.problem((*place, "deaths"), text, "statistic: slope_difference, direction: increase or decrease")
    last = [name for period in endpoint.periods for name in period][-1:]
    end = trial.find_visit(last[0]) if trial and last else None
    if end and end.phase != "follow_up":
        text = f"{endpoint.id}: the direction tells the worse period only where the drug comes first"
        yield document.problem((*place, "periods"), text, "end the later period with a visit of follow-up")


def _incomplete(endpoint: Endpoint) -> str:
    measured = [
        endpoint.population,
        endpoint.numerator,
        endpoint.variable,
        endpoint.variables,
        endpoint.score,
        endpoint.assay,
    ]
    if endpoint.statistic == "percent_of_parent" and not (endpoint.population and endpoint.parent):
        return "percent_of_parent needs population and parent"
    if endpoint.statistic == "log_ratio" and not (endpoint.numerator and endpoint.denominator and endpoint.parent):
        return "log_ratio needs numerator, denominator and parent"
    if endpoint.statistic == "absolute_count" and not endpoint.population:
        return "absolute_count needs population"
    if sum(map(bool, measured)) > 1:
        return "name one of population, numerator, variable, variables, score, assay"
    return ""
