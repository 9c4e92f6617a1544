"""Borders that a patient's own events do not show come from the study's other patients; outlying ones are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted import planted_tube

import immunolab as il
from immunolab.config import parse_yaml
from immunolab.events.tube import Tube
from immunolab.gating.placement.other_pools import usual_of
from immunolab.gating.strategy import Strategy
from immunolab.gating.strategy_file import parse_strategy
from immunolab.gating.tube_gates import PoolBorder
from immunolab.gating.tubes import GatedTube
from immunolab.simulation.fcs_writer import write_fcs
from immunolab.workflow.run import run

STRATEGY = """
strategy: example
transform: {default: {asinh: {cofactor: 150}}, scatter: linear}
populations:
  - {name: CD4, parent: root, where: CD4+}
  - {name: CD4_naive, parent: CD4, where: CD45RA+ CCR7+}
  - {name: Tfh, parent: CD4, above: {marker: CXCR5, by: density}}
  - {name: Th17, parent: CD4, above: {marker: CCR6, by: valley}}
  - {name: Treg, parent: CD4, diagonal: {x: CD25, y: CD127, of: CD4_naive}}
"""
NO_TFH, NO_TREG = {"tfh": 0.0, "tfh_quiet": 0.0}, {"treg": 0.0}
MIDDLE = 1.6  # of the planted CXCR5- and CXCR5+ cells, asinh(x / 150)


def _strategy() -> Strategy:
    return parse_strategy(parse_yaml(STRATEGY))


def _tubes(n: int, **changes: dict[str, dict[str, float]]) -> list[Tube]:
    """Return tubes P0, P1, ...; ``changes`` are settings of planted_tube by sample_id."""
    return [planted_tube(i, 6_000, sample_id=f"P{i}", **changes.get(f"P{i}", {}))[0] for i in range(n)]


def _border(gated: GatedTube, population: str) -> pd.Series:
    return gated.thresholds.set_index("population").loc[population]


def test_a_patient_without_positive_cells_gets_the_others_border_and_counts_none() -> None:
    tubes = _tubes(6, P0={"weights": NO_TFH})
    alone = il.gate(tubes[0], _strategy()).counts.set_index("population").loc["Tfh"]
    assert "no_valley" in alone["flag"]
    assert alone["percent_of_parent"] > 2  # the tail of the negative cells: none was planted
    gated = il.gate(tubes, _strategy())
    border = _border(gated[0], "Tfh")
    assert border["threshold"] == pytest.approx(MIDDLE, abs=0.3)
    assert (border["flag"], border["method"], border["scope"]) == ("borrowed", "others", "study")
    assert border["ci_low"] < border["threshold"] < border["ci_high"]
    count = gated[0].counts.set_index("population").loc["Tfh"]
    assert count["percent_of_parent"] < 0.5


def test_a_corner_without_a_cloud_is_that_of_the_other_patients() -> None:
    gated = il.gate(_tubes(6, P0={"weights": NO_TREG}), _strategy())
    borders = gated[0].thresholds[gated[0].thresholds["population"] == "Treg"]
    assert list(borders["method"]) == ["others", "others"]
    assert gated[0].counts.set_index("population").loc["Treg", "percent_of_parent"] < 0.5
    assert gated[1].counts.set_index("population").loc["Treg", "percent_of_parent"] > 5


def test_borders_that_events_show_are_their_own_and_few_patients_lend_none() -> None:
    for n in (1, 4):
        tubes = _tubes(n, P0={"weights": NO_TFH})
        for tube, one in zip(tubes, il.gate(tubes, _strategy()), strict=True):
            pd.testing.assert_frame_equal(one.thresholds, il.gate(tube, _strategy()).thresholds)
    tubes = _tubes(6)
    for tube, one in zip(tubes, il.gate(tubes, _strategy()), strict=True):
        pd.testing.assert_frame_equal(one.thresholds, il.gate(tube, _strategy()).thresholds)


def test_a_patient_stained_otherwise_is_named_and_keeps_its_border() -> None:
    tubes = _tubes(12, P3={"shift": {"CCR6": 1.5}})
    gated = il.gate(tubes, _strategy())
    named = [
        one.sample_id for one in gated if "outlying" in str(one.counts.set_index("population").loc["Th17", "flag"])
    ]
    assert named == ["P3"]
    border = _border(gated[3], "Th17")
    assert border["threshold"] == pytest.approx(_border(il.gate(tubes[3], _strategy()), "Th17")["threshold"], abs=1e-9)
    assert "unlike 11 other pools of the study" in border["reason"]


def test_a_border_of_others_amid_a_patients_cells_is_doubtful() -> None:
    gated = il.gate(_tubes(12, P3={"shift": {"CXCR5": 1.5}}), _strategy())[3]
    assert {"wide_interval", "outlying"} & set(gated.counts.set_index("population").loc["Tfh", "flag"].split(";"))


def test_neither_of_two_kinds_of_patients_is_outlying() -> None:
    bright = {f"P{i}": {"shift": {"CXCR5": 1.0}} for i in range(5)}
    flags = [str(one.counts["flag"].tolist()) for one in il.gate(_tubes(12, **bright), _strategy())]
    assert not any("outlying" in words for words in flags)


def test_visits_of_a_patient_share_a_borrowed_border_so_that_a_drug_does_not_move_it() -> None:
    visits = [planted_tube(90 + i, 6_000, sample_id=f"V{i}", weights=NO_TFH)[0] for i in range(2)]
    tubes = [*visits, *_tubes(6)]
    gated = il.gate(tubes, _strategy(), patients={"V0": "A", "V1": "A"})
    first, second = (_border(one, "Tfh") for one in gated[:2])
    assert first["threshold"] == second["threshold"]
    assert first["flag"] == second["flag"] == "borrowed"


def test_what_is_usual_is_the_batch_where_batches_differ() -> None:
    rng = np.random.default_rng(5)

    def pools(batch: str, middle: float, n: int) -> list[PoolBorder]:
        values = rng.normal(middle, 0.05, n)
        return [PoolBorder(("Tfh",), (f"{batch}{i}",), batch, v, 0.02, 0.5, True) for i, v in enumerate(values)]

    two = [*pools("B1", 1.0, 8), *pools("B2", 2.0, 8)]
    found = usual_of(two, "B2")
    assert found is not None
    assert (found.scope, found.n) == ("batch", 8)
    assert found.value == pytest.approx(2.0, abs=0.06)
    elsewhere = usual_of(two, "B3")
    assert elsewhere is not None
    assert elsewhere.scope == "study"
    assert not elsewhere.useful or elsewhere.sd > 0.4
    assert usual_of(two[:3], "B1") is None


def _study(folder: Path, tubes: list[Tube]) -> Path:
    lines = ["sample_id,patient_id,visit,file,panel"]
    for tube in tubes:
        labels = [channel.marker or "" for channel in tube.channels]
        file = folder / f"{tube.sample_id}.fcs"
        write_fcs(file, [channel.name for channel in tube.channels], labels, tube.columns)
        lines.append(f"{tube.sample_id},{tube.sample_id},W0,{file.name},surface")
    (folder / "samples.csv").write_text("\n".join(lines) + "\n")
    (folder / "example.yaml").write_text(STRATEGY)
    study = folder / "study.yaml"
    study.write_text("study: example\npanels: {surface: {strategy: example.yaml}}\n")
    return study


def test_run_borrows_as_gate_does_for_one_sample_too_and_keeps_what_is_done(tmp_path: Path) -> None:
    tubes = _tubes(6, P0={"weights": NO_TFH})
    study = _study(tmp_path, tubes)
    whole = run(study, out=tmp_path / "out", tables_only=True)
    border = whole.thresholds.query("sample_id == 'P0' and population == 'Tfh'").iloc[0]
    assert border["flag"] == "borrowed"
    expected = _border(il.gate(tubes, _strategy())[0], "Tfh")["threshold"]
    assert border["threshold"] == pytest.approx(expected, abs=0.02)
    table = (tmp_path / "out/tables/thresholds.csv").read_bytes()
    run(study, out=tmp_path / "out", tables_only=True)
    assert (tmp_path / "out/tables/thresholds.csv").read_bytes() == table
    run(study, out=tmp_path / "one", tables_only=True, sample="P0")
    rows = "samples/P0/thresholds.csv"
    assert (tmp_path / "one" / rows).read_bytes() == (tmp_path / "out" / rows).read_bytes()
