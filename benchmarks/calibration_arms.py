"""Type I error and coverage of the difference between two arms: one variance for both against one for each.

Levels before are normal, levels after follow them with slope 0.6 and a spread that is ``ratio`` times as large in the
active arm. Nothing differs between the arms but that. ``kernels`` are trials without missing or censored values;
``whole`` goes through the comparison: a third of each arm lost by the interim response, values below an assay's limit,
or few counted events.

    python benchmarks/calibration_arms.py [--sims 2000] [--whole 300] [--docs]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from immunolab.comparison.group_tests import ancova, ancova_by_arm
from immunolab.comparison.plan import Plan
from immunolab.comparison.table import compare_endpoints

SIZES = ((4, 4), (6, 6), (8, 8), (12, 12), (4, 8), (4, 12), (6, 12), (8, 4), (12, 4), (12, 6))  # active, control
RATIOS = (1.0, 2.0, 4.0)
WHOLE = (("lost", (8, 8)), ("lost", (12, 12)), ("lost", (8, 12)), ("limit", (8, 8)), ("limit", (12, 12)))
WHOLE += (("limit", (8, 12)), ("few", (8, 8)), ("few", (12, 12)))
_SLOPE, _RESIDUAL = 0.6, 0.8  # correlation 0.6 of both visits


def simulate(seed: int, sims: int, sizes: tuple[int, int], ratio: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return levels before and after ``(sims, n)`` and who is in the active arm ``(n,)``."""
    rng = np.random.default_rng(seed)
    treated = np.arange(sum(sizes)) < sizes[0]
    before = rng.normal(size=(sims, treated.size))
    spread = _RESIDUAL * np.where(treated, ratio, 1.0)
    return before, _SLOPE * before + spread * rng.normal(size=before.shape), treated


def kernels(sims: int) -> Iterator[dict[str, object]]:
    """Yield type I error with one variance and with one an arm, for every size and ratio of spreads."""
    for sizes in SIZES:
        for ratio in RATIOS:
            before, after, treated = simulate(100 * sizes[0] + sizes[1], sims, sizes, ratio)
            p = [
                [f(x, y, treated).p_value for f in (ancova, ancova_by_arm)] for x, y in zip(before, after, strict=True)
            ]
            one, each = (np.array(p) < 0.05).mean(axis=0)
            yield {"active": sizes[0], "control": sizes[1], "ratio": ratio, "one variance": one, "each arm": each}


def whole_rows(seed: int, sims: int, kind: str, sizes: tuple[int, int]) -> pd.DataFrame:
    """Return endpoint rows of trials, each its own endpoint; responses vary twice as much in the active arm."""
    rng = np.random.default_rng(seed)
    treated = np.arange(sum(sizes)) < sizes[0]
    person = rng.normal(0, 0.5, (sims, treated.size, 1))
    response = np.where(treated, 0.5, 0.25)[None, :, None] * rng.normal(size=person.shape)
    day = np.array([0.0, 0.6, 1.0])
    levels = person + response * day + rng.normal(0, 0.15, (sims, treated.size, 3))
    visits = np.array(["W0", "W5", "W10"])
    s, p, v = (axis.ravel() for axis in np.indices(levels.shape))
    rows = pd.DataFrame({"endpoint": s.astype(str), "patient_id": [f"P{i}" for i in p], "visit": visits[v]})
    rows = rows.assign(cohort=np.where(treated[p], "drug", "placebo"), study_day=np.array([1, 36, 71])[v])
    if kind == "few":
        parents = np.where(v == 0, 20_000, 8_000)
        rows["n_events"] = rng.binomial(parents, np.clip(0.001 * np.exp(levels.ravel()), 0, 1))
        rows["n_parent"] = parents
        return rows.assign(value=100 * rows["n_events"] / parents, unit="%")[v != 1]
    rows = rows.assign(value=np.exp(levels.ravel()), unit="pg/ml", flag="")
    if kind == "lost":
        change = levels[..., 1] - levels[..., 0]
        score = np.where(treated, 1.0, -1.0) * change / np.where(treated, 0.5, 0.25) + rng.normal(0, 0.3, change.shape)
        lost = np.zeros(score.shape, dtype=bool)
        for arm in (treated, ~treated):  # those who did worst of the drug, best of placebo
            rank = score[:, arm].argsort(axis=1).argsort(axis=1)
            lost[:, arm] = rank < round(arm.sum() / 3)
        return rows[~((v == 2) & lost[s, p])]
    limit = np.exp(np.quantile(levels[..., [0, 2]], 0.3))
    below = rows["value"] < limit
    rows.loc[below, "value"] = limit
    return rows.assign(flag=np.where(below, "below_limit", ""))[v != 1]


def whole(sims: int) -> Iterator[dict[str, object]]:
    """Yield type I error of the plain analysis of covariance and of the main test, of those tested."""
    for kind, sizes in WHOLE:
        rows = whole_rows(7, sims, kind, sizes)
        found = compare_endpoints(rows, Plan("W0", "W10")).arms
        main = found[found["test"] == "main"]["p_value"].dropna()
        plain = compare_endpoints(rows, Plan("W0", "W10", test="t")).arms
        before = plain[plain["method"] == "ANCOVA on the level before, one variance"]["p_value"].dropna()
        yield {
            "kind": kind,
            "active": sizes[0],
            "control": sizes[1],
            "before": (before < 0.05).mean(),
            "now": (main < 0.05).mean(),
            "tested": len(main) / sims,
        }


def kernel_lines(table: pd.DataFrame) -> list[str]:
    """Return the table of docs/validation_statistics.md: a row a pair of sizes, a column a ratio of spreads."""
    lines = [
        "| patients, active / control | " + " | ".join(f"spread {r:g} : 1" for r in RATIOS) + " |",
        "|---" * 4 + "|",
    ]
    for sizes, own in table.groupby(["active", "control"], sort=False):
        cells = [f"{row['one variance']:.3f} / {row['each arm']:.3f}" for _, row in own.iterrows()]
        lines.append(f"| {sizes[0]} / {sizes[1]} | " + " | ".join(cells) + " |")
    return lines


def whole_lines(table: pd.DataFrame) -> list[str]:
    """Return the table of trials with missing, censored or few events."""
    words = {"lost": "a third lost by the interim response", "limit": "30 % below the limit", "few": "8 to 20 events"}
    lines = ["| scenario | patients, active / control | before / now | tested |", "|---|---|---|---|"]
    for row in table.itertuples():
        numbers = f"{row.before:.3f} / {row.now:.3f} | {100 * row.tested:.0f} %"
        lines.append(f"| {words[row.kind]} | {row.active} / {row.control} | {numbers} |")
    return lines


def main() -> None:
    """Run both parts and print them as the tables of the page, or write them there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sims", type=int, default=2000)
    parser.add_argument("--whole", type=int, default=300)
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/validation_statistics.md")
    given = parser.parse_args()
    parts = {
        "arms": kernel_lines(pd.DataFrame(list(kernels(given.sims)))),
        "arms whole": whole_lines(pd.DataFrame(list(whole(given.whole)))),
    }
    page = Path(__file__).parent.parent / "docs" / "validation_statistics.md"
    text = page.read_text(encoding="utf-8")
    for name, lines in parts.items():
        print("\n".join(lines), "\n")
        head, _, rest = text.partition(f"<!-- {name} -->\n")
        if given.docs and rest:
            text = head + f"<!-- {name} -->\n" + "\n".join(lines) + "\n<!-- end -->" + rest.partition("<!-- end -->")[2]
    if given.docs:
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
