"""The report: self-contained, escaped, equal to its tables, and honest when there is little to say."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from itertools import pairwise

import pandas as pd
import pytest
import report_fixture

from immunolab.events.scales import ChannelScale
from immunolab.events.transforms import Asinh, Bounded, Logicle, scale_in_words
from immunolab.gating.placement.scales import with_scales
from immunolab.gating.strategy_file import builtin_strategy
from immunolab.plots.numbers import number, p_number, probability
from immunolab.plots.paired import comparison_words
from immunolab.plots.style import figure
from immunolab.report.disposition import flow_counts, sample_flow, unpaired, visit_flow
from immunolab.report.figure import ReportFigure, unique, write_figure
from immunolab.report.figures.cohort import cohort_figures
from immunolab.report.figures.endpoints import endpoint_figures
from immunolab.report.figures.patients import patient_figures
from immunolab.report.figures.quality import run_figures
from immunolab.report.first_screen import study_facts
from immunolab.report.html_table import Cell, cell, grid
from immunolab.report.method_tables import gate_rules_grid, warnings_grid
from immunolab.report.methods import methods_text, miflowcyt, transforms_of
from immunolab.report.other_tables import other_tables
from immunolab.report.page import render, shift_grid, slope_grid, write_report
from immunolab.report.patients import patient_grid
from immunolab.report.review import borders_grid, review_grid
from immunolab.results.findings import findings
from immunolab.results.findings.concerns import concerns
from immunolab.results.findings.sensitivity import beside_the_test
from immunolab.results.run_in_words import failed_in_words
from immunolab.results.sentences import change_sentence, direction
from immunolab.schema.courses import DOSE_SENSITIVITY
from immunolab.schema.estimand import ESTIMAND, INTERCURRENT_EVENTS
from immunolab.schema.flags import Code
from immunolab.schema.gating import FAILURES
from immunolab.schema.tables import ALL
from immunolab.study.endpoints import ResponderProportion, SlopeDifference


@pytest.fixture(scope="module")
def run():
    return report_fixture.finished_run()


@pytest.fixture(scope="module")
def written(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    for name, table in ALL.items():
        table.write(run.table(name), out / "tables" / f"{name}.csv")
    # two endpoints are enough to see every kind of file
    few = run.shifts[run.shifts["endpoint"].isin(["treg_pct_cd4", "th17_pct_cd4"])]
    small = replace(run, folder=out, tables={**run.tables, "shifts": few})
    return small, out, write_report(small).read_text(encoding="utf-8")


class Page(HTMLParser):
    """Collects what a browser would load or show."""

    def __init__(self, html):
        super().__init__()
        self.sources, self.links, self.tags, self.text, self.cells = [], [], [], [], []
        self.inline, self.policy = [], ""
        self._value = None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append(tag)
        self.sources += [v for k, v in attrs if k in ("src", "srcset", "data", "action")]
        self.links += [v for k, v in attrs if k == "href"]
        self.inline += [k for k, _ in attrs if k == "style" or k.startswith("on")]
        if attributes.get("http-equiv") == "Content-Security-Policy":
            self.policy = attributes["content"]
        if tag == "td":
            self._value = attributes.get("data-value")

    def handle_data(self, data):
        self.text.append(data)
        if self._value is not None:
            self.cells.append((data, self._value))
            self._value = None


def text_of(page):
    return " ".join(" ".join(page.text).split())


def test_nothing_is_loaded_from_elsewhere(written):
    page = Page(written[2])
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert not {"link", "iframe", "object", "embed", "base"} & set(page.tags)
    assert page.tags.count("script") == page.tags.count("style") == 1
    assert not page.inline, "the policy lets no attribute hold code or style"
    assert not [link for link in page.links if re.match(r"[a-z]+:|//", link)]
    assert "url(" not in written[2]
    assert "@import" not in written[2]


def test_the_policy_names_the_one_style_sheet_and_script_of_the_page(written):
    html = written[2]
    policy = dict(part.split(" ", 1) for part in Page(html).policy.split("; "))
    assert (policy["default-src"], policy["img-src"]) == ("'none'", "data:")
    for tag in ("style", "script"):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert policy[f"{tag}-src"] == f"'sha256-{digest}'"


def test_headings_follow_each_other_and_every_id_is_one(written):
    levels = [int(tag[1]) for tag in Page(written[2]).tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = re.findall(r' id="([^"]*)"', written[2])
    assert sorted(ids) == sorted(set(ids))


def test_every_link_leads_to_a_file_or_a_place(written):
    _, out, html = written
    for link in Page(html).links:
        page, _, place = link.partition("#")
        text = (out / page).read_text() if page and place else html
        assert (out / page).exists()
        assert not place or f'id="{place}"' in text


def test_every_figure_has_pdf_png_and_its_data(written):
    run, out, _ = written
    names = {p.stem for p in (out / "figures").iterdir()}
    own = [made for made in endpoint_figures(run, "SLE") if not made.full]
    of_cohort = (*own, *cohort_figures(run, "SLE"), *patient_figures(run, "SLE"))
    assert names == {made.name for made in (*of_cohort, *run_figures(run))}
    for name in names:
        assert {p.suffix for p in (out / "figures").glob(f"{name}.*")} == {".pdf", ".svg", ".png", ".csv"}
    data = pd.read_csv(out / "figures" / "paired_treg_pct_cd4_SLE.csv")
    pairs = run.pairs.query("endpoint == 'treg_pct_cd4'")
    assert data["after"].dropna().tolist() == pytest.approx(pairs["after"].dropna().tolist(), rel=1e-12)


def test_a_check_over_the_run_says_what_is_counted(written):
    captions = {made.name: made.caption for made in run_figures(written[0])}
    assert "number of events acquired: n = " in captions["check_events"]


def test_every_number_read_is_the_rounded_number_kept(written):
    run, _, html = written
    cells = Page(html).cells
    assert len(cells) > 50
    chances = [
        run.table("power").filter(regex="^power"),
        run.table("power_in_family").filter(regex="^power|^assurance$"),
    ]
    known = {float(value) for table in chances for value in table.to_numpy(dtype=float).ravel()}
    for text, value in cells:
        exact = float(value)
        shown = text.split(" (W")[0]
        integer = f"{int(exact):,}".replace("-", "−") if exact.is_integer() else ""
        words = {number(exact), p_number(exact) if 0 <= exact <= 1 else "", integer}
        words |= {probability(exact)} if exact in known else set()
        assert shown in words or "[" in text


def test_the_table_of_shifts_equals_its_csv(run):
    table = shift_grid(run, "SLE")
    rows = {row[1].text: row for row in table.rows}
    for row in run.shifts.to_dict("records"):
        cells = dict(zip(table.headings, rows[run.label_of(row["endpoint"]).axis], strict=True))
        assert float(cells["n pairs"].value) == row["n_pairs"]
        for heading, column in (("p", "p_value"), ("Median before", "median_before"), ("Change", "fold")):
            assert float(cells[heading].value) == pytest.approx(row[column], rel=1e-12)
    assert [row[0].text for row in table.rows][:1] == ["primary"]


def test_a_difference_is_shown_as_one(run):
    shifts = run.shifts.assign(estimate_scale="identity", fold=float("nan"))
    table = shift_grid(replace(run, tables={**run.tables, "shifts": shifts}), "SLE")
    cells = dict(zip(table.headings, table.rows[0], strict=True))
    assert cells["Change as"].text == "difference"
    assert float(cells["Change"].value) == pytest.approx(shifts.iloc[0]["estimate"])


def finding(run, endpoint):
    return next(one for one in findings(run) if one.endpoint == endpoint)


def test_the_answer_says_direction_size_n_test_p_patients_and_days(run):
    answer = finding(run, "treg_pct_cd4")
    row = run.shifts.iloc[0]
    before, after = number(row["median_before"], 2), number(row["median_after"], 2)
    assert f"Treg about doubled, from {before} to {after} % of CD4+ T cells (medians)" in answer.plain
    assert "higher in 6 of 6 patients; mean ratio " in answer.plain
    assert answer.plain.endswith(": the registered direction (an increase).")
    assert (answer.n, answer.of, answer.role, answer.verdict) == (6, 8, "primary", "supports")
    assert {one.patient_id: one.reason for one in answer.missing} == {
        "P07": "no sample at W10",
        "P08": f"sample P08_W10 failed: {run.failures['error'].iloc[0]}",
    }
    for part in (
        "n = 6",
        f"odds ratio {number(row['fold'])}",
        f"p = {p_number(row['p_value'])}",
        "paired t on the logit",
        "two-sided",
    ):
        assert part in answer.statistics
        assert part == "n = 6" or part not in answer.plain
    beside = " ".join(beside_the_test(run, "SLE", row))
    for part in ("6 rise, 0 fall, 0 within noise, 2 not evaluable", "1 to 4 days after the last dose, peak"):
        assert part in beside
    assert answer.name == "Treg, % of CD4+ T cells"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"ci_low": 0.1, "ci_high": 0.9}, "rose"),
        ({"ci_low": -0.9, "ci_high": -0.1}, "fell"),
        ({"ci_low": -0.1, "ci_high": 0.9}, "showed no clear change"),
        ({"p_value": None}, "was not tested"),
        ({"estimate": None}, "was not tested"),
    ],
)
def test_the_direction_rests_on_the_interval(run, change, word):
    row = run.shifts.iloc[0].copy()
    for name, value in change.items():
        row[name] = value
    assert direction(row) == word


def test_single_arm_is_said_and_effect_is_not(written):
    text = text_of(Page(written[2])).lower()
    assert "single-arm, uncontrolled" in text
    assert not re.search(r"\beffects?\b", text)


def test_a_confounded_primary_is_stamped(run):
    shifts = run.shifts.copy()
    shifts.loc[0, "warnings"] = "E_BATCH_ALIASED;W_COMPOSITION"
    found = [
        one for one in concerns(replace(run, tables={**run.tables, "shifts": shifts})) if one.kind == "confounding"
    ]
    assert found[0].text == (
        "Visit coincides with batch, so drug and batch cannot be separated: Treg, % of CD4+ T cells."
    )
    assert len(found) == 2
    html = render(replace(run, tables={**run.tables, "shifts": shifts}), [], [])
    assert html.index("drug and batch cannot be separated") < html.index('id="answer"'), "above the endpoints"


def test_an_event_that_is_not_known_of_some_patients_is_said(run):
    row = {"patient_id": run.samples[0].patient_id, "event": "doses_missed", "study_day": None, "assessed": "no"}
    events = pd.DataFrame([row | {"seen_in": "doses", "detail": "no doses_recorded"}])
    said = [one.text for one in concerns(replace(run, tables={**run.tables, "intercurrent_events": events}))]
    n = len({sample.patient_id for sample in run.samples})
    assert f"Doses missed: not known of 1 of {n} patients (no doses recorded)." in said


def test_an_adverse_event_of_grade_5_is_a_death(run):
    row = {"patient_id": run.samples[0].patient_id, "event": "death", "study_day": None, "assessed": "no"}
    events = pd.DataFrame([row | {"seen_in": "table", "detail": "the study names no table of intercurrent events"}])
    harm = run.table("adverse_events").copy()
    if harm.empty:
        harm = pd.DataFrame([{"cohort": None, "term": "any adverse event", "phase": "on_treatment", "n_patients": 8}])
        harm = harm.assign(n_with_event=1, n_events=1, n_serious=1)
    harm["grade_5"] = (harm["term"] == "any adverse event") & (harm["phase"] == "on_treatment")
    harm["grade_5"] = harm["grade_5"].astype(int)
    n = harm["grade_5"].sum()
    found = concerns(replace(run, tables={**run.tables, "intercurrent_events": events, "adverse_events": harm}))
    said = [one.text for one in found if one.kind == "death"]
    assert len(said) == 1
    assert said[0].startswith(f"Death: an adverse event of grade 5, which is death, in {n} patient")
    assert not any(one.text.startswith("Death: not known") for one in found)


def test_gates_that_say_the_same_are_said_once(run):
    rules = ("fixed_at_baseline", "refit_each_visit")
    values = {f"{c}_{rule}": v for rule in rules for c, v in (("fold", 1.0), ("ci_low", -0.2), ("ci_high", 0.3))}
    changed = replace(run, tables={**run.tables, "shifts": run.shifts.assign(**values)})
    said = finding(changed, "treg_pct_cd4").beside
    assert said == (
        "The change depends on the gates: it is not clear with gates fixed at baseline or placed anew at each visit.",
    )


def test_a_change_that_other_gates_do_not_show_is_stamped(run):
    shifts = run.shifts.assign(
        fold_fixed_at_baseline=1.05,
        ci_low_fixed_at_baseline=-0.2,
        ci_high_fixed_at_baseline=0.3,
        fold_refit_each_visit=2.0,
        ci_low_refit_each_visit=0.4,
        ci_high_refit_each_visit=1.0,
    )
    changed = replace(run, tables={**run.tables, "shifts": shifts})
    answer = finding(changed, "treg_pct_cd4")
    assert answer.beside == ("The change depends on the gates: it is not clear with gates fixed at baseline.",)
    assert "fixed at baseline 1.05 [0.819, 1.35]" in beside_the_test(changed, "SLE", changed.shifts.iloc[0])[-1]
    table = gate_rules_grid(changed)
    assert [cell.text for cell in table.rows[0]][-2:] == ["1.05 [0.819, 1.35]", "2.00 [1.49, 2.72]"]
    assert gate_rules_grid(run).rows == ()


def test_an_absent_primary_is_named_and_a_secondary_keeps_its_name(run):
    lacking = run.shifts[run.shifts["role"] != "primary"]
    study = replace(run.study, trial=None)
    found = findings(replace(run, study=study, tables={**run.tables, "shifts": lacking}))
    assert (found[0].endpoint, found[0].role, found[0].n) == ("treg_pct_cd4", "primary", 0)
    assert "not compared" in found[0].plain
    assert {one.role for one in found[1:]} <= {"secondary", "exploratory"}


def test_responders_speak_for_a_primary_of_responders(run):
    table = pd.DataFrame(
        {
            "score": ["SRI_4"] * 2,
            "criterion": ["responder"] * 2,
            "visit": ["W10", "W24"],  # only W10 is a registered visit of this endpoint
            "n_patients": [8, 8],
            "n_evaluable": [7, 8],
            "n_responders": [4, 1],
            "percent": [57.142857, 12.5],
            "ci_low": [18.4, 0.3],
            "ci_high": [90.1, 52.7],
            "percent_worst_case": [50.0, 12.5],
            "worst_case_ci_low": [15.7, 0.3],
            "worst_case_ci_high": [84.3, 52.7],
            "verified": ["no"] * 2,
        }
    )
    endpoint = ResponderProportion(id="sri", source="s", role="primary", score="SRI_4", visits=("W10",))
    lacking = run.shifts[run.shifts["role"] != "primary"]
    study = replace(run.study, endpoints=(endpoint,))
    changed = replace(run, study=study, tables={**run.tables, "shifts": lacking, "responders": table})
    first = findings(changed)[0]
    assert "4 of 8 patients (50 %" in first.plain
    assert "4 of 7 patients (57.1 %" in first.statistics
    assert (first.n, first.of) == (7, 8)
    assert "not checked against its source" in first.beside[-1]


def test_further_tables_are_shown_under_their_caution(run):
    table = pd.DataFrame({"endpoint": ["treg_pct_cd4"], "n": [8], "rho": [0.404762], "p_value": [0.326835]})
    html = render(replace(run, tables={**run.tables, "correlations": table}), [], [])
    assert "exploratory</summary>" in html
    assert 'data-value="0.404762"' in html


def test_every_n_reconciles(run):
    (row,) = sample_flow(run).rows
    patients, samples, failed, unseen, measured = (int(cell.text) for cell in row[1:6])
    assert (patients, samples, failed, unseen, measured) == (8, 15, 1, 0, 14)
    assert samples == failed + unseen + measured
    visits = {r[1].text: (int(r[2].text), int(r[3].text)) for r in visit_flow(run).rows}
    assert visits == {"W0": (8, 8), "W10": (7, 6)}


def test_a_patient_without_any_value_is_without_a_pair_too(run):
    pairs = run.pairs
    gone = (pairs["patient_id"] == "P01") & (pairs["endpoint"] == "treg_pct_cd4")
    rows = run.endpoints
    valued = rows[~((rows["patient_id"] == "P01") & (rows["endpoint"] == "treg_pct_cd4"))]
    less = replace(run, tables={**run.tables, "pairs": pairs[~gone], "endpoints": valued})
    rows = {(row[0].text, row[2].text): row[3].text for row in unpaired(less).rows}
    reason = "sample P01_W0 gave no value; sample P01_W10 gave no value"
    assert rows["P01", reason] == "1"
    assert "P01" not in {r[0].text for r in unpaired(run).rows}
    chart = flow_counts(less, "SLE").query("step == 'pairs'").iloc[0]
    assert (chart["n_patients"], chart["n_failed"]) == (5, 3)  # of 8: P07 not sampled, P08 failed, P01 without a value


def test_a_slope_is_compared_between_periods_not_visits(run):
    slope = SlopeDifference(id="treg_pct_cd4", source="s", score="X", periods=(("W0", "W2"), ("W2", "W10")))
    sloped = replace(run, study=replace(run.study, endpoints=(slope,)))
    visits, table = shift_grid(sloped, "SLE"), slope_grid(sloped, "SLE")
    row = dict(zip(table.headings, table.rows[0], strict=True))
    assert (row["Earlier period"].text, row["Later period"].text) == ("W0 to W2", "W2 to W10")
    assert not any("before" in heading.lower() or "after" in heading.lower() for heading in table.headings)
    assert len(visits.rows) == len(run.shifts) - len(table.rows)
    assert slope_grid(run, "SLE").rows == ()


def test_the_table_of_shifts_says_its_warnings_in_words(run):
    shifts = run.shifts.assign(warnings="W_TIES;W_ZERO_DIFF")
    table = shift_grid(replace(run, tables={**run.tables, "shifts": shifts}), "SLE")
    assert table.note == f"Of every row: {Code.W_TIES.meaning}; {Code.W_ZERO_DIFF.meaning}."
    at = table.headings.index("Warnings")
    assert {row[at].text for row in table.rows} == {""}


def test_warnings_of_some_shifts_stay_beside_them_and_those_of_all_are_said_once(run):
    shifts = run.shifts.assign(warnings=["W_TIES;W_ZERO_DIFF"] + ["W_TIES"] * (len(run.shifts) - 1))
    changed = replace(run, tables={**run.tables, "shifts": shifts})
    table = shift_grid(changed, "SLE")
    words = [row[table.headings.index("Warnings")].text for row in table.rows]
    assert sorted(words, reverse=True) == [Code.W_ZERO_DIFF.meaning] + [""] * (len(words) - 1)
    assert render(changed, [], []).count(f'<p class="alarm">Of every row: {Code.W_TIES.meaning}.</p>') == 1
    single = replace(run, tables={**run.tables, "shifts": shifts.head(1)})
    assert shift_grid(single, "SLE").note == ""


def test_small_groups_and_columns_of_further_tables_are_said_in_words(run):
    table = pd.DataFrame({"endpoint": ["treg_pct_cd4"], "n": [8], "codes": ["E_N_MIN"]})
    html = render(replace(run, tables={**run.tables, "shifts_by_response": table}), [], [])
    assert "fewer than 4 in a group" in html
    assert "n: patients of both groups together." in html


def test_the_estimand_says_the_rule_of_an_event_once_and_endpoints_alike_in_one_row(run):
    row = {"cohort": None, "visit": "W10", "event": "death", "strategy": "hypothetical", "rule": "event of survival"}
    row |= {"source": "judgement"} | dict.fromkeys((c.name for c in ESTIMAND.columns if c.name.startswith("n_")), 2)
    rows = [row | {"endpoint": name} for name in ("treg_pct_cd4", "th17_pct_cd4")] + [
        row | {"endpoint": "treg_pct_cd4", "event": "rescue_steroids", "rule": "prednisone 5 or more"}
    ]
    shown = other_tables(replace(run, tables={**run.tables, "estimand": ESTIMAND.frame(rows)}))["safety"]
    table = next(one for one in shown if one["id"] == "estimand")
    assert table["note"] == "Death: event of survival (judgement); rescue steroids: prednisone 5 or more (judgement)."
    endpoints = [line[table["grid"].headings.index("endpoint")].text for line in table["grid"].rows]
    assert endpoints == [
        f"{run.label_of('treg_pct_cd4').short}; {run.label_of('th17_pct_cd4').short}",
        run.label_of("treg_pct_cd4").short,
    ]


def test_a_death_that_no_test_of_pairs_can_rank_is_not_called_counted(run):
    died = {"patient_id": run.samples[0].patient_id, "event": "death", "study_day": 277, "assessed": "yes"}
    events = INTERCURRENT_EVENTS.frame([died | {"seen_in": "outcomes", "detail": "event of survival"}])
    row = {"cohort": None, "endpoint": "slope", "visit": "W48", "event": "death", "strategy": "composite"}
    row |= {"rule": "event of survival", "source": "judgement"}
    counts = dict.fromkeys((c.name for c in ESTIMAND.columns if c.name.startswith("n_")), 0) | {"n_with_event": 1}
    said = {}
    for column in ("n_no_value", "n_no_response"):
        estimand = ESTIMAND.frame([row | counts | {column: 1}])
        tables = {**run.tables, "intercurrent_events": events, "estimand": estimand}
        said[column] = next(one.text for one in concerns(replace(run, tables=tables)) if one.kind == "death")
    assert said["n_no_value"].endswith(
        "It was to count as the worst outcome in 1 endpoint, whose main test leaves these patients out."
    )
    assert said["n_no_response"].endswith("It counts as no response in 1 endpoint.")


def test_a_change_beside_a_drug_has_its_limits_on_its_own_scale(run):
    row = {"cohort": None, "contrast": "W10 - W0", "covariate": "prednisone", "analysis": "adjusted for its change"}
    row |= {"n_pairs": 8, "n_concerned": 5, "p_value": 0.01, "method": "paired t"}
    ratio = {"endpoint": "treg_pct_cd4", "estimate": math.log(2), "estimate_scale": "log_odds", "fold": 2.0}
    ratio |= {"ci_low": 0.0, "ci_high": math.log(4)}
    points = {
        "endpoint": "th17_pct_cd4",
        "estimate": -3.0,
        "estimate_scale": "identity",
        "ci_low": -5.0,
        "ci_high": -1.0,
    }
    table = DOSE_SENSITIVITY.frame([row | ratio, row | points])
    shown = other_tables(replace(run, tables={**run.tables, "dose_sensitivity": table}))["sensitivity"]
    grid = next(one["grid"] for one in shown if one["id"] == "dose-sensitivity")
    read = [dict(zip(grid.headings, (one.text for one in line), strict=True)) for line in grid.rows]
    wanted = ("change as", "estimate", "ci low", "ci high")
    assert [[line[name] for name in wanted] for line in read] == [
        ["odds ratio", "2", "1", "4"],
        ["difference", "−3", "−5", "−1"],
    ]


def test_events_that_happened_come_before_those_that_are_not_known_of_many_patients(run):
    rows = [
        {"patient_id": name, "event": "rescue", "study_day": None, "assessed": "no", "seen_in": "measurements"}
        | {"detail": "no prednisone at baseline"}
        for name in ("P1", "P2", "P3")
    ]
    rows.append({**rows[0], "event": "death", "study_day": 277, "assessed": "yes", "detail": "event of survival"})
    tables = {**run.tables, "intercurrent_events": INTERCURRENT_EVENTS.frame(rows)}
    shown = other_tables(replace(run, tables=tables))["safety"]
    table = next(one["grid"] for one in shown if one["id"] == "intercurrent-events")
    assert [[one.text for one in row][:2] for row in table.rows] == [["P1", "death"], ["P1, P2, P3", "rescue"]]


def test_a_slope_of_a_patient_is_of_its_period(run):
    slope = SlopeDifference(id="treg_pct_cd4", source="s", score="X", periods=(("W0", "W2"), ("W2", "W10")))
    cells = patient_grid(replace(run, study=replace(run.study, endpoints=(slope,))), "SLE", "treg_pct_cd4").rows[0]
    assert [one.text.partition(" ")[2] for one in cells[1:3]] == ["(W0 to W2)", "(W2 to W10)"]


def test_samples_that_failed_are_those_of_patients_and_controls_are_counted_apart(run):
    failures = FAILURES.frame(
        {"sample_id": name, "file": "x.fcs", "stage": "read", "error": "cut short", "hint": "copy it"}
        for name in (run.samples[0].sample_id, "bridge_1", "unstained_1")
    )
    failed = replace(run, tables={**run.tables, "failures": failures})
    assert failed_in_words(failed) == ", 1 failed, 2 controls failed"
    assert dict(study_facts(failed))["Samples"].endswith(", 1 failed, 2 controls failed")
    assert failed_in_words(replace(run, tables={**run.tables, "failures": failures.iloc[:0]})) == ""


def test_populations_of_borders_and_flags_have_the_names_of_the_field(run):
    thresholds, counts = run.thresholds.assign(population="Tfh_eff"), run.counts.assign(population="Tfh_eff")
    named = replace(run, tables={**run.tables, "thresholds": thresholds, "counts": counts.assign(flag="below_loq")})
    assert {row[0].text for row in borders_grid(named).rows} == {"effector Tfh"}
    assert {row[1].text for row in review_grid(named).rows} == {"effector Tfh"}


def test_a_share_whose_count_does_not_show_the_change_is_stamped(run):
    marked = run.shifts.assign(warnings="W_ABSOLUTE_FLAT")
    beside = finding(replace(run, tables={**run.tables, "shifts": marked}), "treg_pct_cd4").beside
    assert any("The number of these cells in the blood shows no clear change" in text for text in beside)


@pytest.mark.parametrize(("q", "said"), [(0.04, False), (0.167, True), (float("nan"), False)])
def test_a_change_that_adjustment_takes_back_says_so(run, q, said):
    shifts = run.shifts.copy()
    row = shifts["endpoint"] == "treg_pct_cd4"
    shifts.loc[row, ["estimate", "ci_low", "ci_high", "p_value", "q_value"]] = [0.7, 0.1, 1.3, 0.03, q]
    changed = replace(run, tables={**run.tables, "shifts": shifts})
    first = finding(changed, "treg_pct_cd4")
    assert " about doubled" in first.plain or " rose" in first.plain
    assert ("not clear once the endpoints tested with it are counted" in first.plain) is said
    assert first.verdict == ("unclear" if said else "supports")
    sentence = change_sentence(run.label_of("treg_pct_cd4"), shifts[row].iloc[0], run.contrast_of("treg_pct_cd4"))
    assert ("but not clearly once adjusted" in sentence) is said


def test_every_patient_is_in_the_table_with_verdict_and_reason(run):
    table = patient_grid(run, "SLE", "treg_pct_cd4")
    pairs = run.pairs.query("endpoint == 'treg_pct_cd4'")
    assert [row[0].text for row in table.rows] == pairs["patient_id"].tolist()
    for row, verdict in zip(table.rows, pairs["verdict"], strict=True):
        assert row[4].kind == verdict
    assert [row[5].text for row in table.rows][-1] == "no sample at W10"


def test_warnings_are_explained_in_words(run):
    rows = {row[0].text: row[1].text for row in warnings_grid(run).rows}
    assert rows["W_UNPAIRED"] == Code.W_UNPAIRED.meaning


def test_methods_say_what_was_done(run):
    text = " ".join(methods_text(run))
    for part in (
        "paired t on the logit",
        "Benjamini-Hochberg",
        "random draw: 7",
        "immunolab ",
        "NCT02084238",
    ):
        assert part in text
    assert "FMO" not in text
    assert "fluorescence-minus-one" not in text


def test_what_is_not_provided_is_red_and_what_is_given_is_shown(run):
    rows = {row[0].text: row[2] for row in miflowcyt(run).rows}
    assert (rows["3.2"].text, rows["3.2"].kind) == ("not provided", "alarm")
    assert (rows["1.3"].text, rows["1.3"].kind) == ("W0, W10", "")


HOSTILE = '<script>alert("x")</script>&'


def test_text_of_users_is_escaped(run):
    frames = {name: frame.copy() for name, frame in run.tables.items()}
    frames["pairs"]["reason"] = HOSTILE
    frames["pairs"]["patient_id"] = HOSTILE
    frames["failures"]["error"] = HOSTILE
    study = replace(run.study, name=HOSTILE)
    html = render(replace(run, study=study, tables=frames, notes=(HOSTILE,)), [], [])
    assert html.count("<script") == 1, "the page's own"
    assert HOSTILE not in html
    assert html.count("&lt;script&gt;") > 10


def test_files_of_like_names_stay_apart(run):
    made = next(iter(cohort_figures(run, "SLE")))
    names = [one.name for one in unique([made, replace(made, name=made.name.upper()), made])]
    assert len({name.lower() for name in names}) == 3


def test_nothing_measured_still_gives_an_honest_page(tmp_path):
    run = report_fixture.finished_run()
    empty = {name: table.empty() for name, table in ALL.items()}
    empty["failures"] = ALL["failures"].frame(
        [{"sample_id": s.sample_id, "file": s.file.name, "stage": "read", "error": "is empty"} for s in run.samples]
    )
    html = write_report(replace(run, tables=empty, folder=tmp_path)).read_text(encoding="utf-8")
    text = text_of(Page(html))
    for part in (
        "No two visits could be compared",
        "is empty",
        "No comparison of visits was",
        "No border was placed",
    ):
        assert part in text
    (row,) = sample_flow(replace(run, tables=empty)).rows
    assert [cell.text for cell in row[2:6]] == ["15", "15", "0", "0"]
    assert " rose " not in text


def test_two_visits_without_pairs_give_no_p(tmp_path):
    run = report_fixture.finished_run(report_fixture.tables(n_patients=2))
    html = render(run, [], [])
    answer = finding(run, "treg_pct_cd4")
    assert "not tested" in answer.plain
    assert "p = " not in answer.plain + answer.statistics
    assert "fewer than 3 pairs" in html


def test_the_same_run_gives_the_same_page(run):
    assert render(run, [], []) == render(report_fixture.finished_run(), [], [])


def test_a_cohort_too_large_for_one_picture_gets_pages(tmp_path):
    run = report_fixture.finished_run(report_fixture.tables(n_patients=130))
    made = [f for f in patient_figures(run, run.cohorts[0]) if f.name.startswith("heatmap")]
    assert [f.name.rsplit("_", 1)[-1] for f in made] == ["1", "2", "3"]
    assert [f.data["patient_id"].nunique() for f in made] == [60, 60, 10]
    assert [f.on_page for f in made] == [True, False, False]
    draw, data = partial(figure, 1, 1), run.pairs.head(2)
    small = ReportFigure("paired_small", "quality", "of two", draw, data, on_page=False)
    written = write_figure(small, tmp_path)
    assert written.picture == ""
    assert (tmp_path / "paired_small.png").exists()
    assert 'href="figures/paired_small.png"' in render(run, [written], [])


def test_scales_are_said_in_words():
    words = transforms_of(builtin_strategy("treg_th17_tfh_teff"))
    assert words == ["linear (scatter)"]
    chosen = [ChannelScale("CD3", Asinh(310.0), "noise"), ChannelScale("CD4", Asinh(310.0), "noise")]
    words = transforms_of(with_scales(builtin_strategy("treg_th17_tfh_teff"), chosen))
    assert words == ["linear (scatter)", "arcsinh(x / 310) for CD3, CD4 (noise)"]
    assert scale_in_words(Logicle(262144.0, 0.5, 4.5, 0.0)) == "logicle with T = 262144, W = 0.5, M = 4.5, A = 0"
    assert scale_in_words(Bounded(Asinh(5.0), 0.0, 1.0)) == "arcsinh(x / 5) cut to 0 to 1"


def test_the_methods_name_the_tests_beside_the_main_ones():
    run = report_fixture.finished_run()
    assert "Beside, for sensitivity: exact signed-rank." in " ".join(methods_text(run))
    shifts = run.shifts.assign(sensitivity_p_value=float("nan"))
    bare = replace(run, tables={**run.tables, "shifts": shifts})
    assert "Beside, for sensitivity" not in " ".join(methods_text(bare))


@pytest.mark.parametrize(
    ("method", "words"),
    [("exact signed rank, Hodges-Lehmann", "signed-rank"), ("sign flip of scores adjusted for batch", "sign flip")],
)
def test_sentence_and_figure_name_the_test_beside_the_shift(method, words):
    run = report_fixture.finished_run()
    row = run.shifts.iloc[0].copy()
    row["sensitivity_p_value"], row["sensitivity_method"] = 0.25, method
    both = [change_sentence(run.label_of(row["endpoint"]), row, run.contrast_of(row["endpoint"]))]
    both.append(comparison_words(row, int(row["n_pairs"])))
    for text in both:
        assert words in text
        assert ("signed-rank" in text) == (words == "signed-rank")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.9999, "> 0.99"), (1.0, "1.00"), (0.99, "0.99"), (0.804, "0.80"), (0.0004, "< 0.01"), (0.0, "0.00")],
)
def test_a_power_that_is_not_certain_is_not_shown_as_one(value, text):
    assert probability(value) == text
    for column in ("power", "power_low", "power_high", "assurance"):
        assert cell(value, column) == Cell(text, repr(value), "number")


def test_events_of_scores_are_a_table_that_paper_holds() -> None:
    known = {"cohort": "SLE", "rule": "rises by 4", "n_patients": 10, "n_at_risk": 8, "n_followed": 8, "percent": 25.0}
    rows = pd.DataFrame(
        [known | {"endpoint": f"relapse{i}", "n_with_event": 2 + i, "score": "SLEDAI"} for i in range(5)]
    )
    run = report_fixture.finished_run()
    shown = other_tables(replace(run, tables={**run.tables, "event_counts": rows}))["safety"]
    assert [one["id"] for one in shown] == ["event-counts", "event-counts-2"]  # four beside each other
    first, rest = (one["grid"] for one in shown)
    assert len(first.headings) == 5
    assert [len(row) for row in first.rows] == [5] * 8
    assert {row[0].text: row[1].text for row in rest.rows}["n with event"] == "6"
    sparse = rows.head(1).assign(below_level=None)
    (one,) = other_tables(replace(run, tables={**run.tables, "event_counts": sparse}))["safety"]
    assert "below level" not in [row[0].text for row in one["grid"].rows]


def test_units_and_minus_signs_of_tables_are_written_as_people_write_them() -> None:
    row = grid(
        pd.DataFrame([{"unit": "cells/uL", "message": "BV421-A -1.2 %"}]), {"unit": "unit", "message": "said"}
    ).rows[0]
    assert [one.text for one in row] == ["cells/µL", "BV421-A −1.2 %"]
