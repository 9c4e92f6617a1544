"""Surface proteins of single cells, gated with the threshold methods of the gating room.

Each border is placed once on all cells of the cohort and serves every sample, so that a shift between
visits is a shift of cells. Counts are put on arcsinh(count / 5); because most are small whole numbers,
each is moved by a uniform draw within its unit first, which changes no border by more than half a count.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from immunolab.events.cells import Cells
from immunolab.events.transforms import Asinh, Identity, Transform
from immunolab.gating.method_results import Cut
from immunolab.gating.placement.density import robust_sd
from immunolab.gating.placement.methods.internal_reference import internal_reference
from immunolab.gating.placement.methods.mixture import mixture
from immunolab.gating.placement.methods.tail import tail
from immunolab.gating.placement.methods.valley import valley

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
COFACTOR = 5.0
_FEWEST_CELLS = 30
_CARRYING = 0.9
_LEAST_BEYOND = 0.02
_LINEAGE_SHARE = (0.02, 0.985)
_METHOD_CONTROL = {"valley": "density", "tail": "density", "mixture": "density", "internal_reference": "internal"}


@dataclass
class ProteinGates:
    """Display values of the proteins, and every border placed on them."""

    cells: Cells
    seed: int = 0
    rows: list[dict[str, object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        counts = self.cells.protein_scale == "counts"
        self.scale: Transform = Asinh(COFACTOR) if counts else Identity()
        self._shown: dict[str, Array] = {}
        self._noise: dict[str, Array] = {}
        if self.cells.protein is None:
            return
        rng = np.random.default_rng(self.seed)
        moved = self.cells.protein + (rng.random(self.cells.protein.shape) - 0.5 if counts else 0.0)
        for column, marker in enumerate(self.cells.proteins):
            shown = np.asarray(self.scale.apply(moved[:, column]), dtype=np.float64)
            count = np.maximum(self.cells.protein[:, column], 0.0) + 1.0
            noise = np.sqrt(count / (count**2 + COFACTOR**2)) if counts else np.full(len(shown), 0.25 * shown.std())
            self._shown[marker], self._noise[marker] = shown, np.asarray(noise)

    def has(self, *markers: str) -> bool:
        """Whether all these proteins were measured."""
        return all(marker in self._shown for marker in markers)

    def shown(self, marker: str) -> Array:
        """Return a protein on the display scale."""
        return self._shown[marker]

    def split(self, population: str, marker: str, among: Mask) -> Array | None:
        """Return the probability of being above the valley between two summits; None without a valley."""
        if not self.has(marker) or among.sum() < _FEWEST_CELLS:
            return None
        inside = self._shown[marker][among]
        # a valley in the outermost cells parts a few bright ones from the rest, not two populations
        cut = valley(inside, within=np.quantile(inside, _LINEAGE_SHARE).tolist())
        if np.isnan(cut.value):
            return None
        return self._above(population, marker, cut, "valley")

    def against(self, population: str, marker: str, reference: Mask) -> Array | None:
        """Return the probability of being above what a negative reference population shows."""
        if not self.has(marker) or reference.sum() < _FEWEST_CELLS:
            return None
        cut = internal_reference(self._shown[marker][reference])
        return self._above(population, marker, cut, "internal_reference")

    def treg(self, among: Mask, naive: Mask | None) -> Array | None:
        """Return the probability of CD25hi CD127lo among CD4 T cells.

        The border runs along the diagonal of the two channels. Among CD4 cells with more CD25 than nine
        tenths of the naive ones it is the valley of CD25 less CD127 on the display scale; where there is
        none, the main summit's tail (3 standard deviations), as long as a fiftieth of these cells lies
        beyond it, else where two normal groups are equally likely. Without CD127 the border is on CD25.
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
        cut, name = _corner_cut(both[carrying])
        self._record("Treg", "CD25-CD127", cut, name, raw=False)
        chance = norm.cdf((both - cut.value) / np.hypot(self._noise["CD25"], self._noise["CD127"]))
        return np.where(carrying, chance, 0.0)

    def _above(self, population: str, marker: str, cut: Cut, name: str) -> Array:
        self._record(population, marker, cut, name)
        return np.asarray(norm.cdf((self._shown[marker] - cut.value) / self._noise[marker]))

    def _record(self, population: str, marker: str, cut: Cut, name: str, *, raw: bool = True) -> None:
        self.rows.append(
            {
                "population": population,
                "marker": marker,
                "channel": marker,
                "threshold": cut.value,
                "threshold_raw": float(self.scale.inverse(np.array([cut.value]))[0]) if raw else None,
                "method": name,
                "control": _METHOD_CONTROL[name],
                "scope": "study",
                "flag": ";".join(cut.flags) or None,
            }
        )


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

    def veto(self, names: tuple[str, ...], sure: float = 0.9) -> Mask:
        """Return cells x lineages, True where the proteins speak against a lineage."""
        result = np.zeros((len(next(iter(self.chance.values()))), len(names)), dtype=bool)
        for column, name in enumerate(names):
            if name in self.chance:
                result[:, column] = self.chance[name] < 1 - sure
        return result


def protein_lineages(gates: ProteinGates, n_cells: int) -> ProteinLineages:
    """Return the probability of each lineage, from the top down: T, B, monocytes, NK, dendritic cells."""
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
        border = next((r["threshold"] for r in gates.rows if r["population"] == "B"), None)
        if b is not None and isinstance(border, float):
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
