"""The editor in a browser, on a plain page: dragging, keys alone, words as words, screens of every width and theme."""

from __future__ import annotations

from dataclasses import replace

import browser as browsers
import gate_scenes as scenes
import numpy as np
import pytest
from editor_page import editor_page

import immunolab as il
from immunolab.editor.editor import Editor
from immunolab.events.tube import Channel, Tube
from immunolab.gating.tubes import GatedTube

CD4 = "/cells/CD4"


@pytest.fixture(scope="module")
def browser():
    with browsers.chromium() as running:
        yield running


@pytest.fixture(scope="module")
def gated():
    return scenes.gated()


def choose(page, name):
    page.page.get_by_role("button", name=name, exact=True).first.click()
    page.settled()


def test_a_dragged_threshold_changes_the_counts_that_are_shown(browser, gated):
    editor = Editor(gated)
    with editor_page(browser, editor) as seen:
        choose(seen, "CD4")
        start = seen.row("CD4")
        mouse, box = seen.page.mouse, seen.handle("x lower").bounding_box()
        mouse.move(box["x"] + 12, box["y"] + 12)
        mouse.down()
        mouse.move(*seen.place(0.8, 0.5))
        seen.settled()
        while_dragging = seen.row("CD4")
        assert editor.gated is gated, "nothing is changed before the hand lets go"
        mouse.up()
        seen.settled()
        border = float(seen.page.locator(".il-values input[type=number]").input_value())
        v = scenes.compensated(gated.tube)
        cells = gated.mask("cells")
        n = int((cells & (v["CD4"] >= border)).sum())
        assert start != while_dragging
        assert while_dragging == seen.row("CD4") == [f"{n:,}", f"{100 * n / cells.sum():.2f} %"]
        below = int((cells & (v["CD4"] >= border) & (v["CD25"] >= 500)).sum())
        assert seen.row("CD25")[0] == f"{below:,}"
        rows = seen.page.locator(".il-tree tbody tr", has=seen.page.get_by_role("button", name="CD4", exact=True))
        assert f"was {start[0]}" in rows.inner_text()
        drops = [message for message in seen.sent if message["type"] == "drop"]
        assert len(drops) == 1
        assert drops[0]["x"] == pytest.approx(0.8, abs=0.003)
        assert seen.problems == []


def test_a_corner_and_an_edge_are_dragged_where_they_are_seen(browser, gated):
    editor = Editor(gated)
    with editor_page(browser, editor) as seen:
        choose(seen, "cells")
        seen.drag("corner 2", 0.6, 0.7)
        assert seen.handle("corner 2").bounding_box()["x"] + 12 == pytest.approx(seen.place(0.6, 0.7)[0], abs=1.5)
        assert editor.strategy["cells"].gate.vertices[2] != gated.strategy["cells"].gate.vertices[2]
        choose(seen, "box")
        edge = editor.scene.state()["gates"]
        (line,) = [h["line"] for g in edge if g["active"] for h in g["handles"] if h["key"] == "x upper"]
        mouse = seen.page.mouse
        mouse.move(*seen.place(line[0][0], line[0][1] + 0.2 * (line[1][1] - line[0][1])))
        mouse.down()
        mouse.move(*seen.place(line[0][0] - 0.03, 0.5))
        mouse.up()
        seen.settled()
        assert editor.strategy["box"].gate.upper[0] < gated.strategy["box"].gate.upper[0]
        assert editor.strategy["box"].gate.upper[1] == gated.strategy["box"].gate.upper[1]
        assert seen.problems == []


def test_escape_leaves_a_drag_and_nothing_is_changed(browser, gated):
    editor = Editor(gated)
    with editor_page(browser, editor) as seen:
        choose(seen, "CD4")
        before = seen.row("CD4")
        box = seen.handle("x lower").bounding_box()
        seen.page.mouse.move(box["x"] + 12, box["y"] + 12)
        seen.page.mouse.down()
        seen.page.mouse.move(*seen.place(0.9, 0.5))
        seen.settled()
        seen.page.keyboard.press("Escape")
        seen.page.mouse.up()
        seen.settled()
        assert seen.row("CD4") == before
        assert editor.gated is gated


def test_keys_alone_choose_move_draw_rename_undo_and_set_a_value(browser, gated):
    editor = Editor(gated)
    with editor_page(browser, editor) as seen:
        press, page = seen.page.keyboard.press, seen.page
        page.locator(".il-tree button[aria-current]").focus()
        press("ArrowDown")
        press("Enter")
        seen.settled()
        assert editor.scene.active == CD4
        before = editor.strategy["CD4"].gate.lower[0]
        _tab_to(page, ".il-handle")
        for _ in range(3):
            press("ArrowRight")
            seen.settled()
        assert editor.strategy["CD4"].gate.lower[0] > before
        assert page.evaluate("document.activeElement.dataset.handle") == "x lower"
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", "the focus is seen"
        press("Control+z")
        seen.settled()
        assert editor.strategy["CD4"].gate.lower[0] == before
        _tab_to(page, ".il-values input")
        press("Control+a")
        page.keyboard.type("2500")
        press("Enter")
        seen.settled()
        assert np.sinh(editor.strategy["CD4"].gate.lower[0]) * scenes.COFACTOR == pytest.approx(2_500)
        page.get_by_label("y", exact=True).select_option(label="CD25 (PE, B575-A)")
        seen.settled()
        page.get_by_role("button", name="Polygon").focus()
        press("Enter")
        for keys in (["ArrowLeft"] * 4, ["ArrowUp"] * 6, ["Shift+ArrowRight"] * 6):
            for key in keys:
                press(key)
            press("Enter")
        press("Shift+Enter")
        seen.settled()
        assert editor.scene.active == "/cells/gate 1"
        assert len(editor.strategy["gate 1"].gate.vertices) == 3
        name = page.get_by_label("Name of the gate")
        name.focus()
        press("Control+a")
        page.keyboard.type("drawn")
        press("Enter")
        seen.settled()
        assert "drawn" in [population.name for population in editor.strategy.populations]
        assert seen.problems == []


def _tab_to(page, selector):
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("(wanted) => document.activeElement.matches(wanted)", selector):
            return
    raise AssertionError(f"{selector} is not reached with the Tab key")


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (1400, "dark"), (420, "light"), (420, "dark")])
def test_nothing_is_inaccessible_loaded_or_wider_than_the_screen(browser, gated, width, scheme):
    with editor_page(browser, Editor(gated), width, scheme=scheme) as seen:
        for name in ("box", "both"):
            choose(seen, name)
            assert browsers.serious(seen.page) == [], name
        assert seen.page.locator(".il-member").count() > 100, "events of a combined gate, which has no border"
        seen.page.get_by_role("button", name="Rectangle").click()
        seen.page.mouse.click(*seen.place(0.2, 0.2))
        assert browsers.serious(seen.page) == []
        root = "document.documentElement"
        assert seen.page.evaluate(f"{root}.scrollWidth <= {root}.clientWidth")
        assert seen.requests == ["", "editor.css", "editor.js"]
        assert seen.problems == []


def test_names_of_files_and_channels_are_words_and_never_markup(browser):
    evil = "<img src=x onerror=window.hurt=1>"
    columns = scenes.tube(2_000).columns[:2]
    channels = (Channel(evil, kind="scatter"), Channel("SSC-A", kind="scatter"))
    editor = Tube(columns, channels, sample_id=evil).explore().editor
    with editor_page(browser, editor) as seen:
        seen.page.get_by_role("button", name="Above").click()
        seen.page.mouse.click(*seen.place(0.5, 0.5))
        seen.settled()
        seen.page.get_by_label("Name of the gate").fill(evil)
        seen.page.keyboard.press("Enter")
        seen.settled()
        assert editor.strategy.populations[0].name == evil
        assert seen.page.locator("img").count() == 0
        assert seen.page.evaluate("window.hurt") is None
        assert evil in seen.page.locator(".il-bar strong").inner_text()


def test_a_refused_change_is_said_and_the_page_goes_on(browser, gated):
    editor = Editor(gated)
    with editor_page(browser, editor) as seen:
        choose(seen, "CD4")
        seen.page.get_by_label("Name of the gate").fill("box")
        seen.page.keyboard.press("Enter")
        seen.settled()
        assert "box" in seen.page.get_by_role("status").inner_text()
        assert editor.gated is gated
        seen.drag("x lower", 0.8, 0.5)
        assert editor.gated is not gated


def test_the_densest_bin_is_drawn_where_the_events_are(browser):
    first = scenes.tube(3_000)
    columns = first.columns.copy()
    columns[0], columns[1] = 100_000.0, 30_000.0  # all events at one place
    editor = replace(first, columns=columns).explore().editor
    with editor_page(browser, editor) as seen:
        found = seen.page.evaluate(
            """() => { const c = document.querySelector('.il-plot canvas');
            const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; const at = [];
            for (let i = 0; i < d.length / 4; i++) if (d[4 * i + 3]) at.push([i % c.width, Math.floor(i / c.width)]);
            return at; }"""
        )
        view = editor.scene.view()
        x, y = view.x.place(100_000.0), view.axis("y").place(30_000.0)
        assert found == [[int(x * 128), 127 - int(y * 128)]]


def test_a_page_without_an_answer_says_so(browser, gated):
    class Silent(Editor):
        def receive(self, message):
            return super().receive(message) if message["type"] == "open" else []

    with editor_page(browser, Silent(gated), frozen_clock=True) as seen:
        seen.page.get_by_role("button", name="CD4", exact=True).click()
        seen.page.clock.fast_forward(9_000)
        assert "No answer from Python" in seen.page.get_by_role("status").inner_text()


def test_gating_a_tube_from_nothing_with_the_mouse(browser):
    events = scenes.tube(4_000)
    explorer = events.explore()
    with editor_page(browser, explorer.editor) as seen:
        seen.page.get_by_role("button", name="Ellipse").click()
        seen.page.mouse.click(*seen.place(0.35, 0.2))
        seen.page.mouse.click(*seen.place(0.85, 0.7))
        seen.settled()
        seen.page.get_by_role("button", name="Events inside").click()
        seen.settled()
        assert explorer.editor.scene.shown == "/gate 1"
        n = int(explorer.gated.mask("gate 1").sum())
        assert f"{n:,} events of gate 1" in seen.page.locator(".il-caption").inner_text()
    again = il.gate(events, explorer.strategy)
    assert isinstance(again, GatedTube)
    assert int(again.mask("gate 1").sum()) == n > 1_000
