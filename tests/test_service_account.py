"""As a service account or in a container: another user, a package that cannot be written, no home folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from builders import REPOSITORY, copy_compiled
from kills import processes, small_study, wait_for

NOBODY = 65534  # the user without rights
# another user; it may read what root alone may, since an interpreter is often in root's home, and write nothing
BECOME = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
READING = tuple(f"--{kind}=-all,+dac_read_search" for kind in ("inh-caps", "ambient-caps", "bounding-set"))


class Account:
    """A user who may read the package and a study and write one folder."""

    def __init__(self, place: Path) -> None:
        self.place, self.study, self.out = place, place / "study", place / "out"
        copy_compiled(REPOSITORY / "immunolab", place / "package" / "immunolab")
        self.installed = set((place / "package").rglob("*"))
        small_study(self.study, patients=2, events=2000)
        for folder in (place / "package", self.study):
            for path in [folder, *folder.rglob("*")]:
                path.chmod(0o555 if path.is_dir() else 0o444)
        self.out.mkdir()
        self.other = os.geteuid() == 0
        self.become = (*BECOME, *READING) if self.other else ()
        if self.other:
            os.chown(self.out, NOBODY, NOBODY)

    def start(self, *words: str, home: dict[str, str]) -> subprocess.Popen[str]:
        """Start a command of the package as this user, in a session of its own."""
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(self.place / "package"), **home}
        command = [*self.become, sys.executable, "-m", "immunolab", *words]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=env, cwd="/", stdout=pipe, stderr=pipe, text=True, start_new_session=True)

    def run(self, *words: str, home: dict[str, str], code: int) -> str:
        """Run a command to its end and return what it said; no process may be left of it."""
        running = self.start(*words, home=home)
        said, wrong = running.communicate(timeout=300)
        assert running.returncode == code, said + wrong
        assert wait_for(lambda: not processes(running.pid), 5)
        assert "Traceback" not in wrong
        return said + wrong


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    place = Path(tempfile.mkdtemp(prefix="immunolab_account_"))  # a folder of pytest is closed to other users
    place.chmod(0o755)
    try:
        found = Account(place)
        if found.other and not shutil.which("setpriv"):
            pytest.skip("root needs setpriv (util-linux) to become another user")
        probe = subprocess.run([*found.become, sys.executable, "-c", "import numpy"], cwd="/", capture_output=True)
        if probe.returncode:
            pytest.skip(f"another user cannot use {sys.executable} here: {probe.stderr.decode()[-200:]}")
        yield found
    finally:
        for folder, _, _ in os.walk(place):
            os.chmod(folder, 0o755)
        shutil.rmtree(place)


def test_a_study_is_run_where_home_is_not_there(account: Account) -> None:
    home, out = {"HOME": "/nonexistent"}, account.out / "run"
    account.run("run", str(account.study), "-o", str(out), home=home, code=3)
    assert pd.read_csv(out / "tables" / "failures.csv")["sample_id"].tolist() == ["SLE002_W10"]
    assert (out / "report.html").stat().st_uid == (NOBODY if account.other else os.geteuid())
    assert "every hash agrees" in account.run("verify", str(out), home=home, code=0)


def test_a_study_is_checked_and_gates_are_placed_by_data_without_home(account: Account) -> None:
    assert "not an FCS file" in account.run("check", str(account.study), home={}, code=1)
    tube = account.study / "fcs" / "SLE001_W0.fcs"
    account.run(
        "gate", str(tube), "--strategy", "treg_th17_tfh_teff", "-o", str(account.out / "gated"), home={}, code=0
    )
    assert pd.read_csv(account.out / "gated" / "counts.csv")["n_events"].max() == 2000
    assert set((account.place / "package").rglob("*")) == account.installed


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_is_left_of_a_run_whose_parent_alone_is_ended(account: Account, how: signal.Signals) -> None:
    out = account.out / how.name
    running = account.start("run", str(account.study), "-o", str(out), "--jobs", "2", home={})
    assert wait_for(lambda: len(processes(running.pid)) > 2, 120)  # its workers are there
    os.kill(running.pid, how)
    running.communicate(timeout=5)  # the workers have let go of its output
    assert wait_for(lambda: not processes(running.pid), 5)
