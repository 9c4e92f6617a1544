"""Borders on one axis and regions in two: planted truth, few events, unusual events."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from planted import f1

from immunolab.cli import main
from immunolab.gating.method_registry import REGISTERED
from immunolab.gating.method_results import Band
from immunolab.gating.placement import method_lookup, methods
from immunolab.gating.placement.density import robust_sd
from immunolab.gating.placement.methods.diagonal import diagonal
from immunolab.gating.placement.methods.fixed import fixed
from immunolab.gating.placement.methods.fmo import fmo
from immunolab.gating.placement.methods.internal_reference import internal_reference
from immunolab.gating.placement.methods.lymphocytes import lymphocytes
from immunolab.gating.placement.methods.mixture import mixture
from immunolab.gating.placement.methods.quadrants import quadrants
from immunolab.gating.placement.methods.quantile import quantile
from immunolab.gating.placement.methods.singlets import singlets
from immunolab.gating.placement.methods.tail import tail
from immunolab.gating.placement.methods.unstained import unstained
from immunolab.gating.placement.methods.valley import valley

ONE_AXIS = (valley, tail, mixture, quantile, fmo, unstained, internal_reference)


def two_groups(seed: int = 0, n: int = 20_000, apart: float = 4.0, share: float = 0.3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < share
    return np.where(positive, rng.normal(apart, 0.5, n), rng.normal(0.0, 0.5, n))


@pytest.mark.parametrize("share", [0.05, 0.3, 0.8])
def test_valley_and_mixture_split_two_groups_where_few_cells_are_wrong(share: float) -> None:
    values = two_groups(share=share)
    for cut in (valley(values), mixture(values)):
        assert cut.flags == ()
        assert abs(np.mean(values > cut.value) - share) < 0.01


def test_valley_says_when_there_is_none() -> None:
    cut = valley(np.random.default_rng(0).normal(0, 1, 5000))
    assert np.isnan(cut.value)
    assert cut.flags == ("no_valley", "unimodal")


def test_valley_stays_within_its_window() -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(m, 0.3, 4000) for m in (0, 3, 6)])
    assert 1 < valley(values, within=[1, 2]).value < 2
    assert 4 < valley(values, within=[4, 5]).value < 5


def test_gaps_between_counts_are_not_valleys() -> None:
    counts = np.random.default_rng(2).poisson(2.0, 5000)
    assert valley(np.arcsinh(counts / 5.0)).flags == ("no_valley", "unimodal")


def test_mixture_of_one_group_is_flagged_unimodal() -> None:
    assert "unimodal" in mixture(np.random.default_rng(3).normal(0, 1, 5000)).flags


def test_tail_leaves_out_positives_that_have_no_valley() -> None:
    rng = np.random.default_rng(4)
    negative, positive = rng.normal(0, 0.5, 9500), rng.normal(1.8, 0.6, 500)
    assert_allclose(tail(np.concatenate([negative, positive])).value, 1.5, atol=0.25)


@pytest.mark.parametrize("side", ["above", "below"])
def test_a_tail_beyond_the_data_comes_back_to_its_edge_and_says_so(side: str) -> None:
    # a hump cut off short of three standard deviations: nothing is where the border would be
    hump = np.random.default_rng(9).normal(2.0, 1.0, 4000)
    hump = hump[np.abs(hump - 2.0) < 1.5]
    cut = tail(hump, side=side)
    assert "beyond_data" in cut.flags
    assert (hump >= cut.value).sum() == (0 if side == "above" else len(hump))
    assert_allclose(cut.value, hump.max() if side == "above" else hump.min(), atol=1e-9)
    assert "beyond_data" not in tail(hump, k=1.0, side=side).flags
    window = (9.0, 9.5) if side == "above" else (-9.5, -9.0)  # where the strategy wants the border, beyond all events
    assert window[0] <= tail(hump, side=side, within=window).value <= window[1]


def test_internal_reference_is_a_quantile_that_contamination_cannot_move_far() -> None:
    rng = np.random.default_rng(5)
    clean = rng.normal(0.4, 0.5, 20_000)
    assert_allclose(internal_reference(clean).value, 0.4 + 2.326 * 0.5, atol=0.05)
    dirty = np.concatenate([clean, rng.normal(4, 0.3, 1500)])
    assert np.quantile(dirty, 0.99) > 3.5
    assert internal_reference(dirty).value < 0.4 + 4 * 0.55


def test_internal_reference_below_a_positive_population() -> None:
    values = np.random.default_rng(6).normal(3.5, 0.5, 20_000)
    assert_allclose(internal_reference(values, k=2, side="below").value, 2.5, atol=0.05)


@given(st.floats(-2, 2), st.floats(0.5, 2))
@settings(max_examples=10, deadline=None)
def test_borders_move_with_the_scale(move: float, stretch: float) -> None:
    values = two_groups(7, 4000)
    for method in (valley, tail, quantile, internal_reference):
        assert_allclose(method(values * stretch + move).value, method(values).value * stretch + move, atol=0.05)


@pytest.mark.parametrize("method", ONE_AXIS)
@pytest.mark.parametrize("values", [[], [1.0], [1.0] * 30, [np.nan] * 100])
def test_few_or_empty_values_are_flagged_not_raised(method, values: list[float]) -> None:
    assert "too_few_events" in method(np.array(values)).flags


def test_order_of_events_is_irrelevant() -> None:
    values = two_groups(8)
    for method in ONE_AXIS:
        assert_allclose(method(values).value, method(values[::-1]).value, rtol=1e-12)


def test_fixed_is_what_was_asked_for() -> None:
    assert fixed(at=1.25).value == 1.25


def corner_cells(
    seed: int, target: int = 600, move: float = 0.0, gain: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Naive, memory, activated and regulatory cells on CD25 and CD127; kind 3 is wanted."""
    rng = np.random.default_rng(seed)
    means = [(0.5, 3.5), (1.3, 3.5), (2.2, 2.6), (3.7, 1.5)]
    counts = (4000, 4500, 300, target)
    x = np.concatenate([rng.normal(m, 0.6, c) for (m, _), c in zip(means, counts, strict=True)])
    y = np.concatenate([rng.normal(m, 0.55, c) for (_, m), c in zip(means, counts, strict=True)])
    return x * gain + move, y, np.repeat(np.arange(4), counts)


@pytest.mark.parametrize(("move", "gain"), [(0.0, 1.0), (0.45, 1.0), (-0.5, 1.0), (0.0, 1.3)])
def test_diagonal_finds_the_corner_cloud_whatever_the_lot(move: float, gain: float) -> None:
    x, y, kind = corner_cells(0, move=move, gain=gain)
    naive = kind == 0
    corner = diagonal(x, y, (x[naive], y[naive]))
    called = (x > corner.x.value) & (y < corner.y.value + corner.slope * (x - corner.x.value))
    assert corner.flags == ()
    assert (called & (kind == 3)).sum() / (kind == 3).sum() > 0.88
    assert 0.9 < called.sum() / (kind == 3).sum() < 1.12


def test_a_tenth_of_the_events_fewer_moves_the_corner_cloud_little() -> None:
    """The same cells counted within both borders: some 600 of which a tenth go move by 1.3 % by counting alone."""
    moves = []
    for seed in range(12):
        x, y, kind = corner_cells(seed)
        kept = np.random.default_rng(seed).random(len(x)) < 0.9
        counts = []
        for part in (np.ones(len(x), bool), kept):
            naive = part & (kind == 0)
            corner = diagonal(x[part], y[part], (x[naive], y[naive]))
            counts.append(((x > corner.x.value) & (y < corner.y.value + corner.slope * (x - corner.x.value))).sum())
        moves.append(np.log(counts[1] / counts[0]))
    assert np.std(moves) < 0.013


def test_diagonal_turned_round_finds_the_same_cells() -> None:
    x, y, kind = corner_cells(1)
    naive = kind == 0
    low = diagonal(x, y, (x[naive], y[naive]))
    high = diagonal(x, -y, (x[naive], -y[naive]), y_side="hi")
    assert_allclose([high.x.value, high.y.value, high.slope], [low.x.value, -low.y.value, -low.slope], rtol=1e-9)


@pytest.mark.parametrize(("place", "found"), [(2.2, True), (1.2, False)])
def test_a_tight_cloud_beside_a_broad_reference_is_found_and_a_shoulder_is_none(place: float, found: bool) -> None:
    """Noise of compensation makes the reference broad; the cloud is set apart by its own small spread."""
    rng = np.random.default_rng(5)
    x = np.concatenate([rng.normal(0, 1, 4000), rng.normal(place, 0.35, 600)])
    y = np.concatenate([rng.normal(0, 1, 4000), rng.normal(-2, 0.7, 600)])
    cloud = np.arange(4600) >= 4000
    corner = diagonal(x, y, (x[~cloud], y[~cloud]))
    assert ("no_corner_cloud" not in corner.flags) == found
    if found:
        inside = (x > corner.x.value) & (y < corner.y.value + corner.slope * (x - corner.x.value))
        assert f1(inside, cloud) > 0.85


def test_naive_treg_among_the_reference_do_not_hide_the_cloud() -> None:
    """A patient on treatment: a third of the naive cells are of the cloud that is looked for."""
    rng = np.random.default_rng(6)
    x = np.concatenate([rng.normal(0, 1, 4000), rng.normal(4, 0.6, 1500)])
    y = np.concatenate([rng.normal(0, 1, 4000), rng.normal(-2, 0.7, 1500)])
    cloud = np.arange(5500) >= 4000
    naive = np.concatenate([np.arange(1500), np.arange(4000, 4750)])
    corner = diagonal(x, y, (x[naive], y[naive]))
    assert "no_corner_cloud" not in corner.flags
    inside = (x > corner.x.value) & (y < corner.y.value + corner.slope * (x - corner.x.value))
    assert f1(inside, cloud) > 0.95


def test_diagonal_without_a_cloud_or_reference_says_so() -> None:
    x, y, kind = corner_cells(2, target=0)
    empty = diagonal(x[kind < 2], y[kind < 2], (x[kind == 0], y[kind == 0]))
    assert "no_corner_cloud" in empty.flags
    assert np.isfinite(empty.x.value)
    assert "no_reference" in diagonal(x, y).flags
    assert "too_few_events" in diagonal(x[:3], y[:3]).flags


def test_singlets_leave_doublets_out() -> None:
    rng = np.random.default_rng(3)
    area = rng.normal(90_000, 9000, 5000)
    double = rng.random(5000) < 0.05
    area = np.where(double, area * 2, area)
    height = area * rng.normal(0.8, 0.02, 5000) * np.where(double, 0.55, 1)
    (_, _), (far, low), (_, high), (_, _) = singlets(area, height).vertices
    inside = (height > low / far * area) & (height < high / far * area)
    assert inside[~double].mean() > 0.99
    assert inside[double].mean() < 0.01


def test_lymphocytes_are_the_cloud_of_least_side_scatter_that_is_not_debris() -> None:
    rng = np.random.default_rng(4)
    fsc = np.concatenate(
        [rng.normal(m, s, n) for m, s, n in [(90e3, 9e3, 6000), (135e3, 14e3, 2000), (18e3, 6e3, 3000)]]
    )
    ssc = np.concatenate(
        [rng.normal(m, s, n) for m, s, n in [(25e3, 6e3, 6000), (70e3, 14e3, 2000), (15e3, 5e3, 3000)]]
    )
    cloud = lymphocytes(fsc, ssc)
    assert_allclose(cloud.mean, [90e3, 25e3], rtol=0.03)
    assert_allclose(np.sqrt(np.diag(cloud.covariance)), [9e3, 6e3], rtol=0.12)
    wide = lymphocytes(fsc, ssc, blasts=True)
    assert isinstance(wide, Band)
    assert max(x for x, _ in wide.vertices) > 135e3
    assert lymphocytes(fsc[:10], ssc[:10]).flags == ("too_few_events",)


def test_quadrants_place_one_border_on_each_axis() -> None:
    found = quadrants(two_groups(5), two_groups(6), quadrant="+-")
    assert found.quadrant == "+-"
    assert 1 < found.x.value < 3
    assert 1 < found.y.value < 3


def test_robust_sd_is_the_sd_of_normal_values() -> None:
    assert_allclose(robust_sd(np.random.default_rng(7).normal(0, 2, 50_000)), 2, rtol=0.02)
    assert robust_sd(np.array([])) == 0


def test_every_method_has_a_card_that_states_its_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    shipped = {file.stem for file in Path(methods.__path__[0]).glob("[a-z]*.py")}
    assert shipped <= set(REGISTERED), "one file a method, each registered"
    assert all(method_lookup.method(name).card.assumes for name in shipped)
    assert main(["methods"]) == 0
    printed = capsys.readouterr().out
    assert all(f"{name}  (uses " in printed for name in shipped)


def test_unknown_method_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods", "valey"]) == 1
    assert "did you mean 'valley'?" in capsys.readouterr().err
