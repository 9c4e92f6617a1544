"""Trial designs: the five built in, one written by hand, and where a sample is in them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from builders import REPOSITORY

from immunolab.cli import main
from immunolab.errors import InputError
from immunolab.study.doses import PatientDoses
from immunolab.study.sheet import PlannedComparison, Study
from immunolab.study.timeline import place
from immunolab.study.trial import Trial, builtin_trials, load_trial
from immunolab.workflow.label_cells import _design
from immunolab.workflow.unmeasured import unknown_populations

# (trial, visit): days since last dose, cycle, state; counted by hand on the registered calendars
PLANNED = {
    ("als_nct04952155", "W0"): (None, None, "pre_dose"),
    ("als_nct04952155", "W2"): (2, 1, "peak"),
    ("als_nct04952155", "W22"): (2, 6, "peak"),
    ("als_nct04952155", "W24"): (16, 6, "trough"),
    ("als_nct04952155", "W48"): (184, 6, "off"),
    ("sle_nct02084238", "W0"): (None, None, "pre_dose"),
    ("sle_nct02084238", "W2"): (2, 1, "peak"),
    ("sle_nct02084238", "W4"): (16, 1, "trough"),
    ("sle_nct02084238", "W6"): (2, 2, "peak"),
    ("sle_nct02084238", "W8"): (16, 2, "trough"),
    ("sle_nct02084238", "W10"): (2, 3, "peak"),
    ("sle_nct02084238", "W24"): (100, 3, "off"),
    ("iim_nct04062019", "W12"): (2, None, "peak"),
    ("iim_nct04062019", "W24"): (86, None, "off"),
    ("rp_nct04077736", "W4"): (3, None, "peak"),
    ("rp_nct04077736", "W12"): (3, None, "maintenance"),
    ("rp_nct04077736", "W24"): (87, None, "off"),
    ("pmr_nct04062006", "W4"): (3, None, "peak"),
    ("pmr_nct04062006", "W12"): (3, None, "maintenance"),
    ("pmr_nct04062006", "W24"): (87, None, "off"),
}


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documented example, as a reader would copy it."""
    text = (REPOSITORY / "docs" / "trial_file.md").read_text(encoding="utf-8")
    path = tmp_path_factory.mktemp("trial") / "my_trial.yaml"
    path.write_text(re.findall(r"```yaml\n(.*?)```", text, re.S)[0], encoding="utf-8")
    return path


@pytest.mark.parametrize(("trial_id", "visit"), PLANNED)
def test_planned_visits_are_where_the_registered_calendar_puts_them(trial_id: str, visit: str) -> None:
    found = place(load_trial(trial_id), visit, None)
    assert (found.days_since_last_dose, found.cycle, found.cycle_state) == PLANNED[trial_id, visit]


@pytest.mark.parametrize(
    ("trial_id", "doses", "last"),
    [
        ("als_nct04952155", 42, 153),
        ("sle_nct02084238", 21, 69),
        ("iim_nct04062019", 42, 83),
        ("rp_nct04077736", 28, 82),
        ("pmr_nct04062006", 28, 82),
    ],
)
def test_calendars_have_the_registered_number_of_doses(trial_id: str, doses: int, last: int) -> None:
    days = load_trial(trial_id).dosing.days
    assert (len(days), days[-1]) == (doses, last)


def test_every_visit_of_a_week_is_planned_for_day_7w_plus_1() -> None:
    for trial_id in builtin_trials():
        for visit in load_trial(trial_id).visits:
            assert visit.target_day == 7 * int(visit.name[1:]) + 1


def test_registered_immunology_is_expressed_with_both_denominators() -> None:
    for trial_id in ("iim_nct04062019", "rp_nct04077736", "pmr_nct04062006"):
        found = {
            (*(e.share or (*e.needs.populations, None)), e.role) for e in load_trial(trial_id).expanded_endpoints()
        }
        assert ("Treg_FOXP3", "lymphocytes", "primary") in found
        assert ("Treg_FOXP3", "CD4", "secondary") in found
        assert ("Treg_FOXP3", None, "exploratory") in found
    ratios = {e.ratio for e in load_trial("sle_nct02084238").endpoints if e.ratio}
    assert ratios == {("Treg", "Th17"), ("Treg", "Tfh_eff"), ("Tfr", "Tfh_eff")}


def test_expanded_endpoints_are_each_measured_once_and_have_ids_of_their_own() -> None:
    for trial_id in builtin_trials():
        endpoints = load_trial(trial_id).expanded_endpoints()
        ids = [e.id for e in endpoints]
        assert len(ids) == len(set(ids))
        assert sum(e.role == "primary" for e in endpoints) == 1
        assert all(list(e.expanded()) == [e] for e in endpoints)


def test_same_day_sample_counts_as_before_the_dose_unless_the_trial_says_otherwise() -> None:
    from dataclasses import replace

    sle = load_trial("sle_nct02084238")
    assert place(sle, "W4", 29).days_since_last_dose == 16
    after = replace(sle, dosing=replace(sle.dosing, same_day_sample="after_dose"))
    assert place(after, "W4", 29).days_since_last_dose == 0


def test_recorded_doses_override_the_calendar() -> None:
    sle = load_trial("sle_nct02084238")
    six_cycles = PatientDoses(sle.dosing.days + sle.dosing.optional_days)
    found = place(sle, "W24", 169, six_cycles)
    assert (found.days_since_last_dose, found.cycle, found.cycle_state) == (16, 6, "trough")
    assert (found.phase, found.flags) == ("follow_up", ("carry_over",))
    missed_last = PatientDoses(sle.dosing.days[:-2])
    assert place(sle, "W10", 71, missed_last).days_since_last_dose == 6
    assert place(sle, "W10", 71, missed_last).cycle_state == "trough"
    long = PatientDoses((*sle.dosing.days, *sle.dosing.optional_days, 169, 181))
    assert (place(sle, "W24", 169, long).phase, place(sle, "W24", 169, long).flags) == (
        "on_treatment",
        ("still_dosed",),
    )


def test_baseline_after_a_dose_and_day_outside_the_window_are_flagged() -> None:
    sle = load_trial("sle_nct02084238")
    assert place(sle, "W0", 2).flags == ("dosed_at_baseline", "out_of_phase", "out_of_window")
    assert place(sle, "W10", 76).flags == ("out_of_phase", "out_of_window")
    assert place(sle, "W10", 73).flags == ()
    assert place(sle, "W10", None).flags == ("planned_day",)


def test_gaps_between_windows_are_described() -> None:
    sle = load_trial("sle_nct02084238")
    assert sle.visit_on(50) is None
    assert sle.describe_gap(50) == "between W6 [41, 45] and W8 [54, 57]"
    assert sle.describe_gap(-40) == "before W0 [-28, 1]"
    assert sle.describe_gap(300) == "after W24 [155, 183]"


def test_documented_example_is_a_complete_trial(example: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trial = load_trial(example)
    assert place(trial, "V2", 8).days_since_last_dose == 3
    assert place(trial, "V3", 29).cycle == 2
    assert main(["trials", str(example)]) == 0
    text = capsys.readouterr().out
    assert "1.5 million IU, ambiguous (flat or per_m2), SC; 10 doses, last on day 26" in text
    assert "participants  ambiguous (or 12, 15)  [protocol 1.2]  text and table differ" in text


def test_trials_command_lists_all_and_shows_the_als_trough(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trials"]) == 0
    listed = capsys.readouterr().out
    assert all(trial_id in listed for trial_id in builtin_trials())
    assert main(["trials", "als_nct04952155"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"W24 +169 +162 to 176 +on_treatment +16 d +6 +trough", text)
    assert re.search(r"treg_pct_cd4 +secondary +Treg, % of CD4 +W0 to W24 +16 d +increase +registry +judgement", text)
    assert "week  0 to  3   day   1  *.o.o.o .o.o.o. V...... ......." in text


def test_calendar_picture_shows_every_dose_once(capsys: pytest.CaptureFixture[str]) -> None:
    for trial_id in builtin_trials():
        main(["trials", trial_id])
        picture = re.findall(r"^  week .*?day +\d+  (.{31})", capsys.readouterr().out, re.M)
        marks = "".join(picture)
        assert marks.count("o") + marks.count("*") == len(load_trial(trial_id).dosing.days)


def test_unknown_trial_names_the_nearest() -> None:
    with pytest.raises(InputError) as caught:
        load_trial("sle_nct0208423")
    assert str(caught.value) == (
        "unknown trial 'sle_nct0208423'\n    hint: did you mean 'sle_nct02084238'? built-in: als_nct04952155, "
        "iim_nct04062019, pmr_nct04062006, rp_nct04077736, sle_nct02084238; or name a YAML file"
    )


def test_every_fault_of_a_design_is_listed_with_its_line(example: Path, tmp_path: Path) -> None:
    text = example.read_text(encoding="utf-8")
    text = text.replace("days: [1, 2, 3", "days: [0, 2, 3").replace("window: [6, 10]", "window: [1, 10]")
    text = text.replace("contrast: [V1, V3], direction: none", "contrast: [V1, V9], direction: none")
    text = text.replace("numerator: Treg, ", "")
    bad = tmp_path / "bad.yaml"
    bad.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_trial(bad)
    lines = text.splitlines()

    def line(part: str) -> int:
        return next(i for i, found in enumerate(lines, start=1) if part in found)

    assert str(caught.value) == "\n".join(
        [
            f"{bad}:{line('days: [0')}  dosing.days: dose days must rise, each once, from day 1 on",
            "    hint: day 1 is the first dose; there is no day 0",
            f"{bad}:{line('name: V2')}  visits[1].window: window [1, 10] overlaps that of V1, [-14, 1]",
            "    hint: a day may belong to one visit only",
            f"{bad}:{line('id: treg_th17')}  endpoints[1]: treg_th17: "
            "log_ratio needs numerator, denominator and parent",
            "    hint: see docs/trial_file.md",
            f"{bad}:{line('id: th2')}  endpoints[3].contrast: unknown visit 'V9'",
            "    hint: visits: V1, V2, V3, V4",
            "4 problems",
        ]
    )


def test_a_window_the_wrong_way_round_gets_an_example_around_its_own_day(example: Path, tmp_path: Path) -> None:
    text = example.read_text(encoding="utf-8")
    assert "target_day: 8, window: [6, 10]" in text
    bad = tmp_path / "bad.yaml"
    bad.write_text(text.replace("window: [6, 10]", "window: [10, 6]"), encoding="utf-8")
    with pytest.raises(InputError, match=r"around day 8\n    hint: for example \[5, 11\]"):
        load_trial(bad)


def test_misspelt_key_and_statistic_get_the_nearest_word(example: Path, tmp_path: Path) -> None:
    text = example.read_text(encoding="utf-8").replace("statistic: log_ratio", "statistic: logratio")
    bad = tmp_path / "bad.yaml"
    bad.write_text(text.replace("phases:", "phase:", 1), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_trial(bad)
    messages = [(p.message, p.hint.split("?")[0]) for p in caught.value.problems]
    assert ("phase: unknown key", "did you mean 'phases'") in messages
    assert ("endpoints[1].statistic: unknown value 'logratio'", "did you mean 'log_ratio'") in messages


def test_a_misspelt_word_hides_no_other_mistake(example: Path, tmp_path: Path) -> None:
    """What is meant by it is taken, so that dose days, windows and visits are looked at too."""
    text = example.read_text(encoding="utf-8")
    text = text.replace("days: [1, 2, 3", "days: [0, 2, 3").replace("window: [6, 10]", "window: [1, 10]")
    text = text.replace("contrast: [V1, V3], direction: none", "contrast: [V1, V9], direction: non")
    text = text.replace("statistic: log_ratio", "statistic: logratio").replace("role: primary", "role: primry")
    bad = tmp_path / "bad.yaml"
    bad.write_text(text.replace("title:", "titel: x\ntitle:", 1), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_trial(bad)
    said = [problem.message.split(":")[0] for problem in caught.value.problems]
    words = ["titel", "endpoints[0].role", "endpoints[1].statistic", "endpoints[3].direction"]
    assert sorted(said) == sorted([*words, "dosing.days", "visits[1].window", "endpoints[3].contrast"])
    bad.write_text(text.replace("direction: non", "direction: xyz"), encoding="utf-8")  # nothing that it could mean
    with pytest.raises(InputError, match="unknown value 'xyz'"):
        load_trial(bad)


def test_a_population_that_no_built_in_gates_have_is_said(
    example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(example.read_text(encoding="utf-8").replace("population: Treg,", "population: Tregs,", 1), "utf-8")
    assert main(["trials", str(own)]) == 0
    (note,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("NOTE")]
    assert "no built-in gates have 'Tregs' (did you mean 'Treg'?), which treg_pct_cd4" in note
    assert [unknown_populations(load_trial(name)) for name in builtin_trials()] == [()] * 5


def test_ambiguous_and_absent_facts_are_shown_not_resolved(capsys: pytest.CaptureFixture[str]) -> None:
    main(["trials", "iim_nct04062019"])
    text = capsys.readouterr().out
    assert "1 million IU, ambiguous (flat or per_m2), SC" in text
    assert re.search(r"participants +not stated \(or 18\)", text)


def test_trials_are_equal_however_they_are_loaded() -> None:
    assert load_trial("rp_nct04077736") == load_trial("rp_nct04077736")
    assert isinstance(load_trial("rp_nct04077736"), Trial)


def test_a_trial_shows_its_visits_and_endpoints() -> None:
    trial = load_trial("iim_nct04062019")
    assert repr(trial) == "Trial iim_nct04062019: 3 visits (W0, W12, W24), 12 endpoints, 1 of them primary"
    html = trial._repr_html_()
    assert "<tr><td>W12</td><td>85</td><td>80 to 92</td><td>on_treatment</td></tr>" in html
    assert "<td>Treg_FOXP3, % of lymphocytes</td><td>primary</td><td>W12 - W0</td>" in html


def test_single_cells_are_not_labelled_again_for_a_trial_file_that_moved(example: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere.yaml"
    moved.write_bytes(example.read_bytes())
    studies = [_study_of(load_trial(path)) for path in (example, moved)]
    assert _design(studies[0]) == _design(studies[1])
    narrower = replace(studies[0], trial=replace(studies[0].trial, visits=studies[0].trial.visits[1:]))
    assert _design(narrower) != _design(studies[0])


def _study_of(trial: Trial) -> Study:
    return Study("s", Path(), Path("study.yaml"), trial, (), {}, PlannedComparison(), trial.expanded_endpoints())
