"""The commands that run a study, and those on what a run left: run, demo, status, report, export, pool, verify."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from immunolab.cli.words import (
    DONE,
    INPUT_PROBLEM,
    SOME_FAILED,
    Subparsers,
    add_allow_code,
    add_quiet,
    at_least_one,
    command,
    say,
    say_error,
)
from immunolab.errors import InputError

if TYPE_CHECKING:
    from immunolab.results.run import Run


def add_demo(commands: Subparsers) -> None:
    """Declare the words of ``immunolab demo``."""
    parser = command(commands, "demo", "Simulate a small lupus study and run it.", _demo)
    parser.add_argument("-o", "--out", default="immunolab_demo", metavar="DIR", help="folder (default: %(default)s)")
    _add_jobs(parser, "tubes and figures at once")


def _demo(arguments: argparse.Namespace) -> int:
    from immunolab.workflow.demo import demo

    say("a simulated lupus trial of 8 patients: no value in it is of a person")
    run = demo(Path(arguments.out), jobs=_jobs(arguments))
    from immunolab.results.run import REPORT  # slow to import: the workers have started before

    return _say_done(run, Path(arguments.out) / REPORT)


def add_run(commands: Subparsers) -> None:
    """Declare the words of ``immunolab run``."""
    parser = command(commands, "run", "Check, gate, quantify, compare, report; resumable.", _run)
    parser.add_argument("study", metavar="STUDY", help="study.yaml or its folder, also as s3:// or another fsspec path")
    parser.add_argument("-o", "--out", metavar="OUT", help="output folder (default: STUDY's folder with _out added)")
    _add_jobs(parser, "tubes and figures at once")
    parser.add_argument("--scheduler", default="", metavar="ADDRESS", help="work on a Dask cluster that runs already")
    parser.add_argument("--sample", default="", metavar="ID", help="compute this sample only")
    parser.add_argument("--memberships", action="store_true", help="write which events are in which population")
    parser.add_argument("--force", action="store_true", help="compute every sample again")
    parser.add_argument("--tables-only", action="store_true", help="write tables and gates, no figure and no report")
    _add_format(parser, ("pdf", "xlsx", "pptx"), "write the report as PDF, all tables as a workbook, or slides too")
    parser.add_argument(
        "--definitions",
        choices=("default", "all"),
        default="default",
        help="gate every published definition that the panel allows",
    )
    add_allow_code(parser)
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of subsamples and resampling (default: 0)")
    add_quiet(parser)


def _run(arguments: argparse.Namespace) -> int:
    from immunolab.workflow.process import many_imports

    with many_imports():
        from immunolab.report.exports import check_formats
        from immunolab.results.run import REPORT
        from immunolab.workflow.remote import mirrored
        from immunolab.workflow.report import report
        from immunolab.workflow.run import run

    out = arguments.out or _beside(arguments.study)
    names = ("scheduler", "sample", "memberships", "force", "tables_only", "definitions", "allow_code", "seed")
    check_formats(arguments.format, with_report=not arguments.tables_only)
    found = run(arguments.study, out=out, jobs=_jobs(arguments), **{name: getattr(arguments, name) for name in names})
    if arguments.tables_only:
        say(f"tables: {out}/tables")
    if arguments.format:
        with mirrored(None, out) as (_, here):
            say("\n".join(report(here, formats=arguments.format)))
    return _say_done(found, None if arguments.tables_only else f"{str(out).rstrip('/')}/{REPORT}")


def add_report(commands: Subparsers) -> None:
    """Declare the words of ``immunolab report``."""
    text = "Write a finished run's report again, or hand it on as PDF, workbook of all tables, or slides."
    parser = command(commands, "report", text, _report)
    parser.add_argument("out", metavar="OUT", help="the folder that run wrote, or its fsspec path")
    _add_format(parser, ("html", "pdf", "xlsx", "pptx"), "what to write; may be repeated (default: html)")
    _add_jobs(parser, "figures at once")


def _add_jobs(parser: argparse.ArgumentParser, what: str) -> None:
    default = "(default: one a core, at most one a GB of free memory and 8; results do not depend on it)"
    parser.add_argument("--jobs", type=at_least_one, metavar="N", help=f"{what} {default}")


def _jobs(arguments: argparse.Namespace) -> int:
    """Return the number of workers: what was asked for, else what this computer has cores and memory for."""
    from immunolab.workflow.process import usable_jobs

    return arguments.jobs or usable_jobs()


def _add_format(parser: argparse.ArgumentParser, choices: Sequence[str], text: str) -> None:
    parser.add_argument("--format", action="append", default=[], choices=choices, help=text)


def _report(arguments: argparse.Namespace) -> int:
    from immunolab.workflow.remote import mirrored
    from immunolab.workflow.report import report

    with mirrored(None, arguments.out) as (_, here):
        say("\n".join(report(here, formats=arguments.format or ["html"], jobs=_jobs(arguments))))
    return DONE


def _beside(study: str) -> str:
    """Return the output folder of a study that names none: the study's folder with ``_out`` added."""
    from immunolab.workflow.remote import is_url

    if is_url(study):
        name = study.rstrip("/")
        return f"{name.rsplit('/', 1)[0] if name.lower().endswith(('.yaml', '.yml')) else name}_out"
    folder = Path(study) if Path(study).is_dir() else Path(study).parent
    return str(folder.resolve().with_name(f"{folder.resolve().name}_out"))


def _say_done(run: Run, page: Path | str | None) -> int:
    """Say what a run did, what it found of the primary endpoint, and where its report is; return the exit code."""
    from immunolab.analysis_plan.seen import plan_in_words
    from immunolab.results.findings import answers
    from immunolab.results.findings.bridges import bridges_in_words

    if run.computed:
        say(f"{len(run.computed)} samples computed, {len(run.kept)} kept from an earlier run")
    elif run.kept:
        say(f"no sample computed: all {len(run.kept)} are up to date")
    if run.failed:
        say_error(f"{len(run.failed)} samples failed; tables/failures.csv says why: {', '.join(run.failed)}")
    for line in (*answers(run), *bridges_in_words(run)):
        say(line)
    if run.plan:
        say(plan_in_words(run.plan, run.table("plan_endpoints"), run.table("plan_deviations")))
    if page:
        say(f"report: {page}")
    return SOME_FAILED if run.failed else DONE


def add_status(commands: Subparsers) -> None:
    """Declare the words of ``immunolab status``."""
    text = "Show how far a run is: done, running, failed, what is left; it does not disturb the run."
    parser = command(commands, "status", text, _status)
    parser.add_argument("out", metavar="OUT", help="the folder that run writes to, on this machine")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _status(arguments: argparse.Namespace) -> int:
    import json

    from immunolab.workflow.status import read_status

    found = read_status(arguments.out)
    say(json.dumps(found.record(), indent=1, ensure_ascii=False) if arguments.json else str(found))
    if found.standing in ("running", "finished"):
        return SOME_FAILED if found.state["failed"] else DONE
    return INPUT_PROBLEM


def add_export(commands: Subparsers) -> None:
    """Declare the words of ``immunolab export``."""
    text = "Write a finished run as trials and repositories ask for: ADaM, SDTM, ImmPort, RO-Crate, ACS."
    parser = command(commands, "export", text, _export)
    parser.add_argument("run", metavar="OUT", help="the folder that run wrote")
    parser.add_argument(
        "--format",
        action="append",
        required=True,
        choices=("adam", "sdtm", "immport", "ro-crate", "acs"),
        help="what to write, see docs/exports.md; may be repeated",
    )
    parser.add_argument("-o", "--out", metavar="DIR", help="folder (default: OUT/exports/FORMAT)")
    parser.add_argument("--agent", default="", metavar="ADDRESS", help="for ro-crate: who ran it, as an ORCID")


def _export(arguments: argparse.Namespace) -> int:
    from immunolab.exports.export import export
    from immunolab.results.record import read_run

    run = read_run(arguments.run)
    for name in dict.fromkeys(arguments.format):
        own = len(set(arguments.format) - {"ro-crate"}) > 1
        out = None if name == "ro-crate" or not arguments.out else Path(arguments.out) / (name if own else "")
        for path in export(run, format=name, out=out, agent=arguments.agent if name == "ro-crate" else ""):
            say(str(path))
    return DONE


def add_pool(commands: Subparsers) -> None:
    """Declare the words of ``immunolab pool``."""
    text = "Pool one endpoint over finished runs: random-effects mean, forest figure, prediction interval."
    parser = command(commands, "pool", text, _pool)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folders that run wrote; each cohort is a study")
    parser.add_argument("--endpoint", required=True, metavar="ID", help="an endpoint that all of them compare")
    parser.add_argument(
        "--different",
        action="append",
        default=[],
        choices=("contrast", "definition"),
        help="what may differ between studies, and is then said; may be repeated",
    )
    parser.add_argument("-o", "--out", default="immunolab_pool", metavar="OUT", help="folder (default: %(default)s)")


def _pool(arguments: argparse.Namespace) -> int:
    from immunolab.workflow.pool import pool

    found = pool(arguments.runs, endpoint=arguments.endpoint, out=arguments.out, different=arguments.different)
    say(f"{found}\nforest: {arguments.out}/figures/forest.pdf")
    return DONE


def add_verify(commands: Subparsers) -> None:
    """Declare the words of ``immunolab verify``."""
    text = "Compute every number of a finished run again, and check the hashes of its inputs and outputs."
    parser = command(commands, "verify", text, _verify)
    parser.add_argument("out", metavar="OUT", help="the folder that run or pool wrote, or its fsspec path")
    _add_jobs(parser, "tubes at once")


def _verify(arguments: argparse.Namespace) -> int:
    from immunolab.report.verify_pool import is_pooled, verify_pool
    from immunolab.results.record import read_run
    from immunolab.workflow.remote import local_copy
    from immunolab.workflow.verify import verify_run

    out = local_copy(arguments.out)
    problems = verify_pool(out) if is_pooled(out) else verify_run(read_run(out), _jobs(arguments))
    if problems:
        raise InputError(problems)
    say("every hash agrees, and every number was computed again with the same value")
    return DONE
