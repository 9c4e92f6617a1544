"""init: patients and visits by one pattern, and a study that check accepts."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from builders import REPOSITORY

from immunolab.cli import main
from immunolab.errors import InputError
from immunolab.study.proposal import Names, read_names
from immunolab.study.sheet import read_study
from immunolab.study.trial import load_trial
from immunolab.workflow.propose import propose_study

FILES = REPOSITORY / "sample_data" / "sle" / "fcs"


def named(template: str, visits: tuple[str, ...] = ("W0", "W10"), patients: int = 3) -> Names:
    files = [
        template.format(patient=f"P{i:03d}", visit=v, n=10 * i + j)
        for i in range(1, patients + 1)
        for j, v in enumerate(visits)
    ]
    return read_names(files, load_trial("sle_nct02084238"))


@pytest.mark.parametrize(
    ("template", "pattern"),
    [
        ("{patient}_{visit}.fcs", "PATIENT_VISIT"),
        ("{visit}_{patient}.fcs", "VISIT_PATIENT"),
        ("Study_{patient}_{visit}_surface.fcs", "*_PATIENT_VISIT_*"),
        ("Specimen_001_{patient}_{visit}_{n:03d}.fcs", "*_*_PATIENT_VISIT_*"),
        ("{patient}/{visit}.fcs", "PATIENT/VISIT"),
        ("run 7/{patient} {visit}.fcs", "*/PATIENT_VISIT"),
        ("{patient}-{visit}.fcs", "PATIENT_VISIT"),
        ("{patient}.{visit}.lmd", "PATIENT_VISIT"),
    ],
)
def test_one_pattern_gives_patients_and_visits(template: str, pattern: str) -> None:
    found = named(template)
    assert found.pattern == pattern
    assert [(f.patient, f.visit) for f in found.files] == [
        (f"P{i:03d}", visit) for i in (1, 2, 3) for visit in ("W0", "W10")
    ]
    assert found.unparsed == ()


def test_weeks_are_known_by_number_and_other_words_stay_open() -> None:
    found = named("{patient}_{visit}.fcs", ("wk0", "Week10", "baseline"))
    assert [f.visit for f in found.files][:3] == ["W0", "W10", ""]
    assert found.files[2].written_visit == "baseline"
    assert len(found.unparsed) == 3


def test_without_a_trial_visits_keep_their_words() -> None:
    found = read_names(["001-pre.fcs", "001-post.fcs", "002-pre.fcs", "002-post.fcs"])
    assert [(f.patient, f.visit) for f in found.files][:2] == [("001", "pre"), ("001", "post")]


def test_hyphens_belong_to_the_patient_where_another_separator_does() -> None:
    found = read_names(["SLE-001_W0.fcs", "SLE-001_W2.fcs", "SLE-002_W0.fcs"])
    assert {f.patient for f in found.files} == {"SLE-001", "SLE-002"}


def test_controls_are_distinguished_from_samples() -> None:
    found = read_names(["P001_W0.fcs", "P001_W2.fcs", "P001_FMO_CD25.fcs", "FMO-CCR6_P001.fcs", "unstained.fcs"])
    assert [(f.control, f.marker, f.patient) for f in found.files[2:]] == [
        ("FMO", "CD25", "P001"),
        ("FMO-CCR6", "CCR6", "P001"),
        ("unstained", "", ""),
    ]
    assert found.unparsed == ()


def test_names_without_information_stay_open() -> None:
    found = read_names(["100715.fcs", "Activation_7.fcs"])
    assert found.pattern == ""
    assert found.unparsed == ("100715.fcs", "Activation_7.fcs")
    assert all(f.patient == f.visit == "" for f in found.files)


def test_a_pattern_of_the_user_reads_names_that_no_pattern_of_ours_does() -> None:
    files = [f"day {day}/2025_07_26_AB_0{day}_INF05{i}_00_SEB.fcs" for day in (2, 3) for i in range(2)]
    assert read_names(files).pattern == ""
    found = read_names([*files, "day 2/other.fcs"], pattern="*_*_*_AB_BATCH_PATIENT_VISIT_*")
    assert [(f.batch, f.patient, f.visit) for f in found.files[:3]] == [
        ("02", "INF050", "00"),
        ("02", "INF051", "00"),
        ("03", "INF050", "00"),
    ]
    assert found.unparsed == ("day 2/other.fcs",)
    folders = read_names(["W0/P-1.fcs", "W10/P-1.fcs"], pattern="VISIT/PATIENT")
    assert [(f.patient, f.visit) for f in folders.files] == [("P-1", "W0"), ("P-1", "W10")]


def test_a_sign_of_the_pattern_is_in_no_word_of_a_name() -> None:
    found = read_names(["P-01-W0.fcs", "P-02-W0.fcs", "odd-P-03-W0.fcs"], pattern="P-PATIENT-VISIT")
    assert [(f.patient, f.visit) for f in found.files[:2]] == [("01", "W0"), ("02", "W0")]
    assert found.unparsed == ("odd-P-03-W0.fcs",)
    with pytest.raises(InputError, match="fits none of 2 files"):
        read_names(["P-01-W0.fcs", "P-02-W0.fcs"], pattern="PATIENT-VISIT")  # both would be of a patient P


def test_a_pattern_that_cannot_be_read_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fcs = tmp_path / "fcs"
    fcs.mkdir()
    (fcs / "A_1.fcs").write_bytes(b"")
    for pattern, said in (("PATIENT_PATIENT", "VISIT is in it 0 times"), ("x_PATIENT_VISIT", "fits none of 1 files")):
        assert main(["init", str(tmp_path / "study"), "--fcs", str(fcs), "--names", pattern]) == 1
        assert said in capsys.readouterr().err
    assert not (tmp_path / "study").exists()


def test_many_files_of_one_gap_are_one_line_and_a_line_break_ends_no_comment(tmp_path: Path) -> None:
    fcs = tmp_path / "fcs"
    fcs.mkdir()
    for name in ("a\nx", "b", "c", "d"):
        (fcs / f"{name}.fcs").write_bytes(b"")
    notes = propose_study(tmp_path / "study", fcs).notes
    assert [note for note in notes if "the name holds" in note] == [
        "4 files: the name holds no patient and visit (first: a x.fcs, b.fcs, c.fcs)"
    ]
    sheet = (tmp_path / "study" / "samples.csv").read_text(encoding="utf-8").splitlines()
    assert [line[:1] for line in sheet[:3]] == ["#"] * 3
    assert sheet[3].startswith("sample_id,")


def test_init_writes_a_study_that_loads_and_invents_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fcs = tmp_path / "fcs"
    fcs.mkdir()
    for path in sorted(FILES.glob("*.fcs"))[:4]:
        shutil.copy(path, fcs / path.name)
    (fcs / "SLE900_W0.fcs").write_text("this is no FCS file", encoding="utf-8")
    (fcs / "unstained.fcs").write_bytes((fcs / sorted(p.name for p in fcs.iterdir())[0]).read_bytes())
    assert main(["init", str(tmp_path / "study"), "--fcs", str(fcs), "--trial", "sle_nct02084238"]) == 0
    said = capsys.readouterr().out
    assert "names are read by: PATIENT_VISIT\n" in said
    assert "open: SLE900_W0.fcs: " in said
    assert "open: unstained.fcs: a control; the name does not say of what, add it with control_of\n" in said
    study = read_study(tmp_path / "study")
    assert study.trial is not None
    assert {(s.patient_id, s.visit) for s in study.samples} >= {("SLE001", "W0"), ("SLE001", "W10")}
    assert all(s.study_day is None and s.cohort == "" and s.lymphocytes_per_ul is None for s in study.samples)
    panel = (tmp_path / "study" / "panels" / "surface.yaml").read_text(encoding="utf-8")
    assert "'PE-Cy7-A': 'CD25'" in panel
    assert (tmp_path / "study" / "gating" / "treg_th17_tfh_teff.yaml").exists()


def test_init_never_writes_over_a_study_and_needs_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "study.yaml").write_text("study: mine\n", encoding="utf-8")
    assert main(["init", str(tmp_path), "--fcs", str(FILES)]) == 1
    assert capsys.readouterr().err == (
        f"{tmp_path}/study.yaml  is there already\n    hint: name a new folder, or remove the file\n"
    )
    assert (tmp_path / "study.yaml").read_text(encoding="utf-8") == "study: mine\n"
    assert main(["init", str(tmp_path / "new"), "--fcs", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        f"{tmp_path}  no FCS file is in this folder\n    hint: files must end in .fcs or .lmd\n"
    )
    assert not (tmp_path / "new").exists()


def test_a_trial_file_is_named_relative_to_the_new_study(tmp_path: Path) -> None:
    source = REPOSITORY / "immunolab" / "study" / "trials" / "sle_nct02084238.yaml"
    shutil.copy(source, tmp_path / "mine.yaml")
    assert main(["init", str(tmp_path / "study"), "--fcs", str(FILES), "--trial", str(tmp_path / "mine.yaml")]) == 0
    text = (tmp_path / "study" / "study.yaml").read_text(encoding="utf-8")
    assert "trial: ../mine.yaml\n" in text
    assert read_study(tmp_path / "study").trial is not None


def test_visits_of_a_trial_are_known_by_its_own_names() -> None:
    trial = load_trial("sle_nct02084238")
    names = dict(zip(("W0", "W10"), ("C1", "C3D8"), strict=True))
    own = replace(trial, visits=tuple(replace(v, name=names[v.name]) for v in trial.visits if v.name in names))
    files = [f"SIXTH{i:03d}_{visit}.fcs" for i in range(3) for visit in ("C1", "c3d8")]
    read = read_names(files, own)
    assert read.pattern == "PATIENT_VISIT"
    assert {(f.patient, f.visit) for f in read.files} == {
        (f"SIXTH{i:03d}", v) for i in range(3) for v in ("C1", "C3D8")
    }


@pytest.mark.parametrize(
    ("visits", "said"),
    [
        (("pre", "D28"), "  before: pre\n  after: D28\n"),
        (("Baseline", "W2", "W10"), "  before: Baseline\n  after: W10\n"),
        (("before", "treated"), "  before: before\n  after: treated\n"),
        (("lying", "standing"), "#   before: \n"),
    ],
)
def test_the_visits_to_compare_are_proposed_or_named_as_open(tmp_path: Path, visits, said, capsys) -> None:
    """Pre and D28 were left open without a word, and check then complained of a 'baseline' that nobody had written."""
    fcs = tmp_path / "fcs"
    fcs.mkdir()
    source = next(FILES.glob("*.fcs"))
    for patient in ("P01", "P02"):
        for visit in visits:
            shutil.copy(source, fcs / f"{patient}_{visit}.fcs")
    assert main(["init", str(tmp_path / "study"), "--fcs", str(fcs), "--names", "PATIENT_VISIT"]) == 0
    assert said in (tmp_path / "study" / "study.yaml").read_text(encoding="utf-8")
    rows = (tmp_path / "study" / "samples.csv").read_text(encoding="utf-8").splitlines()
    assert [row.split(",")[2] for row in rows if row.startswith("P01")] == list(visits)
    left = "open: which visits are compared: comparison in study.yaml, of lying, standing"
    assert (left in capsys.readouterr().out) == ("lying" in visits)
