"""One compared endpoint in words: which way it moved, by how much, how sure, in how many pairs."""

from __future__ import annotations

import pandas as pd

from immunolab.comparison.estimate import ALPHA
from immunolab.comparison.scales import RATIO_WORDS
from immunolab.plots.labels import EndpointLabel
from immunolab.plots.numbers import back, number, p_text, scale_word
from immunolab.schema.contrast import Contrast

_EQUIVALENCE = {
    "equivalent": "equivalent before and after",
    "not_shown_equivalent": "not shown equivalent",
    "beyond_margin": "changed by more than the margin",
    "not_tested": "not tested for equivalence",
}


def direction(row: pd.Series) -> str:
    """Return ``rose``, ``fell``, ``showed no clear change`` (the interval includes none) or ``was not tested``.

    Parameters
    ----------
    row
        A row of `SHIFTS`.
    """
    if pd.isna(row["estimate"]) or pd.isna(row["p_value"]) or pd.isna(row["ci_low"]):
        return "was not tested"
    if row["ci_low"] > 0:
        return "rose"
    return "fell" if row["ci_high"] < 0 else "showed no clear change"


def change_sentence(named: EndpointLabel, row: pd.Series, contrast: Contrast) -> str:
    """Return the cohort's change: medians, estimate with its 95 % interval, n pairs, p and q.

    Parameters
    ----------
    named
        How the endpoint is written.
    row
        Its row of `SHIFTS`.
    contrast
        What is compared with what.
    """
    unit = "" if named.unit == "ratio" else f" {named.unit}"
    medians = f"median {number(row['median_before'])}{unit} before, {number(row['median_after'])}{unit} after"
    words = f"{named.name} {direction(row)}{_unadjusted(row)} ({contrast.in_words}; {_sample(row)}): {medians}"
    if pd.isna(row["estimate"]):
        return f"{words}. {row['method']}."
    tests = f"{p_text(row['p_value'])}, two-sided, {row['method']}"
    if _adjusted(row):
        tests += f"; {p_text(row['q_value'], 'q')}, {row['adjustment']}"
    if not pd.isna(row.get("plain_p_value")):
        tests += f"; by its own variance {p_text(row['plain_p_value'])}"
    if not pd.isna(row["sensitivity_p_value"]):
        tests += f"; {sensitivity_word(row)} {p_text(row['sensitivity_p_value'])}"
    if not pd.isna(row.get("pairs_p_value")):
        scale = row["estimate_scale"]
        size, low, high = (number(back(row[f"pairs_{c}"], scale)) for c in ("estimate", "ci_low", "ci_high"))
        test = "paired t" if pd.isna(row.get("unadjusted_p_value")) else "paired t adjusted for batch or covariates"
        tests += f"; complete pairs alone: {size}, 95 % CI {low} to {high}, {p_text(row['pairs_p_value'])}, {test}"
    return f"{words}; {_estimate(row)} ({tests}).{equivalence_sentence(row)}"


def equivalence_sentence(row: pd.Series) -> str:
    """Return what the equivalence test of a negative control gave, with a blank before it; empty for other endpoints.

    Parameters
    ----------
    row
        A row of `SHIFTS`.
    """
    word = row.get("equivalence")
    if pd.isna(word):
        return ""
    if pd.isna(row["margin"]):
        return " Negative control, not tested for equivalence: no margin is declared."
    if row["estimate_scale"] in RATIO_WORDS:
        within = f"{RATIO_WORDS[row['estimate_scale']]} {number(1 / row['margin'])} to {number(row['margin'])}"
    else:
        within = f"{number(-row['margin'])} to {number(row['margin'])}"
    p = "" if pd.isna(row["equivalence_p_value"]) else f"; two one-sided tests {p_text(row['equivalence_p_value'])}"
    assumed = ", assumed" if "assumed" in str(row["adjustment"]) else ""
    return f" Negative control: {_EQUIVALENCE[str(word)]} (margin {within}{assumed}{p})."


def change_in_short(row: pd.Series) -> str:
    """Return estimate with interval, n pairs, p and q, without the method.

    Parameters
    ----------
    row
        A row of `SHIFTS`.
    """
    n = _sample(row)
    if pd.isna(row["estimate"]):
        return f"not estimated, {n}"
    q = f", {p_text(row['q_value'], 'q')}" if _adjusted(row) else ""
    return f"{_estimate(row)}, {n}, {p_text(row['p_value'])}{q}"


def sensitivity_word(row: pd.Series) -> str:
    """Return what the p beside the main one is of: the exact signed rank, or a sign flip where that is adjusted.

    Parameters
    ----------
    row
        A row of `SHIFTS` with a ``sensitivity_p_value``.
    """
    named = row.get("sensitivity_method")
    return "exact signed-rank" if pd.isna(named) or "signed rank" in str(named) else str(named)


def _adjusted(row: pd.Series) -> bool:
    """Return whether q is another number than p: not of the one primary endpoint, nor where there is none."""
    return not pd.isna(row["q_value"]) and not str(row["adjustment"]).startswith("none")


def _sample(row: pd.Series) -> str:
    """Return ``n = 9 pairs``, and of how many patients where those without both visits are in the estimate too."""
    more = "" if pd.isna(row.get("pairs_p_value")) else f" of {row['n_patients']} patients, all in the estimate"
    return f"n = {row['n_pairs']} pairs{more}"


def _estimate(row: pd.Series) -> str:
    scale = row["estimate_scale"]
    size, low, high = (number(back(row[c], scale)) for c in ("estimate", "ci_low", "ci_high"))
    medians = row.get("ratio_of_medians")
    plain = "" if scale != "log_odds" or pd.isna(medians) else f"; ratio of medians {number(medians)}"
    return f"{scale_word(scale)} {size}, 95 % CI {low} to {high}{plain}"


def _unadjusted(row: pd.Series) -> str:
    """Say of a clear change that it is none once the other endpoints of its family are counted."""
    clear = direction(row) in ("rose", "fell")
    return ", but not clearly once adjusted for the other endpoints" if clear and row["q_value"] >= ALPHA else ""
