"""The cohort's shift of one endpoint: the method asked for, adjusted where it can be, with its warnings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from immunolab.comparison.adjusted_flip import adjusted_hodges_lehmann, adjusted_sign_flip
from immunolab.comparison.adjustment import Adjusters, adjusted_t, adjusters, batch_indicators
from immunolab.comparison.binomial_mixed import binomial_mixed
from immunolab.comparison.censored_pairs import censored_shift
from immunolab.comparison.count_weighted import count_weighted, symmetric_variance
from immunolab.comparison.diagnostics import Finding
from immunolab.comparison.estimate import Estimate, is_constant, untested
from immunolab.comparison.event_split import event_split
from immunolab.comparison.few_events import PairCounts, pair_counts
from immunolab.comparison.longitudinal import LongRows, mixed_shift
from immunolab.comparison.paired import paired_t, sign_flip, smallest_p, wilcoxon
from immunolab.comparison.pairing import Paired
from immunolab.comparison.plan import Plan
from immunolab.comparison.repeated_visits import VisitRows, repeated_shift, visits_between
from immunolab.comparison.scales import MULTIPLICATIVE
from immunolab.schema.flags import Code

Array = NDArray[np.float64]
Notes = dict[Code, str]  # with its particulars

_LEAST_PAIRS = 3  # a standard deviation of two shifts says next to nothing
_NO_BATCH = {Code.E_BATCH_ALIASED, Code.E_BATCH_DF, Code.W_BATCH_UNKNOWN}  # pairs then are adjusted for no batch
_ZERO = 1e-12  # a shift below it is rounding
_FEW_PAIRS = 5  # pairs up to which an exact two-sided test cannot reach 0.05: 2^(1 - 5) = 0.0625
_FEW_EVENTS = 20  # events of a pair: counting alone then moves a shift by a factor of 1.5 or more
_HALF_ADDED = ("t", "wilcoxon", "signflip", "count_weighted", "mixed")  # methods of shifts with half an event added
_MISSING = 0.2  # share of patients without a pair that is worth a warning
_MOST_IMBALANCE = 100  # largest over smallest parent: beyond, count weighting has type I error to 0.09 (benchmarks)


@dataclass(frozen=True)
class CohortShift:
    """One row of the shift table before multiplicity.

    Attributes
    ----------
    main
        The method asked for.
    sensitivity
        The exact signed rank of the same shifts.
    unadjusted
        The paired t before adjustment for batch or covariates; None when nothing was adjusted.
    complete
        ``(P,)`` patients of the cohort that have both visits.
    findings
        Weaknesses, each with its particulars.
    plain
        The paired t before moderation; None when not moderated.
    of_pairs
        The same of complete pairs alone, where the main result takes in more than those; else None.
    """

    main: Estimate
    sensitivity: Estimate
    unadjusted: Estimate | None
    complete: NDArray[np.bool_]
    findings: tuple[Finding, ...]
    plain: Estimate | None = None
    of_pairs: Estimate | None = None


@dataclass(frozen=True)
class _EndpointInCohort:
    """Endpoint number ``e`` over the patients of one cohort."""

    paired: Paired
    e: int
    members: NDArray[np.bool_]
    plan: Plan

    @cached_property
    def complete(self) -> NDArray[np.bool_]:
        return self.members & np.isfinite(self.paired.shift[self.e])

    @cached_property
    def shifts(self) -> Array:
        return self.paired.shift[self.e, self.complete]

    @property
    def events(self) -> Array:
        return self.paired.events[self.e, self.complete]

    @property
    def parents(self) -> Array:
        return self.paired.parents[self.e, self.complete]

    @cached_property
    def counts(self) -> PairCounts | None:
        return pair_counts(self.paired, self.e, self.complete)

    @cached_property
    def adjusters(self) -> Adjusters:
        return adjusters(self.paired, self.e, self.complete, self.plan)

    @property
    def beyond(self) -> Array:
        """Where the members' values are beyond an assay's limits, ``(n, 2)``, see `Paired`."""
        return self.paired.beyond[self.e, self.members]

    @property
    def counted(self) -> bool:
        return bool(self.paired.counted[self.e])

    @property
    def counted_logit(self) -> bool:
        return self.counted and self.paired.scales[self.e] == "logit"


def cohort_shift(paired: Paired, e: int, members: NDArray[np.bool_], plan: Plan, cohort: str) -> CohortShift:
    """Return the shift of one endpoint over the patients of a cohort.

    Parameters
    ----------
    paired
        Both sides of every patient.
    e
        Number of the endpoint.
    members
        ``(P,)`` patients of the cohort.
    plan
        What is compared and how.
    cohort
        Its name, for the findings.
    """
    at = _EndpointInCohort(paired, e, members, plan)
    main, sensitivity, unadjusted, notes = _results(at)
    of_pairs, over_visits, more = _over_visits(at, main)
    notes = _pairing_notes(at, left_out=of_pairs is None and Code.W_CENSORED not in notes) | notes | more
    findings = tuple(Finding(code, cohort, paired.endpoints[e], text) for code, text in notes.items())
    return CohortShift(over_visits, sensitivity, unadjusted, at.complete, findings, of_pairs=of_pairs)


def _over_visits(at: _EndpointInCohort, main: Estimate) -> tuple[Estimate | None, Estimate, Notes]:
    """Return the result of pairs and that over all visits; None and the former where no visit between both helps."""
    by_pairs = np.isfinite(main.p_value) and main.half_count and not at.beyond.any()
    if at.plan.test != "auto" or not by_pairs:
        return None, main, {}
    unbatched = at.paired.endpoints[at.e] in at.plan.unbatched or _NO_BATCH & at.adjusters.notes.keys()
    rows = visits_between(at.paired, at.e, at.members, at.plan, batched=not unbatched)
    if not isinstance(rows, VisitRows):
        return None, main, dict(rows)
    found = repeated_shift(rows)
    if found is None:
        return (
            None,
            main,
            {Code.W_NOCONV: "no mixed model over the visits could be fitted; complete pairs are compared"},
        )
    return main, found, {}


def _results(at: _EndpointInCohort) -> tuple[Estimate, Estimate, Estimate | None, Notes]:
    """Return main, sensitivity and unadjusted estimate, and the notes to them."""
    d = at.shifts
    if at.plan.test == "auto" and at.beyond.any():
        return _censored(at)
    if d.size < _LEAST_PAIRS:
        described = untested(d.size, estimate=float(d.mean()) if d.size else np.nan)
        return described, untested(d.size), None, {Code.E_N_MIN: f"{d.size} pair(s); a test needs {_LEAST_PAIRS}"}
    if at.counted and not np.nansum(at.events):
        empty = untested(d.size, "not estimable: all counts are 0")
        return empty, untested(d.size), None, {Code.W_ALL_ZERO: "no event at either visit"}
    notes: Notes = {}
    if d.size <= _FEW_PAIRS:
        notes[Code.W_N_SMALL] = f"{d.size} pairs: the smallest exact p is {smallest_p(d.size):g}"
    notes |= _event_notes(at)
    if at.beyond.any():
        notes[Code.W_AT_LIMIT] = f"{int((at.beyond != 0).sum())} value(s) are taken as the assay's limit"
    if at.plan.test == "auto" and at.counts is not None and at.counts.enough != "enough":
        few, more = _few_events(at, at.counts)
        notes |= more
        if few is not None:
            return few, untested(d.size), None, notes
    main, more = _tested(at)
    notes |= more
    taken = at.adjusters
    notes |= taken.notes
    unadjusted, adjusted = None, _adjusted(at, taken)
    if adjusted is not None:
        main, unadjusted = adjusted, main
        if at.plan.test not in ("auto", "t", "signflip"):
            notes[Code.W_BATCH_TEST] = f"{at.plan.test} cannot adjust for {taken.what}: {main.method} is given"
    sensitivity = _sensitivity(at, taken)
    return main, sensitivity, unadjusted, notes | _shift_notes(d, main, sensitivity, notes)


def _censored(at: _EndpointInCohort) -> tuple[Estimate, Estimate, Estimate | None, Notes]:
    """Return the result of pairs with values beyond limits; none where they cannot be fitted."""
    beyond, level = at.beyond, at.paired.level[at.e, at.members]
    text = f"{int((beyond != 0).sum())} value(s) beyond a limit"
    nothing = untested(at.shifts.size)
    if (beyond != np.rint(beyond)).any():
        why = "not tested: visits of a side are averaged, and some of their values are beyond the assay's limits"
        return untested(at.shifts.size, why), nothing, None, {Code.E_CENSORED: why}
    found = censored_shift(level, beyond.astype(np.int64))
    missing = Code.E_N_MIN if found.n < _LEAST_PAIRS else Code.E_CENSORED
    notes = {Code.W_CENSORED: text} if found.tested else {missing: found.method}
    notes |= at.adjusters.notes
    if found.tested and found.n <= _FEW_PAIRS:
        notes[Code.W_N_SMALL] = f"{found.n} pairs: the smallest exact p is {smallest_p(found.n):g}"
    if at.adjusters.words:
        notes[Code.W_COVARIATE] = f"a model of values beyond limits: not adjusted for {at.adjusters.what}"
    return found, nothing, None, notes


def _few_events(at: _EndpointInCohort, counts: PairCounts) -> tuple[Estimate | None, Notes]:
    """Return the result where half an event added would weigh: none, or a count model's; None keeps the method asked.

    A method that was asked for by name is kept, with its warning.
    """
    expected = float(np.median(counts.expected))
    if counts.enough == "too few":
        why = f"not tested: {expected:.2g} expected events at the poorer visit of a pair, a test needs 3"
        return untested(at.shifts.size, why), {Code.E_FEW_EVENTS: why}
    scale = at.paired.scales[at.e]
    if scale not in MULTIPLICATIVE:
        return None, {}
    notes = dict(at.adjusters.notes)
    if at.adjusters.words:
        notes[Code.W_COVARIATE] = "a count model of few events: not adjusted for batch or covariates"
    rates = counts.exposures or (scale == "log" and not at.paired.ratio[at.e])  # a ratio of shares, not of odds
    return event_split(counts.events, counts.parents, exposures=rates), notes


def _pairing_notes(at: _EndpointInCohort, *, left_out: bool) -> Notes:
    n_sides = (at.paired.n_visits[at.e] > 0).sum(axis=1)
    one_side, both = at.members & (n_sides == 1), at.members & (n_sides == 2)
    if not one_side.any():
        return {}
    names = ", ".join(str(at.paired.patients[i]) for i in np.flatnonzero(one_side))
    how = "left out" if left_out else "in the model by their other visits"
    notes = {Code.W_UNPAIRED: f"lacking one of the visits, {how}: {names}"}
    missing = one_side.sum() / (one_side.sum() + both.sum())  # pairs beyond the limits have no shift, but both visits
    if missing > _MISSING:
        notes[Code.W_MISSING_20] = f"{100 * missing:.0f} % of the patients lack one of the visits"
    return notes


def _event_notes(at: _EndpointInCohort) -> Notes:
    if at.counts is None:
        return {}
    parents = at.counts.parents
    notes = {}
    rarer = np.minimum(at.counts.events, parents - at.counts.events) if at.paired.ratio[at.e] else at.counts.events
    median = float(np.median(rarer.sum(axis=1)))
    scarce = np.flatnonzero(at.complete)[at.counts.expected < 1]
    if median < _FEW_EVENTS or scarce.size:
        text = f"median of a pair {median:g} events"
        if scarce.size:
            text += "; less than one expected event in " + ", ".join(at.paired.patients[i] for i in scarce)
        if at.plan.test in _HALF_ADDED and at.counts.enough != "enough":
            text += "; half an event added weighs in this method, the default (auto) goes without"
        notes[Code.W_LOW_EVENTS] = text
    if at.plan.test == "count_weighted" and parents.max() > _MOST_IMBALANCE * parents.min():
        notes[Code.W_N_IMBALANCE] = f"parents hold {parents.min():g} to {parents.max():g} events"
    return notes


def _shift_notes(d: Array, main: Estimate, sensitivity: Estimate, earlier: Mapping[Code, str]) -> Notes:
    """Return what equal and zero shifts do to the tests, and the codes the main method raised itself."""
    notes: Notes = {}
    codes = {*main.codes, *sensitivity.codes}
    if is_constant(d):
        zero = abs(d[0]) < _ZERO
        notes[Code.W_IDENTICAL] = "all shifts are 0" if zero else f"zero variance: every shift is {d[0]:.4g}"
    if Code.W_ZERO_DIFF in codes:
        n = d.size - sensitivity.n
        notes[Code.W_ZERO_DIFF] = f"{n} zero shift(s) dropped from the signed rank: its shift is of those who changed"
    if Code.W_TIES in codes:
        notes[Code.W_TIES] = "equal shifts share mid-ranks; p is exact"
    return notes | {code: main.text for code in main.codes if code not in notes and code not in earlier}


def _tested(at: _EndpointInCohort) -> tuple[Estimate, Notes]:
    """Return the result of the method asked for, or of the paired t where it needs counts that are not there."""
    d, test = at.shifts, at.plan.test
    notes: Notes = {}
    if test == "wilcoxon":
        return wilcoxon(d), notes
    if test == "signflip":
        return sign_flip(d, seed=at.plan.seed), notes
    if test == "mixed":
        words = [*(["batch"] if "batch" in at.adjusters.words else []), *(["covariates"] if at.plan.covariates else [])]
        return mixed_shift(_long_rows(at), d, adjusted_t(d, at.adjusters), " and ".join(words)), notes
    if test == "binomial_mixed":
        if at.counted_logit and not at.paired.ratio[at.e]:
            return binomial_mixed(at.events, at.parents), notes
        notes[Code.W_NO_COUNTS] = "a binomial model needs counts on the logit; the paired t is used instead"
    if test == "count_weighted":
        if at.counted_logit:
            return count_weighted(d, _weighting_variance(at)), notes
        notes[Code.W_NO_COUNTS] = "count weighting needs counts on the logit; the paired t is used instead"
    several = (at.paired.n_visits[at.e, at.complete] > 1).any()
    return paired_t(d, method="t on each patient's mean shift" if several else "paired t"), notes


def _weighting_variance(at: _EndpointInCohort) -> Array:
    single = (at.paired.n_visits[at.e, at.complete] == 1).all()
    return symmetric_variance(at.events, at.parents) if single else at.paired.variance[at.e, at.complete]


def _adjusted(at: _EndpointInCohort, taken: Adjusters) -> Estimate | None:
    """Return the shift adjusted for batch and covariates by the method asked for; None where nothing is adjusted for.

    Methods without a place for them give way to one that has: the paired t to least squares, the rank sum and the sign
    flip to the sign flip of scores, count methods to the paired t. The mixed model takes batches like covariates.
    """
    if not taken.words or is_constant(at.shifts) or at.plan.test == "mixed":
        return None
    if at.plan.test in ("wilcoxon", "signflip"):
        return adjusted_sign_flip(at.shifts, taken.columns, taken.what, seed=at.plan.seed)
    return adjusted_t(at.shifts, taken)


def _sensitivity(at: _EndpointInCohort, taken: Adjusters) -> Estimate:
    """Return the exact signed rank, or the adjusted sign flip where the shift is adjusted."""
    d = at.shifts
    if not taken.words or is_constant(d):
        return wilcoxon(d)
    flip = adjusted_sign_flip(d, taken.columns, taken.what, seed=at.plan.seed)
    centre = adjusted_hodges_lehmann(d, taken.columns)
    return replace(flip, estimate=centre, ci_low=np.nan, ci_high=np.nan, location="Hodges-Lehmann")


def _centred(covariates: Array, before: NDArray[np.bool_]) -> Array:
    """Return covariates less their mean; one that no row before has is 0 there and centred on the rest."""
    if not covariates.shape[1]:
        return covariates
    absent = ~np.isfinite(covariates[before]).any(axis=0)
    return np.where(before[:, None] & absent, 0.0, covariates - np.nanmean(covariates, axis=0))


def _long_rows(at: _EndpointInCohort) -> LongRows:
    paired, plan = at.paired, at.plan
    rows = paired.rows.iloc[paired.rows_of[paired.endpoints[at.e]]]
    code = rows["patient"].to_numpy()
    covariates = _centred(rows[list(plan.covariates)].to_numpy(dtype=float), (rows["side"] == 0).to_numpy())
    if "batch" in at.adjusters.words:
        covariates = np.hstack([covariates, batch_indicators(rows["batch"], at.members[code])])
    known = np.isfinite(rows["level"].to_numpy()) & (rows["unlimited"] == 0).to_numpy()
    used = known & at.members[code] & np.isfinite(covariates).all(axis=1)
    kept = rows[used]
    side = kept["side"].to_numpy()
    phases = {plan.before, plan.after} & set(kept["phase"]) - set(kept["visit"])
    return LongRows(
        level=kept["level"].to_numpy(),
        patient=np.unique(code[used], return_inverse=True)[1],
        side=side,
        other=kept["phase" if phases else "visit"].to_numpy(),
        on=(side == 1) | ((kept["phase"] == "on_treatment").to_numpy() & (side != 0)),
        covariates=covariates[used],
    )
