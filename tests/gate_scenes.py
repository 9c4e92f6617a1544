"""A tube with known events and gates of every kind on it, for tests of the editor; arithmetic of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from immunolab.editor.editor import Editor
from immunolab.events.transforms import Asinh, Identity
from immunolab.events.tube import Channel, Spillover, Tube
from immunolab.gating.gate import gate
from immunolab.gating.strategy import Boolean, Dimension, Ellipsoid, Polygon, Population, Rectangle, Strategy
from immunolab.gating.tubes import GatedTube

COFACTOR = 150.0
SPILL = 0.08  # of CD4's dye into CD25's detector
X, Y = Dimension("CD4", Asinh(COFACTOR)), Dimension("CD25", Asinh(COFACTOR))
FSC, SSC = Dimension("FSC-A", Identity()), Dimension("SSC-A", Identity())


def tube(n: int = 20_000, seed: int = 0) -> Tube:
    """Return events of two clouds in scatter, CD4 and CD25."""
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 0.4
    fsc, ssc = rng.normal(80_000, 15_000, n), rng.normal(50_000, 12_000, n)
    cd4 = np.where(positive, rng.lognormal(8.5, 0.4, n), rng.normal(0, 120, n))
    cd25 = np.where(rng.random(n) < 0.3, rng.lognormal(7.5, 0.5, n), rng.normal(0, 100, n))
    columns = np.array([fsc, ssc, cd4, cd25 + SPILL * cd4], dtype=np.float32)
    channels = (
        Channel("FSC-A", kind="scatter"),
        Channel("SSC-A", kind="scatter"),
        Channel("B515-A", "CD4 FITC", "CD4", "FITC"),
        Channel("B575-A", "CD25 PE", "CD25", "PE"),
    )
    spillover = Spillover(("B515-A", "B575-A"), np.array([[1.0, SPILL], [0.0, 1.0]]))
    return Tube(columns, channels, spillover, sample_id="S1", file="S1.fcs")


def compensated(events: Tube) -> dict[str, np.ndarray]:
    """Return the channels in instrument units, compensated by hand."""
    fsc, ssc, cd4, cd25 = events.columns.astype(np.float64)
    return {"FSC-A": fsc, "SSC-A": ssc, "CD4": cd4, "CD25": cd25 - SPILL * cd4}


def gated(n: int = 20_000) -> GatedTube:
    """Return the tube with a polygon, thresholds, a rectangle, an ellipse and a combined gate."""
    big = ((30_000.0, 20_000.0), (130_000.0, 20_000.0), (130_000.0, 90_000.0), (30_000.0, 90_000.0))
    spread = ((0.6, 0.2), (0.2, 0.5))
    populations = (
        Population("/cells", Polygon((FSC, SSC), big)),
        Population("/cells/CD4", Rectangle((X,), (_on(1_000.0),), (None,))),
        Population("/cells/CD4/CD25", Rectangle((Y,), (_on(500.0),), (None,))),
        Population("/cells/CD4/box", Rectangle((X, Y), (_on(2_000.0), _on(-200.0)), (_on(9_000.0), _on(300.0)))),
        Population("/cells/not_CD4", Rectangle((X,), (None,), (_on(1_000.0),))),
        Population("/cells/round", Ellipsoid((X, Y), (_on(5_000.0), _on(1_800.0)), spread, 1.5)),
        Population("/cells/both", Boolean("and", ("/cells/CD4", "/cells/round"), (False, True))),
    )
    found = gate(tube(n), Strategy("kinds", populations))
    assert isinstance(found, GatedTube)
    return found


def _on(value: float) -> float:
    return float(np.arcsinh(value / COFACTOR))


def state(editor: Editor) -> dict[str, Any]:
    """Return what the page would show now."""
    (found,) = editor.receive({"type": "open"})
    return found


def counts(answer: dict[str, Any]) -> dict[str, int]:
    """Return the events of each population of a state or a preview."""
    return {row["path"]: row["n"] for row in answer["rows"]}


def active(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the gate that can be dragged."""
    return next(one for one in answer["gates"] if one["active"])


def handle(answer: dict[str, Any], key: str) -> dict[str, Any]:
    """Return one of its handles."""
    return next(one for one in active(answer)["handles"] if one["key"] == key)


def drag(editor: Editor, path: str, key: str, x: float, y: float, together: bool = True) -> dict[str, Any]:
    """Return the answer to one message of a drag."""
    message = {"type": "drag", "path": path, "handle": key, "x": x, "y": y, "together": together, "serial": 1}
    (found,) = editor.receive(message)
    return found


def drop(editor: Editor, path: str, key: str, x: float, y: float, together: bool = True) -> dict[str, Any]:
    """Return the state after a drag has ended."""
    message = {"type": "drop", "path": path, "handle": key, "x": x, "y": y, "together": together, "joined": False}
    (found,) = editor.receive(message)
    return found
