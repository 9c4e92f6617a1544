"""Between patients: two arms, responders against the rest, correlation with clinical change."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtr

from immunolab.comparison.linear import least_squares
from immunolab.comparison.mixed import fit_mixed
from immunolab.comparison.paired import ALPHA, Estimate, is_constant, midranks, t_interval
from immunolab.errors import ComparisonError, nearest

Array = NDArray[np.float64]

LEAST_ARM = 3
LEAST_RESPONDERS = 4
MOST_EXACT_PATIENTS = 60
CONTROL_WORDS = ("placebo", "control", "vehicle", "sham", "untreated", "standard")
PERMUTATIONS = 9_999


def reference_arm(arms: tuple[str, str], named: str = "") -> str:
    """Return the arm the other is compared with: the one named, a control by its name, or the first."""
    if named in arms:
        return named
    controls = [arm for arm in arms if any(word in arm.lower() for word in CONTROL_WORDS)]
    return controls[0] if len(controls) == 1 else sorted(arms)[0]


def welch(first: ArrayLike, second: ArrayLike) -> Estimate:
    """Return mean of first minus mean of second with Welch's t (1947)."""
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    difference, n = float(a.mean() - b.mean()), a.size + b.size
    va, vb = a.var(ddof=1) / a.size, b.var(ddof=1) / b.size
    if va + vb <= 0:
        return Estimate(difference, np.nan, np.nan, np.nan, np.nan, "Welch t of shifts", n, ("W_IDENTICAL",))
    df = float((va + vb) ** 2 / (va**2 / (a.size - 1) + vb**2 / (b.size - 1)))
    low, high, p = t_interval(difference, float(np.sqrt(va + vb)), df)
    return Estimate(difference, low, high, p, df, "Welch t of shifts", n)


def mann_whitney(first: ArrayLike, second: ArrayLike) -> Estimate:
    """Return the Hodges-Lehmann difference with the rank-sum test, exact with mid-ranks to 60 patients."""
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    n = a.size + b.size
    ranks = midranks(np.concatenate([a, b]))
    total = float(ranks[: a.size].sum())
    differences = np.sort((a[:, None] - b[None, :]).ravel())
    codes = ("W_TIES",) if np.unique(ranks).size < n else ()
    if n > MOST_EXACT_PATIENTS:
        p, word = _normal_rank_sum(ranks, a.size, total), "Mann-Whitney, normal approximation"
        k = int(np.floor(a.size * b.size / 2.0 + ndtri(ALPHA / 2.0) * np.sqrt(a.size * b.size * (n + 1) / 12.0)))
    else:
        density = _rank_sum_density(np.rint(2.0 * ranks).astype(np.int64), a.size)
        place = int(np.rint(2.0 * total))
        p = float(min(1.0, 2.0 * min(density[: place + 1].sum(), density[place:].sum())))
        word = "exact Mann-Whitney"
        untied = np.cumsum(_rank_sum_density(np.arange(1, n + 1, dtype=np.int64), a.size))
        k = int(np.searchsorted(untied, ALPHA / 2.0)) - a.size * (a.size + 1) // 2
    reachable = 1 <= k <= differences.size
    low, high = (differences[k - 1], differences[-k]) if reachable else (np.nan, np.nan)
    center = float(np.median(differences))
    return Estimate(center, float(low), float(high), p, np.nan, f"{word}, Hodges-Lehmann", n, codes)


def _rank_sum_density(ranks: NDArray[np.int64], size: int) -> Array:
    """Return P(sum of the ranks of ``size`` patients drawn without replacement = k), k = 0..sum."""
    ways = np.zeros((size + 1, int(ranks.sum()) + 1))
    ways[0, 0] = 1.0
    for rank in ranks:
        ways[1:, rank:] += ways[:-1, : ways.shape[1] - rank].copy()
    counts: Array = ways[size] / ways[size].sum()
    return counts


def _normal_rank_sum(ranks: Array, size: int, total: float) -> float:
    n = ranks.size
    variance = size * (n - size) / n * ranks.var(ddof=1)
    distance = abs(total - size * (n + 1) / 2.0)
    z = max(distance - 0.5, 0.0) / np.sqrt(variance)
    return float(min(1.0, 2.0 * stdtr(np.inf, -z)))


def ancova(before: ArrayLike, after: ArrayLike, treated: ArrayLike) -> Estimate:
    """Return the difference between arms after treatment, adjusted for the level before.

    Parameters
    ----------
    before, after : levels on the endpoint's scale, one a patient.
    treated : bool, True for the arm whose excess is estimated.
    """
    x, y = np.asarray(before, dtype=float), np.asarray(after, dtype=float)
    arm = np.asarray(treated, dtype=float)
    fit = least_squares(np.column_stack([np.ones(y.size), x - x.mean(), arm]), y)
    estimate, method = float(fit.beta[2]), "ANCOVA on the level before"
    if fit.df < 1 or not fit.sigma2 > 0:
        return Estimate(estimate, np.nan, np.nan, np.nan, float(fit.df), method, y.size, ("W_IDENTICAL",))
    low, high, p = t_interval(estimate, float(np.sqrt(fit.covariance[2, 2])), fit.df)
    return Estimate(estimate, low, high, p, float(fit.df), method, y.size)


def mixed_interaction(before: ArrayLike, after: ArrayLike, treated: ArrayLike) -> Estimate:
    """Return the visit-by-arm interaction of a random-intercept model; patients with one visit (NaN) count too."""
    level = np.concatenate([np.asarray(before, dtype=float), np.asarray(after, dtype=float)])
    arm = np.tile(np.asarray(treated, dtype=float), 2)
    visit = np.repeat([0.0, 1.0], arm.size // 2)
    there = np.isfinite(level)
    patient = np.unique(np.tile(np.arange(arm.size // 2), 2)[there], return_inverse=True)[1]
    design = np.column_stack([np.ones(level.size), visit, arm, visit * arm])[there]
    fit = fit_mixed(level[there], design, patient, np.ones((int(there.sum()), 1)))
    estimate, se, df = fit.contrast(np.array([0.0, 0.0, 0.0, 1.0]))
    low, high, p = t_interval(estimate, se, df)
    codes = () if fit.converged else ("W_NOCONV",)
    return Estimate(estimate, low, high, p, df, "mixed-model interaction", int(patient.max()) + 1, codes)


def compare_arms(pairs: pd.DataFrame, reference: str = "") -> pd.DataFrame:
    """Compare the shifts of two arms (column cohort), endpoint by endpoint.

    Parameters
    ----------
    pairs : rows of `table.Comparison.pairs` with level_before and level_after, two cohorts.
    reference : arm the other is compared with, see `reference_arm`.

    Returns
    -------
    endpoint, contrast, method, estimate, ci_low, ci_high, df, p_value, n, codes: four rows an endpoint, the
    analysis of covariance first; empty unless there are exactly two arms.

    Raises
    ------
    ComparisonError
        The reference is none of the arms.
    """
    arms = tuple(sorted(map(str, pairs["cohort"].dropna().unique())))
    if reference and reference not in arms:
        hint = (
            f"{nearest(reference, arms)} arms: {', '.join(arms)}".strip()
            if arms
            else "say with --arm which column holds the arms"
        )
        raise ComparisonError(f"no arm is named '{reference}'", "", hint)
    rows: list[dict[str, object]] = []
    if len(arms) == 2:
        base = reference_arm((arms[0], arms[1]), reference)
        other = arms[1] if base == arms[0] else arms[0]
        for endpoint, group in pairs.groupby("endpoint", sort=False):
            rows += [
                _row(endpoint, f"{other} - {base}", e) for e in _arm_tests(group, (group["cohort"] == other).to_numpy())
            ]
    return pd.DataFrame(rows, columns=_COLUMNS)


_COLUMNS = ["endpoint", "contrast", "method", "estimate", "ci_low", "ci_high", "df", "p_value", "n", "codes"]


def _row(endpoint: object, contrast: str, e: Estimate) -> dict[str, object]:
    values = (endpoint, contrast, e.method, e.estimate, e.ci_low, e.ci_high, e.df, e.p_value, e.n, ";".join(e.codes))
    return dict(zip(_COLUMNS, values, strict=True))


def _arm_tests(group: pd.DataFrame, treated: NDArray[np.bool_]) -> list[Estimate]:
    before, after = (group[name].to_numpy(dtype=float) for name in ("level_before", "level_after"))
    shift = after - before
    both = np.isfinite(shift)
    a, b = shift[both & treated], shift[both & ~treated]
    if min(a.size, b.size) < LEAST_ARM or is_constant(shift[both]):
        code = "E_N_MIN" if min(a.size, b.size) < LEAST_ARM else "W_IDENTICAL"
        return [Estimate(np.nan, np.nan, np.nan, np.nan, np.nan, "not tested", a.size + b.size, (code,))]
    events = group.loc[both, ["n_events_before", "n_events_after"]].to_numpy(dtype=float)
    if (events == 0).all():
        method = "not estimable: all counts are 0"
        return [Estimate(np.nan, np.nan, np.nan, np.nan, np.nan, method, a.size + b.size, ("W_ALL_ZERO",))]
    return [
        ancova(before[both], after[both], treated[both]),
        mixed_interaction(before, after, treated),
        welch(a, b),
        mann_whitney(a, b),
    ]


def compare_responders(pairs: pd.DataFrame, responder: Mapping[str, bool]) -> pd.DataFrame:
    """Compare the shifts of responders and non-responders: descriptive, for response came after the shift.

    Parameters
    ----------
    pairs : rows of `tables.PAIRS`.
    responder : patient_id -> whether the patient responded; patients not named are left out.

    Returns
    -------
    As `compare_arms`; contrast ``responders - non-responders (descriptive)``. Below 4 in either group the
    smallest exact p is above 0.05: no test, code E_N_MIN.
    """
    contrast = "responders - non-responders (descriptive)"
    known = pairs[pairs["patient_id"].isin(responder) & pairs["shift"].notna()]
    rows = []
    for endpoint, group in known.groupby("endpoint", sort=False):
        response = group["patient_id"].map(responder).to_numpy(dtype=bool)
        d = group["shift"].to_numpy(dtype=float)
        a, b = d[response], d[~response]
        if min(a.size, b.size) < LEAST_RESPONDERS:
            short = Estimate(np.nan, np.nan, np.nan, np.nan, np.nan, "not tested", d.size, ("E_N_MIN",))
            rows.append(_row(endpoint, contrast, short))
            continue
        rows += [_row(endpoint, contrast, test(a, b)) for test in (welch, mann_whitney)]
    return pd.DataFrame(rows, columns=_COLUMNS)


def correlate_shifts(
    pairs: pd.DataFrame,
    change: Mapping[str, float],
    baseline: Mapping[str, float] | None = None,
    *,
    seed: int = 0,
) -> pd.DataFrame:
    """Correlate each endpoint's shift with a clinical change over patients (Spearman).

    Parameters
    ----------
    pairs : rows of `tables.PAIRS`.
    change : patient_id -> clinical change over the same visits.
    baseline : patient_id -> clinical value before; with it a correlation given both baselines is added, for
        both changes regress to the mean.
    seed : of the permutations at 9 patients.

    Returns
    -------
    endpoint, n, rho, ci_low, ci_high, p_value, p_method, partial_rho. Limits by Fisher's z with standard
    error 1.06 / sqrt(n - 3) (Fieller, Hartley and Pearson 1957); p by permutation below 10 patients.
    """
    rows = []
    for endpoint, group in pairs[pairs["shift"].notna()].groupby("endpoint", sort=False):
        kept = group[group["patient_id"].isin(change)]
        x = np.asarray(kept["shift"], dtype=np.float64)
        y = np.asarray(kept["patient_id"].map(change), dtype=np.float64)
        there = np.isfinite(y)
        x, y, kept = x[there], y[there], kept[there]
        rho, low, high, p, method = spearman(x, y, seed=seed)
        partial = float("nan")
        if baseline is not None and np.isfinite(rho):
            clinical = np.asarray(kept["patient_id"].map(baseline), dtype=np.float64)
            started = np.asarray(kept["before"], dtype=np.float64)
            partial = _partial(x, y, (started, clinical)) if np.isfinite(started + clinical).all() else float("nan")
        rows.append([endpoint, x.size, rho, low, high, p, method, partial])
    columns = ["endpoint", "n", "rho", "ci_low", "ci_high", "p_value", "p_method", "partial_rho"]
    return pd.DataFrame(rows, columns=columns)


def spearman(x: ArrayLike, y: ArrayLike, *, seed: int = 0) -> tuple[float, float, float, float, str]:
    """Return rho, its 95 % limits, p, and how p was found. NaN below 4 patients or for a constant."""
    a, b = midranks(np.asarray(x, dtype=float)), midranks(np.asarray(y, dtype=float))
    n = a.size
    if n < 4 or is_constant(a) or is_constant(b):
        return float("nan"), float("nan"), float("nan"), float("nan"), "not tested"
    rho = float(np.corrcoef(a, b)[0, 1])
    half = -float(ndtri(ALPHA / 2.0)) * 1.06 / np.sqrt(n - 3)
    z = np.arctanh(np.clip(rho, -1 + 1e-12, 1 - 1e-12))
    if n >= 10:
        t = abs(rho) * np.sqrt((n - 2) / max(1.0 - rho**2, 1e-300))
        p, method = float(2.0 * stdtr(n - 2, -t)), "t approximation"
    else:
        p, method = _permutation_p(a, b, seed)
    return rho, float(np.tanh(z - half)), float(np.tanh(z + half)), p, method


def _permutation_p(a: Array, b: Array, seed: int) -> tuple[float, str]:
    n = a.size
    exact = n <= 8
    if exact:
        orders = np.array(list(permutations(range(n))))
    else:
        draws = np.random.default_rng(seed).random((PERMUTATIONS, n))
        orders = np.concatenate([np.arange(n)[None], np.argsort(draws, axis=1)])
    centred = a - a.mean()
    statistic = np.abs(b[orders] @ centred)
    p = float((statistic >= abs(float(b @ centred)) * (1.0 - 1e-9)).mean())
    return p, "exact permutation" if exact else f"permutation, {PERMUTATIONS} draws, seed {seed}"


def _partial(x: Array, y: Array, given: tuple[Array, Array]) -> float:
    if x.size < 6:
        return float("nan")
    design = np.column_stack([np.ones(x.size), *(midranks(column) for column in given)])
    residuals = []
    for values in (x, y):
        ranks = midranks(values)
        residuals.append(ranks - design @ least_squares(design, ranks).beta)
    if min(float(r.std()) for r in residuals) < 1e-12:
        return float("nan")
    return float(np.corrcoef(residuals[0], residuals[1])[0, 1])
