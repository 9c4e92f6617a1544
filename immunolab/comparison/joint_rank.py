"""Slopes of two periods with deaths ranked beyond any slope: a sensitivity analysis of who was lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from immunolab.comparison.estimate import not_zero
from immunolab.comparison.paired import midranks, wilcoxon
from immunolab.schema.courses import DEATH_RULES, DeathRule

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Death:
    """A death before both slopes were known.

    Attributes
    ----------
    days_before_end
        Days before the last visit of the later period.
    later_period
        Whether it fell into the later of the two periods.
    """

    days_before_end: int
    later_period: bool


def with_deaths(
    differences: Sequence[float], deaths: Sequence[Death], worse_later: Literal[-1, 1], rule: DeathRule
) -> Array:
    """Return differences of slopes with deaths beyond them, the earlier a death the further out.

    The order is that of the combined assessment of function and survival (Berry 2013, Amyotroph Lateral Scler
    Frontotemporal Degener 14:162), taken within the patient: a death in the later period makes that period worse
    than any decline, a death in the earlier one makes the earlier worse. Only ranks of the values mean anything.

    Parameters
    ----------
    differences
        ``(n,)`` later minus earlier slope of the patients who have both.
    deaths
        Of the patients who have not.
    worse_later
        Sign of a difference where the later period is the worse one.
    rule
        ``joint_rank``; ``complete_pairs`` leaves deaths out; ``deaths_reversed`` turns their signs, the other bound.
    """
    known = np.asarray(differences, dtype=float)
    if rule == "complete_pairs":
        return known
    beyond = float(np.abs(known).max(initial=0.0))
    sign = worse_later if rule == "joint_rank" else -worse_later
    lost = [
        sign * (1 if death.later_period else -1) * (beyond + 1.0 + max(death.days_before_end, 0)) for death in deaths
    ]
    return np.concatenate([known, np.asarray(lost, dtype=float)])


def rank_biserial(values: Sequence[float] | Array) -> float:
    """Return the rank-biserial correlation of differences ``(n,)``: -1 all fall, 1 all rise; NaN for none.

    Kerby 2014, Comprehensive Psychology 3:11.IT.3.1.
    """
    d = np.asarray(values, dtype=float)
    kept = d[not_zero(d)]
    if not kept.size:
        return float("nan")
    ranks = midranks(np.abs(kept))
    return float((ranks * np.sign(kept)).sum() / ranks.sum())


def joint_rank(
    differences: Mapping[str, float], deaths: Mapping[str, Death], n_patients: int, worse_later: Literal[-1, 1]
) -> list[dict[str, object]]:
    """Return one row a rule for the patients of a cohort, without cohort and endpoint; see `JOINT_RANK`.

    The signed-rank test takes both signs as equally likely. That does not hold for deaths, which come later in a
    disease that gets worse, and can come in the later period only to patients who lived through the earlier one: the
    joint rank leans towards the earlier period. ``deaths_reversed`` is the opposite bound; what holds under all three
    rules does not depend on who died.

    Parameters
    ----------
    differences
        ``patient_id`` -> later minus earlier slope.
    deaths
        ``patient_id`` -> death before both slopes were known.
    n_patients
        Patients of the cohort.
    worse_later
        Sign of a difference where the later period is the worse one.
    """
    lost = {patient: death for patient, death in deaths.items() if patient not in differences}
    later = sum(death.later_period for death in lost.values())
    rows: list[dict[str, object]] = []
    for rule in DEATH_RULES:
        values = with_deaths(list(differences.values()), list(lost.values()), worse_later, rule)
        test = wilcoxon(values) if values.size else None
        rows.append(
            {
                "role": "exploratory",
                "rule": rule,
                "n_patients": n_patients,
                "n_slopes": len(differences),
                "n_deaths_earlier": len(lost) - later,
                "n_deaths_later": later,
                "n_left_out": n_patients - len(differences) - len(lost),
                "rank_biserial": rank_biserial(values),
                "p_value": test.p_value if test else None,
                "method": test.method if test else "no patient",
            }
        )
    return rows
