"""A plain page with the editor: its channel is a function of Python, so that no server and no notebook is needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import immunolab.editor
from immunolab.editor.editor import Editor

FOLDER = Path(immunolab.editor.__file__).parent
ADDRESS = "http://editor.test/"  # answered by the test itself: nothing leaves the browser
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>editor</title>
<meta name="color-scheme" content="light dark"><link rel="stylesheet" href="editor.css"><style>body{margin:8px}</style>
</head><body><main><h1>editor</h1><div id="root"></div></main><script type="module">
import { mount } from "./editor.js";
const handlers = [];
const hear = (answers) => answers.forEach((answer) => handlers.forEach((handler) => handler(answer)));
window.unmount = mount(document.getElementById("root"), {
  send: (message) => window.toPython(message).then(hear),
  on: (handler) => handlers.push(handler),
});
</script></body></html>"""


@dataclass
class EditorPage:
    """The page, its editor, and what went between them."""

    page: Any
    editor: Editor
    sent: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def settled(self) -> None:
        """Wait until every message is answered."""
        self.page.wait_for_timeout(60)

    def handle(self, key: str) -> Any:
        """Return a handle of the active gate."""
        return self.page.locator(f'.il-handle[data-handle="{key}"]')

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return the pixel of a place of the picture."""
        box = self.page.locator(".il-pad").bounding_box()
        return box["x"] + x * box["width"], box["y"] + (1 - y) * box["height"]

    def drag(self, key: str, x: float, y: float) -> None:
        """Drag a handle to a place of the picture, as a hand does: down, two moves, up."""
        box = self.handle(key).bounding_box()
        mouse = self.page.mouse
        mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        mouse.down()
        to = self.place(x, y)
        mouse.move(to[0] - 5, to[1] - 5)
        mouse.move(*to)
        mouse.up()
        self.settled()

    def row(self, name: str) -> list[str]:
        """Return events and percent of a population as the table shows them."""
        line = self.page.locator(".il-tree tbody tr", has=self.page.get_by_role("button", name=name, exact=True))
        return [cell.split("\n")[0] for cell in line.locator("td").all_inner_texts()]


@contextmanager
def editor_page(
    browser: Any,
    editor: Editor,
    width: int = 1400,
    height: int = 1000,
    scheme: str = "light",
    frozen_clock: bool = False,
) -> Iterator[EditorPage]:
    """Give a page with an editor."""
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    seen = EditorPage(page, editor)

    def answer(message: dict[str, Any]) -> list[dict[str, Any]]:
        seen.sent.append(message)
        return editor.receive(message)

    def fulfil(route: Any) -> None:
        name = route.request.url.removeprefix(ADDRESS)
        seen.requests.append(name)
        kinds = {"editor.js": "text/javascript", "editor.css": "text/css"}
        if name == "":
            route.fulfill(body=PAGE, content_type="text/html")
        elif name in kinds:
            route.fulfill(body=(FOLDER / name).read_text(encoding="utf-8"), content_type=kinds[name])
        else:
            route.abort()

    page.on("console", lambda said: seen.problems.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: seen.problems.append(str(error)))
    page.expose_function("toPython", answer)
    page.route("**/*", fulfil)
    if frozen_clock:
        page.clock.install()
    page.goto(ADDRESS)
    page.locator(".il-tree tbody tr").first.wait_for()
    yield seen
    page.close()
