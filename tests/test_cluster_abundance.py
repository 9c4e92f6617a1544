"""Clusters at two visits: edgeR, level and power on simulated clusters, refusals, the command."""

from __future__ import annotations

import itertools
from pathlib import Path

import differential_abundance as benchmark
import numpy as np
import pandas as pd
import pytest
from builders import REFERENCE
from fcs_builder import fcs_bytes
from scipy.stats import binom

import immunolab as il
from immunolab.cli import main
from immunolab.comparison.abundance import differential_abundance
from immunolab.errors import InputError
from immunolab.schema.cells import ABUNDANCE
from immunolab.workflow.cluster_visits import sheet_of

DATA, R = (pd.read_csv(REFERENCE / "statistics" / f"abundance{end}.csv") for end in ("", "_R"))
DESIGN = np.column_stack([pd.get_dummies(DATA["patient"]).to_numpy(float), DATA["after"]])
COUNTS = DATA.filter(regex="^X").T.to_numpy()


def test_the_model_agrees_with_edger() -> None:
    phi = float(R["dispersion"].iloc[0])
    found = differential_abundance(COUNTS, DATA["parents"], DESIGN, dispersion=phi)
    for name in ("ci_low", "ci_high", "p_value", "df", "s2", "posterior"):
        assert getattr(found, name) == pytest.approx(R[name].to_numpy(), rel=1e-4), name
    assert found.estimate == pytest.approx(R["estimate"].to_numpy(), abs=1e-3)  # of edgeR's own tolerance
    assert differential_abundance(COUNTS, DATA["parents"], DESIGN).dispersion == pytest.approx(phi, rel=2e-3)


def test_without_an_event_at_a_visit_there_is_one_limit() -> None:
    counts = COUNTS.copy()
    counts[2, DATA["after"] == 1] = 0
    found = differential_abundance(counts, DATA["parents"], DESIGN)
    assert np.isnan(found.estimate[2])
    assert np.isnan(found.ci_low[2])
    assert found.ci_high[2] < 0
    assert found.p_value[2] < 1e-3


def test_the_order_of_clusters_and_swapping_visits_change_only_order_and_sign() -> None:
    found = differential_abundance(COUNTS, DATA["parents"], DESIGN)
    turned = DESIGN.copy()
    turned[:, -1] = 1 - turned[:, -1]
    back = differential_abundance(COUNTS[::-1], DATA["parents"], turned)
    assert back.p_value[::-1] == pytest.approx(found.p_value, rel=1e-3)
    assert back.ci_low[::-1] == pytest.approx(-found.ci_high, abs=1e-3)


@pytest.mark.parametrize("cell", [{"n": 5}, {"n": 8, "unequal": 3.0}, {"n": 8, "zeros": 0.2}])
def test_unchanged_clusters_are_called_at_most_one_in_twenty(cell) -> None:
    rng = np.random.default_rng(3)
    drawn = [benchmark.simulate(rng, clusters=15, **cell) for _ in range(20)]
    p = np.concatenate([benchmark.quasi(counts, parents)[0] for counts, parents, _ in drawn])
    tested = p[np.isfinite(p)]
    assert tested.size > 180
    assert binom.sf((tested < 0.05).sum() - 1, tested.size, 0.05) > 1e-3


def test_doubled_clusters_are_found_without_more_false_ones() -> None:
    row = benchmark.measure(5, 15, {"n": 8, "clusters": 15, "fold": 2.0})[0]
    assert row["found"] > 0.75
    assert row["coverage"] > 0.91
    assert row["false_discoveries"] < 0.12


def tables(n: int = 6, seed: int = 2) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return sizes of five clusters in both visits of patients, the second doubled, and their sheet."""
    rng, sizes, sheet = np.random.default_rng(seed), [], []
    for patient, visit in itertools.product(range(n), ("W0", "W10")):
        name = f"P{patient}_{visit}"
        share = np.array([0.3, 0.05 * (2 if visit == "W10" else 1), 0.1, 0.2, 0.0003])
        own = rng.multinomial(6000, [*share, 1 - share.sum()])[:5]
        sizes += [(name, k + 1, f"c{k + 1}", int(y), 6000) for k, y in enumerate(own)]
        sheet.append((name, f"P{patient}", visit))
    columns = ["sample_id", "cluster", "label", "n_events", "n_parent"]
    return pd.DataFrame(sizes, columns=columns), pd.DataFrame(sheet, columns=["sample_id", "patient_id", "visit"])


def test_a_doubled_cluster_is_found_and_a_rare_one_is_described() -> None:
    sizes, sheet = tables()
    found = il.cluster_abundance(sizes, sheet, before="W0", after="W10").set_index("cluster")
    assert found.at[2, "fold"] == pytest.approx(2.0, rel=0.15)
    assert found.at[2, "q_value"] < 0.01
    assert (found.loc[[1, 3, 4], "q_value"] > 0.05).all()
    assert pd.isna(found.at[5, "p_value"])
    assert found.at[5, "warnings"] == "E_FEW_EVENTS"
    medians = sizes[sizes["cluster"] == 3].merge(sheet).groupby("visit")["n_events"].median() / 60
    assert found.at[3, "median_before"] == pytest.approx(medians["W0"])


def test_cohorts_are_compared_each_by_itself_and_two_pairs_are_described() -> None:
    sizes, sheet = tables(8)
    sheet["cohort"] = np.where(sheet["patient_id"].isin(["P0", "P1"]), "placebo", "drug")
    found = il.cluster_abundance(sizes, sheet, before="W0", after="W10")
    assert set(found.groupby("cohort")["n_pairs"].first().items()) == {("drug", 6), ("placebo", 2)}
    few = found[found["cohort"] == "placebo"]
    assert few["p_value"].isna().all()
    assert few["warnings"].str.contains("E_N_MIN").all()


def test_batches_are_taken_off_or_said_to_be_the_visit() -> None:
    sizes, sheet = tables(8)
    aliased = il.cluster_abundance(sizes, sheet.assign(batch=sheet["visit"]), before="W0", after="W10")
    assert aliased["warnings"].str.contains("E_BATCH_ALIASED").all()
    moved = (sheet["visit"] == "W10") & sheet["patient_id"].isin(["P0", "P1", "P2"])
    found = il.cluster_abundance(sizes, sheet.assign(batch=np.where(moved, "B2", "B1")), before="W0", after="W10")
    assert found["method"].iloc[0].endswith("adjusted for 1 batch difference(s)")
    assert found["warnings"].isna().sum() == 4
    lost = il.cluster_abundance(sizes, sheet.assign(batch=np.where(moved, None, "B1")), before="W0", after="W10")
    assert lost["warnings"].str.contains("W_BATCH_UNKNOWN").all()
    assert not lost["method"].str.contains("adjusted").any()


def test_what_cannot_be_paired_is_refused_with_every_reason() -> None:
    sizes, sheet = tables(3)
    with pytest.raises(InputError) as caught:
        il.cluster_abundance(sizes, sheet[sheet["sample_id"] != "P0_W0"], before="W0", after="W24")
    text = str(caught.value)
    assert "not in the sheet: P0_W0" in text
    assert "no file has visit 'W24'" in text
    unpaired = sheet[(sheet["patient_id"] == "P0") == (sheet["visit"] == "W0")]
    some = sizes[sizes["sample_id"].isin(unpaired["sample_id"])]
    with pytest.raises(InputError, match="no patient has both W0 and W10"):
        il.cluster_abundance(some, unpaired, before="W0", after="W10")
    with pytest.raises(InputError, match="P1 has several files of W0"):
        il.cluster_abundance(sizes, sheet.replace({"P0": "P1"}), before="W0", after="W10")
    with pytest.raises(InputError, match="no patient is named of P0_W0, P0_W10"):
        il.cluster_abundance(sizes, sheet.replace({"P0": None}), before="W0", after="W10")


def test_what_is_no_table_or_lacks_a_column_is_said() -> None:
    sizes, sheet = tables(3)
    with pytest.raises(InputError, match=r"sizes  str is not a table\n.*give a DataFrame"):
        il.cluster_abundance("sizes.csv", sheet, before="W0", after="W10")
    with pytest.raises(InputError, match=r"sizes:column n_parent  the column is missing\n.*the table has sample_id"):
        il.cluster_abundance(sizes.drop(columns="n_parent"), sheet, before="W0", after="W10")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory):
    """Tubes of four patients at two visits; the CD25 positive cells double."""
    folder, rng, paths, rows = tmp_path_factory.mktemp("visits"), np.random.default_rng(0), [], []
    for patient, (visit, share) in itertools.product(range(4), (("W0", 0.1), ("W10", 0.2))):
        positive = rng.random(2000) < share
        shown = np.stack([rng.normal(3, 0.3, 2000), np.where(positive, 3.5, 0.3) + rng.normal(0, 0.25, 2000)], axis=1)
        path = folder / f"P{patient}_{visit}.fcs"
        path.write_bytes(fcs_bytes(150 * np.sinh(shown), ["A-A", "B-A"], keywords={"$P1S": "CD4", "$P2S": "CD25"}))
        paths.append(str(path))
        rows.append((f"P{patient}", visit, f"somewhere/{path.name}"))
    sheet = folder / "samples.csv"
    pd.DataFrame(rows, columns=["patient_id", "visit", "file"]).to_csv(sheet, index=False)
    return paths, sheet


def test_the_command_compares_visits(files, tmp_path, capsys) -> None:
    paths, sheet = files
    visits = ["--before", "W0", "--after", "W10", "--sheet", str(sheet), "--clusters", "2"]
    assert main(["cluster", *paths, *visits, "-o", str(tmp_path)]) == 0
    found = ABUNDANCE.read(tmp_path / "abundance.csv")
    assert found["fold"].max() == pytest.approx(2.0, rel=0.15)
    assert "2 of 2 clusters tested changed, W10 - W0, 4 pairs" in capsys.readouterr().out
    assert (tmp_path / "figures" / "abundance.png").exists()


def test_the_command_refuses_before_it_clusters(files, tmp_path, capsys) -> None:
    paths, sheet = files
    assert main(["cluster", *paths, "--before", "W0", "--after", "W10", "-o", str(tmp_path)]) == 1
    assert "needs --sheet, --before and --after" in capsys.readouterr().err
    assert (
        main(["cluster", *paths[::2], "--before", "W0", "--after", "W10", "--sheet", str(sheet), "-o", str(tmp_path)])
        == 1
    )
    said = capsys.readouterr().err
    assert f"{sheet}  no file has visit 'W10'" in said
    assert not (tmp_path / "clusters.csv").exists()


def test_a_sheet_of_semicolons_or_a_workbook_is_read_and_what_it_has_is_said(files, tmp_path, capsys) -> None:
    paths, sheet = files
    table = pd.read_csv(sheet)
    table.rename(columns={"patient_id": "Patient ID"}).to_csv(tmp_path / "semicolons.csv", sep=";", index=False)
    table.to_excel(tmp_path / "sheet.xlsx", index=False)
    expected = sheet_of(sheet, [Path(p) for p in paths], "W0", "W10")
    for name in ("semicolons.csv", "sheet.xlsx"):
        assert sheet_of(tmp_path / name, [Path(p) for p in paths], "W0", "W10").equals(expected)
    table.rename(columns={"patient_id": "Patient"}).to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(InputError, match="the sheet has patient, visit, file"):
        sheet_of(tmp_path / "other.csv", [Path(p) for p in paths], "W0", "W10")
