"""Studies and OUT on an fsspec path: the bytes of a local run, resumed from what is on the store, every fault named."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import fsspec
import pytest
from test_pipeline import GATES
from test_spread import written

from immunolab.cli import main
from immunolab.errors import InputError
from immunolab.simulation import simulate
from immunolab.simulation.model import Options
from immunolab.workflow import remote
from immunolab.workflow.run import run


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("remote") / "study"
    options = Options(truth_events=False)
    simulate("sle_nct02084238", patients=2, seed=11, folder=folder, visits=["W0", "W10"], events=1500, options=options)
    (folder / "gates.yaml").write_text(GATES)
    (folder / "study.yaml").write_text(
        "study: drawn\nsheet: samples.csv\npanels: {surface: {strategy: gates.yaml}}\n"
        "comparison: {before: W0, after: W10, noise: 15}\n"
    )
    return folder


@pytest.fixture
def store(study: Path, tmp_path: Path, monkeypatch):
    """An object store in memory that holds the study, and a scratch of this test's own."""
    monkeypatch.setenv(remote.SCRATCH_VARIABLE, str(tmp_path / "scratch"))
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]
    fs.put(str(study), "/lab/study", recursive=True)
    yield fs
    fs.store.clear()


def fresh_machine(tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "scratch")


def on_store(fs, tmp_path: Path) -> dict[str, bytes]:
    target = tmp_path / "taken"
    shutil.rmtree(target, ignore_errors=True)
    fs.get("/lab/out", str(target), recursive=True)
    return {name: data for name, data in written(target).items() if name != ".lease.json"}


def test_a_store_holds_what_a_local_run_writes_and_another_machine_goes_on(store, study, tmp_path) -> None:
    shutil.copytree(study, tmp_path / "lab" / "study")
    run(tmp_path / "lab" / "study", out=tmp_path / "lab" / "out")
    run("memory://lab/study/study.yaml", out="memory://lab/out")
    local, there = written(tmp_path / "lab" / "out"), on_store(store, tmp_path)
    assert there.keys() == local.keys()
    assert [name for name in there if there[name] != local[name]] == []
    fresh_machine(tmp_path)
    again = run("memory://lab/study", out="memory://lab/out", jobs=2)
    assert (len(again.computed), len(again.kept)) == (0, 4)
    assert main(["verify", "memory://lab/out"]) == 0
    assert not store.exists("/lab/out/.lease.json")


def test_what_was_half_put_is_computed_again(store, tmp_path) -> None:
    run("memory://lab/study", out="memory://lab/out", tables_only=True)
    whole = on_store(store, tmp_path)
    first, second = sorted(path for path in store.ls("/lab/out/samples", detail=False))[:2]
    store.rm_file(f"{first}/record.json")  # a machine lost between a sample's files and their record
    store.pipe_file(f"{second}/counts.csv", b"sample_id\n")  # and one between two runs' files
    fresh_machine(tmp_path)
    again = run("memory://lab/study", out="memory://lab/out", tables_only=True)
    assert again.computed == tuple(sorted(path.rsplit("/", 1)[1] for path in (first, second)))
    assert on_store(store, tmp_path) == whole


def test_a_folder_of_the_cache_counts_only_when_all_of_it_is_there(store, tmp_path) -> None:
    for name in ("gates-1/a.json", "gates-1/b.json", "gates-1/.whole", "gates-2/a.json", "subsample-3.npz"):
        store.pipe_file(f"/lab/out/cache/{name}", b"{}")
    mirror = remote.Mirror.of("memory://lab/out")
    mirror.pull()
    found = {str(path.relative_to(mirror.folder)) for path in mirror.folder.rglob("*") if path.is_file()}
    assert found == {"cache/gates-1/a.json", "cache/gates-1/b.json", "cache/subsample-3.npz"}
    (mirror.folder / "cache" / "gates-2").mkdir()
    for name in ("a.json", "b.json"):
        (mirror.folder / "cache" / "gates-2" / name).write_text("{}")
    mirror.push()
    assert store.exists("/lab/out/cache/gates-2/.whole")


def test_finished_samples_are_put_while_the_run_is_on(store, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(remote, "PUSH_SECOND", 0.05)
    with remote.mirrored(None, "memory://lab/out") as (_, out):
        (out / "samples" / "P1").mkdir(parents=True)
        (out / "samples" / "P1" / "record.json").write_text("{}")
        (out / "samples" / ".P2.part-1").write_text("half")
        deadline = time.monotonic() + 20
        while not store.exists("/lab/out/samples/P1/record.json") and time.monotonic() < deadline:
            time.sleep(0.05)
        assert store.exists("/lab/out/samples/P1/record.json")
    assert not store.exists("/lab/out/samples/.P2.part-1")


def test_a_folder_that_another_run_holds_is_refused(store, tmp_path, capsys) -> None:
    held = {"holder": "another", "until": time.time() + 100}
    store.pipe_file("/lab/out/.lease.json", json.dumps(held).encode())
    assert main(["run", "memory://lab/study", "-o", "memory://lab/out"]) == 1
    assert "another run is writing to this folder" in capsys.readouterr().err
    held["until"] = time.time() - 1  # it was killed some time ago
    store.pipe_file("/lab/out/.lease.json", json.dumps(held).encode())
    assert main(["run", "memory://lab/study", "-o", "memory://lab/out", "--tables-only"]) == 0


def test_a_local_url_is_that_very_folder(study, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv(remote.SCRATCH_VARIABLE, str(tmp_path / "scratch"))
    run(f"file://{study}", out=f"file://{tmp_path / 'out'}", tables_only=True)
    assert (tmp_path / "out" / "tables" / "counts.csv").exists()
    assert not (tmp_path / "scratch").exists()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ImportError("Install s3fs to access S3"), "s3:// needs a package: Install s3fs to access S3"),
        (ValueError("Protocol not known: s3"), "Protocol not known: s3"),
    ],
)
def test_a_scheme_without_its_package_is_named(error, said, monkeypatch) -> None:
    def refuse(url: str):
        raise error

    monkeypatch.setattr("fsspec.core.url_to_fs", refuse)
    with pytest.raises(InputError, match=said):
        run("s3://bucket/study", out="out")


def test_a_store_that_refuses_or_holds_nothing_is_named(store, monkeypatch) -> None:
    with pytest.raises(InputError, match="memory://lab/nothing  nothing is there"):
        run("memory://lab/nothing", out="memory://lab/out")

    def denied(*_words, **_more):
        raise PermissionError("access denied")

    monkeypatch.setattr(type(store), "find", denied)
    with pytest.raises(InputError, match="the store refuses: PermissionError: access denied"):
        run("memory://lab/study", out="memory://lab/out")


def test_a_copy_that_a_run_works_on_is_left_alone(store, tmp_path) -> None:
    store.pipe_file("/lab/out/manifest.json", b"{}")
    with remote.mirrored(None, "memory://lab/out") as (_, out):
        (out / "samples" / "P1").mkdir(parents=True)
        (out / "samples" / "P1" / "record.json").write_text("{}")  # not yet on the store
        with pytest.raises(InputError, match="another run is writing to this folder"):
            remote.local_copy("memory://lab/out")
        assert (out / "samples" / "P1" / "record.json").exists()


def test_a_run_whose_hold_was_taken_over_puts_nothing_more(store, tmp_path) -> None:
    def work() -> None:
        with remote.mirrored(None, "memory://lab/out") as (_, out):
            (out / "late.csv").write_text("of a machine that slept")
            store.pipe_file("/lab/out/.lease.json", json.dumps({"holder": "b", "until": time.time() + 100}).encode())

    with pytest.raises(InputError, match="another run is writing to this folder"):
        work()
    assert not store.exists("/lab/out/late.csv")
    assert json.loads(store.cat_file("/lab/out/.lease.json"))["holder"] == "b"


def test_names_that_only_look_temporary_are_put(store, tmp_path) -> None:
    with remote.mirrored(None, "memory://lab/out") as (_, out):
        (out / "samples" / "P1.part-2").mkdir(parents=True)
        (out / "samples" / "P1.part-2" / "record.json").write_text("{}")
    assert store.exists("/lab/out/samples/P1.part-2/record.json")
