"""Tables of what a comparison of two visits rests on: slopes, cycles, doses, deaths, regression to the mean."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

from immunolab.schema.column import Column
from immunolab.schema.shared_columns import (
    COHORT,
    CONTRAST,
    ENDPOINT,
    ESTIMATE_SCALE,
    FOLD,
    P_VALUE,
    ROLES,
    interval,
)
from immunolab.schema.table import Table

DeathRule = Literal["complete_pairs", "joint_rank", "deaths_reversed"]
DEATH_RULES: tuple[DeathRule, ...] = get_args(DeathRule)
JOINT_RANK = Table(
    "joint_rank",
    "difference of slopes with deaths ranked beyond any slope: sensitivity, exploratory",
    (
        COHORT,
        Column("endpoint", "text", "endpoint id of the difference of slopes"),
        Column("role", "text", "always exploratory", allowed=ROLES[-1:]),
        Column("rule", "text", "what a death counts as", allowed=DEATH_RULES),
        Column("n_patients", "integer", "patients of the cohort", "patients", low=0),
        Column("n_slopes", "integer", "of these, patients with both slopes", "patients", low=0),
        Column("n_deaths_earlier", "integer", "patients who died in the earlier period", "patients", low=0),
        Column("n_deaths_later", "integer", "patients who died in the later period", "patients", low=0),
        Column("n_left_out", "integer", "patients alive without both slopes", "patients", low=0),
        Column(
            "rank_biserial",
            "number",
            "(positive - negative ranks) / all ranks, of later minus earlier",
            "-1 to 1",
            nullable=True,
            low=-1,
            high=1,
        ),
        replace(P_VALUE, meaning="two-sided, as if a death were as likely in either period"),
        Column("method", "text", "named method"),
    ),
    key=("cohort", "endpoint", "rule"),
    notes="Only written when a patient died before a difference of slopes was complete (`deaths` in the trial file). "
    "`complete_pairs` leaves them out, `joint_rank` puts a death beyond any slope and so makes the period it fell into "
    "the worse one (earlier deaths further out), `deaths_reversed` is the opposite bound. What holds under all three "
    "does not depend on who died. The test takes both signs as equally likely, which deaths are not in a disease that "
    "gets worse: where slopes do not differ at all but 3 of 13 patients die in the later period, it calls one study in "
    "five. So it is never evidence by itself.",
    files=("run: tables/joint_rank.csv",),
)
DOSE_SENSITIVITY = Table(
    "dose_sensitivity",
    "each shift adjusted for the change of a concomitant drug's dose, and without values under its rescue",
    (
        COHORT,
        ENDPOINT,
        CONTRAST,
        Column("covariate", "text", "drug, as the trial file names it under covariates"),
        Column(
            "analysis",
            "text",
            "what is done about it",
            allowed=("adjusted for its change", "without values under rescue"),
        ),
        Column("n_pairs", "integer", "patients with both visits (and doses, where adjusted)", "patients", low=0),
        Column("n_concerned", "integer", "patients whose dose changed, or with values left out", "patients", low=0),
        Column("estimate", "number", "cohort shift; where adjusted, of an unchanged dose", "estimate_scale", True),
        ESTIMATE_SCALE,
        FOLD,
        *interval("estimate", "estimate_scale"),
        P_VALUE,
        Column("method", "text", "named method, or why there is no estimate"),
    ),
    key=("cohort", "endpoint", "contrast", "covariate", "analysis"),
    notes="Beside shifts.csv, for sensitivity. A patient whose dose is not known at both visits is not in the adjusted "
    "row. Rescue is the rise of the drug that the trial's estimand declares; there is no row where no patient had one.",
    files=("run: tables/dose_sensitivity.csv",),
)
CYCLES = Table(
    "cycles",
    "response to repeated cycles: peaks and troughs over the level before, and their trend from cycle to cycle",
    (
        COHORT,
        ENDPOINT,
        Column(
            "measure",
            "text",
            "what is estimated, a mean over cycles or a change per cycle",
            allowed=(
                "peak_over_baseline",
                "trough_over_baseline",
                "peak_over_trough",
                "peak_trend",
                "trough_trend",
                "response_trend",
            ),
        ),
        Column("n_patients", "integer", "patients that entered", "patients", low=0),
        Column("n_values", "integer", "values that entered; empty for one number a patient", "values", True, low=0),
        Column("scale", "text", "logit, log, arcsine, identity"),
        Column("estimate", "number", "on scale; a trend is per cycle", "scale", True),
        *interval("estimate", "scale"),
        Column("df", "number", "degrees of freedom of p_value (Satterthwaite for the model)", nullable=True),
        P_VALUE,
        Column("method", "text", "mixed model with its random effects, or t on one number a patient"),
    ),
    key=("cohort", "endpoint", "measure", "method"),
    notes="Only written where patients were seen in two cycles or more; exploratory, not adjusted. By one number a "
    "patient, `peak_over_trough` compares each peak with the off-drug samples since the peak before it, the first with "
    "those before the drug; `response_trend` is its change per cycle, and `trough_trend` takes the samples before the "
    "drug as cycle 0; the model's trends are over peaks, and over troughs, alone.",
    files=("run: tables/cycles.csv",),
)
SLOPES = Table(
    "slopes",
    "slopes of two periods and their difference by a mixed model over all visits: beside the registered comparison",
    (
        COHORT,
        Column("endpoint", "text", "endpoint id of the difference of slopes"),
        Column("model", "text", "how those who were lost enter", allowed=("missing at random", "joint with deaths")),
        Column(
            "quantity",
            "text",
            "what is estimated; association of slope and death in the joint model",
            allowed=("earlier slope", "later slope", "difference", "association"),
        ),
        Column("unit", "text", "unit of the slopes"),
        Column("n_patients", "integer", "patients with any value", "patients", low=0),
        Column("n_values", "integer", "values that entered", "values", low=0),
        Column("estimate", "number", "slope, or later minus earlier", "unit", True),
        *interval("estimate", "unit"),
        Column("df", "number", "degrees of freedom of p_value (Satterthwaite)", nullable=True),
        P_VALUE,
        Column("method", "text", "the model with its random effects, or why there is none"),
    ),
    key=("cohort", "endpoint", "model", "quantity"),
    notes="The joint model has a row where a patient died in a difference of slopes with `deaths`; below 5 deaths it "
    "says that the data do not carry it, and joint_rank.csv is what there is.",
    files=("run: tables/slopes.csv",),
)
REGRESSION_TO_MEAN = Table(
    "regression_to_mean",
    "what selected patients would be expected to do without treatment, from two visits before it",
    (
        COHORT,
        ENDPOINT,
        Column("selected_by", "text", "measure and limit by which patients were chosen"),
        Column("selected_at", "text", "visit at which they were"),
        Column("other_baseline", "text", "visit before treatment at which they were not"),
        Column(
            "quantity",
            "text",
            "what is estimated",
            allowed=("spontaneous change", "observed change", "adjusted change"),
        ),
        Column("contrast", "text", "visits whose values are subtracted"),
        Column("n_patients", "integer", "patients with these visits", "patients", low=0),
        Column("scale", "text", "logit, log, arcsine, identity"),
        Column("estimate", "number", "mean difference within patients", "scale", True),
        *interval("estimate", "scale"),
        Column("df", "number", "degrees of freedom of p_value (paired t)", nullable=True),
        P_VALUE,
        Column(
            "correlation", "number", "of both baselines over the selected patients", "-1 to 1", True, low=-1, high=1
        ),
    ),
    key=("cohort", "endpoint", "selected_by", "selected_at", "other_baseline", "quantity"),
    notes="The spontaneous change is the unselected visit less the selected one; the adjusted change is counted from "
    "the unselected one. Both take patients as stable before treatment.",
    files=("run: tables/regression_to_mean.csv",),
)
