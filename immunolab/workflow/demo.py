"""The demonstration: a small simulated lupus trial, run from its files to its report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from immunolab.errors import InputError, Problem
from immunolab.workflow.process import many_imports
from immunolab.workflow.worker_processes import kept_workers

if TYPE_CHECKING:
    from immunolab.results.run import Run

TRIAL, PATIENTS, VISITS, SEED = "sle_nct02084238", 8, ("W0", "W10"), 20240601


def demo(out: Path, *, jobs: int = 2) -> Run:
    """Simulate 8 lupus patients at baseline and week 10 into OUT/study and run them into OUT.

    A study that is in OUT/study already is run as it is.

    Parameters
    ----------
    out
        Output folder.
    jobs
        Tubes at once.

    Raises
    ------
    InputError
        OUT holds something else.
    """
    folder = out / "study"
    new = not (folder / "study.yaml").exists()
    if new and folder.exists() and any(folder.iterdir()):
        raise InputError(Problem(str(folder), "", "the folder holds something else", "name a new folder with -o"))
    with kept_workers(jobs if new else 0):  # they start while what a run needs is imported and the tubes are simulated
        with many_imports():
            from immunolab.simulation import simulate
            from immunolab.workflow.run import run

        if new:
            simulate(TRIAL, patients=PATIENTS, seed=SEED, folder=folder, visits=VISITS)
        return run(folder, out=out, jobs=jobs)
