"""The manifest of a run: versions, hashes of what went in and came out, and the comparison's plan.

It holds no time, host or user name: the same run has the same manifest, byte for byte.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from immunolab.comparison.plan import Compared
from immunolab.results.run import Run
from immunolab.schema.files import SAMPLE_RECORD, content_key, file_sha256, write_atomically
from immunolab.schema.records import to_plain

NAME, SCHEMA = "manifest.json", "immunolab.manifest/2"
HASHED = ("report.html", "quality.html", "pages/*.html", "tables/*.csv", "figures/*", "gates/*", "memberships/*")


def write_manifest(run: Run) -> Path:
    """Write ``manifest.json`` over everything in a run's folder, and return its path.

    Parameters
    ----------
    run
        The finished run.
    """
    path = run.folder / NAME
    text = json.dumps(_manifest(run), indent=1, sort_keys=True) + "\n"
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))
    return path


def _manifest(run: Run) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "study": run.study.name,
        "trial": run.study.trial.id if run.study.trial else None,
        "study_folder": Path(os.path.relpath(run.study.folder, run.folder)).as_posix(),
        "seed": run.seed,
        "versions": dict(run.versions),
        "strategies": {
            panel: {"name": strategy.name, "source": strategy.source, "sha256": content_key(to_plain(strategy))}
            for panel, strategy in run.strategies.items()
        },
        "code": _code(run),
        "comparison": [_compared(one) for one in run.compared],
        "inputs": dict(run.inputs),
        "samples": sample_keys(run),
        "outputs": hashes(run.folder),
        **({"plan": {"number": run.plan.number, "sha256": run.plan.sha256}} if run.plan else {}),
        **({"log": {"entries": run.log_seen.entries, "hash": run.log_seen.hash}} if run.log_seen else {}),
    }


def sample_keys(run: Run) -> dict[str, str]:
    """Return the key of what each sample in a run's folder was computed from, by sample."""
    records = {s.sample_id: run.folder / "samples" / s.sample_id / SAMPLE_RECORD for s in run.samples}
    return {
        name: json.loads(path.read_text(encoding="utf-8"))["key"] for name, path in records.items() if path.exists()
    }


def _code(run: Run) -> dict[str, str]:
    """Return the sha256 of the laboratory's own code that the run was allowed to run, by its path."""
    module = run.study.methods_module
    return {} if module is None else {(name := run.study.relative(module)): run.inputs[name]}


def hashes(out: Path) -> dict[str, str]:
    """Return the sha256 of every output file, by its path relative to the run's folder."""
    named = (path for pattern in HASHED for path in out.glob(pattern))  # a hidden one is not written to its end
    paths = sorted(path for path in named if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(out).as_posix(): file_sha256(path) for path in paths}


def _compared(one: Compared) -> dict[str, Any]:
    return {"plan": asdict(one.plan), "endpoints": list(one.endpoints), "family": one.family}
