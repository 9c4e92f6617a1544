"""A run that is given again: elsewhere, after a report was left out, after a full disk, after a kill."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from few_figures import no_figures
from kills import HOLD_TIMES
from test_pipeline import GATES

import immunolab.workflow.write as write_step
from immunolab.errors import InputError
from immunolab.report.exports import write_exports
from immunolab.report.verify import verify
from immunolab.results.record import read_run
from immunolab.schema.table import Table
from immunolab.simulation import simulate
from immunolab.version import code_key
from immunolab.workflow.run import run


@pytest.fixture(scope="module", autouse=True)
def without_figures() -> Iterator[None]:
    """Draw no figure but the gating pictures, for speed; tests/test_chaos.py has them all."""
    with no_figures():
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of three patients and its finished run, side by side; copied by the tests that change it."""
    place = tmp_path_factory.mktemp("rerun")
    simulate("sle_nct02084238", patients=3, seed=5, folder=place / "study", visits=["W0", "W10"], events=500)
    (place / "study" / "gates.yaml").write_text(GATES)
    (place / "study" / "study.yaml").write_text(
        "study: rerun\nsheet: samples.csv\npanels: {surface: {strategy: gates.yaml}}\n"
        "comparison: {before: W0, after: W10}\n"
    )
    run(place / "study", out=place / "out")
    return place


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "place"))


def _tree(out: Path) -> dict[str, bytes]:
    files = (path for path in sorted(out.rglob("*")) if path.is_file() and path.name not in HOLD_TIMES)
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def test_the_gates_of_a_sample_are_on_the_disk_once(made: Path) -> None:
    found = sorted((made / "out" / "gates").glob("*.xml"))
    assert len(found) == 6
    assert all(path.samefile(made / "out" / "samples" / path.stem / "gates.xml") for path in found)


def test_folders_that_were_moved_are_gone_on_with(place: Path) -> None:
    before = _tree(place / "out")
    (place / "inputs" / "of").mkdir(parents=True)
    study = (place / "study").rename(place / "inputs" / "of" / "it")
    out = (place / "out").rename(place / "results")
    again = run(study, out=out)
    assert (again.computed, len(again.kept)) == ((), 6)
    assert "report kept" in (out / "run.log").read_text().splitlines()[-2]
    assert verify(again) == []
    now = _tree(out)
    assert [name for name in now if now[name] != before.get(name)] == ["manifest.json", "run.zip"]  # where the study is
    assert b"/inputs/of/it" in now["manifest.json"]


def test_tubes_that_were_moved_are_kept_under_their_new_paths(place: Path) -> None:
    tubes = (place / "study" / "fcs").rename(place / "share")
    sheet = place / "study" / "samples.csv"
    sheet.write_text(sheet.read_text().replace(",fcs/", f",{tubes}/"))
    again = run(place / "study", out=place / "out")
    assert (again.computed, len(again.kept), verify(again)) == ((), 6, [])
    assert b"../share/SLE001_W0.fcs" in (place / "out" / "manifest.json").read_bytes()


def test_gates_of_an_import_are_the_same_wherever_its_file_is(place: Path) -> None:
    shutil.copyfile(place / "out" / "gates" / "SLE001_W0.xml", place / "study" / "gates.xml")
    text = (place / "study" / "study.yaml").read_text().replace("gates.yaml", "gates.xml")
    (place / "study" / "study.yaml").write_text(text)
    run(place / "study", out=place / "imported", tables_only=True)
    study = (place / "study").rename(place / "moved")
    again = run(study, out=place / "imported", tables_only=True)
    assert (again.computed, len(again.kept)) == ((), 6)
    named = [
        path for path in (place / "imported").rglob("*") if path.is_file() and str(place) in path.read_text("latin1")
    ]
    assert named == []


def test_a_report_after_tables_only_computes_no_sample(place: Path) -> None:
    run(place / "study", out=place / "again", tables_only=True)
    with pytest.raises(InputError, match="there is no manifest"):
        verify(read_run(place / "again"))
    later = run(place / "study", out=place / "again")
    assert (later.computed, len(later.kept)) == ((), 6)
    assert _tree(place / "again") == _tree(place / "out")


def test_tables_only_leaves_no_report_of_other_tables(place: Path) -> None:
    unchanged = run(place / "study", out=place / "out", tables_only=True)
    assert verify(unchanged) == []
    write_exports(unchanged, ["xlsx"])
    assert verify(run(place / "study", out=place / "out")) == []
    assert (place / "out" / "tables.xlsx").exists()
    (place / "out" / "quality.html").write_text("lights of the tubes before")
    _drop_last_patient(place / "study")
    changed = run(place / "study", out=place / "out", tables_only=True)
    assert changed.report is None
    assert not (place / "out" / "quality.html").exists()
    assert not (place / "out" / "tables.xlsx").exists()
    assert not (place / "out" / "figures").exists()
    assert "the earlier report is withdrawn" in (place / "out" / "run.log").read_text()


def test_a_page_of_lights_that_was_removed_is_written_again(place: Path) -> None:
    page = place / "out" / "quality.html"
    before = page.read_bytes()
    page.unlink()
    run(place / "study", out=place / "out")
    assert page.read_bytes() == before


def _drop_last_patient(study: Path) -> None:
    lines = (study / "samples.csv").read_text().splitlines(keepends=True)
    (study / "samples.csv").write_text("".join(line for line in lines if not line.startswith("SLE003")))


def _full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def _full_at_shifts(write: Callable[..., None]) -> Callable[..., None]:
    return lambda table, *args, **words: _full() if table.name == "shifts" else write(table, *args, **words)


@pytest.mark.parametrize(
    ("where", "name", "instead"),
    [
        (Table, "write_as_given", _full_at_shifts(Table.write_as_given)),
        (write_step, "put_in_place", _full),
        (write_step, "write_run", _full),
        (write_step, "place_gates", _full),
        (write_step, "write_report", _full),
        ("immunolab.report.page", "render", _full),
        ("immunolab.report.page", "write_manifest", _full),
    ],
)
def test_a_full_disk_leaves_one_run_or_a_folder_that_verify_refuses(
    place: Path, monkeypatch: pytest.MonkeyPatch, where: Any, name: str, instead: Callable[..., None]
) -> None:
    before = _tree(place / "out")
    _drop_last_patient(place / "study")
    with monkeypatch.context() as patched:
        patched.setattr(*((f"{where}.{name}", instead) if isinstance(where, str) else (where, name, instead)))
        with pytest.raises(InputError, match="cannot be written: No space left on device"):
            run(place / "study", out=place / "out")
    if (place / "out" / "manifest.json").exists():
        assert _tree(place / "out") == before
    else:
        assert not (place / "out" / "report.html").exists() or name == "write_manifest"
        with pytest.raises(InputError, match=r"there is no manifest|is missing: the run in this folder did not finish"):
            verify(read_run(place / "out"))
    again = run(place / "study", out=place / "out")
    assert (again.computed, verify(again)) == ((), [])
    assert not list((place / "out").rglob(".*part-*"))


def test_a_run_that_fails_after_its_samples_is_seen_by_verify(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = read_run(place / "out")
    (place / "study" / "gates.yaml").write_text(GATES.replace("CD25: [2.8, null]", "CD25: [2.9, null]"))
    with monkeypatch.context() as patched:
        patched.setattr("immunolab.workflow.run.quantify", _full)
        with pytest.raises(InputError, match="its tables and report are still those of the run before"):
            run(place / "study", out=place / "out")
    changed = [problem for problem in verify(earlier) if problem.file.startswith("samples/")]
    assert [problem.file for problem in changed] == [f"samples/{s.sample_id}" for s in earlier.samples]


def test_results_of_other_code_of_the_same_version_are_not_kept(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flags of the code before a repair stayed in the tables until --force was given."""
    monkeypatch.setattr("immunolab.version.package_content", lambda: lambda: "other code")
    code_key.cache_clear()
    again = run(place / "study", out=place / "out")
    lines = (place / "out" / "run.log").read_text()
    code_key.cache_clear()
    assert (len(again.computed), again.kept) == (6, ())
    assert "gates or the program changed" in lines
    assert "report kept" not in lines
    assert verify(again) == []


def test_half_written_memberships_are_removed_and_in_no_manifest(place: Path) -> None:
    out = place / "out"
    (out / "memberships").mkdir()
    for name in (".SLE001_W0.parquet.part-77-140.parquet", "SLE002_W0.parquet"):  # half written; whole, not recorded
        (out / "memberships" / name).write_bytes(b"PAR1 half")
    again = run(place / "study", out=out)
    assert (list((out / "memberships").iterdir()), verify(again)) == ([], [])


def test_memberships_are_those_of_the_gates_or_computed_again(place: Path) -> None:
    study, out = place / "study", place / "out"
    first = run(study, out=out, memberships=True)
    assert (len(first.computed), verify(first)) == (6, [])
    assert run(study, out=out).computed == ()  # kept, though not asked for again
    (out / "memberships" / "SLE001_W0.parquet").write_bytes(b"PAR1 other")
    assert run(study, out=out, memberships=True).computed == ("SLE001_W0",)
    (study / "gates.yaml").write_text(GATES.replace("CD25: [2.8, null]", "CD25: [2.9, null]"))
    changed = run(study, out=out, tables_only=True)
    assert len(changed.computed) == 6
    assert not list((out / "memberships").iterdir())  # those of the earlier gates are not left beside new counts
