"""How many clusters there are, which nodes belong together, and scales that are not applied twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fcs_builder import fcs_bytes
from sklearn.metrics import adjusted_rand_score

import immunolab as il
from immunolab.cli import main
from immunolab.clustering._joins import cost
from immunolab.clustering.cluster_number import ClusterNumber, HalfMap, cluster_number, half_rows, rand_index
from immunolab.clustering.node_groups import Nodes, agreed_nodes, joined_nodes
from immunolab.clustering.one_group import likelier_apart
from immunolab.clustering.som import train_map, train_nodes
from immunolab.errors import InputError
from immunolab.events.scales import channel_noise, channel_scales
from immunolab.events.transforms import Asinh, Identity
from immunolab.events.tube import Channel, Tube


def blobs(n: int, share: np.ndarray, seed: int = 0, markers: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Return events of normal populations three to five standard deviations apart, and the population of each."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(len(share), n, p=share / share.sum())
    corners = rng.permutation(2**markers)[: len(share)]
    centres = 4.0 * ((corners[:, None] >> np.arange(markers)) & 1)
    return (centres[truth] + 0.7 * rng.normal(size=(n, markers))).astype(np.float32), truth


@pytest.mark.parametrize("populations", [6, 12, 18])
def test_as_many_clusters_as_populations_are_taken(populations: int) -> None:
    events, truth = blobs(12_000, np.geomspace(0.3, 0.02, populations), seed=populations)
    found = train_map(events, seed=0)
    assert found.number is not None
    assert found.number.borne == populations
    assert adjusted_rand_score(truth, found.assign(events)) > 0.98
    assert found.number.in_words().startswith(f"{populations} clusters, as many as halves of the events find again")


def test_further_clusters_leave_populations_whole() -> None:
    events, truth = blobs(12_000, np.geomspace(0.4, 0.03, 10))
    index = [adjusted_rand_score(truth, train_map(events, n, seed=0).assign(events)) for n in (10, 12, 14)]
    assert min(index) > 0.95


def test_a_few_stray_events_use_up_no_cluster() -> None:
    events, truth = blobs(12_000, np.ones(6))
    stray = 8.0 + np.random.default_rng(1).normal(size=(4, 6)).astype(np.float32)  # 0.03 % of the events
    found = train_map(np.concatenate([events, stray]), 6, seed=0)
    assert adjusted_rand_score(truth, found.assign(events)) > 0.98


def test_noise_bears_no_clusters_and_the_evidence_says_so() -> None:
    noise = np.random.default_rng(0).normal(size=(6_000, 6)).astype(np.float32)
    number = train_map(noise, seed=0).number
    assert number is not None
    assert number.borne == 1
    assert number.in_words().startswith("one cluster: halves of the events find no two clusters again")


@pytest.mark.parametrize("draw", ["normal", "uniform"])
def test_few_events_of_noise_in_two_dimensions_bear_one_cluster(draw: str) -> None:
    # halves found 2 to 6 of 500 events again: with few events in a plane they part it alike
    for seed in range(2):
        noise = getattr(np.random.default_rng(seed + 77), draw)(size=(500, 2)).astype(np.float32)
        assert train_nodes(noise, seed=seed).number.borne == 1


def test_groups_that_touch_are_likelier_apart_and_parts_of_one_are_not() -> None:
    rng = np.random.default_rng(0)
    one, cut = rng.normal(size=(500, 2)), np.array([-1.0, 0.0, 1.0])
    assert not likelier_apart(one, (one[:, 0] > 0).astype(int))
    assert not likelier_apart(one, np.digitize(one[:, 0], cut))
    assert likelier_apart(np.concatenate([one, one + np.array([0.0, 4.0])]), np.repeat([0, 1], 500))
    wide = np.repeat(rng.normal(size=(500, 40)), 2, axis=1)  # markers that repeat others
    assert not likelier_apart(wide, (wide[:, 0] > 0).astype(int))


def test_halves_of_a_draw_leave_no_event_out_and_hold_none_twice() -> None:
    halves = half_rows(1_001, np.random.default_rng(0))
    assert len(halves) == 10
    for first, second in zip(halves[::2], halves[1::2], strict=True):
        assert np.array_equal(np.sort(np.concatenate([first, second])), np.arange(1_001))
    assert [len(rows) for rows in half_rows(1, np.random.default_rng(0))] == [1] * 10


def test_the_number_is_said_with_its_evidence() -> None:
    number = ClusterNumber(4, {4: 0.9, 5: 0.8, 6: 0.7}, {5: 4, 6: 4}, {5: (3, 4), 6: (3, 5)})
    assert number.in_words().startswith("4 clusters, as many as halves of the events find again, none within another")
    assert "mean Jaccard index of at least 0.75; 9 of 11 maps find 3 to 5; up to 6 tried" in number.in_words()
    one_normal = replace(number, borne=1).in_words()
    assert one_normal.startswith("one cluster: halves of the events find 4 again, but one normal group is as likely")
    few = replace(number, borne=1, agreement={4: 0.27}).in_words()
    assert few.endswith("find 4 again, but agree on few events (adjusted Rand index 0.27, 0.4 is asked)")
    assert ClusterNumber(1, {}, {}).in_words().startswith("one cluster: the events are too few or too alike")


def test_populations_that_halves_part_in_another_order_all_count() -> None:
    # two pairs of populations: half of the maps part the first pair first, the others the second
    own, size = np.repeat(np.arange(4, dtype=np.int32), 100), np.full(4, 100)
    first = Nodes(size, np.array([[2, 3], [0, 1], [0, 2]]))
    second = Nodes(size, np.array([[0, 1], [2, 3], [0, 2]]))
    halves = [HalfMap(first, own), HalfMap(second, own)] * 3
    number = cluster_number(halves, HalfMap(first, own))
    assert number.found_again == {2: 2, 3: 3, 4: 4}
    assert number.borne == 4
    assert number.likely == (4, 4)


def test_a_tree_knows_what_each_branch_holds() -> None:
    held, parts = Nodes(np.ones(3, dtype=np.int64), np.array([[1, 2], [0, 1]])).branches()
    assert held.astype(int).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 1], [1, 1, 1]]
    assert parts[3:].tolist() == [[1, 2], [0, 3]]


def test_few_cells_in_many_dimensions_bear_their_populations() -> None:
    rng = np.random.default_rng(3)
    truth = rng.choice(5, 500, p=[0.4, 0.25, 0.15, 0.12, 0.08])
    cells = rng.normal(size=(500, 70)) * np.where(np.arange(70) < 10, 1.0, 0.4)
    cells[:, :10] += 2.5 * rng.normal(size=(5, 10))[truth]
    found = train_map(cells.astype(np.float32), seed=0)
    assert found.number is not None
    assert found.number.borne in (5, 6)
    assert adjusted_rand_score(truth, found.assign(cells.astype(np.float32))) > 0.9


def test_events_of_one_value_are_not_called_too_few() -> None:
    number = train_nodes(np.ones((1_000, 3), dtype=np.float32)).number
    assert number.borne == 1
    assert "too few or too alike to compare halves" in number.in_words()


def test_a_few_events_less_do_not_change_the_number() -> None:
    events, _ = blobs(9_000, np.geomspace(0.3, 0.02, 9), seed=4)
    rng = np.random.default_rng(0)
    drawn = [events[np.sort(rng.choice(9_000, 8_950, replace=False))] for _ in range(2)]
    numbers = [train_nodes(part, seed=seed).number.borne for seed, part in enumerate([events, *drawn])]
    assert numbers == [9, 9, 9]


def test_a_stray_event_does_not_change_the_number() -> None:
    events, _ = blobs(1_800, np.full(6, 1 / 6), seed=1)
    events[7, 1] = 50 * np.ptp(events)
    assert train_nodes(events, seed=0).number.borne == 6


def test_joins_keep_a_normal_group_whole_and_part_two_that_touch() -> None:
    rng = np.random.default_rng(0)
    long = rng.normal(size=(4_000, 2)) * [4.0, 0.5]
    small = rng.normal([0.0, 4.0], 0.5, (400, 2))  # nearer to the middle of the long one than its ends are
    events = np.concatenate([long, small]).astype(np.float32)
    own = np.concatenate([np.digitize(long[:, 0], [-5.0, -2.0, 0.0, 2.0, 5.0]), np.full(400, 6)])
    nodes = joined_nodes(events, own, 7)
    assert nodes.groups(2).tolist() == [0, 0, 0, 0, 0, 0, 1]
    assert nodes.groups(9).tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_the_cost_of_a_group_is_that_of_scipy() -> None:
    rng = np.random.default_rng(1)
    points = rng.normal(size=(50, 3)) @ rng.normal(size=(3, 3))
    scatter = (points - points.mean(axis=0)).T @ (points - points.mean(axis=0))
    noise, within, weight, total = 0.3, 0.9, 20.0, 500.0
    noisy = scatter + 50 * noise * np.eye(3)
    covariance = (noisy + weight * within * np.eye(3)) / (50 + weight)
    fit = np.trace(np.linalg.inv(covariance) @ noisy) - 50 * 3
    expected = 50 * (np.linalg.slogdet(covariance)[1] / 2 - np.log(50 / total)) + fit / 2
    assert cost(50.0, scatter, total, noise, within, weight) == pytest.approx(expected, rel=1e-12)


def test_nodes_are_together_as_most_halves_have_them() -> None:
    # five halves put the second of three nodes with the first, two with the third
    with_first = np.array([[9.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    with_third = np.array([[9.0, 0.0], [0.0, 9.0], [0.0, 9.0]])
    shared = [with_first] * 5 + [with_third] * 2
    assert agreed_nodes(shared, np.full(3, 9)).groups(2).tolist() == [0, 0, 1]


def test_the_index_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, 300), rng.integers(0, 4, 300)
    b[a == 2] = 3
    shared = pd.crosstab(a, b).to_numpy(dtype=float)
    assert rand_index(shared) == pytest.approx(adjusted_rand_score(a, b))


def test_the_same_seed_gives_the_same_bytes_and_clusters_are_numbered_by_size() -> None:
    events, _ = blobs(5_000, np.geomspace(0.4, 0.05, 5))
    first, again = (train_map(events, seed=3) for _ in range(2))
    assert first.nodes.tobytes() == again.nodes.tobytes()
    assert np.array_equal(first.assign(events), again.assign(events))
    assert np.all(np.diff(np.bincount(first.assign(events))) < 0)


def _tube(values: np.ndarray, kind: str) -> Tube:
    channels = tuple(Channel(f"Ch{i}", marker=f"M{i}", kind=kind) for i in range(values.shape[1]))  # type: ignore[arg-type]
    return Tube(np.ascontiguousarray(values.T, dtype=np.float32), channels, None)


@pytest.mark.parametrize("kind", ["mass", "fluorescence"])
def test_values_on_a_display_scale_are_left_as_they_are(kind: str) -> None:
    rng = np.random.default_rng(0)
    positive = rng.random((8_000, 5)) < np.array([0.5, 0.2, 0.6, 0.3, 0.05])
    signal = np.exp(rng.normal(np.where(positive, 5.0 if kind == "mass" else 8.5, 0.0), 0.4))
    raw = signal if kind == "mass" else signal + rng.normal(0, 60, signal.shape)
    found = channel_scales([channel_noise(_tube(raw, kind))])
    assert all(isinstance(one.transform, Asinh) for one in found)
    shown = np.arcsinh(raw / (5 if kind == "mass" else 150))
    found = channel_scales([channel_noise(_tube(shown, kind))])
    assert all(one.transform == Identity() for one in found)
    assert "they are on a display scale" in found[0].reason


def test_the_command_leaves_channel_numbers_and_says_scale_and_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events, truth = blobs(4_000, np.ones(5), markers=4)
    numbers = 1000 + 450 * events  # as FlowJo exports channels of 0 to 4095
    names = {f"$P{i + 1}S": f"M{i}" for i in range(4)}
    path = tmp_path / "a.fcs"
    path.write_bytes(fcs_bytes(numbers, [f"D{i}-A" for i in range(4)], keywords=names))
    markers = "D0-A,D1-A,D2-A,D3-A"
    assert main(["cluster", str(path), "-o", str(tmp_path / "out"), "--markers", markers]) == 0
    assert adjusted_rand_score(truth, pd.read_csv(tmp_path / "out" / "clusters.csv")["cluster"]) > 0.98
    assert set(pd.read_csv(tmp_path / "out" / "scales.csv")["scale"]) == {"linear"}
    tried = pd.read_csv(tmp_path / "out" / "cluster_numbers.csv")
    assert tried.set_index("clusters").loc[5, "found_again"] == tried["found_again"].max() == 5
    assert (tmp_path / "out" / "figures" / "cluster_number.pdf").is_file()
    said = capsys.readouterr().out
    assert "5 clusters, as many as halves of the events find again" in said
    assert "scale of all markers: linear" in said


def test_a_notebook_finds_the_evidence_in_uns() -> None:
    gated = il.gate(il.read_fcs("sample_data/sle/fcs/SLE001_W0.fcs"), "treg_th17_tfh_teff")
    data = gated.to_anndata()
    il.cluster(data, quiet=True)
    evidence = data.uns["immunolab"]["cluster_number"]
    assert evidence["chosen"]
    assert evidence["low"] <= evidence["taken"] <= evidence["high"]
    assert data.obs["immunolab_cluster"].nunique() == evidence["taken"] >= evidence["borne"]
    assert str(evidence["taken"]) in evidence["words"]
    assert len(evidence["clusters"]) == len(evidence["agreement"]) == len(evidence["found_again"])


def test_a_marker_without_any_value_is_named() -> None:
    rng = np.random.default_rng(0)
    data = il.gate(il.read_fcs("sample_data/sle/fcs/SLE001_W0.fcs"), "treg_th17_tfh_teff").to_anndata()[:50].copy()
    shown = rng.normal(size=data.shape).astype(np.float32)
    shown[:, list(data.var_names).index("CD25")] = np.nan
    data.X = shown
    with pytest.raises(InputError, match="no event has a value of every marker: CD25 without any"):
        il.cluster(data, quiet=True)


def _labelled(path: Path, labels: list[str], n: int = 400) -> str:
    rng = np.random.default_rng(0)
    signal = np.where(rng.random((n, len(labels))) < 0.5, 1_000.0, 0.0) + rng.normal(0, 60, (n, len(labels)))
    names = {f"$P{i + 1}S": label for i, label in enumerate(labels)}
    path.write_bytes(fcs_bytes(signal, [f"D{i}-A" for i in range(len(labels))], keywords=names))
    return str(path)


@pytest.mark.parametrize(("markers", "named"), [("CD3,CD4,CD4", "CD4, CD4"), ("CD3,CD4,D0-A", "CD3, D0-A")])
def test_a_channel_named_twice_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], markers: str, named: str
) -> None:
    path = _labelled(tmp_path / "a.fcs", ["CD3", "CD4", "CD8"])
    assert main(["cluster", path, "-o", str(tmp_path / "out"), "--markers", markers]) == 1
    assert f"these are one channel: {named}" in capsys.readouterr().err


def test_a_marker_given_twice_in_a_notebook_is_refused() -> None:
    data = il.gate(il.read_fcs("sample_data/sle/fcs/SLE001_W0.fcs"), "treg_th17_tfh_teff").to_anndata()
    with pytest.raises(InputError, match="given twice: CD4"):
        il.cluster(data, markers=["CD3", "CD4", "CD4"], quiet=True)


def test_a_marker_that_two_channels_carry_is_said_to_be_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = _labelled(tmp_path / "a.fcs", ["CD3", "CD4", "CD8", "CD4"])
    with caplog.at_level("INFO", logger="immunolab"):
        assert main(["cluster", path, "-o", str(tmp_path / "out"), "--quiet"]) == 0
    assert "not clustered on: CD4, carried by D1-A and D3-A" in caplog.text


def test_three_events_are_one_cluster_and_too_few_to_say_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _labelled(tmp_path / "a.fcs", ["CD3", "CD4", "CD8"], 3)
    assert main(["cluster", path, "-o", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "3 of 3 events in 1 cluster on" in said
    assert "one cluster: the events are too few or too alike to compare halves of them" in said
    assert "found again" not in said
    assert main(["cluster", path, "-o", str(tmp_path / "map"), "--umap"]) == 1
    assert "a UMAP needs at least 20 events, there are 3" in capsys.readouterr().err
    assert not (tmp_path / "map").exists()


def test_more_clusters_than_the_map_can_tell_apart_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _labelled(tmp_path / "a.fcs", ["CD3", "CD4", "CD8"], 600)
    assert main(["cluster", path, "-o", str(tmp_path / "out"), "--clusters", "300"]) == 0
    made = len(pd.read_csv(tmp_path / "out" / "profiles.csv"))
    assert f"300 asked for, the map finds no more than {made}; without a number: " in capsys.readouterr().out


def test_a_notebook_hears_of_fewer_clusters_than_asked_for() -> None:
    data = il.gate(il.read_fcs("sample_data/sle/fcs/SLE001_W0.fcs"), "treg_th17_tfh_teff").to_anndata()
    il.cluster(data, clusters=300, quiet=True)
    made = data.obs["immunolab_cluster"].nunique()
    words = data.uns["immunolab"]["cluster_number"]["words"]
    assert made < 300
    assert words.startswith(f"300 asked for, the map finds no more than {made}; ")
