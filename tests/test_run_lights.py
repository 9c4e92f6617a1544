"""The report's traffic lights: the worst tubes first, and a page of their own with the pictures of their runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import report_fixture

from immunolab.report.page import render
from immunolab.report.run_lights import LIGHTS_PAGE, write_lights
from immunolab.results.tube import COURSE
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
    html = render(run, [], [])
    section = html[html.index('id="h-lights"') : html.index("Samples that could not be finished")]
    assert "1 tubes not to be used as they are, 1 to look at, 2 ok" in section
    assert section.index(f'{LIGHTS_PAGE}#tube-s2"') < section.index(f'{LIGHTS_PAGE}#tube-s1"')
    assert "tube-s3" not in section
    assert "two levels &lt;b&gt;" in section
    write_lights(run)
    page = (tmp_path / LIGHTS_PAGE).read_text()
    assert page.count("data:image/png;base64") == 1
    assert page.index('id="tube-s2"') < page.index('id="tube-s1"')
    sound = replace(run, tables={**run.tables, "quality": QUALITY.frame(rows[:4])})
    assert 'id="h-lights"' not in render(sound, [], [])


def test_doublets_far_above_those_of_the_studys_other_tubes_warn() -> None:
    rows = [check(f"s{i}", "doublets", "ok", f"{4 + 0.2 * i:.2g} % two", 4 + 0.2 * i) for i in range(7)]
    rows[3] |= {"value": 9.0, "message": "9 % two"}
    tubes = [Sample(f"s{i}", f"P{i}", "W0", Path("none.fcs")) for i in range(7)]
    found = _beside_others(pd.DataFrame(rows), tubes)
    assert list(found.loc[found["status"] == "warn", "sample_id"]) == ["s3"]
    assert found.loc[3, "message"].startswith("9 % two; the other tubes have 4.")
    alone = [*tubes[:3], replace(tubes[3], stimulation="PMA"), *tubes[4:]]
    assert (_beside_others(pd.DataFrame(rows), alone)["status"] == "ok").all()
