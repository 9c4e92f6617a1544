"""Calibration of responders: denominators where patients are lost, and the trend over registered visits.

    python benchmarks/calibration_responders.py [--sims 1000] [--docs]

Denominators: each patient responds with probability 0.6 and is lost with probability 0.4; what is asked for is the
share of those enrolled who came and responded, 0.36. ``before`` are the intervals that version 0.2 called the worst
case. Trend: responses at five visits (three where said) without any trend, a tenth of them missing; the patients' log
odds vary with standard deviation ``spread``. ``uncorrected`` is the usual sandwich referred to the normal distribution.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binom, norm

from immunolab.clinical.responders import responders
from immunolab.comparison.binary import exact_binomial, gee_trend, mcnemar

PATIENTS = (8, 12, 20)
TRENDS = ((5, 0.3, 0.0), (5, 0.3, 2.0), (5, 0.5, 0.0), (5, 0.5, 2.0), (3, 0.5, 2.0))  # visits, rate, spread
_RESPONDS, _LOST = 0.6, 0.4


def denominators(sims: int) -> Iterator[dict[str, object]]:
    """Yield how often the interval holds the share of those enrolled, with seen and with enrolled patients below."""
    for n in PATIENTS:
        rng, held = np.random.default_rng(n), np.zeros(2)
        for _ in range(sims):
            came = rng.random(n) > _LOST
            rows = [(f"P{i}", float(rng.random() < _RESPONDS)) for i in np.flatnonzero(came)]
            if not rows:
                continue
            table = pd.DataFrame(rows, columns=["patient_id", "value"])
            table = table.assign(score="SRI_4", visit="W10", verified="no", reason=None)
            for k, patients in enumerate((None, {f"P{i}": "" for i in range(n)})):
                row = responders(table, patients).iloc[0]
                truth = 100 * _RESPONDS * (1 - _LOST)
                held[k] += row["worst_case_ci_low"] <= truth <= row["worst_case_ci_high"]
        yield {"n": n, "before": held[0] / sims, "now": held[1] / sims}


def exact_sizes() -> Iterator[dict[str, object]]:
    """Yield the type I error of the exact tests, by enumeration: 30 % expected; half of the patients change."""
    for n in PATIENTS:
        k = np.arange(n + 1)
        size = sum(binom.pmf(i, n, 0.3) for i in k if exact_binomial(int(i), n, 30).p_value < 0.05)
        pairs = 0.0
        for changed in k[1:]:
            for gained in range(changed + 1):
                before = np.r_[np.zeros(gained), np.ones(n - gained)]
                after = np.r_[np.ones(gained), np.zeros(changed - gained), np.ones(n - changed)]
                if mcnemar(before, after).p_value < 0.05:
                    pairs += binom.pmf(changed, n, 0.5) * binom.pmf(gained, changed, 0.5)
        yield {"n": n, "binomial": size, "mcnemar": pairs}


def simulate(rng: np.random.Generator, n: int, visits: int, rate: float, spread: float) -> np.ndarray:
    """Return responses ``(n, visits)`` of no trend, NaN where missing."""
    middle = np.log(rate / (1 - rate)) * np.sqrt(1 + 0.346 * spread**2)  # the marginal rate then is about the rate
    odds = middle + spread * rng.normal(size=(n, 1))
    response = (rng.random((n, visits)) < 1 / (1 + np.exp(-odds))).astype(float)
    return np.where(rng.random(response.shape) < 0.1, np.nan, response)


def uncorrected(response: np.ndarray, days: np.ndarray) -> float:
    """Return p of the same equations with the usual sandwich, by the normal distribution."""
    from statsmodels.genmod.cov_struct import Exchangeable
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_estimating_equations import GEE

    patient, visit = np.nonzero(np.isfinite(response))
    design = np.column_stack([np.ones(patient.size), (days - days.mean())[visit] / 28.0])
    y = response[patient, visit]
    fit = GEE(y, design, groups=patient, family=Binomial(), cov_struct=Exchangeable()).fit()
    return float(2 * norm.sf(abs(fit.params[1] / fit.bse[1])))


def trends(sims: int) -> Iterator[dict[str, object]]:
    """Yield type I error of the trend, of those tested, and the share that is tested."""
    for visits, rate, spread in TRENDS:
        for n in PATIENTS:
            rng, p = np.random.default_rng(100 * n + visits), []
            days = 15.0 + 14.0 * np.arange(visits)
            for _ in range(sims):
                response = simulate(rng, n, visits, rate, spread)
                found = gee_trend(response, days, 28.0)
                if found.tested:
                    p.append((uncorrected(response, days), found.p_value))
            before, now = (np.array(p) < 0.05).mean(axis=0)
            scenario = f"{visits} visits, {100 * rate:.0f} % respond, spread {spread:g}"
            yield {"scenario": scenario, "n": n, "before": before, "now": now, "tested": len(p) / sims}


def lines_by_n(table: pd.DataFrame, head: str) -> list[str]:
    """Return a row a scenario, a column a number of patients."""
    lines = [f"| {head} | " + " | ".join(f"n = {n}" for n in PATIENTS) + " |", "|---" * (1 + len(PATIENTS)) + "|"]
    for scenario, own in table.groupby("scenario", sort=False):
        cells = [
            f"{row.before:.3f} / {row.now:.3f}" + (f" ({100 * row.tested:.0f} %)" if row.tested < 0.995 else "")
            for row in own.itertuples()
        ]
        lines.append(f"| {scenario} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    """Run all parts and print them as the tables of the page, or write them there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sims", type=int, default=1000)
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/validation_statistics.md")
    given = parser.parse_args()
    first = pd.DataFrame(list(denominators(given.sims))).assign(
        scenario="interval holds the share of those enrolled", tested=1.0
    )
    exact = pd.DataFrame(list(exact_sizes()))
    sizes = [
        "| exact test, type I error by enumeration | " + " | ".join(f"n = {n}" for n in PATIENTS) + " |",
        "|---" * (1 + len(PATIENTS)) + "|",
        *(
            f"| {words} | " + " | ".join(f"{value:.3f}" for value in exact[name]) + " |"
            for name, words in (
                ("binomial", "against a rate of 30 %"),
                ("mcnemar", "McNemar, half of the patients change"),
            )
        ),
    ]
    parts = {
        "responders": lines_by_n(first, "40 % lost, before / now"),
        "responders exact": sizes,
        "responders trend": lines_by_n(pd.DataFrame(list(trends(given.sims))), "uncorrected / now"),
    }
    page = Path(__file__).parent.parent / "docs" / "validation_statistics.md"
    text = page.read_text(encoding="utf-8")
    for name, lines in parts.items():
        print("\n".join(lines), "\n", flush=True)
        head, _, rest = text.partition(f"<!-- {name} -->\n")
        if given.docs and rest:
            text = head + f"<!-- {name} -->\n" + "\n".join(lines) + "\n<!-- end -->" + rest.partition("<!-- end -->")[2]
    if given.docs:
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
