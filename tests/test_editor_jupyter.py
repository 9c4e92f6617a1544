"""The editor in a real JupyterLab: the cell is run, a threshold dragged, the strategy read back in the next cell."""

from __future__ import annotations

import browser as browsers
import gate_scenes as scenes
import pytest
from live_jupyter import jupyter, notebook

_SHOW = """import gate_scenes
gated = gate_scenes.gated()
editor = gated.explore()
editor"""
_READ = """gate, now = editor.strategy["CD4"].gate, editor.gated
raw = float(gate.dimensions[0].transform.inverse([gate.lower[0]])[0])
print(repr(raw), now.mask("CD4").sum(), gated.mask("CD4").sum(), now.percent("CD4"))"""


def test_a_threshold_is_dragged_in_jupyterlab_and_read_back_in_the_next_cell(tmp_path):
    name = notebook(tmp_path, _SHOW, _READ)
    with browsers.chromium() as browser, jupyter(tmp_path) as (address, token):
        page = browser.new_page(viewport={"width": 1400, "height": 1100})
        asked: list[str] = []
        page.on("request", lambda one: asked.append(one.url))
        page.goto(f"{address}lab/tree/{name}?token={token}")
        cells = page.locator(".jp-Notebook .jp-CodeCell")
        cells.nth(1).wait_for(timeout=60_000)
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)  # a cell run before is lost
        cells.first.locator(".cm-content").click()
        page.keyboard.press("Shift+Enter")
        row = page.locator('.il-tree tr[data-path="/cells/CD4"]')
        row.wait_for(timeout=60_000)
        row.get_by_role("button").click()
        handle = page.locator('.il-handle[data-handle="x lower"]')
        handle.wait_for()
        v, cells_of = scenes.compensated(scenes.tube()), scenes.gated().mask("cells")
        start = int((cells_of & (v["CD4"] >= 1_000)).sum())
        shown = row.locator("td").first
        assert shown.inner_text() == f"{start:,}"
        box, pad = handle.bounding_box(), page.locator(".il-pad").bounding_box()
        page.mouse.move(box["x"] + 12, box["y"] + 12)
        page.mouse.down()
        for share in (0.72, 0.76, 0.8):
            page.mouse.move(pad["x"] + share * pad["width"], pad["y"] + pad["height"] / 2)
        changed = "(n) => !(document.querySelector('.il-changed td')?.innerText ?? n).startsWith(n)"
        page.wait_for_function(changed, arg=f"{start:,}")
        page.mouse.up()
        page.get_by_role("button", name="Undo: move CD4").wait_for()
        border = float(page.locator(".il-values input[type=number]").input_value())
        n = int((cells_of & (v["CD4"] >= border)).sum())
        assert shown.inner_text().split("\n")[0] == f"{n:,}"
        assert n < start
        assert browsers.serious(page, ".il-editor") == []
        handle.focus()
        for key in ("x", "d", "d", "Shift", "b", "ArrowRight", "Control+z"):
            page.keyboard.press(key)  # letters are commands on cells, which the notebook must not take
        page.get_by_role("button", name="Redo: move CD4").wait_for()
        assert page.evaluate("document.activeElement.dataset.handle") == "x lower"
        assert cells.count() == 2
        cells.nth(1).locator(".cm-content").click()
        page.keyboard.press("Shift+Enter")
        printed = cells.nth(1).locator(".jp-OutputArea-output")
        printed.wait_for()
        found = printed.inner_text().split()
        assert float(found[0]) == pytest.approx(border, rel=1e-9)
        assert found[1:3] == [str(n), str(start)]
        assert float(found[3]) == pytest.approx(100 * n / cells_of.sum())
        own = (address, address.replace("http", "ws"), "blob:", "data:")
        assert [url for url in asked if not url.startswith(own)] == []
