"""The data beside each figure of a report: rows of a table, with what the figure adds."""

from __future__ import annotations

from dataclasses import dataclass

from immunolab.schema.across_tubes import DRIFT
from immunolab.schema.bridges import BRIDGE_CHANNELS, BRIDGES, CHART_LIMITS
from immunolab.schema.cells import EXPRESSION, METHOD_PAIRS
from immunolab.schema.clinical import COMPONENTS, EVENT_COUNTS, RESPONDERS, SUPPRESSION, SURVIVAL
from immunolab.schema.column import Column
from immunolab.schema.comparison import CORRELATIONS, PAIRS, SHIFTS
from immunolab.schema.endpoints import ENDPOINTS
from immunolab.schema.gating import COUNTS, QUALITY, THRESHOLDS
from immunolab.schema.next_cohort import POWER_IN_FAMILY
from immunolab.schema.shared_columns import ENDPOINT, PATIENT, VISIT
from immunolab.schema.stimulation import STIMULATION
from immunolab.schema.table import Table


@dataclass(frozen=True)
class FigureData:
    """What is beside a kind of figure.

    Attributes
    ----------
    pattern
        Names of its files, without suffix.
    meaning
        What the figure shows.
    base
        Table its rows are of; None where all columns are the figure's own.
    more
        Columns the figure adds.
    """

    pattern: str
    meaning: str
    base: Table | None
    more: tuple[Column, ...] = ()

    @property
    def table(self) -> Table:
        """The declaration of its CSV."""
        columns = (*(self.base.columns if self.base else ()), *self.more)
        name = f"figures/{self.pattern}"
        return Table(name, self.meaning, columns, files=(f"run: {name}.csv",))


def _text(name: str, meaning: str) -> Column:
    return Column(name, "text", meaning, nullable=True, optional=True)


def _number(name: str, meaning: str, unit: str = "") -> Column:
    return Column(name, "number", meaning, unit, nullable=True, optional=True)


_GROUP = _text("group", "panel of the figure")
_RESPONSE = (_text("response", "what the patient's response is"), _text("response_by", "score it is defined by"))
_VISITS = tuple(_text(f"visit_{when}", f"{when} visit") for when in ("before", "after", "later"))

FIGURES = (
    FigureData("agreement*", "flow against single cells of an endpoint", METHOD_PAIRS),
    FigureData("bridge_endpoints*", "a bridging control's endpoints over the batches", BRIDGES),
    FigureData(
        "bridge_channels*",
        "a bridging control's channels over the batches, at one landmark population each",
        BRIDGE_CHANNELS,
        (
            _number("value", "median of the landmark", "display scale"),
            *(_number(name, f"{name} of the chart", "display scale") for name in CHART_LIMITS),
        ),
    ),
    FigureData("check*", "a check, sample by sample", QUALITY),
    FigureData("clinic_course*", "courses of measurements and scores", ENDPOINTS, (_GROUP,)),
    FigureData("core_set*", "measures of a composite response", COMPONENTS, (_text("column", "column of the figure"),)),
    FigureData("correlations*", "correlations of subsets with the clinic", CORRELATIONS),
    FigureData("correlation*", "change of a subset against a change of the clinic", PAIRS),
    FigureData("course*", "an endpoint over all visits", ENDPOINTS),
    FigureData("event_*", "patients with an event, of those who could have it", EVENT_COUNTS),
    FigureData(
        "flow*",
        "where patients and samples went",
        None,
        (
            Column("step", "text", "step of the way"),
            _text("name", "visit"),
            *(
                Column(f"n_{what}", "integer", f"{what.replace('_', ' ')} of the step", nullable=True, low=0)
                for what in ("patients", "samples", "failed", "not_run", "measured", "warned")
            ),
        ),
    ),
    FigureData("forest*", "the cohort's shifts", SHIFTS),
    FigureData("gate_drift*", "borders in run order", THRESHOLDS),
    FigureData("landmark_drift*", "brightness of landmark populations by batch", DRIFT),
    FigureData("gating_*", "a patient's gates, visit beside visit", COUNTS),
    FigureData(
        "heatmap_measured*",
        "changes of measured values by patient",
        None,
        (
            PATIENT,
            ENDPOINT,
            _VISITS[0],
            _number("value_before", "value at the earlier visit"),
            _text("flag_before", "its flags"),
            VISIT,
            _number("value", "value at the visit"),
            _text("flag", "its flags"),
            _number("log2_fold", "value over value_before", "log2"),
            _text("column", "column of the figure"),
            _text("shown", "text in the cell"),
        ),
    ),
    FigureData("genes*", "genes of a subset of single cells, compared between two visits", EXPRESSION),
    FigureData("heatmap*", "shifts by patient and endpoint", PAIRS),
    FigureData("one_visit*", "values of an endpoint at the only visit", ENDPOINTS),
    FigureData("paired*", "both visits of an endpoint", PAIRS),
    FigureData("parts*", "the two sides of a ratio", PAIRS),
    FigureData("patient_*", "one patient's endpoints", ENDPOINTS),
    FigureData("power*", "power of a next cohort by its size", POWER_IN_FAMILY),
    FigureData(
        "rebound*",
        "what became of a change in follow-up",
        None,
        (
            PATIENT,
            ENDPOINT,
            _text("label", "how the endpoint is written"),
            _text("unit", "unit of the values"),
            *_VISITS,
            *(_number(when, f"value at the {when} visit", "unit") for when in ("before", "after", "later")),
            _text("change_as", "difference or fold"),
            _number("change_after", "after against before"),
            _number("change_later", "later against before"),
        ),
    ),
    FigureData("responders*", "responders at the registered visits", RESPONDERS),
    FigureData("response*", "an endpoint by response", PAIRS, _RESPONSE),
    FigureData(
        "slope_panels*", "slopes patient by patient", ENDPOINTS, (_GROUP, _number("slope *", "slope of the period"))
    ),
    FigureData(
        "slopes*",
        "slopes of two periods",
        None,
        (PATIENT, Column("period", "text", "first to last visit"), _number("slope", "change in a month", "unit/month")),
    ),
    FigureData("stimulation*", "stimulated tubes against their controls", STIMULATION),
    FigureData(
        "subgroup*",
        "changes by subgroup",
        PAIRS,
        (_text("subgroup", "the patient's subgroup"), _number("change", "the change that is drawn")),
    ),
    FigureData("suppression*", "curves of the suppression assay", SUPPRESSION),
    FigureData("survival*", "Kaplan-Meier curves", SURVIVAL),
    FigureData(
        "swimmer*",
        "what happened to each patient, on the time line",
        None,
        (
            PATIENT,
            VISIT,
            _number("study_day", "day 1 is the first dose", "days"),
            _number("days_since_last_dose", "days from the latest dose", "days"),
            _text("what", "what happened"),
        ),
    ),
    FigureData("verdicts*", "patients' calls", PAIRS),
    FigureData("waterfall*", "patients in order of their change", PAIRS, _RESPONSE),
)
TABLES = tuple(figure.table for figure in FIGURES)
