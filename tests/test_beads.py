"""Counting beads: planted among simulated cells by code of its own, found, counted, and made cells per microlitre."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from immunolab.events.tube import Channel, Tube
from immunolab.quality.beads import ENOUGH_BEADS, bead_row, find_beads
from immunolab.study.endpoints import BeadCount, SampleCounts, TubeBeads

DETECTORS = ("BB515", "BV421", "PE", "APC", "BV605", "PE-Cy7", "BV711", "APC-Cy7", "BV786", "BUV395")


def tube_with_beads(
    seed: int, n_beads: int, *, n_cells: int = 20_000, bright: float = 30_000.0, cv: float = 0.08, dark: int = 0
) -> Tube:
    """Return cells of eight kinds and beads: bright in all detectors but ``dark`` of them, dead cells and doublets."""
    rng = np.random.default_rng(seed)
    kinds = rng.random((8, len(DETECTORS))) < 0.4  # which markers a kind of cell has
    light = np.where(kinds[rng.integers(0, 8, n_cells)], 8_000.0, 150.0) * np.exp(rng.normal(0, 0.5, (n_cells, 10)))
    dead = rng.random(n_cells) < 0.05
    light[dead] += 900.0 * np.exp(rng.normal(0, 0.6, (int(dead.sum()), 1)))
    pairs = rng.random(n_cells) < 0.04
    light[pairs] += light[rng.integers(0, n_cells, int(pairs.sum()))]
    light += rng.normal(0, 60, light.shape)
    each = bright * np.exp(rng.uniform(-0.7, 0.7, len(DETECTORS)))
    each[:dark] = 400.0
    beads = each * np.exp(rng.normal(0, cv, (n_beads, 1))) * np.exp(rng.normal(0, cv / 2, (n_beads, 10)))
    beads[: n_beads // 50] *= 2  # two beads at once
    scatter = np.concatenate(
        [
            rng.normal([90_000, 30_000], [12_000, 6_000], (n_cells, 2)),
            rng.normal([30_000, 120_000], 8_000, (n_beads, 2)),
        ]
    )
    events = np.concatenate([np.concatenate([light, beads]).T, scatter.T])[:, rng.permutation(n_cells + n_beads)]
    channels = [Channel(name, name, None) for name in DETECTORS]
    channels += [Channel(name, name, None, kind="scatter") for name in ("FSC-A", "SSC-A")]
    return Tube(events.astype(np.float32), tuple(channels), None, "t", "t.fcs")


@pytest.mark.parametrize("n_beads", [60, 1000, 30_000])
@pytest.mark.parametrize(("bright", "dark"), [(30_000.0, 0), (15_000.0, 0), (30_000.0, 1)])
def test_planted_beads_are_counted_within_two_percent(n_beads: int, bright: float, dark: int) -> None:
    doubted = 0
    for seed in range(5):
        found = find_beads(tube_with_beads(seed, n_beads, bright=bright, dark=dark))
        assert found.uncertain or found.n_beads == pytest.approx(n_beads, rel=0.02, abs=1.5)
        doubted += found.uncertain
    assert doubted <= (n_beads < 100)  # a few beads that dead cells come near to


def test_a_tube_without_beads_has_none() -> None:
    assert [find_beads(tube_with_beads(seed, 0)).n_beads for seed in range(20)] == [0] * 20


def test_wide_dim_beads_among_cells_are_uncertain_or_none() -> None:
    for seed in range(5):
        found = find_beads(tube_with_beads(seed, 1500, bright=2_500.0, cv=0.35))
        assert found.uncertain or found.n_beads == 0


def test_few_beads_are_flagged_with_their_error() -> None:
    row = bead_row("t", tube_with_beads(1, 100), 50_000, 100, 5.0)
    assert row["flag"] == "few_beads"
    assert row["reason"] == "100 beads: their counting error is 10 %"
    assert row["per_ul_per_event"] == pytest.approx(50_000 / (100 * 100))
    assert math.log(row["ci_high"] / row["ci_low"]) == pytest.approx(2 * 1.96 * math.hypot(0.1, 0.05), rel=1e-3)
    assert bead_row("t", tube_with_beads(1, 5 * ENOUGH_BEADS), 50_000, 100, None)["flag"] is None
    assert bead_row("t", tube_with_beads(1, 0), 50_000, 100, None)["flag"] == "no_beads"


def counts_of(n: int, total: int) -> pd.DataFrame:
    rows = [("root", "/", total), ("Treg", "/CD4/Treg", n)]
    frame = pd.DataFrame(rows, columns=["population", "path", "n_events"])
    return frame.assign(definition=None, flag=None)


def test_the_interval_of_a_count_by_beads_holds_the_truth() -> None:
    """120 Treg a microlitre, 100 uL stained, 50,000 beads of a lot known to 4 %; a tenth of the tube is acquired."""
    rng, held = np.random.default_rng(5), []
    endpoint = BeadCount(id="t", source="test", population="Treg")
    for _ in range(400):
        lot = 50_000 * math.exp(rng.normal(0, 0.04))
        cells, beads = rng.poisson(120 * 100 / 10), rng.poisson(lot / 10)
        counts = SampleCounts(counts_of(cells, 30_000), beads=TubeBeads(beads, 50_000 / (beads * 100), 0.04))
        value = endpoint.measure(counts)
        assert value is not None
        held.append(value.count_low < 120 < value.count_high)
    assert 0.92 <= np.mean(held) <= 0.98


def test_without_beads_there_is_no_count() -> None:
    endpoint = BeadCount(id="t", source="test", population="Treg")
    value = endpoint.measure(SampleCounts(counts_of(10, 100)))
    assert value is not None
    assert (value.value, value.flag) == (None, "no_beads")
