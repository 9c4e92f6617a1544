"""Step: every endpoint compared at its own contrast, under the run's gates and under other gates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from immunolab.comparison.arm_families import arms_together
from immunolab.comparison.diagnostics import Finding
from immunolab.comparison.estimand import estimand_rows, with_estimand, with_intercurrent
from immunolab.comparison.gating_sensitivity import with_other_gatings
from immunolab.comparison.plain_shifts import not_as_numbers
from immunolab.comparison.plan import Compared, Noise, Plan
from immunolab.comparison.table import Comparison, adjusted_over_contrasts, compare_endpoints
from immunolab.errors import ComparisonError, InputError
from immunolab.plots.labels import labels
from immunolab.schema.comparison import PAIRS, SHIFTS
from immunolab.schema.contrast import Contrast
from immunolab.schema.estimand import ESTIMAND
from immunolab.schema.flags import Code
from immunolab.schema.gating import OTHER_GATINGS
from immunolab.study.endpoints import Endpoint
from immunolab.study.sheet import Study
from immunolab.workflow.quantify import Quantified, joined
from immunolab.workflow.spread import SpreadWork
from immunolab.workflow.store import Store
from immunolab.workflow.worker_processes import workers_wait

_WORTH_WORKERS = 2_000  # rows of the endpoint table: judgement, some 60 tubes, whose models take longer than a start
_ASSAY, _PERSON = "inter-assay CV", "within-person CV"


@dataclass(frozen=True)
class StudyComparison:
    """The comparisons of a study.

    Attributes
    ----------
    tables
        Pairs and shifts, by name.
    comparisons, compared
        What each contrast and family gave, and what it was made of.
    notes
        What could not be compared, in words.
    """

    tables: dict[str, pd.DataFrame]
    comparisons: tuple[Comparison, ...]
    compared: tuple[Compared, ...]
    notes: tuple[str, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Weaknesses of all comparisons."""
        return tuple(finding for comparison in self.comparisons for finding in comparison.warnings)


def under_estimand(study: Study, measured: Quantified, happened: pd.DataFrame) -> Quantified:
    """Return what was measured with the estimand applied to its rows, and the tables that say so.

    Parameters
    ----------
    study
        Its trial declares the estimand; without one nothing changes.
    measured
        The endpoint table and its endpoints.
    happened
        Rows of INTERCURRENT_EVENTS.
    """
    rows = with_intercurrent(measured.tables["endpoints"], happened, study, measured.endpoints)
    if "compared_as" not in rows:
        return measured
    said = estimand_rows(rows, happened, study, measured.endpoints)
    further = {"endpoints": rows, "intercurrent_events": happened, "estimand": said}
    return replace(measured, tables={**measured.tables, **{n: t for n, t in further.items() if len(t)}})


def compare_study(
    study: Study, measured: Quantified, gated: Sequence[Endpoint], store: Store, spread: SpreadWork | None = None
) -> StudyComparison:
    """Compare a study's endpoints, each at its own contrast; what cannot be compared is noted.

    Parameters
    ----------
    study
        Names visits, roles, assay noise and batches.
    measured
        The endpoint table and its endpoints.
    gated
        Endpoints of gated tubes, whose percentages are compared again under other gates.
    store
        Folder of the samples' counts under other gates.
    spread
        Where the models of a contrast are fitted; here, where None or where the table is small.
    """
    rows = measured.tables["endpoints"]
    compared, comparisons, notes = _compare(
        study, (*measured.undeclared, *measured.endpoints), rows, worth_workers(spread, rows), _replicates(measured)
    )
    shifts = joined(SHIFTS, [c.shifts for c in comparisons])
    if len(shifts):
        paths = (store.sample_folder(s.sample_id) / "other_gatings.csv" for s in measured.samples)
        shares = {e.share: e.id for e in gated if e.share}
        shifts = with_other_gatings(shifts, OTHER_GATINGS.read(*paths), shares, rows, compared)
    shifts = with_estimand(shifts, measured.tables.get("estimand", ESTIMAND.empty()))
    tables = {"pairs": joined(PAIRS, [c.pairs for c in comparisons]), "shifts": shifts}
    notes += _without_numbers(not_as_numbers(shifts), rows)
    return StudyComparison(tables, tuple(comparisons), tuple(compared), tuple(notes))


def _without_numbers(why: Mapping[tuple[str, str], str], rows: pd.DataFrame) -> Iterator[str]:
    """Yield which endpoints are in no table that needs a number of each patient, those of one reason together."""
    named = labels(rows)
    by_reason: dict[str, list[str]] = {}
    for (cohort, endpoint), reason in why.items():
        name = named[endpoint].short if endpoint in named else endpoint
        by_reason.setdefault(reason, []).append(f"{name} of {cohort}" if cohort else name)
    for reason, names in by_reason.items():
        tables = "log-ratios, power, correlations or shifts by response"
        yield f"{'; '.join(names)} ({reason}) {'is' if len(names) == 1 else 'are'} in no table of {tables}"


def _compare(
    study: Study,
    endpoints: Sequence[Endpoint],
    rows: pd.DataFrame,
    spread: SpreadWork,
    replicates: pd.DataFrame | None,
) -> tuple[list[Compared], list[Comparison], list[str]]:
    declared = {e.id: e for e in endpoints}
    sets: dict[tuple[Contrast, str], list[str]] = {}
    notes = []
    for name in dict.fromkeys(rows["endpoint"]):
        endpoint = declared.get(name)
        if endpoint is not None and not endpoint.paired:
            continue
        contrast = study.contrast_of(endpoint) if endpoint else None
        visits = contrast or Contrast(study.comparison.before, study.comparison.after)
        sets.setdefault((visits, endpoint.family if endpoint else ""), []).append(name)
    jobs: list[tuple[pd.DataFrame, Plan]] = []
    for (contrast, family), names in sets.items():
        own = rows[rows["endpoint"].isin(names)]
        jobs.append((own, _plan(study, contrast, [declared[n] for n in names if n in declared], own, family)))
    made = iter(spread(_compared, [(*job, replicates) for job in jobs if job[0]["visit"].nunique() > 1]))
    compared, comparisons = [], []
    for ((contrast, family), names), (own, plan) in zip(sets.items(), jobs, strict=True):
        if own["visit"].nunique() == 1:
            notes.append(f"one visit ({own['visit'].iloc[0]}): described, not compared ({', '.join(names)})")
            continue
        found = next(made)
        if isinstance(found, Comparison):
            comparisons.append(found)
            compared.append(Compared(plan, tuple(names), family))
            notes += _left_out(found)
        elif isinstance(found, InputError):
            notes += [str(problem) for problem in found.problems]
        else:
            notes.append(f"{contrast.in_words}: {found.message} ({', '.join(names)})")
    tables = adjusted_over_contrasts(comparisons, [one.family for one in compared])
    arms = arms_together([one.arms for one in comparisons], [one.family for one in compared])
    comparisons = [replace(c, shifts=s, arms=a) for c, s, a in zip(comparisons, tables, arms, strict=True)]
    return compared, comparisons, notes


def _replicates(measured: Quantified) -> pd.DataFrame | None:
    """Return the bridging controls whose rows are not among the patients'; None without any."""
    own = measured.bridges
    own = own[~own["sample_id"].isin(measured.tables["endpoints"]["sample_id"])] if len(own) else own
    return own if len(own) else None


def _compared(job: tuple[pd.DataFrame, Plan, pd.DataFrame | None]) -> Comparison | ComparisonError | InputError:
    """Return one contrast's comparison, or why there is none."""
    try:
        rows, plan, replicates = job
        return compare_endpoints(rows, plan, replicates=replicates)
    except (ComparisonError, InputError) as error:
        return error


def worth_workers(spread: SpreadWork | None, rows: pd.DataFrame) -> SpreadWork:
    """Return where a step on the endpoint table is done: a small one here, unless workers, slow to start, are waiting.

    Parameters
    ----------
    spread
        Where the run's work is done.
    rows
        The endpoint table.
    """
    where = replace(spread or SpreadWork(), stage="compare", what="comparison", title="")
    worth = where.scheduler or len(rows) >= _WORTH_WORKERS or workers_wait(where.jobs)
    return where if worth else replace(where, jobs=1)


def _left_out(comparison: Comparison) -> list[str]:
    """Return which endpoints were left out for their faulty rows, in words."""
    faulty = [finding for finding in comparison.warnings if finding.code == Code.E_ENDPOINT]
    return [f"{finding.endpoint} was not compared: {finding.message}" for finding in faulty]


def _plan(study: Study, contrast: Contrast, endpoints: Sequence[Endpoint], rows: pd.DataFrame, family: str) -> Plan:
    batches = {s.sample_id: s.batch for s in study.samples if s.batch}
    return Plan(
        before=contrast.before,
        after=contrast.after,
        roles={e.id: e.role for e in endpoints},
        scales={e.id: e.scale for e in endpoints if e.scale},
        families=() if family else study.families,
        controls={e.id: e.margin for e in endpoints if e.negative_control},
        moderated=study.comparison.moderated,
        noise=_noises(study.comparison.noise, study.comparison.noise_df, _ASSAY, endpoints),
        within_person=_noises(study.comparison.within_person, None, _PERSON, endpoints),
        bridges=study.comparison.bridges,
        batch=batches if len(set(batches.values())) > 1 else {},
        unbatched=_not_counted(rows),
        reference=study.arms.control if study.arms else "",
        arms=study.arms.active if study.arms else (),
    )


def _not_counted(rows: pd.DataFrame) -> tuple[str, ...]:
    """Return the endpoints that are not counted from cells: a tube's batch does not touch the clinic."""
    counted = rows.groupby("endpoint", sort=False)["n_events"].count()
    return tuple(map(str, counted.index[counted == 0]))


def _noises(
    percent: float | None, df: float | None, what: str, endpoints: Sequence[Endpoint]
) -> dict[str, Noise] | None:
    """Return a declared CV as the noise of each gated endpoint; a ratio carries that of both subsets."""
    if percent is None:
        return None
    variance = math.log1p((percent / 100.0) ** 2)
    known = "taken as known" if df is None else f"{df:g} df"
    source = f"declared by the study, {known}"
    return {
        e.id: Noise(
            math.sqrt(variance * e.noise_parts),
            math.inf if df is None else df,
            source,
            relative=True,
            person=what == _PERSON,
        )
        for e in endpoints
        if e.noise_parts
    }
