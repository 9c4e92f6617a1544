"""Gates planted at a wrong place in tubes of a finished run: the tables that the run would have had with them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from immunolab.gating.evaluate import coordinates
from immunolab.gating.gates import Ellipsoid, Polygon, Rectangle
from immunolab.gating.strategy import Gate, Population
from immunolab.gating.tube_gates import TubeGates
from immunolab.gating.tubes import GatedTube, gate_tube
from immunolab.plots.at_border import border_rows
from immunolab.plots.gate_views import gate_views, read_views
from immunolab.quality.landmarks import landmark_rows
from immunolab.results.run import Run
from immunolab.schema.across_tubes import LANDMARKS
from immunolab.schema.gating import COUNTS, INTENSITIES, THRESHOLDS
from immunolab.schema.review import AT_BORDER


@dataclass(frozen=True)
class Planted:
    """One wrong gate: the tube, the gate's path, the axis, and how far it was moved on the display scale."""

    sample_id: str
    path: str
    axis: int
    by: float


class Tubes:
    """The tubes of a run, gated as the run gated them; read when asked for."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.gated = lru_cache(maxsize=256)(run.tube)

    def prepare(self, folder: Path) -> Run:
        """Return the run with a folder of its own, which holds the events at its borders."""
        for sample in self.run.counts["sample_id"].unique():
            views = self.run.folder / "samples" / sample / "views.npz"
            rows = list(border_rows(read_views(views)))
            AT_BORDER.write_rows(rows, _table(folder, sample))
        return replace(self.run, folder=folder)


def _table(folder: Path, sample: str) -> Path:
    path = folder / "samples" / sample / f"{AT_BORDER.name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def moved(gate: Gate, axis: int, by: float) -> Gate:
    """Return a gate moved along one of its axes, display scale; open sides stay open."""
    if isinstance(gate, Rectangle):
        lower = tuple(v if i != axis or v is None else v + by for i, v in enumerate(gate.lower))
        upper = tuple(v if i != axis or v is None else v + by for i, v in enumerate(gate.upper))
        return replace(gate, lower=lower, upper=upper)
    if isinstance(gate, Polygon):
        vertices = tuple(tuple(v + by * (i == axis) for i, v in enumerate(point)) for point in gate.vertices)
        return replace(gate, vertices=vertices)
    if isinstance(gate, Ellipsoid):
        return replace(gate, mean=tuple(v + by * (i == axis) for i, v in enumerate(gate.mean)))
    raise TypeError(f"not drawn: {gate}")


def spread_on(gated: GatedTube, path: str, axis: int) -> float:
    """Return the sd of a gate's parent on an axis of the gate, display scale, of its middle 90 %."""
    population = gated.strategy[path]
    rows = np.flatnonzero(gated.memberships.masks[population.parent_path]) if population.parent_path else slice(None)
    tube = gated.tube.take(rows) if population.parent_path else gated.tube
    values = coordinates(gated.strategy, tube)(population.gate.dimensions[axis])
    low, high = np.nanpercentile(values, [5, 95])
    return float((high - low) / 3.29)


def plant(tubes: Tubes, run: Run, faults: Mapping[str, tuple[Planted, ...]], folder: Path) -> Run:
    """Return the run as if some tubes had wrong gates; `folder` holds what their folders would.

    Parameters
    ----------
    tubes
        Of the run.
    run
        Prepared.
    faults
        By sample_id.
    folder
        Empty; the other tubes' files are linked.
    """
    made: dict[str, list[pd.DataFrame]] = {name: [] for name in ("counts", "thresholds", "landmarks", "intensities")}
    for sample in run.counts["sample_id"].unique():
        path = _table(folder, sample)
        if sample not in faults:
            path.symlink_to(run.folder / "samples" / sample / path.name)
            continue
        gated = _wrong(tubes.gated(sample), faults[sample])
        AT_BORDER.write_rows(border_rows(gate_views(gated.strategy, gated.tube, gated.memberships)), path)
        made["counts"].append(COUNTS.frame([vars(c) for c in gated.population_counts]))
        made["thresholds"].append(THRESHOLDS.frame([vars(b) for b in gated.borders]))
        made["landmarks"].append(LANDMARKS.frame(list(landmark_rows(gated.tube, gated.named_masks))))
        made["intensities"].append(INTENSITIES.frame([vars(m) for m in gated.median_intensities()]))
    tables = dict(run.tables)
    for name, frames in made.items():
        kept = tables[name][~tables[name]["sample_id"].isin(faults)]
        tables[name] = pd.concat([kept, *frames], ignore_index=True)
    return replace(run, tables=tables, folder=folder)


def _wrong(gated: GatedTube, faults: tuple[Planted, ...]) -> GatedTube:
    """Return a tube gated with some gates moved; what a placed border's record says of its place moves with it."""
    strategy, borders = gated.strategy, list(gated.borders)
    for fault in faults:
        own = strategy[fault.path]
        gate = moved(own.gate, fault.axis, fault.by)
        changed = tuple(replace(p, gate=gate) if p.path == fault.path else p for p in strategy.populations)
        dimension = own.gate.dimensions[fault.axis]
        channel = gated.tube.channels[gated.tube.find(dimension.name)].name
        borders = [
            replace(
                b,
                threshold=b.threshold + fault.by,
                threshold_raw=float(dimension.transform.inverse([b.threshold + fault.by])[0]),
            )
            if (b.population, b.channel) == (own.name, channel) and b.threshold is not None
            else b
            for b in borders
        ]
        strategy = replace(strategy, populations=changed)
    return gate_tube(gated.tube, TubeGates(strategy, tuple(borders)))


def gates_of(gated: GatedTube) -> Iterator[Population]:
    """Yield the populations of a tube whose gate was drawn or placed on axes."""
    return (p for p in gated.strategy.populations if isinstance(p.gate, Rectangle | Polygon | Ellipsoid))


def cleared(folder: Path) -> Path:
    """Return a folder emptied."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
