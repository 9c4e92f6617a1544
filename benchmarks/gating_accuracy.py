"""How well gates find planted cells: the shipped strategy beside two simple ones, on simulated studies.

``python benchmarks/gating_accuracy.py [-o FOLDER] [--seed S] [--patients N]`` simulates eight studies, gates them
three ways, and writes ``gating_accuracy.json`` and ``gating_accuracy.md``. Seeds from 9000 up were never used while
the methods were developed.

The three ways: ``default`` (the shipped surface strategy, borders pooled over each patient's visits within a batch),
``fixed`` (the same strategy placed on the study's first tube and applied to all), ``valley`` (every border a valley
of the file itself, no reference population).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from immunolab.config import parse_yaml
from immunolab.errors import ImmunolabError
from immunolab.events.subsample import subsample
from immunolab.events.tube import Tube
from immunolab.gating.evaluate import evaluate
from immunolab.gating.placement.fit import fit
from immunolab.gating.placement.uncertainty import percent_intervals
from immunolab.gating.strategy import Strategy
from immunolab.gating.strategy_file import builtin_strategy, parse_strategy
from immunolab.loaders.fcs.read import read_fcs
from immunolab.simulation import Options, simulate

SUBSETS = {
    "surface": ("Treg", "Th17", "Tfh_eff", "Tfh_CXCR5", "Teff", "Th1", "CD4_naive", "Tfr"),
    "foxp3": ("Treg_FOXP3", "Treg", "Treg_naive", "Treg_eff"),
}
STRATEGY = {"surface": "treg_th17_tfh_teff", "foxp3": "treg_foxp3"}
TRIAL = "sle_nct02084238"
VALLEY_MARKERS = (
    "Viability", "CD3", "CD4", "CD8", "CD45RA", "CCR7", "CD25", "CD127", "CXCR5", "CXCR3", "CCR6", "PD-1",
)  # fmt: skip
VALLEY = """
strategy: valley
transform: {default: {asinh: {cofactor: 150}}, scatter: linear}
populations:
  - {name: singlets, parent: root, singlets: {}}
  - {name: viable, parent: singlets, where: Viability-}
  - {name: lymphocytes, parent: viable, lymphocytes: {}}
  - {name: CD3, parent: lymphocytes, where: CD3+}
  - {name: CD4, parent: CD3, where: CD4+ CD8-}
  - {name: CD4_naive, parent: CD4, where: CD45RA+ CCR7+}
  - {name: CD4_EM, parent: CD4, where: CD45RA- CCR7-}
  - {name: CD4_mem, parent: CD4, where: CD45RA-}
  - {name: Treg, parent: CD4, where: CD25hi CD127lo}
  - {name: Tfr, parent: Treg, where: CXCR5+ CD45RA-}
  - {name: Teff, parent: CD4, all_of: CD4_EM, not: Treg}
  - {name: mem_conv, parent: CD4_mem, not: Treg}
  - {name: Tfh_CXCR5, parent: mem_conv, where: CXCR5+}
  - {name: Tfh_eff, parent: Tfh_CXCR5, where: PD-1hi CCR7lo}
  - {name: helper, parent: mem_conv, not: Tfh_CXCR5}
  - {name: Th1, parent: helper, where: CXCR3+ CCR6-}
  - {name: Th17, parent: helper, where: CXCR3- CCR6+}
thresholds:
""" + "\n".join(f"  {marker}: {{by: valley, scope: sample}}" for marker in VALLEY_MARKERS)


@dataclass(frozen=True)
class Scenario:
    """One simulated study."""

    name: str
    patients: int
    options: Options
    trial: str = TRIAL
    visits: tuple[str, ...] = ("W0", "W10")
    panel: str = "surface"


def scenarios(patients: int) -> list[Scenario]:
    """Return the studies of the benchmark."""
    plain = Options()
    return [
        Scenario("SLE", patients, plain),
        Scenario("healthy", patients, replace(plain, baseline="hc")),
        Scenario("lot change", patients, replace(plain, batches="months", lot_change=True)),
        Scenario("8 centres", max(patients, 16), replace(plain, centres=8)),
        Scenario("pure drift", patients, replace(plain, null=True, visit_noise=0.0, drift=0.12)),
        Scenario("8 000 events", patients, replace(plain, events=8000)),
        Scenario("3 000 events", patients, replace(plain, events=3000)),
        Scenario("FOXP3 tubes", patients, replace(plain, foxp3=True), "pmr_nct04062006", ("W0", "W12"), "foxp3"),
    ]


@dataclass(frozen=True)
class Study:
    """Tubes of one panel of a simulated study with the sheet and the truth of every event."""

    panel: str
    sheet: pd.DataFrame
    tubes: dict[str, Tube]
    truth: dict[str, pd.DataFrame]
    expected: pd.Series


def read_study(folder: Path, panel: str) -> Study:
    """Read the tubes of one panel of a simulated study."""
    sheet = pd.read_csv(folder / "samples.csv", dtype=str, keep_default_na=False)
    sheet = sheet[sheet["panel"] == panel]
    tubes, truth = {}, {}
    for row in sheet.itertuples():
        tubes[row.sample_id] = read_fcs(folder / row.file, sample_id=row.sample_id)
        truth[row.sample_id] = pd.read_parquet(folder / "truth" / "events" / f"{row.sample_id}.parquet")
    percents = pd.read_csv(folder / "truth" / "populations.csv")
    of_cd4 = percents[percents["parent"] == "CD4"].set_index(["sample_id", "population"])["expected_percent"]
    return Study(panel, sheet, tubes, truth, of_cd4)


def groups_of(study: Study) -> dict[str, dict[str, str]]:
    """Return patient and batch of every sample."""
    return {row.sample_id: {"patient": row.patient_id, "batch": row.batch} for row in study.sheet.itertuples()}


def gate_default(study: Study) -> tuple[dict[str, Strategy], pd.DataFrame]:
    """Fit patient by patient within each batch; return strategies and intervals of percents."""
    strategy, groups = builtin_strategy(STRATEGY[study.panel]), groups_of(study)
    strategies: dict[str, Strategy] = {}
    intervals = []
    for _, rows in study.sheet.groupby(["patient_id", "batch"], sort=False):
        tubes = [subsample(study.tubes[s], 30_000) for s in rows["sample_id"]]
        fitted = fit(strategy, tubes, groups=groups)
        strategies |= fitted.strategies
        intervals += [
            percent_intervals(fitted, t.sample_id, study.tubes[t.sample_id], denominators=["CD4"]) for t in tubes
        ]
    return strategies, pd.concat(intervals)


def gate_fixed(study: Study) -> dict[str, Strategy]:
    """Place all borders on the first tube and use them for every tube."""
    first = next(iter(study.tubes.values()))
    placed = fit(builtin_strategy(STRATEGY[study.panel]), [first]).strategies[first.sample_id]
    return dict.fromkeys(study.tubes, placed)


def gate_valley(study: Study) -> dict[str, Strategy]:
    """Place every border at a valley of the file itself."""
    strategy = parse_strategy(parse_yaml(VALLEY))
    return {name: fit(strategy, [tube]).strategies[name] for name, tube in study.tubes.items()}


def score(study: Study, strategies: dict[str, Strategy]) -> pd.DataFrame:
    """Return one row a sample and subset: precision, recall, F1, called and true percent of CD4."""
    rows = []
    for name, tube in study.tubes.items():
        members, truth = evaluate(strategies[name], tube), study.truth[name]
        called_cd4 = members.masks[strategies[name]["CD4"].path].sum()
        for subset in SUBSETS[study.panel]:
            called, true = members.masks[strategies[name][subset].path], truth[subset].to_numpy()
            hit = int((called & true).sum())
            rows.append(
                {
                    "sample_id": name,
                    "subset": subset,
                    "precision": hit / max(called.sum(), 1),
                    "recall": hit / max(true.sum(), 1),
                    "f1": 2 * hit / max(called.sum() + true.sum(), 1),
                    "called": 100 * called.sum() / max(called_cd4, 1),
                    "expected": study.expected.get((name, subset), np.nan),
                    "true": 100 * true.sum() / max(truth["CD4"].sum(), 1),
                }
            )
    frame = pd.DataFrame(rows)
    return frame.assign(ratio=frame["called"] / frame["true"]).merge(study.sheet, on="sample_id")


def summary(scores: pd.DataFrame) -> dict[str, float]:
    """Return the figures of one subset in one study."""
    by_group = scores.groupby("batch")["ratio"].mean()
    return {
        "files": len(scores),
        "precision": scores["precision"].median(),
        "recall": scores["recall"].median(),
        "f1": scores["f1"].median(),
        "called_true": scores["ratio"].median(),
        "called_true_sd": scores["ratio"].std(),
        "cv_between_batches_percent": 100 * by_group.std() / by_group.mean() if len(by_group) > 1 else float("nan"),
        "r_with_truth": float(np.corrcoef(scores["called"], scores["true"])[0, 1]),
        "worst_ratio": float(scores["ratio"].loc[(scores["ratio"] - 1).abs().idxmax()]),
        "shift_bias_percent": shift_bias(scores),
    }


def shift_bias(scores: pd.DataFrame) -> float:
    """Return how far the called fold is from the true fold, geometric mean over patients, in percent."""
    wide = scores.pivot(index="patient_id", columns="visit", values=["called", "true"])
    visits = list(wide["called"].columns)
    if len(visits) < 2:
        return float("nan")
    first, last = visits[0], visits[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        fold = (wide["called"][last] / wide["called"][first]) / (wide["true"][last] / wide["true"][first])
        logs = np.log(fold)
    return 100 * (float(np.exp(logs[np.isfinite(logs)].mean())) - 1)


def coverage(
    intervals: pd.DataFrame, scores: pd.DataFrame, strategies: dict[str, Strategy], subsets: tuple[str, ...]
) -> dict[str, dict[str, float]]:
    """Return, by subset, the share of files whose intervals hold the true percent of CD4.

    ``tube``: the gate interval holds the percent among the tube's own cells; ``blood``: the joint
    interval holds the percent that the tube was drawn with.
    """
    found = {}
    of_cd4 = intervals[intervals["denominator"] == "CD4"].set_index(["sample_id", "path"])
    for subset in subsets:
        truth = scores[scores["subset"] == subset].set_index("sample_id")
        rows = of_cd4.loc[[(name, strategies[name][subset].path) for name in truth.index]].reset_index(drop=True)
        tube, blood = truth["true"].to_numpy(), truth["expected"].to_numpy()
        found[subset] = {
            "tube": float(((rows["gate_low"] <= tube) & (tube <= rows["gate_high"])).mean()),
            "blood": float(((rows["low"] <= blood) & (blood <= rows["high"])).mean()),
        }
    return found


def run(folder: Path, seed: int, patients: int, only: str | None = None) -> dict[str, object]:
    """Simulate, gate and score every study."""
    result: dict[str, object] = {"seed": seed, "patients": patients, "studies": {}}
    for number, scenario in enumerate(scenarios(patients)):
        if only and only not in scenario.name:
            continue
        place = folder / f"study{number}"
        simulate(
            scenario.trial,
            patients=scenario.patients,
            seed=seed + number,
            folder=place,
            visits=scenario.visits,
            events=scenario.options.events,
            null=scenario.options.null,
            options=scenario.options,
        )
        study, subsets = read_study(place, scenario.panel), SUBSETS[scenario.panel]
        started = time.process_time()
        strategies, intervals = gate_default(study)
        seconds = (time.process_time() - started) / len(study.tubes)
        scored = {"default": score(study, strategies)}
        for name, way in (("fixed", gate_fixed), ("valley", gate_valley)):
            if name == "valley" and scenario.panel != "surface":
                continue
            try:
                scored[name] = score(study, way(study))
            except ImmunolabError as error:
                print(f"{scenario.name}, {name}: {error}")
        ways = {
            way: {subset: summary(rows[rows["subset"] == subset]) for subset in subsets} for way, rows in scored.items()
        }
        covered = coverage(intervals, scored["default"], strategies, subsets)
        result["studies"][scenario.name] = {"seconds_per_tube": seconds, "coverage": covered, "ways": ways}
        print(markdown({"studies": {scenario.name: result["studies"][scenario.name]}}), flush=True)
    return result


def markdown(result: dict[str, object]) -> str:
    """Return the result as a Markdown table."""
    lines = [
        "| study | subset | way | F1 | precision | recall | called/true | sd | CV batches % | r | shift bias % "
        "| coverage tube / blood % |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for study, part in result["studies"].items():
        for way, subsets in part["ways"].items():
            for subset, f in subsets.items():
                c = part["coverage"][subset]
                covered = f"{100 * c['tube']:.0f} / {100 * c['blood']:.0f}" if way == "default" else ""
                lines.append(
                    f"| {study} | {subset} | {way} | {f['f1']:.3f} | {f['precision']:.3f} | {f['recall']:.3f} "
                    f"| {f['called_true']:.3f} | {f['called_true_sd']:.3f} | {f['cv_between_batches_percent']:.1f} "
                    f"| {f['r_with_truth']:.3f} | {f['shift_bias_percent']:+.1f} | {covered} |"
                )
    return "\n".join(lines)


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--seed", type=int, default=9000)
    parser.add_argument("--patients", type=int, default=10)
    parser.add_argument("--only", help="studies whose name holds this word")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = run(Path(folder), arguments.seed, arguments.patients, arguments.only)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "gating_accuracy.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    (arguments.out / "gating_accuracy.md").write_text(markdown(result) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
