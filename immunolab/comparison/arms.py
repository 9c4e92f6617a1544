"""Between patients: the shifts of each active arm against the control's, and of responders against the rest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.comparison.diagnostics import Finding
from immunolab.comparison.estimate import Estimate, is_constant, untested
from immunolab.comparison.group_tests import ancova, ancova_by_arm, mann_whitney, mixed_interaction, welch
from immunolab.errors import ComparisonError, nearest
from immunolab.schema.flags import Code

LEAST_RESPONDERS = 4  # in each of two groups: with 3 and 3 the smallest exact Mann-Whitney p is 0.1
_LEAST_ARM = 3  # in each arm: a variance needs two, and one outlier must not be half of an arm
_CONTROL = re.compile(r"\b(placebo|control|vehicle|sham|untreated|standard)\b")
_NO_ARM = re.compile(r"\b(healthy|donors?|disease)\b")  # controls that were not treated by chance
_DESCRIPTIVE = "responders - non-responders (descriptive)"


@dataclass(frozen=True)
class Arms:
    """Which cohorts are arms of one trial.

    Attributes
    ----------
    control
        The arm the others are compared with.
    active
        The others, in the order declared, else by name.
    """

    control: str
    active: tuple[str, ...]


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
        The main test first; one untested `Estimate` where the data allow none.
    arm, control
        The arms; empty for other groups.
    n_arm, n_control
        Patients of each with a shift.
    notes
        Weaknesses of the main test, each with its particulars.
    role, q_value, adjustment
        Of the main test.
    """

    endpoint: str
    contrast: str
    tests: tuple[Estimate, ...]
    arm: str = ""
    control: str = ""
    n_arm: int = 0
    n_control: int = 0
    notes: tuple[tuple[Code, str], ...] = ()
    role: str = ""
    q_value: float = float("nan")
    adjustment: str = ""

    @property
    def main(self) -> Estimate:
        """The test whose estimate and p value are reported."""
        return self.tests[0]

    @property
    def codes(self) -> tuple[Code, ...]:
        """Codes of the main test and of the notes."""
        return tuple(dict.fromkeys([*self.main.codes, *(code for code, _ in self.notes)]))

    @property
    def sensitivity(self) -> Estimate:
        """The exact Mann-Whitney test of the shifts, untested where it was not made."""
        return self.tests[-1] if len(self.tests) > 1 else untested(self.main.n)


def differences_table(differences: Iterable[GroupDifference]) -> pd.DataFrame:
    """Return one row a test, with the columns of `schema.comparison.ARMS`; q, role and arms are of the main test."""
    rows = [_difference_row(d, k, e) for d in differences for k, e in enumerate(d.tests)]
    return pd.DataFrame(rows, columns=[*_TEST_COLUMNS, *_ARM_COLUMNS])


_TEST_COLUMNS = ("endpoint", "contrast", "method", "estimate", "ci_low", "ci_high", "df", "p_value", "n", "codes")
_ARM_COLUMNS = ("arm", "control", "n_arm", "n_control", "test", "role", "q_value", "adjustment")


def _difference_row(one: GroupDifference, k: int, e: Estimate) -> dict[str, object]:
    return {
        "endpoint": one.endpoint,
        "contrast": one.contrast,
        "method": e.text,
        "estimate": e.estimate,
        "ci_low": e.ci_low,
        "ci_high": e.ci_high,
        "df": e.df,
        "p_value": e.p_value,
        "n": e.n,
        "codes": ";".join(e.codes if k else one.codes),
        "arm": one.arm,
        "control": one.control,
        "n_arm": one.n_arm,
        "n_control": one.n_control,
        "test": "beside" if k else "main",
        "role": one.role,
        "q_value": float("nan") if k else one.q_value,
        "adjustment": None if k else one.adjustment,
    }


def arms_of(
    cohorts: Iterable[str], declared: str = "", active: Sequence[str] = ()
) -> tuple[Arms | None, tuple[Finding, ...]]:
    """Return which cohorts are arms, or None with the reason where they are described each by itself.

    Cohorts are arms where one is the control: declared, or the only one named like one (placebo, control, vehicle,
    sham, untreated, standard; not healthy or disease controls, nor donors). Two diseases in one study are none.

    Parameters
    ----------
    cohorts
        Names; empty ones are no cohort.
    declared, active
        The control and the active arms where they are declared; empty for all but the control.
    """
    names = sorted(set(cohorts) - {""})
    if len(names) < 2:
        return None, ()
    control = declared or _control(names)
    if not control or control not in names:
        what = f"the control arm {control} is not among" if control else "no control arm is declared for"
        text = f"{what} {', '.join(names)}: each is described by itself, none compared with another"
        return None, (Finding(Code.W_NO_CONTROL, "", "", text),)
    found = Arms(control, tuple(a for a in (active or names) if a != control and a in names))
    how = "declared" if declared else "named like a control"
    text = f"each arm less {control}, the control arm ({how}): {', '.join(f'{a} - {control}' for a in found.active)}"
    return found, (Finding(Code.W_ARMS, "", "", text),)


def check_reference(cohorts: Iterable[str], reference: str) -> None:
    """Raise when a reference that was asked for is none of the arms.

    Parameters
    ----------
    cohorts
        Arms there are.
    reference
        Arm the others are compared with; empty for none.

    Raises
    ------
    ComparisonError
        With the arms there are.
    """
    arms = sorted(set(cohorts) - {""})
    if reference and reference not in arms:
        named = f"{nearest(reference, arms)} arms: {', '.join(arms)}".strip()
        hint = named if arms else "name the column of arms as arm"
        raise ComparisonError(f"no arm is named '{reference}'", "", hint)


def _control(names: Sequence[str]) -> str:
    controls = [name for name in names if _CONTROL.search(name.lower()) and not _NO_ARM.search(name.lower())]
    return controls[0] if len(controls) == 1 else ""


def compare_arms(pairs: pd.DataFrame, arms: Arms) -> list[GroupDifference]:
    """Compare the shifts of each active arm (column cohort) with the control's, endpoint by endpoint.

    Parameters
    ----------
    pairs
        Rows of `table.Comparison.pairs`.
    arms
        Which cohorts are arms.

    Returns
    -------
    list of GroupDifference
        One difference an endpoint and active arm, from the patients of both arms alone: the analysis of covariance with
        a variance for each arm, and beside it that with one variance, the mixed-model interaction, Welch's t of shifts
        and the exact Mann-Whitney test.
    """
    found = []
    for endpoint, rows in pairs.groupby("endpoint", sort=False):
        for arm in arms.active:
            own = rows[rows["cohort"].isin((arm, arms.control))]
            treated = (own["cohort"] == arm).to_numpy()
            there = own["shift"].notna().to_numpy()
            if not (treated.any() and (~treated).any()):
                continue
            n = int((there & treated).sum()), int((there & ~treated).sum())
            label = f"{arm} - {arms.control}"
            found.append(GroupDifference(str(endpoint), label, _arm_tests(own, treated), arm, arms.control, *n))
    return found


def _arm_tests(group: pd.DataFrame, treated: NDArray[np.bool_]) -> tuple[Estimate, ...]:
    before, after = (group[name].to_numpy(dtype=float) for name in ("level_before", "level_after"))
    shift = after - before
    both = np.isfinite(shift)
    a, b = shift[both & treated], shift[both & ~treated]
    if min(a.size, b.size) < _LEAST_ARM:
        return (untested(a.size + b.size, f"not tested: an arm has fewer than {_LEAST_ARM} pairs", codes=_TOO_FEW),)
    if is_constant(shift[both]):
        return (untested(a.size + b.size, codes=(Code.W_IDENTICAL,)),)
    events = group.loc[both, ["n_events_before", "n_events_after"]].to_numpy(dtype=float)
    if (events == 0).all():
        return (untested(a.size + b.size, "not estimable: all counts are 0", codes=(Code.W_ALL_ZERO,)),)
    return (
        ancova_by_arm(before[both], after[both], treated[both]),
        ancova(before[both], after[both], treated[both]),
        mixed_interaction(before, after, treated),
        welch(a, b),
        mann_whitney(a, b),
    )


_TOO_FEW = (Code.E_N_MIN,)


def findings_of(differences: Iterable[GroupDifference]) -> tuple[Finding, ...]:
    """Return the weaknesses of differences, each with its particulars."""
    return tuple(Finding(code, d.contrast, d.endpoint, text) for d in differences for code, text in d.notes if text)


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
    return differences_table(found)[list(_TEST_COLUMNS)]
