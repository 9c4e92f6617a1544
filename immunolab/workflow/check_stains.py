"""What events say of labels: stains exchanged or absent, and whether labels that are crossed in a file are wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from immunolab.errors import ImmunolabError, Problem
from immunolab.progress import progress
from immunolab.quality.crossed_labels import fit_of
from immunolab.quality.staining import StainFinding, exchange_evidence, staining_findings
from immunolab.quality.staining_sample import StainingFiles, StainingSample, staining_sample
from immunolab.study.sheet import Sample
from immunolab.workflow.panels import PanelGates

if TYPE_CHECKING:
    from immunolab.quality.panel_drift import Drift


@dataclass(frozen=True)
class PanelStains:
    """The fully stained tubes of one panel of a study, by file.

    Attributes
    ----------
    stains
        Events by file, read when they are asked for.
    problems
        Of files whose events, or their matrix, cannot be read.
    """

    stains: Mapping[str, StainingSample]
    problems: tuple[Problem, ...] = ()

    def notes(self) -> tuple[list[Problem], list[Problem]]:
        """Return a note for each stain that is exchanged or absent, and for each whose cells are absent, too."""
        found = staining_findings(self.stains)
        wrong, gone = ([one for one in found if (one.kind == "absent_population") is kind] for kind in (False, True))
        notes = ([Problem(one.tube, "", one.message, _hint(one)) for one in some] for some in (wrong, gone))
        return next(notes), next(notes)

    def judged(self, drift: Drift) -> tuple[Drift, bool]:
        """Return crossed labels with what the events say of them, and whether a panel file has put them right.

        Parameters
        ----------
        drift
            Of kind ``swapped``.
        """
        tube, pair = self.stains.get(drift.file), drift.markers
        if tube is None or len(pair) < 2 or not set(pair) <= set(tube.markers):
            return drift, False
        fit = fit_of(exchange_evidence(self.stains, drift.file, (pair[0], pair[1])))
        as_labelled = tube.markers[tube.names.index(drift.channel)] == pair[0]
        if fit == "exchanged":
            text = "the events fit the other files when the two are exchanged back: the labels of this file are wrong"
        elif fit == "labelled" and not as_labelled:
            text = "the events fit the markers of the panel file, which are used: the labels of this file are wrong"
            return replace(drift, message=f"{drift.message}; {text}"), True
        elif fit == "labelled":
            text = "the events fit the labels: the antibodies were on these detectors in this file"
        else:
            return drift, False
        return replace(drift, message=f"{drift.message}; {text}"), False


def panel_stains(samples: Sequence[Sample], panel: PanelGates, place: Path) -> PanelStains:
    """Return events of a panel's tubes, on the disk: no more are held than are compared with each other.

    Controls and stimulated tubes are left out.

    Parameters
    ----------
    samples
        Those of the panel whose headers can be read.
    panel
        How its tubes are read.
    place
        Folder that the events are kept in while they are looked at.
    """
    kept: dict[str, Path] = {}
    problems: list[Problem] = []
    stained = {str(s.file): s.sample_id for s in samples if not (s.control_of or s.stimulation)}
    for file, sample_id in progress(stained.items(), len(stained), "reading events"):
        try:
            path = place / f"{len(kept)}.npz"
            staining_sample(panel.tube(sample_id, file).read_whole()).save(path)
            kept[file] = path
        except ImmunolabError as error:
            problems.append(Problem(file, "", error.message, error.hint))
    return PanelStains(StainingFiles(kept), tuple(problems))


def file_stains(paths: Mapping[str, Path]) -> dict[str, StainingSample]:
    """Return events of files by name, markers as their labels say; files that cannot be read are left out.

    Parameters
    ----------
    paths
        By name.
    """
    from immunolab.loaders.fcs.read import read_fcs

    found = {}
    for name, path in paths.items():
        try:
            found[name] = staining_sample(read_fcs(path))
        except ImmunolabError:
            continue  # the header's own problem is reported by whoever reads it
    return found


def _hint(one: StainFinding) -> str:
    if one.kind == "exchanged":
        return "look at both channels of this tube beside another; a panel of its own can name them as they are"
    return "look at the channel of this tube beside another" if one.kind == "absent_stain" else ""
