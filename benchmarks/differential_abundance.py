"""Differential abundance over clusters, paired by patient: methods against each other on simulated clusters.

Clusters have log-uniform shares, patients their own level (sd 0.5 on the log), samples noise of each cluster's own size
(log-normal about 0.2), parents 12,000 cells (log sd 0.6; before, "unequal" times as many). "zeros" has 400 cells and
leaves that share of the samples of half the clusters without events; "fold" is of a third of the clusters. Type I error
is over tested clusters without an effect, coverage over all tested, power and false discoveries at q below 0.05.

    python benchmarks/differential_abundance.py [--sims 300] [-o benchmarks/results/differential_abundance.json]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from immunolab.comparison.abundance import differential_abundance
from immunolab.comparison.cluster_abundance import enough_events
from immunolab.comparison.moderation import moderated_t
from immunolab.comparison.multiplicity import benjamini_hochberg
from immunolab.comparison.scales import counting_variance, from_counts

CELLS: tuple[dict[str, float], ...] = tuple(
    {"n": n, **kind}
    for n in (5, 8, 12)
    for kind in (
        {"clusters": 15},
        {"clusters": 15, "unequal": 3.0},
        {"clusters": 15, "zeros": 0.2},
        {"clusters": 15, "fold": 2.0},
        {"clusters": 40, "fold": 2.0},
    )
)


def simulate(
    rng: np.random.Generator, *, n: int, clusters: int, unequal: float = 1.0, zeros: float = 0.0, fold: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return counts ``(K, 2n)`` (before, then after), parents ``(2n,)`` and the true log fold ``(K,)``."""
    depth = 400 if zeros else 12_000
    parents = np.rint(depth * np.repeat([unequal, 1.0], n) * np.exp(rng.normal(0, 0.6, 2 * n))).astype(int) + 20
    share = np.exp(rng.uniform(np.log(3e-4 if not zeros else 3e-3), np.log(0.2), clusters))
    share = share / max(1.0, share.sum() / 0.9)
    truth = np.where(np.arange(clusters) % 3 == 0, np.log(fold), 0.0) * np.where(np.arange(clusters) % 2, -1, 1)
    noise = 0.2 * np.exp(rng.normal(0, 0.5, (clusters, 1)))
    level = np.log(share)[:, None] + np.tile(rng.normal(0, 0.5, (clusters, n)), 2)
    level = level + noise * rng.normal(size=(clusters, 2 * n)) + np.outer(truth, np.repeat([0.0, 1.0], n))
    counts = rng.poisson(np.exp(level) * parents)
    empty = (rng.random(counts.shape) < zeros) & (np.arange(clusters) % 2 == 1)[:, None]
    return np.where(empty, 0, counts), parents, truth


def quasi(counts: np.ndarray, parents: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return p and limits of the quasi-likelihood model, as `immunolab cluster` gives them."""
    n = parents.size // 2
    design = np.column_stack([np.tile(np.eye(n), (2, 1)), np.repeat([0.0, 1.0], n)])
    kept = enough_events(counts, parents, np.repeat([0, 1], n), np.tile(np.arange(n), 2))
    found = differential_abundance(counts[kept], parents, design)
    p, low, high = (np.full(len(counts), np.nan) for _ in range(3))
    p[kept], low[kept], high[kept] = found.p_value, found.ci_low, found.ci_high
    return p, np.where(np.isnan(low) & kept, -np.inf, low), np.where(np.isnan(high) & kept, np.inf, high)


def moderated(counts: np.ndarray, parents: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return p and limits of the count-aware moderated t on log odds with half an event added."""
    n = parents.size // 2
    of = np.broadcast_to(parents, counts.shape)
    level = from_counts(counts, of, "logit")
    pairs = [np.stack([v[:, :n], v[:, n:]], axis=-1).astype(float) for v in (counts, of)]
    variance = counting_variance(*pairs, 1.0 / pairs[1], "logit")
    found = moderated_t((level[:, n:] - level[:, :n]).T, variance.T)
    kept = enough_events(counts, parents, np.repeat([0, 1], n), np.tile(np.arange(n), 2))
    return tuple(np.where(kept, v, np.nan) for v in (found.p_value, found.ci_low, found.ci_high))


def plain(counts: np.ndarray, parents: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return p and limits of a quasi-Poisson model: the same without dispersion between samples."""
    n = parents.size // 2
    design = np.column_stack([np.tile(np.eye(n), (2, 1)), np.repeat([0.0, 1.0], n)])
    kept = enough_events(counts, parents, np.repeat([0, 1], n), np.tile(np.arange(n), 2))
    found = differential_abundance(counts[kept], parents, design, dispersion=0.0)
    p, low, high = (np.full(len(counts), np.nan) for _ in range(3))
    p[kept], low[kept], high[kept] = found.p_value, found.ci_low, found.ci_high
    return p, low, high


METHODS = {"negative binomial, quasi-likelihood": quasi, "moderated t of log odds": moderated, "quasi-Poisson": plain}


def measure(seed: int, sims: int, cell: dict[str, float]) -> list[dict[str, object]]:
    """Return a row a method."""
    rng = np.random.default_rng(seed)
    drawn = [simulate(rng, **cell) for _ in range(sims)]  # type: ignore[arg-type]
    rows = []
    for name, method in METHODS.items():
        null, held, power, false, tested = [], [], [], [], []
        for counts, parents, truth in drawn:
            p, low, high = method(counts, parents)
            known = np.isfinite(p)
            # shares of one parent: a fold of the share in the parent, less what closure takes
            null.append(p[known & (truth == 0)] < 0.05)
            held.append(((low <= truth) & (truth <= high))[known])
            called = benjamini_hochberg(p) < 0.05
            tested.append(known.mean())
            power.append(called[known & (truth != 0)])
            false.append((called & (truth == 0)).sum() / max(1, called.sum()))
        rows.append(
            {
                **cell,
                "method": name,
                "tested": float(np.mean(tested)),
                "type_1": float(np.concatenate(null).mean()),
                "coverage": float(np.concatenate(held).mean()),
                "found": float(np.concatenate(power).mean()) if any(map(len, power)) else None,
                "false_discoveries": float(np.mean(false)),
            }
        )
    return rows


def main() -> None:
    """Run all cells."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sims", type=int, default=100)
    parser.add_argument("-o", "--out", type=Path)
    arguments = parser.parse_args()
    rows = []
    for seed, cell in enumerate(CELLS):
        for row in measure(seed, arguments.sims, cell):
            rows.append(row)
            print({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}, flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
