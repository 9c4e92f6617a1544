"""Reports of large studies: memory that does not grow with the figures drawn, and pages beside the first."""

from __future__ import annotations

import gc
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import browser as browsers
import pandas as pd
import pytest
import report_fixture
from matplotlib.figure import Figure

from immunolab.plots import paired
from immunolab.plots.drawn_memory import free_drawn
from immunolab.report.contact import Sheet
from immunolab.report.figure import ReportFigure, Written
from immunolab.report.long_tables import ROWS_BESIDE, ROWS_ON_PAGE
from immunolab.report.page import _drawn, write_report
from immunolab.report.patient_index import patient_index

DRAW = """
import json, resource, sys
from functools import partial
from pathlib import Path
import pandas as pd
from immunolab.plots.style import MM, WIDTH
from immunolab.report.figure import ReportFigure, on_axes, write_figure

def plot(ax):
    for i in range(40):
        ax.plot([0, 1], [i, i + 1])
        ax.text(0.5, i, f"line {i}")
    return ax

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

folder, peaks = Path(sys.argv[1]), []
for i in range(14):
    draw = partial(on_axes, plot, WIDTH, 250 * MM)
    write_figure(ReportFigure(f"flow_{i}", "gating", "", draw, pd.DataFrame(), suffixes=(".png",)), folder)
    peaks.append(peak())
print(json.dumps([peaks, "numba" in sys.modules]))
"""


def test_memory_does_not_grow_with_the_figures_drawn(tmp_path: Path) -> None:
    """Sixteen pages of gates took a process from 300 to 630 MiB; a figure's pixels were held three times."""
    done = subprocess.run([sys.executable, "-c", DRAW, str(tmp_path)], check=True, capture_output=True, text=True)
    peaks, numba = json.loads(done.stdout.splitlines()[-1])
    assert peaks[-1] - peaks[1] < 15  # MiB
    assert not numba


@pytest.mark.parametrize("left_out", [False, True])
def test_python_looks_again_where_drawing_raised_but_not_at_what_was_left_out_before(
    left_out: bool, tmp_path: Path
) -> None:
    def drawing(function: object, items: list[object]) -> list[Written]:
        free_drawn()
        assert gc.get_freeze_count() > 0
        raise OSError("the disk is full")

    run = report_fixture.finished_run(out=tmp_path)
    (gc.freeze if left_out else gc.unfreeze)()
    try:
        with pytest.raises(OSError, match="full"):
            write_report(run, apply=drawing)
        assert (gc.get_freeze_count() > 0) == left_out
    finally:
        gc.freeze()


def test_python_looks_for_what_can_be_freed_after_a_figure_and_not_while_it_is_drawn(tmp_path: Path) -> None:
    looked: list[bool] = []

    def draw() -> Figure:
        looked.append(gc.isenabled())
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        _drawn(ReportFigure("flow", "gating", "", draw, pd.DataFrame()), tmp_path)
    assert looked == [False]
    assert gc.isenabled()


PATIENTS = 1_100  # more than a page beside the first holds


def _undrawn(batches: list[int]):
    """Return a map that makes figures' files without drawing, and notes how many figures it is given at once."""

    def write(function, items):
        batches.append(len(items))
        return [_touched(one, function.keywords["folder"]) for one in items if isinstance(one, ReportFigure)]

    return write


def _touched(one: ReportFigure, folder: Path) -> Written:
    for suffix in (".pdf", ".svg", ".png", ".csv"):
        (folder / f"{one.full or one.name}{suffix}").touch()
    shown = "AAAA" if one.on_page else ""
    name = one.full or one.name
    return Written(name, one.section, one.caption, shown, one.wide, one.cohort, one.endpoint, patient=one.patient)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    out = tmp_path_factory.mktemp("large")
    frames = report_fixture.tables(PATIENTS, visits=("W0", "W2", "W10"))
    few = frames["shifts"]["endpoint"].isin(["treg_pct_cd4", "th17_pct_cd4"])
    frames |= {"shifts": frames["shifts"][few]}
    batches: list[int] = []
    run = report_fixture.finished_run(frames, out=out)
    page = write_report(run, apply=_undrawn(batches))
    return run, out, page.read_text(encoding="utf-8"), batches


def _rows(html: str, table: str) -> int:
    body = re.search(rf'<table id="{table}".*?</table>', html, re.DOTALL)
    return body[0].count("<tr>") - 1 if body else 0


def test_tables_of_many_rows_are_whole_on_pages_beside_the_first(large) -> None:
    run, out, html, _ = large
    assert len(html) < 6e6
    for endpoint in ("treg_pct_cd4", "th17_pct_cd4"):
        table = f"table-patients-{endpoint}-SLE"
        assert _rows(html, table) == ROWS_ON_PAGE
        pages = [(out / f"pages/{table}-{i}.html").read_text(encoding="utf-8") for i in (1, 2)]
        assert [_rows(page, table) for page in pages] == [ROWS_BESIDE, PATIENTS - ROWS_BESIDE]
        for patient in {s.patient_id for s in run.samples}:
            assert sum(f">{patient}</th>" in page for page in pages) == 1, patient
    assert f"The first {ROWS_ON_PAGE} of 1,100 rows" in html


def test_every_link_of_every_page_leads_to_a_file_or_a_place(large) -> None:
    _, out, _, _ = large
    for path in [out / "report.html", out / "quality.html", *(out / "pages").iterdir()]:
        text = path.read_text(encoding="utf-8")
        own = set(re.findall(r' id="([^"]*)"', text))
        for link in re.findall(r' href="([^"]*)"', text):
            file, _, place = link.partition("#")
            assert not file or (path.parent / file).exists(), (path.name, link)
            there = (path.parent / file).read_text(encoding="utf-8") if place and file else ""
            assert not place or (f'id="{place}"' in there if file else place in own), (path.name, link)


def test_pages_beside_the_first_load_nothing_and_are_in_the_manifest(large) -> None:
    _, out, html, _ = large
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1]
    outputs = json.loads((out / "manifest.json").read_text(encoding="utf-8"))["outputs"]
    for path in (out / "pages").iterdir():
        assert policy in path.read_text(encoding="utf-8")
        assert f"pages/{path.name}" in outputs


def test_figures_of_a_large_study_are_not_held_together(large) -> None:
    _, _, _, batches = large
    assert sum(batches) > PATIENTS
    assert max(batches) <= 400


def test_each_patient_is_in_the_index_with_pages_and_samples(large) -> None:
    run, out, _, _ = large
    index = "".join((out / f"pages/table-index-{i}.html").read_text(encoding="utf-8") for i in (1, 2))
    for patient in {s.patient_id for s in run.samples}:
        assert f'"../figures/patient_{patient}.png"' in index
    sheets = [
        Sheet(s.sample_id, s.patient_id, s.visit, f"samples/{s.sample_id}/gating.png", Path(), "") for s in run.samples
    ]
    grid = patient_index(run, [], sheets)
    assert grid.headings == ("Patient", "Cohort", "W0", "W2", "W10")
    row = next(row for row in grid.rows if row[0].text == "P09")
    assert [cell.link for cell in row[2:]] == [f"samples/P09_{visit}/gating.png" for visit in ("W0", "W2", "W10")]


def test_a_small_study_has_one_page_and_removes_those_of_a_larger_one(large, tmp_path: Path) -> None:
    stale = tmp_path / "pages" / "table-index-1.html"
    stale.parent.mkdir()
    stale.write_text("of an earlier report")
    run = replace(report_fixture.finished_run(), folder=tmp_path)
    html = write_report(run, apply=_undrawn([])).read_text(encoding="utf-8")
    assert not stale.parent.exists()
    assert "table-index" not in html
    assert "pages/" not in html


def test_planning_figures_goes_through_a_table_once_and_not_for_each_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The visits of a caption were looked for patient by patient: half an hour with 2,500 patients."""
    frames = report_fixture.tables(60)
    asked: list[str] = []
    looked = paired.side_visits
    monkeypatch.setattr(paired, "side_visits", lambda text, visits: asked.append(text) or looked(text, visits))
    own = {name: frames[name][frames[name]["endpoint"] == "treg_pct_cd4"] for name in ("endpoints", "pairs")}
    assert paired.timing_words(own["endpoints"], own["pairs"]).startswith("W0: day ")
    assert asked == ["W0", "W10"]


def test_the_index_of_patients_is_searched_sorted_and_followed_in_a_browser(large) -> None:
    _, out, _, _ = large
    index = out / "pages" / "table-index-1.html"
    shown = "() => [...document.querySelectorAll('tbody tr')].filter(row => row.offsetParent).map(row => row.innerText)"
    with browsers.chromium() as browser:
        with browsers.opened(browser, index) as seen:
            assert len(seen.page.evaluate(shown)) == ROWS_BESIDE
            seen.page.locator("input[type=search]").fill("P500")
            (row,) = seen.page.evaluate(shown)
            assert row.split()[:2] == ["P500", "SLE"]
            links = seen.page.locator("tbody tr:visible a").evaluate_all("found => found.map(one => one.href)")
            assert links
            assert all(Path(link.removeprefix("file://")).is_file() for link in links)
            seen.page.locator("input[type=search]").fill("")
            seen.page.locator("thead th").first.click()
            first = seen.page.evaluate(shown)[0].split()[0]
            seen.page.locator("thead th").first.click()
            assert seen.page.evaluate(shown)[0].split()[0] != first
            assert (seen.problems, seen.requests, browsers.serious(seen.page)) == ([], [], [])
        with browsers.opened(browser, index, 420) as seen:
            root = "document.documentElement"
            assert seen.page.evaluate(f"{root}.scrollWidth <= {root}.clientWidth")
