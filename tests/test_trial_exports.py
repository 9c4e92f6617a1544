"""Exports for trials and repositories, against the run's CSV read with pandas, and read back by other programs."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import immunolab as il
from immunolab.cli import main
from immunolab.errors import DataFileError, InputError
from immunolab.exports.adam import adam_rows
from immunolab.exports.codes import short_code, short_codes
from immunolab.exports.population_strings import definition_string
from immunolab.report.exports import export_problems
from immunolab.report.manifest import write_manifest
from immunolab.report.verify import verify
from immunolab.results.record import write_run
from immunolab.results.run import Run

KEY = ["patient_id", "endpoint", "visit"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("exports")
    il.simulate("sle_nct02084238", patients=2, seed=3, folder=folder / "study", events=3_000)
    run = il.run(folder / "study", out=folder / "out", tables_only=True, quiet=True)
    write_manifest(run)  # as a run with its report does; figures take longer than all exports
    return il.read_run(folder / "out")


@pytest.fixture(scope="module")
def adam(run: Run) -> pd.DataFrame:
    assert main(["export", str(run.folder), "--format", "adam", "--format", "sdtm"]) == 0
    return pd.read_csv(run.folder / "exports/adam/adcyt.csv")


def test_changes_from_baseline_are_those_of_the_endpoints(run: Run, adam: pd.DataFrame) -> None:
    rows = pd.read_csv(run.folder / "tables/endpoints.csv").set_index(KEY)["value"]
    pairs = pd.read_csv(run.folder / "tables/pairs.csv")
    assert len(adam) == len(rows)
    own = adam.set_index(["SUBJID", "ENDPOINT", "AVISIT"])
    pd.testing.assert_series_equal(own["AVAL"].sort_index(), rows.sort_index(), check_names=False)
    sides = zip(pairs["patient_id"], pairs["endpoint"], pairs["visit_before"], strict=True)
    before = {(p, e): rows.get((p, e, v)) for p, e, v in sides}
    changed = adam.dropna(subset=["CHG"])
    assert len(changed) >= len(pairs)
    expected = [row.AVAL - before[row.SUBJID, row.ENDPOINT] for row in changed.itertuples()]
    np.testing.assert_allclose(changed["CHG"], expected)
    positive = changed[changed["BASE"] > 0]
    np.testing.assert_allclose(positive["PCHG"], 100 * (positive["AVAL"] / positive["BASE"] - 1), atol=1e-9)
    assert (changed["ADY"] > 1).all()
    assert adam.loc[adam["ABLFL"] == "Y", "CHG"].isna().all()
    analysed = adam[adam["ANL01FL"] == "Y"].groupby(["SUBJID", "ENDPOINT"]).size()
    assert (analysed == 2).all()
    assert set(analysed.index) == set(zip(pairs["patient_id"], pairs["endpoint"], strict=True))


def test_without_a_trial_the_order_of_the_comparison_gives_changes(run: Run) -> None:
    """A study without estimand ended in a KeyError, and pre behind D28, by the alphabet, gave no change."""
    names = {"W0": "pre", "W10": "D28"}
    samples = tuple(replace(s, visit=names[s.visit], study_day=None, date=None) for s in reversed(run.study.samples))
    comparison = replace(run.study.comparison, before="pre", after="D28")
    study = replace(run.study, trial=None, samples=samples, comparison=comparison)
    endpoints = run.endpoints.drop(columns="compared_as").assign(study_day=np.nan)
    tables = {**run.tables, "endpoints": endpoints.assign(visit=endpoints["visit"].map(names))}
    tables["pairs"] = run.pairs.assign(visit_before="pre", visit_after="D28")
    rows = adam_rows(replace(run, study=study, tables=tables))
    later = rows[(rows["AVISIT"] == "D28") & rows["BASE"].notna() & rows["AVAL"].notna()]
    assert len(later) > 10
    np.testing.assert_allclose(later["CHG"], later["AVAL"] - later["BASE"])


def test_parameters_have_codes_that_sas_takes_and_that_stay(adam: pd.DataFrame) -> None:
    codes = adam.groupby("ENDPOINT")["PARAMCD"].unique()
    assert codes.map(len).eq(1).all()
    assert adam["PARAMCD"].nunique() == adam["ENDPOINT"].nunique()
    assert adam["PARAMCD"].map(lambda code: bool(re.fullmatch("[A-Z][A-Z0-9]{0,7}", code))).all()
    assert codes["treg_pct_cd4"][0] == short_code("treg_pct_cd4") == "TREGPKAR"  # written down: a code never changes
    assert adam["AVISITN"].groupby(adam["AVISIT"]).nunique().eq(1).all()


def test_sas_transport_files_hold_the_same(run: Run, adam: pd.DataFrame) -> None:
    pytest.importorskip("pyreadstat")
    folder = run.folder / "exports"
    read = pd.read_sas(folder / "adam/adcyt.xpt", encoding="utf-8")
    assert list(read) == list(adam)
    np.testing.assert_allclose(read["AVAL"], adam["AVAL"], rtol=1e-13, atol=1e-70)  # pandas reads 0 as 5e-79
    np.testing.assert_allclose(read["CHG"], adam["CHG"], rtol=1e-9, atol=1e-12)
    assert read["USUBJID"].tolist() == adam["USUBJID"].tolist()
    for name in ("cp", "lb"):
        csv = pd.read_csv(folder / f"sdtm/{name}.csv")
        assert len(pd.read_sas(folder / f"sdtm/{name}.xpt", encoding="utf-8")) == len(csv)
    defined = pd.read_csv(folder / "adam/define.csv")
    assert defined["variable"].tolist() == list(adam)
    assert defined["label"].str.len().max() <= 40


def test_findings_are_the_counts_and_what_is_withheld_is_not_done(run: Run, adam: pd.DataFrame) -> None:
    counts = pd.read_csv(run.folder / "tables/counts.csv").query("population != 'root'")
    found = pd.read_csv(run.folder / "exports/sdtm/cp.csv")
    assert len(found) == 2 * len(counts)
    treg = found[found["CPTEST"] == "Treg, % of CD4"].set_index("CPREFID")["CPSTRESN"]
    own = counts[counts["population"] == "Treg"].set_index("sample_id")["percent_of_parent"]
    pd.testing.assert_series_equal(treg.sort_index(), own.sort_index(), check_names=False)
    assert set(found.loc[found["CPTEST"] == "Treg, % of CD4", "CPSBMRKS"]) == {"CD3+CD4+CD8-CD25hiCD127lo"}
    none = found["CPSTRESN"].isna()
    assert none.sum() == 2 * counts["percent_of_parent"].isna().sum()
    assert found["CPSTAT"].eq("NOT DONE").equals(none)
    assert found.loc[none, "CPREASND"].notna().all()
    assert not found.duplicated(["USUBJID", "CPSEQ"]).any()
    assert found.groupby("CPTESTCD")["CPTEST"].nunique().eq(1).all()


def test_a_withheld_share_is_empty_everywhere(run: Run) -> None:
    counts = run.counts.copy()
    row = counts.index[(counts["population"] == "Treg")][0]
    counts.loc[row, ["percent_of_parent", "flag"]] = [np.nan, "implausible"]
    held = replace(run, tables={**run.tables, "counts": counts})
    from immunolab.exports.immport import immport_rows
    from immunolab.exports.sdtm import _populations

    mine = immport_rows(held).query("`Population Name Reported` == 'Treg'").iloc[:2]
    assert mine["Population Statistic (count, percentile, etc)"].tolist() == ["", ""]
    assert mine["Comments"].str.startswith("withheld: implausible").all()
    cp = _populations(held)
    cp = cp[(cp["CPREFID"] == counts.loc[row, "sample_id"]) & cp["test"].str.startswith("Treg ")]
    assert cp["CPORRES"].tolist() == ["", ""]
    assert cp["CPREASND"].tolist() == ["implausible", "implausible"]


def test_immport_has_hipc_definitions(run: Run) -> None:
    (path, readme) = il.export(run, format="immport")
    table = (
        pd.read_csv(path, sep="\t", keep_default_na=False)
        .set_index(["Expsample ID", "Population Name Reported"])
        .sort_index()
    )
    counts = pd.read_csv(run.folder / "tables/counts.csv").query("population != 'root'")
    assert len(table) == 2 * len(counts)
    one = table.loc[("SLE001_W0", "Treg")]
    assert one["Gating Definition Reported"].unique().tolist() == ["CD3+CD4+CD8-CD25hiCD127lo"]
    assert one["Parent Population Reported"].tolist() == ["CD4", "CD4"]
    assert "identifiers of the sample sheet" in readme.read_text()
    lineage = {"/CD3": "CD3.CD3pos", "/CD3/CD4": "CD4.CD4posCD8neg", "/CD3/CD4/naive": "CD4_naive.CD45RAposCCR7pos"}
    assert definition_string("/CD3/CD4/naive", lineage) == "CD3+CD4+CD8-CD45RA+CCR7+"
    assert definition_string("/singlets", {"/singlets": ""}) == ""


def test_exports_for_trials_are_verified_where_they_exist(run: Run, tmp_path: Path) -> None:
    copy = il.read_run(shutil.copytree(run.folder, tmp_path / "out", ignore=shutil.ignore_patterns("exports", "cache")))
    il.export(copy, format="immport")
    il.export(copy, format="ro-crate")
    il.export(copy, format="sdtm", out=tmp_path / "elsewhere")
    assert sorted(json.loads((copy.folder / "exports/record.json").read_text())) == ["immport", "ro-crate"]
    assert list(export_problems(copy.folder)) == []
    table = copy.folder / "exports/immport/FCM_Derived_data.txt"
    whole = table.read_text()
    table.write_text(whole.replace("SLE001", "SLE002", 1))
    (copy.folder / "exports/immport/README.txt").unlink()
    said = [(one.file, one.message) for one in export_problems(copy.folder)]
    assert said == [
        ("exports/immport/FCM_Derived_data.txt", "differs from the one that was exported"),
        ("exports/immport/README.txt", "was exported and is missing"),
    ]
    assert set(said) <= {(one.file, one.message) for one in verify(copy)}
    il.export(copy, format="immport")
    write_run(replace(copy, seed=8))
    assert [one.message for one in export_problems(copy.folder)] == [
        "the export immport was made of another run",
        "the export ro-crate was made of another run",
    ]
    (copy.folder / "exports/record.json").write_text('{"immport": {"made_of": ')  # cut short
    (problem,) = export_problems(copy.folder)
    assert (problem.file, problem.message) == ("exports/record.json", "cannot be read: no export was compared")


def test_names_that_share_a_code_are_all_named_at_once() -> None:
    with pytest.raises(InputError) as caught:
        short_codes(["CRP", "crp", "IgG", "IGG", "ALT", "CRP"])
    assert [(one.place, one.message) for one in caught.value.problems] == [
        ("CRP", "is the code of CRP and of crp"),
        ("IGG", "is the code of IgG and of IGG"),
    ]


def test_single_cells_are_no_flow_cytometry(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from immunolab.exports.adam import parameter
    from immunolab.exports.immport import immport_rows
    from immunolab.exports.sdtm import _populations

    first, *others = run.study.samples
    mixed = replace(run, study=replace(run.study, samples=(replace(first, modality="single_cell"), *others)))
    cp = _populations(mixed)
    method = cp.groupby("CPREFID")["CPMETHOD"].unique().map(list)
    assert method.pop(first.sample_id) == ["SINGLE-CELL SEQUENCING"]
    assert all(found == ["FLOW CYTOMETRY"] for found in method)
    by_cells = replace(run.declared["treg_pct_cd4"], repeats="treg_of_flow")
    in_flow = parameter(run, "treg_pct_cd4")
    monkeypatch.setitem(run.declared, "treg_pct_cd4", by_cells)
    assert parameter(run, "treg_pct_cd4") == f"{in_flow}, single cells"
    sent = set(immport_rows(mixed)["Expsample ID"])
    assert sent == {s.sample_id for s in others if not s.control_of}


def test_the_crate_is_read_back_with_every_file(run: Run) -> None:
    (path,) = il.export(run, format="ro-crate")
    manifest = json.loads((run.folder / "manifest.json").read_text())
    graph = {one["@id"]: one for one in json.loads(path.read_text())["@graph"]}
    action = graph["#run"]
    assert action["@type"] == "CreateAction"
    assert "agent" not in action
    assert {graph[one["@id"]]["name"]: graph[one["@id"]]["sha256"] for one in action["object"]} == manifest["inputs"]
    made = {one["@id"]: graph[one["@id"]]["sha256"] for one in action["result"] if one["@id"] != "manifest.json"}
    assert made == manifest["outputs"]
    keys = ("object", "result", "hasPart")
    linked = [link["@id"] for one in graph.values() for key in keys for link in one.get(key, [])]
    assert set(linked) <= graph.keys()  # nothing is named and not described
    rocrate = pytest.importorskip("rocrate.rocrate")
    crate = rocrate.ROCrate(run.folder)
    assert crate.dereference("#run")["instrument"]["name"] == "immunolab"
    assert crate.dereference("tables/endpoints.csv")["sha256"] == manifest["outputs"]["tables/endpoints.csv"]
    (path,) = il.export(run, format="ro-crate", agent="https://orcid.org/0000-0000-0000-0000")
    assert '"agent"' in path.read_text()


def test_a_container_opens_again_with_the_same_counts(run: Run, tmp_path: Path) -> None:
    path = next(p for p in il.export(run, format="acs", out=tmp_path / "acs") if p.suffix == ".acs")
    found = il.read_acs(path, tmp_path / "unpacked")
    assert [one.sample_id for one in found] == [s.sample_id for s in run.samples]
    for one in found[:2]:
        again = il.gate(il.read_fcs(one.fcs), one.gates).counts.set_index("path")["n_events"]
        own = run.counts[run.counts["sample_id"] == one.sample_id].set_index("path")["n_events"]
        assert again.to_dict() == own.loc[again.index].to_dict()
        assert len(again) == len(own)
    first = path.read_bytes()
    il.export(run, format="acs", out=tmp_path / "acs")
    assert path.read_bytes() == first
    with zipfile.ZipFile(tmp_path / "bad.acs", "w") as bad:
        bad.writestr("TOC1.xml", zipfile.ZipFile(path).read("TOC1.xml").replace(b"file:///fcs/", b"file:///../fcs/"))
    with pytest.raises(DataFileError, match="names a file outside of itself"):
        il.read_acs(tmp_path / "bad.acs", tmp_path / "bad")
    with pytest.raises(DataFileError, match="cannot be read"):
        il.read_acs(run.folder / "manifest.json", tmp_path)


def test_dates_of_measurements_are_said(run: Run, tmp_path: Path) -> None:
    dated = replace(run, tables={**run.tables, "measurements": run.table("measurements").assign(date="2024-05-17")})
    for one, said in ((run, False), (dated, True)):
        files = il.export(one, format="sdtm", out=tmp_path / str(said))
        assert ("LBDTC has the dates" in files[-1].read_text()) is said
        assert ("2024-05-17" in (tmp_path / str(said) / "lb.csv").read_text()) is said


def test_verify_stays_green_and_mistakes_are_named(run: Run, adam: pd.DataFrame) -> None:
    assert main(["verify", str(run.folder)]) == 0
    with pytest.raises(InputError, match=r"'adm' is unknown\n.*adam"):
        il.export(run, format="adm")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="adam names nobody"):
        il.export(run, format="adam", agent="me")
    assert main(["export", str(run.folder / "nowhere"), "--format", "adam"]) == 1
