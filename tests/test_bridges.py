"""Bridging controls: rows of the sheet, moves of channels, charts, CV, what contradicts a bridge."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path

import builders
import numpy as np
import pandas as pd
import pytest

from immunolab.comparison.bridge_charts import chart_rows, cv_rows, deviations
from immunolab.errors import InputError
from immunolab.events.storage import save_tube
from immunolab.events.transforms import Asinh
from immunolab.events.tube import Channel, Tube
from immunolab.gating.following.bridge import BridgeMoves, BridgeRefused, gated_events
from immunolab.gating.following.bridge_checks import LandmarkPlaces, contradicted, other_donor, stain_gone, statements
from immunolab.gating.following.channel_move import channel_move
from immunolab.gating.following.landmarks import heights, medians, positives
from immunolab.gating.following.lone_bridge import lone_tubes
from immunolab.gating.following.two_bridges import disagreement
from immunolab.gating.strategy import Dimension, Population, Rectangle, Strategy
from immunolab.gating.tube_gates import TubeGates
from immunolab.results.bridge_checks import bridge_checks
from immunolab.study.batch_order import batches_in_order
from immunolab.study.control_tubes import bridge_notes
from immunolab.study.sheet import Study, read_study
from immunolab.workflow.bridge_beside import beside_of
from immunolab.workflow.bridge_places import PanelPlaces
from immunolab.workflow.read_tube import Prepared

HEADER = "sample_id,patient_id,visit,file,batch,bridge,aliquot,beads_per_tube,volume_ul,control_of,marker"
ROWS = (
    "p1,P1,W0,a.fcs,B1,,,,,,",
    "p2,P1,W10,b.fcs,B2,,,,,,",
    "k1,,,c.fcs,B1,HD01,1,,,,",
    "k2,,,d.fcs,B2,HD01,2,,,,",
)


def study_of(folder: Path, *rows: str, quality: str = "") -> Study:
    for name in "abcd":
        (folder / f"{name}.fcs").write_bytes(b"FCS3.0")
    (folder / "samples.csv").write_text("\n".join((HEADER, *rows)) + "\n")
    (folder / "study.yaml").write_text(f"study: t\ncomparison: {{before: W0, after: W10}}\n{quality}\n")
    return read_study(folder)


def test_a_bridge_is_a_tube_of_its_batch_and_no_patient(tmp_path: Path) -> None:
    study = study_of(tmp_path, *ROWS)
    assert [(s.sample_id, s.bridge, s.aliquot, s.batch, s.control_of) for s in study.bridges] == [
        ("k1", "HD01", "1", "B1", "B1"),
        ("k2", "HD01", "2", "B2", "B2"),
    ]
    assert all(s.gated for s in study.samples)
    assert "1 patients, 2 samples" in repr(study)
    assert list(bridge_notes(study.samples)) == []
    assert list(bridge_notes(study.samples[:3])) == [
        "no bridging control in batch B2: nothing can be bridged there",
        "bridging control HD01 is in batch B1 only: there is nothing to bridge with it",
    ]
    twice = [*study.samples, replace(study.samples[2], sample_id="k9")]
    assert list(bridge_notes(twice)) == [
        "bridging control HD01 has 2 tubes in batch B1: all are charted; where borders follow, they follow k9"
    ]


def test_every_fault_of_a_bridges_row_is_listed_at_once(tmp_path: Path) -> None:
    rows = ("k1,P9,W0,c.fcs,,HD01,1,,,,", "k2,,,d.fcs,B1,P1,2,,,,CD25", "p3,P2,W0,a.fcs,B1,,4,50000,,,")
    with pytest.raises(InputError) as raised:
        study_of(tmp_path, *ROWS[:2], *rows, quality="quality: {bridge: follow, reference: B7}")
    text = str(raised.value)
    assert "row 4, column batch  the cell is empty, but 'HD01' is the bridging control of a batch" in text
    assert "row 4, column patient_id  'P9' is another name than that of the bridge, 'HD01'" in text
    assert "row 4, column visit  a bridging control has no visit" in text
    assert "row 5, column marker  a bridging control has no marker" in text
    assert "row 5, column bridge  'P1' is a patient of other rows" in text
    assert "row 6, column aliquot  an aliquot is of a bridging control" in text
    assert "row 6, column volume_ul  the cell is empty, but beads_per_tube is not" in text


def test_borders_cannot_follow_where_the_sheet_has_no_bridging_control_or_no_batch(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"quality\.bridge: no row of the sheet is a bridging control"):
        study_of(tmp_path, *ROWS[:2], quality="quality: {bridge: follow}")
    unbatched = [row.replace(",B1,", ",,").replace(",B2,", ",,") for row in ROWS[:2]]
    with pytest.raises(InputError, match=r"quality\.bridge: no patient's row names its batch"):
        study_of(tmp_path, *unbatched, *ROWS[2:], quality="quality: {bridge: follow}")


def test_a_reference_that_is_no_batch_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"quality\.reference: no sample is of batch 'B7'"):
        study_of(tmp_path, *ROWS, quality="quality: {bridge: follow, reference: B7}")


@pytest.mark.parametrize("gain", [0.95, 1.1])
def test_a_channels_move_is_known_within_its_error(gain: float) -> None:
    rng, errors = np.random.default_rng(1), []
    for _ in range(60):
        kinds = [rng.choice(3, 4000, p=[0.5, 0.42, 0.08]) for _ in range(2)]
        before, after = (rng.normal(np.array([0.0, 1.2, 2.8])[kind], 0.4) for kind in kinds)
        found = channel_move(before, 0.3 + gain * after)
        assert found is not None
        move, error = found.at(2.0)
        errors.append((move - (0.3 + (gain - 1) * 2.0)) / error)
    assert abs(np.mean(errors)) < 0.5
    assert np.mean(np.abs(errors) < 1.96) >= 0.9
    assert channel_move(before[:300], after) is None


def values_of(shares: list[float], n: int = 10_000) -> pd.DataFrame:
    runs = [{"sample_id": f"k{i}", "batch": f"B{i}", "n_events": round(n * p)} for i, p in enumerate(shares, 1)]
    common = {"bridge": "HD01", "aliquot": None, "endpoint": "treg", "population": "Treg", "parent": "CD4"}
    frame = pd.DataFrame([run | common | {"n_parent": n, "unit": "%", "flag": None} for run in runs])
    return frame.assign(value=100.0 * frame["n_events"] / n)


def test_a_run_is_judged_by_the_others_and_not_by_itself() -> None:
    shares = [0.050, 0.052, 0.049, 0.051, 0.050, 0.051, 0.100]
    rows = chart_rows(values_of(shares), {f"B{i}": i for i in range(1, 8)})
    assert rows.loc[rows["status"] == "warn", "batch"].tolist() == ["B7"]
    own = (0.1 - np.mean(shares)) / np.std(shares, ddof=1)
    assert own < 3  # by the limits that it has widened itself it would pass
    assert rows["low_3s"].iloc[0] < rows["centre"].iloc[0] < rows["high_3s"].iloc[0]
    assert chart_rows(values_of(shares[:3]), {})["centre"].isna().all()


def test_steady_runs_leave_the_chart_as_often_as_three_sd_say() -> None:
    rng = np.random.default_rng(2)
    found = np.concatenate([deviations(rng.normal(size=6)) for _ in range(3000)])
    assert np.mean(np.abs(found) > 3) == pytest.approx(0.0027, abs=0.0015)


def test_the_assays_cv_is_what_was_planted_beyond_counting() -> None:
    rng, covered, beyond = np.random.default_rng(3), [], []
    for _ in range(200):
        shares = 0.05 * np.exp(rng.normal(0, 0.1, 12))
        row = cv_rows(values_of([rng.binomial(20_000, p) / 20_000 for p in shares], 20_000)).iloc[0]
        covered.append(row["cv_low"] < 100 * math.hypot(0.1, 1 / math.sqrt(1000)) < row["cv_high"])
        beyond.append(row["assay_cv_percent"] ** 2)
    assert 0.9 < np.mean(covered) < 0.99
    assert math.sqrt(np.mean(beyond)) == pytest.approx(10.0, rel=0.1)


def places(patient: str, shift: float, cd25: float = 0.0) -> LandmarkPlaces:
    return LandmarkPlaces(patient, {("B", "CD25"): (shift + cd25, 0.4, 3000), ("CD8", "CD4"): (shift, 0.4, 3000)})


def tubes(n: int, shift: float, seed: int) -> list[LandmarkPlaces]:
    rng = np.random.default_rng(seed)
    return [places(f"P{i}", shift + rng.normal(0, 0.03)) for i in range(n)]


@pytest.mark.parametrize(("wrong", "words"), [(0.0, ""), (0.45, "CD25 of B moved by +0.55 in the bridge, by +0.1")])
def test_a_bridge_that_moved_alone_is_contradicted_by_the_patients(wrong: float, words: str) -> None:
    bridge = places("HD01", 0.0), places("HD01", 0.1, wrong)
    found = contradicted(statements(bridge, (tubes(6, 0.0, 0), tubes(6, 0.1, 1))), ["CD25", "CD4"])
    assert list(found) == (["CD25"] if wrong else [])
    assert words in found.get("CD25", "")


def gated(patient: str, stain: float, fade: float, seed: int) -> LandmarkPlaces:
    """Return where CD25's landmarks are in a tube with a quarter of positives, by gates drawn at one place."""
    rng = np.random.default_rng(seed)
    cd25 = rng.normal(0.5, 0.4, 4000) + stain
    cd25[:1000] += rng.normal(3.0, 0.1) + fade
    channel = Channel("FL1-A", "CD25", "CD25")
    tube = Tube((150.0 * np.sinh(cd25)).astype(np.float32)[None], (channel,), sample_id=patient)
    axis = Dimension("CD25", transform=Asinh(150.0))
    both = (
        Population("/all", Rectangle((axis,), (-9.0,), (None,))),
        Population("/all/pos", Rectangle((axis,), (2.0,), (None,))),
    )
    of = gated_events(tube, Strategy("t", both))
    return LandmarkPlaces(patient, medians(of, ["all"], {"CD25": axis}) | positives(of))


@pytest.mark.parametrize("fade", [0.0, -0.5])
def test_a_bridge_whose_positives_alone_fade_is_refused(fade: float) -> None:
    before, after = (
        [gated(f"P{i}", stain, 0.0, 10 * i + run) for i in range(8)] for run, stain in ((0, 0.0), (1, 0.2))
    )
    bridge = gated("HD01", 0.0, 0.0, 98), gated("HD01", 0.2, fade, 99)
    said = statements(bridge, (before, after))
    assert set(said["CD25"]) == {"all", "CD25+ all"}
    assert contradicted({"CD25": {"all": said["CD25"]["all"]}}, ["CD25"]) == {}  # most cells are negative
    found = contradicted(said, ["CD25"])
    assert found == {} if fade == 0.0 else found["CD25"].startswith("CD25 of CD25+ all moved by -0.")


def test_too_few_patients_cannot_check_a_bridge() -> None:
    bridge = places("HD01", 0.0), places("HD01", 0.1)
    found = contradicted(statements(bridge, (tubes(2, 0.0, 0), tubes(2, 0.1, 1))), ["CD25"])
    assert "fewer than 3 patients' tubes of both batches" in found["CD25"]


def test_a_bridge_without_an_antibody_is_refused_by_its_bright_cells() -> None:
    def tube(n_bright: int, height: float, seed: int) -> LandmarkPlaces:
        rng = np.random.default_rng(seed)
        cxcr5 = rng.normal(0.0, 0.4, 2000)
        cxcr5[:n_bright] += height
        channel = Channel("FL1-A", "CXCR5", "CXCR5")
        events = Tube((150.0 * np.sinh(cxcr5)).astype(np.float32)[None], (channel,), sample_id=f"t{seed}")
        axis = Dimension("CXCR5", transform=Asinh(150.0))
        held = gated_events(events, Strategy("t", (Population("/all", Rectangle((axis,), (-9.0,), (None,))),)))
        places, high = medians(held, ["all"], {"CXCR5": axis}), heights(held, {"CXCR5": axis}, [("all", "CXCR5")])
        return LandmarkPlaces(f"P{seed % 10}", places, "", high)

    patients = [[tube(200 + 10 * i, 2.5 + 0.3 * run, 10 * run + i) for i in range(6)] for run in (0, 1)]
    first, stained, bare = tube(300, 2.5, 90), tube(300, 2.5, 91), tube(0, 0.0, 92)
    sides = patients[0], patients[1]
    assert contradicted(statements((first, bare), sides), ["CXCR5"]) == {}  # the median is that of the others
    assert stain_gone((first, stained), sides) == {}
    assert "one of its tubes lacks the stain" in stain_gone((first, bare), sides)["CXCR5"]
    assert list(stain_gone((bare, first), sides)) == ["CXCR5"]


@pytest.mark.parametrize(("share", "kept"), [(0.5, False), (0.8, True)])
def test_a_median_between_two_clouds_is_no_landmark(share: float, kept: bool) -> None:
    rng = np.random.default_rng(5)
    cd4 = np.where(np.arange(4000) < share * 4000, 0.0, 4.0) + rng.normal(0, 0.5, 4000)
    channel = Channel("FL1-A", "CD4", "CD4")
    tube = Tube((150.0 * np.sinh(cd4)).astype(np.float32)[None], (channel,), sample_id="t")
    axis = Dimension("CD4", transform=Asinh(150.0))
    held = gated_events(tube, Strategy("t", (Population("/all", Rectangle((axis,), (-9.0,), (None,))),)))
    assert (("all", "CD4") in medians(held, ["all"], {"CD4": axis}, steady=True)) is kept
    assert ("all", "CD4") in medians(held, ["all"], {"CD4": axis})


def crossed(seed: int, fade: float = 0.0, *, as_visits: bool = False) -> tuple[dict, dict]:
    """Four batches that a lot and treatment move, the material in each; twelve patients, visits in all batches."""
    rng = np.random.default_rng(seed)
    levels = {f"B{i}": rng.normal(0, 0.3, 6) + (0.45 if i > 1 else 0.0) for i in range(4)}
    names = [(f"L{i}", "CD25") for i in range(3)] + [(f"L{i}", "CD3") for i in range(3)]

    def tube(batch: str, patient: str, visit: str, own: np.ndarray) -> LandmarkPlaces:
        middles = levels[batch] + own + rng.normal(0, 0.06, 6)
        return LandmarkPlaces(patient, dict(zip(names, [(m, 0.6, 3000) for m in middles], strict=True)), visit)

    bridges = {batch: tube(batch, "HD01", "", np.zeros(6)) for batch in levels}
    bent = dict(bridges["B3"].of)
    bent["L2", "CD25"] = (bent["L2", "CD25"][0] + fade, 1.3, 3000)
    bridges["B3"] = replace(bridges["B3"], of=bent)
    patients: dict[str, list[LandmarkPlaces]] = {batch: [] for batch in levels}
    for i in range(12):
        own, effect = rng.normal(0, 0.3, 6), np.array([0.2, 0.2, 0.2, 0.0, 0.0, 0.0])
        for k, visit in enumerate(("W0", "W10")):
            batch = f"B{2 * k + i % 2}" if as_visits else f"B{(i + k) % 4}"
            patients[batch].append(tube(batch, f"P{i}", visit, own + k * effect))
    return bridges, patients


def test_a_tube_that_stands_alone_among_the_batches_is_found_and_no_other() -> None:
    found = lone_tubes(*crossed(1, -0.6), ["CD25", "CD3"])
    assert {batch: list(of) for batch, of in found.items()} == {"B3": ["CD25"]}
    assert found["B3"]["CD25"].startswith("CD25 of L2 is -0.")
    assert "12 patients" in found["B3"]["CD25"]
    sound = [bool(lone_tubes(*crossed(seed), ["CD25", "CD3"])) for seed in range(60)]
    assert sum(sound) <= 1  # .5 % a tube over its channels
    wrong = [list(lone_tubes(*crossed(seed, -0.6), ["CD25", "CD3"])) == ["B3"] for seed in range(60)]
    assert sum(wrong) >= 57


def test_where_visits_are_batches_a_tube_that_stands_alone_cannot_be_told_from_treatment() -> None:
    assert lone_tubes(*crossed(1, -0.6, as_visits=True), ["CD25", "CD3"]) == {}


def test_another_donor_is_known_by_the_lineages() -> None:
    one = {"CD4": (6000, 10_000), "CD4_naive": (3000, 6000), "NK": (800, 10_000)}
    again = {"CD4": (6200, 10_000), "CD4_naive": (2950, 6000), "NK": (860, 10_000)}
    other = {"CD4": (4500, 10_000), "CD4_naive": (1500, 6000), "NK": (2000, 10_000)}
    assert other_donor(one, again, {}) == ""
    assert "CD4_naive is 50 % in one tube and 25 % in the other" in other_donor(one, other, {})


def test_another_donor_with_the_same_lineages_is_known_by_memory_and_helpers() -> None:
    lineages = {"CD4": (6000, 10_000), "CD4_naive": (3000, 6000), "NK": (800, 10_000)}
    subsets = ("CD4_CM", "CD4_EM", "Tfh_CXCR5", "Th1", "Th2", "Th17")
    one = lineages | dict.fromkeys(subsets, (2000, 10_000))
    # two runs of one donor's material (HIPC Lyoplate, expert's gates) differ by .03 to .15 log odds
    again = lineages | dict(zip(subsets, [(n, 10_000) for n in (2150, 1900, 2200, 1850, 2100, 1950)], strict=True))
    other = lineages | dict(zip(subsets, [(n, 10_000) for n in (1300, 2600, 1300, 3300, 1100, 3900)], strict=True))
    assert other_donor(one, again, {}) == ""
    assert "Th17 is 20 % in one tube and 39 % in the other" in other_donor(one, other, {})


def test_two_donors_of_real_tubes_are_told_apart_and_replicates_are_one() -> None:
    folder = builders.data_folder("flow/hipc_tcell_events")  # HIPC Lyoplate, an expert's gates; donors of its README
    donors = {f"FTV_{i}": 1228 if i < 4 else 1349 for i in range(1, 7)} | {"W2_1": 1228, "W2_4": 1349}
    shares = {}
    for name in donors:
        n = pd.read_csv(folder / f"{name}_clust.csv.gz").iloc[:, -1].value_counts().reindex(range(1, 11), fill_value=0)
        cd8, cd4 = int(n.loc[1:5].sum()), int(n.loc[6:10].sum())
        known = {"CD4_naive": (n[7], cd4), "CD8_naive": (n[2], cd8), "CD4_CM": (n[8], cd4), "CD4_EM": (n[9], cd4)}
        shares[name] = known | {"CD4": (cd4, cd4 + cd8)}
    for one, other in itertools.combinations(donors, 2):  # 12 pairs of one donor, 16 of two; two centres
        assert bool(other_donor(shares[one], shares[other], {})) == (donors[one] != donors[other]), (one, other)


def test_one_share_whose_gate_failed_is_no_other_donor() -> None:
    subsets = ("CD4", "CD4_naive", "NK", "CD4_CM", "CD4_EM", "Tfh_CXCR5", "Th1", "Th17")
    one = dict.fromkeys(subsets, (2000, 10_000))
    assert other_donor(one, one | {"Th1": (300, 10_000)}, {}) == ""


def test_a_bridge_beyond_its_charts_warns_in_quality_and_many_charts_do_not_by_chance() -> None:
    shares = [0.050, 0.052, 0.049, 0.051, 0.050, 0.051, 0.100]
    rows = chart_rows(values_of(shares), {f"B{i}": i for i in range(1, 8)})
    found = {row["sample_id"]: row for row in bridge_checks({"bridges": rows})}
    assert [name for name, row in found.items() if row["status"] == "warn"] == ["k7"]
    assert found["k7"]["message"].startswith("far from the material's other runs: treg +")
    assert found["k1"]["limit"] == pytest.approx(3.0)  # one chart
    rng, warned = np.random.default_rng(4), 0
    for _ in range(150):
        far = rng.normal(size=40)
        many = pd.DataFrame({"sample_id": "k", "endpoint": [f"e{i}" for i in range(40)], "deviation": far})
        many = many.assign(bridge="HD01", batch="B1")
        warned += next(bridge_checks({"bridges": many}))["status"] == "warn"
    assert warned <= 4  # of 150 at .27 % each; by three sd a chart a tenth would warn


def test_a_refused_bridge_warns_in_quality_with_its_reasons() -> None:
    rows = chart_rows(values_of([0.05, 0.05]), {})
    move = {
        "panel": "t",
        "batch_from": "B1",
        "batch_to": "B2",
        "bridge": "HD01",
        "marker": "CD25",
        "population": "Treg",
    }
    several = "CD25: it drifted alone; CD4: it drifted alone"  # of a border that no reason of its own is against
    moves = pd.DataFrame([move | {"outcome": "refused", "reason": r} for r in ("CD25: it drifted alone", several)])
    (found,) = bridge_checks({"bridges": rows, "bridge_moves": moves})
    assert (found["sample_id"], found["check"], found["status"]) == ("k2", "bridge_refused", "warn")
    assert found["message"] == f"borders do not follow it from batch B1: {several}"
    assert found["value"] == 2


def test_a_bridge_with_too_few_events_is_refused_and_one_with_enough_is_not() -> None:
    def tube(n: int, seed: int) -> Tube:
        values = np.random.default_rng(seed).normal(1.0, 1.0, n)
        return Tube(
            (150.0 * np.sinh(values)).astype(np.float32)[None], (Channel("FL1-A", "CD25", "CD25"),), sample_id="k"
        )

    axis = Dimension("CD25", transform=Asinh(150.0))
    gates = Strategy("t", (Population("/pos", Rectangle((axis,), (2.0,), (None,))),))
    before = gated_events(tube(3000, 1), gates)
    assert BridgeMoves(before, gated_events(tube(2500, 2), gates)).move("", axis).at(2.0)[0] == pytest.approx(
        0, abs=0.2
    )
    with pytest.raises(BridgeRefused, match="the bridge has 1,500 events to place CD25 by, where 2,000 are needed"):
        BridgeMoves(before, gated_events(tube(1500, 3), gates)).move("", axis)


@pytest.mark.parametrize(("shown", "times"), [(0.5, 1.0), (0.0, 2.0)])
def test_gates_beside_drawn_ones_count_with_their_own_borders_and_as_the_bridge_says(
    tmp_path: Path, shown: float, times: float
) -> None:
    """The second batch is .5 brighter, and the bridge shows it or not: Q(1) of a normal is then Q(.5), 1.94 times."""
    study = study_of(tmp_path, *ROWS)
    axis = Dimension("CD25", transform=Asinh(150.0))
    move = {"p1": 0.0, "k1": 0.0, "p2": 0.5, "k2": shown}
    prepared, data = {}, {}
    for seed, (name, at) in enumerate(move.items()):
        values = np.random.default_rng(seed).normal(1.0 + at, 1.0, 20_000)
        tube = Tube(
            (150.0 * np.sinh(values)).astype(np.float32)[None], (Channel("FL1-A", "CD25", "CD25"),), sample_id=name
        )
        save_tube(tube, tmp_path / f"{name}.npz")
        prepared[name] = Prepared(name, "", "", str(tmp_path / f"{name}.npz"))
        every = Population("/CD4", Rectangle((axis,), (-9.0,), (None,)))
        above = Population("/CD4/Treg", Rectangle((axis,), (2.0 + at,), (None,)))
        data[name] = TubeGates(Strategy("data", (every, above)))
    drawn = TubeGates(Strategy("drawn", (replace(every, path="/CD4+"), replace(above, path="/CD4+/Treg cells"))))
    places = PanelPlaces(study, study.samples[0].panel, prepared, dict.fromkeys(move, drawn))
    shares, batches = [("Treg cells", "CD4+"), ("B", "CD4+")], ["B1", "B2"]
    beside = beside_of(places, data, shares, batches, {"k1", "k2"})
    assert beside is not None
    (patient,) = (s for s in places.patients if s.sample_id == "p2")
    stays, follows = beside.counts(patient)
    assert (stays.rule, stays.population, stays.parent) == ("data_gates", "Treg cells", "CD4+")
    assert follows.rule == "data_gates_follow"
    assert follows.n / stays.n == pytest.approx(times, rel=0.07)
    refused = beside_of(places, data, shares, batches, {"k1"})
    assert refused is not None
    assert refused.counts(patient) == ()  # a control that no border follows is not asked


@pytest.mark.parametrize(("apart", "agree"), [(0.0, True), (0.15, True), (0.6, False)])
def test_two_bridges_of_a_batch_that_disagree_are_named(apart: float, agree: bool) -> None:
    def tube(name: str, at: float, seed: int) -> Tube:
        values = np.random.default_rng(seed).normal(1.0 + at, 1.0, 10_000)
        channel = Channel("FL1-A", "CD25", "CD25")
        return Tube((150.0 * np.sinh(values)).astype(np.float32)[None], (channel,), sample_id=name)

    axis = Dimension("CD25", transform=Asinh(150.0))
    gates = Strategy("t", (Population("/pos", Rectangle((axis,), (2.0,), (None,))),))
    first = gated_events(tube("HD01_B1", 0.0, 1), gates)
    moves = [
        BridgeMoves(first, gated_events(tube(name, at, seed), gates))
        for name, at, seed in (("HD01_B2", 0.4, 2), ("HD02_B2", 0.4 + apart, 3))
    ]
    found = disagreement(*moves)
    assert (found == {}) is agree
    if not agree:
        assert found["CD25"].startswith("CD25 of pos moved by +0.")
        assert found["CD25"].endswith("in HD02_B2: two bridging controls of one batch disagree")
        back = disagreement(*(BridgeMoves(one.after, first) for one in moves))
        assert "from HD01_B2 to HD01_B1, by" in back["CD25"]
        assert "from HD02_B2 to HD01_B1:" in back["CD25"]


def test_batches_are_in_the_order_of_their_days_and_else_of_the_numbers_in_their_names() -> None:
    assert batches_in_order({"B2": 30, "B10": 5}) == ["B10", "B2"]
    assert batches_in_order({"B10": 5, "B2": None}) == ["B2", "B10"]


def test_the_assays_cv_is_of_automatic_gates_alone_where_a_reader_placed_some() -> None:
    values = values_of([0.050, 0.052, 0.049, 0.051, 0.100])
    values.loc[4, "flag"] = "overridden"
    row, like = cv_rows(values).iloc[0], cv_rows(values_of([0.050, 0.052, 0.049, 0.051])).iloc[0]
    assert row["reason"] == "without 1 run whose gates a reader placed"
    assert (row["n_runs"], row["cv_percent"], row["mean"]) == (4, like["cv_percent"], like["mean"])
    assert pd.isna(like["reason"])
