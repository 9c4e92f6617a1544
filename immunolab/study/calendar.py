"""A trial's design as text: the calendar as a picture, visits, endpoints and what the sources state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from immunolab.study.timeline import Timeline, place
from immunolab.study.trial import Statement, Trial, builtin_trials, load_trial

_WEEKS_A_LINE = 4  # of dose days in a terminal of 80 characters
_LEGEND = "o dose   V visit   * dose and visit, the sample before the dose   . neither"


def list_trials() -> str:
    """Return one line a built-in design: id, registry number, doses, visits, title."""
    trials = [load_trial(name) for name in builtin_trials()]
    rows = [("ID", "REGISTRY", "DOSES", "VISITS", "TITLE")]
    for t in trials:
        visits = " ".join(v.name for v in t.visits if not v.optional)
        rows.append((t.id, t.registry or "not stated", str(len(t.dosing.days)), visits, t.title))
    return "\n".join(aligned(rows))


def describe_trial(trial: Trial) -> str:
    """Return the whole design: calendar, visits, endpoints with denominators, statements, all with sources.

    Parameters
    ----------
    trial
        The design.
    """
    parts = [
        f"{trial.id}  {trial.title}",
        f"{trial.registry or 'no registry number'}; {trial.condition or 'condition not stated'}",
        "",
        "Study day 1 is the first dose; there is no day 0. Week w is planned for day 7w + 1.",
        "",
        *_dosing(trial),
        "",
        *_picture(trial),
        "",
        "VISITS",
        *_visits(trial),
        "",
        "ENDPOINTS",
        *_endpoints(trial),
    ]
    if trial.selection:
        parts += ["", "PATIENTS SELECTED BY"]
        parts += aligned([(f"  {s.rule}", f"at {s.visit}", f"[{s.source}]", s.note) for s in trial.selection])
    parts += ["", "ESTIMAND", *_estimand(trial)]
    if trial.statements:
        parts += ["", "STATED BY THE SOURCES", *_statements(trial.statements)]
    return "\n".join(line.rstrip() for line in parts)


def _dosing(trial: Trial) -> Iterator[str]:
    dosing = trial.dosing
    dose = "dose not stated" if dosing.dose_miu is None else f"{dosing.dose_miu:g} million IU"
    basis: str = dosing.basis or "basis not stated"
    if dosing.basis_alternatives:
        basis += f" ({' or '.join(dosing.basis_alternatives)})"
    route = dosing.route or "route not stated"
    last = f", last on day {dosing.days[-1]}" if dosing.days else ""
    yield f"{dosing.drug} {dose}, {basis}, {route}; {len(dosing.days)} doses{last}  [{dosing.source}]"
    if dosing.optional_days:
        yield f"further cycles in some patients: {len(dosing.optional_days)} doses, to day {dosing.optional_days[-1]}"
    if dosing.note:
        yield f"note: {dosing.note}"


def _picture(trial: Trial) -> Iterator[str]:
    last = max([*trial.dosing.days, *(v.target_day for v in trial.visits)], default=1)
    yield "CALENDAR, a character a day, four weeks a line"
    yield f"  {_LEGEND}"
    step = 7 * _WEEKS_A_LINE
    for first in range(1, last + 1, step):
        week = (first - 1) // 7
        head = f"  week {week:>2} to {week + _WEEKS_A_LINE - 1:>2}   day {first:>3}  "
        days = range(first, first + step)
        marks = "".join(_mark(trial, day) + (" " if day % 7 == 0 else "") for day in days)
        yield f"{head}{marks}  {_margin(trial, first, first + step - 1)}"


def _mark(trial: Trial, day: int) -> str:
    dose = day in trial.dosing.days
    if any(visit.target_day == day for visit in trial.visits):
        return "*" if dose else "V"
    return "o" if dose else "."


def _margin(trial: Trial, first: int, last: int) -> str:
    visits = [v.name + ("?" if v.optional else "") for v in trial.visits if first <= v.target_day <= last]
    phases = [
        name for name, p in trial.phases.items() if name != "baseline" and p.first_day <= last and p.last_day >= first
    ]
    return f"{' / '.join(phases):<26}{' '.join(visits)}"


def _visits(trial: Trial) -> list[str]:
    rows = [("  VISIT", "DAY", "WINDOW", "PHASE", "SINCE DOSE", "CYCLE", "STATE", "SOURCE", "WINDOW FROM", "NOTE")]
    for v in trial.visits:
        at = place(trial, v.name, v.target_day)
        cycle = "" if at.cycle is None else str(at.cycle)
        name = f"  {v.name}{' (optional)' if v.optional else ''}"
        window = f"{v.window[0]} to {v.window[1]}"
        since = _since(at)
        row = (name, str(v.target_day), window, v.phase, since, cycle, at.cycle_state or "", v.source, v.window_source)
        rows.append((*row, v.note))
    return aligned(rows)


def _since(at: Timeline) -> str:
    return "none yet" if at.days_since_last_dose is None else f"{at.days_since_last_dose} d"


def _endpoints(trial: Trial) -> list[str]:
    rows = [
        ("  ENDPOINT", "ROLE", "MEASURED", "CONTRAST", "SINCE DOSE", "EXPECTED", "SOURCE", "DENOMINATOR FROM", "NOTE")
    ]
    order = {"primary": 0, "secondary": 1, "exploratory": 2}
    for e in sorted(trial.expanded_endpoints(), key=lambda e: order[e.role]):
        since = ", ".join(_since(place(trial, name, trial.visit(name).target_day)) for name in e.timing[-1:])
        expected = "none (negative control)" if e.negative_control else e.direction
        contrast = " to ".join(e.contrast) or " ".join(e.timing)
        note = "; ".join(part for part in (e.rule, e.note, "" if e.verified else "not verified") if part)
        rows.append((f"  {e.id}", e.role, e.label, contrast, since, expected, e.source, e.parent_source, note))
    return aligned(rows)


def _estimand(trial: Trial) -> list[str]:
    """Return population, treatment and intercurrent events with their strategies."""
    declared = trial.estimand
    if declared is None:
        return ["  none declared: every value is taken whatever happened before it (treatment policy)"]
    rows = [("  INTERCURRENT EVENT", "RULE", "STRATEGY", "SOURCE", "NOTE")]
    for one in declared.events:
        others = "; ".join(f"{name}: {other.replace('_', ' ')}" for name, other in one.endpoints.items())
        strategy = one.strategy.replace("_", " ") + (f" ({others})" if others else "")
        rows.append((f"  {one.event}", one.rule, strategy, one.source, one.note))
    note = f"; {declared.note}" if declared.note else ""
    return [f"  {declared.population}; {declared.treatment}  [{declared.source}{note}]", *aligned(rows)]


def _statements(statements: Sequence[Statement]) -> list[str]:
    rows = []
    for s in statements:
        value = "not stated" if s.value is None else str(s.value)
        if s.alternatives:
            value += f" (or {', '.join(map(str, s.alternatives))})"
        note = "; ".join(part for part in (s.note, "" if s.verified else "not verified") if part)
        rows.append((f"  {s.what}", value, f"[{s.source}]", note))
    return aligned(rows)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of cells as lines whose columns begin below each other."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
