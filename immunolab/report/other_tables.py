"""Tables of the page beside the shifts: each with its title, its section and what its columns hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from immunolab.comparison.arms import LEAST_RESPONDERS
from immunolab.report.bridge_texts import said_once
from immunolab.report.html_table import Grid, grid, turned
from immunolab.report.tables_in_words import in_words, rules_of_events
from immunolab.results.run import Run
from immunolab.schema.flags import Code

_OTHERS = {  # tables beyond the declared ones, as the comparison names them
    "estimand": "Estimand: intercurrent events before each later value, and what became of that value",
    "intercurrent_events": "Intercurrent events, patient by patient",
    "dose_sensitivity": "Beside concomitant drugs: the change of an unchanged dose, and without values under rescue",
    "regression_to_mean": "Regression to the mean: what selected patients would do without treatment",
    "cycles": "Repeated cycles: peaks, troughs and their trend from cycle to cycle, exploratory",
    "slopes": "Slopes of two periods by a mixed model over all patients, beside the registered comparison",
    "arms": "Each active arm against the control arm",
    "log_ratios": "Shares of one parent against their median sibling: what remains when one share cannot push another",
    "shifts_by_response": "Change by clinical response: descriptive, response is known only afterwards",
    "correlations": "Change of cells against change of the clinic: exploratory",
    "time_to_event": "Time to event: Kaplan-Meier, described without a test",
    "survival": "Time to event, day by day",
    "response_tests": "Tests of the registered responses",
    "event_counts": "Events that scores find, of those who could have them",
    "joint_rank": "Slopes with deaths ranked beyond any decline: sensitivity, exploratory, leaning towards the drug",
    "adverse_events": "Adverse events by phase; those before the first dose apart",
    "visits": "Every visit, not only those compared",
    "tipping": "Missing visits: how unlike the others those patients must be to undo a result",
    "noise": "Noise that the calls of patients depend on",
    "removed_stretches": "Stretches of a run that were cut before gating",
    "staining": "Stains that are not as in the panel's other tubes",
    "design": "Whether a change between visits is separable from one of batch, operator, lot, site or cytometer",
    "uncleaned_counts": "Percentages of the cleaned tubes with all their events, under the same gates",
    "bridge_shifts": "Borders that follow the bridging control: the shift beside the uncorrected one",
    "bridge_pairs": "Borders that follow the bridging control, patient by patient",
    "bridge_moves": "How far the bridging control moves each border, and what was refused",
    "bridge_cv": "Inter-assay CV from the bridging controls",
    "beads": "Counting beads of each tube, and what one event stands for",
    "power": "What the next cohort could see, from this study's own spread",
    "power_in_family": "What the next cohort could find after adjustment over the family",
}
# Columns whose values are words of the schema, joined by "_" in the CSV; names that users gave stay as they are.
_IN_WORDS = {"event", "strategy", "phase", "measure", "quantity", "cycle_state", "analysis", "effect_is"}
_IN_WORDS |= {"verdict", "verdict_bridged"}
_SMALL_GROUP = f"fewer than {LEAST_RESPONDERS} in a group"
_NOTES = {  # what the columns hold, where their names do not say it
    "log_ratios": "Estimate: cohort's change of the log of a share over its median sibling; 0 is no change.",
    "response_tests": (
        "A missing response counts as none, of all patients enrolled; or is left out, of those with a value. No p is "
        "adjusted for the other tests here."
    ),
    "arms": (
        "Estimate: change in the active arm less change in the control arm, which is after the minus sign. Main: the "
        "test that role, q and adjustment are of; others are shown beside it. A difference is the drug's only where "
        "chance sorted the patients into arms."
    ),
    "dose_sensitivity": "Estimate: the cohort's change with its 95 % limits, of the kind that is named beside it.",
    "shifts_by_response": (
        "n: patients of both groups together. Estimate: difference of the groups on the scale of the test, of a ratio "
        "its logarithm."
    ),
    "correlations": (
        "rho: Spearman's, of the changes of n patients; partial rho: the same with both values before treatment held "
        "fixed. No p is adjusted for the other correlations here."
    ),
    "joint_rank": (
        "Rule: what a death before both slopes were complete counts as. What holds under all three does not depend on "
        "who died. Rank biserial: ranks of later less earlier, 1 where all are higher. Deaths come in the later period "
        "more often in a disease that gets worse, so this is never evidence by itself."
    ),
    "adverse_events": (
        "Percent: of all patients of the cohort; limits: Clopper-Pearson, 95 %. Grade 1 to 5: patients by their worst "
        "grade. Patient years: time followed in the phase."
    ),
    "bridge_shifts": (
        "Fold: uncorrected, with its 95 % limits; same pairs: of the pairs that followed alone, which bridged is to be "
        "read beside; bridged: the same with borders (no event) that follow the bridging control by channel and batch, "
        "not adjusted for batch. The limits hold the patients' spread and the error of the moves (move se, common to a "
        "batch's patients and not averaged over them). They do not hold what a wrong bridge may change unseen: at most "
        "about unseen (log scale; 0.1 is a tenth of the odds), where data place each tube's own borders; with drawn "
        "gates it is not known. Answer: its number in the list above."
    ),
    "bridge_pairs": (
        "Before, after: uncorrected values in the unit named; bridged: the same with borders that follow. Verdict: the "
        "call of the patient; the bridged one has the uncorrected one's limit at least, holds the error of the moves "
        "(move se, log scale) and is empty where that is not known. Reason: numbers of the list above."
    ),
    "bridge_moves": (
        "Border, move and its standard error (move se) on the display scale; patients move: how far the patients' own "
        "tubes of both batches moved at the landmark population that says so most surely. Reason: numbers of the list "
        "above."
    ),
    "bridge_cv": (
        "CV with 95 % limits (chi square): all that differs between runs. Assay CV: beyond counting, which calls of "
        "patients use where four runs or more were made."
    ),
    "tipping": (
        "Tipping sd: how far, in standard deviations of the shifts, the mean of the missing patients must be from what "
        "the method takes it for before the 95 % interval includes no change; 0 where it does already, empty where "
        "nothing within 20 does. Tipping shift: their mean shift then, on the scale named."
    ),
    "noise": "s w: standard deviation of one measurement of the same blood (assay), or of the same person on another "
    "day, on the scale named; a CV is on the log. Assumed values were not measured in this study: calls hold as far as "
    "they do.",
    "power_in_family": (
        "By simulation: every endpoint of a family has its effect at once, p is adjusted as in this study. Power at "
        "the observed spread (sd of the shifts of n pairs), low and high at its 80 % limits, assurance as the mean "
        "over the spreads that fit. Patients for 80 % power, or assurance: pairs that are needed for it."
    ),
    "power": (
        "Fold: a true change of this size. Power low: with the upper 80 % limit of the spread (sd, of the shifts of n "
        "pairs). Patients for 80 % power: pairs that are needed for it; alpha 0.05, one test."
    ),
}
_NOTES |= {
    "design": (
        "n same: patients with one level at both visits. Inflation: of the variance of a change that is adjusted. "
        "Balanced: nothing to adjust for; weak: inflation above 5; aliased: cannot be separated."
    ),
}
_HEADINGS = {
    "patients_for_80": "patients for 80 % power",
    "patients_for_80_assured": "patients for 80 % assurance",
    "no": "no.",
}
_TURNED = {"event_counts": "endpoint"}  # wide tables that are shown turned, and the column that heads theirs then
_MOST_TURNED = 4  # rows of such a table side by side: what a page of paper holds
_SECTIONS = {  # others are of the section sensitivity, folded; these are never folded away
    "results": ("arms", "response_tests", "bridge_shifts", "bridge_pairs"),
    "safety": ("intercurrent_events", "estimand", "adverse_events", "time_to_event", "event_counts"),
    "quality": ("bridge_moves", "bridge_cv", "beads", "removed_stretches", "uncleaned_counts", "staining", "design"),
}


def other_tables(run: Run) -> dict[str, list[dict[str, Any]]]:
    """Return the tables that a run has beside the shifts, by the section of the page that holds them.

    Parameters
    ----------
    run
        The finished run.

    Returns
    -------
    dict
        ``results``, ``safety``, ``quality`` and ``sensitivity``: of each table its id on the page, title, note and
        grid.
    """
    placed = {name for names in _SECTIONS.values() for name in names}
    sections = {**_SECTIONS, "sensitivity": tuple(name for name in _OTHERS if name not in placed)}
    return {
        section: [one for name in names if len(run.table(name)) for one in _shown(run, name)]
        for section, names in sections.items()
    }


def _shown(run: Run, name: str) -> Iterator[dict[str, Any]]:
    """Yield a table, before it the list of its long texts where it has some."""
    table = run.table(name)
    for column in {"endpoint", "clinical_endpoint"} & set(table.columns):
        table = table.assign(**{column: [run.label_of(str(e)).short for e in table[column]]})
    for column in _IN_WORDS & set(table.columns):
        table = table.assign(**{column: table[column].str.replace("_", " ")})
    if "codes" in table:
        table = table.assign(codes=table["codes"].replace({Code.E_N_MIN: _SMALL_GROUP}))
    note = rules_of_events(table) if name == "estimand" else _NOTES.get(name, "")
    table, title, texts = said_once(name, in_words(name, table))
    for suffix, words, said, rows in (("-said", title, "", texts), ("", _OTHERS[name], note, table)):
        if len(rows):
            headings = {c: _HEADINGS.get(str(c), str(c).replace("_", " ")) for c in rows.columns}
            place = f"{name.replace('_', '-')}{suffix}"
            for part, one in _grids(name, rows, headings):
                yield {"id": f"{place}{part}", "title": words, "note": said if not part else "", "grid": one}


def _grids(name: str, rows: pd.DataFrame, headings: dict[str, str]) -> Iterator[tuple[str, Grid]]:
    """Yield a table as the page shows it, with what its id ends in: a wide one of few rows turned, in parts."""
    if name not in _TURNED:
        yield "", grid(rows, headings)
        return
    first = {name: headings[name] for name in sorted(headings, key=lambda column: column != _TURNED[name])}
    for i, at in enumerate(range(0, len(rows), _MOST_TURNED)):
        yield f"-{i + 1}" if i else "", turned(grid(rows.iloc[at : at + _MOST_TURNED], first))
