"""The command line: words only. Each command parses its arguments and calls one function of a room."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from immunolab.cli import agreements, analyses, files, plans, reviews, runs, studies
from immunolab.cli.words import INPUT_PROBLEM, PlainFormatter, say_error
from immunolab.errors import ImmunolabError, Problem
from immunolab.progress import quietly
from immunolab.version import VERSION

_COMMANDS = (  # in the order of the help
    runs.add_demo,
    studies.add_init,
    studies.add_check,
    plans.add_plan,
    runs.add_run,
    runs.add_status,
    runs.add_report,
    reviews.add_review,
    runs.add_export,
    files.add_qc,
    analyses.add_gate,
    analyses.add_cluster,
    analyses.add_label,
    analyses.add_expression,
    analyses.add_compare,
    agreements.add_agree,
    runs.add_pool,
    files.add_inspect,
    files.add_convert,
    analyses.add_methods,
    studies.add_trials,
    studies.add_simulate,
    files.add_deidentify,
    runs.add_verify,
    plans.add_audit,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (0 done, 1 input, 2 usage, 3 some samples failed)."""
    parser = _parser()
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    speaker = logging.StreamHandler(sys.stderr)
    speaker.setFormatter(PlainFormatter("%(message)s"))
    quiet = getattr(arguments, "quiet", False)  # of the commands that show progress
    speaker.setLevel(logging.WARNING if quiet else logging.INFO)
    log = logging.getLogger("immunolab")
    log.addHandler(speaker)
    log.setLevel(logging.INFO)
    try:
        with quietly(quiet):
            return int(arguments.handler(arguments))
    except ImmunolabError as error:
        if arguments.debug:
            raise
        say_error(str(error))
        return INPUT_PROBLEM
    except KeyboardInterrupt:
        say_error("interrupted; finished samples are kept and the same command goes on from them")
        return 130
    except Exception as error:
        if arguments.debug:
            raise
        say_error(_unforeseen(error))
        return INPUT_PROBLEM
    finally:
        log.removeHandler(speaker)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="immunolab", description="From cytometry files to paired shifts.")
    parser.add_argument("--version", action="version", version=f"immunolab {VERSION}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in _COMMANDS:
        add(commands)
    return parser


def _unforeseen(error: Exception) -> str:
    """Return what is printed of an error that no room foresaw: the system's refusal of a path, or a bug."""
    if isinstance(error, OSError) and error.strerror:
        hint = "check the path, who may write there and the space on the disk"
        return str(Problem(str(error.filename or ""), "", error.strerror, hint))
    return f"internal error: {type(error).__name__}: {error}\n    hint: run again with --debug and report it"
