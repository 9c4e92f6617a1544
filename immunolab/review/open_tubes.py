"""Tubes with their events in memory, each in an editor: the least recently used ones leave when there are too many."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from immunolab.editor.editor import Editor
from immunolab.errors import InputError, Problem
from immunolab.gating.gates import Gate
from immunolab.gating.strategy import Strategy
from immunolab.gating.tubes import GatedTube
from immunolab.review.blinding import Pixels

# events of all open tubes: 400 bytes each with coordinates and members, 400 MB in all (14 colours, 40 populations)
MOST_EVENTS = 1_000_000
_REFUSED = ("draw", "rename", "remove")  # messages that change which populations there are


class OpenTubes:
    """Editors by sample, and the gates that were dragged in them and not saved."""

    def __init__(self, read: Callable[[str], GatedTube], gates: Callable[[str], Mapping[str, Gate]]) -> None:
        """Open nothing yet.

        Parameters
        ----------
        read
            Gives a sample's tube with the gates of the run.
        gates
            Gives the gates of a sample that are saved, where they are not those of the run.
        """
        self._read, self._gates = read, gates
        self._editors: OrderedDict[str, Editor] = OrderedDict()
        self._dragged: dict[str, dict[str, Gate]] = {}

    def editor(self, sample_id: str) -> Editor:
        """Return a sample's editor: with the saved gates, and on them what was dragged before.

        Parameters
        ----------
        sample_id
            Of the tube.
        """
        if sample_id not in self._editors:
            editor = Editor(self._read(sample_id))
            self._editors[sample_id] = editor
            wanted = {**self._gates(sample_id), **self._dragged.pop(sample_id, {})}
            if wanted:
                editor.scene.to_strategy(with_gates(editor.scene.original.strategy, wanted))
        self._editors.move_to_end(sample_id)
        self._let_go(sample_id)
        return self._editors[sample_id]

    def receive(self, sample_id: str, message: Any) -> list[dict[str, Any]]:
        """Return an editor's answers to one of the page's messages.

        Parameters
        ----------
        sample_id
            Of the tube.
        message
            See `immunolab.editor.messages`; those that change which populations there are, are refused.
        """
        if isinstance(message, Mapping) and message.get("type") in _REFUSED:
            hint = "change the strategy file and run the study again"
            text = "a review moves gates; it neither draws, renames nor removes a population"
            raise InputError(Problem("", str(message["type"]), text, hint))
        answers = self.editor(sample_id).receive(message)
        for answer in answers:
            if "picture" in answer:
                answer["picture"]["shades"] = Pixels(answer["picture"]["shades"])
            if answer["type"] == "state":
                answer["unsaved"] = [path.rpartition("/")[2] for path in self.dragged(sample_id)]
        return answers

    def dragged(self, sample_id: str) -> dict[str, Gate]:
        """Return the gates of a tube that are elsewhere than they are saved.

        Parameters
        ----------
        sample_id
            Of the tube.
        """
        if sample_id not in self._editors:
            return dict(self._dragged.get(sample_id, {}))
        editor = self._editors[sample_id]
        base = with_gates(editor.scene.original.strategy, self._gates(sample_id))
        before = {population.path: population.gate for population in base.populations}
        return {
            population.path: population.gate
            for population in editor.strategy.populations
            if population.gate is not None and population.gate != before.get(population.path)
        }

    def keep(self) -> None:
        """Note what is dragged in every open tube, before the saved gates change that it is compared with."""
        for sample_id in self._editors:
            self._keep(sample_id)

    def saved(self, sample_id: str) -> None:
        """Note that what was dragged in a tube is saved.

        Parameters
        ----------
        sample_id
            Of the tube.
        """
        self._dragged.pop(sample_id, None)

    def forget(self, sample_id: str, *, dragged: bool) -> None:
        """Close a tube whose saved gates have changed; it is read again when it is next looked at.

        Parameters
        ----------
        sample_id
            Of the tube.
        dragged
            Whether what `keep` noted of it is given up too.
        """
        if dragged:
            self._dragged.pop(sample_id, None)
        self._editors.pop(sample_id, None)

    def _keep(self, sample_id: str) -> None:
        self._dragged.pop(sample_id, None)
        if moved := self.dragged(sample_id):
            self._dragged[sample_id] = moved

    def _let_go(self, current: str) -> None:
        """Close the least recently used tubes until the events of the others are few enough."""
        held = sum(len(editor.scene.tube) for editor in self._editors.values())
        for sample_id in list(self._editors):
            if held <= MOST_EVENTS or sample_id == current:
                break
            held -= len(self._editors[sample_id].scene.tube)
            self._keep(sample_id)
            del self._editors[sample_id]


def with_gates(strategy: Strategy, gates: Mapping[str, Gate]) -> Strategy:
    """Return a strategy with other gates of some populations.

    Parameters
    ----------
    strategy
        Geometric.
    gates
        By path; those of paths that it has not are left out.
    """
    populations = tuple(replace(p, gate=gates.get(p.path, p.gate)) for p in strategy.populations)
    return replace(strategy, populations=populations)
