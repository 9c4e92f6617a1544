"""Planted tubes: normal clouds on asinh(x / 150), known cell by cell; shares no code with gating or the simulator."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from immunolab.events.tube import Channel, Tube

COFACTOR = 150.0
MARKERS = ("Viability", "CD3", "CD4", "CD8", "CD45RA", "CCR7", "CD25", "CD127", "CXCR5", "PD-1", "CCR6", "CXCR3")
SCATTER = ("FSC-A", "FSC-H", "SSC-A")
# share of all cells, then the markers that are not negative (mean on asinh)
CELLS: dict[str, tuple[float, dict[str, float]]] = {
    "naive": (0.22, {"CD3": 4, "CD4": 4, "CD45RA": 5, "CCR7": 3, "CD127": 3.5}),
    "memory": (0.14, {"CD3": 4, "CD4": 4, "CD127": 3.5, "CD25": 1.2, "CCR7": 1.5}),
    "treg": (0.04, {"CD3": 4, "CD4": 4, "CD25": 3.7, "CD127": 1.5, "CCR7": 1.0}),
    "tfh": (0.025, {"CD3": 4, "CD4": 4, "CD127": 3.5, "CXCR5": 2.8, "PD-1": 3.4, "CCR7": 0.9, "CD25": 1.2}),
    "tfh_quiet": (0.035, {"CD3": 4, "CD4": 4, "CD127": 3.5, "CXCR5": 2.8, "PD-1": 1.5, "CCR7": 3, "CD25": 1.2}),
    "th17": (0.05, {"CD3": 4, "CD4": 4, "CD127": 3.5, "CCR6": 3, "CD25": 1.2, "CCR7": 2}),
    "th1": (0.05, {"CD3": 4, "CD4": 4, "CD127": 3.5, "CXCR3": 2.9, "CD25": 1.2, "CCR7": 1}),
    "cd8": (0.22, {"CD3": 4, "CD8": 5, "CD45RA": 4, "CD127": 3, "CCR7": 2}),
    "b": (0.12, {"CD45RA": 4}),
    "dead": (0.06, {"Viability": 5}),
    "debris": (0.04, {}),
}
SD = 0.5


def planted_tube(
    seed: int = 0,
    n: int = 8_000,
    *,
    sample_id: str = "S1",
    shift: Mapping[str, float] | None = None,
    weights: Mapping[str, float] | None = None,
    without: str | None = None,
    markers: tuple[str, ...] = MARKERS,
) -> tuple[Tube, np.ndarray]:
    """Return a tube and the kind of every event.

    ``shift`` moves a marker on the asinh scale, ``weights`` multiply shares, ``without`` leaves a dye out (FMO).
    """
    rng = np.random.default_rng(seed)
    share = np.array([CELLS[kind][0] * (weights or {}).get(kind, 1.0) for kind in CELLS])
    kinds = rng.choice(list(CELLS), n, p=share / share.sum())
    signal = rng.normal(0.4, SD, (len(markers), n))
    for kind, (_, levels) in CELLS.items():
        for marker, level in levels.items():
            if marker in markers and marker != without:
                rows = kinds == kind
                signal[markers.index(marker), rows] += level - 0.4
    for marker, move in (shift or {}).items():
        signal[markers.index(marker)] += move
    forward = rng.normal(np.where(kinds == "debris", 20_000, 90_000), 8_000, n).clip(100)
    height = forward * rng.normal(0.8, 0.02, n)
    side = rng.normal(np.where(kinds == "debris", 12_000, 25_000), 5_000, n).clip(100)
    columns = np.vstack([forward, height, side, COFACTOR * np.sinh(signal)]).astype(np.float32)
    channels = [Channel(name, kind="scatter") for name in SCATTER] + [Channel(f"{m}-A", m, m) for m in markers]
    return Tube(columns, tuple(channels), None, sample_id), kinds


def f1(called: np.ndarray, true: np.ndarray) -> float:
    """Return the harmonic mean of precision and recall."""
    return float(2 * (called & true).sum() / max(called.sum() + true.sum(), 1))
