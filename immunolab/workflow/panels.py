"""Where each tube's gates come from: a declared strategy, a Gating-ML file or a FlowJo workspace."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from immunolab.errors import GatingError, ImmunolabError, InputError, Problem
from immunolab.gating.strategy import Declared, Strategy
from immunolab.study.sheet import PanelChoice, Study

if TYPE_CHECKING:
    from immunolab.gating.exchange.workspace_model import Workspace

BUILTIN = "treg_th17_tfh_teff"
GATE_FILES = (".xml", ".wsp")


@dataclass(frozen=True)
class Gates:
    """Where gates come from: one strategy for all files, or an import with gates for each.

    Attributes
    ----------
    declared : a strategy in YAML; its gates may have yet to be placed by data.
    imported : a FlowJo workspace or Gating-ML file.
    """

    declared: Strategy | None = None
    imported: Workspace | None = None

    @classmethod
    def read(cls, path: Path) -> Gates:
        """Read YAML, Gating-ML or a FlowJo workspace; raises InputError."""
        from immunolab.gating.exchange.workspace import read_workspace
        from immunolab.gating.strategy_file import read_strategy

        if path.suffix.lower() in GATE_FILES:
            return cls(imported=read_workspace(path))
        return cls(declared=read_strategy(path))

    @property
    def needs_fit(self) -> bool:
        """Whether any gate has yet to be placed by data."""
        return self.declared is not None and any(isinstance(p.gate, Declared) for p in self.declared.populations)

    def for_file(self, file: str, fil: str = "") -> Strategy:
        """Return the strategy of a file, chosen by its name, then by its ``$FIL``.

        Raises
        ------
        GatingError
            The import has no gates for the file.
        """
        if self.imported is not None:
            return self.imported.strategy_for(file, fil)
        if self.declared is None:
            raise GatingError("no gates were read", file, "name a strategy file")
        return self.declared

    def unread_for(self, file: str, fil: str = "") -> tuple[Problem, ...]:
        """Return the gates of a file that could not be read; ``place`` is the gate's path."""
        return self.imported.problems_for(file, fil) if self.imported is not None else ()

    def names(self) -> list[str]:
        """Return the file names that have gates of their own."""
        return sorted(name for name in self.imported.strategies if name) if self.imported else []


def named_strategy(word: Path | str) -> Path | str:
    """Return the path a word names, or the word itself where it has no suffix and no file is there: a shipped name."""
    path = Path(word)
    return path if path.suffix or path.exists() or len(path.parts) > 1 else str(word)


def read_gates(strategy: Path | str | None) -> Gates:
    """Read gates from a file, or the built-in strategy of that name (the surface one for None).

    Raises
    ------
    InputError
    """
    from immunolab.gating.strategy_file import builtin_strategy

    if isinstance(strategy, Path):
        return Gates.read(strategy)
    return Gates(builtin_strategy(strategy or BUILTIN))


@dataclass(frozen=True)
class PanelGates:
    """A panel of a study: its gates, and how its tubes are read."""

    gates: Gates
    markers: tuple[tuple[str, str], ...]
    spillover: str


@cache
def load_methods(module: str) -> None:
    """Register the threshold methods of a lab's own file once in this process; "" does nothing."""
    from immunolab.gating import method_registry as cards

    if module:
        cards.load_methods(Path(module))


def read_panels(study: Study, definitions: str = "default") -> dict[str, PanelGates]:
    """Return the gates of every panel that samples of a study use.

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
            problems += error.problems
        except ImmunolabError as error:
            problems.append(Problem(error.where, "", error.message, error.hint))
    if problems:
        raise InputError(problems)
    return panels


def _panel(choice: PanelChoice, definitions: str) -> PanelGates:
    from immunolab.vocabulary.panel import read_panel

    gates = read_gates(choice.strategy)
    if definitions == "all" and gates.declared is not None:
        from immunolab.gating.definitions import with_all_definitions

        gates = Gates(with_all_definitions(gates.declared))
    markers = tuple(read_panel(choice.panel).items()) if choice.panel else ()
    return PanelGates(gates, markers, str(choice.spillover) if choice.spillover else "")
