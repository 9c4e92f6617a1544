"""Names of clusters of flow events, by the phenotypes of the vocabulary."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from immunolab.vocabulary.phenotypes import Condition, Level
from immunolab.vocabulary.populations import Definition, definition, populations
from immunolab.vocabulary.signatures import cluster_names

UNASSIGNED = "unassigned"
Array = NDArray[np.float64]
# The constants below are judgement: each trades clusters left without a name against wrong names. A fit of 0.6 lets one
# of two conditions be half met; a lead of 0.05 is two conditions' worth of the bonus for specific populations.
LEAST_SCORE = 0.6
_LEAST_MARGIN = 0.05
_PER_CONDITION = 0.02  # bonus a condition: at equal fit the more specific population leads
_BINS = 256  # of the histogram that Otsu's border is placed on
_WITHIN = (0.001, 0.999)  # quantiles the histogram runs between, so that no stray event stretches its bins
# distance of the two groups that Otsu's border gives, in standard deviations within them, under which a marker has one
# level only: one normal group gives 2.65, two of them 4 and more (judgement between)
_LEAST_APART = 3.0
_WRITTEN: dict[Level, str] = {"neg": "-", "lo": "lo", "int": "int", "pos": "+", "hi": "hi"}
# from and to where the median of a cluster is a full match, in shares of the way from negative to positive, and how far
# past these ends a fit falls from 1 to 0: the border of two groups is half way, so that neither side of it is the other
_EXPECTED: dict[Level, tuple[float, float]] = {
    "neg": (-np.inf, 0.4),
    "lo": (-np.inf, 0.45),
    "int": (0.35, 0.65),
    "pos": (0.6, np.inf),
    "hi": (0.85, np.inf),
}
_FADES: dict[Level, float] = {"neg": 0.2, "lo": 0.4, "int": 0.4, "pos": 0.2, "hi": 0.4}
# below and above where an event is of the other group: nearer to its mean than seven tenths of the way to the border
_OTHERS: dict[Level, tuple[float, float]] = {
    "neg": (-np.inf, 0.65),
    "lo": (-np.inf, 0.65),
    "int": (-np.inf, np.inf),
    "pos": (0.35, np.inf),
    "hi": (0.35, np.inf),
}
# share of a cluster's events of the other group up to which a fit is whole, and from which it is none: a median hides
# what a cluster is mixed of (judgement)
_MIXED = (0.2, 0.5)
# levels of a cluster's median up to which a phenotype in words has a marker not, and from which it has it (judgement)
_WITHOUT, _WITH = 0.2, 0.7
_LINEAGES = ("CD3", "CD4", "CD8", "B", "NK")  # populations whose own markers say which lineage a cell is of
_PRESENT: tuple[Level, ...] = ("pos", "hi")


@dataclass(frozen=True)
class ClusterName:
    """A cluster's label, how well it fits, the best other candidate, the lead over it, and the levels of the best."""

    label: str
    score: float
    runner_up: str
    margin: float
    evidence: str = ""


NO_NAME = ClusterName(UNASSIGNED, 0.0, "", 0.0)


def two_levels(values: Array) -> tuple[float, float, bool]:
    """Return the means of the negative and of the positive events of a marker, and whether there are two such groups.

    The border is Otsu's (1979, IEEE Trans SMC 9:62): the cut into two groups that leaves least variance
    within them.
    """
    lowest, highest = np.quantile(values, _WITHIN)
    edges = np.linspace(lowest, highest, _BINS + 1)
    counts = np.histogram(values, edges)[0].astype(np.float64)
    middle = (edges[1:] + edges[:-1]) / 2
    below, above = np.cumsum(counts)[:-1], counts.sum() - np.cumsum(counts)[:-1]
    sums = np.cumsum(counts * middle)[:-1]
    low = np.divide(sums, below, out=np.zeros_like(sums), where=below > 0)
    high = np.divide((counts @ middle) - sums, above, out=np.zeros_like(sums), where=above > 0)
    best = int(np.argmax(below * above * (high - low) ** 2))
    within = float((counts * (middle - np.where(np.arange(_BINS) <= best, low[best], high[best])) ** 2).sum())
    gap = float(high[best] - low[best])
    return float(low[best]), float(high[best]), gap > _LEAST_APART * np.sqrt(within / counts.sum())


def phenotypes_of(markers: Collection[str], absent: Collection[str] = ()) -> dict[str, tuple[Condition, ...]]:
    """Return each population that the markers can define, with all conditions from the top of its lineage down.

    Conditions on missing markers are dropped as long as every marker of the population's own conditions is
    there; of several alternatives the first counts.

    Parameters
    ----------
    markers
        Those that tell events apart: a marker that all events have, as CD3 of gated T cells, is as good as missing.
    absent
        Those that no group of events has, as CD4 of gated double-negative T cells: what needs them stays a condition.
    """
    found = {}
    for name in cluster_names():
        own = definition(populations()[name].definition)
        if not own.phenotypes or not {c.marker for c in own.phenotypes[0]} <= set(markers):
            continue
        conditions = {c.marker: c for c in _lineage(own)}
        found[name] = tuple(
            c for c in conditions.values() if c.marker in markers or (c.marker in absent and c.level in _PRESENT)
        )
    return found


def _lineage(own: Definition) -> list[Condition]:
    above = populations().get(own.parent)
    conditions = _lineage(definition(above.definition)) if above is not None and above.definition else []
    return [*conditions, *(own.phenotypes[0] if own.phenotypes else ())]


def name_cluster(events: Mapping[str, Array], candidates: Mapping[str, Sequence[Condition]]) -> ClusterName:
    """Return the name of a cluster.

    Parameters
    ----------
    events
        Marker -> where each event of the cluster is: 0 at the negative events' mean, 1 at the positives'.
    candidates
        As `phenotypes_of` gives them.

    Notes
    -----
    A condition fits as far as the cluster's median is on its side of the border, and few of the events are of the
    other group: wholly up to a fifth of them, not at half. A candidate's score is the mean of its conditions' fits,
    averaged with the worst of them. With equal fit the more specific candidate leads, and of equally specific ones
    (Treg, CD4_EM) the vocabulary's first. One whose definition excludes another that fits as well (under 0.05 less)
    does not count. The margin is the lead over the best candidate that contradicts it on some marker; under 0.05, or
    with a score under 0.6, the cluster is ``unassigned`` and the runner-up is what it would have been. The evidence
    holds the conditions of that best candidate, each with the
    median level of the cluster.
    """
    scores = {name: _score(events, conditions) for name, conditions in candidates.items()}
    if not scores:
        return NO_NAME
    excluded = {
        name for name in scores if any(scores.get(o, 0.0) > scores[name] - _LEAST_MARGIN for o in _excluded(name))
    }
    fit = {name: score for name, score in scores.items() if score >= LEAST_SCORE and name not in excluded}
    best = _best(fit or scores, candidates)
    rivals = [name for name in scores if _contradict(candidates[name], candidates[best])]
    rival = max(rivals, key=lambda name: scores[name], default="")
    margin = scores[best] - scores.get(rival, 0.0)
    sure = bool(fit) and margin >= _LEAST_MARGIN
    levels = {c: float(np.median(events[c.marker])) for c in candidates[best]}
    evidence = ", ".join(f"{c.marker}{_WRITTEN[c.level]} {level:.2f}" for c, level in levels.items())
    return ClusterName(best if sure else UNASSIGNED, scores[best], rival if sure else best, margin, evidence)


def phenotype_in_words(levels: Mapping[str, float]) -> str:
    """Return what a cluster has, has in part, and has not: ``CD19+ HLA-DR+ CD38int CD3- CD4-``.

    Parameters
    ----------
    levels
        Marker -> where the cluster's median is: 0 at the negative events' mean, 1 at the positives'.
    """
    marks: dict[str, list[str]] = {"+": [], "int": [], "-": []}
    for marker, level in levels.items():
        mark = "+" if level >= _WITH else "-" if level <= _WITHOUT else "int"
        marks[mark].append(f"{marker}{mark}")
    return " ".join(word for words in marks.values() for word in words)


def lineage_beside(phenotype: str, evidence: str) -> str:
    """Return the markers of lineages that a cluster has, at least in part, and its name does not speak of.

    Two CD8+ clusters of T cells that compensation leaves some CD4 on are CD3; a cluster of doublets has CD3 and CD19.

    Parameters
    ----------
    phenotype
        As `phenotype_in_words` gives it.
    evidence
        Conditions of the name, see `ClusterName`.
    """
    marks = sorted(_WRITTEN.values(), key=len, reverse=True)
    named = {_unmarked(part.split(" ")[0], marks) for part in evidence.split(", ") if part}
    defined = {
        c.marker for name in _LINEAGES for c in definition(populations()[name].definition).phenotypes[0]
    }  # of T, B and NK cells
    has = [word for word in phenotype.split() if not word.endswith(_WRITTEN["neg"])]
    return " ".join(word for word in has if _unmarked(word, marks) in defined - named)


def _unmarked(word: str, marks: Sequence[str]) -> str:
    return next((word.removesuffix(mark) for mark in marks if word.endswith(mark)), word)


def _best(scores: Mapping[str, float], candidates: Mapping[str, Sequence[Condition]]) -> str:
    """Return the candidate that leads; of those as specific and less than 0.05 behind the vocabulary's first."""
    specific = {name: len(candidates[name]) for name in scores}
    lead = {name: score + _PER_CONDITION * specific[name] for name, score in scores.items()}
    first = max(lead, key=lead.__getitem__)
    return next(n for n in lead if specific[n] >= specific[first] and lead[first] - lead[n] < _LEAST_MARGIN)


def _excluded(name: str) -> tuple[str, ...]:
    return definition(populations()[name].definition).exclude


def _score(events: Mapping[str, Array], conditions: Sequence[Condition]) -> float:
    fits = [_fit(events[c.marker], c.level) for c in conditions]
    return (float(np.mean(fits)) + min(fits)) / 2


def _fit(events: Array, wanted: Level) -> float:
    """Return how well a cluster fits a level: by its median, and less where many events are of the other group."""
    low, high = _EXPECTED[wanted]
    median = float(np.median(events))
    away = max(low - median, median - high, 0.0) / _FADES[wanted]
    low, high = _OTHERS[wanted]
    others = float(np.mean((events < low) | (events > high)))
    mixed = (others - _MIXED[0]) / (_MIXED[1] - _MIXED[0])
    return 1.0 - min(max(away, mixed, 0.0), 1.0)


def _contradict(a: Sequence[Condition], b: Sequence[Condition]) -> bool:
    """Return whether two phenotypes need opposite levels of one marker."""
    high = {c.marker: c.level in ("pos", "hi") for c in a if c.level != "int"}
    return any(
        high.get(c.marker, c.level in ("pos", "hi")) != (c.level in ("pos", "hi")) for c in b if c.level != "int"
    )
