"""The contents of the page: its sections in order, each with the number of what asks for a look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes
    ----------
    id
        Where its link leads.
    title
        As in the contents.
    count
        What is in it, or what asks for a look, in a word or two; may be empty.
    kind
        ``alarm`` where the count asks for a look.
    """

    id: str
    title: str
    count: str = ""
    kind: str = ""


def contents(page: Mapping[str, Any]) -> list[Section]:
    """Return the sections that the page has.

    Parameters
    ----------
    page
        What the templates are given.
    """
    return list(_sections(page))


def _sections(page: Mapping[str, Any]) -> Iterator[Section]:
    yield Section("answer", "Endpoints")
    if page["concerns"] or page["cautions"] or page["notes"]:
        alarms = len(page["concerns"])
        yield Section("warnings", "What warns", str(alarms or ""), "alarm" if alarms else "")
    if plan := page["plan"]:
        n = plan["number"]
        yield Section("plan", "Plan", f"{n} deviation{'s' if n != 1 else ''}" if n else "", "alarm" if n else "")
    yield _counted("flow", "Samples", page["unpaired"].rows, "unpaired")
    yield Section("cohort", "Cohort")
    others = page["others"]
    if others["safety"]:
        yield Section("safety", "Safety")
    if others["sensitivity"] or page["beside"]:
        yield Section("sensitivity", "Sensitivity")
    yield Section("patients", "Patients", str(page["n_patients"]))
    yield _counted("gates", "Gates", page["review"].rows, "to review")
    yield _counted("quality", "Quality", [*page["failures"].rows, *page["quality"].rows], "warn")
    yield Section("methods", "Methods")


def _counted(id: str, title: str, rows: object, word: str) -> Section:
    number = len(rows)  # type: ignore[arg-type]
    return Section(id, title, f"{number} {word}", "alarm") if number else Section(id, title)
