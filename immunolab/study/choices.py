"""What a study chooses for its panels, its comparison, its single cells and the quality of its tubes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from immunolab.schema.bridges import Bridging
from immunolab.schema.gating import Specimen


@dataclass(frozen=True)
class PanelChoice:
    """How the tubes of one panel are read and gated; None means the built-in choice.

    ``specimen`` is what they hold: adult human ``blood``, or ``other``; None leaves it to the strategy.
    ``follow`` carries drawn gates from ``templates``, or from the tubes that the gate file names, to the other tubes.
    """

    panel: Path | None = None
    strategy: Path | str | None = None
    spillover: Path | None = None
    specimen: Specimen | None = None
    follow: bool = False
    templates: tuple[Path, ...] = ()


@dataclass(frozen=True)
class CellLabels:
    """A labelled reference that a study's single cells are labelled by; None labels them by genes and proteins."""

    reference: Path | None = None
    labels: str = ""


@dataclass(frozen=True)
class PlannedComparison:
    """Which visits are compared: names of phases or of visits.

    Attributes
    ----------
    before, after
        Names.
    noise
        Inter-assay coefficient of variation in percent of the value, gating included, as the laboratory measured it.
    noise_df
        Degrees of freedom it was measured with (repeats less materials); None takes it as known.
    within_person
        Coefficient of variation from day to day within a person, percent; None takes published or assumed values.
    between_tubes
        Coefficient of variation between two tubes of one blood in one run, percent of a cytokine-positive share; None
        takes replicate unstimulated tubes, else an assumed value.
    bridges
        Patient ids that are bridging controls: one material measured again and again, and no patient.
    moderated
        Whether counted shares borrow variance from each other where there are ten or more.
    mixed_specimens
        Whether whole blood beside frozen PBMC in one panel is meant; it is an error otherwise.
    """

    before: str = "baseline"
    after: str = "on_treatment"
    noise: float | None = None
    noise_df: float | None = None
    within_person: float | None = None
    between_tubes: float | None = None
    bridges: tuple[str, ...] = ()
    moderated: bool = True
    mixed_specimens: bool = False


@dataclass(frozen=True)
class QualityChoice:
    """What a study says of its tubes and batches.

    Attributes
    ----------
    clean
        Whether stretches of a run that are clearly faulty are cut before gates are placed and events counted.
    bridge
        ``report``: bridging controls are charted and give the noise; ``follow``: borders also follow them from batch
        to batch, and what that gives is reported beside the uncorrected result.
    reference
        Batch in which drawn gates were drawn; "" takes the first run. Gates that data place follow from the batch of
        each patient that has most of the patient's tubes.
    """

    clean: bool = True
    bridge: Bridging = "report"
    reference: str = ""
