"""The shares that set the patients of a study apart, by which tubes are seen to be of one patient, or of two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]
Numbers = NDArray[np.intp]

# median events of a population and of the rest of its parent, as flag below_lod (Flores-Montero 2017)
_FEWEST_EVENTS = 20
_LEAST_RATIO = 1.5  # sd between patients over that within, of a trait: less does not set patients apart (judgement)
_MOST_TRAITS = 12  # more are repeats of the same few lineages in the panels of the shipped strategies (judgement)
# of two traits over the tubes and within patients: above, the second says what the first does (judgement)
_MOST_CORRELATION = 0.9
FEWEST_TRAITS = 3
"""Shares that set the patients of a panel apart, at least: fewer tell no two of them apart (judgement)."""
_MAD_TO_SD = 1.4826  # sd of a normal over its median absolute deviation


@dataclass(frozen=True)
class TubeOwner:
    """Whose a tube is by the sheet."""

    sample_id: str
    patient_id: str
    visit: str
    panel: str = ""


@dataclass(frozen=True)
class Traits:
    """Traits of the tubes of one panel.

    Attributes
    ----------
    values
        Tubes x traits: logits, the visit's median taken off.
    least_variance
        Of each trait, by counting alone.
    patient, visit
        Number of each tube's patient and visit.
    """

    values: Array
    least_variance: Array
    patient: Numbers
    visit: Numbers


def traits_of(counts: pd.DataFrame, owners: Sequence[TubeOwner]) -> tuple[Traits | None, int]:
    """Return the traits that set the patients of a panel apart, None where there are too few, and their number.

    Parameters
    ----------
    counts
        Rows of `COUNTS`; every tube has some.
    owners
        The tubes of one panel.
    """
    ids = [owner.sample_id for owner in owners]
    own = counts[counts["sample_id"].isin(ids) & (counts["path"] != "/")]
    if own.empty:
        return None, 0
    n, of = (
        own.pivot(index="sample_id", columns="path", values=name).reindex(ids) for name in ("n_events", "n_parent")
    )
    n, of = n.astype(float), of.astype(float)
    n, of = n.loc[:, n.notna().all()], of.loc[:, n.notna().all()]
    fewer = np.minimum(n, of - n)
    kept = fewer.columns[fewer.median() >= _FEWEST_EVENTS]
    if not len(kept):
        return None, 0
    inside, outside = n[kept].to_numpy() + 0.5, (of[kept] - n[kept]).to_numpy() + 0.5
    visit = pd.factorize(pd.Series([owner.visit for owner in owners]))[0]
    values = np.log(inside / outside)
    for number in np.unique(visit):
        values[visit == number] -= np.median(values[visit == number], axis=0)
    least = np.median(1.0 / inside + 1.0 / outside, axis=0)
    patient = pd.factorize(pd.Series([owner.patient_id for owner in owners]))[0]
    chosen = _chosen(Traits(values, least, patient, visit))
    if len(chosen) < FEWEST_TRAITS:
        return None, len(chosen)
    return Traits(values[:, chosen], least[chosen], patient, visit), len(chosen)


def _chosen(traits: Traits) -> list[int]:
    """Return traits by how far they set patients apart, none of which repeats another."""
    patients = np.unique(traits.patient)
    means = np.array([traits.values[traits.patient == p].mean(axis=0) for p in patients])
    within = robust_within(traits)
    between = _MAD_TO_SD * np.median(np.abs(means - np.median(means, axis=0)), axis=0)
    ratio = between / within
    # of two patients all traits go together between them, of an exchange within: a repeat does so in both
    residual = _residuals(traits.values, traits.patient)
    correlation = np.minimum(_correlations(traits.values - traits.values.mean(axis=0)), _correlations(residual))
    found: list[int] = []
    for trait in np.argsort(-ratio, kind="stable"):
        repeats = any(correlation[trait, other] > _MOST_CORRELATION for other in found)
        if ratio[trait] >= _LEAST_RATIO and not repeats and len(found) < _MOST_TRAITS:
            found.append(int(trait))
    return found


def _correlations(centred: Array) -> Array:
    """Return absolute correlations of columns; 0 of one that does not vary."""
    scaled = centred / np.maximum(np.linalg.norm(centred, axis=0), 1e-12)
    return np.asarray(np.abs(scaled.T @ scaled))


def robust_within(traits: Traits) -> Array:
    """Return the sd within patients of each trait, at least that of counting, as if few tubes were exchanged.

    Parameters
    ----------
    traits
        Of the tubes of one panel.
    """
    residual = _residuals(traits.values, traits.patient)
    return np.sqrt(np.maximum((_MAD_TO_SD * np.median(np.abs(residual), axis=0)) ** 2, traits.least_variance))


def _residuals(values: Array, patient: Numbers) -> Array:
    """Return tubes less their patient's mean, scaled so that their variance is that within patients."""
    residual = np.zeros_like(values)
    for p in np.unique(patient):
        own = patient == p
        residual[own] = (values[own] - values[own].mean(axis=0)) * np.sqrt(own.sum() / (own.sum() - 1))
    return residual
