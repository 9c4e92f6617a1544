"""Whether the name of a file, or what its header calls it, is that of another row of the sheet."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

NAMING_KEYWORDS = (
    *("$FIL", "FILENAME", "TUBE NAME", "TUBENAME", "GROUPNAME", "SAMPLE ID", "$SMNO", "PATIENT ID"),
    *("$SRC", "ORIGINALGUID", "GUID", "EXPERIMENT NAME", "$PROJ"),
)
"""Keywords in which operators and instruments write whose a tube is."""
_LONGEST = 3  # parts of a name that are one word, as NY-068 or P_01_A
_FEWEST_DIGITS = 4  # of a name without a letter: fewer are numbers of specimens and wells (judgement)
_FEWEST_LETTERS = 2  # characters of a name with letter and digit (``W0``)


@dataclass(frozen=True)
class NamedTube:
    """A row of the sheet, the name of its file, and the words of its header that name it."""

    file: str
    patient: str
    visit: str
    name: str
    header: tuple[str, ...]


def header_names(text: Mapping[str, str]) -> tuple[str, ...]:
    """Return the words of a header that may name a tube.

    Parameters
    ----------
    text
        Keywords of the file, upper case.
    """
    return tuple(text[key] for key in NAMING_KEYWORDS if text.get(key, "").strip())


def names_of_others(tubes: Sequence[NamedTube]) -> list[tuple[str, str]]:
    """Return (file, message) of each tube whose file or header names another row's patient or visit and not its own.

    Where as many tubes seem to be of others as are named right, the words mean something else, and nothing is said.

    Parameters
    ----------
    tubes
        Of patients.
    """
    patients = _known(tube.patient for tube in tubes)
    visits = _known(tube.visit for tube in tubes)
    found = [*_other(tubes, "file name", patients, visits), *_other(tubes, "header", patients, visits)]
    return list(dict.fromkeys(found))


def _other(
    tubes: Sequence[NamedTube], source: str, patients: Mapping[str, str], visits: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    for word, known, own in (("patient", patients, "patient"), ("visit", visits, "visit")):
        said, right = [], 0
        for tube in tubes:
            words = _words((tube.name,) if source == "file name" else tube.header)
            named = sorted({known[one] for one in words if one in known})
            mine = getattr(tube, own)
            right += _plain(mine) in words
            if mine and named and _plain(mine) not in words:
                text = f"its {source} names {word} {' and '.join(named)}, the sheet {mine}"
                said.append((tube.file, f"{text}: files or labels may be swapped"))
        if len(said) < right:
            yield from said


def _known(names: Iterable[str]) -> dict[str, str]:
    """Return names as they are compared -> as written, of those that are no mere number or letter."""
    found = {_plain(name): name for name in names if name}
    return {plain: name for plain, name in found.items() if _telling(plain)}


def _telling(plain: str) -> bool:
    letters, digits = any(c.isalpha() for c in plain), any(c.isdigit() for c in plain)
    if letters and digits:
        return len(plain) >= _FEWEST_LETTERS
    return digits and len(plain) >= _FEWEST_DIGITS


def _plain(name: str) -> str:
    return re.sub(r"[^0-9a-z]", "", name.lower())


def _words(texts: Sequence[str]) -> set[str]:
    """Return every run of up to three parts of some texts, as names are compared."""
    found: set[str] = set()
    for text in texts:
        parts = re.findall(r"[0-9a-z]+", text.lower())
        for i in range(len(parts)):
            found.update("".join(parts[i : i + n]) for n in range(1, _LONGEST + 1))
    return found
