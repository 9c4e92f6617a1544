"""A run of a study with a locked plan: its tables, what it records of the log, and what verify finds changed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from few_figures import no_figures
from test_pipeline import GATES

from immunolab.analysis_plan.lock import LOCK_FILE
from immunolab.analysis_plan.override_entries import override_problems
from immunolab.audit.entry import Entry
from immunolab.audit.log import AuditLog
from immunolab.errors import InputError
from immunolab.gating.overrides import Override
from immunolab.report.verify import verify
from immunolab.results.record import read_run
from immunolab.results.run import REPORT, Run
from immunolab.simulation import simulate
from immunolab.workflow.check import check_study
from immunolab.workflow.plan import lock_plan
from immunolab.workflow.run import run

BY, AT = "A. Planner", "2026-03-01T09:30:00Z"
_ENDPOINT = (
    "  - {{id: {}, statistic: percent_of_parent, population: {}, parent: {}, contrast: [W0, W10], source: me}}\n"
)
_STUDY = """study: planned
sheet: samples.csv
panels: {surface: {strategy: gates.yaml}}
comparison: {before: W0, after: W10}
endpoints:
"""
_PLANNED = _ENDPOINT.format("kept", "CD4", "CD3") + _ENDPOINT.format("altered", "Treg", "CD4")
_NOW = _ENDPOINT.format("kept", "CD4", "CD3") + _ENDPOINT.format("altered", "Treg", "lymphocytes")
_ADDED = _ENDPOINT.format("added, role: exploratory", "CD3", "lymphocytes")


@pytest.fixture(scope="module", autouse=True)
def without_figures() -> Iterator[None]:
    """Draw no figure, for speed."""
    with no_figures():
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the place of a study that was locked, then changed, and of its run."""
    place = tmp_path_factory.mktemp("planned_run")
    simulate("sle_nct02084238", patients=3, seed=5, folder=place / "study", visits=["W0", "W10"], events=500)
    (place / "study" / "gates.yaml").write_text(GATES)
    (place / "study" / "study.yaml").write_text(_STUDY + _PLANNED)
    lock_plan(place / "study", by=BY, at=AT)
    (place / "study" / "study.yaml").write_text(_STUDY + _NOW + _ADDED)
    run(place / "study", out=place / "out")
    return place


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "place"))


def _found(place: Path) -> list[str]:
    return [str(problem).partition("\n")[0] for problem in verify(read_run(place / "out"))]


@pytest.fixture(scope="module")
def finished(made: Path) -> Run:
    return read_run(made / "out")


def test_endpoints_are_planned_changed_or_exploratory(finished: Run) -> None:
    own = finished.table("plan_endpoints").set_index("endpoint")["status"].to_dict()
    assert {name: own[name] for name in ("kept", "altered", "added")} == {
        "kept": "planned",
        "altered": "changed",
        "added": "exploratory",
    }
    words = finished.table("plan_deviations").set_index("what")["words"].to_dict()
    assert words["altered, parent"] == "endpoint altered: parent planned CD4, now lymphocytes"
    assert words["added"] == "endpoint added (exploratory) is not in the plan"
    assert verify(finished) == []


def test_the_report_says_the_plan_in_a_line_and_each_deviation(finished: Run) -> None:
    page = (finished.folder / REPORT).read_text()
    line = "Analysis plan 1, locked by A. Planner on 2026-03-01"
    assert line in page[: page.index('id="answer"')]
    for words in finished.table("plan_deviations")["words"]:
        assert words in page


def test_a_log_that_was_cut_after_the_run_is_found(place: Path) -> None:
    """Also where its head was cut with it, as one does who understands how it is made."""
    log = AuditLog(place / "study")
    files = log.folder / "audit.jsonl", log.folder / "audit.head"
    before = [file.read_bytes() for file in files]
    log.append("unblinded", {}, by=BY, at=AT)
    again = run(place / "study", out=place / "out")
    assert verify(again) == []
    for file, content in zip(files, before, strict=True):
        file.write_bytes(content)
    assert not AuditLog(place / "study").problems()
    assert _found(place) == ["review/audit.jsonl  entry 2 was removed after the run, which saw 2"]


def test_an_edited_log_is_found(place: Path) -> None:
    file = place / "study" / "review" / "audit.jsonl"
    file.write_bytes(file.read_bytes().replace(BY.encode(), b"B. Planner"))
    assert any("entry 1 (line 1) was edited" in one for one in _found(place))
    assert any("entry 1 (line 1) was edited" in str(one) for one in check_study(place / "study").problems)


def test_a_locked_plan_changed_by_one_character_is_found_by_verify_check_and_run(place: Path) -> None:
    file = place / "study" / LOCK_FILE
    file.write_text(file.read_text().replace("Treg", "Tree", 1))
    text = "plan.lock.json  was changed after it was locked: plan 1 is not the one of its sha256"
    assert [one for one in _found(place) if "locked" in one] == [f"{place / 'study'}/{text}"]
    assert [str(one).partition("\n")[0] for one in check_study(place / "study").problems] == [
        f"{place / 'study'}/{text}"
    ]
    with pytest.raises(InputError, match="was changed after it was locked") as error:
        run(place / "study", out=place / "out")
    assert len(error.value.problems) == 1
    assert read_run(place / "out").plan is not None  # what was there stays


def test_changed_tables_of_the_plan_are_found(place: Path) -> None:
    for name, old, new in (("plan_endpoints", "exploratory", "planned"), ("plan_deviations", "now lymph", "now lymf")):
        file = place / "out" / "tables" / f"{name}.csv"
        before = file.read_text()
        file.write_text(before.replace(old, new, 1))
        assert any((name in one and "computed again" in one) or "come out again" in one for one in _found(place)), name
        file.write_text(before)


def test_a_study_that_is_elsewhere_is_said(place: Path) -> None:
    (place / "study").rename(place / "moved")
    assert any("cannot be checked: the study's folder is not where it was" in one for one in _found(place))


def test_a_plan_that_is_locked_after_the_run_is_said(place: Path) -> None:
    lock_plan(place / "study", by="B", at="2026-05-01T00:00:00Z", reason="as it is now")
    assert _found(place) == [
        "plan.lock.json  plan 2, locked by B on 2026-05-01T00:00:00Z, is not the one of the run, which was plan 1"
    ]
    again = run(place / "study", out=place / "out")
    assert (again.computed, len(again.table("plan_deviations")), verify(again)) == ((), 0, [])
    assert set(again.table("plan_endpoints")["status"]) == {"planned"}


def _override(study: Path, sample: str, marker: str, population: str) -> None:
    """Log an override of a gate, and write it beside the study."""
    path = {"CD4": "/lymphocytes/CD3/CD4", "Treg": "/lymphocytes/CD3/CD4/Treg"}[population]
    entry = AuditLog(study).append("override", {"moved": [{"sample_id": sample, "path": path}]}, by="R", at=AT)
    file = study / "overrides.yaml"
    lines = file.read_text() if file.exists() else "overrides:\n"
    gate = f"population: {path}, threshold: {{{marker}: 900}}"
    more = f"reason: control, reader: R, at: '{AT}', entry: {entry}"
    file.write_text(f"{lines}- {{id: {population}, sample: {sample}, {gate}, {more}}}\n")


def test_gates_moved_after_the_lock_and_after_unblinding_are_said(place: Path) -> None:
    sample = sorted(path.name for path in (place / "out" / "samples").iterdir() if path.is_dir())[0]
    _override(place / "study", sample, "CD25", "Treg")
    AuditLog(place / "study").append("unblinded", {}, by=BY, at=AT)
    _override(place / "study", sample, "CD4", "CD4")
    again = run(place / "study", out=place / "out")
    rows = again.table("plan_deviations").set_index("what")
    assert rows.loc[f"{sample}, Treg", "words"].endswith(
        "was moved by R on 2026-03-01T09:30:00Z, after the plan was locked"
    )
    assert rows.loc[f"{sample}, CD4", "words"].endswith("after unblinding")
    assert rows.loc[f"{sample}, Treg", "endpoints"] == "altered"
    status = again.table("plan_endpoints").set_index("endpoint")["status"]
    assert (status["kept"], status["added"]) == ("changed", "exploratory")  # of CD4, which moved after unblinding
    assert verify(again) == []
    file = place / "study" / "overrides.yaml"
    both = file.read_text()
    file.write_text(both.splitlines(keepends=True)[0] + both.splitlines(keepends=True)[2])
    assert any(f"lacks what entry 2 of the log says was overridden by R: {sample} Treg" in one for one in _found(place))
    file.write_text(both.replace("entry: ", "entry: 0", 1))
    assert any("override Treg" in one and "names an entry that the log does not have" in one for one in _found(place))
    file.write_text(both)
    gate = [sample, "/lymphocytes/CD3/CD4/Treg"]
    fields = {"entry": AuditLog(place / "study").entries()[1].hash, "gates": [gate]}
    AuditLog(place / "study").append("override_withdrawn", fields, by="R", at=AT)
    file.write_text(both.splitlines(keepends=True)[0] + both.splitlines(keepends=True)[2])
    assert not any("lacks what entry" in one for one in _found(place))


def test_a_lost_override_is_found_beside_one_of_a_namesake_under_another_parent() -> None:
    moved = [{"sample_id": "P1_W0", "path": path} for path in ("/CD3/CD4/Treg", "/CD3/CD8/Treg")]
    entry = Entry(1, "override", "R", AT, {"moved": moved}, "", "abc")
    kept = Override("1", "1", "P1_W0", "/CD3/CD4/Treg", None, None, "other", entry="abc")
    [problem] = override_problems([kept], [entry])
    assert "lacks what entry 1 of the log says was overridden by R: P1_W0 Treg" in problem.message
