"""Surface proteins of single cells, gated with the threshold methods of the gating room.

Each border is placed once on all cells of the cohort and serves every sample, so that a shift between
visits is a shift of cells. Counts are put on arcsinh(count / 5); because most are small whole numbers,
each is moved by a uniform draw within its unit first, which changes no border by more than half a count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from immunolab.events.cells import proteins_are_counts, proteins_of
from immunolab.events.transforms import Asinh, Identity, Transform
from immunolab.gating.method_results import Cut
from immunolab.gating.placement.density import robust_sd
from immunolab.gating.placement.methods.internal_reference import internal_reference
from immunolab.gating.placement.methods.mixture import mixture
from immunolab.gating.placement.methods.tail import tail
from immunolab.gating.placement.methods.valley import valley
from immunolab.gating.tube_gates import Threshold

if TYPE_CHECKING:
    from anndata import AnnData

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
_COFACTOR = 5.0  # of arcsinh, counts; as mass cytometry, whose counts are as small
_FEWEST_CELLS = 30  # a border on fewer is the place of one or two cells
_CARRYING = 0.9  # quantile of naive cells above which a CD4 cell may be Treg (judgement: higher loses dim Treg)
_LEAST_BEYOND = 0.02  # share of those cells past a tail's border: the tail of the summit itself holds 0.1 % past 3 sd
_LINEAGE_SHARE = (
    0.02,
    0.985,
)  # quantiles a valley must be between: past them it parts a few bright cells, no population
_TRANSFORMED_NOISE = 0.25  # standard error of a transformed value, in sd of the protein (judgement: counts are unknown)
_METHOD_CONTROL = {"valley": "density", "tail": "density", "mixture": "density", "internal_reference": "internal"}


class ProteinGates:
    """Display values of the proteins, and every border placed on them so far.

    Parameters
    ----------
    cells
        Under the storage contract.
    seed
        Of the draws that spread counts within their unit.

    Attributes
    ----------
    markers
        Proteins that were measured.
    borders
        What was placed, in order; a border without ``sample_id`` serves all samples.
    """

    def __init__(self, cells: AnnData, seed: int = 0) -> None:
        self.borders: list[Threshold] = []
        table = proteins_of(cells)
        self.markers: tuple[str, ...] = () if table is None else tuple(table.columns)
        counts = proteins_are_counts(cells)
        self._scale: Transform = Asinh(_COFACTOR) if counts else Identity()
        self._shown: dict[str, Array] = {}
        self._noise: dict[str, Array] = {}
        if table is None:
            return
        values = table.to_numpy(dtype=np.float64)
        moved = values + (np.random.default_rng(seed).random(values.shape) - 0.5 if counts else 0.0)
        for column, marker in enumerate(self.markers):
            shown = np.asarray(self._scale.apply(moved[:, column]), dtype=np.float64)
            # the Poisson sd of a count, carried to arcsinh(count / cofactor)
            count = np.maximum(values[:, column], 0.0) + 1.0
            poisson = np.sqrt(count / (count**2 + _COFACTOR**2))
            self._shown[marker] = shown
            self._noise[marker] = poisson if counts else np.full(len(shown), _TRANSFORMED_NOISE * shown.std())

    def has(self, *markers: str) -> bool:
        """Return whether all these proteins were measured."""
        return all(marker in self._shown for marker in markers)

    def shown(self, marker: str) -> Array:
        """Return a protein on the display scale."""
        return self._shown[marker]

    def split(self, population: str, marker: str, among: Mask) -> Array | None:
        """Return the probability of being above the valley between two summits; None without a valley.

        Parameters
        ----------
        population
            What the border is recorded for.
        marker
            Protein; None is returned where it was not measured.
        among
            Cells among which the valley is searched, bool.
        """
        if not self.has(marker) or among.sum() < _FEWEST_CELLS:
            return None
        inside = self._shown[marker][among]
        cut = valley(inside, within=np.quantile(inside, _LINEAGE_SHARE).tolist())
        if np.isnan(cut.value):
            return None
        return self._above(population, marker, cut, "valley")

    def against(self, population: str, marker: str, reference: Mask) -> Array | None:
        """Return the probability of being above what a negative reference population shows.

        Parameters
        ----------
        population
            What the border is recorded for.
        marker
            Protein; None is returned where it was not measured.
        reference
            Cells that are negative, bool.
        """
        if not self.has(marker) or reference.sum() < _FEWEST_CELLS:
            return None
        cut = internal_reference(self._shown[marker][reference])
        return self._above(population, marker, cut, "internal_reference")

    def treg(self, among: Mask, naive: Mask | None) -> Array | None:
        """Return the probability of CD25hi CD127lo among CD4 T cells.

        The border runs along the diagonal of the two channels. Among CD4 cells with more CD25 than nine
        tenths of the naive ones it is the valley of CD25 less CD127 on the display scale; where there is
        none, the main summit's tail (3 standard deviations), as long as a fiftieth of these cells is
        beyond it, else where two normal groups are equally likely. Without CD127 the border is on CD25.

        Parameters
        ----------
        among
            CD4 T cells, bool.
        naive
            Naive ones among them, bool; None where they are not known.
        """
        if among.sum() < _FEWEST_CELLS or not self.has("CD25"):
            return None
        if not self.has("CD127"):
            return None if naive is None else self.against("Treg", "CD25", naive)
        carrying = among
        if naive is not None and naive.sum() >= _FEWEST_CELLS:
            border = internal_reference(self._shown["CD25"][naive], quantile=_CARRYING)
            carrying = among & (self._shown["CD25"] > border.value)
        both = self._shown["CD25"] - self._shown["CD127"]
        cut, method = _corner_cut(both[carrying])
        self.record("Treg", "CD25-CD127", cut, method)
        chance = norm.cdf((both - cut.value) / np.hypot(self._noise["CD25"], self._noise["CD127"]))
        return np.where(carrying, chance, 0.0)

    def _above(self, population: str, marker: str, cut: Cut, method: str) -> Array:
        raw = float(self._scale.inverse(np.array([cut.value]))[0])
        self.record(population, marker, cut, method, raw=raw)
        return np.asarray(norm.cdf((self._shown[marker] - cut.value) / self._noise[marker]))

    def record(
        self, population: str, marker: str, cut: Cut, method: str, *, channel: str = "", raw: float | None = None
    ) -> None:
        """Keep a border that was placed.

        Parameters
        ----------
        population, marker, cut, method
            What it bounds, on what, where, and the method that placed it.
        channel
            ``genes`` for the score of a signature; "" is the marker.
        raw
            The border in counts; None where it is on no single protein.
        """
        border = Threshold(
            sample_id="",
            population=population,
            marker=marker,
            channel=channel or marker,
            threshold=cut.value,
            threshold_raw=raw,
            method=method,
            control=_METHOD_CONTROL[method],
            scope="study",
            flag=";".join(cut.flags) or None,
        )
        self.borders.append(border)


def _corner_cut(values: Array) -> tuple[Cut, str]:
    """Return the border of the cloud at the high end, and the method that found it."""
    cut = valley(values, within=np.quantile(values, _LINEAGE_SHARE).tolist()) if len(values) else Cut(np.nan)
    if np.isfinite(cut.value):
        return cut, "valley"
    cut = tail(values)
    if np.isfinite(cut.value) and (values > cut.value).mean() >= _LEAST_BEYOND:
        return cut, "tail"
    return mixture(values), "mixture"


@dataclass(frozen=True)
class ProteinLineages:
    """Probability of each lineage by surface proteins; a lineage whose markers are absent is not there."""

    chance: dict[str, Array]

    def veto(self, names: Sequence[str], sure: float = 0.9) -> Mask:
        """Return cells x lineages, True where the proteins contradict a lineage."""
        result = np.zeros((len(next(iter(self.chance.values()))), len(names)), dtype=bool)
        for column, name in enumerate(names):
            if name in self.chance:
                result[:, column] = self.chance[name] < 1 - sure
        return result


def protein_lineages(gates: ProteinGates, n_cells: int) -> ProteinLineages:
    """Return the probability of each lineage, from the top down: T, B, monocytes, NK, dendritic cells.

    Parameters
    ----------
    gates
        Display values; the borders that are placed here are added to its own.
    n_cells
        Cells.
    """
    everything = np.ones(n_cells, dtype=bool)
    chance: dict[str, Array] = {}
    left = np.ones(n_cells)
    for name, markers in _LINEAGE_MARKERS:
        among = everything if name == "T" else left >= 0.5
        found = [split for marker in markers if (split := gates.split(name, marker, among)) is not None]
        if not found:
            continue
        own = np.max(found, axis=0)
        chance[name] = own * left
        left = left * (1 - own)
    if "T" in chance and "B" in chance:
        # T and B markers together are two cells, not one
        b = next((gates.shown(m) for m in ("CD19", "CD20") if gates.has(m)), None)
        border = next((placed.threshold for placed in gates.borders if placed.population == "B"), None)
        if b is not None and border is not None:
            both = b > border
            chance["T"] = np.where(both & (chance["T"] > 0.5), 0.0, chance["T"])
    return ProteinLineages(chance)


_LINEAGE_MARKERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("T", ("CD3",)),
    ("B", ("CD19", "CD20")),
    ("Mono", ("CD14",)),
    ("NK", ("CD56",)),
    ("pDC", ("CD123",)),
    ("DC", ("CD11c", "CD1c")),
    ("HSPC", ("CD34",)),
)


def spread_of(values: Array) -> float:
    """Return the robust standard deviation of values, or 1 where they do not vary."""
    return robust_sd(values) or 1.0
