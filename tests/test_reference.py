"""Labels by a reference: planted kinds, calibration, kinds that it lacks, what is missing, a study, published cells."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from builders import data_folder
from scipy.sparse import csr_matrix

import immunolab as il
from immunolab import errors
from immunolab.cells.reference import UNLIKE, _groups, _in_common, _learnt, label_by_reference, population_called
from immunolab.cells.reference_classifier import calibration_error, classify
from immunolab.cells.reference_evidence import is_informative, own_evidence
from immunolab.cells.reference_lineages import contradicted_lineages
from immunolab.cells.reference_siblings import chance_between_siblings, lacking
from immunolab.cli import main
from immunolab.loaders.single_cell import interpret_cells
from immunolab.results.findings import findings

KINDS = ("CD4 T cells", "Treg", "B cells", "NK cells")
GENES = ("CD3D", "MS4A1", *(f"GENE{i}" for i in range(398)))


def planted(sizes: dict[str, int], seed: int, *, depth: float = 1.0, platform: float = 0.0) -> AnnData:
    """Return cells of kinds that differ in 25 genes each; CD4 T cells and Treg share 20 of these."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(1)
    base = fixed.lognormal(-1.0, 1.0, len(GENES))
    moved = {}
    for number, kind in enumerate(KINDS):
        effect = np.zeros(len(GENES))
        effect[30 * number : 30 * number + 25] = 1.5
        moved[kind] = effect
    moved["Treg"][:20] = 1.5
    shift = rng.normal(0.0, platform, len(GENES))
    blocks, labels = [], []
    for kind, n in sizes.items():
        size = depth * rng.lognormal(0.0, 0.3, (n, 1))
        blocks.append(rng.poisson(size * base * np.exp(moved[kind] + shift)))
        labels += [kind] * n
    obs = pd.DataFrame({"cell_type": labels}, index=[f"c{seed}_{i}" for i in range(len(labels))])
    return AnnData(csr_matrix(np.vstack(blocks).astype(np.float32)), obs=obs, var=pd.DataFrame(index=list(GENES)))


@pytest.fixture(scope="module")
def reference() -> AnnData:
    return planted({"CD4 T cells": 220, "Treg": 120, "B cells": 150, "NK cells": 90}, seed=2)


def test_planted_kinds_of_another_depth_and_platform_get_their_labels_with_a_calibrated_probability(reference) -> None:
    query = planted({"CD4 T cells": 150, "Treg": 90, "B cells": 60, "NK cells": 120}, seed=3, depth=0.6, platform=0.15)
    il.label(query, reference=reference, labels="cell_type", quiet=True)
    truth = query.obs["cell_type"].map(population_called).astype(str).to_numpy()
    label = query.obs["immunolab_label"].astype(str).to_numpy()
    called = query.obs["immunolab_passed"].to_numpy() & (label != UNLIKE)
    assert (label == truth)[called].mean() > 0.97
    assert called.mean() > 0.9
    assert calibration_error(query.obs["immunolab_confidence"].to_numpy()[called], (label == truth)[called]) < 0.03
    members = query.obsm["populations"]
    assert set(members) == {"viable", "lymphocytes", "CD3", "CD4", "Treg", "B", "NK", UNLIKE}
    assert (members["CD4"] >= members["Treg"]).all()
    notes = "; ".join(query.uns["immunolab"]["notes"])
    assert "of its own held-out cells" in notes
    again = query.copy()
    il.label(again, reference=reference, labels="cell_type", quiet=True, seed=1)
    assert (again.obs["immunolab_label"].astype(str).to_numpy() == label).mean() >= 0.98


@pytest.mark.parametrize("gone", ["B cells", "NK cells", "Treg"])
def test_a_kind_that_the_reference_lacks_is_not_given_to_another(reference, gone: str) -> None:
    query = planted({"CD4 T cells": 150, "Treg": 90, "B cells": 60, "NK cells": 120}, seed=4)
    lacking = reference[(reference.obs["cell_type"] != gone).to_numpy()].copy()
    il.label(query, reference=lacking, labels="cell_type", quiet=True)
    unlike = (query.obs["immunolab_label"] == UNLIKE).to_numpy()
    own = (query.obs["cell_type"] == gone).to_numpy()
    assert unlike[own].mean() > 0.8
    assert unlike[~own].mean() < 0.1
    assert (query.obs["immunolab_confidence"].to_numpy()[unlike] == 0).all()


def test_what_the_cells_or_the_reference_lack_is_said(reference, tmp_path: Path) -> None:
    query = planted({"CD4 T cells": 80, "B cells": 60}, seed=5)[:, [0, 1, *range(70, 400)]].copy()
    il.label(query, reference=reference, labels="cell_type", quiet=True)
    assert any("are missing: GENE" in note for note in query.uns["immunolab"]["notes"])
    with pytest.raises(errors.InputError, match="there is no such column"):
        il.label(query, reference=reference, labels="celltype")
    with pytest.raises(errors.InputError, match="two labels of 20 cells"):
        il.label(query, reference=reference[:150].copy(), labels="cell_type")
    with pytest.raises(errors.InputError, match="not named"):
        il.label(query, reference=reference)
    with pytest.raises(errors.InputError, match="labels need a reference"):
        il.label(query, labels="cell_type")
    few = query[:, :60].copy()
    with pytest.raises(errors.InputError, match="60 genes and 0 surface proteins are in both"):
        il.label(few, reference=reference, labels="cell_type")
    reference.write_h5ad(tmp_path / "ref.h5ad")
    query.write_h5ad(tmp_path / "query.h5ad")
    asked = ["--reference", str(tmp_path / "ref.h5ad"), "--labels", "cell_type", "-o", str(tmp_path / "labels.csv")]
    assert main(["label", str(tmp_path / "query.h5ad"), *asked]) == 0
    assert pd.read_csv(tmp_path / "labels.csv")["label"].tolist() == query.obs["immunolab_label"].astype(str).tolist()


def test_labels_of_a_reference_are_counted_and_compared_in_a_study(reference, tmp_path: Path) -> None:
    reference.write_h5ad(tmp_path / "reference.h5ad")
    rows, truth = [], {}
    for number in range(3):
        for visit, treg in (("W0", 40), ("W10", 100)):
            name = f"P{number}_{visit}"
            planted({"CD4 T cells": 150, "Treg": treg, "B cells": 40}, seed=10 + 2 * number + (treg > 40)).write_h5ad(
                tmp_path / f"{name}.h5ad"
            )
            truth[name] = 100.0 * treg / (150 + treg)
            rows.append({"sample_id": name, "patient_id": f"P{number}", "visit": visit, "file": f"{name}.h5ad"})
    pd.DataFrame(rows).assign(modality="single_cell").to_csv(tmp_path / "samples.csv", index=False)
    text = "study: by reference\ncomparison: {before: W0, after: W10}\n"
    key = "single_cells: {reference: reference.h5ad, labels: cell_type}\n"
    (tmp_path / "study.yaml").write_text(text + key)
    run = il.run(tmp_path, out=tmp_path / "out", tables_only=True, quiet=True)
    assert not run.failed
    assert run.computed == tuple(truth)  # a study of cells alone said that 0 samples were computed
    share = run.endpoints[run.endpoints["endpoint"] == "treg_pct_cd4"].set_index("sample_id")["value"]
    assert share.to_dict() == pytest.approx(truth, abs=6.0)
    shift = run.shifts.set_index("endpoint").loc["treg_pct_cd4"]
    assert shift["p_value"] < 0.05
    assert set(run.counts.loc[run.counts["population"] == "Treg", "definition"]) == {"label of the reference"}
    assert {"expression_Treg", "pseudobulk_Treg"} <= set(run.tables)
    assert set(il.pl.volcano(run, "Treg").get_xlabel().split()) >= {"(3", "pairs)"}
    with pytest.raises(errors.InputError, match="genes of 2 subsets were compared"):
        il.pl.volcano(run)
    with pytest.raises(errors.InputError, match="there is no subset 'Th17'"):
        il.pl.volcano(run, "Th17")
    (tmp_path / "study.yaml").write_text(text + key.replace("cell_type", "celltype"))
    failed = il.run(tmp_path, out=tmp_path / "out", tables_only=True, quiet=True)
    assert len(failed.failed) == 6
    assert failed.failures["error"].str.contains("no such column").all()


def test_a_sort_of_the_sheet_is_not_ignored_where_a_reference_labels(tmp_path: Path) -> None:
    planted({"CD4 T cells": 20}, seed=1).write_h5ad(tmp_path / "P1_W0.h5ad")
    (tmp_path / "samples.csv").write_text("sample_id,patient_id,visit,file,sorted\nP1_W0,P1,W0,P1_W0.h5ad,CD4\n")
    text = "study: sorted\n"
    (tmp_path / "study.yaml").write_text(text)
    assert il.read_study(tmp_path).samples[0].sorted_as == "CD4"
    (tmp_path / "study.yaml").write_text(f"{text}single_cells: {{reference: P1_W0.h5ad, labels: cell_type}}\n")
    with pytest.raises(errors.InputError, match=r"declared as sorted: CD4 \(1\); a reference calls all") as raised:
        il.read_study(tmp_path)
    (problem,) = raised.value.problems
    assert problem.place == "column sorted"
    assert problem.hint == "empty the column, or leave single_cells out of study.yaml"


def test_two_samples_of_a_visit_do_not_cost_the_study_its_labels(reference, tmp_path: Path) -> None:
    """Cells of one visit, stimulated and not: shares of both are there, and a note says why genes are not compared."""
    reference.write_h5ad(tmp_path / "reference.h5ad")
    rows = []
    for number, (visit, state) in enumerate((("W0", "unstimulated"), ("W0", "IFNb"), ("W10", "unstimulated"))):
        name = f"P1_{visit}_{state}"
        planted({"CD4 T cells": 60, "Treg": 30, "B cells": 40}, seed=50 + number).write_h5ad(tmp_path / f"{name}.h5ad")
        rows.append({"sample_id": name, "patient_id": "P1", "visit": visit, "file": f"{name}.h5ad"})
        rows[-1]["stimulation"] = state
    pd.DataFrame(rows).assign(modality="single_cell").to_csv(tmp_path / "samples.csv", index=False)
    key = "single_cells: {reference: reference.h5ad, labels: cell_type}\n"
    (tmp_path / "study.yaml").write_text(f"study: states\ncomparison: {{before: W0, after: W10}}\n{key}")
    run = il.run(tmp_path, out=tmp_path / "out", tables_only=True, quiet=True)
    assert not run.failed
    assert set(run.counts["sample_id"]) == {row["sample_id"] for row in rows}
    assert any("genes are not compared: P1 has several samples of W0" in note for note in run.notes)


def test_one_donor_labels_another_donors_published_cells() -> None:
    """Kang et al. 2018: trained on donor 101, both states; all pairs are in benchmarks/reference_mapping.py."""
    cells = il.read_cells(data_folder("single_cell/kang2018_ifnb_paired") / "kang2018_ifnb_subset.h5ad")
    donor = cells.obs["donor"].astype(str).to_numpy()
    query, whole = cells[donor == "107"].copy(), cells[donor == "101"].copy()
    truth = query.obs["cell_type"].astype(str).map(population_called).to_numpy()
    found = label_by_reference(query, whole, "cell_type").table
    called = ~found["label"].isin([UNLIKE, "unassigned"]).to_numpy()
    right = (found["label"] == truth).to_numpy()
    assert right[called].mean() > 0.9
    assert calibration_error(found["confidence"].to_numpy()[called], right[called]) < 0.05
    lacking = whole[(whole.obs["cell_type"] != "B cells").to_numpy()].copy()
    unlike = (label_by_reference(query, lacking, "cell_type").table["label"] == UNLIKE).to_numpy()
    assert unlike[truth == "B"].mean() > 0.8


def test_the_registered_single_cell_endpoint_of_the_als_trial_is_computed(tmp_path: Path) -> None:
    """Share and scores of Treg by visit, one answer on the first page; planted: IL-2 raises STAT5's genes in Treg."""
    reference = planted({"CD4 T cells": 220, "Treg": 120, "B cells": 150}, seed=20)
    names = [*GENES[:-14], "FOXP3", "IL2RA", "CTLA4", "IKZF2", "CISH", "SOCS1", "SOCS2", "SOCS3", "PIM1", "PIM2"]
    names += ["BCL2", "IL2RB", "MYB", "IRF4"]
    rows = []
    for number in range(3):
        for visit, level in (("W0", 0.8), ("W24", 1.4)):
            cells = planted({"CD4 T cells": 120, "Treg": 60, "B cells": 40}, seed=30 + 2 * number + (level > 1))
            own, counts = (cells.obs["cell_type"] == "Treg").to_numpy(), cells.X.toarray()
            drawn = np.random.default_rng(number).poisson(level, (own.sum(), 10))
            counts[own, -10:] = drawn
            cells.X = csr_matrix(counts)
            cells.var_names = names
            name = f"P{number}_{visit}"
            cells.write_h5ad(tmp_path / f"{name}.h5ad")
            rows.append({"sample_id": name, "patient_id": f"P{number}", "visit": visit, "file": f"{name}.h5ad"})
    reference.var_names = names
    reference.write_h5ad(tmp_path / "reference.h5ad")
    pd.DataFrame(rows).assign(modality="single_cell").to_csv(tmp_path / "samples.csv", index=False)
    key = "single_cells: {reference: reference.h5ad, labels: cell_type}\n"
    (tmp_path / "study.yaml").write_text(f"study: cells\ntrial: als_nct04952155\n{key}")
    run = il.run(tmp_path, out=tmp_path / "out", tables_only=True, quiet=True)
    shifts = run.shifts.set_index("endpoint")
    assert shifts.loc["treg_scrna_IL2_STAT5_response", "estimate"] > 0.2
    assert shifts.loc["treg_scrna_IL2_STAT5_response", "q_value"] < 0.05
    assert shifts.loc["treg_scrna_pct_cd4", "n_pairs"] == 3
    assert abs(shifts.loc["treg_scrna_pct_cd4", "estimate"]) < 0.4
    found = next(one for one in findings(run) if one.endpoint == "treg_scrna")
    assert "treg_scrna_IL2_STAT5_response" in found.measured_as
    assert "measures of Treg by single-cell RNA changed clearly. IL2 STAT5 response in Treg rose" in found.plain
    assert not any("treg_scrna" in note and "not measured" in note for note in run.notes)


@pytest.mark.parametrize(
    ("names", "lacks"),
    [
        (("CD4 T cells", "Treg", "B cells"), "CD8"),
        (("CD8 TEM", "NK cells"), "CD4"),
        (("CD4 TCM", "CD8 TEM", "B cells"), ""),
        (("CD4 T cells", "T cells", "B cells"), ""),
        (("Treg", "Cytotoxic T cells"), ""),
        (("B cells", "NK cells"), ""),
        (("CD4 T cells", "CD86+ DC", "CD83+ B"), "CD8"),
        (("CD45RA+ HSPC", "B cells"), ""),
    ],
)
def test_which_sibling_a_reference_lacks_is_read_from_its_labels(names: tuple[str, ...], lacks: str) -> None:
    assert lacking([population_called(name) for name in names]) == lacks


@pytest.mark.parametrize(("name", "n_nk", "found"), [("CD8", 100, 100), ("CD8", 2, 0), ("cluster 3", 100, 100)])
def test_cells_of_a_lineage_that_the_reference_lacks_get_none_of_its_labels(name: str, n_nk: int, found: int) -> None:
    """Three NK cells in a sort of the reference are no lineage of it; so few in the query are none either."""
    names = {name: name, "B": "B"}
    known = np.array([name] * 400 + ["B"] * 100, dtype=object)
    of_known = np.array(["NK"] * 3 + ["CD3"] * 397 + ["B"] * 100, dtype=object)
    given = np.array([name] * 300 + ["B"] * 50, dtype=object)
    of_given = np.array(["NK"] * n_nk + ["CD3"] * (300 - n_nk) + ["B"] * 50, dtype=object)
    against, notes = contradicted_lineages((known, of_known), (given, of_given), names)
    assert against.sum() == found
    assert not against[of_given != "NK"].any()
    assert bool(notes) == bool(found)


def test_natural_killer_t_cells_are_not_called_nk() -> None:
    assert population_called("NK T cells") == "NK T cells"
    assert population_called("NK cells") == "NK"
    assert population_called("CD4 T cells") == "CD4"


def test_cells_of_a_sibling_that_the_reference_lacks_are_not_counted_as_the_other() -> None:
    """CD8 T cells under a reference with CD4 T cells alone: CD3 by their own CD8A and CD8B, and a note says so."""
    t_cell = {"CD3D": 3.0, "CD3E": 3.0, "CD3G": 2.0, "TRAC": 3.0, "IL7R": 1.5, "CD2": 1.5}
    levels = {
        "CD4 T cells": {**t_cell, "CD4": 1.0},
        "CD8 T cells": {**t_cell, "CD8A": 2.0, "CD8B": 2.0},
        "B cells": {"MS4A1": 3.0, "CD79A": 4.0, "CD79B": 3.0, "CD19": 1.0, "BANK1": 1.5},
    }
    others = [f"GENE{i}" for i in range(300)]
    genes = sorted({gene for own in levels.values() for gene in own})
    base = np.random.default_rng(1).lognormal(0.5, 1.0, len(others))

    def drawn(seed: int) -> AnnData:
        rng = np.random.default_rng(seed)
        rows = [np.array([levels[kind].get(gene, 0.02) for gene in genes] + list(base)) for kind in levels]
        counts = np.vstack([rng.poisson(row, (150, len(row))) for row in rows]).astype(np.float32)
        obs = pd.DataFrame({"cell_type": np.repeat(list(levels), 150)}, index=[f"c{seed}_{i}" for i in range(450)])
        return interpret_cells(AnnData(csr_matrix(counts), obs=obs, var=pd.DataFrame(index=[*genes, *others])))

    reference, query = drawn(1), drawn(2)
    whole = label_by_reference(query, reference, "cell_type")
    assert not any("the reference has no" in note for note in whole.notes)
    found = label_by_reference(
        query, reference[(reference.obs["cell_type"] != "CD8 T cells").to_numpy()].copy(), "cell_type"
    )
    label, kind = found.table["label"].to_numpy(), query.obs["cell_type"].to_numpy()
    assert (label[kind == "CD8 T cells"] == "CD4").mean() < 0.05
    assert (label[kind == "CD4 T cells"] == "CD4").mean() > 0.9
    assert (found.members["CD3"] >= found.members["CD4"]).all()
    assert (found.chance["CD4"][label == "CD3"] == 0).all()
    assert any("the reference has no CD8 T cells" in note and "are called CD3" in note for note in found.notes)


def test_labels_of_few_cells_and_cells_without_a_label_are_said_to_be_left_out() -> None:
    # eight cells of a kind were left out without a word, and the query's cells of it were unlike the reference
    labels = ["T"] * 30 + ["B"] * 25 + ["HSPC"] * 8 + [None] * 5
    cells = AnnData(csr_matrix(np.ones((68, 2), dtype=np.float32)), obs=pd.DataFrame({"kind": labels}))
    known, own, notes = _learnt(cells, "kind", 0)
    assert known.n_obs == 55
    assert set(own) == {"T", "B"}
    assert notes == (
        "labels of fewer than 20 cells of the reference, which no cell can get: HSPC (8)",
        "5 of 68 cells of the reference have no label; they are not learnt from",
    )


def test_the_genes_in_common_are_looked_up_once(reference, monkeypatch) -> None:
    # the table of columns was made anew for each gene: 85 s of processor for 16,791 genes, whatever the cells
    asked = []
    monkeypatch.setattr(
        "immunolab.cells.reference.gene_columns",
        lambda cells: asked.append(1) or dict(zip(GENES, range(400), strict=True)),
    )
    query = interpret_cells(planted({"CD4 T cells": 30, "B cells": 30}, seed=5))
    known, own, _ = _learnt(interpret_cells(reference), "cell_type", 0)
    _in_common(known, own, query)
    assert len(asked) <= 3


@pytest.mark.parametrize(("n", "of", "seed"), [(100, 1500, 1), (100, 1500, 5), (100, 100, 1), (300, 3000, 9)])
def test_cells_are_as_like_a_small_reference_in_a_large_query_as_in_a_small_one(n: int, of: int, seed: int) -> None:
    """Fifteen nearest of thousands are more alike, and two fifteens of 16 cells are one: .21 to .34 were unlike."""

    def drawn(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        labels = np.where(np.arange(n) % 3 == 0, "B", "T").astype(object)
        values = rng.normal(0.0, 1.0, (n, 60))
        values[labels == "B", :15] += 2.0
        values[:, 15:35] += (labels == "T")[:, None] * rng.normal(0.0, 1.0, (n, 1))
        return values.astype(np.float32), labels

    (reference, labels), (query, truth) = drawn(n, seed), drawn(of, seed + 1)
    calls, _ = classify(reference, labels, ["one"] * n, query, (reference.astype(float), query.astype(float)), 0)
    assert (calls.best == truth).mean() > 0.99
    assert calls.unlike.mean() < 0.08


def test_cells_fewer_than_a_neighbourhood_are_as_like_the_reference_as_more_are() -> None:
    """The sum of 14 cells over 15 is no mean: .70 of such cells were unlike a reference of their own two kinds."""

    def drawn(n: int, seed: int) -> np.ndarray:
        values = np.random.default_rng(seed).normal(0.0, 1.0, (n, 20))
        values[n // 2 :, :10] += 4.0
        return values

    reference, labels = drawn(600, 0), np.repeat(["T", "B"], 300).astype(object)
    unlike = []
    for seed in range(1, 11):
        query = drawn(14, seed)
        calls, _ = classify(reference, labels, ["one"] * 600, query, (reference, query), 0)
        unlike.append(calls.unlike.mean())
    assert np.mean(unlike) < 0.2


def test_donors_are_held_out_as_wholes_and_a_label_of_one_donor_is_still_called() -> None:
    rng = np.random.default_rng(3)
    labels = np.tile(np.repeat(["B", "T"], 40), 3).astype(object)
    donors = np.repeat(["d1", "d2", "d3"], 80).astype(object)
    labels[:30] = "NK"  # of the first donor alone
    level = {"B": 0, "T": 1, "NK": 2}

    def values(of: np.ndarray) -> np.ndarray:
        found = rng.normal(0.0, 1.0, (len(of), 30))
        for row, name in enumerate(of):
            found[row, 10 * level[name] : 10 * level[name] + 10] += 3.0
        return found.astype(np.float32)

    reference, query = values(labels), values(np.repeat(["B", "T", "NK"], 30))
    points = (reference.astype(float), query.astype(float))
    calls, held = classify(reference, labels, donors, query, points, 0)
    assert (held.by_group, held.n_groups) == (True, 3)
    assert (calls.best == np.repeat(["B", "T", "NK"], 30)).mean() > 0.95
    _, held = classify(reference, labels, labels, query, points, 0)  # groups that share no label
    assert not held.by_group


def test_donors_of_a_reference_are_found_and_one_is_said(reference) -> None:
    assert set(_groups(interpret_cells(reference))[0]) == {"one"}
    two = reference.copy()
    two.obs["Donor"] = np.where(np.arange(two.n_obs) % 2, "d1", "d2")
    groups, of = _groups(interpret_cells(two))
    assert (set(groups), of) == ({"d1", "d2"}, "donors")
    query = planted({"CD4 T cells": 60, "B cells": 60}, seed=8)
    il.label(query, reference=two, labels="cell_type", quiet=True)
    notes = "; ".join(query.uns["immunolab"]["notes"])
    assert "of its own held-out donors" in notes
    assert "names no two donors" not in notes


def test_what_cells_show_themselves_parts_siblings_and_is_left_out_where_it_says_nothing() -> None:
    chance = {"CD3": np.array([0.9, 0.1]), "CD4": np.array([0.8, np.nan]), "CD8": np.array([0.2, np.nan])}
    found = SimpleNamespace(chance={**chance, "B": np.array([0.05, 0.9])}, table=pd.DataFrame(index=range(2)))
    evidence = np.exp(own_evidence(found, ["B", "Treg", "CD8", "cluster 3"]))
    assert evidence[0] == pytest.approx([0.05, 0.72, 0.18, 0.05])
    assert evidence[1] == pytest.approx([0.9, 0.02, 0.02, 0.1])
    assert is_informative(np.log(evidence), np.array([1, 0]))
    assert not is_informative(np.log(evidence), np.array([0, 1]))
    labels = np.array(["CD4", "CD4"], dtype=object)
    assert chance_between_siblings(found, labels, {"CD4": "CD4", "B": "B"}).tolist() == [0.8, 1.0]
    assert chance_between_siblings(found, labels, {"CD4": "CD4", "CD8": "CD8"}).tolist() == [1.0, 1.0]
