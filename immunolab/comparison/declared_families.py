"""Families that a study declares: p adjusted over the endpoints they name, at whatever visits, behind their gates.

Adjusted p-values behind gates are the least significance level at which the whole procedure rejects. A family whose
gate is serial is tested once all of the family above are rejected (Maurer, Hothorn and Lehmacher 1995); behind a
parallel gate, at the share of the level that the rejected part of a Bonferroni family above passes on (Dmitrienko,
Offen and Westfall 2003, Stat Med 22:2387; Guilbaud 2007, Biom J 49:917).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.comparison.equivalence import CONTROLS
from immunolab.comparison.multiplicity import benjamini_hochberg, fixed_sequence, holm, max_t
from immunolab.study.families import DeclaredFamily

Array = NDArray[np.float64]
_Level = Callable[[Array], Array]  # from adjusted p within a family to those of the whole procedure

_OF_SHIFTS = (  # beginnings of methods that test patients' plain shifts, as max-T does
    *("paired t", "t on each patient's mean shift", "count-aware moderated t"),
    *("exact signed rank", "signed rank, ", "exact sign flip", "sign flip, "),
)


def family_of(endpoint: str, role: str, families: Sequence[DeclaredFamily], controls: Mapping[str, object]) -> str:
    """Return the family an endpoint is tested in: a declared one, the negative controls, or that of its role.

    Parameters
    ----------
    endpoint, role
        Of the endpoint.
    families
        As declared.
    controls
        The negative controls.
    """
    if endpoint in controls:
        return CONTROLS
    named = next((family.name for family in families if endpoint in family.endpoints), None)
    return named or next((family.name for family in families if family.role == role), role)


def with_declared_families(
    tables: Sequence[pd.DataFrame], pairs: Sequence[pd.DataFrame], families: Sequence[DeclaredFamily], *, seed: int = 0
) -> list[pd.DataFrame]:
    """Return shift tables of several contrasts with q and adjustment of the declared families' endpoints.

    Parameters
    ----------
    tables, pairs
        Rows of `SHIFTS` and of `PAIRS`, a table a contrast; the column ``family`` says which endpoints are whose.
    families
        In the order of their gates.
    seed
        Of the sign flips above 13 patients.
    """
    if not families or not tables:
        return list(tables)
    whole = pd.concat(tables, keys=range(len(tables)))
    shifts = pd.concat([one[["cohort", "endpoint", "patient_id", "shift"]] for one in pairs], ignore_index=True)
    for cohort, rows in whole.groupby(whole["cohort"].fillna(""), sort=False):
        own = shifts[shifts["cohort"].fillna("") == cohort]
        for index, q, text in _adjusted(rows, own, families, seed):
            whole.loc[index, "q_value"] = q
            whole.loc[index, "adjustment"] = text
    return [whole.loc[k].copy() if len(table) else table for k, table in enumerate(tables)]


def _adjusted(
    rows: pd.DataFrame, shifts: pd.DataFrame, families: Sequence[DeclaredFamily], seed: int
) -> list[tuple[pd.Index, Array, str]]:
    """Return index, q and words of each family of a cohort."""
    found: list[tuple[pd.Index, Array, str]] = []
    passed: _Level = _itself
    above: tuple[DeclaredFamily, Array] | None = None
    for family in families:
        own = rows[rows["family"] == family.name]
        names = family.endpoints or tuple(own["endpoint"])
        own = own.iloc[np.argsort([names.index(name) for name in own["endpoint"]], kind="stable")]
        p = own.set_index("endpoint")["p_value"].reindex(list(names)).to_numpy(dtype=float)  # NaN where not compared
        local, text = _local(p, own, shifts, family, seed)
        if family.gate is None or above is None:
            passed = _itself
        else:
            passed = _behind(passed, family, above[1])
            closed = family.gate == "serial" and np.isnan(above[1]).any()
            text += f", behind '{above[0].name}' ({family.gate} gate"
            text += ", closed: not all of them were tested)" if closed else ")"
        there = np.isin(np.array(names, dtype=object), own["endpoint"].to_numpy())
        found.append((own.index, np.minimum(1.0, passed(local))[there], text))
        above = family, local
    return found


def _local(p: Array, own: pd.DataFrame, shifts: pd.DataFrame, family: DeclaredFamily, seed: int) -> tuple[Array, str]:
    """Return adjusted p within a family, and the rule in words."""
    n, noun = int(np.isfinite(p).sum()), f"endpoints of '{family.name}'"
    if family.rule != "max_t":
        name, rule = _RULES[family.rule]
        return rule(p), f"{name} over {p.size if family.rule == 'bonferroni' else n} {noun}"
    tested = own[np.isfinite(own["p_value"].to_numpy(dtype=float))]
    plain = tested["method"].str.startswith(_OF_SHIFTS) & ~tested["method"].str.contains("adjusted for")
    if not plain.all():
        names = ", ".join(tested.loc[~plain, "endpoint"])
        return holm(p), f"Holm over {n} {noun} (max-T flips plain shifts; {names} is tested by a model)"
    q = np.full(p.size, np.nan)
    if not n:
        return q, f"max-T sign flip of patients over 0 {noun}"
    wide = shifts.pivot(index="patient_id", columns="endpoint", values="shift")[list(tested["endpoint"])]
    flips = max_t(wide[wide.notna().any(axis=1)].to_numpy(dtype=float), seed=seed)
    q[np.isfinite(p)] = flips.step_down
    kind = "exact" if flips.exact else f"seed {seed}"
    return q, f"max-T sign flip of patients, step-down, {kind}, over {n} {noun}"


def _itself(level: Array) -> Array:
    return level


def _bonferroni(p: Array) -> Array:
    """Return p times the endpoints declared, those not tested included: what the others pass on must not grow."""
    return np.minimum(1.0, p * p.size)


_RULES: Mapping[str, tuple[str, _Level]] = {
    "holm": ("Holm", holm),
    "bonferroni": ("Bonferroni", _bonferroni),
    "fixed_sequence": ("fixed sequence", fixed_sequence),
    "bh": ("Benjamini-Hochberg", benjamini_hochberg),
    "none": ("no adjustment", _itself),
}


def _behind(passed: _Level, family: DeclaredFamily, above: Array) -> _Level:
    """Return the level that adjusted p behind a gate need of the whole procedure.

    Parameters
    ----------
    passed
        The same of the family above.
    family
        Whose gate it is.
    above
        Adjusted p within the family above; NaN where an endpoint was not tested, which is then not rejected.
    """

    def serial(h: Array) -> Array:
        return passed(np.maximum(h, above.max(initial=0.0)))

    def parallel(h: Array) -> Array:
        m, p = above.size, np.sort(above)
        needed = [np.maximum(h * m / r, p[r - 1]) for r in range(1, m + 1) if np.isfinite(p[r - 1])]
        return passed(np.min(needed, axis=0) if needed else np.full(h.shape, np.nan))

    return serial if family.gate == "serial" else parallel
