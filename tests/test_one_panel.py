"""Endpoints that two panels can answer: a patient's visits are of one panel, and the page says whose are of another."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
import report_fixture

from immunolab.report.disposition import flow_counts, sample_flow, visit_flow
from immunolab.report.first_screen import study_facts
from immunolab.results.findings.absences import lacking
from immunolab.results.findings.concerns import concerns
from immunolab.results.findings.paired import mean_change
from immunolab.results.findings.words import sized
from immunolab.workflow.quantify import one_panel

ORDER = {"surface": 0, "foxp3": 1}
VISITS = {"treg": ("W0", "W12")}


def tubes(**panels: str) -> list[tuple[str, str, str, str]]:
    """Return (patient, endpoint, panel, visit) of ``P1="surface:W0 surface:W12"``."""
    return [(p, "treg", *word.split(":")) for p, words in panels.items() for word in words.split()]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("own", "panel"),
    [
        ("surface:W0 surface:W12 foxp3:W0 foxp3:W12", "surface"),
        ("surface:W12 foxp3:W0 foxp3:W12", "foxp3"),  # with the first panel at W12 the change would be the panel's too
        ("surface:W0 surface:W12 foxp3:W0 foxp3:W4 foxp3:W12", "surface"),  # W4 is not compared
        ("foxp3:W0 surface:W12", "surface"),  # no change at all
    ],
)
def test_a_patients_visits_are_of_the_panel_that_has_those_compared(own: str, panel: str) -> None:
    chosen, others = one_panel(tubes(P1=own, P2="surface:W0 surface:W12"), ORDER, VISITS)
    assert chosen["P1", "treg"] == panel
    assert others == ({("P1", "treg")} if panel == "foxp3" else set())


def test_a_panel_that_all_patients_have_is_not_another() -> None:
    chosen, others = one_panel(tubes(P1="foxp3:W0", P2="foxp3:W0 foxp3:W12"), ORDER, {})
    assert (set(chosen.values()), others) == ({"foxp3"}, set())


def test_the_usual_panel_is_that_of_most_patients_whatever_others_they_have_tubes_of() -> None:
    both = "surface:W0 foxp3:W0 foxp3:W12"  # the first panel's tube of W12 is lacking in every patient
    assert one_panel(tubes(P1=both, P2=both), ORDER, VISITS)[1] == set()
    chosen, others = one_panel(tubes(P1=both, P2="surface:W0 surface:W12", P3=both), ORDER, VISITS)
    assert chosen["P2", "treg"] == "surface"
    assert others == {("P2", "treg")}


def test_a_patient_with_both_panels_takes_the_one_that_most_others_have() -> None:
    both = "surface:W0 surface:W12 foxp3:W0 foxp3:W12"
    chosen, others = one_panel(tubes(P1=both, P2="foxp3:W0 foxp3:W12", P3="foxp3:W0 foxp3:W12"), ORDER, VISITS)
    assert (set(chosen.values()), others) == ({"foxp3"}, set())


def _with_panels(run, tube_of):
    samples = tuple(replace(s, panel=tube_of(s)) for s in run.study.samples)
    return replace(run, study=replace(run.study, samples=samples))


def test_a_patient_without_the_panels_tube_lacks_that_tube_and_not_a_value_of_another(tmp_path) -> None:
    run = report_fixture.finished_run(out=tmp_path)
    rows = run.endpoints
    gone = (rows["endpoint"] == "treg_pct_cd4") & (rows["patient_id"] == "P01") & (rows["visit"] == "W0")
    pairs = run.pairs[~((run.pairs["endpoint"] == "treg_pct_cd4") & (run.pairs["patient_id"] == "P01"))]
    run = replace(run, tables={**run.tables, "endpoints": rows[~gone], "pairs": pairs})
    run = _with_panels(run, lambda s: "foxp3" if s.sample_id == "P01_W0" else "surface")
    reasons = {one.patient_id: one.reason for one in lacking(run, "SLE", "treg_pct_cd4")}
    assert reasons["P01"] == "no tube of panel surface at W0"
    assert reasons["P07"] == "no sample at W10"


def test_values_of_another_panel_are_said_on_the_first_page(tmp_path) -> None:
    run = report_fixture.finished_run(out=tmp_path)
    rows = run.endpoints.astype({"flag": "object"})
    own = (rows["endpoint"] == "treg_pct_cd4") & rows["patient_id"].isin(["P02", "P03"])
    rows.loc[own, "flag"] = "other_panel"
    run = _with_panels(replace(run, tables={**run.tables, "endpoints": rows}), lambda s: "foxp3")
    said = [one.text for one in concerns(run) if "another panel" in one.text]
    assert said == [
        "Values of another panel than in most patients: each patient's are of the first with the compared visits: "
        "Treg, % of CD4+ T cells: P02, P03 (foxp3)."
    ]


def test_every_count_of_patients_and_of_measured_samples_is_of_the_same_patients(tmp_path) -> None:
    """P99 was measured by the clinic and never sampled: of the patients, and of no sample."""
    run = report_fixture.finished_run(out=tmp_path)
    row = {**run.endpoints.iloc[0].to_dict(), "patient_id": "P99", "visit": "W0", "sample_id": "P99:W0"}
    rows = pd.concat([run.endpoints, pd.DataFrame([row])], ignore_index=True)
    run = replace(run, tables={**run.tables, "endpoints": rows})
    assert dict(study_facts(run))["Patients"] == "9, 1 of them without a sample"
    (flow,) = sample_flow(run).rows
    assert [flow[at].text for at in (1, 2, -1)] == ["9", "15", "1"]
    visits = {r[1].text: (int(r[2].text), int(r[3].text)) for r in visit_flow(run).rows}
    assert visits == {"W0": (8, 8), "W10": (7, 6)}


def test_a_round_word_stands_only_beside_values_that_show_it() -> None:
    assert sized(2.0, 1.9) == "about doubled"
    assert sized(1.95, 1810 / 1250) == "rose"
    assert sized(0.52, 0.8) == "fell"


@pytest.mark.parametrize(
    ("method", "zero", "limits", "words"),
    [
        ("paired t", 2, (0.2, 1.6), "mean difference 0.90 points, 95 % interval 0.20 to 1.6"),
        (
            "exact signed rank, Hodges-Lehmann",
            2,
            (0.2, 1.6),
            "typical difference of the 6 patients who changed (2 did not) 0.90 points, 95 % interval 0.20 to 1.6",
        ),
        ("exact signed rank, Hodges-Lehmann", 0, (None, None), "typical difference 0.90 points, no 95 % interval"),
    ],
)
def test_the_shift_of_the_signed_rank_is_no_mean_and_says_of_whom_it_is(method, zero, limits, words) -> None:
    row = {"method": method, "estimate": 0.9, "n_pairs": 8, "n_zero_shifts": zero}
    row |= dict(zip(("ci_low", "ci_high"), limits, strict=True))
    assert mean_change(pd.Series(row), "identity", "points", 4.0) == words


def test_the_chart_of_samples_counts_patients_without_a_sample_among_those_without_a_pair(tmp_path) -> None:
    run = report_fixture.finished_run(out=tmp_path)
    row = {**run.endpoints.iloc[0].to_dict(), "patient_id": "P99", "visit": "W0", "sample_id": "P99:W0"}
    rows = pd.concat([run.endpoints, pd.DataFrame([row])], ignore_index=True)
    chart = flow_counts(replace(run, tables={**run.tables, "endpoints": rows}), "SLE").set_index("step")
    assert chart.loc["sheet", "name"] == "1 more without a sample"
    before = flow_counts(run, "SLE").set_index("step").loc["pairs"]
    assert chart.loc["pairs", "n_failed"].tolist() == (before["n_failed"] + 1).tolist()
