"""The report's traffic lights: the worst tubes first, and a page of their own with the pictures of their runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import report_fixture

from immunolab.quality import qc
from immunolab.quality.topics import TOPICS, light
from immunolab.report.page import render
from immunolab.report.qc_page import LIGHTS_PAGE, qc_page
from immunolab.report.run_lights import write_lights
from immunolab.results.findings.checks import _OF_THE_CALENDAR
from immunolab.results.tube import COURSE
from immunolab.schema.flags import Check
from immunolab.schema.gating import QUALITY
from immunolab.study.sheet import Sample
from immunolab.workflow.across_tubes import _beside_others


def check(sample: str, name: str, status: str, message: str, value: float = 1.0) -> dict[str, object]:
    return {"sample_id": sample, "check": name, "status": status, "value": value, "limit": 1.0, "message": message}


def test_the_worst_tube_is_first_and_its_run_is_seen_on_the_page_that_the_report_leads_to(tmp_path: Path) -> None:
    rows = [check(f"s{i}", "events", "ok", "20,000 events", 20_000) for i in range(4)]
    rows += [check("s1", "dead", "warn", "24 % dead"), check("s2", "steadiness", "fail", "two levels <b>")]
    rows += [check("s3", "time", "warn", "there is no time channel")]  # a note turns no light
    run = report_fixture.finished_run(out=tmp_path)
    run = replace(run, tables={**run.tables, "quality": QUALITY.frame(rows)})
    for name in ("s1", "s2"):
        (tmp_path / "samples" / name).mkdir(parents=True)
    (tmp_path / "samples" / "s2" / COURSE).write_bytes(b"png")
    (tmp_path / "samples" / "s1" / "gating.png").write_bytes(b"png")
    html = render(run, [], [])
    section = html[html.index('id="h-lights"') : html.index("Samples that could not be finished")]
    assert "Of 4 tubes 1 not to be used as they are, 1 to look at, 2 ok" in section
    assert section.index(f'{LIGHTS_PAGE}#tube-s2"') < section.index(f'{LIGHTS_PAGE}#tube-s1"')
    assert "tube-s3" not in section
    assert "two levels &lt;b&gt;" in section
    write_lights(run)
    page = (tmp_path / LIGHTS_PAGE).read_text()
    assert page.count("data:image/png;base64") == 2  # the run of s2, and the dead of s1
    assert page.count('href="samples/s1/gating.png"') == 1
    assert page.index('id="tube-s2"') < page.index('id="tube-s1"')
    sound = replace(run, tables={**run.tables, "quality": QUALITY.frame(rows[:4])})
    assert 'id="h-lights"' not in render(sound, [], [])


def test_a_check_of_beads_or_single_cells_turns_a_light_too(tmp_path: Path) -> None:
    rows = [check(f"s{i}", "events", "ok", "20,000 events", 20_000) for i in range(3)]
    rows += [check("s1", "beads", "warn", "40 beads"), check("s2", "genes", "warn", "200 genes")]
    run = report_fixture.finished_run(out=tmp_path)
    run = replace(run, tables={**run.tables, "quality": QUALITY.frame(rows)})
    assert "Of 3 tubes 0 not to be used as they are, 2 to look at, 1 ok" in render(run, [], [])
    write_lights(run)
    page = (tmp_path / LIGHTS_PAGE).read_text()
    assert "0 not to be used as they are, 2 to look at, 1 ok" in page
    by_topic = [name for checks in TOPICS.values() for name in checks]
    assert sorted(by_topic) == sorted(set(Check) - _OF_THE_CALENDAR)  # each in one


def test_a_check_that_warns_in_most_tubes_is_said_once(tmp_path: Path) -> None:
    rows = [check(f"s{i}", "residual_spillover", "warn", "BV510-A > BUV496-A 3 %") for i in range(5)]
    rows += [check("s0", "dead", "warn", "24 % dead"), *(check(f"s{i}", "dead", "ok", "2 %") for i in range(5, 9))]
    run = report_fixture.finished_run(out=tmp_path)
    html = render(replace(run, tables={**run.tables, "quality": QUALITY.frame(rows)}), [], [])
    assert "before single tubes: residual_spillover (5 of 9 tubes).</p>" in html
    html = render(replace(run, tables={**run.tables, "quality": QUALITY.frame(rows[1:])}), [], [])
    assert "before single tubes" not in html  # 4 of 9


def test_the_work_of_a_page_of_lights_grows_with_its_tubes(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    monkeypatch.setattr(qc, "light", lambda check, status: looked.append(check) or light(check, status))
    asked = []
    for n in (10, 40):
        rows = [check(f"s{i}", name, "warn", name) for i in range(n) for name in ("events", "dead", "debris")]
        looked.clear()
        qc_page(qc.TubeQuality.of(pd.DataFrame(rows)), None, "tubes")
        asked.append(len(looked))
    assert asked[1] <= 5 * asked[0]


def test_doublets_far_above_those_of_the_studys_other_tubes_warn() -> None:
    rows = [check(f"s{i}", "doublets", "ok", f"{4 + 0.2 * i:.2g} % two", 4 + 0.2 * i) for i in range(7)]
    rows[3] |= {"value": 9.0, "message": "9 % two"}
    tubes = [Sample(f"s{i}", f"P{i}", "W0", Path("none.fcs")) for i in range(7)]
    found = _beside_others(pd.DataFrame(rows), tubes)
    assert list(found.loc[found["status"] == "warn", "sample_id"]) == ["s3"]
    assert found.loc[3, "message"].startswith("9 % two; the other tubes have 4.")
    alone = [*tubes[:3], replace(tubes[3], stimulation="PMA"), *tubes[4:]]
    assert (_beside_others(pd.DataFrame(rows), alone)["status"] == "ok").all()
