"""Calls of stimulated tubes against unstimulated ones: false calls on tubes without a response, coverage, power.

Every patient has a background share (lognormal, sd 0.5 on the log), every tube its own factor of it (CV ``between``),
cells are counted binomially, and a stimulated tube has ``fold`` times the background's share. "binomial" takes tubes
as equal but for counting, as Fisher's test and mixtures of binomials do; "now" is what a run does: the CV from
replicate unstimulated tubes where there are (``replicates`` patients with two), else 20 % assumed.

    python benchmarks/stimulated_tubes.py [--sims 4000] [-o benchmarks/results/stimulated_tubes.json]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from immunolab.comparison.background import TubeNoise, background_corrected, tube_noise

CELLS: tuple[dict[str, float], ...] = tuple(
    {"share": share, "cells": cells, "between": between, "replicates": replicates}
    for share, cells in ((2e-5, 50_000), (2e-4, 50_000), (1e-3, 50_000), (1e-3, 200_000), (1e-2, 50_000))
    for between, replicates in ((0.0, 0), (0.1, 0), (0.2, 0), (0.3, 0), (0.1, 8), (0.2, 8), (0.3, 8))
)
_PATIENTS = 16  # tubes of a study: 8 patients at two visits
_DEPTH = 0.5  # log sd of cells between tubes


def simulate(
    rng: np.random.Generator, sims: int, *, share: float, cells: float, between: float, fold: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return events and parents ``(sims, patients, 3)`` (stimulated, unstimulated, its replicate) and true shares."""
    shape = (sims, _PATIENTS, 3)
    level = share * np.exp(rng.normal(0, 0.5, (sims, _PATIENTS, 1))) * np.array([fold, 1.0, 1.0])
    sd = np.sqrt(np.log1p(between**2))
    own = level * np.exp(rng.normal(-(sd**2) / 2, sd, shape) if sd else np.zeros(shape))
    parents = np.rint(cells * np.exp(rng.normal(0, _DEPTH, shape))).astype(int)
    return rng.binomial(parents, np.minimum(own, 1.0)), parents, level


def called(
    events: np.ndarray, parents: np.ndarray, level: np.ndarray, replicates: int, *, binomial: bool = False
) -> tuple[float, float, float]:
    """Return the shares of tubes called a response, called below background, and whose interval holds the truth."""
    up, down, held = [], [], []
    truth = 100 * (level[..., 0] - level[..., 1])
    for y, n, true in zip(events, parents, truth, strict=True):
        doubled = np.arange(_PATIENTS) < replicates
        noise = tube_noise(y[doubled, 1:], n[doubled, 1:])
        if binomial:
            noise = TubeNoise(0.0, np.inf, "")
        take = np.where(doubled[:, None], [1, 1], [1, 0])
        pair = [np.stack([v[:, 0], (v[:, 1:] * take).sum(axis=1)], axis=1) for v in (y, n)]
        found = background_corrected(*pair, np.stack([np.ones(_PATIENTS), take.sum(axis=1)], axis=1), noise)
        up.append(found.ci_low > 0)
        down.append(found.ci_high < 0)
        held.append((found.ci_low <= true) & (true <= found.ci_high))
    return float(np.mean(up)), float(np.mean(down)), float(np.mean(held))


def measure(seed: int, sims: int, cell: dict[str, float]) -> dict[str, float]:
    """Return false calls, coverage at threefold, and how often three- and tenfold are called."""
    kinds = {k: v for k, v in cell.items() if k != "replicates"}
    reps, row = int(cell["replicates"]), dict(cell)
    null = simulate(np.random.default_rng(seed), sims, **kinds)
    row["false_response"], row["false_below"], row["coverage_null"] = called(*null, reps)
    row["false_response_binomial"] = called(*null, reps, binomial=True)[0]
    for fold in (3.0, 10.0):
        drawn = simulate(np.random.default_rng(seed + 1), sims, fold=fold, **kinds)
        row[f"found_{fold:g}"], _, row[f"coverage_{fold:g}"] = called(*drawn, reps)
    return row


def main() -> None:
    """Run all cells."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sims", type=int, default=250)
    parser.add_argument("-o", "--out", type=Path)
    arguments = parser.parse_args()
    rows = []
    for seed, cell in enumerate(CELLS):
        rows.append(measure(seed, arguments.sims, cell))
        print({k: round(v, 5) for k, v in rows[-1].items()}, flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
