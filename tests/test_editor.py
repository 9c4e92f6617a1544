"""The editor of gates without a page: counts after a drag, shapes, history, axes, and messages that are none."""

from __future__ import annotations

import time
from base64 import b64decode
from dataclasses import replace

import gate_scenes as scenes
import numpy as np
import pytest
from builders import data_folder
from planted import planted_tube

import immunolab as il
from immunolab.editor.editor import Editor
from immunolab.editor.messages import FIELDS
from immunolab.events.transforms import Identity
from immunolab.events.tube import Channel, Tube
from immunolab.gating.evaluate import evaluate
from immunolab.gating.strategy import Ellipsoid, Polygon, Rectangle

CD4, CD25 = "/cells/CD4", "/cells/CD4/CD25"
BOX, ROUND, CELLS = "/cells/CD4/box", "/cells/round", "/cells"


@pytest.fixture
def editor():
    return Editor(scenes.gated())


def opened(editor, path):
    (found,) = editor.receive({"type": "gate", "path": path})
    return found


def values(editor):
    return scenes.compensated(editor.gated.tube)


def in_cells(editor):
    v = values(editor)
    return (v["FSC-A"] >= 30_000) & (v["FSC-A"] < 130_000) & (v["SSC-A"] >= 20_000) & (v["SSC-A"] < 90_000)


def test_a_dragged_threshold_counts_by_its_value_in_instrument_units_and_so_does_all_below(editor):
    opened(editor, CD4)
    preview = scenes.drag(editor, CD4, "x lower", 0.8, 0.5)
    border = preview["gate"]["handles"][0]["values"]["x"]
    v, cells = values(editor), in_cells(editor)
    positive = cells & (v["CD4"] >= border)
    assert border > 1_500
    below = {CD25: positive & (v["CD25"] >= 500), "/cells/not_CD4": cells & (v["CD4"] < border)}
    expected = {path: int(mask.sum()) for path, mask in ({CD4: positive} | below).items()}
    assert {path: scenes.counts(preview)[path] for path in expected} == expected
    row = next(one for one in preview["rows"] if one["path"] == CD25)
    assert row["percent"] == pytest.approx(100 * expected[CD25] / expected[CD4])
    assert preview["gate"]["percent"] == pytest.approx(100 * expected[CD4] / cells.sum())


def test_a_drop_is_a_new_strategy_with_the_counts_of_the_drag_and_the_first_stays(editor):
    first = editor.gated
    before = first.strategy, first.counts.copy()
    opened(editor, CD4)
    preview = scenes.drag(editor, CD4, "x lower", 0.8, 0.5)
    state = scenes.drop(editor, CD4, "x lower", 0.8, 0.5)
    border = preview["gate"]["handles"][0]["values"]["x"]
    assert scenes.counts(preview).items() <= scenes.counts(state).items()
    gate = editor.strategy["CD4"].gate
    assert float(gate.dimensions[0].transform.inverse([gate.lower[0]])[0]) == pytest.approx(border, rel=1e-12)
    row = editor.gated.thresholds.set_index("population").loc["CD4"]
    assert (row["method"], row["threshold_raw"]) == ("drawn", pytest.approx(border))
    assert "by_hand" in editor.strategy["CD4"].flag
    assert first.strategy is before[0]
    assert first.counts.equals(before[1])
    assert editor.gated is not first
    assert [one["was"]["n"] for one in state["rows"] if one["path"] == CD4] == [int(first.mask("CD4").sum())]


def test_a_border_that_gates_share_moves_in_all_of_them_unless_the_user_parts_them(editor):
    state = opened(editor, CD4)
    assert scenes.handle(state, "x lower")["shared_by"] == ["not_CD4"]
    together = scenes.counts(scenes.drag(editor, CD4, "x lower", 0.8, 0.5))
    assert together[CD4] + together["/cells/not_CD4"] == scenes.counts(state)[CELLS]
    alone = scenes.drag(editor, CD4, "x lower", 0.8, 0.5, together=False)
    assert "/cells/not_CD4" not in scenes.counts(alone)
    scenes.drop(editor, CD4, "x lower", 0.8, 0.5)
    low, high = editor.strategy["CD4"].gate.lower[0], editor.strategy["not_CD4"].gate.upper[0]
    assert low == high


@pytest.mark.parametrize(
    ("path", "key", "to"),
    [
        (CELLS, "corner 1", (0.7, 0.3)),
        (CELLS, "whole", (0.55, 0.4)),
        (BOX, "x upper", (0.8, 0.5)),
        (BOX, "y lower", (0.5, 0.2)),
        (BOX, "whole", (0.6, 0.5)),
        (ROUND, "whole", (0.6, 0.5)),
        (ROUND, "first", (0.9, 0.9)),
        (ROUND, "second", (0.5, 0.7)),
        (ROUND, "turn", (0.7, 0.2)),
        (CD25, "x lower", (0.6, 0.5)),
    ],
)
def test_counts_of_a_drag_are_those_of_gating_all_events_anew(editor, path, key, to):
    state = opened(editor, path)
    preview = scenes.drag(editor, path, key, *to)
    scenes.drop(editor, path, key, *to)
    masks = evaluate(editor.strategy, editor.gated.tube).masks
    assert scenes.counts(preview) == {one: int(masks[one].sum()) for one in scenes.counts(preview)}
    assert scenes.counts(preview)[path] != scenes.counts(state)[path]


def test_a_dragged_corner_is_where_the_hand_left_it_and_holds_what_geometry_says(editor):
    state = opened(editor, CELLS)
    scenes.drop(editor, CELLS, "corner 2", 0.5, 0.5)
    corner = editor.strategy["cells"].gate.vertices[2]
    moved = scenes.handle(scenes.state(editor), "corner 2")["values"]
    assert corner == (moved["x"], moved["y"])
    assert corner[0] == pytest.approx(65_536, rel=1e-3)  # half of 2^17, the axis of these scatter events
    v = values(editor)
    points = np.column_stack([v["FSC-A"], v["SSC-A"]])
    assert scenes.counts(scenes.state(editor))[CELLS] == int(crossings(points, editor.strategy["cells"].gate.vertices))
    assert scenes.counts(state)[CELLS] == int(in_cells(editor).sum())


def crossings(points, corners):
    """Count points inside by the number of edges to their right."""
    inside = np.zeros(len(points), dtype=bool)
    for (ax, ay), (bx, by) in zip(corners, (*corners[1:], corners[0]), strict=True):
        with np.errstate(divide="ignore", invalid="ignore"):
            at = ax + (points[:, 1] - ay) * (bx - ax) / (by - ay)
        inside ^= ((ay <= points[:, 1]) != (by <= points[:, 1])) & (points[:, 0] < at)
    return inside.sum()


def test_an_ellipse_is_turned_by_its_fourth_handle_and_keeps_its_size(editor):
    opened(editor, ROUND)
    before = editor.strategy["round"].gate
    scenes.drop(editor, ROUND, "turn", 0.5, 0.05)
    after = editor.strategy["round"].gate
    assert after.mean == pytest.approx(before.mean)
    view = editor.scene.view()
    size = np.array([one.scale.high - one.scale.low for one in (view.x, view.y)])
    axes = [np.linalg.eigvalsh(np.array(g.covariance) / np.outer(size, size)) for g in (before, after)]
    assert axes[0] == pytest.approx(axes[1])
    centre = (np.array(after.mean) - [view.x.scale.low, view.y.scale.low]) / size
    _, directions = np.linalg.eigh(np.array(after.covariance) / np.outer(size, size))
    away = np.array([0.5, 0.05]) - centre
    assert abs(directions[:, 1] @ away) == pytest.approx(np.linalg.norm(away))


def test_only_an_ellipse_on_the_scales_of_the_picture_can_be_dragged(editor):
    state = opened(editor, ROUND)
    assert len(scenes.active(state)["handles"]) == 4
    source = state["axes"]["x"]["source"]
    linear = state["sources"][source]["scales"].index("linear")
    (state,) = editor.receive({"type": "axis", "letter": "x", "source": source, "scale": linear})
    assert scenes.active(state)["handles"] == []
    assert "scale" in state["note"]
    rim = np.array(scenes.active(state)["outlines"][0])
    axis, gate = editor.scene.view().x, editor.strategy["round"].gate
    shown = scenes.X.transform.apply(axis.dimension.transform.inverse(axis.scale.low + rim[:, 0] * np.ptp(ends(axis))))
    wide = np.sqrt(gate.covariance[0][0] * gate.distance_square)
    assert shown.max() == pytest.approx(gate.mean[0] + wide, abs=0.01)


def ends(axis):
    return np.array([axis.scale.low, axis.scale.high])


def test_a_threshold_can_be_dragged_on_another_scale_than_its_own(editor):
    state = opened(editor, CD4)
    source = state["axes"]["x"]["source"]
    linear = state["sources"][source]["scales"].index("linear")
    (state,) = editor.receive({"type": "axis", "letter": "x", "source": source, "scale": linear})
    assert scenes.handle(state, "x lower")["values"]["x"] == pytest.approx(1_000)
    scenes.drop(editor, CD4, "x lower", 0.25, 0.5)
    view = editor.scene.view()
    assert view.x.dimension.transform == Identity()
    gate = editor.strategy["CD4"].gate
    assert gate.dimensions[0].transform == scenes.X.transform
    assert np.sinh(gate.lower[0]) * scenes.COFACTOR == pytest.approx(view.x.shown(0.25), rel=1e-3)


def test_a_side_does_not_pass_the_one_opposite(editor):
    opened(editor, BOX)
    before = editor.strategy["box"].gate
    scenes.drop(editor, BOX, "x lower", 1.0, 0.5)
    assert editor.strategy["box"].gate == before


def test_a_placed_corner_stays_one_and_its_borders_go_where_it_is_dragged():
    events, _ = planted_tube(0, 8_000, sample_id="S1")
    editor = Editor(il.gate(events, "treg_th17_tfh_teff"))
    path = next(p.path for p in editor.strategy.populations if p.name == "Treg")
    state = opened(editor, path)
    (meet,) = scenes.active(state)["handles"]
    preview = scenes.drag(editor, path, "meet", meet["x"] + 0.1, meet["y"])
    state = scenes.drop(editor, path, "meet", meet["x"] + 0.1, meet["y"])
    (moved,) = scenes.active(state)["handles"]
    assert moved["values"]["x"] == pytest.approx(preview["gate"]["handles"][0]["values"]["x"])
    records = editor.gated.thresholds.query("population == 'Treg'").set_index("marker")
    assert records["method"].tolist() == ["drawn", "drawn"]
    assert records.loc["CD25", "threshold_raw"] == pytest.approx(moved["values"]["x"], rel=1e-6)
    assert "before:" in records.loc["CD25", "reason"]


def test_every_event_is_in_the_picture_or_counted_beyond_its_axes():
    first = scenes.gated()
    columns = first.tube.columns.copy()
    columns[0, :7], columns[1, 7:10], columns[0, 10] = 9e6, -9e6, np.nan
    far = replace(first.tube, columns=columns)
    editor = Editor(il.gate(far, first.strategy))
    (state,) = editor.receive({"type": "show", "path": ""})
    picture = editor.scene.binned()
    v = scenes.compensated(far)
    view = editor.scene.view()
    x, y = (axis.places(v[axis.dimension.name]) for axis in (view.x, view.y))
    inside = (x >= 0) & (x <= 1) & (y >= 0) & (y <= 1)
    assert int(picture.counts.sum()) == int(inside.sum())
    assert state["picture"]["n_beyond"] == int((~inside).sum())
    assert state["picture"]["sides"]["right"] == int((x > 1).sum()) >= 7
    shades = np.frombuffer(b64decode(state["picture"]["shades"]), dtype=np.uint8).reshape(128, 128)
    expected, *_ = np.histogram2d(y[inside], x[inside], bins=128, range=((0, 1), (0, 1)))
    assert ((shades > 0) == (expected > 0)).all()


def test_gates_are_drawn_below_what_is_shown_and_everything_can_be_undone_and_done_again(editor):
    first = editor.strategy
    editor.receive({"type": "gate", "path": BOX})
    points = [[0.3, 0.3], [0.9, 0.3], [0.9, 0.8]]
    (state,) = editor.receive({"type": "draw", "shape": "polygon", "points": points, "name": ""})
    path = "/cells/CD4/gate 1"
    assert state["active"] == path
    v, gate = values(editor), editor.strategy["gate 1"].gate
    inside = in_cells(editor) & (v["CD4"] >= 1_000)
    shown = np.column_stack([np.arcsinh(v[name] / scenes.COFACTOR) for name in ("CD4", "CD25")])
    assert scenes.counts(state)[path] == int(crossings(shown[inside], gate.vertices))
    for message in (
        {"type": "draw", "shape": "above", "points": [[0.5, 0.5]], "name": "high"},
        {"type": "draw", "shape": "ellipse", "points": [[0.3, 0.3], [0.6, 0.6]], "name": "e"},
        {"type": "rename", "path": "/cells/CD4/high", "name": "higher"},
        {"type": "add_corner", "path": path, "handle": "corner 0"},
        {"type": "remove_corner", "path": path, "handle": "corner 3"},
        {"type": "remove", "path": CD25},
    ):
        (state,) = editor.receive(message)
        assert state["type"] == "state", state
    names = [population.name for population in editor.strategy.populations]
    assert names == ["cells", "CD4", "box", "not_CD4", "round", "both", "gate 1", "higher", "e"]
    assert len(editor.strategy["gate 1"].gate.vertices) == 3
    last, words = editor.strategy, []
    while (state := scenes.state(editor))["undo"]:
        words.append(state["undo"])
        editor.receive({"type": "undo"})
    assert words[0] == "remove CD25"
    assert editor.strategy == first
    assert editor.gated is editor.scene.original
    for _ in words:
        editor.receive({"type": "redo"})
    assert editor.strategy == last


def test_key_presses_on_one_handle_are_undone_together(editor):
    opened(editor, CD4)
    message = {"type": "drop", "path": CD4, "handle": "x lower", "y": 0.5, "together": True, "joined": True}
    for place in (0.7, 0.71, 0.72):
        editor.receive(message | {"x": place})
    (state,) = editor.receive({"type": "undo"})
    assert state["undo"] == ""
    assert scenes.handle(state, "x lower")["values"]["x"] == pytest.approx(1_000)


def test_a_value_is_set_in_instrument_units_and_one_beyond_the_axis_is_refused(editor):
    opened(editor, CD4)
    message = {"type": "value", "path": CD4, "handle": "x lower", "letter": "x", "together": True}
    editor.receive(message | {"value": 3_000})
    assert np.sinh(editor.strategy["CD4"].gate.lower[0]) * scenes.COFACTOR == pytest.approx(3_000)
    problem, state = editor.receive(message | {"value": 1e9})
    assert "1e+09 is beyond the axis" in problem["message"]
    assert "it goes from" in problem["message"]
    assert scenes.handle(state, "x lower")["values"]["x"] == 3_000


def test_a_tube_without_gates_is_gated_from_nothing():
    explorer = scenes.tube(2_000).explore()
    assert "2,000" in repr(explorer)
    assert scenes.counts(scenes.state(explorer.editor)) == {"": 2_000}
    draw = {"type": "draw", "shape": "rectangle", "points": [[0.2, 0.1], [0.5, 0.9]], "name": "cells"}
    (state,) = explorer.editor.receive(draw)
    low, high = explorer.strategy["cells"].gate.lower, explorer.strategy["cells"].gate.upper
    v = scenes.compensated(explorer.gated.tube)
    x, y = v["FSC-A"], v["SSC-A"]
    inside = (x >= low[0]) & (x < high[0]) & (y >= low[1]) & (y < high[1])
    assert scenes.counts(state)["/cells"] == explorer.gated.mask("cells").sum() == inside.sum()
    assert isinstance(explorer.strategy["cells"].gate, Rectangle)


@pytest.mark.parametrize(
    ("channels", "axes"),
    [
        ((("Time", "time"), ("FSC-W", "scatter"), ("FSC-A", "scatter"), ("SSC-A", "scatter")), ["FSC-A", "SSC-A"]),
        ((("Cell_length", "other"), ("Rh103Di", "mass"), ("CD3", "mass"), ("CD4", "mass")), ["CD3", "CD4"]),
        ((("Time", "time"),), ["Time", None]),
    ],
)
def test_a_tube_is_first_seen_on_its_scatter_or_its_markers(channels, axes):
    made = tuple(
        Channel(name, name, name if name.startswith("CD") else None, kind=kind, top=0.0) for name, kind in channels
    )
    events = np.random.default_rng(0).normal(1_000, 300, (len(made), 500)).astype(np.float32)
    state = scenes.state(Tube(events, made, sample_id="S1").explore().editor)
    assert [axis and axis["label"] for axis in state["axes"].values()] == axes


def test_a_crossing_polygon_is_said_to_cross(editor):
    opened(editor, CELLS)
    scenes.drop(editor, CELLS, "corner 0", 0.3, 0.9)
    state = scenes.drop(editor, CELLS, "corner 3", 0.2, 0.05)
    assert "edges cross" in state["note"]
    assert isinstance(editor.strategy["cells"].gate, Polygon)


@pytest.mark.parametrize(
    "message",
    [
        None,
        [],
        {"type": ["gate"]},
        {"type": "evaluate"},
        {"type": "gate", "path": "/no/such"},
        {"type": "gate", "path": 3},
        {"type": "axis", "letter": "z", "source": 0, "scale": 0},
        {"type": "axis", "letter": "x", "source": 99, "scale": 0},
        {"type": "axis", "letter": "x", "source": -1, "scale": 0},
        {"type": "drag", "path": CD4, "handle": "x upper", "x": 0.1, "y": 0.1, "together": True, "serial": 1},
        {"type": "drag", "path": CD4, "handle": "x lower", "x": float("nan"), "y": 0.1, "together": True, "serial": 1},
        {
            "type": "drop",
            "path": "/cells/both",
            "handle": "whole",
            "x": 0.1,
            "y": 0.1,
            "together": True,
            "joined": False,
        },
        {"type": "value", "path": CD4, "handle": "x lower", "letter": "q", "value": 1.0, "together": True},
        {"type": "add_corner", "path": CD4, "handle": "corner 0"},
        {"type": "remove_corner", "path": CELLS, "handle": "corner 99"},
        {"type": "draw", "shape": "spiral", "points": [[0.1, 0.1]], "name": ""},
        {"type": "draw", "shape": "polygon", "points": [[0.1, 0.1], [0.2, 0.2]], "name": ""},
        {"type": "draw", "shape": "above", "points": [], "name": ""},
        {"type": "draw", "shape": "above", "points": [[0.1, 0.1]], "name": "CD4"},
        {"type": "draw", "shape": "above", "points": [[0.1, 0.1]] * 501, "name": ""},
        {"type": "rename", "path": CD4, "name": "a/b"},
        {"type": "rename", "path": CD4, "name": " "},
        {"type": "remove", "path": ""},
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(editor, message):
    opened(editor, CD4)
    before = editor.gated
    problem, state = editor.receive(message)
    assert problem["type"] == "problem"
    assert problem["message"]
    assert state["type"] == "state"
    assert "picture" in state
    assert editor.gated is before


def test_every_message_has_an_answer(editor):
    assert {name.removeprefix("_on_") for name in dir(editor) if name.startswith("_on_")} == set(FIELDS)


def test_a_drag_at_300_000_events_is_answered_within_200_ms():
    events, _ = planted_tube(0, 300_000, sample_id="S1")
    editor = Editor(il.gate(events, "treg_th17_tfh_teff"))
    slowest = {}
    for name in ("singlets", "CD3", "CD4", "Treg"):
        path = next(p.path for p in editor.strategy.populations if p.name == name)
        first = scenes.active(opened(editor, path))["handles"][0]
        times = []
        for step in range(4):
            start = time.perf_counter()
            answer = scenes.drag(editor, path, first["key"], min(max(first["x"], 0.0), 1.0) + 0.01 * step, first["y"])
            times.append(time.perf_counter() - start)
            assert answer["type"] == "preview"
        slowest[name] = min(times)  # the best of four: the machine may be doing other things
    assert max(slowest.values()) < 0.2, slowest


def test_an_ellipsoid_of_three_dimensions_is_shown_and_not_dragged():
    first = scenes.gated(2_000)
    wide = ((0.6, 0.1, 0.0), (0.1, 0.5, 0.0), (0.0, 0.0, 4e8))
    solid = Ellipsoid((scenes.X, scenes.Y, scenes.FSC), (3.0, 3.0, 80_000.0), wide, 2.0)
    editor = Editor(first.add("solid", solid, parent="cells"))
    state = opened(editor, "/cells/solid")
    assert scenes.active(state)["handles"] == []
    assert len(scenes.active(state)["outlines"]) == 1
    assert "no border on these axes" in state["note"]


def test_every_gate_of_gatingml_s_reference_set_is_opened_dragged_and_undone():
    place = data_folder("flow/flowkit_gate_ref/gate_ref")
    first = il.gate(il.read_fcs(place / "data1.fcs"), place / "gml" / "gml_all_gates.xml")
    editor = Editor(first)
    dragged = 0
    for population in first.strategy.populations:
        state = opened(editor, population.path)
        for one in scenes.active(state)["handles"]:
            counts = scenes.counts(scenes.drag(editor, population.path, one["key"], 0.43, 0.61))
            scenes.drop(editor, population.path, one["key"], 0.43, 0.61)
            masks = evaluate(editor.strategy, first.tube).masks
            assert counts == {path: int(masks[path].sum()) for path in counts}, (population.path, one["key"])
            editor.receive({"type": "undo"})
            assert editor.strategy == first.strategy
            dragged += 1
    assert dragged > 80
