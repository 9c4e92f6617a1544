"""The report as a browser shows it: nothing loaded, nothing inaccessible, tables and figures at work, all on paper."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import browser as browsers
import pytest
import report_fixture
from pypdf import PdfReader

from immunolab.report.document import breakable
from immunolab.report.page import write_report
from immunolab.report.pdf import write_pdf
from immunolab.schema.formula_cells import neutralised
from immunolab.schema.tables import ALL

_EVENTS = ALL["adverse_events"].frame(
    [
        {
            "cohort": "SLE",
            "phase": "on_treatment",
            "term": "injection site reaction",
            "n_patients": 8,
            "n_with_event": 3,
            "percent": 37.5,
            "ci_low": 8.5,
            "ci_high": 75.5,
            "n_events": 5,
            "grade_1": 3,
            "grade_2": 0,
            "grade_3": 0,
            "grade_4": 0,
            "grade_5": 0,
            "not_graded": 0,
        }
    ]
)
_DEATH = ALL["intercurrent_events"].frame(
    [
        {
            "patient_id": "P07",
            "event": "death",
            "study_day": 60,
            "assessed": "yes",
            "seen_in": "outcomes",
            "detail": "died of pneumonia",
        }
    ]
)
_TIPPING = ALL["tipping"].frame(
    [
        {
            "cohort": "SLE",
            "endpoint": "treg_pct_cd4",
            "n_pairs": 6,
            "n_missing": 2,
            "shift_scale": "logit",
            "estimate": 0.7,
            "ci_low": 0.5,
            "ci_high": 0.9,
            "tipping_sd": 7.25,
            "tipping_shift": -1.75,
            "contrast": "W10 vs W0",
            "method": "pattern mixture of the test",
        }
    ]
)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    run = report_fixture.finished_run(out=tmp_path_factory.mktemp("report"))
    few = run.shifts[run.shifts["endpoint"].isin(["treg_pct_cd4", "th17_pct_cd4"])]
    added = {"shifts": few, "adverse_events": _EVENTS, "intercurrent_events": _DEATH, "tipping": _TIPPING}
    tables = {**run.tables, **added}
    for name, table in tables.items():
        ALL[name].write(table, run.folder / "tables" / f"{name}.csv")
    return write_report(replace(run, tables=tables))


@pytest.fixture(scope="module")
def browser():
    with browsers.chromium() as running:
        yield running


@pytest.mark.parametrize("width", [1400, 800, 420])
def test_nothing_is_loaded_inaccessible_or_wider_than_the_screen(browser, page, width):
    with browsers.opened(browser, page, width) as seen:
        assert browsers.serious(seen.page) == []
        root = "document.documentElement"
        assert seen.page.evaluate(f"{root}.scrollWidth <= {root}.clientWidth")
        assert (seen.problems, seen.requests) == ([], [])


def test_the_first_screen_has_the_primary_endpoint_with_its_figure(browser, page):
    with browsers.opened(browser, page) as seen:
        assert browsers.first_screen(seen.page) == ["h1", "sentence", "figure"]


def test_the_policy_refuses_what_is_not_the_page_s_own(browser, page):
    append = "document.body.append(Object.assign(document.createElement('img'), {src: 'elsewhere.png'}))"
    refused = "Content Security Policy"
    with browsers.opened(browser, page) as seen, seen.page.expect_console_message(lambda one: refused in one.text):
        seen.page.evaluate(append)


def test_a_table_sorts_by_exact_values_both_ways(browser, page):
    with browsers.opened(browser, page) as seen:
        table = seen.page.locator("[id='shifts-cohort-SLE']")
        column = table.locator("thead th").all_inner_texts().index("p") + 1
        exact = f"tbody tr td:nth-child({column})"
        button = table.locator(f"thead th:nth-child({column}) button")
        orders = []
        for _ in range(2):
            button.click()
            orders.append([float(c.get_attribute("data-value")) for c in table.locator(exact).all()])
        assert len(orders[0]) == 2
        assert orders[0] == sorted(orders[0])
        assert orders[1] == orders[0][::-1]
        assert table.locator(f"thead th:nth-child({column})").get_attribute("aria-sort") == "descending"


def test_a_table_filters_and_downloads_what_is_seen(browser, page):
    with browsers.opened(browser, page) as seen:
        region = seen.page.locator(".tools", has=seen.page.get_by_label("Filter rows: MIFlowCyt"))
        table = seen.page.locator("#table-miflowcyt")
        everything = table.locator("tbody tr").count()
        region.locator("input").fill("instrument")
        shown = table.locator("tbody tr:visible").count()
        assert 0 < shown < everything
        assert region.locator("[role=status]").inner_text() == f"{shown} of {everything} rows"
        with seen.page.expect_download() as got:
            region.get_by_role("button", name="Download as CSV").click()
        text = got.value.path().read_text(encoding="utf-8-sig")
        assert got.value.suggested_filename == "miflowcyt.csv"
        assert len(list(csv.reader(io.StringIO(text)))) == shown + 1


@pytest.mark.parametrize("text", ["=1+1", "@A1", "-1e-5", "−3", "+1;=2", "P01, 'W0'", "'=1"])
def test_a_download_neutralises_formulas_as_the_tables_of_the_run_do(browser, page, text):
    with browsers.opened(browser, page) as seen:
        cell = seen.page.locator("#table-unpaired tbody th").first
        cell.evaluate("(cell, text) => { cell.textContent = text }", text)
        with seen.page.expect_download() as got:
            seen.page.get_by_label("Download as CSV: Patients without a pair").click()
        rows = list(csv.reader(io.StringIO(got.value.path().read_text(encoding="utf-8-sig"))))
        assert rows[1][0] == neutralised(text)


def test_figures_enlarge_and_close_by_keyboard(browser, page):
    with browsers.opened(browser, page) as seen:
        link = seen.page.locator("a.enlarge").first
        link.focus()
        seen.page.keyboard.press("Enter")
        dialog = seen.page.locator("#enlarged")
        assert dialog.is_visible()
        assert dialog.locator("img").get_attribute("alt") == link.locator("img").get_attribute("alt")
        seen.page.keyboard.press("Escape")
        assert not dialog.is_visible()


def test_the_first_key_leads_past_the_contents_and_focus_is_seen(browser, page):
    with browsers.opened(browser, page) as seen:
        seen.page.keyboard.press("Tab")
        focused = "document.activeElement"
        assert seen.page.evaluate(f"{focused}.hash") == "#main"
        assert seen.page.evaluate(f"getComputedStyle({focused}).outlineStyle") == "solid"
        assert seen.page.evaluate(f"{focused}.getBoundingClientRect().left") >= 0


def test_a_link_opens_what_is_folded_and_the_contents_follow(browser, page):
    with browsers.opened(browser, page, at="#tipping") as seen:
        assert seen.page.locator("#table-tipping").is_visible()
        seen.page.locator('[href="#sensitivity"][aria-current]').wait_for()


def test_every_link_of_the_page_resolves(browser, page):
    with browsers.opened(browser, page) as seen:
        links = seen.page.eval_on_selector_all("a[href]", "(links) => links.map((a) => a.getAttribute('href'))")
        ids = set(seen.page.eval_on_selector_all("[id]", "(all) => all.map((one) => one.id)"))
    assert len(links) > 30
    for link in links:
        file, _, place = link.partition("#")
        assert not file or (page.parent / file).is_file(), link
        text = (page.parent / file).read_text(encoding="utf-8") if file and place else ""
        assert not place or place in ids or f'id="{place}"' in text, link


def test_paper_loses_nothing(browser, page, tmp_path):
    with browsers.opened(browser, page) as seen:
        seen.page.get_by_label("Filter rows: MIFlowCyt").fill("no row has these words")
        printed = seen.page.pdf(prefer_css_page_size=True)
    _holds_everything(PdfReader(io.BytesIO(printed)))
    assert write_pdf(page, tmp_path / "one.pdf") == "chromium"
    _holds_everything(PdfReader(tmp_path / "one.pdf"))
    write_pdf(page, tmp_path / "two.pdf")
    assert (tmp_path / "one.pdf").read_bytes() == (tmp_path / "two.pdf").read_bytes()


def test_no_table_is_wider_than_paper_or_the_whole_page_would_be_printed_smaller(browser, page):
    with browsers.opened(browser, page, width=695) as seen:  # px of A4 less its margins; landscape 1024
        seen.page.emulate_media(media="print")
        wide = seen.page.evaluate(
            """() => { document.querySelectorAll("details").forEach(d => d.open = true);
            return [...document.querySelectorAll("table")].filter(t =>
            t.getBoundingClientRect().width > (t.classList.contains("many") ? 1024 : 696)).map(t => t.id) }"""
        )
    assert wide == []


def test_a_path_of_populations_may_go_on_in_the_next_line_and_short_words_may_not():
    path = "/singlets/viable/CD3/CD4/CD4_mem"
    assert str(breakable(f"<b> {path} a/b")) == (
        "&lt;b&gt; /singlets/<wbr>viable/<wbr>CD3/<wbr>CD4/<wbr>CD4_<wbr>mem a/b"
    )
    assert str(breakable("Single Cells/CD3+/CD4+/CD45RA-/CCR7+/CD25+")) == (
        "Single Cells/<wbr>CD3+/<wbr>CD4+/<wbr>CD45RA-/<wbr>CCR7+/<wbr>CD25+"
    )


def test_weasyprint_prints_the_same_words(page, tmp_path):
    pytest.importorskip("weasyprint", exc_type=(ImportError, OSError), reason="WeasyPrint or its libraries are missing")
    assert write_pdf(page, tmp_path / "page.pdf", "weasyprint") == "weasyprint"
    _holds_everything(PdfReader(tmp_path / "page.pdf"))


def _holds_everything(printed: PdfReader) -> None:
    text = " ".join("".join(sheet.extract_text() + " " for sheet in printed.pages).split())
    for words in ("died of pneumonia", "injection site reaction", "pattern mixture of the test", "7.25", "MIFlowCyt"):
        assert words in text, words
    assert "Filter rows" not in text
    assert str(len(printed.pages)) in text, "pages are numbered"
