"""How often a patient who did not change is called, and one whose subset doubled.

Every scenario is a table as a laboratory would hand it over: eight patients with one visit before and one after (some
with a second baseline or with bridging controls beside them), of which a percentage is known from counts. The change of
an unchanged patient has what the scenario says: between assays (``assay``), from day to day (``person``), between gates
and between batches, all as SD of the logarithm of the percentage. Percentages move on that log, as coefficients of
variation are defined. Printed: the share of unchanged patients that are called a rise or a fall, and of patients with a
true doubling (a halving where the share is above half) that are called so.

    python benchmarks/calibration_calls.py [--sims 1000] [--patients 8]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
import pandas as pd

from immunolab.comparison.plan import Noise, Plan
from immunolab.comparison.table import compare_endpoints

SEED = 15_05
SETS = 10  # materials measured twice, where the scenario has bridging controls


@dataclass(frozen=True)
class Scenario:
    """What the unchanged patients' values do, and what the laboratory has to judge them by."""

    name: str
    share: float = 0.05
    depth: float = 20_000
    assay: float = 0.10
    person: float = 0.0
    repeats: str = ""  # baselines: a second baseline of each patient; controls: bridging controls on two days
    declared: float | None = None  # inter-assay CV
    gate: float = 0.0  # SD of what the borders move the logit by
    gate_shared: bool = True
    averaged: bool = False  # both baselines are the side before
    on_treatment: bool = False  # the earlier visit is on treatment, at a level of its own, with one baseline before it
    batches: int = 0
    batch_sd: float = 0.0


SCENARIOS = (
    Scenario("assay 10 %, two baselines", repeats="baselines"),
    Scenario("assay 10 %, two baselines averaged", repeats="baselines", averaged=True),
    Scenario("assay 10 %, bridging controls", repeats="controls"),
    Scenario("assay 10 %, person 14 %, two baselines", person=0.14, repeats="baselines"),
    Scenario("assay 10 %, person 14 %, two baselines averaged", person=0.14, repeats="baselines", averaged=True),
    Scenario("assay 10 %, person 14 %, bridging controls", person=0.14, repeats="controls"),
    Scenario("assay 5 %, person 14 %, declared CV 5 %", assay=0.05, person=0.14, declared=0.05),
    Scenario("assay 10 %, person 14 %, nothing measured", person=0.14),
    Scenario("60 % of parent, assay 10 %, declared CV 10 %", share=0.6, declared=0.10),
    Scenario("60 % of parent, assay 10 %, two baselines", share=0.6, repeats="baselines"),
    Scenario("rare: 0.1 % of 10,000, two baselines", share=0.001, depth=10_000, repeats="baselines"),
    Scenario("earlier visit on treatment, one baseline, declared CV 10 %", declared=0.10, on_treatment=True),
    Scenario("gates SD 0.3, shared by the visits, bridging controls", gate=0.3, repeats="controls"),
    Scenario("gates SD 0.3, each tube its own, two baselines", gate=0.3, gate_shared=False, repeats="baselines"),
    Scenario("4 batches SD 0.3 at random, controls within a batch", repeats="controls", batches=4, batch_sd=0.3),
    Scenario("2 batches SD 0.3, 80/20 confounded, controls", repeats="controls", batches=2, batch_sd=0.3),
)


def table(scenario: Scenario, rng: np.random.Generator, sims: int, n: int, fold: float) -> pd.DataFrame:
    """Return endpoint rows of ``sims`` trials, each its own endpoint, with columns of what the scenario has."""
    names = ["screen", "W0", "W10"] if scenario.repeats == "baselines" else ["W0", "W10"]
    if scenario.on_treatment:
        names = ["W0", "W10", "W24"]
    shape = (sims, n, len(names))
    log = np.log(scenario.share) + rng.normal(0, 0.4 * (1 - scenario.share), (sims, n, 1)) + np.zeros(shape)
    log = log + rng.normal(0, scenario.person, shape) + rng.normal(0, scenario.assay, shape)
    if scenario.on_treatment:
        log[..., 0] -= np.log(2.0)  # the baseline is half of what treatment keeps it at
    log[..., -1] += np.log(fold)
    batch = None
    if scenario.batches:
        batch = rng.integers(0, scenario.batches, shape)
        if scenario.batches == 2:
            swapped = rng.random(shape) < 0.2
            batch = np.where(swapped, 1 - np.arange(len(names)), np.arange(len(names))) % 2
        log = log + np.take_along_axis(rng.normal(0, scenario.batch_sd, (sims, 4)), batch.reshape(sims, -1), 1).reshape(
            shape
        )
    return _rows(scenario, rng, log, names, batch)


def controls(scenario: Scenario, rng: np.random.Generator, sims: int) -> pd.DataFrame:
    """Return rows of materials measured on two days: no variation of a person, no batch."""
    log = np.log(scenario.share) + rng.normal(0, 0.1, (sims, SETS, 1)) + rng.normal(0, scenario.assay, (sims, SETS, 2))
    return _rows(scenario, rng, log, ["day1", "day2"], None)


def _rows(
    scenario: Scenario, rng: np.random.Generator, log: np.ndarray, names: list[str], batch: np.ndarray | None
) -> pd.DataFrame:
    share = np.minimum(np.exp(log), 0.98)
    logit = np.log(share / (1 - share))
    moved = rng.normal(0, scenario.gate, (*log.shape[:2], 1) if scenario.gate_shared else log.shape)
    depth = np.maximum(np.rint(scenario.depth * np.exp(rng.normal(0, 0.5, log.shape))), 50).astype(int)
    events = rng.binomial(depth, 1 / (1 + np.exp(-(logit + moved))))
    s, p, v = (axis.ravel() for axis in np.indices(log.shape))
    rows = pd.DataFrame({"endpoint": s.astype(str), "patient_id": p.astype(str), "visit": np.array(names)[v]})
    rows = rows.assign(n_events=events.ravel(), n_parent=depth.ravel(), cohort="", unit="%", population="Treg")
    rows["value"] = 100.0 * rows["n_events"] / rows["n_parent"]
    treated = ("W10", "W24")
    rows["phase"] = np.where(rows["visit"].isin(treated), "on_treatment", "baseline")
    if scenario.gate:
        centre = np.log((rows["n_events"] + 0.5) / (rows["n_parent"] - rows["n_events"] + 0.5))
        for name, sign in (("gate_low", -1), ("gate_high", 1)):
            rows[name] = 100 / (1 + np.exp(-(centre + sign * 1.96 * scenario.gate)))
        rows["gate_scope"] = "patient" if scenario.gate_shared else "sample"
    if batch is not None:
        rows["batch"] = np.array([f"B{i}" for i in range(4)])[batch.ravel()]
    return rows


def called(scenario: Scenario, sims: int, n: int, fold: float) -> tuple[float, float]:
    """Return the share of patients called a rise or a fall, and of those called at all."""
    rng = np.random.default_rng([SEED, SCENARIOS.index(scenario), int(100 * fold)])
    rows = table(scenario, rng, sims, n, fold)
    repeats = controls(scenario, rng, sims) if scenario.repeats == "controls" else None
    before = "W10" if scenario.on_treatment else "screen,W0" if scenario.averaged else "W0"
    after = "W24" if scenario.on_treatment else "W10"
    noise = None if scenario.declared is None else _declared(scenario.declared)
    found = compare_endpoints(rows, Plan(before, after, test="t", noise=noise), replicates=repeats).pairs
    verdict = found["verdict"].astype(str)
    evaluable = verdict != "not_evaluable"
    return float(verdict[evaluable].isin(("rise", "fall")).mean()) if evaluable.any() else np.nan, evaluable.mean()


def _declared(cv: float) -> Noise:
    """Return a declared CV as the version at hand takes it: a CV of the value, or an SD with 20 invented repeats."""
    s_w = float(np.sqrt(np.log1p(cv**2)))
    try:
        return Noise(s_w, np.inf, "declared", relative=True)
    except TypeError:
        return Noise(s_w, 20, "declared")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sims", type=int, default=1000)
    parser.add_argument("--patients", type=int, default=8)
    arguments = parser.parse_args()
    print(f"{'scenario':62}  false  called of a doubling  evaluable")
    start = time.perf_counter()
    for scenario in SCENARIOS:
        false, evaluable = called(scenario, arguments.sims, arguments.patients, 1.0)
        true, _ = called(scenario, arguments.sims, arguments.patients, 0.5 if scenario.share > 0.4 else 2.0)
        print(f"{scenario.name:62}  {false:5.3f}  {true:5.3f}                {evaluable:5.2f}", flush=True)
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
