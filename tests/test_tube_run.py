"""A tube's run: planted faults are found and cut, steady tubes stay as they are."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import planted_faults as planted
import pytest

import immunolab as il
from immunolab.events.tube import Channel, Tube
from immunolab.plots.steadiness import draw_steadiness
from immunolab.quality.clean import removed_rows, without
from immunolab.quality.events import check_events
from immunolab.quality.segments import borders
from immunolab.quality.steadiness import steadiness

PLAN = replace(planted.plan_of(3), n_events=30_000, with_time=True)


def warned(tube: Tube) -> set[str]:
    found = steadiness(tube)
    rows = check_events(tube, found, without(tube, found))
    return {str(row["check"]) for row in rows if row["status"] != "ok"}


@pytest.fixture(scope="module")
def steady() -> Tube:
    return planted.drawn(PLAN)


def test_a_steady_tube_warns_of_nothing_and_comes_back_itself(steady: Tube) -> None:
    assert warned(steady) == set()
    assert steady.clean() is steady


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        (planted.clog, "steadiness"),
        (planted.step, "steadiness"),
        (planted.drift, "slow_drift"),
        (planted.gap, "time_gap"),
    ],
)
def test_planted_faults_are_found(fault: Callable[..., Tube], check: str, steady: Tube) -> None:
    for seed in range(3):
        assert check in warned(fault(steady, np.random.default_rng(seed))), seed


def test_carry_over_is_cut_at_the_start(steady: Tube) -> None:
    tube = planted.carry_over(steady, np.random.default_rng(1), planted.drawn(PLAN, salt=9)).clean()
    assert [one.reason for one in tube.removed] == ["start"]
    assert tube.removed[0].first == 0
    assert 3 <= tube.percent_removed <= 12


def test_a_clog_is_cut_where_it_was_and_only_there(steady: Tube) -> None:
    tube = planted.clog(steady, np.random.default_rng(2)).clean()
    cut = np.concatenate([np.arange(one.first, one.last + 1) for one in tube.removed])
    inside = np.arange(9_000, 12_000)
    assert len(np.intersect1d(cut, inside)) >= 0.9 * len(inside)
    assert len(np.setdiff1d(cut, inside)) <= 0.02 * len(steady)
    assert {one.reason for one in tube.removed} == {"clog"}
    # what is left are the file's other events, in order and as they were
    kept = np.setdiff1d(np.arange(30_000), cut)
    np.testing.assert_array_equal(tube.columns[:3], steady.columns[:3, kept])
    [row] = removed_rows(tube)[:1]
    assert row["first_event"] == tube.removed[0].first + 1
    assert "SD" in str(row["message"])


def test_masks_of_a_cleaned_tube_have_the_numbers_of_the_file(steady: Tube) -> None:
    whole = planted.clog(steady, np.random.default_rng(2))
    tube = whole.clean()
    bright = tube["CD4"] > 1000
    in_file = tube.in_file(bright)
    assert len(in_file) == len(whole)
    np.testing.assert_array_equal(whole.columns[:, in_file], tube.columns[:, bright])
    assert tube.clean() is tube


def test_half_a_run_at_another_level_is_never_cut(steady: Tube) -> None:
    tube = planted.step(steady, np.random.default_rng(4))
    found = steadiness(tube)
    assert tube.clean() is tube
    [row] = [r for r in check_events(tube, found, tube) if r["check"] == "steadiness"]
    assert row["status"] == "fail"
    assert row["channel"] in tube.names or row["channel"] in [c.name for c in tube.channels]


@pytest.mark.parametrize("seed", range(3))
def test_the_picture_names_the_channel_that_the_check_names(seed: int, steady: Tube) -> None:
    tube = planted.clog(steady, np.random.default_rng(seed))
    found = steadiness(tube)
    [row] = [r for r in check_events(tube, found, tube) if r["check"] == "steadiness"]
    first, *_ = draw_steadiness(tube, found).get_legend().get_texts()
    assert str(row["channel"]) in first.get_text().split()


def test_a_trivial_shift_in_many_events_is_no_fault() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (2, 3_000_000)).astype(np.float32)
    values[:, 1_000_000:] += 0.15  # SD; 60 standard errors of a thousandth of the run
    channels = (Channel("A", kind="fluorescence"), Channel("B", kind="fluorescence"))
    assert steadiness(Tube(values, channels)).off == ()
    values[:, 1_000_000:1_300_000] += 0.6
    [part] = steadiness(Tube(values, channels)).off
    assert part.share == pytest.approx(0.1, abs=0.005)


def test_no_border_in_steady_runs_of_many_channels() -> None:
    rng = np.random.default_rng(1)
    found = [borders(rng.normal(size=(200, 100)), np.ones(100)) for _ in range(20)]
    assert found == [[]] * 20


def test_the_clock(steady: Tube) -> None:
    none = replace(steady, columns=steady.columns[:-1], channels=steady.channels[:-1])
    assert warned(none) == {"time"}
    columns = steady.columns.copy()
    columns[-1, 15_000:] -= columns[-1, 15_000]
    assert "time_set_back" in warned(replace(steady, columns=columns))
    shuffled = steady.take(np.random.default_rng(0).permutation(len(steady)))
    assert warned(shuffled) == {"time"}


def test_events_out_of_order_are_looked_at_in_order_and_not_cut(steady: Tube) -> None:
    order = np.random.default_rng(0).permutation(len(steady))
    tube = planted.clog(steady, np.random.default_rng(2)).take(order)
    assert "steadiness" in warned(tube)
    assert tube.clean() is tube


def test_treg_of_a_cleaned_clogged_tube_is_that_of_the_tube_without_the_clog() -> None:
    plan = replace(planted.plan_of(3), panel=planted.MODEL.panels["surface"], n_events=40_000, with_time=True)
    whole = planted.drawn(plan)
    clean = planted.clog(whole, np.random.default_rng(5)).clean()
    assert clean.removed
    truth = il.gate(whole, "treg_th17_tfh_teff").percent("Treg", of="CD4")
    assert il.gate(clean, "treg_th17_tfh_teff").percent("Treg", of="CD4") == pytest.approx(truth, rel=0.05)


def test_a_million_events_of_twenty_channels_are_cleaned_within_a_second() -> None:
    rng = np.random.default_rng(0)
    columns = rng.standard_normal((20, 1_000_000), dtype=np.float32) * 1000
    columns[3, 300_000:400_000] += 900
    tube = Tube(columns, tuple(Channel(f"C{i}") for i in range(20)))
    seconds: list[float] = []
    while len(seconds) < 3 and not (seconds and min(seconds) < 1.0):  # other work on the machine slows a try
        begin = time.process_time()
        cleaned = tube.clean()
        seconds.append(time.process_time() - begin)
    assert len(cleaned) == pytest.approx(900_000, abs=10_000)
    assert min(seconds) < 1.0
