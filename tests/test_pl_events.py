"""`immunolab.pl` on events: each in its bin or said to be beyond, ticks are the instrument's, numbers the table's."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from builders import REPOSITORY, data_folder
from figure_checks import unreadable
from planted import planted_tube

import immunolab as il
from immunolab.errors import InputError
from immunolab.events.transforms import Asinh, Biex, Bounded, Identity, Log, Logicle
from immunolab.events.tube import Channel, Spillover, Tube
from immunolab.gating.axes import Axes as GateAxes
from immunolab.gating.evaluate import evaluate
from immunolab.gating.strategy import Dimension, Polygon, Population, Rectangle, Strategy
from immunolab.gating.tubes import GatedTube
from immunolab.plots.event_bins import bin_tube, bin_values, share_words
from immunolab.plots.gate_views import gate_views
from immunolab.plots.gates import contact_page
from immunolab.plots.scales import channel_label, limited_scale, scale_of, whole_scale

mpl.use("agg")
pl = il.pl
STRATEGY = "treg_th17_tfh_teff"


@pytest.fixture(autouse=True)
def _no_figures_left():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture(scope="module")
def tube():
    return planted_tube(0, 12_000, sample_id="P01_W0")[0]


@pytest.fixture(scope="module")
def gated(tube):
    return il.gate(tube, STRATEGY)


def one_channel(values, *, kind="fluorescence", marker="CD4"):
    columns = np.vstack([values, np.linspace(0, 1, len(values))]).astype(np.float32)
    return Tube(columns, (Channel("A", marker, marker, "PE", kind), Channel("Time", kind="time")), None, "S")


def on_log(tube):
    gate = Rectangle((Dimension("CD4", Log(262144.0, 4.5)),), (0.5,), (None,))
    strategy = Strategy("s", (Population("/P", gate),))
    return GatedTube(tube, evaluate(strategy, tube), ())


def words(ax):
    legend = ax.get_legend()
    texts = [legend.get_title().get_text(), *(t.get_text() for t in legend.get_texts())] if legend else []
    return "\n".join([*texts, *(t.get_text() for t in ax.texts)]).replace("-\n", "-")


def flat(ax):
    return " ".join(words(ax).split())


# --- bins, and what is beyond them --------------------------------------------------------------


@pytest.mark.parametrize("transform", [Asinh(150.0), Logicle(), Identity(), Log(262144.0, 4.5)])
def test_every_event_is_in_its_bin_or_counted_as_beyond(transform):
    rng = np.random.default_rng(1)
    tube = one_channel(np.concatenate([rng.normal(0, 300, 5_000), 10 ** rng.uniform(2, 6, 5_000)]))
    dimension = Dimension("A", transform)
    scale = limited_scale(dimension, (100.0, 50_000.0), tube)
    found = bin_tube(GateAxes(tube, {}, (dimension,)), [dimension], [scale], 50)
    values = tube["CD4"]
    inside = (values >= 100) & (values <= 50_000)
    assert found.counts.sum() == inside.sum()
    assert found.n_beyond == (~inside).sum()
    assert found.sides == {"left": (values < 100).sum(), "right": (values > 50_000).sum()}
    edges = transform.inverse(np.linspace(scale.low, scale.high, 51))
    expected = np.histogram(values[inside], edges)[0]
    assert np.abs(np.cumsum(found.counts.astype(int)) - np.cumsum(expected)).max() <= 1  # an event at an edge itself


def test_events_beyond_the_axes_are_not_piled_into_the_outermost_bins():
    scale = limited_scale(Dimension("A"), (0.0, 10.0), one_channel(np.zeros(3)))
    values = np.r_[np.full(500, -5.0), np.full(700, 99.0), 5.0]
    found = bin_values([values, np.full(len(values), 5.0)], [scale, scale], 10)
    assert found.counts.sum() == 1
    assert found.counts[5, 5] == 1
    assert found.sides == {"left": 500, "right": 700, "bottom": 0, "top": 0}


def _view_with_events_beyond(tube):
    far = tube.columns.copy()
    far[tube.find("CD3"), :1_200] = 1e8
    outlying = replace(tube, columns=far)
    strategy = Strategy("s", (Population("/CD3", Rectangle((Dimension("CD3", Logicle()),), (0.5,), (None,))),))
    [view] = gate_views(strategy, outlying, evaluate(strategy, outlying))
    return view


def test_the_figure_of_the_report_piles_none_on_its_edge_either(tube):
    view = _view_with_events_beyond(tube)
    assert view.n_beyond >= 1_200
    assert view.counts[-1] == 0
    assert any(word.text.endswith("% beyond") for word in contact_page([view]).words)


def test_flags_of_the_report_s_figure_are_above_the_share_beyond(tube):
    view = _view_with_events_beyond(tube)
    words = contact_page([replace(view, flag="wide_interval;below_loq")]).words
    [share] = [word for word in words if word.text.endswith("% beyond")]
    flags = [word for word in words if word.text in ("wide_interval", "below_loq")]
    assert len(flags) == 2
    assert min(word.y for word in flags) >= share.y + 3.0


@pytest.mark.parametrize(("n", "of", "text"), [(0, 10, "0.0 %"), (1, 10_000, "< 0.1 %"), (12, 1_000, "1.2 %")])
def test_a_share_never_says_none_of_some(n, of, text):
    assert share_words(n, of) == text


def test_what_is_beyond_is_said_and_marked_at_its_edge(tube):
    ax = pl.scatter(tube, "CD4", "CD8", xlim=(-500, 2_000))
    share = 100 * np.mean((tube["CD4"] > 2_000) | (tube["CD4"] < -500))
    assert float(re.search(r"([\d.]+) % beyond the axes", flat(ax)).group(1)) == pytest.approx(share, abs=0.15)
    marked = {line.get_label().removeprefix("_beyond_") for line in ax.lines if "_beyond_" in line.get_label()}
    assert "right" in marked
    within = pl.scatter(tube, "CD4", "CD8", xlim=(-1e6, 1e7), ylim=(-1e6, 1e7))
    assert "beyond" not in flat(within)


@pytest.mark.parametrize("marker", ["CD4", "FSC-A"])
def test_an_axis_of_its_own_holds_all_but_outliers(tube, marker):
    said = re.findall(r"([\d.]+) % beyond", flat(pl.histogram(tube, marker)))
    assert sum(map(float, said)) <= 0.4
    outlying = replace(tube, columns=np.where(np.arange(len(tube)) < 3, np.float32(1e9), tube.columns))
    _low, high = pl.histogram(outlying, marker).get_xlim()
    assert high < 1e7
    assert "< 0.1 % beyond" in flat(pl.histogram(outlying, marker))


# --- ticks and labels ---------------------------------------------------------------------------


@pytest.mark.parametrize("transform", [Asinh(150.0), Logicle(), Logicle(m=4.0)])
def test_ticks_are_at_the_values_they_name(transform):
    from immunolab.plots.instrument_axis import instrument_axis
    from immunolab.plots.style import figure

    rng = np.random.default_rng(0)
    tube = one_channel(np.r_[rng.normal(0, 800, 4_000), 10 ** rng.uniform(2, 5, 4_000)])
    dimension = Dimension("A", transform)
    ax = figure().add_subplot()
    instrument_axis(ax, "x", transform, whole_scale(dimension, transform.apply(tube["CD4"]), (), tube, room=0.02))
    ax.figure.draw_without_rendering()
    ticks = {t.get_text(): x for t, x in zip(ax.get_xticklabels(), ax.get_xticks(), strict=True)}
    assert ticks["10⁴"] == pytest.approx(1e4, rel=1e-6)
    assert ticks["0"] == pytest.approx(0, abs=1e-6)
    assert ticks["−10³"] == pytest.approx(-1e3, rel=1e-6)
    shares = {name: ax.transAxes.inverted().transform(ax.transData.transform((x, 0)))[0] for name, x in ticks.items()}
    low, high = transform.apply(np.array(ax.get_xlim()))
    for name, value in (("10⁴", 1e4), ("−10³", -1e3)):
        assert shares[name] == pytest.approx((transform.apply([value])[0] - low) / (high - low), abs=1e-6)


@pytest.mark.parametrize("transform", [Biex(), Bounded(Logicle(), 0.0, 1.0), Bounded(Log(262144.0, 4.5), 0.0, 1.0)])
def test_a_scale_that_ends_has_no_tick_and_no_event_beyond_its_end(transform):
    values = np.r_[np.full(40, -3e6), np.full(30, 5e6), 10 ** np.random.default_rng(0).uniform(2, 5, 930)]
    tube = one_channel(values)
    rectangle = Rectangle((Dimension("A", transform),), (0.5,), (None,))
    strategy = Strategy("s", (Population("/P", rectangle),))
    ax = pl.histogram(GatedTube(tube, evaluate(strategy, tube), ()), "CD4")
    ax.figure.draw_without_rendering()
    assert "7.0 % beyond the axis (left 4.0 %, right 3.0 %)" in flat(ax)
    named = {"10²": 1e2, "10³": 1e3, "10⁴": 1e4, "10⁵": 1e5, "−10²": -1e2, "−10³": -1e3, "0": 0.0, "10": 10.0, "1": 1.0}
    ticks = {t.get_text(): x for t, x in zip(ax.get_xticklabels(), ax.get_xticks(), strict=True)}
    for word, x in ticks.items():
        assert x == pytest.approx(named[word], rel=1e-3, abs=1e-3)
    assert {"10³", "10⁴", "10⁵"} <= set(ticks)
    [view] = gate_views(strategy, tube, evaluate(strategy, tube))
    assert view.n_beyond == 70


def test_ticks_follow_an_axis_that_is_zoomed(tube):
    ax = pl.histogram(tube, "CD4")
    ax.set_xlim(500, 3_000)
    ax.figure.draw_without_rendering()
    assert any(500 <= x <= 3_000 for x in ax.get_xticks())


def test_a_users_line_is_at_the_instruments_value(tube):
    ax = pl.scatter(tube, "CD4", "CD8")
    x = ax.transData.transform((3_000.0, 100.0))
    back = ax.transData.inverted().transform(x)
    np.testing.assert_allclose(back, (3_000.0, 100.0), rtol=1e-6)


def test_axes_name_marker_fluorochrome_and_channel_each_once():
    columns = np.zeros((3, 2), dtype=np.float32)
    channels = (
        Channel("PE-Cy7-A", "CD25", "CD25", "PE-Cy7"),
        Channel("V450-A", "CD3", "CD3", "BV421"),
        Channel("FSC-A", kind="scatter"),
    )
    some = Tube(columns, channels)
    labels = [channel_label(Dimension(c.name), some) for c in channels]
    assert labels == ["CD25 (PE-Cy7-A)", "CD3 (BV421, V450-A)", "FSC-A"]


# --- density ------------------------------------------------------------------------------------


def test_dense_bins_are_where_the_events_are(tube):
    many = replace(tube, columns=np.tile(tube.columns, 2))
    ax = pl.scatter(many, "CD4", "CD8")
    [image] = ax.images
    counts = np.asarray(image.get_array().filled(0.0)) ** 2
    assert counts.sum() == pytest.approx(len(many), rel=0.01)
    row, column = np.unravel_index(counts.argmax(), counts.shape)
    left, right, bottom, top = image.get_extent()
    wide = (right - left) / counts.shape[1], (top - bottom) / counts.shape[0]
    scale = ax.transScale.inverted()
    lower = scale.transform((left + column * wide[0], bottom + row * wide[1]))
    upper = scale.transform((left + (column + 1) * wide[0], bottom + (row + 1) * wide[1]))
    inside = np.all(
        [(many[m] >= a) & (many[m] < b) for m, a, b in zip(("CD4", "CD8"), lower, upper, strict=True)], axis=0
    )
    assert inside.sum() == pytest.approx(counts.max(), abs=1.5)


def test_few_events_are_each_a_dot(tube):
    ax = pl.scatter(tube.take(np.arange(300)), "CD4", "CD8")
    assert not ax.images
    assert len(ax.collections[0].get_offsets()) >= 297


@pytest.mark.parametrize("n", [0, 1, 2, 300])
def test_a_tube_of_few_events_or_none_is_drawn(tube, n):
    some = tube.take(np.arange(n))
    for ax in (pl.scatter(some, "CD4", "CD8"), pl.histogram(some, "CD4"), pl.ridges([some, tube], "CD4")):
        ax.figure.canvas.draw()
    assert f"{n} event" in flat(pl.scatter(some, "CD4", "CD8"))
    pl.compensation(some).figure.canvas.draw()


@pytest.mark.parametrize("value", [0.0, 262143.0, -5_000.0, 1e-3, 3e6])
@pytest.mark.parametrize("kind", ["fluorescence", "mass", "scatter"])
def test_a_channel_of_one_value_is_drawn_within_its_axis(value, kind):
    ax = pl.histogram(one_channel(np.full(5_000, value), kind=kind), "CD4")
    ax.figure.canvas.draw()
    low, high = ax.get_xlim()
    assert low < value < high
    assert "beyond" not in flat(ax)


def test_values_that_are_no_number_are_beyond():
    values = np.r_[np.random.default_rng(0).normal(1_000, 100, 90), np.full(10, np.nan)]
    assert "10.0 % beyond the axis" in flat(pl.histogram(one_channel(values), "CD4"))


def test_three_million_events_are_drawn_in_three_tenths_of_a_second():
    rng = np.random.default_rng(0)
    base = planted_tube(0, 300_000)[0]
    names = tuple(c.name for c in base.channels if c.kind == "fluorescence")
    matrix = np.eye(len(names)) + 0.01 * (1 - np.eye(len(names))) * rng.random((len(names),) * 2)
    many = replace(base, columns=np.tile(base.columns, 10), spillover=Spillover(names, matrix))
    logicle = Rectangle((Dimension("CD4", Logicle()), Dimension("CD8", Logicle())), (0.3, 0.3), (None, None))
    strategy = Strategy("s", (Population("/both", logicle),))
    drawn = GatedTube(many, evaluate(strategy, many), ())
    tries = []
    for _ in range(4):  # the first compiles
        started = time.process_time()
        ax = pl.scatter(drawn, "CD4", "CD8")
        tries.append(time.process_time() - started)
    assert f"{len(many):,} events" in flat(ax)
    assert min(tries) < 0.3, tries  # 0.10 s of processor time, 2026-11-26


# --- gates and overlays -------------------------------------------------------------------------


def test_numbers_on_a_gate_are_those_of_the_table(gated):
    row = gated.counts.set_index("population").loc["Treg"]
    texts = [flat(pl.gate(gated, "Treg")), flat(pl.scatter(gated, "CD25", "CD127", within="CD4"))]
    for text in texts:
        assert f"{row.n_events:,} of {row.n_parent:,}" in text
        assert f"{row.percent_of_parent:.3g} %" in text
    assert "of CD4" in texts[0]
    tree = pl.tree(gated)
    shown = [t.get_text() for t in tree.texts]
    for row in gated.counts.itertuples():
        assert f"{row.n_events:,}" in shown
    assert len([t for t in shown if t.endswith(" %")]) == gated.counts["percent_of_parent"].notna().sum() - 1


def test_a_gate_is_drawn_where_it_was_placed(gated):
    population = gated.strategy["CD3"]
    border = population.gate.lower[0]
    raw = float(population.gate.dimensions[0].transform.inverse([border])[0])
    ax = pl.histogram(gated, "CD3", within="lymphocytes")
    lines = {round(float(line.get_xdata()[0]), 3) for line in ax.lines if len(set(line.get_xdata())) == 1}
    assert round(raw, 3) in lines


@pytest.mark.parametrize(("x", "y"), [("CD25", "CD127"), ("CD127", "CD25")])
def test_a_gate_of_another_scale_or_turned_is_bent_to_the_axes(tube, x, y):
    scales = (Logicle(), Asinh(400.0))
    corners = ((0.5, 1.0), (0.9, 1.0), (0.9, 5.0), (0.5, 5.0))
    first = Rectangle((Dimension("CD25", Asinh(150.0)),), (-99.0,), (None,))
    strategy = Strategy(
        "s",
        (
            Population("/all", first),
            Population("/P", Polygon((Dimension("CD25", scales[0]), Dimension("CD127", scales[1])), corners)),
        ),
    )
    own = GatedTube(tube, evaluate(strategy, tube), ())
    ax = pl.scatter(own, x, y)
    outline = max((line for line in ax.lines), key=lambda line: len(line.get_xdata()))
    drawn = ax.transScale.inverted().transform(np.column_stack(outline.get_data()))
    raw = {"CD25": scales[0].inverse([0.5, 0.9]), "CD127": scales[1].inverse([1.0, 5.0])}
    for column, marker in zip(drawn.T, (x, y), strict=True):
        np.testing.assert_allclose([column.min(), column.max()], raw[marker], rtol=1e-6)
    inside = own.mask("P").sum()
    assert f"{inside:,} of {len(tube):,}" in flat(ax)


def test_events_are_drawn_with_the_matrix_of_their_gates(tube):
    names = ("CD4-A", "CD8-A")
    other = Spillover(names, np.array([[1.0, 0.5], [0.0, 1.0]]))
    axis = Dimension("CD8", Asinh(150.0), compensation="other")
    strategy = Strategy("s", (Population("/P", Rectangle((axis,), (0.3,), (None,))),), matrices={"other": other})
    ax = pl.histogram(GatedTube(tube, evaluate(strategy, tube), ()), "CD8")
    counts, edges, _ = ax.patches[0].get_data()
    right = counts[(edges[:-1] + edges[1:]) / 2 > 0.3].sum()
    inside = int((np.arcsinh(tube.compensated("CD8", other) / 150.0) >= 0.3).sum())
    assert right == pytest.approx(inside, rel=0.05)
    assert abs(inside - (np.arcsinh(tube["CD8"] / 150.0) >= 0.3).sum()) > 0.1 * inside
    assert f"{inside:,} of {len(tube):,}" in flat(ax)


def test_a_gate_of_more_than_two_channels_has_a_panel_for_each_pair(tube):
    dimensions = tuple(Dimension(name, Asinh(150.0)) for name in ("CD3", "CD4", "CD8"))
    gate = Rectangle(dimensions, (2.0, 2.0, None), (None, None, 2.0))
    own = GatedTube(tube, evaluate(Strategy("s", (Population("/CD4T", gate),)), tube), ())
    panels = pl.gate(own, "CD4T")
    assert len(panels) == 2
    shown = np.all([np.arcsinh(tube[name] / 150) >= 2 for name in ("CD3", "CD4")], axis=0)
    drawn = sum(float(patch.get_data().values.sum()) for patch in panels[1].patches if patch.get_fill())
    assert drawn == pytest.approx(shown.sum(), rel=0.005)  # the second pair has the events inside the first
    n = own.mask("CD4T").sum()
    assert all(f"{n:,} of {len(tube):,}" in flat(ax) for ax in panels)
    with pytest.raises(InputError, match="the gate is drawn on 2 axes, 1 were given"):
        pl.gate(own, "CD4T", ax=panels[0])


def test_withheld_shares_are_not_written(tube):
    dead = Population("/dead", Rectangle((Dimension("CD4", Asinh(150.0)),), (1.0,), (None,)), flag="no_border")
    strategy = Strategy("s", (dead,))
    own = GatedTube(tube, evaluate(strategy, tube), ())
    for ax in (pl.gate(own, "dead"), pl.histogram(own, "CD4"), pl.tree(own)):
        assert "withheld" in flat(ax)
        assert not re.search(r"\d %(?! beyond)", flat(ax).replace("beyond the axis (", "beyond("))


def test_a_control_is_drawn_in_the_same_gates(gated):
    fmo = planted_tube(1, 12_000, sample_id="FMO_CD25", without="CD25")[0]
    ax = pl.gate(gated, "Treg", control=fmo)
    own = GatedTube(fmo, evaluate(gated.strategy, fmo), ())
    row = own.counts.set_index("population").loc["Treg"]
    assert f"control: {row.n_events:,} of {row.n_parent:,} in the gate" in flat(ax)
    assert f"98 % of {row.n_parent:,} events" in flat(ax)
    histogram = pl.histogram(gated, "CD25", within="CD4", control=fmo)
    assert f"control FMO_CD25: {row.n_parent:,} events" in flat(histogram)


def test_the_share_of_a_control_is_of_the_very_gate(tube):
    """Of two populations with one name the first was taken, whichever was drawn."""
    gate = [Rectangle((Dimension("CD4", Asinh(150.0)),), (edge,), (None,)) for edge in (1.0, 3.0)]
    paths = ("/a", "/a/hi", "/b", "/b/hi")
    strategy = Strategy("s", tuple(Population(p, gate[p.startswith("/b")]) for p in paths))
    own = GatedTube(tube, evaluate(strategy, tube), ())
    for path in ("/a/hi", "/b/hi"):
        n, of = own.mask(path).sum(), own.mask(path[:2]).sum()
        assert f"control: {n:,} of {of:,} in the gate" in flat(pl.gate(own, path, control=tube))


def test_gates_on_channels_as_acquired_are_drawn_where_the_axes_are(tube):
    """Scatter of a Gating-ML file is uncompensated: its gates were left out of the picture without a word."""
    gate = Rectangle((Dimension("FSC-A", Identity(), "none"),), (60_000.0,), (None,))
    strategy = Strategy("s", (Population("/cells", gate),))
    own = GatedTube(tube, evaluate(strategy, tube), ())
    assert "cells" in flat(pl.histogram(own, "FSC-A"))
    matrix = Spillover(("PE-A", "APC-A"), np.array([[1, 0.1], [0, 1]]))
    other = replace(tube, spillover=matrix)
    assert "cells" in flat(pl.histogram(GatedTube(other, own.memberships, ()), "FSC-A"))


def test_two_channels_of_one_marker_and_two_populations_of_one_name_have_names_of_their_own():
    """Both columns showed the medians of the second channel."""
    columns = np.vstack([np.full(100, 1_000.0), np.full(100, 9_000.0)]).astype(np.float32)
    tube = Tube(columns, (Channel("A", "CD4", "CD4", "PE"), Channel("B", "CD4", "CD4", "APC")), None, "S")
    gate = Rectangle((Dimension("A", Asinh(150.0)),), (0.0,), (None,))
    strategy = Strategy("s", tuple(Population(path, gate) for path in ("/a", "/a/hi", "/b", "/b/hi")))
    ax = pl.profiles(GatedTube(tube, evaluate(strategy, tube), ()))
    assert [text.get_text() for text in ax.get_xticklabels()] == ["A", "B"]
    assert [text.get_text().split()[0] for text in ax.get_yticklabels()] == ["a", "/a/hi", "b", "/b/hi"]


def test_contours_hold_the_shares_that_the_key_names():
    from immunolab.plots.event_panels import draw_contours, set_axes
    from immunolab.plots.style import figure

    rng = np.random.default_rng(2)
    points = rng.normal(0, 1, (2, 60_000))
    some = Tube(points.astype(np.float32), (Channel("A", kind="scatter"), Channel("B", kind="scatter")))
    dimensions = [Dimension("A"), Dimension("B")]
    scales = [limited_scale(d, (-6.0, 6.0), some) for d in dimensions]
    ax = figure().add_subplot()
    set_axes(ax, dimensions, scales)
    draw_contours(ax, scales, bin_values(list(points), scales, 64))
    from matplotlib.path import Path

    shares = []
    for paths in ax.collections[-1].get_paths():
        loops = [Path(loop) for loop in paths.to_polygons(closed_only=False)]
        shares.append(np.mean(np.any([loop.contains_points(points.T) for loop in loops], axis=0)))
    np.testing.assert_allclose(sorted(shares), [0.5, 0.9, 0.98], atol=0.02)


def test_a_population_over_the_others_is_counted_of_what_is_drawn(gated):
    text = flat(pl.scatter(gated, "CD25", "CD127", within="CD4", population="Treg"))
    n, of = gated.mask("Treg").sum(), gated.mask("CD4").sum()
    assert f"Treg: {n:,} of {of:,} CD4, {100 * n / of:.3g} %" in text


def test_an_anndata_is_drawn_as_the_tube_it_came_from(gated):
    data = gated.to_anndata()
    ax = pl.histogram(data, "CD4", within="CD4")
    assert f"{gated.mask('CD4').sum():,} events" in flat(ax)
    with pytest.raises(InputError, match=r"no population 'CD44'.*|did you mean"):
        pl.histogram(data, "CD4", within="CD44")


# --- many tubes, pairs of channels --------------------------------------------------------------


def test_ridges_share_an_axis_and_say_what_each_holds(tube):
    bright = replace(tube, sample_id="P01_W10", columns=tube.columns * np.float32(3))
    ax = pl.ridges({"before": tube, "after": bright}, "CD4")
    assert [t.get_text() for t in ax.get_yticklabels()] == ["before", "after"]
    medians = [float(t.get_text().split(",")[0].replace("−", "-")) for t in ax.texts[1::2]]
    np.testing.assert_allclose(medians, [np.median(tube["CD4"]), np.median(bright["CD4"])], rtol=0.01)
    assert [t.get_text() for t in ax.texts[::2]] == [f"{len(tube):,}"] * 2


def test_ridges_draw_each_tubes_own_border(tube):
    tubes = [tube, planted_tube(1, 12_000, sample_id="P02_W0", shift={"CD45RA": 0.4})[0]]
    both = il.gate(tubes, STRATEGY, share="sample")
    ax = pl.ridges(both, "CD45RA", within="CD4")
    borders = [one.thresholds.query("population == 'CD4_mem'")["threshold"].iloc[0] for one in both]
    drawn = {round(float(x), 6) for line in ax.lines for x in line.get_xdata()}
    assert {round(border, 6) for border in borders} <= drawn


def test_spillover_that_is_left_bends_the_line_of_its_pair():
    rng = np.random.default_rng(0)
    n = 30_000
    bright = np.where(rng.random(n) < 0.5, rng.lognormal(9.5, 0.4, n), 0.0)
    columns = np.vstack([bright + rng.normal(0, 60, n), 0.1 * bright + rng.normal(0, 60, n), rng.normal(0, 60, n)])
    channels = tuple(Channel(f"{d}-A", d, m, d) for d, m in (("PE", "CD3"), ("PE-Cy7", "CD4"), ("APC", "CD8")))
    ax = pl.compensation(Tube(columns.astype(np.float32), channels, None, "S"))
    trends = {tuple(np.floor(line[0]).astype(int)): line for line in ax.collections[1].get_segments()}
    rise = {place: -(line[-1, 1] - line[0, 1]) for place, line in trends.items()}
    assert rise[0, 1] > 0.3  # the dye of column 0 into the detector of row 1
    assert abs(rise[0, 2]) < 0.05
    assert abs(rise[2, 0]) < 0.6


# --- what is wrong with a call ------------------------------------------------------------------


def test_all_problems_of_a_call_are_listed_at_once(gated):
    with pytest.raises(InputError) as found:
        pl.scatter(gated, "CD44", "CD8", within="CD4x", population="Tregs", xlim=(10, 1))
    text = str(found.value)
    assert "x  marker or channel 'CD44' is not in the tube" in text
    assert "did you mean 'CD4'?" in text
    assert "within  there is no population 'CD4x'" in text
    assert "did you mean 'Treg'?" in text
    assert "xlim  (10, 1) is no range" in text
    assert text.endswith("4 problems")


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda tube: pl.scatter("a.fcs", "CD4", "CD8"), "read the file first: immunolab.read_fcs(file)"),
        (lambda tube: pl.scatter([tube], "CD4", "CD8"), "immunolab.pl.ridges draws one marker over many"),
        (lambda tube: pl.gate(tube, "CD4"), "Tube is not a gated tube"),
        (lambda tube: pl.tree(tube), "gate a tube first: immunolab.gate(tube, strategy)"),
        (lambda tube: pl.scatter(tube, "CD4", "CD8", within="CD4"), "no population 'CD4': the events are not gated"),
        (lambda tube: pl.ridges([], "CD4"), "there is no tube to draw"),
        (lambda tube: pl.histogram(tube, "CD4", xlim=5), "xlim  5 is no range"),
        (lambda tube: pl.histogram(tube, "CD4", xlim=("a", 3)), "xlim  ('a', 3) is no range"),
        (lambda tube: pl.scatter(tube, "CD4", "CD8", ylim=(1, 2, 3)), "ylim  (1, 2, 3) is no range"),
        (lambda tube: pl.histogram(on_log(tube), "CD4", xlim=(-100, 9e4)), "-100 has no place on the log scale of CD4"),
        (lambda tube: pl.ridges([on_log(tube)], "CD4", xlim=(0, 9e4)), "0 has no place on the log scale of CD4"),
        (lambda tube: pl.compensation(tube, channels=["CD4"]), "1 stained channel(s) make no pair"),
        (lambda tube: pl.histogram(tube, "CD4", control="fmo.fcs"), "str is not a tube"),
    ],
)
def test_a_slip_is_answered_with_what_to_do(tube, call, text):
    with pytest.raises(InputError) as found:
        call(tube)
    assert text in str(found.value)


# --- the namespace, and real tubes --------------------------------------------------------------


def test_importing_the_package_loads_no_matplotlib():
    code = "import sys, immunolab as il; il.pl; print('matplotlib' in sys.modules, 'pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_figures_of_the_sample_study_can_be_read():
    tube = il.read_fcs(REPOSITORY / "sample_data" / "sle" / "fcs" / "SLE001_W0.fcs", sample_id="SLE001_W0")
    gated = il.gate(tube, STRATEGY)
    for ax in (
        pl.scatter(tube, "CD4", "CD8"),
        pl.scatter(gated, "CD45RA", "CCR7", within="CD4"),
        pl.gate(gated, "Treg"),
        pl.tree(gated),
        pl.ridges([gated, gated], "CD45RA", within="CD4"),
        pl.compensation(tube, channels=["CD3", "CD4", "CD8", "CD25"]),
    ):
        assert unreadable(ax.figure) == []


def test_a_workspace_of_flowjo_is_drawn_with_its_counts():
    folder = data_folder("flow/flowsom_68983")
    gated = il.gate(il.read_fcs(folder / "68983.fcs"), folder / "gating.wsp")
    text = flat(pl.scatter(gated, "CD4", "CD8", within="ab T cells"))
    for row in gated.counts.query("parent == 'ab T cells'").itertuples():
        assert f"{row.n_events:,} of {row.n_parent:,}" in text
    pl.gates(gated).figure.canvas.draw()


def test_axis_of_a_gate_holds_cells_that_compensation_pushed_far_below_zero():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0, 60, 900), rng.normal(4_000, 900, 900), rng.normal(-700, 150, 200)])
    scale = Asinh(150.0)
    tube = Tube(values.astype(np.float32)[None, :], (Channel("B1-A", "CD4", "CD4"),), sample_id="S1")
    axis = scale_of(Dimension("CD4", scale), scale.apply(values), (), tube)
    assert (scale.inverse(np.array([axis.low]))[0] < values).all()
