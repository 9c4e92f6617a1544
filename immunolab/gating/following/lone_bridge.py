"""Whether one tube of a bridging control is unlike others: its other batches and the patients of all of them say so.

With three batches and more each tube of the material is compared with all others at once. Where the channels of a batch
are comes from all patients' tubes together, their visits and persons taken out (least squares on patient, batch and
visit), so that it is surer than two batches alone. Where visits are batches, nothing can be said.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from immunolab.gating.following.bridge_checks import TOLERANCE, LandmarkMove, LandmarkPlaces, chance_limit, usual_of
from immunolab.gating.method_results import Array

_FEWEST_BATCHES = 3  # of two tubes that differ neither is known to be the wrong one
_FEWEST_DF = 3  # of the patients' residuals (judgement)
_ESTIMABLE = 1e-6  # share of a contrast that the tubes may leave open: rounding


def lone_tubes(
    bridges: Mapping[str, LandmarkPlaces], patients: Mapping[str, Sequence[LandmarkPlaces]], markers: Sequence[str]
) -> dict[str, dict[str, str]]:
    """Return batch -> marker -> why the bridge's tube of it is unlike others; the furthest is left out for the next.

    Parameters
    ----------
    bridges
        The material's tube of each batch.
    patients
        Patients' tubes of each batch.
    markers
        Those that borders are on.
    """
    levels = _Levels(tuple(bridges), [(batch, one) for batch, of in patients.items() for one in of])
    found: dict[str, dict[str, str]] = {}
    held = dict(bridges)
    while len(held) >= _FEWEST_BATCHES:
        said = {batch: _statements(batch, held, levels) for batch in held}
        usual = usual_of([of for own in said.values() for of in own.values()])
        far = {batch: list(_far(own, usual, markers)) for batch, own in said.items()}
        furthest = max(far, key=lambda batch: max((ratio for ratio, _, _ in far[batch]), default=0.0))
        if not far[furthest]:
            break
        found[furthest] = {marker: f"{text} (batch {furthest})" for _, marker, text in far[furthest]}
        del held[furthest]
    return found


def _far(
    said: Mapping[str, Mapping[str, LandmarkMove]], usual: float, markers: Sequence[str]
) -> Iterator[tuple[float, str, str]]:
    """Yield how many times the limit a marker is off, the marker, and that in words."""
    for marker in markers:
        of = said.get(marker, {})
        least = TOLERANCE * min((one.spread for one in of.values()), default=0.0)  # of one cloud, not of two together
        limits = {n: max(least, chance_limit(one, usual, len(markers) * len(of)) * one.spread) for n, one in of.items()}
        ratios = {name: abs(one.apart) / limits[name] for name, one in of.items()}
        name = max(ratios, key=lambda one: ratios[one], default="")
        if name and ratios[name] > 1.0:
            text = (
                f"{marker} of {name} is {of[name].apart:+.2f} from where the material's other batches and the tubes of "
                f"{of[name].n} patients have it: this tube alone was mis-stained"
            )
            yield ratios[name], marker, text


def _statements(batch: str, held: Mapping[str, LandmarkPlaces], levels: _Levels) -> dict[str, dict[str, LandmarkMove]]:
    """Return marker -> landmark -> how far a batch is from the others in the bridge and in the patients' tubes."""
    found: dict[str, dict[str, LandmarkMove]] = {}
    for key, (middle, _, _) in held[batch].of.items():
        others = {name: one.of[key] for name, one in held.items() if name != batch and key in one.of}
        if len(others) < _FEWEST_BATCHES - 1:
            continue
        moved = levels.contrast(key, batch, list(others))
        spread = float(np.median([one[1] for one in others.values()]))
        if moved is None or not spread > 0:
            continue
        move, sd, n, df = moved
        own = middle - float(np.mean([one[0] for one in others.values()]))
        found.setdefault(key[1], {})[key[0]] = LandmarkMove(move, sd, n, df, spread, own - move)
    return found


@dataclass
class _Levels:
    """Where each batch is on a landmark's channel, by the patients' tubes.

    Attributes
    ----------
    batches
        Of the bridging control.
    tubes
        Batch and tube, of every patient.
    """

    batches: tuple[str, ...]
    tubes: Sequence[tuple[str, LandmarkPlaces]]
    _fitted: dict[tuple[str, str], tuple[Array, Array, float, int, float] | None] = field(default_factory=dict)

    def contrast(
        self, key: tuple[str, str], batch: str, others: Sequence[str]
    ) -> tuple[float, float, int, float] | None:
        """Return a batch less the mean of others, its sd for one more tube of each, patients and degrees of freedom."""
        if key not in self._fitted:
            self._fitted[key] = self._fit(key)
        fitted = self._fitted[key]
        if fitted is None:
            return None
        coefficients, inverse, variance, n, df = fitted
        wanted = np.zeros(len(coefficients))
        wanted[self.batches.index(batch)] = 1.0
        wanted[[self.batches.index(name) for name in others]] = -1.0 / len(others)
        known = wanted @ inverse @ np.linalg.pinv(inverse)
        if np.abs(known - wanted).max() > _ESTIMABLE:
            return None
        spread = variance * (1.0 + 1.0 / len(others) + float(wanted @ inverse @ wanted))
        return float(wanted @ coefficients), math.sqrt(spread), n, df

    def _fit(self, key: tuple[str, str]) -> tuple[Array, Array, float, int, float] | None:
        """Return levels of batches and visits within patients, (X'X)^-1, residual variance, patients and df."""
        rows = [(batch, one) for batch, one in self.tubes if key in one.of and batch in self.batches]
        if not rows:
            return None
        visits = sorted({one.visit for _, one in rows})
        persons = sorted({one.patient for _, one in rows})
        design = np.zeros((len(rows), len(self.batches) + len(visits)))
        for i, (batch, one) in enumerate(rows):
            design[i, self.batches.index(batch)] = design[i, len(self.batches) + visits.index(one.visit)] = 1.0
        values = np.array([one.of[key][0] for _, one in rows])
        of = np.array([persons.index(one.patient) for _, one in rows])
        sizes = np.bincount(of).astype(np.float64)
        values = values - (np.bincount(of, weights=values) / sizes)[of]
        means = np.zeros((len(persons), design.shape[1]))
        np.add.at(means, of, design)
        design = design - (means / sizes[:, None])[of]
        inverse = np.linalg.pinv(design.T @ design, hermitian=True)
        df = len(rows) - len(persons) - int(np.linalg.matrix_rank(design))
        if df < _FEWEST_DF:
            return None
        coefficients = inverse @ design.T @ values
        residual = float(((values - design @ coefficients) ** 2).sum()) / df
        return coefficients, inverse, residual, len(persons), float(df)
