"""q of a cohort's shifts, family by family, and the equivalence tests of negative controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from immunolab.comparison.cohort_tests import CohortShift
from immunolab.comparison.declared_families import family_of
from immunolab.comparison.equivalence import CONTROLS, Equivalence, equivalence
from immunolab.comparison.multiplicity import adjusted_by_role, benjamini_hochberg, fixed_sequence, holm, max_t
from immunolab.comparison.pairing import Paired
from immunolab.comparison.plan import ROLES, Adjust, Plan

Array = NDArray[np.float64]

_TOGETHER = "all endpoints"  # family of a comparison that adjusts over all of them, whatever their role


def adjusted_columns(
    shifts: Mapping[int, CohortShift], paired: Paired, plan: Plan, members: NDArray[np.bool_]
) -> dict[int, dict[str, object]]:
    """Return family, q_value and adjustment of a cohort's shifts, each adjusted within its family.

    Those of declared families wait for the other contrasts, see `declared_families`.

    Parameters
    ----------
    shifts
        Of one cohort, by the endpoint's number.
    paired, plan
        What they come from.
    members
        ``(P,)`` patients of the cohort.

    Returns
    -------
    dict
        Columns of `SHIFTS` by the endpoint's number; of a negative control with its equivalence test.
    """
    families: dict[str, list[int]] = {}
    for e in shifts:
        name = paired.endpoints[e]
        tested_in = family_of(name, plan.role(name), plan.families, plan.controls)
        families.setdefault(tested_in if plan.adjust == "auto" else _TOGETHER, []).append(e)
    result: dict[int, dict[str, object]] = {}
    for name, family in families.items():
        if name == CONTROLS:
            result |= {e: _control(equivalence_of(paired, e, shifts[e], plan)) for e in family}
            continue
        p = np.array([shifts[e].main.p_value for e in family], dtype=float)
        q, text = _adjusted_family(p, name, family, paired, plan, members)
        result |= {
            e: {"family": name, "q_value": float(value), "adjustment": text} for e, value in zip(family, q, strict=True)
        }
    return result


def _control(found: Equivalence) -> dict[str, object]:
    """Return the columns of a negative control: in no family, with its equivalence test."""
    return {
        "family": CONTROLS,
        "q_value": np.nan,
        "adjustment": found.rule,
        "margin": found.margin,
        "equivalence_p_value": found.p_value,
        "equivalence": found.word,
    }


def _adjusted_family(
    p: Array, role: str, family: Sequence[int], paired: Paired, plan: Plan, members: NDArray[np.bool_]
) -> tuple[Array, str]:
    if role == _TOGETHER:
        return _over_all(p, plan.adjust, "endpoints")
    if role not in ROLES:
        return np.full(p.size, np.nan), f"of '{role}'"  # declared: adjusted over all contrasts
    tested = np.isfinite(p)
    if role == "secondary" and plan.secondary == "fixed_sequence":
        declared = list(plan.roles)
        order = np.argsort([declared.index(paired.endpoints[e]) for e in family])
        q = np.full(p.size, np.nan)
        q[order] = fixed_sequence(p[order])
        return q, f"fixed sequence of {p.size} secondary endpoints"
    if role == "secondary" and plan.secondary == "max_t" and tested.any():
        shift = paired.shift[list(family)][:, members].T[:, tested]
        q = np.full(p.size, np.nan)
        q[tested] = max_t(shift[np.isfinite(shift).any(axis=1)], seed=plan.seed).step_down
        return q, f"max-T sign flip, step-down, over {int(tested.sum())} secondary endpoints"
    return adjusted_by_role(p, role)


def _over_all(p: Array, adjust: Adjust, what: str) -> tuple[Array, str]:
    """Return q and the words for it when all p values are one family."""
    if adjust == "none":
        return np.full(p.size, np.nan), "none"
    q, word = (holm(p), "Holm") if adjust == "holm" else (benjamini_hochberg(p), "Benjamini-Hochberg")
    return q, f"{word} over {int(np.isfinite(p).sum())} {what}"


def equivalence_of(paired: Paired, e: int, shift: CohortShift, plan: Plan) -> Equivalence:
    """Return the equivalence test of a negative control.

    Parameters
    ----------
    paired, plan
        Both sides of every patient; the margins.
    e
        Number of the endpoint.
    shift
        Its shift in a cohort.
    """
    margin = plan.controls[paired.endpoints[e]]
    return equivalence(shift.main, paired.shift[e, shift.complete], margin, paired.scales[e])
