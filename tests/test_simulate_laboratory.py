"""The virtual laboratory: staining, spillover, noise, runs, controls and faults are as planted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import flowio
import numpy as np
import pandas as pd
import pytest

from immunolab.simulation import Options, simulate
from immunolab.simulation.biology import compose, typical_patient
from immunolab.simulation.cells import Recipe, SimulatedTube, Staining, draw_tube, spillover_matrix
from immunolab.simulation.laboratory import Laboratory
from immunolab.simulation.model import LEVELS, load_model
from immunolab.simulation.schedule import plan_bleeds
from immunolab.study.sheet import read_study
from immunolab.study.trial import load_trial
from immunolab.vocabulary.panel import resolve_channels

MODEL = load_model()
SLE, IIM = "sle_nct02084238", "iim_nct04062019"


def ideal_tube(**changes: object) -> SimulatedTube:
    blood = compose(MODEL, "sle", typical_patient(MODEL), 1, load_trial(SLE).dosing.days, Options())
    recipe = Recipe(MODEL.panels["surface"], blood, Staining(), 20_000, 0.05)
    return draw_tube(MODEL, replace(recipe, **changes), np.random.default_rng(1))  # type: ignore[arg-type]


def signal(tube: SimulatedTube, marker: str) -> np.ndarray:
    panel = MODEL.panels["surface"]
    columns = tube.columns[3:-1].astype(float)
    linear = np.linalg.inv(spillover_matrix(MODEL, panel)).T @ columns
    return np.arcsinh(linear[panel.markers.index(marker)] / 150)


def test_levels_come_back_as_stated_after_compensation() -> None:
    tube = ideal_tube()
    clean = tube.singlet & tube.viable & ~tube.margin & (tube.leaf >= 0)
    for marker, level, mean, sd in (
        ("CD3", "pos", 3.9, 0.50),
        ("CXCR5", "pos", 2.6, 0.55),
        ("CD127", "pos", 3.5, 0.55),
    ):
        chosen = clean & (tube.levels[:, MODEL.markers.index(marker)] == LEVELS.index(level))
        values = signal(tube, marker)[chosen]
        assert np.median(values) == pytest.approx(mean, abs=0.08), marker
        assert values.std() == pytest.approx(sd, abs=0.08), marker


def test_spillover_shows_before_and_vanishes_after_compensation() -> None:
    tube = ideal_tube()
    panel = MODEL.panels["surface"]
    receiver = panel.markers.index("HLA-DR")  # BV650 receives 45 % of BV605, which carries CCR6
    t_cells = tube.singlet & tube.viable & np.isin(tube.leaf, range(len(MODEL.cd4_leaves)))
    dim = t_cells & (tube.levels[:, MODEL.markers.index("HLA-DR")] == 0)
    bright = tube.levels[:, MODEL.markers.index("CCR6")] == LEVELS.index("pos")
    raw = tube.columns[3 + receiver]
    assert np.median(raw[dim & bright]) > np.median(raw[dim & ~bright]) + 300
    after = signal(tube, "HLA-DR")
    assert np.median(after[dim & bright]) == pytest.approx(np.median(after[dim & ~bright]), abs=0.1)


def test_shares_of_debris_doublets_dead_and_margin() -> None:
    tube = ideal_tube(n_events=100_000)
    assert np.mean(tube.leaf < 0) == pytest.approx(0.08, abs=0.005)
    assert np.mean(~tube.singlet) == pytest.approx(0.04, abs=0.004)
    assert np.mean(~tube.viable) == pytest.approx(0.05 * 0.92, abs=0.004)
    assert np.mean(tube.margin) == pytest.approx(0.002, abs=0.001)
    ratio = tube.columns[1] / tube.columns[0]
    assert np.median(ratio[~tube.singlet & ~tube.margin]) == pytest.approx(0.44, abs=0.01)
    assert np.median(ratio[tube.singlet & ~tube.margin]) == pytest.approx(0.80, abs=0.01)
    assert tube.columns[[0, 2]][:, tube.margin].max() == 262143


def test_time_rises_and_a_clog_slows_and_brightens() -> None:
    tube = ideal_tube(clog=True, n_events=50_000)
    time = tube.columns[-1]
    assert (np.diff(time) >= 0).all()
    share = tube.clogged.mean()
    assert 0.015 < share < 0.105
    per_event = np.ptp(time[tube.clogged]) / tube.clogged.sum()
    usual = np.ptp(time[: np.flatnonzero(tube.clogged)[0]]) / np.flatnonzero(tube.clogged)[0]
    assert per_event / usual == pytest.approx(5, rel=0.15)
    cd3 = (tube.leaf >= 0) & (tube.levels[:, MODEL.markers.index("CD3")] == LEVELS.index("pos")) & tube.viable
    values = signal(tube, "CD3")
    assert np.median(values[cd3 & tube.clogged]) - np.median(values[cd3 & ~tube.clogged]) == pytest.approx(
        0.4, abs=0.08
    )


def test_an_fmo_control_lacks_its_marker_only() -> None:
    full, control = ideal_tube(), ideal_tube(omitted="CXCR5")
    clean = control.singlet & control.viable & (control.leaf >= 0)
    carriers = clean & (control.levels[:, MODEL.markers.index("CXCR5")] == LEVELS.index("pos"))
    assert np.median(signal(control, "CXCR5")[carriers]) < 0.3
    assert np.median(signal(control, "CD3")) == pytest.approx(np.median(signal(full, "CD3")), abs=0.1)


def test_stimulation_makes_cytokines_and_hides_cd4() -> None:
    def positive(stimulated: bool) -> tuple[float, float]:
        tube = ideal_tube(panel=MODEL.panels["ics"], stimulated=stimulated, n_events=60_000)
        codes = [MODEL.leaves.index(x) for x in MODEL.members(("CD4",))]
        cd4 = tube.singlet & tube.viable & np.isin(tube.leaf, codes)
        column = MODEL.panels["ics"].markers.index("CD4")
        made = tube.levels[cd4, MODEL.markers.index("IL-17A")] == LEVELS.index("pos")
        return float(made.mean()), float(np.median(tube.columns[3 + column][cd4]))

    (stimulated, cd4_after), (resting, cd4_before) = positive(True), positive(False)
    assert stimulated == pytest.approx(0.10 * 0.08 + 0.05 * 0.03, abs=0.002)
    assert resting < 0.001
    assert cd4_after < cd4_before / 3


def batches(trial: str = SLE, n: int = 12, **settings: object) -> pd.DataFrame:
    options, design = Options(**settings), load_trial(trial)  # type: ignore[arg-type]
    visits = [design.visit("W0"), design.visit("W10")]
    return pd.DataFrame(
        [(b.patient, b.visit.name, b.batch) for b in plan_bleeds(MODEL, options, visits, n, 1)],
        columns=["patient", "visit", "batch"],
    )


def test_batches_follow_patients_months_centres_or_visits() -> None:
    assert batches().groupby("patient").batch.nunique().max() == 1
    assert batches().batch.nunique() == 3
    assert batches(batches="months").groupby("patient").batch.nunique().min() > 1
    assert set(batches(confounded=True).groupby("visit").batch.unique().map(tuple)) == {(1,), (2,)}
    assert batches(centres=4).groupby("patient").batch.nunique().max() == 1
    assert batches(centres=4).groupby("batch").patient.nunique().tolist() == [3, 3, 3, 3]


def test_a_lot_change_brightens_cd25_from_the_middle_run_on() -> None:
    design = load_trial(SLE)
    visits = [design.visit("W0"), design.visit("W10")]
    shifts = {}
    for lot in (False, True):
        options = Options(batches="months", lot_change=lot)
        bleeds = plan_bleeds(MODEL, options, visits, 12, 1)
        last = max(b.batch for b in bleeds)
        laboratory = Laboratory(MODEL, options, 1, last)
        shifts[lot] = {b.batch: laboratory._staining(b).shift for b in bleeds}
    extra = {batch: round(shifts[True][batch]["CD25"] - shifts[False][batch]["CD25"], 6) for batch in shifts[True]}
    assert set(extra.values()) == {0.0, 0.45}
    assert extra[1] == 0.0
    assert extra[max(extra)] == 0.45
    assert all(shifts[True][b]["CD3"] == shifts[False][b]["CD3"] for b in extra)


def test_one_run_may_carry_a_grossly_wrong_spillover_entry() -> None:
    right, wrong = (Laboratory(MODEL, Options(wrong_spillover=w), 1, 3) for w in (False, True))
    assert (right.written_matrix("surface", 2) == wrong.written_matrix("surface", 2)).all()
    ratio = wrong.written_matrix("surface", 3) / np.where(
        right.written_matrix("surface", 3) == 0, 1, right.written_matrix("surface", 3)
    )
    dyes = [d.dye for d in MODEL.panels["surface"].detectors]
    changed = np.argwhere(~np.isin(ratio.round(6), [0.0, 1.0]))
    assert changed.tolist() == [[dyes.index("BV605"), dyes.index("BV650")]]
    assert ratio[dyes.index("BV605"), dyes.index("BV650")] == pytest.approx(0.6)


def test_controls_faults_and_label_variants_are_in_the_sheet_and_the_truth(tmp_path: Path) -> None:
    options = Options(fmo=True, ics=True, faults=3.0, mixed_labels=True, visit_jitter=True, events_sd_log=0.3)
    simulate(IIM, patients=8, seed=3, folder=tmp_path / "iim", events=400, options=options)
    study = read_study(tmp_path / "iim")
    controls = [s for s in study.samples if s.control_of]
    assert {s.marker for s in controls if s.panel == "surface"} == set(MODEL.panels["surface"].fmo)
    pairs = [s for s in controls if s.panel == "ics" and s.marker == "IL-17A"]
    assert pairs
    assert all(s.control_of == s.sample_id.replace("unstimulated", "ics") for s in pairs)
    faults = pd.read_csv(tmp_path / "iim" / "truth" / "samples.csv").faults.dropna()
    seen = {word for words in faults for word in words.split(";")}
    assert seen == {"low_events", "swapped_labels", "exported_twice", "clog"}
    assert len(list((tmp_path / "iim" / "fcs").glob("*_copy.fcs"))) == sum("exported_twice" in w for w in faults)
    assert len({s.patient_id + s.visit for s in study.samples if not s.control_of}) < 16  # a visit was missed
    spellings = set()
    for path in (tmp_path / "iim" / "fcs").glob("*.fcs"):
        data = flowio.FlowData(str(path), only_text=True)
        channels = resolve_channels(data.pnn_labels, data.pns_labels)
        panel = next(p for p in MODEL.panels.values() if len(p.detectors) == len(channels) - 4)
        assert {c.marker for c in channels if c.kind == "fluorescence"} == set(panel.markers), path.name
        spellings |= set(data.pns_labels)
    assert {"CD127", "IL7R", "CD25_PE-Cy7"} <= spellings
