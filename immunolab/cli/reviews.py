"""The command that opens a review of gates in the browser."""

from __future__ import annotations

import argparse
from importlib.util import find_spec

from immunolab.cli.words import DONE, Subparsers, command, say
from immunolab.errors import InputError, Problem


def add_review(commands: Subparsers) -> None:
    """Declare the words of ``immunolab review``."""
    text = "Look at every gate of a run in the browser, blind, worst first; correct, accept or reject it."
    parser = command(commands, "review", text, _review)
    parser.add_argument("out", metavar="OUT", help="the folder that run wrote, on this machine")
    parser.add_argument("--reader", default="", metavar="NAME", help="who reviews (default: who is logged in)")
    parser.add_argument("--unblind", action="store_true", help="show patients, visits and arms from the beginning")
    parser.add_argument("--port", type=_port, default=0, metavar="N", help="of 127.0.0.1 (default: a free one)")
    parser.add_argument("--no-browser", action="store_true", help="print the link, open no browser")


def _port(text: str) -> int:
    number = int(text) if text.isdecimal() else -1
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 1 to 65535")
    return number


def _review(arguments: argparse.Namespace) -> int:
    from immunolab.workflow.remote import is_url

    if is_url(arguments.out):
        hint = "copy the run and its study to a folder of this machine and name that"
        raise InputError(Problem(arguments.out, "", "a review needs the tubes and a log on this machine", hint))
    absent = [name for name in ("starlette", "uvicorn") if find_spec(name) is None]
    if absent:
        hint = "pip install 'immunolab[review]'"
        raise InputError(Problem("", "review", f"not installed: {', '.join(absent)}", hint))
    from immunolab.review.opening import open_review
    from immunolab.review.serve import serve

    with open_review(arguments.out, reader=arguments.reader, blind=not arguments.unblind) as review:
        say(review.summary())
        serve(review, port=arguments.port, browser=not arguments.no_browser, say=say)
    say("the review is kept: the same command goes on with it")
    return DONE
