"""Whether tubes look like their patient's other visits: a swap of samples between patients is suspected and said.

Compared are shares of populations that differ between patients far more than between the visits of one (CD4 and CD8 of
CD3, naive and memory of each, B, NK). Which these are, and how far they move within a patient, is taken from the study
itself; what a treatment moves in all is taken off visit by visit, what it moves in some is spread within patients.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from immunolab.quality.identity_traits import (
    FEWEST_TRAITS,
    Array,
    Numbers,
    Traits,
    TubeOwner,
    robust_within,
    traits_of,
)
from immunolab.schema.across_tubes import IDENTITY

_FEWEST_DF = 4  # repeats of a patient, less patients: fewer do not say how far visits differ within one (judgement)
# sd of the logit within a patient beyond counting: T cells vary by "below 10 %" from day to day (Aziz 2019, as in
# vocabulary/within_person.yaml), taken in its middle and as if known from ten repeats; simulated studies find as many
# planted exchanges with .10 and four repeats (judgement)
_USUAL_SD, _USUAL_DF = 0.05, 10
# times the limit: pairs that are surer than this by the spread of all tubes are not weighed by that of the others; one
# of 61 simulated studies had a pair that fell by more than the limit itself (judgement)
_NEAR = 3.0
_FALSE_ALARM = 0.05  # share of sound studies in which an exchange may be suspected
_MOST_PATIENTS = 200  # that are compared with each other, in the order of the sheet (judgement: seconds of work)
_MOST_EXCHANGES = 10  # that are looked for in one panel: more, and the sheet as a whole is in doubt (judgement)
_LONE = "the patient has no other tube of this panel"
_ALONE = "no other patient has two tubes of this panel"
_UNCOUNTED = "the tube was not counted"
_FEW_TRAITS = f"{{}} shares set the patients apart, and {FEWEST_TRAITS} are needed"


@dataclass(frozen=True)
class _Exchange:
    """Two tubes of one visit, and the log likelihood ratio of their exchange."""

    first: int
    second: int
    log_odds: float


def identity_table(counts: pd.DataFrame, owners: Sequence[TubeOwner]) -> pd.DataFrame:
    """Return rows of `IDENTITY`: every tube beside its patient's other visits and beside all other patients.

    Parameters
    ----------
    counts
        Rows of `COUNTS`.
    owners
        The tubes, patients' own only. More than 200 patients are compared in equal parts, a patient's tubes in one.
    """
    rows: list[dict[str, object]] = []
    counted = set(counts["sample_id"].astype(str))
    for panel in dict.fromkeys(owner.panel for owner in owners):
        of_panel = [owner for owner in owners if owner.panel == panel]
        known = [owner for owner in of_panel if owner.sample_id in counted]
        visits = Counter(owner.patient_id for owner in known)
        own = [owner for owner in known if visits[owner.patient_id] > 1]
        why = {owner.sample_id: _LONE if owner.sample_id in counted else _UNCOUNTED for owner in of_panel}
        patients = np.array(list(dict.fromkeys(owner.patient_id for owner in own)))
        parts = np.array_split(patients, max(1, -(-len(patients) // _MOST_PATIENTS)))
        found: dict[str, dict[str, object]] = {}
        for names in map(set, parts):  # of large studies: the work goes with the square of the patients
            of_part = [owner for owner in own if owner.patient_id in names]
            traits, n_traits = traits_of(counts, of_part) if len(names) > 1 else (None, 0)
            if traits is None:
                text = _FEW_TRAITS.format(n_traits) if len(names) > 1 else _ALONE
                why |= {owner.sample_id: text for owner in of_part}
                continue
            elsewhere = Counter(owner.visit for owner in of_panel if owner.patient_id not in names)
            limit = _limit(traits) + float(np.log(len(parts)))
            found |= {str(row["sample_id"]): row for row in _rows(traits, of_part, limit, elsewhere)}
        rows += [
            found.get(owner.sample_id) or _not_assessed(owner, of_panel, why[owner.sample_id]) for owner in of_panel
        ]
    return IDENTITY.frame(rows)


def _not_assessed(owner: TubeOwner, of_panel: Sequence[TubeOwner], why: str) -> dict[str, object]:
    """Return the row of a tube that was not compared: it could be exchanged with any other patient's of the visit."""
    others = [one for one in of_panel if one.visit == owner.visit and one.patient_id != owner.patient_id]
    return {
        **vars(owner), "n_traits": 0, "n_alike": len(others), "suspected": "not assessed",
        "message": f"not assessed: {why}",
    }  # fmt: skip


def _rows(
    traits: Traits, owners: Sequence[TubeOwner], limit: float, elsewhere: Counter[str]
) -> Iterator[dict[str, object]]:
    """Yield rows of `IDENTITY`; ``elsewhere`` are tubes by visit that were not compared, so that no exchange shows."""
    found, now = [], traits
    for _ in range(_MOST_EXCHANGES):  # the likeliest is undone before the next is looked for
        best = max(_exchanges(now), key=lambda one: one.log_odds, default=None)
        if best is None or best.log_odds <= limit:
            break
        found.append(best)
        patient = now.patient.copy()
        patient[[best.first, best.second]] = patient[[best.second, best.first]]
        now = replace(now, patient=patient)
    alike = _n_alike(now, limit)
    odds = np.full(len(owners), np.nan)
    for one in _exchanges(traits):
        odds[[one.first, one.second]] = np.fmax(odds[[one.first, one.second]], one.log_odds)
    names = {int(p): owner.patient_id for p, owner in zip(traits.patient, owners, strict=True)}
    for t, owner in enumerate(owners):
        own, nearest, least = _nearest(traits, t)
        suspected = next((one for one in found if _concerns(one, t, traits)), None)
        yield {
            **vars(owner),
            "n_traits": traits.values.shape[1],
            "distance": own,
            "nearest_patient": names[nearest] if nearest is not None else None,
            "nearest_distance": least,
            "log_odds": odds[t],
            "limit": limit,
            "n_alike": int(alike[t]) + elsewhere[owner.visit],
            "suspected": "yes" if suspected else "no",
            "message": _message(suspected, t, traits, owners) if suspected else None,
        }


def _limit(traits: Traits) -> float:
    """Return the log likelihood ratio that some exchange of a sound study passes in at most 5 % of such studies.

    Where nothing is exchanged a likelihood ratio passes ``k`` with a chance of at most ``1 / k`` (Markov; Royall 1997),
    however alike two patients are: each of the exchanges that are looked at has its part of the 5 %.
    """
    n_visits = np.bincount(traits.patient)
    n_visits = n_visits[n_visits > 0]
    first, second = np.triu_indices(len(n_visits), 1)
    fewer = np.minimum(n_visits[first], n_visits[second])
    looked_at = int(np.where(fewer == 2, 1, fewer).sum())  # of two visits either exchange parts the tubes alike
    return float(np.log(max(looked_at, 1) / _FALSE_ALARM))


def _n_alike(traits: Traits, limit: float) -> Numbers:
    """Return for each tube how many others of its visit it could be exchanged with and not be found.

    Of an exchange that was made, the log ratio is that of the sound tubes with its sign turned: those whose own places
    are not better by the limit would stay below it.
    """
    covariance, df = _within(traits, np.array([], dtype=np.intp))
    whiten = np.linalg.cholesky(np.linalg.inv(covariance))
    white, p = traits.values @ whiten, traits.values.shape[1]
    alike = np.zeros(len(white), dtype=np.intp)
    for visit in np.unique(traits.visit):
        tubes = np.flatnonzero(traits.visit == visit)
        others = [(traits.patient == traits.patient[t]) & (np.arange(len(white)) != t) for t in tubes]
        means = np.array([white[own].mean(axis=0) for own in others])
        widths = 1.0 + 1.0 / np.array([own.sum() for own in others])
        square = ((white[tubes][:, None] - means[None]) ** 2).sum(axis=2) / widths  # tube i from the patient of tube j
        density = -(df + p) / 2.0 * np.log1p(square / df)
        own = np.diag(density)
        better = own[:, None] + own[None] - density - density.T
        different = traits.patient[tubes][:, None] != traits.patient[tubes][None]
        # tubes that had a say in the spread look surer: near ones are weighed by the spread of all others
        for i, j in zip(*np.nonzero(np.triu((better < _NEAR * limit) & different, 1)), strict=True):
            pair = tubes[[i, j]]
            alike[pair] += _log_odds(traits, int(pair[0]), int(pair[1])) > -limit
    return alike


def _concerns(one: _Exchange, t: int, traits: Traits) -> bool:
    """Whether a tube is one of the exchanged ones; with two visits of a patient, either may be."""
    for exchanged in (one.first, one.second):
        if t == exchanged:
            return True
        if traits.patient[t] == traits.patient[exchanged] and (traits.patient == traits.patient[t]).sum() == 2:
            return True
    return False


def _message(one: _Exchange, t: int, traits: Traits, owners: Sequence[TubeOwner]) -> str:
    mine = one.first if traits.patient[one.first] == traits.patient[t] else one.second
    theirs = one.second if mine == one.first else one.first
    either = (traits.patient == traits.patient[t]).sum() == 2
    which = "one of its two visits" if either else f"visit {owners[mine].visit}"
    return (
        f"{which} may be exchanged with {owners[theirs].patient_id}'s: shares that hardly move within a patient are "
        f"those of {owners[theirs].patient_id}"
    )


def _nearest(traits: Traits, t: int) -> tuple[float, int | None, float]:
    """Return a tube's distance from its patient's other tubes, the nearest other patient, and the distance from it."""
    covariance, _ = _within(traits, np.array([t]))
    inverse: Array = np.asarray(np.linalg.inv(covariance), dtype=np.float64)
    distance = {int(p): np.sqrt(_square(traits, t, int(p), inverse)) for p in np.unique(traits.patient)}
    own = distance.pop(int(traits.patient[t]))
    nearest = min(distance, key=lambda p: distance[p], default=None)
    return float(own), nearest, float(distance[nearest]) if nearest is not None else np.nan


def _within(traits: Traits, without: Numbers) -> tuple[Array, int]:
    """Return the covariance within patients of the other tubes, drawn to its diagonal, and its degrees of freedom."""
    rest = np.setdiff1d(np.arange(len(traits.patient)), without)
    repeats = np.isin(traits.patient[rest], np.flatnonzero(np.bincount(traits.patient[rest]) > 1))
    rest = rest[repeats]
    values, patient = traits.values[rest], traits.patient[rest]
    df = len(rest) - len(np.unique(patient))
    p = values.shape[1]
    total = np.zeros((p, p))
    for one in np.unique(patient):
        centred = values[patient == one] - values[patient == one].mean(axis=0)
        total += centred.T @ centred
    usual = traits.least_variance + _USUAL_SD**2
    total += _USUAL_DF * np.diag(usual)
    df += _USUAL_DF
    sample = total / df
    weight = p / (p + df)  # as df grows the covariances are trusted
    covariance = (1 - weight) * sample + weight * np.diag(np.diag(sample))
    covariance[np.diag_indices(p)] = np.maximum(np.diag(covariance), traits.least_variance)
    return covariance, df


def _square(traits: Traits, t: int, patient: int, inverse: Array) -> float:
    """Return the squared distance of a tube from a patient's other tubes, a trait."""
    others = np.flatnonzero(traits.patient == patient)
    others = others[others != t]
    if not others.size:
        return np.nan
    apart = traits.values[t] - traits.values[others].mean(axis=0)
    return float(apart @ inverse @ apart / (1.0 + 1.0 / others.size) / len(apart))


def _exchanges(traits: Traits) -> Iterator[_Exchange]:
    """Yield every exchange of two patients' tubes at one visit that would bring both nearer to their patients."""
    white = traits.values / robust_within(traits)  # an exchange has little say in it
    for visit in np.unique(traits.visit):
        tubes = np.flatnonzero(traits.visit == visit)
        means = np.array(
            [white[(traits.patient == traits.patient[t]) & (np.arange(len(white)) != t)].mean(0) for t in tubes]
        )
        away = ((white[tubes][:, None] - means[None]) ** 2).sum(axis=2)  # tube i from the patient of tube j
        own = np.diag(away)
        nearer = own[:, None] + own[None] - away - away.T
        for i, j in zip(*np.nonzero(np.triu(nearer > 0, 1)), strict=True):
            first, second = int(tubes[i]), int(tubes[j])
            if traits.patient[first] != traits.patient[second]:
                yield _Exchange(first, second, _log_odds(traits, first, second))


def _log_odds(traits: Traits, first: int, second: int) -> float:
    """Return the log likelihood ratio of an exchange; distances are by all other tubes, their tails those of a t."""
    covariance, df = _within(traits, np.array([first, second]))
    if df < _FEWEST_DF + _USUAL_DF:
        return 0.0
    inverse, p = np.linalg.inv(covariance), traits.values.shape[1]

    def log_density(t: int, patient: int) -> float:
        others = [i for i in np.flatnonzero(traits.patient == patient) if i not in (first, second)]
        if not others:
            return 0.0
        apart = traits.values[t] - traits.values[others].mean(axis=0)
        square = float(apart @ inverse @ apart) / (1.0 + 1.0 / len(others))
        return -(df + p) / 2.0 * float(np.log1p(square / df))

    mine, theirs = int(traits.patient[first]), int(traits.patient[second])
    exchanged = log_density(first, theirs) + log_density(second, mine)
    return exchanged - log_density(first, mine) - log_density(second, theirs)
