"""The acceptance lines of real tubes: what is reached, and which failures were silent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from real_set import RealSet
from real_sets import MEMORY

SHARE_OF_BEST = {"CD4": 0.97, "CD8": 0.93}  # of the macro F1 that two straight thresholds allow
LEAST_MACRO, LEAST_ACTIVATED, LEAST_LINEAGE = 0.85, 0.75, 0.95  # F1
POINTS = 3.0  # percentage points between the gates and the expert
GRID = 100  # borders a marker that are tried in the search for the best two
TREG_RANGE, TREG_EVENTS, CTLA4_RATIO = (1.5, 15.0), 1_000, 3.0


def best_macro_f1(x: NDArray, y: NDArray, label: NDArray, n: int = GRID) -> float:
    """Return the highest macro F1 over naive, CM, EM and TEMRA (0..3) that one border on x and one on y reach."""
    return best_borders(x, y, label, n)[2]


def best_borders(x: NDArray, y: NDArray, label: NDArray, n: int = GRID) -> tuple[float, float, float]:
    """Return the border on x, that on y, and the macro F1 over naive, CM, EM and TEMRA (0..3) that no others exceed."""
    edges = [np.unique(np.quantile(v, np.linspace(0.005, 0.995, n))) for v in (x, y)]
    places = [np.searchsorted(edge, v) for edge, v in zip(edges, (x, y), strict=True)]
    shape = (4, len(edges[0]) + 1, len(edges[1]) + 1)
    cells = np.zeros(shape)
    np.add.at(cells, (label, *places), 1)
    low = np.cumsum(np.cumsum(cells, 1), 2)[:, :-1, :-1]  # class x border x border: events below both
    left = np.cumsum(cells.sum(2), 1)[:, :-1, None]
    down = np.cumsum(cells.sum(1), 1)[:, None, :-1]
    total = cells.sum((1, 2))[:, None, None]
    quadrants = [total - left - down + low, left - low, low, down - low]  # naive, CM, EM, TEMRA
    scores = np.mean([2 * q[k] / (q.sum(0) + total[k]) for k, q in enumerate(quadrants)], 0)
    best = np.unravel_index(int(scores.argmax()), scores.shape)
    return float(edges[0][best[0]]), float(edges[1][best[1]]), float(scores[best])


def _line(line: str, run: str, reached: str, passed: bool | None) -> dict:
    return {"line": line, "run": run, "result": {True: "pass", False: "FAIL", None: "-"}[passed], "reached": reached}


def _hipc(table: pd.DataFrame, data: RealSet, run: str) -> Iterator[dict]:
    yield from _f1_of(("CD4", "CD8"), LEAST_LINEAGE)(table, data, run)
    for lineage, share in SHARE_OF_BEST.items():
        words, good, macros = [], [], []
        for tube in data.tubes:
            truth = {one.population: one.events for one in data.expected[tube.sample_id]}
            label = np.full(len(tube), -1)
            for k, part in enumerate(MEMORY[:4]):
                label[truth[f"{lineage}_{part}"]] = k
            kept = label >= 0
            best = best_macro_f1(tube["CD45RA"][kept], tube["CCR7"][kept], label[kept])
            rows = table[(table["tube"] == tube.sample_id)].set_index("population")["f1"]
            names = [f"{lineage}_{part}" for part in MEMORY[:4]]
            macro = float(rows.reindex(names).fillna(0).mean())
            macros.append(macro)
            good.append(macro / best >= share)
            words.append(f"{tube.sample_id} {macro:.3f}/{best:.3f}={macro / best:.2f}")
        yield _line(
            f"{lineage} memory: macro F1 at least {share} of the best two thresholds", run, ", ".join(words), all(good)
        )
        yield _line(
            f"{lineage} memory: no tube's macro F1 below {LEAST_MACRO}",
            run,
            f"lowest {min(macros):.3f}",
            min(macros) >= LEAST_MACRO,
        )
    f1 = table[table["population"] == "CD4_act"].set_index("tube")["f1"].fillna(0)
    words = ", ".join(f"{tube} {value:.2f}" for tube, value in f1.items())
    yield _line(f"CD4 activated: F1 at least {LEAST_ACTIVATED}", run, words, bool((f1 >= LEAST_ACTIVATED).all()))


def _points(table: pd.DataFrame, names: tuple[str, ...], run: str) -> Iterator[dict]:
    for name in names:
        rows = table[table["population"] == name]
        gap = (rows["pct_called"] - rows["pct_expert"]).to_numpy(float)
        words = ", ".join(
            f"{t} {g:+.1f}" if np.isfinite(g) else f"{t} none" for t, g in zip(rows["tube"], gap, strict=True)
        )
        yield _line(f"{name}: within {POINTS:g} points of the expert", run, words, bool((np.abs(gap) <= POINTS).all()))


def _symphony(table: pd.DataFrame, _: RealSet, run: str) -> Iterator[dict]:
    yield from _points(table, ("CD3", "CD4", "CD8"), run)
    words, good = [], []
    for row in table[table["population"] == "Treg_FOXP3"].to_dict("records"):
        withheld = row["rank"] == "unusable" or not np.isfinite(row["pct_called"])
        few = not row["n_parent"] >= TREG_EVENTS
        good.append(withheld or few or TREG_RANGE[0] <= row["pct_called"] <= TREG_RANGE[1])
        words.append(f"{row['tube']} {row['pct_called']:.2f} % of {row['n_parent']:.0f} CD4" + " withheld" * withheld)
    yield _line("Treg 1.5 to 15 % of CD4, or withheld", run, ", ".join(words), all(good))
    rows = table[(table["population"] == "Treg_FOXP3") & (table["rank"] != "unusable")]
    ratio = rows["ctla4_ratio"].to_numpy(float)
    words = ", ".join(f"{t} {r:.1f}" for t, r in zip(rows["tube"], ratio, strict=True))
    yield _line(
        f"CTLA-4 of Treg at least {CTLA4_RATIO:g} times that of other CD4",
        run,
        words,
        bool((ratio >= CTLA4_RATIO).all()),
    )


def _cytoexplorer(table: pd.DataFrame, _: RealSet, run: str) -> Iterator[dict]:
    yield from _points(table, ("CD4", "CD8", "CD4_CD69", "CD8_CD69"), run)
    for name in ("CD4_CD69", "CD8_CD69"):
        rows = table[table["population"] == name]
        r = float(rows["pct_called"].corr(rows["pct_expert"]))
        words = ", ".join(f"{a:.1f} for {b:.1f}" for a, b in zip(rows["pct_called"], rows["pct_expert"], strict=True))
        yield _line(f"{name}: induction kept (r of at least .9)", run, f"r {r:.2f}: {words}", r >= 0.9)


def _f1_of(names: tuple[str, ...], least: float):
    def lines(table: pd.DataFrame, _: RealSet, run: str) -> Iterator[dict]:
        for name in names:
            f1 = table[table["population"] == name].set_index("tube")["f1"].fillna(0)
            words = ", ".join(f"{tube} {value:.2f}" for tube, value in f1.items())
            yield _line(f"{name}: F1 at least {least}", run, words, bool((f1 >= least).all()))

    return lines


def _absent(table: pd.DataFrame, _: RealSet, run: str) -> Iterator[dict]:
    for name in ("CD4", "CD8"):
        rows = table[table["population"] == name]
        spoken = rows["rank"].isin(["unusable", "doubtful"]) | (rows["n_called"] == 0)
        least, most = rows["pct_called"].min(), rows["pct_called"].max()
        words = f"called {least:.1f} to {most:.1f} % of T cells, {(~spoken).sum()} unflagged"
        yield _line(f"{name} of cells that have none: none called, or flagged", run, words, bool(spoken.all()))


LINES = {
    "hipc": _hipc,
    "hipc_from_CD3": _hipc,
    "hipc_shipped": _hipc,
    "symphony": _symphony,
    "cytoexplorer": _cytoexplorer,
    "flowsom": _f1_of(("CD4", "CD8", "B", "NK", "NKT"), LEAST_LINEAGE),
    "flowsom_documented_logicle": _f1_of(("CD4", "CD8", "B", "NK", "NKT"), LEAST_LINEAGE),
    "cytof": _f1_of(("CD3", "CD4", "T_CD8"), LEAST_LINEAGE),
    "catalyst": _f1_of(("CD3", "CD4", "CD8"), LEAST_LINEAGE),
    "coereba": _absent,
}


def acceptance(table: pd.DataFrame, sets: Mapping[str, RealSet]) -> pd.DataFrame:
    """Return a row for each acceptance line and run."""
    rows = []
    for name, data in sets.items():
        for run in table["run"].unique():
            part = table[(table["set"] == name) & (table["run"] == run)]
            rows += [{"set": name, **line} for line in LINES.get(name, lambda *_: ())(part, data, run)]
    rows += _no_silent_failure(table)
    return pd.DataFrame(rows, columns=["set", "run", "result", "line", "reached"])


def _no_silent_failure(table: pd.DataFrame) -> Iterator[dict]:
    for run, part in table.groupby("run", sort=False):
        spoken = part["rank"].isin(["unusable", "doubtful"])
        wrong, right = part["outcome"] == "wrong", part["outcome"] == "right"
        silent, alarms = int((wrong & ~spoken).sum()), int((right & spoken).sum())
        share = 100 * alarms / max(1, right.sum())
        yield {"set": "all", **_line("no silent failure", run, f"{silent} of {wrong.sum()} silent", silent == 0)}
        words = f"{alarms} of {right.sum()} ({share:.1f} %) right results flagged"
        yield {"set": "all", **_line("at most 5 % of right results flagged", run, words, share <= 5)}


def silence(table: pd.DataFrame) -> pd.DataFrame:
    """Return failures without a flag, and right results with one, by set and run."""
    spoken = table["rank"].isin(["unusable", "doubtful"])
    kinds = {
        "wrong": table["outcome"] == "wrong",
        "silent": (table["outcome"] == "wrong") & ~spoken,
        "right": table["outcome"] == "right",
        "false_alarms": (table["outcome"] == "right") & spoken,
        "refused_or_left_out": table["outcome"].isin(["refused", "left out"]),
    }
    frame = table[["set", "run"]].assign(**kinds)
    found = frame.groupby(["set", "run"], sort=False).sum().reset_index()
    named = table[kinds["silent"]].groupby(["set", "run"])
    silent = {key: ", ".join(f"{t} {p}" for t, p in zip(g["tube"], g["population"], strict=True)) for key, g in named}
    return found.assign(silent_ones=[silent.get((s, r), "") for s, r in zip(found["set"], found["run"], strict=True)])
