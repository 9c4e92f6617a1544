"""Template tubes of drawn gates: found by the names in files' headers, and read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from immunolab.errors import DataFileError
from immunolab.events.tube import Tube
from immunolab.gating.following.template import Template
from immunolab.gating.following.templates import choose_templates, templates_of
from immunolab.gating.gate_source import Gates
from immunolab.loaders.fcs.read import read_fcs
from immunolab.workflow.panels import PanelGates, read_channels


def read_templates(
    gates: Gates, files: Sequence[Path], named: Sequence[Path], panel: Mapping[str, str] | None = None
) -> tuple[Template, ...]:
    """Return the templates of single files, with their events.

    Parameters
    ----------
    gates
        Drawn gates.
    files
        The files to gate; of these the gate file's own are the templates where none is named.
    named
        Files that the gates were drawn on.
    panel
        Markers by channel, as `read_fcs` takes them.

    Raises
    ------
    InputError
        Gates are not drawn, or it is unclear which file they were drawn on.
    DataFileError
        A template cannot be read.
    """
    how = PanelGates(gates, tuple((panel or {}).items()), "")
    chosen = choose_templates(gates, _headers(how, files), _headers(how, named))
    tubes = [read_fcs(Path(tube.file), panel=panel, sample_id=tube.sample_id) for tube in chosen]
    return tuple(templates_of(gates, tubes))


def _headers(panel: PanelGates, files: Sequence[Path]) -> list[Tube]:
    """Return the tubes without events; a file that cannot be read is no template, and gating reports it."""
    found = []
    for file in files:
        try:
            found.append(replace(read_channels(file, panel), sample_id=file.stem))
        except DataFileError:
            continue
    return found
