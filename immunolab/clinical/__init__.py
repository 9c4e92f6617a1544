"""Clinical scores: from items or totals to values, responders and rows of the endpoint table."""

from immunolab.clinical.components import COMPONENTS, components
from immunolab.clinical.endpoints import covariate_rows, endpoint_rows
from immunolab.clinical.evaluate import SCORES, scores
from immunolab.clinical.patients import with_visits
from immunolab.clinical.proportions import compare_proportions, proportion
from immunolab.clinical.responders import RESPONDERS, responders

__all__ = [
    "COMPONENTS",
    "RESPONDERS",
    "SCORES",
    "compare_proportions",
    "components",
    "covariate_rows",
    "endpoint_rows",
    "proportion",
    "responders",
    "scores",
    "with_visits",
]
