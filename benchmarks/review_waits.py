"""How long a reader waits in a review of many tubes, in Chromium against the review's own server.

``python benchmarks/review_waits.py FOLDER [PATIENTS]`` makes a study of PATIENTS x 2 tubes and 12 gates in FOLDER (250
take a minute), runs it, and prints the seconds for each gate's grid, a reload, side by side, accept, accept all and
undo, and, of a tube of 300,000 events, from the hand's move to the changed counts.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import browser as browsers
from review_page import ReviewPage, review_page

from immunolab.results.record import RECORD
from immunolab.simulation import simulate
from immunolab.workflow.run import run

GATES = """
strategy: drawn
transform: {default: {asinh: {cofactor: 150}}, scatter: linear}
populations:
  - {name: lymphocytes, parent: root, rectangle: {FSC-A: [4e4, 1.3e5], SSC-A: [0, 6e4]}}
  - {name: CD3, parent: lymphocytes, rectangle: {CD3: [2.5, null]}}
  - {name: CD4, parent: CD3, rectangle: {CD4: [2.5, null], CD8: [null, 2.5]}}
  - {name: CD8, parent: CD3, rectangle: {CD8: [2.5, null], CD4: [null, 2.5]}}
  - {name: Treg, parent: CD4, rectangle: {CD25: [2.8, null], CD127: [null, 2.5]}}
  - {name: Tconv, parent: CD4, rectangle: {CD25: [null, 2.8], CD127: [2.5, null]}}
  - {name: naive, parent: CD4, rectangle: {CD45RA: [2.5, null], CCR7: [2.5, null]}}
  - {name: memory, parent: CD4, rectangle: {CD45RA: [null, 2.5], CCR7: [null, 2.5]}}
  - {name: Tfh, parent: memory, rectangle: {CXCR5: [2.5, null], PD-1: [2.5, null]}}
  - {name: Th17, parent: memory, rectangle: {CCR6: [2.5, null], CXCR3: [null, 2.5]}}
  - {name: Th1, parent: memory, rectangle: {CXCR3: [2.5, null], CCR6: [null, 2.5]}}
  - {name: CD8_act, parent: CD8, rectangle: {HLA-DR: [2.5, null], CD38: [2.5, null]}}
"""
DRAWN = "document.querySelector('#grid .card canvas')?.width > 1"
MOST = 60.0  # seconds that anything is waited for


def made(folder: Path, patients: int, events: int) -> Path:
    """Return a finished run, which is made where it is not there."""
    if not (folder / "out" / RECORD).exists():
        simulate(
            "sle_nct02084238", patients=patients, seed=5, folder=folder / "study", visits=["W0", "W10"], events=events
        )
        (folder / "study" / "gates.yaml").write_text(GATES)
        (folder / "study" / "study.yaml").write_text(
            "study: many\nsheet: samples.csv\npanels: {surface: {strategy: gates.yaml}}\n"
            "comparison: {before: W0, after: W10}\n"
        )
        run(folder / "study", out=folder / "out", tables_only=True, jobs=2)
    return folder / "out"


def waited(words: str, act: Callable[[], object], until: Callable[[], object]) -> None:
    """Print the seconds from an act to what it shows."""
    start = time.perf_counter()
    act()
    until()
    print(f"{words:<24}{time.perf_counter() - start:7.2f} s", flush=True)


def grids(seen: ReviewPage) -> None:
    """Print the wait for each gate, twice, and for what is done in a grid."""
    page = seen.page
    for turn in ("first", "again"):
        for i, gate in enumerate(seen.client.get("session")["gates"]):
            shown = f"document.title.startsWith('{gate['name']} –') && {DRAWN}"
            button = f"document.querySelectorAll('#gates button')[{i}].click()"
            waited(f"{gate['name']}, {turn}", lambda b=button: page.evaluate(b), lambda s=shown: seen.until(s, MOST))
    waited("reload", page.reload, lambda: seen.until(DRAWN, MOST))
    press = page.keyboard.press
    waited("side by side", lambda: press("v"), lambda: seen.until("!!document.querySelector('.grouped')", MOST))
    waited("accept", lambda: press("a"), lambda: seen.until_said("accepted"))
    press("Shift+A")
    waited("accept all", page.locator("dialog .strong").click, lambda: seen.until_said("tubes accepted"))
    waited("undo", lambda: press("Control+z"), lambda: seen.until_said("Undone"))


def drags(seen: ReviewPage) -> None:
    """Print the waits from a move of the hand to the counts that it changes, in a tube of many events."""
    page, waits = seen.page, []
    seen.to_gate("CD4")
    waited(
        "open",
        lambda: page.locator("#grid .card").first.click(),
        lambda: seen.until("!!document.querySelector('.il-handle')"),
    )
    box = page.locator(".il-handle").first.bounding_box()
    page.mouse.move(box["x"] + 12, box["y"] + 12)
    page.mouse.down()
    for step in range(1, 21):
        before = page.locator(".il-counted").inner_text()
        start = time.perf_counter()
        page.mouse.move(box["x"] + 12 + 4 * step, box["y"] + 12)
        seen.until(f"document.querySelector('.il-counted').textContent !== {before!r}")
        waits.append(1000 * (time.perf_counter() - start))
    page.mouse.up()
    waits.sort()
    print(f"a drag's counts follow after {waits[len(waits) // 2]:.0f} ms, at most {waits[-1]:.0f} ms")


def main() -> None:
    """Make both runs and print all waits."""
    folder, patients = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 250
    with browsers.chromium() as browser:
        with review_page(browser, made(folder / "many", patients, 1_500), reader="many") as seen:
            grids(seen)
        with review_page(browser, made(folder / "large", 1, 300_000), reader="large") as seen:
            drags(seen)


if __name__ == "__main__":
    main()
