"""The manifest of a run: versions, hashes of what went in and came out, and the comparison's plan.

It holds no time, host or user name: the same run has the same manifest, byte for byte.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from immunolab.comparison.plan import Noise, Plan
from immunolab.report.run_tables import Compared, RunTables

NAME, SCHEMA = "manifest.json", "immunolab.manifest/2"
HASHED = ("report.html", "tables/*.csv", "figures/*", "gates/*", "memberships/*")
_PACKAGES = (
    "immunolab",
    "anndata",
    "flowio",
    "flowkit",
    "flowutils",
    "matplotlib",
    "numba",
    "numpy",
    "pandas",
    "scanpy",
    "scikit-learn",
    "scipy",
    "statsmodels",
)


def write_manifest(run: RunTables, out: Path) -> Path:
    """Write ``manifest.json`` over everything that lies in a run's folder, and return its path."""
    path = out / NAME
    path.write_text(json.dumps(manifest(run, out), indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return path


def manifest(run: RunTables, out: Path) -> dict[str, Any]:
    """Return the manifest of a run as plain data."""
    return {
        "schema": SCHEMA,
        "study": run.study.name,
        "trial": run.study.trial.id if run.study.trial else None,
        "study_folder": Path(os.path.relpath(run.study.folder, out)).as_posix(),
        "seed": run.seed,
        "versions": versions(),
        "strategies": {
            panel: {"name": strategy.name, "source": strategy.source, "sha256": _digest(repr(strategy))}
            for panel, strategy in run.strategies.items()
        },
        "comparison": [_compared(one) for one in run.compared],
        "inputs": dict(run.inputs),
        "outputs": hashes(out),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that numbers pass through."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def hashes(out: Path) -> dict[str, str]:
    """Return the sha256 of every output file, by its path relative to the run's folder."""
    paths = sorted(path for pattern in HASHED for path in out.glob(pattern) if path.is_file())
    return {path.relative_to(out).as_posix(): file_digest(path) for path in paths}


def file_digest(path: Path) -> str:
    """Return a file's sha256."""
    from hashlib import file_digest as digest

    with path.open("rb") as handle:
        return digest(handle, "sha256").hexdigest()


def read_compared(record: Mapping[str, Any]) -> Compared:
    """Return the plan and endpoints of one comparison as the manifest stores them."""
    plain = dict(record["plan"])
    noise = plain.pop("noise")
    if noise is not None and "s_w" in noise:
        noise = Noise(**noise)
    elif noise is not None:
        noise = {name: Noise(**one) for name, one in noise.items()}
    for name in ("covariates", "unbatched"):
        plain[name] = tuple(plain[name])
    return Compared(Plan(**plain, noise=noise), tuple(record["endpoints"]), record["family"])


def _compared(one: Compared) -> dict[str, Any]:
    return {"plan": asdict(one.plan), "endpoints": list(one.endpoints), "family": one.family}


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8")).hexdigest()
