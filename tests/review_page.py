"""A review in a browser, against its own server on the loopback address."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from review_server import Client, reviewed

# a browser may drop keys until it has shown a page for the first time; of two frames one has been shown
SHOWN = "() => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(() => go())))"


@dataclass
class ReviewPage:
    """The page, what its server says, and what went wrong in the browser."""

    page: Any
    client: Client
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    @property
    def home(self) -> str:
        """Where everything that the page asks for has to come from."""
        return f"http://127.0.0.1:{self.client.port}/"

    def until(self, holds: str, most: float = 20.0) -> None:
        """Wait until an expression of the page holds; its content policy forbids what `wait_for_function` does."""
        end = time.monotonic() + most
        while not self.page.evaluate(holds):
            assert time.monotonic() < end, f"not so after {most} s: {holds}; {self.state()}"
            self.page.wait_for_timeout(20)

    def until_said(self, words: str) -> None:
        """Wait until the page says something."""
        self.until(f"document.getElementById('said').textContent.includes({words!r})")

    def state(self) -> str:
        """Return what tells why something does not come: the page's words, its errors, what it asked for last."""
        return f"it says {self.said()!r}, its problems are {self.problems[-3:]}, it asked last for {self.requests[-3:]}"

    def said(self) -> str:
        return str(self.page.locator("#said").inner_text())

    def to_gate(self, name: str) -> None:
        """Choose a gate in the list."""
        self.page.locator(f'#gates button[data-gate$="/{name}"]').click()
        self.until(f"document.title.startsWith('{name} ') && document.querySelector('.card canvas').width > 1")

    def open(self, i: int = 0) -> str:
        """Open the large plot of a card by a click; return the tube's code."""
        card = self.page.locator("#grid .card").nth(i)
        code = card.get_attribute("data-tube")
        card.click()
        self.until_open(code)
        return str(code)

    def until_open(self, code: str | None) -> None:
        self.until(f"document.title.includes(' in {code} ') && !!document.querySelector('.il-handle')")

    def row(self, name: str) -> list[str]:
        """Return events and percent of a population as the table beside the plot shows them."""
        line = self.page.locator(".il-tree tbody tr", has=self.page.get_by_role("button", name=name, exact=True))
        return [cell.split("\n")[0] for cell in line.locator("td").all_inner_texts()]

    def card(self, code: str) -> str:
        """Return the words of a tube's card, seen and unseen."""
        return str(self.page.locator(f'#grid .card[data-tube="{code}"]').text_content())

    def focused(self) -> str:
        """Return what has the focus: a tube's code, or an id."""
        return str(self.page.evaluate("document.activeElement.dataset.tube || document.activeElement.id"))


@contextmanager
def review_page(
    browser: Any, out: Path, width: int = 1400, height: int = 900, scheme: str = "light", reader: str = "ann"
) -> Iterator[ReviewPage]:
    """Give the page of a review as a browser shows it that opened the link."""
    with reviewed(out, reader=reader) as client:
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        name, _, secret = client.cookie.partition("=")
        context.add_cookies([{"name": name, "value": secret, "domain": "127.0.0.1", "path": "/"}])
        seen = ReviewPage(context.new_page(), client)
        said = seen.problems.append
        seen.page.on("console", lambda one: said(one.text) if one.type in ("error", "warning") else None)
        seen.page.on("pageerror", lambda error: said(str(error)))
        seen.page.on("request", lambda one: seen.requests.append(one.url))
        seen.page.goto(seen.home)
        seen.until("!!document.querySelector('.card canvas') && document.querySelector('.card canvas').width > 1")
        seen.page.evaluate(SHOWN)
        yield seen
        context.close()
