"""Labels of single cells: on published cells with known labels, and on simulated ones with planted truth."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import concat, read_h5ad
from builders import data_folder
from sklearn.metrics import f1_score

from immunolab.cells.label import LabelledCells, label_cells
from immunolab.cells.pseudobulk import pseudobulk, response_by_sample
from immunolab.cells.study_rows import population_counts
from immunolab.cells.subsets import Answers, name_cd4
from immunolab.cli import main
from immunolab.comparison.expression import expression_change, why_untested
from immunolab.comparison.method_agreement import method_agreement, paired_methods
from immunolab.events.cells import cell_data
from immunolab.loaders.single_cell import join_cells, read_cells
from immunolab.quantify import endpoint_values
from immunolab.simulation import Options, simulate
from immunolab.study.endpoints import PercentOfParent, SampleCounts

CELLS_A_SAMPLE = 700


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("citeseq") / "study"
    simulate(
        "sle_nct02084238", patients=3, seed=11, folder=folder, visits=["W0", "W10"], events=2000,
        options=Options(citeseq=CELLS_A_SAMPLE),
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def planted(study: Path) -> tuple[Path, pd.DataFrame]:
    files = sorted((study / "cells").glob("*.h5ad"))
    concat([read_h5ad(file) for file in files]).write_h5ad(study / "all.h5ad")
    truth = [pd.read_parquet(study / "truth" / "events" / f"{file.stem}.parquet") for file in files]
    return study / "all.h5ad", pd.concat(truth, ignore_index=True)


def f1(truth: pd.DataFrame, found: LabelledCells, population: str, label: str) -> float:
    single = truth["singlet"].to_numpy()
    return float(f1_score(truth.loc[single, population], (found.table["label"] == label).to_numpy()[single]))


def test_surface_proteins_recover_planted_subsets(planted: tuple[Path, pd.DataFrame]) -> None:
    path, truth = planted
    found = label_cells(read_cells(path))
    for population, label, least in (
        ("CD8", "CD8", 0.97), ("B", "B", 0.97), ("NK", "NK", 0.95), ("Treg", "Treg", 0.8), ("Th17", "Th17", 0.65),
        ("CD4_naive", "CD4_naive", 0.9),
    ):  # fmt: skip
        assert f1(truth, found, population, label) >= least, population
    assert {"CD25-CD127", "CD45RA", "CXCR5"} <= set(found.thresholds["marker"])
    assert set(found.thresholds["scope"]) == {"study"}
    # every sample is cut at the same place
    assert found.thresholds.groupby("marker")["threshold"].nunique().max() == 1


def test_genes_alone_recover_planted_subsets(planted: tuple[Path, pd.DataFrame], tmp_path: Path) -> None:
    path, truth = planted
    data = read_h5ad(path)
    del data.obsm["protein"]
    data.write_h5ad(tmp_path / "genes.h5ad")
    found = label_cells(read_cells(tmp_path / "genes.h5ad"))
    for population, label, least in (("CD8", "CD8", 0.9), ("B", "B", 0.95), ("NK", "NK", 0.95), ("Treg", "Treg", 0.7)):
        assert f1(truth, found, population, label) >= least, population
    assert set(found.table["label"]) <= {
        "B", "NK", "CD8", "Mono", "Treg", "CD4", "CD4_naive", "CD4_mem", "CD4_CM", "CD4_EM", "CD4_TEMRA",
        "Th1", "Th2", "Th17", "Tfh", "CD3", "DC", "pDC", "HSPC", "Plasma", "Platelet", "Ery", "unassigned",
    }  # fmt: skip


def test_the_command_writes_one_row_a_cell_and_the_same_bytes_twice(
    planted: tuple[Path, pd.DataFrame], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = sorted((planted[0].parent / "cells").glob("*.h5ad"))[0]
    for name in ("a.csv", "b.csv"):
        assert main(["label", str(first), "-o", str(tmp_path / name)]) == 0
    table = pd.read_csv(tmp_path / "a.csv")
    assert list(table.columns) == ["cell_id", "sample_id", "label", "confidence"]
    assert len(table) == CELLS_A_SAMPLE
    assert table["confidence"].between(0, 1).all()
    assert table["sample_id"].unique().tolist() == [first.stem]
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert "lineages are called by genes and surface proteins" in capsys.readouterr().out


def test_the_order_of_cells_does_not_matter_to_borders() -> None:
    rng = np.random.default_rng(5)
    treg = np.arange(2000) < 120
    counts = np.column_stack(
        [
            rng.poisson(80, 2000), rng.poisson(300, 2000), rng.poisson(2, 2000),
            rng.poisson(np.where(treg, 60, 4)), rng.poisson(np.where(treg, 3, 30)),
            rng.poisson(np.where(rng.random(2000) < 0.5, 90, 6)),
        ]
    ).astype(float)  # fmt: skip
    other = np.column_stack([rng.poisson(3, 1500), rng.poisson(5, 1500), rng.poisson(500, 1500)])
    other[:700, 0] += rng.poisson(80, 700)
    counts = np.vstack([counts, np.hstack([other, rng.poisson(3, (1500, 3))])])
    markers = ("CD3", "CD4", "CD8", "CD25", "CD127", "CD45RA")
    ids, samples = [f"c{i}" for i in range(3500)], ["S"] * 3500
    cells = cell_data(ids, samples, protein=pd.DataFrame(counts, columns=markers))
    found = label_cells(cells)
    assert f1_score(np.arange(3500) < 120, found.table["label"] == "Treg") > 0.97
    turned = cell_data(ids[::-1], samples, protein=pd.DataFrame(counts[::-1], columns=markers))
    again = label_cells(turned).table["label"].to_numpy()[::-1]
    assert (again == found.table["label"].to_numpy()).mean() > 0.99


def test_treg_of_small_samples_are_near_what_was_drawn_or_said_to_be_doubtful(study: Path, tmp_path: Path) -> None:
    """Naive Treg are no part of the negative reference, and a border that could as well be elsewhere carries a flag."""
    few = tmp_path / "few"
    options = Options(events=500, citeseq=CELLS_A_SAMPLE, truth_events=False)
    simulate("sle_nct02084238", patients=3, seed=4, folder=few, visits=["W0", "W10"], options=options)
    doubtful = 0
    for folder in (study, few):
        cells = [read_cells(path) for path in sorted((folder / "cells").glob("*.h5ad"))]
        together = _treg_of(label_cells(join_cells(cells)), folder)
        assert 0.75 < together["ratio"].median() < 1.5
        assert not together["wide"].any()
        for one in cells:
            found = label_cells(one)
            (alone,) = _treg_of(found, folder).itertuples()
            assert alone.wide or alone.few or 0.5 < alone.ratio < 1.6
            if alone.wide:
                counts = population_counts(found, [alone.Index], ())
                asked = [PercentOfParent(id="treg", source="", population="Treg", parent="CD4")]
                (value,) = endpoint_values(asked, SampleCounts(counts))
                assert "wide_interval" in str(value["flag"])
                assert any("Treg: its share is doubtful" in note for note in found.notes)
            doubtful += alone.wide
    assert 0 < doubtful < len(cells)


def _treg_of(found: LabelledCells, folder: Path) -> pd.DataFrame:
    """Return the ratio of Treg to what was drawn in each sample, and which words it carries."""
    truth = pd.read_csv(folder / "truth" / "populations.csv").query("population == 'Treg' and parent == 'CD4'")
    counts = population_counts(found, sorted(set(found.table["sample_id"])), ())
    treg = counts[counts["population"] == "Treg"].set_index("sample_id")
    ratio = treg["percent_of_parent"] / truth.set_index("sample_id")["percent_of_parent"]
    wide, few = (treg["flag"].fillna("").str.contains(word) for word in ("wide_interval", "below_lo[dq]"))
    return pd.DataFrame({"ratio": ratio, "wide": wide, "few": few}).dropna()


def test_what_cannot_be_determined_keeps_the_name_of_its_parent() -> None:
    half = np.array([0.9, 0.1])
    assert name_cd4(2, Answers()).labels.tolist() == ["CD4", "CD4"]
    assert name_cd4(2, Answers(treg=half)).labels.tolist() == ["Treg", "CD4"]
    assert name_cd4(2, Answers(treg=1 - half, naive=half)).labels.tolist() == ["CD4_naive", "Treg"]
    memory = Answers(naive=np.array([0.1, 0.2]), cxcr3=half, ccr6=1 - half)
    named = name_cd4(2, memory)
    assert named.labels.tolist() == ["Th1", "Th17"]
    assert named.confidence == pytest.approx([0.81, 0.8])


def test_published_sorted_cells_by_genes() -> None:
    path = data_folder("single_cell/zheng2017_sorted_fastTopics") / "zheng2017_sorted_pbmc.h5ad"
    cells = read_cells(path)
    sorted_as = cells.obs["sorted_population"].astype(str).to_numpy()
    label = label_cells(cells).table["label"].to_numpy().astype(str)
    lineage = np.where(np.isin(label, ["B", "NK", "Mono", "HSPC", "Plasma", "DC", "pDC", "unassigned"]), label, "T")
    names = {"CD14+ Monocyte": "Mono", "CD19+ B": "B", "CD34+": "HSPC", "CD56+ NK": "NK"}
    truth = np.array([names.get(name, "T") for name in sorted_as])
    assert f1_score(truth, lineage, average="macro", labels=["T", "B", "NK", "HSPC", "Mono"]) >= 0.88
    t_cells = truth == "T"
    cd4 = np.array([name.startswith("CD4+") for name in sorted_as])[t_cells]
    assert f1_score(cd4, ((lineage == "T") & (label != "CD8"))[t_cells]) >= 0.88
    assert f1_score(~cd4, (label == "CD8")[t_cells]) >= 0.80


def test_published_gated_cells_by_nine_proteins() -> None:
    path = data_folder("single_cell/kotliarov2020_adt9") / "kotliarov2020_adt9_20donors.h5ad"
    cells = read_cells(path)
    truth = cells.obs["cell_type_l2"].astype(str).to_numpy()
    label = label_cells(cells).table["label"].to_numpy().astype(str)
    kept = truth != "undefined"
    for name, found, least in (
        ("Treg", "Treg", 0.85),
        ("naive CD4", "CD4_naive", 0.88),
        ("memory CD4", "CD4_mem", 0.88),
    ):
        assert f1_score(truth[kept] == name, label[kept] == found) >= least, name
    frame = pd.DataFrame({"donor": cells.obs["donor"].astype(str).to_numpy(), "truth": truth, "label": label})
    cd4 = {"truth": ["Treg", "naive CD4", "memory CD4"], "label": ["Treg", "CD4_naive", "CD4_mem"]}
    percent = {
        column: frame[frame[column].isin(names)].groupby("donor")[column].agg(lambda c: (c == "Treg").mean())
        for column, names in cd4.items()
    }
    assert np.corrcoef(percent["truth"], percent["label"])[0, 1] >= 0.85


def test_interferon_raises_its_score_in_both_donors_and_two_donors_give_no_p() -> None:
    from immunolab.comparison.plan import Plan
    from immunolab.comparison.table import compare_endpoints

    path = data_folder("single_cell/kang2018_ifnb_paired") / "kang2018_ifnb_subset.h5ad"
    cells = read_cells(path)
    cd4 = cells.obs["cell_type"].astype(str).to_numpy() == "CD4 T cells"
    score = response_by_sample(cells, cd4, "IFN_response").set_index("sample_id")["value"]
    for donor in ("101", "107"):
        assert score[f"ctrl{donor}"] < -0.3 < 0.3 < score[f"stim{donor}"]
    rows = pd.DataFrame(
        {
            "sample_id": score.index, "patient_id": score.index.str[-3:], "visit": score.index.str[:4], "cohort": None,
            "endpoint": "IFN", "population": "CD4", "value": score.to_numpy(), "unit": "score",
        }
    )  # fmt: skip
    shift = compare_endpoints(rows, Plan(before="ctrl", after="stim")).shifts.iloc[0]
    assert pd.isna(shift["p_value"])
    assert shift["warnings"]
    visits = pd.DataFrame(rows[["sample_id", "patient_id", "visit"]])
    table = expression_change(pseudobulk(cells, cd4).counts.T, visits, before="ctrl", after="stim")
    assert table["p_value"].isna().all()
    assert why_untested(table) == "2 pair(s) with enough cells, a test needs 3"


def test_paired_expression_finds_a_planted_gene() -> None:
    from scipy.sparse import csr_matrix

    rng = np.random.default_rng(8)
    genes = tuple(f"G{i}" for i in range(60))
    samples, blocks, visits = [], [], []
    for patient in range(5):
        level = rng.gamma(2.0, 1.0, 60)
        for visit, factor in (("W0", 1.0), ("W10", 3.0)):
            mean = level * np.where(np.arange(60) == 7, factor, 1.0)
            blocks.append(rng.poisson(mean, (60, 60)))
            samples += [f"P{patient}_{visit}"] * 60
            visits.append({"sample_id": f"P{patient}_{visit}", "patient_id": f"P{patient}", "visit": visit})
    counts = csr_matrix(np.vstack(blocks).astype(np.float32))
    ids = [str(i) for i in range(len(samples))]
    cells = cell_data(ids, samples, genes=genes, normalised=counts, counts=counts)
    bulk = pseudobulk(cells, np.ones(len(samples), dtype=bool))
    assert bulk.counts.loc["P0_W0"].sum() == blocks[0].sum()
    found = expression_change(bulk.counts.T, pd.DataFrame(visits), before="W0", after="W10")
    assert why_untested(found) == ""
    assert found.loc[0, "gene"] == "G7"
    assert found.loc[0, "log2_fold"] == pytest.approx(np.log2(3), abs=0.2)
    assert (found.loc[1:, "q_value"] > 0.05).mean() > 0.9


def test_agreement_recovers_a_planted_bias() -> None:
    rng = np.random.default_rng(4)
    rows = []
    for number in range(30):
        odds = np.exp(rng.normal(-2.5, 0.5))
        for suffix, factor in (("", 1.0), ("_cells", 1.6)):
            p = odds * factor / (1 + odds * factor)
            n = int(rng.binomial(5000, p))
            rows.append(
                {
                    "patient_id": f"P{number}", "visit": "W0", "endpoint": f"treg{suffix}", "population": "Treg",
                    "parent": "CD4", "unit": "%", "value": n / 50, "n_events": n, "n_parent": 5000,
                }
            )  # fmt: skip
    found = method_agreement(paired_methods(pd.DataFrame(rows), {"treg_cells": "treg"})).iloc[0]
    assert found["n_pairs"] == 30
    assert found["bias_ci_low"] < np.log(1.6) < found["bias_ci_high"]
    assert found["bias"] == pytest.approx(np.log(1.6), abs=0.06)
    assert (found["limit_high"] - found["limit_low"]) / 3.92 == pytest.approx(found["counting_sd"], rel=0.4)


def test_a_study_with_flow_and_cells_has_both_in_its_tables(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from immunolab.workflow.run import run

    out = tmp_path / "out"
    outcome = run(study, out=out, tables_only=True)
    assert not outcome.failed
    tables = {name: pd.read_csv(out / "tables" / f"{name}.csv") for name in ("counts", "endpoints", "shifts", "pairs")}
    assert set(tables["counts"]["modality"]) == {"flow", "single_cell"}
    endpoints = set(tables["shifts"]["endpoint"])
    assert {"treg_pct_cd4", "treg_pct_cd4_cells", "IL2_STAT5_response_in_Treg"} <= endpoints
    cells = tables["shifts"][tables["shifts"]["endpoint"].str.contains("cells")]
    assert set(cells["role"]) == {"exploratory"}
    agreement = pd.read_csv(out / "tables" / "method_agreement.csv").set_index("endpoint")
    assert agreement.loc["treg_pct_cd4", "n_pairs"] == 6
    # the simulated assay finds exp(0.25) times the Treg; six visits of 700 cells measure it no closer than this
    assert agreement.loc["treg_pct_cd4", "limit_low"] < 0.25 < agreement.loc["treg_pct_cd4", "limit_high"]

    first = {path.name: path.read_bytes() for path in (out / "tables").glob("*.csv")}
    with monkeypatch.context() as patched, caplog.at_level("INFO", logger="immunolab"):
        patched.setattr("immunolab.workflow.label_cells.cell_tables", None)  # a second run labels nothing
        run(study, out=out, tables_only=True)
    assert "single cells kept" in caplog.text
    assert {path.name: path.read_bytes() for path in (out / "tables").glob("*.csv")} == first
    with monkeypatch.context() as patched:
        patched.setattr("immunolab.workflow.label_cells.cell_tables", None)
        with pytest.raises(TypeError):  # another seed is another labelling
            run(study, out=out, tables_only=True, seed=1)


def test_an_anndata_is_labelled_clustered_and_mapped_in_place(
    planted: tuple[Path, pd.DataFrame], tmp_path: Path
) -> None:
    import immunolab as il
    from immunolab.clustering.embedding import _LOOPS as umap_loops

    cells = il.read_cells(planted[0])
    expected = label_cells(cells)
    plain = read_h5ad(planted[0])  # as a user of scanpy has it, not read here
    for data in (cells, plain):
        assert il.label(data) is None
        assert data.obs["immunolab_label"].tolist() == expected.table["label"].tolist()
        inside = data.obsm["populations"]["Treg"].to_numpy()
        chance = data.obsm["immunolab_probability"]["Treg"].to_numpy()
        assert (chance[inside] >= 0.5).all()
        assert np.isnan(chance[~data.obsm["populations"]["CD4"] & data.obs["immunolab_passed"].to_numpy()]).all()
    il.cluster(cells, clusters=8)
    assert cells.obs["immunolab_cluster"].nunique() == 8
    b_cells = cells.obs["immunolab_label"] == "B"
    assert (cells.obs["immunolab_cluster_label"][b_cells] == "B").mean() > 0.9
    il.umap(cells, events=300)
    assert np.isfinite(cells.obsm["X_umap"]).all(axis=1).sum() == 300
    assert all(getattr(sys.modules["umap.umap_"], name).stats.cache_path for name in umap_loops)  # not compiled anew
    assert il.pl.umap(cells).get_xlabel() == "UMAP 1 (n = 300 cells)"
    cells.write_h5ad(tmp_path / "labelled.h5ad")
    assert set(read_h5ad(tmp_path / "labelled.h5ad").uns["immunolab"]) >= {"populations", "thresholds", "clusters"}
