"""Clinical scores: from items or totals to values, responders and rows of the endpoint table."""

from immunolab.clinical.adverse_events import adverse_events_table
from immunolab.clinical.endpoints import context_rows, endpoint_rows, undeclared_endpoints
from immunolab.clinical.evaluate import components, scores_table
from immunolab.clinical.event_counts import event_counts
from immunolab.clinical.follow_up import enrolled, followed, study_patients
from immunolab.clinical.intercurrent import composite_failures, intercurrent_events, with_failures
from immunolab.clinical.patients import with_visits
from immunolab.clinical.proportions import proportion
from immunolab.clinical.responders import responders, responses
from immunolab.clinical.sheet_covariates import sheet_covariates
from immunolab.clinical.suppression import suppression_curves, with_suppression
from immunolab.clinical.survival import survival_tables

__all__ = [
    "adverse_events_table",
    "components",
    "composite_failures",
    "context_rows",
    "endpoint_rows",
    "enrolled",
    "event_counts",
    "followed",
    "intercurrent_events",
    "proportion",
    "responders",
    "responses",
    "scores_table",
    "sheet_covariates",
    "study_patients",
    "suppression_curves",
    "survival_tables",
    "undeclared_endpoints",
    "with_failures",
    "with_suppression",
    "with_visits",
]
