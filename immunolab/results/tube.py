"""A run's tube, gated again with the gates that the run used."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from immunolab.errors import DataFileError, InputError, Problem, nearest
from immunolab.events.tube import Tube
from immunolab.gating.record_codec import from_plain
from immunolab.gating.tubes import GatedTube, gate_tube
from immunolab.loaders.fcs.read import read_fcs
from immunolab.study.sheet import Sample, Study
from immunolab.vocabulary.panel import read_panel

COURSE = "run_course.png"  # the run of a tube that was not steady, in its folder
GATES = "gates.json"  # the gates of a sample with all their digits, in its folder


def read_tube(study: Study, sample_id: str, *, folder: Path, inputs: Mapping[str, str]) -> GatedTube:
    """Return a sample's tube, read from its file and gated with the gates that a run stored.

    Parameters
    ----------
    study
        The run's study.
    sample_id
        As in the sample sheet.
    folder
        The run's folder.
    inputs
        Sha256 of each input file by its path relative to the study's folder.

    Raises
    ------
    InputError
        The study has no such sample, or the run has no gates for it.
    DataFileError
        The file is not there, or is another than the one that the run read.
    """
    tube = read_events(study, sample_id, inputs)
    return gate_events(tube.clean() if study.quality.clean else tube, folder)


def gate_events(tube: Tube, folder: Path) -> GatedTube:
    """Return events of a run's sample with the gates that the run stored.

    Parameters
    ----------
    tube
        Its events, cleaned where the run cleans.
    folder
        The run's folder.

    Raises
    ------
    InputError
        The run has no gates for the sample.
    """
    gates = folder / "samples" / tube.sample_id / GATES
    if not gates.exists():
        hint = "tables/failures.csv names the samples that failed; controls and single cells have no gates"
        raise InputError(Problem("", "tube", f"the run has no gates for sample '{tube.sample_id}'", hint))
    return gate_tube(tube, from_plain(json.loads(gates.read_text(encoding="utf-8"))))


def read_events(study: Study, sample_id: str, inputs: Mapping[str, str]) -> Tube:
    """Return all events of a sample of a run, as the run read them, before it cut any.

    Parameters
    ----------
    study, sample_id, inputs
        As in `read_tube`.

    Raises
    ------
    InputError
        The study has no such sample.
    DataFileError
        The file is not there, or is another than the one that the run read.
    """
    sample = _sample(study, sample_id)
    choice = study.panel_of(sample)
    tube = read_fcs(
        sample.file,
        panel=read_panel(choice.panel) if choice.panel else None,
        spillover=choice.spillover or "file",
        sample_id=sample_id,
    )
    if tube.sha256 != inputs[study.relative(sample.file)]:
        raise DataFileError("differs from the file that the run read (sha256)", str(sample.file), "run the study again")
    return tube


def _sample(study: Study, sample_id: str) -> Sample:
    samples = {sample.sample_id: sample for sample in study.samples}
    if sample_id not in samples:
        raise InputError(Problem("", "tube", f"unknown sample '{sample_id}'", nearest(sample_id, samples)))
    return samples[sample_id]
