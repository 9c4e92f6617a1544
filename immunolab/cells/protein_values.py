"""Surface proteins of single cells on a display scale, with their noise and, where it was measured, their background.

Counts are put on arcsinh(count / 5); because most are small whole numbers, each is moved by a uniform draw within its
unit first, which changes no border by more than half a count. Where droplets without cells were given, a protein's
background is what they show of it (`empty_droplets`), and batches whose backgrounds differ are brought to their mean in
counts: antibody that floats in the suspension adds to what a cell has (dsb: Mule et al. 2022, Nat Commun 13:2099).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from immunolab.cells.protein_borders import Array, Mask, depth_slope
from immunolab.events.cells import (
    PROTEIN_COUNTS,
    batches_of,
    protein_background_of,
    protein_controls_of,
    proteins_are_counts,
    proteins_of,
    sample_ids_of,
)
from immunolab.events.transforms import Identity, Linear, Transform

if TYPE_CHECKING:
    from anndata import AnnData
    from pandas import DataFrame

_FEWEST_OTHERS = 4  # proteins that show how deep a cell was counted: fewer are its kind's (judgement)
_TRANSFORMED_NOISE = 0.25  # standard error of a transformed value, in sd of the protein (judgement: counts are unknown)
_APART = 2.0  # display units between the dimmest and the brightest protein: seven times as bright (judgement)
# 5 to 95 % of the protein of the widest range, display units: the least and most that are one of logs, and the usual
# (Kotliarov 2020 as logs, log ratios and arcsinh: 3.4 to 6.9; dsb has 25, values from 0 to 1 have 0.7)
_RANGE, _NARROW, _WIDE, _USUAL = (0.05, 0.95), 1.0, 8.0, 4.5
_FEWEST_TO_VARY = 30  # cells, in which free antibody alone gives a protein more than one value
_ABOVE_NOISE = 3.0  # sd of empty droplets above their mean, below which a protein is not seen (dsb: 3 to 3.5)


class ProteinValues:
    """Display values of proteins, and what is known of their noise and background.

    Parameters
    ----------
    cells
        Under the storage contract.
    seed
        Of the draws that spread counts within their unit.
    """

    def __init__(self, cells: AnnData, seed: int = 0) -> None:
        self.batches = _groups(batches_of(cells))
        self.samples = _groups(sample_ids_of(cells))
        table, self.constant = _that_vary(proteins_of(cells))
        self.markers: tuple[str, ...] = () if table is None else tuple(table.columns)
        counts = proteins_are_counts(cells)
        self._scale: Transform = PROTEIN_COUNTS if counts else _unit_of(table)
        self._shown: dict[str, Array] = {}
        self._noise: dict[str, Array] = {}
        self._background: dict[str, tuple[float, float]] = {}
        self._over_mean: dict[str, dict[str, float]] = {}
        self._controls = np.empty((cells.n_obs, 0))
        if table is None:
            return
        values = table.to_numpy(dtype=np.float64)
        values = values - self._take_background(cells)
        moved = values + (np.random.default_rng(seed).random(values.shape) - 0.5 if counts else 0.0)
        for column, marker in enumerate(self.markers):
            shown = np.asarray(self._scale.apply(moved[:, column]), dtype=np.float64)
            # the Poisson sd of a count, carried to arcsinh(count / cofactor)
            count = np.maximum(table[marker].to_numpy(dtype=np.float64), 0.0) + 1.0
            place = np.maximum(values[:, column], 0.0) + 1.0
            poisson = np.sqrt(count / (place**2 + PROTEIN_COUNTS.cofactor**2))
            self._shown[marker] = shown
            self._noise[marker] = poisson if counts else np.full(len(shown), _TRANSFORMED_NOISE * shown.std())
        controls = protein_controls_of(cells)
        if controls is not None:
            self._controls = np.asarray(self._scale.apply(controls.to_numpy(dtype=np.float64)))

    def _take_background(self, cells: AnnData) -> Array | float:
        """Keep each protein's background, and return by how many counts that of a cell's batch is over their mean."""
        level, spread = protein_background_of(cells)
        if level is None or spread is None:
            return 0.0
        counts = level[list(self.markers)].to_numpy(dtype=np.float64)
        middle, sd = counts.mean(axis=0), spread[list(self.markers)].to_numpy(dtype=np.float64).mean(axis=0)
        ends = self._scale.apply(np.stack([middle, middle + _ABOVE_NOISE * sd]))
        self._background = {
            name: (float(low), float(high)) for name, (low, high) in zip(self.markers, ends.T, strict=True)
        }
        for batch, inside in self.batches.items():
            over = (counts[inside] - middle).mean(axis=0)
            self._over_mean[batch] = dict(zip(self.markers, map(float, over), strict=True))
        return np.asarray(counts - middle)

    def has(self, *markers: str) -> bool:
        """Return whether all these proteins were measured."""
        return all(marker in self._shown for marker in markers)

    def shown(self, marker: str) -> Array:
        """Return a protein on the display scale."""
        return self._shown[marker]

    def noise(self, *markers: str) -> Array:
        """Return the standard error of a protein's display value, or of the difference of two, in each cell."""
        return np.asarray(np.sqrt(sum(self._noise[marker] ** 2 for marker in markers)))

    def of_mean_depth(self, marker: str, among: Mask) -> Array:
        """Return a protein as a cell of mean depth would show it, among cells of one kind.

        Cells that were counted deeper, or that bind more of any antibody, show more of every protein and of isotype
        controls. How much more of this one is learnt within its two groups (the technical component of dsb).

        Parameters
        ----------
        marker
            Protein.
        among
            Cells of one kind, bool.
        """
        values = self._shown[marker]
        others = [*(shown for name, shown in self._shown.items() if name != marker), *self._controls.T]
        if len(others) < _FEWEST_OTHERS:
            return values
        depth = np.mean(others, axis=0)
        depth = depth - depth[among].mean()
        return np.asarray(values - depth_slope(values[among], depth[among]) * depth)

    def unseen_below(self, marker: str) -> float:
        """Return the display value under which empty droplets show as much; minus infinity where none were given."""
        return self._background[marker][1] if marker in self._background else -np.inf

    def brightness(self, marker: str, among: Mask) -> float:
        """Return where a protein's median is: 0 as a negative one, 1 as a positive one.

        Against empty droplets of its own antibody where there are any, else from isotype controls, or the dimmest
        protein, to the brightest; 0.5 where nothing is clearly brighter than the rest.

        Parameters
        ----------
        marker
            Protein.
        among
            Cells looked at, bool.
        """
        middles = {name: float(np.median(values[among])) for name, values in self._shown.items()}
        if marker in self._background:
            above = middles[marker] - self.unseen_below(marker)
            return float(np.clip(0.3 + 0.7 * above / (_APART / 2), 0.0, 1.0)) if above > 0 else 0.0
        low = self._dimmest(among)
        high = max(middles.values())
        return (middles[marker] - low) / (high - low) if high - low >= _APART else 0.5

    def low_level(self, marker: str, among: Mask) -> float:
        """Return the level of negative cells where none are there: the background, else the dimmest protein's.

        Parameters
        ----------
        marker
            Protein.
        among
            Cells looked at, bool.
        """
        if marker in self._background:
            return self._background[marker][0]
        return min(float(np.median(shown[among])) for shown in self._shown.values())

    def unstained(self, marker: str, among: Mask) -> float:
        """Return the level of cells without a protein: the background, else isotype controls or the dimmest protein.

        Parameters
        ----------
        marker
            Protein.
        among
            Cells looked at, bool.
        """
        return self._background[marker][0] if marker in self._background else self._dimmest(among)

    def _dimmest(self, among: Mask) -> float:
        if self._controls.size:
            return float(np.median(self._controls[among]))
        return min(float(np.median(shown[among])) for shown in self._shown.values())

    def counts_at(self, marker: str, shown: float, batch: str = "") -> float:
        """Return the counts of a place on the display scale.

        Parameters
        ----------
        marker
            Protein.
        shown
            Display value.
        batch
            The batch whose counts are wanted: with its own background; "" is at the mean of all.
        """
        return float(self._scale.inverse(np.array([shown]))[0]) + self._over_mean.get(batch, {}).get(marker, 0.0)


def _that_vary(table: DataFrame | None) -> tuple[DataFrame | None, tuple[str, ...]]:
    """Return the proteins without those that have one value in all of many cells, and the names of these."""
    if table is None or len(table) < _FEWEST_TO_VARY:
        return table, ()
    constant = tuple(str(name) for name, same in zip(table, table.max() == table.min(), strict=True) if same)
    return table.drop(columns=list(constant)), constant


def _unit_of(table: DataFrame | None) -> Transform:
    """Return what brings transformed values to display units, where they are far from these: 0 to 1, or sd of noise."""
    if table is None or table.empty:
        return Identity()
    low, high = np.quantile(table.to_numpy(dtype=np.float64), _RANGE, axis=0)
    widest = float((high - low).max())
    return Identity() if not widest or _NARROW <= widest <= _WIDE else Linear(widest / _USUAL, 0.0)


def _groups(names: NDArray[np.object_]) -> Mapping[str, Mask]:
    return {str(name): names == name for name in dict.fromkeys(names)} if len(names) else {}
