"""A real JupyterLab on loopback, for tests: its own folders, a token, nothing asked of the internet."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest
from builders import REPOSITORY

_START = 60.0  # seconds until the server answers: far more than it takes
SETTINGS = {
    "LabApp": {
        "news_url": None,
        "check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "expose_app_in_browser": True,
    },
    "ServerApp": {
        "ip": "127.0.0.1",
        "port": 0,
        "open_browser": False,
        "allow_root": True,
        "port_retries": 50,
        "jpserver_extensions": {"jupyter_lsp": False, "jupyter_server_terminals": False},
    },
}


@contextmanager
def jupyter(folder: Path) -> Iterator[tuple[str, str]]:
    """Start a server in a folder; give its address and token."""
    if find_spec("jupyterlab") is None or find_spec("anywidget") is None:
        pytest.skip('JupyterLab or anywidget is not installed: pip install "immunolab[test]"')
    config, runtime = folder / ".config", folder / ".runtime"
    config.mkdir()
    token = secrets.token_urlsafe(16)
    settings = {**SETTINGS, "ServerApp": {**SETTINGS["ServerApp"], "root_dir": str(folder)}}
    (config / "jupyter_server_config.json").write_text(json.dumps(settings))
    own = {
        "JUPYTER_CONFIG_DIR": str(config),
        "JUPYTER_RUNTIME_DIR": str(runtime),
        "JUPYTER_DATA_DIR": str(folder / ".data"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / ".settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / ".workspaces"),
        "IPYTHONDIR": str(folder / ".ipython"),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "JUPYTER_TOKEN": token,
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests")]),
    }
    log = (folder / ".log").open("w")
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab"],
        cwd=folder,
        env=os.environ | own,
        stdout=log,
        stderr=log,
        stdin=subprocess.DEVNULL,
    )
    try:
        yield _address(server, runtime, folder / ".log"), token
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        log.close()


def _address(server: subprocess.Popen[bytes], runtime: Path, log: Path) -> str:
    end = time.monotonic() + _START
    while time.monotonic() < end and server.poll() is None:
        for file in runtime.glob("jpserver-*.json"):
            try:
                return str(json.loads(file.read_text())["url"])
            except (ValueError, KeyError):
                pass  # half written
        time.sleep(0.1)
    raise AssertionError(f"JupyterLab did not start: {log.read_text()[-2000:]}")


def notebook(folder: Path, *cells: str) -> str:
    """Write a notebook; return its name."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(made, folder / "gates.ipynb")
    return "gates.ipynb"
