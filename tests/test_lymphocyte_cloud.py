"""The lymphocyte cloud beside planted cells: blasts, dead cells, monocytes, and a cloud without an edge."""

from __future__ import annotations

import numpy as np
import pytest
from builders import data_folder
from cytoexplorer import strategy_text
from numpy.typing import NDArray

import immunolab as il
from immunolab.config import parse_yaml
from immunolab.gating.geometry import INSIDE, in_ellipsoid, in_polygon
from immunolab.gating.method_results import Array, Band, Cloud
from immunolab.gating.placement.methods.lymphocytes import lymphocytes
from immunolab.gating.strategy_file import parse_strategy

# mean and sd of forward and side scatter, and share of cells with the marker
RESTING, BLAST = ((70e3, 7e3, 20e3, 4e3), 0.7), ((150e3, 25e3, 58e3, 12e3), 0.7)
MONOCYTE, DEAD, DEBRIS = ((110e3, 12e3, 90e3, 15e3), 0.02), ((40e3, 5e3, 17e3, 4e3), 0.1), ((12e3, 4e3, 9e3, 3e3), 0.0)

CLOUD = """
strategy: cloud
populations:
  - {name: lymphocytes, parent: root, lymphocytes: {x: FSC-A, y: SSC-A}}
"""


def events(*groups: tuple[tuple[tuple[float, float, float, float], float], int]) -> tuple[Array, Array, Array, Array]:
    """Return forward and side scatter, a marker, and the group of each event."""
    rng = np.random.default_rng(7)
    x, y, marker, group = [], [], [], []
    for number, (((fsc, sd, ssc, ssc_sd), share), n) in enumerate(groups):
        common = rng.normal(size=n)  # larger cells of a group have more side scatter
        x.append(fsc + sd * common)
        y.append(ssc + ssc_sd * (0.7 * common + 0.7 * rng.normal(size=n)))
        marker.append(np.where(rng.random(n) < share, rng.normal(4, 0.4, n), rng.normal(0, 0.4, n)))
        group.append(np.full(n, number))
    return np.concatenate(x), np.concatenate(y), np.concatenate(marker), np.concatenate(group)


def held(region: Band | Cloud, x: Array, y: Array) -> NDArray[np.bool_]:
    """Return the events in a region."""
    every = np.ones(len(x), dtype=np.bool_)
    if isinstance(region, Band):
        return in_polygon(x, y, region.vertices, every) == INSIDE
    return in_ellipsoid(np.stack([x, y]), region.mean, region.covariance, region.distance_square, every) == INSIDE


def shares(region: Band | Cloud, x: Array, y: Array, group: Array) -> list[float]:
    inside = held(region, x, y)
    return [float(inside[group == one].mean()) for one in np.unique(group)]


def test_activated_cells_twice_as_large_are_held_where_a_marker_shows_them() -> None:
    x, y, marker, group = events((RESTING, 8000), (BLAST, 600), (DEBRIS, 3000))
    resting, blast, _ = shares(lymphocytes(x, y), x, y, group)
    assert resting > 0.99
    assert blast < 0.1
    resting, blast, debris = shares(lymphocytes(x, y, marker), x, y, group)
    assert min(resting, blast) > 0.9
    assert debris < 0.01


def test_monocytes_stay_outside_whatever_their_number() -> None:
    for n in (500, 6000):
        x, y, marker, _ = events((RESTING, 6000), (MONOCYTE, n), (DEBRIS, 2000))
        for blasts in (False, True):
            alone, shown = (held(lymphocytes(x, y, m, blasts=blasts), x, y) for m in (None, marker))
            assert (alone == shown).mean() > 0.995


def test_the_cloud_is_where_cells_with_the_marker_are_densest_not_the_dead_ones_beside_it() -> None:
    x, y, marker, group = events((RESTING, 6000), (DEAD, 6000))
    assert lymphocytes(x, y).mean[0] == pytest.approx(40e3, rel=0.1)
    resting, dead = shares(lymphocytes(x, y, marker), x, y, group)
    assert resting > 0.98
    assert dead < 0.1


def test_a_marker_without_two_groups_in_the_cloud_changes_nothing() -> None:
    x, y, _, _ = events((RESTING, 5000), (BLAST, 500))
    noise = np.random.default_rng(1).normal(size=len(x))
    assert lymphocytes(x, y, noise) == lymphocytes(x, y)


def test_a_cloud_that_goes_over_into_its_surroundings_is_flagged() -> None:
    rng = np.random.default_rng(3)
    core = rng.normal([60e3, 18e3], [6e3, 4e3], (4000, 2)).T
    haze = np.abs(rng.normal([60e3, 18e3], [60e3, 50e3], (8000, 2))).T
    x, y = np.concatenate([core, haze], axis=1)
    assert "not_set_apart" in lymphocytes(x, y).flags
    assert "not_set_apart" not in lymphocytes(*core).flags
    blood = events((RESTING, 5000), (MONOCYTE, 2000), (DEBRIS, 3000))
    assert lymphocytes(*blood[:2]).flags == ()


def test_events_that_are_all_at_the_end_of_the_detector_are_too_few() -> None:
    end = np.full(500, 1023.0)
    assert lymphocytes(end, end).flags == ("too_few_events",)


def test_activated_mouse_t_cells_are_not_cut_off_with_the_large_cells() -> None:
    """CytoExploreR: 12.2 % of CD8 T cells carried CD69, nearly all of them outside the cloud of resting cells."""
    folder = data_folder("flow/cytoexplorer_activation")
    tube = il.read_fcs(folder / "Activation_31.fcs", panel=folder / "Activation-Experiment-Markers.csv")
    stored = il.gate(tube, parse_strategy(parse_yaml(strategy_text(folder), "stored.yaml")))
    activated = stored.mask("CD69+ CD8 T Cells")
    inside = il.gate(tube, parse_strategy(parse_yaml(CLOUD, "cloud.yaml"))).mask("lymphocytes")
    assert activated.sum() > 400
    assert inside[activated].mean() > 0.95
