"""Tables of the comparison: pairs, shifts, and what they depend on."""

from __future__ import annotations

from dataclasses import replace

from immunolab.schema.column import Column
from immunolab.schema.courses import CYCLES, DOSE_SENSITIVITY, JOINT_RANK, REGRESSION_TO_MEAN, SLOPES
from immunolab.schema.gating import GATING_RULES
from immunolab.schema.next_cohort import POWER, POWER_IN_FAMILY
from immunolab.schema.shared_columns import (
    COHORT,
    CONTRAST,
    ENDPOINT,
    ESTIMATE_SCALE,
    FOLD,
    N_PAIRS,
    P_VALUE,
    PATIENT,
    Q_VALUE,
    ROLE,
    ROLES,
    interval,
)
from immunolab.schema.stimulation import STIMULATION
from immunolab.schema.table import Table

NOISE_PARTS = ("assay", "person", "assay and person")
EQUIVALENCE = ("equivalent", "not_shown_equivalent", "beyond_margin", "not_tested")
VERDICTS = ("rise", "fall", "within_noise", "not_evaluable")


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
        CONTRAST,
        N_PAIRS,
        Column("median_before", "number", "median over the pairs", "unit", nullable=True),
        Column("median_after", "number", "median over the pairs", "unit", nullable=True),
        Column("estimate", "number", "cohort shift on estimate_scale", "estimate_scale", True),
        ESTIMATE_SCALE,
        FOLD,
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
        _further("hl_estimate", "Hodges-Lehmann estimate of the shift, of the pairs that changed", "estimate_scale"),
        _further("hl_ci_low", "lower exact 95 % limit of hl_estimate", "estimate_scale"),
        _further("hl_ci_high", "upper exact 95 % limit of hl_estimate", "estimate_scale"),
        _count("n_zero_shifts", "pairs without any change, dropped from the signed rank and from hl_estimate"),
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
        N_PAIRS,
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
        replace(CONTRAST, nullable=True),
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


LOG_RATIOS = Table(
    "log_ratios",
    "shares of one parent against their median sibling, which closure does not move",
    (
        COHORT,
        Column("parent", "text", "denominator the shares have in common"),
        ENDPOINT,
        N_PAIRS,
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
