"""What the commands share: exit codes, how a command is declared, where it writes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

DONE, INPUT_PROBLEM, SOME_FAILED = 0, 1, 3  # exit codes; 2 is argparse's own, for words it cannot read
Subparsers = argparse._SubParsersAction


def command(
    commands: Subparsers, name: str, text: str, handler: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    """Return the parser of a new command.

    Parameters
    ----------
    commands
        Where it is added.
    name, text
        Its word, and what it does.
    handler
        Calls one function of the package and returns the exit code.
    """
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    parser.set_defaults(handler=handler)
    return parser


def at_least_one(text: str) -> int:
    """Return a whole number of at least 1, for argparse."""
    number = int(text) if text.strip().isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError("a whole number of at least 1 is needed")
    return number


def say(text: str) -> None:
    """Write a line to standard output."""
    sys.stdout.write(text + "\n")


def say_error(text: str) -> None:
    """Write a line to standard error."""
    sys.stderr.write(text + "\n")
