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
from immunolab.simulation import Options, simulate, simulate_counts
from immunolab.simulation.biology import compose, expected_percent, pharmacodynamics, typical_patient
from immunolab.simulation.cells import spillover_matrix
from immunolab.simulation.fcs_writer import write_fcs
from immunolab.simulation.model import load_model
from immunolab.simulation.schedule import plan_bleeds
from immunolab.study.sheet import read_study
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


@pytest.mark.parametrize("trial", builtin_trials())
def test_every_design_gives_a_study_that_checks_out(trial: str, tmp_path: Path) -> None:
    simulate(trial, patients=2, seed=1, folder=tmp_path / "study", events=200)
    study = read_study(tmp_path / "study")
    assert {sample.patient_id for sample in study.samples} == {f"{trial[:3].strip('_').upper()}00{i}" for i in (1, 2)}
    foxp3 = any("Treg_FOXP3" in e.needs.populations for e in study.endpoints)
    assert set(study.panels) == ({"surface", "foxp3"} if foxp3 else {"surface"})
    folds = pd.read_csv(tmp_path / "study" / "truth" / "folds.csv")
    registered = {e.id for e in study.endpoints if e.share}
    assert set(folds.endpoint) == registered


def test_a_design_of_ones_own_starts_from_health(tmp_path: Path) -> None:
    own = tmp_path / "mine.yaml"
    source = Path(load_trial.__code__.co_filename).parent / "trials" / f"{SLE}.yaml"
    own.write_text(source.read_text(encoding="utf-8").replace(f"id: {SLE}", "id: mytrial"), encoding="utf-8")
    simulate(own, patients=1, seed=1, folder=tmp_path / "study", events=200)
    study = read_study(tmp_path / "study")
    assert study.trial is not None
    assert study.trial.id == "mytrial"
    folds = pd.read_csv(tmp_path / "study" / "truth" / "folds.csv").set_index("endpoint")
    assert folds.percent_before["treg_pct_cd4"] == pytest.approx(6.7)


def test_the_writer_keeps_separators_empty_data_and_values(tmp_path: Path) -> None:
    values = np.array([[1.5, -3.25, 262143.0], [0.0, 1e-3, 7.0]], dtype=np.float32)
    write_fcs(tmp_path / "a.fcs", ["FSC-A", "B|C"], ["", "CD4|CD8"], values)
    frame, data = read(tmp_path / "a.fcs")
    np.testing.assert_array_equal(frame.to_numpy().T, values)
    assert data.pns_labels == ["", "CD4|CD8"]
    write_fcs(tmp_path / "empty.fcs", ["FSC-A"], [""], np.empty((1, 0), dtype=np.float32))
    assert flowio.FlowData(str(tmp_path / "empty.fcs"), only_text=True).text["tot"] == "0"


def test_the_simulator_shares_no_code_with_gating_or_loaders() -> None:
    code = "import sys, immunolab.simulation; print([m for m in sys.modules if m.startswith('immunolab.')])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "immunolab.simulation.cells" in loaded
    for room in ("gating", "loaders", "quality", "clustering", "quantify"):
        assert f"immunolab.{room}" not in loaded


def test_everything_wrong_is_reported_at_once(tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_text("kept", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        simulate(SLE, patients=0, seed=1, folder=tmp_path, visits=["W0", "W1O"])
    assert str(caught.value) == (
        f"trial {SLE} has no visit 'W1O'\n"
        "    hint: visits: W0, W2, W4, W6, W8, W10, W24\n"
        "0 patients cannot be simulated\n"
        "    hint: at least 1\n"
        f"{tmp_path}  the folder is not empty\n"
        "    hint: name a new folder; nothing is overwritten\n"
        "3 problems"
    )
    assert (tmp_path / "old.txt").read_text(encoding="utf-8") == "kept"


@pytest.mark.parametrize("name", ["events", "centres", "citeseq", "faults", "drift"])
def test_a_negative_setting_is_refused(name: str, tmp_path: Path) -> None:
    settings = {"events": -1} if name == "events" else {"options": Options(**{name: -1})}  # type: ignore[arg-type]
    with pytest.raises(InputError, match=f"{name}: -1 cannot be simulated"):
        simulate(SLE, patients=1, seed=1, folder=tmp_path / "x", **settings)  # type: ignore[arg-type]
    assert not (tmp_path / "x").exists()


def test_a_wrong_bridge_without_bridges_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="wrong_bridge: fade, but no bridging control is simulated"):
        simulate(SLE, patients=1, seed=1, folder=tmp_path / "x", options=Options(wrong_bridge="fade"))


def test_crossed_runs_hold_each_visit_of_some_patients() -> None:
    visits = [visit for visit in load_trial(SLE).visits if visit.name in ("W0", "W10")]
    bleeds = plan_bleeds(MODEL, Options(batches="crossed"), visits, 12, 1)
    runs = pd.DataFrame([(b.patient, b.visit.name, b.batch) for b in bleeds], columns=["patient", "visit", "run"])
    assert (runs.groupby(["run", "visit"]).size() == 3).all()
    sides = runs.pivot_table(index="patient", columns="visit", values="run")
    assert set((sides["W10"] - sides["W0"]) % 4) == {1.0}


def test_a_healthy_cohort_in_a_lupus_design() -> None:
    healthy = simulate_counts(SLE, patients=60, seed=2, visits=("W0",), options=Options(baseline="hc"))
    lupus = simulate_counts(SLE, patients=60, seed=2, visits=("W0",))

    def median(counts: pd.DataFrame) -> float:
        return float(counts[counts.endpoint == "tfh_pct_cd4"].value.median())

    assert median(healthy) == pytest.approx(1.2, rel=0.25)
    assert median(lupus) == pytest.approx(2.8, rel=0.25)


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
