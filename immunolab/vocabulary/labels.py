"""From what an operator typed to a marker, a dye and a kind of channel.

A label is cut into words; the longest run of whole words that the vocabulary has is taken first,
so that ``CD45 RA`` is CD45RA, ``PE-Cy7`` one dye, and ``CD38`` never CD3. What is left over is
ignored: a marker is never guessed from a dye, and two different markers on one dye are never
narrowed down to one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from immunolab.events.tube import ChannelKind
from immunolab.vocabulary.lexicon import Meaning, dump_lineages, in_latin, key, meaning, tokens

_LONGEST_SPAN = 6  # words; longer than any name of the vocabulary, and a guard of time on long labels
# metals of mass cytometry's channels
_ELEMENTS = (
    "AG AU BA BI CD CE CS DY ER EU GD HF HO I IN IR LA LU MO ND OS PB PD PR PT RE RH RU SM SN TA TB TE TM W XE Y YB ZR"
)
# the two ways instruments write a metal's channel: ``149SmDi``, ``Sm149Di``
_MASS_FIRST = re.compile(rf"(\d{{2,3}})({'|'.join(_ELEMENTS.split())})(?:DI|DD)?")
_METAL_FIRST = re.compile(rf"({'|'.join(_ELEMENTS.split())})(\d{{2,3}})(DI|DD)?")
# channels that carry no marker: scatter, time, and what instruments add beside them
_SCATTER = re.compile(r"(?:\d{3}(?:NM)?)?(?:FSC|SSC|BSC|FALS|FS|SS)(?:\d{0,2}[AHW]?|LIN|LOG|AREA|HEIGHT|WIDTH)")
_TIME = re.compile(r"TIME\d?|HDRTM?|HDRTIME|TIMESTAMP")
_OTHER = re.compile(
    r"EVENT(?:S|LENGTH|COUNT|NUMBER|NO|ID)?|CELLLENGTH|CENTER|OFFSET|WIDTH|PULSEWIDTH|RESIDUAL|AMPLITUDE|FILENUMBER|FILENO|EV|"
    r"DOUBLET|HDR[A-Z]+|UNUSED\d*|BEADDIST|BCSEPARATIONDIST|MAHALANOBISDIST|.*BEADS?|INDEX|SAMPLEID|CLUSTER(?:ID)?"
)
_TAIL = frozenset({"A", "H", "W", "AREA", "HEIGHT", "WIDTH"})
# words that a label or detector may hold beside the marker's
_NOISE = _TAIL | {
    "COMP",
    "FJCOMP",
    "LOG",
    "LIN",
    "INT",
    "PEAK",
    "LOGA",
    "LOGH",
    "LINA",
    "LINH",
    "DI",
    "DD",
    "ANTI",
    "HUMAN",
}
# from the most believed to the least
_RANKS = ("name", "gene", "weak", "clone", "alone")
_DOUBTED = ("weak", "alone")  # believed only when the label holds no other word
# names of receptors that have a CD number too, where the vocabulary does not say which
_RECEPTOR = re.compile(r"IL-\d{1,2}R[abg]?|(?:SIGLEC|Siglec|NKP|KIR2D[LS]|KIR3D[LS]|KLR[BDFGK]|NKG2).*")
_CDS = re.compile(r"(CD\d+[A-Z]?)(?=CD\d|$)")


@dataclass(frozen=True)
class Resolved:
    """What a label and its detector say: marker and dye when known, and the kind of channel."""

    marker: str | None
    fluorochrome: str | None
    kind: ChannelKind


@dataclass(frozen=True)
class _LabelReading:
    markers: tuple[tuple[str, str], ...] = ()
    dyes: tuple[str, ...] = ()
    metals: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    known: tuple[tuple[str, str], ...] = ()  # spelling as in the text, and how far it is believed as a marker
    left: tuple[str, ...] = ()

    def best(self) -> tuple[frozenset[str], str]:
        """Return the markers of the most trusted rank, and that rank."""
        for rank in _RANKS:
            found = frozenset(name for name, strength in self.markers if strength == rank)
            if found and (rank not in _DOUBTED or not self.unknown):
                return found, rank
        return frozenset(), ""


@lru_cache(maxsize=20_000)
def resolve_label(label: str, channel: str = "") -> Resolved:
    """Return the marker, dye and kind that a label (``$PnS``) and its detector (``$PnN``) name.

    Parameters
    ----------
    label
        What the operator wrote; may be empty.
    channel
        Detector name; its dye is used when the label names none, its marker only when it is
        a plain marker name and the label says nothing.

    Returns
    -------
    Resolved
        ``marker`` is None when the label names none, or several that do not mean the same.
    """
    said, detector = _read(label), _read(channel)
    mass = _is_mass(channel, detector) or (bool(said.metals) and not said.dyes and not detector.dyes)
    kind = _kind(label, channel, mass)
    if kind in ("scatter", "time", "other"):
        return Resolved(None, None, kind)
    echo = key(_untailed(label)) == key(_untailed(channel))
    marker = _pick(said, allow_dye=bool(label) and not echo)
    if marker is None and not said.markers and not said.unknown:
        names, rank = detector.best()
        marker = next(iter(names)) if len(names) == 1 and rank == "name" and not detector.dyes else None
    reporters = said.metals + detector.metals if mass else said.dyes + _detector_dyes(channel, detector)
    return Resolved(marker, reporters[0] if reporters else None, kind)


def names_nothing(label: str, channel: str) -> bool:
    """Return whether a label says no more than its detector and dye: no word of an antigen, known or not.

    Parameters
    ----------
    label, channel
        What the operator wrote, and the detector's name.
    """
    said = _read(label)
    return key(_untailed(label)) == key(_untailed(channel)) or not (said.markers or said.unknown)


def named_exactly(text: str) -> str | None:
    """Return the marker that a text names by itself, with no other word in it; None when it names none."""
    known = meaning(key(text))
    if known is not None:
        return known.marker if known.strength in ("name", "gene", "alone") else None
    return _by_pattern(tokens(text))


def known_words(label: str, *, markers_only: bool = False) -> tuple[str, ...]:
    """Return the words of a label that the vocabulary has, upper case, in order.

    What else is in a label may be anything, a name included, and is never quoted.

    Parameters
    ----------
    label
        As the operator wrote it.
    markers_only
        Leave out dyes and detector words.
    """
    known = _read(label).known
    return tuple(spelling for spelling, strength in known if strength != "none" or not markers_only)


def unexplained_words(text: str) -> tuple[str, ...]:
    """Return what a label holds beyond markers, dyes and isotopes, upper case; short doubtful spellings count."""
    reading = _read(text)
    doubtful = [spelling for spelling, strength in reading.known if strength == "weak"]
    foreign = re.findall(r"[^\W_]+", in_latin(text))
    return (*reading.left, *doubtful, *(word for word in foreign if not word.isascii()))


def spelled(resolved: Resolved) -> str:
    """Return a label made only of what the vocabulary resolved: marker and dye, or nothing.

    Parameters
    ----------
    resolved
        What `resolve_label` found.
    """
    return " ".join(part for part in (resolved.marker, resolved.fluorochrome) if part)


def _pick(reading: _LabelReading, allow_dye: bool) -> str | None:
    names, rank = reading.best()
    if rank == "alone" and (not allow_dye or len(names) > 1):
        return None
    if "dump" in names:
        return "dump"
    if len(names) == 1:
        return next(iter(names))
    if (numbered := _numbered(names)) is not None:
        return numbered
    lineages = dump_lineages()
    if names and names <= lineages:
        return "dump"
    return "Viability" if "Viability" in names and names - {"Viability"} <= lineages else None


def _numbered(names: frozenset[str]) -> str | None:
    """Return the one CD number of a label whose other names are receptors: ``CD124_IL-4Ra`` is one antibody."""
    numbers = [name for name in names if re.match(r"CD\d", name)]
    others = [name for name in names if name not in numbers]
    return numbers[0] if len(numbers) == 1 and all(map(_RECEPTOR.fullmatch, others)) else None


@lru_cache(maxsize=20_000)
def _read(text: str) -> _LabelReading:
    words = _undotted(tokens(text))
    free = [True] * len(words)
    pieces: list[tuple[int, str, list[Meaning], str]] = []
    for start, stop in _spans(len(words)):
        if not all(free[start:stop]):
            continue
        span = words[start:stop]
        metal = (_metal(span[0], text) if len(span) == 1 else None) or ""
        found = [] if metal else _meanings(span)
        if metal or found:
            pieces.append((start, "-".join(span), found, metal))
            free[start:stop] = [False] * len(span)
    pieces.sort(key=lambda piece: piece[0])
    left = [word for word, is_free in zip(words, free, strict=True) if is_free]
    return _LabelReading(
        markers=tuple((m.marker, m.strength) for _, _, found, _ in pieces for m in found if m.marker),
        dyes=tuple(m.fluorochrome for _, _, found, _ in pieces for m in found if m.fluorochrome),
        metals=tuple(metal for _, _, _, metal in pieces if metal),
        unknown=tuple(word for word in left if word not in _NOISE and not word.isdigit()),
        known=tuple((spelling, found[0].strength if found else "none") for _, spelling, found, _ in pieces),
        left=tuple(left),
    )


def _undotted(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return words with those parted at a dot that mean nothing whole: R writes ``CCR7.3D12`` for ``CCR7 3D12``."""
    return tuple(part for word in words for part in ([word] if _meanings((word,)) else word.split(".")))


def _spans(n: int) -> list[tuple[int, int]]:
    """Return runs of words, longest first, then from left to right."""
    return [(i, i + size) for size in range(min(n, _LONGEST_SPAN), 0, -1) for i in range(n - size + 1)]


def _meanings(span: tuple[str, ...]) -> list[Meaning]:
    joined = "".join(span).replace(".", "")
    known = meaning(joined)
    if known:
        return [known]
    pattern_name = _by_pattern(span)
    if pattern_name:
        return [Meaning(pattern_name, "name")]
    return _glued(span[0]) if len(span) == 1 else []


def _glued(word: str) -> list[Meaning]:
    """Return the parts of a word such as ``CD4FITC`` or ``CD14CD19``, when every part is known."""
    parts = _CDS.findall(word)
    if len(parts) > 1 and "".join(parts) == word:
        found = [meaning(part) or Meaning(_by_pattern((part,)), "name") for part in parts]
        return [item for item in found if item.marker]
    for cut in range(len(word) - 2, 1, -1):
        head, tail = meaning(word[:cut]), meaning(word[cut:])
        if head and tail and head.strength == "name" and not head.fluorochrome and tail.fluorochrome:
            return [head, Meaning(fluorochrome=tail.fluorochrome)]
    return []


_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"CD(\d{1,3})([A-Z]?)", "CD{0}{1}"),
        (r"CDW(\d{2,3})()", "CDw{0}"),
        (r"(CCR|CXCR|XCR|CX3CR|TLR|NOD)(\d{1,2})", "{0}{1}"),
        (r"(CCL|CXCL)(\d{1,2})", "{0}{1}"),
        (r"IL(\d{1,2})((?:R[ABG]?|[A-F]|P\d\d)?)", "IL-{0}{1}"),
        (r"(?:TCR)?V(A|B|G|D)(\d{1,2}(?:\.\d{1,2})?)", "V{0}{1}"),
        (r"M?(IG[AMDE]|IGG\d?[ABC]?)(K|L)?", "{0}{1}"),
        (r"(KLR[BDFGK]|NKG2|NKP|SIGLEC|KIR2D[LS]|KIR3D[LS])(\d{0,2}[A-F]?)", "{0}{1}"),
        (r"P(STAT)(\d)", "p{0}{1}"),
    )
)


def _by_pattern(span: tuple[str, ...]) -> str | None:
    """Return the name of a marker outside the list that is spelled like one (``CD57``, ``IL 9``)."""
    if len(span) > 2 or (len(span) == 2 and not (span[0].isalpha() and span[1][0].isdigit())):
        return None
    word = "".join(span)
    for pattern, name in _PATTERNS:
        match = pattern.fullmatch(word)
        if match:
            first, second = match.group(1), match.group(2) or ""
            return _in_its_case(name, first, second)
    return None


def _in_its_case(name: str, first: str, second: str) -> str | None:
    if name.startswith("CD"):
        return name.format(first, second.lower()) if 0 < int(first) <= 371 else None
    if name.startswith("V"):
        return name.format(first.lower(), second)
    if first.startswith("IG"):
        return f"Ig{first[2:3]}{first[3:].lower()}{second.lower()}"
    if name.startswith("IL"):
        return name.format(first, second.replace("RA", "Ra").replace("RB", "Rb").replace("P", "p"))
    return name.format(first, second)


def _metal(word: str, text: str) -> str | None:
    """Return an isotope as ``153Eu``; ``CD112`` is a marker unless spelled ``Cd112``."""
    match = _MASS_FIRST.fullmatch(word)
    mass, element = (match[1], match[2]) if match else ("", "")
    if not match and (match := _METAL_FIRST.fullmatch(word)):
        element, mass = match[1], match[2]
        if element == "CD" and not match[3] and f"Cd{mass}" not in text:
            return None
    if not match or not 75 <= int(mass) <= 209:
        return None
    return f"{mass}{element.title()}"


def _is_mass(channel: str, detector: _LabelReading) -> bool:
    return bool(detector.metals) or bool(re.search(r"\)D[id]$|\d(?:Di|Dd)$", channel))


def _kind(label: str, channel: str, mass: bool) -> ChannelKind:
    name = channel or label
    words, whole = tokens(name), key(name)
    first = next((word for word in words if word not in _NOISE), "")
    if _TIME.fullmatch(whole) or _TIME.fullmatch(first) or whole.endswith("TIME"):
        return "time"
    if any(_SCATTER.fullmatch(word) for word in words) or {"SCATTER"} <= set(words):
        return "scatter"
    if _OTHER.fullmatch(whole) or (mass and re.search(r"BEAD", key(label))):
        return "other"
    return "mass" if mass else "fluorescence"


def _detector_dyes(channel: str, detector: _LabelReading) -> tuple[str, ...]:
    # V450-A and V500-A name a laser and a filter on some instruments, a dye on others.
    return () if re.fullmatch(r"V\d{3}(?:-[AHW])?", channel) else detector.dyes


def _untailed(text: str) -> str:
    words = list(tokens(text))
    while words and words[-1] in _TAIL:
        words.pop()
    return " ".join(word for word in words if word not in ("COMP", "FJCOMP"))
