"""Gates in and out: FlowJo, Gating-ML, Cytobank; round trips and bad files."""

from __future__ import annotations

import re
from pathlib import Path

import flowkit
import numpy as np
import pandas as pd
import pytest
from builders import data_folder
from flowkit._resources import gml_schema
from gate_trees import HYPERLOG, LOG, LOGICLE, every_kind
from lxml import etree

from immunolab.errors import GatingError, InputError
from immunolab.events.transforms import (
    Bounded,
    Identity,
)
from immunolab.events.tube import Channel, Tube
from immunolab.gating.display_bins import bin_bounds
from immunolab.gating.evaluate import evaluate
from immunolab.gating.exchange import WorkspaceSample, read_gatingml, read_workspace, write_gatingml, write_workspace
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
from immunolab.loaders.fcs.read import read_fcs

SPACES = (
    'xmlns:gating="http://www.isac-net.org/std/Gating-ML/v2.0/gating" '
    'xmlns:transforms="http://www.isac-net.org/std/Gating-ML/v2.0/transformations" '
    'xmlns:data-type="http://www.isac-net.org/std/Gating-ML/v2.0/datatypes"'
)


def gml(tmp_path: Path, body: str, head: str = "") -> Path:
    path = tmp_path / "gates.xml"
    path.write_text(
        f"<?xml version='1.0'?>{head}<gating:Gating-ML {SPACES}>{body}</gating:Gating-ML>", encoding="utf-8"
    )
    return path


def range_gate(key: str, low: float, *, channel: str = "A", parent: str = "", info: str = "", refs: str = "") -> str:
    above = f'gating:parent_id="{parent}"' if parent else ""
    return f"""<gating:RectangleGate gating:id="{key}" {above}>{info}
        <gating:dimension gating:compensation-ref="uncompensated" gating:min="{low}" {refs}>
        <data-type:fcs-dimension data-type:name="{channel}"/></gating:dimension></gating:RectangleGate>"""


def cytobank(name: str, gate_id: int = 0, file: str = "", gate_set: int = 0) -> str:
    words = f"<name>{name}</name><fcs_file_filename>{file}</fcs_file_filename>"
    words += f"<gate_id>{gate_id}</gate_id>" if gate_id else f"<gate_set_id>{gate_set}</gate_set_id>"
    return f"<data-type:custom_info><cytobank>{words}</cytobank></data-type:custom_info>"


def all_of(key: str, gates: list[str], info: str) -> str:
    refs = "".join(f'<gating:gateReference gating:ref="{gate}"/>' for gate in (gates if len(gates) > 1 else gates * 2))
    return f'<gating:BooleanGate gating:id="{key}">{info}<gating:and>{refs}</gating:and></gating:BooleanGate>'


def counts(strategy: Strategy, values: list[float]) -> dict[str, int]:
    column = np.array([values], dtype=np.float32)
    masks = evaluate(strategy, Tube(column, (Channel("A"),), sample_id="s")).masks
    return {path: int(mask.sum()) for path, mask in masks.items()}


# --- FlowJo 10 -----------------------------------------------------------------------------------

DIAMOND = "flow/flowkit_bsd/simple_diamond_example"
LINE = "flow/flowkit_bsd/simple_line_example"
PROBES = [
    (DIAMOND, "simple_diamond_example_quad_gate.wsp", "test_data_diamond_01.fcs", [49671, 50596, 50330, 49403]),
    (DIAMOND, "test_data_diamond_asinh_rect.wsp", "test_data_diamond_01.fcs", [50559]),
    (DIAMOND, "test_data_diamond_asinh_rect2.wsp", "test_data_diamond_01.fcs", [50699]),
    (DIAMOND, "test_data_diamond_biex_rect.wsp", "test_data_diamond_01.fcs", [50605]),
    (LINE, "simple_poly_and_rect_v2_poly50.wsp", "data_set_simple_line_100.fcs", [50, 0]),
    (LINE, "single_ellipse_51_events.wsp", "data_set_simple_line_100.fcs", [51]),
]


@pytest.mark.parametrize(("folder", "workspace", "file", "expected"), PROBES, ids=[probe[1] for probe in PROBES])
def test_probes_have_the_events_they_were_made_with(
    folder: str, workspace: str, file: str, expected: list[int]
) -> None:
    place = data_folder(folder)
    imported = read_workspace(place / workspace)
    masks = evaluate(imported.strategy_for(file), read_fcs(place / file)).masks
    assert [int(mask.sum()) for mask in masks.values()] == expected
    assert imported.problems_for(file) == ()


@pytest.fixture(scope="module")
def spleen() -> Tube:
    return read_fcs(data_folder("flow/flowsom_68983/68983.fcs"))


@pytest.fixture(scope="module")
def spleen_gates(spleen: Tube) -> Strategy:
    return read_workspace(data_folder("flow/flowsom_68983/gating.wsp")).strategy_for(spleen.file)


def flowkit_masks(workspace: Path, file: str, strategy: Strategy) -> dict[str, np.ndarray]:
    session = flowkit.Workspace(str(workspace), fcs_samples=[file])
    sample = session.get_sample_ids()[0]
    session.analyze_samples(sample_id=sample, use_mp=False)
    return {
        p.path: session.get_gate_membership(
            sample,
            p.original_name or p.name,
            ("root", *p.parent_path.strip("/").split("/")) if p.parent_path else ("root",),
        )
        for p in strategy.populations
    }


def test_a_flowjo_workspace_gates_as_flowkit_does_event_by_event(spleen: Tube, spleen_gates: Strategy) -> None:
    ours = evaluate(spleen_gates, spleen).masks
    theirs = flowkit_masks(data_folder("flow/flowsom_68983/gating.wsp"), spleen.file, spleen_gates)
    assert len(ours) == 15
    for path, mask in ours.items():
        assert np.array_equal(mask, theirs[path]), path


def test_samples_keep_their_own_matrices_and_scales() -> None:
    imported = read_workspace(data_folder("flow/flowkit_8color_wsp_only/8_color_ICS.wsp"))
    assert len(imported.samples) == 3
    assert not any(sample.problems for sample in imported.samples)
    strategies = [sample.strategy for sample in imported.samples]
    trees = [{p.path for p in strategy.populations} for strategy in strategies]
    assert trees[0] == trees[1] == trees[2]
    assert len([path for path in trees[0] if path.endswith("/IFNg+")]) == 2  # under CD4+ and under CD8+
    assert all(len(next(iter(s.matrices.values())).channels) == 8 for s in strategies)


def test_gating_ml_without_compensation_reads_flowjos_prefix() -> None:
    gates = read_gatingml(data_folder("flow/flowsom_68983/manualGating.xml"))
    axes = {d.name: d.compensation for p in gates.populations for d in p.gate.dimensions}
    assert axes["PE-Cy5-A"] == "sample"
    assert axes["FSC-A"] == "none"


# --- round trips on real files -------------------------------------------------------------------


@pytest.fixture(scope="module")
def blood() -> Tube:
    return read_fcs(data_folder("flow/flowkit_bsd/100715.fcs"))


RATIO, BOUNDED = Ratio("V800-A", "V655-A", 2.0, 1.0, -3.0), Bounded(LOGICLE, 0.1, 0.8)
GATING_ML_ONLY = (
    Population("/hyperlog", Ellipsoid((Dimension("V800-A", HYPERLOG),) * 2, (0.5, 0.5), ((0.1, 0), (0, 0.1)), 1.0)),
    Population(
        "/ratio", Rectangle((Dimension("r", LOG, "none", Ratio("V800-A", "V655-A", 2.0, 1.0, -3.0)),), (0.2,), (0.9,))
    ),
    Population(
        "/3D",
        Ellipsoid(
            (
                Dimension("V800-A", LOGICLE),
                Dimension("V655-A", LOGICLE),
                Dimension("V585-A", Bounded(LOGICLE, 0.1, 0.8)),
            ),
            (0.4, 0.4, 0.4),
            ((0.02, 0.0, 0.0), (0.0, 0.02, 0.0), (0.0, 0.0, 0.02)),
            2.0,
        ),
    ),
)


def assert_same(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> None:
    assert set(before) <= set(after)
    assert {
        path: int((mask != after[path]).sum()) for path, mask in before.items() if (mask != after[path]).any()
    } == {}


@pytest.mark.parametrize("which", ["every kind", "only in Gating-ML", "imported from FlowJo"])
def test_gating_ml_out_is_valid_and_comes_back_to_the_same_memberships(
    which: str, tmp_path: Path, blood: Tube, spleen: Tube, spleen_gates: Strategy
) -> None:
    events, strategy = (spleen, spleen_gates) if which == "imported from FlowJo" else (blood, every_kind(blood))
    if which == "only in Gating-ML":
        strategy = Strategy("more", GATING_ML_ONLY)
    path = tmp_path / "gates.xml"
    notes = write_gatingml(strategy, path)
    document = etree.parse(str(path))
    assert gml_schema.validate(document), gml_schema.error_log
    before = dict(evaluate(strategy, events).masks)
    back = read_gatingml(path)
    # FlowJo's biex polygons are noted as bent within 1e-6 of the display, where an event or two may be
    bent = {note.place for note in notes}
    assert {path.rsplit("/", 1)[1] for path in bent} <= {"biex", "ab T cells", "gd T cells"}
    after = evaluate(back, events).masks
    near = {path for path in before if any(path == one or path.startswith(f"{one}/") for one in bent)}
    assert_same({path: mask for path, mask in before.items() if path not in near}, dict(after))
    assert all(int((before[path] != after[path]).sum()) <= 2 for path in near)
    kept = [(p.path, p.definition, p.original_name, p.flag) for p in strategy.populations]
    assert [(p.path, p.definition, p.original_name, p.flag) for p in back.populations] == kept
    if which != "only in Gating-ML":  # FlowKit takes ratios of raw values and has no bounds
        theirs = flowkit.parse_gating_xml(str(path)).gate_sample(flowkit.Sample(events.file))
        keys = [element.get(f"{{{document.getroot().nsmap['gating']}}}id") for element in document.getroot()]
        gates = [key for key in keys if key]
        for population, key in zip(strategy.populations, gates, strict=True):
            assert np.array_equal(theirs.get_gate_membership(key), after[population.path]), population.path


@pytest.mark.parametrize("which", ["every kind", "imported from FlowJo"])
def test_a_workspace_out_comes_back_to_the_same_memberships_here_and_through_flowkit(
    which: str, tmp_path: Path, blood: Tube, spleen: Tube, spleen_gates: Strategy
) -> None:
    events, strategy = (blood, every_kind(blood)) if which == "every kind" else (spleen, spleen_gates)
    path = tmp_path / "study.wsp"
    names = tuple(channel.name for channel in events.channels)
    before = dict(evaluate(strategy, events).masks)
    counted = {path: int(mask.sum()) for path, mask in before.items()}
    sample = WorkspaceSample(Path(events.file), strategy, names, events.n_events, events.spillover, counted)
    assert write_workspace([sample], path) == ()
    back = read_workspace(path)
    assert back.problems_for(events.file) == ()
    assert back.counts_for(events.file)["/L" if which == "every kind" else "/Lymphocytes"] == next(
        iter(counted.values())
    )
    again = back.strategy_for(events.file)
    after = dict(evaluate(again, events).masks)
    assert_same(before, after)
    assert_same(after, flowkit_masks(path, events.file, again))


def test_a_workspace_holds_a_tree_for_each_sample(tmp_path: Path) -> None:
    samples = [
        WorkspaceSample(
            tmp_path / f"{name}.fcs",
            Strategy(name, (Population("/x", Rectangle((Dimension("A", compensation="none"),), (border,), (None,))),)),
            ("A",),
            10,
        )
        for name, border in (("one", 1.0), ("two", 2.0))
    ]
    write_workspace(samples, tmp_path / "study.wsp")
    back = read_workspace(tmp_path / "study.wsp")
    assert counts(back.strategy_for("one.fcs"), [1, 1.5, 2, 3]) == {"/x": 4}
    assert counts(back.strategy_for("two.fcs"), [1, 1.5, 2, 3]) == {"/x": 2}


def test_what_flowjo_cannot_hold_is_named_and_left_out(tmp_path: Path) -> None:
    axis = Dimension("A", compensation="none")
    populations = (
        Population("/r", Rectangle((Dimension("r", Identity(), "none", Ratio("A", "B")),), (0.0,), (None,))),
        Population("/r/child", Rectangle((axis,), (0.0,), (None,))),
        Population("/kept", Rectangle((axis,), (0.0,), (None,))),
        Population("/or", Boolean("or", ("/r", "/kept"), (False, False))),
    )
    notes = write_workspace(
        [WorkspaceSample(Path("a.fcs"), Strategy("s", populations), ("A", "B"), 1)], tmp_path / "x.wsp"
    )
    assert [(note.place, note.message) for note in notes] == [
        ("/r", "left out: FlowJo has no gates on ratios"),
        ("/r/child", "left out: its parent cannot be written"),
        ("/or", "left out: '/r' cannot be written"),
    ]
    assert [p.path for p in read_workspace(tmp_path / "x.wsp").strategy_for("a.fcs").populations] == ["/kept"]


def test_a_gate_that_is_not_fitted_goes_nowhere(tmp_path: Path) -> None:
    strategy = Strategy("s", (Population("/x", Declared("where", {})),))
    with pytest.raises(GatingError, match="/x"):
        write_gatingml(strategy, tmp_path / "x.xml")
    with pytest.raises(GatingError, match="/x"):
        write_workspace([WorkspaceSample(Path("a.fcs"), strategy, ("A",), 1)], tmp_path / "x.wsp")
    assert list(tmp_path.iterdir()) == []


# --- Gating-ML's and Cytobank's habits --------------------------------------------------------------


def test_tailored_gates_are_chosen_by_file_name_or_fil(tmp_path: Path) -> None:
    path = gml(
        tmp_path,
        range_gate("g", 1, info=cytobank("cells", 1))
        + range_gate("g_a", 2, info=cytobank("cells", 1, "a.fcs"))
        + range_gate("child", 0, parent="g"),
    )
    assert counts(read_gatingml(path), [1, 2, 3]) == {"/cells": 3, "/cells/child": 3}
    assert counts(read_gatingml(path, file_name="runs/A.fcs"), [1, 2, 3]) == {"/cells": 2, "/cells/child": 2}
    assert counts(read_gatingml(path, file_name="renamed.fcs", fil="a.fcs"), [1, 2, 3])["/cells"] == 2
    assert counts(read_gatingml(path, file_name="b.fcs"), [1, 2, 3])["/cells"] == 3


def test_gates_tailored_to_other_files_only_are_not_used(tmp_path: Path) -> None:
    path = gml(tmp_path, range_gate("g_a", 2, info=cytobank("cells", 1, "a.fcs")))
    with pytest.raises(GatingError, match=r"has no gates for this file") as caught:
        read_gatingml(path, file_name="b.fcs")
    assert "it has gates for: a.fcs" in caught.value.hint


def test_cytobank_populations_form_the_tree_again(tmp_path: Path) -> None:
    path = gml(
        tmp_path,
        "".join(range_gate(f"g{i}", i, info=cytobank(f"gate {i}", i)) for i in (1, 2, 3))
        + range_gate("g2_a", 5, info=cytobank("gate 2", 2, "a.fcs"))
        + all_of("s1", ["g1"], cytobank("cells", gate_set=1))
        + all_of("s2", ["g1", "g2"], cytobank("T", gate_set=2))
        + all_of("s3", ["g1", "g2", "g3"], cytobank("Treg", gate_set=3)),
    )
    events = [0, 1, 2, 3, 4, 5, 6]
    assert counts(read_gatingml(path), events) == {"/cells": 6, "/cells/T": 5, "/cells/T/Treg": 4}
    assert counts(read_gatingml(path, file_name="a.fcs"), events)["/cells/T/Treg"] == 2


def test_names_with_a_slash_and_duplicated_names_stay_apart(tmp_path: Path) -> None:
    path = gml(
        tmp_path,
        "".join(
            range_gate(key, low, parent=parent, info=cytobank(name, number))
            for number, (key, name, parent, low) in enumerate(
                [("a", "CD4/CD8", "", 0), ("b", "IL-2", "a", 1), ("c", "IL-2", "", 2), ("d", "IL-2", "", 3)], start=1
            )
        ),
    )
    strategy = read_gatingml(path)
    assert [p.path for p in strategy.populations] == ["/CD4|CD8", "/CD4|CD8/IL-2", "/IL-2", "/IL-2 [d]"]
    assert strategy["/CD4|CD8"].original_name == "CD4/CD8"


# --- bad files ----------------------------------------------------------------------------------------

BOMB = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
BROKEN = {
    "not there": (None, "cannot be read: No such file or directory"),
    "no XML": ("FCS3.0 plain text", "is not well-formed XML"),
    "cut short": ("<Workspace><SampleList>", "is not well-formed XML"),
    "entity bomb": (f"{BOMB}<Workspace>&b;</Workspace>", "holds entity or external definitions"),
    "external": ('<!DOCTYPE x SYSTEM "file:///etc/passwd"><Workspace/>', "the workspace holds no sample"),
    "other XML": ("<html/>", "is neither a FlowJo workspace nor Gating-ML 2.0: its root is <html>"),
    "too deep": ("<a>" * 600 + "</a>" * 600, "nests elements deeper than 500"),
    "no gate": (f"<gating:Gating-ML {SPACES}/>", "holds no gate"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_gate_file_is_one_clear_message(kind: str, tmp_path: Path) -> None:
    text, message = BROKEN[kind]
    path = tmp_path / "gates.xml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_workspace(path)
    assert len(caught.value.problems) == 1
    assert message in caught.value.problems[0].message
    assert caught.value.problems[0].file == str(path)


def test_gates_that_cannot_be_read_are_named_by_path_and_the_others_stay(tmp_path: Path) -> None:
    path = gml(
        tmp_path,
        range_gate("ok", 1)
        + range_gate("scale", 1, parent="ok", refs='gating:transformation-ref="nolog"')
        + range_gate("below", 1, parent="scale")
        + range_gate("number", "much", parent="ok")  # type: ignore[arg-type]
        + range_gate("orphan", 1, parent="nobody")
        + range_gate("round", 1, parent="trip")
        + range_gate("trip", 1, parent="round")
        + range_gate("twice", 1)
        + range_gate("twice", 2)
        + '<gating:CurlyGate gating:id="curly"/>'
        + all_of("both", ["ok", "absent"], "")
        + range_gate("matrix", 1).replace("uncompensated", "M7"),
    )
    imported = read_workspace(path)
    assert [p.path for p in imported.strategy_for("any.fcs").populations] == ["/ok"]
    problems = {problem.place: problem.message for problem in imported.problems_for("any.fcs")}
    assert problems == {
        "/ok/scale": "transformation 'nolog' is not in the file",
        "/ok/scale/below": "the gate depends on a gate that cannot be read",
        "/ok/number": "min of <dimension> is 'much', not a number",
        "/orphan": "its parent 'nobody' is not in the file",
        "/round/trip": "the gate is its own ancestor",
        "/round": "the gate is its own ancestor",
        "/twice": "id 'twice' is duplicated",
        "/curly": "gates of kind CurlyGate are not supported",
        "/both": "it refers to 'absent', which is not in the file",
        "/matrix": "spillover matrix 'M7' is not in the file",
    }
    with pytest.raises(InputError) as caught:
        read_gatingml(path)
    assert len(caught.value.problems) == len(problems)


def test_a_workspace_gate_on_an_unknown_scale_or_shape_is_named(tmp_path: Path) -> None:
    source = data_folder(DIAMOND) / "test_data_diamond_biex_rect.wsp"
    text = re.sub(r"transforms:biex\b", "transforms:miltenyi", source.read_text(encoding="utf-8"))
    path = tmp_path / "x.wsp"
    path.write_text(text, encoding="utf-8")
    (problem,) = read_workspace(path).problems_for("test_data_diamond_01.fcs")
    assert problem.place == "/upper_right"
    assert problem.message == "scale of channel 'channel_A': scales of kind miltenyi are not supported"
    path.write_text(
        source.read_text(encoding="utf-8").replace("gating:RectangleGate", "gating:CurlyQuad"), encoding="utf-8"
    )
    (problem,) = read_workspace(path).problems_for("test_data_diamond_01.fcs")
    assert problem.message == "gates of kind CurlyQuad are not supported"


def test_events_outside_a_flowjo_gate(tmp_path: Path) -> None:
    place = data_folder(DIAMOND)
    text = (place / "test_data_diamond_biex_rect.wsp").read_text(encoding="utf-8")
    path = tmp_path / "x.wsp"
    path.write_text(text.replace('eventsInside="1"', 'eventsInside="0"'), encoding="utf-8")
    masks = evaluate(read_workspace(path).only(), read_fcs(place / "test_data_diamond_01.fcs")).masks
    assert int(masks["/upper_right"].sum()) == 200_000 - 50_605


# --- FlowJo 9 -----------------------------------------------------------------------------------------

KNOTS = zip(range(0, 4097, 512), np.geomspace(1, 262_144, 9), strict=True)
TABLE = ",".join(f"{channel},{value}" for channel, value in KNOTS)


def mac_gate(name: str, tag: str, axes: str, corners: list[tuple[float, float]], *, inner: str = "") -> str:
    vertices = "".join(f'<Vertex x="{a}" y="{b}"/>' for a, b in corners)
    shape = f"<{tag} {axes}><{tag}>{vertices}</{tag}></{tag}>"
    return f'<Population name="{name}" count="7"><PolygonGate><Graph/><Extra/>{shape}</PolygonGate>{inner}</Population>'


def test_a_flowjo_9_workspace_reads_matrices_tables_shapes_and_booleans(tmp_path: Path) -> None:
    inner = mac_gate("bright", "Range", 'xAxisName="&lt;A&gt;"', [(100, 5), (1e6, 5)])
    inner += mac_gate("dim", "Range", 'xAxisName="&lt;A&gt;" negated="1"', [(100, 5), (1e6, 5)])
    inner += '<Population name="both" count="0"><BooleanGate specification="! G0 &amp; G1"><StringArray>'
    inner += "<String>/bright</String><String>/box/dim</String></StringArray></BooleanGate></Population>"
    corners = [(0, -1e6), (10, -1e6), (10, 1e6), (0, 1e6)]
    tree = mac_gate("box", "PolyRect", 'xAxisName="B" yAxisName="&lt;A&gt;"', corners, inner=inner)
    tree += mac_gate("line", "Polygon", 'xAxisName="A" yAxisName="B"', [(1, 0), (262_144, 0), (262_144, 4096)])
    text = f"""<Workspace version="2.0"><CalibrationTables><Table name="Generic">{TABLE}</Table></CalibrationTables>
    <CompensationMatrices><CompensationMatrix name="mine" prefix="&lt;" suffix="&gt;">
    <Channel name="A"><ChannelValue name="A" value="1"/><ChannelValue name="B" value="0.5"/></Channel>
    <Channel name="B"><ChannelValue name="A" value="0.1"/><ChannelValue name="B" value="1"/></Channel>
    </CompensationMatrix></CompensationMatrices>
    <SampleList><Sample sampleID="1" compensationID="1"><Parameter name="A" log="1" range="4096" calibrationIndex="1"/>
    <Parameter name="B" log="0" range="1024"/>
    <SampleNode name="a.fcs" count="9">{tree}</SampleNode></Sample></SampleList></Workspace>"""
    path = tmp_path / "mac.xml"
    path.write_text(text, encoding="utf-8")
    imported = read_workspace(path)
    assert imported.problems_for("a.fcs") == ()
    assert imported.counts_for("a.fcs")["/box"] == 7
    columns = np.array([[150.0, 90.0, 512.0, 5_000.0], [0.0, 9.0, 2_100.0, 2_000.0]], dtype=np.float32)
    masks = evaluate(imported.only(), Tube(columns, (Channel("A"), Channel("B")), sample_id="s")).masks
    # compensated A = (A - 0.1 B) / 0.95: 157.9, 93.8
    assert masks["/box"].tolist() == [True, True, False, False]
    assert masks["/box/bright"].tolist() == [True, False, False, False]
    assert masks["/box/dim"].tolist() == [False, True, False, False]
    assert masks["/box/both"].tolist() == [False, True, False, False]
    # on the log table A = 512 is the middle of the axis, where the line is at B = 2048
    assert masks["/line"].tolist() == [True, True, False, True]
    ((path_of_bins, drawn),) = imported.binned_for("a.fcs").items()
    assert (path_of_bins, drawn.widths) == ("/line", (1 / 256, 4.0))
    assert np.allclose([x for x, _ in drawn.gate.vertices if x in (0.0, 1.0)], [0.0, 1.0, 1.0])


# --- which sample of a workspace a tube is --------------------------------------------------------------


def sample_of(gates: str, name: str, keywords: dict[str, str], *, version: int, uri: str = "") -> str:
    """Return a FlowJo ``Sample`` of version 9 or 10, its root counted as the number of its ``$TOT``."""
    words = "".join(f'<Keyword name="{key}" value="{value}"/>' for key, value in keywords.items())
    address = f'<DataSet uri="file:/D:/{uri}"/>' if uri else ""
    scales = "<Transformations/>" if version == 10 else ""
    node = f'<SampleNode name="{name}" count="{keywords.get("$TOT", 0)}">{gates}</SampleNode>'
    return f"<Sample>{address}{scales}<Keywords>{words}</Keywords>{node}</Sample>"


def range_of(version: int, low: float) -> str:
    """Return one population, `above`: what is over ``low`` in channel A."""
    if version == 9:
        return mac_gate("above", "Range", 'xAxisName="A"', [(low, 5), (1e9, 5)])
    gate = range_gate("g", low).replace('gating:compensation-ref="uncompensated"', "")
    population = f'<Population name="above" count="1"><Gate>{gate}</Gate></Population>'
    return f"<Subpopulations>{population}</Subpopulations>"


def workspace_of(tmp_path: Path, version: int, *samples: str) -> Path:
    path = tmp_path / ("mac.xml" if version == 9 else "pc.wsp")
    version_text = "9.9.6" if version == 9 else "10.8.1"
    path.write_text(
        f'<Workspace flowJoVersion="{version_text}" {SPACES}><SampleList>{"".join(samples)}</SampleList></Workspace>',
        encoding="utf-8",
    )
    return path


def lower_edge(path: Path, file: str, **keywords: str) -> float:
    stated = {key.replace("_", "$", 1) if key.startswith("_") else key: value for key, value in keywords.items()}
    gate = read_workspace(path).strategy_for(file, stated)["above"].gate
    assert isinstance(gate, Rectangle)
    assert gate.lower[0] is not None
    return gate.lower[0]


@pytest.mark.parametrize("version", [9, 10])
def test_samples_of_one_name_are_found_by_their_keywords(version: int, tmp_path: Path) -> None:
    first = {"$FIL": "a_001.fcs", "$TOT": "100", "$BTIM": "10:00:00"}
    second = {"$FIL": "a_002.fcs", "$TOT": "200", "$BTIM": "11:00:00"}
    path = workspace_of(
        tmp_path,
        version,
        sample_of(range_of(version, 10.0), "DC panel", first, version=version),
        sample_of(range_of(version, 20.0), "DC panel", second, version=version),
    )
    imported = read_workspace(path)
    assert [sample.problems for sample in imported.samples] == [(), ()]
    assert lower_edge(path, "runs/a_001.fcs") == 10.0
    assert lower_edge(path, "A_002.FCS") == 20.0
    assert lower_edge(path, "renamed.fcs", _FIL="a_002.fcs") == 20.0
    assert imported.counts_for("a_002.fcs")["/"] == 200
    with pytest.raises(GatingError, match=r"2 samples of .* with different gates or counts could be this file"):
        imported.strategy_for("DC panel")
    with pytest.raises(GatingError, match="has no gates for this file"):
        imported.strategy_for("a_003.fcs", {"$FIL": "a_003.fcs", "$TOT": "100"})


@pytest.mark.parametrize("version", [9, 10])
def test_samples_of_one_file_name_are_parted_by_fil_then_total_then_further_keywords(
    version: int, tmp_path: Path
) -> None:
    keywords = [
        {"$FIL": "x.fcs", "$TOT": "100", "$BTIM": "10:00:00"},
        {"$FIL": "x.fcs", "$TOT": "200", "$BTIM": "10:00:00"},
        {"$FIL": "x.fcs", "$TOT": "200", "$BTIM": "11:00:00"},
        {"$FIL": "y.fcs", "$TOT": "100", "$BTIM": "10:00:00"},
    ]
    samples = [
        sample_of(range_of(version, 10.0 * place), "x.fcs", words, version=version)
        for place, words in enumerate(keywords, start=1)
    ]
    path = workspace_of(tmp_path, version, *samples)
    assert lower_edge(path, "x.fcs", _FIL="x.fcs", _TOT="100") == 10.0
    assert lower_edge(path, "x.fcs", _FIL="x.fcs", _TOT="200", _BTIM="11:00:00") == 30.0
    assert lower_edge(path, "x.fcs", _FIL="y.fcs") == 40.0
    # a file that was renamed to the name of another sample is still the sample of its own $FIL and $TOT
    assert lower_edge(path, "x.fcs", _FIL="y.fcs", _TOT="100") == 40.0
    with pytest.raises(GatingError, match="2 samples"):
        lower_edge(path, "x.fcs", _FIL="x.fcs", _TOT="200")


def test_samples_of_one_name_and_the_same_gates_serve_their_file(tmp_path: Path) -> None:
    words = {"$FIL": "x.fcs", "$TOT": "100"}
    path = workspace_of(tmp_path, 10, *[sample_of(range_of(10, 5.0), "x.fcs", words, version=10)] * 2)
    assert lower_edge(path, "x.fcs") == 5.0


def test_the_files_name_decides_where_samples_share_fil_and_total(tmp_path: Path) -> None:
    words = {"$FIL": "Specimen_001.fcs", "$TOT": "10000"}
    samples = [
        sample_of(range_of(10, low), "Tube", words, version=10, uri=f"day%20{place}/p%20{place}.fcs")
        for place, low in ((1, 10.0), (2, 20.0))
    ]
    path = workspace_of(tmp_path, 10, *samples)
    assert lower_edge(path, "p 1.fcs", _FIL="Specimen_001.fcs", _TOT="10000") == 10.0
    assert lower_edge(path, "P 2.fcs", _FIL="Specimen_001.fcs", _TOT="10000") == 20.0


def test_every_sample_of_a_large_workspace_is_found_by_its_address_name_and_fil() -> None:
    imported = read_workspace(data_folder("flow/symphony_foxp3_wsp/workspace.wsp"))
    assert len(imported.samples) == 52
    for sample in imported.samples:
        assert imported.strategy_for("any.fcs", sample.keywords) is sample.strategy
        assert all(imported.strategy_for(name) is sample.strategy for name in sample.names)


def test_counts_of_four_files_are_those_flowjo_stored_within_its_bins() -> None:
    place = data_folder("flow/symphony_foxp3_wsp")
    imported = read_workspace(place / "workspace.wsp")
    stored = pd.read_csv(place / "flowjo_counts.csv").set_index("file")
    for file, row in stored.iterrows():
        tube = read_fcs(place / str(file))
        strategy = imported.strategy_for(tube.file, tube.keywords)
        masks = evaluate(strategy, tube).masks
        bounds = bin_bounds(strategy, imported.binned_for(tube.file, tube.keywords), tube)
        assert len(tube) == row["root"]
        for name, count in row.drop("root").items():
            fewest, most = bounds[f"/{name}"]
            assert fewest <= count <= most, name
            assert abs(int(masks[f"/{name}"].sum()) - count) <= max(1, 0.01 * count), name


# --- corners beyond the ends of a scale -----------------------------------------------------------------


def test_a_flowjo_9_gate_keeps_corners_beyond_its_scale(tmp_path: Path) -> None:
    corners = [(-5_000.0, 10.0), (500_000.0, 10.0), (500_000.0, 90.0), (-5_000.0, 90.0)]
    tree = mac_gate("b", "Polygon", 'xAxisName="A" yAxisName="B"', corners)
    path = tmp_path / "mac.xml"
    path.write_text(
        f"""<Workspace version="2.0"><CalibrationTables><Table name="Generic">{TABLE}</Table></CalibrationTables>
        <SampleList><Sample sampleID="1" compensationID="-2"><Parameter name="A" log="1" calibrationIndex="1"/>
        <Parameter name="B" log="0"/><SampleNode name="a.fcs" count="5">{tree}</SampleNode></Sample></SampleList>
        </Workspace>""",
        encoding="utf-8",
    )
    gate = read_workspace(path).only()["b"].gate
    assert isinstance(gate, Polygon)
    assert set(corners) <= {(round(x, 6), round(y, 6)) for x, y in gate.vertices}
    assert len(gate.vertices) < 100
    columns = np.array([[-4_000, -6_000, 0.5, 300_000, 600_000], [50, 50, 50, 80, 50]], dtype=np.float32)
    mask = evaluate(read_workspace(path).only(), Tube(columns, (Channel("A"), Channel("B")))).masks["/b"]
    assert mask.tolist() == [True, False, True, True, False]


@pytest.mark.parametrize("scale", ["biex", "log"])
def test_a_flowjo_10_gate_over_the_end_of_its_scale_contains_what_is_held_there(scale: str, tmp_path: Path) -> None:
    words = {
        "biex": 'transforms:length="256" transforms:neg="0" transforms:width="-10" transforms:pos="4.4" '
        'transforms:maxRange="262144"',
        "log": 'transforms:offset="1" transforms:decades="5"',
    }[scale]
    corners = [(-9_000, -500), (1_000_000, -500), (1_000_000, 900), (-9_000, 900)]
    vertices = "".join(
        f'<gating:vertex><gating:coordinate data-type:value="{x}"/><gating:coordinate data-type:value="{y}"/>'
        "</gating:vertex>"
        for x, y in corners
    )
    sides = "".join(
        f'<gating:dimension><data-type:fcs-dimension data-type:name="{name}"/></gating:dimension>' for name in "AB"
    )
    shape = f"<gating:PolygonGate>{sides}{vertices}</gating:PolygonGate>"
    upper = sides.replace("<gating:dimension>", '<gating:dimension gating:max="500000">', 1)
    box = f"<gating:RectangleGate>{upper}</gating:RectangleGate>"
    tree = "<Subpopulations>"
    for name, gate in (("polygon", shape), ("box", box)):
        tree += f'<Population name="{name}" count="1"><Gate>{gate}</Gate></Population>'
    axis = f'<transforms:{scale} {words}><data-type:parameter data-type:name="A"/></transforms:{scale}>'
    sample = sample_of(tree + "</Subpopulations>", "a.fcs", {}, version=10)
    path = workspace_of(
        tmp_path, 10, sample.replace("<Transformations/>", f"<Transformations>{axis}</Transformations>")
    )
    imported = read_workspace(path)
    assert imported.problems_for("a.fcs") == ()
    columns = np.array([[-20_000, 100, 262_143, 300_000, 2_000_000], [0, 0, 0, 0, 1_000]], dtype=np.float32)
    tube = Tube(columns, (Channel("A"), Channel("B")))
    masks = evaluate(imported.only(), tube).masks
    assert masks["/polygon"].tolist() == [True, True, True, True, False]
    if scale == "biex":
        assert masks["/box"].tolist() == [True] * 5
    # and the corners come back where they were drawn
    out = tmp_path / "again.wsp"
    write_workspace([WorkspaceSample(tmp_path / "a.fcs", imported.only(), ("A", "B"), 5, None, {})], out)
    again = evaluate(read_workspace(out).only(), tube).masks
    assert {name: mask.tolist() for name, mask in again.items()} == {n: mask.tolist() for n, mask in masks.items()}
