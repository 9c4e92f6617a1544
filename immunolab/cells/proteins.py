"""Surface proteins of single cells, gated with the threshold methods of the gating room.

Each border is placed once on all cells of the cohort and serves every sample, so that a shift between visits is a
shift of cells; only batches that the cells name (``obs["batch"]``) have borders of their own. A border inside what
droplets without cells show parts nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from immunolab.cells.border_interval import between_groups, with_interval
from immunolab.cells.protein_borders import (
    LEAST_SPREAD,
    Array,
    Groups,
    Mask,
    levels_beside,
    own_border,
    spread_of,
    treg_border,
    two_groups,
)
from immunolab.cells.protein_values import ProteinValues
from immunolab.gating.method_results import Cut
from immunolab.gating.placement.methods.internal_reference import internal_reference
from immunolab.gating.placement.methods.tail import tail
from immunolab.gating.tube_gates import Threshold

if TYPE_CHECKING:
    from anndata import AnnData

_FEWEST_CELLS = 30  # a border on fewer is the place of one or two cells
_MANY_REFERENCE, _NORMAL_99 = 1000, 2.33  # cells whose 99 % quantile has ten cells beyond; sd where a normal has it
_BATCH_SHIFT = 1.0  # display units that a batch's border may be from the study's: 2.7 times as bright (judgement)
_APART = 2.0  # display units between the dimmest and the brightest protein: seven times as bright (judgement)
_UNCLEAR = (0.3, 0.7)  # share of the way from dimmest to brightest where one group is neither (judgement)
_LEAST_TAIL = 0.005  # share of cells beyond a tail's border that makes a group: the summit itself has 0.1 % there
_ONE_GROUP = 0.9  # probability of all cells of one group: less than a border gives, as it is by comparison (judgement)
_SAID_FROM = 10.0  # points of a share between a border's two ends from which a note gives both (judgement)
_METHOD_CONTROL = {"valley": "density", "tail": "density", "mixture": "density", "internal_reference": "internal"}


@dataclass(frozen=True)
class Levels:
    """Levels and spreads of a protein's negative and positive cells, display units, and what is unusual about them.

    Of one group that is neither dim nor bright, ``if_positive`` are the levels were it the positive one. ``share`` is
    that of positive cells: 0 or 1 of one group.
    """

    low: float
    high: float
    spread_low: float
    spread_high: float
    note: str = ""
    if_positive: Levels | None = None
    share: float = 0.0


class ProteinGates(ProteinValues):
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
    batches, samples
        The cells of each; of batches none where none are named.
    borders
        What was placed, in order; a border without ``sample_id`` serves all samples, one of scope ``batch`` those of
        the batch that its ``sample_id`` names.
    notes
        Every protein that has no valley or could not be split, and what was done about it.
    """

    def __init__(self, cells: AnnData, seed: int = 0) -> None:
        super().__init__(cells, seed)
        self.borders: list[Threshold] = []
        self.notes = [
            f"{name}: one value in every cell, nothing was recorded; it is not used" for name in self.constant
        ]
        self._seed = seed

    def split(self, population: str, marker: str, among: Mask) -> Array | None:
        """Return the probability of being above the border between two groups of cells; None where it cannot be known.

        See `protein_borders.two_groups`. A batch with two groups of its own has its own border. One group alone is all
        positive or all negative, by what empty droplets, isotype controls or the other proteins show. Whatever is not a
        valley is said in `notes`.

        Parameters
        ----------
        population
            What the border is recorded for.
        marker
            Protein; None is returned where it was not measured.
        among
            Cells among which two groups are looked for, bool.
        """
        if not self._enough(population, marker, among):
            return None
        values = self.of_mean_depth(marker, among)
        found = self._seen(marker, two_groups(values, among, self.batches, self.samples))
        if not found.method:
            return self._one_group(population, marker, among)
        if found.note:
            self.notes.append(f"{marker}: {found.note}")
        chance = self._between(population, marker, found, values, among)
        for batch, cells in self.batches.items():
            own = self._seen(marker, own_border(values[among & cells]))
            if np.isnan(own.cut.value) or (own.method, found.method) == ("mixture", "valley"):
                continue  # where two normal groups cross is not where a valley is
            if abs(own.cut.value - found.cut.value) <= _BATCH_SHIFT:
                chance[cells] = self._between(population, marker, own, values, among & cells, batch)[cells]
            else:
                fold = np.exp(abs(own.cut.value - found.cut.value))
                side = "below" if own.cut.value < found.cut.value else "above"
                what = f"the border of {batch} alone is {fold:.1f}-fold {side} that of all batches, which is kept"
                self.notes.append(f"{marker}: {what}: its share in {batch} is doubtful")
        return chance

    def _between(
        self, population: str, marker: str, found: Groups, values: Array, among: Mask, batch: str = ""
    ) -> Array:
        """Return the probability of being above the border; a note says how far the share depends on it."""
        inside = values[among]
        cut, ends = between_groups(inside, found.cut)
        most, share, least = (100 * float((inside > at).mean()) for at in (ends[0], cut.value, ends[1]))
        if not batch and most - least >= _SAID_FROM:
            what = f"{share:.0f} % of the cells asked are positive, {least:.0f} to {most:.0f} % by where a reader puts"
            self.notes.append(f"{marker}: {what} the border: many lie between its two groups")
        return self._above(population, marker, replace(found, cut=cut), batch=batch, values=values, ends=ends)

    def _enough(self, population: str, marker: str, among: Mask) -> bool:
        """Return whether a protein was measured and there are cells enough to place a border on; a note says if not."""
        if not self.has(marker):
            return False
        few = int(among.sum()) < _FEWEST_CELLS
        if few:
            what = f"{int(among.sum())} cells are too few for a border"
            self.notes.append(f"{marker}: {what}; {population} is not assessed by it")
        return not few

    def _seen(self, marker: str, found: Groups) -> Groups:
        """Return two groups only where the border is above what empty droplets show of the protein."""
        if not found.method or not found.cut.value < self.unseen_below(marker):
            return found
        return Groups(Cut(np.nan))

    def _one_group(self, population: str, marker: str, among: Mask) -> Array | None:
        """Return the same probability for all cells where they are one group, clearly positive or negative."""
        place, against = self.brightness(marker, among), "protein of these cells"
        if marker in self._background:
            against = "droplets without cells" if place < _UNCLEAR[0] else "beside droplets without cells"
        if _UNCLEAR[0] <= place <= _UNCLEAR[1]:
            self.notes.append(
                f"{marker}: one group, neither dim nor bright beside other proteins; {population} is not assessed by it"
            )
            return None
        positive = place > _UNCLEAR[1]
        what = "bright as the brightest" if positive else "dim as the dimmest"
        if marker in self._background:
            what = "bright" if positive else "no brighter than"
        self.notes.append(f"{marker}: one group, {what} {against}; all count as {'+' if positive else '-'}")
        return np.full(len(self._shown[marker]), _ONE_GROUP if positive else 1 - _ONE_GROUP)

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
        found = self._seen(marker, two_groups(values, among, self.batches, self.samples))
        place, low = self.brightness(marker, among), self.low_level(marker, among)
        middle, spread = float(np.median(inside)), max(spread_of(inside), LEAST_SPREAD)
        positive = Levels(min(low, middle - _APART), middle, spread, spread, share=1.0)
        bright, unclear = place > _UNCLEAR[1], not found.method and _UNCLEAR[0] <= place and middle - low >= _APART
        if not found.method and not bright:
            end = tail(inside)
            if (inside > end.value).mean() >= _LEAST_TAIL:
                found = Groups(end, "tail", "no two groups; its brightest cells alone count as positive")
        if not found.method:
            if bright:
                return replace(positive, note=f"{marker}: one group, bright; all count as +")
            what = "no brighter than droplets without cells" if marker in self._background else "not bright"
            levels = Levels(middle, middle + _APART, spread, spread, f"{marker}: one group, {what}; all count as -")
        else:
            share = float((inside > found.cut.value).mean())
            note = f"{marker}: {found.note}" if found.note else ""
            levels = Levels(*levels_beside(inside, found.cut), note, share=share)
        return replace(levels, if_positive=positive) if unclear else levels

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
        if not self._enough(population, marker, reference):
            return None
        few = reference.sum() < _MANY_REFERENCE
        cut = internal_reference(self._shown[marker][reference], k=_NORMAL_99 if few else None)
        return self._above(population, marker, Groups(cut, "internal_reference"))

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
        if not self._enough("Treg", "CD25", among):
            return None
        if not self.has("CD127"):
            return None if naive is None else self.against("Treg", "CD25", naive)
        both = self._shown["CD25"] - self._shown["CD127"]
        cd25, along = self._shown["CD25"][among], both[among]
        reference = None if naive is None else naive[among]
        least, cut, method = treg_border(cd25, along, reference)

        def again(rows: NDArray[np.int64]) -> Mask:
            of_rows = None if reference is None else reference[rows]
            other, border, _ = treg_border(cd25[rows], along[rows], of_rows)
            return (cd25 > other) & (along > border.value)

        cut = with_interval(cut, (cd25 > least) & (along > cut.value), again, self._seed)
        self.record("Treg", "CD25-CD127", cut, method)
        chance = norm.cdf((both - cut.value) / self.noise("CD25", "CD127"))
        return np.where(among & (self._shown["CD25"] > least), chance, 0.0)

    def _above(
        self,
        population: str,
        marker: str,
        found: Groups,
        *,
        batch: str = "",
        values: Array | None = None,
        ends: tuple[float, float] | None = None,
    ) -> Array:
        raw = self.counts_at(marker, found.cut.value, batch)
        self.record(population, marker, found.cut, found.method, raw=raw, batch=batch, ends=ends)
        shown = self._shown[marker] if values is None else values
        return np.asarray(norm.cdf((shown - found.cut.value) / self.noise(marker)))

    def borders_of(self, samples: Sequence[str]) -> list[Threshold]:
        """Return every border under the samples that it serves.

        Parameters
        ----------
        samples
            Names, each once.
        """
        own = {batch: {name for name, cells in self.samples.items() if (cells & inside).any()}
               for batch, inside in self.batches.items()}  # fmt: skip
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
        ends: tuple[float, float] | None = None,
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
        ends
            How low and how high it could be; None where that is not known.
        """
        low, high = (None, None) if ends is None else ends
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
            ci_low=low,
            ci_high=high,
            flag=";".join(cut.flags) or None,
        )
        self.borders.append(border)
