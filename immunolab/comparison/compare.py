"""Compare two visits of a user's table in one line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from immunolab.comparison.arms import arms_of
from immunolab.comparison.diagnostics import Finding
from immunolab.comparison.external_rows import Columns, endpoint_rows
from immunolab.comparison.external_stimulation import subtracted
from immunolab.comparison.external_table import external_table
from immunolab.comparison.plan import Adjust, Plan, Scale, Test
from immunolab.comparison.table import Comparison, compare_endpoints
from immunolab.errors import InputError, Problem
from immunolab.schema.comparison import PAIRS, SHIFTS
from immunolab.schema.endpoints import VISITS
from immunolab.schema.flags import Code
from immunolab.schema.stimulation import STIMULATION


def compare(
    table: pd.DataFrame | Path | str,
    *,
    patient: str,
    before: str,
    after: str,
    visit: str = "",
    value: str | Sequence[str] = (),
    count: str = "",
    parent_count: str = "",
    endpoint: str = "",
    arm: str = "",
    batch: str = "",
    stimulation: str = "",
    unstimulated: str = "unstimulated",
    between_tubes: float | None = None,
    unit: str = "",
    scale: Scale | None = None,
    test: Test = "auto",
    adjust: Adjust = "bh",
    reference: str = "",
    seed: int = 0,
) -> Comparison:
    """Compare two visits of a table, per patient and per cohort.

    Parameters
    ----------
    table
        A DataFrame, a CSV (comma, semicolon or tab) or an XLSX, with one row a sample, or one row a patient
        and one column a visit. Columns study_day (of the sample) and cycle_state, where there are such, order the
        visits and are what `Comparison.cycles` goes by.
    patient, visit, arm, batch, endpoint
        Names of the columns that hold the patient, the visit (none when each visit is a column), the study
        arm, the batch of a sample (the shift is adjusted for it) and what a row measures.
    before, after
        Visits; several joined by commas are averaged within a patient.
    value
        Names or patterns (``*``) of measured columns, each an endpoint.
    count, parent_count
        Columns of events and of their parent's events, instead of ``value``: analysed as counts.
    stimulation, unstimulated
        Column of stimuli, and its word for the control: the share in every stimulated tube less that in the control
        of the same patient and visit is compared, in percentage points, and the tubes are in `Comparison.stimulation`.
    between_tubes
        CV between two tubes of one blood in one run, percent; used where replicate controls do not give it.
    unit
        Of the values, such as ``%`` (0..100, a share of a whole), ``% predicted`` or ``pg/ml``; empty takes the column
        ``unit``, else the brackets in the head of a column (``CRP (mg/L)``). It is never guessed from the values.
    scale
        Of every endpoint; None goes by unit: logit for shares, log for amounts, differences for points and for
        whatever has no unit (``W_UNIT``).
    test, adjust
        The method, and the adjustment over endpoints, see `plan.Plan`.
    reference
        The control arm, which each other arm is compared with; empty takes the one that is named like a control
        (placebo ...), of two arms else the first in alphabetical order, which is said. Three arms without one are not
        compared with each other, which is said too.
    seed
        Of the sign flips above 13 patients.

    Returns
    -------
    Comparison
        Pairs, shifts and visits; the shifts end with the differences between arms where one is the control.

    Raises
    ------
    InputError
        Absent columns, cells that are no numbers, rows that cannot be compared: all at once. Or a name that is not
        text, a test, an adjustment or a scale that does not exist.
    ComparisonError
        A visit or an arm that is not there.

    Notes
    -----
    An endpoint with faulty rows (a percentage above 100, a visit twice) is left out (``E_ENDPOINT``) and the others are
    compared; where nothing is left, the faults are raised.

    Examples
    --------
    >>> import pandas as pd
    >>> values = {"id": list("ABCDEF") * 2, "visit": ["W0"] * 6 + ["W10"] * 6}
    >>> table = pd.DataFrame(values).assign(treg=[3.1, 4.0, 5.2, 2.8, 4.4, 6.1, 5.9, 7.7, 8.0, 5.6, 6.9, 12.3])
    >>> found = il.compare(table, patient="id", visit="visit", before="W0", after="W10", value="treg", unit="%")
    >>> found.shifts[["n_pairs", "ratio_of_medians"]].round(2)
       n_pairs  ratio_of_medians
    0        6              1.74
    """
    values = (value,) if isinstance(value, str) and value else tuple(value) if isinstance(value, Sequence) else (value,)
    _check_text(
        *(("value", name) for name in values),
        ("patient", patient),
        ("visit", visit),
        ("before", before),
        ("after", after),
        ("count", count),
        ("parent_count", parent_count),
        ("endpoint", endpoint),
        ("arm", arm),
        ("batch", batch),
        ("stimulation", stimulation),
        ("unstimulated", unstimulated),
        ("unit", unit),
        ("reference", reference),
    )
    columns = Columns(patient, visit, values, count, parent_count, endpoint, arm, batch, stimulation)
    plan = Plan(before, after, test=test, adjust=adjust, reference=reference, seed=seed)
    cells = external_table(table)
    rows, findings = endpoint_rows(cells, columns, (before, after), unit)
    tubes = STIMULATION.empty()
    if stimulation:
        rows, tubes = subtracted(rows, unstimulated, between_tubes, cells.name)
    if scale is not None:
        plan = replace(plan, scales=dict.fromkeys(rows["endpoint"].unique(), scale))
    plan, said = _first_of_two(plan, set(rows["cohort"]))
    found = compare_endpoints(rows, plan, where=cells.name, arm_rows=True)
    return replace(found, warnings=(*findings, *said, *found.warnings), stimulation=tubes)


def _first_of_two(plan: Plan, cohorts: set[str]) -> tuple[Plan, tuple[Finding, ...]]:
    """Return the plan with the first of two arms as reference where none is declared or named like a control."""
    names = sorted(cohorts - {""})
    if plan.reference or len(names) != 2 or arms_of(names)[0] is not None:
        return plan, ()
    text = f"no arm is named like a control: {names[0]}, first in alphabetical order, is taken for it; name reference"
    return replace(plan, reference=names[0]), (Finding(Code.W_NO_CONTROL, "", "", text),)


def _check_text(*arguments: tuple[str, object]) -> None:
    """Raise when a name of a column or of a visit is not text, for cells of the table are compared as text."""
    problems = [
        Problem("", name, f"{given!r} is not text", "give the name of a column or of a visit as text, such as '0'")
        for name, given in arguments
        if not isinstance(given, str)
    ]
    if problems:
        raise InputError(problems)


def write_comparison(comparison: Comparison, path: Path) -> tuple[Path, ...]:
    """Write the shifts to ``path``, pairs and visits beside it as STEM_pairs.csv and STEM_visits.csv.

    Stimulated tubes, where there are, go to STEM_stimulation.csv.

    Parameters
    ----------
    comparison
        What `compare` returned.
    path
        Of the CSV file of the shifts.

    Returns
    -------
    tuple of Path
        Of shifts, pairs, visits and, where there are, stimulated tubes.
    """
    pairs, visits = (path.with_name(f"{path.stem}_{name}.csv") for name in ("pairs", "visits"))
    SHIFTS.write(comparison.shifts, path)
    PAIRS.write(comparison.pairs, pairs)
    VISITS.write(comparison.visits, visits)
    if comparison.stimulation.empty:
        return path, pairs, visits
    tubes = path.with_name(f"{path.stem}_{STIMULATION.name}.csv")
    STIMULATION.write(comparison.stimulation, tubes)
    return path, pairs, visits, tubes
