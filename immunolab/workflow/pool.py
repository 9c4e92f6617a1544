"""Pool one endpoint over several finished runs; `immunolab pool` and `il.pool`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from immunolab.errors import InputError, Problem, attempt
from immunolab.plots.figure_files import save
from immunolab.plots.pooling import pooling_height, pooling_plot
from immunolab.plots.style import WIDTH, figure
from immunolab.report.verify_pool import NAME, SCHEMA, pool_outputs
from immunolab.results.pooling import Different, PooledRuns, pool_runs
from immunolab.results.record import RECORD, read_run
from immunolab.results.run import Run
from immunolab.schema.files import file_sha256, write_atomically
from immunolab.schema.pooling import POOLED, STUDIES
from immunolab.version import library_versions
from immunolab.workflow.remote import is_url


def pool(
    runs: Sequence[Run | Path | str],
    *,
    endpoint: str,
    out: Path | str | None = None,
    different: Sequence[Different] = (),
) -> PooledRuns:
    """Pool one endpoint over finished runs by a random-effects meta-analysis; each cohort is a study.

    Parameters
    ----------
    runs
        Finished runs, or the folders that `run` wrote.
    endpoint
        Id of an endpoint that all of them compare.
    out
        Folder for tables, forest figure and manifest, which `verify` derives again; None writes nothing.
    different
        What may differ between studies: ``contrast``, ``definition``.

    Returns
    -------
    PooledRuns
        Studies with their weights, the mean with interval and prediction interval, and notes.

    Raises
    ------
    InputError
        A folder without a finished run, a path on an object store, or what `pool_runs` refuses: all at once.
    """
    remote = [_on_a_store(one) for one in (*runs, out) if is_url(one)]
    if remote:
        raise InputError(remote)
    tried = [(one, ()) if isinstance(one, Run) else attempt(partial(read_run, one)) for one in runs]
    problems = [problem for _, faults in tried for problem in faults]
    if problems:
        raise InputError(problems)
    read = [run for run, _ in tried if run is not None]
    folder = Path(out).absolute() if out is not None else None
    found = pool_runs(read, endpoint, different=different, out=folder)
    if folder is not None:
        _write(found, read, folder, different)
    return found


def _on_a_store(place: object) -> Problem:
    hint = "name folders of this machine: a run's own, or its copy that 'immunolab verify' of the same path brings here"
    return Problem(str(place), "", "pool reads and writes folders of this machine, no object store", hint)


def _write(found: PooledRuns, runs: Sequence[Run], out: Path, different: Sequence[Different]) -> None:
    (out / "tables").mkdir(parents=True, exist_ok=True)
    STUDIES.write(found.studies, out / "tables" / f"{STUDIES.name}.csv")
    POOLED.write(found.summary, out / "tables" / f"{POOLED.name}.csv")
    named = runs[0].label_of(found.endpoint).short
    fig = figure(WIDTH, pooling_height(found.studies))
    pooling_plot(found.studies, found.summary, named, ax=fig.add_subplot())
    for suffix in (".pdf", ".png"):
        save(fig, out / "figures" / f"forest{suffix}")
    record = {
        "schema": SCHEMA,
        "endpoint": found.endpoint,
        "different": list(different),
        "notes": list(found.notes),
        "versions": library_versions(),
        "runs": [
            [Path(os.path.relpath(run.folder.resolve(), out)).as_posix(), file_sha256(run.folder / RECORD)]
            for run in runs
        ],
        "outputs": pool_outputs(out),
    }
    text = json.dumps(record, indent=1, sort_keys=True) + "\n"
    write_atomically(out / NAME, lambda part: part.write_text(text, encoding="utf-8"))
