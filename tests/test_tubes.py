"""Tubes and gated tubes as a notebook sees them: planted cells, and a real spleen against FlowJo's counts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import data_folder
from hypothesis import given
from hypothesis import strategies as st
from planted import COFACTOR, f1, planted_tube

import immunolab as il
from immunolab.errors import GatingError, InputError, Problem
from immunolab.events.subsample import drawn_rows
from immunolab.events.transforms import Asinh, Logicle
from immunolab.events.tube import Channel, Spillover, Tube
from immunolab.gating.record_codec import from_plain, to_plain
from immunolab.gating.strategy import Dimension, Population, Rectangle, Strategy
from immunolab.gating.tube_gates import FailedPlacement, GateSpread, RuleCount, TubeGates
from immunolab.schema.gating import COUNTS, INTENSITIES, THRESHOLDS

SURFACE = "treg_th17_tfh_teff"
SCALE = Asinh(COFACTOR)
DRAWN = Strategy(
    "drawn",
    (
        Population("/T", Rectangle((Dimension("CD3", SCALE),), (2.0,), (None,))),
        Population("/CD4", Rectangle((Dimension("CD4", SCALE),), (2.0,), (None,))),
        Population("/T/CD4", Rectangle((Dimension("CD4", SCALE),), (2.0,), (None,))),
        Population("/absent", Rectangle((Dimension("CD999", SCALE),), (2.0,), (None,))),
    ),
)


@pytest.fixture(scope="module")
def planted() -> tuple[Tube, np.ndarray]:
    return planted_tube(0)


@pytest.fixture(scope="module")
def treg(planted: tuple[Tube, np.ndarray]) -> il.gating.tubes.GatedTube:
    return il.gate(planted[0], SURFACE)


@pytest.fixture(scope="module")
def spleen() -> Tube:
    return il.read_fcs(data_folder("flow/flowsom_68983/68983.fcs"))


def test_a_tube_shows_channels_after_compensation_by_marker_or_channel() -> None:
    columns = np.array([[100.0, 200.0], [30.0, 10.0]], dtype=np.float32)
    channels = (Channel("B1-A", "CD4", "CD4", "FITC"), Channel("FSC-A", kind="scatter"))
    matrix = Spillover(("B1-A", "FSC-A"), np.array([[1.0, 0.1], [0.0, 1.0]]))
    tube = Tube(columns, channels, matrix, "S1", "/data/S1.fcs", warnings=("the clock runs backwards",))
    assert tube["CD4"].tolist() == tube["B1-A"].tolist() == [100.0, 200.0]
    np.testing.assert_allclose(tube["FSC-A"], [20.0, -10.0], atol=1e-9)
    assert (len(tube), list(tube), "CD4" in tube, "CD8" in tube) == (2, ["CD4", "FSC-A"], True, False)
    assert tube.to_frame("raw").to_dict("list") == {"CD4": [100.0, 200.0], "FSC-A": [30.0, 10.0]}
    np.testing.assert_array_equal(tube.to_frame()["FSC-A"], tube["FSC-A"])
    shown = tube.to_frame("display")
    np.testing.assert_array_equal(shown["CD4"], Logicle().apply(tube["CD4"]))
    np.testing.assert_array_equal(shown["FSC-A"], tube["FSC-A"])
    assert repr(tube) == "Tube(S1: 2 events x 2 channels)"
    html = tube._repr_html_()
    assert all(text in html for text in ("S1.fcs", "2 x 2", "CD4", "the clock runs backwards"))
    assert "/data/" not in html
    with pytest.raises(InputError, match=r"'logicle' is unknown\n.*allowed: compensated, raw, display"):
        tube.to_frame("logicle")  # type: ignore[arg-type]


def test_a_panel_names_the_markers_as_a_mapping_or_a_file(tmp_path: Path) -> None:
    file = data_folder("flow/flowsom_68983/68983.fcs")
    name = il.read_header(file).channels[10].name
    (tmp_path / "panel.csv").write_text(f"channel,marker\n{name},CD25\n", encoding="utf-8")
    by_file = il.read_fcs(file, panel=tmp_path / "panel.csv")
    by_text = il.read_fcs(file, panel=str(tmp_path / "panel.csv"))
    assert by_file.channels == by_text.channels == il.read_fcs(file, panel={name: "CD25"}).channels
    assert by_file.channel("CD25").name == name


def test_a_strategy_by_name_finds_the_planted_cells(
    planted: tuple[Tube, np.ndarray], treg: il.gating.tubes.GatedTube
) -> None:
    tube, kinds = planted
    assert f1(treg.mask("Treg"), kinds == "treg") > 0.9
    assert len(treg["Treg"]) == treg.mask("Treg").sum()
    np.testing.assert_array_equal(treg["Treg"]["CD25"], tube["CD25"][treg.mask("Treg")])
    cd4 = treg.mask("CD4")
    assert treg.percent("Treg", of="CD4") == 100 * (treg.mask("Treg") & cd4).sum() / cd4.sum()
    assert treg.percent("root") == 100.0
    assert "NK" in treg.notes[0]


def test_tables_of_a_gated_tube_are_the_declared_ones(treg: il.gating.tubes.GatedTube) -> None:
    for table, frame in ((COUNTS, treg.counts), (THRESHOLDS, treg.thresholds), (INTENSITIES, treg.intensities)):
        assert list(frame.columns) == table.names
        pd.testing.assert_frame_equal(table.check(frame), frame)
    counts = treg.counts.set_index("population")
    assert counts.loc["Treg", "n_events"] == treg.mask("Treg").sum()
    assert counts.loc["Treg", "percent_of_parent"] == treg.percent("Treg")
    medians = treg.intensities.set_index(["population", "marker"])["median_intensity"]
    assert medians["Treg", "CD25"] == np.median(treg["Treg"]["CD25"].astype(np.float32))


def test_a_gated_tube_shows_its_tree_counts_and_flags(planted: tuple[Tube, np.ndarray]) -> None:
    gated = il.gate(planted[0].take(np.arange(60)), DRAWN)
    lines = repr(gated).splitlines()
    n = [int(gated.mask(path).sum()) for path in ("/T", "/T/CD4")]
    assert lines[0] == "GatedTube S1, gates of drawn"
    assert lines[1].split() == ["root", "60"]
    assert lines[2].split() == ["T", str(n[0]), f"{100 * n[0] / 60:.2f}", "%", "below_loq"]
    assert lines[3].startswith(f"    CD4  {n[1]}")  # below its parent, though the strategy has it last
    assert "left out: /absent marker or channel 'CD999' is not in the tube" in lines[-1]
    html = gated._repr_html_()
    assert f">{n[1]}</td>" in html
    assert ">\u2003\u2003\u2003\u2003CD4</td>" in html  # below its parent
    assert "CD999" in html


def test_a_name_that_is_unknown_or_not_unique_is_an_error_with_the_way_out(planted: tuple[Tube, np.ndarray]) -> None:
    gated = il.gate(planted[0], DRAWN)
    with pytest.raises(GatingError, match=r"2 populations are called 'CD4'[\s\S]*/CD4, /T/CD4"):
        gated["CD4"]
    assert len(gated["/CD4"]) >= len(gated["/T/CD4"])
    with pytest.raises(GatingError, match="did you mean 'T'"):
        gated.percent("t")
    assert ("T" in gated, "B" in gated, list(gated)) == (True, False, ["/T", "/CD4", "/T/CD4"])
    with pytest.raises(GatingError, match=r"no gate can be evaluated: /absent"):
        il.gate(planted[0], replace(DRAWN, populations=DRAWN.populations[3:]))


def test_sharing_a_border_is_chosen_by_patient_batch_study_or_not_at_all() -> None:
    tubes = [planted_tube(i, sample_id=f"S{i}", shift={"CD25": 0.3 * i})[0] for i in range(4)]
    patients = {"S0": "P1", "S1": "P1", "S2": "P2", "S3": "P2"}

    def borders(**options: object) -> list[float]:
        many = il.gate(tubes, SURFACE, **options)
        assert [gated.sample_id for gated in many] == ["S0", "S1", "S2", "S3"]
        rows = [g.thresholds for g in many]
        return [float(t.loc[(t["population"] == "Treg") & (t["marker"] == "CD25"), "threshold"].iloc[0]) for t in rows]

    alone = borders()
    assert len(set(alone)) == 4
    assert borders(share="sample") == pytest.approx(alone)
    by_patient = borders(patients=patients)
    assert by_patient[0] == by_patient[1] != by_patient[2] == by_patient[3]
    by_batch = borders(share="batch", batches={"S0": "A", "S1": "B", "S2": "B", "S3": "B"})
    assert by_batch[0] != by_batch[1] == by_batch[2] == by_batch[3]
    assert len(set(borders(share="study"))) == 1


def test_choices_that_cannot_be_are_all_named(planted: tuple[Tube, np.ndarray]) -> None:
    with pytest.raises(InputError) as caught:
        il.gate([planted[0]], SURFACE, share="patients", patients={"S9": "P1"})
    assert "there is no tube 'S9'" in str(caught.value)
    assert "did you mean 'patient'?" in str(caught.value)
    with pytest.raises(InputError, match="dict is not a gating strategy"):
        il.gate(planted[0], {"CD4": 3})  # type: ignore[call-overload]
    with pytest.raises(InputError, match="treg_th17_tfh_teff"):
        il.gate(planted[0], "treg_th17")


@pytest.mark.parametrize("given", ["P01.fcs", Path("P01.fcs"), ["P01.fcs"], 3])
def test_a_file_is_not_a_tube_and_the_error_says_how_to_read_it(given: object) -> None:
    with pytest.raises(InputError, match=r"is not a tube\n.*read_fcs"):
        il.gate(given, SURFACE)  # type: ignore[call-overload]


def test_anndata_holds_events_populations_and_gates(
    planted: tuple[Tube, np.ndarray], treg: il.gating.tubes.GatedTube, tmp_path: Path
) -> None:
    adata = treg.to_anndata()
    tube = planted[0]
    assert adata.X.dtype == adata.layers["compensated"].dtype == np.float32
    np.testing.assert_allclose(adata[:, "CD25"].layers["compensated"][:, 0], tube["CD25"], rtol=1e-6)
    scale = treg.scales()[tube.channel("CD25").name]
    np.testing.assert_allclose(adata[:, "CD25"].X[:, 0], scale.apply(tube["CD25"]), rtol=1e-5, atol=1e-6)
    assert list(adata.var) == ["channel", "marker", "fluorochrome", "kind", "transform"]
    assert adata.obsm["populations"]["Treg"].to_numpy().tolist() == treg.mask("Treg").tolist()
    stored = adata.uns["immunolab"]
    assert {"modality", "populations", "source_file", "source_sha256", "strategy", "version"} <= stored.keys()
    row = stored["populations"].loc["Treg"]
    assert row["gate"] == type(treg.strategy["Treg"].gate).__name__.lower()
    assert "CD25" in row["threshold"]
    adata.write_h5ad(tmp_path / "tube.h5ad")


def test_a_workspace_gates_the_spleen_as_flowjo_did(spleen: Tube) -> None:
    place = data_folder("flow/flowsom_68983")
    gated = il.gate(spleen, place / "gating.wsp")
    published = pd.read_csv(place / "flowsom_68983_counts.csv").iloc[1:].set_index("path")["count_flowjo"]
    counts = gated.counts.set_index("path")
    difference = (counts.loc[published.index, "n_events"] - published).abs()
    assert (100 * difference / counts.loc[published.index, "n_parent"]).max() < 0.2
    assert difference.max() == 13  # FlowJo draws polygons on 256 bins
    assert set(gated.thresholds["method"]) <= {"drawn"}


@pytest.mark.parametrize(
    "record",
    [
        FailedPlacement("the panel lacks CD25", "name it in a panel file"),
        TubeGates(
            replace(DRAWN, matrices={"M": Spillover(("A",), np.eye(1))}),
            spreads=(GateSpread("Treg", "CD4", 0.1 + 0.2),),
            rule_counts=(RuleCount("fixed_at_baseline", "Treg", "CD4", 3, 70),),
            unread=(Problem("a.wsp", "/T", "magnetic gates are not read", "draw it again"),),
        ),
    ],
)
def test_records_of_placing_survive_the_cache(record: FailedPlacement | TubeGates) -> None:
    again = from_plain(json.loads(json.dumps(to_plain(record))))
    assert type(again) is type(record)
    assert to_plain(again) == to_plain(record)
    assert repr(again) == repr(record)


@given(st.integers(0, 60), st.integers(1, 60), st.integers(0, 9))
def test_drawn_rows_are_sorted_different_and_no_more_than_asked_for(rows: int, n: int, seed: int) -> None:
    drawn = drawn_rows(rows, n, seed)
    assert len(drawn) == min(rows, n)
    assert np.all(np.diff(drawn) > 0)
    assert set(drawn) <= set(range(rows))
    offset = np.arange(rows) + 100
    assert (drawn_rows(offset, n, seed) == drawn + 100).all()


def test_gates_are_taken_from_flowkit_as_they_are() -> None:
    import flowkit

    place = data_folder("flow/flowkit_gate_ref/gate_ref")
    tube = il.read_fcs(place / "data1.fcs")
    gates = flowkit.parse_gating_xml(str(place / "gml" / "gml_rect1_gate.xml"))
    here, there = il.gate(tube, gates), gates.gate_sample(flowkit.Sample(str(place / "data1.fcs")))
    for name, _ in gates.get_gate_ids():
        np.testing.assert_array_equal(here.mask(name), there.get_gate_membership(name))
    with pytest.raises(InputError, match="Sample is not a gating strategy"):
        il.gate(tube, flowkit.Sample(str(place / "data1.fcs")))
