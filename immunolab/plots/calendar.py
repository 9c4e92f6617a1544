"""The trial calendar under a time axis: doses as a rug, cycles shaded, follow-up in a second tone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from immunolab.plots.names import box_in_points
from immunolab.plots.style import FOLLOW_UP, LATER_SEGMENT, NEUTRAL, ON_CYCLE, SMALL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from immunolab.study.trial import Trial

_LONGEST_GAP = 7  # days: doses closer than this belong to one stretch of treatment


@dataclass(frozen=True)
class Calendar:
    """When the drug was given, and the phases.

    Attributes
    ----------
    doses
        Planned study days with a dose.
    phases
        Phase name to its first and last study day.
    visits
        Planned visit name to its target study day.
    patient_doses
        patient_id to the study days of the doses really given, where known.
    segments
        Name, first and last study day of the calendar's parts (induction, maintenance), in order.
    """

    doses: tuple[int, ...] = ()
    phases: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    visits: Mapping[str, int] = field(default_factory=dict)
    patient_doses: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    segments: tuple[tuple[str, int, int], ...] = ()

    def days(self, patient: str | None = None) -> tuple[int, ...]:
        """Return a patient's real dose days, or the planned ones where no real ones are known."""
        return tuple(self.patient_doses.get(patient or "", self.doses))

    def of(self, patient: str) -> Calendar:
        """Return the calendar with no other patient's doses."""
        own = {patient: self.patient_doses[patient]} if patient in self.patient_doses else {}
        return replace(self, patient_doses=own)

    def shares_given(self) -> dict[int, float]:
        """Return study day to the share of patients (of those whose doses are known) who were given a dose on it."""
        counts = Counter(day for days in self.patient_doses.values() for day in set(days))
        return {day: n / len(self.patient_doses) for day, n in sorted(counts.items())}


def calendar(trial: Trial, patient_doses: Mapping[str, tuple[int, ...]] | None = None) -> Calendar:
    """Return the calendar of a trial's design; real dose days per patient override the planned ones.

    Parameters
    ----------
    trial
        Design with planned dose days, phases and visits.
    patient_doses
        Patient to the study days of the doses really given.
    """
    return Calendar(
        trial.dosing.days,
        {name: (phase.first_day, phase.last_day) for name, phase in trial.phases.items()},
        trial.target_days,
        dict(patient_doses or {}),
        tuple((part.name, part.first_day, part.last_day) for part in trial.dosing.segments),
    )


def stretches(days: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return first and last day of each run of doses that follow each other within a week.

    Parameters
    ----------
    days
        Study days of doses, ascending.
    """
    if not days:
        return []
    ordered = sorted(days)
    breaks = [i for i, (a, b) in enumerate(pairwise(ordered), start=1) if b - a > _LONGEST_GAP]
    return [(int(part[0]), int(part[-1])) for part in np.split(np.array(ordered), breaks)]


def treatment(plan: Calendar, patient: str | None = None) -> list[tuple[int, int, str]]:
    """Return first day, last day and tone of each stretch of treatment, cut where the calendar's segments meet.

    Parameters
    ----------
    plan
        Calendar of the trial.
    patient
        Whose real doses are shown; None shows the planned ones.
    """
    cuts = [first for _, first, _ in plan.segments[1:]]
    found = []
    for first, last in stretches(plan.days(patient)):
        edges = [first, *(cut for cut in cuts if first < cut <= last)]
        for start, end in zip(edges, [*edges[1:], last], strict=True):
            later = any(start >= cut for cut in cuts)
            found.append((start, end, LATER_SEGMENT if later else ON_CYCLE))
    return found


def shade(ax: Axes, plan: Calendar, patient: str | None = None) -> None:
    """Shade treatment stretches and follow-up, and draw one tick a dose along the lower edge.

    Parameters
    ----------
    ax
        Axes whose x axis is study days.
    plan
        Calendar of the trial.
    patient
        Whose real doses are shown; None shows the planned ones.
    """
    days = plan.days(patient)
    for first, last, tone in treatment(plan, patient):
        ax.axvspan(first, last, color=tone, linewidth=0, zorder=0)
    if "follow_up" in plan.phases:
        first, last = plan.phases["follow_up"]
        first = max(first, max(days) + 1) if patient in plan.patient_doses and days else first
        ax.axvspan(first, max(first, last), color=FOLLOW_UP, linewidth=0, zorder=0)
    edge = ax.get_xaxis_transform()
    if patient is None and plan.patient_doses:
        given = plan.shares_given()
        tints = [(0.54, 0.35, 0.0, share) for share in given.values()]  # the brown of every dose
        ax.vlines(list(given), 0, 0.035, transform=edge, colors=tints, linewidth=0.9)
        return
    ax.plot(days, np.full(len(days), 0.012), "|", transform=edge, color="#8A5A00", markersize=4, markeredgewidth=0.7)


def name_visits(
    ax: Axes, days: Mapping[str, float], *, counts: Mapping[str, int] | None = None, above: float = 3.0
) -> None:
    """Name visits above the axes, with n patients where given, leaving out those that would touch the one before.

    Parameters
    ----------
    ax
        Axes whose x axis is study days, with its limits set.
    days
        Visit to its day, in order.
    counts
        Visit to how many patients have a value.
    above
        Points from the axes to the names.
    """
    low, high = ax.get_xlim()
    wide = box_in_points(ax).width / (high - low)  # points a day
    free = -np.inf
    for visit, day in sorted(days.items(), key=lambda item: item[1]):
        lines = [visit] + ([f"n = {counts[visit]}"] if counts else [])
        half = 0.33 * SMALL * max(map(len, lines))  # of its width, in points
        at = (day - low) * wide
        if at - half < free:
            continue
        free = at + half + 0.5 * SMALL
        ax.annotate(
            "\n".join(lines), (day, 1), (0, above), xycoords=ax.get_xaxis_transform(), textcoords="offset points",
            ha="center", va="bottom", fontsize=SMALL, color=NEUTRAL, annotation_clip=False,
        )  # fmt: skip


def shade_words(plan: Calendar, patient: str | None = None) -> str:
    """Return what the shades of a time axis are, in words.

    Parameters
    ----------
    plan
        Calendar of the trial.
    patient
        Whose real doses are shown; None describes the planned ones.

    Returns
    -------
    str
        A sentence part for a caption; empty where nothing is shaded.
    """
    names = [name for name, _, _ in plan.segments]
    what = f"{names[0]}, paler: {' and '.join(names[1:])}" if len(names) > 1 else "treatment"
    text = f"shaded: {what}, one tick a dose" + ("; blue-grey: follow-up" if "follow_up" in plan.phases else "")
    if patient is not None:
        return f"{text} (doses as {'given' if patient in plan.patient_doses else 'planned'})"
    if plan.patient_doses:
        return text.replace("one tick a dose", "as planned; ticks: doses given, darker the more patients had one")
    return text.replace("one tick a dose", "one tick a planned dose")


def dose_words(plan: Calendar, patients: Sequence[str]) -> str:
    """Return whose doses are real: ``doses as given``, ``doses as planned``, or of how many patients they are planned.

    Parameters
    ----------
    plan
        Calendar of the trial.
    patients
        Whose doses are drawn.
    """
    planned = sum(patient not in plan.patient_doses for patient in patients)
    if planned in (0, len(patients)):
        return f"doses as {'planned' if planned else 'given'}"
    return f"doses as given (as planned in {planned} of {len(patients)} patients, without doses on record)"


def week_ticks(ax: Axes, first: float, last: float, *, most: int = 12) -> None:
    """Set at most so many ticks in weeks on an axis of study days; week w is day 7 w + 1.

    Parameters
    ----------
    ax
        Axes whose x axis is study days.
    first, last
        Study days the axis spans.
    most
        Largest number of ticks.
    """
    span = max(1.0, (last - first) / 7)
    step = next((s for s in (1, 2, 4, 8, 12, 24, 52) if span / s <= most), 104)
    start = int(np.floor((first - 1) / 7 / step)) * step
    weeks = list(range(start, int(np.ceil((last - 1) / 7)) + 1, step))
    ax.set_xticks([7 * w + 1 for w in weeks], [str(w).replace("-", "−") for w in weeks])
    ax.set_xlabel("week of the study (from actual study day; day 1 = first dose)")
