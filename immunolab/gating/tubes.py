"""The one way to gate a tube, and the gated tube, whose verbs give another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from immunolab.errors import GatingError, Problem
from immunolab.events.explored import EXPLORE, Explored
from immunolab.events.storage import to_anndata
from immunolab.events.transforms import Auto
from immunolab.events.tube import Tube
from immunolab.gating.changes.diff import check_strategy
from immunolab.gating.changes.edits import add_population
from immunolab.gating.changes.move import move_gate
from immunolab.gating.changes.move_parts import Place
from immunolab.gating.changes.regate import gate_again
from immunolab.gating.evaluate import evaluate
from immunolab.gating.gate_words import GateWords
from immunolab.gating.gated_view import gated_html, gated_text
from immunolab.gating.imported_thresholds import imported_thresholds
from immunolab.gating.placement.rules import display_scale
from immunolab.gating.placement.scales import measure_scales, on_scales
from immunolab.gating.plausibility import checked
from immunolab.gating.populated_tube import PopulatedTube
from immunolab.gating.strategy import (
    ROOT,
    Declared,
    Dimension,
    Gate,
    Population,
    Rectangle,
    Strategy,
)
from immunolab.gating.strategy_out import save_strategy
from immunolab.gating.tube_gates import TubeGates
from immunolab.gating.validation import evaluable
from immunolab.version import VERSION

if TYPE_CHECKING:
    from anndata import AnnData


# a gate whose scale is open, for which scales of a tube are measured
_ANY_UNSCALED = (Population("/any", Rectangle((Dimension("any", Auto()),), (None,), (None,))),)


def gate_tube(tube: Tube, gates: TubeGates, *, seed: int = 0) -> GatedTube:
    """Gate all events of a tube.

    Gates that have yet to be placed are placed on the tube's own events, on scales that these choose where the strategy
    leaves scales to data. Gates that the tube cannot answer
    are left out with those below them, and named in `GatedTube.left_out`.

    Parameters
    ----------
    tube
        All events of the tube.
    gates
        Its gates, drawn, placed or declared.
    seed
        Of placing.

    Raises
    ------
    GatingError
        Not one gate can be evaluated, or a required marker is missing.
    """
    if gates.needs_placing:
        from immunolab.gating.placement.fit import fit

        placed = fit(gates.strategy, [tube], seed=seed).gates_of(tube.sample_id)
        gates = replace(placed, unread=gates.unread, notes=(*gates.notes, *placed.notes))
    drawn = on_scales(measure_scales(gates.strategy, [tube]), tube)
    strategy, faults = evaluable(drawn, tube)
    left_out = (*gates.unread, *faults)
    if not strategy.populations:
        raise _no_gate(left_out, tube)
    thresholds = imported_thresholds(strategy, tube) if gates.thresholds is None else gates.thresholds
    return GatedTube(tube, checked(evaluate(strategy, tube), tube), thresholds, left_out, gates.notes)


def _no_gate(left_out: Sequence[Problem], tube: Tube) -> GatingError:
    first = left_out[0] if left_out else Problem("", "", "there is no gate for this tube")
    return GatingError(f"no gate can be evaluated: {first.place} {first.message}".strip(), tube.file, first.hint)


class _Printer(Protocol):
    """What IPython prints an object with."""

    stack: list[int]

    def text(self, text: str) -> None: ...


@dataclass(frozen=True, eq=False, repr=False)
class GatedTube(PopulatedTube):
    """A tube with its populations, and the verbs that change its gates; each gives a new object.

    Attributes
    ----------
    tube
        All events.
    memberships
        The geometric strategy evaluated, and which events are in which population.
    borders
        The thresholds used, as records; `thresholds` is the same as a table.
    left_out
        Gates that could not be read, or that the tube cannot answer.
    notes
        What is unusual about the gating, in words.
    """

    def add(
        self,
        name: str,
        gate: Gate | GateWords | Mapping[str, Any] | str,
        *,
        parent: str = ROOT,
        definition: str = "",
    ) -> GatedTube:
        """Return the tube with one population more, counted; this one stays as it is.

        Parameters
        ----------
        name, gate, parent, definition
            As in `Strategy.add`; the gate is on the scales of the tube's channels, its numbers in instrument units.

        Returns
        -------
        GatedTube
            The changed one.

        Raises
        ------
        InputError
            Everything that is wrong with name, parent and gate.
        """
        shown = add_population(self._with_scales(), name, gate, parent=parent, definition=definition)
        return self.regate(replace(shown, settings=self.strategy.settings))

    def move(
        self,
        name: str,
        *,
        to: Place,
        population: str | Sequence[str] | None = None,
        vertex: int | None = None,
    ) -> GatedTube:
        """Return the tube with a gate elsewhere, and everything below it counted again; this one stays as it is.

        Parameters
        ----------
        name, to, population, vertex
            As in `Strategy.move`: ``move("CD25", to=3000)``; a channel may be named by its marker and the other way
            round.

        Returns
        -------
        GatedTube
            The changed one.

        Raises
        ------
        InputError
            The name is unknown, the marker has several borders (the message names them), or the place is none.

        Examples
        --------
        >>> gated = il.gate(il.read_fcs("sample_data/sle/fcs/SLE001_W0.fcs"), "treg_th17_tfh_teff")
        >>> moved = gated.move("CD25", to=3000)
        >>> len(gated["Treg"]), len(moved["Treg"])
        (66, 30)
        """
        moved = move_gate(self.strategy, name, to=to, population=population, vertex=vertex, same=self.tube.one_name)
        return self.regate(moved)

    def remove(self, *names: str) -> GatedTube:
        """Return the tube without populations and all that is below them.

        Parameters
        ----------
        *names
            Names or paths.

        Returns
        -------
        GatedTube
            The changed one.

        Raises
        ------
        InputError
            A name is unknown, or a gate that stays combines a population that would go.
        """
        return self.regate(self.strategy.remove(*names))

    def rename(self, old: str, new: str) -> GatedTube:
        """Return the tube with a population called otherwise.

        Parameters
        ----------
        old
            Name or path.
        new
            The new name.

        Returns
        -------
        GatedTube
            The changed one.

        Raises
        ------
        InputError
            There is no such population, or the new name is taken or cannot be a name.
        """
        return self.regate(self.strategy.rename(old, new))

    def regate(self, strategy: Strategy) -> GatedTube:
        """Return the same tube with other gates; only what changed, and what depends on it, is evaluated.

        Gates that are new or elsewhere are flagged ``by_hand``; ``notes`` say what changed. Gates that data have yet
        to place are placed on this tube's events.

        Parameters
        ----------
        strategy
            Usually `strategy` of this tube, changed by its verbs.

        Returns
        -------
        GatedTube
            The changed one.

        Raises
        ------
        InputError
            It is no strategy.
        GatingError
            No gate can be evaluated.
        """
        check_strategy(strategy)
        if not strategy.populations:
            raise GatingError("the strategy has no gate", self.sample_id, "keep one population at least")
        placed = TubeGates(strategy)
        by_data = frozenset(p.path for p in strategy.populations if isinstance(p.gate, Declared))
        if by_data:
            from immunolab.gating.placement.fit import fit

            settings = {**self._with_scales().settings, **strategy.settings}
            placed = fit(replace(strategy, settings=settings), [self.tube]).gates_of(self.sample_id)
        again = gate_again(self.memberships, self.borders, placed, self.tube, by_data)
        if not again.memberships.strategy.populations:
            raise _no_gate(again.left_out, self.tube)
        left_out, notes = (*self.left_out, *again.left_out), (*self.notes, *placed.notes, *again.notes)
        return GatedTube(self.tube, again.memberships, again.borders, left_out, notes)

    def save(self, path: Path | str) -> tuple[Problem, ...]:
        """Write the tube's gates: ``.yaml``, Gating-ML ``.xml`` or FlowJo ``.wsp`` by the name's ending.

        Parameters
        ----------
        path
            The file; replaced when it exists.

        Returns
        -------
        tuple of Problem
            A note for every gate that the format cannot hold exactly.

        Raises
        ------
        InputError
            The ending is unknown, or the format cannot hold a gate.
        """
        counts = {count.path: count.n_events for count in self.population_counts}
        return save_strategy(self.strategy, path, self.tube, counts)

    def _with_scales(self) -> Strategy:
        """Return the strategy with the scale of every channel, by channel and by marker."""
        auto = {"transform": {"default": Auto()}}
        block = measure_scales(replace(self.strategy, settings=auto, populations=_ANY_UNSCALED), [self.tube]).settings
        drawn = self.drawn_scales()
        scales = {c: drawn.get(c.name) or display_scale(block["transform"], c) for c in self.tube.channels}
        names = {c.name: scale for c, scale in scales.items()}
        names |= {c.marker: scale for c, scale in scales.items() if c.marker and len(self.tube.rows_of(c.marker)) == 1}
        return replace(self.strategy, settings={**self.strategy.settings, "transform": {"markers": names}})

    def explore(self) -> Explored:
        """Return an editor of the gates: a widget in a notebook, a picture where none can run.

        Its ``strategy`` and ``gated`` are new objects with every change so far; this one stays as it was.
        """
        found: Explored = import_module(EXPLORE).explore(self)
        return found

    def to_anndata(self) -> AnnData:
        """Return events, populations and gates as AnnData.

        Returns
        -------
        AnnData
            ``X`` compensated on the display scale (float32), ``layers["compensated"]`` in instrument units,
            ``obsm["populations"]`` bool, events x populations, ``uns["immunolab"]`` with the gates, the file's and
            the strategy's sha256 and the version.
        """
        adata = to_anndata(self.tube, self.scales())
        frame = self.memberships_frame()
        adata.obsm["populations"] = frame.set_axis(adata.obs_names, axis=0)
        adata.uns["immunolab"] |= {
            "populations": self._population_table(list(frame)),
            "strategy": self.strategy.name,
            "strategy_source": self.strategy.source,
            "version": VERSION,
        }
        return adata

    def _population_table(self, columns: list[str]) -> pd.DataFrame:
        borders: dict[str, list[str]] = {}
        for border in self.borders:
            if border.threshold_raw is not None:
                words = f"{border.marker or border.channel} {border.threshold_raw:.6g}"
                borders.setdefault(border.population, []).append(words)
        rows = [
            {
                "name": p.name,
                "path": p.path,
                "parent": p.parent,
                "gate": type(p.gate).__name__.lower() if p.gate else "",
                "threshold": "; ".join(borders.get(p.name, [])) if p.name in columns else "",
            }
            for p in self.strategy.populations
        ]
        return pd.DataFrame(rows, index=pd.Index(columns))

    def __repr__(self) -> str:
        title = f"GatedTube {self.sample_id}, gates of {self.strategy.name}"
        return gated_text(title, self.population_counts, self._unusual())

    def _repr_pretty_(self, printer: _Printer, _cycle: object) -> None:
        """Show the tree at a prompt of IPython; inside a list of tubes one line, for forty trees say nothing."""
        inside = len(printer.stack) > 1
        printer.text(f"GatedTube({self.sample_id}: gates of {self.strategy.name})" if inside else repr(self))

    def _repr_html_(self) -> str:
        return gated_html(self.population_counts, self._unusual())

    def _ipython_key_completions_(self) -> list[str]:
        return [population.name for population in self.strategy.populations]

    def _unusual(self) -> list[str]:
        return [*(f"left out: {p.place} {p.message}" for p in self.left_out), *self.notes]
