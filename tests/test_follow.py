"""Drawn gates carried to other tubes: planted moves, planted proportions, other panels, experts' classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import data_folder
from experts_polygons import SUBSETS, experts_gates, hipc_tube, macro_f1
from fcs_builder import fcs_bytes
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.metrics import f1_score

import immunolab as il
from immunolab.cli import main
from immunolab.errors import InputError
from immunolab.events.tube import Channel, Tube
from immunolab.gating.following.follow import follow
from immunolab.gating.following.template import Template
from immunolab.gating.placement.rules import Scope
from immunolab.gating.strategy import Boolean, Dimension, Ellipsoid, Gate, Polygon, Population, Rectangle, Strategy
from immunolab.gating.tube_gates import TubeGates
from immunolab.gating.tubes import GatedTube, gate_tube

CENTRES = np.array([[200.0, 200.0], [800.0, 250.0], [250.0, 800.0], [780.0, 820.0]])
XY = (Dimension("CD4"), Dimension("CD8"))
EVEN = (0.25, 0.25, 0.25, 0.25)


def _tube(name: str, shares: tuple[float, ...] = EVEN, *, move=(0.0, 0.0), scale=(1.0, 1.0), seed: int = 0) -> Tube:
    """Return 6,000 events of four clouds, the cloud of each known by the third channel."""
    rng = np.random.default_rng(seed)
    cloud = rng.choice(4, 6000, p=np.array(shares))
    values = rng.normal(CENTRES[cloud], 60.0) * scale + move
    columns = np.vstack([values.T, cloud[None]]).astype(np.float32)
    channels = (Channel("A", "CD4", "CD4"), Channel("B", "CD8", "CD8"), Channel("truth", kind="other"))
    return Tube(columns, channels, sample_id=name, file=f"{name}.fcs")


def _square(cloud: int, half: float = 200.0) -> tuple[tuple[float, float], ...]:
    x, y = CENTRES[cloud]
    return ((x - half, y - half), (x + half, y - half), (x + half, y + half), (x - half, y + half))


GATES: dict[str, Gate] = {
    "polygon": Polygon(XY, _square(0)),
    "rectangle": Rectangle(XY, (500.0, None), (None, 500.0)),
    "ellipse": Ellipsoid(XY, (250.0, 800.0), ((3600.0, 0.0), (0.0, 3600.0)), 9.0),
    "polygon_2": Polygon(XY, _square(3)),
}
STRATEGY = Strategy("drawn", tuple(Population(f"/{name}", gate) for name, gate in GATES.items()))
TEMPLATE = _tube("template", seed=1)


def _edges(gated: GatedTube) -> dict[tuple[str, str, str], float]:
    rows = gated.thresholds
    side = rows["reason"].str.split(" ").str[0]
    return dict(zip(zip(rows["population"], rows["marker"], side, strict=True), rows["threshold"], strict=True))


@pytest.mark.parametrize(("move", "scale"), [((60.0, -80.0), (1.0, 1.0)), ((0.0, 100.0), (1.15, 0.85))])
def test_gates_follow_the_position_of_the_clouds_not_their_shares(move, scale) -> None:
    moved = _tube("moved", (0.05, 0.45, 0.4, 0.1), move=move, scale=scale, seed=2)
    gated = il.gate(moved, STRATEGY, follow=TEMPLATE)
    cloud = moved.raw("truth").astype(int)
    for wanted, name in enumerate(GATES):
        mask, truth = gated.mask(name), cloud == wanted
        # of three sd clouds a gate drawn at three to ten sd holds nearly all, and nearly none of the others
        assert mask[truth].mean() > 0.97
        assert mask[~truth].mean() < 0.01
    unmoved = il.gate(moved, STRATEGY)
    assert min(unmoved.mask(name)[cloud == i].mean() for i, name in enumerate(GATES)) < 0.95


def test_other_shares_alone_move_no_gate() -> None:
    gated = il.gate(_tube("shares", (0.7, 0.05, 0.05, 0.2), seed=3), STRATEGY, follow=TEMPLATE)
    drawn = _edges(il.gate(_tube("copy", seed=1), STRATEGY, follow=TEMPLATE))
    for key, value in _edges(gated).items():
        assert abs(value - drawn[key]) < 20.0, key  # a third of a cloud's sd


def test_a_copy_of_the_template_keeps_its_gates_and_so_does_the_template() -> None:
    copy, template = il.gate([_tube("copy", seed=1), TEMPLATE], STRATEGY, follow=TEMPLATE)
    for path, population in ((p.path, p) for p in template.strategy.populations):
        assert population.gate == STRATEGY[path].gate
    for name, gate in GATES.items():
        if isinstance(gate, Polygon):
            carried = copy.strategy[name].gate
            assert isinstance(carried, Polygon)
            np.testing.assert_allclose(carried.vertices, gate.vertices, atol=8.0)  # an eighth of a cloud's sd
    assert set(template.thresholds["control"]) == {"imported"}
    assert set(copy.thresholds["control"]) == {"template"}
    assert not copy.counts["flag"].notna().any()


def test_children_are_carried_within_the_carried_parent_and_booleans_stay() -> None:
    low = Population("/high/low", Rectangle((XY[1],), (None,), (500.0,)))
    rest = Population("/high/rest", Boolean("not", ("/high/low",), (False,)))
    tree = Strategy("tree", (Population("/high", Rectangle((XY[0],), (500.0,), (None,))), low, rest))
    moved = _tube("moved", (0.1, 0.4, 0.1, 0.4), move=(150.0, 120.0), seed=5)
    gated = il.gate(moved, tree, follow=TEMPLATE)
    cloud = moved.raw("truth").astype(int)
    assert gated.mask("low")[cloud == 1].mean() > 0.97
    assert gated.mask("rest")[cloud == 3].mean() > 0.97
    assert gated.percent("low") == pytest.approx(50.0, abs=3.0)


def test_a_tube_with_markers_on_other_channels_is_gated_by_marker_and_one_with_other_cells_is_withheld() -> None:
    moved = _tube("swapped", seed=6)
    channels = (Channel("A", "CD8", "CD8"), Channel("B", "CD4", "CD4"), moved.channels[2])
    swapped = Tube(np.ascontiguousarray(moved.columns[[1, 0, 2]]), channels, sample_id="swapped", file="swapped.fcs")
    by_marker = il.gate(swapped, STRATEGY, follow=TEMPLATE)
    assert by_marker.mask("polygon")[swapped.raw("truth") == 0].mean() > 0.97
    rng = np.random.default_rng(0)
    noise = np.vstack([rng.uniform(350, 650, (2, 6000)), np.zeros((1, 6000))]).astype(np.float32)
    other = il.gate(Tube(noise, moved.channels, sample_id="other", file="other.fcs"), STRATEGY, follow=TEMPLATE)
    assert all("unlike_template" in flag for flag in other.counts["flag"].dropna())
    assert other.counts["flag"].notna().sum() == len(GATES)
    assert np.isnan(other.percent("polygon"))


def test_visits_of_a_patient_share_a_move_and_visits_of_the_template_share_its_gates() -> None:
    tubes = [
        _tube("P1_W0", move=(50.0, 0.0), seed=7),
        _tube("P1_W9", (0.1, 0.3, 0.3, 0.3), move=(70.0, 0.0), seed=8),
        _tube("P0_W9", move=(30.0, 0.0), seed=9),
        TEMPLATE,
    ]
    patients = {"P1_W0": "P1", "P1_W9": "P1", "P0_W9": "P0", "template": "P0"}
    first, second, beside, template = il.gate(tubes, STRATEGY, follow=TEMPLATE, patients=patients)
    assert first.strategy.populations == second.strategy.populations
    for gated in (beside, template):
        kept = gated.strategy["polygon"].gate
        assert isinstance(kept, Polygon)
        assert kept.vertices == _square(0)
    share: Scope = "sample"
    alone = il.gate(tubes[:2], STRATEGY, follow=TEMPLATE, patients=dict.fromkeys(("P1_W0", "P1_W9"), "P1"), share=share)
    assert alone[0].strategy.populations != alone[1].strategy.populations


def test_the_interval_of_an_edge_holds_where_its_cloud_was_put() -> None:
    found = []
    for seed in range(12):
        gated = il.gate(_tube("moved", move=(60.0, 0.0), seed=20 + seed), STRATEGY, follow=TEMPLATE)
        row = gated.thresholds.query("population == 'rectangle' and marker == 'CD4'").iloc[0]
        assert row["ci_low"] < row["threshold"] < row["ci_high"]
        found.append(float(row["threshold"]))
    assert np.mean(found) == pytest.approx(560.0, abs=20.0)


def test_it_must_be_clear_which_tube_the_gates_were_drawn_on() -> None:
    with pytest.raises(InputError, match="none of the tubes is one that the gates were drawn on"):
        il.gate([_tube("a"), _tube("b")], STRATEGY, follow=True)
    with pytest.raises(InputError, match="placed by data, not drawn"):
        il.gate(_tube("a"), "treg_th17_tfh_teff", follow=TEMPLATE)


def test_experts_polygons_of_one_centre_hold_in_another() -> None:
    tube, classes = hipc_tube("W2_1")
    strategy = experts_gates(tube, classes)
    others = [hipc_tube(name) for name in (*(f"FTV_{i}" for i in range(1, 7)), "W2_4")]
    donors = {f"FTV_{i}": "1228" if i < 4 else "1349" for i in range(1, 7)}
    groups = {one.sample_id: {"patient": donors.get(one.sample_id, "W2_4"), "batch": ""} for one, _ in others}
    template = Template(tube, TubeGates(strategy))
    carried = follow([template], [one for one, _ in others], groups=groups, resample=False)
    score = [macro_f1(gate_tube(one, carried.gates_of(one.sample_id)), truth) for one, truth in others]
    unmoved = [macro_f1(gate_tube(one, TubeGates(strategy)), truth) for one, truth in others]
    names = [channel.name for channel in tube.channels if channel.name != "CD3"]
    trained = QuadraticDiscriminantAnalysis().fit(tube.to_frame()[names], classes)
    predicted = [trained.predict(one.to_frame()[names]) for one, _ in others]
    numbers = [number for subsets in SUBSETS.values() for number in subsets]
    trained_score = [
        f1_score(truth, found, labels=numbers, average="macro")
        for found, (_, truth) in zip(predicted, others, strict=True)
    ]
    assert np.mean(score) >= 0.85
    assert np.mean(score) > np.mean(trained_score)
    assert np.mean(score) > np.mean(unmoved) + 0.1
    flags = {p.flag for name in groups for p in carried.fitted.strategies[name].populations}
    assert flags == {""}


def _brighter(tube: Tube, gain: float) -> bytes:
    """Return a tube as FCS with every fluorescence channel brighter, as after a rise of the voltages."""
    matrix = tube.spillover
    assert matrix is not None
    factors = np.array([gain if channel.kind == "fluorescence" else 1.0 for channel in tube.channels])
    words = [str(len(matrix.channels)), *matrix.channels, *(repr(float(value)) for value in matrix.matrix.ravel())]
    labels = {f"$P{i + 1}S": channel.label for i, channel in enumerate(tube.channels) if channel.label}
    names = [channel.name for channel in tube.channels]
    keywords = {"$SPILLOVER": ",".join(words), **labels}
    return fcs_bytes(tube.columns.T * factors, names, keywords=keywords, delimiter="|")


def test_a_flowjo_workspace_is_carried_to_a_brighter_copy_of_its_tube(tmp_path: Path) -> None:
    folder = data_folder("flow/flowsom_68983")
    tube = il.read_fcs(folder / "68983.fcs")
    (tmp_path / "brighter.fcs").write_bytes(_brighter(tube, 1.6))
    files = [str(folder / "68983.fcs"), str(tmp_path / "brighter.fcs")]
    out = tmp_path / "out"
    words = ["gate", *files, "--strategy", str(folder / "gating.wsp"), "--follow", "--memberships", "-o", str(out)]
    assert main(words) == 0
    counts = pd.read_csv(out / "counts.csv").pivot(index="path", columns="sample_id", values="n_events")
    large = counts[counts["68983"] >= 300]
    assert len(large) > 4
    assert ((large["brighter"] / large["68983"]).between(0.9, 1.1)).all()
    rows = pd.read_csv(out / "thresholds.csv").query("sample_id == 'brighter'")
    assert set(rows["control"]) == {"template"}
    assert not rows["flag"].fillna("").str.contains("unlike_template").any()


_DRAWN = """
strategy: drawn
transform: {default: linear}
populations:
  - {name: CD4, parent: root, polygon: {x: CD4, y: CD8, points: [[600, 50], [1000, 50], [1000, 450], [600, 450]]}}
  - {name: CD8, parent: root, rectangle: {CD4: [null, 500], CD8: [500, null]}}
"""


def _study(folder: Path) -> Path:
    """Write a study of two patients at two visits; the second patient's tubes are elsewhere on both axes."""
    lines = ["sample_id,patient_id,visit,file,panel"]
    for number, (patient, move) in enumerate({"P1": (0.0, 0.0), "P2": (90.0, -70.0)}.items()):
        for visit, shares in (("W0", EVEN), ("W9", (0.2, 0.5, 0.1, 0.2))):
            tube = _tube(f"{patient}_{visit}", shares, move=move, seed=40 + 2 * number + (visit == "W9"))
            content = fcs_bytes(tube.columns[:2].T, ["A", "B"], keywords={"$P1S": "CD4", "$P2S": "CD8"})
            (folder / f"{tube.sample_id}.fcs").write_bytes(content)
            lines.append(f"{tube.sample_id},{patient},{visit},{tube.sample_id}.fcs,p")
    (folder / "samples.csv").write_text("\n".join(lines) + "\n")
    (folder / "drawn.yaml").write_text(_DRAWN)
    endpoint = "{id: cd4, source: test, role: primary, statistic: percent_of_parent, population: CD4, parent: root}"
    (folder / "study.yaml").write_text(
        f"study: s\npanels: {{p: {{strategy: drawn.yaml, templates: [P1_W0.fcs]}}}}\n"
        f"comparison: {{before: W0, after: W9}}\nendpoints: [{endpoint}]\n"
    )
    return folder


def test_a_study_carries_its_drawn_gates_and_keeps_what_it_carried(tmp_path: Path) -> None:
    study = _study(tmp_path)
    found = il.run(study, out=tmp_path / "out", tables_only=True)
    assert found.failed == ()
    share = found.counts.set_index(["sample_id", "path"])["percent_of_parent"]
    for sample, truth in (("P1_W0", 25.0), ("P1_W9", 50.0), ("P2_W0", 25.0), ("P2_W9", 50.0)):
        assert share[sample, "/CD4"] == pytest.approx(truth, abs=3.0)
    edges = found.table("thresholds").set_index("sample_id")
    assert set(edges.loc["P2_W9", "control"]) == {"template"}
    assert list(edges.loc["P2_W0", "threshold"]) == list(edges.loc["P2_W9", "threshold"])
    assert il.run(study, out=tmp_path / "out", tables_only=True).computed == ()
