"""Template tubes of drawn gates: found by the names in files' headers, and read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from immunolab.errors import DataFileError
from immunolab.events.tube import Tube
from immunolab.gating.following.template import Template
from immunolab.gating.following.templates import choose_templates, templates_of
from immunolab.gating.gate_source import Gates
from immunolab.loaders.fcs.read import read_fcs
from immunolab.workflow.panels import PanelGates, read_channels


def read_templates(gates: Gates, files: Sequence[Path], named: Sequence[Path]) -> tuple[Template, ...]:
    """Return the templates of single files, with their events.

    Parameters
    ----------
    gates
        Drawn gates.
    files
        The files to gate; of these the gate file's own are the templates where none is named.
    named
        Files that the gates were drawn on.

    Raises
    ------
    InputError
        Gates are not drawn, or it is unclear which file they were drawn on.
    DataFileError
        A template cannot be read.
    """
    chosen = choose_templates(gates, _headers(gates, files), _headers(gates, named))
    return tuple(templates_of(gates, [read_fcs(Path(tube.file), sample_id=tube.sample_id) for tube in chosen]))


def _headers(gates: Gates, files: Sequence[Path]) -> list[Tube]:
    """Return the tubes without events; a file that cannot be read is no template, and gating reports it."""
    panel, found = PanelGates(gates, (), ""), []
    for file in files:
        try:
            found.append(replace(read_channels(file, panel), sample_id=file.stem))
        except DataFileError:
            continue
    return found
