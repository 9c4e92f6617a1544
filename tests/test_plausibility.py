"""Shares that cannot be those of the cells they are called: bounds of blood, T cells that do not add up."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders import REPOSITORY, data_folder
from fcs_builder import write_fcs
from report_fixture import finished_run, tables

import immunolab as il
from immunolab.cli import main
from immunolab.config import parse_yaml
from immunolab.errors import InputError
from immunolab.events.tube import Channel, Tube
from immunolab.gating.strategy_file import builtin_names, builtin_strategy, parse_strategy
from immunolab.report.review import review_grid
from immunolab.schema.flags import shown, split
from immunolab.vocabulary.populations import populations

HIGH = 1_000.0  # a positive cell, instrument units; a negative one has 0
STRATEGY = """
strategy: blood
specimen: {specimen}
transform: {{default: linear}}
populations:
  - {{name: lymphocytes, parent: root, above: {{marker: CD45, by: fixed, at: 500}}}}
  - {{name: CD3, parent: lymphocytes, above: {{marker: CD3, by: fixed, at: 500}}}}
  - {{name: CD4, parent: CD3, above: {{marker: CD4, by: fixed, at: 500}}}}
  - {{name: CD8, parent: CD3, above: {{marker: CD8, by: fixed, at: 500}}}}
  - {{name: Treg, parent: CD4, above: {{marker: FOXP3, by: fixed, at: 500}}}}
  - {{name: Tconv, parent: CD4, not: Treg}}
  - {{name: CD4_EM, parent: Tconv, below: {{marker: CCR7, by: fixed, at: 500}}}}
"""


def blood_tube(t_cell: float = 70, cd4: float = 65, cd8: float = 28, treg: float = 6, n: int = 10_000) -> Tube:
    """Return a tube with these percentages of lymphocytes, T cells, T cells and CD4, to a cell."""
    n_t = round(n * t_cell / 100)
    n4, n8 = round(n_t * cd4 / 100), round(n_t * cd8 / 100)
    positive = {"CD45": n, "CD3": n_t, "CD4": n4, "FOXP3": round(n4 * treg / 100)}
    columns = {marker: np.where(np.arange(n) < count, HIGH, 0.0) for marker, count in positive.items()}
    columns["CD8"] = np.where((np.arange(n) >= n4) & (np.arange(n) < n4 + n8), HIGH, 0.0)
    columns["CCR7"] = np.where(np.arange(n) % 2, HIGH, 0.0)
    channels = tuple(Channel(f"{marker}-A", marker, marker) for marker in columns)
    values = np.array(list(columns.values()), np.float32) + np.arange(n, dtype=np.float32) / n  # no two at the top
    return Tube(values, channels, None, "S1")


def gated(tube: Tube, specimen: str = "blood") -> il.GatedTube:
    return il.gate(tube, parse_strategy(parse_yaml(STRATEGY.format(specimen=specimen), "blood.yaml")))


def flags(result: il.GatedTube, name: str) -> set[str]:
    return set(split(result.counts.set_index("population").loc[name, "flag"]))


def test_usual_blood_has_no_flag() -> None:
    assert gated(blood_tube()).counts["flag"].isna().all()


def test_an_impossible_share_is_withheld_with_its_reason_and_so_is_what_depends_on_it() -> None:
    result = gated(blood_tube(treg=0.1))
    counts = result.counts.set_index("population")
    assert "implausible" in flags(result, "Treg")
    assert np.isnan(result.percent("Treg"))
    assert "0.11 % of CD4" in counts.loc["Treg", "reason"]  # 5 of 4,550
    for name in ("Tconv", "CD4_EM"):
        assert "implausible" in flags(result, name)
        assert "depends on Treg" in counts.loc[name, "reason"]
        assert np.isnan(result.percent(name, of="CD4"))
    for name in ("CD3", "CD4", "CD8"):
        assert flags(result, name) == set()
        assert result.percent(name) > 0


@pytest.mark.parametrize("treg", [10, 20, 35, 60])
def test_the_share_that_low_dose_il2_gives_is_shown(treg: float) -> None:
    result = gated(blood_tube(treg=treg))
    assert result.percent("Treg") == pytest.approx(treg, abs=0.1)
    assert flags(result, "Treg") == ({"out_of_range"} if treg > 40 else set())


def test_what_is_gated_on_a_dye_without_a_signal_is_withheld_and_so_is_what_depends_on_it() -> None:
    tube = blood_tube()
    tube.columns[tube.find("FOXP3")] = 0.0
    result = gated(tube)
    for name in ("Treg", "Tconv", "CD4_EM"):
        assert "no_signal" in flags(result, name)
        assert np.isnan(result.percent(name))
    assert "no_signal" not in flags(result, "CD4")
    reason = result.counts.set_index("population").loc["Treg", "reason"]
    assert str(reason).endswith("FOXP3 reads one value in every event")


def test_metals_that_no_cell_carries_are_counted() -> None:
    tube = blood_tube()
    tube.columns[tube.find("FOXP3")] = 0.0
    mass = tuple(replace(channel, kind="mass") for channel in tube.channels)
    assert "no_signal" not in flags(gated(replace(tube, channels=mass)), "Treg")


def test_a_share_out_of_range_is_shown_and_marked() -> None:
    result = gated(blood_tube(cd4=8, cd8=70))
    assert flags(result, "CD4") == {"out_of_range"}
    assert result.percent("CD4") == pytest.approx(8, abs=0.1)


def test_other_specimens_have_no_bounds() -> None:
    for tube in (blood_tube(treg=0.1), blood_tube(t_cell=1), blood_tube(treg=90)):
        for result in (gated(tube, "other"), il.gate(tube, gated(tube).strategy, specimen="other")):
            words = {word for text in result.counts["flag"] for word in split(text)}
            assert not words & {"implausible", "out_of_range"}
            assert result.counts["percent_of_parent"].iloc[1:].notna().all()


def test_few_events_are_no_evidence_against_a_share() -> None:
    result = gated(blood_tube(treg=0, n=200))  # none of 91 CD4: up to 4 % may be Treg
    assert flags(result, "Treg") == {"below_lod"}


def test_t_cells_of_neither_lineage_are_named_in_any_specimen() -> None:
    for specimen in ("blood", "other"):
        result = gated(blood_tube(cd4=25, cd8=20), specimen)
        assert "t_cells_unassigned" in flags(result, "CD4") & flags(result, "CD8")
        assert "45 % of CD3" in result.counts.set_index("population").loc["CD8", "reason"]
        assert "t_cells_unassigned" not in flags(gated(blood_tube(cd4=45, cd8=20), specimen), "CD4")


def test_an_unknown_specimen_is_an_error_that_lists_the_words() -> None:
    with pytest.raises(InputError, match="blood, other"):
        gated(blood_tube(), "spleen")
    with pytest.raises(InputError, match="blood"):
        il.gate(blood_tube(), gated(blood_tube()).strategy, specimen="spleen")  # type: ignore[arg-type]


def test_the_command_takes_the_specimen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tube = blood_tube(treg=0.1)
    labels = {f"$P{i}S": channel.label for i, channel in enumerate(tube.channels, 1)}
    path = write_fcs(tmp_path / "S1.fcs", tube.columns.T, tube.names, keywords=labels)
    gates = tmp_path / "gates.yaml"
    gates.write_text(STRATEGY.format(specimen="blood"), encoding="utf-8")
    for extra, withheld in (([], True), (["--specimen", "other"], False)):
        assert main(["gate", str(path), "--strategy", str(gates), "-o", str(tmp_path / "out"), *extra]) == 0
        text = (tmp_path / "out" / "counts.csv").read_text()
        assert ("adult blood has" in text) == withheld
        assert ("S1 Treg: 0.11 % of CD4; adult blood has" in capsys.readouterr().out) == withheld


def test_reports_show_the_gravest_flags_first_and_no_note() -> None:
    assert shown("no_fmo;drift;implausible;no_unstained;below_loq") == ["implausible", "drift", "below_loq"]
    assert shown("no_fmo") == shown(None) == []


def test_the_report_lists_withheld_populations_before_doubtful_ones() -> None:
    run = finished_run()
    counts = run.counts.copy()
    counts.loc[counts["population"] == "Th17", "flag"] = "no_fmo"
    counts.loc[counts["population"] == "Th1", "flag"] = "drift;no_fmo"
    picked = counts["population"].eq("Treg") & counts["sample_id"].eq(counts["sample_id"].iloc[0])
    counts.loc[picked, ["flag", "reason"]] = ["implausible", "0.1 % of CD4"]
    rows = [[cell.text for cell in row] for row in review_grid(finished_run({**tables(), "counts": counts})).rows]
    assert [row[:4] for row in rows[:2]] == [
        ["withheld", "Treg", "1", "implausible"],
        ["doubtful", "Th1", str(counts["sample_id"].nunique()), "drift"],
    ]
    assert "0.1 % of CD4" in rows[0][4]
    assert not any("no_fmo" in text for row in rows for text in row)


def test_shipped_strategies_are_for_human_blood() -> None:
    assert {builtin_strategy(name).specimen for name in builtin_names()} == {"blood"}


def test_bounds_hold_the_figures_of_health_and_disease() -> None:
    known = populations()
    text = (REPOSITORY / "immunolab" / "vocabulary" / "populations.yaml").read_text(encoding="utf-8")
    compared = 0
    for line in text.splitlines():
        named = re.match(r"  - \{id: (\w+),.*\}  #.*% of ([\w ]+): (.*)", line)
        if not named or named[1] not in known or known[named[1]].blood is None:
            continue
        blood = known[named[1]].blood
        low, high = blood.plausible
        assert 0 <= blood.possible[0] <= low < high <= blood.possible[1] <= 100, named[1]
        if blood.of not in named[2].split():
            continue
        for least, most in re.findall(r"([\d.]+) - [\d.]+ - ([\d.]+)", named[3]):
            compared += 1
            assert low <= float(least), named[1]
            assert float(most) <= high, named[1]
    assert compared > 30


def test_counting_beads_are_no_lymphocytes() -> None:
    path = data_folder("fcs_edge_cases/instruments") / "Beckman Coulter - Cytomics FC500.LMD"
    plain = """
strategy: plain
populations:
  - {name: CD3, parent: root, where: CD3+}
  - {name: CD4, parent: CD3, where: CD4+}
"""
    result = il.gate(il.read_fcs(path), parse_strategy(parse_yaml(plain, "plain.yaml")))
    assert np.mean(result.tube["SS Lin"][result.mask("CD3")] >= 1023) > 0.9  # what was taken for T cells
    assert "at_scatter_end" in flags(result, "CD3") & flags(result, "CD4")
    reason = result.counts.set_index("population").loc["CD3", "reason"]
    assert "highest value of SS Lin" in reason


@pytest.mark.parametrize(("share", "is_flagged"), [(0.45, False), (0.55, True)])
def test_a_few_events_at_the_end_of_scatter_are_none_of_it(share: float, is_flagged: bool) -> None:
    tube = blood_tube()
    side = np.where(np.arange(len(tube)) % 100 < 100 * share, 1_023.0, 200.0)
    columns = np.vstack([tube.columns, side]).astype(np.float32)
    tube = Tube(columns, (*tube.channels, Channel("SSC-A", kind="scatter")), None, "S1")
    result = gated(tube)
    assert ("at_scatter_end" in flags(result, "CD3")) is is_flagged
    assert ("at_scatter_end" in flags(result, "Treg")) is is_flagged
    assert "at_scatter_end" not in flags(result, "lymphocytes")


@pytest.mark.parametrize("value", [0.0, 1_023.0])
def test_scatter_that_was_not_measured_has_no_end(value: float) -> None:
    tube = blood_tube()
    columns = np.vstack([tube.columns, np.full(len(tube), value)]).astype(np.float32)
    tube = Tube(columns, (*tube.channels, Channel("SSC-A", kind="scatter")), None, "S1")
    assert "at_scatter_end" not in flags(gated(tube), "CD3")


def test_where_most_cells_are_called_dead_all_that_depends_on_the_living_is_doubtful() -> None:
    text = """
strategy: viability
transform: {default: linear}
populations:
  - {name: viable, parent: root, below: {marker: Viability, by: fixed, at: 500}}
  - {name: CD3, parent: viable, above: {marker: CD3, by: fixed, at: 500}}
"""
    strategy = parse_strategy(parse_yaml(text, "viability.yaml"))
    for dead, expected in ((400, set()), (600, {"mostly_dead"})):
        columns = [np.where(np.arange(1000) < dead, HIGH, 0.0), np.where(np.arange(1000) % 2, HIGH, 0.0)]
        channels = tuple(Channel(f"{marker}-A", marker, marker) for marker in ("Viability", "CD3"))
        values = np.array(columns, np.float32) + np.arange(1000, dtype=np.float32) / 1000  # no two at the top
        result = il.gate(Tube(values, channels, None, "S1"), strategy)
        assert flags(result, "viable") == flags(result, "CD3") == expected
        assert result.percent("CD3") > 0  # shown, marked
