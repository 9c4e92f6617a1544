"""The laboratory: who is bled when, in which run a tube is stained, and what goes wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from immunolab.simulate.cells import Staining, spillover_matrix
from immunolab.simulate.model import Model, Options, TubePanel
from immunolab.study.trial import Visit

# Streams of random numbers: each has its own, so that one more patient or visit leaves the others as they were.
PATIENT, SAMPLE, RUN, MATRIX, FAULT, VISIT, EVENTS, CLINIC = range(8)


@dataclass(frozen=True)
class Bleed:
    """One patient's sample at one visit.

    Attributes
    ----------
    day : study day it is taken.
    batch : run in which its tubes are stained and acquired; counted from 1.
    centre : centre of the patient; counted from 1, 0 when there is one laboratory.
    """

    patient: int
    visit: Visit
    day: int
    batch: int
    centre: int


@dataclass(frozen=True)
class Faults:
    """What goes wrong with a tube."""

    failed: bool = False
    events_factor: float = 1.0
    swapped: tuple[str, str] | None = None
    exported_twice: bool = False
    clog: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """The faults in words, for the truth."""
        named = {
            "low_events": self.events_factor < 1.0,
            "swapped_labels": self.swapped is not None,
            "exported_twice": self.exported_twice,
            "clog": self.clog,
        }
        return tuple(name for name, on in named.items() if on)


@dataclass(frozen=True)
class Laboratory:
    """Batches of a study: how each stains and what matrix it writes."""

    model: Model
    options: Options
    seed: int
    last_batch: int = 1
    _cache: dict[tuple[int, str], NDArray[np.float64]] = field(default_factory=dict, repr=False, compare=False)

    def staining(self, bleed: Bleed) -> Staining:
        """Return shift and scale of every marker in a run, with lot change and drift."""
        settings, options = self.model.batch, self.options
        markers = (*self.model.markers, "Viability")
        staining = Staining()
        if options.batches != "none" or options.centres or options.confounded:
            rng = np.random.default_rng([self.seed, RUN, bleed.batch])
            factor = settings["centre_factor"] if options.centres else 1.0
            shift = rng.normal(0, settings["shift_sd"] * factor, len(markers))
            scale = 1.0 + rng.normal(0, settings["scale_sd"], len(markers))
            staining = Staining(dict(zip(markers, shift, strict=True)), dict(zip(markers, scale, strict=True)))
        if options.lot_change and bleed.batch > self.last_batch / 2:
            staining = staining.plus({self.model.lot_change["marker"]: self.model.lot_change["shift"]})
        if options.drift:
            rng = np.random.default_rng([self.seed, VISIT, bleed.visit.target_day + 1000])
            staining = staining.plus(dict(zip(markers, rng.normal(0, options.drift, len(markers)), strict=True)))
        return staining

    def written_matrix(self, panel: TubePanel, batch: int) -> NDArray[np.float64]:
        """Return the matrix a run writes into its files: the true one with errors."""
        key = (batch, panel.strategy)
        if key not in self._cache:
            self._cache[key] = self._draw_matrix(panel, batch)
        return self._cache[key]

    def _draw_matrix(self, panel: TubePanel, batch: int) -> NDArray[np.float64]:
        true = spillover_matrix(self.model, panel)
        error = self.options.spillover_error
        error = self.model.spillover_error if error is None else error
        rng = np.random.default_rng([self.seed, MATRIX, batch])
        matrix = np.where(np.eye(len(true)) > 0, true, true * (1.0 + rng.normal(0, error, true.shape)))
        gross, dyes = self.model.gross_error, [d.dye for d in panel.detectors]
        if self.options.wrong_spillover and batch == self.last_batch and {gross["dye"], gross["detector"]} <= set(dyes):
            matrix[dyes.index(gross["dye"]), dyes.index(gross["detector"])] *= gross["factor"]
        return matrix


def plan_bleeds(
    model: Model, options: Options, visits: Sequence[Visit], enrolled: Sequence[int], centres: Sequence[int], seed: int
) -> list[Bleed]:
    """Return every planned sample in order of patient and day, with its run."""
    bleeds = []
    for patient, entry in enumerate(enrolled):
        for visit in visits:
            day = _day(options, visit, np.random.default_rng([seed, SAMPLE, patient, visit.target_day + 1000]))
            batch = _batch(model, options, patient, visit, entry + day, centres[patient])
            bleeds.append(Bleed(patient, visit, day, batch, centres[patient]))
    numbers = {batch: i for i, batch in enumerate(sorted({bleed.batch for bleed in bleeds}), start=1)}
    return [replace(bleed, batch=numbers[bleed.batch]) for bleed in bleeds]


def _day(options: Options, visit: Visit, rng: np.random.Generator) -> int:
    if not options.visit_jitter:
        return visit.target_day
    first, last = visit.window
    return int(rng.choice([day for day in range(first, last + 1) if day != 0]))


def _batch(model: Model, options: Options, patient: int, visit: Visit, calendar_day: int, centre: int) -> int:
    if options.confounded:
        return 0 if visit.phase == "baseline" else 1
    if options.centres:
        return centre
    if options.batches == "months":
        return int((calendar_day + 28) // model.batch["days"])
    return patient // int(model.batch["patients"]) if options.batches == "patients" else 0


def visit_missed(model: Model, options: Options, bleed: Bleed, decline: float | None, last: bool, seed: int) -> bool:
    """Return whether a visit is missed; in ALS faster decline (points a month) makes a missed last visit likelier."""
    chance = model.faults["missing_visit"].get(bleed.visit.name, 0.0) * options.faults
    if not 0.0 < chance < 1.0:
        return chance >= 1.0
    if decline is not None and last:
        odds = chance / (1.0 - chance) * np.exp(model.als_dropout_logit * max(decline, 0.0))
        chance = odds / (1.0 + odds)
    rng = np.random.default_rng([seed, FAULT, bleed.patient, bleed.visit.target_day + 1000])
    return bool(rng.random() < chance)


def draw_faults(model: Model, options: Options, panel: TubePanel, rng: np.random.Generator) -> Faults:
    """Draw what goes wrong with a tube."""
    rates = model.faults
    names = ("failed_panel", "low_events", "wrong_label", "duplicate_file", "clog")
    failed, few, swapped, twice, clog = (rng.random() < rates[name] * options.faults for name in names)
    pair = rng.choice(len(panel.markers), 2, replace=False)
    return Faults(
        failed=failed,
        events_factor=float(rng.uniform(*model.low_event_share)) if few else 1.0,
        swapped=(panel.markers[pair[0]], panel.markers[pair[1]]) if swapped else None,
        exported_twice=twice,
        clog=clog,
    )
