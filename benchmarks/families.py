"""False discoveries and power over twenty endpoints, gates of declared families, and negative controls.

Shares of 0.1 to 30 % of about 20,000 events; endpoints correlate (0.3); noise of a visit 0.2 on the logit, of the
response 0.75 of that, alike in all endpoints or unequal: log-normal (sd 0.5 or 1), every second endpoint five times as
noisy, or one in five. Five endpoints change 1.5-fold, or none does.

    python benchmarks/families.py [--sims 1000] [-o benchmarks/results/families.json]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.comparison.declared_families import with_declared_families
from immunolab.comparison.equivalence import equivalence
from immunolab.comparison.moderation import averaged_moderated_t, moderated_t, spread_of
from immunolab.comparison.multiplicity import benjamini_hochberg
from immunolab.comparison.paired import paired_t, wilcoxon
from immunolab.study.families import DeclaredFamily

Array = NDArray[np.float64]
ENDPOINTS, CHANGED, FOLD, CORRELATION = 20, 5, 1.5, 0.3
NOISE: dict[str, Callable[[np.random.Generator], Array]] = {
    "equal": lambda _: np.full(ENDPOINTS, 0.2),
    "log-normal 0.5": lambda rng: 0.2 * np.exp(rng.normal(0, 0.5, ENDPOINTS)),
    "log-normal 1": lambda rng: 0.2 * np.exp(rng.normal(0, 1.0, ENDPOINTS)),
    "every second 5 times": lambda _: np.where(np.arange(ENDPOINTS) % 2 == 0, 0.1, 0.5),
    "one in five 5 times": lambda _: np.where(np.arange(ENDPOINTS) % 5 == 0, 0.8, 0.15),
}
METHODS: dict[str, Callable[[Array, Array], Array]] = {
    "t": lambda d, _: np.array([paired_t(column).p_value for column in d.T]),
    "wilcoxon": lambda d, _: np.array([wilcoxon(column).p_value for column in d.T]),
    "one prior": lambda d, v: moderated_t(d, v).p_value,
    "averaged": lambda d, v: averaged_moderated_t(spread_of(d, v)).p_value,
}


def trial(rng: np.random.Generator, n: int, noise: Array, changed: int) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Return shifts and counting variances ``(n, 20)`` of a trial, and which endpoints changed."""
    share = np.exp(rng.uniform(np.log(0.001), np.log(0.3), ENDPOINTS))
    parents = np.rint(2e4 * np.exp(rng.normal(0, 0.6, (2, n, 1))))

    def spread(sd: Array) -> Array:
        common, own = rng.normal(size=(n, 1)), rng.normal(size=(n, ENDPOINTS))
        return (np.sqrt(CORRELATION) * common + np.sqrt(1 - CORRELATION) * own) * sd

    truth = np.zeros(ENDPOINTS)
    which = rng.permutation(ENDPOINTS)[:changed]
    truth[which] = np.log(FOLD) * rng.choice([-1.0, 1.0], changed)
    before = np.log(share / (1 - share)) + rng.normal(0, 0.5, (n, ENDPOINTS))
    levels = before + spread(noise), before + truth + spread(0.75 * noise) + spread(noise)
    shift, variance = np.zeros((n, ENDPOINTS)), np.zeros((n, ENDPOINTS))
    for sign, level, of in zip((-1, 1), levels, parents, strict=True):
        events = rng.binomial(of.astype(int) * np.ones(ENDPOINTS, dtype=int), 1 / (1 + np.exp(-level)))
        shift += sign * np.log((events + 0.5) / (of - events + 0.5))
        variance += 1 / (events + 0.5) + 1 / (of - events + 0.5)
    return shift, variance, truth != 0


def discoveries(sims: int, n: int, noise: str, changed: int) -> dict[str, dict[str, float]]:
    """Return false discovery rate, power, and type I error of single endpoints (all, and the noisiest) by method."""
    rng = np.random.default_rng([n, changed, list(NOISE).index(noise)])
    found = {name: np.zeros(4) for name in METHODS}
    for _ in range(sims):
        sd = NOISE[noise](rng)
        d, v, true = trial(rng, n, sd, changed)
        noisy = ~true & (sd >= np.sort(sd)[-4])
        for name, method in METHODS.items():
            p = method(d, v)
            rejected = benjamini_hochberg(p) <= 0.05
            false = (rejected & ~true).sum() / max(1, rejected.sum())
            power = (rejected & true).sum() / max(1, changed)
            found[name] += false, power, (p[~true] < 0.05).mean(), (p[noisy] < 0.05).mean() if noisy.any() else 0.05
    words = ("fdr", "power", "type_i", "type_i_of_the_noisiest")
    return {name: dict(zip(words, np.round(sums / sims, 4).tolist(), strict=True)) for name, sums in found.items()}


GATED = (
    DeclaredFamily("key", ("e0", "e1"), rule="bonferroni"),
    DeclaredFamily("next", ("e2", "e3", "e4"), rule="holm", gate="parallel"),
    DeclaredFamily("last", ("e5", "e6"), rule="fixed_sequence", gate="serial"),
)


def gates(sims: int, n: int, rules: tuple[DeclaredFamily, ...], changed: tuple[int, ...]) -> float:
    """Return how often any unchanged endpoint of gated families is rejected; some change, which opens gates."""
    rng = np.random.default_rng([n, len(changed)])
    names = [name for family in rules for name in family.endpoints]
    own = {name: family.name for family in rules for name in family.endpoints}
    errors = 0
    for _ in range(sims):
        d = trial(rng, n, np.full(ENDPOINTS, 0.2), 0)[0][:, : len(names)]
        d[:, list(changed)] += 1.0
        table = pd.DataFrame({"endpoint": names, "p_value": METHODS["t"](d, d), "cohort": "", "role": "secondary"})
        table = table.assign(family=table["endpoint"].map(own), q_value=np.nan, adjustment="", method="paired t")
        long = pd.DataFrame(d, columns=names).rename_axis("patient_id").reset_index()
        long = long.melt("patient_id", var_name="endpoint", value_name="shift").assign(cohort="")
        [q] = with_declared_families([table], [long], rules)
        errors += bool((q["q_value"].drop(index=list(changed)) <= 0.05).any())
    return errors / sims


def controls(sims: int, n: int, shift: float, sd: float) -> float:
    """Return how often a control whose mean shift is ``shift`` is called equivalent within a ratio of 1.5."""
    rng = np.random.default_rng(n)
    words = (equivalence(paired_t(d), d, 1.5, "logit").word for d in rng.normal(shift, sd, (sims, n)))
    return sum(word == "equivalent" for word in words) / sims


def main() -> None:
    """Run all scenarios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sims", type=int, default=1000)
    parser.add_argument("-o", "--out", type=Path)
    arguments = parser.parse_args()
    rows: list[dict[str, object]] = []
    for n in (5, 8):
        for noise in NOISE:
            for changed in (0, CHANGED):
                start = time.perf_counter()
                found = discoveries(arguments.sims, n, noise, changed)
                rows.append({"n": n, "noise": noise, "changed": changed, "sims": arguments.sims} | found)
                print(rows[-1], f"{time.perf_counter() - start:.0f} s", flush=True)
    max_t = (DeclaredFamily("key", tuple(f"e{k}" for k in range(7)), rule="max_t"),)
    for name, rules, changed in (
        ("gates, nothing changed", GATED, ()),
        ("gates, one key endpoint changed", GATED, (0,)),
        ("gates, both key and the next changed", GATED, (0, 1, 2, 3, 4)),
        ("max-T, nothing changed", max_t, ()),
        ("max-T, three of seven changed", max_t, (0, 1, 2)),
    ):
        for n in (6, 8, 13):
            rows.append({"n": n, "families": name, "sims": arguments.sims})
            rows[-1]["fwer"] = gates(arguments.sims, n, rules, changed)
            print(rows[-1], flush=True)
    for n in (5, 8, 13):
        for sd in (0.15, 0.3):
            at, none = (controls(10 * arguments.sims, n, shift, sd) for shift in (np.log(1.5), 0.0))
            rows.append({"n": n, "control_sd": sd, "at_the_margin": at, "no_change": none})
            print(rows[-1], flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
