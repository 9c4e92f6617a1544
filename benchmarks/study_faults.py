"""Faults across the tubes of simulated studies: how often each is found, and how often a sound study is flagged.

``python benchmarks/study_faults.py [--seeds 100] [--first 0] [--patients 12] [--events 4000]`` draws studies of two
visits in monthly runs and plants, one at a time: two labels exchanged in one tube, one antibody missing in one tube,
another lot of one antibody from the middle run on (by three sizes; and with a sheet that names antibody and lot), one
visit's tubes of two patients exchanged, all baselines in one run and all later visits in another. Planting is done by
the simulator, before the events are drawn, or in the sheet; it shares no code with what looks for it. Populations are
counted by the truth of every cell, as if gates were right: ``--gated FOLDER`` runs the product on written studies
instead, whose counts are those of its own gates.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from immunolab.comparison.visit_design import visit_design
from immunolab.events.tube import Spillover, Tube
from immunolab.quality.batch_drift import TubeRun, drift_table
from immunolab.quality.identity import TubeOwner, identity_table
from immunolab.quality.landmarks import landmark_rows
from immunolab.quality.staining import staining_findings
from immunolab.quality.staining_sample import StainingSample, staining_sample
from immunolab.schema.across_tubes import LANDMARKS
from immunolab.schema.gating import COUNTS
from immunolab.simulation.cells import Recipe, draw_tube
from immunolab.simulation.laboratory import TubeFaults
from immunolab.simulation.model import Options, load_model
from immunolab.simulation.schedule import EVENTS, Bleed, generator
from immunolab.simulation.truth import memberships
from immunolab.simulation.virtual_trial import VirtualTrial, chosen_visits
from immunolab.study.sheet import PlannedComparison, Sample, Study
from immunolab.study.trial import load_trial
from immunolab.vocabulary.panel import resolve_channels

TRIAL, VISITS, PANEL = "sle_nct02084238", ("W0", "W10"), "surface"
LOTS = (0.45, 0.6, 0.75)  # asinh
KINDS = (
    *("sound", "sound, lot in the sheet", "swapped labels", "missing antibody"),
    *(f"lot change {size:g}{named}" for size in LOTS for named in ("", ", lot in the sheet")),
    *("sample swap", "batch equal to visit"),
)


@dataclass
class Drawn:
    """A study as tables: stains by tube, counts, landmarks, and the sheet."""

    stains: dict[str, StainingSample] = field(default_factory=dict)
    counts: list[dict[str, object]] = field(default_factory=list)
    landmarks: list[dict[str, object]] = field(default_factory=list)
    sheet: list[Sample] = field(default_factory=list)


def virtual(seed: int, patients: int, events: int, **options: object) -> VirtualTrial:
    """Return a virtual trial of two visits in monthly runs."""
    trial = load_trial(TRIAL)
    chosen = replace(Options(events=events, batches="months"), **options)
    return VirtualTrial(load_model(), trial, chosen, seed, chosen_visits(trial, VISITS), patients)


def tube_of(study: VirtualTrial, bleed: Bleed, *, omitted: str = "", swapped: tuple[str, str] | None = None) -> Tube:
    """Return one tube, with the marker that was not stained or the labels that were exchanged."""
    return _tube(study, bleed, omitted, swapped)[0]


def _tube(study: VirtualTrial, bleed: Bleed, omitted: str, swapped: tuple[str, str] | None):  # type: ignore[no-untyped-def]
    model, laboratory = study.model, study.laboratory
    panel, rng = model.panels[PANEL], generator(study.seed, EVENTS, *bleed.key, 0)
    recipe = Recipe(
        panel,
        study.blood(bleed),
        laboratory._staining(bleed),
        study.options.events,
        laboratory._dead(rng),
        None,
        omitted,
    )
    drawn = draw_tube(model, recipe, rng)
    faults = TubeFaults(swapped=swapped)
    labels = {d.detector: laboratory._label(d.marker, faults, rng) for d in panel.detectors}
    channels = resolve_channels(list(drawn.names), [labels.get(name, "") for name in drawn.names])
    matrix = Spillover(tuple(d.detector for d in panel.detectors), laboratory.written_matrix(PANEL, bleed.batch))
    return Tube(drawn.columns, channels, matrix, sample_id(study, bleed)), drawn


def sample_id(study: VirtualTrial, bleed: Bleed) -> str:
    """Return the name of a visit's tube."""
    return f"{study.people[bleed.patient].patient_id}_{bleed.visit.name}"


def draw(study: VirtualTrial) -> Drawn:
    """Return a study's tubes as tables, populations counted by the truth of every cell."""
    found = Drawn()
    for bleed in study.attended(study.visits):
        tube, drawn = _tube(study, bleed, "", None)
        found.stains[tube.sample_id] = staining_sample(tube)
        masks = memberships(study.model, drawn)
        markers = [channel.marker for channel in tube.channels if channel.marker and channel.kind == "fluorescence"]
        for name, rule in study.model.truth.items():
            if not set(rule.levels) <= set(markers):
                continue
            n, of = int(masks[name].sum()), int(masks[rule.parents[0]].sum())
            row = {"sample_id": tube.sample_id, "population": name, "n_events": n}
            found.counts.append(row | {"parent": rule.parents[0], "path": f"/{name}", "n_parent": of})
        found.landmarks += list(landmark_rows(tube, masks))
        patient = study.people[bleed.patient].patient_id
        found.sheet.append(
            Sample(tube.sample_id, patient, bleed.visit.name, Path("none.fcs"), batch=f"B{bleed.batch}", cohort="SLE")
        )
    return found


def owners(sheet: list[Sample]) -> list[TubeOwner]:
    """Return whose each tube is."""
    return [TubeOwner(s.sample_id, s.patient_id, s.visit) for s in sheet]


def changed_lot(study: VirtualTrial, size: float) -> VirtualTrial:
    """Return the study with another lot of one antibody from the middle run on, brighter by ``size`` (asinh)."""
    lot = {**study.model.lot_change, "shift": size}
    return replace(study, model=replace(study.model, lot_change=lot), options=replace(study.options, lot_change=True))


def steps(found: Drawn, study: VirtualTrial | None = None) -> pd.DataFrame:
    """Return the steps of markers between batches; a sheet that names antibody and lot where a study is given."""

    def lot(batch: str) -> tuple[str, ...]:
        if study is None:
            return ()
        later = int(batch[1:]) > study.laboratory.last_batch / 2
        return (f"lot {study.model.lot_change['marker']} {2 if later else 1}",)

    runs = [TubeRun(s.sample_id, "", s.batch, None, lot(s.batch)) for s in found.sheet]
    drift = drift_table(LANDMARKS.frame(found.landmarks), runs)
    return drift[drift["change_point"] == "yes"]


def exchanged(sheet: list[Sample], first: str, second: str, visit: str) -> list[Sample]:
    """Return a sheet in which two patients' tubes of a visit were taken for each other."""
    other = {first: second, second: first}
    return [replace(s, patient_id=other.get(s.patient_id, s.patient_id)) if s.visit == visit else s for s in sheet]


def study_of(sheet: list[Sample]) -> Study:
    """Return a study of the sheet."""
    trial, comparison = load_trial(TRIAL), PlannedComparison(*VISITS)
    return Study("drawn", Path(), Path(), trial, tuple(sheet), {}, comparison, trial.expanded_endpoints())


def trial_of(seed: int, patients: int = 12, events: int = 4_000) -> dict[str, bool]:
    """Return, for one seed, whether the sound study was flagged and which planted faults were found."""
    rng = np.random.default_rng([seed, 20])
    virtual_study = virtual(seed, patients, events)
    sound = draw(virtual_study)
    bleeds = {sample_id(virtual_study, bleed): bleed for bleed in virtual_study.attended(virtual_study.visits)}
    name = str(rng.choice(list(bleeds)))
    markers = virtual_study.model.panels[PANEL].markers
    pair = tuple(map(str, rng.choice(markers, 2, replace=False)))
    missing = str(rng.choice(markers))
    first, second = map(str, rng.choice(sorted({s.patient_id for s in sound.sheet}), 2, replace=False))
    counts = COUNTS.frame(sound.counts)
    found = {"sound": _flags(sound, counts) != []}

    def stained(**fault: object) -> list[object]:
        faulty = staining_sample(tube_of(virtual_study, bleeds[name], **fault))  # type: ignore[arg-type]
        return [
            (one.kind, {one.marker, one.other} - {""})
            for one in staining_findings(sound.stains | {name: faulty})
            if one.tube == name
        ]

    found["swapped labels"] = ("exchanged", set(pair)) in stained(swapped=pair)
    found["missing antibody"] = ("absent_stain", {missing}) in stained(omitted=missing)
    found["sound, lot in the sheet"] = len(steps(sound, virtual_study)) > 0
    for size in LOTS:
        changed = changed_lot(virtual_study, size)
        tables, middle = draw(changed), changed.laboratory.last_batch / 2
        for word, sheet in (("", None), (", lot in the sheet", changed)):
            named = steps(tables, sheet)
            at = {int(str(b)[1:]) for b in named.loc[named["marker"] == changed.model.lot_change["marker"], "batch"]}
            found[f"lot change {size:g}{word}"] = any(middle < batch <= middle + 2 for batch in at)
    swapped = exchanged(sound.sheet, first, second, VISITS[1])
    table = identity_table(counts, owners(swapped)).set_index("sample_id")
    ids = [f"{patient}_{VISITS[1]}" for patient in (first, second)]
    found["sample swap"] = bool((table.reindex(ids)["suspected"] == "yes").all())
    confounded = [replace(s, batch="1" if s.visit == VISITS[0] else "2") for s in sound.sheet]
    found["batch equal to visit"] = set(visit_design(study_of(confounded))["status"]) == {"aliased"}
    return found


def _flags(sound: Drawn, counts: pd.DataFrame) -> list[str]:
    """Return what is said of a sound study."""
    said = [f"{one.kind} {one.marker}" for one in staining_findings(sound.stains) if one.kind != "absent_population"]
    said += [f"step {marker}" for marker in steps(sound)["marker"]]
    table = identity_table(counts, owners(sound.sheet))
    said += [f"identity {name}" for name in table.loc[table["suspected"] == "yes", "sample_id"]]
    said += [f"design {status}" for status in visit_design(study_of(sound.sheet))["status"] if status == "aliased"]
    return said


def gated(folder: Path, seeds: range, patients: int, events: int) -> Iterator[dict[str, bool]]:
    """Yield the same of studies that the product reads and gates; samples are exchanged in the tables."""
    import immunolab as il
    from immunolab.simulation import simulate

    for seed in seeds:
        place = folder / str(seed)
        options = Options(batches="months", truth_events=False)
        simulate(
            TRIAL, patients=patients, seed=seed, folder=place / "study", visits=VISITS, events=events, options=options
        )
        run = il.run(place / "study", out=place / "out", tables_only=True, quiet=True)
        sheet = [s for s in run.study.samples if s.sample_id in set(run.counts["sample_id"])]
        rng = np.random.default_rng([seed, 20])
        first, second = map(str, rng.choice(sorted({s.patient_id for s in sheet}), 2, replace=False))
        table = identity_table(run.counts, owners(exchanged(sheet, first, second, VISITS[1]))).set_index("sample_id")
        ids = [f"{patient}_{VISITS[1]}" for patient in (first, second)]
        drift, identity = run.table("drift"), run.table("identity")
        flagged = len(run.table("staining")) + (drift["change_point"] == "yes").sum()
        flagged += (identity["suspected"] == "yes").sum()
        yield {"sound": bool(flagged), "sample swap": bool((table.reindex(ids)["suspected"] == "yes").all())}
        shutil.rmtree(place)


def main() -> None:
    """Print how often each planted fault was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("seeds", 100), ("first", 0), ("patients", 12), ("events", 4_000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--gated", type=Path)
    given = parser.parse_args()
    seeds, started = range(given.first, given.first + given.seeds), time.time()
    hits: Counter[str] = Counter()
    missed: dict[str, list[int]] = {}
    results: Mapping[int, Iterator[dict[str, bool]]] | Iterator[dict[str, bool]]
    if given.gated:
        results = gated(given.gated, seeds, given.patients, given.events)
    else:
        results = (trial_of(seed, given.patients, given.events) for seed in seeds)
    for seed, found in zip(seeds, results, strict=True):
        hits.update(kind for kind, yes in found.items() if yes)
        for kind, yes in found.items():
            if yes == kind.startswith("sound"):
                missed.setdefault(kind, []).append(seed)
    for kind in KINDS:
        said = "flagged" if kind.startswith("sound") else "found"
        print(f"{kind:34} {said} {hits[kind]} of {len(seeds)}; others: {missed.get(kind, [])}")
    print(f"{time.time() - started:.0f} s")


if __name__ == "__main__":
    main()
