"""Whole virtual trials through files, gates and tests: false alarms without a drug, and findings with one.

    nice -n 19 python benchmarks/trials.py null --seeds 200      # polymyalgia rheumatica, n = 15, no effect
    nice -n 19 python benchmarks/trials.py effect --seeds 10     # lupus, n = 38, the simulated effect
    python benchmarks/trials.py perfect --seeds 200              # both, counted from the cells drawn: no file, no gate
    python benchmarks/trials.py summary

Every seed simulates a study, runs it and adds one JSON line, so that a stopped run goes on where it was. Beside what
the gates found is what the same tests find on the cells that were drawn into the same tubes: a gate's fault shows
as a difference between the two, a fault of the tests or a move of the blood itself shows in both.

To save time the studies are gated with those populations of the shipped strategies that the endpoints rest on, which
leaves every border as it is, and a study without effect is run without the panel that its primary endpoint does not
need. ``null --check`` runs the whole study too and stops when the primary endpoint's p differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from scipy.stats import binom, binomtest

from immunolab.comparison.plan import Plan
from immunolab.comparison.table import compare_endpoints
from immunolab.simulation import Options, simulate, simulate_counts
from immunolab.simulation.model import load_model
from immunolab.simulation.truth import folds
from immunolab.study.trial import load_trial
from immunolab.workflow.run import run

RESULTS = Path(__file__).parent / "results"
NULL_TRIAL, NULL_PATIENTS, NULL_EVENTS, NULL_FIRST_SEED = "pmr_nct04062006", 15, 6_000, 1_000
EFFECT_TRIAL, EFFECT_PATIENTS, EFFECT_EVENTS, EFFECT_FIRST_SEED = "sle_nct02084238", 38, 8_000, 2_000
PERFECT_FIRST_SEED = 3_000
PRIMARY = "foxp3_treg_pct_lymph"
EXPECTED = {  # endpoint -> whether it moves (sign of the shift) or stays
    "treg_pct_cd4": 1,
    "tfh_pct_cd4": -1,
    "th17_pct_cd4": -1,
    "th1_pct_tconv": 0,
    "th2_pct_tconv": 0,
}
ALSO_SHOWN = ("th1_pct_cd4", "th2_pct_cd4")
ALPHA = 0.05
_GATED_UNITS = ("%", "ratio", "cells/uL")
_ALWAYS = ("CD4_naive", "Tfh_CXCR5")  # what default rules place borders on
_REFERENCES = ("parent", "not", "all_of", "any_of")


def lean_strategy(name: str, wanted: Iterable[str]) -> dict[str, object]:
    """Return a shipped strategy without the populations that the wanted ones do not rest on."""
    source = files("immunolab.gating.strategies").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    document = yaml.safe_load(source)
    by_name = {p["name"]: p for p in document["populations"]}
    kept: set[str] = set()
    waiting = [p for p in (*wanted, *_ALWAYS) if p in by_name]
    while waiting:
        one = waiting.pop()
        if one in kept or one not in by_name:
            continue
        kept.add(one)
        for key in _REFERENCES:
            named = by_name[one].get(key, [])
            waiting += [named] if isinstance(named, str) else named
    return document | {"populations": [p for p in document["populations"] if p["name"] in kept]}


def make_lean(folder: Path, panel: str, wanted: Iterable[str]) -> None:
    """Leave one panel in a simulated study, gated with the wanted populations only."""
    study = yaml.safe_load((folder / "study.yaml").read_text(encoding="utf-8"))
    strategy = lean_strategy(study["panels"][panel]["strategy"], wanted)
    (folder / "lean.yaml").write_text(yaml.safe_dump(strategy, sort_keys=False), encoding="utf-8")
    study["panels"] = {panel: {"strategy": "lean.yaml"}}
    (folder / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
    sheet = pd.read_csv(folder / "samples.csv", dtype=str, keep_default_na=False)
    sheet[sheet["panel"] == panel].to_csv(folder / "samples.csv", index=False)


def tables_of(study: Path, out: Path) -> dict[str, pd.DataFrame]:
    """Run a study and return its tables of endpoints, shifts and counts."""
    outcome = run(study, out=out, tables_only=True)
    if outcome.failed:
        raise RuntimeError(f"samples failed: {', '.join(outcome.failed)}")
    return {name: pd.read_csv(out / "tables" / f"{name}.csv") for name in ("endpoints", "shifts", "counts")}


def drawn_endpoints(tables: dict[str, pd.DataFrame], study: Path) -> pd.DataFrame:
    """Return the endpoint rows with the events that were drawn in place of the events that were gated."""
    truth = pd.read_csv(study / "truth" / "populations.csv", keep_default_na=False)
    true = {(r.sample_id, r.population): r.n_events for r in truth.itertuples()}
    called = {(r.sample_id, r.population): r.n_events for r in tables["counts"].itertuples()}
    rows = tables["endpoints"].drop(columns=["gate_low", "gate_high"]).copy()
    for i, row in rows[rows["unit"].isin(_GATED_UNITS)].iterrows():
        top, _, bottom = row["population"].partition("/")
        below = bottom or (row["parent"] if isinstance(row["parent"], str) else "lymphocytes")
        n, of = true[row["sample_id"], top], true[row["sample_id"], below]
        if row["unit"] in ("%", "ratio"):
            rows.loc[i, ["value", "n_events", "n_parent"]] = [(100 if row["unit"] == "%" else 1) * n / of, n, of]
        else:  # cells per microlitre: the share of lymphocytes scales it
            share = called[row["sample_id"], top] / called[row["sample_id"], below]
            rows.loc[i, "n_events"] = n
            rows.loc[i, "value"] = row["value"] * (n / of) / share if share else np.nan
    return rows


def compared(endpoints: pd.DataFrame, shifts: pd.DataFrame) -> pd.DataFrame:
    """Compare endpoint rows as the run did: same visits, same roles, same families."""
    after, before = shifts["contrast"].iloc[0].split(" - ")
    own = shifts[shifts["contrast"] == shifts["contrast"].iloc[0]]
    plan = Plan(before, after, roles=dict(zip(own["endpoint"], own["role"], strict=True)))
    rows = endpoints[endpoints["endpoint"].isin(own["endpoint"])]
    return compare_endpoints(rows, plan).shifts


def version() -> str:
    """Return a digest of the code and rules of the gates, so that lines of different gates can be distinguished."""
    digest = hashlib.sha256()
    room = files("immunolab.gating")
    for path in sorted(Path(str(room)).rglob("*")):
        if path.suffix in (".py", ".yaml") and "exchange" not in path.parts:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def null_trial(seed: int, folder: Path, check: bool) -> dict[str, object]:
    """Return the primary endpoint's test in a study whose drug does nothing."""
    study = folder / "study"
    options = Options(events=NULL_EVENTS, truth_events=False)
    arguments = {"patients": NULL_PATIENTS, "seed": seed, "events": NULL_EVENTS, "null": True, "options": options}
    simulate(NULL_TRIAL, folder=study, **arguments)
    whole = tables_of(study, folder / "whole")["shifts"].set_index("endpoint") if check else None
    make_lean(study, "foxp3", ["Treg_FOXP3", "lymphocytes", "CD4"])
    tables = tables_of(study, folder / "out")
    found = tables["shifts"].set_index("endpoint").loc[PRIMARY]
    if whole is not None and not math.isclose(whole.loc[PRIMARY, "p_value"], found["p_value"], rel_tol=1e-9):
        raise RuntimeError(
            f"seed {seed}: the whole study gives {whole.loc[PRIMARY, 'p_value']}, not {found['p_value']}"
        )
    own = tables["shifts"][tables["shifts"]["endpoint"] == PRIMARY]
    drawn = compared(drawn_endpoints(tables, study), own).iloc[0]
    assert found["role"] == "primary"
    return {
        "n": int(found["n_pairs"]),
        "p": float(found["p_value"]),
        "shift": float(found["estimate"]),
        "p_drawn": float(drawn["p_value"]),
        "shift_drawn": float(drawn["estimate"]),
    }


def effect_trial(seed: int, folder: Path) -> dict[str, object]:
    """Return the tests of a study with the simulated effect, as gated and as drawn."""
    study = folder / "study"
    simulate(
        EFFECT_TRIAL,
        patients=EFFECT_PATIENTS,
        seed=seed,
        folder=study,
        events=EFFECT_EVENTS,
        options=Options(events=EFFECT_EVENTS, truth_events=False),
    )
    make_lean(study, "surface", ["Treg", "Th17", "Tfh_eff", "Th1", "Th2", "Tfr", "Tconv", "CD4", "lymphocytes"])
    tables = tables_of(study, folder / "out")
    again = compared(tables["endpoints"], tables["shifts"]).set_index("endpoint")
    gated = tables["shifts"].set_index("endpoint")
    drawn = compared(drawn_endpoints(tables, study), tables["shifts"]).set_index("endpoint")
    rows = {}
    for name in (*EXPECTED, *ALSO_SHOWN):
        if not math.isclose(again.loc[name, "q_value"], gated.loc[name, "q_value"], rel_tol=1e-6):
            raise RuntimeError(f"seed {seed}: {name} is compared otherwise than in the run")
        rows[name] = {
            way: {
                "fold": float(t.loc[name, "fold"]),
                "p": float(t.loc[name, "p_value"]),
                "q": float(t.loc[name, "q_value"]),
            }
            for way, t in (("gated", gated), ("drawn", drawn))
        }
    return {"n": int(gated.loc["treg_pct_cd4", "n_pairs"]), "endpoints": rows}


def perfect_trials(seed: int) -> dict[str, object]:
    """Return the tests of both trials on what a perfect gate counts."""
    found: dict[str, object] = {}
    for kind, trial, patients, events in (
        ("null", NULL_TRIAL, NULL_PATIENTS, NULL_EVENTS),
        ("effect", EFFECT_TRIAL, EFFECT_PATIENTS, EFFECT_EVENTS),
    ):
        rows = simulate_counts(trial, patients=patients, seed=seed, events=events, null=kind == "null")
        rows = rows.assign(unit="%", sample_id=rows["patient_id"] + "_" + rows["visit"])
        names = [PRIMARY] if kind == "null" else [*EXPECTED, *ALSO_SHOWN]
        before, after = next(e for e in load_trial(trial).expanded_endpoints() if e.id == names[0]).contrast
        shifts = compare_endpoints(rows, Plan(before, after, test="t")).shifts.set_index("endpoint")
        found[kind] = {n: {"fold": float(shifts.loc[n, "fold"]), "p": float(shifts.loc[n, "p_value"])} for n in names}
    return found


def trial_of(kind: str, seed: int, folder: Path, check: bool) -> dict[str, object]:
    """Return what one seed of a kind finds."""
    if kind == "perfect":
        return perfect_trials(seed)
    return null_trial(seed, folder, check) if kind == "null" else effect_trial(seed, folder)


def work(kind: str, seeds: Sequence[int], lines: Path, check: bool) -> None:
    """Add a line for each seed that has none."""
    done = {line["seed"] for line in read_lines(lines)}
    for seed in seeds:
        if seed in done:
            continue
        started = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            found = trial_of(kind, seed, Path(folder), check)
        line = {"seed": seed, **found, "gates": version(), "seconds": round(time.process_time() - started, 1)}
        with lines.open("a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)


def read_lines(path: Path) -> list[dict[str, object]]:
    """Return the lines written so far."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def _header(columns: str) -> Iterator[str]:
    names = columns.split("|")
    yield "| " + " | ".join(names) + " |"
    yield "|" + "---|" * len(names)


def null_summary(lines: Sequence[dict[str, object]]) -> Iterator[str]:
    """Yield the false alarms of the primary endpoint, as gated and as drawn, with the exact binomial tail."""
    yield f"## No effect: {NULL_TRIAL}, n = {NULL_PATIENTS}, {NULL_EVENTS:,} events a tube, {len(lines)} seeds"
    yield ""
    yield f"Primary endpoint `{PRIMARY}`, paired t of the logit; {ALPHA:.0%} of seeds should give p < {ALPHA}."
    yield "Bound: a right test stays at or below it with 99 % chance."
    yield ""
    yield from _header(
        "counted|p < 0.05|share|exact 95 % interval|P(as many or more at 5 %)|bound|mean shift|sd of shift"
    )
    for name, end in (("gated", ""), ("drawn", "_drawn")):
        p = np.array([line[f"p{end}"] for line in lines])
        shift = np.array([line[f"shift{end}"] for line in lines])
        hits, n = int((p < ALPHA).sum()), len(p)
        low, high = binomtest(hits, n, ALPHA).proportion_ci()
        yield (
            f"| {name} | {hits} of {n} | {hits / n:.3f} | {low:.3f} to {high:.3f} | {binom.sf(hits - 1, n, ALPHA):.3f} "
            f"| {int(binom.ppf(0.99, n, ALPHA))} | {shift.mean():+.4f} | {shift.std(ddof=1):.4f} |"
        )


def effect_summary(lines: Sequence[dict[str, object]]) -> Iterator[str]:
    """Yield how often each endpoint does what it should, as gated and as drawn."""
    size = f"n = {EFFECT_PATIENTS}, {EFFECT_EVENTS:,} events a tube, {len(lines)} seeds"
    yield f"## Simulated effect: {EFFECT_TRIAL}, {size}"
    yield ""
    yield from _header("endpoint|should|counted|seeds with q < 0.05|seeds with p < 0.05|fold, mean (range)|q (range)")
    for endpoint in (*EXPECTED, *ALSO_SHOWN):
        should = {1: "rise", -1: "fall", 0: "stay"}.get(EXPECTED.get(endpoint, 2), "-")
        for way in ("gated", "drawn"):
            rows = pd.DataFrame([line["endpoints"][endpoint][way] for line in lines])
            yield (
                f"| {endpoint} | {should} | {way} | {(rows['q'] < ALPHA).sum()} of {len(rows)} "
                f"| {(rows['p'] < ALPHA).sum()} of {len(rows)} "
                f"| {np.exp(np.log(rows['fold']).mean()):.3f} ({rows['fold'].min():.3f} to {rows['fold'].max():.3f}) "
                f"| {rows['q'].min():.2g} to {rows['q'].max():.2g} |"
            )


def perfect_summary(lines: Sequence[dict[str, object]]) -> Iterator[str]:
    """Yield how often a perfect gate would find each endpoint moved, beside the fold that was put in."""
    yield f"## Perfect gates: both trials counted from the cells drawn, {len(lines)} seeds"
    yield ""
    yield "Fold put in: of a patient without any deviation. Patients, visits and sampling vary around it."
    yield ""
    yield from _header("trial|endpoint|fold put in|fold, mean|seeds with p < 0.05|exact 95 % interval")
    for kind, trial in (("null", NULL_TRIAL), ("effect", EFFECT_TRIAL)):
        put_in = folds(load_model(), load_trial(trial), trial[:3], Options(null=kind == "null"))
        put_in = put_in.set_index("endpoint")["expected_fold"]
        for endpoint in lines[0][kind]:
            rows = pd.DataFrame([line[kind][endpoint] for line in lines])
            hits = int((rows["p"] < ALPHA).sum())
            low, high = binomtest(hits, len(rows), ALPHA).proportion_ci()
            yield (
                f"| {trial} | {endpoint} | {put_in[endpoint]:.3f} | {np.exp(np.log(rows['fold']).mean()):.3f} "
                f"| {hits} of {len(rows)} | {low:.3f} to {high:.3f} |"
            )


def write_summary(folder: Path) -> None:
    """Write trials.md from the lines there are."""
    parts: list[str] = []
    for kind, summary in (("null", null_summary), ("effect", effect_summary), ("perfect", perfect_summary)):
        lines = read_lines(folder / f"trials_{kind}.jsonl")
        if lines:
            parts += [*summary(lines), ""]
    (folder / "trials.md").write_text("\n".join(parts), encoding="utf-8")
    print("\n".join(parts))


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("null", "effect", "perfect", "summary"))
    parser.add_argument("--seeds", type=int, default=0, help="how many, from the first of this kind")
    parser.add_argument("--check", action="store_true", help="null: run each study whole too")
    parser.add_argument("-o", "--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if arguments.kind != "summary":
        first = {"null": NULL_FIRST_SEED, "effect": EFFECT_FIRST_SEED, "perfect": PERFECT_FIRST_SEED}[arguments.kind]
        lines = arguments.out / f"trials_{arguments.kind}.jsonl"
        work(arguments.kind, range(first, first + arguments.seeds), lines, arguments.check)
    write_summary(arguments.out)


if __name__ == "__main__":
    main()
