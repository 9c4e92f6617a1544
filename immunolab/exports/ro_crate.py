"""A run's folder as RO-Crate 1.1, profile Process Run Crate 0.5: what was run on what, and what came out."""

from __future__ import annotations

import base64
import json
import mimetypes
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from immunolab.exports.codes import study_id
from immunolab.report.manifest import NAME as MANIFEST
from immunolab.report.manifest import hashes
from immunolab.results.run import Run
from immunolab.schema.files import file_sha256, write_atomically
from immunolab.schema.night_log import STATUS

CRATE = "ro-crate-metadata.json"
_CONTEXT = "https://w3id.org/ro/crate/1.1/context"
_SHA256 = {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}  # a term that RO-Crate 1.1 itself lacks
_PROFILE = "https://w3id.org/ro/wfrun/process/0.5"


def write_ro_crate(run: Run, *, agent: str = "") -> list[Path]:
    """Write ``ro-crate-metadata.json`` beside the manifest.

    Parameters
    ----------
    run
        The finished run, with its manifest.
    agent
        ORCID or other address of who ran it; left out, nobody is named.
    """
    path = run.folder / CRATE
    text = json.dumps({"@context": [_CONTEXT, _SHA256], "@graph": _graph(run, agent)}, indent=1, ensure_ascii=False)
    write_atomically(path, lambda part: part.write_text(text + "\n", encoding="utf-8"))
    return [path]


def _graph(run: Run, agent: str) -> list[dict[str, Any]]:
    finished = _finished(run)
    outputs = hashes(run.folder)
    results = [_output(run, name, sha) for name, sha in outputs.items()]
    results.append(_output(run, MANIFEST, file_sha256(run.folder / MANIFEST)))
    inputs = [_input(run, name, sha) for name, sha in run.inputs.items()]
    version = str(run.versions.get("immunolab", ""))
    software = {
        "@id": f"https://pypi.org/project/immunolab/{version}/",
        "@type": "SoftwareApplication",
        "name": "immunolab",
        "version": version,
        "softwareVersion": version,
        "softwareRequirements": ", ".join(f"{name} {number}" for name, number in run.versions.items()),
    }
    action: dict[str, Any] = {
        "@id": "#run",
        "@type": "CreateAction",
        "name": f"immunolab run of {run.study.name}, seed {run.seed}",
        "instrument": {"@id": software["@id"]},
        "object": [{"@id": one["@id"]} for one in inputs],
        "result": [{"@id": one["@id"]} for one in results],
        "actionStatus": {"@id": "http://schema.org/CompletedActionStatus"},
        "endTime": finished,
    }
    people = []
    if agent:
        action["agent"] = {"@id": agent}
        people.append({"@id": agent, "@type": "Person", "name": agent})
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"{run.study.name}: results of immunolab",
        "description": f"Gates, counts, endpoints, comparisons and report of {study_id(run)}."
        + (" Simulated data: no value is of a person." if run.study.simulated else ""),
        "datePublished": finished,
        "license": "Not stated: whoever publishes the data chooses one",
        "conformsTo": {"@id": _PROFILE},
        "hasPart": [{"@id": one["@id"]} for one in (*results, *inputs)],
        "mentions": {"@id": "#run"},
    }
    profile = {"@id": _PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"}
    descriptor = {
        "@id": CRATE,
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
    }
    return [descriptor, root, profile, software, action, *people, *results, *inputs]


def _finished(run: Run) -> str:
    """Return when the run ended (UTC), as it noted itself; else when its manifest was written."""
    try:
        seconds = float(json.loads((run.folder / STATUS).read_text(encoding="utf-8"))["updated"])
    except (OSError, ValueError, KeyError, TypeError):
        seconds = (run.folder / MANIFEST).stat().st_mtime
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _output(run: Run, name: str, sha: str) -> dict[str, Any]:
    size = (run.folder / name).stat().st_size
    return {"@id": name, "@type": "File", "name": name, "sha256": sha, "contentSize": str(size)} | _format(name)


def _input(run: Run, name: str, sha: str) -> dict[str, Any]:
    """Return an input, which is not in the crate: named by its contents (RFC 6920), with its path in the study."""
    if (run.study.folder / name).is_dir():  # its hash is of the paths and hashes of its files, and of no bytes
        return {"@id": f"#{quote(name)}", "@type": "Dataset", "name": name, "identifier": f"immunolab:{sha}"}
    digest = base64.urlsafe_b64encode(bytes.fromhex(sha)).decode().rstrip("=")
    return {"@id": f"ni:///sha-256;{digest}", "@type": "File", "name": name, "sha256": sha} | _format(name)


def _format(name: str) -> dict[str, str]:
    kind = "application/vnd.isac.fcs" if name.lower().endswith((".fcs", ".lmd")) else mimetypes.guess_type(name)[0]
    return {"encodingFormat": kind} if kind else {}
