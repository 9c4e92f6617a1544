"""Checks of a tube's cells, detectors and compensation: planted faults are found, ordinary tubes warn of nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import planted_faults as planted
import pytest
from builders import data_folder

import immunolab as il
from immunolab.events.tube import Channel, Tube
from immunolab.quality.cell_shares import cell_kinds, share_rows
from immunolab.quality.detectors import detector_rows
from immunolab.quality.events import check_events
from immunolab.quality.matrix_error import matrix_error, matrix_is_off
from immunolab.quality.residual_spillover import SpillingPair
from immunolab.quality.spillover_lines import Line
from immunolab.quality.steadiness import steadiness

PLAN = replace(planted.plan_of(1), n_events=40_000)


def checked(tube: Tube) -> dict[str, dict[str, object]]:
    return {str(row["check"]): row for row in check_events(tube, steadiness(tube), tube.clean())}


def warned(tube: Tube) -> set[str]:
    return {check for check, row in checked(tube).items() if row["status"] != "ok"}


@pytest.fixture(scope="module")
def ordinary() -> Tube:
    return planted.drawn(PLAN)


def test_ordinary_tubes_of_several_panels_and_instruments_warn_of_nothing(ordinary: Tube) -> None:
    assert warned(ordinary) <= {"time"}
    for seed in (0, 7):
        assert warned(planted.drawn(planted.plan_of(seed))) <= {"time"}, seed


def test_shares_of_debris_doublets_and_dead_are_those_planted(ordinary: Tube) -> None:
    rows = checked(ordinary)
    assert rows["debris"]["value"] == pytest.approx(8, abs=1)
    assert rows["doublets"]["value"] == pytest.approx(4.3, abs=0.6)  # 4 % of all events are 4.3 % of the cells
    assert rows["dead"]["value"] == pytest.approx(100 * PLAN.dead, abs=1.5)
    assert checked(planted.doubled_doublets(PLAN))["doublets"]["value"] == pytest.approx(8.7, abs=1)


def test_dead_cells_are_found(ordinary: Tube) -> None:
    assert "dead" in warned(planted.drawn(PLAN, dead=0.3))
    kinds = cell_kinds(ordinary)
    assert kinds.single_living.sum() < kinds.single.sum() < kinds.cells.sum() < len(kinds.rows)


def test_an_event_without_a_value_does_not_hide_dead_cells_or_debris() -> None:
    tube = planted.drawn(PLAN, dead=0.3)
    before = {row["check"]: row["value"] for row in share_rows(tube, cell_kinds(tube))}
    assert before["dead"] > 20.0  # of these a tube is warned of
    for value in (np.nan, np.inf):
        columns = tube.columns.copy()
        columns[6, 100:150] = columns[tube.find("FSC-A"), 200:210] = value
        bad = replace(tube, columns=columns)
        after = {row["check"]: row["value"] for row in share_rows(bad, cell_kinds(bad))}
        assert after == pytest.approx(before, abs=0.2)


def test_a_dye_without_any_value_hides_no_debris_or_doublets_and_dead_cells_are_not_said_to_be_none(
    ordinary: Tube,
) -> None:
    before = {row["check"]: row["value"] for row in share_rows(ordinary, cell_kinds(ordinary))}
    columns = ordinary.columns.copy()
    columns[6] = np.nan
    empty = replace(ordinary, columns=columns)
    after = {row["check"]: row["value"] for row in share_rows(empty, cell_kinds(empty))}
    assert after == {check: before[check] for check in ("debris", "doublets")}


def test_a_detector_whose_end_holds_a_population_is_found(ordinary: Tube) -> None:
    for seed in range(3):
        assert "saturation" in warned(planted.saturated(ordinary, np.random.default_rng(seed))), seed


def test_an_event_without_a_value_does_not_hide_a_full_detector(ordinary: Tube) -> None:
    full = planted.saturated(ordinary, np.random.default_rng(0))
    before = {row["check"]: row for row in detector_rows(full)}
    name = str(before["saturation"]["channel"])
    for value in (np.nan, np.inf):
        columns = full.columns.copy()
        columns[full.find(name), 7] = value
        after = {row["check"]: row for row in detector_rows(replace(full, columns=columns))}
        for check in ("saturation", "margin"):
            assert after[check]["status"] == before[check]["status"] == "warn"
            assert after[check]["value"] == pytest.approx(before[check]["value"], abs=0.01)


def test_a_pair_20_percent_under_is_named(ordinary: Tube) -> None:
    for seed in range(2):
        tube, pair = planted.under_compensated(ordinary, PLAN, np.random.default_rng(seed))
        row = checked(tube)["residual_spillover"]
        assert row["status"] == "warn"
        assert pair in str(row["message"]), seed


def test_the_matrix_of_another_day_and_none_at_all_are_found(ordinary: Tube) -> None:
    row = checked(planted.matrix_of_another_day(ordinary, np.random.default_rng(1)))["residual_spillover"]
    assert row["status"] == "warn"
    assert "another day" in str(row["message"])
    for tube in (planted.uncompensated(ordinary), replace(ordinary, spillover=None)):
        assert checked(tube)["compensation"]["status"] == "fail"
    exported = tuple(replace(c, name=f"Comp-{c.name}") if c.kind == "fluorescence" else c for c in ordinary.channels)
    assert checked(replace(ordinary, spillover=None, channels=exported))["compensation"]["status"] == "ok"


def test_a_matrix_that_is_off_in_all_entries_is_found_though_no_cell_crosses_a_gate() -> None:
    plan = replace(planted.plan_of(25), n_events=20_000)
    tube = planted.drawn(plan)
    other = planted.matrix_of_another_day(tube, np.random.default_rng(49))
    assert checked(tube)["residual_spillover"]["status"] == "ok"
    row = checked(other)["residual_spillover"]
    assert row["status"] == "warn"
    assert "the entries of the matrix are off by" in str(row["message"])
    dye, detector = (other.spillover.channels.index(name) for name in str(row["channel"]).split(" > "))
    true = planted.spillover_matrix(planted.MODEL, plan.panel)
    left = true @ np.linalg.inv(other.spillover.matrix)  # of one dye's signal in every channel, by the truth
    assert row["value"] == pytest.approx(100 * left[dye, detector] / left[dye, dye], abs=1.0)


def test_the_error_of_a_matrix_is_the_root_mean_square_over_the_entries_that_cells_show() -> None:
    def pair(entry: float, slope: float, se: float = 0.0, scatter: float = 1.0) -> SpillingPair:
        return SpillingPair("dye", "detector", entry, Line(slope, se, 0.5, scatter, is_straight=True))

    shown = [pair(0.10, 0.02), pair(0.05, -0.01), pair(0.20, 0.0)]
    blurred = [pair(0.10, 0.09, se=0.003), pair(0.10, 0.09, se=0.001, scatter=3.0)]
    error, known = matrix_error(shown + blurred)
    assert error == pytest.approx(np.sqrt((0.2**2 + 0.2**2) / 3))
    assert known == shown
    assert matrix_error(shown[:2])[0] == 0  # too few to judge


def test_few_entries_that_cells_show_well_are_enough_to_doubt_a_matrix_and_blurred_ones_are_not() -> None:
    def pairs(off: float, n: int, error: float) -> list[SpillingPair]:
        line = Line(0.1 * off, 0.1 * error, 0.5, 1.0, is_straight=True)
        return [SpillingPair("dye", f"detector {i}", 0.1, line) for i in range(n)]

    # by the chi square's table: 13.28 at 4, 37.57 at 20 degrees of freedom, of entries whose SD is .035
    for n, quantile in ((4, 13.28), (20, 37.57)):
        limit = 0.035 * np.sqrt(quantile / n)
        assert matrix_is_off(pairs(1.01 * limit, n, 0.0))
        assert not matrix_is_off(pairs(0.99 * limit, n, 0.0))
        assert not matrix_is_off(pairs(1.01 * limit, n, 0.005))
    assert not matrix_is_off(pairs(0.5, 2, 0.0))  # too few to judge


def test_cells_far_below_zero_are_found(ordinary: Tube) -> None:
    matrix = ordinary.spillover.matrix.copy()
    names = list(ordinary.spillover.channels)
    matrix[names.index("BV510-A"), names.index("FITC-A")] = 0.5  # nothing of it spills there
    tube = replace(ordinary, spillover=replace(ordinary.spillover, matrix=matrix), _inverse={})
    row = checked(tube)["hyper_negative"]
    assert (row["status"], row["channel"]) == ("warn", "FITC-A")


def test_a_small_or_odd_tube_has_no_check_that_cannot_be_made() -> None:
    rng = np.random.default_rng(0)
    few = Tube(rng.normal(0, 1, (2, 300)).astype(np.float32), (Channel("A"), Channel("B")))
    assert not {"doublets", "dead", "debris", "margin", "steadiness"} & set(checked(few))
    constant = Tube(np.ones((3, 6_000), dtype=np.float32), (Channel("A"), Channel("B"), Channel("Time", kind="time")))
    assert "steadiness" not in checked(constant)


def _with(tube: Tube, row: int, values: object, rows: slice = slice(None)) -> Tube:
    columns = tube.columns.copy()
    columns[row, rows] = values
    return replace(tube, columns=columns)


def test_a_clock_that_stopped_a_channel_without_signal_and_copied_events_are_found(ordinary: Tube) -> None:
    half = slice(len(ordinary) // 2, None)
    row = checked(_with(ordinary, -1, ordinary.columns[-1, half][0], half))["time_stuck"]
    assert (row["status"], row["value"]) == ("warn", pytest.approx(50, abs=0.1))
    assert checked(_with(ordinary, -1, 7.0))["time_stuck"]["value"] == 100
    dye = next(i for i, channel in enumerate(ordinary.channels) if channel.marker == "CD4")
    for level in (0.0, 1234.0):
        rows = checked(_with(ordinary, dye, level))
        assert rows["no_signal"]["status"] == "fail"
        assert "(CD4)" in str(rows["no_signal"]["message"])
        assert rows["margin"]["status"] == rows["saturation"]["status"] == "ok"
    twice = replace(ordinary, columns=np.concatenate([ordinary.columns, ordinary.columns[:, :10_000]], axis=1))
    assert checked(twice)["repeated_events"]["value"] == pytest.approx(20, abs=0.01)


def test_channels_without_a_number_and_next_to_no_events_are_checked_without_an_error(ordinary: Tube) -> None:
    for row in (0, 5, -1):
        assert checked(_with(ordinary, row, np.nan))["not_a_number"]["status"] == "fail"
    for n in (0, 1, 2, 20):
        assert "events" in warned(ordinary.take(np.arange(n)))


def test_real_tubes_of_laboratories_are_not_all_flagged() -> None:
    folder = data_folder("flow")
    files = [*folder.rglob("Activation_*.fcs"), *folder.rglob("export_COVID*.fcs"), *folder.rglob("100715.fcs")]
    harmless = {"time", "header", "file_note", "events"}  # notes of the file have a check of their own
    found = {path.name: warned(il.read_fcs(path)) - harmless for path in files}
    assert len(found) >= 10
    assert sum(map(bool, found.values())) <= len(found) // 2
    assert not any({"dead", "doublets", "compensation"} & one for one in found.values())
