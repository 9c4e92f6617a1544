"""Errors a user can act on: each says what is wrong, where, and how to fix it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
_MOST_LISTED = 20  # names listed where none is alike: a line or two (judgement)
_SHORT_NUMBER = 4  # digits; in a longer number (a trial's registration) one digit is a slip (judgement)
_WHOLE_WORD = 4  # letters of a word whose number may be forgotten (FOXP3), not a family's name (CD, CCR); judgement


@dataclass(frozen=True)
class Problem:
    """One thing a user has to fix.

    Attributes
    ----------
    file
        The file it is in, as the user named it; empty when there is none.
    place
        Where in it (``row 4, column visit``; ``14`` for a line; ``populations[3].parent``).
    message
        What is wrong, with the offending value and what was allowed.
    hint
        How to fix it.
    """

    file: str
    place: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = ":".join(part for part in (self.file, self.place) if part)
        head = f"{where}  {self.message}" if where else self.message
        return f"{head}\n    hint: {self.hint}" if self.hint else head


class ImmunolabError(Exception):
    """Base of every error that is a user's or a file's fault, never a bug.

    Parameters
    ----------
    message
        What is wrong.
    where
        File, row, population or sample it concerns.
    hint
        How to fix it.
    """

    def __init__(self, message: str, where: str = "", hint: str = "") -> None:
        super().__init__(message, where, hint)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        return str(Problem(self.where, "", self.message, self.hint))


class InputError(ImmunolabError):
    """The user's sheet, YAML or command has problems; carries all of them at once."""

    def __init__(self, problems: Iterable[Problem] | Problem) -> None:
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        first = self.problems[0]
        super().__init__(first.message, first.file, first.hint)

    def __str__(self) -> str:
        lines = [str(problem) for problem in self.problems]
        if len(lines) > 1:
            lines.append(f"{len(lines)} problems")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[type[InputError], tuple[tuple[Problem, ...]]]:
        return InputError, (self.problems,)


class UnknownName(InputError, KeyError):
    """A name by which something was asked for is not there; also a KeyError, as a mapping raises."""


class DataFileError(ImmunolabError):
    """An FCS, h5ad or other data file cannot be read right."""


class GatingError(ImmunolabError):
    """A gate cannot be evaluated on a sample."""


class ComparisonError(ImmunolabError):
    """A comparison cannot be made (no pairs, unknown visit)."""


def attempt(read: Callable[[], T]) -> tuple[T | None, tuple[Problem, ...]]:
    """Return what a reader gives, or None and its problems, so that a caller can go on and find more of them.

    Parameters
    ----------
    read
        Reads a file, or a part of one.
    """
    try:
        return read(), ()
    except InputError as error:
        return None, error.problems


def nearest(word: str, allowed: Iterable[str]) -> str:
    """Return ``did you mean 'x'?`` for the closest allowed word, or an empty string.

    Short numbers must agree, for CD23 is no misspelt CD3, nor W10 a misspelt W12; a word may lack its number.

    Parameters
    ----------
    word
        As the user wrote it.
    allowed
        What may be written.
    """
    meant = nearest_word(word, allowed)
    return f"did you mean '{meant}'?" if meant else ""


def nearest_word(word: str, allowed: Iterable[str]) -> str:
    """Return the closest allowed word, or an empty string; see `nearest`.

    Parameters
    ----------
    word
        As the user wrote it.
    allowed
        What may be written.
    """
    from difflib import get_close_matches

    meant = str(word).lower()
    choices = {choice.lower(): choice for choice in sorted(set(map(str, allowed)), reverse=True)}
    open_end = len(meant) >= _WHOLE_WORD and not re.search(r"\d", meant)
    likely = [choice for choice in choices if open_end or _numbers(choice) & _numbers(meant)]
    match = get_close_matches(meant, likely, n=1, cutoff=0.6)
    if not match:  # the first word of one choice: sle of sle_nct02084238
        begun = [choice for choice in choices if re.match(re.escape(meant) + "[ _.-]", choice)]
        match = begun if meant and len(begun) == 1 else []
    return choices[match[0]] if match else ""


def _numbers(word: str) -> set[tuple[str, ...]]:
    """Return a lower-case word's short numbers as written, and with a zero behind a letter read as the letter O."""
    readings = (word, re.sub(r"(?<=[a-z])0(?!\d)", "o", word))
    return {
        tuple(number.lstrip("0") for number in re.findall(r"\d+", reading) if len(number) <= _SHORT_NUMBER)
        for reading in readings
    }


def allowed_hint(word: str, allowed: Iterable[str]) -> str:
    """Return the hint for a word that is not one of those allowed: the closest of them, and all.

    Parameters
    ----------
    word, allowed
        As in `nearest`.
    """
    words = list(allowed)
    return f"{nearest(word, words)} allowed: {', '.join(words)}".strip()


def meant_or_known(word: str, known: Iterable[str]) -> str:
    """Return the hint for a word that is none of many: the closest of them, else the first of all.

    Parameters
    ----------
    word, known
        As in `nearest`.
    """
    words = list(known)
    more = f" and {len(words) - _MOST_LISTED} more" if len(words) > _MOST_LISTED else ""
    return nearest(word, words) or f"known: {', '.join(words[:_MOST_LISTED])}{more}"


def unknown_words(**arguments: tuple[str, Sequence[str]]) -> list[Problem]:
    """Return a problem for each argument of a call that is not one of its words.

    Parameters
    ----------
    **arguments
        By its name, the word that was given and those allowed.
    """
    return [
        Problem("", name, f"'{word}' is unknown", allowed_hint(word, allowed))
        for name, (word, allowed) in arguments.items()
        if word not in allowed
    ]
