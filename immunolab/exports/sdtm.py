"""Measurements as SDTM-like findings: populations of cells as CP (cell phenotype), measurements of the sheet as LB."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from immunolab.exports.codes import short_codes, study_id, visit_numbers
from immunolab.exports.datasets import TrialDataSet, TrialVariable, write_data_sets
from immunolab.exports.population_strings import population_strings
from immunolab.results.run import Run


def _variables(domain: str, further: tuple[TrialVariable, ...]) -> tuple[TrialVariable, ...]:
    return (
        TrialVariable("STUDYID", "Study identifier", "registration of the trial, else the study's name"),
        TrialVariable("DOMAIN", "Domain abbreviation", domain),
        TrialVariable("USUBJID", "Unique subject identifier", "STUDYID and patient_id of the sample sheet"),
        TrialVariable(f"{domain}SEQ", "Sequence number", "unique within a subject and domain"),
        TrialVariable(f"{domain}TESTCD", "Test short name", "from the test alone, the same in every run"),
        TrialVariable(f"{domain}TEST", "Test name", "what is measured"),
        TrialVariable(f"{domain}ORRES", "Result in original units", "as measured, as text; empty where not done"),
        TrialVariable(f"{domain}ORRESU", "Original units", "unit of the table"),
        TrialVariable(f"{domain}STRESC", "Result in standard format, character", "as ORRES"),
        TrialVariable(f"{domain}STRESN", "Result in standard format, numeric", "as ORRES"),
        TrialVariable(f"{domain}STRESU", "Standard units", "as ORRESU"),
        TrialVariable(f"{domain}STAT", "Completion status", "NOT DONE where a value is missing or withheld"),
        TrialVariable(f"{domain}REASND", "Reason not done", "flag of the table, see docs/flags.md"),
        *further,
        TrialVariable("VISITNUM", "Visit number", "place in the trial's calendar; from 101 for visits outside it"),
        TrialVariable("VISIT", "Visit name", "visit of the sheet"),
        TrialVariable(f"{domain}DY", "Study day", "study_day; day 1 is the first dose, there is no day 0"),
        TrialVariable("QCFLAG", "Flags of the value", "flag of the table, also of values that are shown"),
    )


_CP = _variables(
    "CP",
    (
        TrialVariable("CPSBMRKS", "Markers of the population", "population definition in markers, HIPC spelling"),
        TrialVariable("CPPARENT", "Denominator", "parent of the population"),
        TrialVariable("CPSPEC", "Specimen type", "BLOOD where the strategy says blood, else empty"),
        TrialVariable("CPMETHOD", "Method of test", "modality of the sample sheet"),
        TrialVariable("CPREFID", "Specimen identifier", "sample_id of the sheet"),
    ),
)
_METHODS = {"flow": "FLOW CYTOMETRY", "mass": "MASS CYTOMETRY", "single_cell": "SINGLE-CELL SEQUENCING"}
_LB = _variables("LB", (TrialVariable("LBDTC", "Date of the measurement", "date of the table, ISO 8601"),))


def write_sdtm(run: Run, folder: Path) -> list[Path]:
    """Write ``cp`` and ``lb`` (CSV, and XPT with pyreadstat) and ``define.csv``.

    Parameters
    ----------
    run
        The finished run.
    folder
        Where to.
    """
    return write_data_sets(
        [
            TrialDataSet("CP", "Cell phenotype findings", _CP, _populations(run)),
            TrialDataSet("LB", "Laboratory and clinical measurements", _LB, _measurements(run)),
        ],
        folder,
        {},
    )


def _populations(run: Run) -> pd.DataFrame:
    """Return two findings a population and sample: percent of its parent, and events."""
    counts = run.counts[run.counts["population"] != "root"]
    samples = {s.sample_id: s for s in run.study.samples}
    counts = counts[counts["sample_id"].isin([name for name, s in samples.items() if not s.control_of])]
    markers = population_strings(run)
    blood = any(strategy.specimen == "blood" for strategy in run.strategies.values())
    sample = [samples[name] for name in counts["sample_id"]]
    parts = []
    for what, column, unit in (("percent of parent", "percent_of_parent", "%"), ("events", "n_events", "events")):
        part = pd.DataFrame(
            {
                "patient": [s.patient_id for s in sample],
                "visit": [s.visit for s in sample],
                "day": [s.study_day for s in sample],
                "test": [f"{p} {what} {path}" for p, path in zip(counts["population"], counts["path"], strict=True)],
                "name": [
                    f"{p}, % of {q}" if unit == "%" else f"{p}, events"
                    for p, q in zip(counts["population"], counts["parent"], strict=True)
                ],
                "value": counts[column].astype("float64").to_numpy(),
                "unit": unit,
                "flag": counts["flag"].fillna("").astype(str).to_numpy(),
                "CPSBMRKS": [markers.get(path, "") for path in counts["path"]],
                "CPPARENT": counts["parent"].fillna("").astype(str).to_numpy(),
                "CPSPEC": "BLOOD" if blood else "",
                "CPMETHOD": [_METHODS[s.modality] for s in sample],
                "CPREFID": counts["sample_id"].astype(str).to_numpy(),
            }
        )
        # the count of a population that is withheld is no result either
        part.loc[counts["percent_of_parent"].isna().to_numpy(), "value"] = float("nan")
        parts.append(part)
    return _findings("CP", run, pd.concat(parts, ignore_index=True))


def _measurements(run: Run) -> pd.DataFrame:
    optional = [name for name in ("study_day", "flag", "date") if name not in run.table("measurements")]
    table = run.table("measurements").assign(**dict.fromkeys(optional))
    rows = pd.DataFrame(
        {
            "patient": table["patient_id"].astype(str),
            "visit": table["visit"].fillna("").astype(str),
            "day": table["study_day"],
            "test": table["variable"].astype(str),
            "name": table["variable"].astype(str),
            "value": table["value"].astype("float64"),
            "unit": table["unit"].fillna("").astype(str),
            "flag": table["flag"].fillna("").astype(str),
            "sign": table["censored"].fillna("").astype(str),
            "LBDTC": table["date"].fillna("").astype(str),
        }
    )
    return _findings("LB", run, rows)


def _findings(domain: str, run: Run, rows: pd.DataFrame) -> pd.DataFrame:
    study, numbers = study_id(run), visit_numbers(run)
    codes = short_codes(rows["test"])
    sign = rows["sign"] if "sign" in rows else pd.Series("", rows.index)  # < or > of a limit
    known = rows["value"].notna()
    text = (sign + rows["value"].map(lambda value: f"{value:.10g}")).where(known, "")
    found = rows.assign(
        **{
            "STUDYID": study,
            "DOMAIN": domain,
            "USUBJID": study + "-" + rows["patient"].astype(str),
            f"{domain}TESTCD": rows["test"].map(codes),
            f"{domain}TEST": rows["name"],
            f"{domain}ORRES": text,
            f"{domain}ORRESU": rows["unit"],
            f"{domain}STRESC": text,
            f"{domain}STRESN": rows["value"].where(sign == ""),
            f"{domain}STRESU": rows["unit"],
            f"{domain}STAT": ["" if one else "NOT DONE" for one in known],
            f"{domain}REASND": rows["flag"].where(rows["flag"] != "", "missing").where(~known, ""),
            "VISITNUM": rows["visit"].map(numbers).astype("float64"),
            "VISIT": rows["visit"],
            f"{domain}DY": rows["day"].astype("float64"),
            "QCFLAG": rows["flag"],
        }
    )
    found = found.sort_values(["USUBJID", "VISITNUM", f"{domain}TESTCD"], kind="stable", ignore_index=True)
    found[f"{domain}SEQ"] = found.groupby("USUBJID").cumcount() + 1
    return found
