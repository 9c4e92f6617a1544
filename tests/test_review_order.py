"""Worst-first order: wrong gates that were planted in a study's tubes are looked at first."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted import planted_tube

from immunolab.events.transforms import Asinh
from immunolab.gating.strategy import Dimension, Polygon, Population, Rectangle, Strategy
from immunolab.gating.tube_gates import TubeGates
from immunolab.gating.tubes import gate_tube
from immunolab.plots.at_border import border_rows
from immunolab.plots.gate_views import gate_views
from immunolab.quality.landmarks import landmark_rows
from immunolab.results.review_measures import bits, left_out_median
from immunolab.results.review_order import review_order
from immunolab.results.run import Run
from immunolab.schema.across_tubes import LANDMARKS
from immunolab.schema.gating import COUNTS, INTENSITIES, THRESHOLDS
from immunolab.schema.review import AT_BORDER
from immunolab.study.sheet import PlannedComparison, Sample, Study

PATIENTS, VISITS, WRONG, FIRST = 40, 5, 20, 40
CD3, CD4, TREG = "/CD3", "/CD3/CD4", "/CD3/CD4/Treg"
AXES = {name: Dimension(name, Asinh(150.0)) for name in ("CD3", "CD4", "CD25", "CD127")}


@dataclass(frozen=True)
class _Tube:
    """What a run keeps of a tube."""

    counts: list[dict[str, object]]
    thresholds: list[dict[str, object]]
    landmarks: list[dict[str, object]]
    intensities: list[dict[str, object]]
    at_border: list[dict[str, object]]


def _strategy(at: dict[str, float]) -> Strategy:
    """Return gates of a tube: two thresholds and a region, each at its own place."""
    x, y = at["CD25"], at["CD127"]
    region = ((x, -3.0), (8.0, -3.0), (8.0, y + 0.8), (x, y))
    return Strategy(
        "planted",
        (
            Population(CD3, Rectangle((AXES["CD3"],), (at["CD3"],), (None,))),
            Population(CD4, Rectangle((AXES["CD4"],), (at["CD4"],), (None,))),
            Population(TREG, Polygon((AXES["CD25"], AXES["CD127"]), region)),
        ),
    )


@cache
def _gated(number: int, wrong: str = "", by: float = 0.0) -> _Tube:
    """Return a tube of a patient's visit; one of its borders may be moved on the display scale."""
    patient, visit = divmod(number, VISITS)
    own, now = np.random.default_rng([1, patient]), np.random.default_rng([2, number])
    stain = dict.fromkeys(AXES, 0.0) | {m: float(now.normal(0.0, 0.15)) for m in AXES}
    weights = {kind: float(np.exp(own.normal(0, 0.3) + now.normal(0, 0.1))) for kind in ("naive", "treg", "cd8", "b")}
    weights["treg"] *= 1.0 + 0.3 * (visit > 1)  # treatment
    tube, _ = planted_tube(number, 2_000, sample_id=f"P{patient:02d}_V{visit}", shift=stain, weights=weights)
    at = {"CD3": 2.2, "CD4": 2.2, "CD25": 2.5, "CD127": 2.4}
    at = {m: v + stain[m] + float(now.normal(0.0, 0.06)) + by * (m == wrong) for m, v in at.items()}
    drawn = gate_tube(tube, TubeGates(_strategy(at)))
    views = gate_views(drawn.strategy, drawn.tube, drawn.memberships)
    return _Tube(
        [vars(c) for c in drawn.population_counts],
        [vars(b) for b in drawn.borders],
        list(landmark_rows(tube, drawn.named_masks)),
        [vars(m) for m in drawn.median_intensities()],
        list(border_rows(views)),
    )


def _run(folder: Path, wrong: dict[int, tuple[str, float]] | None = None, n: int = PATIENTS * VISITS) -> Run:
    """Return a run of the tubes, some with a border moved."""
    tubes = [_gated(i, *(wrong or {}).get(i, ())) for i in range(n)]
    samples = tuple(
        Sample(str(t.counts[0]["sample_id"]), f"P{i // VISITS:02d}", f"V{i % VISITS}", folder / "a.fcs", batch="B1")
        for i, t in enumerate(tubes)
    )
    study = Study("s", folder, folder / "study.yaml", None, samples, {}, PlannedComparison(), ())
    kinds = {"counts": COUNTS, "thresholds": THRESHOLDS, "landmarks": LANDMARKS, "intensities": INTENSITIES}
    tables = {name: kind.frame([row for t in tubes for row in getattr(t, name)]) for name, kind in kinds.items()}
    for sample, tube in zip(samples, tubes, strict=True):
        path = folder / "samples" / sample.sample_id / "at_border.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        AT_BORDER.write_rows(tube.at_border, path)
    return Run(study=study, folder=folder, tables=tables)


@pytest.mark.parametrize(
    ("marker", "path", "sizes"),
    [
        ("CD3", CD3, (0.4, -0.4, 0.8, -0.8)),
        ("CD4", CD4, (0.4, -0.4, 0.8, -0.8)),
        ("CD25", TREG, (-0.5, 0.5, -1.0, 1.0)),  # one sd of a population is 0.5
        ("CD127", TREG, (0.6, -0.6, 1.2, -1.2)),
    ],
)
def test_planted_wrong_gates_come_first(tmp_path: Path, marker: str, path: str, sizes: tuple[float, ...]) -> None:
    rng = np.random.default_rng([3, len(marker), len(path)])
    tubes = rng.choice(PATIENTS * VISITS, WRONG, replace=False)
    wrong = {int(tube): (marker, float(size)) for tube, size in zip(tubes, rng.choice(sizes, WRONG), strict=True)}
    order = review_order(_run(tmp_path, wrong))
    first = order[order["path"] == path]["sample_id"].head(FIRST)
    planted = {f"P{t // VISITS:02d}_V{t % VISITS}" for t in wrong}
    assert len(planted & set(first)) >= 18


def test_every_tube_is_in_the_order_of_every_gate_and_the_reason_names_nobody(tmp_path: Path) -> None:
    run = _run(tmp_path, {7: ("CD4", 1.5)}, 50)
    order = review_order(run)
    assert order.groupby("path").size().to_dict() == {CD3: 50, CD4: 50, TREG: 50}
    assert order.groupby("path")["score"].apply(lambda own: own.is_monotonic_decreasing).all()
    worst = order[order["path"] == CD4].iloc[0]
    assert worst["sample_id"] == "P01_V2"
    assert "border on CD4 above" in worst["why"]
    assert "percent below" in worst["why"]
    names = "|".join([*order["sample_id"].unique(), r"\bP\d\d\b", r"\bV\d\b", "fcs", "B1"])
    assert not order["why"].str.contains(names).any()


def test_a_run_without_landmark_populations_has_an_order(tmp_path: Path) -> None:
    run = _run(tmp_path, {7: ("CD4", 1.5)}, 50)
    order = review_order(Run(study=run.study, folder=run.folder, tables={**run.tables, "landmarks": LANDMARKS.empty()}))
    assert order[order["path"] == CD4].iloc[0]["sample_id"] == "P01_V2"


def test_a_run_without_a_gated_tube_has_an_empty_order(tmp_path: Path) -> None:
    run = _run(tmp_path, None, 3)
    order = review_order(Run(study=run.study, folder=run.folder, tables={**run.tables, "counts": COUNTS.empty()}))
    assert order.empty
    assert list(order) == ["sample_id", "path", "score", "why"]


def test_few_tubes_have_nothing_to_be_compared_with(tmp_path: Path) -> None:
    order = review_order(_run(tmp_path, None, 3))
    assert (order["score"] == 0).all()
    assert (order["why"] == "like the other tubes").all()


def test_a_withheld_number_comes_before_a_doubtful_one(tmp_path: Path) -> None:
    run = _run(tmp_path, None, 50)
    counts = run.counts.copy()
    row = (counts["path"] == CD4) & counts["sample_id"].isin(["P03_V1", "P04_V1"])
    counts.loc[row, "flag"] = ["no_valley", "no_border"]
    order = review_order(Run(study=run.study, folder=run.folder, tables={**run.tables, "counts": counts}))
    own = order[order["path"] == CD4].reset_index(drop=True)
    assert own.loc[0, "sample_id"] == "P04_V1"
    assert "no method found a border" in own.loc[0, "why"]
    doubtful = own[own["sample_id"] == "P03_V1"].iloc[0]
    assert "no valley" in doubtful["why"]
    assert doubtful.name < 10  # one of two with a flag as grave: 4.6 bits


def test_the_median_of_the_others_leaves_each_value_out() -> None:
    values = np.array([3.0, 1.0, np.nan, 8.0, 8.0, 2.0])
    expected = [np.nanmedian(np.delete(values, i)) for i in range(len(values))]
    np.testing.assert_allclose(left_out_median(values), expected)
    assert bits(np.array([4.0]), np.array([1.0]), np.array([2.0]))[0] == 0.0  # two others say nothing
    few, many = (bits(np.array([6.0]), np.array([1.0]), np.array([n]))[0] for n in (4.0, 200.0))
    assert 0 < few < many


def test_rows_of_the_borders_count_events_beside_each_line() -> None:
    tube, _ = planted_tube(1, 2_000)
    at = {"CD3": 0.4, "CD4": 2.2, "CD25": 2.5, "CD127": 2.4}  # CD3's border is on the peak of the negative events
    drawn = gate_tube(tube, TubeGates(_strategy(at)))
    views = gate_views(drawn.strategy, drawn.tube, drawn.memberships)
    rows = pd.DataFrame(border_rows(views)).set_index("path")
    axis = views[0].x
    wide = (axis.high - axis.low) / 96
    values = np.arcsinh(tube.columns[4].astype(float) / 150.0)
    bin_of = np.floor((values - axis.low) / wide)
    own = np.floor((0.4 - axis.low) / wide)
    assert tube.channels[4].marker == "CD3"
    assert rows.loc[CD3, "n_at_border"] == np.count_nonzero(np.abs(bin_of - own) <= 1)
    assert rows.loc[CD3, "n_at_border"] > 8 * rows.loc[CD4, "n_at_border"]
    assert rows.loc[TREG, "x_low"] == pytest.approx(2.5)
    assert pd.isna(rows.loc[CD4, "y_low"])
