"""The clinical side of a study: measurements, scores, responders, read before any tube is."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from immunolab.study.sheet import Study


@dataclass(frozen=True)
class Clinic:
    """The clinical tables of a study.

    Attributes
    ----------
    measurements : in canonical units, with their visits.
    scores, responders, components : what was made of them.
    rows : of the endpoint table.
    covariates : rows like those, of the trial's covariates; shown beside the endpoints, not compared.
    """

    measurements: pd.DataFrame
    scores: pd.DataFrame
    responders: pd.DataFrame
    components: pd.DataFrame
    rows: pd.DataFrame
    covariates: pd.DataFrame


def read_clinic(study: Study) -> Clinic | None:
    """Return a study's clinic, or None when it names no measurements.

    Raises
    ------
    InputError
        Every problem of the measurements and score items at once, each with its row.
    """
    if study.measurements is None:
        return None
    from immunolab.clinical import components, covariate_rows, endpoint_rows, responders, scores, with_visits
    from immunolab.loaders.measurements import read_measurements

    measured = with_visits(read_measurements(study.measurements, samples=study.samples), study.trial, study.doses)
    baseline = "" if study.trial else study.comparison.before
    found = scores(measured, study.trial, doses=study.doses, baseline=baseline)
    return Clinic(
        measurements=measured,
        scores=found,
        responders=responders(found),
        components=components(measured, study.trial, doses=study.doses, baseline=baseline),
        rows=endpoint_rows(study, measured, found),
        covariates=covariate_rows(study, measured),
    )
