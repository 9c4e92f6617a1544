"""The picture of every traffic light that is not ok: what it shows is the fault that was planted."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import planted_faults as planted
import pytest
import report_fixture
from PIL import Image

from immunolab.events.tube import Tube
from immunolab.plots.gate_views import GateView, read_views, save_views
from immunolab.plots.light_views import LIGHTS, light_views
from immunolab.quality.cell_shares import cell_kinds
from immunolab.quality.events import check_events
from immunolab.quality.staining_sample import STAINING_EVENTS, StainingSample
from immunolab.quality.steadiness import steadiness
from immunolab.report.figures.quality import _run_order
from immunolab.report.qc_page import LIGHTS_PAGE
from immunolab.report.run_lights import write_lights
from immunolab.results.run import Run
from immunolab.schema.across_tubes import ACQUISITIONS, IDENTITY, STAINING
from immunolab.schema.bridges import BRIDGE_MOVES
from immunolab.schema.gating import QUALITY

PLAN = replace(planted.plan_of(3), n_events=20_000, with_time=True)


@pytest.fixture(scope="module")
def steady() -> Tube:
    return planted.drawn(PLAN)


def viewed(tube: Tube) -> dict[str, GateView]:
    kinds = cell_kinds(tube)
    rows = check_events(tube, steadiness(tube), tube, kinds)
    return {view.name: view for view in light_views(tube, tube, kinds, rows)}


def test_a_sound_tube_keeps_what_only_other_tubes_can_flag(steady: Tube) -> None:
    assert set(viewed(steady)) == {"doublets", "dead", "debris"}


def test_the_line_of_a_pair_rises_along_the_dye_by_what_the_matrix_leaves(steady: Tube) -> None:
    tube, pair = planted.under_compensated(steady, PLAN, np.random.default_rng(1))
    view = viewed(tube)["residual_spillover"]
    dye, detector = pair.split(" > ")
    assert dye in view.x.label
    assert view.y is not None
    assert detector in view.y.label
    line, level = view.lines
    i, j = (tube.spillover.channels.index(name) for name in (dye, detector))
    left = 0.25 * tube.spillover.matrix[i, j]  # a matrix a fifth under leaves a quarter of what it takes off
    rise = np.sinh(line[-1, 1]) - np.sinh(level[0, 1])
    assert rise / np.sinh(line[-1, 0]) == pytest.approx(left, rel=0.15)
    bright = view.counts[:, 80:90]  # of 96 bins of the dye: their cells are along the line, not the level
    assert abs(np.argmax(bright.sum(axis=1)) - _bin(view, line[150, 1])) < abs(
        np.argmax(bright.sum(axis=1)) - _bin(view, level[0, 1])
    )


def _bin(view: GateView, height: float) -> float:
    assert view.y is not None
    return (height - view.y.low) / (view.y.high - view.y.low) * len(view.counts)


def test_a_pile_at_the_end_of_a_detector_is_under_the_line(steady: Tube) -> None:
    tube = planted.saturated(steady, np.random.default_rng(1))
    view = viewed(tube)["saturation"]
    (line,) = view.lines
    assert view.x.low < line[0] < view.x.high
    place = int((line[0] - view.x.low) / (view.x.high - view.x.low) * len(view.counts))
    assert view.counts[place - 1 : place + 1].sum() > 3 * view.counts[: place - 1].max()


def test_places_of_bad_events_and_of_the_clock_are_those_planted(steady: Tube) -> None:
    columns = steady.columns.copy()
    columns[6, 10_050:10_130] = np.nan
    bad = viewed(replace(steady, columns=columns))["not_a_number"]
    assert bad.counts.sum() == 80
    assert np.flatnonzero(bad.counts).tolist() == [48]  # of 96 bins
    copied = viewed(steady.take(np.r_[0:20_000, 5_000:8_000]))
    assert copied["repeated_events"].counts[: int(96 * 20 / 23)].sum() == 0
    assert copied["time_set_back"].y is not None
    gap = viewed(planted.gap(steady, np.random.default_rng(1)))["time_gap"].counts
    assert np.diff(np.flatnonzero(gap.any(axis=1))).max() > 5  # bins of Time without an event
    shuffled = planted.gap(steady, np.random.default_rng(1)).take(np.random.default_rng(2).permutation(20_000))
    view = viewed(shuffled)["time_gap"]
    assert view.x.label == "place in order of Time, events"
    assert np.array_equal(view.counts, gap)


def test_the_border_parts_the_dead_from_the_living() -> None:
    tube = planted.drawn(PLAN, dead=0.3)
    view = viewed(tube)["dead"]
    (line,) = view.lines
    place = int((line[0] - view.x.low) / (view.x.high - view.x.low) * len(view.counts))
    assert view.counts[place + 1 :].sum() / view.counts.sum() == pytest.approx(0.3, abs=0.05)
    area = viewed(planted.doubled_doublets(PLAN))["doublets"]
    assert "FSC-A" in area.y.label
    assert len(area.lines) == 1


def quality(sample: str, name: str, message: str, value: float | None = 1.0) -> dict[str, object]:
    row = {"sample_id": sample, "check": name, "status": "warn", "value": value, "limit": 1.0, "message": message}
    return row | {"channel": None}


def finished(place: Path, rows: list[dict[str, object]], **tables: pd.DataFrame) -> Run:
    run = report_fixture.finished_run(out=place)
    ok = [quality(s.sample_id, "events", "20,000 events", 20_000) | {"status": "ok"} for s in run.samples]
    return replace(run, tables={**run.tables, **tables, "quality": QUALITY.frame([*ok, *rows])})


def pictures(run: Run) -> list[str]:
    """Write the page; return the words on each picture, which all can be opened."""
    write_lights(run)
    page = (run.folder / LIGHTS_PAGE).read_text()
    found = re.findall(r'<figure><img alt="([^"]*)" src="data:image/png;base64,([^"]*)">', page)
    for _, picture in found:
        assert Image.open(BytesIO(base64.b64decode(picture))).size[0] > 400
    return [alt for alt, _ in found]


def test_a_runs_page_has_the_views_of_its_tubes_and_the_values_beside_the_others(tmp_path: Path, steady: Tube) -> None:
    name = "P01_W0"
    tube = replace(planted.under_compensated(steady, PLAN, np.random.default_rng(1))[0], sample_id=name)
    view = viewed(tube)["residual_spillover"]
    (tmp_path / "samples" / name).mkdir(parents=True)
    save_views([view], tmp_path / "samples" / name / LIGHTS)
    assert read_views(tmp_path / "samples" / name / LIGHTS)[0].x == view.x
    rows = [
        quality(name, "residual_spillover", "left after compensation"),
        quality(name, "events", "900 events", 900),
        quality(name, "header", "an odd keyword", None),
    ]
    run = finished(tmp_path, rows)
    first, second = pictures(run)
    assert first == f"{name}: {view.y.label} against {view.x.label}, compensated"
    assert second.startswith("number of events acquired: P01_W0 in red among ")
    page = (tmp_path / LIGHTS_PAGE).read_text()
    assert page.count("<li><span") == 1  # the keyword has no picture
    said = '</span> left after compensation <span class="do">Look at that day&#39;s single-stained controls of the pair'
    assert said in page


def test_stains_patients_and_bridges_are_drawn_beside_the_other_tubes(tmp_path: Path) -> None:
    run = finished(tmp_path, [])
    names = [s.sample_id for s in run.samples]
    rng = np.random.default_rng(1)
    for i, name in enumerate(names[:5]):
        (tmp_path / "samples" / name).mkdir(parents=True)
        stains = rng.normal(3.0 if i else 0.0, 1.0, (2, 300)).astype(np.float32)
        kept = StainingSample(("A-A", "B-A"), ("CD3", "CD4"), stains, np.empty((0, 300), np.float32))
        kept.save(tmp_path / "samples" / name / STAINING_EVENTS)
    stained = {"sample_id": names[0], "panel": None, "marker": "CD3", "channel": "A-A", "value": 3.0, "limit": 2.0}
    staining = STAINING.frame([stained | {"finding": "exchanged", "other_marker": "CD4", "message": "exchanged"}])
    near = {"n_traits": 6, "nearest_patient": "P02", "limit": 3.0, "n_alike": 0, "suspected": "no", "panel": None}
    identity = IDENTITY.frame(
        [
            near | {"sample_id": n, "patient_id": n[:3], "visit": "W0", "distance": d, "nearest_distance": 2.0}
            for n, d in zip(names[:4], (4.0, 1.0, 1.1, 0.9), strict=True)
        ]
    )
    rows = [quality(names[0], "exchanged", "exchanged"), quality(names[0], "identity", "may be exchanged")]
    run = finished(tmp_path, rows, staining=staining, identity=identity)
    assert pictures(run) == [
        f"{names[0]}: histogram of CD3 in red beside 4 other tubes",
        f"{names[0]}: histogram of CD4 in red beside 4 other tubes",
        f"{names[0]} in red: distance from the nearest other patient&#39;s visits against that from its own "
        "patient&#39;s, beside 3 other tubes",
    ]


def test_a_bridges_moves_are_drawn_beside_those_of_the_patients(tmp_path: Path) -> None:
    run = finished(tmp_path, [quality("P01_W0", "bridge_refused", "does not follow")])
    held = replace(run.study.samples[0], bridge="HD01", batch="B2")
    run = replace(run, study=replace(run.study, samples=(held, *run.study.samples[1:])))
    common = {"panel": None, "batch_from": "B1", "batch_to": "B2", "bridge": "HD01", "outcome": "refused"}
    move = {"population": "Treg", "border": 5.0, "move_se": 0.02, "patients_move": 0.5, "n_patients": 5}
    moves = [
        common | move | {"marker": marker, "move": 0.1, "reason": reason}
        for marker in ("CD25", "CD3")
        for reason in ("CD38: fewer than 3 patients' tubes of both batches; CD25 of B moved by +0.1",)
    ]
    run = replace(run, tables={**run.tables, "bridge_moves": BRIDGE_MOVES.frame(moves)})
    assert pictures(run) == ["Moves of CD25 to batch B2: the bridging control in red, patients in grey"]


def test_figures_have_batches_in_the_order_that_the_tables_have() -> None:
    run = report_fixture.finished_run()
    batches = ["B10" if s.batch == "B1" else "B2" for s in run.samples]
    samples = tuple(replace(s, batch=b) for s, b in zip(run.samples, batches, strict=True))
    run = replace(run, study=replace(run.study, samples=samples))
    of = {s.sample_id: s.batch for s in run.samples}
    assert list(dict.fromkeys(of[name] for name in _run_order(run))) == ["B2", "B10"]
    days = {"B10": 1, "B2": 30}
    rows = [{"sample_id": name, "panel": None, "batch": batch, "day": days[batch]} for name, batch in of.items()]
    dated = replace(run, tables={**run.tables, "acquisitions": ACQUISITIONS.frame(rows)})
    assert list(dict.fromkeys(of[name] for name in _run_order(dated))) == ["B10", "B2"]
