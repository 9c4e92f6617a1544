"""Every kind of figure can be read at any number of patients: no text over another, none cut off, fonts in the PDF."""

from __future__ import annotations

import warnings
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pypdf
import pytest
import report_fixture
from figure_checks import unreadable
from patients_page import page_of
from PIL import Image

from immunolab.plots import style
from immunolab.plots.calendar import Calendar
from immunolab.plots.clinical import group_strips
from immunolab.plots.drift import gate_drift
from immunolab.plots.estimation import SMALL_SIZE, PairedRows, changes, estimation_plot
from immunolab.plots.events import survival_curve
from immunolab.plots.figure_files import png, save
from immunolab.plots.gate_views import save_views
from immunolab.plots.landmark_drift import landmark_drift
from immunolab.plots.names import apart, distinct, shortened
from immunolab.plots.panels import course_panels, slope_panels
from immunolab.plots.proportions import event_squares, responders_over_visits
from immunolab.plots.style import figure, fonts, letters_without_font
from immunolab.plots.trajectories import spaghetti, swimmer
from immunolab.plots.values import log_ticks
from immunolab.report.figure import ReportFigure, on_axes, write_figure
from immunolab.report.figures import figures_of

SURNAMES, GIVEN = "王李张刘陈杨赵黄周吴", "小大明文国建秀丽军华"
NAMES = {
    "plain": "P{:03d}".format,
    "long": "SITE-PEKING-UNIVERSITY-HOSPITAL-{:03d}".format,
    "chinese": lambda i: f"{SURNAMES[i % 10]}{GIVEN[i // 10 % 10]}{GIVEN[i % 7]}{i}",
}
COHORTS = [(3, "long"), (8, "chinese"), (24, "plain"), (60, "long")]


def study(n, kind, visits=("W0", "W10")):
    """Return the tables of so many patients with names of a kind."""
    frames = report_fixture.tables(n, visits=visits)
    names = {f"P{i + 1:02d}": NAMES[kind](i) for i in range(n)}
    for table in frames.values():
        for column in {"patient_id", "sample_id"} & set(table.columns):
            parts = table[column].astype(str).str.split("_", n=1)
            table[column] = ["_".join([names[part[0]], *part[1:]]) for part in parts]
    return frames


@pytest.mark.parametrize(("n", "kind"), COHORTS)
def test_no_figure_of_a_report_hides_or_cuts_its_text(n, kind):
    if kind == "chinese" and len(fonts()) == 1:
        pytest.skip(f"no font with Chinese letters: install {style.FONT_NEEDED}")
    run = report_fixture.finished_run(study(n, kind))
    made = list(figures_of(run))
    assert len(made) > 10
    assert {one.name: faults for one in made if (faults := unreadable(one.draw()))} == {}


@pytest.mark.parametrize(("n", "kind"), [(3, "long"), (24, "plain")])
def test_no_figure_over_time_hides_or_cuts_its_text(n, kind):
    frames = study(n, kind, visits=("W0", "W2", "W4", "W6", "W8", "W10", "W24"))
    plan = Calendar(
        report_fixture.DOSES, {"follow_up": (72, 181)}, {f"W{w}": 7 * w + 1 for w in (0, 2, 4, 6, 8, 10, 24)}
    )
    rows, patients = frames["endpoints"], list(dict.fromkeys(frames["endpoints"]["patient_id"]))
    marks = pd.DataFrame({"patient_id": patients, "study_day": 71, "what": "SRI_4 responder", "kind": "response"})
    slopes = pd.DataFrame(
        [{"patient_id": p, "period": x, "slope": -0.123} for p in patients for x in ("W0 to W6", "W6 to W10")]
    )
    treg = rows[rows["endpoint"] == "treg_pct_cd4"]
    drawn = {
        "course": on_axes(lambda ax: spaghetti(rows, "treg_pct_cd4", plan, ax=ax), style.WIDTH, 2.8),
        "small course": on_axes(lambda ax: spaghetti(rows, "treg_pct_cd4", plan, small=True, ax=ax), *SMALL_SIZE),
        "patient": page_of(rows, frames["pairs"], patients[0], plan),
        "courses": course_panels(rows[rows["endpoint"].isin(list(rows["endpoint"].unique()[:4]))], plan),
        "slopes": slope_panels(treg, slopes, "ALSFRS_R", "points", ("W0 to W6", "W6 to W10"), "W6", plan),
        "lanes": on_axes(lambda ax: swimmer(plan, patients, marks, ax=ax), style.WIDTH, 0.8 + 0.22 * n),
    }
    assert {name: faults for name, fig in drawn.items() if (faults := unreadable(fig))} == {}


def test_what_happened_to_a_patient_is_named_within_the_page():
    frames = study(3, "plain", visits=("W0", "W10"))
    patient = frames["endpoints"]["patient_id"].iloc[0]
    what = ["IMACS definition of improvement responder", "urinary tract infection of the upper tract, grade 3", "death"]
    kinds = ["response", "severe adverse event", "death"]
    marks = pd.DataFrame({"patient_id": patient, "study_day": [71.0, 64.0, 72.0], "what": what, "kind": kinds})
    page = page_of(frames["endpoints"], frames["pairs"], patient, Calendar(report_fixture.DOSES), marks=marks)
    assert unreadable(page) == []
    names = [label.get_text() for ax in page.axes for label in ax.get_yticklabels()]
    assert any(name.startswith("IMACS def") and name.endswith(", day 71") for name in names)
    assert any(name.startswith("urinary t") and name.endswith("grade 3, day 64") for name in names)


def test_two_responses_of_one_patient_have_shapes_of_their_own():
    marks = pd.DataFrame({"patient_id": "P1", "study_day": 71.0, "what": ["A", "B", "fall"], "kind": "response"})
    marks.loc[2, "kind"] = "adverse event"
    ax = figure().add_subplot()
    swimmer(Calendar(report_fixture.DOSES), ["P1"], marks, ax=ax)
    drawn = {line.get_label(): (line.get_marker(), line.get_color()) for line in ax.lines}
    assert len({drawn[f"{what} (n = 1)"] for what in ("A", "B", "fall")}) == 3
    assert drawn["A (n = 1)"][1] == drawn["B (n = 1)"][1]  # of one kind, in one colour


def test_three_subgroup_panels_keep_their_words():
    values = {f"P{i}": float(i) for i in range(8)}
    groups = {name: "DM" if i else "PM" for i, name in enumerate(values)}
    strips = [(f"endpoint {i}\nlog2 odds ratio, W12 against W0", values) for i in range(3)]
    assert unreadable(group_strips(strips, groups)) == []


RESPONDERS = pd.DataFrame(
    {"criterion": "responder", "visit": ["W2", "W4", "W6", "W8", "W10"], "n_patients": 24,
     "n_evaluable": [24, 24, 23, 22, 24], "n_responders": [1, 7, 12, 12, 19]}
)  # fmt: skip
for part, of in (("percent", "n_evaluable"), ("percent_worst_case", "n_patients")):
    RESPONDERS[part] = 100 * RESPONDERS["n_responders"] / RESPONDERS[of]
for part in ("ci_low", "worst_case_ci_low"):
    RESPONDERS[part] = 0.5 * RESPONDERS["percent"]
for part in ("ci_high", "worst_case_ci_high"):
    RESPONDERS[part] = 50 + 0.5 * RESPONDERS["percent"]
EVENT = pd.Series(
    {"endpoint": "relapse", "n_with_event": 10, "n_followed": 12, "n_not_followed": 3, "n_not_at_risk": 40,
     "n_unknown": 5, "percent": 100 * 10 / 12, "ci_low": 51.6, "ci_high": 97.9, "percent_if_lost_had_it": 100 * 13 / 15,
     "percent_if_lost_had_none": 100 * 10 / 15}
)  # fmt: skip


def test_responders_have_their_fractions_and_intervals_at_every_visit():
    for size, small in ((SMALL_SIZE, True), ((3.5, 3.0), False)):
        fig = on_axes(lambda ax, small=small: responders_over_visits(RESPONDERS, small=small, ax=ax), *size)
        assert unreadable(fig) == []
    (ax,) = fig.axes
    assert [t.get_text() for t in ax.get_xticklabels()] == [
        "W2\n1/24",
        "W4\n7/24",
        "W6\n12/23",
        "W8\n12/22",
        "W10\n19/24",
    ]
    filled = next(line for line in ax.lines if line.get_label() == "evaluable")
    assert filled.get_ydata() == pytest.approx(RESPONDERS["percent"])
    bars = [tuple(line.get_ydata()) for line in ax.lines if len(line.get_ydata()) == 2 and line.get_marker() == "None"]
    assert bars[:5] == list(zip(RESPONDERS["ci_low"], RESPONDERS["ci_high"], strict=True))


def test_an_event_shows_every_patient_once_by_what_became_of_it():
    for size, small in ((SMALL_SIZE, True), ((3.5, 2.5), False)):
        fig = on_axes(lambda ax, small=small: event_squares(EVENT, small=small, ax=ax), *size)
        assert unreadable(fig) == []
    words = [t.get_text() for t in fig.axes[0].get_legend().get_texts()]
    assert words == ["relapse: 10", "no relapse: 2", "not followed: 3", "could not have it: 40", "not known: 5"]
    assert len(fig.axes[0].patches) == 60


@pytest.mark.parametrize("visits", [["W0", "W24", "W48"], [f"W{2 * i}" for i in range(13)]])
def test_survival_names_as_many_visits_as_fit(visits):
    days = np.linspace(1, 337, len(visits))
    curve = pd.DataFrame(
        {"study_day": days.astype(int), "visit": visits, "n_at_risk": 60, "n_events": 0, "n_censored": 0,
         "percent": 100.0, "ci_low": 90.0, "ci_high": 100.0}
    )  # fmt: skip
    for size, small in ((SMALL_SIZE, True), ((7, 2.8), False)):
        row = pd.Series({"endpoint": "survival"})
        assert unreadable(on_axes(lambda ax, s=small, r=row: survival_curve(curve, r, small=s, ax=ax), *size)) == []


# --- estimation plots ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def treg():
    frames = report_fixture.tables()
    own = {name: frames[name].query("endpoint == 'treg_pct_cd4'") for name in ("endpoints", "pairs", "shifts")}
    own["shifts"] = own["shifts"].assign(df=float(own["shifts"]["n_pairs"].iloc[0] - 1))
    return PairedRows(own["endpoints"], own["pairs"], own["shifts"])


def test_an_estimation_plot_draws_every_change_and_the_estimate_with_its_interval(treg):
    ax = changes(treg.pairs, treg.shifts, direction="increase", ax=figure().add_subplot())
    points, estimate = ax.lines[0], next(line for line in ax.lines if line.get_markersize() == 4.5)
    assert sorted(points.get_ydata()) == pytest.approx(sorted(treg.pairs["shift"].dropna()))
    row = treg.shifts.iloc[0]
    assert list(estimate.get_ydata()) == [row["estimate"]]
    interval = next(line for line in ax.lines if line.get_linewidth() == 1.6)
    assert list(interval.get_ydata()) == [row["ci_low"], row["ci_high"]]
    ticks = {label.get_text(): at for at, label in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)}
    assert ticks["1"] == 0  # no change is an odds ratio of 1
    assert all(at == pytest.approx(np.log(float(word))) for word, at in ticks.items())
    assert ax.get_xlabel() == "▲ as registered"  # which need not be a benefit


def test_the_curve_is_the_distribution_the_interval_is_cut_from(treg):
    from scipy import stats

    ax = changes(treg.pairs, treg.shifts, ax=figure().add_subplot())
    points = ax.collections[0].get_paths()[0].vertices
    row = treg.shifts.iloc[0]
    error = (row["ci_high"] - row["ci_low"]) / 2 / stats.t.ppf(0.975, row["df"])
    right = points[points[:, 0] > points[:, 0].min() + 1e-9]
    wide = (right[:, 0] - points[:, 0].min()) / (right[:, 0].max() - points[:, 0].min())
    wanted = stats.t.pdf((right[:, 1] - row["estimate"]) / error, row["df"]) / stats.t.pdf(0, row["df"])
    np.testing.assert_allclose(wide, wanted, atol=1e-6)
    lopsided = changes(treg.pairs, treg.shifts.assign(ci_high=row["ci_high"] + 1), ax=figure().add_subplot())
    assert not lopsided.collections  # of no t distribution


def test_both_sizes_of_an_estimation_plot(treg):
    small = estimation_plot([treg], "treg_pct_cd4", small=True)
    assert tuple(small.get_size_inches()) == SMALL_SIZE
    assert not small.axes[0].texts
    full = estimation_plot([treg], "treg_pct_cd4")
    assert {t.get_text() for t in full.axes[0].texts} == set(treg.pairs.dropna(subset=["after"])["patient_id"])


def test_the_small_figure_looks_as_it_did(treg):
    """An image test that another version of the font renderer survives: blocks of four millimetres, by their mean."""
    from io import BytesIO

    with Image.open(BytesIO(png(estimation_plot([treg], "treg_pct_cd4", small=True), dpi=50))) as image:
        blocks = np.asarray(image.convert("L").resize((20, 12), Image.Resampling.BOX), dtype=float)
    ink = blocks < 250
    assert ink[:, :2].any()  # the label of the values
    assert ink[1:9, 3:10].mean() > 0.25  # the patients' lines
    assert ink[1:9, 11:17].any()  # the changes
    assert ink[:, 18:].any()  # their axis, on the right
    assert 0.2 < ink.mean() < 0.7


# --- names, ticks, files ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_names_are_moved_apart_as_little_as_possible(seed):
    rng = np.random.default_rng(seed)
    wanted = np.sort(rng.beta(0.3, 0.3, 20))
    placed = apart(wanted, 0.049)
    assert (np.diff(placed) >= 0.049 - 1e-9).all()
    assert placed[0] >= 0.0245 - 1e-9
    assert placed[-1] <= 1 - 0.0245 + 1e-9
    np.testing.assert_allclose(apart(np.array([0.2, 0.5, 0.8]), 0.049), [0.2, 0.5, 0.8])


def test_samples_of_one_patient_keep_names_that_differ():
    """Visits of a patient had one name in fourteen letters: IIM001_…urface."""
    names = [f"IIM{i:03d}_{visit}_{panel}" for i in (1, 2) for visit in ("W0", "W12") for panel in ("surface", "foxp3")]
    assert distinct(names) == names  # none has more than 24 letters
    assert distinct(["P1", "P2"]) == ["P1", "P2"]
    long = [f"{'SITE-PEKING-UNIVERSITY'}-{visit}-{'HOSPITAL-OF-PEOPLE'}-{i:03d}" for visit in "AB" for i in range(3)]
    assert len(set(distinct(long))) == 6
    assert distinct(["same", "same"]) == ["same", "same"]
    assert distinct([]) == []


def test_borders_and_landmarks_of_two_panels_can_be_read():
    """Titles with the number of samples of one panel left the page."""
    samples = [f"P{i}_{panel}" for i in range(4) for panel in ("surface", "foxp3")]
    names = {"CD45RA": "CD4_CM", "HLA-DR": "CD4_act", "FOXP3": "Treg_FOXP3", "CD25": "Treg_FOXP3"}
    rows = [
        {"marker": marker, "population": population, "sample_id": sample, "threshold": 1.0 + i / 10 + k,
         "threshold_raw": 500.0 + 90 * i, "ci_low": 0.9 + i / 10 + k, "ci_high": 1.1 + i / 10 + k, "flag": ""}
        for k, (marker, name) in enumerate(names.items())
        for population in (name, f"{name}_of_another")
        for i, sample in enumerate(s for s in samples if s.endswith("foxp3") or marker == "CD25")
    ]  # fmt: skip
    fig = gate_drift(pd.DataFrame(rows), samples)
    assert unreadable(fig) == []
    assert [ax.get_xlabel() for ax in fig.axes] == ["n = 4", "n = 4", "n = 4", ""]
    drift = pd.DataFrame(
        [
            {"marker": marker, "population": population, "batch": f"batch {b}", "median": 2.0 + b / 10,
             "change_point": "yes" if b == 2 else "no"}
            for marker in ("CD45RA", "HLA-DR", "CD127", "CXCR5", "CD4")
            for population in ("CD4_naive", "CD8_TEMRA", "CD4_mem", "Tfh_eff", "Tfh_act", "Treg_naive", "CD8", "CD4")
            for b in range(9)
        ]
    )  # fmt: skip
    assert unreadable(landmark_drift(drift)) == []


def test_a_shortened_name_keeps_its_ends():
    assert shortened("P001") == "P001"
    assert shortened("SITE-PEKING-UNIVERSITY-007") == "SITE-PE…TY-007"
    assert shortened("王小明张大文李国建陈秀") == "王小明…建陈秀"


@pytest.mark.parametrize(
    ("low", "high", "some"), [(0.02, 0.25, 0.1), (0.9, 1.4, 1.0), (0.5, 3, 1.0), (3, 4000, 100.0), (40, 55, 50.0)]
)
def test_a_log_axis_has_round_ticks(low, high, some):
    ticks = log_ticks(low, high)
    assert some in ticks
    assert 3 <= len(ticks) <= 6
    assert all(low <= tick <= high and float(f"{tick:.3g}") == tick for tick in ticks)


def test_a_pdf_embeds_truetype_fonts_and_an_svg_needs_none(treg, tmp_path):
    fig = estimation_plot([treg], "treg_pct_cd4")
    save(fig, tmp_path / "one.pdf")
    save(fig, tmp_path / "one.svg")
    kinds = list(_fonts(tmp_path / "one.pdf"))
    assert kinds
    assert all(subtype == "/CIDFontType2" and "/FontFile2" in descriptor for subtype, descriptor in kinds)
    assert "<text" not in (tmp_path / "one.svg").read_text()


def _fonts(path):
    for page in pypdf.PdfReader(path).pages:
        for font in page["/Resources"]["/Font"].values():
            inner = font.get_object()["/DescendantFonts"][0].get_object()
            yield inner["/Subtype"], inner["/FontDescriptor"].get_object()


def test_letters_that_no_font_has_are_said_with_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(style, "fonts", lambda: ["DejaVu Sans"])
    assert letters_without_font(["ALS001 µg/l", "王小明"]) == "小明王"
    draw = lambda: on_axes(lambda ax: ax.set_title("王"), 2, 1)  # noqa: E731
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # matplotlib's own, once a letter
        pairs = report_fixture.tables()["pairs"]
        written = write_figure(ReportFigure("paired_x", "primary", "Treg.", draw, pairs), tmp_path)
    assert written.caption.startswith(
        "Treg. No font of this computer has the letters 王, drawn as boxes: install fonts-"
    )


# --- a patient's gates, visit beside visit ----------------------------------------------------------


def gate_view(path, low=0.0, high=1.0, **changes):
    from immunolab.plots.gate_views import BINS, GateView
    from immunolab.plots.scales import DisplayScale

    scale = DisplayScale("CD25 (PE-A)", low, high, (0.2, 0.8), ("10", "10³"), tuple(np.linspace(0.1, 0.9, 80)))
    name = path.rsplit("/", 1)[-1]
    counts = np.zeros((BINS, BINS), dtype=np.uint32)
    counts[10:20, 10:20] = 3
    plain = {"counts": counts, "lines": (np.array([[0.5, 0.0], [0.5, 1.0]]),), "members": np.empty((0, 2))}
    numbers = {"n_events": 30, "n_parent": 300, "n_drawn": 300}
    view = GateView("S", path, name, "CD4", scale, scale, **plain, **numbers)
    return replace(view, **changes)


def test_visits_share_axes_and_keep_their_events_where_they_were_counted(tmp_path):
    from immunolab.plots.gating_visits import gating_visits, same_axes

    views = {"W0": gate_view("/CD4/Treg"), "W10": gate_view("/CD4/Treg", low=-0.5, high=2.0)}
    shared = same_axes(views)
    assert {(v.x.low, v.x.high, v.y.low, v.y.high) for v in shared.values()} == {(-0.5, 2.0, -0.5, 2.0)}
    files = {}
    for visit, view in views.items():
        files[visit] = tmp_path / f"{visit}.npz"
        save_views([view], files[visit])
    (ax,) = gating_visits(files, [("/CD4/Treg", "")], title="P01").axes
    first, second = (image.get_extent() for image in ax.images)
    assert first[1] - first[0] == pytest.approx((second[1] - second[0]) / 2.5)  # 1.0 of 2.5 of the axis


def test_an_open_side_reaches_the_end_of_the_axes_that_visits_share():
    from immunolab.plots.gating_visits import same_axes

    upright, level = np.array([[0.5, 0.2], [0.5, 1.0]]), np.array([[0.5, 0.2], [1.0, 0.2]])
    views = {
        "W0": gate_view("/CD4/Treg", lines=(upright, level)),
        "W10": gate_view("/CD4/Treg", low=-0.5, high=2.0),
    }
    first, second = same_axes(views)["W0"].lines
    assert first.tolist() == [[0.5, 0.2], [0.5, 2.0]]
    assert second.tolist() == [[0.5, 0.2], [2.0, 0.2]]


def test_gates_whose_names_differ_at_their_end_have_it_on_pages_of_one_visit():
    from immunolab.plots.gating_visits import _page

    gate = "/CD4/mem_conv/helper"
    words = [word.text for word in _page({"W0": {(gate, ""): gate_view(gate)}}, [(gate, "")], "P01").words]
    assert "memory CD4+ T cells without Treg and Tfh" in words


def test_pages_of_gates_hold_what_endpoints_need():
    from immunolab.plots.gating_visits import gates_on_page, needed_paths, pages_of_gates

    paths = ["/live", "/live/CD4", "/live/CD4/Treg", "/live/CD4/Treg", "/live/CD8", "/live/CD4/Treg/Tfr"]
    assert needed_paths(paths, ["Treg", "none"]) == ["/live", "/live/CD4", "/live/CD4/Treg"]
    gates = [(f"/{i}", "") for i in range(25)]
    for visits in (1, 2, 4, 6):
        parts = list(pages_of_gates(gates, visits))
        assert [gate for part in parts for gate in part] == gates
        assert max(map(len, parts)) <= gates_on_page(visits)


@pytest.mark.parametrize("n_visits", [1, 2, 3, 6])
def test_a_page_of_gates_fits_a4(tmp_path, n_visits):
    from immunolab.plots.gating_visits import gates_on_page, gating_visits

    gates = [(f"/CD4/population_with_a_long_name_{i}", "") for i in range(gates_on_page(n_visits))]
    files = {f"W{i}": tmp_path / f"{i}.npz" for i in range(n_visits)}
    for path in files.values():
        save_views([gate_view(gate) for gate, _ in gates], path)
    fig = gating_visits(files, gates, title=NAMES["long"](7))
    wide, high = fig.get_size_inches() * 25.4
    assert wide <= 180.001
    assert high <= 297 - 2 * 12  # printable with margins of 12 mm


@pytest.mark.parametrize("visits", [("W0",), ("W0", "W10")])
def test_names_of_gates_are_whole_over_one_visit_and_over_two(visits):
    """The longest that the built-in strategies have, with a parent as long."""
    from immunolab.plots.gating_visits import _page

    names = [("small_and_blasts", "viable"), ("lymphocytes", "small_and_blasts"), ("Treg", "CD4")]
    gates = [(f"/{name}", "") for name, _ in names]
    own = {(f"/{name}", ""): gate_view(f"/{name}", parent=parent) for name, parent in names}
    page = _page(dict.fromkeys(visits, own), gates, "P01")
    written = [word.text for word in page.words]
    assert [text for text in written if "…" in text] == []
    assert "lymphocytes and blasts by scatter" in written
    assert "% of lymphocytes and blasts by scatter" in written
    assert any(text.startswith("Treg") for text in written)


def test_an_event_that_nobody_could_have_has_no_scale_of_percents():
    from immunolab.plots.proportions import event_squares

    row = {"endpoint": "relapse", "n_patients": 10, "n_with_event": 0, "n_followed": 0, "n_not_followed": 0}
    row |= {"n_not_at_risk": 10, "n_unknown": 0, "percent": np.nan, "ci_low": np.nan, "ci_high": np.nan}
    ax = event_squares(pd.Series(row))
    assert list(ax.get_xticks()) == []
    assert "%" not in "".join(tick.get_text() for tick in ax.get_xticklabels())


def test_numbers_of_neighbouring_cells_do_not_touch():
    """Twenty-four columns of four signs: at the size of small letters they ran into one row of digits."""
    from immunolab.plots.matrices import matrix

    columns = [f"IL-{i} W24" for i in range(24)]
    values = pd.DataFrame(np.full((3, 24), -0.7), index=["ALS001", "ALS002", "ALS003"], columns=columns)
    ax = matrix(values, values.map(lambda _: "−0.7"), "log2 fold change")
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts[:24]]
    assert len(boxes) == 24
    gaps = [after.x0 - before.x1 for before, after in pairwise(boxes)]
    assert min(gaps) > 0.08 * boxes[0].width


# --- what happened to a patient ---------------------------------------------------------------------


def test_a_patients_page_marks_what_happened_and_ends_at_death(tmp_path):
    from immunolab.report.happened import happened
    from immunolab.schema.estimand import INTERCURRENT_EVENTS

    harms = tmp_path / "adverse_events.csv"
    harms.write_text("patient_id,study_day,term,grade,serious\nP01,20,rash,1,no\nP01,60,respiratory failure,4,yes\n")
    row = {"event": "death", "study_day": 221, "assessed": "yes", "seen_in": "outcomes", "detail": "event of survival"}
    dead = INTERCURRENT_EVENTS.frame([{"patient_id": "P01", **row}])
    run = report_fixture.finished_run(study(8, "plain", visits=("W0", "W6", "W10")))
    run = replace(
        run,
        study=replace(run.study, adverse_events=harms),
        tables={**run.tables, "intercurrent_events": dead.assign(patient_id="P000")},
    )
    harms.write_text(harms.read_text().replace("P01", "P000"))
    marks = happened(run)
    assert marks[["study_day", "what", "kind"]].to_numpy().tolist() == [
        [221.0, "death", "death"],
        [20.0, "adverse events", "adverse event"],
        [60.0, "respiratory failure, grade 4", "severe adverse event"],
    ]
    fig = page_of(run.endpoints, run.pairs, "P000", run.calendar, marks=marks)
    assert unreadable(fig) == []
    strip, panels = fig.axes[-1], [ax for ax in fig.axes[:-1] if ax.axison]
    names = [t.get_text() for t in strip.get_yticklabels()]
    assert names == ["adverse events, day 20", "respiratory failure, grade 4, day 60", "death, day 221"]
    assert all(ax.get_xlim()[1] > 221 for ax in panels)
    assert all(any(list(line.get_xdata()) == [221, 221] for line in ax.lines) for ax in panels)
    harms.unlink()
    assert happened(run)["what"].tolist() == ["death"]  # what the run's own tables hold


def test_a_cohorts_axis_shows_the_doses_really_given_by_how_many_had_them():
    from immunolab.plots.calendar import shade, shade_words

    plan = Calendar((1, 3), patient_doses={"A": (1, 3), "B": (1, 3), "C": (1,), "D": (1, 8)})
    assert plan.shares_given() == {1: 1.0, 3: 0.5, 8: 0.25}
    ax = figure().add_subplot()
    shade(ax, plan)
    (ticks,) = ax.collections
    assert [segment[0][0] for segment in ticks.get_segments()] == [1, 3, 8]
    assert ticks.get_colors()[:, 3].tolist() == [1.0, 0.5, 0.25]
    assert "doses given" in shade_words(plan)
