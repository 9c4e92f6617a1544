"""A patient's page straight from the tables of a cohort, as the report has it from a run."""

from __future__ import annotations

import pandas as pd

from immunolab.plots.calendar import Calendar
from immunolab.plots.labels import labels
from immunolab.plots.patient_page import patient_page
from immunolab.plots.trajectories import visit_order


def page_of(
    endpoints: pd.DataFrame, pairs: pd.DataFrame, patient: str, plan: Calendar, marks: pd.DataFrame | None = None
):
    """Return the page of one patient; the visits of an endpoint are those of all patients."""
    values = endpoints.dropna(subset=["value", "study_day"])
    visits = {str(name): visit_order(rows, plan) for name, rows in values.groupby("endpoint")}
    own, changes = values[values["patient_id"] == patient], pairs[pairs["patient_id"] == patient]
    return patient_page(own, changes, patient, plan, labels(endpoints), visits, marks=marks)
