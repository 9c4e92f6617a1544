"""Tubes of a study beside each other: planted exchanges, absences, lots and swapped samples, and sound studies."""

from __future__ import annotations

import re
import weakref
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import report_fixture
import study_faults
from fcs_builder import write_fcs

from immunolab.loaders.fcs.read import read_fcs
from immunolab.quality import identity, staining
from immunolab.quality import staining_sample as staining_sample_module
from immunolab.quality.acquisition import TubeHeader, acquisition_table
from immunolab.quality.batch_drift import TubeRun, drift_sentences, drift_table
from immunolab.quality.crossed_labels import crossed_labels
from immunolab.quality.expected_stain import BinnedEvents
from immunolab.quality.identity import TubeOwner, identity_table
from immunolab.quality.panel_fit import PanelFit
from immunolab.quality.staining import staining_findings
from immunolab.quality.staining_sample import (
    StainingFiles,
    StainingSample,
    is_kept,
    read_staining_sample,
    staining_sample,
)
from immunolab.report import disposition as flow
from immunolab.report.figures.quality import run_figures
from immunolab.results.across_tubes import sample_flow_table, staining_table
from immunolab.schema.across_tubes import LANDMARKS
from immunolab.schema.gating import COUNTS
from immunolab.study.sheet import Sample
from immunolab.workflow.check import check_study
from immunolab.workflow.propose import propose_study

EVENTS = 2_000


@pytest.fixture(scope="module")
def virtual():
    return study_faults.virtual(31, 4, EVENTS)


@pytest.fixture(scope="module")
def bleeds(virtual):
    return virtual.attended(virtual.visits)


@pytest.fixture(scope="module")
def tubes(virtual, bleeds):
    return {study_faults.sample_id(virtual, bleed): study_faults.tube_of(virtual, bleed) for bleed in bleeds}


@pytest.fixture(scope="module")
def stains(tubes):
    return {name: staining_sample(tube) for name, tube in tubes.items()}


def test_a_sound_panel_has_no_finding(stains) -> None:
    assert [one for one in staining_findings(stains) if one.kind != "absent_population"] == []


@pytest.mark.parametrize("pair", [("CD4", "CD8"), ("CXCR5", "CCR6")])
def test_exchanged_labels_are_named_with_their_pair(virtual, bleeds, stains, pair) -> None:
    faulty = study_faults.tube_of(virtual, bleeds[2], swapped=pair)
    found = staining_findings(stains | {faulty.sample_id: staining_sample(faulty)})
    assert [(one.tube, one.kind, {one.marker, one.other}) for one in found] == [
        (faulty.sample_id, "exchanged", set(pair))
    ]


@pytest.mark.parametrize("pair", [("CXCR5", "CCR4"), ("CD38", "CCR4")])
def test_an_exchange_is_named_as_one_where_a_stain_of_it_seems_absent(virtual, bleeds, stains, pair) -> None:
    faulty = study_faults.tube_of(virtual, bleeds[3], swapped=pair)
    found = staining_findings(stains | {faulty.sample_id: staining_sample(faulty)})
    assert [(one.kind, {one.marker, one.other}) for one in found if one.tube == faulty.sample_id] == [
        ("exchanged", set(pair))
    ]


@pytest.mark.parametrize("place", [0, 3])
def test_an_exchange_is_named_where_one_of_its_stains_goes_along_with_the_others_no_better(
    virtual, bleeds, stains, place
) -> None:
    """A neighbour's light goes along with what is expected as well: slopes beside that light tell the two apart."""
    pair = ("CXCR5", "CCR6")
    faulty = study_faults.tube_of(virtual, bleeds[place], swapped=pair)
    found = staining_findings(stains | {faulty.sample_id: staining_sample(faulty)})
    assert [(one.kind, {one.marker, one.other}) for one in found if one.tube == faulty.sample_id] == [
        ("exchanged", set(pair))
    ]


def _with_exchanged_detectors(sample: StainingSample, first: str, second: str) -> StainingSample:
    """Exchange the detectors' names ($PnN) and nothing else: labels stay with the light that they name."""
    i, j = (sample.markers.index(marker) for marker in (first, second))
    names = list(sample.names)
    names[i], names[j] = names[j], names[i]
    return replace(sample, names=tuple(names))


def test_detectors_that_carry_each_others_marker_in_one_tube_are_named(stains) -> None:
    name = list(stains)[2]
    faulty = _with_exchanged_detectors(stains[name], "CD4", "CD8")
    found = crossed_labels(stains | {name: faulty}, list(stains))
    assert [(one.tube, one.kind, {one.marker, one.other}) for one in found] == [(name, "crossed", {"CD4", "CD8"})]
    assert found[0].value == pytest.approx(1 / len(stains))
    assert "the events fit the labels" in found[0].message


@pytest.mark.parametrize("at", [0, 2])
def test_crossed_detectors_are_found_where_every_tube_is_unlike_the_others_in_another_one(at: int) -> None:
    """No two tubes are named alike as a whole: the first was taken for the usual one, though it was the crossed one."""
    draw, channels = np.random.default_rng(0), ("A", "B", "C", "D")
    tubes = {
        f"S{k}": StainingSample(
            channels,
            (*(("CD8", "CD4") if k == at else ("CD4", "CD8")), "CD3", marker),
            draw.normal(size=(4, 200)).astype(np.float32),
            draw.normal(size=(1, 200)).astype(np.float32),
        )
        for k, marker in enumerate(("CD25", "CD127", "CXCR5", "CCR6", "PD-1"))
    }
    assert [(one.tube, one.value) for one in crossed_labels(tubes, list(tubes))] == [(f"S{at}", 0.2)]


def test_a_kept_sample_is_another_where_other_detectors_are_without_an_antibody(tmp_path: Path) -> None:
    events = np.zeros((2, 5), np.float32)
    sample = StainingSample(("A", "B"), ("CD4", "B"), events, events[:1], ("B",))
    replace(sample, unused=("A",)).save(tmp_path / "other.npz")
    replace(sample, unused=()).save(tmp_path / "older.npz")  # as runs wrote it before they kept this
    assert not is_kept(sample, tmp_path / "other.npz")
    assert is_kept(sample, tmp_path / "older.npz")


def test_where_half_of_the_tubes_are_named_otherwise_no_way_is_the_usual_one(stains) -> None:
    names = list(stains)
    half = {name: _with_exchanged_detectors(stains[name], "CD4", "CD8") for name in names[: len(names) // 2]}
    assert crossed_labels(stains | half, names) == []
    assert crossed_labels(stains, names) == []


def test_an_exchange_that_events_show_is_one_row_of_staining(virtual, bleeds, stains) -> None:
    """Labels exchanged in a file cross the detectors' markers, too: said once."""
    faulty = study_faults.tube_of(virtual, bleeds[2], swapped=("CD4", "CD8"))
    sheet = [Sample(name, name, "W0", Path("none.fcs")) for name in stains]
    found = staining_table(sheet, stains | {faulty.sample_id: staining_sample(faulty)})
    assert found[found["finding"] != "absent_population"]["finding"].tolist() == ["exchanged"]


def test_labels_put_back_give_the_fit_of_the_tube_as_it_was(virtual, bleeds, stains) -> None:
    """What is expected is by the other tubes, which are the same."""
    name, pair = study_faults.sample_id(virtual, bleeds[2]), (1, 2)
    right = PanelFit(stains)
    markers = list(stains[name].markers)
    i, j = (markers.index(right.markers[k]) for k in pair)
    columns = stains[name].stains.copy()
    columns[[i, j]] = columns[[j, i]]
    wrong = PanelFit(stains | {name: replace(stains[name], stains=columns)})
    for k in pair:
        assert wrong.fit(name, k, pair, by_others=True) == right.fit(name, k, by_others=True)


@pytest.mark.parametrize("marker", ["CD8", "CXCR3"])
def test_a_missing_antibody_is_an_absent_stain(virtual, bleeds, stains, marker) -> None:
    faulty = study_faults.tube_of(virtual, bleeds[3], omitted=marker)
    found = staining_findings(stains | {faulty.sample_id: staining_sample(faulty)})
    assert [(one.kind, one.marker) for one in found if one.tube == faulty.sample_id] == [("absent_stain", marker)]


@pytest.mark.parametrize(("label", "named"), [("", []), ("BUV661-A", []), ("Novel1", ["BUV661-A"])])
def test_a_detector_without_an_antibody_has_none_that_could_be_missing(virtual, bleeds, tubes, label, named) -> None:
    """Light of CXCR3's dye reaches a spare detector of all tubes but one; an unknown label is of an antibody."""

    def with_spare(tube, marker):  # the channel of a marker as a detector that the panel does not use
        channels = [
            replace(c, name="BUV661-A", label=label, marker=None) if c.marker == marker else c for c in tube.channels
        ]
        return replace(tube, channels=tuple(channels), spillover=None, _inverse={})

    name = study_faults.sample_id(virtual, bleeds[3])
    faulty = study_faults.tube_of(virtual, bleeds[3], omitted="CXCR3")
    sheet = {n: staining_sample(with_spare(faulty if n == name else tube, "CXCR3")) for n, tube in tubes.items()}
    absent = [one.marker for one in staining_findings(sheet) if one.kind == "absent_stain" and one.tube == name]
    assert absent == named


def test_a_neighbour_s_light_is_not_taken_for_a_stain_that_is_missing(virtual, bleeds, stains) -> None:
    """CCR6 is on memory cells: what is left of the light of CD45RA, or of CD8, goes along with what is expected."""
    omitted = study_faults.tube_of(virtual, bleeds[3], omitted="CCR6")
    row = {channel.marker: i for i, channel in enumerate(omitted.channels)}
    for neighbour in ("CD45RA", "CD8"):
        columns = omitted.columns.copy()
        columns[row["CCR6"]] += np.float32(0.03) * np.maximum(columns[row[neighbour]], 0)
        faulty = staining_sample(replace(omitted, columns=columns, _inverse={}))
        found = staining_findings(stains | {omitted.sample_id: faulty})
        named = [(one.kind, one.marker) for one in found if one.tube == omitted.sample_id]
        assert named == [("absent_stain", "CCR6")], neighbour


def test_cells_that_are_gone_are_no_missing_antibody(virtual, bleeds, tubes, stains) -> None:
    """The CD8 cells of one tube are taken out: other markers no longer expect the stain."""
    name = study_faults.sample_id(virtual, bleeds[3])
    tube = tubes[name]
    left = tube.take(np.flatnonzero(tube["CD8"] < 2_000))
    found = staining_findings(stains | {name: staining_sample(left)})
    assert "absent_stain" not in {one.kind for one in found if one.marker == "CD8"}


def test_tubes_of_large_panels_are_compared_with_tubes_of_the_whole_sheet(
    virtual, bleeds, stains, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The antibody is missing in the last run of the sheet: beside that run alone every tube of it would be usual."""
    faulty = [staining_sample(study_faults.tube_of(virtual, bleed, omitted="CD8")) for bleed in bleeds[-5:]]
    sound = {f"{i} {name}": one for i in range(2) for name, one in stains.items()}
    sheet = dict(list(sound.items())[:11]) | {f"last {i}": one for i, one in enumerate(faulty)}
    monkeypatch.setattr(staining, "MOST_TUBES", 8)
    found = [one.tube for one in staining_findings(sheet) if (one.kind, one.marker) == ("absent_stain", "CD8")]
    assert found == [f"last {i}" for i in range(5)]


def test_of_a_large_study_no_more_tubes_are_held_than_are_compared_with_each_other(
    stains, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: set[int] = set()
    most = []

    def read(path: Path) -> StainingSample:
        found = read_staining_sample(path)
        held.add(id(found))
        weakref.finalize(found, held.discard, id(found))
        most.append(len(held))
        return found

    names = [f"{i} {name}" for i in range(3) for name in stains]
    paths = {name: tmp_path / f"{i}.npz" for i, name in enumerate(names)}
    for name, path in paths.items():
        stains[name.partition(" ")[2]].save(path)
    monkeypatch.setattr(staining, "MOST_TUBES", 6)
    monkeypatch.setattr(staining_sample_module, "read_staining_sample", read)
    staining_findings(StainingFiles(paths | {"none": tmp_path / "none.npz"}))
    assert len(names) >= 18
    assert max(most) <= 7  # those of one part, and the one that is looked at


def test_the_first_cut_of_a_tree_is_the_best_of_all(stains) -> None:
    """Against every cut of every channel tried one by one."""
    events = next(iter(stains.values())).stains.T.astype(float)
    binned, a = BinnedEvents.of(events), 2
    tree = binned.grow(a)
    best = {}
    for j in (j for j in range(events.shape[1]) if j != a):
        for cut in np.quantile(events[:, j], np.arange(1, 24) / 24):
            low = events[:, j] <= cut
            if 60 <= low.sum() <= len(low) - 60:
                best[j, cut] = sum(len(own) * own.var() for own in (events[low, a], events[~low, a]))
    (channel, cut), left = min(best.items(), key=lambda one: one[1])
    assert (tree.feature[0], tree.cut[0]) == (channel, pytest.approx(cut))
    low = events[:, channel] <= cut
    assert tree.mean[tree.left[0]] == pytest.approx(events[low, a].mean())
    assert a not in tree.feature
    error = np.mean((events[:, a] - tree.expected(events)) ** 2)
    assert error < left / len(low)  # further cuts take off more


def test_events_kept_of_a_tube_are_read_back(stains, tmp_path: Path) -> None:
    first = next(iter(stains.values()))
    first.save(tmp_path / "staining.npz")
    back = read_staining_sample(tmp_path / "staining.npz")
    assert (back.names, back.markers) == (first.names, first.markers)
    np.testing.assert_allclose(back.stains, first.stains, atol=0.01)


def patients(rng: np.random.Generator, n: int = 8, apart: float = 0.5) -> Iterator[tuple[TubeOwner, dict[str, float]]]:
    """Yield tubes of two visits with shares that differ between patients by ``apart`` on the logit, visits by .08."""
    centres = {"CD4": 0.7, "CD8": -0.8, "CD4_naive": 0.0, "CD8_naive": -0.5, "B": -2.0, "NK": -1.9}
    for i in range(n):
        own = {name: centre + rng.normal(0, apart) for name, centre in centres.items()}
        for visit in ("W0", "W10"):
            moved = {name: value + rng.normal(0, 0.08) for name, value in own.items()}
            yield TubeOwner(f"P{i}_{visit}", f"P{i}", visit), moved


def counted(tubes: list[tuple[TubeOwner, dict[str, float]]]) -> pd.DataFrame:
    rows = [
        {"sample_id": owner.sample_id, "population": name, "parent": "x", "path": f"/{name}", "n_parent": 4000}
        | {"n_events": round(4000 / (1 + np.exp(-value)))}
        for owner, shares in tubes
        for name, value in shares.items()
    ]
    return COUNTS.frame(rows)


def test_a_swap_between_patients_is_suspected_and_sound_studies_are_not() -> None:
    found, alarms = 0, 0
    for seed in range(20):
        tubes = list(patients(np.random.default_rng(seed)))
        counts = counted(tubes)
        owners = [owner for owner, _ in tubes]
        alarms += (identity_table(counts, owners)["suspected"] == "yes").any()
        other = {"P1_W10": "P5", "P5_W10": "P1"}
        swapped = [replace(owner, patient_id=other.get(owner.sample_id, owner.patient_id)) for owner in owners]
        table = identity_table(counts, swapped)
        named = set(table.loc[table["suspected"] == "yes", "sample_id"])
        found += {"P1_W10", "P5_W10"} <= named <= {"P1_W0", "P1_W10", "P5_W0", "P5_W10"}
    assert (found, alarms) == (20, 0)


def test_many_patients_who_are_alike_are_not_accused_and_are_said_to_be_alike() -> None:
    for seed in range(5):
        tubes = list(patients(np.random.default_rng(seed), n=30, apart=0.25))
        table = identity_table(counted(tubes), [owner for owner, _ in tubes])
        assert (table["suspected"] == "no").all()
        assert table["n_alike"].max() > 0
    tubes = list(patients(np.random.default_rng(0)))
    assert identity_table(counted(tubes), [owner for owner, _ in tubes])["n_alike"].max() == 0


def test_tubes_that_no_exchange_was_looked_for_with_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen patients in two parts, the sheet in the order of the visits: all tubes of a patient are in one part."""
    tubes = sorted(patients(np.random.default_rng(3), n=16), key=lambda tube: tube[0].visit)
    owners = [owner for owner, _ in tubes]
    monkeypatch.setattr(identity, "_MOST_PATIENTS", 8)
    table = identity_table(counted(tubes), owners)
    assert len(table) == 32
    assert table["distance"].notna().all()
    assert set(table["n_alike"]) == {8}  # those of the other part; within its own none is alike
    for other, found in (("P5", {"P1_W10", "P5_W10"}), ("P12", set())):
        change = {"P1_W10": other, f"{other}_W10": "P1"}
        swapped = [replace(owner, patient_id=change.get(owner.sample_id, owner.patient_id)) for owner in owners]
        table = identity_table(counted(tubes), swapped)
        assert found <= set(table.loc[table["suspected"] == "yes", "sample_id"])
        assert (table["suspected"] == "yes").any() == bool(found)
        assert (table["n_alike"] >= 8).all()


def test_every_tube_of_a_patient_has_a_row_and_those_that_are_not_compared_say_why() -> None:
    tubes = list(patients(np.random.default_rng(1)))
    owners = [owner for owner, _ in tubes]
    rows = counted(tubes)
    whole = identity_table(rows, owners)
    without = identity_table(rows[~rows["sample_id"].isin(["P3_W10"])], owners)
    assert list(without["sample_id"]) == [owner.sample_id for owner in owners]
    said = without.set_index("sample_id")["message"]
    assert said["P3_W10"] == "not assessed: the tube was not counted"
    assert said["P3_W0"] == "not assessed: the patient has no other tube of this panel"
    assert set(without.loc[without["suspected"] == "not assessed", "patient_id"]) == {"P3"}
    assert (without["suspected"] == "no").sum() == 14  # one failed tube takes nothing from the others
    assert (without["n_alike"] >= whole["n_alike"] + 1 - 8 * (without["patient_id"] == "P3")).all()
    few = identity_table(rows[rows["population"].isin(["CD4", "B"])], owners)
    assert set(few["suspected"]) == {"not assessed"}
    assert set(few["n_alike"]) == {7}
    assert few["message"].str.contains("2 shares set the patients apart, and 3 are needed").all()
    alone = identity_table(rows, owners[:2])
    assert set(alone["message"]) == {"not assessed: no other patient has two tubes of this panel"}


def bright(rng: np.random.Generator, *, step: float) -> tuple[pd.DataFrame, list[TubeRun]]:
    """Return four markers in six batches of four tubes; CD25 is brighter by ``step`` from the fourth batch on."""
    rows, runs = [], []
    for b in range(6):
        shift = {marker: rng.normal(0, 0.08) for marker in ("CD3", "CD4", "CD8", "CD25", "CCR7", "CD127")}
        shift["CD25"] += step * (b >= 3)
        for i in range(4):
            name = f"s{b}{i}"
            runs.append(TubeRun(name, "", f"B{b + 1}", 7 * b, ("lot L2",) if b >= 3 else ("lot L1",)))
            rows += [
                {"sample_id": name, "population": "CD4", "marker": marker, "n_events": 900, "spread": 0.4}
                | {"median": 3.0 + moved + rng.normal(0, 0.05)}
                for marker, moved in shift.items()
            ]
    return LANDMARKS.frame(rows), runs


def test_a_lot_is_named_with_its_batch_and_day_and_runs_that_differ_as_usual_are_not() -> None:
    found, alarms = 0, 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        said = drift_sentences(drift_table(*bright(rng, step=0.5)))
        found += any(re.match(r"CD25 is 1\.[5-8] times brighter from batch B4 \(day 21\)", text) for text in said)
        assert all("lot L2" in text for text in said if "B4" in text)
        alarms += bool(drift_sentences(drift_table(*bright(rng, step=0.0))))
    assert found >= 19
    assert alarms <= 3  # 5 % of studies are allowed: more than 3 of 20 have a chance of 2 %


def runs_of_ten_markers(rng: np.random.Generator, step: float, lot: str) -> tuple[pd.DataFrame, list[TubeRun]]:
    """Return ten markers in four populations, seven batches of three tubes whose gain and stretch differ.

    Every batch changes each channel by .12 (all cells alike) and by 5 % of how bright the cells are; M0 is brighter by
    ``step`` from the fourth batch on.
    """
    usual = rng.uniform(0.2, 5.0, (10, 4))
    rows, tubes = [], []
    for b in range(7):
        gain, stretch = rng.normal(0, 0.12, 10), rng.normal(0, 0.05, 10)
        level = usual * (1 + stretch[:, None]) + gain[:, None]
        level[0] += step * (b >= 3)
        for i in range(3):
            tubes.append(TubeRun(f"s{b}{i}", "", f"B{b}", 7 * b, (f"lot {lot} {2 if b >= 3 else 1}",) if lot else ()))
            noisy = level + rng.normal(0, 0.04, level.shape)
            rows += [
                {"sample_id": f"s{b}{i}", "population": name, "marker": f"M{m}", "n_events": 900, "spread": 0.5}
                | {"median": noisy[m, p]}
                for m in range(10)
                for p, name in enumerate(("CD4", "CD8", "B", "NK"))
            ]
    return LANDMARKS.frame(rows), tubes


def test_steps_of_the_size_that_is_called_detectable_are_found() -> None:
    """The tables say .95; a lot that names its antibody is found sooner, and sound studies are not flagged."""
    found, sound, detectable = Counter[str](), 0, {"": 0.0, "M0": 0.0}
    for seed in range(8):
        for lot in detectable:
            drift = drift_table(*runs_of_ten_markers(np.random.default_rng([seed, 7]), 0.0, lot))
            sound += bool((drift["change_point"] == "yes").any())
            detectable[lot] = float(drift.loc[drift["marker"] == "M0", "detectable"].iloc[0])
            drift = drift_table(*runs_of_ten_markers(np.random.default_rng([seed, 7]), detectable[lot], lot))
            steps = drift[drift["change_point"] == "yes"]
            found[lot] += "B3" in set(steps.loc[steps["marker"] == "M0", "batch"])
        assert 0.3 < detectable["M0"] < detectable[""] < 0.7  # by its brightest cells alone: 0.86
    assert min(found["M0"], found[""]) >= 6  # of 8 at .95: fewer have a chance of .6 %
    assert sound <= 3  # of 16 at .05: more have a chance of .7 %


def test_drift_of_landmarks_read_back_is_that_of_the_run(tmp_path: Path) -> None:
    """A reader of decimals may be one unit in the last place off; the fit of the variances would show it."""
    landmarks, runs = runs_of_ten_markers(np.random.default_rng(3), 0.5, "M0")
    LANDMARKS.write(landmarks, tmp_path / "landmarks.csv")
    read = LANDMARKS.read(tmp_path / "landmarks.csv")
    read["median"] = np.nextafter(read["median"], np.inf)
    assert not read["median"].equals(landmarks["median"])
    pd.testing.assert_frame_equal(drift_table(read, runs), drift_table(landmarks, runs), check_exact=True)


def test_the_figure_of_landmarks_says_how_many_samples_it_is_of() -> None:
    drift = drift_table(*bright(np.random.default_rng(0), step=0.5))
    run = report_fixture.finished_run()
    figures = run_figures(replace(run, tables={**run.tables, "drift": drift}))
    (made,) = [one for one in figures if one.name == "landmark_drift"]
    assert "at most 24 samples in 6 batches" in made.caption


def test_the_figure_of_landmarks_without_a_step_says_which_step_it_would_show() -> None:
    landmarks, runs = runs_of_ten_markers(np.random.default_rng(1), 0.0, "")
    few = runs[:4]  # three tubes of one batch, one of the next
    for own, words in ((runs, r"No marker steps; .* one of 1\.[4-9] times would be found"), (few, "Too few batches")):
        run = report_fixture.finished_run()
        drift = drift_table(landmarks[landmarks["sample_id"].isin([one.sample_id for one in own])], own)
        figures = run_figures(replace(run, tables={**run.tables, "drift": drift}))
        (made,) = [one for one in figures if one.name == "landmark_drift"]
        assert re.search(words, made.caption)


def test_days_cytometers_and_voltages_come_from_headers_and_nothing_else() -> None:
    text = {"$DATE": "03-FEB-2024", "$CYT": "Symphony", "$CYTSN": "R66", "$P1N": "PE-A", "$P1V": "480", "$OP": "Jane"}
    later = text | {"$DATE": "2024-02-10", "$P1V": "520"}
    other = text | {"$CYTSN": "R77", "$DATE": "01/02/2024"}
    headers = [TubeHeader(f"s{i}", "", "", None, one) for i, one in enumerate((text, text, later, other))]
    table = acquisition_table([*headers, TubeHeader("s4", "", "B9", date(2024, 2, 4), {})])
    assert table["day"].tolist()[:3] == [0, 0, 7]
    assert table["day"].isna().tolist() == [False, False, False, True, False]
    assert table["cytometer"].tolist()[:4] == ["cytometer 1"] * 3 + ["cytometer 2"]
    assert table["settings"].tolist()[2] == "PE-A 520 for 480 V"
    assert table["batch"].tolist()[2] == "cytometer 1, day 7"
    assert not any(word in table.to_csv() for word in ("2024", "R66", "Symphony", "Jane"))


def written(virtual, bleeds, folder: Path, crossed: int, *, also_events: bool = False) -> Path:
    """Write the tubes; the labels of CD4 and CD25 of one are exchanged, with the antibodies where that is asked."""
    for i, bleed in enumerate(bleeds):
        tube = study_faults.tube_of(virtual, bleed)
        labels = [channel.label for channel in tube.channels]
        columns = np.array(tube.columns)
        if i == crossed:
            a, b = labels.index("CD4"), labels.index("CD25")
            labels[a], labels[b] = labels[b], labels[a]
            if also_events:
                columns[[a, b]] = columns[[b, a]]
        names = [channel.name for channel in tube.channels]
        keywords = {f"$P{n + 1}S": label for n, label in enumerate(labels) if label}
        patient, visit = tube.sample_id.split("_")
        write_fcs(folder / f"{patient}_{visit}.fcs", columns.T, names, keywords=keywords)
    return folder


def test_init_puts_exchanged_labels_into_the_panel_with_a_doubt_and_check_repeats_it(
    virtual, bleeds, tmp_path: Path
) -> None:
    (tmp_path / "fcs").mkdir()
    written(virtual, bleeds, tmp_path / "fcs", 2)
    made = propose_study(tmp_path / "study", tmp_path / "fcs")
    assert [path.name for path in made.written if path.parent.name == "panels"] == ["surface.yaml"]
    (doubt,) = [note for note in made.notes if "are exchanged against" in note]
    assert "CD25 and CD4" in doubt or "CD4 and CD25" in doubt
    assert "labels exchanged back" in doubt
    checked = check_study(tmp_path / "study")
    assert any("the labels of this file are wrong" in note for note in checked.notes)
    assert not any("swapped with" in str(problem) for problem in checked.problems)


def test_check_names_a_file_whose_header_can_be_read_and_whose_matrix_cannot(virtual, bleeds, tmp_path: Path) -> None:
    (tmp_path / "fcs").mkdir()
    written(virtual, bleeds, tmp_path / "fcs", -1)
    propose_study(tmp_path / "study", tmp_path / "fcs")
    assert check_study(tmp_path / "study").problems == ()
    one = sorted((tmp_path / "fcs").iterdir())[1]
    tube = read_fcs(one)
    names = [channel.name for channel in tube.channels]
    labels = {f"$P{n + 1}S": channel.label for n, channel in enumerate(tube.channels) if channel.label}
    singular = {"$SPILLOVER": f"2,{names[3]},{names[4]},1,1,1,1"}
    write_fcs(one, tube.columns.T, names, keywords=labels | singular)
    (problem,) = check_study(tmp_path / "study").problems
    assert one.name in str(problem)
    assert "singular" in str(problem)


def test_init_keeps_a_second_panel_whose_antibodies_are_where_its_labels_say(virtual, bleeds, tmp_path: Path) -> None:
    (tmp_path / "fcs").mkdir()
    written(virtual, bleeds, tmp_path / "fcs", 2, also_events=True)
    made = propose_study(tmp_path / "study", tmp_path / "fcs")
    assert [path.name for path in made.written if path.parent.name == "panels"] == ["surface.yaml", "surface_2.yaml"]
    assert any("its events fit its own labels" in note for note in made.notes)


def test_numbers_of_the_flow_of_samples_reconcile_with_every_n_of_page_and_tables() -> None:
    """The page's flow table, as text, against the table's steps; pairs against the shifts and the pairs themselves."""
    run = report_fixture.finished_run()
    table = sample_flow_table(run.study, run.tables)
    steps = {(row.cohort or "", row.step): row for row in table[table["step"] != "pairs"].itertuples()}
    page = [[cell.text for cell in row] for row in flow.sample_flow(run).rows]
    assert len(page) == len(run.cohorts)
    for cohort, row in zip(run.cohorts, page, strict=True):
        said = [steps[cohort, step].n_samples for step in ("sheet", "failed", "not_run", "measured")]
        assert [int(text) for text in row[2:6]] == said
        assert int(row[1]) == steps[cohort, "sheet"].n_patients
        assert said[0] == sum(said[1:])
    pairs = table[table["step"] == "pairs"].set_index(["cohort", "endpoint"])["n_patients"]
    main = run.shifts.drop_duplicates(["cohort", "endpoint"])
    compared = {(row.cohort, row.endpoint): row.n_pairs for row in main.itertuples()}
    assert {key: n for key, n in pairs.items() if key in compared} == compared
