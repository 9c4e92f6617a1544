"""Dates in headers against the order of visits: files exchanged between two visits are named; what may be so is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest
import report_fixture

from immunolab.quality.acquired_order import contradicted_days, who_contradicts
from immunolab.report.first_screen import first_screen
from immunolab.results.findings.concerns import concerns
from immunolab.schema.flags import Check
from immunolab.schema.gating import QUALITY
from immunolab.study.sample import Sample
from immunolab.workflow.across_tubes import _days_contradicted, _named_otherwise
from immunolab.workflow.check import check_study

FIRST = date(2024, 3, 4)
VISITS = ("W0", "W4", "W10")


def sample(patient: str, visit: str, day: int | None = None, taken: date | None = None, specimen: str = "") -> Sample:
    name = f"{patient}_{visit}"
    return Sample(name, patient, visit, Path(f"{name}.fcs"), study_day=day, date=taken, specimen=specimen)  # type: ignore[arg-type]


def on(*days: int | None) -> list[date | None]:
    return [None if day is None else FIRST + timedelta(days=day) for day in days]


def found(samples: list[Sample], days: list[date | None], visits: tuple[str, ...] = VISITS) -> list[tuple[str, str]]:
    contradicted, _ = contradicted_days(list(zip(samples, days, strict=True)), visits)
    return [(one.sample.sample_id, one.text) for one in contradicted]


def test_files_exchanged_between_two_visits_are_both_named() -> None:
    tubes = [sample("P1", "W0"), sample("P1", "W10"), sample("P2", "W0"), sample("P2", "W10")]
    assert found(tubes, on(0, 70, 1, 71)) == []
    assert found(tubes, on(70, 0, 1, 71)) == [
        ("P1_W0", "acquired 70 days after W10, a later visit"),
        ("P1_W10", "acquired 70 days before W0, an earlier visit"),
    ]


@pytest.mark.parametrize("known", ["dates", "days", "visits"])
def test_the_sheets_dates_or_days_or_the_order_of_visits_say_what_is_later(known: str) -> None:
    """The row labelled W0 was taken on day 71: the file of day 70 is right beside it, and wrong by labels alone."""
    days = {"days": (71, 1), "dates": (None, None), "visits": (None, None)}[known]
    taken = on(70, 0) if known == "dates" else [None, None]
    tubes = [sample("P1", v, d, t) for v, d, t in zip(("W0", "W10"), days, taken, strict=True)]
    assert len(found(tubes, on(70, 0))) == (2 if known == "visits" else 0)


def test_without_dates_on_one_day_frozen_or_of_no_known_order_nothing_is_said() -> None:
    two = [sample("P1", "W0"), sample("P1", "W10")]
    assert found(two, on(None, 0)) == found(two, on(None, None)) == found(two, on(5, 5)) == []
    assert found([sample("P1", "a"), sample("P1", "b")], on(70, 0)) == []
    unplanned = [two[0], sample("P1", "flare"), two[1]]
    assert [name for name, _ in found(unplanned, on(70, 30, 0))] == ["P1_W0", "P1_W10"]  # what is known is judged
    frozen = [replace(one, specimen="frozen_pbmc") for one in two]
    assert found(frozen, on(70, 0)) == []
    between = [two[0], replace(sample("P1", "W4"), specimen="frozen_pbmc"), two[1]]
    assert [name for name, _ in found(between, on(70, 90, 0))] == ["P1_W0", "P1_W10"]  # hides no others
    assert found([replace(one, control_of="P1") for one in two], on(70, 0)) == []


def test_a_tube_acquired_before_its_blood_was_taken_is_named_though_frozen() -> None:
    taken = on(0, 70, 3, 73)
    tubes = [sample("P1", "W0", taken=taken[0]), sample("P1", "W10", taken=taken[1])]
    tubes += [sample("P2", "W0", taken=taken[2]), sample("P2", "W10", taken=taken[3])]
    tubes = [replace(one, specimen="frozen_pbmc") for one in tubes]
    # P2's W0 and P1's W0 exchanged: P2's row holds a file of three days before its blood
    assert found(tubes, on(3, 70, 0, 73)) == [("P2_W0", "acquired 3 days before the blood was taken")]
    assert found(tubes, on(-1, 69, 2, 72)) == []  # clock of another time zone


def test_a_clock_of_another_year_is_said_once_and_still_orders_tubes() -> None:
    tubes = [sample("P1", v, taken=t) for v, t in zip(VISITS, on(0, 30, 70), strict=True)]
    contradicted, why = contradicted_days(list(zip(tubes, on(-3970, -4000, -3930), strict=True)), VISITS)
    assert [one.check for one in contradicted] == [Check.ACQUIRED_ORDER] * 2
    assert why == "in 3 of 3 tubes the header's date lies before the sheet's: not compared with it"


def test_a_sentence_names_each_patient_once() -> None:
    rows = [
        ("P1", "W0", "acquired_order", 70.0, "acquired 70 days after W10, a later visit"),
        ("P1", "W10", "acquired_order", -70.0, "acquired 70 days before W0, an earlier visit"),
        ("P2", "W0", "acquired_early", -3.0, "acquired 3 days before the blood was taken"),
    ]
    assert who_contradicts(rows) == [
        "P1 (W0 acquired 70 days after W10, a later visit)",
        "P2 (W0 acquired 3 days before the blood was taken)",
    ]


def test_the_first_page_and_the_checks_say_it(tmp_path: Path) -> None:
    from immunolab.quality.acquisition import TubeHeader

    run = report_fixture.finished_run(out=tmp_path)
    tubes = [s for s in run.study.samples if s.patient_id == run.study.samples[0].patient_id]
    dates = {"W0": "13-MAY-2024", "W10": "04-MAR-2024"}
    headers = [TubeHeader(s.sample_id, s.panel, s.batch, s.date, {"$DATE": dates[s.visit]}) for s in tubes]
    rows = _days_contradicted(run.study, tubes, headers)
    assert set(rows["check"]) == {"acquired_order"}
    assert sorted(rows["value"]) == [-70, 70]
    quality = QUALITY.check(pd.concat([run.quality, rows], ignore_index=True))
    warned = replace(run, tables={**run.tables, "quality": quality})
    said = [one.text for one in concerns(warned)]
    assert [one.text for one in first_screen(warned, [])["urgent"] if "exchanged" in one.text]  # above the endpoints
    name = tubes[0].patient_id
    assert (
        "Dates in the files contradict the sheet, as where two files were exchanged: "
        f"{name} (W0 acquired 70 days after W10, a later visit). They are compared as labelled."
    ) in said
    assert not [text for text in (one.text for one in concerns(run)) if "Dates in the files" in text]


def test_check_says_it_before_the_run(tmp_path: Path) -> None:
    from test_run_changes import written as _written

    study = _written.__wrapped__(tmp_path)
    sheet = (study / "samples.csv").read_text()
    said = [note for note in check_study(study).notes if "dates in headers contradict" in note]
    assert len(said) == 1  # the sixth tube, W10 of P03, is of the first day
    assert "P03 (W0 acquired 4 days after W10, a later visit)" in said[0]
    (study / "samples.csv").write_text(sheet.replace("tube0", "t").replace("tube1", "tube0").replace(",t.", ",tube1."))
    assert "P01 (W0 acquired 1 day after W10" in "".join(check_study(study).notes)


def test_the_first_page_names_files_that_name_another_visit_and_tubes_like_another_patients(tmp_path: Path) -> None:
    """Files of two visits of one patient exchanged: `check` had a note, the report's first page not a word."""
    from immunolab.quality.acquisition import TubeHeader

    run = report_fixture.finished_run(out=tmp_path)
    first, second = (s for s in run.study.samples if s.patient_id == run.study.samples[0].patient_id)
    turned = {first.sample_id: second, second.sample_id: first}
    tubes = [replace(s, file=turned.get(s.sample_id, s).file) for s in run.study.samples]
    names = {s.sample_id: turned.get(s.sample_id, s) for s in tubes}
    headers = [
        TubeHeader(s.sample_id, s.panel, s.batch, s.date, {"$FIL": f"{names[s.sample_id].sample_id}.fcs"})
        for s in tubes
    ]
    rows = _named_otherwise(tubes, headers)
    assert len(_named_otherwise(run.study.samples, headers[:0] + [replace(h, text={}) for h in headers])) == 0
    colon = [replace(s, visit=s.visit.replace("W", "W:")) for s in tubes]
    assert set(_named_otherwise(colon, headers)["message"].str[-4:]) == {" W:0", "W:10"}  # a name is not cut at a colon
    assert list(rows["message"]) == [
        "its file name and its header name visit W10, the sheet W0",
        "its file name and its header name visit W0, the sheet W10",
    ]
    two = [{"patient_id": a, "nearest_patient": b, "suspected": "yes"} for a, b in (("P2", "P4"), ("P4", "P2"))]
    identity = pd.DataFrame([*two, {"patient_id": "P5", "nearest_patient": "P6", "suspected": "no"}])
    tables = {**run.tables, "quality": pd.concat([run.quality, rows], ignore_index=True), "identity": identity}
    said = [one.text for one in first_screen(replace(run, tables=tables), [])["urgent"]]
    name = first.patient_id
    assert (
        f"Files that name another patient or visit than the sheet: {name} W0 (its file name and its header name"
        in said[0]
    )
    assert said[1] == (
        "In what visits hardly change, tubes look like another patient's, as where two files were exchanged: "
        "P2 and P4. They are compared as labelled."
    )
