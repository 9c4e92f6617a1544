"""The clinical side of a study: measurements, scores, responders, read before any tube is."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from immunolab.study.sheet import Study


@dataclass(frozen=True)
class Clinic:
    """Measurements in canonical units with their visits, scores, responders, and rows of the endpoint table."""

    measurements: pd.DataFrame
    scores: pd.DataFrame
    responders: pd.DataFrame
    rows: pd.DataFrame


def read_clinic(study: Study) -> Clinic | None:
    """Return a study's clinic, or None when it names no measurements.

    Raises
    ------
    InputError
        Every problem of the measurements and score items at once, each with its row.
    """
    if study.measurements is None:
        return None
    from immunolab.clinical import endpoint_rows, responders, scores, with_visits
    from immunolab.loaders.measurements import read_measurements

    measured = with_visits(read_measurements(study.measurements, samples=study.samples), study.trial, study.doses)
    baseline = "" if study.trial else study.comparison.before
    found = scores(measured, study.trial, doses=study.doses, baseline=baseline)
    return Clinic(measured, found, responders(found), endpoint_rows(study, measured, found))
