"""Tables of the comparison: pairs, shifts, and what they depend on."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

from immunolab.schema.columns import (
    COHORT,
    ENDPOINT,
    P_VALUE,
    PATIENT,
    Q_VALUE,
    ROLE,
    ROLES,
    VISIT,
    interval,
)
from immunolab.schema.gating import GATING_RULES
from immunolab.schema.table import Column, Table

NOISE_PARTS = ("assay", "person", "assay and person")
RESPONSE_CALLS = ("response", "no_response", "below_background", "not_evaluable")
EQUIVALENCE = ("equivalent", "not_shown_equivalent", "beyond_margin", "not_tested")
VERDICTS = ("rise", "fall", "within_noise", "not_evaluable")
DeathRule = Literal["complete_pairs", "joint_rank", "deaths_reversed"]
DEATH_RULES: tuple[DeathRule, ...] = get_args(DeathRule)


def _further(name: str, meaning: str, unit: str = "") -> Column:
    return Column(name, "number", meaning, unit, nullable=True, optional=True)


PAIRS = Table(
    "pairs",
    "each patient's two visits, endpoint by endpoint",
    (
        PATIENT,
        COHORT,
        ENDPOINT,
        Column("unit", "text", "unit of before and after"),
        Column("visit_before", "text", "earlier visit"),
        Column("visit_after", "text", "later visit"),
        Column("before", "number", "value at the earlier visit", "unit", nullable=True),
        Column("after", "number", "value at the later visit", "unit", nullable=True),
        Column("shift", "number", "after minus before on shift_scale", "shift_scale", nullable=True),
        Column("shift_scale", "text", "logit, log, arcsine, identity"),
        Column("fold", "number", "exp(shift) on logit and log scales", "ratio", True),
        *interval("the shift of this patient less batch_effect", "shift_scale"),
        Column("verdict", "text", "call for this patient", allowed=VERDICTS),
        Column("reason", "text", "what the call depends on, or why there is none", nullable=True),
        replace(
            P_VALUE, meaning="of the patient's own change: counting, assay and person; decides the call", optional=True
        ),
        replace(Q_VALUE, meaning="p_value adjusted over the cohort's patients; decides nothing", optional=True),
        Column("df", "number", "degrees of freedom of p_value", nullable=True, optional=True),
        Column("n_events_before", "number", "events at the earlier visit", "events", True, optional=True),
        Column("n_events_after", "number", "events at the later visit", "events", True, optional=True),
        _further("level_before", "before on shift_scale; the limit of a value beyond it", "shift_scale"),
        _further("level_after", "after on shift_scale; the limit of a value beyond it", "shift_scale"),
        Column("fold_is", "text", "what fold is: odds ratio, ratio; empty without one", nullable=True, optional=True),
        _further("ratio", "after / before; empty where one is not above 0", "ratio"),
        _further("limit", "change beyond which a call is made (reference change value)", "shift_scale"),
        _further("called_below", "a later value below it would be called a fall", "unit"),
        _further("called_above", "a later value above it would be called a rise", "unit"),
        _further("batch_effect", "taken off shift for batch before it was called", "shift_scale"),
        _further("pooled_shift", "shift drawn towards the cohort's as far as its error asks for", "shift_scale"),
        _further("pooled_low", "lower 95 % limit of pooled_shift", "shift_scale"),
        _further("pooled_high", "upper 95 % limit of pooled_shift", "shift_scale"),
        Column("intercurrent", "text", "intercurrent events before the later value", nullable=True, optional=True),
    ),
    files=("run: tables/pairs.csv", "compare: NAME_pairs.csv"),
)


def _under_rule(rule: str) -> tuple[Column, ...]:
    """Return the columns of the shift under another rule for the same gates."""
    of = rule.replace("_", " ")
    return tuple(
        Column(f"{name}_{rule}", "number", f"{name} with gates {of}", unit, nullable=True, optional=True)
        for name, unit in (("fold", "ratio"), ("ci_low", ""), ("ci_high", ""))
    )


def _count(name: str, meaning: str) -> Column:
    return Column(name, "integer", meaning, "patients", nullable=True, low=0, optional=True)


SHIFTS = Table(
    "shifts",
    "the cohort's shift, endpoint by endpoint",
    (
        COHORT,
        ENDPOINT,
        ROLE,
        Column("contrast", "text", "later visit against earlier visit"),
        Column("n_pairs", "integer", "patients with both visits", "patients", low=0),
        Column("median_before", "number", "median over the pairs", "unit", nullable=True),
        Column("median_after", "number", "median over the pairs", "unit", nullable=True),
        Column("estimate", "number", "cohort shift on estimate_scale", "estimate_scale", True),
        Column("estimate_scale", "text", "log_odds, log, arcsine, identity"),
        Column("fold", "number", "exp(estimate): odds ratio or ratio", "ratio", True),
        *interval("estimate", "estimate_scale"),
        Column("method", "text", "named method; a fit adjusted for batch says so"),
        P_VALUE,
        Q_VALUE,
        Column("adjustment", "text", "multiplicity adjustment and its family"),
        Column(
            "sensitivity_p_value",
            "number",
            "p of the exact signed rank; of a sign flip where the shift is adjusted",
            nullable=True,
            low=0,
            high=1,
        ),
        Column("warnings", "text", "codes of docs/flags.md joined by ';'", nullable=True),
        Column("unit", "text", "unit of the values compared", optional=True),
        _further("df", "degrees of freedom of p_value"),
        _count("n_patients", "patients with any visit compared"),
        _count("n_before", "patients with the earlier visit"),
        _count("n_after", "patients with the later visit"),
        _further("median_before_all", "median over every patient with the earlier visit", "unit"),
        _further("median_after_all", "median over every patient with the later visit", "unit"),
        _further("hl_estimate", "Hodges-Lehmann estimate of the shift", "estimate_scale"),
        _further("hl_ci_low", "lower exact 95 % limit of hl_estimate", "estimate_scale"),
        _further("hl_ci_high", "upper exact 95 % limit of hl_estimate", "estimate_scale"),
        _count("n_zero_shifts", "pairs without any change, dropped from the signed rank"),
        _further("median_events", "median over the pairs of both visits' events", "events"),
        Column("fold_is", "text", "what fold is: odds ratio, ratio; empty without one", nullable=True, optional=True),
        _further("ratio_of_medians", "median_after / median_before; empty where a median is not above 0", "ratio"),
        Column("sensitivity_method", "text", "method of sensitivity_p_value", nullable=True, optional=True),
        _further("plain_p_value", "before variance was borrowed over endpoints"),
        _further("unadjusted_estimate", "before batch and covariates", "estimate_scale"),
        _further("unadjusted_p_value", "before batch and covariates"),
        _further("pairs_estimate", "shift of complete pairs alone, where estimate takes in more", "estimate_scale"),
        _further("pairs_ci_low", "lower 95 % limit of pairs_estimate", "estimate_scale"),
        _further("pairs_ci_high", "upper 95 % limit of pairs_estimate", "estimate_scale"),
        _further("pairs_p_value", "of complete pairs alone (paired t)"),
        Column(
            "estimand",
            "text",
            "intercurrent events by the later visit: strategy, patients",
            nullable=True,
            optional=True,
        ),
        Column("family", "text", "endpoints that q_value is adjusted with", nullable=True, optional=True),
        _further("margin", "of a negative control: greatest change that counts as none", "ratio, or unit"),
        Column(
            "equivalence_p_value",
            "number",
            "of a negative control: larger p of two one-sided tests against margin",
            nullable=True,
            low=0,
            high=1,
            optional=True,
        ),
        Column(
            "equivalence",
            "text",
            "of a negative control: whether its change is shown to be within margin",
            nullable=True,
            allowed=EQUIVALENCE,
            optional=True,
        ),
        *(column for rule in GATING_RULES for column in _under_rule(rule)),
    ),
    files=("run: tables/shifts.csv", "compare: NAME.csv"),
)

TIPPING = Table(
    "tipping",
    "how unlike the others the patients without both visits must be to undo a result",
    (
        COHORT,
        ENDPOINT,
        Column("n_pairs", "integer", "patients with both visits", "patients", low=0),
        Column("n_missing", "integer", "patients with one of them", "patients", low=0),
        Column("shift_scale", "text", "logit, log, arcsine, identity"),
        Column("estimate", "number", "cohort shift, as in shifts.csv", "shift_scale", True),
        *interval("estimate", "shift_scale"),
        Column(
            "tipping_sd",
            "number",
            "least distance of the missing from what they are taken for at which the interval includes no change; 0 "
            "where it does already, empty where nothing within 20 undoes it",
            "standard deviations of the pairs' shifts",
            True,
            low=0,
        ),
        Column("tipping_shift", "number", "mean shift that the missing patients would then have", "shift_scale", True),
        Column("contrast", "text", "later visit against earlier visit", nullable=True),
        Column("method", "text", "test whose interval it is"),
    ),
    key=("cohort", "endpoint"),
    notes="In a run, of endpoints and cohorts with a patient who lacks one of the visits.",
    files=("run: tables/tipping.csv",),
)

NOISE = Table(
    "noise",
    "the noise each patient's call depends on: of the assay, and of the person from day to day",
    (
        ENDPOINT,
        Column("scale", "text", "scale the noise is on"),
        Column("s_w", "number", "standard deviation of one measurement, without counting", "scale", low=0),
        Column("df", "integer", "degrees of freedom of s_w; empty where it is taken as known", nullable=True, low=0),
        Column("source", "text", "where it comes from"),
        Column("part", "text", "what varies", allowed=NOISE_PARTS),
        Column("assumed", "text", "published or assumed, not measured here", allowed=("yes", "no")),
    ),
    files=("run: tables/noise.csv",),
)

STIMULATION = Table(
    "stimulation",
    "each stimulated tube against its unstimulated control",
    (
        PATIENT,
        COHORT,
        VISIT,
        ENDPOINT,
        Column("stimulation", "text", "what the cells were stimulated with", nullable=True),
        Column("sample_id", "text", "the stimulated tube", nullable=True, optional=True),
        Column("unstimulated_samples", "text", "its control tubes, joined by ';'", nullable=True, optional=True),
        Column("n_events", "integer", "events of the population, stimulated", "events", True, low=0),
        Column("n_parent", "integer", "events of its parent, stimulated", "events", True, low=0),
        Column("n_events_unstimulated", "integer", "the same of all control tubes together", "events", True, low=0),
        Column("n_parent_unstimulated", "integer", "the same of all control tubes together", "events", True, low=0),
        Column("n_unstimulated", "integer", "control tubes", "tubes", low=0),
        Column("stimulated", "number", "share in the stimulated tube", "%", True),
        Column("unstimulated", "number", "share in the control tubes", "%", True),
        Column(
            "difference",
            "number",
            "stimulated less unstimulated; below 0 as it comes",
            "percentage points",
            nullable=True,
        ),
        *interval("difference, from counting and between tubes", "percentage points"),
        Column("count_low", "number", "lower 95 % limit of difference from counting alone", "percentage points", True),
        Column("count_high", "number", "upper 95 % limit of difference from counting alone", "percentage points", True),
        replace(P_VALUE, meaning="of no difference: the interval at 1 - p ends at 0"),
        Column("tube_cv", "number", "between two tubes of one blood in one run, of the share", "%", True, low=0),
        Column("tube_df", "number", "degrees of freedom of tube_cv; empty where taken as known", nullable=True, low=0),
        Column("tube_source", "text", "where tube_cv comes from", nullable=True),
        Column("call", "text", "whether the interval is beyond 0", allowed=RESPONSE_CALLS),
        Column("reason", "text", "why there is no call", nullable=True),
    ),
    notes="`response` and `below_background` are the 95 % interval above or below 0, so that 2.5 % of tubes without a "
    "response are called one. A call depends on no other patient. Where only percentages are known there is a "
    "difference and no call.",
    files=("run: tables/stimulation.csv", "compare: NAME_stimulation.csv"),
)

LOG_RATIOS = Table(
    "log_ratios",
    "shares of one parent against their median sibling, which closure does not move",
    (
        COHORT,
        Column("parent", "text", "denominator the shares have in common"),
        ENDPOINT,
        Column("n_pairs", "integer", "patients with both visits", "patients", low=0),
        Column("estimate", "number", "mean shift of the log-ratio", "log", True),
        *interval("estimate", "log"),
        P_VALUE,
        replace(Q_VALUE, meaning="Benjamini-Hochberg within cohort and parent"),
    ),
    files=("run: tables/log_ratios.csv",),
)

_TEST_COLUMNS = (
    ENDPOINT,
    Column("contrast", "text", "which patients against which"),
    Column("method", "text", "named method"),
    Column("estimate", "number", "difference of the shifts", "shift_scale", True),
    *interval("estimate", "shift_scale"),
    Column("df", "number", "degrees of freedom of p_value", nullable=True),
    P_VALUE,
    Column("n", "integer", "patients", "patients", low=0),
    Column("codes", "text", "codes of docs/flags.md joined by ';'", nullable=True),
)

ARMS = Table(
    "arms",
    "each active arm against the control arm",
    (
        *_TEST_COLUMNS,
        Column("arm", "text", "active arm: the first of the difference", optional=True),
        Column("control", "text", "control arm: what is taken from the first", optional=True),
        _count("n_arm", "patients of the active arm with both visits"),
        _count("n_control", "patients of the control arm with both visits"),
        Column("test", "text", "main, or shown beside it", allowed=("main", "beside"), optional=True),
        replace(ROLE, optional=True),
        replace(Q_VALUE, meaning="p of the main test adjusted over the arms and endpoints of its role", optional=True),
        Column("adjustment", "text", "multiplicity adjustment and its family", nullable=True, optional=True),
    ),
    notes="Written where a cohort is the control arm. The estimate is that of `arm` less `control`; role, q and rule "
    "are those of the main test.",
    files=("run: tables/arms.csv",),
)

RESPONSE_TESTS = Table(
    "response_tests",
    "tests of the registered responses: against a rate, between visits, over visits, between arms",
    (
        replace(COHORT, meaning="study arm or cohort, or the difference of two arms; empty when the sheet names none"),
        ENDPOINT,
        ROLE,
        Column("score", "text", "score that a response is defined by"),
        Column("test", "text", "what is tested", allowed=("binomial", "mcnemar", "gee", "fisher")),
        Column("visits", "text", "visits it is of, by a blank"),
        Column(
            "missing_as",
            "text",
            "what a missing response is: none, of all patients enrolled; or left out",
            allowed=("non_response", "left_out"),
        ),
        Column("n", "integer", "patients", "patients", low=0),
        Column("estimate", "number", "what estimate_is says", "estimate_is", True),
        Column("estimate_is", "text", "share of responders, or which odds ratio"),
        *interval("estimate", "estimate_is"),
        P_VALUE,
        Column("reference_percent", "number", "rate that the trial file declares", "%", True, low=0, high=100),
        Column("method", "text", "named method; why, where nothing was tested"),
    ),
    key=("cohort", "endpoint", "test", "missing_as"),
    notes="A response is the score's first criterion. p values are of one test each, not adjusted for the others. An "
    "estimate or limit that is infinite is empty.",
    files=("run: tables/response_tests.csv",),
)

SHIFTS_BY_RESPONSE = Table(
    "shifts_by_response",
    "shifts of responders against those of the others: descriptive",
    (
        *_TEST_COLUMNS,
        Column("score", "text", "score that a response is defined by"),
        Column("told_at", "text", "visit at which the response was assessed"),
    ),
    files=("run: tables/shifts_by_response.csv",),
)

CORRELATIONS = Table(
    "correlations",
    "shifts of subsets with changes of the clinic over patients (Spearman): exploratory",
    (
        COHORT,
        ENDPOINT,
        Column("n", "integer", "patients with both changes", "patients", low=0),
        Column("rho", "number", "rank correlation", "-1 to 1", True, low=-1, high=1),
        *interval("rho", "-1 to 1"),
        P_VALUE,
        Column("p_method", "text", "how p was found"),
        Column("partial_rho", "number", "rho given both baselines", "-1 to 1", True, low=-1, high=1),
        Column("clinical_endpoint", "text", "endpoint id of the clinical change"),
        Column("role", "text", "always exploratory", allowed=ROLES[-1:]),
    ),
    files=("run: tables/correlations.csv",),
)

POWER = Table(
    "power",
    "what the next cohort could see, from this study's own spread",
    (
        COHORT,
        ENDPOINT,
        Column("fold", "number", "odds ratio or ratio to be seen", "ratio", low=0),
        Column("n_patients", "integer", "patients of the next cohort", "patients", low=0),
        Column("power", "number", "power of a two-sided paired t", "0 to 1", low=0, high=1),
        Column("power_low", "number", "power with the upper 80 % limit of the spread", "0 to 1", low=0, high=1),
        Column("sd", "number", "standard deviation of the shifts", "shift_scale", low=0),
        Column("n_pairs", "integer", "pairs sd is of", "patients", low=0),
        Column("patients_for_80", "integer", "pairs needed for power 0.8; empty above 1,000", "patients", True),
    ),
    files=("run: tables/power.csv",),
)


def _chance(name: str, meaning: str) -> Column:
    return Column(name, "number", meaning, "0 to 1", low=0, high=1)


POWER_IN_FAMILY = Table(
    "power_in_family",
    "what the next cohort could find after adjustment over the family, by simulation",
    (
        COHORT,
        ENDPOINT,
        ROLE,
        Column("adjustment", "text", "multiplicity adjustment of this study, which the next cohort is given too"),
        Column("n_family", "integer", "endpoints adjusted together", low=1),
        Column("effect", "number", "true effect of the endpoint: effect_is says what it is"),
        Column("effect_is", "text", "odds ratio, ratio or difference"),
        Column("effect_from", "text", "declared in study.yaml, or assumed", allowed=("declared", "assumed")),
        Column("n_patients", "integer", "pairs of the next cohort", "patients", low=2),
        _chance("power", "share of cohorts that find it, at the observed spread"),
        _chance("power_low", "with the upper 80 % limit of the spread"),
        _chance("power_high", "with the lower 80 % limit of the spread"),
        _chance("assurance", "mean over the spreads that fit the observed one"),
        Column("sd", "number", "standard deviation of the shifts", "shift_scale", low=0),
        Column("n_pairs", "integer", "pairs sd is of", "patients", low=0),
        Column("patients_for_80", "integer", "pairs needed for power 0.8; empty above 240", "patients", True),
        Column(
            "patients_for_80_assured", "integer", "pairs needed for assurance 0.8; empty above 240", "patients", True
        ),
        Column("seed", "integer", "seed of the simulation"),
        Column("n_sims", "integer", "cohorts simulated of each size", "cohorts", low=1),
    ),
    key=("cohort", "endpoint", "n_patients"),
    notes="All endpoints of a family have their effects at once, negative controls none; correlations of shifts are "
    "those of this study, shrunk. With 1,000 cohorts a share has a standard error of 0.016 or less. max-T is simulated "
    "as Holm.",
    files=("run: tables/power_in_family.csv",),
)

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
        Column("contrast", "text", "later visit against earlier visit"),
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
        Column("estimate_scale", "text", "log_odds, log, arcsine, identity"),
        Column("fold", "number", "exp(estimate): odds ratio or ratio", "ratio", True),
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

TABLES = (
    CYCLES,
    REGRESSION_TO_MEAN,
    SLOPES,
    PAIRS,
    SHIFTS,
    DOSE_SENSITIVITY,
    TIPPING,
    NOISE,
    STIMULATION,
    LOG_RATIOS,
    ARMS,
    RESPONSE_TESTS,
    SHIFTS_BY_RESPONSE,
    CORRELATIONS,
    POWER,
    POWER_IN_FAMILY,
    JOINT_RANK,
)
