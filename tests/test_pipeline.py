"""A study from files to tables: declared columns, resumption, faults that stop nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from builders import REPOSITORY, data_folder
from cytoexplorer import strategy_text, study_files

from immunolab.cli import main
from immunolab.schema import tables
from immunolab.simulation import simulate
from immunolab.workflow.run import run

GATES = """
strategy: drawn
transform: {default: {asinh: {cofactor: 150}}, scatter: linear}
populations:
  - {name: lymphocytes, parent: root, rectangle: {FSC-A: [4e4, 1.3e5], SSC-A: [0, 6e4]}}
  - {name: CD3, parent: lymphocytes, rectangle: {CD3: [2.5, null]}}
  - {name: CD4, parent: CD3, rectangle: {CD4: [2.5, null]}}
  - {name: Treg, parent: CD4, rectangle: {CD25: [2.8, null], CD127: [null, 2.5]}}
"""


@pytest.fixture(scope="module")
def drawn_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three simulated patients, gated with drawn gates (nothing to fit, so runs are fast)."""
    folder = tmp_path_factory.mktemp("drawn") / "study"
    simulate("sle_nct02084238", patients=3, seed=11, folder=folder, visits=["W0", "W10"], events=3000)
    (folder / "gates.yaml").write_text(GATES)
    (folder / "study.yaml").write_text(
        "study: drawn\nsheet: samples.csv\npanels: {surface: {strategy: gates.yaml}}\n"
        "comparison: {before: W0, after: W10, noise: 15}\n"
    )
    return folder


@pytest.fixture
def study(drawn_study: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drawn_study, tmp_path / "study"))


def _tables(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((out / "tables").glob("*.csv"))}


def test_tables_carry_the_declared_columns_first_and_in_order(study: Path, tmp_path: Path) -> None:
    run(study, out=tmp_path / "out", tables_only=True)
    for name in ("counts", "thresholds", "intensities", "endpoints", "pairs", "shifts", "quality", "failures"):
        declared = tables.ALL[name].names
        header = pd.read_csv(tmp_path / "out" / "tables" / f"{name}.csv", nrows=0).columns
        assert list(header[: len(declared)]) == declared, name


def test_percentages_are_of_the_named_denominator(study: Path, tmp_path: Path) -> None:
    run(study, out=tmp_path / "out", tables_only=True)
    folder = tmp_path / "out" / "tables"
    endpoints = pd.read_csv(folder / "endpoints.csv")
    counts = pd.read_csv(folder / "counts.csv").set_index(["sample_id", "population"])["n_events"]
    rows = endpoints[endpoints["unit"] == "%"]
    assert set(rows["parent"]) == {"CD4", "lymphocytes"}
    for row in rows.itertuples():
        expected = 100 * counts[row.sample_id, row.population] / counts[row.sample_id, row.parent]
        assert row.value == pytest.approx(expected, rel=1e-12)


def test_the_second_run_computes_nothing_and_says_so(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    assert main(["run", str(study), "-o", out, "--tables-only"]) == 0
    first = _tables(tmp_path / "out")
    capsys.readouterr()
    assert main(["run", str(study), "-o", out, "--tables-only"]) == 0
    assert "no sample computed: all 6 are up to date" in capsys.readouterr().out
    assert _tables(tmp_path / "out") == first


def test_only_what_changed_is_computed_again(study: Path, tmp_path: Path) -> None:
    run(study, out=tmp_path / "out", tables_only=True)
    one = sorted((study / "fcs").glob("*.fcs"))[0]
    data = bytearray(one.read_bytes())
    data[-5] ^= 1
    one.write_bytes(data)
    again = run(study, out=tmp_path / "out", tables_only=True)
    assert again.computed == (one.stem,)
    assert len(again.kept) == 5


def test_an_unreadable_file_fails_its_sample_and_nothing_else(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = sorted((study / "fcs").glob("*.fcs"))
    files[0].write_text("not a cytometry file")
    files[1].write_bytes(b"")
    assert main(["run", str(study), "-o", str(tmp_path / "out"), "--tables-only"]) == 3
    failures = pd.read_csv(tmp_path / "out" / "tables" / "failures.csv")
    assert sorted(failures["sample_id"]) == [files[0].stem, files[1].stem]
    assert set(failures["stage"]) == {"read"}
    assert failures["hint"].notna().all()
    counts = pd.read_csv(tmp_path / "out" / "tables" / "counts.csv")
    assert counts["sample_id"].nunique() == 4
    assert "Traceback" not in capsys.readouterr().err
    assert main(["check", str(study)]) == 1
    said = capsys.readouterr().err
    assert files[0].name in said
    assert files[1].name in said


def test_a_sample_whose_gates_cannot_be_placed_or_evaluated_fails_alone_with_the_reason(
    study: Path, tmp_path: Path
) -> None:
    (study / "gates.yaml").write_text("populations:\n  - {name: T, rectangle: {CD999: [2.5, null]}}\n")
    assert main(["run", str(study), "-o", str(tmp_path / "drawn"), "--tables-only"]) == 3
    failures = pd.read_csv(tmp_path / "drawn" / "tables" / "failures.csv")
    assert len(failures) == 6
    assert failures["error"].str.contains("no gate can be evaluated: /T marker or channel 'CD999'").all()
    (study / "gates.yaml").write_text("populations:\n  - {name: T, where: CD999+}\n")
    assert main(["run", str(study), "-o", str(tmp_path / "placed"), "--tables-only"]) == 3
    failures = pd.read_csv(tmp_path / "placed" / "tables" / "failures.csv")
    assert set(failures["stage"]) == {"fit"}
    assert failures["error"].str.contains(r"the panel lacks CD999 \(for T\)").all()
    assert failures["hint"].str.contains("the tube has: ").all()


def test_all_problems_of_a_study_are_listed_at_once_and_results_stay(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(study, out=tmp_path / "out", tables_only=True)
    before = _tables(tmp_path / "out")
    sheet = pd.read_csv(study / "samples.csv", dtype=str)
    sheet.loc[0, "file"] = "fcs/absent.fcs"
    sheet.loc[1, "visit"] = sheet.loc[0, "visit"]
    sheet = sheet.rename(columns={"batch": "batsh"})
    sheet.to_csv(study / "samples.csv", index=False)
    capsys.readouterr()
    assert main(["run", str(study), "-o", str(tmp_path / "out"), "--tables-only"]) == 1
    said = capsys.readouterr().err
    for words in ("absent.fcs", "batsh", "did you mean 'batch'", "W0"):
        assert words in said
    assert "Traceback" not in said
    assert _tables(tmp_path / "out") == before


def test_memberships_hold_one_row_an_event(study: Path, tmp_path: Path) -> None:
    run(study, out=tmp_path / "out", memberships=True, tables_only=True)
    counts = pd.read_csv(tmp_path / "out" / "tables" / "counts.csv")
    for path in sorted((tmp_path / "out" / "memberships").glob("*.parquet")):
        frame = pd.read_parquet(path)
        assert len(frame) == 3000
        own = counts[(counts["sample_id"] == path.stem) & (counts["population"] != "root")]
        assert dict(frame.sum()) == dict(zip(own["population"], own["n_events"], strict=True))


def test_cytoexplorer_activation(tmp_path: Path) -> None:
    """Gates stored with the data, markers from the panel file, percentages beside the stored counts.

    Scatter gates are linear and agree to the event. Fluorescence gates differ by the logicle's width,
    which was estimated from 32 files and can be estimated here from four only: less than 0.05 points of
    the parent.
    """
    source = data_folder("flow/cytoexplorer_activation")
    study_files(source, tmp_path)
    (tmp_path / "gates.yaml").write_text(strategy_text(source))
    run(tmp_path, out=tmp_path / "out", tables_only=True)
    counts = pd.read_csv(tmp_path / "out" / "tables" / "counts.csv")
    stored = pd.read_csv(source / "reference_counts.csv")
    stored["sample_id"] = stored["file"].str.removesuffix(".fcs")
    of_path = stored.set_index(["sample_id", "path"])["count"].to_dict()
    stored = stored[stored["path"] != "root"]
    parents = stored["path"].str.rsplit("/", n=1).str[0].replace("", "root")
    stored = stored.assign(n_stored=[of_path[key] for key in zip(stored["sample_id"], parents, strict=True)])
    both = counts.merge(stored, on=["sample_id", "path"])
    assert len(both) == len(stored) == 40
    linear = both["path"].isin(["/Cells", "/Cells/Single Cells"])
    assert (both.loc[linear, "n_events"] == both.loc[linear, "count"]).all()
    difference = both["percent_of_parent"] - 100 * both["count"] / both["n_stored"]
    assert difference.abs().max() < 0.05


def test_sample_data_runs_with_the_built_in_strategy(tmp_path: Path) -> None:
    outcome = run(REPOSITORY / "sample_data" / "sle", out=tmp_path / "out", tables_only=True)
    assert len(outcome.computed) == 12
    shifts = pd.read_csv(tmp_path / "out" / "tables" / "shifts.csv").set_index("endpoint")
    assert shifts.loc["treg_pct_cd4", "n_pairs"] == 6
    assert shifts.loc["treg_pct_cd4", "fold"] > 1.2
    assert shifts.loc["treg_pct_cd4", "fold_fixed_at_baseline"] > 1.2


def test_check_names_what_is_asked_for_and_nothing_measures(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (study / "m.csv").write_text("patient_id,visit,variable,value,unit\nSLE001,W0,CRP,5,mg/L\nSLE01,W0,CRP,6,mg/L\n")
    asked = (
        "endpoints:\n"
        "  - {id: treg, statistic: percent_of_parent, population: Tregs, parent: CD4, source: s}\n"
        "  - {id: treg_count, statistic: absolute_count, population: Treg, source: s}\n"
        "  - {id: crp, statistic: paired_change, variable: CRPP, source: s}\n"
        "  - {id: also_crp, statistic: paired_change, variable: CRP, source: s}\n"
        "  - {id: flare, statistic: time_to_event, source: s}\n"
    )
    with (study / "study.yaml").open("a") as file:
        file.write("measurements: m.csv\n" + asked)
    sheet = pd.read_csv(study / "samples.csv", dtype=str)
    sheet.drop(columns="lymphocytes_per_ul").to_csv(study / "samples.csv", index=False)
    assert main(["check", str(study)]) == 0
    note, stranger = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    assert "without a sample: 'SLE01' (did you mean 'SLE001'?)" in stranger
    assert "'Tregs' (did you mean 'Treg'?) for treg; 'lymphocytes_per_ul' for treg_count" in note
    assert "'CRPP' (did you mean 'CRP'?) for crp; 'flare' for flare" in note
    assert "also_crp" not in note
