"""Tables of a small seeded study, as a finished run leaves them: 8 patients, W0 and W10, one visit missing.

The statistics are worked out here with scipy alone, so that figures and report are tested against
numbers that the package did not make.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from immunolab.comparison.diagnostics import Finding
from immunolab.comparison.plan import Compared, Plan
from immunolab.gating.strategy import Strategy
from immunolab.results.run import Run
from immunolab.schema.comparison import PAIRS, SHIFTS
from immunolab.schema.endpoints import ENDPOINTS
from immunolab.schema.gating import COUNTS, FAILURES, QUALITY, THRESHOLDS
from immunolab.study.endpoints import LogRatio, PercentOfParent
from immunolab.study.sheet import PlannedComparison, Sample, Study
from immunolab.study.trial import load_trial
from immunolab.version import library_versions

SUBSETS = {  # name: (share of CD4 at W0, odds ratio at W10, definition, path)
    "Treg": (0.050, 2.1, "Treg.CD25hiCD127lo", "/singlets/lymphocytes/CD3/CD4/Treg"),
    "Th17": (0.060, 0.75, "Th17.CCR6posCXCR3neg", "/singlets/lymphocytes/CD3/CD4/Th17"),
    "Tfh_eff": (0.020, 0.70, "Tfh.CXCR5posPD1hiCCR7lo", "/singlets/lymphocytes/CD3/CD4/Tfh_eff"),
    "Teff": (0.160, 0.98, "Teff.CD45RAnegCCR7neg", "/singlets/lymphocytes/CD3/CD4/Teff"),
    "Th1": (0.110, 1.00, "Th1.CXCR3posCCR6neg", "/singlets/lymphocytes/CD3/CD4/Th1"),
    "Th2": (0.060, 1.00, "Th2.CXCR3negCCR6negCCR4pos", "/singlets/lymphocytes/CD3/CD4/Th2"),
}
TRIAL = "sle_nct02084238"
ROLES = {"treg_pct_cd4": "primary", "th17_pct_cd4": "secondary", "tfh_eff_pct_cd4": "secondary"}
SPINE = {"singlets": (1.0, 0.93), "lymphocytes": (1.0, 0.72), "CD3": (1.0, 0.70), "CD4": (1.0, 0.60)}
DOSES = (1, 3, 5, 7, 9, 11, 13, 29, 31, 33, 35, 37, 39, 41, 57, 59, 61, 63, 65, 67, 69)
MISSING, FAILED = ("P07", "W10"), ("P08", "W10")


def tables(n_patients: int = 8, seed: int = 7, visits: tuple[str, ...] = ("W0", "W10")) -> dict[str, pd.DataFrame]:
    """Return samples, counts, endpoints, pairs, shifts, quality, failures and thresholds of one study."""
    rng = np.random.default_rng(seed)
    samples, counts, endpoints, thresholds, quality, failures = [], [], [], [], [], []
    for i in range(n_patients):
        patient = f"P{i + 1:02d}"
        levels = {name: rng.normal(0, 0.35) for name in SUBSETS}
        response = {name: rng.normal(0, 0.15) for name in SUBSETS}
        for visit in visits:
            if (patient, visit) == MISSING:
                continue
            week = int(visit[1:])
            day = 7 * week + 1 + (int(rng.integers(-1, 3)) if week else 0)
            sample = {
                "sample_id": f"{patient}_{visit}",
                "patient_id": patient,
                "cohort": "SLE",
                "visit": visit,
                "file": f"fcs/{patient}_{visit}.fcs",
                "study_day": day,
                "batch": f"B{1 + i // 4}",
            }
            samples.append(sample)
            if (patient, visit) == FAILED:
                failures.append(_failure(sample))
                continue
            numbers = _count(sample, rng, levels, response, week)
            counts += numbers
            endpoints += _endpoints(sample, numbers, day)
            thresholds += _thresholds(sample, rng)
            quality += _quality(sample, rng)
    frames = {
        "samples": pd.DataFrame(samples).astype({"sample_id": "string"}) if samples else pd.DataFrame(samples),
        "counts": COUNTS.frame(counts),
        "endpoints": ENDPOINTS.frame(endpoints),
        "thresholds": THRESHOLDS.frame(thresholds),
        "quality": QUALITY.frame(quality),
        "failures": FAILURES.frame(failures),
    }
    frames["pairs"] = PAIRS.frame(_pairs(frames["endpoints"]))
    frames["shifts"] = SHIFTS.frame(_shifts(frames["pairs"]))
    return frames


def _failure(sample):
    return {
        "sample_id": sample["sample_id"],
        "file": sample["file"],
        "stage": "read",
        "error": "the file ends after 10 bytes",
        "hint": "copy it again from the instrument",
    }


def _count(sample, rng, levels, response, week):
    rows, path, parent, n = [], "", "root", 30_000
    row = {"sample_id": sample["sample_id"], "parent": None, "definition": None, "flag": None}
    rows.append(row | {"population": "root", "path": "/", "n_events": n, "n_parent": n, "percent_of_parent": 100.0})
    for name, (_, share) in SPINE.items():
        path, n_parent, n = f"{path}/{name}", n, int(rng.binomial(n, share))
        rows.append(
            row
            | {
                "population": name,
                "parent": parent,
                "path": path,
                "n_events": n,
                "n_parent": n_parent,
                "percent_of_parent": 100 * n / n_parent,
            }
        )
        parent = name
    for name, (share, odds, definition, place) in SUBSETS.items():
        logit = np.log(share / (1 - share)) + levels[name]
        if week:
            logit += np.log(odds) + response[name]
        k = int(rng.binomial(n, 1 / (1 + np.exp(-(logit + rng.normal(0, 0.08))))))
        rows.append(
            row
            | {
                "population": name,
                "parent": "CD4",
                "path": place,
                "definition": definition,
                "n_events": k,
                "n_parent": n,
                "percent_of_parent": 100 * k / n,
                "flag": "below_loq" if k < 50 else None,
            }
        )
    return rows


def _endpoints(sample, counts, day):
    n_of = {row["population"]: row for row in counts}
    last = max((dose for dose in DOSES if dose < day), default=None)
    head = {name: sample[name] for name in ("sample_id", "patient_id", "cohort", "visit", "study_day")}
    head |= {
        "days_since_last_dose": None if last is None else day - last,
        "phase": "baseline" if last is None else "on_treatment",
        "cycle_state": "pre_dose" if last is None else "peak",
    }
    rows = []
    for name in SUBSETS:
        k = n_of[name]
        rows.append(_percent(head, f"{name.lower()}_pct_cd4", name, "CD4", k, k["n_parent"]))
    treg, th17 = n_of["Treg"], n_of["Th17"]
    rows.append(_percent(head, "treg_pct_lymphocytes", "Treg", "lymphocytes", treg, n_of["lymphocytes"]["n_events"]))
    rows.append(
        head
        | {
            "endpoint": "th17_treg_ratio",
            "population": "Th17/Treg",
            "parent": "CD4",
            "definition": f"{th17['definition']} / {treg['definition']}",
            "value": (th17["n_events"] + 0.5) / (treg["n_events"] + 0.5),
            "unit": "ratio",
            "n_events": th17["n_events"],
            "n_parent": treg["n_events"],
            "flag": None,
        }
    )
    return rows


def _percent(head, endpoint, population, parent, row, n_parent):
    return head | {
        "endpoint": endpoint,
        "population": population,
        "parent": parent,
        "definition": row["definition"],
        "value": 100.0 * row["n_events"] / n_parent,
        "unit": "%",
        "n_events": row["n_events"],
        "n_parent": n_parent,
        "flag": row["flag"],
    }


def _thresholds(sample, rng):
    rows = []
    for population, marker, channel, at in (("Treg", "CD25", "BV421-A", 0.62), ("Treg", "CD127", "APC-A", 0.55)):
        drift = 0.02 if sample["batch"] == "B2" else 0.0
        cut = at + drift + rng.normal(0, 0.004)
        rows.append(
            {
                "sample_id": sample["sample_id"],
                "population": population,
                "marker": marker,
                "channel": channel,
                "threshold": cut,
                "threshold_raw": 262144 * 10 ** (4.5 * (cut - 1)),
                "method": "internal_reference",
                "control": "internal",
                "scope": "patient",
                "ci_low": cut - 0.01,
                "ci_high": cut + 0.01,
                "flag": None,
            }
        )
    return rows


def _quality(sample, rng):
    dead = 100.0 - float(rng.uniform(70, 97))
    return [
        {
            "sample_id": sample["sample_id"],
            "check": "dead",
            "value": dead,
            "limit": 25.0,
            "status": "warn" if dead > 25 else "ok",
            "message": f"{dead:.1f} % of the single cells take up the viability dye" if dead > 25 else None,
        },
        {"sample_id": sample["sample_id"], "check": "events", "value": 30000.0, "limit": 5000.0, "status": "ok"},
    ]


def _pairs(endpoints):
    rows = []
    for (patient, endpoint), both in endpoints.groupby(["patient_id", "endpoint"], sort=False):
        by_visit = both.set_index("visit")
        if "W0" not in by_visit.index:
            continue
        first = by_visit.loc["W0"]
        row = {
            "patient_id": patient,
            "cohort": "SLE",
            "endpoint": endpoint,
            "unit": first["unit"],
            "visit_before": "W0",
            "visit_after": "W10",
            "before": first["value"],
            "after": None,
            "shift": None,
            "shift_scale": "logit" if first["unit"] == "%" else "log",
            "fold": None,
            "ci_low": None,
            "ci_high": None,
            "verdict": "not_evaluable",
            "reason": "no sample at W10",
        }
        if "W10" in by_visit.index:
            second = by_visit.loc["W10"]
            shift, spread = _shift(first, second)
            row |= {
                "after": second["value"],
                "shift": shift,
                "fold": np.exp(shift),
                "ci_low": shift - 1.96 * spread,
                "ci_high": shift + 1.96 * spread,
                "verdict": "rise" if shift > 1.96 * spread else "fall" if shift < -1.96 * spread else "within_noise",
                "reason": "reliable change",
            }
        rows.append(row)
    return rows


def _shift(first, second):
    k1, n1, k2, n2 = (float(v) for v in (first["n_events"], first["n_parent"], second["n_events"], second["n_parent"]))
    if first["unit"] == "%":
        shift = np.log((k2 + 0.5) / (n2 - k2 + 0.5)) - np.log((k1 + 0.5) / (n1 - k1 + 0.5))
    else:
        shift = np.log(second["value"] / first["value"])
    return shift, np.sqrt(1 / (k1 + 1) + 1 / (k2 + 1) + 2 * 0.10**2)


def _shifts(pairs):
    rows = []
    for endpoint, all_pairs in pairs.groupby("endpoint", sort=False):
        both = all_pairs.dropna(subset=["shift"])
        shifts = both["shift"].to_numpy(float)
        row = {
            "cohort": "SLE",
            "endpoint": endpoint,
            "role": ROLES.get(str(endpoint), "exploratory"),
            "contrast": "W10 vs W0",
            "n_pairs": len(both),
            "median_before": both["before"].median(),
            "median_after": both["after"].median(),
            "estimate_scale": "log_odds" if all_pairs["unit"].iloc[0] == "%" else "log",
            "method": "paired t on the logit" if all_pairs["unit"].iloc[0] == "%" else "paired t on the log",
            "adjustment": "none (primary)",
        }
        if len(both) >= 3:
            mean, error = shifts.mean(), shifts.std(ddof=1) / np.sqrt(len(shifts))
            reach = stats.t.ppf(0.975, len(shifts) - 1) * error
            row |= {
                "estimate": mean,
                "fold": np.exp(mean),
                "ci_low": mean - reach,
                "ci_high": mean + reach,
                "p_value": stats.ttest_1samp(shifts, 0).pvalue,
                "sensitivity_p_value": stats.wilcoxon(shifts, method="exact").pvalue,
                "warnings": "W_UNPAIRED",
            }
        else:
            row |= {"warnings": "E_N_MIN", "method": "none: fewer than 3 pairs"}
        rows.append(row)
    frame = pd.DataFrame(rows)
    for role in ("secondary", "exploratory"):
        family = frame["role"].eq(role) if len(frame) else []
        if len(frame) and "p_value" in frame and family.any() and frame.loc[family, "p_value"].notna().all():
            frame.loc[family, "q_value"] = stats.false_discovery_control(frame.loc[family, "p_value"])
            frame.loc[family, "adjustment"] = f"Benjamini-Hochberg ({role})"
    return frame.to_dict("records")


def finished_run(frames=None, *, name="SLE-IL2", folder=Path("study"), out=Path("out"), **changes):
    """Return a run with the tables above in the lupus trial; ``changes`` replace fields of `Run`."""
    frames = tables() if frames is None else frames
    samples = tuple(
        Sample(
            sample_id=row["sample_id"],
            patient_id=row["patient_id"],
            visit=row["visit"],
            file=folder / row["file"],
            cohort=row["cohort"],
            study_day=row["study_day"],
            batch=row["batch"],
        )
        for row in frames["samples"].to_dict("records")
    )
    endpoints = tuple(_declared(frames["endpoints"]))
    study = Study(name, folder, folder / "study.yaml", load_trial(TRIAL), samples, {}, PlannedComparison(), endpoints)
    run = Run(
        study=study,
        folder=out,
        tables={name: frame for name, frame in frames.items() if name != "samples"},
        compared=(Compared(Plan("W0", "W10", roles=ROLES), tuple(frames["endpoints"]["endpoint"].unique())),),
        findings=(Finding("W_UNPAIRED", "SLE", "treg_pct_cd4", "P07, P08 lack W10"),),
        strategies={"": Strategy("treg_th17_tfh_teff", ())},
        inputs={},
        seed=7,
        versions=library_versions(),
    )
    return replace(run, **changes)


def _declared(endpoints):
    for endpoint, rows in endpoints.groupby("endpoint", sort=False):
        first = rows.iloc[0]
        stated = {
            "id": str(endpoint),
            "source": "test",
            "role": ROLES.get(str(endpoint), "exploratory"),
            "parent": first["parent"],
            "contrast": ("W0", "W10"),
        }
        if first["unit"] == "ratio":
            yield LogRatio(numerator="Th17", denominator="Treg", **stated)
        else:
            yield PercentOfParent(population=first["population"], **stated)
