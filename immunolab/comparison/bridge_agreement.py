"""Whether borders that follow a bridge and each tube's own borders say the same of a share, batch by batch.

Where data place the borders of every tube, a share has two answers: with the tube's own borders, and with those of
another batch moved as the bridge says. Neither knows the other, and treatment changes both alike. A bridge that is
wrong moves the share of all patients of a batch the same way; own borders err from tube to tube.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from immunolab.comparison.bridge_design import Group

# mean difference of the two answers from which a share is not answered, log scale: a tenth of its odds, with p below a
# level that all pairs of batches share (judgement, on seeds 9200 to 9207, and 9600 to 9604 for several pairs)
_APART, _LEVEL = 0.1, 0.2
# sd of what own borders of a batch err by together, log scale: with right bridges the means of eight patients differ by
# .037 from study to study, where their spread gives .022 (Treg, same seeds)
_COMMON = 0.03
_UNLIKE = 0.3  # root mean square of the patients' differences from which neither answer is known (same seeds)
_FEWEST_DF = 3  # of the patients' differences about the means of their batches (judgement)


CONTRADICTED = "borders that follow the bridge"
"""How a reason begins that a share is not answered for, as the tubes' own borders say otherwise."""


@dataclass(frozen=True)
class TwoAnswers:
    """How one share differs between the two ways, of the patients of some batches.

    Attributes
    ----------
    mean, sd
        Of the patients' shifts with borders that follow, less those with own ones; log scale.
    se
        Of the mean; the spread is that within all batches, and own borders of a batch also err together.
    n, df
        Patients, and degrees of freedom of ``se``.
    level
        Two-sided p below which the mean is not chance.
    """

    mean: float
    sd: float
    se: float
    n: int
    df: int
    level: float

    @property
    def p(self) -> float:
        """Two-sided p of the mean."""
        return 2.0 * float(stdtr(self.df, -abs(self.mean) / self.se))

    @property
    def unseen(self) -> float:
        """The largest mean difference that would not have been seen as one."""
        return max(_APART, float(stdtrit(self.df, 1.0 - self.level / 2.0)) * self.se)


def agreements(differences: Sequence[tuple[str, Group, float]]) -> dict[tuple[str, Group], TwoAnswers]:
    """Return (endpoint, batches) -> how the answers differ; nothing of an endpoint that too few patients have.

    Parameters
    ----------
    differences
        Endpoint, batches and difference of the shifts, of every patient whose tubes are of several batches.
    """
    found: dict[tuple[str, Group], TwoAnswers] = {}
    for endpoint in dict.fromkeys(name for name, _, _ in differences):
        of: dict[Group, list[float]] = {}
        for name, group, apart in differences:
            if name == endpoint:
                of.setdefault(group, []).append(apart)
        df = sum(map(len, of.values())) - len(of)
        if df < _FEWEST_DF:
            continue
        pooled = math.sqrt(sum(float(np.var(own)) * len(own) for own in of.values()) / df)
        for group, own in of.items():
            rms = math.sqrt(float(np.mean(np.square(own))))
            se = math.hypot(pooled / math.sqrt(len(own)), _COMMON)
            found[endpoint, group] = TwoAnswers(float(np.mean(own)), rms, se, len(own), df, _LEVEL / len(of))
    return found


def disagreements(found: Mapping[tuple[str, Group], TwoAnswers]) -> dict[tuple[str, Group], str]:
    """Return (endpoint, batches) -> why the share is not answered with borders that follow the bridge.

    Parameters
    ----------
    found
        As `agreements` gives it.
    """
    return {key: text for key, one in found.items() if (text := _against(one))}


def _against(one: TwoAnswers) -> str:
    if abs(one.mean) > _APART and one.p < one.level:
        percent = 100.0 * math.expm1(one.mean)
        return (
            f"{CONTRADICTED} change it by {percent:+.0f} % beside each tube's own ({one.n} "
            f"patient{'' if one.n == 1 else 's'}, p {one.p:.1g}): it is not known which are right"
        )
    if one.sd > _UNLIKE:
        return (
            f"{CONTRADICTED} and each tube's own give other answers patient by patient (root mean "
            f"square {100.0 * math.expm1(one.sd):.0f} %): it is not known which are right"
        )
    return ""
