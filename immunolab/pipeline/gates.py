"""Where each tube's gates come from: a declared strategy, a Gating-ML file or a FlowJo workspace."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from immunolab.errors import ImmunolabError, InputError, Problem
from immunolab.gating.strategy import Declared, Strategy
from immunolab.study.sheet import PanelChoice, Study

if TYPE_CHECKING:
    from immunolab.gating.exchange.workspace import Workspace

BUILTIN = "treg_th17_tfh_teff"


@dataclass(frozen=True)
class Gates:
    """One strategy for all files, or a workspace that holds one for each."""

    source: str
    one: Strategy | None = None
    workspace: Workspace | None = None

    def for_file(self, path: Path) -> Strategy:
        """Return the strategy of a file.

        Raises
        ------
        GatingError
            The workspace does not hold the file.
        """
        if self.workspace is not None:
            return self.workspace.strategy_for(path.name)
        assert self.one is not None  # noqa: S101  -- one of the two is always given
        return self.one

    @property
    def declared(self) -> bool:
        """Whether any gate has yet to be placed by data."""
        return self.one is not None and any(isinstance(p.gate, Declared) for p in self.one.populations)


def read_gates(strategy: Path | str | None) -> Gates:
    """Read gates from a file, or the built-in strategy of that name (the surface one for None).

    Raises
    ------
    InputError
    """
    from immunolab.gating.strategy_file import builtin_strategy, read_strategy

    if strategy is None or isinstance(strategy, str):
        return Gates(strategy or BUILTIN, builtin_strategy(strategy or BUILTIN))
    if strategy.suffix.lower() == ".wsp" or _is_flowjo_xml(strategy):
        from immunolab.gating.exchange.workspace import read_workspace

        return Gates(strategy.name, workspace=read_workspace(strategy))
    return Gates(strategy.name, read_strategy(strategy))


def _is_flowjo_xml(path: Path) -> bool:
    if path.suffix.lower() != ".xml":
        return False
    with path.open("rb") as handle:
        return b"<Workspace" in handle.read(4096)


@dataclass(frozen=True)
class PanelGates:
    """A panel of a study: its gates, and how its tubes are read."""

    gates: Gates
    markers: tuple[tuple[str, str], ...]
    spillover: str


def read_panels(study: Study, definitions: str = "default") -> dict[str, PanelGates]:
    """Return the gates of every panel that samples of a study use.

    Raises
    ------
    InputError
        Every problem of every panel and strategy file at once.
    """
    panels, problems = {}, []
    for name in dict.fromkeys(s.panel for s in study.samples if s.modality != "single_cell"):
        choice = study.panels.get(name, PanelChoice())
        try:
            panels[name] = _panel(choice, definitions)
        except InputError as error:
            problems += error.problems
        except ImmunolabError as error:
            problems.append(Problem(error.where, "", error.message, error.hint))
    if problems:
        raise InputError(problems)
    return panels


def _panel(choice: PanelChoice, definitions: str) -> PanelGates:
    from immunolab.vocabulary.panel import read_panel

    gates = read_gates(choice.strategy)
    if definitions == "all" and gates.one is not None:
        from immunolab.gating.definitions import with_all_definitions

        gates = Gates(gates.source, with_all_definitions(gates.one))
    markers = tuple(read_panel(choice.panel).items()) if choice.panel else ()
    return PanelGates(gates, markers, str(choice.spillover) if choice.spillover else "")
