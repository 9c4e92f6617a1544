"""The six core-set measures of myositis, from which two scores are made."""

from __future__ import annotations

from collections.abc import Mapping

from immunolab.clinical.patients import PatientVisit

HIGHER_BETTER = "MMT_8"  # muscle strength: of all other measures less is better
CORE_SET = ("PhGA", "PtGA", HIGHER_BETTER, "HAQ_DI", "muscle_enzyme", "extramuscular")


def better(measure: str, before: float, after: float) -> float:
    """Return the improvement of a measure in its own unit, above 0 when better.

    Parameters
    ----------
    measure
        Its name.
    before, after
        In its own unit.
    """
    return after - before if measure == HIGHER_BETTER else before - after


def core_set(
    values: Mapping[str, float], enzyme_upper_limit: float | None, enzyme_unit: str
) -> dict[str, float | None]:
    """Return the six measures of a visit with the muscle enzyme in times its upper limit of normal.

    Parameters
    ----------
    values
        Value by variable.
    enzyme_upper_limit
        Upper limit of normal, in the enzyme's unit; None gives no enzyme unless its unit is ``xULN``.
    enzyme_unit
        Unit of ``muscle_enzyme``.
    """
    found: dict[str, float | None] = {measure: values.get(measure) for measure in CORE_SET}
    enzyme = found["muscle_enzyme"]
    if enzyme is not None and enzyme_unit != "xULN":
        found["muscle_enzyme"] = enzyme / enzyme_upper_limit if enzyme_upper_limit else None
    return found


def core_sets(before: PatientVisit, after: PatientVisit) -> tuple[dict[str, float | None], dict[str, float | None]]:
    """Return the measures of two visits; one upper limit of the enzyme serves both.

    Parameters
    ----------
    before, after
        What was measured at the two visits.
    """
    limits = before.get("muscle_enzyme_ULN"), after.get("muscle_enzyme_ULN")
    limit, unit = next((value for value in limits if value), None), after.units.get("muscle_enzyme", "")
    return core_set(before.values, limit, unit), core_set(after.values, limit, unit)
