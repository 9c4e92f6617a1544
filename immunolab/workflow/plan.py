"""A study's analysis plan: locked, compared with the study as it is, and given to a run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from immunolab.analysis_plan.content import Content, PanelSource, planned_content
from immunolab.analysis_plan.deviation import deviations
from immunolab.analysis_plan.difference import Deviation
from immunolab.analysis_plan.lock import LOCK_FILE, LockedPlan, lock_text, locked, log_problems, read_lock
from immunolab.analysis_plan.override_entries import by_hand_in_words, read_against_log
from immunolab.analysis_plan.seen import LogSeen, PlanSeen, plan_tables
from immunolab.audit.durable import replace_durably
from immunolab.audit.entry import Entry
from immunolab.audit.log import AuditLog
from immunolab.errors import InputError, Problem, attempt
from immunolab.gating.overrides import OVERRIDES_FILE
from immunolab.results.run import Run
from immunolab.schema.tables import declared
from immunolab.study.endpoints import Endpoint
from immunolab.study.sheet import Study, read_study
from immunolab.version import VERSION
from immunolab.workflow.panels import PanelGates, lab_code, read_panels
from immunolab.workflow.remote import is_url
from immunolab.workflow.study_endpoints import study_endpoints

_LOST = "plan.lock.changed.json"  # where a changed file goes when the plan is locked anew
Definitions = Literal["default", "all"]


@dataclass(frozen=True)
class PlanInPlace:
    """The locked plan of a study, and its log, when a run began."""

    plan: LockedPlan | None
    log: LogSeen | None
    entries: tuple[Entry, ...] = ()


def study_folder(source: Path | str) -> Path:
    """Return the folder of a study, whose log and plan are kept there.

    Parameters
    ----------
    source
        Study.yaml, or the folder that holds it.

    Raises
    ------
    InputError
        It is a URL, or there is no such folder.
    """
    if is_url(source):
        hint = "copy the study into a folder of this computer and name that"
        raise InputError(Problem(str(source), "", "a plan and a log cannot be kept at a URL", hint))
    path = Path(source)
    folder = path if path.is_dir() else path.parent
    if not folder.is_dir() or (path != folder and not path.is_file()):
        raise InputError(Problem(str(source), "", "is not there", "name study.yaml, or the folder that holds it"))
    return folder


def content_of(
    study: Study, panels: Mapping[str, PanelGates], endpoints: tuple[Endpoint, ...] | None = None
) -> Content:
    """Return what a study plans to analyse.

    Parameters
    ----------
    study
        As read.
    panels
        Gates by panel name.
    endpoints
        What it compares; None finds out.
    """
    sources = {name: _source(study, name, panel) for name, panel in panels.items()}
    compared = study_endpoints(study, panels) if endpoints is None else endpoints
    return planned_content(study, compared, sources, lab_code(study)[1])


def _source(study: Study, name: str, panel: PanelGates) -> PanelSource:
    choice, files = study.panels.get(name), {}
    if choice is not None and panel.gates.imported is not None and isinstance(choice.strategy, Path):
        files["gate file"] = _file(study, choice.strategy, panel)
    if choice is not None and choice.spillover is not None:
        files["spillover file"] = _file(study, choice.spillover, panel)
    files |= {f"template {i}": study.relative(path) for i, path in enumerate(panel.templates, start=1)}
    return PanelSource(panel.gates, panel.markers, files)


def _file(study: Study, path: Path, panel: PanelGates) -> str:
    return f"{study.relative(path)} (sha256 {panel.read.get(os.path.abspath(path), '')[:16]})"


def lock_plan(
    source: Path | str,
    *,
    by: str,
    at: str,
    reason: str = "",
    definitions: Definitions = "default",
    allow_code: bool = False,
) -> LockedPlan:
    """Lock the plan of a study as it is now, and log that.

    Parameters
    ----------
    source
        Study.yaml, or the folder that holds it.
    by
        Who locks it.
    at
        When: ISO 8601 with a zone.
    reason
        Why a plan that is locked is locked again; the earlier one is kept.
    definitions, allow_code
        As the run will have them, see `immunolab.run`.

    Returns
    -------
    LockedPlan
        As ``plan.lock.json`` has it.

    Raises
    ------
    InputError
        The study has problems, a plan is locked and no reason was given, another process writes to the log, or the
        folder cannot be written.
    """
    folder = study_folder(source)
    study = read_study(source)
    content = content_of(study, read_panels(study, definitions, allow_code=allow_code))
    with AuditLog(folder) as log:
        earlier, lost = _earlier(folder, log, reason)
        plan = locked(earlier, content, by=by, at=at, reason=reason.strip(), version=VERSION)
        fields = {"plan": plan.number, "sha256": plan.sha256, "reason": plan.reason, "version": VERSION}
        log.append("plan_locked", fields | ({"lost": lost} if lost else {}), by=by, at=at)
        if lost and (folder / LOCK_FILE).exists():
            (folder / LOCK_FILE).replace(folder / _LOST)
        replace_durably(folder / LOCK_FILE, lock_text([*earlier, plan]).encode("utf-8"))
    return plan


def _earlier(folder: Path, log: AuditLog, reason: str) -> tuple[tuple[LockedPlan, ...], list[str]]:
    """Return the plans before this one, and hashes of those that the log has and the file has not any more."""
    plans, faults = attempt(lambda: read_lock(folder))
    entries = log.entries()
    broken = [*faults, *(log_problems(plans, entries) if plans is not None else ())]
    logged = [str(e.fields.get("sha256")) for e in entries if e.kind == "plan_locked"]
    if not reason.strip() and broken:
        raise InputError(broken)
    if not reason.strip() and plans:
        text = f"{plans[-1].in_words}, is locked already"
        hint = "--reason WHY locks the study as it is now; the earlier plan is kept beside it"
        raise InputError(Problem(str(folder / LOCK_FILE), "", text, hint))
    return ((), logged) if broken else (plans or (), [])


def plan_in_place(study: Study) -> PlanInPlace:
    """Return the locked plan of a study and the end of its log.

    Parameters
    ----------
    study
        As read.

    Raises
    ------
    InputError
        The plan was changed after it was locked, or is not the one of the log.
    """
    plans = read_lock(study.folder)
    log = AuditLog(study.folder)
    entries = log.entries()
    if problems := log_problems(plans, entries):
        raise InputError(problems)
    number, last = log.end()
    return PlanInPlace(plans[-1] if plans else None, LogSeen(number, last) if entries else None, entries)


def with_plan(run: Run, place: PlanInPlace, content: Content) -> Run:
    """Return a run with the locked plan, what its endpoints are to it, and where the log ended; as it is without them.

    Parameters
    ----------
    run
        Finished but for that.
    place
        Plan and log when the run began.
    content
        Of the study.
    """
    if place.plan is None:
        return replace(run, log_seen=place.log)
    seen = PlanSeen.of(place.plan, content, place.entries)
    tables = plan_tables(seen, run.study.endpoints, run.table("overrides"))
    read_back = {name: declared(name).described(declared(name).as_written(table)) for name, table in tables.items()}
    return replace(run, tables={**run.tables, **read_back}, plan=seen, log_seen=place.log)


@dataclass(frozen=True)
class PlanChecked:
    """What is wrong with a study's log and locked plan, and where the study differs from the plan."""

    problems: tuple[Problem, ...] = ()
    notes: tuple[Problem, ...] = ()


def checked_plan(study: Study, panels: Mapping[str, PanelGates]) -> PlanChecked:
    """Return what `check` says of log and plan; nothing where there is neither.

    Parameters
    ----------
    study
        As read.
    panels
        Gates by panel name.
    """
    log = AuditLog(study.folder)
    plans, faults = attempt(lambda: read_lock(study.folder))
    entries = log.entries()
    unlike, by_hand = read_against_log(study.folder, entries)
    problems = [*log.problems(), *faults] or unlike
    if plans is not None:
        problems += log_problems(plans, entries)
    notes = [Problem(OVERRIDES_FILE, "", by_hand_in_words(by_hand), "")] if by_hand else []
    if plans and not problems:
        found = deviations(plans[-1].content, content_of(study, panels))
        notes += [Problem(LOCK_FILE, "", f"not as planned: {one.words}", "") for one in found]
    return PlanChecked(tuple(problems), tuple(notes))


def check_plan(
    source: Path | str, *, definitions: Definitions = "default", allow_code: bool = False
) -> tuple[LockedPlan, tuple[Deviation, ...]]:
    """Return the locked plan of a study, and where the study differs from it.

    Parameters
    ----------
    source, definitions, allow_code
        As in `lock_plan`.

    Raises
    ------
    InputError
        Nothing is locked, the plan or the log was changed, or the study has problems.
    """
    plan = locked_plans(source)[-1]
    study = read_study(source)
    now = content_of(study, read_panels(study, definitions, allow_code=allow_code))
    return plan, deviations(plan.content, now)


def locked_plans(source: Path | str) -> tuple[LockedPlan, ...]:
    """Return the locked plans of a study, the one that counts last.

    Parameters
    ----------
    source
        Study.yaml, or the folder that holds it.

    Raises
    ------
    InputError
        Nothing is locked, or the plan or the log was changed.
    """
    folder = study_folder(source)
    plans, log = read_lock(folder), AuditLog(folder)
    if problems := [*log.problems(), *log_problems(plans, log.entries())]:
        raise InputError(problems)
    if not plans:
        hint = "immunolab plan lock STUDY --by NAME"
        raise InputError(Problem(str(folder / LOCK_FILE), "", "no plan is locked", hint))
    return plans
