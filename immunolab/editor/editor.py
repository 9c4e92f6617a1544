"""The editor of one tube's gates: the page's messages, the changes they make, and the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, get_args

from immunolab.editor.history import History
from immunolab.editor.messages import checked_message
from immunolab.editor.polygons import FEWEST_CORNERS, SeenPolygon
from immunolab.editor.recount import counted
from immunolab.editor.scene import Answer, Scene
from immunolab.editor.shapes import Drawing, drawn, handles, seen
from immunolab.editor.sharing import drag_gates, shared_by
from immunolab.editor.shown import gate_shown
from immunolab.errors import ImmunolabError, InputError, Problem
from immunolab.gating.strategy import ROOT, Gate, Strategy
from immunolab.gating.tubes import GatedTube
from immunolab.schema.flags import withheld

_SHAPES: tuple[Drawing, ...] = get_args(Drawing)


class Editor:
    """Gates of one tube, looked at and changed; the gated tube that it began with stays as it was.

    Attributes
    ----------
    scene
        What is shown, with the gated tube as it is now.
    """

    def __init__(self, gated: GatedTube) -> None:
        self.scene = Scene(gated)
        self._history = History()

    @property
    def gated(self) -> GatedTube:
        """The gated tube with every change so far."""
        return self.scene.gated

    @property
    def strategy(self) -> Strategy:
        """The geometric strategy with every change so far."""
        return self.scene.strategy

    def receive(self, message: Any) -> list[Answer]:
        """Return the answers to one message; what it asks for that cannot be done is answered in words.

        Parameters
        ----------
        message
            A JSON object, as `immunolab.editor.messages` describes.
        """
        try:
            kind, fields = checked_message(message)
            answer: Callable[..., list[Answer]] = getattr(self, f"_on_{kind}")  # no field: its events leave with it
            return answer(**fields)
        except ImmunolabError as error:
            words = str(error)
        except KeyError as error:
            words = f"there is no {error.args[0]!r} to change: the page is behind, and is brought up to date"
        return [{"type": "problem", "message": words}, *self._on_open()]

    # ---- what is shown

    def _on_open(self) -> list[Answer]:
        self.scene.fresh()
        return self._state()

    def _on_gate(self, path: str) -> list[Answer]:
        self.scene.to_gate(path)
        return self._state()

    def _on_show(self, path: str) -> list[Answer]:
        self.scene.to_events(path)
        return self._state()

    def _on_axis(self, letter: str, source: int, scale: int) -> list[Answer]:
        every = self.scene.sources()
        if letter == "y" and source == -1:
            self.scene.to_axes(histogram=True)
        elif letter in ("x", "y") and 0 <= source < len(every) and 0 <= scale < len(every[source].dimensions):
            chosen = every[source].dimensions[scale]
            self.scene.to_axes(*((chosen, None) if letter == "x" else (None, chosen)))
        else:
            raise InputError(Problem("", "axis", "there is no such axis, channel or scale", "choose one of the menu"))
        return self._state()

    # ---- dragging

    def _on_drag(self, path: str, handle: str, x: float, y: float, together: bool, serial: int) -> list[Answer]:
        scene = self.scene
        population = scene.population(path)
        gates = drag_gates(self.strategy, scene.view(), population, handle, (x, y), together)
        masks = scene.recount.masks(self.gated.memberships, gates)
        n = {"": len(scene.tube)} | counted(self.gated.memberships.masks) | counted(masks)
        shares = {
            p.path: _percent(n[p.path], n[p.parent_path], p.path in gates, p.flag)
            for p in self.strategy.populations
            if p.path in masks
        }
        rows = [{"path": one, "n": n[one], "percent": share} for one, share in shares.items()]
        shown = gate_shown(replace(population, gate=gates[path]), scene.view(), n[path], shares[path], True)
        return [{"type": "preview", "serial": serial, "gate": shown, "rows": rows}]

    def _on_drop(self, path: str, handle: str, x: float, y: float, together: bool, joined: bool) -> list[Answer]:
        population = self.scene.population(path)
        gates = drag_gates(self.strategy, self.scene.view(), population, handle, (x, y), together)
        return self._changed(gates, f"move {population.name}", f"{path} {handle}" if joined else "")

    def _on_value(self, path: str, handle: str, letter: str, value: float, together: bool) -> list[Answer]:
        view, population = self.scene.view(), self.scene.population(path)
        if letter not in view.letters():
            raise InputError(Problem("", "letter", f"the picture has no axis {letter[:40]!r}", "x or y"))
        axis = view.axis("x" if letter == "x" else "y")
        place = axis.place_of_value(value)
        if not 0.0 <= place <= 1.0:
            ends = " to ".join(f"{axis.value(end):,g}" for end in (0.0, 1.0))
            raise InputError(Problem("", axis.dimension.name, f"{value:,g} is beyond the axis", f"it goes from {ends}"))
        now = {one.key: one for one in handles(population.gate, view)}[handle]
        to = (place, now.y) if letter == "x" else (now.x, place)
        gates = drag_gates(self.strategy, view, population, handle, to, together)
        return self._changed(gates, f"move {population.name}")

    def _on_add_corner(self, path: str, handle: str) -> list[Answer]:
        gate = self._polygon(path, handle).with_corner(handle)
        return self._changed({path: gate}, f"add a corner to {self.scene.population(path).name}")

    def _on_remove_corner(self, path: str, handle: str) -> list[Answer]:
        polygon, name = self._polygon(path, handle), self.scene.population(path).name
        if len(polygon.gate.vertices) <= FEWEST_CORNERS:
            raise InputError(Problem("", name, "a polygon has at least three corners", "remove the gate"))
        return self._changed({path: polygon.without_corner(handle)}, f"remove a corner of {name}")

    def _polygon(self, path: str, handle: str) -> SeenPolygon:
        found = seen(self.scene.population(path).gate, self.scene.view())
        if not isinstance(found, SeenPolygon):
            raise KeyError(handle)
        return found

    def _changed(self, gates: Mapping[str, Gate], words: str, joined_by: str = "") -> list[Answer]:
        before = self.strategy
        populations = tuple(replace(p, gate=gates.get(p.path, p.gate)) for p in before.populations)
        if populations == before.populations:
            return self._state()
        return self._to(replace(before, populations=populations), words, joined_by)

    def _to(self, strategy: Strategy, words: str, joined_by: str = "") -> list[Answer]:
        before = self.strategy
        self.scene.to_strategy(strategy)
        self._history.add(before, words, joined_by)
        return self._state()

    # ---- the tree

    def _on_draw(self, shape: str, points: list[list[float]], name: str) -> list[Answer]:
        known = [one for one in _SHAPES if one == shape]
        gate = drawn(known[0], [(x, y) for x, y in points], self.scene.view()) if known else None
        if gate is None:
            raise InputError(Problem("", shape[:40], "these points make no gate on these axes", "draw it larger"))
        name = name.strip() or self._new_name()
        parent = self.scene.shown
        self._to(self.strategy.add(name, gate, parent=parent or ROOT), f"draw {name}")
        self.scene.active = f"{parent}/{name}"
        return self._state()

    def _new_name(self) -> str:
        taken = {population.name for population in self.strategy.populations}
        return next(f"gate {i}" for i in range(1, len(taken) + 2) if f"gate {i}" not in taken)

    def _on_rename(self, path: str, name: str) -> list[Answer]:
        population, name = self.scene.population(path), name.strip()
        if name == population.name:
            return self._state()
        if not name:
            raise InputError(Problem("", population.name, "a population needs a name", "write one"))
        strategy = self.strategy.rename(path, name)
        self.scene.renamed(path, f"{population.parent_path}/{name}")
        return self._to(strategy, f"rename {population.name}")

    def _on_remove(self, path: str) -> list[Answer]:
        return self._to(self.strategy.remove(path), f"remove {self.scene.population(path).name}")

    def _on_undo(self) -> list[Answer]:
        return self._back(self._history.undo(self.strategy))

    def _on_redo(self) -> list[Answer]:
        return self._back(self._history.redo(self.strategy))

    def _back(self, strategy: Strategy | None) -> list[Answer]:
        if strategy is not None:
            self.scene.to_strategy(strategy)
        return self._state()

    def _state(self) -> list[Answer]:
        state = self.scene.state()
        for gate in state["gates"]:
            population = self.scene.population(gate["path"])
            for handle in gate["handles"]:
                others = shared_by(self.strategy, self.scene.view(), population, handle["key"])
                handle["shared_by"] = [other.name for other in others]
        return [state | {"undo": self._history.undo_words, "redo": self._history.redo_words}]


def _percent(n: int, of: int, is_dragged: bool, flag: str) -> float | None:
    """Return a percentage; one that is withheld stays so until its own gate is the one that is dragged."""
    return 100.0 * n / of if of and (is_dragged or not withheld(flag)) else None
