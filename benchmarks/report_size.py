"""How long the report of 40 patients at 6 visits takes after the tables, its memory, and how large its page is.

    python benchmarks/report_size.py [--patients 40] [--visits 6] [--jobs 2] [--undrawn] [-o OUT]

Four patients at six visits are simulated and run; each is then copied, tables and gate views, under other names, until
there are as many patients as asked for: a report does as much work for copies as for others. Wall time depends on what
else the machine does, so processor time is beside it. Undrawn figures are planned and their files made, empty: what a
report of thousands of patients takes in the command's own process, in minutes instead of hours.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from immunolab.report.figure import ReportFigure, Written
from immunolab.report.page import write_report
from immunolab.results.run import Run
from immunolab.simulation import Options, simulate
from immunolab.workflow.process import peak_memory, resident_memory
from immunolab.workflow.run import run
from immunolab.workflow.spread import SpreadWork

TRIAL, VISITS = "sle_nct02084238", ("W0", "W2", "W4", "W6", "W8", "W10")
REAL = 4  # patients that are simulated
EVENTS = 3_000  # a tube: the report holds pictures of events, whose size does not depend on their number
PICTURE_BYTES = 60_000  # of a drawn figure's picture on the page
LIMIT_SECONDS, LIMIT_MB = 60, 25  # issue 17


def copied(found: Run, patients: int) -> Run:
    """Return the run with copies of its patients; every row of a patient is there under the copy's names."""
    old = list(dict.fromkeys(s.patient_id for s in found.samples))
    names = {f"{old[i % len(old)]}c{i // len(old)}": old[i % len(old)] for i in range(patients)}
    samples = [
        replace(s, patient_id=name, sample_id=f"{name}_{s.visit}")
        for name, source in names.items()
        for s in found.samples
        if s.patient_id == source
    ]
    for made in samples:
        source = found.folder / "samples" / f"{names[made.patient_id]}_{made.visit}"
        target = found.folder / "samples" / made.sample_id
        target.mkdir(exist_ok=True)
        shutil.copyfile(source / "views.npz", target / "views.npz")
    tables = {name: _copied(table, names) for name, table in found.tables.items()}
    doses = {name: found.study.doses[source] for name, source in names.items() if source in found.study.doses}
    study = replace(found.study, samples=tuple(samples), doses=doses)
    return replace(found, study=study, tables=tables)


def _copied(table: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    if "patient_id" not in table and "sample_id" not in table:
        return table
    parts = []
    for name, source in names.items():
        by_sample = "sample_id" in table
        rows = (
            table[table["sample_id"].str.startswith(f"{source}_")]
            if by_sample
            else table[table["patient_id"] == source]
        )
        new = {"patient_id": name} if "patient_id" in table else {}
        if by_sample:
            new["sample_id"] = rows["sample_id"].str.replace(f"{source}_", f"{name}_", regex=False)
        parts.append(rows.assign(**new))
    return pd.concat(parts, ignore_index=True).astype(table.dtypes.to_dict())


def undrawn(function: partial[Any], items: Sequence[Any]) -> list[Written]:
    """Make the files of figures, empty, and return what the page says of them."""
    found = []
    for one in (item for item in items if isinstance(item, ReportFigure)):
        name = one.full or one.name
        for suffix in (*one.suffixes, ".csv"):
            (function.keywords["folder"] / f"{name}{suffix}").touch()
        shown = "A" * PICTURE_BYTES if one.on_page else ""
        words = {"endpoint": one.endpoint, "alt": one.alt, "patient": one.patient}
        found.append(Written(name, one.section, one.caption, shown, one.wide, one.cohort, **words))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=40)
    parser.add_argument("--visits", type=int, default=len(VISITS))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--undrawn", action="store_true")
    parser.add_argument("-o", "--out", type=Path)
    given = parser.parse_args()
    with TemporaryDirectory() as scratch:
        folder = given.out or Path(scratch)
        options = Options(truth_events=False)
        visits = (*VISITS[: given.visits - 1], VISITS[-1])
        simulate(TRIAL, patients=REAL, seed=5, folder=folder / "study", visits=visits, events=EVENTS, options=options)
        large = copied(run(folder / "study", out=folder / "out", tables_only=True, jobs=given.jobs), given.patients)
        before_report = round(resident_memory() / 2**20)
        started, before = time.monotonic(), os.times()
        page = write_report(large, apply=undrawn if given.undrawn else SpreadWork(given.jobs))
        wall, after = time.monotonic() - started, os.times()
        used = sum(after[:4]) - sum(before[:4])
        size = page.stat().st_size / 1e6
        print(f"{given.patients} patients, {len(large.samples)} samples, {given.jobs} processes")
        print(f"report: {wall:.1f} s ({used:.1f} s of processor time), at most {LIMIT_SECONDS} s")
        print(f"page: {size:.1f} MB, at most {LIMIT_MB} MB")
        pages = [path.stat().st_size for path in (folder / "out" / "pages").glob("*")]
        print(
            f"{len(pages)} pages beside it, {sum(pages) / 1e6:.1f} MB, the largest {max(pages, default=0) / 1e6:.1f} MB"
        )
        peaks = {name: round(taken / 2**20) for name, taken in peak_memory().items()}
        print(f"MiB: {before_report} before the report; largest {peaks}")


if __name__ == "__main__":
    main()
