"""What a panel lacks: everything else is gated, and what changes its meaning is flagged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from few_figures import no_figures
from matplotlib.figure import Figure
from planted import MARKERS, f1, planted_tube

import immunolab as il
from immunolab.cli import main
from immunolab.plots.values import value_strip
from immunolab.simulation.fcs_writer import write_fcs


def _gated(*absent: str) -> pd.DataFrame:
    tube, _ = planted_tube(n=12_000, markers=tuple(m for m in MARKERS if m not in absent))
    return il.gate(tube, "treg_th17_tfh_teff").counts.set_index("population")


def test_without_cxcr5_helper_subsets_stay_and_say_what_they_hold() -> None:
    whole, without = _gated(), _gated("CXCR5")
    assert {"Tfh_CXCR5", "Tfh_eff", "Tfh1", "helper"} & set(without.index) == set()
    assert {"Treg", "Teff", "Th1", "Th17"} <= set(without.index)
    assert without.loc["Th17", "parent"] == "mem_conv"
    for name in ("Th1", "Th17"):
        assert "exclusion_missing" in without.loc[name, "flag"]
        assert without.loc[name, "n_events"] >= whole.loc[name, "n_events"]
    assert "exclusion_missing" not in str(without.loc["Treg", "flag"])


@pytest.mark.parametrize("absent", [("CD25",), ("CD127",), ("CD25", "CD127")])
def test_without_cd25_or_cd127_only_what_needs_treg_is_left_out(absent: tuple[str, ...]) -> None:
    whole, without = _gated(), _gated(*absent)
    assert set(whole.index) - set(without.index) == {"Treg", "Tfr", "Tconv", "Teff", "mem_conv"}
    for name in ("CD4", "CD8", "CD4_naive", "CD4_CM", "CD4_EM"):
        assert without.loc[name, "n_events"] == pytest.approx(whole.loc[name, "n_events"], rel=0.02)
    for name in ("Tfh_CXCR5", "helper", "Th17"):
        assert "exclusion_missing" in without.loc[name, "flag"]


def test_a_panel_without_cd8_has_cd4_by_cd4_alone() -> None:
    without = _gated("CD8")
    assert without.loc["CD4", "definition"] == "CD4.CD4pos"
    assert "CD8" not in without.index


def _study(folder: Path, tubes: dict[tuple[str, str], tuple[str, ...]], comparison: str = "") -> None:
    """Write a study without a trial: (patient, visit) -> the markers of its tube."""
    lines = ["sample_id,patient_id,visit,file,panel"]
    for seed, ((patient, visit), names) in enumerate(tubes.items()):
        tube, _ = planted_tube(seed, 6_000, markers=names)
        name = f"{patient}_{visit}"
        labels = [channel.marker or "" for channel in tube.channels]
        write_fcs(folder / f"{name}.fcs", [channel.name for channel in tube.channels], labels, tube.columns)
        lines.append(f"{name},{patient},{visit},{name}.fcs,surface")
    (folder / "samples.csv").write_text("\n".join(lines) + "\n")
    text = "study: incomplete\npanels: {surface: {strategy: treg_th17_tfh_teff}}\n"
    (folder / "study.yaml").write_text(text + comparison)


NO_CD127 = (*(m for m in MARKERS if m != "CD127"), "FOXP3")


def test_check_and_the_report_name_endpoints_without_a_row_and_the_other_definition(tmp_path, capsys) -> None:
    _study(tmp_path, {(p, "W0"): NO_CD127 for p in ("P1", "P2")})
    assert main(["check", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    reason = "'Treg' (the panel lacks CD127; CD25+ FOXP3+ defines Treg_FOXP3, as in the strategy treg_foxp3)"
    assert f"{reason} for treg_pct_cd4" in said
    assert "for th17_pct_cd4" not in said
    with no_figures():
        assert main(["run", str(tmp_path), "-o", str(tmp_path / "out")]) == 0
    run = il.read_run(tmp_path / "out")
    assert "treg_pct_cd4" not in set(run.endpoints["endpoint"])
    assert any(reason in note for note in run.notes)
    assert "the panel lacks CD127" in (tmp_path / "out" / "report.html").read_text()


def test_check_names_visits_at_which_an_endpoint_has_no_row(tmp_path, capsys) -> None:
    tubes = {("P1", "W0"): MARKERS, ("P1", "W4"): NO_CD127, ("P2", "W0"): MARKERS, ("P2", "W4"): MARKERS}
    _study(tmp_path, tubes, "comparison: {before: W0, after: W4}\n")
    main(["check", str(tmp_path)])  # 1: the marker's channel bears another label in one file
    note = next(line for line in capsys.readouterr().out.splitlines() if "not measured at every visit" in line)
    assert "treg_pct_cd4" in note
    assert "at 1 of 4 visits of patients (the panel lacks CD127)" in note
    assert "th17_pct_cd4" not in note


def test_a_study_with_one_visit_is_described_not_compared(tmp_path, capsys) -> None:
    _study(tmp_path, {(p, "W0"): MARKERS for p in ("P1", "P2", "P3")})
    out = tmp_path / "out"
    assert main(["run", str(tmp_path), "-o", str(out)]) == 0
    assert main(["verify", str(out)]) == 0
    run = il.read_run(out)
    assert {"treg_pct_cd4", "th17_pct_cd4"} <= set(run.endpoints["endpoint"])
    assert run.endpoints["value"].notna().sum() > 10
    assert len(run.shifts) == len(run.pairs) == 0
    assert {"one_visit_treg_pct_cd4.png", "one_visit_th17_pct_cd4.png"} <= {p.name for p in (out / "figures").iterdir()}
    assert "one visit (W0): described, not compared" in (out / "report.html").read_text()
    rows = run.endpoints[run.endpoints["endpoint"] == "treg_pct_cd4"].assign(flag=["below_loq", None, None])
    ax = value_strip(rows, run.label_of("treg_pct_cd4"), ax=Figure().add_subplot())
    assert ax.get_title() == "described, not compared"
    assert ax.get_xticklabels()[0].get_text() == "W0\nn = 3 patients"
    faces = {line.get_ydata()[0]: line.get_markerfacecolor() for line in ax.lines[:3]}
    assert [faces[value] == "white" for value in rows["value"]] == [True, False, False]


def test_a_comparison_that_is_written_is_still_checked(tmp_path, capsys) -> None:
    _study(tmp_path, {("P1", "W0"): MARKERS}, "comparison: {before: W0, after: W4}\n")
    assert main(["check", str(tmp_path)]) == 1
    assert "'W4' is no visit of the sheet" in capsys.readouterr().err


def test_a_tube_without_scatter_is_gated_without_the_lymphocyte_cloud() -> None:
    tube, kinds = planted_tube()
    bare = replace(tube, columns=tube.columns[3:], channels=tube.channels[3:])
    gated = il.gate(bare, "treg_th17_tfh_teff")
    assert not {"singlets", "small", "lymphocytes"} & {p.name for p in gated.strategy.populations}
    cells = {"CD8": ["cd8"], "CD4": ["naive", "memory", "treg", "tfh", "tfh_quiet", "th17", "th1"]}
    for name, kind in cells.items():
        assert f1(gated.mask(name), np.isin(kinds, kind)) > 0.97, name
    assert not any("exclusion_missing" in str(words) for words in gated.counts["flag"])
