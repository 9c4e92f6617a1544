"""What the next cohort could find once p is adjusted over the family, by simulation from the spread of this one.

Shifts of a family are normal, with the observed standard deviations and correlations (shrunk towards none as far as few
patients ask for: Schaefer and Strimmer 2005, SAGMB 4:32); every endpoint has its declared effect at once, negative
controls have none. Each simulated cohort is tested and adjusted as this one was. The spread of a few patients is badly
known: power is also given at its one-sided 80 % limits, and as its mean over all spreads that fit (assurance: O'Hagan
2005, Pharm Stat 4:187).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import chdtri, digamma, polygamma, stdtr

from immunolab.comparison.estimate import ALPHA
from immunolab.comparison.power import POWER_WANTED
from immunolab.comparison.scales import MULTIPLICATIVE, RATIO_WORDS
from immunolab.schema.next_cohort import POWER_IN_FAMILY
from immunolab.study.next_cohort import NextCohort

Array = NDArray[np.float64]

_SIMS = 1_000  # cohorts of each size: a standard error of 0.016 or less
_SIZES = (4, 5, 6, 8, 11, 15, 21, 30, 42, 60, 85, 120, 170, 240)  # patients between which the number needed is found
_LEAST_PAIRS = 3  # as in `cohort_tests`
_LEAST_SHARED = 4  # patients of a correlation; from fewer none is taken
_LIMIT = 0.8  # one-sided confidence of the spread's limits, as in `power`
_GATE = ", behind '"
"""In the column ``adjustment`` of a family that is tested behind another (`declared_families`)."""
_RULES = {
    "none": "none",
    "no adjustment": "none",
    "Holm": "holm",
    "Benjamini-Hochberg": "benjamini_hochberg",
    "fixed sequence": "fixed_sequence",
    "max-T": "holm",  # as if by Holm: a little less than what max-T finds
}
"""First words of the column ``adjustment`` -> the rule that is simulated."""


@dataclass(frozen=True)
class JointEndpoints:
    """Endpoints whose p values are adjusted together; arrays ``(K,)`` unless said.

    Attributes
    ----------
    endpoints, rule, moderated
        Their ids, the rule (see `adjusted_rows`), and whether variances are borrowed over them.
    effect, sd
        On the scale of the shifts; an effect of 0 is none.
    n_pairs
        Pairs that sd is of.
    correlation
        ``(K, K)`` of the shifts.
    """

    endpoints: tuple[str, ...]
    rule: str
    moderated: bool
    effect: Array
    sd: Array
    n_pairs: NDArray[np.int64]
    correlation: Array


def family_power(
    pairs: pd.DataFrame, shifts: pd.DataFrame, plan: NextCohort, *, controls: Collection[str] = (), seed: int = 0
) -> pd.DataFrame:
    """Return the power of each endpoint within its family, by number of patients.

    Parameters
    ----------
    pairs, shifts
        Rows of `schema.comparison.PAIRS` and `SHIFTS` of one study.
    plan
        Effects and sizes.
    controls
        Negative controls: they have no effect.
    seed
        Of the simulation.

    Returns
    -------
    DataFrame
        Rows of `schema.comparison.POWER_IN_FAMILY`; empty where no family has an endpoint with an effect and a spread.
    """
    rows: list[dict[str, object]] = []
    tested = shifts[shifts["p_value"].notna()].assign(cohort=shifts["cohort"].fillna(""))
    for number, (key, own) in enumerate(tested.groupby(["cohort", "role", "adjustment"], sort=False)):
        cohort, role, adjustment = map(str, key)  # type: ignore[arg-type]
        gated = _GATE in adjustment  # what the families above pass on is not simulated: no number
        rule = None if gated else next((word for first, word in _RULES.items() if adjustment.startswith(first)), None)
        found = _family(pairs[pairs["cohort"].fillna("") == cohort], own, rule, plan, controls) if rule else None
        if found is not None and found.effect.any():
            rng = np.random.default_rng([seed, number])
            common = {"cohort": cohort or None, "role": role, "adjustment": adjustment, "seed": seed, "n_sims": _SIMS}
            scales = dict(zip(own["endpoint"], own["estimate_scale"], strict=True))
            rows += [common | row for row in _rows(found, plan, scales, rng)]
    return POWER_IN_FAMILY.frame(rows)


def _family(
    pairs: pd.DataFrame, own: pd.DataFrame, rule: str, plan: NextCohort, controls: Collection[str]
) -> JointEndpoints | None:
    """Return a family's spread and effects; None where no endpoint of it varies."""
    wide = pairs[pairs["endpoint"].isin(own["endpoint"])].pivot_table(
        index="patient_id", columns="endpoint", values="shift", sort=False
    )
    names = [str(name) for name in own["endpoint"] if name in wide and wide[name].count() >= _LEAST_PAIRS]
    names = [name for name in dict.fromkeys(names) if wide[name].std() > 0]
    if not names:
        return None
    scale = pairs.drop_duplicates("endpoint").set_index("endpoint")["shift_scale"]
    values = wide[names].to_numpy(dtype=float)
    moderated = own.set_index("endpoint")["method"].reindex(names).str.contains("moderated").to_numpy(bool)
    return JointEndpoints(
        endpoints=tuple(names),
        rule=rule,
        moderated=bool(moderated.all()),
        effect=np.array([_effect(name, str(scale[name]), plan, controls) for name in names]),
        sd=np.nanstd(values, axis=0, ddof=1),
        n_pairs=np.isfinite(values).sum(axis=0),
        correlation=_correlation(values),
    )


def _effect(endpoint: str, scale: str, plan: NextCohort, controls: Collection[str]) -> float:
    """Return the effect on the scale of the shifts; 0 where there is none."""
    size = plan.effects.get(endpoint)
    if size is not None:
        return float(np.log(size)) if scale in MULTIPLICATIVE and size > 0 else float(size)
    return float(np.log(plan.fold)) if scale in MULTIPLICATIVE and endpoint not in controls else 0.0


def _correlation(values: Array) -> Array:
    """Return correlations of shifts over patients, shrunk towards none, positive definite."""
    there = np.isfinite(values).astype(float)
    shared = there.T @ there
    r = pd.DataFrame(values).corr(min_periods=_LEAST_SHARED).fillna(0.0).to_numpy()
    off = ~np.eye(r.shape[0], dtype=bool)
    noise = ((1.0 - r**2) ** 2 / np.maximum(shared - 1.0, 1.0))[off].sum()
    weight = min(1.0, noise / max(float((r[off] ** 2).sum()), 1e-12)) if off.any() else 1.0
    shrunk = np.where(off, (1.0 - weight) * r, 1.0)
    values, vectors = np.linalg.eigh(shrunk)
    fixed = (vectors * np.maximum(values, 1e-6)) @ vectors.T
    scale = np.sqrt(np.diag(fixed))
    return np.asarray(fixed / np.outer(scale, scale), dtype=np.float64)


def _rows(
    family: JointEndpoints, plan: NextCohort, scales: Mapping[str, str], rng: np.random.Generator
) -> Iterator[dict[str, object]]:
    df = family.n_pairs - 1.0
    high, low = (family.sd * np.sqrt(df / chdtri(df, tail)) for tail in (_LIMIT, 1.0 - _LIMIT))
    drawn = family.sd * np.sqrt(df / rng.chisquare(df, (_SIMS, df.size)))
    spreads = {"power": family.sd, "power_low": high, "power_high": low, "assurance": drawn}
    sizes = sorted({*_SIZES, *plan.patients})
    found = {n: simulated_power(family, n, spreads, rng) for n in sizes}
    for k, endpoint in enumerate(family.endpoints):
        if not family.effect[k]:
            continue
        word = RATIO_WORDS.get(scales[endpoint])
        needed = {name: _needed(sizes, [found[n][name][k] for n in sizes]) for name in ("power", "assurance")}
        common = {
            "endpoint": endpoint,
            "n_family": len(family.endpoints),
            "effect": float(np.exp(family.effect[k])) if word else family.effect[k],
            "effect_is": word or "difference",
            "effect_from": "declared" if endpoint in plan.effects else "assumed",
            "sd": family.sd[k],
            "n_pairs": int(family.n_pairs[k]),
            "patients_for_80": needed["power"],
            "patients_for_80_assured": needed["assurance"],
        }
        yield from (
            common | {"n_patients": n} | {name: float(found[n][name][k]) for name in spreads} for n in plan.patients
        )


def simulated_power(
    family: JointEndpoints, n: int, spreads: Mapping[str, Array], rng: np.random.Generator
) -> dict[str, Array]:
    """Return the share of simulated cohorts in which each endpoint is found, by spread.

    Parameters
    ----------
    family
        Effects, correlations and rule.
    n
        Patients of a cohort.
    spreads
        Name -> standard deviations, ``(K,)``, or ``(S, K)`` for one in each of the 1,000 cohorts.
    rng
        Of the simulation.
    """
    root = np.linalg.cholesky(family.correlation)
    standard = rng.standard_normal((_SIMS, n, root.shape[0])) @ root.T
    mean, variance = standard.mean(axis=1), standard.var(axis=1, ddof=1)
    found = {}
    for name, sd in spreads.items():
        p = _p_values(family.effect + sd * mean, sd**2 * variance, n, moderated=family.moderated)
        found[name] = (adjusted_rows(p, family.rule) < ALPHA).mean(axis=0)
    return found


def _p_values(mean: Array, variance: Array, n: int, *, moderated: bool) -> Array:
    """Return p of the t of each endpoint and cohort ``(S, K)``, with variances borrowed as `multiplicity` does."""
    df: Array = np.full(mean.shape, n - 1.0)
    if moderated:
        variance, df = _shrunk(variance, n - 1.0)
    return np.asarray(2.0 * stdtr(df, -np.abs(mean) / np.sqrt(variance / n)), dtype=np.float64)


def _shrunk(variance: Array, df: float) -> tuple[Array, Array]:
    """Return variances shrunk to the prior of their row, and degrees of freedom (Smyth 2004), all rows at once."""
    e = np.log(variance) - digamma(df / 2.0) + np.log(df / 2.0)
    excess = e.var(axis=1, ddof=1) - float(polygamma(1, df / 2.0))
    wider = excess > 0
    y = 0.5 + 1.0 / np.where(wider, excess, 1.0)  # Newton on 1 / trigamma converges monotonically from here
    for _ in range(20):
        trigamma = polygamma(1, y)
        y = y + trigamma * (1.0 - trigamma / np.where(wider, excess, 1.0)) / polygamma(2, y)
    prior_df = np.where(wider, 2.0 * y, np.inf)
    prior = np.where(wider, np.exp(e.mean(axis=1) + digamma(y) - np.log(y)), variance.mean(axis=1))
    share = np.where(wider, df / (df + prior_df), 0.0)[:, None]
    posterior = share * variance + (1.0 - share) * prior[:, None]
    total = np.minimum(df + prior_df, df * variance.shape[1])[:, None]
    return posterior, np.broadcast_to(total, variance.shape)


def adjusted_rows(p: Array, rule: str) -> Array:
    """Return adjusted p of many families at once.

    Parameters
    ----------
    p
        ``(S, K)``, a family a row.
    rule
        ``none``, ``holm``, ``benjamini_hochberg`` or ``fixed_sequence`` (endpoints in their order).
    """
    k = p.shape[1]
    if rule == "none" or k == 1:
        return p
    if rule == "fixed_sequence":
        return np.maximum.accumulate(p, axis=1)
    order = np.argsort(p, axis=1)
    ranked = np.take_along_axis(p, order, axis=1)
    if rule == "holm":
        ranked = np.maximum.accumulate(ranked * np.arange(k, 0, -1), axis=1)
    else:
        stepped = ranked * k / np.arange(1, k + 1)
        ranked = np.minimum.accumulate(stepped[:, ::-1], axis=1)[:, ::-1]
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.minimum(ranked, 1.0), axis=1)
    return adjusted


def _needed(sizes: Sequence[int], power: Sequence[float]) -> int | None:
    """Return the patients at which `POWER_WANTED` is reached, between the sizes simulated; None above the largest."""
    rising = np.maximum.accumulate(np.asarray(power, dtype=float))
    if rising[-1] < POWER_WANTED:
        return None
    at = int(np.argmax(rising >= POWER_WANTED))
    if at == 0:
        return int(sizes[0])
    share = (POWER_WANTED - rising[at - 1]) / (rising[at] - rising[at - 1])
    return int(np.ceil(sizes[at - 1] + share * (sizes[at] - sizes[at - 1])))
