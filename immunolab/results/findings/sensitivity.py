"""What is beside the registered test of an endpoint: other samples, models and gates, and when blood was taken."""

from __future__ import annotations

import pandas as pd

from immunolab.comparison.steroids import dose_sentences
from immunolab.plots.numbers import back, number, p_text, scale_word, span
from immunolab.results.cohort_rows import in_cohort
from immunolab.results.findings.gates import GATE_RULES, rule_change
from immunolab.results.run import Run
from immunolab.results.sentences import direction
from immunolab.study.endpoints import Period


def beside_the_test(run: Run, cohort: str, row: pd.Series) -> tuple[str, ...]:
    """Return sentences for a statistician on what the change of an endpoint depends on.

    Parameters
    ----------
    run
        The finished run.
    cohort
        Its name; "" where the sheet has no cohorts.
    row
        The endpoint's row of SHIFTS in the cohort.

    Returns
    -------
    tuple of str
        Calls of single patients, intercurrent events, missing visits, doses, selection, slopes over all patients,
        days since the last dose, cycles, other gates; what a run does not have is left out.
    """
    pairs = run.pairs
    own = pairs[(pairs["endpoint"] == row["endpoint"]) & in_cohort(pairs, cohort)]
    if periods := run.slopes_of(str(row["endpoint"])):
        first, later = (f"{period}{_phase(run, period)}" for period in periods)
        timing = f"Slopes of two periods, {first} and {later}."
    else:
        timing = _timing(run, own)
    sentences = (
        _calls(own),
        _intercurrent(row),
        _missing(run, cohort, row),
        _doses(run, cohort, row),
        _selected(run, cohort, row),
        _slopes(run, cohort, row),
        timing,
        _cycles(run, cohort, row),
        _other_gates(row),
    )
    return tuple(filter(None, sentences))


def _calls(pairs: pd.DataFrame) -> str:
    """Return how many patients' own changes are called; "" where none can be."""
    counts = pairs["verdict"].value_counts()
    words = {"rise": "rise", "fall": "fall", "within_noise": "within noise", "not_evaluable": "not evaluable"}
    if not counts.drop("not_evaluable", errors="ignore").sum():
        return ""
    parts = [f"{counts.get(verdict, 0)} {text}" for verdict, text in words.items()]
    return f"Calls of {len(pairs)} patients, each by itself: {', '.join(parts)}."


def _phase(run: Run, period: Period) -> str:
    """Return the phase that the visit at a period's end belongs to, in brackets; empty without a trial."""
    if run.study.trial is None:
        return ""
    return f" ({run.study.trial.visit(period.last).phase.replace('_', ' ')})"


def _intercurrent(row: pd.Series) -> str:
    """Return the intercurrent events before the later value and what became of it; empty without an estimand."""
    text = row.get("estimand")
    return "" if text is None or pd.isna(text) else f"Intercurrent events: {str(text).replace('_', ' ')}."


def _doses(run: Run, cohort: str, row: pd.Series) -> str:
    """Return the change beside the dose of concomitant drugs; empty where no dose is known."""
    table = run.table("dose_sensitivity")
    own = table[(table["endpoint"] == row["endpoint"]) & in_cohort(table, cohort)]
    sentences = list(dose_sentences(own))
    limits = " (95 % CI)" if own["estimate"].notna().any() else ""
    return f"For sensitivity: {'; '.join(sentences)}{limits}." if sentences else ""


def _selected(run: Run, cohort: str, row: pd.Series) -> str:
    """Return the change to be expected of selected patients without treatment; empty without two baselines."""
    table = run.table("regression_to_mean")
    own = table[(table["endpoint"] == row["endpoint"]) & in_cohort(table, cohort)]
    texts = []
    for _, one in own[own["quantity"] != "observed change"].iterrows():
        size, low, high = (number(back(one[c], row["estimate_scale"])) for c in ("estimate", "ci_low", "ci_high"))
        texts.append(
            f"{one['quantity']} ({one['contrast']}) {scale_word(row['estimate_scale'])} {size} [{low}, {high}]"
        )
    if not texts:
        return ""
    head = f"Patients were selected by {own['selected_by'].iloc[0]} at {own['selected_at'].iloc[0]}"
    return f"{head}; regression to the mean: {'; '.join(texts)} (95 % CI)."


def _slopes(run: Run, cohort: str, row: pd.Series) -> str:
    """Return the difference of slopes over all patients, and with deaths in the model; empty for other endpoints."""
    table = run.table("slopes")
    own = table[(table["endpoint"] == row["endpoint"]) & in_cohort(table, cohort) & (table["quantity"] == "difference")]
    texts = []
    for _, one in own.iterrows():
        if pd.isna(one["estimate"]):
            texts.append(f"{one['model']}: {one['method']}")
            continue
        size, low, high = (number(one[c]) for c in ("estimate", "ci_low", "ci_high"))
        n = f"{one['n_patients']} patients, {one['n_values']} values"
        texts.append(f"{one['model']} ({n}): {size} {one['unit']}, 95 % CI {low} to {high}, {p_text(one['p_value'])}")
    return f"Over all patients, those who were lost included: {'; '.join(texts)}." if texts else ""


def _cycles(run: Run, cohort: str, row: pd.Series) -> str:
    """Return peaks and troughs over the level before, by the dose-time model; empty without repeated cycles."""
    table = run.table("cycles")
    own = table[(table["endpoint"] == row["endpoint"]) & in_cohort(table, cohort) & table["n_values"].notna()]
    texts = []
    for _, one in own[own["measure"].isin(["peak_over_baseline", "trough_over_baseline"])].iterrows():
        size, low, high = (number(back(one[c], row["estimate_scale"])) for c in ("estimate", "ci_low", "ci_high"))
        what = str(one["measure"]).replace("_", " ")
        texts.append(f"{what} {scale_word(row['estimate_scale'])} {size}, 95 % CI {low} to {high}")
    return f"Over the cycles, exploratory: {'; '.join(texts)}." if texts else ""


def _missing(run: Run, cohort: str, row: pd.Series) -> str:
    """Return how unlike the others the patients without a visit must be to undo the change; empty if none lacks one."""
    table = run.table("tipping")
    own = table[(table["endpoint"] == row["endpoint"]) & in_cohort(table, cohort)] if len(table) else table
    if own.empty or direction(row) not in ("rose", "fell"):
        return ""
    at = own.iloc[0]
    lacking = f"{at['n_missing']} of {at['n_pairs'] + at['n_missing']} patients lack one of the visits"
    if pd.isna(at["tipping_sd"]):
        return f"{lacking}; no mean shift of theirs within 20 SD of the others would undo the result."
    shift = f"{scale_word(row['estimate_scale'])} {number(back(at['tipping_shift'], row['estimate_scale']))}"
    return (
        f"{lacking}; the interval would include no change if their mean were {shift}, "
        f"{number(at['tipping_sd'])} SD from what they are taken for (tipping point)."
    )


def _timing(run: Run, pairs: pd.DataFrame) -> str:
    endpoints = run.endpoints
    complete = pairs.dropna(subset=["before", "after"])
    rows = endpoints[
        endpoints["patient_id"].isin(complete["patient_id"])
        & endpoints["visit"].isin(complete["visit_after"])
        & endpoints["endpoint"].isin(complete["endpoint"])
    ]
    if rows.empty:
        return ""
    visits = ", ".join(dict.fromkeys(map(str, complete["visit_after"])))
    states = ", ".join(str(state).replace("_", " ") for state in rows["cycle_state"].dropna().unique())
    since = rows["days_since_last_dose"]
    if since.isna().all():
        return f"How many days after the last dose the {visits} samples were taken is not known."
    gap = "" if since.notna().all() else f" (not known for {int(since.isna().sum())})"
    state = f", {states} of the dosing cycle" if states else ""
    return f"The {visits} samples were taken {span(since)} days after the last dose{state}{gap}."


def _other_gates(row: pd.Series) -> str:
    parts = [f"{words} {rule_change(row, rule)}" for rule, words in GATE_RULES.items() if rule_change(row, rule)]
    return (
        f"With other gates the {scale_word(row['estimate_scale'])} is: {'; '.join(parts)} (95 % CI)." if parts else ""
    )
