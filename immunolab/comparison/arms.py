"""Between patients: the shifts of two arms, and of responders against the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.comparison.estimate import Estimate, is_constant, untested
from immunolab.comparison.few_events import pair_counts
from immunolab.comparison.group_tests import ancova, mann_whitney, mixed_interaction, welch
from immunolab.comparison.pairing import Paired
from immunolab.comparison.plan import Plan
from immunolab.errors import ComparisonError, nearest
from immunolab.schema.flags import Code

LEAST_RESPONDERS = 4  # in each of two groups: with 3 and 3 the smallest exact Mann-Whitney p is 0.1
_LEAST_ARM = 3  # in each arm: a variance needs two, and one outlier must not be half of an arm
_CONTROL_WORDS = ("placebo", "control", "vehicle", "sham", "untreated", "standard")
_DESCRIPTIVE = "responders - non-responders (descriptive)"


@dataclass(frozen=True)
class GroupDifference:
    """One endpoint's difference of shifts between two groups of patients.

    Attributes
    ----------
    endpoint
        Its id.
    contrast
        Which group less which.
    tests
        The main test first, the exact Mann-Whitney last; one untested `Estimate` where the data allow none.
    """

    endpoint: str
    contrast: str
    tests: tuple[Estimate, ...]

    @property
    def main(self) -> Estimate:
        """The test whose estimate and p value are reported."""
        return self.tests[0]

    @property
    def sensitivity(self) -> Estimate:
        """The exact Mann-Whitney test of the shifts, or the main one where nothing was tested."""
        return self.tests[-1]


def differences_table(differences: Iterable[GroupDifference]) -> pd.DataFrame:
    """Return one row a test: endpoint, contrast, method, estimate, ci_low, ci_high, df, p_value, n, codes."""
    columns = ["endpoint", "contrast", "method", "estimate", "ci_low", "ci_high", "df", "p_value", "n", "codes"]
    rows = [
        (d.endpoint, d.contrast, e.text, e.estimate, e.ci_low, e.ci_high, e.df, e.p_value, e.n, ";".join(e.codes))
        for d in differences
        for e in d.tests
    ]
    return pd.DataFrame(rows, columns=columns)


def compare_arms(pairs: pd.DataFrame, reference: str = "") -> list[GroupDifference]:
    """Compare the shifts of two arms (column cohort), endpoint by endpoint.

    Parameters
    ----------
    pairs
        Rows of `table.Comparison.pairs`, two cohorts.
    reference
        The arm the other is compared with; empty takes the one named like a control (placebo, vehicle ...)
        or, without one, the first in alphabetical order.

    Returns
    -------
    list of GroupDifference
        One difference an endpoint, the analysis of covariance first; empty unless there are exactly two arms.

    Raises
    ------
    ComparisonError
        The reference is none of the arms.
    """
    arms = sorted(map(str, pairs["cohort"].dropna().unique()))
    if reference and reference not in arms:
        named = f"{nearest(reference, arms)} arms: {', '.join(arms)}".strip()
        hint = named if arms else "name the column of arms as arm"
        raise ComparisonError(f"no arm is named '{reference}'", "", hint)
    if len(arms) != 2:
        return []
    base = reference or _control(arms)
    other = arms[1] if base == arms[0] else arms[0]
    return [
        GroupDifference(str(endpoint), f"{other} - {base}", _arm_tests(group, (group["cohort"] == other).to_numpy()))
        for endpoint, group in pairs.groupby("endpoint", sort=False)
    ]


def with_few_events(differences: Iterable[GroupDifference], paired: Paired, plan: Plan) -> list[GroupDifference]:
    """Return differences, those of too few events without a test and those of few with their warning.

    The bounds are those of `few_events`; no count model of two arms takes the place of half an event added, and a test
    that was asked for by name is kept, as for the shift of one cohort.

    Parameters
    ----------
    differences
        As `compare_arms` gives them.
    paired, plan
        What they come from.
    """
    return [_judged(one, paired, plan) for one in differences]


def _judged(one: GroupDifference, paired: Paired, plan: Plan) -> GroupDifference:
    e = paired.endpoints.index(one.endpoint)
    counts = pair_counts(paired, e, np.isfinite(paired.shift[e]))
    if counts is None or counts.enough == "enough" or not one.main.tested:
        return one
    if counts.enough == "too few" and plan.test == "auto":
        expected = float(np.median(counts.expected))
        why = f"not tested: {expected:.2g} expected events at the poorer visit of a pair, a test needs 3"
        return replace(one, tests=(untested(one.main.n, why, codes=(Code.E_FEW_EVENTS,)),))
    return replace(one, tests=tuple(replace(test, codes=(*test.codes, Code.W_LOW_EVENTS)) for test in one.tests))


def _control(arms: list[str]) -> str:
    controls = [arm for arm in arms if any(word in arm.lower() for word in _CONTROL_WORDS)]
    return controls[0] if len(controls) == 1 else arms[0]


def _arm_tests(group: pd.DataFrame, treated: NDArray[np.bool_]) -> tuple[Estimate, ...]:
    before, after = (group[name].to_numpy(dtype=float) for name in ("level_before", "level_after"))
    shift = after - before
    both = np.isfinite(shift)
    a, b = shift[both & treated], shift[both & ~treated]
    if min(a.size, b.size) < _LEAST_ARM:
        return (untested(a.size + b.size, codes=(Code.E_N_MIN,)),)
    if is_constant(shift[both]):
        return (untested(a.size + b.size, codes=(Code.W_IDENTICAL,)),)
    events = group.loc[both, ["n_events_before", "n_events_after"]].to_numpy(dtype=float)
    if (events == 0).all():
        return (untested(a.size + b.size, "not estimable: all counts are 0", codes=(Code.W_ALL_ZERO,)),)
    return (
        ancova(before[both], after[both], treated[both]),
        mixed_interaction(before, after, treated),
        welch(a, b),
        mann_whitney(a, b),
    )


def compare_responders(pairs: pd.DataFrame, responder: Mapping[str, bool]) -> pd.DataFrame:
    """Compare the shifts of responders and non-responders: descriptive, for response came after the shift.

    Parameters
    ----------
    pairs
        Rows of `tables.PAIRS`.
    responder
        ``patient_id`` -> whether the patient responded; patients not named are left out.

    Returns
    -------
    DataFrame
        As `differences_table`. Below 4 in either group the smallest exact p is above 0.05: no test, code E_N_MIN.
    """
    known = pairs[pairs["patient_id"].isin(responder) & pairs["shift"].notna()]
    found = []
    for endpoint, group in known.groupby("endpoint", sort=False):
        response = group["patient_id"].map(responder).to_numpy(dtype=bool)
        d = group["shift"].to_numpy(dtype=float)
        a, b = d[response], d[~response]
        short = min(a.size, b.size) < LEAST_RESPONDERS
        tests = (untested(d.size, codes=(Code.E_N_MIN,)),) if short else (welch(a, b), mann_whitney(a, b))
        found.append(GroupDifference(str(endpoint), _DESCRIPTIVE, tests))
    return differences_table(found)
