"""Items, real doses, adverse events and deaths of the virtual clinic: as planted, and read back without a fault."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from immunolab.clinical import scores_table
from immunolab.clinical.scores.scales import scales
from immunolab.simulation import simulate
from immunolab.simulation.clinic import Chart, _leanings, _present_items, load_clinic, measure_patient
from immunolab.simulation.patient_events import AdverseEventRule, DoseRule, adverse_events, real_doses
from immunolab.simulation.patient_histories import Histories
from immunolab.simulation.schedule import Bleed
from immunolab.study.sheet import read_study
from immunolab.study.trial import load_trial

SLE, ALS, RP = "sle_nct02084238", "als_nct04952155", "rp_nct04077736"
SCORED = {"sle": ("SELENA_SLEDAI", 24, 105), "rp": ("RPDAI", 27, 265)}


@pytest.mark.parametrize("cohort", SCORED)
def test_items_carry_the_weights_of_the_published_score(cohort: str) -> None:
    name, n_items, largest = SCORED[cohort]
    items = load_clinic().measures[cohort][name].items
    assert len(items) == n_items
    assert sum(weight for weight, _ in items.values()) == largest
    assert {item: weight for item, (weight, _) in items.items()} == scales()[name].weights


@pytest.mark.parametrize("cohort", SCORED)
def test_every_total_can_be_made_of_items(cohort: str) -> None:
    name, _, largest = SCORED[cohort]
    items = load_clinic().measures[cohort][name].items
    leaning = _leanings(items, np.random.default_rng(1))
    for total in range(0, largest + 1, 3):
        assert sum(items[item][0] for item in _present_items(items, leaning, total)) == total


def test_the_likeliest_items_are_chosen() -> None:
    """Six points of weights 4, 4, 2, 2: of the four pairs that reach it, the one with the largest leanings."""
    items = {"a": (4, 0.5), "b": (4, 0.5), "c": (2, 0.5), "d": (2, 0.5)}
    leaning = {"a": -1.0, "b": 0.5, "c": 0.2, "d": 0.1}
    assert _present_items(items, leaning, 6) == {"b", "c"}
    assert _present_items(items, leaning, 0) == set()
    with pytest.raises(ValueError, match="no items add up to 5"):
        _present_items(items, leaning, 5)


@pytest.mark.parametrize(("cohort", "trial"), [("sle", SLE), ("rp", RP)])
def test_scored_items_give_the_planted_total_back(cohort: str, trial: str) -> None:
    name, design, clinic = SCORED[cohort][0], load_trial(trial), load_clinic()
    totals = {cohort: {name: replace(clinic.measures[cohort][name], items={})}}
    bleeds = [Bleed(3, visit, visit.target_day, 1) for visit in design.visits]
    chart = Chart(69, 1.0, {})
    planted = pd.DataFrame(
        measure_patient(replace(clinic, measures=totals), cohort, "P", bleeds, chart, 5), dtype=object
    )
    assert set(planted["variable"]) == {name}
    frame = pd.DataFrame(measure_patient(clinic, cohort, "P", bleeds, chart, 5)).assign(censored=None)
    found = scores_table(frame[frame["variable"].str.startswith(f"{name}.")], design)
    found = found[found["score"] == name].set_index("visit")["value"]
    assert found.to_dict() == dict(zip(planted["visit"], planted["value"].astype(float), strict=True))


def test_items_of_a_patient_stay_alike_from_visit_to_visit() -> None:
    items = load_clinic().measures["sle"]["SELENA_SLEDAI"].items
    shared = []
    for seed in range(40):
        leaning = _leanings(items, np.random.default_rng(seed))
        before, after = _present_items(items, leaning, 14), _present_items(items, leaning, 6)
        shared.append(len(before & after) / len(after))
    assert np.mean(shared) > 0.7


def test_real_doses_are_some_cycles_of_the_calendar() -> None:
    dosing = load_trial(SLE).dosing
    calendar = (*dosing.days, *dosing.optional_days)
    orderly = real_doses(dosing, DoseRule((4, 4)), np.random.default_rng(0))
    assert orderly == tuple(day for day in calendar if day <= 4 * 28)
    assert len(orderly) == 28
    rng, n = np.random.default_rng(1), 400
    drawn = [real_doses(dosing, DoseRule((3, 6), missed=0.1, late=0.2), rng) for _ in range(n)]
    assert all(days[0] == 1 and list(days) == sorted(set(days)) for days in drawn)
    cycles = [max(day // 28 for day in days) + 1 for days in drawn]
    assert np.bincount(cycles, minlength=7)[3:].tolist() == pytest.approx([n / 4] * 4, abs=40)
    first = [set(days) for days in drawn]  # day 3 is planned in every cycle pattern
    assert np.mean([3 in days for days in first]) == pytest.approx(0.7, abs=0.07)
    assert np.mean([4 in days for days in first]) == pytest.approx(0.2, abs=0.06)


def test_adverse_events_come_at_the_planted_rates_and_never_after_the_end() -> None:
    rules = (
        AdverseEventRule("redness", (1.0,), per_dose=0.25, related=True),
        AdverseEventRule("cough", (0.5, 0.5), per_month=0.5, serious=0.2),
    )
    rng, doses, n, last = np.random.default_rng(2), tuple(range(1, 60, 2)), 400, 120
    frame = pd.DataFrame([row for _ in range(n) for row in adverse_events(rules, doses, last, rng)])
    redness, cough = (frame[frame["term"] == term] for term in ("redness", "cough"))
    # repeats of a term on one day are one event, so a little under the product of rate and exposure
    assert len(redness) / n == pytest.approx(0.25 * len(doses), rel=0.12)
    assert len(cough) / n == pytest.approx(0.5 * (last + 14) / 30.4375, rel=0.12)
    assert set(redness["study_day"]) <= {day + late for day in doses for late in (0, 1)}
    assert 0 not in set(frame["study_day"])
    assert cough["study_day"].between(-14, last).all()
    assert (cough["study_day"] < 1).any()
    assert (cough["serious"] == "yes").mean() == pytest.approx(0.2, abs=0.06)
    assert set(redness["related"]) == {"yes"}


def test_a_death_ends_visits_and_adverse_events_and_is_among_the_outcomes() -> None:
    trial = load_trial(ALS)
    names = tuple(f"P{i}" for i in range(300))
    histories = Histories(trial, "als", names, 4)
    days = dict(zip(names, histories.ends["survival"], strict=True))
    dead = {name: day for name, day in days.items() if day is not None}
    months = (337 - 170) / 30.4375
    assert len(dead) / 300 == pytest.approx(1 - np.exp(-0.03 * months), abs=0.06)
    assert all(170 <= day <= 337 for day in dead.values())
    tables = histories.tables(dict.fromkeys(names, 337))
    outcomes = pd.DataFrame(tables["outcomes"]).set_index("patient_id")
    assert (outcomes.loc[list(dead), "status"] == "event").all()
    assert (outcomes["status"] == "censored").sum() == 300 - len(dead)
    events = pd.DataFrame(tables["adverse_events"])
    fatal = events[events["grade"] == 5].set_index("patient_id")["study_day"]
    assert fatal.to_dict() == dead
    own = events[events["patient_id"].isin(dead)]
    assert (own["study_day"] <= own["patient_id"].map(dead)).all()
    victim = int(next(iter(dead))[1:])
    assert not histories.over(victim, dead[f"P{victim}"] - 1)
    assert histories.over(victim, dead[f"P{victim}"])
    assert tables["doses"] == []


def test_recorded_doses_decide_the_state_of_a_visit(tmp_path: Path) -> None:
    simulate(SLE, patients=6, seed=3, folder=tmp_path / "sle", visits=["W0", "W10", "W24"], events=0)
    study = read_study(tmp_path / "sle")
    written = pd.read_csv(tmp_path / "sle" / "doses.csv")
    assert set(study.doses) == {s.patient_id for s in study.samples}
    n_cycles = {patient: max(days.days) // 28 + 1 for patient, days in study.doses.items()}
    assert len(set(n_cycles.values())) > 1
    for sample in study.samples:
        found, own = study.timeline_of(sample), written[written["patient_id"] == sample.patient_id]["study_day"]
        before = own[own < sample.study_day]
        assert found.days_since_last_dose == (sample.study_day - before.max() if len(before) else None)
        if sample.visit == "W24":
            longest = n_cycles[sample.patient_id] == 6
            assert found.cycle_state == ("trough" if longest else "off")
