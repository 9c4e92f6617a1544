"""Tables of what the next cohort could find."""

from __future__ import annotations

from immunolab.schema.column import Column
from immunolab.schema.shared_columns import (
    COHORT,
    ENDPOINT,
    ROLE,
)
from immunolab.schema.table import Table

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
