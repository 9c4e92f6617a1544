"""The study's log, its locked plan and its overrides against each other, and against what the run saw of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from immunolab.analysis_plan.lock import LOCK_FILE, LockedPlan, log_problems, read_lock
from immunolab.analysis_plan.override_entries import read_against_log
from immunolab.analysis_plan.seen import plan_tables
from immunolab.audit.entry import Entry
from immunolab.audit.log import FOLDER, LOG, AuditLog
from immunolab.errors import Problem, attempt
from immunolab.report.table_diff import CHANGED, differences, file_in, file_of, read_written
from immunolab.results.run import Run
from immunolab.schema.overrides import OVERRIDES
from immunolab.schema.plan import PLAN_DEVIATIONS, PLAN_ENDPOINTS

_LOG = f"{FOLDER}/{LOG}"
_AGAIN = "run the study again"


def audit_differences(run: Run, record: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what does not fit in log, plan and overrides of the run's study, and in the tables of its plan.

    Parameters
    ----------
    run
        The finished run; its study's folder is looked for where its inputs are.
    record
        Its manifest.
    """
    yield from _manifest(run, record)
    yield from _tables(run)
    folder = run.study.folder
    if not folder.is_dir():
        if run.plan or run.log_seen:
            text = "cannot be checked: the study's folder is not where it was"
            yield Problem(f"{_LOG}, {LOCK_FILE}", "", text, f"looked in {folder}")
        return
    log = AuditLog(folder)
    changed = log.problems()
    yield from changed
    entries = log.entries()
    yield from _seen(run, entries)
    plans, faults = attempt(lambda: read_lock(folder))
    yield from faults
    if plans is not None:
        yield from log_problems(plans, entries)
        yield from _plan(run, plans)
    if not changed:
        yield from read_against_log(folder, entries)[0]


def _manifest(run: Run, record: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield where manifest and record of the run do not say the same of plan and log."""
    log = {"entries": run.log_seen.entries, "hash": run.log_seen.hash} if run.log_seen else None
    plan = {"number": run.plan.number, "sha256": run.plan.sha256} if run.plan else None
    for name, own in (("log", log), ("plan", plan)):
        if record.get(name) != own:
            yield Problem("manifest.json", name, f"is {record.get(name)}, in the run's record {own}", CHANGED)


def _seen(run: Run, entries: Sequence[Entry]) -> Iterator[Problem]:
    """Yield where the log no longer holds what the run saw of it."""
    if run.log_seen is None:
        return
    n, hint = run.log_seen.entries, "put the log back from a copy"
    if not entries or entries[-1].number < n:
        last = entries[-1].number if entries else 0
        gone = f"entry {n} was" if last == n - 1 else f"entries {last + 1} to {n} were"
        yield Problem(_LOG, "", f"{gone} removed after the run, which saw {n}", hint)
    elif not any(one.hash == run.log_seen.hash for one in entries):
        yield Problem(_LOG, "", f"entry {n} is not the one that the run saw: the log was rewritten up to it", hint)


def _plan(run: Run, plans: Sequence[LockedPlan]) -> Iterator[Problem]:
    last = plans[-1] if plans else None
    if run.plan is None and last is not None:
        yield Problem(LOCK_FILE, "", f"{last.in_words}, was not locked when the run began", _AGAIN)
    elif run.plan is not None and last is None:
        yield Problem(LOCK_FILE, "", f"is missing: the run compared the study with plan {run.plan.number}", _AGAIN)
    elif run.plan is not None and last is not None and last.sha256 != run.plan.sha256:
        known = any(one.sha256 == run.plan.sha256 for one in plans)
        text = f"{last.in_words}, is not the one of the run, which was plan {run.plan.number}"
        yield Problem(LOCK_FILE, "", text if known else f"{text} and is no longer in the file", _AGAIN)


def _tables(run: Run) -> Iterator[Problem]:
    """Yield where the tables of the plan differ from what plan, study and overrides give again."""
    tables = (PLAN_ENDPOINTS, PLAN_DEVIATIONS)
    if run.plan is None:
        for table in tables:
            if file_in(run, table).exists():
                yield Problem(file_of(table), "", "is of a run without a locked plan", CHANGED)
        return
    read = read_written(run, OVERRIDES) if file_in(run, OVERRIDES).exists() else OVERRIDES.empty()
    overrides = (
        read if isinstance(read, pd.DataFrame) else OVERRIDES.empty()
    )  # its own check says what is wrong with it
    again = plan_tables(run.plan, run.study.endpoints, overrides)
    compared = (
        (PLAN_ENDPOINTS, ("endpoint",), ("n_deviations",), ("status", "role", "planned_role", "statistic", "words")),
        (PLAN_DEVIATIONS, ("area", "what", "words"), (), ("planned", "now", "endpoints")),
    )
    for table, keys, numbers, words in compared:
        stored = read_written(run, table)
        if isinstance(stored, tuple):
            yield from stored
        else:
            yield from differences(table, stored, again[table.name], keys, numbers, words)
