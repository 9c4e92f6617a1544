"""The commands on a study: simulate, propose, check, run, verify."""

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
    add_quiet,
    at_least_one,
    command,
    say,
    say_error,
)
from immunolab.errors import InputError

if TYPE_CHECKING:
    from immunolab.results.run import Run


def add_trials(commands: Subparsers) -> None:
    """Declare the words of ``immunolab trials``."""
    parser = command(commands, "trials", "Show the built-in designs: calendar, visits, endpoints, sources.", _trials)
    parser.add_argument("trial", nargs="?", metavar="ID", help="a built-in design, or a trial file of your own")


def _trials(arguments: argparse.Namespace) -> int:
    from immunolab.study.calendar import describe_trial, list_trials
    from immunolab.study.trial import load_trial
    from immunolab.workflow.unmeasured import unknown_populations

    if not arguments.trial:
        say(list_trials())
        return DONE
    trial = load_trial(arguments.trial)
    say("\n".join([describe_trial(trial), *(f"\nNOTE  {note}" for note in unknown_populations(trial))]))
    return DONE


def add_simulate(commands: Subparsers) -> None:
    """Declare the words of ``immunolab simulate``."""
    parser = command(commands, "simulate", "Write a virtual trial with known truth as FCS files.", _simulate)
    parser.add_argument("--trial", required=True, metavar="ID", help="built-in design, or a trial file of your own")
    parser.add_argument("--patients", required=True, type=int, metavar="N")
    parser.add_argument("--seed", required=True, type=int, metavar="S", help="the same seed writes the same bytes")
    parser.add_argument("-o", "--out", required=True, metavar="DIR", help="a new or empty folder")
    parser.add_argument("--visits", metavar="W0,W10", help="default: where the design compares subsets")
    parser.add_argument("--events", type=int, default=30_000, metavar="N", help="events of a file (default 30000)")
    parser.add_argument("--null", action="store_true", help="the drug has no effect")
    parser.add_argument("--confounded", action="store_true", help="baselines in one batch, later visits in another")
    parser.add_argument(
        "--batches",
        choices=("patients", "months", "crossed", "none"),
        default="patients",
        help="what shares a run; crossed: four runs, a patient's next visit is in the next one",
    )
    parser.add_argument("--lot-change", action="store_true", help="brighter CD25 from the middle run on")
    parser.add_argument("--drift", type=float, default=0.0, metavar="SD", help="asinh shift of each marker by visit")
    parser.add_argument(
        "--batch-drift", type=float, default=0.0, metavar="SD", help="asinh step of each marker from run to run"
    )
    parser.add_argument("--bridges", action="store_true", help="a bridging control in every run")
    parser.add_argument(
        "--wrong-bridge",
        choices=("stain", "fade", "drift", "donor", "thaw", "labels", "missing", "few"),
        default="",
        help="what is wrong with that of the last run",
    )
    parser.add_argument("--centres", type=int, default=0, metavar="N", help="centres with strong batch effects")
    parser.add_argument("--fmo", action="store_true", help="fluorescence-minus-one controls in every run")
    parser.add_argument("--ics", action="store_true", help="a stimulated tube and its unstimulated pair at each visit")
    parser.add_argument(
        "--faults",
        type=float,
        default=0.0,
        metavar="RATE",
        help="share of the usual rate of faults: 1 as in practice, 0 none (default)",
    )
    parser.add_argument("--mixed-labels", action="store_true", help="markers spelled differently from file to file")
    parser.add_argument("--citeseq", type=int, default=0, metavar="CELLS", help="CITE-seq of every sample too, as h5ad")
    parser.add_argument("--no-event-truth", action="store_true", help="leave out truth/events")


def _simulate(arguments: argparse.Namespace) -> int:
    from immunolab.simulation import Options, simulate

    chosen = [
        *("batches", "lot_change", "drift", "batch_drift", "bridges", "wrong_bridge", "centres", "fmo", "ics"),
        *("faults", "mixed_labels", "citeseq"),
    ]
    simulate(
        arguments.trial,
        patients=arguments.patients,
        seed=arguments.seed,
        folder=arguments.out,
        visits=[name.strip() for name in arguments.visits.split(",")] if arguments.visits else None,
        events=arguments.events,
        null=arguments.null,
        confounded=arguments.confounded,
        options=Options(
            truth_events=not arguments.no_event_truth, **{name: getattr(arguments, name) for name in chosen}
        ),
    )
    say(f"study: {arguments.out}/study.yaml\ntruth: {arguments.out}/truth")
    return DONE


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


def add_init(commands: Subparsers) -> None:
    """Declare the words of ``immunolab init``."""
    parser = command(commands, "init", "Propose a study from a folder of FCS files.", _init)
    parser.add_argument("folder", metavar="DIR", type=Path, help="where the study is written")
    parser.add_argument("--fcs", required=True, metavar="FOLDER", type=Path, help="searched with its subfolders")
    parser.add_argument("--trial", metavar="ID", help="a built-in design, or a trial file of your own")
    parser.add_argument(
        "--names", default="", metavar="PATTERN", help="of the file names, as *_BATCH_PATIENT_VISIT_*; * is one word"
    )


def _init(arguments: argparse.Namespace) -> int:
    from immunolab.workflow.propose import propose_study

    proposal = propose_study(arguments.folder, arguments.fcs, arguments.trial, names=arguments.names)
    say(f"names are read by: {proposal.pattern or 'no pattern fits: give one with --names, or fill in the sheet'}")
    say("\n".join(f"wrote {path}" for path in proposal.written))
    say("\n".join(f"open: {note}" for note in proposal.notes) or "nothing is left open")
    say(f"check every line, then: immunolab check {arguments.folder}")
    return DONE


def add_check(commands: Subparsers) -> None:
    """Declare the words of ``immunolab check``."""
    parser = command(commands, "check", "Validate a study and list all problems; gates nothing.", _check)
    parser.add_argument("study", metavar="STUDY", help="study.yaml or its folder, also as s3:// or another fsspec path")
    _add_allow_code(parser)


def _add_allow_code(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--allow-code", action="store_true", help="run the Python file that methods_module names")


def _check(arguments: argparse.Namespace) -> int:
    from immunolab.workflow.check import check_study
    from immunolab.workflow.remote import local_copy

    checked = check_study(local_copy(arguments.study), allow_code=arguments.allow_code)
    for note in checked.notes:
        say(f"note: {note}")
    if checked.problems:
        raise InputError(checked.problems)
    say(f"{checked.n_samples} samples of {checked.n_patients} patients: no problem found")
    return DONE


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
    _add_allow_code(parser)
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
