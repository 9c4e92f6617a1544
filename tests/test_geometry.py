"""Membership of shapes against FlowUtils and against arithmetic, and the engine's rules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from flowutils import gating as flowutils_gating
from hypothesis import given, settings
from hypothesis import strategies as st

from immunolab.errors import GatingError
from immunolab.events.transforms import Linear, Log, Logicle
from immunolab.events.tube import Channel, Spillover, Tube
from immunolab.gating import evaluate as apply
from immunolab.gating import geometry
from immunolab.gating.counts import counts_table
from immunolab.gating.evaluate import evaluate
from immunolab.gating.placement.tube_state import TubeState
from immunolab.gating.strategy import (
    Boolean,
    Declared,
    Dimension,
    Ellipsoid,
    Polygon,
    Population,
    Ratio,
    Rectangle,
    Strategy,
)
from immunolab.gating.tube_gates import TubeGates
from immunolab.gating.tubes import gate_tube
from immunolab.gating.validation import evaluable

A, B = Dimension("A", compensation="none"), Dimension("B", compensation="none")
grid = st.integers(0, 12).map(float)
points = st.tuples(grid, grid)


def tube(columns: np.ndarray, spillover: Spillover | None = None) -> Tube:
    names = "ABCDEFGH"[: len(columns)]
    channels = tuple(Channel(name, marker=f"CD{i + 1}") for i, name in enumerate(names))
    return Tube(np.asarray(columns, dtype=np.float32), channels, spillover, sample_id="s1", file="s1.fcs")


def gated(*populations: Population, columns: np.ndarray) -> dict[str, np.ndarray]:
    return dict(evaluate(Strategy("test", populations), tube(columns)).masks)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(grid, grid), min_size=3, max_size=9), st.lists(st.tuples(grid, grid), min_size=1, max_size=60)
)
def test_polygons_on_a_grid_agree_with_flowutils_on_every_edge_and_corner(corners, places) -> None:
    events = np.array(places)
    expected = flowutils_gating.points_in_polygon(np.array(corners), events)
    x, y = np.ascontiguousarray(events.T)
    assert np.array_equal(geometry.in_polygon(x, y, corners, np.ones(len(x), bool)) == geometry.INSIDE, expected)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(grid, grid), min_size=3, max_size=9), st.integers(0, 10_000), st.sampled_from([0.0, 1e-10, 0.2])
)
def test_many_events_find_by_cells_of_the_polygon_what_few_find_edge_by_edge(corners, seed, tolerance) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.choice([rng.uniform(-1, 13, 9_000), rng.integers(-1, 14, 9_000) * 1.0], axis=0, size=2)
    x, y = np.concatenate([x, rng.choice([c[0] for c in corners], 99)]), np.concatenate([y, rng.uniform(-1, 13, 99)])
    within = rng.random(len(x)) < 0.7
    at_once = geometry.in_polygon(x, y, corners, within, tolerance)
    few = [slice(at, at + 1_000) for at in range(0, len(x), 1_000)]
    apart = [geometry.in_polygon(x[part], y[part], corners, within[part], tolerance) for part in few]
    assert np.array_equal(at_once, np.concatenate(apart))


def test_a_square_takes_its_left_and_bottom_edge_and_leaves_right_and_top() -> None:
    square = [(0, 0), (2, 0), (2, 2), (0, 2)]
    x = np.array([0.0, 2.0, 1.0, 1.0, 0.0, np.nan, np.inf])
    y = np.array([1.0, 1.0, 0.0, 2.0, 0.0, 1.0, 1.0])
    inside = geometry.in_polygon(x, y, square, np.ones(7, bool)) == geometry.INSIDE
    assert inside.tolist() == [True, False, True, False, True, False, False]


def test_a_polygon_that_crosses_itself_has_a_hole_where_it_covers_twice() -> None:
    star = [(np.cos(a), np.sin(a)) for a in np.arange(5) * 4 * np.pi / 5]
    points = np.array([[0.0, 0.0], [0.9, 0.0]])
    assert (geometry.in_polygon(*points.T.copy(), star, np.ones(2, bool)) == 1).tolist() == [False, True]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["polygon", "ellipsoid", "interval"]))
def test_what_is_sure_stays_right_when_coordinates_err_by_less_than_the_tolerance(seed: int, shape: str) -> None:
    rng = np.random.default_rng(seed)
    true = rng.random((2, 4_000))
    error = 1e-3
    seen = true + rng.uniform(-error, error, true.shape)
    everyone = np.ones(true.shape[1], bool)

    def code(at: np.ndarray, tolerance: float) -> np.ndarray:
        if shape == "interval":
            return geometry.in_interval(at[0], 0.3, 0.6, everyone, tolerance)
        if shape == "ellipsoid":
            covariance = ((0.02, 0.01), (0.01, 0.03))
            return geometry.in_ellipsoid(at, (0.5, 0.5), covariance, 1.5, everyone, tolerance)
        corners = np.random.default_rng(seed + 1).random((7, 2))
        return geometry.in_polygon(at[0], at[1], corners, everyone, tolerance)

    unsure = code(seen, error)
    sure = unsure != geometry.UNSURE
    assert np.array_equal(unsure[sure], code(true, 0.0)[sure])
    assert sure.mean() > 0.5


def test_ellipsoid_in_three_dimensions_includes_its_surface() -> None:
    points = np.array([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0], [1.0, 0.1, 0.0]]).T
    covariance = np.diag([1.0, 4.0, 9.0])
    code = geometry.in_ellipsoid(points, (0, 0, 0), covariance, 1.0, np.ones(4, bool))
    assert code.tolist() == [1, 1, 1, 0]


def test_a_rectangle_is_closed_below_open_above_and_open_sides_have_no_border() -> None:
    columns = np.array([[1.0, 2.0, 3.0, -np.inf, np.inf, np.nan]])
    masks = gated(
        Population("/both", Rectangle((A,), (1.0,), (3.0,))),
        Population("/low", Rectangle((A,), (1.0,), (None,))),
        Population("/high", Rectangle((A,), (None,), (3.0,))),
        Population("/none", Rectangle((A,), (None,), (None,))),
        columns=columns,
    )
    assert masks["/both"].tolist() == [True, True, False, False, False, False]
    assert masks["/low"].tolist() == [True, True, True, False, True, False]
    assert masks["/high"].tolist() == [True, True, False, True, False, False]
    assert masks["/none"].all()


@pytest.fixture(scope="module")
def cloud() -> np.ndarray:
    return np.random.default_rng(7).normal(0.0, 1.0, (3, 20_000))


TREE = (
    Population("/P", Polygon((A, B), ((-1, -1), (1, -1), (1, 1), (-1, 1)))),
    Population("/P/right", Rectangle((A,), (0.0,), (None,))),
    Population("/P/left", Rectangle((A,), (None,), (0.0,))),
    Population("/P/same", None),
    Population("/P/round", Ellipsoid((A, B), (0.0, 0.0), ((1.0, 0.0), (0.0, 1.0)), 0.25)),
    Population("/P/and", Boolean("and", ("/P/right", "/P/round"), (False, True))),
    Population("/P/or", Boolean("or", ("/P/right", "/P/round"), (False, False))),
    Population("/P/not", Boolean("not", ("/P/round",), (False,))),
)


def test_children_are_within_parents_siblings_add_up_and_booleans_follow_the_masks(cloud: np.ndarray) -> None:
    masks = gated(*TREE, columns=cloud)
    for path, mask in masks.items():
        parent = path.rsplit("/", 1)[0]
        assert not parent or not (mask & ~masks[parent]).any()
    assert masks["/P/right"].sum() + masks["/P/left"].sum() == masks["/P"].sum()
    assert np.array_equal(masks["/P/same"], masks["/P"])
    assert np.array_equal(masks["/P/and"], masks["/P/right"] & ~masks["/P/round"])
    assert np.array_equal(masks["/P/or"], masks["/P/right"] | masks["/P/round"])
    assert np.array_equal(masks["/P/not"], masks["/P"] & ~masks["/P/round"])


def test_the_order_of_events_and_the_size_of_blocks_do_not_matter(
    cloud: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = np.random.default_rng(1).permutation(cloud.shape[1])
    plain, shuffled = gated(*TREE, columns=cloud), gated(*TREE, columns=cloud[:, order])
    monkeypatch.setattr(apply, "_BLOCK", 777)
    blocked = gated(*TREE, columns=cloud)
    for path in plain:
        assert np.array_equal(plain[path][order], shuffled[path])
        assert np.array_equal(plain[path], blocked[path])


def test_events_within_the_tables_error_of_an_edge_are_tested_exactly() -> None:
    scale = Logicle(262_144.0, 0.5, 4.5, 0.0)
    values = np.linspace(-500, 200_000, 4_000).astype(np.float32)
    exact = scale.exact(values.astype(np.float64))
    dimension = Dimension("A", scale, "none")
    for edge in exact[::97]:
        masks = gated(Population("/x", Rectangle((dimension,), (float(edge),), (None,))), columns=values[None])
        assert np.array_equal(masks["/x"], exact >= edge)


def test_compensation_comes_from_the_tube_from_a_named_matrix_or_not_at_all() -> None:
    columns = np.array([[10.0, 20.0], [5.0, 1.0]])
    own = Spillover(("A", "B"), np.array([[1.0, 0.5], [0.0, 1.0]]))
    other = Spillover(("A", "B"), np.array([[1.0, 0.0], [2.0, 1.0]]))
    axes = [Dimension("B"), Dimension("A", compensation="none"), Dimension("A", compensation="mine")]
    populations = tuple(Population(f"/{axis.compensation}", Rectangle((axis,), (-5.0,), (0.5,))) for axis in axes)
    strategy = Strategy("test", populations, {"mine": other})
    masks = evaluate(strategy, tube(columns, own)).masks
    assert masks["/sample"].tolist() == [True, False]  # B - 0.5 A = 0 and -9
    assert masks["/none"].tolist() == [False, False]
    assert masks["/mine"].tolist() == [True, False]  # A - 2 B = 0 and 18


def test_a_ratio_is_transformed_after_it_is_taken() -> None:
    columns = np.array([[100.0, 10.0, 5.0, 5.0], [9.0, 9.0, -2.0, -1.0]])  # ratios 10 (the edge), 1, -5, infinity
    ratio = Dimension("r", Log(10.0, 1.0), "none", Ratio("A", "CD2", a=1.0, b=0.0, c=-1.0))
    masks = gated(Population("/r", Rectangle((ratio,), (1.0,), (None,))), columns=columns)
    assert masks["/r"].tolist() == [True, False, False, True]


def test_an_empty_parent_has_empty_children_and_says_so() -> None:
    populations = (
        Population("/none", Rectangle((A,), (9.0,), (None,)), flag="no_valley"),
        Population("/none/child", Polygon((A, B), ((0, 0), (1, 0), (1, 1)))),
        Population("/none/not", Boolean("not", ("/none/child",), (False,))),
    )
    counts = counts_table(evaluate(Strategy("t", populations), tube(np.ones((2, 30)))), "s1").set_index("path")
    assert counts.loc["/none", "flag"] == "no_valley;below_lod"
    assert counts.loc["/none", "percent_of_parent"] == 0.0
    for path in ("/none/child", "/none/not"):
        assert counts.loc[path, "n_events"] == 0
        assert counts.loc[path, "flag"] == "empty_parent;below_lod"
        assert counts["percent_of_parent"].isna()[path]
    assert counts.loc["/", "n_events"] == 30
    assert counts.loc["/", "flag"] == "below_loq"


def test_no_event_at_all_is_a_result() -> None:
    counts = counts_table(evaluate(Strategy("t", TREE), tube(np.empty((3, 0)))), "s1")
    assert counts["n_events"].sum() == 0


def test_duplicated_names_become_paths_in_the_memberships(cloud: np.ndarray) -> None:
    both = (*TREE, Population("/P/left/right", Rectangle((B,), (0.0,), (None,))))
    frame = gate_tube(tube(cloud), TubeGates(Strategy("t", both))).memberships_frame()
    assert {"P", "left", "P|right", "P|left|right"} <= set(frame.columns)
    assert len(frame) == cloud.shape[1]
    assert {str(kind) for kind in frame.dtypes} == {"bool"}


def test_every_fault_names_the_gate_and_the_fix() -> None:
    populations = (
        Population("/ok", Rectangle((A,), (0.0,), (None,))),
        Population("/ok/absent", Rectangle((Dimension("CD25"),), (0.0,), (None,))),
        Population("/ok/absent/child", Rectangle((A,), (0.0,), (None,))),
        Population("/matrix", Rectangle((Dimension("A", compensation="M9"),), (0.0,), (None,))),
        Population("/open", Declared("where", {})),
        Population("/bool", Boolean("and", ("/ok", "/nowhere"), (False, False))),
        Population("/flat", Ellipsoid((A, B), (0, 0), ((1.0, 1.0), (1.0, 1.0)), 1.0)),
    )
    kept, problems = evaluable(Strategy("t", populations), tube(np.ones((2, 5))))
    assert [population.path for population in kept.populations] == ["/ok"]
    assert [str(problem) for problem in problems] == [
        "s1:/ok/absent  marker or channel 'CD25' is not in the tube\n    hint: the tube has: CD1, CD2",
        "s1:/ok/absent/child  the gate needs population '/ok/absent', which cannot be evaluated\n"
        "    hint: fix that gate first",
        "s1:/matrix  spillover matrix 'M9' is unknown\n    hint: the strategy has: none",
        "s1:/open  the where gate has no coordinates yet\n    hint: place the gates on the tube first",
        "s1:/bool  the gate needs population '/nowhere', which the strategy does not have\n    hint: check its path",
        "s1:/flat  the ellipsoid's covariance is singular\n    hint: draw the gate again",
    ]
    with pytest.raises(GatingError, match="CD25"):
        evaluate(Strategy("t", populations), tube(np.ones((2, 5))))


def test_gates_on_markers_name_channels_for_export() -> None:
    gate = Rectangle((Dimension("CD1"), Dimension("r", ratio=Ratio("CD1", "B"))), (0.0, 0.0), (None, None))
    gates = TubeGates(Strategy("t", (Population("/x", gate),)))
    moved = gate_tube(tube(np.ones((2, 1))), gates).on_channels().populations[0].gate
    expected = (Dimension("A"), Dimension("r", ratio=Ratio("A", "B")))
    assert moved == replace(gate, dimensions=expected)


def test_placing_evaluates_as_evaluate_does_with_named_matrices_and_borders_on_events() -> None:
    scale = Logicle(262_144.0, 0.5, 4.5, 0.0)
    own = Spillover(("A", "B"), np.array([[1.0, 0.2], [0.1, 1.0]]))
    named = Spillover(("A", "B"), np.array([[1.0, 0.4], [0.3, 1.0]]))
    signal = np.random.default_rng(3).lognormal(7.0, 2.0, (2, 4_000)).astype(np.float32)
    plain = Tube(signal, (Channel("A"), Channel("B")), own, "s1")
    a, b = Dimension("A", scale, "M"), Dimension("B", scale, "M")
    on_an_event = float(scale.apply(plain.compensated("A", named))[7])
    ratio = Dimension("A/B", Linear(2.0), "M", Ratio("A", "B", 1.0, 3.0, 5.0))
    populations = (
        Population("/edge", Rectangle((a,), (on_an_event,), (None,))),
        Population("/edge/square", Polygon((a, b), ((0.3, 0.2), (0.8, 0.2), (0.8, 0.7), (on_an_event, 0.7)))),
        Population("/round", Ellipsoid((a, b), (0.5, 0.5), ((0.01, 0.0), (0.0, 0.02)), 4.0)),
        Population("/ratio", Rectangle((ratio,), (0.4,), (0.9,))),
        Population("/either", Boolean("or", ("/edge", "/round"), (False, True))),
    )
    strategy = Strategy("t", populations, {"M": named})
    state = TubeState(plain, strategy, "P1", "")
    for population in populations:
        state.place(population)
    expected = evaluate(strategy, plain).masks
    assert all(0 < mask.sum() < 4_000 for mask in expected.values())
    for path, mask in expected.items():
        np.testing.assert_array_equal(state.masks[path], mask, err_msg=path)
