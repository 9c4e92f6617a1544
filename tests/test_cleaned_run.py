"""A study with a clogged tube: cleaned in the run, said in its tables, the other tube untouched, verified."""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import planted_faults as planted
import pytest

import immunolab as il
from immunolab.report.verify import verify
from immunolab.simulation.fcs_writer import write_fcs

GATES = """
strategy: drawn
transform: {default: {asinh: {cofactor: 150}}, scatter: linear}
populations:
  - {name: lymphocytes, parent: root, rectangle: {FSC-A: [4e4, 1.3e5], SSC-A: [0, 6e4]}}
  - {name: CD3, parent: lymphocytes, rectangle: {CD3: [2.5, null]}}
  - {name: CD4, parent: CD3, rectangle: {CD4: [2.5, null]}}
  - {name: Treg, parent: CD4, rectangle: {CD25: [2.8, null], CD127: [null, 2.5]}}
"""
N = 12_000


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clogged")
    panel = planted.MODEL.panels["surface"]
    plan = replace(planted.plan_of(1), panel=panel, n_events=N, top=262_143.0, with_time=True)
    for name, salt in (("P1_W0", 0), ("P1_W10", 1), ("P2_W0", 2), ("P2_W10", 3)):
        tube = planted.drawn(plan, salt=salt)
        tube = planted.clog(tube, np.random.default_rng(2)) if name == "P1_W10" else tube
        labels = [channel.label for channel in tube.channels]
        spill = (tube.spillover.channels, tube.spillover.matrix)
        write_fcs(folder / f"{name}.fcs", [c.name for c in tube.channels], labels, tube.columns, spillover=spill)
    (folder / "gates.yaml").write_text(GATES)
    rows = [f"{p}_{v},{p},{v},{p}_{v}.fcs" for p in ("P1", "P2") for v in ("W0", "W10")]
    text = "study: clogged\npanels: {surface: {strategy: gates.yaml}}\n"
    text += "comparison: {before: W0, after: W10, noise: 15}\n"
    (folder / "study.yaml").write_text(text)
    (folder / "plain.yaml").write_text(text + "quality: {clean: false}\n")
    (folder / "samples.csv").write_text("\n".join(["sample_id,patient_id,visit,file", *rows]) + "\n")
    return folder


@pytest.fixture(scope="module")
def cleaned(study: Path, tmp_path_factory: pytest.TempPathFactory) -> il.Run:
    return il.run(study, out=tmp_path_factory.mktemp("cleaned"), memberships=True, quiet=True)


def test_a_clogged_tube_is_cleaned_and_said(cleaned: il.Run) -> None:
    cut = cleaned.table("removed_stretches")
    assert set(cut["sample_id"]) == {"P1_W10"}
    n_cut = int((cut["last_event"] - cut["first_event"] + 1).sum())
    assert 0.09 * N <= n_cut <= 0.13 * N
    assert list(cut["reason"].unique()) == ["clog"]
    rows = cleaned.quality[cleaned.quality["check"] == "cleaned"]
    assert list(zip(rows["sample_id"], rows["status"], strict=True)) == [("P1_W10", "warn")]
    page = (cleaned.folder / "report.html").read_text()
    assert "Stretches of a run that were cut before gating" in page
    assert page.count("Level of every channel and rate over the run of P1_W10") == 1
    assert "the worst 30 at most" in page
    assert "of the events of 1 of 4 tubes" in page
    assert verify(cleaned) == []


def test_other_tubes_keep_their_numbers_and_percents_without_cutting_are_kept(
    cleaned: il.Run, study: Path, tmp_path: Path
) -> None:
    plain = il.run(study / "plain.yaml", out=tmp_path / "plain", tables_only=True, quiet=True)
    assert plain.table("removed_stretches").empty
    own = cleaned.counts["sample_id"] == "P1_W10"
    others = plain.counts[plain.counts["sample_id"] != "P1_W10"]
    pd.testing.assert_frame_equal(cleaned.counts[~own].reset_index(drop=True), others.reset_index(drop=True))
    before = plain.counts[plain.counts["sample_id"] == "P1_W10"].set_index("path")["n_events"]
    assert dict(cleaned.table("uncleaned_counts").set_index("path")["n_events"]) == dict(before)


def test_memberships_and_the_tube_have_the_files_event_numbers(cleaned: il.Run, study: Path) -> None:
    frame = pd.read_parquet(cleaned.folder / "memberships" / "P1_W10.parquet")
    counted = cleaned.counts[cleaned.counts["sample_id"] == "P1_W10"].set_index("population")["n_events"]
    assert len(frame) == N
    assert {name: int(frame[name].sum()) for name in frame} == {n: v for n, v in counted.items() if n != "root"}
    for row in cleaned.table("removed_stretches").to_dict("records"):
        assert not frame.iloc[row["first_event"] - 1 : row["last_event"]].to_numpy().any()
    whole = il.read_fcs(study / "P1_W10.fcs")
    tube = cleaned.tube("P1_W10")
    np.testing.assert_array_equal(whole.columns[:, frame["Treg"].to_numpy()], tube["Treg"].columns)
    assert tube.percent("Treg", of="CD4") == pytest.approx(100 * counted["Treg"] / counted["CD4"])


def test_a_container_says_which_of_its_tubes_the_run_cleaned(cleaned: il.Run, tmp_path: Path) -> None:
    files = il.export(cleaned, format="acs", out=tmp_path / "acs")
    readme = next(path for path in files if path.name == "README.txt").read_text(encoding="utf-8")
    assert "FCS files hold all events; counts of P1_W10 are without the stretches" in readme
    container = next(path for path in files if path.suffix == ".acs")
    with zipfile.ZipFile(container) as archive:
        contents = archive.read("TOC1.xml").decode()
    assert contents.count("without the stretches in results/removed_stretches.csv") == 1
    one = next(one for one in il.read_acs(container, tmp_path / "unpacked") if one.sample_id == "P1_W10")
    again = il.gate(il.read_fcs(one.fcs).clean(), one.gates).counts.set_index("path")["n_events"]
    own = cleaned.counts[cleaned.counts["sample_id"] == "P1_W10"].set_index("path")["n_events"]
    assert again.to_dict() == own.to_dict()


def test_a_study_without_measurements_is_exported(cleaned: il.Run, tmp_path: Path) -> None:
    assert "date" not in cleaned.table("measurements")
    il.export(cleaned, format="sdtm", out=tmp_path)
    assert len(pd.read_csv(tmp_path / "cp.csv"))
    assert not (tmp_path / "lb.csv").exists() or pd.read_csv(tmp_path / "lb.csv").empty


def test_verify_names_what_was_changed(cleaned: il.Run, tmp_path: Path) -> None:
    run = il.read_run(shutil.copytree(cleaned.folder, tmp_path / "out"))
    path = run.folder / "tables" / "removed_stretches.csv"
    lines = path.read_text().splitlines()
    fields = lines[1].split(",")
    fields[2] = str(int(fields[2]) + 100)
    path.write_text("\n".join([lines[0], ",".join(fields), *lines[2:]]) + "\n")
    found = [str(problem) for problem in verify(run)]
    assert any("removed_stretches.csv" in text and "percent" in text for text in found)
    assert any("counts.csv" in text and "n_events" in text for text in found)
