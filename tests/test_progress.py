"""Bars where someone looks, lines in a log, nothing when quiet; Ctrl-C leaves what is finished."""

from __future__ import annotations

import _thread
import fcntl
import logging
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
from pathlib import Path

import pytest
from kills import MOMENTS, processes, small_study, tree, wait_for
from planted import planted_tube

import immunolab as il
from immunolab.cli import main
from immunolab.progress import phases, progress


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = small_study(tmp_path_factory.mktemp("ctrl_c") / "study", patients=3, events=3_000)
    sheet = (folder / "samples.csv").read_text().splitlines()
    (folder / "samples.csv").write_text("\n".join(sheet[:-2]) + "\n")  # two patients, all of whose tubes are cytometry
    return folder


@pytest.fixture(scope="module")
def undisturbed(study: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    il.run(study, out=out)
    return tree(out)


def _finished(out: Path) -> set[str]:
    """Return the samples whose folders are whole; one that is being written has a hidden name."""
    names = {path.parent.name for path in out.glob("samples/*/record.json")}
    return {name for name in names if not name.startswith(".")}


@pytest.mark.parametrize(("moment", "jobs"), [("gating", "2"), ("figures", "1")])
def test_ctrl_c_in_a_terminal_leaves_what_is_finished(
    study: Path, undisturbed: dict[str, str], tmp_path: Path, moment: str, jobs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "immunolab", "run", str(study), "-o", str(out), "--jobs", jobs]
    pipes = {"stderr": subprocess.PIPE, "stdout": subprocess.DEVNULL}
    running = subprocess.Popen(command, **pipes, text=True, start_new_session=True)
    seen = _finished if moment == "gating" else MOMENTS[moment]
    assert wait_for(lambda: seen(out) or running.poll() is not None, 120)
    os.killpg(running.pid, signal.SIGINT)  # a terminal sends it to the run and to its workers
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 130
    assert errors.endswith("interrupted; finished samples are kept and the same command goes on from them\n")
    assert "Traceback" not in errors
    assert wait_for(lambda: not processes(running.pid), 30)
    finished = _finished(out)
    assert finished
    run = il.run(study, out=out)
    assert finished <= set(run.kept)
    assert tree(out) == undisturbed
    assert main(["verify", str(out)]) == 0
    assert "computed again with the same value" in capsys.readouterr().out


def test_the_stop_button_of_a_notebook_leaves_what_is_finished(
    study: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "out"

    def press() -> None:
        wait_for(lambda: _finished(out), 60)
        _thread.interrupt_main()

    threading.Thread(target=press, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        il.run(study, out=out)
    finished = _finished(out)
    assert finished
    assert not logging.getLogger("immunolab").handlers  # nothing of the interrupted run is left in the session
    run = il.run(study, out=out)
    assert finished <= set(run.kept)
    assert tree(out) == undisturbed


def test_a_terminal_has_bars_with_the_phase_of_the_run_and_quiet_has_none(study: Path, tmp_path: Path) -> None:
    words = ["run", str(study), "--tables-only", "--jobs", "1"]
    shown = _on_a_terminal([*words, "-o", str(tmp_path / "bars")])
    for phase in ("reading (1 of 4)", "gating (2 of 4)", "comparing (3 of 4)"):
        assert f"{phase}: 100%" in shown or f"{phase}:   0%" in shown, shown
    quiet = _on_a_terminal(
        ["run", str(study), "-o", str(tmp_path / "quiet"), "--tables-only", "--jobs", "1", "--quiet"]
    )
    assert quiet == ""


def _on_a_terminal(words: list[str]) -> str:
    """Return what a command writes to a terminal's standard error."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    code = "import sys; from immunolab.cli import main; sys.exit(main(sys.argv[1:]))"
    running = subprocess.Popen([sys.executable, "-c", code, *words], stderr=follower, stdout=subprocess.DEVNULL)
    os.close(follower)
    text = b""
    while True:
        try:
            part = os.read(leader, 65_536)
        except OSError:  # the terminal is closed when its last writer ends
            break
        if not part:
            break
        text += part
    os.close(leader)
    assert running.wait(timeout=60) == 0
    return text.decode()


def test_a_script_without_a_terminal_has_lines_in_its_log_alone(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    tubes = [planted_tube(i, 1_500, sample_id=f"S{i}")[0] for i in range(2)]
    with caplog.at_level(logging.INFO, "immunolab"):
        il.gate(tubes, "treg_th17_tfh_teff")
        assert [m for m in caplog.messages if m.startswith("gating: 2 done in")]
        caplog.clear()
        il.gate(tubes, "treg_th17_tfh_teff", quiet=True)
        assert not caplog.messages
    assert capsys.readouterr().err == ""


def test_a_notebook_has_bars(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("immunolab.progress.in_notebook", lambda: True)
    tubes = [planted_tube(i, 1_500, sample_id=f"S{i}")[0] for i in range(2)]
    gated = il.gate(tubes, "treg_th17_tfh_teff")
    assert "gating:" in capsys.readouterr().err
    adata = il.to_anndata(gated)
    il.cluster(adata, clusters=3)
    err = capsys.readouterr().err
    assert "clustering: finding clusters" in err
    assert "clustering: names" in err
    il.cluster(adata, clusters=3, quiet=True)
    assert capsys.readouterr().err == ""


def test_items_come_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("immunolab.progress.in_notebook", lambda: True)
    assert list(progress(iter("abc"), 3, "letters")) == ["a", "b", "c"]
    with phases("work", ("one",)) as done:
        done()
        done()  # once too often is no error
