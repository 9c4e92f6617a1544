"""The laboratory: how a run stains, the faults of a tube, and what its file holds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from immunolab.simulation.biology import Composition
from immunolab.simulation.cells import Recipe, SimulatedTube, Staining, draw_tube, spillover_matrix
from immunolab.simulation.fcs_writer import write_fcs
from immunolab.simulation.model import Model, Options, TubePanel
from immunolab.simulation.schedule import BRIDGE, CONTROL, EVENTS, FAULT, MATRIX, RUN, VISIT, Bleed, generator

_LONE_DRIFT = 0.35  # sd, asinh, of the markers of a bridge that drifts alone: about three times a run's (judgement)
# least events of a bridging control, whatever the patients' tubes are shortened to: a tube of a trial has more
_BRIDGE_EVENTS = 50_000
_FEW_EVENTS = 1_500  # of a bridging control that ran dry (judgement)
# a bridging control that was thawed badly: share of dead cells, and asinh shift of every marker on the cells that carry
# it (judgement: staining at .6 of its brightness)
_THAWED_DEAD, _THAWED_FADE = 0.4, -0.5


@dataclass(frozen=True)
class TubeKind:
    """A tube of every visit.

    Attributes
    ----------
    suffix
        Part of the sample_id when a visit has several tubes.
    panel
        Name of its panel.
    stimulated
        None for a tube without cytokine stain, else whether the cells were stimulated.
    """

    suffix: str
    panel: str
    stimulated: bool | None = None


@dataclass(frozen=True)
class TubeFaults:
    """What goes wrong with a tube.

    Attributes
    ----------
    failed, exported_twice, clog
        Whether there is no file, a copy of it, and a stretch where the flow falters.
    events_factor
        Factor on the number of events.
    swapped
        Two markers whose labels are exchanged.
    """

    failed: bool = False
    events_factor: float = 1.0
    swapped: tuple[str, str] | None = None
    exported_twice: bool = False
    clog: bool = False

    @property
    def words(self) -> str:
        """The faults in words, joined by ``;``."""
        named = {
            "low_events": self.events_factor < 1.0,
            "swapped_labels": self.swapped is not None,
            "exported_twice": self.exported_twice,
            "clog": self.clog,
        }
        return ";".join(name for name, on in named.items() if on)


@dataclass(frozen=True)
class Laboratory:
    """Stains, acquires and writes the tubes of a study.

    Attributes
    ----------
    model, options, seed
        The instrument, what the study has beyond the orderly, and its seed.
    last_batch
        Number of the last run, counted from 1.
    """

    model: Model
    options: Options
    seed: int
    last_batch: int
    _matrices: dict[tuple[int, str], NDArray[np.float64]] = field(default_factory=dict, repr=False, compare=False)

    def faults(self, bleed: Bleed, index: int, panel: TubePanel) -> TubeFaults:
        """Draw what goes wrong with one of a visit's tubes.

        Parameters
        ----------
        bleed
            The visit.
        index
            Number of the tube at this visit.
        panel
            Its markers may be swapped.
        """
        rng, rates = generator(self.seed, FAULT, *bleed.key, index), self.model.faults
        names = ("failed_panel", "low_events", "wrong_label", "duplicate_file", "clog")
        failed, few, swapped, twice, clog = (rng.random() < rates[name] * self.options.faults for name in names)
        first, second = rng.choice(len(panel.markers), 2, replace=False)
        return TubeFaults(
            failed=failed,
            events_factor=float(rng.uniform(*self.model.low_event_share)) if few else 1.0,
            swapped=(panel.markers[first], panel.markers[second]) if swapped else None,
            exported_twice=twice,
            clog=clog,
        )

    def acquire(
        self, bleed: Bleed, index: int, kind: TubeKind, blood: Composition, faults: TubeFaults
    ) -> SimulatedTube:
        """Return the events of one of a visit's tubes.

        Parameters
        ----------
        bleed
            The visit.
        index
            Number of the tube at this visit.
        kind
            Panel, and whether the cells were stimulated.
        blood
            Expected shares of the sample.
        faults
            What goes wrong with the tube.
        """
        rng = generator(self.seed, EVENTS, *bleed.key, index)
        events = self.options.events * faults.events_factor * np.exp(rng.normal(0, self.options.events_sd_log))
        panel, staining = self.model.panels[kind.panel], self._staining(bleed)
        recipe = Recipe(panel, blood, staining, round(events), self._dead(rng), kind.stimulated, "", faults.clog)
        return draw_tube(self.model, recipe, rng)

    def acquire_control(self, bleed: Bleed, kind: TubeKind, blood: Composition, marker: str) -> SimulatedTube:
        """Return the events of an FMO control: the tube of a visit stained again without one marker.

        Parameters
        ----------
        bleed
            The visit.
        kind
            Panel, and whether the cells were stimulated.
        blood
            Expected shares of the sample.
        marker
            The marker that is left out.
        """
        panel = self.model.panels[kind.panel]
        rng = generator(self.seed, CONTROL, *bleed.key, panel.markers.index(marker))
        recipe = Recipe(
            panel, blood, self._staining(bleed), self.options.events, self._dead(rng), kind.stimulated, marker
        )
        return draw_tube(self.model, recipe, rng)

    def acquire_bridge(self, bleed: Bleed, kind: TubeKind, blood: Composition, wrong: str = "") -> SimulatedTube:
        """Return the events of a run's bridging control.

        Parameters
        ----------
        bleed
            A visit of the run.
        kind
            Its panel.
        blood
            Expected shares of the material.
        wrong
            As in `Options`; "" for a bridge that is stained as the run is.
        """
        rng = generator(self.seed, BRIDGE, bleed.batch, len(kind.panel))
        panel, staining = self.model.panels[kind.panel], self._staining(bleed)
        events, omitted = max(self.options.events, _BRIDGE_EVENTS), ""
        if wrong == "stain":
            staining = staining.plus({self.model.lot_change["marker"]: -self.model.lot_change["shift"]})
        if wrong == "fade":
            staining = replace(staining, fade={self.model.lot_change["marker"]: -self.model.lot_change["shift"]})
        if wrong == "drift":
            markers = (*self.model.markers, "Viability")
            moved = rng.normal(0, _LONE_DRIFT, len(markers))
            staining = staining.plus(dict(zip(markers, moved, strict=True)))
        dead = self._dead(rng)
        if wrong == "thaw":
            dead, staining = _THAWED_DEAD, replace(staining, fade=dict.fromkeys(self.model.markers, _THAWED_FADE))
        if wrong == "missing":
            omitted = self._wrong_markers(panel)[0]
        if wrong == "few":
            events = _FEW_EVENTS
        return draw_tube(self.model, Recipe(panel, blood, staining, events, dead, omitted=omitted), rng)

    def bridge_faults(self, kind: TubeKind, wrong: str) -> TubeFaults:
        """Return what is wrong with the file of a bridging control: with ``labels``, two labels are exchanged.

        Parameters
        ----------
        kind
            Its panel.
        wrong
            As in `Options`.
        """
        return TubeFaults(swapped=self._wrong_markers(self.model.panels[kind.panel]) if wrong == "labels" else None)

    def _wrong_markers(self, panel: TubePanel) -> tuple[str, str]:
        """Draw two of the markers that a panel's dim populations are recognised by: those that have FMO controls."""
        rng = generator(self.seed, BRIDGE, 0, len(panel.markers), len(panel.fmo))
        first, second = rng.choice(len(panel.fmo), 2, replace=False)
        return panel.fmo[first], panel.fmo[second]

    def save(self, tube: SimulatedTube, kind: TubeKind, bleed: Bleed, faults: TubeFaults, path: Path) -> None:
        """Write a tube as FCS, with the labels and the spillover matrix of its run.

        Parameters
        ----------
        tube
            Its events.
        kind
            Gives the panel.
        bleed
            The visit; its batch gives the matrix that is written.
        faults
            Swapped labels.
        path
            Replaced if it exists.
        """
        panel = self.model.panels[kind.panel]
        rng = generator(self.seed, RUN, *bleed.key, len(panel.markers))
        labels = {d.detector: self._label(d.marker, faults, rng) for d in panel.detectors}
        write_fcs(
            path,
            tube.names,
            [labels.get(name, "") for name in tube.names],
            tube.columns,
            spillover=([d.detector for d in panel.detectors], self.written_matrix(kind.panel, bleed.batch)),
            maximum=int(self.model.scale["maximum"]) + 1,
            keywords={"$CYT": "virtual cytometer", "$TIMESTEP": str(self.model.time["step"])},
        )

    def _label(self, marker: str, faults: TubeFaults, rng: np.random.Generator) -> str:
        if faults.swapped and marker in faults.swapped:
            marker = faults.swapped[1 - faults.swapped.index(marker)]
        spellings = self.model.spellings.get(marker, (marker,))
        return str(rng.choice(spellings)) if self.options.mixed_labels else marker

    def _dead(self, rng: np.random.Generator) -> float:
        share = self.model.tube["dead"][self.options.sample_type]
        odds = share / (1 - share) * np.exp(rng.normal(0, self.model.tube["dead_sd_logit"]))
        return float(odds / (1 + odds))

    def _staining(self, bleed: Bleed) -> Staining:
        """Return shift and scale of every marker in a run, with lot change and drift."""
        settings, options = self.model.batch, self.options
        markers = (*self.model.markers, "Viability")
        staining = Staining()
        if options.batches != "none" or options.centres or options.confounded:
            rng = generator(self.seed, RUN, bleed.batch)
            factor = settings["centre_factor"] if options.centres else 1.0
            shift = rng.normal(0, settings["shift_sd"] * factor, len(markers))
            scale = 1.0 + rng.normal(0, settings["scale_sd"], len(markers))
            staining = Staining(dict(zip(markers, shift, strict=True)), dict(zip(markers, scale, strict=True)))
        if options.lot_change and bleed.batch > self.last_batch / 2:
            staining = staining.plus({self.model.lot_change["marker"]: self.model.lot_change["shift"]})
        if options.batch_drift:
            steps = [generator(self.seed, BRIDGE, run).normal(size=len(markers)) for run in range(bleed.batch)]
            moved = options.batch_drift * np.sum(steps, axis=0)
            staining = staining.plus(dict(zip(markers, moved, strict=True)))
        if options.drift:
            shift = generator(self.seed, VISIT, bleed.visit.target_day).normal(0, options.drift, len(markers))
            staining = staining.plus(dict(zip(markers, shift, strict=True)))
        return staining

    def written_matrix(self, panel_name: str, batch: int) -> NDArray[np.float64]:
        """Return the matrix a run writes into its files: the true one with errors.

        Parameters
        ----------
        panel_name
            Name of a panel of the model.
        batch
            Number of the run.

        Returns
        -------
        array
            Detectors x detectors, rows dyes, diagonal 1.
        """
        key = (batch, panel_name)
        if key not in self._matrices:
            self._matrices[key] = self._draw_matrix(self.model.panels[panel_name], batch)
        return self._matrices[key]

    def _draw_matrix(self, panel: TubePanel, batch: int) -> NDArray[np.float64]:
        true = spillover_matrix(self.model, panel)
        error = self.options.spillover_error
        error = self.model.spillover_error if error is None else error
        rng = generator(self.seed, MATRIX, batch)
        matrix = np.where(np.eye(len(true)) > 0, true, true * (1.0 + rng.normal(0, error, true.shape)))
        gross, dyes = self.model.gross_error, [d.dye for d in panel.detectors]
        if self.options.wrong_spillover and batch == self.last_batch and {gross["dye"], gross["detector"]} <= set(dyes):
            matrix[dyes.index(gross["dye"]), dyes.index(gross["detector"])] *= gross["factor"]
        return matrix
