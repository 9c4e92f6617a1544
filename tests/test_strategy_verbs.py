"""Gates changed in Python: planted borders, what is counted again, what stays, and files read back."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from planted import planted_tube

import immunolab as il
from immunolab.errors import GatingError, InputError
from immunolab.events.transforms import Asinh
from immunolab.events.tube import Tube
from immunolab.gating.evaluate import evaluate
from immunolab.gating.strategy import Dimension, Population, Rectangle, Strategy
from immunolab.gating.tubes import GatedTube


@cache
def _tube() -> Tube:
    return planted_tube(0, 8_000)[0]


@cache
def _gated() -> GatedTube:
    return il.gate(_tube(), "treg_th17_tfh_teff")


def _drawn() -> Strategy:
    return (
        Strategy("mine")
        .add("CD3", {"above": {"marker": "CD3", "at": 600}})
        .add("CD4", {"rectangle": {"CD4": [700, None], "CD8": [None, 1200]}}, parent="CD3")
        .add("CD25hi", {"above": {"marker": "CD25", "at": 1000}}, parent="CD4")
        .add("rest", {"not": "CD25hi"}, parent="CD4")
    )


def test_a_strategy_of_one_s_own_counts_what_numpy_counts() -> None:
    gated = il.gate(_tube(), _drawn())
    cd4 = (_tube()["CD3"] >= 600) & (_tube()["CD4"] >= 700) & (_tube()["CD8"] < 1200)
    assert gated.mask("CD4").sum() == cd4.sum()
    assert gated.mask("CD25hi").sum() == (cd4 & (_tube()["CD25"] >= 1000)).sum()
    assert gated.mask("rest").sum() == (cd4 & (_tube()["CD25"] < 1000)).sum()


def test_a_moved_border_is_where_it_was_put_and_all_below_is_counted_again() -> None:
    gated = il.gate(_tube(), _drawn())
    before = gated.counts.copy()
    moved = gated.move("CD25", to=3000)
    kept = gated.mask("CD4") & (_tube()["CD25"] >= 3000)
    np.testing.assert_array_equal(moved.mask("CD25hi"), kept)
    np.testing.assert_array_equal(moved.mask("rest"), gated.mask("CD4") & ~kept)
    assert gated.counts.equals(before)  # the first stays as it was
    np.testing.assert_array_equal(moved.mask("CD4"), gated.mask("CD4"))


def test_moving_the_border_of_a_cloud_in_two_channels_keeps_its_slope() -> None:
    moved = _gated().move("CD25", to=3000)
    old, new = _gated().strategy["Treg"].gate, moved.strategy["Treg"].gate
    words = [change.words for change in _gated().strategy.diff(moved.strategy).changes]
    assert words == ["CD25 from 832 to 3,000", "CD127 at the corner from 1,079 to 1,691"]
    slopes = [(g.vertices[2][1] - g.vertices[3][1]) / (g.vertices[2][0] - g.vertices[3][0]) for g in (old, new)]
    assert slopes[0] == pytest.approx(slopes[1], rel=1e-9)
    np.testing.assert_array_equal(moved.mask("Treg"), _gated().mask("Treg") & (_tube()["CD25"] >= 3000))


def test_tables_say_what_was_set_by_hand() -> None:
    moved = _gated().move("CXCR3", to=400, population="Th1")
    rows = moved.thresholds.query("population == 'Th1'").set_index("marker")
    assert (rows.at["CXCR3", "method"], rows.at["CXCR3", "control"]) == ("drawn", "fixed")
    assert rows.at["CXCR3", "threshold_raw"] == pytest.approx(400)
    assert rows.at["CXCR3", "reason"] == "set by hand; before: 492.1 by internal_reference"
    assert rows.at["CCR6", "method"] == "internal_reference"  # the border beside it did not move
    assert "by_hand" in moved.counts.set_index("population").at["Th1", "flag"]
    tables = (moved.thresholds, _gated().thresholds)
    others = [table.query("population != 'Th1'").reset_index(drop=True) for table in tables]
    assert others[0].equals(others[1])
    assert moved.notes[-1] == "moved Th1: CXCR3 from 492.1 to 400"


def test_a_border_that_populations_share_moves_in_all_of_them() -> None:
    moved = _gated().move("CD3", to=400)
    changes = _gated().strategy.diff(moved.strategy)
    assert [str(one) for one in changes.changes] == [
        "moved T_any_size: CD3 from 593.1 to 400",
        "moved CD3: CD3 from 593.1 to 400",
    ]
    assert list(changes.table["after"]) == pytest.approx([400, 400])


def test_a_withheld_population_that_is_moved_has_a_number_again() -> None:
    tube, _ = planted_tube(1, 8_000, weights={"treg": 0.0})
    scales = (Dimension("CD25", Asinh(150)), Dimension("CD127", Asinh(150)))
    closed = Rectangle(scales, (0.0, 0.0), (0.0, 0.0))  # as placing leaves a gate without a border
    strategy = _drawn().add("Treg", closed, parent="CD4").add("conv", {"not": "Treg"}, parent="CD4")
    from dataclasses import replace

    flags = {"Treg": "no_border", "conv": "no_border"}
    withheld = replace(
        strategy, populations=tuple(replace(p, flag=flags.get(p.name, "")) for p in strategy.populations)
    )
    gated = il.gate(tube, withheld)
    assert gated.is_withheld("Treg")
    assert gated.is_withheld("conv")
    with pytest.raises(InputError, match="Treg, conv  it has no border, which such a file cannot say"):
        gated.strategy.to_yaml()
    half = gated.move("CD25", to=(3000, None), population="Treg")
    assert half.notes[-1] == "moved Treg: CD25 from none to 3,000"
    assert half.is_withheld("Treg")  # CD127 still has no border
    moved = gated.move("Treg", to={"CD25": (3000, None), "CD127": (None, 800)})
    assert not moved.is_withheld("Treg")
    assert not moved.is_withheld("conv")
    kept = gated.mask("CD4") & (tube["CD25"] >= 3000) & (tube["CD127"] < 800)
    np.testing.assert_array_equal(moved.mask("Treg"), kept)
    with pytest.raises(InputError, match=r"to=\(3000, None\) keeps what is above"):
        gated.move("CD25", to=3000, population="Treg")


def test_polygons_and_ellipses_are_given_in_instrument_units() -> None:
    corners = [(500, -300), (100_000, -300), (100_000, 400), (500, 400)]
    gated = _gated().add("box", {"polygon": {"x": "CD25", "y": "CD127", "points": corners}}, parent="CD4")
    tube, cd4 = _tube(), _gated().mask("CD4")
    box = (tube["CD25"] >= 500) & (tube["CD127"] >= -300) & (tube["CD127"] < 400) & (tube["CD25"] < 100_000)
    np.testing.assert_array_equal(gated.mask("box"), cd4 & box)
    moved = gated.move("box", vertex=3, to=(100_000, 400)).strategy["box"].gate.vertices
    np.testing.assert_allclose(moved, gated.strategy["box"].gate.vertices)  # where it was, to rounding
    ellipse = {"x": "CD25", "y": "CD127-A", "center": (3000, 200), "ends": [(9000, 200), (3000, 800)]}
    round_ = gated.add("round", {"ellipse": ellipse}, parent="CD4")
    x, y = (np.arcsinh(tube[name] / 150) for name in ("CD25", "CD127"))  # the tube's scale of both channels
    centre, right, top = (np.arcsinh(np.array(p) / 150) for p in ((3000, 200), (9000, 200), (3000, 800)))
    inside = ((x - centre[0]) / (right[0] - centre[0])) ** 2 + ((y - centre[1]) / (top[1] - centre[1])) ** 2 <= 1
    np.testing.assert_array_equal(round_.mask("round"), cd4 & inside)


def test_removing_takes_what_is_below_and_refuses_what_others_need() -> None:
    gated = _gated().remove("Tfr")
    assert "Tfr" not in gated
    assert "Treg" in gated
    with pytest.raises(InputError) as caught:
        _gated().remove("Treg")
    assert [problem.place for problem in caught.value.problems] == ["Tconv", "Teff", "mem_conv"]
    assert "remove('Treg', 'Tconv', 'Teff', 'mem_conv')" in str(caught.value)
    assert "Tfr" not in _gated().remove("Treg", "Tconv", "Teff", "mem_conv")


def test_renaming_keeps_numbers_flags_and_borders() -> None:
    renamed = _gated().rename("Treg", "Tregs")
    old, new = (g.counts.drop(columns=["population", "parent", "path"]) for g in (_gated(), renamed))
    assert old.equals(new)
    assert list(renamed.thresholds["method"]) == list(_gated().thresholds["method"])
    assert repr(_gated().strategy.diff(renamed.strategy)).splitlines()[1:] == ["renamed Tregs: was Treg"]
    placed = il.gate(_tube(), il.builtin_strategy("treg_th17_tfh_teff").rename("CD4_naive", "naive_CD4"))
    assert placed.percent("Treg") == pytest.approx(_gated().percent("Treg"))


@pytest.mark.parametrize("suffix", [".yaml", ".xml"])
def test_saved_gates_are_read_back_to_the_same_events(suffix: str, tmp_path: Path) -> None:
    gated = _gated().move("CD25", to=3000)
    assert gated.save(tmp_path / f"gates{suffix}") == ()
    again = il.gate(_tube(), tmp_path / f"gates{suffix}")
    for path, mask in gated.memberships.masks.items():
        np.testing.assert_array_equal(mask, again.memberships.masks[path], err_msg=path)


@pytest.mark.parametrize("name", ["treg_th17_tfh_teff", "treg_foxp3", "th_ics", "cytof"])
def test_a_shipped_strategy_is_written_as_it_was_read(name: str, tmp_path: Path) -> None:
    strategy = il.builtin_strategy(name)
    strategy.save(tmp_path / f"{name}.yaml")
    again = il.read_strategy(tmp_path / f"{name}.yaml")
    assert again.populations == strategy.populations
    assert again.settings["optional"] == strategy.settings["optional"]
    assert again.settings["otherwise"] == strategy.settings["otherwise"]
    assert again.specimen == strategy.specimen


def test_a_marker_with_borders_at_several_places_moves_only_where_it_was_said() -> None:
    with pytest.raises(InputError) as caught:
        _gated().move("CXCR3", to=400)
    assert str(caught.value) == (
        "treg_th17_tfh_teff:move CXCR3  it has borders at several places: 320.6 (Tfh1, Tfh2, Tfh17, Th17, Th1_17); "
        "492.1 (Th1)\n"
        "    hint: say which: move('CXCR3', to=..., population=['Tfh1', 'Tfh2', 'Tfh17', 'Th17', 'Th1_17'])"
    )
    both = _gated().move("CXCR3", to=400, population=["Tfh1", "Tfh2", "Tfh17", "Th17", "Th1_17", "Th1"])
    rows = both.thresholds.query("marker == 'CXCR3'")
    np.testing.assert_allclose(rows["threshold_raw"], 400)


def test_a_rule_is_fixed_for_all_its_gates_or_refused() -> None:
    strategy = il.builtin_strategy("treg_th17_tfh_teff")
    with pytest.raises(InputError, match=r"diagonal \(Tfh_eff\); hi \(Tfh_act, Tph\); pos \(Tfh_PD1\)"):
        strategy.move("PD-1", to=500)
    with pytest.raises(InputError, match="data place its border for Treg together with that of another channel"):
        strategy.move("CD25", to=3000)
    with pytest.raises(InputError, match="data place one border for Th1 and for Tfh1, Tfh2"):
        strategy.move("CXCR3", to=500, population="Th1")
    moved = strategy.move("PD-1", to=500, population="Tfh_PD1")
    assert [str(one) for one in strategy.diff(moved).changes] == ["rule PD-1: the default -> pos by fixed, at 500.0"]
    rows = il.gate(_tube(), moved).thresholds.query("marker == 'PD-1'").set_index("population")["threshold_raw"]
    assert rows["Tfh_PD1"] == pytest.approx(500)
    assert rows["Tph"] != pytest.approx(500)


def test_a_border_that_data_would_place_is_fixed_by_moving_it() -> None:
    strategy = il.builtin_strategy("treg_th17_tfh_teff").move("CCR6", to=300)
    borders = il.gate(_tube(), strategy).thresholds.query("marker == 'CCR6'")
    assert set(borders["method"]) == {"fixed"}
    np.testing.assert_allclose(borders["threshold_raw"], 300)


def test_counting_again_what_changed_gives_what_counting_all_gives() -> None:
    moved = _gated().move("CD4", to=900).move("CCR6", to=500).rename("CD8", "CD8_T").remove("Tfr")
    whole = evaluate(moved.strategy, _tube())
    assert whole.masks.keys() == moved.memberships.masks.keys()
    for path, mask in whole.masks.items():
        np.testing.assert_array_equal(mask, moved.memberships.masks[path], err_msg=path)


def test_populations_of_one_name_keep_their_own_borders() -> None:
    def above(marker: str, value: float) -> Rectangle:
        return Rectangle((Dimension(marker, Asinh(150)),), (float(np.arcsinh(value / 150)),), (None,))

    gates = {
        "/A": above("CD3", 600),
        "/A/hi": above("CD25", 1000),
        "/B": above("CD4", 700),
        "/B/hi": above("CD25", 2000),
    }
    gated = il.gate(_tube(), Strategy("twice", tuple(Population(path, gate) for path, gate in gates.items())))
    moved = gated.move("CD25", to=3000, population="/A/hi")
    np.testing.assert_allclose(moved.thresholds["threshold_raw"], [600, 3000, 700, 2000])
    assert list(moved.thresholds["control"]) == ["imported", "fixed", "imported", "imported"]
    np.testing.assert_array_equal(moved.mask("/A/hi"), (_tube()["CD3"] >= 600) & (_tube()["CD25"] >= 3000))
    with pytest.raises(InputError, match=r"1,000 \(/A/hi\); 2,000 \(/B/hi\)\n.*population='/A/hi'"):
        gated.move("CD25", to=3000)
    with pytest.raises(InputError, match="2 populations are called 'hi'"):
        gated.move("CD25", to=3000, population="hi")
    with pytest.raises(InputError, match="several populations have this name"):
        gated.strategy.to_yaml()


def _apart() -> Strategy:
    return (
        Strategy("mine")
        .add("hi", {"above": {"marker": "CD25", "at": 3000}})
        .add("lo", {"below": {"marker": "CD25", "at": 800}})
    )


def test_both_ends_go_to_gates_that_are_alike_or_to_those_that_are_named() -> None:
    """Gates above and below a border became one gate, with one count, where no population was named."""
    with pytest.raises(InputError) as caught:
        _apart().move("CD25", to=(1000, 5000))
    assert str(caught.value) == (
        "mine:move CD25  both ends would go to gates that are not alike: hi: CD25 from 3,000; lo: CD25 below 800\n"
        "    hint: say which: move('CD25', to=(low, high), population='hi'), or for all: population=['hi', 'lo']"
    )
    one = _apart().move("CD25", to=(1000, 5000), population="hi")
    assert [str(change) for change in _apart().diff(one).changes] == [
        "moved hi: CD25 from 3,000 -> CD25 from 1,000 to 5,000"
    ]
    same = _apart().remove("lo").add("too", {"above": {"marker": "CD25", "at": 3000}})
    assert len(same.diff(same.move("CD25", to=(1000, 5000)))) == 2


def test_what_a_move_would_not_read_is_refused() -> None:
    with pytest.raises(InputError, match=r"population= goes with the border .*\n.*move\('lo', to=...\)"):
        _apart().move("hi", to={"CD25": (1, 2)}, population="lo")
    with pytest.raises(InputError, match="to= names no side"):
        _apart().move("hi", to={})
    with pytest.raises(InputError, match="population= names none"):
        _apart().move("CD25", to=5, population=[])


def test_a_border_that_is_partly_drawn_does_not_move_in_a_part_unsaid() -> None:
    both = _apart().remove("lo").add("bright", "CD25+")
    with pytest.raises(InputError, match="drawn for hi, and data have yet to place it for bright"):
        both.move("CD25", to=500)
    moved = both.move("CD25", to=500, population="hi")
    assert [str(change) for change in both.diff(moved).changes] == ["moved hi: CD25 from 3,000 to 500"]


def test_what_a_tube_cannot_gate_again_is_said() -> None:
    """An optional population of other markers was left out without a word, and a tube was left without any gate."""
    again = _gated().regate(_gated().strategy.add("rare", "CD99+", parent="CD4", optional=True))
    assert "rare" not in again
    assert any("optional populations that the panel cannot gate: rare" in note for note in again.notes)
    with pytest.raises(GatingError, match=r"no gate can be evaluated: .*CD99"):
        _gated().regate(Strategy("other").add("rare", {"above": {"marker": "CD99", "at": 500}}))


def _turned() -> Rectangle:
    return Rectangle((Dimension("CD4", Asinh(150)),), (1.0,), (0.5,))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: _apart().add(" ", "CD4+"), "mine:name  a population needs a name"),
        (lambda: _apart().rename("hi", ""), "mine:new  a population needs a name"),
        (lambda: _apart().add("turned", _turned()), "the low end on CD4 is above the high end"),
        (lambda: _apart().diff("mine.yaml"), "str is no strategy\n    hint: give il.builtin_strategy(name)"),
        (lambda: _gated().regate(_gated()), "GatedTube is no strategy"),
        (
            lambda: _cornered().move("box", vertex="1", to=(500, 500)),
            "no corner '1'\n    hint: the polygon has",
        ),
    ],
)
def test_a_slip_is_answered_in_one_line(call: Callable[[], object], text: str) -> None:
    with pytest.raises(InputError) as caught:
        call()
    assert text in str(caught.value)


def _cornered() -> Strategy:
    points = [(500, 100), (9000, 100), (9000, 900)]
    return Strategy("mine").add("box", {"polygon": {"x": "CD25", "y": "CD127", "points": points}})


_ONE_BORDER = """
strategy: one
transform: {{default: {{asinh: {{cofactor: {}}}}}, scatter: linear{}}}
populations:
  - {}
"""
_PLACED = "{name: CD3, parent: root, above: {marker: CD3, by: valley}}"
_BOX = "{name: CD3, parent: root, rectangle: {CD3: [2.5, null]}}"


@pytest.mark.parametrize(
    ("gate", "markers", "words"),
    [
        (_PLACED, "", ["scale default: arcsinh(x / 300), was arcsinh(x / 150)"]),
        (
            _PLACED,
            ", markers: {CD3: linear}",
            ["scale default: arcsinh(x / 300), was arcsinh(x / 150)", "scale CD3: linear, was the default"],
        ),
        (
            _BOX,
            "",
            [
                "moved CD3: CD3 from 907.5 -> CD3 from 1,815",
                "scale CD3: CD3 on arcsinh(x / 300), was on arcsinh(x / 150)",
            ],
        ),
    ],
)
def test_a_change_of_a_scale_alone_is_a_change(gate: str, markers: str, words: list[str], tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text(_ONE_BORDER.format(150, "", gate))
    second.write_text(_ONE_BORDER.format(300, markers, gate))
    found = il.read_strategy(first).diff(il.read_strategy(second))
    assert [str(change) for change in found.changes] == words
    assert list(found.table["change"]) == [line.split()[0] for line in words]


def test_a_gate_redrawn_on_another_scale_at_the_same_values_has_moved_nowhere() -> None:
    def box(cofactor: float) -> il.Strategy:
        at = float(np.arcsinh(1000 / cofactor))
        gate = Rectangle((Dimension("CD3", Asinh(cofactor)),), (at,), (None,))
        return il.Strategy("s", (Population("/CD3", gate),))

    (only,) = box(150.0).diff(box(300.0)).changes
    assert str(only) == "scale CD3: CD3 on arcsinh(x / 300), was on arcsinh(x / 150)"
