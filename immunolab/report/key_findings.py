"""Key findings in words: what changed, by how much, how sure, when sampled, and what speaks against it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from immunolab.comparison.estimand import estimand_in_short
from immunolab.comparison.steroids import dose_sentences
from immunolab.plots.numbers import back, number, p_text, scale_word, span
from immunolab.report.arm_findings import arm_differences
from immunolab.results.run import Run, in_cohort
from immunolab.results.sentences import change_sentence, direction
from immunolab.schema.flags import Code, split
from immunolab.study.endpoints import Endpoint, Period

SINGLE_ARM = (
    "Single-arm, uncontrolled: a change from before to after cannot be attributed to the drug alone "
    "(concomitant steroids, regression to the mean and time itself may move the same cells)."
)
SEVERAL_COHORTS = (
    "Cohorts are described side by side. A change that is clear in one cohort and not in another is not a "
    "difference between cohorts."
)
ARMS = (
    "Each arm's own change is described; whether arms differ is said by their difference alone. A change that is clear "
    "in one arm and not in another is not a difference between them."
)
SMALL_COHORT = 20  # patients; below it a cohort is called small in the cautions (judgement)
DISCLOSURE = (
    "Small numbers: a cohort here has fewer than {least} patients. In a rare disease the pattern of visits, scores and "
    "doses can show who somebody is, even under a study code. Pages and figures of single patients are for those who "
    "treat them; before anything is passed on, leave those out and suppress cells of fewer than 5 patients."
)
GATE_RULES = {"fixed_at_baseline": "fixed at baseline", "refit_each_visit": "placed anew at each visit"}
_SIGNS = {1: "is a rise", 0: "is not clear", -1: "is a fall"}
_STAMPS = {
    Code.W_ABSOLUTE_FLAT: "A share: the interval of the same cells' absolute count includes no change.",
    Code.E_BATCH_ALIASED: "CONFOUNDED: visit coincides with batch, so drug and batch cannot be separated.",
    Code.W_BATCH_CONF: "Visit and batch nearly coincide: part of the change may be the batch.",
    Code.W_CONTROL_MOVED: "A negative control changed: what moved it may have moved the other endpoints too.",
    Code.W_COMPOSITION: "Shares of one parent move together: read this beside absolute counts or CD4 without Treg.",
    Code.W_LOW_EVENTS: "Few events: the percentages are uncertain.",
    Code.W_MISSING_20: "More than one patient in five lacks one of the two visits.",
    Code.W_MIXED_STATES: "Peak and trough visits are averaged.",
}


@dataclass(frozen=True)
class KeyFinding:
    """What one endpoint says about one cohort.

    Attributes
    ----------
    heading
        Cohort, endpoint and its role.
    sentences
        The change, the patients, the timing.
    stamps
        Reasons not to read it as it looks.
    endpoint, cohort
        Whose change it is; empty where it is of none.
    """

    heading: str
    sentences: tuple[str, ...]
    stamps: tuple[str, ...]
    endpoint: str = ""
    cohort: str = ""


def key_findings(run: Run) -> list[KeyFinding]:
    """Return the answer of every primary endpoint between arms and in every cohort, or says why there is none.

    Without a computed primary endpoint the secondary ones follow, under their own name.
    """
    found = [_between_arms(*one) for one in arm_differences(run)]
    for cohort in run.cohorts:
        primary = run.shifts_of(cohort, ("primary",))
        absent = _absent(run, cohort)
        if absent:
            found.append(absent)
        chosen = primary if len(primary) else run.shifts_of(cohort, ("secondary",)).head(3)
        found += [_answer(run, cohort, row) for _, row in chosen.iterrows()]
        subsets = [e.id for e in run.study.endpoints if e.counted]
        if len(primary) and subsets and not primary["endpoint"].isin(subsets).any():  # a score: the cells follow
            cells = run.shifts_of(cohort, ("secondary",))
            leading = cells[cells["endpoint"].isin(subsets)].head(1)
            found += [_answer(run, cohort, row) for _, row in leading.iterrows()]
        found += _controls(run, cohort)
    return found


def _between_arms(heading: str, sentence: str, codes: str) -> KeyFinding:
    return KeyFinding(heading, (sentence,), tuple(_STAMPS[Code(code)] for code in split(codes) if code in _STAMPS))


def _controls(run: Run, cohort: str) -> Iterator[KeyFinding]:
    """Yield what the declared negative controls show: whether no change was shown, not whether none was found."""
    declared = {e.id for e in run.study.endpoints if e.negative_control and e.role != "exploratory"}
    shifts = run.shifts_of(cohort)
    own = shifts[shifts["endpoint"].isin(declared)] if "equivalence" in shifts else shifts.iloc[:0]
    if own.empty:
        return
    moved = any(Code.W_CONTROL_MOVED in split(text) for text in own["warnings"])
    sentences = [
        change_sentence(run.label_of(row["endpoint"]), row, run.contrast_of(str(row["endpoint"])))
        for _, row in own.iterrows()
    ]
    where = f"{cohort}: " if cohort else ""
    yield KeyFinding(f"{where}negative controls", tuple(sentences), (_STAMPS[Code.W_CONTROL_MOVED],) if moved else ())


def _absent(run: Run, cohort: str) -> KeyFinding | None:
    have = set(run.shifts_of(cohort)["endpoint"])
    lacking = [e for e in run.study.endpoints if e.role == "primary" and e.id not in have]
    if not lacking and len(run.shifts_of(cohort, ("primary",))):
        return None
    where = f"{cohort}: " if cohort else ""
    if not lacking:
        return KeyFinding(
            f"{where}no primary endpoint", ("The study declares no primary endpoint that this run computes.",), ()
        )
    rates = [text for e in lacking for text in _response(run, e, cohort)]
    words = [" of ".join((e.statistic.replace("_", " "), *e.needs.scores)) for e in lacking]
    names = "; ".join(f"{e.id} ({text})" for e, text in zip(lacking, words, strict=True))
    why = "A response has no before and after" if rates else "Not compared between visits in this run"
    text = f"{why}: {names}. What follows is not the primary endpoint."
    return KeyFinding(f"{where}primary endpoint", (*rates, text), ())


def _response(run: Run, endpoint: Endpoint, cohort: str) -> Iterator[str]:
    """Yield the response rate at the last of its visits that has one, for an endpoint of responders."""
    table = run.table("responders")
    if endpoint.response is None or table.empty:
        return
    rows = table[(table["score"] == endpoint.response) & (table["n_evaluable"] > 0)]
    if "cohort" in rows:
        rows = rows[in_cohort(rows, cohort)]
    if endpoint.visits:
        rows = rows[rows["visit"].isin(endpoint.visits)]
    for criterion, own in rows.groupby("criterion", sort=False):
        row = own.iloc[-1]
        doubt = "" if row["verified"] == "yes" else " The definition was not checked against its source."
        yield f"{endpoint.response} ({criterion}) at {row['visit']}: {_rates(row)}.{doubt}"
    said = run.table("estimand")
    for text in estimand_in_short(said[said["endpoint"] == endpoint.id]).values():
        yield f"Intercurrent events: {text.replace('_', ' ')}."


def _rates(row: pd.Series) -> str:
    """Return responders of all patients enrolled, and of those with a value where some have none."""
    found = _rate(row, "n_patients", "enrolled", ("percent_worst_case", "worst_case_ci_low", "worst_case_ci_high"))
    if row["n_evaluable"] == row["n_patients"]:
        return found
    beside = _rate(row, "n_evaluable", "evaluable", ("percent", "ci_low", "ci_high"))
    return f"{found}, a missing response counted as none; {beside}"


def _rate(row: pd.Series, n: str, who: str, columns: tuple[str, str, str]) -> str:
    percent, low, high = (number(row[name]) for name in columns)
    of = f"{row['n_responders']} of {row[n]} {who} patients"
    return f"{of}, {percent} %, Clopper-Pearson 95 % CI {low} to {high} %"


def _answer(run: Run, cohort: str, row: pd.Series) -> KeyFinding:
    named = run.label_of(row["endpoint"])
    pairs = run.pairs
    own = pairs[(pairs["endpoint"] == row["endpoint"]) & in_cohort(pairs, cohort)]
    where = f"{cohort}: " if cohort else ""
    codes = [Code(code) for code in split(row["warnings"])]
    stamps = [_STAMPS[code] for code in codes if code in _STAMPS] + list(_doubts(row))
    if periods := run.slopes_of(str(row["endpoint"])):
        phases = [f"{period}{_phase(run, period)}" for period in periods]
        timing = f"Slopes of two periods: before is {phases[0]}, after is {phases[1]}."
    else:
        timing = _timing(run, own)
    return KeyFinding(
        f"{where}{row['role']} endpoint, {named.axis}",
        (
            change_sentence(named, row, run.contrast_of(str(row["endpoint"]))),
            _patients(own),
            _intercurrent(row),
            _missing(run, cohort, row),
            _doses(run, cohort, row),
            _selected(run, cohort, row),
            _slopes(run, cohort, row),
            timing,
            _cycles(run, cohort, row),
            _other_gates(row),
        ),
        tuple(stamps),
        str(row["endpoint"]),
        cohort,
    )


def _phase(run: Run, period: Period) -> str:
    """Return the phase that the visit at a period's end belongs to, in brackets; empty without a trial."""
    if run.study.trial is None:
        return ""
    return f" ({run.study.trial.visit(period.last).phase.replace('_', ' ')})"


def _patients(pairs: pd.DataFrame) -> str:
    if pairs.empty:
        return "No patient has a value at these visits."
    counts = Counter(pairs["verdict"])
    words = {"rise": "rise", "fall": "fall", "within_noise": "within noise", "not_evaluable": "not evaluable"}
    parts = [f"{counts.get(verdict, 0)} {text}" for verdict, text in words.items()]
    open_cases = pairs.loc[pairs["verdict"] == "not_evaluable", "reason"].dropna()
    reasons = [f"{reason} ({n})" for reason, n in Counter(map(str, open_cases)).most_common(3)]
    because = f" Not evaluable because: {'; '.join(reasons)}." if reasons else ""
    return f"Patient by patient, of {len(pairs)}: {', '.join(parts)}.{because}"


def _intercurrent(row: pd.Series) -> str:
    """Return the intercurrent events before the later value and what became of it; empty without an estimand."""
    text = row.get("estimand")
    return "" if text is None or pd.isna(text) else f"Intercurrent events: {str(text).replace('_', ' ')}."


def _doses(run: Run, cohort: str, row: pd.Series) -> str:
    """Return the change beside the dose of concomitant drugs; empty where no dose is known."""
    table = run.table("dose_sensitivity")
    own = table[(table["endpoint"] == row["endpoint"]) & in_cohort(table, cohort)]
    sentences = list(dose_sentences(own))
    return f"For sensitivity: {'; '.join(sentences)} (95 % CI)." if sentences else ""


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


def rule_change(row: pd.Series, rule: str) -> str:
    """Return a change under another gating rule as ``2.11 [1.71, 2.60]``; empty where the rule gave none.

    Parameters
    ----------
    row
        Of SHIFTS, with the columns of the rule (``fold_RULE`` ...).
    rule
        Name of the gating rule.
    """
    columns = [f"{column}_{rule}" for column in ("fold", "ci_low", "ci_high")]
    if any(column not in row.index or pd.isna(row[column]) for column in columns):
        return ""
    fold, low, high = (float(row[column]) for column in columns)
    return f"{number(fold)} [{number(back(low, row['estimate_scale']))}, {number(back(high, row['estimate_scale']))}]"


def _other_gates(row: pd.Series) -> str:
    parts = [f"{words} {rule_change(row, rule)}" for rule, words in GATE_RULES.items() if rule_change(row, rule)]
    return (
        f"With other gates the {scale_word(row['estimate_scale'])} is: {'; '.join(parts)} (95 % CI)." if parts else ""
    )


def _doubts(row: pd.Series) -> Iterator[str]:
    """Yield a stamp for each gating rule under which the change is another: opposite, gone, or only then there."""
    if pd.isna(row["ci_low"]) or pd.isna(row["ci_high"]):
        return
    for rule, words in GATE_RULES.items():
        if not rule_change(row, rule):
            continue
        here, there = _sign(row["ci_low"], row["ci_high"]), _sign(row[f"ci_low_{rule}"], row[f"ci_high_{rule}"])
        if here != there:
            yield f"The change depends on the gates: it {_SIGNS[there]} with gates {words}."


def _sign(low: float, high: float) -> int:
    return int(low > 0) - int(high < 0)


def _selection(run: Run) -> Iterator[str]:
    """Yield what selection does to a change that only one visit before treatment is counted from."""
    trial = run.study.trial
    known = set(run.table("regression_to_mean")["selected_by"])
    for one in trial.selection if trial else ():
        if one.rule not in known:
            yield (
                f"Patients were selected by {one.rule} at {one.visit}; without a second visit before treatment, how "
                f"much of the change of {one.measure} and of what goes with it is regression to the mean is not known."
            )


def cautions(run: Run) -> tuple[str, ...]:
    """Return the sentences that hold for the whole report, whatever it found."""
    several = SEVERAL_COHORTS if run.table("arms").empty else ARMS
    first = several if len(run.cohorts) > 1 else SINGLE_ARM
    sizes = [len({s.patient_id for s in run.samples if s.cohort == cohort}) for cohort in run.cohorts]
    first = " ".join([first, *_selection(run)])
    small = any(0 < size < SMALL_COHORT for size in sizes)
    return (first, DISCLOSURE.format(least=SMALL_COHORT)) if small else (first,)
