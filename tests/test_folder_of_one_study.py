"""A folder of results belongs to one study: another is refused, leftovers go, and verify finds what is foreign."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from few_figures import no_figures

from immunolab.cli import main
from immunolab.errors import InputError
from immunolab.report.manifest import write_manifest
from immunolab.report.verify import verify
from immunolab.results.record import read_run
from immunolab.simulation import simulate
from immunolab.workflow.run import run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A study of two patients, run into a folder that verify accepts."""
    folder = tmp_path_factory.mktemp("one")
    simulate("sle_nct02084238", patients=2, seed=3, folder=folder / "study", visits=["W0", "W10"], events=1500)
    write_manifest(run(folder / "study", out=folder / "out", tables_only=True))
    assert verify(read_run(folder / "out")) == []
    return folder / "study", folder / "out"


@pytest.fixture
def study(finished: tuple[Path, Path], tmp_path: Path) -> Path:
    shutil.copytree(finished[0], tmp_path / "study")
    return tmp_path / "study"


@pytest.fixture
def out(finished: tuple[Path, Path], tmp_path: Path) -> Path:
    shutil.copytree(finished[1], tmp_path / "out")
    return tmp_path / "out"


@pytest.mark.parametrize("gone", [(), (".study",)], ids=["claimed", "by its manifest"])
def test_another_study_is_refused_and_nothing_of_the_first_is_touched(study: Path, out: Path, gone) -> None:
    for name in gone:
        (out / name).unlink()
    before = {p: p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}
    text = (study / "study.yaml").read_text(encoding="utf-8")
    (study / "study.yaml").write_text(text.replace("Virtual SLE", "Other"), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        run(study, out=out, tables_only=True)
    message = str(caught.value)
    assert "holds the results of study 'Virtual SLE', not of 'Other'" in message
    assert "name a new folder with -o" in message
    assert {p: p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()} == before
    for name in (".study", "manifest.json"):
        (out / name).unlink(missing_ok=True)
    assert run(study, out=out, tables_only=True).study.name == "Other", "the way out that the message names"


@pytest.mark.parametrize("name", ["samples", "tables", "gates", "memberships", "figures"])
def test_folders_that_no_run_wrote_are_left_alone(study: Path, tmp_path: Path, name: str) -> None:
    own = tmp_path / "mine" / name / "raw" / "tube.xml"
    own.parent.mkdir(parents=True)
    own.write_text("of the lab")
    with pytest.raises(InputError, match=f"holds {name}, which no run wrote and a run would replace"):
        run(study, out=tmp_path / "mine", tables_only=True)
    assert own.read_text() == "of the lab"


def test_results_of_samples_that_the_sheet_no_longer_has_are_removed(study: Path, out: Path) -> None:
    sheet = pd.read_csv(study / "samples.csv", dtype=str)
    gone = sheet["patient_id"].iloc[-1]
    sheet[sheet["patient_id"] != gone].to_csv(study / "samples.csv", index=False)
    for name in ("measurements", "doses", "adverse_events"):
        table = pd.read_csv(study / f"{name}.csv", dtype=str)
        table[table["patient_id"] != gone].to_csv(study / f"{name}.csv", index=False)
    again = run(study, out=out, tables_only=True)
    left = {path.name for path in (out / "samples").iterdir()} | {path.stem for path in (out / "gates").iterdir()}
    assert left == {s.sample_id for s in again.samples}
    assert f"{gone}_W0" in (out / "run.log").read_text(encoding="utf-8")


def test_verify_names_what_is_foreign(out: Path) -> None:
    shutil.copytree(next((out / "samples").iterdir()), out / "samples" / "OTHER_W0")
    (out / ".study").write_text("Other\n", encoding="utf-8")
    found = {problem.file: problem.message for problem in verify(read_run(out))}
    assert found["samples/OTHER_W0"] == "is of no sample of this study's sheet"
    assert "'Other'" in found[".study"]


def test_the_console_ends_with_the_primary_answer_and_the_path(
    study: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with no_figures():
        assert main(["run", str(study), "-o", str(out)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-2].startswith("simulated data, primary endpoint: SRI-4: response at W10 in ")
    assert said[-1] == f"report: {out}/report.html"
    log = (out / "run.log").read_text(encoding="utf-8")
    assert "not computed yet" not in log
    assert "drawing figures" in log
    assert "kept: 4 samples (nothing they depend on has changed)" in log
