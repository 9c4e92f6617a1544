"""The panels of a study: the gates of each, and how its tubes are read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from immunolab.errors import ImmunolabError, InputError, Problem
from immunolab.events.tube import Tube, identity
from immunolab.gating.gate_source import Gates, read_gates
from immunolab.study.sheet import PanelChoice, Study

if TYPE_CHECKING:
    from immunolab.loaders.fcs.header import FcsHeader


@dataclass(frozen=True)
class PanelGates:
    """A panel of a study: its gates, how its tubes are read, and files that drawn gates are carried from."""

    gates: Gates
    markers: tuple[tuple[str, str], ...]
    spillover: str
    templates: tuple[Path, ...] = ()


@cache
def load_methods(module: str) -> None:
    """Register the threshold methods of a lab's own file once in this process; "" does nothing."""
    from immunolab.gating.placement import method_lookup

    if module:
        method_lookup.load_methods(Path(module))


def read_panels(study: Study, definitions: str = "default") -> dict[str, PanelGates]:
    """Return the gates of every panel that samples of a study use.

    Parameters
    ----------
    study
        Its samples name the panels.
    definitions
        ``default``, or ``all`` for every published definition that a panel allows.

    Returns
    -------
    dict
        By panel name, in the order of the sheet.

    Raises
    ------
    InputError
        Every problem of every panel and strategy file at once.
    """
    load_methods(str(study.methods_module) if study.methods_module else "")
    panels: dict[str, PanelGates] = {}
    problems: list[Problem] = []
    for name in dict.fromkeys(s.panel for s in study.samples if s.modality != "single_cell"):
        choice = study.panels.get(name, PanelChoice())
        try:
            panels[name] = _panel(choice, definitions)
        except InputError as error:
            where = str(study.source), f"panels.{name}.strategy"  # of a problem with no file of its own
            problems += [p if p.file else Problem(*where, p.message, p.hint) for p in error.problems]
        except ImmunolabError as error:
            problems.append(Problem(error.where, "", error.message, error.hint))
    if problems:
        raise InputError(problems)
    return panels


def _panel(choice: PanelChoice, definitions: str) -> PanelGates:
    from immunolab.vocabulary.panel import read_panel

    gates = read_gates(choice.strategy).of(choice.specimen)
    if definitions == "all" and gates.declared is not None:
        from immunolab.gating.definitions import with_all_definitions

        gates = Gates(with_all_definitions(gates.declared))
    markers = tuple(read_panel(choice.panel).items()) if choice.panel else ()
    gates = replace(gates, follow=choice.follow)
    return PanelGates(gates, markers, str(choice.spillover) if choice.spillover else "", choice.templates)


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
