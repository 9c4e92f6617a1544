"""Negative controls: whether a change that is expected not to be there is shown to be small.

A large p is no evidence of no change. Two one-sided tests against a margin (Schuirmann 1987, J Pharmacokinet Biopharm
15:657) are: equivalence is shown where the 90 % interval is within the margin on both sides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from immunolab.comparison.estimate import ALPHA, Estimate
from immunolab.comparison.paired import paired_t
from immunolab.comparison.scales import MULTIPLICATIVE, RATIO_WORDS, Scale

CONTROLS = "negative controls"  # name of their family
ASSUMED_MARGIN = 1.5  # ratio or odds ratio where none is declared: the change that cohorts of 8 to 13 are planned for


@dataclass(frozen=True)
class Equivalence:
    """Whether a negative control was shown not to change.

    Attributes
    ----------
    margin
        Greatest change that counts as none: a ratio above 1, or in the endpoint's unit; NaN where none is declared.
    p_value
        The larger of the two one-sided p; NaN when not tested.
    word
        One of `schema.comparison.EQUIVALENCE`.
    rule
        Method and margin in words, for the column ``adjustment``.
    """

    margin: float
    p_value: float
    word: str
    rule: str


def equivalence(main: Estimate, shifts: NDArray[np.float64], declared: float | None, scale: Scale) -> Equivalence:
    """Return the two one-sided tests of a negative control.

    Parameters
    ----------
    main
        Its shift by the method of the comparison, whose limits give its standard error on each side; a rank test or a
        sign flip gives way to the paired t.
    shifts
        ``(n,)`` of the complete pairs.
    declared
        The margin of the trial file; None takes 1.5 for ratios and odds ratios, and no test on other scales.
    scale
        Of the shifts.
    """
    ratio = scale in MULTIPLICATIVE
    if declared is None and not ratio:
        rule = "none (negative control: no margin of equivalence is declared)"
        return Equivalence(np.nan, np.nan, "not_tested", rule)
    margin = ASSUMED_MARGIN if declared is None else float(np.exp(abs(np.log(declared)))) if ratio else declared
    what = f"{RATIO_WORDS[scale]} {1 / margin:.3g} to {margin:.3g}" if ratio else f"{-margin:.3g} to {margin:.3g}"
    source = "assumed, none is declared" if declared is None else "declared"
    rule = f"none (negative control: two one-sided tests, margin {what}, {source})"
    if not main.tested:
        return Equivalence(margin, np.nan, "not_tested", rule)
    by = main if np.isfinite(main.df) or shifts.size < 2 else paired_t(shifts)
    width = float(np.log(margin)) if ratio else margin
    return Equivalence(margin, *_two_one_sided(by, width), rule)


def _two_one_sided(by: Estimate, width: float) -> tuple[float, str]:
    """Return the larger one-sided p against plus and minus ``width``, and the word for it."""
    beyond = by.ci_low > width or by.ci_high < -width
    word = "beyond_margin" if beyond else "not_shown_equivalent"
    t = float(stdtrit(by.df, 1.0 - ALPHA / 2.0))
    below, above = (by.estimate - by.ci_low) / t, (by.ci_high - by.estimate) / t  # standard errors on either side
    if not (below > 0 and above > 0):
        return float("nan"), word
    p = float(max(stdtr(by.df, -(by.estimate + width) / below), stdtr(by.df, -(width - by.estimate) / above)))
    return p, "equivalent" if p <= ALPHA else word
