"""What an imported gate file holds: a strategy for each tube, what could not be read, and counts stated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath

import numpy as np

from immunolab.errors import GatingError, Problem, nearest
from immunolab.gating.strategy import Strategy

ANY_FILE = ""


@dataclass(frozen=True)
class Workspace:
    """Gates as imported.

    Attributes
    ----------
    source
        The file they were read from.
    strategies
        Strategy by file name; the key ``""`` serves every tube without one.
    problems
        By the same keys, gates that could not be read; ``place`` is the gate's path.
    counts
        By the same keys, events that the other program counted, by path.
    """

    source: str
    strategies: Mapping[str, Strategy]
    problems: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def strategy_for(self, file_name: str, fil: str = "") -> Strategy:
        """Return the strategy of a tube, chosen by its file name, then by its ``$FIL``.

        Parameters
        ----------
        file_name
            Without its folder.
        fil
            The name that the instrument gave (``$FIL``).

        Raises
        ------
        GatingError
            There are no gates for this tube.
        """
        return self.strategies[self._key(file_name, fil)]

    def only(self) -> Strategy:
        """Return the strategy where all tubes share one.

        Raises
        ------
        GatingError
            The tubes have different strategies.
        """
        found = list(self.strategies.values())
        if not all(_alike(strategy, found[0]) for strategy in found[1:]):
            hint = f"name the tube; it has gates for: {', '.join(sorted(self.strategies)[:5])}"
            raise GatingError("the gates differ from file to file", self.source, hint)
        return found[0]

    def problems_for(self, file_name: str, fil: str = "") -> tuple[Problem, ...]:
        """Return the gates of a tube that could not be read; raises as `strategy_for` does.

        Parameters
        ----------
        file_name, fil
            As for `strategy_for`.
        """
        return self.problems.get(self._key(file_name, fil), ())

    def counts_for(self, file_name: str, fil: str = "") -> Mapping[str, int]:
        """Return the events another program counted in a tube, by path; raises as `strategy_for` does.

        Parameters
        ----------
        file_name, fil
            As for `strategy_for`.
        """
        return self.counts.get(self._key(file_name, fil), {})

    def _key(self, file_name: str, fil: str) -> str:
        wanted = [name for name in (bare_name(file_name), bare_name(fil)) if name]
        lower = {name.lower(): name for name in self.strategies}
        for name in wanted:
            if name in self.strategies:
                return name
        for name in wanted:
            if name.lower() in lower:
                return lower[name.lower()]
        if ANY_FILE in self.strategies:
            return ANY_FILE
        have = sorted(self.strategies)
        shown = ", ".join(have[:5]) + (f" and {len(have) - 5} more" if len(have) > 5 else "")
        hint = f"{nearest(wanted[0] if wanted else '', have)} it has gates for: {shown or 'no file'}".strip()
        raise GatingError(f"{self.source} has no gates for this file", file_name, hint)


def _alike(one: Strategy, other: Strategy) -> bool:
    return (
        one.populations == other.populations
        and one.matrices.keys() == other.matrices.keys()
        and all(
            matrix.channels == other.matrices[name].channels
            and np.array_equal(matrix.matrix, other.matrices[name].matrix)
            for name, matrix in one.matrices.items()
        )
    )


def bare_name(path: str) -> str:
    """Return the last part of a path or URI written on any system."""
    return PurePosixPath(PureWindowsPath(path).as_posix()).name if path else ""
