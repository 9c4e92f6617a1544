"""Borders that follow a bridging control: bias of the Treg shift, false calls, and wrong bridges that are refused.

Simulated studies in which batch equals visit: new CD25 lot in the second batch, every marker drifts from run to run, a
bridging control in each batch. Gates are placed once on the first batch's bridging control and drawn on every tube
(``drawn``, what a workspace does), or placed by data on each patient and batch (``placed``). Truth: the cells drawn.

    python benchmarks/bridges.py --seeds 20 [--gates placed] [--bridge stain] [--out FILE]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import stdtrit

import immunolab as il
from immunolab.config import dump_yaml
from immunolab.simulation import Options, simulate

TRIAL = "sle_nct02084238"
PATIENTS, EVENTS = 8, 12_000
PATIENTS_CROSSED = 12  # over four batches: three in each pair of them
WRONG = ("stain", "fade", "drift", "donor", "thaw", "labels", "missing", "few")


def make(
    folder: Path,
    seed: int,
    *,
    wrong: str = "",
    null: bool = False,
    drawn: bool = True,
    events: int = EVENTS,
    crossed: bool = False,
) -> None:
    """Write a study whose visits are its batches, or cross four of them, with or without a wrong bridge."""
    options = Options(
        lot_change=True,
        batch_drift=0.1,
        bridges=True,
        wrong_bridge=wrong,
        batches="crossed" if crossed else "patients",
        truth_events=False,  # type: ignore[arg-type]
    )
    simulate(
        TRIAL,
        patients=PATIENTS_CROSSED if crossed else PATIENTS,
        seed=seed,
        folder=folder,
        visits=["W0", "W10"],
        events=events,
        null=null,
        confounded=not crossed,
        options=options,
    )
    strategy = "treg_th17_tfh_teff"
    if drawn:
        tube = il.read_fcs(folder / "fcs" / "B1_surface_bridge.fcs")
        strategy = "gates.yaml"
        il.gate(tube, "treg_th17_tfh_teff").strategy.save(folder / strategy)
    share = {"statistic": "percent_of_parent", "parent": "CD4", "source": "benchmark"}
    study = {
        "study": f"bridges {seed}",
        "simulated": True,
        "panels": {"surface": {"strategy": strategy}},
        "comparison": {"before": "W0", "after": "W10", "noise": 15.0},
        "quality": {"bridge": "follow"},
        "endpoints": [
            {"id": "treg", "population": "Treg", **share},
            {"id": "naive", "population": "CD4_naive", **share},
        ],
    }
    (folder / "study.yaml").write_text(dump_yaml(study), encoding="utf-8")


def measured(folder: Path, out: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return each patient's pair with its true log odds ratio, and the moves."""
    run = il.run(folder, out=out, tables_only=True, quiet=True)
    pairs = run.table("bridge_pairs")
    truth = pd.read_csv(folder / "truth" / "populations.csv")
    truth = truth[(truth["population"] == "Treg") & (truth["parent"] == "CD4")]
    odds = np.log((truth["n_events"] + 0.5) / (truth["n_parent"] - truth["n_events"] + 0.5))
    table = truth.assign(odds=odds).pivot_table(index="patient_id", columns="visit", values="odds")
    own = pairs[pairs["endpoint"] == "treg"].set_index("patient_id")
    sheet = pd.read_csv(folder / "samples.csv").dropna(subset=["patient_id"])
    last = sheet.loc[sheet["batch"] == sheet["batch"].max(), "patient_id"]
    return own.assign(true=table["W10"] - table["W0"], last=own.index.isin(last)), run.table("bridge_moves")


def _shift(pairs: pd.DataFrame, suffix: str) -> pd.Series:
    sides = (np.log(pairs[f"{side}{suffix}"] / (100 - pairs[f"{side}{suffix}"])) for side in ("before", "after"))
    before, after = sides
    return after - before


def _within(pairs: pd.DataFrame) -> tuple[float, bool]:
    """Return the moves' error of the mean shift, and whether 95 % limits with it hold the truth."""
    own = pairs[pairs["outcome"] == "followed"]
    if own.empty:
        return np.nan, False
    errors = _shift(own, "_bridged") - own["true"]
    common = float(own["move_se"].mean())
    scatter = errors.std(ddof=1) / np.sqrt(len(errors)) * stdtrit(len(errors) - 1, 0.975)
    return common, bool(abs(errors.mean()) <= np.hypot(scatter, 1.96 * common))


def rows(seeds: int, first: int, wrong: str, drawn: bool, crossed: bool) -> Iterator[dict[str, object]]:
    """Yield one row a seed: errors of the mean shift, calls of patients without an effect, what was refused."""
    for seed in range(first, first + seeds):
        null = seed % 2 == 0
        with tempfile.TemporaryDirectory() as place:
            folder, began = Path(place) / "study", time.process_time()
            make(folder, seed, wrong=wrong, null=null, drawn=drawn, crossed=crossed)
            pairs, moves = measured(folder, Path(place) / "out")
        said = pairs["verdict_bridged"].fillna("")
        followed = pairs["outcome"] == "followed"
        apart = {side: _shift(pairs, side) - pairs["true"] for side in ("", "_bridged")}
        yield {
            "seed": seed,
            "bridge": wrong or "right",
            "gates": "drawn" if drawn else "placed",
            "null": null,
            "refused": not (followed & pairs["last"]).any(),
            "others_followed": float(followed[~pairs["last"]].astype(float).mean()),  # of none: NaN
            "error_uncorrected": float(apart[""].mean()),
            "error_bridged": float(apart["_bridged"].mean()) if followed.any() else np.nan,
            "sd_uncorrected": float(apart[""].std()),
            "sd_bridged": float(apart["_bridged"].std()),
            "patients": int(followed.sum()),
            "calls": int(said.isin(["rise", "fall"]).sum()),
            "calls_uncorrected": int(pairs["verdict"].isin(["rise", "fall"]).sum()),
            "true_rise": float(pairs["true"].mean()),
            "seconds": time.process_time() - began,
            "move_se": _within(pairs)[0],
            "covered": _within(pairs)[1],
            "reason": "; ".join(moves["reason"].dropna().unique()[:2])[:200],
        }


def main() -> None:
    """Run the seeds that are asked for and print one line each, then the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=100)
    parser.add_argument("--bridge", choices=("", *WRONG), default="")
    parser.add_argument("--gates", choices=("drawn", "placed"), default="drawn")
    parser.add_argument("--crossed", action="store_true", help="12 patients over four batches, visits in all of them")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    found = []
    drawn = arguments.gates == "drawn"
    for row in rows(arguments.seeds, arguments.first, arguments.bridge, drawn, arguments.crossed):
        found.append(row)
        print({name: round(v, 3) if isinstance(v, float) else v for name, v in row.items()}, flush=True)
        if arguments.out:
            pd.DataFrame(found).to_csv(arguments.out, index=False)
    table = pd.DataFrame(found)
    null, n = table[table["null"]], len(table)
    print(f"refused in {table['refused'].sum()} of {n} seeds")
    for name in ("error_uncorrected", "error_bridged"):
        values = 100 * table[name].dropna()
        print(f"{name}: mean {values.mean():+.2f} %, sd over seeds {values.std():.2f} %, n {len(values)}")
    if null["patients"].sum():
        print(f"false calls: {null['calls'].sum()} of {null['patients'].sum()} patients without an effect")


if __name__ == "__main__":
    main()
