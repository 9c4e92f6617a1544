"""What warns: deaths, withdrawals, rescue, harm, moved controls, confounding, quality; in words, never folded away."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from immunolab.comparison.estimate import ALPHA
from immunolab.comparison.visit_design import design_sentences
from immunolab.quality.batch_drift import drift_sentences
from immunolab.results.cohort_rows import in_cohort
from immunolab.results.findings.absences import LEFT, patients_of
from immunolab.results.findings.bridges import bridge_concerns
from immunolab.results.findings.by_readers import override_sentences
from immunolab.results.findings.checks import calendar_warnings, tube_warnings
from immunolab.results.findings.exchanges import MOST_NAMED, exchange_concerns
from immunolab.results.findings.registry import registered
from immunolab.results.findings.words import capital, endpoint_name, listed
from immunolab.results.run import Run
from immunolab.results.sentences import direction
from immunolab.schema.csv_files import cell_text
from immunolab.schema.flags import Check, Code, Flag, split
from immunolab.study.timeline import visits_out_of_order

Kind = Literal[
    "death", "withdrawal", "event", "harm", "control", "confounding", "numbers", "quality", "exchange", "deviation"
]

_OFF_VISIT = (Check.OUT_OF_WINDOW, Check.OUT_OF_PHASE, Check.DOSED_AT_BASELINE)

_BY_CODE: dict[Code, tuple[Kind, str]] = {
    Code.E_BATCH_ALIASED: ("confounding", "Visit coincides with batch, so drug and batch cannot be separated"),
    Code.E_BATCH_DF: ("confounding", "Too few pairs to adjust for batch: the change may be that of the batches"),
    Code.W_BATCH_CONF: ("confounding", "Visit and batch nearly coincide: part of the change may be the batch"),
    Code.W_BATCH_UNKNOWN: ("confounding", "A sample has no batch: the change is not adjusted for batch"),
    Code.W_COVARIATE: (
        "confounding",
        "Not adjusted for batch or covariates (missing, in step with the visit, or a model of few events or limits)",
    ),
    Code.W_MIXED_STATES: ("confounding", "Samples of one side are of different places in the dosing cycle"),
    Code.W_COMPOSITION: ("confounding", "Another share of the same parent changed much, and shares move together"),
    Code.W_CONTROL_MOVED: ("control", "A negative control changed; what moved it may have moved other endpoints too"),
    Code.W_N_SMALL: ("numbers", "3 to 5 pairs: an exact test cannot reach 0.05"),
    Code.W_MISSING_20: ("numbers", "More than one patient in five lacks one of the two visits"),
    Code.W_LOW_EVENTS: ("numbers", "Few cells were counted: the values of single patients are uncertain"),
    Code.W_N_IMBALANCE: ("numbers", "Files of very different size: counting weights them unequally"),
    Code.W_ZERO_VALUE: ("numbers", "Values of zero without a known limit of the assay: their patients have no change"),
    Code.W_AT_LIMIT: ("numbers", "Values beyond the assay's limits are taken as the limit: changes are too small"),
}


@dataclass(frozen=True)
class Concern:
    """A reason not to read the findings as they look: its kind, and a sentence."""

    kind: Kind
    text: str


def concerns(run: Run) -> tuple[Concern, ...]:
    """Return what warns, deaths first.

    Parameters
    ----------
    run
        The finished run.
    """
    found = [
        *_intercurrent(run),
        *_harm(run),
        *_codes(run),
        *_single_patients(run),
        *_other_panel(run),
        *bridge_concerns(run),
        *_by_readers(run),
        *_quality(run),
    ]
    return tuple(Concern(kind, text) for kind, text in found)


def _by_readers(run: Run) -> Iterator[tuple[Kind, str]]:
    yield from (("quality", sentence) for sentence in override_sentences(run))


def _intercurrent(run: Run) -> Iterator[tuple[Kind, str]]:
    """Yield deaths, withdrawals and other intercurrent events with their patients and days; what is not known too."""
    events = run.table("intercurrent_events")
    patients = {p for cohort in run.cohorts for p in patients_of(run, cohort)}
    n = len(patients | set(events["patient_id"]))
    happened = events[events["study_day"].notna()]
    for event in sorted(set(happened["event"]), key=lambda name: (_kind(name) != "death", _kind(name) == "event")):
        own = happened[happened["event"] == event].sort_values("study_day")
        words, count = event.replace("_", " "), f"{len(own)} of {n} patients"
        said = f"{count} died" if event == "death" else f"{capital(words)} in {count}"
        yield _kind(event), f"{said}: {_patients(own)}.{_handled(run, event)}"
    unknown = events[events["assessed"] == "no"].groupby("event", sort=False)
    for event, own in sorted(unknown, key=lambda one: _kind(str(one[0])) != "death"):
        count = own["patient_id"].nunique()
        of = "any patient" if count >= n else f"{count} of {n} patients"
        why = listed(dict.fromkeys(str(detail).replace("_", " ") for detail in own["detail"]))
        if event == "death" and (fatal := _fatal(run)):
            who = f"an adverse event of grade 5, which is death, in {fatal} patient{'s' if fatal > 1 else ''}"
            yield "death", f"Death: {who}; values after it are taken, for {why}."
            continue
        yield "event", f"{capital(str(event).replace('_', ' '))}: not known of {of} ({why})."


def _kind(event: str) -> Kind:
    if event == "death":
        return "death"
    return "withdrawal" if any(part in event for part in LEFT) else "event"


def _patients(rows: pd.DataFrame) -> str:
    if len(rows) > MOST_NAMED:
        return f"days {int(rows['study_day'].min())} to {int(rows['study_day'].max())}"
    return ", ".join(f"{r.patient_id} (day {int(r.study_day)})" for r in rows.itertuples())


def _handled(run: Run, event: str) -> str:
    """Return what became of the values after an event, as the trial file declares it."""
    table = run.table("estimand")
    own = table[(table["event"] == event) & (table["n_with_event"] > 0)] if len(table) else table
    words = {
        "treatment_policy": "values after it are taken as they are",
        "hypothetical": "values after it are left out",
        "while_on_treatment": "the last value before it is taken",
        "composite": "it counts as no response",
    }
    unranked = (own["strategy"] == "composite") & (own["n_no_response"] == 0)
    counts = own[~unranked].drop_duplicates(["endpoint", "strategy"])["strategy"].value_counts(sort=False)
    texts = [f"{words[str(name)]} in {_endpoints(n)}" for name, n in counts.items()]
    if n := own[unranked]["endpoint"].nunique():
        beside = "; slopes ranked with deaths are in the section on sensitivity" if len(run.table("joint_rank")) else ""
        left = f"it was to count as the worst outcome in {_endpoints(n)}, whose main test leaves these patients out"
        texts.insert(0, left + beside)
    return f" {'. '.join(map(capital, texts))}." if texts else ""


def _endpoints(n: int) -> str:
    return f"{n} {'endpoint' if n == 1 else 'endpoints'}"


def _harm(run: Run) -> Iterator[tuple[Kind, str]]:
    table = run.table("adverse_events")
    every = table[table["term"] == "any adverse event"] if len(table) else table
    if every.empty:
        return
    during = every[every["phase"] != "baseline"]
    fatal = _fatal(run)
    phases = [
        f"{_events(r)} {'on treatment' if r['phase'] == 'on_treatment' else 'in follow-up'}{_of(run, r['cohort'])}"
        for _, r in during.iterrows()
    ]
    worst = f"; grade 5 in {fatal} patient{'s' if fatal > 1 else ''}" if fatal else ""
    yield "harm", f"Adverse events: {listed(phases)}; {_serious(during)}{worst}."


def _fatal(run: Run) -> int:
    """Return how many patients had an adverse event of grade 5 (CTCAE: death) after the first dose."""
    table = run.table("adverse_events")
    if table.empty:
        return 0
    every = table[(table["term"] == "any adverse event") & (table["phase"] != "baseline")]
    return int(every["grade_5"].fillna(0).sum())


def _serious(rows: pd.DataFrame) -> str:
    """Return how many events were serious; that it was not asked where a phase with events does not say."""
    if rows.loc[rows["n_events"] > 0, "n_serious"].isna().any():
        return "whether they were serious was not recorded"
    return f"{int(rows['n_serious'].fillna(0).sum()) or 'none'} serious"


def _events(row: pd.Series) -> str:
    of = f"of {int(row['n_patients'])} patients"
    if not row["n_events"]:
        return f"none in any {of}"
    return f"{int(row['n_events'])} in {int(row['n_with_event'])} {of}"


def _of(run: Run, cohort: object) -> str:
    return f" ({cell_text(cohort)})" if len(run.cohorts) > 1 else ""


def _codes(run: Run) -> Iterator[tuple[Kind, str]]:
    """Yield the warnings of the comparison that a reader needs, each with the registered endpoints it is of."""
    names = {one.id: endpoint_name(one) for e in registered(run) for one in e.expanded() if one.role == e.role}
    for code, (kind, text) in _BY_CODE.items():
        marked = [str(r["endpoint"]) for _, r in run.shifts.iterrows() if code in split(r["warnings"])]
        own = list(dict.fromkeys(names[name] for name in marked if name in names))
        if code == Code.W_CONTROL_MOVED:
            moved = run.shifts[run.shifts["endpoint"].isin(_controls(run)) & _moved(run.shifts)]
            which = listed(dict.fromkeys(names.get(str(e), str(e)) for e in moved["endpoint"]))
            if marked:
                yield kind, f"{text} ({which})." if which else f"{text}."
        elif own:
            every = len(own) == len(set(names.values()))
            yield kind, f"{text}: {'all endpoints' if every else '; '.join(own)}."


def _single_patients(run: Run) -> Iterator[tuple[Kind, str]]:
    """Yield the endpoints whose mean changed clearly while most single patients' changes are within noise."""
    texts = []
    for cohort in run.cohorts:
        pairs = run.pairs[in_cohort(run.pairs, cohort) & run.pairs["shift"].notna()]
        for _, row in run.shifts_of(cohort, ("primary", "secondary")).iterrows():
            calls = pairs.loc[pairs["endpoint"] == row["endpoint"], "verdict"]
            noise = int((calls == "within_noise").sum())
            endpoint = run.declared.get(str(row["endpoint"]))
            clear = direction(row) in ("rose", "fell") and not row["q_value"] >= ALPHA
            if endpoint is not None and clear and noise > len(calls) - noise:
                texts.append(f"{endpoint_name(endpoint)}{_of(run, cohort)} {noise} of {len(calls)}")
    if texts:
        yield (
            "numbers",
            "Clear in the mean of all patients, while one by one most changed by no more than counting, assay and "
            f"day-to-day variation can do: {'; '.join(texts)}. A mean is known better than any one patient's change.",
        )


def _other_panel(run: Run) -> Iterator[tuple[Kind, str]]:
    """Yield the registered endpoints whose values are of another panel in some patients than in most."""
    rows = run.endpoints[run.endpoints["flag"].map(lambda text: Flag.OTHER_PANEL in split(text)).astype(bool)]
    panels, texts = {s.sample_id: s.panel for s in run.samples}, []
    for endpoint in (one for e in registered(run) for one in e.expanded() if one.role == e.role):
        own = rows[(rows["endpoint"] == endpoint.id) & rows["sample_id"].isin(panels)]
        for panel, some in own.groupby(own["sample_id"].map(panels), sort=False):
            texts.append(f"{endpoint_name(endpoint)}: {_some(list(dict.fromkeys(some['patient_id'])))} ({panel})")
    if texts:
        said = "Values of another panel than in most patients: each patient's are of the first with the compared visits"
        yield "numbers", f"{said}: {'; '.join(texts)}."


def _controls(run: Run) -> set[str]:
    return {e.id for e in run.study.endpoints if e.negative_control}


def _moved(shifts: pd.DataFrame) -> pd.Series:
    return (shifts["ci_low"] > 0) | (shifts["ci_high"] < 0)


def _quality(run: Run) -> Iterator[tuple[Kind, str]]:
    """Yield failed samples, and how many samples a check of the tube, and of the calendar, warns of.

    Samples are those of patients; what is said of controls comes after them.
    """
    own = [sample.sample_id for sample in run.samples]
    failed, others = _apart(own, run.failed)
    if failed or others:
        said = f"{len(failed)} of {len(own)} samples could not be finished" + (f": {_some(failed)}" if failed else "")
        yield "quality", f"{said}{_controls_too(others)}."
    checks = tube_warnings(run)
    warned, others = _apart(own, checks["sample_id"])
    if warned or others:
        which = listed(str(name).replace("_", " ") for name in dict.fromkeys(checks["check"]))
        names = f": {_some(warned)}" if 0 < len(warned) < len(own) else ""
        said = f"Quality warning in {len(warned)} of {len(own)} samples (checks: {which}){names}"
        yield "quality", f"{said}{_controls_too(others)}."
    yield from (("quality", f"{text}.") for text in drift_sentences(run.drift))
    others_than_batch = run.design[run.design["factor"] != "batch"]  # batch is said with the tests that it concerns
    yield from (("confounding", f"{text}.") for text in design_sentences(others_than_batch))
    yield from exchange_concerns(run)
    yield from _calendar(run, own)


def _calendar(run: Run, own: Sequence[str]) -> Iterator[tuple[Kind, str]]:
    """Yield patients whose visits and days differ in order, samples off their visit, and how many are off in all."""
    if turned := visits_out_of_order(run.study.trial, run.samples):
        said = "; ".join(turned[:MOST_NAMED]) + (f"; and {len(turned) - MOST_NAMED} more" * (len(turned) > MOST_NAMED))
        yield (
            "exchange",
            f"Visits and days are in different orders, as where labels were exchanged: {said}. "
            "They are compared as labelled.",
        )
    warned = calendar_warnings(run)
    beside, _ = _apart(own, warned.loc[warned["check"].isin(_OFF_VISIT), "sample_id"])
    if beside:
        yield "deviation", f"Taken outside the visit's window or phase, and compared as that visit: {_some(beside)}."
    off, _ = _apart(own, warned["sample_id"])
    if off:
        yield "deviation", f"Off the planned days or doses: {len(off)} of {len(own)} samples."


def _apart(own: Sequence[str], named: Iterable[object]) -> tuple[list[str], list[str]]:
    """Return which of some samples are those of patients, and which are bridging controls or other tubes."""
    every, ids = list(dict.fromkeys(map(str, named))), set(own)
    return [one for one in every if one in ids], [one for one in every if one not in ids]


def _controls_too(ids: list[str]) -> str:
    return f"; controls: {_some(ids)}" if ids else ""


def _some(ids: list[str]) -> str:
    more = len(ids) - MOST_NAMED
    return ", ".join(ids) if more <= 0 else f"{', '.join(ids[:MOST_NAMED])} and {more} more"
