"""A study of single cells alone as its user meets it: `check`, the first page, what is withheld, names of scores."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from builders import data_folder
from scipy import stats

import immunolab as il
from immunolab.cells.population_tree import definition_of
from immunolab.cells.study_rows import _genes_missing
from immunolab.loaders.cell_header import read_cell_header
from immunolab.loaders.hdf5 import read_through
from immunolab.plots.labels import label
from immunolab.results.findings import answers, findings
from immunolab.vocabulary.signatures import signature
from immunolab.workflow.check import check_study


def write_study(folder: Path, rows: list[dict[str, str]], text: str = "study: cells\n") -> Path:
    pd.DataFrame(rows).assign(modality="single_cell").to_csv(folder / "samples.csv", index=False)
    (folder / "study.yaml").write_text(f"{text}comparison: {{before: pre, after: 'on'}}\n")
    return folder


def visits(patients: list[str], file: str = "cells.h5ad") -> list[dict[str, str]]:
    return [
        {"sample_id": f"{patient}_{visit}", "patient_id": patient, "visit": visit, "file": file}
        for patient in patients
        for visit in ("pre", "on")
    ]


def few_cells(samples: list[str]) -> AnnData:
    obs = pd.DataFrame({"sample": pd.Categorical(samples), "kind": "T"}, index=[f"c{i}" for i in range(len(samples))])
    return AnnData(np.ones((len(samples), 2), dtype=np.float32), obs=obs, var=pd.DataFrame(index=["CD3D", "MS4A1"]))


def test_check_counts_single_cells_and_finds_samples_and_labels_that_their_files_lack(tmp_path: Path) -> None:
    # a sheet of cells alone was "0 samples of 0 patients: no problem found", whatever the files held
    few_cells(["P1_pre", "P1_on", "P2_pre", "lane"]).write_h5ad(tmp_path / "cells.h5ad")
    key = "study: cells\nsingle_cells: {reference: cells.h5ad, labels: kinds}\n"
    checked = check_study(write_study(tmp_path, visits(["P1", "P2"]), key))
    assert (checked.n_samples, checked.n_patients) == (4, 2)
    found = [(problem.message, problem.hint) for problem in checked.problems]
    assert found == [
        ("the file has no cells of sample 'P2_on'", "its samples: P1_on, P1_pre, P2_pre, lane"),
        ("there is no such column", "did you mean 'kind'?"),
    ]
    rows = [{"sample_id": "P1_pre_all", "patient_id": "P1", "visit": "pre", "file": "cells.h5ad"}]
    few_cells(["P1_on"]).write_h5ad(tmp_path / "on.h5ad")
    rows.append({"sample_id": "P1_on", "patient_id": "P1", "visit": "on", "file": "on.h5ad"})
    (note,) = check_study(write_study(tmp_path, rows)).notes
    assert "its cells are of 4 samples (P1_on, P1_pre, P2_pre, lane), all taken as sample 'P1_pre_all'" in note
    (tmp_path / "cells.h5ad").write_bytes(b"not cells")
    assert check_study(tmp_path).problems[0].message == "this is no single-cell file"


def test_the_samples_of_files_of_every_version_of_anndata_are_read_from_their_heads(tmp_path: Path) -> None:
    few_cells(["a", "a", "b"]).write_h5ad(tmp_path / "new.h5ad")
    assert read_cell_header(tmp_path / "new.h5ad").samples == ("a", "b")
    with h5py.File(tmp_path / "seven.h5ad", "w") as handle:  # anndata 0.7: codes beside the names
        handle["X"], handle["obs/sample"] = np.ones((3, 2)), np.array([1, 1, 0], dtype=np.int8)
        handle["obs/__categories/sample"] = ["a", "b"]
        handle["obs"].attrs["column-order"] = ["sample"]
    assert read_cell_header(tmp_path / "seven.h5ad").samples == ("b", "a")
    with h5py.File(tmp_path / "six.h5ad", "w") as handle:  # before 0.7: one table
        handle["X"] = np.ones((3, 2))
        handle["obs"] = np.array([(b"c", 1)], dtype=[("index", "S1"), ("sample", "i1")])
    header = read_cell_header(tmp_path / "six.h5ad")
    assert (header.columns, header.samples, header.n_cells) == (("index", "sample"), None, 1)
    whole = few_cells(["a", "a", "b"])
    whole.obs = pd.DataFrame({"sample": pd.array([4, None, 4], dtype="Int64")}, index=whole.obs_names)
    whole.write_h5ad(tmp_path / "whole.h5ad")
    assert read_cell_header(tmp_path / "whole.h5ad").samples == ("4",)  # and no sample 0 of the cell without one
    assert [read_cell_header(tmp_path / f"{name}.h5ad").n_cells for name in ("new", "seven")] == [3, None]


@pytest.fixture(scope="module")
def kang(tmp_path_factory) -> il.Run:
    """Kang et al. 2018: two donors, each in three parts, as six patients before and on interferon."""
    folder = tmp_path_factory.mktemp("kang")
    cells = read_h5ad(data_folder("single_cell/kang2018_ifnb_paired") / "kang2018_ifnb_subset.h5ad")
    part = np.random.default_rng(5).integers(0, 3, cells.n_obs)
    patients = [f"P{donor}{'abc'[k]}" for donor, k in zip(cells.obs["donor"], part, strict=True)]
    visit = cells.obs["condition"].map({"ctrl": "pre", "stim": "on"}).astype(str)
    cells.obs["sample_id"] = [f"{patient}_{when}" for patient, when in zip(patients, visit, strict=True)]
    cells.write_h5ad(folder / "cells.h5ad")
    write_study(folder, visits(sorted(set(patients))))
    return il.run(folder, out=folder / "out", tables_only=True, quiet=True)


def test_the_interferon_rise_of_published_cells_is_on_the_first_page_with_its_interval(kang: il.Run) -> None:
    rows = kang.endpoints[kang.endpoints["endpoint"] == "IFN_response_in_CD4"]
    values = rows.pivot(index="patient_id", columns="visit", values="value")
    expected = stats.ttest_1samp(values["on"] - values["pre"], 0.0)
    low, high = expected.confidence_interval()
    shift = kang.shifts.set_index("endpoint").loc["IFN_response_in_CD4"]
    assert shift["n_pairs"] == 6
    assert shift[["estimate", "ci_low", "ci_high", "p_value"]].tolist() == pytest.approx(
        [(values["on"] - values["pre"]).mean(), low, high, expected.pvalue]
    )
    assert shift["ci_low"] > 1.0
    found = {one.endpoint: one for one in findings(kang)}
    assert "IFN response in CD4 rose" in found["IFN_response_in_CD4"].plain
    assert "higher in 6 of 6 patients" in found["IFN_response_in_CD4"].plain
    assert "IFN response in CD4 rose" in answers(kang)[0]
    assert label(rows.iloc[0]).axis == "IFN response in CD4+ T cells, score"
    genes = kang.table("expression_CD4").set_index("gene")
    assert (genes.loc[["ISG15", "IFI6", "IFIT3"], "q_value"] < 1e-6).all()
    assert set(genes["n_pairs"]) == {6}


def test_what_a_study_of_cells_is_made_of_is_compared_and_what_lacks_its_genes_is_withheld(kang: il.Run) -> None:
    counts = kang.counts[kang.counts["sample_id"] == "P101a_pre"].set_index("population")["n_events"]
    value = kang.endpoints.set_index(["sample_id", "endpoint"])["value"]
    assert value["P101a_pre", "cells_Mono_pct_viable"] == pytest.approx(100 * counts["Mono"] / counts["viable"])
    assert value["P101a_pre", "cells_CD4_pct_CD3"] == pytest.approx(100 * counts["CD4"] / counts["CD3"])
    found = {one.endpoint: one for one in findings(kang)}
    assert found["cells_Mono_pct_viable"].n == 6
    assert not any("needs gated" in one.plain for one in found.values())  # of subsets that nothing could show
    # 2 of 13 genes of Th17 are in the file: 0 of 95 cells was a share of 0 %, and two such shares rose or fell
    own = kang.endpoints[kang.endpoints["endpoint"] == "th17_pct_cd4"]
    assert own["value"].isna().all()
    assert own["flag"].str.contains("missing_genes").all()
    assert found["th17_pct_cd4"].plain.startswith("Not evaluable in any sample: fewer than half of the signature's")
    assert any("doublets are not looked for in 12 of 12 samples" in note for note in kang.notes)


def test_a_subset_is_withheld_from_the_first_gene_that_is_fewer_than_half() -> None:
    genes = signature("Th17")
    assert list(_genes_missing("score.Th17", genes[:7])) == []
    assert list(_genes_missing("score.Th17", genes[:6])) == ["missing_genes"]
    assert list(_genes_missing("score.CD4_naive-CD4_memory", ())) == []
    assert list(_genes_missing("Th17.CCR6+CXCR3-", ())) == []


def test_populations_that_genes_alone_define_claim_no_gate() -> None:
    assert definition_of("B", ()) is None
    assert definition_of("B", ("CD4_naive",))
    assert definition_of("Th17", ()) == "score.Th17"


def test_a_file_without_cells_and_two_lanes_of_a_sample_are_said_as_what_they_are(tmp_path: Path) -> None:
    # no cells was "the file is damaged ... copy it again"; of two lanes one was to be left out
    few_cells(["a"])[:0].copy().write_h5ad(tmp_path / "cells.h5ad")
    read_through(str(tmp_path / "cells.h5ad"))
    few_cells(["P1_on"]).write_h5ad(tmp_path / "on.h5ad")
    rows = [visits(["P1"])[0], visits(["P1"], "on.h5ad")[1]]
    (problem,) = check_study(write_study(tmp_path, rows)).problems
    assert problem.message == "the file holds no cells"
    rows = [{"sample_id": name, "patient_id": "P1", "visit": "pre", "file": "cells.h5ad"} for name in ("a", "b")]
    (problem,) = [one for one in check_study(write_study(tmp_path, rows)).problems if "already" in one.message]
    assert "lanes of one sample are one file" in problem.hint
