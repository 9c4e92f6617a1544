"""The report of a finished run written again, and what it is handed on as: PDF, workbook, slides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from immunolab.errors import InputError, unknown_words
from immunolab.report.exports import FORMATS, check_formats, write_exports
from immunolab.report.page import write_report
from immunolab.results.record import read_run
from immunolab.workflow.spread import SpreadWork
from immunolab.workflow.store import Store
from immunolab.workflow.worker_processes import kept_workers

HTML = "html"


def report(out: Path | str, *, formats: Sequence[str] = (HTML,), jobs: int = 1) -> list[str]:
    """Write the report of a finished run, or hand it on, and return a line for each file: what and where.

    Parameters
    ----------
    out
        The folder that a run wrote.
    formats
        ``html`` writes page and figures again; ``pdf``, ``xlsx`` and ``pptx`` are made of what is there. A page that is
        missing is written first.
    jobs
        Figures drawn at once.

    Raises
    ------
    InputError
        There is no finished run in the folder, a format is unknown, or what makes one is not installed.
    """
    unknown = [problem for name in formats for problem in unknown_words(format=(name, (HTML, *FORMATS)))]
    if unknown:
        raise InputError(unknown)
    run = read_run(out)
    wanted = [name for name in FORMATS if name in formats]
    check_formats(wanted)
    lines = []
    with Store(run.folder).lock():
        if HTML in formats or (run.report is None and {"pdf", "pptx"} & set(formats)):
            with kept_workers(jobs):
                page = write_report(run, apply=SpreadWork(jobs))
            lines.append(f"report: {page}")
        return [*lines, *write_exports(run, wanted)]
