"""Where a sample is in its trial: study day, visit, phase, days since the last dose, cycle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import pandas as pd

from immunolab.schema.flags import Check
from immunolab.schema.gating import QUALITY
from immunolab.study.doses import PatientDoses
from immunolab.study.rows import Sample
from immunolab.study.trial import Dosing, Segment, Trial, Visit

DaySource = Literal["sheet", "planned", "unknown"]


@dataclass(frozen=True)
class Timeline:
    """A sample's place in its trial; None where it is not known.

    Attributes
    ----------
    day_source
        ``sheet`` (date or study day given), ``planned`` (the visit's target day) or ``unknown``.
    cycle
        Number of the cycle the last dose belongs to, counted from 1.
    cycle_state
        pre_dose, peak, trough, off, or the word of the calendar's segment.
    flags
        What is unusual about its timing.
    """

    study_day: int | None = None
    day_source: DaySource = "unknown"
    phase: str | None = None
    days_since_last_dose: int | None = None
    cycle: int | None = None
    cycle_state: str | None = None
    flags: tuple[Check, ...] = ()


def timeline(trial: Trial | None, sample: Sample, doses: Mapping[str, PatientDoses] | None = None) -> Timeline:
    """Return the place of a sample in its trial; see `place`.

    Parameters
    ----------
    trial, sample
        The trial, and a sample of its study.
    doses
        Recorded doses by patient.
    """
    recorded = (doses or {}).get(sample.patient_id)
    found = place(trial, sample.visit, sample.study_day, recorded)
    if doses and not recorded and found.day_source != "unknown":
        found = replace(found, flags=(*found.flags, Check.PLANNED_DOSES))
    return found


def place(
    trial: Trial | None, visit_name: str, study_day: int | None, recorded: PatientDoses | None = None
) -> Timeline:
    """Return where a visit (and study day, when known) is in a trial.

    The patient's recorded doses count where there are any, the calendar's otherwise. A sample taken
    on a dosing day counts as before that day's dose unless the trial says otherwise. Without a study
    day the visit's target day is taken, flagged ``planned_day``.

    Parameters
    ----------
    trial
        The design; None gives nothing but the study day.
    visit_name, study_day
        As the sheet or the measurements give them.
    recorded
        The patient's recorded doses.
    """
    if trial is None:
        return Timeline(study_day=study_day, day_source="unknown" if study_day is None else "sheet")
    visit = trial.find_visit(visit_name)
    day = study_day if study_day is not None else (visit.target_day if visit else None)
    if day is None:
        return Timeline()
    days = recorded.days if recorded else trial.dosing.days
    given = _given(trial.dosing, days, day)
    since = day - given[-1] if given else None
    phase, flags = _phase(trial, visit, day, days, since)
    if study_day is None:
        flags.append(Check.PLANNED_DAY)
    elif visit and not visit.window[0] <= day <= visit.window[1]:
        flags.append(Check.OUT_OF_WINDOW)
    return Timeline(
        study_day=day,
        day_source="planned" if study_day is None else "sheet",
        phase=phase,
        days_since_last_dose=since,
        cycle=_cycle(trial.dosing, given),
        cycle_state=_cycle_state(trial.dosing, days, given, since),
        flags=tuple(flags),
    )


def _given(dosing: Dosing, days: Iterable[int], day: int) -> list[int]:
    same_day = dosing.same_day_sample == "after_dose"
    return [dose for dose in days if dose < day or (same_day and dose == day)]


def _phase(
    trial: Trial, visit: Visit | None, day: int, days: tuple[int, ...], since: int | None
) -> tuple[str | None, list[Check]]:
    extent = {name: _extent(trial, name, days) for name in trial.phases}
    by_day = [name for name, (first, last) in extent.items() if first <= day <= last]
    if "baseline" in by_day and since is not None:
        by_day.remove("baseline")
    phase = visit.phase if visit else (by_day[0] if by_day else None)
    flags: list[Check] = []
    if phase == "baseline" and since is not None:
        flags.append(Check.DOSED_AT_BASELINE)
    if phase == "follow_up" and "on_treatment" in by_day:
        phase = "on_treatment"
        flags.append(Check.STILL_DOSED)
    if phase == "follow_up" and since is not None and since < trial.dosing.washout_days:
        flags.append(Check.CARRY_OVER)
    if phase and by_day and phase not in by_day and not (visit and visit.window[0] <= day <= visit.window[1]):
        flags.append(Check.OUT_OF_PHASE)
    return phase, flags


def treatment_end(trial: Trial, recorded: PatientDoses | None = None) -> int | None:
    """Return the last study day that counts as on treatment, for a patient's doses; None when no phase says so.

    Parameters
    ----------
    trial
        The design.
    recorded
        The patient's recorded doses.
    """
    if "on_treatment" not in trial.phases:
        return None
    return _extent(trial, "on_treatment", recorded.days if recorded else trial.dosing.days)[1]


def _extent(trial: Trial, name: str, days: tuple[int, ...]) -> tuple[int, int]:
    phase = trial.phases[name]
    if not phase.follows_doses or not days or not trial.dosing.days:
        return phase.first_day, phase.last_day
    moved = max(0, days[-1] - trial.dosing.days[-1])  # records may end before the treatment does
    first = phase.first_day if name == "on_treatment" else phase.first_day + moved
    return first, phase.last_day + moved


def _cycle(dosing: Dosing, given: list[int]) -> int | None:
    """Count runs of doses: a gap longer than midway between the shortest and longest planned one starts a cycle."""
    if dosing.cycle_days is None or not given:
        return None
    planned = [b - a for a, b in pairwise(dosing.days)]
    rest = (min(planned) + max(planned)) / 2 if planned else dosing.cycle_days
    return 1 + sum(b - a > rest for a, b in pairwise(given))


def _cycle_state(dosing: Dosing, days: tuple[int, ...], given: list[int], since: int | None) -> str:
    if since is None:
        return "pre_dose"
    if since <= dosing.peak_within_days:
        segment = _segment(dosing, given[-1])
        return segment.cycle_state if segment else "peak"
    return "trough" if since < dosing.washout_days or days[-1] > given[-1] else "off"


def _segment(dosing: Dosing, dose_day: int) -> Segment | None:
    return next((s for s in dosing.segments if s.first_day <= dose_day <= s.last_day), None)


def visits_out_of_order(trial: Trial | None, samples: Iterable[Sample]) -> list[str]:
    """Return ``P04 (W0 on day 71, W10 on day 1)`` for each patient with a visit that was taken before an earlier one.

    Parameters
    ----------
    trial
        Its calendar orders the visits.
    samples
        Of the study; those without a study day, and control tubes, are left out.
    """
    order = {name: i for i, name in enumerate(trial.visit_names)} if trial else {}
    days: dict[str, dict[str, int]] = {}
    for sample in samples:
        if not sample.control_of and sample.visit in order and sample.study_day is not None:
            days.setdefault(sample.patient_id, {}).setdefault(sample.visit, sample.study_day)
    found = []
    for patient, own in days.items():
        visits = sorted(own, key=order.__getitem__)
        turned = [visit for pair in pairwise(visits) if own[pair[0]] > own[pair[1]] for visit in pair]
        if turned:
            found.append(f"{patient} ({', '.join(f'{visit} on day {own[visit]}' for visit in dict.fromkeys(turned))})")
    return found


def timeline_quality(trial: Trial | None, samples: Iterable[Sample], doses: Mapping[str, PatientDoses]) -> pd.DataFrame:
    """Return rows of the quality table: samples off their window or phase, doses off the calendar.

    Parameters
    ----------
    trial, samples
        The trial, and the samples of its study.
    doses
        Recorded doses by patient.
    """
    rows: list[dict[str, object]] = []
    samples = list(samples)
    for sample in samples if trial else ():
        found = timeline(trial, sample, doses)
        rows += [_quality_row(trial, sample, found, flag) for flag in found.flags]
        rows += _dose_rows(trial, sample, doses.get(sample.patient_id))
    return QUALITY.frame(rows)


def _quality_row(trial: Trial | None, sample: Sample, found: Timeline, flag: Check) -> dict[str, object]:
    message, limit, value = flag.meaning, None, found.study_day
    if flag == Check.OUT_OF_WINDOW and trial and found.study_day is not None:
        first, last = trial.visit(sample.visit).window
        limit = first if found.study_day < first else last
        message = f"day {found.study_day} is outside the window of {sample.visit}, [{first}, {last}]"
    if flag in (Check.CARRY_OVER, Check.DOSED_AT_BASELINE):
        value, limit = found.days_since_last_dose, trial.dosing.washout_days if trial else None
        message = f"{message}: {value} days since the last dose"
    return _row(sample, flag, value, limit, message)


def _row(sample: Sample, check: Check, value: object, limit: object, message: str) -> dict[str, object]:
    return {
        "sample_id": sample.sample_id,
        "check": check,
        "value": value,
        "limit": limit,
        "status": "warn",
        "message": message,
    }


def _dose_rows(trial: Trial | None, sample: Sample, recorded: PatientDoses | None) -> list[dict[str, object]]:
    """Doses up to the sample that the calendar does not hold, and planned ones that were not given."""
    if trial is None or recorded is None:
        return []
    until = sample.study_day if sample.study_day is not None else recorded.days[-1]
    real = {day for day in recorded.days if day <= until}
    planned = {day for day in trial.dosing.days if day < until}
    extra = sorted(real - planned - set(trial.dosing.optional_days) - {until})
    missed = sorted(planned - real)
    if not extra and not missed:
        return []
    parts = [
        f"{word} on day {', '.join(map(str, days))}" for word, days in (("extra", extra), ("none", missed)) if days
    ]
    text = f"recorded doses differ from the calendar up to day {until}: {'; '.join(parts)}"
    return [_row(sample, Check.DOSES_OFF_CALENDAR, len(extra) + len(missed), 0, text)]
