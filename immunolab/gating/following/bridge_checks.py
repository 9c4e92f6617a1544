"""Whether a bridging control may be believed: against itself, and against the patients' tubes of its batches.

A bridge that drifted alone, was mis-stained or is another donor would move every patient's borders to a wrong place.
So what it says of a channel is compared with what the patients' tubes of both batches say, at landmark populations that
treatment hardly touches; its landmarks with each other; and its cells with those of the same material before.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

LANDMARKS = ("CD4_naive", "CD8_naive", "CD8", "CD4", "B", "NK", "CD3", "lymphocytes", "T_cells", "small")
"""Populations whose places are compared: lineages and naive cells, which are many and change little."""
# greatest distance of two statements on a channel's move, share of the landmark's spread: a border moved by so much
# changes a share of a tenth by a sixth or so (judgement, before any seed was looked at)
TOLERANCE = 0.3
_SURE = 0.005  # two-sided probability below which a distance is no chance, over a batch's channels (judgement)
_BLIND = 1.0  # distance that the patients' tubes must be able to see, share of the spread (judgement)
_FEWEST = 3  # patients' tubes on either side, for a distance to have an error (judgement)
_BORROWED = 10.0  # degrees of freedom that the channel's sd borrows from all landmarks' (judgement: few patients)
_GONE = 0.5  # of the height of the brightest cells elsewhere: treatment changes it by a fifth or so (judgement)
_TUBE = 0.1  # sd between two tubes of one blood, share of the spread, where no patient is in both batches (judgement)
# identity: sd of the log odds of a share between two runs of one material, and between two persons, where the study
# itself does not say (judgement; persons: vocabulary ranges)
_REPEATED, _PERSONS = 0.15, 0.6
_LEAST_EVIDENCE = 0.0  # log odds from which another donor is believed: refusing costs less (seeds 9200 to 9207)
_MOST_EVIDENCE = 5.0  # log odds that one share can give: its gate may have failed (judgement)
_LEAST_REPEATED = 0.1  # log odds: no share repeats itself better in another batch (judgement)


@dataclass(frozen=True)
class LandmarkMove:
    """What patients' tubes say about a landmark's move on a channel.

    Attributes
    ----------
    move, sd
        Mean over patients, and what one more tube would differ from it by; display scale.
    n, df
        Patients' tubes, and degrees of freedom of ``sd``.
    spread
        Robust sd of the landmark's events in the bridge.
    apart
        Move of the bridge less ``move``.
    """

    move: float
    sd: float
    n: int
    df: float
    spread: float
    apart: float


@dataclass(frozen=True)
class LandmarkPlaces:
    """Where the landmarks of a tube are.

    Attributes
    ----------
    patient, visit
        Whose tube it is, and when.
    of
        (landmark, marker) -> median, spread and events.
    heights
        (landmark, marker) -> how far the brightest cells are above the median, display scale.
    """

    patient: str
    of: Mapping[tuple[str, str], tuple[float, float, int]]
    visit: str = ""
    heights: Mapping[tuple[str, str], float] = field(default_factory=dict)


def statements(
    bridge: tuple[LandmarkPlaces, LandmarkPlaces], patients: tuple[Sequence[LandmarkPlaces], Sequence[LandmarkPlaces]]
) -> dict[str, dict[str, LandmarkMove]]:
    """Return marker -> landmark -> what the patients' tubes of two batches say beside the bridge.

    Parameters
    ----------
    bridge
        The bridge's tube in either batch.
    patients
        Tubes of either batch.
    """
    found: dict[str, dict[str, LandmarkMove]] = {}
    for key, (middle, spread, _) in bridge[0].of.items():
        said = _moved(*patients, key) if key in bridge[1].of and spread > 0 else None
        if said is not None:
            move, sd, n, df = said
            own = bridge[1].of[key][0] - middle
            found.setdefault(key[1], {})[key[0]] = LandmarkMove(move, sd, n, df, spread, own - move)
    return found


def _moved(
    before: Sequence[LandmarkPlaces], after: Sequence[LandmarkPlaces], key: tuple[str, str]
) -> tuple[float, float, int, float] | None:
    """Return how far patients' tubes moved at a landmark, its sd for one more tube, tubes and degrees of freedom.

    Patients with tubes in both batches say so by themselves; without three of them, the means of the batches do.
    """
    first, second = _by_patient(before, key), _by_patient(after, key)
    both = [second[name] - first[name] for name in first if name in second]
    if len(both) >= _FEWEST:
        sd = float(np.std(both, ddof=1))
        return float(np.mean(both)), sd * math.sqrt(1 + 1 / len(both)), len(both), len(both) - 1
    if min(len(first), len(second)) < _FEWEST:
        return None
    a, b = np.array(list(first.values())), np.array(list(second.values()))
    spread = np.median([one.of[key][1] for one in (*before, *after) if key in one.of])
    variance = a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b) + 2 * (_TUBE * float(spread)) ** 2
    return float(b.mean() - a.mean()), math.sqrt(variance), min(len(a), len(b)), len(a) + len(b) - 2


def _by_patient(tubes: Sequence[LandmarkPlaces], key: tuple[str, str]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for one in tubes:
        if key in one.of:
            found.setdefault(one.patient, []).append(one.of[key][0])
    return {name: float(np.mean(values)) for name, values in found.items()}


def contradicted(said: Mapping[str, Mapping[str, LandmarkMove]], markers: Sequence[str]) -> dict[str, str]:
    """Return marker -> why the patients' tubes contradict the bridge there, or cannot say; nothing where they agree.

    Parameters
    ----------
    said
        As `statements` gives it.
    markers
        Those that borders are on.
    """
    usual = usual_of(said.values())
    return {marker: text for marker in markers if (text := _against(marker, said.get(marker, {}), usual, len(markers)))}


def _against(marker: str, said: Mapping[str, LandmarkMove], usual: float, n_markers: int) -> str:
    """Return what is against the bridge on one channel."""
    if not said:
        return f"{marker}: fewer than {_FEWEST} patients' tubes of both batches show a landmark population"
    n_tests = n_markers * len(said)
    limits = {name: chance_limit(one, usual, n_tests) for name, one in said.items()}
    if min(limits.values()) > _BLIND:
        return f"{marker}: the patients' tubes are too few or too unlike each other to check the bridge"
    far = {name: one for name, one in said.items() if abs(one.apart) > max(TOLERANCE, limits[name]) * one.spread}
    if not far:
        return ""
    name = max(far, key=lambda one: abs(far[one].apart) / limits[one])
    one = far[name]
    text = (
        f"{marker} of {name} moved by {one.move + one.apart:+.2f} in the bridge, by {one.move:+.2f} in {one.n} patients"
    )
    if any(abs(other.apart) < TOLERANCE * other.spread / 2 for other in said.values()):
        return f"{text}, while its other landmarks did not: the bridge's landmarks disagree"
    return f"{text}: the bridge drifted alone or was mis-stained"


def stain_gone(
    bridge: tuple[LandmarkPlaces, LandmarkPlaces], patients: tuple[Sequence[LandmarkPlaces], Sequence[LandmarkPlaces]]
) -> dict[str, str]:
    """Return marker -> that the bridge's bright cells are gone in one of two batches, and the patients' are not.

    A median of few stained cells among many is that of the others, with the stain and without.

    Parameters
    ----------
    bridge, patients
        As `statements` takes them.
    """
    found = {}
    for key, height in bridge[0].heights.items():
        known = [[one.heights[key] for one in tubes if key in one.heights] for tubes in patients]
        if key not in bridge[1].heights or min(map(len, known)) < _FEWEST:
            continue
        before, after = (float(np.median(own)) for own in known)
        own = sorted((height, bridge[1].heights[key]))
        if own[0] < _GONE * min(own[1], before, after):
            found[key[1]] = (
                f"{key[1]} of {key[0]}: the brightest cells are {height:.1f} and {bridge[1].heights[key]:.1f} above "
                f"the others in the bridge, {before:.1f} and {after:.1f} in patients: one of its tubes lacks the stain"
            )
    return found


def usual_of(said: Iterable[Mapping[str, LandmarkMove]]) -> float:
    """Return the usual variance of one more tube, squared shares of the spread.

    Parameters
    ----------
    said
        What patients' tubes say, by landmark, of each marker.
    """
    return float(np.median([(one.sd / one.spread) ** 2 for of in said for one in of.values()] or [np.nan]))


def chance_limit(one: LandmarkMove, usual: float, n_tests: int) -> float:
    """Return the distance that chance explains, share of the spread; few tubes borrow from the other landmarks.

    Parameters
    ----------
    one
        Of one landmark and marker.
    usual
        Of `usual_of`.
    n_tests
        How many distances are looked at together.
    """
    variance = (one.df * (one.sd / one.spread) ** 2 + _BORROWED * usual) / (one.df + _BORROWED)
    return _quantile(_SURE / n_tests, one.df + _BORROWED) * math.sqrt(variance)


def other_donor(
    before: Mapping[str, tuple[int, int]],
    after: Mapping[str, tuple[int, int]],
    patients: Mapping[str, Sequence[tuple[str, float]]],
) -> str:
    """Return why the cells of two tubes are not one material's; "" where they may be.

    Parameters
    ----------
    before, after
        The bridge's tubes: population -> (events, of how many).
    patients
        Population -> (patient, log odds of its share) of the study's tubes: how unlike two persons are.
    """
    evidence, furthest = 0.0, ("", 0.0, 0.0, 0.0)  # share, its evidence, in either tube
    for name in before:
        if name not in after:
            continue
        (n, of), (m, of_m) = before[name], after[name]
        if min(n, of - n, m, of_m - m) < 20:  # the log odds of fewer are not normal (judgement)
            continue
        apart = math.log(m / (of_m - m)) - math.log(n / (of - n))
        counting = 1 / n + 1 / (of - n) + 1 / m + 1 / (of_m - m)
        within, between = _sds(patients.get(name, ()))
        same, other = counting + 2 * within**2, counting + 2 * within**2 + 2 * between**2
        own = 0.5 * (apart**2 / same - apart**2 / other + math.log(same / other))
        evidence += min(own, _MOST_EVIDENCE)
        if own > furthest[1]:
            furthest = name, own, n / of, m / of_m
    if evidence <= _LEAST_EVIDENCE or not furthest[0]:
        return ""
    name, _, first, second = furthest
    return (
        f"its cells are another person's or were stained otherwise: {name} is {100 * first:.0f} % in one tube and "
        f"{100 * second:.0f} % in the other, unlike two runs of one material"
    )


def _sds(shares: Sequence[tuple[str, float]]) -> tuple[float, float]:
    """Return the sd of log odds between runs of one material and between persons, as the study's patients say."""
    of: dict[str, list[float]] = {}
    for patient, odds in shares:
        of.setdefault(patient, []).append(odds)
    if len(of) < 5:  # patients: fewer say little about how unlike persons are (judgement)
        return _REPEATED, _PERSONS
    means = np.array([np.mean(values) for values in of.values()])
    repeated = [np.var(values, ddof=1) for values in of.values() if len(values) > 1]
    within = math.sqrt(float(np.median(repeated)) / 0.455) if len(repeated) >= 3 else _REPEATED  # median of chi2_1
    within = min(max(within, _LEAST_REPEATED), 2 * _REPEATED)  # a patient also changes by treatment
    return within, max(float(means.std(ddof=1)), within)


def log_odds(n: int, of: int) -> float:
    """Return the log odds of a share with half an event on either side.

    Parameters
    ----------
    n, of
        Events, and of how many.
    """
    return math.log((n + 0.5) / (of - n + 0.5))


def _quantile(p: float, df: float) -> float:
    from scipy.special import stdtrit  # here, for gating with drawn gates needs no scipy

    return float(stdtrit(df, 1 - p / 2))
