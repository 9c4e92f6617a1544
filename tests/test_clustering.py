"""Clusters of flow events: planted populations found again, names, stability, and the command."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from fcs_builder import fcs_bytes
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

import immunolab as il
from immunolab.cli import main
from immunolab.clustering.cell_names import named_by_cells
from immunolab.clustering.clusters import Clusters
from immunolab.clustering.leiden import leiden_map
from immunolab.clustering.names import name_cluster, phenotype_in_words, phenotypes_of
from immunolab.clustering.som import Map, nearest_node, train_map
from immunolab.clustering.stability import stability
from immunolab.clustering.tables import cluster_profiles
from immunolab.errors import InputError
from immunolab.events.transforms import Asinh, Biex, Logicle, Transform
from immunolab.plots.clusters import map_plot
from immunolab.workflow.cluster_files import ClusterOutcome, _reason, cluster_text

MARKERS = ("CD3", "CD4", "CD8", "CD19", "CD25", "CD127")
# one row a population: share, then where each marker is (0 negative, 1 positive)
PLANTED = {
    "B": (0.2, (0, 0, 0, 1, 0, 0)),
    "CD8": (0.3, (1, 0, 1, 0, 0, 1)),
    "CD4": (0.4, (1, 1, 0, 0, 0, 1)),
    "Treg": (0.1, (1, 1, 0, 0, 1.4, 0)),
}


def planted(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    names = list(PLANTED)
    truth = rng.choice(len(names), n, p=[PLANTED[name][0] for name in names])
    centres = np.array([PLANTED[name][1] for name in names])
    return (centres[truth] + 0.12 * rng.normal(size=(n, len(MARKERS)))).astype(np.float32), truth


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], np.ndarray]:
    folder = tmp_path_factory.mktemp("fcs")
    paths, truths = [], []
    for seed in (1, 2):
        shown, truth = planted(3000, seed)
        linear = 150 * np.sinh(np.clip(shown, -0.5, 2) * 4)
        names = [f"D{i}-A" for i in range(len(MARKERS))]
        labels = {f"$P{i + 1}S": marker for i, marker in enumerate(MARKERS)}
        path = folder / f"tube{seed}.fcs"
        path.write_bytes(fcs_bytes(linear, names, keywords=labels))
        paths.append(path)
        truths.append(truth)
    return paths, np.concatenate(truths)


def test_the_map_finds_planted_populations() -> None:
    events, truth = planted(5000)
    found = train_map(events, 4, seed=0)
    assert adjusted_rand_score(truth, found.assign(events)) > 0.98
    assert found.stability.min() > 0.9
    again = train_map(events, 4, seed=0)
    assert np.array_equal(found.nodes, again.nodes)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000))
def test_the_map_does_not_depend_on_the_order_of_events(seed: int) -> None:
    events, _ = planted(600, seed=3)
    order = np.random.default_rng(seed).permutation(len(events))
    found = nearest_node(events, events[:20])
    assert np.array_equal(nearest_node(events[order], events[:20]), found[order])
    gaps = ((events[:, None, :] - events[None, :20, :]) ** 2).sum(axis=2)
    assert np.array_equal(gaps.argmin(axis=1), found)


def test_the_graph_finds_planted_populations() -> None:
    pytest.importorskip("igraph")
    events, truth = planted(3000)
    assert adjusted_rand_score(truth, leiden_map(events, 4, seed=0).assign(events)) > 0.98


def test_leiden_without_igraph_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError) as caught:
        leiden_map(planted(100)[0], 4)
    assert str(caught.value) == (
        "--method leiden  Leiden needs igraph, which is not installed\n"
        "    hint: pip install 'immunolab[leiden]', or take the map: --method flowsom"
    )


def test_stability_is_one_for_clear_groups_and_low_for_noise() -> None:
    find = partial(train_map, n_clusters=4)
    clear, _ = planted(3000)
    noise = np.random.default_rng(0).normal(size=(3000, 6)).astype(np.float32)
    means = [
        stability(events, find(events, seed=0).assign(events), find, runs=2, seed=0)
        .groupby("kind")["adjusted_rand_index"]
        .mean()
        for events in (clear, noise)
    ]
    assert means[0].min() > 0.98
    assert means[1]["subsample"] < 0.6


def test_clusters_are_named_by_phenotype_and_close_calls_are_not() -> None:
    candidates = phenotypes_of(MARKERS)
    assert {"CD3", "CD4", "CD8", "B", "Treg"} == set(candidates)

    def named(**levels: float):
        return name_cluster({m: np.array([levels.get(m, 0.0)]) for m in MARKERS}, candidates)

    assert named(CD3=1, CD4=1, CD127=1).label == "CD4"
    assert named(CD3=1, CD4=1, CD25=1).label == "Treg"
    assert named(CD3=1, CD8=1, CD127=1).label == "CD8"
    assert named(CD19=1).label == "B"
    between = named(CD3=1, CD4=0.5, CD8=0.5)
    assert between.label == "CD3"
    nothing = named()
    assert (nothing.label, nothing.score < 0.6) == ("unassigned", True)


def test_a_name_is_that_of_most_events_of_a_cluster_not_of_its_median() -> None:
    rng = np.random.default_rng(0)
    markers = ("CD3", "CD4", "CD8", "CD45RA", "CXCR3", "CCR6")
    candidates = phenotypes_of(markers)

    def named(**levels: float | np.ndarray) -> str:
        centres = {m: levels.get(m, 0.0) for m in markers}
        return name_cluster({m: at + 0.12 * rng.normal(size=500) for m, at in centres.items()}, candidates).label

    residue = named(CD3=1, CD8=1, CD4=0.33)  # compensation leaves CD8 cells a third of the way to the CD4+ ones
    assert residue == "CD8"
    mixed = np.repeat([1.0, 0.0], [300, 200])  # three fifths of these memory cells are Th1
    wide = np.clip(rng.normal(0.75, 0.4, 500), -0.2, None)  # as CD4 of a mass cytometer: a quarter is under the border
    assert named(CD3=1, CD4=wide) == "CD4_mem"
    assert named(CD3=1, CD4=1, CXCR3=mixed) == "CD4_mem"
    assert named(CD3=1, CD4=1, CXCR3=1) == "Th1"
    assert named(CD3=1, CD4=1, CD8=mixed) == "CD3"


RARE_MARKERS = ("CD3", "CD4", "CD8", "CD45RA", "CCR7", "CXCR3", "CCR6", "CCR4", "CD25", "CD127")
# one row a population: events, then arcsinh units above noise at zero; Treg are 1 and .5 % of all, as in blood
RARE = {
    "CD8": (3_000, (4, 0, 4, 4, 3, 0, 0, 0, 0, 3)),
    "CD4_naive": (3_000, (4, 4, 0, 4, 3, 0, 0, 0, 0, 3)),
    "Th2": (1_500, (4, 4, 0, 0, 3, 0, 0, 3.5, 0.5, 3)),
    "Th1": (1_500, (4, 4, 0, 0, 0, 4, 0, 0, 0.5, 3)),
    "unassigned": (1_500, (0, 0, 0, 4, 0, 0, 0, 0, 0, 0)),
    "Th17": (1_500, (4, 4, 0, 0, 0, 0, 4, 0, 0.5, 3)),
    "memory Treg": (100, (4, 4, 0, 0, 0, 0, 0, 3.5, 4, 1)),
    "naive Treg": (50, (4, 4, 0, 4, 3, 0, 0, 0, 4, 1)),
}


@pytest.mark.parametrize(
    ("scale", "cd127"), [(Asinh(150), 0.0), (Asinh(150), 0.4), (Logicle(), 0.0), (Biex(), 0.0)], ids=str
)
def test_rare_treg_are_not_named_after_what_else_they_are(scale: Transform, cd127: float) -> None:
    rng = np.random.default_rng(0)
    sizes = np.array([n for n, _ in RARE.values()])
    truth = np.repeat(np.arange(len(sizes)), sizes)
    centres = np.array([levels for _, levels in RARE.values()])
    centres[-2:, -1] += cd127  # CD127 of Treg is low, not absent: a name that fits a little better is Treg all the same
    events = (centres[truth] + 0.4 * rng.normal(size=(len(truth), len(RARE_MARKERS)))).astype(np.float32)
    events = np.asarray(scale.apply(150 * np.sinh(events)), dtype=np.float32)
    means = np.array([events[truth == k].mean(axis=0) for k in range(len(sizes))])
    as_it_is = (np.zeros(len(RARE_MARKERS)), np.ones(len(RARE_MARKERS)))
    found = Clusters(Map(means, np.arange(len(sizes), dtype=np.int32)), *as_it_is, events, truth.astype(np.int32))
    scales = dict.fromkeys(RARE_MARKERS, scale)
    labels = dict(zip(RARE, cluster_profiles(found, RARE_MARKERS, scales)["label"], strict=True))
    assert labels == {name: name.split()[-1] for name in RARE}


def test_the_command_writes_every_event_once_in_file_order(
    files: tuple[list[Path], np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths, truth = files
    out = tmp_path / "out"
    assert main(["cluster", *map(str, paths), "-o", str(out), "--clusters", "4"]) == 0
    table = pd.read_csv(out / "clusters.csv")
    assert list(table.columns) == ["sample_id", "event", "cluster", "label"]
    assert table["sample_id"].tolist() == ["tube1"] * 3000 + ["tube2"] * 3000
    assert table["event"].tolist() == [*range(3000), *range(3000)]
    assert adjusted_rand_score(truth, table["cluster"]) > 0.98
    assert set(table["label"]) == {"B", "CD8", "CD4", "Treg"}
    names = np.array(list(PLANTED))[truth]
    assert (table["label"].to_numpy() == names).mean() > 0.98
    profiles, sizes = pd.read_csv(out / "profiles.csv"), pd.read_csv(out / "sizes.csv")
    assert profiles["n_events"].sum() == sizes["n_events"].sum() == 6000
    assert {f"median_{marker}" for marker in MARKERS} <= set(profiles.columns)
    assert set(pd.read_csv(out / "stability.csv")["kind"]) == {"seed", "subsample"}
    assert (out / "figures" / "profiles.png").exists()
    assert "6,000 of 6,000 events in 4 clusters" in capsys.readouterr().out


def test_events_outside_the_parent_stay_out_and_gates_are_compared(
    files: tuple[list[Path], np.ndarray], tmp_path: Path
) -> None:
    paths, truth = files
    (tmp_path / "t.yaml").write_text(
        "strategy: t\ntransform: {default: {asinh: {cofactor: 150}}}\n"
        "populations:\n  - {name: T, parent: root, where: CD3+}\n  - {name: CD4, parent: T, where: CD4+ CD8-}\n"
    )
    out = tmp_path / "out"
    words = [
        "--strategy",
        str(tmp_path / "t.yaml"),
        "--parent",
        "T",
        "--clusters",
        "3",
        "--markers",
        "CD4,CD8,CD25,CD127",
    ]
    assert main(["cluster", *map(str, paths), "-o", str(out), *words]) == 0
    table = pd.read_csv(out / "clusters.csv")
    b_cells = truth == list(PLANTED).index("B")
    assert table.loc[b_cells, "cluster"].isna().mean() > 0.99
    assert table.loc[~b_cells, "cluster"].notna().mean() > 0.99
    confusion = pd.read_csv(out / "confusion.csv")
    cd4 = confusion[(confusion["path"] == "/T/CD4") & (confusion["percent_of_cluster"] > 50)]
    assert cd4["percent_of_cluster"].min() > 97


def test_a_merging_table_overrides_and_its_faults_are_all_named(
    files: tuple[list[Path], np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "merge.csv"
    table.write_text("cluster,label\n1,mine\n2,mine\n")
    words = ["cluster", str(files[0][0]), "-o", str(tmp_path / "out"), "--clusters", "4", "--merge", str(table)]
    assert main(words) == 0
    labels = pd.read_csv(tmp_path / "out" / "profiles.csv").set_index("cluster")["label"]
    assert labels[1] == labels[2] == "mine"
    assert labels[3] != "mine"
    table.write_text("cluster,label\n9,a\n1,\n")
    capsys.readouterr()
    assert main(words) == 1
    said = capsys.readouterr().err
    assert "there is no cluster '9'" in said
    assert "the label is empty" in said
    table.write_text("cluster;label\n1;mine\n")
    assert main(words) == 0
    assert pd.read_csv(tmp_path / "out" / "profiles.csv").set_index("cluster")["label"][1] == "mine"
    table.write_text("clusters,label\n1,mine\n")
    assert main([*words[:3], str(tmp_path / "other"), *words[4:]]) == 1
    assert "column cluster  the column is missing" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_a_copy_of_a_file_is_refused(
    files: tuple[list[Path], np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths, _ = files
    copy = tmp_path / "other_visit.fcs"
    copy.write_bytes(paths[0].read_bytes())
    assert main(["cluster", *map(str, paths), str(copy), "-o", str(tmp_path / "out")]) == 1
    assert f"{copy}  it is a copy of {paths[0]}" in capsys.readouterr().err


def test_nothing_of_an_earlier_run_stays_in_the_folder(files: tuple[list[Path], np.ndarray], tmp_path: Path) -> None:
    paths, _ = files
    stale = [tmp_path / "abundance.csv", tmp_path / "figures" / "umap.png", tmp_path / "figures" / "abundance_SLE.pdf"]
    (tmp_path / "figures").mkdir()
    kept = [tmp_path / "figures" / name for name in ("mine.png", "abundance_talk.pptx", "umap.psd")]
    for path in (*stale, *kept):
        path.write_text("of an earlier run")
    assert main(["cluster", str(paths[0]), "-o", str(tmp_path), "--clusters", "2", "--quiet"]) == 0
    assert not any(path.exists() for path in stale)
    assert all(path.exists() for path in kept)


def test_clusters_that_change_with_the_seed_are_called_chance(tmp_path: Path) -> None:
    profiles = pd.DataFrame(
        {
            "cluster": [1, 2],
            "label": "B",
            "percent": 50.0,
            "score": 1.0,
            "evidence": "",
            "phenotype": "",
            "runner_up": "",
        }
    )
    for index, said in ((0.35, True), (0.95, False)):
        repeated = pd.DataFrame({"kind": ["seed", "subsample"], "adjusted_rand_index": index})
        outcome = ClusterOutcome(tmp_path, ("A", "B"), profiles, pd.DataFrame(), repeated, 9, 9)
        assert ("mostly chance" in cluster_text(outcome)) is said


def test_markers_that_are_not_there(files: tuple[list[Path], np.ndarray], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cluster", str(files[0][0]), "--markers", "CD4,CD255"]) == 1
    assert "there is no marker 'CD255'" in capsys.readouterr().err
    assert main(["cluster", str(files[0][0]), "absent.fcs"]) == 1
    assert "there is no such file" in capsys.readouterr().err
    assert main(["cluster", str(files[0][0]), "--parent", "T"]) == 1
    assert "a parent needs gates" in capsys.readouterr().err


def test_events_of_a_tube_are_clustered_in_place(files: tuple[list[Path], np.ndarray]) -> None:
    import immunolab as il
    from immunolab.events.storage import to_anndata
    from immunolab.events.transforms import Asinh

    tube = il.read_fcs(files[0][0])
    data = to_anndata(tube, {channel.name: Asinh(150) for channel in tube.channels})
    il.cluster(data, clusters=4)
    names = np.array(list(PLANTED))[files[1][:3000]]
    assert (data.obs["immunolab_cluster_label"].to_numpy() == names).mean() > 0.98
    assert len(data.uns["immunolab"]["clusters"]) == 4
    with pytest.raises(InputError, match="there is no marker 'CD255'"):
        il.cluster(data, clusters=4, markers=["CD255"])
    with pytest.raises(InputError, match=r"'kmeans' is unknown\n.*allowed: flowsom, leiden"):
        il.cluster(data, method="kmeans")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="choose 1 to"):
        il.cluster(data, clusters=0)
    with pytest.raises(InputError, match="events of a tube, not single cells"):
        il.label(data)


def cells_of(labels: Sequence[str | None]) -> ad.AnnData:
    """Cells with the space that labelling leaves, and their labels: two groups far apart."""
    n = len(labels)
    space = np.random.default_rng(0).normal(size=(n, 3)) + 20.0 * (np.arange(n) >= n // 2)[:, None]
    obs = pd.DataFrame({"immunolab_label": labels}, index=[f"c{i}" for i in range(n)])
    return ad.AnnData(np.ones((n, 2), dtype=np.float32), obs=obs, obsm={"X_immunolab": space})


def test_a_cluster_of_cells_is_the_narrowest_population_that_most_are_in() -> None:
    cells = cells_of(["CD4_naive", "CD4_CM", "CD4_EM", "CD8"] * 25 + ["CD8", "NK", "B", "Mono"] * 25)
    il.cluster(cells, clusters=2, quiet=True)
    table = cells.uns["immunolab"]["clusters"].set_index("label")["share"]
    assert table.to_dict() == {"CD4": 0.75, "unassigned": 0.25}


def test_a_cluster_of_cells_that_mostly_lack_a_label_is_unassigned() -> None:
    cells = cells_of(["CD4"] * 100 + ["CD4"] * 20 + [None] * 80)
    il.cluster(cells, clusters=2, quiet=True)
    assert sorted(cells.uns["immunolab"]["clusters"]["label"]) == ["CD4", "unassigned"]


def test_a_second_clustering_keeps_no_evidence_of_the_first() -> None:
    pytest.importorskip("igraph")
    cells = cells_of(["CD4"] * 200)
    il.cluster(cells, quiet=True)
    assert "cluster_number" in cells.uns["immunolab"]
    il.cluster(cells, method="leiden", quiet=True)
    assert "cluster_number" not in cells.uns["immunolab"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"clusters": "ten"}, "'ten' is no whole number"),
        ({"clusters": 4.0}, "4.0 is no whole number"),
        ({"markers": ["CD4"]}, "single cells are compared by all their genes and proteins"),
    ],
)
def test_what_cells_cannot_be_clustered_by_is_said(given: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        il.cluster(cells_of(["CD4"] * 20), quiet=True, **given)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="it holds no event or cell"):
        il.cluster(cells_of(["CD4"] * 20)[:0].copy(), quiet=True)


def test_a_cluster_without_a_name_says_what_it_has() -> None:
    row = {"label": "unassigned", "score": 0.3, "runner_up": "Th2", "evidence": "CD3+ 0.01, CD4+ -0.1"}
    words = _reason(SimpleNamespace(**row, phenotype=phenotype_in_words({"CD3": 0.01, "HLA-DR": 0.9, "CD38": 0.5})))
    assert words == "no population fits: HLA-DR+ CD38int"
    assert _reason(SimpleNamespace(**row, phenotype="CD3-")) == "no population fits: negative for all"
    close = SimpleNamespace(**row | {"score": 0.8}, phenotype="CD3+")
    assert _reason(close) == "nearest Th2, fit 0.80: CD3+ 0.01, CD4+ -0.1"


def test_a_cluster_says_which_markers_of_another_lineage_it_has_beside_its_name() -> None:
    leaky = phenotype_in_words({"CD3": 1.0, "CD8": 1.0, "CD4": 0.45, "CD45RA": 1.0, "CD19": 0.0})
    row = SimpleNamespace(label="CD3", score=1.0, runner_up="", evidence="CD3+ 0.99", phenotype=leaky)
    assert _reason(row) == "fit 1.00: CD3+ 0.99; beside it CD8+ CD4int"
    row.evidence, row.phenotype = "CD3+ 0.99, CD4+ 1.00, CD8- 0.01", "CD3+ CD4+ CD45RA+ CD8-"
    assert _reason(row) == "fit 1.00: CD3+ 0.99, CD4+ 1.00, CD8- 0.01"
    row.phenotype = "CD3+ CD4+ CD19+ CD8-"
    assert _reason(row).endswith("; beside it CD19+")


def test_no_two_of_thirty_clusters_have_one_colour_and_each_has_its_number() -> None:
    points = np.repeat(np.arange(30.0)[:, None], 2, axis=1)
    ax = map_plot(points, np.arange(30), [f"{k} x" for k in range(30)], numbers=[str(k) for k in range(30)])
    assert len({tuple(one.get_facecolor()[0]) for one in ax.collections}) == 30
    assert [text.get_text() for text in ax.texts] == [str(k) for k in range(30)]


def test_no_number_on_a_map_is_over_another() -> None:
    points = np.random.default_rng(0).normal(size=(40, 2))
    ax = map_plot(points, np.arange(40), [f"{k} x" for k in range(40)], numbers=[str(k) for k in range(40)])
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    over = [(a, b) for a in range(40) for b in range(a) if boxes[a].overlaps(boxes[b])]
    assert len(boxes) == 40
    assert not over


def test_a_map_is_drawn_in_a_part_of_a_figure() -> None:
    from matplotlib.figure import Figure

    part = Figure().subfigures(1, 2)[0].subfigures(1, 2)[1]
    ax = map_plot(np.eye(2), np.arange(2), ["a", "b"], part.subplots(), numbers=["1", "2"])
    assert [text.get_text() for text in ax.texts] == ["1", "2"]


def test_what_is_no_anndata_is_named_with_what_makes_one():
    import immunolab as il

    for verb in (il.label, il.cluster, il.umap):
        for data in (3, "cells.h5ad"):
            with pytest.raises(InputError, match=rf"{type(data).__name__} is not an AnnData\n.*immunolab.read_cells"):
                verb(data)  # type: ignore[arg-type]


def test_cells_without_cd4_are_not_named_by_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    naive = rng.random(3_000) < 0.5
    signal = {"CD3": 5_000.0, "CD4": 0.0, "CD8": 0.0, "CD45RA": np.where(naive, 5_000.0, 0.0)}
    signal["CCR7"] = np.where(naive, 3_000.0, 0.0)
    events = np.stack([np.full(3_000, level) * np.exp(rng.normal(0, 0.2, 3_000)) for level in signal.values()], axis=1)
    events += rng.normal(0, 60, events.shape)
    named = {f"$P{i + 1}S": marker for i, marker in enumerate(signal)}
    labels = {}
    for name, cd4 in (("without", 0.0), ("with", 5_000.0)):
        events[:, 1] += cd4
        path = tmp_path / f"{name}.fcs"
        path.write_bytes(fcs_bytes(events, [f"D{i}-A" for i in range(5)], keywords=named))
        assert main(["cluster", str(path), "-o", str(tmp_path / name), "--clusters", "2", "--quiet"]) == 0
        labels[name] = set(pd.read_csv(tmp_path / name / "profiles.csv")["label"])
    assert "CD4_naive" in labels["with"]
    assert not any(label.startswith(("CD4", "CD8")) for label in labels["without"])


def test_cluster_half_of_one_kind_and_half_of_another_has_the_name_of_neither():
    labels = np.array(["CD8", "CD4", "Treg", "B", "CD4", "CD4", "CD8"], dtype=object)
    named = named_by_cells(np.array([1, 1, 2, 2, 3, 3, 3], dtype=np.int32), labels, 3)
    assert named["label"].tolist() == ["CD3", "unassigned", "CD4"]
    assert named["share"].tolist() == [1.0, 0.5, pytest.approx(2 / 3)]
