"""How many clusters there are, which nodes belong together, and scales that are not applied twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fcs_builder import fcs_bytes
from sklearn.metrics import adjusted_rand_score

import immunolab as il
from immunolab.cli import main
from immunolab.clustering.cluster_number import ClusterNumber, rand_index
from immunolab.clustering.node_tree import node_tree
from immunolab.clustering.som import train_map
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
    assert f"{populations} clusters are the last that halves of the events find alike" in found.number.in_words()


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
    assert number.in_words().startswith("halves of the events agree on no number of clusters")


def test_groups_that_are_not_clear_give_the_usual_number_with_its_agreement() -> None:
    number = ClusterNumber(2, dict.fromkeys(range(2, 20), 0.83) | {2: 0.99})
    assert number.taken == 10
    assert number.in_words().startswith("10 clusters, on which halves of the events agree to 0.830")
    assert ClusterNumber(5, dict.fromkeys(range(2, 20), 0.7) | {5: 0.99}).taken == 5


def test_a_long_population_without_a_valley_is_one_and_a_gap_is_two() -> None:
    nodes = np.array([[0.0], [1.0], [2.0], [3.0], [4.5], [5.0]], dtype=np.float32)
    near, empty = np.full((6, 6), 100.0), np.zeros((6, 6))
    for a, b in ((0, 1), (1, 2), (2, 3), (4, 5)):
        empty[a, b] = empty[b, a] = 100.0
    tree = node_tree(nodes, np.full(6, 500), near, empty)
    assert tree.groups_by_number([2])[2].tolist() == [0, 0, 0, 0, 1, 1]


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
    assert (tried["agreement"] >= tried["least"])[tried["clusters"] == 5].all()
    said = capsys.readouterr().out
    assert "5 clusters are the last that halves of the events find alike" in said
    assert "scale of all markers: linear" in said


def test_a_notebook_finds_the_evidence_in_uns() -> None:
    gated = il.gate(il.read_fcs("sample_data/sle/fcs/SLE001_W0.fcs"), "treg_th17_tfh_teff")
    data = gated.to_anndata()
    il.cluster(data, quiet=True)
    evidence = data.uns["immunolab"]["cluster_number"]
    assert evidence["chosen"]
    assert data.obs["immunolab_cluster"].nunique() == evidence["taken"] >= evidence["borne"]
    assert str(evidence["taken"]) in evidence["words"]
    assert len(evidence["clusters"]) == len(evidence["agreement"])


def test_a_marker_without_any_value_is_named() -> None:
    rng = np.random.default_rng(0)
    data = il.gate(il.read_fcs("sample_data/sle/fcs/SLE001_W0.fcs"), "treg_th17_tfh_teff").to_anndata()[:50].copy()
    shown = rng.normal(size=data.shape).astype(np.float32)
    shown[:, list(data.var_names).index("CD25")] = np.nan
    data.X = shown
    with pytest.raises(InputError, match="no event has a value of every marker: CD25 without any"):
        il.cluster(data, quiet=True)
