"""Numbers of a strategy file: instrument units and the display scale, by key or by what they can be."""

from __future__ import annotations

import numpy as np
import pytest
from planted import planted_tube

import immunolab as il
from immunolab.config import parse_yaml
from immunolab.errors import InputError
from immunolab.events.transforms import Asinh, Auto, Logicle
from immunolab.gating.strategy_file import parse_strategy

ASINH = "transform: {default: {asinh: {cofactor: 150}}, scatter: linear}\n"
LOGICLE = "transform: {default: {logicle: {}}, scatter: linear}\n"
AUTO = "transform: {default: auto}\n"
ABOVE = "populations:\n  - {name: A, parent: root, where: CD25+}\nthresholds: {CD25: %s}\n"


def parse(text: str):
    return parse_strategy(parse_yaml(text, "s.yaml"))


def faults(text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        parse(text)
    return [str(problem) for problem in caught.value.problems]


def counted(text: str) -> tuple[int, il.GatedTube]:
    tube, _ = planted_tube(0)
    gated = il.gate(tube, parse(text))
    return int(gated.mask("A").sum()), gated


def above(border: float) -> int:
    tube, _ = planted_tube(0)
    return int((tube["CD25"] > border).sum())


@pytest.mark.parametrize("scales", [ASINH, LOGICLE, AUTO, ""])
def test_a_border_in_instrument_units_means_the_same_on_every_scale(scales: str) -> None:
    n, gated = counted(scales + ABOVE % "1000")
    assert n == above(1000) > 300
    assert gated.thresholds["threshold_raw"].tolist() == pytest.approx([1000])
    forms = (
        "populations:\n  - {name: A, parent: root, above: {marker: CD25, at: 1000}}\n",
        "populations:\n  - {name: A, parent: root, rectangle: {CD25: [1000, null]}}\n",
        "populations:\n  - {name: A, parent: root, between: {marker: CD25, low: 1000, high: 1e9}}\n",
        "populations:\n  - {name: A, parent: root, polygon: "
        "{x: CD25, y: FSC-A, points: [[1000, -1e9], [1e9, -1e9], [1e9, 1e9], [1000, 1e9]]}}\n",
    )
    assert [counted(scales + form)[0] for form in forms] == [above(1000)] * 4


def test_numbers_that_can_be_on_the_display_scale_are_read_there_as_before() -> None:
    assert counted(ASINH + ABOVE % "2.5")[0] == above(150 * np.sinh(2.5))
    half = float(Logicle().inverse([0.5])[0])
    assert counted(LOGICLE + ABOVE % "0.5")[0] == above(half)
    # without a scale a file had logicle; so it keeps it
    strategy = parse(ABOVE % "0.5")
    assert "default" not in strategy.settings["transform"]
    assert counted(ABOVE % "0.5")[0] == above(half)


def test_the_key_settles_the_unit() -> None:
    assert counted("numbers: instrument\n" + ASINH + ABOVE % "5")[0] == above(5)
    assert counted("numbers: display\n" + ASINH + ABOVE % "5")[0] == above(150 * np.sinh(5))
    assert counted(AUTO + ABOVE % "5")[0] == above(5)  # no display scale is known when the file is written
    assert faults("numbers: raw\n" + ASINH + ABOVE % "5")[0].startswith("s.yaml:1  numbers: unknown unit 'raw'")
    (said,) = faults("numbers: display\n" + AUTO + ABOVE % "5")
    assert "5 is on a display scale that data choose" in said


def test_numbers_of_both_kinds_are_a_fault_that_names_them() -> None:
    text = ASINH + "populations:\n  - {name: A, parent: root, rectangle: {CD25: [2.5, null], CD127: [null, 900]}}\n"
    (said,) = faults(text)
    assert said.startswith(
        "s.yaml:3  populations[0].rectangle.CD25: 2.5 can be a position on the display scale, but 900"
    )
    assert "numbers: instrument" in said


def test_windows_are_in_instrument_units_too() -> None:
    tube, _ = planted_tube(0)
    within = "{by: valley, within: [400, 3000]}"
    on_display = f"{{by: valley, within: [{np.arcsinh(400 / 150)}, {np.arcsinh(3000 / 150)}]}}"
    found = [
        il.gate(tube, parse(ASINH + ABOVE % rule)).thresholds["threshold_raw"].iloc[0] for rule in (within, on_display)
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-9)
    assert 400 <= found[0] <= 3000


def test_sides_of_one_border_can_differ() -> None:
    rule = "{pos: {by: fixed, at: 300}, hi: {by: fixed, at: 4000}}"
    tube, _ = planted_tube(0)
    strategy = parse(AUTO + ABOVE.replace("CD25+", "CD25int") % rule)
    values = tube["CD25"]
    assert il.gate(tube, strategy).mask("A").sum() == ((values > 300) & (values < 4000)).sum()


def test_drawn_gates_on_scales_that_data_choose_are_on_them_after_gating() -> None:
    tube, _ = planted_tube(0)
    text = "populations:\n  - {name: A, parent: root, rectangle: {CD25: [1000, null], CD999: [5000, null]}}\n"
    other = "  - {name: B, parent: root, rectangle: {CD25: [1000, null]}}\n"
    gated = il.gate(tube, parse(text + other))
    assert gated.mask("B").sum() == above(1000)
    assert [fault.place for fault in gated.left_out] == ["/A"]
    (axis,) = gated.strategy["B"].gate.dimensions
    assert axis.transform == Asinh(150.0)
    assert gated.strategy["B"].gate.lower[0] == pytest.approx(np.arcsinh(1000 / 150))
    assert gated.thresholds["threshold_raw"].tolist() == pytest.approx([1000])


def test_an_ellipse_needs_a_scale_that_the_file_names() -> None:
    shape = "{x: CD4, y: CD8, mean: [4, 0], covariance: [[1, 0], [0, 1]]}"
    gate = f"populations:\n  - {{name: A, parent: root, ellipse: {shape}}}\n"
    (said,) = faults(AUTO + gate)
    assert "an ellipse on a scale that data choose has no unit" in said
    assert parse(ASINH + gate)["A"].gate.mean == (4.0, 0.0)
    assert isinstance(parse(AUTO + ABOVE % "5").settings["transform"]["default"], Auto)
