"""Declared gates on planted tubes: right cells, one rule for a patient's visits, flags instead of failures."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import planted
import pytest
from planted import MARKERS, f1, planted_tube

from immunolab.config import parse_yaml
from immunolab.errors import GatingError
from immunolab.events.subsample import subsample
from immunolab.events.transforms import Identity
from immunolab.events.tube import Channel, Tube
from immunolab.gating.counts import counts_table
from immunolab.gating.definitions import with_all_definitions
from immunolab.gating.evaluate import evaluate
from immunolab.gating.placement.fit import fit, missing_markers, widest_scope
from immunolab.gating.placement.flank import flank_flags
from immunolab.gating.placement.placed import Placed
from immunolab.gating.placement.tube_state import TubeState
from immunolab.gating.placement.uncertainty import percent_intervals
from immunolab.gating.record_codec import from_plain, to_plain
from immunolab.gating.strategy import Declared, Dimension, Population, Rectangle, Strategy
from immunolab.gating.strategy_file import builtin_strategy, parse_strategy
from immunolab.schema.gating import THRESHOLDS

SURFACE = builtin_strategy("treg_th17_tfh_teff")
WANTED = {
    "Treg": ("treg",),
    "Th17": ("th17",),
    "Th1": ("th1",),
    "Tfh_CXCR5": ("tfh", "tfh_quiet"),
    "Tfh_eff": ("tfh",),
    "CD4_naive": ("naive",),
    "CD8": ("cd8",),
}
HEAD = "transform: {default: {asinh: {cofactor: 150}}, scatter: linear}\npopulations:\n"
TREE = HEAD + "  - {name: CD3, where: CD3+}\n  - {name: CD4, parent: CD3, where: CD4+ CD8-}\n"


def parse(text: str):
    return parse_strategy(parse_yaml(text, "s.yaml"))


def masks(fitted, tube):
    strategy = fitted.strategies[tube.sample_id]
    found = evaluate(strategy, tube).masks
    return {p.name: found[p.path] for p in strategy.populations}


def row(fitted, population: str, marker: str, sample_id: str = "S1"):
    t = fitted.thresholds
    return t[(t["sample_id"] == sample_id) & (t["population"] == population) & (t["marker"] == marker)].iloc[0]


def test_planted_subsets_are_found() -> None:
    tube, kinds = planted_tube(0)
    fitted = fit(SURFACE, [tube])
    called = masks(fitted, tube)
    for name, kind in WANTED.items():
        assert f1(called[name], np.isin(kinds, kind)) > 0.9, name
    assert not any(isinstance(p.gate, Declared) for p in fitted.strategies["S1"].populations)
    assert "/singlets/viable/small_and_blasts/lymphocytes/NK" in fitted.left_out["S1"]


def test_threshold_rows_are_the_declared_table() -> None:
    tube, _ = planted_tube(1)
    rows = fit(SURFACE, [tube]).thresholds
    THRESHOLDS.check(rows)
    placed = rows[rows["method"] != "none"]
    assert placed["threshold"].between(placed["ci_low"], placed["ci_high"]).all()
    assert rows["reason"].str.len().gt(0).all()
    raw = 150 * np.sinh(rows["threshold"].to_numpy(dtype=float))
    np.testing.assert_allclose(raw, rows["threshold_raw"].to_numpy(dtype=float), rtol=1e-9)


def test_same_seed_same_gates_and_data_survive_json() -> None:
    tube, _ = planted_tube(2, 8000)
    first, again = fit(SURFACE, [tube], seed=3), fit(SURFACE, [tube], seed=3)
    assert first.strategies == again.strategies
    assert first.thresholds.equals(again.thresholds)
    gates = first.gates_of("S1")
    assert gates.thresholds
    assert from_plain(json.loads(json.dumps(to_plain(gates)))) == gates


@pytest.mark.parametrize("refit", ["pooled", "sample", "baseline"])
def test_one_rule_for_all_visits_unless_asked_otherwise(refit) -> None:
    visits = [planted_tube(i, 8000, sample_id=f"V{i}", shift={"CD25": 0.3 * i})[0] for i in range(2)]
    groups = {f"V{i}": {"patient": "P", "batch": "B", "baseline": i == 0} for i in range(2)}
    fitted = fit(SURFACE, visits, groups=groups, refit=refit)
    first, second = (fitted.strategies[f"V{i}"]["Treg"].gate for i in range(2))
    assert (first == second) is (refit != "sample")
    assert set(fitted.thresholds["scope"]) == {"sample" if refit == "sample" else "patient"}
    if refit == "baseline":
        alone = fit(SURFACE, visits[:1], groups=groups, seed=0)
        assert row(alone, "Treg", "CD25", "V0")["threshold"] == pytest.approx(
            row(fitted, "Treg", "CD25", "V1")["threshold"], abs=0.15
        )


def test_batches_and_patients_are_not_pooled() -> None:
    tubes = [planted_tube(0, 6000, sample_id=f"S{i}", shift={"CD25": i})[0] for i in range(2)]
    groups = {f"S{i}": {"patient": "P", "batch": f"B{i}"} for i in range(2)}
    fitted = fit(SURFACE, tubes, groups=groups)
    first, second = (row(fitted, "Treg", "CD25", f"S{i}")["threshold"] for i in range(2))
    assert second - first == pytest.approx(1, abs=0.1)


def test_a_border_that_moves_within_an_empty_valley_raises_no_alarm() -> None:
    tubes = [planted_tube(i, 6000, sample_id=f"V{i}", shift={"CD3": 0.5 * (i == 2)})[0] for i in range(3)]
    groups = {f"V{i}": {"patient": "P", "batch": "B"} for i in range(3)}
    fitted = fit(SURFACE, tubes, groups=groups)
    own = fit(SURFACE, tubes, groups=groups, refit="sample", resample=False)
    shared = row(fitted, "CD3", "CD3", "V2")
    assert row(own, "CD3", "CD3", "V2")["threshold"] - shared["threshold"] > 0.2  # 0.4 of a hump's spread
    assert "drift" not in str(shared["flag"])


@pytest.mark.parametrize(("apart", "border", "flank"), [(4.0, 3.0, False), (0.0, 1.0, True)])
def test_a_population_that_is_densest_at_its_border_is_a_flank(apart: float, border: float, flank: bool) -> None:
    rng = np.random.default_rng(1)
    naive = np.arange(6000) < 2000
    memory = 1 + apart * (rng.random(6000) < 0.5)  # CCR7 of memory cells: two groups, or one
    values = np.array([np.where(naive, 5, 0), np.where(naive, 9, memory)]) + rng.normal(0, 0.5, (2, 6000))
    channels = tuple(Channel(f"{name}-A", name, name) for name in ("CD45RA", "CCR7"))
    strategy = Strategy("s", (), settings={"transform": {"default": Identity()}})
    tube = TubeState(Tube(values.astype(np.float32), channels, None, "S1"), strategy, "P", "B")
    gate = Rectangle((tube.dimension("CD45RA"), tube.dimension("CCR7")), (None, border), (2.5, None))
    for method in ("valley", "naive_memory"):
        placed = Placed("CCR7", border, method, "density", np.nan, np.nan, (), "", 0.5, np.empty(0))
        assert (flank_flags(tube, "", gate, [placed]) == ("no_peak",)) is flank, method
    placed = replace(placed, method="diagonal")  # beside a reference: the cells that placed it say where it belongs
    assert flank_flags(tube, "", gate, [placed]) == ()
    assert (flank_flags(tube, "", gate, [placed], [True]) == ("no_peak",)) is flank


@pytest.mark.parametrize(("border", "flank"), [(1.6, True), (2.8, False)])
def test_of_naive_and_memory_cells_a_few_beyond_a_group_are_no_flank(border: float, flank: bool) -> None:
    """Terminally differentiated cells that are rare: the border is at the foot of the naive group."""
    values = np.random.default_rng(2).normal(1, 1, (2, 6000))
    channels = tuple(Channel(f"{name}-A", name, name) for name in ("CD45RA", "CCR7"))
    strategy = Strategy("s", (), settings={"transform": {"default": Identity()}})
    tube = TubeState(Tube(values.astype(np.float32), channels, None, "S1"), strategy, "P", "B")
    gate = Rectangle((tube.dimension("CD45RA"), tube.dimension("CCR7")), (None, border), (9.0, None))
    placed = Placed("CCR7", border, "naive_memory", "density", np.nan, np.nan, (), "", 0.5, np.empty(0))
    assert (flank_flags(tube, "", gate, [placed]) == ("no_peak",)) is flank
    assert flank_flags(tube, "", gate, [replace(placed, method="fmo")]) == ()  # a control says where it is


def test_a_visit_unlike_the_others_raises_the_drift_alarm() -> None:
    tubes = [planted_tube(i, 6000, sample_id=f"V{i}", shift={"CXCR5": 1.2 * (i == 2)})[0] for i in range(3)]
    groups = {f"V{i}": {"patient": "P", "batch": "B"} for i in range(3)}
    fitted = fit(SURFACE, tubes, groups=groups)
    flagged = fitted.thresholds[fitted.thresholds["flag"].fillna("").str.contains("drift")]
    assert set(flagged["marker"]) == {"CXCR5"}
    calm = fit(SURFACE, tubes[:2], groups=groups)
    assert not calm.thresholds["flag"].fillna("").str.contains("drift").any()


def test_an_fmo_tube_wins_and_the_row_says_so() -> None:
    tube, _ = planted_tube(0)
    fmo, _ = planted_tube(9, sample_id="F", without="CXCR5")
    fitted = fit(SURFACE, [tube], groups={"S1": {"batch": "B"}}, controls={("B", "CXCR5"): fmo})
    cxcr5 = row(fitted, "Tfh_CXCR5", "CXCR5")
    assert (cxcr5["method"], cxcr5["control"]) == ("fmo", "fmo")
    assert 1.3 < cxcr5["threshold"] < 2.1
    ccr6 = row(fitted, "Th17", "CCR6")
    assert ccr6["control"] == "internal"
    assert "no_fmo" in ccr6["flag"]
    assert "no_fmo" not in fitted.strategies["S1"]["Th17"].flag


def test_an_fmo_of_another_panel_or_batch_is_not_used() -> None:
    tube, _ = planted_tube(0, 8000)
    other, _ = planted_tube(9, 8000, sample_id="F", without="CXCR5", markers=MARKERS[:-1])
    fitted = fit(SURFACE, [tube], groups={"S1": {"batch": "B"}}, controls={("B", "CXCR5"): other})
    cxcr5 = row(fitted, "Tfh_CXCR5", "CXCR5")
    assert cxcr5["control"] == "internal"
    assert "control_mismatch" in cxcr5["flag"]
    fitted = fit(SURFACE, [tube], groups={"S1": {"batch": "B"}}, controls={("A", "CXCR5"): other})
    assert row(fitted, "Tfh_CXCR5", "CXCR5")["control"] == "internal"


def test_fmo_and_density_that_disagree_are_flagged() -> None:
    tube, _ = planted_tube(0)
    bright, _ = planted_tube(9, sample_id="F", without="CXCR5", shift={"CXCR5": 1.8})
    fitted = fit(SURFACE, [tube], groups={"S1": {"batch": "B"}}, controls={("B", "CXCR5"): bright})
    assert "fmo_density_disagree" in row(fitted, "Tfh_CXCR5", "CXCR5")["flag"]


def test_an_unstained_tube_is_second_best() -> None:
    tube, _ = planted_tube(0, 8000)
    rng = np.random.default_rng(1)
    columns = tube.columns.copy()
    columns[3:] = 150 * np.sinh(rng.normal(0.4, 0.5, columns[3:].shape))
    unstained = replace(tube, columns=columns, sample_id="U")
    text = HEAD + "  - {name: pos, above: {marker: CXCR5}}\n"
    fitted = fit(parse(text), [tube], groups={"S1": {"batch": "B"}}, controls={("B", ""): unstained})
    assert row(fitted, "pos", "CXCR5")["method"] == "unstained"


def test_no_valley_is_flagged_and_another_method_used() -> None:
    tube, _ = planted_tube(3, weights={"tfh": 0, "tfh_quiet": 0})
    fitted = fit(parse(TREE + "  - {name: pos, parent: CD4, above: {marker: CXCR5, by: valley}}\n"), [tube])
    found = row(fitted, "pos", "CXCR5")
    assert found["method"] != "valley"
    assert {"no_valley", "unimodal"} <= set(found["flag"].split(";"))
    assert "no_valley" in fitted.strategies["S1"]["pos"].flag
    assert masks(fitted, tube)["pos"].mean() < 0.02


def test_the_border_of_a_marker_that_naive_cells_carry_is_below_them_when_it_has_no_valley() -> None:
    # CCR7 in steps too small for a valley: the naive cells still carry it, and effector Tfh are still below them
    tube, kinds = planted_tube(4, weights={"th17": 3.0, "memory": 2.0, "tfh_quiet": 0.5})
    fitted = fit(SURFACE, [tube])
    placed = row(fitted, "CD4_naive", "CCR7")
    assert placed["method"] == "internal_reference"
    assert "no_valley" in placed["flag"]
    assert 3.0 - 3 * 0.5 < placed["threshold"] < 3.0 - 0.5  # naive cells are planted at 3.0 with sd 0.5
    called = masks(fitted, tube)
    assert f1(called["CD4_naive"], kinds == "naive") > 0.95
    assert f1(called["Tfh_eff"], kinds == "tfh") > 0.9


def test_naive_treg_of_little_foxp3_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    treg = {"CD3": 4, "CD4": 4, "CD25": 3.7, "CD127": 1.5}
    monkeypatch.setitem(planted.CELLS, "treg", (0.04, treg | {"FOXP3": 3.1}))
    monkeypatch.setitem(planted.CELLS, "treg_naive", (0.02, treg | {"CD45RA": 5, "FOXP3": 2.0}))
    markers = ("Viability", "CD3", "CD4", "CD8", "CD45RA", "CD25", "CD127", "FOXP3")
    tube, kinds = planted_tube(5, n=12_000, markers=markers)
    called = masks(fit(builtin_strategy("treg_foxp3"), [tube]), tube)["Treg_FOXP3"]
    assert called[kinds == "treg_naive"].mean() > 0.8
    assert called[kinds == "treg"].mean() > 0.97
    assert called[kinds == "naive"].mean() < 0.005


def _tube_with_naive_treg(monkeypatch: pytest.MonkeyPatch, share: float) -> tuple[Tube, np.ndarray]:
    """Return a nuclear tube: naive Treg have little FOXP3, and activated cells without it nearly as much CD25."""
    treg, memory = {"CD3": 4, "CD4": 4, "CD25": 3.7, "CD127": 1.5}, {"CD3": 4, "CD4": 4, "CD127": 3.5}
    monkeypatch.setitem(planted.CELLS, "treg", (0.04, treg | {"FOXP3": 3.1}))
    monkeypatch.setitem(planted.CELLS, "treg_naive", (share, treg | {"CD45RA": 5, "FOXP3": 1.5}))
    monkeypatch.setitem(planted.CELLS, "activated", (0.1, memory | {"CD25": 3.2}))
    markers = ("Viability", "CD3", "CD4", "CD8", "CD45RA", "CD25", "CD127", "FOXP3")
    return planted_tube(6, n=20_000, markers=markers)


@pytest.mark.parametrize("share", [0.005, 0.02])
def test_naive_treg_are_found_where_activated_cells_raise_the_border_of_foxp3(
    monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    tube, kinds = _tube_with_naive_treg(monkeypatch, share)
    fitted = fit(builtin_strategy("treg_foxp3"), [tube])
    called, naive = masks(fitted, tube)["Treg_naive"], kinds == "treg_naive"
    assert called[naive].mean() > 0.93
    assert called[~naive].sum() < 0.02 * naive.sum()
    limits = percent_intervals(fitted, "S1", tube, denominators=["CD4"]).set_index(["path", "denominator"])
    found = limits.loc[(fitted.strategies["S1"]["Treg_naive"].path, "CD4")]
    cd4 = np.isin(kinds, [kind for kind, (_, levels) in planted.CELLS.items() if "CD4" in levels])
    assert found["gate_low"] < 100 * naive.sum() / cd4.sum() < found["gate_high"]


def test_too_few_naive_treg_have_the_borders_of_all_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    tube, kinds = _tube_with_naive_treg(monkeypatch, 0.001)
    fitted = fit(builtin_strategy("treg_foxp3"), [tube], resample=False)
    assert masks(fitted, tube)["Treg_naive"][kinds != "treg_naive"].sum() == 0
    for marker in ("FOXP3", "CD25"):
        own, of_all = (row(fitted, name, marker)["threshold"] for name in ("Treg_naive", "Treg_FOXP3"))
        assert own == of_all


def test_an_all_negative_sample_calls_next_to_nothing() -> None:
    tube, _ = planted_tube(4, weights={"treg": 0})
    fitted = fit(SURFACE, [tube])
    assert "no_corner_cloud" in fitted.strategies["S1"]["Treg"].flag
    called = masks(fitted, tube)
    assert called["Treg"].sum() < 0.005 * called["CD4"].sum()


@pytest.mark.parametrize("n", [0, 1, 40, 300])
def test_few_or_no_events_are_results(n: int) -> None:
    tube, _ = planted_tube(5, n)
    fitted = fit(SURFACE, [tube])
    counts = counts_table(evaluate(fitted.strategies["S1"], tube), "S1")
    assert counts["n_events"].iloc[0] == n
    if n < 100:
        assert fitted.thresholds["flag"].str.contains("too_few_events").any()
        assert "too_few_events" in fitted.strategies["S1"]["Treg"].flag


def test_an_empty_visit_shares_the_patients_borders() -> None:
    full, empty = planted_tube(6, sample_id="V0")[0], planted_tube(6, 0, sample_id="V1")[0]
    groups = {s: {"patient": "P", "batch": "B"} for s in ("V0", "V1")}
    fitted = fit(SURFACE, [full, empty], groups=groups)
    assert fitted.strategies["V0"]["Treg"].gate == fitted.strategies["V1"]["Treg"].gate


def test_a_saturated_channel_is_flagged() -> None:
    tube, _ = planted_tube(7)
    columns = tube.columns.copy()
    at = tube.find("CXCR5")
    columns[at] = np.minimum(columns[at], 700.0)
    fitted = fit(SURFACE, [replace(tube, columns=columns)])
    assert "saturated" in row(fitted, "Tfh_CXCR5", "CXCR5")["flag"]


def test_missing_markers_are_all_named_with_the_nearest() -> None:
    tube, _ = planted_tube(8, 100, markers=tuple(m for m in MARKERS if m not in ("CD3", "CD4")))
    with pytest.raises(GatingError) as caught:
        fit(SURFACE, [tube])
    text = str(caught.value)
    assert "the panel lacks CD3 (for T_any_size, CD3), CD4 (for CD4)" in text
    assert "the tube has: FSC-A" in text


def test_another_antigen_is_no_misspelt_marker() -> None:
    tube, _ = planted_tube(8, 100, markers=("CD45RO", *(m for m in MARKERS if m != "CD45RA")))
    gate = Rectangle((Dimension("CD45RA"),), (0.0,), (None,))
    with pytest.raises(GatingError, match="the panel lacks CD45RA") as caught:
        missing_markers(Strategy("s", (Population("/naive", gate),)), tube)
    assert "did you mean" not in caught.value.hint


def test_optional_populations_are_left_out_and_children_handed_on() -> None:
    tube, kinds = planted_tube(0, 8000, markers=tuple(m for m in MARKERS if m not in ("Viability", "CXCR3")))
    assert "/singlets/viable" in missing_markers(SURFACE, tube)
    fitted = fit(SURFACE, [tube])
    names = [p.name for p in fitted.strategies["S1"].populations]
    assert "Treg" in names
    assert not {"viable", "Th17", "Th1"} & set(names)
    assert f1(masks(fitted, tube)["Treg"], kinds == "treg") > 0.85


def test_tubes_of_different_panels_are_fitted_in_one_call() -> None:
    full = planted_tube(0, 6000, sample_id="A")[0]
    part = planted_tube(1, 6000, sample_id="B", markers=MARKERS[:-1])[0]
    fitted = fit(SURFACE, [full, part])
    assert "Th17" in {p.name for p in fitted.strategies["A"].populations}
    assert "Th17" not in {p.name for p in fitted.strategies["B"].populations}


def test_two_tubes_of_one_name_are_refused() -> None:
    tube, _ = planted_tube(0, 100)
    with pytest.raises(GatingError, match="two tubes have the same sample_id"):
        fit(SURFACE, [tube, tube])


def test_every_definition_the_panel_allows_is_gated() -> None:
    tube, kinds = planted_tube(0)
    fitted = fit(with_all_definitions(SURFACE), [tube])
    called = masks(fitted, tube)
    assert f1(called["Th17.CCR6posCXCR3neg_all"], kinds == "th17") > 0.85
    np.testing.assert_array_equal(called["Teff.CD45RAneg"] & called["Treg"], False)
    assert not any("FOXP3" in name for name in called)


def test_a_reference_that_the_strategy_does_not_name_is_found() -> None:
    text = TREE + "  - {name: Treg, parent: CD4, where: CD25hi CD127lo}\n"
    tube, kinds = planted_tube(0)
    fitted = fit(parse(text), [tube])
    assert row(fitted, "Treg", "CD25")["control"] == "internal"
    assert f1(masks(fitted, tube)["Treg"], kinds == "treg") > 0.9
    bare, kinds = planted_tube(0, markers=tuple(m for m in MARKERS if m != "CD45RA"))
    fitted = fit(parse(text), [bare])
    assert "no_reference" in row(fitted, "Treg", "CD25")["flag"]
    assert f1(masks(fitted, bare)["Treg"], kinds == "treg") > 0.8


def test_fixed_borders_between_and_quadrants() -> None:
    text = TREE + (
        "  - {name: mid, parent: CD4, between: {marker: CD25, low: 1, high: 2}}\n"
        "  - {name: low, parent: CD4, below: {marker: CD127, at: 2.4}}\n"
        "  - {name: quad, parent: CD4, quadrants: {x: CXCR3, y: CCR6, quadrant: -+}}\n"
    )
    tube, kinds = planted_tube(0)
    fitted = fit(parse(text), [tube])
    gate = fitted.strategies["S1"]["mid"].gate
    assert isinstance(gate, Rectangle)
    assert (gate.lower, gate.upper) == ((1.0,), (2.0,))
    assert row(fitted, "low", "CD127")["control"] == "fixed"
    assert (
        np.isnan(float(row(fitted, "low", "CD127")["ci_low"] or np.nan)) or row(fitted, "low", "CD127").isna()["ci_low"]
    )
    assert f1(masks(fitted, tube)["quad"], kinds == "th17") > 0.9


def test_widest_scope_and_subsample() -> None:
    assert widest_scope(SURFACE) == "patient"
    text = TREE + "  - {name: A, parent: CD4, above: {marker: CD25, by: valley, scope: batch}}\n"
    assert widest_scope(parse(text)) == "batch"
    tube, _ = planted_tube(0, 1000)
    assert subsample(tube, 2000) is tube
    few = subsample(tube, 100, seed=1)
    assert few.n_events == 100
    np.testing.assert_array_equal(few.columns, subsample(tube, 100, seed=1).columns)


ADT = """transform: {default: {asinh: {cofactor: 5}}}
populations:
  - {name: not_B, where: CD19-}
  - {name: not_mono, parent: not_B, where: CD14-}
  - {name: CD3, parent: not_mono, where: CD3+}
  - {name: CD4, parent: CD3, where: CD4+ CD8-}
  - {name: CD4_naive, parent: CD4, where: CD45RA+}
  - {name: Treg, parent: CD4, diagonal: {x: CD25, y: CD127, scope: batch}}
"""


def test_surface_proteins_of_single_cells_find_the_labelled_treg() -> None:
    import anndata
    from builders import data_folder

    folder = data_folder("single_cell/kotliarov2020_adt9")
    cells = anndata.read_h5ad(folder / "kotliarov2020_adt9_20donors.h5ad")
    counts = np.asarray(cells.X.todense(), dtype=np.float32)
    donors, labels = cells.obs["donor"].astype(str).to_numpy(), cells.obs["cell_type_l2"].astype(str).to_numpy()
    channels = tuple(Channel(name, name, name) for name in cells.var_names)
    members = {donor: np.flatnonzero(donors == donor) for donor in np.unique(donors)}
    tubes = [Tube(np.ascontiguousarray(counts[i].T), channels, None, donor) for donor, i in members.items()]
    batches = cells.obs["batch"].astype(str).to_numpy()
    groups = {donor: {"patient": batches[i[0]], "batch": batches[i[0]]} for donor, i in members.items()}
    fitted = fit(parse(ADT), tubes, groups=groups)
    called, true = [], []
    for tube in tubes:
        known = labels[members[tube.sample_id]] != "undefined"
        called.append(masks(fitted, tube)["Treg"][known])
        true.append((labels[members[tube.sample_id]] == "Treg")[known])
    assert f1(np.concatenate(called), np.concatenate(true)) > 0.85
