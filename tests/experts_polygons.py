"""Polygons around the classes that an expert found in tubes of the HIPC T panel; no tuning on other tubes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from builders import data_folder
from scipy.spatial import ConvexHull

from immunolab.events.tube import Channel, Tube
from immunolab.gating.strategy import Boolean, Dimension, Polygon, Population, Strategy
from immunolab.gating.tubes import GatedTube

SUBSETS = {"CD8": {1: "eff", 2: "naive", 3: "CM", 4: "EM"}, "CD4": {6: "eff", 7: "naive", 8: "CM", 9: "EM"}}
ACTIVATED = {"CD8": 5, "CD4": 10}


def hipc_tube(name: str) -> tuple[Tube, np.ndarray]:
    """Return a tube of the HIPC T panel on its scale 0 to 4096, and the expert's class of every event."""
    folder = data_folder("flow/hipc_tcell_events")
    values = pd.read_csv(folder / f"{name}_values.csv.gz", index_col=0)
    classes = pd.read_csv(folder / f"{name}_clust.csv.gz", index_col=0)["x"].to_numpy()
    names = ["HLA-DR" if column == "HLADR" else column for column in values]
    channels = tuple(Channel(column, column, column) for column in names)
    columns = np.ascontiguousarray(values.to_numpy().T.astype(np.float32))
    return Tube(columns, channels, sample_id=name, file=f"{name}.fcs"), classes


def drawn(tube: Tube, events: np.ndarray, x: str, y: str, share: float) -> Polygon:
    """Return the hull of the innermost share of some events, as a person draws around a class."""
    points = np.stack([tube[x][events], tube[y][events]], axis=1)
    middle = np.median(points, axis=0)
    inverse = np.linalg.inv(np.cov(points.T))
    far = np.einsum("ni,ij,nj->n", points - middle, inverse, points - middle)
    points = points[far <= np.quantile(far, share)]
    hull = points[ConvexHull(points).vertices]
    return Polygon((Dimension(x), Dimension(y)), tuple((float(a), float(b)) for a, b in hull))


def experts_gates(tube: Tube, classes: np.ndarray, share: float = 0.99) -> Strategy:
    """Return polygons around CD4, CD8, activated cells and the four memory classes of each."""
    populations = []
    for lineage, subsets in SUBSETS.items():
        lineage_events = np.isin(classes, [*subsets, ACTIVATED[lineage]])
        populations += [
            Population(f"/{lineage}", drawn(tube, lineage_events, "CD4", "CD8", share)),
            Population(
                f"/{lineage}/{lineage}_act", drawn(tube, classes == ACTIVATED[lineage], "HLA-DR", "CD38", share)
            ),
            Population(f"/{lineage}/{lineage}_rest", Boolean("not", (f"/{lineage}/{lineage}_act",), (False,))),
        ]
        populations += [
            Population(
                f"/{lineage}/{lineage}_rest/{lineage}_{name}", drawn(tube, classes == number, "CD45RA", "CCR7", share)
            )
            for number, name in subsets.items()
        ]
    return Strategy("experts", tuple(populations))


def macro_f1(gated: GatedTube, classes: np.ndarray) -> float:
    """Return the mean F1 of the eight memory classes against the expert's label of every event."""
    found = []
    for lineage, subsets in SUBSETS.items():
        for number, name in subsets.items():
            mask, truth = gated.mask(f"{lineage}_{name}"), classes == number
            found.append(2 * np.sum(mask & truth) / (mask.sum() + truth.sum()))
    return float(np.mean(found))
