"""FlowKit objects in and out: the same values and the same memberships, event by event."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import flowkit
import numpy as np
import pandas as pd
import pytest
from builders import data_folder
from gate_trees import every_kind

import immunolab as il
from immunolab.errors import DataFileError, GatingError
from immunolab.events.transforms import Bounded, Logicle
from immunolab.events.tube import Spillover, Tube
from immunolab.gating.evaluate import evaluate
from immunolab.gating.exchange.from_flowkit import FlowKitSamples, from_flowkit
from immunolab.gating.exchange.to_flowkit import to_flowkit
from immunolab.gating.exchange.workspace import read_workspace
from immunolab.gating.strategy import (
    Declared,
    Dimension,
    Population,
    Ratio,
    Rectangle,
    Strategy,
)
from immunolab.gating.tube_gates import TubeGates
from immunolab.gating.tubes import GatedTube, gate_tube
from immunolab.loaders.fcs.read import read_fcs
from immunolab.vocabulary.panel import resolve_channels

DYES = "FITC PE PerCP APC BV421 BV510 BV605 BV650 BV711 BV785 BUV395 BUV496 BUV737".split()  # noqa: SIM905
MARKERS = "CD3 CD4 CD8 CD25 CD127 CD45RA CCR7 CXCR5 PD-1 ICOS CXCR3 CCR6 CD161".split()  # noqa: SIM905


def planted(seed: int = 1, sample_id: str = "P01_W0", n_events: int = 4_000) -> Tube:
    """A tube of two clouds a channel, with spillover."""
    draw = np.random.default_rng(seed)
    names = ["FSC-A", "SSC-A", *(f"{dye}-A" for dye in DYES), "Time"]
    bright = draw.random((len(DYES), n_events)) < 0.4
    light = np.where(bright, draw.lognormal(9, 0.8, bright.shape), draw.normal(0, 300, bright.shape))
    matrix = np.eye(len(DYES)) + np.triu(draw.uniform(0, 0.2, (len(DYES), len(DYES))), 1)
    scatter = draw.lognormal(11, 0.3, (2, n_events))
    columns = np.vstack([scatter, matrix.T @ light, np.arange(n_events) / 100.0]).astype(np.float32)
    channels = tuple(replace(one, top=2.0**22) for one in resolve_channels(names, ["", "", *MARKERS, ""]))
    spillover = Spillover(tuple(names[2:-1]), matrix, "planted")
    return Tube(columns, channels, spillover, sample_id=sample_id, file=f"{sample_id}.fcs")


def gated(tube: Tube, strategy: Strategy) -> GatedTube:
    return gate_tube(tube, TubeGates(strategy))


def ours(strategy: Strategy, tube: Tube) -> dict[str, np.ndarray]:
    return dict(evaluate(strategy, tube).masks)


def theirs(results: flowkit._models.gating_results.GatingResults, strategy: Strategy) -> dict[str, np.ndarray]:
    """FlowKit's memberships by path."""
    return {
        p.path: results.get_gate_membership(p.name, ("root", *p.path.split("/")[1:-1])) for p in strategy.populations
    }


def differences(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> dict[str, int]:
    assert one.keys() == other.keys()
    return {path: n for path, mask in one.items() if (n := int((mask != other[path]).sum()))}


def analysed(session: flowkit.Session, sample_id: str) -> flowkit._models.gating_results.GatingResults:
    session.analyze_samples(sample_id=sample_id, use_mp=False)
    return session.get_gating_results(sample_id)


# --- tubes ------------------------------------------------------------------------------------------


def test_a_tube_goes_to_a_sample_and_comes_back_the_same() -> None:
    tube = planted()
    sample = to_flowkit(tube)
    assert (sample.id, sample.pnn_labels) == ("P01_W0", [channel.name for channel in tube.channels])
    assert sample.pns_labels[2:-1] == MARKERS
    assert np.array_equal(sample.get_events(source="raw"), tube.columns.T)
    back = from_flowkit(sample)
    assert np.array_equal(back.columns, tube.columns)
    assert back.channels == tube.channels
    assert (back.sample_id, back.file, back.warnings) == ("P01_W0", "P01_W0.fcs", ())
    assert back.spillover.channels == tube.spillover.channels
    assert np.array_equal(back.spillover.matrix, tube.spillover.matrix)


def test_the_matrix_applied_to_a_sample_is_the_tubes() -> None:
    tube = planted()
    sample = to_flowkit(tube)
    names = list(tube.spillover.channels[:2])
    sample.apply_compensation(flowkit.Matrix(np.array([[1.0, 0.25], [0.0, 1.0]]), names))
    back = from_flowkit(sample)
    assert back.spillover.channels == tuple(names)
    expected = sample.get_channel_events(names[1], source="comp")
    assert np.allclose(back.compensated(names[1]), expected, rtol=1e-12)


def test_a_table_that_flowkit_took_is_a_tube() -> None:
    table = pd.DataFrame({"FSC-A": [1.0, 2.0, 3.0], "CD4 PE-A": [0.5, 10.0, 1e4]})
    tube = from_flowkit(flowkit.Sample(table, sample_id="table"))
    assert (tube.n_events, tube.sample_id, tube.spillover) == (3, "table", None)
    assert tube.raw("CD4 PE-A").tolist() == [0.5, 10.0, 1e4]


def test_a_real_sample_has_the_values_that_are_read_here() -> None:
    path = data_folder("flow/flowkit_bsd/100715.fcs")
    tube, read = from_flowkit(flowkit.Sample(path)), read_fcs(path)
    assert np.array_equal(tube.columns, read.columns)
    assert tube.channels == read.channels
    assert tube.spillover.channels == read.spillover.channels
    assert np.array_equal(tube.spillover.matrix, read.spillover.matrix)


def test_what_is_no_object_of_flowkit_is_refused() -> None:
    with pytest.raises(TypeError, match="a flowkit Sample, GatingStrategy, Session or Workspace is needed"):
        from_flowkit("gates.xml")


def test_a_channel_name_that_flowkit_would_change_is_an_error() -> None:
    tube = planted(n_events=10)
    renamed = replace(tube.channels[2], name="a$b")
    with pytest.raises(DataFileError, match=r"FlowKit changes these channel names: a\$b"):
        to_flowkit(replace(tube, channels=(*tube.channels[:2], renamed, *tube.channels[3:]), spillover=None))


# --- gates, planted -----------------------------------------------------------------------------------


def test_every_kind_of_gate_has_the_same_events_there_and_back() -> None:
    tube = planted()
    strategy = every_kind(tube)
    expected = ours(strategy, tube)
    assert all(0 < mask.sum() < tube.n_events for path, mask in expected.items() if "box" not in path)
    session = to_flowkit(gated(tube, strategy))
    assert differences(expected, theirs(analysed(session, tube.sample_id), strategy)) == {}
    back = from_flowkit(session)
    assert repr(back) == "FlowKitSamples(1 tubes, 1 strategies: P01_W0)"
    assert differences(expected, ours(back.strategies["P01_W0"], back.tubes["P01_W0"])) == {}


def test_borders_of_each_tube_are_custom_gates_of_its_sample() -> None:
    tubes = [planted(1, "P01_W0"), planted(2, "P01_W4"), planted(1, "P02_W0")]
    strategies = [every_kind(tube) for tube in tubes]
    session = to_flowkit([gated(tube, strategy) for tube, strategy in zip(tubes, strategies, strict=True)])
    custom = {key: session.gating_strategy.is_custom_gate(key, "T+", ("root", "L")) for key in session.get_sample_ids()}
    assert custom == {"P01_W0": False, "P01_W4": True, "P02_W0": False}
    back = from_flowkit(session)
    for tube, strategy in zip(tubes, strategies, strict=True):
        expected = ours(strategy, tube)
        assert differences(expected, theirs(analysed(session, tube.sample_id), strategy)) == {}
        assert differences(expected, ours(back.strategies[tube.sample_id], tube)) == {}


def test_a_strategy_alone_refers_to_the_samples_own_matrix() -> None:
    tube = planted()
    axis = Dimension("CD4", Logicle())
    strategy = Strategy("s", (Population("/CD4", Rectangle((axis,), (0.4,), (None,))),))
    gates = to_flowkit(strategy)
    assert gates.get_gate("CD4").dimensions[0].compensation_ref == "FCS"
    results = gates.gate_sample(to_flowkit(tube))
    assert differences(ours(strategy, tube), theirs(results, strategy)) == {}
    assert from_flowkit(gates).populations == strategy.populations


def test_ratios_are_carried_as_flowkit_takes_them() -> None:
    tube = planted()
    ratio = Ratio("FITC-A", "PE-A", 1.0, 0.0, -1e6)
    axis = Dimension("R1", compensation="none", ratio=ratio)
    strategy = Strategy("s", (Population("/r", Rectangle((axis,), (0.001,), (None,))),))
    session = to_flowkit(gated(tube, strategy))
    assert differences(ours(strategy, tube), theirs(analysed(session, "P01_W0"), strategy)) == {}
    assert from_flowkit(session).strategies["P01_W0"]["/r"].gate.dimensions[0].ratio == ratio


def test_quadrants_complements_and_doubled_names_come_in() -> None:
    tube = planted()
    gates = flowkit.GatingStrategy()
    gates.add_transform("scale", flowkit.transforms.LogicleTransform(262_144.0, 0.5, 4.5, 0.0))
    dividers = [
        flowkit.QuadrantDivider(name, channel, "FCS", [0.4], "scale") for name, channel in (("x", "CD4"), ("y", "CD8"))
    ]
    sides = {"neg": (None, 0.4), "pos": (0.4, None)}
    quadrants = [
        flowkit.gates.Quadrant(f"CD4{a}CD8{b}", ["x", "y"], [sides[a], sides[b]]) for a in sides for b in sides
    ]
    gates.add_gate(flowkit.gates.QuadrantGate("quad", dividers, quadrants), ("root",))
    box = flowkit.Dimension("FSC-A", range_min=60_000.0)
    inside = ("root", "quad", "CD4posCD8neg")
    gates.add_gate(flowkit.gates.RectangleGate("small", [box], use_complement=True), inside)
    gates.add_gate(flowkit.gates.RectangleGate("small", [box]), ("root",))
    either = [{"ref": "small", "path": path, "complement": False} for path in (inside, ("root",))]
    gates.add_gate(flowkit.gates.BooleanGate("either", "or", either), ("root",))
    masks = ours(from_flowkit(gates), tube)
    expected = gates.gate_sample(to_flowkit(tube))
    assert list(masks) == [
        *(f"/CD4{a}CD8{b}" for a in sides for b in sides),
        "/CD4posCD8neg/small (drawn)",
        "/CD4posCD8neg/small",
        "/small",
        "/either",
    ]
    for path, place in (("/CD4posCD8neg/small", inside), ("/small", ("root",)), ("/either", ("root",))):
        name = path.rsplit("/", 1)[1]
        assert np.array_equal(masks[path], expected.get_gate_membership(name, place)), path
    assert sum(int(masks[f"/CD4{a}CD8{b}"].sum()) for a in sides for b in sides) == tube.n_events


def test_an_uncompensated_axis_beside_a_compensated_one_is_as_flowkit_computes_it() -> None:
    tube = planted()
    gates = flowkit.GatingStrategy()
    axes = [
        flowkit.Dimension("PE-A", "uncompensated", range_min=900.0),
        flowkit.Dimension("FITC-A", "FCS", range_min=300.0),
    ]
    gates.add_gate(flowkit.gates.RectangleGate("mixed", axes), ("root",))
    strategy = from_flowkit(gates)
    assert differences(ours(strategy, tube), theirs(gates.gate_sample(to_flowkit(tube)), strategy)) == {}


def test_the_face_gates_by_what_a_flowkit_user_has_and_gives_it_back() -> None:
    tube = planted()
    gates = to_flowkit(Strategy("s", (Population("/CD4", Rectangle((Dimension("CD4", Logicle()),), (0.4,), (None,))),)))
    gated_tube = il.gate(il.from_flowkit(il.to_flowkit(tube)), gates)
    results = gates.gate_sample(to_flowkit(tube))
    assert np.array_equal(gated_tube.mask("CD4"), results.get_gate_membership("CD4"))
    assert analysed(il.to_flowkit(gated_tube), "P01_W0").get_gate_count("CD4") == gated_tube.mask("CD4").sum() > 0


# --- what cannot be carried --------------------------------------------------------------------------


def test_all_gates_that_flowkit_cannot_hold_are_listed_at_once() -> None:
    a, b = Dimension("FITC-A", Logicle()), Dimension("PE-A", Logicle())
    low, high = (0.1,), (None,)
    ratio = Dimension("r", ratio=Ratio("FITC-A", "PE-A"))
    populations = (
        Population("/declared", Declared("where", {})),
        Population("/root", Rectangle((a,), low, high)),
        Population("/bounded", Rectangle((replace(a, transform=Bounded(Logicle(), 0.1, 0.8)),), low, high)),
        Population("/ratio", Rectangle((ratio,), low, high)),
        Population("/twice", Rectangle((a, a), low * 2, high * 2)),
        Population("/mixed", Rectangle((a, replace(b, compensation="none")), low * 2, high * 2)),
        Population("/unknown", Rectangle((replace(a, compensation="M7"),), low, high)),
        Population("/good", Rectangle((a, Dimension("FSC-A", compensation="none")), low * 2, high * 2)),
    )
    with pytest.raises(GatingError) as caught:
        to_flowkit(Strategy("s", populations))
    lines = caught.value.message.splitlines()
    assert lines[0] == "gates that cannot be carried over: 7"
    assert [line.strip().split(":")[0] for line in lines[1:]] == [p.path for p in populations[:-1]]
    assert "gate a tube" in caught.value.hint


def test_trees_that_differ_between_tubes_are_no_session() -> None:
    one, two = planted(1, "one", 50), planted(1, "two", 50)
    box = Rectangle((Dimension("PE-A"),), (0.1,), (None,))
    first = Strategy("s", (Population("/a", box), Population("/b", box)))
    moved = Strategy("s", (Population("/a", Rectangle((Dimension("FITC-A"),), (0.1,), (None,))),))
    with pytest.raises(GatingError) as caught:
        to_flowkit([gated(one, first), gated(two, moved)])
    assert "/b: it is a gate of one only" in caught.value.message
    assert "/a: its kind or its axes differ between one and two" in caught.value.message
    with pytest.raises(GatingError, match="duplicated sample ids: one"):
        to_flowkit([gated(one, first), gated(one, first)])


class Curve(flowkit._models.gates._base_gate.Gate):
    def apply(self, df_events: pd.DataFrame) -> np.ndarray:
        return np.ones(len(df_events), dtype=bool)


def test_gates_of_flowkit_that_are_unknown_here_are_listed_with_what_is_under_them() -> None:
    gates = flowkit.GatingStrategy()
    gates.add_gate(Curve("curve", [flowkit.Dimension("PE-A")]), ("root",))
    gates.add_gate(flowkit.gates.RectangleGate("under", [flowkit.Dimension("PE-A", range_min=1)]), ("root", "curve"))
    lost = flowkit.gates.RectangleGate("lost", [flowkit.Dimension("PE-A", "M", "scale", range_min=1)])
    gates.add_gate(lost, ("root",))
    with pytest.raises(GatingError) as caught:
        from_flowkit(gates)
    assert [line.strip() for line in caught.value.message.splitlines()] == [
        "gates that cannot be carried over: 3",
        "/curve: gates of class Curve are not supported",
        "/curve/under: the gate depends on a gate that cannot be read",
        "/lost: transform 'scale' is not in the GatingStrategy",
    ]


# --- real files ------------------------------------------------------------------------------------------

DIAMOND, LINE = "flow/flowkit_bsd/simple_diamond_example", "flow/flowkit_bsd/simple_line_example"
WORKSPACES = [
    ("flow/flowsom_68983/gating.wsp", "68983.fcs", 15),
    (f"{DIAMOND}/simple_diamond_example_quad_gate.wsp", "test_data_diamond_01.fcs", 4),
    (f"{DIAMOND}/test_data_diamond_asinh_rect.wsp", "test_data_diamond_01.fcs", 1),
    (f"{DIAMOND}/test_data_diamond_asinh_rect2.wsp", "test_data_diamond_01.fcs", 1),
    (f"{DIAMOND}/test_data_diamond_biex_rect.wsp", "test_data_diamond_01.fcs", 1),
    (f"{LINE}/simple_poly_and_rect.wsp", "data_set_simple_line_100.fcs", 2),
    (f"{LINE}/simple_poly_and_rect_v2_poly50.wsp", "data_set_simple_line_100.fcs", 2),
    (f"{LINE}/single_ellipse_51_events.wsp", "data_set_simple_line_100.fcs", 1),
]


@pytest.mark.parametrize(("workspace", "file", "n_gates"), WORKSPACES, ids=[Path(item[0]).name for item in WORKSPACES])
def test_a_workspace_has_flowkits_memberships_and_goes_back_to_them(workspace: str, file: str, n_gates: int) -> None:
    path = data_folder(workspace)
    loaded = flowkit.Workspace(str(path), fcs_samples=[str(path.parent / file)])
    (sample_id,) = loaded.get_sample_ids()
    loaded.analyze_samples(sample_id=sample_id, use_mp=False)
    bridged = from_flowkit(loaded)
    assert isinstance(bridged, FlowKitSamples)
    tube, strategy = bridged.tubes[sample_id], bridged.strategies[sample_id]
    expected = theirs(loaded.get_gating_results(sample_id), strategy)
    assert len(expected) == n_gates
    assert differences(ours(strategy, tube), expected) == {}
    assert differences(ours(strategy, read_fcs(path.parent / file)), expected) == {}
    session = to_flowkit(gated(tube, strategy))
    assert differences(expected, theirs(analysed(session, tube.sample_id), strategy)) == {}


def test_gates_on_a_real_tube_have_the_same_events_in_a_session() -> None:
    tube = replace(read_fcs(data_folder("flow/flowkit_bsd/100715.fcs")), sample_id="100715")
    strategy = every_kind(tube)
    session = to_flowkit(gated(tube, strategy))
    assert differences(ours(strategy, tube), theirs(analysed(session, "100715"), strategy)) == {}


GATE_REF = "flow/flowkit_gate_ref/gate_ref"


def test_the_reference_gates_come_through_flowkit_with_flowkits_memberships_and_the_truth() -> None:
    folder = data_folder(GATE_REF)
    gates = flowkit.parse_gating_xml(str(folder / "gml" / "gml_all_gates.xml"))
    sample = flowkit.Sample(folder / "data1.fcs")
    results = gates.gate_sample(sample)
    strategy = from_flowkit(gates)
    masks = ours(strategy, from_flowkit(sample))
    assert len(masks) > 40
    for path, mask in masks.items():
        name = path.rsplit("/", 1)[1]
        assert np.array_equal(mask, results.get_gate_membership(name)), path
        assert np.array_equal(mask, np.loadtxt(folder / "truth" / f"Results_{name}.txt", dtype=int).astype(bool)), path
    again = to_flowkit(strategy).gate_sample(sample)
    assert differences(masks, theirs(again, strategy)) == {}


def test_a_workspace_without_its_files_gives_strategies_only() -> None:
    path = data_folder("flow/flowkit_8color_wsp_only/8_color_ICS.wsp")
    bridged = from_flowkit(flowkit.Workspace(str(path), load_missing_file_data=True))
    assert (len(bridged.tubes), len(bridged.strategies)) == (0, 3)
    read = read_workspace(path)
    for name, strategy in bridged.strategies.items():
        assert {p.path for p in strategy.populations} == {p.path for p in read.strategy_for(name).populations}
        assert [len(matrix.channels) for matrix in strategy.matrices.values()] == [8]
