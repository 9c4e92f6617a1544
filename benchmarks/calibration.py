"""Type I error, coverage, power and false discovery of every method on simulated trials.

Each simulated trial is one endpoint of one large table that goes through the same verb as real data.
Patients differ in level (sd 0.5 on the logit), in response (0.15) and from visit to visit (0.2); counts are
binomial with unequal acquisitions (log sd 0.6). ``fold`` is on the odds.

    python benchmarks/calibration.py [--sims 2000] [-o calibration.json] [--picture calibration.png]
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import pandas as pd

from immunolab.comparison.plan import Plan
from immunolab.comparison.table import Comparison, compare_endpoints

PATIENTS = (8, 13, 20, 40)
CELLS = {"10 % of 10,000": (0.10, 1e4), "1 % of 10,000": (0.01, 1e4), "0.1 % of 10,000": (0.001, 1e4)}
TESTS = ("t", "wilcoxon", "signflip", "count_weighted", "binomial_mixed")
MOST = {"wilcoxon": 500, "signflip": 200, "count_weighted": 500, "binomial_mixed": 20, "mixed": 200}  # simulations

SHORTER = {"several_visits": 10, "batches": 4, "families": 20, "verdicts": 10}  # share of the simulations


def simulate_trials(
    seed: int,
    sims: int,
    n: int,
    *,
    share: float = 0.01,
    depth: float = 1e4,
    fold: float | np.ndarray = 1.0,
    response_sd: float = 0.15,
    visit_sd: float = 0.2,
    depth_sd: float = 0.6,
    visits: tuple[tuple[str, int], ...] = (("baseline", 0), ("on", 1)),
    missing: float = 0.0,
    batch: np.ndarray | None = None,
    batch_sd: float = 0.3,
) -> pd.DataFrame:
    """Return endpoint rows of ``sims`` independent trials, each its own endpoint.

    Parameters
    ----------
    fold : true odds ratio on treatment; one for all or one a simulation.
    visits : label and whether on treatment.
    missing : share of samples lost completely at random.
    batch : ``(sims, n, visits)`` batch of every sample; a batch shifts all its samples alike.
    """
    rng = np.random.default_rng(seed)
    on = np.array([treated for _, treated in visits], dtype=float)
    shape = (sims, n, on.size)
    level = math.log(share / (1 - share)) + rng.normal(0, 0.5, (sims, n, 1)) + rng.normal(0, visit_sd, shape)
    response = np.log(np.broadcast_to(np.asarray(fold, dtype=float), (sims,)))[:, None, None]
    level = level + on * (response + rng.normal(0, response_sd, (sims, n, 1)))
    if batch is not None:
        effects = rng.normal(0, batch_sd, (sims, int(batch.max()) + 1))
        level = level + np.take_along_axis(effects, batch.reshape(sims, -1), axis=1).reshape(shape)
    parents = np.maximum(np.rint(depth * np.exp(rng.normal(0, depth_sd, shape))), 20).astype(int)
    events = rng.binomial(parents, 1 / (1 + np.exp(-level)))
    s, p, v = (axis.ravel() for axis in np.indices(shape))
    rows = pd.DataFrame({"endpoint": s, "patient_id": p, "visit": np.array([name for name, _ in visits])[v]})
    rows = rows.assign(n_events=events.ravel(), n_parent=parents.ravel(), cohort="", unit="%")
    rows["phase"] = np.where(on[v] > 0, "on_treatment", "baseline")
    rows["value"] = 100.0 * rows["n_events"] / rows["n_parent"]
    if batch is not None:
        rows["batch"] = batch.ravel().astype(str)
    return rows[rng.random(len(rows)) >= missing] if missing else rows


def rejected(found: Comparison) -> float:
    """Return the share of simulated trials with p below 0.05; one without p is not rejected."""
    return float((found.shifts["p_value"] < 0.05).mean())


def covered(found: Comparison, fold: float) -> float:
    """Return the share of 95 % intervals that hold the true shift."""
    low, high = (found.shifts[name].to_numpy(dtype=float) for name in ("ci_low", "ci_high"))
    known = np.isfinite(low) & np.isfinite(high)
    truth = math.log(fold)
    return float(((low <= truth) & (truth <= high))[known].mean())


def two_visits(sims: int, seed: int = 1) -> list[dict[str, object]]:
    """Return type I error, coverage and power of every two-visit method."""
    rows = []
    for test in TESTS:
        for n in PATIENTS:
            for cell, (share, depth) in CELLS.items():
                count = min(sims, MOST.get(test, sims))
                plan = Plan("baseline", "on", test=test)
                null = compare_endpoints(simulate_trials(seed, count, n, share=share, depth=depth), plan)
                shifted = simulate_trials(seed + 1, count, n, share=share, depth=depth, fold=1.5)
                real = compare_endpoints(shifted, plan)
                row = {"design": "two visits", "test": test, "n": n, "cell": cell, "sims": count}
                row |= {"type_i": rejected(null), "power": rejected(real)}
                rows.append(row | {"coverage_null": covered(null, 1.0), "coverage": covered(real, 1.5)})
    return rows


def several_visits(sims: int, seed: int = 2) -> list[dict[str, object]]:
    """Return the same for two baselines and four visits on treatment, 15 % of the samples missing."""
    visits = (("screen", 0), ("day0", 0), ("w2", 1), ("w4", 1), ("w6", 1), ("w8", 1))
    rows = []
    for test in ("t", "mixed"):
        for n in PATIENTS:
            options = {"share": 0.02, "visits": visits, "missing": 0.15, "response_sd": 0.25}
            plan = Plan("baseline", "on_treatment", test=test)
            count = min(sims, MOST["mixed"])
            null = compare_endpoints(simulate_trials(seed, count, n, **options), plan)
            real = compare_endpoints(simulate_trials(seed + 1, count, n, fold=1.2, **options), plan)
            fallen = float(null.shifts["warnings"].fillna("").str.contains("SINGULAR|SLOPE0|NOCONV").mean())
            row = {"design": "six visits, 15 % missing", "test": test, "n": n, "cell": "2 % of 10,000", "sims": count}
            row |= {"type_i": rejected(null), "power": rejected(real), "fell_back": fallen}
            rows.append(row | {"coverage_null": covered(null, 1.0), "coverage": covered(real, 1.2)})
    return rows


def batches(sims: int, seed: int = 3) -> list[dict[str, object]]:
    """Return type I error with batches of sd 0.3, as the program adjusts for them and without."""
    rng = np.random.default_rng(seed)
    rows = []
    for n in PATIENTS:
        visit = np.broadcast_to(np.array([0, 1]), (sims, n, 2))
        swapped = rng.random((sims, n, 2)) < 0.2
        layouts = {
            "whole patients in a batch": np.repeat(rng.integers(0, 4, (sims, n, 1)), 2, axis=2),
            "random, 4 batches": rng.integers(0, 4, (sims, n, 2)),
            "80/20 confounded": np.where(swapped, 1 - visit, visit),
        }
        for layout, batch in layouts.items():
            table = simulate_trials(seed, sims, n, batch=batch)
            adjusted = compare_endpoints(table, Plan("baseline", "on", test="t"))
            ignored = compare_endpoints(table.drop(columns="batch"), Plan("baseline", "on", test="t"))
            row = {"design": f"batches: {layout}", "n": n, "cell": "1 % of 10,000", "sims": sims}
            rows.append(row | {"test": "t, adjusted", "type_i": rejected(adjusted)})
            rows.append(row | {"test": "t, batch ignored", "type_i": rejected(ignored)})
    return rows


def simulate_families(seed: int, sims: int, n: int, *, true: int, endpoints: int = 20) -> pd.DataFrame:
    """Return rows of ``sims`` trials (cohorts) of 20 endpoints, 0.1 to 30 %, the first ``true`` shifted."""
    rng = np.random.default_rng(seed)
    shape = (sims, endpoints, n, 2)
    level = np.log(np.geomspace(0.001, 0.3, endpoints))[rng.permuted(np.tile(np.arange(endpoints), (sims, 1)), axis=1)]
    common = rng.normal(0, 1, (sims, 1, n, 2)) * math.sqrt(0.3)
    noise = 0.2 * (common + rng.normal(0, math.sqrt(0.7), shape)) + rng.normal(0, 0.5, (sims, endpoints, n, 1))
    effect = np.where(np.arange(endpoints) < true, math.log(1.5), 0.0)[None, :, None]
    effect = effect * rng.choice([-1.0, 1.0], (sims, endpoints, 1)) + rng.normal(0, 0.15, (sims, endpoints, n))
    noise[..., 1] += effect
    parents = np.rint(2e4 * np.exp(rng.normal(0, 0.6, (sims, 1, n, 2)))).astype(int) * np.ones(shape, dtype=int)
    eta = (level - np.log1p(-np.exp(level)))[:, :, None, None] + noise
    events = rng.binomial(parents, 1 / (1 + np.exp(-eta)))
    s, k, p, v = (axis.ravel() for axis in np.indices(shape))
    rows = pd.DataFrame({"cohort": s.astype(str), "endpoint": k, "patient_id": s * n + p})
    rows["visit"] = np.array(["baseline", "on"])[v]
    rows = rows.assign(n_events=events.ravel(), n_parent=parents.ravel(), unit="%", truly=k < true)
    return rows.assign(value=100.0 * rows["n_events"] / rows["n_parent"])


def false_discoveries(found: Comparison, true: int) -> tuple[float, float, float]:
    """Return the mean false discovery proportion, the power, and the share of trials with any false finding."""
    shifts = found.shifts.assign(hit=(found.shifts["q_value"] < 0.05).to_numpy(dtype=bool))
    shifts["real"] = shifts["endpoint"].astype(int) < true
    per_trial = shifts.groupby("cohort").apply(
        lambda g: pd.Series({"all": g["hit"].sum(), "false": (g["hit"] & ~g["real"]).sum()}), include_groups=False
    )
    proportion = float((per_trial["false"] / per_trial["all"].clip(lower=1)).mean())
    power = float(shifts.loc[shifts["real"], "hit"].mean()) if true else math.nan
    return proportion, power, float((per_trial["false"] > 0).mean())


def families(sims: int, seed: int = 4) -> list[dict[str, object]]:
    """Return false discovery rate and power over 20 endpoints, plain and moderated t."""
    rows = []
    for n in PATIENTS:
        for true in (0, 1, 5):
            table = simulate_families(seed, sims, n, true=true)
            for test in ("t", "auto"):
                found = compare_endpoints(table, Plan("baseline", "on", test=test))
                fdr, power, any_false = false_discoveries(found, true)
                name = "t, BH" if test == "t" else "count-aware moderated t, BH"
                row = {"design": f"20 endpoints, {true} true", "test": name, "n": n, "sims": sims}
                rows.append(row | {"fdr": fdr, "power": power, "any_false": any_false})
    return rows


def verdicts(sims: int, seed: int = 5) -> list[dict[str, object]]:
    """Return how often a patient without change gets a verdict, by number of replicate sets."""
    rows = []
    for sets in (5, 10, 20, 60):
        for noise in (0.1, 0.2):
            options = {"share": 0.05, "depth": 2e4, "response_sd": 0.0, "visit_sd": noise}
            table = simulate_trials(seed, sims, 13, **options)
            repeats = simulate_trials(seed + 1, sims, sets, **options)
            found = compare_endpoints(table, Plan("baseline", "on", test="t"), replicates=repeats)
            called = found.pairs["verdict"].isin(("rise", "fall"))
            row = {"design": "one patient, no change", "test": f"noise {noise}, {sets} replicate sets", "n": 13}
            alone = float((found.pairs["p_value"] < 0.05).mean())
            rows.append(row | {"sims": sims, "false_verdicts": float(called.mean()), "false_alone": alone})
    return rows


def speed() -> dict[str, float]:
    """Return processor seconds for 50 endpoints of 40 patients, every method one after the other."""
    table = simulate_trials(6, 50, 40)
    several = simulate_trials(6, 50, 40, visits=(("b0", 0), ("b1", 0), ("w2", 1), ("w4", 1), ("w8", 1)))
    seconds = {}
    for test in ("auto", "t", "wilcoxon", "signflip", "count_weighted", "mixed"):
        start = time.process_time()
        plan = Plan("baseline", "on_treatment" if test == "mixed" else "on", test=test)
        compare_endpoints(several if test == "mixed" else table, plan)
        seconds[test] = round(time.process_time() - start, 3)
    return seconds | {"all": round(sum(seconds.values()), 3)}


def draw(rows: list[dict[str, object]], path: Path) -> None:
    """Draw type I error and coverage by number of patients, a line a method."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    frame = pd.DataFrame(rows).query("design == 'two visits' or design == 'six visits, 15 % missing'")
    figure, axes = plt.subplots(1, 3, figsize=(12, 4))
    for ax, column, level in zip(axes, ("type_i", "coverage", "power"), (0.05, 0.95, None), strict=True):
        for (design, test), group in frame.groupby(["design", "test"]):
            means = group.groupby("n")[column].mean()
            ax.plot(means.index, means, marker="o", label=f"{test} ({design})")
        if level is not None:
            ax.axhline(level, color="0.5", linestyle=":")
        ax.set(xlabel="patients", ylabel=column.replace("_", " "), xticks=list(PATIENTS))
    axes[2].legend(fontsize=6)
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def _known(row: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in row.items() if value == value}  # NaN is not JSON


def main() -> None:
    """Run the whole calibration."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sims", type=int, default=2000)
    parser.add_argument("-o", "--out", type=Path, default=Path("calibration.json"))
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    rows: list[dict[str, object]] = []
    for part in (two_visits, several_visits, batches, families, verdicts):
        start = time.perf_counter()
        count = arguments.sims if part is two_visits else max(arguments.sims // SHORTER[part.__name__], 10)
        found = part(count)
        rows += found
        print(pd.DataFrame(found).to_string(index=False), f"\n{time.perf_counter() - start:.0f} s\n", flush=True)
    seconds = speed()
    print("seconds for 50 endpoints x 40 patients:", seconds)
    arguments.out.write_text(json.dumps({"seconds": seconds, "rows": [_known(row) for row in rows]}, indent=1))
    if arguments.picture:
        draw(rows, arguments.picture)


if __name__ == "__main__":
    main()
