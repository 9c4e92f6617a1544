"""Stimulated less unstimulated: R, a library's interval, false calls, tables, studies, published data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import stimulated_tubes as benchmark
from builders import REFERENCE, data_folder
from statsmodels.stats.proportion import confint_proportions_2indep

import immunolab as il
from immunolab.cli import main
from immunolab.comparison.background import TubeNoise, background_corrected, calls, tube_noise
from immunolab.errors import InputError
from immunolab.report.verify_stimulation import stimulation_differences
from immunolab.schema.stimulation import STIMULATION

DATA, R = (pd.read_csv(REFERENCE / "statistics" / f"background{end}.csv") for end in ("", "_R"))
KNOWN = TubeNoise(0.0, np.inf, "counting alone")


def corrected(rows: pd.DataFrame, noise: TubeNoise):
    tubes = np.stack([np.ones(len(rows)), rows["tubes"]], axis=1)
    return background_corrected(
        rows[["n_stimulated", "n_control"]], rows[["of_stimulated", "of_control"]], tubes, noise
    )


@pytest.mark.parametrize("row", range(len(DATA)))
def test_difference_limits_and_p_agree_with_root_finding_in_r(row: int) -> None:
    own = DATA.iloc[[row]]
    found = corrected(own, TubeNoise(own["cv"].iloc[0], own["df"].iloc[0], ""))
    for name in ("difference", "ci_low", "ci_high"):
        assert getattr(found, name)[0] == pytest.approx(R[name][row], rel=1e-5, abs=1e-9)
    assert found.p_value[0] == pytest.approx(R["p_value"][row], rel=1e-4)


def test_with_counting_alone_the_interval_is_newcombes() -> None:
    found = corrected(DATA, KNOWN)
    for i, row in enumerate(DATA.itertuples()):
        limits = confint_proportions_2indep(
            row.n_stimulated, row.of_stimulated, row.n_control, row.of_control, method="newcomb"
        )
        assert (found.ci_low[i], found.ci_high[i]) == pytest.approx([100 * v for v in limits], rel=1e-4)


def test_swapping_the_tubes_turns_the_sign_and_nothing_is_cut_at_zero() -> None:
    noise = TubeNoise(0.2, np.inf, "")
    there = background_corrected([[5, 60]], [[40_000, 50_000]], [[1, 1]], noise)
    back = background_corrected([[60, 5]], [[50_000, 40_000]], [[1, 1]], noise)
    assert there.difference[0] == pytest.approx(100 * (5 / 40_000 - 60 / 50_000))
    assert (there.ci_low[0], there.ci_high[0]) == pytest.approx((-back.ci_high[0], -back.ci_low[0]))
    assert there.p_value[0] == pytest.approx(back.p_value[0])
    assert list(calls(there)) == ["below_background"]
    assert list(calls(back)) == ["response"]


def test_equal_tubes_and_empty_ones() -> None:
    found = background_corrected(
        [[10, 10], [0, 0], [3, 0]], [[1000, 1000], [1000, 500], [0, 1000]], np.ones((3, 2)), KNOWN
    )
    assert found.p_value[:2] == pytest.approx([1.0, 1.0])
    assert list(calls(found)) == ["no_response", "no_response", "not_evaluable"]
    assert np.isnan(found.difference[2])


def test_noise_between_tubes_is_found_in_replicates_and_few_events_say_nothing_of_it() -> None:
    rng = np.random.default_rng(4)
    cells = np.full((200, 2), 100_000)
    many = rng.binomial(cells, 0.005 * np.exp(rng.normal(0, 0.25, cells.shape)))
    assert tube_noise(list(many), list(cells)).cv == pytest.approx(0.25, rel=0.15)
    few = rng.binomial(cells[:6], 2e-5)
    assert tube_noise(list(few), list(cells[:6])).source.startswith("assumed")
    assert tube_noise(list(few), list(cells[:6]), 0.1).cv == 0.1
    assert tube_noise([], []).cv == 0.2


@pytest.mark.parametrize("cell", [{"share": 2e-4}, {"share": 1e-3}, {"share": 1e-2}])
@pytest.mark.parametrize(("between", "replicates"), [(0.0, 0), (0.2, 0), (0.2, 8), (0.3, 8)])
def test_tubes_without_a_response_are_called_one_in_forty(cell, between: float, replicates: int) -> None:
    drawn = benchmark.simulate(np.random.default_rng(8), 60, cells=50_000, between=between, **cell)
    up, down, held = benchmark.called(*drawn, replicates)
    assert up < 0.045  # 960 tubes of 60 studies, nominal 0.025; tubes of a study share their noise
    assert down < 0.045
    assert held > 0.92


def test_equal_binomials_call_tubes_that_differ_as_tubes_do() -> None:
    drawn = benchmark.simulate(np.random.default_rng(8), 60, cells=50_000, between=0.2, share=1e-2)
    assert benchmark.called(*drawn, 0, binomial=True)[0] > 0.2
    assert benchmark.called(*drawn, 0)[0] < 0.045


def tubes(*, response: float = 8.0, replicates: int = 2, seed: int = 3) -> pd.DataFrame:
    """Return eight patients whose response halves, counted in a stimulated tube and its controls."""
    rng, rows = np.random.default_rng(seed), []
    for patient in range(8):
        for visit, fold in (("W0", response), ("W10", response / 2)):
            level = 0.0005 * np.exp(rng.normal(0, 0.4))
            for stimulus, times in (("SEB", fold), *[("none", 1.0)] * replicates):
                n = int(40_000 * np.exp(rng.normal(0, 0.3)))
                rows.append((f"P{patient}", visit, stimulus, rng.binomial(n, level * times), n))
    return pd.DataFrame(rows, columns=["id", "visit", "stim", "events", "cells"])


NAMES = {"patient": "id", "visit": "visit", "stimulation": "stim", "unstimulated": "none"}
COUNTS = {"count": "events", "parent_count": "cells"}


def test_compare_takes_the_control_off_each_tube() -> None:
    table = tubes()
    found = il.compare(table, before="W0", after="W10", **NAMES, **COUNTS)
    share = 100 * table["events"] / table["cells"]
    stimulated = share[table["stim"] == "SEB"].to_numpy()
    own = table[table["stim"] == "none"].groupby(["id", "visit"])[["events", "cells"]].sum()
    expected = stimulated - (100 * own["events"] / own["cells"]).to_numpy()
    assert found.stimulation["difference"].to_numpy() == pytest.approx(expected)
    row = found.shifts.iloc[0]
    assert (row["unit"], row["estimate_scale"], row["n_pairs"]) == ("percentage points", "identity", 8)
    assert row["estimate"] == pytest.approx((expected[1::2] - expected[::2]).mean())
    assert "8 of 8 respond" in found.summary()
    assert set(found.pairs["verdict"]) <= {"rise", "fall", "within_noise"}
    assert found.pairs["df"].notna().all()


def test_several_stimuli_are_endpoints_of_their_own() -> None:
    table = tubes()
    more = table[table["stim"] == "SEB"].assign(stim="CMV")
    found = il.compare(pd.concat([table, more], ignore_index=True), before="W0", after="W10", **NAMES, **COUNTS)
    assert list(found.shifts["endpoint"]) == ["events, SEB", "events, CMV"]
    assert found.shifts["estimate"].nunique() == 1


def test_the_command_writes_the_tubes(tmp_path, capsys) -> None:
    tubes().to_csv(tmp_path / "ics.csv", index=False)
    words = "--patient id --visit visit --before W0 --after W10 --count events --parent-count cells"
    more = f"--stimulation stim --unstimulated none -o {tmp_path / 'out.csv'}"
    assert main(["compare", str(tmp_path / "ics.csv"), *words.split(), *more.split()]) == 0
    written = STIMULATION.read(tmp_path / "out_stimulation.csv")
    assert len(written) == 16
    assert "8 of 8 respond" in capsys.readouterr().out


def test_faults_are_named_together() -> None:
    table = tubes()
    twice = pd.concat([table, table[table["stim"] == "SEB"]], ignore_index=True)
    with pytest.raises(InputError, match=r"no row has the stimulus 'unstim'\n.*stimuli: SEB, none"):
        il.background_corrected(twice, **NAMES | {"unstimulated": "unstim"}, **COUNTS)
    with pytest.raises(InputError) as caught:
        il.compare(twice.assign(value=1.0), before="W0", after="W10", value="value", unit="pg/ml", **NAMES)
    assert "percentages, not of 'pg/ml'" in str(caught.value)
    assert "16 stimulated tube(s) are there already" in str(caught.value)


def test_a_tube_without_its_control_has_no_difference() -> None:
    table = tubes()
    lost = (table["id"] == "P3") & (table["visit"] == "W10") & (table["stim"] == "none")
    found = il.compare(table[~lost], before="W0", after="W10", **NAMES, **COUNTS)
    assert found.shifts["n_pairs"].iloc[0] == 7
    row = found.stimulation[found.stimulation["call"] == "not_evaluable"].iloc[0]
    assert (row["patient_id"], row["visit"]) == ("P3", "W10")
    assert row["reason"] == "no unstimulated tube of the same patient, visit and panel"
    assert np.isnan(row["difference"])


def test_published_tubes_keep_their_negative_differences() -> None:
    table = pd.read_csv(data_folder("flow/covidflu_ics") / "flow_freq_totarget_cytokine_subsets.csv")
    table["what"] = table["celltype"] + " " + table["cytokine"]
    names = {"patient": "alt.subject.id", "stimulation": "stim", "unstimulated": "unstim", "endpoint": "what"}
    found = il.background_corrected(table, value="value", **names)
    unique = table.drop_duplicates()
    wide = unique.pivot_table(index=["alt.subject.id", "what"], columns="stim", values="value")
    expected = wide.drop(columns="unstim").sub(wide["unstim"], axis=0).stack()
    assert len(found) == len(expected) == 2771
    assert int((found["difference"] < 0).sum()) == int((expected < -1e-12).sum()) == 49
    assert found["difference"].sum() == pytest.approx(expected.sum())
    assert set(found["call"]) == {"not_evaluable"}
    # cells of each share drawn anew: strong stimuli respond, IL-18 alone hardly does in CD4
    rng = np.random.default_rng(0)
    counted = unique.assign(cells=40_000, events=rng.binomial(40_000, unique["value"] / 100))
    called = il.background_corrected(counted, count="events", parent_count="cells", **names)
    share = called.assign(yes=called["call"] == "response").groupby("stimulation")["yes"].mean()
    assert share["aCD3CD28"] > 0.98
    assert share["IL18"] < 0.75


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A run of simulated tubes: six patients, one lost control, the drug without effect."""
    root = tmp_path_factory.mktemp("ics")
    words = "--patients 6 --seed 11 --visits W0,W10 --events 12000 --ics --null"
    assert main(["simulate", "--trial", "sle_nct02084238", *words.split(), "-o", str(root / "study")]) == 0
    sheet = pd.read_csv(root / "study" / "samples.csv", dtype=str, keep_default_na=False)
    sheet = sheet[(sheet["panel"] == "ics") & (sheet["sample_id"] != "SLE002_W10_unstimulated")]
    sheet.to_csv(root / "study" / "samples.csv", index=False)
    text = """study: ics
trial: sle_nct02084238
panels: {ics: {strategy: th_ics}}
comparison: {before: W0, after: W10}
endpoints:
  - {id: th1_ics, statistic: stimulated_minus_unstimulated, population: Th1_ICS, parent: CD3CD8neg, source: test}
  - {id: th17_seb, statistic: stimulated_minus_unstimulated, population: Th17_ICS, parent: CD3CD8neg,
     stimulation: SEB, source: test}
"""
    (root / "study" / "study.yaml").write_text(text, encoding="utf-8")
    return root / "study", il.run(root / "study", out=root / "out")


def test_simulated_tubes_read_what_was_planted(study) -> None:
    folder, run = study
    truth = pd.read_csv(folder / "truth" / "populations.csv").query("population == 'Th1_ICS'").set_index("sample_id")
    table = run.table("stimulation").set_index("sample_id")
    assert len(table) == 12
    known = table["difference"].dropna()
    assert known.to_numpy() == pytest.approx(truth["percent_of_parent"][known.index].to_numpy(), rel=0.08)
    assert (table.loc[known.index, "call"] == "response").all()
    assert table.at["SLE002_W10_ics", "call"] == "not_evaluable"


def test_a_lost_control_withholds_one_visit_and_a_stimulus_that_is_not_there_is_named(study) -> None:
    _, run = study
    rows = run.endpoints[run.endpoints["endpoint"] == "th1_ics"].set_index("sample_id")
    assert pd.isna(rows.at["SLE002_W10_ics", "value"])
    assert "no_unstimulated" in rows.at["SLE002_W10_ics", "flag"]
    assert run.shifts.set_index("endpoint").at["th1_ics", "n_pairs"] == 5
    assert any("'SEB'" in note and "th17_seb" in note for note in run.notes)
    assert any(path.name.startswith("stimulation_") for path in (run.folder / "figures").glob("*.png"))


def test_a_study_of_differences_alone_has_no_heat_map_of_ratios(study) -> None:
    _, run = study
    assert set(run.pairs["shift_scale"].dropna()) == {"identity"}
    names = [path.name for path in (run.folder / "figures").iterdir()]
    assert names
    assert not [name for name in names if name.startswith("heatmap") and not name.startswith("heatmap_measured")]


def test_verify_computes_the_tubes_again_and_names_a_changed_number(study, tmp_path) -> None:
    _, run = study
    assert list(stimulation_differences(run)) == []
    path = run.folder / "tables" / "stimulation.csv"
    kept = path.read_bytes()
    for column, value in (("n_events_unstimulated", 77), ("difference", 1.5), ("ci_low", 0.5)):
        table = STIMULATION.read(path)
        table.loc[0, column] = value
        STIMULATION.write(table, path)
        found = list(map(str, stimulation_differences(run)))
        path.write_bytes(kept)
        assert any(column in text for text in found), column


def test_sheet_without_an_unstimulated_tube_is_refused(tmp_path) -> None:
    (tmp_path / "a.fcs").write_bytes(b"")
    (tmp_path / "samples.csv").write_text(
        "sample_id,patient_id,visit,file,stimulation\ns1,P1,W0,a.fcs,PMA\ns2,P1,W0,a.fcs,unstim\n", encoding="utf-8"
    )
    (tmp_path / "study.yaml").write_text("study: s\n", encoding="utf-8")
    with pytest.raises(
        InputError, match="no tube is 'unstimulated', so that stimulated ones have no control: PMA, unstim"
    ):
        il.read_study(tmp_path)
