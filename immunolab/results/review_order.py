"""Which tubes to look at first within each gate: worst first, from a run's small tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import pandas as pd

from immunolab.plots.at_border import border_rows
from immunolab.plots.gate_views import read_views
from immunolab.results.review_measures import (
    Array,
    beyond_noise,
    bits,
    from_others,
    left_out_median,
    logit,
    spread,
    without_course,
)
from immunolab.results.run import Run
from immunolab.schema.flags import Flag, flag, shown
from immunolab.schema.review import AT_BORDER, REVIEW_ORDER

_COFACTOR = 150.0  # of asinh for medians in instrument units; as LANDMARKS
_Courses = Callable[[str, pd.DataFrame], list[Array]]
_TO_SD = 2 * 1.959964  # width of a 95 % interval, in sd of a normal
_SAID = 1.0  # bits from which a measure is named in words (the odds are even)
# of the blood taken or of the gate above, not of where this gate is
_NOT_OF_GATE = frozenset({Flag.BELOW_LOD, Flag.BELOW_LOQ, Flag.ZERO_EVENTS, Flag.EMPTY_PARENT, Flag.BY_HAND})


def review_order(run: Run) -> pd.DataFrame:
    """Return every tube of every gate, worst first within a gate.

    Four things are looked at, each in bits of surprise against the study's other tubes, the tube itself left out: flags
    (how few tubes carry one as grave), the border on the display scale after what panel, batch and the tube's own
    brightness explain, the percent on the logit scale against the patient's other visits and against all tubes beyond
    counting error, and the events at the gate's outline, where a border through a group of events has more than others.
    The score is their sum.

    Parameters
    ----------
    run
        A finished run; its tables are read, and of each sample's folder the events at the borders.

    Returns
    -------
    DataFrame
        Rows of `schema.review.REVIEW_ORDER`: ``sample_id``, ``path``, ``score`` (bits), ``why`` in words without the
        name of a patient, visit, sample or file. Gates in the order of the strategy.

    Notes
    -----
    A border that is wrong in all tubes alike is like the others; so is one that is moved by less than tubes differ.
    With fewer than three other tubes only flags are compared.
    """
    tubes = _tubes(run)
    counts = run.counts[run.counts["sample_id"].isin(tubes.index) & (run.counts["path"] != "/")]
    borders, at_border = _Borders(run, tubes), _at_borders(run, list(tubes.index))
    found = [_gate(path, own, tubes, borders, at_border) for path, own in counts.groupby("path", sort=False)]
    table = pd.concat(found) if found else REVIEW_ORDER.empty()
    return REVIEW_ORDER.frame(table.to_dict("records"))


def _tubes(run: Run) -> pd.DataFrame:
    """Return panel, batch, patient and visit of each tube that a review shows, by sample_id."""
    batches = run.table("acquisitions").set_index("sample_id")["batch"].to_dict()
    counted = set(run.counts["sample_id"])
    rows = [
        {
            "sample_id": s.sample_id,
            "panel": (s.panel, s.stimulation),
            "batch": (s.panel, s.stimulation, batches.get(s.sample_id, s.batch)),
            "patient": (s.panel, s.stimulation, s.patient_id or s.sample_id),
            "visit": (s.panel, s.stimulation, s.visit),
        }
        for s in run.study.samples
        if s.sample_id in counted
    ]
    table = pd.DataFrame(rows, columns=["sample_id", "panel", "batch", "patient", "visit"]).set_index("sample_id")
    numbers = {name: pd.factorize(column)[0] for name, column in table.items()}  # groups without names
    return pd.DataFrame(numbers, index=table.index)


@dataclass(frozen=True)
class _Measure:
    """One measure of a gate's tubes: bits, and what it says of a tube."""

    bits: Array
    words: Sequence[str]


def _gate(
    path: str, counts: pd.DataFrame, tubes: pd.DataFrame, borders: _Borders, at_border: pd.DataFrame
) -> pd.DataFrame:
    """Return the rows of one gate."""
    rows = counts.set_index("sample_id").reindex(tubes.index)
    rows = rows[rows["path"].notna()]
    own = tubes.loc[rows.index]
    lines = at_border[at_border["path"] == path]
    kinds = [[_flagged(rows)], list(_percents(rows, own)), list(_crowded(lines, own))]
    name = str(rows["population"].iloc[0])
    kinds.append(list(borders.of(name, own)) or list(_outlines(lines, own, partial(borders.courses, name))))
    largest = [_largest(measures, len(own)) for measures in kinds]
    score = np.sum([measure.bits for measure in largest], axis=0)
    order = np.argsort(-score, kind="stable")
    table = pd.DataFrame({"sample_id": list(own.index), "path": path, "score": score, "why": _why(largest, len(own))})
    return table.iloc[order]


def _largest(measures: Sequence[_Measure], n: int) -> _Measure:
    """Return for each tube the most surprising of several measures of one kind."""
    if not measures:
        return _Measure(np.zeros(n), [""] * n)
    each = np.array([measure.bits for measure in measures])
    best = each.argmax(axis=0)
    return _Measure(each.max(axis=0), [measures[k].words[i] for i, k in enumerate(best)])


def _why(measures: Sequence[_Measure], n: int) -> list[str]:
    said = []
    for i in range(n):
        order = sorted(measures, key=lambda measure: -measure.bits[i])
        words = [m.words[i] for m in order if m.bits[i] >= _SAID and m.words[i]]
        said.append("; ".join(words) or "like the other tubes")
    return said


def _flagged(rows: pd.DataFrame) -> _Measure:
    """Return how few tubes carry a flag as grave; one that withholds the number is rarer than any other."""
    words = [[w for w in shown(field) if flag(w) not in _NOT_OF_GATE] for field in rows["flag"]]
    rank = np.array([max((1 + (flag(w).rank == "unusable") for w in own), default=0) for own in words])
    n = len(rank)
    share = np.array([np.count_nonzero(rank >= r) / n for r in rank])
    found = np.where(rank > 0, -np.log2(share) + np.where(rank > 1, np.log2(n), 0.0), 0.0)
    return _Measure(found, [", ".join(flag(w).meaning for w in own) for own in words])


def _percents(rows: pd.DataFrame, tubes: pd.DataFrame) -> Iterator[_Measure]:
    """Yield the percent against the patient's other visits, less what visits have in common, and against all."""
    n, of = (rows[name].to_numpy(dtype=float, na_value=np.nan) for name in ("n_events", "n_parent"))
    value, noise = logit(n, of)
    value = np.where(of > 0, value, np.nan)
    for groups, text in (("patient", "the patient's other visits"), ("panel", "the other tubes")):
        course = value
        if groups == "patient":
            course = value - _medians(value, tubes["visit"])
        deviation, others = from_others(course, list(tubes[groups]))
        every = tubes.groupby("panel")["visit"].transform("size").to_numpy(dtype=float) - 1
        variance = noise * (1.0 + 1.0 / np.maximum(others, 1.0))
        deviation = np.where(others > 0, deviation, np.nan)
        scale = beyond_noise(deviation, variance)
        factor = np.exp(np.abs(np.nan_to_num(deviation)))
        words = [
            f"percent {'above' if d > 0 else 'below'} {text} (odds {f:.3g} times)"
            for d, f in zip(deviation, factor, strict=True)
        ]
        yield _Measure(bits(deviation, scale, every), words)


def _medians(values: Array, groups: pd.Series) -> Array:
    """Return for each tube the median of its group."""
    medians = pd.Series(values).groupby(groups.to_numpy(), sort=False).transform("median")
    return np.asarray(medians, dtype=np.float64)


def _crowded(lines: pd.DataFrame, tubes: pd.DataFrame) -> Iterator[_Measure]:
    """Yield the events at each line of a gate's outline, where they are more than at those of the other tubes."""
    for _, line in lines.groupby(["part", "line"], sort=False):
        own = line.set_index("sample_id").reindex(tubes.index)
        value, noise = logit(own["n_at_border"].to_numpy(dtype=float), own["n_drawn"].to_numpy(dtype=float))
        value = np.where(own["n_drawn"].to_numpy(dtype=float) > 0, value, np.nan)
        deviation, others = from_others(value, list(tubes["panel"]))
        found = bits(np.maximum(deviation, 0.0), beyond_noise(deviation, noise), others)
        factor = np.exp(np.maximum(np.nan_to_num(deviation), 0.0))
        words = [f"{f:.3g} times as many events at the border as in the other tubes" for f in factor]
        yield _Measure(found, words)


def _outlines(lines: pd.DataFrame, tubes: pd.DataFrame, courses: _Courses) -> Iterator[_Measure]:
    """Yield where the outline of a gate without thresholds ends on each axis."""
    for _, line in lines.groupby(["part", "line"], sort=False):
        own = line.set_index("sample_id").reindex(tubes.index)
        for end in ("x_low", "x_high", "y_low", "y_high"):
            value = own[end].to_numpy(dtype=float)
            if np.isfinite(value).any():
                marker = own[f"{end[0]}_marker"].dropna()
                explains = courses(str(marker.iloc[0]), tubes) if len(marker) else []
                what = f"outline on {marker.iloc[0]}" if len(marker) else "outline of the gate"
                yield from _places(value, np.full(len(value), np.nan), tubes, explains, what)


def _places(value: Array, sd: Array, tubes: pd.DataFrame, courses: Sequence[Array], what: str) -> Iterator[_Measure]:
    """Yield a place against all tubes of the panel, and against the patient's other visits."""
    noise = left_out_median(sd) if np.isfinite(sd).any() else np.zeros(len(value))
    ways = [value, *(without_course(value, course) for course in courses)]
    left = [from_others(way, list(tubes[groups])) for way in ways for groups in ("panel", "batch")]
    width = [_width(deviation, others) for deviation, others in left]
    deviation, others = left[int(np.argmin(width))]
    all_tubes = tubes.groupby("panel")["visit"].transform("size").to_numpy(dtype=float) - 1
    yield _Measure(
        bits(deviation, np.maximum(spread(deviation), noise), np.minimum(all_tubes, np.maximum(others, 0))),
        [f"{what} {'above' if d > 0 else 'below'} that of the other tubes" for d in deviation],
    )
    deviation, others = from_others(value, list(tubes["patient"]))
    deviation = np.where(others > 0, deviation, np.nan)
    yield _Measure(
        bits(deviation, np.maximum(spread(deviation), noise), np.where(others > 0, all_tubes, 0)),
        [f"{what} {'above' if d > 0 else 'below'} that of the patient's other visits" for d in deviation],
    )


def _width(deviation: Array, others: Array) -> float:
    """Return the robust spread that is left of a way; without end where a tube has no others to compare with."""
    known = np.isfinite(deviation)
    if not known.any() or (others[known] < 3).any():
        return np.inf
    return float(np.median(np.abs(deviation[known])) * np.median(others[known] / (others[known] + 1.0)))


class _Borders:
    """The thresholds of a run, by gate."""

    def __init__(self, run: Run, tubes: pd.DataFrame) -> None:
        self.run, self.tubes = run, tubes
        self.rows = dict(iter(run.thresholds.groupby("population", sort=False)))

    @cached_property
    def landmarks(self) -> dict[str, pd.Series]:
        """By marker, how much brighter its landmark populations are in each tube than in the others."""
        rows = self.run.table("landmarks")
        usual = rows.groupby(["population", "marker"])["median"].transform("median")
        rows = rows.assign(level=rows["median"] - usual)
        free = [(p, m) not in self.gated_on for p, m in zip(rows["population"], rows["marker"], strict=True)]
        rows = rows[np.array(free, dtype=np.bool_)]  # a list without an entry would choose no column
        return {str(m): own.groupby("sample_id")["level"].median() for m, own in rows.groupby("marker")}

    @cached_property
    def gated_on(self) -> set[tuple[str, str]]:
        """(population, marker) whose brightness follows from a border of its own or above it."""
        own: dict[str, set[str]] = {}
        for name, rows in self.rows.items():
            own[str(name)] = set(rows["marker"].dropna().astype(str))
        found = set()
        for path in self.run.counts["path"].unique():
            names = str(path).split("/")
            found |= {(names[-1], marker) for name in names for marker in own.get(name, ())}
        return found

    @cached_property
    def medians(self) -> pd.Series:
        """Median of each population in each marker, asinh."""
        rows = self.run.intensities.set_index(["population", "marker", "sample_id"])["median_intensity"]
        return np.arcsinh(rows.astype(float) / _COFACTOR).sort_index()

    @cached_property
    def parents(self) -> dict[str, str]:
        """Name of the parent of each population."""
        rows = self.run.counts.drop_duplicates("population").dropna(subset=["parent"])
        return dict(zip(rows["population"].astype(str), rows["parent"].astype(str), strict=True))

    def of(self, population: str, tubes: pd.DataFrame) -> Iterator[_Measure]:
        """Yield where each border of a population is."""
        if population not in self.rows:
            return
        for (channel, _), rows in self._each(self.rows[population]):
            own = rows.drop_duplicates("sample_id").set_index("sample_id").reindex(tubes.index)
            value = own["threshold"].to_numpy(dtype=float)
            sd = (own["ci_high"] - own["ci_low"]).to_numpy(dtype=float) / _TO_SD
            markers = own["marker"].dropna()
            marker = str(markers.iloc[0]) if len(markers) else str(channel)
            yield from _places(value, sd, tubes, self.courses(population, marker, tubes), f"border on {marker}")

    def courses(self, population: str, marker: str, tubes: pd.DataFrame) -> list[Array]:
        """Return what may explain where a border is: how bright a marker's cells are, and its median in the parent.

        Parameters
        ----------
        population
            Whose border it is.
        marker
            Antigen.
        tubes
            By sample_id.
        """
        parent = (self.parents.get(population, ""), marker)
        found = [self.landmarks[marker]] if marker in self.landmarks else []
        found += [self.medians.loc[parent]] if parent in self.medians.index else []
        return [course.reindex(tubes.index).to_numpy(dtype=float) for course in found]

    @staticmethod
    def _each(rows: pd.DataFrame) -> Iterator[tuple[tuple[object, object], pd.DataFrame]]:
        """Yield the borders of a population one by one: a channel may have two."""
        place = rows.groupby(["sample_id", "channel"]).cumcount()
        yield from rows.groupby(["channel", place], sort=False)


def _at_borders(run: Run, samples: Sequence[str]) -> pd.DataFrame:
    """Return rows of `AT_BORDER` of all tubes; of a folder without them they are made of its gating figures."""
    folders = [run.folder / "samples" / sample for sample in samples]
    tables = [folder / f"{AT_BORDER.name}.csv" for folder in folders]
    found = [AT_BORDER.read(*kept)] if (kept := [table for table in tables if table.exists()]) else []
    for folder, table in zip(folders, tables, strict=True):
        if not table.exists() and (views := folder / "views.npz").exists():
            found.append(AT_BORDER.frame(list(border_rows(read_views(views)))))
    rows = pd.concat(found, ignore_index=True) if found else AT_BORDER.empty()
    return rows.assign(part=rows["part"].fillna(""))
