"""The sentence of an endpoint that is compared between two visits, or between the slopes of two periods."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

import pandas as pd

from immunolab.comparison.estimate import ALPHA
from immunolab.comparison.scales import RATIO_WORDS
from immunolab.plots.numbers import back, bracket, number, p_text, scale_word
from immunolab.results.cohort_rows import rows_of
from immunolab.results.findings.absences import lacking, patients_of
from immunolab.results.findings.finding import EndpointFinding, Verdict
from immunolab.results.findings.gates import gate_doubts
from immunolab.results.findings.implausible import implausible_values
from immunolab.results.findings.words import (
    DIRECTION_WORDS,
    amount,
    capital,
    endpoint_name,
    n_patients,
    quantity,
    sized,
)
from immunolab.results.run import Run
from immunolab.results.sentences import direction, equivalence_sentence, sensitivity_word
from immunolab.schema.flags import Code, split
from immunolab.study.endpoints import Direction, Endpoint
from immunolab.vocabulary.display_names import display_name, parent_name, unit_name

_LARGE_RATIO = 10.0  # from here on three digits say enough; judgement
_ADJUSTED = re.compile(r"adjusted for (batch or covariates|batch and covariates|batch|covariates)")  # as methods say it
_WORSE: dict[Direction, int] = {"no_increase": 1, "none_or_decrease": 1}
_WANTED: dict[Direction, int] = {"increase": 1, "decrease": -1}


def paired_finding(run: Run, cohort: str, endpoint: Endpoint, row: pd.Series) -> EndpointFinding:
    """Return the finding of an endpoint that was compared.

    Parameters
    ----------
    run
        The finished run.
    cohort
        Its name; "" where the sheet has no cohorts.
    endpoint
        As the run compared it.
    row
        Its row of SHIFTS in the cohort.
    """
    verdict, meaning = claim(endpoint, row)
    sentence = slope_change(run, endpoint, row) if endpoint.slopes else visit_change(run, cohort, endpoint, row)
    return EndpointFinding(
        endpoint=endpoint.id,
        cohort=cohort,
        name=endpoint_name(endpoint),
        role=endpoint.role,
        visits=endpoint.visits or endpoint.timing,
        measured_as=(endpoint.id,),
        plain=f"{sentence}: {meaning}.",
        verdict=verdict,
        n=int(row["n_pairs"]),
        of=len(patients_of(run, cohort)),
        missing=lacking(run, cohort, endpoint.id),
        statistics=statistics(row),
        beside=(*_contradictions(row), *implausible_values(run, cohort, endpoint.id)),
    )


def visit_change(run: Run, cohort: str, endpoint: Endpoint, row: pd.Series) -> str:
    """Return how much an endpoint moved between two visits, in its unit, with the interval, and in how many patients.

    Parameters
    ----------
    run, cohort, endpoint, row
        As for `paired_finding`.
    """
    name, unit = subject(endpoint), value_unit(endpoint, run.label_of(endpoint.id).unit)
    if pd.isna(row["median_before"]) or pd.isna(row["median_after"]):
        return f"{capital(name)} has no value at both visits in any patient"
    medians = " (medians)" if row["n_pairs"] > 1 else ""
    values = f"from {amount(row['median_before'])} to {quantity(row['median_after'], unit)}{medians}"
    moved = _moved(run, cohort, endpoint, direction(row))
    if pd.isna(row["estimate"]):
        return f"{capital(name)} went {values}, {moved}; not tested ({row['method']})"
    word = direction(row)
    if word in ("rose", "fell"):
        scale = str(row["estimate_scale"])
        ratio = _ratio(float(row["estimate"]), scale, float(row["median_before"]))
        first, last = float(row["median_before"]), float(row["median_after"])
        verb = sized(ratio, last / first if first else math.inf) if scale in RATIO_WORDS else word
        return f"{capital(name)} {verb}, {values}, {moved}; {_size(row, unit)}"
    if pd.isna(row["p_value"]):
        return f"{capital(name)} went {values}, {moved}; {_size(row, unit)}, {_not_tested(row)}"
    return f"{capital(name)} showed no clear change, {values}, {moved}; {_size(row, unit)}"


def _not_tested(row: pd.Series) -> str:
    """Return that a change was not tested, and why where the row shows it."""
    if Code.E_N_MIN in split(row["warnings"]):
        return "not tested (fewer than 3 patients)"
    return "not tested (nobody changed)" if row["estimate"] == 0 else "not tested"


def slope_change(run: Run, endpoint: Endpoint, row: pd.Series) -> str:
    """Return the slopes of both periods and their mean difference, with the phase that each period ends in.

    Parameters
    ----------
    run, endpoint, row
        As for `paired_finding`.
    """
    unit = unit_name(run.label_of(endpoint.id).unit)
    name = display_name(endpoint.fitted)
    if pd.isna(row["median_before"]) or endpoint.slopes is None:
        return f"{capital(name)}: no patient has the slopes of both periods"
    parts = [
        f"{amount(value)} {unit} {_phase(run, period.last)} ({period})"
        for value, period in zip((row["median_before"], row["median_after"]), endpoint.slopes, strict=True)
    ]
    n = int(row["n_pairs"])
    of = "in one patient" if n == 1 else f"medians of {n} patients"
    slopes = f"{capital(name)} changed by {parts[0]} and by {parts[1]}, {of}"
    if pd.isna(row["estimate"]):
        return f"{slopes}; not tested ({row['method']})"
    if pd.isna(row["p_value"]):
        return f"{slopes}; {_size(row, unit)}, {_not_tested(row)}"
    word = {"rose": "the later slope is higher", "fell": "the later slope is lower"}.get(direction(row), "")
    return f"{slopes}; {word or 'no clear difference'}, {_size(row, unit)}"


def claim(endpoint: Endpoint, row: pd.Series) -> tuple[Verdict, str]:
    """Return what a change means for the registered direction, as a word and in words.

    Parameters
    ----------
    endpoint
        With its registered direction.
    row
        Of SHIFTS.
    """
    word, wanted = direction(row), _registered(endpoint)
    if word == "was not tested" and endpoint.direction != "unstated":
        return "unclear", f"nothing can be said of the registered direction ({wanted})"
    if endpoint.negative_control:
        return _control(row)
    sign = {"rose": 1, "fell": -1}.get(word, 0)
    if sign and row["q_value"] >= ALPHA:
        return "unclear", f"not clear once the endpoints tested with it are counted; {wanted} was registered"
    if endpoint.direction == "unstated":
        return ("no_claim" if sign else "unclear"), "no direction was registered"
    if endpoint.direction in _WORSE:
        if sign == _WORSE[endpoint.direction]:
            return "against", f"against what was registered ({wanted})"
        return ("supports" if sign else "unclear"), f"registered was {wanted}, and none is shown"
    if endpoint.direction == "none":
        return ("against", "no change was registered") if sign else ("unclear", "registered was no change")
    if not sign:
        return "unclear", f"{wanted} was registered and is not shown"
    if sign == _WANTED[endpoint.direction]:
        return "supports", f"the registered direction ({wanted})"
    return "against", f"against the registered direction ({wanted})"


def _registered(endpoint: Endpoint) -> str:
    """Return the registered direction in words; that of a slope is of the later against the earlier period."""
    if endpoint.slopes and endpoint.direction in _WANTED:
        return f"a {'higher' if _WANTED[endpoint.direction] > 0 else 'lower'} slope over {endpoint.slopes[1]}"
    return DIRECTION_WORDS[endpoint.direction]


def _control(row: pd.Series) -> tuple[Verdict, str]:
    """Return whether a negative control stayed as it was, by its equivalence test."""
    moved = direction(row) in ("rose", "fell")
    if row.get("equivalence") == "equivalent":
        still = "it moved, but by less than the margin" if moved else "it stayed within the margin"
        assumed = ", an assumed one" if "assumed" in str(row["adjustment"]) else ""
        return "supports", f"a negative control, registered not to change; {still} ({_margin(row)}{assumed})"
    if row.get("equivalence") == "beyond_margin" or moved:
        return "against", "a negative control, registered not to change, and it changed"
    return "unclear", "a negative control, registered not to change; whether it did is open"


def _margin(row: pd.Series) -> str:
    """Return the margin as ``0.69 to 1.47 times``, at the median before, or in the unit."""
    margin, scale = float(row["margin"]), str(row["estimate_scale"])
    if scale not in RATIO_WORDS:
        return f"{number(-margin, 2)} to {number(margin, 2)}"
    low, high = (_ratio(side * math.log(margin), scale, float(row["median_before"])) for side in (-1, 1))
    return f"{min(low, high):.2f} to {max(low, high):.2f} times"


def subject(endpoint: Endpoint) -> str:
    """Return what a sentence is about: ``Treg``, ``the ratio of Treg to Teff``, ``serum NfL``."""
    if endpoint.share:
        return display_name(endpoint.share[0])
    if endpoint.ratio:
        return f"the ratio of {' to '.join(map(display_name, endpoint.ratio))}"
    if endpoint.parts:
        return display_name(endpoint.parts[0])
    return endpoint_name(endpoint)


def value_unit(endpoint: Endpoint, unit: str) -> str:
    """Return the unit of an endpoint's value in a sentence: ``% of CD4+ T cells``; "" for a ratio.

    Parameters
    ----------
    endpoint
        One that is compared.
    unit
        As tables name it.
    """
    if endpoint.share and unit == "%":
        return f"% of {parent_name(endpoint.share[1])}"
    return "" if unit == "ratio" else unit_name(unit)


def _ratio(value: float, scale: str, before: float) -> float:
    """Return a mean ratio of after to before; an odds ratio becomes the ratio of percentages at the median before."""
    ratio, share = back(value, scale), before / 100
    if scale != "log_odds" or not 0 < share < 1:
        return ratio
    odds = ratio * share / (1 - share)
    return odds / (1 + odds) / share


def _size(row: pd.Series, unit: str) -> str:
    return mean_change(row, str(row["estimate_scale"]), unit, float(row["median_before"]))


def mean_change(row: pd.Series, scale: str, unit: str, before: float) -> str:
    """Return ``mean ratio 2.03, 95 % interval 1.82 to 2.21``, or the mean difference in the unit.

    Parameters
    ----------
    row
        With ``estimate``, ``ci_low`` and ``ci_high`` on the scale.
    scale
        Of the estimate.
    unit
        Of the value.
    before
        Median before, at which an odds ratio becomes a ratio of percentages.
    """
    columns = ["estimate"] if pd.isna(row["ci_low"]) else ["estimate", "ci_low", "ci_high"]
    if scale in RATIO_WORDS:
        sizes = _places([_ratio(float(row[c]), scale, before) for c in columns])
        words = f"{_kind(row, 'ratio')} {sizes[0]}"
    else:
        points = "percentage points" if unit.startswith("%") and "month" not in unit else unit
        sizes = [amount(float(row[c])) for c in columns]
        words = f"{_kind(row, 'difference')} {sizes[0]} {points}"
    return f"{words}, 95 % interval {sizes[1]} to {sizes[2]}" if len(sizes) > 1 else f"{words}, no 95 % interval"


def _kind(row: pd.Series, what: str) -> str:
    """Return ``mean ratio``, or ``mean ratio adjusted for batch``, which can differ from what single patients show.

    Of the signed rank it is ``typical ratio``, and whose: it leaves out who did not change.
    """
    if row.get("n_pairs") == 1:
        return what
    if "Hodges-Lehmann" not in str(row.get("method")):
        adjusted = _ADJUSTED.search(str(row.get("method")))
        return f"mean {what} {adjusted[0]}" if adjusted else f"mean {what}"
    zero = row.get("n_zero_shifts")
    if pd.isna(zero) or not zero:
        return f"typical {what}"
    changed = int(row["n_pairs"]) - int(zero)
    who = n_patients(changed) if changed != 1 else "one patient"
    return f"typical {what} of the {who} who changed ({int(zero)} did not)"


def _places(ratios: Sequence[float]) -> list[str]:
    """Return ratios to two places, and three where a limit would read as 1.00."""
    places = 3 if any(f"{ratio:.2f}" == "1.00" for ratio in ratios[1:]) else 2
    return [f"{ratio:.{places}f}" if ratio < _LARGE_RATIO else number(ratio, 3) for ratio in ratios]


def _moved(run: Run, cohort: str, endpoint: Endpoint, word: str) -> str:
    """Return in how many patients the value was higher or lower, of those with both."""
    pairs = run.pairs
    own = rows_of(pairs, endpoint.id, cohort).dropna(subset=["shift"])
    same_value = own["before"] == own["after"]  # 0 of 95 and 0 of 101 differ by what is added to counts
    higher, lower = (int(((sign * own["shift"] > 0) & ~same_value).sum()) for sign in (1, -1))
    n = len(own)
    if word == "rose":
        return f"higher in {higher} of {n_patients(n)}"
    if word == "fell":
        return f"lower in {lower} of {n_patients(n)}"
    same = f", unchanged in {n - higher - lower}" if n - higher - lower else ""
    if same and not higher + lower:
        return f"unchanged in {n} of {n_patients(n)}"
    return f"higher in {higher} and lower in {lower}{same} of {n_patients(n)}"


def _phase(run: Run, visit: str) -> str:
    trial = run.study.trial
    phase = trial.visit(visit).phase if trial and visit in trial.visit_names else ""
    return {"on_treatment": "on treatment", "follow_up": "in follow-up", "baseline": "before treatment"}.get(phase, "")


def statistics(row: pd.Series) -> str:
    """Return the line for a statistician: method, estimate on its scale, p, q, the tests beside.

    Parameters
    ----------
    row
        Of SHIFTS.
    """
    n = f"n = {int(row['n_pairs'])}"
    if pd.isna(row["estimate"]):
        return f"{row['method']}; {n}"
    scale = str(row["estimate_scale"])
    estimate = bracket(row["estimate"], row["ci_low"], row["ci_high"], scale)
    parts = [f"{row['method']}: {scale_word(scale)} {estimate}, {n}, {p_text(row['p_value'])}, two-sided"]
    parts += list(_further(row, scale))
    return "; ".join(parts) + f".{equivalence_sentence(row)}"


def _further(row: pd.Series, scale: str) -> Iterator[str]:
    if not pd.isna(row["q_value"]) and not str(row["adjustment"]).startswith("none"):
        yield f"{p_text(row['q_value'], 'q')} ({row['adjustment']})"
    elif str(row["adjustment"]).startswith("none (one"):
        yield "not adjusted: the one primary endpoint"
    if not pd.isna(row.get("plain_p_value")):
        yield f"by its own variance {p_text(row['plain_p_value'])}"
    if not pd.isna(row["sensitivity_p_value"]):
        yield f"{sensitivity_word(row)} {p_text(row['sensitivity_p_value'])}"
    if not pd.isna(row.get("pairs_p_value")):
        pairs = bracket(row["pairs_estimate"], row["pairs_ci_low"], row["pairs_ci_high"], scale)
        yield f"all {row['n_patients']} patients are in it"
        yield f"complete pairs alone {pairs}, {p_text(row['pairs_p_value'])}"


def _contradictions(row: pd.Series) -> Iterator[str]:
    """Yield what a reader would otherwise have to square: the share and the count, other gates, the medians."""
    clear = direction(row) in ("rose", "fell")
    if Code.W_ABSOLUTE_FLAT in split(row["warnings"]):
        yield "The number of these cells in the blood shows no clear change: others may have moved their share."
    yield from gate_doubts(row)
    if clear and _opposed(row):
        yield "The medians move the other way: the mean follows each patient's own change, the medians do not."


def _opposed(row: pd.Series) -> bool:
    step = float(row["median_after"]) - float(row["median_before"])
    return math.copysign(1.0, step) * float(row["estimate"]) < 0 if step else False
