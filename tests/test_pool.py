"""Pooling of finished runs: metafor, level and coverage, refusals, the command, verify."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pooling as benchmark
import pytest
import report_fixture
from builders import REFERENCE

import immunolab as il
from immunolab.cli import main
from immunolab.comparison.meta_analysis import pooled
from immunolab.comparison.plan import Compared, Plan
from immunolab.comparison.table import compare_endpoints
from immunolab.errors import InputError
from immunolab.report.verify_pool import verify_pool
from immunolab.results.record import write_run
from immunolab.schema.pooling import POOLED, STUDIES

DATA = pd.read_csv(REFERENCE / "statistics" / "meta_analysis.csv")
R = pd.read_csv(REFERENCE / "statistics" / "meta_analysis_R.csv", skipinitialspace=True)
MODELS = {"REML": "reml", "PM": "paule_mandel", "EE": "common"}
_MOST_OF_METAFOR = 99.0  # metafor looks for limits of the variance up to 100


@pytest.mark.parametrize("row", range(len(R)))
def test_means_and_variances_agree_with_metafor(row: int) -> None:
    expected = R.iloc[row]
    own = DATA[DATA["set"] == expected["set"]]
    found = pooled(own["estimate"], own["se"], MODELS[expected["model"]])
    for name in ("estimate", "se", "ci_low", "ci_high", "p_value", "tau2", "factor", "q", "q_p_value", "i2"):
        assert getattr(found, name) == pytest.approx(expected[name], rel=1e-5, abs=1e-8, nan_ok=True), name
    for name in ("tau2_low", "tau2_high", "predicted_low", "predicted_high"):
        if not expected[name] > _MOST_OF_METAFOR:
            assert getattr(found, name) == pytest.approx(expected[name], rel=1e-4, abs=2e-5, nan_ok=True), name
    assert found.weights[0] == pytest.approx(expected["weight_1"])


def test_five_small_studies_are_covered_whether_they_differ_or_not() -> None:
    for tau in (0.0, 0.3):
        row = benchmark.measure(7, 600, {"studies": 5, "tau": tau})
        assert row["covers"] > 0.93
        assert row["predicts"] > 0.86  # 0.89 to 0.94 in docs/validation_statistics.md: five studies say little of tau
    assert benchmark.measure(7, 600, {"studies": 5, "tau": 0.3})["covers_common"] < 0.8


def runs(folder, n: int = 3, **changes):
    """Return finished runs of studies of their own patients and files."""
    made = []
    for k in range(n):
        frames = report_fixture.tables(n_patients=8, seed=20 + k)
        frames["endpoints"]["patient_id"] = f"S{k}-" + frames["endpoints"]["patient_id"].astype(str)
        plan = Plan("W0", "W10", roles=report_fixture.ROLES)
        again = compare_endpoints(frames["endpoints"], plan)
        frames |= {"pairs": again.pairs, "shifts": again.shifts, "noise": again.noise}
        compared = Compared(plan, tuple(frames["endpoints"]["endpoint"].unique()))
        study = folder / f"study{k}"
        study.mkdir(exist_ok=True)
        inputs = {f"fcs/P{p:02d}_W0.fcs": f"{k}{p}" for p in range(1, 9)}
        run = report_fixture.finished_run(
            frames, folder=study, out=folder / f"out{k}", compared=(compared,), inputs=inputs
        )
        run = replace(run, study=replace(run.study, name=f"study {k}"))
        (folder / f"out{k}").mkdir(exist_ok=True)
        write_run(run)
        made.append(run)
    return made


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pool")
    return folder, runs(folder)


def changed(run, table: str, **columns):
    """Return a run with columns of a table changed."""
    return replace(run, tables={**run.tables, table: run.tables[table].assign(**columns)})


def test_runs_are_pooled_on_the_scale_they_were_compared_on(finished) -> None:
    _, made = finished
    found = il.pool(made, endpoint="treg_pct_cd4")
    rows = [run.shifts.set_index("endpoint").loc["treg_pct_cd4"] for run in made]
    assert found.studies["estimate"].to_numpy() == pytest.approx([row["estimate"] for row in rows])
    own = [run.pairs[(run.pairs["endpoint"] == "treg_pct_cd4") & run.pairs["shift"].notna()]["shift"] for run in made]
    errors = [shift.std(ddof=1) / np.sqrt(len(shift)) for shift in own]
    assert found.studies["se"].to_numpy() == pytest.approx(errors)
    assert list(found.studies["n_patients"]) == [len(shift) for shift in own]
    mean = found.summary.set_index("model").loc["reml"]
    assert mean["estimate"] == pytest.approx(pooled([r["estimate"] for r in rows], errors).estimate)
    assert mean["fold"] == pytest.approx(np.exp(mean["estimate"]))
    assert found.studies["weight"].sum() == pytest.approx(100)
    assert "prediction interval" in repr(found)


def test_the_command_writes_tables_forest_and_manifest_that_verify_derives_again(finished, tmp_path, capsys) -> None:
    folder, _ = finished
    words = [str(folder / f"out{k}") for k in (2, 0, 1)]  # in whatever order
    out = tmp_path / "pooled"
    assert main(["pool", *words, "--endpoint", "treg_pct_cd4", "-o", str(out)]) == 0
    assert "mean odds ratio" in capsys.readouterr().out
    assert len(STUDIES.read(out / "tables" / "studies.csv")) == 3
    assert (out / "figures" / "forest.png").exists()
    assert main(["verify", str(out)]) == 0
    for table, column in ((STUDIES, "weight"), (POOLED, "tau_high")):
        path = out / "tables" / f"{table.name}.csv"
        kept = path.read_bytes()
        frame = table.read(path)
        frame.loc[0, column] = 12.5
        table.write(frame, path)
        text = "\n".join(map(str, verify_pool(out)))
        path.write_bytes(kept)
        assert f"{column} is 12.5" in text
        assert "sha256" in text


def test_a_run_that_changed_after_pooling_is_named(tmp_path) -> None:
    made = runs(tmp_path)
    il.pool(made, endpoint="treg_pct_cd4", out=tmp_path / "pooled")
    assert verify_pool(tmp_path / "pooled") == []
    write_run(replace(made[1], seed=made[1].seed + 1))
    assert "../out1  the run is another than the one that was pooled" in str(verify_pool(tmp_path / "pooled")[0])


def test_studies_that_differ_are_refused_with_every_reason(finished) -> None:
    _, made = finished
    other = changed(made[1], "endpoints", definition="Treg.other", parent="lymphocytes")
    other = changed(other, "shifts", contrast="W24 - W0", estimate_scale="identity")
    with pytest.raises(InputError) as caught:
        il.pool([made[0], other, made[2]], endpoint="treg_pct_cd4")
    text = str(caught.value)
    for words in (
        "CD4 in study 0, study 2; lymphocytes in study 1",
        "Treg.other in study 1",
        "W24 - W0",
        "identity in study 1",
    ):
        assert words in text
    assert "--different contrast" in text


def test_visits_may_differ_where_that_is_said(finished) -> None:
    _, made = finished
    other = changed(made[1], "shifts", contrast="W24 - W0")
    with pytest.raises(InputError, match="--different contrast"):
        il.pool([made[0], other], endpoint="treg_pct_cd4")
    found = il.pool([made[0], other], endpoint="treg_pct_cd4", different=["contrast"])
    assert found.summary["different"].iloc[0] == "contrast"
    assert "W24 - W0" in found.notes[-1]
    assert np.isnan(found.summary["predicted_low"].iloc[0])  # two studies say nothing of a third


def test_no_patient_is_in_two_studies_unsaid(finished) -> None:
    folder, made = finished
    codes = made[0].pairs["patient_id"].str.replace("S0-", "S1-")
    found = il.pool([changed(made[0], "pairs", patient_id=codes), made[1]], endpoint="treg_pct_cd4")
    assert "patient code(s) are in several runs (S1-P01" in found.notes[0]
    assert found.studies["shared_patients"].str.contains("S1-P01").all()
    copy = replace(made[0], folder=folder / "copy")
    with pytest.raises(InputError) as caught:
        il.pool([made[0], copy, made[1], made[1]], endpoint="treg_pct_cd4")
    assert "sample file(s) that out0 holds too" in str(caught.value)
    assert "the run is named twice" in str(caught.value)


def test_missing_endpoints_untested_ones_and_folders_without_a_run_are_refused(finished, tmp_path) -> None:
    folder, made = finished
    with pytest.raises(InputError) as caught:
        il.pool(
            [*made, changed(made[0], "shifts", ci_low=np.nan, method="not tested: 2 pairs")], endpoint="treg_pct_cd4"
        )
    assert "treg_pct_cd4 has no interval: not tested: 2 pairs" in str(caught.value).replace(" of SLE", "")
    with pytest.raises(InputError, match="does not compare 'treg_pct_cd'") as caught:
        il.pool(made, endpoint="treg_pct_cd")
    assert len(caught.value.problems) >= 3
    assert "did you mean 'treg_pct_cd4'?" in str(caught.value)
    with pytest.raises(InputError) as caught:
        il.pool([tmp_path / "no", folder / "neither"], endpoint="treg_pct_cd4")
    assert str(caught.value).count("there is no run in this folder") == 2
    with pytest.raises(InputError, match="1 study: a mean needs two"):
        il.pool(made[:1], endpoint="treg_pct_cd4")


def test_runs_and_folders_on_an_object_store_are_refused_in_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    places = ["memory://lab/a", "s3://lab/b"]
    assert main(["pool", *places, "--endpoint", "treg_pct_cd4", "-o", "memory://lab/pooled"]) == 1
    said = capsys.readouterr().err
    for place in (*places, "memory://lab/pooled"):
        assert f"{place}  pool reads and writes folders of this machine, no object store" in said
    assert list(tmp_path.iterdir()) == []
