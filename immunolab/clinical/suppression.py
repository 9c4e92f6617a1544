"""Treg suppression assay: percent inhibition at several Treg to responder ratios, summed up as one value a visit."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from immunolab.clinical.patients import measurement_problem
from immunolab.errors import InputError, Problem
from immunolab.schema.clinical import SUPPRESSION
from immunolab.schema.flags import Flag
from immunolab.study.endpoints.measured import SUPPRESSION_ASSAY

_DEFINITION = "mean over the log of the Treg to responder ratio"
_NAME = re.compile(r"treg[ _]suppression(?:\b|_(?=\s*\d))[ ._]*(.*)", re.IGNORECASE)
_RATIO = re.compile(r"(\d+(?:\.\d+)?)\s*:\s*(\d+(?:\.\d+)?)")


def mean_inhibition(ratios: Any, inhibition: Any) -> float:
    """Return the area under percent inhibition over the log of the ratio, divided by the log range it spans.

    Straight lines join the points (trapezoids), so the value is the mean inhibition over the titration, in percent,
    whatever the base of the logarithm.

    Parameters
    ----------
    ratios
        Treg for one responder cell, at least two different ones.
    inhibition
        Percent at each.
    """
    x, y = np.log(np.asarray(ratios, dtype=float)), np.asarray(inhibition, dtype=float)
    order = np.argsort(x)
    x, y = x[order], y[order]
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2) / (x[-1] - x[0]))


def suppression_curves(measurements: pd.DataFrame) -> pd.DataFrame:
    """Return rows of `SUPPRESSION` for the variables ``Treg_suppression.1:2`` and so on.

    Parameters
    ----------
    measurements
        Rows of `tables.MEASUREMENTS` with their visits.

    Raises
    ------
    InputError
        Names without a ratio, units other than %, more than 100 % inhibition, a ratio that is duplicated
        at a visit, a summary given beside its ratios: all at once, by row and column.
    """
    rows: list[dict[str, object]] = []
    problems: list[Problem] = []
    seen: dict[tuple[str, str, float], object] = {}
    columns = ["patient_id", "visit", "variable", "value", "unit", "censored"]
    named = measurements[measurements["variable"].astype(str).str.match(_NAME)]
    for index, record in zip(named.index, named[columns].to_dict("records"), strict=True):
        number = measurements["row"].get(index, index) if "row" in measurements else index
        if record["variable"] == SUPPRESSION_ASSAY or pd.isna(record["value"]):
            continue
        ratio, faults = _checked(record)
        who = str(record["patient_id"]), str(record["visit"])
        first = seen.setdefault((*who, ratio), number)
        if first != number and not faults:
            faults.append(("variable", f"its ratio is in row {first} already", "keep one value a ratio"))
        problems += [
            measurement_problem(measurements, index, column, f"{record['variable']}: {text}", hint)
            for column, text, hint in faults
        ]
        if not faults:
            rows.append(
                {
                    "patient_id": who[0],
                    "visit": who[1],
                    "ratio": _ratio_text(str(record["variable"])),
                    "treg_per_responder": ratio,
                    "percent_inhibition": float(record["value"]),
                    "censored": record["censored"],
                }
            )
    problems += _beside(measurements, {key[:2] for key in seen})
    if problems:
        raise InputError(problems)
    return SUPPRESSION.frame(rows)


def _ratio_text(variable: str) -> str:
    found = _NAME.match(variable)
    return re.sub(r"\s", "", found.group(1)) if found else ""


def _checked(record: dict[Any, Any]) -> tuple[float, list[tuple[str, str, str]]]:
    """Return Treg for one responder cell, and (column, fault, hint) of everything that is wrong."""
    faults = []
    found = _RATIO.fullmatch(_ratio_text(str(record["variable"])))
    parts = tuple(map(float, found.groups())) if found else (0.0, 0.0)
    if not all(parts):
        faults.append(("variable", "names no ratio of Treg to responder cells", f"write {SUPPRESSION_ASSAY}.1:2"))
    if pd.isna(record["unit"]) or record["unit"] not in ("%", "percent"):
        written = "no unit" if pd.isna(record["unit"]) else f"unit '{record['unit']}'"
        faults.append(("unit", f"{written}, needed is %", "percent inhibition: 100 (1 - with Treg / without)"))
    if record["value"] > 100:
        hint = "percent inhibition: 100 (1 - with Treg / without); negative where Treg add to it"
        faults.append(("value", f"{record['value']:g} % inhibition is more than all", hint))
    return (parts[0] / parts[1] if all(parts) else math.nan), faults


def _beside(measurements: pd.DataFrame, titrated: set[tuple[str, str]]) -> Iterator[Problem]:
    for index, record in measurements[measurements["variable"] == SUPPRESSION_ASSAY].iterrows():
        if (str(record["patient_id"]), str(record["visit"])) in titrated:
            text = f"{SUPPRESSION_ASSAY} is given beside its ratios, which it is computed from"
            yield measurement_problem(measurements, index, "variable", text, "keep the ratios or the summary")


def with_suppression(measurements: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """Return measurements with a row ``Treg_suppression`` (mean inhibition, %) for every visit of the assay.

    All visits of a patient are summed up over the same ratios: a visit that lacks one of them, or a patient with one
    ratio only, has no value and the flag ``not_evaluable``.

    Parameters
    ----------
    measurements
        Rows of `tables.MEASUREMENTS` with their visits.
    curves
        Rows of `SUPPRESSION`.
    """
    if curves.empty:
        return measurements
    days = measurements.dropna(subset=["study_day"]).drop_duplicates(["patient_id", "visit"])
    day_of = days.set_index(["patient_id", "visit"])["study_day"].to_dict()
    rows = []
    for patient, own in curves.groupby("patient_id", sort=False):
        wanted = set(own["treg_per_responder"])
        for visit, titration in own.groupby("visit", sort=False):
            whole = len(wanted) > 1 and set(titration["treg_per_responder"]) == wanted
            value = mean_inhibition(titration["treg_per_responder"], titration["percent_inhibition"]) if whole else None
            flags = [] if whole else [Flag.NOT_EVALUABLE]
            flags += [Flag.CENSORED_PART] if titration["censored"].notna().any() else []
            who = {"patient_id": patient, "visit": visit, "study_day": day_of.get((patient, visit))}
            rows.append(
                {
                    **who,
                    "variable": SUPPRESSION_ASSAY,
                    "value": value,
                    "unit": "%",
                    "flag": ";".join(flags),
                    "definition": _DEFINITION,
                }
            )
    added = pd.DataFrame(rows).astype({"study_day": "Int64", "value": "float64"})
    return pd.concat([measurements, added], ignore_index=True)
