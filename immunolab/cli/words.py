"""What the commands share: exit codes, how a command is declared, where it writes."""

from __future__ import annotations

import argparse
import errno
import logging
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

DONE, INPUT_PROBLEM, SOME_FAILED = 0, 1, 3  # exit codes; 2 is argparse's own, for words it cannot read
# all but tab and newline: escape sequences, and marks that turn the direction of text
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
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


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """Declare ``--quiet``, which every command with a bar has.

    Parameters
    ----------
    parser
        Of the command.
    """
    parser.add_argument("--quiet", action="store_true", help="show no progress; results and errors stay")


def add_allow_code(parser: argparse.ArgumentParser) -> None:
    """Declare ``--allow-code`` of the commands that read a study.

    Parameters
    ----------
    parser
        Of the command.
    """
    parser.add_argument("--allow-code", action="store_true", help="run the Python file that methods_module names")


def at_least_one(text: str) -> int:
    """Return a whole number of at least 1, for argparse."""
    number = int(text) if text.strip().isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError("a whole number of at least 1 is needed")
    return number


def say(text: str) -> None:
    """Write a line to standard output."""
    _write(sys.stdout, text)


def say_error(text: str) -> None:
    """Write a line to standard error."""
    _write(sys.stderr, text)


def shown(text: str) -> str:
    """Return text whose control characters are spelled out, so that no file's words steer a terminal.

    Parameters
    ----------
    text
        Lines and tabs stay.
    """
    return _STEERING.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


class PlainFormatter(logging.Formatter):
    """Messages of a log as `shown`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record's message."""
        return shown(super().format(record))


def _write(stream: TextIO | None, text: str) -> None:
    """Write a line where there still is a reader; a closed pipe or terminal ends no work and changes no exit code."""
    if stream is None:  # closed before the command began
        return
    encoding = stream.encoding or "utf-8"
    line = f"{shown(text)}\n".encode(encoding, "backslashreplace").decode(encoding)
    try:
        stream.write(line)
        stream.flush()
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.EBADF):
            raise
        with suppress(OSError, ValueError):  # what is left in the buffer would fail again when Python ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
