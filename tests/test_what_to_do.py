"""What a manager reads of many tubes: what was found, in how many, and what to do; in the terminal and on the page."""

from __future__ import annotations

import re
from io import BytesIO

import numpy as np
import pandas as pd
from PIL import Image

from immunolab.plots.lights import among_png
from immunolab.quality.advice import ADVICE, advice
from immunolab.quality.qc import TubeQuality
from immunolab.quality.topics import TOPICS
from immunolab.report.qc_page import qc_page
from immunolab.workflow.qc_files import qc_text


def check(sample: str, name: str, status: str, message: str) -> dict[str, object]:
    return {"sample_id": sample, "check": name, "status": status, "value": 1.0, "limit": 1.0, "message": message}


def few_events(n: int) -> list[dict[str, object]]:
    return [check(f"s{i:03}", "events", "warn", "900 events acquired") for i in range(n)]


def test_every_light_has_a_sentence_on_what_to_do() -> None:
    lit = {name for checks in TOPICS.values() for name in checks}
    assert set(ADVICE) == lit
    sentence = r"[A-Z](?:[^.!?]|\.(?=\w))+\."  # a dot within a word is of a file's name
    assert all(re.fullmatch(rf"{sentence}(?: {sentence})?", text) for text in ADVICE.values())
    assert advice("events", "fail") != advice("events", "warn")


def test_the_terminal_names_what_sets_a_tube_apart_and_says_once_what_most_have() -> None:
    rows = [
        *few_events(40),
        check("s007", "dead", "warn", "24 % dead"),
        check("s030", "compensation", "fail", "no matrix"),
    ]
    lines = qc_text(TubeQuality.of(pd.DataFrame(rows))).splitlines()
    assert lines[:2] == ["fail  s030: no matrix (and 1 more)", "warn  s007: 24 % dead (and 1 more)"]
    assert lines[2] == "in 40 of 40 tubes  events, as s030: 900 events acquired"
    assert lines[3:5] == ["38 tubes with nothing else", "0 of 40 tubes without a warning"]
    assert lines[5].startswith("what to do: compensation (1 tube): Compensate")
    assert len(lines) == 8
    many = [check(f"s{i:03}", "dead", "warn", "24 % dead") for i in range(30)]
    sound = [check(f"t{i:03}", "dead", "ok", "2 % dead") for i in range(1000)]
    lines = qc_text(TubeQuality.of(pd.DataFrame([*many, *sound]))).splitlines()
    assert len(lines) == 23
    assert lines[20:22] == ["and 10 more tubes to look at, on the page", "1000 of 1030 tubes without a warning"]


def test_a_run_that_was_cut_is_told_once() -> None:
    rows = [check("a", "steadiness", "warn", "9 % off"), check("a", "cleaned", "warn", "9 % cut")]
    found = TubeQuality.of(pd.DataFrame([*rows, check("b", "steadiness", "fail", "two levels")]))
    assert list(found.faults("a")["message"]) == ["9 % cut"]
    assert list(found.warnings("a")["message"]) == ["9 % off", "9 % cut"]
    assert [(kind.check, kind.samples) for kind in found.kinds] == [("steadiness", ("b",)), ("cleaned", ("a",))]


def test_the_page_begins_with_what_was_found_and_what_to_do() -> None:
    rows = [*few_events(5), check("s003", "dead", "warn", "24 % dead")]
    found = TubeQuality.of(pd.DataFrame(rows))
    assert found.samples[0] == "s003"  # what most tubes have makes none the worst
    page = qc_page(found, None, "5 tubes")
    table = page[page.index('<table id="found">') : page.index('<table id="lights">')]
    assert [re.sub("<[^>]*>", "", row) for row in re.findall(r'<td class="number">(.*?)</td>', table)] == [
        "5 of 5",
        "1 of 5",
    ]
    assert "and 2 more" in table
    assert ADVICE["events"] in table  # type: ignore[index]
    assert table.count("Most tubes have it") == 1
    section = page[page.index('<section id="tube-s003"') :]
    assert section.index("24 % dead") < section.index("Gate living cells") < section.index("900 events")


def test_the_words_of_a_limit_at_the_end_of_the_axis_stay_inside() -> None:
    pixels = Image.open(BytesIO(among_png(8_000.0, [500.0] * 20, 10_000.0, "number of events acquired"))).convert("L")
    right = pixels.crop((pixels.width - 4, 0, pixels.width, pixels.height))
    assert np.asarray(right).min() > 200  # nothing is cut by the edge


def test_a_page_of_many_tubes_has_the_worst_and_counts_all() -> None:
    rows = [check(f"s{i:03}", "dead", "warn", "24 % dead") for i in range(260)]
    rows += [check(f"t{i:03}", "dead", "ok", "2 % dead") for i in range(400)]
    page = qc_page(TubeQuality.of(pd.DataFrame(rows)), None, "660 tubes")
    assert "0 not to be used as they are, 260 to look at, 400 ok (in quality.csv 10 more to look at)" in page
    assert page.count("<section id=") == 250
