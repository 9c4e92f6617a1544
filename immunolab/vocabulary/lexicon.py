"""The vocabulary's markers and dyes, read once and indexed by spelling."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

from immunolab.config import build, read_package_yaml

Strength = Literal["name", "gene", "weak", "clone", "alone", "none"]
_GREEK = str.maketrans({"α": "a", "β": "b", "γ": "g", "δ": "d", "ε": "e", "κ": "k", "ζ": "z", "μ": "u", "µ": "u"})
_MARKS = re.compile(r"â\x84¢|â„¢|Â®|[™®©]")
_TOKEN = re.compile(r"[A-Z0-9]+(?:\.[0-9][A-Z0-9]*)*")
_SPELLED = {"NEARIR": "NIR", "IR": "NIR", "FARRED": "Far Red", "ULTRAVIOLET": "UltraViolet", "VIVID": "ViViD"}
_KEEP_UPPER = frozenset({"NIR", "UV", "YG", "FITC", "BYG", "PLUSUV", "PLUSYG", "PLUSB", "PLUSV"})


@dataclass(frozen=True)
class Marker:
    """One marker of the vocabulary.

    Attributes
    ----------
    gene
        HGNC symbols of its gene or genes.
    syn
        Spellings that are a word by themselves.
    weak
        Short spellings, believed only when a label names nothing else.
    clones
        Antibody clones, believed only when a label names no marker.
    """

    gene: tuple[str, ...] = ()
    syn: tuple[str, ...] = ()
    weak: tuple[str, ...] = ()
    clones: tuple[str, ...] = ()


@dataclass(frozen=True)
class Meaning:
    """What a spelling means: a marker with how far it is believed, a dye, or both."""

    marker: str | None = None
    strength: Strength = "none"
    fluorochrome: str | None = None


@dataclass(frozen=True)
class _Dyes:
    schema: str
    families: tuple[list[str], ...]
    dyes: dict[str, tuple[str, ...]]
    viability_dyes: tuple[list[str], ...]
    viability_alone: dict[str, tuple[str, ...]]
    reporters: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class _Markers:
    schema: str
    markers: dict[str, Marker]
    dump_lineages: tuple[str, ...]


def tokens(text: str) -> tuple[str, ...]:
    """Split a label into upper-case words of letters and digits; Greek letters become Latin ones."""
    return tuple(_TOKEN.findall(in_latin(text).upper()))


def in_latin(text: str) -> str:
    """Return a text without trademark signs and with Greek letters as Latin ones."""
    return _MARKS.sub("", text).translate(_GREEK)


def key(text: str) -> str:
    """Return the form in which spellings are compared: upper case, letters and digits only."""
    return "".join(tokens(text)).replace(".", "")


@cache
def _marker_file() -> _Markers:
    return build(_Markers, read_package_yaml("immunolab.vocabulary", "markers.yaml"))


@cache
def _dye_file() -> _Dyes:
    return build(_Dyes, read_package_yaml("immunolab.vocabulary", "fluorochromes.yaml"))


@cache
def markers() -> MappingProxyType[str, Marker]:
    """Return the vocabulary's markers by canonical name."""
    return MappingProxyType(_marker_file().markers)


@cache
def dump_lineages() -> frozenset[str]:
    """Return the markers that, two or more on one dye, make an exclusion channel."""
    return frozenset(_marker_file().dump_lineages)


@cache
def spellings() -> MappingProxyType[str, Meaning]:
    """Return every spelling of the vocabulary (see `key`) and what it means; the first claim wins."""
    index: dict[str, Meaning] = {}
    dyes = _dye_file()
    for name, marker in markers().items():
        for spelling in (name, *marker.syn):
            index.setdefault(key(spelling), Meaning(name, "name"))
    for name, others in dyes.dyes.items():
        for spelling in (name, *others):
            index.setdefault(key(spelling), Meaning(fluorochrome=name))
    for group, becomes in ((dyes.viability_alone, "Viability"), (dyes.reporters, "")):
        for name, others in group.items():
            for spelling in (name, *others):
                index.setdefault(key(spelling), Meaning(becomes or name, "alone", name))
    ranks: tuple[tuple[Strength, Any], ...] = (
        ("gene", lambda marker: marker.gene),
        ("weak", lambda marker: marker.weak),
        ("clone", lambda marker: marker.clones),
    )
    for strength, names in ranks:
        for name, marker in markers().items():
            for spelling in names(marker):
                index.setdefault(key(spelling), Meaning(name, strength))
    return MappingProxyType(index)


@cache
def _families() -> tuple[tuple[re.Pattern[str], str, str | None], ...]:
    dyes = _dye_file()
    plain = [(re.compile(pattern), name, None) for pattern, name in dyes.families]
    dead = [(re.compile(pattern), name, "Viability") for pattern, name in dyes.viability_dyes]
    return (*dead, *plain)


def meaning(spelling: str) -> Meaning | None:
    """Return what a spelling (in the form of `key`) means, or None when the vocabulary does not have it."""
    known = spellings().get(spelling)
    if known is not None:
        return known
    for pattern, name, marker in _families():
        match = pattern.fullmatch(spelling)
        if match:
            dye = name.format(spelling, *(_case(group) for group in match.groups())).strip()
            return Meaning(marker, "name" if marker else "none", re.sub(r"\s+", " ", dye))
    return None


def _case(group: str | None) -> str:
    if not group:
        return ""
    if group in _SPELLED:
        return _SPELLED[group]
    is_word = group.isalpha() and len(group) > 2 and group not in _KEEP_UPPER
    return group.title() if is_word else group
