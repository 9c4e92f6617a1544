"""Totals of item scores, with their missing-item rule: a total with an item missing is not evaluable."""

from __future__ import annotations

from collections.abc import Mapping

from immunolab.clinical.scores.method import Score, not_evaluable
from immunolab.clinical.scores.scales import ClinicalScale
from immunolab.errors import nearest

Items = Mapping[str, float | None]


def item_fault(scale: ClinicalScale, item: str, value: float) -> tuple[str, str]:
    """Return what is wrong with an item and how to fix it; empty when nothing is.

    Parameters
    ----------
    scale
        The score.
    item, value
        Name and value of the item.
    """
    if scale.weights and item in scale.weights:
        weight = scale.weights[item]
        if value in (0, 1, weight):
            return "", ""
        return f"{item} is {value:g}, allowed are 0 (absent) and 1 or {weight:g} (present)", ""
    forms = [form for options in scale.alternatives.values() for form in options]
    if scale.open_items or item in scale.items or item in forms:
        low, high = scale.item_range
        if low <= value <= high and value == int(value):
            return "", ""
        return f"{item} is {value:g}, allowed are whole numbers {low:g} to {high:g}", ""
    names = (*scale.item_names, *forms)
    return f"'{item}' is no item of the score", nearest(item, names) or f"items: {', '.join(names)}"


def item_total(scale: ClinicalScale, items: Items, total: float | None = None) -> Score:
    """Return the total of a score from its items, or the total the clinic gave.

    Parameters
    ----------
    scale
        The score.
    items
        Value by item name; None or absent is missing. Weighted items are 1 (or the weight) when present.
    total
        Total as given; must agree with the items where both are there.
    """
    given = {name: value for name, value in items.items() if value is not None}
    if not given:
        return _given_total(scale, total)
    faults = [text for name, value in given.items() if (text := item_fault(scale, name, value)[0])]
    if faults:
        return not_evaluable("; ".join(faults))
    resolved, reason = _one_form_each(scale, given)
    missing = [name for name in (scale.item_names or tuple(items)) if name not in resolved]
    if reason or missing:
        n_items = len(scale.item_names) or len(items)
        return not_evaluable(reason or f"{n_items - len(missing)} of {n_items} items; missing: {', '.join(missing)}")
    added = sum(_points(scale, name, value) for name, value in resolved.items())
    if scale.percent_of_maximum:
        added = 100 * added / (scale.item_range[1] * len(resolved))
    if total is not None and abs(total - added) > 1e-6:
        return not_evaluable(f"total {total:g} contradicts its items, which add up to {added:g}")
    return Score(added)


def domain_totals(scale: ClinicalScale, items: Items) -> dict[str, Score]:
    """Return 100 sum / largest sum for each domain of a questionnaire; a domain with a gap is not evaluable.

    Parameters
    ----------
    scale
        The score.
    items
        Value by item name; None or absent is missing.
    """
    found = {}
    for domain, (first, last) in scale.domains.items():
        names = [str(i) for i in range(first, last + 1)]
        values = [items.get(name) for name in names]
        missing = [name for name, value in zip(names, values, strict=True) if value is None]
        if missing:
            found[domain] = not_evaluable(f"missing items: {', '.join(missing)}")
        else:
            found[domain] = Score(100 * sum(v for v in values if v is not None) / (scale.item_range[1] * len(names)))
    return found


def _points(scale: ClinicalScale, name: str, value: float) -> float:
    return scale.weights[name] * bool(value) if scale.weights else value


def _given_total(scale: ClinicalScale, total: float | None) -> Score:
    if total is None:
        return not_evaluable("neither items nor a total")
    low, high = scale.range
    if not low <= total <= high:
        return not_evaluable(f"total {total:g} is outside {low:g} to {high:g}")
    return Score(total)


def _one_form_each(scale: ClinicalScale, given: Mapping[str, float]) -> tuple[dict[str, float], str]:
    """Replace the forms of an item by the item itself; return why not, where several are answered."""
    resolved = dict(given)
    for name, options in scale.alternatives.items():
        answered = [option for option in (name, *options) if option in given]
        if len(answered) > 1:
            return resolved, f"item {name} is answered {len(answered)} times: {', '.join(answered)}"
        for option in answered:
            resolved[name] = resolved.pop(option)
    return resolved, ""
