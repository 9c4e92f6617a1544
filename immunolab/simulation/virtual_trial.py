"""A virtual trial: its patients, their blood at each visit, and what the clinic measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from immunolab.simulation.biology import (
    Composition,
    VirtualPatient,
    compose,
    draw_patient,
    expected_percent,
    typical_patient,
)
from immunolab.simulation.clinic import Chart, decline, load_clinic, measure_patient
from immunolab.simulation.laboratory import Laboratory, TubeKind
from immunolab.simulation.model import Model, Options
from immunolab.simulation.patient_histories import Histories
from immunolab.simulation.schedule import PATIENT, VISIT, Bleed, generator, plan_bleeds, visit_missed
from immunolab.study.trial import Trial, Visit


def chosen_visits(trial: Trial, names: Sequence[str] | None) -> tuple[Visit, ...]:
    """Return visits by name; without names, those at which the design compares subsets.

    Parameters
    ----------
    trial
        The design.
    names
        Visit names in any order; one that the trial lacks is passed over.
    """
    if not names:
        subsets = [e for e in trial.endpoints if e.counted]
        named = {name for e in subsets for name in (*e.visits, *e.contrast)}
        names = [name for name in trial.visit_names if name in named] or list(trial.visit_names)
    return tuple(visit for visit in trial.visits if visit.name in names)


@dataclass(frozen=True)
class VirtualTrial:
    """A trial, its virtual patients and its laboratory.

    Attributes
    ----------
    model, trial, options, seed
        What the patients, the visits and everything else are drawn from.
    visits
        Those with tubes.
    n_patients
        Number of patients.
    """

    model: Model
    trial: Trial
    options: Options
    seed: int
    visits: tuple[Visit, ...]
    n_patients: int

    @property
    def cohort(self) -> str:
        """Short name of the cohort, also the key of its baseline and clinic."""
        return self.trial.id.split("_")[0].lower()

    @property
    def baseline(self) -> str:
        """Key of the baseline composition; a design of the user's own starts from health."""
        return self.options.baseline or (self.cohort if self.cohort in self.model.baselines else "hc")

    @property
    def tubes(self) -> tuple[TubeKind, ...]:
        """The tubes of every visit; a design with an endpoint on FOXP3 gets a nuclear tube."""
        registered = any("Treg_FOXP3" in e.needs.populations for e in self.trial.endpoints)
        foxp3 = registered if self.options.foxp3 is None else self.options.foxp3
        kinds = [TubeKind("surface", "surface")]
        kinds += [TubeKind("foxp3", "foxp3")] if foxp3 else []
        kinds += [TubeKind("ics", "ics", True), TubeKind("unstimulated", "ics", False)] if self.options.ics else []
        return tuple(kinds)

    @cached_property
    def people(self) -> tuple[VirtualPatient, ...]:
        """The patients; each depends on the seed and its own number alone."""
        return tuple(
            draw_patient(self.model, f"{self.cohort.upper()}{i + 1:03d}", generator(self.seed, PATIENT, i))
            for i in range(self.n_patients)
        )

    @cached_property
    def laboratory(self) -> Laboratory:
        """The laboratory that runs the study's tubes."""
        planned = plan_bleeds(self.model, self.options, self.visits, self.n_patients, self.seed)
        return Laboratory(self.model, self.options, self.seed, max(bleed.batch for bleed in planned))

    @cached_property
    def histories(self) -> Histories:
        """Doses, adverse events and outcomes of the patients."""
        return Histories(self.trial, self.cohort, tuple(p.patient_id for p in self.people), self.seed)

    def attended(self, visits: Sequence[Visit]) -> list[Bleed]:
        """Return the visits that took place, in order of patient and day.

        Parameters
        ----------
        visits
            Visits that are planned; a patient misses some, and all after the end of follow-up.
        """
        planned = plan_bleeds(self.model, self.options, visits, self.n_patients, self.seed)
        last = self.trial.visits[-1]
        kept = []
        for bleed in planned:
            if self.histories.over(bleed.patient, bleed.day):
                continue
            worse = 0.0
            if bleed.visit == last:
                worse = decline(load_clinic(), self.cohort, bleed.patient, self._chart(bleed.patient, {}), self.seed)
            if not visit_missed(self.model, self.options, bleed, worse, self.seed):
                kept.append(bleed)
        return kept

    def blood(self, bleed: Bleed) -> Composition:
        """Return a patient's blood at a visit; the same whichever other visits there are."""
        rng, doses = generator(self.seed, VISIT, *bleed.key), self.histories.doses[bleed.patient]
        return compose(self.model, self.baseline, self.people[bleed.patient], bleed.day, doses, self.options, rng)

    @property
    def strength(self) -> float:
        """Factor on the drug's effect; 0 when there is none."""
        return 0.0 if self.options.null else self.options.effect

    def clinical_tables(self) -> dict[str, list[dict[str, object]]]:
        """Return the rows of every table the clinic hands over, by its key in study.yaml; some may be empty."""
        bleeds = self.attended([v for v in self.trial.visits if not v.optional or v in self.visits])
        last_seen = {self.people[bleed.patient].patient_id: bleed.day for bleed in bleeds}
        return {"measurements": self.measurements(bleeds), **self.histories.tables(last_seen)}

    def measurements(self, bleeds: Sequence[Bleed]) -> list[dict[str, object]]:
        """Return the table of measurements of visits that took place."""
        clinic = load_clinic()
        rows: list[dict[str, object]] = []
        for number, patient in enumerate(self.people):
            own = [bleed for bleed in bleeds if bleed.patient == number]
            chart = self._chart(number, self._treg_course(own))
            rows += measure_patient(clinic, self.cohort, patient.patient_id, own, chart, self.seed) if own else []
        return rows

    def _chart(self, patient: int, treg_log_fold: dict[int, float]) -> Chart:
        return Chart(max(self.histories.doses[patient]), self.strength, treg_log_fold)

    def _treg_percent(self, blood: Composition) -> float:
        return expected_percent(self.model, blood, "Treg", "CD4")

    def _treg_course(self, bleeds: Sequence[Bleed]) -> dict[int, float]:
        """Return, by day, how far the log fold of Treg since the first visit departs from the usual one.

        Usual is what a patient without any deviation would show after the same doses.
        """
        excess = {b.day: float(np.log(self._treg_percent(self.blood(b)) / self._usual_treg(b))) for b in bleeds}
        start = next(iter(excess.values()), 0.0)
        return {day: value - start for day, value in excess.items()}

    def _usual_treg(self, bleed: Bleed) -> float:
        key = bleed.day, tuple(day for day in self.histories.doses[bleed.patient] if day < bleed.day)
        if key not in self._usual:
            blood = compose(self.model, self.baseline, typical_patient(self.model), *key, self.options)
            self._usual[key] = self._treg_percent(blood)
        return self._usual[key]

    @cached_property
    def _usual(self) -> dict[tuple[int, tuple[int, ...]], float]:
        """Treg percent of a patient without any deviation, by study day and doses before it."""
        return {}
