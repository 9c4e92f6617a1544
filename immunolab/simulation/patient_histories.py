"""Each virtual patient's own history: real doses, adverse events, and the event that ends follow-up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from immunolab.simulation.clinic import load_clinic
from immunolab.simulation.patient_events import (
    OutcomeRule,
    adverse_events,
    event_day,
    fatal_event,
    outcome_line,
    real_doses,
)
from immunolab.simulation.schedule import DOSES, HARM, OUTCOME, generator
from immunolab.study.trial import Trial

Rows = list[dict[str, object]]


@dataclass(frozen=True)
class Histories:
    """What happens to the patients of a trial; each depends on the seed and the patient's number alone."""

    trial: Trial
    cohort: str
    patient_ids: tuple[str, ...]
    seed: int

    @cached_property
    def doses(self) -> tuple[tuple[int, ...], ...]:
        """Study days with a dose, by patient: those really given, or the calendar's."""
        rule, dosing = load_clinic().doses.get(self.cohort), self.trial.dosing
        if rule is None:
            return (dosing.days,) * len(self.patient_ids)
        return tuple(real_doses(dosing, rule, generator(self.seed, DOSES, i)) for i in range(len(self.patient_ids)))

    @cached_property
    def _rules(self) -> dict[str, OutcomeRule]:
        timed = {name for e in self.trial.endpoints for name in e.needs.outcomes}
        return {name: rule for name, rule in load_clinic().outcomes.get(self.cohort, {}).items() if name in timed}

    @cached_property
    def ends(self) -> dict[str, tuple[int | None, ...]]:
        """Day of each event that ends follow-up, by endpoint and patient; None when it does not come."""
        last, n = self.trial.visits[-1].target_day, len(self.patient_ids)
        return {
            name: tuple(event_day(rule, last, generator(self.seed, OUTCOME, place, i)) for i in range(n))
            for place, (name, rule) in enumerate(self._rules.items())
        }

    def over(self, patient: int, day: int) -> bool:
        """Return whether a patient's follow-up has ended by a day.

        Parameters
        ----------
        patient
            Number of the patient, from 0.
        day
            Study day.
        """
        return any(end is not None and day >= end for end in (days[patient] for days in self.ends.values()))

    def tables(self, last_seen: Mapping[str, int]) -> dict[str, Rows]:
        """Return the rows of doses, adverse_events and outcomes; some may be empty.

        Parameters
        ----------
        last_seen
            patient_id to the study day of the last visit that took place.
        """
        return {
            "doses": self._dose_rows() if self.cohort in load_clinic().doses else [],
            "adverse_events": [row for i in range(len(self.patient_ids)) for row in self._adverse_events(i, last_seen)],
            "outcomes": [
                outcome_line(patient, endpoint, day, last_seen.get(patient))
                for endpoint, days in self.ends.items()
                for patient, day in zip(self.patient_ids, days, strict=True)
                if day is not None or patient in last_seen
            ],
        }

    def _dose_rows(self) -> Rows:
        pairs = zip(self.patient_ids, self.doses, strict=True)
        return [{"patient_id": patient, "study_day": day} for patient, days in pairs for day in days]

    def _adverse_events(self, patient: int, last_seen: Mapping[str, int]) -> Rows:
        name, doses = self.patient_ids[patient], self.doses[patient]
        fatal = {days[patient]: self._rules[endpoint] for endpoint, days in self.ends.items()}
        deaths = {day: rule for day, rule in fatal.items() if day is not None}
        last_day = min([*deaths, max(last_seen.get(name, 1), *doses)])
        events = adverse_events(load_clinic().adverse_events, doses, last_day, generator(self.seed, HARM, patient))
        events += [fatal_event(rule, day) for day, rule in deaths.items()]
        return [{"patient_id": name, **event} for event in events]
