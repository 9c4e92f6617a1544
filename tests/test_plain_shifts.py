"""Half events and limits are no values: which endpoints go on into further tables."""

from __future__ import annotations

import pandas as pd
import pytest

from immunolab.comparison.plain_shifts import as_numbers, log_ratios_as_numbers, not_as_numbers

SHIFTS = pd.DataFrame(
    {
        "cohort": [None, None, None, "B"],
        "endpoint": ["treg", "rare", "il6", "treg"],
        "method": ["paired t, logit (+0.5)", "conditional count model (noncentral ...", "censored normal pairs", "t"],
        "warnings": [None, "W_LOW_EVENTS", "W_CENSORED", "W_TIES;E_FEW_EVENTS"],
    }
)


def test_endpoints_by_a_model_of_counts_or_limits_are_no_numbers():
    assert not_as_numbers(SHIFTS) == {
        ("", "rare"): "few events",
        ("", "il6"): "values beyond an assay's limits",
        ("B", "treg"): "too few events",
    }
    pairs = pd.DataFrame({"cohort": [None, None, "B"], "endpoint": ["treg", "rare", "treg"], "shift": [1.0, 2, 3]})
    assert as_numbers(pairs, SHIFTS)["shift"].tolist() == [1.0]


def test_q_of_log_ratios_is_over_those_that_are_left():
    rows = pd.DataFrame({"endpoint": ["treg", "rare", "th17"], "p_value": [0.02, 0.001, 0.04]})
    kept = log_ratios_as_numbers(rows.assign(cohort=None, parent="CD4", q_value=0.0), SHIFTS)
    assert kept["endpoint"].tolist() == ["treg", "th17"]
    assert kept["q_value"].tolist() == pytest.approx([0.04, 0.04])  # by hand: 2 x 0.02, and 0.04
