"""A review in a browser: a border is dragged, saved, accepted and taken back, with the mouse and with keys alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import browser as browsers
import pytest
from review_page import ReviewPage, review_page
from review_server import finished_run, reviewed

from immunolab.review.opening import open_review

TREG = "/lymphocytes/CD3/CD4/Treg"


@pytest.fixture(scope="module")
def browser():
    with browsers.chromium() as running:
        yield running


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_run(tmp_path_factory.mktemp("review"))


@pytest.fixture
def out(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "place")) / "out"


def percent(words: str) -> float:
    return float(words.removesuffix(" %"))


def drag(seen: ReviewPage, by: float) -> None:
    """Drag the first handle to the right, by a share of the picture, as a hand does."""
    handle, pad = seen.page.locator(".il-handle").first.bounding_box(), seen.page.locator(".il-pad").bounding_box()
    x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
    seen.page.mouse.move(x, y)
    seen.page.mouse.down()
    seen.page.mouse.move(x + by * pad["width"] / 2, y)
    seen.page.mouse.move(x + by * pad["width"], y)


def test_a_border_is_dragged_saved_accepted_undone_and_the_review_closed(browser, out):
    with reviewed(out, reader="bea") as client:
        client.post("close")
    with review_page(browser, out) as seen:
        page = seen.page
        assert page.locator("h1").inner_text() == "Gate review"
        seen.to_gate("Treg")
        code = seen.open()
        before = seen.row("Treg")
        drag(seen, 0.1)
        seen.until("document.querySelector('.il-tree .il-changed') !== null")
        assert page.locator(".save").is_hidden(), "nothing is changed before the hand lets go"
        page.mouse.up()
        page.locator(".save").wait_for()
        moved = seen.row("Treg")
        assert int(moved[0]) < int(before[0])
        assert f"{before[1]} → {moved[1]}" in page.locator(".effect").inner_text()
        page.get_by_label("Reason").select_option("other")
        page.get_by_role("button", name="Save").click()
        assert page.evaluate("document.activeElement.matches('.save input:invalid')"), "that reason needs a comment"
        page.get_by_label("Reason").select_option("wrong_population")
        page.get_by_label("Comment", exact=True).fill("too low by eye")
        page.get_by_role("button", name="Save").click()
        seen.until_said("Saved in 1 tube")
        seen.until_open(code)
        assert page.locator(".save").is_hidden()
        assert seen.row("Treg") == moved
        page.get_by_role("button", name="Accept").click()
        seen.until_said(f"{code} accepted")
        page.get_by_role("button", name="← All tubes").click()
        seen.until("document.title.startsWith('Treg –')")
        assert moved[1] in seen.card(code)
        assert "accepted, border moved by a reader" in seen.card(code)
        assert "1 of 24 decided" in page.locator("#progress-words").inner_text()
        page.get_by_role("button", name="Accept all shown…").click()
        page.get_by_role("button", name="Accept 5 tubes").click()
        seen.until_said("5 tubes accepted")
        assert "6 of 24 decided" in page.locator("#progress-words").inner_text()
        for words in ("Undone: accept Treg in 5 tubes", "Undone: accept Treg", "Undone: move Treg"):
            page.get_by_role("button", name="Undo").click()
            seen.until_said(f"{words}.")
        assert "undecided" in seen.card(code)
        assert "moved" not in seen.card(code)
        assert before[1] in seen.card(code)
        page.get_by_role("button", name="Redo").click()
        seen.until_said("Done again: move Treg")
        close(seen)
        assert "24 pictures are undecided" in seen.asked
        assert page.locator("h1").inner_text() == "Hidden name"
        seen.to_gate("Treg")
        page.get_by_role("button", name="Patients side by side").click()
        assert "Patient SLE001" in page.locator("#grid .patient h3").all_inner_texts()
        page.keyboard.press("a")
        page.locator("#grid .card").first.focus()
        page.keyboard.press("a")
        seen.until_said("closed")
        page.get_by_role("button", name="Readers").click()
        page.locator("#agreement tbody tr").first.wait_for()
        assert "Treg" in page.locator("#agreement tbody").inner_text()
        assert browsers.serious(page) == []
        assert seen.problems == []
        assert {url for url in seen.requests if not url.startswith((seen.home, "data:"))} == set()


def close(seen: ReviewPage) -> None:
    page = seen.page
    page.get_by_role("button", name="Finish…").click()
    seen.asked = page.locator("dialog").inner_text()
    page.get_by_role("button", name="Close and show names").click()
    assert page.locator("dialog").is_visible(), "closing needs the word that it is meant"
    page.get_by_label("I have finished").check()
    page.get_by_role("button", name="Close and show names").click()
    seen.until_said("The review is closed")


def test_keys_alone_go_through_a_gate(browser, out):
    with review_page(browser, out) as seen:
        press, page = seen.page.keyboard.press, seen.page
        press("g")
        press("End")
        press("Enter")
        seen.until("document.title.startsWith('Treg ') && document.activeElement.matches('.card')")
        tubes = page.locator("#grid .card").evaluate_all("cards => cards.map(one => one.dataset.tube)")
        press("ArrowRight")
        assert seen.focused() == tubes[1]
        press("Home")
        press("x")
        seen.until_said(f"{tubes[0]} rejected")
        seen.until(f"document.activeElement.dataset.tube === '{tubes[1]}'")
        press("Enter")
        seen.until_open(tubes[1])
        assert seen.focused() == "plot-name"
        press("o")
        seen.until_said("The sheet has no control for this gate")
        before = seen.row("Treg")
        press("e")
        assert page.evaluate("document.activeElement.matches('.il-handle')")
        press("Shift+ArrowRight")
        page.locator(".save").wait_for()
        assert seen.row("Treg") != before
        press("Control+z")
        seen.until("document.querySelector('.save').hidden")
        assert seen.row("Treg") == before
        press("e")
        press("Shift+ArrowRight")
        page.locator(".save").wait_for()
        press("Escape")
        page.locator("dialog").wait_for()
        assert "The border of Treg is moved and not saved." in page.locator("dialog").inner_text()
        press("Escape")
        seen.until("!document.querySelector('dialog')")
        press("s")
        assert page.evaluate("document.activeElement.value") == "tube"
        press("ArrowDown")
        press("Tab")
        page.keyboard.type("another")
        press("Tab")
        page.keyboard.type("at the valley: a, x and n are letters here")
        press("Enter")
        seen.until_said("Saved in 2 tubes")
        press("c")
        page.keyboard.type("second look")
        press("Control+Enter")
        seen.until_said("Comment kept")
        press("a")
        seen.until_open(tubes[2])
        press("Escape")
        seen.until(f"document.activeElement.dataset.tube === '{tubes[2]}'")
        assert "border moved by a reader, with a comment" in seen.card(tubes[1])
        press("t")
        assert page.locator("#grid .card").count() == len(tubes) - 2
        press("?")
        assert page.locator("dialog dt").count() >= 20
        page.get_by_label("Single letters act as keys").uncheck()
        press("Escape")
        press("t")
        assert page.locator("#grid .card").count() == len(tubes) - 2, "letters are off"
        assert seen.problems == []


def test_a_second_reader_who_saves_is_not_promised_the_next_run(browser, out):
    with open_review(out, reader="first"):
        pass
    with review_page(browser, out, reader="second") as seen:
        press = seen.page.keyboard.press
        seen.open()
        press("e")
        press("Shift+ArrowRight")
        seen.page.locator(".save").wait_for()
        seen.page.get_by_label("Reason").select_option("wrong_population")
        seen.page.get_by_role("button", name="Save", exact=True).click()
        seen.until_said("Saved in 1 tube.")
        assert "the next run takes the first reader's gates" in seen.said()


def test_filters_leave_the_tubes_that_match(browser, out):
    with review_page(browser, out) as seen:
        page, client = seen.page, seen.client
        flagged = next(gate for gate in client.get("session")["gates"] if gate["n_flagged"])
        seen.to_gate(flagged["name"])
        tubes = client.get("tubes", gate=flagged["path"])
        assert page.locator("#grid .card").evaluate_all("all => all.map(one => one.dataset.tube)") == [
            one["tube"] for one in tubes
        ]
        word = next(word for one in tubes for word in one["flags"])
        page.get_by_label("Flag").select_option(word)
        assert page.locator("#grid .card").count() == sum(word in one["flags"] for one in tubes)
        page.locator("#grid .card").first.hover()
        meaning = next(one["meaning"] for one in client.get("session")["flags"] if one["word"] == word)
        assert meaning in page.locator(".strip").inner_text()
        page.get_by_label("Flag").select_option("")
        page.keyboard.press("Escape")
        page.keyboard.press("v")
        groups = {one["group"] for one in tubes}
        assert set(page.locator("#grid .patient h3").all_inner_texts()) == {f"Patient {one}" for one in groups}
        cards = page.locator("#grid .patient").first.locator(".card")
        first, second = cards.evaluate_all("all => all.map(one => one.getBoundingClientRect().top)")
        assert first == second, "a patient's visits are side by side"


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (1400, "dark"), (800, "light"), (420, "dark")])
def test_nothing_is_inaccessible_or_wider_than_the_screen(browser, out, width, scheme):
    root = "document.documentElement"
    with review_page(browser, out, width, scheme=scheme) as seen:
        page = seen.page

        def good() -> None:
            assert browsers.serious(page) == []
            assert page.evaluate(f"{root}.scrollWidth <= {root}.clientWidth")

        page.keyboard.press("a")
        seen.until_said("accepted")
        good()
        page.locator("#grid .card").nth(1).click()
        seen.until("!!document.querySelector('.il-handle')")
        page.keyboard.press("e")
        page.keyboard.press("Shift+ArrowRight")
        page.locator(".save").wait_for()
        good()
        for name in ("Keys", "Comment…"):
            page.get_by_role("button", name=name).click()
            good()
            page.keyboard.press("Escape")
        assert seen.problems == []


def test_a_server_that_is_gone_is_said_and_the_page_goes_on_when_it_is_back(browser, out):
    with review_page(browser, out) as seen:
        seen.page.context.set_offline(True)
        seen.page.keyboard.press("a")
        seen.until_said("does not answer. What was saved is kept.")
        seen.page.context.set_offline(False)
        seen.page.keyboard.press("a")
        seen.until_said("accepted")
