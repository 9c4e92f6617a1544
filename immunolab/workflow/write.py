"""Step: a finished run written: its tables as CSV, its record, its gates and its report."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from immunolab.report.exports import remove_stale_exports
from immunolab.report.long_tables import PAGES
from immunolab.report.manifest import NAME as MANIFEST
from immunolab.report.manifest import write_manifest
from immunolab.report.page import write_report
from immunolab.report.qc_page import LIGHTS_PAGE
from immunolab.results.record import RECORD, write_run
from immunolab.results.run import REPORT, Run
from immunolab.schema.files import content_key, file_sha256, put_in_place, write_atomically
from immunolab.schema.tables import declared
from immunolab.version import code_key
from immunolab.workflow.night_log import night_log
from immunolab.workflow.spread import SpreadWork
from immunolab.workflow.store import Store

log = logging.getLogger("immunolab")


def write_results(
    run: Run, store: Store, samples: Sequence[str], *, report: bool = True, spread: SpreadWork | None = None
) -> None:
    """Write a run's tables, record, gates and report; what a folder holds is of one run whenever this is ended.

    Tables are written beside their place first: where the disk is full, the earlier run stays whole. A report of other
    tables is then withdrawn, its manifest first, so that `verify` refuses what was ended in between.

    Parameters
    ----------
    run
        The finished run.
    store
        The run's folder.
    samples
        Ids of the samples that were computed or kept.
    report
        Whether the report is written; one that is up to date stays in any case.
    spread
        Where figures are drawn; here, one by one, where None.
    """
    with night_log().step("write"):
        with _written_tables(run) as part:
            made_of = _report_key(run, store, part)
            kept = _is_report_of(made_of, store)
            if not kept:
                _withdraw_report(store.root)
            put_in_place(part, store.root / "tables")
        if left := store.remove_others([s.sample_id for s in run.study.samples]):
            log.info("results of samples that the sheet no longer has are removed: %s", ", ".join(left))
        write_run(run)
        place_gates(store, samples)
    if kept:
        log.info("report kept: nothing it is made of has changed")
        write_manifest(run)  # memberships may be new, and the folders of study and run elsewhere
    elif report:
        _write_report(run, made_of, store, spread or SpreadWork())
    _remove_exports(store.root)  # of a run that was moved


@contextmanager
def _written_tables(run: Run) -> Iterator[Path]:
    """Give a folder with every table as CSV, which is removed unless it was put elsewhere."""
    part = run.folder / f".tables.part-{os.getpid()}"
    try:
        for name, table in run.tables.items():
            declared(name).write_as_given(table, part / f"{name}.csv")
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _withdraw_report(root: Path) -> None:
    """Remove an earlier run's manifest, record, page, figures, and what was made of them."""
    if (root / REPORT).exists():
        log.info("the earlier report is withdrawn: what it was made of has changed")
    for name in (MANIFEST, RECORD, REPORT, LIGHTS_PAGE):
        (root / name).unlink(missing_ok=True)
    for name in ("figures", PAGES):
        shutil.rmtree(root / name, ignore_errors=True)
    _remove_exports(root)


def _remove_exports(root: Path) -> None:
    """Remove PDF, workbook and slides that are not of the run in the folder, and say so."""
    for name in remove_stale_exports(root):
        log.info("%s removed: it was made of an earlier run; immunolab report makes it anew", name)


def place_gates(store: Store, samples: Iterable[str]) -> None:
    """Give gates of samples their place in ``gates/`` and remove those of samples that are no longer there.

    Parameters
    ----------
    store
        The run's folder.
    samples
        Ids of the samples that were computed or kept.
    """
    target = store.root / "gates"
    target.mkdir(exist_ok=True)
    for path in target.glob("*.xml"):
        if not (store.sample_folder(path.stem) / "gates.xml").exists():
            path.unlink()
    for name in samples:
        write_atomically(target / f"{name}.xml", partial(_same_file, store.sample_folder(name) / "gates.xml"))


def _same_file(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file system has no such names."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)


def _report_key(run: Run, store: Store, tables: Path) -> Path:
    """Return the record of the report that is made of a run's tables and of its samples' views, wherever they are."""
    parts = {path.name: file_sha256(path) for path in sorted(tables.iterdir())}
    views = {s.sample_id: store.record(s.sample_id).get("outputs") for s in run.samples}
    record = replace(run, folder=run.study.folder).record()  # its paths are then those within the study
    key = content_key({"tables": parts, "samples": views, "run": record, "code": code_key()})
    return store.cached("report", key, ".json")


def _is_report_of(record: Path, store: Store) -> bool:
    """Return whether the folder holds the report of a record, every file as it was written."""
    if not record.exists():
        return False
    made = json.loads(record.read_text(encoding="utf-8"))
    return all((store.root / name).is_file() and file_sha256(store.root / name) == sha for name, sha in made.items())


def _write_report(run: Run, record: Path, store: Store, spread: SpreadWork) -> None:
    page = write_report(run, apply=spread)
    written = [
        page,
        *store.root.glob(LIGHTS_PAGE),
        *store.root.glob(f"{PAGES}/*"),
        *store.root.glob("figures/*"),
        *store.root.glob("samples/*/gating.png"),
    ]
    hashes = {path.relative_to(store.root).as_posix(): file_sha256(path) for path in sorted(written)}
    write_atomically(record, lambda part: part.write_text(json.dumps(hashes, indent=1), encoding="utf-8"))
