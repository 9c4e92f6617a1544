"""Visit beside batch, operator, lot and site: what can be separated, and the mix of specimens."""

from __future__ import annotations

from pathlib import Path

import pytest

from immunolab.comparison.visit_design import design_sentences, visit_design
from immunolab.errors import InputError
from immunolab.study.sheet import Study, read_study
from immunolab.workflow.check import check_study

HEAD = "study: test\nendpoints:\n  - {id: a, source: x, role: primary, statistic: percent_of_parent, "
YAML = HEAD + "population: Treg, parent: CD4}\ncomparison: {before: W0, after: W10}\n"


def made(
    folder: Path, levels: list[tuple[str, str]], *, column: str = "batch", cohorts: str = "", more: str = ""
) -> Path:
    """Write a study of one patient for each pair of levels, at W0 and at W10."""
    lines = [f"sample_id,patient_id,visit,file,cohort,{column}"]
    for i, pair in enumerate(levels):
        for visit, level in zip(("W0", "W10"), pair, strict=True):
            lines.append(f"P{i}_{visit},P{i},{visit},a.fcs,{cohorts[i] if cohorts else ''},{level}")
    (folder / "a.fcs").touch()
    (folder / "samples.csv").write_text("\n".join(lines) + "\n")
    (folder / "study.yaml").write_text(YAML.replace("W10}", f"W10{more}}}"))
    return folder


def read(folder: Path, levels: list[tuple[str, str]], **given: str) -> Study:
    return read_study(made(folder, levels, **given))


@pytest.mark.parametrize(
    ("levels", "status", "n_same"),
    [
        ([("1", "1"), ("1", "1"), ("2", "2"), ("2", "2")], "balanced", 4),
        ([("1", "2")] * 6, "aliased", 0),
        ([("1", "2"), ("3", "4"), ("5", "6")], "aliased", 0),
        ([("1", "2"), ("2", "1"), ("1", "2"), ("2", "1")], "estimable", 0),
        ([("1", "2")] * 3 + [("1", "1")] * 3, "estimable", 3),
        ([("1", "2")] * 11 + [("1", "1")], "weak", 1),
        ([("1", "2"), ("1", "")], "unknown", 0),
    ],
)
def test_a_change_is_separable_from_batch_as_the_design_has_it(
    tmp_path: Path, levels: list[tuple[str, str]], status: str, n_same: int
) -> None:
    (row,) = visit_design(read(tmp_path, levels)).to_dict("records")
    assert (row["factor"], row["status"], row["n_same"]) == ("batch", status, n_same)
    assert row["n_pairs"] == len(levels)


def test_inflation_is_the_ratio_of_the_variances_of_the_two_estimates(tmp_path: Path) -> None:
    """Ten patients change batch, five do not: the mean of five against that of fifteen."""
    (row,) = visit_design(read(tmp_path, [("1", "2")] * 10 + [("1", "1")] * 5)).to_dict("records")
    assert row["inflation"] == pytest.approx(15 / 5)


@pytest.mark.parametrize("column", ["batch", "operator", "lot", "site"])
def test_check_says_what_remains_where_a_factor_is_the_visit(tmp_path: Path, column: str) -> None:
    checked = check_study(made(tmp_path, [("a", "b")] * 4, column=column))
    said = [note for note in checked.notes if "coincides with visit" in note]
    assert len(said) == 1
    assert f"W0 to W10: {column} coincides with visit" in said[0]
    assert f"differences between patients at one visit, within one {column}" in said[0]


def test_arms_that_moved_alike_can_be_compared_in_their_change(tmp_path: Path) -> None:
    design = visit_design(read(tmp_path, [("1", "2")] * 6, cohorts="AAABBB"))
    assert list(design["status"]) == ["aliased", "aliased"]
    assert all("difference in change between cohorts" in text for text in design_sentences(design))
    apart = visit_design(read(tmp_path, [("1", "2")] * 3 + [("3", "4")] * 3, cohorts="AAABBB"))
    assert not any("between cohorts" in text for text in design_sentences(apart))


def test_whole_blood_beside_frozen_pbmc_is_an_error_unless_it_is_meant(tmp_path: Path) -> None:
    mixed = [("whole blood", "Frozen PBMC"), ("whole_blood", "frozen-pbmc")]
    with pytest.raises(InputError, match="2 samples are whole blood and 2 frozen PBMC"):
        read(tmp_path, mixed, column="specimen")
    study = read(tmp_path, mixed, column="specimen", more=", mixed_specimens: true")
    assert [s.specimen for s in study.samples] == ["whole_blood", "frozen_pbmc"] * 2
    with pytest.raises(InputError, match="unknown specimen 'urine'"):
        read(tmp_path, [("urine", "urine")], column="specimen")
