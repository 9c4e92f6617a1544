"""Who is bled on which day, and in which run the tubes are stained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from immunolab.simulation.model import Model, Options
from immunolab.study.trial import Visit

# Streams of random numbers. Each draw has a key of its own, so that one more patient or visit
# leaves all others as they were.
PATIENT, SAMPLE, RUN, MATRIX, FAULT, VISIT, EVENTS, CLINIC, CONTROL, CELLS, SEQUENCING = range(11)
DOSES, OUTCOME, HARM, ITEMS, GROUP, BRIDGE = range(11, 17)
_DAY_OFFSET = 10_000  # seeds must not be negative, study days may
_FIRST_RUN = 28  # days before the first patient's first dose from which monthly runs are counted (screening)


def generator(seed: int, stream: int, *key: int) -> np.random.Generator:
    """Return the generator of one stream and key; study days may be negative.

    Parameters
    ----------
    seed
        Of the simulation.
    stream
        One of the constants above.
    key
        What is drawn for: patient, study day and the like.
    """
    return np.random.default_rng([seed, stream, *(number + _DAY_OFFSET for number in key)])


@dataclass(frozen=True)
class Bleed:
    """One patient's sample at one visit.

    Attributes
    ----------
    patient
        Position of the patient in the cohort.
    day
        Study day it is taken.
    batch
        Run in which its tubes are stained and acquired; counted from 1.
    """

    patient: int
    visit: Visit
    day: int
    batch: int

    @property
    def key(self) -> tuple[int, int]:
        """What sets this sample apart from every other: its patient and planned day."""
        return self.patient, self.visit.target_day


def plan_bleeds(model: Model, options: Options, visits: Sequence[Visit], n_patients: int, seed: int) -> list[Bleed]:
    """Return every planned sample in order of patient and day, with its run.

    Parameters
    ----------
    model, options, seed
        Rhythm of enrolment and runs, how samples are batched, and the study's seed.
    visits, n_patients
        What is planned.
    """
    bleeds = []
    for patient in range(n_patients):
        enrolled = patient * int(model.batch["enrolment_days"])
        centre = patient % options.centres + 1 if options.centres else 0
        for place, visit in enumerate(visits):
            day = _day(options, visit, generator(seed, SAMPLE, patient, visit.target_day))
            batch = _batch(model, options, patient, (place, visit), enrolled + day, centre)
            bleeds.append(Bleed(patient, visit, day, batch))
    numbers = {batch: i for i, batch in enumerate(sorted({bleed.batch for bleed in bleeds}), start=1)}
    return [replace(bleed, batch=numbers[bleed.batch]) for bleed in bleeds]


def _day(options: Options, visit: Visit, rng: np.random.Generator) -> int:
    if not options.visit_jitter:
        return visit.target_day
    first, last = visit.window
    return int(rng.choice([day for day in range(first, last + 1) if day != 0]))


def _batch(model: Model, options: Options, patient: int, at: tuple[int, Visit], calendar_day: int, centre: int) -> int:
    place, visit = at
    if options.confounded:
        return 0 if visit.phase == "baseline" else 1
    if options.centres:
        return centre
    if options.batches == "months":
        return int((calendar_day + _FIRST_RUN) // model.batch["days"])
    if options.batches == "crossed":
        return (patient + place) % int(model.batch["crossed"])
    return patient // int(model.batch["patients"]) if options.batches == "patients" else 0


def visit_missed(model: Model, options: Options, bleed: Bleed, decline: float, seed: int) -> bool:
    """Return whether a visit is missed.

    Parameters
    ----------
    model, options, seed
        Rates, the factor on them, and the study's seed.
    bleed
        The visit of one patient.
    decline
        Points a month, at least 0, that make the visit likelier to be missed; above 0 for the last visit of a
        patient whose disease gets worse.
    """
    chance = model.faults["missing_visit"].get(bleed.visit.name, 0.0) * options.faults
    if not 0.0 < chance < 1.0:
        return bool(chance >= 1.0)
    odds = chance / (1.0 - chance) * np.exp(model.dropout_logit * decline)
    return bool(generator(seed, FAULT, *bleed.key).random() < odds / (1.0 + odds))
