"""Words of findings: names of endpoints, sizes, registered directions, numbers for a reader."""

from __future__ import annotations

import math
from collections.abc import Iterable

from immunolab.plots.numbers import number
from immunolab.study.endpoints import Direction, Endpoint
from immunolab.vocabulary.display_names import display_name, parent_name, unit_name

DIRECTION_WORDS: dict[Direction, str] = {
    "increase": "an increase",
    "decrease": "a decrease",
    "none": "no change",
    "no_increase": "no increase",
    "none_or_decrease": "no change or a decrease",
    "unstated": "no direction",
}
_WHOLE = 1e-9  # from a whole number: rounding of 100 n / N, far below any digit shown
# A ratio within these limits is called by its word; judgement: a tenth about the round ratio
_ROUND_RATIOS = ((1.8, 2.2, "about doubled"), (2.7, 3.3, "about tripled"), (0.45, 0.55, "about halved"))


def endpoint_name(endpoint: Endpoint) -> str:
    """Return how a registered endpoint is written: ``Treg, % of CD4+ T cells``.

    Parameters
    ----------
    endpoint
        As the trial or the study declares it.
    """
    if endpoint.share:
        population, parent = endpoint.share
        return f"{display_name(population)}, % of {parent_name(parent)}"
    if endpoint.ratio:
        return f"{display_name('/'.join(endpoint.ratio))} ratio"
    if endpoint.parts:
        return f"{display_name(endpoint.parts[0])}, {unit_name(endpoint.unit or 'cells/uL')}"
    if endpoint.slopes:
        return f"{display_name(endpoint.fitted)}, slope {endpoint.slopes[1]} less slope {endpoint.slopes[0]}"
    if endpoint.response:
        return f"{display_name(endpoint.response)} response"
    needs = endpoint.needs
    if len(needs.variables) > 1:
        return f"{display_name(endpoint.id)} ({', '.join(map(display_name, needs.variables))})"
    measured = (*needs.assays, *needs.scores, *needs.variables, *needs.outcomes)
    return display_name(measured[0] if measured else endpoint.id)


def sized(ratio: float, shown: float) -> str:
    """Return ``rose``, ``fell`` or, near a round ratio, ``about doubled``.

    Parameters
    ----------
    ratio
        The mean ratio.
    shown
        Ratio of the two values that stand beside the word: with "about doubled, from 1250 to 1810" a reader would have
        to choose.
    """
    for low, high, word in _ROUND_RATIOS:
        if low <= ratio <= high and low <= shown <= high:
            return word
    return "rose" if ratio > 1 else "fell"


def amount(value: float) -> str:
    """Return a value for a reader: three digits from 10 on, two below; a whole number without a zero behind its point.

    A measured 3.98 is 4.0, as 3.1 beside it has two digits; 70 of 100 patients are 70 %.
    """
    text = number(value, 3 if abs(value) >= 10 else 2)
    whole = abs(value - round(value)) < _WHOLE if math.isfinite(value) else False
    return text.removesuffix(".0") if whole else text


def quantity(value: float, unit: str) -> str:
    """Return a value with its unit.

    Parameters
    ----------
    value
        A number.
    unit
        As it is written; may be empty.
    """
    return f"{amount(value)} {unit}".strip()


def listed(names: Iterable[str], joint: str = "and") -> str:
    """Return ``a``, ``a and b`` or ``a, b and c``.

    Parameters
    ----------
    names
        Any words.
    joint
        Before the last one.
    """
    words = list(names)
    return f" {joint} ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def capital(text: str) -> str:
    """Return a sentence with its first letter large, unless it begins with a name that is written small."""
    first = text.split(" ", 1)[0]
    return text if any(letter.isupper() or letter.isdigit() for letter in first[1:]) else text[:1].upper() + text[1:]


def n_patients(n: int) -> str:
    """Return a number of patients: ``1 patient``, ``8 patients``.

    Parameters
    ----------
    n
        How many.
    """
    return f"{n} patient{'' if n == 1 else 's'}"
