"""Phenotypes: ``CD4+ CD25hi CD127lo`` as markers with levels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Literal, NamedTuple

from immunolab.errors import InputError, Problem, nearest
from immunolab.vocabulary.labels import named_exactly
from immunolab.vocabulary.lexicon import markers

Level = Literal["neg", "lo", "int", "pos", "hi"]
_SPELLED: dict[Level, tuple[str, ...]] = {
    "hi": ("+++", "++", "bright", "bri", "high", "hi"),
    "lo": ("-/lo", "lo/-", "neg/lo", "lo/neg", "-/low", "low/-", "-/dim", "dim/-", "dim", "low", "lo"),
    "int": ("intermediate", "inter", "int", "mid"),
    "pos": ("positive", "pos", "+"),
    "neg": ("negative", "neg", "--", "-"),
}
_LEVEL_OF = {word: level for level, words in _SPELLED.items() for word in words}
_LEVEL_WORDS = sorted(_LEVEL_OF, key=len, reverse=True)
_SIGNS = str.maketrans({"⁺": "+", "⁻": "-", "−": "-", "–": "-", "‐": "-", "‑": "-", "—": "-"})
_SIGN_OF: dict[Level, str] = {"neg": "-", "lo": "lo", "int": "int", "pos": "+", "hi": "hi"}
_NAME = re.compile(r"[^\W_][\w./-]*")
_HINT = "write each marker with its level: CD4+ CD25hi CD127lo CD45RA- HLA-DR+ FOXP3int"


class Condition(NamedTuple):
    """One marker at one level. ``lo`` reaches down to negative, ``pos`` up to hi."""

    marker: str
    level: Level


def parse_phenotype(text: str) -> tuple[Condition, ...]:
    """Return the markers and levels of a phenotype, in the order written.

    Markers are given in the vocabulary's spelling; one that the vocabulary does not have keeps the
    spelling of the user. Blanks between markers may be left out where the vocabulary can distinguish
    (``CD25hiCD127lo``).

    Parameters
    ----------
    text
        ``CD4+ CD25hi CD127lo``.

    Raises
    ------
    InputError
        Lists every part that is not a marker with a level, and duplicated markers.
    """
    conditions: list[Condition] = []
    faults: list[str] = []
    for part in re.split(r"[\s,;&]+", text.translate(_SIGNS).strip()):
        if not part:
            continue
        found = _cut(part) or _unknown_marker(part)
        if found is None:
            faults.append(_fault(part))
        else:
            conditions += found
    names = [condition.marker for condition in conditions]
    faults += [f"'{name}' is duplicated" for name in dict.fromkeys(names) if names.count(name) > 1]
    if not conditions and not faults:
        faults.append("there is no marker")
    if faults:
        raise InputError([Problem("", f"phenotype '{text}'", fault, _HINT) for fault in faults])
    return tuple(conditions)


def spell_phenotype(conditions: Sequence[tuple[str, Level]]) -> str:
    """Return the text that `parse_phenotype` reads back to the same conditions.

    Parameters
    ----------
    conditions
        Marker and level, in the order to write.
    """
    return " ".join(f"{marker}{_SIGN_OF[level]}" for marker, level in conditions)


def _cut(part: str) -> tuple[Condition, ...] | None:
    """Cut ``CD25hiCD127lo`` into known markers with levels; None when there is no way."""
    return _cut_from(part, 0)


@cache
def _cut_from(part: str, start: int) -> tuple[Condition, ...] | None:
    if start == len(part):
        return ()
    for end in range(start + 1, len(part)):
        marker = named_exactly(part[start:end]) if _NAME.fullmatch(part[start:end]) else None
        if marker is None:
            continue
        for word in _LEVEL_WORDS:
            if part[end : end + len(word)].lower() == word and (rest := _cut_from(part, end + len(word))) is not None:
                return (Condition(marker, _LEVEL_OF[word]), *rest)
    return None


def _unknown_marker(part: str) -> tuple[Condition, ...] | None:
    match = re.fullmatch(rf"([^\W_][\w./-]*?)({'|'.join(map(re.escape, _LEVEL_WORDS))})", part, re.IGNORECASE)
    if match is None or not match[1].strip("-./"):
        return None
    return (Condition(match[1], _LEVEL_OF[match[2].lower()]),)


def _fault(part: str) -> str:
    if named_exactly(part):
        return f"'{part}' has no level"
    close = nearest(part.rstrip("+-"), markers())
    return f"'{part}' is not a marker with a level" + (f"; {close}" if close else "")
