"""Surface proteins of single cells, gated with the threshold methods of the gating room.

Each border is placed once on all cells of the cohort and serves every sample, so that a shift between visits is a
shift of cells; only batches that the cells name (``obs["batch"]``) have borders of their own. Counts are put
on arcsinh(count / 5); because most are small whole numbers, each is moved by a uniform draw within its unit first,
which changes no border by more than half a count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from immunolab.cells.border_interval import with_interval
from immunolab.events.cells import batches_of, protein_controls_of, proteins_are_counts, proteins_of, sample_ids_of
from immunolab.events.transforms import Asinh, Identity, Transform
from immunolab.gating.method_results import Cut
from immunolab.gating.placement.density import robust_sd
from immunolab.gating.placement.methods.internal_reference import internal_reference
from immunolab.gating.placement.methods.mixture import mixture
from immunolab.gating.placement.methods.tail import tail
from immunolab.gating.placement.methods.valley import valley
from immunolab.gating.tube_gates import Threshold
from immunolab.schema.flags import Flag

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
_MANY_REFERENCE, _NORMAL_99 = 1000, 2.33  # cells whose 99 % quantile has ten cells beyond; sd where a normal has it
_FEWEST_OTHERS = 4  # proteins that show how deep a cell was counted: fewer are its kind's (judgement)
_DEPTH_ROUNDS, _STEEPEST = 4, 2.0  # rounds between groups and slope, and the steepest slope on the mean of the others
_BATCH_CELLS = (
    200  # cells of a batch or sample whose own valley is believed (judgement: its place has an sd of a tenth)
)
_BATCH_SHIFT = 1.0  # display units that a batch's border may be from the study's: 2.7 times as bright (judgement)
_APART = 2.0  # display units between the dimmest and the brightest protein: seven times as bright (judgement)
_UNCLEAR = (0.3, 0.7)  # share of the way from dimmest to brightest where one group is neither (judgement)
_LEAST_TAIL = 0.005  # share of cells beyond a tail's border that makes a group: the summit itself has 0.1 % there
_LEAST_SPREAD = 0.2  # display units: narrower groups are of a scale's coarseness (judgement)
_ONE_GROUP = 0.9  # probability of all cells of one group: less than a border gives, as it is by comparison (judgement)
_TRANSFORMED_NOISE = 0.25  # standard error of a transformed value, in sd of the protein (judgement: counts are unknown)
_METHOD_CONTROL = {"valley": "density", "tail": "density", "mixture": "density", "internal_reference": "internal"}


@dataclass(frozen=True)
class Levels:
    """Levels and spreads of a protein's negative and positive cells, display units, and what is unusual about them."""

    low: float
    high: float
    spread_low: float
    spread_high: float
    note: str = ""


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
        What was placed, in order; a border without ``sample_id`` serves all samples, one of scope ``batch`` those of
        the batch that its ``sample_id`` names.
    notes
        Every protein that has no valley, and what was done about it.
    """

    def __init__(self, cells: AnnData, seed: int = 0) -> None:
        self.borders: list[Threshold] = []
        self.notes: list[str] = []
        self._batches = _groups(batches_of(cells))
        self._samples = _groups(sample_ids_of(cells))
        table = proteins_of(cells)
        self.markers: tuple[str, ...] = () if table is None else tuple(table.columns)
        counts = proteins_are_counts(cells)
        self._scale: Transform = Asinh(_COFACTOR) if counts else Identity()
        self._shown: dict[str, Array] = {}
        self._noise: dict[str, Array] = {}
        self._controls = np.empty(0)
        self._seed = seed
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
        controls = protein_controls_of(cells)
        if controls is not None:
            self._controls = np.asarray(self._scale.apply(controls.to_numpy(dtype=np.float64).ravel()))

    def has(self, *markers: str) -> bool:
        """Return whether all these proteins were measured."""
        return all(marker in self._shown for marker in markers)

    def shown(self, marker: str) -> Array:
        """Return a protein on the display scale."""
        return self._shown[marker]

    def split(self, population: str, marker: str, among: Mask) -> Array | None:
        """Return the probability of being above the border between two groups of cells; None where it cannot be known.

        The border is the valley of all these cells; where samples or batches of differing brightness fill it, the
        middle of their own valleys; where there is none, the border of two normal groups that are apart. A batch
        with a valley of its own has its own border. One group alone is all positive or all negative, by what isotype
        controls or the other proteins show. Whatever is not a valley is said in `notes`.

        Parameters
        ----------
        population
            What the border is recorded for.
        marker
            Protein; None is returned where it was not measured.
        among
            Cells among which two groups are looked for, bool.
        """
        if not self.has(marker) or among.sum() < _FEWEST_CELLS:
            return None
        values = self._of_mean_depth(marker, among)
        cut, method, note = self._two_groups(values, among)
        if np.isnan(cut.value):
            return self._one_group(population, marker, among)
        if note:
            self.notes.append(f"{marker}: {note}")
        chance = self._above(population, marker, cut, method, values=values)
        own = {batch: _own_valley(values[among & cells]) for batch, cells in self._batches.items()}
        for batch, found in own.items():
            if np.isfinite(found.value) and abs(found.value - cut.value) <= _BATCH_SHIFT:
                cells = self._batches[batch]
                chance[cells] = self._above(population, marker, found, "valley", batch=batch, values=values)[cells]
        return chance

    def _of_mean_depth(self, marker: str, among: Mask) -> Array:
        """Return a protein as a cell of mean depth would show it, among cells of one kind.

        Cells that were counted deeper show more of every protein. How much more of this one is learnt within its two
        groups (after the technical component of dsb: Mule et al. 2022, Nat Commun 13:2099).
        """
        values = self._shown[marker]
        others = [shown for name, shown in self._shown.items() if name != marker]
        if len(others) < _FEWEST_OTHERS:
            return values
        depth = np.mean(others, axis=0)
        depth = depth - depth[among].mean()
        inside, own = values[among], depth[among]
        slope = 0.0
        for _ in range(_DEPTH_ROUNDS):
            cut = mixture(inside - slope * own)
            above = inside - slope * own > cut.value if np.isfinite(cut.value) else np.zeros(len(inside), dtype=bool)
            down = [(inside[g] - inside[g].mean(), own[g] - own[g].mean()) for g in (above, ~above) if g.sum() > 2]
            spread = sum(float((x**2).sum()) for _, x in down)
            slope = float(np.clip(sum(float((y * x).sum()) for y, x in down) / max(spread, 1e-9), 0.0, _STEEPEST))
        return np.asarray(values - slope * depth)

    def _two_groups(self, values: Array, among: Mask) -> tuple[Cut, str, str]:
        """Return the border between two groups, the method that found it, and what is unusual about it."""
        inside = values[among]
        parts = [values[among & cells] for cells in self._batches.values()]
        parts = [part for part in parts if len(part) >= _BATCH_CELLS]
        if len(parts) > 1 and not any(map(_has_two_groups, parts)):
            return Cut(np.nan), "", ""  # two groups of all cells would be two batches
        window = np.quantile(inside, _LINEAGE_SHARE).tolist()
        cut = valley(inside, within=window)
        if np.isfinite(cut.value):
            return cut, "valley", ""
        for what, groups in (("batches", self._batches), ("samples", self._samples)):
            own = [
                found for cells in groups.values() if np.isfinite((found := _own_valley(values[among & cells])).value)
            ]
            if len(groups) > 1 and len(own) * 2 >= len(groups):
                middle = float(np.median([found.value for found in own]))
                note = f"no valley in all cells together; the border is the middle of {len(own)} {what}' valleys"
                return Cut(middle, own[0].flags, own[0].spread), "valley", note
        cut = mixture(inside)
        if Flag.UNIMODAL not in cut.flags and window[0] < cut.value < window[1]:
            return cut, "mixture", "no valley; the border is where two normal groups are equally likely"
        return Cut(np.nan), "", ""

    def _one_group(self, population: str, marker: str, among: Mask) -> Array | None:
        """Return the same probability for all cells where they are one group, clearly positive or negative."""
        place = self._brightness(marker, among)
        if _UNCLEAR[0] <= place <= _UNCLEAR[1]:
            self.notes.append(
                f"{marker}: one group, neither dim nor bright beside other proteins; {population} is not assessed by it"
            )
            return None
        positive = place > _UNCLEAR[1]
        what = "bright as the brightest" if positive else "dim as the dimmest"
        self.notes.append(
            f"{marker}: one group, {what} protein of these cells; all count as {'+' if positive else '-'}"
        )
        return np.full(len(self._shown[marker]), _ONE_GROUP if positive else 1 - _ONE_GROUP)

    def _brightness(self, marker: str, among: Mask) -> float:
        """Return where a protein's median is, from 0 (the dimmest, or isotype controls) to 1 (the brightest)."""
        middles = {name: float(np.median(values[among])) for name, values in self._shown.items()}
        low = float(np.median(self._controls)) if self._controls.size else min(middles.values())
        high = max(middles.values())
        return (middles[marker] - low) / (high - low) if high - low >= _APART else 0.5

    def two_levels(self, marker: str, among: Mask) -> Levels:
        """Return the levels of negative and positive cells: by a valley, two groups, a tail, or one group's place.

        Parameters
        ----------
        marker
            Protein.
        among
            Cells looked at, bool.
        """
        values = self._shown[marker]
        inside = values[among]
        cut, _, note = self._two_groups(values, among)
        bright = self._brightness(marker, among) > _UNCLEAR[1]
        if np.isnan(cut.value) and not bright:
            end = tail(inside)
            if (inside > end.value).mean() >= _LEAST_TAIL:
                cut, note = end, "no two groups; the positives are the tail of the main summit"
        if np.isnan(cut.value):
            middle, spread = float(np.median(inside)), max(spread_of(inside), _LEAST_SPREAD)
            if bright:
                low = min(float(np.median(shown[among])) for shown in self._shown.values())
                return Levels(
                    min(low, middle - _APART), middle, spread, spread, f"{marker}: one group, bright; all count as +"
                )
            return Levels(middle, middle + _APART, spread, spread, f"{marker}: one group, not bright; all count as -")
        below, above = inside[inside <= cut.value], inside[inside > cut.value]
        spreads = [max(spread_of(part), _LEAST_SPREAD) if len(part) > 2 else _LEAST_SPREAD for part in (below, above)]
        levels = [float(np.median(part)) if len(part) else cut.value for part in (below, above)]
        return Levels(levels[0], levels[1], spreads[0], spreads[1], f"{marker}: {note}" if note else "")

    def counts_at(self, shown: float) -> float:
        """Return the counts of a place on the display scale."""
        return float(self._scale.inverse(np.array([shown]))[0])

    @property
    def batches(self) -> Mapping[str, Mask]:
        """The cells of each batch; empty where none are named."""
        return self._batches

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
        few = reference.sum() < _MANY_REFERENCE
        cut = internal_reference(self._shown[marker][reference], k=_NORMAL_99 if few else None)
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
        both = self._shown["CD25"] - self._shown["CD127"]
        cd25, along = self._shown["CD25"][among], both[among]
        reference = None if naive is None else naive[among]
        least, cut, method = _treg_border(cd25, along, reference)

        def again(rows: NDArray[np.int64]) -> Mask:
            of_rows = None if reference is None else reference[rows]
            other, border, _ = _treg_border(cd25[rows], along[rows], of_rows)
            return (cd25 > other) & (along > border.value)

        cut = with_interval(cut, (cd25 > least) & (along > cut.value), again, self._seed)
        self.record("Treg", "CD25-CD127", cut, method)
        chance = norm.cdf((both - cut.value) / np.hypot(self._noise["CD25"], self._noise["CD127"]))
        return np.where(among & (self._shown["CD25"] > least), chance, 0.0)

    def _above(
        self, population: str, marker: str, cut: Cut, method: str, *, batch: str = "", values: Array | None = None
    ) -> Array:
        raw = float(self._scale.inverse(np.array([cut.value]))[0])
        self.record(population, marker, cut, method, raw=raw, batch=batch)
        shown = self._shown[marker] if values is None else values
        return np.asarray(norm.cdf((shown - cut.value) / self._noise[marker]))

    def borders_of(self, samples: Sequence[str]) -> list[Threshold]:
        """Return every border under the samples that it serves.

        Parameters
        ----------
        samples
            Names, each once.
        """
        own = {batch: {name for name, cells in self._samples.items() if (cells & inside).any()}
               for batch, inside in self._batches.items()}  # fmt: skip
        placed = []
        for sample in samples:
            special = {(b.population, b.marker): b for b in self.borders if b.sample_id and sample in own[b.sample_id]}
            shared = {(b.population, b.marker): b for b in self.borders if not b.sample_id}
            placed += [replace(border, sample_id=sample) for border in (shared | special).values()]
        return placed

    def record(
        self,
        population: str,
        marker: str,
        cut: Cut,
        method: str,
        *,
        channel: str = "",
        raw: float | None = None,
        batch: str = "",
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
        batch
            The batch it serves; "" for all.
        """
        border = Threshold(
            sample_id=batch,
            population=population,
            marker=marker,
            channel=channel or marker,
            threshold=cut.value,
            threshold_raw=raw,
            method=method,
            control=_METHOD_CONTROL[method],
            scope="batch" if batch else "study",
            flag=";".join(cut.flags) or None,
        )
        self.borders.append(border)


def _treg_border(cd25: Array, along: Array, naive: Mask | None) -> tuple[float, Cut, str]:
    """Return the CD25 that a Treg has at least, the border along the diagonal, and the method that found it."""
    least = -np.inf
    if naive is not None and naive.sum() >= _FEWEST_CELLS:
        conventional = naive & _lower_group(along, naive)
        least = internal_reference(cd25[conventional], quantile=_CARRYING).value
    return (least, *_corner_cut(along[cd25 > least]))


def _corner_cut(values: Array) -> tuple[Cut, str]:
    """Return the border of the cloud at the high end, and the method that found it."""
    cut = valley(values, within=np.quantile(values, _LINEAGE_SHARE).tolist()) if len(values) else Cut(np.nan)
    if np.isfinite(cut.value):
        return cut, "valley"
    cut = tail(values)
    if np.isfinite(cut.value) and (values > cut.value).mean() >= _LEAST_BEYOND:
        return cut, "tail"
    return mixture(values), "mixture"


def _lower_group(values: Array, among: Mask) -> Mask:
    """Return the cells of the lower of two groups, all where no two are apart.

    Up to a third of naive cells are naive Treg: they are a group of their own, and no negative reference.
    """
    cut = valley(values[among], within=np.quantile(values[among], _LINEAGE_SHARE).tolist())
    if np.isnan(cut.value):
        cut = mixture(values[among])
    apart = np.isfinite(cut.value) and Flag.UNIMODAL not in cut.flags
    return np.asarray(values <= cut.value) if apart else np.ones(len(values), dtype=bool)


def _own_valley(values: Array) -> Cut:
    """Return the valley of one batch or sample, where it has cells enough."""
    if len(values) < _BATCH_CELLS:
        return Cut(np.nan)
    return valley(values, within=np.quantile(values, _LINEAGE_SHARE).tolist())


def _has_two_groups(values: Array) -> bool:
    return bool(np.isfinite(_own_valley(values).value)) or Flag.UNIMODAL not in mixture(values).flags


def _groups(names: NDArray[np.object_]) -> dict[str, Mask]:
    return {str(name): names == name for name in dict.fromkeys(names)} if len(names) else {}


def spread_of(values: Array) -> float:
    """Return the robust standard deviation of values, or 1 where they do not vary."""
    return robust_sd(values) or 1.0
