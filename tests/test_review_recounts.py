"""Tubes of a review that are counted again: what the page shows of an earlier count stays as it was."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from immunolab.events.transforms import Identity
from immunolab.events.tube import Channel, Tube
from immunolab.gating.gates import Gate, Rectangle
from immunolab.gating.strategy import Dimension, Population, Strategy
from immunolab.gating.tube_gates import TubeGates
from immunolab.gating.tubes import gate_tube
from immunolab.review.recounts import Recounts
from immunolab.review.stored_views import ViewFile

AXES = (Dimension("A", Identity()), Dimension("B", Identity()))


def above(border: float) -> Gate:
    return Rectangle(AXES, (border, None), (None, None))


def border(views: ViewFile) -> list[object]:
    found = views.read("/X")
    assert found is not None
    return [line.tolist() for line in found.lines]


def test_a_view_of_an_earlier_count_is_read_as_it_was_after_the_tube_is_counted_again(tmp_path: Path) -> None:
    columns = np.random.default_rng(1).uniform(1, 100, (2, 500)).astype(np.float32)
    tube = Tube(columns, (Channel("A", kind="fluorescence"), Channel("B", kind="fluorescence")), None, "S1")
    gated = gate_tube(tube, TubeGates(Strategy("s", (Population("/X", above(10.0)),))))
    moved: dict[str, Gate] = {}
    recounts = Recounts(lambda _: gated, lambda _: moved, tmp_path)

    def views(at: float) -> ViewFile:
        moved["/X"] = above(at)
        recounts.ask(["S1"])
        until = time.monotonic() + 20.0
        while (found := recounts.view("S1")) is None and time.monotonic() < until:
            time.sleep(0.01)
        assert recounts.failed("S1") == ""
        assert found is not None
        return found

    try:
        before = views(20.0)
        shown = border(before)
        assert border(views(80.0)) != shown
        assert border(before) == shown
        for at in (30.0, 40.0, 50.0):
            latest = views(at)
        assert latest.file.exists()
        assert len(list(tmp_path.iterdir())) == 2  # the latest, and the one that may still be shown
    finally:
        recounts.end()
