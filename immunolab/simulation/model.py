"""The model of blood, cytometer and drug: simulation.yaml as records, and the options of one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from immunolab.config import build, read_package_yaml

WrongBridge = Literal["", "stain", "fade", "drift", "donor", "thaw", "labels", "missing", "few"]
LEVELS = ("neg", "lo", "int", "pos", "hi")  # of a marker, from none to the brightest; the position is its code
_LEAST_SD = 0.05  # asinh: no stain is more uniform, whatever the instrument adds (judgement)


@dataclass(frozen=True)
class Options:
    """What one simulated study has beyond patients who respond to the drug.

    The defaults give an orderly study: batches of five patients, spillover matrices that are slightly off, dead
    cells, doublets, debris and slow drift within a file; every visit done and every label right.

    Attributes
    ----------
    events
        Events of a file.
    events_sd_log
        Sd of the log of the number of events between files.
    null
        No effect of the drug at all.
    effect, intensity_effect
        Factors on the drug's effect on composition and on marker intensity.
    visit_noise
        Factor on the biological variation between a patient's visits.
    batches
        ``patients`` (five patients share a run, all visits of one in the same), ``months`` (samples are run in
        the month they are taken), ``crossed`` (four runs, a patient's next visit is in the next one, each visit in all)
        or ``none``.
    confounded
        All baselines are batch 1 and all later visits batch 2.
    lot_change
        Asinh shift of CD25 from the middle batch on; needs ``batches="months"`` to fall inside pairs.
    drift
        Sd, in asinh, of a shift per marker that each visit has of its own (staining drifts, biology does not).
    batch_drift
        Sd, in asinh, of the step that each marker takes from every run to the next.
    bridges
        A bridging control in every run: one healthy donor's cells.
    wrong_bridge
        What is wrong with the bridging control of the last run: ``stain`` (its CD25 is dim), ``fade`` (its CD25 is dim
        on the cells that carry it alone), ``drift`` (each of its markers has moved by itself), ``donor`` (it is another
        person), ``thaw`` (two fifths are dead, every stain is dim), ``labels`` (two of its labels are exchanged),
        ``missing`` (stained without one antibody), ``few`` (1,500 events); "" for nothing.
    centres
        Number of centres, each with a strong batch effect of its own; 0 is one laboratory.
    spillover_error
        Relative sd of the entries of the matrix written to a file, None for the vocabulary's own.
    wrong_spillover
        One batch carries a grossly wrong entry.
    foxp3, ics
        A nuclear tube and a stimulated tube with its unstimulated pair at each visit; None follows the trial.
    fmo
        Fluorescence-minus-one controls, one set a batch.
    faults
        Factor on the rates of missing visits, failed tubes, files of few events, swapped labels, files exported
        twice and clogs; 1 is the usual rate, 0 none.
    mixed_labels
        Markers are spelled differently from file to file.
    visit_jitter
        Samples are taken on a random day of the visit's window instead of the target day.
    sample_type
        Share of dead cells.
    baseline
        Composition before treatment: hc, sle, als, iim, rp or pmr; "" follows the trial.
    citeseq
        Cells of every sample for CITE-seq too, as h5ad; 0 for none.
    truth_events
        Write the truth of every event.
    """

    events: int = 30_000
    events_sd_log: float = 0.0
    null: bool = False
    effect: float = 1.0
    intensity_effect: float = 1.0
    visit_noise: float = 1.0
    batches: Literal["patients", "months", "crossed", "none"] = "patients"
    confounded: bool = False
    lot_change: bool = False
    drift: float = 0.0
    batch_drift: float = 0.0
    bridges: bool = False
    wrong_bridge: WrongBridge = ""
    centres: int = 0
    spillover_error: float | None = None
    wrong_spillover: bool = False
    foxp3: bool | None = None
    ics: bool = False
    fmo: bool = False
    faults: float = 0.0
    mixed_labels: bool = False
    visit_jitter: bool = False
    sample_type: Literal["fresh_blood", "fresh_PBMC", "cryo_PBMC"] = "fresh_PBMC"
    baseline: str = ""
    citeseq: int = 0
    truth_events: bool = True


@dataclass(frozen=True)
class Detector:
    """A detector of a panel, its dye and the marker on it."""

    detector: str
    dye: str
    marker: str


@dataclass(frozen=True)
class TubePanel:
    """One tube's panel."""

    strategy: str
    detectors: tuple[Detector, ...]
    fmo: tuple[str, ...]
    scatter_scale: dict[str, float] = field(default_factory=dict)

    @property
    def markers(self) -> tuple[str, ...]:
        """Markers in detector order."""
        return tuple(d.marker for d in self.detectors)


@dataclass(frozen=True)
class Leaf:
    """A kind of cell: its share, variation, response to the drug and levels."""

    levels: dict[str, Any]
    health: float = 0.0
    lupus: float = 0.0
    sd_patient: float = 0.0
    sd_visit: float = 0.0
    effect: float = 0.0
    kernel: str = "none"
    scatter: str = "lymphocyte"


@dataclass(frozen=True)
class Kernel:
    """How the effect of one dose fades."""

    decay_days: float
    unit_day: int
    unit_doses: tuple[int, ...]
    response_sd: float


@dataclass(frozen=True)
class Shift:
    """An effect of the drug on a marker of some leaves."""

    marker: str
    leaves: tuple[str, ...]
    kernel: str
    shift: float = 0.0
    logit: float = 0.0


@dataclass(frozen=True)
class Treatment:
    """The drug's effects."""

    rise_days: float
    cap: float
    kernels: dict[str, Kernel]
    non_responders: float
    intensity: tuple[Shift, ...]
    cycling: Shift


@dataclass(frozen=True)
class TruePopulation:
    """A population by drawn leaf and level."""

    leaves: tuple[str, ...]
    parents: tuple[str, ...]
    levels: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """All of simulation.yaml."""

    schema: str
    scale: dict[str, float]
    panels: dict[str, TubePanel]
    stimulation: dict[str, Any]
    spillover: dict[str, dict[str, float]]
    spillover_error: float
    gross_error: dict[str, Any]
    noise: dict[str, float]
    levels: dict[str, tuple[float, float]]
    marker_levels: dict[str, dict[str, tuple[float, float]]]
    scatter: dict[str, dict[str, tuple[float, float]]]
    doublet_height: float
    dead_uptake: float
    tube: dict[str, Any]
    time: dict[str, Any]
    leukocytes: dict[str, float]
    lymphocytes: dict[str, float]
    CD3: dict[str, float]
    sd_log_patient: dict[str, float]
    nk_effect: float
    cd4_leaves: dict[str, Leaf]
    cd4_lineage: dict[str, str]
    other_leaves: dict[str, Leaf]
    blast_marker: str
    baselines: dict[str, dict[str, Any]]
    treatment: Treatment
    batch: dict[str, float]
    lot_change: dict[str, Any]
    lymphocytes_per_ul: dict[str, Any]
    faults: dict[str, Any]
    low_event_share: tuple[float, float]
    dropout_logit: float
    spellings: dict[str, tuple[str, ...]]
    truth: dict[str, TruePopulation]
    groups: dict[str, tuple[str, ...]]

    @cached_property
    def leaves(self) -> tuple[str, ...]:
        """Every kind of cell; the position is its code."""
        return (*self.cd4_leaves, *self.other_leaves)

    @cached_property
    def markers(self) -> tuple[str, ...]:
        """Every marker of any panel except the viability dye; the position is its column."""
        names = {marker: None for panel in self.panels.values() for marker in panel.markers if marker != "Viability"}
        return tuple(names)

    def leaf(self, name: str) -> Leaf:
        """Return a leaf by name, with the lineage markers of CD4 cells filled in."""
        if name not in self.cd4_leaves:
            return self.other_leaves[name]
        leaf = self.cd4_leaves[name]
        return Leaf(**{**leaf.__dict__, "levels": {**self.cd4_lineage, **leaf.levels}})

    def members(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return the leaves that leaf and group names stand for."""
        leaves: list[str] = []
        for name in names:
            leaves += self.members(self.groups[name]) if name in self.groups else [name]
        return tuple(leaves)

    @cached_property
    def level_shares(self) -> NDArray[np.float64]:
        """Leaves x markers x levels: the share of each level before treatment."""
        shares = np.zeros((len(self.leaves), len(self.markers), len(LEVELS)))
        for i, name in enumerate(self.leaves):
            levels = self.leaf(name).levels
            for j, marker in enumerate(self.markers):
                shares[i, j] = level_share(levels.get(marker, "neg"))
        return shares

    def level_moments(self, marker: str) -> NDArray[np.float64]:
        """Return levels x (mean, sd) of a marker on the asinh scale, before the instrument adds its noise.

        The levels are stated as measured; what the instrument adds by itself to a cell of that level
        is taken out here, so that a tube without spillover shows the stated sd.
        """
        table: Mapping[str, tuple[float, float]] = {**self.levels, **self.marker_levels.get(marker, {})}
        mean, sd = np.array([table[level] for level in LEVELS]).T
        noise, cofactor = self.noise, self.scale["cofactor"]
        glow = noise["autofluorescence_median"] * noise["autofluorescence_sd_log"]
        light = cofactor * np.sinh(mean)
        variance = noise["electronic_sd"] ** 2 + glow**2 + noise["photon_gain"] * light
        added = variance / (cofactor * np.cosh(mean)) ** 2
        return np.column_stack([mean, np.sqrt(np.maximum(sd**2 - added, _LEAST_SD**2))])


def level_share(spec: str | Mapping[str, float]) -> NDArray[np.float64]:
    """Return the share of each level; what a mapping leaves over is ``neg``."""
    shares = np.zeros(len(LEVELS))
    for level, share in ({spec: 1.0} if isinstance(spec, str) else spec).items():
        shares[LEVELS.index(level)] += share
    shares[0] += 1.0 - shares.sum()
    return shares


@cache
def load_model() -> Model:
    """Return the shipped model."""
    return build(Model, read_package_yaml("immunolab.simulation", "simulation.yaml"))
