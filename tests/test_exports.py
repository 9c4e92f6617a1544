"""What a run is handed on as: workbook, PDF and slides; the same run gives the same bytes, and verify compares them."""

from __future__ import annotations

import math
import zipfile
from dataclasses import replace

import pandas as pd
import pytest
import report_fixture
from openpyxl import load_workbook

from immunolab.cli import main
from immunolab.errors import InputError
from immunolab.report import exports, pdf, slides
from immunolab.report.exports import check_formats, export_problems, remove_stale_exports, write_exports
from immunolab.results import workbook
from immunolab.results.findings import findings
from immunolab.results.record import write_run
from immunolab.schema.flags import Flag
from immunolab.schema.gating import FAILURES

TEXTS = ['=HYPERLINK("http://x")', "+1", "-1", "@SUM(A1)", "\t=1", "#N/A", "plain, text", "\x07bell", "x" * 40_000]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    made = report_fixture.finished_run(out=tmp_path_factory.mktemp("run"))
    rows = [{"sample_id": f"s{i}", "file": "f", "stage": "read", "error": text} for i, text in enumerate(TEXTS)]
    made = replace(made, tables={**made.tables, "failures": FAILURES.frame(rows)})
    write_run(made)
    return made


@pytest.fixture(scope="module")
def book(run):
    return load_workbook(run.to_excel())


def values(sheet):
    return [[cell.value for cell in row] for row in sheet.iter_rows(min_row=2)]


def test_every_table_is_a_sheet_and_every_value_is_there(run, book):
    for name, table in run.tables.items():
        if name == "failures" or table.empty:
            continue
        sheet = book[name]
        assert [cell.value for cell in sheet[1]] == list(table.columns)
        for read, row in zip(values(sheet), table.astype(object).itertuples(index=False), strict=True):
            for value, expected in zip(read, row, strict=True):
                assert (value is None) if pd.isna(expected) else (value == expected), (name, value, expected)
    assert not {name for name, table in run.tables.items() if table.empty} & set(book.sheetnames)


def test_numbers_are_numbers_and_text_is_never_a_formula(book):
    assert {type(row[4]) for row in values(book["shifts"])} == {int}
    assert all(cell.data_type != "f" for sheet in book for row in sheet for cell in row)
    texts = [row[3] for row in values(book["failures"])]
    assert texts[:7] == TEXTS[:7]
    assert texts[7] == "\N{REPLACEMENT CHARACTER}bell"
    assert len(texts[8]) == 32_767
    assert texts[8].endswith("the CSV of this table]")
    cells = [row[3] for row in book["failures"].iter_rows(min_row=2)]
    assert [bool(cell.quotePrefix) for cell in cells[:4]] == [True] * 4


def test_headings_stay_in_view_and_columns_are_as_wide_as_their_texts(book):
    for sheet in book:
        assert sheet.freeze_panes == "A2"
        assert sheet.auto_filter.ref.startswith("A1:")
        assert all(8 <= column.width <= 49 for column in sheet.column_dimensions.values())


def test_the_dictionary_explains_every_column_and_the_words_every_flag(run, book):
    explained = {tuple(row[:2]) for row in values(book["dictionary"])}
    columns = {(name, str(column)) for name, table in run.tables.items() if len(table) for column in table}
    assert columns == explained
    words = {row[0]: row[3] for row in values(book["words"]) if row[1] == "flag"}
    assert words == {str(flag): flag.meaning for flag in Flag}
    rows = {row[0]: row[2] for row in values(book["contents"])}
    assert rows["shifts"] == len(run.shifts)


def test_a_table_longer_than_a_sheet_goes_on_in_the_next(run, monkeypatch):
    monkeypatch.setattr(workbook, "ROWS_OF_A_SHEET", 10)
    sheets = [sheet for sheet in workbook.sheets_of(run.tables) if sheet.table.name == "pairs"]
    assert [sheet.name for sheet in sheets][:2] == ["pairs", "pairs_2"]
    assert sum(len(sheet.rows) for sheet in sheets) == len(run.pairs)


def test_the_same_run_gives_the_same_workbook_with_no_time_in_it(run, tmp_path):
    first, second = run.to_excel(tmp_path / "a.xlsx"), run.to_excel(tmp_path / "b.xlsx")
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert b"1980-01-01T00:00:00Z" in archive.read("docProps/core.xml")


def test_infinite_numbers_are_text(run, tmp_path):
    changed = run.shifts.assign(estimate=math.inf)
    book = load_workbook(replace(run, tables={**run.tables, "shifts": changed}).to_excel(tmp_path / "a.xlsx"))
    column = list(changed.columns).index("estimate")
    assert {row[column] for row in values(book["shifts"])} == {"inf"}


@pytest.fixture(scope="module")
def deck(run, tmp_path_factory):
    pptx = pytest.importorskip("pptx")
    path = slides.write_slides(run, tmp_path_factory.mktemp("slides") / "a.pptx")
    again = slides.write_slides(run, path.with_name("b.pptx"))
    assert path.read_bytes() == again.read_bytes()
    return pptx.Presentation(path)


def test_slides_hold_each_finding_s_sentence_and_stay_on_the_slide(run, deck):
    texts = [
        "\n".join(shape.text_frame.text for shape in slide.shapes if shape.has_text_frame) for slide in deck.slides
    ]
    assert run.study.name in texts[0]
    found = [one for one in slides.slides_of(run) if "endpoint" in one.title]
    assert found
    for one in found:
        assert any(one.title in text and one.texts[0] in text for text in texts)
    for slide in deck.slides:
        for shape in slide.shapes:
            assert shape.left >= 0
            assert shape.top >= 0
            assert shape.left + shape.width <= deck.slide_width
            assert shape.top + shape.height <= deck.slide_height


def test_what_warns_comes_first_and_what_was_not_measured_beside_a_primary_is_one_slide(run):
    absent = [one for one in findings(run) if one.verdict == "not_measured"]
    assert {one.role for one in absent} >= {"primary", "secondary"}
    made = slides.slides_of(run)
    assert made[1].title == "What warns"
    (one,) = [slide for slide in made if slide.title == "Registered and not measured"]
    assert len(one.texts) == len([found for found in absent if found.role != "primary"])
    titles = [slide.title for slide in made]
    assert all(f"{found.name}, primary endpoint" in titles for found in absent if found.role == "primary")


@pytest.mark.parametrize(
    ("size", "texts", "least"),
    [
        ((1600, 600), ("1 of 10 died", "Kaplan-Meier"), (10.0, 4.0)),  # survival was a third of the slide's width
        (
            (500, 1600),
            ("Change of every endpoint",),
            (1.9, 6.3),
        ),  # a forest of 31 rows
        ((800, 700), ("Treg rose", "paired t"), (5.8, 5.0)),
    ],
)
def test_a_figure_is_as_large_as_its_shape_lets_it_be(tmp_path, size, texts, least):
    pptx = pytest.importorskip("pptx")
    from PIL import Image

    picture = tmp_path / "a.png"
    Image.new("RGB", size).save(picture)
    deck = pptx.Presentation()
    deck.slide_width, deck.slide_height = pptx.util.Inches(13.333), pptx.util.Inches(7.5)
    slides._add(deck, slides.Slide("Title", texts, picture, "alt"))
    text, shown = list(deck.slides[0].shapes)[1:]
    assert shown.width.inches >= least[0]
    assert shown.height.inches >= least[1]
    beside = shown.left >= text.left + text.width or text.left >= shown.left + shown.width
    assert beside or shown.top >= text.top + text.height
    assert shown.top + shown.height <= deck.slide_height


def test_the_longest_caption_has_room_below_its_figure(tmp_path):
    pptx = pytest.importorskip("pptx")
    from PIL import Image

    picture = tmp_path / "a.png"
    Image.new("RGB", (1600, 1000)).save(picture)
    caption = (
        "Cohort's change of every endpoint, later visit against earlier. " * 13
    )  # 830 characters; a study has had 752
    deck = pptx.Presentation()
    deck.slide_width, deck.slide_height = pptx.util.Inches(13.333), pptx.util.Inches(7.5)
    slides._add(deck, slides.Slide("Cohort", (caption,), picture, caption))
    text, shown = list(deck.slides[0].shapes)[1:]
    lines = len(caption) * 6.0 / (text.width.pt - 14.4)  # a letter of 12 points is 6 wide; margins of 7.2 at each side
    assert text.height.pt >= lines * 14.4 + 7.2
    assert shown.top + shown.height <= text.top
    assert text.top + text.height <= deck.slide_height


def test_a_slide_s_picture_says_what_it_shows(run, tmp_path):
    pptx = pytest.importorskip("pptx")
    from PIL import Image

    few = run.shifts[run.shifts["endpoint"] == "treg_pct_cd4"]
    small = replace(run, folder=tmp_path, tables={**run.tables, "shifts": few})
    (tmp_path / "figures").mkdir()
    wanted = [one for one in slides.slides_of(small) if one.picture is not None]
    for one in wanted:
        Image.new("RGB", (900, 600), "white").save(one.picture)
    deck = pptx.Presentation(slides.write_slides(small, tmp_path / "a.pptx"))
    pictures = [shape for slide in deck.slides for shape in slide.shapes if shape.shape_type == 13]
    assert [shape._element.nvPicPr.cNvPr.get("descr") for shape in pictures] == [one.alt for one in wanted]
    assert all(one.alt for one in wanted)


def test_a_record_keeps_exports_to_the_run_they_were_made_of(run):
    folder = run.folder
    (line,) = write_exports(run, ["xlsx"])
    assert line == f"xlsx: {folder / 'tables.xlsx'}"
    assert list(export_problems(folder)) == []
    assert remove_stale_exports(folder) == []
    whole = (folder / "tables.xlsx").read_bytes()
    (folder / "tables.xlsx").write_bytes(whole + b" ")
    assert ["differs" in problem.message for problem in export_problems(folder)] == [True]
    (folder / "tables.xlsx").unlink()
    assert ["missing" in problem.message for problem in export_problems(folder)] == [True]
    (folder / "tables.xlsx").write_bytes(whole)
    write_run(replace(run, seed=8))
    assert ["another run" in problem.message for problem in export_problems(folder)] == [True]
    assert remove_stale_exports(folder) == ["tables.xlsx"]
    assert not (folder / "exports.json").exists()
    (folder / "report.pdf").write_bytes(b"%PDF")
    assert ["not in the record" in problem.message for problem in export_problems(folder)] == [True]
    (folder / "report.pdf").unlink()
    write_run(run)


def test_what_cannot_be_made_is_said_before_a_run(monkeypatch):
    monkeypatch.setattr(pdf, "_program", lambda: None)
    monkeypatch.setattr(pdf, "find_spec", lambda name: None)
    monkeypatch.setattr(exports, "find_spec", lambda name: None)
    with pytest.raises(InputError) as caught:
        check_formats(["pdf", "pptx", "xlsx"])
    text = str(caught.value)
    for part in ("apt install chromium", "immunolab[pdf]", "python-pptx", "immunolab[slides]"):
        assert part in text
    with pytest.raises(InputError, match="leave out --tables-only"):
        check_formats(["pdf"], with_report=False)


def test_the_command_writes_what_is_asked_for(run, capsys):
    assert main(["report", str(run.folder), "--format", "xlsx"]) == 0
    assert "tables.xlsx" in capsys.readouterr().out
    assert main(["report", str(run.folder.parent / "nothing"), "--format", "xlsx"]) == 1
    assert "there is no run in this folder" in capsys.readouterr().err


def test_a_column_of_numbers_is_as_wide_as_what_it_shows_and_holds_every_digit(book):
    shifts = book["shifts"]
    heads = [cell.value for cell in shifts[1]]
    place = heads.index("p_value")
    letter = shifts.cell(1, place + 1).column_letter
    assert shifts.column_dimensions[letter].width <= 14
    values = [cell.value for cell in shifts[letter][1:] if cell.value is not None]
    assert any(len(repr(value)) > 14 for value in values)
