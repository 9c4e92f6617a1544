"""Levey-Jennings charts and what the first screen says of bridging controls."""

from __future__ import annotations

import math
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from test_bridges import values_of

from immunolab import pl
from immunolab.comparison.bridge_charts import chart_rows
from immunolab.comparison.bridged import bridged_tables
from immunolab.comparison.plan import Compared, Plan
from immunolab.comparison.table import compare_endpoints
from immunolab.errors import InputError
from immunolab.plots.levey_jennings import levey_jennings_page
from immunolab.report.bridge_texts import said_once
from immunolab.report.table_diff import differences
from immunolab.results.bridge_checks import refused_ways
from immunolab.results.findings.bridges import bridge_concerns, bridges_in_words
from immunolab.schema.bridges import BRIDGE_SHIFTS

SHARES = [0.050, 0.052, 0.049, 0.051, 0.050, 0.051, 0.100]


def run_of(**tables: pd.DataFrame) -> SimpleNamespace:
    return SimpleNamespace(
        table=lambda name: tables.get(name, pd.DataFrame()),
        label_of=lambda name: SimpleNamespace(measured=f"label of {name}"),
        study=SimpleNamespace(endpoints=(), trial=None, families=()),
        shifts=pd.DataFrame({"endpoint": []}),
    )


def test_a_chart_has_its_limits_and_the_far_run_is_set_apart() -> None:
    rows = chart_rows(values_of(SHARES), {f"B{i}": i for i in range(1, 8)})
    ax = pl.levey_jennings(run_of(bridges=rows), "treg")  # type: ignore[arg-type]
    levels = sorted(
        line.get_ydata()[0] for line in ax.lines if len(set(line.get_ydata())) == 1 and len(line.get_xdata()) == 2
    )
    names = ["low_3s", "low_2s", "centre", "high_2s", "high_3s"]
    assert levels == pytest.approx([rows[name].iloc[0] for name in names])
    crosses = next(line for line in ax.lines if line.get_marker() == "X")
    assert list(crosses.get_xdata()) == [6]
    assert ax.get_ylabel() == "treg, %"
    plt.close(ax.figure)


def test_a_run_without_a_value_stays_on_the_chart() -> None:
    rows = chart_rows(values_of(SHARES), {f"B{i}": i for i in range(1, 8)})
    rows.loc[2, "value"] = math.nan
    ax = pl.levey_jennings(run_of(bridges=rows), "treg")  # type: ignore[arg-type]
    (missing,) = (line for line in ax.lines if line.get_marker() == "x")
    assert list(missing.get_xdata()) == [2]
    assert [label.get_text() for label in ax.get_xticklabels()] == [f"B{i}" for i in range(1, 8)]
    dots = next(line for line in ax.lines if line.get_marker() == "o")
    assert list(dots.get_xdata()) == [0, 1, 3, 4, 5]
    plt.close(ax.figure)


def test_a_name_that_the_run_lacks_is_answered_with_those_it_has() -> None:
    rows = chart_rows(values_of(SHARES), {})
    with pytest.raises(InputError, match="did you mean 'treg'"):
        pl.levey_jennings(run_of(bridges=rows), "tregs")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="the run has no bridging control"):
        pl.levey_jennings(run_of(), "treg")  # type: ignore[arg-type]


def test_a_marker_of_two_panels_is_drawn_of_one() -> None:
    common = {"bridge": "HD01", "marker": "CD25", "landmark": "B", "status": "ok"}
    rows = pd.DataFrame(
        [
            common | {"panel": panel, "batch": f"B{run}", "run": run, "median": median + 0.1 * run}
            for panel, median in (("treg", 1.0), ("tfh", 3.0))
            for run in range(1, 5)
        ]
    )
    with pytest.raises(InputError, match="treg, tfh"):
        pl.levey_jennings(run_of(bridge_channels=rows), "CD25")  # type: ignore[arg-type]
    ax = pl.levey_jennings(run_of(bridge_channels=rows), "CD25", panel="tfh")  # type: ignore[arg-type]
    assert ax.lines[0].get_ydata()[0] == pytest.approx(3.25)  # the mean of that panel's runs
    assert ax.get_ylabel() == "CD25, median of B, display scale"
    plt.close(ax.figure)
    one = rows[rows["panel"] == "treg"].assign(panel=None)
    plt.close(pl.levey_jennings(run_of(bridge_channels=one), "CD25").figure)  # type: ignore[arg-type]


def test_the_first_screen_names_runs_beyond_their_limits() -> None:
    rows = chart_rows(values_of(SHARES), {f"B{i}": i for i in range(1, 8)})
    (kind, text), *others = bridge_concerns(run_of(bridges=rows))  # type: ignore[arg-type]
    assert kind == "quality"
    assert text.startswith("Bridging controls beyond 3 sd of their other runs: HD01 in batch B7: treg +")
    assert others == []


def rows_of(shift: int) -> pd.DataFrame:
    """Return six patients before (batch B1) and after (batch B2); all later counts are ``shift`` too high."""
    rows = [
        {"sample_id": f"P{i}_{visit}", "patient_id": f"P{i}", "visit": visit, "batch": batch, "n_events": n}
        for i in range(6)
        for visit, batch, n in (("W0", "B1", 500 + 10 * i), ("W10", "B2", 500 + 9 * i + shift))
    ]
    common = {"endpoint": "treg", "population": "Treg", "parent": "CD4", "unit": "%", "cohort": "A", "phase": ""}
    frame = pd.DataFrame([row | common | {"n_parent": 10_000, "flag": None} for row in rows])
    return frame.assign(value=frame["n_events"] / 100)


def test_where_visit_equals_batch_the_answer_is_beside_the_uncorrected_one_and_refusals_have_their_reason() -> None:
    rows, plan = rows_of(150), Plan("W0", "W10", test="t")
    made = compare_endpoints(rows, plan)
    counted = rows_of(0).rename(columns={"n_events": "n", "n_parent": "of"})[
        ["sample_id", "population", "parent", "n", "of"]
    ]
    counted = counted.assign(rule="bridge_follows", marker=None)
    further = counted[counted["sample_id"].str.endswith("W10")]
    further = further.assign(rule="bridge_error", marker="CD25", n=(further["n"] * 1.1).round())
    counted = pd.concat([counted, further])
    refused = {"P5_W10": "the bridge lacks CD25"}
    shares = {("Treg", "CD4"): "treg"}
    found = bridged_tables(rows, counted, shares, [Compared(plan, ("treg",), "")], refused, made.pairs, made.shifts)
    shift = found["bridge_shifts"].iloc[0]
    assert (shift["n"], shift["n_followed"], shift["n_refused"]) == (6, 5, 1)
    assert shift["fold"] > 1.25
    assert shift["fold_bridged"] == pytest.approx(1.0, abs=0.02)
    # one patient less than fold: odds of 650 + 9i and 500 + 10i of 10,000 for i of 0 to 4, mean of the logs
    odds = [math.log(n / (10_000 - n)) for i in range(5) for n in (500 + 10 * i, 650 + 9 * i)]
    assert math.log(shift["fold_same_pairs"]) == pytest.approx((sum(odds[1::2]) - sum(odds[::2])) / 5, abs=1e-3)
    # a tenth more cells within two standard errors: .05 on the log, however many patients share it
    assert shift["move_se"] == pytest.approx(0.05, abs=0.004)
    assert math.log(shift["ci_high_bridged"] / shift["fold_bridged"]) == pytest.approx(1.96 * 0.05, rel=0.1)
    assert shift["design"] == "visit equals batch"
    assert "Batch and visit coincide" in shift["answer"]
    assert "1 pair is left out: the bridge lacks CD25." in shift["answer"]
    lost = found["bridge_pairs"].set_index("patient_id").loc["P5"]
    assert (lost["outcome"], lost["sample_refused"], lost["reason"]) == ("refused", "P5_W10", "the bridge lacks CD25")
    assert pd.isna(lost["after_bridged"])
    counted = counted[counted["rule"] == "bridge_follows"]  # as older runs wrote it
    found = bridged_tables(rows, counted, shares, [Compared(plan, ("treg",), "")], refused, made.pairs, made.shifts)
    assert pd.isna(found["bridge_shifts"]["ci_low_bridged"].iloc[0])
    assert "limits are withheld" in found["bridge_shifts"]["answer"].iloc[0]
    assert found["bridge_pairs"]["verdict_bridged"].isna().all()


@pytest.mark.parametrize(("limit", "call"), [(0.01, "rise"), (2.0, "within_noise")])
def test_a_bridged_call_has_the_noise_that_was_measured_for_the_uncorrected_one(limit: float, call: str) -> None:
    rows, plan = rows_of(2000), Plan("W0", "W10", test="t")
    made = compare_endpoints(rows, plan)
    counted = rows.rename(columns={"n_events": "n", "n_parent": "of"})[["sample_id", "population", "parent", "n", "of"]]
    counted = counted.assign(rule="bridge_follows", marker=None)
    further = counted[counted["sample_id"].str.endswith("W10")].assign(rule="bridge_error", marker="CD25")
    pairs = made.pairs.assign(limit=limit)
    shares, one = {("Treg", "CD4"): "treg"}, Compared(plan, ("treg",), "")
    found = bridged_tables(rows, pd.concat([counted, further]), shares, [one], {}, pairs, made.shifts)
    assert set(found["bridge_pairs"]["verdict_bridged"]) == {call}


def test_a_pair_without_a_batch_is_not_called_one_of_one_batch() -> None:
    rows, plan = rows_of(150).assign(batch=None), Plan("W0", "W10", test="t")
    made = compare_endpoints(rows.drop(columns="batch"), plan)
    none = pd.DataFrame(columns=["sample_id", "population", "parent", "n", "of", "rule", "marker"])
    one = Compared(plan, ("treg",), "")
    found = bridged_tables(rows, none, {("Treg", "CD4"): "treg"}, [one], {}, made.pairs, made.shifts)
    shift = found["bridge_shifts"].iloc[0]
    assert shift["n_refused"] == 6
    assert shift["design"] == "batches differ within patients"
    assert "6 pairs are left out: the sheet names no batch of a tube." in shift["answer"]


def test_every_way_that_was_refused_is_on_the_first_screen_with_its_material_or_counted() -> None:
    moves = pd.DataFrame(
        [
            {"panel": None, "batch_from": "B1", "batch_to": f"B{i}", "bridge": "HD01", "outcome": "refused"}
            | {"marker": "", "population": ""}
            for i in range(2, 10)
        ]
    )
    said = [text for _, text in bridge_concerns(run_of(bridge_moves=moves.assign(reason="CD25: drifted alone")))]  # type: ignore[arg-type]
    assert said[0] == ("Borders do not follow the bridging control HD01 from batch B1 to B2: CD25: drifted alone.")
    assert said[-1] == "Nor between 2 more pairs of batches, which bridge_moves.csv has."


def refused_moves(*reasons: tuple[str, str, str]) -> pd.DataFrame:
    """Return rows of bridge_moves of one refused way: marker, population and reason."""
    way = {"panel": "surface", "batch_from": "B1", "batch_to": "B2", "bridge": "HD01", "outcome": "refused"}
    return pd.DataFrame([way | {"marker": m, "population": p, "reason": text} for m, p, text in reasons])


def test_a_reason_of_many_borders_is_said_once_with_the_populations_it_covers() -> None:
    moves = refused_moves(
        ("CD3", "CD3", "CD3 drifted"),
        ("CD25", "Treg", "CD25 faded"),
        ("CD25", "CD4_Teff", "CD25 faded"),
        ("CD8", "CD8", "CD3 drifted; CD25 faded"),
    )
    shown, title, texts = said_once("bridge_moves", moves)
    assert list(shown["reason"]) == ["1", "2", "2", "1, 2"]
    assert title == "Why borders do not follow the bridging control"
    assert [list(row) for row in texts.to_numpy()] == [
        ["1", "CD3 drifted", "batch B1 to B2: CD3 of CD3"],
        ["2", "CD25 faded", "batch B1 to B2: CD25 of Treg, CD4_Teff"],
    ]


def test_a_tube_that_is_refused_beside_a_sound_one_of_the_material_refuses_no_batch() -> None:
    moves = refused_moves(("CD3", "CD3", "CD3 drifted"), ("CD8", "CD8", "CD8 drifted"))
    sound = moves.iloc[:1].assign(outcome="followed", reason=None)
    (way,) = refused_ways(pd.concat([moves, sound]))
    assert way.reasons == ("CD8 drifted",)  # what no tube of it answers for
    assert refused_ways(pd.concat([moves, moves.assign(outcome="followed", reason=None)])) == []


def test_a_table_without_a_reason_has_no_column_and_no_list_of_them() -> None:
    moves = refused_moves(("CD3", "CD3", "")).assign(outcome="followed", reason=None)
    shown, _, texts = said_once("bridge_moves", moves)
    assert "reason" not in shown
    assert texts.empty


def test_pairs_that_are_left_out_for_one_reason_are_listed_by_shares_and_patients() -> None:
    pairs = pd.DataFrame(
        [
            {"patient_id": p, "endpoint": e, "reason": "CD25 faded" if e == "treg" or p == "P1" else None}
            for p in ("P1", "P2", "P3", "P4", "P5")
            for e in ("treg", "th17", "tfh")
        ]
    )
    shown, _, texts = said_once("bridge_pairs", pairs)
    assert list(shown["reason"]) == ["1", "1", "1", *["1", "", ""] * 4]
    assert texts["of"].tolist() == ["all 3 shares; all 5 patients"]
    _, _, texts = said_once("bridge_pairs", pairs.assign(reason=pairs["reason"].where(pairs["endpoint"] == "treg")))
    assert texts["of"].tolist() == ["treg; all 5 patients"]


def test_who_has_run_a_study_reads_whether_borders_followed_and_why_not() -> None:
    pairs = pd.DataFrame([{"endpoint": "treg", "outcome": outcome} for outcome in ("followed", "refused")])
    moves = refused_moves(("CD3", "CD3", "CD3 drifted"), ("CD8", "CD8", "CD3 drifted; CD25 faded"))
    said = bridges_in_words(run_of(bridge_pairs=pairs, bridge_moves=moves))  # type: ignore[arg-type]
    assert said[0].startswith("bridging control: borders followed for 1 of 2 changes of patients' shares")
    assert said[1:] == [
        "Borders do not follow the bridging control HD01 from batch B1 to B2 in panel surface: CD3 drifted; CD25 faded."
    ]
    assert bridges_in_words(run_of()) == []  # type: ignore[arg-type]


def test_a_pair_with_a_readers_gate_is_left_out_for_that_reason() -> None:
    rows, plan = rows_of(150), Plan("W0", "W10", test="t")
    rows.loc[rows["sample_id"] == "P2_W10", "flag"] = "below_override"
    made = compare_endpoints(rows, plan)
    counted = rows.rename(columns={"n_events": "n", "n_parent": "of"})[["sample_id", "population", "parent", "n", "of"]]
    counted = counted[counted["sample_id"] != "P2_W10"].assign(rule="bridge_follows", marker=None)
    one = Compared(plan, ("treg",), "")
    found = bridged_tables(rows, counted, {("Treg", "CD4"): "treg"}, [one], {}, made.pairs, made.shifts)
    lost = found["bridge_pairs"].set_index("patient_id").loc["P2"]
    assert lost["reason"] == "a gate that a reader placed follows no bridge"
    assert pd.isna(lost["sample_refused"])  # no bridge refused the tube, whose other endpoints are counted again
    assert "left out: a gate that a reader placed follows no bridge." in found["bridge_shifts"]["answer"].iloc[0]


def test_a_patient_who_missed_a_visit_is_not_said_to_have_a_tube_without_a_batch() -> None:
    rows, plan = rows_of(150), Plan("W0", "W10", test="t")
    rows = rows[rows["sample_id"] != "P2_W10"]
    made = compare_endpoints(rows, plan)
    counted = rows.rename(columns={"n_events": "n", "n_parent": "of"})[["sample_id", "population", "parent", "n", "of"]]
    counted, one = counted.assign(rule="bridge_follows", marker=None), Compared(plan, ("treg",), "")
    found = bridged_tables(rows, counted, {("Treg", "CD4"): "treg"}, [one], {}, made.pairs, made.shifts)
    assert found["bridge_pairs"].set_index("patient_id").loc["P2", "reason"] == "no value at W10"


def bridged_by(factor: list[float], placed: bool = True, by_reader: str = "") -> dict[str, pd.DataFrame]:
    """Return the tables of six patients whose later Treg are some times as many with borders that follow."""
    rows, plan = rows_of(150), Plan("W0", "W10", test="t")
    rows.loc[rows["sample_id"] == by_reader, "flag"] = "below_override"
    made = compare_endpoints(rows, plan)
    counted = rows.rename(columns={"n_events": "n", "n_parent": "of"})[["sample_id", "population", "parent", "n", "of"]]
    later = counted["sample_id"].str.endswith("W10").to_numpy()
    counted.loc[later, "n"] = (counted.loc[later, "n"] * factor).round().astype(int)
    counted = counted.assign(rule="bridge_follows", marker=None)
    further = counted[later].assign(rule="bridge_error", marker="CD25")
    counted = counted[counted["sample_id"] != by_reader]
    one, names = Compared(plan, ("treg",), ""), list(rows["sample_id"]) if placed else []
    shares = {("Treg", "CD4"): "treg"}
    return bridged_tables(rows, pd.concat([counted, further]), shares, [one], {}, made.pairs, made.shifts, names)


def test_a_bridge_that_moves_a_share_from_every_tubes_own_is_not_believed() -> None:
    wrong = [1.22, 1.3, 1.25, 1.2, 1.28, 1.24]
    found = bridged_by(wrong)
    assert set(found["bridge_pairs"]["outcome"]) == {"refused"}
    assert found["bridge_pairs"]["after_bridged"].isna().all()
    shift = found["bridge_shifts"].iloc[0]
    assert (shift["n_refused"], pd.isna(shift["fold_bridged"]), pd.isna(shift["unseen"])) == (6, True, True)
    assert "Not answered" in shift["answer"]
    assert "borders that follow the bridge change it by +27 % beside each tube's own (6 patients" in shift["answer"]
    said = [text for _, text in bridge_concerns(run_of(bridge_pairs=found["bridge_pairs"]))]  # type: ignore[arg-type]
    assert said[0].startswith("Borders that follow the bridging control and each tube's own disagree on 1 of 1 shares")
    assert "label of treg. One gate" in said[0]
    assert set(bridged_by(wrong, placed=False)["bridge_pairs"]["outcome"]) == {"followed"}  # drawn gates know no better


def test_a_readers_gate_is_the_reason_of_its_pair_where_the_others_disagree() -> None:
    found = bridged_by([1.22, 1.3, 1.25, 1.2, 1.28, 1.24], by_reader="P2_W10")["bridge_pairs"]
    reasons = found.set_index("patient_id")["reason"]
    assert reasons["P2"] == "a gate that a reader placed follows no bridge"
    assert reasons.drop("P2").str.startswith("borders that follow the bridge change it by").all()


def test_a_bridge_refused_in_one_panel_takes_no_share_of_another() -> None:
    rows = rows_of(150)
    other = {"endpoint": "naive", "population": "CD4_naive", "batch": "X1"}
    rows = pd.concat([rows, rows.assign(**other, sample_id="second_" + rows["sample_id"])], ignore_index=True)
    plan = Plan("W0", "W10", test="t")
    made = compare_endpoints(rows, plan)
    counted = rows.rename(columns={"n_events": "n", "n_parent": "of"})[["sample_id", "population", "parent", "n", "of"]]
    refused = {f"P{i}_W10": "the bridge lacks CD25" for i in range(6)}
    counted = counted[~counted["sample_id"].isin(list(refused))].assign(rule="bridge_follows", marker=None)
    one = Compared(plan, ("treg", "naive"), "")
    shares = {("Treg", "CD4"): "treg", ("CD4_naive", "CD4"): "naive"}
    found = bridged_tables(rows, counted, shares, [one], refused, made.pairs, made.shifts)
    outcomes = found["bridge_pairs"].groupby("endpoint")["outcome"].agg(set).to_dict()
    assert outcomes == {"treg": {"refused"}, "naive": {"followed"}}


def test_a_bridge_that_agrees_with_every_tubes_own_says_what_it_could_hide() -> None:
    scatter = np.array([0.04, -0.02, 0.03, -0.05, 0.02, 0.01])
    found = bridged_by(list(np.exp(scatter)))
    assert set(found["bridge_pairs"]["outcome"]) == {"followed"}
    assert found["bridge_shifts"]["unseen"].iloc[0] == pytest.approx(0.1)  # a tenth of the odds, whatever the spread
    wide = bridged_by(list(np.exp(5 * scatter)))["bridge_shifts"].iloc[0]
    error = math.hypot(
        (5 * scatter).std(ddof=1) / math.sqrt(6), 0.03
    )  # and what own borders of a batch err by together
    assert wide["unseen"] == pytest.approx(1.476 * error, rel=0.1)  # Student, 5 degrees of freedom, p = .2
    assert wide["n_followed"] == 6


def drawn_beside_data(follows: list[float]) -> dict[str, pd.DataFrame]:
    """Return the tables of drawn gates; data gates count a tenth more, later some times as many where they follow."""
    rows, plan = rows_of(150), Plan("W0", "W10", test="t")
    made = compare_endpoints(rows, plan)
    drawn = rows.rename(columns={"n_events": "n", "n_parent": "of"})[["sample_id", "population", "parent", "n", "of"]]
    drawn = drawn.assign(rule="bridge_follows", marker=None)
    stays = drawn.assign(rule="data_gates", n=(drawn["n"] * 1.1).round().astype(int))
    later, carried = stays["sample_id"].str.endswith("W10").to_numpy(), stays.assign(rule="data_gates_follow")
    carried.loc[later, "n"] = (carried.loc[later, "n"] * follows).round().astype(int)
    one, shares = Compared(plan, ("treg",), ""), {("Treg", "CD4"): "treg"}
    return bridged_tables(rows, pd.concat([drawn, stays, carried]), shares, [one], {}, made.pairs, made.shifts)


def test_drawn_gates_are_checked_by_gates_that_data_place_beside_them() -> None:
    right = drawn_beside_data([1.02, 0.98, 1.01, 1.0, 0.97, 1.03])
    assert set(right["bridge_pairs"]["outcome"]) == {"followed"}
    assert right["bridge_shifts"]["unseen"].iloc[0] == pytest.approx(0.1)
    wrong = drawn_beside_data([1.22, 1.3, 1.25, 1.2, 1.28, 1.24])
    assert set(wrong["bridge_pairs"]["outcome"]) == {"refused"}
    (reason,) = set(wrong["bridge_pairs"]["reason"])
    assert reason.startswith("borders that follow the bridge change it by +27 % beside each tube's own")
    assert reason.endswith("by gates that data place beside the drawn ones")


def test_patients_who_are_answered_otherwise_one_by_one_are_not_answered() -> None:
    found = bridged_by(list(np.exp([0.5, -0.5, 0.4, -0.4, 0.5, -0.5])))
    assert set(found["bridge_pairs"]["outcome"]) == {"refused"}
    assert "patient by patient" in found["bridge_shifts"]["answer"].iloc[0]


def bridged_of(rows: pd.DataFrame, shares: dict[tuple[str, str], str]) -> pd.DataFrame:
    """Return the shifts where borders that follow count what every tube's own did."""
    plan = Plan("W0", "W10", test="t")
    made = compare_endpoints(rows, plan)
    counted = rows.rename(columns={"n_events": "n", "n_parent": "of"})[["sample_id", "population", "parent", "n", "of"]]
    counted = counted.dropna().assign(rule="bridge_follows", marker=None)
    further = counted[counted["sample_id"].str.endswith("W10")]
    further = further.assign(rule="bridge_error", marker="CD25", n=(further["n"] * 1.1).round())
    one = Compared(plan, tuple(shares.values()), "")
    tables = pd.concat([counted, further]), shares, [one], {}, made.pairs, made.shifts, list(rows["sample_id"])
    return bridged_tables(rows, *tables)["bridge_shifts"]


def test_a_panel_whose_visits_are_batches_is_not_taken_for_one_that_has_one_batch_beside_it() -> None:
    other = {"endpoint": "naive", "population": "CD4_naive", "batch": "X1"}
    rows = rows_of(150)
    rows = pd.concat([rows, rows.assign(**other, sample_id="second_" + rows["sample_id"])], ignore_index=True)
    found = bridged_of(rows, {("Treg", "CD4"): "treg", ("CD4_naive", "CD4"): "naive"}).set_index("endpoint")
    assert found.loc["treg", "design"] == "visit equals batch"
    assert found.loc["treg", "move_se"] == pytest.approx(0.05, abs=0.005)
    assert found.loc["naive", "design"] == "one batch a patient"
    assert found.loc["naive", "move_se"] == 0.0
    assert pd.isna(found.loc["naive", "unseen"])


def test_a_cohort_in_one_batch_hides_nothing_and_one_without_a_pair_is_not_said_to_be_of_one_batch() -> None:
    rows = rows_of(150)
    more = [rows.assign(cohort=c, **{n: c + rows[n] for n in ("patient_id", "sample_id")}) for c in ("B", "C")]
    more[0] = more[0].assign(batch="B1")
    more[1].loc[more[1]["visit"] == "W10", ["value", "n_events"]] = np.nan
    found = bridged_of(pd.concat([rows, *more], ignore_index=True), {("Treg", "CD4"): "treg"}).set_index("cohort")
    assert found["unseen"].notna().to_dict() == {"A": True, "B": False, "C": False}
    assert found.loc["B", "answer"] == "Every patient's visits are of one batch: nothing had to follow."
    assert found.loc["C", "answer"] == "Not answered: the bridge can be used for 0 pairs."


def test_verify_passes_over_columns_that_an_earlier_run_did_not_write() -> None:
    again = bridged_by([1.02, 0.99, 1.0, 1.01, 0.98, 1.0])["bridge_shifts"]
    earlier = again.drop(columns=["fold_same_pairs", "unseen"]).assign(fold_bridged=again["fold_bridged"] * 1.1)
    numbers = ("fold_same_pairs", "fold_bridged", "unseen")
    (problem,) = differences(BRIDGE_SHIFTS, earlier, again, BRIDGE_SHIFTS.key, numbers)
    assert problem.message.startswith("fold_bridged is")


def test_a_chart_says_what_its_limits_are_and_nothing_of_limits_it_lacks() -> None:
    limits = {"centre": 10.0, "low_2s": 8.0, "high_2s": 12.0, "low_3s": 7.0, "high_3s": 13.0}
    rows = pd.DataFrame([{"batch": f"B{i}", "run": i, "value": 10.0 + i, "status": "ok", **limits} for i in range(4)])
    page = levey_jennings_page([("Treg", rows)])
    assert page.texts[0].get_text() == "batches, in run order; dotted: 2 SD, dashed: 3 SD"
    none = rows.assign(**dict.fromkeys(limits, None))
    assert levey_jennings_page([("Treg", none)]).texts[0].get_text() == "batches, in run order"
