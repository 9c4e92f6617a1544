"""The commands on a study's analysis plan and its log."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from immunolab.cli.words import DONE, INPUT_PROBLEM, Subparsers, add_allow_code, command, say, say_error

_STUDY = "study.yaml or its folder, on this machine"


def add_plan(commands: Subparsers) -> None:
    """Declare the words of ``immunolab plan``."""
    text = "Lock a study's analysis plan before unblinding, show it, or list where the study differs from it."
    parser = command(commands, "plan", text, _show)
    ways = parser.add_subparsers(metavar="WAY", required=True)
    lock = command(ways, "lock", "Lock the study as it is as its analysis plan.", _lock)
    check = command(ways, "check", "List where the study differs from its plan; 1 where it does.", _check)
    show = command(ways, "show", "Show the locked plans, and what the last one plans.", _show)
    unblind = command(ways, "unblind", "Log that arms or patients were disclosed to those who analyse.", _unblind)
    for one in (lock, check, show, unblind):
        one.add_argument("study", metavar="STUDY", help=_STUDY)
    for one in (lock, unblind):
        one.add_argument("--by", required=True, metavar="NAME", help="who does this")
    lock.add_argument("--reason", default="", metavar="WHY", help="needed where a plan is locked already; it is kept")
    unblind.add_argument("--comment", default="", metavar="TEXT", help="what was disclosed to whom")
    for one in (lock, check):
        words = "as run will have it (default: %(default)s)"
        one.add_argument("--definitions", choices=("default", "all"), default="default", help=words)
        add_allow_code(one)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _lock(arguments: argparse.Namespace) -> int:
    from immunolab.analysis_plan.lock import LOCK_FILE
    from immunolab.workflow.plan import lock_plan, study_folder

    plan = lock_plan(
        arguments.study,
        by=arguments.by,
        at=_now(),
        reason=arguments.reason,
        definitions=arguments.definitions,
        allow_code=arguments.allow_code,
    )
    roles = [one["role"] for one in plan.content["endpoints"].values()]
    counts = ", ".join(f"{roles.count(role)} {role}" for role in ("primary", "secondary", "exploratory"))
    say(f"{plan.in_words}: {len(roles)} endpoints ({counts}), {len(plan.content['samples'])} samples")
    say(f"sha256 {plan.sha256}\nwrote {study_folder(arguments.study) / LOCK_FILE}")
    return DONE


def _check(arguments: argparse.Namespace) -> int:
    from immunolab.workflow.plan import check_plan

    plan, found = check_plan(arguments.study, definitions=arguments.definitions, allow_code=arguments.allow_code)
    for one in found:
        say(f"deviation: {one.words}")
    said = f"{len(found)} deviation{'s' if len(found) != 1 else ''} from" if found else "the study is as in"
    say(f"{said} {plan.in_words}")
    return INPUT_PROBLEM if found else DONE


def _show(arguments: argparse.Namespace) -> int:
    from immunolab.analysis_plan.in_words import plan_text
    from immunolab.workflow.plan import locked_plans

    say(plan_text(locked_plans(arguments.study)))
    return DONE


def _unblind(arguments: argparse.Namespace) -> int:
    from immunolab.audit.log import AuditLog
    from immunolab.workflow.plan import study_folder

    fields = {"comment": arguments.comment} if arguments.comment else {}
    entry = AuditLog(study_folder(arguments.study)).append("unblinded", fields, by=arguments.by, at=_now())
    say(f"logged as entry {entry[:12]}…: gates moved from here on are reported as moved after unblinding")
    return DONE


def add_audit(commands: Subparsers) -> None:
    """Declare the words of ``immunolab audit``."""
    text = "Show a study's log of reviews, overrides and plans, and whether an entry was changed."
    parser = command(commands, "audit", text, _audit)
    parser.add_argument("study", metavar="STUDY", help=_STUDY)
    parser.add_argument("--csv", metavar="FILE", type=Path, help="write the entries as CSV, too")


def _audit(arguments: argparse.Namespace) -> int:
    from immunolab.analysis_plan.override_entries import by_hand_in_words, read_against_log
    from immunolab.audit.log import AuditLog
    from immunolab.audit.table import audit_table
    from immunolab.schema.plan import AUDIT
    from immunolab.study.calendar import aligned
    from immunolab.workflow.plan import study_folder

    folder = study_folder(arguments.study)
    log = AuditLog(folder)
    entries, problems = log.entries(), log.problems()
    table = audit_table(entries)
    unlike, by_hand = read_against_log(folder, entries)
    problems += [] if problems else unlike
    columns = ("number", "at", "by", "kind", "words")
    rows = [[str(cell) for cell in row] for row in table[list(columns)].itertuples(index=False)]
    if rows:
        say("\n".join(aligned([("entry", "at", "by", "kind", "what"), *rows])))
    if arguments.csv:
        AUDIT.write(table, arguments.csv)
        say(f"wrote {arguments.csv}")
    if by_hand:
        say(by_hand_in_words(by_hand))
    for one in problems:
        say_error(str(one))
    if not problems:
        n = f"{len(rows)} entr{'ies' if len(rows) > 1 else 'y'}, none changed"
        say(n if rows else "the study has no log")
    return INPUT_PROBLEM if problems else DONE
