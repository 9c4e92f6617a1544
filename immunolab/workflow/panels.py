"""The panels of a study: the gates of each, and how its tubes are read."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from immunolab.errors import ImmunolabError, InputError, Problem
from immunolab.events.tube import Tube, identity
from immunolab.gating.gate_source import Gates, read_gates
from immunolab.input_files import read_input, recorded_inputs
from immunolab.study.sheet import PanelChoice, Study
from immunolab.workflow.read_tube import TubeFile

if TYPE_CHECKING:
    from immunolab.loaders.fcs.header import FcsHeader

log = logging.getLogger("immunolab")


@dataclass(frozen=True)
class PanelGates:
    """A panel of a study: its gates, how its tubes are read, and files that drawn gates are carried from.

    Attributes
    ----------
    markers
        Marker by channel.
    spillover
        File of the matrix; "" takes each tube's own.
    read
        Sha256 of every file that this was read from, by absolute path.
    clean
        Whether faulty stretches of the tubes' runs are cut.
    """

    gates: Gates
    markers: tuple[tuple[str, str], ...]
    spillover: str
    templates: tuple[Path, ...] = ()
    read: Mapping[str, str] = field(default_factory=dict)
    clean: bool = True

    def tube(self, sample_id: str, file: str, sha256: str = "") -> TubeFile:
        """Return a tube of the panel that is to be read.

        Parameters
        ----------
        sample_id, file
            Of the tube.
        sha256
            What the file must hold; "" takes it as it is.
        """
        matrix = os.path.abspath(self.spillover) if self.spillover else ""
        return TubeFile(sample_id, file, self.markers, matrix, self.read.get(matrix, ""), sha256, self.clean)


@cache
def load_methods(module: str, sha256: str) -> None:
    """Register the threshold methods of a lab's own file once in this process.

    Parameters
    ----------
    module
        The file; "" does nothing.
    sha256
        What it must hold.
    """
    from immunolab.gating.placement import method_lookup

    if module:
        method_lookup.load_methods(Path(module), sha256)


def lab_code(study: Study) -> tuple[str, str]:
    """Return the path and the sha256 of the study's own code, as it was when the study was checked; "" without code."""
    path = os.path.abspath(study.methods_module) if study.methods_module else ""
    return path, study.read.get(path, "")


def _run_lab_code(study: Study, allow_code: bool) -> None:
    """Run the study's own code where that was asked for; a study is data, so that nothing runs by itself."""
    if study.methods_module is None:
        return
    name = study.relative(study.methods_module)
    if not allow_code:
        text = f"names Python code ('{name}'), which is run only where that is asked for"
        hint = "read the file, then add --allow-code (in Python: allow_code=True)"
        raise InputError(Problem(str(study.source), "methods_module", text, hint))
    path, _ = lab_code(study)
    with recorded_inputs() as read:
        read_input(path)
    log.info("code of %s runs (sha256 %s)", name, read[path])
    load_methods(path, read[path])


def read_panels(study: Study, definitions: str = "default", *, allow_code: bool = False) -> dict[str, PanelGates]:
    """Return the gates of every panel that samples of a study use.

    Parameters
    ----------
    study
        Its samples name the panels.
    definitions
        ``default``, or ``all`` for every published definition that a panel allows.
    allow_code
        Whether the Python file of ``methods_module`` is run.

    Returns
    -------
    dict
        By panel name, in the order of the sheet.

    Raises
    ------
    InputError
        Every problem of every panel and strategy file at once.
    """
    _run_lab_code(study, allow_code)
    panels: dict[str, PanelGates] = {}
    problems: list[Problem] = []
    for name in dict.fromkeys(s.panel for s in study.samples if s.modality != "single_cell"):
        choice = study.panels.get(name, PanelChoice())
        try:
            panels[name] = _panel(choice, definitions, clean=study.quality.clean)
        except InputError as error:
            where = str(study.source), f"panels.{name}.strategy"  # of a problem with no file of its own
            problems += [p if p.file else Problem(*where, p.message, p.hint) for p in error.problems]
        except ImmunolabError as error:
            problems.append(Problem(error.where, "", error.message, error.hint))
    if problems:
        raise InputError(problems)
    return panels


def _panel(choice: PanelChoice, definitions: str, *, clean: bool) -> PanelGates:
    from immunolab.loaders.fcs.spillover import read_spillover
    from immunolab.vocabulary.panel import read_panel

    with recorded_inputs() as read:
        gates = read_gates(choice.strategy).of(choice.specimen)
        markers = tuple(read_panel(choice.panel).items()) if choice.panel else ()
        if choice.spillover:
            read_spillover(choice.spillover)
    if definitions == "all" and gates.declared is not None:
        from immunolab.gating.definitions import with_all_definitions

        gates = Gates(with_all_definitions(gates.declared))
    gates = replace(gates, follow=choice.follow)
    return PanelGates(gates, markers, str(choice.spillover) if choice.spillover else "", choice.templates, read, clean)


def without_events(header: FcsHeader, file: Path, panel: PanelGates) -> Tube:
    """Return a file's channels under a panel's marker names as a tube without events.

    Parameters
    ----------
    header, file, panel
        Header of an FCS file, where it is, and how tubes of its panel are read.
    """
    from immunolab.vocabulary.panel import resolve_channels

    labels = [channel.label for channel in header.channels]
    channels = resolve_channels([channel.name for channel in header.channels], labels, dict(panel.markers) or None)
    empty = np.empty((len(channels), 0), np.float32)
    return Tube(empty, channels, None, "", str(file), keywords=identity(header.text))


def read_channels(file: Path, panel: PanelGates) -> Tube:
    """Return what `without_events` returns, from the file's own header.

    Parameters
    ----------
    file, panel
        An FCS file, and how tubes of its panel are read.

    Raises
    ------
    DataFileError
        The file cannot be read.
    """
    from immunolab.loaders.fcs.read import read_header

    return without_events(read_header(file), file, panel)
