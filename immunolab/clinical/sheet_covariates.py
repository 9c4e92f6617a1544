"""The trial's covariates that the sample sheet holds, such as a dose of prednisone, as rows of measurements."""

from __future__ import annotations

import math
import re

import pandas as pd

from immunolab.errors import InputError, Problem
from immunolab.schema.endpoints import MEASUREMENTS
from immunolab.study.rows import Sample
from immunolab.study.sheet import Study

_HEAD = re.compile(r"(?P<name>[^(\[]+?)[\s_]*(?:[(\[][\s_]*(?P<unit>[^)\]]+?)[\s_]*[)\]])?")  # blanks are read as _


def sheet_covariates(study: Study) -> pd.DataFrame:
    """Return rows of `tables.MEASUREMENTS` for columns of the sheet named as the trial's covariates.

    A unit may be in the head of the column (``prednisone (mg/day)``). Empty cells have no row; a patient's second tube
    of a visit says nothing more.

    Parameters
    ----------
    study
        Its sheet and trial.

    Raises
    ------
    InputError
        Every cell that is no number, and every visit at which two tubes of a patient differ.
    """
    wanted = {_as_read(name): name for name in (study.trial.covariates if study.trial else ())}
    found: dict[tuple[str, str, str], dict[str, object]] = {}
    problems: list[Problem] = []
    for sample in study.samples:
        for head, text in sample.extra.items() if not sample.control_of else ():
            match = _HEAD.fullmatch(head)
            name = wanted.get(_as_read(match["name"])) if match else None
            if match is None or name is None or not text.strip():
                continue
            value = _number(text)
            key = (sample.patient_id, sample.visit, name)
            if value is None:
                problems.append(_problem(study, sample, head, f"'{text}' is not a number"))
            elif key in found and found[key]["value"] != value:
                problems.append(_problem(study, sample, head, f"'{text}' differs from another tube of the visit"))
            else:
                found.setdefault(key, _row(sample, name, value, match["unit"] or ""))
    if problems:
        raise InputError(problems)
    return MEASUREMENTS.frame(list(found.values()))


def _row(sample: Sample, name: str, value: float, unit: str) -> dict[str, object]:
    place = {"patient_id": sample.patient_id, "visit": sample.visit, "study_day": sample.study_day}
    return {**place, "variable": name, "value": value, "unit": unit, "row": max(sample.row, 1)}


def _as_read(name: str) -> str:
    """Return a name as the sheet's reader writes heads: without regard to capitals, blanks as underscores."""
    return re.sub(r"\s+", "_", name.strip()).lower()


def _number(text: str) -> float | None:
    try:
        value = float(text.strip().replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _problem(study: Study, sample: Sample, head: str, message: str) -> Problem:
    file = str(study.sheet) if study.sheet else "samples"
    return Problem(file, f"row {sample.row}, column {head}", message, "a number, such as 7.5; empty where not known")
