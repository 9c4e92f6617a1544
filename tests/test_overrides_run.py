"""A study run again with gates of a reader: only changed tubes are computed, every table says so, verify finds it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_overrides_applied import STRATEGY

import immunolab as il
from immunolab.errors import InputError
from immunolab.gating.gates import Rectangle
from immunolab.gating.overrides import Override, write_overrides
from immunolab.report.by_readers import overrides_grid
from immunolab.report.verify_overrides import override_differences
from immunolab.results.findings.by_readers import override_sentences
from immunolab.results.findings.concerns import concerns
from immunolab.results.run import Run
from immunolab.schema.flags import split
from immunolab.simulation import simulate
from immunolab.simulation.model import Options
from immunolab.workflow.check import check_study

ONE = """
overrides:
- sample: SLE001_W10
  population: memory
  threshold: {CD45RA: 400}     # instrument units
  reason: cuts_population
  comment: naive cells were taken in
  reader: AB
"""

DRAWN = """
strategy: drawn
transform: {default: {asinh: {cofactor: 150}}, scatter: linear}
populations:
  - {name: CD3, parent: root, rectangle: {CD3: [900, null]}}
  - {name: CD4, parent: CD3, rectangle: {CD4: [900, null]}}
  - {name: memory, parent: CD4, rectangle: {CD45RA: [null, 900]}}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of four tubes and its run, in one folder."""
    root = tmp_path_factory.mktemp("overrides")
    options = Options(truth_events=False)
    visits = ["W0", "W10"]
    simulate("sle_nct02084238", patients=2, seed=11, folder=root / "study", visits=visits, events=3000, options=options)
    (root / "study" / "gates.yaml").write_text(STRATEGY)
    (root / "study" / "study.yaml").write_text(
        "study: small\nsheet: samples.csv\npanels: {surface: {strategy: gates.yaml}}\n"
        "comparison: {before: W0, after: W10, noise: 15}\n"
    )
    assert len(il.run(root / "study", out=root / "out", tables_only=True, quiet=True).computed) == 4
    return root


@pytest.fixture
def place(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "place")
    return tmp_path / "place"


def _again(place: Path, text: str, sample: str = "") -> Run:
    (place / "study" / "overrides.yaml").write_text(text, encoding="utf-8")
    return il.run(place / "study", out=place / "out", tables_only=True, sample=sample, quiet=True)


def _rows(run: Run, sample: str) -> pd.DataFrame:
    return run.endpoints[run.endpoints["sample_id"] == sample].set_index("endpoint")


def test_only_the_changed_tube_is_computed_again_and_tables_say_what_a_reader_did(place: Path) -> None:
    before = il.read_run(place / "out")
    run = _again(place, ONE)
    assert run.computed == ("SLE001_W10",)
    assert len(run.kept) == 3
    (row,) = run.overrides.to_dict("records")
    tube = run.tube("SLE001_W10")
    inside = tube.mask("CD4") & (tube.tube["CD45RA"] < 400.0)
    assert int(tube.mask("memory").sum()) == int(inside.sum())
    assert row["percent_after"] == pytest.approx(100.0 * inside.sum() / tube.mask("CD4").sum())
    old = before.counts.set_index(["sample_id", "population"])["percent_of_parent"]
    assert row["percent_before"] == old["SLE001_W10", "memory"] != row["percent_after"]
    assert (row["status"], row["reader"], row["comment"]) == ("applied", "AB", "naive cells were taken in")
    handed_on = il.gate(tube.tube, il.read_strategy(place / "out" / "gates" / "SLE001_W10.xml"))
    assert len(handed_on["memory"]) == int(inside.sum())
    (border,) = run.thresholds[run.thresholds["method"] == "override"].to_dict("records")
    was = before.thresholds.set_index(["sample_id", "population"])["threshold_raw"]["SLE001_W10", "memory"]
    assert border["threshold_raw"] == pytest.approx(400.0)
    assert border["automatic_raw"] == pytest.approx(was)
    kept = run.counts["sample_id"] != "SLE001_W10"
    pd.testing.assert_frame_equal(run.counts[kept], before.counts[before.counts["sample_id"] != "SLE001_W10"])


def test_limits_of_the_automatic_gates_are_not_given_for_a_readers(place: Path) -> None:
    before = _rows(il.read_run(place / "out"), "SLE001_W10")
    after = _rows(_again(place, ONE), "SLE001_W10")
    reached = ["memory_pct_CD4", "other_pct_CD4"]
    assert before.loc[reached, "gate_low"].notna().all()
    assert after.loc[reached, "gate_low"].isna().all()
    assert after.loc[reached, "count_low"].notna().all()
    assert list(after.loc["CD4_pct_CD3", ["gate_low", "gate_high"]]) == list(
        before.loc["CD4_pct_CD3", ["gate_low", "gate_high"]]
    )
    assert [split(words)[0] for words in after.loc[reached, "flag"]] == ["overridden", "below_override"]


def test_an_override_that_is_withdrawn_leaves_the_run_as_it_was(place: Path) -> None:
    before = il.read_run(place / "out")
    _again(place, ONE)
    run = _again(place, "overrides: []\n")
    assert run.computed == ("SLE001_W10",)
    assert run.overrides.empty
    pd.testing.assert_frame_equal(run.counts, before.counts)
    pd.testing.assert_frame_equal(run.endpoints, before.endpoints)


def test_a_stale_override_is_said_everywhere_and_loses_nothing(place: Path) -> None:
    stale = ONE + ONE.replace("overrides:", "").replace("SLE001_W10", "SLE001_WO") + (
        "- {sample: SLE002_W0, threshold: {CD4: 900}, reason: control, reader: CD, file_sha256: " + "0" * 64 + "}\n"
    )  # fmt: skip
    before = il.read_run(place / "out")
    run = _again(place, stale)
    assert run.computed == ("SLE001_W10", "SLE002_W0")  # the second has a flag more
    found = run.overrides.set_index(["sample_id", "population"])
    assert (
        found.loc[("SLE001_WO", "memory"), "message"]
        == "the sheet has no sample 'SLE001_WO'; did you mean 'SLE001_W0'?"
    )
    assert set(found.loc["SLE002_W0"].index) == {"CD4", "CD8"}
    assert all("the tube's file has changed" in text for text in found.loc["SLE002_W0", "message"])
    own = run.counts[(run.counts["sample_id"] == "SLE002_W0")].set_index("population")
    old = before.counts[(before.counts["sample_id"] == "SLE002_W0")].set_index("population")
    assert list(own["n_events"]) == list(old["n_events"])
    assert "stale_override" in split(own.loc["CD4", "flag"])
    said = list(override_sentences(run))
    assert set(said) <= {one.text for one in concerns(run)}  # of the first screen
    assert said[0].startswith("A reader placed 1 gate in 1 of 4 tubes (1 at W10).")
    assert "memory" in said[0] and "3 overrides are stale and not used: " in said[1]  # noqa: PT018
    problems = [str(problem) for problem in check_study(place / "study").problems]
    assert any("SLE001_WO" in text and "did you mean 'SLE001_W0'" in text for text in problems)
    assert any("SLE002_W0" in text and "file has changed" in text for text in problems)


def test_a_crossing_polygon_ends_the_run_before_it_begins_with_its_line(place: Path) -> None:
    before = {path: path.read_bytes() for path in (place / "out").rglob("*") if path.is_file()}
    points = "[[10, 10], [900, 900], [900, 10], [10, 900]]"
    text = (
        ONE
        + f"- sample: SLE001_W0\n  population: memory\n  gate: {{polygon: {{x: CD45RA, y: CCR7, points: {points}}}}}\n"
    )
    with pytest.raises(InputError, match=r"overrides\.yaml:11 .*the polygon crosses itself") as error:
        _again(place, text + "  reason: control\n  reader: AB\n")
    assert len(error.value.problems) == 1
    assert {path: path.read_bytes() for path in (place / "out").rglob("*") if path.is_file()} == before
    assert any("crosses itself" in p.message and p.place == "11" for p in check_study(place / "study").problems)


def test_verify_finds_what_was_changed_afterwards(place: Path) -> None:
    run = _again(place, ONE)
    assert list(override_differences(run)) == []
    tables = place / "out" / "tables"
    text = (tables / "overrides.csv").read_text()
    row = run.overrides.iloc[0]
    for old, new, said in (
        (f"{row['percent_after']}", "12.5", "percent_after is 12.5"),
        (f"{row['percent_before']}", "12.5", "percent_before is 12.5"),
        ("CD45RA below 400", "CD45RA below 300", "the tube's gates have 'CD45RA below 400'"),
        (",applied,", ",stale,", "no override of it that is used"),
    ):
        assert old in text
        (tables / "overrides.csv").write_text(text.replace(old, new))
        assert any(said in problem.message for problem in override_differences(run)), said
    (tables / "overrides.csv").write_text(text)
    (place / "study" / "overrides.yaml").unlink()
    without = replace(run, inputs={k: v for k, v in run.inputs.items() if k != "overrides.yaml"})
    assert any("read no overrides.yaml" in problem.message for problem in override_differences(without))


def test_one_sample_alone_is_run_with_its_overrides(place: Path) -> None:
    both = ONE + ONE.replace("overrides:", "").replace("W10", "W0")
    run = _again(place, both, sample="SLE001_W0")
    assert run.computed == ("SLE001_W0",)
    found = run.overrides.set_index("sample_id")
    assert found.loc["SLE001_W0", "status"] == "applied"
    assert "without --sample" in found.loc["SLE001_W10", "message"]


def test_written_and_hand_written_overrides_give_the_same_numbers(place: Path) -> None:
    by_hand = _again(place, ONE)
    path = next(p.path for p in by_hand.tube("SLE001_W10").strategy.populations if p.name == "memory")
    gate = by_hand.tube("SLE001_W10").strategy[path].gate
    written = Override("a", "a", "SLE001_W10", path, gate, None, "cuts_population", "", "AB")
    write_overrides([written], place / "study" / "overrides.yaml")
    run = il.run(place / "study", out=place / "out", tables_only=True, quiet=True)
    np.testing.assert_array_equal(run.counts["n_events"], by_hand.counts["n_events"])
    grid = overrides_grid(run)
    assert grid.rows[0][4].text == "CD45RA below 400"


def test_a_gate_that_was_carried_is_replaced_in_its_tube_and_check_says_of_no_move(place: Path) -> None:
    study = place / "study"
    (study / "gates.yaml").write_text(DRAWN)
    text = (study / "study.yaml").read_text()
    (study / "study.yaml").write_text(text.replace("gates.yaml}", "gates.yaml, templates: [fcs/SLE001_W0.fcs]}"))
    before = il.run(study, out=place / "out", tables_only=True, quiet=True)
    memory = next(p for p in before.tube("SLE002_W0").strategy.populations if p.name == "memory")
    template = before.tube("SLE001_W0").strategy[memory.path].gate
    assert isinstance(memory.gate, Rectangle)
    assert memory.gate != template  # carried
    moved = replace(memory.gate, upper=(float(memory.gate.upper[0] or 0.0) - 0.3,))
    own = Override("a", "a", "SLE002_W0", memory.path, moved, memory.gate, "control", "", "AB")
    write_overrides([own], study / "overrides.yaml")
    run = il.run(study, out=place / "out", tables_only=True, quiet=True)
    assert run.computed == ("SLE002_W0",)
    row = run.overrides.iloc[0]
    assert row["status"] == "applied"
    assert pd.isna(row["message"])
    counts = before.counts.set_index(["sample_id", "population"])["percent_of_parent"]
    assert row["percent_before"] == pytest.approx(counts["SLE002_W0", "memory"])
    assert row["percent_after"] < row["percent_before"]
    assert list(override_differences(run)) == []
    assert not [note for note in check_study(study).notes if "moved since" in note]


def test_a_gate_of_a_bridging_control_is_counted_among_the_tubes_that_have_gates(place: Path) -> None:
    run = _again(place, ONE)
    bridge = {"visit": "", "bridge": "HD01", "control_of": "B1", "patient_id": "HD01"}
    samples = tuple(replace(s, **bridge) if s.sample_id == "SLE001_W10" else s for s in run.study.samples)
    comparison = replace(run.study.comparison, bridges=("HD01",))
    bridged = replace(run, study=replace(run.study, samples=samples, comparison=comparison))
    assert next(override_sentences(bridged)).startswith("A reader placed 1 gate in 1 of 4 tubes (1 without a visit).")
