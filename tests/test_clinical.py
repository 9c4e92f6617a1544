"""Clinical scores: worked examples by hand, edges, missing items, and their way into the endpoint table."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from immunolab.clinical import (
    endpoint_rows,
    proportion,
    responders,
    scores_table,
    undeclared_endpoints,
    with_visits,
)
from immunolab.clinical.scores import criteria
from immunolab.clinical.scores.acr_eular_2016_tis import improvement_points, total_improvement
from immunolab.clinical.scores.core_set import CORE_SET, HIGHER_BETTER, core_set
from immunolab.clinical.scores.imacs_doi import imacs_doi
from immunolab.clinical.scores.method import Score
from immunolab.clinical.scores.pmr_as import pmr_as
from immunolab.clinical.scores.pmr_relapse import pmr_relapse
from immunolab.clinical.scores.scales import scales
from immunolab.clinical.scores.sle_relapse import sle_relapse
from immunolab.clinical.scores.sri_4 import new_bilag, sri_4
from immunolab.clinical.slopes import slopes_by_period
from immunolab.clinical.totals import domain_totals, item_total
from immunolab.errors import InputError
from immunolab.schema.endpoints import ENDPOINTS
from immunolab.study.doses import PatientDoses
from immunolab.study.rows import Sample
from immunolab.study.sheet import PanelChoice, PlannedComparison, Study
from immunolab.study.trial import Trial, load_trial

SCALES = scales()


def absent(scale: str, **present: float) -> dict[str, float | None]:
    return dict.fromkeys(SCALES[scale].item_names, 0.0) | present


def graded(scale: str, grade: float, **others: float | None) -> dict[str, float | None]:
    return dict.fromkeys(SCALES[scale].item_names, grade) | others


def measured(*rows: tuple[str, str, str, float | None], unit: str = "") -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["patient_id", "visit", "variable", "value"])
    return frame.assign(unit=unit, censored=None)


# --- totals from items -----------------------------------------------------------------------------


def test_checksums_of_the_weighted_scores() -> None:
    assert sum(SCALES["SELENA_SLEDAI"].weights.values()) == 105 == SCALES["SELENA_SLEDAI"].range[1]
    assert len(SCALES["SELENA_SLEDAI"].weights) == 24
    assert sum(SCALES["RPDAI"].weights.values()) == 265 == SCALES["RPDAI"].range[1]
    assert len(SCALES["RPDAI"].weights) == 27
    assert (
        total_improvement(
            dict.fromkeys(CORE_SET, 1e9) | {HIGHER_BETTER: 0}, dict.fromkeys(CORE_SET, 0.0) | {HIGHER_BETTER: 1e9}
        ).value
        == 100
    )


@pytest.mark.parametrize("scale", ["ALSFRS_R", "ROADS_raw", "MMT_8"])
def test_graded_items_span_the_range_of_their_score(scale: str) -> None:
    low, high = SCALES[scale].item_range
    assert item_total(SCALES[scale], graded(scale, low)).value == SCALES[scale].range[0]
    assert item_total(SCALES[scale], graded(scale, high)).value == SCALES[scale].range[1]


def test_sledai_worked_by_hand() -> None:
    scale = SCALES["SELENA_SLEDAI"]
    assert item_total(scale, absent("SELENA_SLEDAI")).value == 0
    flare = absent("SELENA_SLEDAI", arthritis=1, rash=1, proteinuria=1, low_complement=1, fever=1)
    assert item_total(scale, flare).value == 4 + 2 + 4 + 2 + 1
    assert item_total(scale, absent("SELENA_SLEDAI", seizure=8, increased_dna_binding=2)).value == 10
    assert item_total(scale, dict.fromkeys(scale.weights, 1.0)).value == 105
    assert item_total(scale, {}, 12).value == 12


def test_rpdai_worked_by_hand() -> None:
    scale = SCALES["RPDAI"]
    assert item_total(scale, absent("RPDAI")).value == 0
    ears_and_nose = absent("RPDAI", auricular_chondritis=1, nasal_chondritis=1, arthritis=1)
    assert item_total(scale, ears_and_nose).value == 19
    assert item_total(scale, absent("RPDAI", resp_chondritis_with_failure=24, crp_gt_20_mg_L=1)).value == 27
    assert item_total(scale, dict.fromkeys(scale.weights, 1.0)).value == 265


def test_alsfrs_r_takes_one_form_of_item_five() -> None:
    scale = SCALES["ALSFRS_R"]
    with_gastrostomy = {k: v for k, v in graded("ALSFRS_R", 3).items() if k != "5"} | {"5b": 2.0}
    assert item_total(scale, with_gastrostomy).value == 35
    assert item_total(scale, graded("ALSFRS_R", 4, **{"12": 1.0})).value == 45
    both = {**with_gastrostomy, "5a": 3.0}
    assert item_total(scale, both) == Score(None, "item 5 is answered 2 times: 5a, 5b", "not_evaluable")


def test_mmt_8_mrc_and_roads_worked_by_hand() -> None:
    weak_hips = graded("MMT_8", 10, gluteus_maximus_right=8.0, gluteus_maximus_left=7.0, neck_flexors=9.0)
    assert item_total(SCALES["MMT_8"], weak_hips).value == 144
    muscles = {f"muscle_{i}": 5.0 for i in range(12)}
    assert item_total(SCALES["MRC_sum"], muscles).value == 60
    assert item_total(SCALES["MRC_sum"], {**muscles, "muscle_3": 2.0}).value == 57
    assert item_total(SCALES["MRC_sum"], dict.fromkeys(muscles, 0.0)).value == 0
    assert item_total(SCALES["ROADS_raw"], graded("ROADS_raw", 1, **{"1": 2.0, "2": 0.0, "3": 2.0})).value == 29


def test_alsaq_40_domains_and_total() -> None:
    scale = SCALES["ALSAQ_40"]
    sizes = {name: last - first + 1 for name, (first, last) in scale.domains.items()}
    assert sizes == {"mobility": 10, "daily_living": 10, "eating": 3, "communication": 7, "emotional": 10}
    eating = graded("ALSAQ_40", 0, **{"21": 4.0, "22": 2.0, "23": 0.0})
    assert domain_totals(scale, eating)["eating"].value == pytest.approx(50)
    assert domain_totals(scale, eating)["mobility"].value == 0
    assert item_total(scale, eating).value == pytest.approx(100 * 6 / 160)
    assert item_total(scale, graded("ALSAQ_40", 4)).value == 100
    gap = graded("ALSAQ_40", 1, **{"22": None})
    assert domain_totals(scale, gap)["eating"] == Score(None, "missing items: 22", "not_evaluable")
    assert domain_totals(scale, gap)["emotional"].value == 25


def test_cdasi_total_keeps_to_its_range() -> None:
    for total in (0.0, 7.0, 100.0):
        assert item_total(SCALES["CDASI_activity"], {}, total).value == total
    assert item_total(SCALES["CDASI_activity"], {}, 101).reason == "total 101 is outside 0 to 100"


def test_a_missing_item_leaves_the_total_open_and_is_named() -> None:
    items = absent("SELENA_SLEDAI", arthritis=1)
    items["fever"] = None
    del items["rash"]
    found = item_total(SCALES["SELENA_SLEDAI"], items)
    assert found == Score(None, "22 of 24 items; missing: rash, fever", "not_evaluable")
    assert item_total(SCALES["SELENA_SLEDAI"], {}).reason == "neither items nor a total"


def test_a_total_that_contradicts_its_items_is_reported() -> None:
    found = item_total(SCALES["SELENA_SLEDAI"], absent("SELENA_SLEDAI", arthritis=1), 6)
    assert found == Score(None, "total 6 contradicts its items, which add up to 4", "not_evaluable")


# --- composites ------------------------------------------------------------------------------------


def test_sri_4_worked_by_hand() -> None:
    assert sri_4(12, 8, 0, 1, 1.5, 1.7).value == 1
    assert sri_4(12, 8, 0, 1, 1.5, 1.8).value == 0  # the physician's assessment rose by 0.3
    assert sri_4(12, 9, 0, 0, 1.5, 1.0).value == 0  # SLEDAI fell by 3 only
    assert sri_4(12, 4, 1, 0, 1.5, 1.0).value == 0
    assert sri_4(12, 4, 0, 2, 1.5, 1.0).value == 0
    assert sri_4(12, 9, None, 0, 1.5, None) == Score(0.0, flag="incomplete")  # fails whatever the missing parts are
    assert sri_4(12, None, 0, 0, 1.5, 1.8) == Score(0.0, flag="incomplete")
    assert sri_4(12, 4, None, 0, 1.5, None) == Score(None, "missing: new_BILAG_A, PGA", "not_evaluable")


def test_new_bilag_counts_systems_that_got_worse() -> None:
    before = {"renal": 2.0, "skin": 3.0, "joints": 4.0, "blood": 0.0}
    assert new_bilag(before, {"renal": 3.0, "skin": 4.0, "joints": 3.0, "blood": 0.0}) == (1, 1)
    assert new_bilag(before, before) == (0, 0)
    assert new_bilag(before, {"renal": 2.0}) == (None, None)
    assert new_bilag({}, {}) == (None, None)


def test_sle_relapse_worked_by_hand() -> None:
    assert sle_relapse([10, 6, 2], [4]).value == 1
    assert sle_relapse([10, 6, 2], [2]).value == 0
    assert sle_relapse([10, 3, 6], [6]).value == 0
    assert sle_relapse([10, 4], [12]).reason == "SLEDAI never below 4 on the drug (lowest 4)"
    assert sle_relapse([10, 4], [12]).flag == "not_evaluable;not_at_risk"
    assert sle_relapse([10, 2], [None]).reason == "no SLEDAI after the drug"
    assert sle_relapse([10, 2], [None]).flag == "not_evaluable;not_followed"
    assert sle_relapse([None], [2]).flag == "not_evaluable"


BEFORE = {"PhGA": 5.0, "PtGA": 6.0, "MMT_8": 120.0, "HAQ_DI": 1.5, "muscle_enzyme": 4.0, "extramuscular": 3.0}


def test_imacs_doi_worked_by_hand() -> None:
    three = BEFORE | {"PhGA": 4.0, "PtGA": 4.8, "HAQ_DI": 1.2}  # each better by exactly 20 %
    assert imacs_doi(BEFORE, three).value == 1
    assert imacs_doi(BEFORE, three | {"HAQ_DI": 1.25}).value == 0  # 16.7 %
    assert imacs_doi(BEFORE, three | {"muscle_enzyme": 5.0, "extramuscular": 3.75}).value == 1  # two worse by 25 %
    four = three | {"MMT_8": 144.0}
    assert imacs_doi(BEFORE, four).value == 1
    assert imacs_doi(BEFORE, three | {"MMT_8": 90.0}).value == 0  # strength worse by 25 %
    assert imacs_doi(BEFORE, three | {"MMT_8": 91.0}).value == 1
    five_worse = {k: v * 1.3 for k, v in BEFORE.items()} | {"MMT_8": 150.0}
    assert imacs_doi(BEFORE, five_worse).value == 0


def test_imacs_doi_leaves_open_only_what_missing_measures_could_change() -> None:
    four = BEFORE | {"PhGA": 1.0, "PtGA": 1.0, "MMT_8": 150.0, "HAQ_DI": 0.5}
    assert imacs_doi(BEFORE, four | {"muscle_enzyme": None}) == Score(1.0, flag="incomplete")
    assert imacs_doi(BEFORE, BEFORE | {"muscle_enzyme": None}) == Score(0.0, flag="incomplete")
    two = BEFORE | {"PhGA": 1.0, "PtGA": 1.0, "HAQ_DI": None}
    assert imacs_doi(BEFORE, two) == Score(None, "missing: HAQ_DI", "not_evaluable")
    assert imacs_doi(BEFORE, four | {"MMT_8": None}).reason == "missing: MMT_8"


def test_imacs_doi_never_divides_by_a_baseline_of_zero() -> None:
    before = BEFORE | {"extramuscular": 0.0}
    three = before | {"PhGA": 1.0, "PtGA": 1.0, "HAQ_DI": 0.5}
    assert imacs_doi(before, three).value == 1  # 0 stays 0: no change
    worse = three | {"extramuscular": 2.0, "muscle_enzyme": 6.0, "MMT_8": 150.0}
    assert imacs_doi(before, worse) == Score(1.0, flag="incomplete")
    undecided = three | {"extramuscular": 2.0, "muscle_enzyme": 6.0, "HAQ_DI": 2.0, "MMT_8": 150.0}
    assert imacs_doi(before, undecided).reason == "baseline 0 has no percent change: extramuscular"


def test_total_improvement_worked_by_hand() -> None:
    assert total_improvement(BEFORE, BEFORE).value == 0
    # better by 50 % of the PhGA scale, 10 % of PtGA, 10 % of MMT-8, 16.7 % of HAQ-DI, 20 % of 15 upper limits
    after = BEFORE | {"PhGA": 0.0, "PtGA": 5.0, "MMT_8": 135.0, "HAQ_DI": 1.0, "muscle_enzyme": 1.0}
    assert improvement_points(BEFORE, after) == {
        "PhGA": 20,
        "PtGA": 2.5,
        "MMT_8": 10,
        "HAQ_DI": 7.5,
        "muscle_enzyme": 5,
        "extramuscular": 0,
    }
    assert total_improvement(BEFORE, after).value == 45
    best = {"PhGA": 10.0, "PtGA": 10.0, "MMT_8": 0.0, "HAQ_DI": 3.0, "muscle_enzyme": 15.0, "extramuscular": 10.0}
    cured = {"PhGA": 0.0, "PtGA": 0.0, "MMT_8": 150.0, "HAQ_DI": 0.0, "muscle_enzyme": 0.0, "extramuscular": 0.0}
    assert total_improvement(best, cured).value == 100
    assert total_improvement(cured, best).value == 0
    assert total_improvement(BEFORE, after | {"PtGA": None}).reason == "missing: PtGA"


@pytest.mark.parametrize(("change", "points"), [(0.5, 0), (0.51, 7.5), (1.5, 7.5), (1.51, 15), (4.0, 17.5), (4.01, 20)])
def test_upper_ends_of_the_bins_belong_to_them(change: float, points: float) -> None:
    earned = improvement_points(BEFORE, BEFORE | {"PhGA": BEFORE["PhGA"] - change})
    assert earned["PhGA"] == points


def test_categories_of_the_total_improvement_score() -> None:
    reached = [sum(one.met(x) for one in criteria("ACR_EULAR_2016_TIS")) for x in (19.9, 20, 39.9, 40, 59.9, 60, 100)]
    assert reached == [0, 1, 1, 2, 2, 3, 3]  # none, minimal, moderate, major


def test_enzymes_need_their_upper_limit() -> None:
    assert core_set({"muscle_enzyme": 800.0}, 200.0, "U/L")["muscle_enzyme"] == 4
    assert core_set({"muscle_enzyme": 4.0}, None, "xULN")["muscle_enzyme"] == 4
    assert core_set({"muscle_enzyme": 800.0}, None, "U/L")["muscle_enzyme"] is None


def test_pmr_as_takes_crp_in_mg_per_litre_and_divides() -> None:
    assert pmr_as(24, 6, 5, 60, 2).value == 2.4 + 6 + 5 + 6 + 2
    assert pmr_as(0, 0, 0, 0, 0).value == 0
    assert pmr_as(5, 1.5, 1, 10, 0).value == 4
    assert pmr_as(24, None, 5, 60, None) == Score(None, "missing: pain, EUL", "not_evaluable")


def test_pmr_relapse_at_its_edges() -> None:
    assert pmr_relapse(4.0, 9.35).value == 1
    assert pmr_relapse(4.0, 9.34).value == 0
    assert pmr_relapse(1.0, 7.6).value == 1
    assert pmr_relapse(1.0, 7.59).value == 0
    assert pmr_relapse(12.0, 11.0).reason == "PMR_AS was 12 at the visit before, not below 9.35"


def test_slopes_run_through_three_visits() -> None:
    found = slopes_by_period([1, 169, 337], [40, 35, 33], 169)
    assert found is not None
    months = 168 / 30.4375
    assert found == pytest.approx((-5 / months, -2 / months))
    assert round(months, 2) == 5.52
    assert slopes_by_period([1, 337], [40, 33], 169) is None
    assert slopes_by_period([1, 100, 169], [40, 38, 36], 169) is None
    line = slopes_by_period([1, 85, 169, 253, 337], [40, 38, 36, 34, 32], 169)
    assert line == pytest.approx((-2 / (84 / 30.4375),) * 2)


def test_published_intervals_are_reproduced() -> None:
    doi = proportion(14, 18)
    assert (round(doi.percent, 2), round(doi.ci_low, 1), round(doi.ci_high, 1)) == (77.78, 52.4, 93.6)
    tis = proportion(15, 18)
    assert (round(tis.ci_low, 1), round(tis.ci_high, 1)) == (58.6, 96.4)


def test_proportions_at_their_edges() -> None:
    assert (proportion(0, 10).ci_low, proportion(10, 10).ci_high) == (0, 100)
    assert proportion(0, 10).ci_high == pytest.approx(100 * (1 - 0.025**0.1))
    assert math.isnan(proportion(0, 0).percent)
    with pytest.raises(ValueError, match="11 of 10"):
        proportion(11, 10)


# --- from a table ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sle() -> Trial:
    return load_trial("sle_nct02084238")


def lupus(patient: str, visit: str, sledai: float, pga: float | None) -> list[tuple[str, str, str, float | None]]:
    rows: list[tuple[str, str, str, float | None]] = [(patient, visit, "SELENA_SLEDAI", sledai)]
    rows += [(patient, visit, "PGA", pga)] if pga is not None else []
    if visit != "W0":
        rows += [(patient, visit, "BILAG_new_A", 0.0), (patient, visit, "BILAG_new_B", 0.0)]
    return rows


def test_responders_count_complete_cases_and_the_worst_case(sle: Trial) -> None:
    rows = [
        *lupus("P1", "W0", 12, 2),
        *lupus("P1", "W10", 6, 1),
        *lupus("P2", "W0", 10, 2),
        *lupus("P2", "W10", 8, 2),
        *lupus("P3", "W0", 10, 2),
        *lupus("P3", "W10", 4, None),
    ]
    table = scores_table(measured(*rows), sle)
    sri = table[table["score"] == "SRI_4"].set_index("patient_id")
    assert sri["value"].fillna(-1).tolist() == [1, 0, -1]
    assert sri.loc["P3", "reason"] == "missing: PGA"
    assert sri["flag"].tolist() == ["unverified", "unverified", "not_evaluable;unverified"]
    found = responders(table).iloc[0]
    assert found[["n_patients", "n_evaluable", "n_responders"]].tolist() == [3, 2, 1]
    assert (found["percent"], round(found["percent_worst_case"], 2)) == (50, 33.33)


def test_nobody_responds_before_treatment(sle: Trial) -> None:
    twice = replace(sle.visit("W0"), name="SCR", target_day=-42, window=(-60, -30))
    trial = replace(sle, visits=(twice, *sle.visits))
    better_at_screening = lupus("P1", "SCR", 4, 1.0) + lupus("P1", "W0", 12, 1.0) + lupus("P1", "W10", 4, 1.0)
    table = scores_table(measured(*better_at_screening), trial)
    sri = table[table["score"] == "SRI_4"]
    assert sri[["visit", "value"]].to_numpy().tolist() == [["W10", 1.0]]


def test_nobody_relapses_before_treatment() -> None:
    design = load_trial("pmr_nct04062006")
    twice = replace(design.visit("W0"), name="SCR", target_day=-42, window=(-60, -30))
    trial = replace(design, visits=(twice, *design.visits))
    rows = [
        ("P1", visit, name, value)
        for visit, pain in (("SCR", 1.0), ("W0", 9.0), ("W4", 2.0), ("W12", 9.5))
        for name, value in (("CRP", 10.0), ("pain", pain), ("PhGA", pain), ("morning_stiffness", 0.0), ("EUL", 0.0))
    ]
    table = scores_table(measured(*rows), trial)
    relapse = table[table["score"] == "PMR_relapse"]
    assert relapse["visit"].tolist() == ["W4", "W12"]  # screening was quiet, but nothing relapses into the baseline
    assert relapse["value"].tolist()[1] == 1.0


def test_bilag_grades_serve_where_counts_are_not_given(sle: Trial) -> None:
    rows = [
        ("P1", "W0", "SELENA_SLEDAI", 12.0),
        ("P1", "W0", "PGA", 2.0),
        ("P1", "W0", "BILAG.renal", 2.0),
        ("P1", "W10", "SELENA_SLEDAI", 4.0),
        ("P1", "W10", "PGA", 1.0),
        ("P1", "W10", "BILAG.renal", 4.0),
    ]
    table = scores_table(measured(*rows), sle)
    assert table[table["score"] == "SRI_4"]["value"].tolist() == [0]


def test_items_out_of_range_and_unknown_items_are_all_reported() -> None:
    frame = measured(
        ("P1", "W0", "SELENA_SLEDAI.arthritis", 3.0),
        ("P1", "W0", "SELENA_SLEDAI.artritis", 1.0),
        ("P1", "W0", "ALSFRS_R.4", 5.0),
        ("P1", "W0", "MMT_8", 151.0),
        ("P1", "W0", "CDASI_activity", 30.0),
    ).assign(row=[2, 3, 4, 5, 6])
    frame.attrs["file"] = "clinic.csv"
    with pytest.raises(InputError) as caught:
        scores_table(frame)
    assert str(caught.value) == "\n".join(
        [
            "clinic.csv:row 2, column value  "
            "SELENA_SLEDAI: arthritis is 3, allowed are 0 (absent) and 1 or 4 (present)",
            "clinic.csv:row 3, column value  SELENA_SLEDAI: 'artritis' is no item of the score",
            "    hint: did you mean 'arthritis'?",
            "clinic.csv:row 4, column value  ALSFRS_R: 4 is 5, allowed are whole numbers 0 to 4",
            "clinic.csv:row 5, column value  MMT_8: total 151 is outside 0 to 150",
            "    hint: MMT_8 goes from 0 to 150",
            "4 problems",
        ]
    )


def test_a_muscle_graded_at_one_visit_only_leaves_the_other_open() -> None:
    table = scores_table(
        measured(
            ("P1", "W0", "MRC_sum.deltoid", 4.0),
            ("P1", "W0", "MRC_sum.biceps", 4.0),
            ("P1", "W24", "MRC_sum.deltoid", 3.0),
        )
    )
    found = table.set_index("visit")
    assert found.loc["W0", "value"] == 8
    assert found.loc["W24", "reason"] == "1 of 2 items; missing: biceps"


def test_als_slopes_are_at_the_visits_their_periods_end_with() -> None:
    als = load_trial("als_nct04952155")
    rows = [("P1", v, "ALSFRS_R", x) for v, x in (("W0", 40.0), ("W24", 38.0), ("W48", 32.0))]
    rows += [("P2", v, "ALSFRS_R", x) for v, x in (("W0", 40.0), ("W48", 32.0))]
    table = scores_table(measured(*rows), als)
    slopes = table[table["score"] == "ALSFRS_R.slope"].set_index(["patient_id", "visit"])
    months = 168 / 30.4375
    assert slopes.loc[("P1", "W24"), "value"] == pytest.approx(-2 / months)
    assert slopes.loc[("P1", "W48"), "value"] == pytest.approx(-6 / months)
    assert slopes.loc[("P2", "W24"), "reason"] == "no ALSFRS_R at W24"


def test_pmr_as_and_relapse_from_a_table() -> None:
    parts = {"CRP": 10.0, "pain": 2.0, "PhGA": 2.0, "morning_stiffness": 10.0, "EUL": 0.0}
    rows = [("P1", "W4", name, value) for name, value in parts.items()]
    rows += [("P1", "W12", name, value * 3) for name, value in parts.items()]
    table = scores_table(measured(*rows), load_trial("pmr_nct04062006")).set_index(["visit", "score"])
    assert table.loc[("W4", "PMR_AS"), "value"] == 6
    assert table.loc[("W12", "PMR_AS"), "value"] == 18
    assert table.loc[("W12", "PMR_relapse"), "value"] == 1


def test_measurements_become_endpoint_rows_of_the_trial(sle: Trial, tmp_path: Path) -> None:
    study = Study(
        name="x",
        folder=tmp_path,
        source=tmp_path / "study.yaml",
        trial=sle,
        samples=(Sample("s1", "P1", "W0", tmp_path, cohort="SLE"),),
        panels={"": PanelChoice()},
        comparison=PlannedComparison(),
        endpoints=sle.expanded_endpoints(),
    )
    rows = [*lupus("P1", "W0", 12, 2), *lupus("P1", "W10", 6, 1), ("P1", "W0", "C3", 0.6), ("P1", "W10", "C3", 0.2)]
    frame = measured(*rows)
    frame.loc[frame["variable"] == "C3", "unit"] = "g/L"
    frame.loc[frame["value"] == 0.2, "censored"] = "below"
    table = endpoint_rows(study, frame, scores_table(frame, sle))
    ENDPOINTS.check(table)
    c3 = table[table["endpoint"] == "c3"]
    assert c3[["sample_id", "cohort", "visit", "value", "unit"]].values.tolist() == [
        ["s1", "SLE", "W0", 0.6, "g/L"],
        ["P1:W10", "SLE", "W10", 0.2, "g/L"],
    ]
    assert c3["flag"].fillna("").tolist() == ["", "below_limit"]
    assert c3["days_since_last_dose"].fillna(-1).tolist() == [-1, 2]
    assert c3["phase"].tolist() == ["baseline", "on_treatment"]
    sri = table[table["endpoint"] == "sri"]
    assert sri[["visit", "value", "unit", "flag"]].values.tolist() == [["W10", 1.0, "responder", "unverified"]]
    sledai = table[table["endpoint"] == "sledai_change"]
    assert sledai["definition"].tolist() == ["SELENA_SLEDAI 0 to 105"] * 2


def test_dated_measurements_find_their_visits_or_are_reported(sle: Trial) -> None:
    from datetime import date

    doses = {"P1": PatientDoses(sle.dosing.days, date(2024, 3, 5))}
    frame = measured(("P1", "", "C3", 0.6), ("P1", "", "C3", 0.8), unit="g/L").assign(
        visit=None, date=["2024-03-04", "2024-05-14"], row=[2, 3]
    )
    found = with_visits(frame, sle, doses)
    assert found[["visit", "study_day"]].values.tolist() == [["W0", -1], ["W10", 71]]
    stray = frame.assign(date=["2024-04-23", "2024-05-14"])
    with pytest.raises(InputError) as caught:
        with_visits(stray, sle, doses)
    assert str(caught.value) == (
        "measurements:row 2, column visit  day 50 is in no visit's window: between W6 [41, 45] and W8 [54, 57]\n"
        "    hint: name the visit it belongs to"
    )
    with pytest.raises(InputError) as caught:
        with_visits(frame.assign(visit=["W0", "W11"]), sle)
    assert str(caught.value) == (
        "measurements:row 3, column visit  'W11' is no visit of sle_nct02084238\n"
        "    hint: visits: W0, W2, W4, W6, W8, W10, W24"
    )
    with pytest.raises(InputError) as caught:
        with_visits(frame.assign(date=["2024-05-13", "2024-05-14"]), sle, doses)
    assert caught.value.problems[0].message == "C3 of P1 is duplicated at W10"


def test_a_study_without_a_trial_serves_every_measurement(tmp_path: Path) -> None:
    study = Study("x", tmp_path, tmp_path, None, (), {}, PlannedComparison("pre", "post"), ())
    frame = measured(("P1", "pre", "IL-6", 3.0), ("P1", "post", "IL-6", 2.0), unit="pg/mL")
    scored = scores_table(frame)
    table = endpoint_rows(study, frame, scored, undeclared_endpoints(study, frame, scored))
    assert table[["endpoint", "visit", "value"]].values.tolist() == [["IL-6", "pre", 3.0], ["IL-6", "post", 2.0]]
