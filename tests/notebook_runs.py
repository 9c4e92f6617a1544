"""Notebooks: executed beside a copy of sample_data, and stored with what they gave.

python tests/notebook_runs.py [NAME ...]      # executes them and stores their outputs anew
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDER = REPOSITORY / "notebooks"
SECONDS = 60  # of one notebook, the bound of CI; of processor, so that a busy machine fails no test
_KEPT = ("text/plain", "text/html", "image/png", "image/svg+xml")  # a widget shows nothing without its kernel
_WIDGET = "application/vnd.jupyter.widget-view+json"  # a bar
_QUIET = {
    "TQDM_DISABLE": "1",
    "OMP_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "PYTHONPATH": str(REPOSITORY),
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
}


def executed(path: Path, scratch: Path) -> NotebookNode:
    """Return a notebook as it is after its cells ran in a scratch folder, without bars, widgets and times."""
    work = scratch / "notebooks"
    work.mkdir(parents=True)
    shutil.copytree(REPOSITORY / "sample_data", scratch / "sample_data")
    notebook = nbformat.read(path, as_version=4)
    kernel = NotebookClient(notebook, timeout=5 * SECONDS, resources={"metadata": {"path": str(work)}})
    kernel.execute(env=os.environ | _QUIET)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number + 1}"
        cell["metadata"] = {name: cell["metadata"][name] for name in ("tags",) if name in cell["metadata"]}
        if cell["cell_type"] == "code":
            cell["outputs"] = [_kept(output) for output in cell["outputs"] if _is_shown(output)]
    notebook["metadata"] = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def _is_shown(output: NotebookNode) -> bool:
    if output["output_type"] == "stream":
        return output["name"] == "stdout"
    kinds = set(output.get("data", {}))
    return output["output_type"] == "error" or (bool(kinds & set(_KEPT)) and _WIDGET not in kinds)


def _kept(output: NotebookNode) -> NotebookNode:
    if "data" in output:
        output["data"] = {kind: output["data"][kind] for kind in _KEPT if kind in output["data"]}
    return output


def texts(notebook: NotebookNode) -> list[str]:
    """Return what each code cell printed or returned, as text, where another execution gives the same.

    Addresses of objects are taken out; a picture is named, for its pixels may depend on the fonts of a machine.
    """
    found = []
    for cell in notebook.cells:
        if cell["cell_type"] == "code":
            found.append("\n".join(_text(output) for output in cell["outputs"]))
    return found


def _text(output: NotebookNode) -> str:
    if output["output_type"] == "stream":
        return str(output["text"])
    data = output.get("data", {})
    words = data.get("text/html") or data.get("text/plain") or ""
    words = re.sub(r"data:image/[^\"')]+", "(picture)", words)
    words = re.sub(r"0x[0-9a-f]{6,}|sk-container-id-\d+", "(address)", words)
    return f"{words}\n(picture)" if "image/png" in data else words


def main(names: list[str]) -> None:
    """Execute the notebooks named (all without names) and store their outputs."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        if names and not any(name in path.name for name in names):
            continue
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as scratch:
            notebook = executed(path, Path(scratch))
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
        print(f"{path.name}: {time.monotonic() - start:.0f} s, {path.stat().st_size / 1024:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
