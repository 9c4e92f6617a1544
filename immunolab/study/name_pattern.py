"""A pattern of file names that a user writes: `*_BATCH_PATIENT_VISIT_*`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from immunolab.errors import InputError, Problem

_MEANT = ("PATIENT", "VISIT", "BATCH")
_PART = re.compile(rf"({'|'.join(_MEANT)}|\*)")
_HINT = (
    "write it in capitals as '*_PATIENT_VISIT_*': * is any one word, words are parted by _, a blank and the pattern's "
    "own signs, folders by /"
)


def by_pattern(files: Sequence[str], pattern: str) -> dict[str, dict[str, str]]:
    """Return what each file's name says by a pattern: ``patient``, ``visit`` and, where it is in it, ``batch``.

    Parameters
    ----------
    files
        Paths relative to one folder, with ``/``.
    pattern
        PATIENT and VISIT, which it must have once, and BATCH stand for what they say, ``*`` for any one word (of
        letters other than ``_``, blank, ``/`` and the signs that the pattern has: P-01-W0 is not PATIENT-VISIT), all
        else for itself. A pattern of one part is for the name without its ending, one of more parts for the last
        folders too.

    Returns
    -------
    dict
        By file; files whose name has another form are left out.

    Raises
    ------
    InputError
        PATIENT or VISIT is not in the pattern once, or it fits no file.
    """
    counts = {word: pattern.count(word) for word in _MEANT}
    wrong = [w for w in _MEANT if counts[w] > 1 or (counts[w] == 0 and w != "BATCH")]
    problems = [Problem("--names", pattern, f"{word} is in it {counts[word]} times", _HINT) for word in wrong]
    if problems:
        raise InputError(problems)
    signs = "".join(sorted(set(re.sub(r"[\w\s/*]", "", pattern))))
    word = rf"[^_\s/{re.escape(signs)}]+?"
    form = re.compile("".join(_as_regex(part, word) for part in _PART.split(pattern.strip())))
    read = {file: form.fullmatch(_compared(file, pattern)) for file in files}
    found = {file: hit.groupdict() for file, hit in read.items() if hit}
    if not found:
        shown = ", ".join(_compared(file, pattern) for file in files[:3])
        raise InputError(Problem("--names", pattern, f"fits none of {len(files)} files (first: {shown})", _HINT))
    return found


def _as_regex(part: str, word: str) -> str:
    if part in _MEANT:
        return f"(?P<{part.lower()}>{word})"
    return word if part == "*" else re.escape(part)


def _compared(file: str, pattern: str) -> str:
    """Return the end of a path that a pattern is held against, without the file's ending."""
    path = PurePosixPath(file)
    return "/".join((*path.parts[:-1], path.stem)[-pattern.strip().count("/") - 1 :])
