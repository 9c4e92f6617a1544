"""Where every sample and patient went: the numbers behind each n, and what deviated from the plan."""

from __future__ import annotations

import pandas as pd

from immunolab.report.html_table import Cell, Grid, grid
from immunolab.results.cohort_rows import in_cohort
from immunolab.results.findings.absences import lacking, patients_of
from immunolab.results.findings.checks import calendar_warnings, tube_checks, tube_warnings
from immunolab.results.run import Run
from immunolab.study.sheet import Sample


def sample_flow(run: Run) -> Grid:
    """Return, for each cohort, samples in the sheet, failed, measured and with a warning, and patients paired."""
    failed, measured = set(run.failures["sample_id"]), _measured(run)
    warned, off = set(tube_warnings(run)["sample_id"]), set(calendar_warnings(run)["sample_id"])
    rows = []
    for cohort in run.cohorts:
        own = [s for s in run.samples if s.cohort == cohort]
        ids = {s.sample_id for s in own}
        unseen = ids - failed - measured
        shifts, everyone = run.shifts_of(cohort), patients_of(run, cohort)
        rows.append(
            (
                Cell(cohort or "all"),
                _count(len(everyone)),
                _count(len(own)),
                _count(len(ids & failed), "alarm" if ids & failed else "number"),
                _count(len(unseen), "alarm" if unseen else "number"),
                _count(len(ids & measured)),
                _count(len(ids & warned)),
                _count(len(ids & off)),
                Cell(_range(shifts["n_pairs"])),
                _count(len(everyone) - len({s.patient_id for s in own})),
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
        "Off the calendar",
        "Pairs per endpoint",
        "Patients without a sample",
    )
    return Grid(headings, tuple(rows))


def _measured(run: Run) -> set[str]:
    """Return the samples that have a value or a count, and did not fail."""
    return (set(run.endpoints["sample_id"]) | set(run.counts["sample_id"])) - set(run.failures["sample_id"])


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
        step (sheet, visit, pairs), name (of the sheet: how many further patients have no sample), n_patients,
        n_samples, n_failed, n_not_run, n_measured, n_warned. For pairs
        the name is the endpoint's, ``n_patients`` are those with both visits, ``n_failed`` those without.
    """
    failed, measured = set(run.failures["sample_id"]), _measured(run)
    warned = set(tube_warnings(run)["sample_id"])
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
            "n_measured": len(ids & measured),
            "n_warned": len(ids & warned),
        }

    everyone = set(patients_of(run, cohort))
    unsampled = len(everyone - {s.patient_id for s in own})
    rows = [row("sheet", f"{unsampled} more without a sample" if unsampled else "", own)]
    there = {s.visit for s in own}
    visits = (visit for visit in run.sampled_visits if visit in there)
    rows += [row("visit", visit, [s for s in own if s.visit == visit]) for visit in visits]
    pairs = run.pairs[in_cohort(run.pairs, cohort)]
    shifts = run.shifts_of(cohort, ("primary",))
    for endpoint in (shifts if len(shifts) else run.shifts_of(cohort, ("secondary",)).head(1))["endpoint"]:
        both = pairs[pairs["endpoint"] == endpoint]
        n = int(both["shift"].notna().sum())
        rows.append({"step": "pairs", "name": run.label_of(str(endpoint)).short, "n_patients": n})
        rows[-1] |= {"n_failed": len(everyone) - n}
    return pd.DataFrame(rows).convert_dtypes()


def visit_flow(run: Run) -> Grid:
    """Return samples in the sheet and measured at each visit, with study day and days since the last dose."""
    endpoints, measured = run.endpoints.drop_duplicates("sample_id"), _measured(run)
    rows = []
    for cohort in run.cohorts:
        there = {s.visit for s in run.samples if s.cohort == cohort}
        for visit in (visit for visit in run.sampled_visits if visit in there):
            sheet = [s for s in run.samples if s.cohort == cohort and s.visit == visit]
            ids = measured.intersection(s.sample_id for s in sheet)
            done = endpoints[endpoints["sample_id"].isin(ids)]
            rows.append(
                (
                    Cell(cohort or "all"),
                    Cell(visit),
                    _count(len(sheet)),
                    _count(len(ids)),
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
    """Return patients without a change, once for each reason, with the endpoints that lack one."""
    rows = []
    for cohort in run.cohorts:
        for name in run.shifts_of(cohort)["endpoint"]:
            for absent in lacking(run, cohort, str(name)):
                rows.append((absent.patient_id, cohort, absent.reason, run.label_of(str(name)).short))
    if not rows:
        every = (
            "Every patient has both visits for every endpoint." if len(run.pairs) else "No two visits were compared."
        )
        return Grid(("Patient", "Cohort", "Reason", "Endpoints"), (), every)
    frame = pd.DataFrame(rows, columns=["patient_id", "cohort", "reason", "endpoint"], dtype=object)
    grouped = frame.groupby(["patient_id", "cohort", "reason"], sort=False)["endpoint"].agg(["nunique", ", ".join])
    columns = {
        "patient_id": "Patient",
        "cohort": "Cohort",
        "reason": "Reason",
        "nunique": "Endpoints",
        "join": "Which",
    }
    return grid(grouped.reset_index(), columns)


def deviations(run: Run) -> Grid:
    """Return samples off their window or phase, doses off the calendar, as the quality table names them."""
    return grid(
        _in_words(calendar_warnings(run)),
        {"sample_id": "Sample", "check": "Deviation", "value": "Found", "limit": "Planned", "message": "In words"},
        empty="No sample is off its window, and no dose off the calendar, as far as dates were given.",
    )


def quality(run: Run) -> Grid:
    """Return the checks that warn or fail, timing left out."""
    columns = {
        "sample_id": "Sample",
        "check": "Check",
        "value": "Found",
        "limit": "Limit",
        "status": "Status",
        "message": "In words",
    }
    made = len(tube_checks(run))
    empty = f"All {made} checks of tubes passed." if made else "No check was made."
    return grid(_in_words(tube_warnings(run)), columns, empty=empty, alarms=("status",))


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


def _in_words(checks: pd.DataFrame) -> pd.DataFrame:
    """Return checks with their names as words: ``doses off calendar``."""
    return checks.assign(check=checks["check"].astype(str).str.replace("_", " "))


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
