"""How far a compensation matrix is off as a whole, by all of its entries that cells show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import chdtrc

from immunolab.quality.residual_spillover import KNOWN, SpillingPair

_FEWEST_PAIRS = 3  # by which a matrix is judged as a whole (judgement)
# SD of a sound matrix's entries, as a share of each: single-stained controls give nearly all of them within a twentieth
# (judgement)
_SOUND = 0.035
# standard errors by which a line is off that of its entry (SD): other dyes on the same cells add to it (measured on 168
# simulated tubes, alike in all pairs)
_LINE_ERROR = 4.0
_LEAST_SURE = 0.01  # share of sound matrices whose entries would be as far off (judgement; none of the 168 is)


def matrix_error(pairs: Sequence[SpillingPair]) -> tuple[float, list[SpillingPair]]:
    """Return how far the entries of a matrix are off, as a share of themselves: root mean square over its pairs.

    A matrix of another day or of other voltages is off in all of its entries, though no one of them may move cells
    across a gate. An error of chance, as of single-stained controls, is small in most of them.

    Parameters
    ----------
    pairs
        Of `immunolab.quality.residual_spillover.spilling_pairs`; those are taken whose entry cells show to 2 % of
        itself.

    Returns
    -------
    tuple of (float, list of SpillingPair)
        0 for fewer than three such pairs; and these, the one with the most signal left first.
    """
    known = sorted((one for one in pairs if one.error <= KNOWN), key=lambda one: -abs(one.line.slope))
    if len(known) < _FEWEST_PAIRS:
        return 0.0, known
    return float(np.sqrt(np.mean([one.off**2 for one in known]))), known


def matrix_is_off(pairs: Sequence[SpillingPair]) -> bool:
    """Return whether the entries of a matrix are off by more than those of a sound one, all together.

    Each counts by how well cells show it, so that a few entries that are known well can be as telling as many.

    Parameters
    ----------
    pairs
        As in `matrix_error`.
    """
    known = matrix_error(pairs)[1]
    if len(known) < _FEWEST_PAIRS:
        return False
    distance = sum(one.off**2 / (_SOUND**2 + (_LINE_ERROR * one.error) ** 2) for one in known)
    return bool(chdtrc(len(known), distance) < _LEAST_SURE)
