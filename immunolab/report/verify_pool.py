"""Whether a pooled result can be derived again: hashes of its runs and files, and every number from the runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from immunolab.errors import InputError, Problem
from immunolab.report.table_diff import CHANGED, differences
from immunolab.results.pooling import pool_runs
from immunolab.results.record import RECORD, read_run
from immunolab.schema.files import file_sha256
from immunolab.schema.pooling import POOLED, STUDIES

NAME, SCHEMA = "manifest.json", "immunolab.pool/1"
_STUDY_NUMBERS = ("n_patients", "estimate", "se", "ci_low", "ci_high", "df", "fold", "weight")
_STUDY_WORDS = ("run", "population", "unit", "contrast", "estimate_scale", "method")
_MEAN_NUMBERS = (
    *("n_studies", "n_patients", "estimate", "se", "ci_low", "ci_high", "p_value", "df", "fold"),
    *("tau", "tau_low", "tau_high", "hartung_knapp", "q", "q_p_value", "i2", "predicted_low", "predicted_high"),
)


def pool_outputs(out: Path) -> dict[str, str]:
    """Return the sha256 of every file of a pooled result, by its path relative to the folder.

    Parameters
    ----------
    out
        The folder that `pool` wrote.
    """
    paths = sorted(path for pattern in ("tables/*.csv", "figures/*") for path in out.glob(pattern) if path.is_file())
    return {path.relative_to(out).as_posix(): file_sha256(path) for path in paths}


def is_pooled(out: Path) -> bool:
    """Return whether a folder holds a pooled result instead of a run.

    Parameters
    ----------
    out
        Any folder.
    """
    try:
        record = json.loads((out / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and record.get("schema") == SCHEMA


def verify_pool(out: Path) -> list[Problem]:
    """Return everything in the folder of a pooled result that no longer agrees with its runs or its manifest.

    Parameters
    ----------
    out
        The folder that `pool` wrote.
    """
    record = json.loads((out / NAME).read_text(encoding="utf-8"))
    found = [*_outputs(out, record), *_runs(out, record)]
    return found if any(problem.file in dict(record["runs"]) for problem in found) else [*found, *_numbers(out, record)]


def _outputs(out: Path, record: Mapping[str, Any]) -> Iterator[Problem]:
    now, then = pool_outputs(out), record["outputs"]
    for name in sorted(set(now) | set(then)):
        if name not in now:
            yield Problem(name, "", "output is missing", "pool the runs again")
        elif now[name] != then.get(name):
            text = "output differs from the one that was written (sha256)" if name in then else "the manifest lacks it"
            yield Problem(name, "", text, CHANGED)


def _runs(out: Path, record: Mapping[str, Any]) -> Iterator[Problem]:
    for name, digest in record["runs"]:
        path = out / name / RECORD
        if not path.exists():
            yield Problem(name, "", "the run is not where it was", f"looked for {path}")
        elif file_sha256(path) != digest:
            yield Problem(name, "", "the run is another than the one that was pooled (sha256)", "pool the runs again")


def _numbers(out: Path, record: Mapping[str, Any]) -> Iterator[Problem]:
    runs = [read_run(out / name) for name, _ in record["runs"]]
    again = pool_runs(runs, record["endpoint"], different=record["different"], out=out)
    sides = (
        (STUDIES, again.studies, _STUDY_NUMBERS, _STUDY_WORDS),
        (POOLED, again.summary, _MEAN_NUMBERS, ("endpoint", "estimate_scale", "method")),
    )
    for table, fresh, numbers, words in sides:
        try:
            stored = table.read(out / "tables" / f"{table.name}.csv")
        except InputError as error:
            yield from error.problems
        except OSError:
            continue  # named among the outputs
        else:
            yield from differences(table, stored, fresh, table.key, numbers, words)
