"""AnnData of many tubes: what scanpy makes of it, draws that are balanced and stable, nothing scaled twice."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import anndata
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from planted import planted_tube

import immunolab as il
from immunolab.errors import DataFileError, InputError
from immunolab.events.tube import Tube
from immunolab.gating.tubes import GatedTube
from immunolab.simulation import Options

Planted = tuple[list[Tube], dict[str, np.ndarray]]
STRATEGY = "treg_th17_tfh_teff"
SHEET = pd.DataFrame(
    {
        "sample_id": ["P1_W0", "P1_W9", "P2_W0"],
        "patient_id": ["P1", "P1", "P2"],
        "visit": ["W0", "W9", "W0"],
        "age": [40, 40, 61],
    }
)


@pytest.fixture(scope="module")
def tubes() -> Planted:
    sizes = {"P1_W0": 2_000, "P1_W9": 3_000, "P2_W0": 4_000}
    made = {name: planted_tube(i, n, sample_id=name) for i, (name, n) in enumerate(sizes.items())}
    return [tube for tube, _ in made.values()], {name: kinds for name, (_, kinds) in made.items()}


@pytest.fixture(scope="module")
def gated(tubes: Planted) -> list[GatedTube]:
    return il.gate(tubes[0], STRATEGY, share="study")


@pytest.fixture(scope="module")
def joined(gated: list[GatedTube]) -> anndata.AnnData:
    return il.to_anndata(gated, events=700, samples=SHEET, label_by=["Treg", "Tfh_PD1", "CD4", "CD8"])


def test_each_tube_gives_as_many_events_and_each_is_the_one_of_the_file(
    joined: anndata.AnnData, tubes: Planted, gated: list[GatedTube]
) -> None:
    assert joined.obs["sample_id"].value_counts().to_dict() == dict.fromkeys(SHEET["sample_id"], 700)
    for tube, one in zip(tubes[0], gated, strict=True):
        part = joined[joined.obs["sample_id"] == tube.sample_id]
        rows = part.obs["event"].to_numpy()
        assert len(set(rows)) == 700
        np.testing.assert_allclose(part[:, "CD25"].layers["compensated"].ravel(), tube["CD25"][rows], rtol=1e-6)
        np.testing.assert_allclose(part.obs["SSC-A"], tube["SSC-A"][rows], rtol=1e-6)
        np.testing.assert_array_equal(part.obsm["populations"]["Treg"], one.mask("Treg")[rows])
    table = joined.obs.drop_duplicates("sample_id").set_index("sample_id")
    assert table["patient_id"].to_dict() == {"P1_W0": "P1", "P1_W9": "P1", "P2_W0": "P2"}
    assert table["age"].to_dict() == {"P1_W0": 40, "P1_W9": 40, "P2_W0": 61}
    assert not {"FSC-A", "Viability"} & set(joined.var_names)  # neighbours are sought among markers alone


def test_a_draw_does_not_depend_on_the_other_tubes(gated: list[GatedTube]) -> None:
    alone = il.to_anndata(gated[2], events=100, seed=3)
    among = il.to_anndata(gated, events=100, seed=3)
    assert list(among.obs_names[among.obs["sample_id"] == "P2_W0"]) == list(alone.obs_names)
    assert list(il.to_anndata(gated[2], events=100, seed=4).obs_names) != list(alone.obs_names)


def test_a_tube_with_fewer_events_gives_all_and_is_named(gated: list[GatedTube]) -> None:
    data = il.to_anndata(gated, events=2_500)
    assert data.obs["sample_id"].value_counts()["P1_W0"] == 2_000
    assert "fewer than 2500 events, all of them taken: P1_W0" in data.uns["immunolab"]["notes"]


def test_tubes_whose_scales_differ_are_shown_on_one(tubes: Planted) -> None:
    first, second, third = tubes[0]
    mass = replace(third, channels=tuple(replace(c, kind="mass") if c.marker == "CD25" else c for c in third.channels))
    data = il.to_anndata([first, second, mass])
    scale = first.channel("CD25").usual_scale
    np.testing.assert_allclose(
        data[:, "CD25"].X.ravel(), np.concatenate([scale.apply(t["CD25"]) for t in tubes[0]]), rtol=1e-4, atol=1e-5
    )
    assert any("different display scales for CD25" in note for note in data.uns["immunolab"]["notes"])


def test_scanpy_works_on_it_as_it_is(joined: anndata.AnnData, tubes: Planted, tmp_path: Path) -> None:
    import scanpy as sc

    mpl.use("Agg")
    data = joined.copy()
    kinds = np.array([tubes[1][s][e] for s, e in zip(data.obs["sample_id"], data.obs["event"], strict=True)])
    assert set(data.obs["population"].cat.categories) == {"Treg", "Tfh_PD1", "CD4", "CD8", "ungated"}
    assert (kinds[(data.obs["population"] == "Treg").to_numpy()] == "treg").mean() > 0.85
    il.cluster(data, clusters=8)
    il.umap(data, events=500)  # the others have no place on the map
    sc.pp.neighbors(data)  # no choice of columns: scatter and time, thousands of times as wide, are not in X
    sc.tl.leiden(data, flavor="igraph", n_iterations=2, directed=False)
    of_b = pd.crosstab(data.obs["leiden"], kinds)["b"]
    assert of_b.max() / of_b.sum() > 0.9
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # logfoldchanges take X for logs of counts
        sc.tl.rank_genes_groups(data, "population", groups=["Treg"], reference="CD4", method="wilcoxon")
    assert sc.get.rank_genes_groups_df(data, "Treg")["names"][0] == "CD25"
    drawn = sc.pl.umap(data, color=["population", "immunolab_cluster_label", "leiden", "CD25"], show=False)
    points = drawn[0].collections[0].get_offsets()
    assert np.isfinite(np.asarray(points)).all(axis=1).sum() == 500
    shown = sc.pl.matrixplot(data, ["CD25", "CXCR5"], groupby="population", show=False, return_fig=True)
    medians = shown.values_df
    assert medians["CD25"].idxmax() == "Treg"
    assert medians["CXCR5"].idxmax() == "Tfh_PD1"
    assert sc.pl.dotplot(data, ["CD25"], groupby="population", show=False)
    assert sc.pl.violin(data, "CD25", groupby="population", show=False) is not None
    data.write_h5ad(tmp_path / "a.h5ad")
    data.write_zarr(tmp_path / "a.zarr")
    for back in (il.read_cells(tmp_path / "a.h5ad"), il.read_cells(tmp_path / "a.zarr")):
        np.testing.assert_array_equal(back.X, joined.X)  # on display scale once, not logged as counts would be
        assert back.obs["population"].tolist() == joined.obs["population"].tolist()
        with pytest.raises(InputError, match="events of a tube, not single cells"):
            il.label(back)


def test_a_run_gives_the_sheet(tmp_path: Path) -> None:
    out = tmp_path / "out"
    il.simulate("sle_nct02084238", patients=1, seed=1, folder=tmp_path / "study", events=3_000)
    run = il.run(tmp_path / "study", out=out, tables_only=True)
    data = il.to_anndata(run, events=200)
    assert data.n_obs == 400
    assert set(zip(data.obs["patient_id"], data.obs["visit"], data.obs["cohort"], data.obs["batch"], strict=True)) == {
        ("SLE001", "W0", "SLE", "B1"),
        ("SLE001", "W10", "SLE", "B1"),
    }
    counts = data.uns["immunolab"]["counts"].set_index(["sample_id", "path"])["n_events"]
    own = run.counts.set_index(["sample_id", "path"])["n_events"]
    assert counts.to_dict() == own.loc[counts.index].to_dict()


def test_a_table_of_samples_may_have_numbers_and_categories(tubes: Planted) -> None:
    numbered = [replace(tube, sample_id=name) for tube, name in zip(tubes[0], ("101", "102", "103"), strict=True)]
    sheet = pd.DataFrame({"sample_id": [101, 102, 103], "arm": pd.Categorical(["IL-2", "placebo", None])})
    data = il.to_anndata(numbered, events=20, samples=sheet)
    found = data.obs.drop_duplicates("sample_id").set_index("sample_id")["arm"].astype(str)
    assert found.to_dict() == {"101": "IL-2", "102": "placebo", "103": ""}


def test_names_with_a_slash_are_joined(tubes: Planted) -> None:
    named = {"FSC-A": "FSC/A", "CXCR3-A": "GFP/FITC-A"}
    channels = [replace(c, name=named.get(c.name, c.name), marker="" if c.name in named else c.marker)
                for c in tubes[0][0].channels]  # fmt: skip
    data = il.to_anndata(replace(tubes[0][0], channels=tuple(channels)), events=10, channels="all")
    assert {"FSC|A", "GFP|FITC-A"} <= set(data.var_names)  # a slash is a level of groups in h5ad
    moved = [replace(c, name="BV421-A") if c.marker == "CD25" else c for c in tubes[0][1].channels]
    notes = il.to_anndata([tubes[0][0], replace(tubes[0][1], channels=tuple(moved))], events=10).uns["immunolab"][
        "notes"
    ]
    assert any(note.endswith("intensities do not compare: CD25") for note in notes)


def test_values_on_a_display_scale_are_left_as_they_are(tubes: Planted) -> None:
    """An ungated tube of exported values was put on logicle again."""
    tube = tubes[0][0]
    stained = [i for i, channel in enumerate(tube.channels) if channel.kind == "fluorescence"]
    columns = tube.columns.copy()
    columns[stained] = np.arcsinh(columns[stained] / 150)
    shown = replace(tube, columns=columns, spillover=None)
    data = il.to_anndata(shown, events=500)
    rows = data.obs["event"].to_numpy()
    np.testing.assert_allclose(data[:, "CD25"].X.ravel(), shown["CD25"][rows], rtol=1e-6)


def test_what_cannot_be_joined_is_named(gated: list[GatedTube]) -> None:
    with pytest.raises(InputError, match=r"str is not a tube\n.*read_fcs"):
        il.to_anndata(["P1.fcs"])  # type: ignore[list-item]
    with pytest.raises(InputError, match="2 tubes are called 'P1_W0'"):
        il.to_anndata([gated[0], gated[0]])
    with pytest.raises(InputError, match="the table has no sample 'P2_W0'"):
        il.to_anndata(gated, samples=SHEET.iloc[:2])
    with pytest.raises(InputError, match=r"the table has a column 'population'\n.*rename"):
        il.to_anndata(gated, samples=SHEET.assign(population="SLE"))
    with pytest.raises(InputError, match=r"there is no population 'Tregs'\n.*Treg"):
        il.to_anndata(gated, label_by=["Tregs"])
    with pytest.raises(InputError, match="0 events cannot be drawn") as caught:
        il.to_anndata(gated, events=0, channels="marker")  # type: ignore[arg-type]
    assert "'marker' is unknown" in str(caught.value)


@pytest.fixture(scope="module")
def citeseq(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cite")
    il.simulate(
        "sle_nct02084238",
        patients=1,
        seed=1,
        folder=folder / "s",
        events=500,
        visits=["W0"],
        options=Options(citeseq=300),
    )
    return next((folder / "s").rglob("*.h5ad"))


def test_cite_seq_goes_to_mudata_and_comes_back(citeseq: Path, tmp_path: Path) -> None:
    mudata = pytest.importorskip("mudata")
    cells = il.read_cells(citeseq)
    found = il.to_mudata(cells)
    assert set(found.mod) == {"rna", "prot"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of mudata's next version
        found.write(tmp_path / "a.h5mu")
    back = il.read_cells(tmp_path / "a.h5mu")
    np.testing.assert_array_equal(back.X.toarray(), cells.X.toarray())
    np.testing.assert_array_equal(back.obsm["protein"].to_numpy(), cells.obsm["protein"].to_numpy())
    assert back.obs["sample_id"].tolist() == cells.obs["sample_id"].tolist()
    # as muon writes it: raw counts in both, the sample in the common obs, a cell without proteins
    ids, measured = cells.obs_names, cells.obsm["protein"]
    raw = anndata.AnnData(cells.layers["counts"].copy(), obs=pd.DataFrame(index=ids), var=cells.var.copy())
    protein = anndata.AnnData(
        measured.to_numpy()[1:], obs=pd.DataFrame(index=ids[1:]), var=pd.DataFrame(index=measured.columns)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        foreign = mudata.MuData({"rna": raw, "prot": protein})
        foreign.obs["sample"] = "S7"
        foreign.write(tmp_path / "foreign.h5mu")
    other = il.read_cells(tmp_path / "foreign.h5mu")
    np.testing.assert_allclose(other.X.toarray(), cells.X.toarray()[1:], rtol=1e-6)
    assert set(other.obs["sample_id"]) == {"S7"}
    n = cells.n_obs
    assert (
        f"{n - 1} of {n} cells have both genes and proteins; the others are left out" in other.uns["immunolab"]["notes"]
    )


def test_cells_in_zarr_that_changed_are_labelled_again(citeseq: Path, tmp_path: Path) -> None:
    """What a study keeps is found by the contents of its files; those of zarr are in folders below."""
    from immunolab.schema.files import input_sha256

    cells = il.read_cells(citeseq)
    cells.write_zarr(tmp_path / "cells.zarr")
    before = input_sha256(tmp_path / "cells.zarr")
    assert input_sha256(tmp_path / "cells.zarr") == before
    cells.obsm["protein"].iloc[0, 0] += 1
    cells.write_zarr(tmp_path / "cells.zarr")
    assert input_sha256(tmp_path / "cells.zarr") != before


def test_what_is_left_in_the_file_is_clustered_and_says_what_it_cannot(
    joined: anndata.AnnData, citeseq: Path, tmp_path: Path
) -> None:
    joined.write_h5ad(tmp_path / "events.h5ad")
    backed, memory = il.read_cells(tmp_path / "events.h5ad", backed=True), joined.copy()
    assert backed.isbacked
    for data in (backed, memory):
        il.cluster(data, clusters=6)
    assert backed.obs["immunolab_cluster"].tolist() == memory.obs["immunolab_cluster"].tolist()
    with pytest.raises(DataFileError, match=r"needs them in memory\n.*without backed, write_h5ad"):
        il.read_cells(citeseq, backed=True)
    cells = il.read_cells(citeseq)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    with pytest.raises(InputError, match=r"all of them in memory\n.*to_memory"):
        il.label(il.read_cells(tmp_path / "cells.h5ad", backed=True))
    with pytest.raises(InputError, match="no space to compare in until labelled"):
        il.cluster(il.read_cells(tmp_path / "cells.h5ad", backed=True), clusters=3)
