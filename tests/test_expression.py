"""Genes of a subset compared between two visits: against R, planted changes, what is withheld, batches."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from builders import data_folder
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

import immunolab as il
from immunolab import errors as il_errors
from immunolab.comparison.expression import expression_change, why_untested
from immunolab.comparison.paired_design import paired_design
from immunolab.comparison.voom import fit_genes, tmm_factors

REFERENCE = Path(__file__).parent / "reference"
GENES = 300


def drawn(n: int, seed: int, *, changed: int = 30, batch: NDArray[np.float64] | None = None) -> pd.DataFrame:
    """Return genes x samples of n patients before and after: the first genes change by log(2)."""
    rng = np.random.default_rng(seed)
    level, person = rng.lognormal(3.5, 1.2, GENES), rng.normal(0, 0.4, (GENES, n))
    effect = np.where(np.arange(GENES) < changed, np.log(2.0), 0.0)
    columns = {}
    for visit in (0, 1):
        for patient in range(n):
            moved = 0.0 if batch is None else batch[visit, patient] * rng_batch(GENES)
            mean = level * np.exp(person[:, patient] + visit * effect + rng.normal(0, 0.2, GENES) + moved)
            columns[f"P{patient}_{visit}"] = rng.poisson(mean * rng.lognormal(0, 0.5))
    return pd.DataFrame(columns, index=[f"g{i}" for i in range(GENES)])


def rng_batch(n: int) -> NDArray[np.float64]:
    return np.random.default_rng(99).normal(0, 1.0, n)


def sheet(counts: pd.DataFrame, batches: dict[str, str] | None = None) -> pd.DataFrame:
    rows = [{"sample_id": s, "patient_id": s.split("_")[0], "visit": "W" + s.split("_")[1]} for s in counts.columns]
    table = pd.DataFrame(rows)
    return table if batches is None else table.assign(batch=table["sample_id"].map(batches))


def test_it_is_what_limma_gives() -> None:
    """R: edgeR::calcNormFactors, limma::voom, lmFit, eBayes (tests/reference/voom.R on voom_counts.csv)."""
    expected = json.loads((REFERENCE / "voom_R.json").read_text())
    counts = pd.read_csv(REFERENCE / "voom_counts.csv", index_col=0).to_numpy(dtype=float)
    design, _ = paired_design(expected["batch"])
    assert tmm_factors(counts) == pytest.approx(expected["factors"], rel=1e-6)
    found = fit_genes(counts, design)
    assert found.prior_df == pytest.approx(expected["prior_df"], rel=1e-5)
    assert found.prior_variance == pytest.approx(expected["prior_variance"], rel=1e-5)
    for name, values in (("estimate", found.estimate), ("t", found.t), ("p", found.p_value), ("df", found.df)):
        assert values == pytest.approx(expected[name], rel=1e-5, abs=1e-9), name


def test_planted_genes_are_found_and_others_are_not() -> None:
    counts = drawn(8, seed=1)
    table = expression_change(counts, sheet(counts), before="W0", after="W1").set_index("gene")
    changed = [f"g{i}" for i in range(30)]
    tested = table[table["p_value"].notna()]
    assert (tested["q_value"] < 0.05)[tested.index.isin(changed)].mean() > 0.8
    assert (tested["q_value"] < 0.05)[~tested.index.isin(changed)].mean() < 0.02
    held = tested.loc[tested.index.isin(changed)]
    assert ((held["ci_low"] < 1.0) & (held["ci_high"] > 1.0)).mean() > 0.85
    assert table["n_pairs"].eq(8).all()


def test_without_a_change_five_percent_are_below_five_percent() -> None:
    shares = []
    for seed in range(12):
        counts = drawn(4, seed=100 + seed, changed=0)
        shares.append(
            float((expression_change(counts, sheet(counts), before="W0", after="W1")["p_value"] < 0.05).mean())
        )
    assert np.mean(shares) == pytest.approx(0.05, abs=0.015)


def test_genes_with_few_counts_and_few_pairs_are_described_with_the_reason() -> None:
    counts = drawn(5, seed=2)
    counts.iloc[50] = 0
    counts.iloc[50, 0] = 6
    counts.iloc[51] = 0
    table = expression_change(counts, sheet(counts), before="W0", after="W1").set_index("gene")
    assert "g51" not in table.index
    row = table.loc["g50"]
    assert pd.isna(row["p_value"])
    assert row["flag"] == "few_counts"
    assert row["method"] == "not tested: too few counts"
    two = expression_change(counts.iloc[:, [0, 1, 5, 6]], sheet(counts), before="W0", after="W1")
    assert two["p_value"].isna().all()
    assert why_untested(two) == "2 pair(s) with enough cells, a test needs 3"


def test_batches_apart_from_the_visit_are_adjusted_and_others_refused() -> None:
    n, sides = 6, np.zeros((2, 6))
    sides[1, :3] = 1.0  # half of the later samples were run in another batch
    counts = drawn(n, seed=3, changed=0, batch=sides)
    batches = {f"P{p}_{v}": f"B{int(sides[v, p])}" for v in (0, 1) for p in range(n)}
    plain = expression_change(counts, sheet(counts), before="W0", after="W1")
    adjusted = expression_change(counts, sheet(counts, batches), before="W0", after="W1")
    error = {
        name: float(np.sqrt((t["log2_fold"] ** 2).mean())) for name, t in (("plain", plain), ("adjusted", adjusted))
    }
    assert error["adjusted"] < 0.5 * error["plain"]
    assert "adjusted for 1 batch difference(s)" in adjusted["method"].iloc[0]
    with_visit = {name: f"B{name[-1]}" for name in counts.columns}
    refused = expression_change(counts, sheet(counts, with_visit), before="W0", after="W1")
    assert refused["p_value"].isna().all()
    assert set(refused["warnings"]) == {"E_BATCH_ALIASED"}
    assert why_untested(refused) == "batch coincides with visit, the change may be the batch's"


# --- on the face -----------------------------------------------------------------------------------


def labelled(n: int = 4, seed: int = 5) -> AnnData:
    """Return cells of n patients at two visits, 60 a subset, of which gene 3 trebles in Treg and 7 in others."""
    rng = np.random.default_rng(seed)
    blocks, obs = [], []
    for patient in range(n):
        level = rng.gamma(2.0, 1.0, 50)
        for visit in ("W0", "W10"):
            for subset, moved, size in (("Treg", 3, 60), ("Th17", 7, 40)):
                factor = np.where((np.arange(50) == moved) & (visit == "W10"), 3.0, 1.0)
                blocks.append(rng.poisson(level * factor, (size, 50)))
                obs += [{"patient": f"P{patient}", "visit": visit, "cell_type": subset}] * size
    counts = csr_matrix(np.vstack(blocks).astype(np.float32))
    table = pd.DataFrame(obs, index=[f"c{i}" for i in range(len(obs))])
    return AnnData(counts, obs=table, var=pd.DataFrame(index=["CD3D", *(f"G{i}" for i in range(1, 50))]))


ASKED = {"patient": "patient", "visit": "visit", "before": "W0", "after": "W10", "labels": "cell_type"}


def test_a_gene_of_one_subset_is_found_in_that_subset(tmp_path: Path) -> None:
    cells = labelled()
    for subset, gene in (("Treg", "G3"), ("Th17", "G7")):
        found = il.compare_expression(cells, subset, **ASKED)
        assert found.table.loc[0, "gene"] == gene
        assert found.table.loc[0, "log2_fold"] == pytest.approx(np.log2(3.0), abs=0.3)
        assert (found.table["q_value"] < 0.05).sum() == 1
    table, counts = found.write(tmp_path / "th17.csv")
    assert pd.read_csv(table)["gene"].tolist() == found.table["gene"].tolist()
    summed = pd.read_csv(counts).set_index("gene")
    own = (cells.obs["cell_type"] == "Th17") & (cells.obs["patient"] == "P2") & (cells.obs["visit"] == "W0")
    assert summed["count_P2 W0"].tolist() == np.asarray(cells.X[own.to_numpy()].sum(axis=0)).ravel().tolist()
    assert "1 up, 0 down" in found.summary()
    names = {text.get_text() for text in il.pl.volcano(found).texts}
    assert "G7" in names
    assert "G3" not in names


def test_samples_with_few_cells_and_wrong_names_are_said() -> None:
    cells = labelled()
    few = (cells.obs["patient"] == "P1") & (cells.obs["visit"] == "W10") & (cells.obs["cell_type"] == "Treg")
    kept = ~few.to_numpy() | (np.cumsum(few.to_numpy()) <= 7)
    found = il.compare_expression(cells[kept].copy(), "Treg", **ASKED)
    assert found.table["n_pairs"].eq(3).all()
    assert found.notes == ("fewer than 20 cells, left out: P1 W10 (7)",)
    with pytest.raises(il_errors.InputError, match="no cells are called 'Tregs'"):
        il.compare_expression(cells, "Tregs", **ASKED)
    with pytest.raises(il_errors.InputError) as raised:
        il.compare_expression(cells, "Treg", **{**ASKED, "patient": "donor", "visit": "week"})
    assert len(raised.value.problems) == 2
    with pytest.raises(il_errors.InputError, match="no cell has visit 'W12'"):
        il.compare_expression(cells, "Treg", **{**ASKED, "after": "W12"})


def test_cells_without_a_patient_are_refused_and_so_are_scores_without_genes() -> None:
    """Doublets that no donor was found for would be one more patient at both visits."""
    cells = labelled()
    lost = np.zeros(cells.n_obs, dtype=bool)
    lost[::40] = True
    cells.obs["patient"] = cells.obs["patient"].astype(object).where(~lost, None)
    for compare in (il.compare_cells, lambda data, **asked: il.compare_expression(data, "Treg", **asked)):
        with pytest.raises(il_errors.InputError, match=f"{lost.sum()} of 800 cells name no patient") as raised:
            compare(cells, **ASKED)
        assert raised.value.problems[0].hint == "leave them out: cells[cells.obs['patient'].notna()]"
        kept = compare(cells[cells.obs["patient"].notna()].copy(), **ASKED)
        assert set((kept.shifts if hasattr(kept, "shifts") else kept.table)["n_pairs"]) == {4}
    proteins = AnnData(obs=cells.obs.loc[~lost], obsm={"protein": pd.DataFrame({"CD4": 5.0}, cells.obs_names[~lost])})
    with pytest.raises(il_errors.InputError, match="scores need genes"):
        il.compare_cells(proteins, scores={"Treg": "IFN_response"}, **ASKED)


def test_a_figure_of_genes_is_of_the_subset_that_was_named() -> None:
    found = il.compare_expression(labelled(), "Treg", **ASKED)
    il.pl.volcano(found, "Treg")
    with pytest.raises(il_errors.InputError, match="there is no subset 'Th17'"):
        il.pl.volcano(found, "Th17")


def test_interferon_rises_in_every_subset_of_published_cells_by_the_ordinary_comparison() -> None:
    """Kang et al. 2018: IFN-beta for six hours; their own cell types are the labels."""
    cells = il.read_cells(data_folder("single_cell/kang2018_ifnb_paired") / "kang2018_ifnb_subset.h5ad")
    own = list(dict.fromkeys(cells.obs["cell_type"].astype(str)))
    asked = {"patient": "donor", "visit": "condition", "before": "ctrl", "after": "stim", "labels": "cell_type"}
    found = il.compare_cells(cells, scores=dict.fromkeys(own, "IFN_response"), **asked)
    pairs = found.pairs[found.pairs["endpoint"].str.startswith("IFN_response") & found.pairs["shift"].notna()]
    assert len(pairs) == 9  # two donors, of CD8 T cells one: 19 cells of the other were left unstimulated
    assert (pairs["shift"] > 0.9).all()
    shift = found.shifts.set_index("endpoint").loc["IFN_response_in_CD4_T_cells"]
    assert shift["n_pairs"] == 2
    assert pd.isna(shift["p_value"])  # two patients are described, not tested
    genes = il.compare_expression(cells, "CD4 T cells", **asked).table.set_index("gene")
    assert (genes.loc[["ISG15", "IFIT3", "MX1", "IFI6"], "log2_fold"] > 3.0).all()
    assert genes["p_value"].isna().all()
