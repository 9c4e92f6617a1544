"""Where every sample and patient went: the numbers behind each n, and what deviated from the plan."""

from __future__ import annotations

import pandas as pd

from immunolab.report.html_table import Cell, Grid, grid
from immunolab.results.run import Run, in_cohort
from immunolab.schema.flags import Check
from immunolab.study.sheet import Sample

_TIMING = frozenset(
    {
        Check.PLANNED_DAY,
        Check.PLANNED_DOSES,
        Check.OUT_OF_WINDOW,
        Check.OUT_OF_PHASE,
        Check.CARRY_OVER,
        Check.STILL_DOSED,
        Check.DOSED_AT_BASELINE,
        Check.DOSES_OFF_CALENDAR,
    }
)


def sample_flow(run: Run) -> Grid:
    """Return, for each cohort, samples in the sheet, failed, measured and with a warning, and patients paired."""
    counted, failed = set(run.counts["sample_id"]), set(run.failures["sample_id"])
    measured = set(run.endpoints["sample_id"]) | counted
    quality = run.quality
    warned = set(quality.loc[quality["status"] != "ok", "sample_id"])
    rows = []
    for cohort in run.cohorts:
        own = [s for s in run.samples if s.cohort == cohort]
        ids = {s.sample_id for s in own}
        unseen = ids - failed - measured
        shifts = run.shifts_of(cohort)
        rows.append(
            (
                Cell(cohort or "all"),
                _count(len({s.patient_id for s in own})),
                _count(len(own)),
                _count(len(ids & failed), "alarm" if ids & failed else "number"),
                _count(len(unseen), "alarm" if unseen else "number"),
                _count(len(ids & measured - failed)),
                _count(len(ids & warned)),
                Cell(_range(shifts["n_pairs"])),
            )
        )
    headings = (
        "Cohort",
        "Patients",
        "Samples in sheet",
        "Failed",
        "Not run",
        "Measured",
        "With a quality warning",
        "Pairs per endpoint",
    )
    return Grid(headings, tuple(rows))


def flow_counts(run: Run, cohort: str) -> pd.DataFrame:
    """Return the numbers of a cohort's flow chart.

    Parameters
    ----------
    run
        The finished run.
    cohort
        Its name; "" where the sheet has no cohorts.

    Returns
    -------
    DataFrame
        step (sheet, visit, pairs), name, n_patients, n_samples, n_failed, n_not_run, n_measured, n_warned. For pairs
        the name is the endpoint's, ``n_patients`` are those with both visits, ``n_failed`` those without.
    """
    measured = set(run.endpoints["sample_id"]) | set(run.counts["sample_id"])
    failed = set(run.failures["sample_id"])
    quality = run.quality
    warned = set(quality.loc[quality["status"] != "ok", "sample_id"])
    own = [s for s in run.samples if s.cohort == cohort]

    def row(step: str, name: str, samples: list[Sample]) -> dict[str, object]:
        ids = {s.sample_id for s in samples}
        return {
            "step": step,
            "name": name,
            "n_patients": len({s.patient_id for s in samples}),
            "n_samples": len(samples),
            "n_failed": len(ids & failed),
            "n_not_run": len(ids - failed - measured),
            "n_measured": len(ids & measured - failed),
            "n_warned": len(ids & warned),
        }

    rows = [row("sheet", "", own)]
    visits = dict.fromkeys(s.visit for s in sorted(own, key=lambda s: (s.study_day is None, s.study_day or 0)))
    rows += [row("visit", visit, [s for s in own if s.visit == visit]) for visit in visits]
    pairs = run.pairs[in_cohort(run.pairs, cohort)]
    shifts = run.shifts_of(cohort, ("primary",))
    for endpoint in (shifts if len(shifts) else run.shifts_of(cohort, ("secondary",)).head(1))["endpoint"]:
        both = pairs[pairs["endpoint"] == endpoint]
        n = int(both["shift"].notna().sum())
        everyone = {s.patient_id for s in own} | set(both["patient_id"])
        rows.append({"step": "pairs", "name": run.label_of(str(endpoint)).short, "n_patients": n})
        rows[-1] |= {"n_failed": len(everyone) - n}
    return pd.DataFrame(rows).convert_dtypes()


def visit_flow(run: Run) -> Grid:
    """Return samples in the sheet and measured at each visit, with study day and days since the last dose."""
    endpoints = run.endpoints.drop_duplicates("sample_id")
    rows = []
    for cohort in run.cohorts:
        for visit in dict.fromkeys(s.visit for s in run.samples if s.cohort == cohort):
            sheet = [s for s in run.samples if s.cohort == cohort and s.visit == visit]
            done = endpoints[(endpoints["visit"] == visit) & in_cohort(endpoints, cohort)]
            rows.append(
                (
                    Cell(cohort or "all"),
                    Cell(visit),
                    _count(len(sheet)),
                    _count(len(done)),
                    Cell(_range(done["study_day"])),
                    Cell(_since(done)),
                    Cell(", ".join(str(s).replace("_", " ") for s in done["cycle_state"].dropna().unique())),
                )
            )
    headings = (
        "Cohort",
        "Visit",
        "Samples in sheet",
        "Measured",
        "Study day",
        "Days since last dose",
        "Place in cycle",
    )
    return Grid(headings, tuple(rows), "The sheet names no sample.")


def unpaired(run: Run) -> Grid:
    """Return patients without a pair, once for each reason; those without any value of an endpoint too."""
    pairs = run.pairs
    halves = pairs[pairs["before"].isna() | pairs["after"].isna()]
    without = _without_value(run)
    lacking = pd.concat([halves[list(without.columns)].astype(object), without], ignore_index=True)
    if lacking.empty:
        every = "Every patient has both visits for every endpoint." if len(pairs) else "No two visits were compared."
        return Grid(("Patient", "Cohort", "Reason", "Endpoints"), (), every)
    grouped = lacking.fillna({"cohort": "", "reason": "not stated"}).groupby(
        ["patient_id", "cohort", "reason"], sort=False
    )
    frame = grouped["endpoint"].nunique().reset_index()
    columns = {"patient_id": "Patient", "cohort": "Cohort", "reason": "Reason", "endpoint": "Endpoints"}
    return grid(frame, columns)


def _without_value(run: Run) -> pd.DataFrame:
    """Return patients of the sheet whom an endpoint compared in their cohort has at neither visit."""
    patients = {(s.cohort, s.patient_id) for s in run.samples}
    rows = []
    for cohort in run.cohorts:
        own = run.pairs[in_cohort(run.pairs, cohort)]
        for endpoint in run.shifts_of(cohort)["endpoint"]:
            paired = set(own.loc[own["endpoint"] == endpoint, "patient_id"])
            absent = sorted(patient for of, patient in patients if of == cohort and patient not in paired)
            rows += [(patient, cohort, endpoint, "no value at either visit") for patient in absent]
    return pd.DataFrame(rows, columns=["patient_id", "cohort", "endpoint", "reason"], dtype=object)


def deviations(run: Run) -> Grid:
    """Return samples off their window or phase, doses off the calendar, as the quality table names them."""
    quality = run.quality
    rows = quality[quality["check"].isin(_TIMING)]
    return grid(
        rows,
        {"sample_id": "Sample", "check": "Deviation", "value": "Found", "limit": "Planned", "message": "In words"},
        empty="No sample is off its window, and no dose off the calendar, as far as dates were given.",
    )


def quality(run: Run) -> Grid:
    """Return the checks that warn or fail, timing left out."""
    frame = run.quality
    rows = frame[(frame["status"] != "ok") & ~frame["check"].isin(_TIMING)]
    columns = {
        "sample_id": "Sample",
        "check": "Check",
        "value": "Found",
        "limit": "Limit",
        "status": "Status",
        "message": "In words",
    }
    ok = int((frame["status"] == "ok").sum())
    return grid(rows, columns, empty=f"All {ok} checks passed." if ok else "No check was made.", alarms=("status",))


def failures(run: Run) -> Grid:
    """Return the samples that could not be finished."""
    columns = {
        "sample_id": "Sample",
        "file": "File",
        "stage": "Stage",
        "error": "What went wrong",
        "hint": "How to fix it",
    }
    return grid(run.failures, columns, empty="No sample failed.", alarms=("error",))


def _count(n: int, kind: str = "number") -> Cell:
    return Cell(str(n), "", kind)


def _since(samples: pd.DataFrame) -> str:
    """Return days since the last dose; ``before first dose`` where there was none, ``not known`` otherwise."""
    known, day = samples["days_since_last_dose"], samples["study_day"]
    text = _range(known)
    before = known.isna() & (day <= 1)
    others = int((known.isna() & ~before).sum())
    parts = [text] if text else []
    parts += ["before first dose"] if before.any() else []
    parts += [f"not known for {others}"] if others else []
    return "; ".join(parts)


def _range(values: pd.Series) -> str:
    present = values.dropna()
    if present.empty:
        return ""
    low, high = f"{present.min():g}", f"{present.max():g}"
    return low if low == high else f"{low} to {high}"
