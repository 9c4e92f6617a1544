"""Endpoints as an ADaM-like basic data structure (BDS), one record a patient, parameter and visit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from immunolab.exports.codes import arm_of, short_codes, study_id, visit_numbers
from immunolab.exports.datasets import TrialDataSet, TrialVariable, write_data_sets
from immunolab.results.run import Run

_VARIABLES = (
    TrialVariable("STUDYID", "Study identifier", "registration of the trial, else the study's name"),
    TrialVariable("USUBJID", "Unique subject identifier", "STUDYID and SUBJID"),
    TrialVariable("SUBJID", "Subject identifier", "patient_id of the sample sheet"),
    TrialVariable("TRTA", "Actual treatment", "arm of the study; empty where it declares no arms"),
    TrialVariable("COHORT", "Cohort", "cohort of the sample sheet"),
    TrialVariable("PARAMCD", "Parameter code", "from the endpoint's id alone, the same in every run"),
    TrialVariable("PARAM", "Parameter", "what is measured, with its unit"),
    TrialVariable("ENDPOINT", "Endpoint", "endpoint of tables/endpoints.csv"),
    TrialVariable("AVISIT", "Analysis visit", "visit of tables/endpoints.csv"),
    TrialVariable("AVISITN", "Analysis visit (N)", "place in the trial's calendar; from 101 for visits outside it"),
    TrialVariable("ADY", "Analysis relative day", "study_day; day 1 is the first dose, there is no day 0"),
    TrialVariable("AVAL", "Analysis value", "value of tables/endpoints.csv; empty where withheld or not evaluable"),
    TrialVariable("AVALU", "Unit", "unit of tables/endpoints.csv"),
    TrialVariable("BASE", "Baseline value", "AVAL of the patient's record with ABLFL"),
    TrialVariable("CHG", "Change from baseline", "AVAL - BASE, of records after the baseline"),
    TrialVariable("PCHG", "Percent change from baseline", "100 * CHG / BASE; empty where BASE is 0 or less"),
    TrialVariable("ABLFL", "Baseline record flag", "Y: compared as the earlier side of the registered contrast"),
    TrialVariable("ANL01FL", "Analysis flag 01", "Y: the value is in a pair of tables/pairs.csv"),
    TrialVariable("QCFLAG", "Flags of the value", "flag of tables/endpoints.csv; docs/flags.md has their meaning"),
    TrialVariable("RSNFL", "Reason of a missing value", "why AVAL, or else BASE, is empty"),
    TrialVariable("SAMPLEID", "Sample", "sample_id of tables/endpoints.csv"),
)


def adam_rows(run: Run) -> pd.DataFrame:
    """Return the records, in the order of endpoints, patients and visits.

    Parameters
    ----------
    run
        The finished run.
    """
    rows = run.endpoints.copy()
    codes, numbers, arms = short_codes(rows["endpoint"]), visit_numbers(run), arm_of(run)
    study = study_id(run)
    patient = rows["patient_id"].astype(str)
    found = pd.DataFrame(
        {
            "STUDYID": study,
            "USUBJID": study + "-" + patient,
            "SUBJID": patient,
            "TRTA": patient.map(arms).fillna(""),
            "COHORT": rows["cohort"].fillna("").astype(str),
            "PARAMCD": rows["endpoint"].map(codes),
            "PARAM": rows["endpoint"].map(lambda endpoint: parameter(run, endpoint)),
            "ENDPOINT": rows["endpoint"].astype(str),
            "AVISIT": rows["visit"].astype(str),
            "AVISITN": rows["visit"].map(numbers).astype("Int64"),
            "ADY": rows["study_day"].astype("float64"),
            "AVAL": rows["value"].astype("float64"),
            "AVALU": rows["unit"].fillna("").astype(str),
            "QCFLAG": rows["flag"].fillna("").astype(str),
            "SAMPLEID": rows["sample_id"].fillna("").astype(str),
        }
    )
    planned = rows["compared_as"] if "compared_as" in rows else rows["visit"]  # without an estimand, as they are
    compared = planned.fillna("").astype(str)
    before = rows["endpoint"].map(baselines(run)).fillna("")
    found["ABLFL"] = np.where((before != "") & (compared == before) & found["AVAL"].notna(), "Y", "")
    found["ANL01FL"] = np.where(_in_a_pair(run, rows, compared), "Y", "")
    return _with_changes(found, before).sort_values(["PARAMCD", "USUBJID", "AVISITN"], kind="stable", ignore_index=True)


def parameter(run: Run, endpoint: str) -> str:
    """Return what an endpoint measures with its unit, ``Treg of CD4 [CD25hi CD127lo] (%)``.

    Parameters
    ----------
    run
        The finished run.
    endpoint
        Its id.
    """
    label = run.label_of(endpoint)
    of = f" of {label.parent}" if label.parent else ""
    unit = f" ({label.unit})" if label.unit else ""
    defined = f" [{label.definition}]" if label.definition else ""
    declared = run.declared.get(endpoint)
    where = ", single cells" if declared and declared.repeats else ""  # of an endpoint that flow measures as well
    return f"{label.population}{of}{defined}{unit}{where}"


def baselines(run: Run) -> dict[str, str]:
    """Return the earlier side of each endpoint that is compared, as pairs.csv names it: of slopes, where a period ends.

    Parameters
    ----------
    run
        The finished run.
    """
    planned = {name: str(one.plan.before) for one in run.compared for name in one.endpoints}
    paired = run.pairs.drop_duplicates("endpoint")
    return planned | dict(zip(paired["endpoint"].astype(str), paired["visit_before"].astype(str), strict=True))


def _later_sides(run: Run) -> dict[str, str]:
    planned = {name: str(one.plan.after) for one in run.compared for name in one.endpoints}
    paired = run.pairs.drop_duplicates("endpoint")
    return planned | dict(zip(paired["endpoint"].astype(str), paired["visit_after"].astype(str), strict=True))


def _in_a_pair(run: Run, rows: pd.DataFrame, compared: pd.Series) -> np.ndarray:
    """Return which records a pair of the comparison was made of: same patient, endpoint, side and value."""
    pairs = run.pairs
    sides = {
        (str(p), str(e), str(v), float(value))
        for side in ("before", "after")
        for p, e, v, value in zip(
            pairs["patient_id"], pairs["endpoint"], pairs[f"visit_{side}"], pairs[side], strict=True
        )
        if pd.notna(value)
    }
    keys = zip(rows["patient_id"].astype(str), rows["endpoint"].astype(str), compared, rows["value"], strict=True)
    return np.array([pd.notna(value) and (p, e, v, float(value)) in sides for p, e, v, value in keys], dtype=bool)


def _with_changes(found: pd.DataFrame, before: pd.Series) -> pd.DataFrame:
    key = ["USUBJID", "ENDPOINT"]
    marked = found[found["ABLFL"] == "Y"]
    single = marked[~marked.duplicated(key, keep=False)].set_index(key)
    where = pd.MultiIndex.from_frame(found[key])
    base = single["AVAL"].reindex(where).to_numpy()
    day = single["ADY"].reindex(where).to_numpy()
    number = single["AVISITN"].astype("float64").reindex(where).to_numpy()
    later = np.where(
        np.isfinite(day) & found["ADY"].notna(),
        found["ADY"].to_numpy() > day,
        found["AVISITN"].astype("float64").to_numpy() > number,
    )
    found["BASE"] = base
    found["CHG"] = np.where(later, found["AVAL"] - base, np.nan)
    found["PCHG"] = np.where(base > 0, 100 * found["CHG"] / np.where(base > 0, base, 1), np.nan)
    several = pd.Series(where.isin(marked[marked.duplicated(key, keep=False)].set_index(key).index), found.index)
    found["RSNFL"] = np.select(
        [found["AVAL"].isna(), np.isfinite(base), before == "", several],
        [found["QCFLAG"].where(found["QCFLAG"] != "", "not_measured"), "", "not_compared", "several_baselines"],
        "no_baseline_value",
    )
    return found


def write_adam(run: Run, folder: Path) -> list[Path]:
    """Write ``adcyt`` (CSV, and XPT with pyreadstat), ``define.csv`` and ``parameters.csv``.

    Parameters
    ----------
    run
        The finished run.
    folder
        Where to.
    """
    rows = adam_rows(run)
    first = rows.drop_duplicates("PARAMCD")
    before, after = baselines(run), _later_sides(run)
    parameters = pd.DataFrame(
        {
            "PARAMCD": first["PARAMCD"],
            "PARAM": first["PARAM"],
            "endpoint": first["ENDPOINT"],
            "role": [run.declared[e].role if e in run.declared else "" for e in first["ENDPOINT"]],
            "before": [before.get(e, "") for e in first["ENDPOINT"]],
            "after": [after.get(e, "") for e in first["ENDPOINT"]],
        }
    )
    data = TrialDataSet("ADCYT", "Endpoints of cytometry and clinic", _VARIABLES, rows)
    return write_data_sets([data], folder, {"parameters": parameters})
