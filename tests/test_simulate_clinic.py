"""The virtual clinic and sequencing: courses, rates and biases are as planted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from immunolab.clinical.scores.scales import scales
from immunolab.loaders.measurements import read_measurements
from immunolab.simulation import Options, simulate
from immunolab.simulation.biology import compose, expected_percent, typical_patient
from immunolab.simulation.citeseq import biased, load_citeseq
from immunolab.simulation.clinic import Chart, SimulatedClinic, decline, load_clinic, measure_patient
from immunolab.simulation.model import load_model
from immunolab.simulation.schedule import Bleed
from immunolab.simulation.virtual_trial import VirtualTrial, chosen_visits
from immunolab.study.sheet import read_study
from immunolab.study.trial import builtin_trials, load_trial

MODEL = load_model()
SLE, ALS = "sle_nct02084238", "als_nct04952155"


@pytest.mark.parametrize("trial", builtin_trials())
def test_clinic_measures_every_variable_and_score_the_design_names(trial: str, tmp_path: Path) -> None:
    simulate(trial, patients=2, seed=1, folder=tmp_path / "study", events=0)
    table = read_measurements(tmp_path / "study" / "measurements.csv")
    measured = {name.partition(".")[0] for name in table.variable}
    design = load_trial(trial).expanded_endpoints()
    assert {name for e in design for name in e.needs.variables} <= measured
    parts = {
        "SRI_4": {"SELENA_SLEDAI", "BILAG_new_A", "BILAG_new_B", "PGA"},
        "SLE_relapse": {"SELENA_SLEDAI"},
        "IMACS_DOI": {"PhGA", "PtGA", "MMT_8", "HAQ_DI", "muscle_enzyme", "extramuscular"},
        "ACR_EULAR_2016_TIS": {"PhGA", "PtGA", "MMT_8", "HAQ_DI", "muscle_enzyme", "extramuscular"},
        "PMR_AS": {"CRP", "pain", "PhGA", "morning_stiffness", "EUL"},
    }
    for score in {name for e in design for name in e.needs.scores}:
        assert parts.get(score, {score}) <= measured, score


def clinical(trial: str, variable: str, n: int = 150, **settings: object) -> pd.DataFrame:
    design = load_trial(trial)
    study = VirtualTrial(MODEL, design, Options(**settings), 9, chosen_visits(design, None), n)  # type: ignore[arg-type]
    frame = pd.DataFrame(study.clinical_tables()["measurements"])
    return frame[frame.variable == variable].pivot(index="patient_id", columns="visit", values="value").astype(float)


def lupus_activity(**settings: object) -> pd.DataFrame:
    """The totals of the simulated items, by the weights of the published score."""
    design, weights = load_trial(SLE), scales()["SELENA_SLEDAI"].weights
    study = VirtualTrial(MODEL, design, Options(**settings), 9, chosen_visits(design, None), 100)  # type: ignore[arg-type]
    frame = pd.DataFrame(study.clinical_tables()["measurements"])
    items = frame[frame.variable.str.startswith("SELENA_SLEDAI.")]
    points = items.value.astype(float) * items.variable.str.partition(".")[2].map(weights)
    return items.assign(points=points).pivot_table(index="patient_id", columns="visit", values="points", aggfunc="sum")


def test_lupus_activity_falls_with_the_drug_only() -> None:
    treated, untreated = lupus_activity(), lupus_activity(null=True)
    assert treated.min().min() >= 0
    assert treated.W0.min() >= 8  # admission asks for 8 points
    assert (treated.W10 - treated.W0).mean() == pytest.approx(-6, abs=1.0)
    assert (untreated.W10 - untreated.W0).mean() == pytest.approx(0, abs=1.0)


def test_motor_function_declines_at_the_planted_rates() -> None:
    scores = clinical(ALS, "ALSFRS_R", n=200)
    months = 168 / 30.4375
    assert ((scores.W24 - scores.W0) / months).mean() == pytest.approx(-0.5, abs=0.1)
    assert ((scores.W48 - scores.W24) / months).mean() == pytest.approx(-0.8, abs=0.1)
    assert scores.max().max() <= 48


def test_fast_decliners_miss_the_last_visit_more_often() -> None:
    design, clinic, n, seed = load_trial(ALS), load_clinic(), 600, 9
    last = design.visits[-1]
    study = VirtualTrial(MODEL, design, Options(faults=1.0), seed, (last,), n)
    came = {bleed.patient for bleed in study.attended([last])}
    chart = Chart(max(design.dosing.days), 1.0, {})
    falls = np.array([decline(clinic, "als", patient, chart, seed) for patient in range(n)])
    lost = np.array([patient not in came for patient in range(n)])
    assert falls.mean() == pytest.approx(0.8, abs=0.1)
    # one visit in five is missed by a patient who is stable, more by one who gets worse
    assert 0.2 < lost.mean() < 0.5
    assert lost[falls > 1.1].mean() > lost[falls < 0.5].mean() + 0.08


def test_values_beyond_the_assay_are_censored_at_the_limit(tmp_path: Path) -> None:
    simulate(ALS, patients=12, seed=1, folder=tmp_path / "als", events=0)
    table = pd.read_csv(tmp_path / "als" / "measurements.csv")
    low = table[(table.variable == "IL-17A") & (table.censored == "below")]
    assert len(low) > 0
    assert set(low.value) == {load_clinic().measures["als"]["IL-17A"].below}
    rest = table[(table.variable == "IL-17A") & table.censored.isna()]
    assert (rest.value >= 1.2).all()


@pytest.fixture(scope="module")
def sequenced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("citeseq") / "study"
    simulate(SLE, patients=1, seed=2, folder=folder, events=100, visits=["W0"], options=Options(citeseq=2000))
    return folder


def test_sequenced_cells_are_raw_counts_of_genes_and_proteins(sequenced: Path) -> None:
    from anndata import read_h5ad

    study = read_study(sequenced)
    sample = next(s for s in study.samples if s.modality == "single_cell")
    cells = read_h5ad(sample.file)
    counts = cells.layers["counts"].toarray()
    assert (counts == counts.round()).all()
    assert (counts >= 0).all()
    assert set(cells.obs["sample_id"]) == {sample.sample_id}
    events = pd.read_parquet(sequenced / "truth" / "events" / f"{sample.sample_id}.parquet")
    assert len(events) == cells.n_obs == 2000
    mito = counts[:, cells.var_names.str.startswith("MT-")].sum(axis=1) / counts.sum(axis=1)
    assert mito[events.viable].mean() < 0.1
    assert mito[~events.viable].mean() > 0.2
    protein = cells.obsm["protein"]
    assert protein.CD8[events.CD8.to_numpy()].median() > 10 * protein.CD8[events.CD4.to_numpy()].median()
    gene = pd.DataFrame(counts, columns=cells.var_names)
    found = gene.FOXP3 > 0
    treg, others = events.Treg, events.CD4 & ~events.Treg
    assert 0.1 < found[treg].mean() < 0.7  # dropout: the gene alone cannot name the cells
    assert found[others].mean() < 0.05


def test_the_assay_finds_more_regulatory_cells_than_are_there() -> None:
    blood = compose(MODEL, "sle", typical_patient(MODEL), 1, load_trial(SLE).dosing.days, Options())
    seen = biased(MODEL, load_citeseq(), blood)
    true, found = (expected_percent(MODEL, c, "Treg", "CD4") for c in (blood, seen))
    odds = np.log(found / (100 - found)) - np.log(true / (100 - true))
    assert odds == pytest.approx(0.25)
    assert seen.leaves.sum() == pytest.approx(1.0)
    same = [expected_percent(MODEL, c, "CD4", "lymphocytes") for c in (blood, seen)]
    assert same[0] == pytest.approx(same[1])


def with_totals(clinic: SimulatedClinic) -> SimulatedClinic:
    """The same clinic, with scores as totals instead of items."""
    measures = {
        cohort: {name: replace(measure, items={}) for name, measure in own.items()}
        for cohort, own in clinic.measures.items()
    }
    return replace(clinic, measures=measures)


def test_a_patient_with_more_regulatory_cells_than_usual_improves_more() -> None:
    clinic, design = with_totals(load_clinic()), load_trial(SLE)
    changes = []
    for patient in range(150):
        visits = [Bleed(patient, design.visit(name), design.visit(name).target_day, 1) for name in ("W0", "W10")]
        for excess in (0.0, clinic.treg_log_fold_sd):
            chart = Chart(69, 1.0, {1: 0.0, 71: excess})
            rows = pd.DataFrame(measure_patient(clinic, "sle", "p", visits, chart, 3))
            score = rows[rows.variable == "SELENA_SLEDAI"].set_index("visit").value
            changes.append(score["W10"] - score["W0"])
    usual, more = np.array(changes).reshape(-1, 2).T
    # one sd of log Treg is worth the correlation times one sd of the change
    assert (more - usual).mean() == pytest.approx(-0.25 * 3.5, abs=0.15)


@pytest.mark.parametrize("trial", builtin_trials())
def test_no_virtual_patient_has_a_value_that_a_clinic_would_not_believe(trial: str, tmp_path: Path) -> None:
    design = load_trial(trial)
    study = VirtualTrial(MODEL, design, Options(), 5, chosen_visits(design, None), 120)
    file = tmp_path / "measurements.csv"
    pd.DataFrame(study.clinical_tables()["measurements"]).to_csv(file, index=False)
    assert len(read_measurements(file)) > 120  # which refuses values beyond the variable's limits
