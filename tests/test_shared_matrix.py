"""What compensation leaves in tubes with one matrix: one light for the matrix, one for a tube unlike the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import planted_faults as planted
import pytest

from immunolab.events.tube import Tube
from immunolab.gating.strategy_file import read_strategy
from immunolab.gating.tube_gates import TubeGates
from immunolab.gating.tubes import gate_tube
from immunolab.quality.cell_shares import cell_kinds
from immunolab.quality.compensation_rows import shown_pairs
from immunolab.quality.qc import TubeQuality, qc
from immunolab.quality.shared_matrix import said_of_matrices
from immunolab.workflow.residual_on_gates import residual_on_gates

PLAN = replace(planted.plan_of(8), n_events=12_000, dead=0.05)
DYE, DETECTOR = "BV510-A", "BUV496-A"  # a tenth of the cells and more carry the dye without the other antibody


@pytest.fixture(scope="module")
def sound() -> list[Tube]:
    """Four tubes with one matrix, which is right to 3 %."""
    tubes = [planted.drawn(PLAN, salt=i) for i in range(4)]
    return [replace(tube, sample_id=f"T{i}", spillover=tubes[0].spillover) for i, tube in enumerate(tubes)]


def with_entry(tube: Tube, times: float) -> Tube:
    """Return a tube whose matrix has another entry, times the true one."""
    names, matrix = tube.spillover.channels, tube.spillover.matrix.copy()
    at = names.index(DYE), names.index(DETECTOR)
    matrix[at] = times * planted.spillover_matrix(planted.MODEL, PLAN.panel)[at]
    return replace(tube, spillover=replace(tube.spillover, matrix=matrix), _inverse={})


def lit(found: TubeQuality) -> dict[str, str]:
    """Return what is said of each tube with a light for what compensation leaves."""
    rows = found.table[(found.table["check"] == "residual_spillover") & (found.table["status"] == "warn")]
    return dict(zip(rows["sample_id"], rows["message"], strict=True))


def test_an_entry_that_is_wrong_in_a_matrix_has_one_light_for_all_its_tubes(sound: list[Tube]) -> None:
    assert lit(qc(sound, quiet=True)) == {}
    wrong = [with_entry(tube, 0.75) for tube in sound]
    found = qc(wrong, quiet=True)
    ((name, text),) = lit(found).items()
    assert f"{DYE} > {DETECTOR}" in text
    assert "so in 4 of the 4 tubes with this matrix" in text
    others = found.table[(found.table["check"] == "residual_spillover") & (found.table["sample_id"] != name)]
    assert others["message"].str.endswith(f"said of {name}, which has the same matrix").all()
    assert found.table["sample_id"].iloc[0] == name  # the worst first
    assert len(lit(qc(wrong[1:2], quiet=True))) == 1  # alone a tube is judged by itself


@pytest.mark.parametrize("times", [0.0, 0.2, 0.5])
def test_an_entry_that_is_far_too_small_or_forgotten_is_named(sound: list[Tube], times: float) -> None:
    """Bright cells are then so far off that they look like cells that carry the other antibody."""
    (text,) = lit(qc(with_entry(sound[0], times), quiet=True)).values()
    left = 100 * (1 - times) * 0.15  # of what spills by the simulator's vocabulary
    assert float(text.split(f"{DYE} > {DETECTOR} ")[1].split(" %")[0]) == pytest.approx(left, rel=0.05)


def test_tubes_with_a_matrix_of_their_own_have_a_light_each(sound: list[Tube]) -> None:
    other = planted.matrix_of_another_day(sound[1], np.random.default_rng(1))
    assert set(lit(qc([sound[0], other, with_entry(sound[2], 0.75), sound[3]], quiet=True))) == {"T1", "T2"}


def test_a_tube_whose_dye_spills_more_than_in_the_others_keeps_its_own_light(sound: list[Tube]) -> None:
    """A tandem dye that fell apart in one tube: its light is in the other channel, whatever the matrix."""
    apart = sound[2].columns.copy()
    apart[sound[2].find(DETECTOR)] += 0.06 * apart[sound[2].find(DYE)]
    broken = replace(sound[2], columns=apart, _inverse={})
    assert set(lit(qc([*sound[:2], broken, sound[3]], quiet=True))) == {"T2"}
    wrong = [with_entry(tube, 0.75) for tube in (*sound[:2], broken, sound[3])]
    found = lit(qc(wrong, quiet=True))
    assert len(found) == 2  # of the matrix, and of the tube
    assert f"unlike in the other tubes with this matrix: {DYE} > {DETECTOR}" in found["T2"]


def test_what_a_residue_does_to_gates_is_what_the_sound_matrix_does(sound: list[Tube], tmp_path: Path) -> None:
    def stained(tube: Tube, channel: str) -> int:
        return int((np.arcsinh(tube.compensated(channel) / 150) >= 1.5).sum())

    def rows(tube: Tube, channel: str) -> list[dict[str, object]]:
        marker = tube.channels[tube.find(channel)].marker
        (tmp_path / "gates.yaml").write_text(
            "strategy: one\ntransform: {default: {asinh: {cofactor: 150}}, scatter: linear}\n"
            f"populations:\n  - {{name: stained, parent: root, rectangle: {{{marker}: [1.5, null]}}}}\n"
        )
        gates = TubeGates(read_strategy(tmp_path / "gates.yaml"))
        return list(residual_on_gates(gate_tube(tube, gates), gates, shown_pairs(tube, cell_kinds(tube))))

    assert rows(sound[0], DETECTOR) == []  # nothing is left
    right, far = with_entry(sound[0], 1.0), with_entry(sound[0], 0.4)
    for channel, status in ((DETECTOR, "warn"), (DYE, "ok")):
        (row,) = rows(far, channel)
        assert (row["check"], row["status"]) == ("residual_on_gates", status)
        assert row["value"] == pytest.approx(100 * abs(1 - stained(right, channel) / stained(far, channel)), abs=1.5)
        assert str(row["message"]).startswith("stained would be") == (status == "warn")


def test_pairs_that_different_tubes_with_one_matrix_show_are_all_named_where_it_is_said_once() -> None:
    def check(name: str, pair: str) -> dict[str, object]:
        text = f"left after compensation: {pair} 6 %"
        return {"sample_id": name, "check": "residual_spillover", "status": "warn", "message": text}

    def left(name: str, dye: str, detector: str, move: float) -> dict[str, object]:
        of = {"sample_id": name, "matrix": "m", "dye": dye, "detector": detector, "entry": 30.0}
        return {**of, "left": 6.0, "left_error": 0.1, "move": move, "scatter": 1.0, "straight": "yes"}

    bright = [left("T0", "A", "B", 4.0), left("T1", "C", "D", 3.0)]
    dim = [left("T1", "A", "B", 0.9), left("T0", "C", "D", 0.9)]  # the same entry is off, and moves few cells
    rows = said_of_matrices([check("T0", "A > B"), check("T1", "C > D")], [*bright, *dim])
    (text,) = (str(row["message"]) for row in rows if row["status"] == "warn")
    assert "A > B 6 %" in text
    assert "C > D 6 %" in text
