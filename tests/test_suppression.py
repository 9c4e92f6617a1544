"""The suppression assay: titrations summed up by hand, and every way to write them wrongly."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from immunolab.clinical import suppression_curves, with_suppression
from immunolab.clinical.suppression import mean_inhibition
from immunolab.errors import InputError
from immunolab.loaders.measurements import read_measurements


def measured(folder: Path, *lines: str) -> pd.DataFrame:
    path = folder / "assay.csv"
    path.write_text("\n".join(("patient_id,visit,variable,value,unit", *lines)) + "\n", encoding="utf-8")
    return read_measurements(path)


def values(frame: pd.DataFrame) -> dict[tuple[str, str], float]:
    own = frame[frame["variable"] == "Treg_suppression"]
    return {(r.patient_id, r.visit): r.value for r in own.itertuples()}


def test_mean_inhibition_by_hand() -> None:
    # equal steps of the log: trapezoids (80 + 60)/2 and (60 + 20)/2 over two steps
    assert mean_inhibition([1, 1 / 2, 1 / 4], [80, 60, 20]) == pytest.approx((70 + 40) / 2)
    # order does not matter, a constant is its own mean
    assert mean_inhibition([1 / 4, 1, 1 / 2], [20, 80, 60]) == pytest.approx(55)
    assert mean_inhibition([4, 1 / 8], [33, 33]) == pytest.approx(33)
    # unequal steps: from 1:1 to 1:8 are three doublings, then one more to 1:16
    assert mean_inhibition([1, 1 / 8, 1 / 16], [80, 20, 10]) == pytest.approx((3 * 50 + 1 * 15) / 4)
    # Treg that add to proliferation give negative inhibition
    assert mean_inhibition([1, 0.5], [-10, 10]) == pytest.approx(0)


def test_titrations_become_one_value_a_visit(tmp_path: Path) -> None:
    frame = measured(
        tmp_path,
        "P1,W0,Treg_suppression.1:1,60,%",
        "P1,W0,Treg suppression 1:2,40,%",
        "P1,W24,treg_suppression.1 : 2,50,%",
        "P1,W24,Treg_suppression_1:1,70,%",
        "P1,W24,IL-6,3,pg/mL",
    )
    curves = suppression_curves(frame)
    assert sorted(curves["ratio"]) == ["1:1", "1:1", "1:2", "1:2"]
    assert curves["treg_per_responder"].tolist() == [1, 0.5, 0.5, 1]
    assert values(with_suppression(frame, curves)) == pytest.approx({("P1", "W0"): 50, ("P1", "W24"): 60})


def test_a_visit_without_one_of_the_ratios_is_not_evaluable(tmp_path: Path) -> None:
    frame = measured(
        tmp_path,
        *(f"P1,W0,Treg_suppression.1:{n},{50 - n},%" for n in (1, 2, 4)),
        *(f"P1,W24,Treg_suppression.1:{n},{60 - n},%" for n in (1, 2)),
        "P1,W24,Treg_suppression.1:4,NA,%",
        "P2,W0,Treg_suppression.1:1,44,%",
    )
    found = with_suppression(frame, suppression_curves(frame)).set_index(["patient_id", "visit"])
    found = found[found["variable"] == "Treg_suppression"]
    assert found.loc[("P1", "W0"), "value"] == pytest.approx((49 + 48) / 4 + (48 + 46) / 4)
    for place in (("P1", "W24"), ("P2", "W0")):  # a ratio is missing; one ratio spans nothing
        assert math.isnan(found.loc[place, "value"])
        assert found.loc[place, "flag"] == "not_evaluable"


def test_a_value_beyond_the_assay_is_flagged(tmp_path: Path) -> None:
    frame = measured(tmp_path, "P1,W0,Treg_suppression.1:1,>95,%", "P1,W0,Treg_suppression.1:2,75,%")
    found = with_suppression(frame, suppression_curves(frame))
    own = found[found["variable"] == "Treg_suppression"].iloc[0]
    assert own["value"] == pytest.approx(85)
    assert own["flag"] == "censored_part"


@pytest.mark.parametrize("name", ["Treg_suppression", "treg_suppression", "Treg suppression"])
def test_the_labs_own_summary_is_taken_as_it_is(name: str, tmp_path: Path) -> None:
    frame = measured(tmp_path, f"P1,W0,{name},41,%", "P1,W0,Treg_suppression_index,3,ratio")
    assert suppression_curves(frame).empty
    assert values(with_suppression(frame, suppression_curves(frame))) == {("P1", "W0"): 41}


@pytest.mark.parametrize("line", ["P1,W0,Treg_suppression,0.4,ratio", "P1,W0,Treg_suppression,140,%"])
def test_a_summary_is_percent_inhibition(line: str, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        measured(tmp_path, line)


def test_every_fault_is_reported_with_row_and_column(tmp_path: Path) -> None:
    frame = measured(
        tmp_path,
        "P1,W0,Treg_suppression.1:1,60,%",
        "P1,W0,Treg_suppression.2:2,61,%",
        "P1,W0,Treg_suppression.high,61,%",
        "P1,W0,Treg_suppression.1:0,61,%",
        "P1,W24,Treg_suppression.1:16,0.6,ratio",
        "P1,W24,Treg_suppression.1:4,140,%",
        "P1,W24,Treg_suppression.1:2,60,%",
        "P1,W24,Treg suppression,60,%",
    )
    with pytest.raises(InputError) as error:
        suppression_curves(frame)
    assert [(p.place, p.message.split(": ", 1)[-1]) for p in error.value.problems] == [
        ("row 3, column variable", "its ratio is in row 2 already"),
        ("row 4, column variable", "names no ratio of Treg to responder cells"),
        ("row 5, column variable", "names no ratio of Treg to responder cells"),
        ("row 6, column unit", "unit 'ratio', needed is %"),
        ("row 7, column value", "140 % inhibition is more than all"),
        ("row 9, column variable", "Treg_suppression is given beside its ratios, which it is computed from"),
    ]
