"""Figures of the clinic: what their tables hold is worked by hand or by scipy, and drawn unchanged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import report_fixture
from matplotlib.collections import LineCollection
from scipy import stats

from immunolab.plots.calendar import Calendar, treatment
from immunolab.plots.clinical import LEAST_SUBGROUP, group_strips
from immunolab.plots.flow_chart import flow_chart
from immunolab.plots.matrices import matrix
from immunolab.plots.panels import course_panels, slope_panels
from immunolab.plots.post_treatment import rebound
from immunolab.plots.shifts import forest
from immunolab.plots.style import FOLLOW_UP, LATER_SEGMENT, ON_CYCLE, SMALL, figure
from immunolab.report.clinic_rows import clinic_rows
from immunolab.report.disposition import flow_counts
from immunolab.report.figures.clinic import clinic_figures
from immunolab.report.figures.cohort import cohort_figures
from immunolab.report.figures.matrices import matrix_figures
from immunolab.report.figures.trajectories import course_figures
from immunolab.report.patients import components_grid
from immunolab.results.findings.cautions import DISCLOSURE, cautions
from immunolab.results.run import Run
from immunolab.schema.comparison import PAIRS, SHIFTS
from immunolab.schema.endpoints import ENDPOINTS
from immunolab.study.endpoints import PairedChange
from immunolab.study.sheet import PlannedComparison, Sample, Study
from immunolab.study.trial import load_trial

DAYS = {"W0": 1, "W4": 29, "W12": 85, "W24": 169, "W48": 337}
PHASES = {"W0": "baseline", "W4": "on_treatment", "W12": "on_treatment", "W24": "follow_up", "W48": "follow_up"}


def rows_of(name, values, unit, *, population=None, events=None, flags=None):
    """Return ENDPOINTS rows from {(patient, visit): value}."""
    return [
        {
            "sample_id": f"{patient}:{visit}",
            "patient_id": patient,
            "cohort": "C",
            "visit": visit,
            "study_day": DAYS[visit],
            "days_since_last_dose": None,
            "phase": PHASES[visit],
            "cycle_state": None,
            "endpoint": name,
            "population": population or name,
            "value": value,
            "unit": unit,
            "n_events": events,
            "n_parent": None if events is None else 1000,
            "flag": (flags or {}).get((patient, visit)),
        }
        for (patient, visit), value in values.items()
    ]


def pairs_of(endpoints, scales, after="W12"):
    """Return PAIRS rows of W0 and a later visit, on the scales given."""
    found = []
    for name, scale in scales.items():
        own = endpoints[endpoints["endpoint"] == name].set_index(["patient_id", "visit"])["value"]
        for patient in own.index.get_level_values(0).unique():
            x, y = own.get((patient, "W0")), own.get((patient, after))
            shift = None
            if x is not None and y is not None:
                shift = {"log": np.log(y / x), "identity": y - x}.get(scale, np.log(y / (100 - y) / (x / (100 - x))))
            found.append(
                {
                    "patient_id": patient,
                    "cohort": "C",
                    "endpoint": name,
                    "unit": "x",
                    "visit_before": "W0",
                    "visit_after": after,
                    "before": x,
                    "after": y,
                    "shift": shift,
                    "shift_scale": scale,
                    "verdict": "not_evaluable",
                }
            )
    return PAIRS.frame(found)


def run_of(trial_id, endpoints, pairs, extra=None, **tables):
    trial = load_trial(trial_id)
    frame = ENDPOINTS.frame(endpoints)
    patients = sorted(set(frame["patient_id"]))
    samples = tuple(
        Sample(
            f"{p}:W0", p, "W0", report_fixture.Path("x.fcs"), cohort="C", study_day=1, extra=(extra or {}).get(p, {})
        )
        for p in patients
    )
    folder = report_fixture.Path("study")
    study = Study(
        "clinic", folder, folder / "study.yaml", trial, samples, {}, PlannedComparison(), trial.expanded_endpoints()
    )
    declared = {e.id: e for e in study.endpoints}
    shifts = [
        {
            "cohort": "C",
            "endpoint": name,
            "role": declared[name].role,
            "contrast": "W12 - W0",
            "n_pairs": int(own["shift"].notna().sum()),
            "estimate_scale": own["shift_scale"].iloc[0],
            "method": "none",
            "adjustment": "none",
        }
        for name, own in pairs.groupby("endpoint", sort=False)
    ]
    frames = {"endpoints": frame, "pairs": pairs, "shifts": SHIFTS.frame(shifts), **tables}
    return Run(folder=Path("out"), study=study, tables=frames)


def made(figures, name):
    return next(f for f in figures if f.name == name)


def texts(fig):
    found = [t.get_text() for t in fig.texts]
    for ax in fig.axes:
        found += [t.get_text() for t in ax.texts] + [ax.get_xlabel(), ax.get_ylabel()]
        found += [ax.get_title(side) for side in ("left", "center", "right")]
        found += [t.get_text() for t in (*ax.get_xticklabels(), *ax.get_yticklabels())]
    return "\n".join(text for text in found if text)


# --- polymyalgia: panel with threshold and steroid, rebound, measured values ---------------------------------------

PMR_AS = {("A", "W0"): 20.0, ("A", "W12"): 8.0, ("A", "W24"): 12.0, ("B", "W0"): 18.0, ("B", "W12"): 9.0}
PMR_AS |= {("B", "W24"): 16.0, ("C", "W0"): 25.0, ("C", "W12"): 5.0, ("C", "W24"): 25.0, ("D", "W0"): 22.0}
CRP = {(p, v): x for p in "ABCD" for v, x in (("W0", 16.0), ("W12", 4.0), ("W24", 8.0))}
IL6 = {(p, v): x for p in "ABCD" for v, x in (("W0", 8.0), ("W12", 2.0), ("W24", 8.0))}
LIMITS = {("A", "W12"): "below_limit", ("B", "W0"): "below_limit", ("C", "W0"): "below_limit"}
LIMITS |= {("C", "W12"): "below_limit"}


@pytest.fixture(scope="module")
def pmr():
    endpoints = [
        *rows_of("crp", CRP, "mg/L", population="CRP"),
        *rows_of("cytokine_IL-6", IL6, "pg/mL", population="IL-6", flags=LIMITS),
        *rows_of("pmr_as", PMR_AS, "points", population="PMR_AS"),
        *rows_of("prednisone_dose", dict.fromkeys(CRP, 10.0), "mg/day", population="prednisone"),
    ]
    frame = ENDPOINTS.frame(endpoints)
    scales = {"crp": "log", "cytokine_IL-6": "log", "pmr_as": "identity", "prednisone_dose": "identity"}
    scores = pd.DataFrame({"score": ["PMR_AS"], "patient_id": ["A"], "visit": ["W0"], "value": [20.0]})
    return run_of("pmr_nct04062006", endpoints, pairs_of(frame, scales), scores=scores)


def test_the_clinic_is_read_scores_steroid_values_then_groups(pmr):
    rows = clinic_rows(pmr, "C")
    assert list(dict.fromkeys(rows["endpoint"])) == ["pmr_as", "prednisone_dose", "crp", "cytokine_IL-6"]
    groups = rows.drop_duplicates("endpoint").set_index("endpoint")["group"].to_dict()
    assert groups["crp"] == "clinic"
    assert groups["cytokine_IL-6"] == "cytokine"
    assert clinic_rows(pmr, "other").empty


def test_courses_are_drawn_on_one_axis_with_the_threshold_of_relapse(pmr):
    one = made(course_figures(pmr, "C"), "clinic_course_C")
    assert set(one.data["endpoint"]) == {"pmr_as", "prednisone_dose", "crp"}
    fig = one.draw()
    panels = fig.axes
    assert len(panels) == 3
    assert len({ax.get_xlim() for ax in panels}) == 1
    dashed = [line.get_ydata()[0] for line in panels[0].lines if line.get_linestyle() == "--"]
    assert dashed == [9.35]
    assert "relapse from 9.35" in texts(fig)
    assert "n = 3 to 4 patients a visit" in texts(fig)
    assert "shaded: induction, paler: maintenance" in texts(fig)
    lines = [c for c in panels[0].collections if isinstance(c, LineCollection)]
    assert sum(len(c.get_segments()) for c in lines) == 6  # three patients with three visits, one with one


def test_what_became_of_a_change_by_hand(pmr):
    data = made(course_figures(pmr, "C"), "rebound_C").data
    found = data[data["endpoint"] == "pmr_as"].set_index("patient_id")
    assert found["change_after"].to_dict() == {"A": -12, "B": -9, "C": -20}  # D has one visit
    assert found["change_later"].to_dict() == {"A": -8, "B": -2, "C": 0}
    assert set(found["change_as"]) == {"difference"}
    crp = data[data["endpoint"] == "crp"]
    assert set(crp["change_after"]) == {-2.0}  # 16 to 4 is two halvings
    assert set(crp["change_later"]) == {-1.0}
    assert next(iter(data["endpoint"])) == "pmr_as"
    assert "n = 3 patients" in texts(rebound(data))


def test_a_median_is_readable_where_the_line_of_no_change_crosses_it(pmr):
    drawn = rebound(made(course_figures(pmr, "C"), "rebound_C").data)
    medians = [t for ax in drawn.axes for t in ax.texts if t.get_bbox_patch() is not None]
    assert medians
    assert all(t.get_zorder() > 4 for t in medians)


def test_rebound_needs_three_patients(pmr):
    two = pmr.endpoints[pmr.endpoints["patient_id"].isin(["A", "B"])]
    pairs = pmr.pairs[pmr.pairs["patient_id"].isin(["A", "B"])]
    few = replace(pmr, tables={**pmr.tables, "endpoints": two, "pairs": pairs})
    assert not [f for f in course_figures(few, "C") if f.name.startswith("rebound")]


def test_measured_values_say_on_which_side_the_true_value_is(pmr):
    data = made(matrix_figures(pmr, "C"), "heatmap_measured_C").data
    il6 = data[data["column"] == "IL-6 W12"].set_index("patient_id")
    assert set(il6["log2_fold"]) == {-2.0}
    # A ends below the limit, B starts below it, C does both
    assert il6["shown"].to_dict() == {"A": "<−2.0", "B": ">−2.0", "C": "nq", "D": "−2.0"}
    assert data.loc[data["column"] == "IL-6 W24", "shown"].tolist() == ["0.0", ">0.0", ">0.0", "0.0"]
    assert list(dict.fromkeys(data["column"])) == ["CRP W12", "CRP W24", "IL-6 W12", "IL-6 W24"]


def test_a_variable_of_two_endpoints_is_shown_once_among_the_measured_values(pmr):
    (crp,) = [e for e in pmr.study.endpoints if e.id == "crp"]
    later = pmr.endpoints[pmr.endpoints["endpoint"] == "crp"].assign(endpoint="crp_late")
    pairs = pmr.pairs[pmr.pairs["endpoint"] == "crp"].assign(endpoint="crp_late")
    both = {"endpoints": pd.concat([pmr.endpoints, later]), "pairs": pd.concat([pmr.pairs, pairs])}
    study = replace(pmr.study, endpoints=(*pmr.study.endpoints, replace(crp, id="crp_late")))
    run = replace(pmr, tables={**pmr.tables, **both}, study=study)
    data = made(matrix_figures(run, "C"), "heatmap_measured_C").data
    assert data["column"].value_counts().to_dict() == {"CRP W12": 4, "CRP W24": 4, "IL-6 W12": 4, "IL-6 W24": 4}


def test_segments_have_their_tones_and_meet():
    plan = load_trial("pmr_nct04062006").dosing
    calendar = Calendar(plan.days, segments=tuple((s.name, s.first_day, s.last_day) for s in plan.segments))
    assert treatment(calendar) == [(1, 33, ON_CYCLE), (33, 82, LATER_SEGMENT)]
    cycles = Calendar((1, 3, 5, 29, 31))
    assert treatment(cycles) == [(1, 5, ON_CYCLE), (29, 31, ON_CYCLE)]
    assert len({ON_CYCLE, LATER_SEGMENT, FOLLOW_UP}) == 3


# --- ALS: slopes patient by patient --------------------------------------------------------------------------------


def test_each_patients_lines_have_the_slopes_given_and_run_through_three_visits():
    scores = ENDPOINTS.frame(
        rows_of(
            "ALSFRS_R",
            {("A", "W0"): 40.0, ("A", "W24"): 38.0, ("A", "W48"): 32.0, ("B", "W0"): 30.0, ("B", "W24"): 29.0},
            "points",
        )
    )
    months = 168 / 30.4375
    slopes = pd.DataFrame(
        {
            "patient_id": ["A", "A", "B", "B"],
            "period": ["on", "off"] * 2,
            "slope": [-2 / months, -6 / months, np.nan, np.nan],
        }
    )
    fig = slope_panels(scores, slopes, "ALSFRS_R", "points", ("on", "off"), "W24", Calendar((1, 3, 153)))
    first, second = fig.axes[:2]
    lines = [line for line in first.lines if len(line.get_xdata()) == 2 and line.get_color() in ("#0072B2", "#D55E00")]
    assert [list(line.get_xdata()) for line in lines] == [[1, 169], [169, 337]]
    assert np.concatenate([line.get_ydata() for line in lines]) == pytest.approx([40, 38, 38, 32])
    assert first.get_title("left") == "A\n−0.36 → −1.1"
    assert second.get_title("left") == "B\nno slopes"


def test_the_course_behind_a_slope_is_found_under_any_endpoint():
    values = {("A", "W0"): 40.0, ("A", "W24"): 38.0, ("A", "W48"): 32.0}
    slopes = rows_of("alsfrsr_slope_diff", {("A", "W24"): -0.4, ("A", "W48"): -1.1}, "points/month")
    endpoints = [*rows_of("als_score", values, "points", population="ALSFRS_R"), *slopes]
    pairs = pairs_of(ENDPOINTS.frame(endpoints), {"alsfrsr_slope_diff": "identity"})
    pairs = pairs.assign(before=-0.4, after=-1.1, shift=-0.7)
    run = run_of("als_nct04952155", endpoints, pairs)
    course = PairedChange(id="als_score", source="x", score="ALSFRS_R")
    study = replace(run.study, endpoints=(*run.study.endpoints, course))
    figure = made(course_figures(replace(run, study=study), "C"), "slope_panels_alsfrsr_slope_diff_C")
    assert figure.data["value"].tolist() == [40, 38, 32]
    assert "in points/month, joined at W24" in figure.caption
    bare = replace(run, tables={**run.tables, "endpoints": ENDPOINTS.frame(slopes)})
    assert not [one.name for one in course_figures(bare, "C") if one.name.startswith("slope_panels")]


# --- myositis: core set, subgroups, noise ---------------------------------------------------------------------------


def myositis(n, **tables):
    patients = [f"P{i:02d}" for i in range(n)]
    after = {p: 2.0 + 0.25 * i for i, p in enumerate(patients)}
    values = {(p, v): x for p in patients for v, x in (("W0", 2.0), ("W12", after[p]))}
    endpoints = rows_of("foxp3_treg_pct_lymph", values, "%", population="Treg_FOXP3", events=20)
    pairs = pairs_of(ENDPOINTS.frame(endpoints), {"foxp3_treg_pct_lymph": "logit"})
    extra = {p: {"diagnosis": "DM" if i % 2 else "PM"} for i, p in enumerate(patients)}
    return run_of("iim_nct04062019", endpoints, pairs, extra, **tables)


def test_subgroups_come_from_the_sheet_where_the_trial_declares_them():
    run = myositis(6)
    one = made(clinic_figures(run, "C"), "subgroup_diagnosis_C")
    assert one.data.groupby("subgroup")["patient_id"].nunique().to_dict() == {"DM": 3, "PM": 3}
    first = one.data.set_index("patient_id").loc["P04"]
    assert first["change"] == pytest.approx(np.log2(3 / 97) - np.log2(2 / 98))
    assert "no test below 6 a group" in texts(one.draw())
    rare = replace(run, study=replace(run.study, trial=load_trial("rp_nct04077736")))
    assert not [f for f in clinic_figures(rare, "C") if f.name.startswith("subgroup")]


def test_subgroups_are_tested_from_six_a_group_on_and_exactly():
    rng = np.random.default_rng(3)
    values = {f"P{i}": float(x) for i, x in enumerate(rng.normal(size=2 * LEAST_SUBGROUP))}
    groups = {p: "DM" if i < LEAST_SUBGROUP else "PM" for i, p in enumerate(values)}
    first, second = np.split(np.array(list(values.values())), 2)
    p = stats.mannwhitneyu(first, second, method="exact").pvalue
    shown = texts(group_strips([("change", values)], groups))
    assert f"p = {p:.3f}" in shown
    fewer = {k: v for k, v in values.items() if k != "P0"}
    assert "p = " not in texts(group_strips([("change", fewer)], groups))


COMPONENTS = pd.DataFrame(
    {
        "patient_id": ["P00", "P01", "P02", "P00", "P01", "P02"],
        "visit": "W12",
        "score": "IMACS_DOI",
        "component": ["PhGA"] * 3 + ["MMT_8"] * 3,
        "improvement": [50.0, -30.0, 20.0, 10.0, np.nan, 12.0],
        "improvement_of": "baseline",
        "call": ["improved", "worsened", "improved", "same", "not_evaluable", "same"],
        "points": np.nan,
    }
)
DOI = pd.DataFrame(
    {"patient_id": ["P00", "P01", "P02"], "visit": "W12", "score": "IMACS_DOI", "value": [1.0, 0.0, np.nan]}
)


def test_the_core_set_is_drawn_as_in_its_table_and_counted():
    run = myositis(3, components=COMPONENTS, scores=DOI)
    one = made(matrix_figures(run, "C"), "core_set_IMACS_DOI_C")
    fig = one.draw()
    shown = texts(fig)
    for text in ("+50", "−30", "+20", "–", "P00  ✓ W12", "physician's global assessment W12", "MMT-8 W12"):
        assert text in shown
    assert "P01  ✓" not in shown
    drawn = np.ma.filled(fig.axes[0].images[0].get_array(), np.nan)
    assert np.array_equal(drawn, [[50, 10], [-30, np.nan], [20, 12]], equal_nan=True)
    table = components_grid(run)
    cells = dict(zip(table.headings, table.rows[0], strict=True))
    found = {name: cells[name].text for name in ("Measure", "Evaluable", "Improved", "Worsened", "Not evaluable")}
    assert found == {
        "Measure": "physician's global assessment",
        "Evaluable": "3",
        "Improved": "2",
        "Worsened": "1",
        "Not evaluable": "0",
    }
    assert float(cells["Median improvement, %"].value) == 20
    assert dict(zip(table.headings, table.rows[1], strict=True))["Not evaluable"].text == "1"


def test_the_waterfalls_band_is_the_median_patients_own_interval():
    run = myositis(3, scores=DOI, components=COMPONENTS)
    half = np.array([0.3, 0.5, 0.9])
    pairs = run.pairs.assign(
        verdict="within_noise", ci_low=run.pairs["shift"] - half, ci_high=run.pairs["shift"] + half
    )
    tables = {**run.tables, "pairs": pairs}
    for calls, wanted in (("within_noise", True), ("not_evaluable", False)):
        now = replace(run, tables={**tables, "pairs": pairs.assign(verdict=calls)})
        ax = made(clinic_figures(now, "C"), "waterfall_foxp3_treg_pct_lymph_IMACS_DOI_C").draw().axes[0]
        spans = [p.get_extents() for p in ax.patches if p.get_label() == "within noise"]
        assert bool(spans) is wanted
        if wanted:
            low, high = ax.transData.inverted().transform(spans[0].get_points())[:, 1]
            assert [low, high] == pytest.approx([-0.5 / np.log(2), 0.5 / np.log(2)])


# --- correlations, controls, flow, disclosure -----------------------------------------------------------------------


def test_correlations_name_rho_and_n_and_leave_the_exploratory_out(pmr):
    names = [("th17_pct_cd4", "crp", 10, -0.5), ("th17_pct_cd4", "pmr_as", 9, 0.004), ("tfh_pct_cd4", "crp", 10, 0.25)]
    names += [("tfh_pct_cd4", "pmr_as", 3, np.nan), ("treg_foxp3_per_ul", "crp", 10, 0.9)]
    table = pd.DataFrame(names, columns=["endpoint", "clinical_endpoint", "n", "rho"]).assign(cohort="C")
    other = table.assign(cohort="D", rho=1.0)
    run = replace(pmr, tables={**pmr.tables, "correlations": pd.concat([table, other], ignore_index=True)})
    one = made(matrix_figures(run, "C"), "correlations_C")
    assert len(one.data) == 3
    shown = texts(one.draw())
    for text in ("−0.50\n10", "0.00\n9", "+0.25\n10", "EXPLORATORY"):
        assert text in shown
    assert "0.90" not in shown
    assert "Exploratory: 3 of the 4 correlations looked at" in one.caption


@pytest.fixture(scope="module")
def lupus():
    return report_fixture.finished_run()


def test_the_flow_charts_numbers_are_those_of_the_study(lupus):
    counts = flow_counts(lupus, "SLE").set_index(["step", "name"])
    # eight patients at two visits; P07 was not bled at W10, P08's tube of W10 cannot be read
    assert counts.loc[("sheet", ""), ["n_patients", "n_samples", "n_failed", "n_measured"]].tolist() == [8, 15, 1, 14]
    assert counts.loc[("visit", "W10"), ["n_samples", "n_failed", "n_measured"]].tolist() == [7, 1, 6]
    assert counts.loc[("visit", "W0"), "n_measured"] == 8
    assert counts.loc[("pairs", "Treg, % of CD4"), ["n_patients", "n_failed"]].tolist() == [6, 2]
    shown = "\n".join(t.get_text() for t in flow_chart(counts.reset_index(), ax=figure().add_subplot()).texts)
    for text in ("8 patients, 15 samples", "both visits: n = 6 patients", "without a pair: 2", "failed: 1"):
        assert text in shown


def test_one_patient_and_one_sample_are_said_in_the_singular():
    numbers = {"n_patients": 1, "n_samples": 1, "n_failed": 0, "n_not_run": 0, "n_measured": 1, "n_warned": 0}
    steps = (("sheet", ""), ("visit", "W0"), ("pairs", "Treg"))
    rows = [{"step": step, "name": name} | numbers for step, name in steps]
    shown = [t.get_text() for t in flow_chart(pd.DataFrame(rows), ax=figure().add_subplot()).texts]
    assert "in the sheet: 1 patient, 1 sample\n" in shown[0]
    assert any("W0\n1 sample\n" in text for text in shown)
    assert any("both visits: n = 1 patient\n" in text for text in shown)


def test_negative_controls_say_so(lupus):
    controls = tuple(replace(e, negative_control=e.id == "th1_pct_cd4") for e in lupus.study.endpoints)
    run = replace(lupus, study=replace(lupus.study, endpoints=controls))
    figures = {f.name: f for f in cohort_figures(run, "SLE")}
    assert "Negative control: no change is expected." in figures["paired_th1_pct_cd4_SLE"].caption
    assert "control" not in figures["paired_treg_pct_cd4_SLE"].caption.lower()
    ax = forest(run.shifts_of("SLE"), run.labels, controls={"th1_pct_cd4"}, ax=figure().add_subplot())
    words = [t.get_text() for t in ax.child_axes[0].texts]
    assert [w for w in words if w.endswith("· control")] == ["Th1, % of CD4 · control"]


def test_small_cohorts_are_warned_of_disclosure(lupus):
    assert DISCLOSURE.format(least=20) in cautions(lupus)
    samples = tuple(replace(lupus.study.samples[0], patient_id=f"P{i}", sample_id=f"S{i}") for i in range(20))
    large = replace(lupus, study=replace(lupus.study, samples=samples))
    assert not [text for text in cautions(large) if text.startswith("Small numbers")]


def test_every_new_figures_text_can_be_read(pmr):
    run = myositis(6, components=COMPONENTS, scores=DOI)
    figures = [*course_figures(pmr, "C"), *matrix_figures(pmr, "C"), *clinic_figures(run, "C")]
    assert len(figures) >= 6
    for one in figures:
        fig = one.draw()
        sizes = [t.get_fontsize() for t in fig.findobj(lambda a: hasattr(a, "get_fontsize")) if t.get_text().strip()]
        assert min(sizes) >= SMALL, one.name
        assert fig.get_figwidth() <= 180 / 25.4 + 1e-9


def test_a_matrix_is_symmetric_about_zero_and_grey_where_nothing_is_known():
    values = pd.DataFrame({"x": [3.0, np.nan], "y": [-1.0, 0.5]}, index=["A", "B"])
    ax = matrix(values, values.map(str), "unit", ax=figure().add_subplot())
    assert ax.images[0].get_clim() == (-3, 3)
    assert ax.images[0].get_array().mask.tolist() == [[False, False], [True, False]]
    assert matrix(values, values.map(str), "unit", reach=1, ax=figure().add_subplot()).images[0].get_clim() == (-1, 1)


def test_a_course_without_levels_has_no_dashes(pmr):
    rows = clinic_rows(pmr, "C")
    fig = course_panels(rows[rows["endpoint"] == "crp"], pmr.calendar)
    assert not [line for line in fig.axes[0].lines if line.get_linestyle() == "--"]
