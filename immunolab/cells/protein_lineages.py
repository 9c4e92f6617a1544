"""What surface proteins say of each kind of blood cell: a log likelihood to be added to that of genes.

Each protein has a negative and a positive level, and each kind carries it in a known share of its cells. Levels and
kinds are learnt together by EM, so that a protein whose groups overlap is parted by what the others say, and weighs as
little as its groups are apart.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from immunolab.cells.lineage import shares_and_fit
from immunolab.cells.protein_borders import LEAST_SPREAD, spread_of
from immunolab.cells.protein_phenotypes import Phenotype, panel_phenotype
from immunolab.cells.protein_stains import ELSEWHERE, StainLevels, learn_stains
from immunolab.cells.proteins import Levels, ProteinGates
from immunolab.clustering.expression import Array
from immunolab.clustering.names import UNASSIGNED
from immunolab.events.subsample import drawn_rows
from immunolab.gating.method_results import Cut
from immunolab.vocabulary.signatures import expected_levels

Mask = NDArray[np.bool_]
_SPEAKS = 0.1  # share of positive cells among carriers beyond that elsewhere, below which a stain failed (judgement)
_CLEAR_APART = 2.0  # sd between the levels from which nothing is said: Ashman's D, as for the mixture of gates
_FEWEST = 30  # cells
_TRIED_ON = 2_000  # cells on which one group is tried as the positive one: a kind of 2 % has forty of them
_LEAST_GAIN = 6.0  # log likelihood from which it is (a Bayes factor of 400)
_SURELY = 0.9  # probability from which a protein contradicts a name
_WITHHELD = (
    "the surface proteins set no two lineages apart, and their brightness does not show which one these cells are "
    "(most like {}, probability {:.2f}): no lineage is named; if they were sorted, say as what (--population)"
)
_NAMED_BY: Mapping[str, frozenset[str]] = {
    "T": frozenset({"CD3", "TCRab", "TCRb", "CD5"}),
    "B": frozenset({"CD19", "CD20", "CD22", "CD21"}),
    "Mono": frozenset({"CD14", "CD33", "CD64", "CD11b"}),
    "NK": frozenset({"CD56", "CD16"}),
    "DC": frozenset({"CD11c", "CD1c"}),
    "pDC": frozenset({"CD123"}),
    "HSPC": frozenset({"CD34"}),
    "Plasma": frozenset({"CD138"}),
}
_PARTING = ("CD4", "CD8")  # proteins that part CD4 from CD8
_COMMON = ("CD4", "CD8", "B", "Mono", "NK")  # lineages that a sort may be of, whether or not a protein names them
_GROUPS = {
    "T": ("CD4_naive", "CD4_memory", "CD4_effector", "CD8_naive", "CD8_memory", "CD8_effector", "CD8_TEMRA", "gd"),
    "CD4": ("CD4_naive", "CD4_memory", "CD4_effector"),
    "CD8": ("CD8_naive", "CD8_memory", "CD8_effector", "CD8_TEMRA"),
    "Mono": ("Mono_CD14", "Mono_CD16"),
    "HSPC": ("HSC", "GMP", "MEP", "CLP"),
}
# Share of the cells of a kind, or of a group of kinds, that carry each protein (textbook phenotypes of blood; 0.5: half
# of them, or dim). Later words override earlier ones.
_CARRIED: Mapping[str, Mapping[str, float]] = {
    "CD3": {"T": 0.97},
    "CD2": {"T": 0.95, "NK": 0.75, "pDC": 0.3, "DC": 0.2},
    "CD5": {"T": 0.95, "gd": 0.9, "B": 0.15},
    "CD7": {"T": 0.85, "NK": 0.9},
    "CD28": {"T": 0.9, "CD8_effector": 0.4, "CD8_TEMRA": 0.1, "gd": 0.3, "Plasma": 0.3},
    "TCRab": {"T": 0.95, "gd": 0.05},
    "TCRb": {"T": 0.95, "gd": 0.05},
    "TCRgd": {"gd": 0.95},
    "CD19": {"B": 0.97, "Plasma": 0.5, "CLP": 0.5},
    "CD20": {"B": 0.97},
    "CD22": {"B": 0.95},
    "CD21": {"B": 0.9},
    "IgD": {"B": 0.8},
    "CD14": {"Mono_CD14": 0.97, "Mono_CD16": 0.4, "DC": 0.1, "Macrophage": 0.7},
    "CD33": {"Mono": 0.95, "DC": 0.8, "HSPC": 0.5, "Macrophage": 0.95, "Neutrophil": 0.5, "Mast": 0.9},
    "CD64": {"Mono_CD14": 0.95, "Mono_CD16": 0.3, "Macrophage": 0.9},
    "CD11b": {"Mono": 0.9, "NK": 0.5, "DC": 0.4, "CD8_TEMRA": 0.3, "Macrophage": 0.9, "Neutrophil": 0.95},
    "CD11c": {"Mono": 0.95, "DC": 0.9, "NK": 0.2, "Macrophage": 0.95},
    "HLA-DR": {"B": 0.97, "Mono": 0.97, "DC": 0.97, "pDC": 0.97, "HSPC": 0.85, "Plasma": 0.5, "CD8_effector": 0.3,
               "CD8_TEMRA": 0.3, "CD4_memory": 0.15, "CD4_effector": 0.3, "Macrophage": 0.97},
    "CD16": {"NK": 0.85, "Mono_CD16": 0.95, "gd": 0.3, "CD8_TEMRA": 0.15, "Macrophage": 0.7, "Neutrophil": 0.95},
    "CD56": {"NK": 0.9, "gd": 0.3, "CD8_effector": 0.15, "CD8_TEMRA": 0.2},
    "CD123": {"pDC": 0.97, "DC": 0.1, "HSPC": 0.3},
    "CD1c": {"DC": 0.7, "B": 0.2},
    "CD34": {"HSPC": 0.95},
    "CD138": {"Plasma": 0.9},
    "CD4": {"CD4": 0.97, "Mono": 0.5, "pDC": 0.6, "DC": 0.4, "Macrophage": 0.5},
    "CD8": {"CD8": 0.97, "NK": 0.3, "gd": 0.3},
}  # fmt: skip


@dataclass(frozen=True)
class Stains:
    """Levels of CD4 and CD8 in one batch, the share of each kind that shows them, and the batch's cells."""

    levels: StainLevels
    shown: Array
    weight: float


@dataclass(frozen=True)
class ProteinEvidence:
    """What proteins say of kinds.

    Attributes
    ----------
    evidence
        Cells x kinds, log likelihood; zero where no protein could be used.
    parting
        That of CD4 and CD8 alone.
    used
        Proteins that decided.
    notes
        Proteins whose groups are not apart, and what was done.
    positive
        Probability of being positive for CD4 and CD8, by the cell's own protein, where its groups are apart.
    kinds
        Columns of ``evidence`` and ``parting``.
    stains
        How CD4 and CD8 look in each batch.
    withheld
        Whether proteins, which no gene is beside, name no lineage: of too few cells, or none that they part or show.
    """

    evidence: Array
    parting: Array
    used: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    positive: Mapping[str, Array] = field(default_factory=dict)
    kinds: tuple[str, ...] = ()
    stains: tuple[Stains, ...] = ()
    withheld: bool = False

    @property
    def has_parting(self) -> bool:
        """Whether CD4 or CD8 decided."""
        return bool(set(_PARTING) & set(self.used))

    def parting_of(self, kinds: Sequence[str]) -> Array:
        """Return what CD4 and CD8 say of some kinds, cells x kinds.

        Parameters
        ----------
        kinds
            Names of columns.
        """
        return self.parting[:, [self.kinds.index(kind) for kind in kinds]]

    def drawn_parting(self, kinds: Sequence[str], of_kind: NDArray[np.int64], rng: np.random.Generator) -> Array:
        """Return what CD4 and CD8 would say of drawn cells, cells x kinds; zero where neither was measured.

        Parameters
        ----------
        kinds
            Columns of the result.
        of_kind
            The kind of each cell, a place in ``kinds``.
        rng
            Of the draws.
        """
        said = np.zeros((len(of_kind), len(kinds)))
        if not self.stains:
            return said
        columns = [self.kinds.index(kind) for kind in kinds]
        weights = np.array([stain.weight for stain in self.stains])
        batch = rng.choice(len(self.stains), len(of_kind), p=weights / weights.sum())
        for number, stain in enumerate(self.stains):
            rows, levels = np.flatnonzero(batch == number), stain.levels
            shown = stain.shown[:, columns]
            positive = rng.random((len(rows), len(shown))) < shown[:, of_kind[rows]].T
            middle = np.where(positive, levels.high, levels.low)
            values = rng.normal(middle, np.where(positive, levels.spread_high, levels.spread_low))
            said[rows] = _of_kinds(levels.log_odds(values), shown).sum(axis=0)
        return said

    @property
    def named(self) -> frozenset[str]:
        """Lineages that a protein of their own was measured of."""
        return frozenset(name for name, own in _NAMED_BY.items() if own & set(self.used))

    def contradicts(self, carried: str, lacking: str) -> Mask:
        """Return where a cell surely lacks the one protein, or surely carries the other; False where neither is clear.

        Parameters
        ----------
        carried, lacking
            Proteins.
        """
        wrong = np.zeros(len(self.evidence), dtype=bool)
        if carried in self.positive:
            wrong |= self.positive[carried] < 1 - _SURELY
        if lacking in self.positive:
            wrong |= self.positive[lacking] > _SURELY
        return wrong


def lineage_evidence(
    gates: ProteinGates, kinds: Sequence[str], passed: Mask, by_genes: Array | None
) -> ProteinEvidence:
    """Return what the proteins of lineages say of each kind.

    Parameters
    ----------
    gates
        Display values; the borders that are placed here are added to its own.
    kinds
        Columns of the result.
    passed
        Cells that levels are learnt from.
    by_genes
        Log likelihood of each kind by genes, cells x kinds, which levels are learnt with; None without genes.
    """
    markers = tuple(marker for marker in _CARRIED if gates.has(marker))
    evidence, parting = np.zeros((len(passed), len(kinds))), np.zeros((len(passed), len(kinds)))
    if not markers or passed.sum() < _FEWEST:
        few = f"{int(passed.sum())} cells are too few for borders of surface proteins; no lineage is named by them"
        alone = bool(markers) and by_genes is None
        return ProteinEvidence(evidence, parting, notes=(few,) if markers else (), kinds=tuple(kinds), withheld=alone)
    values = np.stack([gates.shown(marker) for marker in markers], axis=1)
    carried = np.array([carriers(marker, kinds) for marker in markers])
    found = [gates.two_levels(marker, passed) for marker in markers]
    panel = _panel(gates, markers, found, passed) if by_genes is None else None
    found = _as_kinds_say(
        found if panel is None else panel.levels,
        values[passed],
        carried,
        None if by_genes is None else by_genes[passed],
    )
    first, notes = _as_arrays(found), [one.note for one in found if one.note]
    odds = {marker: np.zeros(len(passed)) for marker in _PARTING if marker in markers}
    stains = list[Stains]()
    for batch, cells in _learnt_by(gates, passed).items():
        levels = StainLevels(*(level.copy() for level in first))
        inside = cells & passed
        shown = learn_stains(levels, values[inside], carried, None if by_genes is None else by_genes[inside])
        own = [column for column, marker in enumerate(markers) if marker in _PARTING]
        if own:
            stains.append(Stains(levels.of(own), shown[own], float(inside.sum())))
        log_odds = levels.log_odds(values[cells])
        for column, (marker, said) in enumerate(zip(markers, _of_kinds(log_odds, shown), strict=True)):
            evidence[cells] += said
            if marker in odds:
                parting[cells] += said
                odds[marker][cells] = log_odds[:, column]
            cut = Cut(float(levels.border[column]), (), float(levels.spread_low[column]))
            gates.record(
                _border_of(marker), marker, cut, "mixture", raw=gates.counts_at(marker, cut.value, batch), batch=batch
            )
        near = [marker for marker, apart in zip(markers, levels.apart, strict=True) if apart < _CLEAR_APART]
        silent = [marker for marker, row in zip(markers, shown, strict=True) if np.ptp(row) < _SPEAKS]
        notes += _doubts(near, silent, batch)
        if by_genes is None:
            notes += _weak_lineages(markers, {*near, *silent}, batch)
        odds = {marker: values for marker, values in odds.items() if marker not in near}
    positive = {marker: 1 / (1 + np.exp(-values)) for marker, values in odds.items()}
    withheld = panel is not None and len(panel.lineages) < 2 and not panel.is_sure
    if panel is not None and withheld:
        notes.append(_WITHHELD.format(" and ".join(panel.lineages) or "cells of none of them", panel.probability))
    return ProteinEvidence(evidence, parting, markers, tuple(notes), positive, tuple(kinds), tuple(stains), withheld)


def _panel(gates: ProteinGates, markers: Sequence[str], found: Sequence[Levels], passed: Mask) -> Phenotype:
    """Return what all proteins together show, where no gene says anything."""
    names = [*_COMMON, *(name for name, own in _NAMED_BY.items() if name not in (*_COMMON, "T") and own & set(markers))]
    kinds = {name: _GROUPS.get(name, (name,)) for name in names}
    carried = {name: np.array([carriers(marker, own).mean() for marker in markers]) for name, own in kinds.items()}
    inside = [gates.shown(marker)[passed] for marker in markers]
    return panel_phenotype(
        markers,
        found,
        np.array([np.median(values) for values in inside]),
        np.array([max(spread_of(values), LEAST_SPREAD) for values in inside]),
        np.array([gates.unstained(marker, passed) for marker in markers]),
        carried,
    )


def _of_kinds(log_odds: Array, shown: Array) -> Array:
    """Return what each protein says of each kind, proteins x cells x kinds.

    Parameters
    ----------
    log_odds
        Of being positive, cells x proteins.
    shown
        Share of each kind that shows the protein, proteins x kinds.
    """
    each = (np.log(row * np.exp(log_odds[:, [column]]) + 1 - row) for column, row in enumerate(shown))
    return np.stack(list(each))


def _doubts(near: Sequence[str], silent: Sequence[str], batch: str) -> Iterator[str]:
    where = f" in {batch}" if batch else ""
    if near:
        what = "positive and negative cells overlap"
        yield f"{', '.join(near)}: {what}{where}; what else was measured helps to part them"
    if silent:
        what = "hardly more positive cells where it should be than elsewhere"
        yield f"{', '.join(silent)}: {what}{where}; the stain is not used"


def _weak_lineages(markers: Sequence[str], weak: Collection[str], batch: str) -> Iterator[str]:
    """Yield lineages whose own proteins are all weak."""
    own = {name: set(proteins) & set(markers) for name, proteins in _NAMED_BY.items()}
    lost = [name for name, proteins in own.items() if proteins and proteins <= set(weak)]
    if lost:
        where = f" in {batch}" if batch else ""
        yield f"{', '.join(lost)}: every protein of their own is weak{where}; cells can be missed ({UNASSIGNED})"


def _learnt_by(gates: ProteinGates, passed: Mask) -> Mapping[str, Mask]:
    """Return the batches that levels are learnt in, each with cells enough; else all cells as one."""
    batches = {name: cells for name, cells in gates.batches.items() if (cells & passed).sum() >= 10 * _FEWEST}
    if len(batches) > 1 and len(batches) == len(gates.batches):
        return batches
    return {"": np.ones(len(passed), dtype=bool)}


def _border_of(marker: str) -> str:
    return {"CD19": "B", "CD14": "Mono", "CD56": "NK", "CD123": "pDC", "CD34": "HSPC"}.get(marker, marker)


def carriers(marker: str, kinds: Sequence[str]) -> Array:
    """Return the share of each kind's cells that carry a protein.

    Parameters
    ----------
    marker
        One of the proteins that lineages are named by.
    kinds
        As `marker_levels.yaml` names them.
    """
    shares = dict.fromkeys(expected_levels().kinds, ELSEWHERE)
    for name, share in _CARRIED[marker].items():
        shares |= dict.fromkeys(_GROUPS.get(name, (name,)), share)
    return np.array([shares[kind] for kind in kinds])


def _as_arrays(found: Sequence[Levels]) -> tuple[Array, Array, Array, Array, Array]:
    low, high, spread_low, spread_high, share = (np.array([getattr(one, name) for one in found]) for name in
                                                 ("low", "high", "spread_low", "spread_high", "share"))  # fmt: skip
    return low, high, spread_low, spread_high, share


def _as_kinds_say(
    found: Sequence[Levels], values: Array, carried: Array, by_genes: Array | None, seed: int = 0
) -> list[Levels]:
    """Return levels where one group that is neither dim nor bright is the positive one if kinds of cells fit so better.

    Of a sort of T cells all carry CD3, and no brightness says so: that CD8 is there and no marker of NK does.
    """
    rows = drawn_rows(len(values), _TRIED_ON, seed)
    values, by_genes = values[rows], None if by_genes is None else by_genes[rows]
    chosen, positive = list(found), list[int]()
    unclear = [column for column, one in enumerate(found) if one.if_positive is not None]
    best = _fit(chosen, positive, values, carried, by_genes) if unclear else 0.0
    for column in unclear:
        other = found[column].if_positive
        if other is None:
            continue
        trial = [other if place == column else one for place, one in enumerate(chosen)]
        fit = _fit(trial, [*positive, column], values, carried, by_genes)
        if fit - best >= _LEAST_GAIN:
            chosen, positive, best = trial, [*positive, column], fit
    return chosen


def _fit(
    found: Sequence[Levels], positive: Sequence[int], values: Array, carried: Array, by_genes: Array | None
) -> float:
    """Return the log likelihood of cells beside that of their one group, which is negative or ``positive``."""
    levels = StainLevels(*_as_arrays(found))
    shown = learn_stains(levels, values, carried, by_genes)
    log_odds = levels.log_odds(values)
    said = _of_kinds(log_odds, shown).sum(axis=0)
    return shares_and_fit(said if by_genes is None else said + by_genes)[1] - float(log_odds[:, list(positive)].sum())
