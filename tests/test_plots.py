"""Figures: what is drawn is what the tables hold, words carry definition, denominator, n and p, and files repeat."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from io import BytesIO

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import report_fixture
from figure_checks import unreadable
from matplotlib.collections import LineCollection
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from matplotlib.textpath import text_to_path
from matplotlib.transforms import Bbox
from patients_page import page_of
from PIL import Image

from immunolab.events.transforms import Asinh, Identity, Logicle
from immunolab.events.tube import Channel, Tube
from immunolab.gating.evaluate import evaluate
from immunolab.gating.strategy import (
    Boolean,
    Dimension,
    Ellipsoid,
    Memberships,
    Polygon,
    Population,
    Rectangle,
    Strategy,
)
from immunolab.plots import panel_canvas
from immunolab.plots.calendar import Calendar, dose_words, shade_words, stretches
from immunolab.plots.change import ratio_decomposition, verdict_strip, waterfall
from immunolab.plots.clinical import correlation, responders
from immunolab.plots.drift import gate_drift
from immunolab.plots.figure_files import png, save
from immunolab.plots.gate_views import gate_views, read_views, save_views
from immunolab.plots.gates import contact_page, contact_sheet, draw_contact_sheet
from immunolab.plots.labels import EndpointLabel, label, labels
from immunolab.plots.letters import text_outline
from immunolab.plots.matrices import heatmap_of_change
from immunolab.plots.numbers import bracket, number, p_text, span, with_minus
from immunolab.plots.paired import paired_lines
from immunolab.plots.panel_canvas import Box, Page, Word, width_of
from immunolab.plots.patient_page import patient_page
from immunolab.plots.png_file import png_file
from immunolab.plots.quality import check_over_run
from immunolab.plots.shifts import forest
from immunolab.plots.style import ALARM, SMALL, SUBSET_COLOURS, colour, figure, fonts
from immunolab.plots.trajectories import spaghetti, swimmer, visit_order

LOGICLE = Logicle()


@pytest.fixture(scope="module")
def frames():
    return report_fixture.tables()


@pytest.fixture(scope="module")
def long_frames():
    return report_fixture.tables(visits=("W0", "W2", "W6", "W10"))


@pytest.fixture(scope="module")
def plan():
    return Calendar(report_fixture.DOSES, {"follow_up": (72, 181)}, {"W0": 1, "W2": 15, "W6": 43, "W10": 71})


def new_axes():
    return figure().add_subplot()


def words(ax):
    texts = [t.get_text() for t in ax.texts]
    texts += [ax.get_xlabel(), ax.get_ylabel(), *(ax.get_title(loc) for loc in ("left", "center", "right"))]
    texts += [t.get_text() for t in (*ax.get_xticklabels(), *ax.get_yticklabels())]
    return "\n".join(text for text in texts if text)


def two_point_lines(ax):
    return [line for line in ax.lines if list(line.get_xdata()) == [0, 1] and line.get_transform() == ax.transData]


def grey_segments(ax):
    """Count the stretches of patients' lines."""
    return sum(len(lines.get_segments()) for lines in ax.collections if isinstance(lines, LineCollection))


# --- words -----------------------------------------------------------------------------------------


def test_a_label_names_population_definition_and_denominator():
    row = {"endpoint": "e", "population": "Treg", "definition": "Treg.CD25hiCD127lo", "parent": "CD4", "unit": "%"}
    assert label(row).axis == "Treg (CD25hi CD127lo), % of CD4+ T cells"
    assert label(row | {"parent": "lymphocytes"}).axis == "Treg (CD25hi CD127lo), % of viable single lymphocytes"


def test_a_ratio_names_both_definitions_and_is_drawn_on_log2():
    row = {
        "endpoint": "e",
        "population": "Th17/Treg",
        "definition": "Th17.CCR6posCXCR3neg_all / Treg.CD25hiCD127lo",
        "parent": "CD4",
        "unit": "ratio",
    }
    assert label(row).axis == "Th17/Treg (CCR6+ CXCR3- / CD25hi CD127lo), ratio"
    assert label(row).axis_scale == "log2"
    assert label(row | {"unit": "pg/mL"}).axis_scale == "log2"
    assert label(row | {"unit": "points"}).axis_scale == "linear"


def test_mixed_definitions_are_said_and_not_hidden(frames):
    endpoints = frames["endpoints"].copy()
    first = endpoints.index[endpoints["endpoint"] == "treg_pct_cd4"][0]
    endpoints.loc[first, "definition"] = "Treg.CD25posFOXP3pos"
    assert labels(endpoints)["treg_pct_cd4"].name == "Treg (MIXED definition)"


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.0078125, "p = 0.0078"),
        (0.5, "p = 0.500"),
        (0.04999, "p = 0.04999"),  # below the limit, and read so
        (2.44e-4, "p = 2.4 × 10⁻⁴"),
        (np.nan, "p not computed"),
    ],
)
def test_p_is_written_as_a_number(p, text):
    assert p_text(p) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.069673, "2.07"),
        (0.0, "0"),
        (9.999, "10.0"),
        (123456.0, "123000"),
        (-6.0, "−6.00"),
        (1e-7, "1.00 × 10⁻⁷"),
        (np.inf, "∞"),
    ],
)
def test_numbers_keep_three_digits(value, text):
    assert number(value) == text


def test_an_interval_is_turned_back_from_the_logit_and_never_invented():
    assert bracket(np.log(2.0), np.log(1.5), np.log(2.5), "log_odds") == "2.00 [1.50, 2.50]"
    assert bracket(-6.0, -9.0, -3.0, "identity") == "−6.00 [−9.00, −3.00]"
    assert bracket(0.1, np.nan, np.nan, "log") == "1.11 [no interval]"
    assert bracket(np.nan, np.nan, np.nan, "log") == "not estimable"


def test_span_shows_the_range_only_when_there_is_one():
    assert (span(pd.Series([71.0, 71.0])), span(pd.Series([69.0, 73.0])), span(pd.Series([np.nan]))) == (
        "71",
        "69 to 73",
        "unknown",
    )


def test_a_subset_has_one_colour_whatever_its_definition():
    assert colour("Treg") == colour("Treg_FOXP3") == SUBSET_COLOURS["Treg"]
    assert colour("Tfh_eff") == SUBSET_COLOURS["Tfh"]
    assert colour("Th1") != colour("Th17") != colour("Th1_17")
    assert colour("Th17/Treg") == colour("anything else")


# --- paired lines and forest -----------------------------------------------------------------------


def test_one_line_a_pair_at_the_tables_values(frames):
    ax = paired_lines(frames["endpoints"], frames["pairs"], frames["shifts"], "treg_pct_cd4", ax=new_axes())
    pairs = frames["pairs"].query("endpoint == 'treg_pct_cd4'").dropna(subset=["before", "after"])
    drawn = sorted(tuple(map(float, line.get_ydata())) for line in two_point_lines(ax))
    assert drawn == sorted(zip(pairs["before"].astype(float), pairs["after"].astype(float), strict=True))
    assert len(drawn) == 6
    assert ax.get_ylim()[0] == 0


def test_paired_lines_say_n_definition_denominator_test_p_and_days(frames):
    tables = (frames["endpoints"], frames["pairs"], frames["shifts"], "treg_pct_cd4")
    assert "p =" not in words(paired_lines(*tables, ax=new_axes()))  # clean unless it is asked for
    text = words(paired_lines(*tables, words=True, ax=new_axes())).replace("\n", " ")
    for part in (
        "n = 6 pairs",
        "(CD25hi CD127lo), % of CD4+ T",
        "Primary endpoint",
        "paired t on the logit",
        "95 % CI",
    ):
        assert part in text
    row = frames["shifts"].query("endpoint == 'treg_pct_cd4'").iloc[0]
    assert p_text(row["p_value"]) in text
    assert "d after last dose (peak)" in text
    assert "before first dose" in text
    assert "no pair (2): P07, P08" in text


def test_values_below_quantification_are_open(frames):
    endpoints = frames["endpoints"].copy()
    row = (endpoints["endpoint"] == "treg_pct_cd4") & (endpoints["patient_id"] == "P01") & (endpoints["visit"] == "W10")
    endpoints.loc[row, "flag"] = "below_loq"
    ax = paired_lines(endpoints, frames["pairs"], frames["shifts"], "treg_pct_cd4", ax=new_axes())
    hollow = [line for line in ax.lines if line.get_marker() == "o" and line.get_markerfacecolor() == "white"]
    assert [float(line.get_ydata()[0]) for line in hollow] == [float(endpoints.loc[row, "value"].iloc[0])]


def test_a_ratio_is_drawn_on_a_log2_axis(frames):
    ax = paired_lines(frames["endpoints"], frames["pairs"], frames["shifts"], "th17_treg_ratio", ax=new_axes())
    assert ax.get_yscale() == "log"
    assert ax.get_ylim()[0] > 0


def test_no_pair_draws_no_line_and_no_p(frames):
    none = frames["pairs"].assign(after=np.nan, shift=np.nan)
    shifts = frames["shifts"].assign(estimate=np.nan, p_value=np.nan, n_pairs=0, method="none: fewer than 3 pairs")
    ax = paired_lines(frames["endpoints"], none, shifts, "treg_pct_cd4", words=True, ax=new_axes())
    assert two_point_lines(ax) == []
    assert "n = 0 pairs; not estimable" in words(ax)
    assert "p =" not in words(ax)


def test_the_forest_prints_every_row_once_with_n_p_and_q(frames):
    ax = forest(frames["shifts"], labels(frames["endpoints"]), ax=new_axes())
    plot = ax.child_axes[0]
    text = [t.get_text() for t in plot.texts]
    assert text[:1] == ["PRIMARY"]
    assert text.index("Secondary") < text.index("Exploratory (no claim)")
    for row in frames["shifts"].to_dict("records"):
        assert bracket(row["estimate"], row["ci_low"], row["ci_high"], row["estimate_scale"]) in text
    points = [line for line in plot.lines if line.get_marker() in ("s", "D")]
    folds = frames["shifts"]["fold"].astype(float)
    assert sorted(float(line.get_xdata()[0]) for line in points) == pytest.approx(sorted(folds))
    assert plot.get_xscale() == "log"


def test_a_difference_has_no_place_on_the_forests_axis(frames):
    shifts = frames["shifts"].assign(estimate_scale="identity")
    plot = forest(shifts, labels(frames["endpoints"]), ax=new_axes()).child_axes[0]
    assert not [line for line in plot.lines if line.get_marker() in ("s", "D")]
    assert sum(t.get_text() == "difference: see number" for t in plot.texts) == len(shifts)


# --- time ------------------------------------------------------------------------------------------


def test_dose_days_fall_into_cycles():
    assert stretches(report_fixture.DOSES) == [(1, 13), (29, 41), (57, 69)]
    assert stretches(()) == []


def test_a_missed_visit_leaves_a_gap(long_frames, plan):
    rows = long_frames["endpoints"]
    gone = (rows["patient_id"] == "P01") & (rows["visit"] == "W6")
    segments = {}
    for name, table in (("all", rows), ("gap", rows[~gone])):
        ax = spaghetti(table, "treg_pct_cd4", plan, ax=new_axes())
        segments[name] = grey_segments(ax)
    assert segments["all"] - segments["gap"] == 2
    assert "n = 8" in words(ax)
    assert "n = 6" in words(ax)


def test_a_score_of_other_visits_does_not_break_a_subsets_line(long_frames, plan):
    rows = long_frames["endpoints"]
    two = rows[(rows["endpoint"] != "treg_pct_cd4") | rows["visit"].isin(["W0", "W10"])]
    ax = spaghetti(two, "treg_pct_cd4", plan, ax=new_axes())
    assert grey_segments(ax) == 6


def test_a_one_pager_names_doses_and_verdicts(long_frames, plan):
    fig = page_of(long_frames["endpoints"], long_frames["pairs"], "P01", plan)
    text = "\n".join([*(words(ax) for ax in fig.axes), *(t.get_text() for t in fig.texts)])
    verdict = long_frames["pairs"].query("patient_id == 'P01' and endpoint == 'treg_pct_cd4'")["verdict"].iloc[0]
    assert verdict in text
    assert "doses as planned" in text
    own = replace(plan, patient_doses={"P01": (1, 3)})
    given = page_of(long_frames["endpoints"], long_frames["pairs"], "P01", own)
    assert any("doses as given" in t.get_text() for t in given.texts)


def test_a_patients_page_has_the_house_style_whoever_draws_it_and_room_for_its_names(long_frames, plan):
    rows, pairs = long_frames["endpoints"], long_frames["pairs"]
    own = rows[rows["patient_id"] == "P01"].dropna(subset=["value", "study_day"])
    visits = {str(name): visit_order(part, plan) for name, part in rows.groupby("endpoint")}
    named = {name: replace(label, population="physician's global assessment") for name, label in labels(rows).items()}
    fig = patient_page(own, pairs[pairs["patient_id"] == "P01"], "P01", plan, named, visits)
    assert {text.get_fontsize() for text in fig.findobj(Text) if text.get_text()} <= {SMALL, 8.0, 10.0}
    assert unreadable(fig) == []
    names = [ax.get_title(loc="left") for ax in fig.axes if ax.get_title(loc="right")]
    assert names
    assert all("…" in name and len(name) > 12 for name in names)  # as much of it as there is room for


def test_swimmer_counts_patients(plan):
    marks = pd.DataFrame({"patient_id": ["P1", "P1", "P2"], "study_day": [71, 99, 71], "what": ["response"] * 3})
    marks["kind"] = "response"
    ax = swimmer(plan, ["P1", "P2"], marks, ax=new_axes())
    assert "response (n = 2)" in [t.get_text() for t in ax.get_legend().get_texts()]


def test_planned_doses_are_not_called_given(plan):
    marks = pd.DataFrame({"patient_id": ["P1"], "study_day": [71], "what": ["response"], "kind": ["response"]})
    words = [t.get_text() for t in swimmer(plan, ["P1", "P2"], marks, ax=new_axes()).get_legend().get_texts()]
    assert words[-1] == "planned dose"
    assert dose_words(plan, ["P1", "P2"]) == "doses as planned"
    some = replace(plan, patient_doses={"P1": (1, 2)})
    assert dose_words(some, ["P1"]) == "doses as given"
    assert "as planned in 1 of 2 patients" in dose_words(some, ["P1", "P2"])
    assert "planned dose" in shade_words(plan)
    assert "planned dose" not in shade_words(some)


# --- patients and clinic ---------------------------------------------------------------------------


def test_the_verdict_strip_draws_every_patient_and_says_why_not(frames):
    pairs = frames["pairs"].query("endpoint == 'treg_pct_cd4'")
    ax = verdict_strip(pairs, labels(frames["endpoints"])["treg_pct_cd4"], ax=new_axes())
    text = words(ax).replace("\n", " ")
    assert text.count("not evaluable: no sample at W10") == 2
    drawn = sorted(float(line.get_xdata()[0]) for line in ax.lines if line.get_marker() in ("^", "v", "o"))
    assert drawn == pytest.approx(sorted(pairs["fold"].dropna().astype(float)))


def test_the_waterfall_is_sorted_and_its_groups_add_up(frames):
    pairs = frames["pairs"].query("endpoint == 'treg_pct_cd4'")
    named = labels(frames["endpoints"])["treg_pct_cd4"]
    ax = waterfall(pairs, named, response={"P01": "yes", "P02": "no"}, ax=new_axes())
    heights = [bar.get_height() for bar in ax.patches][:6]
    assert heights == sorted(heights, reverse=True)
    legend = " ".join(t.get_text() for t in ax.get_legend().get_texts())
    assert sum(map(int, re.findall(r"n = (\d+)", legend))) == 6
    assert "response not known (n = 4)" in legend


def test_the_heatmap_is_symmetric_about_no_change(frames):
    ax = heatmap_of_change(frames["pairs"], labels(frames["endpoints"]), ax=new_axes())
    low, high = ax.images[0].get_clim()
    assert low == -high
    assert ax.images[0].get_array().mask.sum() == 2 * 8  # grey: no pair
    assert not ax.texts
    marks = {kind: sum(len(x.get_xdata()) for x in ax.lines if x.get_label() == kind) for kind in ("rise", "fall")}
    verdicts = frames["pairs"]["verdict"]
    assert marks == {kind: int((verdicts == kind).sum()) for kind in ("rise", "fall")}


def test_the_heatmap_is_drawn_where_a_patient_lacks_an_endpoint_altogether(frames):
    """As a patient of the clinic's tables without a sample: no row of the cells, and words as a run has them."""
    pairs = frames["pairs"].astype({"verdict": "string"})
    hole = (pairs["patient_id"] == "P03") & (pairs["endpoint"] == "treg_pct_cd4")
    ax = heatmap_of_change(pairs[~hole], labels(frames["endpoints"]), ax=new_axes())
    assert ax.images[0].get_array().mask.sum() == 2 * 8 + 1


def test_a_ratio_is_the_sum_of_its_parts(frames):
    named = labels(frames["endpoints"])
    pairs = frames["pairs"]
    ax = ratio_decomposition(pairs, named["th17_pct_cd4"], named["treg_pct_cd4"], ax=new_axes())
    net = next(line for line in ax.lines if line.get_marker() == "D").get_ydata()
    wide = {e: pairs.query("endpoint == @e").dropna().set_index("patient_id") for e in ("th17_pct_cd4", "treg_pct_cd4")}
    change = [np.log2(w["after"].astype(float) / w["before"].astype(float)) for w in wide.values()]
    assert sorted(net) == pytest.approx(sorted(change[0] - change[1]))


def test_responders_are_not_tested_below_four_a_group():
    values = {f"P{i}": float(i) for i in range(8)}
    few = responders(values, {f"P{i}": "yes" if i < 3 else "no" for i in range(8)}, "x", ax=new_axes())
    assert "no test" in words(few)
    assert "p =" not in words(few)
    enough = responders(values, {f"P{i}": "yes" if i < 4 else "no" for i in range(8)}, "x", ax=new_axes())
    assert "p = 0.029" in words(enough)  # the smallest p of 4 against 4
    assert "descriptive" in words(enough)


def test_correlation_says_exploratory_and_uses_permutation_when_small():
    x = {f"P{i}": float(i) for i in range(7)}
    y = {f"P{i}": float(v) for i, v in enumerate([1, 0, 3, 2, 5, 4, 6])}
    text = words(correlation(x, y, "a", "b", ax=new_axes()))
    assert "exploratory; n = 7" in text
    assert "permutation" in text
    assert "not computed" in words(correlation({"P1": 1.0}, {"P1": 2.0}, "a", "b", ax=new_axes()))


def test_names_beside_points_touch_neither_names_nor_points():
    x = {"SLE001": 1.19, "SLE002": 1.32, "SLE003": 0.51, "SLE004": 1.4, "SLE005": 0.76, "SLE006": 1.12, "SLE007": 1.19}
    y = {"SLE001": -7, "SLE002": -8, "SLE003": 0, "SLE004": -4, "SLE005": -14, "SLE006": -3, "SLE007": -8}
    ax = correlation(x, y, "Treg", "SLEDAI")
    ax.figure.canvas.draw()
    boxes = {text.get_text(): text.get_window_extent() for text in ax.texts}
    gap = 1.5 * ax.figure.dpi / 72
    for name, box in boxes.items():
        wider = Bbox.from_extents(box.x0 - gap, box.y0, box.x1 + gap, box.y1)
        assert not any(wider.overlaps(other) for one, other in boxes.items() if one != name), name
        points = [ax.transData.transform((x[one], y[one])) for one in x if one != name]
        assert not any(wider.contains(*point) for point in points), name


def test_checks_over_the_run_show_what_fails(frames):
    order = list(dict.fromkeys(frames["counts"]["sample_id"]))
    ax = check_over_run(frames["quality"], "dead", order, ax=new_axes())
    bad = int((frames["quality"].query("check == 'dead'")["status"] != "ok").sum())
    red = [line for line in ax.lines if line.get_color() == ALARM]
    assert sum(len(line.get_xdata()) for line in red) == bad


# --- gates -----------------------------------------------------------------------------------------


def small_tube(n=4000, seed=3):
    rng = np.random.default_rng(seed)
    bimodal = [np.where(rng.random(n) < 0.4, rng.lognormal(9, 0.4, n), rng.normal(50, 120, n)) for _ in range(3)]
    channels = (
        Channel("FSC-A", kind="scatter"),
        Channel("SSC-A", kind="scatter"),
        Channel("BV421-A", "CD25", "CD25"),
        Channel("APC-A", "CD127", "CD127"),
        Channel("PE-A", "CD4", "CD4"),
    )
    columns = [rng.normal(90_000, 15_000, n), rng.normal(30_000, 6_000, n), *bimodal]
    return Tube(np.array(columns, dtype=np.float32), channels, sample_id="P01_W0")


def axis(name):
    return Dimension(name, Identity() if "SC" in name else LOGICLE)


def small_strategy():
    cut = float(LOGICLE.apply(np.array([1000.0]))[0])
    cells, cd4 = "/cells", "/cells/CD4"
    gates = (
        (cells, Ellipsoid((axis("FSC-A"), axis("SSC-A")), (9e4, 3e4), ((2.25e8, 0.0), (0.0, 3.6e7)), 6.0), ""),
        (cd4, Rectangle((axis("CD4"),), (cut,), (None,)), ""),
        (
            f"{cd4}/Treg",
            Polygon((axis("CD25"), axis("CD127")), ((cut, -9), (9, -9), (9, cut), (cut, cut))),
            "no_valley",
        ),
        (f"{cd4}/all", Rectangle((axis("CD25"), axis("CD127"), axis("CD4")), (None, cut, cut), (cut, None, None)), ""),
        (f"{cd4}/rest", Boolean("not", (f"{cd4}/Treg",), (False,)), ""),
        (f"{cd4}/none", Rectangle((axis("CD25"), axis("CD127")), (0.99, 0.99), (None, None)), ""),
        (f"{cd4}/none/child", Rectangle((axis("CD25"),), (cut,), (None,)), ""),
        ("/same", None, ""),
    )
    return Strategy("small", tuple(Population(path, gate, flag=flag) for path, gate, flag in gates))


@pytest.fixture(scope="module")
def gated():
    events, strategy = small_tube(), small_strategy()
    return strategy, events, evaluate(strategy, events)


def test_views_count_all_events_and_draw_the_parents(gated):
    strategy, _, memberships = gated
    views = gate_views(*gated)
    assert [v.path for v in views if not v.part.startswith("2")] == [p.path for p in strategy.populations if p.gate]
    for view in views:
        assert view.n_events == int(memberships.masks[view.path].sum())
        assert view.n_drawn - view.counts.sum() == view.n_beyond <= 0.005 * view.n_drawn
        assert view.n_drawn <= view.n_parent
    by_name = {view.name: view for view in views if not view.part.startswith("2")}
    assert by_name["Treg"].n_parent == int(memberships.masks["/cells/CD4"].sum())
    assert np.isnan(by_name["child"].percent)
    assert by_name["rest"].note == "not Treg"
    assert len(by_name["rest"].members)


def test_a_gate_of_three_dimensions_is_drawn_in_steps(gated):
    first, second = (v for v in gate_views(*gated) if v.name == "all")
    assert (first.part, second.part) == ("1 of 2", "2 of 2")
    assert second.y is None
    assert second.n_drawn < first.n_drawn


def test_a_far_corner_does_not_stretch_the_axis(gated):
    treg = next(v for v in gate_views(*gated) if v.name == "Treg")
    assert treg.x.high == pytest.approx(1.0)
    assert treg.y.low > -0.1


def test_the_visits_of_a_patient_share_their_axes(gated):
    strategy, events, _ = gated
    later = replace(small_tube(seed=9), sample_id="P01_W10")
    second = gate_views(strategy, later, evaluate(strategy, later))
    for a, b in zip(gate_views(strategy, events, evaluate(strategy, events)), second, strict=True):
        assert (a.x, a.y) == (b.x, b.y)


def test_ticks_are_instrument_units(gated):
    treg = next(v for v in gate_views(*gated) if v.name == "Treg")
    assert treg.x.label == "CD25 (BV421-A)"
    at = dict(zip(treg.x.tick_labels, treg.x.ticks, strict=True))
    assert at["10³"] == pytest.approx(float(LOGICLE.apply(np.array([1000.0]))[0]))
    assert at["0"] == pytest.approx(float(LOGICLE.apply(np.array([0.0]))[0]))


def test_mass_cytometry_ticks():
    events = Tube(
        np.abs(np.random.default_rng(0).normal(50, 30, (1, 500))).astype(np.float32),
        (Channel("Nd145Di", "CD4", "CD4", kind="mass"),),
    )
    gate = Rectangle((Dimension("CD4", Asinh(5.0)),), (1.0,), (None,))
    strategy = Strategy("m", (Population("/CD4", gate),))
    (view,) = gate_views(strategy, events, evaluate(strategy, events))
    assert "10²" in view.x.tick_labels
    assert "0" in view.x.tick_labels


def test_a_not_gate_on_one_axis_shows_its_members():
    values = np.random.default_rng(0).normal(50, 30, (1, 500)).astype(np.float32)
    events = Tube(values, (Channel("PE-A", "CXCR5", "CXCR5"),))
    gate = Rectangle((Dimension("PE-A", Asinh(5.0)),), (3.0,), (None,))
    strategy = Strategy("n", (Population("/Tfh", gate), Population("/rest", Boolean("not", ("/Tfh",), (False,)))))
    _, rest = gate_views(strategy, events, evaluate(strategy, events))
    assert 0 < len(rest.members) <= 400
    assert rest.members[:, 0].max() < 3.0
    (points, _), *_ = contact_page([rest]).dots
    assert len(points)


def test_the_subsample_is_seeded(gated, monkeypatch):
    monkeypatch.setattr("immunolab.plots.gate_views.MOST_EVENTS", 500)
    one, two, other = (gate_views(*gated, seed=s)[1] for s in (1, 1, 2))
    assert np.array_equal(one.counts, two.counts)
    assert not np.array_equal(one.counts, other.counts)
    assert one.n_drawn == 500
    assert one.n_parent > 500


def test_views_survive_their_file(gated, tmp_path):
    views = gate_views(*gated)
    save_views(views, tmp_path / "a.npz")
    save_views(views, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    for one, two in zip(views, read_views(tmp_path / "a.npz"), strict=True):
        assert (one.x, one.y, one.path, one.n_events, one.flag) == (two.x, two.y, two.path, two.n_events, two.flag)
        assert np.array_equal(one.counts, two.counts)
        assert len(one.lines) == len(two.lines)


def test_the_contact_sheet_names_counts_percent_and_flags(gated):
    page = contact_page(gate_views(*gated), title="P01, W0")
    views = gate_views(*gated)
    text = "\n".join(word.text for word in page.words)
    for view in views:
        assert f"{view.n_events:,} of {view.n_parent:,}" in text
        if view.n_parent:
            assert f"{number(view.percent)} % of {view.parent}" in text
    flags = [word for word in page.words if word.text == "no_valley"]
    assert [word.colour for word in flags] == ["#8A5A00"]  # doubtful; withheld is red
    withheld = contact_page([replace(views[0], flag="no_fmo;implausible")])
    assert [word.colour for word in withheld.words if word.text == "implausible"] == ["#B00020"]
    assert [word.text for word in withheld.words if word.text in ("withheld", "no_fmo")] == ["withheld"]
    assert "no parent events" in text
    assert "P01, W0" in text


def test_marks_of_a_sheet_are_on_the_page_and_words_are_readable(gated):
    page = contact_page((gate_views(*gated) * 7)[:40])
    assert all(word.size >= SMALL for word in page.words)
    for word in page.words:
        width = width_of(word.text, word.size, word.bold)
        left = word.x - {"left": 0.0, "center": 0.5, "right": 1.0}[word.across] * width
        if not word.upward:
            assert left >= 0
            assert left + width <= page.width
    for points, *_ in page.dots:
        assert points.min() >= 0
        assert (points <= (page.width, page.height)).all()


def test_a_sheet_is_painted_where_it_is_described(gated):
    page = Page(40.0, 40.0)
    page.images.append((np.array([[1.0]]), Box(10, 10, 20, 20)))
    page.line(np.array([(0.0, 35.0), (40.0, 35.0)]), "red", 2.0, Box(0, 30, 20, 10))
    page.write(Word("####", 4.0, 2.0, 12))
    pixels = np.asarray(Image.open(BytesIO(png(page.paint(), dpi=254))).convert("RGB")).astype(int)
    height, width = pixels.shape[:2]
    assert (height, width) == (400, 400)  # 10 pixels a millimetre, the first row on top
    assert (pixels[200, 150:250] != 255).any(axis=1).all()
    assert (pixels[50, 20:180, 0] > 200).all()
    assert (pixels[50, 20:180, 1] < 80).all()
    assert (pixels[50, 220:] == 255).all()  # the line is cut at its box
    assert (pixels[340:390, 40:180] == 0).any()
    assert (pixels[340:390, 220:] == 255).all()


def test_long_words_end_in_an_ellipsis():
    page = Page(100, 100)
    page.write(Word("a_population_with_a_very_long_name", 0, 0), within=20.0)
    page.write(Word("short", 0, 0), within=20.0)
    assert page.words[0].text.startswith("a_popul")
    assert page.words[0].text.endswith("…")
    assert width_of(page.words[0].text) <= 20.0
    assert page.words[1].text == "short"


def test_a_long_word_is_cut_at_the_first_length_that_fits_and_measured_a_few_times(monkeypatch):
    name, page, measured = "CD4+CD25hi CD127lo FOXP3+ regulatory " * 3, Page(100, 100), []

    def width(text, size, bold):
        measured.append(text)
        return width_of(text, size, bold)

    monkeypatch.setattr(panel_canvas, "width_of", width)
    for within in (5.0, 17.3, 40.0, 66.6):
        measured.clear()
        page.write(Word(name, 0, 0), within=within)
        text = name
        while width_of(text) > within:
            text = f"{text.rstrip('…')[:-1].rstrip()}…"
        assert page.words[-1].text == text
        assert len(measured) <= 9  # of 111 lengths


@pytest.mark.parametrize(
    ("text", "bold"),
    [
        ("1,204 of 33,101", False),
        ("CD4+CD25hi, AV To. VA: LT fi ffl difficult (Treg) 4.5 %", False),  # kerned pairs, and ligatures
        ("Tregs AV To. 4.5 %", True),
        ("Tregs (naïve), 4.5 %", True),
        ("x", False),
        ("", False),
    ],
)
def test_outlines_of_words_are_those_of_matplotlib(text, bold):
    font = FontProperties(family=fonts(), weight="bold" if bold else "normal")
    vertices, codes = text_to_path.get_text_path(font, text)
    outline, own_codes, _ = text_outline(text, bold)
    assert np.array_equal(outline, np.reshape(vertices, (-1, 2)) / text_to_path.FONT_SCALE)
    assert np.array_equal(own_codes, codes)


@pytest.mark.parametrize("size", [(1, 1), (7, 128), (33, 300)])
def test_a_png_has_the_pixels_and_dots_per_inch_it_was_made_of(size):
    drawn = Image.fromarray(np.random.default_rng(3).integers(0, 256, (*size[::-1], 3), dtype=np.uint8))
    read = Image.open(BytesIO(png_file(drawn, 300)))
    assert (read.mode, read.size, read.tobytes()) == ("RGB", size, drawn.tobytes())
    assert read.info["dpi"] == pytest.approx((300, 300), abs=0.01)


def test_a_sample_without_gates_says_so():
    page = contact_page([])
    assert any("No gate was evaluated" in word.text for word in page.words)
    events = small_tube(10)
    empty = Strategy("none", ())
    assert png(contact_sheet(empty, events, Memberships(empty, {})), dpi=50)


def test_twenty_five_panels_are_quick(gated):
    views = (gate_views(*gated) * 4)[:25]
    start = time.process_time()
    png(draw_contact_sheet(views), dpi=150)
    assert time.process_time() - start < 3  # 0.4 s on an idle core; the bound allows for a busy machine


def test_drift_shows_each_border_once(frames):
    thresholds = frames["thresholds"]
    twin = thresholds[thresholds["marker"] == "CD25"].assign(population="Treg_naive")
    order = list(dict.fromkeys(thresholds["sample_id"]))
    fig = gate_drift(pd.concat([thresholds, twin]), order, batches=dict.fromkeys(order, "B1"))
    titles = [ax.get_title("left") for ax in fig.axes]
    assert titles == ["CD25: Treg +1", "CD127: Treg"]


# --- files and state -------------------------------------------------------------------------------


def test_the_same_figure_gives_the_same_bytes(frames, tmp_path):
    for name in ("one", "two"):
        for suffix in ("pdf", "png", "svg"):
            ax = new_axes()
            paired_lines(frames["endpoints"], frames["pairs"], frames["shifts"], "treg_pct_cd4", ax=ax)
            save(ax.figure, tmp_path / f"{name}.{suffix}", dpi=80)
    for suffix in ("pdf", "png", "svg"):
        assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()


def test_the_callers_settings_are_left_alone(frames):
    before = dict(mpl.rcParams)
    forest(frames["shifts"], labels(frames["endpoints"]), ax=new_axes())
    assert dict(mpl.rcParams) == before


def test_a_notebook_gets_axes_without_giving_any(frames):
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("agg")
    ax = paired_lines(frames["endpoints"], frames["pairs"], frames["shifts"], "treg_pct_cd4")
    assert ax.figure.number in plt.get_fignums()
    plt.close(ax.figure)


def test_no_text_is_smaller_than_seven_points(frames, gated, long_frames, plan):
    figures = [page_of(long_frames["endpoints"], long_frames["pairs"], "P01", plan)]
    for draw in (
        lambda ax: paired_lines(frames["endpoints"], frames["pairs"], frames["shifts"], "treg_pct_cd4", ax=ax),
        lambda ax: forest(frames["shifts"], labels(frames["endpoints"]), ax=ax),
        lambda ax: heatmap_of_change(frames["pairs"], labels(frames["endpoints"]), ax=ax),
    ):
        figures.append(draw(new_axes()).figure)
    for fig in figures:
        png(fig, dpi=50)
        texts = [t for t in fig.findobj(mpl.text.Text) if t.get_text().strip()]
        assert min(t.get_fontsize() for t in texts) >= SMALL


def test_dollars_in_names_are_plain_text():
    named = EndpointLabel("e", "cost $5 and $6", "", "", "points")
    fig = figure()
    ax = fig.add_subplot()
    ax.set_ylabel(named.axis)
    assert png(fig, dpi=40)


def test_names_of_points_close_together_do_not_overlap():
    from immunolab.plots.clinical import correlation

    names = [f"P{i:02d}" for i in range(6)]
    x = dict(zip(names, [0.0, 1.0, 1.0, 1.02, 1.04, 2.0], strict=True))
    y = dict(zip(names, [0.0, 1.0, 1.0, 1.0, 1.0, 2.0], strict=True))
    ax = correlation(x, y, "x", "y")
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert {text.get_text() for text in ax.texts} == set(names)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_a_hyphen_before_a_number_is_a_minus_and_that_of_a_name_or_date_stays():
    said = "CD4 -3.7 sd; BV421-A -1.2 %; 2025-07-26, PD-1, 3-5 days, P-10, (-8 to -2)"
    assert with_minus(said) == "CD4 −3.7 sd; BV421-A −1.2 %; 2025-07-26, PD-1, 3-5 days, P-10, (−8 to −2)"
