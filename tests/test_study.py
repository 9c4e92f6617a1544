"""The study sheet: what is accepted, and every problem reported at once with row and column."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, datetime
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from fcs_builder import write_fcs

from immunolab.errors import InputError
from immunolab.study.names import alike
from immunolab.study.rows import unsafe_name
from immunolab.study.sample import files_twice
from immunolab.study.sheet import read_study
from immunolab.study.timeline import timeline_quality, visits_out_of_order
from immunolab.workflow.check import check_study

HEADER = "sample_id,patient_id,visit,file"
STUDY = "study: test\ntrial: sle_nct02084238\n"
FREE = "study: test\ncomparison: {before: pre, after: post}\n"


def make(folder: Path, sheet: str, study: str = STUDY, *, files: tuple[str, ...] = ("a.fcs", "b.fcs", "c.fcs")) -> Path:
    (folder / "fcs").mkdir(exist_ok=True)
    for name in files:
        (folder / "fcs" / name).touch()
    (folder / "samples.csv").write_text(sheet, encoding="utf-8")
    (folder / "study.yaml").write_text(study, encoding="utf-8")
    return folder


def reported(folder: Path) -> list[str]:
    """Return every problem, without the folder."""
    with pytest.raises(InputError) as caught:
        read_study(folder)
    return [str(p).replace(f"{folder}/", "").replace(str(folder), "FOLDER") for p in caught.value.problems]


GOOD = f"{HEADER},cohort\ns1,P1,W0,fcs/a.fcs,NA\ns2,P1,W10,fcs/b.fcs,NA\n"


def test_a_study_is_read_from_its_file_or_its_folder(tmp_path: Path) -> None:
    make(tmp_path, GOOD)
    study = read_study(tmp_path)
    assert read_study(tmp_path / "study.yaml") == study
    assert [(s.sample_id, s.patient_id, s.visit, s.file.name, s.row) for s in study.samples] == [
        ("s1", "P1", "W0", "a.fcs", 2),
        ("s2", "P1", "W10", "b.fcs", 3),
    ]
    assert study.trial is not None
    assert study.panel_of(study.samples[0]).strategy is None


def test_every_file_a_study_names_is_known(tmp_path: Path) -> None:
    names = ("trial", "measurements", "doses", "adverse_events", "outcomes", "methods_module")
    suffix = {"trial": ".yaml", "methods_module": ".py"}
    files = {name: f"my_{name}{suffix.get(name, '.csv')}" for name in names}
    for name in files.values():
        (tmp_path / name).write_text("patient_id,study_day\nP1,1\n")
    builtin = resources.files("immunolab.study") / "trials" / "sle_nct02084238.yaml"
    (tmp_path / files["trial"]).write_text(builtin.read_text())
    (tmp_path / "gates.yaml").touch()
    keys = "".join(f"{name}: {file}\n" for name, file in files.items())
    make(tmp_path, GOOD, f"study: x\n{keys}panels: {{a: {{strategy: gates.yaml}}, b: {{strategy: treg_foxp3}}}}\n")
    (tmp_path / "samples.csv").write_text(f"{HEADER},panel\ns1,P1,W0,fcs/a.fcs,a\ns2,P1,W10,fcs/b.fcs,b\n")
    wanted = {"study.yaml", "samples.csv", "gates.yaml", *files.values()}
    assert {path.relative_to(tmp_path).as_posix() for path in read_study(tmp_path).files} == wanted


def test_a_builtin_design_is_no_file_of_the_study(tmp_path: Path) -> None:
    assert read_study(make(tmp_path, GOOD)).files == {tmp_path / "study.yaml", tmp_path / "samples.csv"}


def test_a_cohort_named_na_stays_na(tmp_path: Path) -> None:
    assert [s.cohort for s in read_study(make(tmp_path, GOOD)).samples] == ["NA", "NA"]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_and_byte_order_marks_are_recognised(tmp_path: Path, separator: str) -> None:
    make(tmp_path, "\ufeff" + GOOD.replace(",", separator))
    assert len(read_study(tmp_path).samples) == 2


def test_decimal_commas_count_where_the_separator_is_a_semicolon(tmp_path: Path) -> None:
    make(tmp_path, f"{HEADER},lymphocytes_per_ul\ns1,P1,W0,fcs/a.fcs,1200".replace(",", ";") + ",5\n")
    assert read_study(tmp_path).samples[0].lymphocytes_per_ul == 1200.5


def test_xlsx_with_date_cells_reads_like_csv(tmp_path: Path) -> None:
    from openpyxl import Workbook

    make(tmp_path, "", STUDY + "sheet: samples.xlsx\n")
    book = Workbook()
    book.active.append(["Sample ID", "patient_id", "Visit", "file", "date", "study_day", "cohort"])
    book.active.append(["s1", 101, "W0", "fcs/a.fcs", datetime(2024, 3, 5), 1, "NA"])
    book.active.append(["s2", 101, "W10", "fcs/b.fcs", datetime(2024, 5, 14), 71.0, "NA"])
    book.create_sheet("notes").append(["not a sample"])
    book.save(tmp_path / "samples.xlsx")
    samples = read_study(tmp_path).samples
    assert [(s.patient_id, s.date, s.study_day) for s in samples] == [
        ("101", date(2024, 3, 5), 1),
        ("101", date(2024, 5, 14), 71),
    ]


def test_a_study_shows_its_patients_and_visits_with_holes_and_without_controls(tmp_path: Path) -> None:
    rows = ["s3,<P2>,W10,fcs/c.fcs,", "s1,P1,W10,fcs/a.fcs,", "s2,P1,W0,fcs/b.fcs,", "u,,,fcs/d.fcs,s1"]
    sheet = "\n".join([f"{HEADER},control_of", *rows, ""])
    study = read_study(make(tmp_path, sheet, files=("a.fcs", "b.fcs", "c.fcs", "d.fcs")))
    assert repr(study) == "Study test: 2 patients, 3 samples at W0, W10, trial sle_nct02084238"
    html = study._repr_html_()
    assert "<th>patient</th><th>W0</th><th>W10</th>" in html  # the trial's order, not the sheet's
    assert "<tr><td>&lt;P2&gt;</td><td>-</td><td>1</td></tr>" in html
    assert "<tr><td>P1</td><td>1</td><td>1</td></tr>" in html


def test_further_columns_are_carried_along(tmp_path: Path) -> None:
    make(tmp_path, f"{HEADER},age,prednisone\ns1,P1,W0,fcs/a.fcs,44,15\n")
    assert read_study(tmp_path).samples[0].extra == {"age": "44", "prednisone": "15"}


def test_without_a_trial_visits_are_free_and_four_subsets_are_compared(tmp_path: Path) -> None:
    make(tmp_path, f"{HEADER}\ns1,P1,pre,fcs/a.fcs\ns2,P1,post,fcs/b.fcs\n", FREE)
    study = read_study(tmp_path)
    assert [e.share for e in study.endpoints][:4] == [
        ("Treg", "CD4"),
        ("Th17", "CD4"),
        ("Tfh_eff", "CD4"),
        ("Teff", "CD4"),
    ]
    assert {e.share[1] for e in study.endpoints} == {"CD4", "lymphocytes"}
    assert {study.contrast_of(e) for e in study.endpoints} == {("pre", "post")}
    assert study.timeline_of(study.samples[0]).phase is None


def test_contrasts_follow_the_registered_endpoint_unless_visits_are_named(tmp_path: Path) -> None:
    sheet = f"{HEADER}\ns1,P1,W0,fcs/a.fcs\ns2,P1,W2,fcs/b.fcs\n"
    study = read_study(make(tmp_path, sheet))
    treg = next(e for e in study.endpoints if e.id == "treg_pct_cd4")
    assert study.contrast_of(treg) == ("W0", "W10")
    assert study.contrast_of(next(e for e in study.endpoints if e.id == "sri")) == ("W0", "W2")
    named = read_study(make(tmp_path, sheet, STUDY + "comparison: {before: W0, after: W2}\n"))
    assert named.contrast_of(treg) == ("W0", "W2")


def test_files_of_single_cells_are_taken_for_such(tmp_path: Path) -> None:
    names = ("a.h5ad", "b.h5mu", "c.h5", "d.fcs")
    rows = "".join(f"s{n},P{n},W0,fcs/{name}\n" for n, name in enumerate(names))
    study = read_study(make(tmp_path, f"{HEADER}\n{rows}", files=names))
    assert [sample.modality for sample in study.samples] == ["single_cell"] * 3 + ["flow"]


def test_every_problem_of_a_sheet_is_reported_at_once(tmp_path: Path) -> None:
    make(
        tmp_path,
        f"{HEADER},study_day,modality,lymphocytes_per_ul\n"
        "s1,P1,W0,fcs/a.fcs,1,,1.2\n"
        "S1,P1,W10,fcs/b.fcs,71,,\n"
        "s3,P1,W10,fcs/bb.fcs,72,,\n"
        "s/4,P2,W11,fcs/c.fcs,twelve,,\n"
        ",P2,W2,fcs/c.fcs,0,flaw,\n"
        "s6,,W0,,15.5,,many\n",
    )
    assert reported(tmp_path) == [
        "samples.csv:row 2, column lymphocytes_per_ul  1.2 cannot be cells per microlitre (10 to 100000)\n"
        "    hint: cells per microlitre; 1.2 x 10^9/L is 1200",
        "samples.csv:row 3, column sample_id  'S1' is in row 2 already\n"
        "    hint: give each tube its own sample_id; capitals do not count",
        "samples.csv:row 4, column file  file 'fcs/bb.fcs' does not exist\n"
        "    hint: did you mean 'b.fcs'? paths are relative to FOLDER",
        "samples.csv:row 4, column visit  P1 has a sample of W10 already in row 3\n"
        "    hint: keep one, or give each its own panel",
        "samples.csv:row 5, column study_day  'twelve' is not a whole number\n    hint: day 1 is the first dose",
        "samples.csv:row 5, column sample_id  's/4' holds a character that folder names cannot hold\n"
        "    hint: results go into a folder of this name",
        "samples.csv:row 5, column visit  'W11' is no visit of sle_nct02084238\n"
        "    hint: visits: W0, W2, W4, W6, W8, W10, W24",
        "samples.csv:row 6, column study_day  there is no study day 0\n"
        "    hint: day 1 is the first dose, the day before is day -1",
        "samples.csv:row 6, column sample_id  the cell is empty",
        "samples.csv:row 6, column modality  unknown modality 'flaw'\n"
        "    hint: did you mean 'flow'? allowed: flow, mass, single_cell",
        "samples.csv:row 7, column study_day  '15.5' is not a whole number\n    hint: day 1 is the first dose",
        "samples.csv:row 7, column file  the cell is empty",
        "samples.csv:row 7, column patient_id  the cell is empty",
        "samples.csv:row 7, column lymphocytes_per_ul  'many' is not a number\n"
        "    hint: cells per microlitre; 1.2 x 10^9/L is 1200",
    ]


def test_absent_and_misspelt_columns_are_reported_with_the_nearest(tmp_path: Path) -> None:
    make(tmp_path, "sample,patient_id,vist,file,cohrt,lymphocytes\ns1,P1,W0,fcs/a.fcs,A,1200\n")
    assert reported(tmp_path) == [
        "samples.csv:column sample_id  the column is missing\n"
        "    hint: did you mean 'sample'? rename it to 'sample_id'",
        "samples.csv:column visit  the column is missing\n    hint: did you mean 'vist'? rename it to 'visit'",
        "samples.csv:column cohrt  unknown column\n"
        "    hint: did you mean 'cohort'? a further column needs a name less like it",
        "samples.csv:column lymphocytes  unknown column\n"
        "    hint: did you mean 'lymphocytes_per_ul'? a further column needs a name less like it",
    ]


def test_two_date_formats_are_reported(tmp_path: Path) -> None:
    make(tmp_path, f"{HEADER},date\ns1,P1,W0,fcs/a.fcs,05.03.2024\ns2,P1,W10,fcs/b.fcs,2024-05-14\n")
    assert reported(tmp_path) == [
        "samples.csv:row 3, column date  '2024-05-14' is year-month-day, but row 2 writes day.month.year\n"
        "    hint: use one format in the column; write dates as 2024-03-05"
    ]


def test_slashed_dates_count_only_where_the_column_shows_which_is_the_day(tmp_path: Path) -> None:
    sheet = f"{HEADER},date\ns1,P1,W0,fcs/a.fcs,03/05/2024\ns2,P1,W10,fcs/b.fcs,%s\n"
    make(tmp_path, sheet % "14/05/2024")
    assert [s.date for s in read_study(tmp_path).samples] == [date(2024, 5, 3), date(2024, 5, 14)]
    make(tmp_path, sheet % "05/06/2024")
    assert reported(tmp_path)[0] == (
        "samples.csv:row 2, column date  '03/05/2024' may be day/month/year or month/day/year\n"
        "    hint: write dates as 2024-03-05"
    )


def test_faults_of_study_yaml_and_sheet_come_together(tmp_path: Path) -> None:
    study = (
        "study: test\ntrial: sle_nct0208423\nsheet: samples.csv\nmeasurements: labs.csv\n"
        "panels:\n  surface: {strategy: gating/treg.yaml}\n"
    )
    make(tmp_path, f"{HEADER},panel\ns1,P1,W0,fcs/z.fcs,surfac\n", study)
    assert reported(tmp_path) == [
        "study.yaml:2  trial: unknown trial 'sle_nct0208423'\n    hint: did you mean 'sle_nct02084238'? built-in: "
        "als_nct04952155, iim_nct04062019, pmr_nct04062006, rp_nct04077736, sle_nct02084238; or name a YAML file",
        "study.yaml:6  panels.surface.strategy: file 'gating/treg.yaml' does not exist\n"
        "    hint: paths are relative to FOLDER",
        "study.yaml:4  measurements: file 'labs.csv' does not exist\n"
        "    hint: did you mean 'samples.csv'? paths are relative to FOLDER",
        "samples.csv:row 2, column file  file 'fcs/z.fcs' does not exist\n"
        "    hint: did you mean 'c.fcs'? paths are relative to FOLDER",
        "samples.csv:row 2, column panel  panel 'surfac' is not declared\n"
        "    hint: did you mean 'surface'? panels of study.yaml: surface",
    ]


def test_unknown_keys_have_a_line_and_the_nearest(tmp_path: Path) -> None:
    make(tmp_path, GOOD, "study: test\ntrail: sle_nct02084238\ncomparison: {before: baseline, afer: W10}\n")
    assert reported(tmp_path) == [
        "study.yaml:2  trail: unknown key\n    hint: did you mean 'trial'? known keys: study, sheet, trial, panels, "
        "comparison, measurements, doses, adverse_events, outcomes, intercurrent_events, methods_module, "
        "single_cells, endpoints, arms, next_cohort, families, simulated, quality",
        "study.yaml:3  comparison.afer: unknown key\n    hint: did you mean 'after'? known keys: before, after, noise, "
        "noise_df, within_person, between_tubes, bridges, moderated, mixed_specimens",
    ]


def test_a_comparison_names_phases_or_visits(tmp_path: Path) -> None:
    make(tmp_path, GOOD, STUDY + "comparison: {before: basline, after: W12}\n")
    allowed = "allowed: baseline, on_treatment, follow_up, W0, W2, W4, W6, W8, W10, W24"
    assert reported(tmp_path) == [
        "study.yaml:3  comparison.before: 'basline' is no phase or visit\n"
        f"    hint: did you mean 'baseline'? {allowed}",
        f"study.yaml:3  comparison.after: 'W12' is no phase or visit\n    hint: {allowed}",
    ]


def test_a_missing_sheet_or_study_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_study(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}  there is no study.yaml in this folder\n"
        "    hint: name the folder that holds study.yaml; 'immunolab init FOLDER' proposes one from FCS files"
    )
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    assert reported(tmp_path) == ["samples.csv  cannot be read: No such file or directory\n    hint: check the path"]


def test_a_sheet_in_another_encoding_is_reported(tmp_path: Path) -> None:
    make(tmp_path, GOOD)
    (tmp_path / "samples.csv").write_bytes(f"{HEADER}\ns1,M\xfcller,W0,fcs/a.fcs\n".encode("latin-1"))
    assert reported(tmp_path) == ["samples.csv  is not UTF-8 text\n    hint: save it as 'CSV UTF-8' or as XLSX"]


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("P1_W0", True),
        ("tube 7", True),
        ("Prøve-3", True),
        ("a/b", False),
        ("a\\b", False),
        ("..", False),
        (".hidden", False),
        ("a..b", False),
        ("x:y", False),
        ("CON", False),
        ("nul.fcs", False),
        ("a" * 121, False),
        ("trailing.", False),
    ],
)
def test_sample_ids_are_safe_as_folder_names(name: str, safe: bool) -> None:
    assert (unsafe_name(name) == "") is safe


def test_controls_need_no_visit_and_name_what_they_control(tmp_path: Path) -> None:
    sheet = f"{HEADER},batch,control_of,marker\ns1,P1,W0,fcs/a.fcs,B1,,\nf1,,,fcs/b.fcs,B1,B1,CD25\n"
    control = read_study(make(tmp_path, sheet)).samples[1]
    assert (control.control_of, control.marker, control.visit) == ("B1", "CD25", "")
    assert reported(make(tmp_path, sheet.replace("B1,B1,CD25", "B1,s2,CD25"))) == [
        "samples.csv:row 3, column control_of  's2' is no sample, patient, batch or panel of the sheet\n"
        "    hint: name a sample_id, patient_id, batch or panel"
    ]


def test_panels_are_distinguished_and_one_panel_needs_no_column(tmp_path: Path) -> None:
    two = STUDY + "panels: {surface: {}, foxp3: {strategy: treg_foxp3}}\n"
    sheet = f"{HEADER},panel\ns1,P1,W0,fcs/a.fcs,surface\ns2,P1,W0,fcs/b.fcs,foxp3\n"
    study = read_study(make(tmp_path, sheet, two))
    assert study.panel_of(study.samples[1]).strategy == "treg_foxp3"
    assert reported(make(tmp_path, sheet.replace("b.fcs,foxp3", "b.fcs,"), two)) == [
        "samples.csv:row 3, column panel  the cell is empty, but there are several panels\n"
        "    hint: panels of study.yaml: surface, foxp3"
    ]
    one = read_study(make(tmp_path, GOOD, STUDY + "panels: {surface: {}}\n"))
    assert [s.panel for s in one.samples] == ["surface", "surface"]


# --- real visits -----------------------------------------------------------------------------------

DOSED = STUDY + "doses: doses.csv\n"


def doses(folder: Path, text: str) -> None:
    (folder / "doses.csv").write_text(text, encoding="utf-8")


def first_cycle(patient: str = "P1") -> str:
    days = [f"{patient},2024-03-{5 + 2 * i:02d}" for i in range(7)]
    return "patient_id,date\n" + "\n".join(days) + "\n"


def test_dates_become_days_and_visits_through_the_first_dose(tmp_path: Path) -> None:
    doses(tmp_path, first_cycle())
    make(tmp_path, f"{HEADER},date\ns1,P1,,fcs/a.fcs,2024-03-04\ns2,P1,,fcs/b.fcs,2024-03-19\n", DOSED)
    study = read_study(tmp_path)
    assert [(s.visit, s.study_day) for s in study.samples] == [("W0", -1), ("W2", 15)]
    found = study.timeline_of(study.samples[1])
    assert (found.days_since_last_dose, found.cycle_state) == (2, "peak")


def test_days_between_windows_and_two_samples_in_one_are_never_guessed(tmp_path: Path) -> None:
    sheet = f"{HEADER},study_day\ns1,P1,,fcs/a.fcs,50\ns2,P1,,fcs/b.fcs,70\ns3,P1,,fcs/c.fcs,72\n"
    assert reported(make(tmp_path, sheet)) == [
        "samples.csv:row 2, column visit  day 50 is in no visit's window: between W6 [41, 45] and W8 [54, 57]\n"
        "    hint: name the visit it belongs to",
        "samples.csv:row 4, column visit  P1 has a sample of W10 already in row 3: days 70 and 72 fall in one window\n"
        "    hint: keep one, or give each its own panel",
    ]
    assert reported(make(tmp_path, f"{HEADER}\ns1,P1,,fcs/a.fcs\n")) == [
        "samples.csv:row 2, column visit  the cell is empty\n"
        "    hint: name the visit, or give study_day (or date and recorded doses)"
    ]


def test_a_study_day_that_contradicts_the_date_is_reported(tmp_path: Path) -> None:
    doses(tmp_path, first_cycle())
    make(tmp_path, f"{HEADER},date,study_day\ns1,P1,W2,fcs/a.fcs,2024-03-19,16\n", DOSED)
    assert reported(tmp_path) == [
        "samples.csv:row 2, column study_day  day 16, but 2024-03-19 is day 15 after the first recorded dose\n"
        "    hint: fix the date, the study day or the doses"
    ]


def test_faults_of_the_dose_table_are_reported(tmp_path: Path) -> None:
    make(tmp_path, GOOD, DOSED)
    doses(tmp_path, "patient_id,study_day\nP1,3\nP1,5\nP1,5\nP2,1\nP2,-2\n")
    assert reported(tmp_path) == [
        "doses.csv:row 4, column patient_id  P1 has a dose on day 5 already in row 3\n    hint: keep one line a dose",
        "doses.csv:row 2, column study_day  the first dose of P1 is day 3, but day 1 is the first dose\n"
        "    hint: count days from the first dose",
        "doses.csv:row 6, column study_day  a dose on day -2\n    hint: day 1 is the first dose",
        "doses.csv:row 6, column study_day  the first dose of P2 is day -2, but day 1 is the first dose\n"
        "    hint: count days from the first dose",
    ]


def test_samples_off_their_window_and_doses_off_the_calendar_are_quality_rows(tmp_path: Path) -> None:
    doses(tmp_path, "patient_id,study_day\n" + "".join(f"P1,{d}\n" for d in (1, 3, 5, 7, 9, 12)))
    make(tmp_path, f"{HEADER},study_day\ns1,P1,W0,fcs/a.fcs,1\ns2,P1,W2,fcs/b.fcs,19\ns3,P2,W0,fcs/c.fcs,1\n", DOSED)
    study = read_study(tmp_path)
    table = timeline_quality(study.trial, study.samples, study.doses)
    assert table[["sample_id", "check", "value", "limit", "status", "message"]].fillna("").values.tolist() == [
        ["s2", "out_of_window", 19.0, 17.0, "warn", "day 19 is outside the window of W2, [13, 17]"],
        [
            "s2",
            "doses_off_calendar",
            3.0,
            0.0,
            "warn",
            "recorded doses differ from the calendar up to day 19: extra on day 12; none on day 11, 13",
        ],
        ["s3", "planned_doses", 1.0, "", "warn", "no recorded doses of this patient: the trial's calendar is used"],
    ]


def test_a_trial_of_ones_own_is_found_beside_study_yaml(tmp_path: Path) -> None:
    import re

    from builders import REPOSITORY

    text = (REPOSITORY / "docs" / "trial_file.md").read_text(encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(re.findall(r"```yaml\n(.*?)```", text, re.S)[0], encoding="utf-8")
    make(tmp_path, f"{HEADER}\ns1,P1,V1,fcs/a.fcs\ns2,P1,V3,fcs/b.fcs\n", "study: x\ntrial: mine.yaml\n")
    study = read_study(tmp_path)
    assert study.trial is not None
    assert [e.id for e in study.endpoints][:3] == ["treg_pct_cd4", "treg_pct_lymph", "treg_per_ul"]
    assert study.contrast_of(study.endpoints[1]) == ("V1", "V3")


# --- the documentation -----------------------------------------------------------------------------


def test_every_key_and_column_is_documented() -> None:
    from dataclasses import fields

    from builders import REPOSITORY

    from immunolab.clinical.scores.scales import scales
    from immunolab.config import record_keys
    from immunolab.study.endpoints import STATISTICS
    from immunolab.study.rows import NEEDED, OPTIONAL
    from immunolab.study.sheet import PanelChoice, PlannedComparison, _StudyKeys
    from immunolab.study.trial import Dosing, Phase, Segment, Statement, Visit

    study = (REPOSITORY / "docs" / "study_file.md").read_text(encoding="utf-8")
    keys = [f.name for kind in (_StudyKeys, PlannedComparison, PanelChoice) for f in fields(kind)]
    assert [key for key in (*keys, *NEEDED, *OPTIONAL, *scales()) if f"`{key}`" not in study] == []
    trial = (REPOSITORY / "docs" / "trial_file.md").read_text(encoding="utf-8")
    kinds = (Dosing, *STATISTICS.values(), Phase, Segment, Statement, Visit)
    keys = ["statistic", *STATISTICS, *(key for kind in kinds for key in record_keys(kind))]
    assert [key for key in keys if key not in trial] == []


def test_check_loads_nothing_heavy() -> None:
    study = Path(__file__).parent.parent / "sample_data" / "sle"
    code = (
        "import sys\nfrom immunolab.cli import main\ncode = main(['check', sys.argv[1]])\n"
        "heavy = ('numba', 'scipy', 'matplotlib', 'statsmodels', 'scanpy', 'anndata', 'flowkit', 'sklearn')\n"
        "print(code, [name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(study)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"


def test_a_misspelt_key_does_not_hide_what_else_is_wrong(tmp_path: Path) -> None:
    text = "study: x\ntrial: sle_nct0208\npannels: {a: 1}\ncomparison: {befor: W0, after: W10}\nendpoints: many\n"
    source = make(tmp_path, f"{HEADER}\nS1,P1,W0,fcs/none.fcs\n", text)
    with pytest.raises(InputError) as caught:
        read_study(source)
    said = str(caught.value)
    for words in ("pannels: unknown key", "comparison.befor: unknown key", "endpoints: a list is needed"):
        assert words in said
    assert "sle_nct02084238" in said  # the trial's name is looked at too
    assert "none.fcs" in said  # and the sheet's files


def test_files_that_cannot_be_used_are_listed_beside_every_other_fault(tmp_path: Path) -> None:
    gates = "panels: {a: {strategy: nowhere}}\nendpoints: [treg]\n"
    sheet = f"{HEADER}\ns1,P1,W99,fcs/a.fcs\ns2,P1,W10,fcs/none.fcs\ns3,P2,W10,fcs/c.h5ad\n"
    source = make(tmp_path, sheet, STUDY + gates, files=("a.fcs", "c.h5ad"))
    (tmp_path / "fcs" / "a.fcs").write_bytes(b"%PDF-1.4")
    found = "\n".join(map(str, check_study(source).problems)).replace(f"{tmp_path}/", "")
    assert "samples.csv:row 2, column visit  'W99' is no visit" in found
    assert "file 'fcs/none.fcs' does not exist" in found
    assert "study.yaml:4  endpoints[0]: keys and values are needed, not 'treg'\n    hint: write key: value" in found
    assert found.count("not an FCS file") == 1
    make(tmp_path, sheet.replace("W99", "W0").replace("none", "a"), STUDY + gates.splitlines()[0], files=("c.h5ad",))
    found = "\n".join(map(str, check_study(source).problems)).replace(f"{tmp_path}/", "")
    assert found.startswith("study.yaml:panels.a.strategy  no shipped strategy is named 'nowhere'")
    assert "fcs/a.fcs  not an FCS file" in found


ENDPOINTS = """endpoints:
  - {id: crp, statistic: paired_change, variable: CRP, contrast: [W1, W10], source: s}
  - {id: crp, statistic: percent_of_parent, population: Treg, source: s}
  - {id: fall, statistic: slope_difference, variable: CRP, periods: [[W0, W10], [W10, W32]], deaths: survivl, source: s}
"""


def test_endpoints_of_a_study_are_checked_like_those_of_a_trial(tmp_path: Path) -> None:
    messages = "\n".join(reported(make(tmp_path, GOOD, STUDY + ENDPOINTS)))
    for words in (
        "study.yaml:4  endpoints[0].contrast: unknown visit 'W1'",
        "study.yaml:5  endpoints[1].id: endpoint 'crp' is duplicated",
        "percent_of_parent needs population and parent",
        "study.yaml:6  endpoints[2].periods: unknown visit 'W32'",
        "'survivl' is no time_to_event endpoint",
    ):
        assert words in messages
    free = reported(make(tmp_path, GOOD.replace("W0", "pre").replace("W10", "post"), FREE + ENDPOINTS))
    assert not [message for message in free if "unknown visit" in message]  # without a design any visit may be


def test_an_endpoint_without_statistic_and_source_is_refused_once_with_all_that_is_wrong(tmp_path: Path) -> None:
    asked = (
        "comparison: {before: W0, after: W11}\n"
        "endpoints:\n"
        "  - {id: t, population: Treg, parent: CD4, contrast: [W0, W9]}\n"
        "  - {id: r, statistic: log_ratio, numerator: Treg, parent: CD4}\n"
        "  - {id: r, statistic: percent_of_parnt, population: Treg, parent: CD4, source: s}\n"
    )
    messages = "\n".join(reported(make(tmp_path, GOOD, STUDY + asked)))
    for words in (
        "study.yaml:5  endpoints[0].statistic: the key is missing\n    hint: one of: percent_of_parent, log_ratio",
        "study.yaml:5  endpoints[0].source: the key is missing",
        "study.yaml:5  endpoints[0].contrast: unknown visit 'W9'",
        "study.yaml:6  endpoints[1].source: the key is missing",
        "r: log_ratio needs numerator, denominator and parent",
        "study.yaml:7  endpoints[2].statistic: unknown value 'percent_of_parnt'",
        "study.yaml:7  endpoints[2].id: endpoint 'r' is duplicated",
        "study.yaml:3  comparison.after: 'W11' is no phase or visit",
    ):
        assert words in messages


def test_a_reference_that_is_not_named_is_no_absent_file(tmp_path: Path) -> None:
    (message,) = reported(make(tmp_path, GOOD, STUDY + "single_cells: {labels: cell_type}\n"))
    assert "single_cells.reference: the key is missing" in message


def test_an_endpoint_that_no_key_tells_apart_is_not_guessed(tmp_path: Path) -> None:
    asked = "endpoints:\n  - {id: t, role: primry}\n"
    messages = reported(make(tmp_path, GOOD, STUDY + asked))
    assert [message.split("\n")[0] for message in messages] == [
        "study.yaml:4  endpoints[0].statistic: the key is missing",
        "study.yaml:4  endpoints[0].source: the key is missing",
        "study.yaml:4  endpoints[0].role: unknown value 'primry'",
    ]


def test_endpoints_of_a_study_have_one_denominator_and_variable_each(tmp_path: Path) -> None:
    asked = (
        "endpoints:\n"
        "  - {id: t, statistic: percent_of_parent, population: Treg, parent: CD4, co_report: [lymphocytes],\n"
        "     source: s}\n"
        "  - {id: c, statistic: paired_change, variables: [IL-6, IL-10], source: s}\n"
    )
    found = read_study(make(tmp_path, GOOD, STUDY + asked)).endpoints
    assert [e.id for e in found] == ["t", "treg_pct_lymph", "c_IL-6", "c_IL-10"]
    assert [e.role for e in found] == ["secondary", "exploratory", "secondary", "secondary"]


def test_a_study_without_a_name_lists_all_its_keys(tmp_path: Path) -> None:
    source = make(tmp_path, f"{HEADER}\nS1,P1,W0,fcs/a.fcs\n", "sheeet: samples.csv\n")
    with pytest.raises(InputError) as caught:
        read_study(source)
    assert "study: the key is missing" in str(caught.value)
    assert "did you mean 'sheet'" in str(caught.value)


def test_a_problem_that_many_files_share_is_reported_once(tmp_path: Path) -> None:
    names = [f"t{i}.fcs" for i in range(5)]
    lines = "".join(f"S{i},P{i},W0,fcs/{name}\n" for i, name in enumerate(names))
    source = make(tmp_path, f"{HEADER}\n{lines}", files=())
    for name in names:
        write_fcs(tmp_path / "fcs" / name, np.ones((20, 2), np.float32), ["FSC-A", "SSC-A"])
    (problem,) = check_study(source).problems
    assert problem.file == f"{tmp_path / 'fcs' / 't0.fcs'} and 4 more files"
    assert "CD3" in problem.message


def test_check_names_samples_off_their_window(tmp_path: Path) -> None:
    sheet = f"{HEADER},study_day\nS1,P1,W0,fcs/a.fcs,1\nS2,P1,W10,fcs/b.fcs,500\n"
    source = make(tmp_path, sheet, files=())
    for name in ("a.fcs", "b.fcs"):
        write_fcs(tmp_path / "fcs" / name, np.ones((20, 2), np.float32), ["FSC-A", "SSC-A"])
    notes = [note for note in check_study(source).notes if "window" in note]
    assert notes == ["samples.csv:sample S2  day 500 is outside the window of W10, [69, 73]"]


def test_a_patient_without_a_sample_is_of_the_only_cohort(tmp_path: Path) -> None:
    rows = ["a,P1,W0,fcs/a.fcs,SLE", "b,P2,W0,fcs/b.fcs,SLE"]
    study = read_study(make(tmp_path, "\n".join(["sample_id,patient_id,visit,file,cohort", *rows])))
    assert study.cohorts_of(["P1", "P9"]) == {"P1": "SLE", "P9": "SLE"}
    rows[1] = "b,P2,W0,fcs/b.fcs,RA"
    study = read_study(make(tmp_path, "\n".join(["sample_id,patient_id,visit,file,cohort", *rows])))
    assert study.cohorts_of(["P2", "P9"]) == {"P2": "RA", "P9": ""}


def test_one_file_for_two_visits_or_patients_is_named(tmp_path: Path) -> None:
    rows = ["sample_id,patient_id,visit,file", "a,P1,W0,fcs/a.fcs", "b,P1,W10,fcs/a.fcs", "c,P2,W0,fcs/c.fcs"]
    study = read_study(make(tmp_path, "\n".join(rows)))
    assert files_twice(study.samples) == ["P1 W0 and P1 W10 (a.fcs)"]
    assert files_twice(study.samples[1:]) == []


def test_names_that_may_be_of_one_patient() -> None:
    names = ["P-2", "p2", "007", "7", "Zoé", "Zoe\u0301", "P20", "P02", "A", "10", "100", "NA", "nan"]
    assert alike(names) == [("P-2", "p2", "P02"), ("007", "7"), ("Zoé", "Zoe\u0301")]
    assert alike(["1-12", "11-2", "01-12"]) == [("1-12", "01-12")]  # patients of two sites
    assert alike(["01-003", "01003"]) == [("01-003", "01003")]


def test_visits_in_another_order_than_their_days(tmp_path: Path) -> None:
    rows = [
        "sample_id,patient_id,visit,file,study_day",
        "a,P1,W0,fcs/a.fcs,71",
        "b,P1,W10,fcs/b.fcs,1",
        "c,P2,W0,fcs/c.fcs,1",
    ]
    study = read_study(make(tmp_path, "\n".join(rows)))
    assert visits_out_of_order(study.trial, study.samples) == ["P1 (W0 on day 71, W10 on day 1)"]
    assert visits_out_of_order(None, study.samples) == []
