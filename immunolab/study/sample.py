"""One tube or library of the sample sheet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Literal

Modality = Literal["flow", "mass", "single_cell"]
SheetSpecimen = Literal["", "whole_blood", "fresh_pbmc", "frozen_pbmc"]
SORTED_AS = ("CD3", "CD4", "CD8", "NK", "B", "Mono", "DC", "pDC", "HSPC")
"""Populations that single cells may be declared as sorted into before they were sequenced."""
UNSTIMULATED = "unstimulated"
"""Word of the column ``stimulation`` for the control of a patient's stimulated tubes."""


@dataclass(frozen=True)
class Sample:
    """One tube or library of the sheet.

    Attributes
    ----------
    study_day
        As written, or counted from the patient's first recorded dose; None when unknown.
    control_of
        For a control tube, the sample_id, patient or batch it is the control of; a bridging control is its batch's.
    bridge, aliquot
        For a bridging control, its material (the donor) and aliquot; it is a tube and no patient.
    marker
        For an FMO control, the marker left out; empty for an unstained control.
    stimulation
        What the cells were stimulated with, or `UNSTIMULATED` for the control of such tubes; empty for all others.
    sorted_as
        Of single cells, what they were sorted as before they were sequenced; empty where they were not.
    lymphocytes_per_ul
        Lymphocyte count of the same day, cells per microlitre.
    beads_per_tube, volume_ul, bead_cv_percent
        Counting beads of the tube, microlitres of blood stained with them, stated error of the lot's count in percent.
    operator, lot, site
        Who stained the tube, with which lot of reagents, where; empty where the sheet does not say.
    specimen
        What was stained: whole_blood, fresh_pbmc or frozen_pbmc; empty where the sheet does not say.
    row
        Number of the row in the sheet, the header being 1.
    extra
        Further columns of the sheet, as text.
    """

    sample_id: str
    patient_id: str
    visit: str
    file: Path
    cohort: str = ""
    panel: str = ""
    date: date | None = None
    study_day: int | None = None
    batch: str = ""
    control_of: str = ""
    bridge: str = ""
    aliquot: str = ""
    marker: str = ""
    stimulation: str = ""
    modality: Modality = "flow"
    sorted_as: str = ""
    lymphocytes_per_ul: float | None = None
    beads_per_tube: float | None = None
    volume_ul: float | None = None
    bead_cv_percent: float | None = None
    operator: str = ""
    lot: str = ""
    site: str = ""
    specimen: SheetSpecimen = ""
    row: int = 0
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def gated(self) -> bool:
        """Whether its populations are counted: those of a bridge and of the control of a stimulation are."""
        return not self.control_of or bool(self.stimulation or self.bridge)

    @property
    def culture(self) -> tuple[str, str, str]:
        """Patient, visit and panel, which a stimulated tube has in common with its unstimulated control."""
        return self.patient_id, self.visit, self.panel


def files_twice(samples: Iterable[Sample]) -> list[str]:
    """Return ``P1 W0 and P1 W10 (a.fcs)`` for each file that is given to several patients or visits.

    Parameters
    ----------
    samples
        Of the study; control tubes, and single cells, of which one file may hold several samples, are left out.
    """
    found: dict[Path, dict[str, None]] = {}
    for sample in samples:
        if not sample.control_of and sample.modality != "single_cell":
            found.setdefault(sample.file, {})[f"{sample.patient_id} {sample.visit}"] = None
    return [f"{' and '.join(own)} ({file.name})" for file, own in found.items() if len(own) > 1]
