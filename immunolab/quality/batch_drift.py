"""How bright landmark populations are, batch by batch: distances, and the batch at which a marker's level steps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.schema.across_tubes import DRIFT

Array = NDArray[np.float64]

LANDMARKS = ("lymphocytes", "CD3", "CD4", "CD8", "B", "NK", "CD4_naive", "CD4_mem", "CD8_naive")
"""Populations that every blood has and that gates find by lineage; a marker's brightest one is looked at besides."""
_ENOUGH_TUBES = 0.75  # share of a panel's tubes in which a population is even: fewer are a choice of tubes (judgement)
_MOST_POPULATIONS = 5  # taken by size where a strategy has none of the landmarks' names
_FALSE_ALARM = 0.05  # share of sound panels in which a step may be named
_LEAST_STEP = 0.2  # asinh: a fifth brighter or dimmer; less is not worth a manager's morning (judgement)
_MOST_SPREAD = 0.25  # asinh, between tubes of a batch: more, and the median follows what the patients have (judgement)
_MANY_BATCHES = 5  # of so many, one that differs alone at either end is no step: its distance says so (judgement)
# of so many, two that differ at one end are none either: two odd batches of six lie together at an end by chance in one
# of eight orders, three of seven in one of 18; six of eight false steps of 95 sound studies were such
_MORE_BATCHES = 6
_FEWEST_TUBES = 3  # on either side of a step: the median of fewer is one patient's (judgement)
_LEAST_SPREAD = 0.02  # asinh, between tubes and between batches: no stain repeats itself better (judgement)
_MAD_TO_SD = 1.4826  # sd of a normal over its median absolute deviation
_MAD_EFFICIENCY = 0.37  # of a median absolute deviation against the sd, of normal values: as many fewer values
_MEDIAN_VARIANCE = 1.5708  # variance of a median over that of a mean, pi / 2


@dataclass(frozen=True)
class TubeRun:
    """The run that a tube was stained and acquired in.

    Attributes
    ----------
    batch
        Of the sheet, or cytometer and day.
    day
        Counted from the study's first tube; None where it is not known.
    context
        What else may change with a batch, in words: ``lot L2``.
    """

    sample_id: str
    panel: str
    batch: str
    day: int | None = None
    context: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Series:
    """One marker in one population over the batches, in order: medians, tubes, and the spread between tubes."""

    population: str
    marker: str
    level: Array
    n: NDArray[np.intp]
    spread: float

    @property
    def even(self) -> bool:
        """Whether the median may name a step: it is alike in all patients."""
        return self.spread <= _MOST_SPREAD


def drift_table(landmarks: pd.DataFrame, runs: Sequence[TubeRun]) -> pd.DataFrame:
    """Return rows of `DRIFT`: each panel's markers in its landmark populations, by batch.

    A step is named where it is larger than the batches of the panel differ from each other in all markers, by how
    many there are, and makes cells a fifth brighter or dimmer.

    Parameters
    ----------
    landmarks
        Rows of `tables.LANDMARKS`.
    runs
        The tubes; those without a batch are left out.
    """
    rows: list[dict[str, object]] = []
    for panel in dict.fromkeys(run.panel for run in runs):
        own = [run for run in runs if run.panel == panel and run.batch]
        batches = _in_order(own)
        if len(batches) > 1:
            rows += _panel_rows(panel, landmarks, own, batches)
    return DRIFT.frame(rows)


def drift_sentences(drift: pd.DataFrame) -> list[str]:
    """Return each step of a marker's level in words, the largest population's.

    Parameters
    ----------
    drift
        Rows of `DRIFT`.
    """
    steps = drift[drift["change_point"] == "yes"]
    found = []
    for (panel, marker), rows in steps.groupby(["panel", "marker"], sort=False, dropna=False):
        row = rows.loc[rows["step"].abs().idxmax()]
        where = f"{panel}: " if pd.notna(panel) and panel else ""
        factor = float(np.exp(abs(float(row["step"]))))
        way = "brighter" if float(row["step"]) > 0 else "dimmer"
        day = f" (day {int(row['day'])})" if pd.notna(row["day"]) else ""
        why = f"; {row['reason']}" if pd.notna(row["reason"]) else "; nothing in sheet or headers changed with it"
        found.append(
            f"{where}{marker} is {factor:.2g} times {way} from batch {row['batch']}{day} on, in {len(rows)} "
            f"population{'s' if len(rows) > 1 else ''} ({', '.join(map(str, rows['population']))}){why}"
        )
    return found


def _in_order(runs: Sequence[TubeRun]) -> list[str]:
    """Return batches by the day of their first tube; by the numbers in their names where a day is not known."""
    first: dict[str, float] = {}
    for run in runs:
        day = np.inf if run.day is None else float(run.day)
        first[run.batch] = min(first.get(run.batch, np.inf), day)
    known = all(np.isfinite(day) for day in first.values())

    def place(batch: str) -> tuple[float, list[tuple[int, str]]]:
        parts = [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", batch)]
        return (first[batch] if known else 0.0), parts

    return sorted(first, key=place)


def _panel_rows(
    panel: str, landmarks: pd.DataFrame, runs: Sequence[TubeRun], batches: Sequence[str]
) -> list[dict[str, object]]:
    by_tube = {run.sample_id: run for run in runs}
    own = landmarks[landmarks["sample_id"].isin(by_tube)]
    own = own.assign(
        level=own["median"].astype(float),
        batch=own["sample_id"].map({name: run.batch for name, run in by_tube.items()}),
    )
    series = list(_series(own, batches))
    if not series:
        return []
    even = [one for one in series if one.even]
    between = _between(even or series)
    limit = _limit(even or series)
    days = {
        batch: min((r.day for r in runs if r.batch == batch and r.day is not None), default=None) for batch in batches
    }
    rows: list[dict[str, object]] = []
    for one in series:
        at, step, z = _step(one, between)
        named = one.even and abs(z) > limit and abs(step) >= _LEAST_STEP
        for b in map(int, np.flatnonzero(one.n)):
            change, error = _change(one, b, between)
            here = bool(named and b == at)
            rows.append({
                "panel": panel, "population": one.population, "marker": one.marker, "batch": batches[b],
                "day": days[batches[b]], "n_samples": int(one.n[b]), "median": float(one.level[b]), "change": change,
                "spread": one.spread, "distance": change / error, "change_point": "yes" if here else "no",
                "step": step if here else None, "reason": _reason(runs, batches, b),
            })  # fmt: skip
    return rows


def _series(own: pd.DataFrame, batches: Sequence[str]) -> Iterator[_Series]:
    """Yield each marker in the landmarks and in its brightest population."""
    sizes = own.groupby("population")["n_events"].median().sort_values(ascending=False)
    known = [name for name in LANDMARKS if name in sizes.index] or list(sizes.index[:_MOST_POPULATIONS])
    most = _ENOUGH_TUBES * own["sample_id"].nunique()
    for marker, rows in own.groupby("marker", sort=False):
        found = rows.groupby("population")["level"].agg(["median", "size"])
        found = found[found["size"] >= most]
        brightest = [str(found["median"].idxmax())] if len(found) else []
        for population in dict.fromkeys([*(name for name in known if name in found.index), *brightest]):
            some = rows[rows["population"] == population]
            grouped = some.groupby("batch")["level"]
            level = grouped.median().reindex(batches).to_numpy(float)
            n = grouped.size().reindex(batches, fill_value=0).to_numpy(np.intp)
            if (n > 0).sum() < 2:
                continue
            rest = some["level"] - some["batch"].map(grouped.median())
            shared = some["batch"].map(grouped.size()) > 1
            # residuals from a median of n are small by sqrt((n - 1) / n)
            size = some["batch"].map(grouped.size()).astype(float)
            scaled = (rest * np.sqrt(size / (size - 1).clip(lower=1)))[shared]
            spread = _MAD_TO_SD * float(np.median(np.abs(scaled))) if len(scaled) else _LEAST_SPREAD
            yield _Series(population, str(marker), level, n, max(spread, _LEAST_SPREAD))


def _tube_variance(one: _Series, batches: Array | NDArray[np.bool_]) -> float:
    return _MEDIAN_VARIANCE * one.spread**2 / float(one.n[batches].sum())


def _between(series: Sequence[_Series]) -> float:
    """Return the usual sd of a marker's level between batches, beyond that of tubes, over all markers."""
    squares, noise = [], []
    for one in series:
        present = one.n > 0
        count = int(present.sum())
        apart = one.level[present] - np.median(one.level[present])
        squares += list(np.abs(apart) * np.sqrt(count / (count - 1)))
        noise.append(float(np.mean(_MEDIAN_VARIANCE * one.spread**2 / one.n[present])))
    total = (_MAD_TO_SD * float(np.median(squares))) ** 2
    return float(np.sqrt(max(total - float(np.median(noise)), _LEAST_SPREAD**2)))


def _limit(series: Sequence[_Series]) -> float:
    """Return how many standard errors a step must have, by the numbers of markers, batches and places for it."""
    from scipy.special import stdtrit

    markers = len({one.marker for one in series})
    places = max(int((one.n > 0).sum()) - 1 for one in series)
    df = max(_MAD_EFFICIENCY * markers * places, 1.0)
    return float(-stdtrit(df, _FALSE_ALARM / (2.0 * markers * places)))


def _step(one: _Series, between: float) -> tuple[int, float, float]:
    """Return the batch at which the level steps most, by how much, and that in standard errors."""
    present = np.flatnonzero(one.n)
    best = (int(present[1]), 0.0, 0.0)
    least = 1 + (len(present) >= _MANY_BATCHES) + (len(present) >= _MORE_BATCHES)
    for k in range(least, len(present) - least + 1):
        before, after = present[:k], present[k:]
        if min(one.n[before].sum(), one.n[after].sum()) < _FEWEST_TUBES:
            continue
        means = [float(np.average(one.level[s], weights=_weights(one, s, between))) for s in (before, after)]
        rest = np.concatenate([one.level[s] - mean for s, mean in zip((before, after), means, strict=True)])
        own = float(np.sqrt((rest**2).sum() / max(len(present) - 2, 1)))  # a marker may differ more than others do
        step, apart = means[1] - means[0], max(between, own)
        error = np.sqrt(sum(1.0 / _weights(one, side, apart).sum() for side in (before, after)))
        if abs(step / error) > abs(best[2]):
            best = int(after[0]), step, float(step / error)
    return best


def _weights(one: _Series, batches: NDArray[np.intp], between: float) -> Array:
    return np.asarray(1.0 / (between**2 + _MEDIAN_VARIANCE * one.spread**2 / one.n[batches]))


def _change(one: _Series, b: int, between: float) -> tuple[float, float]:
    """Return a batch's distance from the median of the others, and its standard error."""
    others = np.flatnonzero((one.n > 0) & (np.arange(len(one.n)) != b))
    change = float(one.level[b] - np.median(one.level[others]))
    variance = between**2 * (1.0 + _MEDIAN_VARIANCE / len(others))
    variance += _MEDIAN_VARIANCE * one.spread**2 * (1.0 / one.n[b] + 1.0 / one.n[others].sum())
    return change, float(np.sqrt(variance))


def _reason(runs: Sequence[TubeRun], batches: Sequence[str], at: int) -> str | None:
    """Return what else is new in this batch, against the batch before it."""
    now, before = (
        {word for run in runs if run.batch == batches[b] for word in run.context} for b in (at, max(at - 1, 0))
    )
    return ", ".join(sorted(now - before)) or None
