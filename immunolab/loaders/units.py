"""Units as laboratories write them, converted to the unit a variable is kept in."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from tokenize import TokenError
from typing import TYPE_CHECKING

from immunolab.vocabulary.variables import Variable

if TYPE_CHECKING:
    from pint import UnitRegistry

# spellings that a units library reads as something else (G/L: gauss per litre) or not at all
_SPELLINGS = {
    "g/l": "g/L",
    "G/L": "1e9 cell/L",
    "Gpt/L": "1e9 cell/L",
    "T/L": "1e12 cell/L",
    "K/uL": "1e3 cell/uL",
    "k/uL": "1e3 cell/uL",
    "M/uL": "1e6 cell/uL",
    "mm/hr": "mm/h",
    "mm/1h": "mm/h",
    "mm/1st h": "mm/h",
    "mg/d": "mg/day",
    "mg/24h": "mg/day",
    "g/d": "g/day",
    "g/24h": "g/day",
    "%": "percent",
    "min": "minute",
    "minutes": "minute",
}

# The library computes what a unit says, so that 9**9**9 would never end. mL/min/1.73 m^2 has 15 characters and
# 10^9 cell/L one power: real units are far below these limits (judgement)
_LONGEST, _MOST_POWERS = 40, 2
_POWER = re.compile(r"\*\*|\^")
_POWER_OF_POWER = re.compile(r"(\*\*|\^)\s*([-+]?\s*\d{3,}|\(|[-+]?\s*\d+\s*(\*\*|\^))")

_BARE = ("point", "points", "score", "count", "grade", "1")  # what people write where there is no unit


class UnitError(ValueError):
    """The unit is unknown, or measures something else than the variable."""


@lru_cache(maxsize=1)
def _registry() -> UnitRegistry:
    from pint import UnitRegistry

    registry: UnitRegistry = UnitRegistry(cache_folder=None)
    registry.define("cell = count")
    registry.define("IU = [biological_activity]")
    registry.define("U = [enzyme_activity]")
    registry.define("AU = [arbitrary_activity]")
    return registry


def same_unit(one: str, other: str) -> bool:
    """Return whether two spellings name the same unit.

    Parameters
    ----------
    one, other
        As written by users.
    """
    return one == other or _library_spelling(one) == _library_spelling(other)


@lru_cache(maxsize=4096)
def _factor(unit: str, wanted: str) -> float:
    from pint.errors import DimensionalityError, PintError

    registry, spelled = _registry(), _library_spelling(unit)
    if len(spelled) > _LONGEST or _POWER_OF_POWER.search(spelled) or len(_POWER.findall(spelled)) > _MOST_POWERS:
        raise UnitError(f"unit '{unit[:_LONGEST]}' is unknown")
    try:
        given = registry.parse_expression(spelled)
    except (PintError, AttributeError, TypeError, ValueError, SyntaxError, AssertionError, ArithmeticError, TokenError):
        raise UnitError(f"unit '{unit}' is unknown") from None
    try:
        factor = float((given * registry.dimensionless).to(_library_spelling(wanted)).magnitude)
    except (DimensionalityError, AttributeError, ArithmeticError):
        raise UnitError(f"unit '{unit}' cannot be converted to {wanted}") from None
    if not 0 < factor < math.inf:
        raise UnitError(f"unit '{unit}' cannot be converted to {wanted}")
    return float(f"{factor:.12g}")  # powers of ten come back exact


def conversion(unit: str, variable: Variable) -> float:
    """Return the factor from a written unit to the unit of the variable.

    Parameters
    ----------
    unit
        As written; empty when there is none.
    variable
        The variable of the vocabulary.

    Raises
    ------
    UnitError
        The unit is absent though the variable has one, unknown, or of another dimension.
    """
    if unit == variable.unit or (not variable.unit and unit.lower() in _BARE):
        return 1.0
    for other, factor in variable.also.items():
        if same_unit(unit, other):
            return factor
    if not unit:
        raise UnitError("the unit is missing")
    if not variable.unit:
        raise UnitError(f"unit '{unit}' on a score, which has none")
    return _factor(unit, variable.unit)


def _library_spelling(unit: str) -> str:
    text = unit.strip().replace("µ", "u").replace("μ", "u").replace("³", "3").replace("⁹", "^9").replace("⁶", "^6")
    text = re.sub(r"\s*/\s*", "/", text)
    text = re.sub(r"(?<=/)([mdu]?)l\b", r"\1L", text)
    if text in _SPELLINGS:
        return _SPELLINGS[text]
    text = re.sub(r"^[x×]\s*(?=10)", "", text)
    text = re.sub(r"^10(?:\^|\*|\*\*|e|E)?(3|6|9|12)\s*(?:cells?)?\s*/", r"1e\1 cell/", text)
    text = re.sub(r"^10\^(3|6|9|12)\s*(?:cells?)?\s*/", r"1e\1 cell/", text)
    text = re.sub(r"^(?:cells?|)\s*/", "cell/", text)
    text = re.sub(r"(?<=/)(mm3|mm\^3|cmm)$", "uL", text)
    return text.replace("ug", "microgram").replace("mcg", "microgram") if re.match(r"(ug|mcg)/", text) else text
