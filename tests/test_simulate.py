"""Virtual trials: the files hold what the truth says, and the truth is what was planted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import flowio
import numpy as np
import pandas as pd
import pytest

from immunolab.cli import main
from immunolab.errors import InputError
from immunolab.simulate import Options, simulate, simulate_counts
from immunolab.simulate.biology import compose, expected_percent, pharmacodynamics, typical_patient
from immunolab.simulate.cells import Recipe, Staining, draw_tube, spillover_matrix
from immunolab.simulate.clinic import load_clinic
from immunolab.simulate.fcs_writer import write_fcs
from immunolab.simulate.laboratory import Laboratory
from immunolab.simulate.model import LEVELS, load_model
from immunolab.simulate.schedule import plan_bleeds
from immunolab.study.sheet import load_study
from immunolab.study.trial import builtin_trials, load_trial

MODEL = load_model()
SLE, ALS, IIM = "sle_nct02084238", "als_nct04952155", "iim_nct04062019"


@pytest.fixture(scope="module")
def lupus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulate") / "sle"
    simulate(SLE, patients=2, seed=7, folder=folder, events=8000, options=Options(spillover_error=0.0))
    return folder


def read(path: Path) -> tuple[pd.DataFrame, flowio.FlowData]:
    data = flowio.FlowData(str(path))
    frame = pd.DataFrame(np.reshape(data.events, (-1, data.channel_count)), columns=data.pnn_labels)
    return frame, data


def matrix_of(data: flowio.FlowData) -> tuple[list[str], np.ndarray]:
    parts = data.text["spillover"].split(",")
    n = int(parts[0])
    return parts[1 : n + 1], np.array(parts[n + 1 :], dtype=float).reshape(n, n)


def compensated(path: Path) -> pd.DataFrame:
    frame, data = read(path)
    channels, matrix = matrix_of(data)
    label = dict(zip(data.pnn_labels, data.pns_labels, strict=True))
    values = frame[channels].to_numpy() @ np.linalg.inv(matrix)
    return pd.DataFrame(np.arcsinh(values / 150), columns=[label[c] for c in channels])


# --- biology -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trial", "day", "fast", "slow"),
    [
        (ALS, 15, 1.00, 0.66),
        (ALS, 169, 0.10, 0.65),
        (SLE, 29, 0.10, 0.41),
        (SLE, 43, 1.01, 0.91),
        (SLE, 71, 1.01, 1.00),
        (SLE, 169, 0.00, 0.03),
        (IIM, 29, 1.10, 1.07),
        (IIM, 85, 1.11, 1.20),
        ("rp_nct04077736", 29, 1.20, 1.20),
        ("pmr_nct04062006", 85, 0.39, 0.65),
    ],
)
def test_effect_of_the_doses_by_study_day(trial: str, day: int, fast: float, slow: float) -> None:
    doses = load_trial(trial).dosing.days
    assert pharmacodynamics(MODEL, "fast", day, doses) == pytest.approx(fast, abs=0.006)
    assert pharmacodynamics(MODEL, "slow", day, doses) == pytest.approx(slow, abs=0.006)


@pytest.mark.parametrize(
    ("trial", "baseline", "day", "treg", "tfh", "th17"),
    [
        (SLE, "sle", 71, 2.14, 0.68, 0.75),
        (ALS, "als", 169, 1.09, 0.79, 0.87),
        (IIM, "iim", 85, 2.22, 0.61, 0.70),
        ("pmr_nct04062006", "pmr", 85, 1.34, 0.78, 0.84),
        ("rp_nct04077736", "rp", 29, 2.37, 0.60, 0.68),
    ],
)
def test_folds_of_a_typical_patient(trial: str, baseline: str, day: int, treg: float, tfh: float, th17: float) -> None:
    doses = load_trial(trial).dosing.days
    before, after = (compose(MODEL, baseline, typical_patient(MODEL), d, doses, Options()) for d in (1, day))
    for population, fold in {"Treg": treg, "Tfh_eff": tfh, "Th17": th17}.items():
        got = expected_percent(MODEL, after, population, "CD4") / expected_percent(MODEL, before, population, "CD4")
        assert got == pytest.approx(fold, rel=0.04), population


def test_baselines() -> None:
    doses = load_trial(SLE).dosing.days
    blood = {b: compose(MODEL, b, typical_patient(MODEL), 1, doses, Options()) for b in ("sle", "hc")}
    found = {
        b: [round(expected_percent(MODEL, c, p, "CD4"), 2) for p in ("Treg", "Tfh_eff", "Th17", "Th1")]
        for b, c in blood.items()
    }
    assert found == {"sle": [4.65, 2.8, 10.0, 11.0], "hc": [6.7, 1.2, 8.0, 11.0]}


def test_level_shares_are_distributions_and_doublings_of_naming_are_absent() -> None:
    shares = MODEL.level_shares
    assert shares.min() >= 0
    np.testing.assert_allclose(shares.sum(axis=2), 1.0)
    assert len(set(MODEL.leaves)) == len(MODEL.leaves)
    for name, rule in MODEL.truth.items():
        members = MODEL.members(rule.leaves)
        assert len(set(members)) == len(members), name
        assert set(members) <= set(MODEL.leaves), name


def test_without_effect_nothing_moves_but_noise() -> None:
    counts = simulate_counts(SLE, patients=12, seed=3, null=True, options=Options(visit_noise=0.0), events=2_000_000)
    treg = counts[counts.endpoint == "treg_pct_cd4"].pivot(index="patient_id", columns="visit", values="value")
    np.testing.assert_allclose(treg["W10"] / treg["W0"], 1.0, atol=0.02)


def test_cohort_means_follow_the_planted_folds_and_the_null_does_not() -> None:
    def log_fold(endpoint: str, **settings: object) -> float:
        counts = simulate_counts(SLE, patients=150, seed=11, events=100_000, **settings)  # type: ignore[arg-type]
        wide = counts[counts.endpoint == endpoint].pivot(index="patient_id", columns="visit", values="value")
        return float(np.log(wide["W10"] / wide["W0"]).mean())

    # one patient in ten does not respond
    assert log_fold("treg_pct_cd4") == pytest.approx(0.9 * np.log(2.147), abs=0.07)
    assert log_fold("tfh_pct_cd4") < -0.2
    assert log_fold("th17_pct_cd4") < -0.15
    assert log_fold("treg_pct_cd4", null=True) == pytest.approx(0.0, abs=0.04)


def test_a_patient_does_not_depend_on_the_others_or_on_the_visits_asked_for() -> None:
    few = simulate_counts(SLE, patients=2, seed=5, visits=("W0", "W10"))
    many = simulate_counts(SLE, patients=4, seed=5, visits=("W0", "W2", "W10"))
    merged = few.merge(many, on=["patient_id", "visit", "endpoint"], suffixes=("", "_many"))
    assert len(merged) == len(few)
    assert (merged["n_events"] == merged["n_events_many"]).all()


# --- tubes ---------------------------------------------------------------------------------------------------------


def ideal_tube(**changes: object):
    from dataclasses import replace

    blood = compose(MODEL, "sle", typical_patient(MODEL), 1, load_trial(SLE).dosing.days, Options())
    recipe = Recipe(MODEL.panels["surface"], blood, Staining(), 20_000, 0.05)
    return draw_tube(MODEL, replace(recipe, **changes), np.random.default_rng(1))  # type: ignore[arg-type]


def signal(tube, marker: str) -> np.ndarray:
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


# --- files ---------------------------------------------------------------------------------------------------------


def test_files_are_read_by_flowio_and_hold_what_was_asked_for(lupus: Path) -> None:
    frame, data = read(lupus / "fcs" / "SLE001_W0.fcs")
    assert data.version == "3.1"
    assert len(frame) == 8000
    assert data.pnn_labels[:3] == ["FSC-A", "FSC-H", "SSC-A"]
    assert data.pnn_labels[-1] == "Time"
    assert set(MODEL.panels["surface"].markers) <= set(data.pns_labels)
    assert data.text["datatype"] == "F"
    assert {data.text[f"p{i}e"] for i in range(1, 21)} == {"0,0"}
    assert data.text["timestep"] == "0.01"
    assert data.text["fil"] == "SLE001_W0.fcs"
    matrix = matrix_of(data)[1]
    np.testing.assert_allclose(matrix, spillover_matrix(MODEL, MODEL.panels["surface"]), rtol=1e-5)
    assert not {"src", "op", "date", "smno", "exp", "inst"} & set(data.text)


def test_composition_in_the_file_is_the_truth(lupus: Path) -> None:
    truth = pd.read_csv(lupus / "truth" / "populations.csv")
    for sample in ("SLE001_W0", "SLE002_W10"):
        events = pd.read_parquet(lupus / "truth" / "events" / f"{sample}.parquet")
        rows = truth[truth.sample_id == sample].set_index(["population", "parent"])
        for population in ("Treg", "Th17", "Tfh_eff", "Teff", "CD8"):
            parent = "lymphocytes" if population == "CD8" else "CD4"
            row = rows.loc[(population, parent)]
            assert row.n_events == events[population].sum()
            assert row.n_parent == events[parent].sum()
            assert row.percent_of_parent == pytest.approx(100 * row.n_events / row.n_parent)
            spread = np.sqrt(row.expected_percent * (100 - row.expected_percent) / row.n_parent)
            assert abs(row.percent_of_parent - row.expected_percent) < 4 * spread
        treg = events.leaf.isin(["treg_naive", "treg_mem", "tfr"]) & events.singlet & events.viable & ~events.margin
        assert (treg == events.Treg).all()
        # the events of the file are those of the truth: true CD8 cells are bright for CD8, Treg for CD25
        values = compensated(lupus / "fcs" / f"{sample}.fcs")
        assert values.CD8[events.CD8].median() > 4
        assert values.CD8[events.CD4].median() < 1
        assert values.CD25[events.Treg].median() > values.CD25[events.CD4 & ~events.Treg].median() + 2


def test_exclusive_populations_add_up(lupus: Path) -> None:
    events = pd.read_parquet(lupus / "truth" / "events" / "SLE001_W0.parquet")
    assert ((events.Treg | events.Tconv) == events.CD4).all()
    parts = events[["CD4_naive", "CD4_CM", "CD4_EM", "CD4_TEMRA"]].sum(axis=1)
    assert (parts[events.CD4] == 1).all()
    assert not (events.Teff & events.Treg).any()


def test_the_drug_brightens_cd25_of_regulatory_cells_and_the_null_does_not(tmp_path: Path) -> None:
    shifts = {}
    for name, null in (("drug", False), ("null", True)):
        folder = tmp_path / name
        settings = Options(batches="none", spillover_error=0.0, effect=0.0)
        simulate(SLE, patients=1, seed=4, folder=folder, events=30_000, null=null, options=settings)
        medians = []
        for visit in ("W0", "W10"):
            treg = pd.read_parquet(folder / "truth" / "events" / f"SLE001_{visit}.parquet").Treg
            medians.append(compensated(folder / "fcs" / f"SLE001_{visit}.fcs").CD25[treg].median())
        shifts[name] = medians[1] - medians[0]
    response = pd.read_csv(tmp_path / "drug" / "truth" / "patients.csv").response_fast[0]
    assert shifts["drug"] == pytest.approx(0.25 * 1.01 * (1 + response), abs=0.08)
    assert shifts["null"] == pytest.approx(0.0, abs=0.08)


def test_the_same_seed_writes_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    options = Options(faults=1.0, mixed_labels=True, fmo=True)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        simulate(SLE, patients=1, seed=seed, folder=tmp_path / name, events=300, options=options)

    def content(name: str) -> dict[str, bytes]:
        root = tmp_path / name
        return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}

    assert content("a") == content("b")
    assert content("a") != content("c")


def test_sample_data_is_what_its_command_writes(tmp_path: Path) -> None:
    shipped = Path(__file__).parents[1] / "sample_data" / "sle"
    readme = (shipped.parent / "README.md").read_text(encoding="utf-8")
    command = next(line for line in readme.splitlines() if line.strip().startswith("immunolab simulate"))
    words = command.split()[1:]
    words[words.index("NEW_FOLDER")] = str(tmp_path / "again")
    assert main(words) == 0
    again = sorted(p.relative_to(tmp_path / "again") for p in (tmp_path / "again").rglob("*") if p.is_file())
    assert again == sorted(p.relative_to(shipped) for p in shipped.rglob("*") if p.is_file())
    for name in again:
        assert (shipped / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name
    assert sum(p.stat().st_size for p in shipped.parent.rglob("*") if p.is_file()) < 6_000_000


# --- the study -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trial", builtin_trials())
def test_every_design_gives_a_study_that_checks_out(trial: str, tmp_path: Path) -> None:
    simulate(trial, patients=2, seed=1, folder=tmp_path / "study", events=200)
    study = load_study(tmp_path / "study")
    assert {sample.patient_id for sample in study.samples} == {f"{trial[:3].strip('_').upper()}00{i}" for i in (1, 2)}
    foxp3 = any(e.population == "Treg_FOXP3" for e in study.endpoints)
    assert set(study.panels) == ({"surface", "foxp3"} if foxp3 else {"surface"})
    folds = pd.read_csv(tmp_path / "study" / "truth" / "folds.csv")
    registered = {e.id for e in study.endpoints if e.statistic == "percent_of_parent"}
    assert set(folds.endpoint) == registered


@pytest.mark.parametrize("trial", builtin_trials())
def test_clinic_measures_every_variable_and_score_the_design_names(trial: str, tmp_path: Path) -> None:
    from immunolab.loaders.measurements import read_measurements

    simulate(trial, patients=2, seed=1, folder=tmp_path / "study", events=0)
    table = read_measurements(tmp_path / "study" / "measurements.csv")
    measured = set(table.variable)
    design = load_trial(trial).expanded_endpoints()
    assert {e.variable for e in design if e.variable} <= measured
    parts = {
        "SRI_4": {"SELENA_SLEDAI", "BILAG_new_A", "BILAG_new_B", "PGA"},
        "SLE_relapse": {"SELENA_SLEDAI"},
        "IMACS_DOI": {"PhGA", "PtGA", "MMT_8", "HAQ_DI", "muscle_enzyme", "extramuscular"},
        "ACR_EULAR_2016_TIS": {"PhGA", "PtGA", "MMT_8", "HAQ_DI", "muscle_enzyme", "extramuscular"},
        "PMR_AS": {"CRP", "pain", "PhGA", "morning_stiffness", "EUL"},
    }
    for score in {e.score for e in design if e.score}:
        assert parts.get(score, {score}) <= measured, score


def clinical(trial: str, variable: str, n: int = 150, **settings: object) -> pd.DataFrame:
    from immunolab.simulate.virtual_trial import VirtualTrial, chosen_visits

    design = load_trial(trial)
    study = VirtualTrial(MODEL, design, Options(**settings), 9, chosen_visits(design, None), n)  # type: ignore[arg-type]
    frame = pd.DataFrame(study.measurements())
    return frame[frame.variable == variable].pivot(index="patient_id", columns="visit", values="value").astype(float)


def test_lupus_activity_falls_with_the_drug_only() -> None:
    treated, untreated = clinical(SLE, "SELENA_SLEDAI"), clinical(SLE, "SELENA_SLEDAI", null=True)
    assert treated.min().min() >= 0
    assert treated.W0.min() >= 8  # admission asks for 8 points
    assert (treated.W10 - treated.W0).mean() == pytest.approx(-6, abs=1.0)
    assert (untreated.W10 - untreated.W0).mean() == pytest.approx(0, abs=1.0)


def test_motor_function_declines_at_the_planted_rates() -> None:
    scores = clinical(ALS, "ALSFRS_R", n=400)
    months = 168 / 30.4375
    assert ((scores.W24 - scores.W0) / months).mean() == pytest.approx(-0.5, abs=0.1)
    assert ((scores.W48 - scores.W24) / months).mean() == pytest.approx(-0.8, abs=0.1)
    assert scores.max().max() <= 48


def test_fast_decliners_miss_the_last_visit_more_often() -> None:
    scores = clinical(ALS, "ALSFRS_R", n=400, faults=1.0)
    lost = scores.W48.isna()
    assert 0.15 < lost.mean() < 0.45
    assert lost.mean() > clinical(SLE, "SELENA_SLEDAI", n=400, faults=1.0).W10.isna().mean()


def test_values_beyond_the_assay_are_censored_at_the_limit(tmp_path: Path) -> None:
    simulate(ALS, patients=12, seed=1, folder=tmp_path / "als", events=0)
    table = pd.read_csv(tmp_path / "als" / "measurements.csv")
    low = table[(table.variable == "IL-17A") & (table.censored == "below")]
    assert len(low) > 0
    assert set(low.value) == {load_clinic().measures["als"]["IL-17A"].below}
    rest = table[(table.variable == "IL-17A") & table.censored.isna()]
    assert (rest.value >= 1.2).all()


# --- laboratory ----------------------------------------------------------------------------------------------------


def batches(trial: str = SLE, n: int = 12, **settings: object) -> pd.DataFrame:
    options, design = Options(**settings), load_trial(trial)  # type: ignore[arg-type]
    visits = [design.visit("W0"), design.visit("W10")]
    return pd.DataFrame(
        [(b.patient, b.visit.name, b.batch, b.centre) for b in plan_bleeds(MODEL, options, visits, n, 1)],
        columns=["patient", "visit", "batch", "centre"],
    )


def test_batches_follow_patients_months_centres_or_visits() -> None:
    assert batches().groupby("patient").batch.nunique().max() == 1
    assert batches().batch.nunique() == 3
    assert batches(batches="months").groupby("patient").batch.nunique().min() > 1
    assert set(batches(confounded=True).groupby("visit").batch.unique().map(tuple)) == {(1,), (2,)}
    assert batches(centres=4).groupby("centre").batch.nunique().max() == 1
    assert batches(centres=4).centre.nunique() == 4


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


def test_controls_faults_and_label_variants_stand_in_the_sheet_and_the_truth(tmp_path: Path) -> None:
    from immunolab.vocabulary.panel import resolve_channels

    options = Options(fmo=True, ics=True, faults=3.0, mixed_labels=True, visit_jitter=True, events_sd_log=0.3)
    simulate(IIM, patients=8, seed=3, folder=tmp_path / "iim", events=400, options=options)
    study = load_study(tmp_path / "iim")
    controls = [s for s in study.samples if s.control_of]
    assert {s.marker for s in controls if s.panel == "surface"} == set(MODEL.panels["surface"].fmo)
    pairs = [s for s in controls if s.panel == "ics" and not s.marker]
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


def test_a_design_of_ones_own_starts_from_health(tmp_path: Path) -> None:
    own = tmp_path / "mine.yaml"
    source = Path(load_trial.__code__.co_filename).parent / "trials" / f"{SLE}.yaml"
    own.write_text(source.read_text(encoding="utf-8").replace(f"id: {SLE}", "id: mytrial"), encoding="utf-8")
    simulate(own, patients=1, seed=1, folder=tmp_path / "study", events=200)
    study = load_study(tmp_path / "study")
    assert study.trial is not None
    assert study.trial.id == "mytrial"
    folds = pd.read_csv(tmp_path / "study" / "truth" / "folds.csv").set_index("endpoint")
    assert folds.percent_before["treg_pct_cd4"] == pytest.approx(6.7)


# --- writing -------------------------------------------------------------------------------------------------------


def test_the_writer_keeps_separators_empty_data_and_values(tmp_path: Path) -> None:
    values = np.array([[1.5, -3.25, 262143.0], [0.0, 1e-3, 7.0]], dtype=np.float32)
    write_fcs(tmp_path / "a.fcs", ["FSC-A", "B|C"], ["", "CD4|CD8"], values)
    frame, data = read(tmp_path / "a.fcs")
    np.testing.assert_array_equal(frame.to_numpy().T, values)
    assert data.pns_labels == ["", "CD4|CD8"]
    write_fcs(tmp_path / "empty.fcs", ["FSC-A"], [""], np.empty((1, 0), dtype=np.float32))
    assert flowio.FlowData(str(tmp_path / "empty.fcs"), only_text=True).text["tot"] == "0"


def test_the_simulator_shares_no_code_with_gating_or_loaders() -> None:
    code = "import sys, immunolab.simulate; print([m for m in sys.modules if m.startswith('immunolab.')])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "immunolab.simulate.cells" in loaded
    for room in ("gating", "loaders", "quality", "clustering", "quantify"):
        assert f"immunolab.{room}" not in loaded


# --- bad input -----------------------------------------------------------------------------------------------------


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_text("kept", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        simulate(SLE, patients=0, seed=1, folder=tmp_path, visits=["W0", "W1O"])
    assert str(caught.value) == (
        f"trial {SLE} has no visit 'W1O'\n"
        "    hint: did you mean 'W10'? visits: W0, W2, W4, W6, W8, W10, W24\n"
        "0 patients cannot be simulated\n"
        "    hint: at least 1\n"
        f"{tmp_path}  the folder is not empty\n"
        "    hint: name a new folder; nothing is overwritten\n"
        "3 problems"
    )
    assert (tmp_path / "old.txt").read_text(encoding="utf-8") == "kept"


def test_the_command_names_an_unknown_trial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["simulate", "--trial", "sle_nct0208423", "--patients", "1", "--seed", "1", "-o", str(tmp_path / "x")]
    assert main(words) == 1
    assert "did you mean 'sle_nct02084238'?" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_the_command_writes_a_study_and_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "x"
    words = (
        f"simulate --trial {SLE} --patients 1 --seed 1 -o {out} --visits W0 --events 50 --no-event-truth --lot-change"
    )
    assert main(words.split()) == 0
    assert f"study: {out}/study.yaml" in capsys.readouterr().out
    assert [p.name for p in (out / "fcs").iterdir()] == ["SLE001_W0.fcs"]
    assert not (out / "truth" / "events").exists()
