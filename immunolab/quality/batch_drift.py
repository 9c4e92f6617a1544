"""How bright landmark populations are, batch by batch: distances, and the batch at which a marker's level steps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.quality.landmarks import LEAST_LEVEL, compared, without_unions
from immunolab.quality.marker_steps import MarkerStep, marker_steps
from immunolab.quality.run_variation import MEDIAN_VARIANCE, MarkerRuns, RunVariation, light_on
from immunolab.schema.across_tubes import DRIFT
from immunolab.study.batch_order import batches_in_order

Array = NDArray[np.float64]

_ENOUGH_TUBES = 0.75  # share of a panel's tubes in which a population is even: fewer are a choice of tubes (judgement)
_ENOUGH_SERIES = 0.5  # of a panel's populations: a batch with fewer had tubes that failed, and is left out (judgement)
_MOST_SPREAD = 0.25  # asinh, between tubes of a batch: more, and the median follows what the patients have (judgement)
_LEAST_SPREAD = 0.02  # asinh, between tubes of a batch: no stain repeats itself better (judgement)
_DIGITS = 9  # decimals of a median: a table read back has the same ones, and so the same fit of the variances
_MAD_TO_SD = 1.4826  # sd of a normal over its median absolute deviation


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
    """One marker in one population over the batches, in order.

    Attributes
    ----------
    level, n
        ``(B,)`` median and tubes of each batch.
    spread
        sd between tubes of a batch.
    usual
        Median over all tubes.
    light
        As in `MarkerRuns`.
    """

    population: str
    marker: str
    level: Array
    n: NDArray[np.intp]
    spread: float
    usual: float
    light: Array

    @property
    def even(self) -> bool:
        """Whether the median may name a step: it is alike in all patients."""
        return self.spread <= _MOST_SPREAD


def drift_table(landmarks: pd.DataFrame, runs: Sequence[TubeRun]) -> pd.DataFrame:
    """Return rows of `DRIFT`: each panel's markers in its landmark populations, by batch.

    A step is named where it is larger than the batches of the panel differ from each other in the other markers, by how
    many there are, and makes cells a fifth brighter or dimmer. All populations of a marker are judged together.

    Parameters
    ----------
    landmarks
        Rows of `tables.LANDMARKS`.
    runs
        The tubes; those without a batch are left out.
    """
    rows: list[dict[str, object]] = []
    landmarks = landmarks.assign(median=landmarks["median"].round(_DIGITS))
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
    days: dict[str, list[float]] = {}
    for run in runs:
        days.setdefault(run.batch, []).extend([] if run.day is None else [float(run.day)])
    return batches_in_order({batch: min(of, default=None) for batch, of in days.items()})


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
    reasons = [_new_words(runs, batches, b) for b in range(len(batches))]
    steps, variation = _steps(series, reasons)
    days = {
        batch: min((r.day for r in runs if r.batch == batch and r.day is not None), default=None) for batch in batches
    }
    rows: list[dict[str, object]] = []
    for one in series:
        step = steps.get(one.marker)
        stained = one.usual >= LEAST_LEVEL or max(s.usual for s in series if s.marker == one.marker) < LEAST_LEVEL
        for b in map(int, np.flatnonzero(one.n)):
            change, error = _change(one, b, variation)
            here = step is not None and step.named and step.run == b and stained and one.even
            rows.append({
                "panel": panel, "population": one.population, "marker": one.marker, "batch": batches[b],
                "day": days[batches[b]], "n_samples": int(one.n[b]), "median": float(one.level[b]), "change": change,
                "spread": one.spread, "distance": change / error, "change_point": "yes" if here else "no",
                "step": step.step if here and step else None, "reason": ", ".join(reasons[b]) or None,
                "step_error": step.error if here and step else None,
                "detectable": step.detectable if step and np.isfinite(step.detectable) else None,
            })  # fmt: skip
    return rows


def _series(own: pd.DataFrame, batches: Sequence[str]) -> Iterator[_Series]:
    """Yield each marker in the landmarks and in its brightest population."""
    sizes = own.groupby("population")["n_events"].median().sort_values(ascending=False)
    known = compared(list(map(str, sizes.index)))
    usual = own.pivot_table(index="population", columns="marker", values="level", aggfunc="median")
    most = _ENOUGH_TUBES * own["sample_id"].nunique()
    for marker, rows in own.groupby("marker", sort=False):
        found = rows.groupby("population")["level"].agg(["median", "size"])
        found = found[found["size"] >= most]
        brightest = [str(found["median"].idxmax())] if len(found) else []
        light = light_on(usual.to_numpy(float), list(usual.columns).index(marker))
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
            place = list(usual.index).index(population)
            yield _Series(
                population,
                str(marker),
                level,
                n,
                max(spread, _LEAST_SPREAD),
                float(usual.iat[place, list(usual.columns).index(marker)]),
                light[place],
            )


def _steps(series: Sequence[_Series], reasons: Sequence[Sequence[str]]) -> tuple[dict[str, MarkerStep], RunVariation]:
    """Return each marker's step by the populations that all batches have, numbered as the batches are."""
    even = [one for one in series if one.even] or list(series)
    has = np.array([one.n > 0 for one in even])
    kept = np.flatnonzero(has.mean(axis=0) >= _ENOUGH_SERIES)
    whole = [one for one, there in zip(even, has, strict=True) if there[kept].all()]
    by_marker: dict[str, list[_Series]] = {}
    for one in whole:
        by_marker.setdefault(one.marker, []).append(one)
    for marker, own in by_marker.items():
        names = without_unions([one.population for one in own])
        by_marker[marker] = [one for one in own if one.population in names]
    markers = [
        MarkerRuns(
            marker,
            np.array([one.level[kept] for one in own]),
            np.array([one.usual for one in own]),
            np.array([one.light for one in own]),
            np.array([one.spread for one in own]),
        )
        for marker, own in by_marker.items()
    ]
    if len(kept) < 2 or not markers:
        return {}, RunVariation(_LEAST_SPREAD**2, 0.0, 0.0, 0.0)
    tubes = np.array([one.n[kept] for one in whole]).max(axis=0).astype(float)
    words = [sorted({w for b in range(before + 1, at + 1) for w in reasons[b]}) for before, at in pairwise(kept)]
    known = {k: [m for m in by_marker if any(_names(w, m) for w in new)] for k, new in enumerate(words, 1) if new}
    found, variation = marker_steps(markers, tubes, known)
    return {
        name: replace(step, run=None if step.run is None else int(kept[step.run])) for name, step in found.items()
    }, variation


def _names(word: str, marker: str) -> bool:
    """Whether a word of the sheet, such as ``lot CD25 B312``, names a marker."""
    return marker.casefold() in re.split(r"[\s,:;/_=]+", word.casefold())


def _change(one: _Series, b: int, variation: RunVariation) -> tuple[float, float]:
    """Return a batch's distance from the median of the others, and its standard error."""
    others = np.flatnonzero((one.n > 0) & (np.arange(len(one.n)) != b))
    change = float(one.level[b] - np.median(one.level[others]))
    between = variation.gain + variation.stretch * one.usual**2 + variation.left * float(one.light @ one.light)
    variance = (between + variation.alone) * (1.0 + MEDIAN_VARIANCE / len(others))
    variance += MEDIAN_VARIANCE * one.spread**2 * (1.0 / one.n[b] + 1.0 / one.n[others].sum())
    return change, float(np.sqrt(variance))


def _new_words(runs: Sequence[TubeRun], batches: Sequence[str], at: int) -> list[str]:
    """Return what else is new in this batch, against the batch before it; nothing for the first."""
    now, before = (
        {word for run in runs if run.batch == batches[b] for word in run.context} for b in (at, max(at - 1, 0))
    )
    return sorted(now - before)
