"""The command that compares two gatings of the same tubes."""

from __future__ import annotations

import argparse
from pathlib import Path

from immunolab.cli.words import DONE, Subparsers, add_quiet, command, say
from immunolab.errors import InputError, Problem


def add_agree(commands: Subparsers) -> None:
    """Declare the words of ``immunolab agree``."""
    text = (
        "Compare two gatings of the same tubes: bias, limits of agreement, concordance, F1, and the worst tubes drawn."
    )
    parser = command(commands, "agree", text, _agree)
    parser.add_argument(
        "a", metavar="A", help="run folder, FlowJo .wsp, Gating-ML .xml, strategy, gate folder, counts CSV"
    )
    parser.add_argument(
        "b", nargs="?", metavar="B", help="the same choices, B less A; left out: the readers who reviewed the run A"
    )
    parser.add_argument(
        "-o", "--out", default="immunolab_agreement", metavar="FOLDER", help="folder (default: %(default)s)"
    )
    parser.add_argument("--files", nargs="+", default=[], metavar="FILE", help="FCS files, where neither side is a run")
    parser.add_argument(
        "--panel", type=Path, metavar="PANEL", help="channel and marker, CSV or YAML, for files without marker names"
    )
    parser.add_argument(
        "--same", action="append", default=[], metavar="A=B", help="populations of different names that are the same"
    )
    parser.add_argument("--names", default="", metavar="A,B", help="what the gatings are called (default: their files)")
    add_quiet(parser)


def _agree(arguments: argparse.Namespace) -> int:
    if arguments.b is None:
        _without_b(arguments)
        from immunolab.workflow.agree_readers import agree_readers, readers_text

        say(
            f"{readers_text(agree_readers(arguments.a, arguments.out))}\nwritten: {arguments.out}/readers_agreement.csv"
        )
        return DONE
    from immunolab.report.agree_page import unmatched_lines
    from immunolab.workflow.agree import agree

    found = agree(
        arguments.a,
        arguments.b,
        out=arguments.out,
        files=arguments.files,
        panel=arguments.panel,
        same=_same(arguments.same),
        words=_words(arguments.names),
    )
    say(f"{found!r}\nwritten: {found.page}")
    for line in unmatched_lines(found.unmatched):
        say(line)
    return DONE


def _without_b(arguments: argparse.Namespace) -> None:
    """Refuse words that are of two gatings where one is named: readers are compared by their run alone."""
    given = [word for word in ("files", "panel", "same", "names") if getattr(arguments, word)]
    if given:
        hint = "name the second gating: immunolab agree A B; the readers of a run are compared without it"
        raise InputError(
            [Problem("", f"--{word}", "is for two gatings, and only one is named", hint) for word in given]
        )


def _same(words: list[str]) -> dict[str, str]:
    parts = [word.partition("=") for word in words]
    problems = [
        Problem("", "--same", f"'{word}' is no pair of populations", "write it as 'CD4+=CD4'")
        for word, (one, _, other) in zip(words, parts, strict=True)
        if not (one.strip() and other.strip())
    ]
    if problems:
        raise InputError(problems)
    return {one.strip(): other.strip() for one, _, other in parts}


def _words(text: str) -> tuple[str, str] | None:
    if not text:
        return None
    names = [name.strip() for name in text.split(",")]
    if len(names) != 2 or not all(names) or names[0] == names[1]:
        raise InputError(Problem("", "--names", f"'{text}' is no pair of names", "write it as 'FlowJo,automatic'"))
    return names[0], names[1]
