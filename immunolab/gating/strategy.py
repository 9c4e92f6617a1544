"""The gating strategy: a tree of populations that small verbs change, each giving a new one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from immunolab.errors import Problem
from immunolab.events.tube import Tube
from immunolab.gating.changes.diff import StrategyDiff, strategy_diff
from immunolab.gating.changes.edits import add_population, remove_populations, rename_population
from immunolab.gating.changes.move import move_gate
from immunolab.gating.changes.move_parts import Place
from immunolab.gating.gate_words import GateWords
from immunolab.gating.gates import (
    ROOT,
    Boolean,
    Declared,
    Dimension,
    Ellipsoid,
    Gate,
    Polygon,
    Population,
    PopulationTree,
    Ratio,
    Rectangle,
    is_unscaled,
)
from immunolab.gating.strategy_out import save_strategy, strategy_text
from immunolab.gating.strategy_view import strategy_html, strategy_line

__all__ = [
    "ROOT",
    "Boolean",
    "Declared",
    "Dimension",
    "Ellipsoid",
    "Gate",
    "Memberships",
    "Polygon",
    "Population",
    "Ratio",
    "Rectangle",
    "Strategy",
    "is_unscaled",
]


@dataclass(frozen=True, repr=False)
class Strategy(PopulationTree):
    """A tree of populations, and the verbs that change it.

    Every verb gives a new strategy and leaves this one as it is. Numbers are in instrument units, whatever scale a gate
    is drawn on; names are those of populations, or paths where several have a name.
    """

    def add(
        self,
        name: str,
        gate: Gate | GateWords | Mapping[str, Any] | str,
        *,
        parent: str = ROOT,
        definition: str = "",
        optional: bool = False,
    ) -> Self:
        """Return the strategy with one population more.

        Parameters
        ----------
        name
            Of the new population; no other may have it.
        gate
            A phenotype (``"CD25hi CD127lo"``), placed by data, or one gate in the words of a strategy file:
            ``{"above": {"marker": "CD25", "at": 3000}}``,
            ``{"between": {"marker": "CD25", "low": 500, "high": 3000}}``,
            ``{"rectangle": {"CD25": [3000, None], "CD127": [None, 500]}}``,
            ``{"polygon": {"x": "CD25", "y": "CD127", "points": [(x, y), ...]}}``,
            ``{"ellipse": {"x": "CD25", "y": "CD127", "center": (x, y), "ends": [(x, y), (x, y)]}}``,
            ``{"all_of": ["CD4_EM"], "not": "Treg"}``, ``{"any_of": ["A", "B"]}``; or a gate of another strategy.
        parent
            Name or path of the population that it is part of.
        definition
            Id of the published definition that it follows.
        optional
            Whether a panel without its markers leaves it out.

        Returns
        -------
        Strategy
            The changed one.

        Raises
        ------
        InputError
            Everything that is wrong with name, parent and gate.

        Examples
        --------
        >>> strategy = il.Strategy("mine").add("bright", {"above": {"marker": "CD4", "at": 2000}})
        >>> gated = il.gate(il.read_fcs("sample_data/sle/fcs/SLE001_W0.fcs"), strategy)
        >>> list(gated.counts["population"])
        ['root', 'bright']
        """
        return add_population(self, name, gate, parent=parent, definition=definition, optional=optional)

    def move(
        self,
        name: str,
        *,
        to: Place,
        population: str | Sequence[str] | None = None,
        vertex: int | None = None,
    ) -> Self:
        """Return the strategy with a gate elsewhere.

        A border that several populations share moves in all of them, and `diff` lists each; where a marker has borders
        at several places, ``population`` says which. What moved is flagged ``by_hand``.

        Parameters
        ----------
        name
            A marker or channel, whose border moves; or a population, whose gate does.
        to
            In instrument units: a number for a border; ``(low, high)`` for both ends on a marker, None for an open one;
            ``{"CD25": (3000, None)}`` for sides of a population's rectangle; ``[(x, y), ...]`` for all corners of
            a polygon; ``(x, y)`` for one corner, or for the centre of an ellipse.
        population
            Name or names of those whose border on the marker moves; None: the marker has only one border.
        vertex
            Which corner of a polygon goes to ``(x, y)``, from 1.

        Returns
        -------
        Strategy
            The changed one.

        Raises
        ------
        InputError
            The name is unknown, the marker has several borders (the message names them), or the place is none.
        """
        return move_gate(self, name, to=to, population=population, vertex=vertex)

    def remove(self, *names: str) -> Self:
        """Return the strategy without populations and all that is below them.

        Parameters
        ----------
        *names
            Names or paths.

        Returns
        -------
        Strategy
            The changed one.

        Raises
        ------
        InputError
            A name is unknown, or a gate that stays combines a population that would go (each is named).
        """
        return remove_populations(self, names)

    def rename(self, old: str, new: str) -> Self:
        """Return the strategy with a population called otherwise, in every path and gate that names it.

        Parameters
        ----------
        old
            Name or path.
        new
            The new name.

        Returns
        -------
        Strategy
            The changed one.

        Raises
        ------
        InputError
            There is no such population, or the new name is taken or cannot be a name.
        """
        return rename_population(self, old, new)

    def diff(self, other: PopulationTree) -> StrategyDiff:
        """Return what changed from this strategy to another: added, removed, renamed, moved from where to where.

        Parameters
        ----------
        other
            The later one.

        Returns
        -------
        StrategyDiff
            Falsy where nothing changed; shows itself; ``.table`` is a DataFrame.

        Raises
        ------
        InputError
            It is no strategy.

        Examples
        --------
        >>> before = il.Strategy("mine").add("bright", {"above": {"marker": "CD4", "at": 2000}})
        >>> before.diff(before.move("CD4", to=3000))
        StrategyDiff of 1:
        moved bright: CD4 from 2,000 to 3,000
        """
        return strategy_diff(self, other)

    def to_yaml(self) -> str:
        """Return the strategy as the text of a strategy file, numbers in instrument units.

        Returns
        -------
        str
            What `read_strategy` reads back.

        Raises
        ------
        InputError
            Everything that such a file cannot hold: several scales of one channel, ratios, matrices, gates without
            a border.
        """
        return strategy_text(self)

    def save(self, path: Path | str, *, tube: Tube | None = None) -> tuple[Problem, ...]:
        """Write the strategy: ``.yaml``, Gating-ML ``.xml`` or FlowJo ``.wsp`` by the name's ending.

        Parameters
        ----------
        path
            The file; replaced when it exists.
        tube
            Gives the channel of each marker: other programs do not read markers. A ``.wsp`` needs one, for its gates
            are those of a file.

        Returns
        -------
        tuple of Problem
            A note for every gate that the format cannot hold exactly.

        Raises
        ------
        InputError
            The ending is unknown, or the format cannot hold a gate.
        """
        return save_strategy(self, path, tube)

    def __repr__(self) -> str:
        return strategy_line(self)

    def _repr_html_(self) -> str:
        return strategy_html(self)

    def __len__(self) -> int:
        """Return the number of populations."""
        return len(self.populations)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return (population.path for population in self.populations)

    def __contains__(self, name: object) -> bool:
        return any(name in (p.path, p.name) for p in self.populations)

    def _ipython_key_completions_(self) -> list[str]:
        return [population.name for population in self.populations]


@dataclass(frozen=True)
class Memberships:
    """Which events are in which population.

    Attributes
    ----------
    strategy
        The geometric strategy evaluated.
    masks
        path -> bool, one value an event in file order.
    """

    strategy: Strategy
    masks: Mapping[str, NDArray[np.bool_]]
