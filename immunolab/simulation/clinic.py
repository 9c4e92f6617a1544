"""Virtual clinic: scores, laboratory values and cytokines of every patient at every visit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from immunolab.config import build, read_package_yaml
from immunolab.simulation.patient_events import DAYS_PER_MONTH, AdverseEventRule, DoseRule, OutcomeRule
from immunolab.simulation.schedule import CLINIC, GROUP, ITEMS, Bleed, generator

_REST_DAYS = 16  # after the last dose: the rest fortnight of a cycle belongs to the administration period
_ItemTable = Mapping[str, tuple[float, float]]
_PATIENT_SD = 1.5  # of the log odds between patients: one has skin, another kidneys


@dataclass(frozen=True)
class Measure:
    """How one variable behaves; clinic.yaml explains each key."""

    unit: str
    baseline: tuple[float, float] = (0.0, 0.0)
    log: bool = False
    limits: tuple[float, float] | None = None
    entry: float | None = None
    change: float = 0.0
    sd_change: float = 0.0
    course: str = ""
    treg: float = 0.0
    slope: dict[str, tuple[float, float]] | None = None
    follows: tuple[str | float, ...] = ()
    chance: float | None = None
    visit_sd: float = 0.0
    below: float | None = None
    above: float | None = None
    decimals: int = 1
    step: float | None = None
    items: dict[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class SimulatedClinic:
    """All of clinic.yaml."""

    schema: str
    treg_log_fold_sd: float
    courses: dict[str, dict[str, float]]
    measures: dict[str, dict[str, Measure]]
    doses: dict[str, DoseRule]
    outcomes: dict[str, dict[str, OutcomeRule]]
    adverse_events: tuple[AdverseEventRule, ...]
    subgroups: dict[str, dict[str, dict[str, float]]]


@cache
def load_clinic() -> SimulatedClinic:
    """Return the shipped clinic."""
    return build(SimulatedClinic, read_package_yaml("immunolab.simulation", "clinic.yaml"))


def subgroups(clinic: SimulatedClinic, cohort: str, columns: Sequence[str], patient: int, seed: int) -> dict[str, str]:
    """Return one patient's words in those of the columns that the clinic has for the cohort.

    Parameters
    ----------
    clinic, cohort
        The clinic, and the cohort's key in it.
    columns
        Columns of the sheet that the design describes changes by.
    patient, seed
        Number of the patient, and the study's seed.
    """
    known = clinic.subgroups.get(cohort, {})
    found = {}
    for place, column in enumerate(columns):
        if column in known:
            shares = np.array(list(known[column].values()))
            drawn = generator(seed, GROUP, patient, place).choice(len(shares), p=shares / shares.sum())
            found[column] = list(known[column])[int(drawn)]
    return found


@dataclass(frozen=True)
class Chart:
    """What decides one patient's clinical course.

    Attributes
    ----------
    last_dose
        Study day of the last dose.
    strength
        0 when the drug has no effect.
    treg_log_fold
        Log fold of Treg percent of CD4 against the patient's first visit, by study day, less what a patient
        without deviation would show.
    """

    last_dose: int
    strength: float
    treg_log_fold: Mapping[int, float]


def measure_patient(
    clinic: SimulatedClinic, cohort: str, patient_id: str, bleeds: Sequence[Bleed], chart: Chart, seed: int
) -> list[dict[str, object]]:
    """Return rows of the measurements table for one patient, in order of visit and variable.

    Parameters
    ----------
    clinic, cohort
        The clinic, and the cohort's key in it.
    patient_id, bleeds
        The patient, and the visits that took place, in order.
    chart
        What decides the patient's course.
    seed
        Of the study.
    """
    measures = clinic.measures.get(cohort, {})
    rows: list[dict[str, object]] = []
    paths: dict[str, dict[int, float]] = {}
    leaning: dict[str, dict[str, float]] = {}
    for position, (name, measure) in enumerate(measures.items()):
        if bleeds:
            key = (bleeds[0].patient, position)
            paths[name] = _path(clinic, measure, bleeds, chart, paths, generator(seed, CLINIC, *key))
            leaning[name] = _leanings(measure.items, generator(seed, ITEMS, *key))
    for bleed in bleeds:
        for name, measure in measures.items():
            if measure.chance is not None and bleed.day <= 1:
                continue
            value, censored = _reported(measure, paths[name][bleed.day])
            who: dict[str, object] = {"patient_id": patient_id, "visit": bleed.visit.name}
            rows += [
                {**who, "variable": variable, "value": number, "unit": measure.unit, "censored": censored}
                for variable, number in _written(name, measure, value, leaning[name])
            ]
    return rows


def _written(name: str, measure: Measure, value: float, leaning: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    """Yield a measure as the clinic writes it: one value, or each item of a score as present or absent."""
    if not measure.items:
        yield name, value
        return
    present = _present_items(measure.items, leaning, int(value))
    for item in measure.items:
        yield f"{name}.{item}", float(item in present)


def decline(clinic: SimulatedClinic, cohort: str, patient: int, chart: Chart, seed: int) -> float:
    """Return how fast a patient's declining score falls after the drug, points a month; 0 when nothing declines.

    Parameters
    ----------
    clinic
        Courses and slopes by cohort.
    cohort
        Name of the cohort.
    patient
        Number of the patient, from 0.
    chart
        When the patient got the drug.
    seed
        Of the simulation.
    """
    for position, measure in enumerate(clinic.measures.get(cohort, {}).values()):
        if measure.slope:
            return max(-_slopes(measure, chart, generator(seed, CLINIC, patient, position))["after"], 0.0)
    return 0.0


def _slopes(measure: Measure, chart: Chart, rng: np.random.Generator) -> dict[str, float]:
    """Draw a patient's points a month in each period; without drug effect it goes on as before."""
    slopes = {}
    for period, (mean, sd) in (measure.slope or {}).items():
        before = (measure.slope or {})["before"][0]
        slopes[period] = before + chart.strength * (mean - before) + float(rng.normal(0, sd))
    return slopes


def _path(
    clinic: SimulatedClinic,
    measure: Measure,
    bleeds: Sequence[Bleed],
    chart: Chart,
    paths: Mapping[str, Mapping[int, float]],
    rng: np.random.Generator,
) -> dict[int, float]:
    """Return the value by study day before limits and rounding (on the log scale where the measure is)."""
    slopes = _slopes(measure, chart, rng)
    start, personal = _start(measure, rng), float(rng.normal())
    path = {}
    for bleed in bleeds:
        value = start + float(rng.normal(0, measure.visit_sd))
        value += _change(clinic, measure, bleed.day, chart, personal)
        value += _declined(slopes, bleed.day, chart)
        if measure.follows:
            leader = paths[str(measure.follows[0])]
            value += float(measure.follows[1]) * (leader[bleed.day] - leader[bleeds[0].day])
        if measure.chance is not None:
            value = float(rng.random() < measure.chance)
        path[bleed.day] = value
    return path


def _start(measure: Measure, rng: np.random.Generator) -> float:
    centre, sd = measure.baseline
    start = (np.log(centre) if measure.log else centre) + float(rng.normal(0, sd))
    return max(start, measure.entry) if measure.entry is not None else float(start)


def _change(clinic: SimulatedClinic, measure: Measure, day: int, chart: Chart, personal: float) -> float:
    if not measure.course:
        return 0.0
    course = {int(key): share for key, share in clinic.courses[measure.course].items()}
    share = float(np.interp(day, list(course), list(course.values())))
    treg = chart.treg_log_fold.get(day, 0.0) / clinic.treg_log_fold_sd
    deviation = measure.treg * treg + np.sqrt(1.0 - measure.treg**2) * personal
    return share * chart.strength * measure.change + float(np.sqrt(share) * measure.sd_change * deviation)


def _declined(slopes: Mapping[str, float], day: int, chart: Chart) -> float:
    """Return the points lost by a day: one slope before, one during, one after the administration period."""
    if not slopes:
        return 0.0
    end = chart.last_dose + _REST_DAYS
    months = {
        "before": min(day - 1, 0) / DAYS_PER_MONTH,
        "during": max(min(day, end) - 1, 0) / DAYS_PER_MONTH,
        "after": max(day - end, 0) / DAYS_PER_MONTH,
    }
    return sum(slopes[period] * months[period] for period in months)


def _reported(measure: Measure, value: float) -> tuple[float, str]:
    """Return the value as a clinic writes it, and whether it is beyond a limit of quantification."""
    value = float(np.exp(value)) if measure.log else value
    if measure.limits:
        value = min(max(value, measure.limits[0]), measure.limits[1])
    value = round(value / measure.step) * measure.step if measure.step else round(value, measure.decimals)
    if measure.below is not None and value < measure.below:
        return measure.below, "below"
    if measure.above is not None and value > measure.above:
        return measure.above, "above"
    return value, ""


def _leanings(items: _ItemTable, rng: np.random.Generator) -> dict[str, float]:
    """Return how readily each item shows in one patient: the log odds of how common it is, and the patient's own.

    Parameters
    ----------
    items
        Item to its points and to how common it is (0..1).
    rng
        The patient's own generator.

    Returns
    -------
    dict
        Log odds by item.
    """
    return {name: float(np.log(p / (1.0 - p)) + rng.normal(0, _PATIENT_SD)) for name, (_, p) in items.items()}


def _present_items(items: _ItemTable, leaning: Mapping[str, float], total: int) -> frozenset[str]:
    """Return the likeliest set of items whose weights add up to a total.

    Among all sets with that sum the one with the largest sum of leanings is found, sum by sum (the 0/1 knapsack).

    Parameters
    ----------
    items
        Item -> (weight, share of patients that have it).
    leaning
        Item -> log odds in this patient, see `_leanings`.
    total
        Sum of the weights.

    Raises
    ------
    ValueError
        No set of items adds up to the total.
    """
    names = list(items)
    best = np.full(total + 1, -np.inf)
    best[0] = 0.0
    taken = np.zeros((len(names), total + 1), dtype=bool)
    for row, name in zip(taken, names, strict=True):
        weight = int(items[name][0])
        if weight <= total:
            reached = best[: total + 1 - weight] + leaning[name]
            row[weight:] = reached > best[weight:]
            best[weight:] = np.maximum(best[weight:], reached)
    if np.isneginf(best[total]):
        raise ValueError(f"no items add up to {total}")
    present = set()
    for row, name in zip(taken[::-1], reversed(names), strict=True):
        if row[total]:
            present.add(name)
            total -= int(items[name][0])
    return frozenset(present)
