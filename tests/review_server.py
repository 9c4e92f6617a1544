"""A review served on the loopback address, and a client that sends what a browser sends."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import uvicorn
from test_pipeline import GATES

from immunolab.review.access import Access
from immunolab.review.opening import open_review
from immunolab.review.review import Review
from immunolab.review.serve import configuration
from immunolab.review.server import application
from immunolab.simulation import simulate
from immunolab.workflow.run import run


def finished_run(place: Path) -> Path:
    """Make a study of three patients at two visits and its finished run, side by side; return the folder of both."""
    simulate("sle_nct02084238", patients=3, seed=5, folder=place / "study", visits=["W0", "W10"], events=1500)
    (place / "study" / "gates.yaml").write_text(GATES)
    (place / "study" / "study.yaml").write_text(
        "study: Hidden name\nsheet: samples.csv\npanels: {surface: {strategy: gates.yaml}}\n"
        "comparison: {before: W0, after: W10}\n"
    )
    run(place / "study", out=place / "out", tables_only=True, jobs=1)
    return place


class Client:
    """Keeps the session's cookie and every answer, headers and all."""

    def __init__(self, port: int) -> None:
        self.port, self.cookie = port, ""
        self.captured: list[str] = []

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        head = {"Cookie": self.cookie} if self.cookie else {}
        if method == "POST":
            head |= {"Origin": f"http://127.0.0.1:{self.port}", "Content-Type": "application/json"}
        head |= {name.replace("_", "-"): value for name, value in headers.items()}
        plain = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection.request(method, path, body=plain, headers=head)
        self.last = connection.getresponse()
        content = self.last.read()
        connection.close()
        self.captured.append(f"{self.last.status} {self.last.getheaders()} {content.decode('utf-8', 'replace')}")
        return self.last.status, content

    def enter(self, token: str) -> int:
        self.used = token
        status, _ = self.request("GET", f"/?token={token}")
        self.cookie = (self.last.getheader("set-cookie") or "").split(";")[0]
        return status

    def get(self, name: str, **query: str) -> Any:
        words = "&".join(f"{key}={quote(value)}" for key, value in query.items())
        return self._good(*self.request("GET", f"/api/{name}?{words}"))

    def post(self, name: str, **fields: Any) -> Any:
        return self._good(*self.request("POST", f"/api/{name}", fields))

    def error(self, name: str, **fields: Any) -> str:
        status, content = self.request("POST", f"/api/{name}", fields)
        assert status >= 400, content[:200]
        return str(json.loads(content)["error"])

    def drag(self, tube: str, gate: str, by: float = 0.05) -> Any:
        """Drag the first handle of a gate to the right, and let it go."""
        state = self.post("open", tube=tube, gate=gate)["answers"][-1]
        handle = next(one for one in state["gates"] if one["active"])["handles"][0]
        to = {"x": min(1.0, max(0.0, handle["x"] + by)), "y": handle["y"]}
        message = {"path": gate, "handle": handle["key"], **to, "together": True}
        self.post("edit", tube=tube, message={"type": "drag", "serial": 1, **message})
        return self.post("edit", tube=tube, message={"type": "drop", "joined": False, **message})["answers"][-1]

    def _good(self, status: int, content: bytes) -> Any:
        assert status == 200, content.decode()
        return json.loads(content)


@contextmanager
def serving(review: Review, said: list[str]) -> Iterator[Client]:
    """Serve a review in a thread; give a client that has opened it."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        access = Access(port, said.append)
        server = uvicorn.Server(configuration(application(review, access)))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        client = Client(port)
        assert client.enter(access.token) == 303
        try:
            yield client
        finally:
            server.should_exit = True
            thread.join(10)


@contextmanager
def reviewed(out: Path, *, reader: str = "ann", blind: bool = True) -> Iterator[Client]:
    """Open the review of a run and serve it."""
    with open_review(out, reader=reader, blind=blind) as review, serving(review, []) as client:
        yield client
