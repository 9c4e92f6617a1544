"""A reader's gates in place of a tube's automatic ones: what is used, what they reach, what is no longer known."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import immunolab as il
from immunolab.config import parse_yaml
from immunolab.events.transforms import Asinh
from immunolab.events.tube import Tube
from immunolab.gating.gates import Dimension, Polygon, Rectangle
from immunolab.gating.overrides import Override, StatedBorder, overridden, shown_gate
from immunolab.gating.placement.fit import fit
from immunolab.gating.strategy_file import parse_strategy
from immunolab.gating.tube_gates import GateSpread, RuleCount, TubeGates
from immunolab.gating.tubes import gate_tube
from immunolab.schema.flags import split

STRATEGY = """
strategy: small
transform: {default: {asinh: {cofactor: 150}}, scatter: linear}
populations:
  - {name: CD3, parent: root, above: {marker: CD3, by: valley}}
  - {name: CD4, parent: CD3, above: {marker: CD4, by: valley}}
  - {name: CD8, parent: CD3, below: {marker: CD4, by: valley}}
  - {name: memory, parent: CD4, below: {marker: CD45RA, by: valley}}
  - {name: other, parent: CD4, not: [memory]}
"""
ROUND = ["CD4", "CD8", "memory", "other"]


@pytest.fixture(scope="module")
def tube() -> Tube:
    return il.read_fcs(Path(__file__).parents[1] / "sample_data/sle/fcs/SLE001_W0.fcs")


@pytest.fixture(scope="module")
def gates(tube: Tube) -> TubeGates:
    placed = fit(parse_strategy(parse_yaml(STRATEGY)), [tube], seed=0).gates_of(tube.sample_id)
    spreads = tuple(
        GateSpread(name, parent, 0.1) for name, parent in (("CD4", "CD3"), ("memory", "CD4"), ("CD8", "CD3"))
    )
    return replace(placed, spreads=spreads, rule_counts=(RuleCount("refit_each_visit", "memory", "CD4", 3, 9),))


def _override(**words: Any) -> Override:
    known = {"id": "x", "change": "x", "sample_id": "SLE001_W0", "path": "", "gate": None, "was": None}
    return Override(**known | {"reason": "control", "reader": "AB"} | words)


def _border(marker: str, *at: float | None, **words: Any) -> Override:
    return _override(borders=(StatedBorder(marker, at),), **words)


def _flags(gates: TubeGates) -> dict[str, set[str]]:
    return {p.name: set(split(p.flag)) & {"overridden", "below_override", "stale_override", "no_border"}
            for p in gates.strategy.populations}  # fmt: skip


def test_a_border_by_hand_counts_as_numpy_counts_and_the_automatic_one_is_kept(gates: TubeGates, tube: Tube) -> None:
    found = overridden(gates, [_border("CD45RA", 300.0, path="memory")], tube)
    before, after = gate_tube(tube, gates), gate_tube(tube, found)
    inside = before.mask("CD4") & (tube["CD45RA"] < 300.0)
    assert int(after.mask("memory").sum()) == int(inside.sum()) != int(before.mask("memory").sum())
    assert int(after.mask("CD4").sum()) == int(before.mask("CD4").sum())
    (row,) = [row for row in after.borders if row.method == "override"]
    (was,) = [row for row in before.borders if row.population == "memory"]
    assert row.threshold_raw == pytest.approx(300.0)
    assert (row.automatic, row.automatic_raw) == (was.threshold, pytest.approx(was.threshold_raw))
    assert row.control == "reader"
    assert row.ci_low is None
    assert "by valley" in str(row.reason)
    assert [r for r in after.borders if r is not row] == [r for r in before.borders if r.population != "memory"]
    assert found.automatic == gates.strategy
    (use,) = found.overrides
    assert (use.status, use.population, use.parent, use.message) == ("applied", "memory", "CD4", None)


def test_what_a_readers_gate_reaches_has_no_automatic_uncertainty(gates: TubeGates, tube: Tube) -> None:
    found = overridden(gates, [_border("CD45RA", 900.0, path="memory")], tube)
    assert [(s.population, s.parent) for s in found.spreads] == [("CD4", "CD3"), ("CD8", "CD3")]
    assert found.rule_counts == ()
    flags = _flags(found)
    assert flags == {"CD3": set(), "CD4": set(), "CD8": set(), "memory": {"overridden"}, "other": {"below_override"}}
    top = overridden(gates, [_border("CD3", 700.0)], tube)
    assert top.spreads == ()
    assert all(flags & {"overridden", "below_override"} for flags in _flags(top).values())


def test_a_border_that_gates_share_moves_in_all_of_them_unless_one_is_named(gates: TubeGates, tube: Tube) -> None:
    both = gate_tube(tube, overridden(gates, [_border("CD4", 1500.0)], tube))
    n = int(both.mask("CD3").sum())
    assert int(both.mask("CD4").sum()) + int(both.mask("CD8").sum()) == n
    one = overridden(gates, [_border("CD4", 1500.0, path="CD4")], tube)
    assert [use.population for use in one.overrides] == ["CD4"]
    assert _flags(one)["CD8"] == set()


def test_gates_below_stay_where_they_were_placed(gates: TubeGates, tube: Tube) -> None:
    found = overridden(gates, [_border("CD3", 700.0)], tube)
    assert {p.name: p.gate for p in found.strategy.populations if p.name != "CD3"} == {
        p.name: p.gate for p in gates.strategy.populations if p.name != "CD3"
    }


def test_a_polygon_by_hand_is_on_the_scales_of_the_tube_and_its_lost_border_stays_visible(
    gates: TubeGates, tube: Tube
) -> None:
    from immunolab.events.transforms import Auto

    x, y = Dimension("CD45RA", Auto()), Dimension("CCR7", Auto())
    square = Polygon((x, y), ((-50.0, -50.0), (800.0, -50.0), (800.0, 2000.0), (-50.0, 2000.0)))
    found = overridden(gates, [_override(path="memory", gate=square)], tube)
    after = gate_tube(tube, found)
    a, b = tube["CD45RA"], tube["CCR7"]
    inside = after.mask("CD4") & (a > -50) & (a < 800) & (b > -50) & (b < 2000)
    assert int(after.mask("memory").sum()) == int(inside.sum())
    (row,) = [row for row in after.borders if row.method == "override"]
    assert row.threshold is None
    assert row.automatic_raw
    assert "no border any more" in str(row.reason)


def test_a_population_without_a_border_has_its_number_again_and_so_has_what_depends_on_it(
    gates: TubeGates, tube: Tube
) -> None:
    def closed(one: Any) -> Any:
        if one.name == "memory":
            gate = replace(one.gate, lower=(1.0,), upper=(1.0,))
            return replace(one, gate=gate, flag="no_border")
        return replace(one, flag="no_border") if one.name == "other" else one

    strategy = replace(gates.strategy, populations=tuple(closed(p) for p in gates.strategy.populations))
    rows = tuple(replace(r, threshold=None, threshold_raw=None, flag="no_border") if r.population == "memory" else r
                 for r in gates.thresholds or ())  # fmt: skip
    without = replace(gates, strategy=strategy, thresholds=rows)
    assert gate_tube(tube, without).is_withheld("other")
    found = overridden(without, [_border("CD45RA", None, 900.0, path="memory", reason="no_border")], tube)
    after = gate_tube(tube, found)
    assert not after.is_withheld("memory")
    assert not after.is_withheld("other")
    assert after.percent("memory") + after.percent("other") == pytest.approx(100.0)
    (row,) = [row for row in after.borders if row.method == "override"]
    assert row.threshold_raw == pytest.approx(900.0)
    assert row.automatic is None
    assert "none by valley" in str(row.reason)
    side = overridden(without, [_border("CD45RA", 900.0, path="memory")], tube)
    (use,) = side.overrides
    assert use.status == "stale"
    assert "which side to keep is open" in str(use.message)


@pytest.mark.parametrize(
    ("stale", "message"),
    [
        (_border("CD45RA", 900.0, path="memory", file_sha256="f" * 64), "the tube's file has changed since"),
        (_border("CD44", 900.0), "no gate has a border on CD44; borders are on: CD3, CD4, CD45RA"),
        (_border("CD45RA", 900.0, path="memroy"), "no population 'memroy'; did you mean 'memory'"),
        (_override(path="other", gate=Rectangle((Dimension("CD4"),), (1.0,), (None,))), "combines other populations"),
        (_override(path="memory", gate=Rectangle((Dimension("CD99"),), (1.0,), (None,))), "CD99"),
        (_border("CD4", 10.0, 900.0, path="CD3"), "no gate has a border on CD4"),
    ],
)
def test_a_stale_override_changes_nothing_but_a_flag_and_says_why(
    gates: TubeGates, tube: Tube, stale: Override, message: str
) -> None:
    found = overridden(gates, [stale], tube, "0" * 64)
    (use,) = found.overrides
    assert use.status == "stale"
    assert message in str(use.message)
    assert [p.gate for p in found.strategy.populations] == [p.gate for p in gates.strategy.populations]
    assert (found.thresholds, found.spreads, found.automatic) == (gates.thresholds, gates.spreads, None)
    flagged = [name for name, words in _flags(found).items() if words]
    assert flagged == ([use.population] if use.path else [])


def test_the_later_of_two_counts_and_borders_of_two_markers_are_both_used(gates: TubeGates, tube: Tube) -> None:
    pair = [_border("CD4", 1500.0, path="CD4", id="a"), _border("CD4", 1700.0, path="CD4", id="b")]
    found = overridden(gates, pair, tube)
    assert [(use.id, use.status) for use in found.overrides] == [("a", "replaced"), ("b", "applied")]
    (row,) = [row for row in found.thresholds or () if row.method == "override"]
    assert row.threshold_raw == pytest.approx(1700.0)


def test_an_automatic_gate_that_moved_since_is_replaced_and_said(gates: TubeGates, tube: Tube) -> None:
    was = gates.strategy["memory"].gate
    assert isinstance(was, Rectangle)
    same = overridden(gates, [_border("CD45RA", 900.0, path="memory", was=was)], tube)
    assert same.overrides[0].message is None
    elsewhere = replace(was, upper=(float(was.upper[0] or 0.0) + 0.2,))
    moved = overridden(gates, [_border("CD45RA", 900.0, path="memory", was=elsewhere)], tube)
    assert moved.overrides[0].status == "applied"
    assert "the automatic gate has moved since: CD45RA below" in str(moved.overrides[0].message)


def test_a_corner_is_said_by_its_two_borders() -> None:
    axes = Dimension("CD25", Asinh(150)), Dimension("CD127", Asinh(150))
    x, y, far = math.asinh(2600 / 150), math.asinh(900 / 150), 30.0  # 10^14 instrument units are beyond any axis
    corner = Polygon(axes, ((x, -far), (far, -far), (far, far), (x, y)))
    assert shown_gate(corner) == "CD25 from 2,600, CD127 below an edge that begins at 900"
    assert shown_gate(replace(corner, vertices=((x, 0.0), (far, 0.0), (x, y)))).startswith("polygon on CD25 and CD127")


def test_a_tube_whose_gate_is_a_readers_has_no_counts_with_borders_that_follow_a_bridge(
    gates: TubeGates, tube: Tube
) -> None:
    from immunolab.workflow.measure_tube import MeasureJob, _bridged_counts
    from immunolab.workflow.read_tube import TubeFile

    def counted(own: TubeGates) -> list[tuple[str, str]]:
        pairs = (("CD4", "CD3"), ("memory", "CD4"), ("other", "CD4"))
        job = MeasureJob(TubeFile("", ""), "", "", own, pairs, memberships=False)
        return [(one.population, one.parent) for one in _bridged_counts(gate_tube(tube, own), job)]

    followed = replace(gates, bridged=gates.strategy, bridged_further=(("CD4", gates.strategy),))
    assert counted(followed) == 2 * [("CD4", "CD3"), ("memory", "CD4"), ("other", "CD4")]
    assert counted(overridden(followed, [_border("CD45RA", 900.0, path="memory")], tube)) == 2 * [("CD4", "CD3")]
    anchor = replace(gates, bridge_anchor=True)
    assert counted(overridden(anchor, [_border("CD3", 700.0)], tube)) == []
