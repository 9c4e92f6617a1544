"""Bias of the Treg shift with borders that follow a bridging control, with little noise: paired and mirrored studies.

What one study of `bridges.py` is off by is mostly chance that its patients share: where the two runs happened to be and
which cells of the bridge were acquired. So each study is made twice of the same patients' cells, the two runs
exchanged (their random shifts, gains, drift, matrices and bridge tubes), with the new lot in the later run of both:
chance changes its sign and what is off in the mean stays. Gates are placed by data on each tube, as a run places them,
and every bridge is right, so that nothing is refused. Beside it the same cells in one run, without a batch effect:
with gates of both visits' tubes together (``one_run``), and with those of the first visit's alone, as the bridge
carries them (``of_first``). Without an effect of the drug the first is off by nothing but chance, for the visits could
be exchanged, so that ``bridged`` less ``one_run`` is the surer estimate there.

    python benchmarks/bridge_bias.py --seeds 16 --first 9800 [--drug effect] [--patients 4] [--drift 0.1] [--out FILE]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import stdtrit

import immunolab as il
from immunolab.events.tube import Tube
from immunolab.gating.following.bridge import BridgeMoves, followed, gated_events
from immunolab.gating.gate_source import read_gates
from immunolab.gating.placement.fit import fit
from immunolab.gating.placement.scales import measure_scales, on_scales
from immunolab.gating.strategy import Strategy
from immunolab.simulation import Options
from immunolab.simulation.biology import compose, draw_patient
from immunolab.simulation.laboratory import Laboratory, TubeFaults, TubeKind
from immunolab.simulation.model import load_model
from immunolab.simulation.schedule import BRIDGE, Bleed, generator
from immunolab.simulation.truth import memberships
from immunolab.simulation.virtual_trial import VirtualTrial, chosen_visits
from immunolab.study.trial import load_trial

TRIAL, VISITS = "sle_nct02084238", ("W0", "W10")
EVENTS = 12_000
SHARE = ("Treg", "CD4")
KIND = TubeKind("surface", "surface")
DRUG = ("null", "effect")  # of even and odd seeds


def log_odds(n: int, of: int) -> float:
    """Return the log odds of a share."""
    return float(np.log((n + 0.5) / (of - n + 0.5)))


class Maker:
    """Makes the tubes of one seed's patients in any run, with the new lot or without."""

    def __init__(self, seed: int, patients: int, drift: float, null: bool, place: Path) -> None:
        """Draw the patients."""
        options = Options(bridges=True, batch_drift=drift, events=EVENTS, null=null, confounded=True)
        trial = load_trial(TRIAL)
        self.model, self.seed, self.place = load_model(), seed, place
        self.trial = VirtualTrial(self.model, trial, options, seed, chosen_visits(trial, VISITS), patients)
        # from the first run on, or never
        self.with_lot = Laboratory(self.model, replace(options, lot_change=True), seed, 1)
        self.without = Laboratory(self.model, options, seed, 1)
        self.bleeds = {(b.patient, b.visit.name): b for b in self.trial.attended(self.trial.visits)}
        self.blood = {key: self.trial.blood(bleed) for key, bleed in self.bleeds.items()}

    def patient(self, key: tuple[int, str], run: int, *, lot: bool) -> tuple[Tube, float]:
        """Return a patient's tube in a run, and its true log odds."""
        laboratory, bleed = self.with_lot if lot else self.without, replace(self.bleeds[key], batch=run)
        drawn = laboratory.acquire(bleed, 0, KIND, self.blood[key], TubeFaults())
        masks = memberships(self.model, drawn)
        true = log_odds(int(masks[SHARE[0]].sum()), int(masks[SHARE[1]].sum()))
        return self._read(drawn, laboratory, bleed, f"P{key[0]}_{key[1]}"), true

    def bridge(self, run: int, *, lot: bool) -> Tube:
        """Return the bridging control's tube of a run."""
        laboratory, bleed = self.with_lot if lot else self.without, replace(next(iter(self.bleeds.values())), batch=run)
        donor = draw_patient(self.model, "HD01", generator(self.seed, BRIDGE, 0, 0))
        blood = compose(self.model, "hc", donor, 0, (), replace(self.trial.options, null=True))
        drawn = laboratory.acquire_bridge(bleed, KIND, blood)
        return self._read(drawn, laboratory, bleed, f"bridge_{'lot' if lot else 'first'}")

    def _read(self, drawn: object, laboratory: Laboratory, bleed: Bleed, name: str) -> Tube:
        path = self.place / f"{name}.fcs"
        laboratory.save(drawn, KIND, bleed, TubeFaults(), path)  # type: ignore[arg-type]
        return il.read_fcs(path, sample_id=name)


def placed(tubes: Sequence[Tube], groups: dict[str, dict[str, str]]) -> dict[str, Strategy]:
    """Return the gates that data place, as a run places them: a patient's tubes of one run together."""
    declared = read_gates("treg_th17_tfh_teff").of(None).declared
    assert declared is not None
    found = fit(declared, tubes, groups=groups, resample=False)
    gates = {tube.sample_id: found.gates_of(tube.sample_id).strategy for tube in tubes}
    return {tube.sample_id: on_scales(measure_scales(gates[tube.sample_id], [tube]), tube) for tube in tubes}


def share(tube: Tube, gates: Strategy) -> float:
    """Return the log odds of the share with some gates."""
    sizes = {path.rsplit("/", 1)[-1]: int(mask.sum()) for path, mask in gated_events(tube, gates).masks.items()}
    return log_odds(sizes[SHARE[0]], sizes[SHARE[1]])


def bridged(maker: Maker, runs: tuple[int, int]) -> dict[str, float]:
    """Return mean errors of a study whose visits are two runs, the later with the new lot: log odds ratios."""
    patients = sorted({patient for patient, _ in maker.bleeds})
    made = {
        (p, visit): maker.patient((p, visit), run, lot=visit == VISITS[1])
        for p in patients
        for visit, run in zip(VISITS, runs, strict=True)
    }
    tubes = {key: tube for key, (tube, _) in made.items()}
    controls = [maker.bridge(runs[0], lot=False), maker.bridge(runs[1], lot=True)]
    of = {tube.sample_id: {"patient": str(key[0]), "batch": key[1]} for key, tube in tubes.items()}
    of |= {tube.sample_id: {"patient": "", "batch": visit} for tube, visit in zip(controls, VISITS, strict=True)}
    gates = placed([*tubes.values(), *controls], of)
    moves = BridgeMoves(*(gated_events(tube, gates[tube.sample_id]) for tube in controls))
    apart: dict[str, list[float]] = {"bridged": [], "own": []}
    for p in patients:
        before, after = (tubes[p, visit] for visit in VISITS)
        first, last = gates[before.sample_id], gates[after.sample_id]
        at_first = share(before, first)
        true = made[p, VISITS[1]][1] - made[p, VISITS[0]][1]
        apart["bridged"].append(share(after, followed(first, last, moves)) - at_first - true)
        apart["own"].append(share(after, last) - at_first - true)
    return {name: float(np.mean(values)) for name, values in apart.items()}


def in_one_run(maker: Maker, run: int) -> dict[str, float]:
    """Return the mean error of the same patients' shifts where both visits are of one run."""
    apart: dict[str, list[float]] = {"one_run": [], "of_first": []}
    for p in sorted({patient for patient, _ in maker.bleeds}):
        (before, was), (after, now) = (maker.patient((p, visit), run, lot=False) for visit in VISITS)
        groups = {t.sample_id: {"patient": str(p), "batch": "1"} for t in (before, after)}
        gates = placed([before, after], groups)
        first = placed([before], groups)[before.sample_id]
        together = share(after, gates[after.sample_id]) - share(before, gates[before.sample_id])
        apart["one_run"].append(together - (now - was))
        apart["of_first"].append(share(after, first) - share(before, first) - (now - was))
    return {name: float(np.mean(values)) for name, values in apart.items()}


def rows(
    seeds: int, first: int, patients: int, drift: float, drug: tuple[str, ...] = DRUG
) -> Iterator[dict[str, object]]:
    """Yield one row a seed: errors of the study, of its mirror image, and without a batch effect."""
    for seed in range(first, first + seeds):
        null = drug[seed % len(drug)] == "null"
        with tempfile.TemporaryDirectory() as place:
            began = time.process_time()
            maker = Maker(seed, patients, drift, null, Path(place))
            one, mirrored, alone = bridged(maker, (1, 2)), bridged(maker, (2, 1)), in_one_run(maker, 1)
        both = {name: (one[name] + mirrored[name]) / 2 for name in one}
        known = {"as_drawn": one["bridged"], "mirrored": mirrored["bridged"]}
        less = {f"bridged_less_{name}": both["bridged"] - value for name, value in alone.items()}
        yield {"seed": seed, "null": null} | known | both | alone | less | {"seconds": time.process_time() - began}


def main() -> None:
    """Run the seeds that are asked for, print one line each, then means with their standard errors, percent."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--first", type=int, default=9800)
    parser.add_argument("--patients", type=int, default=4)
    parser.add_argument("--drift", type=float, default=0.1)
    parser.add_argument("--drug", choices=("", *DRUG), default="", help="of every seed; by turns without it")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    found = []
    drug = (arguments.drug,) if arguments.drug else DRUG
    for row in rows(arguments.seeds, arguments.first, arguments.patients, arguments.drift, drug):
        found.append(row)
        print({name: round(v, 4) if isinstance(v, float) else v for name, v in row.items()}, flush=True)
        if arguments.out:
            pd.DataFrame(found).to_csv(arguments.out, index=False)
    table = pd.DataFrame(found)
    for words, own in (("all", table), ("no effect", table[table["null"]]), ("effect", table[~table["null"]])):
        for name in [column for column in own.columns if column not in ("seed", "null", "seconds")]:
            values, n = 100 * own[name], len(own)
            if n > 1:
                se = values.std() / np.sqrt(n)
                reach = se * stdtrit(n - 1, 0.975)
                print(f"{words}, {name}: {values.mean():+.2f} %, SE {se:.2f}, 95 % +-{reach:.2f}, n {n}")


if __name__ == "__main__":
    main()
