"""Where gates come from: a declared strategy, a Gating-ML file or a FlowJo workspace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from immunolab.errors import GatingError, InputError, unknown_words
from immunolab.gating.strategy import Strategy
from immunolab.gating.tube_gates import TubeGates
from immunolab.input_files import is_there
from immunolab.schema.gating import SPECIMENS, Specimen

if TYPE_CHECKING:
    from immunolab.gating.exchange.workspace_model import Workspace

BUILTIN = "treg_th17_tfh_teff"
GATE_FILES = (".xml", ".wsp")


@dataclass(frozen=True)
class Gates:
    """One strategy for all files, or an import with gates for each.

    Attributes
    ----------
    declared
        A strategy; its gates may have yet to be placed by data.
    imported
        A FlowJo workspace or Gating-ML file.
    specimen
        What the tubes of an import hold, where it was named.
    follow
        Whether gates that were drawn are carried to tubes that they were not drawn on.
    """

    declared: Strategy | None = None
    imported: Workspace | None = None
    specimen: Specimen | None = None
    follow: bool = False

    @property
    def needs_fit(self) -> bool:
        """Whether any gate has yet to be placed by data."""
        return self.follow or (self.declared is not None and TubeGates(self.declared).needs_placing)

    def for_file(self, file: str, keywords: Mapping[str, str] | None = None) -> TubeGates:
        """Return the gates of a file, chosen as `Workspace.strategy_for` does; as drawn, where they are to follow.

        Parameters
        ----------
        file
            Its name.
        keywords
            What names it in its own header (`Tube.keywords`).

        Raises
        ------
        GatingError
            The import has no gates for the file.
        """
        if self.imported is not None:
            if self.follow and not self.names_file(file, keywords):
                return TubeGates(self.imported.samples[0].strategy)
            strategy = self.imported.strategy_for(file, keywords)
            if self.specimen is not None:
                strategy = replace(strategy, specimen=self.specimen)
            unread = self.imported.problems_for(file, keywords)
            # by the import's name: its folder is no part of what a result depends on
            return TubeGates(strategy, unread=tuple(replace(one, file=Path(one.file).name) for one in unread))
        if self.declared is None:
            raise GatingError("no gates were read", file, "name a strategy file")
        return TubeGates(self.declared)

    def names_file(self, file: str, keywords: Mapping[str, str] | None = None) -> bool:
        """Return whether an import has gates for a file under its own name.

        Parameters
        ----------
        file, keywords
            As in `for_file`.
        """
        if self.imported is None or not self.names():
            return False
        try:
            self.imported.strategy_for(file, keywords)
        except GatingError:
            return False
        return True

    def of(self, specimen: Specimen | None) -> Gates:
        """Return the gates for tubes of a specimen; None leaves it to the strategy.

        Parameters
        ----------
        specimen
            ``blood`` is adult human blood, ``other`` anything else.

        Raises
        ------
        InputError
            The word is unknown.
        """
        if specimen is None:
            return self
        if problems := unknown_words(specimen=(specimen, SPECIMENS)):
            raise InputError(problems)
        declared = None if self.declared is None else replace(self.declared, specimen=specimen)
        return replace(self, declared=declared, specimen=specimen)

    def names(self) -> list[tuple[str, ...]]:
        """Return what each file may be called that an import has gates for."""
        return sorted(sample.names for sample in self.imported.samples if any(sample.names)) if self.imported else []


def named_strategy(word: Path | str) -> Path | str:
    """Return the path a word names, or the word itself where it has no suffix and no file is there: a shipped name."""
    path = Path(word)
    return path if path.suffix or is_there(path) or len(path.parts) > 1 else str(word)


def read_gates(strategy: Path | str | None) -> Gates:
    """Read YAML, Gating-ML ``.xml`` or FlowJo ``.wsp`` from a path, or a shipped strategy by its name.

    Parameters
    ----------
    strategy
        A path is read; text is a name; None is the strategy of surface markers.

    Raises
    ------
    InputError
        The file cannot be read, or no shipped strategy has the name.
    """
    from immunolab.gating.exchange.workspace import read_workspace
    from immunolab.gating.strategy_file import builtin_strategy, read_strategy

    if not isinstance(strategy, Path):
        return Gates(builtin_strategy(strategy or BUILTIN))
    if strategy.suffix.lower() in GATE_FILES:
        return Gates(imported=read_workspace(strategy))
    return Gates(declared=read_strategy(strategy))
